"""Native functions as built-in functions of Python: a call costs what a call of C code costs.

A native function takes part in CPython's fastest protocol (METH_FASTCALL):

    PyObject *entry(PyObject *self, PyObject *const *args, Py_ssize_t count)

`Entry` writes such a function; within it, arrays are read where they lie: `data` is the address
of an array's numbers, `fits` is whether it is of the dtype and shape that was compiled for. What
an entry returns is an int, a code that its caller interprets: native code raises nothing.

    %numbers = load ptr, ptr getelementptr (array + offset of data)
    ...
    return PyLong_FromLongLong(code)
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes

if TYPE_CHECKING:
    from llvmlite import ir

WRONG_ARGUMENTS = -1
"""What an entry returns when it is given another number of arguments than it has, or an array that
isn't laid out as it reads it."""

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x001, 0x100, 0x400
"""Flags of an array, as NumPy's headers number them."""
DENSE = C_CONTIGUOUS | ALIGNED
"""Those of an array that native code can read as it lies."""


# --- a native function as an object -----------------------------------------------------------


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p),
                ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


_FASTCALL = 0x0080
_new_builtin = ctypes.pythonapi.PyCFunction_NewEx
_new_builtin.restype = ctypes.py_object
_new_builtin.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]


def builtin(address: int, name: str, keep: object) -> Callable[..., Any]:
    """The built-in function that runs a native entry.

    Args:
        address: of machine code that follows the protocol above.
        name: the function's `__name__`.
        keep: lives as long as the function does: the `Library` with its code.
    """
    definition = _MethodDef(name.encode(), address, _FASTCALL, None)
    return _new_builtin(ctypes.addressof(definition), (definition, keep), name)


# --- where things lie in an array -------------------------------------------------------------


def _layout() -> dict[str, int]:
    """Offsets of the fields of NumPy's PyArrayObject, which follow the object's header.

    NumPy's binary interface fixes their order; that this is what we have is checked on an array.

    Raises:
        ImportError: if an array is laid out otherwise.
    """
    word, head = ctypes.sizeof(ctypes.c_void_p), object.__basicsize__
    names = ("data", "nd", "dimensions", "strides", "base", "descr", "flags")
    layout = {name: head + i * word for i, name in enumerate(names)}
    array = np.arange(12.0).reshape(3, 4)[:, ::2]
    there = id(array)

    def read(name: str, kind: Any = ctypes.c_void_p, at: int = there) -> Any:
        return kind.from_address(at + layout[name]).value

    def words(name: str) -> tuple[int, ...]:
        return tuple((ctypes.c_ssize_t * array.ndim).from_address(read(name)))

    found = (read("data"), read("nd", ctypes.c_int), read("base"), read("descr"),
             read("flags", ctypes.c_int))
    expected = (array.ctypes.data, array.ndim, id(array.base), id(array.dtype), array.flags.num)
    if found != expected or (words("dimensions"), words("strides")) != (array.shape,
                                                                       array.strides):
        raise ImportError("wengert.compile does not know how this NumPy lays out its arrays")
    return layout


_LAYOUT = _layout()
DATA, FLAGS = _LAYOUT["data"], _LAYOUT["flags"]
"""Where an array has the address of its numbers, and its flags."""
_FUNCTIONS = ("PyLong_FromLongLong", "PyEval_SaveThread", "PyEval_RestoreThread",
              "PyErr_CheckSignals")
_KINDS = "?bhilqBHILQefdFD"


def symbols() -> dict[str, int]:
    """Addresses of what entries refer to: CPython's functions, the array type and the dtypes."""
    return _symbols("ml_dtypes" in sys.modules)


@functools.cache
def _symbols(bfloat16: bool) -> dict[str, int]:
    found = {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
             for name in _FUNCTIONS}
    found["ndarray"] = id(np.ndarray)
    for kind in _KINDS:
        found[f"dtype_{kind}"] = id(np.dtype(kind))  # NumPy has one object for each, for ever
    if bfloat16:
        found["dtype_E"] = id(dtypes.bfloat16.numpy)
    return found


# --- writing an entry -------------------------------------------------------------------------


class Entry:
    """An entry under construction, in a module of llvmlite's.

    Attributes:
        function: the function.
        builder: where its code is written.
        objects: the arguments, objects of Python.

    Example:
        >>> from llvmlite import ir
        >>> from wengert.compiler.native.engine import compile_module
        >>> module = ir.Module()
        >>> entry = Entry(module, "zero", 1)
        >>> entry.refuse(entry.builder.not_(entry.fits(0, np.dtype("d"), (3,))), code=7)
        >>> for i in range(3):
        ...     place = entry.builder.gep(entry.data(0), [ir.IntType(64)(i)],
        ...                               source_etype=ir.DoubleType())
        ...     _ = entry.builder.store(ir.DoubleType()(0.0), place)
        >>> entry.leave(0)
        >>> library = compile_module(module, symbols=symbols())
        >>> zero = builtin(library.address("zero"), "zero", keep=library)
        >>> array = np.ones(3)
        >>> zero(array), array
        (0, array([0., 0., 0.]))
        >>> zero(np.ones(4))
        7
    """

    def __init__(self, module: ir.Module, name: str, count: int) -> None:
        from llvmlite import ir

        self._ir, self._module = ir, module
        self._byte, self._int, self._word = ir.IntType(8), ir.IntType(32), ir.IntType(64)
        self._pointer = ir.PointerType()
        kind = ir.FunctionType(self._pointer, [self._pointer, self._pointer, self._word])
        self.function = ir.Function(module, kind, name)
        self.function.attributes.add("nounwind")
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        _, arguments, given = self.function.args
        self.refuse(self.builder.icmp_signed("!=", given, self._word(count)), WRONG_ARGUMENTS)
        self.objects = [self._load(self._pointer, arguments, 8 * i) for i in range(count)]

    def data(self, argument: int) -> Any:
        """The address of an array's numbers."""
        return self._field(argument, "data", self._pointer)

    def dimension(self, argument: int, axis: int) -> Any:
        """The size of an array along an axis that it has, 64 bits."""
        return self._load(self._word, self._field(argument, "dimensions", self._pointer), 8 * axis)

    def flags(self, argument: int) -> Any:
        """An array's flags, 32 bits."""
        return self._field(argument, "flags", self._int)

    def fits(self, argument: int, dtype: np.dtype[Any], shape: Sequence[int | None], *,
             writeable: bool = False) -> Any:
        """Whether an argument is an array of a dtype and shape, dense, aligned, and writeable if
        so asked. A size that is None may be any.

        What isn't an array must not be looked into as one, so the code branches; the builder is
        left after the last of the tests.
        """
        build = self.builder
        found = self._load(self._pointer, self.objects[argument], object.__basicsize__ - 8)
        tests: list[Callable[[], Any]] = [
            lambda: build.icmp_unsigned("==", found, self._external("ndarray")),
            lambda: build.and_(self._is_plain(argument, dtype, writeable),
                               self._has_rank(argument, len(shape))),
            lambda: functools.reduce(build.and_, [
                build.icmp_signed("==", self.dimension(argument, axis), self._word(size))
                for axis, size in enumerate(shape) if size is not None],
                self._ir.IntType(1)(1))]
        return self._all(tests)

    def refuse(self, condition: Any, code: int) -> None:
        """Leaves with a code if a condition holds."""
        with self.builder.if_then(condition, likely=False):
            self.leave(code)

    def leave(self, code: Any) -> None:
        """Ends the entry: returns a code, a number or a 64-bit value."""
        value = self._word(code) if isinstance(code, int) else code
        result = self._call("PyLong_FromLongLong", self._pointer, [value])
        self.builder.ret(result)

    @contextlib.contextmanager
    def without_interpreter_lock(self) -> Iterator[None]:
        """Code written inside runs while other threads may run Python. It must not leave."""
        state = self._call("PyEval_SaveThread", self._pointer, [])
        yield
        self._call("PyEval_RestoreThread", self._ir.VoidType(), [state])

    def _is_plain(self, argument: int, dtype: np.dtype[Any], writeable: bool) -> Any:
        wanted = self._int(DENSE | (WRITEABLE if writeable else 0))
        flags = self.builder.and_(self.flags(argument), wanted)
        described = self._field(argument, "descr", self._pointer)
        return self.builder.and_(
            self.builder.icmp_unsigned("==", flags, wanted),
            self.builder.icmp_unsigned("==", described, self._external(f"dtype_{dtype.char}")))

    def _has_rank(self, argument: int, rank: int) -> Any:
        return self.builder.icmp_signed("==", self._field(argument, "nd", self._int),
                                        self._int(rank))

    def _all(self, tests: Sequence[Callable[[], Any]]) -> Any:
        """Whether all of the tests hold; one is made only if those before it do."""
        build, bit = self.builder, self._ir.IntType(1)
        done = build.append_basic_block("tested")
        failed = []
        for test in tests[:-1]:
            further = build.append_basic_block("test")
            result = test()
            failed.append(build.block)
            build.cbranch(result, further, done)
            build.position_at_end(further)
        last = tests[-1]()
        held = build.block
        build.branch(done)
        build.position_at_end(done)
        answer = build.phi(bit)
        answer.add_incoming(last, held)
        for block in failed:
            answer.add_incoming(bit(0), block)
        return answer

    def _field(self, argument: int, name: str, kind: Any) -> Any:
        return self._load(kind, self.objects[argument], _LAYOUT[name])

    def _load(self, kind: Any, base: Any, offset: int) -> Any:
        place = self.builder.gep(base, [self._word(offset)], source_etype=self._byte)
        return self.builder.load(place, typ=kind)

    def _external(self, name: str) -> Any:
        """The address of an object that the linker is told."""
        known = self._module.globals.get(name)
        if known is None:
            known = self._ir.GlobalVariable(self._module, self._byte, name)
            known.linkage = "external"
        return known

    def _call(self, name: str, result: Any, values: Sequence[Any]) -> Any:
        known = self._module.globals.get(name)
        if known is None:
            kind = self._ir.FunctionType(result, [value.type for value in values])
            known = self._ir.Function(self._module, kind, name)
        return self.builder.call(known, values)
