"""What is known of changes, and what each reader is told of them: numbers, never a list that could grow.

How often each collection has changed stands once, in a Ledger, for all readers. A reader is a position in it, which its
ids name too: what came between two positions is their difference, however much that was.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

At = tuple[str, str]
"""A document: its collection and `_id`."""
AT_MOST_EVERY_S: Final = 0.25
"""A reader gets no two changes within so many seconds."""
DOCUMENTS_AT_MOST: Final = 200
"""Documents that one event names."""
_REMEMBERED: Final = 1_000
"""Documents that changed last."""
LONGEST_ID: Final = 1_000
"""Of an event, in characters."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a reader is told."""

    name: Literal["change", "reset", "status"]
    data: Mapping[str, Any]
    id: str | None
    """Where the reader stands after it: whoever comes back with it is told what has changed since. None before it is
    known where it stands.
    """


@dataclass(frozen=True, slots=True)
class Status:
    """Where changes come from, and whether that can be seen at the moment."""

    source: Literal["change stream", "polling"] | None
    """None before it was found out."""
    mongodb: Literal["up", "down"] | None
    """None before it was found out."""


class Position(NamedTuple):
    """Up to where a reader has been told."""

    epoch: str
    totals: tuple[int, ...]


class Ledger:
    """How often each collection has changed, in an order that stays, and which documents were the last ones."""

    def __init__(self, collections: Sequence[str]) -> None:
        self.collections = tuple(collections)
        self._number = {name: at for at, name in enumerate(self.collections)}
        self._totals = [0] * len(self.collections)
        self._last = OrderedDict[At, int]()
        self._epoch = secrets.token_hex(4)
        self.stream_time: Any = None
        """Up to where views are counted."""
        self.names_documents = False
        """Whether its source knows which documents change."""

    @property
    def here(self) -> Position:
        """Where it stands now."""
        return Position(self._epoch, tuple(self._totals))

    def add(self, writes: Mapping[str, int], documents: Iterable[At] = ()) -> None:
        """So often these collections have changed, last of all in these documents."""
        for name, count in writes.items():
            self._totals[self._number[name]] += count
        now = sum(self._totals)
        for at in documents:
            self._last[at] = now
            self._last.move_to_end(at)
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)

    def forget(self) -> None:
        """More may have changed than is known: no position of before says anything any more."""
        self._epoch = secrets.token_hex(4)
        self._last.clear()

    def id_of(self, position: Position) -> str:
        """The position as text.

        >>> ledger = Ledger(["a", "b"])
        >>> ledger.add({"b": 3})
        >>> ledger.id_of(ledger.here).partition(".")[2]
        '0.3'
        """
        return ".".join([position.epoch, *map(str, position.totals)])

    def position_of(self, event_id: str) -> Position | None:
        """The position that the id names; None where it says nothing of what is known now."""
        epoch, *numbers = event_id[:LONGEST_ID].split(".")
        if epoch != self._epoch or len(numbers) != len(self._totals):
            return None
        if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in numbers):
            return None
        position = Position(epoch, tuple(map(int, numbers)))
        return position if self.knows(position) else None

    def knows(self, position: Position) -> bool:
        """Whether it can tell what has changed since the position."""
        return position.epoch == self._epoch and all(
            then <= now for then, now in zip(position.totals, self._totals, strict=True)
        )

    def since(self, position: Position) -> dict[str, int]:
        """How often which collections have changed since; those that have not are left out."""
        counts = (now - then for then, now in zip(position.totals, self._totals, strict=True))
        return {name: count for name, count in zip(self.collections, counts, strict=True) if count}

    def documents_since(self, position: Position) -> list[At]:
        """The documents that changed last since then, the last one first."""
        then, found = sum(position.totals), list[At]()
        for at, when in reversed(self._last.items()):
            if when <= then or len(found) == DOCUMENTS_AT_MOST:
                break
            found.append(at)
        return found


@dataclass
class Reading:
    """One reader's position, and what it is told next."""

    last_event_id: str | None = None
    """What it says it was told last."""
    detail: bool = False
    """Whether it wants to know which documents have changed."""
    _position: Position | None = field(default=None, init=False)
    _told: Status | None = field(default=None, init=False)
    _next_s: float = field(default=0.0, init=False)

    def due(self, ledger: Ledger, status: Status, now_s: float) -> Event | float | None:
        """The next event; or how many seconds that has to wait; or None until something changes.

        The first event is the status. Whoever asks for the results after it misses nothing.
        """
        if status.mongodb is None:
            return None
        if self._position is None and self.last_event_id is None and status.mongodb == "up":
            self._position = ledger.here
        if status != self._told:
            self._told = status
            return self._event(ledger, "status", {"source": status.source, "mongodb": status.mongodb})
        if status.mongodb == "down":
            return None
        first = self._position is None
        if self._position is None:
            self._position = ledger.position_of(self.last_event_id or "")
        lost = self._position is None or not ledger.knows(self._position)
        changed = {} if self._position is None or lost else ledger.since(self._position)
        if not (first or lost or changed):
            return None
        if not first and now_s < self._next_s:
            return self._next_s - now_s
        if lost:
            return self._told_of(ledger, "reset", {}, now_s)
        return self._told_of(ledger, "change", {"collections": changed}, now_s)

    def _told_of(self, ledger: Ledger, name: Literal["change", "reset"], data: dict[str, Any], now_s: float) -> Event:
        data["stream_time"] = ledger.stream_time
        if self.detail and name == "change":
            assert self._position is not None
            changed = ledger.documents_since(self._position) if ledger.names_documents else None
            data["documents"] = changed and [{"collection": collection, "_id": key} for collection, key in changed]
        self._position, self._next_s = ledger.here, now_s + AT_MOST_EVERY_S
        return self._event(ledger, name, data)

    def _event(self, ledger: Ledger, name: Literal["change", "reset", "status"], data: dict[str, Any]) -> Event:
        return Event(name, data, None if self._position is None else ledger.id_of(self._position))
