"""Makes a Delta Lake table mirror rows that are read slice by slice, with optimistic concurrency."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from movie_stream.errors import MovieStreamError
from movie_stream.export.columns import Row
from movie_stream.export.delta_scope import Position, Scope, slices
from movie_stream.export.delta_table import Merged, MirrorTable

_ATTEMPTS: Final = 12
Read = Callable[[Position | None], Iterable[Row]]
"""Reads the documents from the database, from a position on (None: all), in the order of their positions."""


class TableBusy(MovieStreamError):
    """Other writers commit too often.

    What to do: run it again when the other writers are done.

    >>> print(TableBusy(path="lake/hours"))
    lake/hours: other writers were faster 12 times in a row; run it again when they are done, it resumes with what is \
missing
    """

    def __init__(self, *, path: object) -> None:
        super().__init__(
            f"{path}: other writers were faster {_ATTEMPTS} times in a row; run it again when they are done, "
            "it resumes with what is missing"
        )


def mirrored(table: MirrorTable, read: Read, whole: Scope) -> Iterator[tuple[Merged, int]]:
    """Merges the documents of a scope into the table; yields the changes of each slice, and its number of documents.

    Rows are always read after the version of the table that they are merged into. If another writer, who may have read
    later, committed meanwhile, the table and the slice are read a second time.

    Raises TableBusy, and the errors of `MirrorTable.merge`.
    """
    start, attempt = whole.start, 0
    while attempt < _ATTEMPTS:
        table.renew()
        for piece in slices(read(start), table.shape, Scope(start, whole.end, whole.genre)):
            merged = table.merge(piece.rows, piece.scope)
            yield merged, 0 if merged.overtaken else piece.documents
            if merged.overtaken:
                break
            start, attempt = piece.scope.end, 0
        else:
            return
        time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))
        attempt += 1
    raise TableBusy(path=table.path)
