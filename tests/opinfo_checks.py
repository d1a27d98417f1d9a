"""The checks of an operation against PyTorch: each goes over samples and tells differences."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import wengert
from opinfo_case import (
    Case,
    Found,
    Raised,
    attempt,
    both,
    compared,
    leaves,
    randoms,
    result,
    tidy,
)
from opinfo_layouts import laid_out
from opinfo_samples import (
    COMPLEX,
    FLOATS,
    Array,
    Lacking,
    Operand,
    Sample,
    Torch,
    Wengert,
    described,
    near,
    seed,
    taken,
)

Check = Callable[["Case"], Iterator[Found]]
CHECKS: dict[str, Check] = {}


def check(fn: Check) -> Check:
    CHECKS[fn.__name__.removeprefix("check_")] = fn
    return fn


# --- values ----------------------------------------------------------------------------------


@check
def check_value(case: Case) -> Iterator[Found]:
    """Numbers, dtype, shape, structure, names and exceptions, in every dtype."""
    for kind in case.kinds():
        if getattr(wengert, kind, None) is None:
            yield Found(f"[{kind}]", [f"missing dtype value[{kind}]"])
            continue
        limit = 1000 if kind in {"float32", "float64"} else 20
        for _, sample in case.samples([kind], limit):
            yield both(case, kind, sample)


SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, 0.5, 1e30, -1e30, 2.0])


@check
def check_extremal(case: Case) -> Iterator[Found]:
    """NaN, infinities and zeros in the first operand of elementwise operations and reductions."""
    if type(case.op).__name__ not in {"UnaryUfuncInfo", "BinaryUfuncInfo", "ReductionOpInfo"}:
        return
    for kind, sample in case.samples(case.kinds(among={"float32", "float64"}), 8):
        first = next((o for o in sample.operands if o.inexact), None)
        if first is not None:
            yield both(case, kind, sample.altered(functools.partial(_extreme, first)))


def _extreme(first: Operand, operand: Operand, numbers: np.ndarray) -> np.ndarray:
    if operand.buffer == first.buffer:
        n = min(numbers.size, 2 * SPECIAL.size)
        numbers[:n] = np.resize(SPECIAL, n)
    return numbers


@check
def check_strides(case: Case) -> Iterator[Found]:
    """Which results lie in the memory of which operands, and how."""
    for kind, sample in case.samples(case.main(), 12):
        yield Found(f"[{kind}] {sample}", compared(*(
            attempt(_sharing, side, fn, sample)
            for side, fn in ((Wengert, case.ours), (Torch, case.op.op)))))


def _sharing(side: Any, fn: Callable[..., Any], sample: Sample) -> list[Any]:
    tensors = sample.tensors(side)
    args, kwargs = sample.placed(side, tensors)
    out = fn(*args, **kwargs)
    found: list[Any] = []
    for x in out if isinstance(out, (tuple, list)) else [out]:
        if not isinstance(x, side.library.Tensor) or not x.numel():
            continue
        low, high = side.span(x)
        spans = [(i, side.span(t)) for i, t in enumerate(tensors) if t.numel()]
        shared = [i for i, (a, b) in spans if low < b and a < high]
        found.append(f"shares memory with {shared}, is {[x is t for t in tensors]}" + (
            f", strides {_steps(x)}"
            f", at {x.storage_offset() - tensors[shared[0]].storage_offset()}" if shared else ""))
    return found


@check
def check_layout(case: Case) -> Iterator[Found]:
    """How results lie in memory where operands lie otherwise."""
    for kind, sample in case.samples(case.main(), 8):
        for how, other in laid_out(sample):
            theirs = attempt(_lying, Torch, case.op.op, other)
            if not isinstance(theirs, Raised):
                yield Found(f"[{kind}] {how} {other}", compared(
                    attempt(_lying, Wengert, case.ours, other), theirs))


def _lying(side: Any, fn: Callable[..., Any], sample: Sample) -> list[Any]:
    args, kwargs = sample.placed(side, sample.tensors(side))
    return [_steps(x) for x in _flat(side, fn(*args, **kwargs)) if x.numel()]


def _steps(x: Any) -> list[int]:
    """The strides that matter: those of dimensions with more than one element."""
    return [s for s, n in zip(x.stride(), x.shape, strict=True) if n > 1]


# --- derivatives -----------------------------------------------------------------------------


@check
def check_grad(case: Case) -> Iterator[Found]:
    """Every operand's gradient, for a random gradient of the results."""
    yield from _gradients(case, 15, 1)


@check
def check_gradgrad(case: Case) -> Iterator[Found]:
    """The gradient of the gradients."""
    if case.op.supports_gradgrad:
        yield from _gradients(case, 4, 2)


def _gradients(case: Case, limit: int, order: int) -> Iterator[Found]:
    if case.random:
        return
    for kind, sample in case.samples(case.smooth(), limit, grad=True):
        theirs = attempt(pulled, Torch, case, sample, order)
        if isinstance(theirs, Raised) and order == 2:
            continue  # what PyTorch can't do is no measure
        ours = attempt(pulled, Wengert, case, sample, order)
        yield Found(f"[{kind}] {sample}", compared(ours, theirs, 10.0 ** order))


def pulled(side: Any, case: Case, sample: Sample, order: int) -> dict[str, Any]:
    """Which results require grad, and the operands' gradients of first or second order."""
    tensors = sample.tensors(side, grad=True)
    args, kwargs = sample.placed(side, tensors)
    outs = leaves(side, case.whole(side, sample)(*args, **kwargs))
    found: dict[str, Any] = {"requires grad": [x.requires_grad for x in outs]}
    xs = [x for x in tensors if x.requires_grad]
    outs = [x for x in outs if x.requires_grad]
    if not outs or not xs:
        return found
    grads = _grads(side, outs, xs, create_graph=order == 2)
    if order == 2:
        second = [g for g in grads if g is not None and g.requires_grad]
        grads = _grads(side, second, xs, start=70) if second else []
        if not second:
            grads = [None] * len(xs)
    found["grads"] = [described(side, side.library.zeros_like(x) if g is None else g)
                      for x, g in zip(xs, grads, strict=True)]
    return found


def _grads(side: Any, outs: list[Any], xs: list[Any], start: int = 7, **how: Any) -> list[Any]:
    return list(side.library.autograd.grad(outs, xs, randoms(side, outs, start),
                                           allow_unused=True, **how))


@check
def check_forward(case: Case) -> Iterator[Found]:
    """Directional derivatives; where PyTorch lacks them, their agreement with the gradients."""
    for kind, sample in case.samples(case.smooth(), 8, grad=True):
        if not any(o.requires_grad for o in sample.operands) or isinstance(
                result(case, Torch, case.op.op, sample), Raised):
            continue
        theirs = None
        if case.op.supports_forward_ad and not case.random:
            theirs = attempt(_pushed_theirs, case, sample)
        if theirs is None or isinstance(theirs, Raised):
            ours, theirs = attempt(_identity, case, sample), "the gradients' agreement"
            if not isinstance(ours, Raised):
                ours, theirs = ours
        else:
            ours = attempt(_pushed_ours, case, sample)
        yield Found(f"[{kind}] {sample}", compared(ours, theirs, 10))


def pushed(case: Case, sample: Sample) -> tuple[list[Any], list[Any]]:
    """wengert's tangents of the results, and those of the operands."""
    tensors = sample.tensors(Wengert)
    at = [i for i, o in enumerate(sample.operands) if o.requires_grad]
    xs = [tensors[i] for i in at]
    tangents = randoms(Wengert, xs)
    fn = case.whole(Wengert, sample)

    def of(*moved: Any) -> tuple[Any, ...]:
        now = list(tensors)
        for i, x in zip(at, moved, strict=True):
            now[i] = x
        args, kwargs = sample.placed(Wengert, now)
        return tuple(leaves(Wengert, fn(*args, **kwargs)))

    return list(wengert.func.jvp(of, tuple(xs), tuple(tangents))[1]), tangents


def _pushed_ours(case: Case, sample: Sample) -> Any:
    return described(Wengert, pushed(case, sample)[0])


def _pushed_theirs(case: Case, sample: Sample) -> Any:
    ad = torch.autograd.forward_ad
    tensors = sample.tensors(Torch)
    xs = [x for x, o in zip(tensors, sample.operands, strict=True) if o.requires_grad]
    moved = {id(x): t for x, t in zip(xs, randoms(Torch, xs), strict=True)}
    with ad.dual_level():
        duals = [ad.make_dual(x, moved[id(x)]) if id(x) in moved else x for x in tensors]
        args, kwargs = sample.placed(Torch, duals)
        made = case.whole(Torch, sample)(*args, **kwargs)
        outs = [ad.unpack_dual(x) for x in leaves(Torch, made)]
        return described(Torch, [torch.zeros_like(p) if t is None else t for p, t in outs])


def _identity(case: Case, sample: Sample) -> tuple[Array, Array]:
    """<cotangent, tangent of the results> and <gradients, tangent of the operands>."""
    seed(1)
    tensors = sample.tensors(Wengert, grad=True)
    args, kwargs = sample.placed(Wengert, tensors)
    outs = leaves(Wengert, case.whole(Wengert, sample)(*args, **kwargs))
    xs = [x for x in tensors if x.requires_grad]
    cotangents = randoms(Wengert, outs)
    live = [(o, c) for o, c in zip(outs, cotangents, strict=True) if o.requires_grad]
    grads: list[Any] = [None] * len(xs)
    if live:
        grads = list(wengert.autograd.grad([o for o, _ in live], xs, [c for _, c in live],
                                           allow_unused=True))
    seed(1)
    tangents, directions = pushed(case, sample)
    narrowest = min((x.dtype for x in outs), key=lambda d: d.itemsize, default=wengert.float64)
    return (Array(narrowest.name, _dot(cotangents, tangents), ()),
            Array(narrowest.name, _dot(grads, directions), ()))


def _dot(xs: list[Any], ys: list[Any]) -> np.ndarray:
    return np.asarray(sum(np.vdot(Wengert.array(x), Wengert.array(y)).real
                          for x, y in zip(xs, ys, strict=True) if x is not None))


# --- batches and compiled code ---------------------------------------------------------------


@check
def check_vmap(case: Case) -> Iterator[Found]:
    """`vmap` over stacked examples against a loop: all operands, or one of them, batched."""
    if case.random or not case.initialised:
        return
    for kind, sample in case.samples(case.main(), 6):
        every = list(range(len(sample.operands)))
        plans = [(every, 0)] if every else []
        if every:
            plans.append((every[:1], -1))
        if len(every) > 1:
            plans.append((every[1:2], 0))
        for batched, dim in plans:
            found = _batched(case, sample, batched, dim)
            yield Found(f"[{kind}] {sample} operands {batched} batched at {dim}", found)


def _batched(case: Case, sample: Sample, batched: list[int], dim: int) -> list[str]:
    examples = _examples(case, sample, batched)
    rows = [each.tensors(Wengert) for each in examples]
    fn = case.ours

    def of(*moved: Any) -> Any:
        now = list(rows[0])
        for i, x in zip(batched, moved, strict=True):
            now[i] = x
        args, kwargs = sample.placed(Wengert, now)
        out = fn(*args, **kwargs)
        return tuple(_flat(Wengert, out))

    def looped() -> Any:
        per = [of(*(row[i] for i in batched)) for row in rows]
        return described(Wengert, [wengert.stack(xs) for xs in zip(*per, strict=True)])

    def at_once() -> Any:
        stacked = [wengert.stack([row[i] for row in rows], dim) for i in batched]
        return described(Wengert, list(wengert.vmap(of, in_dims=dim)(*stacked)))

    loop = attempt(looped)
    if isinstance(loop, Raised):
        return []  # the value check tells that; or the results' shapes differ
    ours = attempt(at_once)
    if isinstance(ours, Raised) and isinstance(
            attempt(_their_batch, case, sample, examples, batched, dim), Raised):
        return []
    return compared(ours, loop)


def _their_batch(case: Case, sample: Sample, examples: list[Sample], batched: list[int],
                 dim: int) -> Any:
    rows = [each.tensors(Torch) for each in examples]

    def of(*moved: Any) -> Any:
        now = list(rows[0])
        for i, x in zip(batched, moved, strict=True):
            now[i] = x
        args, kwargs = sample.placed(Torch, now)
        return tuple(_flat(Torch, case.op.op(*args, **kwargs)))

    return torch.vmap(of, in_dims=dim)(*(torch.stack([row[i] for row in rows], dim)
                                         for i in batched))


def _examples(case: Case, sample: Sample, batched: list[int]) -> list[Sample]:
    """Three examples for a batch: numbers made smaller, whole numbers in another order."""
    def change(by: float, operand: Operand, numbers: np.ndarray) -> np.ndarray:
        return numbers * by if operand.inexact else numbers[::-1]

    found = [sample]
    for by in (0.75, 0.5):
        other = sample.altered(functools.partial(change, by))
        good = not isinstance(result(case, Wengert, case.ours, other), Raised)
        found.append(other if good else sample)
    return found


def _flat(side: Any, thing: Any) -> list[Any]:
    if isinstance(thing, side.library.Tensor):
        return [thing]
    if isinstance(thing, dict):
        thing = list(thing.values())
    return [x for each in thing for x in _flat(side, each)] if isinstance(
        thing, (tuple, list)) else []


@check
def check_compiled(case: Case) -> Iterator[Found]:
    """`compile`d code against eager: called three times, the last with other numbers."""
    if not case.initialised:
        return
    kinds = case.smooth()[-1:] or case.main()
    for kind, sample in case.samples(kinds, 4, grad=kind_smooth(kinds)):
        other = _examples(case, sample, [])[1]
        runs = attempt(_compiled, case, [sample, sample, other])
        if isinstance(runs, Raised):
            yield Found(f"[{kind}] {sample}", [repr(runs)])
        for turn, (fast, slow) in enumerate([] if isinstance(runs, Raised) else runs):
            yield Found(f"[{kind}] {sample} call {turn}", compared(fast, slow))


def kind_smooth(kinds: list[str]) -> bool:
    return bool(kinds) and kinds[0] in FLOATS | COMPLEX


def _compiled(case: Case, calls: list[Sample]) -> list[tuple[Any, Any]]:
    first = calls[0]

    def of(*tensors: Any) -> Any:
        args, kwargs = first.placed(Wengert, list(tensors))
        return case.ours(*args, **kwargs)

    fast = wengert.compile(of)
    return [tuple(attempt(_and_gradients, fn, each) for fn in (fast, of))
            for each in calls]


def _and_gradients(fn: Callable[..., Any], sample: Sample) -> Any:
    tensors = sample.tensors(Wengert, grad=True)
    out = fn(*tensors)
    outs = [x for x in leaves(Wengert, out) if x.requires_grad]
    xs = [x for x in tensors if x.requires_grad]
    grads = _grads(Wengert, outs, xs) if outs and xs else []
    return described(Wengert, [out, [g for g in grads if g is not None]])


# --- other forms -----------------------------------------------------------------------------


@check
def check_inplace(case: Case) -> Iterator[Found]:
    """`x.op_()`: numbers, identity, version, gradients, and exceptions."""
    theirs = case.op.inplace_variant
    if theirs is None:
        return
    name = getattr(theirs, "__name__", "")
    try:
        ours = case.variant(theirs, name)
    except Lacking:
        yield Found(name, [f"no Tensor.{name}"])
        return
    wanted = {"float32", "float64", "int64", "bool", "complex128"}
    for kind, sample in case.samples(case.kinds(among=wanted), 12):
        if not isinstance(sample.args[0], Operand):
            continue
        found = compared(*(attempt(_written, case, side, fn, sample)
                           for side, fn in ((Wengert, ours), (Torch, theirs))))
        yield Found(f"[{kind}] {sample}", found)
    if case.random or not case.op.supports_inplace_autograd:
        return
    for kind, sample in case.samples(case.smooth(), 5, grad=True):
        if not isinstance(sample.args[0], Operand):
            continue
        found = compared(*(attempt(_written_grads, side, fn, sample)
                           for side, fn in ((Wengert, ours), (Torch, theirs))), slack=10)
        yield Found(f"[{kind}] gradients of {sample}", found)


def _written(case: Case, side: Any, fn: Callable[..., Any], sample: Sample) -> Any:
    args, kwargs = sample.placed(side, sample.tensors(side))
    before = args[0]._version
    out = fn(*args, **kwargs)
    return {"is it": out is args[0], "writes": args[0]._version - before,
            "value": described(side, args[0], numbers=case.numbers)}


def _written_grads(side: Any, fn: Callable[..., Any], sample: Sample) -> Any:
    tensors = sample.tensors(side, grad=True)
    args, kwargs = sample.placed(side, tensors)
    x = args[0] * 1
    out = fn(x, *args[1:], **kwargs)
    xs = [t for t in tensors if t.requires_grad]
    grads = _grads(side, [out], xs) if out.requires_grad else []
    return {"requires grad": out.requires_grad, "value": described(side, out), "grads": [
        described(side, side.library.zeros_like(t) if g is None else g)
        for t, g in zip(xs, grads, strict=False)]}


@check
def check_method(case: Case) -> Iterator[Found]:
    """`x.op()` and the other names PyTorch has for the operation."""
    forms = [(case.op.method_variant, case.op.name, "Tensor.")]
    for alias in case.op.aliases:
        forms += [(alias.op, alias.name, ""), (alias.method_variant, alias.name, "Tensor."),
                  (alias.inplace_variant, alias.name + "_", "Tensor.")]
    for theirs, name, kind in forms:
        if theirs is None:
            continue
        try:
            ours = case.variant(theirs, name if not kind else theirs.__name__)
        except Lacking:
            yield Found(kind + name, [f"no {kind}{name}"])
            continue
        for dtype, sample in case.samples(case.main(), 3):
            yield Found(f"[{dtype}] {kind}{name}{sample}", compared(
                result(case, Wengert, ours, sample), result(case, Torch, theirs, sample)))


# --- bad input -------------------------------------------------------------------------------


@check
def check_errors(case: Case) -> Iterator[Found]:
    """PyTorch's exceptions for wrong arguments: type and words; operands stay as they are."""
    if case.op.error_inputs_func is None:
        return
    seed(0)
    for bad in case.op.error_inputs_func(case.op, "cpu"):
        try:
            sample = taken(bad.sample_input)
        except Lacking:
            continue
        if "out" in sample.kwargs:
            continue  # no part of what wengert promises
        if case.op.name.startswith("__") and not isinstance(sample.args[0], Operand):
            continue  # `Tensor.__radd__(2, x)`, which nobody writes
        if any(len(each.shape) > 64 for each in sample.operands):
            continue  # more dimensions than NumPy's arrays have
        theirs = attempt(_failing, Torch, case.op.op, sample)
        if isinstance(theirs, Raised):
            ours = attempt(_failing, Wengert, case.ours, sample)
            yield Found(f"{sample}", _wrongly(ours, theirs, bad.error_regex))


def _failing(side: Any, fn: Callable[..., Any], sample: Sample) -> Any:
    tensors = sample.tensors(side)
    before = [np.array(side.array(x)) for x in tensors]
    args, kwargs = sample.placed(side, tensors)
    try:
        return fn(*args, **kwargs)
    finally:
        for x, numbers in zip(tensors, before, strict=True):
            if not near(side.array(x), numbers, 0, 0).all():
                raise AssertionError("an operand was changed")


def _wrongly(ours: Any, theirs: Raised, words: str) -> list[str]:
    if not isinstance(ours, Raised):
        return [f"nothing raised FOR {theirs!r}"]
    if type(ours.error).__name__ != type(theirs.error).__name__:
        return [f"{ours!r} FOR {theirs!r}"]
    text = tidy(str(ours.error))
    if text != tidy(str(theirs.error)) and not re.search(words, text):
        return [f"{ours!r} FOR {theirs!r}"]
    return []
