"""Requests that schemathesis makes up from the whole OpenAPI description: no answer is a 5xx, and all fit it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any, Final

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from movie_stream.embedded.services import EmbeddedServices
from movie_stream.settings import Settings
from tests.support.examples import examples
from tests.support.web.serving import Serving, events, fill, serving

TOKEN: Final = "a-token-of-our-own"
LOGIN: Final = {"Authorization": f"Bearer {TOKEN}"}
ENDLESS: Final = "/api/v1/changes"
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
"""Not that every request that the schema allows is answered with 200: parameters may contradict each other."""
FEW: Final = 4
MANY: Final = examples(100)
MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def server(services: EmbeddedServices) -> Iterator[Serving]:
    settings = Settings(
        kafka_bootstrap_servers=services.bootstrap_servers,
        mongodb_uri=services.mongodb_uri,
        mongodb_database=f"movies_{uuid.uuid4().hex[:8]}",
    )
    asyncio.run(fill(settings, events(400)))
    with serving(settings, API_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def operations(server: Serving) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{server.api}/openapi.json", headers=LOGIN)
    found: list[Any] = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(found) > 20
    return [operation for operation in found if operation.path != ENDLESS]


def tried(operations: list[Any], requests: int) -> None:
    """So many made-up requests of each operation, half of them against its schema."""

    @hypothesis.settings(max_examples=requests, database=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(st.data())
    def each(data: st.DataObject) -> None:
        for mode in MODES:
            if mode in modes:
                case = data.draw(operation.as_strategy(generation_mode=mode))
                case.call_and_validate(headers=LOGIN, checks=CHECKS, timeout=60)

    for operation in operations:
        # What has no parameters cannot be asked wrongly.
        modes = MODES if operation.query else MODES[:1]
        each()


def test_the_whole_description(operations: list[Any]) -> None:
    tried(operations, FEW)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_the_whole_description_with_many_examples(operations: list[Any]) -> None:
    tried(operations, MANY)


def test_nothing_is_given_without_the_token(operations: list[Any]) -> None:
    for operation in operations:
        answer = operation.Case().call()
        assert answer.status_code == 401, operation.path
