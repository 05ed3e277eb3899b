"""Deduplication of replays: which refused records of a partition a copy may still replace, so that at most one counts.

A copy of a refused record names its original in the header REPLAY_OF and follows it in the same partition. It is
judged like any record if its original is *open*: refused in this run, or older than the first record that this run has
counted; and not more than MAX_DISTANCE offsets back. A copy that counts closes its original. So at most one of an
original and all its copies counts, whatever the rules of this run and whoever sent the copies. All of this follows from
the partition's log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from movie_stream.columnar.bitmap import BITS, WORD_BYTES, Bitmap

MAX_DISTANCE: Final = 1 << 26
"""The most offsets between an original and its copy. Older originals are dropped, which bounds the state."""
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
    """A header REPLAY_OF that names no earlier record of this partition; the message is the reason."""


def replay_header(topic: str, partition: int, offset: int) -> bytes:
    """The header of a copy: the topic (its id), partition and offset of the original.

    >>> replay_header("cluster/id", 2, 17)
    b'cluster/id 2 17'
    """
    return f"{topic} {partition} {offset}".encode()


def original_of(header: bytes, topic: str, partition: int, before: int) -> int:
    """The original's offset, which has to be below `before`, the copy's own. Raises BadReplayHeader.

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

    A bitmap by offset, in words. From `begin` on, a set bit is a refused record that is open. Before `begin` every
    record is open by default, and a set bit is one that a copy has closed.

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
        self._bits = Bitmap()
        self._unsaved: set[int] = set()

    def start(self, position: int) -> None:
        """Sets the position at which counting begins; later calls have no effect."""
        if self._begin is None:
            self._begin = position

    def refuse(self, offset: int) -> None:
        """Opens a refused record that is not a copy."""
        self._bits.add(offset)
        self._unsaved.add(offset // BITS)

    def is_open(self, original: int, copy: int) -> bool:
        """Whether a copy of this record, at the offset `copy`, may count."""
        return copy - original <= MAX_DISTANCE and (original in self._bits) == (original >= (self._begin or 0))

    def close(self, original: int) -> None:
        """Closes an open record: a copy of it counts."""
        self._bits.flip(original)
        self._unsaved.add(original // BITS)

    def drop_expired(self, position: int) -> None:
        """Drops the originals that no copy from `position` on can reach. It writes nothing to the changelog."""
        self._bits.drop_before(position - MAX_DISTANCE)
        self._unsaved = {at for at in self._unsaved if at in self._bits.words}

    def blocks(self, snapshot: bool, most: int | None = None) -> Iterator[RefusedBlock]:
        """The changes since the last call, or the whole state if `snapshot`, as blocks of up to `most` bytes."""
        words = _WORDS_IN_BLOCK if most is None else min(max(most // _NUMBERED_BYTES, 1), _WORDS_IN_BLOCK)
        changed = sorted(at for at, word in self._bits.words.items() if word) if snapshot else sorted(self._unsaved)
        self._unsaved.clear()
        if snapshot and not changed and self._begin:
            yield RefusedBlock(self._begin, [], b"")
        for first in range(0, len(changed), words):
            part = changed[first : first + words]
            yield RefusedBlock(self._begin or 0, part, self._bits.exported(part))

    def load(self, block: RefusedBlock) -> None:
        """Loads a block; blocks have to be loaded in the order in which they were made."""
        self._begin = block.begin
        self._bits.load(block.at, block.words)

    def loaded(self, position: int) -> None:
        """Ends a restore: if no block had a beginning, and `position` is above 0, counting began at 0."""
        if position:
            self.start(0)
