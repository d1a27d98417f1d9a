"""Tensors joined, and what is built from several: stacks, blocks, grids, products."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from ..core import dtypes
from ..core.handle import Handle
from ..core.primitive import Primitive
from ..core.provenance import warn
from ..primitives import indexing, layout as p
from . import creation
from .arguments import need_tensor, numpy_words, wrapped_dim

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cartesian_prod", "cat",
    "column_stack", "combinations", "concat", "concatenate", "dstack", "hstack", "meshgrid",
    "row_stack", "stack", "vstack",
]


def need_tensors(name: str, tensors: Any) -> list[Any]:
    """The tensors of a sequence that is not empty.

    Raises:
        TypeError: if it is no sequence of tensors.
        RuntimeError: if it is empty; of `cat`, a ValueError.
    """
    if isinstance(tensors, Handle) or not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
                        f"{type(tensors).__name__}")
    if not tensors:
        if name == "cat":
            raise ValueError("torch.cat(): expected a non-empty list of Tensors")
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    for i, x in enumerate(tensors):
        if not isinstance(x, Handle):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got "
                            f"{type(x).__name__}")
    return list(tensors)


def _of_one_kind(tensors: list[Any]) -> list[Any]:
    """The tensors in the dtype that all of theirs promote to."""
    kind = tensors[0].aval.dtype
    for x in tensors[1:]:
        if x.aval.dtype is not kind:
            kind = dtypes.promote(kind, x.aval.dtype)
    return [x if x.aval.dtype is kind else p.cast(x, dtype=kind) for x in tensors]


@numpy_words
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along an existing dimension.

    Raises:
        RuntimeError: if the other sizes differ.
        ValueError: if nothing is given.

    Example:
        >>> import wengert as torch
        >>> torch.cat([torch.ones(2), torch.zeros(1)])
        tensor([1., 1., 0.])
    """
    parts = _of_one_kind(need_tensors("cat", tensors))
    some = [x for x in parts if x.aval.shape != (0,)] or parts
    for i, x in enumerate(parts):
        if not x.aval.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    anywhere = some is parts and isinstance(dim, int)  # nothing but empty vectors
    d = 0 if anywhere else wrapped_dim(dim, some[0].aval.ndim)
    if len(some) < len(parts):  # empty vectors join anything: what counts is their history
        shape = some[0].aval.shape
        some += [p.reshape(x, shape=(*shape[:d], 0, *shape[d + 1:])) for x in parts
                 if x.aval.shape == (0,) and x.requires_grad]
    return p.cat(*some, dim=d)


@numpy_words
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension.

    Raises:
        RuntimeError: if the shapes differ, or nothing is given.

    Example:
        >>> import wengert as torch
        >>> torch.stack([torch.ones(2), torch.zeros(2)], 1)
        tensor([[1., 0.],
                [1., 0.]])
    """
    parts = _of_one_kind(need_tensors("stack", tensors))
    return p.stack(*parts, dim=wrapped_dim(dim, parts[0].aval.ndim + 1))


# --- with more dimensions ---------------------------------------------------------------------


class _AtLeast(Protocol):
    """A tensor, or a tuple of what several are."""

    __name__: str
    __qualname__: str

    @overload
    def __call__(self, tensor: Tensor, /) -> Tensor: ...
    @overload
    def __call__(self, *tensors: Any) -> tuple[Tensor, ...]: ...


def _at_least(name: str, ndim: int, apply: Callable[[Any], Any]) -> _AtLeast:
    def function(*tensors: Tensor) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
            return tuple(map(apply, need_tensors(name, tensors[0]))) if tensors[0] else ()
        if len(tensors) != 1:
            return tuple(apply(need_tensor(name, x)) for x in tensors)
        return apply(need_tensor(name, tensors[0]))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The tensors, seen with at least {ndim} dimension{'s' * (ndim > 1)}."
    return function


def _one(x: Any) -> Any:
    return x if x.aval.ndim else p.reshape(x, shape=(1,))


def _two(x: Any) -> Any:
    if x.aval.ndim > 1:
        return x
    return p.unsqueeze(x, shape=(1, *x.aval.shape)) if x.aval.ndim else p.reshape(x, shape=(1, 1))


def _three(x: Any) -> Any:
    if x.aval.ndim > 2:
        return x
    if x.aval.ndim == 2:
        return p.unsqueeze(x, shape=(*x.aval.shape, 1))
    return p.reshape(x, shape=(1, x.aval.numel, 1))


atleast_1d, atleast_2d = _at_least("atleast_1d", 1, _one), _at_least("atleast_2d", 2, _two)
atleast_3d = _at_least("atleast_3d", 3, _three)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along their second dimension, or their first if they have only one."""
    parts = [_one(x) for x in need_tensors("hstack", tensors)]
    return cat(parts, 0 if parts[0].aval.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of at least two dimensions (vectors are made rows) joined along the first."""
    return cat([_two(x) for x in need_tensors("vstack", tensors)], 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of at least three dimensions joined along the third."""
    return cat([_three(x) for x in need_tensors("dstack", tensors)], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along their second dimension; vectors are made columns.

    Example:
        >>> import wengert as torch
        >>> torch.column_stack((torch.tensor([1, 2]), torch.tensor([3, 4])))
        tensor([[1, 3],
                [2, 4]])
    """
    return cat([x if x.aval.ndim > 1 else p.reshape(x, shape=(x.aval.numel, 1))
                for x in need_tensors("column_stack", tensors)], 1)


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors along its diagonal, zeros elsewhere.

    Raises:
        RuntimeError: for a tensor of more than two dimensions.

    Example:
        >>> import wengert as torch
        >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor(3))
        tensor([[1, 2, 0],
                [0, 0, 3]])
    """
    given = need_tensors("block_diag", tensors if tensors else (creation.zeros(1, 0),))
    for i, x in enumerate(given):
        if x.aval.ndim > 2:
            raise RuntimeError("torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                               f"Input {i} has {x.aval.ndim} dimensions")
    blocks = _of_one_kind([_two(x) for x in given])
    if len(blocks) == 1:
        return p.clone(blocks[0])
    width = sum(x.aval.shape[1] for x in blocks)
    rows, before = [], 0
    for x in blocks:
        height, own = x.aval.shape
        left, right = (np.zeros((height, n), x.aval.numpy) for n in (before, width - before - own))
        rows.append(p.cat(left, x, right, dim=1))
        before += own
    return _block_rows(*rows, dim=0)


_block_rows: Primitive = p.cat.named("BlockDiagBackward0")


# --- grids ------------------------------------------------------------------------------------


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of a grid: vectors expanded, without copying, along each other's dimensions.

    Args:
        tensors: vectors (or numbers), or one sequence of them.
        indexing: "ij" has the first vector along the first dimension; "xy" along the second.

    Raises:
        RuntimeError: for tensors of several dtypes, or of more than one dimension.

    Example:
        >>> import wengert as torch
        >>> x, y = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij"); x
        tensor([[0, 0, 0],
                [1, 1, 1]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    axes = need_tensors("meshgrid", tensors)
    for x in axes:
        if x.aval.ndim > 1:
            raise RuntimeError("torch.meshgrid: Expected 0D or 1D tensor in the tensor list but "
                               f"got: {list(x.aval.shape)}")
        if x.aval.dtype is not axes[0].aval.dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    if indexing is None:
        warn("torch.meshgrid: in an upcoming release, it will be required to pass the "
             "indexing argument.")
    elif indexing not in ("ij", "xy"):
        raise RuntimeError('torch.meshgrid: indexing must be one of "xy" or "ij", but received: '
                           f"{indexing}")
    if indexing != "xy" or len(axes) < 2:
        return _grid(axes)
    y, x, *rest = _grid([axes[1], axes[0], *axes[2:]])
    return x, y, *rest


def _grid(axes: Sequence[Any]) -> tuple[Any, ...]:
    shape = tuple(x.aval.numel for x in axes)
    return tuple(p.expand(p.reshape(x, shape=_along(i, x.aval.numel, len(axes))), shape=shape)
                 for i, x in enumerate(axes))


def _along(dim: int, n: int, ndim: int) -> tuple[int, ...]:
    return (1,) * dim + (n,) + (1,) * (ndim - dim - 1)


def _vector(x: Any) -> Any:
    if x.aval.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.aval.shape)}")
    return x


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of the vectors' elements, one a row; a single vector as it is.

    Example:
        >>> import wengert as torch
        >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([4, 5]))
        tensor([[1, 4],
                [1, 5],
                [2, 4],
                [2, 5]])
    """
    vectors = [_vector(need_tensor("cartesian_prod", x)) for x in tensors]
    if len(vectors) == 1:
        return vectors[0]
    grid = meshgrid(*vectors, indexing="ij")
    flat = [p.reshape(x, shape=(x.aval.numel,)) for x in grid]
    return p.stack(*flat, dim=1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """The combinations of r elements of a vector, in the order of the elements, one a row.

    Raises:
        RuntimeError: for a negative r, or a tensor that is no vector.

    Example:
        >>> import wengert as torch
        >>> torch.combinations(torch.tensor([1, 2, 3]))
        tensor([[1, 2],
                [1, 3],
                [2, 3]])
    """
    n = _vector(need_tensor("combinations", input)).aval.shape[0]
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return p.narrow(input, 0, 0, 0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.fromiter(itertools.chain.from_iterable(choose(range(n), r)), np.int64)
    return indexing.index(input, places.reshape(-1, r), pattern=(0,))


# PyTorch's other names for the same things.
concat = concatenate = cat
row_stack = vstack
