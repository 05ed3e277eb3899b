"""Lines of a CSV as cells, where a row is a line and no quote is within a cell: as nearly all are."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import Bools, BoolsOut, Bytes, IntColumnsOut, Ints, IntsOut, kernel, part

NO_ROWS: Final = -1
"""Instead of the number of rows: some line is not one row."""
ODD: Final = -2
"""Instead of a position: the line may be a row, for a CSV reader to judge."""
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
    odd: BoolsOut,
) -> int:
    """Splits the lines from `begin` to `end` into cells, a column each; returns the number of rows, or NO_ROWS.

    `ends_cell` is true for the delimiter, a quote, a line feed, and a carriage return. The text is followed by a line
    feed. A cell may be quoted. A line with quotes elsewhere is odd: it may be a row, for a CSV reader to judge; the
    first column has the whole line then.
    """
    line, row = begin, 0
    while line < end:
        at = split_row(text, line, ends_cell, row, begins, lengths)
        odd[row] = at == ODD
        if at == NO_ROWS:
            return NO_ROWS
        if at == ODD:
            at = line
            while text[np.uint64(at)] != _LINE_FEED:
                at += 1
            begins[0, row], lengths[0, row] = line, at - line
        if at - line > longest_line:
            return NO_ROWS
        line = at + 1
        row += 1
    return row


@part
def split_row(text: Bytes, at: int, ends_cell: Bools, row: int, begins: IntColumnsOut, lengths: IntColumnsOut) -> int:
    """Splits one line; returns the position of its line feed, ODD or NO_ROWS."""
    for column in range(len(begins)):
        if text[np.uint64(at)] == _QUOTE:
            first, last = at + 1, end_of_quoted(text, at + 1)
            at = last + 1
        else:
            first, last = at, at
            while not ends_cell[np.uint64(text[np.uint64(last)])]:
                last += 1
            at = last
        byte = text[np.uint64(at)]
        if last < 0 or byte == _QUOTE or not ends_cell[np.uint64(byte)]:
            return ODD
        begins[column, row], lengths[column, row] = first, last - first
        is_return = byte == _RETURN
        at += is_return
        is_end = text[np.uint64(at)] == _LINE_FEED
        if is_end != (column == len(begins) - 1) or (is_return and not is_end):
            return NO_ROWS
        at += 1
    return at - 1


@part
def end_of_quoted(text: Bytes, at: int) -> int:
    """The position of the next quote, or -1 if there is none in this line."""
    while text[np.uint64(at)] != _QUOTE:
        if text[np.uint64(at)] == _LINE_FEED:
            return -1
        at += 1
    return at


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
