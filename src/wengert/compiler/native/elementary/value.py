"""Numbers in the making: LLVM values that take Python's operators.

A `Float`, `Int` or `Mask` stands for one lane or many; what is written with it is the same. So
`fma(x, y, z)` emits one instruction, for `float` as for `<8 x double>`, and a Python number beside
a value becomes a constant of its type. Nothing here depends on fast-math: each operation is
rounded as it stands.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self, TypeVar

from llvmlite import ir

V = TypeVar("V", bound="Value")


@dataclasses.dataclass(frozen=True)
class Format:
    """A binary floating-point format of IEEE 754.

    Attributes:
        bits: of the whole.
        fraction: bits of the fraction, the leading one not among them.
        bias: of the exponent.
    """

    bits: int
    fraction: int
    bias: int

    @property
    def smallest(self) -> float:
        """The smallest normal number."""
        return 2.0 ** (1 - self.bias)

    @property
    def shifter(self) -> float:
        """Added to a small number, it leaves its nearest integer in the lowest bits."""
        return 1.5 * 2.0**self.fraction

    @property
    def one(self) -> int:
        """The bits of 1."""
        return self.bias << self.fraction


FORMATS = {"f32": Format(32, 23, 127), "f64": Format(64, 52, 1023)}


def lanes(like: ir.Type, element: ir.Type) -> ir.Type:
    """The type of as many elements as `like` has."""
    return ir.VectorType(element, like.count) if isinstance(like, ir.VectorType) else element


def element(type: ir.Type) -> ir.Type:
    """The type of one lane."""
    return type.element if isinstance(type, ir.VectorType) else type


def suffix(type: ir.Type) -> str:
    """The type as intrinsics' names have it: f32, v4f64."""
    count = f"v{type.count}" if isinstance(type, ir.VectorType) else ""
    return count + str(element(type).intrinsic_name)


class Constant(ir.Constant):  # type: ignore[misc]
    """A number in every lane, written once: a thousand vectors in full make a long text."""

    def __init__(self, type: ir.Type, number: Any) -> None:
        super().__init__(type, number)
        self.number = ir.Constant(element(type), number)

    def get_reference(self) -> str:
        """The number as LLVM's text has it."""
        if self.type == self.number.type:
            return str(self.number.get_reference())
        return f"splat ({self.number})"


class Value:
    """A value of LLVM's, and the builder that more is emitted with."""

    __slots__ = ("builder", "ir")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.ir = builder, value

    def like(self, number: Any) -> Self:
        """A number as a constant of this value's type; a value is left as it is."""
        if isinstance(number, Value):
            return number  # type: ignore[return-value]
        return type(self)(self.builder, Constant(self.ir.type, number))

    def do(self, instruction: str, other: Any) -> Self:
        """The result of an instruction on this value and another."""
        emit = getattr(self.builder, instruction)
        return type(self)(self.builder, emit(self.ir, self.like(other).ir))


class Mask(Value):
    """True or false, in each lane."""

    __slots__ = ()

    def __and__(self, other: Mask) -> Mask:
        return self.do("and_", other)

    def __or__(self, other: Mask) -> Mask:
        return self.do("or_", other)

    def __invert__(self) -> Mask:
        return Mask(self.builder, self.builder.not_(self.ir))

    def any(self) -> ir.Value:
        """Whether it is true in any lane, as one i1."""
        if not isinstance(self.ir.type, ir.VectorType):
            return self.ir
        together = self.builder.bitcast(self.ir, ir.IntType(self.ir.type.count))
        return self.builder.icmp_unsigned("!=", together, ir.Constant(together.type, 0))


class Int(Value):
    """Whole numbers as wide as a float of the same lanes; they wrap around."""

    __slots__ = ()

    def __add__(self, other: Int | int) -> Int:
        return self.do("add", other)

    def __sub__(self, other: Int | int) -> Int:
        return self.do("sub", other)

    def __and__(self, other: Int | int) -> Int:
        return self.do("and_", other)

    def __or__(self, other: Int | int) -> Int:
        return self.do("or_", other)

    def __xor__(self, other: Int | int) -> Int:
        return self.do("xor", other)

    def __lshift__(self, other: Int | int) -> Int:
        return self.do("shl", other)

    def __rshift__(self, other: Int | int) -> Int:
        """Shifted right, zeros coming in."""
        return self.do("lshr", other)

    def equals(self, other: Int | int) -> Mask:
        """Where both are the same."""
        return Mask(self.builder, self.builder.icmp_unsigned("==", self.ir, self.like(other).ir))

    @property
    def float(self) -> Float:
        """The float with these bits."""
        one = ir.FloatType() if element(self.ir.type).width == 32 else ir.DoubleType()
        return Float(self.builder, self.builder.bitcast(self.ir, lanes(self.ir.type, one)))


class Float(Value):
    """Floats; comparisons are false where either side is NaN."""

    __slots__ = ()

    @property
    def format(self) -> Format:
        """Which floats they are."""
        return FORMATS[element(self.ir.type).intrinsic_name]

    @property
    def bits(self) -> Int:
        """Their bits."""
        kind = lanes(self.ir.type, ir.IntType(self.format.bits))
        return Int(self.builder, self.builder.bitcast(self.ir, kind))

    def __add__(self, other: Float | float) -> Float:
        return self.do("fadd", other)

    def __radd__(self, other: float) -> Float:
        return self.do("fadd", other)

    def __sub__(self, other: Float | float) -> Float:
        return self.do("fsub", other)

    def __rsub__(self, other: float) -> Float:
        return self.like(other).do("fsub", self)

    def __mul__(self, other: Float | float) -> Float:
        return self.do("fmul", other)

    def __rmul__(self, other: float) -> Float:
        return self.do("fmul", other)

    def __truediv__(self, other: Float | float) -> Float:
        return self.do("fdiv", other)

    def __rtruediv__(self, other: float) -> Float:
        return self.like(other).do("fdiv", self)

    def __neg__(self) -> Float:
        return Float(self.builder, self.builder.fneg(self.ir))

    def __abs__(self) -> Float:
        return self.intrinsic("fabs")

    def __lt__(self, other: Float | float) -> Mask:
        return self.compare("<", other)

    def __le__(self, other: Float | float) -> Mask:
        return self.compare("<=", other)

    def __gt__(self, other: Float | float) -> Mask:
        return self.compare(">", other)

    def __ge__(self, other: Float | float) -> Mask:
        return self.compare(">=", other)

    def equals(self, other: Float | float) -> Mask:
        """Where both are the same number."""
        return self.compare("==", other)

    def compare(self, sign: str, other: Float | float) -> Mask:
        """Where an ordered comparison holds."""
        return Mask(self.builder, self.builder.fcmp_ordered(sign, self.ir, self.like(other).ir))

    def is_nan(self) -> Mask:
        """Where it is no number."""
        return Mask(self.builder, self.builder.fcmp_unordered("uno", self.ir, self.ir))

    def negative(self) -> Mask:
        """Where the sign bit is set, that of -0 and NaN included."""
        bits = self.bits
        return Mask(self.builder, self.builder.icmp_signed("<", bits.ir, bits.like(0).ir))

    def intrinsic(self, name: str, *others: Float | float) -> Float:
        """The result of one of LLVM's intrinsic functions, which is one instruction."""
        values = [self.ir, *(self.like(other).ir for other in others)]
        kind, full = self.ir.type, f"llvm.{name}.{suffix(self.ir.type)}"
        known = self.builder.module.globals.get(full)
        callee = known or ir.Function(
            self.builder.module, ir.FunctionType(kind, [kind] * len(values)), full)
        return Float(self.builder, self.builder.call(callee, values))

    def rint(self) -> Float:
        """The nearest whole number; the even one, if there are two."""
        return self.intrinsic("rint")

    def sqrt(self) -> Float:
        """The square root."""
        return self.intrinsic("sqrt")

    def copysign(self, other: Float) -> Float:
        """The magnitude of this with the sign of another."""
        return self.intrinsic("copysign", other)

    def clip(self, low: float | None, high: float | None) -> Float:
        """Brought between bounds; NaN remains."""
        x = self
        if low is not None:
            x = where(x < low, x.like(low), x)
        return x if high is None else where(x > high, x.like(high), x)

    def widened(self) -> Float:
        """As doubles."""
        kind = lanes(self.ir.type, ir.DoubleType())
        return Float(self.builder, self.builder.fpext(self.ir, kind))

    def narrowed(self) -> Float:
        """As floats, rounded."""
        kind = lanes(self.ir.type, ir.FloatType())
        return Float(self.builder, self.builder.fptrunc(self.ir, kind))


def fma(a: Float, b: Float | float, c: Float | float) -> Float:
    """a * b + c, rounded once."""
    return a.intrinsic("fma", b, c)


def where(mask: Mask, yes: V, no: Any) -> V:
    """`yes` where the mask is true, `no` elsewhere."""
    chosen = yes.builder.select(mask.ir, yes.ir, yes.like(no).ir)
    return type(yes)(yes.builder, chosen)


def polynomial(x: Float, table: dict[int, tuple[float, ...]]) -> Float:
    """The value of a polynomial, coefficients lowest first, by the bits of x's type.

    Even and odd powers are summed apart, so that two chains of operations run side by side.
    """
    coefficients = table[x.format.bits]
    square = x * x
    even, odd = horner(square, coefficients[::2]), horner(square, coefficients[1::2])
    return fma(x, odd, even)


def horner(x: Float, coefficients: tuple[float, ...]) -> Float:
    """The value of a polynomial, one operation after the other."""
    total = x.like(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = fma(total, x, coefficient)
    return total


def estrin(x: Float, coefficients: Sequence[float]) -> Float:
    """The value of a polynomial by pairs of terms, pairs of pairs and so on: in the fewest steps
    that wait for each other."""
    terms = [x.like(coefficient) for coefficient in coefficients]
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        odd = terms[-1:] if len(terms) % 2 else []
        terms = [fma(x, high, low) for low, high in pairs] + odd
        x = x * x
    return terms[0]


def power_of_two(n: Float) -> Float:
    """2**n for whole n from 1 - bias to bias."""
    return ((n + (n.format.shifter + n.format.bias)).bits << n.format.fraction).float
