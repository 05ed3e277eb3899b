"""What the dashboard asks for is there, by the names that RESULTS has."""

from __future__ import annotations

import pytest

from movie_stream.web import stored as module
from movie_stream.web.stored import Stored, stored


@pytest.mark.parametrize(
    ("collection", "fields", "words"),
    [
        ("movie_aggregates", (), "asks for movie_aggregates, which RESULTS does not have"),
        ("hourly_metrics", ("views", "timestamp"), "asks hourly_metrics for views, which it does not have"),
        ("top_movies", ("timestamp",), "asks top_movies for timestamp, which it does not have"),
    ],
)
def test_an_unknown_name_is_refused(collection: str, fields: tuple[str, ...], words: str) -> None:
    with pytest.raises(LookupError, match=words):
        stored(collection, *fields)


def test_every_result_names_its_fields() -> None:
    each = {name: one for name, one in vars(module).items() if isinstance(one, Stored)}
    starts = {name: one.start for name, one in each.items() if name != "GENRES"}
    assert set(starts.values()) == {"window_start", "timestamp"}
    assert {name: each[name].average for name in ("MINUTES", "DAYS", "GENRES")} == {
        "MINUTES": "avg_rating",
        "DAYS": "avg_daily_rating",
        "GENRES": "avg_rating",
    }
    with pytest.raises(AssertionError, match="one window for all time"):
        _ = each["GENRES"].start
