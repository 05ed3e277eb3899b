"""The quick way to records makes what the plain way makes, byte for byte, and is the one that most rows go."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.events.contract import FIELDS, OPTIONAL
from movie_stream.replay.files import csv_cells, csv_rows
from movie_stream.replay.files.csv_header import Header
from movie_stream.replay.files.csv_rows import RefusedRow, Rows
from movie_stream.replay.records import csv_views, replay_input
from movie_stream.replay.records.csv_records import PlainRecords, ViewChunk
from movie_stream.replay.records.csv_views import ViewsFile
from movie_stream.replay.records.quick_records import QuickRecords
from movie_stream.replay.synthetic.generate import COLUMNS, generate_rows
from tests.support.input.generated_csv import csv_text

HOUR_MS = 3_600_000

# As unlike what most rows have as it gets; some are good, some are not.
ODD_TEXTS = [
    "",
    " ",
    "two words ",
    "\x85",
    "\xa0 \u3000",
    "한국 드라마",
    "\u3000アニメ",
    "“Drama”",
    '\\"\\',
    "x,y",
    'a"b',
    "back\\slash",
    "line\nfeed",
    "re\rturn",
    "tab\t",
    "\0",
    "\x1f",
    "\x7f",
]
ODD_TEXTS += ["Amélie", "千と千尋", "\u2028", "m" * 128, "m" * 129, "t" * 512, "t" * 513, " " * 600 + "x"]
ODD_TIMES = ["", "0", "7", "007", "+5", "1e3", "1730383200000.0", " 1730383200000", "0730383200000", "4889376000000"]
ODD_TIMES += ["173038320000x", "9" * 18, "9" * 19, "soon", "20241031", "202410311601", "2024-10-31"]
ODD_NUMBERS = ["", " ", "4", "4.5", "4.50", "1e3", "1E0", "+5", "007", "4.5 ", " 4", ".5", "5.", "-0", "-0.0", "1e-7"]
ODD_NUMBERS += ["0.0001", "0.00001", "5", "5.0", "5.01", "0.10", "00.5", "123456789012.345", "1234567890123456"]
ODD_NUMBERS += [
    "1e999",
    "nan",
    "٤",
    "1440",
    "1441",
    "1000000000",
    "1000000000.0",
    "4.333333333333333",
    "4.3333333333333333",
    "30.0",
    "1000000000.01",
    "-1",
    "abc",
    "0.1000000000000000055",
    "NULL",
    "\\N",
]
GOOD_TIMES = st.integers(1_730_383_200_000, 1_730_383_209_999).map(str)
GOOD = {
    "movie_id": st.sampled_from(["tt1", "tt2", "tt3"]),
    "title": st.sampled_from(["Heat", "Amélie", "Days, Nights", 'Called "X"', "千と千尋"]),
    "genre": st.sampled_from(["Crime", " Drama "]),
    "user_id": st.integers(0, 999).map("user_{}".format) | st.sampled_from(["é", "a b"]),
    "timestamp": GOOD_TIMES,
    "rating": st.sampled_from(["", "4", "4.5"]),
    "duration": st.sampled_from(["", "170", "170.0"]),
    "price": st.sampled_from(["", "2.99", "0"]),
    "note": st.sampled_from(["", "any, thing"]),
}
ODD = {
    **dict.fromkeys(("movie_id", "title", "genre", "user_id", "note"), ODD_TEXTS),
    "timestamp": ODD_TIMES,
    **dict.fromkeys(("rating", "duration", "price"), ODD_NUMBERS),
}


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A CSV most of whose rows are good."""
    left_out = draw(st.sets(st.sampled_from(["note", *OPTIONAL])))
    names = [name for name in draw(st.permutations([*FIELDS, "note"])) if name not in left_out]
    rows = draw(st.lists(st.tuples(*(GOOD[name] for name in names)), max_size=12))
    for _ in range(draw(st.integers(0, 3)) if rows else 0):
        row = draw(st.integers(0, len(rows) - 1))
        column = draw(st.integers(0, len(names) - 1))
        rows[row] = (*rows[row][:column], draw(st.sampled_from(ODD[names[column]])), *rows[row][column + 1 :])
    text = io.StringIO(newline="")
    dialects: list[dict[str, Any]] = [{"lineterminator": "\n"}, {"lineterminator": "\r\n"}, {"quoting": csv.QUOTE_ALL}]
    writer = csv.writer(text, **draw(st.sampled_from(dialects)))
    writer.writerows([names, *rows])
    lines = text.getvalue().encode().splitlines(keepends=True)
    if draw(st.booleans()):
        mess = draw(
            st.sampled_from([b"\n", b"  \n", b"too,short\n", b'"open\n', b"caf\xe9,\n", b",,,,,,,,\n", b"\r\n"])
        )
        lines.insert(draw(st.integers(1, len(lines))), mess)
    whole = b"".join(lines)
    return whole.rstrip(b"\r\n") if draw(st.booleans()) else whole


def all_of(path: Path) -> tuple[list[Any], list[RefusedRow], list[int]]:
    """The good rows, the refused ones and the times of a file, whatever its chunks."""
    with ViewsFile(path) as file:
        file.now_ms = 1_730_500_000_000
        times = [time_ms for times_ms, _ in file.times() for time_ms in times_ms.tolist()]
        chunks = list(file.chunks(HOUR_MS))
    rows = [
        row
        for chunk in chunks
        for row in zip(chunk.keys, chunk.values, chunk.timestamp_ms.tolist(), chunk.lines.tolist(), strict=True)
    ]
    return rows, [row for chunk in chunks for row in chunk.refused], times


def check_both_ways(path: Path) -> None:
    """The quick way, in chunks of any size, finds in a file what the plain way does."""
    quick = all_of(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "CHUNK", 200)
        in_other_chunks = all_of(path)
        patch.setattr(csv_rows, "_split", lambda *_: None)
        patch.setattr(replay_input, "QuickRecords", lambda plain: plain)
        for module in (csv_cells, csv_views, replay_input):
            patch.setattr(module, "plain_timestamps", lambda *_: None)
        plain = all_of(path)
    assert quick == plain
    assert in_other_chunks == plain


@given(files())
def test_the_quick_way_makes_what_the_plain_way_makes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("views") / "views.csv"
    path.write_bytes(data)
    check_both_ways(path)


@pytest.mark.parametrize("field", ODD)
def test_any_odd_cell_among_good_ones(tmp_path: Path, field: str) -> None:
    good = dict(zip(ODD, ["tt1", "Heat", "Crime", "u1", "", "1730383200000", "4", "170", "2.99"], strict=True))
    for cell in ODD[field]:
        with (tmp_path / "views.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, good, lineterminator="\n")
            writer.writeheader()
            writer.writerows([good, good | {field: cell}, good])
        check_both_ways(tmp_path / "views.csv")


def test_rows_that_are_bad_in_different_ways(tmp_path: Path) -> None:
    good = "tt1,Heat,Crime,u1,1730383200000,4,170,2.99\n"
    bad = [good.replace("4,170", "lots,170"), good.replace("1730383200000", "soon"), good.replace("Heat", "")]
    path = tmp_path / "views.csv"
    path.write_text("".join([",".join(COLUMNS) + "\n", *(row for one in bad for row in (good, one)), good]))
    rows, refused, _ = all_of(path)
    assert ([row[3] for row in rows], [row.line for row in refused]) == ([2, 4, 6, 8], [3, 5, 7])
    check_both_ways(path)


def write(path: Path, *more: str) -> Path:
    """10,000 generated views, and more lines in their midst."""
    lines = csv_text(generate_rows(10_000, 1)).splitlines(keepends=True)
    path.write_text("".join([*lines[:5_001], *more, *lines[5_001:]]))
    return path


@pytest.mark.parametrize("more", [[], ["tt1,Heat,Crime,u1,1730383200000,lots,170,\n", "tt1,,Crime,u1,1,4,170,\n"]])
def test_most_rows_never_go_the_plain_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    seen = 0
    views = PlainRecords.views

    def watched(self: PlainRecords, rows: Rows, now_ms: int, future_tolerance_ms: int) -> ViewChunk:
        nonlocal seen
        seen += len(rows)
        return views(self, rows, now_ms, future_tolerance_ms)

    monkeypatch.setattr(PlainRecords, "views", watched)
    rows, refused, _ = all_of(write(tmp_path / "views.csv", *more))
    assert (len(rows), len(refused)) == (10_000, len(more))
    assert seen <= len(more)


def test_rows_apart_come_back_in_the_order_of_the_file() -> None:
    header = Header(8, {name: place for place, name in enumerate(FIELDS)})
    quick = QuickRecords(PlainRecords(header))
    count = 6
    long = ["\tCrime", "Crime", "Crime", "\tCrime", "Crime", " " * 70]
    columns = [["m"] * count, ["t"] * count, long, list("abcdef"), list("123456"), *[[""] * count] * 3]
    chunk = quick.views(Rows(columns, np.arange(10, 16), [RefusedRow(9, "x"), RefusedRow(17, "y")]), 10, 0)
    assert (list(chunk.keys), chunk.lines.tolist()) == ([b"a", b"b", b"c", b"d", b"e"], [10, 11, 12, 13, 14])
    assert chunk.timestamp_ms.tolist() == [1, 2, 3, 4, 5]
    assert [row.line for row in chunk.refused] == [9, 15, 17]
