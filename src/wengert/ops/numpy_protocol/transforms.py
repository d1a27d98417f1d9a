"""NumPy's decompositions of matrices, what is solved by them, and Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import fourier, shapes
from ..linalg import decompositions, products, solving
from .arguments import Unsupported, floating, promote, stands_for, tensor

# --- matrices ---------------------------------------------------------------------------------


def _of_floats(numpy: Any, ours: Callable[..., Any]) -> None:
    """Enters a function of one stack of matrices."""
    stands_for(numpy)(lambda a: ours(floating(a)))


_of_floats(np.linalg.inv, solving.inv)
_of_floats(np.linalg.det, solving.det)
_of_floats(np.linalg.slogdet, solving.slogdet)
_of_floats(np.linalg.eig, decompositions.eig)
_of_floats(np.linalg.eigvals, decompositions.eigvals)


@stands_for(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    """For one vector, if b has one dimension, else for the columns of matrices."""
    x, y = promote(a, b, floats=True)
    if y.aval.ndim != 1:
        return solving.solve(x, y)
    return shapes.squeeze(solving.solve(x, shapes.unsqueeze(y, -1)), -1)


@stands_for(np.linalg.svdvals)
def _svdvals(x: Any) -> Any:
    return decompositions.svdvals(floating(x))


@stands_for(np.linalg.cholesky)
def _cholesky(a: Any, upper: bool = False) -> Any:
    return solving.cholesky(floating(a), upper=upper)


@stands_for(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803 - NumPy's name
    return decompositions.eigh(floating(a), UPLO)


@stands_for(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803
    return decompositions.eigvalsh(floating(a), UPLO)


@stands_for(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r"):
        raise Unsupported(f"with mode={mode!r}")
    found = decompositions.qr(floating(a), "reduced" if mode == "r" else mode)
    return found[1] if mode == "r" else found


@stands_for(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True,
         hermitian: bool = False) -> Any:
    if hermitian:
        raise Unsupported("with hermitian=")
    x = floating(a)
    return decompositions.svd(x, full_matrices) if compute_uv else decompositions.svdvals(x)


@stands_for(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, rtol: Any = None) -> Any:
    """What is cut off is NumPy's: rounding errors of the larger size, if nothing is said."""
    x = floating(a)
    cut = rcond if rtol is None or rtol is np._NoValue else rtol
    if cut is None or cut is np._NoValue:
        cut = max(x.aval.shape[-2:], default=0) * float(np.finfo(x.aval.dtype.to_real().numpy).eps)
    return decompositions.pinv(x, rtol=cut, hermitian=hermitian)


@stands_for(np.linalg.matrix_power)
def _matrix_power(a: Any, n: Any) -> Any:
    return products.matrix_power(tensor(a) if n >= 0 else floating(a), n)


# --- Fourier transforms -----------------------------------------------------------------------


def _transform(name: str) -> None:
    """Enters a transform along one axis."""
    ours = getattr(fourier, name)

    def along(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
        return ours(floating(a), n, axis, norm)

    stands_for(getattr(np.fft, name))(along)


def _transforms(name: str, default: tuple[int, ...] | None) -> None:
    """Enters a transform along several axes, with those that are meant if none is named."""
    ours = getattr(fourier, name)

    def along(a: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Any:
        return ours(floating(a), s, axes, norm)

    stands_for(getattr(np.fft, name))(along)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _transform(_name)
for _name in ("fftn", "ifftn", "rfftn", "irfftn"):
    _transforms(_name, None)
for _name in ("fft2", "ifft2", "rfft2", "irfft2"):
    _transforms(_name, (-2, -1))


@stands_for(np.fft.fftshift)
def _fftshift(x: Any, axes: Any = None) -> Any:
    return fourier.fftshift(tensor(x), axes)


@stands_for(np.fft.ifftshift)
def _ifftshift(x: Any, axes: Any = None) -> Any:
    return fourier.ifftshift(tensor(x), axes)
