"""Requests to MongoDB that are retried until it answers, and their durations, errors and retries."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, Literal, TypeVar

from movie_stream.errors import MovieStreamError
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Histogram, Values
from movie_stream.mongo.failures import KINDS, MongoAway, kind_of
from movie_stream.tables.table import WriterFenced

logger = logging.getLogger(__name__)

T = TypeVar("T")

Operation = Literal["write", "store", "load", "progress"]
OPERATIONS: Final[tuple[Operation, ...]] = ("write", "store", "load", "progress")
"""Write documents; store evicted figures of old windows; load them back; and record the progress of publishing."""
RETRY_AT_FIRST_S: Final = 0.25
RETRY_AT_MOST_S: Final = 10.0


class MongoRequests:
    """All requests of one agent to MongoDB."""

    def __init__(self) -> None:
        self._durations = {operation: Histogram(catalogue.MONGODB.buckets) for operation in OPERATIONS}
        self._errors = Counter[str]()
        self._retries = Counter[str]()

    async def retrying(self, operation: Operation, ask: Callable[[], Awaitable[T]], held: Callable[[], bool]) -> T:
        """Retries `ask` however long MongoDB is away, while `held` returns that the partition is still ours.

        Raises WriterFenced once it does not, and any error of `ask` besides MongoAway.
        """
        retry_s = RETRY_AT_FIRST_S
        while held():
            began = monotonic()
            try:
                answer = await ask()
            except MongoAway as error:
                self._errors[kind_of(error)] += 1
                logger.warning("%s; tries again in %.1f s, nothing is lost", error, retry_s)
            except MovieStreamError as error:
                self._errors[kind_of(error)] += 1
                raise
            else:
                self._durations[operation].observe(monotonic() - began)
                return answer
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_AT_MOST_S)
            self._retries[operation] += held()
        raise WriterFenced("the partition went before all was written")

    def export(self, values: Values) -> None:
        """Adds the metrics of this agent; those without a value yet as 0, so that the first event shows as a rise."""
        for operation in OPERATIONS:
            values.set(catalogue.MONGODB, self._durations[operation], operation)
            values.set(catalogue.RETRIES, self._retries[operation], operation)
        for kind in KINDS:
            values.set(catalogue.MONGODB_ERRORS, self._errors[kind], kind)
