"""Expectations of the data, from the table `[quality]` of the alerts' file, and the verdict on the data.

>>> expected = Expectations(records_per_hour=50_000, bad=Limits(0.001, 0.01))
>>> verdict({"records": 20_000, "views": 19_900, "bad": 100, "late": 0, "retitled": 0}, expected)
Verdict(light='red', found=(Found(figure='completeness', value=0.4, light='red', limit=0.5), ...))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from movie_stream.alerts.keys import Key, Reading, RulesRefused
from movie_stream.alerts.toml_file import read_toml

QUALITY: Final = "quality"
"""The table in the file."""
COMPLETENESS: Final = "completeness"
Light = Literal["grey", "green", "yellow", "red"]
LIGHTS: Final[tuple[Light, ...]] = ("grey", "green", "yellow", "red")
"""Ordered from best to worst, after grey for figures that cannot be judged."""
Document = Mapping[str, Any]
"""The figures of a document of `data_quality`, or their sums."""


class Limits(NamedTuple):
    """The limits beyond which a figure is yellow and red."""

    yellow: float
    red: float


_COMPLETE: Final = Limits(0.9, 0.5)
_RARE: Final = Limits(0.01, 0.05)


@dataclass(frozen=True, slots=True)
class Expectations:
    """The expected figures; None for figures without an expectation."""

    records_per_hour: float | None = None
    """The number of records of a source partition in an hour; the base of completeness."""
    completeness: Limits | None = _COMPLETE
    """Records divided by expected records; lower limits."""
    bad: Limits | None = _RARE
    """A share of the records, like `late`; upper limits, like all that follow."""
    late: Limits | None = _RARE
    without_rating: Limits | None = None
    """A share of the views, like the next three."""
    without_duration: Limits | None = None
    without_price: Limits | None = None
    retitled: Limits | None = _RARE
    new_genres: Limits | None = None
    """The number in an hour."""
    avg_delay_s: Limits | None = None
    """Seconds from a view's event time to its Kafka timestamp; for a replay of old data these are years."""


class Found(NamedTuple):
    """A figure that was judged."""

    figure: str
    """The name of the field of Expectations."""
    value: float
    light: Light
    limit: float | None
    """The limit that is exceeded; None if the light is green."""


class Verdict(NamedTuple):
    """The worst light of all figures that can be judged, and these figures, in the order of Expectations."""

    light: Light
    found: tuple[Found, ...]

    @property
    def reasons(self) -> tuple[Found, ...]:
        """The figures beyond a limit, the worst first."""
        beyond = [found for found in self.found if found.limit is not None]
        return tuple(sorted(beyond, key=lambda found: -LIGHTS.index(found.light)))


_SHARES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("bad", "late"), "records"),
    **dict.fromkeys(("without_rating", "without_duration", "without_price", "retitled"), "views"),
}
"""The denominator of each share."""
_LARGEST: Final = 1e15


def read(reading: Reading, table: Any) -> Expectations | None:
    """The expectations in a table `[quality]`; None if it has mistakes, which are added to `reading`.

    Missing keys have their defaults; an empty list means no limit.
    """
    before = len(reading.mistakes)
    values = reading.values(table, (QUALITY,), _KEYS)
    return Expectations(**values) if len(reading.mistakes) == before else None


def load(path: Path | None) -> Expectations:
    """The expectations of a file of alerts; the defaults if there is none, or if it has no table `[quality]`.

    Raises RulesRefused for a file that cannot be read, is not TOML, or has mistakes in this table.
    """
    if path is None:
        return Expectations()
    file = read_toml(path)
    reading = Reading(file.lines.of)
    expected = read(reading, file.values.get(QUALITY, {}))
    if expected is None:
        raise RulesRefused(path=str(path), mistakes=reading.mistakes)
    return expected


def verdict(document: Document, expectations: Expectations, hours: float = 1) -> Verdict:
    """Judges the figures of an hour of a source partition, or their sums over several.

    Completeness is that of `hours` hours; 0 if it cannot be judged, as for the current hour.
    """
    found = tuple(
        _found(figure, value, limits, below=figure == COMPLETENESS)
        for figure, value in _figures(document, expectations, hours)
        if (limits := getattr(expectations, figure)) is not None
    )
    return Verdict(max((figure.light for figure in found), key=LIGHTS.index, default="grey"), found)


def _figures(document: Document, expectations: Expectations, hours: float) -> Iterator[tuple[str, float]]:
    """The figures that can be judged: not shares of nothing."""
    records = document.get("records") or 0
    if expectations.records_per_hour and hours > 0:
        yield COMPLETENESS, records / (expectations.records_per_hour * hours)
    for figure, base in _SHARES.items():
        if whole := document.get(base) or 0:
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
    raise ValueError


def _key(name: str, default: Any) -> Key:
    if name == "records_per_hour":
        return Key(name, "a number of records above 0", _records, default)
    unit = "shares from 0 to 1" if name in _SHARES else "shares from 0" if name == COMPLETENESS else "numbers from 0"
    order = f"the second, for red, not {'above' if name == COMPLETENESS else 'below'} it"
    expected = f"two {unit}, of which the first is for yellow and {order}; or [] for no limit"
    return Key(name, expected, lambda value: _limits(name, value), default)


def _limits(name: str, value: Any) -> Limits | None:
    """Parses two numbers, for yellow and for red; None for an empty list."""
    if not isinstance(value, list):
        raise ValueError
    if not value:
        return None
    most = 1.0 if name in _SHARES else _LARGEST
    if len(value) != 2 or not all(_is_number(limit) and 0 <= limit <= most for limit in value):
        raise ValueError
    limits = Limits(*map(float, value))
    if limits.red > limits.yellow if name == COMPLETENESS else limits.red < limits.yellow:
        raise ValueError
    return limits


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


_KEYS: Final = tuple(_key(field.name, field.default) for field in fields(Expectations))
