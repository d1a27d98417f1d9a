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

from ..core.aval import Aval
from ..core.dtypes import BOOL
from ..core.levels import quietly
from ..core.primitive import Primitive, broadcast_shapes, elementwise, primitive
from .layout import cast, conj, expand, real, reshape, sum_to

NO_COMPLEX_CLAMP = {"c": "clamp is not supported for complex types"}
LN2, LN10, TWO_OVER_SQRT_PI = math.log(2), math.log(10), 2 / math.sqrt(math.pi)
SQRT_HALF = math.sqrt(0.5)


def special(name: str) -> Any:
    """A function of `scipy.special`, which is imported when it is first called."""

    def call(*arrays: np.ndarray) -> np.ndarray:
        from scipy import special

        return getattr(special, name)(*arrays)

    return call


def is_complex(x: Any) -> bool:
    """Whether an array or tensor holds complex numbers."""
    return np.dtype(x.dtype).kind == "c"


def _trunc_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "f":
        return np.trunc(x / y)
    quotient = np.floor_divide(x, y)
    return quotient + ((quotient < 0) & (quotient * y != x))


def filled(x: Any, number: float) -> Any:
    """A number, as many times as x has elements."""
    return expand(np.asarray(number, x.aval.numpy), shape=tuple(x.shape))


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
fmod = elementwise("fmod", np.fmod, lambda g: g, lambda g, x, y: -g * trunc(x / y),
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
power_of_scalar = power.named("PowBackward2")
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

exp = elementwise("exp", np.exp, lambda g, out: g * out)
exp2 = elementwise("exp2", np.exp2, lambda g, out: g * (out * LN2))
expm1 = elementwise("expm1", np.expm1, lambda g, x: g * exp(x))
log = elementwise("log", np.log, lambda g, x: g / x)
log2 = elementwise("log2", np.log2, lambda g, x: g / (x * LN2))
log10 = elementwise("log10", np.log10, lambda g, x: g / (x * LN10))
log1p = elementwise("log1p", np.log1p, lambda g, x: g / (x + 1), node="Log1PBackward0")
logaddexp = elementwise("logaddexp", np.logaddexp,
                        lambda g, x, y: g * sigmoid(x - y), lambda g, x, y: g * sigmoid(y - x),
                        refuses={"bi": "logaddexp_cpu"})

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
    e = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1, e) / (1 + e)


def _softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    scaled = x * beta
    return np.where(scaled > threshold, x, np.logaddexp(scaled, 0) / beta)


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
softplus = elementwise(
    "softplus", _softplus,
    lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)),
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


def _near(x: Any) -> Any:
    """x, limited to where the sigmoid above is neither 0 nor 1, so that powers don't overflow."""
    return clamp(x, low=-30.0, high=30.0)


_CUBIC = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715
gelu = elementwise("gelu", _gelu, _gelu_slope, lower=_gelu, refuses={"bic": "GeluKernelImpl"})
gelu_tanh = elementwise("gelu_tanh", _gelu_tanh, _gelu_tanh_slope, node="GeluBackward0",
                        lower=_gelu_tanh, refuses={"bic": "GeluKernelImpl"})
silu = elementwise("silu", lambda x: x * sigmoid(x),
                   lambda g, x: g * (sigmoid(x) * (1 + x * sigmoid(-x))),
                   lower=lambda x: x * sigmoid(x), refuses={"bi": "silu_cpu"})

# --- pieces: kinks and ties as PyTorch has them ----------------------------------------------


def _clamp(x: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    if low is not None:
        x = np.maximum(x, np.asarray(low, x.dtype))
    return x if high is None else np.minimum(x, np.asarray(high, x.dtype))


def _lower_clamp(x: Any, low: float | None, high: float | None) -> Any:
    if low is not None:
        x = maximum(x, np.asarray(low, x.aval.numpy))
    return x if high is None else minimum(x, np.asarray(high, x.aval.numpy))


def _within(g: Any, x: Any, low: float | None, high: float | None) -> Any:
    """The cotangent where clamp let x through, its bounds included."""
    if low is not None:
        g = where(x >= low, g, 0)
    return g if high is None else where(x <= high, g, 0)


def _sign(x: np.ndarray) -> np.ndarray:
    """NumPy's sign, but 0 for NaN, and for bools."""
    if x.dtype.kind == "b":
        return x
    return np.sign(x) if x.dtype.kind != "f" else np.where(x != x, 0, np.sign(x))


def _lower_sign(x: Any) -> Any:
    if x.aval.dtype.category == BOOL:
        return x
    kind = x.aval.dtype
    return cast(x > 0, dtype=kind) - cast(x < 0, dtype=kind)


def _sgn(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind != "c":
        return _sign(x)
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)


def _lerp(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """x + z (y - x), from whichever end is nearer, so that both ends are exact."""
    return np.where(np.abs(z) < 0.5, x + z * (y - x), y - (y - x) * (1 - z))


def _lower_round(x: Any, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    return round_(x * scale) / scale if decimals >= 0 else round_(x / scale) * scale


def _flat(name: str, ufunc: Any, **fields: Any) -> Primitive:
    """A piecewise constant function: its derivative is zero wherever it has one."""
    return elementwise(name, ufunc, lambda g: zero(g), **fields)


zero = elementwise("zero", np.zeros_like, lambda g: zero(g), store=lambda x: x.fill(0),
                   uniform=True, lower=lambda x: filled(x, 0))
sign = _flat("sign", _sign, lower=_lower_sign, refuses={
    "c": "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
         "torch.sgn instead."})
floor = _flat("floor", np.floor, refuses={
    "b": "floor_vml_cpu", "c": "floor is not supported for complex inputs"})
ceil = _flat("ceil", np.ceil, refuses={
    "b": "ceil_vml_cpu", "c": "ceil is not supported for complex inputs"})
trunc = _flat("trunc", np.trunc, refuses={
    "b": "trunc_vml_cpu", "c": "trunc is not supported for complex inputs"})
round_ = _flat("round", np.rint, refuses={"bc": "round_vml_cpu"})
round_decimals = elementwise(
    "round_decimals", lambda x, decimals: np.round(x, decimals), lambda g: zero(g),
    node="RoundBackward1", refuses={"bic": "round_cpu"},
    lower=lambda x, decimals: _lower_round(x, decimals))
heaviside = elementwise("heaviside", np.heaviside)
abs_ = elementwise("abs", np.abs, lambda g, x: g * sgn(x), result="real", conjugate=False,
                   jvp=(lambda g, x: real(conj(sgn(x)) * g),), refuses={"b": "abs_cpu"})
sgn = elementwise("sgn", _sgn, lambda g, x: where(x == 0, 0, (
                      g - sgn(x) * real(conj(sgn(x)) * g)) / _size(x)),
                  conjugate=False, lower=_lower_sign)
maximum = elementwise("maximum", np.maximum,
                      lambda g, x, y: where(x == y, 0.5 * g, where(x < y, 0, g)),
                      lambda g, x, y: where(x == y, 0.5 * g, where(y < x, 0, g)),
                      refuses={"c": RuntimeError("maximum not implemented for complex tensors.")})
minimum = elementwise("minimum", np.minimum,
                      lambda g, x, y: where(x == y, 0.5 * g, where(x > y, 0, g)),
                      lambda g, x, y: where(x == y, 0.5 * g, where(y > x, 0, g)),
                      refuses={"c": RuntimeError("minimum not implemented for complex tensors.")})
clamp = elementwise("clamp", _clamp, lambda g, x, low, high: _within(g, x, low, high),
                    node="ClampBackward1",
                    refuses=NO_COMPLEX_CLAMP, lower=_lower_clamp)
where = elementwise("where", np.where, None, lambda g, x: where(x, g, 0),
                    lambda g, x: where(x, 0, g), scalar=True)
clamp_between = elementwise(
    "clamp_between", lambda x, y, z: np.minimum(np.maximum(x, y), z),
    lambda g, x, y, z: where((x >= y) & (x <= z), g, 0),
    lambda g, x, y, z: where((x < y) & (y < z), g, 0),
    lambda g, x, y, z: where((x > z) | (y >= z), g, 0), node="ClampBackward0",
    refuses=NO_COMPLEX_CLAMP, lower=lambda x, y, z: minimum(maximum(x, y), z))
clamp_from = elementwise("clamp_from", np.maximum, lambda g, x, y: where(x >= y, g, 0),
                         lambda g, x, y: where(x < y, g, 0), node="ClampBackward0",
                         refuses=NO_COMPLEX_CLAMP, lower=lambda x, y: maximum(x, y))
clamp_up_to = elementwise("clamp_up_to", np.minimum, lambda g, x, y: where(x <= y, g, 0),
                          lambda g, x, y: where(x > y, g, 0), node="ClampBackward0",
                          refuses=NO_COMPLEX_CLAMP, lower=lambda x, y: minimum(x, y))
masked_fill = elementwise("masked_fill", lambda x, mask, value: np.where(mask, value, x),
                          lambda g, y: where(y, 0, g), None, lambda g, y: where(y, g, 0),
                          lower=lambda x, mask, value: where(mask, value, x))
lerp = elementwise("lerp", _lerp, lambda g, z: g * (1 - z), lambda g, z: g * z,
                   lambda g, x, y: g * (y - x), refuses={"bi": "lerp_kernel_scalar"},
                   lower=lambda x, y, z: where(abs_(z) < 0.5, x + z * (y - x),
                                               y - (y - x) * (1 - z)))


def _copied(x: Aval, y: Aval) -> Aval:
    return x.with_shape(broadcast_shapes([x.shape, y.shape]))


def _copy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array(np.broadcast_to(y, x.shape))


def _copy_examples(size: int, batched: tuple[bool, bool], x: Any, y: Any) -> Any:
    ndim = len(x.shape) - batched[0]
    if batched[1]:
        y = reshape(y, shape=(size,) + (1,) * (ndim + 1 - len(y.shape)) + tuple(y.shape[1:]))
    return copy(x if batched[0] else expand(x, shape=(size, *x.shape)), y)


copy = primitive("copy", _copy, abstract=_copied, linear=True, batch=_copy_examples,
                 store=lambda x, y: np.copyto(x, y, "unsafe"),
                 vjp=(lambda g: zero(g),
                      lambda g, y_aval: cast(sum_to(g, shape=y_aval.shape), dtype=y_aval.dtype)),
                 node="CopyBackwards", lower=lambda x, y: expand(
                     cast(y, dtype=x.aval.dtype), shape=tuple(x.shape)))
"""y broadcast to x: what is left in x when y is copied into it."""
fill = copy.named("FillBackward2", uniform=True)
fill_tensor = copy.named("FillBackward3", uniform=True)


def _size(x: Any) -> Any:
    """|x|, with 1 in place of 0."""
    return where(x == 0, 1, abs_(x))


# --- answers that are no numbers to differentiate ---------------------------------------------


def _question(name: str, ufunc: Any, **fields: Any) -> Primitive:
    return elementwise(name, ufunc, result="bool", **fields)


eq, ne = _question("eq", np.equal), _question("ne", np.not_equal)
lt = _question("lt", np.less, refuses={"c": "lt_cpu"})
le = _question("le", np.less_equal, refuses={"c": "le_cpu"})
gt = _question("gt", np.greater, refuses={"c": "gt_cpu"})
ge = _question("ge", np.greater_equal, refuses={"c": "ge_cpu"})
logical_and, logical_or = (_question("logical_and", np.logical_and),
                           _question("logical_or", np.logical_or))
logical_xor, logical_not = (_question("logical_xor", np.logical_xor),
                            _question("logical_not", np.logical_not))
isnan, isinf, isfinite = (_question("isnan", np.isnan), _question("isinf", np.isinf),
                          _question("isfinite", np.isfinite))
signbit = _question("signbit", np.signbit,
                    refuses={"c": "signbit is not implemented for complex tensors."})
bitwise_and = elementwise("bitwise_and", np.bitwise_and, refuses={"fc": "bitwise_and_cpu"})
bitwise_or = elementwise("bitwise_or", np.bitwise_or, refuses={"fc": "bitwise_or_cpu"})
bitwise_xor = elementwise("bitwise_xor", np.bitwise_xor, refuses={"fc": "bitwise_xor_cpu"})
bitwise_not = elementwise("bitwise_not", np.invert, refuses={"fc": "bitwise_not_cpu"})
left_shift = elementwise("bitwise_left_shift", np.left_shift, refuses={"bfc": "lshift_cpu"})
right_shift = elementwise("bitwise_right_shift", np.right_shift, refuses={"bfc": "rshift_cpu"})
