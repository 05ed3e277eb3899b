"""Sharding of the results in a sharded cluster, by the hash of `_id`.

The shard key has to be `_id`: every document is written by it, and no other key prevents that two shards have documents
with the same `_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pymongo.errors import PyMongoError

from movie_stream.aggregates.results import RESULTS
from movie_stream.errors import MovieStreamError
from movie_stream.mongo.client import Database, address_of, explain
from movie_stream.mongo.partials import PARTIALS
from movie_stream.mongo.schema import Ensured, Stored

HASHED: Final[Mapping[str, Any]] = {"_id": "hashed"}
CLUSTER: Final = "sharded cluster"
_RANGED: Final[Mapping[str, Any]] = {"_id": 1}


class NotSharded(MovieStreamError):
    """MONGODB_URI does not lead to a sharded cluster.

    What to do: name a mongos, or leave the option out.

    >>> print(NotSharded(uri="mongodb://mongo:27017", got="standalone mongod"))
    MongoDB at mongodb://mongo:27017: expected a mongos of a sharded cluster for init --shard, got a standalone \
mongod; let MONGODB_URI name the mongos, or leave --shard out
    """

    def __init__(self, *, uri: str, got: str) -> None:
        super().__init__(
            f"MongoDB at {uri}: expected a mongos of a sharded cluster for init --shard, got a {got}; let MONGODB_URI "
            "name the mongos, or leave --shard out"
        )


class ShardedByAnotherKey(MovieStreamError):
    """A collection of results has another shard key than `_id`.

    What to do: do the steps that the line names, in their order.

    >>> print(ShardedByAnotherKey(name="top_movies", key={"timestamp": 1}))
    top_movies in MongoDB: expected _id as its shard key, got {'timestamp': 1}; two shards might have documents of one \
_id, and writes by _id would be refused: stop the workers, drop the collection, run init --shard, then movie-stream \
rebuild
    """

    def __init__(self, *, name: str, key: Mapping[str, Any]) -> None:
        super().__init__(
            f"{name} in MongoDB: expected _id as its shard key, got {dict(key)}; two shards might have documents of "
            f"one _id, and writes by _id would be refused: stop the workers, drop the collection, run init --shard, "
            "then movie-stream rebuild"
        )


def sharded(results: Iterable[Stored] = RESULTS) -> list[str]:
    """The collections to shard: those that grow."""
    return [*(result.collection for result in results), PARTIALS]


async def ensure(db: Database, results: Iterable[Stored] = RESULTS) -> list[Ensured]:
    """Shards the collections of all results and of partial results, which `schema.ensure` has created.

    Collections already sharded by `_id`, hashed or ranged, are left unchanged. The other collections are small: MongoDB
    keeps them on the database's primary shard.

    Raises NotSharded or ShardedByAnotherKey before any change; then MongoForbids if the user is no administrator of the
    cluster, MongoAway, MongoFailed.
    """
    names = sharded(results)
    try:
        hello = await db.client.admin.command("hello")
        if (kind := kind_of(hello)) != CLUSTER:
            raise NotSharded(uri=address_of(db), got=kind)
        keys = await shard_keys(db, names)
        for name, key in others(keys).items():
            raise ShardedByAnotherKey(name=name, key=key)
        await db.client.admin.command("enableSharding", db.name)
        return [
            Ensured("shard key", f"{name}._id", "there") if name in keys else await _shard(db, name) for name in names
        ]
    except PyMongoError as error:
        raise explain(error, db) from error


async def shard_keys(db: Database, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The shard keys of those collections that are sharded. Raises the driver's errors as they are."""
    namespaces = {f"{db.name}.{name}": name for name in names}
    found = db.client["config"]["collections"].find({"_id": {"$in": list(namespaces)}}, {"key": 1, "dropped": 1})
    return {namespaces[entry["_id"]]: entry["key"] async for entry in found if not entry.get("dropped")}


def others(keys: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The collections that have another shard key than `_id`."""
    return {name: key for name, key in keys.items() if key not in (HASHED, _RANGED)}


async def _shard(db: Database, name: str) -> Ensured:
    await db[name].create_index(list(HASHED.items()))  # required unless the collection is empty
    await db.client.admin.command("shardCollection", f"{db.name}.{name}", key=dict(HASHED))
    return Ensured("shard key", f"{name}._id", "created")


def kind_of(hello: Mapping[str, Any]) -> str:
    """The kind of deployment that sent this reply to `hello`.

    >>> kind_of({"msg": "isdbgrid"}), kind_of({"setName": "rs0"}), kind_of({})
    ('sharded cluster', 'replica set', 'standalone mongod')
    """
    if hello.get("msg") == "isdbgrid":
        return CLUSTER
    return "replica set" if "setName" in hello else "standalone mongod"
