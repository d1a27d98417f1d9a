"""Jacobians and Hessians of functions of tensors, whole or multiplied by a vector.

All are built from `grad`. They share how they treat what they are given:

* `inputs` is a tensor or a tuple of tensors, and so is what the function returns. Results have the
  form of what they belong to: a tuple where a tuple was given, a tensor where a tensor was.
* The function sees copies that require grad, so gradients elsewhere are not touched. Results don't
  require grad unless `create_graph` is set; then they depend on the inputs given.
* What an output does not depend on has derivative 0, or is an error if `strict` is set.

Example:
    >>> import wengert as torch
    >>> from wengert.autograd.functional import hessian, jacobian
    >>> x = torch.tensor([1., 2.])
    >>> jacobian(lambda x: x * x, x)
    tensor([[2., 0.],
            [0., 4.]])
    >>> hessian(lambda x: x[0] * x[1] ** 2, x)
    tensor([[0., 4.],
            [4., 2.]])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.handle import Handle
from ..func.batching import vmap
from ..func.forward import jvp as forward_mode
from ..func.reverse import grad as gradient_of
from ..ops.creation import eye, zeros, zeros_like
from ..ops.joining import stack
from .differentiate import grad
from .grad_mode import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Any
Function = Callable[..., Any]


# --- products with a vector -------------------------------------------------------------------


def vjp(func: Function, inputs: Tensors, v: Tensors = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Tensors, Tensors]:
    """A vector times the Jacobian of a function.

    Args:
        func: takes the inputs, returns a tensor or a tuple of tensors.
        inputs: a tensor, or a tuple of tensors.
        v: the vector, of the form and shapes of what func returns; None for the 1 of a single
            tensor of one element.
        create_graph: make both results differentiable.
        strict: make it an error if an output is independent of an input.

    Returns:
        What func returned, and the product, which has the form and shapes of the inputs.

    Raises:
        TypeError: for inputs or outputs that are not tensors.
        RuntimeError: for a v of another form, or if `strict` is violated.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1., 2.])
        >>> torch.autograd.functional.vjp(lambda x: x ** 2, x, torch.tensor([1., 10.]))
        (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    this = _Call("vjp", func, inputs, create_graph, strict)
    seeds = this.vector(v, this.outputs, this.plural_out,
                        "the user-provided function returns a single Tensor")
    grads = _grads(this.outputs, this.inputs, seeds, create_graph)
    product = this.filled(grads, this.inputs, "back")
    return this.function_output(), this.result(product, this.plural_in)


def jvp(func: Function, inputs: Tensors, v: Tensors = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Tensors, Tensors]:
    """The Jacobian of a function times a vector.

    It differentiates `vjp`, which is linear in its vector, with respect to that vector (backward
    twice), so any function that can be differentiated twice will do.

    Args:
        func: takes the inputs, returns a tensor or a tuple of tensors.
        inputs: a tensor, or a tuple of tensors.
        v: the vector, of the form and shapes of the inputs; None for the 1 of a single tensor of
            one element.
        create_graph: make both results differentiable.
        strict: make it an error if an output is independent of an input.

    Returns:
        What func returned, and the product, which has its form and shapes.

    Raises:
        TypeError: for inputs or outputs that are not tensors.
        RuntimeError: for a v of another form, or if `strict` is violated.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1., 2.])
        >>> torch.autograd.functional.jvp(lambda x: x.prod(), x, torch.tensor([1., 10.]))
        (tensor(2.), tensor(12.))
    """
    this = _Call("jvp", func, inputs, create_graph, strict, v=(v,))
    with enable_grad():
        seeds = tuple(zeros_like(y, requires_grad=True) for y in this.outputs)
    pulled = _grads(this.outputs, this.inputs, seeds, create=True)
    pulled = this.filled(pulled, this.inputs, "back", final=False)
    grads = _grads(pulled, seeds, this.v, create_graph)
    product = this.filled(grads, this.outputs, "back_trick")
    return this.function_output(), this.result(product, this.plural_out)


def vhp(func: Function, inputs: Tensors, v: Tensors = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Tensors, Tensors]:
    """A vector times the Hessian of a scalar function.

    Args:
        func: takes the inputs, returns a tensor of one element.
        inputs: a tensor, or a tuple of tensors.
        v: the vector, of the form and shapes of the inputs; None for the 1 of a single tensor of
            one element.
        create_graph: make both results differentiable.
        strict: make it an error if the output or the gradient is independent of an input.

    Returns:
        What func returned, and the product, which has the form and shapes of the inputs.

    Raises:
        TypeError: for inputs or outputs that are not tensors.
        RuntimeError: for a v of another form, if func returns more than one element, or if
            `strict` is violated.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1., 2.])
        >>> torch.autograd.functional.vhp(lambda x: x.prod() ** 2, x, torch.tensor([1., 0.]))
        (tensor(4.), tensor([8., 8.]))
    """
    this = _Call("vhp", func, inputs, create_graph, strict, v=(v,))
    gradient = this.gradient()
    grads = _grads(gradient, this.inputs, this.v, create_graph)
    product = this.filled(grads, this.inputs, "double_back")
    return this.function_output(), this.result(product, this.plural_in)


def hvp(func: Function, inputs: Tensors, v: Tensors = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Tensors, Tensors]:
    """The Hessian of a scalar function times a vector.

    Where second derivatives are continuous the Hessian is symmetric, and `vhp`, which is cheaper,
    gives the same.

    Args:
        func: takes the inputs, returns a tensor of one element.
        inputs: a tensor, or a tuple of tensors.
        v: the vector, of the form and shapes of the inputs; None for the 1 of a single tensor of
            one element.
        create_graph: make both results differentiable.
        strict: make it an error if the output or the gradient is independent of an input.

    Returns:
        What func returned, and the product, which has the form and shapes of the inputs.

    Raises:
        TypeError: for inputs or outputs that are not tensors.
        RuntimeError: for a v of another form, if func returns more than one element, or if
            `strict` is violated.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1., 2.])
        >>> torch.autograd.functional.hvp(lambda x: x.prod() ** 2, x, torch.tensor([1., 0.]))
        (tensor(4.), tensor([8., 8.]))
    """
    this = _Call("hvp", func, inputs, create_graph, strict, v=(v,))
    gradient = this.gradient()
    with enable_grad():
        seeds = tuple(zeros_like(x, requires_grad=True) for x in this.inputs)
    pulled = _grads(gradient, this.inputs, seeds, create=True)
    pulled = this.filled(pulled, this.inputs, "double_back", final=False)
    grads = _grads(pulled, seeds, this.v, create_graph)
    product = this.filled(grads, this.inputs, "double_back_trick")
    return this.function_output(), this.result(product, this.plural_in)


# --- whole matrices ---------------------------------------------------------------------------


def jacobian(func: Function, inputs: Tensors, create_graph: bool = False, strict: bool = False,
             vectorize: bool = False, strategy: str = "reverse-mode") -> Tensors:
    """The Jacobian of a function.

    Args:
        func: takes the inputs, returns a tensor or a tuple of tensors.
        inputs: a tensor, or a tuple of tensors.
        create_graph: make the result differentiable.
        strict: make it an error if an output is independent of an input.
        vectorize: carry all cotangents (or tangents) through at once.
        strategy: "reverse-mode", a row at a time, for functions with more inputs than outputs;
            "forward-mode", a column at a time, for others. The latter needs `vectorize`.

    Returns:
        For one output and one input, a tensor: the shape of the output, then that of the input. If
        func returns a tuple, a tuple with an item for each output; if inputs is a tuple, each
        item (or the result) is a tuple with a tensor for each input. The dtype is the input's, in
        forward mode the output's.

    Raises:
        TypeError: for inputs or outputs that are not tensors.
        AssertionError: for another strategy.
        NotImplementedError: for forward mode with `create_graph`, or without `vectorize`.
        RuntimeError: if `strict` is violated, or comes with `vectorize`; for complex outputs, row
            by row.

    Example:
        >>> import wengert as torch
        >>> f = lambda x, y: (x * y, y.sum())
        >>> x, y = torch.tensor([1., 2.]), torch.tensor([3., 4.])
        >>> (of_x, of_y), (sum_of_x, sum_of_y) = torch.autograd.functional.jacobian(f, (x, y))
        >>> of_y
        tensor([[1., 0.],
                [0., 2.]])
        >>> sum_of_x, sum_of_y
        (tensor([0., 0.]), tensor([1., 1.]))
    """
    _check_strategy(strategy)
    if strategy == "forward-mode":
        _check_forward(create_graph, strict, vectorize)
        return _forward_jacobian(func, inputs)
    this = _Call("jacobian", func, inputs, create_graph, strict)
    if vectorize and strict:
        raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and `vectorized="
                           "True` are not supported together. Please either set `strict=False` or "
                           "`vectorize=False`.")
    blocks = _at_once if vectorize else _row_by_row
    rows = tuple(this.result(blocks(this, i), this.plural_in) for i in range(len(this.outputs)))
    return rows if this.plural_out else rows[0]


def hessian(func: Function, inputs: Tensors, create_graph: bool = False, strict: bool = False,
            vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Tensors:
    """The Hessian of a scalar function: the Jacobian of its gradient.

    Args:
        func: takes the inputs, returns a tensor of one element.
        inputs: a tensor, or a tuple of tensors.
        create_graph: make the result differentiable.
        strict: make it an error if the output or the gradient is independent of an input.
        vectorize: carry all cotangents (or tangents) through at once.
        outer_jacobian_strategy: how the gradient is differentiated, "reverse-mode" or
            "forward-mode"; the latter needs `vectorize`.

    Returns:
        For one input, a tensor with its shape twice. For a tuple, a tuple of tuples: item
        `[i][j]` has the shape of input i, then that of input j.

    Raises:
        TypeError: for inputs or outputs that are not tensors.
        AssertionError: for another strategy.
        NotImplementedError: for forward mode with `create_graph`, or without `vectorize`.
        RuntimeError: if func returns more than one element; if `strict` is violated, or comes with
            `vectorize`.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1., 2.])
        >>> torch.autograd.functional.hessian(lambda x: x.prod() ** 2, x)
        tensor([[8., 8.],
                [8., 2.]])
    """
    plural, xs = _tensors(inputs, "inputs", "hessian")
    _check_strategy(outer_jacobian_strategy)

    def scalar(*xs: Any) -> Any:
        output = _one_element(func(*xs), "hessian")
        if strict:
            _check_requires_grad((output,), "outputs")
        return output.squeeze()

    def gradient(*xs: Any) -> Any:
        found = jacobian(scalar, xs, create_graph=True)
        if strict:
            _check_requires_grad(found, "jacobian")
        return found if plural else found[0]

    if outer_jacobian_strategy == "forward-mode":
        _check_forward(create_graph, strict, vectorize)
        every = tuple(range(len(xs)))
        inner = gradient_of(scalar, every if plural else 0)
        return _forward_jacobian(inner, inputs, "hessian")
    return jacobian(gradient, inputs, create_graph, strict, vectorize)


def _row_by_row(this: _Call, i: int) -> tuple[Any, ...]:
    """The blocks of output i, from a backward for each of its elements."""
    output, rows = this.outputs[i], []
    if output.requires_grad and output.numel():
        with enable_grad():
            flat = output.reshape(-1)
            elements = [flat[k] for k in range(output.numel())]
        for element in elements:
            grads = _grads((element,), this.inputs, (None,), this.create)
            rows.append(this.filled(grads, this.inputs, i))
    with enable_grad():
        columns: Iterable[Any] = zip(*rows, strict=True) if rows else [()] * len(this.inputs)
        return tuple(_block(column, output, x)
                     for column, x in zip(columns, this.inputs, strict=True))


def _block(rows: Sequence[Any], output: Any, x: Any) -> Any:
    """Rows of a Jacobian as one tensor; no rows mean that nothing is known to depend on x."""
    shape = (*output.shape, *x.shape)
    return stack(rows).view(shape) if rows else zeros(shape, dtype=x.dtype)


def _at_once(this: _Call, i: int) -> tuple[Any, ...]:
    """The blocks of output i, from one backward with a batch of cotangents."""
    output = this.outputs[i]
    if not output.requires_grad or not output.numel():
        return tuple(_block((), output, x) for x in this.inputs)
    n = output.numel()
    seeds = eye(n, dtype=output.dtype).view((n, *output.shape))
    with enable_grad():
        found = grad(output, this.inputs, seeds, retain_graph=True, create_graph=this.create,
                     allow_unused=True, is_grads_batched=True)
        return tuple(_block((), output, x) if g is None else g.reshape((*output.shape, *x.shape))
                     for g, x in zip(found, this.inputs, strict=True))


def _forward_jacobian(func: Function, inputs: Tensors, name: str = "jacobian") -> Tensors:
    """A Jacobian column by column: for each input, a batch with a tangent for each element."""
    plural_in, given = _tensors(inputs, "inputs", name)
    xs = tuple(x.detach() for x in given)
    what = "outputs of the user-provided function"
    plural_out, outputs = _tensors(func(*xs), what, name)

    def push(*tangents: Any) -> Any:
        return forward_mode(lambda *xs: _tensors(func(*xs), what, name)[1], xs, tangents)[1]

    columns = [_columns(push, j, x, xs, outputs) for j, x in enumerate(xs)]
    rows = tuple(row if plural_in else row[0] for row in zip(*columns, strict=True))
    return rows if plural_out else rows[0]


def _columns(push: Function, j: int, x: Any, xs: Sequence[Any],
             outputs: Sequence[Any]) -> tuple[Any, ...]:
    """The blocks of input j: for each output, its shape and then the input's."""
    if not x.numel():
        return tuple(zeros((*y.shape, *x.shape), dtype=y.dtype) for y in outputs)
    tangents = [zeros_like(other) for other in xs]
    tangents[j] = eye(x.numel(), dtype=x.dtype).view((x.numel(), *x.shape))
    found = vmap(push, in_dims=tuple(0 if k == j else None for k in range(len(xs))),
                 out_dims=-1)(*tangents)
    return tuple(t.detach().reshape((*y.shape, *x.shape))
                 for t, y in zip(found, outputs, strict=True))


def _check_strategy(strategy: str) -> None:
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". '
                             "Hint: If your function has more outputs than inputs, "
                             '"forward-mode" tends to be more performant. Otherwise, prefer to '
                             'use "reverse-mode".')


def _check_forward(create_graph: bool, strict: bool, vectorize: bool) -> None:
    together = ('torch.autograd.functional.jacobian: `{0}=True` and `strategy="forward-mode"` are '
                "not supported together (yet). Please either set `{0}=False` or "
                '`strategy="reverse-mode"`.')
    if create_graph:
        raise NotImplementedError(together.format("create_graph"))
    if strict:
        raise RuntimeError(together.format("strict"))
    if not vectorize:
        raise NotImplementedError("Computing Jacobian using forward-AD or forward-over-reverse "
                                  "Hessian is only implemented for `vectorize=True`.")


# --- what they share --------------------------------------------------------------------------


class _Call:
    """A user's function called on inputs that require grad, and how results are to be given.

    Attributes:
        inputs: what the function was called with, a tuple.
        outputs: what it returned, a tuple.
        v: the vector that goes with the inputs, a tuple; () if there is none.
        plural_in, plural_out: whether inputs were, and outputs are, a tuple.
    """

    def __init__(self, name: str, func: Function, inputs: Tensors, create: bool, strict: bool,
                 v: tuple[Tensors, ...] = ()) -> None:
        self.name, self.create, self.strict = name, create, strict
        with enable_grad():
            self.plural_in, given = _tensors(inputs, "inputs", name)
            self.inputs = tuple(_asking(x, create) for x in given)
            self.v = self.vector(v[0], self.inputs, self.plural_in,
                                 "the input to the user-provided function is a single Tensor"
                                 ) if v else ()
            self.plural_out, self.outputs = _tensors(
                func(*self.inputs), "outputs of the user-provided function", name)
        if strict:
            _check_requires_grad(self.outputs, "outputs")

    def vector(self, v: Tensors, like: Sequence[Any], plural: bool,
               single: str) -> tuple[Any, ...]:
        """The vector as a tuple, checked against what it is to be like.

        Raises:
            TypeError, RuntimeError: if it is not tensors, or of another form.
        """
        if v is None:
            if len(like) != 1 or like[0].numel() != 1:
                raise RuntimeError(f"The vector v can only be None if {single} with a single "
                                   "element.")
            return (zeros_like(like[0]) + 1,)
        _, given = _tensors(v, "v", self.name)
        if len(given) != len(like):
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got "
                               f"{len(given)}." if plural else
                               "The given v should contain a single Tensor.")
        for i, (a, b) in enumerate(zip(given, like, strict=True)):
            if a.shape != b.shape:
                entry = f"Entry {i} in " if plural else ""
                raise RuntimeError(f"{entry}v has invalid size: should be {b.shape!r} but got "
                                   f"{a.shape!r}.")
        return tuple(a if self.create else a.detach() for a in given)

    def gradient(self) -> tuple[Any, ...]:
        """The gradient of a scalar function, to be differentiated again."""
        _one_element(self.outputs if self.plural_out else self.outputs[0], self.name)
        found = _grads(self.outputs, self.inputs, (None,), create=True)
        found = self.filled(found, self.inputs, "back", final=False)
        if self.strict:
            _check_requires_grad(found, "jacobian")
        return found

    def filled(self, grads: Sequence[Any], like: Sequence[Any], stage: int | str,
               final: bool = True) -> tuple[Any, ...]:
        """Zeros for what is independent, which strictness forbids.

        Args:
            grads: None where there is no dependence.
            like: tensors of their shapes.
            stage: where the gradients come from (see `_INDEPENDENT`); for `jacobian`, the output.
            final: whether they are what the user gets, and is to be able to differentiate.
        """
        for i, g in enumerate(grads if self.strict else ()):
            if g is None:
                raise RuntimeError(_independent(stage, i))
            if final and self.create and not g.requires_grad:
                what = "hessian" if "double" in str(stage) else "jacobian"
                raise RuntimeError(f"The {what} of the user-provided function is independent of "
                                   f"input {i}. This is not allowed in strict mode when "
                                   "create_graph=True.")
        return tuple(zeros_like(x) if g is None else g for g, x in zip(grads, like, strict=True))

    def function_output(self) -> Tensors:
        return self.result(self.outputs, self.plural_out)

    def result(self, tensors: Sequence[Any], plural: bool) -> Tensors:
        """Tensors as the user is given them."""
        given = tuple(tensors if self.create else (t.detach() for t in tensors))
        return given if plural else given[0]


def _tensors(value: Any, what: str, name: str) -> tuple[bool, tuple[Any, ...]]:
    """Whether the value is a tuple, and its tensors.

    Raises:
        TypeError: if it is neither a tensor nor a tuple of tensors.
    """
    if isinstance(value, Handle):
        return False, (value,)
    words = (f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the "
             "{} has type {}.")
    if not isinstance(value, tuple):
        raise TypeError(words.format(f"given {what}", type(value)))
    for i, x in enumerate(value):
        if not isinstance(x, Handle):
            raise TypeError(words.format(f"value at index {i}", type(x)))
    return True, value


def _asking(x: Any, create: bool) -> Any:
    """An input that requires grad: part of the user's graph only if that is to go on."""
    return x.view_as(x) if create and x.requires_grad else x.detach().requires_grad_()


def _grads(outputs: Sequence[Any], inputs: Sequence[Any], seeds: Sequence[Any],
           create: bool) -> tuple[Any, ...]:
    """`grad` of those outputs that have one; None for inputs that nothing depends on."""
    pairs = [(y, g) for y, g in zip(outputs, seeds, strict=True) if y.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    ys, gs = zip(*pairs, strict=True)
    with enable_grad():
        return grad(ys, inputs, gs, retain_graph=True, create_graph=create, allow_unused=True)


def _one_element(output: Any, name: str) -> Any:
    _tensors(output, "outputs of the user-provided function", name)
    if isinstance(output, tuple):
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if output.numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a "
                           "single element")
    return output


def _check_requires_grad(tensors: Sequence[Any], kind: str) -> None:
    """Strictness: outputs, and gradients that are to be differentiated, depend on the inputs."""
    for i, x in enumerate(tensors):
        if x.requires_grad:
            continue
        if kind == "outputs":
            raise RuntimeError(f"Output {i} of the user-provided function does not require "
                               "gradients. The outputs must be computed in a differentiable "
                               "manner from the input when running in strict mode.")
        raise RuntimeError("While computing the hessian, found that the jacobian of the "
                           f"user-provided function with respect to input {i} is independent of "
                           "the input. This is not allowed in strict mode. You should ensure that "
                           "your function is twice differentiable and that the jacobian depends "
                           "on the inputs (this would be violated by a linear function for "
                           "example).")


_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}. This is not "
            "allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {} in the "
                  "grad_outputs when using the double backward trick to compute forward mode "
                  "gradients. This is not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {}. This is "
                   "not allowed in strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {} in "
                         "the grad_jacobian. This is not allowed in strict mode as it prevents "
                         "from using the double backward trick to replace forward mode AD.",
}


def _independent(stage: int | str, i: int) -> str:
    if isinstance(stage, int):
        return (f"Output {stage} of the user-provided function is independent of input {i}. This "
                "is not allowed in strict mode.")
    return _INDEPENDENT[stage].format(i)
