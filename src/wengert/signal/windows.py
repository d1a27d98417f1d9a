"""Window functions, as `torch.signal.windows` has them.

They are worked out in float64 and rounded once. A symmetric window ends as it begins; the other
kind, for spectra, is one element short of that.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.device import check_device
from ..core.formats import strided
from ..core.guard import guard
from ..ops.creation import new_leaf

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]


# --- shapes: of places, counted from 0, and the place that mirrors the first --------------------


def cosines(n: np.ndarray, last: float, weights: Iterable[float]) -> np.ndarray:
    """A sum of cosines of whole multiples of one turn, of alternating sign."""
    return sum(((-1) ** i * a * np.cos(2 * math.pi * i * n / last)
                for i, a in enumerate(weights)), np.zeros_like(n))


def triangle(n: np.ndarray, last: float) -> np.ndarray:
    return 1 - np.abs(2 * n / last - 1)


def bessel(n: np.ndarray, last: float, beta: float) -> np.ndarray:
    """Kaiser's window: I0 over a half circle."""
    height = 4 * n * (last - n) / last ** 2  # 1 - (2 n / last - 1) ** 2
    return np.i0(beta * np.sqrt(np.maximum(height, 0))) / np.i0(beta)


def _bell(n: np.ndarray, last: float, std: float) -> np.ndarray:
    return np.exp(-((n - last / 2) / std) ** 2 / 2)


def _decay(n: np.ndarray, last: float, center: float | None, tau: float) -> np.ndarray:
    return np.exp(-np.abs(n - (last / 2 if center is None else center)) / tau)


def _arch(n: np.ndarray, last: float) -> np.ndarray:
    return np.sin(math.pi * (n + 0.5) / (last + 1))


def places(shape: Callable[..., np.ndarray], count: int, symmetric: bool) -> np.ndarray:
    """The numbers of a window; a window of one element is 1."""
    if count <= 1:
        return np.ones(count)
    return shape(np.arange(count, dtype=np.float64), float(count - symmetric))


# --- words ------------------------------------------------------------------------------------


def _window(name: str, shape: Callable[..., np.ndarray], M: Any, sym: bool,  # noqa: N803
            dtype: Any = None, layout: Any = strided, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    check_device(device)
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    kind = dtypes.of(dtype) if dtype is not None else dtypes.get_default_dtype()
    if kind not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {kind}")
    return new_leaf(places(shape, M, bool(sym)).astype(kind.numpy), requires_grad)


def bartlett(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = strided,  # noqa: N803
             device: Any = None, requires_grad: bool = False) -> Tensor:
    """A triangle, with zeros at its ends.

    Args:
        M: the number of elements; the same in the windows below.
        sym: whether it ends as it begins; a window for spectra does not.
        dtype: float32 or float64; the default dtype, if None.
        layout: strided.
        device: "cpu" or None.
        requires_grad: whether operations on it are recorded.

    Raises:
        ValueError: for a negative length, or another dtype.

    Example:
        >>> import wengert as torch
        >>> torch.signal.windows.bartlett(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _window("bartlett", triangle, M, sym, dtype, layout, device, requires_grad)


def blackman(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = strided,  # noqa: N803
             device: Any = None, requires_grad: bool = False) -> Tensor:
    """Three cosines: 0.42 - 0.5 cos + 0.08 cos 2."""
    return _cosines("blackman", [0.42, 0.5, 0.08], M, sym, dtype, layout, device, requires_grad)


def cosine(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = strided,  # noqa: N803
           device: Any = None, requires_grad: bool = False) -> Tensor:
    """Half a wave of the sine."""
    return _window("cosine", _arch, M, sym, dtype, layout, device, requires_grad)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0,  # noqa: N803
                sym: bool = True, dtype: Any = None, layout: Any = strided, device: Any = None,
                requires_grad: bool = False) -> Tensor:
    """exp(-|n - center| / tau); the center is the middle by default.

    Raises:
        ValueError: if tau is not positive, or a symmetric window has a center.
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    return _window("exponential", functools.partial(_decay, center=center, tau=tau), M, sym, dtype,
                   layout, device, requires_grad)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None,  # noqa: N803
             layout: Any = strided, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Gauss's bell, with a standard deviation in elements.

    Raises:
        ValueError: if it is not positive.
    """
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _window("gaussian", functools.partial(_bell, std=std), M, sym, dtype, layout, device,
                   requires_grad)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True,  # noqa: N803
                   dtype: Any = None, layout: Any = strided, device: Any = None,
                   requires_grad: bool = False) -> Tensor:
    """A sum of cosines: a[0] - a[1] cos + a[2] cos 2 - ...

    Raises:
        TypeError: if the weights are no list.
        ValueError: if there are none.
    """
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    if not (weights := list(a)):
        raise ValueError("Coefficients cannot be empty")
    return _cosines("general_cosine", weights, M, sym, dtype, layout, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True,  # noqa: N803
                    dtype: Any = None, layout: Any = strided, device: Any = None,
                    requires_grad: bool = False) -> Tensor:
    """alpha - (1 - alpha) cos."""
    return _cosines("general_hamming", [alpha, 1 - alpha], M, sym, dtype, layout, device,
                    requires_grad)


def hamming(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = strided,  # noqa: N803
            device: Any = None, requires_grad: bool = False) -> Tensor:
    """Hamming's window: 0.54 - 0.46 cos."""
    return _cosines("hamming", [0.54, 0.46], M, sym, dtype, layout, device, requires_grad)


def hann(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = strided,  # noqa: N803
         device: Any = None, requires_grad: bool = False) -> Tensor:
    """Hann's window: 0.5 - 0.5 cos."""
    return _cosines("hann", [0.5, 0.5], M, sym, dtype, layout, device, requires_grad)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None,  # noqa: N803
           layout: Any = strided, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Kaiser's window: I0(beta sqrt(1 - x^2)) / I0(beta), for x from -1 to 1.

    Raises:
        ValueError: for a negative beta.
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", functools.partial(bessel, beta=beta), M, sym, dtype, layout, device,
                   requires_grad)


def nuttall(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = strided,  # noqa: N803
            device: Any = None, requires_grad: bool = False) -> Tensor:
    """Nuttall's window of four cosines, with least side lobes."""
    weights = [0.3635819, 0.4891775, 0.1365995, 0.0106411]
    return _cosines("nuttall", weights, M, sym, dtype, layout, device, requires_grad)


def _cosines(name: str, weights: list[float], *given: Any) -> Tensor:
    return _window(name, functools.partial(cosines, weights=weights), *given)


guard(sys.modules[__name__])
