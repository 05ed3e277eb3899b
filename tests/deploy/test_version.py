"""The version is that of the git tag, wherever the package is built."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from tests.deploy.distributions import ROOT, build, git, run

FILES = (
    "pyproject.toml",
    "deploy/long_description.py",
    "README.md",
    "LICENSE",
    ".git_archival.txt",
    ".gitattributes",
    ".gitignore",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit and hardly any code, but with our rules of how a version is found."""
    folder = tmp_path / "checkout"
    (folder / "movie_stream").mkdir(parents=True)
    (folder / "deploy").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    (folder / "movie_stream" / "__init__.py").touch()
    (folder / "data").mkdir()
    (folder / "data" / "movies.csv").touch()
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "--quiet", "--message=Begin", cwd=folder)
    return folder


def version(folder: Path, **variables: str) -> str:
    return run(sys.executable, "-m", "hatchling", "version", cwd=folder, **variables).strip()


def commit(folder: Path) -> None:
    git("commit", "--quiet", "--allow-empty", "--message=More", cwd=folder)


def test_a_tagged_commit_has_the_version_of_its_tag(checkout: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    assert version(checkout) == "1.2.3"


def test_later_commits_come_before_the_next_version(checkout: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    commit(checkout)
    commit(checkout)
    assert re.fullmatch(r"1\.2\.4\.dev2\+g[0-9a-f]+", version(checkout))


def test_uncommitted_changes_are_in_the_version(checkout: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    (checkout / "README.md").write_text("changed", encoding="utf-8")
    assert re.fullmatch(r"1\.2\.4\.dev0\+g[0-9a-f]+\.d\d{8}", version(checkout))


def test_tags_of_something_else_are_no_versions(checkout: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    commit(checkout)
    git("tag", "chart-9.9.9", cwd=checkout)
    git("tag", "2030-01-01", cwd=checkout)
    assert version(checkout).startswith("1.2.4.dev1+g")


def test_a_checkout_without_tags_counts_its_commits(checkout: Path) -> None:
    commit(checkout)
    assert re.fullmatch(r"0\.0\.1\.dev2\+g[0-9a-f]+", version(checkout))


def test_a_shallow_clone_without_tags_has_a_version(checkout: Path, tmp_path: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    commit(checkout)
    git("clone", "--quiet", "--depth=1", "--no-tags", checkout.as_uri(), "shallow", cwd=tmp_path)
    assert re.fullmatch(r"0\.0\.1\.dev1\+g[0-9a-f]+", version(tmp_path / "shallow"))


def test_a_shallow_clone_of_a_tag_has_its_version(checkout: Path, tmp_path: Path) -> None:
    commit(checkout)
    git("tag", "v1.2.3", cwd=checkout)
    git("clone", "--quiet", "--depth=1", "--branch=v1.2.3", checkout.as_uri(), "shallow", cwd=tmp_path)
    assert version(tmp_path / "shallow") == "1.2.3"


def test_an_archive_of_a_tag_has_its_version(checkout: Path, tmp_path: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    assert version(archived(checkout, tmp_path)) == "1.2.3"


def test_an_archive_of_a_later_commit_has_its_version(checkout: Path, tmp_path: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    commit(checkout)
    assert version(archived(checkout, tmp_path)).startswith("1.2.4.dev1+g")


def archived(checkout: Path, tmp_path: Path) -> Path:
    """What a forge gives out as the source of a commit."""
    git("archive", "--output=archive.tar", "HEAD", cwd=checkout)
    with tarfile.open(checkout / "archive.tar") as archive:
        archive.extractall(tmp_path / "archive", filter="data")
    return tmp_path / "archive"


@pytest.mark.parametrize("name", ["SETUPTOOLS_SCM_PRETEND_VERSION", "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MOVIE_STREAM"])
def test_a_build_without_git_gets_its_version(checkout: Path, name: str) -> None:
    shutil.rmtree(checkout / ".git")
    assert version(checkout) == "0.0.0"
    assert version(checkout, **{name: "1.2.3"}) == "1.2.3"


def test_a_repository_that_git_does_not_trust_is_one_without_tags(checkout: Path, tmp_path: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    (tmp_path / "bin").mkdir()
    distrustful = tmp_path / "bin" / "git"
    distrustful.write_text("#!/bin/sh\necho fatal: detected dubious ownership >&2\nexit 128\n", encoding="utf-8")
    distrustful.chmod(0o755)
    assert version(checkout, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin") == "0.0.0"


def test_an_sdist_keeps_its_version_inside_another_repository(checkout: Path, tmp_path: Path) -> None:
    git("tag", "v1.2.3", cwd=checkout)
    with tarfile.open(build("sdist", tmp_path / "dist", source=checkout)) as archive:
        archive.extractall(checkout / "dist", filter="data")
    commit(checkout)
    assert version(checkout / "dist" / "movie_stream-1.2.3") == "1.2.3"
