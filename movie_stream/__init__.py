"""movie-stream: real-time analytics of movie views, from Kafka to MongoDB, exact.

Where to start reading, in this order, from the core outwards; docs/explanation/architecture.md has the way of a view:

1.  events/       what a view is, and how records become views
2.  aggregates/   what is computed: results.py declares each result, adding one is an entry there; no I/O in here
3.  columnar/     the arrays that all of this stands in
4.  tables/       state that survives a crash: checkpoints in a changelog topic
5.  kafka/        the outside world, Kafka: whole chunks in, acknowledged sends out
6.  mongo/        the outside world, MongoDB: schema, queries, and writes that only ever move forward
7.  runs/         which counting of the log this is, and how far it is
8.  metrics/      what Prometheus is told; catalogue.py declares each metric
9.  alerts/       what the results say by rules of the user's own: pure evaluation, and the way of its alerts
10. agents/       the two agents: accumulate (views to partials), publish (those to MongoDB); and the worker
11. app.py        the Faust app: topics, agents and the worker wired together
12. dead_letters/ records that were refused, and what becomes of them
13. replay/       files and made-up views, as a producer
14. client/       the same from Python: views in, results out; its names are to be had from here
15. odata/        what a BI tool may ask of them, read and turned into queries
16. web/          the results over HTTP, for programs and for BI tools, and a live page
17. export/       the same as files and Delta Lake tables
18. embedded/     a broker and a mongod of one's own, for trying out and for the tests
19. commands/     one module or folder for each command
20. cli.py        the command line, with options.py; entry.py is where it begins
21. console/      what commands share: how they print, and how they end

Below all of it: kernels/ (compiled loops over those arrays), settings.py (the settings), errors.py (the errors),
masking.py (keeps passwords out of texts).
Beside it: probe.py (the health check of a container).
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    __version__: str
    from movie_stream.client.producer import ViewProducer
    from movie_stream.client.results import Results
    from movie_stream.client.view_event import ViewEvent
else:

    def __getattr__(name: str) -> object:
        """Imports a name of the Python API when it is first used: the clients of Kafka and MongoDB take their time."""
        if name == "__version__":
            return globals().setdefault(name, _installed_version())
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if sys.platform == "win32":
            raise ImportError(NO_WINDOWS)
        return getattr(import_module(_PLACES[name]), name)


__all__ = ["Results", "ViewEvent", "ViewProducer"]

NO_WINDOWS: Final = "movie-stream runs on Linux and macOS; on Windows, install it in WSL 2 (wsl --install)"

_PLACES: Final = {
    "Results": "movie_stream.client.results",
    "ViewEvent": "movie_stream.client.view_event",
    "ViewProducer": "movie_stream.client.producer",
}


def _installed_version() -> str:
    """What the package was installed as, which is what its git tag said then; not imported before it is asked for."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("movie-stream")
    except PackageNotFoundError:
        return "0.0.0"  # the files alone, on the path of a program
