"""Shapes, and picking elements out of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wengert as torch

from .dtypes import Bool, together

__all__ = [
    "broadcast_arrays", "broadcast_shapes", "broadcast_to", "concat", "expand_dims", "flip",
    "moveaxis", "permute_dims", "repeat", "reshape", "roll", "squeeze", "stack", "take",
    "take_along_axis", "tile", "unstack",
]

Axes = int | tuple[int, ...]


def broadcast_arrays(*arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors, broadcast to one shape."""
    return tuple(torch.broadcast_tensors(*arrays))


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all of them broadcast to."""
    return tuple(torch.broadcast_shapes(*shapes))


def broadcast_to(x: torch.Tensor, /, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor repeated to a shape; a view."""
    return torch.broadcast_to(x, shape)


def concat(arrays: Sequence[torch.Tensor], /, *, axis: int | None = 0) -> torch.Tensor:
    """Tensors one after the other along an axis; flattened, if it is None."""
    same = together(*arrays)
    return torch.cat([x.flatten() for x in same]) if axis is None else torch.cat(same, axis)


def expand_dims(x: torch.Tensor, /, axis: int = 0) -> torch.Tensor:
    """The tensor with an axis of size 1 more."""
    return torch.unsqueeze(x, axis)


def flip(x: torch.Tensor, /, *, axis: Axes | None = None) -> torch.Tensor:
    """The elements in reverse order along axes, all by default."""
    return torch.flip(x, tuple(range(x.ndim)) if axis is None else
                      (axis,) if isinstance(axis, int) else axis)


def moveaxis(x: torch.Tensor, source: Axes, destination: Axes, /) -> torch.Tensor:
    """Axes moved to other places, the rest in order."""
    return torch.moveaxis(x, source, destination)


def permute_dims(x: torch.Tensor, /, axes: tuple[int, ...]) -> torch.Tensor:
    """The axes in another order; a view."""
    return torch.permute(x, axes)


def repeat(x: torch.Tensor, repeats: Any, /, *, axis: int | None = None) -> torch.Tensor:
    """Each element (of an axis) several times."""
    return torch.repeat_interleave(x, repeats, dim=axis)


def reshape(x: torch.Tensor, /, shape: tuple[int, ...], *, copy: Bool | None = None
            ) -> torch.Tensor:
    """The elements in another shape; a view where memory allows, unless `copy` is set.

    Raises:
        RuntimeError: if it must not be copied and has to be.
    """
    if copy is False:
        return x.view(shape)
    return torch.reshape(x.clone() if copy else x, shape)


def roll(x: torch.Tensor, /, shift: Axes, *, axis: Axes | None = None) -> torch.Tensor:
    """Elements moved along axes, what leaves at one end coming in at the other."""
    if axis is None:
        return torch.roll(x, shift)
    axes = (axis,) if isinstance(axis, int) else axis
    shifts = (shift,) * len(axes) if isinstance(shift, int) else shift
    return torch.roll(x, shifts, axes)


def squeeze(x: torch.Tensor, /, axis: Axes) -> torch.Tensor:
    """The tensor without axes of size 1.

    Raises:
        ValueError: if one is of another size.
    """
    axes = (axis,) if isinstance(axis, int) else axis
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"can't squeeze axes {axes} of a tensor of shape {tuple(x.shape)}: their "
                         "sizes must be 1")
    return torch.squeeze(x, axes)


def stack(arrays: Sequence[torch.Tensor], /, *, axis: int = 0) -> torch.Tensor:
    """Tensors of one shape along a new axis."""
    return torch.stack(together(*arrays), axis)


def take(x: torch.Tensor, indices: torch.Tensor, /, *, axis: int | None = None) -> torch.Tensor:
    """The elements of an axis at given places.

    Raises:
        ValueError: if there are several axes and none is named.
    """
    if axis is None and x.ndim != 1:
        raise ValueError("take() needs an axis for a tensor that has not just one")
    places = torch.where(indices < 0, indices + x.shape[axis or 0], indices)
    found = torch.index_select(x, axis or 0, places.flatten())
    return found if indices.ndim == 1 else found.unflatten(axis or 0, indices.shape)


def take_along_axis(x: torch.Tensor, indices: torch.Tensor, /, *, axis: int = -1) -> torch.Tensor:
    """The elements at places that differ along the other axes."""
    places = torch.where(indices < 0, indices + x.shape[axis], indices)
    return torch.take_along_dim(x, places.to(torch.int64), axis)


def tile(x: torch.Tensor, repetitions: tuple[int, ...], /) -> torch.Tensor:
    """The tensor several times along each axis."""
    return torch.tile(x, repetitions)


def unstack(x: torch.Tensor, /, *, axis: int = 0) -> tuple[torch.Tensor, ...]:
    """The tensors that lie along an axis."""
    return tuple(torch.unbind(x, axis))
