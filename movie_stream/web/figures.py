"""Figures of a genre in a span of time, and how they add up: exact, since averages are kept as sums of millionths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from movie_stream.aggregates.window import DAY, HOUR, MINUTE
from movie_stream.events.contract import MICRO
from movie_stream.events.timestamps import timestamp_ms_of

MINUTE_MS, HOUR_MS, DAY_MS = (int(window.length_ms or 0) for window in (MINUTE, HOUR, DAY))
_LARGEST_SUM: Final = 2**62


class Figures(NamedTuple):
    """What one genre has in the span that begins at `start_ms` (Unix milliseconds)."""

    start_ms: int
    slug: str
    genre: str
    views: int
    rated: int
    rating_micro: int
    """The sum of the ratings in millionths."""
    least: float | None = None
    """The least rating; None where nothing was rated, or it is not known."""
    most: float | None = None


@dataclass(slots=True)
class Total:
    """Figures that are being added up."""

    genre: str = ""
    views: int = 0
    rated: int = 0
    rating_micro: int = 0
    _least: float | None = None
    _most: float | None = None
    _has_extremes: bool = True

    def add(self, one: Figures) -> None:
        """Adds them; of several spellings of a genre the smallest counts, as in the results."""
        self.genre = min(self.genre, one.genre) if self.genre else one.genre
        self.views += one.views
        self.rated += one.rated
        self.rating_micro += one.rating_micro
        if one.least is None or one.most is None:
            self._has_extremes = self._has_extremes and not one.rated
            return
        self._least = one.least if self._least is None else min(self._least, one.least)
        self._most = one.most if self._most is None else max(self._most, one.most)

    @property
    def least(self) -> float | None:
        """The least rating; None where nothing was rated, and where a part of it does not say."""
        return self._least if self._has_extremes else None

    @property
    def most(self) -> float | None:
        """The greatest rating; None as `least`."""
        return self._most if self._has_extremes else None

    @property
    def avg_rating(self) -> float | None:
        """The average; None where nothing was rated."""
        return self.rating_micro / (self.rated * MICRO) if self.rated else None


def by_genre(rows: Iterable[Figures]) -> dict[str, Total]:
    """What each genre has in all of them, by slug."""
    totals: dict[str, Total] = {}
    for row in rows:
        total = totals.get(row.slug)
        if total is None:
            total = totals[row.slug] = Total()
        total.add(row)
    return totals


def of_windows(documents: Iterable[Mapping[str, Any]], start: str, views: str, average: str) -> Iterator[Figures]:
    """Documents by genre as figures; these are the names of their fields. What an older version left out is 0."""
    for document in documents:
        at, slug = document.get(start), document.get("slug")
        if not isinstance(at, datetime) or not isinstance(slug, str):
            continue  # it says of no time or of no genre what it counts
        rated = int(document.get("rated_views") or 0)
        yield Figures(
            timestamp_ms_of(at),
            slug,
            document.get("genre") or slug,
            int(document.get(views) or 0),
            rated,
            _micro(document.get(average), rated),
            document.get("min_rating"),
            document.get("max_rating"),
        )


def _micro(average: float | None, rated: int) -> int:
    """The sum that the average was made of: it is whole in millionths.

    >>> _micro(4.333333333333333, 3)
    13000000
    """
    total = (average or 0.0) * rated * MICRO
    return round(total) if abs(total) < _LARGEST_SUM else 0


def sums(*, average: str, views: str) -> dict[str, Any]:
    """The accumulators of MongoDB's `$group` that add up documents with these fields, as `of_sums` reads them."""
    micro = {"$round": [{"$multiply": [{"$ifNull": [f"${average}", 0]}, {"$ifNull": ["$rated_views", 0]}, MICRO]}, 0]}
    return {
        "genre": {"$min": "$genre"},
        "views": {"$sum": f"${views}"},
        "rated": {"$sum": "$rated_views"},
        "micro": {"$sum": {"$toLong": micro}},
    }


_WITHOUT: Final = {"$or": [{"$lte": ["$min_rating", None]}, {"$lte": ["$max_rating", None]}]}
EXTREMES: Final[Mapping[str, Any]] = {
    "least": {"$min": "$min_rating"},
    "most": {"$max": "$max_rating"},
    "partly": {"$max": {"$and": [{"$gt": ["$rated_views", 0]}, _WITHOUT]}},
}
"""Accumulators of the extremes beside `sums`; `partly` is true where a rated document has none of its own."""


def of_sums(groups: Iterable[Mapping[str, Any]]) -> Iterator[Figures]:
    """Groups by slug `s` and span `b` as figures."""
    for group in groups:
        slug, start = group["_id"].get("s"), group["_id"].get("b")
        if isinstance(slug, str):
            yield Figures(
                int(start or 0),
                slug,
                group["genre"] or slug,
                int(group["views"]),
                int(group["rated"]),
                int(group["micro"]),
                None if group.get("partly") else group.get("least"),
                None if group.get("partly") else group.get("most"),
            )


def span_of(field: str, length_ms: int) -> dict[str, Any]:
    """An expression of MongoDB: the start, in Unix milliseconds, of the span that the field's time lies in."""
    time = {"$toLong": f"${field}"}
    return {"$subtract": [time, {"$mod": [time, length_ms]}]}
