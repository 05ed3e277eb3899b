"""A file is there as a whole or not at all: interruptions, full disks, places that cannot be written."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from movie_stream.errors import MovieStreamError, UsageError
from movie_stream.export import arrow
from movie_stream.export.arrow import ExtraMissing
from movie_stream.export.columns import UnsupportedValue
from movie_stream.export.excel_file import SheetFull
from movie_stream.export.new_file import ExportFailed, new_file
from movie_stream.export.target import FORMATS, Form, form_named
from movie_stream.export.writers import require_library, writer_to
from tests.unit.export.test_files import COLUMNS, row, written


class Stopped(BaseException):
    """As Ctrl-C."""


def stop() -> None:
    raise Stopped


def put(path: Path, data: bytes, *, then: Callable[[], object] = lambda: None, overwrite: bool = False) -> None:
    with new_file(path, overwrite=overwrite) as file:
        file.write(data)
        then()


@pytest.mark.parametrize("ending", [*FORMATS, "csv.gz", "ndjson.zst"])
@pytest.mark.parametrize("after", [0, 1])
def test_nothing_is_left_of_what_is_interrupted(ending: str, after: int, tmp_path: Path) -> None:
    def interrupted() -> None:
        form = form_named(ending)
        assert form is not None
        with writer_to(tmp_path / "x", form, COLUMNS, name="hours") as writer:
            for _ in range(after):
                writer.write([row()])
            raise Stopped

    with pytest.raises(Stopped):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [*FORMATS, "csv.gz", "ndjson.zst"])
@pytest.mark.parametrize("limit", [0, 1_000, 30_000])
def test_nothing_is_left_on_a_full_disk(
    ending: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the disk: what is written to files beyond a limit fails, as the system says it."""
    real = io.FileIO.write
    used = 0

    class Full(io.FileIO):
        def write(self, data: Any, /) -> int:
            nonlocal used
            used += memoryview(data).nbytes
            if used > limit:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return int(real(self, data) or 0)

    monkeypatch.setattr("movie_stream.export.new_file.io.FileIO", Full)
    with pytest.raises(ExportFailed, match=r"cannot be written \(No space left on device\), and nothing of it is left"):
        written(
            tmp_path,
            ending,
            *([row(n * 1_000 + at, title=os.urandom(16).hex()) for at in range(1_000)] for n in range(9)),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_full_is_named_and_stays() -> None:
    with (
        pytest.raises(ExportFailed, match=r"/dev/full cannot be written \(No space left on device\)"),
        writer_to(Path("/dev/full"), Form("csv"), COLUMNS, name="hours") as writer,
    ):
        writer.write([row()])
    assert Path("/dev/full").is_char_device()
    with (
        pytest.raises(UsageError, match="csv or ndjson for a device"),
        writer_to(Path("/dev/full"), Form("xlsx"), COLUMNS, name="hours"),
    ):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for path, why in (
        (tmp_path / "no" / "x.csv", r"No such file.*; make its folder first"),
        (tmp_path / "file" / "x.csv", "Not a directory.*; a file stands where"),
    ):
        with pytest.raises(ExportFailed, match=why), new_file(path):
            pass

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("movie_stream.export.new_file.os.open", refused)
    with (
        pytest.raises(
            ExportFailed, match=r"x\.csv cannot be written \(Permission denied\).*; allow this user to write there"
        ),
        new_file(tmp_path / "x.csv"),
    ):
        pass


def test_what_is_there_stays_unless_it_is_to_be_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with pytest.raises(UsageError, match="replace it with --overwrite"), new_file(path):
        pass
    with pytest.raises(Stopped):
        put(path, b"theirs", then=stop, overwrite=True)
    assert path.read_text() == "mine"
    put(path, b"theirs", overwrite=True)
    assert path.read_text() == "theirs"
    with pytest.raises(UsageError, match="does not exist yet"), new_file(tmp_path, overwrite=True):
        pass


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(UsageError, match="does not exist yet"):
        put(path, b"ours", then=lambda: path.write_text("theirs"))
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("x.csv", "theirs")]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "x.csv")
    with new_file(tmp_path / "link.csv") as file:
        file.write(b"ours")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "x.csv").read_text() == "ours"


@pytest.mark.parametrize(
    ("module", "ask", "words"),
    [
        ("pyarrow", lambda: require_library(Form("parquet")), "Parquet files take pyarrow, .*'movie-stream[parquet]'"),
        ("xlsxwriter", lambda: require_library(Form("xlsx")), "Excel files take xlsxwriter, .*'movie-stream[xlsx]'"),
        ("pyarrow", lambda: arrow.pyarrow("delta"), "Delta Lake tables take pyarrow, .*'movie-stream[delta]'"),
    ],
)
def test_a_missing_extra_is_named(
    module: str, ask: Callable[[], object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraMissing, match=words.replace("[", r"\[")):
        ask()


def test_errors_are_ours() -> None:
    assert all(
        issubclass(error, MovieStreamError) for error in (ExportFailed, ExtraMissing, SheetFull, UnsupportedValue)
    )
