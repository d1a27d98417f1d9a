"""`once_differentiable`: for rules of which there is no second derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..core.handle import Handle
from ..core.levels import deepest, here, modes
from ..interpreters.custom import Custom, bind
from ..interpreters.custom_batching import mapped
from ..interpreters.custom_lifted import twin
from ..interpreters.custom_node import CustomNode


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A `backward` that is not recorded: differentiating what it gave is an error.

    Without it, operations in `backward` that have no derivative, or NumPy's, would silently give a
    wrong one.

    Example:
        >>> import wengert as torch
        >>> class Square(torch.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x
        ...     @staticmethod
        ...     @torch.autograd.function.once_differentiable
        ...     def backward(ctx, grad):
        ...         return 2 * grad * ctx.saved_tensors[0]
        >>> x, v = torch.tensor(3., requires_grad=True), torch.tensor(1., requires_grad=True)
        >>> (g,) = torch.autograd.grad(Square.apply(x), x, v, create_graph=True)
        >>> g.backward()
        Traceback (most recent call last):
        RuntimeError: trying to differentiate twice a function that was marked with ...
    """

    @functools.wraps(fn)
    def once(ctx: Any, *args: Any) -> Any:
        with modes(grad=False):
            outputs = fn(ctx, *args)
        if not here.grad:
            return outputs
        read = [arg for arg in args if isinstance(arg, Handle)]
        if deepest(found := _tensors(ctx, read)) is not None:
            read = found  # under transforms nobody else would notice
        if not any(map(_recorded, read)):
            return outputs
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        given = [out for out in several if isinstance(out, Handle)]
        after = bind(_Refusal(len(given)), (*given, *read))
        refused = iter(after if isinstance(after, tuple) else (after,))
        changed = tuple(next(refused) if isinstance(o, Handle) else o for o in several)
        return changed if isinstance(outputs, tuple) else changed[0]

    return once


def _tensors(ctx: Any, args: Sequence[Any]) -> list[Any]:
    return [*args, *(t for t in ctx.saved_tensors if isinstance(t, Handle))]


def _recorded(x: Any) -> bool:
    """Whether a tensor, or what it stands for at any level below, has a history."""
    while isinstance(x, Handle):
        if x.node is not None:
            return True
        x = x.value
    return False


class Error(CustomNode):
    """The node of what must not be differentiated."""

    __slots__ = ()


class _Refusal(Custom):
    """Gives its first arguments as they are, and refuses to be differentiated."""

    node_class = Error

    def __init__(self, count: int) -> None:
        self.count = count

    def plain(self, args: Sequence[Any]) -> Any:
        return args[0] if self.count == 1 else tuple(args[:self.count])

    def run(self, node: CustomNode, args: Sequence[Any]) -> Any:
        outs = [twin(arg) for arg in args[:self.count]]
        return outs[0] if self.count == 1 else tuple(outs)

    def backward(self, node: CustomNode, grads: Sequence[Any]) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with "
                           "@once_differentiable")

    def push(self, node: CustomNode, args: Sequence[Any], tangents: Sequence[Any]) -> Any:
        found = tangents[0] if self.count == 1 else tuple(tangents[:self.count])
        return self.run(node, args), found

    def batch(self, level: Any, args: Sequence[Any]) -> Any:
        return mapped(self, level, args)
