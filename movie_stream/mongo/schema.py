"""The database schema: collections with validators, indexes, flat views. `ensure` is idempotent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import bson
from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from movie_stream.aggregates.results import RESULTS
from movie_stream.errors import MovieStreamError
from movie_stream.mongo import alerts
from movie_stream.mongo.client import ACKNOWLEDGED, Database, explain
from movie_stream.mongo.flat_views import flat_view
from movie_stream.mongo.partials import PARTIALS
from movie_stream.mongo.runs import RUNS
from movie_stream.mongo.workers import EXPIRES_AFTER, WORKERS

Schema = Mapping[str, Any]
Kind = Literal["collection", "index", "view", "user", "shard key"]
State = Literal["created", "changed", "there"]

_NAMESPACE_EXISTS: Final = 48
_INTERRUPTED: Final = frozenset({117, 11601, 112})
"""ConflictingOperationInProgress, Interrupted, WriteConflict: another process does the same concurrently."""
_SAME_INDEX_BY_ANOTHER_NAME: Final = 85
_ATTEMPTS: Final = 20

_GUARD: Final[Schema] = {
    "_rev": {"bsonType": "array", "items": {"bsonType": "long", "minimum": 0}},
    "_run": {"bsonType": "long", "minimum": 1},
}
_INTERNAL: Final[Mapping[str, Schema]] = {
    PARTIALS: {
        "bsonType": "object",
        "required": ["_id", "payload", *_GUARD],
        "properties": {"_id": {"bsonType": "string"}, "payload": {"bsonType": "binData"}, **_GUARD},
    },
    RUNS: {
        "bsonType": "object",
        "required": ["_id", "number", "fingerprint"],
        "properties": {
            "_id": {"bsonType": "string"},
            "number": {"bsonType": "long", "minimum": 1},
            "fingerprint": {"bsonType": "string"},
        },
    },
    WORKERS: {
        "bsonType": "object",
        "required": ["_id", "host", "pid", "version", "group", "started", "seen", "state", "partitions"],
        "properties": {
            "_id": {"bsonType": "string"},
            "host": {"bsonType": "string"},
            "pid": {"bsonType": "int"},
            "version": {"bsonType": "string"},
            "group": {"bsonType": "string"},
            "run": {"bsonType": ["long", "null"]},
            "started": {"bsonType": "date"},
            "seen": {"bsonType": "date"},
            "last_flush": {"bsonType": ["date", "null"]},
            "state": {"bsonType": "string"},
            "events": {"bsonType": ["long", "int", "null"], "minimum": 0},
            "refused": {"bsonType": "object", "additionalProperties": {"bsonType": ["long", "int"], "minimum": 0}},
            "delay_ms": {"bsonType": ["double", "long", "int", "null"], "minimum": 0},
            "partitions": {"bsonType": "array", "items": {"bsonType": "object"}},
        },
    },
    **alerts.SCHEMAS,
}
_EXPIRING: Final[Mapping[str, tuple[str, int]]] = {
    WORKERS: ("seen", int(EXPIRES_AFTER.total_seconds())),
    **alerts.EXPIRING,
}
"""Collections with a TTL index: the field with a time, and the seconds after it until a document expires."""


class Stored(Protocol):
    """The attributes of a result that the schema needs, as in `aggregates.results.Result`."""

    @property
    def collection(self) -> str: ...
    @property
    def indexes(self) -> Iterable[Mapping[str, int]]:
        """Field to direction, in order."""
        ...

    def schema(self) -> Schema:
        """The JSON schema of the documents, with `required` and `properties`, without `_rev` and `_run`."""
        ...


@dataclass(frozen=True, slots=True)
class Ensured:
    """An object that exists in the database now, and whether it did before. An index's name is `collection.index`."""

    kind: Kind
    name: str
    state: State


class NameTaken(MovieStreamError):
    """The name of a view is taken by a collection, or the reverse.

    What to do: rename or drop what stands there, or use another database.

    >>> print(NameTaken(name="top_movies_flat", expected="view", got="collection"))
    top_movies_flat in MongoDB: expected a view, got a collection; rename or drop it, or set MONGODB_DATABASE to \
another
    """

    def __init__(self, *, name: str, expected: str, got: str) -> None:
        super().__init__(
            f"{name} in MongoDB: expected a {expected}, got a {got}; rename or drop it, "
            "or set MONGODB_DATABASE to another"
        )


async def ensure(db: Database, results: Iterable[Stored] = RESULTS) -> list[Ensured]:
    """Creates missing objects and changes those that differ, including validators and views; drops nothing.

    Safe to call concurrently.

    Raises NameTaken, MongoAway, MongoRefused, MongoDiskFull, MongoFailed.
    """
    db = db.with_options(write_concern=ACKNOWLEDGED)
    ensured: list[Ensured] = []
    try:
        ensured += [await _collection(db, name, schema) for name, schema in _INTERNAL.items()]
        ensured += [await _index(db, name, {field: 1}, expires_s) for name, (field, expires_s) in _EXPIRING.items()]
        ensured += [await _index(db, name, keys) for name, indexes in alerts.INDEXES.items() for keys in indexes]
        for result in results:
            schema = result.schema()
            ensured.append(await _collection(db, result.collection, _with_guard(schema)))
            for keys in result.indexes:
                ensured.append(await _index(db, result.collection, keys))
            if pipeline := flat_view(schema):
                view = {"viewOn": result.collection, "pipeline": pipeline}
                ensured.append(await _namespace(db, "view", f"{result.collection}_flat", view))
    except PyMongoError as error:
        raise explain(error, db) from error
    return ensured


async def missing(db: Database, results: Iterable[Stored] = RESULTS) -> list[str]:
    """The names of the objects that `ensure` would create or change. Raises MongoAway, MongoRefused, MongoFailed."""
    lacking: list[str] = []
    try:
        found = {entry["name"]: entry async for entry in await db.list_collections()}

        def check(kind: Kind, name: str, options: Mapping[str, Any]) -> None:
            existing = found.get(name)
            if existing is None or existing["type"] != kind or not _includes(existing["options"], options):
                lacking.append(name)

        for name, schema in _INTERNAL.items():
            check("collection", name, _validator(schema))
        lacking += [name for name in await _missing_ttl_indexes(db) if name.split(".")[0] not in lacking]
        for name, indexes in alerts.INDEXES.items():
            if found.get(name, {}).get("type") == "collection":
                lacking += await _missing_indexes(db, name, indexes)
        for result in results:
            schema = result.schema()
            check("collection", result.collection, _validator(_with_guard(schema)))
            if pipeline := flat_view(schema):
                check("view", f"{result.collection}_flat", {"viewOn": result.collection, "pipeline": pipeline})
            if found.get(result.collection, {}).get("type") == "collection":
                lacking += await _missing_indexes(db, result.collection, result.indexes)
    except PyMongoError as error:
        raise explain(error, db) from error
    return lacking


async def _missing_indexes(db: Database, collection: str, indexes: Iterable[Mapping[str, int]]) -> list[str]:
    """The indexes that a collection lacks."""
    existing = [index["key"] for index in (await db[collection].index_information()).values()]
    return [f"{collection}.{_index_name(keys)}" for keys in indexes if list(keys.items()) not in existing]


async def _missing_ttl_indexes(db: Database) -> list[str]:
    """The missing TTL indexes."""
    missing = []
    for name, (field, expires_s) in _EXPIRING.items():
        indexes = (await db[name].index_information()).values()
        if not any(_matches(index, {field: 1}, expires_s) for index in indexes):
            missing.append(f"{name}.{_index_name({field: 1})}")
    return missing


def _validator(schema: Schema) -> dict[str, Any]:
    return {"validator": {"$jsonSchema": schema}, "validationLevel": "strict", "validationAction": "error"}


def _index_name(keys: Mapping[str, int]) -> str:
    return "_".join(f"{field}_{direction}" for field, direction in keys.items())


def _with_guard(schema: Schema) -> Schema:
    """The schema of a result with the two fields of the guard."""
    return {
        **schema,
        "required": [*schema["required"], *_GUARD],
        "properties": {**schema["properties"], **_GUARD},
    }


async def _collection(db: Database, name: str, schema: Schema) -> Ensured:
    return await _namespace(db, "collection", name, _validator(schema))


async def _namespace(db: Database, kind: Kind, name: str, options: dict[str, Any]) -> Ensured:
    for attempt in range(_ATTEMPTS):
        try:
            found = await db.list_collections(filter={"name": name})
            existing = await found.to_list(1)
            if not existing:
                await db.create_collection(name, check_exists=False, **options)
                return Ensured(kind, name, "created")
            if existing[0]["type"] != kind:
                raise NameTaken(name=name, expected=kind, got=existing[0]["type"])
            if _includes(existing[0]["options"], options):
                return Ensured(kind, name, "there")
            await db.command("collMod", name, **options)
            return Ensured(kind, name, "changed")
        except (CollectionInvalid, OperationFailure) as error:
            # Another process creates or changes it concurrently: retry.
            code = error.code if isinstance(error, OperationFailure) else _NAMESPACE_EXISTS
            if code not in _INTERRUPTED | {_NAMESPACE_EXISTS} or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _includes(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the existing options match the wanted ones as MongoDB stores them; it omits defaults."""
    stored = bson.decode(bson.encode(wanted))
    defaults = {"validationLevel": "strict", "validationAction": "error"}
    return all({**defaults, **existing}.get(name) == value for name, value in stored.items())


async def _index(db: Database, collection: str, keys: Mapping[str, int], expires_s: int | None = None) -> Ensured:
    """Ensures an index on these keys; with `expires_s` a TTL index of that many seconds."""
    name = _index_name(keys)
    indexes = await db[collection].index_information()
    options: dict[str, Any] = {} if expires_s is None else {"expireAfterSeconds": expires_s}
    state: State = "there" if any(_matches(index, keys, expires_s) for index in indexes.values()) else "created"
    if state == "created":
        try:
            await db[collection].create_index(list(keys.items()), name=name, **options)
        except OperationFailure as error:
            if error.code != _SAME_INDEX_BY_ANOTHER_NAME:
                raise
            if expires_s is not None:
                await db.command("collMod", collection, index={"keyPattern": dict(keys), **options})
                state = "changed"
    return Ensured("index", f"{collection}.{name}", state)


def _matches(index: Mapping[str, Any], keys: Mapping[str, int], expires_s: int | None) -> bool:
    return index["key"] == list(keys.items()) and (expires_s is None or index.get("expireAfterSeconds") == expires_s)
