"""Reads the figures of rules from MongoDB; RESULTS decides which results have them.

Functions do not translate the driver's errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bson.int64 import Int64

from movie_stream.aggregates import results
from movie_stream.aggregates.fields import Count, Field, Genre, Mean, Rated, Slug
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.shape import Shape
from movie_stream.alerts.conditions import lookback_ranges
from movie_stream.alerts.expectations import LIGHTS
from movie_stream.alerts.kinds import QUALITY
from movie_stream.alerts.pace import READ_AT_ONCE, Yielder
from movie_stream.alerts.quality import PARTITION, firsts_in, silence_of
from movie_stream.alerts.rules import ALL, EACH, RatingFalling, Rule
from movie_stream.alerts.series import Reasons, Series, Silence, Verdicts
from movie_stream.errors import MovieStreamError
from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.mongo.client import Database, majority_acknowledged

LIMIT_MS: Final = 20_000
"""The time limit of one query in MongoDB."""

Range = tuple[int, int]
Rows = defaultdict[str, list[tuple[int, dict[str, float | None]]]]
"""By subject, the start of each window and its figures."""


class NoSuchFigures(MovieStreamError):
    """No result has the figures of a rule.

    What to do: correct the rule, or add a result that has the figure.

    >>> print(NoSuchFigures(rule="busy dramas", what="views by user"))
    rule busy dramas: no result has views by user; RESULTS must have one by the minute, hour or day that does
    """

    def __init__(self, *, rule: str, what: str) -> None:
        super().__init__(
            f"rule {rule}: no result has {what}; RESULTS must have one by the minute, hour or day that does"
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """The series of all subjects of a rule."""

    by_subject: Mapping[str, Series]
    others: Series | None = None
    """For films: an upper bound for those not in an hour's list."""
    rows: int = 0
    """The number of rows, of all subjects."""


def source_of(rule: Rule) -> Result:
    """The result with the figures of a rule: the one with the longest windows that divide the rule's.

    >>> from movie_stream.alerts.rules import Beyond
    >>> def collection(subject, window_ms):
    ...     return source_of(Rule("r", "views", Beyond("above", 1), subject, window_ms)).collection
    >>> collection("all", 3_600_000), collection("drama", 3_600_000), collection("each", 86_400_000)
    ('hourly_metrics', 'movies_aggregates', 'daily_stats')

    Raises NoSuchFigures.
    """
    fits = [result for result in results.RESULTS if _fits(rule, result)]
    if not fits:
        raise NoSuchFigures(rule=rule.name, what=rule.source)
    alone = rule.subject == ALL and rule.source == "views"
    return max(fits, key=lambda result: (alone and result.by is None, result.window.length_ms or 0))


def _fits(rule: Rule, result: Result) -> bool:
    shape = Shape.of(result)
    if shape.start is None or not result.window.length_ms or rule.window_ms % result.window.length_ms:
        return False
    match rule.source:
        case "films":
            return result.top is not None and result.top.of == "movie_id" and result.window.length_ms == rule.window_ms
        case "quality":
            return result.collection == QUALITY
        case "views":
            if result.top is not None or (shape.views is None):
                return False
            if rule.subject == ALL and result.by is None:
                return _field_of(result, Mean) is not None
            return result.by_genre and _field_of(result, Slug) is not None and _field_of(result, Mean) is not None


def _field_of(result: Result, kind: type[Field]) -> str | None:
    return next((name for name, field in result.fields.items() if isinstance(field, kind)), None)


class Reader:
    """Reads the figures of one run."""

    def __init__(self, db: Database, run: int, light: Verdicts | None = None) -> None:
        self._db, self._run, self._light = db, run, light
        self._yielder = Yielder()

    async def first(self, rule: Rule) -> int | None:
        """The start of the first window of the rule with any figures."""
        result = source_of(rule)
        start = str(Shape.of(result).start)
        found = (
            await self._collection(result)
            .find({"_run": Int64(self._run)}, {start: 1})
            .sort(start, 1)
            .limit(1)
            .max_time_ms(LIMIT_MS)
            .to_list(1)
        )
        if not found:
            return None
        first_ms = timestamp_ms_of(found[0][start])
        return first_ms - first_ms % rule.window_ms

    async def last(self, rule: Rule) -> int | None:
        """The end of the last window with any figures; for quality with views, since the event time of records before
        the first view is unknown.
        """
        result = source_of(rule)
        shape = Shape.of(result)
        start, of_run = str(shape.start), {"_run": Int64(self._run)}
        for wanted in ([{**of_run, str(shape.views): {"$gt": 0}}] if rule.source == "quality" else []) + [of_run]:
            cursor = self._collection(result).find(wanted, {start: 1}).sort(start, -1).limit(1).max_time_ms(LIMIT_MS)
            if found := await cursor.to_list(1):
                return timestamp_ms_of(found[0][start]) + (result.window.length_ms or 0)
        return None

    async def figures(self, rule: Rule, begin_ms: int, end_ms: int) -> Figures:
        """The figures that the rule needs for its windows from one time to before another."""
        ranges = [(begin_ms, end_ms)]
        for shift, more in lookback_ranges(rule.condition, rule.window_ms):
            ranges.append((begin_ms - shift - more, end_ms - shift))
        match rule.source:
            case "views":
                return await self._views(rule, _merged(ranges))
            case "films":
                return await self._films(rule, _merged(ranges))
            case "quality":
                return await self._quality(rule, _merged(ranges))

    def _collection(self, result: Result) -> Any:
        return majority_acknowledged(self._db, result.collection)

    def _within(self, start: str, ranges: Sequence[Range]) -> dict[str, Any]:
        """A filter for windows of this run that start in these ranges."""
        each = [{start: {"$gte": datetime_of(max(begin, 0)), "$lt": datetime_of(max(end, 0))}} for begin, end in ranges]
        return {"_run": Int64(self._run), **(each[0] if len(each) == 1 else {"$or": each})}

    async def _views(self, rule: Rule, ranges: Sequence[Range]) -> Figures:
        """Views and ratings, summed by MongoDB over the rule's windows."""
        result = source_of(rule)
        shape = Shape.of(result)
        start, slug = str(shape.start), _field_of(result, Slug)
        wanted = self._within(start, ranges)
        if rule.subject not in (ALL, EACH):
            wanted[str(slug)] = rule.subject
        at = {"$toLong": f"${start}"}
        group: dict[str, Any] = {
            "_id": {
                "at": {"$subtract": [at, {"$mod": [at, Int64(rule.window_ms)]}]},
                "of": ALL if rule.subject == ALL else f"${slug}",
            },
            "views": {"$sum": f"${shape.views}"},
        }
        if rule.subject != ALL:
            group["label"] = {"$max": f"${_field_of(result, Genre)}"}
        if isinstance(rule.condition, RatingFalling):
            rated = f"${_field_of(result, Rated)}"
            group["rated"] = {"$sum": rated}
            group["rating_sum"] = {"$sum": {"$multiply": [f"${_field_of(result, Mean)}", rated]}}
        pipeline = [{"$match": wanted}, {"$group": group}]
        rows: Rows = defaultdict(list)
        labels: defaultdict[str, dict[int, str]] = defaultdict(dict)
        async for found in self._read(self._collection(result).aggregate(pipeline, maxTimeMS=LIMIT_MS)):
            at_ms, subject = int(found["_id"]["at"]), found["_id"]["of"]
            if not isinstance(subject, str):
                continue  # written by a version without this field
            figures = {name: found[name] for name in ("views", "rated", "rating_sum") if name in found}
            rows[subject].append((at_ms, figures))
            if "label" in found and found["label"] is not None:
                labels[subject][at_ms] = str(found["label"])
        return await self._figures(rows, lambda subject: Series.of(rows[subject], labels[subject]))

    async def _films(self, rule: Rule, ranges: Sequence[Range]) -> Figures:
        result = source_of(rule)
        shape = Shape.of(result)
        assert result.top is not None
        views = next(name for name, field in result.top.columns.items() if isinstance(field, Count))
        rows: Rows = defaultdict(list)
        labels: defaultdict[str, dict[int, str]] = defaultdict(dict)
        others: list[tuple[int, dict[str, float | None]]] = []
        start = str(shape.start)
        cursor = self._collection(result).find(self._within(start, ranges)).max_time_ms(LIMIT_MS)
        async for document in self._read(cursor):
            at_ms = timestamp_ms_of(document[start])
            entries = shape.list_of(document)
            for entry in entries:
                film = str(entry[result.top.of])
                rows[film].append((at_ms, {"views": entry[views]}))
                labels[film][at_ms] = str(entry.get("title", film))
            if len(entries) >= result.top.limit:
                others.append((at_ms, {"views": entries[-1][views]}))
        return await self._figures(rows, lambda film: Series.of(rows[film], labels[film]), Series.of(others))

    async def _quality(self, rule: Rule, ranges: Sequence[Range]) -> Figures:
        result = source_of(rule)
        shape = Shape.of(result)
        start, views = str(shape.start), str(shape.views)
        numbers = [column.name for column in shape.fields if column.kind in ("count", "number")]
        counts = [column.name for column in shape.fields if column.kind == "count" and column.name != PARTITION]
        # Before the rows: a partition whose first row is written in between has no silence, only its rows.
        pipeline = firsts_in(result.collection, start, views, self._run)
        silences: dict[str, Silence | None] = {}
        async for partition in self._collection(result).aggregate(pipeline, maxTimeMS=LIMIT_MS):
            first = partition.get("first")
            first_ms = timestamp_ms_of(first) if isinstance(first, datetime) else None
            silences[str(partition["_id"])] = silence_of(first_ms, counts, self._light)
        rows: Rows = defaultdict(list)
        reasons: defaultdict[str, dict[int, Reasons]] = defaultdict(dict)
        cursor = self._collection(result).find(self._within(start, ranges)).max_time_ms(LIMIT_MS)
        async for document in self._read(cursor):
            subject, at_ms = str(document.get(PARTITION)), timestamp_ms_of(document[start])
            figures: dict[str, float | None] = {name: document.get(name) for name in numbers}
            if self._light is not None:
                found = self._light(document)
                figures["light"] = float(LIGHTS.index(found.light))
                reasons[subject][at_ms] = found.reasons
            rows[subject].append((at_ms, figures))
        for subject in silences:
            rows.setdefault(subject, [])
        return await self._figures(
            rows, lambda name: Series.of(rows[name], reasons=reasons.get(name, {}), silence=silences.get(name))
        )

    async def _read(self, cursor: Any) -> AsyncIterator[Any]:
        """The documents of a cursor; yields to the event loop in between."""
        async for found in cursor.batch_size(READ_AT_ONCE):
            yield found
            await self._yielder.maybe_yield()

    async def _figures(self, rows: Rows, series: Callable[[str], Series], others: Series | None = None) -> Figures:
        by_subject = dict[str, Series]()
        for subject in rows:
            by_subject[subject] = series(subject)
            await self._yielder.maybe_yield()
        return Figures(by_subject, others, sum(map(len, rows.values())))


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """The union of ranges, as disjoint ranges.

    >>> _merged([(5, 9), (1, 6), (20, 21)])
    [(1, 9), (20, 21)]
    """
    merged: list[Range] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def lengths_ms(rules: Iterable[Rule]) -> dict[str, int]:
    """The collections that rules use, with the lengths of their windows. Raises NoSuchFigures."""
    return {result.collection: result.window.length_ms or 0 for rule in rules for result in (source_of(rule),)}
