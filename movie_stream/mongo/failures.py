"""What the driver's errors mean to the user, one line each, and to the caller: try again, or give up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Final

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from movie_stream.errors import (
    MongoDiskFull,
    MongoForbids,
    MongoRefused,
    MongoUnreachable,
    MovieStreamError,
    SettingsError,
)

KINDS: Final = ("timeout", "not primary", "unconfirmed", "unreachable", "disk full", "refused", "other")
"""Of errors, for metrics; the first four pass by themselves."""

_REFUSED: Final = frozenset({11, 18, 8000})
"""UserNotFound, AuthenticationFailed, AtlasError."""
_FORBIDDEN: Final = 13
"""Unauthorized."""

_COMMAND: Final = re.compile(r"to execute command \{ (\w+).*", re.DOTALL)
"""How MongoDB quotes the command that it does not allow, all of it."""

_DISK_FULL: Final = frozenset({14031})
_NO_SPACE: Final = "no space left on device"

_AWAY: Final = frozenset(
    {6, 7, 24, 46, 50, 64, 89, 91, 100, 112, 133, 134, 189, 202, 262, 317, 358, 365}
    | {9001, 10058, 10107, 11600, 11601, 11602, 13435, 13436}
)
"""Hosts that do not answer, shutdowns, elections, locks and time limits: whatever passes by itself."""


class MongoAway(MongoUnreachable):
    """MongoDB does not answer, has no primary, or could not confirm a write in time: nothing is acknowledged.

    Sending the same again is always right; not before `retry_after`.

    What to do: wait: whoever meets it tries again by itself. If it lasts, see to the replica set.

    >>> print(MongoAway(uri="mongodb://mongo:27017", cause="No primary available for writes"))
    no MongoDB answers at mongodb://mongo:27017 (No primary available for writes); start one (for trying out: \
movie-stream services) or correct MONGODB_URI
    """

    retry_after: ClassVar[timedelta] = timedelta(seconds=1)


class MongoFailed(MovieStreamError):
    """MongoDB answers with an error that no waiting cures.

    What to do: look the error up in MongoDB's log; `movie-stream doctor` says what is wrong with it.

    >>> print(MongoFailed(uri="mongodb://mongo:27017", cause="InternalError"))
    MongoDB at mongodb://mongo:27017 answers with an error: InternalError; look it up in its log, and see what is \
wrong with: movie-stream doctor
    """

    def __init__(self, *, uri: str, cause: str) -> None:
        super().__init__(
            f"MongoDB at {uri} answers with an error: {cause}; look it up in its log, "
            "and see what is wrong with: movie-stream doctor"
        )


def meaning_of(error: PyMongoError, address: str) -> MovieStreamError:
    """The error for the user, to be raised `from` the driver's; `address` stands in it.

    >>> str(meaning_of(OperationFailure("Authentication failed.", 18), "mongodb://db:27017"))[:70]
    'MongoDB at mongodb://db:27017 refuses the user (Authentication failed.'
    """
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        faults = [*details.get("writeConcernErrors", ()), *details.get("writeErrors", ())]
        return meaning_of_faults(faults, address)
    if isinstance(error, ConfigurationError):
        return unusable_uri(str(error))
    cause = _short(error)
    if _NO_SPACE in cause.lower():
        return MongoDiskFull(uri=address, cause=cause)
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError):
        return MongoAway(uri=address, cause=cause, remedy=_remedy_of(cause))
    if isinstance(error, OperationFailure):
        return _by_code(error.code, cause, address, retryable=error.has_error_label("RetryableWriteError"))
    return MongoFailed(uri=address, cause=f"{type(error).__name__}: {cause}")


def meaning_of_faults(faults: Iterable[dict[str, Any]], address: str) -> MovieStreamError:
    """The same for single operations' errors, as a bulk write lists them; the first that waiting does not
    cure, if any.
    """
    meanings = [_by_code(fault.get("code"), str(fault.get("errmsg", "")), address) for fault in faults]
    if not meanings:
        return MongoFailed(uri=address, cause="a bulk write failed without saying why")
    return next((meaning for meaning in meanings if not isinstance(meaning, MongoAway)), meanings[0])


def kind_of(error: MovieStreamError) -> str:
    """Which of KINDS an error is that `meaning_of` has given, and that was raised `from` the driver's.

    >>> kind_of(MongoDiskFull(uri="mongodb://db", cause="full")), kind_of(MongoAway(uri="mongodb://db"))
    ('disk full', 'unreachable')
    """
    cause = error.__cause__
    if isinstance(cause, NetworkTimeout | ExecutionTimeout | TimeoutError):
        return "timeout"
    if isinstance(cause, NotPrimaryError):
        return "not primary"
    if isinstance(cause, WriteConcernError | BulkWriteError) and isinstance(error, MongoAway):
        return "unconfirmed"
    if isinstance(error, MongoUnreachable):
        return "unreachable"
    if isinstance(error, MongoDiskFull):
        return "disk full"
    return "refused" if isinstance(error, MongoRefused | MongoForbids) else "other"


def unusable_uri(cause: str) -> SettingsError:
    """The error for a MONGODB_URI that the driver does not take."""
    return SettingsError(
        variable="MONGODB_URI",
        expected="a MongoDB connection string, mongodb://user:password@host:port/?options",
        remedy=f"the one that is set does not work: {cause}",
    )


def _by_code(code: int | None, cause: str, address: str, *, retryable: bool = False) -> MovieStreamError:
    if code in _DISK_FULL or _NO_SPACE in cause.lower():
        return MongoDiskFull(uri=address, cause=cause)
    if code in _REFUSED:
        return MongoRefused(uri=address, cause=cause)
    if code == _FORBIDDEN:
        return MongoForbids(uri=address, cause=_COMMAND.sub(r"to execute \1", cause))
    if code in _AWAY or retryable:
        return MongoAway(uri=address, cause=cause)
    return MongoFailed(uri=address, cause=f"code {code}, {cause}" if code is not None else cause)


def _remedy_of(cause: str) -> str:
    """What to do where it is not the network that fails; empty where it may be.

    >>> _remedy_of("db:1: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")
    'set tlsCAFile in MONGODB_URI to the certificate of the authority that signed its certificate'
    """
    if "authentication failed" in cause.lower():  # what a replica set answers, which the driver takes for being away
        return "correct the user, the password or authSource in MONGODB_URI"
    if "too many open files" in cause.lower():
        return "allow this process 1024 open files and connections or more (ulimit -n)"
    if "mismatch" in cause or "is not valid for" in cause:
        return "name the host in MONGODB_URI as its certificate does"
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return "set tlsCAFile in MONGODB_URI to the certificate of the authority that signed its certificate"
    if "SSL handshake failed" in cause:
        return "see whether it speaks TLS, and whether it wants a certificate (tlsCertificateKeyFile in MONGODB_URI)"
    if "connection closed" in cause:
        return "if it wants TLS, add tls=true to the options in MONGODB_URI"
    return ""


def _short(error: PyMongoError) -> str:
    """The error without the driver's own state.

    >>> _short(ConnectionFailure("db:1: refused (configured timeouts: a: 1ms), Timeout: 5s, Topology: <T>"))
    'db:1: refused'
    """
    text = re.sub(r" \(configured timeouts:[^)]*\)", "", str(error))
    return re.split(r", Timeout: |, full error: ", text)[0] or type(error).__name__
