"""Statistics: spread, medians, quantiles and covariances, in PyTorch's words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..core import dtypes
from ..core.handle import Handle, wrap
from ..core.levels import numbers
from ..core.primitive import Primitive
from ..core.provenance import warn
from ..primitives import elementwise as e, layout, reductions as p, sorting
from ..primitives.indexing import gather
from . import diagonals, operators, results, shapes
from .arguments import need_tensor, numpy_words, wrapped_dim, wrapped_dims
from .reduce import along, picked

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "corrcoef", "cov", "median", "mode", "nanmedian", "nanquantile", "quantile", "std", "std_mean",
    "var", "var_mean",
]

# --- spread -----------------------------------------------------------------------------------


def _spread(name: str, find: Primitive, x: Any, dim: Any, unbiased: Any, keepdim: Any,
            correction: Any) -> tuple[Any, tuple[int, ...]]:
    """The variance or standard deviation, and the dimensions reduced."""
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}() received an invalid combination of arguments: both unbiased and "
                        "correction")
    if isinstance(dim, bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if not need_tensor(name, x).aval.dtype.differentiable:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    dims = wrapped_dims(dim, x.aval.ndim)
    found = find(x, dims=dims, keepdim=bool(keepdim), correction=correction)
    if x.aval.numel <= correction * (found.aval.numel or 1):
        warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).")
    return found, dims


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
    return _spread("var", p.var, input, dim, unbiased, keepdim, correction)[0]


@numpy_words
def std(input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None) -> Tensor:
    """The standard deviation: the square root of `var`, with its arguments."""
    return _spread("std", p.std, input, dim, unbiased, keepdim, correction)[0]


_var_of_two, _std_of_two = p.var.named("VarMeanBackward0"), p.std.named("StdMeanBackward0")


@numpy_words
def var_mean(input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
             *, correction: float | None = None) -> tuple[Tensor, Tensor]:
    """The variance and the mean; arguments as for `var`."""
    found, dims = _spread("var_mean", _var_of_two, input, dim, unbiased, keepdim, correction)
    return found, p.mean(input, dims=dims, keepdim=bool(keepdim))


@numpy_words
def std_mean(input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
             *, correction: float | None = None) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean; arguments as for `var`."""
    found, dims = _spread("std_mean", _std_of_two, input, dim, unbiased, keepdim, correction)
    return found, p.mean(input, dims=dims, keepdim=bool(keepdim))


# --- the middle, the commonest ----------------------------------------------------------------


def _median(name: str, of_all: Primitive, pick: Primitive, pair: Any, x: Any, dim: Any,
            keepdim: bool, ignore_nan: bool) -> Any:
    if dim is None:
        return of_all(x, dims=wrapped_dims(None, need_tensor(name, x).aval.ndim),
                      ignore_nan=ignore_nan)
    d = along(f"{name}()", need_tensor(name, x), dim)
    return picked(sorting.median_place, pick, pair, x, d, keepdim, ignore_nan=ignore_nan)


@overload
def median(input: Tensor) -> Tensor: ...
@overload
def median(input: Tensor, dim: int, keepdim: bool = False) -> results.median: ...
@numpy_words
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median, the lower one if there are two; along a dimension, (values, indices).

    NaN if there is a NaN. The indices are those of the first element that equals the median.

    Example:
        >>> import wengert as torch
        >>> torch.median(torch.tensor([3., 1., 2., 9.]))
        tensor(2.)
    """
    return _median("median", sorting.median, sorting.pick_median, results.median, input, dim,
                   keepdim, False)


@overload
def nanmedian(input: Tensor) -> Tensor: ...
@overload
def nanmedian(input: Tensor, dim: int, keepdim: bool = False) -> results.nanmedian: ...
@numpy_words
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of all elements that are not NaN; as `median`."""
    return _median("nanmedian", sorting.nanmedian, sorting.pick_nanmedian, results.nanmedian,
                   input, dim, keepdim, True)


@numpy_words
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> results.mode:
    """The commonest element along a dimension, and where it is found last: (values, indices).

    The smallest, if several are equally common.
    """
    d = along("mode()", need_tensor("mode", input), dim)
    return picked(sorting.mode_place, sorting.pick_mode, results.mode, input, d, keepdim)


# --- quantiles --------------------------------------------------------------------------------

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


@numpy_words
def quantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
             interpolation: str = "linear") -> Tensor:
    """The q-th quantiles: of all elements, or along a dimension.

    Args:
        input: floats.
        q: a number in [0, 1], or a 0-d or 1-d tensor of them, whose dimension comes first in the
            result.
        dim: the dimension, or None for all.
        keepdim: keep the reduced dimension with size 1.
        interpolation: what lies between two elements: "linear", "lower", "higher", "midpoint" or
            "nearest".

    Raises:
        RuntimeError: for an empty tensor, or another interpolation, dtype or q.

    Example:
        >>> import wengert as torch
        >>> torch.quantile(torch.tensor([0., 1., 2., 3.]), 0.5)
        tensor(1.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@numpy_words
def nanquantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
                interpolation: str = "linear") -> Tensor:
    """The q-th quantiles of the elements that are not NaN; arguments as for `quantile`."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _quantile(name: str, x: Any, q: Any, dim: Any, keepdim: bool, interpolation: str,
              ignore_nan: bool) -> Any:
    is_number, q = not isinstance(q, Handle), _levels(need_tensor(name, x), q)
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError("quantile() interpolation must be one of linear, lower, higher, "
                           f"midpoint or nearest, but got {interpolation}")
    d = None if dim is None else wrapped_dim(dim, x.aval.ndim)
    shape = tuple([1 if d in (None, i) else n for i, n in enumerate(x.aval.shape)
                   if keepdim or d not in (None, i)])
    if d is None or not x.aval.ndim:
        x, d = x if x.aval.ndim == 1 else shapes.reshape(x, -1), 0
    if is_number and not ignore_nan:
        found = _at_rank(x, d, float(q.value * (x.aval.shape[d] - 1)), interpolation)
        return found if found.aval.shape == shape else layout.reshape(found, shape=shape)
    found = _ranked(shapes.movedim(x, d, -1), shapes.reshape(q, -1), interpolation, ignore_nan)
    return shapes.reshape(shapes.movedim(found, -1, 0), (*q.aval.shape, *shape))


def _at_rank(x: Any, dim: int, rank: float, interpolation: str) -> Any:
    """What is at a rank along a dimension, which may lie between two elements."""
    if interpolation in _ROUNDINGS:
        (place,) = sorting.rank_places(x, dim=dim, ranks=(_ROUNDINGS[interpolation](rank),))
        return sorting.pick_ranked(x, place, dim=dim)
    lower = math.floor(rank)
    share = rank - lower if interpolation == "linear" else 0.5
    low, high = (sorting.pick_ranked(x, place, dim=dim) for place in sorting.rank_places(
        x, dim=dim, ranks=(lower, math.ceil(rank))))
    return e.lerp(low, high, operators.number_array(share, x.aval.dtype))


_ROUNDINGS: dict[str, Callable[[float], int]] = {
    "lower": math.floor, "higher": math.ceil, "nearest": round}


def _levels(x: Any, q: Any) -> Any:
    """q as a tensor, after a look at it and at the input."""
    if not isinstance(q, Handle):
        if not operators.is_number(q):
            raise TypeError("quantile(): argument 'q' (position 2) must be Tensor or float, not "
                            f"{type(q).__name__}")
        if not 0 <= q <= 1:
            raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q}")
    if not x.aval.numel:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if x.aval.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if not isinstance(q, Handle):
        return wrap(operators.number_array(q, x.aval.dtype))
    if q.aval.ndim > 1:
        raise RuntimeError("quantile() q must be a scalar or 1D tensor")
    if q.aval.dtype is not x.aval.dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    given = numbers(q)
    if not np.all((given >= 0) & (given <= 1)):
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    return q


def _ranked(x: Any, q: Any, interpolation: str, ignore_nan: bool) -> Any:
    """Rows of quantiles of rows: elements in order, and between the two next to a rank."""
    d, last = x.aval.ndim - 1, x.aval.shape[-1] - 1
    inorder = sorting.sort_values(x, sorting.argsort(x, dim=d, descending=False, stable=True),
                                  dim=d)
    lost = e.isnan(inorder)
    if ignore_nan:
        counted = p.sum_(layout.cast(~lost, dtype=x.aval.dtype), dims=(d,), keepdim=True)
        rank = e.maximum(q * (counted - 1), np.zeros((), x.aval.numpy))
    else:  # NaN comes last
        rank = e.where(layout.narrow(lost, d, last, 1), last, q * last)
    if interpolation == "nearest":
        return _at(inorder, e.round_(rank))
    lower = e.floor(rank)
    if interpolation in ("lower", "higher"):
        return _at(inorder, lower if interpolation == "lower" else e.ceil(rank))
    share = rank - lower if interpolation == "linear" else e.filled(rank, 0.5)
    return e.lerp(_at(inorder, lower), _at(inorder, e.ceil(rank)), share)


def _at(x: Any, rank: Any) -> Any:
    return gather(x, layout.cast(rank.detach(), dtype=dtypes.int64), dim=x.aval.ndim - 1)


# --- covariance -------------------------------------------------------------------------------


def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None,
        aweights: Tensor | None = None) -> Tensor:
    """The covariances of variables, a row each, from observations, a column each.

    Args:
        input: a matrix, or the observations of one variable.
        correction: what is subtracted from the number of observations.
        fweights: how often each observation was made, integers.
        aweights: the weight of each observation, floats.

    Raises:
        RuntimeError: for bools, more than two dimensions, or weights that do not fit.

    Example:
        >>> import wengert as torch
        >>> torch.cov(torch.tensor([[0., 1., 2.], [2., 1., 0.]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    x = need_tensor("cov", input)
    if x.aval.ndim > 2:
        raise RuntimeError("cov(): expected input to have two or fewer dimensions but got an input "
                           f"with {x.aval.ndim} dimensions")
    if x.aval.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = x if x.aval.ndim == 2 else shapes.reshape(x, (1, -1))
    weights = _weights(rows.aval.shape[1], fweights, aweights)
    weighted = rows if weights is None else rows * weights
    total = rows.aval.shape[1] if weights is None else weights.sum()
    centred = rows - weighted.sum(1, keepdim=True) / total
    other = centred if weights is None else centred * weights
    left = _freedom(total, correction, weights, aweights)
    return shapes.squeeze(centred @ other.mT.conj() / left)


def _weights(size: int, fweights: Any, aweights: Any) -> Any:
    """Both kinds of weights as one."""
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is not None:
            _check_weights(name, given, size)
    if fweights is None or aweights is None:
        weights = aweights if fweights is None else fweights
    else:
        weights = fweights * aweights
    if weights is not None and size and not numbers(weights).any():
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    return weights


def _check_weights(name: str, given: Any, size: int) -> None:
    kind = given.aval.dtype
    wanted = "integral" if name == "fweights" else "floating point"
    fits = kind.category == dtypes.INTEGER if name == "fweights" else kind.is_floating_point
    if given.aval.ndim > 1:
        raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} "
                           f"with {given.aval.ndim} dimensions")
    if not fits:
        raise RuntimeError(f"cov(): expected {name} to have {wanted} dtype but got {name} with "
                           f"{kind.words} dtype")
    if given.aval.numel != size:
        raise RuntimeError(f"cov(): expected {name} to have the same numel as there are "
                           f"observations in the input but got {given.aval.numel} != {size}")
    if (numbers(given) < 0).any():
        raise RuntimeError(f"cov(): {name} cannot be negative")


def _freedom(total: Any, correction: int, weights: Any, aweights: Any) -> Any:
    """What the sum of products is divided by: at least 0, with a warning there."""
    if not correction or aweights is None:
        left = total - correction
    else:
        left = total - correction * (weights * aweights).sum() / total
    if not (numbers(left) > 0).all():
        warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than "
             "the number of observations.")
        return left * 0
    return left


def corrcoef(input: Tensor) -> Tensor:
    """The correlations of variables, a row each, from observations, a column each.

    Raises:
        RuntimeError: for bools, or more than two dimensions.
    """
    if need_tensor("corrcoef", input).aval.ndim > 2:
        raise RuntimeError("corrcoef(): expected input to have two or fewer dimensions but got an "
                           f"input with {input.aval.ndim} dimensions")
    found = cov(input)
    if not found.aval.ndim:
        return found / found
    spread = diagonals.diagonal(found).real.sqrt()
    scaled = found / shapes.unsqueeze(spread, -1) / shapes.unsqueeze(spread, 0)
    if not scaled.aval.is_complex:
        return scaled.clamp(-1, 1)
    return scaled.real.clamp(-1, 1) + 1j * scaled.imag.clamp(-1, 1)
