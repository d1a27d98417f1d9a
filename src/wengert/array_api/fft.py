"""Fourier transforms: the standard's extension `fft`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import wengert as torch

from ..core.dtypes import dtype

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfftn", "rfft", "rfftfreq", "rfftn",
]


def _along_one(name: str) -> Callable[..., torch.Tensor]:
    """A transform along one axis, by PyTorch's word of the same name."""

    def function(x: torch.Tensor, /, *, n: int | None = None, axis: int = -1,
                 norm: str = "backward") -> torch.Tensor:
        found: torch.Tensor = getattr(torch.fft, name)(x, n=n, dim=axis, norm=norm)
        return found

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`torch.fft.{name}` along an axis, cut or padded with zeros to size n."
    return function


def _along_several(name: str) -> Callable[..., torch.Tensor]:
    """A transform along several axes, by PyTorch's word of the same name."""

    def function(x: torch.Tensor, /, *, s: Sequence[int] | None = None,
                 axes: Sequence[int] | None = None, norm: str = "backward") -> torch.Tensor:
        found: torch.Tensor = getattr(torch.fft, name)(x, s=s, dim=axes, norm=norm)
        return found

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`torch.fft.{name}` along axes, cut or padded with zeros to sizes s."
    return function


fft, ifft, rfft, irfft = (_along_one(n) for n in ("fft", "ifft", "rfft", "irfft"))
hfft, ihfft = _along_one("hfft"), _along_one("ihfft")
fftn, ifftn, rfftn, irfftn = (_along_several(n) for n in ("fftn", "ifftn", "rfftn", "irfftn"))


def fftfreq(n: int, /, *, d: float = 1.0, dtype: dtype | None = None, device: Any = None
            ) -> torch.Tensor:
    """The frequencies that the results of `fft` of size n stand for, at distance d of samples."""
    return torch.fft.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: dtype | None = None, device: Any = None
             ) -> torch.Tensor:
    """The frequencies that the results of `rfft` of size n stand for, at distance d of samples."""
    return torch.fft.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: torch.Tensor, /, *, axes: int | Sequence[int] | None = None) -> torch.Tensor:
    """The frequencies in rising order: 0 in the middle."""
    return torch.fft.fftshift(x, axes)


def ifftshift(x: torch.Tensor, /, *, axes: int | Sequence[int] | None = None) -> torch.Tensor:
    """The frequencies as `fft` has them: 0 in front."""
    return torch.fft.ifftshift(x, axes)
