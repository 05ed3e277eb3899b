"""Layouts: learnt from a record, they read others, to the values that JSON means."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.aggregates.vocabulary import usable_texts
from movie_stream.columnar.spans import Spans
from movie_stream.events import layout
from movie_stream.events.contract import MISSING, NUMBERS, TEXTS
from movie_stream.events.event import Refused, decode_one
from movie_stream.events.layout import (
    LEARNT_AT_ONCE,
    LONGEST_LAYOUT,
    MOST_LAYOUTS,
    Layout,
    Layouts,
    learn,
)
from tests.support.examples import examples
from tests.support.input import odd_records
from tests.support.input.odd_records import BLANKS, MEMBERS, ORDERS, plain, written
from tests.unit.columnar.test_spans import elsewhere

GOOD = plain()


@pytest.mark.parametrize("order", ORDERS[:5])
@pytest.mark.parametrize("blanks", BLANKS)
def test_a_layout_is_the_text_around_the_values(order: tuple[str, ...], blanks: tuple[str, str, str]) -> None:
    learnt = learn(plain(order, blanks))
    assert learnt is not None
    assert learnt.fields == order
    assert learnt == learn(plain(order, blanks, number=77)), "whatever the values are"
    nothing = written([(name, b"") for name in order], blanks)
    assert b"".join(learnt.pieces) == nothing
    assert (learnt.quotes, learnt.least) == (nothing.count(b'"'), len(nothing))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"null",
        b" " + GOOD,
        GOOD + b" ",
        GOOD + GOOD,
        GOOD[:-1],
        GOOD[:-1] + b",}",
        GOOD[:-1] + b',"price":1}',
        GOOD[:-1] + b',"unknown":1}',
        GOOD.replace(b'"m0"', b"0"),
        GOOD.replace(b"1730383200000", b'"1730383200000"'),
        GOOD.replace(b"Sci-Fi", rb"Sci\"Fi"),
        GOOD.replace(b'"title"', rb'"titl\u0065"'),
        GOOD.replace(b'"title"', b'"Title"'),
        GOOD.replace(b"4.5", b"[4.5]"),
        GOOD.replace(b"4.5", b'{"a":4.5}'),
        GOOD.replace(b"4.5", b""),
        GOOD.replace(b":4.5", b"4.5"),
        GOOD.replace(b",", b", ,"),
        GOOD.replace(b",", b"\x00,"),
        GOOD.replace(b",", b"\xc2\xa0,"),
        plain(("movie_id", "title", "genre", "timestamp")),
    ],
)
def test_what_has_no_layout(value: bytes) -> None:
    assert learn(value) is None


@settings(max_examples=examples(40))
@given(odd_records.records)
def test_a_learnt_layout_is_json(value: bytes | None) -> None:
    """With values put in, whatever the record was."""
    learnt = learn(value or b"")
    if learnt is not None:
        filled = learnt.pieces[0]
        for field, piece in zip(learnt.fields, learnt.pieces[1:], strict=True):
            filled += (b"x" if field in TEXTS else b"1") + piece
        assert json.loads(filled) == {field: "x" if field in TEXTS else 1 for field in learnt.fields}


@settings(max_examples=examples(60))
@given(
    odd_records.chunks,
    st.sampled_from(ORDERS[:5]),
    st.sampled_from(BLANKS),
    st.sampled_from([b"", b'"', b'"title":"', b"0", b"\xff" * 9]),
)
def test_values_read_by_layout_are_those_of_json(
    values: list[bytes | None], order: tuple[str, ...], blanks: tuple[str, str, str], around: bytes
) -> None:
    values = [*values, *(plain(order, blanks, number) for number in range(40)), *values]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "WORTH_LEARNING", 1)
        columns, read = Layouts().read(elsewhere(values, around))
    assert read[len(read) // 2], "one of the good ones at least"
    usable = {name: usable_texts(columns.texts[name], TEXTS[name].longest) for name in TEXTS}
    for row in np.flatnonzero(read).tolist():
        if not all(of[row] for of in usable.values()):
            continue  # texts are told by who knows them: see aggregates/vocabulary.py
        view = decode_one(values[row])
        for name in TEXTS:
            assert columns.texts[name][row] == getattr(view, name).encode()
        assert columns.timestamp_ms[row] == view.timestamp
        for name, rule in NUMBERS.items():
            number = getattr(view, name)
            assert columns.numbers[name][row] == (MISSING if number is None else round(number * rule.scale))


@settings(max_examples=examples(30))
@given(st.lists(odd_records.records, max_size=40), st.sampled_from([1, 7, 33]))
def test_values_read_in_parts_equal_those_read_together(odd: list[bytes | None], at_once: int) -> None:
    usual = [plain(number=number) for number in range(40)]
    values = Spans.of([*usual, *odd, *usual])
    known = Layouts()
    known.read(Spans.of(usual))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "LEARNT_AT_ONCE", 0)  # each part would learn its own
        whole, read_at_once = known.read(values)
        patch.setattr(layout, "READ_AT_ONCE", at_once)
        columns, read = known.read(values)
    assert read.tolist() == read_at_once.tolist()
    assert read[:40].all()
    assert read[-40:].all()
    rows = np.flatnonzero(read)
    for name in TEXTS:
        assert list(columns.texts[name].take(rows)) == list(whole.texts[name].take(rows))
    assert columns.timestamp_ms[rows].tolist() == whole.timestamp_ms[rows].tolist()
    for name in NUMBERS:
        assert columns.numbers[name][rows].tolist() == whole.numbers[name][rows].tolist()


def test_rows_that_were_not_read_hold_placeholders() -> None:
    values = [b"", None, GOOD, b"{}", b'"' * 500]
    for count in (1, 50):
        columns, read = Layouts().read(Spans.of(values * count))
        assert read.tolist() == [count > 1 and value == GOOD for value in values] * count
        assert columns.timestamp_ms.tolist() == [1_730_383_200_000 * one for one in read.tolist()]
        for text in columns.texts.values():
            assert [one is not None for one in text] == [True] * len(read)
            assert len(text.hashes()) == len(read)


@pytest.mark.parametrize("count", [0, 1, 31, 32])
def test_a_layout_is_learnt_from_enough_records_and_then_known(count: int) -> None:
    layouts = Layouts()
    assert layouts.read(Spans.of([GOOD] * count))[1].tolist() == [count >= 32] * count
    assert layouts.read(Spans.of([GOOD]))[1].tolist() == [count >= 32]


def test_a_record_of_many_quotes_is_no_view() -> None:
    """The places of its quotes lie before where the blanks of a layout begin."""
    wide = plain(blanks=("", "," + " " * 100, ":"))
    layouts = Layouts()
    assert layouts.read(Spans.of([wide] * 40))[1].all()
    learnt = learn(wide)
    assert learnt is not None
    for values in (
        [b'"' * learnt.quotes + b"x" * 5_000],
        [b"x" * 5_000 + b'"' * learnt.quotes],
        [b'{"movie_id":"' + b'"' * (learnt.quotes - 3) + b"x" * 5_000],
    ):
        for read in (layouts.read(Spans.of(values)), layouts.read(Spans.of([*values, wide]))):
            assert not read[1][0]


@pytest.mark.parametrize("wide", ['"movie_id"', '"user_id"', "}"])
@pytest.mark.parametrize("behind", [b"", plain()])
def test_blanks_that_stand_elsewhere_than_in_a_layout_are_no_places_outside_of_the_buffer(
    wide: str, behind: bytes
) -> None:
    """Of a record as long as the layout, at the beginning of the buffer: what a layout expects may lie before both."""
    many = b" " * 880
    layouts, rest = Layouts(), b'"movie_id":"m","title":"T","genre":"G","user_id":"u"'
    before = (b'{"timestamp":1730383200000,' + rest + b"}").replace(wide.encode(), many + wide.encode())
    assert layouts.read(Spans.of([before] * 40))[1].all()
    learnt = learn(before)
    assert learnt is not None
    for begun in (b"{" + rest + b',"timestamp":1730383200000', b'{"timestamp":1,' + rest, b'{"timestamp":1' + rest):
        for size in (learnt.least, learnt.least + 1):
            value = begun + b" " * (size - len(begun) - 1) + b"}"
            values = [value, behind] if behind else [value]
            alone = Layouts()
            assert alone.read(Spans.of([before] * 40))[1].all()
            columns, read = alone.read(Spans.of(values))
            assert not read.any()
            assert all(len(text.hashes()) == len(values) for text in columns.texts.values())


def odd_blanks(number: int) -> bytes:
    """A view in a layout of its own."""
    return GOOD.replace(b":", b":" + b" " * (number % 100)).replace(b",", b"," + b" " * (number // 100))


def test_layouts_without_end_are_neither_all_learnt_nor_all_kept() -> None:
    layouts = Layouts()
    layouts.read(Spans.of([GOOD] * 40))
    for at in range(1, 801, 100):
        _, read = layouts.read(Spans.of([*(odd_blanks(number) for number in range(at, at + 100)), *[GOOD] * 40]))
        assert read[100:].all(), "what is usual is not forgotten for it"
        assert np.count_nonzero(read[:100]) <= LEARNT_AT_ONCE
        assert len(layouts._known) <= MOST_LAYOUTS
    assert not layouts.read(Spans.of([odd_blanks(1)]))[1].any()
    assert layouts.read(Spans.of([plain(blanks=BLANKS[1])] * 40))[1].all(), "a new producer is read all the same"


def test_a_layout_has_a_bounded_length() -> None:
    """A layout of mostly blanks would be compared byte by byte."""
    least = len(written([(name, b"") for name in MEMBERS], BLANKS[0]))
    for length, wanted in ((LONGEST_LAYOUT, True), (LONGEST_LAYOUT + 1, False)):
        value = GOOD[:-1] + b" " * (length - least) + b"}"
        assert Layouts().read(Spans.of([value] * 40))[1].all() == wanted


def test_a_layout_whose_numbers_are_odd_is_tried_once_a_chunk() -> None:
    odd = GOOD.replace(b"4.5", b"4e0")
    layouts = Layouts()
    for _ in range(3):
        assert not layouts.read(Spans.of([odd] * 100))[1].any()
    assert layouts._known == [learn(GOOD)]
    assert isinstance(layouts._known[0], Layout)
    with pytest.raises(Refused):
        decode_one(odd.replace(b"4e0", b"9e9"))
