"""Which copies of refused records are sent, and what a command makes of them."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest

from movie_stream.aggregates.accumulator import Rules
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.dead_letters.copies import ELSEWHERE, LATE, LEFT_OUT, NO_LINE, CopyChecker, changes_of, rewritten
from movie_stream.dead_letters.letters import Letter
from movie_stream.errors import UsageError

NOW_MS = 1_730_385_000_000
HOUR_MS = 3_600_000
HOME = int(partitions_of([b"u1"], 3)[0])


def view(**changes: object) -> bytes:
    event = {"movie_id": "m", "title": "T", "genre": "G", "user_id": "u1", "timestamp": NOW_MS} | changes
    return json.dumps(event).encode()


def letter(value: bytes | None, partition: int = HOME, key: bytes | None = b"u1", original: int = 5) -> Letter:
    return Letter(0, partition, original, original, NOW_MS, "bad", "why", 1, "topic", key, value)


def untold() -> None:
    raise AssertionError("it did not take long")


def judge(watermark_ms: int | None = None, misplaced: bool = False) -> CopyChecker:
    known = {} if watermark_ms is None else {HOME: watermark_ms}
    return CopyChecker(Rules(24 * HOUR_MS, HOUR_MS), 3, known, misplaced)


def sent(judge: CopyChecker, *letters: Letter) -> list[bytes]:
    return [copy.value for copy in judge.copies(letters, [letter.value for letter in letters], NOW_MS)]


def test_what_is_bad_or_late_is_not_sent_but_counted() -> None:
    strict = judge(NOW_MS)
    bad, ahead, late = view(rating=9), view(timestamp=NOW_MS + HOUR_MS + 1), view(timestamp=NOW_MS - 24 * HOUR_MS - 1)
    good = view(timestamp=NOW_MS - 24 * HOUR_MS)
    assert sent(strict, *map(letter, (bad, ahead, late, good, None))) == [good]
    assert strict.kept == {
        "rating: expected a number from 0 to 5, or null": 1,
        "timestamp: lies ... s after the record itself was written, more than the ... s of FUTURE_TOLERANCE": 1,
        LATE: 1,
        "no value: expected a JSON object": 1,
    }


def test_copies_move_the_watermark_that_those_after_them_will_find() -> None:
    newer, older = view(timestamp=NOW_MS), view(timestamp=NOW_MS - 25 * HOUR_MS)
    assert sent(judge(), letter(older), letter(newer)) == [older, newer]
    assert sent(judge(), letter(newer), letter(older)) == [newer]


def test_a_copy_stands_where_its_users_views_stand() -> None:
    other = (HOME + 1) % 3
    strict = judge()
    assert sent(strict, letter(view(), other, key=None), letter(view(), other, key=b"u2")) == []
    assert strict.kept == {ELSEWHERE: 2}
    assert sent(judge(), letter(view(), other, key=b"u1")) == [view()], "by another partitioner, with its user's views"
    assert sent(judge(misplaced=True), letter(view(), other, key=None)) == [view()]
    [copy] = judge().copies([letter(view(), key=None)], [view()], NOW_MS)
    assert copy.key == b"u1", "keyed by the user that it has now"


async def test_a_command_answers_a_line_for_each() -> None:
    kept = Counter[str]()
    script = "import sys\nfor line in sys.stdin: print('' if 'drop' in line else line.strip().upper())"
    values = [b'{"a": 1}', b'{\n"b":\n2.50}', b"not\nJSON", b'"drop"', None]
    letters = [letter(value, original=at) for at, value in enumerate(values)]
    passed, answers = await rewritten(f"{sys.executable} -c {shlex.quote(script)}", letters, kept, untold)
    assert [each.original for each in passed] == [0, 1, 4]
    assert answers == [b'{"A": 1}', b'{"B":2.50}', b"NULL"]
    assert kept == {NO_LINE: 1, LEFT_OUT: 1}
    assert await rewritten("exit 3", letters[2:3], kept, untold) == ([], []), "nothing to ask"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exit 3", "as many, got 'exit code 3'"),
        ("cat > /dev/null; echo too clever >&2; exit 4", "got 'exit code 4: too clever'"),
        ("head -n 1", "expected a command that answers the 2 lines it is given with as many, got '1 lines'"),
        ("cat; echo", "got '3 lines'"),
        ("no-such-command", "got 'exit code 127: "),
    ],
)
async def test_a_command_that_does_not_is_named(command: str, words: str) -> None:
    with pytest.raises(UsageError, match="--through: ") as refusal:
        await rewritten(command, [letter(b"1"), letter(b"2")], Counter(), untold)
    assert words in str(refusal.value)


@pytest.mark.parametrize("waits", ["exec sleep 60", "sleep 60 | cat"])
async def test_a_command_that_is_interrupted_ends(tmp_path: Path, waits: str) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    asking = asyncio.ensure_future(rewritten(f"echo > {begun}; {waits}", [letter(b"1")], Counter(), untold))
    assert await asyncio.to_thread(begun.read_text) == "\n"
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_somebody_is_told_of_a_command_that_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movie_stream.dead_letters.copies.SILENT_S", 0.01)
    begun, told = tmp_path / "begun", asyncio.Event()
    os.mkfifo(begun)
    asking = asyncio.ensure_future(rewritten(f"cat {begun}", [letter(b"1")], Counter(), told.set))
    await told.wait()
    await asyncio.to_thread(begun.write_text, "2\n")
    assert (await asking)[1] == [b"2"]


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (view(rating="4"), view(rating=4), [("rating", b'"4"', b"4", False)]),
        (view(rating=4), view(), [("rating", b"4", None, True)]),
        (view(rating=4), view(rating=None), [("rating", b"4", b"null", True)]),
        (view(rating=None), view(), [("rating", b"null", None, False)]),
        (view(device="TV"), view(), [("device", b'"TV"', None, False)]),
        (view(rating=4.0), view(rating=4), [("rating", b"4.0", b"4", False)]),
        (view(n=2**70), view(n=2**70), []),
        (b'{"a":1,"b":2}', b'{ "b": 2, "a": 1 }', []),
        (b"\xff", b"{}", [("record", b"\xff", b"{}", False)]),
        (None, b"{}", [("record", None, b"{}", False)]),
    ],
)
def test_what_a_command_has_changed(
    before: bytes | None, after: bytes, changes: list[tuple[str, bytes | None, bytes | None, bool]]
) -> None:
    found = changes_of(before, after)
    assert [(change.name, change.before, change.after, change.loses) for change in found] == changes
