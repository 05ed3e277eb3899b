"""The start of a worker: connects, checks the preconditions, finds its run, and claims the topics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pkgutil import resolve_name
from threading import Event

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from movie_stream.agents.context import Context
from movie_stream.agents.flush_schedule import Cadence
from movie_stream.agents.group import Group
from movie_stream.agents.owner import Owners
from movie_stream.alerts import rule_file
from movie_stream.alerts.completeness import Completeness
from movie_stream.alerts.figures import lengths_ms
from movie_stream.alerts.rule_file import RuleFile
from movie_stream.embedded.broker import CLUSTER_PREFIX
from movie_stream.errors import BrokerForbids, BrokerRefused, KernelsNotStored
from movie_stream.kafka.cluster import agents, client, configs, permissions, topics
from movie_stream.kafka.cluster.access import user_of
from movie_stream.kafka.cluster.admin import Admin
from movie_stream.kafka.cluster.topics import Topics, Topology
from movie_stream.kafka.log import BATCH_BYTES, Broker
from movie_stream.kernels.compiled import COMPILED, COMPILING, compile_imported, require_stored
from movie_stream.mongo import runs, workers
from movie_stream.mongo.changed import Subscriber
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.partials import PartialsStore
from movie_stream.mongo.sink import Sink
from movie_stream.runs import claims
from movie_stream.runs.claims import PlacedClaim
from movie_stream.runs.fingerprint import open_run, results_of, rules_of, text_of
from movie_stream.runs.set_back import require_newest_run, require_same_time
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections, run and context of a started worker."""

    admin: Admin
    db: Database
    run: runs.Run
    context: Context
    rules: RuleFile | None = None
    """The rules for alerts; None without an ALERTS_FILE."""


async def connect(
    settings: Settings, stack: AsyncExitStack, group: Group, cadence: Cadence, subscribers: Sequence[Subscriber]
) -> Connections:
    """Connects for as long as the stack is open, and readies the kernels meanwhile:

    1. to the broker, and checks the topics and our permissions
    2. to MongoDB, checks that no other deployment uses our topics or database, and finds the run
    3. for writing, and claims the topics for the run

    Raises an error of movie_stream/errors.py if the settings, the broker or MongoDB do not allow it.
    """
    kernels = asyncio.create_task(_ready_kernels())
    try:
        connected = await _connect(settings, stack, group, cadence, subscribers)
        await kernels
        return connected
    finally:
        kernels.cancel()
        await asyncio.gather(kernels, return_exceptions=True)


async def _connect(
    settings: Settings, stack: AsyncExitStack, group: Group, cadence: Cadence, subscribers: Sequence[Subscriber]
) -> Connections:
    names = Topics.of(settings)
    rules = None if settings.alerts_file is None else rule_file.load(settings)
    admin = await stack.enter_async_context(client.admin(settings))  # 1
    topology = await topics.describe(settings)
    await _check_permissions(settings, admin, names)
    if wrong := topics.too_few_partitions(names, topology.partitions):
        raise BrokerRefused(
            doing="checking the topics",
            cause="; ".join(wrong),
            remedy="delete these topics, and make them anew with: movie-stream init",
        )
    db = await stack.enter_async_context(opened(settings))  # 2
    found = await _check_claims(settings, db, names)
    run = await open_run(settings, db, topology)
    await require_same_time(settings, db, topology, run)
    broker = await _broker_for_writing(settings, stack, admin, names, topology)  # 3
    context = Context(
        broker,
        group,
        names,
        topology,
        rules_of(settings),
        text_of(run),
        run.number,
        Sink(db, subscribers),
        PartialsStore(db),
        results_of(run),
        await _claim(settings, db, broker.producer, found.get(names.partials)),
        cadence,
        None if rules is None else Completeness(db, run.number, lengths_ms(rules.rules), settings.alerts_idle),
    )
    return Connections(admin, db, run, context, rules)


def owners_of(context: Context) -> Owners:
    """An owner for each declared agent, by its source topic."""
    sources = {agent: context.topics.agents[agent.name].source for agent in agents.AGENTS}
    owners: Owners = {topic: resolve_name(agent.owner)(context, topic) for agent, topic in sources.items()}
    owners[context.topics.partials].upstream = owners[context.topics.events]
    return owners


async def _ready_kernels() -> None:
    """Loads the compiled kernels, or compiles them before, once for all later starts."""

    def started(count: int) -> None:
        logger.info(COMPILING, count)

    if not COMPILED:
        logger.warning(
            "Numba is not installed, or NUMBA_DISABLE_JIT is set: records are decoded one by one, many times slower; "
            "install it with: pip install 'movie-stream[fast]'"
        )
    stopped = Event()
    try:
        if await asyncio.to_thread(compile_imported, started, stopped):
            require_stored()
    except KernelsNotStored as error:
        logger.warning("%s", error)
    finally:
        stopped.set()


async def _check_permissions(settings: Settings, admin: AIOKafkaAdminClient, names: Topics) -> None:
    """Raises BrokerForbids: Faust would silently continue without the topics that it may not read."""
    with client.explained(settings, "asking what is allowed"):
        lacking = await permissions.missing(admin, names.needs)
        lacking += await permissions.missing_on_group(admin, settings.kafka_group)
    if lacking:
        raise BrokerForbids(user=user_of(settings), what=lacking)


async def _check_claims(settings: Settings, db: Database, names: Topics) -> Mapping[str, PlacedClaim]:
    """Our claims by topic, before a run is begun.

    Raises TopicsShared or DatabaseShared if another deployment uses our topics or database, and DatabaseSetBack if the
    claims are of a later run than MongoDB has. Whether the topic of the views holds views is checked when its records
    are counted.
    """
    await workers.require_sole_group(db, settings.kafka_group)
    ours = await runs.claim_of(db, settings.kafka_group)
    async with client.reader(settings) as reader:
        found = await claims.check(settings, reader, ours, names.deleted)
    await require_newest_run(settings, db, ours, found.values())
    return found


async def _broker_for_writing(
    settings: Settings, stack: AsyncExitStack, admin: AIOKafkaAdminClient, names: Topics, topology: Topology
) -> Broker:
    """A Broker that sends no batch above its topic's limit. Raises BrokerRefused."""
    with client.explained(settings, "asking how large records may be"):
        limits = await configs.limits(admin, names.written)
    topics.require_limits(names, limits)
    known = [limit for limit in limits.values() if limit is not None]
    batch_bytes = min([BATCH_BYTES, *known])
    producer = await client.start_producer(settings, linger_ms=0, max_batch_size=batch_bytes)
    stack.push_async_callback(client.stop_producer, producer)
    embedded = topology.identities[names.events].startswith(CLUSTER_PREFIX)
    # Tansu closes the connection when it is asked to delete records.
    broker = Broker(settings, producer, admin, limits, deletes=not embedded)
    stack.push_async_callback(broker.large.stop)
    return broker


async def _claim(
    settings: Settings, db: Database, producer: AIOKafkaProducer, found: PlacedClaim | None
) -> PlacedClaim:
    """Claims the topics unless they are claimed for this run; returns the claim and its offset in `movie-partials`."""
    ours = await runs.claim_of(db, settings.kafka_group)
    if found is None or found.claim.run != ours.run:
        found = (await claims.claim(settings, producer, ours))[settings.kafka_partials_topic]
    return PlacedClaim(ours, found.offset)
