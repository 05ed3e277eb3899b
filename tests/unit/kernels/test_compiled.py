"""How kernels are compiled and stored: by several processes, read-only, damaged, and without Numba."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE
from textwrap import indent
from typing import Final

import psutil
import pytest

from movie_stream.kernels import compiled, store

INSTALLED: Final = Path(compiled.__file__).parents[1]
SIZE: Final = """
import sys
import numpy as np
from movie_stream.kernels import store
from movie_stream.kernels.compiled import COMPILED
from movie_stream.kernels.records import size_of_record
before = store.read(size_of_record.name) is not None
size = size_of_record(np.frombuffer(bytes([6, 1, 2, 3]) + bytes(16), np.uint8), 0, 4)
print(COMPILED, before, size)
assert "numba" not in sys.modules
"""
STORED: Final = {"records.find_records.o", "records.read_records.o", "records.size_of_record.o"}
"""Among others, of the modules that SIZE imports."""
SLOWEST: Final = ("json_objects.read_objects.o", "json_writer.write_objects.o")
"""They are begun first."""


STOPPED: Final = """
from threading import Event
from movie_stream.kernels import records, store
from movie_stream.kernels.compiled import compile_imported
stopped = Event()
count = compile_imported(lambda missing: stopped.set(), stopped)
print(count, store.read(records.read_records.name))
"""
ARGUMENTS: Final = """
import pickle
import numpy as np
from movie_stream.kernels.strings import copy_strings

def copied(**other):
    text, out = np.frombuffer(b"copied", np.uint8), np.zeros(6, np.uint8)
    spans = {"begins": np.array([0]), "lengths": np.array([6]), "places": np.array([0])}
    given = {"text": text, **spans, "out": out, **other}
    copy_strings(*given.values())
    return given["out"].tobytes()

class Ours(np.ndarray):
    pass

for name, same in {
    "text": pickle.loads(pickle.dumps(np.frombuffer(b"copied", np.uint8))),
    "begins": np.array([0], np.longlong),
    "lengths": np.array([6]).view(Ours),
    "places": np.zeros(1, np.dtype("<i8", metadata={"of": "ours"})),
}.items():
    assert copied(**{name: same}) == b"copied", name
for name, wrong in {
    "text": [b"copied", np.zeros(6, np.int8), np.zeros((1, 6), np.uint8), np.zeros(12, np.uint8)[::2], None],
    "begins": [[0], np.zeros(1, np.int32), np.zeros(1, np.uint64), np.zeros(1), np.zeros(1, ">i8"), np.int64(0)],
    "places": [np.frombuffer(bytes(9), np.uint8)[1:].view(np.int64)],
    "out": [np.frombuffer(bytes(6), np.uint8)],
}.items():
    for one in wrong:
        try:
            print("wrongly taken:", copied(**{name: one}))
        except TypeError as error:
            assert f"strings.copy_strings, {name}: expected an array of " in str(error), error
from movie_stream.kernels.records import size_of_record
for arguments in [(0,), (0, 1, 2), (0, 2**63), (0, -(2**63) - 1), (0, 1.0), (0, None)]:
    try:
        print("wrongly taken:", size_of_record(np.zeros(20, np.uint8), *arguments))
    except TypeError as error:
        assert str(error).startswith("records.size_of_record"), error
print(size_of_record(np.zeros(20, np.uint8), np.int32(0), True))
"""
OUTSIDE: Final = """
import numpy as np
from movie_stream.kernels.strings import copy_strings
try:
    copy_strings(*np.zeros((1, 1), np.uint8), *np.full((3, 1), 7), np.zeros(1, np.uint8))
except IndexError as error:
    print(error)
"""
RELEASED: Final = r"""
import re
from pathlib import Path
from movie_stream.kernels import strings
from movie_stream.kernels.compiled import compile_imported
compile_imported()
resident_kb = re.findall(r"libllvmlite.*\n(?:\w+: .*\n)*?Rss: +(\d+)", Path("/proc/self/smaps").read_text())
assert resident_kb and sum(map(int, resident_kb)) < 4_000, resident_kb
"""
"""Before others are linked, by SIZE."""

EARLY: Final = """
import psutil
from movie_stream.kernels import children
from movie_stream.kernels.compiled import compile_imported, compile_soon
from movie_stream.kernels import strings
compile_soon()
early = psutil.Process().children()
print(len(early), end=" ")
children.start_early()  # as if another process stored all meanwhile
print(compile_imported() > 0, end=" ")
assert not psutil.Process().children()
assert not any(child.is_running() for child in early)
"""
SOON: Final = "import psutil, signal; from movie_stream.kernels.compiled import compile_soon; compile_soon()"

NO_NUMBA: Final = """
import importlib.metadata as m, importlib.util as u
found, u.find_spec = u.find_spec, lambda name: None if name == 'numba' else found(name)
m.version = lambda name: m.distribution('no-such-' + name).version
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the kernels, none of them compiled, in a package of their own."""
    copy = tmp_path / "installed" / "movie_stream"
    shutil.copytree(INSTALLED / "kernels", copy / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for module in ("errors.py", "masking.py"):
        shutil.copy(INSTALLED / module, copy)
    (copy / "__init__.py").touch()
    return copy


def run(
    package: Path, home: Path, script: str = SIZE, stderr: int | None = None, **settings: str
) -> subprocess.Popen[str]:
    """A process that calls one kernel, and prints whether it runs compiled, was stored before, and what it returned."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "XDG_CACHE_HOME": str(home),
        "NUMBA_DISABLE_JIT": "0",
        **settings,
    }
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=package.parent, env=environment, stdout=PIPE, stderr=stderr, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    return text.strip()


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those that it has once it has any."""
    while process.poll() is None:
        if children := psutil.Process(process.pid).children():
            return children
        time.sleep(0.01)
    raise AssertionError(f"it ended with {process.returncode}")


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and "kernels-" in path.parent.name)


def test_it_is_compiled_once_by_however_many_processes(package: Path, tmp_path: Path) -> None:
    together = [run(package, tmp_path / "cache") for _ in range(3)]
    assert {said(process).rsplit(" ", 1)[1] for process in together} == {"4"}
    assert {*stored(package)} >= STORED
    assert said(run(package, tmp_path / "cache")) == "True True 4"
    assert stored(tmp_path / "cache") == []


@pytest.mark.long
def test_what_cannot_be_written_to_is_read_and_the_users_cache_is_written(package: Path, tmp_path: Path) -> None:
    (package / "kernels" / "__pycache__").touch()  # no folder, so nothing can be stored in it, not even by root
    assert said(run(package, tmp_path / "cache")) == "True False 4"
    assert {*stored(tmp_path / "cache")} >= STORED
    assert said(run(package, tmp_path / "cache")) == "True True 4"
    (tmp_path / "nowhere").touch()
    nowhere = run(package, tmp_path / "nowhere", stderr=PIPE)
    out, error = nowhere.communicate(timeout=200)
    assert out == "True False 4\n", "compiled, and kept by nobody"
    assert re.fullmatch(r"compiling \d+ loops for this machine, once; .+\n", error)
    ahead = run(package, tmp_path / "nowhere", "import movie_stream.kernels.__main__ as m; m.main()", PIPE)
    assert ahead.communicate(timeout=200)[1].startswith("error: compiled loops cannot be stored in ")
    assert ahead.returncode == 1


@pytest.mark.long
def test_what_is_damaged_is_compiled_anew(package: Path, tmp_path: Path) -> None:
    assert said(run(package, tmp_path / "cache")) == "True False 4"
    [path] = package.rglob("records.size_of_record.o")
    whole = path.read_bytes()
    for damaged in (b"", b"no object", whole[:-1], whole[:-100] + bytes(100), whole.replace(b"ELF", b"FLE")):
        path.write_bytes(damaged)
        assert said(run(package, tmp_path / "cache")) == "True False 4"
        assert path.read_bytes() != damaged


@pytest.mark.long
def test_a_changed_kernel_is_compiled_anew(package: Path, tmp_path: Path) -> None:
    assert said(run(package, tmp_path / "cache")) == "True False 4"
    records = package / "kernels" / "records.py"
    records.write_text(records.read_text().replace("return behind - at if behind >= 0", "return 7 if behind >= 0"))
    assert said(run(package, tmp_path / "cache")) == "True False 7"


@pytest.mark.long
def test_what_is_stored_runs_without_numba(package: Path, tmp_path: Path) -> None:
    (package.parent / "numba.py").write_text("raise AssertionError('imported')")
    assert said(run(package, tmp_path / "cache", NO_NUMBA + SIZE)) == "False False 4"
    (package.parent / "numba.py").unlink()
    assert said(run(package, tmp_path / "cache")) == "True False 4"
    assert said(run(package, tmp_path / "cache", NO_NUMBA + SIZE)) == "True True 4"


def test_what_is_missing_from_the_store_is_an_error_without_numba(package: Path, tmp_path: Path) -> None:
    folder = said(run(package, tmp_path / "cache", "from movie_stream.kernels import store; print(store.folders()[0])"))
    Path(folder).mkdir(parents=True)
    missing = f"try:\n{indent(SIZE, '  ')}\nexcept Exception as error: print(type(error).__name__, error)"
    line = said(run(package, tmp_path / "cache", NO_NUMBA + missing))
    assert re.fullmatch(r"KernelsMissing compiled loops are missing \(\d+, such as \w+\.\w+\), and Numba, .+", line)


def test_what_cannot_be_compiled_is_an_error(package: Path, tmp_path: Path) -> None:
    (package / "kernels" / "compiler.py").write_text("raise SystemExit(7)")
    process = run(package, tmp_path / "cache", "import movie_stream.kernels.__main__ as m; m.main()", PIPE)
    out, error = process.communicate(timeout=200)
    assert out.startswith("Compiling ")
    assert re.fullmatch(r"error: the loop \w+\.\w+ cannot be compiled: .* exit code 7; .+\n", error)
    assert process.returncode == 1


def test_processes_that_are_started_early_compile_or_end(package: Path, tmp_path: Path) -> None:
    assert said(run(package, tmp_path / "cache", EARLY + SIZE)) == "2 True True False 4"
    assert said(run(package, tmp_path / "cache", EARLY + SIZE)) == "0 False True True 4"
    with (package / "kernels" / "compiler.py").open("a") as changed:
        changed.write("# so nothing of it is stored\n")
    without_numba = run(package, tmp_path / "cache", f"{NO_NUMBA}{SOON}; print(psutil.Process().children())")
    assert said(without_numba) == "[]"
    process = run(package, tmp_path / "cache", f"{SOON}; signal.pause()")
    children = children_of(process)
    process.kill()
    process.communicate(timeout=60)
    assert psutil.wait_procs(children, timeout=60)[1] == []


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_compilation_at_once(package: Path, tmp_path: Path, signal_number: signal.Signals) -> None:
    process = run(package, tmp_path / "cache", "import movie_stream.kernels.__main__ as m; m.main()")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Compiling ")
    children = children_of(process)
    process.send_signal(signal_number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert not [path for path in package.rglob("*.o") if path.name in SLOWEST], "it did not wait for these"


def test_a_disk_that_is_full_keeps_nothing_of_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "folders", lambda: [tmp_path / "kernels"])
    opened = psutil.Process().num_fds()
    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", half)
        store.write("one.kernel", b"code")
    assert [*(tmp_path / "kernels").iterdir()] == []
    store.write("one.kernel", b"code")
    assert store.read("one.kernel") == b"code"
    assert psutil.Process().num_fds() == opened


@pytest.mark.parametrize("what", [PermissionError, FileNotFoundError, NotADirectoryError])
def test_a_home_that_may_not_be_entered_is_left_out(monkeypatch: pytest.MonkeyPatch, what: type[OSError]) -> None:
    stat = Path.stat

    def stated(path: Path) -> os.stat_result:
        if path.is_relative_to("/home/of/another"):
            raise what
        return stat(path)

    monkeypatch.setattr(Path, "stat", stated)
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/of/another")
    assert len(store.folders()) == (1 if what is PermissionError else 2)


def test_arguments_are_checked(tmp_path: Path) -> None:
    assert said(run(INSTALLED, tmp_path / "cache", ARGUMENTS)) == "1"


@pytest.mark.long
def test_where_bounds_are_checked_an_index_outside_is_an_error(tmp_path: Path) -> None:
    outside = run(INSTALLED, tmp_path / "cache", OUTSIDE, NUMBA_BOUNDSCHECK="1")
    assert said(outside) == "strings.copy_strings: an index is outside of its array"


def test_it_is_stopped_by_another_thread(package: Path, tmp_path: Path) -> None:
    assert said(run(package, tmp_path / "cache", STOPPED)) == "0 None"
    assert stored(package) == []


def test_without_numba_it_is_the_plain_function(package: Path, tmp_path: Path) -> None:
    assert said(run(package, tmp_path / "cache", NUMBA_DISABLE_JIT="1")) == "False False 4"
    assert stored(package) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the memory is kept")
def test_the_linkers_code_is_not_kept_in_memory_and_it_links_again(tmp_path: Path) -> None:
    assert said(run(INSTALLED, tmp_path / "cache", RELEASED + SIZE)).endswith(" 4")
