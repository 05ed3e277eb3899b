"""A thread makes the next item meanwhile, keeps their order, and is gone afterwards, whatever ends it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from movie_stream.replay.read_ahead import read_ahead


class Items:
    """Numbers, made one by one; what was made, where, and whether the generator was closed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.made: list[int] = []
        self.threads: set[int] = set()
        self.closed = False

    def numbers(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.made.append(number)
                self.threads.add(threading.get_ident())
                yield number
        finally:
            self.closed = True


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


async def test_all_items_in_order_and_in_a_thread() -> None:
    items = Items(100)
    async with aclosing(read_ahead(items.numbers())) as coming:
        assert [number async for number in coming] == list(range(100))
    assert items.closed
    assert threading.get_ident() not in items.threads


async def test_one_item_ahead_and_no_more() -> None:
    items = Items(100)
    async with aclosing(read_ahead(items.numbers())) as coming:
        async for number in coming:
            assert items.made[number:] in ([number], [number, number + 1])


async def test_ending_early_closes_the_generator() -> None:
    items = Items(100)
    async with aclosing(read_ahead(items.numbers())) as coming:
        async for number in coming:
            if number == 5:
                break
    assert items.closed
    assert items.made == list(range(7))


async def test_cancelling_the_consumer_closes_the_generator() -> None:
    items, waiting = Items(100), asyncio.Event()

    async def consume() -> None:
        async with aclosing(read_ahead(items.numbers())) as coming:
            async for _ in coming:
                waiting.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(consume())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert items.closed


async def test_cancelling_while_an_item_is_made_waits_for_it() -> None:
    may_end, going, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()
    items = Items(1)

    def slow() -> Iterator[int]:
        for number in items.numbers():
            loop.call_soon_threadsafe(going.set)
            may_end.wait()
            yield number

    async def consume() -> list[int]:
        async with aclosing(read_ahead(slow())) as coming:
            return [number async for number in coming]

    task = asyncio.create_task(consume())
    await going.wait()
    task.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert items.closed


async def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    async with aclosing(read_ahead(failing())) as coming:
        assert await anext(coming) == 1
        with pytest.raises(ValueError, match="the second"):
            await anext(coming)
