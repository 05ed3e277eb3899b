"""The reading order at the top of the package, and the files that are generated from the code."""

import re
import tomllib
from importlib import metadata
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.version import Version

import movie_stream
from movie_stream import entry
from movie_stream.commands.settings import example

ROOT = Path(__file__).parents[2]


def test_every_path_of_the_reading_order_exists() -> None:
    paths = re.findall(r"^\d+\.\s+(\S+)", movie_stream.__doc__ or "", re.MULTILINE)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / "movie_stream" / path).exists()] == []


def test_the_version_is_that_of_the_installed_package() -> None:
    assert movie_stream.__version__ == version("movie-stream")
    assert Version(movie_stream.__version__).public == movie_stream.__version__.partition("+")[0]


def test_files_that_were_not_installed_have_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(metadata, "version", not_found)
    assert movie_stream._installed_version() == "0.0.0"


def test_the_error_on_windows_names_the_supported_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(SystemExit, match=r"error: movie-stream runs on Linux and macOS; on Windows, .* WSL 2"):
        entry.main()
    with pytest.raises(ImportError, match=r"runs on Linux and macOS; on Windows, .* WSL 2"):
        from movie_stream import Results  # noqa: F401


def test_env_example_is_current() -> None:
    written = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert written == example(), "make it anew with: make docs"


def test_the_lock_names_no_place_to_fetch_from() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--find-links", lock)
    built_by = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert len(built_by) == 2
    assert [pin for pin in built_by if f"\n{pin} " not in lock] == []
