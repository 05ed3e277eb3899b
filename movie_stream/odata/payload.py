"""Writes entities in OData's JSON format, with the level of control information that a client requests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from movie_stream.odata.address import key_of
from movie_stream.odata.model import KEY, NAMESPACE, EntitySet, Property
from movie_stream.odata.refusals import UNACCEPTABLE, Refused

Level = Literal["minimal", "none", "full"]
_LEVELS: Final[Mapping[str, Level]] = {"minimal": "minimal", "none": "none", "full": "full"}
_SAID: Final = frozenset({"Edm.Int64", "Edm.DateTimeOffset", "Edm.Date"})
"""The types that cannot be inferred from JSON."""


@dataclass(frozen=True, slots=True)
class Form:
    """The level of metadata in an answer, and whether whole numbers are strings, for clients that know only doubles."""

    level: Level = "minimal"
    whole_as_text: bool = False

    @property
    def media_type(self) -> str:
        """The value of Content-Type."""
        text = ";IEEE754Compatible=true" if self.whole_as_text else ""
        return f"application/json;odata.metadata={self.level}{text};charset=utf-8"


def form_of(asked: str | None, accept: str) -> Form:
    """The form requested by `$format`, else by the header Accept.

    >>> form_of(None, "application/json;odata.metadata=none, */*;q=0.1").level, form_of("json", "text/html").level
    ('none', 'minimal')

    Raises Refused (406) if that is not JSON.
    """
    if asked is not None:
        form = Form() if asked.strip().lower() == "json" else _form(asked)
        if form is None:
            raise Refused(UNACCEPTABLE, f"expected json or application/json, got {asked[:80]!r}", "$format")
        return form
    wanted = [one for one in accept.split(",") if one.strip()] or ["*/*"]
    forms = [(_quality(one), form) for one in wanted if (form := _form(one)) is not None and _quality(one) > 0]
    if not forms:
        raise Refused(UNACCEPTABLE, f"expected application/json, got {accept[:80]!r}", "Accept")
    return max(forms, key=lambda one: one[0])[1]


def _form(media_range: str) -> Form | None:
    kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
    if kind not in ("application/json", "application/*", "*/*"):
        return None
    given = dict(parameter.partition("=")[::2] for parameter in parameters)
    level = given.get("odata.metadata", given.get("metadata", "minimal"))
    if level not in _LEVELS:
        return None
    return Form(_LEVELS[level], given.get("ieee754compatible") == "true")


def _quality(media_range: str) -> float:
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes entities of one set."""

    entity_set: EntitySet
    select: tuple[str, ...] | None
    form: Form
    base: str
    """The address of the service, with a slash at its end."""

    @property
    def context(self) -> str:
        """The set's part of a context URL."""
        columns = "" if self.select is None else f"({','.join(self.select)})"
        return f"{self.base}$metadata#{self.entity_set.name}{columns}"

    def entities(self, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The entities, each with the control information of the form."""
        return [self.entity(one) for one in found]

    def entity(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """One entity; fields that a document of an older version lacks are null."""
        written: dict[str, Any] = {}
        if self.form.level == "full":
            link = self.entity_set.name + key_of(found[KEY])
            written = {"@odata.type": f"#{NAMESPACE}.{self.entity_set.name}", "@odata.id": self.base + link}
            written |= {"@odata.readLink": self.base + link}
        names = self.entity_set.named if self.select is None else self.select
        return self._values(written, [self.entity_set.named[name] for name in names], found)

    def _values(self, written: dict[str, Any], columns: Sequence[Property], found: Mapping[str, Any]) -> dict[str, Any]:
        full = self.form.level == "full"
        for column in columns:
            value = found.get(column.name)
            if full and column.type is None:
                written[f"{column.name}@odata.type"] = f"#Collection({NAMESPACE}.{self.entity_set.entry_type})"
            elif full and column.type in _SAID and value is not None:
                written[f"{column.name}@odata.type"] = f"#{column.type.removeprefix('Edm.')}"
            written[column.name] = self._list(column, value) if column.type is None else self._value(value, column)
        return written

    def _list(self, column: Property, value: Any) -> list[dict[str, Any]]:
        entries = value if isinstance(value, list) else []
        its_type = {"@odata.type": f"#{NAMESPACE}.{self.entity_set.entry_type}"} if self.form.level == "full" else {}
        return [self._values(dict(its_type), column.entry, one) for one in entries if isinstance(one, Mapping)]

    def _value(self, value: Any, column: Property) -> Any:
        match value:
            case datetime():
                return time_text(value)
            case float() if not math.isfinite(value):
                return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
            case int() if self.form.whole_as_text and column.type == "Edm.Int64":
                return str(value)
            case _:
                return value


def time_text(time: datetime) -> str:
    """A time in UTC, with milliseconds if they are not 0.

    >>> time_text(datetime(2024, 10, 31, 14, 0, 0, 5_000, tzinfo=UTC))
    '2024-10-31T14:00:00.005Z'
    """
    parts = "milliseconds" if time.microsecond else "seconds"
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=parts) + "Z"
