"""The bookmark of a file: whole or as it was, one process at a time, and a clear line where it cannot be used."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from movie_stream.errors import FileRefused
from movie_stream.replay.resume.bookmark import (
    Bookmark,
    BookmarkFile,
    Mode,
    PartitionProgress,
    bookmark_of,
    state_folder,
)

HOLD = """
import pathlib, sys
from movie_stream.replay.resume.bookmark import bookmark_of
with bookmark_of(pathlib.Path(sys.argv[1]), "start"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "views.csv").write_text("views")
    return tmp_path / "views.csv"


def bookmark(file: Path, views: int = 7, *, finished: bool = False) -> Bookmark:
    return Bookmark(
        movie_stream="0.1.0",
        file=str(file),
        size_bytes=5,
        blake2b="00",
        topic="movie-events",
        topic_identity="cluster/topic",
        now_ms=1,
        future_tolerance_ms=2,
        partitions=[PartitionProgress(views, 40), PartitionProgress(5_000, 6_000)],
        finished=finished,
        saved_at="2026-11-24 05:54:16 UTC",
    )


def left(file: Path, mode: Mode = "resume") -> Bookmark | None:
    with bookmark_of(file, mode) as opened:
        return opened.earlier


def path_of(file: Path) -> Path:
    with bookmark_of(file, "restart") as opened:
        return opened.path


def test_what_is_saved_is_found_by_any_name_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bookmark_of(file, "start") as opened:
        assert (opened.earlier, opened.saved) == (None, None)
        opened.save(bookmark(file))
        assert opened.saved == bookmark(file)
    link = file.with_name("link.csv")
    link.symlink_to(file)
    monkeypatch.chdir(file.parent)
    assert left(file) == left(link) == left(Path("views.csv")) == bookmark(file)
    assert left(file, "restart") is None
    assert [path.suffix for path in state_folder().iterdir()] == [".json"]


def test_an_interrupted_run_is_not_started_over_in_silence(file: Path) -> None:
    with bookmark_of(file, "start") as opened:
        opened.save(bookmark(file))
    said = (
        r"views.csv: an earlier run was interrupted; 5,007 of its views are known to stand in the topic movie-events, "
        r"as of 2026-11-24 05:54:16 UTC; go on with --resume, or send all of it from the beginning, .* with --restart"
    )
    with pytest.raises(FileRefused, match=said):
        left(file, "start")
    with bookmark_of(file, "resume") as opened:
        opened.save(bookmark(file, finished=True))
    assert left(file, "start") is None


def test_whenever_it_is_read_it_is_whole(file: Path) -> None:
    read: list[int] = []

    def save(opened: BookmarkFile) -> None:
        for number in range(200):
            opened.save(bookmark(file, number))

    with bookmark_of(file, "start") as opened:
        opened.save(bookmark(file, 0))
        writers = [threading.Thread(target=save, args=[opened]) for _ in range(2)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            read.append(msgspec.json.decode(opened.path.read_bytes(), type=Bookmark).partitions[0].views)
        for writer in writers:
            writer.join()
    assert len(set(read)) > 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b'{"movie_stream": "0.1', "truncated"),
        (b"\xff\xfe\x00", "malformed|invalid"),
        (b"[1, 2]", "Expected `object`"),
        (b'{"places": 3}', "missing required field|Expected `array`"),
    ],
)
def test_what_is_none_is_said(file: Path, content: bytes, reason: str) -> None:
    path_of(file).write_bytes(content)
    for mode in ("start", "resume"):
        with pytest.raises(FileRefused, match=f"expected the bookmark of a replay of .*views.csv .*({reason})"):
            left(file, mode)
    assert left(file, "restart") is None


def test_that_of_another_file_is_not_used(file: Path) -> None:
    with bookmark_of(file, "start") as opened:
        opened.save(bookmark(file.with_name("other.csv")))
    with pytest.raises(FileRefused, match=r"expected the bookmark of .*views.csv, got that of .*other.csv; remove it"):
        left(file)


def test_a_second_process_is_refused_until_the_first_is_gone_even_killed(file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for mode in ("start", "resume", "restart"):
            with pytest.raises(
                FileRefused, match=rf"another movie-stream produce is sending it \(process {holder.pid}\)"
            ):
                left(file, mode)
        other = file.with_name("other.csv")
        other.touch()
        assert left(other) is None
        os.kill(holder.pid, signal.SIGKILL)
    assert list(state_folder().glob("*.lock"))
    assert left(file) is None
    assert not list(state_folder().glob("*.lock"))


def test_no_room_is_said(file: Path) -> None:
    with bookmark_of(file, "start") as opened:
        opened.path.with_suffix(".new").mkdir()
        with pytest.raises(FileRefused, match=r"the bookmark cannot be written \(Is a directory\); make room, or name"):
            opened.save(bookmark(file))


def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert state_folder() == tmp_path / ".local" / "state" / "movie-stream" / "produce"
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert state_folder() == Path("/elsewhere/movie-stream/produce")


def test_a_name_that_is_no_text_and_a_long_one(file: Path) -> None:
    for name in (os.fsdecode(b"views-\xff.csv"), "v" * 250 + ".csv"):
        named = file.with_name(name)
        named.touch()
        with bookmark_of(named, "start") as opened:
            opened.save(bookmark(file))
            opened.save(msgspec.structs.replace(bookmark(file), file=opened.full_name))
        assert left(named) is not None
