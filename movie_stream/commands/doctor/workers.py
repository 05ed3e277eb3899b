"""Checks of `movie-stream doctor` on the workers: their lag, their heartbeats, and the members of their group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from movie_stream import __version__
from movie_stream.commands.doctor.findings import Findings, State
from movie_stream.kafka.batches.inflate import BatchRefused
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.group import members
from movie_stream.kafka.group.group_state import REMEDY, settled_group
from movie_stream.kafka.offsets import ENDED_BY, describe_open_transactions
from movie_stream.mongo import runs, workers
from movie_stream.mongo.client import opened
from movie_stream.runs import claims
from movie_stream.runs.progress import TableProgress, long_open_transactions
from movie_stream.runs.set_back import require_newest_run
from movie_stream.settings import Settings

_UNREADABLE: Final = (
    "workers refuse its records as bad; where the checksum is wrong they stop there: have the topic's records up to it "
    "deleted (kafka-delete-records.sh)"
)
_WORKERS_NAMED: Final = 10


async def check_workers(settings: Settings, findings: Findings) -> None:
    """Checks the workers, their lag, and the group's other members."""
    names = topics.Topics.of(settings)
    async with client.admin(settings) as admin, client.reader(settings) as reader, opened(settings) as db:
        there = (await topics.describe(settings, admin)).partitions
        run = await runs.current(db, settings.kafka_group)
        state = await settled_group(settings, admin)
        group = await members.members_of(settings, admin)
        heard = await workers.seen(db, settings.kafka_group)
        committed = await _committed(settings, admin, there)
        tables = {topic: TableProgress(settings, reader, topic, there[topic]) for topic in names.changelogs}
        progress = await tables[names.events].progress(run)
        published = await tables[names.partials].progress(run)
        reached = {tp: at for of in tables.values() for tp, at in (await of.positions(run)).items()}
        held = await long_open_transactions(settings, reader, {topic: there[topic] for topic in names.counted})
    alive = [worker for worker in heard if not worker.silent]
    foreign = members.strangers(names, group)
    count = len(alive) or len(group) - len(foreign)
    what = f"{count} running in the group {settings.kafka_group}; {progress.lag:,} of {progress.end:,} events wait"
    unpublished = published.lag if progress.done else 0  # a new topic holds a claim, which is not counted
    if unpublished:
        what += f", and {unpublished:,} of {published.end:,} records of {names.partials}"
    if not state.at_rest:
        found = f"a rebalance does not come to its end ({state}); likely, {state.stuck_rebalance_cause}"
        findings.add("warn", f"{what}; {found}", REMEDY)
    elif (progress.lag or unpublished) and not count and not held:
        findings.add("warn", what, "movie-stream worker")
    else:
        findings.add("ok", what)
    if held:
        findings.check = "transactions"
        internal = sorted({of.topic_partition.topic for of in held} - {names.events})
        alone = f"; nobody but workers is to write to {', '.join(internal)}" if internal else ""
        findings.add("warn", describe_open_transactions(held), ENDED_BY + alone)
    _heartbeats(findings, heard)
    _members(settings, findings, foreign, {tp: at for tp, at in committed.items() if run and at > reached[tp]})


async def check_claims(settings: Settings, findings: Findings) -> None:
    """Checks that only this deployment uses the internal topics and the database."""
    async with opened(settings) as db, client.reader(settings) as reader:
        ours = await runs.claim_of(db, settings.kafka_group)
        unreadable = list[BatchRefused]()
        found = await claims.check(settings, reader, ours, unreadable=unreadable.append)
        await workers.require_sole_group(db, settings.kafka_group)
        await require_newest_run(settings, db, ours, found.values())
    findings.add("ok", f"of {ours} alone" if found else "nobody has claimed the topics yet; init and workers do")
    if unreadable:
        findings.check = "newest views"
        findings.add("warn", f"{unreadable[-1].location}: {unreadable[-1].what}", _UNREADABLE)


async def _committed(
    settings: Settings, admin: AIOKafkaAdminClient, there: Mapping[str, int]
) -> dict[TopicPartition, int]:
    names = topics.Topics.of(settings)
    tps = [TopicPartition(topic, partition) for topic in names.changelogs for partition in range(there[topic])]
    with client.explained(settings, f"looking up the committed offsets of {settings.kafka_group}"):
        commits = await client.coordinated(
            partial(admin.list_consumer_group_offsets, settings.kafka_group, partitions=tps)
        )
    return {tp: offset.offset for tp, offset in commits.items()}


def _heartbeats(findings: Findings, heard: Sequence[workers.WorkerReport]) -> None:
    """Checks the heartbeats of the workers."""
    if not heard:
        return
    findings.check = "heartbeats"
    silent = [f"{worker}: {worker.silence}" for worker in heard if worker.silent]
    alive = [worker for worker in heard if not worker.silent]
    idle = [str(worker) for worker in alive if worker.status.state == "waiting for partitions"]
    others = [f"{worker}: {worker.version}" for worker in alive if worker.version != __version__]
    if silent:
        findings.add(
            "warn", _some(silent), "check whether it still runs, and reaches MongoDB; a killed one disappears soon"
        )
    if idle:
        remedy = "run no more workers than there are partitions"
        findings.add("warn", f"without partitions: {_some(idle)}", remedy)
    if others:
        what = f"of another version than {__version__}: {_some(others)}"
        findings.add("warn", what, "run the same version everywhere")
    if not (silent or idle or others):
        states = [f"{worker}: {worker.status.state}, partitions: {len(worker.status.partitions)}" for worker in alive]
        findings.add("ok", _some(states))


def _some(texts: Sequence[str]) -> str:
    """The first few texts, and the number of the others."""
    more = len(texts) - _WORKERS_NAMED
    return "; ".join(texts[:_WORKERS_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _members(
    settings: Settings,
    findings: Findings,
    foreign: Sequence[members.Member],
    ahead: Mapping[TopicPartition, int],
) -> None:
    findings.check = "group"
    if foreign:
        state: State = "fail" if any(member.partitions for member in foreign) else "warn"
        findings.add(state, members.complaint(settings, foreign), members.REMEDY)
    elif ahead:
        where = ", ".join(f"{tp.topic} {tp.partition} (at {at:,})" for tp, at in sorted(ahead.items()))
        findings.add(
            "warn",
            f"somebody has committed in the group {settings.kafka_group} what is not counted: {where}",
            "nothing is lost by it; give that consumer a group of its own",
        )
    else:
        findings.add("ok", f"only workers are in {settings.kafka_group}")
