"""Decodes plain records as columns, by a kernel; `event.decode` decodes the others, and its verdict is the same.

A record is plain if it is a JSON object of an event's members and no others, its texts have no escapes, and its numbers
no sign, exponent or decimal too many. Whether a genre is more than whitespace is not checked here.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.columnar.columns import Bools
from movie_stream.columnar.spans import HASH_KEY, Ints, Spans
from movie_stream.events.contract import FIELD_RULES, NUMBERS, REQUIRED, TEXTS, Number, Text
from movie_stream.events.views import Views
from movie_stream.kernels import json_objects
from movie_stream.kernels.compiled import COMPILED
from movie_stream.kernels.json_objects import NUMBER, OPTIONAL, TEXT

_NUMBERS: Final = (*(name for name in REQUIRED if name not in TEXTS), *NUMBERS)
_NAME_BYTES: Final = 16
_NAMES: Final = np.array([name.encode().ljust(_NAME_BYTES, b"\0") for name in FIELD_RULES]).view("<u8").reshape(-1, 2)


def _rule(name: str, rule: Text | Number) -> tuple[int, ...]:
    """Kind, column, least, most, decimals and the size of the name, as the kernel takes them."""
    if isinstance(rule, Text):
        return TEXT, [*TEXTS].index(name), 1, rule.longest, 0, len(name)
    kind, column = OPTIONAL if rule.optional else NUMBER, _NUMBERS.index(name)
    return kind, column, rule.least * rule.scale, rule.most * rule.scale, rule.decimals, len(name)


_RULES: Final[Ints] = np.array([_rule(*item) for item in FIELD_RULES.items()]).T.copy()
_REQUIRED: Final = sum(1 << member for member, name in enumerate(FIELD_RULES) if name in REQUIRED)


def read_plain(values: Spans) -> tuple[Views, Bools]:
    """The views of the plain records, and a mask of these; rows outside the mask hold placeholders.

    >>> good = b'{"movie_id":"m1","title":"Alien","genre":"Sci-Fi","user_id":"u1","timestamp":1730383200000,"rating":4}'
    >>> views, plain = read_plain(Spans.of([good, b"{}"]))
    >>> plain.tolist(), views.texts["title"][0], views.numbers["rating"].tolist(), views.numbers["price"].tolist()
    ([True, False], b'Alien', [4000000, -1], [-1, -1])
    """
    count = len(values)
    begins, lengths = np.empty((2, len(TEXTS), count), np.int64)
    hashes = np.zeros((len(TEXTS), count), np.uint64)
    numbers = np.empty((len(_NUMBERS), count), np.int64)
    plain = np.empty(count, np.bool_)
    json_objects.read_objects(
        values.text,
        values.begins,
        values.lengths,
        _NAMES,
        _RULES,
        HASH_KEY,
        _REQUIRED,
        np.arange(len(FIELD_RULES)),
        begins,
        lengths,
        hashes,
        numbers,
        plain,
    )
    texts = {name: Spans(values.text, begins[at], lengths[at], hashes=hashes[at]) for at, name in enumerate(TEXTS)}
    columns = dict(zip(_NUMBERS, numbers, strict=True))
    return Views(texts, columns.pop("timestamp"), columns), plain


def read_if_compiled(values: Spans) -> tuple[Views, Bools] | None:
    """The same if kernels are compiled; else None, since `event.decode` is faster then."""
    return read_plain(values) if COMPILED else None
