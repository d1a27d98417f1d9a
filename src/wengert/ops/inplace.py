"""In-place forms of elementwise functions and operators, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes
from ..core.levels import here
from ..core.primitive import Primitive
from ..interpreters.inplace import check_fits, check_kind, unbound, write, written
from ..primitives import complexes as c, elementwise as e
from . import choices, pointwise, shapes
from .arguments import need_tensor
from .operators import inplace_binary, is_number, write_promoted
from .pointwise import arithmetic, comparisons, functions
from .pointwise.words import by_number

if TYPE_CHECKING:
    from .._tensor import Tensor


def _named(function: Any, name: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = f"`{name[:-1]}`, in place."
    return function


# --- functions of one operand -----------------------------------------------------------------


def unary(primitive: Primitive, *, floats: bool = True) -> Callable[[Tensor], Tensor]:
    """The in-place form of a function of one operand.

    Args:
        primitive: the function.
        floats: whether its results are floats even for integers, which then have no room for them.
    """
    ufunc: Any = primitive.ufunc
    at_once = ufunc is not None and "f->f" in ufunc.types

    def function(self: Any) -> Any:
        if at_once and self.aval.fast and unbound(self):
            here.run(ufunc, self.value, self.value)
            written(self)
            return self
        if floats:
            check_floats(self)
        return write(primitive, self)

    return _named(function, f"{primitive.name}_")


def check_floats(self: Any) -> None:
    """Refuses integers as the place of what is a float."""
    if not self.aval.dtype.differentiable:
        check_kind(self.aval, self.aval.with_dtype(dtypes.get_default_dtype()))


def _whole(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """The in-place form of a rounding function, which leaves integers as they are."""

    def function(self: Any) -> Any:
        if self.aval.dtype.differentiable:
            return write(primitive, self)
        primitive.abstract(self.aval.plain)  # which refuses bools
        return write(e.positive, self)

    return _named(function, f"{primitive.name}_")


exp_, exp2_, expm1_ = unary(e.exp), unary(e.exp2), unary(e.expm1)
log_, log2_, log10_, log1p_ = unary(e.log), unary(e.log2), unary(e.log10), unary(e.log1p)
sqrt_, rsqrt_, reciprocal_ = unary(e.sqrt), unary(e.rsqrt), unary(e.reciprocal)
sin_, cos_, tan_ = unary(e.sin), unary(e.cos), unary(e.tan)
asin_, acos_, atan_ = unary(e.asin), unary(e.acos), unary(e.atan)
sinh_, cosh_, tanh_ = unary(e.sinh), unary(e.cosh), unary(e.tanh)
asinh_, acosh_, atanh_ = unary(e.asinh), unary(e.acosh), unary(e.atanh)
sinc_, deg2rad_, rad2deg_ = unary(e.sinc), unary(e.deg2rad), unary(e.rad2deg)
sigmoid_, erf_, erfc_ = unary(e.sigmoid), unary(e.erf), unary(e.erfc)
sign_, sgn_ = unary(e.sign, floats=False), unary(e.sgn, floats=False)
frac_ = unary(e.frac, floats=False)
bitwise_not_ = unary(e.bitwise_not, floats=False)
floor_, ceil_, trunc_ = _whole(e.floor), _whole(e.ceil), _whole(e.trunc)
_round, _square = _whole(e.round_), unary(e.square, floats=False)
_abs, _neg = unary(e.abs_, floats=False), unary(e.neg, floats=False)


def abs_(self: Tensor) -> Tensor:
    """`abs`, in place; of real numbers alone.

    Raises:
        RuntimeError: for complex numbers, whose absolute values are real.
    """
    if self.aval.is_complex:
        raise RuntimeError("In-place abs is not supported for complex tensors.")
    return _abs(self)


def round_(self: Tensor, *, decimals: int = 0) -> Tensor:
    """`round`, in place."""
    return write(e.round_decimals, self, decimals=decimals) if decimals else _round(self)


def square_(self: Tensor) -> Tensor:
    """`square`, in place."""
    if self.aval.dtype is dtypes.bool_:
        check_kind(self.aval, self.aval.with_dtype(dtypes.int64))
    return _square(self)


def logit_(self: Tensor, eps: float | None = None) -> Tensor:
    """`logit`, in place."""
    check_floats(self)
    return write(e.logit, self, eps=None if eps is None else float(eps))


def nan_to_num_(self: Tensor, nan: float | None = None, posinf: float | None = None,
                neginf: float | None = None) -> Tensor:
    """`nan_to_num`, in place."""
    return write(e.nan_to_num, self,
                 **functions.finite_numbers(self.aval.dtype, nan, posinf, neginf))


def relu_(self: Tensor) -> Tensor:
    """`relu`, in place."""
    if self.aval.dtype is dtypes.bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    if self.aval.fast and unbound(self):
        here.run(np.maximum, self.value, self.aval.zero, out=self.value)
        written(self)
        return self
    return write(e.relu, self)


def neg_(self: Tensor) -> Tensor:
    """`neg`, in place."""
    if self.aval.dtype is dtypes.bool_:
        pointwise.neg(self)  # which refuses them
    return _neg(self)


def conj_physical_(self: Tensor) -> Tensor:
    """`conj_physical`, in place."""
    return write(c.conj_physical, self)


# --- functions of two operands ----------------------------------------------------------------


def _binary_(name: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tensor]:
    """The word of an in-place operator."""

    def function(self: Any, other: Any) -> Any:
        return _or_type_error(name, other, apply(self, other))

    return _named(function, name)


def _or_type_error(name: str, other: Any, found: Any) -> Any:
    """What an operator found; it knows nothing of other operands than tensors and numbers."""
    return need_tensor(name, other, "other") if found is NotImplemented else found


def binary(name: str, primitive: Primitive, *, floats: bool = False,
            numbers: bool = False) -> Callable[[Tensor, Any], Tensor]:
    """The in-place form of a primitive, whose second operand may be a number if `numbers`."""
    apply = inplace_binary(primitive, floats=floats)

    def function(self: Any, other: Any) -> Any:
        if not numbers:
            need_tensor(name, other, "other")
        return _or_type_error(name, other, apply(self, other))

    return _named(function, name)


iadd_operator, isub_operator = inplace_binary(e.add), inplace_binary(e.sub)
imul_operator, idiv_operator = inplace_binary(e.mul), inplace_binary(e.div, floats=True)
iremainder_operator = by_number(inplace_binary(e.remainder),
                                inplace_binary(e.remainder_by_number))
ilshift_operator, irshift_operator = inplace_binary(e.left_shift), inplace_binary(e.right_shift)
ifloor_divide_operator = inplace_binary(e.floor_divide)
iand_operator, ior_operator = inplace_binary(e.bitwise_and), inplace_binary(e.bitwise_or)
ixor_operator = inplace_binary(e.bitwise_xor)


def ipow_operator(self: Any, exponent: Any) -> Any:
    """self **= exponent."""
    if is_number(exponent) and self.aval.dtype.is_floating_point and not isinstance(
            exponent, complex):
        return _square(self) if exponent == 2 else write(
            e.scalar_power, self, exponent=float(exponent))
    return _ipower(self, exponent)


# NumPy's ufunc has no negative exponents for integers.
_ipower = inplace_binary(e.power.named("PowBackward1", ufunc=None))


def add_(self: Tensor, other: Any, *, alpha: complex = 1) -> Tensor:
    """self += alpha * other, in place."""
    if type(alpha) is int and alpha == 1:
        found = iadd_operator(self, other)
        return found if found is self else _or_type_error("add_", other, found)
    return write_promoted(e.add_scaled, self, *arithmetic.scaled("add_", self, other, alpha))


def sub_(self: Tensor, other: Any, *, alpha: complex = 1) -> Tensor:
    """self -= alpha * other, in place."""
    if type(alpha) is int and alpha == 1:
        return _or_type_error("sub_", other, isub_operator(self, other))
    arithmetic.check_no_bool(self, other)
    return write_promoted(e.sub_scaled, self, *arithmetic.scaled("sub_", self, other, alpha, -1))


def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """`div`, in place."""
    apply = idiv_operator if rounding_mode is None else _rounded_divisions[
        arithmetic.known_rounding(rounding_mode)]
    return _or_type_error("div_", other, apply(self, other))


_rounded_divisions = {"trunc": inplace_binary(e.trunc_quotient),
                      "floor": inplace_binary(e.floor_quotient)}


def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """`float_power`, in place.

    Raises:
        RuntimeError: unless the tensor is of float64 (or complex128, as the result is).
    """
    kind = arithmetic.widest(self, exponent)
    if self.aval.dtype is not kind:
        raise RuntimeError(f"the base given to float_power_ has dtype {self.aval.dtype.words} but "
                           f"the operation's result requires dtype {kind.words}")
    return _or_type_error("float_power_", exponent, ipow_operator(self, exponent))


def pow_(self: Tensor, exponent: Any) -> Tensor:
    """`pow`, in place."""
    return _or_type_error("pow_", exponent, ipow_operator(self, exponent))


def heaviside_(self: Tensor, values: Tensor) -> Tensor:
    """`heaviside`, in place."""
    arithmetic.check_step(self, need_tensor("heaviside_", values, "values"))
    return write(e.heaviside, self, values)


mul_, true_divide_ = _binary_("mul_", imul_operator), _binary_("true_divide_", idiv_operator)
remainder_ = _binary_("remainder_", iremainder_operator)
floor_divide_ = _binary_("floor_divide_", ifloor_divide_operator)
fmod_ = _binary_("fmod_", by_number(inplace_binary(e.fmod), inplace_binary(e.fmod_by_number)))
copysign_ = _binary_("copysign_", by_number(
    inplace_binary(e.copysign, floats=True), inplace_binary(e.copysign_of_number, floats=True)))
xlogy_ = _binary_("xlogy_", by_number(
    inplace_binary(e.xlogy, floats=True), inplace_binary(e.xlogy_by_number, floats=True)))
bitwise_and_, bitwise_or_ = (_binary_("bitwise_and_", iand_operator),
                             _binary_("bitwise_or_", ior_operator))
bitwise_xor_ = _binary_("bitwise_xor_", ixor_operator)
bitwise_left_shift_ = _binary_("bitwise_left_shift_", ilshift_operator)
bitwise_right_shift_ = _binary_("bitwise_right_shift_", irshift_operator)
atan2_, hypot_ = binary("atan2_", e.atan2, floats=True), binary("hypot_", e.hypot)
nextafter_, ldexp_ = binary("nextafter_", e.nextafter), binary("ldexp_", e.ldexp, floats=True)
gcd_, lcm_ = binary("gcd_", e.gcd), binary("lcm_", e.lcm)


def _question(name: str, ask: Callable[..., Any]) -> Callable[..., Tensor]:
    """The in-place form of a function with bools as results: they are stored as 0 and 1."""

    def function(self: Any, other: Any) -> Any:
        return _store(self, ask(self, other))

    return _named(function, name)


def _store(self: Any, answer: Any) -> Any:
    if answer.aval.shape != self.aval.shape:
        check_fits(self.aval, self.aval.with_shape(answer.aval.shape))
    return shapes.copy_(self, answer.detach())


eq_, ne_ = _question("eq_", pointwise.eq), _question("ne_", pointwise.ne)
lt_, le_ = _question("lt_", pointwise.lt), _question("le_", pointwise.le)
gt_, ge_ = _question("gt_", pointwise.gt), _question("ge_", pointwise.ge)
logical_and_ = _question("logical_and_", comparisons.logical_and)
logical_or_ = _question("logical_or_", comparisons.logical_or)
logical_xor_ = _question("logical_xor_", comparisons.logical_xor)


def logical_not_(self: Tensor) -> Tensor:
    """`logical_not`, in place."""
    return _store(self, comparisons.logical_not(self))

# --- constants and limits ---------------------------------------------------------------------


def zero_(self: Tensor) -> Tensor:
    """Fills the tensor with zeros, in place.

    Example:
        >>> import wengert as torch
        >>> torch.ones(2).zero_()
        tensor([0., 0.])
    """
    if unbound(self):
        self.value.fill(0)
        written(self)
        return self
    return write(_zero, self)


_zero = e.zero.named("ZeroBackward0")


def _limited(name: str, limits: Callable[..., Any]) -> Callable[..., Tensor]:
    """The in-place form of `clamp` and its kin, given what finds primitive and operands."""

    def function(self: Any, *bounds: Any, **named: Any) -> Any:
        primitive, operands, params = limits(self, *bounds, **named)
        return write_promoted(primitive, self, *operands, **params)

    return _named(function, name)


clamp_ = _limited("clamp_", choices.limits)
clamp_min_ = _limited("clamp_min_", choices.lower_limit)
clamp_max_ = _limited("clamp_max_", choices.upper_limit)
