"""Copies of refused records: which of them would count now, and why the others would not.

This is a forecast, so that copies which would be refused again are not sent. The worker decides whether a copy counts,
from the log alone (aggregates/refused.py): an original and all its copies count at most once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from movie_stream.aggregates.accumulator import Rules
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.dead_letters.letters import Letter
from movie_stream.errors import UsageError
from movie_stream.events.contract import FIELD_RULES
from movie_stream.events.event import decode, replace_lone_surrogates
from movie_stream.events.reasons import kind_of

LATE: Final = "late: it would be late again, by ALLOWED_LATENESS"
ELSEWHERE: Final = "its user belongs into another partition; see --misplaced"
NO_LINE: Final = "no line to give to the command: it has line breaks and is no JSON"
GONE: Final = "cut off, since it was too large, and its record no longer stands in the source"
TOO_LARGE: Final = "too large for the topic of the views; see max.message.bytes"
LEFT_OUT: Final = "left out by the command"
RECORD: Final = "record"
"""The name of a change if the value before or after is not a JSON object."""
SILENT_S: Final = 10.0
"""The time after which a running command is reported."""
_COMPLAINT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Copy:
    """A record to send."""

    letter: Letter
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a member by a command; None: it is missing."""

    name: str
    before: bytes | None
    after: bytes | None

    @property
    def loses(self) -> bool:
        """Whether a field of a view has lost its value; the view may still count."""
        return self.name in FIELD_RULES and self.before not in _NOTHING and self.after in _NOTHING


_NOTHING: Final = (None, b"null")


def changes_of(before: bytes | None, after: bytes | None) -> list[Change]:
    """The members that differ, in their order.

    >>> changes_of(b'{"rating": "4.5", "a": 1}', b'{"a":1,"rating":4.5}')
    [Change(name='rating', before=b'"4.5"', after=b'4.5')]
    >>> [change.loses for change in changes_of(b'{"rating": 4, "a": 1}', b'{}')]
    [True, False]
    >>> changes_of(b"{", b"{ }"), changes_of(b'{"a": 1}', b'{"a":1}')
    ([Change(name='record', before=b'{', after=b'{ }')], [])
    """
    if before == after:
        return []
    old, new = _members(before), _members(after)
    if old is None or new is None:
        return [Change(RECORD, before, after)]
    names = dict.fromkeys((*old, *new))
    return [Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _members(value: bytes | None) -> Mapping[str, bytes] | None:
    """The members of a JSON object, each in its shortest form; None for anything else."""
    try:
        members = msgspec.json.decode(value or b"", type=dict[str, msgspec.Raw])
        return {name: _shortest(bytes(member)) for name, member in members.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _shortest(member: bytes) -> bytes:
    """The same value in its shortest form."""
    try:
        return msgspec.json.encode(msgspec.json.decode(member))
    except OverflowError:  # an integer beyond 64 bits
        return member


@dataclass(slots=True)
class CopyChecker:
    """Decides whether copies of letters, changed or not, would count; counts the reasons why not."""

    rules: Rules
    partitions: int
    """The number of partitions of the source topic."""
    watermarks_ms: dict[int, int]
    """The watermarks by partition; advanced by the copies that would count."""
    misplaced: bool
    """Whether views are also sent if their user belongs to another partition."""
    kept: Counter[str] = field(default_factory=Counter)
    """Letters without a copy, by kind of reason."""

    def copies(self, letters: Sequence[Letter], values: Sequence[bytes | None], now_ms: int) -> list[Copy]:
        """The copies that would count if they were sent at `now_ms`."""
        decoded = decode(values, [now_ms] * len(values), self.rules.future_tolerance_ms)
        self.kept.update(kind_of(refusal.reason) for refusal in decoded.refusals)
        keys = [view.user_id.encode() for view in decoded.views]
        homes = partitions_of(keys, self.partitions).tolist() if keys else []
        found = []
        rows = zip(decoded.index.tolist(), keys, homes, decoded.timestamp_ms.tolist(), strict=True)
        for index, key, home, timestamp_ms in rows:
            letter, value = letters[index], values[index]
            watermark_ms = self.watermarks_ms.get(letter.partition, timestamp_ms)
            if timestamp_ms < self.rules.oldest_in_time(watermark_ms):
                self.kept[LATE] += 1
            elif home != letter.partition and letter.key != key and not self.misplaced:
                self.kept[ELSEWHERE] += 1
            elif value is not None:
                self.watermarks_ms[letter.partition] = max(watermark_ms, timestamp_ms)
                found.append(Copy(letter, key, value))
        return found


async def rewritten(
    command: str, letters: Sequence[Letter], kept: Counter[str], silent: Callable[[], None]
) -> tuple[list[Letter], list[bytes | None]]:
    """Pipes the values of letters through a shell command: one JSON value per line in and out, in the same order.

    An empty line drops the letter; `kept` counts these, and values that do not fit into a line. `silent` is called if
    the command takes long. Raises UsageError if it fails or answers with another number of lines.
    """
    passed, lines = list[Letter](), list[bytes]()
    for letter in letters:
        line = _line(letter.value)
        if line is None:
            kept[NO_LINE] += 1
        else:
            passed.append(letter)
            lines.append(line + b"\n")
    if not lines:
        return [], []
    timer = asyncio.get_running_loop().call_later(SILENT_S, silent)
    try:
        process, (output, complaint) = await _asked(command, b"".join(lines))
    finally:
        timer.cancel()
    answers = output.split(b"\n")
    if answers[-1] == b"":
        answers.pop()
    if process.returncode or len(answers) != len(lines):
        words = complaint.decode("utf-8", "replace").strip()[-_COMPLAINT_CHARACTERS:]
        got = f"exit code {process.returncode}" if process.returncode else f"{len(answers):,} lines"
        raise UsageError(
            argument="--through",
            expected=f"a command that answers the {len(lines):,} lines it is given with as many",
            got=f"{got}: {words}" if words else got,
        )
    rows = np.flatnonzero([answer.strip() != b"" for answer in answers]).tolist()
    kept[LEFT_OUT] += len(lines) - len(rows)
    return [passed[row] for row in rows], [answers[row] for row in rows]


async def _asked(command: str, text: bytes) -> tuple[asyncio.subprocess.Process, tuple[bytes, bytes]]:
    """Runs a shell command; returns the ended process, its standard output and standard error. Cancelling kills it."""
    pipe = asyncio.subprocess.PIPE
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_shell(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    )
    try:
        process = await asyncio.shield(starting)  # a cancellation within would kill only the shell
        return process, await process.communicate(text)
    except BaseException:
        process = await starting
        if process.returncode is None:
            with contextlib.suppress(PermissionError):  # raised by macOS for a group of zombies
                os.killpg(process.pid, signal.SIGKILL)  # with all children of the shell
        await process.wait()
        raise


def _line(value: bytes | None) -> bytes | None:
    r"""The value as one line; None if that is impossible.

    >>> _line(b"{}"), _line(None), _line(b'{\n "a": 1.50 }'), _line(b"not\nJSON"), _line(b'{\n"a":"\\ud83d"}')
    (b'{}', b'null', b'{"a":1.50}', None, b'{ "a":"\\ud83d"}')
    """
    if value is None:
        return b"null"
    if b"\n" not in value:
        return value
    try:
        return msgspec.json.format(value, indent=-1)
    except msgspec.DecodeError:
        whole = replace_lone_surrogates(value)
    try:
        msgspec.json.format(whole)
    except msgspec.DecodeError:
        return None
    return value.replace(b"\n", b" ")  # JSON has line breaks between members only
