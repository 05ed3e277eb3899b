"""The target of an export, by `--to` and `--format`: standard output, one file, a folder of files, or Delta Lake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from movie_stream.errors import UsageError

Format = Literal["csv", "ndjson", "parquet", "xlsx"]
Packing = Literal["", ".gz", ".zst"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
DELTA: Final = "delta:"
STDOUT: Final = "-"
_TEXTS: Final = ("csv", "ndjson")
_OTHER_NAMES: Final[dict[str, Format]] = {"jsonl": "ndjson"}
ENDINGS: Final = ".csv, .ndjson, .parquet or .xlsx (the first two also packed: .csv.gz, .ndjson.zst)"


@dataclass(frozen=True, slots=True)
class Form:
    """The format and compression of a file.

    >>> Form("csv", ".gz").ending
    '.csv.gz'
    """

    format: Format
    packing: Packing = ""

    @property
    def ending(self) -> str:
        """The ending of the names of such files."""
        return f".{self.format}{self.packing}"

    @property
    def is_text(self) -> bool:
        """Whether it can be written sequentially, as to a pipe."""
        return self.format in _TEXTS


@dataclass(frozen=True, slots=True)
class ToStdout:
    form: Form


@dataclass(frozen=True, slots=True)
class ToFile:
    path: Path
    form: Form


@dataclass(frozen=True, slots=True)
class ToFolder:
    """A file for each result, or a folder for each if they are split by time."""

    path: Path
    form: Form


@dataclass(frozen=True, slots=True)
class ToDelta:
    """The folder of one table, or of several results' tables."""

    path: Path


Target = ToStdout | ToFile | ToFolder | ToDelta


def form_named(name: str) -> Form | None:
    """The form for an ending, with or without its first dot; None if there is none.

    >>> form_named("csv.gz"), form_named(".jsonl"), form_named("xlsx.gz"), form_named("txt")
    (Form(format='csv', packing='.gz'), Form(format='ndjson', packing=''), None, None)
    """
    first, _, second = name.lower().removeprefix(".").partition(".")
    named = _OTHER_NAMES.get(first, first)
    found = next((known for known in FORMATS if known == named), None)
    if found is None or second not in ("", "gz", "zst"):
        return None
    form = Form(found, f".{second}" if second else "")  # type: ignore[arg-type]
    return form if form.is_text or not second else None


def form_of(path: Path) -> Form | None:
    """The form for the ending of a file's name; None if there is none.

    >>> form_of(Path("v1.2/days.2024.CSV.zst")), form_of(Path("days"))
    (Form(format='csv', packing='.zst'), None)
    """
    packed = path.suffix.lower() in (".gz", ".zst")
    return form_named("".join(path.suffixes[-2:] if packed else path.suffixes[-1:]))


def target_of(to: str, named: str | None = None, *, several: bool = False) -> Target:
    """The target for `--to`, and `--format` if given; `several` results or ranges need a folder.

    >>> target_of("days.csv"), target_of("delta:lake/days", several=True)
    (ToFile(path=PosixPath('days.csv'), form=Form(format='csv', packing='')), ToDelta(path=PosixPath('lake/days')))

    Raises UsageError.
    """
    form = None if named is None else form_named(named)
    if named is not None and form is None:
        raise UsageError(argument="--format", expected=f"one of {', '.join(FORMATS)}, csv.gz, ndjson.zst", got=named)
    if to.startswith(DELTA):
        return _delta(to, named)
    if to == STDOUT:
        return _stdout(form or Form("csv"), several=several)
    path = _path(to)
    if several or to.endswith("/") or path.is_dir():
        return _folder(path, form or Form("csv"), to)
    form = form or form_of(path)
    if form is None:
        remedy = "or say what it is: --format csv; a folder's name ends in /"
        raise UsageError(argument="--to", expected=f"a name that ends in {ENDINGS}", got=to, remedy=remedy)
    return ToFile(path, form)


def _delta(to: str, named: str | None) -> ToDelta:
    path = to.removeprefix(DELTA)
    if named is not None:
        raise UsageError(argument="--format", expected="a file or a folder beside it, not a Delta Lake table")
    if not path or "://" in path:
        expected = "a folder of this machine after delta:, such as delta:lake/windows"
        raise UsageError(argument="--to", expected=expected, got=to)
    return ToDelta(_path(path))


def _stdout(form: Form, *, several: bool) -> ToStdout:
    if several:
        raise UsageError(argument="--to", expected="a folder for several results, or with --by", got=STDOUT)
    if not form.is_text:
        expected = "csv or ndjson for standard output, which is written from its beginning to its end"
        raise UsageError(argument="--format", expected=expected, got=form.format)
    return ToStdout(form)


def _folder(path: Path, form: Form, to: str) -> ToFolder:
    if path.exists() and not path.is_dir():
        raise UsageError(argument="--to", expected="a folder for several results, or with --by", got=to)
    if form_of(path) is not None and not path.is_dir() and not to.endswith("/"):
        expected = "a folder for several results, or with --by"
        raise UsageError(argument="--to", expected=expected, got=to, remedy="a folder's name ends in /; see --format")
    return ToFolder(path, form)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise UsageError(argument="--to", expected="the name of a file or a folder", got=text)
    return Path(text).expanduser()
