"""A column of cells, as text of a file: as strings, or in one buffer, for kernels, without an object per cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import PAD, Spans, joined
from movie_stream.kernels.strings import copy_strings

HALVES: Final = "surrogatepass"
"""Half a surrogate pair stands for a byte that is invalid in the encoding of the file; it is kept."""
_LINE_FEED: Final = ord("\n")


class Cells(Sequence[str]):
    """The cells that are the UTF-8 in `spans`.

    >>> cells = Cells(Spans.of([b"Heat", b""]))
    >>> list(cells), cells[0], "" in cells
    (['Heat', ''], 'Heat', True)
    """

    def __init__(self, spans: Spans) -> None:
        self.spans = spans

    @cached_property
    def strings(self) -> list[str]:
        """The cells as Python's strings."""
        spans = self.spans
        places = np.cumsum(spans.lengths + 1) - spans.lengths - 1
        lines = np.full(int(spans.lengths.sum()) + len(spans), _LINE_FEED, np.uint8)
        copy_strings(spans.text, spans.begins, spans.lengths, places, lines)
        strings = str(lines.data, "utf-8", HALVES).split("\n")[:-1]
        if len(strings) != len(spans):  # a cell has a line break
            strings = [str(cell or b"", "utf-8", HALVES) for cell in spans]
        return strings

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[str]:
        return iter(self.strings)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        return self.strings[at]

    def where(self, keep: NDArray[np.bool_]) -> Cells:
        """The cells at which `keep` is true."""
        return Cells(self.spans.take(keep))


def spans_of(cells: Sequence[str]) -> Spans:
    """The UTF-8 of cells, in one buffer."""
    if isinstance(cells, Cells):
        return cells.spans
    lengths = np.array([len(cell) if cell.isascii() else len(cell.encode("utf-8", HALVES)) for cell in cells], np.int64)
    return Spans(joined(["".join(cells).encode("utf-8", HALVES)]), len(PAD) + np.cumsum(lengths) - lengths, lengths)


def has_any(cells: Sequence[str], words: frozenset[str]) -> bool:
    """Whether a column has any of these words, none of them empty; quick if hardly a cell begins like one.

    >>> has_any(Cells(Spans.of([b"4.5", b"None"])), frozenset({"NULL", "None"}))
    True
    """
    if not isinstance(cells, Cells):
        return not words.isdisjoint(cells)
    likely = np.zeros(256, np.bool_)
    likely[[word.encode("utf-8", HALVES)[0] for word in words]] = True
    rows = np.flatnonzero(likely[cells.spans.text[cells.spans.begins]])
    return bool(len(rows)) and not words.isdisjoint(Cells(cells.spans.take(rows)))


def on_one_buffer(columns: Sequence[Spans]) -> list[Spans]:
    """The same columns, all of them in one buffer.

    >>> [list(column) for column in on_one_buffer([Spans.of([b"a"]), Spans.of([b"b"])])]
    [[b'a'], [b'b']]
    """
    buffers = {id(column.text): column.text for column in columns}
    if len(buffers) == 1:
        return list(columns)
    sizes = np.fromiter(map(len, buffers.values()), np.int64, len(buffers))
    shifts = dict(zip(buffers, (np.cumsum(sizes) - sizes).tolist(), strict=True))
    text = np.concatenate(list(buffers.values()))
    return [Spans(text, column.begins + shifts[id(column.text)], column.lengths) for column in columns]
