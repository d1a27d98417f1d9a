"""The compiler's programs: expansion and passes, against NumPy's evaluation of what they change.

A pass keeps a program's results to the bit (NaN is NaN); expansion keeps special values and dtypes
and, where sums are taken in another order, numbers to a few units in the last place. The texts of
some programs after each pass are kept in `golden/passes`; WENGERT_UPDATE_GOLDEN=1 writes them
anew.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import wengert
from grouped import by_primitive, grouped
from samples import PARAMS, Sample, domains, some_samples
from wengert.compiler.expand import canonical, expand
from wengert.compiler.ir import walk
from wengert.compiler.ir.program import (
    Block,
    Constant,
    Line,
    Look,
    Program,
    Return,
    Value,
    answer,
    evaluate,
    straight,
    verify,
)
from wengert.compiler.ir.regions import Region, composed, dense, disjoint, distinct, relative
from wengert.compiler.ir.symbolic import record
from wengert.compiler.ir.views import iota, put_strided, strided
from wengert.compiler.passes import (
    common_subexpressions,
    constants,
    dead_code,
    dead_writes,
    early_lines,
    fast_identities,
    forwarding,
    identities,
    scattered_sums,
    scatters,
    simplify,
)
from wengert.core import dtypes
from wengert.core.aval import aval, aval_of
from wengert.core.levels import here, quietly
from wengert.core.primitive import TABLE, Primitive
from wengert.primitives import elementwise as e, layout

Array = np.ndarray
PASSES = (dead_code, constants, scattered_sums, dead_writes, forwarding, identities,
          common_subexpressions, scatters, early_lines)
GOLDEN = Path(__file__).parent / "golden" / "passes"


@pytest.fixture(autouse=True)
def _verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENGERT_VERIFY", "1")


# --- making programs --------------------------------------------------------------------------


def program_of(fn: Callable[..., Any], *arrays: Array) -> Program:
    """The program that a function of tensors consists of."""
    inputs = [Value(aval_of(x)) for x in arrays]
    lines, results = record(fn, inputs)
    return straight(inputs, lines, results)


def applied(primitive: Primitive, operands: Sequence[Array], params: dict[str, Any]) -> Program:
    """The program of one application."""
    return program_of(lambda *xs: primitive(*xs, **params), *operands)


def names(program: Program) -> list[str]:
    return [line.primitive.name for block in program.body.blocks() for line in block.lines]


def same_bits(a: Array, b: Array) -> None:
    """Equal, of one dtype and shape; zeros of one sign; NaN equals NaN."""
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    np.testing.assert_array_equal(a, b)
    if a.dtype.kind == "f":
        numbers = ~np.isnan(a)
        np.testing.assert_array_equal(np.signbit(a)[numbers], np.signbit(b)[numbers])


def near(a: Array, b: Array) -> None:
    """Equal to a few units in the last place of 1 or of the numbers, of one dtype and shape."""
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    if a.dtype.kind not in "fc" or not a.size:
        np.testing.assert_array_equal(a, b)
        return
    unit = float(np.finfo(a.dtype).eps)
    np.testing.assert_allclose(a, b, rtol=16 * unit, atol=8 * unit)


# --- expansion --------------------------------------------------------------------------------

LOOPS = {"where", "erf", "erfc", "sigmoid", "sech2", "gauss", "ndtr", "npdf", "cast",
         "contiguous", "strided", "put_strided", "iota", "sum", "prod", "amax", "amin", "all",
         "any", "argmax", "argmin", "mm", "bmm", "index", "index_put", "gather", "scatter_add",
         "pick"}
STAY = {"cumsum", "max_places", "bessel_i", "bessel_ie_slope", "bessel_j0", "bessel_j1",
        "bessel_y0", "bessel_y1", "erfinv", "erfinv_slope", "i0", "i0e", "i1", "i1e", "log_ndtr",
        "ndtri", "ndtri_slope", "polygamma"}
"""Those with a lowering for some sizes, dtypes or orders alone."""


def for_loops(line: Line) -> bool:
    """Whether a line is of loops' primitives; complex ones, and those without a lowering, are
    called."""
    p = line.primitive
    called = (p.lower is None and p.decompose is None) or any(
        v.aval.is_complex for v in (*line.operands, *line.results))
    return called or p.name in LOOPS | STAY or (p.elementwise and p.ufunc is not None)


def _in(x: Array, kind: Any) -> Array:
    if x.dtype.kind != "f":
        return x
    return x.astype(kind) if np.dtype(kind).kind == "f" else np.rint(
        3 * np.nan_to_num(x, posinf=1, neginf=-1)).astype(kind)


def takes(p: Primitive, operands: Sequence[Array], params: dict[str, Any]) -> bool:
    """Whether a primitive is for these dtypes: it accepts them, and gives what it says."""
    try:
        said = p.abstract(*map(aval_of, operands), **params)
        found = quietly(p.evaluate, *operands, **params)
    except (NotImplementedError, RuntimeError, TypeError, ValueError, OverflowError, KeyError):
        return False
    return p.multiple or bool(np.asarray(found).dtype == said.numpy)


SAMPLES = some_samples()
REAL = [s for s in SAMPLES if not s.is_complex and any(x.dtype.kind == "f" for x in s.operands)]
FLOATS = {"biased_conv", "combine", "conv", "conv_input", "cummin_values", "norm", "scalar_pow",
          "unmean_pool"}
"""What the operations give no integers to, or what has a test of its own for them."""
SMALLER = [(s, kind) for s in REAL for kind in (np.float32, np.float16, np.int32, np.bool_)
           if (s.name not in FLOATS or np.dtype(kind).kind == "f") and takes(
               s.primitive, [_in(x, kind) for x in s.operands], s.params)]


@grouped([*((s, np.float64) for s in SAMPLES), *SMALLER], by=lambda case: case[0].name)
def test_expansion_of_every_primitive(case: tuple[Sample, Any]) -> None:
    """What an application expands to gives what it gives, and is of loops' primitives."""
    sample, kind = case
    operands = [_in(x, kind) for x in sample.operands]
    program = applied(sample.primitive, operands, sample.params)
    expanded = verify(expand(program))
    assert all(map(for_loops, expanded.body.lines)), str(expanded)
    for a, b in zip(evaluate(expanded, operands), evaluate(program, operands), strict=True):
        near(a, b)
    for a, b in zip(evaluate(simplify(expanded), operands), evaluate(expanded, operands),
                    strict=True):
        same_bits(a, b)


SPECIAL = np.array([-np.inf, -1e30, -3.0, -2.0, -1.0, -0.5, -1e-30, -0.0, 0.0, 1e-30, 0.5, 1.0,
                    2.0, 2.5, 3.0, 1e30, np.inf, np.nan])
KINDS = (np.float64, np.float32, np.float16, np.int64, np.int32, np.int8, np.uint8, np.bool_)


def specials(kind: Any) -> Array:
    """Numbers where functions like to go wrong."""
    if np.dtype(kind).kind == "f":
        return quietly(SPECIAL.astype, kind)
    whole = np.array([-128, -7, -3, -2, -1, 0, 1, 2, 3, 4, 127])
    return whole.astype(kind)


def grid(name: str, kind: Any) -> list[Array]:
    """All pairs (triples) of special numbers; the operands that are bools stay bools."""
    kinds = [np.bool_ if d == "bool" else kind for d in domains(name)]
    return [x.copy() for x in np.meshgrid(*map(specials, kinds), indexing="ij")]


WAVES = {"bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"}
"""Functions that are as good as the waves that they are, not as their values near the zeros; at
1e30 SciPy's own have the phase of another number."""
COMING_APART = [name for name, p in TABLE.items() if p.elementwise and p.lower is not None]
EXPONENTS = [{"exponent": x} for x in (0, 1, 2, 3, 4, -1, -2, 0.5, -0.5, 1.5, 2.0)]
CHOICES = {**PARAMS, "scalar_pow": EXPONENTS,
           "clamp": [*PARAMS["clamp"], {"low": 0.0, "high": -0.0}, {"low": 2, "high": 1}]}


@grouped(itertools.product(COMING_APART, KINDS), by=lambda case: case[0])
def test_expansion_at_special_values(case: tuple[str, Any]) -> None:
    """Infinities, NaN, zeros, huge and tiny numbers; integers and bools where they are taken."""
    name, kind = case
    p, operands = TABLE[name], grid(name, kind)
    for params in CHOICES.get(name, [{}]):
        if takes(p, operands, params):
            program = applied(p, operands, params)
            (a,), (b,) = evaluate(expand(program), operands), evaluate(program, operands)
            assert a.dtype == b.dtype
            if a.dtype.kind == "f":
                unit = float(np.finfo(a.dtype).eps)
                tiny = float(np.finfo(a.dtype).tiny)
                least = 4 * unit if name in WAVES else tiny * unit * 2
                np.testing.assert_allclose(a, b, rtol=4 * unit, atol=least)
            else:
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("data", [
    [np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf], [np.inf, -np.inf], [-np.inf, 2.0],
    [1e200] * 2])
@pytest.mark.parametrize(("name", "params"), [
    ("logsumexp", {"dims": (1,), "keepdim": False}), ("softmax", {"dim": 1}),
    ("log_softmax", {"dim": 1}), ("mean", {"dims": (0, 1), "keepdim": False}),
    ("var", {"dims": (1,), "keepdim": True, "correction": 3.0}),
    ("std", {"dims": (1,), "keepdim": True, "correction": 1}),
    *(("norm", {"p": p, "dims": (1,), "keepdim": False})
      for p in (2.0, 1.0, 0.0, 0.5, 3.0, np.inf, -np.inf))])
def test_reductions_at_special_values(name: str, params: dict[str, Any],
                                      data: list[float]) -> None:
    x = np.array([data, [0.5, -0.5], [0.0, -0.0]])
    program = applied(TABLE[name], [x], params)
    near(evaluate(expand(program), [x])[0], evaluate(program, [x])[0])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), ()])
@pytest.mark.parametrize("name", ["mean", "var", "std", "norm", "logsumexp", "softmax",
                                  "log_softmax", "cumsum"])
def test_reductions_of_nothing(name: str, shape: tuple[int, ...]) -> None:
    x = np.full(shape, 2.5)
    dims = tuple(range(len(shape)))[:1]
    along: dict[str, Any] = {"dims": dims, "keepdim": False}
    params = {"var": {**along, "correction": 1}, "std": {**along, "correction": 1},
              "norm": {**along, "p": 2.0}, "softmax": {"dim": 0}, "log_softmax": {"dim": 0},
              "cumsum": {"dim": 0}}.get(name, along)
    program = applied(TABLE[name], [x], params)
    near(evaluate(expand(program), [x])[0], evaluate(program, [x])[0])


EINSUMS = ["ij,jk->ik", "ij,kj->ik", "aij,ajk->aik", "aij,jk->aik", "ijk,jil->kl", "i,i->",
           "i,j->ij", "ij,ij->i", "ij->ji", "ijk->j", "aij,bij->ab", "ab,bc,cd->ad", "ab,b,b->a",
           "ij,k->j", "abij,abjk->abik", "aib,bja->ij", "ia,ja,ka->ijk"]


@pytest.mark.parametrize("text", EINSUMS)
@pytest.mark.parametrize("stretched", ["", "j", "a", "ab"])
def test_einsum(text: str, stretched: str) -> None:
    """Letters of every role; with the first operand repeated along some of them."""
    left, result = text.split("->")
    terms = tuple(left.split(","))
    sizes = dict(zip("abcdijkl", (2, 3, 4, 2, 3, 2, 4, 5), strict=True))
    rng = np.random.default_rng(3)
    xs = [rng.standard_normal([1 if n == 0 and c in stretched else sizes[c] for c in term])
          for n, term in enumerate(terms)]
    program = applied(TABLE["einsum"], xs, {"terms": terms, "result": result})
    (a,), (b,) = evaluate(verify(expand(program)), xs), evaluate(program, xs)
    np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


def test_products_are_products() -> None:
    """What can be a matrix product becomes one, its transposes views."""
    x, y = np.ones((2, 5, 3)), np.ones((2, 4, 3))
    program = applied(TABLE["einsum"], [x, y], {"terms": ("aij", "akj"), "result": "aik"})
    assert names(expand(program)) == ["strided", "bmm"]


@by_primitive(s for s in SAMPLES if hasattr(s.primitive, "rule"))
def test_rules_run_symbolically(sample: Sample) -> None:
    """A pullback recorded, expanded and simplified gives what it gives on arrays."""
    p, n = sample.primitive, len(sample.operands)
    found = quietly(p.evaluate, *sample.operands, **sample.params)
    outs = [np.asarray(o) for o in (found if p.multiple else (found,))]
    rng = np.random.default_rng(1)
    gs = [np.asarray(rng.standard_normal(o.shape), o.dtype) for o in outs]
    for i in sample.active:
        rule = p.rule(i)
        assert rule is not None

        def pull(*given: Any, rule: Any = rule, i: int = i) -> Any:
            values, rest = given[:n], given[n:]
            out, g = rest[:len(outs)], rest[len(outs):]
            if not p.multiple:
                out, g = out[0], g[0]
            found = rule.fn(g, *rule.arguments(values, out, sample.params, i))
            return found[i] if isinstance(found, list) else found  # one rule for all operands

        arrays = [*sample.operands, *outs, *gs]
        program = program_of(pull, *arrays)
        expected = np.asarray(quietly(pull, *arrays))
        (got,) = evaluate(simplify(verify(expand(program))), arrays)
        np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=1e-12,
                                   atol=1e-12)


def test_a_look_in_a_rule_is_an_error() -> None:
    for look in (bool, float, lambda x: x.item(), lambda x: x.tolist()):
        with pytest.raises(RuntimeError, match="shapes and dtypes alone"):
            record(look, [aval((), dtypes.float64)])
    assert here.levels == []


def test_rules_may_bring_arrays_and_numbers() -> None:
    def rule(x: Any) -> Any:
        y = e.where(x > np.array([0.0, 2.0]), x * 2, 1 - x)
        return layout.reshape(y, shape=(2, 1)), np.ones(2), None

    lines, results = record(rule, [aval((2,), dtypes.float32)])
    assert [line.primitive.name for line in lines] == ["cast", "gt", "mul", "sub", "where",
                                                       "reshape"]
    assert lines[-1].result.aval.dtype is dtypes.float32
    assert isinstance(results[1], Constant)
    assert results[2] is None


def test_templates_are_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand lines of one kind run their lowering once."""
    calls: list[int] = []

    def lower(x: Any) -> Any:
        calls.append(1)
        return e.exp(x) * 2

    p = Primitive("doubled_exp", lambda x: np.exp(x) * 2, abstract=lambda x: x, elementwise=True,
                  lower=lower)

    def many(x: Any) -> Any:
        for _ in range(1000):
            x = p(x)
        return x

    assert names(expand(program_of(many, np.ones(3)))) == ["exp", "mul"] * 1000
    assert len(calls) == 1


def test_twins_are_one() -> None:
    """What differs in the node's name alone is one primitive afterwards."""
    x = np.ones((2, 3))
    program = program_of(lambda x: e.rsub(x, x) + e.sub(x, x), x)
    assert {line.primitive for line in expand(program).body.lines} == {e.sub, e.add}
    assert canonical(e.power_of_scalar) is e.power


def test_parameters_that_look_equal() -> None:
    """0.0 and -0.0 are equal, as keys; what they make isn't."""
    x = np.array([1.0, -1.0])
    program = program_of(lambda x: (e.masked_fill(x, x > 0, 0.0), e.masked_fill(x, x > 0, -0.0),
                                    e.scalar_power(x, exponent=2), e.scalar_power(x, exponent=-1)),
                         x)
    for a, b in zip(evaluate(simplify(expand(program)), [x]), evaluate(program, [x]), strict=True):
        same_bits(a, b)


# --- regions ----------------------------------------------------------------------------------

sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@st.composite
def looks(draw: st.DrawFn, steps: int = 4) -> tuple[tuple[int, ...], Callable[[Array], Array]]:
    """A shape, and a chain of views of an array of that shape."""
    shape = tuple(draw(sizes))
    chain: list[Callable[[Array], Array]] = []
    x = np.empty(shape)
    for _ in range(draw(st.integers(0, steps))):
        look = draw(_look(x.shape))
        chain.append(look)
        x = look(x)

    def view(x: Array) -> Array:
        for look in chain:
            x = look(x)
        return x

    return shape, view


@st.composite
def _look(draw: st.DrawFn, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    kind = draw(st.sampled_from(["permute", "slice", "select", "reshape", "diagonal", "expand"]))
    if kind == "permute":
        dims = draw(st.permutations(range(len(shape))))
        return lambda x: x.transpose(dims)
    if kind in ("slice", "select") and shape:
        d = draw(st.integers(0, len(shape) - 1))
        start, step = draw(st.integers(0, shape[d] - 1)), draw(st.sampled_from([1, 2, -1]))
        place = start if kind == "select" else slice(start, None, step)
        return lambda x: x[(slice(None),) * d + (place, ...)]
    if kind == "diagonal" and len(shape) > 1:
        offset = draw(st.integers(-1, 1))
        return lambda x: x.diagonal(offset, 0, 1) if x.diagonal(offset).size else x
    if kind == "expand":
        return lambda x: np.broadcast_to(x, (2, *shape))
    n = int(np.prod(shape))
    a = draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0]))
    return lambda x: x.reshape(a, n // a)


def region_seen(view: Callable[[Array], Array], shape: tuple[int, ...]) -> Region | None:
    """The region of a view as its numbers tell; None if it isn't regular."""
    found = view(np.arange(int(np.prod(shape))).reshape(shape))
    if not found.size:
        return Region(found.shape, (0,) * found.ndim)
    strides = tuple(int(np.diff(found, axis=d).flat[0]) if n > 1 else 0
                    for d, n in enumerate(found.shape))
    region = Region(found.shape, strides, int(found.flat[0]))
    return region if np.array_equal(numbers(region), found) else None


def numbers(region: Region) -> Array:
    """The places of a region."""
    grids = np.ogrid[tuple(map(slice, region.shape))]
    return np.asarray(region.offset + sum(
        (g * s for g, s in zip(grids, region.strides, strict=True)), np.zeros(region.shape, int)))


@settings(max_examples=150, deadline=None)
@given(looks(), st.data())
def test_composed(first: Any, data: st.DataObject) -> None:
    """A view of a view looks at what it looks at."""
    shape, view = first
    inner = region_seen(view, shape)
    if inner is None or 0 in inner.shape:
        return
    look = data.draw(_look(inner.shape))
    outer = region_seen(look, inner.shape)
    if outer is None:
        return
    found = composed(outer, inner)
    if found is not None:
        np.testing.assert_array_equal(numbers(found), look(numbers(inner)))


@settings(max_examples=150, deadline=None)
@given(looks(2), st.data())
def test_relative_and_disjoint(first: Any, data: st.DataObject) -> None:
    """A region in another is found there; regions that meet are never called disjoint."""
    shape, view = first
    _, other = data.draw(looks(2).filter(lambda pair: pair[0] == shape)
                         if len(shape) == 1 else st.just((shape, lambda x: x[..., :1])))
    a, b = region_seen(view, shape), region_seen(other, shape)
    if a is None or b is None or 0 in a.shape or 0 in b.shape:
        return
    inside = relative(a, b)
    if inside is not None:
        np.testing.assert_array_equal(numbers(b).ravel()[numbers(inside)], numbers(a))
    if disjoint(a, b, shape):
        assert not np.intersect1d(numbers(a), numbers(b)).size
    assert not distinct(a) or len(np.unique(numbers(a))) == a.size


def test_regions_are_told_apart() -> None:
    """What must be recognised, so that the tests above are not about nothing."""
    rows, cols = Region((2, 6), (6, 1), 6), Region((4, 2), (6, 1), 2)
    whole = (4, 6)
    assert relative(Region((6,), (1,), 12), rows) == Region((6,), (1,), 6)
    assert relative(cols, rows) is None
    assert not disjoint(rows, cols, whole)
    assert disjoint(cols, Region((4, 2), (6, 1), 4), whole)
    assert disjoint(Region((4, 3), (6, 2), 0), Region((4, 3), (6, 2), 1), whole)
    assert composed(Region((24,), (1,)), Region((6, 4), (1, 6))) is None
    assert composed(Region((4, 3), (6, 2)), dense(whole)) == Region((4, 3), (6, 2))
    diagonal = Region((4,), (7,), 0)
    assert composed(diagonal, Region((4, 6), (1, 4))) == Region((4,), (5,), 0)
    assert not distinct(Region((2, 2), (1, 1)))


def test_views_of_views_are_one_view() -> None:
    def look(x: Any) -> Any:
        return x.transpose(0, 1)[1:].reshape(2, 2, 4)[:, 1].flip(0)

    x = np.arange(20.0).reshape(4, 5)
    program = program_of(look, x)
    expanded = dead_code(expand(program))
    assert names(expanded) == ["strided"]
    same_bits(evaluate(expanded, [x])[0], evaluate(program, [x])[0])


def test_irregular_views_are_copied() -> None:
    x = np.arange(6.0).reshape(2, 3)
    program = program_of(lambda x: (x.T.reshape(6), x.T.reshape(6)), x)
    expanded = verify(expand(program))
    assert names(expanded).count("contiguous") == 1
    for found in evaluate(expanded, [x]):
        same_bits(found, x.T.reshape(6))


# --- passes: random programs ------------------------------------------------------------------

NUMBERS = st.sampled_from([-np.inf, -3.0, -2.0, -1.0, -0.0, 0.0, 1.0, 2.0, 4.0, np.inf, np.nan])
SHAPE = (2, 4)


def _grown(draw: st.DrawFn, values: list[Any]) -> Any:
    """One more value of SHAPE from those that there are; whole numbers stay whole."""
    def some() -> Any:
        return draw(st.sampled_from(values))

    index = ((None, None, None), (draw(st.integers(0, 3)), 4, draw(st.sampled_from([1, 2]))), ...)
    part = layout.index_view(some(), index=index)
    rest = layout.index_view(some(), index=((None, None, None), (0, 4 - part.shape[1], 1), ...))
    number = np.full(draw(st.sampled_from([(), SHAPE])), draw(NUMBERS))
    kind = draw(st.integers(0, 12))
    return {
        0: lambda: e.add(some(), some()), 1: lambda: e.mul(some(), some()),
        2: lambda: e.sub(some(), number), 3: lambda: e.neg(some()),
        4: lambda: layout.cat(part, rest, dim=1), 5: lambda: e.add(number, some()),
        6: lambda: layout.unindex(part, shape=SHAPE, index=index),
        7: lambda: layout.reshape(layout.permute(some(), dims=(1, 0)), shape=SHAPE),
        8: lambda: e.where(some() > 0, some(), some()), 9: lambda: e.mul(some(), number),
        10: lambda: e.div(some(), np.asarray(draw(st.sampled_from([1.0, 2.0, -4.0])))),
        11: lambda: TABLE["write_view"](some(), part, chain=(_slice(index),)),
        12: lambda: e.add(some(), layout.unindex(part, shape=SHAPE, index=index)),
    }[kind]()


def _slice(index: Any) -> Any:
    from wengert.interpreters.views import Step

    return Step(layout.index_view, {"index": index}, None)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    def fn(x: Any, y: Any) -> Any:
        values = [x, y]
        for _ in range(draw(st.integers(1, 12))):
            values.append(_grown(draw, values))
        return values[-1], draw(st.sampled_from(values))

    return program_of(fn, np.zeros(SHAPE), np.zeros(SHAPE))


@settings(max_examples=100, deadline=None)
@given(programs(), st.lists(NUMBERS, min_size=16, max_size=16))
def test_random_programs(program: Program, data: list[float]) -> None:
    """Expansion and each pass, alone and one after the other, keep all results to the bit."""
    arrays = list(np.array(data).reshape(2, *SHAPE))
    expected = evaluate(program, arrays)
    expanded = verify(expand(program))
    current = expanded
    for each in PASSES:
        current = verify(each(current))
        for found in (current, verify(each(expanded))):
            for a, b in zip(evaluate(found, arrays), expected, strict=True):
                same_bits(a, b)
    assert len(names(dead_code(current))) <= 4 * len(names(expanded)) + 4
    for a, b in zip(evaluate(simplify(expanded), arrays), expected, strict=True):
        same_bits(a, b)


@st.composite
def trees(draw: st.DrawFn) -> Program:
    """Programs that fork at inputs, twice."""
    inputs = [Value(aval_of(np.zeros(SHAPE))), Value(aval_of(np.zeros(SHAPE)))]
    asked = [Value(aval_of(np.array(True))) for _ in range(2)]

    def block(known: list[Value], deep: int) -> Block:
        def fn(*values: Any) -> Any:
            grown = list(values)
            for _ in range(draw(st.integers(1, 4))):
                grown.append(_grown(draw, grown))
            return grown

        lines, found = record(fn, known)
        values = [v for v in found if v.aval.shape == SHAPE]
        if deep == len(asked):
            return Block(tuple(lines), Return((values[-1], draw(st.sampled_from(values)))))
        return Block(tuple(lines), Look(asked[deep], {
            answer(np.array(seen)): block(values, deep + 1) for seen in (True, False)}))

    return Program((*inputs, *asked), block(inputs, 0))


@settings(max_examples=40, deadline=None)
@given(trees(), st.lists(NUMBERS, min_size=16, max_size=16))
def test_random_trees(program: Program, data: list[float]) -> None:
    """Every path keeps its results, whatever the paths beside it have in common with it."""
    arrays = np.array(data).reshape(2, *SHAPE)
    expanded = verify(expand(program))
    found = [verify(each(expanded)) for each in (*PASSES, simplify)]
    for path in np.ndindex(2, 2):
        given = [*arrays, *(np.array(bool(way)) for way in path)]
        expected = evaluate(program, given)
        for each in found:
            for a, b in zip(evaluate(each, given), expected, strict=True):
                same_bits(a, b)


# --- passes: one at a time --------------------------------------------------------------------


def after(each: Callable[[Program], Program], fn: Callable[..., Any], *arrays: Array) -> list[str]:
    """The primitives left of a function after one pass (and removal of dead code), which has kept
    its results."""
    program = expand(program_of(fn, *arrays))
    found = verify(dead_code(each(program)))
    for a, b in zip(evaluate(found, arrays), evaluate(program, arrays), strict=True):
        same_bits(a, b)
    return names(found)


X, Y = np.array([[-0.0, 1.0, np.nan], [np.inf, -2.0, 0.0]]), np.arange(6.0).reshape(2, 3)


def test_dead_code() -> None:
    assert after(dead_code, lambda x: (x * 2, x.exp())[0], X) == ["mul"]


@pytest.mark.parametrize(("fn", "left"), [
    (lambda x, y: x * y + x * y, ["mul", "add"]),
    (lambda x, y: x * y + y * x, ["mul", "add"]),
    (lambda x, y: (x - y) + (y - x), ["sub", "sub", "add"]),
    (lambda x, y: x * 2.0 + x * np.full((2, 3), 2.0), ["mul", "mul", "add"]),
    (lambda x, y: x * np.array([1.0, 2.0, 3.0]) + x * np.array([1.0, 2.0, 3.0]), ["mul", "add"]),
    (lambda x, y: x * 0.0 + x * -0.0, ["mul", "mul", "add"]),
    (lambda x, y: x.sum(0) + x.sum(0), ["sum", "add"]),
    (lambda x, y: x.sum(0) + x.sum(1)[0], ["sum", "sum", "strided", "add"]),
])
def test_common_subexpressions(fn: Any, left: list[str]) -> None:
    assert after(common_subexpressions, fn, X, Y) == left


def test_constants() -> None:
    def fn(x: Any) -> Any:
        table = layout.reshape(e.exp(np.arange(6.0)), shape=(2, 3))
        return x * e.sqrt(e.add(wengert.tensor(table), wengert.tensor(table)) * x * 0 + 4)

    assert "exp" not in after(constants, fn, Y)
    big = np.broadcast_to(np.array(2.0), (1 << 12, 1 << 12))
    inputs = [Value(aval_of(Y))]
    grown = Value(aval_of(big))
    out = Value(aval_of(big[:2, :3]))
    lines = [Line(e.exp, [Constant(big)], {}, [grown]),
             Line(strided, [grown], {"shape": (2, 3), "strides": (1, 1), "offset": 0}, [out])]
    folded = constants(straight(inputs, lines, [out, grown]))
    assert names(folded) == ["strided"]
    (constant,) = folded.body.lines[0].operands
    assert isinstance(constant, Constant) and not any(constant.array.strides)


@pytest.mark.parametrize(("fn", "left"), [
    (lambda x: x * 1.0, []), (lambda x: 1.0 * x, []), (lambda x: x - 0.0, []),
    (lambda x: x + 0.0, ["add"]), (lambda x: x + -0.0, []), (lambda x: 0.0 - x, ["sub"]),
    (lambda x: x - -0.0, ["sub"]), (lambda x: x / 1.0, []), (lambda x: x * 0.0, ["mul"]),
    (lambda x: x / 4.0, ["mul"]), (lambda x: x / 3.0, ["div"]), (lambda x: x * -1.0, ["neg"]),
    (lambda x: e.neg(e.neg(x)), []), (lambda x: e.where(x > 0, x, x), []),
    (lambda x: e.exp(x) + 0.0, ["exp"]), (lambda x: (x + 0.0) + 0.0, ["add"]),
    (lambda x: 0.0 + abs(x), ["abs"]), (lambda x: layout.cast(x, dtype=dtypes.float64), []),
    (lambda x: layout.cast(layout.cast(x, dtype=dtypes.float32), dtype=dtypes.float64),
     ["cast", "cast"]),
    (lambda x: layout.cast(layout.cast(x > 0, dtype=dtypes.float32), dtype=dtypes.float64),
     ["gt", "cast"]),
    (lambda x: layout.permute(layout.permute(x, dims=(1, 0)), dims=(1, 0)), []),
    (lambda x: e.maximum(x, x), []), (lambda x: x ** 1, []), (lambda x: x - x, ["sub"]),
    (lambda x: x * np.ones((2, 2, 3)), ["mul"]), (lambda x: x / 2.0 ** -1074, ["div"]),
    (lambda x: TABLE["sum"](x, dims=(), keepdim=False), ["add"]),
    (lambda x: TABLE["amax"](x, dims=(), keepdim=False), []),
    (lambda x: e.floor(e.floor(x)), ["floor"]),
])
def test_identities(fn: Any, left: list[str]) -> None:
    assert after(identities, fn, X) == left


@pytest.mark.parametrize("fn", [
    lambda x: x + 0.0, lambda x: 0.0 + x, lambda x: x - -0.0, lambda x: x * 0.0, lambda x: x - x,
    lambda x: x / x])
def test_fast_identities(fn: Any) -> None:
    program = program_of(fn, Y + 1)
    found = dead_code(fast_identities(program))
    assert names(found) == []
    near(evaluate(found, [Y + 1])[0], evaluate(program, [Y + 1])[0])
    assert names(simplify(program, fastmath=True)) == []
    assert names(simplify(program)) != []


def test_fast_division() -> None:
    assert names(fast_identities(program_of(lambda x: x / 3.0, Y))) == ["mul"]


def _stacked(x: Any, y: Any) -> Any:
    both = layout.stack(x, y, dim=1)
    first, second = layout.unbind(both, dim=1)
    return first - second


@pytest.mark.parametrize(("fn", "left"), [
    (_stacked, ["sub"]),
    (lambda x, y: layout.narrow(layout.cat(x, y, dim=0), 0, 2, 2), []),
    (lambda x, y: layout.narrow(layout.cat(x, y, dim=0), 0, 1, 2),
     ["put_strided", "put_strided", "strided"]),
    (lambda x, y: layout.narrow(layout.cat(x, y, dim=1), 1, 1, 2), ["strided"]),
])
def test_forwarding(fn: Any, left: list[str]) -> None:
    assert after(forwarding, fn, X, Y) == left


def test_forwarding_looks_back_a_bounded_way() -> None:
    """And so takes linear time; what is further back is read where it was put."""
    def fn(x: Any, *, n: int = 40) -> Any:
        return layout.unbind(layout.stack(*(x * float(i) for i in range(n)), dim=0), dim=0)

    program = expand(program_of(fn, X))
    found = verify(dead_code(forwarding(program)))
    put = {line.result for line in found.body.lines if line.primitive is put_strided}
    assert sum(line.primitive is strided and line.operands[0] in put
               for line in found.body.lines) == 40 - 16
    for a, b in zip(evaluate(found, [X]), evaluate(program, [X]), strict=True):
        same_bits(a, b)


def test_dead_writes() -> None:
    index = ((0, 1, 1), ...)

    def fn(x: Any, y: Any) -> Any:
        row = layout.index_view(y, index=index)
        once = TABLE["write_view"](x, row * 2, chain=(_slice(index),))
        return TABLE["write_view"](once, row, chain=(_slice(index),))

    assert after(dead_writes, fn, X, Y) == ["strided", "put_strided"]
    assert after(dead_writes, lambda x, y: TABLE["write_view"](
        x, y, chain=(_slice((...,)),)), X, Y) == ["strided"]


def _pieces(n: int) -> Callable[[Any], Any]:
    """The gradient of a function that takes a vector apart."""
    def fn(x: Any) -> Any:
        total = None
        for i in range(n):
            index = (i, ...)
            part = layout.index_view(x, index=index)
            g = layout.unindex(e.exp(part), shape=(n,), index=index)
            total = g if total is None else e.add(total, g)
        return total

    return fn


def test_scattered_sums() -> None:
    """n pieces take a number of elements touched that is linear in n, not quadratic."""
    def touched(n: int) -> int:
        x = np.linspace(-1, 1, n)
        program = expand(program_of(_pieces(n), x))
        found = simplify(program)
        same_bits(evaluate(found, [x])[0], evaluate(program, [x])[0])
        return sum((v.operands[1] if v.primitive is put_strided else v.result).aval.numel
                   for v in found.body.lines)

    assert touched(40) < 2.2 * touched(20)
    assert touched(40) < 6 * 40


ROWS, COLS = np.array([0, 1, -1]), np.array([2, -2, 1])


def _put(v: Any, *places: Any, shape: Any = (2, 3)) -> Any:
    """What indices give to zeros, as their gradient does."""
    return TABLE["index_put"](np.zeros(shape), v, *places, pattern=tuple(range(len(places))),
                              accumulate=True)


@pytest.mark.parametrize(("fn", "left"), [
    (lambda x, v, i, j: _put(v, i, j) - x, ["sub", "index_put"]),
    (lambda x, v, i, j: _put(v, i, j) + x, ["add", "index_put"]),
    (lambda x, v, i, j: x + _put(v, i, j), ["add", "index_put"]),
    (lambda x, v, i, j: x - _put(v, i, j), ["neg", "index_put"]),
    (lambda x, v, i, j: x - _put(x[:, 1:2], i[1:]), ["strided", "strided", "neg", "index_put"]),
    (lambda x, v, i, j: (_put(v, i, j) - x) * _put(v, i, j).sum(1, keepdim=True), [
        "index_put", "strided", "sub", "index_put", "mul"]),
    (lambda x, v, i, j: (x - _put(v, i, j)) * _put(v, i, j).sum(0), [
        "index_put", "neg", "index_put", "mul"]),
])
def test_scatters(fn: Any, left: list[str]) -> None:
    def once(*arrays: Any) -> Any:
        return fn(*arrays)

    given = (X, np.array([1.5, -0.0, 2.0]), ROWS, COLS)
    program = common_subexpressions(expand(program_of(once, *given)))
    found = verify(scatters(program))
    assert sorted(names(found)) == sorted(left)
    zeros = [line for line in found.body.lines if line.primitive.name == "index_put"
             and isinstance(line.operands[0], Constant) and line.result.aval.ndim == 2]
    assert not zeros
    for a, b in zip(evaluate(found, given), evaluate(program, given), strict=True):
        same_bits(a, b)


@pytest.mark.parametrize("fn", [
    lambda x, v, i, j: _put(v, i, j) * x, lambda x, v, i, j: _put(v, i, j).sum(1),
    lambda x, v, i, j: (_put(v, i, j) - x, _put(v, i, j)), lambda x, v, i, j: _put(v, i, j) - x[0],
    lambda x, v, i, j: (_put(v, i, j) - x, _put(v, i, j).sum())])
def test_scatters_that_are_needed_stay(fn: Any) -> None:
    """What is multiplied, given back or broadcast; and sums alone, which would not check all of
    the indices."""
    program = common_subexpressions(expand(program_of(fn, X, np.ones(3), ROWS, COLS)))
    assert names(scatters(program)) == names(program)


def test_early_lines() -> None:
    """What is small and needs nothing large comes first, in its order."""
    large, small = np.ones((128, 256)), np.ones(128)

    def fn(x: Any, v: Any) -> Any:
        y = x.exp()
        rows = y.sum(1)
        share = v / v.sum()
        return y * (share * rows)[:, None]

    assert names(early_lines(expand(program_of(fn, large, small)))) == [
        "sum", "div", "exp", "sum", "mul", "strided", "mul"]
    small_ones = expand(program_of(fn, np.ones((4, 8)), np.ones(4)))
    assert names(early_lines(small_ones)) == names(small_ones)


def test_scattered_sums_of_zeros() -> None:
    """Zeros have the sign that adding would have given them."""
    zero = np.array([[-0.0, -0.0, 0.0, 1.0]] * 2)
    index = ((None, None, None), (0, 1, 1), ...)

    def fn(x: Any) -> Any:
        piece = layout.unindex(layout.index_view(x, index=index), shape=(2, 4), index=index)
        once = e.add(x, piece)
        return once, e.add(once, piece), e.add(piece, e.add(piece, piece))

    assert after(scattered_sums, fn, zero)


# --- passes: the tree of blocks ---------------------------------------------------------------


def _line(p: Primitive, *operands: Value, **params: Any) -> Line:
    found = p.abstract(*(v.aval for v in operands), **params)
    return Line(p, operands, params, (Value(found),))


def forked(deep: int = 3) -> Program:
    """Looks after looks; each block has what an earlier one or its neighbour has."""
    x = Value(aval_of(Y))

    def block(n: int, above: Value) -> Block:
        turned = _line(layout.permute, x, dims=(1, 0))
        flat = _line(layout.reshape, turned.result, shape=(6,))
        shared = _line(e.exp, flat.result)
        total = _line(TABLE["sum"], shared.result, dims=(0,), keepdim=False)
        both = _line(e.add, total.result, above)
        positive = _line(e.gt, both.result, Constant(np.asarray(float(10 * n))))
        lines = (turned, flat, shared, total, both, positive)
        if n == deep:
            return Block(lines, Return((both.result, shared.result)))
        return Block(lines, Look(positive.result, {
            answer(np.array(seen)): block(n + 1, both.result) for seen in (True, False)}))

    return Program((x,), block(0, Constant(np.asarray(0.5))))


def test_blocks_inherit() -> None:
    """Children use what their ancestors have worked out, and never what their neighbours have."""
    program = forked()
    found = simplify(verify(expand(verify(program))))
    assert names(found).count("exp") == 1
    assert len(list(found.body.blocks())) == 15
    for x in (Y, -Y, Y - 2):
        for a, b in zip(evaluate(found, [x]), evaluate(program, [x]), strict=True):
            same_bits(a, b)


def test_neighbours_do_not_share() -> None:
    """What only the cases have in common stays in each of them."""
    program = forked(1)
    body = program.body
    assert isinstance(body.end, Look)
    bare = Program(program.inputs, Block(
        (_line(e.gt, Constant(np.asarray(1.0)), Constant(np.asarray(0.0))),), Return(())))
    look = bare.body.lines[0].result
    cases = {key: Block(tuple(v for v in case.lines if v.result is not case.lines[4].result
                              and v.result is not case.lines[5].result),
                        Return((case.lines[3].result,)))
             for key, case in body.end.cases.items()}
    neighbours = verify(Program(program.inputs, Block(bare.body.lines, Look(look, cases))))
    found = simplify(verify(expand(neighbours)))
    assert names(found).count("exp") == 2
    assert names(found).count("contiguous") == 2


def test_draws_stay() -> None:
    """Random draws are neither dropped, nor merged, nor moved past one another."""
    drawn: list[int] = []

    def fill(which: int) -> Array:
        drawn.append(which)
        return np.array(float(which))

    draw = Primitive("draw", fill, abstract=lambda which: aval((), dtypes.float64))
    assert draw.name in walk.EFFECTS
    lines = [_line(draw, which=1), _line(draw, which=2), _line(draw, which=1)]
    program = straight([], lines, [lines[2].result, lines[1].result])
    found = simplify(expand(program))
    assert [line.params["which"] for line in found.body.lines] == [1, 2, 1]
    same_bits(evaluate(found, [])[0], np.array(1.0))
    assert drawn == [1, 2, 1]


def test_bodies_are_rewritten() -> None:
    """Programs among a line's parameters are expanded and simplified with it."""
    body = program_of(lambda x: TABLE["mean"](x, dims=(0, 1), keepdim=False) * 1.0, Y)
    loop = Primitive("loop", lambda x, body: evaluate(body, [x])[0],
                     abstract=lambda x, body: aval((), dtypes.float64))
    x = Value(aval_of(Y))
    line = _line(loop, x, body=body)
    found = simplify(expand(straight([x], [line], [line.result])))
    (kept,) = found.body.lines
    assert names(kept.params["body"]) == ["sum", "div"]
    same_bits(evaluate(found, [Y])[0], np.mean(Y))


# --- the work that is done --------------------------------------------------------------------


def calls(each: Callable[[Program], Program], program: Program) -> int:
    """How many functions are called for a program: work, counted without a clock."""
    count = 0

    def seen(frame: Any, event: str, what: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        each(program)
    finally:
        sys.setprofile(None)
    return count


def _steps(n: int) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        for i in range(n):
            x = TABLE["softmax"](layout.permute(x, dims=(1, 0)) * (i + 0.5), dim=0)
            x = layout.permute(layout.cat(x, x, dim=1), dims=(1, 0))
            x = layout.narrow(x, 0, 1, 2) + layout.unindex(
                layout.index_view(x, index=(0, ...)), shape=(2, 3), index=(0, ...))
        return x

    return fn


@pytest.mark.parametrize("make", [_steps, _pieces])
def test_linear(make: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the lines, twice the work: of expansion, and of all passes."""
    monkeypatch.delenv("WENGERT_VERIFY")
    work = []
    for n in (40, 80, 160):
        x = np.zeros((2, 3) if make is _steps else n)
        program = program_of(make(n), x)
        expand(program)
        expanded = expand(program)
        simplify(expanded)
        work.append((calls(expand, program), calls(simplify, expanded)))
    for small, middle, large in zip(*work, strict=True):
        assert large - middle < 2.3 * (middle - small)


# --- golden files -----------------------------------------------------------------------------


def _golden_programs() -> Iterator[tuple[str, Program]]:
    x = np.zeros((3, 4))
    yield "softmax", program_of(lambda x: TABLE["softmax"](x, dim=1), x)
    yield "logsumexp", program_of(
        lambda x: TABLE["logsumexp"](x, dims=(0,), keepdim=False), x)
    yield "std", program_of(
        lambda x: TABLE["std"](x, dims=(1,), keepdim=False, correction=1.0), x)
    yield "cat_and_back", program_of(_stacked, x, x)
    yield "pieces", program_of(_pieces(3), np.zeros(3))
    yield "attention", program_of(
        lambda q, k: TABLE["einsum"](TABLE["softmax"](TABLE["einsum"](
            q, k, terms=("bid", "bjd"), result="bij") / 2.0, dim=2), k,
            terms=("bij", "bjd"), result="bid"), np.zeros((2, 3, 4)), np.zeros((2, 5, 4)))
    yield "masks", program_of(lambda x: TABLE["tril"](x, diagonal=-1) ** 3, x)
    yield "looks", forked(1)


EXAMPLES = dict(_golden_programs())


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden(name: str) -> None:
    """What expansion and passes make of some programs, to be read."""
    program = EXAMPLES[name]
    expanded = expand(program)
    text = "\n".join((f"given {program}", f"expanded {expanded}",
                      f"simplified {simplify(expanded)}"))
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WENGERT_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_iota() -> None:
    line = _line(iota, shape=(2, 3), dim=1, dtype=dtypes.int64)
    np.testing.assert_array_equal(evaluate(straight([], [line], [line.result]), [])[0],
                                  [[0, 1, 2]] * 2)
