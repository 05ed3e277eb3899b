"""`python -m movie_stream.kernels.compiler`: Numba makes object files of kernels; children.py starts it, and asks.

It reads the names of kernels from stdin, a line each, and answers each on stdout: a line with the size of the object
file, and the file. It ends, whatever it does, when stdin is closed.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from types import FunctionType
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.cgutils import pack_array
from numba.core.codegen import AOTCodeLibrary, AOTCPUCodegen
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext
from numba.core.registry import cpu_target
from numba.np.arrayobj import populate_array

from movie_stream.kernels.compiled import Kernel
from movie_stream.kernels.machine_code import ITEMS, OUTSIDE, Array

_ENTRY: Final = "entry."
_SCALARS: Final = {"int": types.int64, "bool": types.boolean, "np.uint64": types.uint64}
_WORD: Final = ir.IntType(64)
_INT: Final = ir.IntType(32)
_ADDRESS: Final = ir.IntType(8).as_pointer()
_ARGUMENTS: Final = tuple.__basicsize__
"""Where a tuple has its items."""
_HEAD: Final = object.__basicsize__
# Where a PyArrayObject has its fields: as all extension modules have been compiled to find them.
_TYPE: Final = _HEAD - 8
_DATA: Final = _HEAD
_DIMENSIONS: Final = _HEAD + 8
_SHAPE: Final = _HEAD + 16
_ITEM: Final = _HEAD + 40
_FLAGS: Final = _HEAD + 48
_CONTIGUOUS_AND_ALIGNED: Final = 0x101
_WRITEABLE: Final = 0x400


class _Library(AOTCodeLibrary):  # type: ignore[misc]
    def get_pointer_to_function(self, _name: str) -> int:
        return 0  # nothing is run here

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self.codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Optimizes only what is to be an object file, once it is linked with all that it calls, and once: without
        Numba's runtime there are no references to arrays that a first pass would have to find.
        """
        if self.name.startswith(_ENTRY):
            passes, builder = self.codegen._module_pass_manager()
            passes.run(self._final_module, builder)


class _Codegen(AOTCPUCodegen):  # type: ignore[misc]
    """Makes code for any processor of this architecture: it is as fast, and can be stored in an image."""

    _library_class = _Library

    def set_env(self, _name: str, _environment: object) -> None:
        pass


class _Context(CPUContext):  # type: ignore[misc]
    def init(self) -> None:
        super().init()
        self._internal_codegen = _Codegen("kernels", config.CPU_NAME)

    def post_lowering(self, _module: object, _library: object) -> None:
        """Links nothing of Numba's runtime."""


_LEFT_OUT: Final = {
    "WithLifting",
    "InlineClosureLikes",
    "DeadBranchPrune",
    "RewriteDynamicRaises",
    "MakeFunctionToJitFunction",
    "InlineInlinables",
    "FindLiterallyCalls",
    "LiteralUnroll",
    "LiteralPropagationSubPipelinePass",
    "InlineOverloads",
    "NopythonRewrites",
    "DumpParforDiagnostics",
}


class _Pipeline(CompilerBase):  # type: ignore[misc]
    """Numba's steps, without those for what kernels do not have, such as closures, generators and array expressions:
    after each step Numba analyzes the whole function again.
    """

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        if unknown := _LEFT_OUT - {step.__name__ for step, _ in passes.passes}:
            raise AssertionError(f"Numba has no such steps: {sorted(unknown)}")
        passes.passes = [(step, what) for step, what in passes.passes if step.__name__ not in _LEFT_OUT]
        return [passes]


_context: Final = _Context(cpu_target.typing_context, "cpu")
_dispatchers: Final[dict[Kernel[Any, Any], Any]] = {}


@global_compiler_lock  # type: ignore[untyped-decorator]
def object_file(kernel: Kernel[Any, Any]) -> bytes:
    """The machine code of a kernel, with an entry for ctypes, which has the kernel's name."""
    [compiled] = _dispatcher(kernel).overloads.values()
    library = _context.codegen().create_library(f"{_ENTRY}{kernel.name}")
    library.add_ir_module(_entry(kernel, compiled, library))
    library.add_linking_library(compiled.library)
    return bytes(library.emit_native_object())


def _dispatcher(kernel: Kernel[Any, Any]) -> Any:
    """What Numba calls a function, compiled for its annotations, and those that it calls."""
    if kernel not in _dispatchers:
        python = kernel.python
        callees = {name: _dispatcher(callee) for name, callee in kernel.callees.items()}
        inner = FunctionType(python.__code__, {**python.__globals__, **callees}, kernel.__name__)
        # Without Numba's runtime no references to arrays are counted, which would take most of the time of a loop that
        # calls parts; nor can a kernel make arrays.
        _dispatchers[kernel] = numba.njit(
            _nrt=False,
            error_model="numpy",
            no_cpython_wrapper=True,
            no_cfunc_wrapper=True,
            forceinline=not kernel.exported,
            pipeline_class=_Pipeline,
        )(inner)
        _dispatchers[kernel].compile(tuple(map(_type, kernel.parameters.values())))
        _dispatchers[kernel].disable_compile()
    return _dispatchers[kernel]


def _type(kind: Array | str) -> Any:
    """What Numba calls the type of a parameter."""
    if isinstance(kind, str):
        return _SCALARS[kind]
    return types.Array(numba.from_dtype(np.dtype(kind.item)), kind.dimensions, "C", readonly=not kind.written)


def _entry(kernel: Kernel[Any, Any], compiled: Any, library: Any) -> Any:
    """The function that machine_code.py calls, which says what it takes and returns."""
    module = library.create_ir_module(library.name)
    entry = ir.Function(module, ir.FunctionType(_WORD, [_ADDRESS] * 4), kernel.name)
    builder = ir.IRBuilder(entry.append_basic_block())
    known, words, results, arguments = entry.args
    taken: list[Any] = []
    integers = 0
    for at, (kind, typed) in enumerate(zip(kernel.parameters.values(), compiled.signature.args, strict=True)):
        if isinstance(kind, Array):
            argument = _field(builder, arguments, _ARGUMENTS + 8 * at, _ADDRESS)
            _check(builder, kind, argument, known, 1 + at)
            taken.append(_array(builder, typed, argument))
        else:
            taken.append(_field(builder, words, 8 * integers))
            integers += 1
    callee = _context.declare_function(module, compiled.fndesc)
    returned = compiled.signature.return_type
    status, value = _context.call_conv.call_function(builder, callee, returned, compiled.signature.args, taken)
    with builder.if_then(status.is_error, likely=False):
        builder.ret(_WORD(OUTSIDE))
    for at, result in enumerate(_words(builder, returned, value)):
        builder.store(result, _pointer(builder, results, 8 * at, _WORD))
    builder.ret(_WORD(0))
    return module


def _check(builder: Any, kind: Array, argument: Any, known: Any, status: int) -> None:
    """Returns a status if an object is not such an array. The further fields are only read if it is an array at all."""
    item = _field(builder, known, 8 * (1 + ITEMS.index(kind.item)))
    flags = _CONTIGUOUS_AND_ALIGNED | (_WRITEABLE if kind.written else 0)
    for offset, wanted, mask in (
        (_TYPE, _field(builder, known, 0), None),
        (_ITEM, item, None),
        (_DIMENSIONS, _INT(kind.dimensions), None),
        (_FLAGS, _INT(flags), _INT(flags)),
    ):
        found = _field(builder, argument, offset, wanted.type)
        if mask is not None:
            found = builder.and_(found, mask)
        with builder.if_then(builder.icmp_unsigned("!=", found, wanted), likely=False):
            builder.ret(_WORD(status))


def _array(builder: Any, kind: Any, argument: Any) -> Any:
    """Numba's array over the data of NumPy's."""
    item = _context.get_abi_sizeof(_context.get_data_type(kind.dtype))
    shape_at = _field(builder, argument, _SHAPE, _ADDRESS)
    shape = [_field(builder, shape_at, 8 * axis) for axis in range(kind.ndim)]
    strides = [_WORD(item)]
    for size in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], size))
    array = _context.make_array(kind)(_context, builder)
    data = builder.bitcast(_field(builder, argument, _DATA, _ADDRESS), array.data.type)
    populate_array(array, data, pack_array(builder, shape), pack_array(builder, strides), _WORD(item), meminfo=None)
    return array._getvalue()


def _words(builder: Any, returned: Any, value: Any) -> list[Any]:
    """What a kernel returns: nothing, a truth value, or integers."""
    if returned == types.none:
        return []
    if returned == types.boolean:
        return [builder.zext(value, _WORD)]
    kinds = list(returned) if isinstance(returned, types.BaseTuple) else [returned]
    if any(kind not in (types.int64, types.uint64) for kind in kinds):
        raise TypeError(f"a kernel returns nothing, a bool or integers of 64 bits, not {returned}")
    return [builder.extract_value(value, at) for at in range(len(kinds))] if returned is not kinds[0] else [value]


def _pointer(builder: Any, base: Any, offset: int, kind: Any) -> Any:
    return builder.bitcast(builder.gep(base, [_WORD(offset)]), kind.as_pointer())


def _field(builder: Any, base: Any, offset: int, kind: Any = _WORD) -> Any:
    return builder.load(_pointer(builder, base, offset, kind))


def main() -> None:
    """Compiles what is asked for."""
    cpu_target.__dict__["_toplevel_target_context"] = _context  # for all that this process compiles
    gc.disable()  # the process is short, and makes millions of small objects
    asked: SimpleQueue[str] = SimpleQueue()
    Thread(target=_listen, args=(asked,), daemon=True).start()
    while True:
        module, _, name = asked.get().partition(".")
        code = object_file(getattr(import_module(f"{__package__}.{module}"), name))
        sys.stdout.buffer.write(f"{len(code)}\n".encode() + code)
        sys.stdout.buffer.flush()


def _listen(asked: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        asked.put(line.strip())
    os._exit(0)


if __name__ == "__main__":
    main()
