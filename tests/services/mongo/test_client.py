"""The client: what the URI may say, what it may not change, and the errors of a server that is not there."""

from __future__ import annotations

from typing import cast

import pytest
from bson import UuidRepresentation
from pydantic import SecretStr
from pymongo.client_options import ClientOptions

from movie_stream.embedded.launch import free_port
from movie_stream.errors import MongoRefused, SettingMissing, SettingsError
from movie_stream.mongo.client import Database, address_of, connect, linearizable, majority_acknowledged, opened
from movie_stream.mongo.failures import MongoAway
from movie_stream.settings import Settings


def with_uri(settings: Settings, uri: str | None) -> Settings:
    return settings.model_copy(update={"mongodb_uri": None if uri is None else SecretStr(uri)})


def options_of(db: Database) -> ClientOptions:
    return cast(ClientOptions, db.client.options)  # motor's types call it a method


async def test_what_matters_is_not_left_to_the_uri(settings: Settings) -> None:
    uri = f"{settings.require_mongodb()}/?w=0&journal=false&tz_aware=false&readPreference=secondaryPreferred"
    async with opened(with_uri(settings, uri)) as db:
        assert db.name == settings.mongodb_database
        options = options_of(db)
        assert address_of(db) == settings.require_mongodb()
        assert db.write_concern.document == {"w": "majority", "j": True, "wtimeout": 20_000}
        assert options.codec_options.tz_aware
        assert options.codec_options.uuid_representation == UuidRepresentation.STANDARD
        assert options.pool_options.socket_timeout == 30
        collection = majority_acknowledged(db, "c")
        assert collection.read_preference.mongos_mode == "primary"
        assert collection.write_concern.document["w"] == "majority"
        assert (await linearizable(collection)).read_concern.level == "local"


async def test_limits_of_the_uri_are_kept(settings: Settings) -> None:
    uri = f"{settings.require_mongodb()}/?socketTimeoutMS=60000&SERVERSELECTIONTIMEOUTMS=7000"
    async with opened(with_uri(settings, uri)) as db:
        assert options_of(db).pool_options.socket_timeout == 60
        assert options_of(db).server_selection_timeout == 7


async def test_a_caller_may_bound_the_limits_of_the_uri(settings: Settings) -> None:
    uri = "mongodb://127.0.0.1:1/?serverselectiontimeoutms=60000&connectTimeoutMS=500&socketTimeoutMS=0"
    bounded = {"serverSelectionTimeoutMS": 2_000, "connectTimeoutMS": 2_000, "socketTimeoutMS": 7_000}
    async with opened(with_uri(settings, uri), **bounded) as db:
        assert options_of(db).server_selection_timeout == 2
        assert options_of(db).pool_options.connect_timeout == 0.5
        assert options_of(db).pool_options.socket_timeout == 7


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mongodb://ana:hun@ter2@h", "must be escaped"),
        ("mongodb://ana:hunter2@h:99999", "Port"),
        ("mongodb://ana:hunter2@h/?tls=maybe", "tls"),
        ("mongodb://ana:hunter2@h/?jurnal=true", "jurnal"),
        ("mongodb+srv://ana:hunter2@127.0.0.1", "IP address"),
    ],
)
async def test_a_uri_that_is_none(settings: Settings, uri: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"^MONGODB_URI: expected a MongoDB connection string") as refused:
        async with opened(with_uri(settings, uri)) as db:
            await db.command("ping")
    assert words in str(refused.value)
    assert "ter2" not in str(refused.value)


async def test_no_uri(settings: Settings) -> None:
    with pytest.raises(SettingMissing, match="MONGODB_URI is not set"):
        connect(with_uri(settings, None))


async def test_nobody_there(settings: Settings) -> None:
    port = free_port()
    uri = f"mongodb://ana:hunter2@127.0.0.1:{port}/?serverSelectionTimeoutMS=200"
    with pytest.raises(MongoAway, match=rf"^no MongoDB answers at mongodb://127\.0\.0\.1:{port} .*refused") as away:
        async with opened(with_uri(settings, uri)) as db:
            await db.command("ping")
    assert "hunter2" not in str(away.value)
    assert "Topology" not in str(away.value)


async def test_a_wrong_password(settings: Settings) -> None:
    uri = settings.require_mongodb().replace("mongodb://", "mongodb://ana:hunter2@")
    with pytest.raises(MongoRefused, match=r"refuses the user \(Authentication failed\.\)") as refused:
        async with opened(with_uri(settings, uri)) as db:
            await db["c"].find_one()
    assert "hunter2" not in str(refused.value)
