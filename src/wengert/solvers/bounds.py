"""Bounds of an unknown as SciPy takes them: of all its numbers in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.handle import Handle
from ..core.pytrees import Spec, flatten
from .arguments import Form, bare


def limits(name: str, bounds: Any, form: Form) -> Any:
    """The bounds given to `minimize`: SciPy's own, or a structure of pairs."""
    from scipy.optimize import Bounds

    if bounds is None or isinstance(bounds, Bounds):
        return bounds
    if form.spec.kind is None:
        return [tuple(limit(side) for side in pair) for pair in bounds]
    return _of_tree(name, bounds, form)


def box(name: str, bounds: Any, form: Form) -> Any:
    """The bounds given to `least_squares`: a pair for all numbers, or as above."""
    from scipy.optimize import Bounds

    if isinstance(bounds, Bounds):
        return bounds
    if form.spec.kind is None:
        return Bounds(*_sides(bounds, form.avals[0].shape))
    return _of_tree(name, bounds, form)


def limit(value: Any) -> Any:
    """A bound without its tensor."""
    return bare(value, "solvers", "a bound") if isinstance(value, Handle) else value


def _of_tree(name: str, bounds: Any, form: Form) -> Any:
    from scipy.optimize import Bounds

    try:
        pairs = _matching(form.spec, bounds)
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{name}: bounds must be of the structure of {form.word}, {form.spec}, "
                         f"with a pair for each tensor, got {flatten(bounds)[1]}") from None
    sides = [_sides(pair, aval.shape) for pair, aval in zip(pairs, form.avals, strict=True)]
    return Bounds(*map(np.concatenate, zip(*sides, strict=True)))


def _sides(pair: Any, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest values of a tensor's elements."""
    low, high = pair
    low, high = -np.inf if low is None else limit(low), np.inf if high is None else limit(high)
    return np.broadcast_to(low, shape).ravel(), np.broadcast_to(high, shape).ravel()


def _matching(spec: Spec, tree: Any) -> list[Any]:
    """The parts of a tree that stand where a structure's leaves do.

    Raises:
        ValueError, KeyError, TypeError: if it has other containers.
    """
    kind: Any = spec.kind
    if kind is None:
        return [tree]
    if type(tree) is not kind or len(tree) != len(spec.children):
        raise ValueError
    parts = [tree[key] for key in spec.context] if isinstance(tree, dict) else list(tree)
    return [leaf for child, part in zip(spec.children, parts, strict=True)
            for leaf in _matching(child, part)]
