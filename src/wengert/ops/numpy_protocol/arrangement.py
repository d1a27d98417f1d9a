"""NumPy's functions that arrange elements: shapes, joining and splitting."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.handle import Handle
from .. import creation, diagonals, joining, rearranging, shapes, splitting
from ..arguments import wrapped_dim
from .arguments import Unsupported, all_axes, as_kind, one_axis, part, stands_for, tensor

# --- shapes -----------------------------------------------------------------------------------


@stands_for(np.reshape)
def _reshape(a: Any, shape: Any) -> Any:
    return shapes.reshape(tensor(a), shape)


@stands_for(np.ravel)
def ravel(a: Any) -> Any:
    return shapes.reshape(tensor(a), -1)


@stands_for(np.transpose)
def _transpose(a: Any, axes: Any = None) -> Any:
    x = tensor(a)
    return shapes.reversed_dims(x) if axes is None else shapes.permute(x, axes)


@stands_for(np.matrix_transpose, np.linalg.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return shapes.matrix_transpose(tensor(x))


@stands_for(np.swapaxes)
def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return shapes.transpose(tensor(a), axis1, axis2)


@stands_for(np.moveaxis)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return shapes.movedim(tensor(a), _ints(source), _ints(destination))


def _ints(value: Any) -> tuple[int, ...]:
    return tuple(int(operator.index(v)) for v in np.atleast_1d(value))


@stands_for(np.squeeze)
def _squeeze(a: Any, axis: Any = None) -> Any:
    x = tensor(a)
    dims = all_axes(axis, x.aval.ndim)
    if axis is not None and any(x.aval.shape[d] != 1 for d in dims):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return x if axis == () else shapes.squeeze(x, axis)


@stands_for(np.expand_dims)
def _expand_dims(a: Any, axis: Any) -> Any:
    x = tensor(a)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    places = [wrapped_dim(d, x.aval.ndim + len(axes)) for d in axes]
    if len(set(places)) != len(places):
        raise ValueError("repeated axis")
    for place in sorted(places):
        x = shapes.unsqueeze(x, place)
    return x


@stands_for(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any) -> Any:
    return shapes.expand(tensor(array), shape)


@stands_for(np.broadcast_arrays)
def _broadcast_arrays(*args: Any) -> Any:
    return shapes.broadcast_tensors(*map(tensor, args))


def _at_least(ndim: int, x: Any) -> Any:
    """With dimensions of size 1: before a vector, and for three after a matrix."""
    while x.aval.ndim < ndim:
        x = shapes.unsqueeze(x, 2 if x.aval.ndim == 2 else 0)
    return x


def _each_at_least(ndim: int) -> Any:
    def function(*arys: Any) -> Any:
        found = tuple(_at_least(ndim, tensor(x)) for x in arys)
        return found[0] if len(found) == 1 else found

    return function


for _ndim, _numpy in enumerate((np.atleast_1d, np.atleast_2d, np.atleast_3d), 1):
    stands_for(_numpy)(_each_at_least(_ndim))


# --- order and repetition ---------------------------------------------------------------------


@stands_for(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = tensor(m)
    return rearranging.flip(x, all_axes(axis, x.aval.ndim))


@stands_for(np.flipud)
def _flipud(m: Any) -> Any:
    return flip(m, 0)


@stands_for(np.fliplr)
def _fliplr(m: Any) -> Any:
    return flip(m, 1)


@stands_for(np.rot90)
def _rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    x, (a, b) = tensor(m), axes
    if k % 4 == 2:
        return flip(x, (a, b))
    if k % 4:
        x = shapes.transpose(x, a, b)
        return flip(x, a if k % 4 == 1 else b)
    return shapes.clone(x)


@stands_for(np.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = tensor(a)
    if axis is None:
        return rearranging.roll(x, int(np.sum(shift)))
    for by, dim in np.broadcast(shift, axis):
        x = rearranging.roll(x, int(by), int(dim))
    return x


@stands_for(np.tile)
def _tile(A: Any, reps: Any) -> Any:  # noqa: N803 - NumPy's name
    return rearranging.tile(tensor(A), _ints(reps))


@stands_for(np.repeat)
def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if isinstance(repeats, Handle):
        raise Unsupported("with a tensor as repeats")
    x, dim = one_axis(tensor(a), axis)
    chosen = np.repeat(np.arange(x.aval.shape[dim]), repeats)
    return x[(*(slice(None),) * dim, chosen)]


@stands_for(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> Any:
    x = tensor(array)
    if mode != "constant" or not isinstance(constant_values, (int, float)) or isinstance(
            pad_width, dict):
        raise Unsupported("but with one constant")
    for dim, widths in enumerate(np.broadcast_to(pad_width, (x.aval.ndim, 2))):
        before, after = (creation.full(
            (*x.aval.shape[:dim], int(n), *x.aval.shape[dim + 1:]), constant_values,
            dtype=x.aval.dtype) for n in widths)
        x = joining.cat([before, x, after], dim)
    return x


# --- triangles and diagonals ------------------------------------------------------------------


@stands_for(np.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return diagonals.tril(tensor(m), k)


@stands_for(np.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return diagonals.triu(tensor(m), k)


@stands_for(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    return diagonals.diag(tensor(v), k)


@stands_for(np.diagflat)
def _diagflat(v: Any, k: int = 0) -> Any:
    return diagonals.diag(ravel(v), k)


@stands_for(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return diagonals.diagonal(tensor(a), offset, axis1, axis2)


@stands_for(np.linalg.diagonal)
def _linalg_diagonal(x: Any, offset: int = 0) -> Any:
    return _diagonal(x, offset, -2, -1)


# --- joining ----------------------------------------------------------------------------------


@stands_for(np.concatenate)
def concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    parts = [as_kind(tensor(x), dtype) for x in arrays]
    if axis is None:
        return joining.cat([ravel(x) for x in parts])
    return joining.cat(parts, axis)


@stands_for(np.stack)
def stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Any:
    return joining.stack([as_kind(tensor(x), dtype) for x in arrays], axis)


def _parts(arrays: Any, ndim: int) -> list[Any]:
    return [_at_least(ndim, tensor(x)) for x in arrays]


@stands_for(np.vstack)
def _vstack(tup: Any, dtype: Any = None) -> Any:
    return concatenate(_parts(tup, 2), 0, dtype)


@stands_for(np.hstack)
def _hstack(tup: Any, dtype: Any = None) -> Any:
    parts = _parts(tup, 1)
    return concatenate(parts, 0 if parts[0].aval.ndim == 1 else 1, dtype)


@stands_for(np.dstack)
def _dstack(tup: Any) -> Any:
    return concatenate(_parts(tup, 3), 2)


@stands_for(np.column_stack)
def _column_stack(tup: Any) -> Any:
    """Vectors are columns."""
    return concatenate([x if x.aval.ndim == 2 else shapes.reshape(x, (-1, 1))
                        for x in map(tensor, tup)], 1)


@stands_for(np.append)
def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate((arr, values), axis)


# --- splitting --------------------------------------------------------------------------------


@stands_for(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Views between the given places, or of (nearly) equal size."""
    x = tensor(ary)
    dim, cuts = wrapped_dim(axis, x.aval.ndim), indices_or_sections
    if np.ndim(cuts) == 0:
        cuts = _even(x.aval.shape[dim], operator.index(cuts))
    ends: list[Any] = [0, *map(int, cuts), x.aval.shape[dim]]
    return [part(x, dim, a, b) for a, b in itertools.pairwise(ends)]


def _even(n: int, sections: int) -> Sequence[int]:
    """Where to cut n elements into sections, of which the first few are longer by one."""
    if sections < 1:
        raise ValueError("number sections must be larger than 0.")
    size, longer = divmod(n, sections)
    return [i * size + min(i, longer) for i in range(1, sections)]


@stands_for(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    x, dim = one_axis(tensor(ary), axis)
    if np.ndim(indices_or_sections) == 0 and x.aval.shape[dim] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return array_split(x, indices_or_sections, dim)


@stands_for(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, 0)


@stands_for(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, min(tensor(ary).aval.ndim - 1, 1))


@stands_for(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, 2)


@stands_for(np.unstack)
def _unstack(x: Any, axis: int = 0) -> Any:
    return splitting.unbind(tensor(x), axis)
