import time
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from movie_stream import masking
from movie_stream.masking import MASK, SHORTEST, keep_secret, keep_uri_secret, masked

PASSWORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20)


@given(PASSWORD)
@example("//000000")
def test_a_password_in_a_uri_is_never_shown(password: str) -> None:
    shown = masked(f"no MongoDB answers at mongodb://ana:{password}@db.example:27017/films (timed out)")
    assert shown == "no MongoDB answers at mongodb://ana:***@db.example:27017/films (timed out)"


@pytest.mark.parametrize(
    "text",
    [
        "mongodb://127.0.0.1:27017/?replicaSet=rs0",
        "127.0.0.1:9092,[::1]:9093",
        "2024-10-31T14:30:00Z",
        "write to ana@example.org",
        "mongodb://ana@db.example:27017",
    ],
)
def test_what_holds_no_password_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ana:secret@host", "ana:***@host"),
        (
            "mongodb://h/?tlsCertificateKeyFilePassword=hunter2&w=1",
            "mongodb://h/?tlsCertificateKeyFilePassword=***&w=1",
        ),
        ("AWS_SESSION_TOKEN:abc,x:1", "AWS_SESSION_TOKEN:***,x:1"),
    ],
)
def test_other_places_of_passwords(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test keeps secret is forgotten after it."""
    monkeypatch.setattr(masking, "_secrets", {})


@pytest.mark.usefixtures("forgotten")
@given(st.text(min_size=SHORTEST), st.sampled_from([str, quote, quote_plus, repr, lambda text: repr(text.encode())]))
def test_a_secret_that_is_kept_is_hidden_in_each_spelling(secret: str, spell: Callable[[str], str]) -> None:
    keep_secret(secret)
    spelt = spell(secret)
    assert secret in MASK * 3 or secret not in masked(f"the user sent {spelt} there")
    assert secret in MASK * 3 or MASK in masked(spelt)


@pytest.mark.usefixtures("forgotten")
def test_the_passwords_of_a_uri_are_hidden_alone_too() -> None:
    keep_uri_secret("mongodb://ana:h%40nter2%2F@db/?tlsCertificateKeyFilePassword=op3n-sesame&w=1")
    assert masked("h@nter2/ h%40nter2%2F op3n-sesame ana db") == "*** *** *** ana db"
    assert masked(b64encode(b"ana\0ana\0h@nter2/").decode()) == MASK


@pytest.mark.usefixtures("forgotten")
def test_a_short_secret_does_not_eat_the_text() -> None:
    keep_secret("a")
    keep_uri_secret("mongodb://ana:pw@db/")
    keep_uri_secret("mongodb://db/")
    assert masked("a banana at mongodb://ana:pw@db/") == "a banana at mongodb://ana:***@db/"


@pytest.mark.parametrize("part", [":", "a:", "token", "password", "a@:", " @:", "token ", "x"])
def test_a_long_text_takes_no_longer_than_its_length(part: str) -> None:
    text = part * (1_000_000 // len(part))
    began = time.process_time()
    masked(text)
    assert time.process_time() - began < 20  # the square of it would be hours
