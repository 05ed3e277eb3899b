"""Made-up views by the user's options: how many, of which films, when, and with which faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from movie_stream.events.event import ENCODER, View
from movie_stream.replay.synthetic.catalogue import Catalogue, catalogue
from movie_stream.replay.synthetic.faults import Faults, FaultyRows
from movie_stream.replay.synthetic.generate import CHUNK_ROWS, COLUMNS, END, SPAN, GeneratedRows, generate_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticViews:
    """`count` views, spread over `span` up to `end`, always the same."""

    count: int
    seed: int = 0
    end: datetime = END
    span: timedelta = SPAN
    films: Catalogue | None = None
    """None: made-up films."""
    users: int | None = None
    """None: one for every ten views."""
    prices: bool = True
    """Whether views may have a price."""
    late: float = 0.0
    """The share of late views."""
    bad: float = 0.0
    """The share of damaged views."""

    @property
    def has_faults(self) -> bool:
        """Whether any views are to be late or damaged."""
        return self.late > 0 or self.bad > 0

    @property
    def begins_ms(self) -> int:
        """The oldest timestamp (ms) of a view that is not meant to be late."""
        return round((self.end - self.span).timestamp() * 1_000)

    @property
    def faults(self) -> Faults:
        """The faults to add to some of the views."""
        return Faults(self.late, self.bad, self.count, self.seed, self.span)

    def chunks(self, chunk_rows: int = CHUNK_ROWS) -> Iterator[FaultyRows]:
        """The views, `chunk_rows` at a time.

        >>> [(len(rows), len(rows.damages)) for rows in SyntheticViews(count=25, bad=1).chunks(10)]
        [(10, 10), (10, 10), (5, 5)]
        """
        films = catalogue() if self.films is None else self.films
        rows = generate_rows(
            *(self.count, self.seed),
            end=self.end,
            span=self.span,
            chunk_rows=chunk_rows,
            films=films if self.prices else films.without_prices(),
            users=self.users,
        )
        return self.faults.among(rows)


def csv_lines(rows: GeneratedRows, columns: int = len(COLUMNS)) -> list[bytes]:
    """The rows as lines of a CSV, without line breaks; the first `columns` of them."""
    return [line.encode() for line in rows.csv_lines(columns)]


def records(rows: GeneratedRows) -> list[bytes]:
    """The rows as records of the topic, in JSON."""
    return ENCODER.encode_lines(map(View, *rows.columns)).split(b"\n")[: len(rows)]
