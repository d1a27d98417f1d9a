"""How arrays reach LAPACK: its routines by name, applied to every matrix of a batch."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.blas import beside_numpy
from ...core.dtypes import of

Array = np.ndarray
_LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}
_THREADED = 10_000
"""From this many elements on, routines use several threads to some purpose."""


class LinAlgError(RuntimeError):
    """What a matrix without an inverse, or one for which an algorithm fails, raises."""


@functools.cache
def routine(name: str, kind: str) -> Any:
    """LAPACK's (or BLAS's) routine for the dtype of a character, as SciPy has it."""
    from scipy.linalg import blas, lapack

    if kind not in _LETTERS:
        raise NotImplementedError(f'"{name}_cpu" not implemented for '
                                  f"'{of(np.dtype(kind)).words}'")
    full = _LETTERS[kind] + name
    return getattr(lapack, full, None) or getattr(blas, full)


@functools.lru_cache(maxsize=1024)
def workspace(name: str, kind: str, *sizes: Any) -> int:
    """How much workspace a routine does best with, as it says itself."""
    return int(np.real(routine(f"{name}_lwork", kind)(*sizes)[0]))


def each(function: Callable[..., tuple[Any, ...]], *arrays: Array,
         cores: Sequence[int] = (2, 2, 2, 2)) -> tuple[Array, ...]:
    """A function of matrices applied to batches of them, which are broadcast.

    Args:
        function: gives arrays or numbers, of shapes that depend on shapes alone.
        arrays: its operands, the dimensions of the batch in front.
        cores: how many dimensions each operand has that are not of the batch.
    """
    splits = [a.ndim - core for a, core in zip(arrays, cores, strict=False)]
    batched = any(splits)
    if arrays[0].size < _THREADED and arrays[-1].size < _THREADED:
        return _each(function, arrays, splits) if batched else function(*arrays)
    with beside_numpy():
        return _each(function, arrays, splits) if batched else function(*arrays)


def _each(function: Callable[..., tuple[Any, ...]], arrays: Sequence[Array],
          splits: Sequence[int]) -> tuple[Array, ...]:
    batches = [a.shape[:s] for a, s in zip(arrays, splits, strict=True)]
    batch, full = batches[0], arrays
    if any(other != batch for other in batches):
        batch = np.broadcast_shapes(*batches)
        full = [np.broadcast_to(a, batch + a.shape[s:])
                for a, s in zip(arrays, splits, strict=True)]
    found = [function(*[a[at] for a in full]) for at in itertools.product(*map(range, batch))]
    if not found:
        parts = function(*map(_stand_in, arrays, splits))
        return tuple(np.empty(batch + np.shape(part), np.asarray(part).dtype) for part in parts)
    return tuple(_stacked(parts, batch) for parts in zip(*found, strict=True))


def _stacked(parts: Sequence[Any], batch: tuple[int, ...]) -> Array:
    """A batch of what was found for each; of matrices, columns lie along memory as LAPACK leaves
    them."""
    if np.ndim(parts[0]) < 2:
        return np.array(parts).reshape(batch + np.shape(parts[0]))
    return np.array([part.T for part in parts]).reshape(
        batch + parts[0].shape[::-1]).swapaxes(-1, -2)


def _stand_in(a: Array, split: int) -> Array:
    """Some operand that is like those of an empty batch."""
    shape = a.shape[split:]
    return np.eye(*shape, dtype=a.dtype) if len(shape) == 2 else np.arange(
        1, shape[0] + 1).astype(a.dtype)


def complain(info: Array, words: str, error: type[Exception] = LinAlgError) -> None:
    """Raises an error if a routine reported one for some matrix.

    Args:
        info: what it reported of each, 0 for success.
        words: the message, with "{at}" where PyTorch names the matrix and "{info}" for the report.
        error: its type.
    """
    info = np.asarray(info)
    if not info.any():
        return
    first = int(np.flatnonzero(info)[0])
    raise error(words.format(at=f"(Batch element {first}): " if info.ndim else "",
                             info=int(info.flat[first])))
