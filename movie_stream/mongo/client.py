"""The connection to MongoDB: the only module that imports motor.

All other modules use `Database` and `Collection`, whose awaitable methods PyMongo's own async client has too.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import WriteConcern
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.topology_description import TopologyDescription

from movie_stream.errors import MovieStreamError
from movie_stream.mongo.failures import meaning_of, unusable_uri
from movie_stream.settings import Settings

Client: TypeAlias = "AsyncIOMotorClient[dict[str, Any]]"
Database: TypeAlias = "AsyncIOMotorDatabase[dict[str, Any]]"
Collection: TypeAlias = "AsyncIOMotorCollection[dict[str, Any]]"

DUPLICATE_KEY: Final = 11000
"""The error code of an insert whose `_id` exists already."""
WRITE_LIMIT_MS: Final = 20_000
"""The timeout of the write concern; without one a write may wait for a majority forever."""

ACKNOWLEDGED: Final = WriteConcern("majority", wtimeout=WRITE_LIMIT_MS, j=True)
"""The write concern of all writes: on disk at a majority, so that a crash cannot undo them."""

_LIMITS_MS: Final[Mapping[str, Any]] = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": WRITE_LIMIT_MS + 10_000,
}
"""Defaults for options that the URI does not set."""

_CLOSE_TIMEOUT_S: Final = 0.5


def connect(settings: Settings, **limits_ms: int) -> Client:
    """A client for MONGODB_URI, which looks for the servers in the background. Close it with `close()`.

    `limits_ms` are options of the driver, in milliseconds; the URI can only set lower ones.

    Raises SettingMissing, or SettingsError if the URI is invalid or has an unknown option.
    """
    uri = settings.require_mongodb()
    given = {name.lower(): value for name, value in parse_qsl(uri.partition("?")[2], keep_blank_values=True)}
    limits = {name: limit for name, limit in _LIMITS_MS.items() if name.lower() not in given}
    limits |= {name: most for name, most in limits_ms.items() if not _is_less(given.get(name.lower()), most)}
    try:
        with warnings.catch_warnings():
            # The driver only warns of a misspelt option: TLS would silently be off.
            warnings.simplefilter("error", UserWarning)
            return AsyncIOMotorClient(
                uri,
                w="majority",
                journal=True,
                wTimeoutMS=WRITE_LIMIT_MS,
                tz_aware=True,
                uuidRepresentation="standard",
                io_loop=asyncio.get_running_loop(),
                # If a first query started it instead, a thread of the driver would outlive an earlier `close()`.
                connect=True,
                **limits,
            )
    except (ConfigurationError, ValueError, UserWarning) as error:
        raise unusable_uri(str(error)) from error


def _is_less(given_ms: str | None, most_ms: int) -> bool:
    """Whether an option of a URI is set, and lower. 0 means no limit; the driver rejects an invalid number.

    >>> _is_less("500", 2_000), _is_less("20000", 2_000), _is_less("0", 2_000), _is_less(None, 2_000)
    (True, False, False, False)
    """
    return given_ms is not None and (not given_ms.isdecimal() or 0 < int(given_ms) < most_ms)


@asynccontextmanager
async def opened(settings: Settings, **limits_ms: int) -> AsyncIterator[Database]:
    """The results' database, for as long as the `async with` block runs; `limits_ms` as in `connect`.

    Errors of the driver are translated by `explain`.

    Raises SettingsError, MongoAway, MongoRefused, MongoDiskFull, MongoFailed.
    """
    client = connect(settings, **limits_ms)
    try:
        db = client[settings.mongodb_database]
        try:
            yield db
        except PyMongoError as error:
            raise explain(error, db) from error
    finally:
        with pymongo.timeout(_CLOSE_TIMEOUT_S):  # close() ends its sessions on the server, and may wait for it
            client.close()


def explain(error: PyMongoError, where: Database | Collection) -> MovieStreamError:
    """The error for the user, with a message of one line, that corresponds to an error of the driver."""
    return meaning_of(error, address_of(where))


def address_of(where: Database | Collection) -> str:
    """The servers as a URI without user, password and options."""
    servers = sorted(_topology(where).server_descriptions())
    return "mongodb://" + ",".join(f"{host}:{port}" for host, port in servers)


def majority_acknowledged(db: Database, name: str) -> Collection:
    """A collection with primary reads and majority write concern, whatever the URI says."""
    return db.get_collection(name, read_preference=ReadPreference.PRIMARY, write_concern=ACKNOWLEDGED)


async def linearizable(collection: Collection) -> Collection:
    """The same collection with linearizable reads: a deposed primary cannot answer them with stale data.

    A standalone server has neither this read concern nor a deposed primary, and reads with "local". A mongos forwards
    the read concern to the primaries of the shards.
    """
    await collection.database.client.admin.command("ping")  # the topology is known afterwards
    topology = _topology(collection).topology_type_name
    return collection.with_options(
        read_concern=ReadConcern("linearizable" if topology.startswith(("ReplicaSet", "Sharded")) else "local")
    )


def _topology(where: Database | Collection) -> TopologyDescription:
    database = where.database if isinstance(where, AsyncIOMotorCollection) else where
    return cast(TopologyDescription, database.client.topology_description)  # motor's types call it a method
