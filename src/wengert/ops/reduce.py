"""Reductions and scans, in PyTorch's words."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import dtypes
from ..core.handle import Handle
from ..core.primitive import Primitive
from ..primitives import indexing, layout, reductions, reductions as p
from . import pointwise, shapes
from .arguments import also, need_tensor, numpy_words, wrapped_dim, wrapped_dims

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "cumsum", "log_softmax",
    "logsumexp", "max", "mean", "min", "norm", "prod", "softmax", "sort", "std", "sum", "var",
]

Dim = int | Sequence[int] | None


def _summed(name: str, x: Any, dtype: Any) -> Any:
    """An operand to sum up: integers and bools are summed as int64, unless told otherwise."""
    need_tensor(name, x)
    if dtype is not None:
        return shapes.astype(x, dtypes.of(dtype))
    return x if x.aval.dtype.differentiable else shapes.astype(x, dtypes.int64)


@numpy_words
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of all elements, or along dimensions.

    Args:
        input: a tensor.
        dim: a dimension, several, or None for all.
        keepdim: keep reduced dimensions with size 1.
        dtype: what to convert to first; integers are summed as int64.

    Example:
        >>> import wengert as torch
        >>> torch.ones(2, 3).sum(1)
        tensor([3., 3.])
    """
    x = _summed("sum", input, dtype)
    if dim is None:
        return p.sum_(x, dims=wrapped_dims(None, x.aval.ndim), keepdim=bool(keepdim))
    return p.sum_dims(x, dims=wrapped_dims(dim, x.aval.ndim), keepdim=bool(keepdim))


@numpy_words
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of all elements, or along dimensions; arguments as for `sum`.

    Raises:
        RuntimeError: for integers, unless a floating dtype is named.
    """
    x = need_tensor("mean", input) if dtype is None else shapes.astype(input, dtypes.of(dtype))
    if not x.aval.dtype.differentiable:
        raise RuntimeError("mean(): could not infer output dtype. Input dtype must be either a "
                           f"floating point or complex dtype. Got: {x.aval.dtype.words}")
    if dim is None:
        return p.mean(x, dims=wrapped_dims(None, x.aval.ndim), keepdim=bool(keepdim))
    return p.mean_dims(x, dims=wrapped_dims(dim, x.aval.ndim), keepdim=bool(keepdim))


_prod_all = p.prod_dim.named("ProdBackward0")


@numpy_words
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
         dtype: Any = None) -> Tensor:
    """The product of all elements, or along one dimension; arguments as for `sum`."""
    x = _summed("prod", input, dtype)
    if dim is None:
        return _prod_all(shapes.reshape(x, -1), dims=(0,), keepdim=False)
    d = wrapped_dim(dim, x.aval.ndim)
    return p.prod_dim(x, dims=(d,), keepdim=bool(keepdim)) if x.aval.ndim else x


# --- extremes ---------------------------------------------------------------------------------


class _Pair(NamedTuple):
    values: Any
    indices: Any

    def __repr__(self) -> str:
        return (f"torch.return_types.{type(self).__name__}(\nvalues={self.values!r},\n"
                f"indices={self.indices!r})")


def _pair(name: str) -> Any:
    """The class of results with `.values` and `.indices`, called as PyTorch calls it."""
    return type(name, (_Pair,), {"__slots__": (), "__module__": "torch.return_types"})


MaxResult, MinResult, SortResult = _pair("max"), _pair("min"), _pair("sort")


def _nonempty(name: str, x: Any) -> Any:
    if not need_tensor(name, x).aval.numel:
        raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() "
                           "== 0. Specify the reduction dim with the 'dim' argument.")
    return x


def _along(name: str, x: Any, dim: Any, *, as_given: bool = False) -> int:
    d = wrapped_dim(dim, x.aval.ndim)
    if x.aval.ndim and not x.aval.shape[d]:
        raise IndexError(f"{name}(): Expected reduction dim {dim if as_given else d} to have "
                         "non-zero size.")
    return d


def _best(name: str, x: Any, dim: Any, keepdim: bool, find: Primitive, pick: Primitive,
          pair: Any) -> Any:
    d = _along(name, need_tensor(name, x), dim)
    if not x.aval.ndim:
        x, keepdim = layout.reshape(x, shape=(1,)), False
    where = find(x, dims=(d,), keepdim=True)
    values = pick(x, where, dim=d, keepdim=bool(keepdim))
    shape = values.aval.shape
    return pair(values, where if keepdim else layout.reshape(where.detach(), shape=shape))


@also(axis="dim", keepdims="keepdim", other="dim")
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; along a dimension, (values, indices); of two tensors, `maximum`.

    Elements that tie share the gradient evenly; along a dimension the first takes it all.

    Example:
        >>> import wengert as torch
        >>> torch.max(torch.tensor([[1., 3.], [2., 0.]]), 1).indices
        tensor([1, 0])
    """
    if dim is None:
        x = _nonempty("max", input)
        return p.max_all(x, dims=wrapped_dims(None, x.aval.ndim), keepdim=False)
    if isinstance(dim, Handle):
        return pointwise.maximum(input, dim)
    return _best("max", input, dim, keepdim, p.argmax, indexing.pick_max, MaxResult)


@also(axis="dim", keepdims="keepdim", other="dim")
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; as `max`."""
    if dim is None:
        x = _nonempty("min", input)
        return p.min_all(x, dims=wrapped_dims(None, x.aval.ndim), keepdim=False)
    if isinstance(dim, Handle):
        return pointwise.minimum(input, dim)
    return _best("min", input, dim, keepdim, p.argmin, indexing.pick_min, MinResult)


@numpy_words
def amax(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The largest elements along dimensions (all by default); ties share the gradient."""
    dims = wrapped_dims(dim, need_tensor("amax", input).aval.ndim)
    if dim == ():
        _nonempty("amax", input)
    for d in dims if isinstance(dim, (tuple, list)) else (dim,):
        _along("amax", input, d, as_given=True)
    return p.amax(input, dims=dims, keepdim=bool(keepdim))


@numpy_words
def amin(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The smallest elements along dimensions (all by default); ties share the gradient."""
    dims = wrapped_dims(dim, need_tensor("amin", input).aval.ndim)
    if dim == ():
        _nonempty("amin", input)
    for d in dims if isinstance(dim, (tuple, list)) else (dim,):
        _along("amin", input, d, as_given=True)
    return p.amin(input, dims=dims, keepdim=bool(keepdim))


def _place(name: str, find: Primitive, x: Any, dim: Any, keepdim: bool) -> Any:
    if need_tensor(name, x).aval.is_complex or x.aval.dtype is dtypes.bool_:
        kind = "complex" if x.aval.is_complex else "bool"
        raise RuntimeError(f"{name}(): does not support {kind} input")
    if dim is None:
        if not x.aval.numel:
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() "
                             "== 0.")
        flat = shapes.reshape(x, -1)
        found = find(flat, dims=(0,), keepdim=False)
        return shapes.reshape(found, (1,) * x.aval.ndim) if keepdim else found
    d = _along(name, x, dim)
    if not x.aval.ndim:
        return find(shapes.reshape(x, 1), dims=(0,), keepdim=False)
    return find(x, dims=(d,), keepdim=bool(keepdim))


@numpy_words
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is (the first, if several tie), as int64.

    Example:
        >>> import wengert as torch
        >>> torch.argmax(torch.tensor([1., 5., 2.]))
        tensor(1)
    """
    return _place("argmax", p.argmax, input, dim, keepdim)


@numpy_words
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is (the first, if several tie), as int64."""
    return _place("argmin", p.argmin, input, dim, keepdim)


def _truth(x: Any, answer: Any) -> Any:
    """The answer to `all` and `any`: a bool, but for uint8, which stood for bools once."""
    return shapes.astype(answer, dtypes.uint8) if x.aval.dtype is dtypes.uint8 else answer


@numpy_words
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether all elements are non-zero; arguments as for `sum`."""
    if isinstance(dim, (tuple, list)) and not dim:
        return _truth(input, shapes.astype(need_tensor("all", input), dtypes.bool_, copy=True))
    dims = wrapped_dims(dim, need_tensor("all", input).aval.ndim)
    return _truth(input, p.all_(input, dims=dims, keepdim=bool(keepdim)))


@numpy_words
def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether any element is non-zero; arguments as for `sum`."""
    if isinstance(dim, (tuple, list)) and not dim:
        return _truth(input, shapes.astype(need_tensor("any", input), dtypes.bool_, copy=True))
    dims = wrapped_dims(dim, need_tensor("any", input).aval.ndim)
    return _truth(input, p.any_(input, dims=dims, keepdim=bool(keepdim)))


@numpy_words
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Elements in order along a dimension, and where each was: (values, indices)."""
    where = argsort(input, dim, descending, stable=True)
    if not input.aval.ndim:
        return SortResult(layout.clone(input), where)
    d = wrapped_dim(dim, input.aval.ndim)
    return SortResult(indexing.sort_values(input, where, dim=d), where)


@numpy_words
def argsort(input: Tensor, dim: int = -1, descending: bool = False,
            stable: bool = False) -> Tensor:
    """The indices that sort along a dimension; equal elements stay in order."""
    d = wrapped_dim(dim, need_tensor("argsort", input).aval.ndim)
    if not input.aval.ndim:
        return p.argmax(layout.reshape(input, shape=(1,)), dims=(0,), keepdim=False)
    return indexing.argsort(input, dim=d, descending=bool(descending), stable=True)


# --- spread and norms -------------------------------------------------------------------------


def _correction(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, float]:
    """The dimensions and Bessel's correction from PyTorch's two ways of giving them."""
    if isinstance(dim, bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return dim, correction


@numpy_words
def var(input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None) -> Tensor:
    """The variance: mean squared distance from the mean, over n - correction (1 by default).

    Raises:
        RuntimeError: for integers.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([1., 2., 3.]).var()
        tensor(1.)
    """
    dim, by = _correction(dim, unbiased, correction)
    x = _floating("var", input)
    dims = wrapped_dims(dim, x.aval.ndim)
    _check_freedom("var", x, dims, by)
    return p.var(x, dims=dims, keepdim=bool(keepdim), correction=by)


@numpy_words
def std(input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None) -> Tensor:
    """The standard deviation: the square root of `var`, with its arguments."""
    dim, by = _correction(dim, unbiased, correction)
    x = _floating("std", input)
    dims = wrapped_dims(dim, x.aval.ndim)
    _check_freedom("std", x, dims, by)
    return p.std(x, dims=dims, keepdim=bool(keepdim), correction=by)


def _check_freedom(name: str, x: Any, dims: Sequence[int], correction: float) -> None:
    """Warns where nothing is left to divide by."""
    kept = math.prod(n for d, n in enumerate(x.aval.shape) if d not in dims)
    if x.aval.numel <= correction * (kept or 1):
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).", UserWarning, stacklevel=3)


def _floating(name: str, x: Any) -> Any:
    if not need_tensor(name, x).aval.dtype.differentiable:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    return x


def norm(input: Tensor, p: Any = 2, dim: Dim = None, keepdim: bool = False, *,
         dtype: Any = None) -> Tensor:
    """The p-norm of all elements, or along dimensions: (sum |x|**p) ** (1/p).

    Args:
        input: a floating-point or complex tensor.
        p: the order: a number, inf, -inf, or "fro" (2).
        dim: a dimension, several, or None for all.
        keepdim: keep reduced dimensions with size 1.
        dtype: what to convert to first.

    Raises:
        RuntimeError: for integers.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([3., 4.]).norm()
        tensor(5.)
    """
    x = need_tensor("norm", input) if dtype is None else shapes.astype(input, dtypes.of(dtype))
    if not x.aval.dtype.differentiable:
        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as "
                           f"input. Got {x.aval.dtype.words}")
    order = 2.0 if p in ("fro", None) else float(p)
    dims = wrapped_dims(dim, x.aval.ndim)
    if math.isinf(order) and not x.aval.numel:
        raise RuntimeError(f"linalg.vector_norm cannot compute the {order} norm on an empty tensor "
                           "because the operation does not have an identity")
    return reductions.norm(x, p=order, dims=dims, keepdim=bool(keepdim))


# --- log-sum-exp and its kin ------------------------------------------------------------------


@numpy_words
def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along dimensions, without overflow.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([1000., 1000.]).logsumexp(0)
        tensor(1000.6932)
    """
    x = _as_float(need_tensor("logsumexp", input))
    return p.logsumexp(x, dims=wrapped_dims(dim, x.aval.ndim), keepdim=bool(keepdim))


def _as_float(x: Any) -> Any:
    return x if x.aval.dtype.differentiable else shapes.astype(x, dtypes.get_default_dtype())


def _weights(name: str, apply: Primitive, x: Any, dim: Any, dtype: Any) -> Any:
    x = need_tensor(name, x) if dtype is None else shapes.astype(x, dtypes.of(dtype))
    d = wrapped_dim(dim, x.aval.ndim)
    if not x.aval.dtype.is_floating_point:
        last = "_lastdim" if d == x.aval.ndim - 1 else ""
        raise NotImplementedError(f'"{name}{last}_kernel_impl" not implemented for '
                                  f"'{x.aval.dtype.words}'")
    return apply(x, dim=d)


@numpy_words
def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along a dimension, without overflow.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(4).softmax(0)
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return _weights("softmax", p.softmax, input, dim, dtype)


@numpy_words
def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """log(softmax(x)), computed as x - logsumexp(x)."""
    return _weights("log_softmax", p.log_softmax, input, dim, dtype)


@numpy_words
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sums of all elements up to each one, along a dimension.

    Example:
        >>> import wengert as torch
        >>> torch.arange(4).cumsum(0)
        tensor([0, 1, 3, 6])
    """
    x = _summed("cumsum", input, dtype)
    return p.cumsum(x, dim=wrapped_dim(dim, x.aval.ndim))
