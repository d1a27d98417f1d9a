"""The pullback of one node: its rules, run on a cotangent and on what the node saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from ..core import blocks, dtypes, halves
from ..core.aval import LARGE, Aval
from ..core.handle import Handle, Storage, wrap
from ..core.levels import bare, here
from ..core.primitive import AVALS, LISTS, Rule
from ..primitives.layout import cast, conj, real, sum_to
from .packing import PackedValues, unpacked
from .tape import FREED, Node, Port, SavedOutput, SavedResult, new, versions


class Several(dict[int, Any]):
    """The cotangents of a node with several results, by place, of those that have arrived."""

    def listed(self, count: int) -> list[Any]:
        """All of them in order; None where none arrived."""
        return [self.get(place) for place in range(count)]

    def add(self, other: Several, plus: Callable[[Any, Any], Any]) -> Several:
        """This, with others that have arrived taken in."""
        for place, g in other.items():
            self[place] = plus(self[place], g) if place in self else g
        return self


def pullback(node: Any, g: Any, create: bool, needed: set[Any] | None) -> list[Any]:
    """The cotangents of a node's operands from that of its result.

    Args:
        node: the node.
        g: the cotangent: an array, or a tensor if `create`; `Several` for several results.
        create: whether to work on tensors, so that the work is recorded in its turn.
        needed: the nodes whose cotangents are wanted; None for all.
    """
    saved = node.saved
    if type(saved) is not tuple:
        if node.pull is not None:
            return node.pull(g, create, needed)
        node = opened(node, create)
        saved = node.saved
    rules, ins = node.rules, node.ins
    if type(rules) is not tuple:
        if node.primitive.multiple:
            return _at_once(node, rules, g, create, needed)
        rules = (rules,) * len(node.edges)
    if not (node.single and node.out.simple) or (create and isinstance(g, Handle)):
        return _by_all_rules(node, rules, g, create, needed)
    # Small, real and single-valued is the common case: its rules are called right here.
    found: list[Any] = []
    for edge, rule in zip(node.edges, rules):  # noqa: B905 - hot
        if edge is None or rule is None or (needed is not None and edge not in needed):
            found.append(None)
            continue
        if (only := rule.only) is not None:
            value = saved[only]
            if type(value) is not ndarray:
                value = (_read_below(node, only) if create else
                         value.value if (alias := value.alias) is None
                         or not alias.storage.version else read(node, only))
            cotangent = rule.fn(g, value)
        elif not rule.reads:
            cotangent = rule.fn(g)
        elif ins is None or (ins[0].simple and not halves.Met.yet):
            cotangent = rule.fn(g, *_arguments(node, rule, len(found), create))
        else:
            cotangent = _general(node, rule, len(found), g, create)
        if ins is not None and cotangent is not None:
            aval = ins[len(found)]
            if cotangent.dtype is not aval.numpy or cotangent.shape != aval.shape:
                cotangent = fit(cotangent, aval, node.primitive.elementwise)
        found.append(cotangent)
    return found


def _by_all_rules(node: Node, rules: Sequence[Rule | None], g: Any, create: bool,
                  needed: set[Any] | None) -> list[Any]:
    """`pullback` for a node that is large, complex, or has several results; or that is recorded."""
    ins = node.ins
    joint = {} if len(rules) < 2 else _jointly(node, rules, g, create, needed)
    found: list[Any] = []
    for i, (edge, rule) in enumerate(zip(node.edges, rules)):  # noqa: B905 - hot
        if edge is None or rule is None or (needed is not None and edge not in needed):
            found.append(None)
            continue
        if joint and i in joint:
            cotangent = joint[i]
        elif create and not rule.reads:
            cotangent = rule.fn(g)
        else:
            cotangent = _general(node, rule, i, g, create)
        if ins is not None and cotangent is not None:
            cotangent = fit(cotangent, ins[i], node.primitive.elementwise)
        found.append(cotangent)
    return found


_STATE = tuple(slot for slot in Node.__slots__ if not slot.startswith("_") and slot != "line")


def opened(node: Any, create: bool) -> Any:
    """A node whose saved values can be read: a twin, if they went through hooks.

    Raises:
        RuntimeError: if they were freed.
    """
    if node.saved is FREED:
        raise RuntimeError(SECOND_TIME)
    if type(node.saved) is not PackedValues:
        return node
    twin = twin_of(node, unpacked(node, create))
    if hasattr(node, "line"):
        twin.line = node.line
    twin.versions = versions(twin.saved)
    return twin


def twin_of(node: Any, saved: Sequence[Any]) -> Any:
    """A node that is like another, but for what it has saved."""
    twin = new(type(node))
    for slot in _STATE:
        setattr(twin, slot, getattr(node, slot))
    twin.saved, twin.versions = tuple(saved), None
    return twin


def kept(node: Node) -> list[Any]:
    """The tensors that `tape.keep` saved, with their history."""
    node = opened(node, True)
    return [read_tensor(node, place) for place in range(len(node.saved))]


def pull_port(port: Port, g: Any) -> list[Any]:
    """A port hands its cotangent to its place at the node with several results."""
    return [Several({port.index: g})]


def fill(node: Node, g: Several, create: bool) -> list[Any]:
    """The cotangents of all results of a node, zeros where none arrived."""
    found = g.listed(len(node.out))
    if not node.materializes:
        return found
    return [_zeros(aval, create) if v is None else v
            for v, aval in zip(found, node.out, strict=True)]


def read(node: Node, place: int) -> Any:
    """A saved value as an array.

    Raises:
        RuntimeError: if it was overwritten since it was saved.
    """
    value = node.saved[place]
    if type(value) is np.ndarray:
        return value
    alias = value.alias
    if alias is not None and alias.storage.version != (
            node.versions[place] if node.versions is not None else 0):
        raise RuntimeError(_overwritten(node, place))
    return value.value


def _read_below(node: Node, place: int) -> Any:
    """A saved value on a transform's tape: an array, if the tensor is no more than its numbers."""
    kept = read_tensor(node, place)
    return kept.value if isinstance(kept, Handle) and bare(kept) else kept


def read_tensor(node: Node, place: int) -> Any:
    """A saved value as a tensor with its history."""
    value = read(node, place)
    kept = node.saved[place]
    if not isinstance(kept, SavedOutput):
        return kept  # the operand itself, or a constant array
    out = wrap(value, kept.aval, node if type(kept) is not SavedResult else
               node.port(kept.index, kept.port))
    out.alias = kept.alias
    return out


def _at_once(node: Node, rule: Rule, g: list[Any], create: bool,
             needed: set[Any] | None) -> list[Any]:
    """The cotangents by a rule that gives them for all operands, from those of several results."""
    wanted = tuple([edge is not None and (needed is None or edge in needed)
                    for edge in node.edges])
    get = read_tensor if create and any(isinstance(each, Handle) for each in g) else (
        _getter(None, create))
    arguments = [wanted if name == "wanted" else _argument(node, name, 0, get, False)
                 for name in rule.reads]
    if not halves.Met.yet:
        return rule.fn(g, *arguments)
    avals = node.ins if node.ins is not None else (node.out,) * len(node.edges)
    return list(map(halves.rounded, rule.fn(*halves.widened([g, *arguments])), avals))


def _getter(g: Any, create: bool) -> Callable[[Node, int], Any]:
    """What reads saved values, for work on a cotangent."""
    return read if not create else read_tensor if isinstance(g, Handle) else _read_below


def _jointly(node: Node, rules: Sequence[Rule | None], g: Any, create: bool,
             needed: set[Any] | None) -> dict[int, Any]:
    """The cotangents that one kernel computes, by operand: of large arrays, if there are several;
    none if there is no such kernel."""
    primitive, out = node.primitive, node.out
    if type(g) is not np.ndarray or primitive.multiple or primitive.view or out.is_complex:
        return {}
    chosen = {i: rule for i, (edge, rule) in enumerate(zip(node.edges, rules, strict=True))
              if edge is not None and rule is not None and rule.reads
              and (needed is None or edge in needed)}
    if len(chosen) < 2:
        return {}
    get = _getter(g, create)
    values: list[Any] = []
    reads = []
    for i, rule in chosen.items():
        each = [_argument(node, name, i, get, False) for name in rule.reads]
        reads.append(tuple([_place_in(values, value) for value in each]))
    if any(isinstance(value, (Handle, list)) for value in values):
        return {}
    fn = _joint(tuple([rule.fn for rule in chosen.values()]), tuple(reads))
    targets = [_target(node, i) for i in chosen]
    found = blocks.together(fn, [g, *values], targets, primitive.elementwise)
    return {} if found is None else dict(zip(chosen, found, strict=True))


def _place_in(values: list[Any], value: Any) -> int:
    """Where a value stands among values, or from now on does."""
    for place, known in enumerate(values):
        if known is value:
            return place
    values.append(value)
    return len(values) - 1


@functools.lru_cache(maxsize=1024)
def _joint(rules: tuple[Callable[..., Any], ...], reads: tuple[tuple[int, ...], ...]
           ) -> Callable[..., tuple[Any, ...]]:
    """One function for several rules, each of which reads some of its arguments."""
    def fn(g: Any, *values: Any) -> tuple[Any, ...]:
        return tuple([rule(g, *[values[place] for place in places])
                      for rule, places in zip(rules, reads, strict=True)])

    return fn


def _general(node: Node, rule: Rule, i: int, g: Any, create: bool) -> Any:
    """Calls a rule that reads several things, or on complex, large or recorded values."""
    get = _getter(g, create)
    primitive = node.primitive
    params: Any = node.params or ()
    conjugate = primitive.conjugate and not primitive.multiple and node.out.is_complex
    arguments = [params[name] if name in params else _argument(node, name, i, get, conjugate)
                 for name in rule.reads]
    if (type(g) is np.ndarray and not primitive.multiple and _is_large(node)
            and not conjugate and not any(isinstance(a, Handle) for a in arguments)):
        cotangent = _large(node, rule, i, g, arguments)
        if cotangent is not None:
            return cotangent
    if halves.Met.yet and not (primitive.view or primitive.halves):
        return halves.call(rule.fn, _target(node, i), g, *arguments)
    return rule.fn(g, *arguments)


def _is_large(node: Node) -> bool:
    """Whether a node with one result has a large result or operand."""
    return node.out.numel >= LARGE or (node.ins is not None and node.ins[0].numel >= LARGE)


def _large(node: Node, rule: Rule, i: int, g: np.ndarray, arguments: list[Any]) -> Any:
    """Runs a rule on large arrays in blocks or by a kernel; None where it has to run as it is."""
    if node.primitive.elementwise:
        return blocks.map_rule(rule.fn, g, arguments, _target(node, i))
    if node.primitive.view:
        return None
    return blocks.by_arrays(rule.fn, [g, *arguments], _target(node, i), {})


def _target(node: Node, i: int) -> Aval:
    """The aval of what a rule computes for operand `i`."""
    if node.ins is None:
        return node.out
    return (node.out.with_dtype(node.ins[i].dtype) if node.primitive.elementwise else
            node.ins[i])


def _arguments(node: Node, rule: Rule, i: int, create: bool) -> list[Any]:
    """What a rule reads of a node that is small, real and single-valued."""
    found: list[Any] = []
    name: Any
    for name in rule.first:
        if type(name) is int:
            value = node.saved[name]
            if type(value) is not ndarray:
                value = (_read_below(node, name) if create else
                         value.value if (alias := value.alias) is None
                         or not alias.storage.version else read(node, name))
        elif (place := AVALS.get(name)) is not None:
            value = node.out if node.ins is None else node.ins[place]
        else:
            value = _argument(node, name, i, _read_below if create else read, False)
        found.append(value)
    if rule.named:
        assert node.params is not None
        found += map(node.params.__getitem__, rule.named)
    return found


def _argument(node: Node, name: int | str, i: int, get: Any, conjugate: bool) -> Any:
    if isinstance(name, int):
        if name < 0 and not node.single:
            return [get(node, place) for place in range(len(node.edges), len(node.saved))]
        value = get(node, name)
        return conj(value) if conjugate else value
    if name == "i":
        return i
    if name == "out_aval":
        return node.out
    ins = node.ins if node.ins is not None else (node.out,) * len(node.edges)
    if name == "avals":
        return ins
    if name in AVALS:
        return ins[AVALS[name]]
    if name in LISTS:
        places = range(LISTS[name], len(node.edges))
        return [_argument(node, place, i, get, conjugate) for place in places]
    assert node.params is not None
    return node.params[name]


def fit(cotangent: Any, aval: Aval, elementwise: bool) -> Any:
    """Undoes broadcasting and promotion: gives a cotangent its operand's shape and dtype."""
    if elementwise and cotangent.shape != aval.shape:
        cotangent = sum_to(cotangent, shape=aval.shape)
    kind = cotangent.dtype
    return cotangent if kind is aval.numpy or kind is aval.dtype else _converted(cotangent, aval)


def check_tangent(aval: Aval, t: Any) -> Any:
    """A tangent or cotangent for a tensor of an aval, of its shape and (made so) its dtype.

    Raises:
        RuntimeError: if the shape is another, or it is complex and the tensor is not.
    """
    if t.aval.shape != aval.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(aval.shape)} while the "
            f"given forward gradient is of size {list(t.aval.shape)}.")
    kind = aval.dtype
    if t.aval.dtype is kind:
        return t
    if not dtypes.can_cast(t.aval.dtype, kind):
        raise RuntimeError(f"the tangent of a tensor of dtype {kind} can't be of dtype "
                           f"{t.aval.dtype}")
    return cast(t, dtype=kind)


def _converted(cotangent: Any, aval: Aval) -> Any:
    kind = aval.dtype
    if isinstance(cotangent, Handle):
        if cotangent.aval.is_complex and not kind.is_complex:
            cotangent = real(cotangent)
        return cotangent if cotangent.aval.dtype is kind else cast(cotangent, dtype=kind)
    if cotangent.dtype.kind == "c" and not kind.is_complex:
        cotangent = cotangent.real
    return cotangent if cotangent.dtype == kind.numpy else cotangent.astype(kind.numpy)


def _zeros(aval: Aval, create: bool) -> Any:
    zeros = aval.zeros()
    return wrap(zeros, aval) if create else zeros


SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you "
    "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
    "through the graph a second time or if you need to access saved tensors after calling "
    "backward.")


def _overwritten(node: Node, place: int) -> str:
    """The message for a saved value that is no more what it was."""
    value = node.saved[place]
    maker = node if isinstance(value, SavedOutput) else getattr(value, "node", None)
    origin = "" if maker is None or maker.leaf else (
        f", which is output {getattr(maker, 'index', 0)} of "
        f"{getattr(maker, 'node', maker).name().partition('Backward')[0]},")
    expected = node.versions[place] if node.versions is not None else 0
    hint = _history(node, value.alias.storage, expected) or (
        "enable anomaly detection to find the operation that failed to compute its gradient, "
        "with torch.autograd.set_detect_anomaly(True, check_nan=False).")
    return ("one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [torch.{value.aval.dtype.words}Tensor {list(value.aval.shape)}]{origin} "
            f"is at version {value.alias.storage.version}; expected version {expected} instead. "
            f"Hint: {hint}")


def _history(node: Node, storage: Storage, saved: int) -> str:
    """What anomaly detection remembers of a saved value: who saved it, who overwrote it."""
    line = getattr(node, "line", None)
    write = next((at for version, at in getattr(storage, "writes", ()) if version > saved), None)
    if line is None and write is None:
        return "" if not here.anomaly else (
            "the operation that saved it ran before anomaly detection was enabled.")
    return " ".join(filter(None, (
        line and f"it was saved by the operation at {line}.",
        f"It was overwritten at {write}." if write else
        "It was overwritten there or anywhere later.")))
