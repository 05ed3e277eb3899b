"""Rows become records that the worker takes, and the others are refused with their line."""

import csv
import gc
import os
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.errors import InputError
from movie_stream.events.event import decode
from movie_stream.replay.files.csv_header import HEADER_LINE
from movie_stream.replay.records.csv_records import ViewChunk
from movie_stream.replay.records.csv_views import ViewsFile

HOUR_MS = 3_600_000
GOOD = "tt1,Heat,Crime,u1,1730383200000,4.5,170,2.99"
FIELDS = HEADER_LINE.split(",")


def read(path: Path) -> tuple[list[dict[str, Any]], list[int], list[tuple[int, str]]]:
    with ViewsFile(path) as file:
        chunks = list(file.chunks(HOUR_MS))
    assert all(len(chunk.keys) == len(chunk.values) == len(chunk.lines) for chunk in chunks)
    records = [msgspec.json.decode(value or b"") for chunk in chunks for value in chunk.values]
    assert [record["user_id"].encode() for record in records] == [key for chunk in chunks for key in chunk.keys]
    assert [record["timestamp"] for record in records] == [t for chunk in chunks for t in chunk.timestamp_ms.tolist()]
    lines = [line for chunk in chunks for line in chunk.lines.tolist()]
    return records, lines, [(row.line, row.reason) for chunk in chunks for row in chunk.refused]


def read_text(folder: Path, text: str | bytes) -> tuple[list[dict[str, Any]], list[int], list[tuple[int, str]]]:
    file = folder / "views.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file)


DIALECTS = st.sampled_from(
    [{"lineterminator": "\r\n"}, {"lineterminator": "\n", "quoting": csv.QUOTE_ALL}],
)
TEXTS = st.text(
    st.one_of(st.sampled_from(',"\n\r;é\u2028'), st.characters(codec="utf-8", exclude_characters="\0")),
    min_size=1,
    max_size=20,
)
VIEWS = st.fixed_dictionaries(
    {
        "movie_id": TEXTS,
        "title": TEXTS,
        "genre": TEXTS.filter(lambda genre: bool(genre.strip())),
        "user_id": TEXTS,
        "timestamp": st.integers(220_000_000_000, 1_700_000_000_000),  # below: seconds, or dates in digits
        "rating": st.none() | st.floats(0, 5),
        "duration": st.none() | st.integers(0, 1440),
        "price": st.none() | st.floats(0, 1e9),
    }
)


@given(
    st.lists(VIEWS, max_size=20),
    st.permutations([*FIELDS, "unknown"]),
    DIALECTS,
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_any_views_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    views: list[dict[str, Any]],
    order: list[str],
    dialect: dict[str, Any],
    encoding: str,
) -> None:
    path = tmp_path_factory.mktemp("views") / "views.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, order, restval='any "thing"\n', **dialect)
        writer.writeheader()
        writer.writerows(views)
    records, lines, refused = read(path)
    assert refused == []
    assert records == [{name: value for name, value in view.items() if value is not None} for view in views]
    assert lines == sorted(lines)


def test_the_worker_takes_every_record(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text(f"{HEADER_LINE}\n{GOOD}\ntt1,Heat,  Crime ,u1,1730383200000,,,\n")
    with ViewsFile(path) as file:
        (chunk,) = file.chunks(HOUR_MS)
    assert decode(chunk.values, None, HOUR_MS).refusals == []


def test_the_sample() -> None:
    records, lines, refused = read(Path(__file__).parents[3] / "data" / "movies.csv")
    assert (len(records), refused) == (10, [])
    assert lines == list(range(2, 12))
    assert {time.gmtime(record["timestamp"] / 1000)[:3] for record in records} == {(2024, 10, 31)}
    assert [record["timestamp"] for record in records] == sorted(record["timestamp"] for record in records)


def test_a_whole_number_may_have_zeros_after_the_point(tmp_path: Path) -> None:
    records, _, _ = read_text(tmp_path, f"{HEADER_LINE}\ntt1,Heat,Crime,u1,1730383200000.0,4,30.0,\n")
    assert records[0] == {
        "movie_id": "tt1",
        "title": "Heat",
        "genre": "Crime",
        "user_id": "u1",
        "timestamp": 1730383200000,
        "rating": 4.0,
        "duration": 30,
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "tt1,Heat,Crime,u1,1730383200000,abc,170,",
            'rating: expected a number from 0 to 5, or null, got "abc"',
        ),
        (
            "tt1,Heat,Crime,u1,1730383200000,nan,170,",
            'rating: expected a number from 0 to 5, or null, got "nan"',
        ),
        ("tt1,Heat,Crime,u1,1730383200000,7,170,", "rating: expected a number from 0 to 5, or null, got 7.0"),
        ("tt1,Heat,Crime,u1,1.73E+12,4,170,", "timestamp: expected a whole number of Unix milliseconds"),
        ("tt1,Heat,Crime,u1,,4,170,", "timestamp: expected a whole number of Unix milliseconds"),
        ("tt1,Heat,Crime,u1,-5,4,170,", 'got "-5"'),
        ("tt1,Heat,Crime,u1,4889376000000,4,170,", "more than the 3,600 s of FUTURE_TOLERANCE"),
        (
            "tt1,Heat,Crime,u1,1730383200000,4,1441,",
            "duration: expected a whole number of minutes from 0 to 1440",
        ),
        (
            "tt1,Heat,Crime,u1,1730383200000,4,1.5,",
            "duration: expected a whole number of minutes from 0 to 1440",
        ),
        (
            "tt1,Heat,Crime,u1,1730383200000,4,170,-1",
            "price: expected a number from 0 to 1000000000, or null, got -1.0",
        ),
        (
            ",Heat,Crime,u1,1730383200000,4,170,",
            "movie_id: expected a string of 1 to 128 characters, got an empty cell",
        ),
        (
            "tt1,,Crime,u1,1730383200000,4,170,",
            "title: expected a string of 1 to 512 characters, got an empty cell",
        ),
        (
            f"{'m' * 129},Heat,Crime,u1,1730383200000,4,170,",
            "movie_id: expected a string of 1 to 128 characters, got",
        ),
        (
            "tt1,Heat,   ,u1,1730383200000,4,170,",
            "genre: expected a string of 1 to 64 characters after trimming",
        ),
        ("tt1,Heat,Crime", "expected 8 cells, as many as the header has, got 3"),
        ('tt1,"Heat,Crime,u1,1730383200000,4,170,', "a quote is opened and not closed"),
        ("\0\0\0\0", "expected 8 cells, as many as the header has, got 1"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_is_read(tmp_path: Path, row: str, reason: str) -> None:
    records, lines, refused = read_text(tmp_path, f"{HEADER_LINE}\n{GOOD}\n{row}\n{GOOD}\n")
    assert len(records) == 2
    assert lines == [2, 4]
    assert [line for line, _ in refused] == [3]
    assert reason in refused[0][1]


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    latin = GOOD.replace("Heat", "Amélie").encode("latin-1")
    records, _, refused = read_text(tmp_path, b"\n".join([HEADER_LINE.encode(), GOOD.encode(), latin, GOOD.encode()]))
    assert len(records) == 2
    assert refused == [(3, "title: not UTF-8 (byte 0xe9); save the file as UTF-8")]


def test_many_kinds_of_bad_rows_in_one_chunk_keep_their_lines(tmp_path: Path) -> None:
    bad = [
        GOOD.replace("4.5", "x").encode(),
        GOOD.replace("Heat", "café").encode("latin-1"),
        GOOD.replace("4.5", "9").encode(),
        b"too,short",
    ]
    rows = [HEADER_LINE.encode()] + [line for one in bad for line in (GOOD.encode(), one)]
    records, lines, refused = read_text(tmp_path, b"\n".join(rows))
    assert lines == [2, 4, 6, 8]
    assert [line for line, _ in refused] == [3, 5, 7, 9]
    assert len(records) == 4


def test_times_are_those_of_all_rows_that_have_one(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text(f"{HEADER_LINE}\n{GOOD}\ntt1,Heat,Crime,u1,soon,4,170,\n{GOOD.replace('4.5', 'x')}\n")
    with ViewsFile(path) as file:
        ((times_ms, lines),) = file.times()
        assert (times_ms.tolist(), lines.tolist()) == ([1730383200000] * 2, [2, 4])
        assert (file.line, file.position) == (4, path.stat().st_size)


def test_a_file_can_be_read_again_and_left_half_read(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text(f"{HEADER_LINE}\n" + f"{GOOD}\n" * 12_000)
    with ViewsFile(path) as file:
        half = file.chunks(HOUR_MS)
        next(half)
        assert sum(map(len, file.chunks(HOUR_MS))) == 12_000
        assert sum(map(len, file.chunks(HOUR_MS, last_line=7_001))) == 7_000
        half.close()  # type: ignore[attr-defined]  # it is a generator
    gc.collect()


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert read_text(tmp_path, HEADER_LINE) == ([], [], [])


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nope\.csv: expected a CSV file, got 'no such file'; check the path"):
        ViewsFile(tmp_path / "nope.csv")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 'a directory'; name a file inside it"):
        ViewsFile(tmp_path)


def test_a_header_with_an_open_quote(tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_text('movie_id,"title\n' + GOOD)
    with pytest.raises(InputError, match="line 1: expected a header line, got 'a quote is opened"):
        ViewsFile(tmp_path / "views.csv")


def test_a_pipe_is_copied(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[f"{HEADER_LINE}\n{GOOD}\n"])
    writer.start()
    records, lines, _ = read(pipe)
    writer.join()
    assert (len(records), lines) == (1, [2])


def test_an_empty_chunk_has_no_rows() -> None:
    assert len(ViewChunk.nothing()) == 0


def test_a_line_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    with path.open("wb") as file:
        file.write(f"{HEADER_LINE}\n{GOOD}\n".encode())
        file.truncate(200 << 20)  # one line of zeros, which takes no room on the disk
    tracemalloc.start()
    try:
        with ViewsFile(path) as views:
            chunks = list(views.chunks(0))
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert [len(chunk) for chunk in chunks] == [1]
    assert [(row.line, row.reason[:34]) for row in chunks[0].refused] == [(3, "a row is longer than 1048576 chara")]
