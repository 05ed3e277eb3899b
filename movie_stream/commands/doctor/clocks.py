"""Checks of `movie-stream doctor` on the clocks of the broker, of MongoDB and of this host."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient

from movie_stream.commands.doctor.findings import Findings
from movie_stream.kafka.cluster import client, clock
from movie_stream.mongo.client import Database
from movie_stream.settings import Settings

APART: Final = timedelta(minutes=1)
"""A larger difference is reported: by default a broker refuses a record one hour ahead of its clock."""


async def check_brokers_clock(settings: Settings, findings: Findings, admin: AIOKafkaAdminClient) -> None:
    """Checks the broker's clock, if the broker reports it."""
    findings.check = "broker's clock"
    with client.explained(settings, "looking up the broker's time"):
        asked = datetime.now(UTC)
        reported = await clock.time_of(admin)
    if reported is None:
        findings.add("ok", "the broker does not report its time")
    else:
        compare(findings, "the broker", reported, asked)


async def check_mongodbs_clock(findings: Findings, db: Database) -> None:
    """Checks MongoDB's clock."""
    findings.check = "MongoDB's clock"
    asked = datetime.now(UTC)
    hello = await db.client.admin.command("hello")
    compare(findings, "MongoDB", hello["localTime"].replace(tzinfo=UTC), asked)


def compare(findings: Findings, whose: str, reported: datetime, asked: datetime) -> None:
    """Compares a clock with ours; `asked` is when the request was sent."""
    answered = datetime.now(UTC)
    ahead = reported - (asked + (answered - asked) / 2)
    if abs(ahead) - (answered - asked) / 2 > APART:
        findings.add(
            "warn",
            f"{whose} has {reported:%Y-%m-%dT%H:%M:%SZ}, this host {answered:%Y-%m-%dT%H:%M:%SZ} (UTC)",
            "set the clock that is wrong; records of a host that is ahead are refused",
        )
    else:
        findings.add("ok", f"{whose} and this host agree within {_in_words(abs(ahead))}")


def _in_words(span: timedelta) -> str:
    """A span in whole seconds, rounded up.

    >>> _in_words(timedelta(milliseconds=12)), _in_words(timedelta(seconds=31.4))
    ('1 s', '32 s')
    """
    return f"{int(span.total_seconds()) + 1} s"
