"""The READMEs and docs/: generated tables are current, named files exist, and examples work."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from docs import generate
from docs.made import events, figures
from movie_stream.aggregates import results
from movie_stream.aggregates.fields import Count, Mean, Start, Title, Top, TopUsers, Users
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.window import DAY, HOUR
from movie_stream.cli import app
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.replay.order.plan import plan_of
from movie_stream.settings import Settings, variable_of
from movie_stream.web.server import application
from tests.support.own_result import package_with, result_of
from tests.support.web.serving import serving
from tests.support.whole_path import command, database, succeed

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
README_FR = ROOT / "README.fr.md"
AGGREGATION = ROOT / "docs" / "how-to" / "aggregation.md"
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
SECURITY = ROOT / "docs" / "how-to" / "security.md"
API = ROOT / "docs" / "reference" / "python.md"
SERVE = ROOT / "docs" / "reference" / "rest.md"
METRICS = ROOT / "docs" / "reference" / "metrics.md"
HOW_TO = tuple(sorted((ROOT / "docs" / "how-to").glob("*.md")))
EXPLANATION = tuple(sorted((ROOT / "docs" / "explanation").glob("*.md")))
DECISIONS = tuple(sorted((ROOT / "docs" / "decisions").glob("*.md")))
HELP = (ROOT / "docs" / "troubleshooting.md", ROOT / "docs" / "faq.md")
COMMUNITY = (ROOT / "CONTRIBUTING.md", ROOT / "CODE_OF_CONDUCT.md", ROOT / "SECURITY.md")
PAGES = (README, README_FR, SECURITY, API, SERVE, METRICS, *HOW_TO, *EXPLANATION, *DECISIONS, *HELP, *COMMUNITY)
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*(?:\.(?:py|md|csv|svg|toml|lock|yaml)|/)|Makefile|LICENSE|\.env\.example")


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """The blocks of code in a language, each with the remark right above it, or none."""
    found = re.findall(rf"(?:<!-- ([^>]*) -->\n)?```{language}\n(.*?)```\n", page.read_text("utf-8"), re.DOTALL)
    assert found
    return found


def block(remark: str) -> str:
    """The one block of Python in how-to/aggregation.md below this remark."""
    [code] = [code for above, code in blocks(AGGREGATION, "python") if above == remark]
    return code


# ---- what is made from the code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_current(page: Path) -> None:
    assert page.read_text("utf-8") == generate.filled(page), "make them anew with: make docs"


@pytest.mark.parametrize("file", generate.WHOLE, ids=lambda file: file.name)
def test_a_generated_file_is_current(file: Path) -> None:
    assert file.read_text("utf-8") == generate.WHOLE[file](), "make it anew with: make docs"


def test_a_mark_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text("# Nothing")
    monkeypatch.setattr(generate, "TABLES", {tmp_path / "page.md": {"events": events.events}})
    with pytest.raises(ValueError, match="<!-- events -->"):
        generate.filled(tmp_path / "page.md")


def test_a_figure_that_a_page_no_longer_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "performance.md").write_text(
        "<!-- peers -->\n| | MB |\n| --- | --- |\n| Faust | 84.7 |\n<!-- end -->\n"
    )
    monkeypatch.setattr(figures, "PERFORMANCE", tmp_path / "performance.md")
    with pytest.raises(ValueError, match=r"performance.md: expected a row 'movie-stream' below <!-- peers -->"):
        figures.figures()


WITH_COMMANDS = [
    page for page in (README, README_FR, API, *HOW_TO) if "```sh\nmovie-stream " in page.read_text("utf-8")
]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_commands_of_a_page_have_their_options(page: Path) -> None:
    """And those of `produce` can be meant together."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [line for _, code in blocks(page, "sh") for line in code.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("movie-stream ")]
    assert words
    for _, name, *arguments in words:
        context = commands[name].make_context(name, arguments)
        if name == "produce":
            given = {key: context.params[key] for key in ("rate", "speed", "limit", "start", "end", "shift_to", "loop")}
            plan_of(**given)


MEASURED = ("explanation/performance.md", "explanation/architecture.md", "explanation/reliability.md")
"""Where figures are measured, or said of the code."""


@pytest.mark.parametrize("name", ["scale.md", "tune.md"])
def test_the_figures_of_a_page_are_those_that_are_measured(name: str) -> None:
    """After `make bench` they are other ones, and have to be changed by hand."""
    page = (ROOT / "docs" / "how-to" / name).read_text("utf-8")
    told = set(re.findall(r"(\d[\d,.]*\d) (?:µs|ms|MB|events/s|documents/s|cores)\b", page))
    assert len(told) > 5
    measured = "".join((ROOT / "docs" / page).read_text("utf-8") for page in MEASURED)
    assert sorted(told - set(re.findall(r"\d[\d,.]*\d", measured))) == []


# ---- what is named -------------------------------------------------------------------------------------------------


OF_OTHERS = (
    *("movies.csv", "ratings.csv", "netflix_titles.csv", "tmdb_5000_movies.csv"),
    *("movies_metadata.csv", "TMDB_movie_dataset_v11.csv"),
    *("visits.csv", "FILE.csv", "FOLDER/", "secrets/", "compose.override.yaml", "my-values.yaml", "alerts.toml"),
)
"""Files that are not ours: data sets, and what a user makes."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    named = {name for name in quoted if FILE.fullmatch(name.partition("::")[0])}
    named |= {path for path in re.findall(r"\]\(([^)]+)\)", text) if "://" not in path}
    places = (page.parent, ROOT, ROOT / "movie_stream", ROOT / "deploy" / "helm" / "movie-stream")
    missing = [
        name
        for name in named
        if not any((place / name.partition("::")[0].partition("#")[0]).exists() for place in places)
    ]
    assert sorted(set(missing) - {"tests/test_daily_movies.py", *OF_OTHERS}) == []


@pytest.mark.parametrize("page", [README, README_FR, SECURITY], ids=lambda page: page.name)
def test_every_variable_is_a_setting(page: Path) -> None:
    named = re.findall(r"^export (\w+)=", page.read_text("utf-8"), re.MULTILINE)
    assert len(named) > 1
    assert {name.removesuffix("_FILE") for name in named} <= set(map(variable_of, Settings.model_fields))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_exists(page: Path) -> None:
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text("utf-8"))
    there = {(path, name) for path, name in named if re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8"))}
    assert set(named) - there == set()


def test_a_view_is_checked_without_kafka_or_mongodb() -> None:
    loaded = "import sys, movie_stream; movie_stream.ViewEvent; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert "movie_stream.client.view_event" in names
    assert not {"aiokafka", "motor", "pymongo", "pydantic_settings", "faust"} & set(names)


# ---- what is shown -------------------------------------------------------------------------------------------------


def test_the_examples_of_the_architecture_run() -> None:
    examples = "".join(code for _, code in blocks(ARCHITECTURE, "python"))
    test = doctest.DocTestParser().get_doctest(examples, {}, ARCHITECTURE.name, str(ARCHITECTURE), 0)
    assert test.examples
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)


def entry() -> Result:
    """The aggregation that how-to/aggregation.md adds, out of its own lines."""
    return result_of(block("the entry"))


def test_the_new_aggregation_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", (*RESULTS, entry()))
    names: dict[str, Any] = {}
    exec(block("its test"), names)
    [test] = [thing for name, thing in names.items() if name.startswith("test_")]
    test()


async def test_the_new_aggregation_gets_its_collection(settings: Settings) -> None:
    async with opened(settings) as db:
        made = {(thing.kind, thing.name) for thing in await ensure(db, (*RESULTS, entry()))}
        assert made >= {
            ("collection", "daily_movies"),
            ("index", "daily_movies.timestamp_1"),
            ("view", "daily_movies_flat"),
        }


async def test_the_new_aggregation_is_described_and_asked_over_http(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", (*RESULTS, entry()))
    async with application(settings) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as client:
            for name in ("daily_movies", "daily_movies_flat"):
                assert (await client.get(name)).json() == {"items": [], "next": None}
            described = (await client.get("openapi.json")).json()
            named = [one["name"] for one in (await client.get("")).json()["results"]]
    assert {"daily_movies", "daily_movies_flat"} <= set(named)
    assert {"/api/v1/daily_movies", "/api/v1/daily_movies_flat"} <= described["paths"].keys()
    entries = described["components"]["schemas"]["DailyMoviesEntry"]["properties"]
    assert list(entries) == ["movie_id", "title", "views", "avg_rating"]


VIEWS = """\
movie_id,title,genre,user_id,timestamp,rating
a,Alien,Horror,u1,1730419199999,5
b,Brazil,Comedy,u1,1730419200000,4
a,Alien,Horror,u2,1730419200000,
b,Brazil,Comedy,u3,1730419200001,3
"""


@pytest.mark.long
def test_the_new_aggregation_is_counted_after_a_rebuild(settings: Settings, tmp_path: Path) -> None:
    views = tmp_path / "views.csv"
    views.write_text(VIEWS, "utf-8")
    for words in (("init",), ("produce", "--file", str(views)), ("worker", "--until-end")):
        succeed(settings, *words)

    new = {"PYTHONPATH": package_with(tmp_path, block("the entry"))}
    before = command(settings, "worker", "--until-end", **new)
    assert before.returncode == 0, before.stderr
    assert "was begun before there was daily_movies, and does not count it" in before.stdout
    with database(settings) as db:
        assert db["daily_movies"].count_documents({}) == 0
    succeed(settings, "rebuild", "--yes", **new)
    succeed(settings, "worker", "--until-end", **new)
    with database(settings) as db:
        assert {day["_id"]: day["movies"] for day in db["daily_movies"].find()} == {
            "daily_movies_2024-10-31": [{"movie_id": "a", "title": "Alien", "views": 1, "avg_rating": 5.0}],
            "daily_movies_2024-11-01": [
                {"movie_id": "b", "title": "Brazil", "views": 2, "avg_rating": 3.5},
                {"movie_id": "a", "title": "Alien", "views": 1, "avg_rating": None},
            ],
        }
        assert [row["title"] for row in db["daily_movies_flat"].find({"rank": 1}).sort("date", 1)] == [
            "Alien",
            "Brazil",
        ]
        assert db["category_stats"].count_documents({"_run": db["_runs"].find_one()["number"]}) == 2
    shown = succeed(settings, "show", "daily-movies", "--until", "2024-11-01", **new).splitlines()
    assert shown[0] == "daily_movies of the day 2024-10-31 UTC"
    assert shown[2].split() == ["1", "a", "Alien", "1", "5.00"]

    with serving(settings, **new) as server:
        first, second = httpx.get(f"{server.api}/daily_movies", trust_env=False).json()["items"]
        assert first["movies"][0] == {"movie_id": "b", "title": "Brazil", "views": 2, "avg_rating": 3.5}
        assert (second["_id"], second["timestamp"]) == ("daily_movies_2024-10-31", "2024-10-31T00:00:00Z")
        rows = httpx.get(f"{server.api}/daily_movies_flat?format=csv&order=-date,rank", trust_env=False).text
        assert [line.split(",")[3:] for line in rows.splitlines()[:2]] == [
            ["rank", "movie_id", "title", "views", "avg_rating"],
            ["1", "b", "Brazil", "2", "3.5"],
        ]
        described = httpx.get(f"{server.api}/openapi.json", trust_env=False).json()
        assert {"/api/v1/daily_movies", "/api/v1/daily_movies_flat"} <= described["paths"].keys()
        model = described["components"]["schemas"]["DailyMovies"]
        assert model["properties"].keys() == {"_id", "date", "timestamp", "movies"}


@pytest.mark.parametrize(
    "declared",
    [
        {"window": DAY, "fields": {"users": Users(), "views": Count()}},
        {"window": HOUR, "fields": {"users": Users()}},
        {"window": DAY, "fields": {"top": TopUsers(10)}, "by": "genre"},
        {"window": DAY, "fields": {"top": Top(10, "movie_id", {"title": Title()}), "avg": Mean("rating")}},
        {"window": DAY, "fields": {"at": Start(), "top": Top(10, "movie_id", {"title": Title()})}, "by": "genre"},
    ],
)
def test_an_aggregation_that_nothing_would_count_cannot_be_declared(declared: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="mine: "):
        Result("mine", **declared)
