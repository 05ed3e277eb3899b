"""Which one of a film's genres counts, for an event has one: the first, or the rarest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from movie_stream.errors import UsageError

Choice = Literal["first", "rarest"]
UNKNOWN_GENRE: Final = "Unknown"


def choice_of(name: str | None) -> Choice:
    """What `--genre` asks for. Raises UsageError where there is no such thing."""
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
    """Chooses a genre by all that the films of a catalogue have.

    The rarest is the one that the fewest films have; of two that are as rare, it is the one that is named first.

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
