"""The results: a line of JSON each in `.bench/results.jsonl`, with the machine that they were measured on."""

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
import typer

import movie_stream
from movie_stream.errors import InputError

ROOT: Final = Path(__file__).parents[1]
MADE: Final = ROOT / ".bench"
"""The folder of everything that the benchmark creates and keeps."""
RESULTS: Final = MADE / "results.jsonl"
FULL: Final = 1_000_000
"""The events of a run with meaningful figures; a smaller run only shows that the benchmark works."""


@dataclass(frozen=True)
class Result:
    """One round of one subject of one part, or the reason why it was skipped (`skipped`).

    `figures` have their unit in their name: `events_per_s`, `events_per_cpu_s` and `cpu_us_per_event` are from the
    first event to the last document, and `..._with_start` are of the whole process.
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
    """The machine and the versions, which figures depend on."""
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
    """The name of the CPU, if the system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _java() -> str:
    return _output_of(["java", "-version"]).partition("\n")[0]


def _commit() -> str:
    return _output_of(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]).strip()


def _output_of(command: list[str]) -> str:
    """The output of a command; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout or done.stderr


def now() -> str:
    """The present as the name of a run."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def keep(result: Result, path: Path = RESULTS) -> None:
    """Appends a result. Raises InputError if the file cannot be written."""
    line = json.dumps(asdict(result) | {"machine": dict(machine())}).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            whole = file.read(1) in (b"", b"\n")  # else an incomplete line needs a line break first
            file.write(line if whole else b"\n" + line)
    except OSError as error:
        raise _unusable(path, "a file that results can be added to", error) from error


def load(path: Path = RESULTS) -> list[Result]:
    """All results, oldest first. Invalid lines are skipped, with a message on standard error.

    Raises InputError if the file itself cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        raise _unusable(path, "a file with results", error) from error
    found = list[Result]()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(Result(**json.loads(line)))
            except (ValueError, TypeError):
                typer.echo(f"{path}, line {number}: expected a result, left it out: got {line[:40]!r}", err=True)
    return found


def _unusable(path: Path, expected: str, error: OSError) -> InputError:
    remedy = "correct that, or name another file with --results"
    return InputError(path=path, expected=expected, got=error.strerror or str(error), remedy=remedy)


def of_full_runs(results: Iterable[Result]) -> list[Result]:
    """The results of runs in which any subject counted FULL events.

    >>> from dataclasses import replace
    >>> slow = Result("peers", "Faust", "2026-01", 0, 20_000, "Tansu")
    >>> full, tried = replace(slow, subject="Spark", events=FULL), replace(slow, run="2026-02")
    >>> of_full_runs([slow, full, tried]) == [slow, full]
    True
    """
    kept = list(results)
    runs = {result.run for result in kept if result.events >= FULL}
    return [result for result in kept if result.run in runs]


def newest(results: Iterable[Result]) -> list[Result]:
    """One run for each part and subject: the last full one, else the last. So a small run replaces no full one, and
    what a run leaves out is of the run before.

    >>> full, tried, again = (
    ...     Result("worker", "1 worker", run, 1, events, "Tansu", {"x": 1.0})
    ...     for run, events in (("2026-01", 2 * FULL), ("2026-02", 1), ("2026-03", FULL))
    ... )
    >>> [result.run for result in newest([full, tried])], [result.run for result in newest([full, tried, again])]
    (['2026-01'], ['2026-03'])
    """
    kept = list(results)
    full = {result.run for result in of_full_runs(kept)}
    best: dict[tuple[str, str], tuple[bool, bool, str]] = {}
    for result in kept:
        subject = result.part, result.subject
        worth = not result.skipped, result.run in full, result.run
        best[subject] = max(worth, best.get(subject, (False, False, "")))
    chosen = {subject: run for subject, (_, _, run) in best.items()}
    return [result for result in kept if chosen[result.part, result.subject] == result.run]


@dataclass(frozen=True)
class Summary:
    """The rounds of one subject, in medians."""

    part: str
    subject: str
    run: str
    events: int
    rounds: int
    figures: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]]
    """The minimum and the maximum of each figure."""
    note: str
    skipped: str


class Found:
    """All results in medians: for each part and subject, those of the run chosen by `newest`.

    >>> rounds = [Result("worker", "1 worker", "2026-01", n, 10, "Tansu", {"x": float(n)}) for n in (1, 2, 6)]
    >>> one = Found(rounds).get("worker", "1 worker")
    >>> one.rounds, one.figures["x"], one.spread["x"]
    (3, 2.0, (1.0, 6.0))
    """

    def __init__(self, results: Iterable[Result]) -> None:
        groups: dict[tuple[str, str, str], list[Result]] = {}
        for result in (kept := list(results)):
            groups.setdefault((result.part, result.subject, result.run), []).append(result)
        self._all = {at: _summary(group) for at, group in groups.items()}
        self.results = newest(kept)
        """The results of the chosen runs."""
        self._runs = {(result.part, result.subject): result.run for result in self.results}

    def get(self, part: str, subject: str) -> Summary | None:
        """The subject in its chosen run, if it was measured at all."""
        run = self._runs.get((part, subject))
        return self._all[part, subject, run] if run is not None else None

    def beside(self, other: Summary, subject: str) -> Summary | None:
        """The subject as measured in the same run as the other; None if it was not."""
        return self._all.get((other.part, subject, other.run))

    def part(self, part: str) -> list[Summary]:
        """All subjects of a part, in the order of their first result."""
        return [self._all[of, subject, run] for (of, subject), run in self._runs.items() if of == part]


def _summary(group: list[Result]) -> Summary:
    measured = [result for result in group if not result.skipped]
    names = dict.fromkeys(name for result in measured for name in result.figures)
    columns = {name: [r.figures[name] for r in measured if name in r.figures] for name in names}
    return Summary(
        group[-1].part,
        group[-1].subject,
        group[-1].run,
        group[-1].events,
        len(measured),
        {name: median(values) for name, values in columns.items()},
        {name: (min(values), max(values)) for name, values in columns.items()},
        group[-1].note,
        "" if measured else group[-1].skipped,
    )
