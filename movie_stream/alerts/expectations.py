"""What is expected of the data, as the table `[quality]` of the alerts' file says it, and the verdict on what came.

>>> expected = parsed({"records_per_hour": 50_000, "bad": [0.001, 0.01]})
>>> verdict({"records": 20_000, "views": 19_900, "bad": 100, "late": 0, "retitled": 0}, expected)
Verdict(light='red', found=(Found(figure='completeness', value=0.4, light='red', limit=0.5), ...))
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from movie_stream.errors import MovieStreamError
from movie_stream.settings import read_text

Light = Literal["grey", "green", "yellow", "red"]
LIGHTS: Final[tuple[Light, ...]] = ("grey", "green", "yellow", "red")
"""The worst last; grey where nothing can be judged."""
Document = Mapping[str, Any]
"""Figures as a document of `data_quality` has them, or their sums."""


class Limits(NamedTuple):
    """Beyond the first a figure is yellow, beyond the second red."""

    yellow: float
    red: float


_COMPLETE: Final = Limits(0.9, 0.5)
_RARE: Final = Limits(0.01, 0.05)


@dataclass(frozen=True, slots=True)
class Expectations:
    """What is expected; None of what nothing is expected of."""

    records_per_hour: float | None = None
    """How many records an hour of a source partition has; what completeness is measured by."""
    completeness: Limits | None = _COMPLETE
    """Records by expected records; it should not be below."""
    bad: Limits | None = _RARE
    """A share of the records, like `late`; none of these should be above."""
    late: Limits | None = _RARE
    without_rating: Limits | None = None
    """A share of the views, like the next three."""
    without_duration: Limits | None = None
    without_price: Limits | None = None
    retitled: Limits | None = _RARE
    new_genres: Limits | None = None
    """A number in an hour."""
    avg_delay_s: Limits | None = None
    """Seconds from a view's own time to its Kafka timestamp; a replay of old data is years behind."""


class Found(NamedTuple):
    """A figure that was judged."""

    figure: str
    """As Expectations calls it."""
    value: float
    light: Light
    limit: float | None
    """The limit beyond which it is; None where it is green."""


class Verdict(NamedTuple):
    """The worst light of all figures that can be judged, and these, in the order of Expectations."""

    light: Light
    found: tuple[Found, ...]

    @property
    def reasons(self) -> tuple[Found, ...]:
        """The figures that are not as expected, the worst first."""
        beyond = [one for one in self.found if one.limit is not None]
        return tuple(sorted(beyond, key=lambda one: -LIGHTS.index(one.light)))


class Mistake(NamedTuple):
    """What is wrong with a key; empty for the table itself."""

    key: str
    words: str


class ExpectationsRefused(MovieStreamError):
    """The table `[quality]` cannot be used; `mistakes` has all that is wrong with it.

    >>> parsed({"bad": [2, 1], "colour": 1})
    Traceback (most recent call last):
    movie_stream.alerts.expectations.ExpectationsRefused: [quality]: bad: expected two shares ...; colour: expected ...
    """

    exit_code = 2

    def __init__(self, *, mistakes: Sequence[Mistake], where: str = "[quality]") -> None:
        self.mistakes = tuple(mistakes)
        words = "; ".join(f"{key}: {words}" if key else words for key, words in self.mistakes)
        super().__init__(f"{where}: {words}")


FILE_BYTES: Final = 256 << 10
"""The most that a file of alerts may have."""
_SHARES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("bad", "late"), "records"),
    **dict.fromkeys(("without_rating", "without_duration", "without_price", "retitled"), "views"),
}
"""What a share is of."""
_KEYS: Final = tuple(field.name for field in fields(Expectations))
_LARGEST: Final = 1e15


def parsed(table: Mapping[str, Any]) -> Expectations:
    """The expectations that a table of TOML says; a key that it lacks has its default, an empty list is no limit.

    Raises ExpectationsRefused.
    """
    mistakes: list[Mistake] = []
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KEYS:
            mistakes.append(Mistake(key, f"expected one of {', '.join(_KEYS)}"))
            continue
        try:
            given[key] = _records(value) if key == "records_per_hour" else _limits(key, value)
        except ValueError as error:
            mistakes.append(Mistake(key, f"expected {error}, got {_shown(value)}"))
    if mistakes:
        raise ExpectationsRefused(mistakes=mistakes)
    return Expectations(**given)


def load(path: Path | None) -> Expectations:
    """The expectations of a file of alerts, or the defaults where there is none or it has no table `[quality]`.

    Raises ExpectationsRefused for a file that cannot be read, or is no TOML.
    """
    if path is None:
        return Expectations()
    try:
        table = tomllib.loads(read_text(path, at_most_bytes=FILE_BYTES)).get("quality", {})
    except (OSError, ValueError, RecursionError) as error:
        words = f"expected a file in TOML that can be read: {error}"
        raise ExpectationsRefused(mistakes=[Mistake("", words)], where=str(path)) from error
    if not isinstance(table, Mapping):
        words = f"expected a table [quality], got {_shown(table)}"
        raise ExpectationsRefused(mistakes=[Mistake("quality", words)], where=str(path))
    try:
        return parsed(table)
    except ExpectationsRefused as error:
        raise ExpectationsRefused(mistakes=error.mistakes, where=f"{path}, [quality]") from error


def verdict(document: Document, expectations: Expectations, hours: float = 1) -> Verdict:
    """What is to be said of the figures of a source partition's hour, or of their sums over several.

    Completeness is that of `hours` hours; 0 where it cannot be judged, as of an hour that is not over.
    """
    found = tuple(
        _found(figure, value, limits, below=figure == "completeness")
        for figure, value in _figures(document, expectations, hours)
        if (limits := getattr(expectations, figure)) is not None
    )
    return Verdict(max((one.light for one in found), key=LIGHTS.index, default="grey"), found)


def _figures(document: Document, expectations: Expectations, hours: float) -> Iterator[tuple[str, float]]:
    """What can be judged: a share of nothing cannot."""
    records = document.get("records") or 0
    if expectations.records_per_hour and hours > 0:
        yield "completeness", records / (expectations.records_per_hour * hours)
    for figure, of in _SHARES.items():
        if whole := document.get(of) or 0:
            yield figure, (document.get(figure) or 0) / whole
    if document.get("views"):
        yield "new_genres", document.get("new_genres") or 0
    if (delay := document.get("avg_delay_s")) is not None:
        yield "avg_delay_s", delay


def _found(figure: str, value: float, limits: Limits, *, below: bool) -> Found:
    for light, limit in (("red", limits.red), ("yellow", limits.yellow)):
        if value < limit if below else value > limit:
            return Found(figure, value, "red" if light == "red" else "yellow", limit)
    return Found(figure, value, "green", None)


def _records(value: Any) -> float:
    if _is_number(value) and value > 0:
        return float(value)
    raise ValueError("a number of records above 0")


def _limits(key: str, value: Any) -> Limits | None:
    """Two numbers, for yellow and for red; None for an empty list. Raises ValueError with what is expected."""
    share = key in _SHARES or key == "completeness"
    most = 1.0 if key in _SHARES else _LARGEST
    unit = "shares from 0 to 1" if key in _SHARES else "shares from 0" if share else "numbers from 0"
    order = f"the second, for red, not {'above' if key == 'completeness' else 'below'} it"
    expected = f"two {unit}, of which the first is for yellow and {order}; or [] for no limit"
    if not isinstance(value, list):
        raise ValueError(expected)
    if not value:
        return None
    if len(value) != 2 or not all(_is_number(one) and 0 <= one <= most for one in value):
        raise ValueError(expected)
    limits = Limits(*map(float, value))
    if limits.red > limits.yellow if key == "completeness" else limits.red < limits.yellow:
        raise ValueError(expected)
    return limits


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
