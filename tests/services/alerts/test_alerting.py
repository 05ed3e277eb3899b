"""What one worker says of its evaluation: in the log, to Prometheus, and to the doctor."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from movie_stream.agents.alerting import Alerting
from movie_stream.agents.startup import Connections
from movie_stream.alerts.completeness import Completeness
from movie_stream.alerts.rule_file import RuleFile, parsed
from movie_stream.alerts.store import Store
from movie_stream.commands.alerts.in_words import reached_in_words
from movie_stream.commands.doctor.alerts import check_alerts
from movie_stream.commands.doctor.findings import Findings, Row
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.kafka.offsets import OpenTransaction
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values
from movie_stream.mongo.alerts import progress
from movie_stream.mongo.client import Database
from movie_stream.mongo.workers import Heartbeat, OwnedPartition, WorkerStatus
from movie_stream.settings import Settings

RUN = 5
TEXT = '[[rule]]\nname = "busy"\nkind = "views"\nwindow = "1 h"\nabove = 1\nto = ["log", "webhook.ops"]\n'
HOOK = '[webhook.ops]\nurl = "http://127.0.0.1:9/"\n'


def rules(text: str = TEXT + HOOK) -> RuleFile:
    return parsed(text, "alerts.toml", {})


def alerting(settings: Settings, db: Database, sources: int = 1) -> Alerting:
    context = SimpleNamespace(
        run_number=RUN,
        topics=SimpleNamespace(events="views", partials="partials"),
        topology=SimpleNamespace(partitions={"views": sources, "partials": 1}),
    )
    return Alerting(settings, cast(Connections, SimpleNamespace(context=context, db=db)), rules())


async def beats(db: Database, settings: Settings, host: str, has: str | None) -> None:
    held = (OwnedPartition("partials", 0, 7, 0),)
    standing = WorkerStatus(settings.kafka_group, "running", RUN, None, held, rules=has)
    heart = Heartbeat(db, lambda: standing, host=host, pid=1)
    await heart._write(db["_workers"])


async def told(of: Alerting) -> dict[Any, Any]:
    values = Values()
    await of.export(values)
    found = [(metric, labels, number) for metric, by in values.of.items() for labels, number in by.items()]
    return {(metric.name.removeprefix("movie_stream_alerts_"), *labels): number for metric, labels, number in found}


async def run_until(of: Alerting, condition: Any) -> None:
    task = asyncio.create_task(of.run())
    try:
        async with asyncio.timeout(30):
            while not await condition():  # noqa: ASYNC110 - what is in a log tells nobody
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_told_before_anything_and_then_of_messages(settings: Settings, db: Database) -> None:
    of = alerting(settings, db)
    ends = [(receiver, end) for receiver in ("log", "webhook.ops") for end in ("arrived", "failed", "given up")]
    nothing: dict[Any, int] = {("messages_total", *ended): 0 for ended in ends}
    assert await told(of) == nothing | {("evaluating",): 0, ("failures_total",): 0}
    assert await of._step() is None
    found = await told(of)
    assert found[("evaluating",)] == 1
    assert found[("messages_waiting", "webhook.ops")] == found[("oldest_message_seconds", "webhook.ops")] == 0
    await db["_deliveries"].insert_one(
        {
            "_id": "m",
            "alert": "a",
            "receiver": "webhook.ops",
            "number": 1,
            "transition": "started",
            "message": {},
            "created": datetime.now(UTC) - timedelta(hours=1),
            "due": datetime.now(UTC),
            "attempts": 0,
            "done": None,
        }
    )
    found = await told(of)
    assert found[("messages_waiting", "webhook.ops")] == 1
    assert 3_590 < found[("oldest_message_seconds", "webhook.ops")] < 7_200
    assert set(catalogue.METRICS) >= {catalogue.ALERTS_STILL, catalogue.ALERT_MESSAGES}
    await of.end()


async def test_it_says_whose_lease_it_was(settings: Settings, db: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Not that another worker evaluates, where its own lease has ended."""
    of = alerting(settings, db)

    async def lose() -> None:
        await of._step()
        await db["_alerting"].update_many({"kind": "control"}, [{"$set": {"until": {"$subtract": ["$$NOW", 60_000]}}}])
        of._store.lease = dataclasses.replace(of._store.lease, until=of._store.lease.now - timedelta(minutes=1))

    await lose()
    ran = of._step

    async def too_late(*given: Any, **named: Any) -> Any:
        of._step = ran  # type: ignore[method-assign]
        await of._store.begin(0)

    of._step = too_late  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO):
        await run_until(of, lambda: said(caplog, "its lease ended before it was renewed"))
    assert "another worker" not in caplog.text
    assert (await told(of))[("failures_total",)] == 1
    await lose()
    await Store(db, RUN, "other").claim()
    of._step = too_late  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO):
        await run_until(of, lambda: said(caplog, "another worker has taken over"))


async def test_the_lease_is_kept_while_it_pauses(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After much that it has evaluated it pauses for longer than the lease lasts."""
    for module in ("movie_stream.agents.alerting", "movie_stream.alerts.evaluator"):
        monkeypatch.setattr(f"{module}.RENEWED_EVERY", timedelta(milliseconds=50))
    monkeypatch.setattr("movie_stream.agents.alerting.SHARE", 1e-9)
    of, steps = alerting(settings, db), 0
    once = of._step

    async def counted(**named: Any) -> Any:
        nonlocal steps
        steps += 1
        return await once(**named)

    of._step = counted  # type: ignore[method-assign]
    ends = set[datetime]()

    async def renewed_again_and_again() -> bool:
        async for control in db["_alerting"].find({"kind": "control"}):
            ends.add(control["until"])
        return len(ends) > 5

    await run_until(of, renewed_again_and_again)
    assert steps == 1


async def said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.text


async def test_a_worker_without_rules_or_with_others_is_named_once(
    settings: Settings, db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movie_stream.agents.alerting.ASK_WORKERS_EVERY_S", -1.0)
    of = alerting(settings, db)
    await beats(db, settings, "without", "")
    await beats(db, settings, "other", "another")
    await beats(db, settings, "older", None)
    await beats(db, settings, "same", rules().fingerprint)
    for _ in range(3):
        await of._step()
    lines = [record.getMessage() for record in caplog.records if "ALERTS_FILE" in record.getMessage()]
    assert sorted(line.partition(":")[0] for line in lines) == [
        "other, process 1 has other rules",
        "without, process 1 has no ALERTS_FILE",
    ]
    assert (await told(of))[("workers_without_rules",)] == 2
    await of.end()


async def doctored(settings: Settings) -> list[Row]:
    return await (findings := Findings("alerts")).of(check_alerts(settings, findings))


async def test_what_the_doctor_says(settings: Settings, db: Database, tmp_path: Path) -> None:
    assert await doctored(settings) == [], "there are no rules"
    file = tmp_path / "alerts.toml"
    ruled = settings.model_copy(update={"alerts_file": file})
    [row] = await doctored(ruled)
    assert (row.state, "alerts.toml" in row.what) == ("fail", True), "it is not there"
    file.write_text(TEXT + HOOK)
    assert [(row.check, row.state) for row in await doctored(ruled)] == [
        ("alerts", "ok"),
        ("evaluation", "ok"),
        ("messages", "ok"),
    ]
    await beats(db, settings, "without", "")
    states = {row.check: row for row in await doctored(ruled)}
    assert (states["alerts' workers"].state, states["evaluation"].state) == ("warn", "warn")
    assert "without, process 1" in states["alerts' workers"].what
    store = Store(db, RUN, "host-12-abcd")
    await store.claim()
    await store.passed(timestamp_ms_of(datetime(2024, 10, 31, 14, 5, tzinfo=UTC)))
    states = {row.check: row for row in await doctored(ruled)}
    assert states["evaluation"].what == (
        "host, process 12, evaluates; evaluated until 2024-10-31 14:05 UTC, by the time of the views"
    )
    assert (await doctored(settings))[0].what == "ALERTS_FILE is not set here, and other workers have rules"
    await store.set_blocked("partition 3 stands still", datetime(2024, 11, 1, tzinfo=UTC))
    await db["_deliveries"].insert_many(
        [
            {
                "_id": name,
                "alert": "a",
                "receiver": "log",
                "number": 1,
                "transition": "started",
                "message": {},
                "created": datetime.now(UTC) - timedelta(days=1),
                "due": datetime.now(UTC),
                "attempts": 3,
                "done": done,
                "error": "no answer",
            }
            for name, done in (("waits", None), ("gone", datetime.now(UTC)))
        ]
    )
    found = await doctored(ruled)
    assert [row.what for row in found if row.state == "warn"][1:] == [
        "held up since 2024-11-01 00:00:00 UTC, evaluated until 2024-10-31 14:05 UTC: partition 3 stands still",
        f"messages about alerts that wait: 1, the oldest since {datetime.now(UTC) - timedelta(days=1):%Y-%m-%d %H:%M} "
        "UTC; log did not take one: no answer",
        "messages given up within a week: 1",
    ]
    await store.set_blocked(None)
    assert (await progress(db)).blocked_on is None


async def test_the_doctor_says_at_once_that_a_receiver_refuses(
    settings: Settings, db: Database, tmp_path: Path
) -> None:
    """One message waits and was not tried; a younger one was, just now."""
    (file := tmp_path / "alerts.toml").write_text(TEXT + HOOK)
    now, common = datetime.now(UTC), {"alert": "a", "number": 1, "transition": "started", "message": {}, "done": None}
    for name, receiver, seconds, error in (("m1", "log", 2, None), ("m2", "webhook.ops", 1, "it answers 302")):
        times = {"created": now - timedelta(seconds=seconds), "due": now}
        document = {"_id": name, "receiver": receiver, "attempts": 1, "error": error, **times, **common}
        await db["_deliveries"].insert_one(document)
    [row] = [row for row in await doctored(settings.model_copy(update={"alerts_file": file})) if row.state == "warn"]
    assert row.check == "messages"
    assert row.what.endswith(" UTC; webhook.ops did not take one: it answers 302")
    assert "webhook.ops did not take a message" in reached_in_words(await progress(db))[0]


@pytest.mark.parametrize(
    ("topic", "partition", "minutes"),
    [(None, 0, 30), ("views", 1, 10), ("views", 2, None), ("partials", 0, None), ("dead-letters", 1, 30)],
)
async def test_what_an_open_transaction_holds_is_not_taken_to_be_complete_at_the_end(
    settings: Settings, db: Database, topic: str | None, partition: int, minutes: int | None
) -> None:
    start = datetime(2024, 10, 31, 14, tzinfo=UTC)
    start_ms, minute_ms = timestamp_ms_of(start), 60_000
    watermarks = {0: start_ms + 30 * minute_ms, 1: start_ms + 10 * minute_ms}  # of 2 all records are held
    await Completeness(db, RUN, {}, timedelta(minutes=1)).published(0, watermarks, ())
    of = alerting(settings, db, sources=3)
    await of.finish([] if topic is None else [OpenTransaction(TopicPartition(topic, partition), 5, 3)])
    found = await db["_alerting"].find_one({"kind": "control"})
    assert found is not None
    until = None if minutes is None else start + timedelta(minutes=minutes)
    assert found.get("evaluated_until") == until
    await of.end()


async def test_what_waits_is_found_by_an_index(settings: Settings, db: Database) -> None:
    now = datetime.now(UTC)
    fields = {"alert": "a", "receiver": "log", "number": 1, "transition": "started", "message": {}, "attempts": 0}
    await db["_deliveries"].insert_many(
        {**fields, "_id": f"m{i}", "created": now + timedelta(minutes=i), "due": now, "done": None} for i in range(50)
    )
    reached = await progress(db)
    assert (reached.undelivered, reached.oldest and reached.oldest.minute) == (50, now.minute)
    assert (await progress(db, messages=False)).undelivered == 50
    explained = await db.command(
        {
            "explain": {"find": "_deliveries", "filter": {"done": None}, "sort": {"created": 1}, "limit": 1},
            "verbosity": "executionStats",
        }
    )
    assert explained["executionStats"]["totalDocsExamined"] == 1
