"""movie-stream: real-time analytics of movie views, from Kafka to MongoDB, exact.

Where to start reading, in this order:

1.  event.py              what a view is, and how a chunk of them is decoded and checked
2.  aggregates/results.py the results, each declared in a few lines; adding one is an entry here
3.  aggregates/           how they are computed: pure functions of a prefix of the log, no I/O
4.  tables/               state that survives a crash: checkpoints in a changelog topic
5.  agents/               the two agents: accumulate (views to partial results), publish (those to MongoDB)
6.  app.py                the Faust app: topics, tables and agents wired together
7.  kafka/                the outside world, Kafka: whole chunks in, guarded sends out
8.  mongo/                the outside world, MongoDB: schema, and writes that only ever move forward
9.  replay/               CSV files and generated streams, as a producer
10. embedded/             a broker and a mongod of one's own, for trying out and for the tests
11. api/                  the same from Python: views in, results out; its names are to be had from here
12. commands/             one module for each command
13. cli.py                the command line: names, options and help
14. ending.py             how a command ends: exit codes, and errors of one line; output.py guards what it prints
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from movie_stream.api.producer import ViewProducer
    from movie_stream.api.results import Results
    from movie_stream.api.view_event import ViewEvent
else:

    def __getattr__(name: str) -> object:
        """Imports a name of the Python API when it is first used: the clients of Kafka and MongoDB take their time."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_PLACES[name]), name)


__all__ = ["Results", "ViewEvent", "ViewProducer"]
__version__ = "0.1.0"

_PLACES: Final = {
    "Results": "movie_stream.api.results",
    "ViewEvent": "movie_stream.api.view_event",
    "ViewProducer": "movie_stream.api.producer",
}
