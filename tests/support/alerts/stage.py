"""Views that make alerts, the rules for them, and what is in the collection held against the reference."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from movie_stream.alerts.rule_file import parsed
from movie_stream.alerts.rules import EACH, Climbing, Rule
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.settings import Settings
from tests.support.alerts import reference

HOUR_MS = 3_600_000
START_MS = 1_730_332_800_000
"""2024-10-31, a Thursday."""
GENRES = ("Drama", "Sci-Fi", "Film Noir")
RULES = """\
[[rule]]
name = "busy"
kind = "views"
genre = "each"
window = "15 min"
above = 6
for = 2

[[rule]]
name = "few dramas"
kind = "views"
genre = "drama"
window = "1 h"
below = 12
severity = "info"
wait = "5 min"

[[rule]]
name = "unusual"
kind = "views"
window = "1 h"
above_usual = 1.5
weeks = 2
min_weeks = 1
spread = 0
at_least = 3

[[rule]]
name = "worse"
kind = "rating_falling"
genre = "each"
window = "1 h"
by = 0.3
over = 6
at_least = 5

[[rule]]
name = "trend"
kind = "climbing"
times = 2
over = 3
at_least = 6
severity = "info"

[[rule]]
name = "silent"
kind = "silence"
window = "5 min"
for = 2
severity = "critical"
"""


@dataclass(frozen=True)
class View:
    """A view of the test's own."""

    at_ms: int
    genre: str
    film: str
    user: str
    rating: float

    @property
    def record(self) -> tuple[bytes, bytes]:
        """Key and value."""
        value = {
            "movie_id": self.film,
            "title": f"The {self.film}",
            "genre": self.genre,
            "user_id": self.user,
            "timestamp": self.at_ms,
            "rating": self.rating,
        }
        return self.user.encode(), orjson.dumps(value)


def views(rng: random.Random, hours: int, an_hour: int, start_ms: int = START_MS) -> list[View]:
    """Views by time: some hours have many, some none at all."""
    made = []
    for hour in range(hours):
        busy = rng.choice([0.0, 0.5, 1.0, 1.0, 1.0, 3.0])
        mood = rng.choice([0.0, 0.0, 1.0])
        for _ in range(int(an_hour * busy)):
            at = start_ms + hour * HOUR_MS + rng.randrange(HOUR_MS)
            rating = rng.choice([3.0, 3.5, 4.0, 4.5, 5.0]) - mood
            film, user = f"film{rng.randrange(6)}", f"user{rng.randrange(200)}"
            made.append(View(at, rng.choice(GENRES), film, user, rating))
    return sorted(made, key=lambda view: view.at_ms)


def send(settings: Settings, sent: Iterable[View], partitions: int, pause_every: int = 0) -> None:
    """Writes them in their order, each into its user's partition."""
    asyncio.run(_send(settings, list(sent), partitions, pause_every))


async def _send(settings: Settings, sent: list[View], partitions: int, pause_every: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.require_broker(), linger_ms=5)
    await producer.start()
    try:
        for number, view in enumerate(sent, 1):
            key, value = view.record
            partition = int(partitions_of([key], partitions)[0])
            await producer.send(settings.kafka_topic, value, key=key, partition=partition)
            if pause_every and number % pause_every == 0:
                await producer.flush()
                await asyncio.sleep(0.05)
        await producer.flush()
    finally:
        await producer.stop()


def expected(counted: list[View], text: str = RULES) -> list[tuple[Any, ...]]:
    """The alerts that the reference finds, once all partitions are at rest."""
    newest = max(view.at_ms for view in counted)
    complete = newest - newest % 60_000
    found: list[tuple[Any, ...]] = []
    for rule in parsed(text, "alerts.toml", {}).rules:
        waited = complete - rule.wait_ms
        until = waited - waited % rule.window_ms
        first = min(view.at_ms for view in counted)
        first -= first % rule.window_ms
        figures = _figures(rule, counted)
        if isinstance(rule.condition, Climbing):
            found += [(rule.name, *alert) for alert in _climbing(rule, rule.condition, figures, first, until)]
            continue
        if rule.subject == EACH:
            figures = {of: rows for of, rows in figures.items() if min(rows) < until}
        found += [(rule.name, *alert) for alert in reference.alerts(rule, figures, first, until)]
    return sorted(found)


def _figures(rule: Rule, counted: list[View]) -> reference.Figures:
    figures: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(Counter))  # type: ignore[arg-type]
    for view in counted:
        slug = view.genre.lower()
        subject = view.film if rule.source == "films" else slug if rule.subject in (EACH, slug) else "all"
        if rule.source == "views" and rule.subject not in (EACH, "all", slug):
            continue
        row = figures[subject][view.at_ms - view.at_ms % rule.window_ms]
        row["views"] += 1.0
        row["rated"] += 1.0
        row["rating_sum"] += view.rating
    return {subject: {at: dict(row) for at, row in rows.items()} for subject, rows in figures.items()}


def _climbing(
    rule: Rule, condition: Climbing, figures: reference.Figures, first: int, until: int
) -> Iterator[tuple[Any, ...]]:
    """Six films fit into any list, so that all their views are known."""
    for film, rows in figures.items():
        holds = []
        for at in range(first + condition.over * HOUR_MS, until, HOUR_MS):
            past = [rows.get(of, {}).get("views", 0.0) for of in range(at - condition.over * HOUR_MS, at, HOUR_MS)]
            count, threshold = rows.get(at, {}).get("views", 0.0), condition.times * median(past)
            if count >= condition.at_least and count > threshold:
                holds.append((at, count, threshold))
        yield from reference.runs(film, holds, HOUR_MS, rule.in_a_row, until, less=False)


def stored(db: Any) -> list[tuple[Any, ...]]:
    """The alerts of the collection that are not withdrawn, as the reference has them."""
    found = []
    for alert in db["alerts"].find({"state": {"$ne": "withdrawn"}}):
        start, end, at = alert["start"], alert["end"], alert["value_at"]
        assert alert["open"] == (end is None) == (alert["state"] == "open")
        times = (timestamp_ms_of(start), None if end is None else timestamp_ms_of(end))
        peak = (timestamp_ms_of(at), alert["value"], alert["threshold"])
        found.append((alert["rule"], alert["subject"], *times, alert["windows"], *peak))
        assert alert["_id"] == f"{alert['rule']}|{alert['subject']}|{start:%Y-%m-%dT%H:%M:%SZ}"
    return sorted(found)


def difference(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """What is there and should not be, and the other way round."""
    rounded = [tuple(round(v, 5) if isinstance(v, float) else v for v in row) for row in found]
    want = [tuple(round(v, 5) if isinstance(v, float) else v for v in row) for row in wanted]
    left = {
        "too much": [row for row in rounded if row not in want],
        "missing": [row for row in want if row not in rounded],
        "double": [row for row, count in Counter(rounded).items() if count > 1],
    }
    return {name: rows for name, rows in left.items() if rows}
