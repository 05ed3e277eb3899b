"""The chart of a release: packaged and pushed as release.yml says, and installed without a checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.manifests import CHART, ROOT, helm, helm_program

JOBS: Final[dict[str, Any]] = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))[
    "jobs"
]
IMAGE: Final = "ghcr.io/somebody/movie-stream"
DIGEST: Final = f"sha256:{'ab' * 32}"


def step(name: str) -> str:
    """The script of that step of the job `chart`."""
    (found,) = [each["run"] for each in JOBS["chart"]["steps"] if each.get("name", "").startswith(name)]
    return str(found)


def run(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a step's script as GitHub does."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder, env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def checkout(folder: Path, program: Path) -> None:
    """The parts of a checkout that the job needs, with a program as helm."""
    shutil.copytree(CHART, folder / "deploy" / "helm" / "movie-stream")
    (folder / ".tools" / "bin").mkdir(parents=True)
    (folder / ".tools" / "bin" / "helm").symlink_to(program)


@pytest.mark.parametrize(("version", "semver"), [("0.2.0", "0.2.0"), ("0.2.0rc1", "0.2.0-rc.1")])
def test_the_chart_of_a_release_installs_its_image(version: str, semver: str, tmp_path: Path) -> None:
    checkout(tmp_path, helm_program())
    ran = run(step("Package it"), tmp_path, VERSION=version, IMAGE=IMAGE, HOME=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    package = tmp_path / "charts" / f"movie-stream-{semver}.tgz"
    with tarfile.open(package) as archive:
        names = archive.getnames()
    assert "movie-stream/templates/worker.yaml" in names
    assert "movie-stream/values.schema.json" in names
    values = tmp_path / "values.yaml"
    values.write_text(_without_image(CHART / "ci" / "minimal-values.yaml"), encoding="utf-8")
    done = helm("template", "films", package, "--values", values)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"image: \"(.*)\"", done.stdout)) == {f"{IMAGE}:{version}"}
    refused = helm("template", "films", CHART, "--values", values)
    assert "image.repository: expected where your cluster pulls the image from" in refused.stderr


def _without_image(path: Path) -> str:
    return yaml.safe_dump(
        {key: value for key, value in yaml.safe_load(path.read_text("utf-8")).items() if key != "image"}
    )


def test_a_chart_in_which_no_image_can_be_named_is_not_packaged(tmp_path: Path) -> None:
    checkout(tmp_path, Path("/bin/true"))
    values = tmp_path / "deploy" / "helm" / "movie-stream" / "values.yaml"
    values.write_text(
        values.read_text("utf-8").replace('  repository: ""', "  repository: 'elsewhere'"), encoding="utf-8"
    )
    assert run(step("Package it"), tmp_path, VERSION="0.2.0", IMAGE=IMAGE).returncode != 0


@pytest.mark.parametrize(("says", "fine"), [(f"Pushed: x\nDigest: {DIGEST}\n", True), ("Pushed: x\n", False)])
def test_the_pushed_chart_is_the_signed_one(says: str, fine: bool, tmp_path: Path) -> None:
    stub = tmp_path / "stub"
    stub.write_text(f"#!/bin/sh\necho \"$@\" > asked\nprintf '{says}' >&2\n".replace("\n'", "\\n'"), encoding="utf-8")
    stub.chmod(0o755)
    checkout(tmp_path, stub)
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "movie-stream-0.2.0.tgz").touch()
    output = tmp_path / "output"
    ran = run(step("Push it"), tmp_path, IMAGE=IMAGE, GITHUB_OUTPUT=str(output))
    assert (ran.returncode == 0) is fine, ran.stderr
    assert (tmp_path / "asked").read_text() == f"push charts/movie-stream-0.2.0.tgz oci://{IMAGE}/charts\n"
    if fine:
        assert output.read_text() == f"digest={DIGEST}\n"


def test_a_release_is_whole_with_its_chart() -> None:
    """Its image precedes it, and the release on GitHub follows it."""
    assert "image" in JOBS["chart"]["needs"]
    assert "chart" in JOBS["github"]["needs"]
    signed = [each["with"] for each in JOBS["chart"]["steps"] if each.get("uses", "").startswith("actions/attest@")]
    assert [each["subject-name"].rpartition("}}")[2] for each in signed] == ["/charts/movie-stream"]
    page = (ROOT / "docs" / "contributing" / "releasing.md").read_text("utf-8")
    assert "| `chart` |" in page
    assert "oci://ghcr.io/OWNER/REPOSITORY/charts/movie-stream" in page
    assert re.search(r"^HELM := (\S+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert "s/^HELM := //p" in step("Build the Helm")
