"""Images read at given points, and the points that an affine map leads to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.provenance import warn
from ...ops import choices, pointwise, shapes
from ...ops.arguments import need_tensor
from ...primitives.contractions import bmm
from ...primitives.elementwise import copy
from ...primitives.layout import mT
from ...primitives.pooling import pooled
from .sizes import Ints

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["affine_grid", "affine_grid_generator", "grid_sample", "grid_sampler",
           "grid_sampler_2d", "grid_sampler_3d"]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def grid_sample(input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> Tensor:
    """Images or volumes read at given points.

    Args:
        input: (N, C, H, W), or (N, C, D, H, W).
        grid: the points, (N, H', W', 2) or (N, D', H', W', 3): x, y (and z) from -1 to 1.
        mode: "bilinear" between neighbours (in volumes, too), "nearest", or "bicubic".
        padding_mode: what lies beyond: "zeros", the elements at the "border", or a "reflection".
        align_corners: whether -1 and 1 are the places of the first and last elements, rather than
            the ends of their areas.

    Returns:
        A tensor (N, C, H', W'), or (N, C, D', H', W').

    Raises:
        ValueError: for other modes.
        RuntimeError: if shapes or dtypes do not fit.

    Example:
        >>> import wengert as torch
        >>> image = torch.tensor([[[[0., 1.], [2., 3.]]]])
        >>> torch.nn.functional.grid_sample(image, torch.zeros(1, 1, 1, 2), align_corners=False)
        tensor([[[[1.5000]]]])
    """
    for words, value, known in (("mode", mode, _MODES),
                                ("padding_mode", padding_mode, _PADDINGS)):
        if value not in known:
            comma = "," if words == "padding_mode" else ""
            raise ValueError(f"nn.functional.grid_sample(): expected {words} to be '{known[0]}', "
                             f"'{known[1]}'{comma} or '{known[2]}', but got: '{value}'")
    return grid_sampler(input, grid, _MODES.index(mode), _PADDINGS.index(padding_mode),
                        _aligned(align_corners, "grid_sample"))


def grid_sampler(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int,
                 align_corners: bool) -> Tensor:
    """`grid_sample` with modes given by number."""
    _check(need_tensor("grid_sampler", input), need_tensor("grid_sampler", grid, "grid", 2),
           interpolation_mode)
    kind = input.aval.dtype
    if kind.is_half:  # worked out in float32
        wide = grid_sampler(input.float(), grid.float(), interpolation_mode, padding_mode,
                            align_corners)
        return shapes.astype(wide, kind)
    how = _Sampling(input, _PADDINGS[padding_mode], bool(align_corners))
    points = [grid[..., d] for d in reversed(range(grid.aval.shape[-1]))]
    return shapes.contiguous((how.linear, how.nearest, how.cubic)[interpolation_mode](points))


grid_sampler_2d = grid_sampler_3d = grid_sampler


def _aligned(given: bool | None, name: str) -> bool:
    if given is None:
        warn("Default grid_sample and affine_grid behavior has changed to "
             "align_corners=False since 1.3.0. Please specify align_corners=True if the "
             f"old behavior is desired. See the documentation of {name} for details.")
    return bool(given)


class _Sampling:
    """Reads images at points, of which it is given coordinates by dimension.

    Attributes:
        x: the images.
        sizes: theirs.
        padding: what lies beyond them.
        aligned: whether 1 is the last element's place.
    """

    def __init__(self, x: Any, padding: str, aligned: bool) -> None:
        self.x, self.padding, self.aligned = x, padding, aligned
        self.sizes: Ints = tuple(x.aval.shape[2:])

    def linear(self, points: Sequence[Any]) -> Any:
        """Between neighbours."""
        pairs = []
        for point, n in zip(points, self.sizes, strict=True):
            at = self._inside(self._place(point, n), n)
            low = pointwise.floor(at)
            pairs.append(((low, low + 1 - at), (low + 1, at - low)))
        return self._total(pairs)

    def nearest(self, points: Sequence[Any]) -> Any:
        """The nearest element; of two, the one of even index. The points' slope is 0."""
        places = [pointwise.round(self._inside(self._place(point, n), n))
                  for point, n in zip(points, self.sizes, strict=True)]
        found = self._read(places)
        if places[0].node is None and places[0].aval.level is None:
            return found
        return copy(places[0].unsqueeze(1).expand(found.aval.shape), found)

    def cubic(self, points: Sequence[Any]) -> Any:
        """Between four neighbours in each direction."""
        rows = []
        for point, n in zip(points, self.sizes, strict=True):
            at = self._place(point, n)
            low = pointwise.floor(at)
            rows.append([(self._inside(low + k, n), weight)
                         for k, weight in zip(range(-1, 3), _cubic(at - low), strict=True)])
        return self._total(rows)

    def _total(self, rows: Sequence[Sequence[tuple[Any, Any]]]) -> Any:
        """The sum over neighbours of what is there, times the weights for all directions."""
        out = None
        for corner in itertools.product(*rows):
            weight = math.prod((w for _, w in corner[1:]), start=corner[0][1])
            part = self._read([place for place, _ in corner]) * weight.unsqueeze(1)
            out = part if out is None else out + part
        return out

    def _place(self, point: Any, n: int) -> Any:
        """Where a coordinate lies among n elements."""
        return (point + 1) * ((n - 1) / 2) if self.aligned else ((point + 1) * n - 1) / 2

    def _inside(self, at: Any, n: int) -> Any:
        """A place that is no further out than what is known, as padding has it."""
        if self.padding == "zeros":
            return at
        if self.padding == "reflection":
            low, span = (0.0, n - 1.0) if self.aligned else (-0.5, float(n))
            at = _reflected(at, low, span) if span else at * 0
        at = choices.where(at > 0, at, 0)  # NaN is 0, too
        return choices.where(at < n - 1, at, n - 1)

    def _read(self, places: Sequence[Any]) -> Any:
        """The elements at whole places, 0 beyond."""
        flat: Any = 0
        known: Any = True
        for place, n in zip(places, self.sizes, strict=True):
            place = place.detach()
            inside = (place >= 0) & (place <= n - 1)
            flat = flat * n + shapes.astype(choices.where(inside, place, 0), dtypes.int64)
            known = inside & known
        count, channels = self.x.aval.shape[:2]
        index = flat.unsqueeze(1).expand(count, channels, *flat.aval.shape[1:])
        found = pooled(self.x, index, dims=len(self.sizes))
        return choices.where(known.unsqueeze(1), found, 0)


def _reflected(at: Any, low: float, span: float) -> Any:
    """Mirrored at low and at low + span, as often as it takes."""
    at = choices.where(at < low, low - at, at - low)
    turns = pointwise.floor(at / span).detach()
    rest = at - turns * span
    return choices.where(turns % 2 == 0, rest, span - rest) + low


def _cubic(t: Any) -> list[Any]:
    """The weights of the four neighbours (Keys 1981, with -0.75) of what is t beyond the second."""
    a = -0.75

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _check(x: Any, grid: Any, mode: int) -> None:
    shape, points = x.aval.shape, grid.aval.shape
    both = f"but got input with sizes {list(shape)} and grid with sizes {list(points)}"
    if not shape or not points or shape[0] != points[0]:
        raise RuntimeError("grid_sampler(): expected grid and input to have same batch size, "
                           f"{both}")
    if points[-1] != len(shape) - 2:
        raise RuntimeError(f"grid_sampler(): expected grid to have size {len(shape) - 2} in last "
                           f"dimension, but got grid with sizes {list(points)}")
    for d, n in enumerate(shape[2:], 2):
        if not n:
            raise RuntimeError("grid_sampler(): expected input to have non-empty spatial "
                               f"dimensions, but input has sizes {list(shape)} with dimension "
                               f"{d} being empty")
    if len(shape) not in (4, 5) or len(points) != len(shape):
        raise RuntimeError("grid_sampler(): expected 4D or 5D input and grid with same number of "
                           f"dimensions, {both}")
    if len(shape) == 5 and mode == 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    kind = x.aval.dtype
    if grid.aval.dtype is not kind:
        raise RuntimeError(f"expected scalar type {kind.words} but found {grid.aval.dtype.words}")
    if not kind.is_floating_point:
        name = f"grid_sampler_{len(shape) - 2}d_cpu" + "_kernel_impl" * (len(shape) == 4)
        raise NotImplementedError(f'"{name}" not implemented for \'{kind.words}\'')


# --- the points of an affine map --------------------------------------------------------------


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The points of images or volumes of a size that affine maps lead to, for `grid_sample`.

    Args:
        theta: matrices of maps, (N, 2, 3) or (N, 3, 4).
        size: that of the images, (N, C, H, W), or volumes, (N, C, D, H, W).
        align_corners: whether -1 and 1 are the places of the first and last elements.

    Returns:
        A tensor (N, H, W, 2), or (N, D, H, W, 3).

    Raises:
        ValueError: if shapes do not fit, or for integers.
        NotImplementedError: for sizes of other length.

    Example:
        >>> import wengert as torch
        >>> same = torch.tensor([[[1., 0., 0.], [0., 1., 0.]]])
        >>> torch.nn.functional.affine_grid(same, (1, 1, 1, 2), align_corners=False)
        tensor([[[[-0.5000,  0.0000],
                  [ 0.5000,  0.0000]]]])
    """
    kind, sizes = need_tensor("affine_grid", theta).aval.dtype, tuple(map(int, size))
    if not kind.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {kind}")
    dims = len(sizes) - 2
    if dims not in (2, 3):
        raise NotImplementedError("affine_grid only supports 4D and 5D sizes, for 2D and 3D affine "
                                  f"transforms, respectively. Got size {size}.")
    if theta.aval.ndim != 3 or tuple(theta.aval.shape[-2:]) != (dims, dims + 1):
        raise ValueError(f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x"
                         f"{dims + 1} for size {size}. Got {theta.aval.shape}.")
    if min(sizes) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return affine_grid_generator(theta, sizes, _aligned(align_corners, "affine_grid"))


def affine_grid_generator(theta: Tensor, size: Any, align_corners: bool) -> Tensor:
    """`affine_grid` without its checks."""
    count, _, *sizes = size
    axes = [_axis(n, align_corners) for n in sizes]
    base = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(sizes)], -1)
    flat = base.reshape(1, -1, len(sizes) + 1).astype(theta.aval.numpy)
    found = bmm(np.broadcast_to(flat, (count, *flat.shape[1:])), mT(theta))
    return shapes.reshape(found, count, *sizes, len(sizes))


def _axis(n: int, aligned: bool) -> np.ndarray:
    """Places from -1 to 1."""
    if n <= 1:
        return np.zeros(n)
    found = np.linspace(-1, 1, n)
    return found if aligned else found * (n - 1) / n
