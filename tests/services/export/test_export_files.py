"""`export` to files and folders: DuckDB reads in them what MongoDB holds; folders are gone on with."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from bson.int64 import Int64

from movie_stream.aggregates import results
from movie_stream.aggregates.fields import Count, Date, Field, Mean, Start, Title, Top
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.window import DAY
from movie_stream.commands.export.by_range import AllGone
from movie_stream.errors import UsageError
from movie_stream.export import documents as exported
from movie_stream.export import excel_file
from movie_stream.export.bookkeeping import FolderOfAnother, NotesDamaged
from movie_stream.export.excel_file import SheetFull
from movie_stream.export.new_file import ExportFailed
from movie_stream.settings import Settings
from tests.services.export.conftest import ODD, Db, files, run

NAMES = [*(result.collection for result in results.RESULTS), "data_quality_flat"]


def sql(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


@pytest.fixture(params=["csv", "ndjson", "parquet", "csv.gz", "ndjson.zst"])
def ending(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_duckdbs_sums_are_mongodbs(filled: Settings, db: Db, ending: str, tmp_path: Path) -> None:
    run(filled, "all", to=tmp_path, named=ending)
    assert files(tmp_path) == sorted(f"{name}.{ending}" for name in NAMES)
    for name, total in (("movies_aggregates", "total_duration"), ("daily_stats", "daily_revenue")):
        group = {"$group": {"_id": "$genre", "n": {"$sum": 1}, "total": {"$sum": f"${total}"}}}
        wanted = sorted((one["_id"], one["n"], one["total"]) for one in db[name].aggregate([group]))
        found = sql(f"SELECT genre, count(*), sum({total}) FROM '{tmp_path}/{name}.{ending}' GROUP BY 1 ORDER BY 1")
        assert found == wanted != []
    rows = [(row["_id"], row["rank"], row["title"], row["views"]) for row in db.top_movies_flat.find()]
    found = sql(f"SELECT _id, rank, title, views FROM '{tmp_path}/top_movies.{ending}'")
    assert sorted(found) == sorted(rows)
    assert ODD in {title for _, _, title, _ in found}
    start, kind = sql(f"SELECT min(timestamp), typeof(min(timestamp)) FROM '{tmp_path}/hourly_metrics.{ending}'")[0]
    assert kind.startswith("TIMESTAMP")
    first = db.hourly_metrics.find_one(sort=[("timestamp", 1)])
    assert first is not None
    assert start.replace(tzinfo=UTC) == first["timestamp"]


def test_the_list_beside_figures_is_exported_by_the_name_of_its_flat_view(
    filled: Settings, db: Db, ending: str, tmp_path: Path
) -> None:
    hour = datetime(2024, 10, 31, 14, tzinfo=UTC)
    newest = hour.replace(minute=3, microsecond=7_000)
    reasons = [{"kind": "bad", "reason": f"r{n}", "count": Int64(n)} for n in (3, 2)]
    blank = db.data_quality.find_one() or {}
    db.data_quality.insert_one({**blank, "_id": "q", "timestamp": hour, "newest_record": newest, "refused": reasons})
    wanted = list(db.data_quality_flat.find({}, {"_id": 1, "rank": 1, "reason": 1}))
    for name in ("data_quality_flat", "top-movies-flat", "quality"):
        run(filled, name, to=f"{tmp_path}/{name}.{ending}")
    found = sql(f"SELECT _id, rank, reason FROM '{tmp_path}/data_quality_flat.{ending}' ORDER BY _id")
    assert found == sorted((row["_id"], row["rank"], row["reason"]) for row in wanted) != []
    assert sql(f"SELECT count(*) FROM '{tmp_path}/quality.{ending}'") == [(db.data_quality.count_documents({}),)]
    count = db.top_movies_flat.count_documents({})
    assert sql(f"SELECT count(*) FROM '{tmp_path}/top-movies-flat.{ending}'") == [(count,)]
    with pytest.raises(UsageError, match="data_quality_flat"):
        run(filled, "hourly_metrics_flat", to=tmp_path / "x.csv")


def test_days_are_dates_and_times_of_one_form(filled: Settings, db: Db, tmp_path: Path) -> None:
    run(filled, "days", to=tmp_path / "x.parquet")
    run(filled, "days", to=tmp_path / "x.xlsx")
    run(filled, "days", to=tmp_path / "x.csv")
    run(filled, "days", to=f"delta:{tmp_path}/x")
    for source in (f"'{tmp_path}/x.parquet'", f"read_parquet('{tmp_path}/x/*/*.parquet')"):
        assert sql(
            f"SELECT DISTINCT typeof(date), CAST(date AS text) = strftime(timestamp, '%Y-%m-%d') FROM {source}"
        ) == [("DATE", True)]
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    [column] = [found for found in book.active.iter_cols(values_only=True) if found[0] == "date"]
    book.close()
    assert {value.strftime("%Y-%m-%d") for value in column[1:]} == set(db.daily_stats.distinct("date"))
    times = re.findall(r"\d{4}-\d\d-\d\dT[^,\r]*", (tmp_path / "x.csv").read_text())
    assert times
    assert all(re.fullmatch(r"\S{10}T\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)


def test_since_until_and_genre(filled: Settings, db: Db, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.parquet"
    choice = {"since": "2024-10-31", "until": "2024-11-01T06:00", "genre": " DRAMA "}
    run(filled, "windows", to=file, **choice)
    bounds = {"$gte": datetime(2024, 10, 31, tzinfo=UTC), "$lt": datetime(2024, 11, 1, 6, tzinfo=UTC)}
    count = db.movies_aggregates.count_documents({"slug": "drama", "window_start": bounds})
    assert sql(f"SELECT count(*), min(genre), max(genre) FROM '{file}'") == [(count, "Drama", "Drama")]
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"Wrote {count} rows of movies_aggregates to \S+x\.parquet \([\d.]+ kB\)\n", said.err)


def test_all_with_a_time_takes_results_without_one_whole(filled: Settings, tmp_path: Path) -> None:
    run(filled, "all", to=tmp_path / "t", since="2025-01-01")
    assert sql(f"SELECT count(*) FROM '{tmp_path}/t/category_stats.csv'") == [(3,)]
    assert (tmp_path / "t" / "hourly_metrics.csv").read_bytes().count(b"\n") == 1
    run(filled, "all", to=tmp_path / "g", genre="drama")
    assert files(tmp_path / "g") == ["category_stats.csv", "daily_stats.csv", "movies_aggregates.csv"]


def test_a_result_of_ones_own(
    settings: Settings, filled: Settings, db: Db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films: dict[str, Field] = {"title": Title(), "views": Count(), "avg_rating": Mean("rating")}
    fields: dict[str, Field] = {"date": Date(), "timestamp": Start(), "movies": Top(100, "movie_id", films)}
    own = Result("daily_movies", DAY, prefix="daily_movies", fields=fields)
    monkeypatch.setattr(results, "RESULTS", (*results.RESULTS, own))
    day = datetime(2024, 11, 1, tzinfo=UTC)
    listed = [{"movie_id": "a", "title": "=A1", "views": 3, "avg_rating": None}]
    db.daily_movies.insert_one({"_id": "d", "date": "2024-11-01", "timestamp": day, "movies": listed})
    for ending in ("csv", "parquet"):
        file = tmp_path / f"x.{ending}"
        run(filled, "daily-movies", to=file)
        assert sql(f"SELECT _id, rank, movie_id, title, views, avg_rating FROM '{file}'") == [
            ("d_1", 1, "a", "=A1", 3, None)
        ]


def test_pages_of_any_size_are_the_same(filled: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(filled, "all", to=tmp_path / "a")
    monkeypatch.setattr(exported, "documents_at_once", lambda _: 3)
    run(filled, "all", to=tmp_path / "b")
    for name in NAMES:
        assert (tmp_path / "a" / f"{name}.csv").read_bytes() == (tmp_path / "b" / f"{name}.csv").read_bytes()


def test_excel_names_its_limit_before_it_writes(
    filled: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(filled, "top_movies", to=tmp_path / "x.xlsx")
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    rows = book.active.max_row
    book.close()
    for module in (excel_file, sys.modules["movie_stream.commands.export.one_file"]):
        monkeypatch.setattr(module, "MOST_ROWS", rows - 1)
    with pytest.raises(SheetFull, match=rf"and these are {rows - 1};"):
        run(filled, "top_movies", to=tmp_path / "y.xlsx")
    assert files(tmp_path) == ["x.xlsx"]


def marks(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.glob("20*")}


def test_a_folder_by_day_is_brought_up_to_date(
    filled: Settings, db: Db, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def again(**options: Any) -> str:
        run(filled, "windows", to=tmp_path, by="day", **options)
        return capsys.readouterr().err.strip()

    folder = tmp_path / "movies_aggregates"
    assert again(since="2024-10-30T12:00", until="2024-10-30T13:00").splitlines()[0] == (
        "movies_aggregates: whole days, from 2024-10-30 to 2024-10-31 exclusive (UTC)"
    )
    assert files(folder) == ["2024-10-30.csv", "_exported.jsonl"]
    first = marks(folder)
    said = again()
    assert said.startswith("Wrote 2 days of movies_aggregates")
    assert said.endswith("; 1 day was whole already")
    before = marks(folder)
    assert before.items() >= first.items()
    assert len(before) == 3
    assert "Wrote 0 days of movies_aggregates, 0 rows" in again()
    db.movies_aggregates.update_one(
        {"window_start": {"$gte": datetime(2024, 11, 1, tzinfo=UTC)}},
        {"$inc": {"_rev.0": Int64(1)}, "$set": {"total_views": 77}},
    )
    assert "Wrote 1 day of movies_aggregates" in again()
    assert {name for name, node in marks(folder).items() if node != before[name]} == {"2024-11-01.csv"}
    assert sql(f"SELECT max(total_views), count(*) FROM '{folder}/*.csv'") == [
        (77, db.movies_aggregates.count_documents({}))
    ]
    db.movies_aggregates.delete_many({"window_start": {"$lt": datetime(2024, 10, 31, tzinfo=UTC)}})
    assert again().endswith("; 2 days were whole already; removed 1 day that is not in MongoDB any more")
    assert sorted(marks(folder)) == ["2024-10-31.csv", "2024-11-01.csv"]
    (folder / "2024-10-31.csv").write_text("spoilt")
    assert "Wrote 1 day" in again()
    db.movies_aggregates.delete_many({})
    with pytest.raises(AllGone, match="holds 2 ranges of movies_aggregates, and movies_"):
        again()
    assert len(marks(folder)) == 2


def test_a_folder_that_was_interrupted_is_gone_on_with(
    filled: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "movies_aggregates"
    real, begun = exported.Documents.pages, []

    def pages(self: exported.Documents, query: Any) -> Any:
        begun.append(query)
        for page in real(self, query):
            yield page
            if len(begun) == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exported.Documents, "pages", pages)
        with pytest.raises(KeyboardInterrupt):
            run(filled, "windows", to=tmp_path, by="day", named="parquet")
    assert files(folder) == ["2024-10-30.parquet", "_exported.jsonl"]
    with (folder / "_exported.jsonl").open("ab") as notes:
        notes.write(b'{"label": "2024-10-31", "fi')  # as a machine that died left it
    capsys.readouterr()
    run(filled, "windows", to=tmp_path, by="day", named="parquet")
    assert capsys.readouterr().err.strip().endswith("; 1 day was whole already")
    assert len(files(folder)) == 4
    assert all(json.loads(line) for line in (folder / "_exported.jsonl").read_text().splitlines())


def test_a_folder_by_month_and_of_results_without_time(filled: Settings, tmp_path: Path) -> None:
    run(filled, "all", to=tmp_path, by="month", named="parquet")
    assert files(tmp_path / "hourly_metrics") == ["2024-10.parquet", "2024-11.parquet", "_exported.jsonl"]
    assert files(tmp_path / "category_stats") == ["_exported.jsonl", "all.parquet"]
    with pytest.raises(UsageError, match=r"--by: expected a result with windows.*'category_stats'"):
        run(filled, "genres", to=tmp_path / "other", by="day")


def test_a_folder_of_another_export_stays_as_it_is(filled: Settings, tmp_path: Path) -> None:
    run(filled, "days", to=tmp_path, by="day")
    before = files(tmp_path)
    for other, what in (({"genre": "drama"}, "genre"), ({"named": "parquet"}, "format"), ({"bom": True}, "bom")):
        with pytest.raises(FolderOfAnother, match=f"another {what}"):
            run(filled, "days", to=tmp_path, by="day", **other)
    with pytest.raises(FolderOfAnother, match="another by"):
        run(filled, "days", to=tmp_path, by="month")
    assert files(tmp_path) == before
    (tmp_path / "daily_stats" / "_exported.jsonl").write_text("{}\nno\n")
    with pytest.raises((NotesDamaged, FolderOfAnother)):
        run(filled, "days", to=tmp_path, by="day")
    (tmp_path / "daily_stats" / "_exported.jsonl").unlink()
    with pytest.raises(UsageError, match="a folder that is new or empty, or holds such an export already"):
        run(filled, "days", to=tmp_path, by="day")
    run(filled, "days", to=tmp_path, by="day", overwrite=True)
    assert files(tmp_path) == before


def test_what_is_in_the_way_is_seen_before_anything_is_written(filled: Settings, tmp_path: Path) -> None:
    (tmp_path / "top_users.csv").touch()
    with pytest.raises(UsageError, match=r"replace it with --overwrite"):
        run(filled, "all", to=tmp_path)
    assert files(tmp_path) == ["top_users.csv"]
    (tmp_path / "file").touch()
    with pytest.raises(ExportFailed, match="Not a directory"):
        run(filled, "all", to=tmp_path / "file" / "folder")
