"""A broker that dies or cannot be reached: the workers wait or are started again, and every document is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.fleet import until
from tests.chaos.scenario import TIMEOUT_S, on_both_when_asked, on_kafka_when_asked
from tests.chaos.stage import Kind, Stage

pytestmark = pytest.mark.timeout(TIMEOUT_S)

AWAY_S = 30.0


@on_kafka_when_asked
def test_the_broker_is_killed_and_started_again(kind: Kind, tmp_path: Path) -> None:
    """kill -9 of Apache Kafka, which restarts on its data; a worker that gave up is restarted."""
    with Stage("broker killed -9", kind, tmp_path) as stage, stage.producing(stage.stream(), 10_000) as views:
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        while stage.faults < 3 or not views.done:
            stage.pause(2, 6)
            stage.fault("kill -9 of the broker")
            stage.kafka.kill()
            stage.pause(0, 3)
            stage.kafka.start()
            stage.kafka.wait_until_ready()
            stage.fleet.fill(2)
        stage.end(views)


@on_kafka_when_asked
def test_one_of_three_brokers_is_killed(kind: Kind, tmp_path: Path) -> None:
    """kill -9 of one broker after the other; the two that are left lead its partitions, and no worker ends."""
    with (
        Stage("one of three brokers killed -9", kind, tmp_path, three_brokers=True) as stage,
        stage.producing(stage.stream(), 10_000) as views,
    ):
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        while stage.faults < 3 or not views.done:
            stage.pause(2, 6)
            broker = stage.cluster.brokers[stage.faults % 3]
            stage.fault("kill -9 of a broker")
            broker.kill()
            stage.pause(5, 10)
            broker.start()
            stage.cluster.wait_until_in_sync()
            stage.fleet.fill(2)
        stage.end(views)


@on_both_when_asked
@pytest.mark.parametrize("how", ["cut", "silent"])
def test_the_network_to_the_broker_is_cut(kind: Kind, how: str, tmp_path: Path) -> None:
    """For 30 s: all connections closed and none answered; or no byte passes, and all of them arrive late."""
    with Stage(f"broker {how} for 30 s", kind, tmp_path) as stage, stage.producing(stage.stream(), 6_000) as views:
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        views.wait(0.15)
        stage.fault(f"the network is {how}")
        with stage.proxy.cut() if how == "cut" else stage.proxy.silent():
            stage.pause(AWAY_S, AWAY_S + 1)
        stage.fault("it is back")
        stage.fleet.fill(2)
        stage.end(views)


@on_kafka_when_asked
def test_the_broker_hangs(kind: Kind, tmp_path: Path) -> None:
    """SIGSTOP for longer than the session timeout: the group finds out afterwards."""
    with Stage("broker stopped", kind, tmp_path) as stage, stage.producing(stage.stream(), 10_000) as views:
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        for _ in range(2):
            stage.pause(1, 4)
            stage.fault("SIGSTOP of the broker")
            with stage.kafka.paused():
                stage.pause(5, 12)
            stage.fault("SIGCONT of the broker")
        stage.end(views)
