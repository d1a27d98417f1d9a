"""Random tensors, in PyTorch's words and with the numbers of its CPU generator."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import dtypes, generator
from ..core.device import CPU, check_device, device
from ..core.handle import Handle, wrap
from ..core.levels import deepest, here, numbers, quietly, shared
from ..core.primitive import Primitive
from ..interpreters.batching import Batch, batch_of, stacked
from ..interpreters.lifted import detached
from ..primitives.elementwise import copy
from ..primitives.layout import inverse_order
from ..primitives.scans import cumsum
from ..primitives.sorting import argsort
from .arguments import check_floats, created, need_tensor
from .creation import named_size, new_leaf
from .operators import is_number

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed",
    "manual_seed", "multinomial", "normal", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
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

    def clone_state(self) -> Generator:
        """A new generator that goes on from the same state, independently."""
        clone = Generator()
        clone.set_state(self.get_state())
        return clone

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


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **ignored: Any) -> Iterator[None]:
    """A context from which the random numbers go on as if nothing had been drawn within.

    Args:
        devices: ignored, as there is the CPU alone.
        enabled: False makes the context do nothing.
        ignored: what PyTorch asks of other devices.

    Example:
        >>> import wengert as torch
        >>> _ = torch.manual_seed(0)
        >>> with torch.random.fork_rng():
        ...     _ = torch.rand(3)
        >>> torch.rand(1)
        tensor([0.4963])
    """
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            set_rng_state(state)


def source(given: Any) -> Generator:
    """The generator given, or the default one.

    Raises:
        TypeError: for what is no generator.
    """
    if given is None:
        return default_generator
    if not isinstance(given, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(given).__name__}")
    return given


# --- how numbers become tensors ---------------------------------------------------------------

Draw = Callable[[tuple[int, ...]], np.ndarray]


def drawn(shape: tuple[int, ...], generator: Generator, draw: Draw,
          requires_grad: bool = False) -> Any:
    """A tensor of random numbers from a generator; inside `vmap`, as its `randomness` says."""
    if not (shared.special and (here.levels or here.recorder is not None)):
        return new_leaf(draw(shape), requires_grad)
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


def drawn_for(x: Any, generator: Generator, draw: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A tensor of random numbers that are drawn for the elements of another, without history.

    Args:
        x: the tensor.
        generator: where the numbers come from.
        draw: from an array to one of the same shape, element by element.
    """
    if not shared.special and x.aval.level is None:
        return wrap(draw(x.value))
    levels = examples()
    x = detached(x)
    for level in reversed(levels):
        x = stacked(x, level)
    if deepest((x,)) is not None:
        raise RuntimeError("vmap: the same random numbers can't be drawn for different examples")
    out = wrap(draw(x.value))
    if here.recorder is not None:
        here.recorder.drew(out, generator, draw, x)
    for level in levels:
        out = batch_of(out, level)
    return out


def with_history(node: Primitive, x: Any, numbers: Any) -> Any:
    """Random numbers drawn for a tensor, on which they depend without a slope."""
    return numbers if x.node is None and x.aval.level is None else node(x, numbers)


def memory_order(array: Any) -> tuple[int, ...] | None:
    """An array's dimensions in the order of its memory, in which PyTorch fills it; None if that
    is the usual one, or not known."""
    if not isinstance(array, np.ndarray) or array.flags.c_contiguous or here.levels:
        return None
    return tuple(sorted(range(array.ndim), key=lambda dim: -abs(array.strides[dim])))


def in_memory_order(draw: Draw, order: tuple[int, ...] | None) -> Draw:
    """`draw`, whose numbers come in an order of dimensions."""
    if order is None:
        return draw
    back = inverse_order(order)
    return lambda shape: draw(tuple(shape[dim] for dim in order)).transpose(back)


# --- of a given shape -------------------------------------------------------------------------

_KERNELS = {"rand": "check_uniform_bounds", "randn": "normal_kernel_cpu"}


def _inexact(name: str, dtype: Any) -> dtypes.dtype:
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    if not kind.differentiable:
        raise NotImplementedError(f'"{_KERNELS[name]}" not implemented for \'{kind.words}\'')
    return kind


def _random(name: str, draw: Callable[..., np.ndarray], says: str) -> Callable[..., Tensor]:
    def function(*size: Any, generator: Any = None, dtype: Any = None, layout: Any = None,
                 device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
                 **others: Any) -> Tensor:
        if device is not None:
            check_device(device)
        if others:
            size = named_size(name, size, others)
        shape = created(size)
        kind, origin = _inexact(name, dtype).numpy, source(generator)
        return drawn(shape, origin, lambda shape: draw(origin, shape, kind), requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{says}\n\nArgs:\n    size: ints, or one sequence of them.\n    generator: a `Generator`; "
        "the default one, if None.\n    dtype: floating point or complex.\n    layout: ignored.\n"
        "    device: \"cpu\" or None.\n    requires_grad: whether operations on it are recorded.\n"
        "    pin_memory: ignored.\n    others: none but `size`.\n")
    return function


rand = _random("rand", generator.Generator.uniform, "Numbers uniform in [0, 1).")
randn = _random("randn", generator.Generator.normal,
                "Numbers normally distributed, with mean 0 and variance 1.")


def randint(*args: Any, low: Any = None, high: Any = None, size: Any = None,
            generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """Integers uniform in [low, high).

    Args:
        args: `(high, size)` or `(low, high, size)`; each may be given by name.
        low: 0, if not given.
        high: an integer above low.
        size: a sequence of ints.
        generator: a `Generator`; the default one, if None.
        dtype: any but a complex one; int64, if None.
        layout: ignored.
        device: "cpu" or None.
        requires_grad: whether operations on it are recorded.
        pin_memory: ignored.

    Raises:
        TypeError: if a bound or the size is missing.
        RuntimeError: if the range is empty, or beyond what the dtype holds.

    Example:
        >>> import wengert as torch
        >>> torch.randint(0, 10, (2, 3)).shape
        torch.Size([2, 3])
    """
    check_device(device)
    low, high, size = _bounds(args, low, high, size)
    kind = dtypes.int64 if dtype is None else dtypes.of(dtype)
    origin = source(generator)
    return drawn(created(size), origin, lambda shape: origin.integers(
        shape, low, high, kind.numpy), requires_grad)


def _bounds(args: tuple[Any, ...], low: Any, high: Any, size: Any) -> tuple[int, int, Any]:
    given = list(args)
    if size is None and given and not _is_bound(given[-1]):
        size = given.pop()
    if high is None and given:
        high = given.pop()
    if low is None:
        low = given.pop() if given else 0
    if given or size is None or not (_is_bound(low) and _is_bound(high)):
        raise TypeError("randint() received an invalid combination of arguments; expected "
                        "(int high, tuple of ints size) or (int low, int high, tuple of ints size)")
    return int(low), int(high), size


def _is_bound(value: Any) -> bool:
    if isinstance(value, Handle):
        return not value.aval.ndim
    return hasattr(value, "__index__") and not isinstance(value, bool)


def randperm(n: int, *, generator: Any = None, dtype: Any = None, layout: Any = None,
             device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """The numbers 0 to n - 1 in random order.

    Raises:
        RuntimeError: if n is negative, or more than the dtype holds.
    """
    check_device(device)
    kind = dtypes.int64 if dtype is None else dtypes.of(dtype)
    origin = source(generator)
    return drawn((n,), origin, lambda shape: _permutations(origin, shape, kind.numpy),
                 requires_grad)


def _permutations(source: Generator, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    if len(shape) == 1:
        return source.permutation(shape[0], kind)
    rows = [source.permutation(shape[-1], kind) for _ in range(math.prod(shape[:-1]))]
    return np.stack(rows).reshape(shape) if rows else np.empty(shape, kind)


# --- like another tensor ----------------------------------------------------------------------


def _order_like(x: Any, memory_format: Any) -> tuple[int, ...] | None:
    """The order in memory that a new tensor takes over from another, without its gaps."""
    order = memory_order(x.value) if memory_format is None else None
    if order is None or 0 in x.value.strides:
        return None
    long = [dim for dim in order if x.aval.shape[dim] > 1]
    return None if long == sorted(long) else order


def drawn_like(x: Any, generator: Generator, draw: Draw, requires_grad: bool = False,
               memory_format: Any = None) -> Any:
    """`drawn`, of the shape and in the order in memory of another tensor."""
    return drawn(x.aval.shape, generator, in_memory_order(draw, _order_like(x, memory_format)),
                 requires_grad)


def _like(name: str, draw: Callable[..., np.ndarray]) -> Callable[..., Tensor]:
    def function(input: Any, *, generator: Any = None, dtype: Any = None, layout: Any = None,
                 device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
                 memory_format: Any = None) -> Tensor:
        check_device(device)
        x = need_tensor(f"{name}_like", input)
        kind, origin = _inexact(name, x.aval.dtype if dtype is None else dtype).numpy, source(
            generator)
        order = _order_like(x, memory_format)
        sequence = {"blocks": False} if name == "randn" and order is not None else {}
        return drawn(x.aval.shape, origin, in_memory_order(
            lambda shape: draw(origin, shape, kind, **sequence), order), requires_grad)

    function.__name__ = function.__qualname__ = f"{name}_like"
    function.__doc__ = (f"`{name}`, with the shape, dtype and order in memory of `input` unless "
                        "others are given.")
    return function


rand_like = _like("rand", generator.Generator.uniform)
randn_like = _like("randn", generator.Generator.normal)


def randint_like(input: Tensor, low: Any = None, high: Any = None, *, generator: Any = None,
                 dtype: Any = None, layout: Any = None, device: Any = None,
                 requires_grad: bool = False, pin_memory: bool = False,
                 memory_format: Any = None) -> Tensor:
    """`randint(low, high)` or `randint(high)`, with the shape and dtype of `input`."""
    check_device(device)
    x = need_tensor("randint_like", input)
    low, high = (0, low) if high is None else (0 if low is None else low, high)
    kind = x.aval.dtype if dtype is None else dtypes.of(dtype)
    origin = source(generator)
    return drawn_like(x, origin, lambda shape: origin.integers(
        shape, int(low), int(high), kind.numpy), requires_grad, memory_format)


# --- with tensors as parameters ---------------------------------------------------------------


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None,
           dtype: Any = None, layout: Any = None, device: Any = None,
           requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """Numbers normally distributed, with a mean and standard deviation.

    Args:
        mean: a number, or a tensor of means.
        std: likewise.
        size: of the result, if both are numbers.
        generator: a `Generator`; the default one, if None.
        dtype: of the result, if both are numbers.
        layout: ignored.
        device: "cpu" or None.
        requires_grad: whether operations on it are recorded.
        pin_memory: ignored.

    Raises:
        TypeError: if both are numbers and there is no size.
        RuntimeError: if a standard deviation is negative.
    """
    _check_deviation(std)
    if not (isinstance(mean, Handle) or isinstance(std, Handle)):
        if size is None:
            raise TypeError("normal() received an invalid combination of arguments: two numbers, "
                            "and no size")
        kind, origin = _inexact("randn", dtype).numpy, source(generator)
        return drawn(created(size), origin, lambda shape: origin.normal(
            shape, kind, float(mean), float(std)), requires_grad)
    if any(each is not None for each in (size, dtype, layout, device)):
        raise TypeError("normal() received an invalid combination of arguments: Tensors, and a "
                        "size, dtype, layout or device")
    return _normal_of_tensors(mean, std, generator)


def _check_deviation(std: Any) -> None:
    if isinstance(std, Handle):
        if not std.aval.dtype.is_complex and (numbers(std) < 0).any():
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif is_number(std) and std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


def _normal_of_tensors(mean: Any, std: Any, generator: Any) -> Any:
    first = mean if isinstance(mean, Handle) else std
    operands: list[Any] = [each for each in (mean, std) if isinstance(each, Handle)]
    shape = np.broadcast_shapes(*(each.aval.shape for each in operands)) if len(
        operands) < 2 else (mean + std).shape
    unit = randn(shape, generator=generator, dtype=first.aval.dtype)
    fixed_mean, fixed_std = (detached(x) if isinstance(x, Handle) else x for x in (mean, std))
    found = (unit * fixed_std).to(first.aval.dtype) + fixed_mean
    found = found.to(first.aval.dtype)
    for node, each in zip(_NORMAL[len(operands) > 1 or first is std], operands, strict=False):
        if each.node is not None or each.aval.level is not None:
            found = with_history(node, each.expand(shape), found)
    return found


_by_mean, _by_std, _by_both = (copy.named(f"NormalBackward{n}") for n in (1, 2, 3))
_NORMAL = {False: (_by_mean,), True: (_by_std, _by_both)}


def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element gives, else 0.

    Args:
        input: the probabilities.
        p: one probability for all elements, in place of them.
        generator: a `Generator`; the default one, if None.

    Raises:
        RuntimeError: if a probability is not between 0 and 1.
    """
    x, origin = need_tensor("bernoulli", input), source(generator)
    kind = x.aval.numpy
    if p is not None:
        chance = float(p)
        return with_history(_bernoulli_node, x, drawn(
            x.aval.shape, origin, lambda shape: origin.bernoulli(chance, shape, kind)))
    check_floats("bernoulli_tensor_cpu_p_", x)
    return with_history(_bernoulli_node, x, drawn_for(
        x, origin, lambda chances: origin.bernoulli(chances, chances.shape, kind)))


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """A Poisson number of the mean that each element gives.

    Raises:
        RuntimeError: for a negative mean.
        NotImplementedError: for other than floats.

    Example:
        >>> import wengert as torch
        >>> torch.poisson(torch.tensor([0., 1e-9]))
        tensor([0., 0.])
    """
    x, origin = need_tensor("poisson", input), source(generator)
    check_floats("poisson_cpu", x)
    return with_history(_poisson_node, x, drawn_for(x, origin, origin.poisson))


_bernoulli_node, _poisson_node = copy.named("BernoulliBackward0"), copy.named("PoissonBackward0")


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *,
                generator: Any = None) -> Tensor:
    """Places of a row (or of each row), drawn with the probabilities that its elements give.

    Args:
        input: of shape (n) or (rows, n); weights, which need not add up to 1.
        num_samples: how many places to draw from each row.
        replacement: whether a place may be drawn again.
        generator: a `Generator`; the default one, if None.

    Raises:
        RuntimeError: if there are too few places, or for weights that are negative, not finite, or
            all 0.

    Example:
        >>> import wengert as torch
        >>> torch.multinomial(torch.tensor([0., 1., 0.]), 2, replacement=True)
        tensor([1, 1])
    """
    x, origin = need_tensor("multinomial", input), source(generator)
    _check_count(x, num_samples, replacement)
    if replacement and num_samples > 1:
        return drawn_for(x, origin, lambda weights: quietly(
            _by_inverse, weights, num_samples, origin))
    kind = x.aval.numpy
    draw = in_memory_order(lambda shape: origin.exponential(shape, kind), _order_like(x, None))
    return drawn_for(x, origin, lambda weights: quietly(
        _by_competition, weights, num_samples, draw))


def _by_competition(weights: np.ndarray, count: int, draw: Draw) -> np.ndarray:
    """The first of competing exponentials (Efraimidis & Spirakis, "Weighted random sampling with a
    reservoir", Information Processing Letters 97, 2006)."""
    says = "probability tensor contains either `inf`, `nan` or element < 0"
    _check_weights(weights, says, says)
    chance = weights / draw(weights.shape)
    order = argsort.evaluate(_wide(chance), dim=chance.ndim - 1, descending=True, stable=True)
    return np.ascontiguousarray(order[..., :count])


def _by_inverse(weights: np.ndarray, count: int, origin: Generator) -> np.ndarray:
    """By row, how many of the shares added up are below each of `count` uniform numbers."""
    says = "invalid multinomial distribution (encountering probability entry {})"
    _check_weights(weights, says.format("< 0"), says.format("= infinity or NaN"))
    total = cumsum.evaluate(_wide(weights), dim=weights.ndim - 1)
    share = (total / total[..., -1:]).astype(np.float64)[..., :-1]
    level = origin.uniform((*weights.shape[:-1], count), np.float64)
    if weights.ndim == 1:
        return share.searchsorted(level)
    return np.add.reduce(share[..., None, :] < level[..., None], -1)


def _wide(x: np.ndarray) -> np.ndarray:
    """An array with halves made float32."""
    return x.astype(np.promote_types(x.dtype, np.float32), copy=False)


def _check_count(x: Any, count: Any, replacement: bool) -> None:
    kind, ndim = x.aval.dtype, x.aval.ndim
    if not kind.is_floating_point:
        raise RuntimeError("multinomial only supports floating-point dtypes for input, got: "
                           f"{kind.words}")
    if not 1 <= ndim <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if count <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and count > x.aval.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without "
                           "replacement")
    if x.aval.shape[-1] > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")


def _check_weights(weights: np.ndarray, negative: str, infinite: str) -> None:
    if not np.minimum.reduce(weights, None, initial=1) >= 0:  # nor NaN
        raise RuntimeError(negative)
    if not np.maximum.reduce(weights, None, initial=0) < math.inf:
        raise RuntimeError(infinite)
    if not np.logical_and.reduce(np.add.reduce(weights, -1, np.float64), None):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
