"""Made-up views written as Parquet."""

from __future__ import annotations

from typing import BinaryIO

from movie_stream.replay.files.parquet_file import pyarrow_for
from movie_stream.replay.synthetic.generate import COLUMNS, GeneratedRows


class ParquetWriter:
    """Writes views to a Parquet file; use it in a `with`. Raises ParquetMissing."""

    def __init__(self, file: BinaryIO, path: object, *, prices: bool) -> None:
        pyarrow = self._pyarrow = pyarrow_for(path)
        text, whole, decimal = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
        kinds = (text, text, text, text, whole, decimal, whole, decimal)
        self._fields = list(zip(COLUMNS, kinds, strict=True))[: len(COLUMNS) - (not prices)]
        self._schema = pyarrow.schema(self._fields)
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: GeneratedRows) -> None:
        """Writes these rows as one row group."""
        columns = [
            self._pyarrow.array(column, kind)
            for column, (_, kind) in zip(rows.columns[: len(self._fields)], self._fields, strict=True)
        ]
        self._writer.write_table(self._pyarrow.table(columns, schema=self._schema))
