"""Elementwise functions, in PyTorch's words."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.handle import Handle, wrap
from ..core.levels import concrete, deepest, here, made, numbers
from ..core.primitive import Primitive
from ..primitives import elementwise as e
from . import operators
from .arguments import LOOKS, also, need_tensor
from .operators import general, is_number, promoted

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "allclose",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "cos",
    "cosh",
    "div",
    "divide",
    "eq",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "floor",
    "floor_divide",
    "fmod",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "hypot",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "ne",
    "neg",
    "negative",
    "not_equal",
    "positive",
    "pow",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "sgn",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
]


def _documented(function: Any, name: str, says: str, example: str = "") -> Any:
    """Gives a made function its name, its docstring and the types of its signature."""
    operands = function.__code__.co_varnames[:function.__code__.co_argcount]
    function.__annotations__ = dict.fromkeys(operands, "Any") | {
        operands[0]: "Tensor", "return": "Tensor"}
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = says if not example else (
        f"{says}\n\nExample:\n    >>> import wengert as torch\n    >>> {example[0]}\n"
        f"    {example[1]}\n")
    return function


def _unary(name: str, primitive: Primitive, says: str, example: Any = "", *,
           floats: bool = True) -> Callable[[Tensor], Tensor]:
    function: Callable[[Tensor], Tensor] = _documented(
        operators.unary(primitive, floats=floats), name, says, example)
    return function


# --- functions of one operand -----------------------------------------------------------------

exp = _unary("exp", e.exp, "e**x of each element.", ("torch.exp(torch.zeros(2))",
                                                     "tensor([1., 1.])"))
exp2 = _unary("exp2", e.exp2, "2**x of each element.")
expm1 = _unary("expm1", e.expm1, "e**x - 1 of each element, accurate near 0.")
log = _unary("log", e.log, "The natural logarithm of each element: -inf at 0, NaN below.",
             ("torch.log(torch.ones(2))", "tensor([0., 0.])"))
log2 = _unary("log2", e.log2, "The logarithm to base 2 of each element.")
log10 = _unary("log10", e.log10, "The logarithm to base 10 of each element.")
log1p = _unary("log1p", e.log1p, "log(1 + x) of each element, accurate near 0.")
sqrt = _unary("sqrt", e.sqrt, "The square root of each element; NaN below 0.",
              ("torch.sqrt(torch.tensor([4., 9.]))", "tensor([2., 3.])"))
rsqrt = _unary("rsqrt", e.rsqrt, "1 / sqrt(x) of each element.")
sin = _unary("sin", e.sin, "The sine of each element, in radians.")
cos = _unary("cos", e.cos, "The cosine of each element, in radians.")
tan = _unary("tan", e.tan, "The tangent of each element, in radians.")
asin = _unary("asin", e.asin, "The inverse sine of each element, in radians.")
acos = _unary("acos", e.acos, "The inverse cosine of each element, in radians.")
atan = _unary("atan", e.atan, "The inverse tangent of each element, in radians.")
sinh = _unary("sinh", e.sinh, "The hyperbolic sine of each element.")
cosh = _unary("cosh", e.cosh, "The hyperbolic cosine of each element.")
tanh = _unary("tanh", e.tanh, "The hyperbolic tangent of each element.")
asinh = _unary("asinh", e.asinh, "The inverse hyperbolic sine of each element.")
acosh = _unary("acosh", e.acosh, "The inverse hyperbolic cosine of each element.")
atanh = _unary("atanh", e.atanh, "The inverse hyperbolic tangent of each element.")
sigmoid = _unary("sigmoid", e.sigmoid, "1 / (1 + e**-x) of each element.",
                 ("torch.sigmoid(torch.zeros(2))", "tensor([0.5000, 0.5000])"))
erf = _unary("erf", e.erf, "The error function, 2/sqrt(pi) times the integral of e**-t**2.")
erfc = _unary("erfc", e.erfc, "1 - erf(x), accurate for large x.")
_relu = operators.unary(e.relu)


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


reciprocal = _unary("reciprocal", e.reciprocal, "1 / x of each element.")
sign = _unary("sign", e.sign, "-1, 0 or 1 by the sign of each element.", floats=False)
sgn = _unary("sgn", e.sgn, "x / |x| of each element, 0 at 0.", floats=False)


def positive(input: Tensor) -> Tensor:
    """The tensor itself.

    Raises:
        RuntimeError: for bools.
    """
    if need_tensor("positive", input).aval.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def _rounding(name: str, primitive: Primitive, says: str) -> Callable[[Tensor], Tensor]:
    apply = operators.unary(primitive)

    def function(input: Any) -> Any:
        if not need_tensor(name, input).aval.dtype.differentiable:
            primitive.abstract(input.aval.plain)  # which refuses bools
            return input.clone()
        return apply(input)

    return _documented(function, name, says)


floor = _rounding("floor", e.floor, "The largest integer not above each element.")
ceil = _rounding("ceil", e.ceil, "The smallest integer not below each element.")
trunc = _rounding("trunc", e.trunc, "Each element without its fraction.")

_neg, _abs = operators.unary(e.neg), operators.unary(e.abs_)


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


def abs(input: Tensor) -> Tensor:
    """The absolute value of each element (of complex ones, the modulus); slope 0 at 0.

    Example:
        >>> import wengert as torch
        >>> torch.abs(torch.tensor([-1, 2]))
        tensor([1, 2])
    """
    return _abs(input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, halves to the even one; or to a number of decimals."""
    if not need_tensor("round", input).aval.dtype.differentiable and not decimals:
        e.round_.abstract(input.aval.plain)  # which refuses bools
        return input.clone()
    return e.round_decimals(input, decimals=decimals) if decimals else e.round_(input)


def square(input: Tensor) -> Tensor:
    """x**2 of each element."""
    if need_tensor("square", input).aval.dtype is dtypes.bool_:
        input = operators.to_kind(input, dtypes.int64)
    return e.square(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e**(beta x)) / beta of each element; x itself where beta x is over the threshold."""
    return e.softplus(need_tensor("softplus", input), beta=float(beta),
                      threshold=float(threshold))


def isnan(input: Tensor) -> Tensor:
    """Whether each element is NaN."""
    return e.isnan(need_tensor("isnan", input))


def isinf(input: Tensor) -> Tensor:
    """Whether each element is infinite."""
    return e.isinf(need_tensor("isinf", input))


def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither infinite nor NaN."""
    return e.isfinite(need_tensor("isfinite", input))


def logical_not(input: Tensor) -> Tensor:
    """Whether each element is zero."""
    return e.logical_not(need_tensor("logical_not", input))


def bitwise_not(input: Tensor) -> Tensor:
    """Every bit flipped; for bools, `not`.

    Raises:
        NotImplementedError: for floats.
    """
    return e.bitwise_not(need_tensor("bitwise_not", input))


def invert_operator(input: Any) -> Any:
    """~input."""
    if input.aval.dtype.differentiable:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type "
                        "tensors")
    return e.bitwise_not(input)


# --- functions of two operands ----------------------------------------------------------------


def _binary(name: str, apply: Callable[..., Any], says: str, example: Any = "",
            second: str = "other", *, tensors: bool = False) -> Callable[[Any, Any], Tensor]:
    def function(input: Any, other: Any) -> Any:
        if tensors and not (isinstance(input, Handle) and isinstance(other, Handle)):
            need_tensor(name, input)
            need_tensor(name, other, second, 2)
        if not isinstance(input, Handle) and not isinstance(other, Handle):
            need_tensor(name, input)
        if isinstance(input, Handle):
            found = apply(input, other)
        else:
            found = apply(operators.as_operand(np.asarray(input)), other) if isinstance(
                input, np.ndarray) else _number_first(apply, input, other)
        if found is NotImplemented:
            need_tensor(name, other, second, 2)
        return found

    return _documented(function, name, says, example)


def _number_first(apply: Any, number: Any, x: Any) -> Any:
    if not is_number(number):
        return NotImplemented
    return apply(made(wrap(operators.number_array(
        number, x.aval.dtype if dtypes.of_number(number).category <= x.aval.dtype.category
        else dtypes.of_number(number)))), x)


_add, _sub, _mul = (operators.binary(e.add), operators.binary(e.sub), operators.binary(e.mul))
_rsub = operators.binary(e.rsub)
_true_divide = operators.binary(e.div, floats=True)
_atan2, _hypot = operators.binary(e.atan2, floats=True), operators.binary(e.hypot)


def _is_bool(x: Any) -> builtins.bool:
    return x.aval.dtype is dtypes.bool_ if isinstance(x, Handle) else isinstance(x, builtins.bool)


sub_operator = _sub


def rsub_operator(x: Any, y: Any) -> Tensor:
    """y - x, by the name that PyTorch gives it."""
    if not is_number(y):
        return NotImplemented
    _check_no_bool(x, y)
    x, y = promoted((x, y))
    return e.rsub(y, x)


def _check_no_bool(x: Any, y: Any) -> None:
    if _is_bool(x) and _is_bool(y):
        raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. "
                           "Use the `^` or `logical_xor()` operator instead.")
    if _is_bool(x) or _is_bool(y):
        raise RuntimeError("Subtraction, the `-` operator, with a bool tensor is not supported. If "
                           "you are trying to invert a mask, use the `~` or `logical_not()` "
                           "operator instead.")


def _check_divisor(x: Any, y: Any) -> None:
    """Refuses a zero divisor in integer division and its kin; floats follow IEEE."""
    divisor = numbers(y)
    kinds = x.aval.numpy.kind + divisor.dtype.kind
    if kinds != "bb" and not set(kinds) - set("iub") and not np.all(divisor):
        raise RuntimeError("ZeroDivisionError")


def _check_exponent(x: Any, y: Any) -> None:
    """Refuses a negative number as an integer's exponent; tensors may have them."""
    if isinstance(y, int) and y < 0 and not x.aval.dtype.differentiable:
        raise RuntimeError("Integers to negative integer powers are not allowed.")


operators.CHECKS.update({
    "sub": _check_no_bool, "remainder": _check_divisor, "fmod": _check_divisor,
    "floor_divide": _check_divisor, "floor_quotient": _check_divisor,
    "trunc_quotient": _check_divisor, "pow": _check_exponent})


def _by_number(of_tensors: Any, of_number: Any) -> Callable[[Any, Any], Tensor]:
    def function(x: Any, y: Any) -> Any:
        return (of_tensors if isinstance(y, (Handle, np.ndarray)) else of_number)(x, y)

    return function


remainder_operator = _by_number(operators.binary(e.remainder),
                                operators.binary(e.remainder_by_number))
fmod_operator = _by_number(operators.binary(e.fmod), operators.binary(e.fmod_by_number))


def floor_divide_operator(x: Any, y: Any) -> Tensor:
    """x // y, rounded down."""
    return general(e.floor_divide, False, x, y)


def rdiv_operator(x: Any, y: Any) -> Tensor:
    """y / x for a number y: as PyTorch has it, the reciprocal times y."""
    return reciprocal(x) * y


def _swapped(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tensor]:
    def function(x: Any, y: Any) -> Any:
        return _number_first(apply, y, x) if not isinstance(y, np.ndarray) else apply(
            operators.as_operand(y), x)

    return function


rremainder_operator, rfloor_divide_operator = (
    _swapped(remainder_operator), _swapped(floor_divide_operator))


def pow_operator(x: Any, y: Any) -> Tensor:
    """x ** y; a number as exponent has a rule of its own."""
    if not is_number(y):
        return _tensor_power(x, y)
    if (isinstance(y, complex) and not isinstance(y, float)) or x.aval.is_complex:
        return _complex_power(x, y)
    kind = dtypes.result_type([operators._ranked(x), operators._ranked(y)])
    if not kind.differentiable:
        return _tensor_power(x, y)
    x = operators.to_kind(x, kind)
    return _square(x) if y == 2 else e.scalar_power(x, exponent=float(y))


_square, _tensor_power = operators.unary(e.square), operators.binary(e.power)


_complex_power = operators.binary(e.power.named("PowBackward0"))


def rpow_operator(x: Any, y: Any) -> Tensor:
    """y ** x for a number y."""
    if not is_number(y):
        return NotImplemented
    x, y = promoted((x, y))
    return e.power_of_scalar(y, x)


def scaled(x: Any, y: Any, alpha: Any, sign: int = 1) -> tuple[Any, Any, Any]:
    """x, y and alpha in one dtype, for x + alpha * y; `sign` is alpha's.

    Raises:
        RuntimeError: if alpha is of a kind of number that the tensors are not.
    """
    alpha = alpha if is_number(alpha) else alpha.item()
    if not (isinstance(y, Handle) and isinstance(x, Handle) and x.aval.dtype is y.aval.dtype):
        x, y = promoted((x, y))
    kind = y.aval.dtype
    if isinstance(alpha, builtins.bool) and kind is not dtypes.bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, (float, complex)) and not kind.differentiable:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating "
                           "point number.")
    if isinstance(alpha, complex) and not kind.is_complex:
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex "
                           "number.")
    return x, y, operators.scalar(alpha if sign > 0 else -alpha, y.aval)


def scales(other: Any, alpha: Any) -> builtins.bool:
    """Whether alpha is a factor of a whole tensor, and not 1."""
    return isinstance(other, (Handle, np.ndarray)) and (
        alpha != 1 or isinstance(alpha, builtins.bool))


def add(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other.

    Example:
        >>> import wengert as torch
        >>> torch.add(torch.ones(2), 2, alpha=3)
        tensor([7., 7.])
    """
    if scales(other, alpha):
        return e.add_scaled(*scaled(input, other, alpha))
    return _add_function(input, other if alpha == 1 else other * alpha)


def sub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other."""
    if scales(other, alpha):
        _check_no_bool(input, other)
        return e.sub_scaled(*scaled(input, other, alpha, -1))
    return _sub_function(input, other if alpha == 1 else other * alpha)


_add_function = _binary("add", _add, "")
_sub_function = _binary("sub", sub_operator, "")
mul = _binary("mul", _mul, "input * other, element by element.",
              ("torch.mul(torch.ones(2), 3)", "tensor([3., 3.])"))
_div_function = _binary("div", _true_divide, "")


def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, element by element.

    Args:
        input: a tensor; integers are divided as floats.
        other: a tensor or number.
        rounding_mode: None, "trunc" (towards zero) or "floor" (downwards).

    Raises:
        RuntimeError: for another rounding mode, or an integer division by zero.
    """
    if rounding_mode is None:
        return _div_function(input, other)
    if rounding_mode == "floor":
        return _div_floor(input, other)
    if rounding_mode != "trunc":
        raise RuntimeError("div expected rounding_mode to be one of None, 'trunc', or 'floor' but "
                           f"found '{rounding_mode}'")
    return _div_trunc(input, other)


remainder = _binary("remainder", remainder_operator,
                    "input % other, with the sign of the divisor.",
                    ("torch.remainder(torch.tensor([-3., 5.]), 4)", "tensor([1., 1.])"))
fmod = _binary("fmod", fmod_operator, "The remainder with the sign of the dividend.")
_div_trunc = _binary("div", lambda x, y: general(e.trunc_quotient, False, x, y), "")
_div_floor = _binary("div", lambda x, y: general(e.floor_quotient, False, x, y), "")
floor_divide = _binary("floor_divide", floor_divide_operator,
                       "input / other, rounded down; carries no gradient.")
pow = also(exponent="other")(_binary("pow", pow_operator, "input ** other, element by element.",
              ("torch.pow(torch.tensor([2., 3.]), 2)", "tensor([4., 9.])"), "exponent"))
atan2 = _binary("atan2", _atan2, "The angle of the point (other, input), in radians.",
                tensors=True)
hypot = _binary("hypot", _hypot, "sqrt(input**2 + other**2), without overflow.",
                tensors=True)
logaddexp = _binary("logaddexp", operators.binary(e.logaddexp),
                    "log(e**input + e**other), without overflow.", tensors=True)
maximum = _binary("maximum", operators.binary(e.maximum),
                  "The larger of each two elements; a tie shares the gradient.",
                  ("torch.maximum(torch.tensor([1., 4.]), torch.tensor([3., 2.]))",
                   "tensor([3., 4.])"), tensors=True)
minimum = _binary("minimum", operators.binary(e.minimum),
                  "The smaller of each two elements; a tie shares the gradient.", tensors=True)
eq_operator, ne_operator = operators.comparison(e.eq), operators.comparison(e.ne)
lt_operator, le_operator = operators.comparison(e.lt), operators.comparison(e.le)
gt_operator, ge_operator = operators.comparison(e.gt), operators.comparison(e.ge)
eq = _binary("eq", eq_operator, "input == other, element by element.")
ne = _binary("ne", ne_operator, "input != other, element by element.")
lt = _binary("lt", lt_operator, "input < other, element by element.")
le = _binary("le", le_operator, "input <= other, element by element.")
gt = _binary("gt", gt_operator, "input > other, element by element.")
ge = _binary("ge", ge_operator, "input >= other, element by element.")
logical_and = _binary("logical_and", operators.comparison(e.logical_and),
                      "Whether both elements are non-zero.", tensors=True)
logical_or = _binary("logical_or", operators.comparison(e.logical_or),
                     "Whether either element is non-zero.", tensors=True)
logical_xor = _binary("logical_xor", operators.comparison(e.logical_xor),
                      "Whether exactly one element is non-zero.", tensors=True)


def _bits(primitive: Primitive) -> Callable[[Any, Any], Tensor]:
    def function(x: Any, y: Any) -> Any:
        return general(primitive, False, x, y)

    return function


and_operator, or_operator, xor_operator = (
    _bits(e.bitwise_and), _bits(e.bitwise_or), _bits(e.bitwise_xor))
lshift_operator, rshift_operator = _bits(e.left_shift), _bits(e.right_shift)
rlshift_operator, rrshift_operator = _swapped(lshift_operator), _swapped(rshift_operator)
bitwise_left_shift = _binary("bitwise_left_shift", lshift_operator, "input << other.")
bitwise_right_shift = _binary("bitwise_right_shift", rshift_operator, "input >> other.")
bitwise_and = _binary("bitwise_and", and_operator, "input & other, bit by bit.")
bitwise_or = _binary("bitwise_or", or_operator, "input | other, bit by bit.")
bitwise_xor = _binary("bitwise_xor", xor_operator, "input ^ other, bit by bit.")


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08,
            equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, element by element."""
    _same_dtype(need_tensor("isclose", input), need_tensor("isclose", other, "other", 2))
    if deepest((input, other)) is not None or here.recorder is not None:
        near = (input - other).abs() <= atol + rtol * other.abs()
        close = (input == other) | (e.isfinite(other) & near)
        return close | (e.isnan(input) & e.isnan(other)) if equal_nan else close
    return wrap(here.run(np.asarray, here.run(
        np.isclose, input.value, other.value, rtol, atol, bool(equal_nan))))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08,
             equal_nan: bool = False) -> builtins.bool:
    """Whether all elements are close, as `isclose` says."""
    _same_dtype(need_tensor("allclose", input), need_tensor("allclose", other, "other", 2))
    return builtins.bool(concrete(isclose(input, other, rtol, atol, equal_nan), LOOKS).all())


def equal(input: Tensor, other: Tensor) -> builtins.bool:
    """Whether two tensors have the same size and elements."""
    need_tensor("equal", input)
    need_tensor("equal", other, "other", 2)
    return input.aval.shape == other.aval.shape and builtins.bool(
        np.array_equal(concrete(input, LOOKS), concrete(other, LOOKS)))


def _same_dtype(x: Any, y: Any) -> None:
    if x.aval.dtype is not y.aval.dtype:
        raise RuntimeError(f"{x.aval.dtype.words} did not match {y.aval.dtype.words}")


# PyTorch's other names for the same things.
absolute, arccos, arccosh, arcsin, arcsinh = abs, acos, acosh, asin, asinh
arctan, arctan2, arctanh, fix = atan, atan2, atanh, trunc
divide, true_divide, multiply, subtract, negative = div, div, mul, sub, neg
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
