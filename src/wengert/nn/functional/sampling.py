"""Images read at given points, and the points that an affine map leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.provenance import warn
from ...ops import shapes
from ...ops.arguments import need_tensor
from ...primitives import sampling as p
from ...primitives.contractions import bmm
from ...primitives.elementwise import copy, floor, round_
from ...primitives.layout import mT
from ...primitives.resampling import CUBIC, cubic_far, cubic_near

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
    how = p.Sampling(tuple(input.aval.shape[2:]), _PADDINGS[padding_mode], bool(align_corners))
    if not interpolation_mode:
        linear = p.sample_linear if input.aval.ndim == 4 else p.sample_linear_volumes
        return linear(input, grid, how=how)
    return shapes.contiguous((_nearest if interpolation_mode == 1 else _bicubic)(input, grid, how))


grid_sampler_2d = grid_sampler_3d = grid_sampler


def _aligned(given: bool | None, name: str) -> bool:
    if given is None:
        warn("Default grid_sample and affine_grid behavior has changed to "
             "align_corners=False since 1.3.0. Please specify align_corners=True if the "
             f"old behavior is desired. See the documentation of {name} for details.")
    return bool(given)


def _nearest(x: Any, grid: Any, how: p.Sampling) -> Any:
    """The nearest element; of two, the one of even index. The points' slope is 0."""
    places = [round_(how.inside(how.place(point, n), n))
              for point, n in zip(how.coordinates(grid), how.sizes, strict=True)]
    found = how.read(x, places)
    if places[0].node is None and places[0].aval.level is None:
        return found
    return copy(places[0].unsqueeze(1).expand(found.aval.shape), found)


def _bicubic(x: Any, grid: Any, how: p.Sampling) -> Any:
    """Between four neighbours in each direction."""
    rows = []
    for point, n in zip(how.coordinates(grid), how.sizes, strict=True):
        at = how.place(point, n)
        low = floor(at)
        rows.append([(how.inside(low + k, n), weight)
                     for k, weight in zip(range(-1, 3), _cubic(at - low), strict=True)])
    return how.total(x, rows)


def _cubic(t: Any) -> list[Any]:
    """The weights of the four neighbours of what is t beyond the second."""
    return [cubic_far(t + 1, CUBIC), cubic_near(t, CUBIC), cubic_near(1 - t, CUBIC),
            cubic_far(2 - t, CUBIC)]


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
