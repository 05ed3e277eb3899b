"""The whole path with real processes, the real broker and the real mongod, against the naive reference."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from movie_stream.settings import Settings
from tests.support import reference, reference_queries
from tests.support.in_process import initialize
from tests.support.whole_path import database, documents, log_of, records, started, succeed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("events", [20_000, pytest.param(200_000, marks=pytest.mark.long)])
def test_two_workers_count_what_the_reference_does(settings: Settings, tmp_path: Path, events: int) -> None:
    views = tmp_path / "views.csv"
    succeed(settings, "init")
    succeed(settings, "generate", "--output", str(views), "--count", str(events), "--seed", "11")
    logs = [tmp_path / f"worker{n}.log" for n in range(2)]
    with (
        started(settings, "worker", "--until-end", log=logs[0]) as first,
        started(settings, "worker", log=logs[1]) as second,
    ):
        first.wait(60)  # the topic was empty: it ends at once, and its partitions go to the other
        assert first.returncode == 0, logs[0].read_text()[-2000:]
        succeed(settings, "produce", "--file", str(views))
        with started(settings, "worker", "--until-end", log=logs[0]) as third:
            assert third.wait(120) == 0, logs[0].read_text()[-2000:]
        second.terminate()
        assert second.wait(30) == 0, logs[1].read_text()[-2000:]
    wanted = reference.expected(log_of(settings)).documents
    with database(settings) as db:
        assert reference.same(documents(db), wanted) == []
        assert reference_queries.top_genres(db) == reference_queries.expected_top_genres(wanted)
        assert reference_queries.well_rated_windows(db) == reference_queries.expected_well_rated_windows(wanted)
        assert reference_queries.views_by_hour_of_day(db) == reference_queries.expected_views_by_hour_of_day(wanted)
        assert reference_queries.most_active_users(db) == reference_queries.expected_most_active_users(wanted)


def test_without_numba_the_documents_are_the_same_and_the_worker_says_that_it_is_slow(
    settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    initialize(settings)
    succeed(settings, "generate", "--to-topic", "--count", "200", "--seed", "12")
    with started(settings, "worker", "--until-end", log=log, NUMBA_DISABLE_JIT="1") as worker:
        assert worker.wait(120) == 0, log.read_text()[-2000:]
    assert "pip install 'movie-stream[fast]'" in log.read_text()
    with database(settings) as db:
        assert reference.same(documents(db), reference.expected(log_of(settings)).documents) == []


GOOD: dict[str, Any] = {
    "movie_id": "m1",
    "title": "Alien",
    "genre": "Sci-Fi",
    "user_id": "u1",
    "timestamp": 1_730_385_000_000,
    "rating": 4.5,
    "duration": 117,
}
BAD: dict[str, tuple[bytes | None, str]] = {
    "broken JSON": (b'{"movie_id": "m1"', "not JSON"),
    "wrong type": (json.dumps({**GOOD, "timestamp": "now"}).encode(), "timestamp: expected a whole number"),
    "out of range": (json.dumps({**GOOD, "rating": 11}).encode(), "rating: expected a number from 0 to 5"),
    "NaN": (json.dumps({**GOOD, "rating": float("nan")}).encode(), "not JSON"),
    "missing field": (json.dumps({k: v for k, v in GOOD.items() if k != "title"}).encode(), "title: missing"),
    "null": (None, "null record"),
    "no UTF-8": (b'{"movie_id": "\xff\xfe"}', "not UTF-8"),
    "900 KB": (json.dumps({**GOOD, "title": "x" * 900_000}).encode(), "title: expected a string of 1 to 512"),
    "year 2124": (json.dumps({**GOOD, "timestamp": 4_870_000_000_000}).encode(), "FUTURE_TOLERANCE"),
    "late": (json.dumps({**GOOD, "timestamp": 1_730_000_000_000}).encode(), "late"),
}


def test_bad_records_become_dead_letters_and_the_good_ones_around_them_count(
    settings: Settings, tmp_path: Path
) -> None:
    initialize(settings)
    good = json.dumps(GOOD).encode()
    sent = [value for bad, _ in BAD.values() for value in (good, bad, good)]
    asyncio.run(_send(settings, sent))
    succeed(settings, "worker", "--until-end")
    letters = [letter for partition in records(settings, settings.dead_letters_topic) for letter in partition]
    assert len(letters) == len(BAD)
    for ((_, _, value), headers), (name, (bad, reason)) in zip(letters, BAD.items(), strict=True):
        assert value == bad, name
        assert reason in headers["reason"].decode(), name
        assert headers["source-topic"].decode() == settings.kafka_topic
        offset = int(headers["source-offset"])
        assert sent[offset] == bad, name
    outcome = reference.expected(log_of(settings))
    assert {(p, o) for p, o, _ in outcome.dead_letters} == {
        (int(headers["source-partition"]), int(headers["source-offset"])) for _, headers in letters
    }
    with database(settings) as db:
        assert reference.same(documents(db), outcome.documents) == []


async def _send(settings: Settings, values: list[bytes | None]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.require_broker(), max_request_size=4 << 20)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(settings.kafka_topic, value, key=b"u1", partition=0)
    finally:
        await producer.stop()


def test_late_views_and_bridged_sessions_change_past_documents(settings: Settings) -> None:
    rng = random.Random(5)
    initialize(settings)
    start = 1_730_332_800_000
    views = []
    for minute in range(3 * 24 * 60):
        late = rng.choice((0, 0, 0, 30, 600, 23 * 60, 30 * 60))
        views.append(
            {
                **GOOD,
                "user_id": f"u{rng.randrange(40)}",
                "movie_id": f"m{rng.randrange(25)}",
                "genre": rng.choice(("Drama", "drama ", "Sci-Fi")),
                "timestamp": start + max(0, minute - late) * 60_000,
                "rating": rng.choice((None, rng.randrange(11) / 2)),
            }
        )
    asyncio.run(_send_by_user(settings, views))
    succeed(settings, "worker", "--until-end")
    outcome = reference.expected(log_of(settings))
    assert outcome.dead_letters
    with database(settings) as db:
        assert reference.same(documents(db), outcome.documents) == []


async def _send_by_user(settings: Settings, views: list[dict[str, Any]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.require_broker())
    await producer.start()
    try:
        for view in views:
            await producer.send(settings.kafka_topic, json.dumps(view).encode(), key=view["user_id"].encode())
        await producer.flush()
    finally:
        await producer.stop()
