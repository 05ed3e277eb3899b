"""Checks where a Delta Lake table may be created, and defines the errors of one that cannot be read or written."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Final

from movie_stream.errors import MovieStreamError
from movie_stream.export.new_file import ExportFailed

LOG: Final = "_delta_log"
"""The folder that identifies a Delta Lake table."""
_FORBIDDEN: Final = frozenset("%#?[]|^\\")
"""Delta Lake's library takes paths for URLs; with one of these characters a path would become another URL."""

_UNREADABLE: Final = re.compile(
    r"Parquet error|Json error|[Nn]ot found|No such file|No table metadata|External: |EOF|[Cc]orrupt"
)
"""The library's messages about a missing or damaged file."""
_SYSTEM: Final = re.compile(r"No space|Permission|Read-only|quota|Too many open|Not a directory|Input/output")
"""The library's messages, in the same form, about an operation that the system refused."""


class TableDiffers(MovieStreamError):
    """The path holds something other than a table of this result, or cannot hold one.

    What to do: name another folder.

    >>> str(TableDiffers(path="lake/hours", why="it is no Delta Lake table, and not empty"))
    'lake/hours: it is no Delta Lake table, and not empty; nothing was changed there: name another folder'
    """

    def __init__(self, *, path: object, why: str) -> None:
        super().__init__(f"{path}: {why}; nothing was changed there: name another folder")


class TableDamaged(MovieStreamError):
    """A file of the table is missing or damaged.

    What to do: bring the table back from a backup, or export anew.

    >>> print(TableDamaged(path="lake/hours", file="part-1.parquet", cause="No such file or directory"))
    lake/hours: the table cannot be read (part-1.parquet: No such file or directory), so a file of it is missing or \
damaged; nothing more was changed: bring it back from a backup, or remove the folder and export anew
    """

    def __init__(self, *, path: object, file: str | None, cause: str) -> None:
        where = "" if file is None else f"{file}: "
        super().__init__(
            f"{path}: the table cannot be read ({where}{cause}), so a file of it is missing or damaged; nothing more "
            "was changed: bring it back from a backup, or remove the folder and export anew"
        )


def check_path(path: Path) -> None:
    """Raises TableDiffers if a table at this path could be damaged by another, or could not be found later."""
    whole = path.absolute()
    for character in str(whole):
        if character in _FORBIDDEN or unicodedata.category(character) == "Cc":
            raise TableDiffers(path=path, why=f"Delta Lake cannot have a folder with {character!r} in its path")
    if path.exists() and not path.is_dir():
        raise TableDiffers(path=path, why="it is a file")
    for outer in path.resolve().parents:
        if (outer / LOG).is_dir():
            why = f"it lies inside another Delta Lake table ({outer}), whose VACUUM would delete its files"
            raise TableDiffers(path=path, why=why)
    if path.is_dir() and (path / LOG).is_dir():
        for entry in path.iterdir():
            if (entry / LOG).is_dir():
                why = f"another table lies in it ({entry.name}), whose files its VACUUM would delete; move that away"
                raise TableDiffers(path=path, why=why)


def failed(path: Path, error: BaseException) -> MovieStreamError:
    """The library's error as ours: TableDamaged if it cannot read the table, else ExportFailed."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|↳|\s\d+: <unknown>.*", " ", str(error), flags=re.DOTALL).split())
    known = re.search(r"[A-Z][^:()\"]*(?= \(os error \d+\))|message: \"([^\"]*)\"", text)
    cause = (known[1] or known[0]).strip() if known else text.rpartition(" error: ")[2][:200].strip(" .")
    file = re.search(rf"part-[^/\s:]*\.parquet|{LOG}/[^/\s:]+", text)
    if _UNREADABLE.search(text) and not _SYSTEM.search(text):
        return TableDamaged(path=path, file=file[0] if file else None, cause=cause)
    return ExportFailed(path=path, cause=cause, left="the table is as it was before this range; run it again later")
