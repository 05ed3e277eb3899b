"""A small HTTP server that takes webhooks, or does not, in every way there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Behaviour = Literal["takes", "fails", "busy", "redirects", "never answers", "hangs up", "nonsense", "drips"]
_ANSWERS: dict[Behaviour, bytes] = {
    "takes": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "fails": b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops",
    "busy": b"HTTP/1.1 429 Later\r\nRetry-After: 120\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "redirects": b"HTTP/1.1 307 There\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "nonsense": b"\xff\xfe no HTTP at all\r\n\r\n",
    "hangs up": b"",
}


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)


@dataclass
class WebhookReceiver:
    """The requests received, and the answers to the next ones."""

    url: str = ""
    behaviour: Behaviour = "takes"
    next: list[Behaviour] = field(default_factory=list)
    """Of the next requests, one after the other; then `behaviour`."""
    received: list[Received] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    _hanging: set[asyncio.Task[None]] = field(default_factory=set)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection with one request."""
        task = asyncio.current_task()
        assert task is not None
        self._hanging.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.received.append(Received(head[0].split()[1], headers, body))
            self.came.set()
            behaviour = self.next.pop(0) if self.next else self.behaviour
            if behaviour == "never answers":
                await asyncio.Event().wait()
            if behaviour == "drips":
                writer.write(b"HTTP/1.1 200 OK\r\n")
                while True:
                    writer.write(b"X: 1\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            writer.write(_ANSWERS[behaviour])
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked has gone, which is what is tested
        finally:
            self._hanging.discard(task)
            writer.close()

    async def end(self) -> None:
        """Hangs up on whoever waits still."""
        hanging = list(self._hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[WebhookReceiver]:
    """A receiver at a port, for as long as the block runs."""
    receiver = WebhookReceiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", port)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()
        await receiver.end()
        await server.wait_closed()
