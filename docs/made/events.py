"""What goes in: the fields of an event, and why a record is refused, as a worker finds it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from docs.made.markdown import MADE, block, plain, table
from movie_stream.aggregates.accumulator import Accumulator, DeadLetter, Rules
from movie_stream.aggregates.refused import replay_header
from movie_stream.events.chunk import chunk_of
from movie_stream.events.contract import FIELD_RULES, REQUIRED
from movie_stream.events.event import MAX_DEPTH
from movie_stream.events.reasons import kind_of

_TOPIC: Final = "cluster/topic"
_AT_MS: Final = 1_730_383_260_000
"""2024-10-31T14:01:00Z."""
EXAMPLE: Final[Mapping[str, object]] = {
    "movie_id": "tt0133093",
    "title": "The Matrix",
    "genre": "Sci-Fi",
    "user_id": "user_0007",
    "timestamp": _AT_MS,
    "rating": 4.5,
    "duration": 136,
    "price": 2.99,
}
HEADERS: Final = (
    ("kind", "`bad` or `late`; of a copy that was sent later also `counted` or `again`: what became of it"),
    ("reason", "why, in a sentence"),
    ("source-topic", "the topic of the record"),
    ("source-topic-id", "the identity of that topic, which another one of the same name does not have"),
    ("source-partition", "its partition, which the letter is in too"),
    ("source-offset", "its offset"),
    ("source-timestamp", "its Kafka timestamp, in Unix milliseconds; below 0 where it has none"),
    ("run", "in which run it was refused: `rebuild` begins another"),
    ("original-offset", "only of a copy: the offset of the record that it stands for"),
    ("truncated", "only where the letter's topic takes no more: the size in bytes of the whole value"),
    ("truncated-key", "the same of the key"),
)
"""The headers of a dead letter, as agents/accumulate.py and kafka/produce/large_records.py write them."""


class Case(NamedTuple):
    """A record that is refused, and what to do about such ones."""

    name: str
    value: bytes | None
    remedy: str
    record_ms: int = -1
    """Its Kafka timestamp."""
    replay_of: bytes | None = None
    before: bytes | None = None
    """What stands before it in the partition."""
    unreadable: str = ""
    """Why its batch cannot be read."""


def events() -> str:
    """The fields of an event."""
    return table(("field", "must be"), ((name, rule.words) for name, rule in FIELD_RULES.items()))


def cases() -> Iterator[Case]:
    """A record for each reason there is."""
    send = "Have the producer send one JSON object a record, in UTF-8"
    yield Case("no value", None, "Send a view in each record: the topic is not compacted, and a null deletes nothing.")
    yield Case("other bytes", b"\xff\xfe{}", f"{send}: this is another encoding.")
    yield Case("no JSON", b"movie_id=tt0133093", f"{send}.")
    yield Case("no object", b"[1]", f"{send}; a list of views is as many records.")
    yield Case("deep", b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "Leave out what is nested so deep.")
    for name, rule in FIELD_RULES.items():
        given = {**EXAMPLE, name: None}
        if name in REQUIRED:
            without = {field: value for field, value in EXAMPLE.items() if field != name}
            yield Case(f"without {name}", json.dumps(without).encode(), f"Send `{name}` with each view.")
            given[name] = "" if name != "timestamp" else "2024-10-31"
        else:
            given[name] = "good"
        yield Case(f"bad {name}", json.dumps(given).encode(), f"Send `{name}` as {rule.words}.")
    half = json.dumps({**EXAMPLE, "title": "?"}).encode().replace(b"?", rb"\ud83d")
    yield Case("half a surrogate pair", half, "Cut texts between characters, not within one.")
    huge = json.dumps({**EXAMPLE, "rating": "?"}).encode().replace(b'"?"', b"1e999")
    yield Case("no number", huge, "Send numbers that a double can hold.")
    ahead = "Set the producer's clock, or see whether it sends seconds or local time; else raise FUTURE_TOLERANCE and "
    yield Case("ahead", _view(_AT_MS + 7_200_000), ahead + "`movie-stream rebuild`.", record_ms=_AT_MS)
    late = "Send views sooner, or raise ALLOWED_LATENESS and `movie-stream rebuild`: then it counts."
    yield Case("late", _view(_AT_MS - 90_000_000), late, before=_view(_AT_MS))
    yield Case(
        "strange copy",
        _view(_AT_MS),
        "Send copies by `movie-stream dead-letters replay` alone, which writes this header.",
        replay_of=replay_header("cluster/other", 0, 0),
    )
    yield Case(
        "unreadable batch",
        None,
        "See that the producer's client compresses soundly; have it send these views again.",
        unreadable="its record batch, at offset 0, cannot be read: its compressed records cannot be unpacked",
    )


def letter_of(case: Case) -> DeadLetter:
    """The letter that a worker writes of it."""
    values = [case.value] if case.before is None else [case.before, case.value]
    at = len(values) - 1
    replays = {at: case.replay_of} if case.replay_of else {}
    chunk = chunk_of(0, 0, values, [case.record_ms] * len(values), replays=replays)
    chunk = replace(chunk, unreadable={at: case.unreadable} if case.unreadable else {})
    [letter] = Accumulator(0, 1, Rules(), topic=_TOPIC).apply(chunk)
    return letter


def _view(timestamp: int) -> bytes:
    return json.dumps({**EXAMPLE, "timestamp": timestamp}).encode()


def page() -> str:
    """The whole of events.md."""
    fields = (
        (f"`{name}`", "yes" if name in REQUIRED else "no", plain(rule.words), plain(rule.meaning))
        for name, rule in FIELD_RULES.items()
    )
    refused = ((case, letter_of(case)) for case in cases())
    reasons = ((f"`{kind_of(letter.reason)}`", letter.kind, plain(case.remedy)) for case, letter in refused)
    return (
        "# Events\n\n"
        "What a producer sends: one JSON object a record, in UTF-8, on the topic of KAFKA_TOPIC, keyed by `user_id`.\n"
        + MADE
        + block("json", json.dumps(EXAMPLE, indent=2))
        + "\n## Fields\n\n"
        + table(("field", "required", "must be", "means"), fields)
        + "\nA field that is not required may be null or absent. Other fields are ignored, whatever they hold; of a "
        "field that is given twice the last one counts.\n\n"
        "## Rules\n\n"
        "- All views of a user are in one partition: that of the hash murmur2 of the key, as the Java client and "
        "aiokafka have it by default. A worker warns where that is not so.\n"
        "- `timestamp` may lie FUTURE_TOLERANCE at most ahead of the Kafka timestamp of the record, and "
        "ALLOWED_LATENESS at most behind the newest view of its partition so far ([settings](settings.md)).\n"
        "- A view in a transaction counts once that is committed.\n"
        "- A record counts, or is refused with one reason. That depends on the log alone: counting it again gives the "
        "same.\n\n"
        "## Dead letters\n\n"
        "A record that is refused is written to the topic that is called as that of KAFKA_TOPIC with `-dead-letters` "
        "behind it, into the partition of the same number, with its key and value as they came, and these headers:\n\n"
        + table(("header", "holds"), ((f"`{name}`", plain(words)) for name, words in HEADERS))
        + "\n`movie-stream dead-letters list` shows them, and `movie-stream dead-letters replay` sends what has been "
        "mended ([commands](commands.md#dead-letters-list)).\n\n"
        "## Reasons\n\n"
        "Without what is different in every record, as `--by-reason`, `data_quality` and the metrics have them:\n\n"
        + table(("reason", "kind", "what to do"), reasons)
    )
