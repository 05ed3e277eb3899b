"""`$metadata` (CSDL 4.0 in XML) and the service document, generated from the entity sets, and so from RESULTS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from xml.etree import ElementTree

from movie_stream.odata.model import CONTAINER, KEY, NAMESPACE, TIMES_PRECISION, EntitySet, Property

EDMX: Final = "http://docs.oasis-open.org/odata/ns/edmx"
EDM: Final = "http://docs.oasis-open.org/odata/ns/edm"


def metadata(sets: Iterable[EntitySet]) -> bytes:
    """The metadata document of all sets.

    >>> from movie_stream.odata.model import all_sets
    >>> b'<EntitySet Name="daily_stats" EntityType="MovieStream.daily_stats" />' in metadata(all_sets().values())
    True
    """
    listed = list(sets)
    ElementTree.register_namespace("edmx", EDMX)
    document = ElementTree.Element(f"{{{EDMX}}}Edmx", Version="4.0")
    schema = _under(_under(document, f"{{{EDMX}}}DataServices"), "Schema", Namespace=NAMESPACE, xmlns=EDM)
    for one in listed:
        _describe(schema, one)
    container = _under(schema, "EntityContainer", Name=CONTAINER)
    for one in listed:
        _under(container, "EntitySet", Name=one.name, EntityType=f"{NAMESPACE}.{one.name}")
    ElementTree.indent(document)
    text: bytes = ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def service_document(sets: Iterable[EntitySet]) -> list[Mapping[str, Any]]:
    """The entries of the service document."""
    return [{"name": one.name, "kind": "EntitySet", "url": one.name} for one in sets]


def _describe(schema: ElementTree.Element, one: EntitySet) -> None:
    entity = _under(schema, "EntityType", Name=one.name)
    _under(_under(entity, "Key"), "PropertyRef", Name=KEY)
    for column in one.properties:
        _property(entity, column, one)
    if one.entries is not None:
        entry = _under(schema, "ComplexType", Name=one.entry_type)
        for column in one.entries.entry:
            _property(entry, column, one)


def _property(parent: ElementTree.Element, column: Property, one: EntitySet) -> None:
    kind = column.type or f"Collection({NAMESPACE}.{one.entry_type})"
    made = _under(parent, "Property", Name=column.name, Type=kind)
    if not column.nullable:  # nullable is the default in CSDL
        made.set("Nullable", "false")
    if kind == "Edm.DateTimeOffset":
        made.set("Precision", str(TIMES_PRECISION))


def _under(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)
