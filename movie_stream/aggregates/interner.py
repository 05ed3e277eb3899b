"""Strings as small integers, so that columns of them can be grouped and compared by numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from movie_stream.aggregates.columns import Ints


class Interner(dict[str, int]):
    """Numbers strings in the order in which they first come.

    >>> names = Interner()
    >>> names.ids(["a", "b", "a"]).tolist(), names.names
    ([0, 1, 0], ['a', 'b'])
    """

    __slots__ = ("names",)

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self.names)
        self.names.append(name)
        return number

    def ids(self, names: Sequence[str]) -> Ints:
        """The number of each string; a new string gets a new number."""
        return np.array(list(map(self.__getitem__, names)), np.int64)

    def texts(self, ids: Ints) -> list[str]:
        """The strings of these numbers."""
        return [self.names[i] for i in ids.tolist()]

    def restart(self, names: Sequence[str]) -> None:
        """Forgets all names and numbers these anew."""
        self.clear()
        self.names.clear()
        self.ids(names)
