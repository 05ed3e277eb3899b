"""Check of `movie-stream doctor` on METRICS_PORT: whether a worker, a server, another program or nothing listens."""

from __future__ import annotations

import asyncio
import http.client
from typing import Final

from movie_stream.commands.doctor.findings import Findings
from movie_stream.metrics.catalogue import EVENTS, IN_FLIGHT, PREFIX
from movie_stream.settings import Settings

_WITHIN_S: Final = 7.0
"""The longest time to wait for an answer; a busy process takes up to five seconds."""
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_MOST_BYTES: Final = 4 << 20


async def check_metrics(settings: Settings, findings: Findings) -> None:
    """Checks METRICS_PORT; without findings if it is not set."""
    port = settings.metrics_port
    if port is None:
        return
    if port == 0:
        findings.add("ok", "METRICS_PORT is 0: each process takes a free port and logs it")
        return
    host = _ANY.get(settings.metrics_host, settings.metrics_host)
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
    try:
        text = await asyncio.to_thread(_page, host, port)
    except ConnectionRefusedError:
        findings.add("ok", f"nobody answers at {where} yet; a worker or serve that is started with METRICS_PORT will")
    except (OSError, http.client.HTTPException) as error:
        findings.add("warn", f"{where}: {error or type(error).__name__}", "correct METRICS_PORT and METRICS_HOST")
    else:
        names = {line.partition("{")[0].split()[0] for line in text.splitlines() if line.startswith(PREFIX)}
        who = "a worker" if EVENTS.name in names else "serve" if IN_FLIGHT.name in names else ""
        if who:
            findings.add("ok", f"{who} answers at {where}; whatever else runs here needs another METRICS_PORT")
        else:
            found = f"the program at {where} is neither a worker nor serve, or one too busy to answer"
            findings.add("warn", found, "if it is another program, set METRICS_PORT to a free port")


def _page(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=_WITHIN_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read(_MOST_BYTES).decode("utf-8", "replace")
    finally:
        connection.close()
