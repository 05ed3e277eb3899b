"""Large responses of a broker received in place, a whole one in few turns of the loop.

asyncio's StreamReader receives 256 kB at a time, appends them to a buffer that grows, has its transport pause and go on
in between, and copies the whole in the end. A thread that is busy with records has too few turns for that: the next
fetch then arrives when it is needed, not before.

This reaches into aiokafka (pinned in pyproject.toml) at one place, the protocol of its connections, and is used by
those that are made after `receive_in_place`.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any, Final, cast

from aiokafka import conn

IN_PLACE_FROM_BYTES: Final = 64 << 10
"""What is smaller is copied once more."""
IN_PLACE_UP_TO_BYTES: Final = 64 << 20
"""What is said to be larger gets memory as it comes only: a peer that speaks no Kafka says a length of gigabytes."""


class FrameReader(asyncio.StreamReader):
    """A StreamReader that has only `readexactly`, and knows what that is waiting for."""

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """To be called before anything is read."""
        self._loop = loop
        self._received = bytearray()  # and not read yet
        self._room = memoryview(b"")  # what is free of the frame that is being received
        self._at_eof = False
        self._exception: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def readexactly(self, n: int) -> bytes:
        """The next `n` bytes. Raises ValueError, IncompleteReadError, and what the transport has failed with."""
        if n < 0:
            raise ValueError(f"expected a length of 0 or more, got {n}")
        if max(IN_PLACE_FROM_BYTES, len(self._received)) < n <= IN_PLACE_UP_TO_BYTES:
            return await self._in_place(n)
        while len(self._received) < n:
            if self._at_eof:
                raise asyncio.IncompleteReadError(self._taken(len(self._received)), n)
            await self._more()
        return self._taken(n)

    async def _in_place(self, n: int) -> bytes:
        """A BytesIO can be written to, hands out the bytes it has, and takes bytes (aiokafka's next step) uncopied."""
        frame = BytesIO()
        frame.seek(n - 1)
        frame.write(b"\0")
        begun = self._taken(len(self._received))
        self._room = frame.getbuffer()
        try:
            self._room[: len(begun)] = begun
            self._room = self._room[len(begun) :]
            while self._room:
                if self._at_eof:
                    raise asyncio.IncompleteReadError(bytes(frame.getbuffer()[: n - len(self._room)]), n)
                await self._more()
        finally:
            self._room = memoryview(b"")  # no view of the frame may be left, else it is copied
        return frame.getvalue()

    def _taken(self, n: int) -> bytes:
        taken = bytes(memoryview(self._received)[:n])
        del self._received[:n]
        return taken

    async def _more(self) -> None:
        """Waits until something happens."""
        if self._exception is not None:
            raise self._exception
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._exception is not None:
            raise self._exception

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def room(self) -> memoryview:
        """Where what comes next has its place; empty where that is not known."""
        return self._room

    def received(self, count: int) -> None:
        """So many bytes have come there."""
        self._room = self._room[count:]
        if not self._room:
            self._wake()

    def feed_data(self, data: Any) -> None:
        """See asyncio.StreamReader."""
        self._received += data
        self._wake()

    def feed_eof(self) -> None:
        """See asyncio.StreamReader."""
        self._at_eof = True
        self._wake()

    def at_eof(self) -> bool:
        """See asyncio.StreamReader."""
        return self._at_eof and not self._received

    def set_exception(self, exc: Exception) -> None:
        """See asyncio.StreamReader."""
        self._exception = exc
        self._wake()

    def exception(self) -> Exception | None:
        """See asyncio.StreamReader."""
        return self._exception


class FrameProtocol(conn.AIOKafkaProtocol, asyncio.BufferedProtocol):
    """aiokafka's protocol, which has the transport write to where the bytes are to be."""

    def __init__(self, closed: asyncio.Future[None], reader: asyncio.StreamReader, *, loop: Any) -> None:
        reader.__class__ = FrameReader
        self._frames = cast(FrameReader, reader)
        self._frames.begin(loop)
        self._small = memoryview(bytearray(IN_PLACE_FROM_BYTES))
        super().__init__(closed, reader, loop=loop)

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol; never empty."""
        return self._frames.room or self._small

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        if self._frames.room:
            self._frames.received(nbytes)
        else:
            self._frames.feed_data(self._small[:nbytes])


def receive_in_place() -> None:
    """From now on, this process receives large responses so."""
    conn.AIOKafkaProtocol = FrameProtocol
