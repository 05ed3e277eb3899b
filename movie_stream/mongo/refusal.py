"""The reason for which a validator refused a document, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def reason_of(fault: Mapping[str, Any]) -> str:
    """The reason in one write error of a bulk write.

    >>> rule = {"operatorName": "bsonType", "specifiedAs": {"bsonType": "long"}, "consideredValue": "7"}
    >>> fields = {"propertiesNotSatisfied": [{"propertyName": "a", "details": [rule]}]}
    >>> details = {"operatorName": "$jsonSchema", "schemaRulesNotSatisfied": [fields]}
    >>> reason_of({"errmsg": "Document failed validation", "errInfo": {"details": details}})
    "Document failed validation: a must have bsonType 'long', got '7'"
    """
    details = (fault.get("errInfo") or {}).get("details")
    rules = list(_broken(details, "")) if isinstance(details, Mapping) else []
    return ": ".join([str(fault.get("errmsg", "refused")), *filter(None, ["; ".join(rules)])])


def _broken(rule: Mapping[str, Any], path: str) -> Iterator[str]:
    """Each broken rule in MongoDB's tree of rules; `path` is the path of the field."""
    if missing := rule.get("missingProperties"):
        yield f"{path or 'it'} must have {', '.join(missing)}"
    elif inner := rule.get("schemaRulesNotSatisfied"):
        for broken in inner:
            yield from _broken(broken, path)
    elif fields := rule.get("propertiesNotSatisfied"):
        for field in fields:
            for broken in field["details"]:
                yield from _broken(broken, f"{path}.{field['propertyName']}".lstrip("."))
    elif "itemIndex" in rule:
        for broken in rule["details"]:
            yield from _broken(broken, f"{path}[{rule['itemIndex']}]")
    else:
        wanted = ", ".join(f"{name} {value!r}" for name, value in rule.get("specifiedAs", {}).items())
        got = rule.get("consideredValue", rule.get("reason", "something else"))
        yield f"{path or 'it'} must have {wanted or rule.get('operatorName')}, got {got!r:.100}"
