"""Every way in at a real Kafka, and every way in which it fails: one line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from movie_stream.errors import MovieStreamError, SettingsError
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.access import access_in_words, access_options
from movie_stream.settings import Settings
from tests.support.kafka.secured_kafka import PASSWORDS, SecuredKafka, Way, authority, secured_kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
        yield running


async def connect(settings: Settings) -> None:
    async with client.admin(settings) as admin:
        await admin.describe_cluster()


async def refusal_of(settings: Settings) -> str:
    with pytest.raises(MovieStreamError) as refusal:
        await connect(settings)
    text = str(refusal.value)
    assert not any(secret in text for secret in PASSWORDS.values())
    return text


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM", "MUTUAL"])
async def test_every_client_can_log_in(kafka: SecuredKafka, settings: Settings, way: Way) -> None:
    there = kafka.settings(settings, way)
    await topics.ensure(there)
    assert "/" in (await topics.describe(there)).identities[there.kafka_topic]  # by a request of our own
    producer = await client.start_producer(there)
    sent = await producer.send_and_wait(there.kafka_topic, b"view", partition=0)
    await producer.stop()
    async with client.reader(there) as reader:
        assert await reader.end_offsets([sent.topic_partition]) == {sent.topic_partition: 1}


WRONG: list[tuple[str, Way, dict[str, Any], list[str]]] = [
    (
        "a wrong password",
        "PLAIN",
        {"kafka_sasl_password": "not-the-password"},
        [
            "does not know the user worker with this password by PLAIN",
            "correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASS",
        ],
    ),
    (
        "a wrong password of SCRAM",
        "SCRAM",
        {"kafka_sasl_password": "not-the-password"},
        ["does not know the user worker with this password by SCRAM-SHA-512"],
    ),
    (
        "a mechanism that it does not take",
        "PLAIN",
        {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
        ["it does not take SCRAM-SHA-256", "set KAFKA_SASL_MECHANISM to one that it takes: PLAIN, "],
    ),
    (
        "an authority that the system does not know",
        "PLAIN",
        {"kafka_tls_ca": None},
        ["its certificate is not signed by whom we trust", "set KAFKA_TLS_CA to the certificate of the authority"],
    ),
    (
        "TLS where a login is wanted",
        "PLAIN",
        {"kafka_security_protocol": "SSL", "kafka_sasl_mechanism": None}
        | {"kafka_sasl_username": None, "kafka_sasl_password": None},
        ["it wants a login; set KAFKA_SECURITY_PROTOCOL to SASL_SSL"],
    ),
    (
        "a login where none is taken",
        "MUTUAL",
        {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN"}
        | {"kafka_sasl_username": "worker", "kafka_sasl_password": PASSWORDS["worker"]},
        ["it takes no login on this port; set KAFKA_SECURITY_PROTOCOL to SSL"],
    ),
    (
        "no certificate where one is wanted",
        "MUTUAL",
        {"kafka_tls_certificate": None, "kafka_tls_key": None},
        ["it wants a certificate of ours", "set KAFKA_TLS_CERTIFICATE and KAFKA_TLS_KEY"],
    ),
    (
        "no TLS where TLS is spoken",
        "MUTUAL",
        {"kafka_security_protocol": "PLAINTEXT", "kafka_tls_ca": None}
        | {"kafka_tls_certificate": None, "kafka_tls_key": None},
        ["it speaks TLS, and we do not; set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL"],
    ),
    (
        "a login without TLS where TLS is spoken",
        "PLAIN",
        {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_tls_ca": None},
        ["it speaks TLS, and we do not; set KAFKA_SECURITY_PROTOCOL to SASL_SSL"],
    ),
]


@pytest.mark.parametrize(("way", "change", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
async def test_an_access_error_names_the_cause(
    kafka: SecuredKafka, settings: Settings, way: Way, change: dict[str, Any], said: list[str]
) -> None:
    text = await refusal_of(kafka.settings(settings, way, **change))
    assert text.startswith(f"no way in at the Kafka broker localhost:{kafka.ports[way]}: ")
    assert [part for part in said if part not in text] == [], text


async def test_the_authority_of_somebody_else(kafka: SecuredKafka, settings: Settings, tmp_path: Path) -> None:
    other = authority(tmp_path / "other")
    text = await refusal_of(kafka.settings(settings, "PLAIN", kafka_tls_ca=other.trusted))
    assert "its certificate is not signed by whom we trust" in text
    assert "KAFKA_TLS_CA must hold" in text
    certificate, key = other.issued("client.example")
    text = await refusal_of(kafka.settings(settings, "MUTUAL", kafka_tls_certificate=certificate, kafka_tls_key=key))
    assert "it refuses our certificate" in text
    assert "signed by an authority that the broker trusts" in text


async def test_a_host_that_the_certificate_does_not_name(kafka: SecuredKafka, settings: Settings) -> None:
    address = f"127.0.0.1:{kafka.ports['SCRAM']}"
    text = await refusal_of(kafka.settings(settings, "SCRAM", kafka_bootstrap_servers=address))
    assert f"{address}: its certificate is not for the host 127.0.0.1" in text


async def test_tls_where_none_is_spoken(kafka: SecuredKafka, settings: Settings) -> None:
    text = await refusal_of(kafka.settings(settings, "PLAIN", kafka_bootstrap_servers=kafka.server.bootstrap_servers))
    assert "it speaks no TLS, and we do" in text


# ---- certificates as files -----------------------------------------------------------------------------------------


def with_tls(**access: Any) -> Settings:
    return Settings(kafka_bootstrap_servers="localhost:1", kafka_security_protocol="SSL", **access)


def complaint(**access: Any) -> str:
    with pytest.raises(SettingsError) as refusal:
        access_options(with_tls(**access))
    return str(refusal.value)


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    text, binary, pipe, large = (tmp_path / name for name in ("text", "binary", "pipe", "large"))
    text.write_text("not a certificate")
    binary.write_bytes(b"\x30\x82\xff\xfe")
    os.mkfifo(pipe)
    large.write_bytes(b"x" * (5 << 20))
    expected = "KAFKA_TLS_CA: expected the path of a file in PEM format, got"
    for path, why in (
        (text, "it holds no certificate in PEM format"),
        (binary, "it is binary; convert it with openssl"),
        (pipe, "it is no regular file"),
        (large, "it has more than 4,194,304 bytes"),
        (tmp_path / "none", "No such file or directory"),
    ):
        assert complaint(kafka_tls_ca=str(path)) == f"{expected} {shortened(str(path))}; {why}"


def shortened(path: str) -> str:
    return repr(path if len(path) <= 80 else path[:80] + "...")


def test_certificates_and_keys_that_do_not_fit(tmp_path: Path) -> None:
    made = authority(tmp_path / "made")
    certificate, key = made.issued("client.example")
    _, other = made.issued("client.example")
    locked_certificate, locked = made.issued("client.example", password="open-sesame")
    (tmp_path / "text").write_text("no key")
    for pair, why in (
        ((certificate, other), "it is the key of another certificate"),
        ((key, key), "KAFKA_TLS_CERTIFICATE: expected"),
        ((certificate, str(tmp_path / "text")), "it holds no private key in PEM format"),
        ((locked_certificate, locked), "KAFKA_TLS_KEY_PASSWORD is not set: but the key in KAFKA_TLS_KEY is encrypted"),
    ):
        assert why in complaint(kafka_tls_certificate=pair[0], kafka_tls_key=pair[1])
    both = {"kafka_tls_certificate": locked_certificate, "kafka_tls_key": locked}
    text = complaint(**both, kafka_tls_key_password="open-barley")
    assert "KAFKA_TLS_KEY_PASSWORD is not its password" in text
    assert "barley" not in text
    assert "ssl_context" in access_options(with_tls(**both, kafka_tls_key_password="open-sesame"))


def test_the_user_is_reported_without_the_secret() -> None:
    login = Settings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username="ana",
        kafka_sasl_password="hunter22",
    )
    assert access_in_words(login) == "SASL_SSL, as ana by PLAIN"
    own = {"kafka_tls_certificate": "c.pem", "kafka_tls_key": "k.pem"}
    assert access_in_words(with_tls(**own)) == "SSL, with the certificate c.pem"
    assert access_options(login)["ssl_context"].check_hostname
