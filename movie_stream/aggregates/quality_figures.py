"""The aggregators of quality.py, of the records of one source partition, and the fields that documents show of them.

These figures are grouped by partition, and their windows are of stream time: a record's time is the partition's
watermark after it. A group has one source partition, so that nothing is summed over several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np

from movie_stream.aggregates.aggregators import (
    Aggregator,
    CountOf,
    NameTables,
    Part,
    Summed,
    ViewCount,
    WideColumn,
    gathered,
    reduced,
    summed,
)
from movie_stream.aggregates.batch import GroupedBatch
from movie_stream.aggregates.fields import COUNT, TEXT, Description, Figures, Keys, Schema, array_of, means, scaled
from movie_stream.columnar.bson_columns import Lists, Values
from movie_stream.columnar.columns import Column, Ints

KINDS_AT_MOST: Final = 50
"""The most kinds of reasons that a group distinguishes; later ones count as one more, for each of bad and late."""
OTHER_REASONS: Final = "other reasons"
_REASON_AT_MOST: Final = 200
_SECOND_MS: Final = 1_000
_NEVER: Final = np.iinfo(np.int64).min
_SECONDS: Final[Schema] = {"bsonType": ["double", "int", "long", "null"]}

Reasons = Sequence[tuple[str, str, int]]
"""Kind (bad or late), kind of the reason, and number of records, in the order of first arrival."""


class _RecordFigure:
    """An aggregator that quality.py updates, not `update`: it is not computed from a batch's groups."""

    __slots__ = ()

    def update(self, column: Any, rows: Ints, grouped: GroupedBatch) -> None:
        raise TypeError(f"{self} is not computed from views by their own time; quality.py keeps it")


@dataclass(frozen=True, slots=True)
class RecordCount(Summed, _RecordFigure):
    """A number of records: all (`records`), views with a Kafka timestamp (`timed`), `new_genres`, or `retitled`."""

    name: str

    @property
    def stored(self) -> str:
        return f"OfRecords(name={self.name!r})"


@dataclass(frozen=True, slots=True)
class DelaySum(_RecordFigure):
    """The sum over the views of Kafka timestamp minus event time, in milliseconds; it may be below 0."""

    stored: ClassVar[str] = "DelaySum()"
    name: ClassVar[str] = "delay_ms"

    def column(self, names: NameTables, live: bool) -> WideColumn:
        return WideColumn()

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[int]:
        return [(high << 32) + low for high, low in summed(parts, count).tolist()]


@dataclass(frozen=True, slots=True)
class LongestDelay(_RecordFigure):
    """The largest Kafka timestamp minus event time, in milliseconds; None if no view has a Kafka timestamp."""

    stored: ClassVar[str] = "LongestDelay()"
    name: ClassVar[str] = "longest_delay_ms"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, fill=_NEVER)

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[int | None]:
        return reduced(parts, count, np.maximum, _NEVER)


@dataclass(frozen=True, slots=True)
class RefusedByReason(_RecordFigure):
    """The number of refused records, by kind and kind of the reason."""

    stored: ClassVar[str] = "RefusedByReason()"
    name: ClassVar[str] = "refused"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(object, fill=None)

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[Reasons]:
        merged = [Counter[tuple[str, str]]() for _ in range(count)]
        for counts, values in zip(merged, gathered(parts, count), strict=True):
            for value in values:
                counts.update({(kind, reason): records for kind, reason, records in value or ()})
        return [tuple((*reason, records) for reason, records in counts.items()) for counts in merged]


def with_refused(held: Reasons | None, refused: Iterable[tuple[str, str]]) -> Reasons:
    """The counts held, plus one for each of these kinds and reasons, in log order.

    >>> with_refused((("bad", "not JSON", 1),), [("late", "late"), ("bad", "not JSON")])
    (('bad', 'not JSON', 2), ('late', 'late', 1))
    """
    counts = {(kind, reason): records for kind, reason, records in held or ()}
    for kind, reason in refused:
        key = kind, reason[:_REASON_AT_MOST]
        if key not in counts and len(counts) >= KINDS_AT_MOST:
            key = kind, OTHER_REASONS
        counts[key] = counts.get(key, 0) + 1
    return tuple((kind, reason, records) for (kind, reason), records in counts.items())


RECORDS: Final = RecordCount("records")
TIMED: Final = RecordCount("timed")
NEW_GENRES: Final = RecordCount("new_genres")
RETITLED: Final = RecordCount("retitled")
DELAY: Final = DelaySum()
LONGEST_DELAY: Final = LongestDelay()
REFUSED: Final = RefusedByReason()


def is_record_figure(held: Aggregator) -> bool:
    """Whether only quality.py can maintain this figure."""
    return isinstance(held, _RecordFigure)


@dataclass(frozen=True, slots=True)
class Partition:
    """The source partition that the result is grouped by."""

    stored: ClassVar[str] = "Partition()"
    needs: ClassVar[tuple[Aggregator, ...]] = ()
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description("The partition of the topic of views that the records came by.")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return list(map(int, keys.values))


@dataclass(frozen=True, slots=True)
class Records:
    """The number of records, of every kind: views, refused ones, and copies whose original counts already."""

    stored: ClassVar[str] = "Records()"
    needs: ClassVar[tuple[Aggregator, ...]] = (RECORDS,)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description(
        "The number of records of every kind: views, refused ones, and copies whose original counts already.", "records"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[RECORDS.name]


@dataclass(frozen=True, slots=True)
class Refused:
    """The number of records that were refused, of one kind."""

    kind: Literal["bad", "late"]
    needs: ClassVar[tuple[Aggregator, ...]] = (REFUSED,)
    schema: ClassVar[Schema] = COUNT

    @property
    def stored(self) -> str:
        return f"Refused(kind={self.kind!r})"

    @property
    def description(self) -> Description:
        return Description(f"The number of records that were refused as {self.kind}.", "records")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return [sum(records for kind, _, records in refused if kind == self.kind) for refused in figures[REFUSED.name]]


@dataclass(frozen=True, slots=True)
class Without:
    """The number of views in which a number is null or absent."""

    number: Literal["rating", "duration", "price"]
    schema: ClassVar[Schema] = COUNT

    @property
    def stored(self) -> str:
        return f"Without(number={self.number!r})"

    @property
    def needs(self) -> tuple[Aggregator, ...]:
        return ViewCount(), CountOf(self.number)

    @property
    def description(self) -> Description:
        return Description(f"The number of views in which `{self.number}` is null or absent.", "views")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[ViewCount.name] - figures[f"{self.number}.count"]


@dataclass(frozen=True, slots=True)
class NewGenres:
    """The number of genres whose first view in the partition is among the views."""

    stored: ClassVar[str] = "NewGenres()"
    needs: ClassVar[tuple[Aggregator, ...]] = (NEW_GENRES,)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description(
        "The number of genres whose first view ever in the partition is among the views.", "genres"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[NEW_GENRES.name]


@dataclass(frozen=True, slots=True)
class Retitled:
    """The number of views whose title is not that of the film's previous view in the partition."""

    stored: ClassVar[str] = "Retitled()"
    needs: ClassVar[tuple[Aggregator, ...]] = (RETITLED,)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description(
        "The number of views whose title is another than that of the film's view before, in the partition.", "views"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[RETITLED.name]


@dataclass(frozen=True, slots=True)
class MeanDelay:
    """The mean of Kafka timestamp minus event time, in seconds; None if no view has a Kafka timestamp."""

    stored: ClassVar[str] = "MeanDelay()"
    needs: ClassVar[tuple[Aggregator, ...]] = (TIMED, DELAY)
    schema: ClassVar[Schema] = _SECONDS
    description: ClassVar[Description] = Description(
        "The mean, over the views, of the record's Kafka timestamp minus the view's own; null where no record has one.",
        "seconds",
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return means(figures[DELAY.name], figures[TIMED.name], _SECOND_MS)


@dataclass(frozen=True, slots=True)
class MaxDelay:
    """The largest Kafka timestamp minus event time, in seconds; None if no view has a Kafka timestamp."""

    stored: ClassVar[str] = "MaxDelay()"
    needs: ClassVar[tuple[Aggregator, ...]] = (LONGEST_DELAY,)
    schema: ClassVar[Schema] = _SECONDS
    description: ClassVar[Description] = Description(
        "The largest of these differences; null where no record has a Kafka timestamp.", "seconds"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return scaled(figures[LONGEST_DELAY.name], _SECOND_MS)


@dataclass(frozen=True, slots=True)
class RefusedReasons:
    """The refused records by kind and kind of the reason, most first; ties in the order of the texts."""

    stored: ClassVar[str] = "RefusedReasons()"
    needs: ClassVar[tuple[Aggregator, ...]] = (REFUSED,)
    schema: ClassVar[Schema] = array_of({"kind": TEXT, "reason": TEXT, "count": COUNT}, KINDS_AT_MOST + 2)
    description: ClassVar[Description] = Description(
        f"The refused records by reason, most first; those beyond {KINDS_AT_MOST} are summed up as `{OTHER_REASONS}`.",
        entry={
            "kind": Description("`bad` or `late`."),
            "reason": Description("The reason, without what is different in every record."),
            "count": Description("The number of records refused for it.", "records"),
        },
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        most_first = [sorted(refused, key=lambda of: (-of[2], of[0], of[1])) for refused in figures[REFUSED.name]]
        return Lists.of(most_first, 3)
