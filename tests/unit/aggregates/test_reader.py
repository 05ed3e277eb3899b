"""What the reader makes of a chunk is what event.decode makes of its records, whichever way they are read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.aggregates import vocabulary
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.local_time import LocalHours
from movie_stream.aggregates.reader import Reader
from movie_stream.aggregates.vocabulary import Names, Vocabulary
from movie_stream.columnar.spans import Spans
from movie_stream.events.chunk import Chunk, chunk_of
from movie_stream.events.contract import MISSING
from movie_stream.events.event import columns_of, decode
from movie_stream.events.plain_records import read_plain
from tests.support import reference
from tests.support.examples import examples
from tests.support.input import odd_records
from tests.support.input.odd_records import BLANKS, MEMBERS, NUMBERS, ORDERS, STRINGS, TIMESTAMPS, plain, written
from tests.support.simulation import merged

TOLERANCE_MS = 3_600_000
TIMES = (-1, -1, 1_730_383_200_000, 1_730_383_200_000 - TOLERANCE_MS, 0, 2**63 - 1, -(2**63))

View = tuple[int, str, str, str, str, int, int, int, int]


@lru_cache(1 << 14)
def decoded_alone(value: bytes | None, time_ms: int) -> tuple[str, str, str, str, int, int, int, int] | str:
    """The view of a record, without its offset, or the reason for its refusal; tests use the same records again."""
    decoded = decode([value], [time_ms], TOLERANCE_MS)
    for refusal in decoded.refusals:
        return refusal.reason
    [view] = decoded.views
    columns = columns_of([view])
    rating, duration, price = (int(columns.numbers[name][0]) for name in ("rating", "duration", "price"))
    genre = " ".join(view.genre.split())
    return (view.movie_id, view.title, genre, view.user_id, view.timestamp, rating, duration, price)


def by_decode(values: Sequence[bytes | None], times_ms: Sequence[int]) -> tuple[list[View], list[tuple[int, str]]]:
    views: list[View] = []
    refusals: list[tuple[int, str]] = []
    for at, (value, time_ms) in enumerate(zip(values, times_ms, strict=True)):
        found = decoded_alone(value, time_ms)
        if isinstance(found, str):
            refusals.append((at, found))
        else:
            views.append((at, *found))
    return views, refusals


class Reading:
    """A reader that lives through many chunks, as that of a partition does; `plain` if a kernel reads what it can."""

    def __init__(self, plain: bool = True) -> None:
        self.vocabulary, self.users = Vocabulary(), Names()
        self.reader = Reader(self.vocabulary, self.users, LocalHours("UTC"), TOLERANCE_MS, MISSING)
        self.plain = plain

    def chunk(self, values: Sequence[bytes | None], times_ms: Sequence[int]) -> Chunk:
        chunk = chunk_of(0, 0, values, times_ms)
        return replace(chunk, plain=read_plain(chunk.values) if self.plain else None)

    def read(self, values: Sequence[bytes | None], times_ms: Sequence[int]) -> tuple[list[View], list[tuple[int, str]]]:
        batch, refusals = self.reader.read(self.chunk(values, times_ms))
        users = [str(user or b"", "utf-8") for user in batch.names["user_id"]]
        films = [str(film or b"", "utf-8") for film in batch.names["movie_id"]]
        assert self.vocabulary.movies.texts(batch.ids["movie_id"]) == films
        self.reader.add_users(batch)
        assert self.users.texts(batch.ids["user_id"]) == users
        shown = self.vocabulary.spellings.texts(batch.ids["spelling"])
        assert self.vocabulary.slugs.texts(batch.ids["genre"]) == [genre.lower() for genre in shown]
        columns: list[list[Any]] = [
            batch.index.tolist(),
            self.vocabulary.movies.texts(batch.ids["movie_id"]),
            self.vocabulary.titles.texts(batch.ids["title"]),
            shown,
            users,
            batch.timestamp_ms.tolist(),
            *(batch.numbers[name].tolist() for name in ("rating", "duration", "revenue")),
        ]
        return list(zip(*columns, strict=True)), [(refusal.index, refusal.reason) for refusal in refusals]

    def check(self, values: Sequence[bytes | None], times_ms: Sequence[int] | None = None) -> None:
        """Whether the values are read as record by record they would be."""
        times_ms = [-1] * len(values) if times_ms is None else times_ms
        assert self.read(values, times_ms) == by_decode(values, times_ms)


def test_good_views_are_plain() -> None:
    values = [plain(order, BLANKS[number % 3], number) for number in range(200) for order in ORDERS[:5]]
    assert read_plain(Spans.of(values))[1].all(), "or the tests of this file try nothing"
    Reading().check(values)


@settings(max_examples=examples(30))
@given(
    st.lists(odd_records.chunks, min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_a_batch_equals_its_records_decoded_one_by_one(
    chunks: list[list[bytes | None]], warmed: bool, by_kernel: bool, rng: Any
) -> None:
    reading = Reading(by_kernel)
    if warmed:
        order, blanks = rng.choice(ORDERS), rng.choice(BLANKS)
        reading.check([plain(order, blanks, number) for number in range(40)])
    for values in chunks:
        reading.check(values, [rng.choice(TIMES) for _ in values])
    everything = [value for values in chunks for value in values]
    rng.shuffle(everything)
    reading.check(everything)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("blanks", BLANKS)
def test_every_odd_value_at_every_place(order: tuple[str, ...], blanks: tuple[str, str, str]) -> None:
    """Each among good records of its own layout; twice, as the second time their names may be known."""
    reading = Reading()
    good = [plain(order, blanks, number) for number in range(40)]
    members = {
        name: (b"m1", b"Alien", b"Drama", b"u1", b"1730383200000", b"4", b"30", b"1.5")[MEMBERS.index(name)]
        for name in order
    }
    texts = frozenset(MEMBERS[:4])
    odd = [
        written([*(members | {name: value}).items()], blanks)
        for name in order
        for value in (STRINGS if name in texts else TIMESTAMPS if name == "timestamp" else NUMBERS)
    ]
    odd += [  # a string where there should be a number, and the other way round
        written([*(members | {name: members[other]}).items()], blanks, texts ^ {name})
        for name in order
        for other in order
    ]
    reading.check(good)
    for _ in range(2):
        reading.check([*odd, *good])
        reading.check([value for pair in zip(odd, odd[::-1], strict=True) for value in pair])


def test_a_name_that_only_an_escape_can_write_is_not_taken_for_its_bytes() -> None:
    r"""What the decoder read from `a\\b` is the name `a\b`, whose bytes in a record would be an escape."""
    reading = Reading()
    good = [plain(number=number) for number in range(40)]
    reading.check(good)
    for name in MEMBERS[:4]:
        for escaped, raw in ((rb"a\\b", rb"a\b"), (rb"a\n", b"a\n"), (rb"\"", b'"'), (rb"\\u0041", rb"\u0041")):
            values = []
            for text in (escaped, raw, escaped):
                member = {"movie_id": b"m0", "title": b"Film 0", "genre": b"Sci-Fi", "user_id": b"user_0"}[name]
                values.append(
                    good[0].replace(b'"%s":"%s"' % (name.encode(), member), b'"%s":"%s"' % (name.encode(), text))
                )
            assert len({*values, good[0]}) == 3
            for value in values:
                reading.check([value, *good])
                reading.check([value] * 40)


@pytest.mark.parametrize("by_kernel", [True, False])
def test_genres_are_forgotten_and_come_again(monkeypatch: pytest.MonkeyPatch, by_kernel: bool) -> None:
    monkeypatch.setattr(vocabulary, "GENRES_KEPT", 5)
    reading = Reading(by_kernel)
    for at in range(0, 60, 3):
        spelt = [b"  " * (number % 5) + b"Genre  %d" % (number % 11) for number in range(at, at + 12)]
        reading.check([plain(number=number).replace(b"Sci-Fi", genre) for number in range(40) for genre in spelt])
        assert len(reading.vocabulary._genres) <= 5 + 12 + 2
    assert len(reading.vocabulary.slugs) == 11 + 2


@settings(max_examples=examples(15))
@given(st.lists(odd_records.chunks, max_size=2), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_documents_are_those_of_the_reference_however_it_is_cut_and_read(
    chunks: list[list[bytes | None]], cuts: list[int]
) -> None:
    values = [value for chunk in chunks for value in chunk]
    values = [*values, *(plain(number=number) for number in range(40)), *values]
    records: list[reference.Record] = [(at, None, value) for at, value in enumerate(values)]
    wanted = reference.expected([records])
    found = []
    for by_kernel in (True, False):
        state, reading, letters, at = Accumulator(0, 1, Rules()), Reading(by_kernel), [], 0
        for size in (*cuts, len(values)):
            part = reading.chunk(values[at : at + size], [-1] * len(values[at : at + size]))
            letters += state.apply(replace(part, start=at, end=at + len(part), offsets=part.offsets + at))
            at += len(part)
        assert {(0, letter.offset, letter.kind) for letter in letters} == wanted.dead_letters
        found.append(([(letter.offset, letter.reason) for letter in letters], documents(state.partials(1))))
    assert found[0] == found[1]
    assert reference.same(found[0][1], wanted.documents) == []


def documents(partials: list[tuple[int, bytes]]) -> reference.Documents:
    return merged([message for _, message in partials], 1, random.Random(0))
