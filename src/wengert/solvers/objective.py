"""A user's function as SciPy wants it: of one array, with derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.handle import wrap
from ..core.levels import here, modes
from ..func.forward import linearize
from ..func.jacobians import hessian, jacfwd, jacrev
from ..func.reverse import grad, grad_and_value
from .arguments import Form, Params, bare, explained, tensors_in, vector


class Flat:
    """A function of the user's as one of a vector.

    Its methods take arrays of float64 and give arrays.
    """

    def __init__(self, name: str, word: str, fun: Callable[..., Any], form: Form,
                 args: Any = ()) -> None:
        self.name, self.word, self.fun, self.form = name, word, fun, form
        params = Params(args if isinstance(args, tuple) else (args,))
        self.args = params.rebuilt([wrap(bare(x, name, "args")) for x in params.tensors])

    def of(self, x: Any) -> Any:
        """The function, of a vector that may be a transform's."""
        raise NotImplementedError

    def run(self, function: Callable[..., Any], x: np.ndarray, *rest: Any) -> Any:
        """Calls a transform of the function; nothing outside it is recorded."""
        with modes(grad=False), explained(self.name):
            return function(point(x), *rest)

    def check(self, x: np.ndarray) -> None:
        """Raises RuntimeError if the function closes over what a transform differentiates by."""
        if here.grad:
            with modes(grad=True), explained(self.name):
                self.array(self.of(point(x)))

    def array(self, x: Any) -> np.ndarray:
        return bare(x, self.name, self.word)

    def value(self, x: np.ndarray) -> np.ndarray:
        return self.array(self.run(self.of, x))


class Scalar(Flat):
    """A function with one number as its result."""

    _at: Any = None
    _push: Any = None

    def of(self, x: Any) -> Any:
        return self.at(x, self.args)

    def at(self, x: Any, args: Sequence[Any]) -> Any:
        y = self.fun(self.form.unpack(x), *args)
        (leaf,) = tensors_in([y], self.name, self.word)
        if leaf.aval.numel != 1:
            raise ValueError(
                f"{self.name}: {self.word} must return one number, got a tensor of shape "
                f"{list(leaf.aval.shape)} for {self.form.word} of shape {self.form.shapes}")
        return leaf.reshape(())

    def number(self, x: np.ndarray) -> float:
        return float(self.value(x))

    def with_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        slope, value = self.run(grad_and_value(self.of), x)
        return float(self.array(value)), self.array(slope)

    def product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The Hessian times a vector; SciPy asks for many at one point, so that is remembered."""
        if self._at is None or not np.array_equal(self._at, x):
            _, self._push = self.run(lambda p: linearize(grad(self.of), p), x)
            self._at = np.array(x)
        return self.array(self.run(self._push, v))

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return self.array(self.run(hessian(self.of), x))


class Vector(Flat):
    """A function with several numbers as its result: one tensor or a structure of them."""

    def of(self, x: Any) -> Any:
        return vector(self.fun(self.form.unpack(x), *self.args), self.name, self.word)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The Jacobian, by the mode that takes fewer sweeps; `rows` is the size of the result."""
        by = jacfwd if self.form.size <= self.rows else jacrev
        return self.array(self.run(by(self.of), x))

    rows = 0

    def start(self, x: np.ndarray) -> np.ndarray:
        """The value at the start, which says how many rows there are."""
        self.check(x)
        value = self.value(x)
        self.rows = value.size
        return value


def point(x: np.ndarray) -> Any:
    """A tensor of an array that SciPy may write to later."""
    return wrap(np.array(x, np.float64))
