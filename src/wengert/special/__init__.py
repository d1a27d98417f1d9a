"""Special functions, under PyTorch's names for them.

    >>> import wengert as torch
    >>> torch.special.gammaln(torch.tensor([1., 0.5]))
    tensor([0.0000, 0.5724])
"""

import sys as _sys

from ..core.guard import guard as _guard
from ..ops.pointwise import (
    erf,
    erfc,
    exp2,
    expm1,
    log1p,
    logit,
    round,
    sigmoid as expit,
    sinc,
    xlogy,
)
from ..ops.polynomials import *
from ..ops.polynomials import __all__ as _polynomials
from ..ops.reduce import log_softmax, logsumexp, softmax
from ..ops.special import (
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    digamma,
    entr,
    erfcx,
    erfinv,
    gammainc,
    gammaincc,
    gammaln,
    i0,
    i0e,
    i1,
    i1e,
    log_ndtr,
    modified_bessel_i0,
    modified_bessel_i1,
    modified_bessel_k0,
    modified_bessel_k1,
    multigammaln,
    ndtr,
    ndtri,
    polygamma,
    psi,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
    xlog1py,
    zeta,
)

__all__ = [  # noqa: PLE0604 - the polynomials' names are a list of strings
    *_polynomials, "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "digamma",
    "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc",
    "gammaln", "i0", "i0e", "i1", "i1e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1",
    "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1", "sinc", "softmax", "spherical_bessel_j0", "xlog1py", "xlogy",
    "zeta",
]

_guard(_sys.modules[__name__])
