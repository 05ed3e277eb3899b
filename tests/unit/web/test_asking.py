"""How MongoDB is asked: once for all who ask the same, by one at a time while it is away."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from pymongo.errors import ExecutionTimeout, OperationFailure, ServerSelectionTimeoutError

from movie_stream.errors import MongoUnreachable, MovieStreamError
from movie_stream.mongo.client import Database
from movie_stream.mongo.read import Page, QueryTooSlow
from movie_stream.web import asking
from movie_stream.web.asking import Asker
from movie_stream.web.problems import Problem, problem_of
from tests.support.whole_path import PATIENCE_S


class Servers:
    """What an error names."""

    class client:  # noqa: N801  (as the driver calls it)
        class topology_description:  # noqa: N801
            @staticmethod
            def server_descriptions() -> list[tuple[str, int]]:
                return [("db", 27017)]


@pytest.fixture
def asker() -> Asker:
    return Asker(cast(Database, Servers()))


async def fail(asker: Asker, error: Exception, hold: asyncio.Event | None = None) -> None:
    async with asker.asking("daily_stats"):
        if hold is not None:
            await hold.wait()
        raise error


async def succeed(asker: Asker) -> None:
    async with asker.asking("daily_stats"):
        pass


async def test_many_who_ask_the_same_are_one_query(asker: Asker) -> None:
    asked: list[int] = []
    answer = asyncio.Event()

    async def ask() -> int:
        asked.append(1)
        await answer.wait()
        return 7

    waiting = [asyncio.create_task(asker.once("key", ask)) for _ in range(50)]
    await asyncio.sleep(0)
    answer.set()
    assert await asyncio.gather(*waiting) == [7] * 50
    assert len(asked) == 1
    await asker.once("other", ask)
    assert len(asked) == 2


async def test_who_asks_after_a_change_is_not_given_what_was_before(asker: Asker) -> None:
    async def before() -> str:
        return "before"

    async def after() -> str:
        return "after"

    assert await asker.once("key", before) == "before"
    asker.invalidate()
    assert await asker.once("key", after) == "after"


async def test_an_answer_is_old_after_a_while(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_AGAIN_WITHIN_S", -1.0)
    answers = iter(range(3))

    async def ask() -> int:
        return next(answers)

    assert [await asker.once("key", ask) for _ in range(3)] == [0, 1, 2]


async def test_one_who_leaves_takes_nobodys_answer_along(asker: Asker) -> None:
    answer = asyncio.Event()

    async def ask() -> int:
        await answer.wait()
        return 7

    first, second = (asyncio.create_task(asker.once("key", ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    answer.set()
    assert await second == 7


async def test_an_error_is_told_to_all_and_not_kept(asker: Asker) -> None:
    errors: list[Any] = [QueryTooSlow(collection="daily_stats"), None]

    async def ask() -> int:
        if (error := errors.pop(0)) is not None:
            raise error
        return 7

    told = await asyncio.gather(*(asker.once("key", ask) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [QueryTooSlow] * 3
    assert await asker.once("key", ask) == 7


async def test_while_mongodb_is_away_one_tries_and_the_others_are_told_at_once(asker: Asker) -> None:
    with pytest.raises(MongoUnreachable):
        await fail(asker, ServerSelectionTimeoutError("db:27017: refused"))
    hold = asyncio.Event()
    trying = asyncio.create_task(fail(asker, ServerSelectionTimeoutError("db:27017: refused"), hold))
    await asyncio.sleep(0)
    for _ in range(3):
        with pytest.raises(MongoUnreachable, match="db:27017"):
            await succeed(asker)
    hold.set()
    with pytest.raises(MongoUnreachable):
        await trying
    await succeed(asker)
    await asyncio.gather(succeed(asker), succeed(asker))


async def test_what_the_driver_raises_has_an_answer(asker: Asker) -> None:
    errors: list[Exception] = [
        *(ServerSelectionTimeoutError("db"), ExecutionTimeout("slow", 50), OperationFailure("no", 13)),
        OperationFailure("odd", 2),
    ]
    for error in errors:
        with pytest.raises(MovieStreamError) as caught:
            await fail(asker, error)
        problem = problem_of(caught.value)
        assert problem.status == 503
        assert int(problem.headers["Retry-After"]) >= 1
        await succeed(asker)


async def test_more_than_may_wait_are_sent_away(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_WAITING", 3)
    hold = asyncio.Event()

    async def ask() -> None:
        async with asker.asking("daily_stats"):
            await hold.wait()

    at_work = [asyncio.create_task(ask()) for _ in range(asking._AT_ONCE + 3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Problem) as caught:
        await ask()
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    hold.set()
    await asyncio.gather(*at_work)
    await succeed(asker)


async def test_what_is_asked_ends_with_the_server(asker: Asker) -> None:
    async def ask() -> None:
        await asyncio.Event().wait()

    waiting = asyncio.create_task(asker.once("key", ask))
    await asyncio.sleep(0)
    await asker.end()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def gone(asker: Asker) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while asker._answers:  # noqa: ASYNC110  (it is told to nobody)
            await asyncio.sleep(0)


async def test_what_was_answered_is_dropped_without_anybody_asking_again(asker: Asker) -> None:
    async def ask() -> list[int]:
        return [7]

    for key in range(20):
        await asker.once(key, ask)
    await gone(asker)
    assert await asker.once(0, ask) == [7]
    await asker.end()


async def test_answers_are_bounded_by_their_rows(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_AGAIN_WITHIN_S", PATIENCE_S)
    monkeypatch.setattr(asking, "_MOST_ROWS", 100)
    monkeypatch.setattr(asking, "_MOST_ANSWERS", 30)

    async def is_asked(key: object, documents: int, entries: int = 0) -> bool:
        """Whether this answer is asked for, or was kept."""
        asked = False

        async def page() -> Page:
            nonlocal asked
            asked = True
            return Page([{"_id": f"{n}", "films": [{}] * entries} for n in range(documents)], None)

        await asker.once(key, page)
        return asked

    assert all([await is_asked(key, 2, 9) for key in range(9)])  # of 20 rows each
    assert not any([await is_asked(key, 2, 9) for key in range(4, 9)])
    assert await is_asked(3, 2, 9), "the oldest go first"
    assert not await is_asked(8, 2, 9)
    assert all([await is_asked("large", 11, 9) for _ in range(2)]), "what is larger than all room is not kept"
    asker.invalidate()
    assert all([await is_asked(key, 0) for key in range(100)])
    assert not any([await is_asked(key, 0) for key in range(70, 100)])
    assert await is_asked(69, 0)
    asker.invalidate()
    assert await is_asked(99, 0)


async def test_what_is_not_to_be_kept_is_shared_only_while_it_is_asked(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_AGAIN_WITHIN_S", PATIENCE_S)
    answers = iter(range(9))

    async def ask() -> int:
        await asyncio.sleep(0)
        return next(answers)

    both = await asyncio.gather(*(asker.once("page", ask, keep=False) for _ in range(2)))
    assert both == [0, 0]
    assert await asker.once("page", ask, keep=False) == 1


async def test_what_was_asked_before_a_change_is_not_kept_when_it_comes(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_AGAIN_WITHIN_S", PATIENCE_S)
    answer = asyncio.Event()

    async def late() -> str:
        await answer.wait()
        return "before"

    async def now() -> str:
        return "after"

    waiting = asyncio.create_task(asker.once("key", late))
    await asyncio.sleep(0)
    asker.invalidate()
    assert await asker.once("key", now) == "after"
    answer.set()
    assert await waiting == "before"
    assert await asker.once("key", now) == "after"
    await asker.end()
