"""Numbers parsed by columns against Python and against the typed decoder: never more, and never another number."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from movie_stream.columnar.decimals import MISSING, decimals, whole_numbers
from movie_stream.columnar.spans import Spans
from tests.support.input.odd_records import NUMBERS, TIMESTAMPS
from tests.unit.columnar.test_spans import elsewhere

odd = st.sampled_from([*NUMBERS, *TIMESTAMPS])
figures = st.text("0123456789", min_size=1, max_size=18).map(str.encode)
numberlike = st.text("0123456789.-+eE nul", max_size=18).map(str.encode)
floats = st.floats(0, 1e9).map(lambda number: repr(number).encode())
rounded = st.tuples(st.floats(0, 1e5), st.integers(0, 7)).map(lambda pair: f"{pair[0]:.{pair[1]}f}".encode())
texts = st.lists(odd | figures | numberlike | floats | rounded | st.binary(max_size=20), max_size=30)

WHOLE = re.compile(rb"0|[1-9][0-9]{0,15}")
DECIMAL = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.([0-9]+))?")

Number = Annotated[float, Meta(ge=0)] | None
AROUND = [b"", b"7", b"0000000000000000", b".5", b"null", b"\xff" * 16]


@given(texts, st.sampled_from(AROUND))
def test_whole_numbers_are_those_written_plainly(values: list[bytes], around: bytes) -> None:
    numbers, plain = whole_numbers(elsewhere(values, around))
    assert plain.tolist() == [WHOLE.fullmatch(value) is not None for value in values]
    for value, number, good in zip(values, numbers.tolist(), plain.tolist(), strict=True):
        if good:
            assert number == int(value) == msgspec.json.decode(value, type=int)


@given(texts, st.sampled_from([0, 1, 2, 6, 7]), st.sampled_from(AROUND))
def test_decimals_are_those_written_plainly(values: list[bytes], scale: int, around: bytes) -> None:
    numbers, plain = decimals(elsewhere(values, around), scale)
    for value, number, good in zip(values, numbers.tolist(), plain.tolist(), strict=True):
        match = DECIMAL.fullmatch(value)
        short = match is not None and len(value) <= 8 and len(match[1] or b"") <= scale
        assert good == (short or value == b"null"), value
        if good:
            read = msgspec.json.decode(value, type=Number)
            assert number == (MISSING if read is None else np.rint(read * 10**scale)), value
            if scale == 0:
                assert msgspec.json.decode(value, type=int | None) == read


@pytest.mark.parametrize("scale", [0, 1, 6, 7])
def test_every_decimal_of_up_to_five_characters(scale: int) -> None:
    whole = [b"%d" % number for number in range(10_000)]
    values = [*whole, *(b"%s.%s" % (a, b) for a in whole[:120] for b in [b"", b"0", b"00", *whole[:100:3]])]
    values += [b"." + value for value in whole[:1_000]] + [b"0" + value for value in whole[:1_000]]
    numbers, plain = decimals(Spans.of(values), scale)
    for value, number, good in zip(values, numbers.tolist(), plain.tolist(), strict=True):
        match = DECIMAL.fullmatch(value)
        assert good == (match is not None and len(match[1] or b"") <= scale), value
        assert not good or number == round(float(value) * 10**scale), value


def test_where_there_is_no_string_there_is_no_number() -> None:
    nothing = elsewhere([None, b"", None], b"12")
    assert whole_numbers(nothing)[1].tolist() == decimals(nothing, 6)[1].tolist() == [False] * 3
    assert [column.tolist() for column in (*whole_numbers(Spans.of([])), *decimals(Spans.of([]), 6))] == [[]] * 4


def test_each_byte_at_each_place_of_a_number() -> None:
    for size in range(1, 17):
        for at in range(size):
            values = [b"1" * at + bytes([byte]) + b"1" * (size - at - 1) for byte in range(256)]
            _, plain = whole_numbers(Spans.of(values))
            assert plain.tolist() == [WHOLE.fullmatch(value) is not None for value in values]
            if size <= 8:
                _, plain = decimals(Spans.of(values), 7)
                assert plain.tolist() == [DECIMAL.fullmatch(value) is not None for value in values]
