"""Made-up views: always the same for a seed, in time order, valid, and with the shapes of real ones."""

import csv
import hashlib
import io
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.replay.records.csv_views import ViewsFile
from movie_stream.replay.synthetic.catalogue import Catalogue, catalogue, cumulative
from movie_stream.replay.synthetic.generate import COLUMNS, END, SPAN, generate_rows
from tests.support.input.generated_csv import csv_text

DAY_MS = 86_400_000


def table(count: int, seed: int, **options: Any) -> list[tuple[Any, ...]]:
    return [
        row
        for rows in generate_rows(count, seed, **options)
        for row in zip(*(getattr(rows, name) for name in COLUMNS), strict=True)
    ]


@given(st.integers(0, 300), st.integers(-5, 2**70), st.integers(1, 400))
def test_the_same_seed_makes_the_same_views_in_any_chunks(count: int, seed: int, chunk_rows: int) -> None:
    rows = table(count, seed)
    assert len(rows) == count
    assert table(count, seed, chunk_rows=chunk_rows) == rows


@pytest.mark.parametrize(
    ("seed", "sha256"),
    [
        (0, "a90c4884c0d97bd585c0fb2605c18781640cb81b7ebc363d583372aaf94d9d79"),
        (1, "fc40edc1a253ff5acd449e74a98e561f5818268d976571a05156cf387160f368"),
        (7, "7f19da2b58cfe859359826f1de325d7dcf2abd89cec414fe42ab6607f8cfc0c0"),
    ],
)
def test_a_seed_makes_the_same_bytes_in_every_version(seed: int, sha256: str) -> None:
    _, _, text = csv_text(generate_rows(25_000, seed)).partition("\n")
    assert hashlib.sha256(text.encode()).hexdigest() == sha256


def test_another_seed_makes_other_views() -> None:
    assert table(100, 1) != table(100, 2)


@given(st.integers(1, 500), st.integers(0, 99), st.timedeltas(timedelta(seconds=1), timedelta(days=900)))
def test_they_stand_in_time_order_within_the_span(count: int, seed: int, span: timedelta) -> None:
    times = [row[4] for row in table(count, seed, span=span)]
    end_ms = round(END.timestamp() * 1_000)
    assert times == sorted(times)
    assert end_ms - span / timedelta(milliseconds=1) - 1 <= times[0]
    assert times[-1] <= end_ms


def test_all_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text(csv_text(generate_rows(20_000, 3)))
    with ViewsFile(path) as file:
        chunks = list(file.chunks(3_600_000))
    assert sum(map(len, chunks)) == 20_000
    assert [row for chunk in chunks for row in chunk.refused] == []


def test_csv_holds_the_same_rows() -> None:
    _, *parsed = csv.reader(io.StringIO(csv_text(generate_rows(500, 5)), newline=""))
    assert parsed == [["" if cell is None else str(cell) for cell in row] for row in table(500, 5)]


def test_they_look_real() -> None:
    rows = table(40_000, 7)
    assert len({row[2] for row in rows}) == 12
    films = Counter(row[0] for row in rows).most_common()
    assert len(films) > 300
    assert films[0][1] > 20 * films[len(films) // 2][1] / 2
    users = Counter(row[3] for row in rows)
    assert max(users.values()) > 50
    assert sum(views <= 3 for views in users.values()) > 50
    hours = Counter(row[4] // 3_600_000 % 24 for row in rows)
    assert hours.most_common(1)[0][0] == 20
    assert hours[20] > 10 * hours[4]
    for column, lowest, highest in ((5, 0.2, 0.4), (6, 0.01, 0.05), (7, 0.5, 0.7)):
        assert lowest < sum(row[column] is None for row in rows) / len(rows) < highest


def test_ratings_go_with_the_film() -> None:
    films = catalogue()
    best, worst = films.quality.argmax(), films.quality.argmin()
    rows = table(100_000, 2)
    means = []
    for film in (best, worst):
        stars = [row[5] for row in rows if row[0] == films.movie_id[film] and row[5] is not None]
        means.append(sum(stars) / len(stars))
    assert means[0] > means[1] + 1


def test_users_watch_on_in_sessions() -> None:
    by_user: dict[str, list[int]] = {}
    for row in table(5_000, 4):
        by_user.setdefault(row[3], []).append(row[4])
    near = sum(later - sooner < 4 * 3_600_000 for times in by_user.values() for sooner, later in pairwise(times))
    assert near > 1_000


def test_another_span() -> None:
    times = [row[4] for row in table(10, 0, end=datetime(2030, 1, 1, tzinfo=UTC), span=SPAN)]
    assert times[0] // DAY_MS == datetime(2029, 12, 30, tzinfo=UTC).timestamp() // 86_400


@pytest.mark.parametrize("count", [0, 1])
def test_few(count: int) -> None:
    assert len(table(count, 0)) == count


# ---- other films -----------------------------------------------------------------------------------------------------


def films(*weights: float) -> Catalogue:
    """A film for each weight; the first has all that can be known of a film, the others nothing."""
    count = len(weights)
    unknown = [math.nan] * (count - 1)
    return Catalogue(
        movie_id=[f"m,{number}" for number in range(count)],
        title=[f'A "{number}"\nand more' for number in range(count)],
        genre=["Drama"] * count,
        popularity=cumulative(weights),
        quality=np.array([4.0, *unknown]),
        minutes=np.array([90, *[0] * (count - 1)]),
        price=np.array([2.5, *unknown]),
    )


@pytest.mark.parametrize("count", [1, 400, 788, 789, 100_000])
def test_as_many_films_as_wanted_each_with_a_title_of_its_own(count: int) -> None:
    films = catalogue(count)
    assert len(set(films.movie_id)) == len(set(films.title)) == len(films.genre) == count
    assert max(map(len, films.title)) < 100
    assert films.popularity[-1] == 1


def test_unknown_facts_of_a_film_are_not_made_up() -> None:
    rows = table(4_000, 1, films=films(1, 1))
    for column in (5, 6, 7):
        known = [row[column] is not None for row in rows if row[0] == "m,0"]
        assert any(known)
        assert not any(row[column] is not None for row in rows if row[0] == "m,1")


def test_films_are_watched_by_their_weight() -> None:
    seen = Counter(row[0] for row in table(40_000, 1, films=films(0, 3, 1, 0)))
    assert set(seen) == {"m,1", "m,2"}
    assert 0.72 < seen["m,1"] / 40_000 < 0.78


def test_names_of_any_kind_survive_the_csv() -> None:
    _, *parsed = csv.reader(io.StringIO(csv_text(generate_rows(200, 5, films=films(1, 1, 1))), newline=""))
    assert [row[:3] for row in parsed] == [list(row[:3]) for row in table(200, 5, films=films(1, 1, 1))]


@pytest.mark.parametrize("users", [1, 3])
def test_as_many_users_as_wanted(users: int) -> None:
    assert {row[3] for row in table(1_000, 1, users=users)} == {f"user_{number:06d}" for number in range(users)}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50).filter(any))
def test_popularity_rises_to_1(weights: list[float]) -> None:
    popularity = cumulative(weights)
    assert popularity.tolist() == sorted(popularity)
    assert popularity[-1] == 1
    watched = np.searchsorted(popularity, np.linspace(0, 1, 1_000, endpoint=False), "right")
    assert all(weights[film] for film in watched.tolist())


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [1, math.nan], [math.inf]])
def test_weights_that_are_none(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="expected weights from 0 on, and one above 0"):
        cumulative(weights)
