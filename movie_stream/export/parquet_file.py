"""Writes Parquet: times in milliseconds (UTC), 64-bit integers, doubles and strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO, Final

from movie_stream.export.arrow import Batches
from movie_stream.export.columns import Column, Rows

ROW_GROUP: Final = 100_000
"""Rows of a row group: few enough to hold in memory, enough to be read fast."""


class ParquetFile:
    """Writes row groups of ROW_GROUP rows, compressed by zstd. Raises ExtraMissing."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self._batches = Batches(columns)
        self._waiting: list[Any] = []
        self._rows = 0
        parquet = self._batches.pyarrow.parquet
        self._writer = parquet.ParquetWriter(file, self._batches.schema, compression="zstd")

    def write(self, rows: Rows) -> None:
        """Adds the rows. Raises UnsupportedValue."""
        self._waiting.append(self._batches.of(rows))
        self._rows += len(rows)
        if self._rows >= ROW_GROUP:
            self._write_group()

    def finish(self) -> None:
        """Writes the last row group and the footer."""
        if self._rows:
            self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """Leaves the file incomplete, and discards unwritten rows."""
        self._writer.is_open = False  # else it would complete the file when garbage-collected

    def _write_group(self) -> None:
        table = self._batches.pyarrow.Table.from_batches(self._waiting)
        self._writer.write_table(table, row_group_size=self._rows)
        self._waiting, self._rows = [], 0
