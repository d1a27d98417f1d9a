"""Layers: what has weights, and what makes up for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.levels import numbers
from ...interpreters.inplace import check_kind
from ...ops import choices, creation, inplace as in_place, products, random
from ...ops.arguments import need_tensor
from ...primitives import indexing, network

if TYPE_CHECKING:
    from ..._tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias.

    Args:
        input: of shape (..., n).
        weight: of shape (m, n), or (n,).
        bias: of shape (m,), or ().

    Raises:
        RuntimeError: if the shapes do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.linear(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1))
        tensor([[4.],
                [4.]])
    """
    for i, (name, x) in enumerate((("input", input), ("weight", weight)), 1):
        need_tensor("linear", x, name, i)
    if bias is not None and input.aval.ndim == 2 == weight.aval.ndim:
        return products.addmm(bias, input, weight.t())
    found = products.matmul(input, weight.t())
    return found if bias is None else found + bias


def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """The input with mean 0 and variance 1 in its last dimensions, then scaled and shifted.

    Args:
        input: a floating-point tensor.
        normalized_shape: the sizes of these dimensions.
        weight: what to multiply by, of that shape; None for 1.
        bias: what to add, of that shape; None for 0.
        eps: added to the variance.

    Raises:
        RuntimeError: if the shapes do not fit.
        NotImplementedError: for a tensor of another kind.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.layer_norm(torch.tensor([[1., 2., 3.]]), (3,))
        tensor([[-1.2247,  0.0000,  1.2247]])
    """
    shape = _normalized(need_tensor("layer_norm", input), normalized_shape)
    kind = input.aval.dtype
    for name, x in (("weight", weight), ("bias", bias)):
        _check_parameter(name, x, shape, input)
    if kind is dtypes.float16:  # worked out in float32
        weight, bias = (None if x is None else x.float() for x in (weight, bias))
        return layer_norm(input.float(), shape, weight, bias, eps).half()
    return network.layer_norm(
        input, _constant(1, shape, kind) if weight is None else weight,
        _constant(0, shape, kind) if bias is None else bias, eps=float(eps))


def _normalized(x: Any, given: Any) -> tuple[int, ...]:
    """The shape to be normalised, checked."""
    words = "layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, "
    if not isinstance(given, (tuple, list)):
        raise TypeError(f"{words}not {type(given).__name__}")
    for i, n in enumerate(given):
        if not hasattr(n, "__index__"):
            raise TypeError(f"{words}but found element of type {type(n).__name__} at pos {i}")
    shape = tuple(int(n) for n in given)
    if not shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., "
                           "containing at least one element, but got normalized_shape = []")
    if tuple(x.aval.shape[-len(shape):]) != shape:
        sizes = ", ".join(map(str, shape))
        raise RuntimeError(f"Given normalized_shape=[{sizes}], expected input with shape [*, "
                           f"{sizes}], but got input of size{list(x.aval.shape)}")
    return shape


def _check_parameter(name: str, x: Any, shape: tuple[int, ...], input: Any) -> None:
    if x is None:
        return
    if tuple(x.aval.shape) != shape:
        raise RuntimeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
            f"{list(x.aval.shape)} and normalized_shape = {list(shape)}")
    kind = input.aval.dtype
    if x.aval.dtype is not kind and (kind, x.aval.dtype) != (dtypes.float16, dtypes.float32):
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")


def _constant(number: float, shape: tuple[int, ...], kind: dtypes.dtype) -> np.ndarray:
    """A number, as often as the shape says, in the memory of one."""
    return np.broadcast_to(np.asarray(number, kind.numpy), shape)


def dropout(input: Tensor, p: float = 0.5, training: bool = True,
            inplace: bool = False) -> Tensor:
    """The input with random elements set to 0, and the others divided by 1 - p.

    Args:
        input: a floating-point tensor.
        p: the probability of being dropped.
        training: whether anything is done at all.
        inplace: whether the result is written to the input itself.

    Raises:
        ValueError: if p is no probability.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.dropout(torch.ones(3), training=False)
        tensor([1., 1., 1.])
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0 or not need_tensor("dropout", input).aval.numel:
        return need_tensor("dropout", input)
    check_kind(input.aval, input.aval.with_dtype(dtypes.result_type(
        [(2, input.aval.dtype), (0, dtypes.of_number(p))])))
    kept = random.bernoulli(creation.full_like(input.detach(), 1 - p))
    scale = kept if p == 1 else kept / (1 - p)
    return in_place.mul_(input, scale) if inplace else input * scale


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
    classes = creation.arange(count)
    labels = indexing.index(classes, _forwards(tensor, count), pattern=(0,))  # checked once more
    return (labels.unsqueeze(-1) == classes).long()


def _forwards(rows: Any, count: int) -> Any:
    """Indices below `count` that native code checks as they were checked here: to it, -1 is the
    last row."""
    return choices.where(rows < 0, count, rows)


_embedding = indexing.index.named("EmbeddingBackward0")


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of a matrix that indices point at.

    Args:
        input: indices, of int64 or int32.
        weight: a matrix.
        padding_idx: a row that gets no gradient.

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
    found = _embedding(weight, _forwards(input, count), pattern=(0,))
    if padding_idx is None:
        return found
    assert -count <= padding_idx < count, "Padding_idx must be within num_embeddings"
    padding = (input == padding_idx % count).unsqueeze(-1)
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
    if values.size and not (values.min() >= 0 and values.max() < weight.aval.shape[0]):
        raise IndexError("index out of range in self")
