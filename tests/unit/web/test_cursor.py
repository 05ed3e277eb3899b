"""Cursors: what was sealed is opened for the same query, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from movie_stream.aggregates.fields import Key
from movie_stream.events.contract import TEXTS
from movie_stream.events.event import slug_of
from movie_stream.web.cursor import LONGEST, Sealer
from movie_stream.web.resources import Resource, all_resources, same
from movie_stream.web.session import Authenticator

VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    | st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)).map(
        lambda at: at.replace(microsecond=at.microsecond // 1_000 * 1_000, tzinfo=UTC)
    )
)
SEALER = Sealer(b"k" * 32)


@given(st.lists(VALUES, max_size=5).map(tuple), st.text(), st.text())
def test_a_cursor_is_of_its_query(position: tuple[object, ...], query: str, other: str) -> None:
    query, other = (text.encode("utf-8", "replace").decode() for text in (query, other))
    cursor = SEALER.sealed(position, query)
    assert SEALER.opened(cursor, query) == position
    if other != query:
        assert SEALER.opened(cursor, other) is None
    assert Sealer(b"other").opened(cursor, query) is None


@given(st.text(max_size=200))
def test_no_text_is_taken_for_one(text: str) -> None:
    assert SEALER.opened(text, "query") is None


@given(st.integers(0, 60), st.integers(1, 255))
def test_one_changed_byte_is_noticed(at: int, by: int) -> None:
    from base64 import urlsafe_b64decode, urlsafe_b64encode

    cursor = SEALER.sealed((datetime(2024, 10, 31, tzinfo=UTC), "drama_2024", 7), "query")
    octets = bytearray(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    octets[at % len(octets)] ^= by
    assert SEALER.opened(urlsafe_b64encode(octets).decode(), "query") is None


def test_cursors_outlive_a_server_that_has_a_token() -> None:
    first, again = Sealer.new(Authenticator("a token of ours")), Sealer.new(Authenticator("a token of ours"))
    assert again.opened(first.sealed((1,), "query"), "query") == (1,)
    without, other = Sealer.new(Authenticator(None)), Sealer.new(Authenticator(None))
    assert other.opened(without.sealed((1,), "query"), "query") is None


def test_the_largest_position_fits() -> None:
    longest = ("𝔸" * 64, "𝔸" * 64 + "_2024-10-31T14:00:00Z", datetime(2024, 10, 31, tzinfo=UTC), 1, 1.5)
    assert len(SEALER.sealed(longest, "query")) < LONGEST


@pytest.mark.parametrize("resource", all_resources(), ids=lambda resource: str(resource.name))
def test_a_cursor_of_every_order_is_taken_again_however_long_the_texts_are(resource: Resource) -> None:
    """Texts of characters that are longest in UTF-8, by every field alone and by all that may be given at once."""
    genre = "\U00010400" * TEXTS["genre"].longest
    texts = {name: "\U00010400" * rule.longest for name, rule in TEXTS.items()}
    texts |= {"genre": genre, "slug": slug_of(genre), "date": "2024-10-31", "peak_hour": "14:00"}
    texts |= {"kind": "late", "reason": "\U00010400" * 200}
    key = {"genre": genre, "movie_id": texts["movie_id"], "user_id": texts["user_id"]}.get(resource.result.by or "", "")
    texts["_id"] = (
        resource.result.document_id(Key(resource.result.window, 1_730_383_200_000, key)) + "_1000" * resource.flat
    )
    kinds = {
        column.name: column.kind for column in (resource.shape.flat_row if resource.flat else resource.shape.fields)
    } | {"_id": "text"}
    of_kind = {"time": datetime(2024, 10, 31, tzinfo=UTC), "count": 2**62, "number": 1.5}
    fields = sorted(resource._query(1).sortable, key=lambda name: -len(texts.get(name, "")))
    for order in [*([field] for field in fields), fields[:8]]:
        given = {"order": tuple((field, 1) for field in order), "limit": 1, "cursor": None}
        query = resource.query(given, SEALER)
        document = {name: texts[name] if kind == "text" else of_kind[kind] for name, kind in kinds.items()}
        cursor = SEALER.sealed(query.position_of(document), same(query))
        request = Request({"type": "http", "query_string": f"cursor={cursor}&order={','.join(order)}".encode()})
        again = resource.query({**given, "cursor": resource.parameters.read(request)["cursor"]}, SEALER)
        assert again.after == query.position_of(document)
    assert len(cursor) < 7_000, "an address may have 8 kB"


def test_no_character_is_longer_when_it_is_small() -> None:
    assert max(len(slug_of(chr(code)).encode()) for code in range(0x110000) if not 0xD800 <= code < 0xE000) == 4
