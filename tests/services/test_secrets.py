"""No secret is ever shown: not by a command that works, not by one that fails, at no level, in no spelling."""

from __future__ import annotations

import os
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from urllib.request import urlopen

import psutil
import pytest
from pydantic import SecretStr

from movie_stream.embedded.launch import free_port
from movie_stream.settings import Settings
from tests.support.kafka.secured_kafka import PASSWORDS, SecuredKafka, secured_kafka
from tests.support.mongo.mongo_server import MongoServer
from tests.support.whole_path import COMMAND, PATIENCE_S, environment, started

ROOT = ("root", "r00t/secret@home")
WORKER = ("movies", "w0rker:p@ss/wörd%41")
READER = ("looks", "r3ader:p@ss/wörd%41")
BI = ("reports", "b1:p@ss/wörd%41")
KEY_PASSWORD = "0pen sesame; pl€ase"
WRONG = "wr0ng/but+secret&too"
SECRETS = (*PASSWORDS.values(), ROOT[1], WORKER[1], READER[1], BI[1], KEY_PASSWORD, WRONG)
VIEWS = """\
movie_id,title,genre,user_id,timestamp,rating
a,Alien,Horror,u1,1730419199999,5
"""
FAUST = str(Path(COMMAND).with_name("faust"))


def spellings(secret: str) -> set[str]:
    """Every way in which a program might write it."""
    plain = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret), ascii(secret)[1:-1]}
    octets = [
        secret.encode(),
        *(f"{user}\0{user}\0{secret}".encode() for user in (*PASSWORDS, ROOT[0], WORKER[0], READER[0], BI[0])),
    ]
    return plain | {repr(text)[2:-1] for text in octets} | {b64encode(text).decode() for text in octets}


def assert_no_secret(text: str) -> None:
    shown = {spelt for secret in SECRETS for spelt in spellings(secret) if spelt in text}
    assert not shown


@dataclass(frozen=True)
class Place:
    kafka: SecuredKafka
    mongo: MongoServer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    data = tmp_path_factory.mktemp("mongo")
    with (
        secured_kafka(tmp_path_factory.mktemp("secured")) as kafka,
        MongoServer(data, administrator=ROOT) as mongo,
    ):
        yield Place(kafka, mongo)


def said_by(settings: Settings, *words: str, ends_with: int = 0, more: Mapping[str, str] | None = None) -> str:
    """All that a command prints, with `more` variables, which must hold no secret."""
    done = subprocess.run(
        [FAUST if words[0] == "-A" else COMMAND, *words],
        env=environment(settings, LOG_LEVEL="DEBUG", **(more or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == ends_with, text[-2000:]
    assert "Traceback" not in text
    assert_no_secret(text)
    return text


def test_commands_that_work(place: Place, settings: Settings, tmp_path: Path) -> None:
    views = tmp_path / "views.csv"
    views.write_text(VIEWS)
    administrator = place.kafka.settings(settings, "PLAIN", "admin", mongodb_uri=place.mongo.uri)
    made = {"MONGODB_WORKER_USERNAME": WORKER[0], "MONGODB_WORKER_PASSWORD": WORKER[1]}
    made |= {"MONGODB_READER_USERNAME": READER[0], "MONGODB_READER_PASSWORD": READER[1]}
    made |= {"MONGODB_BI_USERNAME": BI[0], "MONGODB_BI_PASSWORD": BI[1]}
    said = said_by(administrator, "init", "--create-user", more=made)
    assert "MONGODB_URI=mongodb://movies:***@" in said
    assert "MONGODB_URI=mongodb://looks:***@" in said
    assert "MONGODB_URI=mongodb://reports:***@" in said
    assert "looks may read" in said_by(administrator, "doctor", more=made)
    uri = place.mongo.uri_of(*WORKER, settings.mongodb_database)
    worker = place.kafka.settings(settings, "PLAIN", "worker", mongodb_uri=uri)
    certificate, key = place.kafka.authority.issued("client.example", name="worker", password=KEY_PASSWORD)
    mutual: dict[str, Any] = {
        "kafka_tls_certificate": certificate,
        "kafka_tls_key": key,
        "kafka_tls_key_password": SecretStr(KEY_PASSWORD),
    }
    said_by(worker, "produce", "--file", str(views))
    said_by(worker, "worker", "--until-end")
    said_by(place.kafka.settings(settings, "MUTUAL", **mutual, mongodb_uri=uri), "doctor")
    for form in ([], ["--json"]):
        text = said_by(worker, "settings", *form, more=made)
        assert "***" in text


@pytest.mark.long
def test_a_worker_at_its_most_talkative(place: Place, settings: Settings, tmp_path: Path) -> None:
    """`faust -l debug` has aiokafka print every request, the login among them; and the command line and the metrics
    are for all to read.
    """
    administrator = place.kafka.settings(
        settings, "PLAIN", "admin", mongodb_uri=place.mongo.uri, metrics_port=free_port()
    )
    said_by(administrator, "init")
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [FAUST, "-A", "movie_stream.app", "worker", "-l", "debug"],
            env=environment(administrator),
            stdout=output,
            stderr=output,
        )
        try:
            wait_for(log, "goes on at offset")
            for running in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                assert_no_secret(" ".join(running.cmdline()))
            with urlopen(f"http://127.0.0.1:{administrator.metrics_port}/metrics", timeout=PATIENCE_S) as answer:
                metrics = answer.read().decode()
            assert "movie_stream_events_total" in metrics
            assert_no_secret(metrics)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    text = log.read_text()
    assert "SaslAuthenticate" in text
    assert_no_secret(text)


def test_the_demo_hands_secrets_to_its_worker_where_nobody_sees_them(
    place: Place, settings: Settings, tmp_path: Path
) -> None:
    administrator = place.kafka.settings(settings, "SCRAM", "admin", mongodb_uri=place.mongo.uri)
    log = tmp_path / "log"
    with started(administrator, "demo", "--count", "1000", "--rate", "100", log=log) as demo:
        deadline = time.monotonic() + PATIENCE_S
        while len(children := psutil.Process(demo.pid).children(recursive=True)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for running in children:
            assert_no_secret(" ".join(running.cmdline()))
        demo.terminate()
        demo.wait(PATIENCE_S)
    assert_no_secret(log.read_text())


@pytest.mark.long
@pytest.mark.parametrize("way", ["PLAIN", "SCRAM"])
def test_commands_that_are_refused(place: Place, settings: Settings, way: str, tmp_path: Path) -> None:
    views = tmp_path / "views.csv"
    views.write_text(VIEWS)
    wrong_kafka = place.kafka.settings(
        *(settings, "PLAIN" if way == "PLAIN" else "SCRAM", "admin"),
        kafka_sasl_password=WRONG,
        mongodb_uri=place.mongo.uri,
    )
    for words in (["worker"], ["doctor"]) if way == "PLAIN" else (["init"], ["produce", "--file", str(views)]):
        assert "does not know the user admin" in " ".join(said_by(wrong_kafka, *words, ends_with=1).split())


@pytest.mark.long
def test_commands_that_mongodb_refuses(place: Place, settings: Settings) -> None:
    right = place.kafka.settings(settings, "PLAIN", "admin", mongodb_uri=place.mongo.uri)
    wrong = right.model_copy(update={"mongodb_uri": SecretStr(place.mongo.uri_of(ROOT[0], WRONG, "admin"))})
    for words in (["init"], ["doctor"], ["show", "genres"]):
        assert "Authentication failed." in " ".join(said_by(wrong, *words, ends_with=1).split())


def test_secrets_that_are_no_settings(tmp_path: Path) -> None:
    for variable, secret in (
        ("MONGODB_URI", f"postgres://root:{ROOT[1]}@localhost"),
        ("MONGODB_URI", f"mongodb://root:{ROOT[1]}@localhost"),
        ("KAFKA_SASL_PASSWORD", WRONG),
        ("KAFKA_SASL_PASSWORD_FILE", str(tmp_path / "secret")),
    ):
        (tmp_path / "secret").write_bytes(WRONG.encode() + b"\xff")
        done = subprocess.run(
            [COMMAND, "show", "genres"],
            env={**os.environ, variable: secret},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert_no_secret(line + done.stdout)


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)
