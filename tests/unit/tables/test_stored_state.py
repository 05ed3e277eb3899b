"""State that an earlier state of the code left in changelogs, partials and `_partials` is read, and counted on with."""

from __future__ import annotations

from typing import Any

import pytest

from movie_stream.aggregates.accumulator import Accumulator
from movie_stream.aggregates.merger import Merger
from movie_stream.aggregates.results import RESULTS
from movie_stream.events.chunk import chunk_of
from movie_stream.mongo.guard import body_of
from movie_stream.tables.checkpoint import Chain
from tests.support import reference
from tests.support.simulation import TOPIC, chunk_of_records
from tests.support.stored_state import FIELD_RULES, FILE, PARTITIONS, RUN, StoredState, load


@pytest.fixture(scope="module")
def stored() -> StoredState:
    assert FILE.exists(), "a new format needs a file of its own: python -m tests.support.stored_state"
    return load()


def restored(state: Any, log: list[bytes]) -> Any:
    chain, position = Chain(RUN), 0
    for record in log:
        if counted := chain.read(record):
            for payload in counted.payloads:
                state.load(payload)
            position, watermark_ms = counted.cursor.position, counted.cursor.watermark_ms
    assert position
    state.loaded(position, watermark_ms)
    return state


def test_an_earlier_state_is_counted_on_with(stored: StoredState) -> None:
    """Where it cannot be, FORMAT of movie_stream.runs.fingerprint has to be another (with other results, a run is
    another anyway): workers then ask for a rebuild, and this needs another file.
    """
    copies = {(p, offset): original for p, offset, original in stored.copies}
    rules = reference.Rules(FIELD_RULES.allowed_lateness_ms, timezone=FIELD_RULES.timezone, revenue_per_view=0.25)
    wanted = reference.expected(stored.records, rules, copies)
    merger = restored(Merger(PARTITIONS), stored.publish)
    messages, letters = list(stored.partials), set()
    for p, records in enumerate(stored.records):
        state = restored(Accumulator(p, PARTITIONS, FIELD_RULES, topic=TOPIC), stored.accumulate[p])
        first = state.position
        assert 0 < first < len(records)
        for letter in state.apply(chunk_of_records(p, records, first, len(records), copies)):
            letters.add((p, letter.offset, letter.kind))
        messages.extend(message for _, message in state.partials(1))
        assert {letter for letter in wanted.dead_letters if letter[0] == p and letter[1] >= first} <= letters
    assert letters <= wanted.dead_letters
    assert {kind for _, _, kind in letters} == {"bad", "late", "counted", "again"}
    merger.apply(chunk_of(0, merger.position, messages))
    asked = list(merger.unfetched)
    store_ids = [store_key.id for key in asked for store_key in merger.store_keys(key)]
    fetched = [stored.evicted[store_id] for store_id in store_ids if store_id in stored.evicted]
    assert fetched, "there are views of windows whose keys lie in the store"
    merger.fetched(fetched, asked)
    found: reference.Documents = {}
    for document in merger.documents(10**9):
        found.setdefault(document.key.collection, {})[document.id] = {"_id": document.id, **body_of(document.encoded)}
    assert found.keys() == {result.collection for result in RESULTS}
    of_these = {name: {i: wanted.documents[name][i] for i in documents} for name, documents in found.items()}
    assert reference.same(found, of_these) == []
    assert any(document["unique_users"] > reference.EXACT_UP_TO for document in found["daily_stats"].values())
