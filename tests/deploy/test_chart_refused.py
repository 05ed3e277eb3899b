"""Values with which the Helm chart is not rendered, each reported in one line, and similar values that are fine."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.manifests import CHART, helm, pods, rendered

KEDA: Final = CHART / "ci" / "keda-values.yaml"
MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"


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
def test_a_bad_value_is_reported_in_one_line(options: str, expected: str) -> None:
    done = helm("template", "films", CHART, "--values", MINIMAL, "--set", options)
    assert done.returncode != 0
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if expected in line]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_keda_cannot_read_files_and_the_error_names_another_way() -> None:
    values = ["--values", str(KEDA), "--set", "secrets.worker.existingSecret=", "--set", "secrets.worker.directory=/x"]
    done = helm("template", "films", CHART, *values)
    assert "workers.autoscaling.keda.authentication: expected the name of a TriggerAuthentication" in done.stderr
    done = helm("template", "films", CHART, *values, "--set", "workers.autoscaling.keda.authentication=kafka")
    assert done.returncode == 0, done.stderr
    assert "kind: TriggerAuthentication" not in done.stdout
