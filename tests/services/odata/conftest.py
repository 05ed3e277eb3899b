"""A database of views, and the feed over it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from movie_stream.embedded.services import EmbeddedServices
from movie_stream.settings import Settings
from tests.support.odata.asking import feed_over
from tests.support.web.asking import VIEWS
from tests.support.web.serving import fill


@pytest.fixture(scope="module")
def filled(services: EmbeddedServices) -> Settings:
    """Settings with a database of these views, which the tests of this module only read."""
    settings = Settings(
        kafka_bootstrap_servers=services.bootstrap_servers,
        mongodb_uri=services.mongodb_uri,
        mongodb_database=f"movies_{uuid.uuid4().hex[:8]}",
    )
    asyncio.run(fill(settings, VIEWS))
    return settings


@pytest.fixture
async def feed(filled: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with feed_over(filled) as client:
        yield client
