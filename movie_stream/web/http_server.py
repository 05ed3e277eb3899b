"""The HTTP server below the application: its socket, its limits, and how it ends.

What uvicorn leaves open is closed here: a client that sends half a request is dropped, requests that are no HTTP are
answered as every error is, and a signal ends the server with exit code 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Generator
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from movie_stream.errors import OutOfDescriptors, SettingsError
from movie_stream.web.problems import Problem, later

logger = logging.getLogger(__name__)

REQUEST_WITHIN_S: Final = 10.0
"""How long a client may take to send a request, its head and its body together."""
TRANSPORT: Final = "movie_stream.transport"
"""What a request's scope calls the connection that its answer is sent on."""
WHOLE_UNTIL_S: Final = "movie_stream.whole_until_s"
"""What it calls the time of the loop by which the whole request has to be here."""
_KEEP_ALIVE_S: Final = 15
_MOST_HEADER_BYTES: Final = 32 << 10
_ANSWERS_END_WITHIN_S: Final = 2
_BACKLOG: Final = 2_048
_DESCRIPTORS: Final = 8_192
"""Files and connections that are asked for at the start."""
_OTHER_DESCRIPTORS: Final = 128
"""Those that are no client's: of MongoDB, of the broker, of files."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Protocol(H11Protocol):
    """A connection that has to send a whole request within some seconds."""

    most_connections = _DESCRIPTORS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        self.whole_until_s = self._new_deadline_s()
        if len(self.connections) > self.most_connections:
            self._refuse(later("too many connections at once"))
        else:
            self._expect_request()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():  # it was answered already, and what still comes is of no interest
            return
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self.whole_until_s = self._new_deadline_s()
        super().data_received(data)
        if self.transport.is_closing():
            self._expect_nothing()
        elif self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE:
            self._expect_request()
        else:
            self._expect_nothing()

    def on_response_complete(self) -> None:
        self.whole_until_s = self._new_deadline_s()  # of a request that may have come already
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no request: 431 where its head is too large, else 400."""
        error = sys.exc_info()[1]
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(Problem(431, f"expected a request line and headers of at most {_MOST_HEADER_BYTES >> 10} kB"))
        else:
            self._refuse(Problem(400, f"expected a request by HTTP/1.1: {error or msg}"))

    def _expect_request(self) -> None:
        """Starts the clock, unless it runs: what comes byte by byte does not start it again."""
        if self._deadline is None:
            self.whole_until_s = self._new_deadline_s()
            self._deadline = self.loop.call_at(self.whole_until_s, self._too_late)

    def _new_deadline_s(self) -> float:
        return self.loop.time() + REQUEST_WITHIN_S

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(Problem(408, f"expected a whole request within {REQUEST_WITHIN_S:g} s"))

    def _refuse(self, problem: Problem) -> None:
        """Answers without a request, and closes the connection."""
        response = problem.response()
        headers = [*response.raw_headers, (b"connection", b"close")]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (
                h11.Response(status_code=problem.status, headers=headers),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Reached:
    """The application, whose requests know their connection, and by when they have to be whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        protocol = transport.get_protocol() if transport is not None else None
        more = {WHOLE_UNTIL_S: protocol.whole_until_s} if isinstance(protocol, Protocol) else {}
        await self._app({**scope, TRANSPORT: transport, **more}, receive, send)


class Server(uvicorn.Server):
    """A server whose signals are its own: the first one ends it in order, and that is no failure."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.end)
        loop.set_exception_handler(in_one_line)  # to the end of the loop, since some comes after that of the server
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def end(self) -> None:
        """Ends it: at once what has no end of its own, and the rest within two seconds."""
        self.should_exit = True
        self._end_streams()


def in_one_line(loop: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
    """Connections that cannot be accepted for want of descriptors wait, and need no traceback; the rest is a bug.

    asyncio listens again a second later, which fails where the server has ended meanwhile.
    """
    error = what.get("exception")
    if isinstance(error, ValueError) and "_start_serving" in what.get("message", ""):
        logger.debug("has ended before it could listen again: %s", error)
    elif isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        logger.warning("no connection is accepted for a second: %s", OutOfDescriptors(limit=_descriptors()))
    else:
        loop.default_exception_handler(what)


def config_of(app: Any) -> uvicorn.Config:
    """How uvicorn runs the application."""
    Protocol.most_connections = _raise_descriptors() - _OTHER_DESCRIPTORS
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # any client of this host could name another address with each guess of the token
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_ANSWERS_END_WITHIN_S,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        backlog=_BACKLOG,
    )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there soon; raises SettingsError, in which the remedy stands, where that cannot be."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(variable="API_HOST", expected="an address of this host", got=host) from error
    made = socket.socket(family, kind, number)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)  # here, where another server shows that took the port meanwhile
    except OSError as error:
        made.close()
        raise _worded(host, port, error) from error
    return made


def _worded(host: str, port: int, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRNOTAVAIL:
        return SettingsError(variable="API_HOST", expected="an address of this host", got=host)
    remedy = "another program listens there; take another port, or 0 for a free one"
    if error.errno == errno.EACCES:
        remedy = "this user may not open it; take one from 1024"
    elif error.errno != errno.EADDRINUSE:
        remedy = error.strerror or str(error)
    return SettingsError(variable="API_PORT", expected="a port that is free", got=str(port), remedy=remedy)


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _raise_descriptors() -> int:
    """Allows this process more files and connections, as many as it may have; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):  # macOS has a limit of its own (kern.maxfilesperproc), which the hard one hides
            return soft
        return most
    return _DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, _DESCRIPTORS)
