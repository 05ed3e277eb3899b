"""Large responses of a broker received in place, in few iterations of the event loop.

asyncio's StreamReader receives 256 kB at a time, appends them to a growing buffer, pauses and resumes its transport in
between, and copies the whole in the end. A thread that is busy with records has too few iterations for that: the next
fetch would arrive only when it is needed, not before.

This reaches into aiokafka (pinned in pyproject.toml) at one point, the protocol of its connections, and is used by
connections that are opened after `receive_in_place`.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any, Final, cast

from aiokafka import conn

IN_PLACE_FROM_BYTES: Final = 64 << 10
"""Smaller responses are copied once more."""
IN_PLACE_UP_TO_BYTES: Final = 64 << 20
"""For larger lengths memory is allocated only as bytes arrive: a peer of another protocol may send one of gigabytes."""


class FrameReader(asyncio.StreamReader):
    """A StreamReader that has only `readexactly`, and exposes the memory which that waits to be filled."""

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Initializes the reader; to be called before anything is read."""
        self._loop = loop
        self._received = bytearray()  # and not read yet
        self._room = memoryview(b"")  # the part of the present frame that is still to be received
        self._at_eof = False
        self._exception: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def readexactly(self, n: int) -> bytes:
        """The next `n` bytes. Raises ValueError, IncompleteReadError, and the error that the transport failed with."""
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
        """Receives into a BytesIO: it is writable, and returns its bytes uncopied, which aiokafka's next BytesIO takes
        uncopied, too.
        """
        frame = BytesIO()
        frame.seek(n - 1)
        frame.write(b"\0")
        start = self._taken(len(self._received))
        self._room = frame.getbuffer()
        try:
            self._room[: len(start)] = start
            self._room = self._room[len(start) :]
            while self._room:
                if self._at_eof:
                    raise asyncio.IncompleteReadError(bytes(frame.getbuffer()[: n - len(self._room)]), n)
                await self._more()
        finally:
            self._room = memoryview(b"")  # no memoryview of the frame may be left, else it is copied
        return frame.getvalue()

    def _taken(self, n: int) -> bytes:
        taken = bytes(memoryview(self._received)[:n])
        del self._received[:n]
        return taken

    async def _more(self) -> None:
        """Waits until bytes, the end or an error arrive."""
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
        """The memory for the next bytes; empty if no frame is being received in place."""
        return self._room

    def received(self, count: int) -> None:
        """Notes that `count` bytes were written to `room`."""
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
    """aiokafka's protocol, which lets the transport write into the frame."""

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
    """Makes connections of this process that are opened from now on receive large responses in place."""
    conn.AIOKafkaProtocol = FrameProtocol
