"""The workers' MongoDB user against a mongod with logins: enough for a worker, and nothing more."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from movie_stream.aggregates.results import RESULTS
from movie_stream.errors import MongoForbids, SettingMissing
from movie_stream.mongo import workers
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.mongo.users import (
    BI,
    READER,
    Account,
    AuthenticationDisabled,
    UserTaken,
    ensure_user,
    may_write,
    uri_as,
)
from movie_stream.settings import Settings
from movie_stream.web.sources import ChangeStream, Polling
from tests.support.in_process import said_in_process
from tests.support.kafka.secured_kafka import authority
from tests.support.mongo.mongo_server import MongoServer
from tests.support.web.serving import serving
from tests.support.whole_path import PATIENCE_S, command, succeed

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
    """With a login and TLS, as whoever has a MongoDB of their own should have it."""
    folder = tmp_path_factory.mktemp("mongo")
    made = authority(folder / "certificates")
    certificate, key = made.issued("localhost", "127.0.0.1")
    both = folder / "both.pem"
    both.write_text(Path(certificate).read_text() + Path(key).read_text())
    data = folder / "data"
    data.mkdir()
    with MongoServer(data, administrator=ADMINISTRATOR, tls=(str(both), made.trusted)) as server:
        yield Secured(server, f"tls=true&tlsCAFile={quote_plus(made.trusted)}")


@pytest.fixture
def replica_set(tmp_path: Path) -> Iterator[Secured]:
    """With a login, and change streams."""
    with MongoServer(tmp_path, administrator=ADMINISTRATOR, replica_set=True) as server:
        yield Secured(server, "")


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
    shown = uri_as(mongo.server.uri, "movies", settings.mongodb_database)
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


READ_PASSWORD = "r3ader:p@ss/wörd%41"
READING = {"mongodb_reader_username": "looks", "mongodb_reader_password": SecretStr(READ_PASSWORD)}
REPORTING = {"mongodb_bi_username": "looks", "mongodb_bi_password": SecretStr(READ_PASSWORD)}


@pytest.mark.parametrize(("account", "given"), [(READER, READING), (BI, REPORTING)], ids=["reader", "bi"])
async def test_a_reader_reads_and_can_write_nothing(
    mongo: Secured, settings: Settings, account: Account, given: dict[str, Any]
) -> None:
    await reads_and_writes_nothing(mongo, settings, [Polling], account, given)


async def test_a_reader_follows_a_change_stream(replica_set: Secured, settings: Settings) -> None:
    await reads_and_writes_nothing(replica_set, settings, [ChangeStream, Polling])


async def reads_and_writes_nothing(
    mongo: Secured,
    settings: Settings,
    sources: list[type[ChangeStream] | type[Polling]],
    account: Account = READER,
    given: dict[str, Any] = READING,
) -> None:
    nobody = {"mongodb_worker_username": None, "mongodb_worker_password": None}
    administrator = mongo.settings(settings, **given, **nobody)
    said = succeed(administrator, "init", "--create-user")
    shown = uri_as(mongo.server.uri, "looks", settings.mongodb_database)
    assert "  created  user        looks\n" in said
    head = f"For {account.of}, with the password of looks, percent-encoded, in place of ***"
    assert f"\n{head}\n  MONGODB_URI={shown}\n" in said
    assert READ_PASSWORD not in said
    uri = SecretStr(shown.replace("***", quote_plus(READ_PASSWORD)))
    reader = settings.model_copy(update={"mongodb_uri": uri})
    async with opened(administrator) as all_may, opened(reader) as db:
        assert (await may_write(all_may), await may_write(db)) == (True, False)
        heartbeat = {"host": "h", "pid": 1, "version": "9", "group": "g", "state": "running", "partitions": []}
        now = datetime.now(UTC)
        for source in sources:
            changes = source(db, ["_workers", "hourly_metrics"])
            await changes.seen()
            document = {"_id": source.name, **heartbeat, "started": now, "seen": now}
            await all_may["_workers"].insert_one(document)
            async with asyncio.timeout(PATIENCE_S):
                while not (seen := await changes.seen()).writes:
                    assert not seen.lost
            assert seen.writes == {"_workers": 1}
            await changes.pause()
        assert len(await workers.seen(db)) == len(sources)
        for name in (*(result.collection for result in RESULTS), "top_movies_flat", "_runs"):
            assert await db[name].find().to_list(1) == []

        collection = db["_workers"]
        attempts: list[Callable[[], Any]] = [
            lambda: collection.insert_one({}),
            lambda: collection.update_one({}, {"$set": {"pid": 2}}),
            lambda: collection.update_one({}, [{"$set": {"pid": 2}}], upsert=True),
            lambda: collection.replace_one({}, {}),
            lambda: collection.delete_one({}),
            lambda: collection.find_one_and_delete({}),
            lambda: collection.create_index("pid"),
            lambda: collection.drop_index("seen_1"),
            collection.drop,
            lambda: collection.rename("others"),
            lambda: collection.aggregate([{"$out": "others"}]).to_list(None),
            lambda: collection.aggregate([{"$merge": "others"}]).to_list(None),
            lambda: db.create_collection("others"),
            lambda: db.command("collMod", "_workers", validator={}),
            lambda: db.command("createUser", "more", pwd="more", roles=[]),
            lambda: db.command("updateUser", "looks", roles=[{"role": "readWrite", "db": db.name}]),
            lambda: db.client.drop_database(db.name),
            lambda: db.client["other"]["thing"].find_one(),
        ]
        for attempt in attempts:
            with pytest.raises(OperationFailure) as refusal:
                await attempt()
            assert refusal.value.code == 13, refusal.value
        assert await collection.count_documents({}) == len(sources)


def test_serve_logs_in_as_the_reader(mongo: Secured, settings: Settings) -> None:
    nobody = {"mongodb_worker_username": None, "mongodb_worker_password": None}
    administrator = mongo.settings(settings, **READING, **nobody)
    succeed(administrator, "init", "--create-user")
    with serving(administrator) as server:
        with urllib.request.urlopen(f"{server.api}/hourly_metrics", timeout=PATIENCE_S) as answer:
            assert json.load(answer)["items"] == []
        pipeline: list[dict[str, Any]] = [
            {"$currentOp": {"allUsers": True, "idleConnections": True}},
            {"$match": {"effectiveUsers.db": settings.mongodb_database}},
        ]
        with MongoClient[dict[str, Any]](mongo.server.uri) as client:
            found = client.admin.aggregate(pipeline).to_list(None)
        assert {user["user"] for one in found for user in one["effectiveUsers"]} == {"looks"}
        assert server.end() == 0
    assert b"could write" not in b"".join(server.printed)

    alone = settings.model_copy(update={"mongodb_reader_username": "looks"})
    done = command(alone, "serve", "--port", "0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: MONGODB_READER_PASSWORD is not set: ")
    assert done.stderr.count("\n") == 1


def reader_rows(settings: Settings, check: str = "reader") -> list[tuple[str, str]]:
    done = command(settings, "doctor", "--json")
    return [
        (row["state"], f"{row['what']} -> {row['remedy']}")
        for row in json.loads(done.stdout)["checks"]
        if row["check"] == check
    ]


@pytest.mark.long
def test_doctor_looks_at_the_reader(mongo: Secured, settings: Settings) -> None:
    database = settings.mongodb_database
    succeed(mongo.settings(settings), "init", "--create-user")
    assert reader_rows(mongo.settings(settings)) == []
    as_worker = mongo.as_worker(settings).model_copy(update=READING)
    [(state, said)] = reader_rows(as_worker)
    assert (state, said) == (
        "fail",
        f"the user looks of {database} cannot log in: it is not there, or has another password -> as an administrator: "
        "movie-stream init --create-user",
    )
    no_password = {**READING, "mongodb_reader_password": None}
    assert reader_rows(mongo.settings(settings, **no_password)) == [
        ("fail", f"there is no user looks of {database} -> as an administrator: movie-stream init --create-user")
    ]
    succeed(mongo.settings(settings, **READING), "init", "--create-user")
    fine = [("ok", f"looks may read {database}, and nothing else -> None")]
    assert reader_rows(as_worker.model_copy(update=REPORTING), "bi") == fine
    assert reader_rows(as_worker) == fine
    assert reader_rows(mongo.settings(settings, **no_password)) == fine
    [(state, said)] = reader_rows(as_worker.model_copy(update={"mongodb_reader_password": None}))
    assert (state, "may not see what the user looks" in said) == ("warn", True)

    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo.server.uri) as client:
        client[database].command("updateUser", "looks", roles=["read", "dbAdmin"])
        for given in (as_worker, mongo.settings(settings, **no_password)):
            [(state, said)] = reader_rows(given)
            assert state == "warn"
            assert f"looks may do more than to read {database}: its roles are " in said
        client[database].command("updateUser", "looks", roles=[{"role": "read", "db": "other"}])
        [(state, said)] = reader_rows(as_worker)
    assert (state, f"looks may not read {database}: its roles are read on other -> grant" in said) == ("fail", True)


def test_doctor_says_where_a_reader_restricts_nobody(settings: Settings) -> None:
    [(state, said)] = reader_rows(settings.model_copy(update=READING))
    assert (state, said.partition(",")[0]) == ("warn", "MongoDB lets anyone in")


async def test_one_name_cannot_be_both(mongo: Secured, settings: Settings) -> None:
    both = mongo.settings(settings, **{**READING, "mongodb_reader_username": "movies"})
    async with opened(both) as db:
        await ensure_user(both, db)
        with pytest.raises(UserTaken, match=r"expected read on .*, got readWrite on .*; set MONGODB_READER_USERN"):
            await ensure_user(both, db, READER)


def test_two_users_of_one_name_are_refused_before_anything_is_made(settings: Settings) -> None:
    done = command(settings.model_copy(update={**READING, **REPORTING}), "init", "--create-user")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: MONGODB_BI_USERNAME: expected another user than MONGODB_READER_USERNAME, got 'looks'\n"
    )


async def test_whether_one_who_has_not_logged_in_may_write_is_not_known(settings: Settings) -> None:
    async with opened(settings) as db:
        assert await may_write(db) is None


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


async def test_a_user_who_may_not_make_users_gets_an_error(mongo: Secured, settings: Settings) -> None:
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
        with pytest.raises(AuthenticationDisabled, match="start mongod with --auth"):
            await ensure_user(given, db)


@pytest.mark.parametrize(
    "missing",
    [
        *("mongodb_worker_username", "mongodb_worker_password", "mongodb_reader_username", "mongodb_reader_password"),
        *("mongodb_bi_username", "mongodb_bi_password"),
    ],
)
def test_missing_settings_are_named_before_anything_is_made(settings: Settings, tmp_path: Path, missing: str) -> None:
    given = {
        "mongodb_worker_username": "movies",
        "mongodb_worker_password": SecretStr(PASSWORD),
        **READING,
        **REPORTING,
        "mongodb_bi_username": "reports",
        missing: None,
    }
    variables = settings.model_copy(update=given).environment()
    done = said_in_process("init", "--create-user", cwd=tmp_path, **variables)
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
