"""A full disk is one line, not a traceback."""

import errno
import tempfile

import pytest

from movie_stream.errors import InputError
from movie_stream.replay.files.temporary import temporary_file


def test_written_values_can_be_read() -> None:
    with temporary_file("views.csv") as file:
        file.write(b"x")
        file.seek(0)
        assert file.read() == b"x"


def test_no_room() -> None:
    with (
        pytest.raises(InputError, match=f"views.csv: expected room in {tempfile.gettempdir()} for a copy"),
        temporary_file("views.csv"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(BlockingIOError), temporary_file("views.csv"):
        raise BlockingIOError(errno.EAGAIN, "not now")
