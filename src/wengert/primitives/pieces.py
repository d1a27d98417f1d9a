"""Primitives made of pieces: limits, signs, roundings, choices; kinks and ties as PyTorch has them.

Rules and operands are as in `elementwise.py`, which hands these on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.dtypes import BOOL
from ..core.primitive import Primitive, broadcast_shapes, elementwise, primitive
from .layout import cast, conj, expand, real, reshape, sum_to

NO_COMPLEX_CLAMP = {"c": "clamp is not supported for complex types"}


def is_complex(x: Any) -> bool:
    """Whether an array or tensor holds complex numbers."""
    return np.dtype(x.dtype).kind == "c"


def filled(x: Any, number: float) -> Any:
    """A number, as many times as x has elements."""
    return expand(np.asarray(number, x.aval.numpy), shape=tuple(x.shape))


def no_complex(name: str) -> dict[str, Any]:
    """What refuses complex numbers to a function that says so itself."""
    return {"c": RuntimeError(f"{name} not implemented for complex tensors.")}


# --- choices ----------------------------------------------------------------------------------


zero = elementwise("zero", lambda x: np.zeros(x.shape, x.dtype), lambda g: zero(g),
                   store=lambda x: x.fill(0), uniform=True, halves=True,
                   lower=lambda x: filled(x, 0))
where = elementwise("where", np.where, None, lambda g, x: where(x, g, 0),
                    lambda g, x: where(x, 0, g), scalar=True, halves=True)
masked_fill = elementwise("masked_fill", lambda x, mask, value: np.where(mask, value, x),
                          lambda g, y: where(y, 0, g), None, lambda g, y: where(y, g, 0),
                          store=lambda x, mask, value: np.copyto(x, value, where=mask),
                          halves=True,
                          lower=lambda x, mask, value: where(mask, value, x))
maximum = elementwise("maximum", np.maximum,
                      lambda g, x, y: where(x == y, 0.5 * g, where(x < y, 0, g)),
                      lambda g, x, y: where(x == y, 0.5 * g, where(y < x, 0, g)),
                      refuses=no_complex("maximum"))
minimum = elementwise("minimum", np.minimum,
                      lambda g, x, y: where(x == y, 0.5 * g, where(x > y, 0, g)),
                      lambda g, x, y: where(x == y, 0.5 * g, where(y > x, 0, g)),
                      refuses=no_complex("minimum"))
fmax = elementwise("fmax", np.fmax, lambda g, x, y: where((x >= y) | (y != y), g, 0),
                   lambda g, x, y: where((x >= y) | (y != y), 0, g), refuses=no_complex("fmax"))
fmin = elementwise("fmin", np.fmin, lambda g, x, y: where((x <= y) | (y != y), g, 0),
                   lambda g, x, y: where((x <= y) | (y != y), 0, g), refuses=no_complex("fmin"))

# --- limits -----------------------------------------------------------------------------------


def _clamp(x: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    if low is not None:
        x = np.maximum(x, _bound(low, x.dtype))
    return x if high is None else np.minimum(x, _bound(high, x.dtype))


def _lower_clamp(x: Any, low: float | None, high: float | None) -> Any:
    if low is not None:
        x = maximum(x, _bound(low, x.aval.numpy))
    return x if high is None else minimum(x, _bound(high, x.aval.numpy))


def _bound(number: float, kind: np.dtype[Any]) -> np.ndarray:
    """A number in a dtype; without a sign, a negative one wraps around."""
    return np.asarray(number).astype(kind) if kind.kind == "u" else np.asarray(number, kind)


def _within(g: Any, x: Any, low: float | None, high: float | None) -> Any:
    """The cotangent where clamp let x through, its bounds included."""
    if low is not None:
        g = where(x >= low, g, 0)
    return g if high is None else where(x <= high, g, 0)


clamp = elementwise("clamp", _clamp, lambda g, x, low, high: _within(g, x, low, high),
                    node="ClampBackward1",
                    refuses=NO_COMPLEX_CLAMP, lower=_lower_clamp)
clamp_min, clamp_max = clamp.named("ClampMinBackward0"), clamp.named("ClampMaxBackward0")
clamp_between = elementwise(
    "clamp_between", lambda x, y, z: np.minimum(np.maximum(x, y), z),
    lambda g, x, y, z: where((x >= y) & (x <= z), g, 0),
    lambda g, x, y, z: where((x < y) & (y < z), g, 0),
    lambda g, x, y, z: where((x > z) | (y > z), g, 0), node="ClampBackward0",
    refuses=NO_COMPLEX_CLAMP, lower=lambda x, y, z: minimum(maximum(x, y), z))
clamp_from = elementwise("clamp_from", np.maximum, lambda g, x, y: where(x >= y, g, 0),
                         lambda g, x, y: where(x < y, g, 0), node="ClampBackward0",
                         refuses=NO_COMPLEX_CLAMP, lower=lambda x, y: maximum(x, y))
clamp_up_to = elementwise("clamp_up_to", np.minimum, lambda g, x, y: where(x <= y, g, 0),
                          lambda g, x, y: where(x > y, g, 0), node="ClampBackward0",
                          refuses=NO_COMPLEX_CLAMP, lower=lambda x, y: minimum(x, y))
clamp_min_tensor = clamp_from.named("ClampMinBackward1")
clamp_max_tensor = clamp_up_to.named("ClampMaxBackward1")


def _nan_to_num(x: np.ndarray, nan: float, posinf: float, neginf: float) -> np.ndarray:
    if x.dtype.kind != "c" and np.isfinite(x).all():
        return x.copy()
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


def _lower_nan_to_num(x: Any, nan: float, posinf: float, neginf: float) -> Any:
    if not x.aval.dtype.is_floating_point:
        return x
    return where(x != x, nan, where(x == np.inf, posinf, where(x == -np.inf, neginf, x)))


nan_to_num = elementwise("nan_to_num", _nan_to_num, lambda g, x: where(x - x == 0, g, 0),
                         lower=_lower_nan_to_num)

# --- signs ------------------------------------------------------------------------------------


def _sign(x: np.ndarray) -> np.ndarray:
    """NumPy's sign, but 0 for NaN, and for bools."""
    if x.dtype.kind == "b":
        return x.copy()
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


def _sgn_slope(g: Any, x: Any) -> Any:
    """What of g turns a complex number; nothing turns a real one."""
    if not is_complex(x):
        return zero(g)
    return where(x == 0, 0, (g - sgn(x) * real(conj(sgn(x)) * g)) / size(x))


def size(x: Any) -> Any:
    """|x|, with 1 in place of 0."""
    return where(x == 0, 1, abs_(x))


def _heaviside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Unlike NumPy's, 0 for NaN, and of any dtype."""
    return np.where(x == 0, y, (x > 0).astype(x.dtype))


def _flat(name: str, ufunc: Any, **fields: Any) -> Primitive:
    """A piecewise constant function: its derivative is zero wherever it has one."""
    return elementwise(name, ufunc, lambda g: zero(g), **fields)


abs_ = elementwise("abs", np.abs, lambda g, x: g * sgn(x), result="real", conjugate=False,
                   jvp=(lambda g, x: real(conj(sgn(x)) * g),), refuses={"b": "abs_cpu"})
sign = _flat("sign", _sign, lower=_lower_sign, refuses={
    "c": "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
         "torch.sgn instead."})
sgn_of_real = sign.named("SgnBackward0")
sgn = elementwise("sgn", _sgn, _sgn_slope, conjugate=False, lower=_lower_sign)
copysign = elementwise("copysign", np.copysign,
                       lambda g, x, out: where(x == 0, 0, g * (out / x)), lambda g: zero(g),
                       refuses={"c": "copysign_cpu"})
copysign_of_number = copysign.named("CopysignBackward1")
heaviside = elementwise("heaviside", _heaviside, lower=lambda x, y: where(
    x == 0, y, cast(x > 0, dtype=x.aval.dtype)))

# --- roundings --------------------------------------------------------------------------------


def _lower_round(x: Any, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    return round_(x * scale) / scale if decimals >= 0 else round_(x / scale) * scale


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
frac = elementwise("frac", lambda x: x - np.trunc(x), lambda g: g, refuses={"bic": "frac_cpu"},
                   lower=lambda x: x - trunc(x))
"""What `trunc` takes away."""
nextafter = elementwise("nextafter", lambda x, y: np.nextafter(x, y),
                        lambda g, x, y: where(x == y, 0, g), lambda g: zero(g),
                        refuses={"bic": "nextafter_cpu"}, halves=True)
mantissa = elementwise("mantissa", lambda x: np.frexp(x)[0],
                       lambda g, x, out: where((x != 0) & (x - x == 0), g * (out / x), g),
                       node="FrexpBackward0")
"""x / 2**exponent(x), whose size is between 1/2 and 1."""
exponent = elementwise("exponent", lambda x: np.frexp(x)[1], result="int")

# --- copies -----------------------------------------------------------------------------------


def _lerp(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """x + z (y - x), from whichever end is nearer, so that both ends are exact."""
    if not z.ndim:
        return x + z * (y - x) if abs(z) < 0.5 else y - (y - x) * (1 - z)
    return np.where(np.abs(z) < 0.5, x + z * (y - x), y - (y - x) * (1 - z))


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


copy = primitive("copy", _copy, abstract=_copied, linear=True, batch=_copy_examples, halves=True,
                 store=lambda x, y: np.copyto(x, y, "unsafe"),
                 vjp=(lambda g: zero(g),
                      lambda g, y_aval: cast(sum_to(g, shape=y_aval.shape), dtype=y_aval.dtype)),
                 node="CopyBackwards", lower=lambda x, y: expand(
                     cast(y, dtype=x.aval.dtype), shape=tuple(x.shape)))
"""y broadcast to x: what is left in x when y is copied into it."""
fill = copy.named("FillBackward2", uniform=True)
fill_tensor = copy.named("FillBackward3", uniform=True)
