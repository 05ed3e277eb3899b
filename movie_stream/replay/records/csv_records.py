"""Turns rows into records of the topic, or into line numbers and reasons: the plain way, row by row.

Whether a row is good is decided by `movie_stream.events.event.decode` on the finished records, as in the worker. Only
what JSON cannot express is refused here: a text where a number is expected, and bytes that are not UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import Spans, put, replaced
from movie_stream.events.contract import FIELDS, TEXTS
from movie_stream.events.event import ENCODER, View, decode
from movie_stream.replay.files.csv_cells import NO_NUMBER, Numbers, parse_decimal, parse_whole, refusal, timestamps
from movie_stream.replay.files.csv_header import Header
from movie_stream.replay.files.csv_rows import RefusedRow, Rows


@dataclass(frozen=True, slots=True)
class ViewChunk:
    """A few thousand rows: the good ones as records, in columns of equal length, and the refused ones."""

    keys: Spans
    """The users, as the records' keys."""
    values: Spans
    timestamp_ms: NDArray[np.int64]
    lines: NDArray[np.int64]
    """The first physical line of each row; the header is line 1."""
    refused: list[RefusedRow]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def nothing(cls) -> ViewChunk:
        """No rows."""
        none = np.empty(0, np.int64)
        return cls(Spans.of([]), Spans.of([]), none, none, [])

    def where(self, rows: slice | NDArray[np.intp]) -> ViewChunk:
        """These good rows, in this order, without the refused ones."""
        return ViewChunk(self.keys.take(rows), self.values.take(rows), self.timestamp_ms[rows], self.lines[rows], [])

    def put(self, rows: NDArray[np.intp], others: ViewChunk) -> ViewChunk:
        """The good rows, with the others in these rows, without the refused ones."""
        [keys], [values] = put([self.keys], rows, [others.keys]), put([self.values], rows, [others.values])
        return ViewChunk(
            keys,
            values,
            replaced(self.timestamp_ms, rows, others.timestamp_ms),
            replaced(self.lines, rows, others.lines),
            [],
        )


class PlainRecords:
    """Makes records of rows with this header."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self._numbers = {
            "rating": Numbers(parse_decimal),
            "duration": Numbers(parse_whole),
            "price": Numbers(parse_decimal),
        }

    def views(self, rows: Rows, now_ms: int, future_tolerance_ms: int) -> ViewChunk:
        """The records of these rows, and the refused rows.

        A view more than `future_tolerance_ms` ahead of `now_ms` is refused, unless `now_ms` is negative.
        """
        columns, refused = self._columns(rows)
        kept = np.arange(len(rows))
        if refused:
            kept = np.delete(kept, list(refused))
            columns = [_pick(column, kept) for column in columns]
        values, not_utf8 = _encode(columns)
        if not_utf8:
            refused |= {int(kept[row]): reason for row, reason in not_utf8.items()}
            kept = np.delete(kept, list(not_utf8))
        decoded = decode(values, np.full(len(values), now_ms, np.int64), future_tolerance_ms)
        if decoded.refusals:
            refused |= {int(kept[refusal.index]): refusal.reason for refusal in decoded.refusals}
            kept = kept[decoded.index]
            values = _pick(values, decoded.index)
        reasons = [RefusedRow(int(rows.lines[row]), reason) for row, reason in refused.items()]
        return ViewChunk(
            Spans.of([view.user_id.encode() for view in decoded.views]),
            Spans.of(values),
            decoded.timestamp_ms,
            rows.lines[kept],
            in_order_of_lines(rows.refused + reasons),
        )

    def _columns(self, rows: Rows) -> tuple[list[Sequence[Any]], dict[int, str]]:
        """The cells as fields of a view, and the reason by row with an unusable cell."""
        columns: list[Sequence[Any]] = []
        refused: dict[int, str] = {}
        for field in FIELDS:
            position = self.header.position.get(field)
            if position is None:
                columns.append([None] * len(rows))
                continue
            cells = rows.columns[position]
            column: Sequence[Any] = cells
            unusable: Sequence[object] = [""]
            if field == "timestamp":
                column, unusable = timestamps(cells), [None, NO_NUMBER]
            elif field in self._numbers:
                column, unusable = self._numbers[field].column(cells), [NO_NUMBER]
            columns.append(column)
            if any(value in column for value in unusable):
                for row, value in enumerate(column):
                    if value in unusable:
                        refused.setdefault(row, refusal(field, cells[row]))
        return columns, refused


def in_order_of_lines(refused: list[RefusedRow]) -> list[RefusedRow]:
    """The rows by line."""
    return sorted(refused, key=lambda row: row.line)


def _pick(column: Sequence[Any], rows: NDArray[np.intp]) -> list[Any]:
    return [column[row] for row in rows.tolist()]


def _encode(columns: list[Sequence[Any]]) -> tuple[list[bytes], dict[int, str]]:
    """The records as JSON, and the reason by row that is not UTF-8."""
    records = list(map(View, *columns))
    try:
        return ENCODER.encode_lines(records).split(b"\n")[: len(records)], {}
    except UnicodeEncodeError:
        values: list[bytes] = []
        refused: dict[int, str] = {}
        for row, record in enumerate(records):
            try:
                values.append(ENCODER.encode(record))
            except UnicodeEncodeError:
                refused[row] = _not_utf8(record)
        return values, refused


def _not_utf8(record: View) -> str:
    """The reason, with the first byte that is not UTF-8; it was decoded as a lone surrogate."""
    field, byte = next(
        (field, ord(char) - 0xDC00)
        for field in TEXTS
        for char in getattr(record, field)
        if "\udc00" <= char <= "\udcff"
    )
    if not byte:
        return f"{field}: not in the encoding of the file"
    return f"{field}: not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
