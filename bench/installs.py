"""Installs what only a peer or the plot needs, on demand into `.bench/`: Python packages and Maven projects."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.results import MADE

WITHIN_S: Final = 600.0
"""The time limit of an installation."""
_FAILED: Final = dict[Path, str]()
"""Why what belongs in these folders could not be installed: it is not tried again in every round of a run."""
WORDS: Final = 300
COLOUR: Final = re.compile("\x1b\\[[0-9;]*m")


class NotInstalled(Exception):
    """It cannot be installed here; the message is a short reason."""


def python_with(requirements: Path) -> Path:
    """The interpreter of a virtual environment with the packages of a requirements file. Raises NotInstalled."""
    folder = MADE / "python" / requirements.stem
    interpreter = folder / "bin" / "python"
    with _once(folder, [requirements]) as due:
        if due:
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--requirement", str(requirements)])
    return interpreter


def jars_of(pom: Path) -> Path:
    """The folder with all jars that a Maven project depends on. Raises NotInstalled."""
    folder = MADE / "java" / pom.parent.name
    with _once(folder, [pom]) as due:
        if due:
            _mvn(pom, "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'jars'}")
    return folder / "jars"


def classpath_of(pom: Path) -> str:
    """The class path of a compiled Maven project, including its dependencies. Raises NotInstalled."""
    folder = MADE / "java" / pom.parent.name
    with _once(folder, sorted([pom, *pom.parent.rglob("*.java")])) as due:
        if due:
            out = [f"-Dmade.in={folder}", f"-DoutputDirectory={folder / 'jars'}"]
            _mvn(pom, "compile", "dependency:copy-dependencies", *out)
    return os.pathsep.join([str(folder / "classes"), f"{folder / 'jars'}/*"])


def _mvn(pom: Path, *arguments: str) -> None:
    if absent := [program for program in ("java", "mvn") if shutil.which(program) is None]:
        raise NotInstalled(f"needs {' and '.join(absent)}, not found on PATH")
    _run(["mvn", "--quiet", "--batch-mode", "--color=never", "--file", str(pom), *arguments])


def _run(command: Sequence[str]) -> None:
    """Runs an installer. Raises NotInstalled with the end of its output."""
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=True)
    except subprocess.CalledProcessError as error:
        lines = COLOUR.sub("", f"{error.stderr}\n{error.stdout}").splitlines()
        words = " ".join(" ".join(line for line in lines if "error" in line.lower()).split())
        raise NotInstalled(f"its installation failed: {words[:WORDS]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"its installation failed: {error}") from error


@contextmanager
def _once(folder: Path, sources: Sequence[Path]) -> Iterator[bool]:
    """Whether to install into the folder: it is missing, or was installed from other sources. Raises NotInstalled if
    that has failed in this process.
    """
    if (why := _FAILED.get(folder)) is not None:
        raise NotInstalled(why)
    wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f"{folder.name}.made")
    with made.open("a+", encoding="utf-8") as stamp:
        fcntl.flock(stamp, fcntl.LOCK_EX)
        stamp.seek(0)
        due = stamp.read() != wanted
        if due:
            stamp.truncate(0)
            shutil.rmtree(folder, ignore_errors=True)
        try:
            yield due
        except NotInstalled as error:
            _FAILED[folder] = str(error)
            raise
        if due:
            stamp.write(wanted)
