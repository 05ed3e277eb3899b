"""A database of views, and the REST API over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from movie_stream.settings import Settings
from tests.support.mongo.mongo_server import MongoServer
from tests.support.web.asking import VIEWS, asking
from tests.support.web.serving import fill


@pytest.fixture
async def api(filled: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(filled) as client:
        yield client


@pytest.fixture
async def api_of_my_own(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The same over a database that may be changed."""
    await fill(settings, VIEWS)
    async with asking(settings) as client:
        yield client


@pytest.fixture(params=["polling", "change stream"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MongoServer]:
    """A mongod of the test's own: alone, and as a replica set."""
    with MongoServer(tmp_path, replica_set=request.param == "change stream") as running:
        yield running
