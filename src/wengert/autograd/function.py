"""`Function`: an operation with a derivative that the user writes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.handle import Handle
from ..core.levels import in_charge
from ..core.provenance import warn
from ..core.pytrees import flatten, spread
from ..interpreters.batching import Batch
from ..interpreters.custom import Staged, bind
from ..interpreters.custom_batching import away, mapped, raised, values_of
from ..interpreters.custom_ctx import MARKS, FunctionCtx
from ..interpreters.custom_node import CustomNode, begin
from ..interpreters.custom_outputs import listed
from ..ops.arguments import wrapped_dim
from .once import once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class VmapInfo(NamedTuple):
    """What a `vmap` static method is told: the number of examples, and what random functions do."""

    batch_size: int
    randomness: str


class Applied(Staged):
    """A Function as one with rules of its own, given by `forward` and `setup_context`."""

    def __init__(self, cls: Any, kwargs: dict[str, Any]) -> None:
        self.cls, self.kwargs, self.node_class = cls, kwargs, cls._backward_cls

    def forward(self, args: Sequence[Any]) -> Any:
        return self.cls.forward(*args, **self.kwargs)

    def setup(self, node: CustomNode, args: Sequence[Any], output: Any) -> None:
        self.cls.setup_context(node.ctx(), tuple(args), output)

    def backward(self, node: CustomNode, grads: Sequence[Any]) -> Any:
        cls = self.cls
        if cls.vjp is Function.vjp:
            return cls.backward(node.ctx(), *grads)
        if cls.backward is not Function.backward:
            raise RuntimeError("Implementing both 'backward' and 'vjp' for a custom Function is "
                               "not allowed. You should only implement one of them.")
        return cls.vjp(node.ctx(), *grads)

    def jvp(self, node: CustomNode, tangents: Sequence[Any]) -> Any:
        return self.cls.jvp(node.ctx(), *tangents)

    def batch(self, level: Batch, args: Sequence[Any]) -> Any:
        written = self.cls.vmap is not Function.vmap
        name = f"You tried to vmap over {self.cls.__name__}, but it "
        if self.cls.generate_vmap_rule and written:
            raise RuntimeError(
                f"{name}has both generate_vmap_rule=True and an overridden vmap staticmethod. "
                "Please set generate_vmap_rule=False or delete the overridden vmap staticmethod "
                f"to avoid ambiguity. {_MORE}")
        if self.cls.generate_vmap_rule:
            return mapped(self, level, args)
        if not written:
            raise RuntimeError(
                f"{name}does not have vmap support. Please override and implement the vmap "
                f"staticmethod or set generate_vmap_rule=True. {_MORE}")
        return self._by_hand(level, args)

    def _by_hand(self, level: Batch, args: Sequence[Any]) -> Any:
        """The outputs by the user's `vmap`."""
        values, batched = values_of(level, args)
        dims = tuple(0 if each else None for each in batched)
        with away(level):
            found = self.cls.vmap(VmapInfo(level.size, level.randomness), dims, *values,
                                  **self.kwargs)
        leaves, spec = flatten(_pair(found)[0])
        places = [_in_range(leaf, dim) for leaf, dim in zip(leaves, _out_dims(*found), strict=True)]
        return spec.unflatten(raised(level, leaves, values, args, places))


_MORE = ("For more details, please see "
         "https://pytorch.org/docs/main/notes/extending.func.html")


def _pair(found: Any) -> Any:
    words = ("Expected the vmap staticmethod to have two returns, an output and out_dims with "
             "pytree structure compatible with the output. ")
    if not isinstance(found, tuple):
        raise RuntimeError(f"{words}Got a {type(found)} instead")
    if len(found) != 2:
        raise RuntimeError(f"{words}Got {len(found)} returns instead")
    return found


def _out_dims(output: Any, out_dims: Any) -> list[Any]:
    try:
        return spread(out_dims, output)
    except ValueError:
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) "
            f"tuple. Expected out_dims={out_dims} to be compatible with the structure of `output`. "
            f"out_dims has structure {flatten(out_dims)[1]} but output has structure "
            f"{flatten(output)[1]}. {_MORE}") from None


def _in_range(output: Any, dim: Any) -> int | None:
    """The dimension of an output that goes over the examples."""
    if dim is None or not isinstance(output, Handle):
        return None
    return wrapped_dim(dim, output.aval.ndim)


class Combined(Applied):
    """A Function whose `forward` is handed the `ctx`, where no transform is in force."""

    def both(self, node: CustomNode, args: Sequence[Any]) -> Any:
        return self.cls.forward(node.ctx(), *args, **self.kwargs)


class Stacked(Applied):
    """The same under transforms: `forward` runs once, and each level gets what it left on `ctx`.

    Saved arguments and outputs become those of the level; other tensors are constants to it.

    Attributes:
        first: the node that `forward` ran with, its arguments and its outputs.
    """

    first: Any = None

    def forward(self, args: Sequence[Any]) -> Any:
        node = begin(self, args)
        output = self.cls.forward(node.ctx(), *args, **self.kwargs)
        self.first = (dict(node.__dict__), args, output)
        return output

    def setup(self, node: CustomNode, args: Sequence[Any], output: Any) -> None:
        if self.first is None:
            raise RuntimeError(
                f"{self.cls.__name__}: under a vmap staticmethod and other transforms, "
                "autograd.Function must override the setup_context staticmethod.")
        noted, inputs, outputs = self.first
        here_are = dict(zip(map(id, listed(outputs)), listed(output), strict=True))
        here_are.update(zip(map(id, inputs), args, strict=True))
        node.put(**{name: value for name, value in noted.items() if name != "needs_input_grad"})
        for name in noted.keys() & set(MARKS):
            node.put(**{name: tuple(here_are.get(id(t), t) for t in noted[name])})


class FunctionMeta(type):
    """Makes the class of a Function's nodes, `<its name>Backward`."""

    _backward_cls: type[CustomNode]
    _staged: Applied
    _combined: Combined

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> None:
        super().__init__(name, bases, members)
        cls._backward_cls = type(f"{name}Backward", (_FunctionNode,), {
            "__slots__": (), "_forward_cls": cls})
        cls._staged, cls._combined = Applied(cls, {}), Combined(cls, {})


class _FunctionNode(CustomNode):
    __slots__ = ()

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{type(self).__name__} object at {id(self):#x}>"


class Function(metaclass=FunctionMeta):
    """The base of operations with a derivative of their own: subclass it, and call `apply`.

    A subclass has static methods. `forward(ctx, *args)` computes, and leaves on `ctx` what the
    derivative needs; or `forward(*args)` computes and `setup_context(ctx, inputs, output)` leaves
    it. `backward(ctx, *grad_outputs)` gives a gradient per argument of `forward` (None for what is
    no tensor). For forward mode, `jvp(ctx, *tangents)` gives a tangent per output. Nothing is
    recorded while `forward` runs: tensors that it does not have as arguments are constants (and
    refused if a transform is to differentiate by them).

    `apply` works inside every transform, to any depth; under `vmap` if there is a `vmap` static
    method, or `generate_vmap_rule` is True.

    Attributes:
        generate_vmap_rule: have `vmap` run the methods above on all examples at once.

    Example:
        Rounding, with the derivative of the identity:

        >>> import wengert as torch
        >>> class Round(torch.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         return x.round()
        ...     @staticmethod
        ...     def backward(ctx, grad):
        ...         return grad
        >>> x = torch.tensor([0.4, 1.7], requires_grad=True)
        >>> y = Round.apply(x); y
        tensor([0., 2.], grad_fn=<RoundBackward>)
        >>> (y ** 2).sum().backward(); x.grad
        tensor([0., 4.])
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warn(
            f"{self.__class__} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.", DeprecationWarning)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The operation: `forward(ctx, *args)`, or `forward(*args)` beside `setup_context`.

        Returns:
            A tensor, or a tuple of tensors and other things; anything else has no derivative.
        """
        raise NotImplementedError("You must implement the forward function for custom "
                                  "autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Leaves on `ctx` what `backward` and `jvp` need of the arguments and the output."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments from those of the outputs.

        A gradient may have a shape that its argument broadcasts to: it is summed.
        """
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD.")

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The tangents of the outputs from those of the arguments."""
        raise NotImplementedError("You must implement the jvp function for custom "
                                  "autograd.Function to use it with forward mode AD.")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:
        """The operation on all examples at once.

        Args:
            info: has `batch_size` and `randomness`.
            in_dims: per argument, which dimension goes over the examples; None for none.
            args: the arguments.

        Returns:
            (output, out_dims), where out_dims says the same of the outputs.
        """
        raise NotImplementedError("To use autograd.Function with vmap, you must either override "
                                  "the vmap staticmethod or set generate_vmap_rule=True.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Computes `forward` of the arguments, recorded with this class's derivative.

        Tensors among the arguments themselves are differentiated by, not those inside lists or
        among keyword arguments.

        Raises:
            NotImplementedError: if a method is missing that is needed.
            RuntimeError: if what was marked on `ctx` does not fit; in backward, if the gradients
                are not as many as the arguments, or of other shapes.
        """
        if cls.setup_context is Function.setup_context:
            if not kwargs and in_charge(args) is None:
                return cls._combined.ground(args)
            combined = Stacked(cls, kwargs)
            try:
                return bind(combined, args)
            finally:
                combined.first = None
        if kwargs or len(args) != _arity(cls.forward):
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        return bind(Applied(cls, kwargs) if kwargs else cls._staged, args)


@functools.lru_cache(maxsize=1024)
def _arity(forward: Callable[..., Any]) -> int | None:
    """How many arguments a function takes that takes nothing else; None for others."""
    kinds = [p.kind for p in inspect.signature(forward).parameters.values()]
    plain = all(kind in (inspect.Parameter.POSITIONAL_ONLY,
                         inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)
    return len(kinds) if plain else None
