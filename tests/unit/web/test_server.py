"""The messages of a server for events after its end."""

import asyncio

import pytest
from pymongo.errors import AutoReconnect

from movie_stream.web.server import _of_the_end


@pytest.mark.parametrize(
    ("message", "error", "says"),
    [
        ("Exception in callback BaseSelectorEventLoop._start_serving()", ValueError("Invalid file descriptor: -1"), 0),
        ("Future exception was never retrieved", AutoReconnect("connection closed"), 0),
        ("Exception in callback something()", ValueError("a bug"), 1),
    ],
)
async def test_only_a_bug_is_logged(
    message: str, error: Exception, says: int, caplog: pytest.LogCaptureFixture
) -> None:
    _of_the_end(asyncio.get_running_loop(), {"message": message, "exception": error})
    assert len(caplog.records) == says
