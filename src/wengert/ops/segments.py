"""Reductions of a dimension's segments, given by their lengths or where they begin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.levels import concrete
from . import choices, creation, picking, scattering, shapes
from .arguments import LOOKS, need_tensor, wrapped_dim

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["segment_reduce"]

_STARTS = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}
_FURTHER = {"amax": "max", "amin": "min"}


def segment_reduce(data: Tensor, reduce: str, *, lengths: Tensor | None = None,
                   indices: Tensor | None = None, offsets: Tensor | None = None, axis: int = 0,
                   unsafe: bool = False, initial: float | None = None) -> Tensor:
    """The sum, mean, product, maximum or minimum of each segment of a dimension.

    Args:
        data: floats.
        reduce: "sum", "mean", "prod", "max" or "min".
        lengths: how many elements each segment has, along its last dimension, which is `axis`;
            those before are as the data's.
        indices: not supported, as in PyTorch.
        offsets: where each segment begins, and where the last one ends; goes before `lengths`.
        axis: the dimension.
        unsafe: do without the check that all elements are in some segment.
        initial: what each reduction starts from; without it, a segment of no elements has 0, NaN,
            1, or an infinity.

    Raises:
        RuntimeError: for another `reduce`, or segments that do not fit.
        NotImplementedError: for other than floats, and lengths other than int32 and int64.

    Example:
        >>> import wengert as torch
        >>> torch.segment_reduce(torch.arange(4.0), "sum", lengths=torch.tensor([1, 3]))
        tensor([0., 6.])
    """
    d = wrapped_dim(axis, need_tensor("segment_reduce", data, "data").aval.ndim)
    reduce = _FURTHER.get(reduce, reduce)
    _check(data, reduce, lengths, indices, offsets, d)
    shape = data.aval.shape
    begins, counts = _segments(lengths, offsets, shape[d], bool(unsafe))
    rest = shape[d + 1:]
    flat = shapes.reshape(data, (math.prod(shape[:d + 1]), *rest))
    found = _reduced(_within(flat, begins, counts, shape[d]), reduce, counts.ravel(), initial)
    return shapes.reshape(found, (*shape[:d], counts.shape[-1], *rest))


def _check(data: Any, reduce: str, lengths: Any, indices: Any, offsets: Any, d: int) -> None:
    if reduce not in _STARTS:
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got "
                           f"{reduce}")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    name, given = ("lengths", lengths) if offsets is None else ("offsets", offsets)
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    given = need_tensor("segment_reduce", given, name, 3).aval
    if given.ndim > data.aval.ndim:
        raise RuntimeError(f"segment_reduce(): {name} has {given.ndim} dimensions, and data has "
                           f"{data.aval.ndim}")
    if given.ndim - 1 != d:
        raise RuntimeError(f"segment_reduce(): Expected axis to be the last dimension of {name} "
                           f"but got {d}.")
    if given.shape[:d] != data.aval.shape[:d]:
        raise RuntimeError(f"segment_reduce(): Expected {name} to have the sizes of data before "
                           f"axis, but got {list(given.shape)} and {list(data.aval.shape)}")
    for kernel, kind, fits in (
            ("_segment_reduce_cpu", data.aval.dtype, data.aval.dtype.is_floating_point),
            (f"_segment_reduce_{name}_cpu_kernel1", given.dtype, given.dtype.name in _INDICES)):
        if not fits:
            raise NotImplementedError(f'"{kernel}" not implemented for \'{kind.words}\'')


_INDICES = ("int32", "int64")


def _segments(lengths: Any, offsets: Any, size: int,
              unsafe: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where segments begin and how many elements they have, in each row."""
    if offsets is not None:
        places = concrete(offsets, LOOKS)
        begins, counts = places[..., :-1], np.diff(places)
    else:
        counts = concrete(lengths, LOOKS)
        begins = np.cumsum(counts, -1) - counts
    if (counts < 0).any():
        raise RuntimeError("lengths contains negative value!")
    if offsets is None and not unsafe and (counts.sum(-1) != size).any():
        raise RuntimeError("segment_reduce(): Expected all rows of lengths along axis to sum to "
                           "data.size(lengths.dim()-1) when !unsafe.")
    if counts.size and (begins.min() < 0 or (begins + counts).max() > size):
        raise RuntimeError(f"segment_reduce(): a segment lies outside of the {size} elements")
    return begins, counts


def _within(flat: Any, begins: np.ndarray, counts: np.ndarray, size: int) -> Any:
    """The elements that are in segments, one segment after the other."""
    rows = np.arange(math.prod(counts.shape[:-1])).reshape(*counts.shape[:-1], 1) * size
    sizes = counts.ravel()
    places = np.repeat((rows + begins).ravel() - (np.cumsum(sizes) - sizes), sizes)
    places += np.arange(len(places))
    if np.array_equal(places, np.arange(flat.aval.shape[0])):
        return flat
    return picking.index_select(flat, 0, creation.tensor(places))


def _reduced(x: Any, reduce: str, counts: np.ndarray, initial: float | None) -> Any:
    start = creation.full((len(counts), *x.aval.shape[1:]), _STARTS[reduce] if initial is None
                          else float(initial), dtype=x.aval.dtype)
    index = creation.tensor(np.repeat(np.arange(len(counts)), counts))
    if reduce == "prod":
        return scattering.index_reduce(start, 0, index, x, "prod")
    if reduce in ("max", "min"):
        found = scattering.index_reduce(start, 0, index, x, f"a{reduce}", include_self=False)
        if initial is None:
            return found
        return choices.where(found < start if reduce == "max" else found > start, start, found)
    found = scattering.index_add(start, 0, index, x)
    if reduce == "sum":
        return found
    least = np.maximum(counts, 1) if initial is not None else counts  # 0 / 0 of nothing is NaN
    return found / creation.tensor(least.reshape(-1, *(1,) * (x.aval.ndim - 1)),
                                   dtype=x.aval.dtype)
