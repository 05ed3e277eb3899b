"""Wheel and sdist: their contents, and that the same commit gives the same bytes."""

from __future__ import annotations

import re
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from deploy.long_description import with_addresses
from tests.deploy.distributions import ROOT, build, git, run

VERSION = "7.8.9"
EPOCH = "1700000000"


def built(kind: str, into: Path, **more: str) -> Path:
    told = {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MOVIE_STREAM": VERSION, "SOURCE_DATE_EPOCH": EPOCH}
    return build(kind, into, source=ROOT, **told, **more)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"movie_stream-{VERSION}.dist-info/METADATA").decode())


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_checkout(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """It is built in another folder, from files with other times and permissions: this is why it can be reproduced."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"movie_stream-{VERSION}"
    for file in unpacked.rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)
    again = build("wheel", tmp_path / "again", source=unpacked, SOURCE_DATE_EPOCH=EPOCH)
    assert again.name == wheel.name == f"movie_stream-{VERSION}-py3-none-any.whl"
    assert again.read_bytes() == wheel.read_bytes()


def test_the_sdist_is_the_same_bytes_again(sdist: Path, tmp_path: Path) -> None:
    again = built("sdist", tmp_path)
    assert again.name == sdist.name == f"movie_stream-{VERSION}.tar.gz"
    assert again.read_bytes() == sdist.read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("only git knows which files belong to the package")
    tracked = git("ls-files", "movie_stream", cwd=ROOT).splitlines()
    assert "movie_stream/py.typed" in tracked
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if f"-{VERSION}.dist-info/" not in name}
    assert set(tracked) - held == set(), "these lack"
    assert {name for name in held if not name.startswith("movie_stream/")} == set()
    assert "movie_stream/data/movies.csv" in held


def test_the_sdist_holds_what_the_tests_and_the_builds_take(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "README.md",
        "README.fr.md",
        "deploy/long_description.py",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "requirements.lock",
        ".env.example",
        "PKG-INFO",
    }
    wanted |= {".github/workflows/ci.yml", ".pre-commit-config.yaml"}
    assert wanted - held == set()
    assert [name for name in held if re.search(r"__pycache__|\.pyc$|^\.venv|^\.git/|^site/|^\.sphinx/", name)] == []


def test_the_registry_takes_both_and_shows_the_readme(sdist: Path, wheel: Path) -> None:
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", sdist, wheel, cwd=ROOT)
    assert said.count(": PASSED") == 2


def test_the_metadata_names_the_pythons_that_are_tested(metadata: Message) -> None:
    told = {
        name.removeprefix("Programming Language :: Python :: ")
        for name in metadata.get_all("Classifier", [])
        if re.search(r":: 3\.\d+$", name)
    }
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"python: \[(.+)\]", workflow)
    assert told == set(re.findall(r"3\.\d+", matrix))
    assert metadata["Requires-Python"] == f">={min(told, key=lambda name: int(name.partition('.')[2]))}"


def test_every_extra_is_there(metadata: Message) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(metadata.get_all("Provides-Extra", [])) == set(declared["optional-dependencies"])
    assert {"demo", "embedded", "web"} <= set(declared["optional-dependencies"])


def test_the_readme_of_a_release_has_whole_addresses_at_its_tag(tmp_path: Path) -> None:
    place = "https://github.com/of/it"
    sdist = built("sdist", tmp_path, MOVIE_STREAM_REPOSITORY=place)
    with tarfile.open(sdist) as archive:
        file = archive.extractfile(f"movie_stream-{VERSION}/PKG-INFO")
        assert file is not None
        told_of = Parser().parsestr(file.read().decode())
    text = told_of.get_payload()
    assert isinstance(text, str)
    links = re.findall(r'(?:\]\(|src="|srcset=")([^)"]+)', text)
    assert len(links) > 30
    assert [link for link in links if "://" not in link] == []
    ours = [re.fullmatch(rf"{place}/(blob|raw)/v{VERSION}/([^#]+)(?:#.*)?", link) for link in links if place in link]
    assert {found[1] for found in ours if found} == {"blob", "raw"}
    assert [found[2] for found in ours if found and not (ROOT / found[2]).exists()] == []
    assert None not in ours
    assert f"Source, {place}" in told_of.get_all("Project-URL", [])
    assert run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", sdist, cwd=ROOT).count(": PASSED") == 1


def test_the_readme_without_an_address_is_that_of_the_repository(metadata: Message) -> None:
    assert metadata.get_payload() == (ROOT / "README.md").read_text("utf-8")
    assert metadata.get_all("Project-URL") is None


@pytest.mark.parametrize("wrong", ["of/it", "https://github.com", "https://github.com/of/it/ ", "ftp://host/of/it"])
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="MOVIE_STREAM_REPOSITORY: expected an address such as https://"):
        with_addresses("", wrong, VERSION)


def test_links_within_the_page_and_to_others_stay() -> None:
    text = "[a](docs/a.md#b) ![c](c.svg) [d](https://d.org) [e](#e)"
    at = "https://h/of/it"
    whole = f"[a]({at}/blob/v0.1.0/docs/a.md#b) ![c]({at}/raw/v0.1.0/c.svg) [d](https://d.org) [e](#e)"
    assert with_addresses(text, at, "0.1.0") == whole


def test_a_build_that_is_no_release_links_the_newest_commit() -> None:
    assert with_addresses("[a](b)", "https://h/of/it", "1.2.4.dev2+g0a1b2c3") == "[a](https://h/of/it/blob/HEAD/b)"
