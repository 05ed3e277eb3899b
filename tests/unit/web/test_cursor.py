"""Cursors: what was sealed is opened for the same query, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from movie_stream.web.cursor import LONGEST, Sealer
from movie_stream.web.session import Doorkeeper

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
    first, again = Sealer.new(Doorkeeper("a token of ours")), Sealer.new(Doorkeeper("a token of ours"))
    assert again.opened(first.sealed((1,), "query"), "query") == (1,)
    without, other = Sealer.new(Doorkeeper(None)), Sealer.new(Doorkeeper(None))
    assert other.opened(without.sealed((1,), "query"), "query") is None


def test_the_largest_position_fits() -> None:
    longest = ("𝔸" * 64, "𝔸" * 64 + "_2024-10-31T14:00:00Z", datetime(2024, 10, 31, tzinfo=UTC), 1, 1.5)
    assert len(SEALER.sealed(longest, "query")) < LONGEST
