"""What doctor says of the embedded programs where they are not installed."""

from __future__ import annotations

import pytest

from movie_stream.commands.doctor import installation
from movie_stream.errors import EmbeddedUnavailable
from movie_stream.settings import Settings


@pytest.fixture
def nothing_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise EmbeddedUnavailable(what="Kafka broker", variable="KAFKA_BOOTSTRAP_SERVERS")

    monkeypatch.setattr(installation, "broker", missing)
    monkeypatch.setattr(installation, "mongod", missing)


@pytest.mark.usefixtures("nothing_embedded")
def test_an_embedded_program_is_missed_only_where_nothing_is_set_instead() -> None:
    rows = installation.check_installation(Settings(kafka_bootstrap_servers="kafka:9092"))
    found = {row.check: row for row in rows}
    assert found["embedded broker"].state == "ok"
    assert "not needed: KAFKA_BOOTSTRAP_SERVERS is set" in found["embedded broker"].what
    assert found["embedded mongod"].state == "warn"
