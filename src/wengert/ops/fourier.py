"""Fourier transforms, in PyTorch's words."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core import dtypes
from ..primitives import fourier as f
from ..primitives.layout import index_view, unindex
from . import creation, rearranging
from .arguments import listed, need_tensor, wrapped_dim
from .operators import to_kind

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2",
    "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2",
    "rfftfreq", "rfftn",
]

Sizes: TypeAlias = Sequence[int] | None
Apply: TypeAlias = Callable[..., Any]
"""Applies a transform to (input, sizes by dimension, dims, norm)."""


# --- arguments --------------------------------------------------------------------------------


def _power(norm: str | None, forward: bool) -> float:
    """The power of the number of elements that a transform is multiplied by."""
    if norm not in (None, *f.NORMS):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    power = f.NORMS[norm or "backward"]
    return power if forward else -1.0 - power


def _promoted(x: Any, *, to_complex: bool = False) -> Any:
    kind = x.aval.dtype
    if kind.is_floating_point and kind.itemsize < 4:  # half precision
        raise RuntimeError(f"Unsupported dtype {kind.words}")
    if not kind.differentiable:
        kind = dtypes.get_default_dtype()
    return to_kind(x, kind.to_complex() if to_complex else kind)


def _real(name: str, x: Any, words: str = "expects a real input tensor") -> Any:
    if x.aval.dtype.is_complex:
        raise RuntimeError(f"{name} {words}, but got {x.aval.dtype.words}")
    return _promoted(x)


def _one_dim(x: Any, dim: int) -> int:
    if not x.aval.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return wrapped_dim(dim, x.aval.ndim)


def _dims(x: Any, s: Sizes, dim: Any) -> tuple[tuple[int, ...], list[int]]:
    """The dimensions to transform, and for each the size asked for (-1: as it is)."""
    ndim = x.aval.ndim
    dim, s = (None if each is None else listed(each) for each in (dim, s))
    if dim is None:
        if s is not None and len(s) > ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {ndim} "
                               "dimensions.")
        dims = tuple(range(ndim))[ndim - (ndim if s is None else len(s)):]
    else:
        dims = tuple(_one_dim(x, d) for d in dim)
        if len(set(dims)) < len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    sizes = [-1] * len(dims) if s is None else s
    for d, n in zip(dims, sizes, strict=True):
        _checked(x.aval.shape[d] if n == -1 else n)
    return dims, sizes


def _checked(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _fitted(x: Any, dims: Sequence[int], sizes: Sequence[int]) -> Any:
    """x cut to sizes, or filled up with zeros."""
    for n in sizes:
        _checked(1 if n == -1 else n)
    for d, n in zip(dims, sizes, strict=True):
        have = x.aval.shape[d]
        if n not in (-1, have):
            x = _with_size(x, d, have, n)
    return x


def _with_size(x: Any, dim: int, have: int, n: int) -> Any:
    index = (*((0, m, 1) for m in x.aval.shape[:dim]), (0, min(have, n), 1), Ellipsis)
    if n < have:
        return index_view(x, index=index)
    shape = tuple(n if d == dim else m for d, m in enumerate(x.aval.shape))
    return unindex(x, shape=shape, index=index)


# --- the transforms, along any dimensions -----------------------------------------------------


def _complex(forward: bool) -> Apply:
    def apply(x: Any, dims: tuple[int, ...], sizes: list[int], norm: str | None) -> Any:
        power = _power(norm, forward)
        x = _fitted(_promoted(x), dims, sizes)
        transform = f.c2c if x.aval.dtype.is_complex else f.full_r2c
        return transform(x, dims=dims, power=power, forward=forward)

    return apply


def _halved(x: Any, dims: tuple[int, ...], sizes: list[int], norm: str | None) -> Any:
    """`rfft`."""
    return f.r2c(_fitted(x, dims, sizes), dims=dims, power=_power(norm, forward=True))


def _conjugate_of_halved(x: Any, dims: tuple[int, ...], sizes: list[int], norm: str | None) -> Any:
    """`ihfft`: the conjugate of `rfft` along the last dimension, and `ifft` along the others."""
    power = _power(norm, forward=False)
    found = f.r2c(_fitted(x, dims, sizes), dims=dims[-1:], power=power).conj()
    return found if len(dims) == 1 else f.c2c(found, dims=dims[:-1], power=power, forward=False)


def _doubled(forward: bool) -> Apply:
    """`irfft`; or `hfft`, that of the conjugate."""

    def apply(x: Any, dims: tuple[int, ...], sizes: list[int], norm: str | None) -> Any:
        power = _power(norm, forward)
        x = _promoted(x, to_complex=True)
        last = sizes[-1] if sizes[-1] != -1 else 2 * (x.aval.shape[dims[-1]] - 1)
        x = _fitted(x, dims, [*sizes[:-1], last // 2 + 1 if last > 0 else last])
        return f.c2r(x.conj() if forward else x, dims=dims, power=power, points=last)

    return apply


_fft, _ifft, _rfft, _ihfft, _hfft, _irfft = (
    _complex(True), _complex(False), _halved, _conjugate_of_halved, _doubled(True),
    _doubled(False))


def _along_one(name: str, apply: Apply, input: Any, n: int | None, dim: int,
               norm: str | None) -> Any:
    dims = (_one_dim(need_tensor(f"fft_{name}", input), dim),)
    return apply(input, dims, [-1 if n is None else _checked(n)], norm)


def _along_several(name: str, apply: Apply, input: Any, s: Sizes, dim: Any, norm: str | None, *,
                   some: bool = True) -> Any:
    dims, sizes = _dims(need_tensor(f"fft_{name}", input), s, dim)
    if some and not dims:
        raise RuntimeError(f"{name[:-1]}n must transform at least one axis")
    return apply(input, dims, sizes, norm)


def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform along a dimension, X_k = sum of x_j exp(-2 pi i j k / n).

    Args:
        input: real or complex; integers become floats. Half precision is refused, as in PyTorch.
        n: how many elements to transform: the input is cut, or filled up with zeros.
        dim: the dimension.
        norm: "backward" (the default: the inverse divides by n), "ortho" (both by sqrt(n)) or
            "forward" (this one divides by n).

    Raises:
        RuntimeError: for n < 1, or an unknown norm.

    Example:
        >>> import wengert as torch
        >>> torch.fft.fft(torch.tensor([1., 0., 0., 0.])).real
        tensor([1., 1., 1., 1.])
    """
    return _along_one("fft", _fft, input, n, dim, norm)


def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return _along_one("ifft", _ifft, input, n, dim, norm)


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """`fft` of real numbers: the n // 2 + 1 elements that are not conjugates of others.

    Example:
        >>> import wengert as torch
        >>> torch.fft.rfft(torch.ones(4))
        tensor([4.+0.j, 0.+0.j, 0.+0.j])
    """
    return _along_one("rfft", _rfft, _real("rfft", need_tensor("fft_rfft", input)), n, dim, norm)


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`, with n real elements; 2 (m - 1) for m elements, if n is None."""
    return _along_one("irfft", _irfft, input, n, dim, norm)


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """`fft` of numbers whose second half, not given, are conjugates of the first: n real ones."""
    return _along_one("hfft", _hfft, input, n, dim, norm)


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return _along_one("ihfft", _ihfft, _real("ihfft", need_tensor("fft_ihfft", input)), n, dim,
                      norm)


def fftn(input: Tensor, s: Sizes = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fft` along several dimensions: `dim`, or the last ones that `s` has sizes for, or all."""
    input = _promoted(need_tensor("fft_fftn", input), to_complex=True)
    return _along_several("fftn", _fft, input, s, dim, norm, some=False)


def ifftn(input: Tensor, s: Sizes = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    input = _promoted(need_tensor("fft_ifftn", input), to_complex=True)
    return _along_several("ifftn", _ifft, input, s, dim, norm, some=False)


def rfftn(input: Tensor, s: Sizes = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fftn` of real numbers: half of the spectrum along the last dimension."""
    input = _real("rfftn", need_tensor("fft_rfftn", input), "expects a real-valued input tensor")
    return _along_several("rfftn", _rfft, input, s, dim, norm)


def irfftn(input: Tensor, s: Sizes = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return _along_several("irfftn", _irfft, input, s, dim, norm)


def hfftn(input: Tensor, s: Sizes = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`hfft` along several dimensions."""
    return _along_several("hfftn", _hfft, input, s, dim, norm)


def ihfftn(input: Tensor, s: Sizes = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    if need_tensor("fft_ihfftn", input).aval.dtype.is_complex:
        raise RuntimeError("Only supports floating-point dtypes, but found: "
                           f"{input.aval.dtype.words}")
    return _along_several("ihfftn", _ihfft, _promoted(input), s, dim, norm)


def _two(name: str, of_several: Callable[..., Any]) -> Callable[..., Tensor]:
    def function(input: Tensor, s: Sizes = None, dim: Sequence[int] = (-2, -1),
                 norm: str | None = None) -> Tensor:
        need_tensor(f"fft_{name}", input)
        return of_several(input, s, dim, norm)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{of_several.__name__}` along two dimensions, the last if not told."
    return function


fft2, ifft2, rfft2 = _two("fft2", fftn), _two("ifft2", ifftn), _two("rfft2", rfftn)
irfft2, hfft2, ihfft2 = _two("irfft2", irfftn), _two("hfft2", hfftn), _two("ihfft2", ihfftn)


# --- frequencies and their order --------------------------------------------------------------


def _frequencies(name: str, found: np.ndarray, dtype: Any, requires_grad: bool) -> Any:
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    if not kind.differentiable:
        raise RuntimeError(f"{name} requires a floating point or complex dtype")
    if kind.is_complex:
        raise NotImplementedError(f'"arange_cpu" not implemented for \'{kind.words}\'')
    return creation.new_leaf(found.astype(kind.numpy), requires_grad)


def _count(n: int) -> int:
    n = operator.index(n)
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    return n


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None,
            device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of what `fft` gives for n samples, in cycles per unit of d.

    Args:
        n: the number of samples.
        d: the distance between samples, in the unit of time or length.
        dtype: a float dtype.
        layout: ignored.
        device: the CPU.
        requires_grad: whether operations on it are recorded.

    Example:
        >>> import wengert as torch
        >>> torch.fft.fftfreq(4, d=0.5)
        tensor([ 0.0000,  0.5000, -1.0000, -0.5000])
    """
    n = _count(n)
    k = np.arange(n, dtype=np.float64)
    k[(n + 1) // 2:] -= n
    return _frequencies("fftfreq", k * (1.0 / (n * d)) if n else k, dtype, requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None,
             device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of what `rfft` gives for n samples, in cycles per unit of d."""
    n = _count(n)
    k = np.arange(n // 2 + 1, dtype=np.float64)
    return _frequencies("rfftfreq", k * (1.0 / (n * d)) if n else k, dtype, requires_grad)


def _shifted(name: str, input: Any, dim: Any, sign: int) -> Any:
    need_tensor(f"fft_{name}", input)
    dims = tuple(range(input.aval.ndim) if dim is None else listed(dim))
    halves = [sign * (input.aval.shape[_one_dim(input, d)] // 2) for d in dims]
    return rearranging.roll(input, halves, dims) if dims else input.clone()


def fftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Frequency 0 in the middle, negative ones before it, along some dimensions or all."""
    return _shifted("fftshift", input, dim, 1)


def ifftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", input, dim, -1)
