"""What the functions that stand for NumPy's do with their arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ...core import dtypes
from ...core.handle import Handle, wrap
from ...core.levels import made
from .. import creation, joining, shapes
from ..arguments import wrapped_dims
from ..operators import is_number, promoted

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""NumPy's functions and what stands for them: a function of those arguments that tensors have,
under NumPy's names. `out` is seen to for all of them alike."""


class Unsupported(Exception):  # noqa: N818 - a signal, not an error: NumPy may yet take over
    """Says what of a NumPy function tensors do not have."""


def stands_for(*numpy: Any) -> Callable[[F], F]:
    """Enters a function into the table for NumPy's."""

    def enter(function: F) -> F:
        for name in numpy:
            FUNCTIONS[name] = function
        return function

    return enter


def tensors_in(value: Any) -> Iterator[Any]:
    """The tensors among arguments, and in lists and dicts among them."""
    if isinstance(value, Handle):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def tensor(value: Any) -> Any:
    """An argument as a tensor; lists that hold tensors are stacked, so that gradients flow."""
    if isinstance(value, Handle):
        return value
    if isinstance(value, (list, tuple)) and next(tensors_in(value), None) is not None:
        return joining.stack([tensor(item) for item in value])
    if isinstance(value, np.ndarray) and any(stride < 0 for stride in value.strides):
        value = value.copy()  # what a rule has flipped is an operand like others
    return creation.as_tensor(value)


def promote(*operands: Any, floats: bool = False) -> tuple[Any, ...]:
    """Operands as tensors of one dtype; `floats` as for `operators.promoted`."""
    found = tuple(o if is_number(o) else tensor(o) for o in operands)
    kinds = {o.aval.dtype if isinstance(o, Handle) else None for o in found}
    if len(kinds) == 1 and (kind := kinds.pop()) is not None and (
            kind.differentiable or not floats):
        return found
    return tuple(o if isinstance(o, Handle) else made(wrap(o))
                 for o in promoted(found, floats=floats))


def floating(value: Any) -> Any:
    """An argument as a tensor of floats (or complex numbers)."""
    return promote(value, floats=True)[0]


def as_kind(x: Any, dtype: Any) -> Any:
    """A tensor in a dtype, if one is named."""
    return x if dtype is None else shapes.astype(x, kind_of(dtype))


def kind_of(dtype: Any) -> dtypes.dtype:
    """Our dtype for whatever NumPy or we take as one.

    Raises:
        TypeError: if tensors can't have it.
    """
    return dtype if isinstance(dtype, dtypes.dtype) else dtypes.of(np.dtype(dtype))


def indices(value: Any) -> Any:
    """An argument as a tensor of indices.

    Raises:
        TypeError: if it is not of integers.
    """
    x = tensor(value)
    if x.aval.dtype.category != dtypes.INTEGER and x.aval.numel:
        raise TypeError(f"indices must be integers, not {x.aval.dtype.name}")
    return shapes.astype(x, dtypes.int64)


def all_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions meant by NumPy's `axis`: None is all, and () none."""
    return () if axis == () else wrapped_dims(axis, ndim)


def one_axis(x: Any, axis: Any) -> tuple[Any, int]:
    """A tensor and the dimension to go along; None is along all elements in order.

    Raises:
        numpy.exceptions.AxisError: for a tensor without dimensions, which NumPy does not go along.
    """
    if axis is None:
        return shapes.reshape(x, -1), 0
    if not x.aval.ndim:
        raise np.exceptions.AxisError(axis, 0)
    return x, wrapped_dims(axis, x.aval.ndim)[0]


def part(x: Any, axis: int, *index: int | None) -> Any:
    """x[index] of one dimension: an int, or start, stop and step of a slice."""
    chosen = index[0] if len(index) == 1 else slice(*index)
    return x[(*(slice(None),) * axis, chosen)]
