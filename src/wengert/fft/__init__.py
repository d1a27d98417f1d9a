"""Discrete Fourier transforms, in PyTorch's words and by `scipy.fft`.

    >>> import wengert as torch
    >>> x = torch.tensor([0., 1., 0., -1.])
    >>> torch.fft.rfft(x).abs()
    tensor([0., 2., 0.])
"""

from ..ops.fourier import *
from ..ops.fourier import __all__ as __all__
