"""PyTorch's sample inputs, taken apart so that each side can build its own operands from them.

A `Sample` holds bytes and, in the places of tensors, `Operand`s: dtype, shape, strides and offset
into the bytes. Both libraries build the same operands, with the same aliases, as often as wanted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import wengert

FLOATS = {"float16", "bfloat16", "float32", "float64"}
COMPLEX = {"complex64", "complex128"}
HALVES = {"float16", "bfloat16"}


class Lacking(Exception):
    """Wengert has no such word (a dtype, a function) yet."""


@dataclasses.dataclass(eq=False)
class Operand:
    """A tensor of a sample: where its elements lie in the sample's bytes."""

    buffer: int
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    requires_grad: bool

    @property
    def inexact(self) -> bool:
        return self.dtype in FLOATS | COMPLEX

    def __repr__(self) -> str:
        dense = torch.empty(self.shape, device="meta").stride() == self.stride
        return f"{self.dtype}{list(self.shape)}" + ("" if dense else f"/{list(self.stride)}")


# --- the two sides ---------------------------------------------------------------------------


class Torch:
    """PyTorch, as a maker and reader of tensors."""

    library: Any = torch

    @staticmethod
    def tensor(operand: Operand, buffer: np.ndarray) -> Any:
        storage = torch.from_numpy(buffer).untyped_storage()
        return torch.empty(0, dtype=getattr(torch, operand.dtype)).set_(
            storage, operand.offset, operand.shape, operand.stride)

    @staticmethod
    def array(x: Any) -> np.ndarray:
        x = x.detach().resolve_conj().resolve_neg()
        return (x.float() if x.dtype == torch.bfloat16 else x).numpy(force=True)

    @staticmethod
    def word(thing: Any) -> Any:
        return thing

    @staticmethod
    def span(x: Any) -> tuple[int, int]:
        storage = x.untyped_storage()
        return storage.data_ptr(), storage.data_ptr() + max(storage.nbytes(), 1)


class Wengert:
    """wengert, likewise."""

    library: Any = wengert

    @staticmethod
    def tensor(operand: Operand, buffer: np.ndarray) -> Any:
        kind = word(f"dtype {operand.dtype}", operand.dtype).numpy
        if 0 in operand.shape:
            return wengert.from_numpy(np.empty(operand.shape, kind))
        return wengert.from_numpy(np.ndarray(
            operand.shape, kind, buffer.data, operand.offset * kind.itemsize,
            tuple(s * kind.itemsize for s in operand.stride)))

    @staticmethod
    def array(x: Any) -> np.ndarray:
        found = x.detach().numpy()
        return found.astype(np.float32) if found.dtype.name == "bfloat16" else found

    @staticmethod
    def word(thing: Any) -> Any:
        return translated(thing)

    @staticmethod
    def span(x: Any) -> tuple[int, int]:
        storage = x.untyped_storage()
        return storage.data_ptr(), storage.data_ptr() + max(storage.nbytes(), 1)


def word(what: str, path: str) -> Any:
    """What `path` names in wengert."""
    try:
        return functools.reduce(getattr, path.split("."), wengert)
    except AttributeError:
        raise Lacking(what) from None


def translated(thing: Any) -> Any:
    """A word of PyTorch's (dtype, device, function, ...) in wengert."""
    if isinstance(thing, torch.dtype):
        return word(f"dtype {thing}", str(thing).removeprefix("torch."))
    if isinstance(thing, torch.device):
        return wengert.device(thing.type)
    if isinstance(thing, (torch.memory_format, torch.layout)):
        return word(str(thing), str(thing).removeprefix("torch."))
    if isinstance(thing, torch.Size):
        return wengert.Size(thing)
    if isinstance(thing, torch.Generator):
        return wengert.Generator().manual_seed(thing.initial_seed())
    if isinstance(thing, torch.nn.PairwiseDistance):
        return word("pairwise_distance", "nn.functional.pairwise_distance")
    if callable(thing) and not isinstance(thing, type):
        return rebound(thing)
    return thing


# --- PyTorch's test functions, on wengert ----------------------------------------------------


def rebound(fn: Any) -> Any:
    """A function that PyTorch's tests made, with `torch` in it meaning wengert."""
    if isinstance(fn, functools.partial):
        return functools.partial(rebound(fn.func), *fn.args, **fn.keywords)
    if getattr(fn, "__name__", "") == "wrapper_set_seed":
        return _seeded
    if not isinstance(fn, types.FunctionType) or fn.__module__.split(".")[1:2] != ["testing"]:
        return _namesake(fn)
    names: dict[str, Any] = dict(fn.__globals__)
    for name in _names_in(fn.__code__):
        value = names.get(name)
        if isinstance(value, types.FunctionType) and value.__module__.startswith("torch.testing"):
            names[name] = rebound(value)
    names.update(torch=wengert, wrapper_set_seed=_seeded, F=None)
    cells = tuple(types.CellType(rebound(c.cell_contents) if callable(c.cell_contents)
                                 else c.cell_contents) for c in fn.__closure__ or ())
    made = types.FunctionType(fn.__code__, names, fn.__name__, fn.__defaults__, cells)
    made.__kwdefaults__ = fn.__kwdefaults__
    return made


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names_in(inner)


def _namesake(fn: Any) -> Any:
    """wengert's function of the same name, if `fn` is PyTorch's; else itself."""
    name = getattr(fn, "__name__", "")
    for theirs, ours in ((torch, "wengert"), (torch.nn.functional, "nn.functional"),
                         (torch.Tensor, "Tensor"), (torch.linalg, "linalg")):
        if name and getattr(theirs, name, None) is fn:
            return word(name, name if ours == "wengert" else f"{ours}.{name}")
    return fn


def _seeded(op: Any, *args: Any, **kwargs: Any) -> Any:
    """What the tests' `wrapper_set_seed` does."""
    wengert.manual_seed(42)
    return op(*args, **kwargs)


# --- samples ---------------------------------------------------------------------------------


def mapped(fn: Callable[[Any], Any], thing: Any) -> Any:
    """`thing` with `fn` applied to what is in its lists, tuples and dicts."""
    if isinstance(thing, (torch.Size, wengert.Size)):
        return fn(thing)
    if isinstance(thing, (list, tuple)):
        items = [mapped(fn, each) for each in thing]
        if isinstance(thing, list):
            return items
        return type(thing)(*items) if hasattr(thing, "_fields") else tuple(items)
    if isinstance(thing, dict):
        return {key: mapped(fn, each) for key, each in thing.items()}
    return fn(thing)


@dataclasses.dataclass
class Sample:
    """Arguments of one call."""

    buffers: list[np.ndarray]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    operands: list[Operand]
    process: Any = None

    def tensors(self, side: Any, *, grad: bool = False) -> list[Any]:
        """New operands for a side, with new memory (and that memory's aliases)."""
        buffers = [each.copy() for each in self.buffers]
        found = [side.tensor(each, buffers[each.buffer]) for each in self.operands]
        if grad:
            for x, operand in zip(found, self.operands, strict=True):
                if operand.requires_grad:
                    x.requires_grad_()
        return found

    def placed(self, side: Any, tensors: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call's arguments, with these tensors for its operands."""
        of = {id(operand): x for operand, x in zip(self.operands, tensors, strict=True)}

        def one(thing: Any) -> Any:
            return of[id(thing)] if isinstance(thing, Operand) else side.word(thing)

        return mapped(one, self.args), mapped(one, self.kwargs)

    def altered(self, change: Callable[[Operand, np.ndarray], np.ndarray]) -> Sample:
        """The sample with the elements of each operand's whole memory changed."""
        buffers, done = list(self.buffers), set()
        for operand in self.operands:
            if operand.buffer in done or operand.dtype == "bfloat16":
                continue
            done.add(operand.buffer)
            old = self.buffers[operand.buffer]
            new = change(operand, old.view(operand.dtype).copy())
            buffers[operand.buffer] = new.astype(operand.dtype).view(np.uint8)
        return dataclasses.replace(self, buffers=buffers)

    def widened(self) -> Sample:
        """The sample in float64 instead of float16 and bfloat16."""
        wide: dict[int, Any] = {}
        buffers = list(self.buffers)
        for each in self.operands:
            if each.dtype in HALVES:
                wide[id(each)] = dataclasses.replace(each, dtype="float64")
                buffers[each.buffer] = _wide(self.buffers[each.buffer], each.dtype)

        def one(thing: Any) -> Any:
            half = isinstance(thing, torch.dtype) and thing in {torch.float16, torch.bfloat16}
            return torch.float64 if half else wide.get(id(thing), thing)

        return Sample(buffers, mapped(one, self.args), mapped(one, self.kwargs),
                      [one(each) for each in self.operands], self.process)

    def __str__(self) -> str:
        words = [_short(a) for a in self.args]
        words += [f"{k}={_short(v)}" for k, v in self.kwargs.items()]
        return f"({', '.join(words)})"


def _wide(buffer: np.ndarray, kind: str) -> np.ndarray:
    if kind == "float16":
        numbers = buffer.view(np.float16)
    else:  # the upper half of a float32
        numbers = (buffer.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(np.float64).view(np.uint8)


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) < 160 else text[:157] + "..."


class Taker:
    """Takes a sample of PyTorch's apart."""

    def __init__(self) -> None:
        self.buffers: list[np.ndarray] = []
        self.at: dict[int, int] = {}
        self.known: dict[int, Operand] = {}
        self.alive: list[Any] = []

    def one(self, thing: Any) -> Any:
        if not isinstance(thing, torch.Tensor):
            return thing
        if thing.layout is not torch.strided or thing.is_quantized or thing.is_meta:
            raise Lacking("layout or device")
        if id(thing) not in self.known:
            self.known[id(thing)] = self._operand(thing)
        return self.known[id(thing)]

    def _operand(self, thing: Any) -> Operand:
        x = thing.detach().resolve_conj().resolve_neg()
        self.alive += [thing, x]
        storage = x.untyped_storage()
        key = storage.data_ptr() or -len(self.buffers) - 1
        if key not in self.at:
            self.at[key] = len(self.buffers)
            self.buffers.append(torch.empty(0, dtype=torch.uint8).set_(storage).numpy().copy())
        return Operand(self.at[key], str(x.dtype).removeprefix("torch."), tuple(x.shape),
                       x.stride(), x.storage_offset(), thing.requires_grad)


def _without(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments but those that say where and how tensors lie."""
    return {k: v for k, v in kwargs.items()
            if k not in {"device", "layout", "pin_memory", "memory_format"}}


def taken(theirs: Any) -> Sample:
    """A SampleInput, taken apart.

    Raises:
        Lacking: for sparse and quantized tensors, and those without memory.
    """
    taker = Taker()
    args = mapped(taker.one, (theirs.input, *theirs.args))
    kwargs = mapped(taker.one, _without(theirs.kwargs))
    return Sample(taker.buffers, args, kwargs, list(taker.known.values()),
                  theirs.output_process_fn_grad)


_SAMPLES: dict[Any, list[Sample]] = {}


def samples(op: Any, dtype: str, grad: bool = False) -> list[Sample]:
    """PyTorch's sample inputs of an operation, the same ones every time.

    The last few have operands with gaps between their elements.
    """
    key = (id(op), dtype, grad)
    if key not in _SAMPLES:
        if len(_SAMPLES) > 20:
            _SAMPLES.clear()
        _SAMPLES[key] = _samples(op, dtype, grad)
    return _SAMPLES[key]


def _samples(op: Any, dtype: str, grad: bool) -> list[Sample]:
    seed(0)
    # not `op.sample_inputs`, which takes longer than all else: it looks through the stack
    theirs = list(op.sample_inputs_func(op, "cpu", getattr(torch, dtype), grad))
    found = []
    for each in [*theirs, *(each.noncontiguous() for each in spread(theirs, 5))]:
        with contextlib.suppress(Lacking):
            found.append(taken(each))
    return found


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.default_generator.manual_seed(number)  # `torch.manual_seed` takes milliseconds
    wengert.manual_seed(number)


def spread(many: list[Any], limit: int) -> list[Any]:
    """At most `limit` of them, evenly spread, the first and the last among them."""
    if len(many) <= limit:
        return many
    return [many[round(i * (len(many) - 1) / max(limit - 1, 1))] for i in range(limit)]


# --- comparing -------------------------------------------------------------------------------

NEAR = {"float16": (1e-2, 1e-3), "bfloat16": (2e-2, 1e-2), "float32": (2e-4, 2e-5),
        "float64": (1e-7, 1e-8), "complex64": (2e-4, 2e-5), "complex128": (1e-7, 1e-8)}


@dataclasses.dataclass
class Array:
    """A tensor's dtype and numbers, as either side gave them; None where they are random."""

    dtype: str
    numbers: Any
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def described(side: Any, value: Any, *, numbers: bool = True) -> Any:
    """A result, apart from the library that gave it."""
    if isinstance(value, side.library.Tensor):
        array = np.array(side.array(value)) if numbers else None
        return Array(str(value.dtype).removeprefix("torch."), array, tuple(value.shape))
    if isinstance(value, side.library.Size):
        return ("Size", [int(n) for n in value])
    if isinstance(value, (tuple, list)):
        kind = "list" if isinstance(value, list) else " ".join(("tuple", *fields(value)))
        return (kind, [described(side, each, numbers=numbers) for each in value])
    if isinstance(value, dict):
        return {key: described(side, each, numbers=numbers) for key, each in value.items()}
    if isinstance(value, (side.library.dtype, side.library.device)):
        return str(value)
    return value


def fields(value: Any) -> tuple[str, ...]:
    """The names of a named tuple's items, in their order."""
    named = getattr(type(value), "_fields", None)
    if named is None and hasattr(type(value), "n_fields"):  # a struct sequence, PyTorch's
        named = [n for n, d in vars(type(value)).items() if type(d).__name__ == "member_descriptor"]
        return tuple(sorted(named, key=lambda n: next(
            i for i, item in enumerate(value) if item is getattr(value, n))))
    return tuple(named or ())


def differences(ours: Any, theirs: Any, at: str = "", slack: float = 1) -> Iterator[str]:
    """In what two described results differ."""
    if isinstance(theirs, Array) and isinstance(ours, Array):
        yield from _arrays(ours, theirs, at, slack)
    elif type(ours) is not type(theirs):
        yield f"{at}: {_short(ours)} for {_short(theirs)}"
    elif isinstance(theirs, (tuple, list)):
        if len(ours) != len(theirs):
            yield f"{at}: {len(ours)} items for {len(theirs)}"
            return
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(a, b, f"{at}[{i}]" if isinstance(theirs, list) else at, slack)
    elif isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            yield f"{at}: {list(ours)} for {list(theirs)}"
            return
        for key in theirs:
            yield from differences(ours[key], theirs[key], f"{at}.{key}", slack)
    elif isinstance(theirs, (float, complex)):
        if not near(np.asarray(ours), np.asarray(theirs), *NEAR["float32"]).all():
            yield f"{at}: {ours!r} for {theirs!r}"
    elif ours != theirs:
        yield f"{at}: {_short(ours)} for {_short(theirs)}"


def nearer(ours: Any, theirs: Any, truth: Any) -> bool:
    """Whether described results differ from the true ones no more than others do."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and isinstance(truth, tuple):
        return len(ours[1]) == len(theirs[1]) == len(truth[1]) and all(
            map(nearer, ours[1], theirs[1], truth[1]))
    if not all(isinstance(each, Array) for each in (ours, theirs, truth)):
        return bool(ours == theirs)
    if ours.dtype != theirs.dtype or not ours.shape == theirs.shape == truth.shape:
        return False
    rel, tiny = NEAR.get(theirs.dtype, (0, 0))
    good = near(ours.numbers, theirs.numbers, rel, tiny)
    with np.errstate(all="ignore"):
        good |= abs(ours.numbers - truth.numbers) <= abs(theirs.numbers - truth.numbers)
    return bool(good.all())


def _arrays(ours: Array, theirs: Array, at: str, slack: float) -> Iterator[str]:
    if ours.dtype != theirs.dtype:
        yield f"{at}: dtype {ours.dtype} for {theirs.dtype}"
    elif ours.shape != theirs.shape:
        yield f"{at}: shape {list(ours.shape)} for {list(theirs.shape)}"
    elif theirs.numbers is not None and ours.numbers is not None:
        rel, tiny = NEAR.get(theirs.dtype, (0, 0))
        good = near(ours.numbers, theirs.numbers, rel * slack, tiny * slack)
        if not good.all():
            where = np.unravel_index(np.argmin(good), good.shape)
            yield (f"{at}: {(~good).sum()} of {good.size} numbers, {ours.numbers[where]} for "
                   f"{theirs.numbers[where]} at {[int(i) for i in where]} of {list(ours.shape)}")


def near(a: np.ndarray, b: np.ndarray, rel: float, tiny: float) -> np.ndarray:
    """Where two arrays agree: exactly if they are not of floating point; NaN agrees with NaN."""
    if b.dtype.kind not in "fc":
        return np.asarray(a == b)
    with np.errstate(all="ignore"):
        if b.dtype.kind == "f":
            return np.isclose(a, b, rel, tiny, equal_nan=True)
        parts = near(a.real, b.real, rel, tiny) & near(a.imag, b.imag, rel, tiny)
        finite = np.isfinite(a) & np.isfinite(b)
        return parts | (finite & (abs(a - b) <= tiny + rel * abs(b))) | (np.isnan(a) & np.isnan(b))
