"""The valid views of one chunk as columns, and grouped: each figure of a group is computed once for all results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np

from movie_stream.aggregates.vocabulary import Names, Spellings, Vocabulary
from movie_stream.aggregates.window import Window
from movie_stream.columnar.columns import AnyInts, Bools, Ints, order_of
from movie_stream.columnar.hyperloglog import Hashes, Registers, register_and_rank
from movie_stream.columnar.spans import Spans
from movie_stream.events.contract import MISSING

T = TypeVar("T")

_LOW: Final = np.int64(0xFFFF_FFFF)
_NO_MINIMUM: Final = np.iinfo(np.int64).max
_COLUMNS: Final = ("index", "offset", "timestamp_ms", "local_hour")


@dataclass(frozen=True)
class Batch:
    """Columns of equal length, one row a view, in the order of the log."""

    vocabulary: Vocabulary
    users: Names
    index: Ints
    """The index of each record in its chunk."""
    offset: Ints
    timestamp_ms: Ints
    local_hour: Ints
    """0 to 23, in TIMEZONE."""
    ids: dict[str, Ints]
    """genre (by slug), movie_id, title, spelling (the genre trimmed): numbers in the vocabulary. user_id: numbers in
    `users`, -1 for users not yet known.
    """
    user_names: Spans
    numbers: dict[str, Ints]
    """rating, price and revenue in millionths, duration in minutes; MISSING if absent."""

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, rows: Ints | Bools) -> Batch:
        """These rows, in this order."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(
            self,
            **columns,
            ids={name: ids[rows] for name, ids in self.ids.items()},
            user_names=self.user_names.take(rows),
            numbers={name: number[rows] for name, number in self.numbers.items()},
        )

    def concat(self, others: Batch) -> Batch:
        """These views followed by the others."""
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(others, name)]) for name in _COLUMNS
        }
        return replace(
            self,
            **columns,
            ids={name: np.concatenate([ids, others.ids[name]]) for name, ids in self.ids.items()},
            user_names=self.user_names.concat(others.user_names),
            numbers={name: np.concatenate([number, others.numbers[name]]) for name, number in self.numbers.items()},
        )

    @cached_property
    def hashes(self) -> Mapping[str, Hashes]:
        """The stable hashes of movie_id and user_id."""
        return {
            "movie_id": self.vocabulary.movies.hashes(self.ids["movie_id"]),
            "user_id": self.users.hashes(self.ids["user_id"]),
        }

    @cached_property
    def _registers(self) -> dict[tuple[str, int], Registers]:
        return {}

    def registers(self, member: str, lg_k: int) -> Registers:
        """The register of a sketch of `2 ** lg_k` that each view's member falls into, and its rank there."""
        key = member, lg_k
        if key not in self._registers:
            self._registers[key] = register_and_rank(self.hashes[member], lg_k)
        return self._registers[key]


class GroupedBatch:
    """The groups of a batch: one for each window and, if there is one, each value of a column.

    Every figure has one value a group. It is computed on first use and cached, for all results whose windows and
    columns are coarser than these groups.
    """

    def __init__(self, batch: Batch, window: Window, by: str | None) -> None:
        self.batch, self._by = batch, by
        length_ms = window.length_ms or _NO_MINIMUM
        number = batch.timestamp_ms // length_ms
        low = int(number.min(initial=0 if not len(number) else _NO_MINIMUM))
        keys = batch.ids[by] if by else np.zeros(len(batch), np.int64)
        values = int(keys.max(initial=0)) + 1
        groups = (number - low) * values + keys
        self.order = order_of(groups)
        """The indices of the views, group by group, within a group in log order."""
        groups = groups[self.order]
        self.begins = np.flatnonzero(np.diff(groups, prepend=-1))
        """The index in `order` at which each group begins."""
        self.counts = np.diff(self.begins, append=len(batch))
        """The number of views of each group."""
        groups = groups[self.begins]
        self.starts = (groups // values + low) * length_ms
        """The start of each group's window."""
        self.keys = groups % values
        """The value of the column of each group, 0 without a column."""
        self._figures: dict[tuple[str, str], Any] = {}

    def __len__(self) -> int:
        return len(self.begins)

    @cached_property
    def label(self) -> Ints:
        """The offset of the last view of each group."""
        return self.batch.offset[self.order[self.begins + self.counts - 1]]

    @cached_property
    def newest(self) -> Ints:
        """The newest timestamp of each group, in Unix milliseconds."""
        newest: Ints = np.maximum.reduceat(self.batch.timestamp_ms[self.order], self.begins)
        return newest

    def sum(self, number: str) -> Ints:
        """The sum of a number over the views that have it."""
        return self._cached("sum", number, lambda: self._add(np.maximum(self._sorted(number), 0)))

    def wide_sum(self, number: str) -> tuple[Ints, Ints]:
        """The same sum in two halves, of x >> 32 and of x & 0xffffffff, as it may overflow 63 bits."""

        def make() -> tuple[Ints, Ints]:
            values = np.maximum(self._sorted(number), 0)
            return self._add(values >> 32), self._add(values & _LOW)

        return self._cached("wide sum", number, make)

    def count(self, number: str) -> Ints:
        """The number of views that have a number."""
        return self._cached("count", number, lambda: self._add((self._sorted(number) != MISSING).astype(np.int64)))

    def largest(self, number: str) -> Ints:
        """The largest number, MISSING if no view has one."""
        return self._cached("largest", number, lambda: np.maximum.reduceat(self._sorted(number), self.begins))

    def smallest(self, number: str) -> Ints:
        """The smallest number, the largest integer if no view has one."""

        def make() -> Ints:
            values = self._sorted(number)
            return np.minimum.reduceat(np.where(values == MISSING, _NO_MINIMUM, values), self.begins)

        return self._cached("smallest", number, make)

    def hashes(self, member: str) -> Hashes:
        """The hashes of the members of all views, in `order`."""
        return self._cached("hashes", member, lambda: self.batch.hashes[member][self.order])

    def registers(self, member: str, lg_k: int) -> Registers:
        """The register and the rank of these hashes, see register_and_rank."""

        def make() -> Registers:
            register, rank = self.batch.registers(member, lg_k)
            return register[self.order], rank[self.order]

        return self._cached(f"registers{lg_k}", member, make)

    def spread(self, rows: AnyInts) -> Any:
        """Values of groups repeated for each of their views, in `order`."""
        return np.repeat(rows, self.counts)

    @cached_property
    def spelling(self) -> Ints:
        """The smallest spelling of the genre."""
        spellings = self.batch.vocabulary.spellings
        ranks = spellings.rank[self.batch.ids["spelling"][self.order]]
        return spellings.by_rank[np.minimum.reduceat(ranks, self.begins)]

    @cached_property
    def title(self) -> Ints:
        """The title of the newest view; a tie in time goes to the smallest title."""
        return self._of_newest("title", self.batch.vocabulary.titles)

    @cached_property
    def genre(self) -> Ints:
        """The genre of the newest view as it is shown; a tie in time goes to the smallest genre."""
        return self._of_newest("spelling", self.batch.vocabulary.spellings)

    @cached_property
    def _newest_views(self) -> tuple[Ints, Ints]:
        """The indices in `order` of the views that are the newest of their group, and the group of each."""
        newest = np.flatnonzero(self.batch.timestamp_ms[self.order] == self.spread(self.newest))
        return newest, self.spread(np.arange(len(self)))[newest]

    def _of_newest(self, column: str, names: Names | Spellings) -> Ints:
        newest, group = self._newest_views
        ids = self.batch.ids[column][self.order[newest]]
        chosen = np.empty(len(self), np.int64)
        chosen[group[::-1]] = ids[::-1]  # the first of each group, to begin with
        for at in np.flatnonzero(ids != chosen[group]).tolist():
            chosen[group[at]] = names.smaller(int(ids[at]), int(chosen[group[at]]))
        return chosen

    def _add(self, values: Ints) -> Ints:
        sums: Ints = np.add.reduceat(values, self.begins)
        return sums

    def _sorted(self, number: str) -> Ints:
        return self._cached("sorted", number, lambda: self.batch.numbers[number][self.order])

    def _cached(self, figure: str, column: str, make: Callable[[], T]) -> T:
        key = figure, column
        if key not in self._figures:
            self._figures[key] = make()
        cached: T = self._figures[key]
        return cached
