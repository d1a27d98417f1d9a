"""Primitives that act on elements alone: value and derivative of each on one screen.

Each rule is the linear map from the cotangent `g` of the result's element to that of the
operand's; being diagonal, it maps tangents the other way as well. Forms are chosen so that the
derivative keeps its relative accuracy over the whole range of the type, not only near zero.
Operands have equal dtypes (the operators above see to that) and are broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.dtypes import BOOL
from ..core.formats import dense
from ..core.levels import quietly
from ..core.primitive import Primitive, elementwise
from .layout import cast
from .pieces import (
    NO_COMPLEX_CLAMP as NO_COMPLEX_CLAMP,
    abs_ as abs_,
    ceil as ceil,
    clamp as clamp,
    clamp_between as clamp_between,
    clamp_from as clamp_from,
    clamp_max as clamp_max,
    clamp_max_tensor as clamp_max_tensor,
    clamp_min as clamp_min,
    clamp_min_tensor as clamp_min_tensor,
    clamp_up_to as clamp_up_to,
    copy as copy,
    copysign as copysign,
    copysign_of_number as copysign_of_number,
    exponent as exponent,
    fill as fill,
    fill_tensor as fill_tensor,
    filled as filled,
    floor as floor,
    fmax as fmax,
    fmin as fmin,
    frac as frac,
    heaviside as heaviside,
    is_complex as is_complex,
    lerp as lerp,
    mantissa as mantissa,
    masked_fill as masked_fill,
    maximum as maximum,
    minimum as minimum,
    nan_to_num as nan_to_num,
    nextafter as nextafter,
    round_ as round_,
    round_decimals as round_decimals,
    sgn as sgn,
    sgn_of_real as sgn_of_real,
    sign as sign,
    trunc as trunc,
    where as where,
    zero as zero,
)
from .questions import (
    bitwise_and as bitwise_and,
    bitwise_not as bitwise_not,
    bitwise_or as bitwise_or,
    bitwise_xor as bitwise_xor,
    eq as eq,
    gcd as gcd,
    ge as ge,
    gt as gt,
    isfinite as isfinite,
    isin as isin,
    isinf as isinf,
    isnan as isnan,
    isreal as isreal,
    lcm as lcm,
    le as le,
    left_shift as left_shift,
    logical_and as logical_and,
    logical_not as logical_not,
    logical_or as logical_or,
    logical_xor as logical_xor,
    lt as lt,
    ne as ne,
    right_shift as right_shift,
    signbit as signbit,
)

LN2, LN10, TWO_OVER_SQRT_PI = math.log(2), math.log(10), 2 / math.sqrt(math.pi)
SQRT_HALF = math.sqrt(0.5)
DEGREE, RADIAN = math.pi / 180, 180 / math.pi


class _Zeros(dict[Any, np.ndarray]):
    def __missing__(self, kind: Any) -> np.ndarray:
        return self.setdefault(kind, np.zeros((), kind))


ZERO = _Zeros()
"""A 0 of each dtype: NumPy takes arrays faster than it takes Python's numbers."""


def slope(name: str, evaluate: Callable[..., Any], function: Callable[..., Any],
          refuses: str = "bic") -> Primitive:
    """What a rule makes of a cotangent, where that takes more than a product or two.

    `function` says it in primitives; `evaluate` is the same on arrays, in few of NumPy's calls,
    which is what small arrays cost.
    """
    return elementwise(name, evaluate, decompose=function, lower=function,
                       refuses={refuses: f"{name}_cpu"})


def special(name: str) -> Any:
    """A function of `scipy.special`, which is imported when it is first called.

    Its attribute `loaded` gives the ufunc itself, for those who call it often.
    """
    function: Any = None

    def loaded() -> Any:
        nonlocal function
        if function is None:
            from scipy import special

            function = getattr(special, name)
        return function

    def call(*arrays: np.ndarray) -> np.ndarray:
        found: np.ndarray = (function or loaded())(*arrays)
        return found

    call.loaded = loaded  # type: ignore[attr-defined]
    return call


def _trunc_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "f":
        return np.trunc(x / y)
    quotient = np.floor_divide(x, y)
    return quotient + ((quotient < 0) & (quotient * y != x))


def _lower_trunc_quotient(x: Any, y: Any) -> Any:
    if x.aval.dtype.is_floating_point:
        return trunc(x / y)
    quotient = floor_divide(x, y)
    return quotient + cast((quotient < 0) & (quotient * y != x), dtype=x.aval.dtype)


# --- arithmetic -------------------------------------------------------------------------------

add = elementwise("add", np.add, lambda g: g, lambda g: g)
sub = elementwise("sub", np.subtract, lambda g: g, lambda g: -g)
rsub = sub.named("RsubBackward1")
mul = elementwise("mul", np.multiply, lambda g, y: g * y, lambda g, x: g * x,
                  multilinear=True)
div = elementwise("div", np.divide, lambda g, y: g / y, lambda g, x, y: -g * (x / y) / y)


def _negate(x: np.ndarray) -> None:
    """-x in x's own place; NumPy 2.4's negative gets some strides wrong there."""
    if x.flags.c_contiguous:
        np.negative(x, x)
    else:
        x[...] = np.negative(x)


neg = elementwise("neg", np.negative, lambda g: -g, store=_negate)
remainder = elementwise("remainder", np.remainder, lambda g: g,
                        lambda g, x, y: -g * floor_quotient(x, y), node="RemainderBackward1",
                        refuses={"bc": "remainder_cpu"})
fmod = elementwise("fmod", np.fmod, lambda g: g, lambda g, x, y: -g * trunc_quotient(x, y),
                   node="FmodBackward1", refuses={"bc": "fmod_cpu"})
remainder_by_number = remainder.named("RemainderBackward0")
fmod_by_number = fmod.named("FmodBackward0")
floor_divide = elementwise("floor_divide", np.floor_divide, node="FloorDivideBackward0",
                           refuses={"bc": "div_floor_cpu"})
floor_quotient = elementwise("floor_quotient", np.floor_divide, lambda g: zero(g),
                             lambda g: zero(g), node="DivBackward2",
                             refuses={"bc": "div_floor_cpu"},
                             lower=lambda x, y: floor_divide(x, y))
"""`floor_divide` as PyTorch differentiates it under its other name, div: flat."""
trunc_quotient = elementwise("trunc_quotient", _trunc_quotient, lambda g: zero(g),
                             lambda g: zero(g), node="DivBackward2",
                             refuses={"bc": "div_trunc_cpu"}, lower=_lower_trunc_quotient)
"""x / y rounded towards zero."""
reciprocal = elementwise("reciprocal", np.reciprocal, lambda g, out: -g * out * out)
positive = elementwise("positive", np.positive, lambda g: g)


def _less_quotient(g: Any, y: Any, z: Any, w: Any) -> Any:
    return -g * (w * (y / z) / z)


# Updates of one operand by others. A scale is an operand, so that kernels serve all of its values.
add_scaled = elementwise("add_scaled", lambda x, y, z: x + y * z, lambda g: g, lambda g, z: g * z,
                         lambda g, y: g * y, node="AddBackward0",
                         store=lambda x, y, z: np.add(x, y * z, x), lower=lambda x, y, z: x + y * z)
sub_scaled = add_scaled.named("SubBackward0")
addcmul = elementwise("addcmul", lambda x, y, z, w: x + w * (y * z), lambda g: g,
                      lambda g, z, w: g * (z * w), lambda g, y, w: g * (y * w),
                      lambda g, y, z: g * (y * z), refuses={"b": "addcmul_cpu_out"},
                      store=lambda x, y, z, w: np.add(x, w * (y * z), x),
                      lower=lambda x, y, z, w: x + w * (y * z))
"""x + w y z."""
addcdiv = elementwise("addcdiv", lambda x, y, z, w: x + w * (y / z), lambda g: g,
                      lambda g, z, w: g * (w / z), _less_quotient, lambda g, y, z: g * (y / z),
                      store=lambda x, y, z, w: np.add(x, w * (y / z), x),
                      lower=lambda x, y, z, w: x + w * (y / z))
"""x + w y / z."""

# --- powers -----------------------------------------------------------------------------------


def _power_base(g: Any, x: Any, y: Any) -> Any:
    return where(y == 0, 0, g * (y * power(x, y - 1)))


def _power_exponent(g: Any, x: Any, y: Any, out: Any) -> Any:
    """0 where 0 ** y is flat, as PyTorch has it; else out * log(x)."""
    flat = x == 0 if is_complex(x) else (x == 0) & (y >= 0)
    return where(flat, 0, g * (out * log(x)))


def _scalar_power(x: np.ndarray, exponent: float) -> np.ndarray:
    return np.power(x, np.asarray(exponent, x.dtype))


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x ** y; of integers with negative exponents, the part before the point."""
    if x.dtype.kind != "i" or not np.any(y < 0):
        return np.power(x, y)
    whole = np.power(x, np.maximum(y, 0))
    return np.where((y >= 0) | (x == 1), whole, np.where(x == -1, 1 - 2 * (y % 2), 0))


def _lower_power(x: Any, y: Any) -> Any:
    if x.aval.numpy.kind != "i":
        return power(x, y)
    whole = power(x, maximum(y, 0))
    return where((y >= 0) | (x == 1), whole, where(x == -1, 1 - 2 * remainder(y, 2), 0))


def _root_power(x: Any) -> Any:
    """x ** 0.5: by the book 0 at -0.0 and infinite at -infinity. NumPy takes the root for most
    types, which is -0.0 and NaN there; it is asked."""
    if np.isnan(quietly(_scalar_power, np.full(1, -np.inf, x.aval.numpy), 0.5)).all():
        return sqrt(x)
    return _book_root(x)


def _book_root(x: Any) -> Any:
    return where(x == -math.inf, math.inf, sqrt(x + 0.0))


_SMALL: dict[float, Callable[[Any], Any]] = {
    0: lambda x: filled(x, 1), 1: lambda x: x, 2: lambda x: x * x, 3: lambda x: x * x * x}
_SMALL_FLOAT: dict[float, Callable[[Any], Any]] = {
    **_SMALL, -1: lambda x: reciprocal(x), 0.5: _root_power,
    -0.5: lambda x: reciprocal(_book_root(x))}


def _lower_scalar_power(x: Any, exponent: float) -> Any:
    kind = x.aval.dtype
    if kind.is_floating_point:
        small = _SMALL_FLOAT.get(exponent)
        return small(x) if small else power(x, np.asarray(exponent, x.aval.numpy))
    exponent = int(exponent)
    if exponent < 0 or kind.category == BOOL:
        return scalar_power(x, exponent=exponent)  # NumPy refuses, or has its own way
    return _SMALL[exponent](x) if exponent in _SMALL else power(
        x, np.asarray(exponent, x.aval.numpy))


power = elementwise("pow", _power, _power_base, _power_exponent, node="PowBackward1",
                    refuses={"b": "pow"}, lower=_lower_power)
power.ufunc = np.power  # for floats, which are all that the fast path sees
power_of_scalar = power.named("PowBackward2", order=dense)
scalar_power = elementwise(
    "scalar_pow", _scalar_power,
    lambda g, x, exponent: g * 0 if exponent == 0 else g * (
        exponent * scalar_power(x, exponent=exponent - 1)), node="PowBackward0",
    lower=_lower_scalar_power)
"""x ** exponent for a Python number; real exponents only."""
square = elementwise("square", np.square, lambda g, x: g * (x + x), node="PowBackward0")
sqrt = elementwise("sqrt", np.sqrt, lambda g, out: g / (out + out))
rsqrt = elementwise("rsqrt", lambda x: 1 / np.sqrt(x), lambda g, x, out: -g * (out / (x + x)),
                    lower=lambda x: reciprocal(sqrt(x)))
hypot = elementwise("hypot", np.hypot, lambda g, x, out: g * (x / out),
                    lambda g, y, out: g * (y / out), refuses={"bic": "hypot_cpu"})

# --- exponentials and logarithms --------------------------------------------------------------


def _logaddexp(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log(e**x + e**y); of complex numbers by way of the one with the larger real part."""
    if x.dtype.kind != "c":
        return np.logaddexp(x, y)
    first = x.real >= y.real
    high, low = np.where(first, x, y), np.where(first, y, x)
    return np.where(x == y, x + math.log(2), high + np.log1p(np.exp(low - high)))


def _xlogy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where((x == 0) & (y == y), x.dtype.type(0), x * np.log(y))


exp = elementwise("exp", np.exp, lambda g, out: g * out)
exp2 = elementwise("exp2", np.exp2, lambda g, out: g * (out * LN2))
expm1 = elementwise("expm1", np.expm1, lambda g, x: g * exp(x))
log = elementwise("log", np.log, lambda g, x: g / x)
log2 = elementwise("log2", np.log2, lambda g, x: g / (x * LN2))
log10 = elementwise("log10", np.log10, lambda g, x: g / (x * LN10))
log1p = elementwise("log1p", np.log1p, lambda g, x: g / (x + 1), node="Log1PBackward0")
logaddexp = elementwise("logaddexp", _logaddexp, lambda g, x, y: g * sigmoid(x - y),
                        lambda g, x, y: g * sigmoid(y - x), refuses={"bi": "logaddexp_cpu"})
logaddexp.ufunc = np.logaddexp  # for real numbers, which are all that the fast path sees
logaddexp2 = elementwise(
    "logaddexp2", np.logaddexp2, lambda g, x, y: g * sigmoid((x - y) * LN2),
    lambda g, x, y: g * sigmoid((y - x) * LN2), refuses={"bic": "logaddexp2_cpu"},
    lower=lambda x, y: where(x == y, x + 1, maximum(x, y) + log1p(exp2(-abs_(x - y))) / LN2))
xlogy = elementwise("xlogy", _xlogy, lambda g, x, y: where((x == 0) & (y <= 0), 0, g * log(y)),
                    lambda g, x, y: g * (x / y), refuses={"c": "xlogy_cpu"},
                    lower=lambda x, y: where((x == 0) & (y == y), 0, x * log(y)))
"""x log(y), 0 where x is 0."""
xlogy_by_number = xlogy.named("XlogyBackward2")
ldexp = elementwise("ldexp", lambda x, y: x * np.exp2(y), lambda g, y: g * exp2(y),
                    lambda g, out: g * (out * LN2), lower=lambda x, y: x * exp2(y))
"""x 2**y."""

# --- trigonometric and hyperbolic -------------------------------------------------------------


def _sech2(x: np.ndarray) -> np.ndarray:
    """1/cosh(x)**2 as 4e/(1 + e)**2 with e = exp(-2|x|): without overflow, and without the
    cancellation of 1 - tanh(x)**2. In place, since memory is what it costs."""
    if x.dtype.kind == "c":
        return 1 - np.tanh(x) ** 2
    e = np.asarray(np.abs(x))
    e *= -2
    np.exp(e, out=e)
    below = e + 1
    below *= below
    e *= 4
    e /= below
    return e


def _sinc_slope(x: Any) -> Any:
    """(cos(pi x) - sinc(x)) / x; near 0, where that cancels, by its Taylor series."""
    near = abs_(x) < _NEAR_SINC
    square = (x * math.pi) * (x * math.pi)
    series = 0.0 * square
    for coefficient in _SINC_SERIES:
        series = series * square + coefficient
    apart = where(near, 1, x)
    return where(near, x * series, (cos(apart * math.pi) - sinc(apart)) / apart)


def _sinc_bend(x: Any) -> Any:
    """Its second derivative, by the differential equation that it solves."""
    part = where(x == 0, -math.pi ** 2 / 3, sinc_slope(x) / where(x == 0, 1, x))
    return -(2 * part + math.pi ** 2 * sinc(x))


_NEAR_SINC = 0.5
_SINC_SERIES = [math.pi ** 2 * (-1) ** k * 2 * k / math.factorial(2 * k + 1)
                for k in range(10, 0, -1)]
"""Of d sinc(x) / dx = x (c1 + c2 (pi x)**2 + c3 (pi x)**4 + ...), the highest first."""

sin = elementwise("sin", np.sin, lambda g, x: g * cos(x))
cos = elementwise("cos", np.cos, lambda g, x: -g * sin(x))
tan = elementwise("tan", np.tan, lambda g, out: g * (1 + out * out))
asin = elementwise("asin", np.arcsin, lambda g, x: g / sqrt((1 - x) * (1 + x)))
acos = elementwise("acos", np.arccos, lambda g, x: -g / sqrt((1 - x) * (1 + x)))
atan = elementwise("atan", np.arctan, lambda g, x: g / (1 + x * x))
atan2 = elementwise("atan2", np.arctan2, lambda g, x, y: g * _over_square(y, hypot(x, y)),
                    lambda g, x, y: -g * _over_square(x, hypot(x, y)), node="Atan2Backward0",
                    refuses={"c": "atan2_cpu"})
sinh = elementwise("sinh", np.sinh, lambda g, x: g * cosh(x))
cosh = elementwise("cosh", np.cosh, lambda g, x: g * sinh(x))
tanh = elementwise("tanh", np.tanh, lambda g, x: g * sech2(x))
sech2 = elementwise("sech2", _sech2, lambda g, x, out: -2 * g * (out * tanh(x)),
                    scalar=True)
asinh = elementwise("asinh", np.arcsinh, lambda g, x: g / _root(x))
acosh = elementwise("acosh", np.arccosh, lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)))
atanh = elementwise("atanh", np.arctanh, lambda g, x: g / ((1 - x) * (1 + x)))


deg2rad = elementwise("deg2rad", lambda x: x * DEGREE, lambda g: deg2rad(g),
                      node="Deg2RadBackward0", lower=lambda x: x * DEGREE, refuses={
                          "c": RuntimeError("deg2rad is not supported for complex tensors.")})
rad2deg = elementwise("rad2deg", lambda x: x * RADIAN, lambda g: rad2deg(g),
                      node="Rad2DegBackward0", lower=lambda x: x * RADIAN, refuses={
                          "c": RuntimeError("rad2deg is not supported for complex tensors.")})
sinc = elementwise("sinc", np.sinc, lambda g, x: g * sinc_slope(x),
                   lower=lambda x: where(x == 0, 1, sin(x * math.pi) / (x * math.pi)))
"""sin(pi x) / (pi x)."""
sinc_slope = elementwise("sinc_slope", _sinc_slope, lambda g, x: g * _sinc_bend(x),
                         lower=_sinc_slope)
"""Its derivative, which pi times the spherical Bessel function -j1 of pi x is."""


def _over_square(x: Any, size: Any) -> Any:
    """x / size**2, whose square could overflow; 0 where both are 0, as PyTorch has it."""
    size = where(size == 0, 1, size)
    return x / size / size


def _root(x: Any) -> Any:
    """sqrt(1 + x**2), without overflow for real numbers."""
    return sqrt(1 + x * x) if is_complex(x) else hypot(x, 1)


# --- sigmoids and the error function ----------------------------------------------------------


def _sigmoid(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        return 1 / (1 + np.exp(-x))
    p, q = sides(x)
    q += p
    p /= q
    return p


def sides(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """exp(min(x, 0)) and exp(-max(x, 0)), new arrays: p / q is exp(x), but neither overflows, and
    sigmoid(x) is p / (p + q)."""
    p, q = np.minimum(x, ZERO[x.dtype], out=...), np.maximum(x, ZERO[x.dtype], out=...)
    np.negative(q, out=q)
    return np.exp(p, out=p), np.exp(q, out=q)


def _logit(x: np.ndarray, eps: float | None) -> np.ndarray:
    if eps is not None:
        x = np.clip(x, x.dtype.type(eps), x.dtype.type(1 - eps))
    return special("logit")(x)


def _lower_logit(x: Any, eps: float | None) -> Any:
    """log(u) for u = x / (1 - x). Near 1/2, where the rounding of u tells, u - 1 is worked out by
    itself, times log(u) / (u - 1), which hardly depends on u."""
    if eps is not None:
        x = clamp(x, low=eps, high=1 - eps)
    odds = x / (1 - x)
    found = log(odds)
    apart = (2 * x - 1) / (1 - x) * where(odds == 1, 1, found / (odds - 1))
    return where(abs_(x - 0.5) < 0.25, apart, found)


def _logit_slope(g: Any, x: Any, eps: float | None) -> Any:
    """g / (x (1 - x)); outside of [eps, 1 - eps] it is 0, and without eps NaN outside of [0, 1]."""
    low, beyond = (0, math.nan) if eps is None else (eps, 0)
    return where((x < low) | (x > 1 - low), beyond, g / (x * (1 - x)))


def _softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    scaled = x if beta == 1 else x * beta
    out = np.logaddexp(scaled, ZERO[x.dtype], out=...)
    if beta != 1:
        out /= beta
    np.copyto(out, x, where=scaled > threshold)
    return out


def _softplus_slope(g: np.ndarray, x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    scaled = x if beta == 1 else x * beta
    p, q = sides(scaled)
    q += p
    p /= q
    np.copyto(p, 1, where=scaled > threshold)
    return g * p


def _gauss(x: np.ndarray) -> np.ndarray:
    """exp(-x**2) with the square split, so that its rounding error is not magnified."""
    x = np.minimum(np.abs(x), 40)  # 0 from there on; beyond, the pieces would be 0 * inf
    high = np.round(x * 16) / 16  # few bits: its square is exact
    return np.exp(-high * high) * np.exp((high - x) * (high + x))


def _erfc(x: np.ndarray) -> np.ndarray:
    """For large x by way of erfc(x) * exp(x**2), as SciPy's erfc loses digits there."""
    if x.dtype != np.float64:
        return special("erfc")(x)
    return np.where(x > 0.5, special("erfcx")(np.maximum(x, 0.5)) * _gauss(x), special("erfc")(x))


def _ndtr(x: np.ndarray) -> np.ndarray:
    """For doubles far below 0 in the manner of `_erfc`."""
    if x.dtype != np.float64:
        return special("ndtr")(x)
    tail = 0.5 * special("erfcx")(np.maximum(-x, 1) * SQRT_HALF) * np.exp(-0.5 * x * x)
    return np.where(x < -1, tail, special("ndtr")(x))


sigmoid = elementwise("sigmoid", _sigmoid, lambda g, x: g * (0.25 * sech2(0.5 * x)),
                      scalar=True)
logit = elementwise("logit", _logit, _logit_slope, refuses={"c": "logit_cpu"},
                    lower=_lower_logit)
softplus_slope = slope("softplus_slope", _softplus_slope, lambda g, x, beta, threshold: where(
    x * beta > threshold, g, g * sigmoid(x * beta)))
softplus = elementwise(
    "softplus", _softplus, lambda g, x, beta, threshold: softplus_slope(
        g, x, beta=beta, threshold=threshold),
    refuses={"bic": "softplus_cpu"}, lower=lambda x, beta, threshold: where(
        x * beta > threshold, x, logaddexp(x * beta, 0) / beta))
relu = elementwise("relu", lambda x: np.maximum(x, 0), lambda g, out: where(out <= 0, 0, g),
                   refuses=NO_COMPLEX_CLAMP, lower=lambda x: maximum(x, 0))
erf = elementwise("erf", special("erf"), lambda g, x: g * (TWO_OVER_SQRT_PI * gauss(x)),
                  refuses={"c": "erf_vml_cpu"}, scalar=True)
erfc = elementwise("erfc", _erfc, lambda g, x: g * (-TWO_OVER_SQRT_PI * gauss(x)),
                   refuses={"c": "erfc_vml_cpu"}, scalar=True)
gauss = elementwise("gauss", _gauss, lambda g, x, out: -2 * g * where(out == 0, 0, x * out),
                    scalar=True)
ndtr = elementwise("ndtr", _ndtr, lambda g, x: g * npdf(x), refuses={"c": "ndtr"},
                   scalar=True)
"""The share of the normal distribution that is below x."""
npdf = elementwise("npdf", lambda x: np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi)),
                   lambda g, x, out: -g * where(out == 0, 0, x * out), scalar=True)
"""The density of the normal distribution."""

# --- gates: x times a probability -------------------------------------------------------------


def _gelu(x: Any) -> Any:
    return x * ndtr(x)


def _gelu_slope(g: Any, x: Any) -> Any:
    return g * (ndtr(x) + x * npdf(x))


def _gelu_tanh(x: Any) -> Any:
    """`gelu` by a formula: 0.5 x (1 + tanh(u / 2)), which is x sigmoid(u)."""
    near = _near(x)
    return x * sigmoid(near * (_CUBIC[0] + _CUBIC[1] * (near * near)))


def _gelu_tanh_slope(g: Any, x: Any) -> Any:
    near = _near(x)
    squared = near * near
    u = near * (_CUBIC[0] + _CUBIC[1] * squared)
    slope = near * (_CUBIC[0] + 3 * _CUBIC[1] * squared)
    return g * (sigmoid(u) * (1 + slope * sigmoid(-u)))


def _silu_slope(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        return g * (_sigmoid(x) * (1 + x * _sigmoid(-x)))
    p, q = sides(x)
    below = p + q
    q /= below
    q *= x
    q += 1
    q *= p / below
    return g * q


def _near(x: Any) -> Any:
    """x, limited to where the sigmoid above is neither 0 nor 1, so that powers don't overflow."""
    return clamp(x, low=-30.0, high=30.0)


_CUBIC = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715
gelu = elementwise("gelu", _gelu, _gelu_slope, lower=_gelu, refuses={"bic": "GeluKernelImpl"})
gelu_tanh = elementwise("gelu_tanh", _gelu_tanh, _gelu_tanh_slope, node="GeluBackward0",
                        lower=_gelu_tanh, refuses={"bic": "GeluKernelImpl"})
silu_slope = slope("silu_slope", _silu_slope,
                   lambda g, x: g * (sigmoid(x) * (1 + x * sigmoid(-x))), refuses="bi")
silu = elementwise("silu", lambda x: x * _sigmoid(x), lambda g, x: silu_slope(g, x),
                   lower=lambda x: x * sigmoid(x), refuses={"bi": "silu_cpu"})
