import inspect
from collections.abc import Callable

import pytest

from movie_stream import errors
from movie_stream.errors import MovieStreamError

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MovieStreamError) and kind is not MovieStreamError
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_one_line_without_passwords(kind: Callable[..., MovieStreamError]) -> None:
    numbers = {name: "int" in str(of.annotation) for name, of in inspect.signature(kind).parameters.items()}
    error = kind(**{name: 3 if number else "two\nlines ana:hunter2@db" for name, number in numbers.items()})
    assert "\n" not in str(error)
    assert "ana:***@db" in str(error) or all(numbers.values())
    assert "hunter2" not in str(error)
    assert error.exit_code in (1, 2)


def test_a_cause_without_a_text_is_named_by_its_class() -> None:
    assert "(TimeoutError)" in str(errors.MongoUnreachable(uri="mongodb://h", cause=TimeoutError()))


def test_what_a_stranger_wrote_moves_no_cursor_and_fills_no_screen() -> None:
    error = errors.BrokerRefused(doing="asking", cause="\x1b[2J\x9b1;1H\u202e" + "a" * 100_000)
    assert str(error).isprintable()
    assert len(str(error)) < 5_000
    got = errors.InputError(path="a.csv", expected="a header", got="b" * 1_000)
    assert len(str(got)) < 150
