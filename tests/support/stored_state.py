"""The records of one state in changelogs, partials and the store of evicted keys, in the format of the day it was made.

    python -m tests.support.stored_state

makes the file of the present format anew. Only a new format, or new results, need one: a file is never made anew to
have a test pass, since users' changelogs are not made anew either.
"""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path
from typing import Any, Final

import msgspec

from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.document_keys import StoreKey
from movie_stream.aggregates.merger import Merger
from movie_stream.events.chunk import chunk_of
from movie_stream.runs.fingerprint import FORMAT
from movie_stream.tables.checkpoint import CheckpointId, Cursor, EntryRecord, decode, encode
from tests.support.reference import HOUR_MS, Record
from tests.support.simulation import TOPIC, chunk_of_records, evict, partitions_of_events

PARTITIONS: Final = 3
RUN: Final = "1:0123456789abcdef"
FIELD_RULES: Final = Rules(allowed_lateness_ms=6 * HOUR_MS, timezone="Europe/Berlin", revenue_per_view_micro=250_000)
FILE: Final = Path(__file__).parents[1] / "data" / "stored" / f"format-{FORMAT}.msgpack.xz"
_START_MS: Final = 1_730_332_800_000  # 2024-10-31T00:00:00Z


class StoredState(msgspec.Struct):
    """The records of each source partition, the changelogs after part of them, and the partials not yet merged.

    `copies` are those of refused records: partition, offset, and the original's offset. A changelog holds a snapshot
    and what changed since. `evicted` are payloads of `_partials` by `_id`.
    """

    records: list[list[Record]]
    copies: list[tuple[int, int, int]]
    accumulate: list[list[bytes]]
    publish: list[bytes]
    partials: list[bytes]
    evicted: dict[str, bytes]


def load() -> StoredState:
    """What the file holds."""
    return msgspec.msgpack.decode(lzma.decompress(FILE.read_bytes()), type=StoredState)


def made() -> StoredState:
    """Three partitions, one of them hours behind the others; some keys in the store; a quarter is not yet counted."""
    records = partitions_of_events(_events(random.Random(5)), PARTITIONS)
    copies = [copy for p, of_it in enumerate(records) for copy in _copies(p, of_it)]
    states = [Accumulator(p, PARTITIONS, FIELD_RULES, topic=TOPIC) for p in range(PARTITIONS)]
    logs: list[list[bytes]] = [[] for _ in states]
    merger, merged = Merger(PARTITIONS), list[bytes]()
    store: dict[StoreKey, bytes] = {}
    for part in (2, 3):  # fourths of the records
        sent: list[bytes] = []
        for p, state in enumerate(states):
            state.apply(chunk_of_records(p, records[p], state.position, len(records[p]) * part // 4))
            sent.extend(message for _, message in state.partials(1))
            _save(state, logs[p])
        if part == 2:
            merger.apply(chunk_of(0, 0, sent))
            merger.documents(10**9)
            _save(merger, merged)
            evict(merger, store, FIELD_RULES.allowed_lateness_ms)
            _save(merger, merged)
    evicted = {store_key.id: payload for store_key, payload in store.items()}
    return StoredState(records, copies, logs, merged, sent, evicted)


def _save(state: Accumulator | Merger, log: list[bytes]) -> None:
    """Writes a checkpoint; the first is a snapshot."""
    last = decode(log[-1]).id if log else None
    own = CheckpointId("writer", last.sequence + 1 if last else 1)
    payloads = list(state.freeze(snapshot=last is None))
    log.extend(encode(EntryRecord(own, index, payload)) for index, payload in enumerate(payloads))
    cursor = Cursor(own, last, last is None, state.position, state.watermark_ms, len(payloads), RUN)
    log.append(encode(cursor))


def _events(rng: random.Random) -> list[dict[str, Any]]:
    """A day and a half of views, some of them late or refused; more users than a sketch keeps one by one."""
    events: list[dict[str, Any]] = []
    for i in range(1_600):
        number = rng.randrange(3_000)
        film = int(40 * rng.random() ** 2)
        user = f"u{number}" if number % 7 else f"a user of a long name, number {number}"
        at_ms = _START_MS + i * 72_000 + rng.randrange(600_000)
        if sum(user.encode()) % PARTITIONS == 0:  # that is where such a user's views go
            at_ms -= 9 * HOUR_MS
        event: dict[str, Any] = {
            "movie_id": f"film {film}",
            "title": f"Été {film}" if rng.random() < 0.9 else f"Title {film}",
            "genre": rng.choice(("Sci-Fi", "sci-fi", "Drama", "Film  Noir", "Comedy")),
            "user_id": user,
            "timestamp": at_ms if rng.random() < 0.98 else at_ms - 20 * HOUR_MS,
            "rating": rng.choice((None, 0, 2.5, 4, 5, 9)) if rng.random() < 0.2 else rng.randrange(51) / 10,
        }
        if rng.random() < 0.8:
            event["duration"] = rng.randrange(200)
        if rng.random() < 0.6:
            event["price"] = rng.randrange(2_000) / 100
        events.append(event)
    return events


def _copies(partition: int, records: list[Record]) -> list[tuple[int, int, int]]:
    """Adds a few views once more, with a rating and a time that count; most were refused for theirs."""
    copies = []
    fix = {"rating": 3, "timestamp": max(json.loads(value or b"")["timestamp"] for _, _, value in records)}
    for original, _, value in records[: len(records) // 2 : 5]:
        event = json.loads(value or b"")
        if event["rating"] == 9 or original % 50 == 0:
            offset = len(records)
            records.append((offset, None, json.dumps(event | fix).encode()))
            copies.append((partition, offset, original))
    return copies


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(lzma.compress(msgspec.msgpack.encode(made())))
