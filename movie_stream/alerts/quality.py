"""The data's quality, where rules look at it: what expectations.py says, with the lines of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from movie_stream.alerts import expectations
from movie_stream.alerts.keys import Reading
from movie_stream.alerts.series import Verdicts


def check_expectations(reading: Reading, table: Mapping[str, Any] | None) -> None:
    """Notes what is wrong with the table `[quality]`."""
    if table is None:
        return
    try:
        expectations.parsed(table)
    except expectations.ExpectationsRefused as refused:
        for mistake in refused.mistakes:
            reading.wrong(("quality", mistake.key), f"quality.{mistake.key}: {mistake.words}")


def light_by(table: Mapping[str, Any] | None) -> Verdicts:
    """The verdict by these expectations, or by the defaults."""
    expected = expectations.parsed(table or {})
    return lambda document: expectations.verdict(document, expected).light
