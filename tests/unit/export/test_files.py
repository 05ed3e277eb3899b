"""Files of every format: odd texts come back as they were, and a file is there as a whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.export import excel_file
from movie_stream.export.columns import Column, UnsupportedValue
from movie_stream.export.excel_file import SheetFull
from movie_stream.export.target import FORMATS, form_named
from movie_stream.export.writers import writer_to
from tests.support.examples import examples

COLUMNS = (
    Column("_id", "text"),
    Column("title", "text"),
    Column("start", "time"),
    Column("views", "count"),
    Column("rating", "number"),
)
START = datetime(2024, 10, 31, 14, 30, tzinfo=UTC)
ODD = (
    *("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "'quoted", '"', '""', "a,b;c\td", "line\nand\r\nline\rend", " "),
    *("http://example.org/", "internal:Sheet!A1", "1e9", "00123", "TRUE", "2024-10-31", "NULL", "None"),
    *(
        "Amélie 🎬 映画 שלום",
        "\u202eright",
        "e\u0301",
        "\x07\x1b[2J",
        "_x0041_",
        "\ufeffm",
        "\ufffe\uffff",
        "\x85\u2028",
        "\ufffe\uffff",
    ),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1_000 * 1_000, tzinfo=UTC)
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "_id": TEXTS | st.sampled_from(ODD),
            "title": TEXTS | st.sampled_from(ODD),
            "start": MOMENTS,
            "views": st.integers(0, 2**63 - 1),
            "rating": st.none() | st.floats(0, 1e12),
        }
    ),
    max_size=8,
)
Row = dict[str, Any]


def row(number: int = 1, **other: Any) -> Row:
    return {"_id": f"a{number}", "title": "Alien", "start": START, "views": number, "rating": None} | other


def written(folder: Path, ending: str, *pages: Sequence[Row], **options: Any) -> Path:
    form = form_named(ending)
    assert form is not None
    path = folder / f"out.{ending}"
    with writer_to(path, form, COLUMNS, name="hours", **options) as writer:
        for page in pages:
            writer.write(page)
    assert sorted(folder.iterdir()) == [path]
    return path


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def read_csv(data: bytes) -> list[Row]:
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    return [
        {
            **{name: row[name] for name in ("_id", "title")},
            "start": moment(row["start"]),
            "views": int(row["views"]),
            "rating": float(row["rating"]) if row["rating"] else None,
        }
        for row in rows
    ]


def read_lines(data: bytes) -> list[Row]:
    return [{**(row := json.loads(line)), "start": moment(row["start"])} for line in data.split(b"\n")[:-1]]


def read_parquet(data: bytes) -> list[Row]:
    found: list[Row] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    return found


READERS: dict[str, Callable[[bytes], list[Row]]] = {
    "csv": read_csv,
    "csv.gz": lambda data: read_csv(gzip.decompress(data)),
    "ndjson": read_lines,
    "ndjson.zst": lambda data: read_lines(zstandard.ZstdDecompressor().decompressobj().decompress(data)),
    "parquet": read_parquet,
}


@pytest.mark.parametrize("ending", READERS)
@given(pages=st.lists(ROWS, max_size=3))
@settings(max_examples=examples(15))
def test_every_value_comes_back(ending: str, pages: list[list[Row]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = written(Path(folder), ending, *pages).read_bytes()
    assert READERS[ending](data) == [row for page in pages for row in page]


def cells(path: Path) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path)
    rows = [tuple(cell for cell in row) for row in book.active.iter_rows()]
    book.close()
    return rows


@given(rows=ROWS)
@settings(max_examples=examples(15))
def test_excel_has_numbers_dates_and_texts_that_stay_texts(rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        header, *found = cells(written(Path(folder), "xlsx", rows))
    assert [cell.value for cell in header] == ["_id", "title", "start (UTC)", "views", "rating"]
    assert len(found) == len(rows)
    for (_, title, start, views, rating), wanted in zip(found, rows, strict=True):
        assert title.data_type == "s"
        assert title.hyperlink is None
        assert (start.is_date, views.data_type, rating.data_type) == (True, "n", "n")
        assert views.value == pytest.approx(wanted["views"], rel=1e-14)  # Excel itself has 15 digits
        assert rating.value == (None if wanted["rating"] is None else pytest.approx(wanted["rating"], rel=1e-14))
        assert abs(start.value.replace(tzinfo=UTC) - wanted["start"]) <= timedelta(milliseconds=1)


@pytest.mark.parametrize("text", [text for text in ODD if "\r" not in text])
def test_excel_gives_odd_texts_back(text: str, tmp_path: Path) -> None:
    title = cells(written(tmp_path, "xlsx", [row(title=text)]))[1][1]
    assert (openpyxl.utils.escape.unescape(title.value), title.data_type) == (text, "s")


def test_excel_has_a_frozen_header_widths_and_a_filter(tmp_path: Path) -> None:
    path = written(tmp_path, "xlsx", [row(title="映画" * 8), row(2, title="x" * 500)])
    sheet = openpyxl.load_workbook(path).active
    assert (sheet.title, sheet.freeze_panes, sheet.auto_filter.ref) == ("hours", "A2", "A1:E3")
    widths = {letter: column.width for letter, column in sheet.column_dimensions.items()}
    assert 20 <= widths["C"] < widths["B"] <= 61
    assert sheet["C2"].number_format == "yyyy-mm-dd hh:mm:ss"


def test_excels_last_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_file, "MOST_ROWS", 4)
    assert len(cells(written(tmp_path, "xlsx", [row(1)], [row(2), row(3)]))) == 4
    (tmp_path / "out.xlsx").unlink()
    with pytest.raises(SheetFull, match=r"hours: a sheet of Excel has 4 rows at most.*--since and --until"):
        written(tmp_path, "xlsx", [row(1)], [row(2), row(3), row(4)])
    assert list(tmp_path.iterdir()) == []


def test_csv_is_what_programs_expect(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", [row(rating=4.5)], [row(2, title='a "b", c')])
    assert path.read_bytes() == (
        b"_id,title,start,views,rating\r\n"
        b"a1,Alien,2024-10-31T14:30:00.000Z,1,4.5\r\n"
        b'a2,"a ""b"", c",2024-10-31T14:30:00.000Z,2,\r\n'
    )
    path.unlink()
    marked = written(tmp_path, "csv", [row()], bom=True)
    assert marked.read_bytes().startswith(b"\xef\xbb\xbf_id,")
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT _id, start, views FROM '{marked}'").fetchall()
    assert found == [("a1", datetime(2024, 10, 31, 14, 30), 1)] or found[0][1].astimezone(UTC) == START


def test_parquets_types_and_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movie_stream.export.parquet_file.ROW_GROUP", 3)
    path = written(tmp_path, "parquet", *([row(n), row(n + 1)] for n in (1, 3, 5)))
    with pyarrow.parquet.ParquetFile(path) as file:
        assert [str(field.type) for field in file.schema_arrow] == [
            *("string", "string", "timestamp[ms, tz=UTC]", "int64", "double")
        ]
        assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [4, 2]


@pytest.mark.parametrize("ending", FORMATS)
def test_without_rows_there_is_a_file_with_its_columns(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path, ending)
    if ending == "parquet":
        assert pyarrow.parquet.read_schema(path).names == [column.name for column in COLUMNS]
    elif ending == "xlsx":
        assert len(cells(path)) == 1
    else:
        assert path.read_bytes() == (b"_id,title,start,views,rating\r\n" if ending == "csv" else b"")


@pytest.mark.parametrize("ending", ["parquet", "xlsx"])
@pytest.mark.parametrize(("field", "value"), [("views", "many"), ("start", "now"), ("title", 7), ("rating", b"x")])
def test_a_value_of_another_kind_is_named(ending: str, field: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedValue, match=rf"_id 'a2', {field}: expected a \w+, got {value!r}"):
        written(tmp_path, ending, [row(1), row(2, **{field: value})])
    assert list(tmp_path.iterdir()) == []
