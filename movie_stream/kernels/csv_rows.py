"""Lines of a CSV as cells, where each line is a row: as in nearly all files."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import (
    Bools,
    BoolsOut,
    Bytes,
    BytesOut,
    IntColumns,
    IntColumnsOut,
    Ints,
    IntsOut,
    kernel,
    part,
)

NO_ROWS: Final = -1
"""Instead of the number of rows: some line is not one row."""
_QUOTE, _LINE_FEED, _RETURN = ord('"'), ord("\n"), ord("\r")
_ZERO, _NINE = ord("0"), ord("9")


@kernel
def split_rows(
    text: Bytes,
    begin: int,
    end: int,
    ends_cell: Bools,
    longest_line: int,
    begins: IntColumnsOut,
    lengths: IntColumnsOut,
    doubled: BoolsOut,
) -> int:
    """Splits the lines from `begin` to `end` into cells, a column each; returns the number of rows, or NO_ROWS.

    `ends_cell` is true for the delimiter, a line feed, and a carriage return. The text is followed by a line feed. A
    cell may be quoted; a row with a quoted cell in which quotes are doubled is marked, and they are left as they are.
    """
    line, row = begin, 0
    while line < end:
        doubled[row] = False
        at = split_row(text, line, ends_cell, row, begins, lengths, doubled)
        if at == NO_ROWS or at - line > longest_line:
            return NO_ROWS
        line = at + 1
        row += 1
    return row


@part
def split_row(
    text: Bytes,
    at: int,
    ends_cell: Bools,
    row: int,
    begins: IntColumnsOut,
    lengths: IntColumnsOut,
    doubled: BoolsOut,
) -> int:
    """Splits one line; returns the position of its line feed, or NO_ROWS."""
    for column in range(len(begins)):
        first = last = at
        if text[np.uint64(at)] == _QUOTE:
            first = last = at + 1
            while text[np.uint64(last)] != _QUOTE or text[np.uint64(last + 1)] == _QUOTE:
                if text[np.uint64(last)] == _LINE_FEED:
                    return NO_ROWS
                if text[np.uint64(last)] == _QUOTE:
                    doubled[row] = True
                    last += 1
                last += 1
            at = last + 1
            if not ends_cell[np.uint64(text[np.uint64(at)])]:
                return NO_ROWS
        else:
            while not ends_cell[np.uint64(text[np.uint64(last)])]:
                last += 1
            at = last
        begins[column, row], lengths[column, row] = first, last - first
        is_return = text[np.uint64(at)] == _RETURN
        at += is_return
        is_end = text[np.uint64(at)] == _LINE_FEED
        if is_end != (column == len(begins) - 1) or (is_return and not is_end):
            return NO_ROWS
        at += 1
    return at - 1


@kernel
def undouble_quotes(text: BytesOut, rows: Ints, begins: IntColumns, lengths: IntColumnsOut) -> None:
    """Leaves one of two quotes in the quoted cells of these rows, which become shorter."""
    for row in rows:
        for column in range(len(begins)):
            begin, end = begins[column, row], begins[column, row] + lengths[column, row]
            if text[begin - 1] != _QUOTE:
                continue
            at = to = begin
            while at < end:
                text[np.uint64(to)] = text[np.uint64(at)]
                at += 1 + (text[np.uint64(at)] == _QUOTE)
                to += 1
            lengths[column, row] = to - begin


@kernel
def whole_numbers(text: Bytes, begins: Ints, lengths: Ints, most_digits: int, numbers: IntsOut) -> bool:
    """Reads whole numbers; returns whether all have at most so many digits, no sign, and no zero in front."""
    for row in range(len(begins)):
        begin, length = begins[row], lengths[row]
        if length < 1 or length > most_digits or (length > 1 and text[begin] == _ZERO):
            return False
        number = 0
        for at in range(begin, begin + length):
            digit = int(text[at]) - _ZERO
            if digit < 0 or digit > _NINE - _ZERO:
                return False
            number = number * 10 + digit
        numbers[row] = number
    return True
