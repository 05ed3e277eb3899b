"""The answer of `show workers`: the workers with a heartbeat in MongoDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from textwrap import fill
from typing import Any, Final

from movie_stream.commands.show import table as show_table
from movie_stream.commands.show.answer import Answer, Column, Table
from movie_stream.mongo.client import Database
from movie_stream.mongo.read import LIMIT_MS
from movie_stream.mongo.workers import EXPIRES_AFTER, WORKERS

_STATE_WIDTH: Final = 12
_PARTITIONS_LEAST: Final = 18
_NOW: Final = "now"
_NOBODY: Final = "No worker of {} was seen within the last {:.0f} s.\nStart one with: movie-stream worker"
_FIELDS: Final = (
    *("_id", "worker", "host", "pid", "version", "group", "run", "state", "started"),
    *("seen", "last_flush", "partitions", "lag", "watermark", "events", "refused", "delay_ms"),
)
"""The columns of the CSV."""


async def answer(db: Database, group: str, limit: int) -> Answer:
    """The workers seen within the last minute by MongoDB's clock, the longest running first."""
    found = await _seen(db, limit + 1)
    workers, now = found[:limit], found[0][_NOW] if found else None
    for worker in found:
        del worker[_NOW]
    rows = [row_of(worker, now) for worker in workers]
    elsewhere = {row["group"] for row in rows} - {group}
    return Answer(
        workers,
        _FIELDS,
        rows,
        [Table(f"Workers of {db.name} (UTC)", _columns(with_group=bool(elsewhere)), rows)],
        more=f"{limit:,} shown, there are more; see --limit" if len(found) > limit else "",
        nothing="" if workers else _NOBODY.format(db.name, EXPIRES_AFTER.total_seconds()),
    )


async def _seen(db: Database, limit: int) -> list[dict[str, Any]]:
    """The documents of the workers, and MongoDB's time."""
    since = {"$subtract": ["$$NOW", int(EXPIRES_AFTER.total_seconds()) * 1_000]}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"$expr": {"$gte": ["$seen", since]}}},
        {"$sort": {"started": 1, "_id": 1}},
        {"$limit": limit},
        {"$set": {_NOW: "$$NOW"}},
    ]
    found: list[dict[str, Any]] = await db[WORKERS].aggregate(pipeline, maxTimeMS=LIMIT_MS).to_list(limit)
    return found


def row_of(worker: Mapping[str, Any], now: datetime | None) -> dict[str, Any]:
    """A worker as one row: its partitions as text, its total lag in events, its lowest watermark, and the number of
    records it refused for any reason.
    """
    partitions = worker.get("partitions") or []
    lags = [partition["lag"] for partition in partitions if partition.get("lag") is not None]
    watermarks = [partition["watermark"] for partition in partitions if partition.get("watermark") is not None]
    return {
        **{field: worker.get(field) for field in _FIELDS},
        "worker": f"{worker.get('host')}-{worker.get('pid')}",
        "partitions": _in_words(partitions),
        "lag": sum(lags) if lags else None,
        "watermark": min(watermarks, default=None),
        "refused": sum(refused.values()) if isinstance(refused := worker.get("refused"), Mapping) else refused,
        **{f"{field}_ago": _ago(worker.get(field), now) for field in ("seen", "last_flush")},
    }


def _in_words(partitions: Iterable[Mapping[str, Any]]) -> str:
    """Partitions by topic, as ranges.

    >>> _in_words([{"topic": "movie-events", "partition": number} for number in (0, 2, 1, 5)])
    'movie-events 0-2,5'
    """
    owned = sorted((held["topic"], held["partition"]) for held in partitions if {"topic", "partition"} <= held.keys())
    by_topic = groupby(owned, key=lambda one: one[0])
    return "; ".join(f"{topic} {_ranges([number for _, number in those])}" for topic, those in by_topic)


def _ranges(numbers: list[int]) -> str:
    """Numbers in order, as ranges.

    >>> _ranges([0, 1, 2, 5])
    '0-2,5'
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, ends)) for ends in ranges)


def _ago(time: datetime | None, now: datetime | None) -> str | None:
    """The age in whole seconds, at least 0, since a worker's clock may be ahead of MongoDB's."""
    if time is None or now is None:
        return None
    return f"{max(round((now - time).total_seconds()), 0):,} s ago"


def _delay(milliseconds: object) -> str:
    """A delay in milliseconds, or in seconds if it is long.

    >>> _delay(212.4), _delay(61_000), _delay(None)
    ('212 ms', '61 s', '-')
    """
    if not isinstance(milliseconds, int | float):
        return show_table.text(milliseconds)
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1_000:,.0f} s"


def _host_and_pid(worker: str) -> str:
    r"""Host and process id in two lines, so that a long host name does not hide the id.

    >>> _host_and_pid("node-17-4711")
    'node-17\npid 4711'
    """
    host, _, pid = show_table.text(worker).rpartition("-")
    return f"{host}\npid {pid}"


def _by_topic(partitions: str) -> str:
    """A line for each topic."""
    return "\n".join(map(show_table.text, partitions.split("; "))) if partitions else "none"


def _columns(*, with_group: bool) -> list[Column]:
    """The most important columns first; the group only if it is not KAFKA_GROUP."""
    group = [Column("group", "group", show_table.text, "left", least=show_table.LEAST)] if with_group else []
    return [
        Column("worker", "worker", _host_and_pid, "left", least=show_table.LEAST),
        Column("state", "state", lambda state: fill(show_table.text(state), _STATE_WIDTH), "left"),
        Column("lag", "lag", show_table.count),
        Column("partitions", "partitions", _by_topic, "left", least=_PARTITIONS_LEAST),
        Column("seen", "seen_ago", show_table.text),
        *group,
        Column("watermark", "watermark", show_table.time("%Y-%m-%d %H:%M"), "left"),
        Column("delay", "delay_ms", _delay),
        Column("counted", "events", show_table.count),
        Column("refused", "refused", show_table.count),
        Column("last flush", "last_flush_ago", show_table.text),
        Column("version", "version", show_table.text, "left"),
        Column("run", "run", lambda number: "-" if number is None else str(number)),
    ]
