"""Loops over arrays, compiled by Numba (https://numba.pydata.org): what the decorators `kernel` and `part` do.

A kernel is a plain Python function over arrays and integers. Its annotations, of the names below, are its only
signature. It runs without the GIL, and is compiled on its first call, or by `compile_imported`. The machine code is
stored for all processes, and runs on any processor of this architecture. Without Numba, and with NUMBA_DISABLE_JIT=1,
the Python function itself runs, many times more slowly, with the same result.

Kernels make no arrays and do not check bounds: their callers do, before the call. With NUMBA_BOUNDSCHECK=1 a kernel
raises IndexError instead of reading elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from types import FunctionType
from typing import Any, Final, Generic, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Words = NDArray[np.uint64]
Words32 = NDArray[np.uint32]
Bools = NDArray[np.bool_]
WordPairs = NDArray[np.uint64]
"""Two words a row."""
BytesOut = Bytes
IntsOut = Ints
Ints32Out = Ints32
WordsOut = Words
Words32Out = Words32
BoolsOut = Bools
WordPairsOut = WordPairs
IntColumns = NDArray[np.int64]
"""A row for each column."""
IntColumnsOut = IntColumns
WordColumnsOut = NDArray[np.uint64]
ByteRowsOut = NDArray[np.uint8]

_ARRAYS: Final = {
    # The name of an annotation: the type of an item, and the dimensions. All are contiguous; only those of …Out are
    # written to.
    "Bytes": ("uint8", 1),
    "Ints": ("int64", 1),
    "Ints32": ("int32", 1),
    "Words": ("uint64", 1),
    "Words32": ("uint32", 1),
    "Bools": ("boolean", 1),
    "WordPairs": ("uint64", 2),
    "IntColumns": ("int64", 2),
    "WordColumns": ("uint64", 2),
    "ByteRows": ("uint8", 2),
}
_SCALARS: Final = {"int": "int64", "np.uint64": "uint64", "np.uint32": "uint32", "bool": "boolean", "float": "float64"}

COMPILED: Final = find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
"""Whether kernels are compiled in this process."""
_ALL: Final[list[Kernel[Any, Any]]] = []
_LOCK: Final = RLock()
_FOLDER: Final = Path(__file__).parent


class Kernel(Generic[P, R]):
    """A function that is compiled on its first call; `python` is what it was made of."""

    def __init__(self, python: Callable[P, R], exported: bool) -> None:
        self.python = python
        self._exported = exported
        self._stored = exported and python.__module__.startswith(f"{__package__}.")
        self._dispatcher: Any = None
        self._run: Callable[P, R] | None = None
        self.__doc__, self.__name__ = python.__doc__, python.__name__
        self.__module__, self.__wrapped__ = python.__module__, python

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return (self._run or self.compile())(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__name__}>"

    def compile(self) -> Callable[P, R]:
        """The function that runs, compiled before if it has to be."""
        with _LOCK:
            if self._run is None:
                if COMPILED:
                    self._run = self.dispatcher
                elif self._exported:
                    self._run = np.errstate(over="ignore")(self.python)
                else:
                    self._run = self.python
            return self._run

    @property
    def is_ready(self) -> bool:
        """Whether a call compiles nothing."""
        return self._run is not None or not COMPILED or (self._stored and _Stored(self.name).exists())

    @property
    def name(self) -> str:
        """The name of its file in the store."""
        return f"{self.__module__.rpartition('.')[2]}.{self.__name__}"

    @property
    def dispatcher(self) -> Any:
        """What Numba makes of it; other kernels call this one."""
        with _LOCK:
            if self._dispatcher is None:
                numba = _numba()
                python: Any = self.python
                used = {name: python.__globals__.get(name) for name in python.__code__.co_names}
                callees = {name: item.dispatcher for name, item in used.items() if isinstance(item, Kernel)}
                inner = FunctionType(python.__code__, {**python.__globals__, **callees}, self.__name__)
                # Without Numba's runtime no references to arrays are counted, which would take most of the time of a
                # loop that calls parts; nor can a kernel make arrays.
                within = {} if self._exported else {"forceinline": True, "no_cpython_wrapper": True}
                options = {"nogil": True, "_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}
                self._dispatcher = numba.njit(**options, **within)(inner)
                if self._stored:
                    self._dispatcher._cache = _Stored(self.name)
                if self._exported:
                    self._dispatcher.compile(_signature(python))
                    self._dispatcher.disable_compile()
            return self._dispatcher


def kernel(python: Callable[P, R]) -> Kernel[P, R]:
    """Declares a kernel, for callers outside of kernels; all of its arguments are annotated by the names above.

    >>> @kernel
    ... def total(numbers: Ints, least: int) -> int:
    ...     found = 0
    ...     for number in numbers:
    ...         if number >= least:
    ...             found += number
    ...     return found
    >>> total.python(np.array([1, 5, 7]), 5)
    np.int64(12)
    """
    made = Kernel(python, exported=True)
    if made._stored:
        _ALL.append(made)
    return made


def part(python: Callable[P, R]) -> Kernel[P, R]:
    """Declares a function that kernels call, and nobody else."""
    return Kernel(python, exported=False)


def compile_imported(started: Callable[[int], None] | None = None) -> int:
    """Compiles the kernels of all imported modules, or loads those that are stored; returns how many were compiled.

    `started` is called before the first one is compiled, with the number of those to compile.
    """
    missing = [one for one in _ALL if not one.is_ready]
    if missing and started is not None:
        started(len(missing))
    for one in _ALL:
        one.compile()
    return len(missing)


@cache
def _numba() -> Any:
    """Numba, set to make code for any processor of this architecture: it is as fast, and can be stored in an image."""
    import numba
    from numba.core import config

    config.CPU_NAME = config.CPU_NAME or "generic"
    return numba


def _signature(python: Any) -> tuple[Any, ...]:
    types = _numba().types
    made = []
    for name, annotation in python.__annotations__.items():
        if name == "return":
            continue
        if annotation in _SCALARS:
            made.append(getattr(types, _SCALARS[annotation]))
            continue
        item, dimensions = _ARRAYS[annotation.removesuffix("Out")]
        readonly = not annotation.endswith("Out")
        made.append(types.Array(getattr(types, item), dimensions, "C", readonly=readonly))
    return tuple(made)


@cache
def _digest() -> str:
    """Of all that the machine code depends on."""
    hashed = hashlib.sha256()
    for path in sorted(_FOLDER.glob("*.py")):
        hashed.update(path.read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        try:
            hashed.update(version(package).encode())
        except PackageNotFoundError:
            hashed.update(b"-")
    settings = (os.environ.get(name, "") for name in ("NUMBA_BOUNDSCHECK", "NUMBA_CPU_NAME", "NUMBA_OPT"))
    hashed.update(repr((sys.implementation.cache_tag, platform.machine(), *settings)).encode())
    return hashed.hexdigest()[:24]


def folders() -> list[Path]:
    """Where compiled kernels are stored: beside the package if that can be written to, else in the user's cache.

    Of others than us and root nothing is taken, since it is executed.
    """
    user = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache" if os.environ.get("HOME") else None)
    kept = [_FOLDER / "__pycache__" / f"kernels-{_digest()}"]
    if user is not None:
        kept.append(Path(user) / "movie-stream" / f"kernels-{_digest()}")
    return [folder for folder in kept if not folder.exists() or folder.stat().st_uid in (0, os.getuid())]


class _Stored:
    """The machine code of one kernel in a file, for Numba's dispatcher, which calls what Numba's own caches have.

    A file is replaced as a whole, and has one kernel of one digest: several processes may read and write it at once.
    Numba's own cache keeps several signatures by an index, which two processes can leave pointing to the wrong one.
    """

    def __init__(self, name: str) -> None:
        self._name = f"{name}.pickle"
        self.cache_path = str(_FOLDER)

    def exists(self) -> bool:
        return any((folder / self._name).exists() for folder in folders())

    def load_overload(self, _signature: Any, target: Any) -> Any:
        from numba.core.caching import CompileResultCacheImpl

        target.refresh()
        for folder in folders():
            try:
                reduced = pickle.loads((folder / self._name).read_bytes())
            except (OSError, EOFError, pickle.UnpicklingError):
                continue  # it is not there, or not to be read: it is looked for elsewhere, or compiled
            return CompileResultCacheImpl.rebuild(None, target, reduced)
        return None

    def save_overload(self, _signature: Any, compiled: Any) -> None:
        from numba.core.caching import CompileResultCacheImpl
        from numba.core.serialize import dumps

        data = dumps(CompileResultCacheImpl.reduce(None, compiled))
        for folder in folders():
            try:
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                    file.write(data)
                Path(file.name).chmod(0o644)
                Path(file.name).replace(folder / self._name)
            except OSError:
                continue  # read-only, or full: the next folder, or else each process compiles its own
            return

    def enable(self) -> None:
        pass

    def disable(self) -> None:
        pass

    def flush(self) -> None:
        pass
