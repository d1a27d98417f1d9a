"""Images of other sizes, in PyTorch's words."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from ...core import dtypes
from ...core.primitive import Primitive
from ...core.provenance import warn
from ...ops import choices, pointwise, shapes
from ...ops.arguments import need_tensor
from ...primitives.resampling import Table, combine
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .sizes import Ints

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_MODES = {"linear": (1, "linear"), "bilinear": (2, "linear"), "trilinear": (3, "linear"),
          "bicubic": (2, "cubic"), "lanczos": (2, "lanczos")}
"""Those for so many spatial dimensions only, and how each is resampled."""
_NEAREST = ("nearest", "nearest-exact", "area")


def interpolate(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Tensor:
    """Signals, images or volumes of another size.

    Args:
        input: of shape (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the new size, in all dimensions or in each.
        scale_factor: or how many times larger it is to be.
        mode: "nearest", "nearest-exact", "area" (means), "linear" (signals), "bilinear", "bicubic",
            "lanczos" (images), "trilinear" (volumes).
        align_corners: for the last, whether the first and last elements keep their places, rather
            than the ends of their areas.
        recompute_scale_factor: whether the scale is worked out from the sizes anew.
        antialias: of images, whether kernels get wider as they get smaller.

    Raises:
        ValueError: for arguments that contradict each other.
        RuntimeError: for sizes of 0.
        NotImplementedError: for other modes, numbers of dimensions and dtypes.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([[[0., 4.]]])
        >>> torch.nn.functional.interpolate(x, scale_factor=2, mode="linear")
        tensor([[[0., 1., 3., 4.]]])
    """
    shape = need_tensor("interpolate", input).aval.shape
    if mode in _NEAREST and align_corners is not None:
        raise ValueError("align_corners option can only be set with the interpolating modes: "
                         "linear | bilinear | bicubic | trilinear")
    sizes, scales = _target(input, size, scale_factor, recompute_scale_factor)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and len(shape) == 4):
        raise ValueError("Anti-alias option is restricted to bilinear, bicubic, and lanczos modes "
                         "and requires a 4-D tensor as input")
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    if mode == "lanczos" and align_corners:
        raise ValueError("Lanczos mode does not support align_corners=True")
    kind = _kind(mode, shape)
    if kind == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[len(shape) - 3]
        return pool(input, sizes)
    _check(input, mode, sizes)
    if antialias:
        kind += "-antialias"
    corners, bytes_ = bool(align_corners), input.aval.dtype is dtypes.uint8
    double = input.aval.dtype is dtypes.float64 or (bytes_ and kind not in _NEAREST)
    return _resampled(_named(mode, len(sizes), antialias), input, _steps(
        shape[2:], sizes, scales, kind, corners, not double, bytes_))


@functools.cache
def _named(mode: str, dims: int, antialias: bool) -> Primitive:
    """How a dimension is resampled, under the name that PyTorch's node has for all of them."""
    name = "".join(map(str.capitalize, mode.split("-")))
    return combine.named(f"Upsample{name}{dims}D{'Aa' if antialias else ''}Backward0")


Steps = tuple[tuple[int, Table], ...]


@functools.lru_cache(maxsize=256)
def _steps(before: Ints, after: Ints, scales: tuple[Any, ...], kind: str, corners: bool,
           single: bool, whole: bool) -> Steps:
    """The dimensions that are resampled, the last one first, each with its table."""
    if kind != "cubic" and before == after:
        return ()  # whatever the scale is
    tables = [Table(kind, n, m, None if s is None else 1.0 / s, corners, single, whole=whole)
              for n, m, s in zip(before, after, scales, strict=True)]
    return tuple((d, table) for d, table in reversed(list(enumerate(tables, 2)))
                 if table.n != table.m or table.scale not in (None, 1.0))


def _resampled(apply: Primitive, x: Any, steps: Steps) -> Any:
    """x resampled along each dimension; bytes are rounded after each."""
    if not steps:
        return x.clone()
    kind = x.aval.dtype
    rounds = kind is dtypes.uint8 and not steps[0][1].kind.startswith("nearest")
    if rounds or kind.is_half:  # halves are rounded once
        x = shapes.astype(x, dtypes.float32)
    for dim, table in steps:
        x = apply(x, dim=dim, table=table)
        x = choices.clamp(pointwise.floor(x + 0.5), 0, 255) if rounds else x
    return x if x.aval.dtype is kind else shapes.astype(x, kind)


def _kind(mode: str, shape: Ints) -> str:
    """How the dimensions of such an input are resampled."""
    given = len(shape)
    images = mode in ("bicubic", "lanczos")
    if mode not in (*_MODES, *_NEAREST) or not 3 <= given <= 5 or (images and given != 4):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {given}D) for the "
            "modes: nearest | linear | bilinear | bicubic | trilinear | lanczos | area | "
            f"nearest-exact (got {mode})")
    if mode in _NEAREST:
        return mode
    dims, kind = _MODES[mode]
    if given != dims + 2:
        raise NotImplementedError(f"Got {given}D input, but {mode} mode needs {dims + 2}D input")
    return kind


def _target(x: Any, size: Any, scale: Any, recompute: Any) -> tuple[Ints, tuple[Any, ...]]:
    """The new sizes, and the scales that are given; None for those that follow from the sizes."""
    spatial = x.aval.shape[2:]
    if size is not None and scale is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale is None:
        raise ValueError("either size or scale_factor should be defined")
    words, value = ("size", size) if scale is None else ("scale_factor", scale)
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * len(spatial)
    if len(given) != len(spatial):
        of, letter = (("output size of", "o") if words == "size"
                      else ("scale_factor of shape", "s"))
        named = "output size" if words == "size" else words
        raise ValueError(
            f"Input and {'output' if words == 'size' else words} must have the same number of "
            f"spatial dimensions, but got input with spatial dimensions of {list(spatial)} and "
            f"{of} {given if words == 'scale_factor' else value}. Please provide input tensor in "
            f"(N, C, d1, d2, ...,dK) format and {named} in ({letter}1, {letter}2, ...,{letter}K) "
            "format.")
    if scale is None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return _integers(given), (None,) * len(given)
    sizes = tuple(math.floor(float(n) * float(s)) for n, s in zip(spatial, given, strict=True))
    return sizes, (None,) * len(given) if recompute else tuple(map(float, given))


def _integers(sizes: tuple[Any, ...]) -> Ints:
    for n in sizes:
        if isinstance(n, float) or not hasattr(n, "__index__"):
            raise TypeError("interpolate(): argument 'size' must be tuple of ints, not "
                            f"{type(n).__name__}")
    return tuple(int(n.__index__()) for n in sizes)


_AXES = {1: ("W",), 2: ("H", "W"), 3: ("D", "H", "W")}


def _check(x: Any, mode: str, sizes: Ints) -> None:
    shape, kind = x.aval.shape, x.aval.dtype
    if not all(n > 0 for n in (*shape[2:], *sizes)):
        before, after = (", ".join(f"{axis}: {n}" for axis, n in zip(
            _AXES[len(sizes)], each, strict=True)) for each in (shape[2:], sizes))
        raise RuntimeError("Input and output sizes should be greater than 0, but got input "
                           f"({before}) output ({after})")
    if not shape[1] and shape[0]:
        raise RuntimeError(f"Non-empty {len(shape)}D data tensor expected but got a tensor with "
                           f"sizes {list(shape)}")
    bytes_too = mode.startswith("nearest") or len(shape) == 4
    if not (kind.is_floating_point or (kind is dtypes.uint8 and bytes_too)):
        name = f"upsample_{mode}{len(sizes)}d" if mode.startswith("nearest") else (
            f"upsample_{mode}{'2d' if mode.startswith('bi') else ''}")
        raise NotImplementedError(f'"{name}" not implemented for \'{kind.words}\'')


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
             align_corners: bool | None = None) -> Tensor:
    """`interpolate`, which is its name today."""
    warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` "
         "instead.")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` to the nearest elements."""
    warn("`nn.functional.upsample_nearest` is deprecated. Use "
         "`nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` of images in two directions, with their corners in place."""
    warn("`nn.functional.upsample_bilinear` is deprecated. Use "
         "`nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
