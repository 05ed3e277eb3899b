"""A view from Python is what the worker would take, no more and no less."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from movie_stream import ViewEvent
from movie_stream.errors import EventRefused
from movie_stream.events.contract import FIELDS, MAX_TIMESTAMP_MS
from movie_stream.events.event import Refused, decode

GOOD: Mapping[str, Any] = {
    "movie_id": "m1",
    "title": "Alien",
    "genre": "Sci-Fi",
    "user_id": "u1",
    "timestamp": 1_730_383_200_000,
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
    st.text("ab \t", min_size=60, max_size=70),
    st.lists(st.integers(), max_size=1),
    st.sampled_from([1_440, 1_441, 5.000001, 1e9, 1e9 + 1, MAX_TIMESTAMP_MS, MAX_TIMESTAMP_MS + 1, "x" * 513, -0.0]),
)
FIELDSETS = st.builds(
    lambda changed, gone: {name: value for name, value in {**GOOD, **changed}.items() if name not in gone},
    st.dictionaries(st.sampled_from([*FIELDS, "other"]), ODD, max_size=3),
    st.sets(st.sampled_from(FIELDS), max_size=1),
)


@given(FIELDSETS)
@example({**GOOD, "rating": 5, "duration": 0, "price": 0})
@example({**GOOD, "timestamp": True})
@example({**GOOD, "title": "\ud800"})
@example({**GOOD, "price": 10**400})
def test_the_verdict_is_that_of_the_worker(fields: dict[str, Any]) -> None:
    theirs = decode([json.dumps(fields).encode()], None, 0)
    if theirs.refusals:
        with pytest.raises(EventRefused) as refused:
            ViewEvent.of(fields)
        changed = [name for name in FIELDS if fields.get(name) != GOOD.get(name)]
        if len(changed) == 1 and fields.get(changed[0]) is not None and isinstance(refused.value.__cause__, Refused):
            assert refused.value.reason == theirs.refusals[0].reason
        return
    event = ViewEvent.of(fields)
    ours = decode([event.value], None, 0)
    assert not ours.refusals
    assert ours.views == theirs.views
    assert {name: getattr(event, name) for name in FIELDS} == {name: fields.get(name) for name in FIELDS}


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("rating", float("nan"), "nan"),
        ("price", float("inf"), "inf"),
        ("rating", Decimal("4.5"), '"4.5"'),
        ("rating", np.float64(4.5), "4.5"),
        ("rating", np.array([1.0, 2.0]), "array"),
        ("movie_id", b"abc", "b'abc'"),
        ("title", "\ud800", r"'\\ud800'"),
        pytest.param("price", 10**5_000, "int", id="longer than Python writes"),
        ("duration", 90.0, "90.0"),
        ("timestamp", datetime(2024, 10, 31), "2024-10-31T00:00:00"),
        ("timestamp", datetime(1969, 12, 31, tzinfo=UTC), "-86400000"),
        ("timestamp", datetime.max.replace(tzinfo=UTC), "253402300799999"),
    ],
)
def test_what_json_has_no_word_for_is_refused_too(field: str, value: object, shown: str) -> None:
    with pytest.raises(
        EventRefused, match=rf"this view cannot be sent: {field}: expected .*, got .*{shown}.*; correct"
    ):
        ViewEvent.of({**GOOD, field: value})


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-23, 23))
def test_a_moment_counts_in_whole_milliseconds(naive: datetime, offset_h: int) -> None:
    when = naive.replace(tzinfo=timezone(timedelta(hours=offset_h)))
    timestamp_ms = ViewEvent.of({**GOOD, "timestamp": when}).timestamp
    back = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)
    assert timedelta() <= when - back < timedelta(milliseconds=1)


def test_it_is_a_value() -> None:
    event = ViewEvent(**GOOD, rating=4)
    assert {event: 1}[ViewEvent(**GOOD, rating=4.0)] == 1
    assert event == pickle.loads(pickle.dumps(event)) == copy.deepcopy(event)
    assert dataclasses.replace(event, rating=None) == ViewEvent(**GOOD)
    assert dataclasses.replace(event, rating=None).value == ViewEvent(**GOOD).value
    with pytest.raises(EventRefused):
        dataclasses.replace(event, rating=7)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.rating = 3.0  # type: ignore[misc]
