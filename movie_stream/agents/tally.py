"""Counts of what a worker has done, and their line in its log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one agent, or of all agents of a worker, since it was started."""

    events: int = 0
    """Records read of `movie-events`, refused or not."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Refused records, by kind ("bad", "late") and kind of the reason, of which there are a few dozen."""
    copies: Counter[str] = field(default_factory=Counter)
    """Copies of refused records: those that count ("counted"), and those whose original counts already ("again")."""
    documents: int = 0
    """Documents inserted or replaced."""
    parked: int = 0
    """Documents that a validator refused."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.events + other.events,
            self.refused + other.refused,
            self.copies + other.copies,
            self.documents + other.documents,
            self.parked + other.parked,
        )

    def since(self, before: Tally, seconds: float) -> str:
        """One line with the counts, and the rates since `before`, `seconds` ago.

        >>> now = Tally(1_250_000, Counter({("bad", "no JSON"): 3, ("late", "late"): 1}), documents=2_100)
        >>> now.since(Tally(1_000_000, documents=2_000), seconds=5)
        'read 1,250,000 events (50,000/s): 1,249,996 counted, 3 bad, 1 late; 20 documents/s'
        """
        events, documents = (self.events - before.events) / seconds, (self.documents - before.documents) / seconds
        return f"read {self.events:,} events ({events:,.0f}/s): {self._verdicts}; {documents:,.0f} documents/s"

    def __str__(self) -> str:
        return f"read {self.events:,} events: {self._verdicts}; wrote {self.documents:,} documents"

    @property
    def counted(self) -> int:
        """Views that count: records that were neither refused nor copies of views that are counted already."""
        return self.events - self.refused.total() - self.copies["again"]

    @property
    def refused_by_reason(self) -> Counter[str]:
        """The number of refused records, by kind of the reason."""
        by_reason = Counter[str]()
        for (_, reason), count in self.refused.items():
            by_reason[reason] += count
        return by_reason

    @property
    def _verdicts(self) -> str:
        by_kind = Counter[str]()
        for (kind, _), count in self.refused.items():
            by_kind[kind] += count
        bad, late, again = by_kind["bad"], by_kind["late"], self.copies["again"]
        copies = f", {again:,} copies of what counts already" if again else ""
        return f"{self.counted:,} counted, {bad:,} bad, {late:,} late{copies}"
