"""The stack of compose.yaml in a clone of its own, as an operator runs it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bson import json_util
from bson.codec_options import CodecOptions

from tests.support.reference import Record

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).parent / "inside"
PATIENCE_S = 600.0


def run(arguments: Sequence[str], **more: Any) -> str:
    """Runs a command to its end, which must be 0; what it printed."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **more)
    said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, f"{' '.join(arguments)} ended with {done.returncode}: {said}"
    return done.stdout


def docker(*arguments: str) -> str:
    """What a docker command prints."""
    return run(["docker", *arguments])


def files_of_layers(saved: Path) -> Iterator[tuple[str, bytes]]:
    """Each file of each layer of an image, as `docker save` wrote it, also those that a later layer takes away."""
    with tarfile.open(saved) as image:
        manifest = image.extractfile("manifest.json")
        assert manifest is not None
        for layer in json.load(manifest)[0]["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as files:
                for member in files:
                    if member.isreg() and (file := files.extractfile(member)) is not None:
                        yield f"{layer}: {member.name}", file.read()


def free_port() -> int:
    """One that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def clone(folder: Path) -> None:
    """The files as Git has them, or is about to, and none that was made here."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "bench/", "bi/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@dataclass(frozen=True, slots=True)
class Stack:
    """A project of compose, in a folder, with its own name and ports."""

    folder: Path
    project: str
    ports: dict[str, int]

    @property
    def environment(self) -> dict[str, str]:
        """That of compose."""
        own = {"COMPOSE_PROJECT_NAME": self.project, "MOVIE_STREAM_VERSION": "0.0.0.dev1", "COMPOSE_PROGRESS": "plain"}
        return {**os.environ, **own, **{name: str(port) for name, port in self.ports.items()}}

    def compose(self, *arguments: str, stdin: str | None = None) -> str:
        """What a command of docker compose prints."""
        return run(["docker", "compose", *arguments], cwd=self.folder, env=self.environment, input=stdin)

    def up(self, *arguments: str) -> None:
        """Brings all up and waits until it is healthy."""
        self.compose("up", "--wait", "--detach", *arguments)

    def containers(self, service: str | None = None) -> list[str]:
        """The ids of those that run."""
        return self.compose("ps", "--quiet", *([service] if service else [])).split()

    def inside(self, service: str, script: str, *arguments: str) -> str:
        """What a script of inside/ prints in a container of a service."""
        text = (INSIDE / script).read_text(encoding="utf-8")
        return self.compose("exec", "-T", service, "python", "-", *arguments, stdin=text)

    def counted(self) -> tuple[list[list[Record]], dict[str, dict[str, dict[str, Any]]]]:
        """The topic as the reference takes it, and the documents, once all is counted."""
        found = json.loads(self.inside("worker", "dump.py"))
        log: list[list[Record]] = [
            [(offset, at, None if value is None else base64.b64decode(value)) for offset, at, value in partition]
            for partition in found["log"]
        ]
        options = json_util.JSONOptions(document_class=dict, tz_aware=True)
        assert isinstance(options, CodecOptions)
        stored = json_util.loads(found["documents"], json_options=options)
        return log, {
            collection: {document["_id"]: document for document in documents}
            for collection, documents in stored.items()
        }

    def get(self, path: str) -> Any:
        """The answer of the dashboard, as JSON."""
        token = (self.folder / "secrets" / "api-token").read_text(encoding="utf-8").strip()
        address = f"http://127.0.0.1:{self.ports['DASHBOARD_PORT']}{path}"
        with urlopen(Request(address, headers={"Authorization": f"Bearer {token}"}), timeout=30) as answer:
            return json.load(answer)
