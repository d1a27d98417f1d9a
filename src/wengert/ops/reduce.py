"""Reductions, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from ..core import dtypes
from ..core.handle import Handle
from ..core.primitive import Primitive
from ..primitives import layout, reductions as p, sorting
from . import pointwise, results, shapes
from .arguments import also, need_tensor, numpy_words, wrapped_dim, wrapped_dims

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "log_softmax",
    "logsumexp", "max", "mean", "min", "nanmean", "nansum", "prod", "softmax", "sum",
]

Dim = int | Sequence[int] | None


def summed(name: str, x: Any, dtype: Any) -> Any:
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
    x = summed("sum", input, dtype)
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
        which = "Input" if dtype is None else "Optional"
        raise RuntimeError(f"mean(): could not infer output dtype. {which} dtype must be either a "
                           f"floating point or complex dtype. Got: {x.aval.dtype.words}")
    if dim is None:
        return p.mean(x, dims=wrapped_dims(None, x.aval.ndim), keepdim=bool(keepdim))
    return p.mean_dims(x, dims=wrapped_dims(dim, x.aval.ndim), keepdim=bool(keepdim))


_prod_all = p.prod_dim.named("ProdBackward0")


@numpy_words
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
         dtype: Any = None) -> Tensor:
    """The product of all elements, or along one dimension; arguments as for `sum`."""
    x = summed("prod", input, dtype)
    if dim is None:
        return _prod_all(x if x.aval.ndim == 1 else shapes.reshape(x, -1), dims=(0,), keepdim=False)
    d = wrapped_dim(dim, x.aval.ndim)
    return p.prod_dim(x, dims=(d,), keepdim=bool(keepdim)) if x.aval.ndim else layout.clone(x)


@numpy_words
def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of all elements that are not NaN; arguments as for `sum`.

    Raises:
        RuntimeError: for complex numbers.
    """
    if need_tensor("nansum", input).aval.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    x = summed("nansum", input, dtype)
    apply = p.nansum if x.aval.dtype.is_floating_point else p.sum_
    return apply(x, dims=wrapped_dims(dim, x.aval.ndim), keepdim=bool(keepdim))


@numpy_words
def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False, *,
            dtype: Any = None) -> Tensor:
    """The mean of all elements that are not NaN; arguments as for `sum`.

    Raises:
        RuntimeError: for integers and complex numbers.
    """
    x = need_tensor("nanmean", input)
    if not x.aval.dtype.differentiable:
        raise RuntimeError("nanmean(): expected input to have floating point or complex dtype but "
                           f"got {x.aval.dtype.words}")
    total = nansum(x, dim, keepdim, dtype=dtype)
    counted = p.count_nonzero(x == x, dims=wrapped_dims(dim, x.aval.ndim), keepdim=bool(keepdim))
    return total / counted


@numpy_words
def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements are not zero, as int64: all, or along dimensions.

    Example:
        >>> import wengert as torch
        >>> torch.count_nonzero(torch.tensor([0., 2., 3.]))
        tensor(2)
    """
    dims = wrapped_dims(dim, need_tensor("count_nonzero", input).aval.ndim)
    return p.count_nonzero(input, dims=dims, keepdim=False)


# --- extremes ---------------------------------------------------------------------------------


def _nonempty(name: str, x: Any) -> Any:
    if not need_tensor(name, x).aval.numel:
        raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() "
                           "== 0. Specify the reduction dim with the 'dim' argument.")
    return x


def along(name: str, x: Any, dim: Any, *, as_given: bool = False) -> int:
    """The dimension to reduce, counted from the front.

    Raises:
        IndexError: if there is nothing along it.
    """
    d = wrapped_dim(dim, x.aval.ndim)
    if x.aval.ndim and not x.aval.shape[d]:
        raise IndexError(f"{name}: Expected reduction dim {dim if as_given else d} to have "
                         "non-zero size.")
    return d


def lined(x: Any) -> Any:
    """A 0-d tensor as one with a dimension; any other as it is."""
    return x if x.aval.ndim else layout.reshape(x, shape=(1,))


def picked(find: Primitive, pick: Primitive, pair: Any, x: Any, d: int, keepdim: bool,
           **params: Any) -> Any:
    """The elements at a place along dimension d that `find` finds, and the places."""
    keepdim = bool(keepdim and x.aval.ndim)
    x = lined(x)
    where = find(x, dim=d, keepdim=keepdim, **params)
    return pair(pick(x, where, dim=d), where)


def _best(name: str, x: Any, dim: Any, keepdim: bool, find: Primitive, pick: Primitive,
          pair: Any) -> Any:
    if need_tensor(name, x).aval.is_complex:
        raise RuntimeError(f"{name}(): does not support complex input")
    d = along(f"{name}()", x, dim)
    line, keepdim = lined(x), bool(keepdim and x.aval.ndim)
    where = find(line, dims=(d,), keepdim=keepdim)
    return pair(pick(line, where, dim=d), where)


def _best_of_all(name: str, find: Primitive, x: Any) -> Any:
    if _nonempty(name, x).aval.is_complex:
        raise NotImplementedError(f'"{name}_all" not implemented for \'{x.aval.dtype.words}\'')
    return find(x, dims=wrapped_dims(None, x.aval.ndim), keepdim=False)


@overload
def max(input: Tensor) -> Tensor: ...
@overload
def max(input: Tensor, dim: Tensor, /) -> Tensor: ...
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> results.max: ...
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
        return _best_of_all("max", p.max_all, input)
    if isinstance(dim, Handle) and not keepdim:
        return pointwise.maximum(input, dim)
    return _best("max", input, dim, keepdim, p.argmax, sorting.pick_max, results.max)


@overload
def min(input: Tensor) -> Tensor: ...
@overload
def min(input: Tensor, dim: Tensor, /) -> Tensor: ...
@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> results.min: ...
@also(axis="dim", keepdims="keepdim", other="dim")
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; as `max`."""
    if dim is None:
        return _best_of_all("min", p.min_all, input)
    if isinstance(dim, Handle) and not keepdim:
        return pointwise.minimum(input, dim)
    return _best("min", input, dim, keepdim, p.argmin, sorting.pick_min, results.min)


def _extreme(name: str, find: Primitive, x: Any, dim: Any, keepdim: bool) -> Any:
    dims = wrapped_dims(dim, need_tensor(name, x).aval.ndim)
    given = () if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    if not given:
        _nonempty(name, x)
    for d in given:
        along(f"{name}()", x, d, as_given=True)
    return find(x, dims=dims, keepdim=bool(keepdim))


@numpy_words
def amax(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The largest elements along dimensions (all by default); ties share the gradient."""
    return _extreme("amax", p.amax, input, dim, keepdim)


@numpy_words
def amin(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The smallest elements along dimensions (all by default); ties share the gradient."""
    return _extreme("amin", p.amin, input, dim, keepdim)


_low, _high = p.amin.named("AminmaxBackward0"), p.amax.named("AminmaxBackward0")


@numpy_words
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> results.aminmax:
    """The smallest and the largest element (min, max): of all, or along a dimension.

    Example:
        >>> import wengert as torch
        >>> torch.aminmax(torch.tensor([2., 1., 3.])).max
        tensor(3.)
    """
    x = need_tensor("aminmax", input)
    if x.aval.is_complex:
        raise NotImplementedError(f'"aminmax_cpu" not implemented for \'{x.aval.dtype.words}\'')
    if dim is None and not x.aval.numel:
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the "
                           "operation has no identity.")
    dims = wrapped_dims(dim if dim is None else along("aminmax", x, dim), x.aval.ndim)
    return results.aminmax(*(find(x, dims=dims, keepdim=bool(keepdim)) for find in (_low, _high)))


def _place(name: str, find: Primitive, x: Any, dim: Any, keepdim: bool) -> Any:
    if need_tensor(name, x).aval.is_complex or x.aval.dtype is dtypes.bool_:
        kind = "complex" if x.aval.is_complex else "bool"
        raise RuntimeError(f"{name}(): does not support {kind} input")
    if dim is None and not x.aval.numel:
        raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() "
                         "== 0.")
    dims = wrapped_dims(None if dim is None else along(f"{name}()", x, dim), x.aval.ndim)
    return find(x, dims=dims, keepdim=bool(keepdim))


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


# --- log-sum-exp and its kin ------------------------------------------------------------------


@numpy_words
def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along dimensions, without overflow.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([1000., 1000.]).logsumexp(0)
        tensor(1000.6932)
    """
    x = shapes.as_floats(need_tensor("logsumexp", input))
    return p.logsumexp(x, dims=wrapped_dims(dim, x.aval.ndim), keepdim=bool(keepdim))


def _weights(name: str, apply: Primitive, x: Any, dim: Any, dtype: Any) -> Any:
    x = need_tensor(name, x) if dtype is None else shapes.astype(x, dtypes.of(dtype))
    d = wrapped_dim(dim, x.aval.ndim)
    if not x.aval.dtype.is_floating_point:
        last = "_lastdim" if d == x.aval.ndim - 1 else ""
        raise NotImplementedError(f'"{name}{last}_kernel_impl" not implemented for '
                                  f"'{x.aval.dtype.words}'")
    return apply(x, dim=d)


@numpy_words
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along a dimension, without overflow.

    Example:
        >>> import wengert as torch
        >>> torch.zeros(4).softmax(0)
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return _weights("softmax", p.softmax, input, dim, dtype)


@numpy_words
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(x)), computed as x - logsumexp(x)."""
    return _weights("log_softmax", p.log_softmax, input, dim, dtype)
