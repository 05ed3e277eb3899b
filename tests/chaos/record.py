"""What the fault suite found, kept in `.chaos/`, and as the table of docs/explanation/reliability.md."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / ".chaos" / "results.jsonl"
PAGE: Final = ROOT / "docs" / "explanation" / "reliability.md"
BEGIN, END = "<!-- chaos -->\n", "<!-- end of chaos -->\n"


@dataclass(frozen=True)
class Outcome:
    """One run of one scenario."""

    scenario: str
    broker: str
    seed: int
    events: int
    faults: int
    wrong: int
    """Documents and dead letters that are not as the reference has them."""
    recovery_s: float
    """The longest, from the end of a fault until all that was in the topic then was in MongoDB."""

    def keep(self) -> None:
        """Adds it to the results of this checkout."""
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(asdict(self)) + "\n")


def table(outcomes: list[Outcome]) -> str:
    """The outcomes by scenario and broker.

    >>> print(table([Outcome("kill -9", "Tansu", 7, 300_000, 12, 0, 4.21)]))
    | scenario | broker | runs | events | faults | wrong documents | longest recovery |
    | --- | --- | --- | --- | --- | --- | --- |
    | kill -9 | Tansu | 1 | 300,000 | 12 | 0 | 4.2 s |
    | all | | 1 | 300,000 | 12 | 0 | 4.2 s |
    """
    rows: defaultdict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        rows[outcome.scenario, outcome.broker].append(outcome)
    lines = ["scenario | broker | runs | events | faults | wrong documents | longest recovery"]
    lines.append(" | ".join(["---"] * 7))
    lines += [_row(scenario, broker, of) for (scenario, broker), of in rows.items()]
    lines.append(_row("all", "", outcomes))
    return "\n".join(f"| {line} |".replace("|  |", "| |") for line in lines)


def _row(scenario: str, broker: str, outcomes: list[Outcome]) -> str:
    events, faults, wrong = (sum(getattr(o, name) for o in outcomes) for name in ("events", "faults", "wrong"))
    longest_s = max((o.recovery_s for o in outcomes), default=0.0)
    figures = [len(outcomes), f"{events:,}", faults, wrong, f"{longest_s:.1f} s"]
    return " | ".join([scenario, broker, *map(str, figures)])


if __name__ == "__main__":
    kept = [Outcome(**json.loads(line)) for line in RESULTS.read_text().splitlines()]
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + table(kept) + "\n" + END + rest.split(END)[1])
