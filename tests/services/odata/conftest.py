"""A database of views, and the feed over it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from movie_stream.settings import Settings
from tests.support.odata.asking import feed_over


@pytest.fixture
async def feed(filled: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with feed_over(filled) as client:
        yield client
