"""A group of which one worker has no rules: every interface reports it, and alerts continue once it has the rules."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.support.alerts.stage import HOUR_MS, RULES, START_MS, send, views
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, command, database, started, succeed


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_worker_without_rules_is_named_until_it_has_them(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(RULES)
    ruled = settings.model_copy(update={"alerts_file": file})
    log, other = tmp_path / "with.log", tmp_path / "without.log"
    initialize(settings)
    with started(ruled, "worker", log=log, ALERTS_IDLE="1s"), database(settings) as db:

        def shared() -> bool:
            found = list(db["_workers"].find())
            return len(found) == 2 and all(
                {held["topic"] for held in one["partitions"]} >= {settings.kafka_partials_topic} for one in found
            )

        with started(settings, "worker", log=other) as without:
            until(shared, log)
            send(settings, views(random.Random(3), 4, 200), settings.kafka_partitions)
            until(lambda: "has no ALERTS_FILE: alerts may wait for what it publishes" in log.read_text(), log)
            done = command(ruled, "doctor")
            assert "without ALERTS_FILE: " in " ".join(done.stdout.split())
            until(lambda: "alerts wait since " in log.read_text(), log)
            [line] = [line for line in log.read_text().splitlines() if "alerts wait since" in line]
            assert f"nobody has said yet how far {settings.kafka_partials_topic}, partition " in line
            assert f"process {without.pid} has it, without ALERTS_FILE" in line
            listed = " ".join(succeed(ruled, "alerts", "list").split())
            assert "Held up since " in listed
            assert "held up since " in " ".join(command(ruled, "doctor").stdout.split())
            without.terminate()
            assert without.wait(30) == 0
        send(settings, views(random.Random(4), 4, 200, START_MS + 5 * HOUR_MS), settings.kafka_partitions)
        until(lambda: "alerts go on, nothing holds them up any more" in log.read_text(), log)
        until(lambda: "Evaluated until 2024-10-31 0" in succeed(ruled, "alerts", "list"), log)


def until(condition: Callable[[], bool], log: Path) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, log.read_text()[-3000:]
        time.sleep(0.2)
