"""What was measured: a line of JSON each in `.bench/results.jsonl`, with the machine that it was measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil

import movie_stream

ROOT: Final = Path(__file__).parents[1]
MADE: Final = ROOT / ".bench"
"""Everything that the benchmark makes and keeps."""
RESULTS: Final = MADE / "results.jsonl"


@dataclass(frozen=True)
class Result:
    """One round of one subject of one part; or why there was none (`skipped`).

    `figures` have their unit in their name: `events_per_s`, `events_per_cpu_s` and `cpu_us_per_event` are from the
    first event to the last document; `..._with_start` those of the whole process.
    """

    part: str
    subject: str
    run: str
    """When the run began (UTC): rounds of one run were measured in turn."""
    round: int
    events: int
    broker: str
    figures: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    skipped: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)


@cache
def machine() -> Mapping[str, Any]:
    """What figures depend on: the machine, and the versions."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "java": _java(),
        "movie_stream": movie_stream.__version__,
        "commit": _commit(),
    }


def _cpu_model() -> str:
    """Its name, where the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _java() -> str:
    return _said(["java", "-version"]).partition("\n")[0]


def _commit() -> str:
    return _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]).strip()


def _said(command: list[str]) -> str:
    """What a command prints; nothing where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout or done.stderr


def now() -> str:
    """The present, as a run is named."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def keep(result: Result, path: Path = RESULTS) -> None:
    """Adds a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result) | {"machine": dict(machine())}) + "\n")


def load(path: Path = RESULTS) -> list[Result]:
    """All that was kept, oldest first."""
    if not path.exists():
        return []
    return [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def newest(results: Iterable[Result]) -> list[Result]:
    """Of each part and subject, only what its last run found; a run in which it was skipped counts if it is the only.

    >>> old, new = (Result("worker", "1 worker", run, 1, 10, "Tansu", {"x": 1.0}) for run in ("2026-01", "2026-02"))
    >>> [result.run for result in newest([old, new])]
    ['2026-02']
    """
    last: dict[tuple[str, str], str] = {}
    for result in (kept := list(results)):
        if not result.skipped:
            last[result.part, result.subject] = max(result.run, last.get((result.part, result.subject), ""))
    for result in kept:
        last.setdefault((result.part, result.subject), result.run)
    return [result for result in kept if last[result.part, result.subject] == result.run]


@dataclass(frozen=True)
class Summary:
    """The rounds of one subject, in medians."""

    part: str
    subject: str
    events: int
    rounds: int
    figures: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]]
    """The least and the most of each figure."""
    note: str
    skipped: str


def summaries(results: Iterable[Result]) -> list[Summary]:
    """The newest rounds by part and subject, in the order in which they came first.

    >>> rounds = [Result("worker", "1 worker", "2026-01", n, 10, "Tansu", {"x": float(n)}) for n in (1, 2, 6)]
    >>> [one] = summaries(rounds)
    >>> one.rounds, one.figures["x"], one.spread["x"]
    (3, 2.0, (1.0, 6.0))
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in newest(results):
        groups.setdefault((result.part, result.subject), []).append(result)
    return [_summary(group) for group in groups.values()]


def _summary(group: list[Result]) -> Summary:
    measured = [result for result in group if not result.skipped]
    names = dict.fromkeys(name for result in measured for name in result.figures)
    columns = {name: [r.figures[name] for r in measured if name in r.figures] for name in names}
    return Summary(
        group[-1].part,
        group[-1].subject,
        group[-1].events,
        len(measured),
        {name: median(values) for name, values in columns.items()},
        {name: (min(values), max(values)) for name, values in columns.items()},
        group[-1].note,
        "" if measured else group[-1].skipped,
    )
