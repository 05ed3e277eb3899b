"""Requests to MongoDB: made again while it is away, and counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymongo.errors import (
    AutoReconnect,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

from movie_stream.agents.mongo_requests import MongoRequests
from movie_stream.errors import MongoDiskFull, MovieStreamError
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Histogram, Values
from movie_stream.mongo.failures import KINDS, kind_of, meaning_of
from movie_stream.tables.table import WriterFenced


def meant(error: PyMongoError) -> MovieStreamError:
    """As whoever asks MongoDB raises it."""
    try:
        raise meaning_of(error, "mongodb://db") from error
    except MovieStreamError as ours:
        return ours


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NetworkTimeout("timed out"), "timeout"),
        (ExecutionTimeout("exceeded", 50), "timeout"),
        (NotPrimaryError("not primary"), "not primary"),
        (WriteConcernError("waiting for replication", 64), "unconfirmed"),
        (ServerSelectionTimeoutError("nobody"), "unreachable"),
        (AutoReconnect("reset"), "unreachable"),
        (OperationFailure("no space left on device", 14031), "disk full"),
        (OperationFailure("Authentication failed.", 18), "refused"),
        (OperationFailure("not authorized", 13), "refused"),
        (OperationFailure("odd", 2), "other"),
    ],
)
def test_every_error_is_of_a_kind(error: PyMongoError, kind: str) -> None:
    assert kind_of(meant(error)) == kind
    assert kind in KINDS


class Mongo:
    """Answers by turns with these."""

    def __init__(self, *answers: int | MovieStreamError) -> None:
        self._answers: Iterator[int | MovieStreamError] = iter(answers)

    async def ask(self) -> int:
        answer = next(self._answers)
        if isinstance(answer, int):
            return answer
        raise answer


def told(requests: MongoRequests) -> dict[tuple[str, ...], float]:
    """The counters that are not 0: errors by kind, retries and answers by operation."""
    values = Values()
    requests.export(values)
    return {
        (metric.name.removeprefix("movie_stream_mongodb_"), *labels): number
        for metric, found in values.of.items()
        for labels, value in found.items()
        if (number := sum(value.counts) if isinstance(value, Histogram) else value)
    }


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movie_stream.agents.mongo_requests.RETRY_AT_FIRST_S", 0.0)


async def test_what_fails_is_asked_again_and_counted() -> None:
    requests = MongoRequests()
    mongo = Mongo(meant(AutoReconnect("reset")), meant(NetworkTimeout("slow")), 7, 8)
    assert await requests.retrying("write", mongo.ask, lambda: True) == 7
    assert await requests.retrying("load", mongo.ask, lambda: True) == 8
    assert told(requests) == {
        ("errors_total", "unreachable"): 1,
        ("errors_total", "timeout"): 1,
        ("retries_total", "write"): 2,
        ("request_duration_seconds", "write"): 1,
        ("request_duration_seconds", "load"): 1,
    }


async def test_what_waiting_does_not_cure_is_raised_and_counted() -> None:
    requests = MongoRequests()
    full = MongoDiskFull(uri="mongodb://db", cause="full")
    with pytest.raises(MongoDiskFull):
        await requests.retrying("store", Mongo(full).ask, lambda: True)
    with pytest.raises(WriterFenced):
        await requests.retrying("store", Mongo(meant(AutoReconnect("reset"))).ask, iter([True, False, False]).__next__)
    assert told(requests) == {("errors_total", "disk full"): 1, ("errors_total", "unreachable"): 1}


def test_events_that_never_happened_are_reported_as_0() -> None:
    values = Values()
    MongoRequests().export(values)
    assert values.of[catalogue.MONGODB_ERRORS] == {(kind,): 0 for kind in KINDS}
