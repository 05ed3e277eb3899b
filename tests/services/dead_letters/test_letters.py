"""The dead letters of a topic: each refused record once, as it stands now, from either end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.dead_letters import letters
from movie_stream.dead_letters.letters import Letter, LetterFilter, Letters, Scope, letter_of
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings

RUN = 7
TOPIC = "cluster/topic"


class Record:
    """A record of the letters' topic, as aiokafka has it."""

    def __init__(self, offset: int, headers: Iterable[tuple[str, bytes]], value: bytes | None = b"{}") -> None:
        self.offset, self.headers, self.value = offset, tuple(headers), value
        self.partition, self.timestamp, self.key = 0, 1_000 + offset, None


def said(
    kind: str, offset: int, original: int | None = None, run: int = RUN, topic: str = TOPIC, time: int = -1
) -> list[tuple[str, bytes]]:
    """The headers that a worker gives a letter."""
    told = {
        "kind": kind,
        "reason": f"because of {offset}",
        "source-topic": "movie-events",
        "source-topic-id": topic,
        "source-partition": "0",
        "source-offset": str(offset),
        "source-timestamp": str(time),
        "run": str(run),
    }
    headers = {**told, **({} if original is None else {"original-offset": str(original)})}
    return [(name, value.encode()) for name, value in headers.items()]


def test_what_a_worker_says() -> None:
    assert letter_of(Record(3, said("late", 5, time=9))) == Letter(
        3, 0, 5, 5, 9, "late", "because of 5", RUN, TOPIC, None, b"{}"
    )
    copy = letter_of(Record(3, said("bad", 8, original=5)))
    assert copy is not None
    assert (copy.original, copy.offset, copy.time_ms) == (5, 8, 1_003)


@pytest.mark.parametrize("wrong", ["kind", "reason", "source-offset", "source-timestamp", "source-topic-id", "run"])
def test_what_no_worker_says(wrong: str) -> None:
    headers = said("bad", 5)
    assert letter_of(Record(0, [pair for pair in headers if pair[0] != wrong])) is None
    assert letter_of(Record(0, [(name, b"\xff" if name == wrong else value) for name, value in headers])) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", b"good"),
        ("kind", None),
        ("reason", None),
        ("source-offset", b"-1"),
        ("source-offset", b"%d" % 2**63),
        ("source-offset", b"9" * 5_000),
        ("original-offset", b"-1"),
        ("original-offset", None),
        ("source-timestamp", b"%d" % 2**63),
    ],
)
def test_what_a_stranger_says(name: str, value: bytes | None) -> None:
    headers: list[tuple[str, Any]] = [*said("bad", 5, original=4), ("\\xff\\xfe", None)]
    assert letter_of(Record(0, headers)) is not None, "other headers do not matter"
    headers.append((name, value))
    assert letter_of(Record(0, headers)) is None


def opened(monkeypatch: pytest.MonkeyPatch, log: list[Record], scope: Scope) -> tuple[Letters, letters.Extent]:
    """The letters in a log in memory."""

    async def forwards(_: Any, place: object, start: int, end: int) -> Any:
        for at in range(start, end, 3):
            yield log[at : min(at + 3, end)]

    async def backwards(_: Any, place: object, start: int, end: int) -> Any:
        for at in range(end, start, -3):
            yield log[max(at - 3, start) : at][::-1]

    monkeypatch.setattr(letters, "oldest_first", forwards)
    monkeypatch.setattr(letters, "newest_first", backwards)
    nobody: Any = None
    return Letters(nobody, nobody, scope), letters.Extent(TopicPartition("letters", 0), 0, len(log))


steps = st.tuples(st.sampled_from(["refused", "copy refused", "counted", "again"]), st.integers(0, 4))


@given(st.lists(steps, max_size=20), st.data())
async def test_each_open_letter_once_whatever_was_written_twice(
    events: list[tuple[str, int]], data: st.DataObject
) -> None:
    """A log as workers write it: a suffix may stand twice, and a copy comes after its original's letter."""
    log = list[list[tuple[str, bytes]]]()
    newest, settled, at = dict[int, int](), set[int](), 10
    for event, original in events:
        at += 1
        if event == "refused":
            log.append(said("bad", original))
            newest.setdefault(original, original)
        elif original in newest and original not in settled:
            if event == "copy refused":
                newest[original] = at
            else:
                settled.add(original)
            log.append(said("late" if event == "copy refused" else event, at, original))
    if not any(event == "refused" and original in settled for event, original in events):
        log += log[data.draw(st.integers(0, len(log)), "again from") :]
    records = [Record(offset, headers) for offset, headers in enumerate(log)]
    wanted = {(original, offset) for original, offset in newest.items() if original not in settled}
    with pytest.MonkeyPatch.context() as patch:
        found, extent = opened(patch, records, Scope(TOPIC, RUN))
        forwards = [letter async for some in found.oldest_first(extent) for letter in some]
        assert {(letter.original, letter.offset) for letter in forwards} == wanted
        assert len(forwards) == len(wanted)
        assert [letter.at for letter in forwards] == sorted(letter.at for letter in forwards)


async def test_only_this_run_of_this_topic_and_what_a_worker_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    log = [
        Record(0, said("bad", 1, run=RUN - 1)),
        Record(1, said("bad", 2, topic="cluster/former")),
        Record(2, [("kind", b"bad")]),
        Record(3, said("bad", 3)),
        Record(4, said("bad", 3)),
        Record(5, said("late", 4)),
        Record(6, said("counted", 9, original=4)),
    ]
    for run, places, elsewhere in ((RUN, [3], 2), (None, [3, 1], 1)):
        found, extent = opened(monkeypatch, log, Scope(TOPIC, run))
        assert [letter.original async for some in found.newest_first(extent) for letter in some] == places
        assert (found.read, found.foreign, found.elsewhere) == (7, 1, elsewhere)
        found, extent = opened(monkeypatch, log, Scope(TOPIC, run))
        assert [letter.original async for some in found.oldest_first(extent) for letter in some] == places[::-1]
        assert (found.read, found.foreign, found.elsewhere) == (14, 1, elsewhere), "which reads all of it twice"


def test_a_selection() -> None:
    letter = letter_of(Record(3, said("bad", 120, time=1_730_385_000_000)))
    assert letter is not None
    half_past_two = datetime(2024, 10, 31, 14, 30, tzinfo=UTC)
    for taken in (
        LetterFilter(),
        LetterFilter(kind="bad", reason="BECAUSE"),
        LetterFilter(since=120, until=121),
        LetterFilter(since=half_past_two),
    ):
        assert taken.takes(letter), taken
    for passed in (
        LetterFilter(kind="late"),
        LetterFilter(reason="why"),
        LetterFilter(since=121),
        LetterFilter(until=120),
        LetterFilter(until=half_past_two),
    ):
        assert not passed.takes(letter), passed


async def test_extents_of_a_real_topic(settings: Settings) -> None:
    await topics.ensure(settings)
    producer = await client.start_producer(settings)
    await producer.send_and_wait(settings.dead_letters_topic, b"x", partition=1, headers=said("bad", 5))
    await producer.stop()
    async with client.reader(settings) as reader:
        found = Letters(settings, reader, Scope(TOPIC, RUN))
        [extent] = await found.extents(range(3))
        assert extent == letters.Extent(TopicPartition(settings.dead_letters_topic, 1), 0, 1)
        for reading in (found.newest_first(extent), found.oldest_first(extent)):
            assert [letter.partition async for some in reading for letter in some] == [1]
        assert await found.extents([0]) == []
