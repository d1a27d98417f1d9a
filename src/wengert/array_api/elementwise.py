"""Functions of elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wengert as torch

from .dtypes import cast, together

__all__ = [
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "ceil", "clip", "conj", "copysign", "cos", "cosh", "divide", "equal", "exp", "expm1", "floor",
    "floor_divide", "greater", "greater_equal", "hypot", "imag", "isfinite", "isinf", "isnan",
    "less", "less_equal", "log", "log1p", "log2", "log10", "logaddexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "multiply", "negative",
    "nextafter", "not_equal", "positive", "pow", "real", "reciprocal", "remainder", "round", "sign",
    "signbit", "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "trunc", "where",
]


def _unary(name: str, word: str = "") -> Callable[[torch.Tensor], torch.Tensor]:
    """A function of one tensor, by PyTorch's word for it."""
    word = word or name

    def function(x: torch.Tensor, /) -> torch.Tensor:
        found: torch.Tensor = getattr(torch, word)(x)
        return found

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`torch.{word}` of each element."
    return function


def _binary(name: str, word: str = "") -> Callable[[Any, Any], torch.Tensor]:
    """A function of two tensors, or of a tensor and a number, which are promoted first."""
    word = word or name

    def function(x1: Any, x2: Any, /) -> torch.Tensor:
        found: torch.Tensor = getattr(torch, word)(*together(x1, x2))
        return found

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`torch.{word}` of elements of two tensors, or of a tensor and a number."
    return function


abs, acos, acosh = _unary("abs"), _unary("acos"), _unary("acosh")
asin, asinh, atan, atanh = _unary("asin"), _unary("asinh"), _unary("atan"), _unary("atanh")
bitwise_invert = _unary("bitwise_invert", "bitwise_not")
ceil, conj, cos, cosh = _unary("ceil"), _unary("conj"), _unary("cos"), _unary("cosh")
exp, expm1, floor, imag = _unary("exp"), _unary("expm1"), _unary("floor"), _unary("imag")
isfinite, isinf, isnan = _unary("isfinite"), _unary("isinf"), _unary("isnan")
log, log1p, log2, log10 = _unary("log"), _unary("log1p"), _unary("log2"), _unary("log10")
logical_not, negative, positive = _unary("logical_not"), _unary("negative"), _unary("positive")
real, reciprocal = _unary("real"), _unary("reciprocal")
signbit, sin, sinh, sqrt = _unary("signbit"), _unary("sin"), _unary("sinh"), _unary("sqrt")
square, tan, tanh, trunc = _unary("square"), _unary("tan"), _unary("tanh"), _unary("trunc")

add, atan2, bitwise_and = _binary("add"), _binary("atan2"), _binary("bitwise_and")
bitwise_left_shift = _binary("bitwise_left_shift")
bitwise_or, bitwise_right_shift = _binary("bitwise_or"), _binary("bitwise_right_shift")
bitwise_xor, copysign, divide = _binary("bitwise_xor"), _binary("copysign"), _binary("divide")
equal, floor_divide, greater = _binary("equal", "eq"), _binary("floor_divide"), _binary("greater")
greater_equal, hypot, less = _binary("greater_equal"), _binary("hypot"), _binary("less")
less_equal, logaddexp = _binary("less_equal"), _binary("logaddexp")
logical_and, logical_or = _binary("logical_and"), _binary("logical_or")
logical_xor, maximum, minimum = _binary("logical_xor"), _binary("maximum"), _binary("minimum")
multiply, nextafter = _binary("multiply"), _binary("nextafter")
not_equal, pow, remainder = _binary("not_equal"), _binary("pow"), _binary("remainder")
subtract = _binary("subtract")


def sign(x: torch.Tensor, /) -> torch.Tensor:
    """x / |x|, and 0 for 0; NaN for NaN, of which PyTorch makes 0."""
    found = torch.sgn(x)
    return torch.where(x != x, x, found) if x.is_floating_point() else found


def round(x: torch.Tensor, /) -> torch.Tensor:
    """The nearest whole numbers, even ones from halfway; of complex numbers, part by part."""
    if x.is_complex():
        return torch.complex(torch.round(x.real), torch.round(x.imag))
    return torch.round(x)


def clip(x: torch.Tensor, /, min: Any = None, max: Any = None) -> torch.Tensor:
    """Elements no smaller than `min` and no larger than `max`, where these are given."""
    if min is not None:
        x = torch.maximum(x, cast(min, x.dtype))
    return x if max is None else torch.minimum(x, cast(max, x.dtype))


def where(condition: torch.Tensor, x1: Any, x2: Any, /) -> torch.Tensor:
    """Elements of `x1` where the condition holds, of `x2` elsewhere."""
    x1, x2 = together(x1, x2)
    return torch.where(condition, x1, x2)
