"""The usual call: a compiled function called as it was called before, told by as little as will do.

The kind of a call's arguments is a key that takes longer to make than a small function to run.
When the arguments are tensors, or the very same objects as before, it is enough to look at each.
Tuples, lists and dicts of them are taken apart by what is known of their structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...core.dtypes import get_default_dtype
from ...core.handle import Handle
from ...core.levels import here, shared
from ...core.pytrees import Spec
from ..recording.record import Missed

if TYPE_CHECKING:
    from ..api import Compiled
    from .case import Case

UNUSUAL: Any = object()
"""What the usual way gives for a call that is another."""
Usual = Callable[["Compiled[Any, Any]", tuple[Any, ...], dict[str, Any]], Any]
"""Calls a compiled function with arguments, if they are as before."""
Opener = Callable[[Any, list[Any]], bool]
"""Adds what is in a container to a list; says whether it is of the structure that is known."""


def usual_way(spec: Spec, leaves: Sequence[Any], case: Case) -> Usual | None:
    """The short way for calls like one; None if they can't be told by so little.

    Args:
        spec: the structure of its arguments (args, kwargs).
        leaves: what is in them.
        case: what the function has become for them.
    """
    args, kwargs = spec.children
    flat = not kwargs.children and all(child.kind is None for child in args.children)
    opened = None if flat else _opener(spec)
    given = [x for x in leaves if isinstance(x, Handle)]
    if (not flat and opened is None) or len(set(map(id, given))) < len(given) or any(
            x.alias is not None and x.alias.storage.inference for x in given):
        return None
    tensors = [(i, x.aval, x.value.strides, x.node is None)
               for i, x in enumerate(leaves) if isinstance(x, Handle)]
    others = [(i, x) for i, x in enumerate(leaves) if not isinstance(x, Handle)]
    count, default, inputs = len(leaves), get_default_dtype(), case.inputs
    grad, inference, many = here.grad, here.inference, len(tensors) > 1

    def way(compiled: Compiled[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if opened is None:
            found: Sequence[Any] = args
            if kwargs or len(args) != count:
                return UNUSUAL
        elif not opened((args, kwargs), found := []):
            return UNUSUAL
        if get_default_dtype() is not default:
            return UNUSUAL
        if (shared.special or not grad) and (
                here.grad is not grad or here.inference is not inference or extraordinary()):
            return UNUSUAL
        handles: Any = []
        for i, aval, strides, plain in tensors:
            x = found[i]
            if not isinstance(x, Handle) or x.aval is not aval or (
                    (x.node is None) is not plain) or x.value.strides != strides:
                return UNUSUAL
            alias = x.alias
            if alias is not None and (alias.storage.inference or (
                    alias.base is not None and alias.seen != alias.storage.version)):
                return UNUSUAL
            handles.append(x)
        for i, x in others:
            if found[i] is not x:
                return UNUSUAL
        if many and len(set(map(id, handles))) < len(handles):
            return UNUSUAL
        values: Sequence[Any] = ()
        if not inputs.alone:
            known = inputs.find(handles)
            if known is None:
                return UNUSUAL
            handles, values = known
        result = case.run(handles, values, (compiled.fn, args, kwargs))
        if type(result) is Missed:
            return compiled.learn(args, kwargs, case, values, result)
        return result

    return way


def _opener(spec: Spec) -> Opener | None:
    """What takes containers of a structure apart; None if there are others than Python's own."""
    if spec.kind not in (tuple, list, dict):
        return None
    parts = [None if part.kind is None else _opener(part) for part in spec.children]
    if any(made is None and part.kind for made, part in zip(parts, spec.children, strict=True)):
        return None
    kind, count, keys = spec.kind, len(parts), spec.context

    def opened(tree: Any, leaves: list[Any]) -> bool:
        if type(tree) is not kind or len(tree) != count or (kind is dict and list(tree) != keys):
            return False
        items = tree.values() if isinstance(tree, dict) else tree
        for part, x in zip(parts, items):  # noqa: B905 - hot
            if part is None:
                leaves.append(x)
            elif not part(x, leaves):
                return False
        return True

    return opened


def extraordinary() -> bool:
    """Whether something is in force under which functions run as they are."""
    return bool(here.recorder is not None or here.levels or here.anomaly or here.hooks)
