"""Plain records: what is read of them is what JSON means, and nothing odd is taken for plain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.columnar.columns import Bools
from movie_stream.columnar.spans import Spans
from movie_stream.events.contract import MISSING, NUMBERS, TEXTS
from movie_stream.events.event import Refused, decode_one
from movie_stream.events.plain_records import read_plain
from movie_stream.events.views import Views
from tests.support.examples import examples
from tests.support.input import odd_records
from tests.support.input.odd_records import BLANKS, MEMBERS, ORDERS, plain, written
from tests.unit.columnar.test_spans import elsewhere

GOOD = plain()


def check(values: Sequence[bytes | None], views: Views, read: Bools) -> None:
    """Whether what was read is what the reference decoder says of the same records."""
    for row in np.flatnonzero(read).tolist():
        view = decode_one(values[row])
        for name in TEXTS:
            assert views.texts[name][row] == getattr(view, name).encode()
        assert views.timestamp_ms[row] == view.timestamp
        for name, rule in NUMBERS.items():
            number = getattr(view, name)
            assert views.numbers[name][row] == (MISSING if number is None else round(number * rule.scale))


@settings(max_examples=examples(60))
@given(
    odd_records.chunks,
    st.sampled_from(ORDERS[:5]),
    st.sampled_from(BLANKS),
    st.sampled_from([b"", b'"', b'"title":"', b"0", b"\xff" * 9]),
)
def test_what_is_read_is_what_json_means(
    values: list[bytes | None], order: tuple[str, ...], blanks: tuple[str, str, str], around: bytes
) -> None:
    """Whatever is around the records in their buffer, and whatever order of members came before."""
    good = [plain(order, blanks, number) for number in range(3)]
    values = [*values, *good, *values]
    views, read = read_plain(elsewhere(values, around))
    at = len(values) // 2
    assert read[at - 1 : at + 2].all()
    check(values, views, read)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        None,
        b"{}",
        b"null",
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
        GOOD.replace(b"4.5", b"4e0"),
        GOOD.replace(b":4.5", b"4.5"),
        GOOD.replace(b",", b"\x00,"),
        GOOD.replace(b",", b"\xc2\xa0,"),
        GOOD.replace(b"{", b"{,"),
        GOOD.replace(b"{", b"\xef\xbb\xbf{"),
        GOOD + b"\x00",
        plain(("movie_id", "title", "genre", "timestamp")),
    ],
)
def test_what_is_not_plain(value: bytes | None) -> None:
    for around in ([], [GOOD]):
        assert read_plain(Spans.of([*around, value, *around]))[1].tolist() == [*[True] * len(around), False] + [
            True
        ] * len(around)


@pytest.mark.parametrize(
    "value",
    [
        b" " + GOOD,
        GOOD + b"\r\n",
        GOOD.replace(b",", b" \t, "),
        GOOD.replace(b":", b" :\n"),
        GOOD.replace(b"Film 0", "\N{CLAPPER BOARD} \u00e9t\u00e9 \x7f".encode()),
    ],
)
def test_what_is_plain_all_the_same(value: bytes) -> None:
    views, read = read_plain(Spans.of([value]))
    assert read.all()
    check([value], views, read)


def test_members_in_orders_that_change_from_record_to_record() -> None:
    values = [plain(ORDERS[number % 5], BLANKS[number % 3], number) for number in range(60)]
    views, read = read_plain(Spans.of(values))
    assert read.all()
    check(values, views, read)


@pytest.mark.parametrize("name", MEMBERS[:4])
def test_a_text_is_as_long_as_its_rule_allows_in_code_points(name: str) -> None:
    longest = TEXTS[name].longest
    for letter in ("x", "\u00e9", "\u20ac", "\N{CLAPPER BOARD}"):
        found = []
        for count in (0, 1, longest, longest + 1):
            values = {"movie_id": b"m", "title": b"T", "genre": b"G", "user_id": b"u", "timestamp": b"1730383200000"}
            values[name] = (letter * count).encode()
            found.append(bool(read_plain(Spans.of([written([*values.items()], BLANKS[0])]))[1][0]))
        assert found == [False, True, True, False]


def test_rows_that_were_not_read_hold_what_can_be_looked_at() -> None:
    values = [b"", None, GOOD, b"{}", b'"' * 500]
    views, read = read_plain(Spans.of(values * 3))
    assert read.tolist() == [value == GOOD for value in values] * 3
    assert views.timestamp_ms[read].tolist() == [1_730_383_200_000] * 3
    for text in views.texts.values():
        assert [one is not None for one in text] == [True] * len(read)
        assert len(text.hashes()) == len(read)


def test_hashes_are_those_of_the_texts() -> None:
    views, _ = read_plain(Spans.of([plain(number=number) for number in range(30)]))
    for text in views.texts.values():
        assert text.hashes().tolist() == Spans.of(text.tolist()).hashes().tolist()


@pytest.mark.parametrize("cut", range(1, len(GOOD), 7))
def test_a_record_that_is_cut_off_does_not_go_on_in_the_next_one(cut: int) -> None:
    """Its buffer goes on with the very bytes that it lacks."""
    whole = Spans.of([GOOD])
    part = Spans(whole.text, whole.begins, np.array([cut]))
    assert not read_plain(part)[1].any()
    with pytest.raises(Refused):
        decode_one(part[0])
