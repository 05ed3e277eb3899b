"""Which brokers a scenario runs on, and that it runs when it is asked for: by `make chaos`."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.kafka_server import missing

TIMEOUT_S: Final = 900

LONG: Final = pytest.mark.chaos
NEEDS_KAFKA: Final = pytest.mark.skipif(missing() is not None, reason=str(missing()))
TANSU: Final = "Tansu"
KAFKA: Final = "Apache Kafka"


def _on(*kinds: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds)


on_both_when_asked = _on(pytest.param(TANSU, marks=LONG), pytest.param(KAFKA, marks=[LONG, NEEDS_KAFKA]))
on_kafka_when_asked = _on(pytest.param(KAFKA, marks=[LONG, NEEDS_KAFKA]))
