"""Chooses which of a film's genres counts, since an event has only one: the first, or the rarest."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from movie_stream.errors import UsageError

Choice = Literal["first", "rarest"]
UNKNOWN_GENRE: Final = "Unknown"
LONGEST_LIST: Final = 10_000
"""Characters."""
A_LIST: Final = "genres: expected a list of texts, or of objects with a name, in JSON"
WITHOUT_COMMA: Final = re.compile(r"""['"]\s+['"]""")
"""The gap between texts in a list as numpy writes it, which Python would read as one text."""


def choice_of(name: str | None) -> Choice:
    """The choice that `--genre` names. Raises UsageError for an unknown one."""
    if name in (None, "first"):
        return "first"
    if name == "rarest":
        return "rarest"
    if name == "all":
        raise UsageError(
            argument="--genre",
            expected="first or rarest",
            got="all",
            remedy="an event has one genre, and a view sent once for each would count as several in all other results",
        )
    raise UsageError(argument="--genre", expected="first or rarest", got=name)


class Chooser:
    """Chooses a genre of a film, given the genres of all films of a catalogue.

    The rarest genre is the one that the fewest films have; among equally rare ones it is the film's first.

    >>> films = [("Action", "Drama"), ("Action",), ("Comedy", "Action", "Drama"), ()]
    >>> list(map(Chooser("rarest", films), films)), list(map(Chooser("first", films), films))
    (['Drama', 'Action', 'Comedy', 'Unknown'], ['Action', 'Action', 'Comedy', 'Unknown'])
    """

    def __init__(self, choice: Choice, films: Iterable[Sequence[str]]) -> None:
        self._films: Counter[str] | None = None
        if choice == "rarest":
            self._films = Counter(genre for genres in films for genre in dict.fromkeys(genres))

    def __call__(self, genres: Sequence[str]) -> str:
        if not genres:
            return UNKNOWN_GENRE
        return genres[0] if self._films is None else min(genres, key=self._films.__getitem__)


def listed(cell: str, numbers: Mapping[int, str] | None = None) -> tuple[str, ...]:
    """The names in a cell: a list of texts or objects, in JSON or as Python writes it; a list of keys of `numbers`; or
    names between commas or bars.

    >>> listed('[{"id": 28, "name": "Action"}]'), listed("['War', 'Drama']"), listed("[]"), listed("[35]", {35: "War"})
    (('Action',), ('War', 'Drama'), (), ('War',))
    >>> listed("[{'id': 16, 'name': 'Animation'}]"), listed("Action, Science Fiction"), listed("Drama|War")
    (('Animation',), ('Action', 'Science Fiction'), ('Drama', 'War'))

    Raises ValueError with the reason if the cell begins like a list and is not one.
    """
    text = cell.strip()
    is_list = text.startswith("[")
    found = [_name(entry, numbers or {}) for entry in _list(text)] if is_list else re.split("[,|]", text)
    return tuple(name.strip() for name in found if name.strip())


def _list(text: str) -> list[Any]:
    try:
        try:
            entries = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            is_python = len(text) <= LONGEST_LIST and WITHOUT_COMMA.search(text) is None
            entries = ast.literal_eval(text) if is_python else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise ValueError(f'{A_LIST}, got "{text[:40]}"')
    return entries


def _name(entry: object, numbers: Mapping[int, str]) -> str:
    if isinstance(entry, int):
        return numbers.get(entry, "")
    name = entry.get("name") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        raise ValueError(A_LIST)
    return name
