"""Makes items in a thread, one ahead of their consumer: the next chunk of views while the last one is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")

_END: Final = object()


async def read_ahead(items: Iterator[Item]) -> AsyncGenerator[Item]:
    """Yields the items, while a thread makes the next one, and lets other tasks run after each.

    At the end, also when its consumer is cancelled, the thread has finished its item, and a generator is closed. Use it
    in an `aclosing`.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        try:
            coming = loop.run_in_executor(thread, next, items, _END)
            while (item := await coming) is not _END:
                coming = loop.run_in_executor(thread, next, items, _END)
                yield item  # type: ignore[misc]
        finally:
            if isinstance(items, Generator):
                thread.submit(items.close).result()
