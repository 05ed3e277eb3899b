"""The model in the format of Power BI Desktop's projects: text files in TMDL."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent
from typing import Final

from bi.source import measures, power_query
from bi.source.model import DATES, GENRES, MEASURES, Column, Table, Type, relationships

_DATA_TYPES: Final[dict[Type, str]] = {
    "text": "string",
    "int64": "int64",
    "double": "double",
    "datetime": "dateTime",
    "date": "dateTime",
}
_FORMATS: Final[dict[Type, str]] = {"datetime": "yyyy-mm-dd hh:nn", "date": "yyyy-mm-dd", "int64": "0"}


def files(tables: list[Table]) -> dict[str, str]:
    """All files of the model, by path in the folder `definition`."""
    made = {
        "database.tmdl": "database\n\tcompatibilityLevel: 1600\n",
        "model.tmdl": _model(tables),
        "expressions.tmdl": "\n".join(_parameters()),
        "relationships.tmdl": "\n".join(_relationships(tables)),
        f"tables/{MEASURES}.tmdl": _measures(),
        f"tables/{DATES}.tmdl": _dates(),
        f"tables/{GENRES}.tmdl": _genres(),
    }
    return made | {f"tables/{table.name}.tmdl": _table(table) for table in tables}


def _model(tables: list[Table]) -> str:
    names = [MEASURES, DATES, GENRES, *(table.name for table in tables)]
    references = "".join(f"ref table {name}\n" for name in names)
    return (
        "model Model\n"
        "\tculture: en-US\n"
        "\tdefaultPowerBIDataSourceVersion: powerBI_V3\n"
        "\tsourceQueryCulture: en-US\n"
        "\n"
        "annotation __PBI_TimeIntelligenceEnabled = 0\n\n" + references
    )


def _parameters() -> Iterator[str]:
    for name, (_, _, description) in power_query.PARAMETERS.items():
        yield f"/// {_sentence(description)}\nexpression {name} = {power_query.parameter(name)}\n"


def _relationships(tables: list[Table]) -> Iterator[str]:
    for joined in relationships(tables):
        yield (
            f"relationship {joined.table}_{joined.to}\n"
            f"\tfromColumn: {joined.table}.{joined.column}\n"
            f"\ttoColumn: {joined.to}.{joined.to_column}\n"
        )


def _table(table: Table) -> str:
    columns = "\n".join(_column(column) for column in table.columns)
    return _of(table.name, table.description, columns, power_query.query(table))


def _dates() -> str:
    columns = []
    for name, kind in power_query.DATE_COLUMNS:
        more = "\tisKey\n" if name == "Date" else "\tsortByColumn: 'Weekday Number'\n" if name == "Weekday" else ""
        columns.append(_column(Column(name, kind, hidden=name == "Weekday Number"), more))
    body = "\n".join(columns)
    return _of(DATES, power_query.SAYS[DATES], f"\tdataCategory: Time\n\n{body}", power_query.dates())


def _genres() -> str:
    columns = "\n".join([_column(Column("slug", "text", hidden=True), "\tisKey\n"), _column(Column("genre", "text"))])
    return _of(GENRES, power_query.SAYS[GENRES], columns, power_query.genres())


def _measures() -> str:
    made = []
    for measure in measures.ALL:
        head = f"\tmeasure '{measure.name}' ="
        lines = measure.lines
        body = f"{head} {lines}\n" if "\n" not in lines else f"{head}\n{indent(lines, chr(9) * 3)}\n"
        shown = f"\t\tformatString: {measure.format}\n" if measure.format else ""
        made.append(f"\t/// {measure.description}\n{body}{shown}\t\tdisplayFolder: {measure.folder}\n")
    column = _column(Column("placeholder", "text", hidden=True))
    body = "\n".join(made)
    return _of(MEASURES, power_query.SAYS[MEASURES], f"{body}\n{column}", power_query.measures())


def _column(column: Column, more: str = "") -> str:
    name = f"'{column.name}'" if " " in column.name else column.name
    lines = [f"/// {column.description}\n"] * bool(column.description)
    lines += [f"column {name}\n", f"\tdataType: {_DATA_TYPES[column.type]}\n"]
    lines += ["\tisHidden\n"] * column.hidden
    lines += [f"\tformatString: {shown}\n" for shown in [_FORMATS.get(column.type)] if shown]
    lines += [more, f"\tsummarizeBy: {'sum' if column.additive else 'none'}\n", f"\tsourceColumn: {column.name}\n"]
    return indent("".join(lines), "\t")


def _of(name: str, description: str, body: str, query: str) -> str:
    """A table: its description, its columns or measures, and the query that loads it."""
    loaded = f"\tpartition {name} = m\n\t\tmode: import\n\t\tsource =\n{indent(query, chr(9) * 4)}"
    return f"/// {_sentence(description)}\ntable {name}\n\n{body}\n{loaded}"


def _sentence(description: str) -> str:
    return f"{description[:1].upper()}{description[1:]}."
