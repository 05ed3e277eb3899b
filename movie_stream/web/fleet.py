"""The workers as their heartbeats have them, whatever version they are of: what one does not say is None."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from movie_stream.mongo.workers import EXPIRES_AFTER, SILENT_AFTER, WORKERS
from movie_stream.web.asking import Asker

_MOST: Final = 1_000
_FIELDS: Final = (
    *("host", "pid", "version", "state", "started", "seen", "last_flush"),
    *("events", "delay_ms", "refused", "partitions"),
)
_OF_PARTITION: Final = ("topic", "partition", "position", "lag", "watermark")
_SILENT_MS: Final = SILENT_AFTER.total_seconds() * 1_000


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it was last heard of."""

    id: str
    said: Mapping[str, Any]

    @property
    def silent(self) -> bool:
        """Whether it should have been heard of since."""
        age_ms = self.said.get("age_ms")
        return age_ms is None or abs(age_ms) > _SILENT_MS

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """What it owns, each with all fields."""
        held = self.said.get("partitions")
        those = [one for one in held if isinstance(one, Mapping)] if isinstance(held, list) else []
        return [{name: one.get(name) for name in _OF_PARTITION} for one in those]

    @property
    def lag(self) -> int | None:
        """Records that wait for it; None where it does not say of any partition."""
        known = [one["lag"] for one in self.partitions if one["lag"] is not None]
        return sum(known) if known else None

    @property
    def refused(self) -> Counter[str]:
        """The records that it has refused since it was started, by reason."""
        refused = self.said.get("refused")
        return Counter(refused) if isinstance(refused, Mapping) else Counter()

    def row(self) -> dict[str, Any]:
        """It, as it is shown."""
        said = {name: self.said.get(name) for name in _FIELDS if name not in ("refused", "partitions")}
        return {"id": self.id, **said, "silent": self.silent, "lag": self.lag, "partitions": self.partitions}


async def workers(asker: Asker) -> list[Worker]:
    """Those that were heard of within the last minute, the longest running first. Raises what Asker raises."""
    return await asker.once("workers", lambda: _asked(asker))


async def _asked(asker: Asker) -> list[Worker]:
    since = {"$subtract": ["$$NOW", int(EXPIRES_AFTER.total_seconds()) * 1_000]}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"$expr": {"$gte": ["$seen", since]}}},
        {"$set": {"age_ms": {"$subtract": ["$$NOW", "$seen"]}}},
        {"$sort": {"started": 1, "_id": 1}},
    ]
    return [Worker(str(found["_id"]), found) for found in await asker.aggregate(WORKERS, pipeline, _MOST)]


def refused_by_all(fleet: Iterable[Worker]) -> Counter[str]:
    """What all of them have refused, by reason."""
    total: Counter[str] = Counter()
    for worker in fleet:
        total += worker.refused
    return total
