"""The Helm chart, rendered: what a cluster takes, what a process is told, and who reaches whom."""

from __future__ import annotations

import base64
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
def test_the_processes_can_read_what_they_are_told(
    values: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_names_can_be_looked_up_where_egress_is_narrow() -> None:
    policies = [m for m in rendered(EVERYTHING) if m["kind"] == "NetworkPolicy"]
    assert len(policies) == 3
    for policy in policies:
        dns = policy["spec"]["egress"][0]
        assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {
            (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
        }
        assert "to" not in dns


@pytest.mark.parametrize("repository", ["registry.example.org/movie-stream", "localhost/m", "registry:5000/a/m"])
def test_an_image_is_of_a_registry(repository: str) -> None:
    (container,) = dict(pods(rendered(MINIMAL, "--set", f"image.repository={repository}")))["worker"]["spec"][
        "containers"
    ]
    assert container["image"].startswith(f"{repository}:")


def test_init_may_make_the_reader_alone() -> None:
    options = "init.createUsers=true,settings.MONGODB_READER_USERNAME=a,secrets.init.values.MONGODB_READER_PASSWORD=b"
    (container,) = dict(pods(rendered(MINIMAL, "--set", options)))["init"]["spec"]["containers"]
    assert container["args"] == ["init", "--create-user"]


def test_an_image_that_the_nodes_have_is_of_none() -> None:
    options = ["--set", "image.repository=movie-stream,image.tag=dev,image.pullPolicy=Never"]
    (container,) = dict(pods(rendered(MINIMAL, *options)))["worker"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("movie-stream:dev", "Never")


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


def test_who_serves_everybody_is_told_no_token() -> None:
    manifests = rendered(CHART / "ci" / "external-secrets-values.yaml", "--set", "serve.insecure=true")
    pod = dict(pods(manifests))["serve"]
    assert pod["spec"]["containers"][0]["args"] == ["serve", "--insecure"]
    assert "API_TOKEN" not in str(pod)


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


BAD: Final = {
    "settings.KAFKA_TOPICS=views": "additional properties 'KAFKA_TOPICS' not allowed",
    "settings.MONGODB_URI=mongodb://x": "additional properties 'MONGODB_URI' not allowed",
    "settings.KAFKA_PARTITIONS=0": "at '/settings/KAFKA_PARTITIONS': minimum: got 0, want 1",
    "settings.KAFKA_PARTITIONS=many": "at '/settings/KAFKA_PARTITIONS': got string, want integer",
    "settings.SESSION_GAP=30": "at '/settings/SESSION_GAP'",
    "settings.LOG_LEVEL=LOUD": "at '/settings/LOG_LEVEL': value must be one of",
    "settings.KAFKA_BOOTSTRAP_SERVERS=kafka": "at '/settings/KAFKA_BOOTSTRAP_SERVERS': 'kafka' does not match",
    "settings.KAFKA_BOOTSTRAP_SERVERS=": "settings.KAFKA_BOOTSTRAP_SERVERS: expected the addresses of your Kafka",
    "settings=null": "at '': missing property 'settings'",
    "settings.KAFKA_PARTITIONS=null": "at '/settings': missing property 'KAFKA_PARTITIONS'",
    "workers.autoscaling=null": "at '/workers': missing property 'autoscaling'",
    "workers.probes.startup=null": "at '/workers/probes': missing property 'startup'",
    "secrets.worker.csi=null": "at '/secrets/worker': missing property 'csi'",
    "settings.METRICS_PORT=0": "at '/settings/METRICS_PORT': minimum: got 0, want 1",
    "settings.METRICS_PORT=8080": "settings.API_PORT: expected another port than METRICS_PORT, which is 8080",
    "settings.KAFKA_SECURITY_PROTOCOL=SASL_SSL": "settings.KAFKA_SASL_MECHANISM: expected one, since",
    "settings.KAFKA_SECURITY_PROTOCOL=SASL_SSL,settings.KAFKA_SASL_MECHANISM=PLAIN": "settings.KAFKA_SASL_USERNAME: "
    "expected one, since settings.KAFKA_SECURITY_PROTOCOL is SASL_SSL, got none",
    "settings.KAFKA_SECURITY_PROTOCOL=SASL_SSL,settings.KAFKA_SASL_MECHANISM=PLAIN,settings.KAFKA_SASL_USERNAME=x": (
        "secrets.worker: expected KAFKA_SASL_PASSWORD in it"
    ),
    "settings.METRICS_HOST=127.0.0.1": "settings.METRICS_HOST: expected 0.0.0.0, or",
    "settings.API_HOST=localhost": "settings.API_HOST: expected 0.0.0.0, or",
    "init.createUsers=true": "settings.MONGODB_WORKER_USERNAME: expected the name of a user to make",
    "init.createUsers=true,settings.MONGODB_WORKER_USERNAME=movies": "secrets.init: expected MONGODB_WORKER_PASSWORD",
    "init.createUsers=true,settings.MONGODB_WORKER_USERNAME=movies,secrets.init.values.MONGODB_WORKER_PASSWORD=x,"
    "secrets.init.values.MONGODB_BI_PASSWORD=x": "settings.MONGODB_BI_USERNAME: expected the name of a user to make",
    "image.repository=": "image.repository: expected where your cluster pulls the image from",
    "image.repository=movie-stream": "image.repository: expected one with its registry, such as",
    "image.repository=somebody/movie-stream": "image.repository: expected one with its registry, such as",
    "worker.replicas=2": "additional properties 'worker' not allowed",
    "workers.replicas=4": "workers.replicas: expected at most settings.KAFKA_PARTITIONS, which is 3",
    "workers.replicas=-1": "at '/workers/replicas': minimum: got -1, want 0",
    "workers.autoscaling.type=both": "at '/workers/autoscaling/type': value must be one of 'none', 'keda', 'hpa'",
    "workers.autoscaling.type=keda,workers.autoscaling.maxReplicas=4": "maxReplicas: expected at most settings.KAFKA_P",
    "workers.autoscaling.type=hpa,workers.autoscaling.minReplicas=4": "minReplicas: expected at most the largest",
    "workers.terminationGracePeriodSeconds=10": "at '/workers/terminationGracePeriodSeconds': minimum: got 10, want 16",
    "workers.resources.requests.memory=lots": "at '/workers/resources/requests/memory': 'lots' does not match",
    "secrets.worker.existingSecret=other": "exactly one of values, existingSecret, csi.secretProviderClass and "
    "directory, got values and existingSecret",
    "secrets.serve.values.API_TOKEN=null": "at '/secrets/serve/values/API_TOKEN': got null, want string",
    "secrets.serve.values=null,secrets.serve.existingSecret=x,secrets.serve.keys.API_TOKEN=null": "secrets.serve: "
    "expected API_TOKEN in it, or serve.insecure: true",
    "secrets.worker.values.API_KEY=x": "additional properties 'API_KEY' not allowed",
    "serve.ingress.enabled=true": "serve.ingress.host: expected a host name, got none",
    "image.digest=sha256:abc": "at '/image/digest': 'sha256:abc' does not match pattern",
    "alerts.rules=x,alerts.existingConfigMap=y": "alerts: expected either rules or existingConfigMap, got both",
    "alerts.rules=x,settings.ALERTS_FILE=/x": "settings.ALERTS_FILE: expected none, since alerts.rules",
    "serve.drainSeconds=40": "serve.terminationGracePeriodSeconds: expected more than serve.drainSeconds",
}


@pytest.mark.parametrize(("options", "expected"), BAD.items(), ids=BAD)
def test_a_bad_value_is_told_in_one_line(options: str, expected: str) -> None:
    done = helm("template", "films", CHART, "--values", MINIMAL, "--set", options)
    assert done.returncode != 0
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if expected in line]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_keda_cannot_read_files_and_is_told_of_another_way() -> None:
    values = ["--values", str(KEDA), "--set", "secrets.worker.existingSecret=", "--set", "secrets.worker.directory=/x"]
    done = helm("template", "films", CHART, *values)
    assert "workers.autoscaling.keda.authentication: expected the name of a TriggerAuthentication" in done.stderr
    done = helm("template", "films", CHART, *values, "--set", "workers.autoscaling.keda.authentication=kafka")
    assert done.returncode == 0, done.stderr
    assert "kind: TriggerAuthentication" not in done.stdout
