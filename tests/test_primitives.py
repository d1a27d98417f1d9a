"""Every primitive in the table: value, pullback, tangent map, second order, dtypes, layouts.

The tests are generated from the table by way of `samples.py`; a primitive is tested by existing.

Derivatives are compared with central differences of sixth order. With steps of 2e-3 these have
a truncation error of h**6 f⁽⁷⁾/140 and a rounding error of about 1e-13 |f|; with the values that
are sampled both stay below 1e-9, which is the tolerance. A wrong term, sign or conjugate is
wrong by far more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import wengert as torch
from grouped import by_primitive
from samples import FLAT, Sample, arity, domains, every_sample, samples_of, seeded, values
from wengert.core.aval import LARGE, Aval, aval_of
from wengert.core.handle import Handle
from wengert.core.levels import here
from wengert.core.primitive import TABLE, Primitive

Array = np.ndarray
H = 2e-3
STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
EXACT = {"rtol": 1e-13, "atol": 1e-13}

SAMPLES = every_sample()
SMOOTH = [s for s in SAMPLES if s.active]
with_sample, with_smooth = by_primitive(SAMPLES), by_primitive(SMOOTH)


# --- applying primitives and their rules ------------------------------------------------------


def evaluate(primitive: Primitive, operands: Sequence[Array],
             params: dict[str, Any]) -> list[Array]:
    """The results as a list of arrays, computed from arrays."""
    out = here.run(primitive.evaluate, *operands, **params)
    return [np.asarray(o) for o in out] if primitive.multiple else [np.asarray(out)]


def gradients(sample: Sample, operands: Sequence[Array], gs: Sequence[Array],
              create: bool = False) -> list[Any]:
    """The cotangents of the active operands, as tensors; from the tape."""
    tensors = tensors_of(sample, operands)
    cotangents = [torch.tensor(g, requires_grad=create and g.dtype.kind in "fc") for g in gs]
    return taped(sample, tensors, cotangents, create)


def tensors_of(sample: Sample, operands: Sequence[Array]) -> list[Any]:
    return [torch.from_numpy(np.array(x)).requires_grad_(i in sample.active)
            for i, x in enumerate(operands)]


def taped(sample: Sample, tensors: Sequence[Any], cotangents: Sequence[Any],
          create: bool) -> list[Any]:
    out = sample.primitive(*tensors, **sample.params)
    outs = list(out) if sample.primitive.multiple else [out]
    active = [tensors[i] for i in sample.active]
    return list(torch.autograd.grad(outs, active, cotangents, create_graph=create))


def cotangents_like(outs: Sequence[Array], name: str) -> list[Array]:
    rng = seeded(f"{name} cotangents")
    return [random_like(rng, out) for out in outs]


def random_like(rng: np.random.Generator, x: Array) -> Array:
    g = rng.standard_normal(x.shape)
    if x.dtype.kind == "c":
        g = g + 1j * rng.standard_normal(x.shape)
    return np.asarray(g, x.dtype)


def inner(xs: Sequence[Array], ys: Sequence[Array]) -> float:
    """The real inner product, under which PyTorch's complex gradients are gradients."""
    return float(sum(np.sum((np.conj(x) * y).real) for x, y in zip(xs, ys, strict=True)))


# --- differences ------------------------------------------------------------------------------


def slope(f: Callable[[float], Any], h: float = H) -> Any:
    """df/ds at 0, by central differences of sixth order."""
    return sum(weight * (f(k * h) - f(-k * h)) for k, weight in STENCIL) / h


def difference_gradient(f: Callable[..., float], xs: Sequence[Array], i: int) -> Array:
    """dL/dx_i of a real loss; for a complex x_i, dL/d(re) + i dL/d(im), as PyTorch has it."""
    out = np.zeros(xs[i].shape, xs[i].dtype)
    for at in np.ndindex(xs[i].shape):
        for unit in (1, 1j) if out.dtype.kind == "c" else (1,):
            def moved(s: float, at: Any = at, unit: complex = unit) -> float:
                x = xs[i].copy()
                x[at] += s * unit
                return f(*xs[:i], x, *xs[i + 1:])
            out[at] += unit * slope(moved)
    return out


def difference_along(f: Callable[..., float], xs: Sequence[Array], i: int, along: Array) -> float:
    """The derivative of a real loss along a direction in x_i."""
    return slope(lambda s: f(*xs[:i], xs[i] + s * along, *xs[i + 1:]))


def random_direction(rng: np.random.Generator, x: Array) -> Array:
    """A direction in which no element hides: each moves by about half a unit to one."""
    size = rng.uniform(0.5, 1, x.shape) * rng.choice((-1, 1), x.shape)
    turn = np.exp(1j * rng.uniform(0, 2 * np.pi, x.shape)) if x.dtype.kind == "c" else 1
    return np.asarray(size * turn, x.dtype)


# --- the tests --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_has_samples(name: str) -> None:
    """A primitive that nobody sampled would pass every other test."""
    samples = samples_of(name)
    assert samples, f"primitive {name!r} has no line in samples.py"
    rules = TABLE[name].vjp
    if rules is not None:
        ruled = {i for i, rule in enumerate(rules) if rule} if isinstance(rules, tuple) else {0}
        assert ruled <= shown(samples) | FLAT.get(name, set()), "an operand never has a gradient"


def shown(samples: Sequence[Sample]) -> set[int]:
    """The operands that have a gradient other than zero in some sample."""
    found: set[int] = set()
    for s in samples:
        gs = cotangents_like(evaluate(s.primitive, s.operands, s.params), str(s))
        back = gradients(s, s.operands, gs) if s.active else []
        found |= {i for i, g in zip(s.active, back, strict=True) if g.numpy().any()}
    return found


def test_unforgotten() -> None:
    """The check above does fail: an unsampled name has no samples."""
    TABLE["forgotten"] = object.__new__(Primitive)
    TABLE["forgotten"].elementwise = False
    try:
        assert samples_of("forgotten") == []
    finally:
        del TABLE["forgotten"]


@with_sample
def test_value(sample: Sample) -> None:
    """Shape and dtype are what `abstract` says; numbers are what NumPy or SciPy says."""
    p = sample.primitive
    found = evaluate(p, sample.operands, sample.params)
    said = p.abstract(*map(aval_of, sample.operands), **sample.params)
    tensors = p(*map(torch.from_numpy, sample.operands), **sample.params)
    if not p.multiple:
        said, tensors = (said,), (tensors,)
    for array, aval, tensor in zip(found, said, tensors, strict=True):
        assert isinstance(aval, Aval)
        assert tensor.aval == aval
        assert array.shape == tensor.value.shape == tuple(aval.shape)
        assert array.dtype == tensor.value.dtype == aval.numpy
        np.testing.assert_array_equal(array, tensor.value)
    if sample.reference is not None:
        expected = sample.reference(*sample.operands)
        for array, number in zip(found, expected if p.multiple else [expected], strict=True):
            assert array.shape == np.shape(number)
            np.testing.assert_allclose(array, number, **EXACT)


@with_smooth
def test_pullback(sample: Sample) -> None:
    """VJPs against central differences of Re<g, f(x)>."""
    gs = cotangents_like(evaluate(sample.primitive, sample.operands, sample.params), str(sample))

    def loss(*operands: Array) -> float:
        return inner(gs, evaluate(sample.primitive, operands, sample.params))

    found = gradients(sample, sample.operands, gs)
    for i, g in zip(sample.active, found, strict=True):
        assert g.aval == aval_of(sample.operands[i])
        assert not g.requires_grad
        np.testing.assert_allclose(g.numpy(), difference_gradient(loss, sample.operands, i),
                                   **CLOSE)


def of_active(sample: Sample) -> Any:
    """The primitive as a function of its active operands alone, and where it is sampled."""

    def function(*active: Any) -> Any:
        operands = [torch.from_numpy(np.array(x)) for x in sample.operands]
        for i, x in zip(sample.active, active, strict=True):
            operands[i] = x
        return sample.primitive(*operands, **sample.params)

    return function, tuple(torch.from_numpy(np.array(sample.operands[i])) for i in sample.active)


def direction(sample: Sample) -> list[Array | None]:
    """A random tangent for each active operand, None for the others."""
    rng = seeded(f"{sample} tangents")
    return [random_like(rng, x) if i in sample.active else None
            for i, x in enumerate(sample.operands)]


def moved(sample: Sample, tangents: Sequence[Array | None], s: float) -> list[Array]:
    """The operands, s along their tangents."""
    return [x if t is None else x + s * t
            for x, t in zip(sample.operands, tangents, strict=True)]


def tensors(arrays: Sequence[Array | None]) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(np.array(a)) for a in arrays if a is not None)


def like_results(sample: Sample, out: Any, arrays: Sequence[Array]) -> Any:
    """Cotangents in the structure in which the primitive gives its results."""
    return type(out)(tensors(arrays)) if sample.primitive.multiple else tensors(arrays)[0]


@with_smooth
def test_tangent(sample: Sample) -> None:
    """JVPs against central differences along a random direction, and as transposes of VJPs."""
    p, tangents = sample.primitive, direction(sample)

    def along(s: float) -> list[Array]:
        return evaluate(p, moved(sample, tangents, s), sample.params)

    function, at = of_active(sample)
    out, given = torch.func.jvp(function, at, tensors(tangents))
    found = [t.numpy() for t in (given if p.multiple else [given])]
    values = along(0)
    for k, (t, value) in enumerate(zip(found, values, strict=True)):
        assert aval_of(t) == aval_of(value)
        # Tangents are up to 3: that much smaller steps keep the operands inside their domains.
        np.testing.assert_allclose(t, slope(lambda s, k=k: along(s)[k], H / 3), **CLOSE)
    gs = cotangents_like(values, str(sample))
    _, pull = torch.func.vjp(function, *at)
    back = [g.numpy() for g in pull(like_results(sample, out, gs))]
    assert inner(back, [t for t in tangents if t is not None]) == pytest.approx(
        inner(gs, found), rel=1e-12, abs=1e-12)


@with_smooth
def test_both_modes_nested(sample: Sample) -> None:
    """Forward over reverse and reverse over forward: both are a Hessian times a vector.

    With L = Re<g, f(x)> and a direction v, the tangent of L's gradient along v, and the gradient
    of L's tangent, are compared with differences of L's gradient.
    """
    p, tangents = sample.primitive, direction(sample)
    gs = cotangents_like(evaluate(p, sample.operands, sample.params), str(sample))
    function, at = of_active(sample)
    v = tensors(tangents)

    def gradient(*xs: Any) -> Any:
        out, pull = torch.func.vjp(function, *xs)
        return pull(like_results(sample, out, gs))

    def tangent(*xs: Any) -> Any:
        _, found = torch.func.jvp(function, xs, v)
        return sum((torch.from_numpy(np.array(np.conj(g))) * t).real.sum() for g, t in zip(
            gs, found if p.multiple else [found], strict=True))

    _, forward = torch.func.jvp(gradient, at, v)
    backward = torch.func.grad(tangent, tuple(range(len(at))))(*at)

    def along(s: float) -> list[Array]:
        return [g.numpy() for g in gradients(sample, moved(sample, tangents, s), gs)]

    for k, (a, b) in enumerate(zip(forward, backward, strict=True)):
        expected = slope(lambda s, k=k: along(s)[k], H / 3)
        np.testing.assert_allclose(a.numpy(), expected, **CLOSE)
        np.testing.assert_allclose(b.numpy(), expected, **CLOSE)


def test_every_derivative_goes_forward() -> None:
    """A primitive with a VJP has a JVP, too: its own, that of a (multi)linear one, or that of what
    it comes apart into."""
    lacking = [name for name, p in TABLE.items() if p.vjp is not None
               and not (p.jvp is not None or p.linear or p.multilinear or p.decompose is not None)]
    assert not lacking


@by_primitive(s for s in SMOOTH if s.primitive.linear)
def test_linear(sample: Sample) -> None:
    """Additive in the operands in which it is linear, and with its transpose as its VJP."""
    rng, p = seeded(str(sample)), sample.primitive
    places = range(len(sample.operands)) if p.linear is True else p.linear
    a, b = ([random_like(rng, x) if i in places else x for i, x in enumerate(sample.operands)]
            for _ in range(2))
    both = [2.5 * x - y if i in places else x for i, (x, y) in enumerate(zip(a, b, strict=True))]
    fa, fb, fc = (evaluate(p, xs, sample.params) for xs in (a, b, both))
    for va, vb, vc in zip(fa, fb, fc, strict=True):
        np.testing.assert_allclose(vc, 2.5 * va - vb, **EXACT)
    gs = cotangents_like(fa, str(sample))
    back = [g.numpy() for g in gradients(sample, sample.operands, gs)]
    assert set(sample.active) <= set(places)
    assert inner(back, [a[i] for i in sample.active]) == pytest.approx(
        inner(gs, fa), rel=1e-12, abs=1e-12)


@by_primitive(s for s in SMOOTH if s.primitive.multilinear)
def test_multilinear(sample: Sample) -> None:
    """Additive in each operand apart."""
    rng, p = seeded(str(sample)), sample.primitive
    for i, x in enumerate(sample.operands):
        a, b = random_like(rng, x), random_like(rng, x)
        fa, fb, fc = (evaluate(p, [*sample.operands[:i], v, *sample.operands[i + 1:]],
                               sample.params)[0] for v in (a, b, 2.5 * a - b))
        np.testing.assert_allclose(fc, 2.5 * fa - fb, **EXACT)


@with_smooth
def test_second_order(sample: Sample) -> None:
    """The pullback's own derivative, in the operands and in the cotangent.

    S = sum_i Re<c_i, pullback_i(x, g)> for random c is differentiated through the recorded
    pullback, and compared with differences of the pullback as arrays compute it, along a random
    direction in each operand (element by element, `test_both_modes_nested` looks at them).
    """
    gs = cotangents_like(evaluate(sample.primitive, sample.operands, sample.params), str(sample))
    count, smooth = len(sample.operands), list(sample.active)
    cs = cotangents_like([sample.operands[i] for i in smooth], f"{sample} second")

    def total(*given: Array) -> float:
        found = gradients(sample, given[:count], given[count:])
        return inner(cs, [g.numpy() for g in found])

    tensors = tensors_of(sample, sample.operands)
    cotangents = [torch.tensor(g, requires_grad=True) for g in gs]
    first = taped(sample, tensors, cotangents, create=True)
    wanted = [tensors[i] for i in smooth] + cotangents
    roots = [g for g in first if g.requires_grad]
    second = torch.autograd.grad(roots, wanted, [torch.tensor(c) for c, g in zip(
        cs, first, strict=True) if g.requires_grad], materialize_grads=True) if roots else [
        torch.zeros_like(w) for w in wanted]
    given, rng = [*sample.operands, *gs], seeded(f"{sample} directions")
    for i, found in zip([*smooth, *range(count, len(given))], second, strict=True):
        assert found.aval == aval_of(given[i])
        along = random_direction(rng, given[i])
        np.testing.assert_allclose(inner([along], [found.numpy()]),
                                   difference_along(total, given, i, along), **CLOSE)


@with_smooth
def test_arrays_and_tensors(sample: Sample) -> None:
    """A rule computes the same numbers when it is recorded."""
    gs = cotangents_like(evaluate(sample.primitive, sample.operands, sample.params), str(sample))
    plain = gradients(sample, sample.operands, gs)
    recorded = gradients(sample, sample.operands, gs, create=True)
    for a, b in zip(plain, recorded, strict=True):
        assert a.aval == b.aval
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-15, atol=0)


LOW = {np.float64: (np.float32, np.float16), np.complex128: (np.complex64,)}
ROUGH = {np.float32: 2e-5, np.float16: 2e-2, np.complex64: 2e-5}


@with_smooth
def test_low_precision(sample: Sample) -> None:
    """In smaller dtypes, gradients have their operand's dtype, and about the same numbers."""
    gs = cotangents_like(evaluate(sample.primitive, sample.operands, sample.params), str(sample))
    exact = gradients(sample, sample.operands, gs)
    for kind in LOW[np.complex128 if sample.is_complex else np.float64]:
        operands = [_lowered(x, kind) for x in sample.operands]
        lower = replace(sample, operands=tuple(operands))
        out = lower.primitive.abstract(*map(aval_of, operands), **sample.params)
        low = [np.asarray(g, o.numpy) for g, o in zip(
            gs, out if lower.primitive.multiple else [out], strict=True)]
        for create in (False, True):
            found = gradients(lower, operands, low, create)
            for i, g, full in zip(sample.active, found, exact, strict=True):
                assert g.aval == aval_of(operands[i])
                scale = max(np.abs(full.numpy()).max(initial=0), 1)
                np.testing.assert_allclose(g.detach().numpy(), full.numpy(), rtol=ROUGH[kind],
                                           atol=ROUGH[kind] * scale)


def _lowered(x: Array, kind: Any) -> Array:
    """x as `kind`; the real operand of a complex operation as that of its parts."""
    if x.dtype.kind not in "fc":
        return x
    return x.astype(kind if x.dtype.kind == np.dtype(kind).kind else np.float32)


def _layouts(x: Array) -> list[Array]:
    """The same numbers elsewhere in memory: reversed, strided, transposed, read-only."""
    strided = np.zeros((*(2 * n for n in x.shape),), x.dtype)[(slice(None, None, 2),) * x.ndim]
    strided = np.asarray(strided)
    strided[...] = x
    backwards = np.flip(np.flip(x).copy())
    fortran = np.array(x, order="F")
    fixed = x.copy()
    fixed.flags.writeable = False
    return [strided, backwards, fortran, fixed]


@with_smooth
def test_layouts(sample: Sample) -> None:
    """Where the numbers lie in memory makes no difference to values or gradients.

    To a few units in the last place: NumPy's loops for strided memory round differently.
    """
    plain = evaluate(sample.primitive, sample.operands, sample.params)
    gs = cotangents_like(plain, str(sample))
    expected = gradients(sample, sample.operands, gs)
    for operands, cotangents in zip(zip(*map(_layouts, sample.operands), strict=True),
                                    zip(*map(_layouts, gs), strict=True), strict=True):
        tensors = [as_laid_out(x, i in sample.active) for i, x in enumerate(operands)]
        out = sample.primitive(*tensors, **sample.params)
        for a, b in zip(out if sample.primitive.multiple else [out], plain, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-14, atol=1e-14)
        found = taped(sample, tensors, [as_laid_out(g, False) for g in cotangents], False)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14, atol=1e-14)


def as_laid_out(x: Array, requires_grad: bool) -> Any:
    """A tensor round this very array, whatever its strides."""
    tensor = torch.empty(0)
    tensor.value, tensor.aval = x, aval_of(x)
    return tensor.requires_grad_(requires_grad)


ELEMENTWISE = [name for name, p in TABLE.items() if p.elementwise and p.vjp is not None]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_blocks(name: str) -> None:
    """Large operands, worked on in blocks by several threads, give what small ones give."""
    first, rng = samples_of(name)[0], seeded(f"{name} large")
    shape = (LARGE // 1000, 1500)  # whole blocks and a part of one for each of two threads
    operands = [values(rng, d, () if i else shape) for i, d in enumerate(domains(name))]
    if arity(TABLE[name]) == 3:
        operands[1] = values(rng, domains(name)[1], shape)
    large = Sample(name, tuple(operands), first.params)
    (out,) = evaluate(large.primitive, operands, large.params)
    g, tensors = random_like(rng, out), tensors_of(large, operands)
    value = large.primitive(*tensors, **large.params)
    found = torch.autograd.grad(value, [tensors[i] for i in large.active], torch.tensor(g))
    some = slice(LARGE // 2000, None, LARGE // 3000)
    parts = [x[some] if x.ndim else np.broadcast_to(x, shape)[some] for x in operands]
    pieces = gradients(large, [np.ascontiguousarray(x) for x in parts], [g[some]])
    np.testing.assert_array_equal(value.detach().numpy(), out)
    for i, a, b in zip(large.active, found, pieces, strict=True):
        assert a.aval == aval_of(operands[i])
        if operands[i].ndim:
            np.testing.assert_allclose(a.numpy()[some], b.numpy(), rtol=1e-14, atol=1e-14)


def test_handles_only_where_tensors_are_given() -> None:
    """On arrays a primitive gives arrays: rules on arrays never touch the tape."""
    for sample in SAMPLES:
        out = here.run(sample.primitive, *sample.operands, **sample.params)
        for o in out if sample.primitive.multiple else [out]:
            assert not isinstance(o, Handle)
