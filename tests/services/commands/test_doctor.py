"""`movie-stream doctor`: each finding is a row, and nothing that is wrong keeps it from looking further."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from bson.int64 import Int64

from movie_stream import __version__
from movie_stream.commands.doctor.command import SCRATCH, check_retention
from movie_stream.commands.doctor.findings import Findings
from movie_stream.commands.doctor.workers import check_workers
from movie_stream.embedded.launch import free_port
from movie_stream.kafka.cluster import client, topics
from movie_stream.mongo import runs, schema
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from tests.support.in_process import initialize, said_in_process
from tests.support.whole_path import COMMAND, command, database, succeed


def states(text: str) -> dict[str, str]:
    """The state of each check, and a look at the form: within 80 columns, without colour."""
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in text
    at = lines[0].index("state")
    return {line[:at].strip(): line[at:].split()[0] for line in lines[1:] if line[:at].strip() and line[at:].strip()}


def doctor(settings: Settings, **variables: str) -> subprocess.CompletedProcess[str]:
    return said_in_process("doctor", cwd=None, **{"COLUMNS": "80"} | settings.environment() | variables)


def test_a_missing_setting_is_a_row(tmp_path: Path) -> None:
    done = subprocess.run([COMMAND, "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    found = states(done.stdout)
    assert (found["Python"], found["libraries"], found["embedded broker"]) == ("ok", "ok", "ok")
    assert (found["broker"], found["MongoDB"]) == ("fail", "fail")
    assert "KAFKA_BOOTSTRAP_SERVERS is not set" in done.stdout
    assert "MONGODB_URI is not set" in done.stdout
    done = said_in_process("doctor", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert told.keys() == {"version", "failed", "to_look_at", "checks"}
    assert (told["version"], told["failed"], told["to_look_at"]) == (__version__, 2, 0)
    assert found.items() >= {check["check"]: check["state"] for check in told["checks"]}.items()
    assert told["checks"][-1] == {
        "check": "MongoDB",
        "state": "fail",
        "what": "MONGODB_URI is not set",
        "remedy": "set it to your MongoDB (mongodb://host:port), or start one for trying out with: "
        "movie-stream services",
    }


def test_who_does_not_answer_is_a_row(settings: Settings) -> None:
    done = doctor(settings, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert (done.returncode, done.stderr) == (1, "")
    found = states(done.stdout)
    assert (found["broker"], found["MongoDB"], found["write to MongoDB"]) == ("fail", "ok", "ok")
    assert found["collections"] == "fail"
    assert "-> movie-stream init" in done.stdout


def test_all_is_fine_after_init_and_nothing_is_left(settings: Settings) -> None:
    before = states(command(settings, "doctor").stdout)
    assert (before["broker"], before["topics"], before["collections"]) == ("ok", "fail", "fail")
    succeed(settings, "init")
    text = succeed(settings, "doctor")
    assert set(states(text).values()) == {"ok"}
    assert text.endswith("All is fine.\n")
    with database(settings) as db:
        assert SCRATCH not in db.list_collection_names()
        assert db["_runs"].count_documents({}) == 0


def test_what_differs_from_init_is_named(settings: Settings) -> None:
    initialize(settings)
    with database(settings) as db:
        db["category_stats"].drop_indexes()
        db.command("collMod", "top_users", validator={})
        db.drop_collection("top_movies_flat")
    done = doctor(settings)
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "category_stats.genre_1_timestamp_-1" in text
    assert "top_users, " in text or "top_users " in text
    assert "top_movies_flat" in text
    assert "movies_aggregates" not in text


def test_another_run_is_named(settings: Settings) -> None:
    initialize(settings)
    with database(settings) as db:
        db["_runs"].insert_one({"_id": settings.kafka_group, "number": Int64(4), "fingerprint": "{}"})
    done = doctor(settings)
    assert done.returncode == 1
    assert states(done.stdout)["run"] == "fail"
    assert "movie-stream rebuild" in done.stdout


async def test_topics_that_lose_needed_records_are_named(settings: Settings) -> None:
    names = topics.Topics.of(settings)
    async with client.admin(settings) as admin:
        compacted, brief = {"cleanup.policy": "compact"}, {"cleanup.policy": "delete", "retention.ms": "1000"}
        small = {"cleanup.policy": "delete", "retention.bytes": "1000"}
        await admin.create_topics(
            [
                NewTopic(names.events, 3, 1, topic_configs=compacted),
                NewTopic(names.partials, 3, 1, topic_configs=compacted),
                NewTopic(names.publish_changelog, 3, 1, topic_configs=brief),
                NewTopic(names.accumulate_changelog, 3, 1, topic_configs=small),
            ]
        )
        await topics.ensure(settings)
        findings = Findings("retention")
        await check_retention(findings, admin, names)
    rows = {row.what: row for row in findings.rows}
    assert [(row.check, row.state) for row in findings.rows] == [
        *(("retention", state) for state in ("warn", "fail", "warn", "warn"))
    ]
    assert rows[f"{names.events} is compacted, which keeps the newest view of a user: a rebuild would count less"]
    assert rows[f"compacted, which takes no record of ours: {names.partials}"]
    assert rows[f"records that are still needed are deleted after a time: {names.publish_changelog}"]
    few = rows[f"records that are still needed are deleted where there are many: {names.accumulate_changelog}"]
    assert few.remedy == "set their retention.bytes to -1: workers delete what is done with"


async def test_commits_of_a_stranger_are_reported(settings: Settings) -> None:
    await topics.ensure(settings)
    async with opened(settings) as db:
        await schema.ensure(db)
        await runs.open_run(db, settings.kafka_group, {})
    stranger = AIOKafkaConsumer(
        settings.kafka_topic, **client.options(settings), group_id=settings.kafka_group, enable_auto_commit=False
    )
    await stranger.start()
    try:
        while not stranger.assignment():
            await stranger.getmany(timeout_ms=100)
        await stranger.commit({TopicPartition(settings.kafka_topic, 1): 7_000})
    finally:
        await stranger.stop()
    findings = Findings("workers")
    await check_workers(settings, findings)
    [row] = [row for row in findings.rows if row.check == "group"]
    assert row.state == "warn"
    assert row.what == (
        f"somebody has committed in the group {settings.kafka_group} what is not counted: "
        f"{settings.kafka_topic} 1 (at 7,000)"
    )
