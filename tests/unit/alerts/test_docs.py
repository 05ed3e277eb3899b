"""Each example of a rule in docs/alerts.md is one that is taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from movie_stream.alerts.kinds import KINDS
from movie_stream.alerts.rule_file import parsed

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
VARIABLES = {"OPS_URL": "https://example.org/hook", "OPS_SECRET": "secret", "TEAM_URLS": "json://localhost"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken(example: str) -> None:
    assert parsed(example, "alerts.toml", VARIABLES).rules


def test_each_kind_has_an_example() -> None:
    assert {kind for kind in KINDS if f'kind = "{kind}"' in "".join(EXAMPLES)} == set(KINDS)
