"""A worker that ends by kill -9, of its own hand, at a given step: python -m tests.chaos.crashing STEP NTH [ROWS].

The steps are those of both flushes, of restoring and of leaving. NTH says at which time the step is reached; ROWS is
how many rows `publish` keeps in memory, so that old windows move into MongoDB. Without a crash (STEP "none") it is a
worker like any other.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from movie_stream.agents import publish as publish_module
from movie_stream.agents import worker as worker_module
from movie_stream.agents.accumulate import Accumulate
from movie_stream.agents.owner import Owner
from movie_stream.agents.publish import Publish
from movie_stream.aggregates.merger import Merger
from movie_stream.cli import main
from movie_stream.kafka.log import Broker, KafkaLog
from movie_stream.mongo.partials import PartialsStore
from movie_stream.mongo.sink import Sink
from movie_stream.tables import table as table_module
from movie_stream.tables.checkpoint import Cursor, decode
from movie_stream.tables.table import Table

Where = tuple[type, str]
Condition = Callable[..., bool]

UNANSWERED_S: Final = 0.003
"""About as long as a request is under way to a broker beside us."""


def _of(topic: str) -> Condition:
    """Calls of a changelog, or that name a topic, of which `topic` is part."""
    return lambda *arguments: any(topic in str(getattr(a, "_topic", a)) for a in arguments[:2])


def _by(owner: type) -> Condition:
    return lambda self, *_: isinstance(self, owner)


def _always(*_: Any) -> bool:
    return True


def _before_the_cursor(topic: str) -> Condition:
    """Of a changelog, those batches of a checkpoint after which others follow."""
    return lambda log, values: topic in log._topic and not isinstance(decode(values[-1]), Cursor)


STEPS: Final[dict[str, tuple[Where, str, Condition]]] = {
    "accumulate: before a flush": ((Accumulate, "flush"), "before", _always),
    "accumulate: half of the partials": ((Broker, "send"), "half", _of("partials")),
    "accumulate: partials, unanswered": ((Broker, "send"), "unanswered", _of("partials")),
    "accumulate: partials acknowledged": ((Broker, "send"), "after", _of("partials")),
    "accumulate: dead letters, unanswered": ((Accumulate, "_send_letters"), "unanswered", _always),
    "accumulate: dead letters acknowledged": ((Accumulate, "_send_letters"), "after", _always),
    "accumulate: half of a checkpoint": ((KafkaLog, "append"), "half", _of("accumulate-changelog")),
    "accumulate: a batch of a checkpoint": ((KafkaLog, "append"), "after", _before_the_cursor("accumulate-changelog")),
    "accumulate: a checkpoint, unanswered": ((KafkaLog, "append"), "unanswered", _of("accumulate-changelog")),
    "accumulate: a checkpoint acknowledged": ((KafkaLog, "append"), "after", _of("accumulate-changelog")),
    "accumulate: checkpoint counts": ((Owner, "_finish"), "before", _by(Accumulate)),
    "accumulate: group told": ((Owner, "_finish"), "after", _by(Accumulate)),
    "accumulate: older checkpoints deleted": ((KafkaLog, "delete_before"), "after", _of("accumulate-changelog")),
    "publish: before a flush": ((Publish, "flush"), "before", _always),
    "publish: before the documents": ((Sink, "write"), "before", _always),
    "publish: half of the documents": ((Sink, "write"), "half", _always),
    "publish: documents, unanswered": ((Sink, "write"), "unanswered", _always),
    "publish: documents acknowledged": ((Sink, "write"), "after", _always),
    "publish: the mark, unanswered": ((PartialsStore, "mark"), "unanswered", _always),
    "publish: marked": ((PartialsStore, "mark"), "after", _always),
    "publish: half of a checkpoint": ((KafkaLog, "append"), "half", _of("publish-changelog")),
    "publish: a batch of a checkpoint": ((KafkaLog, "append"), "after", _before_the_cursor("publish-changelog")),
    "publish: a checkpoint, unanswered": ((KafkaLog, "append"), "unanswered", _of("publish-changelog")),
    "publish: a checkpoint acknowledged": ((KafkaLog, "append"), "after", _of("publish-changelog")),
    "publish: checkpoint counts": ((Owner, "_finish"), "before", _by(Publish)),
    "publish: group told": ((Owner, "_finish"), "after", _by(Publish)),
    "publish: older checkpoints deleted": ((KafkaLog, "delete_before"), "after", _of("publish-changelog")),
    "publish: partials deleted": ((Broker, "delete_before"), "after", _of("partials")),
    "publish: before old windows are stored": ((PartialsStore, "save"), "before", _always),
    "publish: half of the old windows stored": ((PartialsStore, "save"), "half", _always),
    "publish: old windows stored": ((PartialsStore, "save"), "after", _always),
    "publish: old windows out of memory": ((Merger, "evict"), "after", _always),
    "publish: old windows fetched": ((PartialsStore, "load"), "after", _always),
    "restore: before": ((worker_module.Worker, "restore"), "before", _always),
    "restore: a table read": ((Table, "restore"), "after", _always),
    "restore: a partition taken": ((Owner, "take"), "after", _always),
    "leave: before": ((Owner, "leave"), "before", _always),
    "leave: after": ((Owner, "leave"), "after", _always),
}
"""By name: the method, when in it (before, after, half of its list, or begun and not answered), and which calls."""


def die() -> None:
    """As sudden as it gets."""
    os.kill(os.getpid(), signal.SIGKILL)


def crash_at(step: str, nth: int) -> None:
    """Has this process end when the step is reached for the nth time."""
    (owner, name), when, condition = STEPS[step]
    method = getattr(owner, name)
    reached = 0

    def due(*arguments: Any) -> bool:
        nonlocal reached
        reached += condition(*arguments) and (when != "half" or len(arguments[-1]) > 1)
        return reached >= nth

    crashing = _crashing if inspect.iscoroutinefunction(method) else _crashing_now
    setattr(owner, name, crashing(method, when, due))


def _crashing(method: Callable[..., Any], when: str, due: Condition) -> Callable[..., Any]:
    async def crashing(*arguments: Any, **named: Any) -> Any:
        if not due(*arguments):
            return await method(*arguments, **named)
        if when == "half":
            *others, values = arguments
            await method(*others, values[: len(values) // 2], **named)
        elif when == "unanswered":
            await asyncio.wait([asyncio.ensure_future(method(*arguments, **named))], timeout=UNANSWERED_S)
        elif when == "after":
            await method(*arguments, **named)
        return die()

    return crashing


def _crashing_now(method: Callable[..., Any], when: str, due: Condition) -> Callable[..., Any]:
    def crashing(*arguments: Any, **named: Any) -> Any:
        is_due = due(*arguments)
        if is_due and when == "before":
            die()
        returned = method(*arguments, **named)
        if is_due:
            die()
        return returned

    return crashing


if __name__ == "__main__":
    _, step, nth, *rows = sys.argv
    if rows:
        publish_module.ROWS_IN_MEMORY = int(rows[0])  # type: ignore[misc]
        publish_module.BYTES_IN_MEMORY = 0  # type: ignore[misc]
    if "a batch of" in step:
        table_module.SENT_AT_ONCE = 1  # type: ignore[attr-defined]
    if step != "none":
        crash_at(step, int(nth))
    sys.argv[1:] = ["worker"]
    main()
