"""docs/explanation/ and docs/decisions/: examples run, links lead somewhere, and quotations of our code are current."""

from __future__ import annotations

import ast
import builtins
import doctest
import re
from pathlib import Path
from typing import Final

import pytest

from movie_stream.aggregates import results
from movie_stream.aggregates.results import RESULTS
from tests.services.test_docs import COMMUNITY, EXPLANATION, HELP, ROOT, blocks

DECISIONS: Final = ROOT / "docs" / "decisions"
FROM_SPARK: Final = ROOT / "docs" / "explanation" / "from-spark.md"
WITH_EXAMPLES: Final = [page for page in EXPLANATION if ">>> " in page.read_text("utf-8")]
OURS: Final = [*EXPLANATION, *sorted(DECISIONS.glob("*.md")), *HELP, *COMMUNITY]
RECORD: Final = re.compile(r"\d{4}-[a-z0-9-]+\.md")
PARTS: Final = ["Context", "Decision", "Consequences", "Alternatives considered"]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_the_examples_of_an_explanation_run(page: Path) -> None:
    examples = "".join(code for _, code in blocks(page, "python") if ">>> " in code)
    test = doctest.DocTestParser().get_doctest(examples, {}, page.name, str(page), 0)
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def test_an_anchor_is_made_as_github_makes_it() -> None:
    assert slug("Why not `simply` count, by [us](a.md)?") == "why-not-simply-count-by-us"


@pytest.mark.parametrize("page", OURS, ids=lambda page: page.name)
def test_every_link_leads_to_a_heading(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    lost = [
        f"{path}#{anchor}"
        for path, _, anchor in links
        if anchor and anchor not in anchors(page.parent / path if path else page)
    ]
    assert lost == []


# ---- decisions -----------------------------------------------------------------------------------------------------


def test_every_decision_is_numbered_and_in_the_table() -> None:
    records = sorted(path.name for path in DECISIONS.glob("*.md") if path.name != "index.md")
    assert [name[:4] for name in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    assert all(RECORD.fullmatch(name) for name in records)
    assert re.findall(r"^\| \[\d{4}\]\(([^)]+)\) \|", (DECISIONS / "index.md").read_text("utf-8"), re.M) == records
    for name in records:
        text = (DECISIONS / name).read_text("utf-8")
        assert text.startswith(f"# {name[:4]}: ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS


# ---- coming from Spark ---------------------------------------------------------------------------------------------


def of_spark(remark: str) -> str:
    [code] = [code for above, code in blocks(FROM_SPARK, "python") if above == remark]
    return code


def test_what_the_page_shows_as_ours_is_the_entry() -> None:
    assert eval(of_spark("ours"), vars(results).copy()) == RESULTS[0]


def test_the_program_for_spark_names_nothing_that_is_not_there() -> None:
    """It compiles, and each of its names is a builtin, imported or given a value. It is not run: Spark is not here."""
    code = of_spark("spark")
    compile(code, FROM_SPARK.name, "exec")
    tree = ast.parse(code)
    known: set[str] = set(dir(builtins)) | {"__name__"}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                known |= {name.asname or name.name for name in names}
            case ast.FunctionDef(name=name):
                known.add(name)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                known.add(name)
    assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - known == set()


def test_the_program_for_spark_makes_the_fields_of_ours() -> None:
    named = set(re.findall(r'"([a-z_]+)"', of_spark("spark")))
    assert set(RESULTS[0].fields) <= named
