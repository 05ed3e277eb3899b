"""`movie-stream serve`: serves the page and the REST API in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from typing import Any, Final

from movie_stream.console import exits, logs
from movie_stream.errors import MovieStreamError
from movie_stream.mongo.users import as_reader
from movie_stream.settings import Settings, settings_with

SERVING: Final = "Serving the results at "
"""The beginning of the line that announces the address."""


class WebMissing(MovieStreamError):
    """The libraries of the web server are not installed.

    What to do: install the extra `web`.

    >>> print(WebMissing())
    serve needs the web server's libraries; install them with: pip install 'movie-stream[web]'
    """

    def __init__(self) -> None:
        super().__init__("serve needs the web server's libraries; install them with: pip install 'movie-stream[web]'")


def serve(settings: Settings, *, host: str | None = None, port: int | None = None, insecure: bool = False) -> None:
    """Serves until it is stopped, and prints the address once it can be opened. Ends the process.

    It logs in to MongoDB as MONGODB_READER_USERNAME if that is set, else by MONGODB_URI.

    Raises WebMissing, and SettingsError for invalid settings.
    """
    if not installed():
        raise WebMissing
    from movie_stream.web import server

    overrides: dict[str, Any] = {"api_host": host, "api_port": port}
    settings = settings_with(settings, **overrides)
    settings.require_mongodb()
    settings = as_reader(settings)
    logs.set_up(settings.log_level)
    asyncio.run(server.serve(settings, insecure=insecure, announce=_announce))
    exits.leave_at_once(0)  # threads of the driver may wait for a MongoDB that hangs


def installed() -> bool:
    """Whether the libraries of the extra `web` are installed."""
    return all(find_spec(library) for library in ("fastapi", "uvicorn", "odata_query"))


def _announce(address: str) -> None:
    sys.stdout.write(f"{SERVING}{address}\n")
    sys.stdout.flush()
