"""Scans: sums, products and extremes so far, differences and integrals, in PyTorch's words."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core import dtypes
from ..core.handle import Handle
from ..core.primitive import Primitive
from ..interpreters.inplace import write
from ..primitives import layout, scans as p
from . import joining, operators, results, shapes
from .arguments import need_tensor, numpy_words, wrapped_dim, wrapped_dims
from .reduce import summed

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "gradient",
    "logcumsumexp", "trapezoid", "trapz",
]


@numpy_words
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sums of all elements up to each one, along a dimension.

    Args:
        input: a tensor.
        dim: the dimension.
        dtype: what to convert to first; integers are summed as int64.

    Example:
        >>> import wengert as torch
        >>> torch.arange(4).cumsum(0)
        tensor([0, 1, 3, 6])
    """
    x = summed("cumsum", input, dtype)
    return p.cumsum(x, dim=wrapped_dim(dim, x.aval.ndim))


@numpy_words
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The products of all elements up to each one, along a dimension; arguments as for `cumsum`.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([1., 2., 3.]).cumprod(0)
        tensor([1., 2., 6.])
    """
    x = summed("cumprod", input, dtype)
    return p.cumprod(x, dim=wrapped_dim(dim, x.aval.ndim))


def _scan_in_place(name: str, scan: Primitive, x: Any, dim: Any, dtype: Any) -> Any:
    kind = x.aval.dtype
    if dtype is not None and dtypes.of(dtype) is not kind:
        raise RuntimeError(f"Bad in-place call: input tensor dtype {kind.words.lower()} and output "
                           f"tensor dtype {dtypes.of(dtype).words.lower()} should match")
    if kind is dtypes.bool_:
        raise NotImplementedError(f"\"{name}_out_cpu\" not implemented for 'Bool'")
    return write(scan, x, dim=wrapped_dim(dim, x.aval.ndim))


def cumsum_(self: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """`cumsum`, in place."""
    return _scan_in_place("cumsum", p.cumsum, self, dim, dtype)


def cumprod_(self: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """`cumprod`, in place."""
    return _scan_in_place("cumprod", p.cumprod, self, dim, dtype)


@numpy_words
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log(cumsum(exp(x))) along a dimension, without overflow.

    Raises:
        NotImplementedError: for integers.
    """
    x = need_tensor("logcumsumexp", input)
    return p.logcumsumexp(x, dim=wrapped_dim(dim, x.aval.ndim))


def _extremes(name: str, find: Primitive, values: Primitive, x: Any, dim: Any, pair: Any) -> Any:
    d = wrapped_dim(dim, need_tensor(name, x).aval.ndim)
    if not x.aval.ndim:
        return pair(layout.clone(x), find(x, dim=d))
    where = find(x, dim=d)
    return pair(values(x, where, dim=d), where)


@numpy_words
def cummax(input: Tensor, dim: int) -> results.cummax:
    """The largest element so far along a dimension, and where it is (the last, if several tie)."""
    return _extremes("cummax", p.cummax_places, p.cummax_values, input, dim, results.cummax)


@numpy_words
def cummin(input: Tensor, dim: int) -> results.cummin:
    """The smallest element so far along a dimension, and where it is (the last, if several tie)."""
    return _extremes("cummin", p.cummin_places, p.cummin_values, input, dim, results.cummin)


# --- differences ------------------------------------------------------------------------------


def _pair(x: Any, dim: int) -> tuple[Any, Any]:
    """Each element but the last along a dimension, and the one after it."""
    rest = max(x.aval.shape[dim] - 1, 0)
    return layout.narrow(x, dim, 0, rest), layout.narrow(x, dim, 1, rest)


@numpy_words
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
         append: Tensor | None = None) -> Tensor:
    """The differences of neighbours along a dimension, n times over.

    Args:
        input: a tensor; bools are compared.
        n: how many times differences are taken.
        dim: the dimension.
        prepend: what to put in front of the input first.
        append: what to put after it.

    Raises:
        RuntimeError: for a 0-d tensor, a negative n, or an addition that does not fit.

    Example:
        >>> import wengert as torch
        >>> torch.tensor([1, 4, 9]).diff()
        tensor([3, 5])
    """
    if not need_tensor("diff", input).aval.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = wrapped_dim(dim, input.aval.ndim)
    for part in (prepend, append):
        if part is not None:
            _check_addition(input, part, d)
    if not n:
        return layout.clone(input)
    parts = [part for part in (prepend, input, append) if part is not None]
    x = joining.cat(parts, d) if len(parts) > 1 else input
    subtract: Any = operator.xor if x.aval.dtype is dtypes.bool_ else operator.sub
    for _ in range(min(n, max(x.aval.shape[d], 1))):
        before, after = _pair(x, d)
        x = subtract(after, before)
    return x


def _check_addition(x: Any, part: Any, dim: int) -> None:
    if part.aval.ndim != x.aval.ndim:
        raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    for d, (n, m) in enumerate(zip(x.aval.shape, part.aval.shape, strict=True)):
        if d != dim and n != m:
            raise RuntimeError(
                "diff expects the shape of tensor to prepend or append to match that of input "
                f"except along the differencing dimension; input.size({d}) = {n}, but got "
                f"tensor.size({d}) = {m}")


# --- integrals --------------------------------------------------------------------------------


def _gaps(name: str, y: Any, x: Any, dim: Any) -> tuple[Any, int]:
    """The widths of the gaps between values, if they are given, and the dimension that these
    follow each other along."""
    if not need_tensor(name, y, "y").aval.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    d = wrapped_dim(dim, y.aval.ndim)
    for operand, word in ((y, "y"), (x, "x")):
        if isinstance(operand, Handle) and operand.aval.dtype is dtypes.bool_:
            raise RuntimeError(f"{name}: received a bool input for `{word}`, but bool is not "
                               "supported")
    return None if x is None else _widths(name, y, x, d), d


def _evenly(y: Any, d: int) -> Any:
    """The sum along a dimension, in which the outermost values count half."""
    ends = y.select(d, 0) + y.select(d, -1)
    return y.sum(d) - ends * 0.5


def _widths(name: str, y: Any, x: Any, d: int) -> Any:
    """The distances between sample points: along dimension d of y."""
    if x.aval.ndim == 1 != y.aval.ndim:
        if x.aval.shape[0] != y.aval.shape[d]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        x = shapes.reshape(x, (-1,) + (1,) * (y.aval.ndim - 1 - d))
    if not x.aval.ndim:
        return layout.reshape(x, shape=(1,))[:0]
    before, after = _pair(x, d - y.aval.ndim + x.aval.ndim)
    return after - before


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral along a dimension, by the trapezoidal rule.

    Args:
        y: the values.
        x: where they were taken; one unit apart if not given.
        dx: how far apart they are, in place of x.
        dim: the dimension.

    Example:
        >>> import wengert as torch
        >>> torch.trapezoid(torch.tensor([1., 5., 10.]))
        tensor(10.5000)
    """
    widths, d = _gaps("trapezoid", y, x, dim)
    if widths is None:
        return _evenly(y, d) * (1 if dx is None else dx) if y.aval.shape[d] else (
            y.sum(d, dtype=y.aval.dtype))
    before, after = _pair(y, d)
    return ((before + after) * widths).sum(d) / 2


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None,
                         dim: int = -1) -> Tensor:
    """The integrals up to each point but the first, by the trapezoidal rule; as `trapezoid`."""
    widths, d = _gaps("cumulative_trapezoid", y, x, dim)
    before, after = _pair(y, d)
    if widths is None:
        return cumsum((before + after) * ((1 if dx is None else dx) / 2), d)
    return cumsum((before + after) * widths, d) / 2


trapz = trapezoid

# --- slopes -----------------------------------------------------------------------------------


def gradient(input: Tensor, *, spacing: Any = None, dim: Any = None,
             edge_order: int = 1) -> tuple[Tensor, ...]:
    """The slope along each dimension, estimated from neighbours: exact for parabolas inside.

    Args:
        input: the values of a function on a grid.
        spacing: the distance between grid points, a number or one per dimension; or the
            coordinates along each dimension, a sequence of 1-d tensors.
        dim: a dimension, several, or None for all.
        edge_order: whether the slopes at the edges are exact for lines (1) or parabolas (2).

    Returns:
        A tensor of slopes per dimension.

    Raises:
        RuntimeError: if the spacing does not fit, or a dimension is too short.

    Example:
        >>> import wengert as torch
        >>> torch.gradient(torch.tensor([1., 4., 9., 16.]))
        (tensor([3., 4., 6., 7.]),)
    """
    x = need_tensor("gradient", input)
    if x.aval.dtype is dtypes.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    dims = wrapped_dims(dim, x.aval.ndim)
    spacings = _spacings(x, spacing, dim, dims)
    if any(x.aval.shape[d] <= edge_order for d in dims):
        raise RuntimeError("torch.gradient expected each dimension size to be at least "
                           "edge_order+1")
    return tuple(_slopes(x, h, d, edge_order) for h, d in zip(spacings, dims, strict=True))


def _spacings(x: Any, spacing: Any, dim: Any, dims: Sequence[int]) -> Sequence[Any]:
    """The spacing of each of the dimensions."""
    if spacing is None or operators.is_number(spacing):
        return [1 if spacing is None else spacing] * len(dims)
    if not isinstance(spacing, (tuple, list)):
        raise TypeError("gradient(): argument 'spacing' must be a number or a tuple of numbers or "
                        f"Tensors, not {type(spacing).__name__}")
    if len(spacing) != len(dims) and dim is None:
        raise RuntimeError("torch.gradient expected spacing to be unspecified, a scalar, or a list "
                           f"of length equal to 'self.dim() = {x.aval.ndim}', since dim argument "
                           f"was not given, but got a list of length {len(spacing)}")
    if len(spacing) != len(dims):
        raise RuntimeError("torch.gradient expected spacing to be unspecified, a scalar or it's "
                           "spacing and dim arguments to have the same length, but got a spacing "
                           f"argument of length {len(spacing)} and a dim argument of length "
                           f"{len(dims)}.")
    for h, d in zip(spacing, dims, strict=True):
        if isinstance(h, Handle):
            _check_coordinates(h, x.aval.shape[d])
    return spacing


def _check_coordinates(h: Any, size: int) -> None:
    if h.aval.ndim != 1:
        raise RuntimeError("torch.gradient expected each element of spacing to have one dimension, "
                           f"but got an element with {h.aval.ndim} dimensions!")
    if h.aval.shape[0] != size:
        raise RuntimeError("torch.gradient expected each element of spacing to have as many "
                           f"coordinates as its dimension has elements, {size}, but got "
                           f"{h.aval.shape[0]}")


def _slopes(x: Any, spacing: Any, d: int, order: int) -> Any:
    """The slopes along dimension d: of the parabola through each point and both its neighbours."""
    size = x.aval.shape[d]
    inside = max(size - 2, 0)
    before, here, after = (layout.narrow(x, d, i, inside) for i in range(3))
    if isinstance(spacing, Handle):
        steps: Any = spacing
        widths = shapes.reshape(diff(steps), (-1,) + (1,) * (x.aval.ndim - 1 - d))
        left, right = _pair(widths, 0)
        middle = (-right / (left * (left + right)) * before
                  + (right - left) / (left * right) * here
                  + left / (right * (left + right)) * after)
    else:
        widths, middle = None, (after - before) / (2 * spacing)
    first = _edge(x, spacing, widths, d, order, range(size))
    last = _edge(x, spacing, widths, d, order, range(size)[::-1])
    return joining.cat([first, middle, last], d)


def _edge(x: Any, spacing: Any, widths: Any, d: int, order: int, places: range) -> Any:
    """The slope at the first of the places: of the line, or parabola, through it and the next."""
    sign = places.step
    a, b, *more = (layout.narrow(x, d, places[i], 1) for i in range(order + 1))
    if order == 1:
        width = spacing if widths is None else layout.narrow(widths, 0, min(places[:2]), 1)
        return sign * (b - a) / width
    near, far = (spacing, spacing) if widths is None else (
        layout.narrow(widths, 0, min(places[i], places[i + 1]), 1) for i in range(2))
    both = near + far
    low, middle, high = (sign * -(near + both) / (near * both) * a, sign * both / (near * far) * b,
                         sign * -near / (far * both) * more[0])[::sign]
    return low + middle + high
