"""A function with derivative rules of its own at the ground: its outputs get their history.

What it wrote in place, returned as it was given, or returned as a view, is seen to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.handle import Alias, Handle, storage_of, wrap
from ..core.levels import here
from ..core.provenance import warn
from .custom_node import CustomNode, attach
from .custom_outputs import check_marks, closed_over, ids, listed, structured
from .inplace import check_history, move_retain, written
from .tape import AccumulateGrad, number
from .views import base_of, rebase


def bare(x: Any) -> Any:
    """A tensor in the same memory, without history; what is no tensor, as it is."""
    if not isinstance(x, Handle):
        return x
    out = wrap(x.value, x.aval)
    if x.alias is not None:
        out.alias = Alias(x.alias.storage)
    return out


def join(x: Any, arg: Any) -> None:
    """Has writes to an argument noticed by views of its bare twin."""
    if x is not arg and isinstance(x, Handle) and x.alias is not None and arg.alias is None:
        arg.alias = Alias(x.alias.storage)
        if arg.node is not None:
            arg.node.share(arg.alias)


def finish(node: CustomNode, args: Sequence[Any], output: Any) -> Any:
    """The outputs with their history, after the function has run.

    Raises:
        RuntimeError: if `mark_dirty` was given something else than the outputs, or a leaf; if an
            output comes from tensors of a transform that the function closes over.
    """
    if isinstance(output, Handle) and output.alias is None and not node.marked and not any(
            output is arg for arg in args):
        return _finish_one(node, output)
    outs = listed(output)
    recorded = here.grad and any(node.needs_input_grad)
    if node.dirty_tensors:
        _check_dirty(node, args, outs, recorded)
    given = ids(arg for arg in args if isinstance(arg, Handle))
    dirty, fixed = ids(node.dirty_tensors) & given, ids(node.non_differentiable)
    found = [_returned(out) if id(out) in given - dirty else out for out in outs]
    carriers = [(i, out) for i, out in enumerate(found) if isinstance(out, Handle)
                and id(outs[i]) not in fixed and out.aval.dtype.differentiable]
    for out in found:
        if id(out) in dirty:
            written(out)
        elif isinstance(out, Handle):
            _check_plain(out)
            out.node = None
    if here.grad:
        _forbid_writes([out for out in found if id(out) not in dirty], len(carriers) > 1)
    if recorded:
        before = [(out, out.node) for _, out in carriers if id(out) in dirty]
        attach(node, found, carriers)
        for out, old in before:
            _rewritten(out, old)
        node.save(outs, found)
    node.clear()
    return structured(output, found)


def _finish_one(node: CustomNode, out: Any) -> Any:
    """The commonest case: one tensor that the function made, and nothing marked."""
    kind = out.aval
    if kind.level is not None:
        _check_plain(out)
    if here.grad and kind.dtype.differentiable and any(node.needs_input_grad):
        node.order, node.out, out.node = number(), kind, node
        if here.anomaly:
            here.anomaly.mark(node)
        node.save((out,), (out,))
    else:
        out.node = None
    node.clear()
    return out


def _check_plain(out: Any) -> None:
    """Refuses an output of a transform's level: no argument had one, and no rule knows of it."""
    level = out.aval.level
    if level is not None and level.alive and here.grad:
        raise closed_over(level.word)


def _returned(x: Any) -> Any:
    """An argument that was returned as it was given: a view of it."""
    out = wrap(x.value, x.aval)
    storage = storage_of(x)
    out.alias = Alias(storage, base_of(x), x.alias.chain) if here.grad else Alias(storage)
    return out


def _forbid_writes(outs: Sequence[Any], several: bool) -> None:
    """Has views that the function made refuse to be written through."""
    for out in outs:
        old = out.alias if isinstance(out, Handle) else None
        if old is not None and old.base is not None:
            out.alias = Alias(old.storage, old.base, old.chain,  # others keep theirs
                              "custom multiple" if several else "custom")


def _rewritten(x: Any, old: Any) -> None:
    """Sees to the rest of an argument's history, which was written and has its new node."""
    move_retain(x, old)
    base = x.alias.base
    if base is not None:
        last = base.node
        rebase(x)
        move_retain(base, last)


def _check_dirty(node: CustomNode, args: Sequence[Any], outs: Sequence[Any],
                 recorded: bool) -> None:
    check_marks(node, outs)
    for x in node.dirty_tensors or ():
        if not any(arg is x for arg in args):
            warn(_NO_INPUT)
            continue
        if not recorded:
            continue
        if isinstance(x.node, AccumulateGrad):
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place "
                               "operation.")
        if base_of(x) is not x and sum(isinstance(out, Handle) for out in outs) > 1:
            raise RuntimeError(
                "If your Function modifies inplace an input that is a view of another Tensor, "
                "your Function cannot return more than one Tensor. This is not supported by the "
                "current autograd engine. You should either make sure the input is not a view "
                "(using .clone() for example) or make your Function only return one Tensor "
                "(potentially splitting it into two Functions: one doing the inplace that returns "
                "a single Tensor and a second one that does the other operations). You can ask on "
                "the forum https://discuss.pytorch.org/ if you need help to do this change.")
        check_history(x, recorded)


_NO_INPUT = ("ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that "
             "have been mutated should be passed to ctx.mark_dirty().")
