"""A function with derivative rules of its own at the levels that lift: it is computed below.

A reverse level gives the outputs a node whose pullback is the user's rule, a forward level the
tangents that the rule gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.handle import Alias, Handle, plain_aval, wrap
from ..core.levels import here, modes
from .custom import Custom
from .custom_node import CustomNode, attach, begin
from .custom_outputs import check_marks, closed_over, ids, listed, structured
from .eager import settled
from .inplace import Lent, check_leaf
from .pullback import check_tangent
from .views import refresh

if TYPE_CHECKING:
    from .forward import Forward
    from .lifted import Lifted
    from .reverse import Reverse


def lowered(level: Lifted, args: Sequence[Any]) -> list[Any]:
    """What the arguments are below: tensors of their own, which may be written to.

    Below, values are shared freely. So a function that writes in place gets a copy the moment
    that it writes (see `inplace.own`), and its handle can be rebound.
    """
    return [twin(level.value(arg)) if isinstance(arg, Handle) else arg for arg in args]


def twin(value: Any) -> Any:
    """Another tensor for a value of any level, or for an array."""
    if not isinstance(value, Handle):
        out = wrap(_protected(value))
        out.extra = Lent()
        return out
    if value.alias is not None:
        refresh(value)
    level = value.aval.level
    if level is not None:
        out = wrap(twin(value.value) if level.writes_below else value.value, value.aval,
                   value.node)
        out.extra = value.extra
        return out
    out = wrap(_protected(value.value), value.aval, value.node)
    out.extra = Lent()
    if value.alias is not None:
        out.alias = Alias(value.alias.storage)
    return out


def _protected(array: np.ndarray) -> np.ndarray:
    array = array.view()
    array.flags.writeable = False
    return array


def recorded(level: Reverse, custom: Custom, args: Sequence[Any]) -> Any:
    """The outputs at a reverse level, with a node whose pullback is the user's."""
    node = begin(custom, args, level)
    derived = here.grad and any(node.needs_input_grad)
    values = lowered(level, args)
    with modes(grad=here.grad and level.outside):
        output = (custom.run if derived else custom.pass_on)(node, values)
    outs = listed(output)
    check_marks(node, outs)
    raised = _raised(level, args, values, outs,
                     lambda out: here.grad and out.aval.dtype.differentiable)
    if derived:
        fixed = ids(node.non_differentiable)
        attach(node, raised, [
            (i, after) for i, (out, after) in enumerate(zip(outs, raised, strict=True))
            if isinstance(out, Handle) and id(out) not in fixed
            and out.aval.dtype.differentiable])
        node.save(outs, outs, own=False)
    return _written(level, node, args, values, output, raised)


def pushed(level: Forward, custom: Custom, args: Sequence[Any]) -> Any:
    """The outputs at a forward level, with the tangents that the user's rule gives."""
    values = lowered(level, args)
    tangents = [level.tangent(arg) for arg in args]
    node, found = begin(custom, args), None
    if all(t is None for t in tangents):
        output = custom.pass_on(node, values)
    else:
        node.put(needs_input_grad=tuple(t is not None for t in tangents))
        output, found = custom.push(node, values, [None if t is None else twin(t)
                                                   for t in tangents])
    outs = listed(output)
    check_marks(node, outs)
    raised = _raised(level, args, values, outs, lambda out: out.extra is not None)
    if found is not None:
        fixed = ids(node.non_differentiable)
        for after, out, t in zip(raised, outs, _tangents(level, outs, found), strict=True):
            if t is not None and id(out) not in fixed:
                after.extra = t
    return _written(level, node, args, values, output, raised)


def _raised(level: Lifted, args: Sequence[Any], values: Sequence[Any], outs: Sequence[Any],
            lost: Callable[[Any], bool]) -> list[Any]:
    """Tensors of this level for the outputs below.

    Raises:
        RuntimeError: if the function closes over tensors of the level, and a derivative by them
            would be `lost` with an output.
    """
    whole = {id(v): level.value(arg) for v, arg in zip(values, args, strict=True)
             if isinstance(v, Handle) and type(v.extra) is Lent}  # returned as it was given
    found = []
    for out in outs:
        if isinstance(out, Handle):
            value = whole.get(id(out))
            if value is None:
                value = _free(_below(level, out, lost))
            out = level.wrap(value)
        found.append(out)
    return found


def _below(level: Lifted, x: Any, lost: Callable[[Any], bool]) -> Any:
    """What a rule gave, below a level, if no derivative is `lost` by that."""
    at = x.aval.level
    if at is None or not at.alive or at.depth < level.depth:
        return x
    if at is not level or lost(x):
        raise closed_over(at.word)
    return twin(x.value)


def _free(out: Any) -> Any:
    """An output as a value: the array, if there is no more to it."""
    if out.aval.level is None and out.node is None and not out.value.flags.writeable:
        return np.array(out.value)  # in memory that was lent
    return settled(out)


def _written(level: Lifted, node: CustomNode, args: Sequence[Any], values: Sequence[Any],
             output: Any, raised: Sequence[Any]) -> Any:
    """The outputs; arguments that were written to hold what was written, and are returned."""
    found = list(raised)
    dirty = ids(node.dirty_tensors)
    for i, out in enumerate(listed(output)):
        place = next((k for k, v in enumerate(values) if v is out), None)
        if id(out) in dirty and place is not None:
            x = found[i] = args[place]
            if here.grad:
                check_leaf(x)
            level.hold(x, raised[i])
    node.clear()
    return structured(output, found)


def _tangents(level: Lifted, outs: Sequence[Any], found: Any) -> list[Any]:
    """The tangents that a rule gave, checked and as values.

    Raises:
        RuntimeError: if their number, a type or a shape is wrong.
    """
    found = listed(found)
    if len(found) != len(outs):
        raise RuntimeError("Function's jvp returned an invalid number of forward gradients "
                           f"(expected {len(outs)} but got {len(found)})")
    return [_tangent(level, out, t, i) for i, (out, t) in enumerate(zip(outs, found, strict=True))]


def _tangent(level: Lifted, out: Any, t: Any, i: int) -> Any:
    if t is not None and not isinstance(t, Handle):
        raise RuntimeError(f"expected Variable or None (got {type(t).__name__}) for grad output "
                           f"{i}.")
    if t is None or not isinstance(out, Handle) or not out.aval.dtype.differentiable:
        return None
    return _free(check_tangent(plain_aval(out), _below(level, t, lambda t: False)))
