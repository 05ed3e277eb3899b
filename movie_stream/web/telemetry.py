"""What the server tells Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from movie_stream.errors import MovieStreamError
from movie_stream.metrics import catalogue, endpoint
from movie_stream.metrics.values import Values
from movie_stream.mongo import runs
from movie_stream.mongo.failures import KINDS
from movie_stream.settings import Settings
from movie_stream.web.asking import Asker
from movie_stream.web.feed import Feed
from movie_stream.web.problems import Problem
from movie_stream.web.requests import Requests
from movie_stream.web.session import Authenticator

_RUN_WITHIN_S: Final = 3.5
"""How long a scrape waits for MongoDB: longer than the driver looks for it, and shorter than a scrape may take."""


class Telemetry:
    """Asks the parts of the server for what they have counted."""

    def __init__(self, settings: Settings, requests: Requests, asker: Asker, feed: Feed, keeper: Authenticator) -> None:
        self._settings, self.requests = settings, requests
        self._asker, self._feed, self._keeper = asker, feed, keeper

    async def values(self) -> Values:
        """All of it, as it is now."""
        valid = await self._run_is_valid()  # first: the rest is of one moment
        values = Values()
        self.requests.export(values)
        values.set(catalogue.READERS, self._feed.readers)
        for collection, took in self._asker.took.items():
            values.set(catalogue.QUERY, took, collection)
        if valid is not None:
            values.set(catalogue.RUN_VALID, valid)
        for kind in KINDS:
            values.set(catalogue.MONGODB_ERRORS, self._asker.errors[kind], kind)
        for reason, count in self._keeper.refused.items():
            values.set(catalogue.SIGN_INS_REFUSED, count, reason)
        return values

    async def _run_is_valid(self) -> bool | None:
        """Whether workers may go on with the run that counts; None where there is none, or MongoDB does not say."""
        try:
            async with asyncio.timeout(_RUN_WITHIN_S):
                found = await self._asker.find(
                    runs.RUNS, {"_id": self._settings.kafka_group}, ["fingerprint"], [("_id", 1)], 1
                )
        except (MovieStreamError, Problem, TimeoutError):
            return None  # which mongodb_errors tells of
        return runs.is_valid(found[0]) if found else None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serves the metrics during the block, if METRICS_PORT is set. Raises SettingsError."""
        if self._settings.metrics_port is None:
            yield
            return
        ask = endpoint.call_in_loop(asyncio.get_running_loop(), self.values)
        with ExitStack() as stack:
            stack.enter_context(endpoint.served(self._settings.metrics_host, self._settings.metrics_port, "serve", ask))
            try:
                yield
            finally:
                await asyncio.to_thread(stack.close)  # a scrape under way waits for this loop
