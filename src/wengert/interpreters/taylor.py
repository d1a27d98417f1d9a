"""Taylor mode: every value travels with the Taylor coefficients of its path, to a fixed order.

A tensor of a Taylor level stands for the value at t = 0 and carries (in `extra`; None for a
constant) a `Series`: the coefficients of t, t**2, ..., each a value of the level below. There
are no rules of its own. What is linear acts on coefficients one by one, products convolve them,
quotients solve such a convolution, and everything else is the solution of the differential
equation that its forward rule states: of y = f(x) we know y' = rule(x', x, y), where the rule is
run on tensors of this very level, y itself among them. As the coefficient of t**(k-1) on the right
gives that of t**k on the left, and needs none beyond, the equation solves itself, if only nothing
is computed before it is asked for. See Griewank and Walther, Evaluating Derivatives (2nd edition,
2008), chapter 13, and Bettencourt, Johnson and Duvenaud, Taylor-Mode Automatic Differentiation for
Higher-Order Derivatives in JAX (2019).

So there are two ways to run an operation. The user's compute all their coefficients at once, so
that nothing piles up along a program. Those in a rule only promise them; they are remembered until
the user's operation is done, so that sine finds itself in its cosine's rule and the cost stays
polynomial in the order.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle, plain_aval
from ..core.levels import entered, ground
from ..core.primitive import Primitive
from ..primitives.elementwise import add, div, mul, neg, sub
from ..primitives.layout import cat, narrow, reshape
from .custom_derived import derived, from_below
from .forward import pushforward, zeros
from .lifted import Lifted

Term = Callable[[int], Any]
"""From k to the k-th coefficient, a value below; None for a zero. Asked for k = 1, 2, ... in turn.
"""


class Series:
    """Taylor coefficients, the value first; worked out as far as anyone asked.

    Attributes:
        known: the coefficients so far; None for a zero.
        term: gives the next one; None if all that are not zero are known.
    """

    __slots__ = ("known", "term")

    def __init__(self, known: Sequence[Any], term: Term | None = None) -> None:
        self.known, self.term = list(known), term

    def __getitem__(self, k: int) -> Any:
        known = self.known
        while len(known) <= k:
            if self.term is None:
                return None
            known.append(_array(self.term(len(known))))
        return known[k]

    @property
    def varies(self) -> bool:
        return self.term is not None or len(self.known) > 1


class Taylor(Lifted):
    """Carries Taylor coefficients along.

    Attributes:
        order: the highest order.
        memo: while a rule runs, what was applied in it; else None.
    """

    __slots__ = ("memo", "order")
    word, prints_as = "jet", "TaylorTensor"

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order
        self.memo: dict[Any, tuple[Any, Sequence[Any]]] | None = None

    def input(self, value: Any, coefficients: Sequence[Any]) -> Any:
        """A tensor that stands for a value and carries coefficients (of order 1 and on)."""
        out = self.wrap(value)
        out.extra = Series([value, *coefficients])
        return out

    def series(self, x: Any, value: Any = None) -> Series:
        """What a tensor carries; of anything else, a constant."""
        if isinstance(x, Handle) and x.aval.level is self:
            return Series([x.value]) if x.extra is None else x.extra
        return Series([x if value is None else value])

    def slope(self, x: Any) -> Any:
        """The derivative of a tensor along its path, as a tensor; None of a constant."""
        series = self.series(x)
        if not series.varies:
            return None
        assert self.memo is not None
        found = self.memo.get(id(x))
        if found is None:
            out = self.wrap(zeros(series[0]) if series[1] is None else series[1])
            out.extra = Series([out.value], lambda k: scaled(mul, series[k + 1], k + 1))
            found = self.memo[id(x)] = out, (x,)
        return found[0]

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        if self.memo is None:
            return super().interpret(primitive, operands, params)
        key = _key(primitive, operands, params)
        found = self.memo.get(key)
        if found is None:  # the operands are kept, too: nothing else may get their ids
            found = self.memo[key] = super().interpret(primitive, operands, params), operands
        return found[0]

    def follow(self, custom: Any, args: Sequence[Any]) -> Any:
        """By the function's own rule: the slope of the outputs, to one order less."""
        with entered(Taylor(max(self.order - 1, 0))) as slower:
            parts = [self._parts(x, slower) for x in args]
            return derived(self, custom, args, parts,
                           lambda out, slope: self._integral(out, slope, slower))

    def _parts(self, x: Any, slower: Taylor) -> tuple[Any, Any] | None:
        """An argument and its slope, at a level of one order less; None if it is constant."""
        series = self.series(x)
        if not (self.order and series.varies):
            return None
        first, *rest = [scaled(mul, series[k], k) for k in range(1, self.order + 1)]
        return (slower.input(series[0], [series[k] for k in range(1, self.order)]),
                slower.input(zeros(series[0]) if first is None else first, rest))

    def _integral(self, out: Any, slope: Any, slower: Taylor) -> Any:
        """An output at this level from itself and its slope at a level of one order less."""
        value = slower.value(out) if isinstance(out, Handle) else out
        if slope is None:
            return self.wrap(value)
        known = slower.series(from_below(self, slope))
        return self.input(value, [scaled(div, known[k - 1], k) for k in range(1, self.order + 1)])

    def carry(self, primitive: Primitive, operands: Sequence[Any], values: Sequence[Any],
              result: Any, out: Any, params: dict[str, Any]) -> None:
        series = [self.series(o, v) for o, v in zip(operands, values, strict=True)]
        if not self.order or not any(s.varies for s in series):
            return
        if not primitive.multiple and not out.aval.dtype.differentiable:
            return
        operands = [o if s.varies else v
                    for o, s, v in zip(operands, series, values, strict=True)]
        if self.memo is not None:
            self._promise(primitive, operands, series, result, out, params)
            return
        self.memo = {_key(primitive, operands, params): (out, operands)}
        try:
            self._promise(primitive, operands, series, result, out, params)
            for _ in range(self.order):
                self._advance()
        finally:
            self._forget()

    def _promise(self, primitive: Primitive, operands: Sequence[Any], series: Sequence[Series],
                 result: Any, out: Any, params: dict[str, Any]) -> None:
        term = _term(self, primitive, operands, series, result, out, params)
        if not primitive.multiple:
            out.extra = Series([out.value], term)
            return
        whole = Series([result], term)
        for i, each in enumerate(out):
            each.extra = Series([each.value], functools.partial(_place, whole, i))

    def _advance(self) -> None:
        """Has the user's operation, and all that its rules made, know one coefficient more.

        The latest go first: earlier ones are going to ask them, and would otherwise ask through
        chains as long as the order.
        """
        for series, known in [(s, len(s.known)) for s in reversed(self._promised())]:
            if series.term is not None:
                series[known]

    def _promised(self) -> list[Series]:
        assert self.memo is not None
        return [each.extra for made, _ in self.memo.values() for each in _each(made)
                if each.extra is not None]

    def _forget(self) -> None:
        """Lets go of what rules made: what a series knows by now is all that it will know."""
        for series in self._promised():
            series.term = None
        self.memo = None


# --- the ways to a coefficient ----------------------------------------------------------------


def _term(level: Taylor, primitive: Primitive, operands: Sequence[Any], series: Sequence[Series],
          result: Any, out: Any, params: dict[str, Any]) -> Term:
    """How the coefficients of an application's result follow from those of its operands."""
    if _steady(primitive, series):
        values = [s[0] for s in series]
        return lambda k: pushforward(primitive, values, [s[k] for s in series], result, params)
    if primitive.multilinear:
        return lambda k: _convolution(primitive, series, k, params)
    if primitive.name == div.name:
        return lambda k: _quotient(series[0], series[1], out.extra, k)
    instead = SMALLER.get(primitive.name) or (primitive.decompose if primitive.jvp is None
                                              else None)
    if instead is not None:
        return _Later(level, lambda: instead(*operands, **params))
    return _solution(level, lambda: pushforward(
        primitive, operands, [level.slope(o) for o in operands], out, params))


def _steady(primitive: Primitive, series: Sequence[Series]) -> bool:
    """Whether the derivative is the same all along the path, since nothing it reads varies."""
    if primitive.linear:
        return True
    varying = [i for i, s in enumerate(series) if s.varies]
    if primitive.multilinear:
        return len(varying) == 1
    if primitive.jvp is None:
        return False
    rules = [primitive.jvp[i] if isinstance(primitive.jvp, tuple) else primitive.jvp
             for i in varying]
    return not any({-1, *varying} & {*rule.saved_places(len(series))}
                   for rule in rules if rule is not None)


def _convolution(primitive: Primitive, series: Sequence[Series], k: int,
                 params: dict[str, Any]) -> Any:
    """Cauchy's product: all ways to share k among the factors."""
    total = None
    for orders in _shares(k, [s.varies for s in series]):
        factors = [s[j] for s, j in zip(series, orders, strict=True)]
        if all(factor is not None for factor in factors):
            total = _sum(total, ground.apply(primitive, factors, params))
    return total


def _shares(k: int, may: Sequence[bool]) -> Iterator[tuple[int, ...]]:
    """All tuples of natural numbers that add up to k, with 0 where a part may not be more."""
    if len(may) == 1:
        if may[0] or not k:
            yield (k,)
        return
    for first in range(k + 1 if may[0] else 1):
        for rest in _shares(k - first, may[1:]):
            yield first, *rest


def _quotient(x: Series, y: Series, q: Series, k: int) -> Any:
    """Cauchy's product q y = x, solved for the k-th coefficient of q."""
    rest = None
    for j in range(1, k + 1):
        if y[j] is not None and q[k - j] is not None:
            rest = _sum(rest, ground.apply(mul, (y[j], q[k - j]), {}))
    if rest is not None:
        rest = ground.apply(neg, (rest,), {}) if x[k] is None else ground.apply(
            sub, (x[k], rest), {})
    over = x[k] if rest is None else rest
    return None if over is None else ground.apply(div, (over, y[0]), {})


class _Later:
    """The coefficients of an expression that is only built when they are asked for."""

    def __init__(self, level: Taylor, build: Callable[[], Any]) -> None:
        self.level, self.build = level, build
        self.series: Series | tuple[Series | None, ...] | None = None

    def __call__(self, k: int) -> Any:
        if self.series is None:
            self.series = self._of(self.build())
        if isinstance(self.series, tuple):
            return tuple(None if each is None else each[k] for each in self.series)
        return self.series[k]

    def _of(self, built: Any) -> Any:
        if isinstance(built, tuple):
            return tuple(map(self._of, built))
        return None if built is None else self.level.series(built)


def _solution(level: Taylor, slope: Callable[[], Any]) -> Term:
    """The coefficients of y from an expression of y'."""
    later = _Later(level, slope)

    def term(k: int) -> Any:
        found = later(k - 1)
        return tuple(scaled(div, each, k) for each in found) if isinstance(found, tuple) else (
            scaled(div, found, k))

    return term


def _product(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """The product along a dimension, by multiplying one half by the other: its rule would take
    each set of up to k factors apart."""
    if not dims:
        return x
    (dim,), shape = dims, tuple(x.shape)
    if not shape[dim]:
        return None
    while (n := x.shape[dim]) > 1:
        half = n // 2
        pairs = mul(narrow(x, dim, 0, half), narrow(x, dim, half, half))
        x = cat(pairs, narrow(x, dim, n - 1, 1), dim=dim) if n % 2 else pairs
    return x if keepdim else reshape(x, shape=shape[:dim] + shape[dim + 1:])


def _product_of_others(x: Any, dim: int) -> Any:
    """The product of what stands before each element, times that of what stands after it."""
    if not x.shape[dim]:
        return None
    parts = [narrow(x, dim, i, 1) for i in range(x.shape[dim])]
    one = np.ones(parts[0].shape, plain_aval(x).numpy)
    before = list(itertools.accumulate(parts[:-1], mul, initial=one))
    after = list(itertools.accumulate(parts[:0:-1], mul, initial=one))[::-1]
    return cat(*map(mul, before, after), dim=dim)


def _recurrence(x: Any, y: Any, dim: int, backward: bool) -> Any:
    """out[i] = y[i] + x[i] out[i-1], or backward, one element after the other."""
    places = range(y.shape[dim])[::-1] if backward else range(y.shape[dim])
    parts: list[Any] = []
    for i in places:
        part = narrow(y, dim, i, 1)
        if parts:
            part = part + mul(narrow(x, dim, i + backward, 1), parts[-1])
        parts.append(part)
    return cat(*(parts[::-1] if backward else parts), dim=dim) if parts else None


SMALLER: dict[str, Callable[..., Any]] = {"prod": _product, "recurrence": _recurrence,
                                          "product_of_others": _product_of_others}
"""What to compute coefficients from instead, where the forward rule would be exponential."""


# --- small things -----------------------------------------------------------------------------


def scaled(by: Primitive, value: Any, k: int) -> Any:
    """A coefficient multiplied or divided by a number; a zero stays one."""
    if value is None or k == 1:
        return value
    return ground.apply(by, (value, np.asarray(k, plain_aval(value).numpy)), {})


def _sum(total: Any, value: Any) -> Any:
    return value if total is None else ground.apply(add, (total, value), {})


def _array(value: Any) -> Any:
    """NumPy's operators make scalars of 0-d arrays."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def _place(whole: Series, i: int, k: int) -> Any:
    found = whole[k]
    return None if found is None else found[i]


def _each(out: Any) -> Sequence[Any]:
    return out if isinstance(out, tuple) else (out,)


def _key(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """What two applications have in common if one serves for both."""
    return primitive, tuple(map(_identity, operands)), tuple(params.items())


def _identity(operand: Any) -> Any:
    """Numbers are what they are; of the rest, each is its own."""
    if isinstance(operand, Handle) or (isinstance(operand, np.ndarray) and operand.ndim):
        return id(operand)
    number = np.asarray(operand)
    return type(operand), number.dtype.char, number.tobytes()
