"""What a group holds: columns that views change in place, and that the partials of several partitions merge by.

Every accumulator is a function of the set of views alone, never of their order: sums of integers, extremes, sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np

from movie_stream.aggregates.batch import Cut
from movie_stream.aggregates.columns import AnyInts, Column, Ints
from movie_stream.aggregates.packed_names import PackedNames
from movie_stream.aggregates.sketch import SketchColumn, count_distinct, pack_hashes
from movie_stream.aggregates.vocabulary import Vocabulary

_LOW: Final = np.int64(0xFFFF_FFFF)
_UNSEEN: Final = -1
EMPTY_SKETCH: Final = pack_hashes(np.zeros(0, np.uint64))


class Held(Protocol):
    """A column of whatever kind."""

    def grow(self, length: int) -> None: ...
    def keep(self, rows: Ints) -> None: ...
    def export(self, rows: Ints) -> Any: ...
    def load(self, rows: Ints, exported: Any, picked: Ints) -> None: ...


class Accumulator(Protocol):
    """One kind of figure of a group. Instances are values: equal ones are held once."""

    @property
    def name(self) -> str:
        """Names the column within its result, in partials and changelogs."""
        ...

    def column(self, live: Vocabulary | None) -> Any:
        """A new column; with a vocabulary if views will change it, else it only holds what was exported."""
        ...

    def update(self, column: Any, rows: Ints, cut: Cut) -> None:
        """Adds the views of a batch; `rows` has the row of each of its groups, some of which may share one."""
        ...

    def merge(self, values: Sequence[Any]) -> Any:
        """The figure of one group from the values its partitions hold (at least one)."""
        ...


@dataclass(frozen=True, slots=True)
class Views:
    """The number of views."""

    name: ClassVar[str] = "views"

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        np.add.at(column.values, rows, cut.counts)

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class SumOf:
    """The sum of a number over the views that have it; exact up to 2**63."""

    number: str

    @property
    def name(self) -> str:
        return f"{self.number}.sum"

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        np.add.at(column.values, rows, cut.sum(self.number))

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class WideSumOf:
    """The sum of a large number: 10,000 prices of a billion do not fit into 63 bits. Held as two columns, x >> 32 and
    x & 0xffffffff, each exact for 2**31 views; the carry moves when it is exported.
    """

    number: str

    @property
    def name(self) -> str:
        return f"{self.number}.wide_sum"

    def column(self, live: Vocabulary | None) -> WideColumn:
        return WideColumn()

    def update(self, column: WideColumn, rows: Ints, cut: Cut) -> None:
        for half, sums in enumerate(cut.wide_sum(self.number)):
            np.add.at(column.values[:, half], rows, sums)

    def merge(self, values: Sequence[Any]) -> int:
        return sum((int(high) << 32) + int(low) for high, low in values)


class WideColumn(Column):
    """Two halves a row, the upper one in units of 2**32."""

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
    """How many views have a number."""

    number: str

    @property
    def name(self) -> str:
        return f"{self.number}.count"

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        np.add.at(column.values, rows, cut.count(self.number))

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class LargestOf:
    """The largest number seen, None where no view had it."""

    number: str

    @property
    def name(self) -> str:
        return f"{self.number}.max"

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64, fill=_UNSEEN)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        np.maximum.at(column.values, rows, cut.largest(self.number))

    def merge(self, values: Sequence[Any]) -> int | None:
        return max((int(value) for value in values if value != _UNSEEN), default=None)


@dataclass(frozen=True, slots=True)
class SmallestOf:
    """The smallest number seen, None where no view had it."""

    number: str
    _unseen: ClassVar[int] = np.iinfo(np.int64).max

    @property
    def name(self) -> str:
        return f"{self.number}.min"

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64, fill=self._unseen)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        np.minimum.at(column.values, rows, cut.smallest(self.number))

    def merge(self, values: Sequence[Any]) -> int | None:
        return min((int(value) for value in values if value != self._unseen), default=None)


@dataclass(frozen=True, slots=True)
class NewestTime:
    """The newest timestamp, in Unix milliseconds."""

    name: ClassVar[str] = "newest"

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64, fill=_UNSEEN)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        np.maximum.at(column.values, rows, cut.newest)

    def merge(self, values: Sequence[Any]) -> int:
        return max(map(int, values))


@dataclass(frozen=True, slots=True)
class ViewsByHour:
    """The number of views in each local hour of the day: 24 integers."""

    name: ClassVar[str] = "views_by_hour"

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64, width=(24,))

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        np.add.at(column.values.reshape(-1), cut.spread(rows * 24) + cut.batch.local_hour[cut.order], 1)

    def merge(self, values: Sequence[Any]) -> list[int]:
        return [int(count) for count in np.sum(values, axis=0)]


@dataclass(frozen=True, slots=True)
class Members:
    """The set of distinct movie_ids or user_ids, as a sketch; see sketch.py."""

    member: str
    lg_k: int

    @property
    def name(self) -> str:
        return f"{self.member}.sketch{self.lg_k}"

    def column(self, live: Vocabulary | None) -> SketchColumn | Column:
        return SketchColumn(self.lg_k) if live else Column(object, fill=EMPTY_SKETCH)

    def update(self, column: SketchColumn, rows: Ints, cut: Cut) -> None:
        column.add(rows, cut.counts, cut.hashes(self.member), lambda: cut.registers(self.member, self.lg_k))

    def merge(self, values: Sequence[Any]) -> int:
        return count_distinct(values, self.lg_k)


class TextColumn(Column):
    """Strings, or None. Equal ones are one object: a film's title stands in every hour, a spelling in every minute."""

    __slots__ = ("_once",)

    def __init__(self) -> None:
        super().__init__(object, fill=None)
        self._once: dict[str | None, str | None] = {}

    def once(self, texts: Sequence[str | None]) -> list[str | None]:
        """The same strings, as the objects that are held already where there are such."""
        if len(self._once) > 2 * len(self.values) + 1_000:  # most of them are in no row any more
            self._once = {text: text for text in self.values.tolist()}
        return [self._once.setdefault(text, text) for text in texts]

    def keep(self, rows: AnyInts) -> None:
        super().keep(rows)
        self._once = {text: text for text in self.values.tolist()}

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        super().load(rows, self.once(exported), picked)


class NamesColumn:
    """Strings of live groups, as numbers of names that they share; -1 for none."""

    __slots__ = ("ids", "names")

    def __init__(self, names: PackedNames) -> None:
        self.names, self.ids = names, Column(np.int32, fill=_UNSEEN)

    def grow(self, length: int) -> None:
        self.ids.grow(length)

    def keep(self, rows: AnyInts) -> None:
        self.ids.keep(rows)

    def export(self, rows: Ints) -> list[str]:
        return self.names.texts(self.ids.values[rows])

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        self.ids.values[rows[picked]] = self.names.ids([exported[place] for place in picked.tolist()])


@dataclass(frozen=True, slots=True)
class SmallestSpelling:
    """The smallest spelling of the genre in code-point order, trimmed and collapsed."""

    name: ClassVar[str] = "spelling"

    def column(self, live: Vocabulary | None) -> TextColumn | NamesColumn:
        return NamesColumn(live.spellings) if live else TextColumn()

    def update(self, column: NamesColumn, rows: Ints, cut: Cut) -> None:
        held, rank, smallest = column.ids.values, cut.batch.vocabulary.spellings.rank, cut.spelling
        smaller = (held[rows] < 0) | (rank[smallest] < rank[held[rows]])
        for row, spelling in zip(rows[smaller].tolist(), smallest[smaller].tolist(), strict=True):
            if held[row] < 0 or rank[spelling] < rank[held[row]]:
                held[row] = spelling

    def merge(self, values: Sequence[Any]) -> str:
        return str(min(values))


class TitleColumn:
    """The time and the title of the newest view, of equals the smallest title."""

    __slots__ = ("newest", "title")

    def __init__(self, title: TextColumn | NamesColumn) -> None:
        self.newest, self.title = Column(np.int64, fill=_UNSEEN), title

    def grow(self, length: int) -> None:
        self.newest.grow(length)
        self.title.grow(length)

    def keep(self, rows: Ints) -> None:
        self.newest.keep(rows)
        self.title.keep(rows)

    def export(self, rows: Ints) -> list[Any]:
        return [self.newest.export(rows), self.title.export(rows)]

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        self.newest.load(rows, exported[0], picked)
        self.title.load(rows, exported[1], picked)

    @property
    def values(self) -> _Titles:
        return _Titles(self)


class _Titles:
    """Reads (newest, title) pairs by row."""

    def __init__(self, column: TitleColumn) -> None:
        self._column = column

    def __getitem__(self, row: int) -> tuple[int, str]:
        title = self._column.title
        assert isinstance(title, TextColumn), "live columns are exported, not merged"
        return int(self._column.newest.values[row]), title.values[row]


@dataclass(frozen=True, slots=True)
class NewestTitle:
    """The title of the newest view; of views at one time, the smallest title."""

    name: ClassVar[str] = "title"

    def column(self, live: Vocabulary | None) -> TitleColumn:
        return TitleColumn(NamesColumn(live.titles) if live else TextColumn())

    def update(self, column: TitleColumn, rows: Ints, cut: Cut) -> None:
        assert isinstance(column.title, NamesColumn), "only live columns are updated"
        newest, title, names = column.newest.values, column.title.ids.values, cut.batch.vocabulary.titles
        before = newest[rows]
        np.maximum.at(newest, rows, cut.newest)
        candidates = np.flatnonzero(cut.newest == newest[rows])
        rows, titles = rows[candidates], cut.title[candidates]
        title[rows[before[candidates] < newest[rows]]] = _UNSEEN  # a newer one came
        untitled = title[rows] < 0
        title[rows[untitled]] = titles[untitled]
        for at in np.flatnonzero(title[rows] != titles).tolist():  # ties in time
            title[rows[at]] = names.smaller(int(title[rows[at]]), int(titles[at]))

    def merge(self, values: Sequence[Any]) -> str:
        newest = max(time for time, _ in values)
        return str(min(title for time, title in values if time == newest))


@dataclass(frozen=True, slots=True)
class OfUsers:
    """A figure of a day that users.py keeps: it adds up over partitions, since a user's views all stand in one."""

    name: str

    def column(self, live: Vocabulary | None) -> Column:
        return Column(np.int64)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        raise TypeError(f"{self.name} is not made of single views; users.py keeps it")

    def merge(self, values: Sequence[Any]) -> int:
        return sum(map(int, values))


@dataclass(frozen=True, slots=True)
class TopUsersOf:
    """The day's most active users of one partition, which users.py keeps: (views, minutes, user_id) each."""

    name: ClassVar[str] = "top_users"
    limit: int

    def column(self, live: Vocabulary | None) -> Column:
        return Column(object, fill=None)

    def update(self, column: Column, rows: Ints, cut: Cut) -> None:
        raise TypeError("the most active users are not made of single views; users.py keeps them")

    def merge(self, values: Sequence[Any]) -> list[tuple[int, int, str]]:
        users = [tuple(user) for value in values for user in value]
        return sorted(users, key=lambda user: (-user[0], user[2]))[: self.limit]
