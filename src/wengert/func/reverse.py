"""Reverse-mode transforms: `grad` and its kin, `vjp`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle, wrap
from ..core.levels import entered, here, made, modes
from ..core.pytrees import flatten, tree_map
from ..interpreters import backward as engine
from ..interpreters.eager import recorded
from ..interpreters.pullback import check_tangent
from ..interpreters.reverse import Reverse
from ..primitives.layout import clone
from . import arguments
from .arguments import Argnums, left, lowered, up_to_date


def grad(func: Callable[..., Any], argnums: Argnums = 0,
         has_aux: bool = False) -> Callable[..., Any]:
    """The function that computes a scalar function's gradient.

    Args:
        func: from tensors (or pytrees of them) to a tensor of one element; with `has_aux`, to a
            pair of such a tensor and anything else.
        argnums: the argument to differentiate with respect to, or several.
        has_aux: whether func returns such a pair.

    Returns:
        A function of the same arguments. It returns the gradient, of the argument's structure
        and shapes (a tuple of them, if argnums is one); with `has_aux`, a pair of it and the other
        thing.

    Raises:
        RuntimeError: when that is called, if the output is no scalar tensor, or an argument to
            differentiate by is no floating point tensor.

    Example:
        >>> import wengert as torch
        >>> torch.func.grad(torch.sin)(torch.tensor(0.))
        tensor(1.)
        >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(0.))
        tensor(-0.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0,
                   has_aux: bool = False) -> Callable[..., Any]:
    """As `grad`, but a pair of the gradient and the value (the pair, with `has_aux`).

    Example:
        >>> import wengert as torch
        >>> torch.func.grad_and_value(lambda x: x ** 2)(torch.tensor(3.))
        (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def gradient_and_value(*args: Any, **kwargs: Any) -> Any:
        tape, output, value, aux = _run(_NAME, func, args, kwargs, argnums, has_aux)
        y = _scalar(output)
        gradients = tape.pull([y.node], [y.aval.ones()], retain=False)
        return gradients, (value, aux) if has_aux else value

    return gradient_and_value


def value_and_grad(func: Callable[..., Any], argnums: Argnums = 0,
                   has_aux: bool = False) -> Callable[..., Any]:
    """As `grad_and_value`, in JAX's order: the value first.

    Example:
        >>> import wengert as torch
        >>> torch.func.value_and_grad(lambda x: x ** 2)(torch.tensor(3.))
        (tensor(9.), tensor(6.))
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return value, gradients

    return value_and_gradient


_NAME = "grad_and_value(f)(*args)"


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """A function's value, and the function that pulls cotangents back to its arguments.

    Args:
        func: from tensors (or pytrees of them) to tensors; with `has_aux`, to a pair.
        primals: where it is evaluated.
        has_aux: whether func returns a pair of its output and anything else.

    Returns:
        (output, vjp_fn), and with `has_aux` the other thing. vjp_fn takes a cotangent of the
        output's structure and shapes, and returns a tuple with one of each primal's. It can be
        called any number of times.

    Raises:
        RuntimeError: if the output holds anything but tensors, or a primal is not of floating
            point; by vjp_fn, if the cotangent's structure or shapes are not the output's.

    Example:
        >>> import wengert as torch
        >>> y, pull = torch.func.vjp(lambda a, b: a * b, torch.tensor(2.), torch.tensor(3.))
        >>> y, pull(torch.tensor(1.))
        (tensor(6.), (tensor(3.), tensor(2.)))
    """
    tape, output, value, aux = _run("vjp(f, *primals)", func, primals, {}, None, has_aux)
    ys, spec = arguments.outputs("vjp(f, *primals)", output, floating=True)
    # What is kept for later calls must not hold the level, whose tensors slow everything down.
    nodes, avals = [y.node for y in ys], [y.aval.plain for y in ys]

    value = tree_map(_of_its_own, value)

    def pullback(cotangents: Any, retain_graph: bool = True,
                 create_graph: bool | None = None) -> Any:
        if create_graph is not None and create_graph is not here.grad:
            raise ValueError("vjp_fn: create_graph follows the grad mode: use no_grad or "
                             "enable_grad")
        gs, given = flatten(cotangents)
        if given != spec:
            raise RuntimeError("Expected pytree structure of cotangents to be the same as pytree "
                               "structure of outputs to the function. "
                               f"cotangents: {given}, primal output: {spec}")
        gs = [_cotangent(aval, g, i) for i, (aval, g) in enumerate(zip(avals, gs, strict=True))]
        return tape.pull(nodes, gs, retain=retain_graph)

    return (value, pullback, aux) if has_aux else (value, pullback)


class Tape:
    """What a function's run left behind: from here cotangents are pulled back.

    Attributes:
        inputs: the leaves that were differentiated by, as tensors of the level.
        spec: the structure that their cotangents are returned in.
    """

    def __init__(self, inputs: Sequence[Any], spec: Any) -> None:
        self.nodes = [x.node for x in inputs]
        self.avals = [x.aval.plain for x in inputs]
        self.spec = spec

    def pull(self, nodes: Sequence[Any], gs: Sequence[Any], *, retain: bool) -> Any:
        """The inputs' cotangents from those of nodes (None: a constant); zeros where none came."""
        roots = [(node, g) for node, g in zip(nodes, gs, strict=True) if node is not None]
        found = engine.run(roots, retain=retain, create=False, wanted=self.nodes,
                           accumulate=False, below=True)
        return self.spec.unflatten([
            _as_result(found.pop(node, None), aval)
            for node, aval in zip(self.nodes, self.avals, strict=True)])


def _run(name: str, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any],
         argnums: Argnums | None, has_aux: bool) -> tuple[Tape, Any, Any, Any]:
    """Runs a function on a tape of its own.

    Returns:
        The tape, the output as tensors of its level and as they are below, and what else the
        function returned.
    """
    leaves, spec = flatten(arguments.chosen(args, argnums))
    primals = [up_to_date(arguments.differentiable(leaf)) for leaf in leaves]
    with entered(Reverse()) as level, modes(grad=True):
        inputs = [level.input(x) for x in primals]
        given = arguments.replaced(args, argnums, spec.unflatten(inputs))
        output, aux = arguments.split_aux(name, func(*given, **kwargs), has_aux)
        output = tree_map(level.own, output)
        return Tape(inputs, spec), output, left(level, output), left(level, aux)


def _of_its_own(y: Any) -> Any:
    """A result in memory of its own: the tape may have saved it, and would not notice a write."""
    bare = isinstance(y, Handle) and y.aval.level is None and y.node is None
    if bare and here.recorder is not None:
        return clone(y)
    return wrap(np.array(y.value), y.aval) if bare else y


def _scalar(output: Any) -> Any:
    if not isinstance(output, Handle):
        raise RuntimeError(f"{_NAME}: Expected f(*args) to return a Tensor, got {type(output)}")
    if output.aval.is_complex or not output.aval.dtype.differentiable:
        raise RuntimeError(f"{_NAME}: grad can be implicitly created only for real scalar outputs "
                           f"but got {output.aval.dtype}")
    if output.aval.ndim:
        raise RuntimeError(
            f"{_NAME}: Expected f(*args) to return a scalar Tensor, got tensor with "
            f"{output.aval.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?")
    return output


def _cotangent(aval: Any, g: Any, i: int) -> Any:
    g = arguments.as_tensor(g)
    if g.aval.shape != aval.shape:
        raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.aval.shape!r} "
                           f"and output[{i}] has a shape of {aval.shape!r}.")
    return lowered(check_tangent(aval, g))


def _as_result(g: Any, aval: Any) -> Any:
    if g is None:
        return made(wrap(aval.zeros(), aval))
    if here.recorder is not None:
        return _of_its_own(recorded(g))
    if isinstance(g, Handle):
        return g
    return wrap(g if engine.is_own(sys.getrefcount(g), g) else np.array(g))
