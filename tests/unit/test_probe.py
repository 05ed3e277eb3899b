"""The health check of a container, which finds out whom to ask."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from movie_stream.probe import address

IMAGE = {"METRICS_HOST": "0.0.0.0", "METRICS_PORT": "9464", "API_HOST": "0.0.0.0", "API_PORT": "8080"}


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["python3", "/usr/local/bin/movie-stream", "worker", "--until-end"], IMAGE, ("127.0.0.1", 9464)),
        (["/sbin/docker-init", "--", "movie-stream", "serve"], IMAGE, ("127.0.0.1", 8080)),
        (["movie-stream", "serve", "--port=81", "--host", "::"], IMAGE, ("::1", 81)),
        (["movie-stream", "serve"], {}, ("127.0.0.1", 8080)),
        (["faust", "-A", "movie_stream.app", "worker"], IMAGE, ("127.0.0.1", 9464)),
        (["movie-stream", "worker"], {}, None),
        (["movie-stream", "worker"], {"METRICS_PORT": "0"}, None),
        (["movie-stream", "worker"], {"METRICS_PORT": "nonsense"}, None),
        (["movie-stream", "produce", "--file", "worker"], IMAGE, None),
        (["movie-stream"], IMAGE, None),
        (["sh", "-c", "sleep 1"], IMAGE, None),
        ([], IMAGE, None),
    ],
)
def test_whom_it_asks(
    arguments: Sequence[str], environment: Mapping[str, str], expected: tuple[str, int] | None
) -> None:
    assert address(arguments, environment) == expected


def test_it_imports_nothing_that_takes_its_time() -> None:
    code = "import sys, movie_stream.probe; print(*[m for m in sys.modules if m.startswith('movie_stream')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(ran.stdout.split()) == {"movie_stream", "movie_stream.probe"}
