"""Kernels for eager work on large arrays: an operation, or its derivative rules, as native loops.

A function of tensors is recorded and goes the way of any program: expanded, simplified, scheduled.
What comes of it must be loops alone, which need little memory of their own. There are two sorts:

    of elements    one nest, recorded on arrays of a nominal length; the code reads the length when
                   it runs, so that one kernel serves arrays of all sizes
    of arrays      (softmax, its rule) planned for each shape, in milliseconds; but the code is the
                   same for all shapes that are planned alike

Where there is none (no llvmlite, nothing gained), eager evaluation does as ever.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.aval import Aval, aval
from ..core.blocks import Kernel, Native, get_num_threads, is_array, is_uniform
from ..core.dtypes import dtype, of
from ..primitives.layout import expand as repeated
from .halves import rounded_once
from .strict import strict

if TYPE_CHECKING:
    from .ir.nest import Nest

LENGTH = (1 << 24) + 4099
"""The nominal length: no other number in a kernel of elements is equal to it."""

_MOST = 1024
_ROOM = 1 << 20
"""The bytes that a kernel of arrays may need beside them."""

_WIDE = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
_KINDS = _WIDE | {np.dtype(np.float16)}
_MADE = _KINDS | {np.dtype(np.bool_)}
_READ = _MADE | {np.dtype(np.int64)}
_PARAMETERS = frozenset({bool, int, float, str, type(None)})
SCANS = frozenset({"cumsum", "cumsum_back", "cumprod", "cummax_values", "cummax_places",
                   "cummin_values", "cummin_places", "recurrence"})
"""The primitives that have a kernel of their own, for each shape."""
_ONE_BY_ONE = frozenset({"logical_and", "logical_or", "logical_xor", "logical_not"})
"""The primitives whose ufunc takes floats one by one; halves any ufunc takes so."""
_kernels: dict[Any, Kernel | None] = {}
_hopeless: set[Any] = set()
"""Functions of arrays, and about which sizes, for which there was no kernel."""
_lock = threading.RLock()


def of_elements(fn: Callable[..., Any], arguments: Sequence[Any], params: dict[str, Any],
                *results: Aval) -> Kernel | None:
    """The kernel of a function of elements; None if there is none.

    Args:
        fn: a function of tensors that outlives what asks for it.
        arguments: arrays, and parameters that come as arguments.
        params: parameters that come by name.
        results: the results' avals.
    """
    kinds = [_kind(a) for a in (*arguments, *params.values())]
    if None in kinds or not all(result.numpy in _MADE for result in results):
        return None
    key = fn, tuple(kinds), tuple([result.numpy for result in results]), _loaded()
    return _known(key, lambda: _sweep(fn, arguments, params, results))


def of_arrays(fn: Callable[..., Any], arguments: Sequence[Any], params: dict[str, Any],
              *results: Aval) -> Kernel | None:
    """The kernel of a function of whole arrays; None if there is none. Arguments are as above."""
    kinds = [_kind(a) for a in (*arguments, *params.values())]
    arrays = list(filter(is_array, arguments))
    if getattr(fn, "name", None) in SCANS:
        return _scan(fn, arrays, **params)
    if None in kinds or not all(result.numpy in _KINDS for result in results) or not all(
            a.flags.c_contiguous or is_uniform(a) for a in arrays):
        return None
    what, shapes = (fn, tuple(kinds)), tuple([a.shape for a in arrays])
    about = tuple([tuple([n.bit_length() for n in shape]) for shape in shapes])
    if (what, about) in _hopeless:
        return None
    key = what, shapes, results, get_num_threads()
    found = _known(key, lambda: _rows(fn, arguments, params, results))
    if found is None:
        _hopeless.add((what, about))
    return found


def _kind(value: Any) -> Any:
    """What a kernel depends on in an argument: of an array its dtype and whether it is uniform,
    else the value. None if there are no kernels for such an argument."""
    if is_array(value):
        usable = value.dtype in _READ and value.flags.aligned
        return (value.dtype, is_uniform(value)) if usable else None
    if isinstance(value, tuple):
        found = tuple(map(_kind, value))
        return None if None in found else (type(value), *found)
    if type(value) is Aval or type(value) is dtype:
        return value
    return (type(value), repr(value)) if type(value) in _PARAMETERS else None


def _known(key: Any, make: Callable[[], Kernel | None]) -> Kernel | None:
    """The kernel of a key, made when it is first asked for."""
    try:
        return _kernels[key]
    except KeyError:
        pass
    with _lock:
        if key not in _kernels:
            if len(_kernels) + len(_hopeless) >= _MOST:
                _kernels.clear()
                _hopeless.clear()
            _kernels[key] = _made(make)
        return _kernels.get(key)


def _made(make: Callable[[], Kernel | None]) -> Kernel | None:
    """The kernel, if it can be made: NumPy goes on where there is no LLVM, or no native code for
    an operation, and unless we are to be told (`strict`) also where the compiler is at fault."""
    try:
        return make()
    except (ImportError, NotImplementedError):
        return None
    except Exception:
        if strict():
            raise
        return None


# --- making them ------------------------------------------------------------------------------


def _sweep(fn: Callable[..., Any], arguments: Sequence[Any], params: dict[str, Any],
           results: Sequence[Aval]) -> Kernel | None:
    def recorded(*tensors: Any) -> Any:
        return fn(*_placed(arguments, tensors), **params)

    avals = [aval(() if is_uniform(a) else (LENGTH,), of(a.dtype))
             for a in arguments if is_array(a)]
    nests = _nests(rounded_once(recorded, results), avals,
                   [result.with_shape((LENGTH,)) for result in results])
    name = getattr(fn, "name", None)
    slow = name in _ONE_BY_ONE or any(a.dtype.is_half for a in (*avals, *results))
    quick = not slow and (name == "cast" or getattr(fn, "ufunc", None) is not None)
    if len(nests) != 1 or not _pays(nests, quick):
        return None
    code = _Code(nests[0], "cols")
    is_length = code.words == LENGTH

    def kernel(targets: Sequence[np.ndarray], operands: Sequence[np.ndarray]) -> bool:
        words = np.where(is_length, targets[0].size, code.words)
        return code.run(targets, operands, words, get_num_threads())

    return kernel


def _rows(fn: Callable[..., Any], arguments: Sequence[Any], params: dict[str, Any],
          results: Sequence[Aval]) -> Kernel | None:
    from .native.emit_share import Share

    arrays = list(filter(is_array, arguments))

    def recorded(*tensors: Any) -> Any:
        whole = [repeated(t, shape=a.shape) if t.shape != a.shape else t
                 for t, a in zip(tensors, arrays, strict=True)]
        return fn(*_placed(arguments, whole), **params)

    avals = [aval(() if is_uniform(a) else a.shape, of(a.dtype)) for a in arrays]
    nests = _nests(rounded_once(recorded, results), avals, results)
    if not _pays(nests, quick=False):
        return None
    shares = [Share(nest, get_num_threads(), _ROOM) for nest in nests]
    parts = [(_Code(task.nest, task.split), task.pieces) for s in shares for task in s.tasks]
    room = max(share.end for share in shares)

    def kernel(targets: Sequence[np.ndarray], operands: Sequence[np.ndarray]) -> bool:
        memory = np.empty(room, np.uint8)
        return all(code.run(targets, operands, code.words, pieces, memory)
                   for code, pieces in parts)

    return kernel


def _scan(fn: Any, arrays: Sequence[np.ndarray], dim: int,
          backward: bool = False) -> Kernel | None:
    x, name = arrays[0], f"{fn.name}_back" if backward else fn.name
    if x.dtype not in _WIDE or not all(
            a.flags.c_contiguous and a.shape == x.shape for a in arrays):
        return None

    def make() -> Kernel:
        from .native.scans import of_scan

        return of_scan(name, x, dim)

    return _known((name, x.dtype, x.shape, dim), make)


def _placed(arguments: Sequence[Any], tensors: Sequence[Any]) -> list[Any]:
    """The arguments with tensors in place of arrays."""
    given = iter(tensors)
    return [next(given) if is_array(a) else a for a in arguments]


def _nests(fn: Callable[..., Any], avals: Sequence[Aval],
           results: Sequence[Aval]) -> Sequence[Nest]:
    """The loops of a function; none if they are not all there is to it."""
    from .expand import expand
    from .ir.nest import Nest
    from .ir.program import Value, straight
    from .ir.symbolic import record
    from .passes import simplify
    from .schedule import schedule

    values = list(map(Value, avals))
    try:
        lines, found = record(fn, values)
    except Exception:  # noqa: BLE001 - it asks for numbers, or would fail with NumPy as well
        return ()
    if [v if v is None else v.aval for v in found] != list(results):
        return ()
    plan = schedule(simplify(expand(straight(values, lines, found))))
    steps = [step for step in plan.body.steps if isinstance(step, Nest)]
    return steps if len(steps) == len(plan.body.steps) and plan.arena <= _ROOM else ()


def _pays(nests: Sequence[Nest], quick: bool) -> bool:
    """Whether loops save time: where they do more than move numbers, at which NumPy is as good, or
    write the same everywhere, for which it clears its memory on one thread. A few instructions
    are not worth importing LLVM for where NumPy is `quick` at them."""
    from .ir.nest import Load, Op, Reduce, Store
    from .native.emit_sweep import ELEMENTARY, weight

    swept = [s for nest in nests for stage in nest.stages if stage.sweep for s in stage.statements]
    weights = [weight(s) for s in swept
               if isinstance(s, (Op, Reduce)) or (isinstance(s, Store) and s.how)]
    if not any(isinstance(s, Load) for nest in nests for s in nest.statements()):
        return bool(swept) and _loaded()
    return bool(weights) and (not quick or sum(weights) >= ELEMENTARY or _loaded())


def _loaded() -> bool:
    """Whether LLVM has been imported."""
    return "llvmlite.binding" in sys.modules


# --- running them -----------------------------------------------------------------------------


class _Code:
    """The machine code of a nest.

    Attributes:
        words: the numbers that it is to be given.
    """

    def __init__(self, nest: Any, split: str) -> None:
        from .native.emit_kernel import of_nest

        self._kernel = of_nest(nest, split)
        self.words = np.array(self._kernel.words, np.int64)

    def run(self, targets: Sequence[np.ndarray], operands: Sequence[np.ndarray],
            words: np.ndarray, pieces: int, memory: np.ndarray | None = None) -> bool:
        """Runs the nest in so many pieces, on as many threads; says whether nothing failed."""
        context = [0, words.ctypes.data]
        for buffer in self._kernel.buffers:
            array: Any = (targets[buffer.number] if buffer.kind == "output" else
                          operands[buffer.number] if buffer.kind == "input" else
                          memory if buffer.array is None else buffer.array)
            context.append(array.ctypes.data + max(buffer.offset, 0))
        given = np.array(context, np.int64)
        _parallel()(self._kernel.address, given.ctypes.data, pieces)
        return not given[0]


@functools.cache
def _parallel() -> Callable[[int, int, int], None]:
    from .native import pool

    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    return kind(pool.symbols()["wengert_parallel"])


Native.of_elements, Native.of_arrays = of_elements, of_arrays
