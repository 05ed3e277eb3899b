"""The packages installed into an empty environment run the demo, page included, from a folder that is no checkout.

The packages are downloaded from the registry that pip and uv are configured for, pinned as in the lock.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.distributions import UV, build, constraints, run

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

VERSION = "7.8.9"
LIMIT_S = 60.0


def installed_by_pip(wanted: str, folder: Path, pins: Path) -> list[str]:
    """A virtual environment with nothing in it but this."""
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    run(folder / "venv/bin/pip", "install", "--quiet", "--constraint", pins, wanted, cwd=folder)
    return [str(folder / "venv/bin/movie-stream")]


def run_by_uvx(wanted: str, folder: Path, pins: Path) -> list[str]:
    """As `uvx` does, whose other name is `uv tool run`."""
    python = ("--python", sys.executable)
    return [str(UV), "tool", "run", *python, "--constraints", str(pins), "--from", wanted, "movie-stream"]


def run_by_pipx(wanted: str, folder: Path, pins: Path) -> list[str]:
    """pipx in an environment of its own, where its users have it."""
    run(sys.executable, "-m", "venv", folder / "pipx", cwd=folder)
    run(folder / "pipx/bin/pip", "install", "--quiet", "pipx", cwd=folder)
    arguments = ("--python", sys.executable, "--pip-args", f"--constraint {pins}", "--spec", wanted)
    return [str(folder / "pipx/bin/pipx"), "run", *arguments, "movie-stream"]


@pytest.mark.parametrize(
    ("kind", "way"),
    [("wheel", installed_by_pip), ("wheel", run_by_uvx), ("wheel", run_by_pipx), ("sdist", installed_by_pip)],
)
def test_the_demo_runs_outside_of_a_checkout(kind: str, way: Callable[..., list[str]], tmp_path: Path) -> None:
    built = build(kind, tmp_path / "dist", SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MOVIE_STREAM=VERSION)
    command = way(f"movie-stream[demo] @ {built.as_uri()}", tmp_path, constraints(tmp_path))
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not re.match("PYTHON|VIRTUAL_ENV|KAFKA|MONGODB", name)}
    variables = {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(tmp_path),  # where uv leaves locks
        "PIPX_HOME": str(home / "pipx"),
        "UV_CACHE_DIR": run(UV, "cache", "dir", cwd=tmp_path).strip(),
    }

    said = subprocess.run([*command, "--version"], cwd=home, env=variables, capture_output=True, text=True, check=True)
    assert said.stdout == f"movie-stream {VERSION}\n"

    with subprocess.Popen(
        [*command, "demo", "--count", "3000", "--rate", "0"],
        cwd=home,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if sum(word in "".join(lines) for word in ("the page is at ", "all events counted: ")) == 2:
                    break
            found = re.search(r"the page is at (http://\S+)", "".join(lines))
            assert found is not None, "".join(lines)
            address = found[1].rstrip("/.")
            page = asked(address + "/")
            assert b"<title>" in page
            script = re.search(rb'src="([^"]+\.js[^"]*)"', page)
            assert script is not None
            assert asked(f"{address}/{script[1].decode().lstrip('/')}")
            assert json.loads(asked(f"{address}/api/v1/summary?last=all"))["views"]["value"] == 3_000
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    assert process.returncode in (0, 130), "uv and pipx have exit codes of their own"


def asked(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=LIMIT_S) as answer:
        return bytes(answer.read())
