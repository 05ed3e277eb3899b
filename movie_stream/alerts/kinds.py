"""The kinds of rules: the keys of each, and the condition that they define."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from movie_stream.aggregates import results
from movie_stream.aggregates.shape import Shape
from movie_stream.alerts import keys
from movie_stream.alerts.keys import Key, Reading
from movie_stream.alerts.rules import (
    ALL,
    EACH,
    Beyond,
    BeyondUsual,
    Climbing,
    Condition,
    LightAtLeast,
    Quality,
    RatingFalling,
)
from movie_stream.events.contract import TEXTS
from movie_stream.events.event import slug_of

QUALITY: Final = "data_quality"
"""The collection of rules of this kind."""
_MOST: Final = 1e12
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_GENRE: Final = Key("genre", 'the name of a genre, "all" or "each"', lambda value: _genre(value), ALL)
_WINDOW: Final = Key(
    "window",
    "a length of time from 1 min to 1 d that divides a day, such as 5 min, 1 h or 1 d",
    keys.length_ms(_MINUTE, _DAY, divides_a_day=True),
)
_POSITIVE: Final = keys.number(0, _MOST, beyond=True)
_LIMIT: Final = "a number from 0"
_AT_LEAST: Final = Key("at_least", "a number from 1", keys.number(1, _MOST), None)
_DIRECTIONS: Final = ("above", "below", "above_usual", "below_usual")
_USUAL: Final = (
    Key("weeks", "a whole number from 1 to 52", keys.whole(1, 52), None),
    Key("min_weeks", "a whole number from 1 to 52, at most that of weeks", keys.whole(1, 52), None),
    Key("spread", "a number from 0 to 100", keys.number(0, 100), None),
    _AT_LEAST,
)
_OVER: Final = Key("over", "a whole number of windows before, from 1 to 1000", keys.whole(1, 1_000), None)


def _genre(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= TEXTS["genre"].longest:
        raise ValueError
    if "|" in value or any(char < " " for char in value):
        raise ValueError
    return value if value in (ALL, EACH) else slug_of(value)


def _views(reading: Reading, values: Mapping[str, Any], path: tuple[str, int]) -> Condition | None:
    given = [name for name in _DIRECTIONS if values[name] is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none of them"
        reading.wrong(path, f"rule {path[1] + 1}: expected one of {', '.join(_DIRECTIONS)}, got {got}")
        return None
    [name] = given
    direction = "above" if name.startswith("above") else "below"
    usual = {key.name: values[key.name] for key in _USUAL if values[key.name] is not None}
    if name == direction:
        for other in usual:
            reading.wrong(
                (*path, other), f"rule {path[1] + 1}, {other}: expected above_usual or below_usual besides it"
            )
        return None if usual else Beyond(direction, values[name])  # type: ignore[arg-type]
    if name == "below_usual" and values[name] > 1:
        reading.expected((*path, name), "a number above 0, at most 1", values[name])
        return None
    condition = BeyondUsual(direction, values[name], **usual)  # type: ignore[arg-type]
    if condition.min_weeks > condition.weeks:
        key = "min_weeks" if "min_weeks" in usual else "weeks"
        words = f"expected at most weeks ({condition.weeks}), got {condition.min_weeks}"
        reading.wrong((*path, key), f"rule {path[1] + 1}, min_weeks: {words}")
        return None
    return condition


def _given(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if values[name] is not None}


def _quality(reading: Reading, values: Mapping[str, Any], path: tuple[str, int]) -> Condition | None:
    number = f"rule {path[1] + 1}"
    fields = quality_fields()
    unknown = [name for name in ("field", "share_of") if isinstance(values[name], str) and values[name] not in fields]
    for name in unknown:
        reading.expected((*path, name), f"one of {', '.join(fields)}", values[name])
    if values["light"] is not None:
        if others := list(_given(values, "field", "share_of", "above", "below")):
            reading.wrong((*path, others[0]), f"{number}: expected light or {others[0]}, got both")
            return None
        return LightAtLeast(values["light"])
    if values["field"] is None:
        reading.wrong(path, f"{number}: expected field (one of {', '.join(fields)}) or light, got nothing")
        return None
    given = _given(values, "above", "below")
    if len(given) != 1:
        reading.wrong(path, f"{number}: expected one of above, below, got {' and '.join(given) or 'none of them'}")
        return None
    [(direction, limit)] = given.items()
    if values["share_of"] is not None and limit > 1:
        reading.expected((*path, direction), "a share from 0 to 1, since share_of is given", limit)
        return None
    if unknown:
        return None
    return Quality(values["field"], direction, limit, values["share_of"])  # type: ignore[arg-type]


def quality_fields() -> list[str]:
    """The figures of `data_quality`."""
    shape = next(Shape.of(result) for result in results.RESULTS if result.collection == QUALITY)
    numbers = [column.name for column in shape.fields if column.kind in ("count", "number")]
    return [name for name in numbers if name != "partition"]


_MakeCondition = Callable[[Reading, Mapping[str, Any], tuple[str, int]], Condition | None]
OF_KIND: Final[Mapping[str, tuple[tuple[Key, ...], _MakeCondition]]] = {
    "views": (
        (
            _GENRE,
            _WINDOW,
            Key("above", _LIMIT, keys.number(0, _MOST), None),
            Key("below", "a number above 0", _POSITIVE, None),
            Key("above_usual", "a number from 1", keys.number(1, _MOST), None),
            Key("below_usual", "a number above 0, at most 1", _POSITIVE, None),
            *_USUAL,
        ),
        _views,
    ),
    "rating_falling": (
        (_GENRE, _WINDOW, Key("by", "a number above 0, at most 5", keys.number(0, 5, beyond=True)), _OVER, _AT_LEAST),
        lambda _, values, __: RatingFalling(values["by"], **_given(values, "over", "at_least")),
    ),
    "climbing": (
        (Key("times", "a number from 1", keys.number(1, _MOST)), _OVER, _AT_LEAST),
        lambda _, values, __: Climbing(values["times"], **_given(values, "over", "at_least")),
    ),
    "silence": ((_GENRE, _WINDOW), lambda _, __, ___: Beyond("below", 1.0)),
    "quality": (
        (
            Key("field", "a figure of data_quality", keys.text(r"[a-z0-9_]{1,64}"), None),
            Key("share_of", "a figure of data_quality", keys.text(r"[a-z0-9_]{1,64}"), None),
            Key("above", _LIMIT, keys.number(0, _MOST), None),
            Key("below", "a number above 0", _POSITIVE, None),
            Key("light", "yellow or red", keys.one_of("yellow", "red"), None),
        ),
        _quality,
    ),
}

KINDS: Final = tuple(OF_KIND)
