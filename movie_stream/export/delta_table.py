"""A Delta Lake table that mirrors the rows of one result by MERGE, so that only differences are written.

The rows arrive in slices, each covering a range of time (without time: of `_id`s) completely. A slice is merged by
`_id` in one commit: new rows are inserted, different ones updated, and rows that MongoDB no longer has in this range,
as after a rebuild, deleted. Without differences there is no new version. If another writer committed since the table
was opened, Merged.overtaken is true: the rows may be older than the table's, and delta_mirror.py reads them a second
time.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from movie_stream.aggregates.shape import Shape
from movie_stream.export.arrow import Batches, ExtraMissing, odd
from movie_stream.export.columns import ID, Row, Rows, columns_of, name_of
from movie_stream.export.delta_path import TableDiffers, check_path, failed
from movie_stream.export.delta_scope import Scope, day_column, literal, quoted

_MOST_FILES: Final = 24
"""A day with more files than this is compacted."""
_GONE: Final = "movie_stream_gone"
_CREATED_BY: Final = "movie-stream export of {}"


@dataclass(slots=True)
class Merged:
    """The changes of a merge."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    overtaken: bool = False
    """Whether another writer committed since the table was opened, so that the rows may be older than the table's."""

    def add(self, other: Merged) -> None:
        self.inserted += other.inserted
        self.updated += other.updated
        self.deleted += other.deleted

    @property
    def any(self) -> bool:
        """Whether anything was changed."""
        return bool(self.inserted or self.updated or self.deleted)


class MirrorTable:
    """The table at a path, created if there is nothing yet.

    Raises ExtraMissing; TableDiffers if there is something else; TableDamaged and ExportFailed.
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        self._deltalake = _deltalake()
        self.path, self.shape = path, shape
        columns = columns_of(shape)
        self.day = day_column(columns) if shape.start else None
        self._batches = Batches(columns, unit="us", extra="delta")
        pyarrow = self._pyarrow = self._batches.pyarrow
        day = [pyarrow.field(self.day, pyarrow.date32())] if self.day else []
        self._schema = pyarrow.schema([*self._batches.schema, *day])
        self._table = self._opened()

    @property
    def version(self) -> int:
        """The table's last version, from 0."""
        return int(self._table.version())

    def count(self, scope: Scope) -> int:
        """The number of the table's rows in the scope. Raises ExportFailed."""
        found = self._query(f"SELECT count(*) AS rows FROM mirror WHERE {scope.condition(self.shape, self.day)}")
        return int(found.column("rows")[0].as_py())

    def renew(self) -> None:
        """Opens the table's last version. Raises TableDiffers, TableDamaged and ExportFailed."""
        self._table = self._opened()

    def merge(self, rows: Rows, scope: Scope) -> Merged:
        """Replaces the table's rows in this scope with these rows, unless another writer committed first.

        Then Merged.overtaken is true.

        Raises UnsupportedValue, TableDamaged and ExportFailed.
        """
        source, before = self._source(rows), self.version
        try:
            merged = self._merged(source, scope)
            commits = int(merged.any)
            if merged.any:
                commits += self._compact(source)
        except self._deltalake.exceptions.CommitFailedError:
            return Merged(overtaken=True)
        except (self._deltalake.exceptions.DeltaError, self._pyarrow.ArrowException, OSError) as error:
            raise failed(self.path, error) from error
        merged.overtaken = self.version != before + commits  # also by a commit in which the library saw no conflict
        return merged

    def _opened(self) -> Any:
        """The table's present version, checked to be one of this result."""
        path = self.path
        try:
            check_path(path)
            if not self._deltalake.DeltaTable.is_deltatable(str(path)):
                if path.is_dir() and any(path.iterdir()):
                    raise TableDiffers(path=path, why="it is no Delta Lake table, and not empty")
                self._create()
            table = self._deltalake.DeltaTable(str(path))
        except (self._deltalake.exceptions.DeltaError, OSError) as error:
            raise failed(path, error) from error
        self._check(table)
        return table

    def _create(self) -> None:
        name = name_of(self.shape)
        self._deltalake.DeltaTable.create(
            str(self.path),
            self._schema,
            mode="ignore",  # another export may create it concurrently
            partition_by=[self.day] if self.day else None,
            name=name,
            description=_CREATED_BY.format(name),
        )

    def _check(self, table: Any) -> None:
        """Raises TableDiffers unless the table is one of this result, with these columns."""
        name, metadata = name_of(self.shape), table.metadata()
        if metadata.name != name:
            whose = "of nobody's name" if metadata.name is None else f"of {metadata.name}"
            raise TableDiffers(path=self.path, why=f"it is a table {whose}, not of {name}")
        there = {field.name: str(field.type) for field in self._pyarrow.schema(table.schema().to_arrow())}
        for field in self._schema:
            if (got := there.pop(field.name, "nothing")) != str(field.type):
                why = f"its column {field.name} is another: expected {field.type}, got {got}"
                raise TableDiffers(path=self.path, why=why)
        if there:
            raise TableDiffers(path=self.path, why=f"it has a column {next(iter(there))} that {name} has not")
        if list(metadata.partition_columns) != ([self.day] if self.day else []):
            raise TableDiffers(path=self.path, why=f"it is partitioned by {metadata.partition_columns}")

    def _source(self, rows: Rows) -> Any:
        """The rows with the day, and a column that marks them as present."""
        batch = self._batches.of(rows)
        arrays = list(batch.columns)
        if self.day:
            days = [self._day_of(row) for row in rows]
            arrays.append(self._pyarrow.array(days, self._pyarrow.date32()))
        there = self._pyarrow.array([False] * len(rows), self._pyarrow.bool_())
        return self._pyarrow.Table.from_arrays([*arrays, there], schema=self._merge_schema())

    def _day_of(self, row: Row) -> Any:
        start = row[str(self.shape.start)]
        if not isinstance(start, datetime):
            raise odd(row, str(self.shape.start), "time")
        return start.date()  # aware, and in UTC

    def _merge_schema(self) -> Any:
        fields = [self._pyarrow.field(field.name, field.type) for field in self._schema]
        return self._pyarrow.schema([*fields, self._pyarrow.field(_GONE, self._pyarrow.bool_())])

    def _merged(self, source: Any, scope: Scope) -> Merged:
        source = self._pyarrow.concat_tables([source, self._gone(source, scope)])
        if not source.num_rows:
            return Merged()
        self._require_space(source.nbytes)
        merger = self._table.merge(
            source,
            self._same(source),
            source_alias="s",
            target_alias="t",
            streamed_exec=False,
            commit_properties=self._deltalake.CommitProperties(max_commit_retries=0),
        )
        names = [field.name for field in self._schema]
        differs = " OR ".join(f"(t.{quoted(name)} IS DISTINCT FROM s.{quoted(name)})" for name in names)
        values = {quoted(name): f"s.{quoted(name)}" for name in names}
        done = (
            merger.when_matched_delete(f"s.{_GONE}")
            .when_matched_update(values, f"(NOT s.{_GONE}) AND ({differs})")
            .when_not_matched_insert(values, f"NOT s.{_GONE}")
            .execute()
        )
        inserted, updated, deleted = (
            int(done[f"num_target_rows_{what}"]) for what in ("inserted", "updated", "deleted")
        )
        return Merged(inserted, updated, deleted)

    def _require_space(self, size_bytes: int) -> None:
        """Raises ExportFailed if the disk lacks room even for the rows' size in memory, where they are compressed.

        On a full disk, the library would print many lines of its own.
        """
        free = shutil.disk_usage(self.path).free
        if free < size_bytes:
            raise failed(self.path, OSError(f"No space left on device: {free:,} bytes are free of {size_bytes:,}"))

    def _gone(self, source: Any, scope: Scope) -> Any:
        """The ids of the rows that the table has in the scope and the source does not."""
        names = [ID, *([self.day] if self.day else [])]
        listed = ", ".join(quoted(name) for name in names)
        there = self._query(f"SELECT {listed} FROM mirror WHERE {scope.condition(self.shape, self.day)}")
        wanted = set(source.column(ID).to_pylist())
        rows = zip(*(there.column(name).to_pylist() for name in names), strict=True)
        gone = [row for row in rows if row[0] not in wanted]
        columns = dict(zip(names, zip(*gone, strict=True), strict=False)) | {_GONE: [True] * len(gone)}
        schema = self._merge_schema()
        return self._pyarrow.Table.from_arrays(
            [self._pyarrow.array(columns.get(field.name, [None] * len(gone)), field.type) for field in schema],
            schema=schema,
        )

    def _same(self, source: Any) -> str:
        """The join condition of source and table; it lists the days, for partition pruning."""
        same = f"t.{quoted(ID)} = s.{quoted(ID)}"
        if not self.day:
            return same
        days = self._pyarrow.compute.min_max(source.column(self.day))
        first, last = days["min"].as_py(), days["max"].as_py()
        day = quoted(self.day)
        return f"{same} AND t.{day} = s.{day} AND t.{day} >= {literal(first)} AND t.{day} <= {literal(last)}"

    def _compact(self, source: Any) -> int:
        """Compacts the days of the source that have very many files; returns the number of commits."""
        days = self._pyarrow.compute.unique(source.column(self.day)).to_pylist() if self.day else [None]
        commits = 0
        for day in days:
            filters = None if day is None else [(self.day, "=", day.isoformat())]
            if len(self._table.file_uris(file_pruning_predicate=filters)) <= _MOST_FILES:
                continue
            try:
                self._table.optimize.compact(partition_filters=filters)
                commits += 1
            except self._deltalake.exceptions.CommitFailedError:  # another export compacts it, or the next one does
                break
        return commits

    def _query(self, sql: str) -> Any:
        try:
            reader = self._deltalake.QueryBuilder().register("mirror", self._table).execute(sql)
            return self._pyarrow.table(reader)
        except (self._deltalake.exceptions.DeltaError, self._pyarrow.ArrowException, OSError) as error:
            raise failed(self.path, error) from error


def _deltalake() -> Any:
    try:
        import deltalake
        import deltalake.exceptions
    except ImportError as error:
        raise ExtraMissing(what="Delta Lake tables", library="deltalake", extra="delta") from error
    return deltalake
