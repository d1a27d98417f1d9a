"""Order: sorting, ranks, and places in sorted sequences, in PyTorch's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import dtypes
from ..core.handle import Handle, wrap
from ..core.levels import numbers
from ..primitives import layout, sorting as p
from ..primitives.indexing import gather
from . import operators, results, shapes
from .arguments import need_tensor, numpy_words, whole, wrapped_dim
from .reduce import along, lined, picked

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["argsort", "bucketize", "kthvalue", "msort", "searchsorted", "sort", "topk"]


@numpy_words
def argsort(input: Tensor, dim: int = -1, descending: bool = False,
            stable: bool = False) -> Tensor:
    """The indices that sort along a dimension; equal elements stay in order, NaN comes last.

    Example:
        >>> import wengert as torch
        >>> torch.argsort(torch.tensor([2., 3., 1.]))
        tensor([2, 0, 1])
    """
    d = wrapped_dim(dim, need_tensor("argsort", input).aval.ndim)
    where = p.argsort(lined(input), dim=d, descending=bool(descending), stable=True)
    return where if input.aval.ndim else layout.reshape(where, shape=())


@numpy_words
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
         ) -> results.sort:
    """Elements in order along a dimension, and where each was: (values, indices)."""
    where = argsort(input, dim, descending)
    if not input.aval.ndim:
        return results.sort(layout.clone(input), where)
    d = wrapped_dim(dim, input.aval.ndim)
    return results.sort(p.sort_values(input, where, dim=d), where)


def msort(input: Tensor) -> Tensor:
    """Elements in order along the first dimension."""
    return sort(input, 0).values


@numpy_words
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
         ) -> results.topk:
    """The k largest (or smallest) elements along a dimension, in order, and where they are.

    Args:
        input: a tensor.
        k: how many.
        dim: the dimension.
        largest: whether to find the largest, or the smallest.
        sorted: whether they have to be in order; they always are.

    Raises:
        RuntimeError: if there are not so many.

    Example:
        >>> import wengert as torch
        >>> torch.topk(torch.tensor([1., 4., 2.]), 2).values
        tensor([4., 2.])
    """
    d = wrapped_dim(dim, need_tensor("topk", input).aval.ndim)
    x, count = lined(input), whole("topk", "k", k, 2)
    if not 0 <= count <= x.aval.shape[d]:
        raise RuntimeError("selected index k out of range")
    if not input.aval.ndim:
        return results.topk(*(layout.reshape(part, shape=()) for part in topk(x, 1)))
    where = p.top_places(x, dim=d, k=count, largest=bool(largest))
    return results.topk(p.top_values(x, where, dim=d), where)


@numpy_words
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> results.kthvalue:
    """The k-th smallest element along a dimension (from 1), and where it is found first.

    Raises:
        RuntimeError: if there is none.

    Example:
        >>> import wengert as torch
        >>> torch.kthvalue(torch.tensor([3., 1., 2.]), 2).values
        tensor(2.)
    """
    d = along("kthvalue()", need_tensor("kthvalue", input), dim)
    rank = whole("kthvalue", "k", k, 2)
    if not 1 <= rank <= (input.aval.shape[d] if input.aval.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}")
    return picked(p.kth_place, p.pick_kth, results.kthvalue, input, d, keepdim, k=rank)


# --- places in sorted sequences ---------------------------------------------------------------


def searchsorted(sorted_sequence: Tensor, input: Any, *, out_int32: bool = False,
                 right: bool = False, side: str | None = None,
                 sorter: Tensor | None = None) -> Tensor:
    """Where values would go into a sorted sequence, so that it stays sorted.

    Args:
        sorted_sequence: in order along its last dimension.
        input: the values: a number, or a tensor; where the sequence has several dimensions, of
            equal sizes in all but the last.
        out_int32: whether the result is int32, not int64.
        right: whether a value goes after those that it equals, not before them.
        side: "left" or "right", for the same.
        sorter: the indices that put the sequence in order, if it is not.

    Raises:
        RuntimeError: for shapes that do not fit, or contradicting arguments.

    Example:
        >>> import wengert as torch
        >>> torch.searchsorted(torch.tensor([1., 3., 5.]), torch.tensor([3., 6.]))
        tensor([1, 3])
    """
    x = need_tensor("searchsorted", sorted_sequence, "sorted_sequence")
    _check_sides(side, right)
    y: Any = input if isinstance(input, Handle) else wrap(
        operators.number_array(input, dtypes.of_number(input)))
    _check_shapes(x.aval.shape, y)
    if sorter is not None:
        x = gather(x, _sorter(x, sorter), dim=x.aval.ndim - 1)
    if x.aval.dtype is not y.aval.dtype:
        kind = dtypes.promote(x.aval.dtype, y.aval.dtype)
        x, y = (shapes.astype(v, kind) for v in (x, y))
    found = p.searchsorted(x, y, right=bool(right) or side == "right")
    return shapes.astype(found, dtypes.int32) if out_int32 else found


def _check_sides(side: Any, right: bool) -> None:
    if side not in (None, "left", "right"):
        raise RuntimeError("torch.searchsorted(): side can only be 'left' or 'right' but got "
                           f"{side}")
    if right and side == "left":
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites, got "
                           "side of left while right was True")


def _check_shapes(shape: Any, y: Any) -> None:
    if not shape:
        raise RuntimeError("torch.searchsorted(): boundaries tensor should have positive "
                           "dimension, but got 0 dimension")
    if not y.aval.ndim and len(shape) != 1:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
            f"dimension is 1, but we got boundaries tensor dim({len(shape)}) and input value's "
            f"dim(0) numel({y.aval.numel})")
    if len(shape) != 1 and shape[:-1] != y.aval.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(shape)} and input value tensor {list(y.aval.shape)}")


def _sorter(x: Any, sorter: Any) -> Any:
    if sorter.aval.shape != x.aval.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary "
            f"tensor {list(x.aval.shape)}and got sorter tensor {list(sorter.aval.shape)}")
    if sorter.aval.dtype is not dtypes.int64:
        raise RuntimeError("torch.searchsorted(): sorter must be a tensor of long dtype but got "
                           f"dtype {sorter.aval.dtype.words}")
    given = numbers(sorter)
    if given.size and not (given.min() >= 0 and given.max() < x.aval.shape[-1]):
        raise RuntimeError("torch.searchsorted(): sorter index out of range")
    return sorter


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False,
              right: bool = False) -> Tensor:
    """Between which boundaries (in order) each value lies; arguments as for `searchsorted`.

    Example:
        >>> import wengert as torch
        >>> torch.bucketize(torch.tensor([0.5, 2.5]), torch.tensor([1., 2.]))
        tensor([0, 2])
    """
    if need_tensor("bucketize", boundaries, "boundaries", 2).aval.ndim != 1:
        raise RuntimeError("boundaries tensor must be 1 dimension, but got "
                           f"dim({boundaries.aval.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
