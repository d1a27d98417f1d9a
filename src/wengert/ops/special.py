"""Special functions, in PyTorch's words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.primitive import Primitive
from ..interpreters.inplace import write
from ..primitives import bessel as b, elementwise as e, special as s
from . import inplace
from .arguments import need_tensor, whole
from .operators import general
from .pointwise import words
from .shapes import as_floats

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "digamma", "erfinv", "i0", "igamma", "igammac", "lgamma", "mvlgamma", "polygamma",
]

_unary = words.unary


def _binary(name: str, primitive: Primitive, says: str, example: Any = "", *,
            tensors: bool = False) -> Callable[[Any, Any], Tensor]:
    """A function of two tensors, of which one may be a number unless `tensors` says otherwise."""
    return words.binary(name, functools.partial(general, primitive, not tensors), says, example,
                        tensors=tensors)


# --- the gamma function -----------------------------------------------------------------------

lgamma = gammaln = _unary("lgamma", s.lgamma, "The logarithm of |gamma(x)| of each element.",
                          ("torch.lgamma(torch.tensor([1., 0.5]))", "tensor([0.0000, 0.5724])"))
digamma = psi = _unary("digamma", s.digamma, "The derivative of lgamma at each element.",
                       ("torch.digamma(torch.tensor([1., 0.5]))", "tensor([-0.5772, -1.9635])"))


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma at each element.

    Raises:
        RuntimeError: if n is negative.

    Example:
        >>> import wengert as torch
        >>> torch.polygamma(1, torch.tensor([1., 0.5]))
        tensor([1.6449, 4.9348])
    """
    n = _order(n)
    need_tensor("polygamma", input, position=2)
    if not n:
        return digamma(input)
    return s.polygamma(as_floats(input), n=n)


def _order(n: Any) -> int:
    n = whole("polygamma", "n", n, 1)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return n


def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p at each element.

    That is p (p - 1) / 4 log(pi) + the sum of lgamma(x - j / 2) for j from 0 to p - 1.

    Raises:
        RuntimeError: if p is less than 1.

    Example:
        >>> import wengert as torch
        >>> torch.mvlgamma(torch.tensor([3., 4.]), 2)
        tensor([1.5502, 3.5651])
    """
    return s.mvlgamma(as_floats(need_tensor("mvlgamma", input)), p=_dimension(p))


def _dimension(p: Any) -> int:
    p = whole("mvlgamma", "p", p, 2)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    return p


def multigammaln(input: Tensor, p: int) -> Tensor:
    """`mvlgamma`, as SciPy calls it."""
    return mvlgamma(input, p)


igamma = gammainc = _binary(
    "igamma", s.gammainc,
    "The lower incomplete gamma function, divided by gamma(input): the integral of\n"
    "t**(input - 1) e**-t from 0 to `other`. It has a derivative in both.",
    ("torch.igamma(torch.tensor([1., 2.]), torch.tensor([1., 1.]))", "tensor([0.6321, 0.2642])"),
    tensors=True)
igammac = gammaincc = _binary(
    "igammac", s.gammaincc, "1 - igamma(input, other), accurate where that is near 1.",
    ("torch.igammac(torch.tensor([1., 2.]), torch.tensor([1., 1.]))", "tensor([0.3679, 0.7358])"),
    tensors=True)
zeta = _binary("zeta", s.zeta, "Hurwitz's zeta function: the sum of (k + other)**-input for k from "
               "0 on.", ("torch.special.zeta(torch.tensor([2.]), 1)", "tensor([1.6449])"))

# --- the error integral -----------------------------------------------------------------------

erfinv = _unary("erfinv", s.erfinv, "The inverse of erf: -inf at -1, inf at 1, NaN beyond.",
                ("torch.erfinv(torch.tensor([0., 0.5]))", "tensor([0.0000, 0.4769])"))
erfcx = _unary("erfcx", s.erfcx, "e**(x**2) erfc(x), without over- or underflow.")
ndtr = _unary("ndtr", e.ndtr, "The share of the normal distribution that is below each element.",
              ("torch.special.ndtr(torch.zeros(1))", "tensor([0.5000])"))
ndtri = _unary("ndtri", s.ndtri, "The inverse of ndtr: -inf at 0, inf at 1.")
log_ndtr = _unary("log_ndtr", s.log_ndtr, "The logarithm of ndtr, accurate far below 0.")
entr = _unary("entr", s.entr, "-x log(x), 0 at 0 and -inf below: what an element has of entropy.")
xlog1py = _binary("xlog1py", s.xlog1py, "input * log(1 + other), and 0 where input is 0.")

# --- Bessel's functions, and Airy's -----------------------------------------------------------

i0 = _unary("i0", b.i0, "The modified Bessel function of the first kind, order 0.",
            ("torch.i0(torch.tensor([0., 1.]))", "tensor([1.0000, 1.2661])"))
i1 = _unary("i1", b.i1, "The modified Bessel function of the first kind, order 1.")
i0e = _unary("i0e", b.i0e, "e**-|x| i0(x), without overflow.")
i1e = _unary("i1e", b.i1e, "e**-|x| i1(x), without overflow.")
bessel_j0 = _unary("bessel_j0", b.bessel_j0, "The Bessel function of the first kind, order 0.")
bessel_j1 = _unary("bessel_j1", b.bessel_j1, "The Bessel function of the first kind, order 1.")
bessel_y0 = _unary("bessel_y0", b.bessel_y0, "The Bessel function of the second kind, order 0.")
bessel_y1 = _unary("bessel_y1", b.bessel_y1, "The Bessel function of the second kind, order 1.")
modified_bessel_i0 = _unary("modified_bessel_i0", b.modified_bessel_i0,
                            "The modified Bessel function of the first kind, order 0.")
modified_bessel_i1 = _unary("modified_bessel_i1", b.modified_bessel_i1,
                            "The modified Bessel function of the first kind, order 1.")
modified_bessel_k0 = _unary("modified_bessel_k0", b.modified_bessel_k0,
                            "The modified Bessel function of the second kind, order 0.")
modified_bessel_k1 = _unary("modified_bessel_k1", b.modified_bessel_k1,
                            "The modified Bessel function of the second kind, order 1.")
scaled_modified_bessel_k0 = _unary("scaled_modified_bessel_k0", b.scaled_modified_bessel_k0,
                                   "e**x modified_bessel_k0(x), without underflow.")
scaled_modified_bessel_k1 = _unary("scaled_modified_bessel_k1", b.scaled_modified_bessel_k1,
                                   "e**x modified_bessel_k1(x), without underflow.")
spherical_bessel_j0 = _unary("spherical_bessel_j0", b.spherical_bessel_j0,
                             "The spherical Bessel function of order 0, sin(x) / x.")
airy_ai = _unary("airy_ai", b.airy_ai, "Airy's function Ai.")

# --- in place ---------------------------------------------------------------------------------

lgamma_, digamma_ = inplace.unary(s.lgamma), inplace.unary(s.digamma)
erfinv_, i0_ = inplace.unary(s.erfinv), inplace.unary(b.i0)
igamma_ = inplace.binary("igamma_", s.gammainc)
igammac_ = inplace.binary("igammac_", s.gammaincc)


def polygamma_(self: Tensor, n: int) -> Tensor:
    """`polygamma`, in place."""
    n = _order(n)
    inplace.check_floats(self)
    return write(s.polygamma, self, n=n) if n else digamma_(self)


def mvlgamma_(self: Tensor, p: int) -> Tensor:
    """`mvlgamma`, in place."""
    p = _dimension(p)
    inplace.check_floats(self)
    return write(s.mvlgamma, self, p=p)


words.settle(globals())
