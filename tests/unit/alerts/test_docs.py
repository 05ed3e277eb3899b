"""Each example of a rule in docs/how-to/alerts.md is one that is taken, and so is the file in examples/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from movie_stream.alerts.kinds import KINDS
from movie_stream.alerts.rule_file import parsed
from movie_stream.alerts.rules import Condition

ROOT = Path(__file__).parents[3]
FILE = (ROOT / "examples" / "alerts.toml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "how-to" / "alerts.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
VARIABLES = {"OPS_URL": "https://example.org/hook", "OPS_SECRET": "secret", "TEAM_URLS": "json://localhost"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken(example: str) -> None:
    assert parsed(example, "alerts.toml", VARIABLES).rules


def test_each_kind_has_an_example() -> None:
    assert {kind for kind in KINDS if f'kind = "{kind}"' in "".join(EXAMPLES)} == set(KINDS)


def test_the_file_of_examples_is_taken_and_has_every_kind_and_condition() -> None:
    rules = parsed(FILE, "alerts.toml", {}).rules
    assert {rule.kind for rule in rules} == set(KINDS)
    assert {type(rule.condition) for rule in rules} == set(get_args(Condition))
    assert "examples/alerts.toml" in PAGE
    assert "docs/how-to/alerts.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_receivers_of_the_file_are_taken_where_their_variables_are_set() -> None:
    head, tail = FILE.split("# [webhook.ops]", 1)
    receivers = "[webhook.ops]" + tail.replace("\n# ", "\n").replace("\n#\n", "\n")
    assert set(parsed(head + receivers, "alerts.toml", VARIABLES).receivers) == {"log", "webhook.ops", "apprise.team"}
