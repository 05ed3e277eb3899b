"""Loops over arrays, compiled by Numba (https://numba.pydata.org): what the decorators `kernel` and `part` do.

A kernel is a plain Python function over arrays and integers. Its annotations, of the names below, are its only
signature. It is compiled on its first call, or by `compile_imported`: in other processes (children.py), the only ones
that need Numba. The machine code is stored for all processes (store.py), runs on any processor of this architecture,
and without the GIL (machine_code.py). Where there is no Numba and nothing is stored, and with NUMBA_DISABLE_JIT=1, the
Python function itself runs, many times more slowly, with the same result.

Kernels make no arrays and do not check bounds: their callers do, before the call. With NUMBA_BOUNDSCHECK=1 a kernel
raises IndexError instead of reading elsewhere.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from threading import Event, RLock
from typing import Any, Final, Generic, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import KernelsMissing, KernelsNotStored
from movie_stream.kernels import children, machine_code, store
from movie_stream.kernels.machine_code import Array

logger = logging.getLogger(__name__)

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
    "Bools": ("bool", 1),
    "WordPairs": ("uint64", 2),
    "IntColumns": ("int64", 2),
    "WordColumns": ("uint64", 2),
    "ByteRows": ("uint8", 2),
}


def _can_be_compiled() -> bool:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") or find_spec("llvmlite") is None:
        return False
    return find_spec("numba") is not None or any(folder.is_dir() for folder in store.folders())


COMPILED: Final = _can_be_compiled()
"""Whether kernels run as machine code in this process."""
COMPILING: Final = "compiling %d loops for this machine, once; it takes some seconds"
"""The line of progress in a log."""
_ALL: Final[list[Kernel[Any, Any]]] = []
_LOCK: Final = RLock()


class Kernel(Generic[P, R]):
    """A function that is compiled on its first call; `python` is what it was made of."""

    def __init__(self, python: Callable[P, R], exported: bool) -> None:
        self.python: Any = python
        self.exported = exported
        self._run: Callable[P, R] | None = None
        self.__doc__, self.__name__ = python.__doc__, python.__name__
        self.__module__, self.__wrapped__ = python.__module__, python

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return (self._run or self._ready())(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__name__}>"

    def _ready(self) -> Callable[P, R]:
        with _LOCK:
            if self._run is None:
                if not COMPILED:
                    self._run = np.errstate(over="ignore")(self.python) if self.exported else self.python
                elif (code := store.read(self.name)) is not None:
                    self.load(code)
                else:
                    compile_imported(_announce)
        assert self._run is not None
        return self._run

    def load(self, code: bytes) -> None:
        """Runs this object file from now on."""
        address, returns = machine_code.link(self.name, code), self.python.__annotations__["return"]
        self._run = machine_code.function(self.name, address, self.parameters, returns)

    @property
    def name(self) -> str:
        """Its name in the store."""
        return f"{self.__module__.rpartition('.')[2]}.{self.__name__}"

    @property
    def parameters(self) -> dict[str, Array | str]:
        """Its parameters: arrays, or the annotation of what is none."""
        annotations = {name: kind for name, kind in self.python.__annotations__.items() if name != "return"}
        return {
            name: Array(*_ARRAYS[array], kind.endswith("Out"))
            if (array := kind.removesuffix("Out")) in _ARRAYS
            else kind
            for name, kind in annotations.items()
        }

    @property
    def callees(self) -> dict[str, Kernel[Any, Any]]:
        """The kernels and parts that it calls, by the names that it calls them by."""
        used = {name: self.python.__globals__.get(name) for name in self.python.__code__.co_names}
        return {name: item for name, item in used.items() if isinstance(item, Kernel)}

    @cached_property
    def length(self) -> int:
        """The bytecode that there is to compile, with that of what it calls."""
        return len(self.python.__code__.co_code) + sum(callee.length for callee in self.callees.values())


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
    _ALL.append(made)
    return made


def part(python: Callable[P, R]) -> Kernel[P, R]:
    """Declares a function that kernels call, and nobody else."""
    return Kernel(python, exported=False)


def compile_soon() -> None:
    """Prepares compiling, if no kernel is stored; `compile_imported` is to follow, once all is imported."""
    if COMPILED and store.numba_version() and not any(folder.is_dir() for folder in store.folders()):
        children.start_early()


def require_stored() -> None:
    """Raises KernelsNotStored unless the kernels of all imported modules are stored."""
    if any(store.read(one.name) is None for one in _ALL):
        raise KernelsNotStored(where=" or ".join(map(str, store.folders())) or "any folder")


def _announce(count: int) -> None:
    """For commands: it is seen without a log, too."""
    logger.warning(COMPILING, count)


def compile_imported(started: Callable[[int], None] | None = None, stopped: Event | None = None) -> int:
    """Compiles the kernels of all imported modules, and loads those that are stored; returns how many were compiled.

    `started` is called before the first one is compiled, with the number of those to compile. Once `stopped` is set it
    returns early. Raises KernelsMissing and KernelRefused.
    """
    with _LOCK:
        missing: dict[str, Kernel[Any, Any]] = {}
        for one in _ALL:
            if COMPILED and one._run is None:
                if (code := store.read(one.name)) is None:
                    missing[one.name] = one
                else:
                    one.load(code)
        if not missing:
            children.end_early()
            machine_code.release_linker()
            return 0
        if not store.numba_version():
            raise KernelsMissing(count=len(missing), kernel=next(iter(missing)))
        if started is not None:
            started(len(missing))
        longest_first, count = sorted(missing, key=lambda name: -missing[name].length), 0
        for name, code in children.compiled(longest_first, stopped or Event()):
            store.write(name, code)
            missing[name].load(code)
            count += 1
        machine_code.release_linker()
        return count
