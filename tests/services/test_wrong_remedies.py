"""Causes that look like a broker that is not there, and are something else: the line names what to do."""

from __future__ import annotations

import errno
import resource
import shlex
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.errors import InvalidTimestampError
from pymongo.errors import AutoReconnect

from movie_stream.commands.doctor.clocks import compare
from movie_stream.commands.doctor.findings import Findings
from movie_stream.errors import ClockWrong, OutOfDescriptors
from movie_stream.kafka.cluster import client, diagnosis
from movie_stream.kafka.cluster.diagnosis import why_closed
from movie_stream.mongo.failures import meaning_of
from movie_stream.settings import Settings
from tests.support.whole_path import COMMAND, environment


def test_a_record_that_is_refused_for_its_time_names_the_clock(settings: Settings) -> None:
    with pytest.raises(ClockWrong) as caught, client.explained(settings, "writing to views"):
        raise InvalidTimestampError
    line = str(caught.value)
    assert line.startswith("Kafka refuses while writing to views (the time of a record, ")
    assert "by the clock of this host" in line
    assert line.endswith("set the clock that is wrong (movie-stream doctor compares them)")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_a_connection_that_lacks_descriptors_is_reported_as_such(
    settings: Settings, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def knock(*_: object) -> None:
        raise OSError(number, "Too many open files")

    monkeypatch.setattr(diagnosis, "_knock", knock)
    error = await why_closed(settings)
    assert isinstance(error, OutOfDescriptors)
    assert f"this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} files" in str(error)


def test_an_error_for_want_of_descriptors_does_not_suggest_to_start_mongodb() -> None:
    line = str(meaning_of(AutoReconnect("a:1: [Errno 24] Too many open files"), "mongodb://a:1"))
    assert line.endswith("allow this process 1024 open files and connections or more (ulimit -n)")


def test_a_worker_reports_immediately_that_it_may_open_too_few_files(settings: Settings) -> None:
    limit = 20
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n {limit}; exec {shlex.quote(COMMAND)} worker"],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: too many open files: this process may have {limit} files and connections")


@pytest.mark.parametrize(
    ("ahead", "state"),
    [
        (timedelta(seconds=20), "ok"),
        (timedelta(seconds=-50), "ok"),
        (timedelta(days=3), "warn"),
        (-timedelta(hours=2), "warn"),
    ],
)
def test_clocks_that_are_apart_are_named_with_both_times(ahead: timedelta, state: str) -> None:
    findings, now = Findings("MongoDB's clock"), datetime.now(UTC)
    compare(findings, "MongoDB", now + ahead, now)
    [row] = findings.rows
    assert (row.check, row.state) == ("MongoDB's clock", state)
    if state == "warn":
        assert f"MongoDB has {now + ahead:%Y-%m-%dT%H:%M:%SZ}, this host {now:%Y-%m-%d}" in row.what
        assert "clock" in row.remedy


def test_a_slow_answer_is_no_wrong_clock() -> None:
    findings, asked = Findings("MongoDB's clock"), datetime.now(UTC) - timedelta(minutes=4)
    compare(findings, "MongoDB", asked, asked)
    assert [row.state for row in findings.rows] == ["ok"]
