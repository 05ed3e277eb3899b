"""The driver's errors, as the user reads them and the caller distinguishes them."""

from __future__ import annotations

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteError,
    WTimeoutError,
)

from movie_stream.errors import MongoDiskFull, MongoForbids, MongoRefused, MongoUnreachable, SettingsError
from movie_stream.mongo.failures import MongoAway, MongoFailed, meaning_of

ADDRESS = "mongodb://db:27017"


def bulk(write: list[int], concern: list[int]) -> BulkWriteError:
    return BulkWriteError(
        {
            "writeErrors": [{"index": i, "code": code, "errmsg": f"e{code}"} for i, code in enumerate(write)],
            "writeConcernErrors": [{"code": code, "errmsg": f"e{code}"} for code in concern],
        }
    )


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ServerSelectionTimeoutError("db:27017: refused"), MongoAway),
        (AutoReconnect("closed"), MongoAway),
        (NetworkTimeout("timed out"), MongoAway),
        (NotPrimaryError("not primary"), MongoAway),
        (ExecutionTimeout("operation exceeded time limit", 50), MongoAway),
        (WTimeoutError("waiting for replication timed out", 64), MongoAway),
        (OperationFailure("interrupted at shutdown", 11600), MongoAway),
        (
            OperationFailure("retry me", 999, {"ok": 0, "errorLabels": ["RetryableWriteError"]}),
            MongoAway,
        ),
        (bulk([], [64]), MongoAway),
        (bulk([112, 189], [64]), MongoAway),
        (OperationFailure("Authentication failed.", 18), MongoRefused),
        (OperationFailure("not authorized on movies_db", 13), MongoForbids),
        (bulk([13], []), MongoForbids),
        (OperationFailure("out of disk", 14031), MongoDiskFull),
        (WriteError("28: No space left on device", 8), MongoDiskFull),
        (AutoReconnect("No space left on device"), MongoDiskFull),
        (bulk([189, 14031], []), MongoDiskFull),
        (OperationFailure("what", 59), MongoFailed),
        (DocumentTooLarge("17 MB"), MongoFailed),
        (bulk([8], [64]), MongoFailed),
        (bulk([], []), MongoFailed),
        (ConfigurationError("no such option"), SettingsError),
    ],
)
def test_meaning(error: PyMongoError, meaning: type[Exception]) -> None:
    found = meaning_of(error, ADDRESS)
    assert type(found) is meaning
    assert "\n" not in str(found)


def test_away_is_unreachable_and_says_when_to_try_again() -> None:
    away = meaning_of(ServerSelectionTimeoutError("db:27017: [Errno 111] Connection refused, Timeout: 5.0s"), ADDRESS)
    assert isinstance(away, MongoUnreachable)
    assert str(away).startswith(f"no MongoDB answers at {ADDRESS} (db:27017: [Errno 111] Connection refused);")


def test_the_line_says_what_to_do() -> None:
    locked_out = meaning_of(ServerSelectionTimeoutError("Authentication failed., Timeout: 2.0s"), ADDRESS)
    assert str(locked_out).endswith("; correct the user, the password or authSource in MONGODB_URI")
    refused = str(meaning_of(OperationFailure("Authentication failed.", 18), ADDRESS))
    assert refused.startswith(f"MongoDB at {ADDRESS} refuses the user (Authentication failed.); correct user")
    assert "code 59, what; look" in str(meaning_of(OperationFailure("what, full error: {}", 59), ADDRESS))
