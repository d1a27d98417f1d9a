"""Elementary functions in LLVM IR: polynomials, without branches, for any number of lanes.

    emit(builder, "exp", x)

gives the value of e**x, x being a float, a double or a vector of them. Each function is emitted
once per module and type, as a function of its own that is inlined or called, as the caller likes.
docs/elementary.md says how exact they are, and how fast.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from . import division, exponential, inverse, logarithm, special, trigonometric
from .value import Float, suffix

FUNCTIONS: dict[str, Callable[..., Float]] = {
    function.__name__: function for function in (
        exponential.exp, exponential.exp2, exponential.expm1, exponential.sinh, exponential.cosh,
        exponential.tanh, exponential.sigmoid, exponential.sech2, exponential.gauss,
        logarithm.log, logarithm.log2, logarithm.log10, logarithm.log1p, logarithm.arcsinh,
        logarithm.arccosh, logarithm.arctanh, logarithm.logaddexp, logarithm.log1pexp,
        logarithm.power, trigonometric.sin, trigonometric.cos, trigonometric.tan,
        inverse.arcsin, inverse.arccos, inverse.arctan, inverse.arctan2, inverse.hypot,
        special.erf, special.erfc, special.ndtr, special.npdf,
        division.fmod, division.remainder, division.floor_divide,
    )
}
SUPPORTED = frozenset(FUNCTIONS) | {"sqrt"}


def emit(builder: ir.IRBuilder, name: str, *args: ir.Value, inline: bool = True) -> ir.Value:
    """The value of a function, named as NumPy's ufunc, at values of one type.

    With `inline=False` the function's code stands in the module once, and is called: for programs
    of many scalars, whose code would grow large.
    """
    if name == "sqrt":
        return Float(builder, args[0]).sqrt().ir
    return builder.call(callee(builder.module, name, args[0].type, len(args), inline), args)


def callee(module: ir.Module, name: str, type: ir.Type, arity: int, inline: bool) -> ir.Function:
    """The module's function for a name and a type, written when first asked for."""
    full = f"wengert.{name}.{suffix(type)}" + (".inline" if inline else "")
    if full in module.globals:
        return module.globals[full]
    function = ir.Function(module, ir.FunctionType(type, [type] * arity), full)
    function.linkage, function.calling_convention = "internal", "fastcc"
    function.attributes.add("alwaysinline" if inline else "noinline")
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(FUNCTIONS[name](*(Float(builder, value) for value in function.args)).ir)
    return function
