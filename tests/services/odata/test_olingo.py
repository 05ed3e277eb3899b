"""The feed as a client reads it that no one here wrote: Apache Olingo's, on the server as a process."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections import defaultdict
from typing import Any

import pytest

from movie_stream.mongo.client import opened
from movie_stream.odata.model import all_sets
from movie_stream.settings import Settings
from tests.support.odata.asking import stored
from tests.support.odata.olingo import compiled
from tests.support.web.serving import events, fill, serving

TOKEN = "a-token-for-olingo"
WITHIN_S = 120
MILLISECONDS = re.compile(r"(?<=:\d\d)(\.\d+?)0+Z$")
FILTER = "total_views ge 1 and window_start ge 2024-10-29T12:00:00Z and contains(genre,'r') and avg_rating ne null"


async def filled_with(settings: Settings, views: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What MongoDB has of these views, by set and key."""
    await fill(settings, views)
    async with opened(settings) as db:
        return {name: {one["_id"]: one for one in await stored(db, each)} for name, each in all_sets().items()}


def shortest(value: Any) -> Any:
    """The same with times as Olingo writes them, whose milliseconds have no zeros at their end."""
    match value:
        case dict():
            return {name: shortest(one) for name, one in value.items()}
        case list():
            return [shortest(one) for one in value]
        case str():
            return MILLISECONDS.sub(r"\1Z", value)
        case _:
            return value


@pytest.mark.parametrize(
    ("views", "size", "form"),
    [
        pytest.param(200, 30, "application/json;odata.metadata=minimal", id="some"),
        pytest.param(4_000, 250, "application/json;odata.metadata=full", id="many", marks=pytest.mark.long),
    ],
)
def test_olingo_reads_what_mongodb_has(settings: Settings, views: int, size: int, form: str) -> None:
    path = compiled()
    wanted = asyncio.run(filled_with(settings, events(views)))
    with serving(settings, API_TOKEN=TOKEN) as server:
        asked = ["movies_aggregates", FILTER, "window_start desc,_id", form]
        words = ["java", "-Xmx256m", "-Dfile.encoding=UTF-8", "-cp", path, "ReadAll", f"{server.address}/odata"]
        done = subprocess.run([*words, TOKEN, str(size), *asked], capture_output=True, check=False, timeout=WITHIN_S)
    assert done.returncode == 0, done.stderr.decode()[-3_000:]
    found: dict[str, list[Any]] = defaultdict(list)
    for line in done.stdout.decode().splitlines():
        what, value = json.loads(line)
        found[what].append(value)
    assert set(found["service"][0]) == set(wanted)
    for name, documents in wanted.items():
        assert {one["_id"]: one for one in shortest(found[name])} == shortest(documents), name
        assert len(found[name]) == len(documents)
    assert found["pages"] == [max(1, -(-len(documents) // size)) for documents in wanted.values()]
    expected = [
        one
        for one in wanted["movies_aggregates"].values()
        if one["window_start"] >= "2024-10-29T12:00:00Z" and "r" in one["genre"] and one["avg_rating"] is not None
    ]
    expected.sort(key=lambda one: one["_id"])
    expected.sort(key=lambda one: one["window_start"], reverse=True)
    assert (found["filtered"], found["counted"]) == (shortest(expected[:7]), [len(expected)])
    assert found["refused"] == ["BadRequest $filter"]
