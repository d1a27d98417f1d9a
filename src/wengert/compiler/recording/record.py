"""Recording: one eager run of a function, noted as a list of lines.

Values stay NumPy arrays and everything runs as ever. Where a primitive is evaluated the recorder of
the thread is told, and notes a line; it knows arrays by identity. What it does not know was there
before (a parameter, a closure), or was made of nothing on the way (a constant).

Arrays share memory and are written to; lines are not. So the recorder keeps, for memory that is
written, the value of the array that owns it: a write gives the owner a new value, and other arrays
that lie there are read from it anew when they are next used.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.aval import aval_of
from ...core.handle import Handle, version_of, wrap
from ...core.levels import here
from ...core.primitive import Primitive
from ...core.provenance import Line as Place, user_line
from ...interpreters import eager
from ...interpreters.eager import constant
from ...interpreters.tape import record as tape
from ...interpreters.views import make_view, refresh
from ...primitives.layout import cast, permute
from ..ir.program import Constant, Line, Value, answer, append
from ..ir.regions import dense
from ..ir.views import put_strided, strided
from .pulled import pull

_MOST_BYTES = 1 << 12
"""How large an array may be that Python looks at as a whole."""


class Missed(NamedTuple):
    """What comes of a run that native code did not get through.

    Attributes:
        fault: what went wrong; None if it saw what no recorded run had seen.
    """

    fault: Exception | None


MISSED = Missed(None)


class Source:
    """Where a program's input comes from.

    Attributes:
        handle: the tensor: an argument, one that was met on the way, or the gradient of one.
        array: its array when it was first met.
        value: what stands for it.
        argument: its place among the arguments that are tensors; None for others.
        owner: where the leaf comes from whose `.grad` it was; None for others.
        place: the number of the place in the function's `State` where it was found; None for
            others.
        node: what its cotangents were handed to, at first.
        version: of its memory, at first.
    """

    __slots__ = ("argument", "array", "handle", "node", "owner", "place", "value", "version")

    def __init__(self, handle: Any, argument: int | None = None) -> None:
        self.handle, self.array, self.argument = handle, handle.value, argument
        self.value, self.node = Value(handle.aval.plain), handle.node
        self.owner: Source | None = None
        self.place: int | None = None
        self.version = version_of(handle)

    def release(self) -> None:
        """Lets go of what belongs to one run alone."""
        self.array = None
        if self.argument is not None or self.owner is not None or self.place is not None:
            self.handle = self.node = None


class Seen:
    """A look at a number: what Python saw, and where.

    Attributes:
        value: what it looked at.
        answer: what it saw.
        place: the line in the user's program.
    """

    __slots__ = ("answer", "place", "value")

    def __init__(self, value: Value, seen: Any, place: Place) -> None:
        self.value, self.answer, self.place = value, seen, place


class _Known(weakref.ref[np.ndarray]):
    """An array, referred to weakly, and what stands for it as of a version of its memory.

    Attributes:
        bare: the input that it was met as, if that was without the history that it may have: it
            is a leaf's array, met in a detached tensor.
    """

    __slots__ = ("bare", "value", "version")

    bare: Source | None
    value: Value
    version: int


def _known(array: np.ndarray, value: Value, version: int = 0) -> _Known:
    """What stands for an array; made thus, and not by an `__init__`, at half the cost."""
    known = _Known(array)
    known.value, known.version, known.bare = value, version, None
    return known


class _Root:
    """What memory is known by whose owner is not: an array in it.

    Attributes:
        shared: whether several inputs lie there.
    """

    __slots__ = ("array", "owner", "shared")

    def __init__(self, owner: np.ndarray, array: np.ndarray) -> None:
        self.owner, self.array = weakref.ref(owner), weakref.ref(array)
        self.shared = False


class _Memory:
    """Memory that is viewed or written to.

    Attributes:
        root: the array that the program knows it by: its owner, or an input.
        core: the root, but with one element where it repeats the same ones (strides of 0).
        value: what the core holds now, its dimensions in the order in which they lie there.
        order: those dimensions; None if there are gaps, so that only the root itself can be read.
        version: how often it was written.
    """

    __slots__ = ("core", "order", "root", "value", "version")

    def __init__(self, root: np.ndarray, value: Value) -> None:
        self.root, self.value, self.version = root, value, 0
        repeats = tuple([slice(1) if s == 0 else slice(None) for s in root.strides])
        self.core = core = root[repeats] if 0 in root.strides else root
        order = tuple(sorted(range(core.ndim), key=lambda d: -core.strides[d]))
        self.order = order if core.transpose(order).flags.c_contiguous else None

    @property
    def moved(self) -> bool:
        """Whether the dimensions lie in another order than the root has them."""
        return self.order is not None and self.order != tuple(range(self.root.ndim))


class Recorder:
    """Notes what one run of a function applies. See the text of the module.

    Attributes:
        notes: lines and looks, in order.
        sources: what was there before, in the order in which it was met.
        failed: why the run can't be said in lines; "" if it can.
        leaves: leaves whose `.grad` was used, with what it was at first.
        arrivals: the nodes of leaves at which gradients arrived.
        rules: by what nodes have in common, what is known of their rules (see `pulled`).
        ends: by node of the tape, the ends that lie behind it, where that was asked.
    """

    def __init__(self, arguments: Sequence[Any]) -> None:
        self.notes: list[Line | Seen] = []
        self.sources: list[Source] = []
        self.failed = ""
        self.leaves: dict[int, tuple[Any, Any]] = {}
        self.arrivals: set[Any] = set()
        self._known: dict[int, _Known] = {}
        self._memories: dict[int, _Memory] = {}
        self.rules: dict[Any, Any] = {}
        self.ends: dict[Any, frozenset[Any]] = {}
        self._roots: dict[int, _Root] = {}
        for i, handle in enumerate(arguments):
            if not any(source.handle is handle for source in self.sources):
                self.source(handle, i)

    # --- what interpreters tell -----------------------------------------------------------------

    def interpret(self, primitive: Primitive, operands: Sequence[Any],
                  params: dict[str, Any]) -> Any:
        """`eager.interpret`, noted. What is common (tensors and arrays that give one result) is
        computed, recorded on the tape and noted in one go; the rest is done there, and noted."""
        if primitive.multiple or self.failed or here.inference or here.anomaly:
            return eager.interpret(primitive, operands, params)
        known, unwritten = self._known, not self._memories
        arrays, avals, edges, values = [], [], [], []
        for x in operands:
            if isinstance(x, Handle):
                if x.alias is not None:
                    refresh(x)
                array, aval, node = x.value, x.aval, x.node
                if aval.level is not None:
                    return eager.interpret(primitive, operands, params)
            elif type(x) is np.ndarray:
                array, aval, node = x, aval_of(x), None
            else:
                return eager.interpret(primitive, operands, params)
            met = known.get(id(array))
            arrays.append(array)
            avals.append(aval)
            edges.append(node)
            values.append(met.value if unwritten and met is not None and met() is array
                          and met.bare is None else self.value(x, operands))
        taped = here.grad and edges.count(None) < len(edges)
        if taped and primitive.vjp is None:
            return eager.interpret(primitive, operands, params)
        result = primitive.abstract(*avals, **params)
        out = wrap(eager.evaluate(primitive, arrays, result, params), result)
        if primitive.view:
            make_view(primitive, operands[0], out, params)
        if taped and result.dtype.differentiable:
            tape(primitive, out, operands, avals, edges, params)
        value = Value(result)
        self.bind(out.value, value)
        self.notes.append(Line(primitive, values, params, (value,)))
        return out

    def note(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any],
             out: Any) -> None:
        """Notes an application that has run; `out` is its result, or its results."""
        if self.failed:
            return
        values = [self.value(o, operands) for o in operands]
        results = map(self._result, out) if primitive.multiple else (self._result(out),)
        self.notes.append(Line(primitive, values, params, tuple(results)))

    def _result(self, x: Any) -> Value:
        """A value for a tensor, or an array, that was just made."""
        array, aval = (x.value, x.aval.plain) if isinstance(x, Handle) else (x, aval_of(x))
        value = Value(aval)
        self.bind(array, value)
        return value

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        """The value of a primitive on arrays, noted; a constant if none of them is known."""
        out = primitive.on_arrays(operands, params)
        out = tuple(map(np.asarray, out)) if primitive.multiple else np.asarray(out)
        if any(type(o) is np.ndarray and self.find(o) is not None for o in operands):
            self.note(primitive, operands, params, out)
        else:
            for each in out if primitive.multiple else (out,):
                self.bind(each, _constant(each))
        return out

    def pull(self, node: Any, g: Any, create: bool, needed: set[Any] | None) -> list[Any]:
        """`interpreters.pullback.pullback`, noted."""
        return pull(self, node, g, create, needed)

    def wrote(self, primitive: Primitive, x: Any, others: Sequence[Any],
              params: dict[str, Any]) -> None:
        """Notes that x was overwritten with primitive(x, *others)."""
        if self.failed:
            return
        operands = (x, *others)
        values = [self.value(o, operands) for o in operands]
        found: Any = primitive.abstract(*(v.aval for v in values), **params)
        value = self._line(primitive, values, params, found)
        kind = x.aval.dtype
        if found.dtype is not kind:
            value = self._line(cast, (value,), {"dtype": kind}, found.with_dtype(kind))
        self._store(x.value, value)

    def meet(self, x: Any, *, to_write: bool = False) -> None:
        """Notes a tensor as it is: it is about to be written to, or may be later on."""
        if x.aval.level is None:
            self.value(x, (x,))

    def looped(self, loop: Any) -> list[Any] | None:
        """What the operands of a `while_loop` become, noted as one line; None if they can't."""
        from .stepping import looped  # which needs to be read only by those who loop

        return looped(self, loop)

    def chosen(self, choice: Any) -> Any:
        """What a `cond` gives, noted as one line; None if it can't be."""
        from .stepping import chosen  # likewise

        return chosen(self, choice)

    def kept(self, copy: Any, x: Any) -> None:
        """Notes that a tensor holds what another does, which is about to be written to."""
        self.bind(copy.value, self.value(x, (x,)))

    def made(self, x: Any) -> None:
        """Notes that a tensor was made of nothing: its numbers are the same in every run."""
        self.bind(x.value, _constant(x.value))

    def drew(self, x: Any, generator: Any, call: Any, *operands: Any) -> None:
        """Notes that a tensor's array is what `call(*arrays)` drew from a generator."""
        values = [self.value(o, operands) for o in operands]
        aval = x.aval.plain
        params = {"call": call, "generator": generator, "aval": aval}
        self.bind(x.value, self._line(draw, values, params, aval))

    def look(self, x: Any) -> None:
        """Notes that Python looks at the numbers of a tensor, or of an array."""
        array = x.value if isinstance(x, Handle) else x
        if self.failed or (type(x) is np.ndarray and self.find(x) is None):
            return
        value = self.value(x, (x,))
        if isinstance(value, Constant):
            return
        place = user_line()
        if array.nbytes > _MOST_BYTES:
            self.fail(f"{place} looks at all numbers of a tensor of shape {list(array.shape)}")
            return
        self.notes.append(Seen(value, answer(array), place))

    def leaf(self, x: Any) -> None:
        """Notes that a leaf's `.grad` is about to be read or replaced."""
        self.leaves.setdefault(id(x), (x, None if x.extra is None else x.extra.grad))

    def arrive(self, nodes: Iterable[Any]) -> None:
        """Notes that gradients have arrived at leaves."""
        self.arrivals.update(nodes)
        if any(s.node in self.arrivals and s.node.hooked for s in self.sources):
            self.fail("it computes the gradient of a tensor from outside that has hooks")

    def fail(self, why: str) -> None:
        """Gives up: the run goes on, but no program can stand for it."""
        self.failed = self.failed or why

    def given(self, x: Any) -> Value:
        """What stands for a tensor that will be given later: a cotangent."""
        value = Value(x.aval)
        self.bind(x.value, value)
        return value

    def knows(self, x: Any) -> bool:
        """Whether a tensor's numbers have been met, or were made on the way."""
        return self.find(x.value) is not None

    def shared(self, array: np.ndarray) -> Source | None:
        """The input in whose memory an array lies; None if it lies in none."""
        root = self.root(array)
        return next((s for s in self.sources if s.array is root), None)

    def is_constant(self, x: Any) -> bool:
        """Whether a tensor's numbers are the same in every run."""
        return x.aval.level is None and isinstance(self.find(x.value), Constant)

    def laid_out(self, x: Any) -> tuple[Value, tuple[int, ...] | None]:
        """What stands for a tensor, with its dimensions as they lie in memory, and their order;
        None for the usual order, and where memory has gaps."""
        value, array = self.value(x, (x,)), x.value
        memory = _Memory(array, value)
        return (self._permuted(value, memory), memory.order) if memory.moved else (value, None)

    def region(self, array: np.ndarray, root: np.ndarray) -> dict[str, Any] | None:
        """Where an array lies in another that is laid out densely; None if that can't be said."""
        return _region(array, _Memory(root, Value(aval_of(root)))) if (
            root.flags.c_contiguous) else None

    # --- what arrays stand for ------------------------------------------------------------------

    def value(self, operand: Any, operands: Sequence[Any]) -> Value:
        """What an operand (a tensor, an array, a number) stands for."""
        array: Any = operand.value if isinstance(operand, Handle) else operand
        known: Any = self._known.get(id(array))
        if known is not None and known() is array:
            if known.bare is not None:
                self._owned(known, operand)
            return known.value if not self._memories else self._now(array, known)
        if type(array) is not np.ndarray:
            return _constant(constant(operand, operands))
        found = self.find(array)
        if found is None and isinstance(operand, Handle):
            found = self.source(operand).value
        elif found is None:
            found = _constant(array)
            self._known[id(array)] = _known(array, found)
        return found

    def _owned(self, known: _Known, x: Any) -> None:
        """Has a leaf stand for its memory, if a detached tensor was met there before."""
        if isinstance(x, Handle) and x.node is not None and x.node.leaf:
            assert known.bare is not None
            known.bare.handle, known.bare.node = x, x.node
            known.bare = None

    def find(self, array: np.ndarray) -> Value | None:
        """What is known to stand for an array; None if it was met never before."""
        known = self._known.get(id(array))
        if known is not None and known() is array:
            return known.value if not self._memories else self._now(array, known)
        if array.base is None:
            return None
        root = self.root(array)
        if root is array or not np.may_share_memory(array, root) or self.find(root) is None:
            return None
        return self._read(array, self._memory(root))

    def _now(self, array: np.ndarray, known: _Known) -> Value:
        """What stands for a known array now that memory has been written to."""
        memory = self._memories.get(id(self.root(array)))
        if memory is None or memory.version == known.version:
            return known.value
        return self._read(array, memory)

    def root(self, array: np.ndarray) -> np.ndarray:
        """The array that the program knows an array's memory by."""
        owner = owner_of(array)
        root = self._roots.get(id(owner))
        if root is None or root.owner() is not owner:
            return owner
        found = root.array()
        return array if found is None or root.shared else found

    def _rooted(self, array: np.ndarray) -> None:
        """Has memory be known by an array, if its owner is not known itself."""
        owner = owner_of(array)
        known = self._known.get(id(owner))
        if known is not None and known() is owner:
            return
        root = self._roots.get(id(owner))
        if root is None or root.owner() is not owner:
            self._roots[id(owner)] = _Root(owner, array)

    def bind(self, array: np.ndarray, value: Value) -> None:
        """Has a value stand for an array that was just made, or read."""
        known = _Known(array)
        known.value, known.version, known.bare = value, 0, None
        if array.base is not None:
            self._rooted(array)
        if self._memories and (memory := self._memories.get(id(self.root(array)))) is not None:
            known.version = memory.version
        self._known[id(array)] = known

    def source(self, handle: Any, argument: int | None = None) -> Source:
        """A tensor that was there before, as an input of the program."""
        source = Source(handle, argument)
        if argument is None and not (handle.node is None or handle.node.leaf):
            self.fail("a tensor from outside that has a history is used in it")
        self.sources.append(source)
        owner = owner_of(source.array)
        root = self._roots.get(id(owner))
        if root is not None and root.owner() is owner:
            root.shared = True
        else:
            self._roots[id(owner)] = _Root(owner, source.array)
        met = self._known.get(id(source.array))
        if met is not None and met() is source.array and met.bare is not None:
            self._owned(met, handle)
        self.bind(source.array, source.value)
        if argument is None and source.node is None:
            self._known[id(source.array)].bare = source
        return source

    def _line(self, primitive: Primitive, values: Sequence[Value], params: dict[str, Any],
              aval: Any) -> Value:
        return append(self.notes, primitive, values, params, aval)

    # --- memory ---------------------------------------------------------------------------------

    def _memory(self, root: np.ndarray) -> _Memory:
        memory = self._memories.get(id(root))
        if memory is None:
            value = self.find(root)
            assert value is not None
            memory = _Memory(root, value)
            if memory.core is not root:
                memory.value = self._first(value, memory.core.shape)
            if memory.moved:
                memory.value = self._permuted(memory.value, memory)
            self._memories[id(root)] = memory
        return memory

    def _first(self, value: Value, shape: tuple[int, ...]) -> Value:
        """A corner of a value, of a shape of as many dimensions."""
        corner = {"shape": shape, "strides": dense(value.aval.shape).strides, "offset": 0}
        return self._line(strided, (value,), corner, value.aval.with_shape(shape))

    def _permuted(self, value: Value, memory: _Memory) -> Value:
        """A value of the root's with its dimensions as they lie."""
        order: Any = memory.order
        shape = [value.aval.shape[d] for d in order]
        return self._line(permute, (value,), {"dims": order}, value.aval.with_shape(shape))

    def _read(self, array: np.ndarray, memory: _Memory) -> Value:
        """What an array holds now that lies in memory which was written to."""
        region = _region(array, memory)
        if region is None:
            self.fail("memory is read as another dtype, or with other gaps, than it was written")
            return memory.value
        value = self._line(strided, (memory.value,), {"shape": array.shape, **region},
                           memory.value.aval.with_shape(array.shape))
        self._known[id(array)] = _known(array, value, memory.version)
        return value

    def _store(self, array: np.ndarray, value: Value) -> None:
        """Has an array, and whatever lies in its memory, hold what was written."""
        owner = owner_of(array)
        found = self._roots.get(id(owner))
        if found is not None and found.owner() is owner and found.shared:
            self.fail("inputs share memory, and it is written to")
            return
        root = self.root(array)
        if self.find(root) is None:
            self.fail("memory is written to of which only a part is known")
            return
        memory = self._memory(root)
        if array is memory.core:
            memory.value = self._permuted(value, memory) if memory.moved else value
        else:
            region = _region(array, memory)
            if region is None:
                self.fail("memory is written as another dtype than it was made as")
                return
            memory.value = self._line(put_strided, (memory.value, value), region,
                                      memory.value.aval)
        memory.version += 1
        self._known[id(array)] = _known(array, value, memory.version)


def _constant(array: Any) -> Constant:
    """A constant of these numbers, which may be written over later on."""
    array = np.asarray(array)
    if array.size > 1:
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)
        if (raw == raw[0]).all():
            return Constant(np.broadcast_to(np.array(array.flat[0], array.dtype), array.shape))
    return Constant(np.array(array))


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array that owns an array's memory."""
    while (base := array.base) is not None:
        if not isinstance(base, np.ndarray):
            inner = getattr(base, "base", None)
            if not isinstance(inner, np.ndarray):
                return array  # the memory is something else's
            base = inner
        array = base
    return array


def _region(array: np.ndarray, memory: _Memory) -> dict[str, Any] | None:
    """Where an array lies in memory, in elements; None if that can't be said."""
    root, size = memory.core, array.itemsize
    offset = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    if memory.order is None or array.dtype != root.dtype or offset % size or any(
            s % size for s in array.strides):
        return None
    strides, first = tuple(s // size for s in array.strides), offset // size
    steps = [(n - 1) * s for n, s in zip(array.shape, strides, strict=True)] if array.size else []
    if first + sum(min(s, 0) for s in steps) < 0 or (
            first + sum(max(s, 0) for s in steps) >= max(root.size, 1)):
        return None  # it goes beyond
    return {"strides": strides, "offset": first}


draw = Primitive("draw", lambda *operands, call, generator, aval: call(*operands),
                 abstract=lambda *operands, call, generator, aval: aval)
"""What a call gives that is different every time: random numbers, drawn from a generator."""
