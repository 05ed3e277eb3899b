"""`movie-stream doctor --bi`: requests the feed as a BI tool does, and gives the remedy for each fault."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from movie_stream.commands.doctor.feed import check_feed
from movie_stream.commands.doctor.feed_client import client_for
from movie_stream.embedded.launch import free_port
from movie_stream.errors import UsageError
from movie_stream.settings import Settings
from tests.services.commands.test_doctor import states
from tests.support.in_process import said_in_process
from tests.support.web.asking import VIEWS
from tests.support.web.serving import fill, serving
from tests.support.whole_path import command

TOKEN = "a-token-for-bi-tools"


async def test_a_feed_before_and_after_views_were_counted(settings: Settings) -> None:
    with serving(settings, API_TOKEN=TOKEN) as server:
        port = server.address.rpartition(":")[2]
        empty = command(settings, "doctor", "--bi", API_TOKEN=TOKEN, API_PORT=port)
        assert empty.returncode == 0, empty.stdout
        found = states(empty.stdout)
        assert (found["token"], found["pages"], found["filter by time"]) == ("ok", "warn", "warn")
        await fill(settings, VIEWS[:300])
        done = command(settings, "doctor", "--bi", API_TOKEN=TOKEN, API_PORT=port)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        found = states(done.stdout)
        assert set(found.values()) == {"ok"}
        checks = ["address", "token", "service document", "$metadata", "pages", "filter by time", "time taken"]
        assert list(found) == [*checks, "All is fine."] or list(found) == checks
        for token, words in ((None, "asks for a token"), ("another-token-than-that", "does not take the token")):
            more = {} if token is None else {"API_TOKEN": token}
            done = command(settings, "doctor", "--bi", "--json", "--url", f"{server.address}/odata", **more)
            assert done.returncode == 1
            [failed] = [check for check in json.loads(done.stdout)["checks"] if check["state"] == "fail"]
            assert failed["check"] == "token"
            assert words in failed["what"]
            assert "API_TOKEN" in failed["remedy"]
        elsewhere = command(settings, "doctor", "--bi", "--url", f"{server.address}/api/v1", API_TOKEN=TOKEN)
        assert elsewhere.returncode == 1
        assert "--url" in elsewhere.stdout


def test_nobody_there(settings: Settings) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = said_in_process("doctor", "--bi", "--url", nowhere, cwd=None, **settings.environment(), COLUMNS="80")
    assert (done.returncode, done.stderr) == (1, "")
    assert states(done.stdout)["address"] == "fail"
    assert "movie-stream serve" in done.stdout
    assert "1 check: 1 failed" in done.stdout


def test_tls_is_asked_of_a_server_that_has_none(settings: Settings) -> None:
    with answering(200, {}, b"") as address:
        [failed] = asyncio.run(check_feed(settings, address.replace("http:", "https:")))
    assert (failed.check, failed.state) == ("address", "fail")
    assert "does not speak TLS" in failed.what
    assert "--url http://" in failed.remedy


def test_the_token_is_no_part_of_the_address(settings: Settings) -> None:
    with pytest.raises(UsageError, match="without a user and a password"):
        client_for(settings, "http://any@bi/odata/")


def test_what_answers_and_is_no_feed_has_said_nothing_about_a_token(settings: Settings) -> None:
    with answering(200, {}, b"<html>hello</html>") as address:
        found = asyncio.run(check_feed(settings, address))
    assert [(row.check, row.state) for row in found] == [("address", "ok"), ("service document", "fail")]


@pytest.mark.parametrize("url", ["example.com", "ftp://bi/odata", "http://u:secret@bi/", "http://bi:x/", "http://b c"])
def test_an_address_that_is_none(settings: Settings, url: str) -> None:
    with pytest.raises(UsageError, match="--url") as raised:
        client_for(settings, url)
    assert "secret" not in str(raised.value)


def test_an_address_without_the_feed_is_refused(settings: Settings) -> None:
    done = said_in_process("doctor", "--url", "http://localhost/", cwd=None, **settings.environment())
    assert done.returncode == 2
    assert "--bi" in done.stderr


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (200, {}, b"<html>hello</html>", "no JSON of OData"),
        (200, {}, b"[1]", "no JSON of OData"),
        (200, {}, b'{"hello": 1}', "no service document"),
        (200, {}, b'{"@odata.context": "http://inside:8080/odata/$metadata", "value": []}', "X-Forwarded-Proto"),
        (302, {"Location": "https://elsewhere/"}, b"", "leads on to https://elsewhere/"),
        (500, {}, b"", "answers 500"),
        (503, {}, b'{"error": {"message": "MongoDB is away"}}', "MongoDB is away"),
        (401, {"WWW-Authenticate": "Bearer"}, b"", "WWW-Authenticate"),
    ],
)
def test_strange_answers(settings: Settings, status: int, headers: Mapping[str, str], body: bytes, words: str) -> None:
    with answering(status, headers, body) as address:
        guarded = settings.model_copy(update={"api_token": SecretStr(TOKEN)})
        failed = asyncio.run(check_feed(guarded, address))[-1]
    assert failed.state == "fail"
    assert words in f"{failed.what} {failed.remedy}"
    assert failed.remedy


@contextmanager
def answering(status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """The address of a server that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
