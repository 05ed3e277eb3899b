"""The answer of `show` as JSON or CSV, for programs; mongo/written.py defines the notation."""

from __future__ import annotations

from movie_stream.commands.show.answer import Answer
from movie_stream.mongo.written import csv_of, json_of


def as_json(answer: Answer) -> bytes:
    """The documents as an array in one line."""
    return json_of(list(answer.documents)) + b"\n"


def as_csv(answer: Answer) -> bytes:
    """The rows with a header."""
    return csv_of(answer.fields, answer.rows)
