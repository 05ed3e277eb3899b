"""`init --shard`: what a cluster is told, and who is told that he has none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from movie_stream.aggregates.results import RESULTS
from movie_stream.commands.doctor.findings import Findings
from movie_stream.commands.doctor.stores import check_shard_keys
from movie_stream.mongo import runs, sharding
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from tests.support.mongo.mongo_server import MongoServer
from tests.support.mongo.mongos import Mongos
from tests.support.whole_path import command, succeed

SHARDED = [*(result.collection for result in RESULTS), "_partials"]


def at(settings: Settings, uri: str) -> Settings:
    """The same with another MongoDB."""
    return settings.model_copy(update={"mongodb_uri": SecretStr(uri)})


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Mongos]:
    with MongoServer(tmp_path, replica_set=True) as mongod, Mongos(mongod.port) as mongos:
        yield mongos


def test_results_are_spread_by_their_id_once(settings: Settings, cluster: Mongos) -> None:
    there = at(settings, cluster.uri)
    first = succeed(there, "init", "--shard")
    assert first.count("created  shard key") == len(SHARDED)
    spaces = [f"{there.mongodb_database}.{name}" for name in SHARDED]
    assert cluster.told == [
        {"enableSharding": there.mongodb_database},
        *({"shardCollection": space, "key": {"_id": "hashed"}} for space in spaces),
    ]
    cluster.told.clear()
    assert succeed(there, "init", "--shard").count("there    shard key") == len(SHARDED)
    assert cluster.told == [{"enableSharding": there.mongodb_database}]
    said = " ".join(succeed(there, "doctor").split())
    assert "sharded cluster" in said
    assert "results are spread over the shards by _id" in said
    assert "linearizable" in cluster.levels, "the run that counts is asked of primaries that still are"


def test_without_shard_it_is_as_before_and_doctor_says_so(settings: Settings, cluster: Mongos) -> None:
    there = at(settings, cluster.uri)
    succeed(there, "init")
    assert cluster.told == []
    said = " ".join(succeed(there, "doctor").split())
    assert f"all on one shard: {SHARDED[0]}, " in said
    assert "movie-stream init --shard" in said


def test_another_key_is_refused_before_anything_is_changed(settings: Settings, cluster: Mongos) -> None:
    there = at(settings, cluster.uri)
    cluster.keys[f"{there.mongodb_database}.{SHARDED[0]}"] = {"timestamp": 1}
    done = command(there, "init", "--shard")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {SHARDED[0]} in MongoDB: expected _id as its shard key, got {{'timestamp': 1}}; ")
    assert cluster.told == []

    async def look() -> Findings:
        findings = Findings("MongoDB")
        async with opened(there) as db:
            await check_shard_keys(findings, db)
        return findings

    [row] = asyncio.run(look()).rows
    assert (row.check, row.state) == ("shard keys", "fail")


@pytest.mark.parametrize("replica_set", [True, False])
def test_no_cluster_is_named(settings: Settings, tmp_path: Path, replica_set: bool) -> None:
    with MongoServer(tmp_path, replica_set=replica_set) as mongod:
        done = command(at(settings, mongod.uri), "init", "--shard")
    kind = "replica set" if replica_set else "standalone mongod"
    assert (done.returncode, done.stderr) == (
        1,
        f"error: MongoDB at mongodb://127.0.0.1:{mongod.port}: expected a mongos of a sharded cluster for init "
        f"--shard, got a {kind}; let MONGODB_URI name the mongos, or leave --shard out\n",
    )


async def test_the_run_that_counts_is_read_through_a_mongos(settings: Settings, cluster: Mongos) -> None:
    async with opened(at(settings, cluster.uri)) as db:
        opened_run = await runs.open_run(db, "group", {"partitions": "3"})
        assert await runs.current(db, "group") == opened_run
    assert cluster.levels == {"linearizable"}
    assert sharding.kind_of({"msg": "isdbgrid"}) == sharding.CLUSTER
