"""Functions of one operand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.out import into
from ...primitives import elementwise as e
from .. import operators, results
from ..arguments import need_tensor
from ..operators import promoted
from .words import documented, unary

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "abs", "absolute", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctanh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg2rad", "erf", "erfc",
    "exp", "exp2", "expm1", "fix", "floor", "frac", "frexp", "log", "log1p", "log2", "log10",
    "logit", "nan_to_num", "neg", "negative", "positive", "rad2deg", "reciprocal", "relu",
    "round", "rsqrt", "sgn", "sigmoid", "sign", "sin", "sinc", "sinh", "softplus", "sqrt",
    "square", "tan", "tanh", "trunc",
]

# --- smooth ones ------------------------------------------------------------------------------

exp = unary("exp", e.exp, "e**x of each element.", ("torch.exp(torch.zeros(2))",
                                                    "tensor([1., 1.])"))
exp2 = unary("exp2", e.exp2, "2**x of each element.")
expm1 = unary("expm1", e.expm1, "e**x - 1 of each element, accurate near 0.")
log = unary("log", e.log, "The natural logarithm of each element: -inf at 0, NaN below.",
            ("torch.log(torch.ones(2))", "tensor([0., 0.])"))
log2 = unary("log2", e.log2, "The logarithm to base 2 of each element.")
log10 = unary("log10", e.log10, "The logarithm to base 10 of each element.")
log1p = unary("log1p", e.log1p, "log(1 + x) of each element, accurate near 0.")
sqrt = unary("sqrt", e.sqrt, "The square root of each element; NaN below 0.",
             ("torch.sqrt(torch.tensor([4., 9.]))", "tensor([2., 3.])"))
rsqrt = unary("rsqrt", e.rsqrt, "1 / sqrt(x) of each element.")
reciprocal = unary("reciprocal", e.reciprocal, "1 / x of each element.")
sin = unary("sin", e.sin, "The sine of each element, in radians.")
cos = unary("cos", e.cos, "The cosine of each element, in radians.")
tan = unary("tan", e.tan, "The tangent of each element, in radians.")
asin = unary("asin", e.asin, "The inverse sine of each element, in radians.")
acos = unary("acos", e.acos, "The inverse cosine of each element, in radians.")
atan = unary("atan", e.atan, "The inverse tangent of each element, in radians.")
sinh = unary("sinh", e.sinh, "The hyperbolic sine of each element.")
cosh = unary("cosh", e.cosh, "The hyperbolic cosine of each element.")
tanh = unary("tanh", e.tanh, "The hyperbolic tangent of each element.")
asinh = unary("asinh", e.asinh, "The inverse hyperbolic sine of each element.")
acosh = unary("acosh", e.acosh, "The inverse hyperbolic cosine of each element.")
atanh = unary("atanh", e.atanh, "The inverse hyperbolic tangent of each element.")
sinc = unary("sinc", e.sinc, "sin(pi x) / (pi x) of each element, 1 at 0.",
             ("torch.sinc(torch.tensor([0., 0.5]))", "tensor([1.0000, 0.6366])"))
deg2rad = unary("deg2rad", e.deg2rad, "Each element's angle in radians, given in degrees.",
                ("torch.deg2rad(torch.tensor([180., 90.]))", "tensor([3.1416, 1.5708])"))
rad2deg = unary("rad2deg", e.rad2deg, "Each element's angle in degrees, given in radians.")
sigmoid = unary("sigmoid", e.sigmoid, "1 / (1 + e**-x) of each element.",
                ("torch.sigmoid(torch.zeros(2))", "tensor([0.5000, 0.5000])"))
erf = unary("erf", e.erf, "The error function, 2/sqrt(pi) times the integral of e**-t**2.")
erfc = unary("erfc", e.erfc, "1 - erf(x), accurate for large x.")


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)) of each element, the inverse of `sigmoid`.

    Args:
        input: a tensor of numbers between 0 and 1; what is outside gives NaN.
        eps: if given, elements are first limited to [eps, 1 - eps].

    Example:
        >>> import wengert as torch
        >>> torch.logit(torch.tensor([0.5, 0.75]))
        tensor([0.0000, 1.0986])
    """
    if not need_tensor("logit", input).aval.dtype.differentiable:
        input = promoted((input,), floats=True)[0]
    return e.logit(input, eps=None if eps is None else float(eps))


def square(input: Tensor) -> Tensor:
    """x**2 of each element."""
    if need_tensor("square", input).aval.dtype is dtypes.bool_:
        input = operators.to_kind(input, dtypes.int64)
    return _square(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e**(beta x)) / beta of each element; x itself where beta x is over the threshold."""
    return e.softplus(need_tensor("softplus", input), beta=float(beta),
                      threshold=float(threshold))


# --- signs and limits -------------------------------------------------------------------------

_neg, _abs, _relu, _square = (operators.unary(e.neg), operators.unary(e.abs_),
                              operators.unary(e.relu), operators.unary(e.square))
sign = unary("sign", e.sign, "-1, 0 or 1 by the sign of each element.", floats=False)
_sgn, _sgn_of_real = operators.unary(e.sgn), operators.unary(e.sgn_of_real)


def sgn(input: Tensor) -> Tensor:
    """x / |x| of each element, 0 at 0."""
    return (_sgn if need_tensor("sgn", input).aval.is_complex else _sgn_of_real)(input)


def neg(input: Tensor) -> Tensor:
    """-x of each element.

    Raises:
        RuntimeError: for bools.
    """
    if need_tensor("neg", input).aval.dtype is dtypes.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead.")
    return _neg(input)


def positive(input: Tensor) -> Tensor:
    """The tensor itself.

    Raises:
        RuntimeError: for bools.
    """
    if need_tensor("positive", input).aval.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def abs(input: Tensor) -> Tensor:
    """The absolute value of each element (of complex ones, the modulus); slope 0 at 0.

    Example:
        >>> import wengert as torch
        >>> torch.abs(torch.tensor([-1, 2]))
        tensor([1, 2])
    """
    return _abs(input)


def relu(input: Tensor) -> Tensor:
    """max(x, 0) of each element; slope 0 at 0.

    Example:
        >>> import wengert as torch
        >>> torch.relu(torch.tensor([-1., 2.]))
        tensor([0., 2.])
    """
    if need_tensor("relu", input).aval.dtype is dtypes.bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    return _relu(input)


def nan_to_num(input: Tensor, nan: float | None = None, posinf: float | None = None,
               neginf: float | None = None) -> Tensor:
    """Each element, but finite numbers in place of NaN and infinities.

    Args:
        input: a tensor.
        nan: what NaN becomes; 0 if not given.
        posinf: what infinity becomes; if not given, the largest number of the dtype.
        neginf: what -infinity becomes; if not given, the lowest number of the dtype.

    Example:
        >>> import wengert as torch
        >>> torch.nan_to_num(torch.tensor([float("nan"), float("inf"), 1.]), posinf=9.)
        tensor([0., 9., 1.])
    """
    return e.nan_to_num(need_tensor("nan_to_num", input),
                        **finite_numbers(input.aval.dtype, nan, posinf, neginf))


def finite_numbers(kind: dtypes.dtype, nan: float | None, posinf: float | None,
                   neginf: float | None) -> dict[str, float]:
    """The parameters of `e.nan_to_num`, given PyTorch's."""
    largest = _largest(kind.to_real()) if kind.differentiable else 0.0
    return {"nan": 0.0 if nan is None else float(nan),
            "posinf": largest if posinf is None else float(posinf),
            "neginf": -largest if neginf is None else float(neginf)}


def _largest(kind: dtypes.dtype) -> float:
    """The largest number of a float dtype."""
    return float(np.nextafter(np.array(np.inf, kind.numpy), np.array(0, kind.numpy)))


# --- roundings --------------------------------------------------------------------------------


def _rounding(name: str, primitive: Any, says: str) -> Callable[[Tensor], Tensor]:
    apply = operators.unary(primitive)

    def function(input: Any, *, out: Any = None) -> Any:
        if out is not None:
            return into(function, (input,), {"out": out})
        if not need_tensor(name, input).aval.dtype.differentiable:
            primitive.abstract(input.aval.plain)  # which refuses bools
            return input.clone()
        return apply(input)

    return documented(function, name, says)


floor = _rounding("floor", e.floor, "The largest integer not above each element.")
ceil = _rounding("ceil", e.ceil, "The smallest integer not below each element.")
trunc = _rounding("trunc", e.trunc, "Each element without its fraction.")
frac = unary("frac", e.frac, "The fraction of each element, with its sign.",
             ("torch.frac(torch.tensor([1.5, -2.25]))", "tensor([ 0.5000, -0.2500])"),
             floats=False)
_round = operators.unary(e.round_)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, halves to the even one; or to a number of decimals."""
    if decimals:
        return e.round_decimals(need_tensor("round", input), decimals=decimals)
    if not need_tensor("round", input).aval.dtype.differentiable:
        e.round_.abstract(input.aval.plain)  # which refuses bools
        return input.clone()
    return _round(input)


def frexp(input: Tensor) -> results.frexp:
    """Each element's mantissa, between 1/2 and 1 in size, and exponent: x = m * 2**e.

    Raises:
        RuntimeError: unless the tensor is of floats.

    Example:
        >>> import wengert as torch
        >>> torch.frexp(torch.tensor([5., -0.5]))
        torch.return_types.frexp(
        mantissa=tensor([ 0.6250, -0.5000]),
        exponent=tensor([3, 0], dtype=torch.int32))
    """
    if not need_tensor("frexp", input).aval.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return results.frexp(e.mantissa(input), e.exponent(input.detach()))


# PyTorch's other names for the same things.
absolute, arccos, arccosh, arcsin, arcsinh = abs, acos, acosh, asin, asinh
arctan, arctanh, fix, negative = atan, atanh, trunc, neg
