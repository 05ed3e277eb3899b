"""What each release has left in Kafka and MongoDB is counted on with, and nothing of it twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from movie_stream.settings import Settings
from tests.support import reference
from tests.support.whole_path import command, copies_of, database, documents, log_of, records, succeed
from tests.upgrades.record import UNCOUNTED
from tests.upgrades.release import ALERTS, load, named, read, releases
from tests.upgrades.views import RULES, send, views

REFERENCE = reference.Rules(
    allowed_lateness_ms=timedelta(hours=6) // timedelta(milliseconds=1),
    timezone="Europe/Berlin",
    revenue_per_view=0.25,
)
BEFORE_QUALITY = "before-data-quality"
"""A state of before there was `data_quality`."""


def of_this_test(settings: Settings) -> Settings:
    return named(settings, settings.kafka_topic.removeprefix("movie-events-"))


def wrong(settings: Settings, *, without: str = "") -> list[str]:
    """What of the documents and the dead letters is not as the reference has it, of all but one collection."""
    wanted = reference.expected(log_of(settings), REFERENCE, copies_of(settings))
    with database(settings) as db:
        found, [run] = documents(db), db["_runs"].find()
    differences = reference.same(found, {name: of for name, of in wanted.documents.items() if name != without})
    letters = {
        (int(headers["source-partition"]), int(headers["source-offset"]), headers["kind"].decode())
        for partition in records(settings, settings.dead_letters_topic)
        for _, headers in partition
        if int(headers["run"]) == run["number"]
    }
    return differences + [f"dead letter {letter}" for letter in sorted(letters ^ wanted.dead_letters)]


def test_releases_are_stored() -> None:
    assert BEFORE_QUALITY in releases()
    assert len(releases()) > 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", releases())
def test_a_release_is_counted_on_with(settings: Settings, name: str) -> None:
    settings, release = of_this_test(settings), read(name)
    load(release, settings)
    missing = "data_quality" if name == BEFORE_QUALITY else ""
    with database(settings) as db:
        told = set(db["alerts"].distinct("_id"))
        before = {of: db[of].count_documents({}) for of in db.list_collection_names()}
        [run] = db["_runs"].find()
    assert bool(told) == bool(not missing)
    assert wrong(settings, without=missing), "there is something left to count"
    succeed(settings, "init", **RULES)
    send(settings, views(UNCOUNTED[1], UNCOUNTED[1] + 200))
    alerts = {"ALERTS_FILE": str(ALERTS)}
    counted = command(settings, "worker", "--until-end", **RULES, **alerts)
    assert counted.returncode == 0, counted.stderr
    assert wrong(settings, without=missing) == []
    with database(settings) as db:
        assert db["_runs"].find_one()["number"] == run["number"]
        assert all(db[of].count_documents({}) >= number for of, number in before.items())
        assert told < set(db["alerts"].distinct("_id")), "those of before, and new ones"
        assert db["data_quality"].count_documents({}) == 0 or not missing
    assert ("does not count it" in counted.stdout) == bool(missing)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_rebuild_brings_what_was_added_since(settings: Settings) -> None:
    settings = of_this_test(settings)
    load(read(BEFORE_QUALITY), settings)
    succeed(settings, "init", **RULES)
    done = command(settings, "doctor", **RULES)
    assert "was begun before there was data_quality" in " ".join(done.stdout.replace("\n", " ").split())
    succeed(settings, "rebuild", "--yes", **RULES)
    counted = command(settings, "worker", "--until-end", **RULES)
    assert "does not count it" not in counted.stdout
    assert wrong(settings) == []
