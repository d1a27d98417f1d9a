"""Special functions: those of the error integral, and the gamma function and its kin.

SciPy evaluates what it has; `incomplete` and `zeta` beside this file do the rest. Derivatives are
written in functions that neither cancel nor overflow where the derivative itself does not.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..core.formats import dense
from ..core.primitive import elementwise
from . import fits, incomplete, zeta as sums
from .elementwise import log, log1p, special, where

_ROOT_PI = math.sqrt(math.pi)
_FRACTION = 60
"""Levels of the continued fraction of erfcx: enough for the last bit from 1.5 on, with what all
further ones come to in place of the next."""

# --- the error integral -----------------------------------------------------------------------


def _erfinv_slope(x: np.ndarray) -> np.ndarray:
    """sqrt(pi) / 2 * exp(y**2) for y = erfinv(x), where exp would magnify y's error: it is
    erfcx(y) / erfc(y), and erfc(y) = 1 - x."""
    size = np.abs(x)
    slope = _ROOT_PI / 2 * special("erfcx")(special("erfinv")(size)) / (1 - size)
    return np.where(size == 1, np.inf, slope).astype(x.dtype, copy=False)


def _ndtri_slope(x: np.ndarray) -> np.ndarray:
    """sqrt(2 pi) exp(y**2 / 2) for y = ndtri(x), in the manner of `_erfinv_slope`."""
    share = np.minimum(x, 1 - x)
    slope = math.sqrt(math.pi / 2) * special("erfcx")(
        -special("ndtri")(share) * math.sqrt(0.5)) / share
    return np.where(share == 0, np.inf, slope).astype(x.dtype, copy=False)


def _erfcx_slope(x: np.ndarray) -> np.ndarray:
    """2 x erfcx(x) - 2 / sqrt(pi), which cancels for large x: there by Laplace's continued
    fraction, sqrt(pi) erfcx(x) = 1 / (x + (1/2) / (x + 1 / (x + (3/2) / (x + ...))))."""
    far, kind = x > 1.5, x.dtype
    near = 2 * x * special("erfcx")(x) - 2 / _ROOT_PI
    if not far.any():
        return np.asarray(near, kind)
    x = np.where(far, x, 1.5).astype(np.float64, copy=False)
    inner = outer = 0.5 * (x + np.sqrt(x * x + 2 * _FRACTION))
    for k in range(_FRACTION, 0, -1):
        inner, outer = outer, x + 0.5 * k / outer
    return np.where(far, -1 / _ROOT_PI / inner / outer, near).astype(kind, copy=False)


erfinv = elementwise("erfinv", special("erfinv"), lambda g, x: g * erfinv_slope(x),
                     refuses={"c": "erfinv_vml_cpu"},
                     lower=fits.narrow(fits.erfinv, lambda: erfinv))
erfinv_slope = elementwise("erfinv_slope", _erfinv_slope,
                           lambda g, x, out: g * (2 * erfinv(x) * (out * out)),
                           lower=fits.narrow(fits.erfinv_slope, lambda: erfinv_slope))
erfcx = elementwise("erfcx", special("erfcx"), lambda g, x: g * erfcx_slope(x),
                    node="SpecialErfcxBackward0", refuses={"c": "erfcx_cpu"})
erfcx_slope = elementwise("erfcx_slope", _erfcx_slope,
                          lambda g, x, out: g * (2 * (erfcx(x) + x * out)))
ndtri = elementwise("ndtri", special("ndtri"), lambda g, x: g * ndtri_slope(x),
                    node="SpecialNdtriBackward0", refuses={"c": "ndtri_cpu"},
                    lower=fits.narrow(fits.ndtri, lambda: ndtri))
ndtri_slope = elementwise("ndtri_slope", _ndtri_slope,
                          lambda g, x, out: g * (ndtri(x) * (out * out)),
                          lower=fits.narrow(fits.ndtri_slope, lambda: ndtri_slope))
log_ndtr = elementwise(
    "log_ndtr", special("log_ndtr"),
    lambda g, x: g * (math.sqrt(2 / math.pi) / erfcx(x * -math.sqrt(0.5))),
    node="SpecialLogNdtrBackward0", refuses={"c": "log_ndtr_cpu"},
    lower=fits.narrow(fits.log_ndtr, lambda: log_ndtr))
entr = elementwise("entr", special("entr"), lambda g, x: -g * (log(x) + 1),
                   node="SpecialEntrBackward0", refuses={"c": "entr_cpu"},
                   lower=lambda x: where(x > 0, -x * log(x), where(x < 0, -math.inf, 0 * x)))
xlog1py = elementwise(
    "xlog1py", special("xlog1py"),
    lambda g, x, y: where((x == 0) & (y <= -1), 0, g * log1p(y)),
    lambda g, x, y: g * (x / (y + 1)), node="SpecialXlog1PyBackward0",
    refuses={"c": "xlog1py_cpu"})
"""x log(1 + y), and 0 where x is 0."""

# --- the gamma function -----------------------------------------------------------------------


def _lgamma(x: np.ndarray) -> np.ndarray:
    """SciPy's, but finite at subnormal numbers, and infinity at -infinity."""
    found = np.asarray(special("gammaln")(x))
    infinite = np.isinf(found)
    if infinite.any():
        found = np.where(infinite, np.abs(np.log(np.abs(x))), found)
        found = np.where((x < 0) & (x == np.rint(x)), np.inf, found)
    return found


def _mvlgamma(x: np.ndarray, p: int) -> np.ndarray:
    total = sum((_lgamma(x - 0.5 * j) for j in range(1, p)), _lgamma(x))
    return np.asarray(total + 0.25 * p * (p - 1) * math.log(math.pi))


def _density_slope(a: Any, x: Any, order: int) -> Any:
    """The derivative of `gamma_density` in a, of the order given."""
    logs = [log(x) - digamma(a), *(-polygamma(a, n=n) for n in range(1, order))]
    return gamma_density(a, x) * incomplete.bell(logs)[order]


lgamma = elementwise("lgamma", _lgamma, lambda g, x: g * digamma(x),
                     refuses={"c": "lgamma_vml_cpu"})
digamma = elementwise("digamma", special("psi"), lambda g, x: g * polygamma(x, n=1),
                      refuses={"c": "digamma"})
polygamma = elementwise("polygamma", sums.polygamma,
                        lambda g, x, n: g * polygamma(x, n=n + 1), refuses={"c": "polygamma"},
                        lower=lambda x, n: (
                            sums.lower_polygamma if x.aval.dtype.is_floating_point and n <= sums.LOW
                            else polygamma)(x, n=n))
mvlgamma = elementwise(
    "mvlgamma", _mvlgamma,
    lambda g, x, p: g * sum((digamma(x - 0.5 * j) for j in range(1, p)), digamma(x)),
    refuses={"c": "mvlgamma"}, order=dense)
"""The logarithm of the multivariate gamma function of dimension p."""

gammainc = elementwise(
    "igamma", functools.partial(incomplete.share, upper=False),
    lambda g, x, y: g * gammainc_slope(x, y, order=1),
    lambda g, x, y: g * gamma_density(x, y), refuses={"bic": "igamma_cpu"})
gammaincc = elementwise(
    "igammac", functools.partial(incomplete.share, upper=True),
    lambda g, x, y: -g * gammainc_slope(x, y, order=1),
    lambda g, x, y: -g * gamma_density(x, y), refuses={"bic": "igammac_cpu"})
gammainc_slope = elementwise(
    "gammainc_slope", incomplete.slope,
    lambda g, x, y, order: g * gammainc_slope(x, y, order=order + 1),
    lambda g, x, y, order: g * _density_slope(x, y, order))
"""A derivative of `gammainc` in its first operand, of the order given."""
gamma_density = elementwise(
    "gamma_density", incomplete.density, lambda g, x, y, out: g * (out * (log(y) - digamma(x))),
    lambda g, x, y, out: g * (out * ((x - 1) / y - 1)))
"""The slope of `gammainc` in its second operand."""

zeta = elementwise("zeta", special("zeta"), lambda g, x, y: g * zeta_slope(x, y, order=1),
                   lambda g, x, y: -g * (x * zeta(x + 1, y)), node="SpecialZetaBackward0",
                   refuses={"c": "zeta_cpu"})
zeta_slope = elementwise(
    "zeta_slope", sums.zeta_slope,
    lambda g, x, y, order: g * zeta_slope(x, y, order=order + 1),
    lambda g, x, y, order: -g * (x * zeta_slope(x + 1, y, order=order) + order * (
        zeta_slope(x + 1, y, order=order - 1) if order > 1 else zeta(x + 1, y))))
"""A derivative of `zeta` in its first operand, of the order given."""
