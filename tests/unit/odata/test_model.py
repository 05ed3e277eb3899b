"""The entity sets and their description follow from the declarations, whatever a user adds."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from movie_stream.aggregates.fields import Count, Date, Max, Member, Start, Title
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.shape import Shape
from movie_stream.aggregates.window import DAY
from movie_stream.mongo.flat_views import flat_view
from movie_stream.odata.csdl import EDM, metadata, service_document
from movie_stream.odata.model import KEY, EntitySet, sets_of

FILMS = Result(
    "daily_movies",
    DAY,
    by="movie_id",
    fields={
        "movie_id": Member(),
        "title": Title(),
        "date": Date(),
        "timestamp": Start(),
        "all_views": Count(),
        "longest": Max("duration"),
    },
)


def test_what_a_user_adds_is_a_set_like_others() -> None:
    sets = sets_of([*RESULTS, FILMS])
    assert [(one.name, one.type, one.nullable) for one in sets["daily_movies"].properties] == [
        ("_id", "Edm.String", False),
        ("movie_id", "Edm.String", False),
        ("title", "Edm.String", False),
        ("date", "Edm.Date", False),
        ("timestamp", "Edm.DateTimeOffset", False),
        ("all_views", "Edm.Int64", False),
        ("longest", "Edm.Double", True),
    ]
    assert len(sets) == len(RESULTS) + 1 + sum(Shape.of(result).entries is not None for result in RESULTS)


@pytest.mark.parametrize("one", sets_of(RESULTS).values(), ids=lambda one: one.name)
def test_the_properties_are_those_that_mongodb_holds(one: EntitySet) -> None:
    names = [column.name for column in one.properties]
    if one.flat:
        view = flat_view(one.result.schema())
        assert view is not None
        assert set(names) == set(view[-1]["$project"])
    else:
        assert names == [KEY, *one.result.fields]
    nullable = {column.name for column in one.properties if column.nullable}
    assert nullable == {name for name in names if "avg" in name or name in ("max_rating", "min_rating", "max_delay_s")}


def test_the_metadata_describe_every_set_with_its_key_and_types() -> None:
    sets = sets_of([*RESULTS, FILMS])
    root = ElementTree.fromstring(metadata(sets.values()))
    assert root.get("Version") == "4.0"
    described = {one.get("Name"): one for one in root.iter(f"{{{EDM}}}EntityType")}
    assert set(described) == set(sets) == {one["name"] for one in service_document(sets.values())}
    entries = {one.get("Name"): one for one in root.iter(f"{{{EDM}}}ComplexType")}
    for name, one in sets.items():
        assert [key.get("Name") for key in described[name].iter(f"{{{EDM}}}PropertyRef")] == [KEY]
        columns = described[name].findall(f"{{{EDM}}}Property")
        assert [column.get("Name") for column in columns] == list(one.named)
        for column in columns:
            declared = one.named[column.get("Name", "")]
            assert column.get("Nullable") == (None if declared.nullable else "false")
            assert column.get("Type") in (declared.type, f"Collection(MovieStream.{one.entry_type})")
        if one.entries is not None:
            within = [column.get("Name") for column in entries[one.entry_type]]
            assert within == [column.name for column in one.entries.entry]
