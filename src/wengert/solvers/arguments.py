"""What solvers make of their arguments: unknowns as one vector, parameters as operands.

Solvers compute in float64, which is what SciPy's tolerances and line searches are made for. The
unknown, a tensor or a pytree of them, becomes a vector; the user's function sees it in its own
structure again, in float64, and so it sees the parameters. Casts are recorded like any operation,
so gradients arrive in the dtypes that the user gave.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.handle import Handle, wrap
from ..core.levels import here
from ..core.pytrees import flatten
from ..func.arguments import as_tensor
from ..interpreters.lifted import Lifted
from ..interpreters.reverse import Reverse
from ..interpreters.views import refresh
from ..ops.joining import cat

WIDE = dtypes.float64


class ConvergenceError(RuntimeError):
    """A solver gave up: its result would not solve the problem, nor would derivatives be right."""


class Form:
    """How an unknown lies in one vector.

    Attributes:
        name: the solver, for error messages.
        word: the argument that the structure was taken from.
        spec: the structure.
        avals: shape and dtype of each leaf.
        sizes: the leaves' numbers of elements.
    """

    def __init__(self, name: str, tree: Any, word: str = "x0") -> None:
        leaves, self.spec = flatten(tree)
        self.name, self.word = name, word
        self.leaves = [self._leaf(leaf) for leaf in leaves]
        self.avals = [leaf.aval.plain for leaf in self.leaves]
        self.sizes = [aval.numel for aval in self.avals]
        if not self.size:
            raise ValueError(f"{name}: {word} has no elements")

    def _leaf(self, leaf: Any) -> Any:
        """A leaf as a tensor of real floating point numbers."""
        try:
            x = as_tensor(leaf)
        except ValueError:
            raise TypeError(f"{self.name}: {self.word} must be a tensor or a structure of "
                            f"tensors, got {type(leaf).__name__}") from None
        if not x.aval.dtype.is_floating_point:
            raise TypeError(f"{self.name}: {self.word} must be of a real floating point dtype, "
                            f"got {x.aval.dtype} of shape {list(x.aval.shape)}")
        return x

    @property
    def size(self) -> int:
        return sum(self.sizes)

    @property
    def shapes(self) -> str:
        """The leaves' shapes, for error messages."""
        found = [list(aval.shape) for aval in self.avals]
        return str(found[0] if len(found) == 1 else found)

    def start(self) -> Any:
        """The vector of the tree that the form was made from."""
        return joined(self.leaves)

    def unpack(self, vector: Any) -> Any:
        """A vector's structure, in float64."""
        if not self.spec.children and self.spec.kind is None:
            return vector.reshape(self.avals[0].shape)
        parts = vector.split(self.sizes)
        return self.spec.unflatten([part.reshape(aval.shape) for part, aval in
                                    zip(parts, self.avals, strict=True)])

    def pack(self, tree: Any, word: str) -> Any:
        """The vector of a tree that must be of this structure.

        Raises:
            ValueError: if it is not, or a leaf has another shape.
        """
        leaves, spec = flatten(tree)
        if spec != self.spec:
            raise ValueError(f"{self.name}: {word} must return what {self.word} is, {self.spec}, "
                             f"got {spec}")
        leaves = tensors_in(leaves, self.name, word)
        for leaf, aval in zip(leaves, self.avals, strict=True):
            if leaf.aval.shape != aval.shape:
                raise ValueError(f"{self.name}: {word} must return the shapes of {self.word}, "
                                 f"{self.shapes}, got {list(leaf.aval.shape)} for "
                                 f"{list(aval.shape)}")
        return joined(leaves)

    def given(self, vector: Any) -> Any:
        """A vector's structure, in the dtypes that the user gave: what solvers return."""
        leaves = flatten(self.unpack(vector))[0]
        return self.spec.unflatten([leaf.to(aval.dtype) for leaf, aval in
                                    zip(leaves, self.avals, strict=True)])

    def solution(self, array: np.ndarray) -> Any:
        """The same from an array, in memory of its own."""
        return self.given(wrap(np.array(array, np.float64)))


class Params:
    """A function's parameters apart: tensors, by which it can be differentiated, and the rest.

    Attributes:
        tensors: the tensors among the leaves; floats in double precision.
    """

    def __init__(self, params: Sequence[Any]) -> None:
        self._leaves, self._spec = flatten(tuple(params))
        self._places = [i for i, leaf in enumerate(self._leaves) if isinstance(leaf, Handle)]
        self.tensors = [wide(self._leaves[i]) for i in self._places]

    def rebuilt(self, tensors: Sequence[Any]) -> Any:
        """The parameters with other tensors in place of theirs."""
        leaves = list(self._leaves)
        for i, x in zip(self._places, tensors, strict=True):
            leaves[i] = x
        return self._spec.unflatten(leaves)


def wide(x: Any) -> Any:
    """A tensor in double precision; integers as they are."""
    kind = x.aval.dtype
    if kind.is_complex:
        return x.to(dtypes.complex128)
    return x.to(WIDE) if kind.is_floating_point else x


def joined(leaves: Sequence[Any]) -> Any:
    """Tensors as one vector of float64."""
    flat = [leaf.reshape(-1).to(WIDE) for leaf in leaves]
    return flat[0] if len(flat) == 1 else cat(flat)


def tensors_in(leaves: Sequence[Any], name: str, word: str) -> list[Any]:
    """A function's results, which must be real tensors.

    Numbers and arrays are refused: they would be constants, whatever they were computed from.

    Raises:
        TypeError: for anything else.
    """
    for leaf in leaves:
        if not isinstance(leaf, Handle):
            raise TypeError(f"{name}: {word} must return tensors, got {type(leaf).__name__}: "
                            "derivatives are lost where numbers are taken out of tensors")
        if leaf.aval.is_complex:
            raise TypeError(f"{name}: {word} must return real tensors, got {leaf.aval.dtype} of "
                            f"shape {list(leaf.aval.shape)}")
    return list(leaves)


def vector(tree: Any, name: str, word: str) -> Any:
    """All numbers of a function's result as one vector."""
    return joined(tensors_in(flatten(tree)[0], name, word))


def bare(x: Any, name: str, word: str) -> np.ndarray:
    """The numbers of a tensor that no transform differentiates by or maps over.

    Under `no_grad`, reverse mode doesn't differentiate.

    Raises:
        RuntimeError: if one does.
    """
    while isinstance(x, Handle):
        if x.alias is not None:
            refresh(x)
        level = x.aval.level
        if level is not None and level.alive and _carries(level, x):
            raise RuntimeError(
                f"{name}: {word} depends on a tensor that a transform ({level.word}) "
                "differentiates by or maps over, and would lose its derivative here. Give that "
                "tensor as a parameter to a solver that is differentiable")
        x = x.value
    return np.asarray(x)


def _carries(level: Any, x: Any) -> bool:
    """Whether a tensor stands for more than the value below."""
    if isinstance(level, Reverse):
        return bool(here.grad) and x.node is not None
    return not isinstance(level, Lifted) or x.extra is not None


def check_finite(array: np.ndarray, name: str, word: str) -> None:
    """Raises ValueError if NaN or infinity is among some numbers."""
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise ValueError(f"{name}: {word} is not finite: {bad} of {array.size} numbers are NaN or "
                         "infinite")


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Adds what the user can do, where a function mixes its own float32 with our float64."""
    try:
        yield
    except RuntimeError as error:
        if "dtype" in str(error):
            error.add_note(f"{name} calls its function with float64 tensors: make the data that "
                           "it uses float64 as well, or give them as parameters")
        raise
