"""Checks of `movie-stream doctor` on the replication of the topics and the shard keys of the results."""

from __future__ import annotations

from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from pymongo.errors import OperationFailure

from movie_stream.commands.doctor.findings import Findings
from movie_stream.kafka.cluster import configs, topics
from movie_stream.kafka.cluster.identity import describe_topics
from movie_stream.mongo import sharding
from movie_stream.mongo.client import Database

_HOW: Final = "docs/how-to/kafka.md says how"
_UNAUTHORIZED: Final = 13


async def check_replication(findings: Findings, admin: AIOKafkaAdminClient, names: topics.Topics, brokers: int) -> None:
    """Checks the replication factor of the topics, and how many replicas must have a record to acknowledge it."""
    findings.check = "replication"
    seen = await describe_topics(admin, names.all)
    if seen is None:
        findings.add("ok", "the broker does not report the replication factor")
        return
    copies = {name: topic.copies for name, topic in seen[1].items() if not topic.error_code}
    if brokers == 1:
        findings.add("ok", "one broker has the only copy of everything: fine for trying out; use three for more")
        return
    if single := [name for name, count in copies.items() if count == 1]:
        findings.add("warn", f"on one of {brokers} brokers alone, lost with it: {', '.join(single)}", _HOW)
    in_sync = {name: await _in_sync(admin, name) for name, count in copies.items() if count > 1}
    if stuck := [name for name, least in in_sync.items() if least >= copies[name]]:
        findings.add(
            "warn",
            f"nothing is written while one broker is away: {', '.join(stuck)}",
            f"set their {topics.MIN_IN_SYNC_CONFIG} below the number of their copies",
        )
    if loose := [name for name, least in in_sync.items() if least == 1 and copies[name] >= topics.REPLICATION_FACTOR]:
        findings.add(
            "warn",
            f"a record counts as written once a single broker has it: {', '.join(loose)}",
            f"set their {topics.MIN_IN_SYNC_CONFIG} to {topics.MIN_IN_SYNC}",
        )
    if findings.rows[-1].check != findings.check:
        least, written = min(copies.values(), default=1), min(in_sync.values(), default=1)
        findings.add("ok", f"on {least} brokers or more; a record counts as written once it is on {written}")


async def _in_sync(admin: AIOKafkaAdminClient, topic: str) -> int:
    return int((await configs.configs_of(admin, topic)).get(topics.MIN_IN_SYNC_CONFIG, "1"))


async def check_shard_keys(findings: Findings, db: Database) -> None:
    """Checks how a sharded cluster spreads the results."""
    findings.check = "shard keys"
    names = sharding.sharded()
    try:
        keys = await sharding.shard_keys(db, names)
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        findings.add("ok", "this user is not allowed to see them")
        return
    if others := sharding.others(keys):
        name, key = next(iter(others.items()))
        findings.add("fail", str(sharding.ShardedByAnotherKey(name=name, key=key)))
    elif missing := [name for name in names if name not in keys]:
        findings.add("warn", f"all on one shard: {', '.join(missing)}", "movie-stream init --shard")
    else:
        findings.add("ok", "results are spread over the shards by _id")
