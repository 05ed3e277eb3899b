"""The results: what their documents hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from docs.made.markdown import MADE, block, plain, table
from movie_stream.aggregates.fields import Description, Key, Schema
from movie_stream.aggregates.results import DISPLAY_NAMES, RESULTS, Result
from movie_stream.aggregates.shape import RANK, Shape, kind_of
from movie_stream.aggregates.window import ALL_TIME
from movie_stream.events.contract import NUMBERS, TEXTS
from tests.support.simulation import counted

_VIEWS = Path(__file__).parents[2] / "data" / "movies.csv"
_TYPES = {"time": "date", "count": "int or long", "number": "double", "text": "string"}
_LONGEST_LIST = 3
"""Entries of a list that an example shows."""

_HALF_PAST_TWO_MS = 1_730_385_000_000
"""2024-10-31T14:30:00Z, for the examples."""


def results() -> str:
    """The collections, and when a document begins."""
    return table(("collection", "a document for each"), ((of.collection, one_for_each(of)) for of in RESULTS))


_IN_FRENCH = {
    "minute": "minute",
    "hour": "heure",
    "day": "jour",
    "genre": "genre",
    "source partition": "partition source",
    "all": "(un seul document)",
}


def results_in_french() -> str:
    """The same for README.fr.md. Raises KeyError for a word that has no French one here."""
    rows = (
        (of.collection, " et ".join(_IN_FRENCH[word] for word in one_for_each(of).split(" and "))) for of in RESULTS
    )
    return table(("collection", "un document par"), rows)


def one_for_each(result: Result) -> str:
    window = [result.window.name] * (result.window.length_ms is not None)
    return " and ".join(window + ([DISPLAY_NAMES[result.by]] if result.by else [])) or "all"


def page() -> str:
    """The whole of collections.md."""
    return (
        "# Collections\n\n"
        "What is stored in MongoDB, in the database of MONGODB_DATABASE: a collection for each result, and a view for "
        "each list.\n"
        + MADE
        + "A document is there from the first view that counts in it, and is replaced when a later one "
        "changes it. Figures are "
        "exact unless a meaning says that they are an estimate, and never null unless it says when. Times are in UTC. "
        "`_rev` and `_run` are in every document too and belong to the workers: they keep an older figure from "
        "replacing a newer one.\n\n"
        "The examples are what the ten views of `data/movies.csv` amount to; of each collection the first document by "
        f"`_id`, with {_LONGEST_LIST} entries of a longer list at most. MongoDB's dates are shown as text.\n"
        + "".join(f"\n{_section(result)}" for result in RESULTS)
    )


def _section(result: Result) -> str:
    shape = Shape.of(result)
    each = one_for_each(result)
    about = (
        "One document, over all time."
        if each == "all"
        else f"A document for each {each}" + (", over all time." if result.window is ALL_TIME else ".")
    )
    value = "0" if result.aggregates_records else "action"
    of_id = f"`{result.document_id(Key(result.window, result.window.start_of(_HALF_PAST_TWO_MS), value))}`"
    id_, *_ = sorted(_documents()[result.collection])
    indexes = ", ".join(f"`{json.dumps(dict(index))}`" for index in result.indexes)
    parts = [
        f"## {result.collection}\n",
        f"{about} Its `_id` is as {of_id}. Indexes: {indexes}.\n",
        _fields((name, field.schema, field.description) for name, field in result.fields.items()),
    ]
    if shape.entries:
        listed = result.fields[shape.entries]
        within = listed.schema["items"]["properties"].items()
        parts += [
            f"An entry of `{shape.entries}`:\n",
            _fields((name, schema, listed.description.entry[name]) for name, schema in within),
            f"The view `{result.collection}_flat` has a row for each entry: the fields of the document, `{RANK}` (the "
            "place in the list, from 1) and the fields of the entry. Its `_id` is that of the document with the rank "
            "behind it.\n",
        ]
    example = {"_id": id_, **_documents()[result.collection][id_]}
    return "\n".join([*parts, block("json", json.dumps(_shortened(example), indent=2, default=_shown_time))])


def _fields(fields: Iterable[tuple[str, Schema, Description]]) -> str:
    return table(
        ("field", "type", "unit", "meaning"),
        ((f"`{name}`", _type(schema), says.unit, plain(says.meaning)) for name, schema, says in fields),
    )


def _type(schema: Schema) -> str:
    """The type that MongoDB keeps it as."""
    if "items" in schema:
        return f"array, up to {schema['maxItems']}"
    return _TYPES[kind_of(schema)] + " or null" * ("null" in schema["bsonType"])


@cache
def _documents() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """The documents of the sample, by collection and `_id`, as the two agents count them."""
    with _VIEWS.open(encoding="utf-8", newline="") as file:
        return counted(*(_view(row) for row in csv.DictReader(file)))


def _view(row: Mapping[str, str]) -> dict[str, object]:
    texts = {name: row[name] for name in TEXTS}
    numbers = {name: float(row[name]) for name in NUMBERS if row.get(name)}
    whole = {name: int(number) if NUMBERS[name].decimals == 0 else number for name, number in numbers.items()}
    return {**texts, "timestamp": int(row["timestamp"]), **whole}


def _shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[:_LONGEST_LIST] if isinstance(value, list) else value for name, value in document.items()}


def _shown_time(value: object) -> str:
    assert isinstance(value, datetime)
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"
