"""A network between clients and a broker on this machine: it can be cut, fall silent, or lose chosen messages."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, Literal, Self

from movie_stream.embedded.launch import Program, free_port

PRODUCE: Final = 0
"""The key of this request in Kafka's protocol."""

Fault = Literal["lose the request", "lose the answer", "hold the request back"]


class Proxy:
    """Hands requests to `port` on to `target`, and answers back, within a `with` block, in a thread of its own."""

    def __init__(self) -> None:
        self.port, self.target = free_port(), 0
        self.happened = threading.Event()
        """Set once the fault of `break_at` has happened."""
        self._held = b""
        """The request that was held back, for `let_go`."""
        self._fault: Fault | None = None
        self._requests_until = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._open = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def before(self, tansu: Program) -> Program:
        """The broker, at whatever port it is started, with clients that are directed here."""

        def command(port: int) -> list[str]:
            self.target = port
            words = list(tansu.command(port))
            words[words.index("--advertised-listener-url") + 1] = f"tcp://127.0.0.1:{self.port}"
            return words

        return replace(tansu, command=command)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing passes, no connection is closed; what was sent meanwhile arrives afterwards, late."""
        self._loop.call_soon_threadsafe(self._open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._open.set)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """All connections are closed, and nobody answers new ones."""
        self._run(self._cut())
        try:
            yield
        finally:
            self._run(self._listen())

    def break_at(self, number: int, fault: Fault) -> None:
        """At the produce request of this number from now on, the next being 1, cuts the connection as `fault` says."""
        self._requests_until, self._fault = number, fault
        self.happened.clear()

    def let_go(self) -> None:
        """Delivers the request that was held back, and waits until the broker has dealt with it."""
        self._run(self._deliver(self._held))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self) -> None:
        await self._cut()
        await self._server.wait_closed()

    async def _deliver(self, request: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(request)
        await _frame(reader)
        writer.transport.abort()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._join(client, to_client)
        finally:
            self._tasks.discard(task)
            to_client.transport.abort()

    async def _join(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection("127.0.0.1", self.target)
        lost: set[int] = set()
        pumps = [
            asyncio.ensure_future(self._requests(client, to_broker, lost)),
            asyncio.ensure_future(self._answers(broker, to_client, lost)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_broker.transport.abort()

    async def _requests(self, client: asyncio.StreamReader, broker: asyncio.StreamWriter, lost: set[int]) -> None:
        """Hands requests on until one is to be lost; notes in `lost` by its correlation id whose answer is."""
        while frame := await _frame(client):
            fault = self._fault_of(frame)
            if fault == "lose the answer":
                lost.add(struct.unpack_from(">i", frame, 8)[0])
            elif fault is not None:
                self._held = frame
                self.happened.set()
                return
            await self._hand_on(frame, broker)

    async def _answers(self, broker: asyncio.StreamReader, client: asyncio.StreamWriter, lost: set[int]) -> None:
        while struct.unpack_from(">i", frame := await _frame(broker), 4)[0] not in lost:
            await self._hand_on(frame, client)
        self.happened.set()

    async def _hand_on(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        writer.write(frame)
        await writer.drain()

    def _fault_of(self, request: bytes) -> Fault | None:
        if struct.unpack_from(">h", request, 4)[0] != PRODUCE or self._fault is None:
            return None
        self._requests_until -= 1
        if self._requests_until:
            return None
        fault, self._fault = self._fault, None
        return fault


async def _frame(stream: asyncio.StreamReader) -> bytes:
    """A request or an answer, with the four bytes that say how long it is."""
    size = await stream.readexactly(4)
    return size + await stream.readexactly(struct.unpack(">i", size)[0])
