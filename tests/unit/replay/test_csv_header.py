"""Whatever makes a file unusable as a whole is said in one line."""

import pytest

from movie_stream.errors import InputError
from movie_stream.replay.files.csv_header import HEADER_LINE, check_beginning, read_header

NAMES = HEADER_LINE.split(",")


def beginning_error(head: bytes) -> str:
    with pytest.raises(InputError) as caught:
        check_beginning("views.csv", head)
    return str(caught.value)


def header_error(first_line: str) -> str:
    with pytest.raises(InputError) as caught:
        read_header("views.csv", 1, first_line.split(","))
    return str(caught.value)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "got 'an empty file'; the first line has to be movie_id,title,"),
        (b" \r\n\n", "an empty file"),
        ("movie_id".encode("utf-16-be"), "what looks like utf-16-be'; say so with: --encoding utf-16-be"),
        ("movie_id".encode("utf-16-le"), "what looks like utf-16-le'; say so with: --encoding utf-16-le"),
        ("movie_id".encode("utf-32-le"), "what looks like utf-32-le'"),
        ("movie_id".encode("utf-32-be"), "what looks like utf-32-be'"),
        (b"movie\0id,\0", "bytes of zero in the first line"),
        (b"\x1f\x8b\x08", "an archive within an archive"),
        (b"BZh91AY", "unpack it with bunzip2"),
        (b"movie_id,title\rtt1,Heat\r", "tr '\\r' '\\n' < views.csv"),
    ],
)
def test_files_that_are_no_csv(head: bytes, words: str) -> None:
    assert words in beginning_error(head)


@pytest.mark.parametrize(
    "head", [b"movie_id,title\n", b"movie_id,title\r\nx,y\r\n", b"\xef\xbb\xbfmovie_id", b"\nmovie_id\r"]
)
def test_files_that_may_be(head: bytes) -> None:
    check_beginning("views.csv", head)


def test_columns_may_come_in_any_order_and_with_others() -> None:
    header = read_header("views.csv", 1, ["extra", " price", *reversed(NAMES[:7]), "more"])
    assert header.width == 10
    assert header.position["price"] == 1
    assert header.position["movie_id"] == 8


def test_optional_columns_may_be_missing() -> None:
    assert set(read_header("views.csv", 1, NAMES[:5]).position) == set(NAMES[:5])


@pytest.mark.parametrize(
    ("first_line", "words"),
    [
        ("tt1,Heat,Crime,u1,1730383200000,4.5,170", "put a header above it"),
        ("movie_id,title,genre,user_id,rating", "expected the column timestamp in the header"),
        ("userId,movieId,rating,timestamp", "rename 'movieId' to movie_id, rename 'userId' to user_id"),
        (
            "Movie ID,Title,GENRE,user-id,time_stamp,rating",
            "rename 'Movie ID' to movie_id, rename 'Title' to title",
        ),
        ("a,b", "expected the columns movie_id, title, genre, user_id, timestamp in the header"),
        (HEADER_LINE + ",rating", "expected one column rating, got '2 of them'"),
        ("x" * 500, "..."),
    ],
)
def test_headers_that_are_none(first_line: str, words: str) -> None:
    error = header_error(first_line)
    assert words in error
    assert error.startswith("views.csv, line 1: expected ")
    assert len(error) < 500


def test_a_header_without_an_end_is_neither_quoted_nor_searched() -> None:
    names = ["!" * 100_000 + "timestamp", *(f"timestam{n}" for n in range(100_000))]
    assert len(header_error(",".join([*NAMES[:4], *names]))) < 400
