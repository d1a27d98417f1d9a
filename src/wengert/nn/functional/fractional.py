"""Pools of windows at random places."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.levels import numbers
from ...ops import random, reduce, shapes
from ...ops.arguments import need_tensor
from ...primitives.indexing import gather
from ...primitives.pooling import pooled
from .sizes import Ints, listed

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
           "fractional_max_pool3d_with_indices"]


def fractional_max_pool2d(input: Tensor, kernel_size: Any, output_size: Any = None,
                          output_ratio: Any = None, return_indices: bool = False,
                          _random_samples: Tensor | None = None) -> Any:
    """The largest elements of windows of images whose steps are random (Graham: Fractional
    max-pooling, 2014).

    Args:
        input: images, (N, C, H, W) or (C, H, W).
        kernel_size: the windows' size, in both dimensions or (height, width).
        output_size: how many windows there are, down and across.
        output_ratio: or how many there are for each element, between 0 and 1.
        return_indices: whether to give (values, indices), with the place of each in its flattened
            image.

    Raises:
        ValueError: if neither size nor ratio is given.
        RuntimeError: if windows and sizes do not fit.
    """
    return _fractional("fractional_max_pool2d", 2, input, kernel_size,
                       (output_size, output_ratio), return_indices, _random_samples)


def fractional_max_pool3d(input: Tensor, kernel_size: Any, output_size: Any = None,
                          output_ratio: Any = None, return_indices: bool = False,
                          _random_samples: Tensor | None = None) -> Any:
    """The largest elements of windows of volumes whose steps are random; as
    `fractional_max_pool2d`."""
    return _fractional("fractional_max_pool3d", 3, input, kernel_size,
                       (output_size, output_ratio), return_indices, _random_samples)


def fractional_max_pool2d_with_indices(input: Tensor, kernel_size: Any, output_size: Any = None,
                                       output_ratio: Any = None, return_indices: bool = False,
                                       _random_samples: Tensor | None = None) -> Any:
    """`fractional_max_pool2d` with `return_indices`."""
    return fractional_max_pool2d(input, kernel_size, output_size, output_ratio, True,
                                 _random_samples)


def fractional_max_pool3d_with_indices(input: Tensor, kernel_size: Any, output_size: Any = None,
                                       output_ratio: Any = None, return_indices: bool = False,
                                       _random_samples: Tensor | None = None) -> Any:
    """`fractional_max_pool3d` with `return_indices`."""
    return fractional_max_pool3d(input, kernel_size, output_size, output_ratio, True,
                                 _random_samples)


def _fractional(name: str, dims: int, x: Any, kernel: Any, wanted: tuple[Any, Any], both: bool,
                samples: Any) -> Any:
    shape = need_tensor(name, x).aval.shape
    if not dims + 1 <= len(shape) <= dims + 2 or not all(shape[-dims - 1:]):
        raise RuntimeError(f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: "
                           f"{list(shape)}")
    sizes, size = tuple(shape[-dims:]), listed(name, "kernel_size", kernel)
    size = size * dims if len(size) == 1 else size
    counts = _counts(name, sizes, *wanted)
    _check(name, sizes, size, counts)
    lead = shape[:-dims] if len(shape) == dims + 2 else (1, shape[0])
    if samples is None:
        samples = random.rand(*lead, dims, dtype=x.aval.dtype)
    places = _places(numbers(samples), sizes, size, counts)
    elements = pooled(shapes.reshape(x, *lead, *sizes), places.reshape(
        *lead, *counts[:-1], counts[-1] * places.shape[-1]), dims=dims)
    found = reduce.max(shapes.reshape(elements, *places.shape), -1, True)
    out = [shapes.reshape(each, *shape[:-dims], *counts) for each in (
        found.values, gather(places, found.indices, dim=places.ndim - 1))]
    return tuple(out) if both else out[0]


def _counts(name: str, sizes: Ints, size: Any, ratio: Any) -> Ints:
    """How many windows there are, by dimension."""
    if size is None and ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if size is not None:
        found = listed(name, "output_size", size)
        return found * len(sizes) if len(found) == 1 else found
    ratios = ratio if isinstance(ratio, (tuple, list)) else (ratio,) * len(sizes)
    return tuple(int(n * r) for n, r in zip(sizes, ratios, strict=True))


_AXES = {2: ("height", "width"), 3: ("time", "height", "width")}


def _check(name: str, sizes: Ints, size: Ints, counts: Ints) -> None:
    for words, each in (("kernel_size", size), ("output_size", counts)):
        if len(each) != len(sizes):
            raise RuntimeError(f"{name}: {words} must either be a single Int or tuple of "
                               f"{len(sizes)} Ints")
        if min(each) <= 0:
            raise RuntimeError(f"{name}: {words} must be greater than zero, but got {list(each)}")
    for axis, n, k, m in zip(_AXES[len(sizes)], sizes, size, counts, strict=True):
        if m + k - 1 > n:
            raise RuntimeError(f"{name}(): pool {axis} {k} too large relative to input {axis} {n}")


def _places(samples: np.ndarray, sizes: Ints, size: Ints, counts: Ints) -> np.ndarray:
    """The places of the windows' elements, (N, C, *counts, elements)."""
    order = (1, 0) if len(sizes) == 2 else (0, 1, 2)  # which sample is for which dimension
    starts = [_starts(samples[..., i], *each) for i, each in zip(
        order, zip(sizes, size, counts, strict=True), strict=True)]
    found = []
    for tap in itertools.product(*map(range, size)):
        place = np.zeros((*samples.shape[:2], *(1,) * len(sizes)), np.int64)
        for d, (start, k, n) in enumerate(zip(starts, tap, sizes, strict=True)):
            shape = (*start.shape[:2], *(counts[d] if d == e else 1 for e in range(len(sizes))))
            place = place * n + (start + k).reshape(shape)
        found.append(place)
    return np.stack(found, -1)


def _starts(sample: np.ndarray, n: int, k: int, count: int) -> np.ndarray:
    """Where windows begin: steps that are about as long each, from a random place on."""
    sample = sample[..., None]
    if count == 1:
        return np.full(sample.shape, n - k)
    step = np.asarray((n - k) / (count - 1), sample.dtype)
    index = np.arange(count).astype(sample.dtype)
    found = ((index + sample) * step).astype(np.int64) - (sample * step).astype(np.int64)
    found[..., -1] = n - k
    return found
