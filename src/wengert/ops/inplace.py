"""In-place forms of elementwise functions and operators, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core import dtypes
from ..core.aval import Aval
from ..core.levels import shared
from ..core.primitive import Primitive
from ..interpreters.inplace import check_fits, check_kind, write, written
from ..primitives import elementwise as e
from . import choices, pointwise, shapes
from .arguments import need_tensor
from .operators import inplace_binary, is_number, promoted, write_promoted

if TYPE_CHECKING:
    from .._tensor import Tensor


def _named(function: Any, name: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = f"`{name[:-1]}`, in place."
    return function


def _unary(primitive: Primitive, *, floats: bool = True) -> Callable[[Tensor], Tensor]:
    """The in-place form of a function of one operand.

    Args:
        primitive: the function.
        floats: whether its results are floats even for integers, which then have no room for them.
    """
    as_float = floats

    def function(self: Any) -> Any:
        if primitive is e.square and self.aval.dtype is dtypes.bool_:
            check_kind(self.aval, self.aval.with_dtype(dtypes.int64))
        if as_float and not self.aval.dtype.differentiable:
            check_kind(self.aval, self.aval.with_dtype(dtypes.get_default_dtype()))
        return write(primitive, self)

    return _named(function, f"{primitive.name}_")


def _whole(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """The in-place form of a rounding function, which leaves integers as they are."""

    def function(self: Any) -> Any:
        if self.aval.dtype.differentiable:
            return write(primitive, self)
        primitive.abstract(self.aval.plain)  # which refuses bools
        return write(e.positive, self)

    return _named(function, f"{primitive.name}_")


exp_, exp2_, expm1_ = _unary(e.exp), _unary(e.exp2), _unary(e.expm1)
log_, log2_, log10_, log1p_ = _unary(e.log), _unary(e.log2), _unary(e.log10), _unary(e.log1p)
sqrt_, rsqrt_, reciprocal_ = _unary(e.sqrt), _unary(e.rsqrt), _unary(e.reciprocal)
sin_, cos_, tan_ = _unary(e.sin), _unary(e.cos), _unary(e.tan)
asin_, acos_, atan_ = _unary(e.asin), _unary(e.acos), _unary(e.atan)
sinh_, cosh_, tanh_ = _unary(e.sinh), _unary(e.cosh), _unary(e.tanh)
asinh_, acosh_, atanh_ = _unary(e.asinh), _unary(e.acosh), _unary(e.atanh)
sigmoid_, erf_, erfc_ = _unary(e.sigmoid), _unary(e.erf), _unary(e.erfc)
abs_, square_ = _unary(e.abs_, floats=False), _unary(e.square, floats=False)
sign_, sgn_ = _unary(e.sign, floats=False), _unary(e.sgn, floats=False)
floor_, ceil_, trunc_, round_ = _whole(e.floor), _whole(e.ceil), _whole(e.trunc), _whole(e.round_)


def relu_(self: Tensor) -> Tensor:
    """`relu`, in place."""
    if self.aval.dtype is dtypes.bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    return write(e.relu, self)


def neg_(self: Tensor) -> Tensor:
    """`neg`, in place."""
    if self.aval.dtype is dtypes.bool_:
        pointwise.neg(self)
    return write(e.neg, self)


def _binary(name: str, primitive: Primitive, *, floats: bool = False,
            numbers: bool = False) -> Callable[[Tensor, Any], Tensor]:
    apply = inplace_binary(primitive, floats=floats)

    def function(self: Any, other: Any) -> Any:
        if not numbers:
            need_tensor(name, other, "other")
        found = apply(self, other)
        return need_tensor(name, other, "other") if found is NotImplemented else found

    return _named(function, name)


atan2_ = _binary("atan2_", e.atan2, floats=True)
hypot_ = _binary("hypot_", e.hypot)
fmod_ = _binary("fmod_", e.fmod, numbers=True)
bitwise_and_ = _binary("bitwise_and_", e.bitwise_and, numbers=True)
bitwise_or_ = _binary("bitwise_or_", e.bitwise_or, numbers=True)
bitwise_xor_ = _binary("bitwise_xor_", e.bitwise_xor, numbers=True)


def _question(name: str, ask: Callable[..., Any]) -> Callable[..., Tensor]:
    """The in-place form of a function with bools as results: they are stored as 0 and 1."""

    def function(self: Any, *other: Any) -> Any:
        answer = ask(self, *other)
        check_fits(self.aval, _like(self.aval, answer.aval))
        return shapes.copy_(self, answer.detach())

    return _named(function, name)


def _like(x: Aval, answer: Aval) -> Aval:
    return x.with_shape(answer.shape)


eq_, ne_ = _question("eq_", pointwise.eq), _question("ne_", pointwise.ne)
lt_, le_ = _question("lt_", pointwise.lt), _question("le_", pointwise.le)
gt_, ge_ = _question("gt_", pointwise.gt), _question("ge_", pointwise.ge)
logical_and_ = _question("logical_and_", pointwise.logical_and)
logical_or_ = _question("logical_or_", pointwise.logical_or)
logical_xor_ = _question("logical_xor_", pointwise.logical_xor)
logical_not_ = _question("logical_not_", pointwise.logical_not)


def bitwise_not_(self: Tensor) -> Tensor:
    """`bitwise_not`, in place."""
    return write(e.bitwise_not, self)


# --- those that are operators, too ------------------------------------------------------------

iadd_operator, isub_operator = inplace_binary(e.add), inplace_binary(e.sub)
imul_operator, idiv_operator = inplace_binary(e.mul), inplace_binary(e.div, floats=True)
iremainder_operator = pointwise._by_number(inplace_binary(e.remainder),
                                           inplace_binary(e.remainder_by_number))
ilshift_operator, irshift_operator = inplace_binary(e.left_shift), inplace_binary(e.right_shift)
ifloor_divide_operator = inplace_binary(e.floor_divide)
iand_operator, ior_operator = inplace_binary(e.bitwise_and), inplace_binary(e.bitwise_or)
ixor_operator = inplace_binary(e.bitwise_xor)


def ipow_operator(self: Any, exponent: Any) -> Any:
    """self **= exponent."""
    if is_number(exponent) and self.aval.dtype.is_floating_point and not isinstance(
            exponent, complex):
        return write(e.scalar_power, self, exponent=float(exponent))
    return _ipower(self, exponent)


# NumPy's ufunc has no negative exponents for integers.
_ipower = inplace_binary(e.power.named("PowBackward1", ufunc=None))


def add_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """self += alpha * other, in place."""
    if pointwise.scales(other, alpha):
        return write_promoted(e.add_scaled, self, *pointwise.scaled(self, other, alpha))
    found = iadd_operator(self, other if alpha == 1 else other * alpha)
    return _or_type_error("add_", other, found)


def sub_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """self -= alpha * other, in place."""
    if pointwise.scales(other, alpha):
        pointwise._check_no_bool(self, other)
        return write_promoted(e.sub_scaled, self, *pointwise.scaled(self, other, alpha, -1))
    found = isub_operator(self, other if alpha == 1 else other * alpha)
    return _or_type_error("sub_", other, found)


def _or_type_error(name: str, other: Any, found: Any) -> Any:
    return need_tensor(name, other, "other", 1) if found is NotImplemented else found


def _binary_(name: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tensor]:
    def function(self: Any, other: Any) -> Any:
        return _or_type_error(name, other, apply(self, other))

    return _named(function, name)


mul_, div_ = _binary_("mul_", imul_operator), _binary_("div_", idiv_operator)
pow_, remainder_ = _binary_("pow_", ipow_operator), _binary_("remainder_", iremainder_operator)
floor_divide_ = _binary_("floor_divide_", ifloor_divide_operator)


def zero_(self: Tensor) -> Tensor:
    """Fills the tensor with zeros, in place.

    Example:
        >>> import wengert as torch
        >>> torch.ones(2).zero_()
        tensor([0., 0.])
    """
    alias = self.alias
    if (self.node is None and not shared.special and self.value.flags.writeable
            and (alias is None or (alias.base is None and not alias.storage.inference))):
        # as between training steps
        self.value.fill(0)
        written(self)
        return self
    return write(_zero, self)


_zero = e.zero.named("ZeroBackward0")


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """`clamp`, in place."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    for bound in (min, max):
        if bound is not None:
            check_kind(self.aval, promoted((self, bound))[0].aval)
    if is_number(min) or is_number(max):
        return write(e.clamp, self, low=min, high=max)
    return shapes.copy_(self, choices.clamp(self, min, max))
