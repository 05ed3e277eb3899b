"""Strings as small integers, so that columns of them can be grouped and compared by numpy."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from movie_stream.aggregates.columns import Column, Ints


class Interner(dict[str, int]):
    """Numbers strings in the order in which they first come.

    >>> names = Interner()
    >>> names.ids(["a", "b", "a"]).tolist(), names.names
    ([0, 1, 0], ['a', 'b'])
    """

    __slots__ = ("_hashes", "names")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self._hashes = Column(np.uint64)

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
        self._hashes = Column(np.uint64)
        self.ids(names)

    def hashes(self, ids: Ints) -> NDArray[np.uint64]:
        """A 64-bit hash of each string, the same in every process; each string is hashed once."""
        known = len(self._hashes.values)
        if known < len(self.names):
            self._hashes.grow(len(self.names))
            self._hashes.values[known:] = [hash64(name.encode()) for name in self.names[known:]]
        return self._hashes.values[ids]


def hash64(utf8: bytes) -> int:
    """64 bits of BLAKE2b of a string in UTF-8."""
    return int.from_bytes(blake2b(utf8, digest_size=8).digest(), "little")
