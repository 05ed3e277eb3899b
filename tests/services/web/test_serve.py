"""The server as a process: how it begins and ends, whom it lets in, and MongoDB under it."""

from __future__ import annotations

import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from movie_stream.settings import Settings
from tests.support.in_process import said_in_process
from tests.support.mongo.mongo_server import MongoServer
from tests.support.web.clients import ask, asked_until, connected
from tests.support.web.serving import Serving, events, fill, serving
from tests.support.whole_path import PATIENCE_S, command

TOKEN: Final = "a-token-of-our-own"


# ---- begins and ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_order_even_with_open_streams(settings: Settings, number: signal.Signals) -> None:
    await fill(settings, events(200))
    with serving(settings) as server, ExitStack() as streams:
        client = streams.enter_context(httpx.Client(timeout=PATIENCE_S, trust_env=False))
        for _ in range(5):
            stream = streams.enter_context(client.stream("GET", f"{server.api}/changes"))
            assert next(stream.iter_lines())
        with connected(server) as idle, connected(server) as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: local")
            code = server.end(number)
            assert idle.recv(1) == b""
        assert code == 0, server.printed
        assert [line for line in server.printed[1:] if b"Traceback" in line or b"ERROR" in line] == []


def test_it_prints_its_address_and_nothing_else(settings: Settings) -> None:
    with serving(settings, LOG_LEVEL="ERROR") as server:
        assert ask(server, "health/live").json() == {"status": "ok"}
        assert server.end() == 0
    assert re.fullmatch(rb"Serving the results at http://127\.0\.0\.1:\d+\n", b"".join(server.printed))


def test_a_port_that_is_taken(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = command(settings, "serve", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: API_PORT: expected a port that is free, got '{port}'; another program listens there; take another "
        "port, or 0 for a free one\n"
    )


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("0.0.0.0", "API_TOKEN is not set: and 0.0.0.0 is open to other hosts"),
        ("::", "API_TOKEN is not set: and :: is open to other hosts"),
        ("192.0.2.1", "API_HOST: expected an address of this host, got '192.0.2.1'"),
        ("no.such.host.invalid", "API_HOST: expected an address of this host, got 'no.such.host.invalid'"),
    ],
)
def test_where_it_does_not_listen(settings: Settings, host: str, line: str) -> None:
    done = command(settings, "serve", "--host", host, "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {line}")
    assert done.stderr.count("\n") == 1


def test_settings_that_cannot_be_used(settings: Settings) -> None:
    for variable, value in (("API_TOKEN", "short"), ("API_TOKEN", "with blank in it"), ("API_PORT", "70000")):
        done = said_in_process("serve", cwd=None, **settings.environment() | {variable: value})
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {variable}: expected")
        assert variable != "API_TOKEN" or value not in done.stderr
    nowhere = settings.model_copy(update={"mongodb_uri": None})
    done = said_in_process("serve", "--port", "0", cwd=None, **nowhere.environment())
    assert done.returncode == 2
    assert done.stderr.startswith("error: MONGODB_URI is not set")


# ---- who may come in -----------------------------------------------------------------------------------------------


def test_other_hosts_need_the_token(settings: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n", "utf-8")
    with serving(settings, "--host", "0.0.0.0", API_TOKEN_FILE=str(secret)) as server:
        local = Serving(server.process, server.address.replace("0.0.0.0", "127.0.0.1"), server.printed)
        assert ask(local, "health/live").status_code == 401
        assert ask(local, "health/live", authorization="Bearer wrong").status_code == 401
        assert ask(local, "health/live", authorization=f"Bearer {TOKEN}").status_code == 200
        assert ask(local, "health/live", authorization=f"Bearer {TOKEN}", host="films.example").status_code == 200
        for path in ("/health/ready", "/health/live"):
            probed = httpx.get(f"{local.address}{path}", trust_env=False, timeout=PATIENCE_S)
            assert probed.status_code == 200
            assert "127.0.0.1:" not in probed.text, "who is not let in learns no addresses"
        with httpx.Client(base_url=local.api, trust_env=False) as page:
            assert page.post("session", json={"token": TOKEN}).status_code == 204
            assert page.get("health/live").status_code == 200
        assert server.end() == 0
    assert TOKEN.encode() not in b"".join(server.printed)


def test_a_guesser_has_one_address_whatever_its_headers_say(settings: Settings) -> None:
    with serving(settings, API_TOKEN=TOKEN) as server, httpx.Client(base_url=server.api, trust_env=False) as guesser:
        for number in range(60):
            shown = {"authorization": f"Bearer guess-{number}", "x-forwarded-for": f"192.0.2.{number}"}
            answer = guesser.get("health/live", headers=shown, timeout=PATIENCE_S)
            if answer.status_code == 429:
                break
        assert answer.status_code == 429
        assert ask(server, "health/live", authorization=f"Bearer {TOKEN}").status_code == 200


def test_insecure_is_meant(settings: Settings) -> None:
    with serving(settings, "--host", "0.0.0.0", "--insecure") as server:
        local = Serving(server.process, server.address.replace("0.0.0.0", "127.0.0.1"), server.printed)
        assert ask(local, "health/live", host="films.example").status_code == 200


def test_a_strangers_name_is_not_ours(settings: Settings) -> None:
    with serving(settings) as server:
        assert ask(server, "health/live", host="evil.example").status_code == 421


# ---- MongoDB -------------------------------------------------------------------------------------------------------


async def test_mongodb_away_at_the_start_and_later(settings: Settings, tmp_path: Path) -> None:
    mongo = MongoServer(tmp_path)
    settings = settings.model_copy(update={"mongodb_uri": type(settings.mongodb_uri)(mongo.uri)})  # type: ignore[misc]
    paths = ("daily_stats", "summary", "series", "top-movies", "workers")
    with serving(settings) as server:
        for path in paths:
            answer = ask(server, path)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert int(answer.headers["retry-after"]) >= 1
            assert "no MongoDB answers" in answer.json()["detail"]
        ready = ask(server, "health/ready")
        assert (ready.status_code, ready.json()["checks"]["mongodb"]["status"]) == (503, "fail")
        assert ready.json()["checks"]["workers"]["status"] == "unknown"
        assert ask(server, "health/live").status_code == 200
        with mongo:
            await fill(settings, events(200))
            answer = asked_until(200, server, "summary")
            assert answer.json()["views"]["value"] == 200
            mongo.kill()
            answer = asked_until(503, server, "summary")
            assert "no MongoDB answers" in answer.json()["detail"]
            mongo.start()
            mongo.wait_until_ready()
            assert asked_until(200, server, "summary").json()["views"]["value"] == 200
            with mongo.failing("aggregate", errorCode=50):
                slow = asked_until(503, server, "workers")  # what the summary has just asked may be given once more
                assert slow.json()["status"] == 503
                assert "has not answered a query" in slow.json()["detail"]
        assert server.end() == 0
    assert b"Traceback" not in b"".join(server.printed)


async def test_a_mongodb_that_hangs_keeps_nobody(settings: Settings, tmp_path: Path) -> None:
    """Neither the client, nor the server when it is stopped."""
    with MongoServer(tmp_path) as mongo:
        settings = settings.model_copy(update={"mongodb_uri": type(settings.mongodb_uri)(mongo.uri)})  # type: ignore[misc]
        await fill(settings, events(200))
        with serving(settings) as server, ThreadPoolExecutor(12) as clients:
            assert ask(server, "daily_stats").status_code == 200
            with mongo.paused():
                asked = [clients.submit(ask, server, f"daily_stats?limit={n}") for n in range(1, 13)]
                assert {answer.result().status_code for answer in asked} == {503}
            asked_until(200, server, "daily_stats")
            with mongo.paused():
                asked = [clients.submit(ask, server, f"hourly_metrics?limit={n}") for n in range(1, 13)]
                assert ask(server, "health/live").status_code == 200
                assert server.end() == 0
                for one in asked:
                    error = one.exception()
                    assert isinstance(error, httpx.HTTPError) or one.result().status_code == 503
        assert b"Traceback" not in b"".join(server.printed)
