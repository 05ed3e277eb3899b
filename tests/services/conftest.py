"""What tests of the services start from: a database, a topic, or the views that the web server is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import pytest

from movie_stream.embedded.broker import broker
from movie_stream.embedded.launch import launch
from movie_stream.embedded.process import GuardedProcess
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.support.kafka.topics import create_topic
from tests.support.web.asking import VIEWS
from tests.support.web.serving import fill


@pytest.fixture
async def empty_db(settings: Settings) -> AsyncIterator[Database]:
    """The test's own database, in which nothing is made."""
    async with opened(settings) as db:
        yield db


@pytest.fixture
async def db(empty_db: Database) -> Database:
    """The test's own database, with its collections, validators and indexes."""
    await ensure(empty_db)
    return empty_db


@pytest.fixture
async def topic(settings: Settings) -> Settings:
    """Settings whose topic of events exists."""
    await create_topic(settings.require_broker(), settings.kafka_topic)
    return settings


@pytest.fixture(scope="module")
def filled(services: EmbeddedServices) -> Settings:
    """Settings with a database of the views of support/web/asking.py, which a module's tests only read."""
    settings = Settings(
        kafka_bootstrap_servers=services.bootstrap_servers,
        mongodb_uri=services.mongodb_uri,
        mongodb_database=f"movies_{uuid.uuid4().hex[:8]}",
    )
    asyncio.run(fill(settings, VIEWS))
    return settings


@pytest.fixture
async def own_broker() -> AsyncIterator[tuple[GuardedProcess, str]]:
    """A broker that the test may kill or stop, and its address; it has a topic `views`."""
    with contextlib.ExitStack() as stack:
        process, port = await launch(broker(), stack)
        servers = f"127.0.0.1:{port}"
        await create_topic(servers, "views")
        yield process, servers
