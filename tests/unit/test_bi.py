"""What BI tools open: it is as the results are now, and names nothing that is not there."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bi import generate
from bi.source import measures
from bi.source.model import DATES, GENRES, MEASURES, relationships, tables_of
from movie_stream.aggregates.fields import Count, Distinct, Genre, Mean, Slug, Start
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.shape import Shape
from movie_stream.aggregates.window import HOUR

BI = generate.HERE
MODEL = BI / "power-bi/project/movie-stream.SemanticModel/definition"
FEED: dict[str, set[str]] = {
    **{of.result.collection: {c.name for c in of.fields} for of in map(Shape.of, RESULTS) if not of.is_list},
    **{f"{of.result.collection}_flat": {c.name for c in of.flat_row} for of in map(Shape.of, RESULTS) if of.entries},
}
"""Entity set to fields."""


def columns() -> dict[str, set[str]]:
    """The columns of each table, as its file in the model has them."""
    found = {}
    for path in (MODEL / "tables").glob("*.tmdl"):
        found[path.stem] = {name.strip("'") for name in re.findall(r"^\tcolumn (.+)$", path.read_text(), re.MULTILINE)}
    return found


def referred(value: Any) -> Iterator[tuple[str, str, str]]:
    """(kind, table, name) of every field that a report's JSON refers to."""
    if isinstance(value, dict):
        for kind in ("Measure", "Column"):
            if kind in value:
                yield kind, value[kind]["Expression"]["SourceRef"]["Entity"], value[kind]["Property"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from referred(inner)


def test_the_files_are_current() -> None:
    made = generate.files()
    changed = [path for path, text in made.items() if not (BI / path).exists() or (BI / path).read_text() != text]
    assert (changed, generate.stale()) == ([], []), "make them anew with: make docs"
    json_files = [path for path in made if Path(path).suffix in (".json", ".pbids", ".pbip", ".pbir", ".pbism")]
    assert len(json_files) > 20
    for path in json_files:
        json.loads(made[path])


def test_the_connection_file_has_the_documented_form() -> None:
    connection = json.loads((BI / "movie-stream.pbids").read_text())
    assert connection == {
        "version": "0.1",
        "connections": [
            {
                "details": {"protocol": "odata", "address": {"url": "http://localhost:8080/odata/"}},
                "options": {},
                "mode": "Import",
            }
        ],
    }


@pytest.mark.parametrize("path", sorted((BI / "power-bi").glob("*.pq")), ids=lambda path: path.stem)
def test_a_query_reads_fields_that_the_feed_has(path: Path) -> None:
    text = path.read_text()
    named = re.search(r'\[Name = "(\w+)"', text)
    if named is None:
        assert path.stem in ("Feed", "RangeStart", "RangeEnd", MEASURES)
        return
    [chosen] = re.findall(r"Table\.SelectColumns\(\w+, \{(.*?)\}\)", text)
    fields = set(re.findall(r'"(\w+)"', chosen))
    assert fields
    assert fields <= FEED[named[1]]
    added = set(re.findall(r'Table\.AddColumn\(\w+, "([^"]+)"', text)) | set(re.findall(r"type table \[(\w+) =", text))
    used = set(re.findall(r"\[(\w+)\](?! = )", text)) - {"Data"}
    assert used <= fields | added
    typed = re.findall(r"Table\.TransformColumnTypes\(\w+, \{(.*)\}\)", text)
    assert {name for types in typed for name in re.findall(r'\{"(\w+)"', types)} <= fields | added


def test_every_result_is_a_table() -> None:
    assert columns().keys() == {*FEED, DATES, GENRES, MEASURES}
    unread = {name: FEED[name] - found for name, found in columns().items() if name in FEED}
    of_documents = unread.pop("data_quality_flat")
    left_out = set().union(*unread.values())
    assert left_out <= {"window_end", "date", "timestamp"}, "a field is not in the model"
    assert of_documents < columns()["data_quality"], "what stands in each row of a list would be added up"


def test_measures_name_tables_columns_and_measures_that_are_there() -> None:
    found, names = columns(), {measure.name for measure in measures.ALL}
    assert len(names) == len(measures.ALL)
    for measure in measures.ALL:
        of_tables = re.findall(r"'?(\w+)'?\[([^\]]+)\]", measure.expression)
        assert [(table, name) for table, name in of_tables if name not in found[table]] == []
        alone = re.findall(r"(?<![\w'])\[([^\]@]+)\]", measure.expression)
        assert set(alone) <= names, measure.name
    script = (BI / "power-bi/measures.dax").read_text()
    assert re.findall(rf"MEASURE '{MEASURES}'\[(.+?)\] =", script) == [measure.name for measure in measures.ALL]


def test_no_average_of_averages_and_no_sum_of_distinct_people() -> None:
    text = " ".join(measure.expression for measure in measures.ALL)
    for name in {name for found in columns().values() for name in found}:
        if name.startswith("avg_"):
            assert not re.search(rf"\b(AVERAGE|SUM|MIN|MAX) \( \w+\[{name}\]", text)
        if name.startswith("unique_"):
            assert name not in text
    for path in (MODEL / "tables").glob("*.tmdl"):
        summed = re.findall(r"column (\w+)\n(?:\t\t[^\n]*\n)*?\t\tsummarizeBy: sum", path.read_text())
        assert not [name for name in summed if name.startswith(("avg_", "unique_", "max_", "min_", "total_users"))]


def test_relationships_and_visuals_name_what_is_there() -> None:
    found, names = columns(), {measure.name for measure in measures.ALL}
    text = (MODEL / "relationships.tmdl").read_text()
    joined = re.findall(r"(?:from|to)Column: (\w+)\.(\w+)", text)
    assert len(joined) == 30
    assert [pair for pair in joined if pair[1] not in found[pair[0]]] == []
    visuals = sorted((BI / "power-bi/project").rglob("visual.json"))
    assert len(visuals) > 10
    for path in visuals:
        fields = list(referred(json.loads(path.read_text())))
        assert fields
        for kind, table, name in fields:
            assert name in (names if kind == "Measure" else found[table]), path


def test_visuals_lie_beside_each_other() -> None:
    for page in (BI / "power-bi/project").rglob("page.json"):
        size = json.loads(page.read_text())
        places = [json.loads(path.read_text())["position"] for path in sorted(page.parent.rglob("visual.json"))]
        boxes = [(p["x"], p["y"], p["x"] + p["width"], p["y"] + p["height"]) for p in places]
        assert all(right <= size["width"] and bottom <= size["height"] for _, _, right, bottom in boxes)
        for one, other in itertools.combinations(boxes, 2):
            beside = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert beside, (one, other)


def test_a_result_that_a_user_adds_becomes_a_table() -> None:
    result = Result(
        "hourly_genres",
        HOUR,
        by="genre",
        fields={
            "genre": Genre(),
            "slug": Slug(),
            "timestamp": Start(),
            "views": Count(),
            "people": Distinct("user_id"),
            "avg_rating": Mean("rating"),
        },
    )
    [table] = tables_of(result)
    assert (table.name, table.description, table.start, table.long) == (
        "hourly_genres",
        "a row for each hour and genre",
        "timestamp",
        True,
    )
    assert [column.name for column in table.columns if column.additive] == ["views"]
    assert [(joined.column, joined.to) for joined in relationships([table])] == [("day", DATES), ("slug", GENRES)]


def test_the_page_says_of_each_table_whether_it_loads_a_range() -> None:
    """Who leaves one out of the incremental refresh keeps a few days of it for ever."""
    page = (BI.parent / "docs/how-to/power-bi.md").read_text("utf-8")
    said = dict(re.findall(r"^\| `(\w+)` \|.*\| (a range|all) \|$", page, re.MULTILINE))
    ranged = {path.stem for path in (BI / "power-bi").glob("*.pq") if "DateTime.AddZone(RangeStart" in path.read_text()}
    assert {name for name, what in said.items() if what == "a range"} == ranged
    assert {"data_quality", "data_quality_flat"} < ranged
    assert set(said) == set(FEED) & set(columns())


@pytest.mark.parametrize("page", ["reference/odata.md", "how-to/excel.md", "how-to/bi-others.md"])
def test_the_pages_warn_of_figures_that_every_row_has_again(page: str) -> None:
    text = (BI.parent / "docs" / page).read_text("utf-8")
    repeating = [f"{of.result.collection}_flat" for of in map(Shape.of, RESULTS) if of.entries and not of.is_list]
    assert repeating == ["data_quality_flat"]
    assert [name for name in repeating if f"`{name}`" not in text] == []
