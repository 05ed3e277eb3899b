"""What is told to Prometheus, and the alerts that it makes of that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.made.markdown import plain, table
from movie_stream.metrics.catalogue import Process, exported_by

ALERTS = Path(__file__).parents[2] / "monitoring" / "rules" / "alerts.yml"


def metrics(process: Process) -> str:
    """What a process tells Prometheus."""
    rows = [
        (f"`{of.name}`", of.kind, ", ".join(f"`{label}`" for label in of.labels), of.unit, plain(of.meaning))
        for of in exported_by(process)
    ]
    return table(("name", "type", "labels", "unit", "meaning"), rows)


def alerts() -> str:
    """The alerts: when each of them fires, what it means, and what to do."""
    rules = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    return "\n" + "\n".join(map(_alert, rules)) + "\n"


def _alert(rule: Mapping[str, Any]) -> str:
    says, severity = rule["annotations"], rule["labels"]["severity"]
    since = f" {rule['for']} long" if "for" in rule else ""
    description = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"(\1)", says["description"])
    description = re.sub(r"\{\{ \$value.*?\}\}", "(so many)", description)
    return (
        f"## {rule['alert']}\n\n"
        f"{description[0].upper()}{description[1:]} A {severity} alert, where this holds{since}:\n\n"
        f"```promql\n{rule['expr']}\n```\n\n"
        f"**What to do.** {says['action']}\n"
    )
