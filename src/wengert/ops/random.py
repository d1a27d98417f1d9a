"""Random tensors, in PyTorch's words and with the numbers of its CPU generator."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes, generator
from ..core.device import CPU, check_device, device
from ..core.handle import Handle, wrap
from ..core.levels import deepest, here, numbers
from ..interpreters.batching import Batch, batch_of
from ..interpreters.inplace import check_history, check_inference, check_memory, write, written
from ..interpreters.views import refresh
from ..primitives.elementwise import copy
from .arguments import nonnegative, sizes
from .creation import new_leaf

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed",
    "manual_seed", "normal", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm", "seed", "set_rng_state",
]


class Generator(generator.Generator):
    """A stream of random numbers with a state of its own.

    For a given seed the numbers are those of PyTorch's CPU generator.

    Raises:
        RuntimeError: for a device other than the CPU.

    Example:
        >>> import wengert as torch
        >>> g = torch.Generator().manual_seed(0)
        >>> torch.rand(2, generator=g)
        tensor([0.4963, 0.7682])
    """

    def __init__(self, device: Any = None) -> None:
        check_device(device)
        super().__init__()

    @property
    def device(self) -> device:
        return CPU

    @device.setter
    def device(self, value: Any) -> None:
        check_device(value)

    def manual_seed(self, seed: int) -> Generator:
        """Begins anew from a seed; returns the generator."""
        _restarts()
        super().manual_seed(seed)
        return self

    def seed(self) -> int:
        """Begins anew from a seed that nobody knows before; returns the seed."""
        _restarts()
        return super().seed()

    def get_state(self) -> Any:
        """The state as a uint8 tensor, for `set_state`."""
        return wrap(super().get_state())

    def set_state(self, new_state: Any) -> None:
        """Goes back to a state that `get_state` gave."""
        state = np.asarray(new_state.value if isinstance(new_state, Handle) else new_state)
        if here.recorder is not None and not np.array_equal(state, super().get_state()):
            _restarts()
        super().set_state(state)


def _restarts() -> None:
    """Tells who records that random numbers begin anew, which native code doesn't do."""
    if here.recorder is not None:
        here.recorder.fail("it seeds the random numbers")


default_generator = Generator()
default_generator.manual_seed(int.from_bytes(os.urandom(6), "little"))  # as PyTorch starts


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator and returns it.

    Example:
        >>> import wengert as torch
        >>> _ = torch.manual_seed(0); torch.rand(1)
        tensor([0.4963])
    """
    default_generator.manual_seed(int(seed))
    return default_generator


def seed() -> int:
    """Seeds the default generator with a number that can't be foretold, and returns it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was last given."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator back to a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


def _source(given: Any) -> Generator:
    return default_generator if given is None else given


def _random(name: str, draw: Callable[..., np.ndarray], says: str) -> Callable[..., Tensor]:
    def function(*size: Any, generator: Any = None, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False, **ignored: Any) -> Tensor:
        check_device(device)
        shape = nonnegative(sizes((ignored.pop("size"),) if "size" in ignored else size))
        kind = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
        if not kind.differentiable:
            kernel = "check_uniform_bounds" if name == "rand" else "normal_kernel_cpu"
            raise NotImplementedError(f'"{kernel}" not implemented for \'{kind.words}\'')
        source = _source(generator)
        return _drawn(shape, source, lambda shape: draw(source, shape, kind.numpy), requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{says}\n\nArgs:\n    size: ints, or one sequence of them.\n    generator: a `Generator`; "
        "the default one, if None.\n    dtype: floating point or complex.\n    device: \"cpu\" or "
        "None.\n    requires_grad: whether operations on it are recorded.\n")
    return function


def _drawn(shape: tuple[int, ...], generator: Generator,
           draw: Callable[[tuple[int, ...]], np.ndarray], requires_grad: bool = False) -> Any:
    """A tensor of random numbers from a generator; inside `vmap`, as its `randomness` says."""
    levels = examples()
    whole = (*(level.size for level in levels), *shape)
    out = new_leaf(draw(whole), requires_grad)
    if here.recorder is not None:
        here.recorder.drew(out, generator, lambda: draw(whole))
    for level in levels:
        out = batch_of(out, level)
    return out


def examples() -> list[Batch]:
    """The batches of this thread, outermost first, whose examples get random numbers of their own.

    Raises:
        RuntimeError: inside a `vmap` that allows no random numbers.
    """
    batches = [level for level in here.levels if isinstance(level, Batch)]
    if any(level.randomness == "error" for level in batches):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the "
            "'same' or 'different' randomness flags on vmap or perform the randomness operation "
            "out of vmap")
    return [level for level in batches if level.randomness == "different"]


rand = _random("rand", generator.Generator.uniform, "Numbers uniform in [0, 1).")
randn = _random("randn", generator.Generator.normal,
                "Numbers normally distributed, with mean 0 and variance 1.")


def randint(low: int, high: Any = None, size: Any = None, *, generator: Any = None,
            dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Integers uniform in [low, high); `randint(high, size)` starts at 0.

    Raises:
        RuntimeError: if the range is empty.

    Example:
        >>> import wengert as torch
        >>> torch.randint(0, 10, (2, 3)).shape
        torch.Size([2, 3])
    """
    check_device(device)
    if size is None:
        low, high, size = (0, low, high) if high is not None else (0, low, ())
    elif high is None:
        low, high = 0, low
    kind = dtypes.int64 if dtype is None else dtypes.of(dtype)
    source = _source(generator)
    return _drawn(nonnegative(sizes((size,))), source, lambda shape: source.integers(
        shape, low, high, kind.numpy), requires_grad)


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    check_device(device)
    kind = dtypes.int64 if dtype is None else dtypes.of(dtype)
    source = _source(generator)
    return _drawn((n,), source, lambda shape: _permutations(source, shape, kind.numpy))


def _permutations(source: Generator, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    rows = [source.permutation(shape[-1], kind) for _ in range(math.prod(shape[:-1]))]
    return np.stack(rows).reshape(shape) if rows else np.empty(shape, kind)


def _like(name: str, make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(input: Any, *, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False) -> Tensor:
        kind = input.aval.dtype if dtype is None else dtype
        return make(*input.aval.shape, dtype=kind, device=device, requires_grad=requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name[:-5]}`, with the shape and dtype of `input`."
    return function


rand_like, randn_like = _like("rand_like", rand), _like("randn_like", randn)


def randint_like(input: Tensor, low: int, high: int | None = None, *, dtype: Any = None) -> Tensor:
    """`randint`, with the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.aval.shape,
                   dtype=input.aval.dtype if dtype is None else dtype)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None,
           dtype: Any = None) -> Tensor:
    """Numbers normally distributed, with a mean and standard deviation (numbers or tensors)."""
    if size is not None:
        return randn(size, generator=generator, dtype=dtype) * std + mean
    like = mean if isinstance(mean, Handle) else std
    return randn(*like.aval.shape, generator=generator, dtype=like.aval.dtype) * std + mean


def bernoulli(input: Tensor, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element gives, else 0."""
    _check_probabilities(numbers(input))
    source = _source(generator)
    if deepest((input,)) is not None or here.levels:
        uniform = rand(*input.aval.shape, generator=generator, dtype=input.aval.dtype)
        return (uniform < input).to(input.aval.dtype)
    shape, kind = input.aval.shape, input.aval.numpy
    out = wrap(_bernoulli(source, input.value, shape, kind))
    if here.recorder is not None:
        here.recorder.drew(out, source, lambda p: _bernoulli(source, p, shape, kind), input)
    return out


def _check_probabilities(p: np.ndarray) -> None:
    if not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")


def _bernoulli(source: Generator, p: np.ndarray, shape: Any, kind: Any) -> np.ndarray:
    _check_probabilities(p)
    return source.bernoulli(p, shape, kind)


def _refill(self: Any, draw: Callable[[Generator, Any], np.ndarray], generator: Any) -> Any:
    """Draws into a tensor, in place; its history, if it had one, ends here."""
    if deepest((self,)) is not None or here.levels or here.recorder is not None:
        source = _source(generator)
        return write(copy, self, _drawn(self.aval.shape, source,
                                        lambda shape: draw(source, shape)))
    if self.alias is not None:
        refresh(self)
    check_history(self, False)
    check_memory(self)
    check_inference(self)
    self.value[...] = draw(_source(generator), self.aval.shape)
    written(self)
    return self


def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *,
             generator: Any = None) -> Tensor:
    """Fills the tensor with numbers uniform in [from, to), in place."""
    return _refill(self, lambda g, shape: g.uniform(shape, self.aval.numpy, from_, to),
                   generator)


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with normally distributed numbers, in place."""
    return _refill(self, lambda g, shape: g.normal(shape, self.aval.numpy, mean, std),
                   generator)
