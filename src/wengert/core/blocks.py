"""Elementwise work on large arrays, cut into blocks that stay in cache, on several threads.

NumPy runs a ufunc on one core, and an expression of ufuncs writes every temporary to memory.
Cut into blocks, the temporaries of a derivative rule live in cache and the blocks run on all the
cores that this process may use (NumPy releases the interpreter lock inside a ufunc).

Where the compiler has a kernel for an operation or a rule, that runs instead: one pass over memory.
Either way, results lie in memory that is used again (see `buffers.py`).
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import buffers, halves
from .aval import LARGE, Aval
from .levels import here, quietly
from .provenance import warn

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Order = Literal["C", "F"]
Kernel = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], bool]
"""Stores in arrays what it computes from others, uniform ones given by one element; False if that
failed. A kernel of elements takes flat arrays."""

BLOCK = 1 << 15
"""Elements per block: 128 KiB of float32, so that a few operands fit a second-level cache."""

WORTH = 1 << 20
"""Elements from which on the time to compile a kernel, once, is not missed."""


class Native:
    """The compiler's part, which tells this one of itself.

    Attributes:
        of_elements: `of_elements(fn, arguments, params, *results)` gives the kernel of a function
            of elements (a primitive, or a rule), with arguments that are arrays or parameters, and
            results of these avals; None if there is none.
        of_arrays: the same for functions of C-contiguous or uniform arrays.
    """

    of_elements: Callable[..., Kernel | None] | None = None
    of_arrays: Callable[..., Kernel | None] | None = None


def _initial_threads() -> int:
    """WENGERT_NUM_THREADS, or as many threads as there are cores that this process may use."""
    wanted = os.environ.get("WENGERT_NUM_THREADS", "").strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    if wanted:
        warn(f"WENGERT_NUM_THREADS={wanted!r} is not a positive integer")
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Threads:
    """The pool, made on first need; made anew after a fork and when the number changes."""

    count = _initial_threads()
    pool: ThreadPoolExecutor | None = None
    lock = threading.Lock()

    @classmethod
    def get(cls) -> ThreadPoolExecutor:
        with cls.lock:
            if cls.pool is None:
                from concurrent.futures import ThreadPoolExecutor  # slow to import

                cls.pool = ThreadPoolExecutor(cls.count, thread_name_prefix="wengert")
            return cls.pool

    @classmethod
    def forget(cls) -> None:
        cls.pool, cls.lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Threads.forget)


def get_num_threads() -> int:
    """How many threads work on large elementwise operations.

    Example:
        >>> import wengert as torch
        >>> torch.get_num_threads() >= 1
        True
    """
    return _Threads.count


def set_num_threads(count: int) -> None:
    """Sets how many threads work on large elementwise operations.

    Raises:
        RuntimeError: if `count` is not positive.
    """
    if count < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    with _Threads.lock:
        _Threads.count, _Threads.pool = int(count), None


def evaluate(primitive: Any, values: Sequence[Any], result: Aval, params: dict[str, Any],
             out: np.ndarray | None = None) -> np.ndarray | None:
    """A primitive with a large result; None where it has neither kernel nor ufunc."""
    if primitive.elementwise or primitive.name == "cast":  # which is linear first of all
        found = _by_kernel(primitive, values, result, params, out)
    elif out is None and not (primitive.view or primitive.multiple):
        found = by_arrays(primitive, values, result, params)
    else:
        found = None
    if found is not None:
        return found
    if primitive.ufunc is not None and not params:
        return apply(primitive.ufunc, values, result, out)
    if not primitive.elementwise or (primitive.uniform and out is None):
        return None
    fn: Callable[..., Any] = functools.partial(primitive.evaluate, **params)
    if result.dtype.is_half and not primitive.halves:
        fn = halves.by_blocks(fn)
    return _by_blocks(fn, values, result, out)


def apply(ufunc: Callable[..., Any], values: Sequence[Any], result: Aval,
          out: np.ndarray | None = None) -> np.ndarray:
    """A ufunc of large operands, block by block along the first axis or over flat memory."""
    order = _order([*values, out] if out is not None else values, result)
    if out is None:
        out = _result(values, result, order)
    if order is None:
        return here.run(ufunc, *values, out=out)
    target, operands = _flat(out, order), [_flat(value, order) for value in values]

    def work(part: slice) -> None:
        here.run(ufunc, *[a if a.ndim == 0 else a[part] for a in operands], out=target[part])

    _spread(work, target.size)
    return out


def map_rule(fn: Callable[..., Any], g: np.ndarray, others: Sequence[Any],
             result: Aval) -> np.ndarray | None:
    """A derivative rule over large arrays; None where it can't be cut.

    Args:
        fn: acts on elements alone.
        g: the cotangent.
        others: what else the rule reads: arrays, or parameters.
        result: aval of the operation's result.
    """
    values = [g, *others]
    found = _by_kernel(fn, values, result, {}, None)
    if found is not None or not others or not all(map(is_array, others)):
        return found  # what reads nothing else is one operation, or none
    if result.dtype.is_half:
        fn = halves.by_blocks(fn)
    return _by_blocks(fn, values, result)


def _by_blocks(fn: Callable[..., Any], values: Sequence[Any], result: Aval,
               out: np.ndarray | None = None) -> np.ndarray | None:
    """What a function of elements gives, block by block; None where arrays can't be cut."""
    order = _order([*values, out] if out is not None else values, result)
    if order is None:
        return None
    if out is None:
        out = _result(values, result, order)
    target, operands = _flat(out, order), [_flat(value, order) for value in values]

    def work(part: slice) -> None:
        quietly(_one_block, fn, operands, target, part)

    _spread(work, target.size)
    return out


def _one_block(fn: Callable[..., Any], operands: list[np.ndarray], target: np.ndarray,
               part: slice) -> None:
    for i in range(part.start, part.stop, BLOCK):
        block = slice(i, min(i + BLOCK, part.stop))
        target[block] = fn(*[a if a.ndim == 0 else a[block] for a in operands])


def together(fn: Callable[..., Sequence[Any]], arguments: Sequence[Any], results: Sequence[Aval],
             elementwise: bool) -> Sequence[np.ndarray] | None:
    """What a function with several results computes of large arrays by one kernel; None if there
    is none. `elementwise` is whether it acts on elements alone."""
    return (_sweep if elementwise else _whole)(fn, arguments, results, {})


def _by_kernel(fn: Callable[..., Any], arguments: Sequence[Any], result: Aval,
               params: dict[str, Any], out: np.ndarray | None) -> np.ndarray | None:
    """What a kernel computes; None if there is none for such a function or such arrays."""
    found = _sweep(fn, arguments, [result], params, [] if out is None else [out])
    return None if found is None else found[0]


def by_arrays(fn: Callable[..., Any], arguments: Sequence[Any], result: Aval,
              params: dict[str, Any]) -> np.ndarray | None:
    """What a kernel of whole arrays computes; None if there is none."""
    found = _whole(fn, arguments, [result], params)
    return None if found is None else found[0]


def _sweep(fn: Callable[..., Any], arguments: Sequence[Any], results: Sequence[Aval],
           params: dict[str, Any], outs: Sequence[np.ndarray] = ()
           ) -> Sequence[np.ndarray] | None:
    """The results of a kernel of elements, in `outs` if given; None if there is none."""
    if Native.of_elements is None or results[0].numel < WORTH:
        return None
    arrays = _arrays(arguments)
    order = _order([*arrays, *outs], results[0])
    kernel = None if order is None else Native.of_elements(fn, arguments, params, *results)
    if order is None or kernel is None:
        return None
    outs = outs or [_result(arrays, result, order) for result in results]
    flat = [[_flat(array, order) for array in group] for group in (outs, arrays)]
    return outs if kernel(*flat) else None


def _whole(fn: Callable[..., Any], arguments: Sequence[Any], results: Sequence[Aval],
           params: dict[str, Any]) -> Sequence[np.ndarray] | None:
    """The results of a kernel of arrays; None if there is none."""
    arrays = _arrays(arguments)
    if Native.of_arrays is None or max([results[0].numel, *(a.size for a in arrays)]) < WORTH:
        return None
    kernel = Native.of_arrays(fn, arguments, params, *results)
    if kernel is None:
        return None
    outs = [buffers.empty(result.shape, result.numpy) for result in results]
    return outs if kernel(outs, arrays) else None


def _arrays(arguments: Sequence[Any]) -> list[np.ndarray]:
    return list(map(np.asarray, filter(is_array, arguments)))


def is_array(value: Any) -> bool:
    """Whether a value is an array, or a NumPy scalar, and no parameter."""
    return isinstance(value, (np.ndarray, np.generic))


def is_uniform(value: Any) -> bool:
    """Whether an array has one element in memory, however often it is repeated."""
    return value.size == 1 or not any(value.strides)


def _order(values: Sequence[Any], result: Aval) -> Order | None:
    """The order in which all arrays of the result's shape lie in memory without gaps, those aside
    whose elements are all the same; None if there is an array that is laid out otherwise."""
    whole = [value for value in values if not is_uniform(value)]
    if any(value.shape != result.shape for value in whole):
        return None
    if all(value.flags.c_contiguous for value in whole):
        return "C"
    return "F" if all(value.flags.f_contiguous for value in whole) else None


def _result(values: Sequence[Any], result: Aval, order: Order | None) -> np.ndarray:
    """Memory for a result, in the order of the first operand of its shape that repeats none of
    its elements."""
    if order is None:
        for value in values:
            if value.shape == result.shape and 0 not in value.strides:
                if not value.flags.c_contiguous:
                    return np.empty_like(value, dtype=result.numpy)
                break
    return buffers.empty(result.shape, result.numpy, order or "C")


def _flat(value: Any, order: Order) -> np.ndarray:
    """An array as a one-dimensional view of its memory; 0-d if its elements are all the same."""
    value = np.asarray(value)
    if is_uniform(value):
        return value[(0,) * value.ndim + (...,)]
    return value.reshape(-1, order=order)


def _spread(work: Callable[[slice], None], size: int) -> None:
    """Runs `work` over [0, size), a part per thread."""
    if size < LARGE:
        work(slice(0, size))
    else:
        in_parts(work, list(_parts(size, _Threads.count)))


def in_parts(work: Callable[[slice], Any], parts: Sequence[slice]) -> list[Any]:
    """What `work` gives for each part; a part per thread, where there are several."""
    if _Threads.count == 1 or len(parts) == 1 or here.worker:
        return list(map(work, parts))
    futures: list[Future[Any]] = [_Threads.get().submit(_as_worker, work, part)
                                  for part in parts[1:]]
    try:
        first = work(parts[0])
    finally:
        rest = [future.result() for future in futures]
    return [first, *rest]


def in_rows(work: Callable[[slice], Any], rows: int, size: int, *, apart: bool = True) -> None:
    """Runs `work` over parts of `rows` rows of `size` elements in all: parts that stay in cache,
    on several threads if rows may be worked on apart from each other. Few are one part."""
    if size < LARGE:
        if size:
            work(slice(0, rows))
        return
    each = max(1, BLOCK * rows // size)

    def several(part: slice) -> None:
        for start in range(part.start, part.stop, each):
            work(slice(start, min(start + each, part.stop)))

    count = _Threads.count if apart else 1
    step = -(-rows // count)
    in_parts(lambda part: quietly(several, part),
             [slice(start, min(start + step, rows)) for start in range(0, rows, step)])


def _as_worker(work: Callable[[slice], Any], part: slice) -> Any:
    here.worker = True  # work inside a worker is not split again: the pool could run dry
    return work(part)


def _parts(size: int, count: int) -> Iterator[slice]:
    step = -(-size // (count * BLOCK)) * BLOCK
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))
