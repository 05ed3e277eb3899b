"""examples/producers: the page shows them unchanged, and their views are in the partition of their user's hash."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.settings import Settings
from tests.services.test_tutorial import BLOCK
from tests.support.in_process import initialize
from tests.support.kafka_server import KafkaServer
from tests.support.whole_path import command, database, environment, log_of

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "how-to" / "producers.md"
PROGRAMS: Final = ROOT / "examples" / "producers"
BLOCKS: Final = [
    (remark.partition(": ")[0], remark.partition(": ")[2], text)
    for remark, _, text in BLOCK.findall(PAGE.read_text("utf-8"))
    if remark
]
RUNS: Final = [(folder, text) for kind, folder, text in BLOCKS if kind == "run"]
NEEDS: Final = {"java": ("java", "mvn"), "go": ("go",), "node": ("node", "npm"), "python": ()}
NOT_SHOWN: Final = {"go/go.sum", "node/package-lock.json", "node/.npmrc"}
"""What no person writes or reads."""
VIEWS: Final = 60
BUILT_WITHIN_S: Final = 300.0


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = {name: text for kind, name, text in BLOCKS if kind == "file"}
    assert {name: (PROGRAMS / name).read_text("utf-8") for name in shown} == shown
    there = {path.relative_to(PROGRAMS) for path in PROGRAMS.rglob("*") if path.is_file()}
    written = {str(path) for path in there if not {"node_modules", "target", "__pycache__"} & set(path.parts)}
    assert written == shown.keys() | NOT_SHOWN


def test_versions_are_pinned_and_no_registry_is_named() -> None:
    packages = json.loads((PROGRAMS / "node" / "package-lock.json").read_text("utf-8"))["packages"]
    assert (
        packages["node_modules/kafkajs"]["version"]
        == json.loads((PROGRAMS / "node" / "package.json").read_text("utf-8"))["dependencies"]["kafkajs"]
    )
    assert not any("resolved" in package for package in packages.values())
    for line in (PROGRAMS / "python" / "requirements.txt").read_text("utf-8").splitlines():
        assert re.fullmatch(r"[a-z-]+==[\d.]+", line)
    pom = (PROGRAMS / "java" / "pom.xml").read_text("utf-8")
    assert "<repositor" not in pom
    assert len(re.findall(r"<artifactId>", pom)) == len(re.findall(r"<version>[\d.]+</version>", pom))


@pytest.fixture(scope="module")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def assert_sends_views(settings: Settings, folder: str, lines: str, scratch: Path) -> None:
    """Runs the lines of the page in a copy of the folder; the views are in their partitions, and are counted."""
    copy = scratch / folder
    shutil.copytree(PROGRAMS / folder, copy, ignore=shutil.ignore_patterns("node_modules", "target"))
    initialize(settings)
    packages = str(scratch / "packages")
    for line in lines.splitlines():
        installs = line.startswith("pip install")
        done = subprocess.run(
            ["bash", "-c", f"{line} --quiet --disable-pip-version-check --target {packages}" if installs else line],
            cwd=copy,
            env=environment(
                settings,
                PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                **({"PYTHONPATH": packages} if Path(packages).exists() else {}),
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILT_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    without_colours = re.sub(r"\x1b\[\d*m", "", done.stdout)  # Maven's
    assert without_colours.splitlines()[-1] == f"{VIEWS} views are acknowledged"

    by_partition = [
        [json.loads(value or b"")["user_id"] for _, _, value in partition] for partition in log_of(settings)
    ]
    users = sorted(user for partition in by_partition for user in partition)
    assert users == sorted(f"zoé_{number}" for number in range(VIEWS))
    for partition, those in enumerate(by_partition):
        assert those, "60 users are in all of three partitions"
        keys = [user.encode() for user in those]
        assert set(partitions_of(keys, len(by_partition)).tolist()) == {partition}
    counted = command(settings, "worker", "--until-end")
    assert counted.returncode == 0, counted.stderr
    assert "another partition" not in counted.stdout + counted.stderr
    assert f"{VIEWS} counted, 0 bad, 0 late" in counted.stdout
    with database(settings) as db:
        [genre] = db["category_stats"].find()
        assert (genre["total_views"], genre["unique_users"], genre["avg_rating"]) == (VIEWS, VIEWS, 4.5)


@pytest.mark.parametrize("name", ["view_producer.py", "plain_aiokafka.py"])
def test_the_python_programs_with_the_installed_libraries(settings: Settings, tmp_path: Path, name: str) -> None:
    assert_sends_views(settings, "python", f"python {name}", tmp_path)


ALL_OF_THE_PAGE: Final = pytest.mark.parametrize(
    ("folder", "lines"), RUNS, ids=[lines.split()[-1] for _, lines in RUNS]
)


@pytest.mark.long
@pytest.mark.timeout(900)
@ALL_OF_THE_PAGE
def test_a_program_of_the_page_with_the_embedded_broker(
    settings: Settings, tmp_path: Path, folder: str, lines: str
) -> None:
    assert_the_page_sends_views(settings, folder, lines, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@ALL_OF_THE_PAGE
def test_a_program_of_the_page_with_apache_kafka(
    settings: Settings, apache_kafka: KafkaServer, tmp_path: Path, folder: str, lines: str
) -> None:
    there = settings.model_copy(update={"kafka_bootstrap_servers": apache_kafka.bootstrap_servers})
    assert_the_page_sends_views(there, folder, lines, tmp_path)


def assert_the_page_sends_views(settings: Settings, folder: str, lines: str, scratch: Path) -> None:
    absent = [program for program in NEEDS[folder] if shutil.which(program) is None]
    if absent:
        pytest.skip(f"{' and '.join(absent)} not found on PATH")
    if "confluent" in lines:
        lines = f"pip install --requirement requirements.txt\n{lines}"  # as for the program before it
    assert_sends_views(settings, folder, lines, scratch)
