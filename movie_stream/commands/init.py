"""`movie-stream init`: creates topics, collections, validators, indexes and views, and prints what was new."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.text import Text

from movie_stream.console import logs
from movie_stream.kafka.cluster import client, permissions, topics
from movie_stream.kafka.scan import SkipAndLog, Unreadable
from movie_stream.masking import MASK
from movie_stream.mongo import runs, schema, sharding, users, workers
from movie_stream.mongo.client import Database, address_of, opened
from movie_stream.runs import claims
from movie_stream.settings import Settings

_STYLES = {"created": "bold green", "changed": "bold yellow", "there": "dim"}


def init(settings: Settings, *, create_user: bool = False, shard: bool = False) -> None:
    """Ensures topics and collections and prints each in one line; with `create_user` also the MongoDB users of the
    workers, the web server and BI tools; with `shard` also the shard keys of the results.

    Raises SettingMissing before anything is created, then the errors of the broker and MongoDB.
    """
    settings.require_broker()
    settings.require_mongodb()
    if create_user:
        for account in users.accounts(settings):
            users.credentials(settings, account)
    logs.leave_to_us()
    asyncio.run(_init(settings, Console(highlight=False, soft_wrap=True), create_user, shard))


async def _init(settings: Settings, console: Console, create_user: bool, shard: bool) -> None:
    skip = SkipAndLog()
    await _check_claims(settings, skip)
    created = await topics.ensure(settings)
    widened, too_narrow = await topics.raise_record_limits(settings)
    _head(console, f"Kafka at {settings.require_broker()}")
    for topic in topics.Topics.of(settings).all:
        state = "created" if topic in created else "changed" if topic in widened else "there"
        _line(console, state, "topic", topic)
    unlike = await topics.partition_count_mismatch(settings)
    for sentence in [*too_narrow, *([unlike] if unlike else [])]:
        console.print(Text(f"  {sentence}", style="yellow"))
    async with opened(settings) as db:
        ensured = await schema.ensure(db)
        if shard:
            ensured += await sharding.ensure(db)
        if create_user:
            ensured += [await users.ensure_user(settings, db, account) for account in users.accounts(settings)]
        _head(console, f"MongoDB at {address_of(db)}, database {db.name}")
        claimed = await _claim(settings, db, skip)
    for thing in ensured:
        _line(console, thing.state, thing.kind, thing.name)
    if not claimed:
        console.print("  Claims of the topics were neither checked nor written: this Kafka user may not write to them.")
    if create_user:
        for account in users.accounts(settings):
            _hand_over(settings, console, account)


async def _check_claims(settings: Settings, unreadable: Unreadable) -> None:
    """Raises TopicsShared or DatabaseShared if another deployment uses our topics or database; creates nothing."""
    names = topics.Topics.of(settings)
    async with client.admin(settings) as admin, opened(settings) as db:
        await workers.require_sole_group(db, settings.kafka_group)
        with client.explained(settings, "looking at the topics"):
            there = await topics.partition_counts(admin, names.all)
        if await _allowed(settings, admin):
            async with client.reader(settings) as reader:
                await claims.check(settings, reader, await runs.claim_of(db, settings.kafka_group), there, unreadable)


async def _claim(settings: Settings, db: Database, unreadable: Unreadable) -> bool:
    """Claims the topics that have no claim; False if that is not allowed."""
    async with client.admin(settings) as admin:
        if not await _allowed(settings, admin):
            return False
    ours = await runs.claim_of(db, settings.kafka_group)
    async with client.reader(settings) as reader:
        found = await claims.check(settings, reader, ours, unreadable=unreadable)
    if topics.Topics.of(settings).partials not in found:
        producer = await client.start_producer(settings)
        try:
            await claims.claim(settings, producer, ours)
        finally:
            await client.stop_producer(producer)
    return True


async def _allowed(settings: Settings, admin: AIOKafkaAdminClient) -> bool:
    """Whether we may read and write claims; a user that only creates topics may not."""
    names = topics.Topics.of(settings)
    with client.explained(settings, "looking up permissions"):
        return not await permissions.missing(admin, {topic: names.needs[topic] for topic in names.deleted})


def _hand_over(settings: Settings, console: Console, account: users.Account) -> None:
    """Prints the setting for those who log in with the account."""
    user, _ = users.credentials(settings, account)
    _head(console, f"For {account.of}, with the password of {user}, percent-encoded, in place of {MASK}")
    uri = users.uri_as(settings.require_mongodb(), user, settings.mongodb_database)
    console.print(f"  MONGODB_URI={uri}", markup=False)


def _head(console: Console, text: str) -> None:
    console.print(Text(text, style="bold"))


def _line(console: Console, state: str, kind: str, name: str) -> None:
    console.print(Text.assemble("  ", (f"{state:<9}", _STYLES[state]), f"{kind:<12}", name))
