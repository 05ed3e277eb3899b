"""Ends a command, whatever the cause: with an exit code, and after an error with one line on standard error.

0: success; 1: failure; 2: an invalid argument or setting; 130: Ctrl-C; 141: the reader of standard output has gone. The
last two are the codes that a shell reports for a program killed by these signals.
"""

from __future__ import annotations

import _thread
import errno
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn

from movie_stream.console import output
from movie_stream.errors import MovieStreamError, OutOfMemory, ReaderGone

FAILED: Final = 1
INTERRUPTED: Final = 128 + signal.SIGINT
READER_GONE: Final = 128 + signal.SIGPIPE
MORE_WORKERS: Final = "share the work among more workers"
"""Another remedy for a worker without memory."""
_LIBRARIES_BYTES: Final = 160 << 20
_SCARCE_BYTES: Final = 16 << 20
"""With less than this, no thread can allocate its stack."""
_AGAIN_AFTER_S: Final = 0.02
_NO_MEMORY_FOR_WORDS: Final = b"error: out of memory, even for saying of what; give it more\n"
_NO_LIBRARY: Final = ("failed to map segment", "cannot allocate memory")
"""Messages of the loader, in lower case, if there is no memory for a library."""
_NO_THREAD: Final = "can't start new thread"
_resource: Any = import_module("resource") if find_spec("resource") else None
"""None if the system does not have it; imported early, since importing takes memory."""
_said: Final = threading.Event()
"""Set once an error has been reported: a lack of memory that follows from it is not reported."""
_reporting: Final = threading.RLock()
_short_of_memory: Final = threading.Event()
"""Set once memory was short: no thread is waited for, since it may wait for one that could not be started."""


def run(command: Callable[[], object]) -> NoReturn:
    """Runs a command that returns its exit code or nothing, and ends the process."""
    sys.excepthook, sys.unraisablehook = _escaped, _unraisable
    threading.excepthook = _thread_failed
    try:
        _handle_interrupts(signal.default_int_handler)
        output.guard()
        code = _code_of(command)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED or _short_of_memory.is_set():
        _leave(code)  # the interpreter would only report leftovers, or wait for them
    _handle_interrupts(_interrupted)
    sys.exit(code)


def report(error: BaseException, *, remedy: str = "") -> int:
    """Prints an error in one line; returns the exit code. Raises the error itself if it is a bug, for its traceback.

    `remedy` is another remedy if memory is short.
    """
    try:
        known = explained(error, remedy=remedy)
        if known is None:
            raise error
        if isinstance(known, OutOfMemory):
            _short_of_memory.set()
        if isinstance(known, MovieStreamError):
            with _reporting:  # several threads may fail concurrently; none may end the process before the report
                if not (isinstance(known, OutOfMemory) and _said.is_set()):
                    print_error(known)
                    _said.set()
            return known.exit_code
    except MemoryError:
        _short_of_memory.set()
        os.write(2, _NO_MEMORY_FOR_WORDS)
        return FAILED
    return READER_GONE


def leave(error: BaseException, *, remedy: str = "") -> NoReturn:
    """Like report, then ends the process immediately, from any thread; not for bugs."""
    code = FAILED
    try:
        code = report(error, remedy=remedy)
    finally:
        _leave(code)


def print_error(error: BaseException) -> None:
    """Prints the line of an error on standard error."""
    head = "\x1b[31m\x1b[1merror: \x1b[0m" if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else "error: "
    sys.stderr.write(f"{head}{error if str(error) else repr(error)}\n")
    sys.stderr.flush()


def explained(error: BaseException, *, remedy: str = "") -> MovieStreamError | ReaderGone | None:
    """The error to report; None if it is a bug."""
    if isinstance(error, OutOfMemory):
        return error
    for cause in _causes(error):
        if what := _lacking(cause):
            return OutOfMemory(what=what, remedy=_more_memory() + (f", or {remedy}" if remedy else ""))
    if isinstance(error, MovieStreamError | ReaderGone):
        return error
    if not _has_room(_SCARCE_BYTES):  # libraries then raise other errors
        what = f"less than {_SCARCE_BYTES >> 20} MB are left, and so came {type(error).__name__}"
        return OutOfMemory(what=what, remedy=_more_memory())
    return None


def _code_of(command: Callable[[], object]) -> int:
    try:
        code = command()
        sys.stdout.flush()
    except SystemExit as ended:
        code = ended.code
    except Exception as error:
        if any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error)):
            raise KeyboardInterrupt from error  # Python 3.11 wraps what is raised in a `__set_name__` in a RuntimeError
        code = report(error)
    if (unwritten := output.failure(sys.stdout)) and not code:  # a library has swallowed the error
        code = report(unwritten)
    return int(code) if isinstance(code, int) and code else FAILED * bool(code or output.failure(sys.stderr))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, and those in groups, each once: the cause of an error may be the group it is in."""
    seen: set[int] = set()
    left = [error]
    while left:
        error = left.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        left.append(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
        if isinstance(error, BaseExceptionGroup):
            left += reversed(error.exceptions)


def _lacking(error: BaseException) -> str:
    """The reason if the error is a lack of memory, else an empty text.

    >>> _lacking(MemoryError("Unable to allocate 3 MiB")), _lacking(ValueError("x"))
    ('unable to allocate 3 MiB', '')
    """
    text = " ".join(str(error).split())
    match error:
        case MemoryError():
            return text[:1].lower() + text[1:] or "there is none left"
        case OSError(errno=errno.ENOMEM):
            return text
        case RuntimeError() if text.startswith(_NO_THREAD):
            return "no thread could be started"
        case ImportError() if any(words in text.lower() for words in _NO_LIBRARY):
            return "no library could be loaded"
    return ""


def _more_memory() -> str:
    """The remedy for the limit in force."""
    allowed = _allowed()
    return "give this machine or container more" if allowed is None else f"allow more than ulimit -v {allowed >> 10}"


def _allowed() -> int | None:
    """The limit of address space in bytes; None if there is none."""
    if _resource is None:
        return None
    allowed, _ = _resource.getrlimit(_resource.RLIMIT_AS)
    return None if allowed == _resource.RLIM_INFINITY else int(allowed)


def require_memory() -> None:
    """Raises OutOfMemory if a limit leaves no room for the libraries that commands need.

    Some libraries end the process without our message if they notice it first.
    """
    if not _has_room(_LIBRARIES_BYTES):
        what = f"no {_LIBRARIES_BYTES >> 20} MB of address space for the libraries"
        raise OutOfMemory(what=what, remedy=_more_memory())


def _has_room(size: int) -> bool:
    """Whether the limit, if there is one, allows this many more bytes."""
    if _allowed() is not None:
        try:
            mmap.mmap(-1, size).close()
        except OSError:
            return False
    return True


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Ends the process if a thread died of a lack of memory, since others would wait for it forever."""
    if failed.exc_value is None or explained(failed.exc_value) is None:
        threading.__excepthook__(failed)
        return
    leave(failed.exc_value)


def _escaped(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Handles Ctrl-C between the last lines of `run`; anything else is a bug."""
    if issubclass(kind, KeyboardInterrupt):
        _leave(INTERRUPTED)
    sys.__excepthook__(kind, error, trace)


def _unraisable(failed: sys.UnraisableHookArgs) -> None:
    """Repeats a Ctrl-C that arrived where nothing can be raised, as in a `__del__`."""
    if issubclass(failed.exc_type, KeyboardInterrupt):
        _thread.start_new_thread(_repeat_interrupt, ())
    elif failed.exc_value is not None and isinstance(explained(failed.exc_value), OutOfMemory):
        leave(failed.exc_value)  # the clean-up there has failed
    else:
        sys.__unraisablehook__(failed)


def _repeat_interrupt() -> None:
    time.sleep(_AGAIN_AFTER_S)
    _thread.interrupt_main()


def _handle_interrupts(handler: Callable[[int, FrameType | None], object]) -> None:
    """Sets the handler of SIGINT, unless the parent process ignores it."""
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, handler)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Ends the process: nothing is left to clean up while the interpreter exits."""
    _leave(INTERRUPTED)


def leave_at_once(code: int) -> NoReturn:
    """Ends the process with this exit code without waiting for threads, any of which may be blocked forever."""
    _leave(code)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
