"""Messages to receivers that are slow, away, redirect or fail: none is lost, and none holds up another."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from movie_stream.alerts import courier as courier_module
from movie_stream.alerts import sending
from movie_stream.alerts.courier import Courier, pause_s
from movie_stream.alerts.evaluation import Streak
from movie_stream.alerts.outbox import Message, Outbox
from movie_stream.alerts.receivers import Apprise, Log, Receiver, Webhook
from movie_stream.alerts.rule_file import parsed
from movie_stream.alerts.rules import Beyond, Rule
from movie_stream.alerts.sending import NotSent, Origin, Sender, key_of, line_of, payload_of
from movie_stream.alerts.store import Store
from movie_stream.alerts.wording import body_of
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.masking import masked
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values
from movie_stream.mongo.client import Database
from movie_stream.mongo.schema import ensure
from tests.support.alerts.webhook_receiver import Behaviour, WebhookReceiver, receiving

RUN = 7
ORIGIN = Origin("movies", "views", "group")
RULE = '[[rule]]\nname = "busy"\nkind = "silence"\nwindow = "1 h"\n'
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
NOW_MS = timestamp_ms_of(NOW)
HOUR_MS = 3_600_000


def rule(*to: str, name: str = "busy") -> Rule:
    return Rule(name, "views", Beyond("above", 10.0), "each", HOUR_MS, to=to)


def alert(of: Rule, hours_ago: int = 2, ended: bool = False, subject: str = "drama") -> dict[str, Any]:
    start = NOW_MS - hours_ago * HOUR_MS
    end = start + HOUR_MS if ended else None
    return body_of(of, Streak(subject, start, 1, 12.0, start, 10.0, label="Drama", end_ms=end))


@pytest.fixture
async def db(empty_db: Database) -> Database:
    """Without the collections of results, of which no alert is told."""
    await ensure(empty_db, ())
    return empty_db


async def stored(db: Database, *bodies: dict[str, Any]) -> None:
    store = Store(db, RUN, "me")
    await store.claim()
    await store.begin(NOW_MS)
    await store.write(bodies)
    await store.release()


def outbox(db: Database, *rules: Rule) -> Outbox:
    return Outbox(db, RUN, rules, 24 * HOUR_MS)


async def fill(db: Database, *rules: Rule) -> int:
    return await outbox(db, *rules).fill(NOW_MS, NOW)


def courier(db: Database, *receivers: Receiver) -> Courier:
    return Courier(outbox(db), {of.name: of for of in receivers}, lambda: True, ORIGIN)


async def deliver_all(db: Database, *receivers: Receiver) -> None:
    """What is due, and only that."""
    await courier(db, *receivers).deliver_due()


async def due_now(db: Database) -> None:
    """Time passes."""
    await db["_deliveries"].update_many({"done": None}, {"$set": {"due": NOW - timedelta(days=1)}})


async def test_each_change_is_told_once_and_in_order(db: Database) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        ops = Webhook("webhook.ops", url=receiver.url, secret="s3cret")
        await stored(db, alert(of))
        assert await fill(db, of) == 1
        assert await fill(db, of) == 0
        await deliver_all(db, ops)
        await stored(db, alert(of) | {"windows": 2})
        assert await fill(db, of) == 0, "that it lasts is no news"
        await stored(db, alert(of, ended=True))
        await stored(db, alert(of, ended=True) | {"state": "withdrawn"})
        await stored(db, alert(of, hours_ago=1, ended=True, subject="noir"))
        assert await fill(db, of) == 3
        await deliver_all(db, ops)
        await deliver_all(db, ops)
        told = [(one.json["alert"]["subject"], one.json["transition"], one.json["number"]) for one in receiver.received]
        drama, noir = [one for one in told if one[0] == "drama"], [one for one in told if one[0] == "noir"]
        assert drama == [("drama", "started", 1), ("drama", "withdrawn", 2)]
        assert noir == [("noir", "started", 1), ("noir", "ended", 2)]
        first = receiver.received[0]
        time_s, mac = first.headers["movie-stream-signature"].removeprefix("t=").split(",v1=")
        assert mac == hmac.new(b"s3cret", f"{time_s}.".encode() + first.body, hashlib.sha256).hexdigest()
        assert len({one.headers["idempotency-key"] for one in receiver.received}) == 4
        assert (
            first.json["alert"]["text"]
            == f"Drama: 12 views in 1 h from {NOW - timedelta(hours=2):%Y-%m-%d %H:%M} UTC, above 10"
        )
        assert not any(name.startswith("_") and name != "_id" for name in first.json["alert"])
    assert await outbox(db).waiting() == 0


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("fails", "it answers 500"),
        ("busy", "it answers 429"),
        ("redirects", "it answers 307, and redirects are not followed; set its url to where it is now"),
        ("never answers", "no answer within 0.2 s"),
        ("drips", "no answer within 0.2 s"),
        ("hangs up", "disconnected"),
        ("nonsense", "400"),
    ],
)
async def test_what_does_not_arrive_is_tried_again(
    db: Database, behaviour: Behaviour, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        ops = Webhook("webhook.ops", within_s=0.2, url=receiver.url)
        receiver.next = [behaviour, behaviour]
        await stored(db, alert(of))
        await fill(db, of)
        for _ in range(3):
            await deliver_all(db, ops)
            await deliver_all(db, ops)
            waits = await db["_deliveries"].find_one({"done": None})
            if waits is None:
                break
            assert waits["due"] > waits["created"]
            assert (waits["due"] - datetime.now(UTC)).total_seconds() > (100 if behaviour == "busy" else 0)
            assert words in waits["error"]
            await due_now(db)
        assert [one.path for one in receiver.received] == ["/hook"] * 3, "redirects are not followed"
        assert len({one.headers["idempotency-key"] for one in receiver.received}) == 1
        assert "webhook.ops: a message did not arrive, is tried again" in caplog.text
        assert "movie-stream-signature" not in receiver.received[0].headers


async def test_a_receiver_that_is_down_gets_it_after_a_restart(db: Database, unused_tcp_port: int) -> None:
    of = rule("webhook.ops", "log")
    ops = Webhook("webhook.ops", url=f"http://127.0.0.1:{unused_tcp_port}/hook")
    await stored(db, alert(of))
    await fill(db, of)
    await deliver_all(db, ops, Log("log"))
    assert await outbox(db).waiting() == 1, "the log has it"
    await due_now(db)
    async with receiving(unused_tcp_port) as receiver:
        await deliver_all(db, ops)
        assert [one.json["transition"] for one in receiver.received] == ["started"]
    assert await outbox(db).waiting() == 0


async def test_a_later_message_waits_for_the_earlier_one(db: Database) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        ops = Webhook("webhook.ops", url=receiver.url)
        receiver.next = ["fails"]
        await stored(db, alert(of))
        await fill(db, of)
        await deliver_all(db, ops)
        await stored(db, alert(of, ended=True))
        await fill(db, of)
        await deliver_all(db, ops)
        assert [one.json["transition"] for one in receiver.received] == ["started"]
        await due_now(db)
        await deliver_all(db, ops)
        assert [one.json["transition"] for one in receiver.received] == ["started", "started", "ended"]


def subjects(receiver: WebhookReceiver) -> list[str]:
    return [one.json["alert"]["subject"] for one in receiver.received]


async def due_later(db: Database, *names: str) -> None:
    """As after many attempts that failed."""
    fields = {"due": datetime.now(UTC) + timedelta(hours=1), "attempts": 12, "error": "it answers 500"}
    await db["_deliveries"].update_many({"message.subject": {"$in": names}}, {"$set": fields})


async def test_what_waits_is_due_once_its_receiver_takes_messages_again(db: Database) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        ops = Webhook("webhook.ops", url=receiver.url)
        await stored(db, alert(of, 3, subject="b"), alert(of, 4, subject="a"), alert(of, 5, subject="first"))
        await fill(db, of)
        await due_later(db, "a", "b")
        await deliver_all(db, ops)
        assert subjects(receiver) == ["first", "a", "b"]
    assert await outbox(db).waiting() == 0


async def test_a_message_that_is_never_taken_is_not_tried_whenever_another_one_arrives(db: Database) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        ops = Webhook("webhook.ops", url=receiver.url)
        await stored(db, *(alert(of, subject=f"s{n}") for n in range(8)))
        await fill(db, of)
        await due_later(db, "s0")
        receiver.next = ["takes", "fails"]
        await deliver_all(db, ops)
        assert subjects(receiver)[:2] == ["s1", "s0"], "as nobody knows at the start, it is tried once"
        assert sorted(subjects(receiver)) == sorted(f"s{n}" for n in range(8))
    [waits] = await db["_deliveries"].find({"done": None}).to_list(None)
    assert waits["attempts"] == 13
    assert waits["due"] > datetime.now(UTC)


async def test_a_receiver_that_is_away_is_asked_with_one_message_and_then_gets_all(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(courier_module, "AWAY_AT_MOST_S", 1_000.0)
    of, asked = rule("webhook.ops"), asyncio.Event()
    async with receiving() as receiver:
        receiver.behaviour = "never answers"
        ops = Webhook("webhook.ops", within_s=0.1, url=receiver.url)
        await stored(db, *(alert(of, subject=f"s{n}") for n in range(5)))
        await fill(db, of)
        deliveries = courier(db, ops)
        status, looks = deliveries._statuses["webhook.ops"], 0

        def may() -> bool:
            nonlocal looks
            looks += status.away
            if looks > 5:
                asked.set()
            return True

        monkeypatch.setattr(deliveries, "_may", may)
        task = asyncio.create_task(deliveries.run())
        try:
            async with asyncio.timeout(30):
                await asked.wait()
                assert len(receiver.received) == 1, "the others wait, and cost no time"
                receiver.behaviour = "takes"
                status.away_until_s = float("-inf")  # time passes
                while await outbox(db).waiting():  # noqa: ASYNC110 - MongoDB tells nobody
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert sorted(subjects(receiver)[1:]) == [f"s{n}" for n in range(5)]


async def test_what_waits_too_long_is_given_up_with_the_one_that_was_tried(db: Database) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        receiver.behaviour = "fails"
        ops = Webhook("webhook.ops", retry_for_ms=60_000, url=receiver.url)
        await stored(db, *(alert(of, subject=f"s{n}") for n in range(5)))
        await fill(db, of)
        await db["_deliveries"].update_many({}, {"$set": {"created": NOW - timedelta(days=1)}})
        await deliver_all(db, ops)
        assert len(receiver.received) == 1
    assert await outbox(db).waiting() == 0


async def test_two_processes_do_not_send_it_twice(db: Database) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        ops = Webhook("webhook.ops", url=receiver.url)
        await stored(db, *(alert(of, subject=f"genre{n}") for n in range(20)))
        assert await fill(db, of) == 20
        one, other = courier(db, ops), courier(db, ops)
        async with Sender(ORIGIN) as sender:
            while await one.deliver(sender, ops) | await other.deliver(sender, ops):
                pass
        assert sorted(of.json["alert"]["subject"] for of in receiver.received) == sorted(f"genre{n}" for n in range(20))


async def test_after_days_it_is_given_up_with_a_line(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    of = rule("webhook.ops")
    async with receiving() as receiver:
        receiver.behaviour = "fails"
        ops = Webhook("webhook.ops", retry_for_ms=60_000, url=receiver.url)
        await stored(db, alert(of))
        await fill(db, of)
        await db["_deliveries"].update_many({}, {"$set": {"created": NOW - timedelta(days=1)}})
        giving_up, told = courier(db, ops), Values()
        await giving_up.deliver_due()
        giving_up.export(told)
        ends = {labels[1]: count for labels, count in told.of[catalogue.ALERT_MESSAGES].items()}
        assert ends == {"arrived": 0, "failed": 0, "given up": 1}
        assert "is given up after 1 attempts: it answers 500" in caplog.text
        [given_up] = await db["_deliveries"].find().to_list(None)
        assert given_up["error"] == "given up after 1 attempts: it answers 500"
        assert await outbox(db).waiting() == 0


async def test_old_alerts_and_receivers_that_are_gone(db: Database) -> None:
    of = rule("webhook.ops")
    await stored(db, alert(of, hours_ago=50, ended=True))
    assert await fill(db, of) == 0, "a replay of old data is no news"
    await stored(db, alert(of, hours_ago=50, ended=True) | {"state": "withdrawn"})
    assert await fill(db, of) == 0, "nobody knows of it"
    await stored(db, alert(of))
    assert await fill(db, of) == 1
    await outbox(db).abandon(["log"])
    assert await outbox(db).waiting() == 0


async def test_whoever_was_told_of_a_start_is_told_of_the_end_however_late(db: Database) -> None:
    of = rule("webhook.ops")
    await stored(db, alert(of, hours_ago=50))
    assert await outbox(db, of).fill(NOW_MS - 49 * HOUR_MS, NOW - timedelta(hours=49)) == 1
    await stored(db, alert(of, hours_ago=50, ended=True))
    assert await fill(db, of) == 1, "its end came while nobody worked"
    told = await db["_deliveries"].find({}, {"transition": 1}).sort("number", 1).to_list(None)
    assert [one["transition"] for one in told] == ["started", "ended"]


@pytest.fixture
def own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """apprise keeps some for the whole process."""
    pool = ThreadPoolExecutor()
    monkeypatch.setattr(importlib.import_module("apprise.apprise"), "_shared_executor", pool)
    yield
    pool.shutdown()


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
async def test_apprise_sends_it_by_what_its_url_says(
    db: Database, caplog: pytest.LogCaptureFixture, own_threads: None
) -> None:
    of = rule("apprise.team")
    async with receiving() as receiver:
        team = Apprise("apprise.team", within_s=5.0, urls=(receiver.url.replace("http://", "json://"),))
        receiver.next = ["fails"]
        await stored(db, alert(of))
        await fill(db, of)
        await deliver_all(db, team)
        assert await outbox(db).waiting() == 1
        assert "apprise could not send it to all of its URLs" in caplog.text
        await due_now(db)
        await deliver_all(db, team)
        assert receiver.received[-1].json["title"] == "warning: busy"
        assert "alert, warning, busy: Drama: 12 views in 1 h" in receiver.received[-1].json["message"]
    assert await outbox(db).waiting() == 0


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
async def test_a_url_that_is_wrong_or_away_keeps_a_message_from_no_other(
    db: Database, caplog: pytest.LogCaptureFixture, own_threads: None
) -> None:
    of = rule("apprise.team")
    async with receiving() as good, receiving() as away:
        urls = ["mailtoz://hunter2@example.org", *(of.url.replace("http://", "json://") for of in (good, away))]
        file = parsed(f'{RULE}[apprise.team]\nurls = {urls}\ntimeout = "30 s"', "alerts.toml", {})
        team = file.receivers["apprise.team"]
        away.next = ["fails", "fails"]
        await stored(db, alert(of))
        await fill(db, of)
        deliveries = courier(db, team)
        async with Sender(ORIGIN) as sender:
            for _ in range(3):
                assert await deliveries.deliver(sender, team)
                assert not deliveries._statuses[team.name].away, "one of its services takes messages"
                await due_now(db)
        assert await outbox(db).waiting() == 0
        assert (len(good.received), len(away.received)) == (1, 3)
    assert "could not send it to all of its URLs: number 3 (json://)" in caplog.text
    assert "cannot send to all of its URLs, and does to the others: number 1 (mailtoz://)" in caplog.text
    assert "hunter2" not in masked(caplog.text), "apprise itself says it, and what formats the log hides it"


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
async def test_a_receiver_without_any_url_that_can_be_used_takes_nothing() -> None:
    message = Message("m", "a", "apprise.team", 1, "started", alert(rule()), NOW, 1)
    async with Sender(ORIGIN) as sender:
        with pytest.raises(NotSent, match="can send to none of its URLs"):
            await sender.send(Apprise("apprise.team", within_s=30.0, urls=("mailtoz://x",)), message)


async def test_the_log_has_a_line(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    of = rule("log")
    await stored(db, alert(of))
    await fill(db, of)
    await deliver_all(db, Log("log"))
    assert "alert, warning, busy: Drama: 12 views in 1 h from" in caplog.text


def test_what_is_withdrawn_is_not_said_to_be_so_by_later_views_alone() -> None:
    message = Message("m", "a", "log", 2, "withdrawn", alert(rule()), NOW, 1)
    assert line_of(message).startswith("alert is withdrawn, views that came later or a change of the rules undo it, ")


def test_installations_with_the_same_rules_are_told_apart() -> None:
    message = Message("m", "busy|drama|2024-10-31T14:00:00Z", "webhook.ops", 1, "started", alert(rule()), NOW, 1)
    origins = [ORIGIN, Origin("staging", "views", "group"), Origin("movies", "other", "group"), Origin("mo", "v", "g")]
    assert len({key_of(message, origin) for origin in origins}) == 4
    assert key_of(message, ORIGIN) == key_of(replace(message, attempts=2), ORIGIN)
    said = orjson.loads(payload_of(message, ORIGIN))
    assert said["source"] == {"database": "movies", "topic": "views", "group": "group"}


def test_pauses_grow_up_to_an_hour() -> None:
    assert courier_module.FIRST_PAUSE_S / 2 <= pause_s(1) <= courier_module.FIRST_PAUSE_S
    assert 1_800 <= pause_s(100) <= 3_600


class Killed(Exception):
    """The process ends here."""


async def messages(db: Database) -> list[tuple[int, str]]:
    found = await db["_deliveries"].find().sort("number", 1).to_list(None)
    return [(int(of["number"]), of["transition"]) for of in found]


def withdrawn(of: Rule) -> dict[str, Any]:
    return alert(of) | {"state": "withdrawn", "open": False}


async def test_what_was_put_away_before_a_kill_is_withdrawn(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    of = rule("log")
    await stored(db, alert(of))
    box = outbox(db, of)
    insert = box._insert

    async def killed(some: list[dict[str, Any]]) -> None:
        await insert(some)
        raise Killed

    monkeypatch.setattr(box, "_insert", killed)
    with pytest.raises(Killed):
        await box.fill(NOW_MS, NOW)
    await stored(db, withdrawn(of))
    await fill(db, of)
    assert await messages(db) == [(1, "started"), (2, "withdrawn")]


async def test_what_a_slow_process_puts_away_is_withdrawn(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read the alert as open; meanwhile another one evaluates it again, and puts away what follows."""
    of = rule("log")
    await stored(db, alert(of))
    box = outbox(db, of)
    insert = box._insert

    async def slow(some: list[dict[str, Any]]) -> set[str]:
        monkeypatch.undo()
        await stored(db, withdrawn(of))
        await fill(db, of)
        return await insert(some)

    monkeypatch.setattr(box, "_insert", slow)
    await box.fill(NOW_MS, NOW)
    assert await messages(db) == [(1, "started"), (2, "withdrawn")]


async def test_messages_after_a_rebuild_go_on_from_what_was_told(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    of = rule("log")
    for body in (alert(of), withdrawn(of)):
        await stored(db, body)
        await fill(db, of)
    monkeypatch.setattr(f"{__name__}.RUN", RUN + 1)
    await db["alerts"].delete_many({})
    for body in (alert(of), alert(of, ended=True)):
        await stored(db, body)
        await fill(db, of)
    assert await messages(db) == [(1, "started"), (2, "withdrawn"), (3, "started"), (4, "ended")]


async def test_a_rebuild_tells_nothing_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    of = rule("log")
    await stored(db, alert(of, ended=True))
    assert await fill(db, of) == 2
    monkeypatch.setattr(f"{__name__}.RUN", RUN + 1)
    await db["alerts"].delete_many({})
    await stored(db, alert(of, ended=True))
    assert await fill(db, of) == 0


async def test_messages_of_different_alerts_go_by_event_time(db: Database) -> None:
    of = rule("log")
    hours = [2, 5, 3, 9, 4, 7]
    await stored(db, *(alert(of, hours_ago=ago, subject=f"s{ago}") for ago in hours))
    await fill(db, of)
    box, taken = outbox(db, of), list[str]()
    while (message := await box.take("log", 60)) is not None:
        taken.append(message.body["subject"])
        await box.done(message)
    assert taken == [f"s{ago}" for ago in sorted(hours, reverse=True)]


async def test_services_that_do_not_answer_fill_only_threads_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = threading.Event()
    monkeypatch.setattr(sending, "_notify_by", lambda *_: ends.wait())
    body = alert(rule())
    message = Message("m", "a", "apprise.team", 1, "started", body, NOW, 1)
    team = Apprise("apprise.team", within_s=0.01, urls=("json://example.org",))
    pool = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(pool)
    try:
        async with Sender(ORIGIN) as sender:
            for _ in range(3):
                with pytest.raises(NotSent, match=r"no answer within 0.01 s"):
                    await sender.send(team, message)
            assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        ends.set()
        pool.shutdown()
        for thread in [of for of in threading.enumerate() if of.name.startswith("apprise")]:
            thread.join()
