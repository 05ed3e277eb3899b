"""Aggregators: the columns of a group that views update in place, and how partials of several partitions are merged.

Every aggregator is a function of the set of views alone, never of their order: sums of integers, extremes, sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np

from movie_stream.aggregates.batch import GroupedBatch
from movie_stream.columnar.columns import AnyInts, Column, Ints
from movie_stream.columnar.hyperloglog import SketchColumn, count_distinct, pack_hashes
from movie_stream.columnar.packed_names import PackedNames

_LOW: Final = np.int64(0xFFFF_FFFF)
_UNSEEN: Final = -1
EMPTY_SKETCH: Final = pack_hashes(np.zeros(0, np.uint64))


def rank_of(views: int, name: str) -> tuple[int, str]:
    """The sort key of the entries of a top list: most views first; a tie goes to the smaller id, by code points.

    >>> sorted([(2, "b"), (9, "c"), (2, "a")], key=lambda entry: rank_of(*entry))
    [(9, 'c'), (2, 'a'), (2, 'b')]
    """
    return -views, name


class NameTables(Protocol):
    """The names that columns refer to by number; Vocabulary is one implementation."""

    @property
    def titles(self) -> PackedNames: ...
    @property
    def spellings(self) -> PackedNames: ...


class Aggregator(Protocol):
    """One kind of figure of a group. Instances are compared by value; equal ones share a column."""

    @property
    def stored(self) -> str:
        """Its name and parameters in the fingerprint of a run; see Result.stored."""
        ...

    @property
    def name(self) -> str:
        """Names the column within its result, in partials and changelogs."""
        ...

    def column(self, names: NameTables, live: bool) -> Any:
        """A new column; live if views will update it, else it only holds exported values."""
        ...

    def update(self, column: Any, rows: Ints, grouped: GroupedBatch) -> None:
        """Adds the views of a batch; `rows` has one row for each group of the batch, and may repeat a row."""
        ...

    def merge(self, values: Sequence[Any]) -> Any:
        """The figure of one group from the values of its partitions (at least one), as its columns read them."""
        ...


@dataclass(frozen=True, slots=True)
class ViewCount:
    """The number of views."""

    stored: ClassVar[str] = "Views()"
    name: ClassVar[str] = "views"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.add.at(column.values, rows, grouped.counts)

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class SumOf:
    """The sum of a number over the views that have it; exact up to 2**63."""

    number: str

    @property
    def stored(self) -> str:
        return f"SumOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.sum"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.add.at(column.values, rows, grouped.sum(self.number))

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class WideSumOf:
    """The sum of a large number: 10,000 prices of a billion do not fit into 63 bits. Held as two columns, x >> 32 and
    x & 0xffffffff, each exact for 2**31 views; the carry is propagated on export.
    """

    number: str

    @property
    def stored(self) -> str:
        return f"WideSumOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.wide_sum"

    def column(self, names: NameTables, live: bool) -> WideColumn:
        return WideColumn()

    def update(self, column: WideColumn, rows: Ints, grouped: GroupedBatch) -> None:
        for half, sums in enumerate(grouped.wide_sum(self.number)):
            np.add.at(column.values[:, half], rows, sums)

    def merge(self, values: Sequence[Any]) -> int:
        return sum((int(high) << 32) + int(low) for high, low in values)


class WideColumn(Column):
    """Two integers a row: the high half, in units of 2**32, and the low half."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(np.int64, width=(2,))

    def export(self, rows: Ints) -> bytes | list[Any]:
        low = self.values[rows, 1]
        self.values[rows, 0] += low >> 32
        self.values[rows, 1] = low & _LOW
        return super().export(rows)


@dataclass(frozen=True, slots=True)
class CountOf:
    """The number of views that have a number."""

    number: str

    @property
    def stored(self) -> str:
        return f"CountOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.count"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.add.at(column.values, rows, grouped.count(self.number))

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class LargestOf:
    """The largest number seen, None if no view had it."""

    number: str

    @property
    def stored(self) -> str:
        return f"LargestOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.max"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, fill=_UNSEEN)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.maximum.at(column.values, rows, grouped.largest(self.number))

    def merge(self, values: Sequence[Any]) -> int | None:
        return max((int(value) for value in values if value != _UNSEEN), default=None)


@dataclass(frozen=True, slots=True)
class SmallestOf:
    """The smallest number seen, None if no view had it."""

    number: str
    _unseen: ClassVar[int] = np.iinfo(np.int64).max

    @property
    def stored(self) -> str:
        return f"SmallestOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.min"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, fill=self._unseen)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.minimum.at(column.values, rows, grouped.smallest(self.number))

    def merge(self, values: Sequence[Any]) -> int | None:
        return min((int(value) for value in values if value != self._unseen), default=None)


@dataclass(frozen=True, slots=True)
class NewestTime:
    """The newest timestamp, in Unix milliseconds."""

    stored: ClassVar[str] = "NewestTime()"
    name: ClassVar[str] = "newest"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, fill=_UNSEEN)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.maximum.at(column.values, rows, grouped.newest)

    def merge(self, values: Sequence[Any]) -> int:
        return max(map(int, values))


@dataclass(frozen=True, slots=True)
class ViewsByHour:
    """The number of views in each local hour of the day: 24 integers."""

    stored: ClassVar[str] = "ViewsByHour()"
    name: ClassVar[str] = "views_by_hour"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, width=(24,))

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.add.at(column.values.reshape(-1), grouped.spread(rows * 24) + grouped.batch.local_hour[grouped.order], 1)

    def merge(self, values: Sequence[Any]) -> list[int]:
        return [int(count) for count in np.sum(values, axis=0)]


@dataclass(frozen=True, slots=True)
class Members:
    """The set of distinct movie_ids or user_ids, as a sketch; see columnar/hyperloglog.py."""

    member: str
    lg_k: int

    @property
    def stored(self) -> str:
        return f"Members(member={self.member!r}, lg_k={self.lg_k!r})"

    @property
    def name(self) -> str:
        return f"{self.member}.sketch{self.lg_k}"

    def column(self, names: NameTables, live: bool) -> SketchColumn | Column:
        return SketchColumn(self.lg_k) if live else Column(object, fill=EMPTY_SKETCH)

    def update(self, column: SketchColumn, rows: Ints, grouped: GroupedBatch) -> None:
        column.add(rows, grouped.counts, grouped.hashes(self.member), lambda: grouped.registers(self.member, self.lg_k))

    def merge(self, values: Sequence[Any]) -> int:
        return count_distinct(values, self.lg_k)


class NamesColumn:
    """Strings, dictionary-encoded: numbers of names that all columns share, -1 for none."""

    __slots__ = ("ids", "names")

    def __init__(self, names: PackedNames) -> None:
        self.names, self.ids = names, Column(np.int32, fill=_UNSEEN)

    def grow(self, length: int) -> None:
        self.ids.grow(length)

    def keep(self, rows: AnyInts) -> None:
        self.ids.keep(rows)

    def export(self, rows: Ints) -> tuple[bytes, bytes]:
        """See PackedNames.pack."""
        return self.names.pack(self.ids.values[rows])

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        self.ids.values[rows[picked]] = self.names.unpack(*exported)[picked]

    def parts(self) -> Iterator[NamesColumn]:
        """The columns of names that this one is made of."""
        yield self

    def read(self, rows: Ints) -> list[str]:
        """The strings of these rows."""
        return self.names.texts(self.ids.values[rows])


@dataclass(frozen=True, slots=True)
class SmallestSpelling:
    """The smallest spelling of the genre in code-point order, trimmed and collapsed."""

    stored: ClassVar[str] = "SmallestSpelling()"
    name: ClassVar[str] = "spelling"

    def column(self, names: NameTables, live: bool) -> NamesColumn:
        return NamesColumn(names.spellings)

    def update(self, column: NamesColumn, rows: Ints, grouped: GroupedBatch) -> None:
        held, rank, smallest = column.ids.values, grouped.batch.vocabulary.spellings.rank, grouped.spelling
        smaller = (held[rows] < 0) | (rank[smallest] < rank[held[rows]])
        for row, spelling in zip(rows[smaller].tolist(), smallest[smaller].tolist(), strict=True):
            if held[row] < 0 or rank[spelling] < rank[held[row]]:
                held[row] = spelling

    def merge(self, values: Sequence[Any]) -> str:
        return str(min(values))


class NewestNames(NamedTuple):
    """Title and genre of a film, and the time of the view that they are from."""

    time_ms: int
    title: str
    genre: str


class NewestColumn:
    """The time of the newest view, its title, and its genre as it is shown."""

    __slots__ = ("genre", "time_ms", "title")

    def __init__(self, names: NameTables) -> None:
        self.time_ms = Column(np.int64, fill=_UNSEEN)
        self.title, self.genre = NamesColumn(names.titles), NamesColumn(names.spellings)

    def grow(self, length: int) -> None:
        for column in self._columns():
            column.grow(length)

    def keep(self, rows: Ints) -> None:
        for column in self._columns():
            column.keep(rows)

    def export(self, rows: Ints) -> list[Any]:
        return [column.export(rows) for column in self._columns()]

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        for column, values in zip(self._columns(), exported, strict=True):
            column.load(rows, values, picked)

    def read(self, rows: Ints) -> list[NewestNames]:
        """The values of these rows."""
        columns = (column.read(rows) for column in self._columns())
        return [NewestNames(*names) for names in zip(*columns, strict=True)]

    def _columns(self) -> tuple[Column | NamesColumn, ...]:
        return self.time_ms, self.title, self.genre

    def parts(self) -> Iterator[NamesColumn]:
        """The columns of names that this one is made of."""
        yield self.title
        yield self.genre


@dataclass(frozen=True, slots=True)
class NewestView:
    """Title and genre of the newest view; ties in time go to the smallest title and the smallest genre."""

    stored: ClassVar[str] = "NewestView()"
    name: ClassVar[str] = "newest_view"

    def column(self, names: NameTables, live: bool) -> NewestColumn:
        return NewestColumn(names)

    def update(self, column: NewestColumn, rows: Ints, grouped: GroupedBatch) -> None:
        time_ms, vocabulary = column.time_ms.values, grouped.batch.vocabulary
        before = time_ms[rows]
        np.maximum.at(time_ms, rows, grouped.newest)
        candidates = np.flatnonzero(grouped.newest == time_ms[rows])
        rows = rows[candidates]
        outdated = rows[before[candidates] < time_ms[rows]]
        for ids, names, of_newest in (
            (column.title.ids.values, vocabulary.titles, grouped.title),
            (column.genre.ids.values, vocabulary.spellings, grouped.genre),
        ):
            fresh = of_newest[candidates]
            ids[outdated] = _UNSEEN
            unnamed = ids[rows] < 0
            ids[rows[unnamed]] = fresh[unnamed]
            for at in np.flatnonzero(ids[rows] != fresh).tolist():  # ties in time
                ids[rows[at]] = names.smaller(int(ids[rows[at]]), int(fresh[at]))

    def merge(self, values: Sequence[NewestNames]) -> NewestNames:
        newest = max(value.time_ms for value in values)
        names = [value for value in values if value.time_ms == newest]
        return NewestNames(newest, min(name.title for name in names), min(name.genre for name in names))


@dataclass(frozen=True, slots=True)
class UserFigure:
    """A figure of a day that users.py maintains: it adds up over partitions, since a user's views are all in one."""

    name: str

    @property
    def stored(self) -> str:
        return f"OfUsers(name={self.name!r})"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        raise TypeError(f"{self.name} is not computed from single views; users.py keeps it")

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class TopUsersOf:
    """The day's most active users of one partition, which users.py maintains: (views, minutes, user_id) each."""

    name: ClassVar[str] = "top_users"
    limit: int

    @property
    def stored(self) -> str:
        return f"TopUsersOf(limit={self.limit!r})"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(object, fill=None)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        raise TypeError("the most active users are not computed from single views; users.py keeps them")

    def merge(self, values: Sequence[Any]) -> list[tuple[int, int, str]]:
        users = [tuple(user) for value in values for user in value]
        return sorted(users, key=lambda user: rank_of(user[0], user[2]))[: self.limit]
