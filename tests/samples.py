"""Sample applications of every primitive in the table: what the generated tests run on.

Elementwise primitives are sampled generically: from the domain that `DOMAINS` gives (or from
values away from every integer and half, where kinks like to sit), in several shapes, in complex
numbers too unless `REAL_ONLY` says otherwise. A new one needs a line here only if its domain is
special. Every other primitive has its applications in `OTHERS`, with what NumPy says of them.
A family may have a file of its own, `samples_<family>.py`, with a list `SAMPLES`; and with
`DOMAINS`, `PARAMS`, `FLAT` and `REAL_ONLY` as here.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special

import wengert.primitives
from wengert.core import dtypes
from wengert.core.aval import aval_of
from wengert.core.primitive import TABLE, Primitive
from wengert.interpreters.views import Step
from wengert.primitives import layout

for _room in pkgutil.walk_packages(wengert.primitives.__path__, "wengert.primitives."):
    importlib.import_module(_room.name)  # so that all primitives are in the table

Interval = tuple[float, float]
Array = np.ndarray


@dataclass(frozen=True)
class Sample:
    """One application of a primitive; `reference` is another way from operands to its value."""

    name: str
    operands: tuple[Array, ...]
    params: dict[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None

    @property
    def primitive(self) -> Primitive:
        return TABLE[self.name]

    @property
    def active(self) -> tuple[int, ...]:
        """The operands that are differentiated: those of a rule and a dtype that has slopes."""
        rules = self.primitive.vjp
        return tuple(i for i, x in enumerate(self.operands)
                     if x.dtype.kind in "fc" and rules is not None
                     and (not isinstance(rules, tuple) or rules[i] is not None))

    @property
    def is_complex(self) -> bool:
        return any(x.dtype.kind == "c" for x in self.operands)

    def __str__(self) -> str:
        shapes = "x".join(f"{x.dtype.char}{list(x.shape)}".replace(" ", "") for x in self.operands)
        params = ",".join(f"{k}={v}" for k, v in self.params.items()).replace(" ", "")
        return f"{self.name}-{shapes}-{params}" if len(params) < 40 else f"{self.name}-{shapes}"


# --- elementwise: domains ---------------------------------------------------------------------

STEPS: tuple[Interval, ...] = tuple(
    span for lo in (0.1, 0.6, 1.1, 1.6) for span in ((lo, lo + 0.3), (-lo - 0.3, -lo)))
"""Between -1.9 and 1.9, a tenth away from each multiple of a half."""
POSITIVE: tuple[Interval, ...] = ((0.3, 3.0),)
UNIT: tuple[Interval, ...] = ((-0.9, -0.1), (0.1, 0.9))
HIGHS, LOWS = ((-0.9, -0.6), (0.1, 0.4)), ((-0.4, -0.1), (0.6, 0.9))
BOOL, INT = "bool", "int"
Domain = tuple[Interval, ...] | str

DOMAINS: dict[str, tuple[Domain, ...]] = {
    "log": (POSITIVE,), "log2": (POSITIVE,), "log10": (POSITIVE,), "log1p": (((-0.7, 3.0),),),
    "sqrt": (POSITIVE,), "rsqrt": (POSITIVE,), "acosh": (((1.2, 4.0),),),
    "asin": (UNIT,), "acos": (UNIT,), "atanh": (UNIT,), "pow": (POSITIVE, STEPS),
    "tan": (((-1.2, 1.2),),), "scalar_pow": (POSITIVE,),
    "remainder": (((5.2, 5.6), (-5.6, -5.2)), ((1.5, 1.6),)),  # quotients stay off integers
    "fmod": (((5.2, 5.6), (-5.6, -5.2)), ((1.5, 1.6), (-1.6, -1.5))),
    "floor_quotient": (((5.2, 5.6), (-5.6, -5.2)), ((1.5, 1.6),)),
    "trunc_quotient": (((5.2, 5.6), (-5.6, -5.2)), ((1.5, 1.6),)),
    "round_decimals": (((0.11, 0.14), (-1.34, -1.31)),), "maximum": (HIGHS, LOWS),
    "minimum": (HIGHS, LOWS), "where": (BOOL, STEPS, STEPS),
    "masked_fill": (STEPS, BOOL, STEPS),
    "clamp_between": (STEPS, ((-1.04, -0.96), (-0.04, 0.04)), ((0.46, 0.54),)),
    "logical_and": (BOOL, BOOL), "logical_or": (BOOL, BOOL), "logical_xor": (BOOL, BOOL),
    "logical_not": (BOOL,), "bitwise_and": (INT, INT), "bitwise_or": (INT, INT),
    "bitwise_xor": (INT, INT), "bitwise_not": (INT,), "bitwise_left_shift": (INT, INT),
    "bitwise_right_shift": (INT, INT),
}

PARAMS: dict[str, list[dict[str, Any]]] = {
    "scalar_pow": [{"exponent": e} for e in (3.0, 2.0, 1.0, 0.0, 0.5, -1.7)],
    "softplus": [{"beta": 1.0, "threshold": 20.0}, {"beta": 3.0, "threshold": 1.5}],
    "clamp": [{"low": -0.5, "high": 1.0}, {"low": None, "high": 0.5}, {"low": -1.5, "high": None}],
    "round_decimals": [{"decimals": 1}],
}

REAL_ONLY = {"gauss", "npdf", "heaviside", "logaddexp", "logical_and", "logical_or",
             "logical_xor", "logical_not"}
"""What means nothing in complex numbers, beside what refuses them by itself."""


FLAT: dict[str, set[int]] = {
    **{name: {0} for name in (
        "zero", "sign", "floor", "ceil", "trunc", "round", "round_decimals")},
    "floor_quotient": {0, 1}, "trunc_quotient": {0, 1}, "copy": {0},
}
"""The operands whose gradient is zero wherever it exists; all others must show one that is not."""

SHAPES: dict[int, list[tuple[tuple[int, ...], ...]]] = {
    1: [((2, 3),), ((),), ((0, 2),)],
    2: [((2, 3), (2, 3)), ((2, 1), (1, 3)), ((), (3,)), ((3,), ()), ((), ()), ((0, 3), (1, 3))],
    3: [((3,), (3,), (3,)), ((2, 1), (3,), ()), ((1,), (2, 1), (1, 3)), ((), (), ())],
    4: [((3,), (3,), (3,), (3,)), ((2, 3), (3,), (2, 1), ()), ((), (), (), ())],
}


def values(rng: np.random.Generator, domain: Domain, shape: tuple[int, ...],
           dtype: Any = np.float64) -> Array:
    """Random numbers from a domain; complex ones have their imaginary part from it, too."""
    if domain == BOOL:
        return np.asarray(rng.integers(0, 2, shape) > 0)
    if domain == INT:
        return np.asarray(rng.integers(0, 9, shape))
    low, high = np.array(domain, np.float64).T
    which = rng.integers(0, len(low), shape)
    out = low[which] + rng.random(shape) * (high - low)[which]
    if np.dtype(dtype).kind == "c":
        out = out + 1j * values(rng, domain, shape)
    return np.asarray(out, dtype)


def arity(primitive: Primitive) -> int:
    """How many operands an elementwise primitive takes."""
    if primitive.ufunc is not None:
        return primitive.ufunc.nin
    if isinstance(primitive.vjp, tuple):
        return len(primitive.vjp)
    params = PARAMS.get(primitive.name, [{}])[0]
    return len(inspect.signature(primitive.evaluate).parameters) - len(params)


def seeded(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def domains(name: str) -> tuple[Domain, ...]:
    return DOMAINS.get(name) or (STEPS,) * arity(TABLE[name])


def takes_complex(name: str) -> bool:
    """Whether complex operands have samples: not of those that a primitive refuses itself."""
    avals = [aval_of(np.zeros(1, complex))] * arity(TABLE[name])
    try:
        TABLE[name].abstract(*avals, **PARAMS.get(name, [{}])[0])
    except (NotImplementedError, RuntimeError):
        return False
    return name not in REAL_ONLY


def elementwise_samples(name: str) -> Iterator[Sample]:
    """A primitive's samples: each of its parameters, each shape; complex in the first shapes."""
    rng, over = seeded(name), domains(name)
    for params in PARAMS.get(name, [{}]):
        for shapes in SHAPES[len(over)]:
            pairs = list(zip(over, shapes, strict=True))
            yield Sample(name, tuple(values(rng, d, s) for d, s in pairs), params)
            if takes_complex(name) and shapes in SHAPES[len(over)][:2]:
                yield Sample(name, tuple(values(rng, d, s, complex) for d, s in pairs), params)


# --- the others: one line each ----------------------------------------------------------------

Maker = Callable[..., Array]
_rng = np.random.default_rng(5)


def r(*shape: int) -> Array:
    """Real numbers that stay apart, so that no two tie or change places under a small step."""
    n = int(np.prod(shape))
    return ((_rng.permutation(n) + 0.4 + 0.2 * _rng.random(n)) / max(n, 1) * 3 - 1.5).reshape(shape)


def c(*shape: int) -> Array:
    return np.asarray(r(*shape) + 1j * r(*shape))


def signs(*shape: int) -> Array:
    return np.asarray(r(*shape) > 0)


def ints(*data: Any) -> Array:
    return np.array(data, np.int64)


def S(name: str, *operands: Array, ref: Callable[..., Any] | None = None,
      **params: Any) -> Sample:
    """A sample whose parameters are given by name."""
    return Sample(name, operands, params, ref)


def _index(place: Any) -> Callable[[Array], Array]:
    return lambda x: x[place]


def _placed(shape: tuple[int, ...], place: Any) -> Callable[[Array], Array]:
    def reference(x: Array) -> Array:
        out = np.zeros(shape, x.dtype)
        out[place] = x
        return out
    return reference


def _put(place: Any, accumulate: bool) -> Callable[..., Array]:
    """One element after the other, the last write to a place being what stays."""
    def reference(x: Array, y: Array, *_: Array) -> Array:
        out, where = x.copy(), np.arange(x.size).reshape(x.shape)[place]
        for at, v in zip(where.ravel(), np.broadcast_to(y, where.shape).ravel(), strict=True):
            out.flat[at] = out.flat[at] + v if accumulate else v
        return out
    return reference


def _scattered(x: Array, y: Array, z: Array, dim: int) -> Array:
    out = x.copy()
    for at in np.ndindex(y.shape):
        out[(*at[:dim], y[at], *at[dim + 1:])] += z[at]
    return out


def _gathered(x: Array, y: Array, dim: int) -> Array:
    return np.array([x[(*at[:dim], y[at], *at[dim + 1:])] for at in np.ndindex(y.shape)],
                    x.dtype).reshape(y.shape)


def _norm(p: float) -> Callable[[Array], Any]:
    return lambda x: np.linalg.norm(x.ravel(), p)


ALL, ROW = (None, None, None), ((1, 2, 1), Ellipsis)
STEP = Step(layout.permute, {"dims": (1, 0)}, None)
PART = Step(layout.index_view, {"index": ROW}, None)
SPLIT = Step(layout.split, {"sizes": (1, 2), "dim": 0}, 1)
LAYOUT = [
    *(S("cast", x, dtype=d, ref=lambda x, d=d: x.astype(d.numpy))
      for x in (r(2, 3), c(3)) for d in (dtypes.float64, dtypes.complex128)
      if d.is_complex or x.dtype.kind == "f"),
    S("cast", c(3), dtype=dtypes.float64, ref=np.real),
    *(S(name, x, ref=ref) for name, ref in (
        ("conj", np.conj), ("real", np.real), ("imag", np.imag), ("clone", np.copy),
        ("alias", np.copy), ("contiguous", np.copy)) for x in (c(2, 3), c(0)) ),
    *(S(name, r(3, 2).T, ref=np.copy) for name in ("conj", "clone", "alias", "contiguous")),
    *(S("reshape", x, shape=(3, 2), ref=lambda x: np.reshape(x, (3, 2)))
      for x in (r(6), c(2, 3), r(3, 2).T)),
    *(S("expand", x, shape=(2, 3), ref=lambda x: np.broadcast_to(x, (2, 3)))
      for x in (r(), r(3), r(2, 1), c(1, 3), r(2, 3))),
    S("expand", r(1, 2), shape=(0, 2), ref=lambda x: np.empty((0, 2))),
    S("sum_to", r(2, 3), shape=(), ref=np.sum), S("sum_to", c(2, 3), shape=(3,), ref=lambda x: x[0]
                                                  + x[1]),
    S("sum_to", r(4, 2, 3), shape=(2, 1), ref=lambda x: x.sum(0).sum(1, keepdims=True)),
    S("sum_to", r(0, 3), shape=(3,), ref=lambda x: np.zeros(3)),
    S("permute", c(2, 3, 4), dims=(2, 0, 1), ref=lambda x: np.einsum("abc->cab", x)),
    S("index_view", r(3, 4), index=(1, (3, None, -2), None, ...),
      ref=_index((1, slice(3, None, -2), None, ...))),
    S("index_view", c(3, 4), index=(..., (0, 0, 1)), ref=lambda x: x[:, :0]),
    S("unindex", r(2), shape=(3, 4), index=(1, (3, None, -2), ...),
      ref=_placed((3, 4), (1, slice(3, None, -2)))),
    S("unindex", c(3, 1), shape=(3, 4), index=(ALL, (2, 3, 1), ...),
      ref=_placed((3, 4), (slice(None), slice(2, 3)))),
    S("diagonal", r(3, 4), offset=1, dim1=0, dim2=1, ref=lambda x: x[[0, 1, 2], [1, 2, 3]]),
    S("diagonal", c(3, 2, 3), offset=-1, dim1=2, dim2=0,
      ref=lambda x: np.stack([x[0, :, 1], x[1, :, 2]], -1)),
    S("undiagonal", r(3), shape=(3, 4), offset=1, dim1=0, dim2=1,
      ref=_placed((3, 4), ([0, 1, 2], [1, 2, 3]))),
    S("undiagonal", c(2, 3), shape=(3, 2, 3), offset=0, dim1=0, dim2=2,
      ref=lambda x: np.stack([np.diag(row) for row in x], 1)),
    S("flip", c(2, 3), dims=(0, 1), ref=_index((slice(None, None, -1),) * 2)),
    S("roll", r(2, 3), shifts=(1, -2), dims=(0, 1), ref=_index(([[1], [0]], [2, 0, 1]))),
    S("tril", r(3, 3), diagonal=-1, ref=lambda x: np.where(np.tri(3, 3, -1, bool), x, 0)),
    S("triu", c(2, 3, 3), diagonal=1, ref=lambda x: np.where(np.tri(3, 3, 0, bool), 0, x)),
    S("repeat", c(2, 3), repeats=(2, 1, 3), ref=lambda x: np.stack([np.hstack([x] * 3)] * 2)),
    S("repeat", r(2), repeats=(0,), ref=lambda x: x[:0]),
    S("cat", r(2, 3), r(0, 3), r(1, 3), dim=0, ref=lambda *xs: np.vstack(xs)),
    S("cat", c(2, 1), c(2, 2), dim=1, ref=lambda *xs: np.hstack(xs)),
    S("stack", r(2, 3), r(2, 3), dim=1, ref=lambda x, y: np.array([x, y]).swapaxes(0, 1)),
    S("stack", c(), c(), c(), dim=0, ref=lambda *xs: np.array(xs)),
    S("split", c(3, 4), sizes=(1, 0, 3), dim=1, ref=lambda x: np.split(x, [1, 1], 1)),
    S("unbind", r(2, 3), dim=1, ref=lambda x: list(x.T)),
    S("take_view", c(2, 3), chain=(STEP, PART), ref=lambda x: x[:, 1:2].T),
    S("take_view", r(3, 2), chain=(SPLIT,), ref=lambda x: x[1:]),
    S("write_view", c(2, 3), c(1, 2), chain=(STEP, PART),
      ref=lambda x, y: np.stack([x[:, 0], y[0], x[:, 2]], 1)),
    S("copy", r(2, 3), r(3), ref=lambda x, y: np.stack([y, y])),
]
INDEXING = [
    *(S("index", x, i, pattern=(0,), ref=lambda x, i: np.take(x, i, 0))
      for x in (r(4, 2), c(4)) for i in (ints(1, 3, 1), ints([0], [-1]), ints()[:0])),
    S("index", r(3, 2, 4), ints(0, 2), ints(3, 3), pattern=(0, ALL, 1),
      ref=lambda x, i, j: np.array([x[0, :, 3], x[2, :, 3]])),
    S("index", r(3, 4), ints(0, 2, 0), pattern=((0, 3, 2), None, 0),
      ref=lambda x, i: x[::2][:, None][..., [0, 2, 0]]),
    *(S("index_put", x, y, i, pattern=(0,), accumulate=a, ref=_put(i, a))
      for x, y in ((r(4, 2), r(2)), (c(4), c(3)))
      for i, a in ((ints(1, 3, 0), False), (ints(1, 3, 1), True))),
    S("index_put", r(3, 4), r(3, 1), ints(0, 2), pattern=(ALL, 0), accumulate=False,
      ref=_put((slice(None), [0, 2]), False)),
    *(S("gather", x, ints([0, 2], [1, 1]), dim=1, ref=lambda x, y: _gathered(x, y, 1))
      for x in (r(3, 4), c(2, 3))),
    *(S("scatter_add", x, ints([0, 2, 0], [1, 1, 1]), z, dim=0,
        ref=lambda x, y, z: _scattered(x, y, z, 0))
      for x, z in ((r(3, 4), r(2, 3)), (c(3, 3), c(2, 3)), (r(3, 3), r(3, 4)))),
    S("pick", r(3, 4), ints(0, 2, 1, 1), dim=0, ref=lambda x, y: x[y, np.arange(4)]),
    S("pick", c(2, 3), ints([2], [0]), dim=1, ref=lambda x, y: x[[[0], [1]], y]),
    *(S("argsort", x, dim=d, descending=False, stable=True, ref=lambda x, d=d: np.argsort(x, d))
      for x in (r(3, 4),) for d in (0, 1)),
    S("argsort", np.array([2.0, 1.0, 2.0, np.nan]), dim=0, descending=True, stable=True,
      ref=lambda x: ints(3, 0, 2, 1)),
]
PRODUCTS = [
    *(s for k in (r, c) for s in (
        S("dot", k(3), k(3), ref=lambda x, y: sum(x * y)),
        S("mv", k(2, 3), k(3), ref=lambda x, y: (x * y).sum(1)),
        S("mm", k(2, 3), k(3, 2), ref=lambda x, y: (x[:, :, None] * y).sum(1)),
        S("bmm", k(2, 2, 3), k(2, 3, 1), ref=lambda x, y: np.einsum("bij,bjk->bik", x, y)),
        S("einsum", k(2, 3), k(3, 2), terms=("ij", "jk"), result="ki",
          ref=lambda x, y: np.dot(x, y).T),
        S("einsum", k(2, 3), terms=("ij",), result="j", ref=lambda x: x.sum(0)),
        S("einsum", k(2, 3), terms=("ij",), result="", ref=np.sum),
        S("einsum", k(2, 1), k(1, 3), k(3), terms=("ij", "ij", "j"), result="i",
          ref=lambda x, y, z: (x * y * z).sum(1)),
        S("einsum", k(2), k(3), terms=("i", "j"), result="ji",
          ref=lambda x, y: y[:, None] * x))),
    S("dot", r(0), r(0), ref=lambda x, y: 0.0), S("mm", r(2, 0), r(0, 3),
                                                 ref=lambda x, y: np.zeros((2, 3))),
]


def _reductions(name: str, ref: Callable[..., Any], *, kinds: Sequence[Maker] = (r, c),
                empty: bool = False, **params: Any) -> Iterator[Sample]:
    """A reduction over one, two and all dimensions, kept and not."""
    for k in kinds:
        for dims, keepdim in (((0,), False), ((1,), True), ((0, 2), False), ((0, 1, 2), False)):
            yield Sample(name, (k(2, 3, 2),), {"dims": dims, "keepdim": keepdim, **params},
                         lambda x, d=dims, k=keepdim: ref(x, axis=d, keepdims=k))
        yield Sample(name, (k(),), {"dims": (), "keepdim": False, **params},
                     lambda x: ref(x, axis=(), keepdims=False))
    if empty:
        yield S(name, r(0, 2), dims=(0,), keepdim=False, **params)


def _along(name: str, ref: Callable[[Array, int], Any], *, kinds: Sequence[Maker] = (r,),
           ) -> Iterator[Sample]:
    """What maps along one dimension."""
    for k in kinds:
        for dim in (0, 1):
            yield Sample(name, (k(3, 2),), {"dim": dim}, lambda x, d=dim: ref(x, d))
        yield Sample(name, (k(2, 0),), {"dim": 1}, lambda x: x)


def _one_dim(name: str, ref: Callable[..., Any], *, kinds: Sequence[Maker] = (r,)
             ) -> Iterator[Sample]:
    for k in kinds:
        for dim, keepdim in ((0, False), (1, True)):
            yield Sample(name, (k(3, 2),), {"dims": (dim,), "keepdim": keepdim},
                         lambda x, d=dim, k=keepdim: ref(x, axis=d, keepdims=k))


def _spread_reference(root: bool, correction: float) -> Callable[..., Any]:
    find = np.std if root else np.var
    return lambda x, axis, keepdims: find(x, axis=axis, keepdims=keepdims, ddof=correction)


def _spread(name: str, root: bool) -> Iterator[Sample]:
    for correction in (0.0, 1.0, 0.5):
        for sample in _reductions(name, _spread_reference(root, correction),
                                  correction=correction):
            if sample.operands[0].ndim:
                yield sample


def _norms() -> Iterator[Sample]:
    for p in (2.0, 1.0, 3.0, 1.5, 0.5, np.inf, -np.inf, 0.0, -2.0):
        for k in (r, c):
            yield S("norm", k(2, 3), p=p, dims=(0, 1), keepdim=False, ref=_norm(p))
        yield S("norm", k(2, 3), p=p, dims=(1,), keepdim=True,
                ref=lambda x, p=p: np.linalg.norm(x, p, 1, keepdims=True))


def _others(x: Array, dim: int) -> Array:
    return np.stack([np.delete(x, i, dim).prod(dim) for i in range(x.shape[dim])], dim)


ZERO_INSIDE = np.array([[0.5, 0.0, -1.5], [0.0, 0.0, 2.0], [1.5, 0.3, 0.7]])
HUGE = np.array([[-1e3, 2e3, 1.0], [-1e3, -2e3, -9e2]])  # exp(x) over- and underflows
REDUCTIONS = [
    *_reductions("sum", np.sum, empty=True), *_reductions("mean", np.mean),
    *_reductions("amax", np.amax, kinds=(r,)), *_reductions("amin", np.amin, kinds=(r,)),
    *_one_dim("prod", np.prod, kinds=(r, c)),
    S("prod", ZERO_INSIDE, dims=(1,), keepdim=False, ref=lambda x: np.prod(x, 1)),
    S("product_of_others", ZERO_INSIDE, dim=1, ref=lambda x: _others(x, 1)),
    S("product_of_others", c(3, 2), dim=0, ref=lambda x: _others(x, 0)),
    S("product_of_others", r(2, 1), dim=1, ref=lambda x: _others(x, 1)),
    *_one_dim("argmax", np.argmax), *_one_dim("argmin", np.argmin),
    *_reductions("all", np.all, kinds=(signs,)), *_reductions("any", np.any, kinds=(signs,)),
    *_spread("var", False), *_spread("std", True), *_norms(),
    *_reductions("logsumexp", lambda x, **how: np.log(np.sum(np.exp(x), **how)), kinds=(r,)),
    S("logsumexp", HUGE, dims=(1,), keepdim=False, ref=lambda x: np.max(x, 1)),
    *_along("softmax", scipy.special.softmax), *_along("log_softmax", scipy.special.log_softmax),
    *_along("cumsum", np.cumsum, kinds=(r, c)),
]



def _normal(x: Array, y: Array, z: Array) -> Array:
    dims = tuple(range(x.ndim - y.ndim, x.ndim))
    centred = x - x.mean(dims, keepdims=True)
    return centred / np.sqrt(x.var(dims, keepdims=True) + 0.25) * y + z


def _labelled(reduction: str, ignore: int, scores: Callable[[Array], Array]
              ) -> Callable[..., Array]:
    """A loss by its definition, row after row."""
    def reference(x: Array, y: Array, z: Array) -> Array:
        losses = [0.0 if t == ignore else -z[t] * row[t]
                  for row, t in zip(scores(x), y, strict=True)]
        counted = sum(z[t] for t in y if t != ignore)
        return np.asarray({"none": losses, "sum": sum(losses), "mean": sum(losses) / counted}[
            reduction])
    return reference


def _losses() -> Iterator[Sample]:
    for reduction in ("none", "sum", "mean"):
        how = {"ignore": 1, "reduction": reduction}
        for name, scores in (("nll_loss", lambda x: x),
                             ("cross_entropy", lambda x: scipy.special.log_softmax(x, 1))):
            yield S(name, r(4, 3), ints(2, 1, 0, 2), np.array([0.5, 1.5, 2.0]),
                    ref=_labelled(reduction, 1, scores), **how)


def _standardized(x: Array, dims: tuple[int, ...], eps: float) -> Array:
    return (x - x.mean(dims, keepdims=True)) / np.sqrt(x.var(dims, keepdims=True) + eps)


def _unit_map(v: Array, x: Array) -> Array:
    """What of v is across rows x, by their lengths."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    along = (v * x).sum(1, keepdims=True) / length
    return (v - x / length * along) / length


def _standardized_map(v: Array, x: Array, dims: tuple[int, ...], eps: float) -> Array:
    """Each row of v times the matrix of the function's partial derivatives."""
    x, v = x.reshape(x.shape[0], -1), v.reshape(x.shape[0], -1)
    result = []
    for row, tangent in zip(x, v, strict=True):
        n, scale = row.size, 1 / np.sqrt(row.var() + eps)
        scaled = (row - row.mean()) * scale
        slopes = (np.eye(n) - 1 / n - np.outer(scaled, scaled) / n) * scale
        result.append(slopes @ tangent)
    return np.array(result)


def _loss_maps() -> Iterator[Sample]:
    """What losses make of cotangents: by what each does to a matrix of ones and zeros."""
    labels, weights = ints(2, 1, 0, 2), np.array([0.5, 1.5, 2.0])
    shares = np.array([2.0, 0, 0.5, 2.0])
    right = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]])
    for reduction, scale in (("none", 1.0), ("sum", 1.0), ("mean", 1 / 4.5)):
        how = {"ignore": 1, "reduction": reduction}
        v = r(4) if reduction == "none" else r()

        def rows(v: Array, scale: float = scale) -> Array:
            return np.asarray(v * shares * scale)[:, None]

        yield S("nll_loss_map", v, labels, weights, classes=3, **how,
                ref=lambda v, y, z, rows=rows: -rows(v) * right)
        yield S("cross_entropy_map", v, r(4, 3), labels, weights, **how,
                ref=lambda v, x, y, z, rows=rows: rows(v) * (scipy.special.softmax(x, 1) - right))


NETWORK = [
    *_loss_maps(),
    *(S("channel_affine", r(2, 3, *rest), r(3), r(3), ref=lambda x, y, z: np.einsum(
        "nc...,c->nc...", x, y) + z.reshape(3, *[1] * (x.ndim - 2)))
      for rest in ((), (2,), (2, 2))),
    S("standardized", r(4, 3), dims=(1,), eps=0.25,
      ref=lambda x: _standardized(x, (1,), 0.25)),
    S("standardized", r(2, 3, 2), dims=(1, 2), eps=0.25,
      ref=lambda x: _standardized(x, (1, 2), 0.25)),
    S("unit", r(4, 3), dims=(1,), eps=1e-8,
      ref=lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)),
    S("unit", r(2, 3, 2), dims=(0,), eps=100.0, ref=lambda x: x / 100),
    S("unit_map", r(4, 3), r(4, 3), dims=(1,), eps=1e-8, ref=_unit_map),
    S("unit_map", r(2, 3, 2), r(2, 3, 2), dims=(0,), eps=100.0, ref=lambda v, x: v / 100),
    S("standardized_map", r(4, 3), r(4, 3), dims=(1,), eps=0.25,
      ref=lambda v, x: _standardized_map(v, x, (1,), 0.25)),
    S("layer_norm", r(2, 3, 4), r(4), r(4), eps=0.25, ref=_normal),
    S("layer_norm", r(2, 3, 2), r(3, 2), r(3, 2), eps=0.25, ref=_normal),
    S("layer_norm", r(3), r(3), r(3), eps=0.25, ref=_normal),
    *_losses(),
]

OTHERS: dict[str, list[Sample]] = {}


def _enter(samples: Iterable[Sample]) -> None:
    for sample in samples:
        OTHERS.setdefault(sample.name, []).append(sample)


_enter((*LAYOUT, *INDEXING, *PRODUCTS, *REDUCTIONS, *NETWORK))
for _path in sorted(Path(__file__).parent.glob("samples_*.py")):
    _rng = seeded(_path.stem)  # so that a family's numbers are its own matter
    _family = importlib.import_module(_path.stem)
    _enter(_family.SAMPLES)
    DOMAINS.update(getattr(_family, "DOMAINS", {}))
    PARAMS.update(getattr(_family, "PARAMS", {}))
    FLAT.update(getattr(_family, "FLAT", {}))
    REAL_ONLY |= getattr(_family, "REAL_ONLY", set())


@functools.cache
def samples_of(name: str) -> list[Sample]:
    """The samples of a primitive; none if it has been forgotten."""
    return list(elementwise_samples(name)) if TABLE[name].elementwise else OTHERS.get(name, [])


def every_sample() -> list[Sample]:
    return [sample for name in TABLE for sample in samples_of(name)]


def some_samples(most: int = 4) -> list[Sample]:
    """A few samples of each primitive, from all over its list: for tests that take each through
    several modes."""
    return [sample for name in TABLE
            for sample in samples_of(name)[::max(1, -(-len(samples_of(name)) // most))]]
