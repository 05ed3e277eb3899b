"""Who may come in: programs by a bearer token, the page by a signed cookie that it gets for the same token, and tools
that open the OData feed by the token as a password.

The cookie says nothing but until when it counts and which session it is, and is signed with a key made of the token:
where the token is changed, no cookie counts any more, and a server that was started again knows the cookies of the one
before. A session that was ended is remembered until its cookie would have expired, in this process alone.

Wrong tokens are counted by address, wherever they are shown. Whoever has sent too many is told to wait, but the right
token is always let in: behind a proxy all clients have one address, and one of them could shut out all others.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final

import orjson
from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from movie_stream.web.parameters import Parameters
from movie_stream.web.problems import Problem, fault, later
from movie_stream.web.rendering import json_response

COOKIE: Final = "movie_stream_session"
LASTS_S: Final = 12 * 3_600
"""How long a session counts."""
_ID_BYTES: Final = 12
_KEY_FOR: Final = b"movie-stream session 2"
_AT_ONCE: Final = 10
"""Wrong tokens that an address may send at once; after them one every REFILL_S."""
_REFILL_S: Final = 3.0
_MOST_ADDRESSES: Final = 10_000
_MOST_ENDED: Final = 10_000
"""Sessions that are remembered as ended; each was a real one, so only who has the token can make so many."""


CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="movie-stream"'}
BASIC_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="movie-stream", charset="UTF-8"'}
"""Where a name and a password will do, too: the name is any, the password the token."""


def bearer_in(headers: Headers) -> str | None:
    """What a program shows as the token; None where it shows none.

    >>> bearer_in(Headers({"Authorization": "bearer abc"})), bearer_in(Headers({"Authorization": "Basic abc"}))
    ('abc', None)
    """
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else None


def shown_in(headers: Headers, *, basic: bool) -> str | None:
    """What a client shows as the token, where it may be the password of Basic authentication too; None for nothing.

    >>> shown_in(Headers({"Authorization": "Basic YW55OmE6Yg=="}), basic=True)
    'a:b'
    """
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    if not basic or scheme.lower() != "basic":
        return bearer_in(headers)
    try:
        return b64decode(shown.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""  # which is no token


def came_by_tls(headers: Headers) -> bool:
    """Whether a proxy says that the client came to it by TLS; the first of several proxies is the one it came to.

    >>> came_by_tls(Headers({"X-Forwarded-Proto": "https, http"})), came_by_tls(Headers({}))
    (True, False)
    """
    return headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "https"


def address_in(scope: Scope) -> str:
    """The address that the request comes from: that of the connection, not what a header says."""
    client = scope.get("client")
    return client[0] if client else ""


class Authenticator:
    """Knows the token; without one everybody may come in."""

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token is not None else None
        self._key = self.key_for(_KEY_FOR)
        self._attempts = Attempts()
        self._ended: OrderedDict[str, int] = OrderedDict()
        self.refused = {"wrong": 0, "too many": 0}
        """Wrong tokens, and attempts after too many of them, since the start of the server."""

    @property
    def required(self) -> bool:
        """Whether a token has to be shown."""
        return self._token is not None

    def is_token(self, shown: str) -> bool:
        """Whether this is the token; takes as long whatever is shown."""
        if self._token is None:
            return True
        given = shown.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(self._token).digest())

    def key_for(self, purpose: bytes) -> bytes:
        """A key made of the token, another one for each purpose; empty where there is no token."""
        return b"" if self._token is None else hmac.digest(self._token, purpose, hashlib.sha256)

    def cookie(self, now: float) -> str:
        """The cookie of a new session, which counts from now (Unix seconds) on."""
        session = f"{int(now) + LASTS_S}.{secrets.token_urlsafe(_ID_BYTES)}"
        return f"{session}.{self._signature(session)}"

    def lets_in(self, headers: Headers, now: float, *, basic: bool = False) -> bool:
        """Whether a request with these headers shows the token (as the password of Basic authentication where that
        counts, too) or a cookie that counts.
        """
        if self._token is None:
            return True
        shown = shown_in(headers, basic=basic)
        if shown is not None:
            return self.is_token(shown)
        return any(self._expiry(cookie, now) is not None for cookie in _cookies(headers))

    def end_sessions(self, headers: Headers, now: float) -> None:
        """The cookies of a request with these headers count no more."""
        for cookie in _cookies(headers):
            expiry = self._expiry(cookie, now)
            if expiry is not None:
                self._ended[cookie] = expiry
        while self._ended and (next(iter(self._ended.values())) <= now or len(self._ended) > _MOST_ENDED):
            self._ended.popitem(last=False)

    def wrong_token(self, address: str, now_s: float, *, basic: bool = False) -> Problem:
        """Counts a wrong token that came from the address at that time (monotonic); what to answer, to those who were
        asked for a name and a password in their words.
        """
        wait_s = self._attempts.wait_s(address, now_s)
        self.refused["too many" if wait_s > 0 else "wrong"] += 1
        if wait_s > 0:
            return later("too many wrong tokens; try again later", after_s=int(wait_s) + 1, status=429)
        self._attempts.failed(address, now_s)
        what = "the password: expected the token of API_TOKEN" if basic else "the token: expected that of API_TOKEN"
        return Problem(401, f"this is not {what}", headers=CHALLENGE)

    def _expiry(self, cookie: str, now: float) -> int | None:
        """Until when the cookie counts (Unix seconds); None where it does not."""
        session, _, signature = cookie.rpartition(".")
        until = session.partition(".")[0]
        is_ours = hmac.compare_digest(signature.encode(), self._signature(session).encode())
        if not is_ours or cookie in self._ended or not until.isdigit() or now >= int(until):
            return None
        return int(until)

    def _signature(self, text: str) -> str:
        return urlsafe_b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).decode().rstrip("=")


@dataclass
class Attempts:
    """How many wrong tokens an address may still send: a few at once, and one more every few seconds."""

    left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait_s(self, address: str, now: float) -> float:
        """How long the address has to wait before its next attempt; 0 where it need not."""
        left = self._left(address, now)
        return 0.0 if left >= 1 else (1 - left) * _REFILL_S

    def failed(self, address: str, now: float) -> None:
        """The address has sent a wrong token."""
        left = self._left(address, now)
        self.left[address] = max(left - 1, 0.0), now
        self.left.move_to_end(address)
        if len(self.left) > _MOST_ADDRESSES:
            self.left.popitem(last=False)

    def _left(self, address: str, now: float) -> float:
        left, since = self.left.get(address, (float(_AT_ONCE), now))
        return min(left + max(now - since, 0.0) / _REFILL_S, float(_AT_ONCE))


def session_router(keeper: Authenticator) -> APIRouter:
    """The resource that the page logs in and out at; open to all."""
    router, none = APIRouter(include_in_schema=False), Parameters()

    @router.get("/session")
    async def state(request: Request) -> Response:
        none.read(request)
        let_in = keeper.lets_in(request.headers, time.time())
        return json_response(request, {"required": keeper.required, "authenticated": let_in})

    @router.post("/session")
    async def log_in(request: Request) -> Response:
        none.read(request)
        if not keeper.is_token(_token_in(await request.body())):
            raise keeper.wrong_token(address_in(request.scope), time.monotonic())
        return _with_cookie(request, keeper.cookie(time.time()), LASTS_S)

    @router.delete("/session")
    async def log_out(request: Request) -> Response:
        none.read(request)
        keeper.end_sessions(request.headers, time.time())
        return _with_cookie(request, "", 0)

    return router


def _with_cookie(request: Request, cookie: str, lasts_s: int) -> Response:
    response = Response(status_code=204)
    # A proxy with TLS says so; whoever lies only gets a cookie that is sent less often.
    secure = request.url.scheme == "https" or came_by_tls(request.headers)
    response.set_cookie(COOKIE, cookie, max_age=lasts_s, secure=secure, httponly=True, samesite="strict")
    return response


def _token_in(body: bytes) -> str:
    expected = Problem(422, 'expected a JSON object {"token": "..."}', [fault("token", "the text of API_TOKEN")])
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise expected from error
    token = given.get("token") if isinstance(given, dict) else None
    if not isinstance(token, str):
        raise expected
    return token


def _cookies(headers: Headers) -> list[str]:
    """What is called as our cookie; browsers send all that an origin's ports have set."""
    found = []
    for header in headers.getlist("cookie"):
        for part in header.split(";"):
            try:
                jar = SimpleCookie(part.strip())
            except CookieError:
                continue
            found += [morsel.value for name, morsel in jar.items() if name == COOKIE]
    return found
