"""A wire to a broker that loses what it is told to: a proxy between a producer and the broker, faults as data."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack, suppress
from typing import Final, Literal, Self

PRODUCE: Final = 0
"""The key of this request in Kafka's protocol."""
GONE: Final = (ConnectionError, asyncio.IncompleteReadError)

Fault = Literal["lose the request", "lose the answer", "hold the request back"]


class BrokenWire:
    """Listens at `port` and passes on to `target`, both of 127.0.0.1; runs within an `async with`.

    At the produce request that `break_at` names it does what that says, and cuts this connection; then it is whole.
    """

    def __init__(self) -> None:
        self.port = 0
        self.target = 0
        self.happened = asyncio.Event()
        self.held: bytes = b""
        """The request that was held back, for `let_go`."""
        self._fault: Fault | None = None
        self._requests_until = 0
        self._stack = AsyncExitStack()
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}

    async def __aenter__(self) -> Self:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._stack.push_async_callback(self._stop, server)
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def break_at(self, number: int, fault: Fault) -> None:
        """Breaks at the produce request of this number from now on, the next being 1."""
        self._requests_until, self._fault = number, fault
        self.happened.clear()

    async def let_go(self) -> None:
        """Delivers the request that was held back, and waits until the broker has dealt with it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(self.held)
        await _frame(reader)
        writer.close()
        await writer.wait_closed()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        while self._connections:
            for writers in self._connections.values():
                for writer in writers:
                    writer.close()
            await asyncio.wait(self._connections, timeout=1)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        broker, to_broker = await asyncio.open_connection("127.0.0.1", self.target)
        self._connections[task] = (to_client, to_broker)
        unanswered: list[int] = []
        pumps = [
            asyncio.create_task(self._requests(client, to_broker, unanswered)),
            asyncio.create_task(self._answers(broker, to_client, unanswered)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in (to_client, to_broker):
                writer.close()
                with suppress(*GONE):
                    await writer.wait_closed()
            del self._connections[task]

    async def _requests(
        self, client: asyncio.StreamReader, broker: asyncio.StreamWriter, unanswered: list[int]
    ) -> None:
        with suppress(*GONE):
            while frame := await _frame(client):
                fault = self._fault_of(frame)
                if fault == "lose the answer":
                    unanswered.append(struct.unpack_from(">i", frame, 8)[0])
                elif fault is not None:
                    self.held = frame
                    self.happened.set()
                    return
                broker.write(frame)
                await broker.drain()

    async def _answers(self, broker: asyncio.StreamReader, client: asyncio.StreamWriter, unanswered: list[int]) -> None:
        with suppress(*GONE):
            while frame := await _frame(broker):
                if struct.unpack_from(">i", frame, 4)[0] in unanswered:
                    self.happened.set()
                    return
                client.write(frame)
                await client.drain()

    def _fault_of(self, frame: bytes) -> Fault | None:
        if struct.unpack_from(">h", frame, 4)[0] != PRODUCE or self._fault is None:
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
