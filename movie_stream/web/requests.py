"""How many requests were answered, how, and how long that took."""

from __future__ import annotations

from collections import Counter
from time import monotonic
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Message, Scope

from movie_stream.metrics import catalogue
from movie_stream.metrics.values import OTHER, Histogram, Values

STREAM: Final = "text/event-stream"
"""The media type of answers that have no end of their own."""
CUT_OFF: Final = "none"
"""The status of a request whose client has gone before its answer began."""
DECLARED: Final = "movie_stream.route"
"""In a request's scope: its route, of an application that finds its paths by itself."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Requests:
    """All requests since the start of the server. Whatever is asked for, there are only so many labels: routes are
    those of the application, as it declares them, and all other paths are one.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._answered = Counter[tuple[str, str, str]]()
        self._outcomes = Counter[str]()
        self._took: dict[tuple[str, str], Histogram] = {}

    def ended(self, method: str, route: str, status: str, took_s: float | None) -> None:
        """Counts a request; `took_s` is None where the answer was a stream."""
        self._answered[method, route, status] += 1
        if status != CUT_OFF:
            self._outcomes["failed" if status >= "500" else "fine"] += 1
        if took_s is not None:
            if (method, route) not in self._took:
                self._took[method, route] = Histogram(catalogue.ANSWER.buckets)
            self._took[method, route].observe(took_s)

    def export(self, values: Values) -> None:
        """Adds all of it to what is told; outcomes that did not occur yet as 0, so that the first shows as a rise."""
        values.set(catalogue.IN_FLIGHT, self.in_flight)
        for outcome in ("failed", "fine"):
            values.set(catalogue.HTTP_ANSWERS, self._outcomes[outcome], outcome)
        for labels, count in self._answered.items():
            values.set(catalogue.REQUESTS, count, *labels)
        for of, histogram in self._took.items():
            values.set(catalogue.ANSWER, histogram, *of)


class Request:
    """One request, from when it has come to when it is answered."""

    def __init__(self, requests: Requests, scope: Scope) -> None:
        self._requests, self._method = requests, scope["method"] if scope["method"] in _METHODS else OTHER
        self._began_s, self._status, self._is_stream = monotonic(), CUT_OFF, False
        self.scope = scope
        """Where the application notes the route, once it has found it; to be replaced by what it is given."""
        requests.in_flight += 1

    def answered(self, message: Message) -> None:
        """Its answer begins."""
        self._status = str(message["status"])
        if Headers(raw=message.get("headers", [])).get("content-type", "").startswith(STREAM):
            self._is_stream = True
            self._requests.in_flight -= 1

    def ended(self) -> None:
        """Its answer has ended, however that was."""
        took_s = None if self._is_stream else monotonic() - self._began_s
        if not self._is_stream:
            self._requests.in_flight -= 1
        self._requests.ended(self._method, _route_of(self.scope), self._status, took_s)


def _route_of(scope: Scope) -> str:
    """The path that the application declares, such as /static/{name:path}, or OTHER.

    A route knows its own part alone, and what was put before that has no parameters: so that is what stands before it
    in the path that was asked for.
    """
    if (declared := scope.get(DECLARED)) is not None:
        return str(declared)
    route, path = scope.get("route"), scope["path"]
    try:
        own = route.path_format.format(**scope.get("path_params", {}))  # type: ignore[union-attr]
    except (AttributeError, LookupError, ValueError):
        return OTHER
    return path.removesuffix(own) + route.path if path.endswith(own) else OTHER  # type: ignore[union-attr]
