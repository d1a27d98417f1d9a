"""`backward` and `grad`: what users ask of the tape."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.handle import GradSlot, Handle, wrap
from ..core.levels import deepest, entered, here, made, modes
from ..interpreters import backward as engine
from ..interpreters.batching import Batch, batch_of, stacked
from ..interpreters.eager import recorded
from ..interpreters.tape import AccumulateGrad
from ..interpreters.views import refresh
from ..ops.shapes import astype
from ..primitives.layout import clone

if TYPE_CHECKING:
    from .._tensor import Tensor

Tensors = Any
_AS_IT_IS = contextlib.nullcontext()


def backward(tensors: Tensors, grad_tensors: Any = None, retain_graph: bool | None = None,
             create_graph: bool = False, inputs: Any = None) -> None:
    """Adds to the `.grad` of leaves the gradients of the sum of tensors.

    Args:
        tensors: a tensor, or several.
        grad_tensors: for each, the cotangent to start from, of its shape; None for a scalar's 1.
        retain_graph: keep what was saved, so that backward can run again (by default, as
            `create_graph`).
        create_graph: record the computation of the gradients, so that they can be differentiated.
        inputs: the tensors whose `.grad` is added to; None for all leaves.

    Raises:
        RuntimeError: if a tensor requires no grad, if a cotangent is missing for a non-scalar or
            has another shape, if a saved value was overwritten or freed. No `.grad` has changed
            then.

    Example:
        >>> import wengert as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> torch.autograd.backward([x.sum(), (3 * x).sum()]); x.grad
        tensor([4., 4.])
    """
    outputs = _sequence(tensors)
    roots = _roots(outputs, _cotangents(outputs, grad_tensors), create_graph)
    wanted = None if inputs is None else _inputs_of_backward(_sequence(inputs))
    if create_graph:
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the "
            "parameter and its gradient which can cause a memory leak. We recommend using "
            "autograd.grad when creating the graph to avoid this. If you have to use this "
            "function, make sure to reset the .grad fields of your parameters to None after use "
            "to break the cycle and avoid the leak.", UserWarning, stacklevel=_outside())
    engine.run(roots, retain=_retained(retain_graph, create_graph), create=create_graph,
               wanted=wanted)


def grad(outputs: Tensors, inputs: Tensors, grad_outputs: Any = None,
         retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool | None = None, is_grads_batched: bool = False,
         materialize_grads: bool = False) -> tuple[Tensor, ...]:
    """The gradients of the sum of outputs with respect to inputs; no `.grad` is touched.

    Args:
        outputs: a tensor, or several.
        inputs: a tensor, or several, each requiring grad.
        grad_outputs: for each output, the cotangent to start from; None for a scalar's 1.
        retain_graph: keep what was saved (by default, as `create_graph`).
        create_graph: record the computation of the gradients.
        allow_unused: give None for an input that no output depends on (by default, as
            `materialize_grads`).
        is_grads_batched: grad_outputs have a leading dimension of cotangents to go through; the
            results have it too.
        materialize_grads: give zeros for such an input.

    Returns:
        One tensor per input, of its shape.

    Raises:
        RuntimeError: as `backward`; and for an input that requires no grad, or is not used.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor(2., requires_grad=True)
        >>> (g,) = torch.autograd.grad(x ** 3, x, create_graph=True)
        >>> torch.autograd.grad(g, x)
        (tensor(12.),)
    """
    ys, xs = _sequence(outputs), _sequence(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads="
                         "True, but got: allow_unused=False.")
    unused = materialize_grads if allow_unused is None else allow_unused
    nodes = [_input_node(x) for x in xs]
    if is_grads_batched:
        return _batched(ys, xs, grad_outputs, retain_graph, create_graph, unused,
                        materialize_grads)
    given = _cotangents(ys, grad_outputs)
    lifted = deepest(given) is not None
    roots = _roots(ys, given, create_graph or lifted)
    with modes(grad=create_graph) if lifted else _AS_IT_IS:
        found = engine.run(roots, retain=_retained(retain_graph, create_graph),
                           create=create_graph, wanted=nodes, accumulate=False, below=lifted)
    linked = create_graph or lifted
    return tuple([_result(x, i, found.get(node), linked, unused, materialize_grads)
                  for i, (x, node) in enumerate(zip(xs, nodes, strict=True))])


def _batched(ys: Any, xs: Any, grad_outputs: Any, retain: bool | None, create: bool,
             unused: bool, materialize: bool) -> tuple[Any, ...]:
    """Cotangents with a leading dimension, all pulled back at once."""
    batches = _sequence(grad_outputs)
    size = _batch_size(batches)
    with entered(Batch(size)) as level:
        cotangents = [None if g is None else batch_of(g, level) for g in batches]
        found = grad(ys, xs, cotangents, retain, create, unused, materialize_grads=materialize)
        return tuple(None if g is None else stacked(g, level) for g in found)


def _batch_size(batches: Sequence[Any]) -> int:
    sizes = {g.aval.shape[0] if g.aval.ndim else -1 for g in batches if g is not None}
    if len(sizes) != 1 or -1 in sizes:
        raise ValueError("is_grads_batched=True: expected every tensor of grad_outputs to have a "
                         "leading dimension of the same size, got shapes "
                         f"{[list(g.aval.shape) for g in batches if g is not None]}")
    (size,) = sizes
    return int(size)


def _retained(retain: bool | None, create: bool) -> bool:
    return create if retain is None else bool(retain)


def _sequence(tensors: Any) -> tuple[Any, ...]:
    if isinstance(tensors, Handle) or tensors is None:
        return (tensors,)
    if not isinstance(tensors, Iterable):
        raise TypeError(f"expected a Tensor or a sequence of Tensors, got {type(tensors).__name__}")
    return tuple(tensors)


def _cotangents(outputs: Sequence[Any], given: Any) -> tuple[Any, ...]:
    cotangents = (None,) * len(outputs) if given is None else _sequence(given)
    if len(cotangents) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(cotangents)} gradients")
    return cotangents


def _roots(outputs: Sequence[Any], cotangents: Sequence[Any],
           create: bool) -> list[tuple[Any, Any]]:
    """The nodes to start from, each with its cotangent.

    All are checked before any is run.
    """
    return [_root(y, g, i, create)
            for i, (y, g) in enumerate(zip(outputs, cotangents, strict=True))]


def _root(y: Any, g: Any, i: int, create: bool) -> tuple[Any, Any]:
    if not isinstance(y, Handle):
        raise TypeError(f"element {i} of tensors must be Tensor, not {type(y).__name__}")
    if y.aval.level is not None:
        raise RuntimeError(
            f"backward() or autograd.grad() was called inside {y.aval.level.word} on a Tensor of "
            "the function that is being transformed. This is not supported, please use "
            "wengert.func.grad or vjp inside it instead, or call backward() outside.")
    if y.alias is not None:
        refresh(y)
    if y.node is None:
        if g is not None:
            _given(y, g, i)
        raise RuntimeError(f"element {i} of tensors does not require grad and does not have a "
                           "grad_fn")
    if g is not None:
        g = _given(y, g, i)
        return y.node, g if create or here.recorder is not None else g.value
    one = _one(y)
    return y.node, made(wrap(one, y.aval)) if create else one


def _one(y: Any) -> np.ndarray:
    """The cotangent that a real scalar starts from, where none is given."""
    if y.aval.numel != 1:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    if y.aval.is_complex:
        raise RuntimeError("grad can be implicitly created only for real scalar outputs but got "
                           f"{y.aval.dtype}")
    one = np.empty(y.aval.shape, y.aval.numpy)
    one.fill(1)
    return one


def _given(y: Any, g: Any, i: int) -> Any:
    if isinstance(g, Handle) and g.aval is y.aval:
        return g
    if not isinstance(g, Handle):
        raise TypeError("gradients can be either Tensors or None, but got "
                        f"{type(g).__name__}")
    if g.aval.shape != y.aval.shape:
        raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.aval.shape!r} "
                           f"and output[{i}] has a shape of {y.aval.shape!r}.")
    if g.aval.is_complex != y.aval.is_complex:
        raise RuntimeError("For complex Tensors, both grad_output and output are required to have "
                           f"the same dtype. Mismatch in dtype: grad_output[{i}] has a dtype of "
                           f"{g.aval.dtype} and output[{i}] has a dtype of {y.aval.dtype}.")
    if g.aval.dtype is not y.aval.dtype:
        return astype(g, y.aval.dtype)  # type: ignore[arg-type]
    return g


def _inputs_of_backward(inputs: Sequence[Any]) -> list[Any]:
    """The nodes of `inputs=`, whose `.grad` is to be added to (non-leaves retain theirs)."""
    if not inputs:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    nodes = [_input_node(x) for x in inputs]
    for x in inputs:
        if not isinstance(x.node, AccumulateGrad):
            retain_grad(x)
    return nodes


def _input_node(x: Any) -> Any:
    if not isinstance(x, Handle):
        raise TypeError(f"inputs must be Tensors, not {type(x).__name__}")
    if x.alias is not None:
        refresh(x)
    if x.node is None:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return x.node


def _result(x: Any, i: int, g: Any, linked: bool, unused: bool, materialize: bool) -> Any:
    """A gradient as a tensor: in memory of its own, unless more than its numbers matter."""
    if g is not None:
        if here.recorder is not None and not linked:
            return clone(recorded(g))
        if isinstance(g, Handle):
            return g
        return wrap(g if engine.is_own(sys.getrefcount(g), g) else np.array(g))
    if materialize:
        return made(wrap(x.aval.zeros(), x.aval))
    if not unused:
        raise RuntimeError(f"The differentiated Tensor at index {i} appears to not have been used "
                           "in the graph. Set allow_unused=True if this is the desired behavior.")
    return None


def retain_grad(x: Any) -> None:
    """Has a non-leaf's gradient kept in its `.grad`, too.

    Raises:
        RuntimeError: if the tensor requires no grad.
    """
    if x.alias is not None:
        refresh(x)
    if x.node is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if isinstance(x.node, AccumulateGrad):
        return
    if type(x.extra) is not GradSlot:
        x.extra = GradSlot()
    x.node.more().retain = x.extra


def _outside() -> int:
    """The stack level of the user's call, for warnings."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("wengert."):
        frame, level = frame.f_back, level + 1
    return level
