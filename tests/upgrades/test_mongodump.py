"""`mongodump` and `mongorestore`, as docs/how-to/backup.md has them: of the whole database, while no worker runs.

The tools are MongoDB's; where they are not on PATH, these tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.support import reference
from tests.support.whole_path import command, database, documents, log_of, succeed
from tests.upgrades.views import send, views

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (shutil.which("mongodump") and shutil.which("mongorestore")),
        reason="mongodump and mongorestore are not on PATH: go build github.com/mongodb/mongo-tools/mongodump/main",
    ),
]


def back_up(settings: Settings, archive: Path) -> None:
    tool("mongodump", settings, f"--db={settings.mongodb_database}", f"--archive={archive}", "--gzip")


def restore(settings: Settings, archive: Path) -> None:
    tool("mongorestore", settings, "--drop", f"--archive={archive}", "--gzip")


def tool(name: str, settings: Settings, *arguments: str) -> None:
    done = subprocess.run(
        [name, f"--uri={settings.require_mongodb()}", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def wrong(settings: Settings) -> list[str]:
    with database(settings) as db:
        return reference.same(documents(db), reference.expected(log_of(settings)).documents)


def count(settings: Settings, first: int, end: int) -> None:
    send(settings, views(first, end))
    succeed(settings, "worker", "--until-end")


def test_a_dump_is_as_good_as_the_database(settings: Settings, tmp_path: Path) -> None:
    succeed(settings, "init")
    count(settings, 0, 300)
    back_up(settings, tmp_path / "dump")
    with database(settings) as db:
        db.client.drop_database(db.name)
    restore(settings, tmp_path / "dump")
    count(settings, 300, 500)
    assert wrong(settings) == []


def test_an_older_dump_is_refused_until_a_rebuild(settings: Settings, tmp_path: Path) -> None:
    succeed(settings, "init")
    count(settings, 0, 300)
    back_up(settings, tmp_path / "dump")
    count(settings, 300, 500)
    restore(settings, tmp_path / "dump")
    refused = command(settings, "worker")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
    assert f"the database {settings.mongodb_database} is older than the checkpoints in Kafka" in refused.stderr
    seen = command(settings, "doctor", "--json")
    assert (seen.returncode, "is older than the checkpoints in Kafka" in seen.stdout) == (1, True), seen.stdout
    succeed(settings, "rebuild", "--yes")
    succeed(settings, "worker", "--until-end")
    assert wrong(settings) == []


def test_a_database_that_is_lost_is_counted_afresh(settings: Settings) -> None:
    succeed(settings, "init")
    count(settings, 0, 300)
    with database(settings) as db:
        db.client.drop_database(db.name)
    succeed(settings, "init")
    count(settings, 300, 400)
    assert wrong(settings) == []
