"""A database with three days of results, as a finished stream would have left them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from movie_stream.commands.export.command import Choice, export
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.support.reference import HOUR_MS, Documents, expected, views
from tests.support.stored import store

Db = Database[dict[str, Any]]
T = 1_730_385_000_000
"""2024-10-31T14:30:00Z"""
ODD = '=1+1, "quoted"\nand more'
EVENTS: tuple[dict[str, Any], ...] = tuple(
    {
        "timestamp": T + n * HOUR_MS // 4 - 30 * HOUR_MS,
        "genre": ("Drama", "Sci-Fi", "Film 'Noir'")[n % 3],
        "title": (ODD, "Amélie 🎬", "Heat")[n % 3],
        "movie_id": f"m{n % 7}",
        "user_id": f"u{n % 11}",
        "rating": (None, 3.5, 5)[n % 3],
        "duration": n % 90,
        "price": n / 4,
    }
    for n in range(200)
)


async def _filled(settings: Settings, documents: Documents) -> None:
    async with opened(settings) as db:
        await ensure(db)
        await store(db, documents)


@pytest.fixture
def filled(settings: Settings) -> Settings:
    asyncio.run(_filled(settings, expected([views(*EVENTS)]).documents))
    return settings


@pytest.fixture
def db(filled: Settings) -> Iterator[Db]:
    client: MongoClient[dict[str, Any]]
    with MongoClient(filled.require_mongodb(), tz_aware=True) as client:
        yield client[filled.mongodb_database]


def run(settings: Settings, *what: str, to: object, **options: Any) -> None:
    named = options.pop("named", None)
    assert export(settings, what, to=str(to), named=named, choice=Choice(**options)) == 0


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
