"""How it goes with a receiver, by a clock of the test's own."""

from __future__ import annotations

import pytest

from movie_stream.alerts import courier
from movie_stream.alerts.courier import AWAY_AT_MOST_S, FIRST_PAUSE_S, LONGEST_PAUSE_S, ReceiverStatus


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [1_000.0]
    monkeypatch.setattr(courier, "monotonic", lambda: now_s[0])
    return now_s


def test_a_receiver_is_away_for_pauses_that_grow_to_a_bound_and_is_back_at_once(clock: list[float]) -> None:
    standing, pauses = ReceiverStatus(), []
    for _ in range(100):
        standing.failed(0.0, partly=False)
        pauses.append(standing.away_until_s - clock[0])
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == AWAY_AT_MOST_S
    away = [standing.away]
    standing.arrived()
    away.append(standing.away)
    assert away == [True, False]
    standing.failed(3_600.0, partly=False)
    assert standing.away_until_s - clock[0] == AWAY_AT_MOST_S, "whatever it asks for, another message is tried then"


def test_of_a_receiver_that_takes_some_messages_only_the_others_are_hurried_ever_more_rarely(
    clock: list[float],
) -> None:
    standing, hurried = ReceiverStatus(), 0
    seconds = 6 * 3_600
    for _ in range(seconds):
        clock[0] += 1
        hurried += standing.arrived()
        standing.failed(0.0, partly=True)
    growing = 11  # pauses of 5, 10, 20, ... seconds before they are as long as they get
    assert 6 <= hurried <= growing + seconds / LONGEST_PAUSE_S


def test_after_a_while_in_which_all_arrived_it_begins_anew(clock: list[float]) -> None:
    standing = ReceiverStatus()
    assert standing.arrived(), "nobody knows what waits, at the start"
    standing.failed(0.0, partly=False)
    assert not standing.arrived(), "it was only just"
    for _ in range(3):
        clock[0] += LONGEST_PAUSE_S
        standing.failed(0.0, partly=False)
        assert standing.arrived()
        clock[0] += LONGEST_PAUSE_S
        assert not standing.arrived(), "nothing waits"
        assert standing.hurried == 0
