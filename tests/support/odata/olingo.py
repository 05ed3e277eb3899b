"""Apache Olingo's client of OData: its jars are downloaded from Maven Central into a cache of the user's, once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import unittest
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "data" / "olingo"
VERSION: Final = "5.0.0"
_FETCHED_WITHIN_S: Final = 300
_COMPILED_WITHIN_S: Final = 120


def compiled() -> str:
    """The class path of the program ReadAll, compiled. Raises SkipTest where Java or the network is not there."""
    absent = [program for program in ("java", "javac", "mvn") if shutil.which(program) is None]
    if absent:
        raise unittest.SkipTest(f"Apache Olingo needs {' and '.join(absent)}, not found on PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "movie-stream" / f"olingo-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        jars = _jars(cache)
        source = FOLDER / "ReadAll.java"
        classes = cache / "classes"
        if not (classes / "ReadAll.class").exists() or (classes / "ReadAll.java").read_bytes() != source.read_bytes():
            classes.mkdir(exist_ok=True)
            words = ["javac", "-encoding", "UTF-8", "-cp", f"{jars}/*", "-d", str(classes), str(source)]
            subprocess.run(words, check=True, timeout=_COMPILED_WITHIN_S)
            shutil.copyfile(source, classes / "ReadAll.java")
    return f"{jars}/*:{classes}"


def _jars(cache: Path) -> Path:
    jars = cache / "jars"
    if not jars.exists():
        unfinished = cache / "unfinished"
        maven = ["mvn", "--quiet", "--batch-mode", "--color=never", "--file", str(FOLDER / "pom.xml")]
        words = [*maven, "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
        try:
            done = subprocess.run(words, check=False, timeout=_FETCHED_WITHIN_S, capture_output=True, text=True)
        except subprocess.TimeoutExpired as error:
            raise unittest.SkipTest("Maven Central has not answered in time with Apache Olingo") from error
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip().splitlines()
            raise unittest.SkipTest(
                f"Maven could not fetch Apache Olingo: {said[0] if said else 'it does not say why'}"
            )
        unfinished.rename(jars)
    return jars
