"""Discrete Fourier transforms along several dimensions, by `scipy.fft`.

All are linear, and each one's transpose is another of them. With F = exp(-2 pi i j k / n), the
complex transform is F or its conjugate, times a power of the number of elements transformed; its
transpose (for the real inner product of complex numbers) is the conjugate, times the same.
Transforms of real numbers keep the half of the spectrum that says all, `n // 2 + 1` along the
last of `dims`: the other half has their conjugates. So what stands for two elements weighs twice.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.blocks import get_num_threads
from ..core.formats import as_made
from ..core.primitive import primitive as any_primitive
from .layout import inverse_order, real

Dims = tuple[int, ...]

NORMS = {"backward": 0.0, "ortho": -0.5, "forward": -1.0}
"""The power of the number of elements that a forward transform is multiplied by."""
_FORWARD = {power: norm for norm, power in NORMS.items()}
_INVERSE = {0.0: "forward", -0.5: "ortho", -1.0: "backward"}
_WORTH_THREADS = 1 << 15

primitive = functools.partial(any_primitive, order=as_made)


@functools.cache
def _function(name: str) -> Any:
    import scipy.fft

    return getattr(scipy.fft, name)


def _scipy(name: str, x: np.ndarray, dims: Dims, norm: str,
           points: int | None = None) -> np.ndarray:
    """SciPy's transform, by its name along one dimension, which is half the work to call; of the
    result, the transformed dimensions are the innermost, as PyTorch has them.

    Args:
        name: "fft", "ifft", "rfft" or "irfft".
        x: what is transformed.
        dims: the dimensions.
        norm: which transform divides.
        points: the size of the result along the last of them, where it isn't x's.
    """
    workers = get_num_threads() if x.size >= _WORTH_THREADS else None
    orders = _orders(x.strides, dims, name.endswith("rfft"))
    if orders is not None:
        x = x.transpose(orders[0])
    if len(dims) == 1:
        found: np.ndarray = _function(name)(x, points, -1, norm, workers=workers)
    else:
        sizes = None if points is None else (*x.shape[-len(dims):-1], points)
        found = _function(f"{name}n")(x, sizes, range(-len(dims), 0), norm, workers=workers)
    return found if orders is None else found.transpose(orders[1])


@functools.lru_cache(maxsize=1024)
def _orders(strides: tuple[int, ...], dims: Dims, halved: bool) -> tuple[Dims, Dims] | None:
    """The dimensions as a result's lie, the outermost first: those that are not transformed, then
    those that are, each as the operand's; but the one with half of the spectrum last. And what
    undoes this order; None if they lie as they are counted."""
    last = dims[-1:] if halved else ()
    rest = [d for d in range(len(strides)) if d not in dims]
    order = (*sorted(rest, key=lambda d: -strides[d]),
             *sorted(dims[:len(dims) - len(last)], key=lambda d: -strides[d]), *last)
    return None if order == tuple(range(len(order))) else (order, inverse_order(order))


def _c2c(x: np.ndarray, dims: Dims, power: float, forward: bool) -> np.ndarray:
    if not dims:
        return x.astype(np.result_type(x, np.complex64))
    name, norms = ("fft", _FORWARD) if forward else ("ifft", _INVERSE)
    return _scipy(name, x, dims, norms[power])


def _c2c_pullback(g: Any, x_aval: Aval, dims: Dims, power: float, forward: bool) -> Any:
    found = c2c(g, dims=dims, power=power, forward=not forward)
    return found if x_aval.dtype.is_complex else real(found)


def _resized(x: Aval, dim: int, n: int) -> Aval:
    return x.with_shape(n if d == dim else m for d, m in enumerate(x.shape))


def _half_weights(n: int, kind: Any, ndim: int, dim: int, inner: float) -> np.ndarray:
    """Of a half spectrum of n elements: 1 where an element stands for itself alone, `inner` where
    it stands for its conjugate as well."""
    weights = np.full(n // 2 + 1, inner, kind)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return weights.reshape((-1,) + (1,) * (ndim - dim - 1))


def _weighted(x: Any, n: int, dim: int, inner: float) -> Any:
    """A half spectrum of n elements, times their weights."""
    kind = x.dtype if isinstance(x, np.ndarray) else x.aval.numpy
    return x * _half_weights(n, kind.type(0).real.dtype, len(x.shape), dim, inner)


def _r2c_pullback(g: Any, x_aval: Aval, dims: Dims, power: float) -> Any:
    n = x_aval.shape[dims[-1]]
    return c2r(_weighted(g, n, dims[-1], 0.5), dims=dims, power=power, points=n)


def _c2r(x: np.ndarray, dims: Dims, power: float, points: int) -> np.ndarray:
    return _scipy("irfft", x, dims, _INVERSE[power], points)


c2c = primitive(
    "fft_c2c", _c2c, linear=True, vjp=(_c2c_pullback,), node="FftC2CBackward0",
    refuses={"bi": "fft"},
    abstract=lambda x, dims, power, forward: x.with_dtype(x.dtype.to_complex()))
"""The transform of complex (or real) numbers; `forward` or inverse."""
full_r2c = c2c.named("FftR2CBackward0")
r2c = primitive(
    "fft_r2c", lambda x, dims, power: _scipy("rfft", x, dims, _FORWARD[power]),
    linear=True, vjp=(_r2c_pullback,), node="FftR2CBackward0", refuses={"bic": "rfft"},
    abstract=lambda x, dims, power: _resized(x, dims[-1], x.shape[dims[-1]] // 2 + 1).with_dtype(
        x.dtype.to_complex()))
"""The forward transform of real numbers: half of the spectrum along the last of `dims`."""
c2r = primitive(
    "fft_c2r", _c2r, linear=True, node="FftC2RBackward0", refuses={"bif": "irfft"},
    vjp=(lambda g, dims, power, points: _weighted(
        r2c(g, dims=dims, power=power), points, dims[-1], 2.0),),
    abstract=lambda x, dims, power, points: _resized(
        x, dims[-1], points).with_dtype(x.dtype.to_real()))
"""The inverse transform of half of a spectrum, to `points` real numbers along the last
of `dims`."""
