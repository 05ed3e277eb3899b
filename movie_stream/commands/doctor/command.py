"""`movie-stream doctor`: checks everything that a worker needs, and prints the remedies."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.table import Table
from rich.text import Text

from movie_stream import __version__
from movie_stream.commands.doctor.alerts import check_alerts
from movie_stream.commands.doctor.clocks import check_brokers_clock, check_mongodbs_clock
from movie_stream.commands.doctor.feed import check_feed
from movie_stream.commands.doctor.findings import Findings, Row
from movie_stream.commands.doctor.installation import check_installation
from movie_stream.commands.doctor.metrics import check_metrics
from movie_stream.commands.doctor.reader import check_reader
from movie_stream.commands.doctor.stores import check_replication, check_shard_keys
from movie_stream.commands.doctor.workers import check_claims, check_workers
from movie_stream.console import logs
from movie_stream.errors import PartitionSilent
from movie_stream.kafka.cluster import client, configs, permissions, topics
from movie_stream.kafka.cluster.access import access_in_words, user_of
from movie_stream.kafka.offsets import shortened_list
from movie_stream.masking import printable
from movie_stream.mongo import runs, schema, sharding
from movie_stream.mongo.client import Database, address_of, majority_acknowledged, opened
from movie_stream.mongo.users import BI, READER
from movie_stream.runs.fingerprint import differences, uncounted_results
from movie_stream.runs.set_back import require_same_time
from movie_stream.settings import Settings

SCRATCH: Final = "_doctor"
"""A collection that exists only during the write test."""
_WIDTH: Final = 80
_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(settings: Settings, *, as_json: bool = False) -> int:
    """Prints the findings, as a table or `as_json`; the exit code is 1 if one of them is a failure, else 0."""
    logs.leave_to_us()
    return _reported([*check_installation(settings), *asyncio.run(_services(settings))], as_json)


def doctor_of_feed(settings: Settings, *, url: str | None, as_json: bool = False) -> int:
    """Like `doctor`, for the OData feed at this address, by default that of the settings.

    Raises UsageError for an invalid address.
    """
    return _reported(asyncio.run(check_feed(settings, url)), as_json)


def _reported(rows: list[Row], as_json: bool) -> int:
    if as_json:
        _print_json(rows)
    else:
        _print(rows)
    return 1 if any(row.state == "fail" for row in rows) else 0


def _print_json(rows: list[Row]) -> None:
    """One object, for scripts."""
    states = [row.state for row in rows]
    found = {
        "version": __version__,
        "failed": states.count("fail"),
        "to_look_at": states.count("warn"),
        "checks": [
            {
                "check": row.check,
                "state": row.state,
                "what": printable(row.what),
                "remedy": printable(row.remedy) or None,
            }
            for row in rows
        ],
    }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _print(rows: list[Row]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("what, and what to do", overflow="fold")
    for row in rows:
        what = Text(printable(row.what))
        if row.remedy:
            what.append(f"\n-> {printable(row.remedy)}", style="yellow")
        table.add_row(row.check, Text(row.state, _STYLES[row.state]), what)
    console = Console(highlight=False)
    if not console.is_terminal or console.width > _WIDTH:
        console = Console(highlight=False, width=_WIDTH)
    console.print(table)
    states = [row.state for row in rows]
    fails, warns = states.count("fail"), states.count("warn")
    checks = "1 check" if len(rows) == 1 else f"{len(rows)} checks"
    console.print(f"\n{checks}: {fails} failed, {warns} to look at." if fails or warns else "\nAll is fine.")


async def _services(settings: Settings) -> list[Row]:
    kafka, mongodb = Findings("broker"), Findings("MongoDB")
    both = await asyncio.gather(kafka.of(_kafka(settings, kafka)), mongodb.of(_mongodb(settings, mongodb)))
    rows = [row for side in both for row in side]
    if not any(row.state == "fail" for row in rows):
        run, alone, counting = Findings("run"), Findings("ownership"), Findings("workers")
        found = await asyncio.gather(
            run.of(_run(settings, run)),
            alone.of(check_claims(settings, alone)),
            counting.of(check_workers(settings, counting)),
        )
        rows += [row for side in found for row in side]
    if mongodb.rows[0].state == "ok":
        for account in (READER, BI):
            reader = Findings(account.name)
            rows += await reader.of(check_reader(settings, reader, account))
        alerts = Findings("alerts")
        rows += await alerts.of(check_alerts(settings, alerts))
    metrics = Findings("metrics")
    rows += await metrics.of(check_metrics(settings, metrics))
    return rows


async def _kafka(settings: Settings, findings: Findings) -> None:
    servers, names = settings.require_broker(), topics.Topics.of(settings)
    async with client.admin(settings) as admin:
        with client.explained(settings, "looking at the cluster"):
            cluster = await admin.describe_cluster()
            findings.add("ok", f"{servers}: cluster {cluster['cluster_id']}, brokers: {len(cluster['brokers'])}")
            findings.check = "Kafka access"
            findings.add("ok", access_in_words(settings))
            findings.check = "topics"
            there = await topics.partition_counts(admin, names.all)
            missing = [name for name in names.all if name not in there]
            if missing:
                await permissions.require_permissions(settings, admin, names.needs)
                findings.add("fail", f"missing: {', '.join(missing)}", "movie-stream init")
                return
            limits = await configs.limits(admin, names.all)
            _topics(settings, findings, there)
            if leaderless := await topics.leaderless(admin, names.all):
                findings.add("fail", str(PartitionSilent(partitions=shortened_list(leaderless), leaderless=True)))
            _record_sizes(findings, names, limits)
            await check_retention(findings, admin, names)
            await check_replication(findings, admin, names, len(cluster["brokers"]))
        with client.explained(settings, "looking up permissions"):
            await _permissions(settings, findings, admin, names)
        await check_brokers_clock(settings, findings, admin)


async def check_retention(findings: Findings, admin: AIOKafkaAdminClient, names: topics.Topics) -> None:
    """Checks the broker's retention of records."""
    findings.check = "retention"
    policies = {name: await configs.configs_of(admin, name) for name in (names.events, *names.deleted)}
    compacted = [name for name, configs in policies.items() if "compact" in configs.get("cleanup.policy", "")]
    forgetful = {
        setting: [name for name in names.deleted if int(policies[name].get(setting, "-1")) >= 0]
        for setting in topics.RETENTION_CONFIGS
    }
    if names.events in compacted:
        findings.add(
            "warn",
            f"{names.events} is compacted, which keeps the newest view of a user: a rebuild would count less",
            f"set cleanup.policy of {names.events} to delete",
        )
    if internal := [name for name in compacted if name != names.events]:
        findings.add(
            "fail",
            f"compacted, which takes no record of ours: {', '.join(internal)}",
            "set their cleanup.policy to delete",
        )
    for setting, when in zip(topics.RETENTION_CONFIGS, ("after a time", "where there are many"), strict=True):
        if forgetful[setting]:
            findings.add(
                "warn",
                f"records that are still needed are deleted {when}: {', '.join(forgetful[setting])}",
                f"set their {setting} to -1: workers delete what is done with",
            )
    if not compacted and not any(forgetful.values()):
        known = any("cleanup.policy" in configs for configs in policies.values())
        findings.add("ok", "keeps all records that are needed" if known else "the broker does not report its retention")


async def _permissions(
    settings: Settings, findings: Findings, admin: AIOKafkaAdminClient, names: topics.Topics
) -> None:
    findings.check = "Kafka ACLs"
    lacking = await permissions.missing(admin, names.needs)
    lacking += await permissions.missing_on_group(admin, settings.kafka_group)
    growing = await permissions.missing(admin, {topic: ["Delete"] for topic in names.deleted})
    user, remedy = user_of(settings), "have them set as docs/how-to/security.md lists them"
    if lacking:
        findings.add("fail", f"a worker of the Kafka user {user} lacks: {', '.join(lacking)}", remedy)
    elif growing:
        findings.add("warn", f"without {', '.join(growing)}, which only grow then", remedy)
    else:
        findings.add("ok", "all that a worker needs is allowed")


def _topics(settings: Settings, findings: Findings, there: Mapping[str, int]) -> None:
    if wrong := topics.too_few_partitions(topics.Topics.of(settings), there):
        remedy = "stop all workers, delete these topics; then: movie-stream init, and: movie-stream rebuild"
        findings.add("fail", "; ".join(wrong), remedy)
    else:
        findings.add("ok", f"all there; partitions of {settings.kafka_topic}: {there[settings.kafka_topic]}")


def _record_sizes(findings: Findings, names: topics.Topics, limits: Mapping[str, int | None]) -> None:
    """Checks whether the records of a worker fit into the topics."""
    findings.check = "record size"
    event, letter = limits[names.events], limits[names.dead_letters]
    for topic, size in topics.wanted_limits(names, limits).items():
        found = limits[topic] or 0
        what, remedy = f"{configs.LIMIT} of {topic} is {found:,}", f"movie-stream init, or set it to {size}"
        if topic == names.dead_letters and found >= topics.MIN_RECORD_LIMIT_BYTES:
            findings.add("warn", f"{what}, of {names.events} {event:,}: large dead letters may be cut off", remedy)
        else:
            findings.add("fail", f"{what}, too little for a worker", remedy)
    if findings.rows[-1].check == findings.check:
        return
    if event is None or letter is None:
        findings.add("ok", "the broker does not report its limit on a record's size")
    else:
        findings.add("ok", f"records up to {event:,} bytes, dead letters up to {letter:,}")


async def _mongodb(settings: Settings, findings: Findings) -> None:
    settings.require_mongodb()
    async with opened(settings) as db:
        hello = await db.client.admin.command("hello")
        build = await db.client.admin.command("buildInfo")
        status = await db.client.admin.command("connectionStatus")
        users = [user["user"] for user in status["authInfo"]["authenticatedUsers"]]
        kind = f"replica set {hello['setName']}" if "setName" in hello else sharding.kind_of(hello)
        who = f"as {', '.join(users)}" if users else "without a login"
        findings.add("ok", f"{address_of(db)}: version {build['version']}, {kind}, {who}")
        await check_mongodbs_clock(findings, db)
        findings.check = "write to MongoDB"
        await _write(db)
        findings.add("ok", f"{db.name}: a document written, acknowledged by a majority, and deleted")
        findings.check = "collections"
        if lacking := await schema.missing(db):
            findings.add(
                "fail", f"missing, or different from what is expected: {', '.join(lacking)}", "movie-stream init"
            )
        else:
            findings.add("ok", "all exist, with validators, indexes and views")
        if sharding.kind_of(hello) == sharding.CLUSTER:
            await check_shard_keys(findings, db)


async def _write(db: Database) -> None:
    """Writes and deletes a document. Raises the driver's errors."""
    scratch = majority_acknowledged(db, SCRATCH)
    try:
        await scratch.insert_one({"_id": uuid.uuid4().hex})
    finally:
        await scratch.drop()


async def _run(settings: Settings, findings: Findings) -> None:
    """Checks whether the current run counts as a worker would now; begins no run."""
    topology = await topics.describe(settings)
    async with opened(settings) as db:
        run = await runs.current(db, settings.kafka_group)
        if run is not None and not differences(settings, topology, run):
            await require_same_time(settings, db, topology, run, all_known_within_s=1)
    if run is None:
        findings.add("ok", "none yet; the first worker begins it")
    elif changed := differences(settings, topology, run):
        findings.add("fail", f"run {run.number} counts otherwise: {changed}", "undo that, or: movie-stream rebuild")
    elif lacking := uncounted_results(run):
        what = f"run {run.number} was begun before there was {lacking}, and does not count it"
        findings.add("warn", what, "count all of the topic afresh with: movie-stream rebuild")
    else:
        findings.add("ok", f"run {run.number}, of this topic and these settings")
