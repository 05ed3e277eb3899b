"""Formats by parameter and by Accept, and ETags."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from starlette.requests import Request

from movie_stream.web.problems import Problem
from movie_stream.web.rendering import Format, Listed, chosen, json_response, list_response


def request(**headers: str) -> Request:
    return Request(
        {
            "type": "http",
            "path": "/api/v1/daily_stats",
            "query_string": b"limit=1",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
    )


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/csv", "csv"),
        ("text/*", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("application/json, text/csv", "json"),
        ("application/json;q=0.5, text/csv", "csv"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"),
        ("application/json;q=0, */*;q=0.1", "csv"),
        ("TEXT/CSV ; Q=1", "csv"),
    ],
)
def test_the_format_that_is_accepted_most(accept: str, wanted: Format) -> None:
    assert chosen(request(accept=accept) if accept else request(), None) == wanted


def test_the_parameter_wins() -> None:
    assert chosen(request(accept="text/html"), "csv") == "csv"


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=1", "*/*;q=0", "nonsense", "text/csv;q=x"])
def test_an_unacceptable_media_type_is_406(accept: str) -> None:
    with pytest.raises(Problem) as caught:
        chosen(request(accept=accept), None)
    assert caught.value.status == 406


def test_an_unknown_format_is_406() -> None:
    with pytest.raises(Problem) as caught:
        chosen(request(), "xml")
    assert (caught.value.status, caught.value.errors[0].parameter) == (406, "format")


ITEMS: list[dict[str, Any]] = [
    {"_id": "a", "at": datetime(2024, 10, 31, tzinfo=UTC), "n": None},
    {"_id": 'b,"', "at": None, "n": 0.1},
]


def test_three_ways_to_write_a_page() -> None:
    page = Listed(ITEMS, ["_id", "at", "n"], ITEMS, "c")
    as_json, as_lines, as_csv = (list_response(request(), page, form) for form in ("json", "ndjson", "csv"))
    assert orjson.loads(as_json.body) == {
        "items": [{"_id": "a", "at": "2024-10-31T00:00:00Z", "n": None}, {"_id": 'b,"', "at": None, "n": 0.1}],
        "next": "c",
    }
    assert list(map(orjson.loads, bytes(as_lines.body).splitlines())) == orjson.loads(as_json.body)["items"]
    rows = list(csv.reader(io.StringIO(bytes(as_csv.body).decode(), newline="")))
    assert rows == [["_id", "at", "n"], ["a", "2024-10-31T00:00:00Z", ""], ['b,"', "", "0.1"]]
    for response in (as_json, as_lines, as_csv):
        assert response.headers["link"] == '</api/v1/daily_stats?limit=1&cursor=c>; rel="next"'


@pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"x", "{}"', "*", ' "{}" '])
def test_what_the_reader_has_is_not_sent_again(known: str) -> None:
    first = json_response(request(), {"a": 1})
    tag = first.headers["etag"]
    again = json_response(request(if_none_match=known.replace('"{}"', tag)), {"a": 1})
    assert (again.status_code, again.body, again.headers["etag"]) == (304, b"", tag)
    assert (
        json_response(request(if_none_match=known.replace('"{}"', tag).replace("*", '"y"')), {"a": 2}).status_code
        == 200
    )
