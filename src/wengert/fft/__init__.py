"""Discrete Fourier transforms, in PyTorch's words and by `scipy.fft`.

    >>> import wengert as torch
    >>> x = torch.tensor([0., 1., 0., -1.])
    >>> torch.fft.rfft(x).abs()
    tensor([0., 2., 0.])
"""

import sys as _sys

from ..core.guard import guard as _guard
from ..ops.fourier import *
from ..ops.fourier import __all__ as __all__

_guard(_sys.modules[__name__])
