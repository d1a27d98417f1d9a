"""Sine, cosine, tangent.

x = n pi/2 + r with a whole n and |r| <= pi/4. Up to some size three constants that add up to pi/2
give r to nearly twice the precision (Cody and Waite); beyond, a function is called that
multiplies by as many bits of 2/pi as matter (Payne and Hanek). It is called if any lane needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir

from . import coefficients as table
from .pair import Pair, constant, ordered, parts, product, total
from .value import Float, Int, element, fma, lanes, polynomial, suffix, where

NEAR = {32: 2.0**15, 64: 2.0**30}  # up to here three constants suffice
WINDOW = 192  # as many bits of x * 2/pi are worked out, beginning with that of 2
CHUNK = 48  # converted to a double at a time


class Angle(NamedTuple):
    """n pi/2 + r + low, where only n's lowest two bits matter."""

    n: Int
    r: Float
    low: Float


def reduced(x: Float) -> Angle:
    """x in these parts; infinity gives NaN."""
    builder, near = x.builder, near_angle(x)
    far = ~(abs(x) <= NEAR[x.format.bits])
    before = builder.block
    with builder.if_then(far.any(), likely=False):
        called = builder.call(far_angle(builder.module, x.ir.type), [x.ir])
        distant = [builder.extract_value(called, i) for i in range(3)]
        mixed = Angle(where(far, Int(builder, distant[0]), near.n),
                      where(far, Float(builder, distant[1]), near.r),
                      where(far, Float(builder, distant[2]), near.low))
        within = builder.block
    phis = [builder.phi(part.ir.type) for part in near]
    for phi, part, other in zip(phis, near, mixed, strict=True):
        phi.add_incoming(part.ir, before)
        phi.add_incoming(other.ir, within)
    return Angle(Int(builder, phis[0]), Float(builder, phis[1]), Float(builder, phis[2]))


def near_angle(x: Float) -> Angle:
    """The reduction for numbers that are not large."""
    kind = x.format
    first, second, third = parts(table.HALF_PI, kind.bits, 3)
    shifted = fma(x, 2 / math.pi, kind.shifter)
    n = shifted - kind.shifter
    head = fma(n, -first, x)  # exact
    more = product(n, x.like(-second))
    r = total(head, more.high)
    return Angle(shifted.bits, r.high, fma(n, -third, r.low + more.low))


def far_angle(module: ir.Module, type: ir.Type) -> ir.Function:
    """The function that reduces large numbers, lane by lane; made when first asked for."""
    return made(module, f"wengert.angle.{suffix(type)}", [type], far_type(type), far_lanes)


def far_type(type: ir.Type) -> ir.Type:
    """The type of an `Angle`."""
    whole = ir.IntType(32 if element(type) == ir.FloatType() else 64)
    return ir.LiteralStructType([lanes(type, whole), type, type])


def made(module: ir.Module, name: str, arguments: list[ir.Type], result: ir.Type,
         body: Callable[[ir.IRBuilder, ir.Value], ir.Value]) -> ir.Function:
    """A function of the module, called rarely; written when first asked for."""
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(result, arguments), name)
    function.linkage, function.calling_convention = "internal", "fastcc"
    for attribute in ("noinline", "cold", "nounwind"):
        function.attributes.add(attribute)
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(body(builder, function.args[0]))
    return function


def far_lanes(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Each lane reduced by itself, as a double."""
    double = ir.DoubleType()
    one = made(builder.module, "wengert.angle", [double], far_type(double), far_double)
    result = ir.Constant(far_type(x.type), ir.Undefined)
    for lane in range(x.type.count if isinstance(x.type, ir.VectorType) else 1):
        number = extracted(builder, x, lane)
        wide = number if number.type == double else builder.fpext(number, double)
        angle = builder.call(one, [wide])
        parts = [builder.extract_value(angle, i) for i in range(3)]
        for i, part in enumerate(parts if number.type == double else shortened(builder, parts)):
            whole = inserted(builder, builder.extract_value(result, i), part, lane)
            result = builder.insert_value(result, whole, i)
    return result


def extracted(builder: ir.IRBuilder, x: ir.Value, lane: int) -> ir.Value:
    """One lane of a value."""
    index = ir.Constant(ir.IntType(32), lane)
    return builder.extract_element(x, index) if isinstance(x.type, ir.VectorType) else x


def inserted(builder: ir.IRBuilder, x: ir.Value, part: ir.Value, lane: int) -> ir.Value:
    """A value with one lane replaced."""
    index = ir.Constant(ir.IntType(32), lane)
    return builder.insert_element(x, part, index) if isinstance(x.type, ir.VectorType) else part


def shortened(builder: ir.IRBuilder, parts: list[ir.Value]) -> list[ir.Value]:
    """An angle of doubles as one of floats."""
    r = Float(builder, parts[1])
    high = r.narrowed()
    low = ((r - high.widened()) + Float(builder, parts[2])).narrowed()
    return [builder.trunc(parts[0], ir.IntType(32)), high.ir, low.ir]


def far_double(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """x = m 2**e with whole m, times the bits of 2/pi that don't give multiples of 4 with 2**e."""
    wide, word = ir.IntType(WINDOW), ir.IntType(64)
    bits = Float(builder, x).bits
    biased = (bits >> 52) & 0x7FF
    mantissa = (bits & (2**52 - 1)) | 2**52
    scaled = builder.mul(window(builder, biased), builder.zext(mantissa.ir, wide))
    scaled = builder.select(Float(builder, x).negative().ir, builder.neg(scaled), scaled)
    two = ir.Constant(wide, 2)
    fraction = builder.ashr(builder.shl(scaled, two), two)
    n = builder.lshr(builder.sub(scaled, fraction), ir.Constant(wide, WINDOW - 2))
    chunks = []
    for place in range(WINDOW - CHUNK, 0, -CHUNK):
        chunk = Int(builder, builder.trunc(
            builder.ashr(fraction, ir.Constant(wide, place)), word))
        chunk = chunk if place == WINDOW - CHUNK else chunk & (2**CHUNK - 1)
        number = Float(builder, builder.sitofp(chunk.ir, ir.DoubleType()))
        chunks.append(number * 2.0 ** (place + 2 - WINDOW))
    head = total(chunks[0], chunks[1])
    turned = total(head.high, head.low + chunks[2]).times(constant(head.high, table.HALF_PI))
    endless = biased.equals(0x7FF)
    result = ir.Constant(far_type(x.type), ir.Undefined)
    result = builder.insert_value(result, builder.trunc(n, word), 0)
    high = where(endless, turned.high.like(math.nan), turned.high)
    return builder.insert_value(builder.insert_value(result, high.ir, 1), turned.low.ir, 2)


def window(builder: ir.IRBuilder, biased: Int) -> ir.Value:
    """`WINDOW` bits of 2/pi, from that which gives 2 with the last bit of the mantissa."""
    size, byte = 1280 + 64, ir.IntType(8)  # 64 zeros stand before the point
    stored = ir.ArrayType(byte, size // 8)
    known = builder.module.globals.get("wengert.two_over_pi")
    digits = known or ir.GlobalVariable(builder.module, stored, "wengert.two_over_pi")
    if not known:
        digits.initializer = ir.Constant(
            stored, bytearray(table.TWO_OVER_PI.to_bytes(size // 8, "little")))
        digits.linkage, digits.global_constant = "internal", True
    start = biased.like(size - WINDOW - 62 + 1075) - biased
    place = builder.gep(digits, [ir.Constant(ir.IntType(64), 0), (start >> 3).ir])
    cover = ir.IntType(WINDOW + 8)
    loaded = builder.load(builder.bitcast(place, cover.as_pointer()), align=1)
    shift = builder.zext((start & 7).ir, cover)
    return builder.trunc(builder.lshr(loaded, shift), ir.IntType(WINDOW))


def sine(r: Float, low: Float) -> Pair:
    """sin(r + low) in two parts, |r| <= pi/4."""
    square = r * r
    cubic = polynomial(square, table.SIN) * square
    return Pair(r, fma(r, cubic, fma(low * square, -0.5, low)))


def cosine(r: Float, low: Float) -> Pair:
    """cos(r + low) in two parts, |r| <= pi/4."""
    square = product(r, r)
    head = ordered(r.like(1.0), -0.5 * square.high)
    quartic = polynomial(square.high, table.COS) * square.high
    rest = fma(r, low, 0.5 * square.low)
    return Pair(head.high, head.low + fma(quartic, square.high, -rest))


def turned(angle: Angle, quarters: int) -> Float:
    """The sine of an angle and some quarter turns."""
    n = angle.n + quarters if quarters else angle.n
    sin, cos = sine(angle.r, angle.low).sum(), cosine(angle.r, angle.low).sum()
    width = sin.format.bits
    sign = (n & 2) << (width - 2)
    chosen = where((n & 1).equals(0), sin, cos)
    return (chosen.bits ^ sign).float


def sin(x: Float) -> Float:
    """The sine."""
    return where(abs(x) < x.format.smallest, x, turned(reduced(x), 0))


def cos(x: Float) -> Float:
    """The cosine."""
    return turned(reduced(x), 1)


def tan(x: Float) -> Float:
    """The tangent; after an odd number of quarter turns, -cos/sin."""
    angle = reduced(x)
    sin, cos = sine(angle.r, angle.low), cosine(angle.r, angle.low)
    sin, cos = ordered(*sin), ordered(*cos)
    odd = (angle.n & 1).equals(1)
    above = Pair(where(odd, -cos.high, sin.high), where(odd, -cos.low, sin.low))
    below = Pair(where(odd, sin.high, cos.high), where(odd, sin.low, cos.low))
    return where(abs(x) < x.format.smallest, x, above.over(below).sum())
