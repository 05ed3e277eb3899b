"""More seeded schedules of the whole protocol than test_schedules.py has time for."""

from __future__ import annotations

import pytest

from tests.support.schedules import small_and_quiet, wrong_in

FIRST, BATCHES, SIZE = 20, 20, 20


@pytest.mark.chaos
@pytest.mark.parametrize("first", range(FIRST, FIRST + BATCHES * SIZE, SIZE))
def test_every_document_is_right(first: int) -> None:
    with small_and_quiet():
        wrong = {seed: what for seed in range(first, first + SIZE) if (what := wrong_in(seed)) is not None}
    assert wrong == {}
