"""What became of guarded documents that were written."""

from __future__ import annotations

from dataclasses import dataclass, field

from movie_stream.mongo.guard import Rev


@dataclass(frozen=True, slots=True)
class Parked:
    """A document that MongoDB does not take as it is; it was left out and the others went on."""

    collection: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Incomparable:
    """A document whose stored `_rev` (`theirs`) is neither older nor newer than ours: an alarm, nothing was
    written.
    """

    collection: str
    id: str
    mine: Rev
    theirs: Rev


@dataclass(frozen=True, slots=True)
class Outranked:
    """A document that belongs to a newer run already; whoever still writes for the old one should end."""

    collection: str
    id: str
    run: int


@dataclass(slots=True)
class WriteReport:
    """All that was sent is in MongoDB, in this or a newer form, but for what is listed."""

    sent: int = 0
    changed: int = 0
    """How many documents are new or were replaced; the others were stored already, or newer."""
    parked: list[Parked] = field(default_factory=list)
    incomparable: list[Incomparable] = field(default_factory=list)
    outranked: list[Outranked] = field(default_factory=list)

    def add(self, other: WriteReport) -> None:
        """Takes the other's figures and lists into this one."""
        self.sent += other.sent
        self.changed += other.changed
        self.parked += other.parked
        self.incomparable += other.incomparable
        self.outranked += other.outranked
