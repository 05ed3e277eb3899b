"""The health check of a container: `python -m movie_stream.probe` asks the command that runs in it whether it is ready.

The command is found in the arguments of process 1, so that one check works for every command. The module imports
nothing else of the package: it is started every few seconds.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

_WITHIN_S: Final = 4.0
_THIS_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_MOST_BYTES: Final = 4096


def address(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, int] | None:
    """The host and port of the health endpoint of a command with these arguments; None if it has none.

    >>> address(["/usr/bin/python", "/usr/bin/movie-stream", "worker"], {"METRICS_PORT": "9464"})
    ('127.0.0.1', 9464)
    >>> address(["/sbin/docker-init", "--", "movie-stream", "serve", "--port", "81"], {"API_HOST": "0.0.0.0"})
    ('127.0.0.1', 81)
    >>> address(["movie-stream", "init"], {}) is None
    True
    """
    names = [Path(argument).name for argument in arguments]
    rest = list(arguments[names.index("movie-stream") + 1 :]) if "movie-stream" in names else []
    command = rest[0] if rest else "worker" if "faust" in names else ""
    if command == "worker":
        host, port = environment.get("METRICS_HOST"), environment.get("METRICS_PORT")
    elif command == "serve":
        host = _option(rest, "--host") or environment.get("API_HOST")
        port = _option(rest, "--port") or environment.get("API_PORT") or "8080"
    else:
        return None
    if not port or not port.isdecimal() or port == "0":
        return None
    host = host or "127.0.0.1"
    return _THIS_HOST.get(host, host), int(port)


def _option(arguments: Sequence[str], name: str) -> str | None:
    """The value of an option, after a space or an equals sign; the last one wins, as in the command itself."""
    found = None
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == name:
            found = following
        elif argument.startswith(f"{name}="):
            found = argument.partition("=")[2]
    return found


def main() -> int:
    """Prints the answer; returns 0 if the command is ready or has no health endpoint, else 1."""
    arguments = Path("/proc/1/cmdline").read_text(errors="replace").split("\0")
    found = address(arguments, os.environ)
    if found is None:
        print("this command has no health to ask for (a worker has with METRICS_PORT): it runs")  # noqa: T201
        return 0
    connection = HTTPConnection(*found, timeout=_WITHIN_S)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        print(answer.status, answer.read(_MOST_BYTES).decode(errors="replace"))  # noqa: T201
        return 0 if answer.status == 200 else 1
    except (OSError, HTTPException) as error:
        print(f"{found[0]}:{found[1]} does not answer: {error or type(error).__name__}")  # noqa: T201
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
