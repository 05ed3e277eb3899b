"""`mongodump` and `mongorestore`, by the very commands of docs/how-to/backup.md, while no worker runs.

The tools are MongoDB's; `make tools` builds them where Go is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.support import reference
from tests.support.in_process import initialize
from tests.support.whole_path import command, database, documents, log_of, succeed
from tests.upgrades.views import send, views

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "backup.md").read_text("utf-8")
PATH = f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}"

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (shutil.which("mongodump", path=PATH) and shutil.which("mongorestore", path=PATH)),
        reason="mongodump and mongorestore are not here; make tools builds them, where Go is",
    ),
]


def back_up(settings: Settings, folder: Path) -> None:
    said = of_the_page("mongodump", settings, folder)
    assert re.search(r"done dumping \S+\.category_stats \([1-9]\d* document", said), said


def restore(settings: Settings, folder: Path) -> None:
    of_the_page("mongorestore", settings, folder)


def of_the_page(name: str, settings: Settings, folder: Path) -> str:
    """Runs the page's command of that tool in a folder; what it says."""
    (line,) = re.findall(rf"^{name} .+$", PAGE, re.MULTILINE)
    own = {
        "PATH": PATH,
        "MONGODB_URI": settings.require_mongodb(),
        "MONGODB_DATABASE": settings.mongodb_database,
    }
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def wrong(settings: Settings) -> list[str]:
    with database(settings) as db:
        return reference.same(documents(db), reference.expected(log_of(settings)).documents)


def count(settings: Settings, first: int, end: int) -> None:
    send(settings, views(first, end))
    succeed(settings, "worker", "--until-end")


def test_a_dump_is_as_good_as_the_database(settings: Settings, tmp_path: Path) -> None:
    initialize(settings)
    count(settings, 0, 300)
    back_up(settings, tmp_path)
    with database(settings) as db:
        db.client.drop_database(db.name)
    restore(settings, tmp_path)
    count(settings, 300, 500)
    assert wrong(settings) == []


def test_an_older_dump_is_refused_until_a_rebuild(settings: Settings, tmp_path: Path) -> None:
    initialize(settings)
    count(settings, 0, 300)
    back_up(settings, tmp_path)
    count(settings, 300, 500)
    restore(settings, tmp_path)
    refused = command(settings, "worker")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
    assert f"the database {settings.mongodb_database} is older than the checkpoints in Kafka" in refused.stderr
    seen = command(settings, "doctor", "--json")
    assert (seen.returncode, "is older than the checkpoints in Kafka" in seen.stdout) == (1, True), seen.stdout
    succeed(settings, "rebuild", "--yes")
    succeed(settings, "worker", "--until-end")
    assert wrong(settings) == []


def test_a_database_that_is_lost_is_counted_afresh(settings: Settings) -> None:
    initialize(settings)
    count(settings, 0, 300)
    with database(settings) as db:
        db.client.drop_database(db.name)
    succeed(settings, "init")
    count(settings, 300, 400)
    assert wrong(settings) == []
