"""Parses decimal numbers, whole columns at a time, eight digits per word.

Only the plainest form is read: no sign, no exponent, no leading zeros.
The conversion of eight digits by three multiplications is D. Lemire's and J. Keiser's; see "Quickly parsing eight
digits", https://lemire.me/blog/2022/01/21/swar-explained-parsing-eight-digits/.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import FIRST_BYTES, WORD, Ints, Spans, Words, words_of

Bools = NDArray[np.bool_]

MISSING: Final = -1
_ZEROS: Final = np.uint64(0x3030303030303030)
_DOTS: Final = np.uint64(0x2E2E2E2E2E2E2E2E)
_TOP_BITS: Final = np.uint64(0x8080808080808080)
_LOW_BITS: Final = ~_TOP_BITS
_TO_TOP: Final = np.uint64(0x7676767676767676)
"""Added to a byte of 10 or more, sets its top bit."""
_NULL: Final = np.uint64(int.from_bytes(b"null", "little"))
_ONE, _SEVEN, _EIGHT = np.uint64(1), np.uint64(7), np.uint64(8)
_HUNDRED_MILLION: Final = 10**8


def whole_numbers(texts: Spans) -> tuple[Ints, Bools]:
    """The value of each text of 1 to 16 digits, and a mask of the texts that are such numbers.

    >>> numbers, plain = whole_numbers(Spans.of([b"1730383200000", b"7", b"07", b"1e3", b"-1"]))
    >>> numbers[plain].tolist(), plain.tolist()
    ([1730383200000, 7], [True, True, False, False, False])
    """
    words, lengths = words_of(texts.text), np.clip(texts.lengths, 0, 2 * WORD)
    ends = texts.begins + lengths
    low = (words[ends - WORD] ^ _ZEROS) & ~FIRST_BYTES[WORD - np.minimum(lengths, WORD)]
    high = (words[ends - 2 * WORD] ^ _ZEROS) & ~FIRST_BYTES[WORD - np.maximum(lengths - WORD, 0)]
    leading = texts.text[texts.begins] == ord("0")
    plain = (lengths == texts.lengths) & (lengths > 0) & _digits(low) & _digits(high) & ~(leading & (lengths > 1))
    return _number(high) * _HUNDRED_MILLION + _number(low), plain


def decimals(texts: Spans, scale: int) -> tuple[Ints, Bools]:
    """The value of each text of up to eight characters, in units of the `scale`-th decimal, MISSING for null; and a
    mask of the texts that are such numbers, with at most `scale` decimals.

    >>> numbers, plain = decimals(Spans.of([b"4.5", b"null", b"10", b"0.000001", b"4.", b".5", b"00.5", b"1e0"]), 6)
    >>> numbers[plain].tolist(), plain.tolist()
    ([4500000, -1, 10000000, 1], [True, True, True, True, False, False, False, False])
    """
    lengths = np.clip(texts.lengths, 0, WORD)
    word = words_of(texts.text)[texts.begins] & FIRST_BYTES[lengths]
    other = word ^ _DOTS
    dots = ~(((other & _LOW_BITS) + _LOW_BITS) | other) & _TOP_BITS  # the top bit of each byte that is a dot
    dot = dots & -dots
    whole = (np.bitwise_count(dot - _ONE) >> 3).astype(np.int64)  # digits before the dot, 8 without a dot
    before = (dot >> _SEVEN) - _ONE  # a mask of these; of all bytes without a dot
    pointed = dot != 0
    digits = lengths - pointed
    after = np.where(pointed, digits - whole, 0)
    figures = (word & before) | ((word >> _EIGHT) & ~before)
    figures = (figures ^ (_ZEROS & FIRST_BYTES[digits])) << (_EIGHT * (WORD - digits).astype(np.uint64) % np.uint64(64))
    leading = (word & FIRST_BYTES[1]) == ord("0")
    plain = (
        (lengths == texts.lengths)
        & (digits > 0)
        & (dots == dot)
        & _digits(figures)
        & (whole > 0)
        & (~pointed | ((after > 0) & (after <= scale)))
        & ~(leading & (digits > 1) & (whole != 1))
    )
    numbers = _number(figures) * _POWERS[np.clip(scale - after, 0, scale)]
    null = (word == _NULL) & (texts.lengths == 4)
    numbers[null] = MISSING
    return numbers, plain | null


_POWERS: Final = np.array([10**exponent for exponent in range(WORD)], np.int64)


def _digits(figures: Words) -> Bools:
    """Whether all eight bytes of each word are digits from 0 to 9."""
    plain: Bools = ((figures + _TO_TOP) | figures) & _TOP_BITS == 0
    return plain


def _number(figures: Words) -> Ints:
    """The value of eight digits (0 to 9, a byte each, the first one lowest): by pairs, fours, eight."""
    pairs = figures * np.uint64(10 * 2**8 + 1) >> np.uint64(8)
    fours = (pairs & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1) >> np.uint64(16)
    eight = (fours & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10_000 * 2**32 + 1) >> np.uint64(32)
    return eight.view(np.int64)
