"""The folders of the package: imports between them point one way, and the way in names each of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

import movie_stream

PACKAGE: Final = Path(movie_stream.__file__).parent
MODULES: Final = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
ROOMS: Final = [PACKAGE, *sorted({path.parent for path in MODULES.values()} - {PACKAGE})]
FLOORS: Final = (
    {"masking", "probe"},
    {"errors"},
    {"kernels"},
    {"columnar"},
    {"settings"},
    {"events", "console", "tables", "metrics"},
    {"aggregates"},
    {"kafka", "mongo", "embedded"},
    {"runs", "alerts"},
    {"agents", "dead_letters", "odata", "replay"},
    {"app", "client", "export", "web"},
    {"commands"},
    {"options"},
    {"cli"},
    {"entry"},
)
"""The parts of the package, each above those that it may import."""
PURE: Final = ("kernels", "columnar", "events", "aggregates", "tables")
OUTSIDE: Final = {"asyncio", "faust", "mode", "aiokafka", "motor", "pymongo", "rich", "typer"}


def room_of(module: str) -> str:
    """The folder of a module; of those that lie in the package's own, the module itself."""
    path = MODULES[module]
    return module if path.parent == PACKAGE else ".".join(path.parent.relative_to(PACKAGE.parent).parts)


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "movie_stream":
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else node.module


def test_imports_point_one_way() -> None:
    floor = {part: at for at, parts in enumerate(FLOORS) for part in parts}
    parts = {module: module.split(".")[1] for module in MODULES if "." in module}
    assert set(parts.values()) == floor.keys()
    upwards = [
        f"{module} imports {target}"
        for module, part in parts.items()
        for target in imports(module)
        if target != "movie_stream" and parts[target] != part and floor[parts[target]] >= floor[part]
    ]
    assert upwards == []


def test_the_pure_parts_import_nothing_of_the_outside() -> None:
    pure = [path for name in PURE for path in (PACKAGE / name).rglob("*.py")]
    assert len(pure) > 20
    outside = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(OUTSIDE)})\b", re.MULTILINE)
    assert [path.name for path in pure if outside.search(path.read_text())] == []


def test_imports_between_rooms_point_one_way() -> None:
    """There is no circle among folders. What the package's name itself offers is left out: it only passes names on."""
    arrows: dict[str, set[str]] = {}
    for module in MODULES:
        targets = {room_of(target) for target in imports(module)} - {room_of(module), "movie_stream"}
        if module != "movie_stream":
            arrows.setdefault(room_of(module), set()).update(targets)
    assert len(arrows) > 20
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(PACKAGE.parent)))
def test_the_way_in_names_what_lies_in_a_room(room: Path) -> None:
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    within = {path.name for path in room.glob("*.py")} | {f"{path.parent.name}/" for path in room.glob("*/__init__.py")}
    named = set(re.findall(r"[a-z0-9_]+(?:\.py|/)", text))
    assert within - named - {"__init__.py"} == set(), "the docstring of __init__.py leaves these out"
    elsewhere = {path.name for path in MODULES.values()}
    assert {name for name in named if name.endswith(".py")} <= elsewhere, "it names what is not there"
