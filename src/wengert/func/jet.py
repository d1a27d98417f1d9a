"""Taylor-mode transforms: `jet`, and `derivatives`, all derivatives along a line up to an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.handle import as_handle, plain_aval
from ..core.levels import entered
from ..core.pytrees import Spec, flatten
from ..interpreters.forward import zeros
from ..interpreters.taylor import Taylor, scaled
from ..primitives.elementwise import div, mul
from ..primitives.layout import cast
from . import arguments
from .arguments import lowered


def jet(func: Callable[..., Any], primals: tuple[Any, ...],
        series: Sequence[Sequence[Any]]) -> tuple[Any, list[Any]]:
    """A function's derivatives along a path, from those of the path: the chain rule to any order.

    Let the arguments move along a path x(t). Given x(0) and the derivatives x'(0), x''(0), ... up
    to the K-th, this gives y(0), y'(0), y''(0), ... of y(t) = func(x(t)). All travel through the
    function together, as Taylor polynomials, at a cost that grows as a power of K (mostly K**2),
    while that of nested `jvp` doubles with each order.

    The method is Taylor arithmetic (Griewank and Walther, Evaluating Derivatives, 2nd edition,
    2008, chapter 13); the interface that of `jax.experimental.jet` (Bettencourt, Johnson and
    Duvenaud, 2019), except that primals may be pytrees.

    Args:
        func: from tensors (or pytrees of them) to tensors.
        primals: where the path is at t = 0: a tuple of the function's arguments.
        series: for each primal the list of its derivatives, the K of them each of the primal's
            structure and shapes.

    Returns:
        (output, output series): the value and the list of its K derivatives, each of the output's
        structure.

    Raises:
        ValueError: if series do not fit the primals, or those are not of floating point.
        RuntimeError: if the output holds anything but tensors.
        NotImplementedError: for operations without a forward rule.

    Example:
        The path 3 + 2t, squared, is 9 + 12t + 4t**2:

        >>> import wengert as torch
        >>> three, two, zero = torch.tensor(3.), torch.tensor(2.), torch.tensor(0.)
        >>> torch.func.jet(lambda x: x * x, (three,), ([two, zero],))
        (tensor(9.), [tensor(12.), tensor(8.)])
    """
    for name, given, kinds in (("primals", primals, tuple), ("series", series, (tuple, list))):
        if not isinstance(given, kinds):
            raise ValueError(f"jet: {name} must be a tuple, with an entry for each argument of "
                             f"the function, got {type(given)}")
    xs, spec = _primals("jet", "primals", primals)
    if len(series) != len(primals):
        raise ValueError(f"jet: got {len(primals)} primals and series for {len(series)}")
    orders = [_order(i, terms) for i, terms in enumerate(series)]
    if len(set(orders)) > 1:
        raise ValueError("jet: all series must have the same number of terms, got "
                         f"{', '.join(map(str, orders))}")
    columns = [_columns(i, primal, terms)
               for i, (primal, terms) in enumerate(zip(primals, series, strict=True))]
    paths = [path for column in columns for path in column]
    return _propagated("jet(f, primals, series)", func, xs, paths, spec, orders[0])


def derivatives(func: Callable[[Any], Any], x: Any, order: int,
                direction: Any = None) -> tuple[Any, ...]:
    """A function's value and all its derivatives along a line, up to an order.

    The k-th is the k-th derivative of func(x + t * direction) with respect to t, at t = 0. For a
    function of each element by itself, as `torch.sin`, and the default direction, that is the k-th
    derivative at each element.

    Args:
        func: from a tensor (or a pytree of them) to tensors.
        x: where it is evaluated.
        order: the highest order.
        direction: where the line goes, of x's structure and shapes; by default ones.

    Returns:
        The value and the derivatives, `order + 1` things of the output's structure.

    Raises:
        ValueError: if order is no natural number, direction does not fit x, or x is not of
            floating point.
        RuntimeError: if the output holds anything but tensors.
        NotImplementedError: for operations without a forward rule.

    Example:
        >>> import wengert as torch
        >>> torch.func.derivatives(lambda x: x ** 3, torch.tensor([1., 2.]), 3)
        (tensor([1., 8.]), tensor([ 3., 12.]), tensor([ 6., 12.]), tensor([6., 6.]))
    """
    if not isinstance(order, (int, np.integer)) or isinstance(order, bool) or order < 0:
        raise ValueError(f"derivatives: order must be a natural number, got {order!r}")
    xs, spec = _primals("derivatives", "x", (x,))
    if direction is None:
        paths = [[np.ones(v.shape, plain_aval(v).numpy)] for v in xs]
    else:
        paths = [[t] for t in _term("derivatives: direction", "x", x, direction)]
    value, found = _propagated("derivatives(f, x, order)", func, xs,
                               [path[:order] for path in paths], spec, int(order))
    return value, *found


def _propagated(name: str, func: Callable[..., Any], xs: Sequence[Any],
                paths: Sequence[Sequence[Any]], spec: Spec, order: int) -> tuple[Any, list[Any]]:
    """The output and its derivatives, from values below and theirs."""
    with entered(Taylor(order)) as level:
        args = [level.input(x, [_scaled(div, d, k) for k, d in enumerate(path, 1)])
                for x, path in zip(xs, paths, strict=True)]
        ys, outer = arguments.outputs(name, func(*spec.unflatten(args)))
        ys = [level.own(y) for y in ys]
        found = [outer.unflatten([_derivative(level.series(y)[k], y, k) for y in ys])
                 for k in range(1, order + 1)]
    return outer.unflatten([as_handle(y.value) for y in ys]), found


def _derivative(coefficient: Any, y: Any, k: int) -> Any:
    if coefficient is None:
        return as_handle(zeros(y))
    return as_handle(_scaled(mul, coefficient, k))


def _scaled(by: Any, value: Any, k: int) -> Any:
    """A value multiplied or divided by k!, in numbers that its dtype holds; at least copied."""
    largest = float(np.finfo(plain_aval(value).numpy).max)
    factor = 1
    for n in range(2, k + 1):
        if factor * n > largest:
            value, factor = scaled(by, value, factor), 1
        factor *= n
    return np.array(value) if factor == 1 and isinstance(value, np.ndarray) else scaled(
        by, value, factor)


# --- checks -----------------------------------------------------------------------------------


def _primals(name: str, argument: str, primals: tuple[Any, ...]) -> tuple[list[Any], Spec]:
    leaves, spec = flatten(primals)
    if not leaves:
        raise ValueError(f"{name}: Expected at least one tensor in {argument}")
    xs = [arguments.as_tensor(leaf) for leaf in leaves]
    for x in xs:
        if not x.aval.dtype.differentiable:
            raise ValueError(f"{name}: Expected {argument} to be floating point or complex, but "
                             f"got: {x.aval.dtype}, of shape {list(x.aval.shape)}")
    return list(map(lowered, xs)), spec


def _order(i: int, terms: Any) -> int:
    if not isinstance(terms, (tuple, list)):
        raise ValueError(f"jet: series[{i}] must be a list of the derivatives of primals[{i}], "
                         f"got {type(terms)}")
    return len(terms)


def _columns(i: int, primal: Any, terms: Sequence[Any]) -> list[list[Any]]:
    """For each leaf of a primal the list of its derivatives."""
    rows = [_term(f"jet: series[{i}][{k}]", f"primals[{i}]", primal, term)
            for k, term in enumerate(terms)]
    return [[row[leaf] for row in rows] for leaf in range(flatten(primal)[1].leaves)]


def _term(name: str, like: str, primal: Any, term: Any) -> list[Any]:
    """The leaves of one derivative, each of its primal's shape and (made so) its dtype."""
    (xs, spec), (ts, other) = flatten(primal), flatten(term)
    if spec != other:
        raise ValueError(f"{name} has structure {other}, but {like} has structure {spec}")
    return [lowered(_fitting(name, like, arguments.as_tensor(x).aval.plain,
                             arguments.as_tensor(t))) for x, t in zip(xs, ts, strict=True)]


def _fitting(name: str, like: str, aval: Any, t: Any) -> Any:
    if t.aval.shape != aval.shape:
        raise ValueError(f"{name} has shape {list(t.aval.shape)}, but {like} has shape "
                         f"{list(aval.shape)}")
    kind = aval.dtype
    if not dtypes.can_cast(t.aval.dtype, kind):
        raise ValueError(f"{name} is of dtype {t.aval.dtype}, but {like} is of dtype {kind}")
    return t if t.aval.dtype is kind else cast(t, dtype=kind)
