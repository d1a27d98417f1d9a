"""Signals, in PyTorch's words: windows, and spectra over time.

    >>> import wengert as torch
    >>> torch.signal.windows.hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
"""

from . import windows as windows

__all__ = ["windows"]
