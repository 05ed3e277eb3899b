"""Messages stored for receivers while a worker catches up, and while two processes store them concurrently."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from movie_stream.alerts.evaluator import Evaluator
from movie_stream.alerts.figures import Reader
from movie_stream.alerts.outbox import Outbox
from movie_stream.alerts.rules import ALL, HOUR_MS, Beyond, Rule
from movie_stream.alerts.store import LeaseLost, Store
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.mongo.client import Database
from tests.services.alerts import test_delivery as delivery
from tests.services.alerts.test_delivery import NOW, NOW_MS, alert, fill, outbox, rule, stored, withdrawn
from tests.services.alerts.test_evaluator import RUN, START_MS, TOPICS, Publisher


class Stage:
    """Views of the last hours, and what evaluates them and puts away what follows."""

    def __init__(self, db: Database, rules: Sequence[Rule], hours: int) -> None:
        base_ms = timestamp_ms_of(datetime.now(UTC)) // HOUR_MS * HOUR_MS - hours * HOUR_MS
        self._first_hour = (base_ms - START_MS) // HOUR_MS
        self.publisher = Publisher(db)
        self.publisher.newest_ms = base_ms
        self.store = Store(db, RUN, "me")
        self._evaluator = Evaluator(self.store, Reader(db, RUN), rules, TOPICS, timedelta(minutes=1))
        self.outbox = Outbox(db, RUN, rules, 24 * HOUR_MS)

    async def publish(self, hour: int, views: int) -> None:
        await self.publisher.publish(self._first_hour + hour, views)

    async def evaluate(self) -> int:
        """How many messages follow."""
        messages = 0
        while done := await self._evaluator.step((), at_the_end=True):
            assert not done.failed
            messages += await self.outbox.fill(done.until_ms, self.store.lease.now)
        return messages

    async def sent(self) -> list[tuple[str, int, str]]:
        """The due messages, as a receiver gets them."""
        told = list[tuple[str, int, str]]()
        while message := await self.outbox.take("log", 60):
            hour = timestamp_ms_of(message.body["start"]) - START_MS
            told.append((message.body["rule"], hour // HOUR_MS - self._first_hour, message.transition))
            await self.outbox.done(message)
        return told


async def test_an_alert_first_seen_while_catching_up_is_sent_once_it_is_current(db: Database) -> None:
    stage = Stage(db, [Rule("quiet", "views", Beyond("below", 3.0), ALL, HOUR_MS, wait_ms=0)], 40)
    told = []
    for hour in range(41):
        await stage.publish(hour, 9 if hour < 3 else 1)
        if hour in (5, 10, 39, 40):
            told.append(await stage.evaluate())
    assert told == [0, 0, 1, 0], "as old it is withheld, and told of at the present, once"
    assert await stage.sent() == [("quiet", 3, "started")]


async def test_a_long_window_that_lasts_is_sent_though_messages_are_old_after_a_minute(db: Database) -> None:
    day = Rule("quiet", "views", Beyond("below", 3.0), ALL, 24 * HOUR_MS, to=("log",))
    await stored(db, alert(day, hours_ago=30))
    box = Outbox(db, delivery.RUN, [day], 60_000)
    assert await box.fill(NOW_MS - 6 * HOUR_MS, NOW) == 1, "no later window is complete"


async def test_a_receiver_gets_no_second_message_of_an_alert_while_catching_up(db: Database) -> None:
    of = rule("log")
    await stored(db, alert(of, hours_ago=60))
    assert await outbox(db, of).fill(NOW_MS - 59 * HOUR_MS, NOW - timedelta(hours=59)) == 1
    more = rule("log", "webhook.ops")
    for windows, until_ms, messages in ((2, NOW_MS - 58 * HOUR_MS, 0), (60, NOW_MS, 1), (61, NOW_MS, 0)):
        await stored(db, alert(of, hours_ago=60) | {"windows": windows})
        await db["alerts"].update_many({}, {"$set": {"_untold": True}})
        assert await outbox(db, more).fill(until_ms, NOW) == messages
    told = await db["_deliveries"].find().sort("created", 1).to_list(None)
    assert [(one["receiver"], one["transition"], one["number"]) for one in told] == [
        ("log", "started", 1),
        ("webhook.ops", "started", 1),
    ], "a receiver that is new is told of what lasts now, and only that one"


async def test_what_was_taken_back_and_lasts_again_while_catching_up_stays_known(db: Database) -> None:
    of = rule("log")
    await stored(db, alert(of, hours_ago=60, ended=True))
    assert await outbox(db, of).fill(NOW_MS - 58 * HOUR_MS, NOW - timedelta(hours=58)) == 2
    await db["_deliveries"].delete_many({})  # as after a week
    await stored(db, alert(of, hours_ago=60))
    assert await outbox(db, of).fill(NOW_MS - 58 * HOUR_MS, NOW) == 0
    await stored(db, withdrawn(of) | {"_id": alert(of, hours_ago=60)["_id"]})
    assert await fill(db, of) == 1, "it was told of as ended"


RULES = (
    Rule("slow", "views", Beyond("above", 5.0), ALL, HOUR_MS, wait_ms=3 * HOUR_MS),
    Rule("fast", "views", Beyond("above", 5.0), ALL, HOUR_MS, wait_ms=0),
    Rule("twice", "views", Beyond("above", 5.0), ALL, HOUR_MS, 2, wait_ms=HOUR_MS),
)


async def test_messages_come_in_one_order_step_by_step_and_in_one_go(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movie_stream.alerts.outbox._AT_ONCE", 2)
    told = []
    views = [9, 1, 9, 9, 1, 9, 9, 9, 1, 1, 1, 1, 1]
    for steps in (True, False):
        for name in ("alerts", "_alerting", "_deliveries", "hourly_metrics"):
            await db[name].delete_many({})
        stage, sent = Stage(db, RULES, 14), list[tuple[str, int, str]]()
        for hour, count in enumerate(views):
            await stage.publish(hour, count)
            if steps or hour == len(views) - 1:
                await stage.evaluate()
                sent += await stage.sent()
        await stage.store.release()
        told.append(sent)
    assert len(told[0]) == 2 * (3 + 3 + 2)
    assert told[0] == told[1]


async def test_two_writers_of_one_number_leave_the_receiver_with_the_stored_state(db: Database) -> None:
    """One has read the alert as ended and stops for a while; another one withdraws it; each is the first to insert."""
    of = rule("log")
    await stored(db, alert(of))
    await fill(db, of)
    await stored(db, alert(of, ended=True))
    slow, quick = outbox(db, of), outbox(db, of)
    put_away, put_away_quick = slow._insert, quick._insert

    async def dies(messages: Sequence[dict[str, Any]]) -> set[str]:
        slow._insert = put_away  # type: ignore[method-assign]
        await stored(db, withdrawn(of))

        async def late(some: Sequence[dict[str, Any]]) -> set[str]:
            quick._insert = put_away_quick  # type: ignore[method-assign]
            await put_away(messages)
            return await put_away_quick(some)

        quick._insert = late  # type: ignore[assignment, method-assign]
        await quick.fill(NOW_MS, NOW)
        raise delivery.Killed

    slow._insert = dies  # type: ignore[method-assign]
    with pytest.raises(delivery.Killed):
        await slow.fill(NOW_MS, NOW)
    assert await delivery.messages(db) == [(1, "started"), (2, "ended"), (3, "withdrawn")]


async def test_a_late_writer_of_a_taken_number_leaves_no_second_message(db: Database) -> None:
    of = rule("log")
    await stored(db, alert(of))
    await fill(db, of)
    await stored(db, alert(of, ended=True))
    slow = outbox(db, of)
    put_away = slow._insert

    async def stalls(messages: Sequence[dict[str, Any]]) -> set[str]:
        slow._insert = put_away  # type: ignore[method-assign]
        await stored(db, withdrawn(of))
        await fill(db, of)
        return await put_away(messages)

    slow._insert = stalls  # type: ignore[method-assign]
    await slow.fill(NOW_MS, NOW)
    assert await delivery.messages(db) == [(1, "started"), (2, "withdrawn")]


async def test_a_writer_whose_lease_has_ended_enqueues_nothing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read the alert as ended, and stops for a while; meanwhile the alert lasts again, as its receiver knows."""
    of = rule("log")
    await stored(db, alert(of))
    await fill(db, of)
    await stored(db, alert(of, ended=True))
    with monkeypatch.context() as patch:
        patch.setattr("movie_stream.alerts.store.LEASE", timedelta(milliseconds=1))
        store = Store(db, delivery.RUN, "slow")
        assert (await store.claim()).held
    slow = Outbox(db, delivery.RUN, [of], 24 * HOUR_MS, lambda: store.held_until)
    put_away = slow._insert

    async def stalls(messages: Sequence[dict[str, Any]]) -> set[str]:
        monkeypatch.setattr("movie_stream.alerts.store.MARGIN", timedelta())
        await stored(db, alert(of))
        await fill(db, of)
        return await put_away(messages)

    slow._insert = stalls  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        await slow.fill(NOW_MS, NOW)
    await fill(db, of)
    assert await delivery.messages(db) == [(1, "started")]


async def test_a_message_whose_writer_died_is_corrected_once_the_alert_lasts_again(db: Database) -> None:
    of = rule("log")
    await stored(db, alert(of))
    await fill(db, of)
    await stored(db, alert(of, ended=True))
    killed = outbox(db, of)
    put_away = killed._insert

    async def dies(messages: Sequence[dict[str, Any]]) -> set[str]:
        await put_away(messages)
        raise delivery.Killed

    killed._insert = dies  # type: ignore[method-assign]
    with pytest.raises(delivery.Killed):
        await killed.fill(NOW_MS, NOW)
    await stored(db, alert(of))
    await fill(db, of)
    assert await delivery.messages(db) == [(1, "started"), (2, "ended"), (3, "started")]
