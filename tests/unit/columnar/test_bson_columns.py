"""Documents of columns are those that the driver encodes of objects, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
import numpy as np
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.bson_columns import Layout, Lists
from movie_stream.columnar.spans import Spans

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT: Final = {"bsonType": "string"}
_COUNT: Final = {"bsonType": ["int", "long"]}
_ENTRY: Final = {"name": _TEXT, "views": _COUNT, "rating": {"bsonType": ["double", "int", "long", "null"]}}
SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "_id": _TEXT,
    "títle": _TEXT,
    "": _COUNT,
    "at": {"bsonType": "date"},
    "mean": {"bsonType": ["double", "int", "long"]},
    "films": {"bsonType": "array", "items": {"properties": _ENTRY}},
    "more": {"bsonType": "array", "items": {"properties": {"of": _ENTRY["name"]}}},
}

texts = st.text(st.characters(codec="utf-8"), max_size=40)
longs = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**31), -(2**31) - 1, 2**31 - 1, 2**31, 0])
doubles = st.none() | st.floats(allow_nan=False)
films = st.lists(st.tuples(texts, longs, doubles), max_size=12)
times = st.integers(-(10**12), 10**14)
rows = st.tuples(
    texts, texts, longs, times, doubles, films, st.lists(texts, max_size=2), st.tuples(longs, longs, longs)
)


def named(schemas: Mapping[str, Any], values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(schemas, values, strict=True))


@given(st.lists(rows, max_size=5), longs, st.integers(0, 3))
def test_documents_are_those_of_the_driver(documents: list[Any], run: int, revisions: int) -> None:
    columns: list[Any] = [*map(list, zip(*documents, strict=True))] or [[] for _ in range(8)]
    _, titles, counts, _, _, lists, more, revs = columns
    columns[1], columns[2] = Spans.of([title.encode() for title in titles]), np.array(counts, np.int64)
    columns[5] = Lists.of(lists, 3)
    columns[6] = Lists([*map(len, more)], [[text for some in more for text in some]])
    guard = [[rev[at] for rev in revs] for at in range(revisions)]
    assert Layout(SCHEMAS, revisions).encode([*columns[:7], *guard, run], len(documents)) == [
        bson.encode(
            named(
                SCHEMAS,
                (
                    *(name, title, count, _EPOCH + timedelta(milliseconds=at), mean),
                    [named(_ENTRY, film) for film in some],
                    [{"of": text} for text in others],
                ),
            )
            | {"_rev": list(map(Int64, rev[:revisions])), "_run": Int64(run)}
        )
        for name, title, count, at, mean, some, others, rev in documents
    ]


def test_a_long_list_and_one_value_for_all() -> None:
    layout = Layout(
        {"at": {"bsonType": "date"}, "films": {"bsonType": "array", "items": {"properties": {"n": _COUNT}}}}
    )
    encoded = layout.encode([0, Lists([1_001, 1], [np.arange(1_002)])], 2)
    films = [{"n": n} for n in range(1_002)]
    assert encoded == [bson.encode({"at": _EPOCH, "films": part}) for part in (films[:1_001], films[1_001:])]
