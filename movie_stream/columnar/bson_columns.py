"""Columns of values as BSON documents, byte for byte as the driver encodes them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from movie_stream.columnar.spans import NULL, PAD, Spans, joined
from movie_stream.kernels.bson_writer import ENCODED, TEXT, WHOLE, WORD, write_arrays, write_documents

_DOCUMENT, _LONG = b"\x03", b"\x12"
_NUMBER: Final = b"\xff" * 8
"""Stands for a number between what is always the same."""
_TYPES: Final = {
    "double": (b"\x01", WORD),
    "string": (b"\x02", TEXT),
    "array": (b"\x04", ENCODED),
    "date": (b"\x09", WORD),
    "int": (_LONG, WHOLE),
    "long": (_LONG, WORD),
}
"""The type in BSON, and the kind for the kernel."""


class Lists(NamedTuple):
    """A list of objects in each document."""

    counts: Sequence[int]
    """The number of objects in each list."""
    columns: Sequence[Values]
    """The fields of all objects, one list after the other."""

    @classmethod
    def of(cls, lists: Sequence[Sequence[tuple[Any, ...]]], fields: int) -> Lists:
        """Lists of objects with so many fields each."""
        objects = list(chain.from_iterable(lists))
        return cls([*map(len, lists)], [[values[field] for values in objects] for field in range(fields)])


Values: TypeAlias = Any
"""The values of a field, in an array or any sequence: texts, as strings or as Spans of UTF-8; numbers, or None; dates
in Unix milliseconds; or Lists. A value that is the same in all documents may stand for itself.
"""


class Layout:
    r"""The fields of documents, by their JSON schemas; with `revisions` also `_rev`, of so many numbers, and `_run`.

    Of several types of numbers the first one counts; an int is a long if it has to be.

    >>> layout = Layout({"a": {"bsonType": "string"}, "n": {"bsonType": ["int", "long"]}})
    >>> layout.encode([["x"], [7]], 1)
    [b'\x15\x00\x00\x00\x02a\x00\x02\x00\x00\x00x\x00\x10n\x00\x07\x00\x00\x00\x00']
    """

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], revisions: int | None = None) -> None:
        firsts = [np.atleast_1d(schema["bsonType"])[0] for schema in schemas.values()]
        names = [_TYPES[first][0] + name.encode() + b"\0" for first, name in zip(firsts, schemas, strict=True)]
        kinds = [_TYPES[first][1] for first in firsts]
        self._doubles = {field for field, first in enumerate(firsts) if first == "double"}
        self._lists = {
            field: Layout(schema["items"]["properties"])
            for field, schema in enumerate(schemas.values())
            if kinds[field] == ENCODED
        }
        if revisions is not None:  # an array of a fixed size: its numbers are fields, after what is always the same
            places = b"".join(_LONG + b"%d\0" % place + _NUMBER for place in range(revisions)) + b"\0"
            array = _TYPES["array"][0] + b"_rev\0" + struct.pack("<i", 4 + len(places)) + places + _LONG + b"_run\0"
            names += array.split(_NUMBER)
            kinds += [WORD] * (revisions + 1)
        self._names, self._kinds = Spans.of(names), np.array(kinds, np.int64)

    def encode(self, columns: Sequence[Values], count: int) -> list[bytes]:
        """So many documents with these values, in the order of the fields; the last are the numbers of `_rev`, and
        `_run`.
        """
        return [document or b"" for document in self._documents(columns, count).tolist()]

    def _documents(self, columns: Sequence[Values], count: int) -> Spans:
        values, lengths = np.zeros((len(columns), count), np.int64), np.zeros((len(columns), count), np.int64)
        texts = dict[int, Spans]()
        for field, column in enumerate(columns):
            if isinstance(column, Lists):
                texts[field] = self._lists[field]._arrays(column)
            elif isinstance(column, Spans):
                texts[field] = column
            elif self._kinds[field] == TEXT:
                texts[field] = Spans.of_texts(column)
            elif field in self._doubles:
                numbers = np.asarray(column, np.float64)
                values[field] = numbers.view(np.int64)
                lengths[field, np.isnan(numbers)] = NULL
            else:
                values[field] = column
        for field, text in texts.items():
            lengths[field] = text.lengths
        sizes = lengths[list(texts)]
        values[list(texts)] = len(PAD) + (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
        joined_texts = joined(text.tobytes() for text in texts.values())
        room = count * (5 + int(self._names.lengths.sum()) + 8 * len(columns)) + int(np.maximum(lengths, 0).sum())
        return _written(
            count, room, write_documents, self._kinds, *_strings(self._names), values, lengths, joined_texts
        )

    def _arrays(self, lists: Lists) -> Spans:
        """Each list as an array of documents."""
        counts = np.asarray(lists.counts, np.int64)
        entries = self._documents(lists.columns, int(counts.sum()))
        names = Spans.of([_DOCUMENT + b"%d\0" % place for place in range(counts.max(initial=0))])
        room = len(counts) * 5 + len(entries) * int(names.lengths.max(initial=0)) + int(entries.lengths.sum())
        return _written(len(counts), room, write_arrays, counts, *_strings(names), *_strings(entries))


def _strings(spans: Spans) -> tuple[Any, ...]:
    """For the kernels."""
    return spans.text, spans.begins, spans.lengths


def _written(count: int, room: int, write: Callable[..., None], *args: Any) -> Spans:
    """What a kernel writes, so many strings of up to `room` bytes together."""
    out, begins, lengths = np.empty(room + 2 * len(PAD), np.uint8), np.empty(count, np.int64), np.empty(count, np.int64)
    write(*args, len(PAD), out, begins, lengths)
    return Spans(out, begins, lengths)
