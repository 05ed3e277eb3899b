"""Rows of cells as JSON objects, where every cell is of the usual form: as nearly all are."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import (
    BoolsOut,
    Bytes,
    BytesOut,
    IntColumns,
    Ints,
    IntsOut,
    kernel,
    part,
)
from movie_stream.kernels.strings import append_bytes

TEXT: Final = 0
VISIBLE_TEXT: Final = 1
TIME: Final = 2
WHOLE: Final = 3
DECIMAL: Final = 4
"""Kinds of fields: a text, one that is not blank, a time, and numbers that may be missing: whole ones, and others."""
REFUSED: Final = -1
"""Instead of a position: the cell is not of the usual form."""
MOST_DIGITS: Final = 15
"""So many digits a double has for certain."""
MOST_DECIMALS: Final = 4
"""A number below 1 with more of them may be written with an exponent."""
_QUOTE, _BACKSLASH, _SPACE, _ASCII, _END = ord('"'), ord("\\"), ord(" "), 0x7F, ord("}")
_ZERO, _NINE, _DOT = ord("0"), ord("9"), ord(".")
_HALF, _HALVES_FROM = 0xED, 0xA0
"""How UTF-8 would write half of a surrogate pair, which stands for a byte that is not in the file's encoding."""
_BLANK_1, _BLANK_2, _BLANK_3, _BLANK_4, _BLANK_4_SECOND = 0xC2, 0xE1, 0xE2, 0xE3, 0x80
"""How characters beyond ASCII that may be blank begin."""


@kernel
def write_objects(
    text: Bytes,
    begins: IntColumns,
    lengths: IntColumns,
    kinds: Ints,
    least: Ints,
    most: Ints,
    names: Bytes,
    name_begins: Ints,
    name_lengths: Ints,
    begin: int,
    out: BytesOut,
    value_begins: IntsOut,
    value_lengths: IntsOut,
    times: IntsOut,
    written: BoolsOut,
) -> int:
    """Writes each row as an object, from `begin` on; returns the position after the last one.

    A field is described by its kind, the bounds of its length in bytes or of its number, and what is written before it.
    A missing number is left out. Of a row with a cell of another form nothing is written.
    """
    at = begin
    for row in range(begins.shape[1]):
        value_begins[row], times[row] = at, 0
        for field in range(len(kinds)):
            first, length, kind = begins[field, row], lengths[field, row], kinds[field]
            if length == 0 and kind > TIME:
                continue
            at = append_bytes(names, name_begins[field], name_lengths[field], out, at)
            if kind < TIME:
                at = write_text(text, first, length, kind, least[field], most[field], out, at)
            else:
                before = at
                at = write_number(text, first, length, kind, least[field], most[field], out, at)
                if kind == TIME and at >= 0:
                    times[row] = number_at(out, before, at)
            if at < 0:
                break
        written[row] = at >= 0
        if at < 0:
            at = value_begins[row]
        else:
            out[at] = _END
            at += 1
        value_lengths[row] = at - value_begins[row]
    return at


@part
def write_text(text: Bytes, begin: int, length: int, kind: int, least: int, most: int, out: BytesOut, at: int) -> int:
    """Writes a text, with escapes for quotes and backslashes; returns the position after it, or REFUSED."""
    if length < least or length > most or (kind == VISIBLE_TEXT and not is_visible(text, begin, length)):
        return REFUSED
    escapes = 0
    for place in range(begin, begin + length):
        byte = text[np.uint64(place)]
        escapes += byte in (_QUOTE, _BACKSLASH)
        if byte < _SPACE or (byte == _HALF and text[np.uint64(place + 1)] >= _HALVES_FROM):
            return REFUSED
    if escapes == 0:
        return append_bytes(text, begin, length, out, at)
    for place in range(begin, begin + length):
        byte = text[np.uint64(place)]
        if byte in (_QUOTE, _BACKSLASH):
            out[at] = _BACKSLASH
            at += 1
        out[at] = byte
        at += 1
    return at


@part
def is_visible(text: Bytes, begin: int, length: int) -> bool:
    """Whether a text, after any spaces, begins with a character that is certainly not blank."""
    at, end = begin, begin + length
    while at < end and text[at] == _SPACE:
        at += 1
    if at == end:
        return False
    byte = text[at]
    if byte < _ASCII:
        return bool(byte > _SPACE)
    if byte == _BLANK_4:
        return bool(text[at + 1] != _BLANK_4_SECOND)
    return bool(byte > _BLANK_1 and byte != _BLANK_2 and byte != _BLANK_3)


@part
def write_number(text: Bytes, begin: int, length: int, kind: int, least: int, most: int, out: BytesOut, at: int) -> int:
    """Writes a number as JSON does, with at least one decimal if it is a DECIMAL; returns the position after it.

    Returns REFUSED for a sign, an exponent, a zero in front, and for more digits than are certain to stay the same.
    """
    place, end, decimals = begin, begin + length, 0
    while place < end and _ZERO <= text[place] <= _NINE:
        place += 1
    digits = place - begin
    if place < end:
        decimals = decimals_at(text, place, end)
    if decimals < 0 or digits < 1 or (digits > 1 and text[begin] == _ZERO) or digits + decimals > MOST_DIGITS:
        return REFUSED
    number = number_at(text, begin, begin + digits)
    if number < least or number > most or (number == most and decimals > 0):
        return REFUSED
    if decimals > 0 and (kind != DECIMAL or (number == 0 and decimals > MOST_DECIMALS)):
        return REFUSED
    at = append_bytes(text, begin, digits, out, at)
    if kind == DECIMAL:
        out[at] = _DOT
        out[at + 1] = _ZERO
        at = append_bytes(text, begin + digits + 1, decimals, out, at + 1) + (decimals == 0)
    return at


@part
def decimals_at(text: Bytes, point: int, end: int) -> int:
    """The number of decimals after a point, without zeros at the end; REFUSED if there is something else."""
    if text[point] != _DOT:
        return REFUSED
    decimals = 0
    for place in range(point + 1, end):
        if text[place] < _ZERO or text[place] > _NINE:
            return REFUSED
        if text[place] != _ZERO:
            decimals = place - point
    return decimals


@part
def number_at(text: Bytes, begin: int, end: int) -> int:
    """The number that these digits are."""
    number = 0
    for at in range(begin, end):
        number = number * 10 + int(text[at]) - _ZERO
    return number
