"""The reading order at the top of the package, and the files that are generated from the code."""

import re
from pathlib import Path

import movie_stream
from movie_stream.commands.settings import example

ROOT = Path(__file__).parents[2]


def test_every_path_of_the_reading_order_exists() -> None:
    paths = re.findall(r"^\d+\.\s+(\S+)", movie_stream.__doc__ or "", re.MULTILINE)
    assert len(paths) == 18
    assert [path for path in paths if not (ROOT / "movie_stream" / path).exists()] == []


def test_the_version_is_that_of_the_project() -> None:
    assert f'version = "{movie_stream.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_env_example_is_current() -> None:
    written = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert written == example(), "make it anew with: make docs"


def test_the_lock_names_no_place_to_fetch_from() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--find-links", lock)
    assert f"hatchling=={_built_by()} " in lock


def _built_by() -> str:
    match = re.search(r'requires = \["hatchling==(.+?)"\]', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert match is not None
    return match[1]
