"""Every example of docs/reference/{rest,odata}.md is sent unchanged, and returns the documented answer."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from movie_stream.settings import Settings
from movie_stream.web.resources import all_resources
from tests.services.test_docs import ROOT
from tests.support.web.serving import Serving, serving
from tests.support.whole_path import PATIENCE_S, succeed

PAGE = ROOT / "docs" / "reference" / "rest.md"
PAGES = (PAGE, ROOT / "docs" / "reference" / "odata.md")
ADDRESS = "http://127.0.0.1:8080"
TOKEN = re.compile(r"(?<=skiptoken=)[\w.-]+")
EXAMPLE = re.compile(r"```sh\n(curl [^\n]*)\n```\n\n```(json|text)\n(.*?)```\n", re.DOTALL)


def examples() -> list[tuple[str, str, str]]:
    """Each command, the kind of its answer, and the answer as it is shown."""
    return [match.groups() for page in PAGES for match in EXAMPLE.finditer(page.read_text("utf-8"))]  # type: ignore[misc]


@pytest.fixture
def server(settings: Settings) -> Iterator[Serving]:
    """One over the ten views of the page."""
    for words in (("init",), ("produce", "--file", str(ROOT / "data" / "movies.csv")), ("worker", "--until-end")):
        succeed(settings, *words)
    with serving(settings) as running:
        yield running


def test_every_command_is_an_example() -> None:
    assert len(examples()) == sum(page.read_text("utf-8").count("curl -s") for page in PAGES) > 10


def test_the_examples_return_the_documented_answers(server: Serving) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; on Debian and Ubuntu: apt install curl")
    for command, kind, shown in examples():
        words = shlex.split(command.replace(ADDRESS, server.address))
        done = subprocess.run(
            [*words, "--noproxy", "*"], capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
        shown = shown.replace(ADDRESS, server.address)
        if kind == "json":
            assert json.loads(TOKEN.sub("", done.stdout)) == json.loads(TOKEN.sub("", shown)), command
        else:
            assert done.stdout.replace("\r\n", "\n").rstrip("\n") == shown.rstrip("\n"), command


def test_every_parameter_of_a_result_is_documented() -> None:
    rows = re.findall(r"^\| (`\w+`.*?) \| (?:all|results)", PAGE.read_text("utf-8"), re.MULTILINE)
    told = set(re.findall(r"`(\w+)`", "".join(rows)))
    assert told == {name for resource in all_resources() for name in resource.parameters.named}
