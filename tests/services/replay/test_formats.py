"""The files that people have: each is known by its header, and its rows become views."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from movie_stream.errors import InputError, UsageError
from movie_stream.replay.formats import FORMATS, recognised
from movie_stream.replay.records.replay_input import ReplayInput
from movie_stream.replay.source import ViewsSource, source_of

HOUR_MS = 3_600_000
RATINGS = "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n7,1029,3.0,851866703\n7,9,0.5,1260759179\n"
MOVIES = (
    "movieId,title,genres\n"
    "31,Dangerous Minds (1995),Drama\n"
    '1029,"Days, Nights (1941)",Animation|Children|Drama\n'
    "9,Sudden (no year),(no genres listed)\n"
)
TMDB = (
    "budget,genres,id,popularity,runtime,title,vote_average,vote_count\n"
    '1,"[{""id"": 28, ""name"": ""Action""}, {""id"": 12, ""name"": ""Adventure""}]",19995,150.4,162,Avatar,7.2,11800\n'
    "0,[],5,150,,Nobody's,0,0\n"
    "0,[not json,6,0.5,90,Broken,5,1\n"
)
NETFLIX = (
    "show_id,type,title,director,cast,country,date_added,release_year,rating,duration,listed_in,description\r\n"
    "s1,Movie,Dick Johnson Is Dead,K. Johnson,,US,25-Sep-21,2020,PG-13,90 min,Documentaries,x\r\n"
    's2,TV Show,Blood & Water,,"A, B",ZA,24-Sep-21,2021,TV-MA,2 Seasons,"International TV Shows, TV Dramas",y\r\n'
    "s3,Movie,Louis C.K. 2017,,,US,4-Apr-17,2017,74 min,,Movies,z\r\n"
)
NATIVE = "movie_id,title,genre,user_id,timestamp,rating\ntt1,Heat,Crime,u1,1730383200000,4.5\n"


def all_values(views: ReplayInput) -> list[bytes | None]:
    return [value for chunk in views.chunks(HOUR_MS) for value in chunk.values]


def read(source: ViewsSource) -> tuple[list[dict[str, Any]], list[tuple[int, str]], dict[str, int]]:
    """The views, the refusals, and the repairs."""
    with closing(source.open()) as views:
        for _ in views.times():  # after which it is known in which encoding it is
            pass
        chunks = list(views.chunks(HOUR_MS))
        refused = [*views.refused, *(row for chunk in chunks for row in chunk.refused)]
        records = [msgspec.json.decode(value or b"") for chunk in chunks for value in chunk.values]
        return records, [(row.line, row.reason) for row in refused], dict(views.mended)


def native(folder: Path, text: str | bytes) -> tuple[list[dict[str, Any]], list[tuple[int, str]], dict[str, int]]:
    path = folder / "views.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(ViewsSource(path))


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    (tmp_path / "movies.csv").write_text(MOVIES)
    (tmp_path / "ratings.csv").write_text(RATINGS)
    return tmp_path / "ratings.csv"


def test_ratings_of_movielens_are_views(movielens: Path) -> None:
    records, refused, _ = read(ViewsSource(movielens))
    assert refused == []
    assert [tuple(record.values()) for record in records] == [
        ("31", "Dangerous Minds (1995)", "Drama", "1", 1260759144000, 2.5),
        ("1029", "Days, Nights (1941)", "Animation", "7", 851866703000, 3.0),
        ("9", "Sudden (no year)", "Unknown", "7", 1260759179000, 0.5),
    ]


def test_a_film_that_nobody_knows_is_refused_with_its_line(movielens: Path) -> None:
    movielens.write_text(RATINGS + "1,77,4,1260759144\n1,31,4,1260759145\n")
    records, refused, _ = read(ViewsSource(movielens))
    assert len(records) == 4
    assert refused == [(5, f'movieId: expected one of the 3 in {movielens.parent}/movies.csv, got "77"')]


def test_the_films_may_lie_elsewhere_or_be_missing(movielens: Path) -> None:
    elsewhere = movielens.parent / "films"
    (movielens.parent / "movies.csv").rename(elsewhere)
    assert len(read(ViewsSource(movielens, movies=elsewhere))[0]) == 3
    with pytest.raises(InputError, match=r"expected movies\.csv beside it, .* or name it with: --movies"):
        ViewsSource(movielens).open()
    elsewhere.write_text("id,name\n")
    with pytest.raises(InputError, match="expected the columns movieId, title, genres in the header, got 'id,name'"):
        ViewsSource(movielens, movies=elsewhere).open()


def test_the_films_may_be_written_in_other_ways(movielens: Path) -> None:
    films = movielens.parent / "movies.csv"
    accented = MOVIES.replace("Sudden", "Soud\u00e9n")
    wider = "\n".join(f"{line},x" for line in accented.replace("movieId", "movieId").splitlines())
    for data in (("\ufeff" + accented).encode(), accented.encode("cp1252"), wider.encode()):
        films.write_bytes(data)
        records, refused, _ = read(ViewsSource(movielens))
        assert (records[2]["title"], refused) == ("Soud\u00e9n (no year)", [])
    films.rename(movielens.parent / "Movies.CSV")
    assert len(read(ViewsSource(movielens))[0]) == 3
    for data, words in (
        (b'"movieId,title', "a quote is opened"),
        (b"\0\1\2,\0", "bytes of zero"),
        (b"", "an empty file"),
    ):
        (movielens.parent / "Movies.CSV").write_bytes(data)
        with pytest.raises(InputError, match=words):
            ViewsSource(movielens).open()


def test_ratings_whose_times_are_milliseconds_already(movielens: Path) -> None:
    movielens.write_text("\n".join(RATINGS.replace("9144\n", "9144000\n").replace("6703\n", "6703000\n").splitlines()))
    records, refused, _ = read(ViewsSource(movielens))
    assert [record["timestamp"] for record in records] == [1260759144000, 851866703000, 1260759179000]
    assert refused == []


def as_gzip(text: str) -> bytes:
    half = len(text) // 2  # of two parts, as `cat a.gz b.gz` makes them
    return gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode())


def as_zstd(text: str) -> bytes:
    half = len(text) // 2
    return zstandard.compress(text[:half].encode()) + zstandard.compress(text[half:].encode())


def as_zip(**files: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"data/{name}.csv", text)
    return made.getvalue()


@pytest.mark.parametrize("pack", [as_gzip, as_zstd])
def test_packed_files_are_read_as_they_are(tmp_path: Path, pack: Callable[[str], bytes]) -> None:
    (tmp_path / "ratings.csv.x").write_bytes(pack(RATINGS))
    suffix = ".gz" if pack is as_gzip else ".zst"
    (tmp_path / f"movies.csv{suffix}").write_bytes(pack(MOVIES))
    assert len(read(ViewsSource(tmp_path / "ratings.csv.x"))[0]) == 3


@pytest.mark.parametrize("pack", [as_gzip, as_zstd, lambda text: as_zip(views=text)])
def test_a_packed_file_that_is_cut_off_says_so(tmp_path: Path, pack: Callable[[str], bytes]) -> None:
    packed = pack(NATIVE * 50)
    (tmp_path / "views").write_bytes(packed[: len(packed) - 20])
    with pytest.raises(InputError, match=r"got 'one that cannot be unpacked .*; get it again, or unpack it yourself"):
        ViewsSource(tmp_path / "views").open()


def test_of_an_archive_the_file_of_a_known_format_is_read(tmp_path: Path) -> None:
    archive = tmp_path / "ml.zip"
    archive.write_bytes(as_zip(links="movieId,imdbId\n1,2\n", movies=MOVIES, ratings=RATINGS, tags="userId,tag\n1,x\n"))
    records, _, _ = read(ViewsSource(archive))
    assert [record["title"] for record in records][:1] == ["Dangerous Minds (1995)"]
    with pytest.raises(UsageError, match=r"--member: expected one of data/links\.csv, .* got 'nope\.csv'"):
        ViewsSource(archive, member="nope.csv").open()
    archive.write_bytes(as_zip(one=NATIVE, two=NATIVE))
    with pytest.raises(InputError, match=r"got '2 among data/one\.csv, data/two\.csv'; name it with: --member"):
        ViewsSource(archive).open()
    assert len(read(ViewsSource(archive, member="two.csv"))[0]) == 1


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_says_so_in_one_line(tmp_path: Path, method: int) -> None:
    """Whichever byte it is; where that does no harm, the file is read."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("links.csv", "movieId,imdbId\n1,2\n" * 9)
        archive.writestr("views.csv", NATIVE * 9)
    whole, told = made.getvalue(), 0
    for place in range(4, len(whole), 3):
        (tmp_path / "views.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            ViewsSource(tmp_path / "views.zip").open().close()
        except InputError:
            told += 1
    assert told > 20


def test_an_archive_with_a_password_or_without_files(tmp_path: Path) -> None:
    packed = bytearray(as_zip(views=NATIVE))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + flags] |= 1
    (tmp_path / "views.zip").write_bytes(packed)
    with pytest.raises(InputError, match=r"is encrypted, password requir.*; get it again, or unpack it yourself"):
        ViewsSource(tmp_path / "views.zip").open()
    (tmp_path / "views.zip").write_bytes(as_zip())
    with pytest.raises(InputError, match=r"expected one file in the archive .*, got '0 among none'"):
        ViewsSource(tmp_path / "views.zip").open()


def test_a_spreadsheet_is_no_archive_of_views(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "views.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(InputError, match=r"got 'a spreadsheet, .*; export the sheet as CSV \(UTF-8\)"):
        ViewsSource(tmp_path / "views.xlsx").open()


def test_films_of_tmdb_become_made_up_views(tmp_path: Path) -> None:
    (tmp_path / "films").write_text(TMDB)
    source = source_of(tmp_path / "films", views=2_000, seed=3)
    records, refused, _ = read(source)
    assert (len(records), [line for line, _ in refused]) == (2_000, [4])
    assert refused[0][1].startswith("genres: expected a list of texts, or of objects with a name, in JSON")
    films = {(record["movie_id"], record["title"], record["genre"]) for record in records}
    assert films == {("19995", "Avatar", "Action"), ("5", "Nobody's", "Unknown")}
    seen = [record["movie_id"] for record in records]
    assert seen.count("19995") > 20 * seen.count("5"), "as their votes are"
    assert not any("rating" in record or "duration" in record for record in records if record["movie_id"] == "5")
    stars = [record["rating"] for record in records if "rating" in record]
    assert abs(sum(stars) / len(stars) - 3.6) < 0.2
    assert read(source)[0] != read(source_of(tmp_path / "films", views=2_000, seed=4))[0]
    with closing(source.open()) as one, closing(source.open()) as other:
        other.now_ms = one.now_ms
        assert all_values(one) == all_values(other)


def test_titles_of_netflix_become_made_up_views(tmp_path: Path) -> None:
    (tmp_path / "titles").write_bytes(NETFLIX.encode("cp1252"))
    records, refused, _ = read(source_of(tmp_path / "titles", views=1_000, users=7, days=1))
    assert (len(records), refused) == (1_000, [])
    assert {(record["title"], record["genre"]) for record in records} == {
        ("Dick Johnson Is Dead", "Documentaries"),
        ("Blood & Water", "International TV Shows"),
        ("Louis C.K. 2017", "Movies"),
    }
    assert len({record["user_id"] for record in records}) <= 7
    assert not any("rating" in record or "price" in record for record in records)
    longest = {t: max(r.get("duration", 0) for r in records if r["title"] == t) for t in {r["title"] for r in records}}
    assert longest == {"Dick Johnson Is Dead": 90, "Blood & Water": 0, "Louis C.K. 2017": 74}


def test_a_film_with_an_impossible_length_is_refused_by_its_line(tmp_path: Path) -> None:
    long = TMDB.splitlines()[1].replace(",162,", ",1e300,"), TMDB.splitlines()[1].replace(",162,", ",99999,")
    (tmp_path / "films").write_text(TMDB + "\n".join(long))
    _, refused, _ = read(source_of(tmp_path / "films", views=100))
    assert [line for line, _ in refused] == [4, 5, 6]
    assert refused[2][1] == "minutes: expected a number from 0 to 1440, got 99999"


def test_repairs_in_a_catalogue_are_reported(tmp_path: Path) -> None:
    (tmp_path / "films").write_bytes((TMDB.replace("Avatar", "Av\u00e9tar").splitlines()[0] + "\n").encode())
    with (tmp_path / "films").open("ab") as file:
        file.write(TMDB.replace("Avatar", "Av\u00e9tar").splitlines()[1].encode("latin-1") + b",,,\n")
    _, _, mended = read(source_of(tmp_path / "films", views=10))
    assert sorted(mended.values()) == [1, 1]


def test_a_catalogue_without_films_says_why(tmp_path: Path) -> None:
    (tmp_path / "films").write_text(TMDB.splitlines()[0] + "\n0,[not json,6,0.5,90,Broken,5,1\n")
    with pytest.raises(InputError, match="line 2: genres: expected a list of texts"):
        ViewsSource(tmp_path / "films").open()


def test_the_format_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_text(NATIVE)
    with pytest.raises(UsageError, match="--format: expected native, movielens, tmdb, netflix, got 'imdb'"):
        ViewsSource(tmp_path / "views.csv", "imdb").open()
    with pytest.raises(InputError, match="line 1: expected the columns userId, movieId of MovieLens ratings"):
        ViewsSource(tmp_path / "views.csv", "movielens").open()
    with pytest.raises(UsageError, match="expected a catalogue of films, of which views are made up"):
        source_of(tmp_path / "views.csv", views=5).open()
    with pytest.raises(UsageError, match="--movies: expected MovieLens ratings, got"):
        ViewsSource(tmp_path / "views.csv", movies=tmp_path / "none").open()
    with pytest.raises(UsageError, match="--member: expected an archive, got"):
        ViewsSource(tmp_path / "views.csv", member="views.csv").open()
    (tmp_path / "views.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"other formats: MovieLens ratings \(movielens\)"):
        ViewsSource(tmp_path / "views.csv").open()


def test_every_format_is_known_by_its_own_header() -> None:
    assert [recognised([*kind.columns, "more"]) for kind in FORMATS] == list(FORMATS)
    assert len({kind.name for kind in FORMATS}) == len(FORMATS)


def test_standard_input(tmp_path: Path) -> None:
    code = "from movie_stream.cli import main; main()"
    arguments = [sys.executable, "-c", code, "produce", "--file", "-", "--dry-run"]
    for data in (NATIVE.encode(), as_gzip(NATIVE), as_zip(views=NATIVE)):
        done = subprocess.run(arguments, input=data, capture_output=True, check=True)
        assert b"It would be 1 view, of 2024-10-31 14:00:00" in done.stdout


def test_standard_input_that_is_closed() -> None:
    code = "from movie_stream.cli import main; main()"
    command = f"exec {sys.executable} -c '{code}' produce --file - --dry-run <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: -: expected standard input, got 'none: it is closed'\n")


def test_seconds_before_2001_have_nine_digits(tmp_path: Path) -> None:
    records, refused, mended = native(tmp_path, HEADER + GOOD.replace("1730383200000", "835355493"))
    assert ([record["timestamp"] for record in records], refused) == ([835355493000], [])
    assert mended == {"timestamps in seconds": 1}


HEADER = "movie_id,title,genre,user_id,timestamp,rating,duration,price\n"
GOOD = "tt1,Heat,Crime,u1,1730383200000,4.5,170,2.99\n"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("tt1,Heat,Crime,u1,1730383200000,4.5,170,2.99,,,\n", "rows with empty cells too many at the end"),
        ("tt1,Heat,Crime,u1,1730383200,4.5,170,2.99\n", "timestamps in seconds"),
        ("tt1,Heat,Crime,u1,1730383200.0,4.5,170,2.99\n", "timestamps in seconds"),
        ("tt1,Heat,Crime,u1,1730383200000123,4.5,170,2.99\n", "timestamps in microseconds or nanoseconds"),
        ("tt1,Heat,Crime,u1,2024-10-31T14:00:00Z,4.5,170,2.99\n", "timestamps as text (in UTC, where no zone is said"),
        ("tt1,Heat,Crime,u1,2024-10-31 15:00:00+01:00,4.5,170,2.99\n", "timestamps as text (in UTC, where no zone is"),
        ("tt1,He\0at,Crime,u1\0,1730383200000,4.5,170,2.99\n", "rows with bytes of zero, read without them"),
        (HEADER + GOOD, "headers in the middle, left out"),
        ("\ufeff" + HEADER + GOOD, "headers in the middle, left out"),
    ],
)
def test_what_leaves_no_doubt_is_repaired(tmp_path: Path, row: str, what: str) -> None:
    records, refused, mended = native(tmp_path, HEADER + GOOD + row + GOOD)
    assert refused == []
    assert records == [records[0]] * 3
    assert [(name.startswith(what), count) for name, count in mended.items()] == [(True, 1)]


def test_cells_that_are_missing_at_the_end_are_empty_if_they_may_be(tmp_path: Path) -> None:
    text = HEADER + "tt1,Heat,Crime,u1,1730383200000\ntt1,Heat,Crime,u1\n"
    records, refused, mended = native(tmp_path, text)
    assert [sorted(record) for record in records] == [["genre", "movie_id", "timestamp", "title", "user_id"]]
    assert refused == [(3, "expected 8 cells, as many as the header has, got 4")]
    assert mended == {"rows with too few cells, taken as empty ones at the end": 1}


def test_a_header_with_a_comma_too_many(tmp_path: Path) -> None:
    records, refused, _ = native(tmp_path, HEADER.rstrip() + ",\n" + GOOD + GOOD.rstrip() + ",\n")
    assert (len(records), refused) == (2, [])


def test_a_file_in_another_encoding_is_read_in_it_only_if_all_of_it_may_be(tmp_path: Path) -> None:
    row = "tt1,Am\u00e9lie,Com\u00e9die,u1,1730383200000,4.5,170,2.99\n"
    records, refused, mended = native(tmp_path, HEADER.encode() + row.encode("latin-1"))
    assert ([record["title"] for record in records], refused) == (["Am\u00e9lie"], [])
    assert mended == {"file in Windows-1252 or Latin-1 instead of UTF-8": 1}
    records, refused, _ = native(tmp_path, HEADER.encode() + row.encode("latin-1") + row.encode())
    assert [record["title"] for record in records] == ["Am\u00e9lie"]
    assert refused == [(2, "title: not UTF-8 (byte 0xe9); save the file as UTF-8")]
