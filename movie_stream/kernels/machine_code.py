"""Machine code in this process: LLVM links the object files that compiler.py makes, and ctypes calls them.

Neither takes Numba. While the code runs, the GIL is released. The code itself checks the arrays that it is given.
"""

from __future__ import annotations

import ctypes
import re
import struct
import sys
from collections.abc import Callable, Mapping
from ctypes import CFUNCTYPE, addressof, c_int64, c_size_t, c_void_p, py_object
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path
from struct import Struct
from typing import Any, Final

import numpy as np

ITEMS: Final = ("uint8", "int64", "int32", "uint64", "uint32", "bool")
"""The types of items that arrays have, by their names in NumPy."""
OUTSIDE: Final = -1
"""What the code returns for an index outside of an array; 0 is success, and 1 that its first argument is no such array
as it takes.
"""
_ENTRY: Final = CFUNCTYPE(c_int64, c_void_p, c_void_p, c_void_p, py_object)
"""It takes the addresses of _KNOWN, of the integers among the arguments, and of the results; and all arguments."""
_KNOWN: Final = (c_void_p * (1 + len(ITEMS)))(id(np.ndarray), *(id(np.dtype(item)) for item in ITEMS))
"""The objects that the code compares the type of an array and that of its items with."""


@dataclass(frozen=True, slots=True)
class Array:
    """What an argument has to be: a contiguous array with these items, one that can be written to if it is written."""

    item: str
    dimensions: int
    written: bool

    def plain(self, given: object) -> object:
        """An equal array whose class and type are the very ones of NumPy. Raises TypeError if it is no such array."""
        item = np.dtype(self.item)
        if (
            isinstance(given, np.ndarray)
            and given.dtype == item
            and given.ndim == self.dimensions
            and given.flags.c_contiguous
            and given.flags.aligned
            and (given.flags.writeable or not self.written)
            and not (type(given) is np.ndarray and given.dtype is item)
        ):
            return given.view(item, np.ndarray)
        wanted = f"{self.dimensions} dimensions{', writeable' if self.written else ''}"
        if not isinstance(given, np.ndarray):
            raise TypeError(f"expected an array of {self.item}, contiguous, {wanted}: it is a {type(given).__name__}")
        flags = [name for name in ("c_contiguous", "aligned", "writeable") if getattr(given.flags, name)]
        raise TypeError(
            f"expected an array of {self.item}, contiguous, {wanted}: it is of {given.dtype}, {given.ndim} dimensions, "
            f"{', '.join(flags)}"
        )


@cache
def _linker() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    return binding.create_lljit_compiler(use_jit_link=True)


_linked: Final[list[Any]] = []
"""What keeps the code in memory."""


def link(name: str, code: bytes) -> int:
    """The address of the function `name` of an object file, which stays in memory."""
    from llvmlite.binding import JITLibraryBuilder

    library = JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(name)
    _linked.append(library.link(_linker(), name))
    return int(_linked[-1][name])


_SMAPS: Final = Path("/proc/self/smaps")
_DONTNEED: Final = 4
"""Of madvise(2)."""
_UNCHANGED: Final = re.compile(r"^(\w+)-(\w+) .-.*libllvmlite.*\n(?:\w+: .*\n)*?Anonymous: +0 kB$", re.MULTILINE)
"""In smaps, a mapping of the library whose pages are those of its file, and have to stay so."""


def release_linker() -> None:
    """Gives back the memory of LLVM's own code, 40 MB: should it link again, the system reads it anew from its file.

    Does nothing where the system does not say which pages these are, as only Linux does.
    """
    if "llvmlite.binding" in sys.modules and _SMAPS.exists():
        libc = ctypes.CDLL(None)
        for mapping in _UNCHANGED.finditer(_SMAPS.read_text()):
            begin, end = (int(address, 16) for address in mapping.groups())
            libc.madvise(c_void_p(begin), c_size_t(end - begin), _DONTNEED)


def function(name: str, address: int, parameters: Mapping[str, Array | str], returns: str) -> Callable[..., Any]:
    """The function at an address: its parameters are arrays, and integers, of the annotation "int". It returns what the
    annotation says.

    It raises TypeError if an argument is not what the parameter says, and IndexError if the code checks bounds, and an
    index is outside.
    """
    kinds = list(parameters.values())
    arrays = {at: kind for at, kind in enumerate(kinds) if isinstance(kind, Array)}
    integers = [at for at, kind in enumerate(kinds) if kind == "int"]
    count = 0 if returns == "None" else returns.count(",") + 1
    results_type, pack = c_int64 * count, Struct(f"{len(integers)}q").pack
    finish: Callable[[Any], Any] = itemgetter(*range(count)) if count else _nothing
    if returns == "bool":
        finish = _truth
    entry, known = _ENTRY(address), addressof(_KNOWN)

    def call(*args: Any) -> Any:
        if len(args) != len(kinds):
            raise TypeError(f"{name} takes {len(kinds)} arguments: {', '.join(parameters)}; it was given {len(args)}")
        try:
            words = pack(*[args[at] for at in integers])
        except struct.error as error:
            raise TypeError(f"{name}: expected an integer of 64 bits: {error}") from error
        results = results_type()
        while (status := entry(known, words, results, args)) > 0:
            try:
                plain = arrays[status - 1].plain(args[status - 1])
            except TypeError as error:
                raise TypeError(f"{name}, {list(parameters)[status - 1]}: {error}") from error
            args = (*args[: status - 1], plain, *args[status:])
        if status == OUTSIDE:
            raise IndexError(f"{name}: an index is outside of its array")
        return finish(results)

    return call


def _nothing(_results: object) -> None:
    pass


def _truth(results: Any) -> bool:
    return bool(results[0])
