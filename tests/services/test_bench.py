"""The benchmark: its stream, meter, results and report; and small runs, of which only that they work is checked."""

from __future__ import annotations

import asyncio
import doctest
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import thread_time
from types import ModuleType
from typing import Any, Final

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from bench import (
    asked,
    compare,
    installs,
    latency,
    merged,
    meter,
    movielens,
    ours,
    positions,
    profile,
    report,
    results,
    running,
    scale,
    scaling,
    sparse,
    stream,
    web,
    worker,
)
from bench import default as default_part
from bench.cli import app
from bench.goals import GOALS, OURS
from bench.installs import NotInstalled, python_with
from bench.meter import FIRST, LAST, Meter, PeerFailed, environment
from bench.movielens import Ratings
from bench.peers.catalogue import FOLDER
from bench.positions import Look
from bench.replacing import replaced
from bench.results import FULL, Found, Result, keep, load
from bench.running import Run
from bench.services import Services
from bench.stages import Clock
from bench.stream import GENRES, Stream, all_records
from bench.temporary import temporary_folder
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.errors import InputError
from movie_stream.events.contract import FIELD_RULES

ROOT = Path(__file__).parents[2]
MACHINE = {"cores": 2, "cpu": "a CPU", "memory_gb": 24, "python": "3.11.7", "java": ""}
RESULT = Result("peers", OURS, "2026-01", 0, 100, "Tansu", {"events_per_s": 300.0}, machine=MACHINE)
PRODUCED = replace(RESULT, part="produce", subject="produce")
BACKLOGS = {variant.subject for variant in worker.VARIANTS}


def python(*arguments: str, within_s: float = 100.0) -> subprocess.CompletedProcess[str]:
    """A program of the benchmark, to its end."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=within_s, check=False)


# ---- the stream ------------------------------------------------------------------------------------------------------


def test_the_same_stream_has_the_same_views() -> None:
    assert all_records(Stream(50_000)) == all_records(Stream(50_000))
    assert all_records(Stream(100)) != all_records(Stream(100, seed=8))


def test_views_are_good_and_in_time_order_and_keyed_by_their_user() -> None:
    keys, values = all_records(Stream(30_000, users=100, films=50))
    views = [json.loads(value) for value in values]
    assert set(views[0]) == set(FIELD_RULES) - {"price"}
    assert [view["user_id"].encode() for view in views] == keys
    times = [view["timestamp"] for view in views]
    assert times == sorted(times)
    assert times[-1] - times[0] == 29_999 * 3_600_000 // 1_500_000
    assert {view["genre"] for view in views} == set(GENRES)
    assert len({view["movie_id"] for view in views}) == 50
    assert len(set(keys)) == 100
    assert set(partitions_of(keys, 3).tolist()) == {0, 1, 2}


def test_sparse_views_are_good_and_in_time_order_and_in_sessions() -> None:
    assert all_records(Ratings(5_000)) == all_records(Ratings(5_000))
    keys, values = all_records(Ratings(30_000))
    views = [json.loads(value) for value in values]
    assert len(views) == 30_000
    assert set(views[0]) == {"movie_id", "title", "genre", "user_id", "timestamp", "rating"}
    assert [view["user_id"].encode() for view in views] == keys
    times_s = [view["timestamp"] / 1_000 for view in views]
    assert times_s == sorted(times_s)
    assert times_s[0] >= movielens.BEGIN_S
    assert times_s[-1] < movielens.END_S
    assert {view["rating"] for view in views} == {half / 2 for half in range(1, 11)}
    sessions = len({(view["user_id"], view["timestamp"] // 86_400_000) for view in views})
    assert 10 < 30_000 / sessions < 20
    minutes = {(view["timestamp"] // 60_000, view["genre"]) for view in views}
    assert len(minutes) > 0.9 * 30_000, "almost every one makes a document of its own"


def test_the_views_of_generate_are_those_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "views.jsonl"
    done = python(*ours.COMMAND[1:], "generate", "--output", str(file), "--count", "3000")
    assert done.returncode == 0, done.stderr
    keys, values = all_records(default_part.Generated(3_000))
    assert file.read_bytes().split(b"\n")[:-1] == values
    assert [json.loads(value)["user_id"].encode() for value in values] == keys


# ---- standstills -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 30), st.none() | st.integers(0, 3)), max_size=30), st.integers(0, 20))
def test_standstills_are_found_as_by_looking_at_each_moment(steps: list[tuple[int, int | None]], since: int) -> None:
    """A partition is not owned (None), or has advanced by so much, after so much time."""
    looks, at, position = list[Look](), 0, 0
    moved = list[int]()
    for took, more in steps:
        at += took
        if more is not None:
            first = not any(look.positions for look in looks)
            position += more
            if more and not first:
                moved.append(at)
        looks.append(Look(float(at), {} if more is None else {7: position}))
    until = max(at, since)
    still = longest = 0
    for moment in range(since + 1, until + 1):
        still += 1
        longest = max(longest, still)
        if moment in moved:
            still = 0
    assert positions.longest_standstill_s(looks, 7, since, until) == longest
    assert positions.advanced(looks, 7, since) == next((moment for moment in moved if moment > since), None)
    assert positions.longest_standstill_s(looks, 8, since, until) == until - since


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
    assert last.values == {"events": 7}
    assert 0 < last.cpu_s - first.cpu_s <= done.cpu_s
    assert first.at_s < last.at_s <= done.ended_s
    assert done.peak_rss_bytes > 0


def test_what_ends_between_a_mark_and_the_look_at_it_counts() -> None:
    with Meter("busy", [sys.executable, "-c", BUSY], environment()) as busy:
        done = busy.wait(60)
        busy._cpu_s = 0.0
        busy._sample(done.ended_s + 60)
        assert busy.cpu_s == pytest.approx(done.cpu_s)  # a sum in another order
        assert done.cpu_s > 0


def test_a_failure_is_reported_with_its_last_lines() -> None:
    with (
        Meter("broken", [sys.executable, "-c", "raise SystemExit('no luck')"], environment()) as broken,
        pytest.raises(PeerFailed, match="broken ended with 1: no luck"),
    ):
        broken.wait(60)


def test_an_endless_process_is_ended_with_its_children() -> None:
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
    assert "| movie-stream |  | 300 | 1.00–900 |" in table
    assert "| Spark | skipped: needs java, not found on PATH |" in table


def test_every_goal_is_of_subjects_that_are_measured() -> None:
    for goal in GOALS:
        assert goal.subject in report.SUBJECTS[goal.part], goal
        assert goal.against is None or goal.against in report.SUBJECTS[goal.part], goal
    assert len({goal.what for goal in GOALS}) == len(GOALS)


def test_a_page_and_the_command_line_have_every_part() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    said = python("-m", "bench", "--help").stdout
    for part in report.SUBJECTS:
        assert f"<!-- {part} -->" in page, part
        assert f"`{part}`" in page or f"PART={part}" in page, part
        assert f" {part} " in said, part


def test_what_was_not_measured_stays_on_the_page() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    assert report.filled(page, []) == page
    one = replace(RESULT, part="worker", subject="1 worker", figures={"events_per_s": 7.0, "peak_rss_mb": 5.0})
    skipped = replace(RESULT, part="scale", subject="12 partitions, 1 worker", figures={}, skipped="no room")
    filled = report.filled(page, [one, skipped])
    of_workers, before = (report.section(text, "worker").splitlines() for text in (filled, page))
    assert "| 1 worker | 7.00 |  |  |  | 5.00 |  |  |" in of_workers
    assert [row for row in before if row not in of_workers] == [row for row in before if row.startswith("| 1 worker |")]
    for name in ("peers", "sparse", "movielens", "default", "rebalance", "latency", "produce", "profile", "web"):
        assert report.section(filled, name) == report.section(page, name), name
    for name in ("scale", "scaling"):
        assert report.section(filled, name) == report.section(page, name), name
    goals, before = (report.section(text, "goals").splitlines() for text in (filled, page))
    assert [row for row in goals if row not in before] == ["| memory of a worker | <= 280 MB | 5.00 MB | yes |"]
    assert len(goals) == len(before)
    assert "Not measured then, so older or of another machine: peers, sparse, " in report.section(filled, "machine")
    assert "One round " in report.section(filled, "machine")


def test_a_goal_that_changed_has_no_figure_until_it_is_measured() -> None:
    page = report.PAGE.read_text(encoding="utf-8").replace("| memory of a worker | <= 280 MB |", "| memory | <= 1 MB |")
    assert "| memory of a worker | <= 280 MB | not measured |  |" in report.filled(page, [RESULT, PRODUCED])


PEERS = """<!-- machine -->
Measured up to 2026-01-07 on 2 cores.
<!-- end of machine -->
<!-- peers -->
|  | does | events/s | least to most | events per CPU-second | MB | ours: x events/s | ours: x a CPU-second |
| --- | --- | --- | --- | --- | --- | --- | --- |
| movie-stream |  | 100 |  |  |  |  |  |
| Flink, warm |  | 200 |  |  |  |  |  |
| Faust |  | 5.00 |  |  |  |  |  |
| Storm |  | 6.00 |  |  |  |  |  |

Of another day than the rest: Faust (2025-12-31).
<!-- end of peers -->"""


def test_a_partial_run_leaves_the_rows_of_others_with_their_day() -> None:
    run = replace(RESULT, run="2026-02-01T00:00:00Z")
    spark = replace(run, subject="Spark", figures={"events_per_s": 30.0})
    filled = report.section(report.filled(PEERS, [run, spark]), "peers")
    names = [line.split("|")[1].strip() for line in filled.splitlines() if line.startswith("|")][2:]
    assert names == [OURS, "Flink, warm", "Spark", "Faust"], "in their order, without the one that is no longer there"
    assert "| movie-stream |  | 300 |" in filled
    assert "| Flink, warm |  | 200 |" in filled
    assert filled.endswith("\nOf another day than the rest: Flink, warm (2026-01-07); Faust (2025-12-31).\n")
    again = report.section(report.filled(PEERS, [run, replace(spark, run="2026-02-02T00:00:00Z")]), "peers")
    assert "rest: movie-stream (2026-02-01); Flink, warm (2026-01-07); Faust (2025-12-31).\n" in again


def test_rows_of_other_columns_do_not_stay() -> None:
    before = PEERS.replace("| MB |", "| megabytes |")
    filled = report.section(report.filled(before, [RESULT]), "peers")
    assert "Flink" not in filled
    assert "Of another day" not in filled


@given(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5), min_size=1), st.sets(st.integers(0, 5), min_size=1))
def test_rows_stay_whatever_was_measured_before(first: set[int], second: set[int], third: set[int]) -> None:
    """As if each row had its day beside it."""
    subjects = [f"name {number}, of six" for number in range(6)]
    page, of = report.table(("", "x"), [(subjects[one], "0") for one in sorted(first)]), dict.fromkeys(first, "day 0")
    for day, measured in (("day 1", second), ("day 2", third)):
        made = report.table(("", "x"), [(subjects[one], day) for one in sorted(measured)])
        # The page names a day for the whole: that of its newest results.
        up_to = max(of.values(), default="day 0")
        page = merged.merged(made, page or made, subjects, {subjects[one]: day for one in measured}, up_to)
        of |= dict.fromkeys(measured, day)
    rows = [line for line in page.splitlines() if line.startswith("|")][2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {subjects[one]}" for one in sorted(of)]
    for one, day in of.items():
        assert (f"{subjects[one]} ({day})" in page) == (day != "day 2")


def test_a_newer_run_counts_though_it_has_fewer_events() -> None:
    kept = [replace(PRODUCED, run=run, events=events) for run, events in (("1", 3 * FULL), ("2", FULL), ("3", 10))]
    found = Found(kept).get("produce", "produce")
    assert found is not None
    assert found.run == "2"


def test_the_notes_follow_from_the_tables() -> None:
    figures = {
        "events_per_s": 600_000.0,
        "cpu_us_per_event": 1.4,
        "broker_us_per_event": 0.7,
        "mongod_us_per_event": 0.07,
        "event_bytes_per_event": 150.0,
        "partials_bytes_per_event": 15.0,
        "documents_per_event": 0.001,
        "accumulate_changelog_bytes_per_event": 20.0,
        "publish_changelog_bytes_per_event": 15.0,
        "document_bytes": 400.0,
    }
    few = replace(RESULT, part=scale.PART, subject=scale.SUBJECTS[0], figures=figures)
    many = replace(few, subject=scale.SUBJECTS[1], figures=figures | {"events_per_s": 900_000.0})
    assert scaling.scaling_note(Found([few])) == ""
    note = scaling.scaling_note(Found([few, many]))
    for said in (
        *("1.50 times as many", "**20 workers**", "(40)", "so 10 cores", "1,500 MB/s, uncompressed"),
        *(
            "150 MB/s of partials",
            "That is 2,000 MB/s",
            "6,000 MB/s",
            "**7 brokers**",
            "10,000 documents/s of 400",
        ),
        *("50,000 events/s here", "250,000 in what follows", "so 1 core."),
    ):
        assert said in note, said
    without = {name: value for name, value in figures.items() if "bytes_per_event" not in name}
    embedded = [replace(one, figures=without) for one in (few, many)]
    assert "measured with Apache Kafka only" in scaling.scaling_note(Found(embedded))


def test_what_movielens_would_take_is_said_to_be_computed() -> None:
    figures = {"wall_s": 60.0, "documents": 2_400_000.0, "disk_bytes_per_document": 100.0}
    ours = replace(RESULT, part=sparse.PART, events=2_000_000, figures=figures)
    note = report.movielens_note(Found([ours]))
    assert "was not counted. By the 2,000,000 ratings that were measured, its 20,000,263 would take 10 minutes" in note
    assert "24,000,316 documents at most, 1.20 a rating, of 2.4 GB" in note


def test_small_runs_are_on_a_page_only_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    ours = report.PAGE.read_bytes()
    keep(replace(PRODUCED, events=FULL - 1), kept)
    report.main(kept)
    assert "performance.md stays as it is" in capsys.readouterr().out
    assert report.PAGE.read_bytes() == ours
    report.main(kept, page)
    assert "| produce | 300 |" in page.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".svg"] == []  # no peers, no bars
    assert report.PAGE.read_bytes() == ours


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "results.jsonl"
    keep(RESULT, kept)
    with kept.open("a") as file:
        file.write('[]\n{"part": "worker", "subj')
    keep(PRODUCED, kept)
    assert [(result.part, result.figures) for result in load(kept)] == [
        ("peers", RESULT.figures),
        ("produce", PRODUCED.figures),
    ]
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": expected")[0] for line in said] == [f"{kept}, line 2", f"{kept}, line 3"]


def test_results_that_cannot_be_kept_are_one_line(tmp_path: Path) -> None:
    run = Run(Services(embedded=True), 1_000, 1, Path("/dev/full"), Console(record=True, width=200))
    with pytest.raises(InputError, match=r"^/dev/full: expected a file that results can be added to, got 'No space"):
        run.measure("peers", 0, OURS, lambda: [{"events_per_s": 300.0}])
    assert "300 events/s" in run.console.export_text()
    done = python("-m", "bench.report", "--results", str(tmp_path), "--no-plot")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {tmp_path}: expected a file with results, got 'Is a directory'; ")


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- peers -->\nold\n<!-- end of peers -->")
    page.with_name("page.md.new").mkdir()
    with pytest.raises(InputError, match="expected a file that can be written, got 'Is a directory'"):
        report.fill(page, [RESULT], Console(quiet=True))
    assert "\nold\n" in page.read_text()


def test_a_page_that_is_not_finished_replaces_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("old")

    def interrupted() -> None:
        with replaced(page) as unfinished:
            unfinished.write_text("half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("page.md", "old")]


def test_the_reading_order_names_files_that_exist() -> None:
    import bench

    for name in re.findall(r"^\d+\. +(\S+)", bench.__doc__ or "", re.MULTILINE):
        assert (ROOT / "bench" / name).exists(), name


def test_no_peer_contains_an_address() -> None:
    for file in [*FOLDER.rglob("*.xml"), *FOLDER.rglob("*.txt"), *FOLDER.rglob("*.py"), *FOLDER.rglob("*.java")]:
        places = re.findall(r"https?://\S+", file.read_text(encoding="utf-8"))
        assert {place for place in places if "maven.apache.org/POM" not in place} == set(), file


def test_what_cannot_be_installed_is_tried_once_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installs, "MADE", tmp_path)
    needs = tmp_path / "needs.txt"
    needs.write_text("./missing.whl\n")
    with pytest.raises(NotInstalled, match=r"its installation failed: .*missing\.whl") as first:
        python_with(needs)
    (tmp_path / "python" / "needs.made").unlink()  # a second try would make it again
    with pytest.raises(NotInstalled) as second:
        python_with(needs)
    assert str(second.value) == str(first.value)
    assert not (tmp_path / "python" / "needs.made").exists()


@pytest.mark.parametrize(
    "module",
    [asked, latency, merged, meter, ours, positions, profile, report, results, running, scaling, stream, web],
    ids=lambda m: m.__name__,
)
def test_the_examples_in_docstrings(module: ModuleType) -> None:
    # The peers cannot be imported here, so pytest does not collect the whole package.
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_every_stage_of_the_profile_still_exists() -> None:
    # In a process of its own: what is timed stays so.
    install = "from bench.stages import Clock, install; install(Clock())"
    done = python("-c", install)
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


DECODED: Final = """
import json
from collections import deque
from time import thread_time
from bench.stages import Clock, install
clock = Clock()
install(clock)
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from bench.stream import Stream, all_records
from movie_stream.kafka.batches.unpack import FetchedBatch, take_runs
batch = DefaultRecordBatchBuilder(2, 0, False, -1, -1, 0, 1 << 24)
for offset, (key, value) in enumerate(zip(*all_records(Stream(20_000)))):
    batch.append(offset, 0, key, value, [])
began = thread_time()
take_runs(deque([FetchedBatch(memoryview(bytes(batch.build())), 0, 0, "here", 2, 20_000, set())]), of_views=True)
print(json.dumps({"whole": thread_time() - began, **clock.seconds}))
"""


def test_decoding_and_hashing_are_no_part_of_unpacking() -> None:
    done = python("-c", DECODED)
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout)
    whole = seconds.pop("whole")
    assert set(seconds) == {"unpack", "decode plain records"}
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) <= whole


# ---- small runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("worker", "--only", "zzz"), 'expected part of one of "1 worker", "2 workers"'),
        (("peers", "--only", "zzz"), "no such peer: zzz"),
    ],
)
def test_a_name_that_does_not_exist_is_refused(arguments: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert says in " ".join(re.sub("[│╭╮╰╯─]", " ", done.output).split())


def test_ctrl_c_while_it_is_imported_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "worker"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_before_anything_was_measured_shows_no_older_figures(tmp_path: Path) -> None:
    kept = tmp_path / "results.jsonl"
    keep(replace(PRODUCED, events=FULL), kept)
    command = [sys.executable, "-m", "bench", "produce", "--embedded", "--results", str(kept)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("broker: ")
        run.send_signal(signal.SIGINT)
        rest, errors = run.communicate(timeout=60)
    assert (run.returncode, rest, errors) == (130, "", "")


@pytest.mark.parametrize("step", ["mkdtemp", "rmtree"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_folder_is_made_or_removed_leaves_none(
    number: signal.Signals, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*arguments: Any, **options: Any) -> str:
        folder = make(*arguments, **options)
        if step == "mkdtemp":
            signal.raise_signal(number)
        return folder

    def removed(*arguments: Any, **options: Any) -> None:
        if step == "rmtree":
            signal.raise_signal(number)
        remove(*arguments, **options)

    def ends(*_: object) -> None:
        raise SystemExit

    make, remove = tempfile.mkdtemp, shutil.rmtree
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", made)
    monkeypatch.setattr(shutil, "rmtree", removed)
    before = {other: signal.signal(other, ends) for other in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit), temporary_folder():
            assert step == "rmtree", "the signal was lost"
        assert {signal.getsignal(other) for other in before} == {ends}
    finally:
        for other, handler in before.items():
            signal.signal(other, handler)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("part", "only"),
    [
        ("worker", ("--only", worker.START)),
        ("produce", ()),
        ("latency", ()),
        ("profile", ()),
        ("sparse", ()),
        ("default", ()),
        ("rebalance", ()),
        ("scale", ()),
        ("web", ("--seconds", "5")),
    ],
)
def test_a_part_leaves_what_the_page_and_the_goals_need(part: str, only: tuple[str, ...], tmp_path: Path) -> None:
    kept, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    arguments = ["--events", "20000", "--rounds", "1", "--embedded", "--results", str(kept), "--page", str(page)]
    done = python("-m", "bench", part, *only, *arguments, within_s=350)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {result.subject: result for result in load(kept)}
    assert measured
    for goal in GOALS:
        if goal.part == part and goal.subject in measured:
            assert goal.figure in measured[goal.subject].figures, goal
    assert {goal.subject for goal in GOALS if goal.part == part} <= {*measured, *BACKLOGS}
    made, ours = (report.section(file.read_text(encoding="utf-8"), part) for file in (page, report.PAGE))
    assert made.splitlines()[:2] == ours.splitlines()[:2]
    assert made != ours
    assert all(subject in made for subject in measured if part != profile.PART)
    assert part != profile.PART or "| decode plain records |" in made


def test_a_small_run(tmp_path: Path) -> None:
    """With the embedded broker, beside a bare consumer."""
    kept, page = tmp_path / "results.jsonl", tmp_path / "performance.md"
    command = ["peers", "--only", "getmany", "--events", "20000", "--rounds", "1", "--embedded"]
    done = python("-m", "bench", *command, "--results", str(kept), "--page", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    ours, peer = load(kept)
    assert not ours.skipped, ours.skipped
    assert not peer.skipped, peer.skipped
    assert (ours.subject, peer.subject) == (OURS, "aiokafka getmany")
    for result in (ours, peer):
        assert result.events >= 20_000
        assert _positive(result.figures, "events_per_s", "events_per_cpu_s", "cpu_us_per_event", "peak_rss_mb")
    assert _positive(ours.figures, "documents", "events_per_s_with_start")
    assert {goal.figure for goal in GOALS if goal.part == compare.PART} <= peer.figures.keys() & ours.figures.keys()
    # The variants of the part `worker` are measured just as ours is here.
    assert {goal.figure for goal in GOALS if goal.subject in BACKLOGS} <= ours.figures.keys()
    assert "| aiokafka getmany | fetches, and does nothing else |" in page.read_text(encoding="utf-8")


def _positive(figures: Any, *names: str) -> bool:
    return all(figures[name] > 0 for name in names)


def test_the_report_is_shown_in_80_columns() -> None:
    console = Console(width=80, record=True)
    report.show("Goals", Found([RESULT, replace(RESULT, subject="Spark", figures={"events_per_s": 30.0})]), console)
    assert "10.0 x" in console.export_text()
