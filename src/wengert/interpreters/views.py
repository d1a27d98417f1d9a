"""Views: tensors that share memory, and what a write through one means for the others.

NumPy gives the sharing. What is kept here is the history: a view knows its base and the
primitives that lead to it. A write through a view gives the *base* a new node (`CopySlices`)
whose operands are the base before and the view's new value. Other views find, when they are next
used, that the storage's version has moved on, and derive their history from the base's anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.formats import alike
from ..core.handle import Alias, Handle, plain_aval, storage_of
from ..core.levels import ground, here
from ..core.primitive import Primitive, primitive
from ..primitives.elementwise import where
from ..primitives.strides import OVERLAPPING
from .tape import Node, new, node_class, number, record


class Step:
    """One application of a view primitive on the way from a base to a view."""

    __slots__ = ("index", "params", "primitive")

    def __init__(self, primitive: Primitive, params: dict[str, Any], index: int | None) -> None:
        self.primitive, self.params, self.index = primitive, params, index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and (self.primitive, self.params, self.index) == (
            other.primitive, other.params, other.index)

    def __hash__(self) -> int:
        return hash((self.primitive, self.index, tuple(self.params.items())))

    def __call__(self, x: Any) -> Any:
        out = self.primitive(x, **self.params)
        return out if self.index is None else out[self.index]

    def aval(self, x: Aval) -> Aval:
        out: Any = self.primitive.abstract(x, **self.params)
        return out if self.index is None else out[self.index]

    def transpose(self, g: Any, x: Aval) -> Any:
        """What this step takes g from, with zeros elsewhere."""
        stand_in = np.broadcast_to(np.zeros((), x.numpy), x.shape)
        if self.index is not None:
            avals: Any = self.primitive.abstract(x, **self.params)
            g = [g if i == self.index else a.zeros() for i, a in enumerate(avals)]
        rule = self.primitive.rule(0)
        assert rule is not None
        return rule.fn(g, *rule.arguments([stand_in], None, self.params, 0))


Chain = tuple[Any, ...]


def shares(value: np.ndarray, operand: np.ndarray) -> bool:
    """Whether an array that NumPy derived from another lies in the other's memory."""
    base = value.base
    if base is None:
        return False
    return base is operand or base is operand.base or _owner(base) is _owner(operand)


def _owner(x: Any) -> Any:
    """What owns an array's memory; `as_strided` puts objects of its own in between."""
    while (base := getattr(x, "base", None)) is not None:
        x = base
    return x


def path(alias: Alias) -> Chain:
    """The steps from a view's base, as it now is, to the view: the base may have been given
    another shape in place since the view was made."""
    assert alias.base is not None and alias.base.alias is not None
    return (*alias.base.alias.back, *alias.chain)


def base_of(x: Any) -> Any:
    """The tensor that x is a view of; x itself if it is no view."""
    return x if x.alias is None or x.alias.base is None else x.alias.base


def make_view(primitive: Primitive, x: Any, out: Any, params: dict[str, Any], *,
              index: int | None = None, origin: str = "") -> None:
    """Notes that `out`, made from `x` by a view primitive, shares its memory (if it does)."""
    if not (isinstance(x, Handle) and shares(out.value, x.value)):
        return
    storage = storage_of(x)
    alias = x.alias
    assert alias is not None
    base = base_of(x)
    if not here.grad:
        origin = "inference" if here.inference else "no_grad"
    out.alias = Alias(storage, base, (*alias.chain, Step(primitive, params, index)),
                      origin or alias.origin)


def refresh(x: Handle) -> None:
    """Derives a view's history anew if its memory was written to since it was last derived."""
    alias = x.alias
    if alias is None or alias.base is None or alias.seen == alias.storage.version:
        return
    base = alias.base
    if base.aval.level is not None or x.aval.level is not None:
        _take_anew(x, base)
        return
    if base.node is None:
        alias.seen = alias.storage.version
        return
    if alias.origin in ("no_grad", "inference"):
        if here.grad and base.node.order != alias.made:
            raise RuntimeError(
                f"A view was created in {alias.origin} mode and its base or another view of its "
                "base has been modified inplace with grad mode enabled. Given that this use case "
                "is ambiguous and error-prone, it is forbidden. You can clarify your code by "
                "moving both the view and the inplace either both inside the no_grad block (if "
                "you don't want the inplace to be tracked) or both outside (if you want the "
                "inplace to be tracked).")
        return
    if alias.origin in FUNCTIONS and here.grad:
        raise RuntimeError(f"{output_words(x)} its base or another view of its base has been "
                           f"modified inplace. {FUNCTIONS[alias.origin]}")
    alias.seen = alias.storage.version
    node: Node = new(node_class(take_view))
    node.edges, node.order, node.saved, node.versions = (base.node,), number(), (), None
    node.ins, node.out, node.extra = (base.aval,), x.aval, None
    node.params = {"chain": path(alias)}
    x.node = node


def _take_anew(x: Handle, base: Handle) -> None:
    """Takes a view's value from its base, whose handle was rebound inside a transform."""
    alias = x.alias
    assert alias is not None
    new = follow(path(alias), base)
    x.value, x.aval, x.node, x.extra = new.value, new.aval, new.node, new.extra
    alias.seen = alias.storage.version


def output_words(view: Any) -> str:
    """How PyTorch calls one of several views, as "Output 0 of Unbind is a view and"."""
    if view.node is None:
        return "A view was created in no_grad mode and"
    if view.alias.origin.startswith("custom"):
        node = getattr(view.node, "node", view.node)
        name = type(node).__name__.partition("Backward")[0]
        return f"Output {getattr(view.node, 'index', 0)} of {name} is a view and"
    step = view.alias.chain[-1]
    name = node_class(step.primitive).__name__.partition("Backward")[0]
    return f"Output {step.index or 0} of {name} is a view and"


MULTIPLE = (
    "This view is the output of a function that returns multiple views. Such functions do not "
    "allow the output views to be modified inplace. You should replace the inplace operation by "
    "an out-of-place one.")

CUSTOM = (
    "This view was created inside a custom Function (or because an input was returned as-is) and "
    "the autograd logic to handle view+inplace would override the custom backward associated with "
    "the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix "
    "this by cloning the output of the custom Function.")

FUNCTIONS = {"multiple": MULTIPLE, "custom": CUSTOM, "custom multiple": MULTIPLE}
"""By a view's origin, why it must not be written through."""


def rebase(view: Handle) -> None:
    """Gives the base of a view that was just written its new history."""
    alias = view.alias
    assert alias is not None and alias.base is not None
    base = alias.base
    record(write_view, base, (base, view), (base.aval, view.aval), (base.node, view.node),
           {"chain": path(alias)})


def follow(chain: Chain, x: Any) -> Any:
    """The view of `x` that a chain of steps leads to."""
    for step in chain:
        x = step(x)
    return x


def _write(x: np.ndarray, y: np.ndarray, chain: Chain) -> np.ndarray:
    # What is a view of the tensor's own memory need not be one of a gradient's, whose elements
    # may lie in another order: there the chain copies.
    for order in ("K", "C"):
        out = np.array(x, order=order)
        view = follow(chain, out)
        if not view.size or np.may_share_memory(view, out):
            view[...] = y
            return out
    return _write_at_places(out, y, chain)


def _write_at_places(out: np.ndarray, y: np.ndarray, chain: Chain) -> np.ndarray:
    """The same for a contiguous array, by where the chain leads; 0 is outside."""
    places = follow(chain, np.arange(1, out.size + 1).reshape(out.shape))
    inside = places > 0
    out.reshape(-1)[places[inside] - 1] = np.broadcast_to(y, places.shape)[inside]
    return out


write_view = primitive(
    "write_view", _write, abstract=lambda x, y, chain: x, linear=True,
    vjp=(lambda g, y_aval, chain: write_view(g, y_aval.zeros(), chain=chain),
         lambda g, chain: take_view(g, chain=chain)),
    decompose=lambda x, y, chain: _overlay(x, y, chain), order=alike, node="CopySlices")
"""x with the part that `chain` views replaced by y."""

take_view = primitive(
    "take_view", lambda x, chain: follow(chain, x), linear=True,
    abstract=lambda x, chain: follow_aval(chain, x),
    vjp=(lambda g, x_aval, chain: _untake(g, x_aval, chain),),
    decompose=lambda x, chain: follow(chain, x),
    node="AsStridedBackward0")
"""The part of x that `chain` views (as a value: what is differentiated is the copy)."""


def _untake(g: Any, x: Aval, chain: Chain) -> Any:
    """Zeros with g where the chain leads; sums where an expanded view has one place for several."""
    avals = [x]
    for step in chain:
        avals.append(step.aval(avals[-1]))
    crowded = [step.primitive.name in OVERLAPPING for step in chain]
    if not any(crowded):
        return write_view(x.zeros(), g, chain=chain)
    for step, before, adds in reversed(list(zip(chain, avals, crowded, strict=False))):
        g = step.transpose(g, before) if adds else write_view(before.zeros(), g, chain=(step,))
    return g


def _overlay(x: Any, y: Any, chain: Chain) -> Any:
    """`write_view` in smaller steps: y is carried back to where the chain came from."""
    avals = [plain_aval(x)]
    mask = _write(np.zeros(avals[0].shape, np.bool_), np.ones((), np.bool_), chain)
    for step in chain:
        avals.append(step.aval(avals[-1]))
    for step, before in reversed(list(zip(chain, avals, strict=False))):
        y = step.transpose(y, before)
    return where(mask, y, x)


def follow_aval(chain: Chain, x: Aval) -> Aval:
    for step in chain:
        x = step.aval(x)
    return x


ground.refresh = refresh
