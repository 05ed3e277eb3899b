"""`init` on a real broker and mongod: everything is there afterwards, however often it runs."""

from __future__ import annotations

from collections import Counter

import pytest

from movie_stream.aggregates.results import RESULTS
from movie_stream.commands.init import init
from movie_stream.errors import SettingMissing
from movie_stream.mongo import alerts
from movie_stream.mongo.flat_views import flat_view
from movie_stream.settings import Settings

INDEXES = len(("_workers", *alerts.EXPIRING)) + sum(map(len, alerts.INDEXES.values()))


def states(text: str) -> Counter[tuple[str, str]]:
    things = [line.split() for line in text.splitlines() if line.startswith("  ")]
    return Counter((state, kind) for state, kind, _ in things)


def test_first_everything_is_created_and_then_it_is_there(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    init(settings)
    first = capsys.readouterr()
    wanted = {
        "topic": 5,
        "collection": len(RESULTS) + len(("_partials", "_runs", "_workers", *alerts.SCHEMAS)),
        "index": sum(len(result.indexes) for result in RESULTS)
        + len(("_workers", *alerts.EXPIRING, *(keys for each in alerts.INDEXES.values() for keys in each))),
        "view": sum(flat_view(result.schema()) is not None for result in RESULTS),
    }
    assert states(first.out) == {("created", kind): count for kind, count in wanted.items()}
    assert first.err == ""
    assert f"Kafka at {settings.kafka_bootstrap_servers}" in first.out
    assert f", database {settings.mongodb_database}" in first.out
    assert f"created  topic       {settings.kafka_topic}\n" in first.out
    assert "created  view        top_movies_flat\n" in first.out

    init(settings)
    assert states(capsys.readouterr().out) == {("there", kind): count for kind, count in wanted.items()}


def test_partitions_that_a_topic_does_not_have_are_reported(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    init(settings)
    assert "though KAFKA_PARTITIONS" not in capsys.readouterr().out
    init(settings.model_copy(update={"kafka_partitions": 5}))
    assert (
        f"{settings.kafka_topic} has 3 partitions and keeps them, though KAFKA_PARTITIONS is 5"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("missing", ["kafka_bootstrap_servers", "mongodb_uri"])
def test_a_missing_variable_is_named_before_anything_is_made(
    settings: Settings, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingMissing, match=f"{missing.upper()} is not set"):
        init(settings.model_copy(update={missing: None}))
    assert capsys.readouterr().out == ""
