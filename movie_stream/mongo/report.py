"""The outcome of writes of guarded documents."""

from __future__ import annotations

from dataclasses import dataclass, field

from movie_stream.mongo.guard import Rev


@dataclass(frozen=True, slots=True)
class Parked:
    """A document that MongoDB rejects; it was skipped, and the others were written."""

    collection: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Incomparable:
    """A document whose stored `_rev` (`theirs`) is neither older nor newer than ours: it was not written, and has to be
    investigated.
    """

    collection: str
    id: str
    mine: Rev
    theirs: Rev


@dataclass(frozen=True, slots=True)
class Outranked:
    """A document that belongs to a newer run already: the writer is fenced, and should end."""

    collection: str
    id: str
    run: int


@dataclass(slots=True)
class WriteReport:
    """The outcome of a write: all documents sent are stored, in this or a newer version, except those listed."""

    sent: int = 0
    changed: int = 0
    """The number of documents inserted or replaced; the others were stored already, or a newer version."""
    parked: list[Parked] = field(default_factory=list)
    incomparable: list[Incomparable] = field(default_factory=list)
    outranked: list[Outranked] = field(default_factory=list)

    def add(self, other: WriteReport) -> None:
        """Adds the figures and lists of another report to this one."""
        self.sent += other.sent
        self.changed += other.changed
        self.parked += other.parked
        self.incomparable += other.incomparable
        self.outranked += other.outranked
