"""Hours in which a source partition got no record, against a loop that looks at each hour by itself."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from movie_stream.alerts.evaluation import Evaluation, Streak
from movie_stream.alerts.expectations import LIGHTS, Document, Expectations, Limits, verdict
from movie_stream.alerts.quality import light_by, silence_of
from movie_stream.alerts.rules import EACH, Condition, LightAtLeast, Quality, Rule
from movie_stream.alerts.series import Series
from tests.support.alerts import reference
from tests.support.examples import examples

HOUR_MS = 3_600_000
START_MS = 1_730_332_800_000
HOURS = 12
EXPECTED = Expectations(records_per_hour=4, bad=Limits(0.2, 0.5))
Rows = dict[int, dict[str, Any]]

CONDITIONS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Quality, st.sampled_from(["records", "views", "bad"]), st.sampled_from(["above", "below"]), st.just(2.0)),
    st.builds(Quality, st.just("bad"), st.sampled_from(["above", "below"]), st.just(0.3), st.just("records")),
    st.builds(Quality, st.just("avg_delay_s"), st.sampled_from(["above", "below"]), st.just(1.0)),
    st.builds(LightAtLeast, st.sampled_from(["yellow", "red"])),
)


@st.composite
def partitions(draw: st.DrawFn) -> dict[str, Rows]:
    """Rows of up to three partitions; a row without views is from before the first view, whenever that is."""
    found: dict[str, Rows] = {}
    for partition in draw(st.sets(st.sampled_from(["0", "1", "10"]))):
        rows: Rows = {}
        for hour in draw(st.sets(st.integers(0, HOURS - 1), min_size=1)):
            bad, views = draw(st.integers(0, 3)), draw(st.integers(0, 4))
            delay = draw(st.sampled_from([None, 0.0, 2.0]))
            figures = {"records": float(bad + views), "views": float(views), "bad": float(bad), "avg_delay_s": delay}
            rows[START_MS + hour * HOUR_MS] = figures
        found[partition] = rows
    return found


def first_of(rows: Rows) -> int | None:
    return min((at for at, row in rows.items() if row["views"]), default=None)


def series_of(rows: Rows) -> Series:
    light = light_by(EXPECTED)
    lit = {at: {**row, "light": float(LIGHTS.index(light(row).light))} for at, row in rows.items()}
    return Series.of(lit.items(), silence=silence_of(first_of(rows), ["records", "views", "bad"], light))


def naive(condition: Condition, partition: str, rows: Rows, in_a_row: int, until_ms: int) -> list[Any]:
    """Hour by hour."""
    first, holds = first_of(rows), list[tuple[int, float, float]]()
    for at in range(START_MS, until_ms, HOUR_MS):
        row: Document | None = rows.get(at)
        if row is None:
            if first is None or at < first:
                continue
            row = {"records": 0.0, "views": 0.0, "bad": 0.0, "avg_delay_s": None}
        match condition:
            case LightAtLeast(light=worst):
                light = LIGHTS.index(verdict(row, Expectations(records_per_hour=4, bad=Limits(0.2, 0.5))).light)
                if light >= LIGHTS.index(worst):
                    holds.append((at, float(light), float(LIGHTS.index(worst))))
            case Quality(field=field, share_of=whole, direction=direction, limit=limit):
                value = row[field]
                if whole is not None:
                    value = round(value / row[whole], 6) if row[whole] else None
                if value is not None and (value > limit if direction == "above" else value < limit):
                    holds.append((at, value, limit))
    return reference.runs(
        partition, holds, HOUR_MS, in_a_row, until_ms, less=getattr(condition, "direction", "above") == "below"
    )


def shown(streaks: list[Streak]) -> list[Any]:
    return sorted((s.subject, s.start_ms, s.end_ms, s.windows, s.at_ms, s.value, s.threshold) for s in streaks)


A_RECORD: dict[str, Any] = {"records": 4.0, "views": 4.0, "bad": 0.0, "avg_delay_s": None}


@settings(max_examples=examples(60))
@given(partitions(), CONDITIONS, st.integers(1, 3), st.lists(st.integers(0, HOURS + 3), max_size=3))
@example({"0": {START_MS: A_RECORD}}, LightAtLeast("red"), 1, [])
@example({"0": {START_MS: A_RECORD, START_MS + 5 * HOUR_MS: A_RECORD}}, Quality("records", "below", 1.0), 2, [3])
def test_an_hour_without_a_row_has_no_records_in_whatever_pieces(
    rows: dict[str, Rows], condition: Condition, in_a_row: int, cuts: list[int]
) -> None:
    until_ms = START_MS + (HOURS + 3) * HOUR_MS
    evaluation = Evaluation(Rule("r", "quality", condition, EACH, HOUR_MS, in_a_row), START_MS)
    series = {partition: series_of(of) for partition, of in rows.items()}
    found: list[Streak] = []
    for end_ms in sorted([*(START_MS + cut * HOUR_MS for cut in cuts), until_ms]):
        begin_ms = evaluation.until_ms
        some = {partition: _within(of, begin_ms, end_ms) for partition, of in series.items()}
        found += evaluation.advance(some, end_ms, START_MS)
    wanted = [alert for p, of in rows.items() for alert in naive(condition, p, of, in_a_row, until_ms)]
    assert shown([*found, *evaluation.open_streaks()]) == sorted(wanted)


def _within(series: Series, begin_ms: int, end_ms: int) -> Series:
    """What a reader gives who is asked for these hours alone: their rows, and what the others count as."""
    rows = (series.starts >= begin_ms) & (series.starts < end_ms)
    columns = {name: of[rows] for name, of in series.columns.items()}
    return Series(series.starts[rows], columns, silence=series.silence)


def test_ten_years_of_silence_are_one_alert() -> None:
    hours = 10 * 365 * 24
    until_ms = START_MS + (hours + 2) * HOUR_MS
    series = series_of({START_MS: A_RECORD, START_MS + hours * HOUR_MS: A_RECORD})
    evaluation = Evaluation(Rule("r", "quality", LightAtLeast("red"), EACH, HOUR_MS), START_MS)
    [alert] = evaluation.advance({"0": series}, until_ms, START_MS)
    assert (alert.start_ms, alert.windows) == (START_MS + HOUR_MS, hours - 1)
    assert [of.start_ms for of in evaluation.open_streaks()] == [START_MS + (hours + 1) * HOUR_MS]
