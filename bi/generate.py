"""Generates the files for Power BI, Excel and MongoDB Compass from RESULTS: `python -m bi.generate`, or `make docs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from bi.source import compass, measures, power_query, report, tmdl
from bi.source.model import FEED, tables

HERE: Final = Path(__file__).parent
PROJECT: Final = "power-bi/project"
NAME: Final = "movie-stream"


def as_json(value: Any) -> str:
    """A value as an indented JSON file."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """All generated files, by path from here."""
    found = tables()
    made = {
        f"{NAME}.pbids": as_json(connection()),
        "power-bi/measures.dax": measures.script(),
        "power-bi/theme.json": as_json(report.THEME),
    }
    for name, (says, query) in power_query.queries(found).items():
        made[f"power-bi/{name}.pq"] = f"// {name}: {says}.\n// Made by bi/generate.py.\n{query}"
    made[f"{PROJECT}/{NAME}.pbip"] = as_json(report.shortcut(NAME))
    made[f"{PROJECT}/{NAME}.SemanticModel/definition.pbism"] = as_json(report.MODEL_PROPERTIES)
    for path, text in tmdl.files(found).items():
        made[f"{PROJECT}/{NAME}.SemanticModel/definition/{path}"] = text
    for path, value in report.files(NAME).items():
        made[f"{PROJECT}/{NAME}.Report/{path}"] = as_json(value)
    made |= {f"compass/{path}": text for path, text in compass.files().items()}
    return made


def connection() -> dict[str, Any]:
    """The connection file that opens the feed in Power BI Desktop, without tables and without a password."""
    address = {"protocol": "odata", "address": {"url": FEED}}
    return {"version": "0.1", "connections": [{"details": address, "options": {}, "mode": "Import"}]}


def stale() -> list[Path]:
    """The files of results and queries that no longer exist; files that Power BI saved beside them are ignored."""
    current = {HERE / path for path in files()}
    made = ["power-bi/*.pq", f"{PROJECT}/*.SemanticModel/definition/tables/*.tmdl", "compass/*/*"]
    return sorted(path for pattern in made for path in HERE.glob(pattern) if path not in current)


if __name__ == "__main__":
    for path, text in files().items():
        target = HERE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for left in stale():
        left.unlink()
