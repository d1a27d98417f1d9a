"""Expansion: a program in the primitives that loops are made of.

What remains are elementwise primitives that are a ufunc's (or `scalar`, as `where`, `erf` and
`sigmoid` are), `cast`, reductions, matrix products, indexing by arrays, and `strided`,
`put_strided`, `contiguous` and `iota` for all that moves elements; besides, what has no lowering,
and lines on complex numbers that do more than move them: these are called.

A line is expanded by recording its primitive's `lower` (or `decompose`) symbolically. What comes
of it depends on the operands' avals and the parameters alone, so each such case is recorded once,
as a `Template`, and copied from then on.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.aval import Aval
from ..core.primitive import TABLE, Primitive
from ..interpreters.views import Step
from ..primitives.indexing import index
from ..primitives.layout import contiguous
from .halves import rounded_once
from .ir.program import Block, Constant, Line, Program, Value
from .ir.regions import Region, composed, dense
from .ir.symbolic import record
from .ir.uniform import compact, is_uniform, spread
from .ir.views import PLACING, VIEWS, lower_view, region_of, strided
from .ir.walk import downward, within_params


def expand(program: Program) -> Program:
    """The program in the primitives that loops are made of (see the module's text)."""
    writer = Writer()

    def lines(block: Block) -> list[Line]:
        writer.lines, writer.copies = [], {}
        for line in block.lines:
            writer.expand(within_params(line, expand))
        return writer.lines

    return downward(program, lines, writer.values)


# --- templates --------------------------------------------------------------------------------


Pick = Callable[[list[Value]], tuple[Value, ...]]
"""Takes values at certain places out of a list."""


class Move(NamedTuple):
    """A line of a template, whose values are taken out of a list."""

    primitive: Primitive
    operands: Pick
    params: Mapping[str, Any]
    results: Pick


class Template(NamedTuple):
    """The expansion of an application: lines to be copied, again and again.

    Attributes:
        moves: the lines; their values are picked from a list of the application's operands, the
            constants, and what the lines make.
        constants: those.
        avals: of what the lines make.
        results: picks the results.
    """

    moves: tuple[Move, ...]
    constants: tuple[Constant, ...]
    avals: tuple[Aval, ...]
    results: Pick

    def copied(self, operands: Sequence[Value], lines: list[Any]) -> tuple[Value, ...]:
        """Adds the lines for these operands; their results."""
        values = [*operands, *self.constants, *map(Value, self.avals)]
        for primitive, given, params, made in self.moves:
            lines.append(Line(primitive, given(values), params, made(values)))
        return self.results(values)


_MOST = 1 << 14
_templates: dict[Any, Template | None] = {}


def template(primitive: Primitive, avals: tuple[Aval, ...],
             params: Mapping[str, Any]) -> Template | None:
    """The expansion of an application; None if it stays as it is."""
    try:
        key = (primitive, avals, *map(params_key, params.items()))
        return _templates[key]
    except KeyError:
        if len(_templates) >= _MOST:
            _templates.clear()
        found = _templates[key] = _expansion(primitive, avals, params)
        return found
    except TypeError:  # a parameter can't be hashed
        return _expansion(primitive, avals, params)


def params_key(item: tuple[str, Any]) -> Any:
    """A parameter so that equal keys mean the same: 0.0 isn't -0.0, and chains of views may be
    equal without being identical."""
    name, value = item
    if type(value) is float:
        return name, repr(value)
    if type(value) is tuple and value and type(value[0]) is Step:
        return name, *((s.primitive, *map(params_key, s.params.items()), s.index) for s in value)
    return name, type(value), value


def _expansion(primitive: Primitive, avals: tuple[Aval, ...],
               params: Mapping[str, Any]) -> Template | None:
    lower = lowering(primitive, avals, params)
    if lower is None:
        return None
    given = [Value(aval) for aval in avals]
    lines, results = record(_on_halves(lower, primitive, avals, params), given)
    writer = Writer()
    for line in lines:
        if canonical(line.primitive) is canonical(primitive):
            writer.add(line)  # what a lowering applies of its own primitive stays
        else:
            writer.expand(line)
    return template_of(given, writer.lines, [writer.values.get(v, v) for v in results])


def _on_halves(lower: Callable[..., Any], primitive: Primitive, avals: Sequence[Aval],
               params: Mapping[str, Any]) -> Callable[..., Any]:
    """How an application comes apart, where halves are rounded once, unless they only move."""
    base, apart = canonical(primitive), functools.partial(lower, **params)
    if (not any(aval.dtype.is_half for aval in avals) or isinstance(lower, Primitive)
            or base in VIEWS or base in PLACING or base.name in _COPIES or base is index):
        return apart
    found: Any = base.abstract(*avals, **params)
    return rounded_once(apart, found if base.multiple else (found,))


def lowering(primitive: Primitive, avals: Sequence[Aval],
             params: Mapping[str, Any]) -> Callable[..., Any] | None:
    """How an application comes apart: a function of its operands; None if it doesn't."""
    base = canonical(primitive)
    if base in VIEWS:
        return functools.partial(lower_view, base)
    if base in PLACING:
        return PLACING[base]
    found: Any = base.abstract(*avals, **params)
    results = found if base.multiple else (found,)
    if any(aval.foreign for aval in (*avals, *results)):
        return base.lower if base.name in _COPIES else None
    return base.lower or base.decompose or (
        None if base is primitive else base)


_COPIES = frozenset({"clone", "contiguous", "flip", "roll", "repeat"})
"""Primitives whose lowering moves numbers of any kind."""


@functools.lru_cache(maxsize=4096)
def canonical(primitive: Primitive) -> Primitive:
    """The primitive of the table that computes the same: twins differ in derivatives alone."""
    found = TABLE.get(primitive.name, primitive)
    return found if found.evaluate is primitive.evaluate else primitive


def template_of(given: Sequence[Value], lines: Sequence[Line],
                results: Sequence[Value]) -> Template:
    """Lines on given values, and which values are their results, as a template."""
    made = [v for line in lines for v in line.results]
    read = [*(v for line in lines for v in line.operands), *results]
    constants = tuple(dict.fromkeys(v for v in read if isinstance(v, Constant)))
    places = {v: i for i, v in enumerate([*given, *constants, *made])}

    def pick(values: Sequence[Value]) -> Pick:
        found = [places[v] for v in values]
        if len(found) == 1:
            (place,) = found
            return lambda values: (values[place],)
        return operator.itemgetter(*found) if found else lambda values: ()

    moves = tuple([Move(line.primitive, pick(line.operands), line.params, pick(line.results))
                   for line in lines])
    return Template(moves, constants, tuple([v.aval for v in made]), pick(results))


# --- writing lines ----------------------------------------------------------------------------


class Writer:
    """Writes expanded lines, and folds views of views.

    Attributes:
        lines: what has been written.
        values: what has been found to be the same as another value.
        regions: by the result of a `strided`: what it is a region of, and which.
        copies: in this block: by what a view looks at, its elements in a place of their own.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.values: dict[Value, Value] = {}
        self.regions: dict[Value, tuple[Value, Region]] = {}
        self.copies: dict[tuple[Value, Region], Value] = {}

    def expand(self, line: Line) -> None:
        """Writes what a line expands to."""
        for v in line.operands:
            if isinstance(v, Constant) and v not in self.values:
                self.values[v] = compact(v)
        line = line.on(self.values)
        found = template(line.primitive, tuple([v.aval for v in line.operands]), line.params)
        if found is None:
            self.add(line)
        else:
            self._copy(found, line)

    def _copy(self, found: Template, line: Line) -> None:
        lines: list[Line] = []
        results = found.copied(line.operands, lines)
        for each in lines:
            self.add(each)
        for result, value in zip(line.results, results, strict=True):
            self.values[result] = self.values.get(value, value)

    def add(self, line: Line) -> None:
        """Writes a line as it is, but for views of views."""
        line = line.on(self.values)
        if line.primitive is strided:
            self._add_view(line)
        else:
            self.lines.append(line)

    def _add_view(self, line: Line) -> None:
        (x,), region = line.operands, region_of(line.params)
        if isinstance(x, Constant) and is_uniform(x.array):
            self.values[line.result] = spread(x.array, region.shape)
            return
        found = folded(x, region, self.regions)
        if found is None:
            found = self._dense(x), region
        base, region = found
        if region == dense(tuple(base.aval.shape)):
            self.values[line.result] = base
            return
        self.regions[line.result] = found
        self.lines.append(Line(strided, (base,), region.params, line.results))

    def _dense(self, x: Value) -> Value:
        """A view's elements in a place of their own."""
        key = self.regions[x]
        copy = self.copies.get(key)
        if copy is None:
            copy = self.copies[key] = Value(x.aval)
            self.lines.append(Line(contiguous, (x,), {}, (copy,)))
        return copy


def folded(x: Value, region: Region, regions: Mapping[Value, tuple[Value, Region]]
           ) -> tuple[Value, Region] | None:
    """A region of x as one of what x itself is a region of; None if it is none of that."""
    found = regions.get(x)
    if found is None:
        return x, region
    both = composed(region, found[1])
    return None if both is None else (found[0], both)

