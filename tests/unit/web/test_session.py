"""Who is let in: the token, and cookies that were signed for it and still count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from movie_stream.web.session import COOKIE, LASTS_S, Attempts, Authenticator

TOKEN = "correct horse battery".replace(" ", "-")
KEEPER = Authenticator(TOKEN)
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
    until, name, signature = cookie.split(".")
    later, other = f"{int(until) + 1}.{name}.{signature}", f"{until}.{name}x.{signature}"
    another = Authenticator("another-token").cookie(NOW)
    for forged in (another, later, other, until, f"{until}.{signature}", f".{signature}", "", f"x{cookie}", "é.è"):
        assert not lets_in(cookie=f"{COOKIE}={forged}")


def test_a_session_that_was_ended_does_not_count_and_others_do() -> None:
    keeper = Authenticator(TOKEN)
    ended, other = (Headers({"cookie": f"{COOKIE}={keeper.cookie(NOW)}"}) for _ in range(2))
    keeper.end_sessions(ended, NOW)
    assert not keeper.lets_in(ended, NOW)
    assert keeper.lets_in(other, NOW)


def test_ended_sessions_are_forgotten_when_they_expire_and_take_no_more_room() -> None:
    keeper = Authenticator(TOKEN)
    for number in range(10_050):
        keeper.end_sessions(Headers({"cookie": f"{COOKIE}={keeper.cookie(NOW + number / 100)}"}), NOW)
    assert len(keeper._ended) == 10_000
    keeper.end_sessions(Headers({}), NOW + LASTS_S + 1_000)
    assert not keeper._ended
    keeper.end_sessions(Headers({"cookie": f"{COOKIE}=forged.x.y"}), NOW)
    assert not keeper._ended, "only real sessions are remembered"


def test_a_cookie_does_not_say_the_token() -> None:
    assert TOKEN not in KEEPER.cookie(NOW)


def test_a_wrong_bearer_wins_over_a_cookie() -> None:
    assert not lets_in(authorization="Bearer wrong", cookie=f"{COOKIE}={KEEPER.cookie(NOW)}")


def test_without_a_token_everybody_is_let_in() -> None:
    keeper = Authenticator(None)
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
