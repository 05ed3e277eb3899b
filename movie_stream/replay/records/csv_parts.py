"""Turns rows into records of the topic, the fast way: a column at a time, each record joined from parts of its JSON.

The result equals that of `csv_records.py`, since everything is learnt from it. In columns with few distinct values (a
title, a rating), a cell's part is cut from a record that it made. Columns with many distinct values (users, times) are
good if the records that it makes of their extremes are. Unusual rows are left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice, repeat
from typing import Final

import numpy as np

from movie_stream.events.contract import FIELDS
from movie_stream.events.event import ENCODER, View
from movie_stream.replay.files.csv_cells import LONGEST_REMEMBERED, REMEMBERED, even_timestamps
from movie_stream.replay.files.csv_rows import RefusedRow, Rows
from movie_stream.replay.records.csv_records import PlainRecords, ViewChunk, in_order_of_lines

EXAMPLE: Final = {"movie_id": "m", "title": "t", "genre": "g", "user_id": "u", "timestamp": "1"}
"""Cells of a good row; all others are empty."""
EXAMPLE_JSON: Final = ENCODER.encode(View("m", "t", "g", "u", 1))
LEARNT_AT_ONCE: Final = 500
"""The most new cells of one column and chunk; more may never repeat, and learning them is the slowest way."""
FEW_VALUES: Final = tuple(field for field in FIELDS if field not in ("user_id", "timestamp"))

Learn = Callable[[str, Sequence[str]], list[bytes | None]]


class Parts(dict[str, bytes]):
    """The parts of a record's JSON for one field, by the good cell that each is made of."""

    def __init__(self, field: str, learn: Learn) -> None:
        self._field = field
        self._learn = learn

    def column(self, cells: Sequence[str]) -> list[bytes] | None:
        """The parts of a column, learning new cells; None if one stays unknown.

        A cell stays unknown if it is bad, too long to be cached, or if there are too many new ones.
        """
        try:
            return list(map(self.__getitem__, cells))
        except KeyError:
            unknown = set(cells).difference(self)
        if len(self) + min(len(unknown), LEARNT_AT_ONCE) > REMEMBERED:
            self.clear()
            unknown = set(cells)
        new = [cell for cell in islice(unknown, LEARNT_AT_ONCE) if len(cell) <= LONGEST_REMEMBERED]
        learnt = zip(new, self._learn(self._field, new), strict=True)
        self.update((cell, part) for cell, part in learnt if part is not None)
        try:
            return list(map(self.__getitem__, cells))
        except KeyError:
            return None


class QuickRecords:
    """Makes the records that `plain` would make, in two fifths of the time for ordinary rows."""

    def __init__(self, plain: PlainRecords) -> None:
        self._plain = plain
        self._position = plain.header.position
        self._parts = {field: Parts(field, self._learn) for field in FEW_VALUES if field in self._position}

    def views(self, rows: Rows, now_ms: int, future_tolerance_ms: int) -> ViewChunk:
        """See `PlainRecords.views`."""
        columns: dict[str, list[bytes]] = {}
        odd: set[int] = set()
        for field, parts in self._parts.items():
            cells = rows.columns[self._position[field]]
            known = parts.column(cells)
            if known is None:
                odd.update(row for row, cell in enumerate(cells) if cell not in parts)
                if len(odd) > len(rows) // 2:
                    return self._plain.views(rows, now_ms, future_tolerance_ms)
            else:
                columns[field] = known
        if odd:
            return self._apart(rows, odd, now_ms, future_tolerance_ms)
        quick = self._joined(rows, columns, now_ms, future_tolerance_ms)
        return quick or self._plain.views(rows, now_ms, future_tolerance_ms)

    def _apart(self, rows: Rows, odd: set[int], now_ms: int, future_tolerance_ms: int) -> ViewChunk:
        """The records of rows; those of the `odd` rows are made the plain way."""
        is_odd = np.zeros(len(rows), np.bool_)
        is_odd[list(odd)] = True
        plain = self._plain.views(rows.where(is_odd), now_ms, future_tolerance_ms)
        quick = self.views(rows.where(~is_odd), now_ms, future_tolerance_ms)
        return _merged(plain, quick, rows.refused)

    def _joined(
        self, rows: Rows, columns: Mapping[str, Sequence[bytes]], now_ms: int, future_tolerance_ms: int
    ) -> ViewChunk | None:
        """The records of rows whose parts are all known; None if users or times need the plain way."""
        users, times = (rows.columns[self._position[field]] for field in ("user_id", "timestamp"))
        even = even_timestamps(times)
        if even is None or not _are_simple(users):
            return None
        lengths = list(map(len, users))
        extremes = {
            "user_id": [users[lengths.index(min(lengths))], users[lengths.index(max(lengths))]],
            "timestamp": [times[int(even.argmin())], times[int(even.argmax())]],
        }
        if None in self._made(extremes, now_ms, future_tolerance_ms):
            return None
        keys = "\n".join(users).encode().split(b"\n")
        of_user = repeat(b',"user_id":"'), keys, repeat(b'","timestamp":'), "\n".join(times).encode().split(b"\n")
        film = [columns[field] for field in ("movie_id", "title", "genre")]
        numbers = [columns[field] for field in ("rating", "duration", "price") if field in columns]
        parts = chain.from_iterable(zip(*film, *of_user, *numbers, repeat(b"}\n")))
        values = b"".join(parts).split(b"\n")
        del values[-1]
        return ViewChunk(keys, values, even, rows.lines, in_order_of_lines(rows.refused))

    def _learn(self, field: str, cells: Sequence[str]) -> list[bytes | None]:
        """The part of each cell of a field, from its name to that of the next field; None for a bad cell."""
        start, end = _span_in_example(field)
        values = self._made({field: cells}, -1, 0)
        return [value[start : len(value) - end] if value else None for value in values]

    def _made(self, cells: Mapping[str, Sequence[str]], now_ms: int, future_tolerance_ms: int) -> list[bytes | None]:
        """The records of example rows with these cells, made the plain way; None for a refused one."""
        count = len(next(iter(cells.values())))
        columns: list[Sequence[str]] = [[""] * count] * self._plain.header.width
        for field, position in self._position.items():
            columns[position] = cells.get(field) or [EXAMPLE.get(field, "")] * count
        made = self._plain.views(Rows(columns, np.arange(count), []), now_ms, future_tolerance_ms)
        values = dict(zip(made.lines.tolist(), made.values, strict=True))
        return [values.get(row) for row in range(count)]


def _span_in_example(field: str) -> tuple[int, int]:
    """The offset at which the part of a field begins in EXAMPLE_JSON, and the number of bytes after it.

    >>> [EXAMPLE_JSON[start : len(EXAMPLE_JSON) - rest] for start, rest in map(_span_in_example, ("title", "price"))]
    [b',"title":"t"', b'']
    """
    fields, end = FIELDS, len(EXAMPLE_JSON) - 1
    starts = [EXAMPLE_JSON.index(f'"{name}":'.encode()) - 1 if name in EXAMPLE else end for name in fields]
    position = fields.index(field)
    return starts[position], len(EXAMPLE_JSON) - (*starts, end)[position + 1]


def _are_simple(texts: Sequence[str]) -> bool:
    """Whether JSON needs no escapes for any of them, so that only their length can be wrong."""
    together = "".join(texts)
    return together.isprintable() and '"' not in together and "\\" not in together


def _merged(few: ViewChunk, many: ViewChunk, refused: Sequence[RefusedRow]) -> ViewChunk:
    """Both chunks in the order of the file, with all refused rows."""
    all_refused = in_order_of_lines([*refused, *few.refused, *many.refused])
    if not len(few):
        return replace(many, refused=all_refused)
    both = ViewChunk(
        many.keys + few.keys,
        many.values + few.values,
        np.concatenate([many.timestamp_ms, few.timestamp_ms]),
        np.concatenate([many.lines, few.lines]),
        [],
    )
    return replace(both.where(np.argsort(both.lines)), refused=all_refused)
