"""The event contract, rule by rule; and a chunk's verdicts are its records' verdicts, however it is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from movie_stream.events import event
from movie_stream.events.contract import MAX_TIMESTAMP_MS, MISSING
from movie_stream.events.event import (
    LONG_RECORD,
    MAX_DEPTH,
    Decoded,
    Refused,
    View,
    _decode_together,
    _depth,
    columns_of,
    decode,
    decode_one,
)
from movie_stream.events.reasons import kind_of
from tests.support import reference
from tests.support.examples import examples
from tests.support.reference import A_VIEW

TOLERANCE_MS = 3_600_000
GOOD = json.dumps(A_VIEW).encode()


def record(**fields: object) -> bytes:
    """A good record with these fields changed; `...` takes one out."""
    event: dict[str, object] = {**A_VIEW, **fields}
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


def written(json_text: str) -> bytes:
    """A good record with further fields, as they are written."""
    return GOOD[:-1] + b"," + json_text.encode() + b"}"


def number_column(decoded: Decoded, name: str) -> list[int]:
    """A column of numbers, in units of the last decimal."""
    column: list[int] = columns_of(decoded.views).numbers[name].tolist()
    return column


def reason(value: bytes | None) -> str:
    """Why a record is refused; "" if it is not."""
    decoded = decode([value], None, TOLERANCE_MS)
    assert len(decoded.views) + len(decoded.refusals) == 1
    return decoded.refusals[0].reason if decoded.refusals else ""


# ---- the rules ---------------------------------------------------------------------------------------------------


def test_every_field_becomes_a_column() -> None:
    value = record(genre=" Sci-Fi ", rating=4.5, duration=117, price=2.25)
    decoded = decode([value, GOOD], [-1, -1], TOLERANCE_MS)
    assert decoded.index.tolist() == [0, 1]
    views = columns_of(decoded.views)
    assert len(views) == 2
    assert {name: views.texts[name].tolist() for name in ("movie_id", "title", "user_id")} == {
        "movie_id": [b"m1"] * 2,
        "title": [b"Alien"] * 2,
        "user_id": [b"u1"] * 2,
    }
    assert views.texts["genre"].tolist() == [b" Sci-Fi ", b"Sci-Fi"], "grouping trims it; the record is as it came"
    assert views.timestamp_ms.tolist() == decoded.timestamp_ms.tolist() == [A_VIEW["timestamp"]] * 2
    assert views.numbers["rating"].tolist() == [4_500_000, MISSING]
    assert views.numbers["duration"].tolist() == [117, MISSING]
    assert views.numbers["price"].tolist() == [2_250_000, MISSING]


def test_no_records_are_no_views() -> None:
    decoded = decode([], [], TOLERANCE_MS)
    assert len(decoded.views) == 0
    assert decoded.refusals == []


@pytest.mark.parametrize(
    "fields",
    [
        {"movie_id": "m" * 128, "title": "t" * 512, "user_id": "u" * 128},
        {"title": "\N{CLAPPER BOARD}" * 512},
        {"title": " ", "movie_id": "\n", "user_id": "\x00"},
        {"genre": "g" * 64},
        {"genre": "\u2003" + "g" * 64 + " " * 100},
        {"genre": "\x1c.\x85"},
        {"timestamp": 1},
        {"timestamp": MAX_TIMESTAMP_MS},
        {"rating": 0, "duration": 0, "price": 0},
        {"rating": 5, "duration": 1440, "price": 1_000_000_000},
        {"rating": -0.0},
        {"rating": None, "duration": None, "price": None},
        {"unknown": {"rating": "x", "timestamp": [None, True, -1.5e300]}},
    ],
)
def test_valid_events(fields: dict[str, object]) -> None:
    assert reason(record(**fields)) == ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"movie_id": ...}, "movie_id: missing; expected a string of 1 to 128 characters"),
        ({"movie_id": ""}, 'movie_id: expected a string of 1 to 128 characters, got ""'),
        ({"movie_id": "m" * 129}, "movie_id: expected a string of 1 to 128 characters"),
        ({"movie_id": 7}, "movie_id: expected a string of 1 to 128 characters, got 7"),
        ({"movie_id": None}, "movie_id: expected a string of 1 to 128 characters, got null"),
        ({"title": ...}, "title: missing"),
        ({"title": ""}, "title: expected a string of 1 to 512 characters"),
        ({"title": "\N{CLAPPER BOARD}" * 513}, "title: expected a string of 1 to 512 characters"),
        ({"user_id": ...}, "user_id: missing"),
        ({"user_id": ["u1"]}, 'user_id: expected a string of 1 to 128 characters, got ["u1"]'),
        ({"user_id": "u" * 129}, "user_id: expected"),
        ({"genre": ...}, "genre: missing"),
        ({"genre": None}, "genre: expected a string of 1 to 64 characters after trimming, got null"),
        ({"genre": ""}, 'genre: expected a string of 1 to 64 characters after trimming, got ""'),
        ({"genre": " \u2003\x1c\t"}, "genre: expected a string of 1 to 64 characters after trimming"),
        ({"genre": "g" * 65}, "genre: expected a string of 1 to 64 characters after trimming"),
        ({"timestamp": ...}, "timestamp: missing"),
        ({"timestamp": None}, "timestamp: expected a whole number of Unix milliseconds"),
        ({"timestamp": 0}, "timestamp: expected a whole number of Unix milliseconds above 0"),
        ({"timestamp": -1}, "timestamp: expected"),
        ({"timestamp": MAX_TIMESTAMP_MS + 1}, "before the year 9999-12-31, got 253402214400000"),
        ({"timestamp": 10**25}, "timestamp: expected"),
        ({"timestamp": 1730385000000.0}, "timestamp: expected"),
        ({"timestamp": "1730385000000"}, 'got "1730385000000"'),
        ({"timestamp": True}, "timestamp: expected"),
        ({"rating": 5.000001}, "rating: expected a number from 0 to 5, or null, got 5.000001"),
        ({"rating": -0.1}, "rating: expected a number from 0 to 5, or null, got -0.1"),
        ({"rating": "4.5"}, 'rating: expected a number from 0 to 5, or null, got "4.5"'),
        ({"rating": True}, "rating: expected a number from 0 to 5, or null, got true"),
        ({"duration": 30.0}, "duration: expected a whole number of minutes from 0 to 1440, or null, got 30.0"),
        ({"duration": 1441}, "duration: expected"),
        ({"duration": -1}, "duration: expected"),
        ({"duration": False}, "duration: expected"),
        ({"price": 1_000_000_000.5}, "price: expected a number from 0 to 1000000000, or null"),
        ({"price": -1}, "price: expected"),
        ({"price": {}}, "price: expected a number from 0 to 1000000000, or null, got {}"),
    ],
)
def test_what_breaks_a_rule(fields: dict[str, object], expected: str) -> None:
    assert expected in reason(record(**fields))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "no value: expected a JSON object, got a null record"),
        (b"", "not JSON: Input data was truncated"),
        (b"null", "expected a JSON object, got 'null'"),
        (b"[]", "expected a JSON object, got '[]'"),
        (b'"text"', "expected a JSON object"),
        (b"{", "not JSON"),
        (b"\xef\xbb\xbf" + GOOD, "not JSON: invalid character"),
        (GOOD + b"\x00", "not JSON: trailing characters"),
        (GOOD + GOOD, "not JSON: trailing characters"),
        (GOOD + b"\n" + GOOD, "not JSON: trailing characters"),
        (GOOD[:-1] + b",}", "not JSON: trailing comma"),
        (GOOD[:-1] + b',"x":"\xff"}', "not UTF-8: byte 105 is '\\xff'"),
        (GOOD[:-1] + b',"x":"\xed\xa0\x80"}', "not UTF-8"),
        (GOOD[:-1] + b',"\xe9":1}', "not UTF-8"),
        (b"\x00\x00\x00\x00\x01{" * 20, "the record begins with '\\x00\\x00"),
        (written('"x":NaN'), "not JSON: invalid character"),
        (written('"rating":Infinity'), "not JSON: invalid character"),
        (written('"x":"a\tb"'), "not JSON: invalid character"),
        (written('"x":01'), "not JSON: invalid number"),
        (written(r'"x":"\ud800'), "not JSON: Input data was truncated"),
        (written(r'"x":"\ud800",'), "not JSON: trailing comma"),
        (written(r'"x":"\ud80"'), "not JSON: invalid"),
        (written(r'"x":"\\\ud83d\q"'), "not JSON: invalid escaped character"),
        (written(r'"x":"\ud83d",\ud83d'), "not JSON"),
        (written('"rating":1e999'), "rating: expected a number from 0 to 5, or null; number out of range"),
        (written('"rating":1e0,"duration":1e1'), "duration: expected a whole number of minutes"),
        (written('"rating":' + "9" * 5000), "rating: expected a number from 0 to 5, or null"),
        (written('"duration":' + "9" * 5000), "duration: expected"),
    ],
)
def test_invalid_events(value: bytes | None, expected: str) -> None:
    assert expected in reason(value)


@pytest.mark.parametrize(
    "fields",
    ['"x":1e999', '"x":' + "9" * 5000, r'"title":"\ud83c\udfac"', r'"movie\u005fid":"m2"', '"x":"\\u0000\x7f\u2028"'],
)
def test_odd_but_valid_events(fields: str) -> None:
    assert reason(written(fields)) == ""


def test_a_reason_is_short_and_safe_for_a_terminal() -> None:
    assert reason(record(rating="\x1b[2J" + "x" * 1000)) == (
        "rating: expected a number from 0 to 5, or null, got " + '"\\u001b[2J' + "x" * 50 + "..."
    )
    assert "\\u202e" in reason(record(rating="\u202e"))


@pytest.mark.parametrize(
    ("members", "rating"),
    [
        ('"rating":3,"rating":4', 4),
        ('"rating":"x","rating":4', 4),
        ('"rating":4,"rating":"x"', None),
        (r'"r\u0061ting":"x","rating":4', 4),
        (r'"rating":"x","\u0072ating":4', 4),
        (r'"rating":4,"ratin\u0067":[]', None),
        ('"rating":4,"rating":"x","rating":3', 3),
        ('"rating":{"rating":1},"rating":4', 4),
        ('"rating":1e999,"rating":4', 4),
        ('"rating":[1,{"a":"b"}],"x":[],"rating":4,"x":{}', 4),
        (r'"rating":"\ud83d","rating":4,"\ud83d":1,"\ud83d":2', 4),
        ('"movie_id":7,"title":null,"movie_id":"m2","rating":4,"title":"Heat"', 4),
        ('"genre":"","rating":4,"genre":"Drama"', 4),
        ('"timestamp":0,"timestamp":1730385000000,"rating":4', 4),
        ('"rating":4,"timestamp":1730385000000,"timestamp":0', None),
    ],
)
def test_of_a_member_that_is_given_twice_the_last_counts(members: str, rating: int | None) -> None:
    value = written(members)
    for values in ([value], [GOOD, value, GOOD], [value] * 40):
        micro = [-1 if rating is None else rating * 1_000_000 for one in values if one == value]
        decoded = decode(values, None, 0)
        if rating is None:
            assert [values[refusal.index] for refusal in decoded.refusals] == [value] * len(micro)
        else:
            assert [at for at in number_column(decoded, "rating") if at >= 0] == micro


def test_a_reason_names_the_last_member() -> None:
    assert reason(written('"rating":3,"rating":"b"')) == 'rating: expected a number from 0 to 5, or null, got "b"'
    assert reason(written('"rating":"b","duration":-1,"rating":4')).startswith("duration: expected a whole number")


@pytest.mark.parametrize(
    "members",
    [
        r'"device":"TV \ud83d"',
        r'"device":"\ude00 TV"',
        r'"device":"\ud83d\ud83d\ude00\ude00"',
        r'"device":"\ud83dA\u0041\\ud83d"',
        r'"device":{"name":["\uDBFF",{"\udfff":"\ud800"}]}',
        r'"\ud83d":1,"\ud83e":[],"titl\ud83d":""',
        r'"device":"' + r"\ud83d" * 200 + '"',
        r'"title":"\ud83d","title":"Alien"',
    ],
)
def test_half_a_surrogate_pair_in_what_does_not_count(members: str) -> None:
    assert reason(written(members)) == ""
    assert outcome(decode([written(members)] * 2, None, 0)) == outcome(decode([GOOD] * 2, None, 0))


@pytest.mark.parametrize(
    ("member", "field"),
    [
        (r'"title":"\ud83dA"', "title"),
        (r'"ti\u0074le":"\ud83dA"', "title"),
        (r'"title":"Alien","title":"\udead"', "title"),
        (r'"title":"\ufffd\ud83d"', "title"),
        (r'"title":"\ufffe\ud83d"', "title"),
        (r'"user_id":"\ud83d\ud83d\ude00"', "user_id"),
        (r'"genre":" \udbff"', "genre"),
        (r'"movie_id":["\ud83d"]', "movie_id"),
        (r'"rating":"\ud83d"', "rating"),
        (r'"device":"\ud83d","title":"\ud83d"', "title"),
    ],
)
def test_half_a_surrogate_pair_in_what_counts(member: str, field: str) -> None:
    why = reason(written(member))
    assert why.startswith(f"{field}: expected ")
    assert why.endswith(", got text with half a surrogate pair in it")
    assert kind_of(why) == why.split(", got")[0]


def test_both_together() -> None:
    assert reason(written(r'"rating":"x","device":"\ud83d","rating":4')) == ""
    assert reason(written(r'"device":"\ud83d","rating":4,"rating":"x"')).endswith('or null, got "x"')
    spoilt = written(r'"rating":"x","device":"\ud83d","rating":4,"x":01')
    assert reason(spoilt).startswith(f"not JSON: invalid number (byte {len(spoilt) - 2})"), "counted in what came"


def test_numbers_count_as_millionths_half_to_even() -> None:
    cases = {"4.5": 4_500_000, "0.0000005": 0, "0.0000015": 2, "4.9999999": 5_000_000, "1e-400": 0, "-0": 0}
    for text, micro in cases.items():
        assert number_column(decode([written(f'"rating":{text}')], None, 0), "rating") == [micro], text
    dear = decode([written('"price":1e9'), written('"price":999999999.999999')], None, 0)
    assert number_column(dear, "price") == [10**15, 10**15 - 1]


def test_the_future_is_measured_from_the_records_own_time() -> None:
    now = A_VIEW["timestamp"]
    assert isinstance(now, int)
    times = [now - TOLERANCE_MS, now - TOLERANCE_MS - 1, -1, 0, now + 10**12]
    decoded = decode([GOOD] * 5, times, TOLERANCE_MS)
    assert decoded.index.tolist() == [0, 2, 4]
    assert [refusal.index for refusal in decoded.refusals] == [1, 3]
    assert decoded.refusals[0].reason == (
        "timestamp: lies 3,600 s after the record itself was written, more than the 3,600 s of FUTURE_TOLERANCE"
    )
    assert decode([GOOD] * 5, None, TOLERANCE_MS).refusals == []


def test_a_record_is_refused_once() -> None:
    values = [record(genre=" "), b"", record(genre="\t", rating=9)]
    decoded = decode(values, [0, 0, 0], TOLERANCE_MS)
    assert [refusal.index for refusal in decoded.refusals] == [0, 1, 2]
    assert "genre" in decoded.refusals[0].reason


# ---- depth -------------------------------------------------------------------------------------------------------


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """A record that is nested so deep, itself included."""
    return written(f'"x":{opening * (depth - 1)}1{closing * (depth - 1)}')


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_the_deepest_nesting(opening: str, closing: str) -> None:
    assert reason(nested(MAX_DEPTH, opening, closing)) == ""
    assert reason(nested(MAX_DEPTH + 1, opening, closing)) == "not usable JSON: nested deeper than 200 levels"
    assert "not" in reason(nested(100_000, opening, closing))


def test_brackets_in_strings_are_no_nesting() -> None:
    assert reason(written('"x":"' + "[{" * 1000 + r"\"[[[" + '"')) == ""
    assert reason(written('"x":[' + ",".join(['"]["'] * 500) + "]")) == ""


def at_depth(frames: int, do: Callable[[], object]) -> object:
    return do() if frames == 0 else at_depth(frames - 1, do)


@pytest.mark.parametrize("depth", [50, MAX_DEPTH, MAX_DEPTH + 1, 5000])
def test_the_verdict_does_not_depend_on_the_call_stack(depth: int) -> None:
    value = nested(depth)
    verdicts = {at_depth(frames, lambda: reason(value)) for frames in (0, 50, 200, 500)}
    assert len(verdicts) == 1


def test_a_long_record_is_decoded() -> None:
    unknown = '\\"[' * 150_000
    assert reason(written(f'"x":"{unknown}"')) == ""
    assert "not JSON" in reason(written(f'"x":"{unknown}"')[:-2])


# ---- a chunk's verdicts are its records' verdicts ------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["", " ", "}\n{", '"', "\\", "\u2028"])
numbers = st.sampled_from(
    ["0", "-0", "5", "4.5", "1e999", "1E0", "30.0", "NaN", "9" * 30, "01", "-1", "2e-400", "true"]
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "movie_id": texts | st.none(),
        "title": texts | st.integers(),
        "genre": texts,
        "user_id": texts,
        "timestamp": st.integers(-1, 2**64) | st.floats(0, 1e13) | st.just(1_730_385_000_000),
        "rating": st.none() | st.floats(-1, 6) | st.integers(0, 5) | st.booleans(),
        "duration": st.none() | st.integers(-1, 1441) | st.floats(0, 10),
        "price": st.none() | st.floats(-1, 2e9) | junk,
        "x": junk,
    },
)
events = fields.map(lambda some: record(**some))
raw_fields = st.lists(
    st.tuples(st.sampled_from(["rating", "duration", "price", "x", "y"]), numbers), max_size=3, unique_by=lambda f: f[0]
).map(lambda some: GOOD[:-1] + "".join(f',"{name}":{text}' for name, text in some).encode() + b"}")
spaced = st.tuples(events, st.sampled_from([b" ", b"\n", b"\r\n", b"\t"])).map(lambda v: v[1] + v[0] + v[1])
pretty = fields.map(lambda some: json.dumps({**A_VIEW, **some}, indent=1).encode())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A record with a few bytes replaced, taken out or put in."""
    value = bytearray(draw(events))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        value[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from(
                [b"", b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b"}\n{", b",", b"\xff", b"\xed\xa0\x80", b"\x00"]
            )
            | st.binary(max_size=2)
        )
    return bytes(value)


names = st.sampled_from(
    [
        *A_VIEW,
        "rating",
        "price",
        "x",
        "titl",
        r"titl\u0065",
        r"\u0072ating",
        r"\ud83d",
        r"x\udc00",
        r"\ud83d\udc00",
        r"\"",
    ]
)
pieces = st.sampled_from(
    [
        "a",
        "\u00e9",
        r"\ud83d",
        r"\uDE00",
        r"\ude00",
        r"\u0061",
        r"\ufffd",
        r"\ufffe",
        r"\\",
        r"\"",
        r"\n",
        r"\u00",
        "\\",
    ]
)
strings = st.lists(pieces, max_size=6).map(lambda some: '"' + "".join(some) + '"')
whatever = st.recursive(
    strings | numbers | st.sampled_from(["null", "1730385000000", "4"]),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda some: "[" + ",".join(some) + "]")
        | st.tuples(names, inner, names, inner).map(lambda some: '{{"{}":{},"{}":{}}}'.format(*some))
    ),
    max_leaves=4,
)
given_again = st.lists(st.tuples(names, whatever), min_size=1, max_size=6).map(
    lambda some: written(",".join(f'"{name}":{value}' for name, value in some))
)
"""Members that come twice, some with halves of surrogate pairs."""

one_record = events | raw_fields | given_again | spaced | pretty | mutated()
odd_records = st.sampled_from(
    [None, b"", b"{}", b"{}{}", b"\n", GOOD + GOOD, GOOD + b"\n" + GOOD, nested(150), nested(250), b"{" * 500]
)


@st.composite
def chunks(draw: st.DrawFn) -> list[bytes | None]:
    """Records as a log may hold them, some objects spread over two."""
    values: list[bytes | None] = draw(st.lists(one_record | events | odd_records, max_size=6))
    if draw(st.booleans()):
        cut = draw(events)
        at = draw(st.integers(0, len(cut)))
        where = draw(st.integers(0, len(values)))
        values[where:where] = [cut[:at], cut[at:]]
        if draw(st.booleans()):
            values.insert(draw(st.integers(0, len(values))), draw(events) + draw(events))
    return values


Outcome = tuple[list[tuple[Any, ...]], list[tuple[int, str]]]


def outcome(decoded: Decoded, first: int = 0) -> Outcome:
    views = columns_of(decoded.views)
    assert views.timestamp_ms.tolist() == decoded.timestamp_ms.tolist()
    columns = (
        (decoded.index + first).tolist(),
        *(text.tolist() for text in views.texts.values()),
        views.timestamp_ms.tolist(),
        *(number.tolist() for number in views.numbers.values()),
    )
    return list(zip(*columns, strict=True)), [(r.index + first, r.reason) for r in decoded.refusals]


def one_by_one(values: Sequence[bytes | None], sizes: Sequence[int]) -> Outcome:
    """The outcome of the records in chunks of these sizes."""
    views, refusals, at = list[tuple[Any, ...]](), list[tuple[int, str]](), 0
    for size in (*sizes, len(values)):
        some, more = outcome(decode(values[at : at + size], None, TOLERANCE_MS), at)
        views += some
        refusals += more
        at += size
    return views, refusals


@settings(max_examples=examples(200))
@given(chunks(), st.lists(st.integers(0, 4), max_size=6))
def test_a_chunk_is_its_records(values: list[bytes | None], sizes: list[int]) -> None:
    alone = one_by_one(values, [1] * len(values))
    assert outcome(decode(values, None, TOLERANCE_MS)) == alone
    assert one_by_one(values, sizes) == alone
    views, refusals = alone
    assert sorted([row[0] for row in views] + [index for index, _ in refusals]) == list(range(len(values)))


@settings(max_examples=examples(200))
@example(written(r'"x":"\ud800"'))
@example(written('"x":1e999'))
@example(b"\xef\xbb\xbf" + GOOD)
@example(nested(200))
@given(one_record | odd_records)
def test_verdicts_are_those_of_the_reference(value: bytes | None) -> None:
    decoded = decode([value], None, TOLERANCE_MS)
    try:
        wanted = reference.parse(value)
    except reference.BadRecord:
        assert len(decoded.refusals) == 1
        return
    assert decoded.refusals == []
    [view] = decoded.views
    assert (view.movie_id, view.title, view.user_id) == (wanted.movie_id, wanted.title, wanted.user_id)
    assert " ".join(view.genre.split()) == wanted.genre
    assert (view.timestamp, decoded.timestamp_ms.tolist()) == (wanted.timestamp_ms, [wanted.timestamp_ms])
    for name, number in (
        ("rating", wanted.rating_micro),
        ("duration", wanted.duration_min),
        ("price", wanted.price_micro),
    ):
        assert number_column(decoded, name) == [MISSING if number is None else number]


@pytest.mark.parametrize(
    "values",
    [
        [GOOD + GOOD, b"{", b"}"],
        [GOOD + GOOD, b""],
        [GOOD + b"\n" + GOOD, b""],
        [GOOD[:-1] + b',"x":{}', b"}" + GOOD],
        [GOOD[:-1] + b',"x":[{}', b"{}]}" + GOOD + b"}"],
        [GOOD[:-1] + b',"x":"}', b'{"}' + GOOD, GOOD],
        [GOOD[:-1] + b',"x":"\\}', b'{"}', GOOD + GOOD],
        [GOOD[:-1] + b',"x":[{}', b"{}]}", GOOD + GOOD],
        [GOOD[:-1] + b',"x":{"y":{}', b"{}}}", GOOD + GOOD],
        [GOOD + b"\n" + GOOD[:-1], b"}"],
        [b"{}", GOOD + GOOD],
        [GOOD + GOOD, b"{" + b"}" * 2],
        [b" " + GOOD, GOOD],
        [GOOD + b" ", GOOD],
        [GOOD, b"\n" + GOOD],
        [GOOD, None],
        [GOOD, b"x" * (LONG_RECORD + 1)],
        [GOOD[:-1] + b',"x":"' + b"[" * LONG_RECORD + b'"}', GOOD],
        [GOOD[:-1] + b',"x":"\xff"}', GOOD],
        [GOOD[:-1] + b',"x":"\xc3', b'\xa9"}'],
        [GOOD + GOOD, GOOD[:-1] + b',"x":"{}', b'{}"}'],
    ],
)
def test_records_that_do_not_line_up_are_looked_at_one_by_one(values: list[bytes | None]) -> None:
    assert _decode_together(values) is None
    views, refusals = outcome(decode(values, None, TOLERANCE_MS))
    assert len(views) + len(refusals) == len(values)
    assert (views, refusals) == one_by_one(values, [1] * len(values))


@given(
    st.recursive(st.text('"\\[]{}a', max_size=4), lambda one: st.lists(one) | st.dictionaries(st.text(max_size=2), one))
)
def test_brackets_in_strings_do_not_nest(value: Any) -> None:
    def depth(of: Any) -> int:
        if isinstance(of, str):
            return 0
        return 1 + max(map(depth, of if isinstance(of, list) else of.values()), default=0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event, "_LOOKED_AT", 5)
        assert _depth(json.dumps(value).encode()) == depth(value)


def test_good_records_are_decoded_together() -> None:
    values = [record(title="\u00e9\u2028}\\n{"), GOOD, record(x=[{}, {"a": "}{"}]), record(x="long " * LONG_RECORD)]
    together = _decode_together(values)
    assert together == [decode_one(value) for value in values]
    assert _decode_together([]) == []


def test_decode_one_gives_a_view_or_raises() -> None:
    assert decode_one(GOOD) == View("m1", "Alien", "Sci-Fi", "u1", 1_730_385_000_000)
    with pytest.raises(Refused, match="no value"):
        decode_one(None)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | st.just(b'{"title":"' + b"\\u001b" * 5_000))
def test_no_reason_grows_with_the_value(value: bytes) -> None:
    reasons = [refusal.reason for refusal in decode([value], None, 0).refusals]
    assert all(len(reason) < 300 and reason.isprintable() for reason in reasons)
