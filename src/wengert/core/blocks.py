"""Elementwise work on large arrays, cut into blocks that stay in cache, on several threads.

NumPy runs a ufunc on one core, and an expression of ufuncs writes every temporary to memory.
Cut into blocks, the temporaries of a derivative rule live in cache and the blocks run on all the
cores that this process may use (NumPy releases the interpreter lock inside a ufunc).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .aval import LARGE, Aval
from .levels import here, quietly

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

BLOCK = 1 << 15
"""Elements per block: 128 KiB of float32, so that a few operands fit a second-level cache."""


def _initial_threads() -> int:
    """WENGERT_NUM_THREADS, or as many threads as there are cores that this process may use."""
    wanted = os.environ.get("WENGERT_NUM_THREADS", "").strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    if wanted:
        warnings.warn(f"WENGERT_NUM_THREADS={wanted!r} is not a positive integer", stacklevel=2)
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


def apply(ufunc: Callable[..., Any], values: Sequence[Any], result: Aval,
          out: np.ndarray | None = None) -> np.ndarray:
    """A ufunc of large operands, block by block along the first axis or over flat memory."""
    if out is None:
        out = _result(values, result)
    flat = _flat(values, out)
    if flat is None:
        return here.run(ufunc, *values, out=out)
    target, operands = flat

    def work(part: slice) -> None:
        here.run(ufunc, *[a if a.ndim == 0 else a[part] for a in operands], out=target[part])

    _spread(work, target.size)
    return out


def map_rule(fn: Callable[..., Any], g: np.ndarray, others: Sequence[Any],
             result: Aval) -> np.ndarray | None:
    """A derivative rule over large arrays, block by block; None where it can't be cut.

    Args:
        fn: acts on elements alone.
        g: the cotangent.
        others: what else the rule reads: arrays, or parameters (which then are not cut).
        result: aval of the operation's result.
    """
    if not all(isinstance(other, (np.ndarray, np.generic)) for other in others):
        return None
    values = [g, *others]
    out = _result(values, result)
    flat = _flat(values, out)
    if flat is None:
        return None
    target, operands = flat

    def work(part: slice) -> None:
        quietly(_one_block, fn, operands, target, part)

    _spread(work, target.size)
    return out


def _one_block(fn: Callable[..., Any], operands: list[np.ndarray], target: np.ndarray,
               part: slice) -> None:
    for i in range(part.start, part.stop, BLOCK):
        block = slice(i, min(i + BLOCK, part.stop))
        target[block] = fn(*[a if a.ndim == 0 else a[block] for a in operands])


def _result(values: Sequence[Any], result: Aval) -> np.ndarray:
    """Memory for a result, in the order of the first operand of its shape."""
    for value in values:
        if value.shape == result.shape and any(value.strides):
            return np.empty_like(value, dtype=result.numpy)
    return np.empty(result.shape, result.numpy)


def _flat(values: Sequence[Any], out: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """The result and operands as one-dimensional views of the same order (0-d: the same for
    every element); None if some operand's memory is laid out otherwise."""
    order: Literal["C", "F"] | None = (
        "C" if out.flags.c_contiguous else "F" if out.flags.f_contiguous else None)
    if order is None:
        return None
    operands = []
    for value in map(np.asarray, values):
        if not any(value.strides):
            operands.append(value[(0,) * value.ndim + (...,)])
        elif value.shape == out.shape and value.flags[order]:
            operands.append(value.reshape(-1, order=order))
        else:
            return None
    return out.reshape(-1, order=order), operands


def _spread(work: Callable[[slice], None], size: int) -> None:
    """Runs `work` over [0, size), a part per thread."""
    count = _Threads.count
    if count == 1 or size < LARGE or here.worker:
        work(slice(0, size))
        return
    parts = list(_parts(size, count))
    futures: list[Future[None]] = [_Threads.get().submit(_as_worker, work, part)
                                   for part in parts[1:]]
    try:
        work(parts[0])
    finally:
        for future in futures:
            future.result()


def _as_worker(work: Callable[[slice], None], part: slice) -> None:
    here.worker = True  # work inside a worker is not split again: the pool could run dry
    work(part)


def _parts(size: int, count: int) -> Iterator[slice]:
    step = -(-size // (count * BLOCK)) * BLOCK
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))
