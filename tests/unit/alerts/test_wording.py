"""Alerts in words, as people read them."""

from __future__ import annotations

import numpy as np
import pytest

from movie_stream.alerts.conditions import WEEK_MS
from movie_stream.alerts.evaluation import Evaluation, Streak
from movie_stream.alerts.rules import (
    ALL,
    EACH,
    HOUR_MS,
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
from movie_stream.alerts.wording import body_of, text_of
from movie_stream.commands.alerts.list import row_of

AT_MS = 1_730_383_200_000


@pytest.mark.parametrize(
    ("condition", "subject", "value", "says"),
    [
        (Beyond("below", 3.0), ALL, 0.0, "all genres: 0 views in 1 h from 2024-10-31 14:00 UTC, below 3"),
        (Beyond("below", 3.0), "film noir", 1.0, "Film Noir: 1 view in 1 h from 2024-10-31 14:00 UTC, below 3"),
        (BeyondUsual("below", 0.5), "sci-fi", 2.0, "Sci-Fi: 2 views in 1 h from .*, below 3; usually 12"),
        (RatingFalling(0.5), "children's", 2.5, "Children's: average rating 2.5 in 1 h from .*, at most 3; 12 before"),
        (Climbing(3.0), "m1", 1.0, "m1: 1 view in the hour from .*, above 3; usually 12"),
    ],
)
def test_what_is_said(condition: Condition, subject: str, value: float, says: str) -> None:
    streak = Streak(subject, AT_MS, 1, value, AT_MS, 3.0, 12.0)
    said = text_of(Rule("r", "views", condition, subject if subject == ALL else EACH), streak)
    before, _, after = says.partition(".*")
    assert said.startswith(before)
    assert said.endswith(after)


def test_lights_are_words_in_a_table() -> None:
    light = body_of(Rule("r", "quality", LightAtLeast("yellow"), EACH), Streak("0", AT_MS, 1, 3.0, AT_MS, 2.0))
    figure = body_of(Rule("r", "quality", Quality("bad", "above", 2.0), EACH), Streak("0", AT_MS, 1, 3.0, AT_MS, 2.0))
    assert [(row["value"], row["threshold"]) for row in map(row_of, (light, figure))] == [("red", "yellow"), (3.0, 2.0)]


def test_a_genre_without_views_is_called_as_it_was_in_the_weeks_before() -> None:
    weeks = [(AT_MS - week * WEEK_MS, {"views": 20.0}) for week in (4, 3, 2, 1)]
    series = Series.of(weeks, {at: "SciFi" for at, _ in weeks})
    rule = Rule("r", "views", BeyondUsual("below", 0.5), EACH, HOUR_MS)
    evaluation = Evaluation(rule, AT_MS)
    evaluation.advance({"scifi": series}, AT_MS + HOUR_MS, AT_MS - 5 * WEEK_MS)
    [lasting] = evaluation.open_streaks()
    assert (lasting.value, body_of(rule, lasting)["label"]) == (0.0, "SciFi")
    assert np.isclose(lasting.threshold, 10.0)
