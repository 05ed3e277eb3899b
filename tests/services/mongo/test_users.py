"""The workers' MongoDB user against a mongod that asks who comes: enough for a worker, and nothing besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from movie_stream.errors import MongoForbids, SettingMissing
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.mongo.users import AnyoneMayEnter, UserTaken, ensure_user, worker_uri
from movie_stream.settings import Settings
from tests.support.mongo_server import MongoServer
from tests.support.secured_kafka import authority
from tests.support.whole_path import command, succeed

ADMINISTRATOR = ("root", "r00t/secret@home")
PASSWORD = "w0rker:p@ss/wörd%41"
VIEWS = """\
movie_id,title,genre,user_id,timestamp,rating
a,Alien,Horror,u1,1730419199999,5
b,Brazil,Comedy,u2,1730419200000,4
"""


@dataclass(frozen=True)
class Secured:
    server: MongoServer
    tls_options: str

    def settings(self, settings: Settings, **more: Any) -> Settings:
        """Those of the administrator."""
        return settings.model_copy(
            update={
                "mongodb_uri": SecretStr(self.server.uri),
                "mongodb_worker_username": "movies",
                "mongodb_worker_password": SecretStr(PASSWORD),
                **more,
            }
        )

    def as_worker(self, settings: Settings, password: str = PASSWORD) -> Settings:
        uri = self.server.uri_of("movies", password, settings.mongodb_database)
        nothing = {"mongodb_worker_username": None, "mongodb_worker_password": None}
        return settings.model_copy(update={"mongodb_uri": SecretStr(uri), **nothing})


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """With a login, TLS, and as a replica set, as whoever has a MongoDB of their own should have it."""
    folder = tmp_path_factory.mktemp("mongo")
    made = authority(folder / "certificates")
    certificate, key = made.issued("localhost", "127.0.0.1")
    both = folder / "both.pem"
    both.write_text(Path(certificate).read_text() + Path(key).read_text())
    data = folder / "data"
    data.mkdir()
    with MongoServer(data, administrator=ADMINISTRATOR, tls=(str(both), made.trusted)) as server:
        yield Secured(server, f"tls=true&tlsCAFile={quote_plus(made.trusted)}")


def user_of(server: MongoServer, database: str) -> dict[str, Any]:
    client: MongoClient[dict[str, Any]]
    with MongoClient(server.uri) as client:
        [user] = client[database].command("usersInfo", {"user": "movies", "db": database})["users"]
        found: dict[str, Any] = user
        return found


@pytest.mark.long
def test_a_worker_runs_with_it_and_touches_no_other_database(
    mongo: Secured, settings: Settings, tmp_path: Path
) -> None:
    administrator = mongo.settings(settings)
    said = succeed(administrator, "init", "--create-user")
    assert "  created  user        movies\n" in said
    shown = worker_uri(mongo.server.uri, "movies", settings.mongodb_database)
    assert f"  MONGODB_URI={shown}\n" in said
    uri = SecretStr(shown.replace("***", quote_plus(PASSWORD)))
    worker = mongo.as_worker(settings).model_copy(update={"mongodb_uri": uri})
    assert PASSWORD not in said
    assert user_of(mongo.server, settings.mongodb_database)["roles"] == [
        {"role": "readWrite", "db": settings.mongodb_database}
    ]

    views = tmp_path / "views.csv"
    views.write_text(VIEWS)
    succeed(worker, "init")
    succeed(worker, "produce", "--file", str(views))
    succeed(worker, "worker", "--until-end")
    assert '"genre":"Comedy"' in succeed(worker, "show", "genres", "--json")
    assert "as movies" in " ".join(succeed(worker, "doctor").split())
    succeed(worker, "rebuild", "--yes")
    succeed(worker, "worker", "--until-end")

    client: MongoClient[dict[str, Any]]
    with MongoClient(worker.require_mongodb()) as client:
        assert client[settings.mongodb_database]["category_stats"].count_documents({}) == 2
        attempts: list[Callable[[], object]] = [
            client["other"]["thing"].find_one,
            lambda: client["other"].create_collection("thing"),
            client["other"].list_collection_names,
            lambda: client["admin"].command("createUser", "more", pwd="more", roles=["root"]),
            lambda: client[settings.mongodb_database].command("createUser", "more", pwd="more", roles=[]),
            lambda: client["local"]["oplog.rs"].find_one(),
            lambda: client.admin.command("shutdown"),
        ]
        for attempt in attempts:
            with pytest.raises(OperationFailure) as refusal:
                attempt()
            assert refusal.value.code == 13


@pytest.mark.long
def test_again_it_is_there_and_has_the_new_password(mongo: Secured, settings: Settings) -> None:
    succeed(mongo.settings(settings), "init", "--create-user")
    other = mongo.settings(settings, mongodb_worker_password=SecretStr("another-one"))
    assert "  changed  user        movies\n" in succeed(other, "init", "--create-user")
    succeed(mongo.as_worker(settings, "another-one"), "show", "genres")
    done = command(mongo.as_worker(settings), "show", "genres")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "refuses the user (Authentication failed.); correct user and password in MONGODB_URI" in line


async def test_a_user_for_something_else_is_left_alone(mongo: Secured, settings: Settings) -> None:
    database = settings.mongodb_database
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo.server.uri) as client:
        client[database].command("createUser", "movies", pwd="before", roles=["dbOwner"])
    async with opened(mongo.settings(settings)) as db:
        with pytest.raises(UserTaken, match=f"got dbOwner on {database}; set MONGODB_WORKER_USERNAME"):
            await ensure_user(mongo.settings(settings), db)
    assert user_of(mongo.server, database)["roles"] == [{"role": "dbOwner", "db": database}]


async def test_who_may_not_make_users_is_told(mongo: Secured, settings: Settings) -> None:
    succeed(mongo.settings(settings), "init", "--create-user")
    worker = mongo.settings(settings, mongodb_uri=mongo.as_worker(settings).mongodb_uri)
    async with opened(worker) as db:
        with pytest.raises(MongoForbids, match=r"to execute updateUser\); .* --create-user userAdmin"):
            await ensure_user(worker, db)


async def test_a_changed_validator_needs_the_administrator(mongo: Secured, settings: Settings) -> None:
    succeed(mongo.settings(settings), "init", "--create-user")
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo.server.uri) as client:
        client[settings.mongodb_database].command("collMod", "top_users", validator={})
    async with opened(mongo.as_worker(settings)) as db:
        with pytest.raises(MongoForbids, match="init also dbAdmin where it changes validators"):
            await ensure(db)


async def test_where_anyone_may_enter_a_user_is_of_no_use(settings: Settings) -> None:
    given = settings.model_copy(
        update={"mongodb_worker_username": "movies", "mongodb_worker_password": SecretStr(PASSWORD)}
    )
    async with opened(given) as db:
        with pytest.raises(AnyoneMayEnter, match="start mongod with --auth"):
            await ensure_user(given, db)


@pytest.mark.parametrize("missing", ["mongodb_worker_username", "mongodb_worker_password"])
def test_what_is_missing_is_said_before_anything_is_made(settings: Settings, missing: str) -> None:
    given = {"mongodb_worker_username": "movies", "mongodb_worker_password": SecretStr(PASSWORD), missing: None}
    done = command(settings.model_copy(update=given), "init", "--create-user")
    assert (done.returncode, done.stdout) == (SettingMissing.exit_code, "")
    assert done.stderr.startswith(f"error: {missing.upper()} is not set: set it")


def test_tls_that_fails_is_said(mongo: Secured, settings: Settings) -> None:
    for part, instead, said in (
        ("tls=true", "tls=false", "if it wants TLS, add tls=true"),
        (f"&{mongo.tls_options.partition('&')[2]}", "", "set tlsCAFile in MONGODB_URI to the certificate of"),
    ):
        uri = mongo.server.uri.replace(part, instead)
        if "tls=false" in uri:
            uri = uri.replace(f"&{mongo.tls_options.partition('&')[2]}", "")
        done = command(settings.model_copy(update={"mongodb_uri": SecretStr(uri)}), "show", "genres")
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert said in line
        assert "r00t" not in line
