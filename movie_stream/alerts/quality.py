"""The verdict on the data's quality, where this version has one: expectations.py says what is expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from movie_stream.alerts.keys import Reading
from movie_stream.alerts.series import Light

_MODULE: Final = "movie_stream.alerts.expectations"


def check_expectations(reading: Reading, table: Mapping[str, Any] | None) -> None:
    """Notes what is wrong with the table `[quality]`."""
    if table is None:
        return
    if find_spec(_MODULE) is None:
        reading.wrong(("quality",), "quality: this version has no expectations of the data's quality")
        return
    module = import_module(_MODULE)
    try:
        module.parsed(table)
    except module.ExpectationsRefused as refused:
        for mistake in refused.mistakes:
            reading.wrong(("quality", mistake.key), f"quality.{mistake.key}: {mistake.words}")


def light_by(table: Mapping[str, Any] | None) -> Light | None:
    """The verdict by these expectations, or by the defaults; None where this version has none."""
    if find_spec(_MODULE) is None:
        return None
    module = import_module(_MODULE)
    expectations = module.parsed(table or {})
    verdict: Callable[..., Any] = module.verdict
    return lambda document: str(verdict(document, expectations).light)
