"""The windows that PyTorch has in its top namespace: periodic ones, by default."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.device import check_device
from ..ops.creation import new_leaf
from .windows import bessel, cosines, places, triangle

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]


def _window(name: str, shape: Callable[..., np.ndarray], length: int, periodic: bool,
            dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got "
                           f"window_length={length}")
    kind = dtypes.of(dtype) if dtype is not None else dtypes.get_default_dtype()
    if not kind.differentiable:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {kind}")
    return new_leaf(places(shape, length, not periodic).astype(kind.numpy), requires_grad)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None,
                    layout: Any = None, device: Any = None, pin_memory: bool = False,
                    requires_grad: bool = False) -> Tensor:
    """A triangle, which starts with zero.

    Args:
        window_length: the number of elements; the same in the windows below.
        periodic: whether it is one element short of ending as it begins, as spectra want it.
        dtype: floating point; the default dtype, if None.
        layout: ignored.
        device: "cpu" or None.
        pin_memory: ignored.
        requires_grad: whether operations on it are recorded.

    Raises:
        RuntimeError: for a negative length, or a dtype that is not floating point.

    Example:
        >>> import wengert as torch
        >>> torch.bartlett_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("bartlett_window", triangle, window_length, periodic, dtype, device,
                   requires_grad)


def blackman_window(window_length: int, periodic: bool = True, *, dtype: Any = None,
                    layout: Any = None, device: Any = None, pin_memory: bool = False,
                    requires_grad: bool = False) -> Tensor:
    """Three cosines: 0.42 - 0.5 cos + 0.08 cos 2."""
    return _window("blackman_window", functools.partial(cosines, weights=(0.42, 0.5, 0.08)),
                   window_length, periodic, dtype, device, requires_grad)


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54,
                   beta: float = 0.46, *, dtype: Any = None, layout: Any = None,
                   device: Any = None, pin_memory: bool = False,
                   requires_grad: bool = False) -> Tensor:
    """alpha - beta cos."""
    return _window("hamming_window", functools.partial(cosines, weights=(alpha, beta)),
                   window_length, periodic, dtype, device, requires_grad)


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None,
                layout: Any = None, device: Any = None, pin_memory: bool = False,
                requires_grad: bool = False) -> Tensor:
    """0.5 - 0.5 cos.

    Example:
        >>> import wengert as torch
        >>> torch.hann_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("hann_window", functools.partial(cosines, weights=(0.5, 0.5)),
                   window_length, periodic, dtype, device, requires_grad)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *,
                  dtype: Any = None, layout: Any = None, device: Any = None,
                  pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """Kaiser's window: I0(beta sqrt(1 - x^2)) / I0(beta), for x from -1 to 1."""
    return _window("kaiser_window", functools.partial(bessel, beta=beta), window_length, periodic,
                   dtype, device, requires_grad)
