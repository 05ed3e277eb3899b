"""JSON objects of known members as columns: the plain ones, which nearly all are.

What is not of the plain form (an escape, another member, an exponent, a value out of bounds) is left out, for a JSON
decoder to judge. What is read here means the same there.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import (
    BoolsOut,
    Bytes,
    IntColumns,
    IntColumnsOut,
    Ints,
    IntsOut,
    WordColumnsOut,
    WordPairs,
    Words,
    kernel,
    part,
)
from movie_stream.kernels.hashing import byte_at, keyed_hash, word_at

TEXT: Final = 0
NUMBER: Final = 1
OPTIONAL: Final = 2
"""Kinds of members; an optional one is a number that may be null or absent."""
NOTHING: Final = -1
"""In a column of numbers: the member is null or absent."""
_ODD: Final = -2
_QUOTE, _BACKSLASH, _COMMA, _COLON, _BEGIN, _END = ord('"'), ord("\\"), ord(","), ord(":"), ord("{"), ord("}")
_ZERO, _DOT = ord("0"), ord(".")
_SPACE, _TAB, _LINE_FEED, _RETURN, _ASCII = 0x20, 0x09, 0x0A, 0x0D, 0x80
_NULL: Final = np.uint64(int.from_bytes(b"null", "little"))


KIND, COLUMN, LEAST, MOST, DECIMALS, NAME_SIZE = range(6)
"""The rows of the rules: a column for each member."""


@kernel
def read_objects(
    text: Bytes,
    begins: Ints,
    lengths: Ints,
    names: WordPairs,
    rules: IntColumns,
    key: Words,
    required: int,
    order: IntsOut,
    text_begins: IntColumnsOut,
    text_lengths: IntColumnsOut,
    text_hashes: WordColumnsOut,
    numbers: IntColumnsOut,
    read: BoolsOut,
) -> None:
    """Reads each value that is an object of these members and no others, each once.

    The name of a member has up to sixteen bytes. A text has `LEAST` to `MOST` code points, and no escapes; a number is
    `LEAST` to `MOST` units of its last decimal. `COLUMN` is the row of `numbers`, or of the columns of texts, to write
    to. `required` has a bit for each member that may not be absent. `order` is which member is expected at which
    position, as objects are written alike: that of the last one.
    """
    for row in range(len(begins)):
        for column in range(len(numbers)):
            numbers[column, row] = NOTHING
        for column in range(len(text_begins)):
            text_begins[column, row], text_lengths[column, row] = begins[row], 0
        end = begins[row] + lengths[row]
        at = after_token(text, begins[row], end, _BEGIN)
        seen = position = 0
        while at >= 0:
            at = after_token(text, at, end, _QUOTE)
            member = member_at(text, at, end, names, rules, order, position) if at >= 0 else _ODD
            if member < 0 or seen & 1 << member:
                at = _ODD
                break
            seen |= 1 << member
            position += 1
            at = after_token(text, at + rules[NAME_SIZE, member] + 1, end, _COLON)
            at = after_blanks(text, at, end)
            if at < 0:
                break
            if rules[KIND, member] == TEXT:
                at = read_text(text, at, end, rules, member, key, text_begins, text_lengths, text_hashes, row)
            else:
                at = read_number(text, at, end, rules, member, numbers, row)
            behind = after_token(text, at, end, _COMMA)
            if behind < 0:
                at = after_token(text, at, end, _END)
                break
            at = behind
        read[row] = at >= 0 and after_blanks(text, at, end) == end and seen & required == required


@part
def read_text(
    text: Bytes,
    at: int,
    end: int,
    rules: IntColumns,
    member: int,
    key: Words,
    begins: IntColumnsOut,
    lengths: IntColumnsOut,
    hashes: WordColumnsOut,
    row: int,
) -> int:
    """Reads the text at this position; returns the one after it, below 0 if it is not plain or breaks its rule."""
    begin = after_token(text, at, end, _QUOTE)
    if begin < 0:
        return _ODD
    at, points = end_of_text(text, begin, end)
    if points < rules[LEAST, member] or points > rules[MOST, member]:
        return _ODD
    column = rules[COLUMN, member]
    begins[column, row], lengths[column, row] = begin, at - begin
    hashes[column, row] = keyed_hash(text, begin, at - begin, key)
    return at + 1


@part
def read_number(
    text: Bytes, at: int, end: int, rules: IntColumns, member: int, numbers: IntColumnsOut, row: int
) -> int:
    """Reads the number or null at this position; returns the one after it, below 0 if it is not plain or breaks its
    rule.
    """
    if rules[KIND, member] == OPTIONAL and at + 4 <= end and word_at(text, at, 4) == _NULL:
        return at + 4
    at, number = number_at(text, at, end, rules[DECIMALS, member])
    if number < rules[LEAST, member] or number > rules[MOST, member]:
        return _ODD
    numbers[rules[COLUMN, member], row] = number
    return at


@part
def after_token(text: Bytes, at: int, end: int, token: int) -> int:
    """The position after whitespace and this byte; below 0 if another one is there, or the position is below 0."""
    at = after_blanks(text, at, end)
    return at + 1 if 0 <= at < end and byte_at(text, at) == token else _ODD


@part
def after_blanks(text: Bytes, at: int, end: int) -> int:
    """The position of the first byte from `at` on that is no whitespace, or the end; `at` if it is below 0."""
    while 0 <= at < end:
        byte = byte_at(text, at)
        if byte > _SPACE or (byte != _SPACE and byte != _TAB and byte != _LINE_FEED and byte != _RETURN):
            break
        at += 1
    return at


@part
def member_at(
    text: Bytes, at: int, end: int, names: WordPairs, rules: IntColumns, order: IntsOut, position: int
) -> int:
    """The member whose name, and a quote, are at this position; below 0 if there is none."""
    expected = order[position] if position < len(order) else 0
    if is_name(text, at, end, names, rules, expected):
        return expected
    for member in range(len(names)):
        if is_name(text, at, end, names, rules, member):
            if position < len(order):
                order[position] = member
            return member
    return _ODD


@part
def is_name(text: Bytes, at: int, end: int, names: WordPairs, rules: IntColumns, member: int) -> bool:
    """Whether the name of this member, and a quote, are at this position."""
    size = rules[NAME_SIZE, member]
    if at + size >= end or byte_at(text, at + size) != _QUOTE or word_at(text, at, size) != names[member, 0]:
        return False
    return word_at(text, at + 8, size - 8) == names[member, 1] if size > 8 else True


@part
def end_of_text(text: Bytes, begin: int, end: int) -> tuple[int, int]:
    """The position of the quote that ends a text, and the number of its code points; that is below 0 if the text has
    an escape, a control character or no quote, or is not UTF-8.
    """
    at, beyond_ascii = begin, np.uint64(0)
    while at < end:
        word = word_at(text, at, 8)
        quote, escape = word ^ every(_QUOTE), word ^ every(_BACKSLASH)
        # The top bit of a byte is set if it ends the search; of one after such a byte it may be set by a borrow.
        stop = ((quote - every(1)) & ~quote) | ((escape - every(1)) & ~escape) | ((word - every(_SPACE)) & ~word)
        stop &= every(_ASCII)
        if stop == 0:
            beyond_ascii |= word & every(_ASCII)
            at += 8
            continue
        offset = first_marked(stop)
        beyond_ascii |= word & every(_ASCII) & ((stop & ~stop + np.uint64(1)) - np.uint64(1))
        at += offset
        if at >= end or byte_at(text, at) != _QUOTE:
            break
        return at, at - begin if beyond_ascii == 0 else code_points(text, begin, at)
    return at, _ODD


@part
def every(byte: int) -> np.uint64:
    """A word of eight times this byte."""
    return np.uint64(byte) * np.uint64(0x0101010101010101)


@part
def first_marked(marks: np.uint64) -> int:
    """The index of the first byte of a word whose top bit is set; the word has no other bits, and at least one."""
    lowest = marks & (~marks + np.uint64(1))
    return np.int64((lowest >> np.uint64(7)) * np.uint64(0x0001020304050607) >> np.uint64(56))  # type: ignore[return-value]


@part
def code_points(text: Bytes, at: int, end: int) -> int:
    """The number of code points of well-formed UTF-8 (table 3-7 of the Unicode Standard), below 0 for any other."""
    points = 0
    while at < end:
        first = byte_at(text, at)
        if first < _ASCII:
            more, low, high = 0, 0x80, 0xBF
        elif 0xC2 <= first <= 0xDF:
            more, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= first <= 0xEF:
            more, low, high = 2, 0xA0 if first == 0xE0 else 0x80, 0x9F if first == 0xED else 0xBF
        elif 0xF0 <= first <= 0xF4:
            more, low, high = 3, 0x90 if first == 0xF0 else 0x80, 0x8F if first == 0xF4 else 0xBF
        else:
            return _ODD
        if at + more >= end:
            return _ODD
        for index in range(1, more + 1):
            byte = byte_at(text, at + index)
            if byte < low or byte > high:
                return _ODD
            low, high = 0x80, 0xBF
        at += more + 1
        points += 1
    return points


@part
def digits_at(text: Bytes, at: int) -> tuple[int, int]:
    """How many digits are at this position, up to eight, and the number that they make.

    All at once, by three multiplications: D. Lemire's and J. Keiser's way, see "Quickly parsing eight digits",
    https://lemire.me/blog/2022/01/21/swar-explained-parsing-eight-digits/.
    """
    figures = word_at(text, at, 8) ^ every(_ZERO)
    others = ((figures + every(0x76)) | figures) & every(_ASCII)
    count = 8 if others == 0 else first_marked(others)
    if count == 0:
        return 0, 0
    figures <<= np.uint64(8 * (8 - count))
    pairs = figures * np.uint64(10 * 2**8 + 1) >> np.uint64(8)
    fours = (pairs & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1) >> np.uint64(16)
    value = (fours & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10_000 * 2**32 + 1) >> np.uint64(32)
    return count, np.int64(value)  # type: ignore[return-value]  # for Numba an int


@part
def number_at(text: Bytes, at: int, end: int, decimals: int) -> tuple[int, int]:
    """The position after a number of up to 16 digits and eight decimals, and its value in units of its last decimal.

    The value is below NOTHING if there is no number, or it has a sign, an exponent, a leading zero or more decimals.
    """
    begin = at
    count, number = digits_at(text, at)
    at += count
    if count == 8:
        count, low = digits_at(text, at)
        for _ in range(count):
            number *= 10
        number += low
        at += count
    whole, left = at - begin, decimals
    if whole == 0 or (whole > 1 and byte_at(text, begin) == _ZERO) or whole + decimals > 16:
        return at, _ODD
    if byte_at(text, at) == _DOT:
        count, low = digits_at(text, at + 1)
        at += 1 + count
        if count == 0 or count > decimals:
            return at, _ODD
        for _ in range(count):
            number *= 10
        number += low
        left -= count
    for _ in range(left):
        number *= 10
    return at, number if at <= end else _ODD
