"""`movie-stream dead-letters list`: the open dead letters, newest first."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from movie_stream.commands.dead_letters.common import Opened, footnotes, narrow_console, open_letters, progress_bar
from movie_stream.console import logs
from movie_stream.console.output import write_json
from movie_stream.dead_letters.letters import Letter, LetterFilter
from movie_stream.events.reasons import kind_of
from movie_stream.settings import Settings

_SHOWN_CHARACTERS: Final = 225
"""The most characters of a record or a reason: three lines."""
_INDENT: Final = (0, 0, 0, 4)
_LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""
_KIND_STYLES: Final = {"bad": "red", "late": "yellow"}


def list_letters(
    settings: Settings, wanted: LetterFilter, *, limit: int, by_reason: bool, as_json: bool, all_runs: bool
) -> None:
    """Prints the newest `limit` open letters (0: all), or their number by reason.

    Raises the errors of `open_letters`.
    """
    logs.leave_to_us()
    settings.require_broker()
    settings.require_mongodb()
    asyncio.run(_list(settings, wanted, limit, by_reason, as_json, all_runs))


async def _list(
    settings: Settings, wanted: LetterFilter, limit: int, by_reason: bool, as_json: bool, all_runs: bool
) -> None:
    async with open_letters(settings, wanted, all_runs) as found:
        total = sum(extent.end - extent.start for extent in found.extents)
        with progress_bar("reading", total) as bar:
            letters = _newest_first(found, wanted, bar)
            if by_reason:
                reasons = await _counted(letters)
                bar.stop()
                _print_reasons(reasons, as_json)
                none = not reasons
            else:
                none = not await _print_letters(letters, limit, as_json, bar)
        if not as_json:
            _print_end(found, settings.dead_letters_topic, none, by_reason, all_runs)


async def _newest_first(found: Opened, wanted: LetterFilter, bar: Progress) -> AsyncIterator[Letter]:
    """The letters of all partitions, merged by timestamp."""
    waiting = [(found.letters.newest_first(extent), deque[Letter]()) for extent in found.extents]
    while True:
        for blocks, ready in list(waiting):
            while not ready:
                block = await anext(blocks, None)
                bar.update(bar.task_ids[0], completed=found.letters.read)
                if block is None:
                    waiting.remove((blocks, ready))
                    break
                ready.extend(letter for letter in block if wanted.takes(letter))
        if not waiting:
            return
        yield max((ready for _, ready in waiting), key=lambda ready: ready[0].time_ms).popleft()


@dataclass(slots=True)
class _Reason:
    """The number of letters with one kind of reason."""

    kind: str
    reason: str
    letters: int
    newest: Letter


async def _counted(letters: AsyncIterator[Letter]) -> list[_Reason]:
    """The kinds of reasons, most letters first."""
    counted: dict[tuple[str, str], _Reason] = {}
    async for letter in letters:
        of = letter.kind, kind_of(letter.reason)
        counted.setdefault(of, _Reason(*of, 0, letter)).letters += 1
    return sorted(counted.values(), key=lambda reason: -reason.letters)


async def _print_letters(letters: AsyncIterator[Letter], limit: int, as_json: bool, bar: Progress) -> int:
    """Prints letters as they arrive; returns their number."""
    console, count = narrow_console(), 0
    async for letter in letters:
        count += 1
        bar.stop()
        if as_json:
            write_json(orjson.dumps(as_plain(letter)).decode())
        else:
            _print_letter(console, letter)
        if count == limit:
            break
    bar.stop()
    return count


def as_plain(letter: Letter) -> dict[str, Any]:
    """A letter for JSON: key and value as text if they are UTF-8, else in base64 under names that end in _base64."""
    return {
        "partition": letter.partition,
        "offset": letter.original,
        "time": f"{_time(letter):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        "kind": letter.kind,
        "reason": letter.reason,
        "run": letter.run,
        **_plain_bytes("key", letter.key),
        **_plain_bytes("value", letter.value),
        **({"truncated": letter.truncated} if letter.truncated is not None else {}),
        **({"truncated_key": letter.truncated_key} if letter.truncated_key is not None else {}),
    }


def _plain_bytes(name: str, value: bytes | None) -> dict[str, str | None]:
    r"""Bytes as text, or in base64.

    >>> _plain_bytes("key", b"u1"), _plain_bytes("key", b"\xff"), _plain_bytes("key", None)
    ({'key': 'u1'}, {'key_base64': '/w=='}, {'key': None})
    """
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


def shown_safely(value: bytes | None) -> str:
    r"""The beginning of a record without control characters, with its size if it is truncated.

    >>> shown_safely(b'{"title": "Alien\x1b[2J\xff"}'), shown_safely(None), shown_safely(b"x" * 1000)[-18:]
    ('{"title": "Alien\\x1b[2J\\xff"}', 'null', 'x... (1,000 bytes)')
    """
    if value is None:
        return "null"
    text = value[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(value):,} bytes)"


def _time(letter: Letter) -> datetime:
    """The letter's time, or the nearest that can be shown: a record may have any, even microseconds as milliseconds."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=min(max(letter.time_ms, 0), _LAST_MS))


def _print_letter(console: Console, letter: Letter) -> None:
    """Prints the letter's position; below that the reason, and the record."""
    head = Text(f"{_time(letter):%Y-%m-%d %H:%M:%S} UTC  ")
    head.append(f"{letter.partition}:{letter.original}", "bold cyan").append("  ")
    console.print(head.append(letter.kind, _KIND_STYLES[letter.kind]))
    console.print(Padding(Text(shown_safely(letter.reason.encode())), _INDENT))
    console.print(Padding(Text(shown_safely(letter.value), "dim", overflow="fold"), _INDENT))
    if not letter.is_whole:
        console.print(Padding(Text(cut_off(letter), "yellow"), _INDENT))


def cut_off(letter: Letter) -> str:
    """Describes what a truncated letter lacks, and where the whole record is."""
    parts = [
        f"the first {len(kept or b''):,} of {whole:,} bytes of its {name}"
        for name, kept, whole in (("key", letter.key, letter.truncated_key), ("value", letter.value, letter.truncated))
        if whole is not None
    ]
    return (
        f"cut off: {' and '.join(parts)}; the record stands whole in the source at {letter.partition}:{letter.offset}"
    )


def _print_reasons(reasons: Iterable[_Reason], as_json: bool) -> None:
    if as_json:
        for reason in reasons:
            plain = {"kind": reason.kind, "reason": reason.reason, "letters": reason.letters}
            write_json(orjson.dumps({**plain, "newest": as_plain(reason.newest)}).decode())
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    table.add_column("letters", justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("newest (UTC)", no_wrap=True)
    table.add_column("its place", no_wrap=True)
    for reason in reasons:
        table.add_row(
            f"{reason.letters:,}",
            Text(reason.kind, _KIND_STYLES.get(reason.kind, "")),
            Text(shown_safely(reason.reason.encode())),
            f"{_time(reason.newest):%Y-%m-%d %H:%M:%S}",
            f"{reason.newest.partition}:{reason.newest.original}",
        )
    if table.row_count:
        narrow_console().print(table)


def _print_end(found: Opened, topic: str, none: bool, by_reason: bool, all_runs: bool) -> None:
    """Prints the closing remarks."""
    console = Console(highlight=False, soft_wrap=True)
    if found.run is None:
        console.print("Nothing has been counted yet: movie-stream worker", markup=False)
    elif none:
        console.print(f"No dead letters of this kind in {topic}.", markup=False)
    elif not by_reason:
        console.print(Text("Newest first, each by partition:offset. For counts by reason: --by-reason", "dim"))
    for note in footnotes(found.letters, topic, all_runs):
        console.print(Text(note, "dim"))
