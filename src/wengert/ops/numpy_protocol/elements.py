"""NumPy's functions that choose, compare, convert and make elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import dtypes
from ...core.handle import Handle
from ...core.primitive import broadcast_shapes
from ...interpreters.inplace import check_fits
from .. import choices, creation, picking, pointwise, reduce, shapes
from ..operators import is_number
from .arguments import (
    Unsupported,
    all_axes,
    as_kind,
    floating,
    indices,
    kind_of,
    one_axis,
    promote,
    stands_for,
    tensor,
)

# --- choosing ---------------------------------------------------------------------------------


@stands_for(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return nonzero(condition)
    return choices.where(_mask(condition), *promote(x, y))


def _mask(condition: Any) -> Any:
    return shapes.astype(tensor(condition), dtypes.bool_)


@stands_for(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The first choice whose condition holds."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    found = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        found = where(condition, choice, found)
    return found


@stands_for(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    x = tensor(a)
    if low is None and high is None:
        return shapes.clone(x)
    bounds = [low, high]
    if not all(b is None or is_number(b) for b in bounds):
        bounds = [b if b is None else tensor(b) for b in bounds]
    return choices.clamp(x, *bounds)


@stands_for(np.nan_to_num)
def _nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x = tensor(x)
    if not x.aval.dtype.is_floating_point:
        raise Unsupported(f"of {x.aval.dtype.name}")
    most = float(np.finfo(x.aval.numpy).max)
    found = choices.where(pointwise.isnan(x), nan, x)
    found = choices.where(x == np.inf, most if posinf is None else posinf, found)
    return choices.where(x == -np.inf, -most if neginf is None else neginf, found)


@stands_for(np.nonzero)
def nonzero(a: Any) -> Any:
    return picking.nonzero(tensor(a), as_tuple=True)


@stands_for(np.flatnonzero)
def _flatnonzero(a: Any) -> Any:
    return nonzero(shapes.reshape(tensor(a), -1))[0]


@stands_for(np.argwhere)
def _argwhere(a: Any) -> Any:
    return picking.nonzero(tensor(a))


@stands_for(np.take)
def _take(a: Any, indices: Any, axis: Any = None) -> Any:
    x, dim = one_axis(tensor(a), axis)
    return x[(*(slice(None),) * dim, _indices(indices))]


_indices = indices


@stands_for(np.delete)
def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    x, dim = one_axis(tensor(arr), axis)
    if isinstance(obj, Handle):
        raise Unsupported("with a tensor as obj")
    return _take(x, np.delete(np.arange(x.aval.shape[dim]), obj), dim)


@stands_for(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    x, dim = one_axis(tensor(arr), axis)
    where_ = _indices(indices)
    if where_.aval.ndim != x.aval.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    n, m = x.aval.shape[dim], where_.aval.shape[dim]
    where_ = choices.where(where_ < 0, where_ + n, where_)
    common = broadcast_shapes([(*v.aval.shape[:dim], *v.aval.shape[dim + 1:]) for v in (x, where_)])
    return picking.gather(shapes.expand(x, *common[:dim], n, *common[dim:]), dim,
                        shapes.expand(where_, *common[:dim], m, *common[dim:]))


# --- rounding and parts -----------------------------------------------------------------------


@stands_for(np.round, np.around)
def _round(a: Any, decimals: int = 0) -> Any:
    return pointwise.round(tensor(a), decimals=decimals)


@stands_for(np.fix)
def _fix(x: Any) -> Any:
    return pointwise.trunc(tensor(x))


@stands_for(np.real)
def _real(val: Any) -> Any:
    return tensor(val).real


@stands_for(np.imag)
def _imag(val: Any) -> Any:
    x = tensor(val)
    return x.imag if x.aval.is_complex else creation.zeros_like(x)


@stands_for(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    x = floating(z)
    found = pointwise.atan2(_imag(x), _real(x))
    return found * (180 / np.pi) if deg else found


# --- comparing --------------------------------------------------------------------------------


@stands_for(np.isclose)
def _isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08,
             equal_nan: bool = False) -> Any:
    x, y = promote(a, b)
    return pointwise.isclose(x, y, rtol, atol, equal_nan)


@stands_for(np.allclose)
def _allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08,
              equal_nan: bool = False) -> bool:
    return bool(reduce.all(_isclose(a, b, rtol, atol, equal_nan)))


@stands_for(np.array_equal)
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    x, y = promote(a1, a2)
    if x.aval.shape != y.aval.shape:
        return False
    same = x == y
    if equal_nan:
        same = same | (pointwise.isnan(x) & pointwise.isnan(y))
    return bool(reduce.all(same))


# --- what it is -------------------------------------------------------------------------------


@stands_for(np.shape)
def _shape(a: Any) -> tuple[int, ...]:
    return tuple(tensor(a).aval.shape)


@stands_for(np.ndim)
def _ndim(a: Any) -> int:
    return int(tensor(a).aval.ndim)


@stands_for(np.size)
def _size(a: Any, axis: Any = None) -> int:
    shape = tensor(a).aval.shape
    count = 1
    for dim in all_axes(axis, len(shape)):
        count *= shape[dim]
    return count


@stands_for(np.iscomplexobj)
def _iscomplexobj(x: Any) -> bool:
    return bool(tensor(x).aval.is_complex)


@stands_for(np.isrealobj)
def _isrealobj(x: Any) -> bool:
    return not _iscomplexobj(x)


@stands_for(np.result_type)
def _result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """NumPy's own rules, since it is NumPy's dtypes that are asked for."""
    return np.result_type(*(a.aval.numpy if isinstance(a, Handle) else a
                            for a in arrays_and_dtypes))


# --- making -----------------------------------------------------------------------------------


def _like(make: Any, a: Any, dtype: Any, shape: Any) -> Any:
    x = tensor(a)
    kind = x.aval.dtype if dtype is None else kind_of(dtype)
    return make(x.aval.shape if shape is None else shape, dtype=kind)


@stands_for(np.zeros_like)
def _zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    return _like(creation.zeros, a, dtype, shape)


@stands_for(np.ones_like)
def _ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    return _like(creation.ones, a, dtype, shape)


@stands_for(np.empty_like)
def _empty_like(prototype: Any, dtype: Any = None, shape: Any = None) -> Any:
    return _like(creation.empty, prototype, dtype, shape)


@stands_for(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    """A fill value that is a tensor gets its gradient."""
    room = _empty_like(a, dtype, shape)
    value = shapes.astype(tensor(fill_value), room.aval.dtype)
    return shapes.clone(shapes.expand(value, *room.aval.shape))


@stands_for(np.copy)
def _copy(a: Any) -> Any:
    return shapes.clone(tensor(a))


@stands_for(np.astype)
def _astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    x = as_kind(tensor(x), dtype)
    return shapes.clone(x) if copy else x


@stands_for(np.copyto)
def _copyto(dst: Any, src: Any) -> None:
    if not isinstance(dst, Handle):
        raise Unsupported("into an array")
    value = tensor(src)
    check_fits(dst.aval, value.aval.with_shape(dst.aval.shape))
    shapes.copy_(dst, value)  # type: ignore[arg-type]


@stands_for(np.linspace)
def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    """A mean of the ends, which are exact themselves."""
    x, y = promote(start, stop, floats=True)
    steps = max(num - 1 if endpoint else num, 1)
    shape = broadcast_shapes([x.aval.shape, y.aval.shape])
    weight = np.arange(num).reshape((num,) + (1,) * len(shape)) / steps
    w = shapes.astype(tensor(weight), x.aval.dtype)
    return x * (1 - w) + y * w


@stands_for(np.meshgrid)
def _meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> Any:
    grid = [shapes.reshape(tensor(x), (1,) * i + (-1,) + (1,) * (len(xi) - i - 1))
            for i, x in enumerate(xi)]
    if indexing == "xy" and len(xi) > 1:
        grid = [shapes.transpose(x, 0, 1) for x in grid]
    full = grid if sparse else list(shapes.broadcast_tensors(*grid))
    return tuple(shapes.clone(x) for x in full) if copy else tuple(full)
