"""Records which ranges a folder holds completely: a line of JSON for each finished file, in `_exported.jsonl`.

A line identifies the documents that the file was made from, so that the next export skips the file as long as they are
unchanged. It is written after the file: an interrupted export does not repeat what it had finished.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import orjson

from movie_stream.errors import MovieStreamError
from movie_stream.export.new_file import ExportFailed, new_file

NAME: Final = "_exported.jsonl"
"""Readers of data, such as Spark, ignore names that begin with an underscore."""
VERSION: Final = 2


class FolderOfAnother(MovieStreamError):
    """A folder holds another export.

    What to do: name another folder for each choice of what is exported.

    >>> str(FolderOfAnother(path="out/x", what="genre", expected="Drama", got=None))[:78]
    "out/x holds an export with another genre: expected 'Drama', got None; name ano"
    """

    def __init__(self, *, path: object, what: str, expected: object, got: object) -> None:
        super().__init__(
            f"{path} holds an export with another {what}: expected {expected!r}, got {got!r}; "
            "name another folder, or remove this one"
        )


class NotesDamaged(MovieStreamError):
    """The notes of a folder cannot be read.

    What to do: remove the file that is named, and export with `--overwrite`.

    >>> print(NotesDamaged(path="out/_exported.jsonl", line=3))
    out/_exported.jsonl, line 3: expected a line that an export has written; remove this file, and what the folder \
holds is exported anew with --overwrite
    """

    def __init__(self, *, path: object, line: int) -> None:
        super().__init__(
            f"{path}, line {line}: expected a line that an export has written; remove this file, "
            "and what the folder holds is exported anew with --overwrite"
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """Identifies the documents that a file was made from; it changes with any of them, since `_rev` only grows."""

    documents: int
    revisions: int
    """The sum of all numbers of all `_rev`."""
    first_run: int
    last_run: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A range that is exported completely."""

    label: str
    file: str
    bytes: int
    rows: int
    mark: Mark


class Bookkeeping:
    """The records of a folder; the file exists once the first range is recorded."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self._path, self._about = folder, folder / NAME, {"version": VERSION, **about}
        self.ranges: dict[str, Whole] = {}

    @classmethod
    def of(cls, folder: Path, about: Mapping[str, Any]) -> Self:
        """Reads the records; `about` describes the export that the folder is to hold.

        Raises FolderOfAnother if it holds another export, NotesDamaged, and ExportFailed.
        """
        notes = cls(folder, about)
        try:
            lines = notes._path.read_bytes().split(b"\n")[:-1]  # an incomplete last line is dropped
        except FileNotFoundError:
            return notes
        except OSError as error:
            raise ExportFailed(path=notes._path, cause=error, left="nothing was changed") from error
        for number, line in enumerate(lines, 1):
            try:
                notes._take(orjson.loads(line), first=number == 1)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise NotesDamaged(path=notes._path, line=number) from error
        return notes

    def holds(self, label: str, mark: Mark) -> bool:
        """Whether the file of this range exists, made from exactly these documents."""
        whole = self.ranges.get(label)
        if whole is None or whole.mark != mark:
            return False
        file = self.folder / whole.file
        return file.is_file() and file.stat().st_size == whole.bytes

    def begin(self) -> None:
        """Creates the folder, and compacts the records to a line per range. Raises ExportFailed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExportFailed(path=self.folder, cause=error) from error
        lines = [self._about, *(asdict(whole) for whole in self.ranges.values())]
        with new_file(self._path, overwrite=True) as file:
            file.writelines(orjson.dumps(line) + b"\n" for line in lines)

    def add(self, whole: Whole) -> None:
        """Records a range whose file is on the disk. Raises ExportFailed."""
        self.ranges[whole.label] = whole
        self._append(asdict(whole))

    def remove(self, label: str) -> None:
        """Removes the file of a range that no longer has documents. Raises ExportFailed."""
        whole = self.ranges.pop(label)
        try:
            (self.folder / whole.file).unlink(missing_ok=True)
        except OSError as error:
            raise ExportFailed(path=self.folder / whole.file, cause=error, left="it is still there") from error
        self._append({"label": label, "gone": True})

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(orjson.dumps(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            left = "the files before it are whole"
            raise ExportFailed(path=self._path, cause=error, left=left) from error

    def _take(self, line: dict[str, Any], *, first: bool) -> None:
        if first:
            for what, expected in self._about.items():
                if line.get(what) != expected:
                    raise FolderOfAnother(path=self.folder, what=what, expected=line.get(what), got=expected)
        elif line.get("gone"):
            self.ranges.pop(line["label"], None)
        else:
            file = line["file"]
            if not isinstance(file, str) or Path(file).name != file:
                raise ValueError(file)  # `remove` would delete it with its range
            self.ranges[line["label"]] = Whole(**{**line, "mark": Mark(**line["mark"])})
