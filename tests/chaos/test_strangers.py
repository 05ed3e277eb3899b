"""A consumer in the workers' group that shares out partitions otherwise than workers do."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from movie_stream.settings import Settings
from tests.services.test_strangers import BILLING, in_the_group, with_views
from tests.support.whole_path import PATIENCE_S, started

pytestmark = pytest.mark.chaos


def test_who_shares_out_otherwise_is_named_too(settings: Settings, tmp_path: Path) -> None:
    with_views(settings)
    log = tmp_path / "worker.log"
    with in_the_group(settings, [RangePartitionAssignor]), started(settings, "worker", log=log) as worker:
        assert worker.wait(PATIENCE_S) == 1, log.read_text()
    [error] = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
    assert f"joining the group {settings.kafka_group}" in error
    assert BILLING in error
