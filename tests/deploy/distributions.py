"""What the tests of wheel and sdist share: how they are built, and what an empty environment gets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
UV: Final = Path(sys.executable).with_name("uv")


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Runs a program to its end; its output. What it printed is in the error where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**_environment(), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    )
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours, without variables for another version or time, and without those that git sets for hooks."""
    return {
        name: value
        for name, value in os.environ.items()
        if not re.match("SETUPTOOLS_|SOURCE_DATE_|GIT_|MOVIE_STREAM_", name)
    }


def git(*arguments: str, cwd: Path) -> str:
    """Runs git as somebody who is known to it."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed: apt install git")
    someone = ("-c", "user.name=Nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false")
    return run("git", *someone, *arguments, cwd=cwd, GIT_CONFIG_NOSYSTEM="1").strip()


def build(kind: str, into: Path, *, source: Path = ROOT, **variables: str) -> Path:
    """Builds a `wheel` or an `sdist` of `source`, with the tools of the lock and no network."""
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", into, cwd=source, **variables)
    (made,) = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def constraints(into: Path) -> Path:
    """The pins of the lock without their hashes, as constraints: an installer takes from it what it needs."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    file = into / "constraints.txt"
    file.write_text("\n".join(re.findall(r"^([a-z0-9][^ \n]*==.*?) *\\$", lock, re.MULTILINE)), encoding="utf-8")
    return file
