"""An operation of PyTorch's table: its function on either side, and what comes of a call."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import functools
import re
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import wengert
from opinfo_differences import (
    DIFFERENCES,
    IN_SCOPE,
    OF_EQUALS,
    OTHER_DTYPES,
    OUT_OF_SCOPE,
    RANDOM,
    SAME_NUMBERS,
    UNINITIALISED,
)
from opinfo_samples import (
    COMPLEX,
    HALVES,
    Lacking,
    Operand,
    Sample,
    Torch,
    Wengert,
    described,
    differences,
    nearer,
    rebound,
    samples,
    seed,
    spread,
)


@dataclasses.dataclass(frozen=True)
class Found:
    """What one sample showed."""

    sample: str
    differences: list[str]


# --- an operation ----------------------------------------------------------------------------


def name_of(op: Any) -> str:
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


def out_of_scope(op: Any) -> str | None:
    """Why wengert does not promise an operation."""
    if op.name in IN_SCOPE:
        return None
    return next((why for pattern, why in OUT_OF_SCOPE.items()
                 if fnmatch.fnmatchcase(op.name, pattern)), None)


def difference(op: Any, check: str) -> str | None:
    """Why a check is expected to fail."""
    return DIFFERENCES.get((name_of(op), check), DIFFERENCES.get((name_of(op), "*")))


def missing(op: Any) -> str | None:
    """The first of an operation's names in PyTorch, if wengert lacks it."""
    def there(library: Any, path: str) -> bool:
        try:
            found = functools.reduce(getattr, path.split("."), library)
        except AttributeError:
            return False
        return not isinstance(found, library.dtype)  # `float` is one, and a method

    for path in (op.name, f"Tensor.{op.name}", f"Tensor.{op.name}_"):
        if there(torch, path):
            return None if there(wengert, path) else path
    return op.name


@dataclasses.dataclass
class Case:
    """One operation, how much of it to check, and its function on either side."""

    op: Any
    dtype: str | None = None
    scale: float = 1.0

    @functools.cached_property
    def name(self) -> str:
        return name_of(self.op)

    @property
    def random(self) -> bool:
        return self.name in RANDOM

    @property
    def initialised(self) -> bool:
        return self.name not in UNINITIALISED

    @property
    def numbers(self) -> bool:
        """Whether numbers can be compared."""
        return self.initialised and (not self.random or self.name in SAME_NUMBERS)

    @functools.cached_property
    def ours(self) -> Callable[..., Any]:
        return self.variant(self.op.op, self.op.name)

    def variant(self, theirs: Any, name: str) -> Any:
        """wengert's function for one of PyTorch's: a function, a method, or a wrapper of tests."""
        if isinstance(theirs, functools.partial) or (
                isinstance(theirs, types.FunctionType) and "testing" in theirs.__module__):
            return rebound(theirs)
        name = name.removeprefix("torch.")
        for path in (name, f"Tensor.{name}"):
            with contextlib.suppress(AttributeError):
                if functools.reduce(getattr, path.split("."), torch) is theirs or path != name:
                    return functools.reduce(getattr, path.split("."), wengert)
        raise Lacking(name)

    def whole(self, side: Any, sample: Sample) -> Callable[..., Any]:
        """The function with what PyTorch's own gradient tests put around it.

        These make an argument symmetric, or a result independent of what the operation may choose.
        """
        op, around, process = self.op.op, self.op.gradcheck_wrapper, sample.process
        if side is Wengert:
            op, around = self.ours, rebound(around)
            process = rebound(process) if process else None

        def run(*args: Any, **kwargs: Any) -> Any:
            out = around(op, *args, **kwargs)
            return process(out) if process else out

        return run

    def kinds(self, *, among: set[str] | None = None) -> list[str]:
        """The dtypes that PyTorch has the operation for."""
        names = {str(d).removeprefix("torch.") for d in self.op.dtypes} - OTHER_DTYPES
        if among is not None:
            names &= among
        return sorted(names if self.dtype is None else names & {self.dtype})

    def main(self) -> list[str]:
        """One dtype for checks that need no more: float32, or the next best."""
        there = self.kinds()
        order = ["float32", "float64", "int64", "complex64", "complex128", "bool", *there]
        return [d for d in order if d in there][:1]

    def smooth(self) -> list[str]:
        """The dtypes for gradients."""
        if not self.op.supports_autograd:
            return []
        backward = {str(d).removeprefix("torch.") for d in self.op.backward_dtypes}
        return self.kinds(among=backward & {"float64", "complex128"})

    def samples(self, kinds: list[str], limit: int, *, grad: bool = False
                ) -> Iterator[tuple[str, Sample]]:
        many = max(1, round(limit * self.scale))
        for kind in kinds:
            for sample in spread(samples(self.op, kind, grad), many):
                yield kind, sample


# --- what comes of a call --------------------------------------------------------------------


@dataclasses.dataclass
class Raised:
    """An exception, as a result."""

    error: Exception

    def __repr__(self) -> str:
        return f"{type(self.error).__name__}: {tidy(str(self.error))}"


def tidy(text: str) -> str:
    """A message without what only PyTorch's C++ sources could say."""
    text = re.sub(r" ?\(Triggered internally at .*", "", text, flags=re.DOTALL)
    text = re.sub(r"\n?Exception raised from .*", "", text, flags=re.DOTALL)
    return text.strip()[:400]


def attempt(run: Callable[..., Any], *args: Any) -> Any:
    """What a call gives, or raises; random numbers start anew for each."""
    seed(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(*args)
    except Exception as error:
        return Raised(error)


def compared(ours: Any, theirs: Any, slack: float = 1) -> list[str]:
    """The differences of two described results, or exceptions."""
    if isinstance(ours, Raised) or isinstance(theirs, Raised):
        both = isinstance(ours, Raised) and isinstance(theirs, Raised)
        if both and type(ours.error).__name__ == type(theirs.error).__name__:
            return []
        return [f"{ours!r} FOR {theirs!r}"[:700]]
    return list(differences(ours, theirs, slack=slack))


def result(case: Case, side: Any, fn: Callable[..., Any], sample: Sample) -> Any:
    """What a function gives on a sample, described."""
    def run() -> Any:
        args, kwargs = sample.placed(side, sample.tensors(side))
        return described(side, fn(*args, **kwargs), numbers=case.numbers)

    return attempt(run)


def both(case: Case, kind: str, sample: Sample) -> Found:
    """Values on both sides; where they may be chosen freely, of what does not depend on it."""
    ours = result(case, Wengert, case.ours, sample)
    theirs = result(case, Torch, case.op.op, sample)
    found = compared(ours, theirs)
    if found and kind in HALVES and nearer(
            ours, theirs, result(case, Torch, case.op.op, sample.widened())):
        found = []  # PyTorch rounds sums as it goes, or wengert does
    if found and sample.process and "numbers" in " ".join(found):
        found = compared(result(case, Wengert, case.whole(Wengert, sample), sample),
                         result(case, Torch, case.whole(Torch, sample), sample))
    if case.name in OF_EQUALS and "numbers" in " ".join(found):
        found = compared(*(result(case, side, lambda *args, fn=fn, **more: fn(*args, **more)[0],
                                  sample)
                           for side, fn in ((Wengert, case.ours), (Torch, case.op.op))))
    return Found(f"[{kind}] {sample}", found)


def leaves(side: Any, thing: Any) -> list[Any]:
    """The tensors in a result that can have gradients."""
    if isinstance(thing, side.library.Tensor):
        return [thing] if thing.dtype.is_floating_point or thing.dtype.is_complex else []
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, (tuple, list)):
        return [x for each in thing for x in leaves(side, each)]
    return []


def randoms(side: Any, xs: list[Any], start: int = 7) -> list[Any]:
    """Random tensors like these, the same ones on both sides."""
    return [side.tensor(*_random(str(x.dtype).removeprefix("torch."), tuple(x.shape), start + i))
            for i, x in enumerate(xs)]


def _random(kind: str, shape: tuple[int, ...], start: int) -> tuple[Operand, np.ndarray]:
    rng = np.random.default_rng(start)
    numbers = np.asarray(rng.uniform(-1, 1, shape))
    if kind == "bfloat16":  # the upper half of a float32
        numbers = (numbers.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    elif kind not in COMPLEX:
        numbers = numbers.astype(kind)
    else:
        numbers = (numbers + 1j * rng.uniform(-1, 1, shape)).astype(kind)
    strides = tuple(s // numbers.itemsize for s in numbers.strides)
    operand = Operand(0, kind, shape, strides, 0, requires_grad=False)
    return operand, np.frombuffer(numbers.tobytes(), np.uint8).copy()
