"""Hashes of byte strings: keyed for hash tables, stable for storage, and murmur2 for Kafka's partitions."""

from __future__ import annotations

import numpy as np

from movie_stream.kernels.compiled import Bytes, Ints, Words, Words32, Words32Out, WordsOut, kernel, part


@part
def byte_at(text: Bytes, at: int) -> int:
    """A byte. The index is unsigned, since for a signed one Numba looks whether it counts from the end."""
    return np.int64(text[np.uint64(at)])  # type: ignore[return-value]  # for Numba an int


@part
def eight_at(text: Bytes, at: int) -> np.uint64:
    """The eight bytes from `at` on, as a little-endian word: one load, since an unsigned index is not checked."""
    word, begin = np.uint64(0), np.uint64(at)
    for byte in range(8):
        word |= np.uint64(text[begin + np.uint64(byte)]) << np.uint64(8 * byte)
    return word


@part
def word_at(text: Bytes, at: int, size: int) -> np.uint64:
    """The first eight of the `size` bytes from `at` on, as a little-endian word; fewer are filled up with zeros.

    Eight bytes are read whatever the size: buffers of strings have that many after the last one.
    """
    word = eight_at(text, at)
    return word if size >= 8 else word & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1))


@part
def keyed_hash(text: Bytes, begin: int, size: int, key: Words) -> np.uint64:
    """64 well-mixed bits of a string, by a key of three odd words.

    Each word is multiplied twice, since one multiplication lets a flipped top bit through unchanged.
    """
    half = np.uint64(32)
    mixed: np.uint64 = np.uint64(size) * key[0]
    at = 0
    while True:
        mixed = (mixed ^ word_at(text, begin + at, size - at)) * key[1]
        mixed ^= mixed >> half
        mixed *= key[2]
        mixed ^= mixed >> half
        at += 8
        if at >= size:
            return mixed


@kernel
def keyed_hashes(text: Bytes, begins: Ints, lengths: Ints, key: Words, hashes: WordsOut) -> None:
    """The keyed hash of each string; a length below 0, of None, counts as 0."""
    for row in range(len(begins)):
        hashes[row] = keyed_hash(text, begins[row], max(lengths[row], 0), key)


@part
def stable_hash(text: Bytes, begin: int, size: int) -> np.uint64:
    """64 well-mixed bits of a string, the same everywhere: the finalizer of MurmurHash3 for each word."""
    golden, shift = np.uint64(0x9E3779B97F4A7C15), np.uint64(33)
    mixed = (np.uint64(size) + np.uint64(1)) * golden
    at = 0
    while True:
        mixed ^= word_at(text, begin + at, size - at)
        mixed ^= mixed >> shift
        mixed *= np.uint64(0xFF51AFD7ED558CCD)
        mixed ^= mixed >> shift
        mixed *= np.uint64(0xC4CEB9FE1A85EC53)
        mixed ^= mixed >> shift
        at += 8
        if at >= size:
            return mixed
        mixed += golden


@kernel
def stable_hashes(text: Bytes, begins: Ints, lengths: Ints, hashes: WordsOut) -> None:
    """The stable hash of each string; a length below 0, of None, counts as 0."""
    for row in range(len(begins)):
        hashes[row] = stable_hash(text, begins[row], max(lengths[row], 0))


@kernel
def murmur2_hashes(text: Bytes, begins: Ints, lengths: Ints, hashes: Words32Out) -> None:
    """The murmur2 hash of each string, as Kafka's Java client computes it; a length below 0 counts as 0."""
    multiplier, low = np.uint64(0x5BD1E995), np.uint64(0xFFFFFFFF)  # Numba widens a product of 32 bits to 64
    for row in range(len(begins)):
        at, size = begins[row], max(lengths[row], 0)
        end = at + size
        mixed = np.uint64(0x9747B28C) ^ np.uint64(size)
        while at + 4 <= end:
            word = word_at(text, at, 4) * multiplier & low
            word = (word ^ word >> np.uint64(24)) * multiplier & low
            mixed = (mixed * multiplier & low) ^ word
            at += 4
        if at < end:
            mixed = (mixed ^ word_at(text, at, end - at)) * multiplier & low
        mixed = (mixed ^ mixed >> np.uint64(13)) * multiplier & low
        hashes[row] = np.uint32(mixed ^ mixed >> np.uint64(15))


@kernel
def continue_crc32(text: Bytes, begins: Ints, lengths: Ints, table: Words32, crcs: Words32Out) -> None:
    """Continues the CRC-32 of each row (zlib's) with a string; `table` has the remainder of each byte."""
    ones = np.uint32(0xFFFFFFFF)
    for row in range(len(crcs)):
        crc = crcs[row] ^ ones
        for at in range(begins[row], begins[row] + lengths[row]):
            crc = table[np.uint64((crc ^ np.uint32(text[np.uint64(at)])) & np.uint32(0xFF))] ^ crc >> np.uint32(8)
        crcs[row] = crc ^ ones
