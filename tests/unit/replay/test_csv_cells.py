"""Text becomes numbers, strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.replay.files import csv_cells
from movie_stream.replay.files.csv_cells import (
    NO_NUMBER,
    NoNumber,
    Numbers,
    parse_decimal,
    parse_whole,
    refusal,
    timestamps,
)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("30", 30),
        ("30.0", 30),
        ("30.", 30),
        (" 30 ", 30),
        ("-5", -5),
        ("", None),
        ("  ", None),
        ("30.5", NO_NUMBER),
        ("1e3", NO_NUMBER),
        ("1.73E+12", NO_NUMBER),
        ("+30", NO_NUMBER),
        ("1_000", NO_NUMBER),
        ("1,000", NO_NUMBER),
        ("٣٠", NO_NUMBER),
        ("9" * 19, NO_NUMBER),
        ("true", NO_NUMBER),
        ("30\0", NO_NUMBER),
    ],
)
def test_whole_numbers(cell: str, number: int | NoNumber | None) -> None:
    assert parse_whole(cell) == number


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("4.5", 4.5),
        ("4", 4.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1", -1.0),
        ("1e2", 100.0),
        (" 4.5", 4.5),
        ("", None),
        ("nan", NO_NUMBER),
        ("inf", NO_NUMBER),
        ("1e999", NO_NUMBER),
        ("1_0", NO_NUMBER),
        ("4,5", NO_NUMBER),
        ("٤", NO_NUMBER),
        ("0x10", NO_NUMBER),
        (".", NO_NUMBER),
        ("abc", NO_NUMBER),
    ],
)
def test_decimal_numbers(cell: str, number: float | NoNumber | None) -> None:
    assert parse_decimal(cell) == number


@given(st.lists(st.one_of(st.integers(-(10**17), 10**17).map(str), st.text(max_size=3), st.just("17.00"))))
def test_a_column_of_timestamps_is_its_cells(cells: list[str]) -> None:
    assert timestamps(cells) == [parse_whole(cell) for cell in cells]


@given(st.floats(0, 1e9))
def test_a_number_as_python_writes_it_is_read_back(number: float) -> None:
    assert parse_decimal(repr(number)) == number


def test_a_bounded_number_of_numbers_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_cells, "REMEMBERED", 3)
    numbers = Numbers(parse_whole)
    assert numbers.column([str(i) for i in range(10)]) == list(range(10))
    assert len(numbers) <= 3


def test_a_refusal_is_short_and_safe_for_a_terminal() -> None:
    assert refusal("duration", "\x1b[31m" + "9" * 99) == (
        'duration: expected a whole number of minutes from 0 to 1440, or null, got "\\x1b[31m' + "9" * 35 + '..."'
    )
    assert refusal("user_id", "").endswith("got an empty cell")
