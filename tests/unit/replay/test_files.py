"""The ways in which files that people have are written: separators, headers, JSON, Parquet, vintages, parts."""

from __future__ import annotations

import datetime
import gzip
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from movie_stream.errors import FileRefused, InputError, UsageError
from movie_stream.replay.files.csv_cells import in_milliseconds
from movie_stream.replay.files.csv_header import delimiter_of
from movie_stream.replay.formats.genres import Chooser
from movie_stream.replay.source import ViewsSource, mapping_of, source_of
from tests.services.replay.test_formats import MOVIES, NETFLIX, RATINGS, TMDB, read

VIEW = {"movie_id": "tt1", "title": "Heat; or, not", "genre": "Crime", "user_id": "u1", "timestamp": 1730383200000}
MERGED = (
    "userId,movieId,rating,timestamp,title,genres\n"
    "1,31,2.5,1260759144,Dangerous Minds (1995),Drama\n"
    '7,1029,3.0,851866703,"Days, Nights (1941)",Animation|Children|Drama\n'
    "7,9,0.5,1260759179,Sudden (no year),(no genres listed)\n"
)


NATIVE_RENAMED = "movie_id,title,Category,who,when\ntt1,Heat,Crime,u1,1730383200000\n"


def records(path: Path, **options: Any) -> list[dict[str, Any]]:
    found, refused, _ = read(source_of(path, **options))
    assert refused == []
    return found


def file(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# ---- separators and headers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("head", ["", "sep=%\n", '"sep=%"\r\n', "\ufeffSEP=%\r\n", "sep= %\n"])
def test_other_separators_are_found_or_declared(tmp_path: Path, delimiter: str, head: str) -> None:
    cells = [*VIEW, "rating"], [*(f'"{value}"' for value in VIEW.values()), "4.5"], ["", *list(VIEW.values())[1:], "5"]
    text = "\n".join(delimiter.join(map(str, row)) for row in cells[:2])
    bad = delimiter.join(["", "T", "G", "u1", "1730383200000", "5"])
    path = file(tmp_path, "a.csv", head.replace("%", delimiter) + text + "\n" + bad + "\n")
    found, refused, _ = read(source_of(path))
    assert found == [VIEW | {"rating": 4.5}]
    assert [line for line, _ in refused] == [4 if head else 3]


def test_a_header_decides_which_separator_it_is() -> None:
    assert delimiter_of("movie_id;title, long;genre\n1,2,3,4,5,6\n") == ";"
    assert delimiter_of('"a;b;c",d\n') == ","


def test_case_blanks_and_punctuation_of_a_header_make_no_difference(tmp_path: Path) -> None:
    text = "Movie ID,TITLE,Genre,userId,Time-Stamp,Rating\ntt1,Heat,Crime,u1,1730383200000,4\n" * 2
    assert [record["movie_id"] for record in records(file(tmp_path, "a.csv", text))] == ["tt1", "tt1"]
    lower = RATINGS.replace("userId,movieId", "USERID,movieid")
    file(tmp_path, "movies.csv", MOVIES.replace("movieId", "MovieId"))
    assert len(records(file(tmp_path, "ratings.csv", lower))) == 3


def test_optional_columns_may_be_missing(tmp_path: Path) -> None:
    text = "movie_id,title,genre,user_id,timestamp\ntt1,Heat,Crime,u1,1730383200000\n"
    assert records(file(tmp_path, "a.csv", text)) == [VIEW | {"title": "Heat"}]


def test_columns_are_mapped_to_fields(tmp_path: Path) -> None:
    text = "id,Name,Category,User,when,genre,Stars\ntt1,Heat,Crime,u1,1730383200000,ignored,4.5\n"
    path = file(tmp_path, "a.csv", text)
    mapping = "movie_id=id,title=Name,genre=category, user_id = User,timestamp=when,rating=Stars"
    assert records(path, mapping=mapping) == [VIEW | {"title": "Heat", "rating": 4.5}]
    with pytest.raises(UsageError, match=r"--map: expected one of the columns id, Name, .*, got 'Users'"):
        source_of(path, mapping="user_id=Users").open()
    for wrong in ("users=User", "genre", "genre=", "genre=a,genre=b"):
        with pytest.raises(UsageError, match=r"--map: expected FIELD=COLUMN,\.\.\. with the fields movie_id, title"):
            mapping_of(wrong)


def test_a_column_is_mapped_once() -> None:
    with pytest.raises(UsageError, match="--map: expected a column for each field, got 'Name for two of them'"):
        mapping_of("title=Name,genre=Name")


@pytest.mark.parametrize(
    ("text", "mapping", "remedy"),
    [
        (
            NATIVE_RENAMED,
            "genre=Category",
            "columns user_id, timestamp besides, .*genre=Category,user_id=COLUMN,timest",
        ),
        (
            NETFLIX,
            "genre=type",
            "columns movie_id, user_id, timestamp besides, .*: --map genre=type,movie_id=COLUMN,us",
        ),
        (TMDB, "genre=genres", "columns movie_id, user_id, timestamp besides, .*: --map genre=genres,movie_id=COLUMN"),
    ],
)
def test_what_else_is_to_be_mapped_is_said(tmp_path: Path, text: str, mapping: str, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy):
        source_of(file(tmp_path, "a.csv", text), mapping=mapping).open()


def test_a_map_of_what_a_format_has_anyway_changes_nothing(tmp_path: Path) -> None:
    path = file(tmp_path, "merged.csv", MERGED)
    assert records(path, mapping="movie_id=movieId,user_id=USERID,genre=genres") == records(path)
    with pytest.raises(
        UsageError, match=r"--map: expected no other columns than MovieLens ratings have, .*movie_id=tit"
    ):
        source_of(path, mapping="movie_id=title,genre=genres").open()


def test_times_that_a_merge_has_renamed_are_mapped(tmp_path: Path) -> None:
    path = file(tmp_path, "merged.csv", MERGED.replace("timestamp", "timestamp_x"))
    with pytest.raises(InputError, match=r"expected the column timestamp of MovieLens .*--map timestamp=timestamp_x"):
        source_of(path).open()
    plain = records(file(tmp_path, "plain.csv", MERGED))
    assert records(path, mapping="timestamp=timestamp_x") == plain


# ---- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "offset_s"),
    [
        ("2024-10-31 16:00:00.5+02", 0.5),
        ("2024-10-31 16:00:00+02", 0),
        ("2024-10-31 19:30:00+0530", 0),
        ("2024-10-31 16:00:00+02:00:00", 0),
        ("2024-10-31 11:30:00-02:30", 0),
        ("2024-10-31 14:00 +00", 0),
        ("2024-10-31T14:00:00Z", 0),
        ("2024-10-31 14:00:00 UTC", 0),
        ("2024-10-31 12:14:44-01:45:16", 0),
        ("2024-11-01 08:00+18:00", 0),
        ("2024-10-31", -14 * 3600),
    ],
)
def test_offsets_of_databases_are_read(cell: str, offset_s: float) -> None:
    assert in_milliseconds(cell)[0] == str(1730383200000 + round(1000 * offset_s))


@pytest.mark.parametrize(
    "cell",
    [
        *("2024-10-31 16:00:00+2", "2024-10-31 16:00:00+25", "infinity", "2024-10-31 16:00+02:", "2024-10-31Z"),
        *("2024-10-31 16:01:10+15:99", "2024-10-31 16:00+18:01", "2024-10-31 16:00-19", "2024-10-31 16:00+02:00:60"),
    ],
)
def test_a_cell_that_is_no_time_stays_unchanged(cell: str) -> None:
    assert in_milliseconds(cell) == (cell, None)


@pytest.mark.parametrize(
    "cell",
    [
        *("20241031", "20241031.0", "45596", "2024", "202410311601", "20241031160110", "7", "0", "-5", "99999999999"),
        *("1.73E+12", "31/10/2024", ""),
    ],
)
def test_numbers_that_are_no_unix_time_are_refused(tmp_path: Path, cell: str) -> None:
    header, row = "movie_id,title,genre,user_id,timestamp\n", "tt1,Heat,Crime,u1,{}\n"
    good = "100000000"
    text = header + "".join(map(row.format, (good, cell, cell, "1973-01-01", "190001013000")))
    found, refused, _ = read(source_of(file(tmp_path, "a.csv", text)))
    assert [record["timestamp"] for record in found] == [100_000_000_000, 94_694_400_000, 190_001_013_000]
    assert [line for line, _ in refused] == [3, 4]
    assert refused[0][1].startswith(
        "timestamp: expected a whole number of Unix milliseconds (or seconds) from 1973-03-03 on, or text as "
        "2024-10-31 14:00:00, got "
    )


def test_a_date_in_digits_is_no_time_of_movielens(tmp_path: Path) -> None:
    path = file(tmp_path, "merged.csv", MERGED.replace("851866703", "19961229"))
    found, refused, mended = read(source_of(path))
    assert (len(found), [line for line, _ in refused], mended) == (2, [3], {})


def test_words_for_a_number_that_is_missing(tmp_path: Path) -> None:
    text = "movie_id,title,genre,user_id,timestamp,rating,duration,price\n"
    text += "tt1,NULL,Crime,u1,1730383200000,NULL,NaN,\\N\ntt1,Heat,Crime,u1,1730383200000,N/A,None,null\n"
    found, refused, mended = read(source_of(file(tmp_path, "a.csv", text)))
    assert (found, refused) == ([VIEW | {"title": "NULL"}, VIEW | {"title": "Heat"}], [])
    assert mended == {"numbers with NULL, NaN, N/A or the like, taken as missing": 6}


# ---- JSON and Parquet ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, zstandard.compress])
def test_lines_of_json_are_views(tmp_path: Path, pack: Any) -> None:
    odd = VIEW | {"rating": "4.5", "duration": None, "movie_id": 31, "device": {"os": ["tv"]}, "timestamp": 1730383200}
    lines = [
        *(msgspec.json.encode(view) for view in (VIEW, odd, VIEW | {"price": 2.5})),
        b"",
        b"not JSON",
        b"[1]",
        b'{"title": "\xe9"}',
        b'{"title": "\\ud83d"}',
        msgspec.json.encode(VIEW | {"rating": True}),
    ]
    path = file(tmp_path, "views", pack(b"\n".join(lines)))
    found, refused, mended = read(source_of(path))
    assert found == [VIEW, VIEW | {"movie_id": "31", "rating": 4.5}, VIEW | {"price": 2.5}]
    assert [line for line, _ in refused] == [5, 6, 7, 8, 9]
    assert refused[2][1].startswith("not UTF-8: byte")
    assert refused[4][1] == 'rating: expected a number from 0 to 5, or null, got "true"'
    assert mended == {"timestamps in seconds": 1}


NO_TEXTS = [
    ({"genre": ["Horror", "SciFi"]}, "genre: expected a string, got a list"),
    ({"genre": []}, "genre: expected a string, got a list"),
    ({"title": {"en": "Heat"}}, "title: expected a string, got an object"),
    ({"movie_id": True}, "movie_id: expected a string, got true or false"),
    ({"user_id": [7]}, "user_id: expected a string, got a list"),
]


@pytest.mark.parametrize(("odd", "reason"), NO_TEXTS)
def test_lists_and_objects_are_no_texts(tmp_path: Path, odd: dict[str, Any], reason: str) -> None:
    views = [VIEW | {"note": ["any"]}, VIEW | odd, VIEW | {"movie_id": 7.0}]
    lines = b"\n".join(map(msgspec.json.encode, views))
    found, refused, _ = read(source_of(file(tmp_path, "a.jsonl", lines)))
    assert (found, refused) == ([VIEW, VIEW | {"movie_id": "7"}], [(2, reason)])


@pytest.mark.parametrize(("odd", "reason"), NO_TEXTS)
def test_a_column_of_lists_in_parquet_is_no_text(tmp_path: Path, odd: dict[str, Any], reason: str) -> None:
    [(name, value)] = odd.items()
    columns = {field: pyarrow.array([of_view] * 2) for field, of_view in VIEW.items()}
    columns["note"] = pyarrow.array([["any"]] * 2)
    columns[name] = pyarrow.array([value, value])
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    found, refused, _ = read(source_of(tmp_path / "a.parquet"))
    assert (found, refused) == ([], [(1, reason), (2, reason)])
    columns[name] = pyarrow.array([str(VIEW[name])] * 2)
    columns["user_id"] = pyarrow.array([7.0, None])
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    found, refused, _ = read(source_of(tmp_path / "a.parquet"))
    assert found == [VIEW | {"user_id": "7"}], "pandas has no whole numbers with gaps"
    assert [line for line, _ in refused] == [2]


def test_json_that_is_no_lines_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got 'a list of them'; convert it with: jq -c '\.\[\]'"):
        source_of(file(tmp_path, "a.json", '[{"movie_id": 1}]')).open()
    with pytest.raises(InputError, match=r"a record stands in one line; for others: jq -c \. FILE"):
        source_of(file(tmp_path, "a.json", '{\n "movie_id": 1\n}\n')).open()
    with pytest.raises(UsageError, match="--encoding: expected a CSV"):
        source_of(file(tmp_path, "a.json", '{"movie_id": 1}'), encoding="utf-16").open()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_with_a_byte_order_mark_is_read(tmp_path: Path, encoding: str) -> None:
    view = VIEW | {"title": "Война и мир"}
    text = msgspec.json.encode(view).decode() + "\n"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    found, refused, _ = read(source_of(file(tmp_path, "a.jsonl", (mark + text * 3000).encode(encoding))))
    assert (found, refused) == ([view] * 3000, [])
    half = (mark + text).encode(encoding) + "{\n".encode(encoding)[-8:]
    assert read(source_of(file(tmp_path, "b.jsonl", half)))[0] == [view]


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("windows-1251", 'it is not UTF-8; it could be windows-1251 ("Война и мир Драма"); convert it with: iconv'),
        ("cp1252", 'it is not UTF-8; it could be windows-1252 ("Amélie"); convert it with: iconv -f windows-1252 -t'),
        ("utf-16-le", "what looks like utf-16-le'; convert it with: iconv -f utf-16-le -t utf-8"),
        ("utf-16-be", "what looks like utf-16-be'; convert it with: iconv -f utf-16-be -t utf-8"),
    ],
)
def test_json_in_another_encoding_is_named(tmp_path: Path, encoding: str, told: str) -> None:
    view = VIEW | ({"title": "Amélie"} if encoding == "cp1252" else {"title": "Война и мир", "genre": "Драма"})
    path = file(tmp_path, "a.jsonl", (msgspec.json.encode(view).decode() + "\n").encode(encoding))
    with pytest.raises(InputError) as caught:
        source_of(path).open()
    assert told in str(caught.value)


def test_json_that_is_partly_ascii_is_named_all_the_same(tmp_path: Path) -> None:
    plain = msgspec.json.encode(VIEW)
    odd = plain.replace(b"Crime", "Драма".encode("cp1251"))
    path = file(tmp_path, "a.jsonl", b"\n".join([plain, odd, plain, odd]))
    with pytest.raises(InputError, match=r"it is not UTF-8; it could be windows-1251 \(.*iconv"):
        read(source_of(path))
    wide = plain.replace(b"Crime", "Драма".encode())
    path = file(tmp_path, "a.jsonl", b"\n".join([wide, odd, wide, plain]))
    assert [line for line, _ in read(source_of(path))[1]] == [2], "a few bad rows make no other encoding"


def test_other_formats_and_maps_in_json(tmp_path: Path) -> None:
    file(tmp_path, "movies.csv", MOVIES)
    line = '{"userId": 1, "movieId": 31, "rating": 2.5, "timestamp": 1260759144}\n'
    assert records(file(tmp_path, "r.jsonl", line))[0]["title"] == "Dangerous Minds (1995)"
    mapped = file(tmp_path, "m.jsonl", msgspec.json.encode(VIEW).replace(b'"genre"', b'"Category"'))
    assert records(mapped, mapping="genre=Category") == [VIEW]


def test_of_an_archive_the_json_or_parquet_of_a_known_format_is_read(tmp_path: Path) -> None:
    line = msgspec.json.encode(VIEW)
    members = {"a/about.json": b'{"name": "views"}', "a/views.jsonl": line + b"\n", "a/read.txt": b"x"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert records(tmp_path / "a.zip") == [VIEW]
    parquet.write_table(pyarrow.table({name: [value] for name, value in VIEW.items()}), tmp_path / "views.parquet")
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("about.json", members["a/about.json"])
        archive.write(tmp_path / "views.parquet", "views.parquet")
    assert records(tmp_path / "p.zip") == [VIEW]


def test_a_long_line_of_json_takes_no_memory_and_costs_itself(tmp_path: Path) -> None:
    good = msgspec.json.encode(VIEW)
    path = file(tmp_path, "a.jsonl", good + b'\n{"title": "' + b"x" * 3_000_000 + b'"}\n' + good + b"\n")
    found, refused, _ = read(source_of(path))
    assert (found, [line for line, _ in refused]) == ([VIEW, VIEW], [2])


def test_parquet_of_other_types_is_read(tmp_path: Path) -> None:
    at = datetime.datetime(2024, 10, 31, 14, tzinfo=datetime.UTC)
    columns = {
        "movie_id": pyarrow.array([31, 32, 33]),
        "Title": pyarrow.array(["Heat; or, not", "Heat", None]),
        "genre": pyarrow.array(["Crime"] * 3).dictionary_encode(),
        "user_id": pyarrow.array(["u1"] * 3),
        "timestamp": pyarrow.array([at] * 3, pyarrow.timestamp("us", "UTC")),
        "rating": pyarrow.array([4.5, float("nan"), None]),
        "price": pyarrow.array([Decimal("2.50"), None, None]),
    }
    path = tmp_path / "views.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    found, refused, _ = read(source_of(path))
    assert found == [VIEW | {"movie_id": "31", "rating": 4.5, "price": 2.5}, VIEW | {"movie_id": "32", "title": "Heat"}]
    assert [(line, reason.partition(":")[0]) for line, reason in refused] == [(3, "title")]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="expected a whole Parquet file"):
        source_of(path).open()


# ---- MovieLens, TMDB, and parts of them ------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["windows-1251", "utf-16-le", "utf-8"])
@pytest.mark.parametrize("ratings", ["ratings.csv", "ratings.jsonl"])
def test_an_encoding_is_that_of_films_which_are_not_utf_8(tmp_path: Path, encoding: str, ratings: str) -> None:
    films = "movieId,title,genres\n31,Война и мир,Драма\n"
    file(tmp_path, "movies.csv", films.encode(encoding))
    line = b'{"userId": 1, "movieId": 31, "rating": 2.5, "timestamp": 1260759144}\n'
    text = line if ratings.endswith("jsonl") else b"userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n"
    path = file(tmp_path, ratings, text)
    if encoding == "windows-1251":
        with pytest.raises(InputError, match=r"movies\.csv: it is not UTF-8; .*--encoding windows-1251"):
            source_of(path).open()
    said = "windows-1251" if encoding == "utf-8" else encoding
    if said == "utf-16-le" and ratings == "ratings.csv":
        file(tmp_path, ratings, text.decode().encode(encoding))
    assert [record["title"] for record in records(path, encoding=said)] == ["Война и мир"]


@pytest.mark.parametrize(("genre", "genres"), [("first", "Animation"), ("rarest", "Animation"), (None, "Animation")])
def test_ratings_that_are_merged_with_the_films(tmp_path: Path, genre: str | None, genres: str) -> None:
    found = records(file(tmp_path, "merged.csv", MERGED), genre=genre)
    assert [tuple(record.values()) for record in found] == [
        ("31", "Dangerous Minds (1995)", "Drama", "1", 1260759144000, 2.5),
        ("1029", "Days, Nights (1941)", genres, "7", 851866703000, 3.0),
        ("9", "Sudden (no year)", "Unknown", "7", 1260759179000, 0.5),
    ]
    with pytest.raises(UsageError, match="--movies: expected ratings without titles and genres"):
        source_of(tmp_path / "merged.csv", movies=tmp_path / "x").open()


@pytest.mark.parametrize("choice", ["first", "rarest"])
def test_lists_of_genres_are_read_in_any_form(tmp_path: Path, choice: str) -> None:
    lists = """\"['Animation', 'Children', 'Drama']\"""", '"[""Animation"", ""Drama""]"', '"Animation, Drama"'
    for cell in lists:
        found = records(file(tmp_path, "a.csv", MERGED.replace("Animation|Children|Drama", cell)), genre=choice)
        assert [record["genre"] for record in found] == ["Drama", "Animation", "Unknown"]
    broken = MERGED.replace("Animation|Children|Drama", "['Animation' 'Drama']")
    found, refused, _ = read(source_of(file(tmp_path, "b.csv", broken), genre=choice))
    assert (len(found), [line for line, _ in refused]) == (2, [3])
    assert refused[0][1].startswith("genres: expected a list of texts")
    file(tmp_path, "movies.csv", MOVIES.replace("Animation|Children|Drama", "[x"))
    with pytest.raises(FileRefused, match=r"movies\.csv, line 3: genres: expected a list of texts.*got \"\[x\""):
        source_of(file(tmp_path, "ratings.csv", RATINGS)).open()


def test_a_movie_id_is_that_of_one_film(tmp_path: Path) -> None:
    path = file(tmp_path, "ratings.csv", RATINGS)
    file(tmp_path, "movies.csv", MOVIES + "31,Dangerous Minds (1995),Drama\n")
    assert len(records(path)) == 3, "a row that stands twice does no harm"
    file(tmp_path, "movies.csv", MOVIES + "31,Heat (1995),Crime\n")
    with pytest.raises(FileRefused, match=r"movies\.csv, line 5: there is another film with the movieId 31 above"):
        source_of(path).open()


def test_the_rarest_genre_is_the_one_that_the_fewest_films_have(tmp_path: Path) -> None:
    file(
        tmp_path, "movies.csv", "movieId,title,genres\n1,A,Action|War\n2,B,Action|Drama\n3,C,Drama|War\n4,D,Drama|War\n"
    )
    rows = "".join(f"1,{film},4,{1260759144 + film}\n" for film in (1, 2, 3, 4, 1, 1))
    path = file(tmp_path, "ratings.csv", "userId,movieId,rating,timestamp\n" + rows)
    assert [record["genre"] for record in records(path, genre="rarest")] == [
        *("Action", "Action", "Drama", "Drama", "Action", "Action")
    ], "by films, not by views; of two that are as rare the first"
    merged = "userId,movieId,rating,timestamp,title,genres\n"
    for film, genres in ((1, "Action|War"), (1, "Action|War"), (1, "Action|War"), (2, "War"), (3, "War|Drama")):
        merged += f"1,{film},4,{1260759144 + film},T,{genres}\n"
    found = records(file(tmp_path, "merged.csv", merged), genre="rarest")
    assert [record["genre"] for record in found] == ["Action"] * 3 + ["War", "Drama"]
    assert Chooser("rarest", [])(()) == "Unknown"


def test_all_genres_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--genre: expected first or rarest, got 'all'; an event has one genre, "):
        source_of(tmp_path / "x", genre="all")
    path = file(tmp_path, "a.csv", "movie_id,title,genre,user_id,timestamp\ntt1,Heat,Crime,u1,1730383200000\n")
    with pytest.raises(UsageError, match="--genre: expected films with several genres, got"):
        source_of(path, genre="rarest").open()


METADATA = (
    "adult,budget,genres,id,original_title,popularity,runtime,title,vote_average,vote_count\n"
    "False,1,\"[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': \\\"Kid's\\\"}]\",862,Toy Story,21.9,81.0,"
    "Toy Story,7.7,5415\n"
).replace('\\"', '""')
LARGE = (
    "id,title,vote_average,vote_count,status,runtime,popularity,genres\n"
    '27205,Inception,8.364,34495,Released,148,83.952,"Action, Science Fiction, Adventure"\n'
)
WITHOUT = 'id,title,genre_ids,popularity,vote_average,vote_count\n238,The Godfather,"[18, 80]",90,8.7,19000\n'
BARS = "id,original_title,runtime,genres,vote_count,vote_average\n135397,Jurassic World,124,Action|Adventure,5562,6.5\n"
ALONE = "id,title,vote_average\n1,Heat,8\n"


@pytest.mark.parametrize(
    ("text", "film", "lacking"),
    [
        (METADATA, ("862", "Toy Story", "Animation"), ""),
        (LARGE, ("27205", "Inception", "Action"), ""),
        (WITHOUT, ("238", "The Godfather", "Drama"), "; no runtime, so no view has minutes"),
        (BARS, ("135397", "Jurassic World", "Action"), ""),
        (
            ALONE,
            ("1", "Heat", "Unknown"),
            "; no genres, so all are of the genre Unknown; no runtime, so no view has minutes; no vote_count, so",
        ),
    ],
)
def test_tmdb_of_other_vintages(tmp_path: Path, text: str, film: tuple[str, ...], lacking: str) -> None:
    source = source_of(file(tmp_path, "films.csv", text), views=50)
    found, refused, _ = read(source)
    assert refused == []
    assert {(record["movie_id"], record["title"], record["genre"]) for record in found} == {film}
    assert any("rating" in record for record in found)
    with source.open() as views:
        assert views.what.startswith("films of TMDB (format tmdb), 1 film; 50 views are made up" + lacking)


@pytest.mark.parametrize(
    ("header", "row", "lacking", "added"),
    [
        ("title,runtime,genres", "Heat,170,Crime", "columns id, vote_average", "id,vote_average"),
        ("id,title,runtime,genres", "1,Heat,170,Crime", "column vote_average", "vote_average"),
        ("Release_Date,Title,Vote_Count,Vote_Average,Genre", "1995,Heat,5,8,Crime", "column id", "id"),
    ],
)
def test_what_a_catalogue_of_films_lacks_is_said(
    tmp_path: Path, header: str, row: str, lacking: str, added: str
) -> None:
    path = file(tmp_path, "films.csv", f"{header}\n{row}\n")
    with pytest.raises(InputError, match=f"line 1: expected views, or the {lacking} of films of TMDB, got"):
        source_of(path).open()
    values = added.replace("vote_average", "").replace("id", "7")
    file(tmp_path, "films.csv", f"{header},{added}\n{row},{values}\n")
    assert {(view["title"], view["genre"]) for view in records(path, views=5)} == {("Heat", "Crime")}


def test_a_row_that_is_cut_in_another_way_is_refused_alone(tmp_path: Path) -> None:
    """The Movies Dataset has three of them."""
    broken = METADATA + "False,1,\"[{'id'\",x,y,z,1,T,1,2\n"
    _, refused, _ = read(source_of(file(tmp_path, "films.csv", broken), views=5))
    assert [line for line, _ in refused] == [3]


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        (MOVIES, "the films of MovieLens, without views", "send the ratings.csv that belongs to it"),
        ("movieId,imdbId,tmdbId\n1,2,3\n", "the links of MovieLens, without views", "send the ratings.csv"),
        ("userId,movieId,tag,timestamp\n1,2,x,3\n", "the tags of MovieLens", "send the ratings.csv"),
        ("movie_id,title,cast,crew\n1,2,x,3\n", "the credits of TMDB 5000", "send the tmdb_5000_movies.csv"),
    ],
)
def test_a_part_of_a_known_set_is_named(tmp_path: Path, text: str, what: str, remedy: str) -> None:
    with pytest.raises(InputError, match=f"line 1: expected views, or films, got '{what}'; {remedy}"):
        source_of(file(tmp_path, "part.csv", text)).open()


def test_the_way_of_reading_a_file_is_part_of_its_bookmark(tmp_path: Path) -> None:
    file(tmp_path, "movies.csv", MOVIES)
    path = file(tmp_path, "ratings.csv", RATINGS)
    with source_of(path).open() as plain, source_of(path, genre="first").open() as first:
        assert (plain.made_of, first.made_of) == ("", "")
    with source_of(path, genre="rarest", encoding="latin-1").open() as views:
        assert views.made_of == "encoding: cp1252, genre: rarest"
    text = "movie_id,title,Category,user_id,timestamp\ntt1,Heat,Crime,u1,1730383200000\n"
    with source_of(file(tmp_path, "a.csv", text), mapping="genre=Category").open() as views:
        assert views.made_of == "map: genre=Category"
    with source_of(file(tmp_path, "films.csv", TMDB), views=5, genre="rarest").open() as views:
        assert views.made_of.endswith("seed: 0, genre: rarest")
    assert ViewsSource(path).mapping == {}
