"""Pools, in PyTorch's words: the largest or the mean of the elements of windows."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, overload

from ...core import dtypes
from ...core.formats import dense, images
from ...core.levels import numbers
from ...core.primitive import Primitive
from ...ops import pointwise, shapes
from ...ops.arguments import check_floats, need_tensor, whole
from ...primitives.pooling import (
    Mean,
    Sliding,
    Spans,
    max_places,
    max_pool,
    mean_pool,
    pooled,
    unpooled,
)
from ...primitives.resampling import Table, combine
from .sizes import Ints, listed

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices", "max_unpool1d",
    "max_unpool2d", "max_unpool3d",
]

# --- the largest ------------------------------------------------------------------------------


@overload
def max_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False) -> Tensor: ...
@overload
def max_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any: ...
def max_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest element of each window of signals, (N, C, L) or (C, L); as `max_pool2d`."""
    return _max_pool("max_pool1d", 1, input, (kernel_size, stride, padding, dilation),
                     ceil_mode, return_indices)


@overload
def max_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False) -> Tensor: ...
@overload
def max_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any: ...
def max_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest element of each window of images.

    Args:
        input: images, (N, C, H, W) or (C, H, W).
        kernel_size: the windows' size, in all dimensions or (height, width).
        stride: how far they are apart; None for their size.
        padding: how much of minus infinity is put round the images; at most half a window.
        dilation: how far apart the elements of a window are.
        ceil_mode: whether windows may stick out at the ends.
        return_indices: whether to give (values, indices), with the place of each in its flattened
            image.

    Of elements that tie the first is taken; NaN is larger than anything.

    Raises:
        RuntimeError: if the sizes do not fit.
        NotImplementedError: for bool and complex tensors.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.max_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 5.,  7.],
                 [13., 15.]]])
    """
    return _max_pool("max_pool2d", 2, input, (kernel_size, stride, padding, dilation),
                     ceil_mode, return_indices)


@overload
def max_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False) -> Tensor: ...
@overload
def max_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any: ...
def max_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest element of each window of volumes, (N, C, D, H, W) or (C, D, H, W); as
    `max_pool2d`."""
    return _max_pool("max_pool3d", 3, input, (kernel_size, stride, padding, dilation),
                     ceil_mode, return_indices)


def max_pool1d_with_indices(input: Tensor, kernel_size: Any, stride: Any = None,
                            padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
                            return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """`max_pool1d` with `return_indices`."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(input: Tensor, kernel_size: Any, stride: Any = None,
                            padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
                            return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """`max_pool2d` with `return_indices`."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool3d_with_indices(input: Tensor, kernel_size: Any, stride: Any = None,
                            padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
                            return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """`max_pool3d` with `return_indices`."""
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _max_pool(name: str, dims: int, x: Any, given: tuple[Any, ...], ceil: Any,
              places: Any) -> Any:
    shape = need_tensor(name, x).aval.shape
    if dims == 1 and x.aval.dtype.category == dtypes.INTEGER:
        raise NotImplementedError(f'"max_pool1d_impl" not implemented for \'{x.aval.dtype.words}\'')
    if x.requires_grad or places:
        name += "_with_indices"  # which has other words for its errors
    how = _sliding(name, dims, shape, given, ceil)
    return _largest(f"max_pool{dims}d", "WithIndices", x, how, dims, places)


def _largest(word: str, more: str, x: Any, how: Any, dims: int, places: Any) -> Any:
    """The largest elements, and, if they are asked for, their places."""
    if not places:
        return _named(max_pool, word, more)(x, how=how)
    found = _named(max_places, word, more)(x, how=how)
    return _named(pooled, word, more)(x, found, dims=dims), found


@functools.cache
def _named(primitive: Primitive, word: str, more: str = "") -> Primitive:
    """A primitive under the name that PyTorch's nodes have for a word, as MaxPool2DWithIndices."""
    name = "".join(map(str.capitalize, word.split("_")))
    plain = word in _CONTIGUOUS or (word == "max_pool1d" and primitive is max_pool)
    return primitive.named(f"{name[:-1]}D{more}Backward0",
                           order=dense if plain else images(int(word[-2])))


_put_back = unpooled.named("MaxUnpoolBackward0", decompose=None)  # of several, the last
_CONTIGUOUS = {"avg_pool3d", "adaptive_avg_pool3d", "adaptive_max_pool3d", "max_unpool1d",
               "max_unpool3d"}
"""Those that PyTorch has no kernels of for channels last."""


def _sliding(name: str, dims: int, shape: Ints, given: tuple[Any, ...], ceil: Any) -> Sliding:
    try:
        return _windows(name, dims, shape, *given, bool(ceil))
    except TypeError:  # lists can't be looked up
        given = tuple(tuple(v) if isinstance(v, list) else v for v in given)
        return _windows.__wrapped__(name, dims, shape, *given, bool(ceil))


@functools.lru_cache(maxsize=1024, typed=True)
def _windows(name: str, dims: int, shape: Ints, size: Any, stride: Any, padding: Any,
             dilation: Any, ceil: bool) -> Sliding:
    """How windows lie, checked."""
    k, p, d = (_numbers(name, words, value, dims) for words, value in (
        ("kernel_size", size), ("padding", padding), ("dilation", dilation)))
    given = stride is not None and not (isinstance(stride, (tuple, list)) and not stride)
    s = k if not given else _numbers(name, "stride", stride, dims)
    if dims == 1 and name == "max_pool1d":
        _check_signals(shape, k[0], s[0], p[0], d[0])
    else:
        _check_images(name, dims, shape, (k, s, p, d))
    sizes = shape[-dims:]
    counts = tuple(_count(*each, ceil) for each in zip(sizes, k, s, p, d, strict=True))
    _check_counts(name, dims, shape, counts)
    reach = [(c - 1) * b + e * (a - 1) + 1 for a, b, c, e in zip(k, s, counts, d, strict=True)]
    pads = tuple((a, max(a, r - n - a)) for a, r, n in zip(p, reach, sizes, strict=True))
    return Sliding(k, s, pads, d)


def _numbers(name: str, words: str, value: Any, dims: int) -> Ints:
    found = listed(name, words, value)
    if len(found) == 1:
        return found * dims
    if len(found) != dims:
        if dims == 1:
            raise RuntimeError(f"{name}() argument '{words}' should contain one int (got "
                               f"{len(found)})")
        omitted = "omitted, " if words == "stride" else ""
        raise RuntimeError(f"{name}: {words} must either be {omitted}a single int, or a tuple of "
                           f"{('two', 'three')[dims - 2]} ints")
    return found


def _count(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> int:
    """How many windows there are along a dimension; none that begins in the padding behind."""
    count = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil else 0)) // s + 1
    return count - 1 if ceil and (count - 1) * s >= n + p else count


def _check_signals(shape: Ints, k: int, s: int, p: int, d: int) -> None:
    if len(shape) not in (2, 3) or not all(shape[-2:]):
        raise RuntimeError("max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim "
                           f"batch size for input, but got:{list(shape)}")
    for words, value in (("kernel_size", k), ("stride", s), ("dilation", d)):
        if value <= 0:
            raise RuntimeError(f"max_pool1d() {words} must be greater than zero, but got {value}")
    if p < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {p}")
    if p > k // 2:
        raise RuntimeError("max_pool1d() padding should be at most half of kernel size, but got "
                           f"padding={p} and kernel_size={k}")


_AXES = {2: "HW", 3: "THW"}


def _check_images(name: str, dims: int, shape: Ints, numbers: tuple[Ints, ...]) -> None:
    k, s, p, d = numbers
    if not dims + 1 <= len(shape) <= dims + 2:
        if name == "avg_pool1d":
            raise RuntimeError(f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional "
                               "tensor for argument #1 'self' (while checking arguments for "
                               "avg_pool1d)")
        raise RuntimeError(f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected "
                           "for input")
    if not all(s):
        raise RuntimeError("stride should not be zero")
    for n, pad, apart in zip(k, p, d, strict=True):
        if pad < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {pad}")
        if apart > 0 and n > 0 and pad > ((n - 1) * apart + 1) // 2:
            raise RuntimeError("pad should be at most half of effective kernel size, but got "
                               f"pad={pad}, kernel_size={n} and dilation={apart}")
    for words, mark, values in (("kernel size", "k", k), ("stride", "d", s),
                                ("dilation", "dilation", d)):
        if any(v <= 0 for v in values):
            got = " ".join(f"{mark}{axis}: {v}" for axis, v in zip(
                _AXES.get(dims, "W"), values, strict=True))
            raise RuntimeError(f"{words} should be greater than zero, but got {got}")
    if not all(shape[-dims - 1:]):
        if dims == 3:
            raise RuntimeError(f"{name}: Expected input's non-batch dimensions to have positive "
                               f"length, but input has a shape of {list(shape)}")
        raise RuntimeError(f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with "
                           f"optional 0 dim batch size for input, but got:{list(shape)}")


def _check_counts(name: str, dims: int, shape: Ints, counts: Ints) -> None:
    if min(counts) >= 1:
        return
    if name == "max_pool1d":
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {counts[0]}")
    before, after = ("x".join(map(str, (shape[-dims - 1], *each)))
                     for each in (shape[-dims:], counts))
    raise RuntimeError(f"Given input size: ({before}). Calculated output size: ({after}). Output "
                       "size is too small")


# --- back from the largest --------------------------------------------------------------------


def max_unpool1d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None,
                 padding: Any = 0, output_size: Any = None) -> Tensor:
    """Puts what `max_pool1d` took back to its places, among zeros; as `max_unpool2d`."""
    return _unpool("max_unpool1d", 1, input, indices, (kernel_size, stride, padding), output_size)


def max_unpool2d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None,
                 padding: Any = 0, output_size: Any = None) -> Tensor:
    """Puts what `max_pool2d` took back to its places, among zeros.

    Args:
        input: the largest elements of windows.
        indices: their places, of the same shape.
        kernel_size: the windows' size; stride and padding as in `max_pool2d`.
        stride: see `kernel_size`.
        padding: see `kernel_size`.
        output_size: the images' size; None for the smallest that would have given the input.

    Raises:
        RuntimeError: for indices of another dtype or shape, or out of range.
        ValueError: for an output size that can't be.

    Example:
        >>> import wengert as torch
        >>> values, places = torch.nn.functional.max_pool2d(
        ...     torch.arange(4.0).reshape(1, 2, 2), 2, return_indices=True)
        >>> torch.nn.functional.max_unpool2d(values, places, 2)
        tensor([[[0., 0.],
                 [0., 3.]]])
    """
    return _unpool("max_unpool2d", 2, input, indices, (kernel_size, stride, padding), output_size)


def max_unpool3d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None,
                 padding: Any = 0, output_size: Any = None) -> Tensor:
    """Puts what `max_pool3d` took back to its places, among zeros; as `max_unpool2d`."""
    return _unpool("max_unpool3d", 3, input, indices, (kernel_size, stride, padding), output_size)


def _unpool(name: str, dims: int, x: Any, places: Any, given: tuple[Any, ...], size: Any) -> Any:
    shape = need_tensor(name, x).aval.shape
    need_tensor(name, places, "indices", 2)
    k, p = (_numbers(name, words, value, dims) for words, value in (
        ("kernel_size", given[0]), ("padding", given[2])))
    s = k if given[1] is None else _numbers(name, "stride", given[1], dims)
    least = tuple((n - 1) * b + a - 2 * c for n, a, b, c in zip(
        shape[-dims:], k, s, p, strict=True))
    sizes = least if size is None else _wanted(dims, size, least, s)
    if places.aval.dtype is not dtypes.int64:
        raise RuntimeError("elements in indices should be type int64 but got: "
                           f"{places.aval.dtype.words}")
    if places.aval.shape != shape:
        raise RuntimeError("Expected shape of indices to be same as that of the input tensor ("
                           f"{list(shape)}) but got indices tensor with shape: "
                           f"{list(places.aval.shape)}")
    if not dims + 1 <= len(shape) <= dims + 2:
        raise RuntimeError(f"Input to {name} should be a {dims + 1}d or {dims + 2}d Tensor, but "
                           f"got {len(shape)} dimensions")
    known = numbers(places)
    bad = known[(known < 0) | (known >= math.prod(sizes))]
    if bad.size:
        raise RuntimeError(f"Found an invalid max index: {bad.flat[0]} (output volumes are of "
                           f"size {'x'.join(map(str, sizes))})")
    return _named(_put_back, name)(x, places, sizes=sizes, apart=True)


def _wanted(dims: int, size: Any, least: Ints, stride: Ints) -> Ints:
    """The output size that is asked for, without the dimensions of batch and channels."""
    sizes = tuple(size)[2:] if len(size) == dims + 2 else tuple(size)
    if len(sizes) != dims:
        raise ValueError(f"output_size should be a sequence containing {dims} or {dims + 2} "
                         f"elements, but it has a length of '{len(sizes)}'")
    for d, (n, wanted, step) in enumerate(zip(least, sizes, stride, strict=True)):
        if not n - step < wanted < n + step:
            raise ValueError(f'invalid output_size "{sizes}" (dim {d} must be between {n - step} '
                             f"and {n + step})")
    return sizes


# --- means ------------------------------------------------------------------------------------


def avg_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    """The mean of each window of signals, (N, C, L) or (C, L); as `avg_pool2d`."""
    return _mean("avg_pool1d", 1, input, (kernel_size, stride, padding, 1), ceil_mode,
                 count_include_pad, None)


def avg_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:
    """The mean of each window of images.

    Args:
        input: images, (N, C, H, W) or (C, H, W).
        kernel_size: the windows' size, in all dimensions or (height, width).
        stride: how far they are apart; None for their size.
        padding: how many zeros are put round the images; at most half a window.
        ceil_mode: whether windows may stick out at the ends.
        count_include_pad: whether the zeros count.
        divisor_override: what sums are divided by instead of the number of elements.

    Raises:
        RuntimeError: if the sizes do not fit.
        NotImplementedError: for bool and complex tensors.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.avg_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2)
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]])
    """
    return _mean("avg_pool2d", 2, input, (kernel_size, stride, padding, 1), ceil_mode,
                 count_include_pad, divisor_override)


def avg_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:
    """The mean of each window of volumes, (N, C, D, H, W) or (C, D, H, W); as `avg_pool2d`."""
    return _mean("avg_pool3d", 3, input, (kernel_size, stride, padding, 1), ceil_mode,
                 count_include_pad, divisor_override)


def _mean(name: str, dims: int, x: Any, given: tuple[Any, ...], ceil: Any, padded: Any,
          divisor: Any) -> Any:
    how = _sliding(name, dims, need_tensor(name, x).aval.shape, given, ceil)
    if divisor is None:
        divisor = "padded" if padded else "inside"
    else:  # 2.0 is as good a key of what is remembered as 2
        divisor = whole(name, "divisor_override", divisor, 7)
        if not divisor:
            raise RuntimeError("divisor must be not zero")
    return _named(mean_pool, f"avg_pool{dims}d")(x, how=Mean(how, divisor))


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None,
              ceil_mode: bool = False) -> Tensor:
    """The norm of each window of signals; as `lp_pool2d`."""
    return _powers(avg_pool1d, 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None,
              ceil_mode: bool = False) -> Tensor:
    """sum(x**p)**(1/p) over each window of images, 0 where the sum is negative.

    Args:
        input: images, (N, C, H, W) or (C, H, W).
        norm_type: p.
        kernel_size: the windows' size; stride and ceil_mode as in `avg_pool2d`.
        stride: see `kernel_size`.
        ceil_mode: see `kernel_size`.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.lp_pool2d(torch.tensor([[[3., 4.]]]), 2, (1, 2))
        tensor([[[5.]]])
    """
    return _powers(avg_pool2d, 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None,
              ceil_mode: bool = False) -> Tensor:
    """The norm of each window of volumes; as `lp_pool2d`."""
    return _powers(avg_pool3d, 3, input, norm_type, kernel_size, stride, ceil_mode)


def _powers(mean: Any, dims: int, x: Any, p: float, size: Any, stride: Any, ceil: Any) -> Any:
    found = mean(need_tensor(mean.__name__, x) ** p, size, stride, 0, ceil)
    count = math.prod(_numbers(mean.__name__, "kernel_size", size, dims))
    return (pointwise.sign(found) * pointwise.relu(abs(found)) * count) ** (1.0 / p)


# --- windows that fill the whole --------------------------------------------------------------


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of `output_size` parts of signals; as `adaptive_avg_pool2d`."""
    return _adaptive_mean("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of as many parts of images as are asked for, which overlap where they must.

    Args:
        input: images, (N, C, H, W) or (C, H, W).
        output_size: how many parts there are down and across; None for as many as elements.

    Raises:
        RuntimeError: if the sizes do not fit.
        NotImplementedError: for integers.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.adaptive_avg_pool2d(torch.arange(9.0).reshape(1, 3, 3), (1, 2))
        tensor([[[3.5000, 4.5000]]])
    """
    return _adaptive_mean("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of parts of volumes; as `adaptive_avg_pool2d`."""
    return _adaptive_mean("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of `output_size` parts of signals; as `adaptive_max_pool2d`."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of as many parts of images as are asked for.

    Args:
        input: images, (N, C, H, W) or (C, H, W).
        output_size: how many parts there are down and across; None for as many as elements.
        return_indices: whether to give (values, indices), with the place of each in its flattened
            image.

    Raises:
        RuntimeError: if the sizes do not fit.
        NotImplementedError: for integers.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.adaptive_max_pool2d(torch.arange(9.0).reshape(1, 3, 3), 1)
        tensor([[[8.]]])
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of parts of volumes; as `adaptive_max_pool2d`."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Any,
                                     return_indices: bool = False) -> Any:
    """`adaptive_max_pool1d` with `return_indices`."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input: Tensor, output_size: Any,
                                     return_indices: bool = False) -> Any:
    """`adaptive_max_pool2d` with `return_indices`."""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(input: Tensor, output_size: Any,
                                     return_indices: bool = False) -> Any:
    """`adaptive_max_pool3d` with `return_indices`."""
    return adaptive_max_pool3d(input, output_size, True)


def _adaptive_mean(name: str, dims: int, x: Any, wanted: Any) -> Any:
    sizes = _adapted(name, dims, x, wanted)
    check_floats(name, x)
    shape = x.aval.shape[-dims:]
    if all(sizes) and not any(n % m for n, m in zip(shape, sizes, strict=True)):
        size = tuple(n // m for n, m in zip(shape, sizes, strict=True))
        how = Sliding(size, size, ((0, 0),) * dims, (1,) * dims)
        return _named(mean_pool, name)(x, how=Mean(how, math.prod(size)))
    kind = x.aval.dtype
    if kind.is_half:  # rounded once
        x = shapes.astype(x, dtypes.float32)
    for d, (n, m) in enumerate(zip(shape, sizes, strict=True)):
        x = _named(combine, name)(x, dim=x.aval.ndim - dims + d, table=Table("area", n, m))
    return shapes.astype(x, kind)


def _adaptive_max(name: str, dims: int, x: Any, wanted: Any, places: Any) -> Any:
    sizes = _adapted(name, dims, x, wanted)
    check_floats(name, x)
    shape = x.aval.shape[-dims:]
    if all(sizes) and not any(n % m for n, m in zip(shape, sizes, strict=True)):
        size = tuple(n // m for n, m in zip(shape, sizes, strict=True))
        how: Any = Sliding(size, size, ((0, 0),) * dims, (1,) * dims)
    else:
        how = Spans(*zip(*map(spans, shape, sizes), strict=True))
    return _largest(name, "", x, how, dims, places)


def spans(n: int, count: int) -> tuple[Ints, Ints]:
    """Where each of `count` parts of n elements begins, and where it ends."""
    return (tuple(i * n // count for i in range(count)),
            tuple(-(-(i + 1) * n // count) for i in range(count)))


def _adapted(name: str, dims: int, x: Any, wanted: Any) -> Ints:
    """The output size, checked."""
    shape = need_tensor(name, x).aval.shape
    if isinstance(wanted, (tuple, list)):
        given = list(wanted)
        if dims == 1 and len(given) != 1:
            raise RuntimeError(f"{name}() argument 'output_size' should contain one int (got "
                               f"{len(given)})")
        if dims > 1 and len(shape) <= len(given):
            raise ValueError(f"Input dimension should be at least {len(given) + 1}")
        if len(given) != dims:
            error = "internal error: output_size.size()" if "max" in name else "output_size"
            raise RuntimeError(f"{name}: {error} must be {dims}")
        if len(shape) > dims:
            wanted = [n if m is None else m for n, m in zip(shape[-dims:], given, strict=True)]
    sizes = listed(name, "output_size", wanted)
    sizes = sizes * dims if len(sizes) == 1 else sizes
    _check_adapted(name, dims, shape, sizes)
    return sizes


def _check_adapted(name: str, dims: int, shape: Ints, sizes: Ints) -> None:
    if not dims + (dims != 2 or "max" in name) <= len(shape) <= dims + 2:
        if dims == 1:
            raise RuntimeError(f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional "
                               f"tensor for argument #1 'self' (while checking arguments for "
                               f"{name})")
        raise RuntimeError(f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got "
                           f"{list(shape)}")
    if any(n < 0 for n in sizes):
        if "max" in name:
            whole = [*shape[:len(shape) - dims], *sizes]
            raise RuntimeError(f"Trying to create tensor with negative dimension {min(whole)}: "
                               f"{whole}")
        got = ", ".join(map(str, sizes))
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 "
                           f"but received {{{got}}}")
    for d, n in enumerate(shape):
        if d >= len(shape) - dims and not n:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {list(shape)} with dimension {d} being empty")
