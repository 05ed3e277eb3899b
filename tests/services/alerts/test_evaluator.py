"""Publishers and evaluations at the same time, each of which may be cut off or stopped anywhere: nothing is missed."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.errors import ExecutionTimeout

from movie_stream.alerts import completeness as completeness_module
from movie_stream.alerts import evaluator as evaluator_module
from movie_stream.alerts import store as store_module
from movie_stream.alerts.completeness import Completeness
from movie_stream.alerts.evaluator import Evaluator
from movie_stream.alerts.expectations import Expectations
from movie_stream.alerts.figures import Figures, Reader
from movie_stream.alerts.frontier import Topics
from movie_stream.alerts.kinds import quality_fields
from movie_stream.alerts.quality import light_by, partitions_in
from movie_stream.alerts.rules import ALL, EACH, Beyond, LightAtLeast, Quality, Rule
from movie_stream.alerts.store import LeaseLost, Store
from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.mongo.client import Database
from movie_stream.mongo.workers import OwnedPartition, WorkerReport, WorkerStatus
from tests.support.alerts import reference

RUN = 3
HOUR_MS = 3_600_000
START_MS = 1_730_332_800_000
RULES = (
    Rule("busy", "views", Beyond("above", 5.0), ALL, HOUR_MS, 2, wait_ms=0),
    Rule("quiet", "views", Beyond("below", 3.0), ALL, HOUR_MS, 1, wait_ms=HOUR_MS),
)
TOPICS = Topics("events", 1, "partials", 1)
HOURS = 24


class Cut(Exception):
    """The process ends here."""


class Publisher:
    """Writes views of hours as a publisher does: the document, and then what it leaves for the evaluation."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.completeness = Completeness(db, RUN, {"hourly_metrics": HOUR_MS}, timedelta(minutes=1))
        self.views: dict[int, int] = {}
        self.newest_ms = START_MS

    async def publish(self, hour: int, views: int) -> None:
        start_ms = START_MS + hour * HOUR_MS
        self.views[start_ms] = views
        self.newest_ms = max(self.newest_ms, start_ms + HOUR_MS - 1)
        await self._db["hourly_metrics"].replace_one(
            {"_id": f"hourly_{start_ms}"},
            {
                "timestamp": datetime_of(start_ms),
                **dict.fromkeys(("unique_users", "rated_views", "total_duration"), Int64(0)),
                "total_views": Int64(views),
                "avg_rating": None,
                "total_revenue": 0.0,
                "_rev": [Int64(1)],
                "_run": Int64(RUN),
            },
            upsert=True,
        )
        await asyncio.sleep(0)
        await self.completeness.published(0, {0: self.newest_ms}, {("hourly_metrics", start_ms)})


class Interrupted(Reader):
    """A reader in whose middle something happens."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, RUN)
        self.before: Any = None
        self.after: Any = None

    async def figures(self, rule: Rule, begin_ms: int, end_ms: int) -> Figures:
        if self.before is not None:
            await self.before()
        figures = await super().figures(rule, begin_ms, end_ms)
        if self.after is not None:
            await self.after()
        return figures


def evaluator(db: Database, holder: str, reader: Reader | None = None) -> Evaluator:
    return Evaluator(Store(db, RUN, holder), reader or Reader(db, RUN), RULES, TOPICS, timedelta(minutes=1))


async def test_a_source_that_gets_on_by_less_than_a_minute_is_told_to_move(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(completeness_module, "monotonic", lambda: now_s)
    completeness = Completeness(db, RUN, {}, timedelta(minutes=1))
    seen = []
    for second in range(0, 50, 5):  # all of it in one minute of event time
        watermarks = {0: START_MS + second * 1_000}
        if completeness.needs_report(0, watermarks):
            await completeness.published(0, watermarks, ())
            seen.append((await Store(db, RUN, "me").published()).watermarks[0][0] - START_MS)
        assert not completeness.needs_report(0, watermarks) or seen[-1] < second * 1_000, "there is nothing new"
        now_s += 5
    assert seen == [0, 15_000, 30_000, 45_000]


async def settle(of: Evaluator) -> None:
    while await of.step((), at_the_end=True):
        pass


async def found(db: Database) -> list[Any]:
    alerts = await db["alerts"].find({"state": {"$ne": "withdrawn"}}).to_list(None)
    return sorted(
        (
            *(of["rule"], timestamp_ms_of(of["start"]), of["end"] and timestamp_ms_of(of["end"])),
            *(of["windows"], timestamp_ms_of(of["value_at"]), of["value"]),
        )
        for of in alerts
    )


def wanted(publisher: Publisher) -> list[Any]:
    rows = {at: {"views": float(count)} for at, count in publisher.views.items()}
    complete = publisher.newest_ms - publisher.newest_ms % 60_000
    alerts = []
    for rule in RULES:
        until = (complete - rule.wait_ms) // HOUR_MS * HOUR_MS
        first = min(rows)
        alerts += [(rule.name, *of[1:6]) for of in reference.alerts(rule, {ALL: rows}, first, until)]
    return sorted(alerts)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_views_that_come_while_it_is_evaluated(db: Database, moment: str) -> None:
    publisher, reader = Publisher(db), Interrupted(db)
    of = evaluator(db, "one", reader)
    for hour in range(6):
        await publisher.publish(hour, 4)

    async def late() -> None:
        reader.before = reader.after = None
        await publisher.publish(1, 9)
        await publisher.publish(2, 9)

    setattr(reader, moment, late)
    await of.step((), at_the_end=True)
    await settle(of)
    assert await found(db) == wanted(publisher)
    assert len(await found(db)) == 1
    assert await db["_alerting"].count_documents({"kind": "marker"}) == 0


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_cut_off_when(db: Database, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that die in the middle, others that go on with what they have read while they had no lease."""
    monkeypatch.setattr(store_module, "MARGIN", timedelta())
    monkeypatch.setattr(store_module, "LEASE", timedelta(seconds=20))
    monkeypatch.setattr(evaluator_module, "_WINDOWS_AT_ONCE", dict.fromkeys(("views", "films", "quality"), 3))
    rng, publisher = random.Random(seed), Publisher(db)
    hour = 0
    reader = Interrupted(db)
    of = evaluator(db, "first", reader)

    async def happens() -> None:
        if rng.random() < 0.3:
            await publisher.publish(rng.randrange(hour + 1), rng.choice([0, 2, 4, 9, 9]))
        if rng.random() < 0.15:
            await lose()  # it goes on, without the lease
            await settle(evaluator(db, f"other{rng.random()}"))
        if rng.random() < 0.1:
            raise Cut

    async def lose() -> None:
        await db["_alerting"].update_many({"kind": "control"}, [{"$set": {"until": {"$subtract": ["$$NOW", 60_000]}}}])
        of.store.lease = dataclasses.replace(of.store.lease, until=of.store.lease.now - timedelta(minutes=1))

    reader.before = reader.after = happens
    while hour < HOURS:
        if rng.random() < 0.6:
            await publisher.publish(hour, rng.choice([0, 2, 4, 9, 9]))
            hour += 1
        try:
            await of.step((), at_the_end=True)
        except LeaseLost:
            pass
        except Cut:
            await lose()
            reader = Interrupted(db)
            reader.before = reader.after = happens
            of = evaluator(db, f"next{rng.random()}", reader)
    reader.before = reader.after = None
    await lose()
    await settle(evaluator(db, "last"))
    assert await found(db) == wanted(publisher)
    assert await db["_alerting"].count_documents({"kind": "marker"}) == 0


async def test_a_rule_that_changes_or_goes(db: Database) -> None:
    publisher = Publisher(db)
    for hour in range(8):
        await publisher.publish(hour, 9)
    of = evaluator(db, "one")
    await settle(of)
    assert [alert[0] for alert in await found(db)] == ["busy"]
    await of.store.release()
    other = Evaluator(
        Store(db, RUN, "two"),
        Reader(db, RUN),
        (Rule("quiet", "views", Beyond("below", 10.0), ALL, HOUR_MS, 1, wait_ms=0),),
        TOPICS,
        timedelta(minutes=1),
    )
    await settle(other)
    assert [alert[:4] for alert in await found(db)] == [("quiet", START_MS, None, 7)]
    assert await db["alerts"].count_documents({"rule": "busy", "state": "withdrawn"}) == 1


async def test_without_rules_nothing_is_evaluated_and_old_alerts_are_withdrawn(db: Database) -> None:
    publisher = Publisher(db)
    for hour in range(3):
        await publisher.publish(hour, 9)
    first = evaluator(db, "first")
    await settle(first)
    assert await found(db)
    await first.store.release()
    without = Evaluator(Store(db, RUN, "second"), Reader(db, RUN), (), TOPICS, timedelta(minutes=1))
    await settle(without)
    assert await found(db) == []


async def test_nothing_is_written_without_need(db: Database) -> None:
    publisher = Publisher(db)
    for hour in range(8):
        await publisher.publish(hour, 9 if hour % 4 else 1)
    await settle(first := evaluator(db, "one"))
    was = await db["alerts"].find().to_list(None)
    assert {alert["state"] for alert in was} == {"open", "ended"}
    await first.store.release()
    await settle(evaluator(db, "two"))
    assert await db["alerts"].find().to_list(None) == was


async def test_one_evaluates_and_the_others_wait(db: Database) -> None:
    publisher = Publisher(db)
    await publisher.publish(0, 9)
    await publisher.publish(1, 9)
    one, two = evaluator(db, "one"), evaluator(db, "two")
    await settle(one)
    await publisher.publish(2, 9)
    assert await two.step((), at_the_end=True) is None
    assert not two.holds
    await one.store.release()
    assert await two.step((), at_the_end=True) is not None
    with pytest.raises(LeaseLost):
        await one.store.begin(START_MS)


async def test_what_a_process_found_that_was_stopped_meanwhile_is_refused(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MARGIN", timedelta())
    publisher, reader = Publisher(db), Interrupted(db)
    stopped = evaluator(db, "stopped", reader)
    for hour in range(6):
        await publisher.publish(hour, 2 if hour == 2 else 4)

    async def stop() -> None:
        reader.after = None
        past = {"$subtract": ["$$NOW", 60_000]}
        await db["_alerting"].update_many({"kind": "control"}, [{"$set": {"until": past}}])
        lease = stopped.store.lease
        stopped.store.lease = dataclasses.replace(lease, until=lease.now - timedelta(minutes=1))
        await publisher.publish(2, 4)
        await settle(evaluator(db, "next"))

    monkeypatch.setattr(stopped, "rules", RULES[1:])
    reader.after = stop
    with pytest.raises(LeaseLost):
        await stopped.step((), at_the_end=True)
    assert await found(db) == wanted(publisher) == []


def reported(lag: int | None, partials_lag: int = 0, silent: bool = False) -> WorkerReport:
    """A worker that holds both partitions."""
    now = datetime.now(UTC)
    held = (OwnedPartition("events", 0, 7, lag), OwnedPartition("partials", 0, 7, partials_lag))
    age = timedelta(minutes=5) if silent else timedelta()
    return WorkerReport("w", "host", 1, "0", now, now, age, WorkerStatus("group", "running", RUN, None, held))


@pytest.mark.parametrize(
    ("workers", "goes_on"),
    [
        ([reported(0)], True),
        ([reported(3)], False),
        ([reported(None)], False),
        ([reported(0, partials_lag=1)], False),
        ([reported(0, silent=True)], False),
        ([], False),
    ],
)
async def test_silence_is_told_by_the_clock_while_all_is_counted(
    db: Database, workers: list[WorkerReport], goes_on: bool
) -> None:
    """A view of three hours ago that came as it was new; since then nothing."""
    publisher, ago_ms = Publisher(db), 3 * HOUR_MS
    now_ms = timestamp_ms_of(datetime.now(UTC))
    first_ms = now_ms - ago_ms - now_ms % HOUR_MS
    await publisher.publish((first_ms - START_MS) // HOUR_MS, 4)
    await db["_alerting"].update_many({}, {"$set": {"moved": datetime_of(first_ms + HOUR_MS)}})
    silence = (Rule("silence", "silence", Beyond("below", 1.0), ALL, HOUR_MS, 1, wait_ms=0),)
    of = Evaluator(Store(db, RUN, "me"), Reader(db, RUN), silence, TOPICS, timedelta())
    while await of.step(workers) is not None:
        pass
    alerts = await db["alerts"].find().to_list(None)
    if goes_on:
        [alert] = alerts
        assert (alert["open"], timestamp_ms_of(alert["start"])) == (True, first_ms + HOUR_MS)
    else:
        assert alerts == []


@pytest.mark.parametrize("at_the_end", [False, True])
async def test_a_view_dated_ahead_makes_no_silence_of_minutes_to_come(db: Database, at_the_end: bool) -> None:
    """Views of this hour, and one of the hour after the next, which came now."""
    publisher, now_ms = Publisher(db), timestamp_ms_of(datetime.now(UTC))
    now_ms -= now_ms % HOUR_MS
    hour = (now_ms - START_MS) // HOUR_MS
    for at in (hour - 1, hour, hour + 3):
        await publisher.publish(at, 4)
    silence = (Rule("silence", "silence", Beyond("below", 1.0), ALL, HOUR_MS, 1, wait_ms=0),)
    of = Evaluator(Store(db, RUN, "me"), Reader(db, RUN), silence, TOPICS, timedelta())
    done = await of.step([reported(0)], at_the_end=at_the_end)
    assert done is not None
    assert done.until_ms <= timestamp_ms_of(datetime.now(UTC))
    assert of.store.evaluated_until is not None
    assert of.store.evaluated_until <= datetime.now(UTC)
    assert await db["alerts"].find().to_list(None) == []


def rows_of_quality(by_hour: Mapping[int, Mapping[int, tuple[int, int]]]) -> list[dict[str, Any]]:
    """Documents of `data_quality` of partitions and hours, with so many records, of which so many are bad."""
    counts = dict.fromkeys(quality_fields(), Int64(0))
    return [
        {
            **counts,
            "_id": f"data_quality_{partition}_{hour}",
            "timestamp": datetime_of(START_MS + hour * HOUR_MS),
            "partition": Int64(partition),
            "records": Int64(records),
            "views": Int64(records - bad),
            "bad": Int64(bad),
            "refused": [],
            "_rev": [Int64(1)],
            "_run": Int64(RUN),
        }
        for partition, hours in by_hour.items()
        for hour, (records, bad) in hours.items()
    ]


async def test_the_quality_of_a_partition(db: Database) -> None:
    publisher = Publisher(db)
    for hour in range(4):
        await publisher.publish(hour, 1)
    bad = [0, 9, 9, 0]
    await db["data_quality"].insert_many(
        rows_of_quality({0: {hour: (100, bad[hour]) for hour in range(4)}, 1: dict.fromkeys(range(4), (100, 0))})
    )
    rules = (
        Rule("bad", "quality", Quality("bad", "above", 0.05, "records"), EACH, HOUR_MS, wait_ms=0),
        Rule("red", "quality", LightAtLeast("red"), EACH, HOUR_MS, wait_ms=0),
    )
    of = Evaluator(Store(db, RUN, "me"), Reader(db, RUN, light_by(Expectations())), rules, TOPICS, timedelta())
    await settle(of)
    alerts = await db["alerts"].find().sort("_id", 1).to_list(None)
    assert [(of["rule"], of["subject"], of["windows"], of["value"]) for of in alerts] == [
        ("bad", "0", 2, 0.09),
        ("red", "0", 2, 3.0),
    ]
    assert alerts[1]["text"] == "partition 0: quality red in the hour from 2024-10-31 01:00 UTC: bad 0.09, above 0.05"


QUALITY_RULES = (
    Rule("few", "quality", Quality("records", "below", 1.0), EACH, HOUR_MS, 2, wait_ms=0),
    Rule("red", "quality", LightAtLeast("red"), EACH, HOUR_MS, wait_ms=0),
    Rule("share", "quality", Quality("bad", "below", 1.0, "records"), EACH, HOUR_MS, wait_ms=0),
)


def of_quality(db: Database, holder: str) -> Evaluator:
    reader = Reader(db, RUN, light_by(Expectations(records_per_hour=100)))
    return Evaluator(Store(db, RUN, holder), reader, QUALITY_RULES, TOPICS, timedelta())


async def alerts_of_quality(db: Database) -> list[Any]:
    alerts = await db["alerts"].find({"state": {"$ne": "withdrawn"}}).sort("_id", 1).to_list(None)
    return [
        (of["rule"], of["subject"], (timestamp_ms_of(of["start"]) - START_MS) // HOUR_MS, of["windows"], of["open"])
        for of in alerts
        if of["rule"] != "share"
    ]


async def test_a_partition_that_stops_is_told_of_and_what_it_sends_later_corrects_it(db: Database) -> None:
    """The second has no record after its first hour, and the third none at all but rubbish before any view."""
    publisher = Publisher(db)
    for hour in range(6):
        await publisher.publish(hour, 1)
    documents = rows_of_quality({0: dict.fromkeys(range(6), (100, 0)), 1: {1: (100, 0)}, 2: {0: (3, 3)}})
    old = [{**of, "_id": f"old {of['_id']}", "_run": Int64(RUN - 1)} for of in rows_of_quality({1: {0: (100, 0)}})]
    await db["data_quality"].insert_many([*documents, *old])
    of = of_quality(db, "one")
    await settle(of)
    wanted = [("few", "1", 2, 3, True), ("red", "1", 2, 3, True), ("red", "2", 0, 1, False)]
    assert await alerts_of_quality(db) == wanted
    [alert] = await db["alerts"].find({"rule": "red", "subject": "1"}).to_list(None)
    assert alert["text"].endswith("quality red in the hour from 2024-10-31 02:00 UTC: completeness 0, below 0.5")
    shares = await db["alerts"].find({"rule": "share", "subject": "1"}).to_list(None)
    assert [share["windows"] for share in shares] == [1], "a share of nothing is none"

    completeness = Completeness(db, RUN, {"data_quality": HOUR_MS}, timedelta(minutes=1))
    await db["data_quality"].insert_many(rows_of_quality({1: {3: (100, 0)}}))
    await completeness.published(0, {0: publisher.newest_ms}, {("data_quality", START_MS + 3 * HOUR_MS)})
    await settle(of)
    wanted = [("red", "1", 2, 1, False), ("red", "1", 4, 1, True), ("red", "2", 0, 1, False)]
    assert await alerts_of_quality(db) == wanted
    bodies = await db["alerts"].find({"state": {"$ne": "withdrawn"}}, {"_pass": 0}).sort("_id", 1).to_list(None)

    await of.store.release()
    for name in ("alerts", "_alerting"):  # a replay
        await db[name].delete_many({})
    completeness.forget(0)
    await completeness.published(0, {0: publisher.newest_ms}, ())
    await settle(of_quality(db, "two"))
    assert await db["alerts"].find({}, {"_pass": 0}).sort("_id", 1).to_list(None) == bodies


async def test_rubbish_before_any_view_is_not_the_end_of_what_there_is(db: Database) -> None:
    """It stands at the hours of Kafka's clock, which may be years after the views that follow it."""
    reader, rule = Reader(db, RUN, light_by(Expectations())), QUALITY_RULES[0]
    await db["data_quality"].insert_many(rows_of_quality({1: {20_000: (3, 3)}}))
    assert await reader.last(rule) == START_MS + 20_001 * HOUR_MS
    await db["data_quality"].insert_many(rows_of_quality({0: {1: (3, 0)}, 1: {2: (3, 0)}}))
    assert await reader.last(rule) == START_MS + 3 * HOUR_MS


async def test_partitions_are_found_at_the_ends_of_an_index(db: Database) -> None:
    rows = rows_of_quality({partition: dict.fromkeys(range(1000), (1, 0)) for partition in range(3)})
    await db["data_quality"].insert_many(rows)
    for hour, ends in ((10, [0, 999, 9, 9]), (5_000, [0, 999, 999, 999])):
        pipeline = partitions_in("data_quality", "timestamp", "views", datetime_of(START_MS + hour * HOUR_MS))
        found = await db["data_quality"].aggregate(pipeline).to_list(None)
        names = ("first", "newest", "viewed", "any")
        at = {name: datetime_of(START_MS + end * HOUR_MS) for name, end in zip(names, ends, strict=True)}
        assert sorted(found, key=lambda one: one["_id"]) == [{"_id": partition, **at} for partition in range(3)]
        command = {"aggregate": "data_quality", "pipeline": pipeline, "cursor": {}}
        explained = await db.command({"explain": command, "verbosity": "executionStats"})
        examined = sum(_numbers(explained, "totalDocsExamined")) + sum(_numbers(explained, "totalKeysExamined"))
        assert 0 < examined < 100


def _numbers(value: Any, name: str) -> list[int]:
    """All figures of this name, wherever they stand."""
    if isinstance(value, dict):
        own = [int(value[name])] if name in value else []
        return own + [one for key, of in value.items() if key != name for one in _numbers(of, name)]
    return [one for of in value for one in _numbers(of, name)] if isinstance(value, list) else []


async def test_a_rule_that_fails_holds_up_no_other(db: Database) -> None:
    class Slow(Reader):
        fails = True

        async def figures(self, rule: Rule, begin_ms: int, end_ms: int) -> Figures:
            if rule.name == "busy" and self.fails:
                raise ExecutionTimeout("operation exceeded time limit", 50)
            return await super().figures(rule, begin_ms, end_ms)

    publisher, reader = Publisher(db), Slow(db, RUN)
    of = evaluator(db, "one", reader)
    for hour, views in enumerate([9, 1, 9, 9]):
        await publisher.publish(hour, views)
    for _ in range(2):
        done = await of.step((), at_the_end=True)
        assert done is not None
        assert list(done.failed) == ["busy"]
    assert {alert[0] for alert in await found(db)} == {"quiet"}
    await publisher.publish(0, 1)
    reader.fails = False
    await settle(of)
    assert await found(db) == wanted(publisher)
    assert await db["_alerting"].count_documents({"kind": "marker"}) == 0


async def test_a_marker_is_removed_only_by_who_has_evaluated_it(db: Database) -> None:
    """One process read it; another one evaluates and removes it, and it is left anew before the first goes on."""
    publisher, slow = Publisher(db), Store(db, RUN, "slow")
    for hour in range(6):
        await publisher.publish(hour, 4)
    await settle(of := evaluator(db, "other"))
    await publisher.publish(1, 9)
    await publisher.publish(2, 9)
    read = (await slow.published()).markers
    assert len(read) == 2
    await settle(of)
    assert len(await found(db)) == 1
    assert await db["_alerting"].count_documents({"kind": "marker"}) == 0
    await publisher.publish(2, 4)
    with pytest.raises(LeaseLost):
        await slow.remove(read)
    await settle(of)
    assert await found(db) == wanted(publisher) == []


async def test_it_is_said_that_a_partition_is_not_told_of_and_not_before_any_is(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(evaluator_module, "monotonic", lambda: now_s[0])
    of = Evaluator(
        Store(db, RUN, "me"), Reader(db, RUN), RULES, Topics("events", 1, "partials", 2), timedelta(minutes=1)
    )
    for seconds in (0.0, 3600.0):  # nothing at all is published for an hour
        now_s[0] += seconds
        assert await of.step(()) is None
    await Publisher(db).publish(0, 9)
    assert await of.step(()) is None
    assert "alerts wait" not in caplog.text
    now_s[0] += 121
    assert await of.step(()) is None
    assert "nobody has said yet how far partials, partition 1 is published" in caplog.text


async def test_alerts_of_a_rule_that_was_not_noted_and_went_are_withdrawn(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process ends between the two, and then the rule is taken out of the file."""
    publisher = Publisher(db)
    for hour in range(6):
        await publisher.publish(hour, 9)
    of = evaluator(db, "one")

    async def killed(*_: object) -> None:
        raise LeaseLost

    with monkeypatch.context() as patch:
        patch.setattr(of.store, "note", killed)
        with pytest.raises(LeaseLost):
            await of.step((), at_the_end=True)
    assert [alert[0] for alert in await found(db)] == ["busy"]
    await of.store.release()
    other = evaluator(db, "two")
    other.rules = RULES[1:]
    await settle(other)
    assert await found(db) == []


async def test_what_a_process_deletes_that_was_stopped_meanwhile_is_kept(db: Database) -> None:
    """What it takes away is as much what it has found as what it writes."""
    publisher = Publisher(db)
    for hour in range(6):
        await publisher.publish(hour, 9)
    slow = evaluator(db, "slow")
    await settle(slow)
    await publisher.publish(1, 2)
    (marker,) = (await slow.store.published()).markers
    await db["_alerting"].insert_one({"_id": "1|control", "kind": "control", "_run": Int64(RUN - 2)})
    await db["_alerting"].update_many(
        {"_id": f"{RUN}|control"}, [{"$set": {"until": {"$subtract": ["$$NOW", 60_000]}}}]
    )
    slow.store.lease = dataclasses.replace(slow.store.lease, until=slow.store.lease.now - timedelta(minutes=1))
    await evaluator(db, "other").store.claim()
    for deletes in (slow.store.delete_progress("busy"), slow.store.clear(), slow.store.remove([marker])):
        with pytest.raises(LeaseLost):
            await deletes
    left = {found["_id"] async for found in db["_alerting"].find()}
    assert {f"{RUN}|rule|busy", "1|control", marker.id} <= left


async def test_alerts_of_a_newer_version_are_left_alone(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = Store(db, RUN, "newer")
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "FORMAT", store_module.FORMAT + 1)
        assert (await newer.claim()).held
        await newer.release()
    before = await db["_alerting"].find({}, {"now": 0}).to_list(None)
    ours = Store(db, RUN, "ours")
    with pytest.raises(store_module.AlertsOfAnotherVersion, match=r"they have format 2, .* reads and writes format 1;"):
        await ours.claim()
    assert await db["_alerting"].find({}, {"now": 0}).to_list(None) == before
    await db["_alerting"].update_one({}, {"$unset": {"format": ""}})  # as before there was one
    assert (await ours.claim()).held
