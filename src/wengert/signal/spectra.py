"""Spectra over time: the short-time Fourier transform, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.handle import wrap
from ..core.provenance import warn
from ..nn.functional import padding
from ..ops import creation, fourier, pointwise, scattering, shapes, strides
from ..ops.arguments import need_tensor

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["istft", "stft"]
_LEAST = 1e-11  # of what windows that overlap add up to


def stft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
         window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
         normalized: bool = False, onesided: bool | None = None,
         return_complex: bool | None = None, align_to_window: Any = None) -> Tensor:
    """The Fourier transforms of pieces of a signal that follow, and overlap, each other.

    Args:
        input: the signal: one, or a batch of them.
        n_fft: the length of a piece.
        hop_length: how far apart pieces begin; a quarter of their length by default.
        win_length: the length of the window, which is amid zeros if it is shorter than a piece.
        window: what pieces are multiplied by.
        center: whether the middle of a piece, not its beginning, is where it counts; the signal
            goes on for half a piece at both ends.
        pad_mode: how it does, as for `nn.functional.pad`.
        normalized: whether transforms keep lengths, that is, are divided by sqrt(n_fft).
        onesided: whether only frequencies up to the middle are given, as for real signals.
        return_complex: whether the result is complex, not pairs of real numbers.
        align_to_window: whether pieces are as long as the window, if they are not centered.

    Returns:
        A tensor of shape [..., frequencies, pieces].

    Raises:
        RuntimeError: for lengths or shapes that do not fit, or if nothing says that the result is
            complex.

    Example:
        >>> import wengert as torch
        >>> x = torch.sin(torch.arange(64) * (2 * torch.pi / 8))
        >>> spectrum = torch.stft(x, 16, window=torch.hann_window(16), return_complex=True)
        >>> spectrum.shape, spectrum.abs()[:, 8].argmax().item()
        (torch.Size([9, 17]), 2)
    """
    x = need_tensor("stft", input)
    hop, length = _lengths(n_fft, hop_length, win_length)
    mixed = x.aval.is_complex or (window is not None and window.aval.is_complex)
    as_complex = _answer(return_complex, mixed)
    one = not mixed if onesided is None else bool(onesided)
    _need(x.aval.dtype.differentiable and x.aval.ndim in (1, 2),
          "stft", "expected a 1D or 2D tensor of floating point or complex values")
    _need(not center or align_to_window is None, "stft",
          "align_to_window should only be set when center = false.")
    _check_lengths("stft", n_fft, hop, length, window)
    _need(not (one and mixed), "stft",
          "Cannot have onesided output if window or input is complex")
    alone, size = x.aval.ndim == 1, length if align_to_window else n_fft
    x = shapes.unsqueeze(x, 0) if alone else x
    if center:
        x = padding.pad(x, (n_fft // 2, n_fft // 2), pad_mode)
    _need(0 < n_fft <= x.aval.shape[-1], "stft",
          f"expected 0 < n_fft < {x.aval.shape[-1]}, but got n_fft={n_fft}")
    pieces = strides.unfold(x, -1, size, hop)
    if window is None:
        warn("A window was not provided. A rectangular window will be applied, which is "
             "known to cause spectral leakage. Other windows such as "
             "torch.hann_window or torch.hamming_window are recommended to reduce "
             "spectral leakage. To suppress this warning and use a rectangular window, "
             "explicitly set `window=torch.ones(n_fft, device=<device>)`.")
    if window is not None or length < size:
        pieces = pieces * _widened(_or_ones(window, length, x), size)
    transform = fourier.rfft if one else fourier.fft
    found = shapes.transpose(transform(pieces, n_fft, norm=_norm(normalized)), -1, -2)
    found = shapes.squeeze(found, 0) if alone else found
    return found if as_complex else pointwise.view_as_real(found)


def istft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
          window: Tensor | None = None, center: bool = True, normalized: bool = False,
          onesided: bool | None = None, length: int | None = None,
          return_complex: bool = False) -> Tensor:
    """The signal of which `stft` gives the spectra: of all, the one that comes nearest to them.

    Args:
        input: complex, of shape [..., frequencies, pieces].
        n_fft: as for `stft`.
        hop_length: likewise.
        win_length: likewise.
        window: likewise.
        center: likewise.
        normalized: likewise.
        onesided: whether the frequencies are those up to the middle alone.
        length: of the signal; what is known of it by default.
        return_complex: whether the signal is complex.

    Raises:
        RuntimeError: for shapes that do not fit, or windows whose squares add up to zero somewhere.

    Example:
        >>> import wengert as torch
        >>> x, w = torch.arange(12.), torch.hann_window(4)
        >>> spectrum = torch.stft(x, 4, window=w, return_complex=True)
        >>> torch.allclose(torch.istft(spectrum, 4, window=w), x, atol=1e-5)
        True
    """
    x = need_tensor("istft", input)
    hop, size = _lengths(n_fft, hop_length, win_length)
    one = _check_spectra(x, n_fft, onesided)
    _check_lengths("istft", n_fft, hop, size, window)
    _need(hop <= size, "istft", "expected 0 < hop_length <= win_length")
    if return_complex:
        _need(not one, "istft", "cannot have onesided output if window or input is complex")
    elif window is not None:
        _need(not window.aval.is_complex, "istft",
              "Complex windows are incompatible with return_complex=False")
    alone = x.aval.ndim == 2
    spectra = shapes.transpose(shapes.unsqueeze(x, 0) if alone else x, -1, -2)
    transform = fourier.ifft if return_complex else fourier.irfft  # which reads the first half
    pieces = transform(spectra, n_fft, norm=_norm(normalized))
    shape = _widened(_or_ones(window, size, pieces), n_fft)
    total = _added(pieces * shape, hop)
    weight = _added(shapes.expand(shape * shape, (1, *pieces.aval.shape[1:])), hop)
    found = _cut(total, weight, n_fft // 2 if center else 0, length)
    return shapes.squeeze(found, 0) if alone else found


def _need(holds: bool, name: str, told: str) -> None:
    if not holds:
        raise RuntimeError(f"{name}(): {told}")


def _lengths(n_fft: int, hop: int | None, length: int | None) -> tuple[int, int]:
    return n_fft // 4 if hop is None else hop, n_fft if length is None else length


def _answer(as_complex: bool | None, mixed: bool) -> bool:
    """Whether a result is complex, where all must say so but those of complex numbers."""
    if as_complex is None:
        _need(mixed, "stft", "requires the return_complex parameter be given for real inputs, and "
              "will further require that return_complex=True in a future PyTorch release.")
    elif not as_complex:
        warn("stft with return_complex=False is deprecated. In a future pytorch release, "
             "stft will return complex tensors for all inputs, and return_complex=False "
             "will raise an error.")
    return as_complex is not False


def _check_lengths(name: str, n_fft: int, hop: int, length: int, window: Tensor | None) -> None:
    _need(n_fft > 0, name, f"expected n_fft > 0, but got n_fft={n_fft}")
    _need(hop > 0, name, f"expected hop_length > 0, but got hop_length={hop}")
    _need(0 < length <= n_fft, name,
          f"expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None:
        shape = tuple(need_tensor(name, window, "window", 5).aval.shape)
        _need(shape == (length,), name, "expected a 1D window tensor of size equal to win_length="
              f"{length}, but got window with size {list(shape)}")


def _check_spectra(x: Any, n_fft: int, onesided: bool | None) -> bool:
    """Looks at what `istft` is given; whether frequencies are those up to the middle."""
    _need(x.aval.is_complex, "istft", "requires a complex-valued input tensor matching the output "
          "from stft with return_complex=True.")
    _need(x.aval.ndim in (2, 3), "istft", "expected a tensor with 2 or 3 dimensions, but got "
          f"{x.aval.ndim}")
    _need(x.aval.numel > 0, "istft", "input tensor cannot be empty.")
    count = x.aval.shape[-2]
    one = count != n_fft if onesided is None else bool(onesided)
    wanted = n_fft // 2 + 1 if one else n_fft
    _need(count == wanted, "istft", "expected the frequency dimension (3rd to the last) of the "
          f"input tensor to match {'n_fft / 2 + 1' if one else 'n_fft'} when onesided={one}, but "
          f"got {count}")
    return one


def _or_ones(window: Tensor | None, length: int, like: Any) -> Tensor:
    kind = like.aval.dtype.to_real()
    return creation.ones(length, dtype=kind) if window is None else window


def _widened(window: Tensor, size: int) -> Tensor:
    """A window amid zeros."""
    before = (size - window.aval.shape[0]) // 2
    after = size - window.aval.shape[0] - before
    return padding.pad(window, (before, after)) if before or after else window


def _norm(normalized: bool) -> str | None:
    return "ortho" if normalized else None


def _added(pieces: Any, hop: int) -> Tensor:
    """Pieces of shape [batch, pieces, length], each put where it begins, and added."""
    batch, count, length = pieces.aval.shape
    where = (np.arange(count)[:, None] * hop + np.arange(length)).reshape(-1)
    whole = creation.zeros(batch, length + hop * (count - 1), dtype=pieces.aval.dtype)
    return scattering.index_add(whole, 1, wrap(where),
                                shapes.reshape(pieces, batch, count * length))


def _cut(total: Any, weight: Any, before: int, length: int | None) -> Tensor:
    """The part of a sum that is the signal, by the windows' part in it."""
    whole = total.aval.shape[-1]
    end = whole - before if length is None else before + length
    total, weight = (part[:, before:min(end, whole)] for part in (total, weight))
    if weight.aval.level is None:  # inside a transform, nobody can look
        least = pointwise.abs(weight.detach()).min().item()
        _need(least > _LEAST, "istft", f"window overlap add min: {least:g}")
    if end > whole:
        warn("The length of signal is shorter than the length parameter. Result is being "
             "padded with zeros in the tail. Please check your center, hop_length and "
             "win_length settings")
        return padding.pad(total / weight, (0, end - whole))
    return total / weight
