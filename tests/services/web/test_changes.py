"""`/changes` as a reader has it over HTTP: events, resuming, readers that hang or are many, and the end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
from pydantic import SecretStr

from movie_stream.settings import Settings
from tests.support.mongo.mongo_server import MongoServer
from tests.support.web.serving import Serving, documents_of, events, fill, serving
from tests.support.whole_path import PATIENCE_S, database

VIEWS = events(40)
TOKEN = "a-token-of-its-own"


class Told(NamedTuple):
    """An event as received."""

    name: str
    data: dict[str, Any]
    id: str | None


@contextmanager
def reading(server: Serving, query: str = "", **headers: str) -> Iterator[Iterator[Told]]:
    """The events that a reader is sent, one after the other."""
    with httpx.stream("GET", f"{server.api}/changes{query}", headers=headers, timeout=PATIENCE_S) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream"
        yield parsed(answer.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[Told]:
    """By the rules of server-sent events; beats are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            if fields["event"] != "beat":
                yield Told(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}
        else:
            fields = {}


def until_told(told: Iterator[Told], wanted: Counter[str]) -> Told:
    """Reads until all expected changes have arrived; the last event."""
    counted = Counter[str]()
    for event in told:
        if event.name == "change":
            counted.update(event.data["collections"])
        if counted >= wanted:
            assert counted == wanted
            return event
    raise AssertionError("the stream has ended")


def write(settings: Settings, rev: int) -> Counter[str]:
    asyncio.run(fill(settings, VIEWS, rev))
    return Counter(document.collection for document in documents_of(VIEWS))


def test_a_reader_is_notified_and_may_reconnect(settings: Settings) -> None:
    write(settings, 1)
    with serving(settings) as server:
        with reading(server, "?detail=1") as told:
            first = next(told)
            assert (first.name, first.data) == ("status", {"source": "polling", "mongodb": "up"})
            wanted = write(settings, 2)
            change = until_told(told, wanted)
            assert change.data["stream_time"].endswith("Z")
            assert change.data["documents"] is None
        write(settings, 3)
        for query, headers in (("", {"Last-Event-ID": change.id or ""}), (f"?last_event_id={change.id}", {})):
            with reading(server, query, **headers) as told:
                assert next(told).name == "status"
                until_told(told, wanted)
        with reading(server, "?last_event_id=1.2.3") as told:
            assert [next(told).name, next(told).name] == ["status", "reset"]
        with reading(server, f"?last_event_id={first.id}", **{"Last-Event-ID": change.id or ""}) as told:
            assert next(told).name == "status"
            until_told(told, wanted)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("?detail=2", "detail"),
        ("?detail=1&detail=1", "detail"),
        (f"?last_event_id={'9' * 1_001}", "last_event_id"),
        ("?last_event_id=$ne", "last_event_id"),
        ("?last_event_id=%00", "last_event_id"),
        ("?since=1h", "since"),
    ],
)
def test_parameters_that_are_wrong(served: Serving, query: str, parameter: str) -> None:
    answer = httpx.get(f"{served.api}/changes{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [parameter]


@pytest.fixture(scope="module")
def served(services: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    given = Settings(
        kafka_bootstrap_servers=services.bootstrap_servers, mongodb_uri=SecretStr(services.mongodb_uri)
    ).model_copy(update={"mongodb_database": "test_changes"})
    with serving(given) as server:
        yield server


def test_the_head_alone_and_other_methods(served: Serving) -> None:
    assert httpx.head(f"{served.api}/changes", timeout=PATIENCE_S).headers["content-type"] == "text/event-stream"
    assert httpx.post(f"{served.api}/changes", timeout=PATIENCE_S).status_code == 405


def test_a_token_is_asked_for(settings: Settings) -> None:
    with serving(settings, API_TOKEN=TOKEN) as server:
        assert httpx.get(f"{server.api}/changes").status_code == 401
        with reading(server, Authorization=f"Bearer {TOKEN}") as told:
            assert next(told).name == "status"


def test_a_reader_is_sent_a_beat_that_it_can_see(served: Serving) -> None:
    with httpx.stream("GET", f"{served.api}/changes", timeout=PATIENCE_S) as answer:
        lines = answer.iter_lines()
        assert any(line == "event: status" for line in lines)
        assert any(line == "event: beat" for line in lines)
        assert next(lines) == "data: {}"


def test_a_stream_ends_with_its_session_and_others_do_not(settings: Settings) -> None:
    write(settings, 1)
    with serving(settings, API_TOKEN=TOKEN) as server, ExitStack() as stack:
        pages = [stack.enter_context(httpx.Client(trust_env=False, timeout=PATIENCE_S)) for _ in range(2)]
        streams = []
        for page in pages:
            assert page.post(f"{server.api}/session", json={"token": TOKEN}).status_code == 204
            cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in page.cookies.items())}
            streams.append(stack.enter_context(reading(server, **cookie)))
            assert next(streams[-1]).name == "status"
        assert pages[0].delete(f"{server.api}/session").status_code == 204
        assert list(streams[0]) == []
        until_told(streams[1], write(settings, 2))


def test_the_server_ends_although_readers_read(settings: Settings) -> None:
    with serving(settings) as server, ExitStack() as stack:
        told = [stack.enter_context(reading(server)) for _ in range(3)]
        assert [next(one).name for one in told] == ["status"] * 3
        assert server.end() == 0
        assert [list(one) for one in told] == [[], [], []]


def test_mongodb_restarts_under_a_reader(settings: Settings, tmp_path: Path) -> None:
    with MongoServer(tmp_path) as mongod:
        there = settings.model_copy(update={"mongodb_uri": SecretStr(mongod.uri)})
        write(there, 1)
        with serving(there) as server, reading(server) as told:
            assert next(told).data["mongodb"] == "up"
            mongod.kill()
            assert next(told).data["mongodb"] == "down"
            mongod.start()
            mongod.wait_until_ready()
            assert next(told).data["mongodb"] == "up"
            assert next(told).name == "reset"
            until_told(told, write(there, 2))


def connected(server: Serving) -> int:
    """Connections that clients have to the server."""
    port = int(server.address.rpartition(":")[2])
    there = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in there)


def hanging(server: Serving) -> socket.socket:
    """A client that asks and never reads, with little room of its own."""
    host, _, port = server.address.removeprefix("http://").rpartition(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
    client.connect((host, int(port)))
    client.sendall(f"GET /api/v1/changes?detail=1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return client


@pytest.mark.timeout(240)
def test_a_reader_that_hangs_is_cut_off_and_disturbs_nobody(settings: Settings, tmp_path: Path) -> None:
    """With a change stream and `detail`, where an event has some kilobytes."""
    with MongoServer(tmp_path, replica_set=True) as mongod:
        there = settings.model_copy(update={"mongodb_uri": SecretStr(mongod.uri), "log_level": "INFO"})
        wanted = write(there, 1)
        with serving(there) as server, reading(server) as told, hanging(server):
            assert next(told).data["mongodb"] == "up"
            deadline = time.monotonic() + PATIENCE_S
            rev = 1
            while b"is cut off" not in b"".join(server.printed):
                assert time.monotonic() < deadline, b"".join(server.printed)
                rev += 1
                write(there, rev)
                until_told(told, wanted)
            while connected(server) > 1:
                assert time.monotonic() < deadline, "it is still connected"
                time.sleep(0.05)
            write(there, rev + 1)
            until_told(told, wanted)
            said = b"".join(server.printed).decode()
            assert "Traceback" not in said
            assert "ASGI" not in said


@pytest.mark.long
@pytest.mark.timeout(240)
def test_two_hundred_readers_are_notified_with_little_memory(settings: Settings) -> None:
    write(settings, 1)
    with serving(settings) as server, ExitStack() as stack:
        told = [stack.enter_context(reading(server)) for _ in range(200)]
        for one in told:
            assert next(one).data["mongodb"] == "up"
        wanted = write(settings, 2)
        for one in told:
            until_told(one, wanted)
        assert psutil.Process(server.process.pid).memory_info().rss < 300 * 10**6


def test_gone_readers_are_forgotten(settings: Settings) -> None:
    with serving(settings) as server:
        with ExitStack() as stack:
            told = [stack.enter_context(reading(server)) for _ in range(20)]
            assert [next(one).name for one in told] == ["status"] * 20
            assert connected(server) == 20
        deadline = time.monotonic() + PATIENCE_S
        while connected(server):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_user_who_could_write_is_warned_of(settings: Settings, tmp_path: Path) -> None:
    with MongoServer(tmp_path, administrator=("root", "s3cret/at home")) as mongod:
        there = settings.model_copy(update={"mongodb_uri": SecretStr(mongod.uri)})
        with database(there) as db:
            db.command("createUser", "looks", pwd="looks-only", roles=["read"])
        reader = mongod.uri_of("looks", "looks-only", settings.mongodb_database)
        for uri, warned in ((mongod.uri, True), (reader, False)):
            with serving(there.model_copy(update={"mongodb_uri": SecretStr(uri)})) as server, reading(server) as told:
                assert next(told).data["mongodb"] == "up"
                deadline = time.monotonic() + PATIENCE_S
                while warned and b"could write" not in b"".join(server.printed):
                    assert time.monotonic() < deadline, server.printed
                    time.sleep(0.05)
                assert server.end() == 0
            assert (b"the user of MONGODB_URI could write" in b"".join(server.printed)) == warned
