"""Runs the pure core as the two agents would, without Kafka and MongoDB: chunks in, documents out."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from movie_stream.aggregates import results
from movie_stream.aggregates.accumulator import Accumulator, DeadLetter, Rules
from movie_stream.aggregates.document_keys import StoreKey
from movie_stream.aggregates.eviction import Evicted
from movie_stream.aggregates.merger import Merger
from movie_stream.aggregates.refused import replay_header
from movie_stream.events.chunk import Chunk, chunk_of
from movie_stream.mongo.guard import body_of
from tests.support.reference import Record, views

Copies = Mapping[tuple[int, int], int]
"""Of each copy of a refused record, by partition and offset, the offset of its original."""
TOPIC = "cluster/topic"
Declared = tuple[results.Result, ...]


def partitions_of_events(events: Sequence[dict[str, Any]], count: int) -> list[list[Record]]:
    """Events as records, spread over partitions by their user, in the order given."""
    partitions: list[list[Record]] = [[] for _ in range(count)]
    for event in events:
        partition = partitions[sum(str(event.get("user_id")).encode()) % count]
        partition.append((len(partition), None, json.dumps(event).encode()))
    return partitions


def chunk_of_records(
    partition: int, records: Sequence[Record], start: int, end: int, copies: Copies | None = None
) -> Chunk:
    """The records from `start` to before `end` as one chunk."""
    part = records[start:end]
    times = [-1 if time is None else time for _, time, _ in part]
    return chunk_of(
        partition,
        start,
        [value for _, _, value in part],
        times,
        replays={
            offset: replay_header(TOPIC, partition, original)
            for offset in range(start, end)
            if (original := (copies or {}).get((partition, offset))) is not None
        },
    )


def counted(*events: Mapping[str, object]) -> dict[str, dict[str, dict[str, Any]]]:
    """The documents of all results by collection and `_id`; what an event leaves out is that of reference.A_VIEW.

    >>> counted({"rating": 4}, {"rating": 5})["hourly_metrics"]["hourly_2024-10-31T14:00:00Z"]["avg_rating"]
    4.5
    """
    accumulator, merger = Accumulator(0, 1, Rules(), results=results.RESULTS), Merger(1, results=results.RESULTS)
    accumulator.apply(chunk_of_records(0, views(*events), 0, len(events)))
    merger.apply(chunk_of(0, 0, [message for _, message in accumulator.partials(1)]))
    documents: dict[str, dict[str, dict[str, Any]]] = {result.collection: {} for result in results.RESULTS}
    for document in merger.documents(limit=10**9):
        documents[document.key.collection][document.id] = body_of(document.encoded)
    return documents


class Pipeline:
    """All accumulators and one merger; `log` holds the records of `movie-partials`."""

    def __init__(
        self,
        partitions: Sequence[Sequence[Record]],
        rules: Rules | None = None,
        copies: Copies | None = None,
        declared: Declared = results.RESULTS,
    ) -> None:
        self.rules, self.copies, self.declared = rules or Rules(), copies, declared
        self.partitions = partitions
        self.accumulators = [self.new_accumulator(p) for p in range(len(partitions))]
        self.letters: dict[tuple[int, int], DeadLetter] = {}
        self.log: list[bytes] = []

    def new_accumulator(self, partition: int) -> Accumulator:
        return Accumulator(partition, len(self.partitions), self.rules, results=self.declared, topic=TOPIC)

    def chunk(self, partition: int, start: int, end: int) -> Chunk:
        return chunk_of_records(partition, self.partitions[partition], start, end, self.copies)

    def apply(self, partition: int, count: int) -> None:
        """Applies the next `count` records of a partition as one chunk."""
        accumulator = self.accumulators[partition]
        start = accumulator.position
        end = min(start + count, len(self.partitions[partition]))
        for letter in accumulator.apply(self.chunk(partition, start, end)):
            self.letters[partition, letter.offset] = letter

    def send(self, partition: int, checkpoint: bool = True) -> None:
        """Sends what changed; without a checkpoint not what waits for one."""
        self.log.extend(message for _, message in self.accumulators[partition].partials(1, checkpoint))

    def restart(self, partition: int) -> None:
        """Restores a partition from a snapshot, as a new owner would."""
        old = self.accumulators[partition]
        self.send(partition)
        new = self.new_accumulator(partition)
        for entry in old.freeze(snapshot=True):
            new.load(entry)
        new.loaded(old.position, old.watermark_ms)
        self.accumulators[partition] = new

    def done(self) -> bool:
        return all(a.position == len(p) for a, p in zip(self.accumulators, self.partitions, strict=True))


def run(
    partitions: Sequence[Sequence[Record]],
    rng: random.Random,
    rules: Rules | None = None,
    copies: Copies | None = None,
    declared: Declared = results.RESULTS,
) -> Pipeline:
    """Applies everything in chunks of random length, with sends, restarts, replays and forgetting in between."""
    pipeline = Pipeline(partitions, rules, copies, declared)
    while not pipeline.done():
        p = rng.randrange(len(partitions))
        luck = rng.random()
        if luck < 0.5:
            pipeline.apply(p, rng.choice((1, 2, 5, 30, 1000)))
        elif luck < 0.8:
            pipeline.send(p, checkpoint=rng.random() < 0.3)
        elif luck < 0.9:
            pipeline.restart(p)
        elif luck < 0.95:
            pipeline.send(p)
            pipeline.accumulators[p].drop_expired()
        else:  # a zombie counts from the start again, somewhere, and sends what it has
            zombie = pipeline.new_accumulator(p)
            zombie.apply(pipeline.chunk(p, 0, rng.randint(0, pipeline.accumulators[p].position)))
            pipeline.log.extend(message for _, message in zombie.partials(1))
    for p in range(len(partitions)):
        pipeline.send(p)
    return pipeline


def evict(merger: Merger, store: dict[StoreKey, bytes], allowed_lateness_ms: int, limit: int = 0) -> list[Evicted]:
    """Moves what can go into the store."""
    evicted = [one for some in merger.evictable(allowed_lateness_ms, limit) for one in some]
    store.update({one.store_key: one.payload for one in evicted})
    merger.evict({one.store_key: one.rev for one in evicted})
    return evicted


def fetch(merger: Merger, store: Mapping[StoreKey, bytes]) -> None:
    """Loads the stored figures of the keys that changed again."""
    asked = list(merger.unfetched)
    wanted = [store_key for key in asked for store_key in merger.store_keys(key)]
    merger.fetched([store[store_key] for store_key in wanted if store_key in store], asked)


def drop_final(merger: Merger, limit: int) -> int:
    """Drops what no source can change any more; returns the time before which all of it began."""
    lateness_ms = Rules().allowed_lateness_ms
    merger.drop_final(lateness_ms, limit)
    return min(merger.watermarks.values(), default=0) - lateness_ms


def merged(
    log: Sequence[bytes],
    partitions: int,
    rng: random.Random,
    declared: Declared = results.RESULTS,
    *,
    in_order: bool = False,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Applies partials in chunks to a merger with restores and evictions in between; collects the newest documents.

    Windows are dropped as final only where the log is said to be in the order in which it was sent.
    """
    documents: dict[str, dict[str, tuple[tuple[int, ...], dict[str, Any]]]] = {}
    store: dict[StoreKey, bytes] = {}
    merger = Merger(partitions, results=declared)
    written: list[bytes] = []
    position = dropped_before = 0
    while position < len(log) or merger.dirty:
        end = min(len(log), position + rng.choice((1, 3, 20)))
        merger.apply(chunk_of(0, position, log[position:end]))
        position = end
        fetch(merger, store)
        if rng.random() < 0.5 or position == len(log):
            for document in merger.documents(10**9):
                collection = documents.setdefault(document.key.collection, {})
                old, _ = collection.get(document.id, ((0,) * partitions, {}))
                if np.all(np.array(document.rev) >= old):
                    collection[document.id] = (document.rev, {"_id": document.id, **body_of(document.encoded)})
                else:
                    assert document.key.start_ms < dropped_before, "a document's revision went back"
            luck = rng.random()
            if in_order and rng.random() < 0.3:
                dropped_before = drop_final(merger, rng.choice((0, 10)))
            if luck < 0.3:
                evict(merger, store, Rules().allowed_lateness_ms, rng.choice((0, 10)))
            if luck < 0.6:
                snapshot = not written or rng.random() < 0.3
                written = [*([] if snapshot else written), *merger.freeze(snapshot)]
                if rng.random() < 0.5:
                    restored = Merger(partitions, results=declared)
                    for entry in written:
                        restored.load(entry)
                    restored.loaded(merger.position, None)
                    merger = restored
    return {name: {at: body for at, (_, body) in of.items()} for name, of in documents.items()}
