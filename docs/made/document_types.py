"""The documents of the results as types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from docs.made.collections import one_for_each
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.shape import Shape, kind_of

_WIDTH = 110
"""Characters of a line."""


def documents() -> str:
    """The whole of mongo/documents.py."""
    kinds = [text for result in RESULTS for text in _typed(result)]
    return (
        '"""The documents of the results as types, for programs. Made by `make docs` from RESULTS."""\n\n'
        "from __future__ import annotations\n\n"
        "from datetime import datetime\nfrom typing import TypedDict\n" + "".join(f"\n\n{kind}" for kind in kinds)
    )


def _typed(result: Result) -> Iterator[str]:
    """The type of an entry of the result's list, if it has one, and that of its documents."""
    shape, name = Shape.of(result), type_name(result)
    types = {column.name: _type(result.fields[column.name].schema) for column in shape.fields}
    if shape.entries:
        listed = result.fields[shape.entries]
        entry = listed.schema["items"]["properties"]
        fields = {key: (_type(of), listed.description.entry[key].in_words) for key, of in entry.items()}
        yield _class(f"{name}Entry", f"An entry of {shape.entries}.", fields)
        types[shape.entries] = f"list[{name}Entry]"
    said = {field: (types[field], declared.description.in_words) for field, declared in result.fields.items()}
    ordered = {"_id": ("str", ""), **said}
    each = one_for_each(result)
    says = (
        f"The document of {result.collection}." if each == "all" else f"A document of {result.collection}: by {each}."
    )
    yield _class(name, says, ordered)


def type_name(result: Result) -> str:
    """What the type of the result's documents is called.

    >>> type_name(RESULTS[0])
    'MoviesAggregates'
    """
    return "".join(map(str.capitalize, result.collection.split("_")))


def _class(name: str, says: str, fields: Mapping[str, tuple[str, str]]) -> str:
    lines = "".join(f"    {field}: {kind}\n" + _docstring(meaning) for field, (kind, meaning) in fields.items())
    return f'class {name}(TypedDict):\n    """{says}"""\n\n{lines}'


def _docstring(text: str) -> str:
    """The docstring of a field, in lines that are not too long."""
    if not text:
        return ""
    lines = wrap(text, _WIDTH - 3)
    return f'    """{(chr(10) + "    ").join(lines)}' + ("\n    " * (len(lines) > 1)) + '"""\n'


def _type(schema: Mapping[str, Any]) -> str:
    """A value's type in Python."""
    kind = {"time": "datetime", "count": "int", "number": "float", "text": "str"}[kind_of(schema)]
    return kind + " | None" * ("null" in schema["bsonType"])
