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
        return _pairs(name, bounds, form)
    return _of_tree(name, bounds, form)


def box(name: str, bounds: Any, form: Form) -> Any:
    """The bounds given to `least_squares`: a pair for all numbers, or as above."""
    from scipy.optimize import Bounds

    if isinstance(bounds, Bounds):
        return bounds
    if form.spec.kind is None:
        return Bounds(*_sides(name, bounds, form.avals[0].shape))
    return _of_tree(name, bounds, form)


def limit(value: Any) -> Any:
    """A bound without its tensor."""
    return bare(value, "solvers", "a bound") if isinstance(value, Handle) else value


def _pairs(name: str, bounds: Any, form: Form) -> list[tuple[Any, ...]]:
    """A pair for each number of a tensor, in order."""
    try:
        pairs = [tuple(map(limit, pair)) for pair in bounds]
    except TypeError:
        pairs = []
    if len(pairs) != form.size or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{name}: bounds must be a pair (low, high) for each of the {form.size} "
                         f"numbers of {form.word}, or a scipy.optimize.Bounds, got {bounds!r}")
    return pairs


def _of_tree(name: str, bounds: Any, form: Form) -> Any:
    from scipy.optimize import Bounds

    try:
        pairs = _matching(form.spec, bounds)
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{name}: bounds must be of the structure of {form.word}, {form.spec}, "
                         f"with a pair for each tensor, got {flatten(bounds)[1]}") from None
    sides = [_sides(name, pair, aval.shape) for pair, aval in zip(pairs, form.avals, strict=True)]
    return Bounds(*map(np.concatenate, zip(*sides, strict=True)))


def _sides(name: str, pair: Any, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest values of a tensor's elements."""
    try:
        low, high = pair
        low, high = -np.inf if low is None else limit(low), np.inf if high is None else limit(high)
        return np.broadcast_to(low, shape).ravel(), np.broadcast_to(high, shape).ravel()
    except (TypeError, ValueError):
        raise ValueError(f"{name}: the bounds of a tensor of shape {list(shape)} must be a pair "
                         f"(low, high) of numbers or arrays of its shape, got {pair!r}") from None


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
