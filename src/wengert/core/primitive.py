"""The record of a primitive: everything the system knows about one operation.

Interpreters walk primitives and know none by name. A record says how NumPy evaluates the
operation, what shape and dtype result, how it is differentiated and batched, and leaves room
for lowering. The families `elementwise` and `linear` fill in most of a record from one line.

Derivative rules are functions written in primitives and operators that work alike on arrays,
tensors and symbolic arrays. A rule's first argument is the tangent or cotangent, in which it is
linear; the names of its other arguments say what it reads, and so what a tape node must save:

    x, y, z, w    the values of operands 0 to 3         xs       all operands' values, a list
    out           the value of the result (a list,      from_n   those of operands n and on
                  if there are several)
    x_aval ...    operand avals (nothing is saved)      avals    all operands' avals
    out_aval      the result's aval                     i        which operand the rule is for
                                                        (else)   the parameter of that name

Rules are written as for real numbers. For complex results the tape hands a VJP the conjugates of
the values that it reads, which makes it PyTorch's convention for every function whose Taylor
coefficients are real; a primitive for which that is not so sets `conjugate=False`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import halves, levels
from .aval import Aval, aval_of
from .dtypes import BOOL, COMPLEX, FLOAT, INTEGER, bool_, dtype, int32
from .formats import Order, dense, joint
from .handle import Handle, plain_aval
from .levels import ground, here, shared

_OPERANDS = {"x": 0, "y": 1, "z": 2, "w": 3}
LISTS = {"xs": 0, "from_1": 1, "from_2": 2}
AVALS = {"x_aval": 0, "y_aval": 1, "z_aval": 2, "w_aval": 3}
_ASKED = {*LISTS, *AVALS, "avals", "out_aval", "i", "wanted"}
RuleFunction = Callable[..., Any]


class Rule:
    """A derivative rule with what it reads, worked out from its argument names.

    Attributes:
        fn: the function; linear in its first argument.
        reads: one getter per further argument: an int is a place in a node's saved values
            (-1: the result), a string any other name.
        named: those of them at the end that are parameters of the primitive.
        first: those before.
        only: the place, where the rule reads exactly one saved value; else None.
        saves: the places that must be saved for it.
        saves_from: the place from which on all operands must be saved; None if no such list.
    """

    __slots__ = ("first", "fn", "named", "only", "reads", "saves", "saves_from")

    def __init__(self, fn: RuleFunction) -> None:
        self.fn = fn
        names = fn.__code__.co_varnames[1:fn.__code__.co_argcount]
        self.reads: tuple[int | str, ...] = tuple(
            -1 if name == "out" else _OPERANDS.get(name, name) for name in names)
        count = len(names)
        while count and isinstance(self.reads[count - 1], str) and names[count - 1] not in _ASKED:
            count -= 1
        self.first, self.named = self.reads[:count], names[count:]
        self.saves = tuple(read for read in self.reads if isinstance(read, int))
        self.only = self.saves[0] if len(self.saves) == len(self.reads) == 1 else None
        self.saves_from = next((LISTS[n] for n in names if n in LISTS), None)

    def saved_places(self, operands: int) -> Sequence[int]:
        """The places that must be saved for the rule, given the number of operands."""
        if self.saves_from is None:
            return self.saves
        return (*self.saves, *range(self.saves_from, operands))

    def arguments(self, values: Sequence[Any], out: Any, params: dict[str, Any],
                  i: int) -> list[Any]:
        """What the rule reads, for operand `i` of an application with these operands and result."""
        return [self._argument(read, values, out, params, i) for read in self.reads]

    @staticmethod
    def _argument(read: int | str, values: Sequence[Any], out: Any, params: dict[str, Any],
                  i: int) -> Any:
        if isinstance(read, int):
            return out if read < 0 else values[read]
        if read in LISTS:
            return list(values[LISTS[read]:])
        if read in AVALS:
            return plain_aval(values[AVALS[read]])
        if read == "avals":
            return tuple(map(plain_aval, values))
        if read == "out_aval":
            return plain_aval(out)
        return i if read == "i" else params[read]


class Primitive:
    """One operation. See the module's text for how rules are written.

    Attributes:
        name: as users know it, "tanh".
        evaluate: arrays and parameters to an array (a tuple, if `multiple`).
        abstract: avals and parameters to the result's aval(s); raises for operands that do not
            fit, so that nothing is computed then. Memoised.
        vjp: a rule per operand (None: no derivative); one rule for all, if variadic; None if the
            primitive has no derivative, or its decomposition answers. One rule of a primitive with
            several results is given the list of their cotangents (None for those that are
            missing) and gives the list of all operands'; it may read `wanted`: by operand, whether
            its cotangent is asked for.
        jvp: likewise, each giving that operand's part of the tangent. For elementwise
            primitives it is `vjp` itself. One rule of a primitive with several results is given the
            list of all operands' tangents (None for zeros) and gives that of the results'.
        linear: the places of the operands in which the primitive is linear, taken together, so
            that it is its own JVP; True for all, False for none.
        multilinear: whether it is linear in each operand apart, as a product is.
        elementwise: whether it acts on broadcast elements alone.
        view: whether the result may share the operand's memory.
        multiple: whether it has several results.
        conjugate: whether a VJP is handed conjugates (see above).
        ufunc: the NumPy ufunc that computes it, where one does, for `out=` and blocks.
        scalar: whether native code has an operation of the primitive's name for an element, though
            there is no `ufunc`.
        store: stores the result in the first operand (an array), where that is cheaper than
            computing it apart and copying.
        batch: how it applies to operands with a leading dimension more (see
            `interpreters/batching.py`); None where the generic rule of its family does.
        lower: gives the operation in the primitives that the compiler makes loops of, for operands
            that are not complex: a function of tensors like `decompose`, whose place it takes
            there. It may look at shapes, dtypes and parameters only; an application of the
            primitive itself in it stays (see `compiler/expand.py`). Elementwise primitives with a
            `ufunc` need none.
        decompose: gives the operation in smaller primitives; answers for rules that are missing.
        refuses: the dtypes that PyTorch's operation does not take, by letter (b: bool, i: integers,
            f: floats, c: complex), and what the error says: the name that it gives the operation,
            a whole sentence, or an exception.
        aligned: whether elements depend on operands' elements at their own places alone, or on
            whole operands that may not lie across what is written in place.
        uniform: whether all elements of the result are the same, so that it may be written where
            several elements share one place.
        halves: whether halves are evaluated as they are, since numbers are only moved about, or
            what is found is not what float32 would give (see `core/halves.py`).
        terms: of a product summed over dimensions, a letter per dimension: those of each operand
            and those of the result, as `(("ij", "jk"), "ik")`; None if it isn't one.
        order: how results lie where operands are not contiguous (see `core/formats.py`): those of
            elementwise primitives as the first operand, others contiguous, unless it is given;
            None for views.
        node_name: how the tape node is called, "TanhBackward0".
    """

    __slots__ = ("abstract", "aligned", "batch", "conjugate", "decompose", "elementwise",
                 "evaluate", "halves", "jvp", "linear", "lower", "multilinear", "multiple", "name",
                 "node_class", "node_name", "order", "scalar", "store", "terms", "ufunc", "uniform",
                 "view", "vjp")

    def __init__(self, name: str, evaluate: Callable[..., Any], *,
                 abstract: Callable[..., Any],
                 vjp: Sequence[RuleFunction | None] | RuleFunction | None = None,
                 jvp: Sequence[RuleFunction | None] | RuleFunction | None = None,
                 linear: bool | tuple[int, ...] = False, multilinear: bool = False,
                 elementwise: bool = False, view: bool = False, multiple: bool = False,
                 conjugate: bool = True, ufunc: np.ufunc | None = None, scalar: bool = False,
                 store: Callable[..., None] | None = None,
                 batch: Callable[..., Any] | None = None, lower: Callable[..., Any] | None = None,
                 decompose: Callable[..., Any] | None = None, node: str = "",
                 refuses: dict[str, Any] | None = None, aligned: bool = True, halves: bool = False,
                 uniform: bool = False, order: Order | None = None,
                 terms: tuple[tuple[str, ...], str] | None = None) -> None:
        self.name, self.evaluate = name, evaluate
        self.abstract = functools.lru_cache(maxsize=512)(_refusing(abstract, refuses or {}))
        self.vjp, self.jvp = _rules(vjp), _rules(jvp)
        _check_named(name, (self.vjp, self.jvp), evaluate, abstract)
        self.linear, self.multilinear = linear, multilinear
        self.elementwise, self.view = elementwise, view
        self.multiple, self.conjugate, self.ufunc, self.store = multiple, conjugate, ufunc, store
        self.scalar, self.halves = scalar, halves
        self.batch, self.lower, self.decompose = batch, lower, decompose
        self.aligned, self.uniform, self.terms = aligned, uniform, terms
        self.order = None if view else order or (joint if elementwise else dense)
        self.node_name = node or f"{_camel(name)}Backward0"
        self.node_class: Any = None  # made by the tape on first need

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Applies the primitive: to plain arrays at once, to tensors by their interpreter."""
        for operand in operands:
            if isinstance(operand, Handle):
                if shared.special:
                    if here.levels:
                        return levels.bind(self, operands, params)
                    if (recorder := here.recorder) is not None:
                        return recorder.interpret(self, operands, params)
                return ground.interpret(self, operands, params)
        if shared.special and here.recorder is not None:
            return here.recorder.apply(self, operands, params)
        return (self.on_arrays(operands, params) if halves.Met.yet else
                self.evaluate(*operands, **params))

    def on_arrays(self, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
        """The value of an application to plain arrays."""
        if not any(map(halves.is_half, arrays)):
            return self.evaluate(*arrays, **params)
        result = self.abstract(*map(aval_of, map(np.asarray, arrays)), **params)
        found = self.evaluate(*halves.operands(self, arrays), **params)
        if self.multiple:
            return tuple(map(functools.partial(levels.quietly, halves.rounded), found, result))
        return levels.quietly(halves.rounded, found, result)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def named(self, node: str, **changed: Any) -> Primitive:
        """The same primitive under another node name, as PyTorch's overloads have them, with
        fields changed if any are given."""
        twin = object.__new__(Primitive)
        for slot in Primitive.__slots__:
            setattr(twin, slot, getattr(self, slot))
        twin.node_name, twin.node_class = node, None
        for field, value in changed.items():
            setattr(twin, field, value)
        return twin

    def rule(self, i: int) -> Rule | None:
        """The VJP rule of operand `i`."""
        return self.vjp[i] if isinstance(self.vjp, tuple) else self.vjp

    @property
    def differentiable(self) -> bool:
        return self.vjp is not None or self.decompose is not None


_LETTERS = {BOOL: "b", INTEGER: "i", FLOAT: "f", COMPLEX: "c"}


def _refusing(abstract: Callable[..., Any], refuses: dict[str, Any]) -> Callable[..., Any]:
    """`abstract`, which also refuses the dtypes that the operation does not take."""
    if not refuses:
        return abstract

    def checked(*avals: Aval, **params: Any) -> Any:
        result = abstract(*avals, **params)
        kind = avals[-1].dtype
        for letters, words in refuses.items():
            if _LETTERS[kind.category] in letters:
                raise _refusal(words, kind)
        return result

    return checked


def _refusal(words: Any, kind: dtype) -> Exception:
    if isinstance(words, Exception):
        return type(words)(*words.args)
    if " " in words:
        return NotImplementedError(words)
    return NotImplementedError(f'"{words}" not implemented for \'{kind.words}\'')


TABLE: dict[str, Primitive] = {}
"""Every primitive by name: what the generated tests and the coverage table walk."""


def register(primitive: Primitive) -> Primitive:
    """Enters a primitive into the table.

    Raises:
        ValueError: if the name is taken.
    """
    if primitive.name in TABLE:
        raise ValueError(f"primitive {primitive.name!r} is in the table already")
    TABLE[primitive.name] = primitive
    return primitive


def primitive(name: str, evaluate: Callable[..., Any], **fields: Any) -> Primitive:
    """A primitive of no family, entered into the table; `fields` as for `Primitive`."""
    return register(Primitive(name, evaluate, **fields))


def linear(name: str, evaluate: Callable[..., Any], transpose: RuleFunction,
           **fields: Any) -> Primitive:
    """A primitive of one operand in which it is linear, given by its transpose."""
    return primitive(name, evaluate, vjp=(transpose,), linear=True, **fields)


def elementwise(name: str, ufunc: Callable[..., Any], *maps: RuleFunction | None,
                result: str = "same", **fields: Any) -> Primitive:
    """A primitive that acts on broadcast elements, with one linear map per operand.

    Its Jacobian is diagonal, so one map serves as VJP and JVP both: it takes the tangent (or
    cotangent) of an element, and what it reads, to that of the result (or operand).

    Args:
        name: the primitive's name.
        ufunc: a NumPy ufunc, or a function of arrays like one.
        maps: one rule per operand; none at all if the operation has no derivative.
        result: the result's dtype: "same" as the last operand's, "bool", "int", "real" (the real
            dtype of a complex operand's parts) or "complex" (that of parts like the operand).
        fields: as for `Primitive`; `jvp` where a tangent's map is not the cotangent's.

    Example:
        tanh = elementwise("tanh", np.tanh, lambda g, x: g * sech2(x))
    """
    fields.setdefault("ufunc", ufunc if isinstance(ufunc, np.ufunc) else None)
    fields.setdefault("vjp", maps or None)
    fields.setdefault("jvp", fields["vjp"])
    return primitive(name, ufunc, abstract=functools.partial(_elementwise_aval, name, result),
                     elementwise=True, **fields)


def broadcast_shapes(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The common shape that all the shapes broadcast to.

    Raises:
        RuntimeError: in PyTorch's words, naming the sizes and the dimension that do not fit.
    """
    ndim = max(map(len, shapes))
    result = [1] * ndim
    for shape in shapes:
        for dim, n in reversed(tuple(enumerate(shape, ndim - len(shape)))):
            if n != 1 and result[dim] == 1:
                result[dim] = n
            elif n not in (1, result[dim]):
                raise RuntimeError(
                    f"The size of tensor a ({result[dim]}) must match the size of tensor b ({n}) "
                    f"at non-singleton dimension {dim}")
    return tuple(result)


def _elementwise_aval(name: str, result: str, *avals: Aval, **params: Any) -> Aval:
    shape = broadcast_shapes([a.shape for a in avals])
    last = avals[-1]
    return last.with_dtype(_RESULTS[result](last.dtype)).with_shape(shape)


_RESULTS: dict[str, Callable[[dtype], dtype]] = {
    "same": lambda kind: kind, "bool": lambda kind: bool_, "int": lambda kind: int32,
    "real": dtype.to_real, "complex": dtype.to_complex}


def _rules(given: Any) -> tuple[Rule | None, ...] | Rule | None:
    if given is None:
        return None
    if callable(given):
        return Rule(given)
    return tuple(None if fn is None else Rule(fn) for fn in given)


def _check_named(primitive: str, given: Sequence[Any], *takers: Callable[..., Any]) -> None:
    """Refuses rules that read what is neither an operand nor a parameter.

    Raises:
        TypeError: if one does.
    """
    rules = [rule for each in given for rule in (each if isinstance(each, tuple) else (each,))]
    read = {name for rule in rules if rule is not None for name in rule.named}
    if not read:
        return
    taken = next(filter(None, map(_names, takers)), read)
    for name in read:
        if name not in taken:
            raise TypeError(f"a rule of the primitive {primitive!r} reads {name!r}, which is no "
                            "operand, aval or parameter of it")


def _names(function: Any) -> Sequence[str] | None:
    """The names of a function's arguments; None if it takes any, or doesn't tell."""
    if isinstance(function, np.ufunc):
        return ("out",)
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARKEYWORDS:
        return None
    return code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
