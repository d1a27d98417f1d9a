"""Forward-mode transforms: `jvp`, and `linearize`, which remembers the point."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.handle import Handle, as_handle, plain_aval, wrap
from ..core.levels import entered, here, made
from ..core.pytrees import flatten
from ..interpreters.backward import is_own
from ..interpreters.eager import recorded
from ..interpreters.forward import Forward
from ..interpreters.pullback import check_tangent
from ..primitives.layout import clone
from . import arguments
from .arguments import left, lowered
from .reverse import vjp


def jvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], *,
        strict: bool = False, has_aux: bool = False) -> Any:
    """A function's value and its directional derivative, in one forward sweep without a graph.

    Args:
        func: from tensors (or pytrees of them) to tensors; with `has_aux`, to a pair.
        primals: where it is evaluated: a tuple of its arguments.
        tangents: the direction, of the same structure and shapes.
        strict: raise if an output does not depend on the primals, instead of giving zeros.
        has_aux: whether func returns a pair of its output and anything else.

    Returns:
        (output, tangent), both of the output's structure; with `has_aux`, the other thing, too.

    Raises:
        RuntimeError: if structures or shapes do not agree, or the output holds anything but
            tensors.
        ValueError: for primals or tangents that are not of floating point.

    Example:
        >>> import wengert as torch
        >>> torch.func.jvp(torch.sin, (torch.tensor(0.),), (torch.tensor(2.),))
        (tensor(0.), tensor(2.))
    """
    xs, ts, spec = _primals_and_tangents(primals, tangents)
    with entered(Forward()) as level:
        args = spec.unflatten([level.dual(x, t) for x, t in zip(xs, ts, strict=True)])
        output, aux = arguments.split_aux("jvp(f, primals, tangents)", func(*args), has_aux)
        ys, outer = arguments.outputs("jvp(f, primals, tangents)", output)
        ys = [level.own(y) for y in ys]
        found = [_result(y, i, strict) for i, y in enumerate(ys)]
    value, tangent = outer.unflatten([as_handle(y.value) for y in ys]), outer.unflatten(found)
    return (value, tangent, left(level, aux)) if has_aux else (value, tangent)


def _primals_and_tangents(primals: Any, tangents: Any) -> Any:
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple):
            raise RuntimeError(f"jvp(f, primals, tangents): Expected {name} to be a tuple. E.g. "
                               "it should be valid to call f(*primals).")
    (xs, spec), (ts, other) = flatten(primals), flatten(tangents)
    if spec != other:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python "
            "structure. For example, if primals is a tuple of 3 tensors, tangents also must be. "
            f"Got primals with structure {spec} and tangents with structure {other}")
    if not xs:
        raise RuntimeError("jvp(f, primals, tangents): Expected primals to contain at least one "
                           "Tensor.")
    xs = [arguments.floating(x) for x in xs]
    ts = [check_tangent(x.aval, arguments.floating(t, "tangent"))
          for x, t in zip(xs, ts, strict=True)]
    return list(map(lowered, xs)), list(map(lowered, ts)), spec


def _result(y: Any, i: int, strict: bool) -> Any:
    t = y.extra
    if t is not None and here.recorder is not None:
        return clone(recorded(t))
    if isinstance(t, Handle):
        return t
    if t is not None:
        return wrap(_apart(t))
    if strict:
        raise RuntimeError(f"jvp(f, primals, tangents, strict=True): The output of f at index {i} "
                           "is independent of the inputs. This is not allowed with strict=True.")
    aval = plain_aval(y)
    return made(wrap(aval.zeros(), aval))


def _apart(t: np.ndarray) -> np.ndarray:
    """A tangent; a copy, if beside its tensor others hold it: other outputs, or who gave it."""
    return t if is_own(sys.getrefcount(t) - 1, t) else np.array(t)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """A function's value, and its derivative there as a linear function of tangents.

    The function is run once; the linear function repeats only what depends on the tangents. It
    is the transpose of the transpose: the pullback is linear in the cotangent, and its own
    pullback takes tangents forward (Jamie Townsend's observation of 2017).

    Args:
        func: from tensors (or pytrees of them) to tensors.
        primals: where it is evaluated.

    Returns:
        (output, jvp_fn): jvp_fn takes one tangent per primal.

    Raises:
        RuntimeError: as `vjp`; by jvp_fn, if the tangents' structure or shapes are not the
            primals'.

    Example:
        >>> import wengert as torch
        >>> y, push = torch.func.linearize(torch.sin, torch.tensor(0.))
        >>> push(torch.tensor(2.)), push(torch.tensor(3.))
        (tensor(2.), tensor(3.))
    """
    output, pullback = vjp(func, *primals)
    ys, spec = flatten(output)
    zero = spec.unflatten([as_handle(y.aval.zeros()) for y in ys])
    _, transpose = vjp(pullback, zero)
    xs, inner = flatten(primals)
    avals = [arguments.as_tensor(x).aval.plain for x in xs]

    def pushforward(*tangents: Any) -> Any:
        ts, given = flatten(tangents)
        if given != inner:
            raise RuntimeError(f"Expected the tangents {given} to have the same structure as the "
                               f"primals {inner}")
        checked = []
        for i, (aval, t) in enumerate(zip(avals, map(arguments.as_tensor, ts), strict=True)):
            if t.aval.shape != aval.shape:
                raise RuntimeError(
                    f"tangent:{i} with shape {t.aval.shape!r} in flattened pytree doesn't match "
                    f"the shape {aval.shape!r} of the corresponding primal.")
            checked.append(_conjugate(t))
        (found,) = transpose(inner.unflatten(checked))
        leaves, outer = flatten(found)
        return outer.unflatten(list(map(_conjugate, leaves)))

    return output, pushforward


def _conjugate(t: Any) -> Any:
    """Pullbacks are conjugate transposes; two make the map itself between conjugates."""
    return t.conj() if t.aval.is_complex else t
