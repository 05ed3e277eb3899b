"""A copy of the package with a result of somebody's own at the end of RESULTS, as a reader of the docs would add it."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Final

import movie_stream
from movie_stream.aggregates import results
from movie_stream.aggregates.results import Result

FILE: Final = Path("movie_stream", "aggregates", "results.py")


def result_of(entry: str) -> Result:
    """The result that such an entry declares, with the names of results.py."""
    [made] = eval(f"({entry})", vars(results).copy())
    assert isinstance(made, Result)
    return made


def package_with(folder: Path, entry: str) -> str:
    """A copy of the package in `folder`, with the entry; the folder to import it from."""
    shutil.copytree(
        Path(movie_stream.__file__).parent, folder / "movie_stream", ignore=shutil.ignore_patterns("__pycache__")
    )
    add(folder / FILE, entry)
    return str(folder)


def add(file: Path, entry: str) -> None:
    """Adds the entry, as it is, at the end of RESULTS in this file."""
    text = file.read_text("utf-8")
    [statement] = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "RESULTS"
    ]
    assert statement.end_lineno is not None
    lines = text.splitlines(keepends=True)
    assert lines[statement.end_lineno - 1] == ")\n"
    lines.insert(statement.end_lineno - 1, entry)
    file.write_text("".join(lines), "utf-8")
