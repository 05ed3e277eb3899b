"""The health of a worker over HTTP: liveness of its event loop, and readiness of its dependencies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

PATHS: Final = ("/health/live", "/health/ready")
WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Checks = Mapping[str, str | None]
"""By dependency, its error, or None."""


@dataclass(frozen=True, slots=True)
class Health:
    """The checks of a process. Both are called in the thread of a request, and raise TimeoutError or RuntimeError if
    its loop does not answer.
    """

    live: Callable[[], object]
    ready: Callable[[], Checks]

    def answer(self, path: str) -> tuple[str, dict[str, Any]]:
        """The status and the content for one of PATHS, in the format of `movie-stream serve`."""
        try:
            if path == PATHS[0]:
                self.live()
                return "200 OK", {"status": "ok"}
            checks = self.ready()
        except (TimeoutError, RuntimeError) as error:  # the loop is blocked, or stops
            detail = f"the worker does not answer: {str(error) or type(error).__name__}"
            return "503 Service Unavailable", {"status": "failing", "detail": detail}
        failing = any(found is not None for found in checks.values())
        details = {
            name: {"status": "ok" if found is None else "fail", "detail": found} for name, found in checks.items()
        }
        content = {"status": "failing" if failing else "ok", "checks": details}
        return "503 Service Unavailable" if failing else "200 OK", content


def application(metrics: WSGIApplication, health: Health | None) -> WSGIApplication:
    """A WSGI application: the metrics at /metrics, the health, if given, at PATHS, else 404."""
    paths = ("/metrics", *(PATHS if health is not None else ()))

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        allowed = environ.get("REQUEST_METHOD") in ("GET", "HEAD")
        if health is None or path not in PATHS:
            status, content = "404 Not Found", {"detail": f"expected one of {', '.join(paths)}"}
        elif not allowed:
            status, content = "405 Method Not Allowed", {"detail": "expected GET or HEAD"}
        else:
            status, content = health.answer(path)
        body = json.dumps(content).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        headers += [("Cache-Control", "no-store")] + ([] if status[:3] != "405" else [("Allow", "GET, HEAD")])
        start_response(status, headers)
        return [body] if environ.get("REQUEST_METHOD") != "HEAD" else []

    return answer
