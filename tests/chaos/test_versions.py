"""A rolling upgrade: workers of two versions side by side in one group, under load, replaced one by one."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.chaos.fleet import ROOT, Command
from tests.chaos.scenario import TIMEOUT_S, on_kafka_when_asked
from tests.chaos.stage import Kind, Stage
from tests.support.whole_path import database

pytestmark = pytest.mark.timeout(TIMEOUT_S)

EARLIER = "81633745f5b0588502e4f29b86ba221424b6e774"
"""A version that knows neither `data_quality` nor marks. Once there are two releases of one format, the first of them
takes its place.
"""


def earlier_worker(folder: Path) -> Command:
    """A worker of that version, taken out of the repository."""
    packed = subprocess.run(["git", "archive", EARLIER, "movie_stream"], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"this checkout has no commit {EARLIER[:7]}: git fetch --unshallow")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    run = f"import sys; sys.path.insert(0, {str(folder)!r}); from movie_stream.entry import main; main()"
    return sys.executable, "-c", run, "worker"


def other_format(number: int) -> Command:
    return sys.executable, "-m", "tests.upgrades.other_version", str(number), "worker"


@on_kafka_when_asked
def test_workers_are_replaced_by_those_of_the_next_version_and_back(kind: Kind, tmp_path: Path) -> None:
    """Not on Tansu, of which the earlier version passes over a batch once in a while: it does not wait at holes."""
    earlier = earlier_worker(tmp_path / "earlier")
    with Stage("a rolling upgrade, and back", kind, tmp_path) as stage:
        with stage.producing(stage.stream(), 4_000) as producer:
            stage.fleet.fill(2, earlier)
            for _ in stage.fleet.alive:
                stage.pause(2, 4)
            replaced = stage.fleet.alive
            for old in replaced:  # one by one, some in order and some not
                stage.fault("a worker of the next version beside the earlier ones")
                stage.fleet.start().wait_for("goes on at offset")
                stage.pause(1, 4)
                if stage.rng.random() < 0.5:
                    old.kill()
                else:
                    stage.leave_one(old, overtaken=True)
            newer = stage.fleet.alive
            stage.pause(2, 4)
            stage.fault("back: a worker of the earlier version beside the newer ones")
            stage.fleet.start(earlier).wait_for("goes on at offset")
            newer[0].kill()
            stage.pause(2, 4)
            stage.fault("a worker of another format")
            foreign = stage.fleet.start(other_format(99))
            assert foreign.process.wait(60) == 1
            assert "reads and writes format 99; nothing was changed" in foreign.text
            foreign.killed = True
            stage.fault("forward again")
            for old in stage.fleet.alive:
                stage.fleet.start().wait_for("goes on at offset")
                stage.leave_one(old, overtaken=True)
            producer.wait()
        stage.fleet.fill(2)
        stage.recover()
        stage.leave()
        wrong, events = stage.differences()
        with database(stage.settings) as db:
            assert db["data_quality"].count_documents({}) == 0, "the run was begun before there was such a result"
            assert db["_partials"].count_documents({"_id": {"$regex": r"^\|published\|"}})
        stage.keep([line for line in wrong if not line.startswith("data_quality")], events)
