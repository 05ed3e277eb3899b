"""Checks of `movie-stream doctor` on the installation: Python, libraries, and the embedded programs."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from movie_stream.commands.doctor.findings import Row
from movie_stream.embedded.broker import broker
from movie_stream.embedded.mongod import mongod
from movie_stream.errors import EmbeddedUnavailable
from movie_stream.settings import Settings, variable_of

OLDEST_PYTHON: Final = (3, 11)


def check_installation(settings: Settings) -> list[Row]:
    """Checks what is installed, and whether anything that these settings need is missing."""
    return [
        _python(),
        _libraries(),
        _embedded("embedded broker", broker, settings, "kafka_bootstrap_servers"),
        _embedded("embedded mongod", mongod, settings, "mongodb_uri"),
    ]


def _python() -> Row:
    what = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Row("Python", "fail", what, "install Python {}.{} or newer".format(*OLDEST_PYTHON))
    return Row("Python", "ok", what)


def _libraries() -> Row:
    """Checks the libraries that need an exact version, since parts of them are replaced."""
    pinned = [re.match(r"([\w.-]+)(?:\[.*\])?==([\w.]+)$", need) for need in _needs()]
    wanted = {match[1]: match[2] for match in pinned if match}
    found = {name: _version(name) for name in wanted}
    what = ", ".join(f"{name} {found[name] or 'missing'}" for name in wanted)
    if found != wanted:
        needed = " ".join(f"{name}=={number}" for name, number in wanted.items() if found[name] != number)
        return Row("libraries", "fail", what, f"pip install {needed}")
    return Row("libraries", "ok", what)


def _needs() -> list[str]:
    try:
        return requires("movie-stream") or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        return []


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _embedded(check: str, program: Callable[[], object], settings: Settings, instead: str) -> Row:
    """Checks for an embedded program; only `demo` and `services` need it, if at all: see `instead`."""
    try:
        program()
    except EmbeddedUnavailable as error:
        if getattr(settings, instead):
            return Row(check, "ok", f"not installed, and not needed: {variable_of(instead)} is set")
        return Row(check, "warn", str(error))
    return Row(check, "ok", "installed")
