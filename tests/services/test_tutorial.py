"""docs/tutorial.md, from its first line to its last in a fresh copy of the checkout, as a reader would go through it;
and docs/fr/tutoriel.md, which has the same commands.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from movie_stream.aggregates.window import DAY
from tests.services.test_docs import AGGREGATION, ROOT
from tests.support.own_result import FILE, add, result_of

TUTORIAL: Final = ROOT / "docs" / "tutorial.md"
FRENCH: Final = ROOT / "docs" / "fr" / "tutoriel.md"
BLOCK: Final = re.compile(r"(?:<!-- ([^>\n]*) -->\n)?```(\w+)\n(.*?)```\n", re.DOTALL)
STAYS: Final = ("movie-stream services", "movie-stream worker", "movie-stream serve")
"""What a reader leaves running in a terminal, and ends with Ctrl-C."""
LEFT_OUT: Final = "…"
"""A line that stands for any number of lines."""
NOT_COPIED: Final = (".git", ".venv", ".*_cache", ".hypothesis", ".kafka", ".tools", ".chaos", ".env")
PATIENCE_S: Final = 60.0
OF_THE_MOMENT: Final = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z(?= INFO)", "TIME"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\brun \d+", "run N"),
    (r"in \d+\.\d+ ?s\b", "in a moment"),
    (r"\([\d,.]+/s\)", "(N/s)"),
)
"""What is another each time: when, where, how fast."""


@dataclass(frozen=True)
class Block:
    """A block of a page, with the remark right above it."""

    remark: str
    language: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text("utf-8"))]


def lines_of(output: str) -> list[str]:
    """The lines as they can be compared."""
    for pattern, instead in OF_THE_MOMENT:
        output = re.sub(pattern, instead, output)
    return [line.rstrip() for line in output.strip("\n").splitlines()]


def pattern_of(shown: str) -> re.Pattern[str]:
    """What an output that is shown so may be."""
    lines = lines_of(shown)
    return re.compile("".join(r"(?:.*\n)*?" if line == LEFT_OUT else f"{re.escape(line)}\n" for line in lines))


def is_shown(shown: str, output: str) -> bool:
    return pattern_of(shown).fullmatch("\n".join(lines_of(output)) + "\n") is not None


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nb\nc\n", False),
        ("a\nb\n", "a\nb\nc\n", False),
        ("Sent 7 views in 0.1 s (60/s)\n", "Sent 7 views in 2.4 s (1,003/s)\n", True),
        ("Sent 7 views in 0.1 s (60/s)\n", "Sent 8 views in 0.1 s (60/s)\n", False),
    ],
)
def test_an_output_is_compared_but_for_times_and_ports(shown: str, output: str, same: bool) -> None:
    assert is_shown(shown, output) is same


class Reader:
    """Does what the tutorial says, in a copy of the checkout."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        bin_folder = str(Path(sys.executable).parent)
        # The installation is the checkout's, so what is imported has to be said to be the copy.
        self._environment = {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "COLUMNS": "80",
            "API_PORT": "0",
            "TMPDIR": str(folder.parent),
        }

    def does(self, block: Block) -> str:
        """What a command, or the last of several, has said."""
        said = ""
        for line in block.text.replace("\\\n", " ").splitlines():
            said = self._start(line) if line.startswith(STAYS) else self._run(line)
        return said

    def _run(self, line: str) -> str:
        if line == "make install":
            line = "make -o .venv/.installed install"  # it is, by whoever runs the tests
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}"
        return done.stdout

    def _start(self, line: str) -> str:
        name = " ".join(line.split()[:2])
        assert name not in self.running, "the tutorial ends it before"
        log = self._folder.parent / f"{len(list(self._folder.parent.iterdir()))}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line}"], cwd=self._folder, env=self._environment, stdout=output, stderr=output
            )
        self.running[name] = process, log
        self._stack.callback(_killed, process)
        return name

    def sees(self, shown: str, said: str, command: Block | None) -> None:
        """The page shows the output of the commands; figures that a worker counts meanwhile appear after a while."""
        until = time.monotonic() + PATIENCE_S
        while not is_shown(shown, said):
            assert command is not None
            assert command.text.startswith("movie-stream show"), f"it says:\n{said}"
            assert time.monotonic() < until, f"it says:\n{said}"
            time.sleep(0.2)
            said = self.does(command)

    def waits_for(self, name: str, shown: str) -> None:
        """Until what runs has printed all of these lines, in this order, and others between them."""
        process, log = self.running[name]
        wanted = pattern_of("".join(f"…\n{line}\n" for line in shown.splitlines()))
        until = time.monotonic() + PATIENCE_S
        while wanted.match("\n".join(lines_of(log.read_text("utf-8"))) + "\n") is None:
            assert process.poll() is None, f"{name} has ended: {log.read_text('utf-8')}"
            assert time.monotonic() < until, f"{name} has not said all of {shown}: {log.read_text('utf-8')}"
            time.sleep(0.05)

    def ends(self, name: str) -> None:
        """Ctrl-C in the terminal of it."""
        process, _ = self.running.pop(name)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) in (0, 130)

    def asks(self, path: str) -> Any:
        """What the server answers, which the tutorial has opened."""
        _, log = self.running["movie-stream serve"]
        [address] = re.findall(r"http://127\.0\.0\.1:\d+", log.read_text("utf-8"))
        return httpx.get(f"{address}{path}", trust_env=False).json()


def _killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextmanager
def a_reader(folder: Path) -> Iterator[Reader]:
    copy = folder / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    with ExitStack() as stack:
        yield Reader(copy, stack)


def table_of(page: Path, remark: str) -> list[dict[str, str]]:
    """The rows of the table below a remark."""
    [table] = re.findall(rf"<!-- {remark} -->\n((?:\|.*\n)+)", page.read_text("utf-8"))
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def as_shown(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as the page writes it."""
    at = datetime.fromisoformat(row["timestamp"])
    written = {**row, "timestamp": f"{at.day} {at:%b %Y, %H:%M}"}
    return {name: str(value) for name, value in written.items() if name != "_id"}


@pytest.mark.timeout(300)
def test_a_reader_gets_from_a_csv_to_an_aggregation_on_the_page(tmp_path: Path, temporary_folder: Path) -> None:
    with a_reader(tmp_path) as reader:
        copy, command, said = tmp_path / "checkout", None, ""
        for block in blocks_of(TUTORIAL):
            if block.remark.startswith("file: "):
                (copy / block.remark.removeprefix("file: ")).write_text(block.text, "utf-8")
            elif block.remark == "entry":
                add(copy / FILE, block.text)
            elif block.language == "sh":
                if "rebuild" in block.text:
                    reader.ends("movie-stream worker")
                command = block
                said = reader.does(block)
            else:
                assert block.language == "text", block
                if said in reader.running:
                    reader.waits_for(said, block.text)
                else:
                    reader.sees(block.text, said, command)
        named = reader.asks("/api/v1")["results"]
        assert [result["name"] for result in named if result["name"].startswith("film")] == ["film_days"]
        rows = reader.asks("/api/v1/film_days")["items"]
        assert list(map(as_shown, rows)) == panel(TUTORIAL)
        [_, send] = [block for block in blocks_of(TUTORIAL) if block.text.startswith("movie-stream produce")]
        reader.does(send)
        doubled = [{**row, "views": 2 * row["views"], "minutes": 2 * row["minutes"]} for row in rows]
        until = time.monotonic() + PATIENCE_S
        while (now := reader.asks("/api/v1/film_days")["items"]) != doubled:
            assert time.monotonic() < until, now
            time.sleep(0.1)
        for name in list(reader.running)[::-1]:
            reader.ends(name)


@pytest.mark.parametrize(
    ("page", "remark"), [(TUTORIAL, "entry"), (AGGREGATION, "the entry")], ids=["tutorial", "how-to"]
)
def test_a_result_of_a_page_is_pasted_as_it_is_formatted(page: Path, remark: str, tmp_path: Path) -> None:
    [entry] = [block.text for block in blocks_of(page) if block.remark == remark]
    assert result_of(entry).window is DAY
    shutil.copy(ROOT / FILE, tmp_path)
    add(tmp_path / FILE.name, entry)
    ruff = Path(sys.executable).with_name("ruff")
    checked = subprocess.run(
        [ruff, "format", "--diff", "--no-cache", "--config", ROOT / "pyproject.toml", tmp_path / FILE.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_french_page_keeps_step() -> None:
    """The same headings in number and level, the same commands, files and outputs, and the same rows of the panel."""
    assert blocks_of(FRENCH) == blocks_of(TUTORIAL)
    assert [level for level, _ in headings(FRENCH)] == [level for level, _ in headings(TUTORIAL)]
    assert {words for _, words in headings(FRENCH)} & {words for _, words in headings(TUTORIAL)} == set()
    french = [{**row, "timestamp": row["timestamp"].replace(" nov. ", " Nov ")} for row in panel(FRENCH)]
    assert french == panel(TUTORIAL)
    in_french = f"{ROOT}/README.fr.md#avec-vos-propres-kafka-et-mongodb"
    assert targets(FRENCH) == [
        in_french if target == f"{ROOT}/README.md#with-your-own-kafka-and-mongodb" else target
        for target in targets(TUTORIAL)
    ]


def headings(page: Path) -> list[tuple[str, str]]:
    text = re.sub(BLOCK, "", page.read_text("utf-8"))
    return re.findall(r"^(#+) (.*)$", text, re.MULTILINE)


def panel(page: Path) -> list[dict[str, str]]:
    return table_of(page, "panel: film_days")


def targets(page: Path) -> list[str]:
    """What a page's links and pictures lead to, in order, whichever folder the page is in; all of it is there."""
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8"))]
    assert all((page.parent / path).exists() for path, _, _ in links)
    return [f"{(page.parent / path).resolve()}#{anchor}" for path, _, anchor in links]
