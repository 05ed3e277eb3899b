import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.masking import masked

PASSWORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20)


@given(PASSWORD)
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
