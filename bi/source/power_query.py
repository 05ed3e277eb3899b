"""How Power BI and Excel load the tables: queries in Power Query M.

Whatever can be done by the feed comes first, so that Power Query folds it into the request: which columns, which
range of time. What is computed from a row comes after it.
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
    "Feed": ("Text", json.dumps(FEED), "where movie-stream serve has its OData feed; with the slash at the end"),
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
    """The table of days: whole years without a gap, from the first day with views to the last, as time intelligence
    wants it.
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
    """The table of genres: one row for each, however it is written."""
    return _let(
        [
            *_opened(source_of_genres()),
            ("Chosen", 'Table.SelectColumns(Rows, {"slug", "genre"})'),
            ("Typed", 'Table.TransformColumnTypes(Chosen, {{"slug", type text}, {"genre", type text}})'),
            ("Unique", 'Table.Distinct(Typed, {"slug"})'),
        ]
    )


def measures() -> str:
    """An empty table, for measures to stand in."""
    return _let([("Empty", "#table(type table [placeholder = text], {})")])


SAYS: Final = {
    DATES: "the days of the years with views, in UTC",
    GENRES: "the genres, each once however it is written",
    MEASURES: "what is computed of the other tables; it has no rows",
}


def queries(of: list[Table]) -> dict[str, tuple[str, str]]:
    """By name, what a query is for and the query: parameters, the tables that are made, those that are loaded."""
    made = {DATES: dates(), GENRES: genres(), MEASURES: measures()}
    return {
        **{name: (says, f"{parameter(name)}\n") for name, (_, _, says) in PARAMETERS.items()},
        **{name: (SAYS[name], text) for name, text in made.items()},
        **{table.name: (table.says, query(table)) for table in of},
    }


def _opened(entity_set: str) -> list[tuple[str, str]]:
    """The steps that name an entity set. Power Query asks for its columns before its rows, and for no more than is
    used.
    """
    return [
        ("Source", 'OData.Feed(Feed, null, [Implementation = "2.0"])'),
        ("Rows", f'Source{{[Name = "{entity_set}", Signature = "table"]}}[Data]'),
    ]


def _let(steps: list[tuple[str, str]]) -> str:
    body = ",\n".join(f"    {name} = {expression}" for name, expression in steps)
    return f"let\n{body}\nin\n    {steps[-1][0]}\n"


def _list(names: list[str]) -> str:
    return "{" + ", ".join(f'"{name}"' for name in names) + "}"
