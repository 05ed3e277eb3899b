"""The measures of the model, in DAX; none is an average of averages or a sum of distinct users."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent
from typing import Final

from bi.source.model import FEED, MEASURES

_COUNT: Final = "#,0"
_RATING: Final = "0.00"
_SHARE: Final = "+0.0%;-0.0%;0.0%"


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of the table of measures."""

    name: str
    folder: str
    format: str | None
    description: str
    expression: str

    @property
    def lines(self) -> str:
        """The expression without the indentation of this file."""
        return dedent(self.expression).strip()


ALL: Final = (
    Measure(
        "Total Views",
        "Views",
        _COUNT,
        "All views of the selected days and genres.",
        "SUM ( daily_stats[daily_views] )",
    ),
    Measure("Rated Views", "Ratings", _COUNT, "The views with a rating.", "SUM ( daily_stats[rated_views] )"),
    Measure(
        "Average Rating",
        "Ratings",
        _RATING,
        "The mean rating of all rated views. Each row's average counts as often as it has ratings: an average of "
        "averages would give a day with one rating the weight of a day with a million.",
        """
        DIVIDE (
            SUMX ( daily_stats, daily_stats[avg_daily_rating] * daily_stats[rated_views] ),
            SUM ( daily_stats[rated_views] )
        )
        """,
    ),
    Measure(
        "Popular Genre",
        "Views",
        None,
        "The genre with most views. TOPN alone gives a table, which is no value for a card if genres tie or none is "
        "selected; here genres that tie are all listed, and no genre gives a blank.",
        """
        VAR Seen =
            FILTER ( ADDCOLUMNS ( VALUES ( Genre[genre] ), "@Views", [Total Views] ), [@Views] > 0 )
        VAR MostViews =
            MAXX ( Seen, [@Views] )
        RETURN
            CONCATENATEX ( FILTER ( Seen, [@Views] = MostViews ), Genre[genre], ", ", Genre[genre], ASC )
        """,
    ),
    Measure(
        "Genre Rank",
        "Views",
        "0",
        "The rank of a genre among those shown, by views.",
        "IF ( ISINSCOPE ( Genre[genre] ) && [Total Views] > 0, RANKX ( ALLSELECTED ( Genre[genre] ), [Total Views] ) )",
    ),
    Measure(
        "Views of Top 10 Genres",
        "Views",
        _COUNT,
        "The views of the ten genres with most of them; blank for the others, so that a chart shows ten. Ties are "
        "resolved alphabetically.",
        """
        VAR BestGenres =
            TOPN ( 10, ALLSELECTED ( Genre[genre] ), [Total Views], DESC, Genre[genre], ASC )
        RETURN
            CALCULATE ( [Total Views], KEEPFILTERS ( BestGenres ) )
        """,
    ),
    Measure("Revenue", "Views", "#,0.00", "The revenue of all views.", "SUM ( daily_stats[daily_revenue] )"),
    Measure(
        "Watch Hours",
        "Views",
        "#,0.0",
        "The length of all views, in hours.",
        "DIVIDE ( SUM ( daily_stats[total_watch_time] ), 60 )",
    ),
    Measure(
        "Latest Day",
        "Growth",
        "yyyy-mm-dd",
        "The last day with views. It may not be over yet.",
        "MAX ( daily_stats[day] )",
    ),
    Measure(
        "Views Latest Day",
        "Growth",
        _COUNT,
        "The views of the last day with views.",
        """
        VAR NewestDay =
            [Latest Day]
        RETURN
            CALCULATE ( [Total Views], 'Date'[Date] = NewestDay )
        """,
    ),
    Measure(
        "Views Day Before",
        "Growth",
        _COUNT,
        "The views of the same days, each a day earlier. Put days on the axis.",
        "CALCULATE ( [Total Views], DATEADD ( 'Date'[Date], -1, DAY ) )",
    ),
    Measure(
        "Growth",
        "Growth",
        _SHARE,
        "Views relative to the day before, as a share of it; blank if there is no day before. The last day is "
        "incomplete while it is not over.",
        """
        VAR ViewsNow =
            [Total Views]
        VAR ViewsBefore =
            [Views Day Before]
        RETURN
            IF (
                NOT ISBLANK ( ViewsNow ) && NOT ISBLANK ( ViewsBefore ),
                DIVIDE ( ViewsNow - ViewsBefore, ViewsBefore )
            )
        """,
    ),
    Measure(
        "Growth Last Full Day",
        "Growth",
        _SHARE,
        "The day before the last one, relative to the day before it: for a card, since the last day may not be over.",
        """
        VAR FullDay =
            [Latest Day] - 1
        VAR ViewsNow =
            CALCULATE ( [Total Views], 'Date'[Date] = FullDay )
        VAR ViewsBefore =
            CALCULATE ( [Total Views], 'Date'[Date] = FullDay - 1 )
        RETURN
            IF (
                NOT ISBLANK ( ViewsNow ) && NOT ISBLANK ( ViewsBefore ),
                DIVIDE ( ViewsNow - ViewsBefore, ViewsBefore )
            )
        """,
    ),
    Measure(
        "New Users",
        "Users",
        _COUNT,
        "Users with their first view ever on these days.",
        "SUM ( active_users[new_users] )",
    ),
    Measure(
        "Active Users Latest Day",
        "Users",
        _COUNT,
        "Users with a view on the last day. Users of several days cannot be added: most of them are the same users.",
        """
        VAR NewestDay =
            MAX ( active_users[day] )
        RETURN
            CALCULATE ( SUM ( active_users[total_users] ), 'Date'[Date] = NewestDay )
        """,
    ),
    Measure(
        "Active Users per Day",
        "Users",
        "#,0.0",
        "The mean number of users of a day, over the days with views.",
        "AVERAGEX ( active_users, active_users[total_users] )",
    ),
    Measure("Sessions Begun", "Users", _COUNT, "Sessions that began on these days.", "SUM ( active_users[sessions] )"),
    Measure(
        "Average Session Minutes",
        "Users",
        "0.0",
        "The mean length of all sessions, each day's mean counted as often as it has sessions.",
        """
        DIVIDE (
            SUMX ( active_users, active_users[avg_session_duration] * active_users[sessions] ),
            SUM ( active_users[sessions] )
        )
        """,
    ),
    Measure(
        "Popular Film",
        "Films",
        None,
        "The film with most views of all time, in the selected genres.",
        """
        VAR BestFilm =
            TOPN (
                1,
                top_movies_all_time_flat,
                top_movies_all_time_flat[views], DESC,
                top_movies_all_time_flat[movie_id], ASC
            )
        RETURN
            MAXX ( BestFilm, top_movies_all_time_flat[title] )
        """,
    ),
    Measure(
        "Film Views",
        "Films",
        _COUNT,
        "The views of the films of all time with most of them.",
        "SUM ( top_movies_all_time_flat[views] )",
    ),
    Measure(
        "Film Rating",
        "Films",
        _RATING,
        "The mean rating of those films.",
        """
        DIVIDE (
            SUMX (
                top_movies_all_time_flat,
                top_movies_all_time_flat[avg_rating] * top_movies_all_time_flat[rated_views]
            ),
            SUM ( top_movies_all_time_flat[rated_views] )
        )
        """,
    ),
    Measure(
        "Film Views by Day",
        "Films",
        _COUNT,
        "The views of films by the lists of the days. Exact for one day; over several, days on which a film was not in "
        "the list are missing.",
        "SUM ( top_movies_daily_flat[views] )",
    ),
    Measure(
        "Views by Hour",
        "Hours",
        _COUNT,
        "All views of the loaded hours, by hour, not filtered by genre.",
        "SUM ( hourly_metrics[total_views] )",
    ),
    Measure(
        "Average Rating by Hour",
        "Hours",
        _RATING,
        "The mean rating of the loaded hours.",
        """
        DIVIDE (
            SUMX ( hourly_metrics, hourly_metrics[avg_rating] * hourly_metrics[rated_views] ),
            SUM ( hourly_metrics[rated_views] )
        )
        """,
    ),
    Measure(
        "Views by Minute",
        "Hours",
        _COUNT,
        "All views of the loaded minutes.",
        "SUM ( movies_aggregates[total_views] )",
    ),
)


def script() -> str:
    """All measures as a query for Power BI's DAX query view, which can add them to the model."""
    found = "\n".join(
        f"    // {measure.description}\n    MEASURE '{MEASURES}'[{measure.name}] =\n{indent(measure.lines, ' ' * 8)}\n"
        for measure in ALL
    )
    shown = ",\n".join(f'    "{measure.name}", [{measure.name}]' for measure in ALL if measure.name != "Genre Rank")
    return (
        f"// The measures of the model over the feed of movie-stream ({FEED} by default).\n"
        "// Made by bi/generate.py. Paste it into the DAX query view of Power BI Desktop, run it to see the values,\n"
        '// and click "Update model with changes" to keep the measures.\n'
        f"DEFINE\n{found}\nEVALUATE\nROW (\n{shown}\n)\n"
    )
