"""Kernels for scans along a dimension of large arrays: sums, products and extremes so far.

    for each line, or strip of LANES lines that lie next to each other:
        state = start
        for i = 0 .. n - 1:    state = next(state, x[i]);    out[i] = state

Sums and products are kept in double. Lines are split over threads. A recurrence, whose x are
factors, also reads the terms y at the same places.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.blocks import Kernel, get_num_threads, in_parts
from .engine import compile_module

LANES = 32
FOLDS = {"cumsum": ("fadd", 0.0), "cumsum_back": ("fadd", 0.0), "cumprod": ("fmul", 1.0)}
"""By primitive, the instruction and its identity."""
EXTREMES = {f"{name}_{what}": how for what in ("values", "places")
            for name, how in (("cummax", ("oge", -np.inf)), ("cummin", ("ole", np.inf)))}
"""By primitive, the comparison that a new extreme passes, and what all numbers pass it against."""
_BACKWARD = frozenset({"cumsum_back", "recurrence_back"})
_SIZES = {"float": 4, "double": 8, "i64": 8}

_LOOP = """
define void @scan(ptr noalias %x, ptr noalias %y, ptr noalias %out, i64 %start, i64 %from,
                  i64 %to, i64 %step, i64 %n, i64 %stride) {{
entry:
  br label %line
line:
  %l = phi i64 [%from, %entry], [%l.next, %done]
  %more = icmp slt i64 %l, %to
  br i1 %more, label %begin, label %exit
begin:
  %offset = mul i64 %l, %step
  %first = add i64 %start, %offset
  br label %loop
loop:
  %i = phi i64 [0, %begin], [%i.next, %loop]
  %at = phi i64 [%first, %begin], [%at.next, %loop]
{phis}
  %source = getelementptr {kind}, ptr %x, i64 %at
  %v = load {vector}, ptr %source, align {size}
{body}
  %target = getelementptr {out_kind}, ptr %out, i64 %at
  store {out_vector} {result}, ptr %target, align {out_size}
  %i.next = add i64 %i, 1
  %at.next = add i64 %at, %stride
  %again = icmp slt i64 %i.next, %n
  br i1 %again, label %loop, label %done
done:
  %l.next = add i64 %l, 1
  br label %line
exit:
  ret void
}}
"""


class Body(NamedTuple):
    """What a scan's loop does: the states it carries, its steps, and the result with its kind."""

    phis: Sequence[str]
    steps: Sequence[str]
    result: str
    kind: str


def _vector(kind: str, lanes: int) -> str:
    return kind if lanes == 1 else f"<{lanes} x {kind}>"


def _all(kind: str, number: float, lanes: int) -> str:
    """A constant with the same number in each lane."""
    text = f"0x{np.float64(number).view(np.uint64):016X}" if kind != "i64" else str(int(number))
    return text if lanes == 1 else f"<{', '.join([f'{kind} {text}'] * lanes)}>"


def _fold(kind: str, lanes: int, instruction: str, identity: float) -> Body:
    own, wide = _vector(kind, lanes), _vector("double", lanes)
    phi = f"%state = phi {wide} [{_all('double', identity, lanes)}, %begin], [%next, %loop]"
    if kind == "double":
        return Body([phi], [f"%next = {instruction} {wide} %state, %v"], "%next", kind)
    return Body([phi], [f"%wide = fpext {own} %v to {wide}",
                        f"%next = {instruction} {wide} %state, %wide",
                        f"%result = fptrunc {wide} %next to {own}"], "%result", kind)


def _recurrence(kind: str, lanes: int, backward: bool) -> Body:
    """out[i] = y[i] + what is carried. Forward, that is x[i] out[i - 1], but nothing at first,
    whatever x is there; backward, x[i + 1] out[i + 1]."""
    own, wide = _vector(kind, lanes), _vector("double", lanes)
    widened = [f"%factor = fpext {own} %v to {wide}", f"%term = fpext {own} %w to {wide}",
               f"%result = fptrunc {wide} %sum to {own}"]
    same = [f"%{a} = bitcast {own} %{b} to {own}"
            for a, b in (("factor", "v"), ("term", "w"), ("result", "sum"))]
    factor, term, last = same if kind == "double" else widened
    forth = ["%begins = icmp eq i64 %i, 0", f"%scaled = fmul {wide} %factor, %state",
             f"%carried = select i1 %begins, {wide} zeroinitializer, {wide} %scaled",
             f"%sum = fadd {wide} %term, %carried", f"%next = bitcast {wide} %sum to {wide}"]
    back = [f"%sum = fadd {wide} %term, %state", f"%next = fmul {wide} %factor, %sum"]
    return Body(
        [f"%state = phi {wide} [{_all('double', 0, lanes)}, %begin], [%next, %loop]"],
        [f"%place = getelementptr {kind}, ptr %y, i64 %at",
         f"%w = load {own}, ptr %place, align {_SIZES[kind]}",
         factor, term, *(back if backward else forth), last], "%result", kind)


def _extreme(kind: str, lanes: int, comparison: str, worst: float) -> Body:
    own, place, truth = (_vector(k, lanes) for k in (kind, "i64", "i1"))
    steps = ["%here = add i64 %i, 0"] if lanes == 1 else [
        f"%one = insertelement {place} poison, i64 %i, i64 0",
        f"%here = shufflevector {place} %one, {place} poison, <{lanes} x i32> zeroinitializer"]
    return Body(
        [f"%best = phi {own} [{_all(kind, worst, lanes)}, %begin], [%best.next, %loop]",
         f"%place = phi {place} [{_all('i64', 0, lanes)}, %begin], [%place.next, %loop]"],
        [*steps,
         f"%better = fcmp {comparison} {own} %v, %best",
         f"%nan = fcmp uno {own} %v, %v",  # it is an extreme, too
         f"%new = or {truth} %better, %nan",
         f"%best.next = select {truth} %new, {own} %v, {own} %best",
         f"%place.next = select {truth} %new, {place} %here, {place} %place"],
        "%place.next", "i64")


def _module(name: str, kind: str, lanes: int) -> str:
    body = (_fold(kind, lanes, *FOLDS[name]) if name in FOLDS else
            _extreme(kind, lanes, *EXTREMES[name]) if name in EXTREMES else
            _recurrence(kind, lanes, name in _BACKWARD))
    if name.endswith("_values"):
        body = body._replace(result="%best.next", kind=kind)
    return _LOOP.format(
        kind=kind, vector=_vector(kind, lanes), size=_SIZES[kind], out_kind=body.kind,
        out_vector=_vector(body.kind, lanes), out_size=_SIZES[body.kind], result=body.result,
        phis="\n".join(f"  {line}" for line in body.phis),
        body="\n".join(f"  {line}" for line in body.steps))


@functools.cache
def _code(name: str, kind: str, lanes: int) -> tuple[Any, Callable[..., None]]:
    """The machine code, and the function of addresses and numbers that it is."""
    library = compile_module(_module(name, kind, lanes))
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 6)
    return library, prototype(library.address("scan"))


def of_scan(name: str, x: np.ndarray, dim: int) -> Kernel:
    """The kernel of a scan for arrays like x, which is C-contiguous."""
    kind = "float" if x.itemsize == 4 else "double"
    n, inner = x.shape[dim], math.prod(x.shape[dim + 1:])
    outer, strips = math.prod(x.shape[:dim]), inner // LANES
    single, wide = _code(name, kind, 1)[1], _code(name, kind, LANES)[1]
    first, stride = ((n - 1) * inner, -inner) if name in _BACKWARD else (0, inner)

    def kernel(targets: Sequence[np.ndarray], operands: Sequence[np.ndarray]) -> bool:
        addresses = [a.ctypes.data for a in (operands[0], operands[-1], targets[0])]

        def run(scan: Callable[..., None], start: int, lines: int, step: int) -> None:
            in_parts(lambda part: scan(*addresses, start, part.start, part.stop, step, n, stride),
                     _parts(lines, get_num_threads()))

        if inner == 1:
            run(single, first, outer, n)
            return True
        for o in range(outer):
            start = first + o * n * inner
            run(wide, start, strips, LANES)
            run(single, start + strips * LANES, inner - strips * LANES, 1)
        return True

    return kernel


def _parts(size: int, count: int) -> list[slice]:
    ends = [size * i // count for i in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(ends) if pair[0] < pair[1]] or [
        slice(0, 0)]
