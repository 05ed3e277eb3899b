"""Records for tests of what reads them: good views in several layouts, and what only looks like such."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import strategies as st

from movie_stream.events.contract import MAX_TIMESTAMP_MS

MEMBERS = ("movie_id", "title", "genre", "user_id", "timestamp", "rating", "duration", "price")
ORDERS = (
    MEMBERS,
    MEMBERS[::-1],
    ("user_id", "rating", "movie_id", "timestamp", "title", "price", "genre"),
    ("timestamp", "duration", "genre", "user_id", "movie_id", "title"),
    ("movie_id", "title", "genre", "user_id", "timestamp"),
    ("movie_id", "title", "genre", "timestamp"),  # nobody's view
)
BLANKS = (("", ",", ":"), ("", ", ", ": "), (" \n\t", " ,\r\n" + " " * 40, "  :\t"))
"""Behind a brace, between members, between name and value: as JSON.stringify and json.dumps make them, and odd ones."""

STRINGS = (
    *(b"m1", b"Alien", b"sci-fi", b"Sci-Fi", b" Drama ", b"u1", b"user_12345678", b"exactly8", b"sixteen letters!"),
    *(b"", b" ", b"\x00", b"a\nb", b"tab\t", b"\x1f", b"\x7f", b"del\x7f", b"\x80", b"\xff", b"caf\xe9"),
    *("\u00e9t\u00e9".encode(), "\N{CLAPPER BOARD}".encode(), "\u2003x\u2003".encode(), "\u2028".encode()),
    *(b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", "\ufeffx".encode(), "\u0085".encode()),
    *(
        rb"back\\slash",
        rb"\"",
        rb"\u0041lien",
        rb"\n",
        rb"\/",
        rb"a\tb",
        rb"\ud83c\udfac",
        rb"\ud83c",
        rb"\u00",
        rb"\x",
    ),
    *(b"\\", rb"ends with\\", b"Alien\\", rb"a\\\"b", b'a"b', b'","title":"', b'", "title": "', rb"\",\"title\":\""),
    *(b'Alien","title":"Heat', b"}", b"{", b"}{", b'"}', b"},{", b"null", b"4", b",", b":", b"[]", b"'"),
    *(b"m" * 128, b"m" * 129, b"t" * 512, b"t" * 513, b"g" * 64, b"g" * 65, b" " + b"g" * 64, b"\t" + b"g" * 64),
    *("\u00e9".encode() * size for size in (64, 65, 128, 129, 512, 513)),
    *("\N{CLAPPER BOARD}".encode() * size for size in (64, 65, 128, 129, 512, 513)),
)
"""As they stand between quotes, well or badly."""
TIMESTAMPS = (
    *(b"1730383200000", b"1730383260001", b"1", b"0", b"-1", b"01730383200000", b"1730383200000.0", b"1.7303832e12"),
    *(b"%d" % (MAX_TIMESTAMP_MS + more) for more in (-1, 0, 1)),
    *(
        b"9999999999999999",
        b"10000000000000000",
        b"1730383200000" * 2,
        b"null",
        b"",
        b'"1730383200000"',
        b"+1730383200",
    ),
    *(b"1730383200000 ", b" 1730383200000", b"1730383200000,", b"true", b"[1]", b"173038320000\xb0", b"1730383200_00"),
)
NUMBERS = (
    *(b"4", b"4.5", b"0", b"5", b"5.0", b"5.000000", b"5.000001", b"4.999999", b"4.9999999", b"0.000001", b"1e-7"),
    *(b"6", b"-0", b"-0.0", b"-1", b"+1", b"05", b"00", b"0.5", b"00.5", b".5", b"5.", b".", b"1.2.3", b"1..2", b"1e0"),
    *(b"null", b"nul", b"nulll", b"Null", b"NULL", b"true", b"NaN", b"Infinity", b"1e999", b'"4"', b"{}", b"[4]", b""),
    *(b"1440", b"1441", b"30", b"30.0", b"3e1", b"99999999", b"9999999.", b"12345678", b"123456789", b"1234.567"),
    *(b"1000000000", b"1000000001", b"1000000000.5", b"999999999.9999999", b"12.3456789", b"0.0000005", b"9" * 30),
    *(b" 4", b"4 ", b"4\t", b"\x004", b"4\x00", b"4/", b"4:", b"\xb4", b"4\xae5", b'4,"x":5', b'4,"rating":9', b"4}"),
)


def written(
    members: Sequence[tuple[str, bytes]], blanks: tuple[str, str, str], quoted: frozenset[str] = frozenset(MEMBERS[:4])
) -> bytes:
    """A record of these members in this order, their values as they are."""
    edge, between, behind_name = (blank.encode() for blank in blanks)
    pairs = []
    for name, value in members:
        text = b'"' + value + b'"' if name in quoted else value
        pairs.append(b'"' + name.encode() + b'"' + behind_name + text)
    return b"{" + edge + between.join(pairs) + edge + b"}"


def plain(order: Sequence[str] = MEMBERS, blanks: tuple[str, str, str] = BLANKS[0], number: int = 0) -> bytes:
    """A good view in a layout."""
    values = {
        "movie_id": b"m%d" % (number % 7),
        "title": b"Film %d" % (number % 7),
        "genre": (b"Sci-Fi", b"Drama", b"Film  Noir")[number % 3],
        "user_id": b"user_%d" % number,
        "timestamp": b"%d" % (1_730_383_200_000 + number),
        "rating": (b"4.5", b"null", b"3")[number % 3],
        "duration": b"%d" % (number % 200),
        "price": b"12.99",
    }
    return written([(name, values[name]) for name in order], blanks)


@st.composite
def views(draw: st.DrawFn) -> bytes:
    """Whatever is written like a view, most of them good."""
    order, blanks = draw(st.sampled_from(ORDERS)), draw(st.sampled_from(BLANKS))
    members = []
    for name in order:
        if draw(st.integers(0, 9)):
            value = {
                "genre": st.sampled_from([b"Sci-Fi", b"Drama", b" drama"]),
                "timestamp": st.integers(0, 10**6).map(lambda ms: b"%d" % (1_730_383_200_000 + ms)),
                "rating": st.sampled_from([b"4.5", b"null", b"3", b"0.000001"]),
                "duration": st.sampled_from([b"117", b"null", b"0"]),
                "price": st.sampled_from([b"12.99", b"null", b"0", b"99999999"]),
            }.get(name, st.integers(0, 12).map(lambda n: b"name %d" % n))
        elif name == "timestamp":
            value = st.sampled_from(TIMESTAMPS)
        elif name in MEMBERS[:4]:
            value = st.sampled_from(STRINGS) | st.binary(max_size=20)
        else:
            value = st.sampled_from(NUMBERS)
        members.append((name, draw(value)))
    return written(members, blanks)


@st.composite
def dumped(draw: st.DrawFn) -> bytes:
    """What json.dumps makes of anything, with members that nobody knows."""
    text = st.text(max_size=12) | st.sampled_from(
        ["Alien", 'say "hi"', "back\\slash", "\u00e9", "a\x00b", '","title":"']
    )
    number = st.sampled_from([4, 4.5, None, -1, 5.5, 1440, 1e9, 1e-7, True, 1_730_383_200_000])
    event: dict[str, object] = {name: draw(text) for name in MEMBERS[:4]}
    event["timestamp"] = draw(st.integers(1_730_383_200_000, 1_730_383_300_000) | number)
    for name in draw(st.permutations([*MEMBERS[5:], "unknown"])):
        if draw(st.booleans()):
            event[name] = draw(number | text)
    for name in draw(st.lists(st.sampled_from(MEMBERS), max_size=1)):
        event.pop(name, None)
    indent = draw(st.sampled_from([None, None, 1]))
    return json.dumps(event, ensure_ascii=draw(st.booleans()), indent=indent).encode("utf-8", "surrogatepass")


@st.composite
def twofold(draw: st.DrawFn) -> bytes:
    """A view some of whose members are given twice, or have halves of surrogate pairs."""
    names = st.sampled_from([*MEMBERS, "unknown", "rat\\u0069ng", "\\ud83d"])
    texts = st.sampled_from([b"Alien", b"", rb"\ud83d", rb"\ud83d\ude00", rb"\ude00\ufffd", rb"\\ud83d"])
    value = draw(views())
    for name in draw(st.lists(names, min_size=1, max_size=3)):
        again = draw(st.sampled_from(NUMBERS[:20]) | texts.map(lambda text: b'"' + text + b'"'))
        member = b'"' + name.encode() + b'":' + again
        value = draw(st.sampled_from([value[:-1] + b"," + member + b"}", b"{" + member + b"," + value[1:]]))
    return value


@st.composite
def spoilt(draw: st.DrawFn) -> bytes | None:
    """A record to which something happened."""
    value, other = draw(views()), draw(views())
    at = draw(st.integers(0, len(value)))
    until = draw(st.integers(at, min(len(value), at + 30)))
    piece = draw(
        st.sampled_from(
            [
                b'"',
                b"\\",
                b"\\\\",
                b",",
                b"{",
                b"}",
                b"\x00",
                b"\n",
                b" ",
                b"0",
                b"\x80",
                b'""',
                b'":"',
                b'","',
                b'"x":1,',
            ]
        )
    )
    how = draw(st.integers(0, 9))
    return (
        value[:at],
        value[at:],
        value[:at] + value[until:],
        value[:at] + piece + value[at:],
        value[:at] + piece + value[until:],
        value[:at] + value[at:until] * 2 + value[until:],
        value + other,
        value[:-1] + b"," + other[1:],
        value[:at] + other[at:],
        draw(
            st.sampled_from(
                [None, b"", b"{}", b"[]", b"null", b"{" * 500, value + b"\n", b" " + value, value + b"\x00"]
            )
        ),
    )[how]


records: st.SearchStrategy[bytes | None] = st.one_of(views(), views(), views(), dumped(), twofold(), spoilt())
chunks = st.lists(records, max_size=24)
