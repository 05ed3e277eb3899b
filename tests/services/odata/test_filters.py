"""A filter finds in MongoDB what a naive evaluation of it finds, whatever is null or missing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from movie_stream.aggregates.results import RESULTS
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.odata.filters import filter_of
from movie_stream.odata.model import Edm, EntitySet, Property
from tests.support.examples import examples
from tests.support.odata.filters import Made, conditions, entities

TYPES: dict[str, Edm] = {
    "genre": "Edm.String",
    "title": "Edm.String",
    "views": "Edm.Int64",
    "users": "Edm.Int64",
    "rating": "Edm.Double",
    "timestamp": "Edm.DateTimeOffset",
    "until": "Edm.DateTimeOffset",
    "date": "Edm.Date",
}
SET = EntitySet(RESULTS[0], False, tuple(Property(name, kind, nullable=True) for name, kind in TYPES.items()))


def test_a_filter_finds_what_it_means(services: EmbeddedServices) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(services.mongodb_uri, tz_aware=True)
    collection = client["odata_filters"]["entities"]

    @settings(max_examples=examples(40))
    @given(st.lists(entities(), min_size=1, max_size=12), st.lists(conditions(), min_size=8, max_size=8))
    def check(documents: list[dict[str, Any]], filters: list[Made]) -> None:
        collection.delete_many({})
        collection.insert_many([{"_id": number, **document} for number, document in enumerate(documents)])
        for made in filters:
            wanted = [number for number, document in enumerate(documents) if made.of(document) is True]
            found = [one["_id"] for one in collection.find(filter_of(made.text, SET)).sort("_id")]
            assert found == wanted, made.text

    try:
        check()
    finally:
        client.drop_database("odata_filters")
        client.close()
