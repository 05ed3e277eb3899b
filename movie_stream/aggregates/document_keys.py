"""What identifies a document, and a part of what is stored of it; and the rows that belong to a document."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from movie_stream.aggregates.groups import Groups
from movie_stream.columnar.columns import Bools, Ints


class DocumentKey(NamedTuple):
    """Identifies a document: its collection, its window's start in Unix milliseconds, and the value of the column that
    its result is grouped by, or "".
    """

    collection: str
    start_ms: int
    value: str

    @property
    def text(self) -> str:
        """The key as the `_id` of `_partials`."""
        return f"{self.collection}|{self.start_ms}|{self.value}"


class StoreKey(NamedTuple):
    """The key under which a document's figures, or a part of its list of components, are stored."""

    key: DocumentKey
    part: int | None = None

    @property
    def id(self) -> str:
        """The `_id` in `_partials`."""
        return self.key.text if self.part is None else f"{self.key.text}|{self.part}"


WindowKey = tuple[str, int]
"""A collection, and a window's start in Unix milliseconds."""


def keys_of(groups: Groups, rows: Ints) -> list[DocumentKey]:
    """The distinct keys of the documents that rows belong to."""
    collection, starts = groups.result.collection, groups.starts[rows]
    if not groups.result.by:
        return [DocumentKey(collection, start, "") for start in np.unique(starts).tolist()]
    values = groups.names.texts(groups.ids[rows]) if groups.names is not None else [""] * len(starts)
    return [DocumentKey(collection, start, value) for start, value in zip(starts.tolist(), values, strict=True)]


def are_of_keys(groups: Groups, keys: Collection[DocumentKey]) -> Bools:
    """A mask of the rows that belong to the documents with these keys."""
    starts = np.array([key.start_ms for key in keys], np.int64)
    if not groups.result.by or groups.names is None:
        return np.isin(groups.starts, starts)
    mask = np.zeros(len(groups), np.bool_)
    rows = groups.find(starts, groups.names.ids([key.value for key in keys]))
    mask[rows[rows >= 0]] = True
    return mask
