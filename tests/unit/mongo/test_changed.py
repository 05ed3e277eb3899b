"""The remembered documents that subscribers were notified of."""

from __future__ import annotations

import pytest

from movie_stream.mongo import changed
from movie_stream.mongo.changed import Changed, ReportedDocuments, Written
from movie_stream.mongo.guard import guarded


def reported(remembered: ReportedDocuments, name: str, figure: int, collection: str = "c") -> Changed:
    document = guarded(collection, name, (figure,), 1, {"figure": figure})
    return remembered.replace(Written(document, certain=True))


def test_the_body_that_was_reported_before_is_the_old_one() -> None:
    remembered = ReportedDocuments()
    assert reported(remembered, "a", 1).old is None
    assert reported(remembered, "a", 2, "d").old is None, "of another collection"
    assert reported(remembered, "a", 3).old == {"figure": 1}
    assert reported(remembered, "a", 4).old == {"figure": 3}


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = ReportedDocuments()
    size = len(guarded("c", "a", (1,), 1, {"figure": 1}).encoded)
    monkeypatch.setattr(changed, "REMEMBERED_BYTES", 2 * size)
    for name in "abac":  # a is remembered anew before c comes
        reported(remembered, name, 1)
    assert reported(remembered, "a", 2).old == {"figure": 1}
    assert reported(remembered, "b", 2).old is None
