"""Convolutions, in PyTorch's words."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ...core.formats import images
from ...ops.arguments import need_tensor, whole
from ...primitives import layout
from ...primitives.columns import Geometry
from ...primitives.convolution import biased_conv, conv, conv_input
from ...primitives.windows import padded
from .sizes import Ints, listed, times

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d",
           "conv_transpose3d"]

_extended = layout.unindex.named("ConstantPadNdBackward0", order=lambda result, operands: images(
    result.ndim - 2)(result, operands))
_Shapes = tuple[Ints, Ints, Ints | None]
"""Those of input, weight and bias."""


def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
           padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:
    """Slides kernels over signals: input (N, C, L) or (C, L), weight (O, C / groups, K).

    Arguments and errors as for `conv2d`.
    """
    return _conv("conv1d", 1, input, weight, bias, (stride, padding, dilation, groups))


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` of signals (L, N, C) by weights (K, C, O): time first, then the batch.

    Args:
        input: the signals.
        weight: the kernels.
        bias: what to add to the signals that each kernel gives, (O,).
        pad: how many zeros are put before and after the signals.

    Raises:
        RuntimeError: if the shapes do not fit.
    """
    _check_tbc(*(need_tensor("conv_tbc", x, name, at).aval.shape for at, (name, x) in enumerate(
        (("input", input), ("weight", weight), ("bias", bias)), 1)))
    found = conv1d(layout.permute(input, dims=(1, 2, 0)), layout.permute(weight, dims=(2, 1, 0)),
                   bias, padding=pad)
    return layout.permute(found, dims=(2, 0, 1))


def _check_tbc(signal: Ints, kernel: Ints, bias: Ints) -> None:
    if len(signal) != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if len(kernel) != 3:
        raise RuntimeError("Weight tensor must have 3 dims: kernel_width, in_channels, "
                           "out_channels.")
    if len(bias) != 1:
        raise RuntimeError("Bias must be 1-D")
    if signal[2] != kernel[1]:
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if kernel[2] != bias[0]:
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")


def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
           padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:
    """Slides kernels over images: sums of what a kernel sees, times its weights.

    Args:
        input: images, (N, C, H, W); or one image, (C, H, W).
        weight: kernels, (O, C / groups, KH, KW).
        bias: what to add to the images that each kernel gives, (O,).
        stride: by how much kernels move, in all dimensions or (down, right).
        padding: how many zeros are put round the images; "valid" for none, "same" for as many as
            keep their size.
        dilation: how far apart the elements lie that a kernel sees.
        groups: into how many groups the channels are split; each has its own O / groups kernels.

    Returns:
        Images of shape (N, O, H', W'), or (O, H', W').

    Raises:
        RuntimeError: if the shapes do not fit, or the dtypes differ.

    Example:
        >>> import wengert as torch
        >>> image = torch.arange(9.0).reshape(1, 1, 3, 3)
        >>> torch.nn.functional.conv2d(image, torch.ones(1, 1, 2, 2))
        tensor([[[[ 8., 12.],
                  [20., 24.]]]])
    """
    return _conv("conv2d", 2, input, weight, bias, (stride, padding, dilation, groups))


def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
           padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:
    """Slides kernels over volumes: input (N, C, D, H, W) or (C, D, H, W), weight
    (O, C / groups, KD, KH, KW).

    Arguments and errors as for `conv2d`.
    """
    return _conv("conv3d", 3, input, weight, bias, (stride, padding, dilation, groups))


def conv_transpose1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
                     padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                     dilation: Any = 1) -> Tensor:
    """The transpose of `conv1d`: input (N, C, L) or (C, L), weight (C, O / groups, K).

    Arguments and errors as for `conv_transpose2d`.
    """
    return _transposed("conv_transpose1d", 1, input, weight, bias,
                       (stride, padding, dilation, groups, output_padding))


def conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
                     padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                     dilation: Any = 1) -> Tensor:
    """The transpose of `conv2d` as a map of images: what takes its gradient back to the input.

    Args:
        input: images, (N, C, H, W); or one image, (C, H, W).
        weight: kernels, (C, O / groups, KH, KW).
        bias: what to add to the images, (O,).
        stride: by how much the kernels of neighbouring elements of the input are apart.
        padding: how much is cut off round the result.
        output_padding: by how much the result is larger at its ends; less than the stride or the
            dilation.
        groups: into how many groups the channels are split.
        dilation: how far apart the elements lie that a kernel writes.

    Raises:
        RuntimeError: if the shapes do not fit, or the dtypes differ.

    Example:
        >>> import wengert as torch
        >>> kernel = torch.tensor([[[[1., 2.], [3., 4.]]]])
        >>> torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 1, 2), kernel)
        tensor([[[[1., 3., 2.],
                  [3., 7., 4.]]]])
    """
    return _transposed("conv_transpose2d", 2, input, weight, bias,
                       (stride, padding, dilation, groups, output_padding))


def conv_transpose3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
                     padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                     dilation: Any = 1) -> Tensor:
    """The transpose of `conv3d`: input (N, C, D, H, W) or (C, D, H, W), weight
    (C, O / groups, KD, KH, KW).

    Arguments and errors as for `conv_transpose2d`.
    """
    return _transposed("conv_transpose3d", 3, input, weight, bias,
                       (stride, padding, dilation, groups, output_padding))


# --- how it is done ---------------------------------------------------------------------------


def _conv(name: str, dims: int, x: Any, w: Any, b: Any, given: tuple[Any, ...]) -> Any:
    how, single = _prepared(_geometry, name, dims, x, w, b, given)
    if single:
        x = x.unsqueeze(0)
    out = conv(x, w, how=how) if b is None else biased_conv(x, w, b, how=how)
    return out.squeeze(0) if single else out


def _transposed(name: str, dims: int, x: Any, w: Any, b: Any, given: tuple[Any, ...]) -> Any:
    (how, sizes, more), single = _prepared(_transposed_geometry, name, dims, x, w, b, given)
    out = conv_input(x.unsqueeze(0) if single else x, w, sizes=sizes, how=how)
    if any(more):
        shape = *out.shape[:2], *[n + m for n, m in zip(sizes, more, strict=True)]
        out = _extended(out, shape=shape, index=(..., *[(0, n, 1) for n in sizes]))
    if b is not None:
        out = out + b.reshape((-1,) + (1,) * dims)
    return out.squeeze(0) if single else out


def _prepared(geometry: Any, name: str, dims: int, x: Any, w: Any, b: Any,
              given: tuple[Any, ...]) -> tuple[Any, bool]:
    """What the arguments ask for, checked, and whether the input is a single example."""
    need_tensor(name, x)
    need_tensor(name, w, "weight", 2)
    if b is not None:
        need_tensor(name, b, "bias", 3)
    shape = x.aval.shape
    if not dims + 1 <= len(shape) <= dims + 2:
        raise RuntimeError(f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to "
                           f"{name}, but got input of size: {list(shape)}")
    _check_kinds(x.aval.dtype, w.aval.dtype, None if b is None else b.aval.dtype)
    single = len(shape) == dims + 1
    shapes = ((1, *shape) if single else shape), w.aval.shape, (
        None if b is None else b.aval.shape)
    try:
        return geometry(name, shapes, *given), single
    except TypeError:  # lists can't be looked up
        given = tuple(tuple(v) if isinstance(v, list) else v for v in given)
        return geometry.__wrapped__(name, shapes, *given), single


def _check_kinds(x: Any, w: Any, b: Any) -> None:
    if x is not w:
        raise RuntimeError(f"Input type (torch.{x.words}Tensor) and weight type (torch.{w.words}"
                           "Tensor) should be the same or input should be a MKLDNN tensor and "
                           "weight is a dense tensor")
    if b is not None and b is not x:
        raise RuntimeError(f"Input type ({x.name}) and bias type ({b.name}) should be the same")


@functools.lru_cache(maxsize=1024, typed=True)
def _geometry(name: str, shapes: _Shapes, stride: Any, padding: Any, dilation: Any,
              groups: Any) -> Geometry:
    dims = max(len(shapes[1]) - 2, 0)
    steps, spread = (_expanded(name, words, value, dims) for words, value in (
        ("stride", stride), ("dilation", dilation)))
    if isinstance(padding, str):
        pads = _named(padding, shapes[1][2:], steps, spread)
    else:
        pads = tuple((p, p) for p in _expanded(name, "padding", padding, dims))
    how = Geometry(steps, pads, spread, whole(name, "groups", groups))
    _check(how, (), shapes[0], shapes[1])
    _check_channels(how, shapes)
    _check_fit(how, shapes[0], shapes[1][2:])
    return how


@functools.lru_cache(maxsize=1024, typed=True)
def _transposed_geometry(name: str, shapes: _Shapes, stride: Any, padding: Any, dilation: Any,
                         groups: Any, output_padding: Any) -> tuple[Geometry, Ints, Ints]:
    """The geometry of the convolution, the size of its input, and how many zeros to put behind.

    What the result is larger by is less cut off at its ends, or zeros.
    """
    dims = max(len(shapes[1]) - 2, 0)
    steps, pads, spread, more = (_expanded(name, words, value, dims) for words, value in (
        ("stride", stride), ("padding", padding), ("dilation", dilation),
        ("output_padding", output_padding)))
    how = Geometry(steps, tuple((p, p) for p in pads), spread, whole(name, "groups", groups))
    _check(how, more, shapes[0], shapes[1])
    _check_transposed(how, shapes, more)
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(
        shapes[0][2:], steps, spread, shapes[1][2:], strict=True)]
    how = how._replace(padding=tuple((p, max(p - m, 0)) for p, m in zip(pads, more, strict=True)))
    sizes = tuple(n - a - b for n, (a, b) in zip(full, how.padding, strict=True))
    behind = tuple(max(m - p, 0) for p, m in zip(pads, more, strict=True))
    if any(n + m < 1 for n, m in zip(sizes, behind, strict=True)):
        raise RuntimeError(
            f"Given input size per channel: ({times(shapes[0][2:])}). Calculated output size per "
            f"channel: ({times(sizes)}). Output size is too small")
    return how, sizes, behind


def _expanded(name: str, words: str, value: Any, dims: int) -> Ints:
    found = listed(name, words, value)
    if len(found) == 1:
        return found * dims
    if len(found) != dims:
        raise RuntimeError(
            f"expected {words} to be a single integer value or a list of {dims} values to match "
            f"the convolution dimensions, but got {words}={list(found)}")
    return found


def _named(padding: str, size: Ints, stride: Ints, dilation: Ints) -> tuple[tuple[int, int], ...]:
    """The padding that a word stands for: an odd zero of "same" goes behind."""
    if padding == "valid":
        return ((0, 0),) * len(size)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
    return tuple((n // 2, n - n // 2) for n in total)


def _check(how: Geometry, more: Ints, x: Ints, w: Ints) -> None:
    """What holds for both kinds of convolution."""
    if any(n < 0 for pair in how.padding for n in pair):
        raise RuntimeError("negative padding is not supported")
    if any(n < 0 for n in more):
        raise RuntimeError("negative output_padding is not supported")
    for words, numbers in (("stride", how.stride), ("dilation", how.dilation),
                           ("groups", (how.groups,))):
        if words == "dilation" and min(numbers, default=1) < 0:
            raise RuntimeError("dilation should be greater than zero")
        if any(n <= 0 for n in numbers):
            raise RuntimeError(f"non-positive {words} is not supported")
    if len(w) < 3:
        raise RuntimeError("weight should have at least three dimensions")
    if len(w) != len(x):
        raise RuntimeError(f"Expected {len(w)}-dimensional input for {len(w)}-dimensional weight "
                           f"{list(w)}, but got {len(x)}-dimensional input of size {list(x)} "
                           "instead")
    if w[0] < how.groups:
        raise RuntimeError(f"Given groups={how.groups}, expected weight to be at least "
                           f"{how.groups} at dimension 0, but got weight of size {list(w)} "
                           "instead")
    if w[0] % how.groups:
        raise RuntimeError(f"Given groups={how.groups}, expected weight to be divisible by "
                           f"{how.groups} at dimension 0, but got weight of size [{list(w)}] "
                           "instead")
    if not all(w[2:]):
        raise RuntimeError(f"kernel size should be greater than zero, but got {list(w[2:])}")


def _check_channels(how: Geometry, shapes: _Shapes) -> None:
    x, w, b = shapes
    if x[1] != w[1] * how.groups:
        raise RuntimeError(f"Given groups={how.groups}, weight of size {list(w)}, expected "
                           f"input{list(x)} to have {w[1] * how.groups} channels, but got {x[1]} "
                           "channels instead")
    if b is not None and b != (w[0],):
        raise RuntimeError(f"Given weight of size {list(w)}, expected bias to be 1-dimensional "
                           f"with {w[0]} elements, but got bias of size {list(b)} instead")


def _check_fit(how: Geometry, x: Ints, size: Ints) -> None:
    sizes = padded(x[2:], how.padding)
    reach = [d * (k - 1) + 1 for k, d in zip(size, how.dilation, strict=True)]
    if any(r > n for r, n in zip(reach, sizes, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({times(sizes)}). Kernel size: "
            f"({times(reach)}). Kernel size can't be greater than actual input size")
    if not all(x[2:]):
        raise RuntimeError("Only zero batch or zero channel inputs are supported, but got input "
                           f"shape: {list(x)}")


def _check_transposed(how: Geometry, shapes: _Shapes, more: Ints) -> None:
    x, w, b = shapes
    if x[1] != w[0]:
        raise RuntimeError(f"Given transposed=1, weight of size {list(w)}, expected "
                           f"input{list(x)} to have {w[0]} channels, but got {x[1]} channels "
                           "instead")
    if b is not None and b != (w[1] * how.groups,):
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(w)}, expected bias to be 1-dimensional "
            f"with {w[1] * how.groups} elements, but got bias of size {list(b)} instead")
    if any(m >= s and m >= d for m, s, d in zip(more, how.stride, how.dilation, strict=True)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            f"output_padding: {list(more)} stride: {list(how.stride)} dilation: "
            f"{list(how.dilation)}")
