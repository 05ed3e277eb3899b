"""Who may come in: programs by a bearer token, the page by a signed cookie that it gets for the same token.

The cookie says nothing but until when it counts, and is signed with a key made of the token: where the token is
changed, no cookie counts any more, and a server that was started again knows the cookies of the one before.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final

import orjson
from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.web.parameters import Parameters
from movie_stream.web.problems import Problem, fault, later
from movie_stream.web.rendering import json_response

COOKIE: Final = "movie_stream_session"
LASTS_S: Final = 12 * 3_600
"""How long a session counts."""
_KEY_FOR: Final = b"movie-stream session 1"
_AT_ONCE: Final = 10
"""Wrong tokens that an address may send at once; after them one counts every REFILL_S."""
_REFILL_S: Final = 3.0
_MOST_ADDRESSES: Final = 10_000


class Doorkeeper:
    """Knows the token; without one everybody may come in."""

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token is not None else None
        self._key = self.key_for(_KEY_FOR)

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
        """A cookie that counts from now (Unix seconds) on."""
        until = f"{int(now) + LASTS_S}"
        return f"{until}.{self._signature(until)}"

    def lets_in(self, headers: Headers, now: float) -> bool:
        """Whether a request with these headers shows the token or a cookie that counts."""
        if self._token is None:
            return True
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(shown.strip())
        return any(self._counts(cookie, now) for cookie in _cookies(headers))

    def _counts(self, cookie: str, now: float) -> bool:
        until, _, signature = cookie.partition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._signature(until).encode())
        return is_ours and until.isdigit() and now < int(until)

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


def session_router(keeper: Doorkeeper) -> APIRouter:
    """The resource that the page logs in and out at; open to all."""
    router, attempts, none = APIRouter(include_in_schema=False), Attempts(), Parameters()

    @router.get("/session")
    async def state(request: Request) -> Response:
        none.read(request)
        let_in = keeper.lets_in(request.headers, time.time())
        return json_response(request, {"required": keeper.required, "authenticated": let_in})

    @router.post("/session")
    async def log_in(request: Request) -> Response:
        none.read(request)
        address, now = request.client.host if request.client else "", time.monotonic()
        wait_s = attempts.wait_s(address, now)
        if wait_s > 0:
            raise later("too many wrong tokens; try again later", after_s=int(wait_s) + 1, status=429)
        if not keeper.is_token(_token_in(await request.body())):
            attempts.failed(address, now)
            raise Problem(401, "this is not the token: expected that of API_TOKEN", headers=CHALLENGE)
        return _with_cookie(request, keeper.cookie(time.time()), LASTS_S)

    @router.delete("/session")
    async def log_out(request: Request) -> Response:
        none.read(request)
        return _with_cookie(request, "", 0)

    return router


CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="movie-stream"'}


def _with_cookie(request: Request, cookie: str, lasts_s: int) -> Response:
    response = Response(status_code=204)
    secure = request.url.scheme == "https"
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
