"""The queries in Power Query M with which Power BI and Excel load the tables.

Steps that the feed can do come first, so that Power Query folds them into the request: the choice of columns and of a
range of time. Computed columns come after them.
"""

from __future__ import annotations

import json
from typing import Final

from bi.source.model import DATES, FEED, GENRES, MEASURES, Table, Type, source_of_days, source_of_genres

_M: Final[dict[Type, str]] = {
    "text": "type text",
    "int64": "Int64.Type",
    "double": "type number",
    "datetime": "type datetime",
    "date": "type date",
}
PARAMETERS: Final = {
    "Feed": (
        "Text",
        json.dumps(FEED),
        "the address of the OData feed of movie-stream serve, with the slash at its end",
    ),
    "RangeStart": ("DateTime", "#datetime(2000, 1, 1, 0, 0, 0)", "hours and minutes are loaded from here on, in UTC"),
    "RangeEnd": ("DateTime", "#datetime(2100, 1, 1, 0, 0, 0)", "hours and minutes are loaded up to here, in UTC"),
}
"""Name to type, value and meaning. RangeStart and RangeEnd have the names that incremental refresh looks for."""


def parameter(name: str) -> str:
    """A parameter as an expression."""
    kind, value, _ = PARAMETERS[name]
    return f'{value} meta [IsParameterQuery = true, Type = "{kind}", IsParameterQueryRequired = true]'


def query(table: Table) -> str:
    """The query that loads a table."""
    steps = _opened(table.name)
    last = "Rows"

    def then(name: str, expression: str) -> None:
        nonlocal last
        steps.append((name, expression))
        last = name

    if table.long:
        steps += [("From", "DateTime.AddZone(RangeStart, 0)"), ("Until", "DateTime.AddZone(RangeEnd, 0)")]
        then("Range", f"Table.SelectRows(Rows, each [{table.start}] >= From and [{table.start}] < Until)")
    read = [column for column in table.columns if column.read]
    fields = [column.name for column in read]
    if table.start and table.start not in fields:
        fields.append(table.start)
    then("Chosen", f"Table.SelectColumns({last}, {_list(fields)})")
    times = [name for name in fields if name == table.start or name in [c.name for c in read if c.type == "datetime"]]
    if times:
        utc = ", ".join(f'{{"{name}", {_UTC}, type datetime}}' for name in times)
        then("InUtc", f"Table.TransformColumns({last}, {{{utc}}})")
    if table.has("day"):
        then("WithDay", f'Table.AddColumn({last}, "day", each Date.From([{table.start}]), type date)')
    if table.has("hour_of_day"):
        hour = f"each Time.Hour(DateTime.Time([{table.start}]))"
        then("WithHour", f'Table.AddColumn({last}, "hour_of_day", {hour}, Int64.Type)')
    if any(column.name == "slug" and not column.read for column in table.columns):
        then("WithSlug", f'Table.AddColumn({last}, "slug", each Text.Lower([genre], "en-US"), type text)')
    if table.start and not table.has(table.start):
        then("WithoutStart", f'Table.RemoveColumns({last}, {{"{table.start}"}})')
    types = ", ".join(f'{{"{column.name}", {_M[column.type]}}}' for column in table.columns)
    then("Typed", f"Table.TransformColumnTypes({last}, {{{types}}})")
    return _let(steps)


_UTC: Final = "each if _ = null then null else DateTimeZone.RemoveZone(DateTimeZone.ToUtc(_))"


def dates() -> str:
    """The table of days: whole years without gaps, from the first day with views to the last, as time intelligence
    requires it.
    """
    made = [
        ("Year", "each Date.Year([Date])", "Int64.Type"),
        ("Quarter", 'each "Q" & Number.ToText(Date.QuarterOfYear([Date]))', "type text"),
        ("Month", 'each Date.ToText([Date], [Format = "yyyy-MM", Culture = "en-US"])', "type text"),
        ("Weekday Number", "each Date.DayOfWeek([Date], Day.Monday) + 1", "Int64.Type"),
        ("Weekday", 'each Date.ToText([Date], [Format = "dddd", Culture = "en-US"])', "type text"),
    ]
    steps = [
        *_opened(source_of_days()),
        ("Times", 'List.Buffer(Table.SelectColumns(Rows, {"timestamp"})[timestamp])'),
        ("Now", "DateTimeZone.UtcNow()"),
        ("ToDay", "(time) => Date.From(DateTimeZone.RemoveZone(DateTimeZone.ToUtc(time)))"),
        ("First", "Date.StartOfYear(ToDay(List.Min(Times, Now)))"),
        ("Last", "Date.EndOfYear(ToDay(List.Max(Times, Now)))"),
        ("Days", "List.Dates(First, Duration.Days(Last - First) + 1, #duration(1, 0, 0, 0))"),
        ("Calendar", f"Table.FromList(Days, Splitter.SplitByNothing(), type table [{DATES} = date])"),
    ]
    last = "Calendar"
    for name, expression, kind in made:
        step = f"With{name.replace(' ', '')}"
        steps.append((step, f'Table.AddColumn({last}, "{name}", {expression}, {kind})'))
        last = step
    return _let(steps)


DATE_COLUMNS: Final[tuple[tuple[str, Type], ...]] = (
    ("Date", "date"),
    ("Year", "int64"),
    ("Quarter", "text"),
    ("Month", "text"),
    ("Weekday Number", "int64"),
    ("Weekday", "text"),
)


def genres() -> str:
    """The table of genres: one row for each, whatever its spellings."""
    return _let(
        [
            *_opened(source_of_genres()),
            ("Chosen", 'Table.SelectColumns(Rows, {"slug", "genre"})'),
            ("Typed", 'Table.TransformColumnTypes(Chosen, {{"slug", type text}, {"genre", type text}})'),
            ("Unique", 'Table.Distinct(Typed, {"slug"})'),
        ]
    )


def measures() -> str:
    """An empty table, to hold the measures."""
    return _let([("Empty", "#table(type table [placeholder = text], {})")])


SAYS: Final = {
    DATES: "the days of the years with views, in UTC",
    GENRES: "the genres, each once, whatever its spellings",
    MEASURES: "the measures over the other tables; it has no rows",
}


def queries(of: list[Table]) -> dict[str, tuple[str, str]]:
    """The purpose and the text of each query, by name: parameters, computed tables, and loaded tables."""
    made = {DATES: dates(), GENRES: genres(), MEASURES: measures()}
    return {
        **{name: (description, f"{parameter(name)}\n") for name, (_, _, description) in PARAMETERS.items()},
        **{name: (SAYS[name], text) for name, text in made.items()},
        **{table.name: (table.description, query(table)) for table in of},
    }


def _opened(entity_set: str) -> list[tuple[str, str]]:
    """The steps that open an entity set. Power Query requests its columns before its rows, and only those used."""
    return [
        ("Source", 'OData.Feed(Feed, null, [Implementation = "2.0"])'),
        ("Rows", f'Source{{[Name = "{entity_set}", Signature = "table"]}}[Data]'),
    ]


def _let(steps: list[tuple[str, str]]) -> str:
    body = ",\n".join(f"    {name} = {expression}" for name, expression in steps)
    return f"let\n{body}\nin\n    {steps[-1][0]}\n"


def _list(names: list[str]) -> str:
    return "{" + ", ".join(f'"{name}"' for name in names) + "}"
