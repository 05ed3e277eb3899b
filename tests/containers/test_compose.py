"""compose.yaml from nothing to numbers, through what may befall it. The tests are steps of one run, in this order."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.containers.stack import INSIDE, ROOT, Stack, docker, files_of_layers, run
from tests.support import reference
from tests.support.reference import Rules

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]
RULES = Rules(allowed_lateness_ms=48 * 3_600_000)
SECONDS_AT_MOST = 10.0
MOST_BYTES = 130_000_000
"""Of what the image adds to its base. The official python:3.13-slim is some 120 MB."""


def right(stack: Stack) -> int:
    """How many views the topic has; all documents are those of the reference."""
    log, documents = stack.counted()
    assert reference.same(documents, reference.expected(log, RULES).documents) == []
    return sum(map(len, log))


def workers(stack: Stack) -> list[str]:
    return stack.containers("worker")


def test_from_a_fresh_clone_to_numbers(stack: Stack) -> None:
    began_s = time.monotonic()
    stack.up()
    print(f"\ndocker compose up --wait: {time.monotonic() - began_s:.0f} s")
    assert right(stack) == 10
    assert stack.get("/api/v1/summary")["views"]["value"] == 10
    with urlopen(f"http://127.0.0.1:{stack.ports['DASHBOARD_PORT']}/", timeout=30) as page:
        assert b"<html" in page.read()


def test_the_image_is_small_and_holds_no_secret_and_no_tools(stack: Stack, tmp_path: Path) -> None:
    image = json.loads(docker("image", "inspect", "movie-stream:0.0.0.dev1"))[0]
    base = json.loads(docker("image", "inspect", "python:3.13-slim"))[0]
    print(f"\nimage {image['Size'] / 1e6:.0f} MB, of which its base {base['Size'] / 1e6:.0f} MB")
    assert image["Size"] - base["Size"] < MOST_BYTES
    config = image["Config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("10001:10001", ["movie-stream"], ["worker"])
    assert config["Labels"]["org.opencontainers.image.version"] == "0.0.0.dev1"
    history = docker("history", "--no-trunc", "movie-stream:0.0.0.dev1")
    made = {secret.name: secret.read_bytes() for secret in (stack.folder / "secrets").iterdir()}
    secrets = {name: value for name, value in made.items() if not value.startswith(b"#")}
    docker("save", "--output", str(tmp_path / "image.tar"), "movie-stream:0.0.0.dev1")
    seen = 0
    for where, content in files_of_layers(tmp_path / "image.tar"):
        seen += 1
        assert [name for name, value in secrets.items() if value in content] == [], where
    assert seen > 1000, "the layers of the base among them"
    for name, value in secrets.items():
        assert value.decode() not in history + json.dumps(image), name
    assert b"/opt/movie-stream/lib" not in history.encode()
    found = run(
        [
            "docker",
            "run",
            "--rm",
            "--entrypoint",
            "sh",
            "movie-stream:0.0.0.dev1",
            "-c",
            "command -v gcc strip git; true",
        ]
    )
    assert found == ""


def test_nobody_is_root_and_nothing_can_be_written(stack: Stack) -> None:
    for container in stack.containers():
        state = json.loads(docker("inspect", container))[0]
        name, host = state["Name"], state["HostConfig"]
        users = {line.split()[0] for line in docker("top", container, "-o", "uid,pid").splitlines()[1:]}
        assert "0" not in users, f"{name} has processes of root"
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert host["Memory"] > 0, name
        written = subprocess.run(
            ["docker", "exec", container, "sh", "-c", "echo x > /usr/x"], capture_output=True, text=True, check=False
        )
        assert written.returncode != 0
        assert "Read-only file system" in written.stderr, name


def test_only_the_page_is_published_and_only_here(stack: Stack) -> None:
    published = {
        f"{state['Name']} {inner} {outer['HostIp']}:{outer['HostPort']}"
        for container in stack.containers()
        for state in json.loads(docker("inspect", container))
        for inner, outers in state["NetworkSettings"]["Ports"].items()
        for outer in outers or ()
    }
    assert published == {f"/{stack.project}-dashboard-1 8080/tcp 127.0.0.1:{stack.ports['DASHBOARD_PORT']}"}


def test_the_quick_start_loads_test_data(stack: Stack) -> None:
    before = right(stack)
    stack.compose("exec", "-T", "producer", "movie-stream", "generate", "--to-topic", "-n", "5000")
    assert right(stack) == before + 5000


def test_a_crashed_worker_restarts_and_three_share_the_work(stack: Stack) -> None:
    before = right(stack)
    (worker,) = workers(stack)
    load = ("generate", "--to-topic", "--end", "now", "--days", "1", "-n", "20000", "--rate", "1000", "--seed", "2")
    stack.compose("exec", "-T", "-d", "producer", "movie-stream", *load)
    time.sleep(3)
    others = {*stack.containers()} - {worker}
    docker("exec", worker, "sh", "-c", "kill -9 -1 || true")  # all but process 1, which ends with them
    stack.up("--scale", "worker=3")
    assert len(workers(stack)) == 3
    assert others < {*stack.containers()}, "what ran was made anew"
    docker("kill", workers(stack)[1])  # a host that dies does not start it again
    stack.up("--scale", "worker=3")
    wait_for_records(stack, before + 20_000)
    assert right(stack) == before + 20_000


def wait_for_records(stack: Stack, count: int) -> None:
    deadline_s = time.monotonic() + 300
    while (found := stack.get("/api/v1/summary")["views"]["value"]) < count:
        assert time.monotonic() < deadline_s, f"expected {count} views, got {found}"
        time.sleep(0.5)


def test_replacing_workers_one_by_one_loses_nothing_and_pauses_briefly(stack: Stack) -> None:
    before = right(stack)
    load = ("generate", "--to-topic", "--end", "now", "--days", "1", "-n", "60000", "--rate", "600", "--seed", "3")
    stack.compose("exec", "-T", "-d", "producer", "movie-stream", *load)
    wait_for_records(stack, before + 1)
    with (INSIDE / "standstill.py").open("rb") as script:
        watch = subprocess.Popen(
            ["docker", "compose", "exec", "-T", "dashboard", "python", "-", "15"],
            cwd=stack.folder,
            env=stack.environment,
            stdin=script,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        for worker in workers(stack):
            began_s = time.monotonic()
            docker("stop", worker)
            state = json.loads(docker("inspect", worker))[0]["State"]
            print(f"\nSIGTERM: ended with {state['ExitCode']} after {time.monotonic() - began_s:.1f} s")
            assert state["ExitCode"] == 0
            docker("rm", worker)
            stack.up("--scale", "worker=3", "--no-recreate")
            print(f"replaced after {time.monotonic() - began_s:.1f} s")
        said = watch.communicate(timeout=400)[0]
    finally:
        watch.kill()
        watch.communicate()
    longest_s, at_s, seen = said.split()
    print(f"longest standstill {longest_s} s, {at_s} s after the beginning, views at the end: {seen}")
    assert right(stack) == before + 60_000
    assert float(longest_s) < SECONDS_AT_MOST


def test_down_and_up_again_keeps_what_was_counted(stack: Stack) -> None:
    before = right(stack)
    stack.compose("down")
    stack.up()
    assert right(stack) == before
    stack.compose("exec", "-T", "producer", "movie-stream", "generate", "--to-topic", "--end", "now", "-n", "100")
    assert right(stack) == before + 100


def test_a_backup_by_the_page_is_put_back(stack: Stack) -> None:
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text("utf-8").partition("**Backing up.**")[2]
    back_up, put_back = (
        block.replace("movie-stream_$", f"{stack.project}_$").replace("movie-stream:dev", "movie-stream:0.0.0.dev1")
        for block in re.findall(r"```sh\n(.*?)```\n", page, re.DOTALL)[:2]
    )
    before = right(stack)
    run(["bash", "-e", "-c", back_up], cwd=stack.folder, env=stack.environment)
    stack.compose("exec", "-T", "producer", "movie-stream", "generate", "--to-topic", "--end", "now", "-n", "100")
    assert right(stack) == before + 100
    run(["bash", "-e", "-c", put_back], cwd=stack.folder, env=stack.environment)
    assert right(stack) == before


@pytest.mark.parametrize("service", ["mongodb", "kafka"])
def test_a_service_that_restarts_is_outlived(stack: Stack, service: str) -> None:
    before = right(stack)
    stack.compose("restart", service)
    deadline_s = time.monotonic() + 180
    while "unhealthy" in (said := stack.compose("ps")):  # `up` would not wait for what is so at that moment
        assert time.monotonic() < deadline_s, said
        time.sleep(1)
    stack.up()
    stack.compose("exec", "-T", "producer", "movie-stream", "generate", "--to-topic", "--end", "now", "-n", "100")
    assert right(stack) == before + 100


def test_doctor_is_well_in_a_worker(stack: Stack) -> None:
    assert "All is fine." in stack.compose("run", "--rm", "-T", "worker", "doctor")


def test_tools_and_monitoring_come_up(stack: Stack) -> None:
    stack.up("mongo-express", "prometheus")  # Grafana is left out: its image is in no package registry
    address = f"http://127.0.0.1:{stack.ports['MONGO_EXPRESS_PORT']}/db/movies_db/"
    with pytest.raises(HTTPError) as refused:
        urlopen(address, timeout=30)
    refused.value.close()
    assert refused.value.code == 401
    password = (stack.folder / "secrets" / "mongodb-bi-password").read_text(encoding="utf-8")
    login = base64.b64encode(f"bi:{password}".encode()).decode()
    with urlopen(Request(address, headers={"Authorization": f"Basic {login}"}), timeout=30) as shown:
        assert b"category_stats" in shown.read()
    deadline_s = time.monotonic() + 120
    while True:
        with urlopen(f"http://127.0.0.1:{stack.ports['PROMETHEUS_PORT']}/api/v1/targets", timeout=30) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        up = [target["labels"]["job"] for target in targets if target["health"] == "up"]
        if up.count("movie-stream-worker") == len(workers(stack)) and "movie-stream-serve" in up:
            break
        assert time.monotonic() < deadline_s, targets
        time.sleep(1)
