"""The report in the format of Power BI Desktop's projects: two pages, as JSON in the published schemas."""

from __future__ import annotations

from typing import Any, Final

from bi.source.model import DATES, GENRES, MEASURES

Json = dict[str, Any]

_SCHEMAS: Final = "https://developer.microsoft.com/json-schemas/fabric"
_REPORT: Final = f"{_SCHEMAS}/item/report/definition"
_BASE_THEME: Final = "CY24SU10"
_THEME_FILE: Final = "movie-stream.json"
_WIDTH, _HEIGHT = 1280, 720

MODEL_PROPERTIES: Final[Json] = {
    "$schema": f"{_SCHEMAS}/item/semanticModel/definitionProperties/1.0.0/schema.json",
    "version": "4.2",
    "settings": {},
}
THEME: Final[Json] = {
    "name": "movie-stream",
    "dataColors": ["#0072B2", "#C97A00", "#00875F", "#B34F83", "#2F9BD6", "#C84E00", "#8A7D00", "#7C8896"],
    "background": "#FFFFFF",
    "foreground": "#1A1D23",
    "tableAccent": "#0072B2",
    "good": "#00875F",
    "neutral": "#C97A00",
    "bad": "#C84E00",
    "textClasses": {
        "callout": {"fontSize": 28, "fontFace": "Segoe UI Semibold", "color": "#1A1D23"},
        "title": {"fontSize": 12, "fontFace": "Segoe UI Semibold", "color": "#1A1D23"},
        "label": {"fontSize": 10, "fontFace": "Segoe UI", "color": "#475569"},
    },
}


def shortcut(name: str) -> Json:
    """The file that opens the project."""
    return {
        "$schema": f"{_SCHEMAS}/pbip/pbipProperties/1.0.0/schema.json",
        "version": "1.0",
        "artifacts": [{"report": {"path": f"{name}.Report"}}],
        "settings": {"enableAutoRecovery": True},
    }


def files(name: str) -> dict[str, Json]:
    """All files of the report, by path in its folder."""
    pages = {"overview": ("Overview", _overview()), "hours": ("Hours", _hours())}
    made: dict[str, Json] = {
        "definition.pbir": {
            "$schema": f"{_SCHEMAS}/item/report/definitionProperties/2.0.0/schema.json",
            "version": "4.0",
            "datasetReference": {"byPath": {"path": f"../{name}.SemanticModel"}},
        },
        "definition/version.json": {"$schema": f"{_REPORT}/versionMetadata/1.0.0/schema.json", "version": "2.0.0"},
        "definition/report.json": _report(),
        "definition/pages/pages.json": {
            "$schema": f"{_REPORT}/pagesMetadata/1.0.0/schema.json",
            "pageOrder": list(pages),
            "activePageName": next(iter(pages)),
        },
        f"StaticResources/RegisteredResources/{_THEME_FILE}": THEME,
    }
    for page, (title, visuals) in pages.items():
        made[f"definition/pages/{page}/page.json"] = {
            "$schema": f"{_REPORT}/page/2.0.0/schema.json",
            "name": page,
            "displayName": title,
            "displayOption": "FitToPage",
            "height": _HEIGHT,
            "width": _WIDTH,
        }
        for visual in visuals:
            made[f"definition/pages/{page}/visuals/{visual['name']}/visual.json"] = visual
    return made


def _report() -> Json:
    return {
        "$schema": f"{_REPORT}/report/2.0.0/schema.json",
        "themeCollection": {
            "baseTheme": {"name": _BASE_THEME, "reportVersionAtImport": "5.61", "type": "SharedResources"},
            "customTheme": {"name": _THEME_FILE, "reportVersionAtImport": "5.61", "type": "RegisteredResources"},
        },
        "resourcePackages": [
            {
                "name": "SharedResources",
                "type": "SharedResources",
                "items": [{"name": _BASE_THEME, "path": f"BaseThemes/{_BASE_THEME}.json", "type": "BaseTheme"}],
            },
            {
                "name": "RegisteredResources",
                "type": "RegisteredResources",
                "items": [{"name": _THEME_FILE, "path": _THEME_FILE, "type": "CustomTheme"}],
            },
        ],
        "settings": {"useStylableVisualContainerHeader": True, "useEnhancedTooltips": True},
    }


def _overview() -> list[Json]:
    """The page with figures in a row, views over time with their growth, the ten genres, and the films."""
    figures = ("Total Views", "Active Users Latest Day", "Average Rating", "Popular Genre", "Popular Film")
    cards = [
        _visual(f"card_{at}", "card", (16 + 250 * at, 16, 238, 100), f"{figure}", {"Values": [_measure(figure)]})
        for at, figure in enumerate(figures)
    ]
    day, genre = _column(DATES, "Date"), _column(GENRES, "genre")
    film = [_column("top_movies_all_time_flat", name) for name in ("rank", "title", "genre")]
    return [
        *cards,
        _visual("days", "slicer", (16, 128, 300, 72), "Days (UTC)", {"Values": [day]}),
        _visual("genres", "slicer", (328, 128, 300, 72), "Genres", {"Values": [genre]}, mode="Dropdown"),
        _visual(
            "growth",
            "kpi",
            (640, 128, 624, 160),
            "Views against the day before",
            {"Indicator": [_measure("Total Views")], "TrendLine": [day], "Goal": [_measure("Views Day Before")]},
        ),
        _visual(
            "views_over_time",
            "lineChart",
            (16, 212, 612, 240),
            "Views by day (UTC)",
            {"Category": [day], "Y": [_measure("Total Views")]},
        ),
        _visual(
            "top_genres",
            "clusteredBarChart",
            (16, 464, 612, 240),
            "Top 10 genres by views",
            {"Category": [genre], "Y": [_measure("Views of Top 10 Genres")]},
            sort=_measure("Views of Top 10 Genres"),
        ),
        _visual(
            "top_films",
            "tableEx",
            (640, 300, 624, 404),
            "Films with most views of all time",
            {"Values": [*film, _measure("Film Views"), _measure("Film Rating")]},
            sort=_measure("Film Views"),
        ),
    ]


def _hours() -> list[Json]:
    """The page with views hour by hour and by hour of the day, and new users and growth day by day."""
    hour, day = _column("hourly_metrics", "timestamp"), _column(DATES, "Date")
    of_day = _column("hourly_metrics", "hour_of_day")
    return [
        _visual("hours_days", "slicer", (16, 16, 300, 72), "Days (UTC)", {"Values": [day]}),
        _visual(
            "by_hour",
            "lineChart",
            (16, 100, 1248, 290),
            "Views by hour (UTC)",
            {"Category": [hour], "Y": [_measure("Views by Hour")]},
        ),
        _visual(
            "by_hour_of_day",
            "clusteredColumnChart",
            (16, 402, 612, 302),
            "Views by hour of the day (UTC)",
            {"Category": [of_day], "Y": [_measure("Views by Hour")]},
        ),
        _visual(
            "by_day",
            "tableEx",
            (640, 402, 624, 302),
            "Day by day",
            {"Values": [day, *map(_measure, ("Total Views", "Growth", "New Users", "Average Session Minutes"))]},
        ),
    ]


def _visual(
    name: str,
    kind: str,
    position: tuple[int, int, int, int],
    title: str,
    roles: dict[str, list[Json]],
    *,
    sort: Json | None = None,
    mode: str = "Between",
) -> Json:
    """A visual at (x, y, width, height), its fields by role."""
    x, y, width, height = position
    query: Json = {"queryState": {role: {"projections": fields} for role, fields in roles.items()}}
    if sort:
        query["sortDefinition"] = {"sort": [{"field": sort["field"], "direction": "Descending"}]}
    visual: Json = {
        "visualType": kind,
        "query": query,
        "visualContainerObjects": {
            "title": [{"properties": {"show": _literal("true"), "text": _literal(f"'{title}'")}}]
        },
        "drillFilterOtherVisuals": True,
    }
    if kind == "slicer":
        visual["objects"] = {"data": [{"properties": {"mode": _literal(f"'{mode}'")}}]}
    return {
        "$schema": f"{_REPORT}/visualContainer/2.0.0/schema.json",
        "name": name,
        "position": {"x": x, "y": y, "z": y * _WIDTH + x, "height": height, "width": width, "tabOrder": y * _WIDTH + x},
        "visual": visual,
    }


def _measure(name: str) -> Json:
    return _field("Measure", MEASURES, name)


def _column(table: str, name: str) -> Json:
    return _field("Column", table, name)


def _field(kind: str, table: str, name: str) -> Json:
    field = {kind: {"Expression": {"SourceRef": {"Entity": table}}, "Property": name}}
    return {"field": field, "queryRef": f"{table}.{name}", "nativeQueryRef": name}


def _literal(value: str) -> Json:
    return {"expr": {"Literal": {"Value": value}}}
