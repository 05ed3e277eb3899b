"""One group that fills one database and then another: neither takes the other's state for its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests import reference
from tests.whole_path import command, database, documents, log_of, succeed


def differences(settings: Settings) -> list[str]:
    with database(settings) as db:
        return reference.same(documents(db), reference.expected(log_of(settings)).documents)


@pytest.mark.timeout(240)
def test_each_database_gets_the_whole_result(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"mongodb_database": f"{settings.mongodb_database}_other"})
    views = tmp_path / "views.csv"
    succeed(settings, "init")
    succeed(settings, "generate", "--output", str(views), "--count", "2000")
    succeed(settings, "produce", "--file", str(views))
    succeed(settings, "worker", "--until-end")
    assert differences(settings) == []

    succeed(other, "init")
    succeed(other, "worker", "--until-end")
    assert differences(other) == []

    refused = command(settings, "worker", "--until-end")
    assert refused.returncode == 1
    assert "movie-stream rebuild" in refused.stderr
    succeed(settings, "rebuild", "--yes")
    succeed(settings, "worker", "--until-end")
    assert differences(settings) == []
