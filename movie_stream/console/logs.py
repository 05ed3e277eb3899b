"""The log of a worker: its loggers, their levels, and the format of a line.

Times are in UTC and marked as such, like all times of this project: 2026-11-23T21:25:14Z.
"""

from __future__ import annotations

import logging
import logging.config
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from movie_stream.console import exits
from movie_stream.errors import OutOfMemory
from movie_stream.masking import masked, printable

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(message)s"
_OURS: Final = "movie_stream"
_LIBRARIES: Final[Mapping[str, str]] = {"DEBUG": "INFO", "INFO": "WARNING"}
"""The level of libraries by our level, if it differs: their messages only help to find a fault."""
_FAUST_IN_OUR_NAME: Final = ("movie_stream.app", "movie_stream.kafka.fetch.transport")
"""Modules that extend Faust's classes; Faust logs under the module of a class."""


class UtcFormatter(logging.Formatter):
    """One line per message, with the time in UTC; a message of several lines becomes one.

    >>> record = logging.makeLogRecord({"created": 0, "levelname": "INFO", "msg": "ready"})
    >>> UtcFormatter().format(record)
    '1970-01-01T00:00:00Z INFO    ready'
    """

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(_FORMAT, "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name that it has in logging)
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line without passwords, and without line breaks except in a traceback."""
        return masked(super().format(record))


FAUST: Final[Mapping[str, Any]] = {
    "merge": True,
    "version": 1,
    "formatters": {name: {"()": UtcFormatter} for name in ("default", "colored")},
}
"""For Faust's own logging, as in `faust -A movie_stream.app worker -l info`: its levels, our format."""


class LastHandler(logging.StreamHandler[Any]):
    """Prints messages; ends the process if that fails, or if a message is about a lack of memory.

    Faust and asyncio log the errors that they catch, and continue without the task that raised them.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and isinstance(exits.explained(error), OutOfMemory):
            exits.leave(error, remedy=exits.MORE_WORKERS)
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the name that it has in logging)
        error = sys.exc_info()[1]
        if error is not None and exits.explained(error) is not None:
            exits.leave(error, remedy=exits.MORE_WORKERS)
        super().handleError(record)


def set_up(level: str) -> None:
    """Logs our messages from `level` on to standard output, and those of libraries if they matter.

    Standard error is reserved for the line with the reason why a command failed.
    """
    others = _LIBRARIES.get(level, level)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"utc": {"()": UtcFormatter}},
            "handlers": {"out": {"()": LastHandler, "formatter": "utc", "stream": sys.stdout}},
            "root": {"level": others, "handlers": ["out"]},
            "loggers": {
                _OURS: {"level": level},
                **{name: {"level": others} for name in _FAUST_IN_OUR_NAME},
                "aiokafka": {"level": others if level == "DEBUG" else "CRITICAL"},  # we report its important errors
            },
        }
    )


def leave_to_us() -> None:
    """For commands that report errors in one line themselves: silences aiokafka's messages about the same errors.

    Also silences the message about a connection that was interrupted while connecting, and ends the process if asyncio
    caught a lack of memory.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio_log = logging.getLogger("asyncio")
    asyncio_log.addFilter(_is_no_interrupted_connection)
    if not asyncio_log.handlers:
        asyncio_log.addHandler(LastHandler())


def _is_no_interrupted_connection(record: logging.LogRecord) -> bool:
    return "Unclosed AIOKafkaConnection" not in record.getMessage()


@contextmanager
def unlogged(logger: str, text: str) -> Iterator[None]:
    """Silences messages of `logger` that contain `text`, which are expected and handled.

    >>> with unlogged("library", "no idempotence"):
    ...     logging.getLogger("library").error("the broker has no idempotence")
    """

    def drop(record: logging.LogRecord) -> bool:
        return text not in record.getMessage()

    source = logging.getLogger(logger)
    source.addFilter(drop)
    try:
        yield
    finally:
        source.removeFilter(drop)
