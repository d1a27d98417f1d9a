"""Abstract values: what is known of a tensor without looking at its numbers.

An `Aval` is a shape, a dtype and the transform level it lives at. Avals are interned, so that one
identity test, `x.aval is y.aval`, says at once: same shape (nothing to broadcast), same dtype
(nothing to promote), same level (nothing to lift). The fast path of every operator is that test.
Interning is an optimisation only: two equal avals that are not identical take the general path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes, halves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .levels import Level

LARGE = 1 << 17
"""From this many elements on, elementwise work is cut into blocks (see `blocks.py`)."""


class Size(tuple[int, ...]):
    """A shape: a tuple of ints that prints as PyTorch's.

    Example:
        >>> Size([2, 3]), Size([2, 3]).numel()
        (torch.Size([2, 3]), 6)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        count = 1
        for n in self:
            count *= n
        return count

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))


class Aval:
    """Shape, dtype and level of a tensor, with what is worth working out once per such triple.

    Attributes:
        shape: a `Size`.
        dtype: a `dtypes.dtype`.
        level: the transform level that tensors of this kind live at; None for plain tensors.
        numpy: the NumPy dtype.
        fast: whether operators may take their fast path: floats, no halves, and not so large
            that the work is worth cutting into blocks.
        simple: whether rules may be called directly on arrays: small, not complex, no halves.
        whole: whether they are simple bools or integers of a plain tensor, which have no history.
        scalars: Python number -> 0-d array, for numbers that operators met beside this aval.
        integers: the same for ints: `scalars`, but apart for integers, which floats promote.
        foreign: whether native code has no such numbers: complex ones, and bfloat16.
        zero: the 0-d array of 0; not among `scalars`, where 0.0 and -0.0 would be one key.
        ranked: the dtype with its rank, as `dtypes.result_type` takes it.
        plain: the aval of the same shape and dtype at no level.
    """

    __slots__ = ("__weakref__", "_boolean", "dtype", "fast", "foreign", "integers", "is_complex",
                 "level", "ndim", "numel", "numpy", "plain", "ranked", "scalars", "shape", "simple",
                 "whole", "zero")

    def __init__(self, shape: Iterable[int], dtype: dtypes.dtype,
                 level: Level | None = None) -> None:
        self.shape = Size(shape)
        self.dtype = dtype
        self.level = level
        self.numpy = dtype.numpy
        self.ndim = len(self.shape)
        self.numel = self.shape.numel()
        self.ranked = (2 if self.ndim else 1), dtype
        self.simple = self.numel < LARGE and not (dtype.is_complex or dtype.is_half)
        self.fast = self.simple and dtype.is_floating_point and level is None
        self.is_complex = dtype.is_complex
        self.foreign = dtype.is_complex or dtype is dtypes.bfloat16
        self.whole = self.simple and not dtype.differentiable and level is None
        self.scalars: dict[float, np.ndarray] = {}
        self.zero = np.zeros((), self.numpy)
        self.integers: dict[Any, np.ndarray] = self.scalars
        if self.whole:
            self.integers = {0: self.zero} if dtype.category else {}
        self._boolean: Aval | None = None
        self.plain = self
        if dtype.is_half:
            halves.Met.yet = True

    def at(self, level: Level) -> Aval:
        """The aval of the same shape and dtype at a transform's level, which keeps it."""
        plain = self.plain
        found = level.avals.get(plain)
        if found is None:
            found = Aval(plain.shape, plain.dtype, level)
            found.plain = plain
            level.avals[plain] = found
        return found

    def __repr__(self) -> str:
        at = "" if self.level is None else f" at {self.level!r}"
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]{at}"

    @property
    def boolean(self) -> Aval:
        """The aval of a comparison of two such tensors."""
        if self._boolean is None:
            self._boolean = aval(self.shape, dtypes.bool_, self.level)
        return self._boolean

    def zeros(self) -> np.ndarray:
        """An array of zeros of this kind."""
        return np.zeros(self.shape, self.numpy)

    def ones(self) -> np.ndarray:
        """An array of ones of this kind."""
        return np.ones(self.shape, self.numpy)

    def with_dtype(self, dtype: dtypes.dtype) -> Aval:
        return self if dtype is self.dtype else aval(self.shape, dtype, self.level)

    def with_shape(self, shape: Iterable[int]) -> Aval:
        return aval(tuple(shape), self.dtype, self.level)


_interned: dict[tuple[Any, ...], Aval] = {}
_MOST = 20_000


def aval(shape: tuple[int, ...], dtype: dtypes.dtype, level: Level | None = None) -> Aval:
    """The interned aval of a shape and dtype (at a level)."""
    found = _interned.get((shape, dtype.numpy))
    if found is None:
        found = _intern((shape, dtype.numpy), dtype)
    return found if level is None else found.at(level)


def aval_of(array: np.ndarray) -> Aval:
    """The interned aval of a NumPy array.

    Raises:
        TypeError: if the array's dtype is not one of ours.
    """
    found = _interned.get((array.shape, array.dtype))
    if found is None:
        return _intern((array.shape, array.dtype), dtypes.of(array.dtype))
    return found


def _intern(key: tuple[Any, ...], dtype: dtypes.dtype) -> Aval:
    if len(_interned) >= _MOST:  # a program of ever new shapes must not grow without bound
        _interned.clear()
    # One owner per key even when threads race: the first to arrive wins.
    return _interned.setdefault(key, Aval(key[0], dtype))
