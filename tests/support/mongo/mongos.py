"""A server that answers like the mongos of a sharded cluster, in front of one mongod: no package has the real one.

It says that it is a mongos, takes the three commands that only one knows, and hands everything else on; so a
client treats it as a cluster, and the commands for the cluster can be inspected. It does not show what a real
cluster does with them.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Mapping
from socket import create_connection, socket
from typing import Any, Final, Self

import bson

_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_HELLO: Final = frozenset({"hello", "ismaster", "isMaster"})
_OF_A_SET: Final = ("setName", "setVersion", "hosts", "primary", "me", "electionId", "secondary", "isreplicaset")


class Mongos:
    """Answers at `port` for the mongod at `target`, within a `with` block."""

    def __init__(self, target: int) -> None:
        self.told: list[Mapping[str, Any]] = []
        """The commands that only a mongos knows."""
        self.keys: dict[str, Mapping[str, Any]] = {}
        """By collection, with its database, how it is sharded."""
        self.levels: set[str] = set()
        """The read concerns that were asked for."""
        stand_in = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with create_connection(("127.0.0.1", target)) as mongod:
                    stand_in._serve(self.request, mongod)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="mongos")

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, client: socket, mongod: socket) -> None:
        while request := _message(client):
            kind, body = request[12:16], request[16:]
            command = _command(struct.unpack("<i", kind)[0], body)
            answer = self._own_answer(command)
            if answer is None:
                mongod.sendall(request)
                reply = _message(mongod)
                if next(iter(command), "") in _HELLO:
                    reply = _as_mongos(reply)
                client.sendall(reply)
            else:
                client.sendall(_reply(request, answer))

    def _own_answer(self, command: Mapping[str, Any]) -> Mapping[str, Any] | None:
        self.levels |= {level} if (level := command.get("readConcern", {}).get("level")) else set()
        match next(iter(command), ""):
            case "enableSharding":
                self.told.append({"enableSharding": command["enableSharding"]})
                return {"ok": 1.0}
            case "shardCollection":
                self.told.append({name: command[name] for name in ("shardCollection", "key")})
                self.keys[command["shardCollection"]] = command["key"]
                return {"ok": 1.0}
            case "find" if command["$db"] == "config" and command["find"] == "collections":
                wanted = command["filter"]["_id"]["$in"]
                found = [{"_id": name, "key": key} for name, key in self.keys.items() if name in wanted]
                return {"ok": 1.0, "cursor": {"id": bson.Int64(0), "ns": "config.collections", "firstBatch": found}}
        return None


def _message(stream: socket) -> bytes:
    """One message of MongoDB's wire protocol; empty at the end of the stream."""
    size = _exactly(stream, 4)
    return size + _exactly(stream, struct.unpack("<i", size)[0] - 4) if size else b""


def _exactly(stream: socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        try:
            part = stream.recv(count - len(parts))
        except ConnectionError:
            return b""
        if not part:
            return b""
        parts += part
    return parts


def _command(kind: int, body: bytes) -> Mapping[str, Any]:
    """The command of an OP_MSG, or of the OP_QUERY that a client begins with."""
    if kind == _OP_QUERY:
        begin = body.index(0, 4) + 1 + 8
        return bson.decode(body[begin : begin + struct.unpack_from("<i", body, begin)[0]])
    assert kind == _OP_MSG
    return bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]])


def _reply(request: bytes, answer: Mapping[str, Any]) -> bytes:
    body = struct.pack("<ib", 0, 0) + bson.encode(answer)
    [number] = struct.unpack_from("<i", request, 4)
    return struct.pack("<iiii", 16 + len(body), 0, number, _OP_MSG) + body


def _as_mongos(reply: bytes) -> bytes:
    """The same, of a mongos."""
    [kind] = struct.unpack_from("<i", reply, 12)
    begin = 36 if kind == _OP_REPLY else 21
    hello = {name: value for name, value in bson.decode(reply[begin:]).items() if name not in _OF_A_SET}
    body = reply[16:begin] + bson.encode({**hello, "msg": "isdbgrid"})
    return struct.pack("<i", 16 + len(body)) + reply[4:16] + body
