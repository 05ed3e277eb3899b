"""The folders of tests: they are those of the package, and README.md and `__init__.py` name what lies in them."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

import movie_stream
from tests.conftest import LONGEST_FIRST

TESTS: Final = Path(__file__).parents[1]
SUPPORT: Final = TESTS / "support"
README: Final = (TESTS / "README.md").read_text("utf-8")


def folders(path: Path) -> set[str]:
    return {found.parent.name for found in path.glob("*/__init__.py")}


@pytest.mark.parametrize("kind", ["unit", "services"])
def test_they_mirror_the_package(kind: str) -> None:
    assert folders(TESTS / kind) <= folders(Path(movie_stream.__file__).parent)


def test_the_readme_names_every_folder_and_marker() -> None:
    rows = set(re.findall(r"^\| `(\w+)/?`", README, re.MULTILINE))
    assert {path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"} <= rows
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text("utf-8"))
    assert {marker.partition(":")[0] for marker in project["tool"]["pytest"]["ini_options"]["markers"]} <= rows


def test_the_files_that_are_begun_first_exist() -> None:
    assert [name for name in LONGEST_FIRST if not (TESTS / name).is_file()] == []
    assert len(set(LONGEST_FIRST)) == len(LONGEST_FIRST)


@pytest.mark.parametrize("shared", ["conftest.py", "services/conftest.py"])
def test_the_readme_names_the_fixtures_that_many_tests_share(shared: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| `([\w./]+)` \|", README, re.MULTILINE))
    fixtures = {
        node.name
        for node in ast.parse((TESTS / shared).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
    of_all_tests = {"temporary_folder", "no_tasks_left_behind"}  # which no test asks for
    assert {name for name, place in rows.items() if place == shared} == fixtures - of_all_tests


@pytest.mark.parametrize(
    "room", [SUPPORT, *(SUPPORT / name for name in sorted(folders(SUPPORT)))], ids=lambda room: room.name
)
def test_the_way_in_names_what_lies_in_a_room(room: Path) -> None:
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    within = {path.name for path in room.glob("*.py")} | {f"{name}/" for name in folders(room)}
    assert set(re.findall(r"^- (\w+(?:\.py|/)):", text, re.MULTILINE)) == within - {"__init__.py"}
