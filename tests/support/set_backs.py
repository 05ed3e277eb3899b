"""Backups put back in the world of schedules.py: of MongoDB, under workers that run, or of Kafka, between workers.

Each is of a moment of the storm. Whoever runs on, or starts after it, refuses, as runs/set_back.py and the mark of a
flush do; or else the documents must be right in the end.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from movie_stream.mongo.guard import GuardedDocument
from tests.support.schedules import PLACES, Process, World, Wrong

What = Literal["mongo", "kafka"]
BACKUPS: Final = 0.1
"""Of the turns of the storm, before which a backup is made."""
AFTERWARDS: Final = 25
"""Views that come once Kafka was put back, at offsets of others."""
REFUSALS: Final = ("no longer says", "and nothing was set back")
"""What is said by a worker that finds a mark gone, and of one that refuses to start: here something was."""


@dataclass(frozen=True, slots=True)
class Backup:
    """Of everything, of one moment."""

    documents: Mapping[tuple[str, str], GuardedDocument]
    logs: Mapping[tuple[str, int], tuple[int, int]]
    """Where partitions begin and end."""
    letters: frozenset[tuple[int, int, str]]
    copies: Mapping[tuple[int, int], int]


class SetBack(World):
    """A world of which a part is put back."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._backups: list[Backup] = []
        self._choice = random.Random(seed)

    def _let_go_on(self, alive: list[Process], awake: list[Process]) -> None:
        if self._choice.random() < BACKUPS:
            self._backups.append(
                Backup(
                    dict(self.mongo.acknowledged),
                    {place: (log.start, log.end) for place, log in self._logs.items()},
                    frozenset(self.letters),
                    dict(self.copies),
                )
            )
        super()._let_go_on(alive, awake)

    def check_set_back(self, what: What) -> str | None:
        """Whether it was "refused" or "right"; None where no backup is older in what matters. Raises Wrong."""
        with self._running():
            alive = self.storm()
            self.mongo.fail_over()
            return self._mongo_set_back(alive) if what == "mongo" else self._kafka_set_back(alive)

    def _mongo_set_back(self, alive: list[Process]) -> str | None:
        older = [backup for backup in self._backups if self.refusal(backup.documents)]
        if not older:
            return None
        self.mongo.put_back(self._choice.choice(older[-8:]).documents)
        self.draining = True
        try:
            for process in alive:
                for _ in range(2_000):
                    if not process.step():
                        break
        except Wrong as wrong:
            if any(words in str(wrong) for words in REFUSALS):
                return "refused"
            raise
        return self._go_on()

    def _kafka_set_back(self, alive: list[Process]) -> str | None:
        for process in alive:
            process.kill()
        self.limbo.clear()
        for log in self._logs.values():
            log.in_flight.clear()
        backup = self._choice.choice(self._backups[-8:])
        ends = {place: end for place, (_, end) in backup.logs.items()}
        if all(log.end == ends.get(place) for place, log in self._logs.items()):
            return None
        for place, log in self._logs.items():
            log.put_back(*backup.logs.get(place, (0, 0)))
        self.letters, self.copies = set(backup.letters), dict(backup.copies)
        for _ in range(AFTERWARDS):
            self.produce()
        self.draining = True
        return self._go_on()

    def _go_on(self) -> str:
        if self.refusal(self.mongo.acknowledged):
            return "refused"
        for place in PLACES:
            self.finish(*place)
        self.mongo.fail_over()
        self.compare()
        return "right"


def wrong_in(seed: int) -> str | None:
    """What goes wrong where MongoDB is set back under the workers of a schedule."""
    try:
        SetBack(seed).check_set_back("mongo")
    except Wrong as wrong:
        return str(wrong)
    return None
