"""Rows as Arrow's record batches, for Parquet and Delta Lake. pyarrow is an extra, and only imported when needed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal

from movie_stream.errors import MovieStreamError
from movie_stream.export.columns import ID, Column, Kind, Row, Rows, UnsupportedValue

Unit = Literal["ms", "us"]
_UTC: Final = "UTC"


class ExtraMissing(MovieStreamError):
    """A library of an extra is not installed.

    What to do: install the extra that is named.

    >>> str(ExtraMissing(what="Excel files", library="xlsxwriter", extra="xlsx"))
    "Excel files take xlsxwriter, which is not installed: pip install 'movie-stream[xlsx]'"
    """

    def __init__(self, *, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} take {library}, which is not installed: pip install 'movie-stream[{extra}]'")


class Batches:
    """Makes record batches of a result's rows. Raises ExtraMissing."""

    def __init__(self, columns: Sequence[Column], *, unit: Unit = "ms", extra: str = "parquet") -> None:
        """Times are in `unit`; Delta Lake supports microseconds only."""
        self.pyarrow = pyarrow(extra)
        self.columns = tuple(columns)
        types = {
            "time": self.pyarrow.timestamp(unit, tz=_UTC),
            "day": self.pyarrow.date32(),
            "count": self.pyarrow.int64(),
            "number": self.pyarrow.float64(),
            "text": self.pyarrow.string(),
        }
        self.schema = self.pyarrow.schema(
            [self.pyarrow.field(column.name, types[column.kind], nullable=column.name != ID) for column in columns]
        )

    def of(self, rows: Rows) -> Any:
        """The rows as one batch. Raises UnsupportedValue for a value of another kind."""
        arrays = [self._array(rows, column) for column in self.columns]
        return self.pyarrow.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _array(self, rows: Rows, column: Column) -> Any:
        kind = self.schema.field(column.name).type
        try:
            return self.pyarrow.array([_value(row, column) for row in rows], kind)
        except (self.pyarrow.ArrowException, OverflowError, TypeError, ValueError) as error:
            for row in rows:
                try:
                    self.pyarrow.array([_value(row, column)], kind)
                except (self.pyarrow.ArrowException, OverflowError, TypeError, ValueError):
                    raise odd(row, column.name, column.kind) from error
            raise


def _value(row: Row, column: Column) -> Any:
    """The value as Arrow accepts it. Raises TypeError, and ValueError for an invalid day."""
    value = row[column.name]
    return date.fromisoformat(value) if column.kind == "day" and value is not None else value


def odd(row: Any, field: str, kind: Kind) -> UnsupportedValue:
    """The error for a value that does not have its column's kind."""
    return UnsupportedValue(id=row[ID], field=field, kind=kind, got=row[field])


def pyarrow(extra: str) -> Any:
    """The library, with its modules `parquet` and `compute`. Raises ExtraMissing."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        what = "Delta Lake tables" if extra == "delta" else "Parquet files"
        raise ExtraMissing(what=what, library="pyarrow", extra=extra) from error
    return pyarrow
