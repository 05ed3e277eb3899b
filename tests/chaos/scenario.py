"""How often a scenario runs: a short part of the suite in every test run, all of it on both brokers by `make chaos`."""

from __future__ import annotations

from typing import Final

import pytest

from tests.kafka_server import missing

TIMEOUT_S: Final = 900

_LONG: Final = pytest.mark.chaos
_NEEDS_KAFKA: Final = pytest.mark.skipif(missing() is not None, reason=str(missing()))
_TANSU: Final = "Tansu"
_KAFKA: Final = "Apache Kafka"


def _on(*kinds: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds)


on_tansu_always = _on(_TANSU, pytest.param(_KAFKA, marks=[_LONG, _NEEDS_KAFKA]))
"""On Tansu in every test run, on Apache Kafka by `make chaos`."""
on_kafka_always = _on(pytest.param(_KAFKA, marks=_NEEDS_KAFKA), pytest.param(_TANSU, marks=_LONG))
on_both_when_asked = _on(pytest.param(_TANSU, marks=_LONG), pytest.param(_KAFKA, marks=[_LONG, _NEEDS_KAFKA]))
on_kafka_only = _on(pytest.param(_KAFKA, marks=_NEEDS_KAFKA))
on_kafka_when_asked = _on(pytest.param(_KAFKA, marks=[_LONG, _NEEDS_KAFKA]))
