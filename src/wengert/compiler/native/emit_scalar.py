"""Scalar operations as LLVM IR, on one number or on a vector of them alike.

Operations are named as NumPy's ufuncs and defined as they are. A bool is an `i1` in a register
and a byte in memory; float16 is computed in float32 and rounded after each operation. What goes
wrong (an integer divided by zero) sets the function's status and goes on with some number: native
code has no exceptions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .emit_code import BOOL, F16, F32, F64, I32, I64, KINDS, Code, Kind, literal

OUT_OF_RANGE, ZERO_DIVISION = -2, -3
DIVISIONS = frozenset(("floor_divide", "remainder", "fmod", "reciprocal"))
"""Operations that of integers set the status to `ZERO_DIVISION` if the last operand is 0."""


class Ops:
    """Appends operations to code.

    Attributes:
        code: where to.
        lanes: how many numbers there are to a register.
        mask: which lanes count; None for all.
        inline: whether elementary functions become part of the code, or are called.
    """

    def __init__(self, code: Code, lanes: int = 1, mask: str | None = None,
                 inline: bool = False) -> None:
        self.code, self.lanes, self.mask, self.inline = code, lanes, mask, inline
        self.let = code.let

    def type(self, text: str) -> str:
        """The type of a register, given that of a number."""
        return text if self.lanes == 1 else f"<{self.lanes} x {text}>"

    def suffix(self, kind: Kind) -> str:
        """What an intrinsic's name ends in."""
        letters = f"f{kind.bits}" if kind.sort == "f" else kind.text
        return letters if self.lanes == 1 else f"v{self.lanes}{letters}"

    def number(self, kind: Kind, value: Any) -> str:
        """A number that is known, in all lanes."""
        text = literal(kind, value)
        return text if self.lanes == 1 else f"splat ({kind.text} {text})"

    def splat(self, kind: Kind, value: str) -> str:
        """A scalar register's number in all lanes."""
        if self.lanes == 1:
            return value
        type = self.type(kind.text)
        one = self.let(f"insertelement {type} poison, {kind.text} {value}, i64 0")
        return self.let(f"shufflevector {type} {one}, {type} poison, "
                        f"<{self.lanes} x i32> zeroinitializer")

    def steps(self) -> str:
        """0, 1, 2, ..., lane by lane, as i64."""
        if self.lanes == 1:
            return "0"
        return "<" + ", ".join(f"i64 {i}" for i in range(self.lanes)) + ">"

    def select(self, kind: Kind, condition: str, a: str, b: str) -> str:
        type = self.type(kind.text)
        return self.let(f"select {self.type('i1')} {condition}, {type} {a}, {type} {b}")

    def intrinsic(self, name: str, kind: Kind, *values: str, extra: str = "",
                  flags: str = "") -> str:
        type = self.type(kind.text)
        operands = ", ".join(f"{type} {value}" for value in values)
        return self.let(f"call {flags}{type} @llvm.{name}.{self.suffix(kind)}({operands}{extra})")

    def compare(self, relation: str, kind: Kind, a: str, b: str) -> str:
        """A comparison by LLVM's name: "olt", "slt", ..."""
        word = "fcmp" if kind.sort == "f" else "icmp"
        return self.let(f"{word} {relation} {self.type(kind.text)} {a}, {b}")

    def binary(self, instruction: str, kind: Kind, a: str, b: str) -> str:
        return self.let(f"{instruction} {self.type(kind.text)} {a}, {b}")

    def convert(self, instruction: str, source: Kind, kind: Kind, a: str) -> str:
        return self.let(f"{instruction} {self.type(source.text)} {a} to {self.type(kind.text)}")

    def any(self, condition: str) -> str:
        """Whether a condition holds in any lane that counts, as one i1."""
        if self.mask is not None:
            condition = self.binary("and", BOOL, condition, self.mask)
        if self.lanes == 1:
            return condition
        return self.let(f"call i1 @llvm.vector.reduce.or.v{self.lanes}i1"
                        f"({self.type('i1')} {condition})")

    def fail(self, condition: str, status: int) -> None:
        """Sets the function's status if a condition holds anywhere."""
        self.code.fails = True
        old = self.let("load i64, ptr %status")
        new = self.let(f"select i1 {self.any(condition)}, i64 {status}, i64 {old}")
        self.code.do(f"store i64 {new}, ptr %status")

    def each(self, kinds: Sequence[Kind], result: Kind, values: Sequence[str],
             scalar: Callable[..., str]) -> str:
        """What `scalar` makes of the numbers of each lane."""
        if self.lanes == 1:
            return scalar(*values)
        found = "poison"
        for lane in range(self.lanes):
            numbers = [self.let(f"extractelement {self.type(k.text)} {v}, i64 {lane}")
                       for k, v in zip(kinds, values, strict=True)]
            found = self.let(f"insertelement {self.type(result.text)} {found}, "
                             f"{result.text} {scalar(*numbers)}, i64 {lane}")
        return found

    # --- operations by name -------------------------------------------------------------------

    def apply(self, name: str, kind: Kind, values: Sequence[str], kinds: Sequence[Kind]) -> str:
        """The register of a ufunc's result, of `kind`.

        Raises:
            NotImplementedError: for an operation that is not known.
        """
        if name == "cast":
            return self.cast(values[0], kinds[0], kind)
        if name == "where":
            condition = self.cast(values[0], kinds[0], BOOL)
            a, b = (self.cast(v, k, kind) for v, k in zip(values[1:], kinds[1:], strict=True))
            return self.select(kind, condition, a, b)
        given = _common(kinds) if name in _QUESTIONS else kind
        operands = [self.cast(v, k, given) for v, k in zip(values, kinds, strict=True)]
        if given is not F16:
            return self._rule(name, given, operands)
        wide = [self.cast(v, F16, F32) for v in operands]
        found = self._rule(name, F32, wide)
        return found if name in _QUESTIONS else self.cast(found, F32, F16)

    def _rule(self, name: str, kind: Kind, values: list[str]) -> str:
        instruction = _INSTRUCTIONS.get((name, kind.sort))
        if instruction is not None:
            return self.binary(instruction, kind, *values)
        intrinsic = _INTRINSICS.get((name, kind.sort))
        if intrinsic is not None:
            return self.intrinsic(intrinsic, kind, *values)
        rule = _RULES.get(name)
        if rule is not None:
            return rule(self, kind, *values)
        if kind.sort != "f":
            raise NotImplementedError(f"{name} of {kind.dtype}")
        return self.elementary(name, kind, *values)

    def elementary(self, name: str, kind: Kind, *values: str) -> str:
        """An elementary function: a polynomial of our own, or the C library's."""
        type = self.type(kind.text)
        function = self.code.definitions.elementary(name, type, len(values), self.inline)
        if function is not None:
            return self.let(f"call fastcc {type} {function}("
                            f"{', '.join(f'{type} {v}' for v in values)})")
        function = self.code.definitions.library(name, kind.text, len(values))
        return self.each([kind] * len(values), kind, values, lambda *numbers: self.let(
            f"call {kind.text} {function}({', '.join(f'{kind.text} {v}' for v in numbers)})"))

    # --- conversions --------------------------------------------------------------------------

    def cast(self, value: str, source: Kind, kind: Kind) -> str:
        """A number as `astype` converts it."""
        if source is kind:
            return value
        if kind is BOOL:
            relation = "une" if source.sort == "f" else "ne"
            return self.compare(relation, source, value, self.number(source, 0))
        if source.sort == "f":
            return (_float_to_float if kind.sort == "f" else _float_to_integer)(
                self, value, source, kind)
        if kind.sort != "f":
            return self._integer_to_integer(value, source, kind)
        if kind is F16:
            return _float_to_float(self, self.cast(value, source, F32), F32, F16)
        return self.convert("sitofp" if source.sort == "i" else "uitofp", source, kind, value)

    def _integer_to_integer(self, value: str, source: Kind, kind: Kind) -> str:
        if source.text == kind.text:
            return value
        if source is not BOOL and source.bits > kind.bits:
            return self.convert("trunc", source, kind, value)
        return self.convert("sext" if source.sort == "i" else "zext", source, kind, value)

    def extract(self, kind: Kind, value: str, lane: int) -> str:
        """One lane's number."""
        if self.lanes == 1:
            return value
        return self.let(f"extractelement {self.type(kind.text)} {value}, i64 {lane}")


def _common(kinds: Sequence[Kind]) -> Kind:
    """The kind in which numbers are compared."""
    first = kinds[0]
    if all(kind is first for kind in kinds):
        return first
    return KINDS[np.result_type(*[kind.dtype for kind in kinds])]


def _float_to_float(o: Ops, value: str, source: Kind, kind: Kind) -> str:
    if kind.bits > source.bits:
        return o.convert("fpext", source, kind, value)
    if source is F64 and kind is F16:
        return o.convert("fptrunc", F32, F16, _round_to_odd(o, value))
    return o.convert("fptrunc", source, kind, value)


def _round_to_odd(o: Ops, value: str) -> str:
    """A float64 as the float32 towards zero, last bit set if it is inexact: rounded once more, it
    comes out as if rounded once."""
    near = o.convert("fptrunc", F64, F32, value)
    back = o.convert("fpext", F32, F64, near)
    bits = o.convert("bitcast", F32, I32, near)
    beyond = o.compare("ogt", F64, o.intrinsic("fabs", F64, back), o.intrinsic("fabs", F64, value))
    below = o.binary("sub", I32, bits, o.convert("zext", BOOL, I32, beyond))
    odd = o.binary("or", I32, below, o.number(I32, 1))
    inexact = o.compare("one", F64, back, value)
    return o.convert("bitcast", I32, F32, o.select(I32, inexact, odd, bits))


def _float_to_integer(o: Ops, value: str, source: Kind, kind: Kind) -> str:
    """Towards zero; what doesn't fit gives what x86 does, the most negative number of 32 or 64
    bits, cut down to the type's."""
    if source is F16:
        return _float_to_integer(o, o.cast(value, F16, F32), F32, kind)
    wide = I64 if kind.bits == 64 or (kind.sort == "u" and kind.bits == 32) else I32
    limit = 2.0 ** (wide.bits - 1)
    lowest = -limit - 1 if source is F64 and wide is I32 else -limit
    above = o.compare("ogt" if lowest < -limit else "oge", source, value,
                      o.number(source, lowest))
    fits = o.binary("and", BOOL, above, o.compare("olt", source, value, o.number(source, limit)))
    safe = o.select(source, fits, value, o.number(source, 0))
    found = o.convert("fptosi", source, wide, safe)
    found = o.select(wide, fits, found, o.number(wide, -2 ** (wide.bits - 1)))
    return o.cast(found, wide, kind)


# --- tables -----------------------------------------------------------------------------------

_RELATIONS = {"equal": ("eq", "eq", "oeq"), "not_equal": ("ne", "ne", "une"),
              "less": ("slt", "ult", "olt"), "less_equal": ("sle", "ule", "ole"),
              "greater": ("sgt", "ugt", "ogt"), "greater_equal": ("sge", "uge", "oge")}
_LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
_QUESTIONS = {*_RELATIONS, *_LOGICAL, "logical_not", "isnan", "isinf", "isfinite", "signbit"}


def _instructions() -> Iterator[tuple[tuple[str, str], str]]:
    for name, (signed, unsigned, real) in _RELATIONS.items():
        for sort, text in {"i": f"icmp {signed}", "u": f"icmp {unsigned}",
                           "b": f"icmp {unsigned}", "f": f"fcmp {real}"}.items():
            yield (name, sort), text
    # A product that is added may be fused with the addition: it is more exact, and faster.
    for name, integer, real in (("add", "add", "fadd contract"),
                                ("subtract", "sub", "fsub contract"),
                                ("multiply", "mul", "fmul contract")):
        yield from (((name, "i"), integer), ((name, "u"), integer), ((name, "f"), real))
    for name, text in {"and": "and", "or": "or", "xor": "xor"}.items():
        yield from (((f"bitwise_{name}", sort), text) for sort in "iub")
    for name, text in {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and",
                       "fmax": "or", "fmin": "and"}.items():
        yield (name, "b"), text
    yield ("divide", "f"), "fdiv"


_INSTRUCTIONS = dict(_instructions())
_INTRINSICS = {("sqrt", "f"): "sqrt", ("floor", "f"): "floor", ("ceil", "f"): "ceil",
               ("trunc", "f"): "trunc", ("rint", "f"): "rint", ("absolute", "f"): "fabs",
               ("fabs", "f"): "fabs", ("copysign", "f"): "copysign",
               **{(name, sort): f"{letter}{kind}" for sort, letter in (("i", "s"), ("u", "u"))
                  for name, kind in (("maximum", "max"), ("minimum", "min"), ("fmax", "max"),
                                     ("fmin", "min"))}}

_RULES: dict[str, Callable[..., str]] = {}


def _rule(*names: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Enters a rule, of an `Ops`, the kind of the operands and their registers."""

    def enter(fn: Callable[..., str]) -> Callable[..., str]:
        _RULES.update(dict.fromkeys(names, fn))
        return fn

    return enter


@_rule("positive", "floor", "ceil", "trunc", "rint")  # of integers; floats have intrinsics
def _same(o: Ops, kind: Kind, a: str) -> str:
    return a


@_rule("negative")
def _negative(o: Ops, kind: Kind, a: str) -> str:
    if kind.sort == "f":
        return o.let(f"fneg {o.type(kind.text)} {a}")
    return o.binary("sub", kind, o.number(kind, 0), a)


@_rule("absolute")
def _absolute(o: Ops, kind: Kind, a: str) -> str:
    return o.intrinsic("abs", kind, a, extra=", i1 false") if kind.sort == "i" else a


@_rule("square")
def _square(o: Ops, kind: Kind, a: str) -> str:
    return o._rule("multiply", kind, [a, a])


@_rule("reciprocal")
def _reciprocal(o: Ops, kind: Kind, a: str) -> str:
    one = o.number(kind, 1)
    return o.binary("fdiv", kind, one, a) if kind.sort == "f" else _divided(o, kind, one, a)[0]


@_rule("sign")
def _sign(o: Ops, kind: Kind, a: str) -> str:
    """1, 0 or -1; NaN for NaN."""
    if kind.sort == "b":
        return a
    zero, one = o.number(kind, 0), o.number(kind, 1)
    found = o.select(kind, o._rule("greater", kind, [a, zero]), one, zero)
    if kind.sort == "u":
        return found
    found = o.select(kind, o._rule("less", kind, [a, zero]), o.number(kind, -1), found)
    return found if kind.sort == "i" else o.select(kind, o.compare("uno", kind, a, a), a, found)


@_rule("heaviside")
def _heaviside(o: Ops, kind: Kind, a: str, at_zero: str) -> str:
    zero = o.number(kind, 0)
    found = o.select(kind, o._rule("less", kind, [a, zero]), zero, o.number(kind, 1))
    found = o.select(kind, o._rule("equal", kind, [a, zero]), at_zero, found)
    return found if kind.sort != "f" else o.select(kind, o.compare("uno", kind, a, a), a, found)


def _extreme(o: Ops, kind: Kind, a: str, b: str, relation: str) -> str:
    """The greater (or lesser) of two floats; NaN if either is."""
    found = o.select(kind, o.compare(relation, kind, a, b), a, b)  # one instruction: b, if NaN
    return o.select(kind, o.compare("uno", kind, a, a), a, found)


def _extreme_number(o: Ops, kind: Kind, a: str, b: str, relation: str) -> str:
    """The greater (or lesser) of two floats; the other if one is NaN."""
    found = o.select(kind, o.compare(relation, kind, b, a), b, a)
    return o.select(kind, o.compare("uno", kind, a, a), b, found)


for _name, _relation in (("max", "ogt"), ("min", "olt")):
    _RULES[_name + "imum"] = functools.partial(_extreme, relation=_relation)
    _RULES["f" + _name] = functools.partial(_extreme_number, relation=_relation)


# --- questions --------------------------------------------------------------------------------


def _logical(o: Ops, kind: Kind, a: str, b: str, instruction: str) -> str:
    return o.binary(instruction, BOOL, o.cast(a, kind, BOOL), o.cast(b, kind, BOOL))


for _name, _text in _LOGICAL.items():
    _RULES[_name] = functools.partial(_logical, instruction=_text)


@_rule("logical_not")
def _logical_not(o: Ops, kind: Kind, a: str) -> str:
    relation = "oeq" if kind.sort == "f" else "eq"
    return o.compare(relation, kind, a, o.number(kind, 0))


@_rule("isnan")
def _isnan(o: Ops, kind: Kind, a: str) -> str:
    return o.compare("uno", kind, a, a) if kind.sort == "f" else o.number(BOOL, False)


@_rule("isinf")
def _isinf(o: Ops, kind: Kind, a: str) -> str:
    if kind.sort != "f":
        return o.number(BOOL, False)
    return o.compare("oeq", kind, o.intrinsic("fabs", kind, a), o.number(kind, np.inf))


@_rule("isfinite")
def _isfinite(o: Ops, kind: Kind, a: str) -> str:
    if kind.sort != "f":
        return o.number(BOOL, True)
    return o.compare("olt", kind, o.intrinsic("fabs", kind, a), o.number(kind, np.inf))


@_rule("signbit")
def _signbit(o: Ops, kind: Kind, a: str) -> str:
    if kind.sort == "f":
        integer = I64 if kind is F64 else I32
        return o.compare("slt", integer, o.convert("bitcast", kind, integer, a),
                         o.number(integer, 0))
    return o._rule("less", kind, [a, o.number(kind, 0)])


# --- bits -------------------------------------------------------------------------------------


@_rule("invert")
def _invert(o: Ops, kind: Kind, a: str) -> str:
    return o.binary("xor", kind, a, o.number(kind, True if kind is BOOL else -1))


@_rule("left_shift")
def _left_shift(o: Ops, kind: Kind, a: str, by: str) -> str:
    return _shifted(o, kind, "shl", a, by, o.number(kind, 0))


@_rule("right_shift")
def _right_shift(o: Ops, kind: Kind, a: str, by: str) -> str:
    if kind.sort == "u":
        return _shifted(o, kind, "lshr", a, by, o.number(kind, 0))
    sign = o.binary("ashr", kind, a, o.number(kind, kind.bits - 1))
    return _shifted(o, kind, "ashr", a, by, sign)


def _shifted(o: Ops, kind: Kind, instruction: str, a: str, by: str, beyond: str) -> str:
    """a shifted; `beyond` where it is by as many bits as there are, or by a negative number."""
    fits = o.compare("ult", kind, by, o.number(kind, kind.bits))
    safe = o.select(kind, fits, by, o.number(kind, 0))
    return o.select(kind, fits, o.binary(instruction, kind, a, safe), beyond)


# --- quotients --------------------------------------------------------------------------------


def _divided(o: Ops, kind: Kind, a: str, b: str) -> tuple[str, str]:
    """Quotient towards zero and remainder of integers: division by zero sets the status, and
    the lowest number by -1 gives itself; neither traps."""
    none = o.compare("eq", kind, b, o.number(kind, 0))
    o.fail(none, ZERO_DIVISION)
    unsafe = none
    if kind.sort == "i":
        lowest = o.compare("eq", kind, a, o.number(kind, -2 ** (kind.bits - 1)))
        minus = o.compare("eq", kind, b, o.number(kind, -1))
        unsafe = o.binary("or", BOOL, none, o.binary("and", BOOL, lowest, minus))
    b = o.select(kind, unsafe, o.number(kind, 1), b)
    quotient = o.binary("sdiv" if kind.sort == "i" else "udiv", kind, a, b)
    return quotient, o.binary("sub", kind, a, o.binary("mul", kind, quotient, b))


def _signs_differ(o: Ops, kind: Kind, rest: str, b: str) -> str:
    """Whether a remainder is not 0 and has not the divisor's sign."""
    differ = o.compare("slt", kind, o.binary("xor", kind, rest, b), o.number(kind, 0))
    return o.binary("and", BOOL, differ, o.compare("ne", kind, rest, o.number(kind, 0)))


@_rule("floor_divide")
def _floor_divide(o: Ops, kind: Kind, a: str, b: str) -> str:
    if kind.sort == "f":
        return o.elementary("floor_divide", kind, a, b)
    quotient, rest = _divided(o, kind, a, b)
    if kind.sort == "u":
        return quotient
    return o.binary("add", kind, quotient,
                    o.convert("sext", BOOL, kind, _signs_differ(o, kind, rest, b)))


@_rule("remainder")
def _remainder(o: Ops, kind: Kind, a: str, b: str) -> str:
    if kind.sort == "f":
        return o.elementary("remainder", kind, a, b)
    rest = _divided(o, kind, a, b)[1]
    if kind.sort == "u":
        return rest
    return o.binary("add", kind, rest,
                    o.select(kind, _signs_differ(o, kind, rest, b), b, o.number(kind, 0)))


@_rule("fmod")
def _fmod(o: Ops, kind: Kind, a: str, b: str) -> str:
    return o.elementary("fmod", kind, a, b) if kind.sort == "f" else _divided(o, kind, a, b)[1]


@_rule("power")
def _power(o: Ops, kind: Kind, a: str, b: str) -> str:
    """Of integers, with exponents that aren't negative: by squaring, in a function of its own."""
    if kind.sort == "f":
        return o.elementary("power", kind, a, b)
    function = o.code.definitions.integer_power(kind.text)
    return o.each([kind, kind], kind, [a, b], lambda x, y: o.let(
        f"call {kind.text} {function}({kind.text} {x}, {kind.text} {y})"))
