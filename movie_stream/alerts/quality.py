"""The data's quality, where rules look at it: the verdict of expectations.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from movie_stream.alerts import expectations
from movie_stream.alerts.series import Verdicts


def light_by(table: Mapping[str, Any] | None) -> Verdicts:
    """The verdict by these expectations, or by the defaults."""
    expected = expectations.parsed(table or {})
    return lambda document: expectations.verdict(document, expected).light
