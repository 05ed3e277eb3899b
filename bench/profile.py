"""The part `profile`: where the CPU time of a worker goes, in microseconds per event. See stages.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Final

from bench.meter import Meter
from bench.ours import WITHIN_S, fresh, variables
from bench.results import ROOT
from bench.running import Run, table_of
from bench.stages import STAGES
from bench.stream import Stream
from bench.temporary import temporary_folder

PART: Final = "profile"
ALL: Final = "stages"
SUBJECTS: Final = (ALL,)
TOLD: Final = "stages.json"
REST: Final = "everything else"
PREFIX: Final = "us: "
"""The names of the stages' figures in the results."""
LEAST_US: Final = 0.01


def measure(run: Run) -> None:
    """Measures round by round, and prints a table for each."""
    topic = run.topic(Stream(run.events))
    for nth in range(run.rounds):
        run.measure(PART, nth, ALL, lambda: [stages(run, topic)])


def stages(run: Run, topic: str) -> Mapping[str, float]:
    """Microseconds of CPU time per event, by stage. Raises PeerFailed."""
    with temporary_folder() as folder, fresh(run.services, topic) as settings:
        file = folder / TOLD
        env = variables(settings) | {"PYTHONPATH": str(ROOT)}
        with Meter("a timed worker", [sys.executable, "-m", "bench.stages", str(file)], env) as meter:
            meter.wait(WITHIN_S)
        times = json.loads(file.read_text(encoding="utf-8"))
    us = {stage: 1e6 * seconds / run.events for stage, seconds in times["stages"].items()}
    # The time of the interpreter and its imports does not depend on events.
    whole_us = 1e6 * (sum(times["threads"].values()) - times["start_s"]) / run.events
    us[REST] = whole_us - sum(us.values())
    rows: list[tuple[str, ...]] = [(stage, f"{us[stage]:.3f}") for stage in sorted(us, key=sort_key)]
    run.console.print(table_of("Stages", ("", "µs an event"), [*rows, ("all", f"{whole_us:.3f}")]))
    threads = [(name, 1e6 * seconds / run.events) for name, seconds in times["threads"].items()]
    shown: list[tuple[str, ...]] = [(name, f"{value:.3f}") for name, value in threads if value >= LEAST_US]
    run.console.print(table_of("By thread, start included", ("", "µs an event"), shown))
    return {"cpu_us_per_event": whole_us, "start_s": times["start_s"]} | {
        f"{PREFIX}{stage}": value for stage, value in us.items()
    }


def sort_key(stage: str) -> tuple[int, str]:
    """The sort key of a stage in a table: the order of STAGES; a pattern matches all stages with its beginning.

    >>> sort_key("fetch: batches") < sort_key("result: daily_stats") < sort_key("result: top_movies") < sort_key(REST)
    True
    """
    for index, (pattern, _) in enumerate(STAGES):
        if stage == pattern or ("{" in pattern and stage.startswith(pattern.partition("{")[0])):
            return index, stage
    return len(STAGES), stage
