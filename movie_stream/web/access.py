"""What every request passes first: is it meant for us, may it come in, and what browsers are told with each answer."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from movie_stream.web.http_server import REQUEST_WITHIN_S, WHOLE_UNTIL_S
from movie_stream.web.odata_answers import below_odata, error_answer
from movie_stream.web.problems import Problem, later
from movie_stream.web.requests import Request, Requests
from movie_stream.web.session import CHALLENGE, Authenticator, address_in, shown_in

API: Final = "/api/v1"
MOST_BODY_BYTES: Final = 64 << 10
MOST_PATH_BYTES: Final = 8 << 10
"""The longest address of a request, with its query."""
MOST_NEXT_PATH_BYTES: Final = 2 * MOST_PATH_BYTES
"""The same of the OData feed, whose links to next pages are the address of the first with a cursor behind it."""
_OPEN: Final = f"{API}/session"
"""The one path of the API that needs no token."""
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII)
_OURS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(address: str) -> bool:
    """Whether only this host reaches the address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


class Guarded:
    """The server's application, behind all of these checks.

    `only_hosts` are the names that it answers to besides those of this host; None: to any. A page of a stranger may
    have its own name lead here, and would then read what only this host may: where no token is needed, the name that
    the browser asked for is what tells.
    """

    def __init__(
        self, app: ASGIApp, keeper: Authenticator, only_hosts: frozenset[str] | None, requests: Requests | None = None
    ) -> None:
        self._app, self._keeper, self._only_hosts = app, keeper, only_hosts
        self._requests = requests or Requests()
        self._answering: dict[asyncio.Task[object], _Answer] = {}
        self._ending = False

    def end_streams(self) -> None:
        """Ends the answers that have begun and not ended: streams, which have no end of their own."""
        self._ending = True
        for task, answer in self._answering.items():
            if answer.is_under_way:
                task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(self._requests, scope)
        answer = _Answer(send, request, is_head=scope["method"] == "HEAD", path=scope["path"])
        task = asyncio.current_task()
        assert task is not None
        self._answering[task] = answer
        try:
            await self._answered(scope, receive, answer)
        except asyncio.CancelledError:
            if not self._ending:
                raise
            await answer.cut_off()
        finally:
            del self._answering[task]
            request.ended()

    async def _answered(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if scope["method"] == "HEAD":
            scope = answer.request.scope = {**scope, "method": "GET"}
        try:
            self._check(scope)
            if scope["method"] != "GET":  # of which nobody reads a body
                receive = _Body(receive, scope.get(WHOLE_UNTIL_S))
        except Problem as problem:
            await response_of(problem, scope["path"])(scope, receive, answer)
            return
        await self._app(scope, receive, answer)

    def _check(self, scope: Scope) -> None:
        """Raises a Problem for a request that is not let in."""
        headers, path = Headers(scope=scope), scope["path"]
        is_odata = below_odata(path)
        most = MOST_NEXT_PATH_BYTES if is_odata and b"skiptoken=" in scope["query_string"] else MOST_PATH_BYTES
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > most:
            raise Problem(414, f"expected an address of at most {most} bytes", headers=_CLOSE)
        if self._only_hosts is not None and _name_in(headers.get("host", "")) not in _OURS | self._only_hosts:
            raise Problem(421, "this server does not go by the name in Host; ask it as localhost, or set API_TOKEN")
        length = headers.get("content-length", "0")
        if not length.isdigit() or len(length) > 18 or int(length) > MOST_BODY_BYTES:
            raise _too_large()
        if len(headers.getlist("authorization")) > 1:
            # Which of them counts would be another one for us than for a proxy that has let the request in.
            raise Problem(400, "expected at most one header Authorization", headers=_CLOSE)
        needs_token = (path == API or path.startswith(f"{API}/") or is_odata) and path != _OPEN
        if self._keeper.lets_in(headers, time.time(), basic=is_odata):
            return
        if shown_in(headers, basic=is_odata) is not None:
            # Counted where no token is needed too: what these say to its holder would tell a right guess.
            problem = self._keeper.wrong_token(address_in(scope), time.monotonic(), basic=is_odata)
            if needs_token or problem.status != 401:
                raise problem
        elif needs_token:
            how = "a user name, which is any, and as the password" if is_odata else "Authorization: Bearer with"
            raise Problem(401, f"expected {how} the token of API_TOKEN", headers=CHALLENGE)


_CLOSE: Final = {"Connection": "close"}


def response_of(problem: Problem, path: str) -> Response:
    """The problem as an answer, in the form that a client at this path expects."""
    return error_answer(problem) if below_odata(path) else problem.response()


def _name_in(host: str) -> str:
    """The name in a header Host, in lower case and without the port; empty where it is none.

    >>> _name_in("LOCALHOST:8080"), _name_in("[::1]:80"), _name_in("a b")
    ('localhost', '::1', '')
    """
    match = _HOST.fullmatch(host.lower())
    return match[1].strip("[]") if match else ""


class _Answer:
    """Sends an answer with the headers that browsers obey, and without a body where only its head was asked for."""

    def __init__(self, send: Send, request: Request, *, is_head: bool, path: str) -> None:
        self._send, self.request, self._is_head, self._path = send, request, is_head, path
        self._is_private = path.startswith(API)
        self._began = self._ended = False

    async def __call__(self, message: Message) -> None:
        if self._ended:
            return
        if message["type"] == "http.response.start":
            self._began = True
            self.request.answered(message)
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
            if self._is_private:
                headers.setdefault("Cache-Control", "no-store")
            if "allow" in headers and "GET" in headers["allow"] and "HEAD" not in headers["allow"]:
                headers["allow"] = headers["allow"].replace("GET", "GET, HEAD")
            await self._send(message)
            if self._is_head:  # at once: an answer that is a stream would never end
                await self.cut_off()
            return
        self._ended = self._ended or not message.get("more_body", False)
        await self._send(message)

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun, and not ended."""
        return self._began and not self._ended

    async def cut_off(self) -> None:
        """Ends the answer with what was sent so far; one that has not begun is 503."""
        if not self._began:
            await response_of(later("the server is ending"), self._path)({"type": "http"}, _nothing, self)
        elif not self._ended:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class _Body:
    """The body of a request, which may be so large, and has to be whole by a time of the loop."""

    def __init__(self, receive: Receive, until_s: float | None) -> None:
        self._receive, self._size, self._whole = receive, 0, False
        self._until_s = asyncio.get_running_loop().time() + REQUEST_WITHIN_S if until_s is None else until_s

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until_s):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(408, f"expected a whole request within {REQUEST_WITHIN_S:g} s", headers=_CLOSE) from error
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._size > MOST_BODY_BYTES:
                raise _too_large()
        return message


def _too_large() -> Problem:
    return Problem(413, f"expected a body of at most {MOST_BODY_BYTES >> 10} kB", headers=_CLOSE)
