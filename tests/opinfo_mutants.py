"""Unusual arguments: PyTorch's sample inputs of its own operations, changed by chance.

    python tests/opinfo_mutants.py NAME... [--calls 60] [--seed 0] [--verbose]

One or two arguments of a sample become others: another dtype, layout or size for a tensor, a number
for a tensor or the other way round, a number a step off, a list for a tuple, a keyword more or
less. wengert must do with them what PyTorch does, as function, method or in place: the same
numbers, dtypes, shapes, strides and gradients, or the same type of error. NAMEs are as in
tests/opinfo.py.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import inspect
import os
import random
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.testing._internal.opinfo.core import OpInfo

import opinfo
from opinfo_case import (
    Case,
    Raised,
    attempt,
    compared,
    difference,
    leaves,
    missing,
    out_of_scope,
)
from opinfo_checks import _grads, _lying
from opinfo_differences import LYING, OF_EQUALS
from opinfo_layouts import LAYOUTS, _numbers, _operand
from opinfo_samples import (
    COMPLEX,
    FLOATS,
    HALVES,
    Lacking,
    Operand,
    Sample,
    Torch,
    Wengert,
    described,
    mapped,
    nearer,
)

KINDS = ("float32", "float64", "int64", "complex64", "bool", "uint8", "float16", "bfloat16",
         "int32", "complex128", "int8")
EXTREME = {"f": [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e30], "c": [np.nan, np.inf, 0.0, -1j],
           "V": [np.nan, np.inf, -0.0], "i": [0, -1, 127], "u": [0, 255], "b": [False, True]}


# --- what an argument may become -----------------------------------------------------------------


@dataclasses.dataclass(eq=False)
class Held:
    """A tensor among arguments: its numbers, and how it lies in memory."""

    numbers: np.ndarray
    how: str = "contiguous"


def _cast(x: np.ndarray, kind: str) -> np.ndarray:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if x.dtype.kind in "fcV" and kind not in FLOATS | COMPLEX:  # or the result is undefined
            x = np.clip(np.nan_to_num(x.real.astype(np.float32)), -100, 100)
            x = abs(x) if kind == "uint8" else x
        return x.astype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)


def _extreme(x: np.ndarray, rng: random.Random) -> np.ndarray:
    found = x.copy()
    for _ in range(min(x.size, 3)):
        found.reshape(-1)[rng.randrange(x.size)] = rng.choice(EXTREME[x.dtype.kind])
    return found


def _of_tensor(held: Held, rng: random.Random) -> Any:
    x = held.numbers
    dim = rng.randrange(x.ndim) if x.ndim else 0
    one = x.reshape(-1)[0] if x.size else x.dtype.type(1)
    ways: list[Callable[[], Any]] = [
        lambda: Held(_cast(x, rng.choice(KINDS))), lambda: Held(_cast(x, rng.choice(KINDS))),
        lambda: Held(np.asarray(one)), lambda: Held(_extreme(x, rng)), lambda: Held(x[None])]
    if x.dtype.kind != "V":
        ways += [lambda: one.item()]
    if x.dtype.kind not in "Vc":  # PyTorch takes the real part of NumPy's complex64
        ways += [lambda: one]
    if x.ndim:
        ways += [lambda: Held(x.take(range(0), dim))]
        ways += [lambda: Held(x.take(0, dim)), lambda: Held(x.take([0], dim))] * bool(x.shape[dim])
    if x.ndim > 1:
        ways += [lambda: Held(x, rng.choice(LAYOUTS)), lambda: Held(x.swapaxes(dim, -1))]
    return rng.choice(ways)()


def _of_number(x: Any, rng: random.Random) -> Any:
    ways: list[Any] = [-x, x + 1, x - 1, bool(x), 0, Held(np.asarray(x)), np.asarray(x)[()], None]
    if isinstance(x, int):
        ways += [float(x), np.int32(x), (x,), [x, x]]
    else:
        ways += [np.nan, np.inf, complex(x), np.float32(x) if not isinstance(x, complex) else 1,
                 1, 2]
    return rng.choice(ways)


def _of_list(xs: Any, rng: random.Random) -> Any:
    back = tuple if isinstance(xs, list) else list
    ways: list[Any] = [back(xs), back(xs), xs[:-1], xs[::-1], back(xs[:1]), (), None]
    if xs and all(isinstance(x, int) for x in xs):
        ways += [type(xs)(-x for x in xs), xs[0], type(xs)(map(np.int64, xs)), torch.Size(
            max(x, 0) for x in xs), (*xs, 1), Held(np.array(xs))]
    return rng.choice(ways)


def other(thing: Any, rng: random.Random) -> Any:
    """What an argument becomes."""
    if isinstance(thing, Held):
        return _of_tensor(thing, rng)
    if isinstance(thing, bool):
        return rng.choice([not thing, not thing, int(thing), None])
    if isinstance(thing, (int, float, complex)):
        return _of_number(thing, rng)
    if isinstance(thing, (tuple, list)):
        return _of_list(thing, rng)
    if isinstance(thing, torch.dtype):
        return getattr(torch, rng.choice(KINDS))
    return rng.choice([0, 1, True, 0.5]) if thing is None else thing


# --- a sample with some of its arguments changed -------------------------------------------------

KEYWORDS = {"dim": (0, -1, None, (), (0,), (0, 1), [-1]), "keepdim": (True,),
            "dtype": tuple(getattr(torch, kind) for kind in KINDS)}
"""What may be added to a call, where the word has it."""


def mutants(sample: Sample, names: list[str], rng: random.Random) -> Sample:
    """The sample with one or two arguments changed, and maybe a keyword more or less."""
    def taken(thing: Any) -> Any:
        if not isinstance(thing, Operand):
            return thing
        x = _numbers(sample, thing)
        return Held(np.array(x.view(ml_dtypes.bfloat16) if thing.dtype == "bfloat16" else x))

    args, kwargs = list(mapped(taken, sample.args)), mapped(taken, sample.kwargs)
    for _ in range(rng.choice([1, 1, 2])):
        if rng.random() < 0.15:
            args, kwargs = _keywords(args, kwargs, names, rng)
            continue
        here, key = rng.choice([*((args, i) for i in range(len(args))),
                                *((kwargs, name) for name in kwargs)])
        inner = here[key]
        if isinstance(inner, (list, tuple)) and inner and rng.random() < 0.5:
            i = rng.randrange(len(inner))
            kind = list if isinstance(inner, list) else tuple
            here[key] = kind([*inner[:i], other(inner[i], rng), *inner[i + 1:]])
        else:
            here[key] = other(inner, rng)
    process = sample.process  # PyTorch has one for all that need none
    needless = getattr(process, "__qualname__", "").startswith("SampleInput.")
    return _sample(args, kwargs, None if needless else process, rng)


def _keywords(args: list[Any], kwargs: dict[str, Any], names: list[str], rng: random.Random
              ) -> tuple[list[Any], dict[str, Any]]:
    """A positional argument given by its name, a keyword left out, or one added."""
    way = rng.randrange(3)
    if way == 0 and 1 < len(args) <= len(names):
        return args[:-1], {**kwargs, names[len(args) - 1]: args[-1]}
    if way == 1 and kwargs:
        name = rng.choice(list(kwargs))
        return args, {key: thing for key, thing in kwargs.items() if key != name}
    free = [n for n in KEYWORDS if n in names[len(args):] and n not in kwargs]
    return args, {**kwargs, **{n: rng.choice(KEYWORDS[n]) for n in free[:1]}}


def _sample(args: list[Any], kwargs: dict[str, Any], process: Any, rng: random.Random) -> Sample:
    memory: list[np.ndarray] = []
    operands: list[Operand] = []

    def one(thing: Any) -> Any:
        if not isinstance(thing, Held):
            return thing
        kind = thing.numbers.dtype.name
        grad = kind in FLOATS | COMPLEX and rng.random() < 0.7
        plain = Operand(0, kind, thing.numbers.shape, (), 0, requires_grad=grad)
        operand, bytes_ = _operand(len(operands), plain, thing.numbers, thing.how)
        operands.append(operand)
        memory.append(bytes_)
        return operand

    args_, kwargs_ = mapped(one, tuple(args)), mapped(one, kwargs)
    return Sample(memory, args_, kwargs_, operands, process)


# --- what comes of it ----------------------------------------------------------------------------


def forms(case: Case) -> list[tuple[str, Any, Any]]:
    """The operation as function, method and in place: what to call it, ours and theirs."""
    found = [("", case.ours, case.op.op)]
    for theirs, form in ((case.op.method_variant, "method "),
                         (case.op.inplace_variant, "inplace ")):
        name = getattr(theirs, "__name__", None)
        if name:
            try:
                found.append((form, case.variant(theirs, name), theirs))
            except Lacking:
                continue
    return found


def outcome(case: Case, side: Any, fn: Callable[..., Any], sample: Sample, *, lying: bool) -> Any:
    """What a call gives: results, how they lie, and gradients; or what it raises."""
    tensors = sample.tensors(side, grad=True)
    args, kwargs = sample.placed(side, tensors)
    out = fn(*args, **kwargs)
    outs = leaves(side, out)
    found = {"value": described(side, out, numbers=case.numbers)}
    if case.op.supports_autograd:
        found["requires grad"] = [x.requires_grad for x in outs]
    if lying:
        found["strides"] = _lying(side, lambda: out, Sample([], (), {}, []))
    outs, xs = [x for x in outs if x.requires_grad], [x for x in tensors if x.requires_grad]
    if outs and xs and case.numbers and plain(case, sample):
        grads = _grads(side, outs, xs)
        found["grads"] = [described(side, side.library.zeros_like(x) if g is None else g)
                          for x, g in zip(xs, grads, strict=True)]
    return found


def plain(case: Case, sample: Sample) -> bool:
    """Whether gradients are those of any function: of whole precision, and of what is not free."""
    return not sample.process and not any(o.dtype in HALVES for o in sample.operands) and (
        case.op.supports_autograd and case.op.gradcheck_wrapper is OpInfo.gradcheck_wrapper)


def inplace(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The form in place, of an operand that is no leaf."""
    def run(x: Any, *args: Any, **kwargs: Any) -> Any:
        return fn(x.clone(), *args, **kwargs)

    return run


def told(case: Case, form: str, ours: Any, theirs: Any, sample: Sample) -> list[str]:
    """What is different about a call."""
    lying = case.initialised and not form and not any(
        case.name in names.split() for names in LYING.values())
    if form == "inplace ":
        ours, theirs = inplace(ours), inplace(theirs)
    mine, wanted = (attempt(lambda side=side, fn=fn: outcome(case, side, fn, sample, lying=lying))
                    for side, fn in ((Wengert, ours), (Torch, theirs)))
    if isinstance(mine, Raised) or isinstance(wanted, Raised):
        return [] if excused(mine, wanted) else compared(mine, wanted)
    found = compared(*(_first(case, each["value"]) for each in (mine, wanted)))
    if found and any(o.dtype in HALVES for o in sample.operands):
        truth = attempt(lambda: described(Torch, theirs(*placed(sample.widened()))))
        if nearer(mine["value"], wanted["value"], truth):
            found = []
    if found and sample.process and "numbers" in " ".join(found):
        return []  # what may be chosen freely
    return found or [f"{part}: {each}" for part in wanted if part != "value"
                     for each in compared(mine.get(part), wanted[part], 10)]


def _first(case: Case, value: Any) -> Any:
    """A result, but for the places of elements that are as good as others."""
    return value[1][0] if case.name in OF_EQUALS and isinstance(value, tuple) else value


def expected(case: Case, form: str, found: str) -> bool:
    """Whether a difference is one that tests/opinfo_differences.py knows of."""
    checks = ["grad", "inplace"] if found.startswith(("grads", "requires")) else [
        "value", "extremal", "errors", form.strip()]
    return any(difference(case.op, check) for check in checks)


LACKS = re.compile("not implemented|not differentiable|does not support automatic|Low precision")


def excused(mine: Any, wanted: Any) -> bool:
    """Whether a refusal is no difference that matters: of an argument of a wrong kind, which one
    side takes or has another error for; of what PyTorch lacks; or of a dtype, though PyTorch does
    not look at it where there are no elements."""
    if isinstance(mine, Raised) and isinstance(wanted, Raised):
        kinds = {type(each.error).__name__ for each in (mine, wanted)}
        return bool(kinds & {"TypeError", "AttributeError"}) or kinds == {
            "LinAlgError", "_LinAlgError"}
    if isinstance(mine, Raised):
        return bool(LACKS.search(str(mine.error)) and re.search(r"[\[ ]0[,\]]", repr(wanted)))
    return isinstance(wanted.error, (TypeError, AttributeError)) or bool(
        LACKS.search(str(wanted.error)))


def placed(sample: Sample) -> tuple[Any, ...]:
    """PyTorch's arguments, all by position."""
    args, kwargs = sample.placed(Torch, sample.tensors(Torch))
    return (*args, *kwargs.values())


def tries(case: Case, calls: int, seed: int) -> Iterator[tuple[str, list[str]]]:
    """Changed calls and what is different about them."""
    rng = random.Random(f"{case.name} {seed}")
    kinds = [k for k in ("float32", "float64", "int64", "complex64", "bool") if k in case.kinds()]
    every = {kind: [each for _, each in case.samples([kind], 12)] for kind in kinds}
    every = {kind: some for kind, some in every.items() if some}
    ways = forms(case)
    for _ in range(calls if every else 0):
        kind = rng.choice([next(iter(every)), rng.choice(list(every))])
        form, ours, theirs = rng.choice([ways[0], rng.choice(ways)])
        try:
            names = list(inspect.signature(ours).parameters)
        except (TypeError, ValueError):
            names = []
        sample = mutants(rng.choice(every[kind]), names, rng)
        if form and not (sample.args and isinstance(sample.args[0], Operand)):
            continue
        found = told(case, form, ours, theirs, sample)
        yield f"{form}{sample}", [each for each in found if not expected(case, form, each)]


def sort_of(found: str) -> str:
    """The sort of a difference, worst first."""
    if " FOR " in found:
        ours, _, theirs = found.partition(" FOR ")
        error = re.compile(r"[A-Z]\w*(Error|Exception|Warning|Lacking)")
        if error.match(ours) and error.match(theirs):
            return "other error"
        return "refuses" if error.match(ours) else "accepts"
    for part in ("requires grad", "strides", "grads"):
        if found.startswith(part):
            return part
    return "dtype" if "dtype" in found else "shape" if "shape" in found else "value"


# --- the command line ----------------------------------------------------------------------------


def _apart(case: Case, options: argparse.Namespace) -> tuple[int, collections.Counter[str]]:
    """Tries an operation in a process of its own, since PyTorch may crash."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(options.seconds)
        try:
            with os.fdopen(writing, "w", buffering=1) as pipe:
                for call, found in tries(case, options.calls, options.seed):
                    print(".", file=pipe)
                    for each in found[:1]:
                        print(f"{sort_of(each)}\t{each}\t{call}".replace("\n", " "), file=pipe)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    count, sorts = 0, collections.Counter[str]()
    with os.fdopen(reading) as pipe:
        for line in pipe:
            if line == ".\n":
                count += 1
                continue
            sort, what, call = line.rstrip("\n").split("\t", 2)
            sorts[sort] += 1
            if options.verbose or sorts[sort] <= 2:
                print(f"{case.name:32s} {sort}: {what}\n      at {call}", flush=True)
    if os.waitpid(child, 0)[1]:
        print(f"{case.name:32s} stopped after {count} calls", flush=True)
    return count, sorts


def main(argv: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser("opinfo_mutants.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["*"], metavar="NAME")
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=60, help="for each operation")
    parser.add_argument("--verbose", action="store_true", help="all differences")
    options = parser.parse_args(argv)
    os.environ["WENGERT_STRICT"] = "1"
    warnings.simplefilter("ignore")
    count, sorts = 0, collections.Counter[str]()
    for op in opinfo.chosen(options.names or ["*"]):
        if not (out_of_scope(op) or missing(op) or op.name.startswith("__r")):
            n, found = _apart(Case(op), options)
            count, sorts = count + n, sorts + found
    print(f"{count} calls, {sorts.total()} differ: {dict(sorts)}")


if __name__ == "__main__":
    main(sys.argv[1:])
