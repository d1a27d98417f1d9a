"""`vmap`: a function of one example becomes one of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..core.handle import Handle
from ..core.levels import entered
from ..core.pytrees import Spec, flatten, spread
from ..interpreters.batching import Batch, batch_of, stacked
from ..ops.joining import cat
from ..primitives.layout import narrow, permute
from .arguments import as_tensor, up_to_date

RANDOMNESS = ("error", "different", "same")


def vmap(func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0,
         randomness: str = "error", *, chunk_size: int | None = None) -> Callable[..., Any]:
    """The function that applies a function to every example of a batch, all at once.

    Args:
        func: from tensors (or pytrees of them) to tensors, for one example.
        in_dims: which dimension of the arguments goes over the examples; None: the argument is
            the same for all. One for all arguments, or a structure like them (or a prefix of it).
        out_dims: where that dimension goes in the results; None: the same for all examples.
        randomness: what random functions inside do: "error", "same" numbers for all examples, or
            "different" ones.
        chunk_size: at most so many examples at a time, to save memory.

    Returns:
        A function of the same arguments, with one dimension more each. Keyword arguments are the
        same for all examples.

    Raises:
        ValueError: when that is called, if in_dims or out_dims do not fit, the sizes differ, or
            func returns anything but tensors.
        RuntimeError: if Python looks into a tensor inside (`if x > 0`): use `where`.

    Example:
        >>> import wengert as torch
        >>> dots = torch.func.vmap(torch.dot)
        >>> dots(torch.tensor([[1., 2.], [3., 4.]]), torch.tensor([[1., 0.], [0., 1.]]))
        tensor([1., 4.])
        >>> torch.func.vmap(torch.func.grad(lambda x: x ** 3))(torch.tensor([1., 2.]))
        tensor([ 3., 12.])
    """
    name = getattr(func, "__name__", type(func).__name__)
    if randomness not in RANDOMNESS:
        raise RuntimeError("Only allowed values for randomness are 'error', 'different', or "
                           f"'same'. Got {randomness}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func, updated=())
    def batched(*args: Any, **kwargs: Any) -> Any:
        return Mapped(func, name, out_dims, randomness).call(args, kwargs, in_dims, chunk_size)

    return batched


class Mapped:
    """One call of a batched function."""

    def __init__(self, func: Callable[..., Any], name: str, out_dims: Any,
                 randomness: str) -> None:
        self.func, self.name, self.out_dims = func, name, out_dims
        self.randomness = randomness

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], in_dims: Any,
             chunk_size: int | None) -> Any:
        leaves, spec, dims = self._inputs(args, in_dims)
        leaves = [v if d is None else self._front(v, d) for v, d in zip(leaves, dims, strict=True)]
        size = self._size(leaves, dims)
        parts, structure = [], Spec(None, None, ())
        for start, length in _chunks(size, chunk_size or max(size, 1)):
            whole = length == size
            xs = [v if d is None or whole else narrow(v, 0, start, length)
                  for v, d in zip(leaves, dims, strict=True)]
            found, structure = self._run(xs, dims, spec, kwargs, length)
            parts.append(found)
        return structure.unflatten(self._joined(parts, structure))

    def _inputs(self, args: tuple[Any, ...], in_dims: Any) -> tuple[list[Any], Spec, list[Any]]:
        if not isinstance(in_dims, (int, tuple, list)) or isinstance(in_dims, bool):
            raise ValueError(
                f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be "
                "int or a (potentially nested) tuple matching the structure of inputs, got: "
                f"{type(in_dims)}.")
        if not args:
            raise ValueError(f"vmap({self.name})(<inputs>): got no inputs. Maybe you forgot to "
                             "add inputs, or you are trying to vmap over a function with no "
                             "inputs. The latter is unsupported.")
        leaves, spec = flatten(args)
        try:
            dims = spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args)
        except ValueError:
            raise ValueError(
                f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible "
                f"with the structure of `inputs`. in_dims has structure {flatten(in_dims)[1]} but "
                f"inputs has structure {spec}.") from None
        return leaves, spec, [self._in_dim(v, d, in_dims)
                              for v, d in zip(leaves, dims, strict=True)]

    def _in_dim(self, value: Any, dim: Any, in_dims: Any) -> int | None:
        where = f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>)"
        if dim is None:
            return None
        if not isinstance(dim, int) or isinstance(dim, bool):
            raise ValueError(f"{where}: Got in_dim={dim} for an input but in_dim must be either an "
                             "integer dimension or None.")
        try:
            ndim = as_tensor(value).aval.ndim if not isinstance(value, float) else None
        except ValueError:
            ndim = None
        if ndim is None:
            raise ValueError(
                f"{where}: Got in_dim={dim} for an input but the input is of type {type(value)}. "
                "We cannot vmap over non-Tensor arguments, please use None as the respective "
                "in_dim")
        if not -ndim <= dim < ndim:
            raise ValueError(
                f"{where}: Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {ndim} so expected in_dim to satisfy -{ndim} <= in_dim < {ndim}.")
        return dim % ndim

    def _front(self, value: Any, dim: int) -> Any:
        x = as_tensor(value)
        if dim == 0:
            return x
        others = [d for d in range(x.aval.ndim) if d != dim]
        return permute(x, dims=(dim, *others))

    def _size(self, leaves: Sequence[Any], dims: Sequence[Any]) -> int:
        sizes = [v.aval.shape[0] for v, d in zip(leaves, dims, strict=True) if d is not None]
        if not sizes:
            raise ValueError("vmap: Expected at least one Tensor to vmap over")
        if len(set(sizes)) > 1:
            raise ValueError("vmap: Expected all tensors to have the same size in the mapped "
                             f"dimension, got sizes {sizes} for the mapped dimension")
        return int(sizes[0])

    def _run(self, leaves: Sequence[Any], dims: Sequence[Any], spec: Spec,
             kwargs: dict[str, Any], size: int) -> tuple[list[Any], Spec]:
        """The results for one chunk: pairs of a tensor and whether it goes over the examples."""
        with entered(Batch(size, self.randomness)) as level:
            values = [v if d is None else batch_of(up_to_date(v), level)
                      for v, d in zip(leaves, dims, strict=True)]
            output = self.func(*spec.unflatten(values), **kwargs)
            outs, structure = flatten(output)
            dims = self._out_dims(output, structure)
            for out, dim in zip(outs, dims, strict=True):
                if dim is not None and not isinstance(out, Handle):
                    raise ValueError(
                        f"vmap({self.name}, ...): `{self.name}` must only return Tensors, got "
                        f"type {type(out)}. Did you mean to set out_dims= to None for output?")
            found = [(stacked(out, level), True) if d is not None else (
                (out.value, True) if level.holds(out) else (out, False))
                for out, d in zip(outs, dims, strict=True)]
            out, output = None, None  # tensors made inside go, before the level asks for others
            outs.clear()
            return found, structure

    def _out_dims(self, output: Any, structure: Spec) -> list[Any]:
        """Where the examples go in each result.

        Raises:
            ValueError: if out_dims are not of the output's structure.
        """
        try:
            return spread(self.out_dims, output)
        except ValueError:
            pass
        if isinstance(self.out_dims, tuple) and len(self.out_dims) == 1 and not structure.children:
            return list(self.out_dims)  # as PyTorch has it, a tuple of one serves for one result
        raise ValueError(
            f"vmap({self.name}, ..., out_dims={self.out_dims})(<inputs>): out_dims is not "
            "compatible with the structure of `outputs`. out_dims has structure "
            f"{flatten(self.out_dims)[1]} but outputs has structure {structure}.") from None

    def _joined(self, parts: list[list[Any]], structure: Spec) -> list[Any]:
        """The chunks' results put together, the examples' dimension where it is wanted."""
        first = structure.unflatten([0] * structure.leaves)
        joined = []
        for dim, chunks in zip(self._out_dims(first, structure), zip(*parts, strict=True),
                               strict=True):
            if dim is None:
                joined.append(self._same(chunks[0]))
                continue
            whole = [value for value, _ in chunks]
            joined.append(_moved(whole[0] if len(whole) == 1 else cat(whole, 0), dim))
        return joined

    def _same(self, found: tuple[Any, bool]) -> Any:
        value, differs = found
        if differs:
            raise ValueError(f"vmap({self.name}, ...): `{self.name}` can not return a BatchedTensor"
                             " when out_dim is None")
        return value


def _chunks(size: int, most: int) -> Iterator[tuple[int, int]]:
    for start in range(0, max(size, 1), most):
        yield start, min(most, size - start)


def _moved(x: Any, dim: Any) -> Any:
    """A tensor with its first dimension moved to another place.

    Raises:
        IndexError: if there is no such place.
    """
    ndim = x.aval.ndim
    if not -ndim <= dim < ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, "
                         f"{ndim - 1}], but got {dim})")
    place = dim % ndim
    if not place:
        return x
    return permute(x, dims=(*range(1, place + 1), 0, *range(place + 1, ndim)))
