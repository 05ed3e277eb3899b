"""REST and OpenAPI follow from RESULTS: they have exactly the declared results."""

from __future__ import annotations

from typing import Any

import pytest

from movie_stream.aggregates import results
from movie_stream.aggregates.fields import Count, Start
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.shape import Shape
from movie_stream.aggregates.window import HOUR
from movie_stream.web.models import document_model, row_model
from movie_stream.web.resources import all_resources
from tests.services.test_docs import entry


def properties(model: Any) -> list[str]:
    return list(model.model_json_schema(by_alias=True)["properties"])


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.collection)
def test_a_model_has_the_fields_of_its_result(result: Result) -> None:
    shape = Shape.of(result)
    assert set(properties(document_model(result))) == {"_id", *result.fields}
    if shape.entries:
        assert properties(row_model(result)) == ["_id", *(column.name for column in shape.flat_row)]
        entries = document_model(result).model_json_schema()["$defs"][f"{document_model(result).__name__}Entry"]
        assert list(entries["properties"]) == [column.name for column in shape.entry]


def test_a_resource_for_each_result_and_each_list() -> None:
    names = [resource.name for resource in all_resources()]
    assert names[: len(RESULTS)] == [result.collection for result in RESULTS]
    lists = [f"{result.collection}_flat" for result in RESULTS if Shape.of(result).entries]
    assert names[len(RESULTS) :] == lists


def test_a_new_entry_has_its_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    by_film = Result("film_hours", HOUR, {"timestamp": Start(), "views": Count()}, by="movie_id")
    monkeypatch.setattr(results, "RESULTS", (*RESULTS, entry(), by_film))
    named = {resource.name: resource for resource in all_resources()}
    assert {"daily_movies", "daily_movies_flat", "film_hours"} <= named.keys()
    assert "genre" not in named["film_hours"].parameters.named
    assert properties(row_model(entry())) == [
        "_id",
        "date",
        "timestamp",
        "rank",
        "movie_id",
        "title",
        "views",
        "avg_rating",
    ]
