"""Translation of the driver's errors: a message of one line for the user, and for the caller whether to retry."""

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
"""Kinds of errors, for metrics; the first four are transient."""

_REFUSED: Final = frozenset({11, 18, 8000})
"""UserNotFound, AuthenticationFailed, AtlasError."""
_FORBIDDEN: Final = 13
"""Unauthorized."""

_COMMAND: Final = re.compile(r"to execute command \{ (\w+).*", re.DOTALL)
"""MongoDB quotes the whole command that it does not allow."""

_DISK_FULL: Final = frozenset({14031})
_NO_SPACE: Final = "no space left on device"

_AWAY: Final = frozenset(
    {6, 7, 24, 46, 50, 64, 89, 91, 100, 112, 133, 134, 189, 202, 262, 317, 358, 365}
    | {9001, 10058, 10107, 11600, 11601, 11602, 13435, 13436}
)
"""Transient errors: unreachable hosts, shutdowns, elections, locks and time limits."""


class MongoAway(MongoUnreachable):
    """MongoDB does not answer, has no primary, or could not confirm a write in time: nothing is acknowledged.

    A retry is always safe; wait for `retry_after` first.

    What to do: wait: whoever meets it tries again by itself. If it lasts, see to the replica set.

    >>> print(MongoAway(uri="mongodb://mongo:27017", cause="No primary available for writes"))
    no MongoDB answers at mongodb://mongo:27017 (No primary available for writes); start one (for trying out: \
movie-stream services) or correct MONGODB_URI
    """

    retry_after: ClassVar[timedelta] = timedelta(seconds=1)


class MongoFailed(MovieStreamError):
    """MongoDB answers with a permanent error.

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
    """The error for the user, to be raised `from` the driver's; its message contains `address`.

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
    """The error for the user for the write errors of a bulk write: the first permanent one, if any, else the first."""
    meanings = [_by_code(fault.get("code"), str(fault.get("errmsg", "")), address) for fault in faults]
    if not meanings:
        return MongoFailed(uri=address, cause="a bulk write failed without saying why")
    return next((meaning for meaning in meanings if not isinstance(meaning, MongoAway)), meanings[0])


def kind_of(error: MovieStreamError) -> str:
    """The kind, one of KINDS, of an error of `meaning_of` that was raised `from` the driver's.

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
    """The error for a MONGODB_URI that the driver rejects."""
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
    """The remedy for failures other than those of the network; empty if it may be the network.

    >>> _remedy_of("db:1: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")
    'set tlsCAFile in MONGODB_URI to the certificate of the authority that signed its certificate'
    """
    if "authentication failed" in cause.lower():  # the driver reports it as unreachable for a replica set
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
    """The message of an error without the driver's internal state.

    >>> _short(ConnectionFailure("db:1: refused (configured timeouts: a: 1ms), Timeout: 5s, Topology: <T>"))
    'db:1: refused'
    """
    text = re.sub(r" \(configured timeouts:[^)]*\)", "", str(error))
    return re.split(r", Timeout: |, full error: ", text)[0] or type(error).__name__
