"""What health says of MongoDB, the broker and the workers, and that asking costs little."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from movie_stream.web import health
from movie_stream.web.asking import Asker
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.health import HealthCheck
from movie_stream.web.pulse import Pulse
from movie_stream.web.rollup import Rollup
from tests.support.web.asking import asking, got


async def test_health_of_a_working_deployment(api: httpx.AsyncClient, filled: Settings) -> None:
    assert await got(api, "health/live") == {"status": "ok"}
    ready = await got(api, "health/ready")
    assert ready["status"] == "ok"
    assert {name: check["status"] for name, check in ready["checks"].items()} == {
        "mongodb": "ok",
        "broker": "ok",
        "workers": "warn",
        "lag": "unknown",
        "newest_result": "warn",
    }
    nowhere = filled.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    async with asking(nowhere) as client:
        answer = await client.get("health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "failing")
        assert answer.json()["checks"]["broker"]["status"] == "fail"
        assert "127.0.0.1:1" in answer.json()["checks"]["broker"]["detail"]


def health_of(asker: Asker, settings: Settings) -> HealthCheck:
    return HealthCheck(Dashboard(settings, asker, Rollup(asker), Pulse(asker)))


async def test_concurrent_health_requests_share_one_check(filled: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = HealthCheck._look

    async def counted(self: HealthCheck) -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return await look(self)

    monkeypatch.setattr(HealthCheck, "_look", counted)
    monkeypatch.setattr(health, "_KEPT_S", 3_600.0)
    async with asking(filled) as client:
        paths = ["health/ready", "http://localhost/health/ready"] * 20
        answers = await asyncio.gather(*(client.get(path) for path in paths))
    assert {answer.status_code for answer in answers} == {200}
    assert looks == 1


async def test_a_queue_that_is_full_is_no_failure_of_mongodb(filled: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are queries that are slow: all places of the asker are taken, and it is not waited for one."""
    monkeypatch.setattr(health, "_MONGODB_WITHIN_S", 2.0)
    async with opened(filled) as db:
        asker = Asker(db)
        async with AsyncExitStack() as stack:
            for _ in range(8):
                await stack.enter_async_context(asker.asking("a slow one"))
            checks = await health_of(asker, filled).checks()
            assert checks["mongodb"] == {"status": "ok", "detail": None}
            assert {checks[name]["status"] for name in ("workers", "lag", "newest_result")} == {"unknown"}
            assert "takes longer" in checks["lag"]["detail"]
        await asker.end()
