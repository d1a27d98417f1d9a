"""Jacobians and Hessians: all rows or columns at once, by `vmap` over cotangents or tangents."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.handle import as_handle, wrap
from ..core.levels import entered, made
from ..core.pytrees import Spec, flatten
from ..interpreters.batching import Batch, batch_of, stacked
from ..interpreters.forward import Forward
from ..ops.joining import cat
from ..primitives.layout import contiguous, narrow, permute, reshape
from . import arguments
from .arguments import Argnums, chosen, left, lowered, replaced
from .forward import jvp
from .reverse import grad, vjp

MEMORY = 1 << 28
"""About how many bytes a chunk of rows or columns may take, where no chunk_size is given."""


def jacrev(func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False,
           chunk_size: int | None = None) -> Callable[..., Any]:
    """The function that computes a Jacobian by reverse mode: a row per number of the output.

    Args:
        func: from tensors (or pytrees of them) to tensors (or pytrees); with `has_aux`, to a pair.
        argnums: the argument to differentiate with respect to, or several.
        has_aux: whether func returns a pair of its output and anything else.
        chunk_size: how many rows are computed at a time; by default, as memory allows.

    Returns:
        A function of the same arguments. For each tensor of the output there is, in its place, what
        argnums selects with a tensor of shape (*output.shape, *input.shape) for each input.

    Raises:
        ValueError: if chunk_size is not positive.
        RuntimeError: as `vjp`, when the function is called.

    Example:
        >>> import wengert as torch
        >>> torch.func.jacrev(torch.sin)(torch.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    _check_chunk("jacrev", chunk_size)

    @functools.wraps(func)
    def jacobian_by_rows(*args: Any, **kwargs: Any) -> Any:
        return _Reversed(func, args, kwargs, argnums, has_aux).jacobian(chunk_size)

    return jacobian_by_rows


class _Reversed:
    """One run of a function in reverse mode, of which the Jacobian's rows can be had."""

    def __init__(self, func: Callable[..., Any], args: Any, kwargs: Any, argnums: Argnums,
                 has_aux: bool) -> None:
        picked = chosen(args, argnums)

        def of_picked(*new: Any) -> Any:
            return func(*replaced(args, argnums, new[0]), **kwargs)

        output, self.pullback, *self.aux = vjp(of_picked, picked, has_aux=has_aux)
        self.ys, self.outer = flatten(output)
        xs, self.inner = flatten(picked)
        self.xs = [arguments.as_tensor(x) for x in xs]

    def fewer_columns(self) -> bool:
        """Whether forward mode would take fewer sweeps."""
        return sum(x.aval.numel for x in self.xs) < sum(y.aval.numel for y in self.ys)

    def jacobian(self, chunk_size: int | None) -> Any:
        """The Jacobian, and what else the function returned, if it did."""
        rows = _pulled(self.ys, self.outer, self.pullback,
                       chunk_size or _affordable(self.xs, self.ys))
        found = _jacobians(rows, self.ys, self.xs, self.outer, self.inner, by_rows=True)
        return (found, *self.aux) if self.aux else found


def jacfwd(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *,
           randomness: str = "error", chunk_size: int | None = None) -> Callable[..., Any]:
    """The function that computes a Jacobian by forward mode: a column per number of the input.

    Args and results are as for `jacrev`; `randomness` is as for `vmap`.

    Raises:
        ValueError: if chunk_size is not positive, or an input is not of floating point.

    Example:
        >>> import wengert as torch
        >>> torch.func.jacfwd(lambda x: x.sum() * x)(torch.tensor([1., 2.]))
        tensor([[4., 1.],
                [2., 5.]])
    """
    _check_chunk("jacfwd", chunk_size)

    @functools.wraps(func)
    def jacobian_by_columns(*args: Any, **kwargs: Any) -> Any:
        leaves, inner = flatten(chosen(args, argnums))
        xs = [arguments.floating(leaf) for leaf in leaves]
        parts: list[list[Any]] = []
        for tangents in _bases(xs, chunk_size or _affordable(xs, xs)):
            ys, outer, aux, part = _pushed(func, args, kwargs, argnums, has_aux, xs, inner,
                                           tangents, randomness)
            parts.append(part)
        columns = [_joined(chunks) for chunks in zip(*parts, strict=True)]
        found = _jacobians(columns, ys, xs, outer, inner, by_rows=False)
        return (found, aux) if has_aux else found

    return jacobian_by_columns


def jacobian(func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False,
             chunk_size: int | None = None) -> Callable[..., Any]:
    """The function that computes a Jacobian by whichever mode takes fewer sweeps.

    Args and results are as for `jacrev`. Reverse mode needs a sweep per number of the output,
    forward mode one per number of the input, and is chosen if there are fewer of these: then the
    function runs twice, since the first run has to tell its output's size.

    Example:
        >>> import wengert as torch
        >>> torch.func.jacobian(lambda x: x[0] * x)(torch.tensor([1., 2.]))
        tensor([[2., 0.],
                [2., 1.]])
    """
    _check_chunk("jacobian", chunk_size)
    by_columns = jacfwd(func, argnums, has_aux, chunk_size=chunk_size)

    @functools.wraps(func)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        run = _Reversed(func, args, kwargs, argnums, has_aux)
        return by_columns(*args, **kwargs) if run.fewer_columns() else run.jacobian(chunk_size)

    return jacobian_of


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that computes a Hessian: forward mode over reverse mode.

    Args and results are as for `jacfwd(jacrev(func, argnums), argnums)`; of a scalar function of
    one tensor, a tensor of shape (*input.shape, *input.shape).

    Example:
        >>> import wengert as torch
        >>> torch.func.hessian(lambda x: x[0] ** 2 * x[1])(torch.tensor([1., 2.]))
        tensor([[4., 2.],
                [2., 0.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def hvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """A scalar function's Hessian times a vector, without the Hessian: forward over reverse.

    Args:
        func: from tensors (or pytrees of them) to a tensor of one element.
        primals: where it is evaluated: a tuple of its arguments.
        tangents: the vector, of the same structure and shapes.

    Returns:
        The product, of the structure of `primals`, or of the one argument if there is only one.

    Raises:
        RuntimeError: as `grad` and `jvp`.

    Example:
        >>> import wengert as torch
        >>> x, v = torch.tensor([1., 2.]), torch.tensor([1., 0.])
        >>> torch.func.hvp(lambda x: (x ** 3).sum(), (x,), (v,))
        tensor([6., 0.])
    """
    places: Argnums = tuple(range(len(primals))) if len(primals) > 1 else 0
    return jvp(grad(func, places), primals, tangents)[1]


# --- rows and columns -------------------------------------------------------------------------


def _bases(xs: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """All unit vectors of a list of tensors taken together, in chunks: a stack for each tensor."""
    total = sum(x.aval.numel for x in xs)
    for first in range(0, max(total, 1), most):
        count = min(most, total - first)
        chunk, start = [], 0
        for x in xs:
            stack = np.zeros((count, x.aval.numel), x.aval.numpy)
            rows = np.arange(max(first, start), min(first + count, start + x.aval.numel))
            stack[rows - first, rows - start] = 1
            chunk.append(stack.reshape(count, *x.aval.shape))
            start += x.aval.numel
        yield chunk


def _pulled(ys: Sequence[Any], spec: Spec, pullback: Callable[..., Any],
            most: int) -> list[Any]:
    """The cotangents of each input for all unit cotangents of the outputs, stacked."""
    if len(ys) == 1 and ys[0].aval.numel == 1:
        one = made(wrap(ys[0].aval.plain.ones()))
        found = flatten(pullback(spec.unflatten([one])))[0]
        return [reshape(g, shape=(1, *g.aval.shape)) for g in found]
    parts = []
    for stacks in _bases(ys, most):
        with entered(Batch(len(stacks[0]))) as level:
            cotangents = spec.unflatten([batch_of(stack, level) for stack in stacks])
            found = flatten(pullback(cotangents))[0]
            parts.append([stacked(g, level) for g in found])
    return [_joined(chunks) for chunks in zip(*parts, strict=True)]


def _pushed(func: Callable[..., Any], args: Any, kwargs: Any, argnums: Argnums, has_aux: bool,
            xs: Sequence[Any], spec: Spec, tangents: Sequence[Any], randomness: str) -> Any:
    """The output, its structure, what else was returned, and the outputs' tangents, stacked."""
    with entered(Batch(len(tangents[0]) if tangents else 0, randomness)) as batch:
        with entered(Forward()) as level:
            duals = [level.dual(lowered(x), batch_of(t, batch))
                     for x, t in zip(xs, tangents, strict=True)]
            given = replaced(args, argnums, spec.unflatten(duals))
            output, aux = arguments.split_aux("jacfwd", func(*given, **kwargs), has_aux)
            ys, outer = arguments.outputs("jvp(f, primals, tangents)", output)
            ys = [level.own(y) for y in ys]
        found = [stacked(_tangent(y), batch) for y in ys]
        values = [as_handle(y.value) for y in ys]
        return values, outer, left(batch, left(level, aux)), found


def _tangent(y: Any) -> Any:
    return y.aval.zeros() if y.extra is None else y.extra


def _joined(chunks: Sequence[Any]) -> Any:
    return chunks[0] if len(chunks) == 1 else cat(chunks, 0)


def _jacobians(stacks: Sequence[Any], ys: Sequence[Any], xs: Sequence[Any], outer: Spec,
               inner: Spec, *, by_rows: bool) -> Any:
    """The blocks of a Jacobian that was computed as stacked rows (or columns).

    Rows come as a stack per input, over the numbers of all outputs; columns as a stack per output,
    over the numbers of all inputs.
    """
    blocks = []
    start = 0
    for i, y in enumerate(ys):
        row = []
        if by_rows:
            for stack, x in zip(stacks, xs, strict=True):
                part = _part(stack, start, y.aval.numel)
                row.append(_shaped(part, (*y.aval.shape, *x.aval.shape)))
            start += y.aval.numel
        else:
            start = 0
            for x in xs:
                part = _part(stacks[i], start, x.aval.numel)
                part = contiguous(permute(part, dims=(*range(1, y.aval.ndim + 1), 0)))
                row.append(_shaped(part, (*y.aval.shape, *x.aval.shape)))
                start += x.aval.numel
        blocks.append(inner.unflatten(row))
    return outer.unflatten(blocks)


def _part(stack: Any, start: int, count: int) -> Any:
    if start == 0 and stack.aval.shape[0] == count:
        return stack
    return narrow(stack, 0, start, count)


def _shaped(part: Any, shape: tuple[int, ...]) -> Any:
    return part if part.aval.shape == shape else reshape(part, shape=shape)


def _affordable(xs: Sequence[Any], ys: Sequence[Any]) -> int:
    """How many rows or columns at a time keep within `MEMORY`, roughly: intermediate values are
    taken to be as large as inputs and outputs together, and a few alive at once."""
    row = 4 * sum(v.aval.numel * v.aval.dtype.itemsize for v in (*xs, *ys))
    return max(1, MEMORY // max(row, 1))


def _check_chunk(name: str, chunk_size: int | None) -> None:
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"{name}: `chunk_size` should be greater than 0.")
