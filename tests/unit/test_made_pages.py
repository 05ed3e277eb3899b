"""What the pages that are made of the code leave out: nothing."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from docs.made import collections, commands, errors, events, http
from movie_stream.aggregates.results import RESULTS
from movie_stream.aggregates.shape import Shape
from movie_stream.cli import app
from movie_stream.dead_letters import letters
from movie_stream.errors import MovieStreamError
from movie_stream.events import event
from movie_stream.events.contract import FIELD_RULES
from movie_stream.kafka.produce import large_records
from movie_stream.odata.model import all_sets
from movie_stream.web.models import document_model
from movie_stream.web.problems import OF_ODATA, STATUSES

PACKAGE = Path(inspect.getfile(MovieStreamError)).parent


def declared() -> set[str]:
    """The names of all classes of the package that are below MovieStreamError, as the source says."""
    bases: defaultdict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):  # of two with one name both count
                bases[node.name] |= {base.id for base in node.bases if isinstance(base, ast.Name)}
    known, more = {"MovieStreamError"}, set[str]()
    while more := {name for name, of in bases.items() if of & known} - known:
        known |= more
    return known - {"MovieStreamError"}


def test_no_error_is_left_out() -> None:
    assert {one.__name__ for one in errors.classes()} == declared()
    headings = set(re.findall(r"^## (\w+)$", errors.page(), re.MULTILINE))
    assert headings == declared() - {one.__name__ for one in errors.OF_REQUESTS}


@pytest.mark.parametrize("error", errors.classes(), ids=lambda one: str(one.__name__))
def test_an_error_says_its_cause_what_to_do_and_what_it_looks_like(error: type[MovieStreamError]) -> None:
    said = errors.said_by(error)
    assert said.cause.endswith(".")
    assert said.remedy.endswith(".")
    assert "\n" not in said.line


def test_an_error_without_a_remedy_is_named() -> None:
    class Silent(MovieStreamError):
        """It says nothing.

        >>> Silent("x")
        """

    with pytest.raises(ValueError, match="Silent: expected a docstring with its cause"):
        errors.said_by(Silent)


def statuses(folder: Path, names: set[str]) -> Iterator[int]:
    """The numbers that these are called with, as a status, in the source of a folder."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "status")]
                yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, int))


def test_no_status_of_the_server_is_left_out() -> None:
    found = set(statuses(PACKAGE / "web", {"Problem", "later"}))
    assert len(found) > 8
    assert found - STATUSES.keys() == set()
    assert set(statuses(PACKAGE / "odata", {"Refused"})) - OF_ODATA.keys() == set()


def test_every_line_that_refuses_a_record_is_on_the_page_of_events() -> None:
    """The cases of the page reach each `raise Refused` and each reason of the decoder."""
    source = Path(inspect.getfile(event)).read_text("utf-8")
    refusing = {
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Raise) and "Refused" in ast.unparse(node.exc or ast.Constant(None))
    }
    reached = set[int]()

    def trace(frame: FrameType, what: str, _given: Any) -> Any:
        if frame.f_code.co_filename == event.__file__:
            reached.add(frame.f_lineno)
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = [events.letter_of(case) for case in events.cases()]
    finally:
        sys.settrace(before)
    in_checks_of_copies = {node for node in refusing if "decode_checked" in _function(source, node)}
    assert refusing - reached - in_checks_of_copies == set()
    assert {letter.kind for letter in found} == set(letters.REFUSED)
    named = {letter.reason.partition(":")[0] for letter in found}
    assert named >= {*FIELD_RULES, "late"}


def _function(source: str, line: int) -> str:
    """The name of the function that a line stands in."""
    return next(
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    )


def test_the_headers_of_a_letter_are_those_that_are_written_and_read() -> None:
    named = {name for name, _ in events.HEADERS}
    written = (PACKAGE / "agents" / "accumulate.py").read_text("utf-8")
    of_agent = set(re.findall(r'\("([\w-]+)", (?:str\()?(?:letter|self)', written))
    assert named == of_agent | {large_records.TRUNCATED, large_records.TRUNCATED_KEY}


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: str(result.collection))
def test_every_field_of_a_result_has_a_meaning(result: Any) -> None:
    shape = Shape.of(result)
    assert [name for name, field in result.fields.items() if not field.description.meaning] == []
    assert [column.name for column in (*shape.fields, *shape.flat_row) if not column.description.meaning] == []
    for field in result.fields.values():
        entry = field.schema.get("items", {}).get("properties", {})
        assert list(field.description.entry) == list(entry)
        nullable = "null" in field.schema["bsonType"]
        assert nullable == ("null where" in field.description.meaning), field
    described = document_model(result).model_json_schema()["properties"]
    assert {name: described[name]["description"] for name in result.fields} == {
        name: field.description.in_words for name, field in result.fields.items()
    }


def test_every_collection_command_and_set_has_its_section() -> None:
    for page, names in (
        (collections.page(), [result.collection for result in RESULTS]),
        (commands.page(), [" ".join(words) for words, _ in commands.named_commands(app)]),
        (http.entity_sets(), list(all_sets())),
    ):
        assert re.findall(r"^## (.+)$", page, re.MULTILINE) == names
