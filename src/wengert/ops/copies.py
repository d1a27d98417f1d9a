"""What views are, as copies: `view_copy`, `permute_copy` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import dtypes
from ..core.formats import contiguous_format
from ..core.handle import Handle
from ..primitives import layout
from . import diagonals, picking, shapes, splitting, strides
from .arguments import POSITIONAL, also, need_tensor, wrapped_dim
from .pointwise import complexes

__all__ = [
    "alias_copy", "as_strided_copy", "detach_copy", "diagonal_copy", "expand_copy", "permute_copy",
    "select_copy", "slice_copy", "split_copy", "split_with_sizes_copy", "squeeze_copy", "t_copy",
    "transpose_copy", "unbind_copy", "unfold_copy", "unsqueeze_copy", "view_as_complex_copy",
    "view_as_real_copy", "view_copy",
]


def _copy(x: Any) -> Any:
    return shapes.clone(x, memory_format=contiguous_format)


def _copied(name: str, view: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any, **named: Any) -> Any:
        found = view(*args, **named)
        return _copy(found) if isinstance(found, Handle) else tuple(map(_copy, found))

    function.__name__ = function.__qualname__ = name
    function.__module__, function.__doc__ = __name__, f"`{name.removesuffix('_copy')}`, as a copy."
    function.__wrapped__ = view  # type: ignore[attr-defined]  # which has the signature
    return function


def _part(input: Any, dim: int = 0, start: int | None = None, end: int | None = None,
          step: int = 1) -> Any:
    d = wrapped_dim(dim, need_tensor("slice_copy", input).aval.ndim)
    return input[(slice(None),) * d + (slice(start, end, step),)]


def _detached(input: Any) -> Any:
    return need_tensor("detach_copy", input).detach()


def _view(input: Any, *shape: Any) -> Any:
    """As `view`, of any memory."""
    other_dtype = len(shape) == 1 and isinstance(shape[0], dtypes.dtype)
    return (shapes.view if other_dtype else shapes.reshape)(input, *shape)


alias_copy = _copied("alias_copy", layout.alias)
as_strided_copy = _copied("as_strided_copy", strides.as_strided)
detach_copy = _copied("detach_copy", _detached)
diagonal_copy = _copied("diagonal_copy", diagonals.diagonal)
expand_copy = _copied("expand_copy", shapes.expand)
permute_copy = _copied("permute_copy", shapes.permute)
select_copy = _copied("select_copy", picking.select)
slice_copy = _copied("slice_copy", _part)
split_copy = _copied("split_copy", splitting.split)
split_with_sizes_copy = _copied("split_with_sizes_copy", splitting.split_with_sizes)
squeeze_copy = _copied("squeeze_copy", shapes.squeeze)
t_copy = _copied("t_copy", shapes.t)
transpose_copy = _copied("transpose_copy", shapes.transpose)
unbind_copy = _copied("unbind_copy", splitting.unbind)
unfold_copy = _copied("unfold_copy", strides.unfold)
unsqueeze_copy = _copied("unsqueeze_copy", shapes.unsqueeze)
view_as_complex_copy = _copied("view_as_complex_copy", complexes.view_as_complex)
view_as_real_copy = _copied("view_as_real_copy", complexes.view_as_real)
view_copy = also(size=POSITIONAL, dtype=POSITIONAL)(_copied("view_copy", _view))
