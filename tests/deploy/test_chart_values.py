"""What the chart's values may be: documented, of the settings that there are, and measured where it says so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import yaml

from deploy import chart
from movie_stream.app import STOP_WITHIN_S
from movie_stream.settings import Settings, secret_names, variable_of
from tests.support.manifests import CI, ROOT, merged

VALUES: Final = yaml.safe_load((chart.CHART / "values.yaml").read_text("utf-8"))
SCHEMA: Final = json.loads((chart.CHART / "values.schema.json").read_text("utf-8"))


def test_the_generated_files_are_current() -> None:
    assert chart.stale() == [], "make it anew with: make docs"


def test_a_value_without_a_comment_is_named() -> None:
    with pytest.raises(chart.Undocumented, match=r"expected a comment '# -- \.\.\.' above a\.c"):
        chart.values("a:\n  # -- Meant\n  b: 1\n  # No more than a remark\n  c: 2\n")


def test_the_schema_has_each_value_and_no_other() -> None:
    declared = {path for path in _paths(SCHEMA) if path[0] != "settings"}
    documented = {value.path for value in chart.values((chart.CHART / "values.yaml").read_text("utf-8"))}
    above = {path[:length] for path in documented for length in range(1, len(path))}
    assert {path for path in declared - above if not any(path[: len(value)] == value for value in documented)} == set()
    assert {path for path in documented if path[0] != "settings"} <= declared


def _paths(schema: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all properties; of those with properties of their own, these."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    inner = [found for key, value in schema.get("properties", {}).items() for found in _paths(value, (*path, key))]
    return inner + ([path] if path else [])


def test_settings_are_those_of_the_code_and_secret_ones_stand_apart() -> None:
    every = {variable_of(name) for name in Settings.model_fields}
    secret = {variable_of(name) for name in secret_names()}
    assert set(SCHEMA["$defs"]["settings"]["properties"]) == every - secret
    assert set(SCHEMA["$defs"]["secretKeys"]["properties"]) == secret
    assert set(SCHEMA["$defs"]["secretValues"]["properties"]) == secret


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_the_examples_fit_the_schema(values: Path) -> None:
    errors = jsonschema_rs.validator_for(SCHEMA).iter_errors(merged(VALUES, yaml.safe_load(values.read_text("utf-8"))))
    assert [f"{error.instance_path}: {error.message}" for error in errors] == []


def test_workers_may_take_what_was_measured() -> None:
    page = (ROOT / "docs" / "explanation" / "performance.md").read_text("utf-8")
    megabytes = int(re.search(r"\| 1,000,000 users \|(?:[^|]*\|){4} (\d+) \|", page)[1])  # type: ignore[index]
    cores = float(re.search(r"\| windows of a minute \|.*\| ([\d.]+) \|\n", page)[1])  # type: ignore[index]
    requests = VALUES["workers"]["resources"]["requests"]
    assert float(requests["memory"].removesuffix("Mi")) * 2**20 >= megabytes * 10**6
    assert float(requests["cpu"].removesuffix("m")) / 1000 >= cores
    assert VALUES["workers"]["terminationGracePeriodSeconds"] > STOP_WITHIN_S


def test_serve_may_take_what_was_measured() -> None:
    page = (ROOT / "docs" / "explanation" / "performance.md").read_text("utf-8")
    megabytes = int(re.search(r"\| memory of serve, 200 readers of the changes \|[^|]*\| (\d+) MB", page)[1])  # type: ignore[index]
    requests = VALUES["serve"]["resources"]["requests"]
    assert float(requests["memory"].removesuffix("Mi")) * 2**20 >= megabytes * 10**6
