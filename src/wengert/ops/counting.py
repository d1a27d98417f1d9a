"""Counting: which elements there are and how many of each, in PyTorch's words.

How many different elements there are depends on the numbers: Python looks into tensors here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..core import dtypes
from ..core.handle import Handle, without_history, wrap
from ..core.levels import concrete, made, numbers, quietly
from ..primitives import elementwise as e, indexing, layout, reductions, sorting as p
from . import results, shapes
from .arguments import LOOKS, need_tensor, wrapped_dim
from .sorting import searchsorted

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "bincount", "histc", "histogram", "histogramdd", "unique", "unique_consecutive",
]

# --- different elements -----------------------------------------------------------------------


@overload
def unique(input: Tensor, sorted: bool = True, *, dim: int | None = None) -> Tensor: ...
@overload
def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False,
           return_counts: bool = False, dim: int | None = None) -> Any: ...
def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False,
           return_counts: bool = False, dim: int | None = None) -> Any:
    """The different elements, in order; each NaN is one.

    Args:
        input: a tensor.
        sorted: whether they have to be in order; they always are.
        return_inverse: whether to say for each element where among the different ones it is.
        return_counts: whether to say how often each is met.
        dim: the dimension whose slices are compared; None for single elements.

    Returns:
        The different elements, or a tuple of them and what else was asked for.

    Example:
        >>> import wengert as torch
        >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
        (tensor([1, 3]), tensor([1, 2]))
    """
    x, rows, d = _rows("unique", input, dim)
    if x.aval.ndim == 1 and not return_inverse and without_history(x):  # nobody asks for places
        rows = rows.copy()
        rows.sort()
        return _groups(input, made(wrap(rows)), rows, d, None, False, return_counts, dim)
    return _groups(input, x, rows, d, _order(rows), return_inverse, return_counts, dim)


@overload
def unique_consecutive(input: Tensor, *, dim: int | None = None) -> Tensor: ...
@overload
def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None) -> Any: ...
def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None) -> Any:
    """The elements without those that equal the one before; arguments as for `unique`.

    Example:
        >>> import wengert as torch
        >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
        tensor([1, 2, 1])
    """
    x, rows, d = _rows("unique_consecutive", input, dim)
    return _groups(input, x, rows, d, None, return_inverse, return_counts, dim)


def _rows(name: str, x: Any, dim: Any) -> tuple[Any, np.ndarray, int]:
    """What is compared: a tensor with it along a dimension, the numbers (a row each if there are
    several to compare), and the dimension."""
    d = None if dim is None else wrapped_dim(dim, need_tensor(name, x).aval.ndim)
    if need_tensor(name, x).aval.is_complex:
        word = "unique" if d is None else "unique_dim"
        raise NotImplementedError(f'"{word}" not implemented for \'{x.aval.dtype.words}\'')
    if d is None or not x.aval.ndim:
        x = x if x.aval.ndim == 1 else shapes.reshape(x, -1)
        return x, concrete(x, LOOKS), 0
    if x.aval.shape.count(0) > 1 and not x.aval.shape[d]:
        raise RuntimeError("Number of zero sized dimensions is more than one, so unique cannot be "
                           "applied ")
    if x.aval.shape[d] and not x.aval.numel:
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique "
                           "cannot be applied")
    values = np.moveaxis(concrete(x, LOOKS), d, 0)
    size = math.prod(values.shape[1:])
    return x, values.reshape((len(values), size) if size != 1 else -1), d


def _order(rows: np.ndarray) -> np.ndarray:
    if rows.ndim == 1:
        return quietly(p.argsort.evaluate, rows, 0, False, True)
    return np.lexsort(rows.T[::-1])


def _groups(input: Any, x: Any, rows: np.ndarray, d: int, order: np.ndarray | None,
            return_inverse: bool, return_counts: bool, dim: Any) -> Any:
    """The first row of each run of equal ones, in an order (None: as they are)."""
    inorder = rows if order is None else rows.take(order, 0)
    differ = inorder[1:] != inorder[:-1]
    begins = np.empty(len(rows), np.bool_)
    begins[:1] = True
    begins[1:] = differ if rows.ndim == 1 else differ.any(1)
    (starts,) = begins.nonzero()
    firsts = starts if order is None else order.take(starts)
    outer = shapes.movedim(x, d, 0) if d else x
    slices = indexing.take_apart(outer, firsts, dim=0)
    found = [shapes.movedim(slices, 0, d) if d else slices]
    if return_inverse:
        inverse = np.empty(len(rows), np.int64)
        inverse[slice(None) if order is None else order] = np.cumsum(begins) - 1
        found.append(made(wrap(inverse if dim is not None else inverse.reshape(input.aval.shape))))
    if return_counts:
        ends = np.concatenate((starts[1:], (len(rows),)))[:len(starts)]
        found.append(made(wrap(ends - starts)))
    return found[0] if len(found) == 1 else tuple(found)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on is met, or the sum of the weights where it is.

    Args:
        input: non-negative integers, of one dimension.
        weights: a number for each; float32 stays so, all else is summed as float64.
        minlength: the least length of the result.

    Raises:
        RuntimeError: for other shapes, and negative numbers.

    Example:
        >>> import wengert as torch
        >>> torch.bincount(torch.tensor([0, 2, 2]))
        tensor([1, 0, 2])
    """
    kind = need_tensor("bincount", input).aval.dtype
    if kind.category != dtypes.INTEGER:
        raise NotImplementedError(f'"bincount_cpu" not implemented for \'{kind.words}\'')
    given = concrete(input, LOOKS)
    if given.ndim != 1 or np.count_nonzero(given < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and weights.aval.shape != input.aval.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is None:
        return made(wrap(np.bincount(given, minlength=minlength)))
    single = weights.aval.dtype is dtypes.float32
    size = max(minlength, int(given.max()) + 1 if given.size else 0)
    return _summed_up(input, weights if single else shapes.astype(weights, dtypes.float64), size)


def _summed_up(places: Any, weights: Any, size: int) -> Any:
    """The sums of the weights at each of so many places."""
    return indexing.scatter_add(np.zeros(size, weights.aval.numpy),
                                shapes.astype(places.detach(), dtypes.int64), weights.detach(),
                                dim=0)


# --- histograms -------------------------------------------------------------------------------


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of equally wide bins.

    Args:
        input: floats.
        bins: how many bins.
        min, max: where the first begins and the last ends, both included; from the smallest
            element to the largest, if they are equal.

    Raises:
        RuntimeError: for no bins, or a range that is empty or not finite.

    Example:
        >>> import wengert as torch
        >>> torch.histc(torch.tensor([1., 2., 1.]), bins=4, min=0, max=3)
        tensor([0., 2., 1., 0.])
    """
    x = need_tensor("histc", input)
    if not x.aval.dtype.is_floating_point:
        raise NotImplementedError(f'"histogram_cpu" not implemented for \'{x.aval.dtype.words}\'')
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if min > max:
        raise RuntimeError("torch.histc: max must be larger than min")
    x = x.detach() if x.requires_grad or x.aval.level is not None else x
    return p.histc(x if x.aval.ndim == 1 else shapes.reshape(x, -1), bins=int(bins), low=min,
                   high=max)


def _range(x: Any, given: Any, d: int) -> tuple[Any, Any]:
    """Where bins begin and end: as given, or from the least number to the greatest; with a margin
    where these are one."""
    if given is None and not x.aval.numel:
        given = 0, 1
    if given is not None:
        low, high = (wrap(np.asarray(end, x.aval.numpy)) for end in given)
    else:
        low, high = (find(x, dims=(0,), keepdim=False)
                     for find in (reductions.amin, reductions.amax))
    first, last = numbers(low), numbers(high)  # those of every example, if there are several
    if not (np.isfinite(first) & np.isfinite(last)).all():
        raise RuntimeError(f"torch.histogramdd: dimension {d}'s range [{np.min(first):g}, "
                           f"{np.max(last):g}] is not finite")
    same = low == high
    return e.where(same, low - 0.5, low), e.where(same, high + 0.5, high)


def histogram(input: Tensor, bins: Any = 100, *, range: Sequence[float] | None = None,
              weight: Tensor | None = None, density: bool = False) -> results.histogram:
    """How many elements fall into each bin, and the edges of the bins: (hist, bin_edges).

    Args:
        input: floats.
        bins: how many, equally wide; or a tensor of their edges, in order.
        range: where the first bin begins and the last ends; from the smallest element to the
            largest by default.
        weight: what each element counts, 1 by default.
        density: whether to divide by the total and each bin's width.

    Example:
        >>> import wengert as torch
        >>> torch.histogram(torch.tensor([1., 2., 1.]), bins=2, range=(0., 4.)).hist
        tensor([2., 1.])
    """
    x = need_tensor("histogram", input)
    points = shapes.reshape(x, (-1, 1))
    if weight is not None and weight.aval.shape != x.aval.shape:
        raise RuntimeError(_unfit_weight(points.aval.shape, (weight.aval.numel,)))
    weight = None if weight is None else shapes.reshape(weight, -1)
    hist, (edges,) = _histogram(points, [bins], range, weight, density, "histogram")
    return results.histogram(hist, edges)


def histogramdd(input: Tensor, bins: Any, *, range: Sequence[float] | None = None,
                weight: Tensor | None = None, density: bool = False) -> results.histogramdd:
    """How many points fall into each box of a grid, and the edges along each dimension.

    Args:
        input: floats; the last dimension has the points' coordinates.
        bins: how many per dimension, or a number for all; or a tensor of edges per dimension.
        range: where the grid begins and ends along each dimension, one after the other.
        weight: what each point counts, 1 by default.
        density: whether to divide by the total and each box's volume.

    Returns:
        (hist, bin_edges), the edges as a tuple of tensors.
    """
    x = need_tensor("histogramdd", input)
    if x.aval.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 "
                           "dimensions")
    size = x.aval.shape[-1]
    bins = list(bins) if isinstance(bins, (tuple, list)) else [bins] * size
    if len(bins) != size:
        if not isinstance(bins[0], Handle):
            raise RuntimeError("histogramdd: The size of bins must be equal to the innermost "
                               "dimension of the input.")
        raise RuntimeError(f"torch.histogramdd: expected {size} sequences of bin edges for a "
                           f"{size}-dimensional histogram but got {len(bins)}")
    if range is not None and len(range) != 2 * size:
        raise RuntimeError(f"torch.histogramdd: for a {size}-dimensional histogram range should "
                           f"have {2 * size} elements, but got {len(range)}")
    if weight is not None and weight.aval.shape != x.aval.shape[:-1]:
        raise RuntimeError(_unfit_weight(x.aval.shape, weight.aval.shape))
    weight = None if weight is None else shapes.reshape(weight, -1)
    hist, edges = _histogram(shapes.reshape(x, (-1, size)), bins, range, weight, density,
                             "histogramdd")
    return results.histogramdd(hist, tuple(edges))


def _unfit_weight(shape: Sequence[int], weight: Sequence[int]) -> str:
    return ("torch.histogramdd: if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension, but got input with shape "
            f"{list(shape)} and weight with shape {list(weight)}")


def _histogram(x: Any, bins: Sequence[Any], span: Any, weight: Any, density: bool,
               name: str) -> tuple[Any, list[Any]]:
    """The counts of points, a row each, and the edges along each dimension."""
    kind = x.aval.dtype
    if not kind.is_floating_point:
        raise NotImplementedError(f'"histogramdd" not implemented for \'{kind.words}\'')
    x = x.detach()
    columns = [layout.index_view(x, index=(layout.WHOLE, d)) for d in range(len(bins))]
    edges = [_edges(name, column, b, None if span is None else span[2 * d:2 * d + 2], d)
             for d, (column, b) in enumerate(zip(columns, bins, strict=True))]
    shape = tuple(edge.aval.shape[0] - 1 for edge in edges)
    inside: Any = np.ones((), np.bool_)
    place: Any = np.zeros((), np.int64)
    for column, edge, n, given in zip(columns, edges, shape, bins, strict=True):
        own, within = _bin(column, edge, n, isinstance(given, Handle))
        place, inside = place * n + own, inside & within
    counted = layout.cast(inside, dtype=kind)
    hist = _summed_up(place, counted if weight is None else counted * weight, math.prod(shape))
    hist = shapes.reshape(hist, shape)
    return (_density(hist, edges) if density else hist), edges


def _bin(x: Any, edges: Any, n: int, given: bool) -> tuple[Any, Any]:
    """The bin that each number falls into, and whether it falls into one: the last ends with its
    edge included. In bins equally wide it is worked out, and corrected by what edges are next."""
    low, high = edges[0], edges[n]
    inside = (x >= low) & (x <= high)
    if given:
        place = searchsorted(edges, x, right=True) - 1
    else:
        x = e.where(inside, x, low)
        place = shapes.astype((x - low) * (n / (high - low)), dtypes.int64)
        place = e.clamp(place, low=0, high=n - 1)
        place = e.where(x >= edges[place + 1], place + 1,
                        e.where(x < edges[place], place - 1, place))
    return e.clamp(place, low=0, high=max(n - 1, 0)), inside


def _edges(name: str, x: Any, bins: Any, span: Any, d: int) -> Any:
    if isinstance(bins, Handle):
        return _given_edges(x, bins, d)
    if bins <= 0:
        raise RuntimeError(f"torch.{name}(): bins must be > 0, but got {bins} for dimension {d}")
    if span is not None and span[0] > span[1]:
        raise RuntimeError(f"torch.histogramdd: min should not exceed max, but got min {span[0]} "
                           f"max {span[1]} for dimension {d}")
    low, high = _range(x, span, d)
    bins = int(bins)  # NumPy's would be promoted with
    steps = np.arange(bins + 1, dtype=x.aval.numpy)
    from_low, from_high = low + steps * ((high - low) / bins), high - (bins - steps) * (
        (high - low) / bins)
    return e.where(steps < (bins + 1) // 2, from_low, from_high)  # as linspace has it


def _given_edges(x: Any, edges: Any, d: int) -> Any:
    if edges.aval.ndim != 1:
        raise RuntimeError("torch.histogramdd: bins tensor should have one dimension, but got "
                           f"{edges.aval.ndim} dimensions in the bins tensor for dimension {d}")
    if edges.aval.dtype is not x.aval.dtype:
        raise RuntimeError(
            "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got "
            f"input with dtype {x.aval.dtype.words.lower()} and bins for dimension {d} with dtype "
            f"{edges.aval.dtype.words.lower()}")
    return layout.clone(edges.detach())


def _density(hist: Any, edges: Sequence[Any]) -> Any:
    hist = hist / hist.sum()
    for d, edge in enumerate(edges):
        widths = edge[1:] - edge[:-1]
        hist = hist / shapes.reshape(widths, (-1,) + (1,) * (len(edges) - 1 - d))
    return hist
