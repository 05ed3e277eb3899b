"""Turns rows into records of the topic, the fast way: a kernel writes those of rows whose cells have the usual form.

They equal those of `csv_records.py`, to which all other rows are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import PAD, Spans
from movie_stream.events.contract import FIELD_RULES, FIELDS, MAX_TIMESTAMP_MS, TEXTS, Text
from movie_stream.kernels import json_writer
from movie_stream.kernels.compiled import COMPILED
from movie_stream.kernels.json_writer import write_objects
from movie_stream.replay.files.cells import on_one_buffer, spans_of
from movie_stream.replay.files.csv_rows import Rows
from movie_stream.replay.records.csv_records import PlainRecords, ViewChunk, in_order_of_lines

MOST_ADDED: Final = len(".0")
"""Bytes by which a number may become longer."""


def _kind(field: str) -> int:
    rule = FIELD_RULES[field]
    if isinstance(rule, Text):
        return json_writer.VISIBLE_TEXT if rule.trimmed else json_writer.TEXT
    if rule.optional:
        return json_writer.DECIMAL if rule.decimals else json_writer.WHOLE
    return json_writer.TIME


def _before(field: str) -> bytes:
    """What is written before a field, from the end of the last one on."""
    position = FIELDS.index(field)
    quote = '"' if field in TEXTS else ""
    last_quote = '"' if position and FIELDS[position - 1] in TEXTS else ""
    return f'{last_quote}{"," if position else "{"}"{field}":{quote}'.encode()


_NAMES: Final = Spans.of([_before(field) for field in FIELDS])
_KINDS: Final = np.array([_kind(field) for field in FIELDS])
_LEAST: Final = np.array([1 if isinstance(rule, Text) else rule.least for rule in FIELD_RULES.values()])
_MOST: Final = np.array([rule.longest if isinstance(rule, Text) else rule.most for rule in FIELD_RULES.values()])
_MOST_BESIDES: Final = int(_NAMES.lengths.sum()) + len("}") + MOST_ADDED * len(FIELDS)
"""The most bytes of a record besides its cells."""


class QuickRecords:
    """Makes the records that `plain` would make, many times faster for ordinary rows."""

    def __init__(self, plain: PlainRecords) -> None:
        self._plain = plain
        self._position = plain.header.position

    def views(self, rows: Rows, now_ms: int, future_tolerance_ms: int) -> ViewChunk:
        """See `PlainRecords.views`."""
        if not COMPILED:
            plain = self._plain.views(rows, now_ms, future_tolerance_ms)
            return replace(plain, refused=in_order_of_lines([*rows.refused, *plain.refused]))
        chunk, written = self._written(rows, now_ms, future_tolerance_ms)
        if written.all():
            return replace(chunk, refused=in_order_of_lines(rows.refused))
        plain = self._plain.views(rows.where(~written), now_ms, future_tolerance_ms)
        others = np.searchsorted(rows.lines, plain.lines)
        written[others] = True
        refused = in_order_of_lines([*rows.refused, *plain.refused])
        return replace(chunk.put(others, plain).where(np.flatnonzero(written)), refused=refused)

    def _written(self, rows: Rows, now_ms: int, future_tolerance_ms: int) -> tuple[ViewChunk, NDArray[np.bool_]]:
        """The records of all rows, and the mask of those that have the usual form; the others hold placeholders."""
        count = len(rows)
        columns = on_one_buffer(self._columns(rows))
        text = columns[0].text
        begins, lengths = np.stack([c.begins for c in columns]), np.stack([c.lengths for c in columns])
        most = _MOST.copy()
        if now_ms >= 0:
            most[FIELDS.index("timestamp")] = min(now_ms + future_tolerance_ms, MAX_TIMESTAMP_MS)
        room = 2 * int(lengths.sum()) + count * _MOST_BESIDES + 2 * len(PAD)
        out = np.empty(room, np.uint8)
        value_begins, value_lengths, times = (np.empty(count, np.int64) for _ in range(3))
        written = np.empty(count, np.bool_)
        described = _KINDS, _LEAST, most, _NAMES.text, _NAMES.begins, _NAMES.lengths
        made = value_begins, value_lengths, times, written
        write_objects(text, begins, lengths, *described, len(PAD), out, *made)
        keys, values = columns[FIELDS.index("user_id")], Spans(out, value_begins, value_lengths)
        return ViewChunk(keys, values, times, rows.lines, []), written

    def _columns(self, rows: Rows) -> Sequence[Spans]:
        none = np.zeros(len(rows), np.int64)
        found = [self._position.get(field) for field in FIELDS]
        some = spans_of(rows.columns[self._position["user_id"]])
        absent = Spans(some.text, none, none)
        return [absent if position is None else spans_of(rows.columns[position]) for position in found]
