"""`vmap` of every primitive in the table: as a loop over the examples, stacked.

Generated from the table by way of `samples.py`, as in `test_primitives.py`.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import wengert as torch
from grouped import by_primitive
from samples import Sample, samples_of, seeded, some_samples
from test_primitives import cotangents_like, evaluate, random_like
from wengert.core.primitive import TABLE, Primitive
from wengert.func import jvp, vjp, vmap
from wengert.interpreters.batching import SHIFTS

Array = np.ndarray
NEAR = {"rtol": 1e-13, "atol": 1e-13}

SAMPLES = some_samples()
SMOOTH = [s for s in SAMPLES if s.active]
with_sample, with_smooth = by_primitive(SAMPLES), by_primitive(SMOOTH)


# --- batches, and loops over them ---------------------------------------------------------------


def examples(x: Array, size: int, shift: int = 0) -> Array:
    """A batch of arrays like x, of its numbers in other places: inside every domain."""
    rows = [np.roll(x.reshape(-1), k + shift).reshape(x.shape) for k in range(size)]
    return np.stack(rows) if rows else np.zeros((0, *x.shape), x.dtype)


def subsets(n: int) -> Iterator[tuple[int, ...]]:
    for k in range(1, n + 1):
        yield from itertools.combinations(range(n), k)


def tensors(arrays: Sequence[Array]) -> list[Any]:
    return [torch.from_numpy(np.array(a)) for a in arrays]


def results(sample: Sample, found: Any) -> list[Array]:
    return [x.numpy() for x in (found if sample.primitive.multiple else [found])]


def looped(function: Callable[..., list[Array]], operands: Sequence[Array],
           batched: Sequence[int], size: int) -> list[Array]:
    """Each result of a function of arrays, stacked over the examples."""
    rows = [function(*(np.asarray(x[b]) if i in batched else x for i, x in enumerate(operands)))
            for b in range(size)]
    return [np.stack(column) for column in zip(*rows, strict=True)]


def check(found: Sequence[Array], expected: Sequence[Array], near: dict[str, float]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **near)


def check_batched(sample: Sample, p: Primitive, batched: Sequence[int], size: int, dim: int,
                  near: dict[str, float] = NEAR) -> None:
    """A primitive under vmap, against the loop; for no examples, against shape and dtype."""
    operands = [examples(x, size) if i in batched else x for i, x in enumerate(sample.operands)]
    laid = [np.moveaxis(x, 0, dim) if i in batched else x for i, x in enumerate(operands)]
    dims = tuple(dim if i in batched else None for i in range(len(operands)))
    found = results(sample, vmap(lambda *xs: p(*xs, **sample.params), in_dims=dims)(
        *tensors(laid)))

    def one(*xs: Array) -> list[Array]:
        return results(sample, p(*tensors(xs), **sample.params))

    if size:
        check(found, looped(one, operands, batched, size), near)
        return
    for a, b in zip(found, one(*sample.operands), strict=True):
        assert a.shape == (0, *b.shape) and a.dtype == b.dtype


# --- the tests ----------------------------------------------------------------------------------


def has_rule(p: Primitive) -> bool:
    """Whether a primitive is batched: by its own rule, its family's, or in smaller ones."""
    plain = all(name in SHIFTS for s in samples_of(p.name) for name in s.params)
    return bool(p.batch is not None or p.elementwise or plain or p.decompose is not None)


@pytest.mark.parametrize("name", TABLE)
def test_has_a_batching_rule(name: str) -> None:
    assert has_rule(TABLE[name]), f"{name} needs `batch`, or its parameters a line in SHIFTS"


def test_a_primitive_without_a_rule_is_noticed() -> None:
    """The check above does fail; and so does the call, by name."""
    bare = TABLE["repeat"].named("RepeatBackward0", batch=None)
    assert not has_rule(bare)
    with pytest.raises(NotImplementedError, match="repeat has no batching rule"):
        vmap(lambda x: bare(x, repeats=(2,)))(torch.ones(3, 2))


@with_sample
def test_every_subset_of_operands(sample: Sample) -> None:
    """Each non-empty set of operands batched, in front and at the end; 0, 1 and 3 examples."""
    for batched in subsets(len(sample.operands)):
        for size, dim in itertools.product((0, 1, 3), (0, -1)):
            check_batched(sample, sample.primitive, batched, size, dim)


KINDS: list[tuple[dict[Any, Any], float]] = [
    ({np.float64: np.float32, np.complex128: np.complex64}, 1e-5),
    ({np.float64: np.int64, np.complex128: np.int64}, 0),
    ({np.float64: np.bool_, np.complex128: np.bool_, np.int64: np.bool_}, 0)]


def recast(x: Array, kinds: dict[Any, Any]) -> Array:
    kind = kinds.get(x.dtype.type, x.dtype)
    if kind is np.bool_:
        return np.asarray(x.real > 0)
    if kind is np.int64:
        return np.asarray(np.round(np.nan_to_num(x.real, posinf=9, neginf=-9) * 4).astype(kind))
    return x.astype(kind)


def in_kind(sample: Sample, kinds: dict[Any, Any]) -> Sample:
    """The sample with operands of another dtype, its index operands as they are."""
    indices = {"index": 1, "index_put": 2, "gather": 1, "scatter_add": 1, "pick": 1,
               "take": 1, "untake": 1, "ungather": 1, "unpick": 1,
               "nll_loss": 1, "cross_entropy": 1, "nll_loss_map": 1, "cross_entropy_map": 2}
    fixed = indices.get(sample.name, len(sample.operands))
    return dataclasses.replace(sample, operands=tuple(
        x if i >= fixed and x.dtype.kind == "i" else recast(x, kinds)
        for i, x in enumerate(sample.operands)), reference=None)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # NaN made an integer
@with_sample
def test_other_dtypes(sample: Sample) -> None:
    """float32, complex64, integers and bools; where these are refused, they are in vmap, too."""
    for kinds, near in KINDS:
        other = in_kind(sample, kinds)
        every = range(len(other.operands))
        try:
            sample.primitive(*tensors(other.operands), **sample.params)
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            with pytest.raises(type(error)):
                check_batched(other, other.primitive, every, 3, 0)
        else:
            check_batched(other, other.primitive, every, 3, 0, {"rtol": near, "atol": near})


def twins() -> dict[str, Primitive]:
    """The named forms of primitives that the package's modules keep."""
    found = {}
    for room in ("primitives", "ops"):
        package = importlib.import_module(f"wengert.{room}")
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(info.name)).items():
                if isinstance(value, Primitive) and TABLE.get(value.name) is not value:
                    found[f"{info.name}.{name}"] = value
    return found


TWINS = twins()


@pytest.mark.parametrize("name", TWINS)
def test_named_twins(name: str) -> None:
    """A primitive under another node's name is batched as the one in the table is."""
    for sample in samples_of(TWINS[name].name):
        check_batched(sample, TWINS[name], range(len(sample.operands)), 3, 0)


def test_there_are_twins() -> None:
    assert len(TWINS) > 10


@with_sample
def test_nested(sample: Sample) -> None:
    """Two batches: of all operands, and each operand in one of the two."""
    n, p = len(sample.operands), sample.primitive

    def one(*xs: Array) -> list[Array]:
        return results(sample, p(*tensors(xs), **sample.params))

    for outer, inner in {(tuple(range(n)), tuple(range(n))),
                         (tuple(range(0, n, 2)), tuple(range(1, n, 2)) or (0,))}:
        operands = []
        for i, x in enumerate(sample.operands):
            x = examples(x, 3) if i in inner else x
            operands.append(examples(x, 2, 1) if i in outer else x)
        dims_outer, dims_inner = (tuple(0 if i in some else None for i in range(n))
                                  for some in (outer, inner))
        both = vmap(vmap(lambda *xs: p(*xs, **sample.params), in_dims=dims_inner),
                    in_dims=dims_outer)
        expected = looped(lambda *xs, inner=inner: looped(one, xs, inner, 3), operands, outer, 2)
        check(results(sample, both(*tensors(operands))), expected, NEAR)


# --- with derivatives ---------------------------------------------------------------------------


class Case:
    """A sample as a function of its active operands, each with a batch of two examples."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        rng = seeded(f"{sample} batches")
        self.xs = [examples(sample.operands[i], 2) for i in sample.active]
        self.vs = [random_like(rng, x) for x in self.xs]
        outs = [evaluate(sample.primitive, self.operands(b), sample.params) for b in range(2)]
        self.gs = cotangents_like([np.stack(o) for o in zip(*outs, strict=True)], str(sample))

    def operands(self, b: int) -> list[Array]:
        found = list(self.sample.operands)
        for i, x in zip(self.sample.active, self.xs, strict=True):
            found[i] = np.asarray(x[b])
        return found

    def __call__(self, *active: Any) -> Any:
        operands = tensors(self.sample.operands)
        for i, x in zip(self.sample.active, active, strict=True):
            operands[i] = x
        out = self.sample.primitive(*operands, **self.sample.params)
        return tuple(out) if self.sample.primitive.multiple else out

    def cotangent(self, gs: Sequence[Any]) -> Any:
        return tuple(gs) if self.sample.primitive.multiple else gs[0]

    def each(self, function: Callable[..., Sequence[Any]], *batches: Sequence[Array],
             ) -> list[Array]:
        """The results of a function of one example's tensors, stacked."""
        flat = [x for batch in batches for x in batch]

        def one(*xs: Array) -> list[Array]:
            return [y.numpy() for y in function(*tensors(xs))]

        return looped(one, flat, range(len(flat)), 2)


@with_smooth
def test_vjp_and_vmap(sample: Sample) -> None:
    """Rules run on batches as on examples, and batching rules are differentiated."""
    case = Case(sample)
    n = len(case.xs)

    def pull(*given: Any) -> Any:
        return vjp(case, *given[:n])[1](case.cotangent(given[n:]))

    expected = case.each(pull, case.xs, case.gs)
    found = vmap(pull)(*tensors(case.xs), *tensors(case.gs))
    check([g.numpy() for g in found], expected, NEAR)
    _, back = vjp(vmap(case), *tensors(case.xs))
    found = back(case.cotangent(tensors(case.gs)))
    check([g.numpy() for g in found], expected, NEAR)


@with_smooth
def test_jvp_and_vmap(sample: Sample) -> None:
    """Tangents through batching rules, and batches through tangent rules."""
    case = Case(sample)
    n = len(case.xs)

    def push(*given: Any) -> tuple[Any, ...]:
        found = jvp(case, given[:n], given[n:])[1]
        return found if sample.primitive.multiple else (found,)

    expected = case.each(push, case.xs, case.vs)
    given = (*tensors(case.xs), *tensors(case.vs))
    check([t.numpy() for t in vmap(push)(*given)], expected, NEAR)
    _, found = jvp(vmap(case), given[:n], given[n:])
    check([t.numpy() for t in (found if sample.primitive.multiple else [found])], expected, NEAR)


@pytest.mark.parametrize("shapes", list(itertools.product(((), (3,), (2, 1), (2, 3)), repeat=2)),
                         ids=str)
@pytest.mark.parametrize("batched", list(subsets(2)), ids=str)
def test_operands_of_different_ranks(shapes: Any, batched: tuple[int, ...]) -> None:
    """Examples broadcast against each other as alone, whatever their ranks."""
    rng = seeded(f"{shapes}")
    operands = [rng.standard_normal((4, *s) if i in batched else s) for i, s in enumerate(shapes)]
    dims = tuple(0 if i in batched else None for i in range(2))
    for function in (lambda x, y: x * y, lambda x, y: torch.where(x > y, x, y),
                     lambda x, y: x - y.exp(), torch.maximum, lambda x, y: 2 ** (x + y)):
        found = vmap(function, in_dims=dims)(*tensors(operands))
        expected = looped(lambda *xs, f=function: [f(*tensors(xs)).numpy()], operands, batched, 4)
        check([found.numpy()], expected, NEAR)
