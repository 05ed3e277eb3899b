"""Secrets in the Helm chart, rendered: files of each component's own, from whichever source."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import pytest

from tests.support.manifests import CHART, CI, named, pods, rendered

EVERYTHING: Final = CHART / "ci" / "everything-values.yaml"
MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
each_ci = pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)


@each_ci
def test_each_secret_file_is_mounted(values: Path) -> None:
    for _, pod in pods(rendered(values)):
        (container,) = pod["spec"]["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert set(mounts) == set(volumes) - {"vault-token"}
        for entry in container["env"]:
            if not entry["name"].endswith("_FILE"):
                continue
            folder, _, file = entry["value"].rpartition("/")
            if "secrets" not in volumes:
                assert folder == "/vault/secrets"
            elif "secret" in volumes["secrets"]:
                assert folder == mounts["secrets"]
                assert file in {item["path"] for item in volumes["secrets"]["secret"]["items"]}
            else:
                assert folder == mounts["secrets"]
                assert volumes["secrets"]["csi"]["driver"] == "secrets-store.csi.k8s.io"


@pytest.mark.parametrize("values", [MINIMAL, EVERYTHING], ids=lambda path: path.stem)
def test_secrets_stand_in_secrets_alone_and_each_component_has_its_own(values: Path) -> None:
    manifests = rendered(values)
    for manifest in manifests:
        if manifest["kind"] != "Secret":
            assert "secret@" not in str(manifest)
            assert "a-token-of" not in str(manifest)
    kept = {m["metadata"]["name"].rpartition("-")[2]: set(m["data"]) for m in manifests if m["kind"] == "Secret"}
    assert set(kept) == {"worker", "serve", "init"}
    assert "API_TOKEN" in kept["serve"]
    assert "API_TOKEN" not in kept["worker"] | kept["init"]
    uri = named(manifests, "Secret", "-worker")["data"]["MONGODB_URI"]
    assert base64.b64decode(uri).startswith(b"mongodb://movies:secret@")


def test_each_component_has_a_role_of_its_own() -> None:
    """An account that may read another's secret would make three secrets one."""
    manifests = rendered(CHART / "ci" / "aws-csi-values.yaml")
    accounts = {m["metadata"]["name"]: m["metadata"]["annotations"] for m in manifests if m["kind"] == "ServiceAccount"}
    roles = {name: of["eks.amazonaws.com/role-arn"].rpartition("/")[2] for name, of in accounts.items()}
    assert roles == {f"films-movie-stream-{kind}": f"movies-{kind}" for kind in ("worker", "serve", "init")}


def test_the_agent_of_vault_has_a_token_and_our_process_has_not() -> None:
    """The injector refuses a pod in which it finds no token of an account: it is named the volume with one."""
    seen = set()
    for component, pod in pods(rendered(CHART / "ci" / "vault-values.yaml", "--set", "rebuild.enabled=true")):
        annotations = pod["metadata"]["annotations"]
        named_volume = annotations["vault.hashicorp.com/agent-service-account-token-volume-name"]
        (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == named_volume]
        (source,) = volume["projected"]["sources"]
        assert source["serviceAccountToken"]["path"]
        (container,) = pod["spec"]["containers"]
        assert named_volume not in {mount["name"] for mount in container["volumeMounts"]}
        whose = {"rebuild": "worker", "doctor": "worker"}.get(component, component)
        assert pod["spec"]["serviceAccountName"].endswith(f"-{whose}")
        assert annotations["vault.hashicorp.com/role"] == f"movies-{whose}"
        of = {v for k, v in annotations.items() if k.startswith("vault.hashicorp.com/agent-inject-secret-")}
        assert of == {f"secret/data/movies/{whose}"}
        seen.add(component)
    assert seen == {"worker", "serve", "init", "doctor", "rebuild"}


def test_a_public_server_gets_no_token() -> None:
    manifests = rendered(CHART / "ci" / "external-secrets-values.yaml", "--set", "serve.insecure=true")
    pod = dict(pods(manifests))["serve"]
    assert pod["spec"]["containers"][0]["args"] == ["serve", "--insecure"]
    assert "API_TOKEN" not in str(pod)
