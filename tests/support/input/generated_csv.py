"""Made-up views as the text of a CSV."""

from __future__ import annotations

from collections.abc import Iterable

from movie_stream.replay.synthetic.generate import COLUMNS, GeneratedRows


def csv_text(chunks: Iterable[GeneratedRows]) -> str:
    """The rows below a header."""
    return "".join(f"{line}\n" for line in [",".join(COLUMNS), *(line for rows in chunks for line in rows.csv_lines())])
