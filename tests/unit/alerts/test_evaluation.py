"""Alerts against a loop that looks at each window by itself."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from movie_stream.alerts import evaluation as evaluation_module
from movie_stream.alerts.conditions import WEEK_MS
from movie_stream.alerts.evaluation import Evaluation, Streak, before, restarted
from movie_stream.alerts.rules import (
    ALL,
    EACH,
    Beyond,
    BeyondUsual,
    Climbing,
    Condition,
    LightAtLeast,
    Quality,
    RatingFalling,
    Rule,
)
from movie_stream.alerts.series import Series
from tests.support.alerts import reference
from tests.support.alerts.reference import Figures
from tests.support.examples import examples

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_730_332_800_000
"""A Thursday."""

numbers = st.integers(0, 4)


def rule(condition: Condition, subject: str = EACH, in_a_row: int = 1, window_ms: int = HOUR_MS) -> Rule:
    return Rule("r", "views", condition, subject, window_ms, in_a_row)


def series_of(figures: Figures) -> dict[str, Series]:
    return {subject: Series.of(rows.items()) for subject, rows in figures.items()}


def evaluated(of: Rule, figures: Figures, until_ms: list[int], first_ms: int, others: Any = None) -> list[Streak]:
    """All alerts, by pieces of time."""
    evaluation = Evaluation(of, first_ms)
    bound = None if others is None else Series.of(others.items())
    ended = [s for end in sorted(until_ms) for s in evaluation.advance(series_of(figures), end, first_ms, bound)]
    return [*ended, *evaluation.open_streaks()]


def shown(streaks: list[Streak]) -> list[Any]:
    return sorted((s.subject, s.start_ms, s.end_ms, s.windows, s.at_ms, s.value, s.threshold) for s in streaks)


CONDITIONS = st.one_of(
    st.builds(Beyond, st.sampled_from(["above", "below"]), numbers.map(float)),
    st.builds(
        BeyondUsual,
        st.sampled_from(["above", "below"]),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.just(3),
        st.integers(1, 3),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([1.0, 2.0]),
    ),
    st.builds(RatingFalling, st.sampled_from([0.5, 1.0]), st.integers(1, 3), st.just(1.0)),
)


@st.composite
def views(draw: st.DrawFn) -> Figures:
    """Views and ratings of up to three genres, of hours on some weeks' same days, where usual means something."""
    hours = [START_MS + week * WEEK_MS + hour * HOUR_MS for week in range(5) for hour in range(5)]
    figures: Figures = {}
    for genre in draw(st.sets(st.sampled_from("abc"), min_size=1)):
        rows = draw(st.dictionaries(st.sampled_from(hours), st.tuples(numbers, numbers), min_size=1))
        figures[genre] = {
            at: {"views": 1.0 + count, "rated": 1.0 + count, "rating_sum": stars * (1.0 + count)}
            for at, (count, stars) in rows.items()
        }
    return figures


@settings(max_examples=examples(40))
@given(views(), CONDITIONS, st.sampled_from([EACH, "a"]), st.integers(1, 3), st.lists(st.integers(0, 5 * 168)))
@example({"a": {START_MS: {"views": 1.0}, START_MS + 4 * WEEK_MS: {"views": 1.0}}}, Beyond("below", 1.0), "a", 2, [300])
def test_alerts_are_those_of_the_reference_in_whatever_pieces(
    figures: Figures, condition: Condition, subject: str, in_a_row: int, cuts: list[int]
) -> None:
    of = rule(condition, subject, in_a_row)
    first = min(min(rows) for rows in figures.values())
    until = START_MS + 5 * WEEK_MS
    pieces = [max(first, START_MS + cut * HOUR_MS) for cut in cuts]
    found = evaluated(of, figures, [*pieces, until], first)
    assert shown(found) == reference.alerts(of, figures, first, until)


@settings(max_examples=examples(40))
@given(views(), views(), CONDITIONS, st.integers(1, 3), st.integers(0, 5 * 168), st.sampled_from([EACH, "b"]))
def test_what_is_found_anew_from_a_time_on_is_what_all_of_it_gives(
    old: Figures, new: Figures, condition: Condition, in_a_row: int, cut: int, subject: str
) -> None:
    """The figures from a time on are corrected: what reached there is looked for again, the rest stays."""
    from_ms = START_MS + cut * HOUR_MS
    of, until = rule(condition, subject, in_a_row), START_MS + 5 * WEEK_MS
    becomes = {
        g: {at: row for at, row in (old.get(g, {}) | new.get(g, {})).items() if at >= from_ms or at in old.get(g, {})}
        | {at: row for at, row in old.get(g, {}).items() if at < from_ms}
        for g in {*old, *new}
    }
    becomes = {g: rows for g, rows in becomes.items() if rows}
    first = min(min(rows) for rows in old.values())
    first_then = min(min(rows) for rows in becomes.values())
    known = evaluated(of, old, [until], first)
    reach = before(of, from_ms)
    kept = [s for s in known if s.end_ms is not None and s.end_ms < reach]
    lasting: dict[str, int] = {}
    for s in known:
        if s not in kept:
            lasting[s.subject] = min(s.start_ms, lasting.get(s.subject, s.start_ms))
    firsts = {g: min(rows) for g, rows in old.items()} if subject == EACH else {}
    again = restarted(of, from_ms, lasting, firsts)
    ended = again.advance(series_of(becomes), until, first_then)
    assert shown([*kept, *ended, *again.open_streaks()]) == reference.alerts(of, becomes, first_then, until)


@given(
    st.dictionaries(st.tuples(st.sampled_from("xyz"), st.integers(0, 12)), st.integers(1, 9).map(float), min_size=1),
    st.dictionaries(st.integers(0, 12), st.integers(0, 3).map(float)),
    st.integers(1, 3),
)
def test_films_that_climb(films: dict[tuple[str, int], float], last: dict[int, float], over: int) -> None:
    of = rule(Climbing(1.5, over, 2.0))
    figures: Figures = {}
    for (film, hour), count in films.items():
        figures.setdefault(film, {})[START_MS + hour * HOUR_MS] = {"views": count}
    others = {START_MS + hour * HOUR_MS: {"views": count} for hour, count in last.items()}
    first, until = min(min(rows) for rows in figures.values()), START_MS + 15 * HOUR_MS
    found = evaluated(of, figures, [START_MS + 7 * HOUR_MS, until], first, others)
    wanted = []
    for film, rows in figures.items():
        holds = []
        for at in range(first, until, HOUR_MS):
            past = [
                rows.get(p, others.get(p, {"views": 0.0}))["views"] for p in range(at - over * HOUR_MS, at, HOUR_MS)
            ]
            if at in rows and at - over * HOUR_MS >= first and rows[at]["views"] >= 2:
                threshold = 1.5 * median(past)
                if rows[at]["views"] > threshold:
                    holds.append((at, rows[at]["views"], threshold))
        wanted += reference.runs(film, holds, HOUR_MS, 1, until, less=False)
    assert shown(found) == sorted(wanted)


def test_quality_by_share_and_by_light() -> None:
    rows = {
        START_MS: {"bad": 1.0, "records": 100.0, "light": 1.0},
        START_MS + HOUR_MS: {"bad": 20.0, "records": 100.0, "light": 3.0},
        START_MS + 2 * HOUR_MS: {"bad": 0.0, "records": 0.0, "light": 0.0},
    }
    share = rule(Quality("bad", "above", 0.1, "records"))
    until = START_MS + 5 * HOUR_MS
    [alert] = evaluated(share, {"0": rows}, [until], START_MS)
    assert (alert.start_ms, alert.end_ms, alert.value) == (START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, 0.2)
    [alert] = evaluated(rule(LightAtLeast("yellow")), {"0": rows}, [until], START_MS)
    assert (alert.start_ms, alert.windows, alert.threshold) == (START_MS + HOUR_MS, 1, 2.0)
    assert evaluated(rule(Quality("bad", "below", 5.0)), {"0": rows}, [until], START_MS)[0].windows == 1


@pytest.mark.parametrize("subject", [ALL, EACH])
def test_twenty_years_of_silence_are_one_alert(subject: str) -> None:
    years = 20 * 365 * DAY_MS
    figures: Figures = {subject: {START_MS: {"views": 1.0}, START_MS + years: {"views": 1.0}}}
    of = rule(Beyond("below", 1.0), subject, window_ms=60_000)
    [alert] = evaluated(of, figures, [START_MS + years + 60_000], START_MS)
    assert (alert.start_ms, alert.end_ms) == (START_MS + 60_000, START_MS + years)


def test_a_definition_is_of_what_decides() -> None:
    one = rule(Beyond("above", 3.0))
    assert one.definition == Rule("other", "views", Beyond("above", 3.0), EACH, HOUR_MS, to=("log",), line=9).definition
    assert one.definition != rule(Beyond("above", 4.0)).definition


def test_only_films_of_these_windows_are_looked_at() -> None:
    """However many films were listed in the hours before, and however far back it looks."""
    of = rule(Climbing(1.5, 1_000, 2.0))
    until = START_MS + 1_001 * HOUR_MS
    rows = {START_MS + hour * HOUR_MS: {"views": 2.0} for hour in range(1_000)}
    figures: Figures = {f"old{number}": rows for number in range(50)}
    figures["new"] = {until - HOUR_MS: {"views": 9.0}}
    evaluation = Evaluation(of, until - HOUR_MS)
    others = Series.of((at, {"views": 2.0}) for at in rows)
    pieces = list(evaluation.advancing(series_of(figures), until, START_MS, others))
    assert len(pieces) == 1
    [alert] = evaluation.open_streaks()
    assert (alert.subject, alert.usual, alert.threshold) == ("new", 2.0, 3.0)


def test_genres_without_end_are_refused_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_module, "MOST_GENRES", 3)
    of = rule(Beyond("below", 3.0))
    series = {f"g{n}": Series.of([(START_MS, {"views": 1.0})]) for n in range(4)}
    Evaluation(of, START_MS).advance(dict(list(series.items())[:3]), START_MS + of.window_ms, START_MS)
    with pytest.raises(evaluation_module.TooManyGenres, match=r"expected at most 3 genres for a rule of each, got 4"):
        Evaluation(of, START_MS).advance(series, START_MS + of.window_ms, START_MS)
