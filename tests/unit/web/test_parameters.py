"""Parameters are read strictly, and every fault names what was expected."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from movie_stream.web.parameters import LONGEST, Parameters, number_parameter, plain
from movie_stream.web.problems import Problem
from movie_stream.web.ranges import RANGE
from movie_stream.web.resources import GENRE

LIMIT = number_parameter("limit", "How many.", least=1, most=1000, default=100)
PARAMETERS = Parameters((*RANGE, GENRE, LIMIT))


def request(query: str) -> Request:
    """A request with this query, as in the address."""
    return Request({"type": "http", "query_string": query.encode("latin-1"), "headers": []})


def faults(query: str) -> dict[str, str | None]:
    """The faults, by parameter: the values received."""
    with pytest.raises(Problem) as caught:
        PARAMETERS.read(request(query))
    assert caught.value.status == 422
    assert all(fault.expected for fault in caught.value.errors)
    return {fault.parameter: fault.got for fault in caught.value.errors}


def test_an_omitted_parameter_has_its_default() -> None:
    values = PARAMETERS.read(request(""))
    assert values == {"since": None, "until": None, "last": None, "anchor": None, "genre": None, "limit": 100}


@pytest.mark.parametrize(
    "genre", ["Film Noir", "Sci-Fi/Horror", "100%", "🎬", "𝔸" * 64, " Drama ", "C++", "a&b=c;d", "''\"<>"]
)
def test_a_genre_is_any_text(genre: str) -> None:
    assert PARAMETERS.read(request(f"genre={quote(genre, safe='')}"))["genre"] == genre


@pytest.mark.parametrize(
    "query",
    [
        *("genre=%24ne", "genre=a%24", "genre=%00", "genre=a%00b", "genre=%0A", "genre=%ED%A0%80", "genre=%FF"),
        *("genre=", "genre=%20%20", "genre=" + "x" * 65, "genre=" + quote("𝔸" * 65), "genre=" + "x" * 10_000_000),
        *(
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=1.0",
            "limit=",
            "limit=1e2",
            "limit=%D9%A1",
            "limit=" + "9" * 5000,
        ),
        *("since=yesterday", "until=2024-10-31", "since=2024-13-01T00:00:00Z", "last=0min", "last=5", "last=1s"),
        *("last=99999999999d", "anchor=then", "since=20241031T000000Z", "since=2024-10-31T00:00:00"),
    ],
)
def test_what_cannot_be_meant_is_named(query: str) -> None:
    name = query.partition("=")[0]
    assert faults(query).keys() == {name}
    assert len(faults(query)[name] or "") <= 100


def test_operators_are_no_parameters() -> None:
    for query in ("genre[$ne]=x", "genre%5B%24ne%5D=x", "%24where=1", "limit[]=1", "limit=5&skip=3", "LIMIT=5"):
        assert faults(query)


def test_all_faults_are_named_together() -> None:
    assert faults("limit=x&since=y&nothing=z") == {"nothing": "z", "limit": "x", "since": "y"}


def test_a_parameter_is_given_once() -> None:
    assert faults("limit=1&limit=2") == {"limit": "2"}


def test_hundreds_of_parameters_are_refused_unread() -> None:
    with pytest.raises(Problem) as caught:
        PARAMETERS.read(request("&".join(f"a{n}=1" for n in range(200))))
    assert caught.value.status == 422


@given(st.text(max_size=80))
def test_an_accepted_parameter_is_passed_unchanged(text: str) -> None:
    try:
        taken = plain(text)
    except ValueError:
        assert "$" in text or any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in text)
    else:
        assert taken == text


@given(st.binary(max_size=60))
def test_no_bytes_break_it(query: bytes) -> None:
    values: dict[str, Any] = dict.fromkeys(PARAMETERS.named)
    refused: list[Problem] = []
    try:
        values = PARAMETERS.read(Request({"type": "http", "query_string": query, "headers": []}))
    except Problem as problem:
        refused.append(problem)
    assert values.keys() == PARAMETERS.named.keys()
    assert all(problem.status == 422 and problem.body() for problem in refused)


def test_openapi_has_every_parameter_with_its_bounds() -> None:
    described = {one["name"]: one for one in PARAMETERS.openapi()["parameters"]}
    assert described.keys() == PARAMETERS.named.keys()
    assert described["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert LONGEST > 1_000
