"""How kernels are compiled and stored: by several processes, read-only, damaged, and without Numba."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from movie_stream.kernels import compiled

SIZE: Final = """
import numpy as np
from movie_stream.kernels.compiled import COMPILED, folders
from movie_stream.kernels.records import size_of_record
before = size_of_record.is_ready
size = size_of_record(np.frombuffer(bytes([6, 1, 2, 3]) + bytes(16), np.uint8), 0, 4)
print(COMPILED, before, size)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the kernels, none of them compiled, in a package of their own."""
    copy = tmp_path / "installed" / "movie_stream"
    shutil.copytree(Path(compiled.__file__).parent, copy / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__init__.py").touch()
    return copy


def run(package: Path, home: Path, **settings: str) -> subprocess.Popen[str]:
    """A process that calls one kernel, and prints whether it is compiled, was stored before, and what it returned."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "XDG_CACHE_HOME": str(home),
        "NUMBA_DISABLE_JIT": "0",
        **settings,
    }
    return subprocess.Popen(
        [sys.executable, "-c", SIZE], cwd=package.parent, env=environment, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    return text.strip()


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and "kernels-" in path.parent.name)


def test_it_is_compiled_once_by_however_many_processes(package: Path, tmp_path: Path) -> None:
    together = [run(package, tmp_path / "cache") for _ in range(3)]
    assert {said(process).rsplit(" ", 1)[1] for process in together} == {"4"}
    assert stored(package) == ["records.size_of_record.pickle"]
    assert said(run(package, tmp_path / "cache")) == "True True 4"
    assert stored(tmp_path / "cache") == []


@pytest.mark.long
def test_what_cannot_be_written_to_is_read_and_the_users_cache_is_written(package: Path, tmp_path: Path) -> None:
    (package / "kernels" / "__pycache__").touch()  # no folder, so nothing can be stored in it, not even by root
    assert said(run(package, tmp_path / "cache")) == "True False 4"
    assert stored(tmp_path / "cache") == ["records.size_of_record.pickle"]
    assert said(run(package, tmp_path / "cache")) == "True True 4"
    (tmp_path / "nowhere").touch()
    assert said(run(package, tmp_path / "nowhere")) == "True False 4", "compiled, and kept by nobody"


@pytest.mark.long
@pytest.mark.parametrize("damaged", [b"", b"\x80", b"not a pickle"])
def test_what_is_damaged_is_compiled_anew(package: Path, tmp_path: Path, damaged: bytes) -> None:
    assert said(run(package, tmp_path / "cache")) == "True False 4"
    [path] = package.rglob("records.size_of_record.pickle")
    path.write_bytes(damaged)
    assert said(run(package, tmp_path / "cache")) == "True True 4"
    assert len(path.read_bytes()) > 1_000


@pytest.mark.long
def test_a_changed_kernel_is_compiled_anew(package: Path, tmp_path: Path) -> None:
    assert said(run(package, tmp_path / "cache")) == "True False 4"
    records = package / "kernels" / "records.py"
    records.write_text(records.read_text().replace("return behind - at if behind >= 0", "return 7 if behind >= 0"))
    assert said(run(package, tmp_path / "cache")) == "True False 7"


def test_without_numba_it_is_the_plain_function(package: Path, tmp_path: Path) -> None:
    assert said(run(package, tmp_path / "cache", NUMBA_DISABLE_JIT="1")) == "False True 4"
    assert stored(package) == []
