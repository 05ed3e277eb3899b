"""What every request passes, without a socket."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from movie_stream.web import access, session
from movie_stream.web.access import MOST_BODY_BYTES, MOST_PATH_BYTES, SECURITY, Guarded, is_loopback
from movie_stream.web.problems import Problem
from movie_stream.web.session import COOKIE, Authenticator, session_router

TOKEN = "a-token-of-our-own"
PATIENCE_S = 60.0


def guarded(token: str | None = None, only_hosts: frozenset[str] | None = frozenset()) -> Guarded:
    app = FastAPI(openapi_url=None)

    async def problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    app.add_exception_handler(Problem, problem)
    keeper = Authenticator(token)
    app.include_router(session_router(keeper), prefix="/api/v1")

    @app.get("/api/v1/thing")
    async def thing() -> Response:
        return Response(b"body", headers={"ETag": '"a"'})

    @app.get("/")
    async def page() -> Response:
        return Response(b"page")

    return Guarded(app, keeper, only_hosts)


def client(app: Guarded, **how: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8080", **how)


async def test_every_answer_says_what_browsers_must_not_do() -> None:
    async with client(guarded(TOKEN)) as asked:
        for path in ("/", "/api/v1/thing", "/api/v1/session", "/nothing"):
            headers = (await asked.get(path)).headers
            assert {name: headers[name] for name in SECURITY} == SECURITY
            assert "access-control-allow-origin" not in headers
            assert "unsafe" not in headers["content-security-policy"]


async def test_head_is_get_without_a_body() -> None:
    async with client(guarded()) as asked:
        got, head = await asked.get("/api/v1/thing"), await asked.head("/api/v1/thing")
        assert (head.status_code, head.content, got.content) == (200, b"", b"body")
        assert head.headers == got.headers
        assert (await asked.post("/api/v1/thing")).headers["allow"] == "GET, HEAD"


async def test_without_a_token_the_name_of_the_host_tells() -> None:
    async with client(guarded(only_hosts=frozenset({"films.local"}))) as asked:
        for host in ("localhost", "LocalHost:1", "127.0.0.1:8080", "[::1]:80", "films.local"):
            assert (await asked.get("/api/v1/thing", headers={"host": host})).status_code == 200
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b", "localhost:x"):
            answer = await asked.get("/", headers={"host": host})
            assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
    async with client(guarded(TOKEN, only_hosts=None)) as asked:
        assert (await asked.get("/", headers={"host": "films.example"})).status_code == 200


async def test_the_page_is_open_and_the_api_is_not() -> None:
    async with client(guarded(TOKEN)) as asked:
        assert (await asked.get("/")).status_code == 200
        assert (await asked.get("/api/v1/session")).json() == {"required": True, "authenticated": False}
        for path in ("/api/v1/thing", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/session/"):
            refused = await asked.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (await asked.get("/api/v1/thing", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/thing", "/odata/daily_stats", "/"])
@pytest.mark.parametrize("token", [TOKEN, None])
async def test_two_authorizations_are_refused_whatever_they_say(path: str, token: str | None) -> None:
    right, wrong = ("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer guess")
    async with client(guarded(token)) as asked:
        for both in ([right, wrong], [wrong, right], [right, right], [right, ("authorization", "")]):
            refused = await asked.get(path, headers=both)
            assert (refused.status_code, "one header Authorization" in refused.text) == (400, True)


async def test_the_page_logs_in_and_out() -> None:
    async with client(guarded(TOKEN)) as asked:
        wrong = await asked.post("/api/v1/session", json={"token": "wrong-token"})
        assert (wrong.status_code, wrong.headers.get("set-cookie")) == (401, None)
        done = await asked.post("/api/v1/session", json={"token": TOKEN})
        assert done.status_code == 204
        said = done.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in said.split(";")}
        assert "Secure" not in said
        assert (await asked.get("/api/v1/session")).json() == {"required": True, "authenticated": True}
        assert (await asked.get("/api/v1/thing")).status_code == 200
        kept = asked.cookies[COOKIE]
        assert (await asked.delete("/api/v1/session")).status_code == 204
        assert COOKIE not in asked.cookies
        assert (await asked.get("/api/v1/thing")).status_code == 401
        copied = await asked.get("/api/v1/thing", headers={"cookie": f"{COOKIE}={kept}"})
        assert copied.status_code == 401, "a copy of the cookie has ended too"
    async with client(guarded(TOKEN)) as asked:
        proxied = {"x-forwarded-proto": "https, http"}
        behind = await asked.post("/api/v1/session", json={"token": TOKEN}, headers=proxied)
        assert "Secure" in behind.headers["set-cookie"]
    async with client(guarded(TOKEN), headers={"x": "y"}) as asked:
        secure = await asked.post("https://localhost/api/v1/session", json={"token": TOKEN})
        assert "Secure" in secure.headers["set-cookie"]


@pytest.fixture
def _slow_to_forgive(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, no wrong token is forgiven."""
    monkeypatch.setattr(session, "_REFILL_S", 1e9)


@pytest.mark.usefixtures("_slow_to_forgive")
@pytest.mark.parametrize("path", ["/api/v1/thing", "/api/v1/session", "/"])
async def test_wrong_tokens_are_counted_wherever_they_are_shown(path: str) -> None:
    async with client(guarded(TOKEN)) as asked:
        wrong = [await asked.get(path, headers={"authorization": f"Bearer guess-{n}"}) for n in range(12)]
        assert {answer.status_code for answer in wrong[:10]} == {401 if path == "/api/v1/thing" else 200}
        assert wrong[-1].status_code == 429
        assert int(wrong[-1].headers["retry-after"]) >= 1
        assert (await asked.post("/api/v1/session", json={"token": "guess"})).status_code == 429
        assert (await asked.get("/api/v1/thing")).status_code == 401, "who shows none guesses nothing"


@pytest.mark.usefixtures("_slow_to_forgive")
async def test_the_right_token_is_let_in_where_others_have_guessed() -> None:
    async with client(guarded(TOKEN)) as asked:
        statuses = [(await asked.post("/api/v1/session", json={"token": f"guess-{n}"})).status_code for n in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert (await asked.get("/api/v1/thing", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200
        assert (await asked.post("/api/v1/session", json={"token": TOKEN})).status_code == 204
        assert (await asked.get("/api/v1/thing")).status_code == 200


@pytest.mark.usefixtures("_slow_to_forgive")
async def test_wrong_tokens_are_counted_when_they_have_come() -> None:
    """Not before their bodies have, which many requests could hold back together."""
    app, come, waiting = guarded(TOKEN), asyncio.Event(), asyncio.Semaphore(0)

    async def held_back() -> AsyncGenerator[bytes, None]:
        waiting.release()
        await come.wait()
        yield b'{"token": "guess"}'

    async def guess() -> int:
        scope = {"type": "http", "method": "POST", "path": "/api/v1/session", "query_string": b"", "headers": []}
        body, status = held_back(), []

        async def receive() -> Any:
            return {"type": "http.request", "body": await anext(body), "more_body": False}

        async def send(message: Any) -> None:
            status.append(message.get("status"))

        await app({**scope, "headers": [(b"host", b"localhost")], "client": ("::1", 1)}, receive, send)
        await body.aclose()
        return int(status[0])

    guesses = [asyncio.create_task(guess()) for _ in range(60)]
    for _ in guesses:
        await waiting.acquire()
    come.set()
    assert Counter(await asyncio.gather(*guesses)) == {401: 10, 429: 50}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"{}", b'{"token": 1}', b'{"token": null}', b"\xff"])
async def test_a_login_that_is_none_is_422(body: bytes) -> None:
    async with client(guarded(TOKEN)) as asked:
        assert (await asked.post("/api/v1/session", content=body)).status_code == 422


async def test_bodies_and_addresses_have_bounds() -> None:
    async with client(guarded(TOKEN)) as asked:
        large = b"x" * (MOST_BODY_BYTES + 1)
        assert (await asked.post("/api/v1/session", content=large)).status_code == 413

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(MOST_BODY_BYTES // 1_000 + 2):
                yield b"x" * 1_000

        assert (await asked.post("/api/v1/session", content=pieces())).status_code == 413
        assert (await asked.get("/", headers={"content-length": "-1"})).status_code == 413
        assert (await asked.get("/?a=" + "x" * MOST_PATH_BYTES)).status_code == 414


async def test_a_body_that_trickles_is_waited_for_no_longer_than_one_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "REQUEST_WITHIN_S", 0.2)

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x"

    async with client(guarded(TOKEN)) as asked, asyncio.timeout(PATIENCE_S):
        assert (await asked.post("/api/v1/session", content=pieces())).status_code == 408


async def test_streams_end_with_the_server() -> None:
    began, sent = asyncio.Event(), []

    async def forever() -> AsyncIterator[bytes]:
        yield b": beat\n\n"
        began.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(forever(), media_type="text/event-stream")(scope, receive, send)

    app = Guarded(stream, Authenticator(None), None)
    scope = {"type": "http", "method": "GET", "path": "/api/v1/changes", "query_string": b"", "headers": []}
    task = asyncio.create_task(app(scope, receive, send))
    await began.wait()
    app.end_streams()
    await task
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    head = {**scope, "method": "HEAD"}
    sent.clear()
    began.clear()
    task = asyncio.create_task(app(head, receive, send))
    await began.wait()
    assert [message.get("body") for message in sent] == [None, b""], "the head of a stream is sent without its body"
    task.cancel()
    await task


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        *(("127.0.0.1", True), ("127.1.2.3", True), ("::1", True)),
        *(("0.0.0.0", False), ("::", False), ("192.168.1.1", False), ("fe80::1%eth0", False), ("", False)),
    ],
)
def test_only_this_host(address: str, loopback: bool) -> None:
    assert is_loopback(address) == loopback
