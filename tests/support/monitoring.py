"""The rules and the dashboard of monitoring/, as tests look at them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from movie_stream.metrics.catalogue import METRICS, Metric

FOLDER: Final = Path(__file__).parents[2] / "monitoring"
RULES: Final = (FOLDER / "rules" / "recording.yml", FOLDER / "rules" / "alerts.yml")
PROMETHEUS_OWN: Final = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Metrics that are asked for and not declared by us: of Prometheus, and of its client's library."""
_NAME: Final = re.compile(r"\b(?:[a-z]+:)?movie_stream_\w+(?::\w+)?|\bup\b|\bprocess_\w+")


def rules() -> list[dict[str, Any]]:
    """All recording and alert rules."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    """The names of recorded series."""
    return {rule["record"] for rule in rules() if "record" in rule}


def names_in(expr: str) -> set[str]:
    """The metrics that an expression asks for.

    >>> sorted(names_in('sum(rate(movie_stream_events_total{job="up"}[5m])) / topic:movie_stream_lag:sum'))
    ['movie_stream_events_total', 'topic:movie_stream_lag:sum']
    """
    return set(_NAME.findall(re.sub(r'"[^"]*"', "", expr)))


def series_of(metric: Metric) -> set[str]:
    """The names that a scrape has of it."""
    return {f"{metric.name}_{of}" for of in ("bucket", "sum", "count")} if metric.kind == "histogram" else {metric.name}


def declared() -> set[str]:
    """All names that a scrape of ours may have."""
    return {name for metric in METRICS for name in series_of(metric)}


def promtool(*words: str | Path, text: str | None = None) -> str:
    """Runs promtool, which must be content; skips the test where Prometheus is not installed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; on Debian: apt install prometheus")
    done = subprocess.run([found, *words], input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
