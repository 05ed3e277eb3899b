"""Finds the embedded programs' files, on PATH or in the wheels of the `embedded` extra."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from movie_stream.errors import EmbeddedUnavailable


def on_path(program: str) -> Path | None:
    """The program's file on PATH, if there is one."""
    found = shutil.which(program)
    return Path(found).resolve() if found else None


def in_wheel(package: str, program: str) -> Path | None:
    """The program's file in the `bin` folder of an installed package, if there is one."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    folders = spec.submodule_search_locations if spec is not None else None
    files = [Path(folder) / "bin" / program for folder in folders or ()]
    return next((file for file in files if file.is_file()), None)


def runnable(file: Path | None, *, what: str, variable: str) -> Path:
    """The file, made executable, since installers may have lost its executable bit.

    Raises EmbeddedUnavailable (`what` is missing; `variable` is the setting that replaces it).
    """
    if sys.platform == "win32":
        raise EmbeddedUnavailable(what=what, variable=variable, cause="it runs on Linux and macOS")
    if file is None:
        raise EmbeddedUnavailable(what=what, variable=variable)
    if not os.access(file, os.X_OK):
        try:
            file.chmod(file.stat().st_mode | 0o111)
        except OSError as error:
            cause = f"{file} is not executable, and cannot be made so: {error.strerror}"
            raise EmbeddedUnavailable(what=what, variable=variable, cause=cause) from error
    return file
