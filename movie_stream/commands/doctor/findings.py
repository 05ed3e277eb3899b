"""The findings of `movie-stream doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from movie_stream.errors import MovieStreamError, SettingMissing

_ANSWER_WITHIN_S: Final = 20.0

State = Literal["ok", "warn", "fail"]


class Row(NamedTuple):
    """The result of a check, and the remedy."""

    check: str
    state: State
    what: str
    remedy: str = ""


@dataclass
class Findings:
    """The findings so far, and `check`, the current check."""

    check: str
    rows: list[Row] = field(default_factory=list)

    def add(self, state: State, what: str, remedy: str = "") -> None:
        self.rows.append(Row(self.check, state, what, remedy))

    async def of(self, look: Coroutine[Any, Any, None], within_s: float = _ANSWER_WITHIN_S) -> list[Row]:
        """Runs `look`; returns all findings up to its first error, which is a finding too."""
        try:
            async with asyncio.timeout(within_s):
                await look
        except SettingMissing as error:
            self.add("fail", *str(error).split(": ", 1))
        except MovieStreamError as error:
            self.add("fail", *str(error).rsplit("; ", 1))
        except TimeoutError:
            self.add("fail", f"no answer within {within_s:.0f} s", "check whether the network lets it through")
        return self.rows
