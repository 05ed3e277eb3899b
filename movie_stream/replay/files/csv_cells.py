"""Parses the cells of a CSV strictly into numbers, a column at a time.

An empty cell is null. A whole number may have zeros after the decimal point, as spreadsheets write it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.events.contract import FIELD_RULES

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DIGITS: Final = 18
"""The most digits of a whole number; any such number fits into 64 bits."""
WHOLE: Final = re.compile(rf"(-?[0-9]{{1,{DIGITS}}})(?:\.0*)?")
DECIMAL: Final = re.compile(r"-?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
REMEMBERED: Final = 100_000
"""The most cells of one column that are cached; ratings and durations have few distinct values."""
LONGEST_REMEMBERED: Final = 600
"""Characters; a longer cell is not cached."""


NO_VALUE: Final = frozenset({"NULL", "null", "NaN", "\\N", "N/A", "None"})
"""What databases and pandas write for a missing number."""
NULL_WORDS: Final = "numbers with NULL, NaN, N/A or the like, taken as missing"


class NoNumber:
    """The placeholder for a cell that is not a valid number."""


NO_NUMBER: Final = NoNumber()


class Numbers(dict[str, float | int | NoNumber | None]):
    """Numbers by the text of their cells; each text is parsed once.

    >>> cells = Numbers(parse_whole)
    >>> [cells["30"], cells["30.0"], cells[""], cells["3O"] is NO_NUMBER]
    [30, 30, None, True]
    """

    def __init__(self, parse: Callable[[str], float | int | NoNumber | None]) -> None:
        self._parse = parse

    def __missing__(self, cell: str) -> float | int | NoNumber | None:
        if len(self) >= REMEMBERED:
            self.clear()
        number = self._parse(cell)
        if len(cell) <= LONGEST_REMEMBERED:
            self[cell] = number
        return number

    def column(self, cells: Sequence[str]) -> list[float | int | NoNumber | None]:
        """The numbers of a column."""
        return list(map(self.__getitem__, cells))


def parse_whole(cell: str) -> int | NoNumber | None:
    """The whole number in a cell.

    >>> parse_whole(" -7"), parse_whole("1.5") is NO_NUMBER
    (-7, True)
    """
    text = cell.strip()
    if not text:
        return None
    match = WHOLE.fullmatch(text)
    return int(match[1]) if match else NO_NUMBER


def parse_decimal(cell: str) -> float | NoNumber | None:
    """The number in a cell; NaN and infinity are not accepted."""
    text = cell.strip()
    if not text:
        return None
    number = float(text) if DECIMAL.fullmatch(text) else math.inf
    return number if math.isfinite(number) else NO_NUMBER


def even_timestamps(cells: Sequence[str]) -> NDArray[np.int64] | None:
    """The timestamps of a column whose cells all consist of the same number of digits; None for any other column.

    >>> even_timestamps(["1730383200000", "1730383200001"]), even_timestamps(["12", "7"]), even_timestamps(["07"])
    (array([1730383200000, 1730383200001]), None, None)
    """
    together = "".join(cells)
    width = len(cells[0]) if cells else 0
    if not 1 <= width <= DIGITS or not together.isascii() or not together.isdigit() or set(map(len, cells)) != {width}:
        return None
    digits = np.frombuffer(together.encode(), np.uint8).reshape(len(cells), width) - ord("0")
    if width > 1 and not digits[:, 0].all():
        return None
    return digits.astype(np.int64) @ 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)


def timestamps(cells: Sequence[str]) -> list[int | NoNumber | None]:
    """The timestamps of a column; not cached, since hardly any are equal."""
    even = even_timestamps(cells)
    return [parse_whole(cell) for cell in cells] if even is None else even.tolist()


SECONDS: Final = re.compile(r"([1-9][0-9]{8,9})(?:\.([0-9]{1,9}))?")
FINER: Final = re.compile(r"([1-9][0-9]{12})(?:([0-9]{3})|([0-9]{6}))")
ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d(?::?[0-5]\d(?::?[0-5]\d)?)?))?)?"
)
BEFORE_ZONE: Final = re.compile(r" (?=[ZU+-])")
"""An optional blank before the time zone."""
FARTHEST_ZONE: Final = timedelta(hours=18)
"""The largest offset from UTC that is accepted; real ones end at 14 hours."""
DATE_IN_DIGITS: Final = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?"
)
"""Such as 202410311400, perhaps with seconds; shorter ones are below FIRST_MS anyway."""
FIRST_MS: Final = 100_000_000_000
"""In 1973. Nobody saw a film on demand before; a smaller number is something else: seconds since a later year than
1970, days, a year, or a date in digits."""
MILLISECOND_DIGITS: Final = 13
"""The digits of a time from 2001 to 2286."""
A_TIME: Final = "a whole number of Unix milliseconds (or seconds) from 1973-03-03 on, or text as 2024-10-31 14:00:00"
IN_SECONDS: Final = "timestamps in seconds"
IN_FINER: Final = "timestamps in microseconds or nanoseconds"
IN_WORDS: Final = "timestamps as text (in UTC, where no zone is said)"


def in_milliseconds(cell: str) -> tuple[str, str | None]:
    """Converts a timestamp to Unix milliseconds; also returns its notation, or None if the cell is unchanged.

    The conversion is unambiguous: as milliseconds these numbers would lie in early 1970 or after the year 9999.

    >>> in_milliseconds("1260759144"), in_milliseconds("2024-10-31 14:00")[0], in_milliseconds("7")
    (('1260759144000', 'timestamps in seconds'), '1730383200000', ('7', None))
    >>> in_milliseconds("2024-10-31")
    ('1730332800000', 'timestamps as text (in UTC, where no zone is said)')
    """
    text = cell.strip()
    if found := SECONDS.fullmatch(text):
        return f"{found[1]}{(found[2] or '')[:3]:0<3}", IN_SECONDS
    if found := FINER.fullmatch(text):
        return found[1], IN_FINER
    if ISO.fullmatch(text):
        try:
            time = datetime.fromisoformat(BEFORE_ZONE.sub("", text).replace("UTC", "Z").replace(",", "."))
        except ValueError:
            return cell, None
        if abs(time.utcoffset() or timedelta()) > FARTHEST_ZONE:
            return cell, None
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return str((time - EPOCH) // timedelta(milliseconds=1)), IN_WORDS
    return cell, None


def is_other_number(cell: str) -> bool:
    """Whether a cell holds a whole number that is a date in digits, a day count or a year instead of milliseconds.

    >>> [cell for cell in ("20241031", "45596", "202410311601", "851866703000", "soon") if is_other_number(cell)]
    ['20241031', '45596', '202410311601']
    """
    if len(cell) == MILLISECOND_DIGITS and cell.isdigit() and cell[0] != "0":
        return False
    number = parse_whole(cell)
    return isinstance(number, int) and (number < FIRST_MS or DATE_IN_DIGITS.fullmatch(str(number)) is not None)


def refusal(field: str, cell: str) -> str:
    """The reason why a cell of this field is refused.

    >>> refusal("rating", "abc")
    'rating: expected a number from 0 to 5, or null, got "abc"'
    """
    expected = A_TIME if field == "timestamp" else FIELD_RULES[field].words
    if not cell.strip():
        return f"{field}: expected {expected}, got an empty cell"
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cell[:40])
    return f'{field}: expected {expected}, got "{shown}{"..." if len(cell) > 40 else ""}"'
