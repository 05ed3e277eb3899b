"""What GitHub runs: sound by the tools that know it, and by our own rules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.distributions import ROOT, run
from tests.support import kafka_server

GITHUB: Final = ROOT / ".github"
WORKFLOWS: Final = sorted((GITHUB / "workflows").glob("*.yml"))
BIN: Final = Path(sys.executable).parent
ONLY_RECIPES: Final = {"ci", "nightly"}
"""The workflows that do nothing that cannot be done here."""
SYSTEM: Final = "sudo apt-get (update|install --yes prometheus)"
"""What a recipe cannot do."""
BY_HAND: Final = {"help", "install", "demo", "bench", "coverage", "docs", "picture", "hooks", "secrets", "clean"} | {
    "lock-image"
}
"""Recipes that no workflow calls by itself."""

each = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)


def read(workflow: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(workflow.read_text(encoding="utf-8")))


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in read(workflow)["jobs"].values():
        yield from job.get("steps", ())


def _events(workflow: Path) -> set[str]:
    (on,) = re.findall(r"^on:\n((?: .*\n|\n)+)", workflow.read_text(encoding="utf-8"), re.MULTILINE)
    return set(re.findall(r"^  (\w+):", on, re.MULTILINE))


def recipes() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_actionlint_finds_nothing() -> None:
    actionlint = shutil.which("actionlint", path=ROOT / ".tools" / "bin") or shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not here; where Go is, `make tools` builds it")
    run(actionlint, *WORKFLOWS, cwd=ROOT)


def test_zizmor_finds_nothing() -> None:
    run(
        BIN / "zizmor", "--offline", "--quiet", "--persona=pedantic", "--config", GITHUB / "zizmor.yml", ".", cwd=GITHUB
    )


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflows_follow_their_schema(schema: str) -> None:
    run(BIN / "check-jsonschema", "--builtin-schema", schema, *WORKFLOWS, cwd=ROOT)


def test_dependabot_follows_its_schema() -> None:
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml", cwd=ROOT)


FORMS: Final = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def test_the_forms_of_issues_follow_their_schema() -> None:
    assert {form.stem for form in FORMS} == {"bug", "idea"}
    config = GITHUB / "ISSUE_TEMPLATE" / "config.yml"
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", *FORMS, cwd=ROOT)
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-issue-config", config, cwd=ROOT)


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_what_a_form_asks_has_names_of_its_own(form: Path) -> None:
    """GitHub does not show a form where two questions have one id or label, which its schema does not say."""
    asked = [question for question in read(form)["body"] if question["type"] != "markdown"]
    for of in ([one["id"] for one in asked], [one["attributes"]["label"] for one in asked]):
        assert len(of) == len(set(of)) > 2


def test_what_forms_and_the_template_tell_to_do_is_there() -> None:
    texts = [path.read_text("utf-8") for path in (*FORMS, GITHUB / "pull_request_template.md")]
    named = [words for text in texts for words in re.findall(r"`([^`\n]+)`|\b([\w/]+\.md)\b", text)]
    called = {words.split()[1] for words, _ in named if words.startswith("make ")}
    assert called
    assert called <= recipes()
    paths = {path for pair in named for path in pair if re.fullmatch(r"[\w-]+(?:/[\w-]+)*(?:/|\.md)", path)}
    assert paths >= {"CONTRIBUTING.md", "docs/troubleshooting.md", "agents/"}
    assert [path for path in paths if not any((at / path).exists() for at in (ROOT, ROOT / "movie_stream"))] == []


def test_every_action_is_pinned_to_one_commit_and_says_its_version() -> None:
    pins: defaultdict[str, set[str]] = defaultdict(set)
    for workflow in WORKFLOWS:
        for used in re.findall(r"uses: (.+)", workflow.read_text(encoding="utf-8")):
            if not used.startswith("./"):
                found = re.fullmatch(r"([\w-]+/[\w-]+)(?:/[\w-]+)?@([0-9a-f]{40} # v\d+\.\d+\.\d+)", used)
                assert found is not None, f"{workflow.name}: {used}"
                pins[found[1]].add(found[2])
    assert len(pins) > 10
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@each
def test_nothing_is_allowed_but_what_a_job_says(workflow: Path) -> None:
    assert read(workflow)["permissions"] == {}
    assert "concurrency" in read(workflow)
    for name, job in read(workflow)["jobs"].items():
        assert isinstance(job["permissions"], dict), name
        if "pull_request" in _events(workflow):
            assert {right for right, how in job["permissions"].items() if how == "write"} <= {"security-events"}


@each
def test_no_checkout_leaves_its_token_behind(workflow: Path) -> None:
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step for step in checkouts if step.get("with", {}).get("persist-credentials") is not False] == []


@each
def test_what_it_makes_is_a_recipe(workflow: Path) -> None:
    known = recipes() if (ROOT / "tests" / "containers").exists() else recipes() | {"containers"}
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    called = {name for command in commands for name in _called(command)}
    assert called - known == set()
    if workflow.stem in ONLY_RECIPES:
        assert [command for command in commands if not re.fullmatch(rf"make [a-z ]+|{SYSTEM}", command)] == []


def _called(command: str) -> Iterator[str]:
    for line in re.findall(r"^make (.+)$", command, re.MULTILINE):
        yield from (word for word in line.partition(">")[0].split() if not word.startswith("-"))


def test_the_kafka_of_the_nightly_tests_is_that_of_ours() -> None:
    image = read(GITHUB / "workflows" / "nightly.yml")["jobs"]["kafka"]["services"]["kafka"]["image"]
    assert re.fullmatch(rf"apache/kafka:{re.escape(kafka_server.JARS.name)}@sha256:[0-9a-f]{{64}}", image)


def test_the_nightly_tests_skip_nothing_and_every_long_recipe_runs() -> None:
    jobs = read(GITHUB / "workflows" / "nightly.yml")["jobs"]
    assert jobs["faults"]["env"] == jobs["long"]["env"] == {"NO_SKIPS": "1"}
    (checkout,) = [s for s in jobs["faults"]["steps"] if s.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["fetch-depth"] == 0, "tests/chaos/test_versions.py needs an earlier commit"
    called = {name for path in WORKFLOWS for step in steps(path) for name in _called(step.get("run", ""))}
    assert recipes() - called == BY_HAND


def test_the_site_is_built_for_each_change_and_published_last_by_a_job_that_can_do_nothing_else() -> None:
    ci, release = (read(GITHUB / "workflows" / f"{name}.yml")["jobs"] for name in ("ci", "release"))
    for job in (ci["check"], release["site"]):
        assert {"run": "make site"} in job["steps"]
        assert job["permissions"] == {"contents": "read"}
    pages = release["pages"]
    assert pages["permissions"] == {"pages": "write", "id-token": "write"}
    assert pages["needs"] == ["build", "site", "github"]
    assert [step["uses"].partition("@")[0] for step in pages["steps"]] == ["actions/deploy-pages"]
    others = {name for name, job in release.items() if "pages" in job["permissions"]}
    assert others == {"pages"}


@pytest.mark.parametrize(("no_skips", "outcome"), [("", "2 skipped"), ("1", "2 errors")])
def test_what_may_not_be_skipped_fails(tmp_path: Path, no_skips: str, outcome: str) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_makereport\n", "utf-8")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.fixture\ndef tool(): pytest.skip('no such tool')\n"
        "def test_fixture(tool): pass\n"
        "@pytest.mark.skipif(True, reason='no such tool')\ndef test_mark(): pass\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=ROOT, env={**os.environ, "NO_SKIPS": no_skips}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outcome in done.stdout, done.stdout + done.stderr
    assert ("skipped, and NO_SKIPS is set: no such tool" in done.stdout) == bool(no_skips)


def test_the_names_of_the_required_checks_are_those_of_the_jobs() -> None:
    page = (ROOT / "docs" / "contributing" / "releasing.md").read_text("utf-8")
    (rule,) = re.findall(r"with the checks (.+?) and CodeQL's", " ".join(page.split()))
    named = {name for name in re.findall(r'"([^"]+)"', rule) if not name.startswith("3.")}
    jobs = [read(GITHUB / "workflows" / f"{name}.yml")["jobs"].values() for name in ("ci", "containers")]
    expected = {job["name"].replace("${{ matrix.python }}", "3.11") for of in jobs for job in of}
    assert named == expected


def test_the_hooks_are_valid_and_their_programs_are_there() -> None:
    run(BIN / "pre-commit", "validate-config", ROOT / ".pre-commit-config.yaml", cwd=ROOT)
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert local["repo"] == "local", "what is fetched has a version of its own, which nothing here renews"
    programs = {Path(hook["entry"].split()[0]) for hook in local["hooks"]}
    assert [name for name in programs if not (BIN / name.name).exists()] == []


def test_it_is_said_where_a_recipe_needs_more(tmp_path: Path) -> None:
    said = subprocess.run(
        ["make", "--silent", "kafka", "PYTHON=/nowhere", "--old-file=install"],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 2
    assert said.stderr.startswith("error: name a broker: TESTS_KAFKA_BOOTSTRAP_SERVERS=localhost:9092 make kafka\n")


def test_the_recipes_are_listed_by_group_in_80_columns_and_are_no_files() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    shown = run("make", "--silent", "help", "PYTHON=/nowhere", cwd=ROOT)
    groups = {name: lines for name, *lines in map(str.splitlines, shown.split("\n\n"))}
    assert list(groups) == re.findall("^##@ (.+)$", makefile, re.MULTILINE)
    assert min(map(len, groups.values())) > 1
    assert sorted(line.split()[1] for lines in groups.values() for line in lines) == sorted(recipes())
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert set(phony.split()) == recipes()
