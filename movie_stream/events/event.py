"""The event contract: one view of a film, and the decoding of whole chunks of records into columns.

A record is either valid, or refused with a reason that a person understands. The verdict depends only on the record's
bytes and its Kafka timestamp, never on other records, the wall clock or the call stack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import Spans
from movie_stream.events.contract import FIELD_RULES, MISSING, NUMBERS, TEXTS
from movie_stream.events.views import Views

MAX_DEPTH: Final = 200
"""The deepest nesting of a record. The JSON decoder's own limit varies with the depth of the call stack."""

LONG_RECORD: Final = 2 * MAX_DEPTH
"""A shorter record, in bytes, cannot be nested deeper than MAX_DEPTH."""


class View(msgspec.Struct, omit_defaults=True, gc=False):
    """One view of a film, as one JSON object in the topic; null members are omitted on encoding.

    >>> decode_one(b'{"movie_id":"m1","title":"Alien","genre":"Sci-Fi","user_id":"u1","timestamp":1730383200000}').title
    'Alien'
    """

    movie_id: Annotated[str, FIELD_RULES["movie_id"].meta]
    title: Annotated[str, FIELD_RULES["title"].meta]
    genre: Annotated[str, FIELD_RULES["genre"].meta]
    user_id: Annotated[str, FIELD_RULES["user_id"].meta]
    timestamp: Annotated[int, FIELD_RULES["timestamp"].meta]
    rating: Annotated[float, FIELD_RULES["rating"].meta] | None = None
    duration: Annotated[int, FIELD_RULES["duration"].meta] | None = None
    price: Annotated[float, FIELD_RULES["price"].meta] | None = None


ENCODER: Final = msgspec.json.Encoder()
"""Writes a View as the value of a record."""


class Refused(ValueError):
    """A record breaks the contract; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused record: its index in the decoded values, and the reason."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded chunk: every record is either in `views` or in `refusals`."""

    views: list[View]
    """The valid records, in the order of the log."""
    index: NDArray[np.int64]
    """The index of each view in the decoded values."""
    timestamp_ms: NDArray[np.int64]
    refusals: list[Refusal]


def decode(
    values: Sequence[bytes | None],
    record_times_ms: Sequence[int] | NDArray[np.int64] | None,
    future_tolerance_ms: int,
) -> Decoded:
    """Decodes a chunk of records.

    `record_times_ms` are the records' Kafka timestamps, negative if a record has none (it gets no future check); None
    if none has one.

    >>> good = b'{"movie_id":"m1","title":"Alien","genre":"Sci-Fi","user_id":"u1","timestamp":1730383200000,"rating":4}'
    >>> decoded = decode([good, b'{"movie_id":7}'], None, 3_600_000)
    >>> decoded.views[0].rating, decoded.refusals[0].reason
    (4.0, 'movie_id: expected a string of 1 to 128 characters, got 7')
    """
    views = _decode_together(values)
    refusals: list[Refusal] = []
    index = np.arange(len(values), dtype=np.int64)
    if views is None:
        views, good = [], np.ones(len(values), np.bool_)
        for i, value in enumerate(values):
            try:
                views.append(decode_one(value))
            except Refused as reason:
                good[i] = False
                refusals.append(Refusal(i, str(reason)))
        index = index[good]
    timestamp_ms = np.array([view.timestamp for view in views], np.int64)
    good = np.ones(len(views), np.bool_)
    blank = {genre for genre in {view.genre for view in views} if display_form(genre) is None}
    if blank:
        for row, view in enumerate(views):
            if view.genre in blank:
                good[row] = False
                refusals.append(Refusal(int(index[row]), _reason("genre", view.genre)))
    if record_times_ms is not None:
        times = np.asarray(record_times_ms, np.int64)[index]
        early = is_ahead(timestamp_ms, times, future_tolerance_ms) & good
        good &= ~early
        for row in np.flatnonzero(early).tolist():
            why = ahead_of_time(int(timestamp_ms[row]), int(times[row]), future_tolerance_ms)
            refusals.append(Refusal(int(index[row]), why))
    refusals.sort(key=lambda refusal: refusal.index)
    if not good.all():
        views = [view for view, is_good in zip(views, good.tolist(), strict=True) if is_good]
        index, timestamp_ms = index[good], timestamp_ms[good]
    return Decoded(views, index, timestamp_ms, refusals)


def columns_of(views: Sequence[View]) -> Views:
    """Views as columns. Their texts share a buffer."""
    texts, count = Spans.of([getattr(view, name).encode() for name in TEXTS for view in views]), len(views)
    return Views(
        {name: texts[nth * count : (nth + 1) * count] for nth, name in enumerate(TEXTS)},
        np.array([view.timestamp for view in views], np.int64),
        {name: _integers([getattr(view, name) for view in views], rule.scale) for name, rule in NUMBERS.items()},
    )


@overload
def is_ahead(timestamp_ms: int, record_time_ms: int, future_tolerance_ms: int) -> bool: ...
@overload
def is_ahead(
    timestamp_ms: NDArray[np.int64], record_time_ms: NDArray[np.int64], future_tolerance_ms: int
) -> NDArray[np.bool_]: ...
def is_ahead(timestamp_ms: Any, record_time_ms: Any, future_tolerance_ms: int) -> Any:
    """Whether a view is further ahead of its record's Kafka timestamp than allowed; False if that is negative."""
    return (timestamp_ms - record_time_ms > future_tolerance_ms) & (record_time_ms >= 0)


def ahead_of_time(timestamp_ms: int, record_time_ms: int, future_tolerance_ms: int) -> str:
    """The reason for refusing a view that is further ahead of its record's Kafka timestamp than allowed.

    >>> ahead_of_time(7_200_000, 0, 3_600_000)
    'timestamp: lies 7,200 s after the record itself was written, more than the 3,600 s of FUTURE_TOLERANCE'
    """
    ahead_ms = timestamp_ms - record_time_ms
    return (
        f"timestamp: lies {ahead_ms / 1000:,.0f} s after the record itself was written, "
        f"more than the {future_tolerance_ms / 1000:,.0f} s of FUTURE_TOLERANCE"
    )


def display_form(genre: str) -> str | None:
    """A genre as it is shown, with whitespace trimmed and collapsed; None if it breaks its rule.

    >>> display_form(" Film  Noir "), display_form(" ")
    ('Film Noir', None)
    """
    return " ".join(genre.split()) if 1 <= len(genre.strip()) <= TEXTS["genre"].longest else None


def slug_of(genre: str) -> str:
    """The key that a valid genre is grouped by, which ignores case and whitespace.

    >>> slug_of(" Film  Noir "), slug_of("film noir")
    ('film noir', 'film noir')
    """
    return " ".join(genre.split()).lower()


def decode_checked(value: bytes | None) -> View:
    """Decodes one record and checks its genre, but not whether it is in the future; raises Refused."""
    view = decode_one(value)
    if display_form(view.genre) is None:
        raise Refused(_reason("genre", view.genre))
    return view


def decode_one(value: bytes | None) -> View:
    """Decodes one record; raises Refused. `genre` and the future are checked by `decode`.

    If a member is repeated, the last one counts. Members outside of the contract are ignored, as long as the whole is
    well-formed JSON.
    """
    if value is None:
        raise Refused("no value: expected a JSON object, got a null record")
    try:
        str(value, "utf-8")
        if _may_be_deep(value) and _depth(value) > MAX_DEPTH:
            raise Refused(f"not usable JSON: nested deeper than {MAX_DEPTH} levels")
        return _DECODER.decode(value)
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8: byte {error.start} is {_show(value[error.start : error.start + 1])}") from error
    except msgspec.MsgspecError:
        return _decode_last(value)  # the decoder also checks repeated members, and every string


def replace_lone_surrogates(value: bytes, stand_in: bytes = rb"\ufffd") -> bytes:
    r"""The record with `stand_in` for each escape that is half a surrogate pair, which the decoder refuses.

    >>> replace_lone_surrogates(rb'"\\ud83d \ud83d \ud83d\ude00"', b"?")
    b'"\\\\ud83d ? \\ud83d\\ude00"'
    """
    return _HALF_OR_WHOLE.sub(lambda escape: stand_in if escape[1] else escape[0], value)


_DECODER: Final = msgspec.json.Decoder(View)
_ANY: Final = msgspec.json.Decoder()
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Of repeated names the last one is kept."""
_HALF_OR_WHOLE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape; as a group, if it is half a surrogate pair without its other half."""
_STAND_INS: Final = (rb"\ufffd", rb"\ufffe")
"""Replacements for such a half, of its length."""
_QUOTE: Final = ord('"')
_STEPS: Final = np.array([(byte in b"[{") - (byte in b"]}") for byte in range(256)], np.int8)
"""The change of depth by each byte."""
_LOOKED_AT: Final = 1 << 18
"""Bytes that are examined at a time."""


def _decode_together(values: Sequence[bytes | None]) -> list[View] | None:
    """Decodes all records in one call of the decoder; None if they have to be decoded one by one.

    Joined by line breaks, the records could in theory be split in another way: two objects in one record make up for
    one object in two. The counts exclude it: every record is one line that begins with { and ends with }. So a value
    left open at a line's end is followed by a line break and a {, which cannot continue an open string, list or object.
    Hence every line holds whole objects, at least one; as many objects as records means one each.
    """
    if not values:
        return []
    try:
        joined = b"\n".join(values)  # type: ignore[arg-type]  # a None is what the TypeError is for
    except TypeError:
        return None
    breaks = len(values) - 1
    if not (
        joined[:1] == b"{"
        and joined[-1:] == b"}"
        and joined.count(b"\n") == breaks
        and joined.count(b"}\n{") == breaks
        and not any(map(_may_be_deep, values))  # type: ignore[arg-type]
    ):
        return None
    try:
        if not joined.isascii():
            str(joined, "utf-8")
        views = _DECODER.decode_lines(joined)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return views if len(views) == len(values) else None


def _integers(column: list[float | None] | list[int | None], scale: int) -> NDArray[np.int64]:
    numbers = np.array(column, np.float64)  # None becomes NaN, which no valid record can hold
    missing = np.isnan(numbers)
    numbers[missing] = 0
    whole = np.rint(numbers * scale).astype(np.int64)
    whole[missing] = MISSING
    return whole


def _may_be_deep(value: bytes) -> bool:
    """Whether there are enough brackets to be nested deeper than MAX_DEPTH."""
    return len(value) > LONG_RECORD and value.count(b"[") + value.count(b"{") > MAX_DEPTH


def _depth(value: bytes) -> int:
    r"""The nesting depth of the brackets outside of strings; exact for well-formed JSON.

    It is computed in pieces, since a record may have megabytes: no other thread would run meanwhile.

    >>> _depth(rb'{"a":[1,{"b":"]\\"]]["}]}')
    3
    """
    text = np.frombuffer(value.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)
    depth, deepest, within = 0, 0, np.uint8(0)
    for at in range(0, len(text), _LOOKED_AT):
        piece = text[at : at + _LOOKED_AT]
        in_string = np.bitwise_xor.accumulate((piece == _QUOTE).view(np.uint8)) ^ within
        within = in_string[-1]
        steps = _STEPS[piece[in_string == 0]]
        depths = depth + np.cumsum(steps[steps != 0], dtype=np.int64)
        if len(depths):
            depth, deepest = int(depths[-1]), max(deepest, int(depths.max()))
    return deepest


def _decode_last(value: bytes) -> View:
    """Decodes only the counting members of a record that the decoder has refused as a whole; raises Refused."""
    mended, otherwise = (replace_lone_surrogates(value, stand_in) for stand_in in _STAND_INS)
    try:
        members = _MEMBERS.decode(mended)
        others = members if mended == otherwise else _MEMBERS.decode(otherwise)
    except msgspec.ValidationError as error:
        raise Refused(f"expected a JSON object, got {_show(value)}") from error
    except msgspec.DecodeError as error:
        detail = str(error).removeprefix("JSON is malformed: ")
        raise Refused(f"not JSON: {detail}; the record begins with {_show(value)}") from error
    counting = {name: member for name, member in members.items() if name in FIELD_RULES}
    for name, member in counting.items():
        if others is not members and bytes(member) != bytes(others[name]):
            raise Refused(f"{name}: expected {FIELD_RULES[name].words}, got text with half a surrogate pair in it")
    try:
        return _DECODER.decode(msgspec.json.encode(counting))
    except msgspec.ValidationError as error:
        raise Refused(_explain(str(error), counting)) from error


def _explain(error: str, members: Mapping[str, msgspec.Raw]) -> str:
    """The reason: which field is wrong, the expected value and the value received."""
    missing = re.search(r"missing required field `(\w+)`", error)
    if missing:
        return f"{missing[1]}: missing; expected {FIELD_RULES[missing[1]].words}"
    [field] = re.findall(r"at `\$\.(\w+)`", error)
    try:
        received = _ANY.decode(members[field])
    except (msgspec.MsgspecError, ValueError):  # a number that fits no double, for one
        return f"{field}: expected {FIELD_RULES[field].words}; {error.split(' - at ')[0].lower()}"
    return _reason(field, received)


def _reason(field: str, received: object) -> str:
    return f"{field}: expected {FIELD_RULES[field].words}, got {_show(received)}"


def _show(value: object) -> str:
    """A value, shortened and escaped for a terminal."""
    if isinstance(value, bytes):
        text = ascii(value[:40])[1:]
        return text + ("..." if len(value) > 40 else "")
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:60])
    return text + ("..." if len(text) >= 60 else "")
