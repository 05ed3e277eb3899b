"""Which refused records of a partition may still be replaced by a copy, so that of its copies at most one counts.

A copy of a refused record names its original in the header REPLAY_OF and stands behind it in the same partition. It is
judged like any record if its original is *open*: refused in this run, or older than the first record that this run has
counted; and not more than REACH offsets back. A copy that counts closes its original. So of an original and all its
copies one counts, whatever the rules of this run and whoever sent the copies; and all of it follows from the
partition's log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from movie_stream.columnar.bitmap import BITS, WORD_BYTES, Bits

REACH: Final = 1 << 26
"""How many offsets a copy may stand behind its original. What is older is forgotten: the state stays bounded."""
_WORDS_IN_BLOCK: Final = 8_000
_NUMBERED_BYTES: Final = 9 + WORD_BYTES
"""Bytes of a word and its number in a block."""


class RefusedBlock(msgspec.Struct, array_like=True, tag="refused"):
    """Words of the bitmap in a changelog."""

    begin: int
    at: list[int]
    """The words' numbers, ascending."""
    words: bytes


class BadReplayHeader(ValueError):
    """A header REPLAY_OF that names no earlier record of this partition; its text is the reason."""


def replay_header(topic: str, partition: int, offset: int) -> bytes:
    """The header of a copy: which topic (its id), partition and offset the original has.

    >>> replay_header("cluster/id", 2, 17)
    b'cluster/id 2 17'
    """
    return f"{topic} {partition} {offset}".encode()


def original_of(header: bytes, topic: str, partition: int, before: int) -> int:
    """The original's offset, which is before the copy's own. Raises BadReplayHeader.

    >>> original_of(b"cluster/id 2 17", "cluster/id", 2, before=30)
    17
    """
    of_topic, _, rest = header.decode("utf-8", "replace").rpartition(" ")[0].rpartition(" ")
    digits = header.rpartition(b" ")[2]
    if of_topic == topic and rest == str(partition) and digits.isdigit() and len(digits) < 20 and int(digits) < before:
        return int(digits)
    raise BadReplayHeader(
        f"header movie-stream-replay-of: expected an earlier record of this partition "
        f"({topic} {partition} and an offset below {before}), got {ascii(header[:60])[1:]}"
    )


class OpenOriginals:
    """The open originals of one partition.

    A bitmap by offset, in words: from `begin` on, a set bit is a record that was refused and is open; before it, where
    everything is open, a set bit is one that a copy has closed.

    >>> refused = OpenOriginals()
    >>> refused.start(100)
    >>> refused.refuse(130)
    >>> [refused.is_open(offset, copy=200) for offset in (7, 129, 130)]
    [True, False, True]
    >>> refused.close(7); refused.close(130)
    >>> [refused.is_open(offset, copy=200) for offset in (7, 129, 130)]
    [False, False, False]
    """

    def __init__(self) -> None:
        self._begin: int | None = None
        """The first offset that this run has counted, None before that."""
        self._bits = Bits()
        self._unsaved: set[int] = set()

    def start(self, position: int) -> None:
        """Notes the position at which counting begins; later calls change nothing."""
        if self._begin is None:
            self._begin = position

    def refuse(self, offset: int) -> None:
        """Opens a record that was refused and is no copy."""
        self._bits.add(offset)
        self._unsaved.add(offset // BITS)

    def is_open(self, original: int, copy: int) -> bool:
        """Whether a copy of this record, at the offset `copy`, may count."""
        return copy - original <= REACH and (original in self._bits) == (original >= (self._begin or 0))

    def close(self, original: int) -> None:
        """Closes a record that was open: a copy of it counts."""
        self._bits.flip(original)
        self._unsaved.add(original // BITS)

    def forget(self, position: int) -> None:
        """Drops what no copy from `position` on can reach. Nothing of it goes into the changelog."""
        self._bits.drop_before(position - REACH)
        self._unsaved = {at for at in self._unsaved if at in self._bits.words}

    def blocks(self, snapshot: bool, most: int | None = None) -> Iterator[RefusedBlock]:
        """What changed since the last call, or everything, in blocks of a bounded size: of up to `most` bytes."""
        words = _WORDS_IN_BLOCK if most is None else min(max(most // _NUMBERED_BYTES, 1), _WORDS_IN_BLOCK)
        changed = sorted(at for at, word in self._bits.words.items() if word) if snapshot else sorted(self._unsaved)
        self._unsaved.clear()
        if snapshot and not changed and self._begin:
            yield RefusedBlock(self._begin, [], b"")
        for first in range(0, len(changed), words):
            part = changed[first : first + words]
            yield RefusedBlock(self._begin or 0, part, self._bits.exported(part))

    def load(self, block: RefusedBlock) -> None:
        """Takes over a block; they come in the order in which they were made."""
        self._begin = block.begin
        self._bits.load(block.at, block.words)

    def loaded(self, position: int) -> None:
        """Ends a restore: a run that has counted something and says nothing of its beginning began at 0."""
        if position:
            self.start(0)
