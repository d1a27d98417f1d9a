"""Functions of two operands: arithmetic, powers, and what is written as an operator."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.handle import Handle
from ...core.levels import numbers
from ...primitives import elementwise as e
from .. import operators
from ..arguments import need_tensor
from ..operators import general, is_number, promoted
from .functions import reciprocal
from .words import binary, by_number, number_first, swapped

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = [
    "add", "arctan2", "atan2", "copysign", "div", "divide", "float_power", "floor_divide", "fmax",
    "fmin", "fmod", "heaviside", "hypot", "ldexp", "logaddexp", "logaddexp2", "maximum", "minimum",
    "mul", "multiply", "nextafter", "pow", "remainder", "rsub", "sub", "subtract", "true_divide",
    "xlogy",
]

# --- what is checked before operands are promoted ---------------------------------------------


def _is_bool(x: Any) -> builtins.bool:
    return x.aval.dtype is dtypes.bool_ if isinstance(x, Handle) else isinstance(x, builtins.bool)


def check_no_bool(x: Any, y: Any) -> None:
    """Refuses to subtract bools."""
    if _is_bool(x) and _is_bool(y):
        raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. "
                           "Use the `^` or `logical_xor()` operator instead.")
    if _is_bool(x) or _is_bool(y):
        raise RuntimeError("Subtraction, the `-` operator, with a bool tensor is not supported. If "
                           "you are trying to invert a mask, use the `~` or `logical_not()` "
                           "operator instead.")


def _check_divisor(x: Any, y: Any) -> None:
    """Refuses a zero divisor in integer division and its kin; floats follow IEEE."""
    if x.aval.dtype.differentiable or (type(y) is int and y):
        return
    divisor = numbers(y)
    kinds = x.aval.numpy.kind + divisor.dtype.kind
    if kinds != "bb" and divisor.dtype.kind in "iub" and not divisor.all():
        raise RuntimeError("ZeroDivisionError")


def _check_exponent(x: Any, y: Any) -> None:
    """Refuses a negative number as an integer's exponent; tensors may have them."""
    if isinstance(y, int) and y < 0 and not x.aval.dtype.differentiable:
        raise RuntimeError("Integers to negative integer powers are not allowed.")


def check_step(x: Any, y: Any) -> None:
    """Refuses what `heaviside` does not take."""
    if x.aval.is_complex or y.aval.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if x.aval.dtype is not y.aval.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")


operators.CHECKS.update({
    "sub": check_no_bool, "remainder": _check_divisor, "fmod": _check_divisor,
    "floor_divide": _check_divisor, "floor_quotient": _check_divisor,
    "trunc_quotient": _check_divisor, "pow": _check_exponent})

# --- sums and differences ---------------------------------------------------------------------

add_operator, sub_operator, mul_operator = (
    operators.binary(e.add), operators.binary(e.sub), operators.binary(e.mul))
_add_function, _sub_function = binary("add", add_operator, ""), binary("sub", sub_operator, "")
_rsub_tensor: Any = operators.binary(e.sub.named("RsubBackward0"))
_rsub_scaled = e.sub_scaled.named("RsubBackward0")


def add(input: Tensor, other: Any, *, alpha: complex = 1) -> Tensor:
    """input + alpha * other.

    Example:
        >>> import wengert as torch
        >>> torch.add(torch.ones(2), 2, alpha=3)
        tensor([7., 7.])
    """
    if type(alpha) is int and alpha == 1:
        return _add_function(input, other)
    return e.add_scaled(*scaled("add", input, other, alpha))


def sub(input: Tensor, other: Any, *, alpha: complex = 1) -> Tensor:
    """input - alpha * other."""
    if type(alpha) is int and alpha == 1:
        return _sub_function(input, other)
    check_no_bool(input, other)
    return e.sub_scaled(*scaled("sub", input, other, alpha, -1))


def rsub(input: Tensor, other: Any, *, alpha: complex = 1) -> Tensor:
    """other - alpha * input.

    Example:
        >>> import wengert as torch
        >>> torch.rsub(torch.ones(2), 3)
        tensor([2., 2.])
    """
    need_tensor("rsub", input)
    if type(alpha) is int and alpha == 1:
        found = rsub_operator(input, other)
        return need_tensor("rsub", other, "other", 2) if found is NotImplemented else found
    check_no_bool(input, other)
    return _rsub_scaled(*scaled("rsub", other, input, alpha, -1))


def rsub_operator(x: Any, y: Any) -> Tensor:
    """y - x, by the name that PyTorch gives it."""
    if isinstance(y, Handle):
        return _rsub_tensor(y, x)
    if not is_number(y):
        return NotImplemented
    known = operators.met(x.aval.plain, y)
    if known is None:
        check_no_bool(x, y)
        x, known = promoted((x, y))
        operators.remember(x.aval.plain, y, known)
    return e.rsub(known, x)


def scaled(name: str, x: Any, y: Any, alpha: Any, sign: int = 1) -> tuple[Any, Any, Any]:
    """x, y and alpha in one dtype, for x + alpha * y; `sign` is alpha's.

    Raises:
        RuntimeError: if alpha is of a kind of number that the operands are not.
    """
    if not is_number(alpha):
        alpha = alpha.item()
    if not (isinstance(y, Handle) and isinstance(x, Handle) and x.aval.dtype is y.aval.dtype):
        _check_operands(name, x, y)
        x, y = promoted((x, y))
    elif (known := operators.met(x.aval.plain, alpha if sign > 0 else -alpha)) is not None:
        return x, y, known
    aval = (x if isinstance(x, Handle) else y).aval
    if isinstance(alpha, builtins.bool) and aval.dtype is not dtypes.bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, (float, complex)) and not aval.dtype.differentiable:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating "
                           "point number.")
    if isinstance(alpha, complex) and not aval.is_complex:
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex "
                           "number.")
    return x, y, operators.scalar(alpha if sign > 0 else -alpha, aval)


def _check_operands(name: str, x: Any, y: Any) -> None:
    """Refuses what is neither tensor nor number, and two numbers."""
    if not isinstance(x, Handle) and (not isinstance(y, Handle) or not operators.acceptable(x)):
        need_tensor(name, x)
    if not operators.acceptable(y):
        need_tensor(name, y, "other", 2)


# --- products and quotients -------------------------------------------------------------------

mul = binary("mul", mul_operator, "input * other, element by element.",
             ("torch.mul(torch.ones(2), 3)", "tensor([3., 3.])"))
div_operator = operators.binary(e.div, floats=True)
_div_function = binary("div", div_operator, "")


def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, element by element.

    Args:
        input: a tensor; integers are divided as floats.
        other: a tensor or number.
        rounding_mode: None, "trunc" (towards zero) or "floor" (downwards).

    Raises:
        RuntimeError: for another rounding mode, or an integer division by zero.
    """
    return (_div_function if rounding_mode is None else _rounded_divisions[
        known_rounding(rounding_mode)])(input, other)


def known_rounding(mode: str | None) -> str:
    """A rounding mode of `div`.

    Raises:
        RuntimeError: if there is none such.
    """
    if mode not in ("trunc", "floor"):
        raise RuntimeError("div expected rounding_mode to be one of None, 'trunc', or 'floor' but "
                           f"found '{mode}'")
    return mode


def rdiv_operator(x: Any, y: Any) -> Tensor:
    """y / x for a number y: as PyTorch has it, the reciprocal times y."""
    return reciprocal(x) * y if operators.acceptable(y) else NotImplemented


def true_divide(input: Tensor, other: Any) -> Tensor:
    """input / other, element by element."""
    return _div_function(input, other)


def floor_divide_operator(x: Any, y: Any) -> Tensor:
    """x // y, rounded down."""
    return general(e.floor_divide, False, x, y)


rfloor_divide_operator = swapped(floor_divide_operator)
floor_divide = binary("floor_divide", floor_divide_operator,
                      "input / other, rounded down; carries no gradient.")
_rounded_divisions = {
    "trunc": binary("div", lambda x, y: general(e.trunc_quotient, False, x, y), ""),
    "floor": binary("div", lambda x, y: general(e.floor_quotient, False, x, y), "")}
remainder_operator = by_number(operators.binary(e.remainder),
                               operators.binary(e.remainder_by_number))
rremainder_operator = swapped(remainder_operator)
remainder = binary("remainder", remainder_operator,
                   "input % other, with the sign of the divisor.",
                   ("torch.remainder(torch.tensor([-3., 5.]), 4)", "tensor([1., 1.])"))
fmod = binary("fmod", by_number(operators.binary(e.fmod), operators.binary(e.fmod_by_number)),
              "The remainder with the sign of the dividend.", first=False)

# --- powers -----------------------------------------------------------------------------------

_square: Any = operators.unary(e.square)
_tensor_power: Any = operators.binary(e.power)
_whole_power: Any = operators.binary(e.power.named("PowBackward1", evaluate=np.power))
_power_of_scalar = operators.binary(e.power_of_scalar)
_complex_power = operators.binary(e.power.named("PowBackward0"))


def pow_operator(x: Any, y: Any) -> Tensor:
    """x ** y; a number as exponent has a rule of its own."""
    if not is_number(y):
        return _tensor_power(x, y)
    if (isinstance(y, complex) and not isinstance(y, float)) or x.aval.is_complex:
        return _complex_power(x, y)
    kind = x.aval.dtype
    if not kind.is_floating_point:
        kind = dtypes.result_type([operators.ranked(x), operators.ranked(y)])
        if kind is dtypes.bool_:
            return x | (not y)
        if not kind.differentiable:
            return (_whole_power if type(y) is int and y >= 0 else _tensor_power)(x, y)
        x = operators.to_kind(x, kind)
    return _square(x) if y == 2 else e.scalar_power(x, exponent=float(y))


def rpow_operator(x: Any, y: Any) -> Tensor:
    """y ** x."""
    if isinstance(y, Handle):
        return _tensor_power(y, x)
    if not is_number(y):
        return NotImplemented
    x, y = promoted((x, y))
    return e.power_of_scalar(y, x)


def pow(input: Tensor, exponent: Any) -> Tensor:
    """input ** exponent, element by element; one of them may be a number.

    Example:
        >>> import wengert as torch
        >>> torch.pow(torch.tensor([2., 3.]), 2)
        tensor([4., 9.])
    """
    found = pow_operator(input, exponent) if isinstance(input, Handle) else (
        number_first("pow", _power_of_scalar, input, exponent))
    if found is NotImplemented:
        need_tensor("pow", input)
        need_tensor("pow", exponent, "exponent", 2)
    return found


def float_power(input: Tensor, exponent: Any) -> Tensor:
    """input ** exponent, in float64 (or complex128).

    Example:
        >>> import wengert as torch
        >>> torch.float_power(torch.tensor([2, 3]), 0.5)
        tensor([1.4142, 1.7321], dtype=torch.float64)
    """
    _check_operands("float_power", input, exponent)
    kind = widest(input, exponent)
    return pow(*[operators.to_kind(x, kind) if isinstance(x, Handle) else x
                 for x in (input, exponent)])


def widest(*operands: Any) -> dtypes.dtype:
    """complex128 if an operand is complex, else float64."""
    found = dtypes.result_type([operators.ranked(operators.as_operand(x)) for x in operands])
    return dtypes.complex128 if found.is_complex else dtypes.float64


ldexp = binary("ldexp", operators.binary(e.ldexp, floats=True),
               "input * 2**other, element by element.",
               ("torch.ldexp(torch.tensor([1., 3.]), torch.tensor([4, -1]))",
                "tensor([16.0000,  1.5000])"), tensors=True)
xlogy = binary("xlogy", by_number(operators.binary(e.xlogy, floats=True),
                                  operators.binary(e.xlogy_by_number, floats=True)),
               "input * log(other), 0 where input is 0.",
               ("torch.xlogy(torch.tensor([0., 2.]), torch.tensor([0., 1.]))",
                "tensor([0., 0.])"))
logaddexp = binary("logaddexp", operators.binary(e.logaddexp),
                   "log(e**input + e**other), without overflow.", tensors=True)
logaddexp2 = binary("logaddexp2", operators.binary(e.logaddexp2),
                    "log2(2**input + 2**other), without overflow.", tensors=True)

# --- geometry, extremes, signs ----------------------------------------------------------------

atan2 = binary("atan2", operators.binary(e.atan2, floats=True),
               "The angle of the point (other, input), in radians.", tensors=True)
hypot = binary("hypot", operators.binary(e.hypot),
               "sqrt(input**2 + other**2), without overflow.", tensors=True)
maximum = binary("maximum", operators.binary(e.maximum),
                 "The larger of each two elements; a tie shares the gradient.",
                 ("torch.maximum(torch.tensor([1., 4.]), torch.tensor([3., 2.]))",
                  "tensor([3., 4.])"), tensors=True)
minimum = binary("minimum", operators.binary(e.minimum),
                 "The smaller of each two elements; a tie shares the gradient.", tensors=True)
fmax = binary("fmax", operators.binary(e.fmax),
              "The larger of each two elements; if one is NaN, the other.", tensors=True)
fmin = binary("fmin", operators.binary(e.fmin),
              "The smaller of each two elements; if one is NaN, the other.", tensors=True)
copysign = binary("copysign", by_number(operators.binary(e.copysign, floats=True),
                                        operators.binary(e.copysign_of_number, floats=True)),
                  "Each element with the sign of another, or of a number.",
                  ("torch.copysign(torch.tensor([1., -2.]), -0.)", "tensor([-1., -2.])"),
                  first=False)
nextafter = binary("nextafter", operators.binary(e.nextafter),
                   "The next number that the dtype has after each element, towards the other.",
                   tensors=True)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and the other tensor's element at 0; has no gradient.

    Raises:
        RuntimeError: for complex numbers, or two different dtypes.

    Example:
        >>> import wengert as torch
        >>> torch.heaviside(torch.tensor([-2., 0., 3.]), torch.tensor([0.5]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    need_tensor("heaviside", input)
    check_step(input, need_tensor("heaviside", values, "values", 2))
    return (_step if input.node is None is values.node else e.heaviside)(input, values)


_step: Any = operators.binary(e.heaviside)
"""The quick way, which records nothing."""


# PyTorch's other names for the same things.
arctan2, divide, multiply, subtract = atan2, div, mul, sub
