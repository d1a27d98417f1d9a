"""Rows of a matrix, picked by indices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.formats import dense
from ...core.handle import wrap
from ...core.levels import concrete, numbers, shared
from ...ops import choices, ranges, sorting
from ...ops.arguments import LOOKS, also, need_tensor
from ...primitives import indexing

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["embedding", "embedding_bag", "one_hot"]


@also(input="tensor")
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place that each index says, 0 elsewhere, along a new last dimension.

    Args:
        tensor: of int64.
        num_classes: the size of that dimension; -1 for one more than the largest index.

    Raises:
        RuntimeError: if an index is out of range.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    if need_tensor("one_hot", tensor).aval.dtype is not dtypes.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if not tensor.aval.numel and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    values = numbers(tensor)
    if values.size and values.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    count = num_classes if num_classes != -1 else int(tensor.max()) + 1
    if values.size and values.max() >= count:
        raise RuntimeError("Class values must be smaller than num_classes.")
    if tensor.aval.level is None and not shared.special:
        return wrap((values[..., None] == np.arange(count)).astype(np.int64, "C"))
    classes = ranges.arange(count)
    labels = indexing.index(classes, _forwards(tensor, count), pattern=(0,))  # checked once more
    return (labels.unsqueeze(-1) == classes).long()


def _forwards(rows: Any, count: int) -> Any:
    """Indices below `count` that native code checks as they were checked here: to it, -1 is the
    last row."""
    return choices.where(rows < 0, count, rows) if shared.special else rows


_embedding = indexing.index.named("EmbeddingBackward0", order=dense)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None,
              max_norm: float | None = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
    """The rows of a matrix that indices point at.

    Args:
        input: indices, of int64 or int32.
        weight: a matrix.
        padding_idx: a row that gets no gradient.
        max_norm: rows that are longer are first shortened to this norm, in the matrix itself.
        norm_type: which norm.
        scale_grad_by_freq: whether a row's gradient is divided by how often it was picked.
        sparse: makes no difference; gradients are dense.

    Raises:
        IndexError: if an index is out of range.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.embedding(torch.tensor([1, 1]), torch.eye(2))
        tensor([[0., 1.],
                [0., 1.]])
    """
    need_tensor("embedding", input, "indices", 2)
    _check_rows(input, need_tensor("embedding", weight, "weight", 1))
    count = weight.aval.shape[0]
    if max_norm is not None:
        _shorten(weight, concrete(input, LOOKS).reshape(-1), max_norm, norm_type)
    found: Any = _embedding(weight, _forwards(input, count), pattern=(0,))
    if scale_grad_by_freq and weight.aval.dtype.differentiable:
        found = _by_frequency(found, input, count)
    if padding_idx is None:
        return found
    assert -count <= padding_idx < count, "Padding_idx must be within num_embeddings"
    padding = (input.contiguous() == padding_idx % count).unsqueeze(-1)
    return choices.where(padding, found.detach(), found)


def _check_rows(rows: Any, weight: Any) -> None:
    if rows.aval.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{rows.aval.dtype.words}Tensor instead (while checking "
            "arguments for embedding)")
    if weight.aval.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    values = numbers(rows)
    unsigned = values.view(f"u{values.itemsize}")  # in which numbers below 0 are large
    if values.size and np.maximum.reduce(unsigned, None) >= weight.aval.shape[0]:
        raise IndexError("index out of range in self")


# --- bags -------------------------------------------------------------------------------------


def embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor | None = None,
                  max_norm: float | None = None, norm_type: float = 2,
                  scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Tensor:
    """The sums (or means, or largest) of the rows of a matrix, bag by bag.

    Args:
        input: indices: a bag in each row; or all bags one after the other.
        weight: a matrix.
        offsets: where each bag begins, if they are one after the other.
        max_norm: rows that are longer are first shortened to this norm, in the matrix itself.
        norm_type: which norm.
        scale_grad_by_freq: whether a row's gradient is divided by how often it was picked.
        mode: "mean", "sum" or "max".
        sparse: refused; gradients are dense.
        per_sample_weights: what to multiply each row by, of the shape of `input`; for "sum".
        include_last_offset: whether `offsets` has the end of the last bag as well.
        padding_idx: an index that counts for nothing.

    Raises:
        ValueError: if the offsets do not fit the shape, or for another mode.
        RuntimeError: if an index is out of range.
    """
    need_tensor("embedding_bag", weight, "weight", 1)
    _check_bag(need_tensor("embedding_bag", input), offsets, mode, per_sample_weights)
    indices, bag, bags = _bags(input, offsets, include_last_offset)
    count = weight.aval.shape[0]
    _check_places(numbers(indices), count)
    if max_norm is not None:
        _shorten(weight, concrete(indices, LOOKS), max_norm, norm_type)
    rows: Any = _bag(weight, _forwards(indices, count), pattern=(0,))
    if scale_grad_by_freq and weight.aval.dtype.differentiable:
        rows = _by_frequency(rows, indices, count)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    kept = None if padding_idx is None else (indices != padding_idx % count).unsqueeze(1)
    return _gathered(rows, kept, bag, bags, mode)


def _check_bag(input: Any, offsets: Any, mode: str, weights: Any) -> None:
    if input.aval.ndim == 2 and offsets is not None:
        raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a "
                         "mini-batch of fixed length sequences. However, found offsets of type "
                         f"{type(offsets)}")
    if input.aval.ndim not in (1, 2):
        raise ValueError("input has to be 1D or 2D Tensor, but got Tensor of dimension "
                         f"{input.aval.ndim}")
    if input.aval.ndim == 1 and (offsets is None or offsets.aval.ndim != 1):
        got = "None" if offsets is None else f"dimension {offsets.aval.ndim}"
        raise ValueError(f"offsets has to be a 1D Tensor but got {got}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if input.aval.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{input.aval.dtype.words}Tensor instead (while checking "
            "arguments for embedding_bag)")
    if weights is None:
        return
    if mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub.")
    if weights.aval.shape != input.aval.shape:
        raise ValueError(f"embedding_bag: If per_sample_weights ({tuple(weights.aval.shape)}) is "
                         "not None, then it must have the same shape as the input "
                         f"({tuple(input.aval.shape)})")


def _bags(input: Any, offsets: Any, ends: bool) -> tuple[Any, Any, int]:
    """All indices, which bag each is in, and how many bags there are."""
    indices = input.reshape(-1)
    places = np.arange(indices.aval.numel)
    if offsets is None:
        rows, width = input.aval.shape
        return indices, wrap(places // max(width, 1)), rows
    values = numbers(offsets)
    if values.size and (first := values[..., 0]).any():
        raise RuntimeError("offsets[0] has to be 0, i.e., the first sequence in the mini-batch has "
                           f"to start from position 0. However, got {first.max()}")
    if values.size and (last := values[..., -1].max()) > places.size:
        raise RuntimeError("offsets[-1] can not be greater than input's length "
                           f"{places.size} but got offsets[-1] of {last}")
    starts = offsets[:-1] if ends else offsets
    return indices, sorting.searchsorted(starts, wrap(places), right=True) - 1, starts.size(0)


def _check_places(indices: np.ndarray, count: int) -> None:
    wrong = np.flatnonzero((indices < 0) | (indices >= count))
    if wrong.size:
        raise RuntimeError(f"Index {wrong[0]} of input takes value {indices[wrong[0]]} which is "
                           f"not in the valid range [0, {count})")


def _shorten(weight: Any, indices: np.ndarray, most: float, norm: float) -> None:
    """Makes the rows that are picked no longer than `most`, in place."""
    rows = np.unique(indices)
    matrix = weight.detach()
    lengths = matrix[rows].norm(norm, 1, keepdim=True)
    matrix[rows] *= choices.where(lengths > most, most / (lengths + 1e-7), 1)


def _by_frequency(rows: Any, indices: Any, count: int) -> Any:
    """Rows whose cotangent counts by how seldom they were picked."""
    ones = rows.new_ones(indices.aval.numel)
    often = rows.new_zeros(count).index_add(0, indices.reshape(-1), ones)[indices].unsqueeze(-1)
    share = 1 / often
    return rows * share + (rows * (1 - share)).detach()


def _gathered(rows: Any, kept: Any, bag: Any, bags: int, mode: str) -> Any:
    """Rows gathered bag by bag; zeros for an empty bag."""
    kind = rows.aval.dtype
    rows = rows.float() if kind.itemsize < 4 else rows  # half precision adds up in float32
    out = rows.new_zeros(bags, rows.size(1))
    if mode == "max":
        least = rows if kept is None else choices.where(kept, rows, -math.inf)
        most = out.index_reduce(0, bag, least, "amax", include_self=False)
        return (most if kept is None else choices.where(most == -math.inf, 0, most)).to(kind)
    if kept is not None:
        rows = choices.where(kept, rows, 0)
    total = out.index_add(0, bag, rows)
    if mode == "mean":
        ones = rows.new_ones(rows.size(0), 1) if kept is None else kept.to(rows.aval.dtype)
        counts = rows.new_zeros(bags, 1).index_add(0, bag, ones)
        total = total / choices.clamp(counts, min=1)
    return total.to(kind)


_bag = indexing.index.named("EmbeddingBagBackward0")
