"""`export` to Delta Lake: the table mirrors MongoDB, by commits of what differs; two at once do each other no harm."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from bson.int64 import Int64
from deltalake import DeltaTable

from movie_stream.aggregates.results import RESULTS
from movie_stream.aggregates.shape import Shape
from movie_stream.commands.export.by_range import AllGone
from movie_stream.export import arrow, delta_mirror, delta_scope, delta_table
from movie_stream.export.arrow import ExtraMissing
from movie_stream.export.columns import ROWS_AT_ONCE, columns_of
from movie_stream.export.delta_mirror import TableBusy, mirrored
from movie_stream.export.delta_path import TableDiffers
from movie_stream.export.delta_scope import Scope
from movie_stream.export.delta_table import MirrorTable
from movie_stream.export.new_file import ExportFailed
from movie_stream.settings import Settings
from tests.services.export.conftest import Db, files, run

HOURS = Shape.of(next(result for result in RESULTS if result.collection == "hourly_metrics"))


def table_of(path: Path) -> Any:
    return DeltaTable(str(path)).to_pyarrow_table()


def rows(path: Path) -> list[dict[str, Any]]:
    return sorted(table_of(path).to_pylist(), key=lambda row: str(row["_id"]))


def stored(db: Db, name: str, **where: Any) -> list[dict[str, Any]]:
    shape = Shape.of(next(result for result in RESULTS if result.collection == name))
    kinds = {column.name: column.kind for column in columns_of(shape)}
    found = [row for document in db[name].find(where) for row in shape.rows(document)]
    typed = (
        {key: date.fromisoformat(row[key]) if kind == "day" else row[key] for key, kind in kinds.items()}
        for row in found
    )
    return sorted(typed, key=lambda row: str(row["_id"]))


def test_all_results_are_mirrored_and_duckdb_reads_them(
    filled: Settings, db: Db, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_mirror, "slices", in_small_slices)
    run(filled, "all", to=f"delta:{tmp_path}")
    for result in RESULTS:
        found, name = rows(tmp_path / result.collection), result.collection
        start = Shape.of(result).start
        days = [row.pop("window_day") for row in found] if start else []
        assert found == stored(db, name) != []
        assert days == [row[start].date() for row in found if start]
    windows = table_of(tmp_path / "movies_aggregates")
    with duckdb.connect() as connection:
        connection.register("windows", windows)
        sums = connection.execute("SELECT genre, sum(total_views) FROM windows GROUP BY 1 ORDER BY 1").fetchall()
    group = {"$group": {"_id": "$genre", "total": {"$sum": "$total_views"}}}
    assert sums == sorted((one["_id"], one["total"]) for one in db.movies_aggregates.aggregate([group]))
    before = files(tmp_path)
    capsys.readouterr()
    run(filled, "all", to=f"delta:{tmp_path}")
    assert capsys.readouterr().err.count("nothing has changed") == len(RESULTS) + 1
    assert files(tmp_path) == before


def in_small_slices(documents: Any, shape: Shape, whole: Scope) -> Any:
    return delta_scope.slices(documents, shape, whole, 20)


def test_only_what_differs_is_written(
    filled: Settings, db: Db, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def again() -> str:
        capsys.readouterr()
        run(filled, "windows", to=f"delta:{tmp_path}/w")
        return capsys.readouterr().err.partition(": ")[2].strip()

    assert again() == f"{db.movies_aggregates.count_documents({})} rows added, 0 updated, 0 deleted (version 1)"
    before = {file for file in files(tmp_path) if file.endswith(".parquet")}
    day = {"window_start": {"$gte": datetime(2024, 10, 31, tzinfo=UTC), "$lt": datetime(2024, 11, 1, tzinfo=UTC)}}
    db.movies_aggregates.update_one(day, {"$set": {"avg_rating": None, "total_views": 1_000}})
    db.movies_aggregates.delete_one({**day, "total_views": 1})
    new = {**(db.movies_aggregates.find_one(day) or {}), "_id": "new", "genre": "=New 🎬"}
    db.movies_aggregates.insert_one(new)
    assert again() == "1 row added, 1 updated, 1 deleted (version 2)"
    assert all(
        "window_day=2024-10-31" in file for file in files(tmp_path) if file.endswith(".parquet") and file not in before
    )
    assert [{**row, "window_day": None} for row in rows(tmp_path / "w")] == [
        {**row, "window_day": None} for row in stored(db, "movies_aggregates")
    ]
    assert again() == "nothing has changed (version 2)"
    db.movies_aggregates.update_many({}, {"$inc": {"_rev.0": Int64(1)}})  # counted again, with the same figures
    assert again() == "nothing has changed (version 2)"


def test_a_part_is_brought_up_to_date_and_the_rest_left_alone(filled: Settings, db: Db, tmp_path: Path) -> None:
    path, noon = tmp_path / "w", datetime(2024, 10, 31, 12, tzinfo=UTC)
    run(filled, "windows", to=f"delta:{path}")
    count = len(rows(path))
    left = db.movies_aggregates.count_documents({"slug": "drama", "window_start": {"$gte": noon}})
    db.movies_aggregates.delete_many({"$or": [{"slug": "drama"}, {"window_start": {"$lt": noon}}]})
    with pytest.raises(AllGone, match=r"holds \d+ rows of movies_aggregates, and movies_\w+ has no document of these"):
        run(filled, "windows", to=f"delta:{path}", genre="DRAMA", since="2024-10-31T12:00")
    assert len(rows(path)) == count
    run(filled, "windows", to=f"delta:{path}", since="2024-10-31T12:00", until="2025-01-01")
    assert len(rows(path)) == count - left
    run(filled, "windows", to=f"delta:{path}")
    assert len(rows(path)) == db.movies_aggregates.count_documents({})


@pytest.mark.parametrize("name", ["a file", "not empty", "another result", "another column", "not partitioned"])
def test_what_is_no_table_of_the_result_is_not_touched(filled: Settings, name: str, tmp_path: Path) -> None:
    path, pyarrow = tmp_path / "hours", arrow.pyarrow("delta")
    schema = pyarrow.schema([("_id", pyarrow.string()), ("timestamp", pyarrow.timestamp("us", "UTC"))])
    match name:
        case "a file":
            path.touch()
        case "not empty":
            path.mkdir()
            (path / "mine.txt").touch()
        case "another result":
            run(filled, "days", to=f"delta:{path}")
        case "another column":
            DeltaTable.create(str(path), schema, name="hourly_metrics")
        case _:
            full = MirrorTable(tmp_path / "other", HOURS)
            DeltaTable.create(str(path), full._schema, name="hourly_metrics")
    words = {
        "a file": "it is a file",
        "not empty": "it is no Delta Lake table, and not empty",
        "another result": "it is a table of daily_stats, not of hourly_metrics",
        "another column": "its column total_views is another: expected int64, got nothing",
    }
    before = files(tmp_path)
    with pytest.raises(TableDiffers, match=words.get(name, "it is partitioned by") + ".*; nothing was changed there"):
        run(filled, "hours", to=f"delta:{path}")
    assert files(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_one_line(filled: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportFailed, match=r"file/t cannot be written \(Not a directory\)"):
        run(filled, "hours", to=f"delta:{tmp_path}/file/t")


def test_a_disk_that_is_nearly_full_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = MirrorTable(tmp_path, HOURS)
    table.merge(hours(range(3), 1), Scope())
    before = files(tmp_path)
    monkeypatch.setattr("movie_stream.export.delta_table.shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(ExportFailed, match=r"cannot be written \(No space left on device.*the table is as it was"):
        table.merge(hours(range(4), 2), Scope())
    assert files(tmp_path) == before


def hours(numbers: range, views: int) -> list[dict[str, Any]]:
    blank = dict.fromkeys(column.name for column in columns_of(HOURS))
    start = datetime(2024, 10, 31, tzinfo=UTC)
    return [
        {**blank, "_id": f"h{number}", "timestamp": start.replace(hour=number), "total_views": views}
        for number in numbers
    ]


def test_two_at_once_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Each has the table as it was before the other's commits."""
    pair = [MirrorTable(tmp_path, HOURS) for _ in range(2)]
    together = threading.Barrier(2)

    def mirror(table: MirrorTable) -> None:
        for views in range(5):
            together.wait(30)
            list(mirrored(table, lambda _: hours(range(10), views), Scope()))  # noqa: B023

    threads = [threading.Thread(target=mirror, args=(table,)) for table in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [(row["_id"], row["total_views"]) for row in rows(tmp_path)] == [(f"h{n}", 4) for n in range(10)]


def test_whoever_is_always_too_late_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = MirrorTable(tmp_path, HOURS), MirrorTable(tmp_path, HOURS)
    monkeypatch.setattr(delta_mirror, "_ATTEMPTS", 3)
    views = iter(range(100))

    def late(_: float) -> None:
        """Between any two attempts, and before the first one, another commits."""

    monkeypatch.setattr("movie_stream.export.delta_mirror.time.sleep", late)
    real = MirrorTable._gone

    def gone(self: MirrorTable, *given: Any) -> Any:
        if self is slow:
            fast.merge(hours(range(2), next(views)), Scope())
        return real(self, *given)

    monkeypatch.setattr(MirrorTable, "_gone", gone)
    with pytest.raises(TableBusy, match="other writers were faster 3 times in a row"):
        list(mirrored(slow, lambda _: hours(range(3), 1_000), Scope()))
    assert [row["_id"] for row in rows(tmp_path)] == ["h0", "h1"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "ways"), [("hourly_metrics", (1, -1)), ("category_stats", (1, -1)), ("hourly_metrics", (-1,))]
)
def test_an_export_that_is_held_up_reads_anew(
    filled: Settings, db: Db, name: str, ways: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read all; then documents change, and another exports them before it merges any, or a later slice: also
    where they are of other days alone.
    """
    views = "total_views"
    run(filled, name, to=f"delta:{tmp_path}")
    db[name].update_many({}, {"$inc": {views: 1}})
    monkeypatch.setattr(
        delta_mirror, "slices", lambda documents, shape, whole: delta_scope.slices(documents, shape, whole, 1)
    )
    real, held = MirrorTable.merge, [0]

    def merge(self: MirrorTable, *given: Any) -> Any:
        held[0] += 1
        if held[0] in (1, 3):
            raised = [db[name].find_one(sort=[("_id", way)]) or {} for way in ways]
            for document in raised:
                db[name].update_one({"_id": document["_id"]}, {"$inc": {views: 1_000}})
            db[name].insert_one({**raised[0], "_id": f"new{held[0]}", "slug": f"new{held[0]}"})
            later = {} if len(ways) > 1 else {"since": raised[0]["timestamp"].strftime("%Y-%m-%dT%H:%M")}
            with monkeypatch.context() as patch:
                patch.setattr(MirrorTable, "merge", real)
                run(filled, name, to=f"delta:{tmp_path}", **later)
        return real(self, *given)

    monkeypatch.setattr(MirrorTable, "merge", merge)
    run(filled, name, to=f"delta:{tmp_path}")
    assert held[0] > 4
    found = [{key: value for key, value in row.items() if key != "window_day"} for row in rows(tmp_path)]
    assert found == stored(db, name)
    assert max(row[views] for row in found) >= 1_000


def test_many_small_files_become_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_table, "_MOST_FILES", 4)
    table = MirrorTable(tmp_path, HOURS)
    for number in range(7):
        table.merge(hours(range(number, number + 1), 1), Scope(HOURS_START(number), HOURS_START(number + 1)))
    assert len(DeltaTable(str(tmp_path)).file_uris()) <= 4
    assert [row["_id"] for row in rows(tmp_path)] == [f"h{number}" for number in range(7)]


def HOURS_START(number: int) -> datetime:  # noqa: N802
    return datetime(2024, 10, 31, number, tzinfo=UTC)


def test_slices_are_cut_at_windows_and_are_all_of_the_scope() -> None:
    shape = Shape.of(RESULTS[0])
    start = datetime(2024, 10, 31, tzinfo=UTC)
    documents = [
        {"_id": f"{minute}-{genre}", "window_start": start.replace(minute=minute)}
        for minute in range(9)
        for genre in range(3)
    ]
    found = list(delta_scope.slices(documents, shape, Scope(None, None, "x"), 4))
    assert [row["_id"] for piece in found for row in piece.rows] == [document["_id"] for document in documents]
    assert [len(piece.rows) for piece in found] == [6, 6, 6, 6, 3]
    assert [piece.scope.start for piece in found] == [None, *(piece.scope.end for piece in found[:-1])]
    assert found[-1].scope == Scope(start.replace(minute=8), None, "x")
    assert [piece.documents for piece in delta_scope.slices([], shape, Scope())] == [0]
    assert ROWS_AT_ONCE < delta_scope.SLICE_ROWS


def test_a_missing_extra_is_named(filled: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ExtraMissing, match=r"Delta Lake tables take deltalake, .*'movie-stream\[delta\]'"):
        run(filled, "hours", to=f"delta:{tmp_path}/t")
    assert list(tmp_path.iterdir()) == []
