"""How commands end if their output cannot be written, memory is short, or at Ctrl-C: with one line at most."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from movie_stream.console import exits
from movie_stream.console.output import Outlet
from movie_stream.errors import BrokerUnreachable, MovieStreamError, OutOfMemory, UsageError
from movie_stream.settings import Settings
from tests.support.in_process import initialize
from tests.support.whole_path import COMMAND, PATIENCE_S, environment

FULL = "error: standard output cannot be written (No space left on device); send it elsewhere, or make room there\n"
CLOSED = "error: standard output is closed; open it, or send it to /dev/null\n"
VIEWS = """\
movie_id,title,genre,user_id,timestamp,rating
a,霸王别姬,Драма,u1,1730419199999,5
"""
COMMANDS = (
    *("--help", "--version", "settings", "settings --json", "settings --example"),
    *("generate -o - -n 100000", "generate -o - -n 3", "produce --file views.csv --dry-run"),
)
ASKING = ("init", "show genres", "doctor", "dead-letters list", "worker --until-end")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "views.csv").write_text(VIEWS, "utf-8")
    return tmp_path


def shell(
    folder: Path, line: str, variables: Mapping[str, str] | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs a line of bash, in which `$M` is the command."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env={**(os.environ if variables is None else variables), "M": COMMAND, **more},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )


# ---- embedded programs that fail -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["services", "demo --once"])
def test_an_embedded_program_that_fails_is_one_line(folder: Path, command: str) -> None:
    (folder / "mongod").write_text("#!/bin/sh\necho no luck >&2\nexit 3\n", "utf-8")
    (folder / "mongod").chmod(0o755)
    done = shell(folder, f'PATH="$PWD:$PATH" "$M" {command}')
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: the embedded mongod failed: ")
    assert "no luck" in lines[0]
    assert "Traceback" not in done.stderr


# ---- output that cannot be written ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_cannot_be_written(folder: Path, command: str) -> None:
    place, line = (">&-", CLOSED) if command in ("settings", "generate -o - -n 3") else ("> /dev/full", FULL)
    done = shell(folder, f"$M {command} {place}")
    assert (done.returncode, done.stderr) == (1, line)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_output_of_those_who_ask_that_cannot_be_written(settings: Settings, folder: Path) -> None:
    initialize(settings)
    for command in ASKING:
        done = shell(folder, f"$M {command} > /dev/full", environment(settings))
        assert (done.returncode, done.stderr) == (1, FULL), command
    done = shell(folder, "$M worker --until-end >&-", environment(settings))
    assert (done.returncode, done.stderr) == (1, CLOSED)


def test_nothing_to_write_is_no_failure(folder: Path) -> None:
    done = shell(folder, "$M generate -o made.csv -n 3 >&- <&-")
    assert (done.returncode, done.stderr) == (0, "Wrote 3 views to made.csv.\n")


@pytest.mark.parametrize("place", ["/dev/full", "&-"])
def test_standard_error_that_cannot_be_written_fails_at_the_end(folder: Path, place: str) -> None:
    done = shell(folder, f"$M generate -o - -n 3 2>{place}")
    assert (done.returncode, done.stdout.count("\n")) == (1, 4)
    assert shell(folder, f"$M --version 2>{place}").returncode == 0
    assert shell(folder, f"$M --version >/dev/full 2>{place}").returncode == 1


@pytest.mark.parametrize("command", ["generate -o - -n 1000000", "generate -o /dev/stdout -n 1000000"])
def test_a_reader_that_goes_away_is_no_error_to_speak_of(folder: Path, command: str) -> None:
    done = shell(folder, f"$M {command} | head -n 1")
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (exits.READER_GONE, 1, "")


@pytest.mark.long
def test_a_worker_whose_log_nobody_reads_any_more(settings: Settings, folder: Path) -> None:
    initialize(settings)
    done = shell(folder, "$M worker | head -n 1", environment(settings))
    assert (done.returncode, done.stderr) == (exits.READER_GONE, "")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_letters_that_the_output_has_no_code_for_are_replaced(folder: Path, encoding: str) -> None:
    done = shell(folder, "$M produce --file views.csv --dry-run | iconv -c -t utf-8", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("霸王别姬" if encoding == "utf-8" else " ???? ") in done.stdout
    assert shell(folder, "$M --help", LC_ALL="C", PYTHONIOENCODING=encoding).stderr == ""


def test_json_stays_the_same_text(folder: Path) -> None:
    (folder / ".env").write_text("MONGODB_URI=mongodb://é霸🎬.example\n", "utf-8")
    for encoding in ("ascii", "cp1252", "utf-8"):
        done = shell(folder, "$M settings --json | iconv -f iso-8859-1 -t utf-8", PYTHONIOENCODING=encoding)
        text = done.stdout.encode("iso-8859-1").decode(encoding)
        assert json.loads(text)["MONGODB_URI"]["value"] == "mongodb://é霸🎬.example"


def test_a_reader_that_is_slow_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text, came = b"x" * 300_000, bytearray()

    def read() -> None:
        while block := os.read(reader, 65_536):
            came.extend(block)

    slow = threading.Thread(target=read)
    outlet = Outlet(writer, silent=False)
    sent = outlet.write(text)  # what the pipe takes
    slow.start()
    while sent < len(text):
        sent += outlet.write(text[sent:])
    outlet.close()
    os.close(writer)
    slow.join()
    os.close(reader)
    assert came == text


# ---- memory --------------------------------------------------------------------------------------------------------


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "there is none left"),
        (MemoryError("Unable to allocate 9 MiB"), "unable to allocate 9 MiB"),
        (RuntimeError("can't start new thread"), "no thread could be started"),
        (OSError(12, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
        (ImportError("x.so: failed to map segment from shared object"), "no library could be loaded"),
        (caused(BrokerUnreachable(servers="a:1"), MemoryError()), "there is none left"),
        (ExceptionGroup("several", [ValueError(), MemoryError()]), "there is none left"),
    ],
)
def test_want_of_memory_is_called_so(error: Exception, what: str) -> None:
    known = exits.explained(error, remedy="do more")
    assert isinstance(known, OutOfMemory)
    assert str(known).startswith(f"out of memory: {what}; ")
    assert str(known).endswith(", or do more")


@pytest.mark.parametrize("error", [UsageError(argument="x", expected="y"), OSError(2, "No such file"), ValueError()])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert exits.explained(error) is (error if isinstance(error, MovieStreamError) else None)


def assert_one_line_or_done(done: subprocess.CompletedProcess[str]) -> None:
    assert "Traceback" not in done.stdout
    assert done.returncode in (0, 1)
    if done.returncode:
        assert done.stderr.startswith("error: out of memory: "), done.stderr[:2000]
        assert "allow more than ulimit -v " in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr[:2000]


@pytest.mark.parametrize("kilobytes", [40_000, 150_000])
def test_little_memory_is_one_line(folder: Path, kilobytes: int) -> None:
    done = shell(folder, f"ulimit -v {kilobytes}; exec $M produce --file views.csv --dry-run")
    assert done.returncode == 1
    assert_one_line_or_done(done)


@pytest.mark.long
@pytest.mark.parametrize("command", ["worker --until-end", "doctor"])
def test_little_memory_beside_services_is_one_line(settings: Settings, folder: Path, command: str) -> None:
    initialize(settings)
    for kilobytes in (210_000, 240_000):
        assert_one_line_or_done(shell(folder, f"ulimit -v {kilobytes}; exec $M {command}", environment(settings)))


DIES = """
import asyncio, sys
from movie_stream.console import logs
from movie_stream.errors import WorkerFailed
logs.set_up("INFO")
async def fail():
    raise MemoryError("Unable to allocate 9 MiB")
async def run():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    import gc
    gc.collect()
asyncio.run(run())
"""


CAUGHT = """
import asyncio
from movie_stream.console import logs
logs.leave_to_us()
async def run():
    context = {"message": "Fatal read error on socket transport", "exception": MemoryError()}
    asyncio.get_running_loop().call_exception_handler(context)
    await asyncio.sleep(60)
asyncio.run(run())
"""


def test_a_lack_of_memory_that_asyncio_catches_ends_a_command_in_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", CAUGHT], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("error: out of memory")


WAITS = """
import threading
from movie_stream.console import exits
def command():
    threading.Thread(target=threading.Event().wait).start()
    raise RuntimeError("can't start new thread")
exits.run(command)
"""


def test_no_thread_keeps_a_command_that_lacks_memory() -> None:
    done = subprocess.run([sys.executable, "-c", WAITS], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("error: out of memory: no thread could be started; ")


def test_a_task_that_nobody_awaits_ends_the_worker_for_want_of_memory() -> None:
    done = subprocess.run([sys.executable, "-c", DIES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: out of memory: unable to allocate 9 MiB; ")
    assert done.stderr.endswith("share the work among more workers\n")


# ---- Ctrl-C --------------------------------------------------------------------------------------------------------

WRAPPED = """
import signal
from movie_stream.console import exits
class Interrupts:
    def __set_name__(self, owner, name):
        signal.raise_signal(signal.SIGINT)
def command():
    class Model:
        field = Interrupts()
signal.signal(signal.SIGINT, signal.default_int_handler)  # though whoever runs the tests may have it ignored
exits.run(command)
"""


def test_ctrl_c_while_a_class_is_made_is_quiet() -> None:
    done = subprocess.run([sys.executable, "-c", WRAPPED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (exits.INTERRUPTED, "", "")


TOLD = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # though whoever runs the tests may have it ignored
minded = signal.signal
def tell(number, handler):
    signal.signal = minded
    before = minded(number, handler)
    os.write(2, b".")
    return before
signal.signal = tell
from movie_stream.entry import main
main()
"""
"""Says when Ctrl-C is minded: what the interpreter does before that is not ours."""


def interrupted(variables: Mapping[str, str], folder: Path, command: str, after_s: float) -> tuple[int, str, str]:
    with subprocess.Popen(
        [sys.executable, "-c", TOLD, *command.split()],
        cwd=folder,
        env={**variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        os.read(process.stderr.fileno(), 1)
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out.decode(), err.decode()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command",
    ["settings", *(pytest.param(command, marks=pytest.mark.long) for command in ("doctor", "worker --until-end"))],
)
def test_ctrl_c_at_any_moment_is_quiet(settings: Settings, folder: Path, command: str) -> None:
    initialize(settings)
    variables = environment(settings)
    begun = time.monotonic()
    shell(folder, f"$M {command}", variables)
    took_s = time.monotonic() - begun
    with ThreadPoolExecutor(2) as pool:
        moments = [took_s * part / 6 for part in range(7)]
        ends = list(pool.map(lambda after_s: interrupted(variables, folder, command, after_s), moments))
    assert {code for code, _, _ in ends} <= {0, exits.INTERRUPTED, -signal.SIGINT}
    assert ends[0][0] == exits.INTERRUPTED
    for code, out, err in ends:
        assert "Traceback" not in out + err
        assert "ignored" not in err
        assert not (code and "error" in err)
