"""`/changes`: what changes in the results, as server-sent events.

A reader that does not read is cut off: what it has not taken lies in buffers of a fixed size, and what comes after that
is only counted, see coalesced.py.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from movie_stream.mongo.written import json_of
from movie_stream.web.coalesced import LONGEST_ID, Event
from movie_stream.web.feed import Feed, TooManyReaders
from movie_stream.web.http_server import TRANSPORT
from movie_stream.web.openapi import operation
from movie_stream.web.parameters import Parameter, Parameters
from movie_stream.web.problems import later

logger = logging.getLogger(__name__)

BEAT_EVERY_S: Final = 5.0
"""How often a beat is sent, by which a reader knows that the connection has not died."""
WRITTEN_WITHIN_S: Final = 10.0
"""How long a reader may leave full what is kept for it."""
COME_BACK_MS: Final = 1_000
"""How long a browser waits before it connects again."""
_BUFFER_BYTES: Final = 16 << 10
"""What is kept for a reader, in this process and once more in the system."""
_ACKNOWLEDGED_WITHIN_MS: Final = 30_000
_MEDIA_TYPE: Final = "text/event-stream"
_BEAT: Final = b"event: beat\ndata: {}\n\n"


def _yes_or_no(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


_PARAMETERS: Final = Parameters(
    (
        Parameter(
            "last_event_id",
            "the id of an event",
            "As the header Last-Event-ID, which wins: what has changed since that event is told first.",
            {"type": "string", "maxLength": LONGEST_ID},
            longest=LONGEST_ID,
        ),
        Parameter(
            "detail",
            "0 or 1",
            "1: which documents have changed too, where MongoDB has change streams.",
            {"type": "string", "enum": ["0", "1"], "default": "0"},
            _yes_or_no,
        ),
    )
)
_DESCRIPTION: Final = (
    "Server-sent events. `status` tells where changes come from and whether MongoDB answers; `change`, how often which "
    "collections have changed since the event before, at most four times a second; `reset`, that this is not known, so "
    "that everything has to be asked for again. These have an id to come back with; `beat` comes every five seconds."
)


def changes_router(feed: Feed, lets_in: Callable[[Request], bool]) -> APIRouter:
    """The stream of changes, which ends once `lets_in` would not let its request in any more."""
    router = APIRouter()
    content = {_MEDIA_TYPE: {"schema": {"type": "string"}}}
    described = operation("What changes, as it happens", _PARAMETERS, None, "results", content)
    del described["responses"][304], described["responses"][200]["headers"]

    @router.api_route("/changes", description=_DESCRIPTION, **described)
    async def changes(request: Request) -> Response:
        return changes_response(feed, request, lambda: lets_in(request))

    return router


def changes_response(feed: Feed, request: Request, may_read: Callable[[], bool]) -> StreamingResponse:
    """The stream. Raises a Problem: 422 for a parameter that is wrong, 503 where there are too many readers."""
    given = _PARAMETERS.read(request)
    last_event_id = request.headers.get("last-event-id") or given["last_event_id"]
    if feed.is_full:
        raise later(str(TooManyReaders()), after_s=10)
    return _Stream(_events(feed, last_event_id, may_read, detail=bool(given["detail"])))


async def _events(
    feed: Feed, last_event_id: str | None, may_read: Callable[[], bool], *, detail: bool
) -> AsyncIterator[bytes]:
    yield f"retry: {COME_BACK_MS}\n\n".encode()
    try:
        async with feed.subscribe(last_event_id, detail) as reader:
            beat_at_s = monotonic() + BEAT_EVERY_S
            while True:
                event = await reader.next(max(beat_at_s - monotonic(), 0.0))
                if event is not None:
                    yield written(event)
                if monotonic() >= beat_at_s:  # among many events too
                    if not may_read():
                        return
                    yield _BEAT
                    beat_at_s = monotonic() + BEAT_EVERY_S
    except (StopAsyncIteration, TooManyReaders):
        return


def written(event: Event) -> bytes:
    r"""An event as it is sent.

    >>> written(Event("change", {"collections": {"top_users": 1}}, "f.1"))
    b'id: f.1\nevent: change\ndata: {"collections":{"top_users":1}}\n\n'
    """
    name = f"id: {event.id}\nevent: {event.name}" if event.id is not None else f"event: {event.name}"
    return b"%b\ndata: %b\n\n" % (name.encode(), json_of(event.data))


class _Stream(StreamingResponse):
    """A stream that drops a reader which does not read."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.headers["Content-Type"] = _MEDIA_TYPE  # the charset is always UTF-8
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope.get(TRANSPORT)
        if transport is not None:
            _keep_little(transport)

        async def send_in_time(message: Any) -> None:
            try:
                async with asyncio.timeout(WRITTEN_WITHIN_S):
                    await send(message)
            except TimeoutError:
                logger.info("a reader of the changes has not read for %g s, and is cut off", WRITTEN_WITHIN_S)
                if transport is not None:
                    transport.abort()
                    await send(message)  # which returns once the connection is gone
                raise _CutOffError from None

        try:
            await super().__call__(scope, receive, send_in_time)
        except _CutOffError:
            return
        finally:
            await self._events.aclose()  # type: ignore[attr-defined]


class _CutOffError(Exception):
    """The reader has not read for WRITTEN_WITHIN_S; nothing more is sent to it."""


def _keep_little(transport: Any) -> None:
    """Bounds what is kept of what was sent and not read, so that it shows soon."""
    transport.set_write_buffer_limits(high=_BUFFER_BYTES)
    connected = transport.get_extra_info("socket")
    if connected is not None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        if sys.platform == "linux":  # a host that was switched off would be waited for a quarter of an hour
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _ACKNOWLEDGED_WITHIN_MS)
