"""docs/how-to/kubernetes.md: its values and commands are ones that the chart takes, and what it names is there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from movie_stream.settings import secret_names, variable_of
from tests.support.manifests import ROOT, VERSIONS, helm, named, pods, rendered

PAGE: Final = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text("utf-8")
SECRETS: Final = {variable_of(name) for name in secret_names()}


def commands(program: str) -> Iterator[list[str]]:
    """The words of the page's commands of that program."""
    for block in re.findall(r"```sh\n(.*?)```\n", PAGE, re.DOTALL):
        for line in block.splitlines():
            for command in line.split(" && "):
                if command.startswith(f"{program} "):
                    yield shlex.split(command)


def values_of_the_page(folder: Path) -> Path:
    """The file of values that the page shows, and the one about MongoDB's CA with it."""
    blocks = re.findall(r"```yaml\n(.*?)```\n", PAGE, re.DOTALL)
    assert len(blocks) == 2
    path = folder / "my-values.yaml"
    path.write_text("".join(blocks), encoding="utf-8")
    return path


def test_helm_takes_the_commands_of_the_page(tmp_path: Path) -> None:
    values = values_of_the_page(tmp_path)
    done = []
    for words in commands("helm"):
        if {"test", "uninstall"} & set(words):
            continue
        action = next(word for word in words if word in ("install", "upgrade"))
        words = [
            "template" if word == action else word for word in words if word not in ("--wait", "--force-conflicts")
        ]
        files = {"my-values.yaml": str(values)} | {words[2]: str(ROOT / words[1]) for words in commands("cp")}
        words = [files.get(word, word) for word in words]
        words = [str(ROOT / word) if word.startswith("deploy/") else word for word in words]
        ran = helm(*words[1:])
        assert ran.returncode == 0, ran.stderr
        done.append(action)
    assert done == ["install", "install", "upgrade", "upgrade", "upgrade"]


def test_what_the_page_names_is_made_by_its_values(tmp_path: Path) -> None:
    manifests = rendered(values_of_the_page(tmp_path), "--set", "rebuild.enabled=true", release="movies")
    made = {f"{m['kind'].lower()}/{m['metadata']['name']}" for m in manifests}
    told = set(re.findall(r"\b((?:deployment|job|cronjob|service)/movies-[a-z-]+)", PAGE))
    assert len(told) == 4
    assert told <= made
    assert "`system:serviceaccount:movies:movies-movie-stream-worker`" in PAGE
    assert {f"serviceaccount/movies-movie-stream-{kind}" for kind in ("worker", "serve", "init")} <= made


def test_secrets_of_the_page_hold_what_the_chart_looks_for(tmp_path: Path) -> None:
    values: dict[str, Any] = yaml.safe_load(values_of_the_page(tmp_path).read_text("utf-8"))
    defaults = yaml.safe_load((ROOT / "deploy/helm/movie-stream/values.yaml").read_text("utf-8"))["secrets"]
    least = {each["existingSecret"]: set(defaults[of]["keys"]) for of, each in values["secrets"].items()}
    wanted = {
        each["existingSecret"]: least[each["existingSecret"]] | set(each.get("keys", {}).values())
        for each in values["secrets"].values()
    }
    assert wanted["movies-init"] == {"MONGODB_URI", "MONGODB_WORKER_PASSWORD", "MONGODB_READER_PASSWORD"}
    made = {
        words[words.index("generic") + 1]: {word.split("=")[1] for word in words if word.startswith("--from-literal=")}
        for words in commands("kubectl")
        if "secret" in words and "create" in words
    }
    assert made == wanted
    of_aws = {
        words[words.index("--name") + 1].replace("/", "-"): set(json.loads(words[words.index("--secret-string") + 1]))
        for words in commands("aws")
    }
    assert of_aws == least


def test_the_rebuild_of_the_page_waits_for_the_workers_and_can_be_done_again(tmp_path: Path) -> None:
    stop, start = [words for words in commands("helm") if "upgrade" in words][1:]
    assert {"workers.stopped=true", "rebuild.enabled=true", "--force-conflicts"} <= set(stop)
    assert not {"workers.stopped=true", "--force-conflicts"} & set(start)
    kubectl = [words[3:] for words in commands("kubectl") if words[:3] == ["kubectl", "-n", "movies"]]
    (wait,) = [words for words in kubectl if words[0] == "wait"]
    assert "--for=delete" in wait
    wanted = dict(pair.split("=") for pair in wait[wait.index("--selector") + 1].split(","))
    manifests = rendered(values_of_the_page(tmp_path), "--set", "rebuild.enabled=true", release="movies")
    chosen = [of for of, pod in pods(manifests) if wanted.items() <= pod["metadata"]["labels"].items()]
    assert chosen == ["worker"]
    jobs = [words[:3] for words in kubectl if "job" in words]
    assert jobs == [["delete", "job", "rebuild"], ["create", "job", "rebuild"]]
    assert named(manifests, "CronJob")["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 600


def test_the_versions_that_the_page_names_are_those_that_are_looked_at() -> None:
    (pinned,) = re.findall(r"^HELM := \S+@v(\S+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert f" and {pinned} and held to the schemas" in " ".join(PAGE.split())
    oldest, between, newest = (version.removeprefix("v").removesuffix(".0") for version in VERSIONS)
    assert f"Kubernetes {oldest}, {between} and {newest}," in " ".join(PAGE.split())


def test_a_command_that_is_left_out_gives_no_other_version() -> None:
    """A tag on the command line would be gone with the next command; and an upgrade is not always a mere exchange."""
    assert "--set image.tag" not in PAGE
    upgrade = PAGE.partition("\n## Upgrade\n")[2].partition("\n## ")[0]
    for link in ("upgrade.md#upgrading", "upgrade.md#downgrading", "backup.md"):
        assert f"({link})" in upgrade


@pytest.mark.parametrize("path", re.findall(r"`((?:ci|examples)/[a-z-]+\.yaml)`|(deploy/\S+\.yaml)", PAGE))
def test_the_files_of_the_page_are_there(path: tuple[str, str]) -> None:
    short, whole = path
    assert (ROOT / (whole or f"deploy/helm/movie-stream/{short}")).is_file()


def test_the_examples_of_aws_give_the_keys_that_the_values_want() -> None:
    folder = ROOT / "deploy" / "helm" / "movie-stream"
    defaults = yaml.safe_load((folder / "values.yaml").read_text("utf-8"))["secrets"]
    classes = yaml.safe_load_all((folder / "examples" / "aws-secret-provider-class.yaml").read_text("utf-8"))
    found = {
        each["metadata"]["name"]: {
            alias["objectAlias"]
            for item in yaml.safe_load(each["spec"]["parameters"]["objects"])
            for alias in item["jmesPath"]
        }
        for each in classes
    }
    values = yaml.safe_load((folder / "ci" / "aws-csi-values.yaml").read_text("utf-8"))["secrets"]
    assert found == {each["csi"]["secretProviderClass"]: set(defaults[of]["keys"]) for of, each in values.items()}
    assert all(keys <= SECRETS for keys in found.values())
    stores = list(yaml.safe_load_all((folder / "examples" / "aws-external-secrets.yaml").read_text("utf-8")))
    made = {each["metadata"]["name"] for each in stores if each["kind"] == "ServiceAccount"}
    (store,) = [each for each in stores if each["kind"] == "SecretStore"]
    assert {store["spec"]["provider"]["aws"]["auth"]["jwt"]["serviceAccountRef"]["name"]} == made
    external = {each["spec"]["target"]["name"] for each in stores if each["kind"] == "ExternalSecret"}
    values = yaml.safe_load((folder / "ci" / "external-secrets-values.yaml").read_text("utf-8"))["secrets"]
    assert external == {each["existingSecret"] for each in values.values()}
