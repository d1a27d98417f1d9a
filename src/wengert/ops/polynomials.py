"""Orthogonal polynomials, in PyTorch's words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.primitive import Primitive
from ..primitives import polynomials as p
from .arguments import also
from .operators import general, promoted
from .pointwise import words

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v",
    "chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he",
    "laguerre_polynomial_l", "legendre_polynomial_p", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]


def _polynomial(name: str, apply: Callable[[Any, Any], Any], says: str) -> Callable[..., Tensor]:
    return also(x="input", n="other")(words.binary(
        name, apply, f"{says} of degree n at x; 0 for negative n. Either may be a number. It has a "
        "derivative in x."))


def _orthogonal(name: str, primitive: Primitive, says: str) -> Callable[..., Tensor]:
    return _polynomial(name, functools.partial(general, primitive, True), says)


def _shifted(primitive: Primitive) -> Callable[[Any, Any], Any]:
    def function(x: Any, n: Any) -> Any:
        x, n = promoted((x, n), floats=True)
        return primitive(2 * x - 1, n)

    return function


chebyshev_polynomial_t = _orthogonal("chebyshev_polynomial_t", p.chebyshev_polynomial_t,
                                     "Chebyshev's polynomial of the first kind")
chebyshev_polynomial_u = _orthogonal("chebyshev_polynomial_u", p.chebyshev_polynomial_u,
                                     "Chebyshev's polynomial of the second kind")
chebyshev_polynomial_v = _orthogonal("chebyshev_polynomial_v", p.chebyshev_polynomial_v,
                                     "Chebyshev's polynomial of the third kind")
chebyshev_polynomial_w = _orthogonal("chebyshev_polynomial_w", p.chebyshev_polynomial_w,
                                     "Chebyshev's polynomial of the fourth kind")
hermite_polynomial_h = _orthogonal("hermite_polynomial_h", p.hermite_polynomial_h,
                                   "Hermite's polynomial, as physicists have it,")
hermite_polynomial_he = _orthogonal("hermite_polynomial_he", p.hermite_polynomial_he,
                                    "Hermite's polynomial, as statisticians have it,")
laguerre_polynomial_l = _orthogonal("laguerre_polynomial_l", p.laguerre_polynomial_l,
                                    "Laguerre's polynomial")
legendre_polynomial_p = _orthogonal("legendre_polynomial_p", p.legendre_polynomial_p,
                                    "Legendre's polynomial")
(shifted_chebyshev_polynomial_t, shifted_chebyshev_polynomial_u, shifted_chebyshev_polynomial_v,
 shifted_chebyshev_polynomial_w) = (
    _polynomial(f"shifted_{of.name}", _shifted(of), f"`{of.name}` at 2 x - 1, that is,")
    for of in (p.chebyshev_polynomial_t, p.chebyshev_polynomial_u, p.chebyshev_polynomial_v,
               p.chebyshev_polynomial_w))


words.settle(globals())
