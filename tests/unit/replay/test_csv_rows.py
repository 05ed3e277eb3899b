"""Cutting a file into rows: nothing is lost, and a broken row costs one line."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.replay.files import csv_rows
from movie_stream.replay.files.csv_rows import BAD_QUOTES, CHUNK, CsvRows

CELLS = st.text(
    st.one_of(st.sampled_from('a,"\n\r; é\u2028'), st.characters(codec="utf-8", exclude_characters="\0")), max_size=6
)
DIALECTS = st.sampled_from(
    [
        {"lineterminator": "\r\n"},
        # With line feeds alone, some versions of the writer leave a carriage return in a cell unquoted.
        {"lineterminator": "\n", "quoting": csv.QUOTE_ALL},
    ]
)
WIDTH = 3
HEADER = b"a,b,c\n"


def read(data: bytes, last_line: int | None = None) -> tuple[list[list[str]], list[int], list[tuple[int, str]]]:
    rows = CsvRows(io.BytesIO(HEADER + data), last_line)
    assert rows.first() == (1, ["a", "b", "c"])
    chunks = list(rows.chunks(WIDTH))
    rows.close()
    return (
        [list(cells) for chunk in chunks for cells in zip(*chunk.columns, strict=True)],
        [line for chunk in chunks for line in chunk.lines.tolist()],
        [(row.line, row.reason) for chunk in chunks for row in chunk.refused],
    )


@given(st.lists(st.lists(CELLS, min_size=WIDTH, max_size=WIDTH)), DIALECTS)
def test_written_rows_are_read_back(table: list[list[str]], dialect: dict[str, Any]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(table)
    cells, lines, refused = read(text.getvalue().encode())
    assert cells == table
    assert refused == []
    assert lines == [2 + breaks for breaks in _line_breaks_before(table)]


def _line_breaks_before(table: list[list[str]]) -> list[int]:
    before, breaks = [], 0
    for row in table:
        before.append(breaks)
        breaks += 1 + sum(cell.count("\n") for cell in row)
    return before


@given(st.lists(st.sampled_from([b"1,2,3\n", b'"', b"x,y\n", b"\n", b'4,"5\n5",6\n', b'7,"8,9\n', b"\0", b"\xff"])))
def test_any_mess_ends_and_every_refusal_names_a_line_that_exists(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    cells, lines, refused = read(data)
    named = lines + [line for line, _ in refused]
    assert len(set(named)) == len(named)
    assert all(2 <= line <= 2 + data.count(b"\n") for line in named)
    assert all(len(row) == WIDTH for row in cells)


@given(st.lists(st.text(st.sampled_from('a",;é\r'), max_size=8), max_size=6))
def test_lines_split_by_the_kernel_equal_those_of_the_csv_reader(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    for data in (text.encode(), text.replace("a", ",").encode(), text.replace(";", '","').encode()):
        quick = read(data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_rows, "_split", lambda *_: None)
            assert quick == read(data)


def test_a_quote_never_closed_costs_its_line_only() -> None:
    cells, lines, refused = read(b'1,2,3\n4,"5,6\n7,8,9\n' * 2 + b"x,y,z")
    assert lines == [2, 4, 5, 7, 8]
    assert cells[0] == ["1", "2", "3"]
    assert refused == [(3, BAD_QUOTES), (6, BAD_QUOTES)]


def test_a_quote_closed_by_the_next_rows_quote_costs_its_line_only() -> None:
    cells, _, refused = read(b'1,"2,3\n4,"5",6\n')
    assert cells == [["4", "5", "6"]]
    assert refused == [(2, BAD_QUOTES)]


def test_a_quote_never_closed_does_not_keep_the_file_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "MAX_ROW", 100)
    cells, _, refused = read(b'"1\n' + b"x,y,z\n" * 500)
    assert len(cells) == 500
    assert refused == [(2, "a row is longer than 100 characters; is a quote not closed?")]


def test_a_line_without_end_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "MAX_ROW", 100)
    cells, lines, refused = read(b"1,2,3\n4,5," + b"6" * 1_000_000 + b"\n7,8,9\n")
    assert lines == [2, 4]
    assert cells[1] == ["7", "8", "9"]
    assert refused == [(3, "a row is longer than 100 characters; is a quote not closed?")]


def test_a_cell_beyond_the_limit_of_the_csv_reader() -> None:
    assert read(b"1,2," + b"3" * 200_000 + b"\n")[2] == [
        (2, "a cell is longer than 131072 characters; is a quote not closed?")
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"1,2", "expected 3 cells, as many as the header has, got 2"),
        (b"1,2,3,4", "expected 3 cells, as many as the header has, got 4"),
        (b"1\r2,3,4", "a carriage return stands inside a cell that is not quoted"),
        (b'1,"2"x,3', BAD_QUOTES),
    ],
)
def test_a_bad_row_is_refused_and_the_rest_is_read(row: bytes, reason: str) -> None:
    cells, lines, refused = read(b"1,2,3\n" + row + b"\n4,5,6\n")
    assert refused == [(3, reason)]
    assert cells == [["1", "2", "3"], ["4", "5", "6"]]
    assert lines == [2, 4]


def test_characters_cut_by_the_border_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "CHUNK", 100)
    rows = CsvRows(io.BytesIO(HEADER + "é,ü,千\n".encode() * 100 + b"1,2,caf\xe9\n"))
    rows.first()
    read_back = [cells for chunk in rows.chunks(WIDTH) for cells in zip(*chunk.columns, strict=True)]
    assert read_back == [("é", "ü", "千")] * 100 + [("1", "2", "caf\udce9")]
    assert (rows.odd_bytes, rows.odd_lines) == (1, "1,2,caf\udce9\n")
    rows.close()


@pytest.mark.parametrize("encoding", ["utf-16-le", "cp1252"])
def test_another_encoding(encoding: str) -> None:
    rows = CsvRows(io.BytesIO("a,b,c\né,ü,x\n".encode(encoding) * 2), encoding=encoding)
    rows.first()
    assert [list(column) for chunk in rows.chunks(WIDTH) for column in chunk.columns] == [
        ["é", "a", "é"],
        ["ü", "b", "ü"],
        ["x", "c", "x"],
    ]
    rows.close()


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        (b"1,2\n3,4,5,6\n", [2, 3]),
        (b"1\x1f2,3\n4,5,6\n", [2]),
        (b'1,"2",3\n4,"5\n6",7\n', []),
        (b'1,"2",3\n4,"5\n6,7,8\n9,"0",1\n', [3]),
        (b"1,2,3\r\n4,5\r,6\r\n", [3]),
    ],
)
def test_what_only_looks_like_a_row_a_line(rows: bytes, refused: list[int]) -> None:
    assert [line for line, _ in read(rows)[2]] == refused


def test_blank_lines_are_skipped() -> None:
    assert read(b"\n1,2,3\n\r\n   \n4,5,6\n\n")[:2] == ([["1", "2", "3"], ["4", "5", "6"]], [3, 6])


def test_rows_that_cross_the_border_of_a_chunk() -> None:
    before = CHUNK // len(b"1,2,3\n")
    data = b"1,2,3\n" * before + b'"x\ny\nz",2,3\n' + b"1,2,3\n" * before
    cells, lines, refused = read(data)
    assert len(cells) == 2 * before + 1
    assert cells[before][0] == "x\ny\nz"
    assert lines[before : before + 2] == [before + 2, before + 5]
    assert refused == []


def test_reading_ends_at_the_last_line_asked_for() -> None:
    assert read(b"1,2,3\n4,5,6\n7,8,9\n", last_line=3)[0] == [["1", "2", "3"], ["4", "5", "6"]]


def test_a_chunk_of_long_rows_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "CHUNK", 1_000)
    rows = CsvRows(io.BytesIO(HEADER + b"1,2,3\n" * 1_000))
    rows.first()
    assert max(len(chunk) for chunk in rows.chunks(WIDTH)) <= 1_000 // 6 + 1
    rows.close()


def test_position_is_reported(tmp_path: Path) -> None:
    rows = CsvRows(io.BytesIO(HEADER + b"1,2,3\n"))
    rows.first()
    list(rows.chunks(WIDTH))
    assert (rows.position_bytes, rows.line) == (len(HEADER) + 6, 2)
    rows.close()
