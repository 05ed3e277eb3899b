"""The Helm chart, rendered: valid manifests, the settings of each process, and network policies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from movie_stream.settings import Settings, load_settings, secret_names, variable_of
from tests.support.manifests import (
    CHART,
    CI,
    NAMESPACE,
    VERSIONS,
    Manifest,
    faults,
    helm,
    named,
    pods,
    rendered,
)

EVERYTHING: Final = CHART / "ci" / "everything-values.yaml"
KEDA: Final = CHART / "ci" / "keda-values.yaml"
HPA: Final = CHART / "ci" / "hpa-values.yaml"
MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
SECRETS: Final = {variable_of(name) for name in secret_names()}
each_ci = pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)


@each_ci
def test_helm_finds_nothing_to_say(values: Path) -> None:
    done = helm("lint", "--strict", CHART, "--values", values)
    assert done.returncode == 0, done.stdout
    assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout), done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@each_ci
def test_a_cluster_takes_all_of_it(values: Path, version: str) -> None:
    manifests = rendered(values)
    assert len(manifests) >= 16
    assert [fault for manifest in manifests for fault in faults(manifest, version)] == []


def test_the_oldest_cluster_is_the_one_that_is_looked_at() -> None:
    assert helm("template", CHART, "--values", MINIMAL, "--kube-version", VERSIONS[0]).returncode == 0
    done = helm("template", CHART, "--values", MINIMAL, "--kube-version", "v1.26.9")
    assert "chart requires kubeVersion: >=1.27.0-0 which is incompatible with Kubernetes v1.26.9" in done.stderr


@pytest.mark.parametrize("path", sorted((CHART / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_cluster_takes_the_examples(path: Path) -> None:
    manifests = list(yaml.safe_load_all(path.read_text("utf-8")))
    assert len(manifests) >= 3
    assert [fault for manifest in manifests for fault in faults(manifest, VERSIONS[-1])] == []


@each_ci
def test_pods_fit_the_restricted_profile(values: Path) -> None:
    seen = set()
    for component, pod in pods(rendered(values)):
        spec = pod["spec"]
        seen.add(component)
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] == 10_001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["/tmp"]
    assert seen == {"worker", "serve", "init", "doctor"} | ({"rebuild"} if values == EVERYTHING else set())


@each_ci
def test_the_processes_can_read_their_settings(values: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each component's variables are settings that load, with a value in each file that they name."""
    monkeypatch.chdir(tmp_path)
    manifests = rendered(values)
    known = {variable_of(name) for name in Settings.model_fields}
    for component, pod in pods(manifests):
        told = _told(manifests, pod)
        for name in known | {f"{name}_FILE" for name in known}:
            monkeypatch.delenv(name, raising=False)
        for name, value in told.items():
            if name.removesuffix("_FILE") in SECRETS:
                assert name.endswith("_FILE"), f"{name} of {component} is a secret, and no file"
                file = tmp_path / name
                file.write_text("mongodb://host/" if "URI" in name else "a-secret-of-sixteen-characters")
                value = str(file)
            monkeypatch.setenv(name, value)
        settings = load_settings()
        assert settings.mongodb_uri is not None
        assert (settings.kafka_bootstrap_servers is None) == (component == "serve")
        assert (settings.api_token is not None) == (component == "serve")
        assert (settings.metrics_port is None) == (component in ("init", "doctor", "rebuild"))
    assert {name for name in told if name.removesuffix("_FILE") not in known} <= {"OPS_URL_FILE", "HTTPS_PROXY"}


def _told(manifests: list[Manifest], pod: Manifest) -> dict[str, str]:
    """The variables of the pod's container."""
    (container,) = pod["spec"]["containers"]
    told: dict[str, str] = {}
    for source in container["envFrom"]:
        told |= named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    return told | {entry["name"]: entry["value"] for entry in container["env"]}


@each_ci
def test_what_init_needs_is_there_before_it(values: Path) -> None:
    """It runs before anything else of an install, so what it refers to is made before it, or is not the chart's."""
    manifests = rendered(values)
    job = named(manifests, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    names = {("ServiceAccount", spec["serviceAccountName"])}
    names |= {("ConfigMap", source["configMapRef"]["name"]) for source in spec["containers"][0]["envFrom"]}
    names |= {("Secret", volume["secret"]["secretName"]) for volume in spec["volumes"] if "secret" in volume}
    names |= {("NetworkPolicy", job["metadata"]["name"])}
    made = {(m["kind"], m["metadata"]["name"]): m["metadata"].get("annotations", {}) for m in manifests}
    needed = [made[name] for name in names if name in made]
    assert len(needed) >= 3
    for each in needed:
        assert each["helm.sh/hook"] == job["metadata"]["annotations"]["helm.sh/hook"]
        assert int(each["helm.sh/hook-weight"]) < int(job["metadata"]["annotations"]["helm.sh/hook-weight"])


def test_names_can_be_looked_up_where_egress_is_narrow() -> None:
    policies = [m for m in rendered(EVERYTHING) if m["kind"] == "NetworkPolicy"]
    assert len(policies) == 3
    for policy in policies:
        dns = policy["spec"]["egress"][0]
        assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {
            (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
        }
        assert "to" not in dns


@pytest.mark.parametrize(
    ("options", "version"),
    [
        ("image.tag=1.2.3", "1.2.3"),
        ("image.tag=_" + "x" * 100, "x" * 62),
        (f"image.digest=sha256:{'ab' * 32}", "sha256-abababababab"),
        (f"image.tag=1.2.3,image.digest=sha256:{'ab' * 32}", "1.2.3"),
        ("image.tag=", yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]),
    ],
)
def test_pods_say_the_version_that_runs(options: str, version: str) -> None:
    for _, pod in pods(rendered(MINIMAL, "--set-string", options)):
        assert pod["metadata"]["labels"]["app.kubernetes.io/version"] == version


def test_numbers_are_written_as_they_are() -> None:
    told = named(rendered(EVERYTHING), "ConfigMap", "-worker")["data"]
    assert (told["MAX_BATCH_BYTES"], told["MAX_RECORD_BYTES"]) == ("1099511627776", "67108864")
    assert (told["REVENUE_PER_VIEW"], told["KAFKA_PARTITIONS"]) == ("0.125", "24")


def test_the_group_that_keda_looks_at_is_that_of_the_workers() -> None:
    for values in (KEDA, EVERYTHING):
        manifests = rendered(values)
        told = named(manifests, "ConfigMap", "-worker")["data"]
        scaled = named(manifests, "ScaledObject")["spec"]
        (trigger,) = scaled["triggers"]
        deployment = named(manifests, "Deployment", scaled["scaleTargetRef"]["name"])
        assert deployment["metadata"]["name"].endswith("-worker")
        assert "replicas" not in deployment["spec"]
        settings = Settings.model_construct()
        assert trigger["metadata"]["bootstrapServers"] == told["KAFKA_BOOTSTRAP_SERVERS"]
        assert trigger["metadata"]["consumerGroup"] == told.get("KAFKA_GROUP", settings.kafka_group)
        assert trigger["metadata"]["topic"] == told.get("KAFKA_TOPIC", settings.kafka_topic)
        login = named(manifests, "TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]
        assert {each["parameter"] for each in login["secretTargetRef"]} >= {"password", "ca"}
        (user,) = login["configMapTargetRef"]
        assert named(manifests, "ConfigMap", user["name"])["data"][user["key"]] == "movies"
        secret = next(v["secret"] for v in deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == "secrets")
        password = next(each for each in login["secretTargetRef"] if each["parameter"] == "password")
        assert (password["name"], password["key"]) in {(secret["secretName"], item["key"]) for item in secret["items"]}


def test_keda_is_given_no_login_where_there_is_none() -> None:
    tls = ["--set", "workers.autoscaling.type=keda", "--set", "settings.KAFKA_SECURITY_PROTOCOL=SSL"]
    for options in (tls[:2], tls):
        manifests = rendered(MINIMAL, *options)
        (trigger,) = named(manifests, "ScaledObject")["spec"]["triggers"]
        assert trigger["metadata"].get("tls") == ("enable" if options is tls else None)
        assert "authenticationRef" not in trigger
        assert "TriggerAuthentication" not in {m["kind"] for m in manifests}


def test_workers_are_scaled_by_one_thing_up_to_the_partitions() -> None:
    kinds = {values: [m["kind"] for m in rendered(values)] for values in (KEDA, HPA, MINIMAL)}
    scalers = {"ScaledObject", "HorizontalPodAutoscaler"}
    assert [sorted(scalers & set(found)) for found in kinds.values()] == [
        ["ScaledObject"],
        ["HorizontalPodAutoscaler"],
        [],
    ]
    assert named(rendered(KEDA), "ScaledObject")["spec"]["maxReplicaCount"] == 12
    assert named(rendered(HPA), "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 4
    stopped = rendered(KEDA, "--set", "workers.stopped=true")
    assert named(stopped, "Deployment", "-worker")["spec"]["replicas"] == 0
    assert not scalers & {m["kind"] for m in stopped}


def test_selectors_choose_the_pods_of_their_component_alone() -> None:
    manifests = rendered(EVERYTHING)
    labels = {component: pod["metadata"]["labels"] for component, pod in pods(manifests)}
    chosen: dict[tuple[str, str], set[str]] = {}
    for manifest in manifests:
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector"))
        if not selector or manifest["kind"] == "ServiceMonitor":
            continue
        key = (manifest["kind"], manifest["metadata"]["name"])
        chosen[key] = {component for component in labels if _chooses(selector, labels[component])}
    assert chosen == {
        ("NetworkPolicy", "movies-worker"): {"worker", "rebuild", "doctor"},
        ("NetworkPolicy", "movies-serve"): {"serve"},
        ("NetworkPolicy", "movies-init"): {"init"},
        ("PodDisruptionBudget", "movies-worker"): {"worker"},
        ("PodDisruptionBudget", "movies-serve"): {"serve"},
        ("Deployment", "movies-worker"): {"worker"},
        ("Deployment", "movies-serve"): {"serve"},
        ("Service", "movies-serve"): {"serve"},
        ("Service", "movies-serve-metrics"): {"serve"},
        ("PodMonitor", "movies-worker"): {"worker"},
    }
    services = [m["metadata"] for m in manifests if m["kind"] == "Service"]
    monitored = named(manifests, "ServiceMonitor")["spec"]["selector"]
    assert [each["name"] for each in services if _chooses(monitored, each["labels"])] == ["movies-serve-metrics"]


def _chooses(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = dict(selector.get("matchLabels", selector if "matchExpressions" not in selector else {}))
    among = {each["key"]: each["values"] for each in selector.get("matchExpressions", ())}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(key) in values for key, values in among.items()
    )


def test_monitoring_gives_the_names_and_the_rules_that_are_tested() -> None:
    manifests = rendered(EVERYTHING)
    folder = CHART.parents[2] / "monitoring"
    jobs = {job["job_name"] for job in yaml.safe_load((folder / "prometheus.yml").read_text("utf-8"))["scrape_configs"]}
    pod, service = named(manifests, "PodMonitor")["spec"], named(manifests, "ServiceMonitor")["spec"]
    endpoints = [*pod["podMetricsEndpoints"], *service["endpoints"]]
    assert {endpoint["relabelings"][0]["replacement"] for endpoint in endpoints} == jobs
    ours = [g for path in sorted((folder / "rules").glob("*.yml")) for g in yaml.safe_load(path.read_text())["groups"]]
    assert named(manifests, "PrometheusRule")["spec"]["groups"] == ours
    alone = rendered(EVERYTHING, "--set", "serve.enabled=false")
    alerts = {r.get("alert") for g in named(alone, "PrometheusRule")["spec"]["groups"] for r in g["rules"]}
    assert "MovieStreamNoWorker" in alerts
    assert "MovieStreamServeDown" not in alerts


def test_a_change_of_settings_replaces_those_pods_that_read_them() -> None:
    def sums(*options: str) -> dict[str, Any]:
        return {name: pod["metadata"].get("annotations") for name, pod in pods(rendered(MINIMAL, *options))}

    before, after = sums(), sums("--set", "settings.API_PORT=8081")
    assert before["worker"] == after["worker"]
    assert before["serve"] != after["serve"]
    after = sums("--set", "secrets.worker.values.MONGODB_URI=mongodb://elsewhere")
    assert before["worker"] != after["worker"]
    assert before["serve"] == after["serve"]


def test_probes_ask_where_the_processes_answer() -> None:
    for component, pod in pods(rendered(EVERYTHING)):
        (container,) = pod["spec"]["containers"]
        if component not in ("worker", "serve"):
            assert "livenessProbe" not in container
            continue
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        port = {"worker": 9464, "serve": 8080}[component]
        assert {ports[get["port"]] for get in asked.values()} == {port}
        assert [get["path"] for get in asked.values()] == ["/health/live", "/health/live", "/health/ready"]


def test_a_release_is_named_by_its_namespace() -> None:
    for manifest in rendered(MINIMAL):
        assert manifest["metadata"]["namespace"] == NAMESPACE
