"""Alerts counted naively: each window separately, in plain loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from movie_stream.alerts.rules import EACH, Beyond, BeyondUsual, RatingFalling, Rule

WEEK_MS = 7 * 86_400_000
Figures = dict[str, dict[int, dict[str, float]]]
"""By subject, window and name."""


def alerts(rule: Rule, figures: Figures, first_ms: int, until_ms: int) -> list[Any]:
    """What the rule's alerts are: subject, start, end, windows, when and how much at most, threshold."""
    found = []
    for subject in sorted(figures) if rule.subject == EACH else [rule.subject]:
        rows = figures.get(subject, {})
        first = min(rows) if rule.subject == EACH else first_ms
        holds = []
        for at in range(first, until_ms, rule.window_ms):
            found_at = _holds(rule, rows, at, first)
            if found_at is not None:
                holds.append((at, *found_at))
        found += runs(subject, holds, rule.window_ms, rule.in_a_row, until_ms, less=_less(rule))
    return sorted(found)


def runs(
    subject: str, holds: Iterable[tuple[int, float, float]], length: int, in_a_row: int, until_ms: int, *, less: bool
) -> list[Any]:
    """Windows in a row, where they are enough."""
    found, run = [], list[tuple[int, float, float]]()
    for window in [*holds, (1 << 62, 0.0, 0.0)]:
        if run and window[0] != run[-1][0] + length:
            if len(run) >= in_a_row:
                found.append(_alert(subject, run, length, until_ms, less))
            run = []
        run.append(window)
    return found


def _alert(subject: str, run: Sequence[tuple[int, float, float]], length: int, until_ms: int, less: bool) -> Any:
    peak = min(run, key=lambda one: one[1] if less else -one[1])
    end = run[-1][0] + length
    return subject, run[0][0], None if end == until_ms else end, len(run), *peak


def _less(rule: Rule) -> bool:
    return isinstance(rule.condition, RatingFalling) or getattr(rule.condition, "direction", "above") == "below"


def _holds(rule: Rule, rows: dict[int, dict[str, float]], at: int, first: int) -> tuple[float, float] | None:
    """Value and threshold where the condition holds."""
    row, condition = rows.get(at, {}), rule.condition
    views = row.get("views", 0.0)
    match condition:
        case Beyond():
            beyond = views > condition.limit if condition.direction == "above" else views < condition.limit
            return (views, condition.limit) if beyond else None
        case BeyondUsual():
            weeks = [at - n * WEEK_MS for n in range(1, condition.weeks + 1)]
            past = [rows.get(of, {}).get("views", 0.0) for of in weeks if of >= first]
            if len(past) < condition.min_weeks:
                return None
            usual = median(past)
            far = condition.spread * 1.4826 * median(abs(of - usual) for of in past)
            if condition.direction == "above":
                threshold = max(condition.multiple * usual, usual + far)
                return (views, threshold) if views > threshold and views >= condition.at_least else None
            threshold = min(condition.multiple * usual, usual - far)
            return (views, threshold) if views < threshold and usual >= condition.at_least else None
        case RatingFalling():
            window = rule.window_ms
            past_rows = [rows.get(of, {}) for of in range(at - condition.over * window, at, window)]
            rated, rated_before = row.get("rated", 0.0), sum(of.get("rated", 0.0) for of in past_rows)
            if rated < condition.at_least or rated_before < condition.at_least:
                return None
            usual = round(sum(of.get("rating_sum", 0.0) for of in past_rows) / rated_before, 6)
            value, threshold = round(row["rating_sum"] / rated, 6), round(usual - condition.by, 6)
            return (value, threshold) if value <= threshold else None
    raise AssertionError(rule)
