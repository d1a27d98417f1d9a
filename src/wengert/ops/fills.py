"""Tensors filled with random numbers in place, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.handle import Handle
from ..core.levels import deepest, here, numbers
from ..core.primitive import Primitive
from ..interpreters.inplace import (
    check_history,
    check_inference,
    check_memory,
    unbound,
    write,
    written,
)
from ..interpreters.views import refresh
from ..primitives.elementwise import copy
from .random import (
    Generator,
    drawn,
    in_memory_order,
    memory_order,
    source,
)
from .shapes import expand

if TYPE_CHECKING:
    from .._tensor import Tensor

Draw = Callable[[Generator, tuple[int, ...]], np.ndarray]


def _refill(self: Any, node: Primitive, draw: Draw, generator: Any) -> Any:
    """Draws into a tensor, in place: in the order of its memory, as PyTorch does."""
    origin = source(generator)
    if unbound(self):
        self.value[...] = draw(origin, self.aval.shape)
        written(self)
        return self
    in_order = in_memory_order(lambda shape: draw(origin, shape), memory_order(self.value))
    if (self.node is not None or deepest((self,)) is not None or here.levels
            or here.recorder is not None):
        return write(node, self, drawn(self.aval.shape, origin, in_order))
    if self.alias is not None:
        refresh(self)
    check_history(self, False)
    check_memory(self)
    check_inference(self)
    self.value[...] = in_order(self.aval.shape)
    written(self)
    return self


def _node(name: str) -> Primitive:
    return copy.named(f"{name}Backward0")


_UNIFORM, _NORMAL, _EXPONENTIAL = _node("Uniform"), _node("Normal"), _node("Exponential")
_CAUCHY, _GEOMETRIC, _LOG_NORMAL = _node("Cauchy"), _node("Geometric"), _node("LogNormal")
_BERNOULLI, _BERNOULLI_NUMBER = copy.named("BernoulliBackward1"), copy.named("BernoulliBackward2")
_RANDOM = _node("Random")


def _check(self: Any, kernel: str, allowed: str) -> None:
    """Refuses dtypes that are not among the letters: b (bool), i (integers), f, c (complex)."""
    kind = self.aval.dtype
    letter = "bifc"[kind.category]
    if letter not in allowed or (kind.name.startswith("uint") and kind.itemsize > 1):
        raise NotImplementedError(f'"{kernel}" not implemented for \'{kind.words}\'')


def _check_continuous(self: Any, name: str) -> None:
    if not self.aval.dtype.is_floating_point:
        raise RuntimeError(f"{name} distribution is a continuous probability distribution. dtype "
                           f"must be a floating point but you specified {self.aval.dtype.words}")


def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None,
             **names: float) -> Tensor:
    """Fills the tensor with numbers uniform in [from, to), in place.

    Raises:
        RuntimeError: if `from` is above `to`, or the dtype can't hold their difference.
    """
    low = names.pop("from", from_)  # PyTorch's name for it, a keyword of Python
    if names:
        raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(names))}'")
    _check(self, "check_uniform_bounds", "fc")
    return _refill(self, _UNIFORM, lambda g, shape: g.uniform(shape, self.aval.numpy, low, to),
                   generator)


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with normally distributed numbers, in place.

    Raises:
        RuntimeError: if the standard deviation is negative.
    """
    _check(self, "normal_kernel_cpu", "fc")
    value: Any = self.value
    blocks = not isinstance(value, np.ndarray) or value.flags.c_contiguous
    return _refill(self, _NORMAL, lambda g, shape: g.normal(
        shape, self.aval.numpy, mean, std, blocks=blocks), generator)


def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *,
                generator: Any = None) -> Tensor:
    """Fills the tensor with numbers whose logarithms are normally distributed, in place."""
    _check(self, "log_normal_cpu", "f")
    return _refill(self, _LOG_NORMAL, lambda g, shape: g.log_normal(
        shape, self.aval.numpy, mean, std), generator)


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with exponentially distributed numbers of mean 1 / lambd, in place."""
    _check_continuous(self, "Exponential")
    return _refill(self, _EXPONENTIAL, lambda g, shape: g.exponential(
        shape, self.aval.numpy, lambd), generator)


def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *,
            generator: Any = None) -> Tensor:
    """Fills the tensor with numbers of the Cauchy distribution, in place."""
    _check_continuous(self, "Cauchy")
    return _refill(self, _CAUCHY, lambda g, shape: g.cauchy(
        shape, self.aval.numpy, median, sigma), generator)


def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers of trials up to the first success, of probability p."""
    _check(self, "geometric_cpu", "if")
    return _refill(self, _GEOMETRIC, lambda g, shape: g.geometric(
        shape, self.aval.numpy, float(p)), generator)


def random_(self: Tensor, *bounds: Any, generator: Any = None, **names: Any) -> Tensor:
    """Fills the tensor with integers, in place.

    Args:
        bounds: none (from 0 on, all that the dtype holds), `to` (from 0 to `to` - 1), or `from`
            and `to`, which may be None.
        generator: a `Generator`; the default one, if None.
        names: the bounds by name.

    Raises:
        RuntimeError: if the range is empty, or beyond what the dtype holds.
    """
    low, high = _random_bounds(bounds, names)
    if low is None:
        _check(self, "random_kernel_cpu", "bif")
        return _refill(self, _RANDOM, lambda g, shape: g.whole(shape, self.aval.numpy), generator)
    start = int(low)
    return _refill(self, _RANDOM, lambda g, shape: g.integers(
        shape, start, None if high is None else int(high), self.aval.numpy), generator)


def _random_bounds(bounds: tuple[Any, ...], names: dict[str, Any]) -> tuple[Any, Any]:
    if len(bounds) == 1 and "to" not in names:
        return (0, bounds[0]) if "from" not in names else (names["from"], bounds[0])
    low, high = (*bounds, names.get("from") if not bounds else None, None)[:2]
    high = names.get("to", high)
    if len(bounds) > 2 or set(names) - {"from", "to"}:
        raise TypeError("random_() received an invalid combination of arguments")
    return (0 if low is None and high is not None else low), high


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fills the tensor with ones of probability p (a number, or a tensor of them) and zeros.

    Raises:
        RuntimeError: if a probability is not between 0 and 1.
    """
    kind = self.aval.numpy
    if not isinstance(p, Handle):
        _check(self, "bernoulli_scalar_cpu_", "bif")
        chance = float(p)
        return _refill(self, _BERNOULLI_NUMBER, lambda g, shape: g.bernoulli(chance, shape, kind),
                       generator)
    _check(self, "bernoulli_tensor_cpu_self_", "bif")
    if not p.aval.dtype.is_floating_point:
        raise NotImplementedError('"bernoulli_tensor_cpu_p_" not implemented for '
                                  f"'{p.aval.dtype.words}'")
    chances = numbers(p if p.aval.shape == self.aval.shape else expand(
        p, self.aval.shape))  # type: ignore[arg-type]
    order = memory_order(self.value)
    chances = chances if order is None else chances.transpose(order)
    return _refill(self, _BERNOULLI, lambda g, shape: g.bernoulli(chances, shape, kind),
                   generator)
