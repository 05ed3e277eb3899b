"""The benchmark: its stream, meter, results and report; and one small run, of which only that it works is checked."""

from __future__ import annotations

import asyncio
import doctest
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import thread_time
from types import ModuleType
from typing import Any

import psutil
import pytest
from rich.console import Console

from bench import latency, meter, ours, profile, report, results, running, stream
from bench.goals import GOALS, OURS
from bench.meter import FIRST, LAST, Meter, PeerFailed, environment
from bench.peers.catalogue import FOLDER, PEERS
from bench.results import Found, Result, load
from bench.stages import Clock
from bench.stream import GENRES, Stream, all_records
from movie_stream.event import RULES
from movie_stream.partitioner import partitions_of

ROOT = Path(__file__).parents[1]
MACHINE = {"cores": 2, "cpu": "a CPU", "memory_gb": 24, "python": "3.11.7", "java": ""}
RESULT = Result("peers", OURS, "2026-01", 0, 100, "Tansu", {"events_per_s": 300.0}, machine=MACHINE)


# ---- the stream ------------------------------------------------------------------------------------------------------


def test_the_same_stream_has_the_same_views() -> None:
    assert all_records(Stream(50_000)) == all_records(Stream(50_000))
    assert all_records(Stream(100)) != all_records(Stream(100, seed=8))


def test_views_are_good_and_in_time_order_and_keyed_by_their_user() -> None:
    keys, values = all_records(Stream(30_000, users=100, films=50))
    views = [json.loads(value) for value in values]
    assert set(views[0]) == set(RULES) - {"price"}
    assert [view["user_id"].encode() for view in views] == keys
    times = [view["timestamp"] for view in views]
    assert times == sorted(times)
    assert times[-1] - times[0] == 29_999 * 3_600_000 // 1_500_000
    assert {view["genre"] for view in views} == set(GENRES)
    assert len({view["movie_id"] for view in views}) == 50
    assert len(set(keys)) == 100
    assert set(partitions_of(keys, 3).tolist()) == {0, 1, 2}


# ---- the meter -------------------------------------------------------------------------------------------------------

BUSY = """
import json, subprocess, sys
print(json.dumps({"mark": "first"}), flush=True)
subprocess.run([sys.executable, "-c", "sum(range(20_000_000)); b = bytearray(50_000_000)"], check=True)
print(json.dumps({"mark": "last", "events": 7}), flush=True)
"""


def test_children_count_too() -> None:
    with Meter("busy", [sys.executable, "-c", BUSY], environment()) as busy:
        done = busy.wait(60)
    first, last = done.mark(FIRST), done.mark(LAST)
    assert last.said == {"events": 7}
    assert 0 < last.cpu_s - first.cpu_s <= done.cpu_s
    assert first.at_s < last.at_s <= done.ended_s
    assert done.peak_rss_bytes > 0


def test_a_failure_is_told_with_its_last_words() -> None:
    with (
        Meter("broken", [sys.executable, "-c", "raise SystemExit('no luck')"], environment()) as broken,
        pytest.raises(PeerFailed, match="broken ended with 1: no luck"),
    ):
        broken.wait(60)


def test_what_goes_on_for_ever_is_ended_with_its_children() -> None:
    forever = "import subprocess, sys; print('{\"mark\": \"last\"}', flush=True); subprocess.run(['sleep', '600'])"
    with Meter("forever", [sys.executable, "-c", forever], environment()) as endless:
        endless.until(LAST, 60)
        with pytest.raises(PeerFailed, match="not done within"):
            endless.until(LAST, 1, nth=2)
        family = psutil.Process(endless.process.pid).children()
    assert not any(one.is_running() for one in family)


# ---- results and report ----------------------------------------------------------------------------------------------


def test_ratios_are_of_one_run() -> None:
    kept = [
        RESULT,
        replace(RESULT, subject="Spark", figures={"events_per_s": 30.0}),
        replace(RESULT, run="2026-02", figures={"events_per_s": 900.0}),
    ]
    [goal] = [goal for goal in GOALS if goal.against == "Spark"]
    assert report.verdict(goal, Found(kept)) == (">= 8.00 x", "10.0 x", "yes")
    assert report.verdict(goal, Found(kept[:1])) is None


def test_medians_are_over_the_rounds_and_what_was_skipped_says_why() -> None:
    rounds = [replace(RESULT, round=n, figures={"events_per_s": value}) for n, value in enumerate((900.0, 1.0, 300.0))]
    skipped = replace(RESULT, subject="Spark", figures={}, skipped="needs java, not found on PATH")
    table = report.peers_table(Found([*rounds, skipped]))
    assert "| movie-stream |  | 300 |" in table
    assert "| Spark | skipped: needs java, not found on PATH |" in table


def test_every_goal_can_be_measured() -> None:
    subjects = {OURS, *(subject for peer in PEERS for subject in peer.subjects)}
    assert {goal.against for goal in GOALS if goal.part == "peers"} <= subjects
    assert len({goal.what for goal in GOALS}) == len(GOALS)


def test_a_report_can_be_made_of_nothing_and_of_itself() -> None:
    once = report.filled(report.PAGE.read_text(encoding="utf-8"), [])
    assert once.count("not measured") == len(GOALS)
    assert report.filled(once, []) == once


def test_the_reading_order_names_files_that_exist() -> None:
    import bench

    for name in re.findall(r"^\d+\. +(\S+)", bench.__doc__ or "", re.MULTILINE):
        assert (ROOT / "bench" / name).exists(), name


def test_no_peer_is_told_where_things_come_from() -> None:
    for file in [*FOLDER.rglob("*.xml"), *FOLDER.rglob("*.txt"), *FOLDER.rglob("*.py"), *FOLDER.rglob("*.java")]:
        places = re.findall(r"https?://\S+", file.read_text(encoding="utf-8"))
        assert {place for place in places if "maven.apache.org/POM" not in place} == set(), file


@pytest.mark.parametrize(
    "module", [latency, meter, ours, profile, report, results, running, stream], ids=lambda m: m.__name__
)
def test_the_examples_in_docstrings(module: ModuleType) -> None:
    # The peers cannot be imported here, so pytest does not collect the whole package.
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_every_stage_of_the_profile_still_exists() -> None:
    # In a process of its own: what is timed stays so.
    install = "from bench.stages import Clock, install; install(Clock())"
    done = subprocess.run([sys.executable, "-c", install], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_a_stage_has_its_own_time_only() -> None:
    def spin(seconds: float) -> None:
        end = thread_time() + seconds
        while thread_time() < end:
            pass

    async def outer() -> int:
        spin(0.05)
        await asyncio.sleep(0)
        await inner()
        return 7

    clock = Clock()
    work = clock.of_function(spin, "inner of {0}")

    async def inner() -> None:
        await asyncio.sleep(0.01)
        work(0.1)

    assert await clock.of_function(outer, "outer")() == 7
    assert 0.1 <= clock.seconds["inner of 0.1"] < 0.2
    assert 0.05 <= clock.seconds["outer"] < 0.1


# ---- one small run ---------------------------------------------------------------------------------------------------


def test_a_small_run(tmp_path: Path) -> None:
    """With the embedded broker, beside a bare consumer."""
    kept, page = tmp_path / "results.jsonl", tmp_path / "performance.md"
    command = [sys.executable, "-m", "bench", "peers", "--only", "getmany", "--events", "20000", "--rounds", "1"]
    command += ["--embedded", "--results", str(kept), "--page", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    worker, peer = load(kept)
    assert not worker.skipped, worker.skipped
    assert not peer.skipped, peer.skipped
    assert (worker.subject, peer.subject) == (OURS, "aiokafka getmany")
    for result in (worker, peer):
        assert result.events >= 20_000
        assert _positive(result.figures, "events_per_s", "events_per_cpu_s", "cpu_us_per_event", "peak_rss_mb")
    assert _positive(worker.figures, "documents", "events_per_s_with_start")
    assert "| aiokafka getmany | fetches, and does nothing else |" in page.read_text(encoding="utf-8")


def _positive(figures: Any, *names: str) -> bool:
    return all(figures[name] > 0 for name in names)


def test_the_report_is_shown_in_80_columns() -> None:
    console = Console(width=80, record=True)
    report.show(Found([RESULT, replace(RESULT, subject="Spark", figures={"events_per_s": 30.0})]), console)
    assert "10.0 x" in console.export_text()
