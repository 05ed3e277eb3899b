"""A mongod of a test's own, which may be killed, stopped, made to fail, and restarted on the same data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_plus, urlencode

from pymongo import MongoClient, WriteConcern

from movie_stream.embedded.launch import free_port
from movie_stream.embedded.mongod import mongod
from movie_stream.embedded.process import GuardedProcess
from tests.support.server_process import ServerProcess

_READY_LIMIT_MS = 60_000


class ReplicaSet:
    """Three of them that elect one to take the writes; within a `with` block."""

    def __init__(self, folder: Path) -> None:
        self.members = [MongoServer(folder / name, replica_set=True) for name in ("first", "second", "third")]

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"mongodb://{hosts}/?replicaSet=rs"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for member in self.members:
                member.folder.mkdir(parents=True)
                member.start()
                stack.callback(member.process.stop)
            hosts = [f"127.0.0.1:{member.port}" for member in self.members]
            config = {
                "_id": "rs",
                "members": [{"_id": number, "host": host} for number, host in enumerate(hosts)],
                "settings": {"electionTimeoutMillis": 2_000},
            }
            for host in reversed(hosts):  # the first one asks the others
                with self.members[0].client(f"mongodb://{host}/?directConnection=true") as client:
                    client.admin.command("ping")
                    if host == hosts[0]:
                        client.admin.command("replSetInitiate", config)
            self.wait_until_ready()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.process.stop()

    def wait_until_ready(self) -> None:
        """Until one of them takes writes that a majority has."""
        with self.members[0].client(self.uri) as client:
            client["ready"].get_collection("ready", write_concern=WriteConcern("majority")).insert_one({})

    def primary(self) -> MongoServer:
        """The one that takes the writes, once there is one."""
        with self.members[0].client(self.uri) as client:
            client.admin.command("ping")
            assert client.primary is not None
            return next(member for member in self.members if member.port == client.primary[1])


class MongoServer(ServerProcess):
    """Runs within a `with` block; `replica_set` makes it a set of one, which has elections and a majority.

    With `administrator` (a name and a password) nobody connects without a login; with `tls` (the file of a certificate
    and its key, the file of the authority's) nobody without TLS.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replica_set: bool = False,
        administrator: tuple[str, str] | None = None,
        tls: tuple[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._replica_set = replica_set
        self._administrator, self._tls = administrator, tls
        self.port = free_port()

    @property
    def uri(self) -> str:
        return self.uri_of(*self._administrator, database="admin") if self._administrator else self._uri("", {})

    def uri_of(self, user: str, password: str, database: str) -> str:
        """The URI of a user who is defined in `database`."""
        return self._uri(f"{quote_plus(user)}:{quote_plus(password)}@", {"authSource": database})

    def _uri(self, login: str, options: dict[str, str]) -> str:
        options |= {"replicaSet": "rs"} if self._replica_set else {}
        options |= {"tls": "true", "tlsCAFile": self._tls[1]} if self._tls else {}
        return f"mongodb://{login}127.0.0.1:{self.port}/" + (f"?{urlencode(options)}" if options else "")

    def __enter__(self) -> Self:
        self.start()
        if self._replica_set:
            member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
            with self.client(f"mongodb://127.0.0.1:{self.port}/?directConnection=true") as client:
                client.admin.command("replSetInitiate", {"_id": "rs", "members": [member]})
        if self._administrator is not None:  # who comes from the same host may make the first user
            name, password = self._administrator
            with self.client(self._uri("", {})) as client:
                client.admin.command("createUser", name, pwd=password, roles=["root"])
        self.wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()

    def start(self) -> None:
        command = [str(self.folder) if part == "." else part for part in mongod().command(self.port)]
        command += ["--setParameter", "enableTestCommands=1"]
        command += ["--replSet", "rs"] if self._replica_set else []
        command += ["--auth"] if self._administrator else []
        command += ["--keyFile", self._key()] if self._administrator and self._replica_set else []
        if self._tls:
            command += ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", self._tls[0], "--tlsCAFile", self._tls[1]]
            command += ["--tlsAllowConnectionsWithoutCertificates"]
        self.process = GuardedProcess("mongod", command)

    def _key(self) -> str:
        """The file with what the members of a set show each other, where there is a login."""
        path = self.folder / "key"
        path.touch(mode=0o600)
        path.write_text("secret" * 4)
        return str(path)

    def wait_until_ready(self) -> None:
        """Until it takes writes."""
        with self.client(self.uri) as client:
            client.admin.command("hello")
            client["ready"]["ready"].insert_one({})

    @contextmanager
    def failing(self, *commands: str, **how: Any) -> Iterator[None]:
        """Every such command gets this outcome: `errorCode`, `writeConcernError`, or `closeConnection`."""
        self._fail_point("alwaysOn", {"failCommands": commands, **how})
        try:
            yield
        finally:
            self._fail_point("off", {})

    def fails_once(self, command: str, **how: Any) -> None:
        """The next such command gets this outcome."""
        self._fail_point({"times": 1}, {"failCommands": [command], **how})

    def _fail_point(self, mode: str | dict[str, int], data: dict[str, Any]) -> None:
        with self.client(self.uri) as client:
            client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)

    def client(self, uri: str) -> MongoClient[dict[str, Any]]:
        return MongoClient(uri, serverSelectionTimeoutMS=_READY_LIMIT_MS)
