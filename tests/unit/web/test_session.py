"""Who is let in: the token, and cookies that were signed for it and still count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from movie_stream.web.session import COOKIE, LASTS_S, Attempts, Doorkeeper

TOKEN = "correct horse battery".replace(" ", "-")
KEEPER = Doorkeeper(TOKEN)
NOW = 1_800_000_000.0


def lets_in(now: float = NOW, **headers: str) -> bool:
    return KEEPER.lets_in(Headers(headers), now)


def test_the_token_and_nothing_else_lets_a_program_in() -> None:
    assert lets_in(authorization=f"Bearer {TOKEN}")
    assert lets_in(authorization=f"bearer  {TOKEN}")
    for wrong in ("", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, f"Bearer {TOKEN[:-1]}"):
        assert not lets_in(authorization=wrong)


@given(st.text())
def test_no_other_text_is_the_token(text: str) -> None:
    assert KEEPER.is_token(text) == (text == TOKEN)


def test_a_cookie_counts_until_it_ends() -> None:
    cookie = f"{COOKIE}={KEEPER.cookie(NOW)}"
    assert lets_in(cookie=cookie)
    assert lets_in(cookie=f"other=1; {cookie}; third")
    assert lets_in(NOW + LASTS_S - 1, cookie=cookie)
    assert not lets_in(NOW + LASTS_S, cookie=cookie)


def test_a_cookie_of_another_token_or_time_does_not_count() -> None:
    cookie = KEEPER.cookie(NOW)
    until, _, signature = cookie.partition(".")
    later = f"{int(until) + 1}.{signature}"
    for forged in (Doorkeeper("another-token").cookie(NOW), later, until, f".{signature}", "", f"x{cookie}", "é.è"):
        assert not lets_in(cookie=f"{COOKIE}={forged}")


def test_a_cookie_does_not_say_the_token() -> None:
    assert TOKEN not in KEEPER.cookie(NOW)


def test_a_wrong_bearer_wins_over_a_cookie() -> None:
    assert not lets_in(authorization="Bearer wrong", cookie=f"{COOKIE}={KEEPER.cookie(NOW)}")


def test_without_a_token_everybody_is_let_in() -> None:
    keeper = Doorkeeper(None)
    assert not keeper.required
    assert keeper.lets_in(Headers({}), NOW)
    assert keeper.is_token("anything")


def test_wrong_tokens_are_counted_by_address() -> None:
    attempts = Attempts()
    for _ in range(10):
        assert attempts.wait_s("a", 0) == 0
        attempts.failed("a", 0)
    assert attempts.wait_s("a", 0) > 0
    assert attempts.wait_s("b", 0) == 0
    assert attempts.wait_s("a", 3) == 0
    attempts.failed("a", 3)
    assert attempts.wait_s("a", 3) > 0


def test_attempts_of_very_many_addresses_take_no_more_room() -> None:
    attempts = Attempts()
    for number in range(20_000):
        attempts.failed(f"a{number}", 0)
    assert len(attempts.left) <= 10_000
