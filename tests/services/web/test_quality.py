"""`/quality`: the hours of a range added up by partition, rated by the expectations."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from movie_stream.alerts.keys import RulesRefused
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.support import reference
from tests.support.reference import HOUR_MS, Record
from tests.support.stored import store
from tests.support.web.asking import asking, got, moment

NOON_MS: Final = 1_730_376_000_000  # 2024-10-31T12:00:00Z
HOURS: Final = (40, 10, 0, 30, 5)
"""Views of the first partition in each hour from noon on; the third hour has none."""


def partitions() -> list[list[Record]]:
    """The second has a view, and rubbish before and after it."""
    first: list[dict[str, Any]] = [
        {**reference.A_VIEW, "timestamp": NOON_MS + hour * HOUR_MS + i, "rating": None if i % 2 else 3, "price": 1}
        for hour, views in enumerate(HOURS)
        for i in range(views)
    ]
    second: list[bytes | None] = [b"rubbish", json.dumps({**reference.A_VIEW, "timestamp": NOON_MS}).encode(), b"{}"]
    return [
        [(at, event["timestamp"] + 500 + at, json.dumps(event).encode()) for at, event in enumerate(first)],
        [(at, NOON_MS + 400 * 24 * HOUR_MS, value) for at, value in enumerate(second)],
    ]


@pytest.fixture
async def stored(settings: Settings) -> Settings:
    documents = reference.expected(partitions()).documents["data_quality"]
    async with opened(settings) as db:
        await ensure(db)
        await store(db, {"data_quality": documents})
    return settings


def expecting(settings: Settings, tmp_path: Path, table: str) -> Settings:
    """The settings with an ALERTS_FILE that has this table."""
    file = tmp_path / "alerts.toml"
    file.write_text(f"[quality]\n{table}\n")
    return settings.model_copy(update={"alerts_file": file})


async def quality(settings: Settings, **within: Any) -> Any:
    async with asking(settings) as client:
        return await got(client, "quality", **within)


async def test_figures_are_sums_over_the_hours(stored: Settings) -> None:
    answer = await quality(stored)
    total, (first, second) = answer["total"], answer["partitions"]
    assert (first["partition"], second["partition"], total["partition"]) == (0, 1, None)
    count = sum(HOURS)
    assert (first["records"], first["views"], first["bad"], first["late"]) == (count, count, 0, 0)
    assert (second["records"], second["views"], second["bad"]) == (3, 1, 2)
    assert (total["records"], total["without_rating"], total["without_price"]) == (count + 3, count // 2 + 1, 1)
    assert first["avg_delay_s"] == pytest.approx(0.5 + (count - 1) / 2_000)
    assert first["max_delay_s"] == pytest.approx(0.5 + (count - 1) / 1_000)
    assert (first["light"], second["light"], answer["light"]) == ("green", "red", "red")
    assert [one["figure"] for one in second["judged"] if one["limit"] is not None] == ["bad"]
    assert Counter({one["reason"]: one["count"] for one in total["reasons"]}) == {"bad": 2}
    assert {one["completeness"] for one in (total, first, second)} == {None}


async def test_a_range_has_the_hours_that_it_touches(stored: Settings) -> None:
    answer = await quality(stored, since=moment(NOON_MS + HOUR_MS * 1.5), until=moment(NOON_MS + HOUR_MS * 3 + 1))
    assert [(one["partition"], one["records"]) for one in answer["partitions"]] == [(0, HOURS[1] + HOURS[3]), (1, 0)]
    assert answer["newest"] == moment(NOON_MS + 3 * HOUR_MS)
    assert answer["over_until"] == moment(NOON_MS + 4 * HOUR_MS)
    nothing = await quality(stored, since="2001-01-01T00:00:00Z", until="2002-01-01T00:00:00Z")
    assert (nothing["total"], nothing["partitions"], nothing["light"], nothing["newest"]) == (None, [], "grey", None)


async def test_completeness_is_of_the_hours_that_are_over(stored: Settings, tmp_path: Path) -> None:
    """An hour without records counts; the newest of the stream does not, nor do records before the first view."""
    answer = await quality(expecting(stored, tmp_path, "records_per_hour = 25\nbad = []"))
    first, second = answer["partitions"]
    assert first["completeness"] == sum(HOURS[:-1]) / (25 * 4)
    assert second["completeness"] == 2 / (25 * 4)
    assert answer["total"]["completeness"] == (sum(HOURS[:-1]) + 2) / (25 * 8)
    assert (first["light"], second["light"], answer["light"]) == ("yellow", "red", "red")
    assert first["judged"][0] == {"figure": "completeness", "value": 0.8, "light": "yellow", "limit": 0.9}


def silence(answer: Any) -> list[Any]:
    """The silence of each partition, as reported."""
    names = ("partition", "records", "hours", "empty_hours", "light", "heard")
    return [tuple(one[name] for name in names) for one in answer["partitions"]]


async def test_a_partition_that_died_is_there_and_says_since_when(stored: Settings, tmp_path: Path) -> None:
    """In a range with its end, in one without a record of it, and in one that is over by none."""
    expected = expecting(stored, tmp_path, "records_per_hour = 5\nbad = []")
    heard, last = moment(NOON_MS), moment(NOON_MS + 4 * HOUR_MS)
    at = [moment(NOON_MS + hour * HOUR_MS) for hour in range(8)]
    until = await quality(expected, since=moment(NOON_MS - HOUR_MS), until=at[5])
    assert silence(until) == [(0, sum(HOURS), 4, 1, "green", last), (1, 2, 4, 3, "red", heard)]
    without = await quality(expected, since=at[3], until=at[5])
    assert silence(without) == [(0, 35, 1, 0, "green", last), (1, 0, 1, 1, "red", heard)]
    assert (without["light"], without["total"]["hours"], without["total"]["heard"]) == ("red", 2, last)
    empty = await quality(expected, since=at[2], until=at[3])
    assert silence(empty) == [(0, 0, 1, 1, "red", at[1]), (1, 0, 1, 1, "red", heard)]
    later = await quality(expected, since=at[6], until=at[7])
    assert silence(later) == [(0, 0, 0, 0, "grey", last), (1, 0, 0, 0, "grey", heard)]
    unexpected = await quality(stored, since=at[3], until=at[5])
    assert [one["light"] for one in unexpected["partitions"]] == ["green", "grey"]


async def test_a_range_without_bounds_is_of_all_hours(stored: Settings, tmp_path: Path) -> None:
    answer = await quality(expecting(stored, tmp_path, "records_per_hour = 5\nbad = []"), last="all")
    assert silence(answer) == [
        (0, sum(HOURS), 4, 1, "green", moment(NOON_MS + 4 * HOUR_MS)),
        (1, 3, 4, 3, "red", moment(NOON_MS)),
    ]


async def test_what_has_no_views_yet_is_not_incomplete(settings: Settings, tmp_path: Path) -> None:
    """Nobody knows which hour of the stream its records are of."""
    rubbish = [[(0, NOON_MS, b"rubbish")], [(0, NOON_MS, b"rubbish"), (1, NOON_MS + 2 * HOUR_MS, b"rubbish")]]
    async with opened(settings) as db:
        await ensure(db)
        await store(db, {"data_quality": reference.expected(rubbish).documents["data_quality"]})
    answer = await quality(expecting(settings, tmp_path, "records_per_hour = 5\nbad = []"))
    heard = [moment(NOON_MS), moment(NOON_MS + 2 * HOUR_MS)]
    assert silence(answer) == [(0, 1, 0, 0, "green", heard[0]), (1, 2, 0, 0, "green", heard[1])]
    assert (answer["over_until"], answer["newest"]) == (None, None)


async def test_new_genres_are_judged_by_the_hour(stored: Settings, tmp_path: Path) -> None:
    answer = await quality(expecting(stored, tmp_path, "new_genres = [1, 1]\nbad = []"))
    assert answer["total"]["new_genres"] == 2, "one in each partition"
    assert answer["light"] == "green"


async def test_a_file_that_cannot_be_used_is_said_at_the_start(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RulesRefused, match=r"alerts\.toml: line \d+: quality\.bad: expected two shares"):
        await quality(expecting(settings, tmp_path, "bad = 3"))


@pytest.mark.parametrize("size", [None, 1 << 20])
async def test_a_pipe_or_a_huge_file_is_no_file_of_alerts(settings: Settings, tmp_path: Path, size: int | None) -> None:
    file = tmp_path / "alerts.toml"
    if size is None:
        os.mkfifo(file)
    else:
        file.write_text("#" * size)
    with pytest.raises(RulesRefused, match=r"no regular file|has more than"):
        await quality(settings.model_copy(update={"alerts_file": file}))


async def test_documents_that_lack_fields_do_no_harm(stored: Settings) -> None:
    """Somebody else's, or those of another version."""
    async with opened(stored) as db:
        await db.command("collMod", "data_quality", validator={})
        await db["data_quality"].insert_one({"_id": "odd", "timestamp": reference.date(NOON_MS)})
        await db["data_quality"].insert_one({"_id": "odder", "timestamp": reference.date(NOON_MS), "partition": 9})
    answer = await quality(stored)
    assert [one["partition"] for one in answer["partitions"]] == [0, 1, 9]
    assert answer["partitions"][2]["light"] == "grey"
