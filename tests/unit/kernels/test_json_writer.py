"""What is written is what a JSON encoder writes of the cell; what is not is left to it."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.spans import PAD, Spans
from movie_stream.kernels.json_writer import DECIMAL, TEXT, TIME, VISIBLE_TEXT, WHOLE, write_objects


def written(cells: list[str], kind: int, least: int, most: int) -> tuple[list[bytes | None], list[int]]:
    """The object of each cell, None if it is refused, and its time."""
    spans, name = Spans.of([cell.encode("utf-8", "surrogatepass") for cell in cells]), Spans.of([b'{"a":'])
    out = np.full(int(spans.lengths.sum()) * 2 + len(cells) * 20 + 2 * len(PAD), 0xFF, np.uint8)
    begins, lengths, times = np.empty((3, len(cells)), np.int64)
    good = np.empty(len(cells), np.bool_)
    field = np.array([kind]), np.array([least]), np.array([most])
    columns = spans.text, spans.begins.reshape(1, -1), spans.lengths.reshape(1, -1)
    names = name.text, name.begins, name.lengths
    end = write_objects(*columns, *field, *names, len(PAD), out, begins, lengths, times, good)
    values = list(Spans(out, begins, lengths))
    assert b"".join(value or b"" for value in values) == out[len(PAD) : end].tobytes()
    assert set(out[end + len(PAD) :].tolist()) <= {0xFF}
    return [value if is_good else None for value, is_good in zip(values, good.tolist(), strict=True)], times.tolist()


@given(st.lists(st.decimals(0, 12_345, places=3) | st.integers(0, 10**16).map(str) | st.floats(0, 5), max_size=5))
def test_decimals_are_those_of_the_encoder(numbers: list[object]) -> None:
    cells = list(map(str, numbers))
    values, _ = written(cells, DECIMAL, 0, 10**15)
    assert all(
        value in (None, b'{"a":%s}' % msgspec.json.encode(float(cell)))
        for cell, value in zip(cells, values, strict=True)
    )


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        (DECIMAL, "4", b"4.0"),
        (DECIMAL, "4.50", b"4.5"),
        (DECIMAL, "100", b"100.0"),
        (DECIMAL, "100.01", None),
        (DECIMAL, "0.0001", b"0.0001"),
        (DECIMAL, "0.00001", None),
        (DECIMAL, "04", None),
        (DECIMAL, ".5", None),
        (DECIMAL, "5.", b"5.0"),
        (DECIMAL, "4.5x", None),
        (DECIMAL, "-4", None),
        (DECIMAL, "1e2", None),
        (WHOLE, "60.0", b"60"),
        (WHOLE, "60.5", None),
        (WHOLE, "101", None),
        (WHOLE, "9" * 40, None),
        (TIME, "0", None),
        (TIME, "100", b"100"),
        (TIME, "", None),
    ],
)
def test_numbers(kind: int, cell: str, value: bytes | None) -> None:
    values, times = written([cell], kind, 1 if kind == TIME else 0, 100)
    assert values == [None if value is None else b'{"a":%s}' % value]
    assert times == [int(cell) if kind == TIME and value else 0]


@pytest.mark.parametrize("kind", [DECIMAL, WHOLE])
def test_a_number_that_is_missing_is_left_out(kind: int) -> None:
    assert written([""], kind, 0, 100)[0] == [b"}"]


@given(st.lists(st.text(max_size=40), max_size=5))
def test_texts_are_those_of_the_encoder_but_for_their_first_quote(texts: list[str]) -> None:
    for kind in (TEXT, VISIBLE_TEXT):
        values, _ = written(texts, kind, 1, 100)
        for text, value in zip(texts, values, strict=True):
            encoded = msgspec.json.encode(text)[1:-1]
            assert value in (None, b'{"a":%s}' % encoded)
            if value is None:
                assert not text or not text.isascii() or not text.isprintable() or not text.strip()
            elif kind == VISIBLE_TEXT:
                assert text.strip()


@pytest.mark.parametrize("text", ["\udcff", "ab\udc00", "\n", "", "x" * 101])
def test_texts_left_to_the_encoder(text: str) -> None:
    assert written(["a", text, "한국"], TEXT, 1, 100)[0] == [b'{"a":a}', None, '{"a":한국}'.encode()]
