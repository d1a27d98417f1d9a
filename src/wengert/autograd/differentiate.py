"""`backward` and `grad`: what users ask of the tape."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.handle import Alias, GradSlot, Handle, Storage, storage_of, wrap
from ..core.levels import deepest, entered, here, made, modes, shared
from ..core.provenance import warn
from ..interpreters import backward as engine
from ..interpreters.backward import is_own
from ..interpreters.batching import Batch, batch_of, stacked
from ..interpreters.eager import recorded
from ..interpreters.inplace import overlaps_itself
from ..interpreters.tape import AccumulateGrad
from ..interpreters.views import refresh
from ..ops.shapes import astype
from ..primitives.layout import clone

if TYPE_CHECKING:
    from .._tensor import Tensor

Tensors = Any


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
    if create_graph is not False:
        create_graph = _flag("backward", "create_graph", create_graph)
    retain = create_graph if retain_graph is None else _flag(
        "backward", "retain_graph", retain_graph)
    roots = _roots(tensors, grad_tensors, create_graph)
    wanted = None if inputs is None else _inputs_of_backward(_sequence(inputs))
    if create_graph:
        warn(
            "Using backward() with create_graph=True will create a reference cycle between the "
            "parameter and its gradient which can cause a memory leak. We recommend using "
            "autograd.grad when creating the graph to avoid this. If you have to use this "
            "function, make sure to reset the .grad fields of your parameters to None after use "
            "to break the cycle and avoid the leak.")
    engine.run(roots, retain=retain, create=create_graph, wanted=wanted)


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
        One tensor per input, of its shape. As in PyTorch, a gradient that a rule only handed on
        shares memory: that of x + y is the cotangent itself, that of x.sum() has strides of 0.

    Raises:
        RuntimeError: as `backward`; and for an input that requires no grad, or is not used.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor(2., requires_grad=True)
        >>> (g,) = torch.autograd.grad(x ** 3, x, create_graph=True)
        >>> torch.autograd.grad(g, x)
        (tensor(12.),)
    """
    xs = _sequence(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads="
                         "True, but got: allow_unused=False.")
    unused = materialize_grads if allow_unused is None else allow_unused
    nodes = list(map(_input_node, xs))
    if is_grads_batched:
        return _batched(outputs, xs, grad_outputs, retain_graph, create_graph, unused,
                        materialize_grads)
    if create_graph is not False:
        create_graph = _flag("grad", "create_graph", create_graph)
    retain = create_graph if retain_graph is None else _flag("grad", "retain_graph", retain_graph)
    if (shared.special and grad_outputs is not None
            and deepest(grad_outputs := _sequence(grad_outputs)) is not None):
        roots, linked = _roots(outputs, grad_outputs, True), True
        with modes(grad=create_graph):
            found = engine.run(roots, retain=retain, create=create_graph, wanted=nodes,
                               accumulate=False, below=True)
    else:
        roots, linked = _roots(outputs, grad_outputs, create_graph), create_graph
        found = engine.run(roots, retain=retain, create=create_graph, wanted=nodes,
                           accumulate=False)
    gradients, among = [], _Shared(roots, grad_outputs)
    for i, node in enumerate(nodes):
        gradients.append(_result(found[node], linked, among) if node in found else
                         _missing(xs[i], i, unused, materialize_grads))
    return tuple(gradients)


def _flag(word: str, name: str, value: Any) -> bool:
    """An argument for yes or no; PyTorch takes integers, too."""
    if value is True:
        return True
    try:
        return bool(operator.index(value))
    except TypeError:
        raise TypeError(
            f"{word}(): argument '{name}' must be bool, not {type(value).__name__}") from None


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


def _sequence(tensors: Any) -> tuple[Any, ...]:
    if isinstance(tensors, Handle) or tensors is None:
        return (tensors,)
    if type(tensors) is not list and not isinstance(tensors, Iterable):
        raise TypeError(f"expected a Tensor or a sequence of Tensors, got {type(tensors).__name__}")
    return tuple(tensors)


def _roots(outputs: Any, given: Any, create: bool) -> list[tuple[Any, Any]]:
    """The nodes to start from, each with its cotangent.

    All are checked before any is run.
    """
    if isinstance(outputs, Handle) and (given is None or isinstance(given, Handle)):
        return [_root(outputs, given, 0, create)]
    ys = _sequence(outputs)
    gs = (None,) * len(ys) if given is None else _sequence(given)
    if len(gs) != len(ys):
        raise RuntimeError(f"got {len(ys)} tensors and {len(gs)} gradients")
    for i, y in enumerate(ys):
        if not isinstance(y, Handle):
            raise TypeError(f"element {i} of tensors must be Tensor, not {type(y).__name__}")
    return [_root(y, g, i, create) for i, (y, g) in enumerate(zip(ys, gs, strict=True))]


def _root(y: Any, g: Any, i: int, create: bool) -> tuple[Any, Any]:
    if y.aval.level is not None:
        raise RuntimeError(
            f"backward() or autograd.grad() was called inside {y.aval.level.word} on a Tensor of "
            "the function that is being transformed. This is not supported, please use "
            "wengert.func.grad or vjp inside it instead, or call backward() outside.")
    if y.alias is not None and y.alias.base is not None:
        refresh(y)
    if g is not None and not (isinstance(g, Handle) and g.aval is y.aval):
        g = _given(y, g, i)
    if y.node is None:
        raise RuntimeError(f"element {i} of tensors does not require grad and does not have a "
                           "grad_fn")
    if g is None:
        one = _one(y)
        return y.node, made(wrap(one, y.aval)) if create else one
    tensor = create or (shared.special and here.recorder is not None)
    return y.node, g if tensor else g.value


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
    """A cotangent whose aval is not the output's, as one that fits."""
    if not isinstance(g, Handle):
        raise TypeError("gradients can be either Tensors or None, but got "
                        f"{type(g).__name__}")
    if g.aval.level is not None and not g.aval.level.alive:
        g = clone(g)  # it stands for what it held
    if g.aval.shape != y.aval.shape:
        raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.aval.shape!r} "
                           f"and output[{i}] has a shape of {y.aval.shape!r}.")
    if g.aval.is_complex != y.aval.is_complex:
        raise RuntimeError("For complex Tensors, both grad_output and output are required to have "
                           f"the same dtype. Mismatch in dtype: grad_output[{i}] has a dtype of "
                           f"{g.aval.dtype} and output[{i}] has a dtype of {y.aval.dtype}.")
    if g.aval.dtype is not y.aval.dtype:
        return astype(g, y.aval.dtype)
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
    if x.alias is not None and x.alias.base is not None:
        refresh(x)
    if x.node is None:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return x.node


def _result(g: Any, linked: bool, among: _Shared) -> Any:
    """A gradient as a tensor."""
    if shared.special and here.recorder is not None and not linked:
        found = recorded(g)
        return clone(found) if among.repeats_what_a_rule_made(found.value) else found
    if isinstance(g, Handle):
        return g
    return wrap(g) if is_own(sys.getrefcount(g), g) else among.handed_on(g)


class _Shared:
    """Gradients in memory that is not theirs alone: the rules handed on a cotangent, or a view.

    As PyTorch's, they share it with the cotangent that was given, and with each other. One that
    repeats a number which a rule made is a copy, so that it can be written to: PyTorch's rule for
    the mean repeats first, and then divides.
    """

    __slots__ = ("given", "known", "roots")

    def __init__(self, roots: Sequence[tuple[Any, Any]], given: Any) -> None:
        self.roots, self.given = roots, given
        self.known: dict[int, Any] | None = None  # by its first array, a tensor in each memory

    def repeats_what_a_rule_made(self, g: Any) -> bool:
        return (type(g) is np.ndarray and overlaps_itself(g)
                and (g.size == 1 or id(_first(g)) not in self._tensors()))

    def handed_on(self, g: Any) -> Any:
        """A tensor of such a gradient; of 0 dimensions, it may be one of NumPy's scalars."""
        if type(g) is not np.ndarray or self.repeats_what_a_rule_made(g):
            return wrap(np.array(g))
        tensors, place = self._tensors(), id(_first(g))
        beside = tensors.get(place)
        if beside is not None and beside.value is g:
            return beside
        found = wrap(g)
        found.alias = Alias(Storage() if beside is None else storage_of(beside))
        if beside is None:
            tensors[place] = found
        return found

    def _tensors(self) -> dict[int, Any]:
        """By its first array, the tensor in each memory that is known; None where none is yet."""
        if self.known is None:
            given = () if self.given is None else _sequence(self.given)
            of = {id(x.value): x for x in given if x is not None}
            arrays = [g.value if isinstance(g, Handle) else g for _, g in self.roots]
            self.known = {id(_first(array)): of.get(id(array)) for array in arrays}
        return self.known


def _first(array: Any) -> Any:
    """The array that was first in an array's memory."""
    while type(array.base) is np.ndarray:
        array = array.base
    return array


def _missing(x: Any, i: int, unused: bool, materialize: bool) -> Any:
    """What is given for an input on which no output depends."""
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
