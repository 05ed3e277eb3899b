"""Results by film and by user: entries like any other, though RESULTS has none of them."""

from __future__ import annotations

import random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.aggregates.fields import Count, Distinct, Mean, Member, Start, Title
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.window import DAY, MINUTE
from tests.support import reference
from tests.support.examples import examples
from tests.support.reference import MINUTE_MS, day, day_of, grouped, second
from tests.support.simulation import merged, partitions_of_events, run
from tests.unit.aggregates.test_documents import events

BY_FILM: Final = Result(
    "film_minutes",
    MINUTE,
    by="movie_id",
    fields={
        "movie_id": Member(),
        "timestamp": Start(),
        "title": Title(),
        "views": Count(),
        "users": Distinct("user_id", lg_k=12),
        "avg_rating": Mean("rating"),
    },
)
BY_USER: Final = Result("user_days", DAY, by="user_id", prefix="user", fields={"user_id": Member(), "views": Count()})
DECLARED: Final = (BY_FILM, BY_USER)


def expected(partitions: list[list[reference.Record]]) -> reference.Documents:
    """The documents, by a plain loop over what counts."""
    applied, _ = reference.told_apart(reference.verdicts_of(partitions))
    film_minutes = {}
    for (movie, start), group in grouped(applied, lambda v: (v.movie_id, v.timestamp_ms // MINUTE_MS * MINUTE_MS)):
        newest = max(view.timestamp_ms for view in group)
        film_minutes[f"{movie}_{second(start)}"] = {
            "movie_id": movie,
            "timestamp": reference.date(start),
            "title": min(view.title for view in group if view.timestamp_ms == newest),
            "views": len(group),
            "users": len({view.user_id for view in group}),
            "avg_rating": reference.mean(reference.ratings_of(group)),
        }
    user_days = {
        f"user_{user}_{day(start)}": {"user_id": user, "views": len(group)}
        for (user, start), group in grouped(applied, lambda v: (v.user_id, day_of(v.timestamp_ms)))
    }
    return {
        "film_minutes": reference.with_ids(film_minutes),
        "user_days": reference.with_ids(user_days),
    }


@settings(max_examples=examples(25))
@given(st.lists(events, max_size=80), st.integers(1, 3), st.randoms(use_true_random=False))
def test_documents_are_those_of_a_plain_loop(views: list[dict[str, Any]], count: int, rng: random.Random) -> None:
    """However it is cut, sent, restored, moved out of memory and merged."""
    partitions = partitions_of_events(views, count)
    pipeline = run(partitions, rng, declared=DECLARED)
    found = merged(pipeline.log, count, rng, declared=DECLARED)
    wanted = expected(partitions)
    assert {name: found.get(name, {}) for name in wanted} == wanted
