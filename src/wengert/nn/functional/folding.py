"""Windows as columns and back, and channels that trade places with pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import dtypes
from ...core.formats import spatial
from ...ops.arguments import need_tensor, whole
from ...primitives import layout
from ...primitives.indexing import take_apart
from ...primitives.layout import permute, reshape
from ...primitives.windows import inside, padded, places, unwindow, windows
from .sizes import Ints, listed

if TYPE_CHECKING:
    from ..._tensor import Tensor

__all__ = ["channel_shuffle", "fold", "native_channel_shuffle", "pixel_shuffle",
           "pixel_unshuffle", "unfold"]

_im2col = reshape.named("Im2ColBackward0")


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
           stride: Any = 1) -> Tensor:
    """The windows of images as columns.

    Args:
        input: images, (N, C, H, W) or (C, H, W).
        kernel_size: the windows' size, in both dimensions or (height, width).
        dilation: how far apart the elements of a window are.
        padding: how many zeros are put round the images.
        stride: how far windows are apart.

    Returns:
        A tensor of shape (N, C * KH * KW, L), or without N, of L windows.

    Raises:
        RuntimeError: if the sizes do not fit.
        NotImplementedError: for integers.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.unfold(torch.arange(6.0).reshape(1, 2, 3), 2)
        tensor([[0., 1.],
                [1., 2.],
                [3., 4.],
                [4., 5.]])
    """
    how = _Windows(kernel_size, dilation, padding, stride)
    shape = need_tensor("unfold", input).aval.shape
    _check_image(shape)
    counts = how.counts(shape[-2:])
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {_pair(shape[-2:])}, {how.words()}, calculated shape "
            f"of the array of sliding blocks as {_pair(counts)}, but its components must be at "
            "least one.")
    _refuse("im2col_out_cpu", input)
    x = input if len(shape) == 4 else input.unsqueeze(0)
    if any(how.padding):
        x = layout.unindex(x, shape=(*x.aval.shape[:2], *padded(shape[-2:], how.pads)),
                           index=inside(shape[-2:], how.pads))
    found = _im2col(windows(x, **how.sliding), shape=(
        x.aval.shape[0], x.aval.shape[1] * math.prod(how.size), math.prod(counts)))
    return found if len(shape) == 4 else found.squeeze(0)


def fold(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
         stride: Any = 1) -> Tensor:
    """Images from the windows that `unfold` gives; where windows overlap, they are added.

    Args:
        input: columns, (N, C * KH * KW, L) or without N.
        output_size: the images' size; all else as for `unfold`.
        kernel_size: see `unfold`.
        dilation: see `unfold`.
        padding: see `unfold`.
        stride: see `unfold`.

    Raises:
        RuntimeError: if the sizes do not fit.
        NotImplementedError: for integers.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.fold(torch.ones(4, 2), (2, 3), 2)
        tensor([[[1., 2., 1.],
                 [1., 2., 1.]]])
    """
    how, target = _Windows(kernel_size, dilation, padding, stride), _two("output_size", output_size)
    shape = need_tensor("fold", input).aval.shape
    if len(shape) not in (2, 3) or not all(shape[-2:]):
        raise RuntimeError("Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch "
                           f"size and non-zero dimensions for input, but got: {list(shape)}")
    _check_columns(how, target, shape)
    _refuse("col2im_out_cpu", input)
    x = reshape(input, shape=(1 if len(shape) == 2 else shape[0], shape[-2] // math.prod(how.size),
                              *how.size, *how.counts(target)))
    out = unwindow(x, sizes=padded(target, how.pads), **how.sliding)
    if any(how.padding):
        out = layout.index_view(out, index=inside(target, how.pads))
    return out if len(shape) == 3 else out.squeeze(0)


class _Windows:
    """How windows lie in images, checked."""

    def __init__(self, size: Any, dilation: Any, padding: Any, stride: Any) -> None:
        self.size, self.dilation, self.padding, self.stride = (
            _two(words, value) for words, value in (
                ("kernel_size", size), ("dilation", dilation), ("padding", padding),
                ("stride", stride)))
        for words, short, values, least in (
                ("kernel size", "kernel", self.size, 1), ("dilation", "dilation", self.dilation, 1),
                ("padding", "pad", self.padding, 0), ("stride", "stride", self.stride, 1)):
            if min(values) < least:
                raise RuntimeError(
                    f"{words} should be {'greater than zero' if least else 'non-negative'}, but "
                    f"got {short}_height: {values[0]} {short}_width: {values[1]}")
        self.sliding = {"size": self.size, "stride": self.stride, "dilation": self.dilation}
        self.pads = tuple((p, p) for p in self.padding)

    def counts(self, sizes: Ints) -> Ints:
        """How many windows there are, by dimension."""
        return places(padded(sizes, self.pads), **self.sliding)

    def words(self) -> str:
        return (f"kernel_size={_pair(self.size)}, dilation={_pair(self.dilation)}, "
                f"padding={_pair(self.padding)}")


def _two(words: str, value: Any) -> Ints:
    found = listed("unfold", words, value)
    if len(found) not in (1, 2):
        raise RuntimeError(f"It is expected {words} equals to 2, but got size {len(found)}")
    return found * (3 - len(found))


def _pair(numbers: Ints) -> str:
    return f"({', '.join(map(str, numbers))})"


def _refuse(name: str, x: Any) -> None:
    if x.aval.dtype.category == dtypes.INTEGER:
        raise NotImplementedError(f'"{name}" not implemented for \'{x.aval.dtype.words}\'')


def _check_image(shape: Ints) -> None:
    if len(shape) < 3:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-len(shape)}, "
                         f"{len(shape) - 1}], but got {len(shape)})")
    if len(shape) > 4 or not all(shape[-3:]):
        raise RuntimeError("Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and "
                           f"other non-zero dimensions for input, but got: {list(shape)}")


def _check_columns(how: _Windows, target: Ints, shape: Ints) -> None:
    rows, columns = shape[-2:]
    if rows % math.prod(how.size):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={rows} and kernel_size={_pair(how.size)}.")
    counts = how.counts(target)
    if columns != math.prod(counts) or min(counts) < 1:
        raise RuntimeError(
            f"Given output_size={_pair(target)}, {how.words()}, stride={_pair(how.stride)}, "
            "expected size of input's dimension 2 to match the calculated number of sliding "
            f"blocks {counts[0]} * {counts[1]} = {math.prod(counts)}, but got input.size(2)="
            f"{columns}.")


# --- channels and pixels ----------------------------------------------------------------------

_copied = layout.clone.named("CloneBackward0", order=spatial)
_shuffled, _unshuffled = (reshape.named(node) for node in (
    "PixelShuffleBackward0", "PixelUnshuffleBackward0"))
_dealt = take_apart.named("ChannelShuffleBackward0", order=spatial)


def _factor(name: str, words: str, x: Any, value: Any) -> int:
    shape, factor = need_tensor(name, x).aval.shape, whole(name, words, value, 2)
    if len(shape) < 3:
        raise RuntimeError(f"{name} expects input to have at least 3 dimensions, but got input "
                           f"with {len(shape)} dimension(s)")
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {words}, but got {factor}")
    return factor


def _apart(x: Any, factor: int) -> Any:
    """x, or a copy of it where shuffling by the factor would make none."""
    return _copied(x) if factor == 1 else x


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Images (..., C * r**2, H, W) as larger ones, (..., C, H * r, W * r).

    Raises:
        RuntimeError: if the number of channels can't be divided by r**2.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.pixel_shuffle(torch.arange(4.0).reshape(4, 1, 1), 2)
        tensor([[[0., 1.],
                 [2., 3.]]])
    """
    r = _factor("pixel_shuffle", "upscale_factor", input, upscale_factor)
    *lead, c, h, w = input.aval.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}")
    n = len(lead)
    x = reshape(_apart(input, r), shape=(*lead, c // (r * r), r, r, h, w))
    x = permute(x, dims=(*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return _shuffled(x, shape=(*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Images (..., C, H * r, W * r) as smaller ones, (..., C * r**2, H, W).

    Raises:
        RuntimeError: if height or width can't be divided by r.
    """
    r = _factor("pixel_unshuffle", "downscale_factor", input, downscale_factor)
    *lead, c, h, w = input.aval.shape
    for words, d, n in (("height", -2, h), ("width", -1, w)):
        if n % r:
            raise RuntimeError(f"pixel_unshuffle expects {words} to be divisible by "
                               f"downscale_factor, but input.size({d})={n} is not divisible by "
                               f"{r}")
    n = len(lead)
    x = reshape(_apart(input, r), shape=(*lead, c, h // r, r, w // r, r))
    x = permute(x, dims=(*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return _unshuffled(x, shape=(*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels dealt out: the first of each group, then the second of each, ...

    Args:
        input: a tensor (N, C, ...) of more than two dimensions.
        groups: into how many groups the channels are split.

    Raises:
        RuntimeError: if the channels can't be split so.

    Example:
        >>> import wengert as torch
        >>> torch.nn.functional.channel_shuffle(torch.arange(4.0).reshape(1, 4, 1), 2).flatten()
        tensor([0., 2., 1., 3.])
    """
    shape = need_tensor("channel_shuffle", input).aval.shape
    count = whole("channel_shuffle", "groups", groups, 2)
    if len(shape) < 3:
        raise RuntimeError("channel_shuffle expects input with > 2 dims, but got input with sizes "
                           f"{list(shape)}")
    if count <= 0:
        raise RuntimeError("Number of groups to divide channels in must be positive. Value of "
                           f"groups:{count}")
    if shape[1] % count:
        raise RuntimeError("Number of channels must be divisible by groups. Got "
                           f"{shape[1]} channels and {count} groups.")
    return _dealt(input, np.arange(shape[1]).reshape(count, -1).T.reshape(-1), dim=1)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle`."""
    return channel_shuffle(input, groups)
