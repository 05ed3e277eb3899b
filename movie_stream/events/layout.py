"""Decodes views as columns, without an object per view, by the layout in which their producer writes them.

A producer repeats the same members in the same order with the same whitespace; only the values differ. Such a layout is
learnt from one record. In others it is recognised piece by piece, a whole column at a time; the values are between its
fixed pieces. A record that fits no layout, or has a value that is not in the plainest form, is left to `event.decode`,
whose verdict counts; records that are decoded here have the same result there.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from movie_stream.columnar.decimals import Bools, decimals, whole_numbers
from movie_stream.columnar.spans import Bytes, Ints, Spans, pieces_of
from movie_stream.events.contract import MAX_TIMESTAMP_MS, MISSING, NUMBERS, TEXTS
from movie_stream.events.views import Views

MOST_LAYOUTS: Final = 16
"""The most layouts that are kept; those that fitted last are kept."""
LEARNT_AT_ONCE: Final = 4
"""The most new layouts in one chunk: with many of them it is faster to decode record by record."""
LONGEST_LAYOUT: Final = 1_000
"""The most bytes of a layout: all of them are compared in each record, and nobody needs so much whitespace."""
WORTH_LEARNING: Final = 32
"""The least number of records without a layout for which one is learnt."""
READ_AT_ONCE: Final = 24_000
"""The most records that are decoded together: the positions of all their quotes are in memory."""

_QUOTE: Final = ord('"')
_MEMBER: Final = re.compile(
    rb'[ \n\r\t]*"(\w+)"[ \n\r\t]*:[ \n\r\t]*(?:"([^"\\]*)"|([^"\\\x00-\x20,{}\[\]]+))[ \n\r\t]*'
)
"""A member: a name, and a text or a number."""
_TEXT, _NUMBER = 2, 3


@dataclass(frozen=True)
class Layout:
    """Fixed pieces with the value of a field between each two of them."""

    pieces: tuple[bytes, ...]
    fields: tuple[str, ...]

    @cached_property
    def quotes(self) -> int:
        """The number of quotes in a record."""
        return sum(piece.count(b'"') for piece in self.pieces)

    @cached_property
    def least(self) -> int:
        """The length in bytes of the shortest record."""
        return sum(map(len, self.pieces))

    def values_in(self, values: Spans, quotes: Ints, first: Ints) -> tuple[dict[str, Spans], Bools]:
        """The values of the fields in these records, and a mask of the records that have this layout.

        Each record has `self.quotes` quotes and `self.least` bytes at least. `quotes` has the positions of all quotes
        in the buffer, and `first` the index in `quotes` of each record's first one.
        """
        found: dict[str, Spans] = {}
        at, ends = values.begins, values.begins + values.lengths
        fits = np.ones(len(values), np.bool_)
        next_quote = first
        for piece, field, following in zip(self.pieces, self.fields, self.pieces[1:], strict=False):
            at = _after(values.text, at, piece, ends, fits)
            next_quote = next_quote + piece.count(b'"')
            quote = following.find(b'"')
            end = ends - len(following) if quote < 0 else quotes[next_quote] - quote
            fits &= end >= at
            end = np.maximum(end, at)  # in a record of another layout it may be before the buffer
            found[field] = Spans(values.text, at, end - at)
            at = end
        at = _after(values.text, at, self.pieces[-1], ends, fits)
        fits &= at == ends
        return found, fits


def learn(value: bytes) -> Layout | None:
    """The layout of a record, if it is a view without escapes and without other members; else None.

    >>> learn(b'{"user_id": "u1", "rating": 4}')
    >>> layout = learn(
    ...     b'{"movie_id":"m1","title":"Alien","genre":"Sci-Fi","user_id":"u1","timestamp":1730383200000,"rating":4}'
    ... )
    >>> layout.fields[-1], layout.pieces[-2:]
    ('rating', (b',"rating":', b'}'))
    """
    if value[:1] != b"{":
        return None
    pieces, fields, begin, at = list[bytes](), list[str](), 0, 1
    while member := _MEMBER.match(value, at):
        name = member[1].decode()
        if name in fields or not (name in TEXTS or name == "timestamp" or name in NUMBERS):
            return None
        kind = _TEXT if name in TEXTS else _NUMBER
        if member[kind] is None:
            return None
        fields.append(name)
        pieces.append(value[begin : member.start(kind)])
        begin, at = member.end(kind), member.end() + 1
        if value[at - 1 : at] != b",":
            break
    else:
        return None
    whole = value[at - 1 :] == b"}" and {*TEXTS, "timestamp"} <= {*fields}
    layout = Layout((*pieces, value[begin:]), tuple(fields))
    return layout if whole and layout.least <= LONGEST_LAYOUT else None


class Layouts:
    """Decodes records by the layouts that were seen recently.

    >>> good = b'{"movie_id":"m1","title":"Alien","genre":"Sci-Fi","user_id":"u1","timestamp":1730383200000,"rating":4}'
    >>> columns, read = Layouts().read(Spans.of([good, b"{}"] * 50))
    >>> read[:4].tolist(), columns.texts["title"][0], columns.numbers["rating"][0], columns.numbers["price"][0]
    ([True, False, True, False], b'Alien', np.int64(4000000), np.int64(-1))
    """

    def __init__(self) -> None:
        self._known: list[Layout] = []

    def read(self, values: Spans) -> tuple[Views, Bools]:
        """The views of the records that fit a layout, and a mask of these; rows outside the mask hold placeholders."""
        count = len(values)
        parts = max(-(-count // READ_AT_ONCE), 1)
        bounds = [count * part // parts for part in range(parts + 1)]
        views, read = zip(*(self._read(values[slice(*ends)]) for ends in pairwise(bounds)), strict=True)
        return Views.joined(views), np.concatenate(read) if parts > 1 else read[0]

    def _read(self, values: Spans) -> tuple[Views, Bools]:
        read = np.zeros(len(values), np.bool_)
        parts = list[tuple[Ints, Views]]()
        quotes, first, count = _quotes(values)
        pending = np.flatnonzero(values.lengths > 0)
        fitting, others, untried, learnt = list[Layout](), list[Layout](), deque(self._known), 0
        while len(pending):
            if not untried:
                new = _learnt(values, pending) if learnt < LEARNT_AT_ONCE else None
                if new is None or new in fitting or new in others:
                    break
                untried.append(new)
                learnt += 1
            layout = untried.popleft()
            candidates = (count[pending] == layout.quotes) & (values.lengths[pending] >= layout.least)
            rows = pending if candidates.all() else pending[candidates]
            if len(rows):
                texts, fits = layout.values_in(_taken(values, rows), quotes, _picked(first, rows))
                columns, plain = _parsed(texts, len(rows))
                fits &= plain
                if not fits.all():
                    columns, rows = columns.take(fits), rows[fits]
                parts.append((rows, columns))
                read[rows] = True
                pending = pending[~read[pending]]
            (fitting if len(rows) else others).append(layout)
        self._known = [*fitting, *untried, *others][:MOST_LAYOUTS]
        return _together(values, parts), read


def unread(values: Spans) -> tuple[Views, Bools]:
    """The result of `Layouts.read` if no layout fits."""
    return _together(values, ()), np.zeros(len(values), np.bool_)


def _learnt(values: Spans, pending: Ints) -> Layout | None:
    """The layout of one of these records, if there are enough of them."""
    return learn(values[int(pending[len(pending) // 2])] or b"") if len(pending) >= WORTH_LEARNING else None


def _after(text: Bytes, at: Ints, piece: bytes, ends: Ints, fits: Bools) -> Ints:
    """The positions after a piece that is expected at the positions `at`, none of which is before its record; clears
    `fits` for the records where it is missing.
    """
    latest = ends - len(piece)
    fits &= at <= latest
    at = np.minimum(at, latest)
    fits &= pieces_of(text, len(piece))[at] == np.void(piece)
    return at + len(piece)


def _quotes(values: Spans) -> tuple[Ints, Ints, Ints]:
    """The positions of quotes in the buffer; by value, the index of its first one in these, and its number of them."""
    count = len(values)
    if not count:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty
    begins, ends = values.begins, values.begins + np.maximum(values.lengths, 0)
    begin, end = int(begins.min()), int(ends.max())
    quotes = np.flatnonzero(values.text[begin:end] == _QUOTE)
    quotes += begin
    each, others = divmod(len(quotes), count)
    if each and not others and (begins[1:] >= ends[:-1]).all():  # usually each value has the same number
        first = np.arange(0, len(quotes), each)
        if (quotes[first] >= begins).all() and (quotes[first + each - 1] < ends).all():
            return quotes, first, np.full(count, each)
    first = np.searchsorted(quotes, begins)
    return quotes, first, np.searchsorted(quotes, ends) - first


def _parsed(texts: dict[str, Spans], count: int) -> tuple[Views, Bools]:
    """The views with these texts by field, and a mask of those whose numbers are all in the plainest form and valid."""
    timestamp_ms, plain = whole_numbers(texts["timestamp"])
    plain &= (timestamp_ms > 0) & (timestamp_ms <= MAX_TIMESTAMP_MS)
    numbers: dict[str, Ints] = {}
    for name, rule in NUMBERS.items():
        if name in texts:
            numbers[name], good = decimals(texts[name], rule.decimals)
            plain &= good & (numbers[name] <= rule.most * rule.scale)
        else:
            numbers[name] = np.full(count, MISSING, np.int64)
    return Views({name: texts[name] for name in TEXTS}, timestamp_ms, numbers), plain


def _together(values: Spans, parts: Sequence[tuple[Ints, Views]]) -> Views:
    """The views of all records, from those of parts; other rows hold placeholders."""
    if len(parts) == 1 and len(parts[0][0]) == len(values):
        return parts[0][1]
    whole = Views(
        {name: Spans(values.text, values.begins.copy(), np.zeros(len(values), np.int64)) for name in TEXTS},
        np.zeros(len(values), np.int64),
        {name: np.full(len(values), MISSING, np.int64) for name in NUMBERS},
    )
    for rows, columns in parts:
        for name, text in columns.texts.items():
            whole.texts[name].begins[rows] = text.begins
            whole.texts[name].lengths[rows] = text.lengths
        whole.timestamp_ms[rows] = columns.timestamp_ms
        for name, number in columns.numbers.items():
            whole.numbers[name][rows] = number
    return whole


def _taken(values: Spans, rows: Ints) -> Spans:
    return values if len(rows) == len(values) else values.take(rows)


def _picked(column: Ints, rows: Ints) -> Ints:
    return column if len(rows) == len(column) else column[rows]
