"""An Apache Kafka that lets in only whom it knows: TLS, logins, client certificates and ACLs, and the settings for it.

One server with a port for each way in; starting it takes several seconds, so that a module's tests share one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import trustme
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives import serialization

from movie_stream.embedded.launch import free_port
from movie_stream.kafka.cluster import client
from movie_stream.settings import Settings
from tests.support.kafka_server import KafkaServer

Way = Literal["PLAIN", "SCRAM", "MUTUAL"]
PASSWORDS: Final = {
    "admin": "adm1n-s3cret/42",
    "worker": "w0rker/pa$$+w%rd",
    "producer": "pr0ducer-secret",
    "stranger": "str4nger-secret",
}
"""Users of SASL. `admin` may do all, the others what their ACLs say."""
SCRAM: Final = "SCRAM-SHA-512"


@dataclass(frozen=True)
class Authority:
    """Certificates of a test's own, as files."""

    folder: Path
    ca: trustme.CA

    @property
    def trusted(self) -> str:
        """The file of the authority's certificate."""
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return str(path)

    def issued(self, *hosts: str, name: str | None = None, password: str | None = None) -> tuple[str, str]:
        """The files of a new certificate for these hosts, and of its key; PKCS#8, as Java wants it."""
        made = self.ca.issue_cert(*hosts, common_name=name)
        chain, key = (self.folder / f"{uuid.uuid4().hex}.{kind}.pem" for kind in ("certificate", "key"))
        chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        private = serialization.load_pem_private_key(made.private_key_pem.bytes(), None)
        lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
        return str(chain), str(key)


def authority(folder: Path) -> Authority:
    """A new one; its files are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Authority(folder, trustme.CA())


@dataclass(frozen=True)
class SecuredKafka:
    """The server while it runs."""

    server: KafkaServer
    authority: Authority
    ports: dict[str, int]

    def settings(self, settings: Settings, way: Way, user: str = "worker", **more: Any) -> Settings:
        """These settings, by this way in; `more` replaces single ones (an address, a password)."""
        access: dict[str, Any] = {
            "kafka_bootstrap_servers": f"localhost:{self.ports[way]}",
            "kafka_security_protocol": "SASL_SSL",
            "kafka_tls_ca": self.authority.trusted,
        }
        if way == "MUTUAL":
            certificate, key = self.authority.issued("client.example", name=user)
            access |= {
                "kafka_security_protocol": "SSL",
                "kafka_tls_certificate": certificate,
                "kafka_tls_key": key,
            }
        else:
            access |= {
                "kafka_sasl_mechanism": "PLAIN" if way == "PLAIN" else SCRAM,
                "kafka_sasl_username": user,
                "kafka_sasl_password": PASSWORDS[user],
            }
        given = {name: getattr(settings, name) for name in Settings.model_fields}
        return Settings(**{**given, **access, **more})


_RESOURCES: Final = {"topic": 2, "group": 3, "cluster": 4}
_OPERATIONS: Final = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10}
_LITERAL: Final = 3
_ALLOW: Final = 3


async def allow(settings: Settings, user: str, *rules: tuple[str, str, str]) -> None:
    """Adds ACLs: each is an operation, what kind of thing it is on, and the thing's name. By settings of `admin`."""
    async with client.admin(settings) as admin:
        for operation, kind, name in rules:
            request = CreateAclsRequest(
                *(_RESOURCES[kind], name, _LITERAL, f"User:{user}", "*", _OPERATIONS[operation], _ALLOW)
            )
            response = await admin._send_request(request)
            assert [code for code, _ in response.creation_responses] == [0]


@contextmanager
def secured_kafka(folder: Path, *, acls: bool = False) -> Iterator[SecuredKafka]:
    """The server: ports for SASL_SSL by PLAIN and by SCRAM, for client certificates, and for anyone without TLS.

    With `acls` only `admin`, and clients of the port without TLS, may do what no ACL allows.
    """
    made = authority(folder / "certificates")
    chain, key = made.issued("localhost")
    stores = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": _one_line(chain),
        "ssl.keystore.key": _one_line(key),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": _one_line(made.trusted),
    }
    ports = {way: free_port() for way in ("PLAIN", "SCRAM", "MUTUAL")}
    users = " ".join(f'user_{name}="{secret}"' for name, secret in PASSWORDS.items())
    login = "org.apache.kafka.common.security"
    properties = {
        **stores,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
        "PLAIN:SASL_SSL,SCRAM:SASL_SSL,MUTUAL:SSL",
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required {users};",
        "listener.name.scram.sasl.enabled.mechanisms": SCRAM,
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
    }
    if acls:
        properties |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
        }
    scram = [f"--add-scram={SCRAM}=[name={name},password={secret}]" for name, secret in PASSWORDS.items()]
    with KafkaServer(folder / "kafka", properties=properties, format_arguments=scram, ports=ports) as server:
        yield SecuredKafka(server, made, ports)


def _one_line(path: str) -> str:
    """A PEM file as a value of Java's properties."""
    return "\\n".join(Path(path).read_text().splitlines())
