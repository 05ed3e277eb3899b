"""Serialization of documents as JSON and CSV: always UTF-8, with values exactly as stored."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson


def json_of(value: Any) -> bytes:
    r"""A value as JSON on one line, without a newline at its end; dates by RFC 3339, in UTC.

    MongoDB types that JSON lacks, which no result has, become text. Control characters above ASCII are escaped, since
    terminals interpret them and orjson does not escape them.

    >>> json_of([{"title": "Alien\x1b[2J\x9b2J"}])
    b'[{"title":"Alien\\u001b[2J\\u009b2J"}]'
    """
    text = orjson.dumps(value, str, orjson.OPT_UTC_Z).decode()
    return re.sub("[\x7f-\x9f]", lambda control: f"\\u{ord(control[0]):04x}", text).encode()


def csv_of(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    r"""The rows as CSV by RFC 4180, with a header; dates and booleans as in JSON, numbers unrounded, null empty.

    >>> csv_of(["title", "avg_rating", "open"], [{"title": "Heat, 2", "avg_rating": None, "open": True}])
    b'title,avg_rating,open\r\n"Heat, 2",,true\r\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(fields)
    writer.writerows([_written(row.get(field)) for field in fields] for row in rows)
    return text.getvalue().encode()


def _written(value: Any) -> Any:
    """A value for `csv.writer`, which writes None as an empty cell, and floats as Python does."""
    if isinstance(value, datetime):
        return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode().strip('"')
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
