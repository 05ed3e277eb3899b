"""One stack for all tests, in their order; each continues where the last one stopped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.containers.stack import Stack, clone, free_port, run


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A fresh clone with secrets, nothing of it running yet; at the end everything that it made is removed."""
    engine = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if (
        not engine
        or engine.returncode
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine with compose v2 answers; set DOCKER_HOST, or start one")
    folder = tmp_path_factory.mktemp("clone")
    clone(folder)
    names = ("DASHBOARD_PORT", "MONGO_EXPRESS_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
    made = Stack(folder, f"movie-stream-test-{os.getpid()}", {name: free_port() for name in names})
    run(["make", "secrets"], cwd=folder)
    try:
        yield made
    finally:
        made.compose("--profile", "*", "down", "--volumes", "--timeout", "5", "--remove-orphans")
