"""The Helm chart as tests look at it: rendered by helm, and held to the schemas of Kubernetes and its extensions."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "movie-stream"
CI: Final = sorted((CHART / "ci").glob("*.yaml"))
NAMESPACE: Final = "films"
_TOOLS: Final = ROOT / ".tools"
_CRDS: Final = ROOT / "tests" / "data" / "crds"
_KUBERNETES: Final = _TOOLS / "python" / "kubernetes_validate" / "kubernetes-json-schema"
VERSIONS: Final = ("v1.27.0", "v1.31.0", "v1.37.0")
"""The oldest Kubernetes that the chart says it fits, one between, and the newest that is looked at."""

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Manifest = dict[str, Any]


def helm_program() -> Path:
    """Where helm is; skips the test where there is none."""
    program = shutil.which("helm", path=f"{_TOOLS / 'bin'}:") or shutil.which("helm")
    if program is None:
        pytest.skip("helm is not installed; make tools builds it, where Go is")
    return Path(program)


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs helm; skips the test where there is none."""
    return subprocess.run([helm_program(), *map(str, arguments)], capture_output=True, text=True, check=False)


def rendered(values: Path, *options: str, release: str = "films") -> list[Manifest]:
    """The objects that an install with these values would make."""
    return [manifest for manifest in yaml.load_all(_text(release, values, options), _Loader) if manifest]


@cache
def _text(release: str, values: Path, options: tuple[str, ...]) -> str:
    done = helm("template", release, CHART, "--namespace", NAMESPACE, "--values", values, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def named(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The one object of that kind whose name ends so."""
    (found,) = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"].endswith(name)]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Metadata and spec of all pods, by the component that they are."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        template = {
            "Pod": manifest,
            "Deployment": spec.get("template"),
            "Job": spec.get("template"),
            "CronJob": spec.get("jobTemplate", {}).get("spec", {}).get("template"),
        }.get(manifest["kind"])
        if template:
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def faults(manifest: Manifest, version: str) -> list[str]:
    """The object's violations of its kind's schema; skips the test if the schemas of Kubernetes are missing."""
    group, _, revision = manifest["apiVersion"].rpartition("/")
    validator = _validator(manifest["kind"].lower(), group, revision, version)
    where = f"{manifest['kind']} {manifest['metadata']['name']}"
    return [f"{where}: {error.instance_path}: {error.message}" for error in validator.iter_errors(manifest)]


@cache
def _validator(kind: str, group: str, revision: str, version: str) -> jsonschema_rs.Validator:
    short = group.partition(".")[0]
    path = _CRDS / f"{kind}-{short}-{revision}.json"
    if not path.exists():
        folder = _KUBERNETES / f"{version}-local-strict"
        if not folder.exists():
            pytest.skip("the schemas of Kubernetes are not there; make tools fetches them")
        path = folder / ("-".join(filter(None, (kind, short, revision))) + ".json")

    def beside(uri: str) -> Any:
        """What a schema refers to, which nothing is to be fetched for."""
        return json.loads((path.parent / uri.rpartition("/")[2]).read_text("utf-8"))

    return jsonschema_rs.validator_for(json.loads(path.read_text("utf-8")), retriever=beside)


def merged(default: Any, given: Any) -> Any:
    """Values as Helm puts them together: maps key by key, everything else as given; null takes a key away."""
    if not (isinstance(default, Mapping) and isinstance(given, Mapping)):
        return given
    both = {key: merged(default.get(key), value) for key, value in given.items()}
    return {key: value for key, value in {**default, **both}.items() if not (key in given and value is None)}
