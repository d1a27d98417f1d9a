"""Convolutions: the three products that one sum of threefold products has.

Over input x, kernels w and results g it is T(x, w, g) = sum of x[n, c, p] w[o, c, k] g[n, o, q],
over all places q of a window, k in it and p = q stride + k dilation - padding. Its derivative in g
is the convolution of x and w, that in x the transposed convolution of g and w, and that in w is
what a kernel's gradient takes. So each is linear in both operands, and the two rules of each are
the other two.

`columns.py` has how they are computed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.aval import Aval
from ..core.formats import convolved
from ..core.handle import plain_aval
from ..core.primitive import primitive
from . import columns
from .columns import Geometry
from .contractions import bmm
from .layout import expand, index_view, mT, permute, reshape, unindex
from .reductions import sum_
from .windows import Ints, inside, padded, unwindow, windows

# --- in smaller primitives --------------------------------------------------------------------


def _grouped(x: Any, dim: int, groups: int) -> Any:
    """x with a dimension split into groups and what is in them."""
    shape = tuple(x.shape)
    return reshape(x, shape=(*shape[:dim], groups, shape[dim] // groups, *shape[dim + 1:]))


def _merged(x: Any, dim: int) -> Any:
    """x with a dimension and the next one as one."""
    shape = tuple(x.shape)
    return reshape(x, shape=(*shape[:dim], shape[dim] * shape[dim + 1], *shape[dim + 2:]))


def _seen(x: Any, size: Ints, how: Geometry) -> Any:
    """What windows see as columns: (examples * groups, elements, places)."""
    sizes = tuple(x.shape[2:])
    larger = padded(sizes, how.padding)
    if larger != sizes:
        x = unindex(x, shape=(*x.shape[:2], *larger), index=inside(sizes, how.padding))
    return reshape(windows(x, **how.sliding(size)), shape=(
        x.shape[0] * how.groups,
        x.shape[1] // how.groups * math.prod(size), math.prod(how.places(sizes, size))))


def _kernels(w: Any, examples: int, how: Geometry) -> Any:
    """Kernels as matrices: (examples * groups, kernels, elements)."""
    groups, size = how.groups, math.prod(w.shape[1:])
    shape = (examples, groups, w.shape[0] // groups, size)
    return reshape(expand(reshape(w, shape=(1, *shape[1:])), shape=shape),
                   shape=(examples * groups, *shape[2:]))


def _results(g: Any, how: Geometry) -> Any:
    """Results as matrices: (examples * groups, kernels, places)."""
    return reshape(g, shape=(g.shape[0] * how.groups, g.shape[1] // how.groups,
                             math.prod(g.shape[2:])))


def _by_windows(x: Any, w: Any, how: Geometry) -> Any:
    size = tuple(w.shape[2:])
    found = bmm(_kernels(w, x.shape[0], how), _seen(x, size, how))
    return reshape(found, shape=(x.shape[0], w.shape[0],
                                 *how.places(tuple(x.shape[2:]), size)))


def _input_by_windows(g: Any, w: Any, sizes: Ints, how: Geometry) -> Any:
    size, larger = tuple(w.shape[2:]), padded(sizes, how.padding)
    found = bmm(mT(_kernels(w, g.shape[0], how)), _results(g, how))
    seen = reshape(found, shape=(g.shape[0], w.shape[1] * how.groups, *size, *g.shape[2:]))
    out = unwindow(seen, sizes=larger, **how.sliding(size))
    return out if larger == sizes else index_view(out, index=inside(sizes, how.padding))


def _weight_by_windows(x: Any, g: Any, size: Ints, how: Geometry) -> Any:
    found = bmm(_results(g, how), mT(_seen(x, size, how)))
    each = reshape(found, shape=(x.shape[0], g.shape[1], *found.shape[2:]))
    return reshape(sum_(each, dims=(0,), keepdim=False),
                   shape=(g.shape[1], x.shape[1] // how.groups, *size))


def _across(b: Any, dims: int) -> Any:
    """A number per channel, to be added to images."""
    return reshape(b, shape=(b.shape[0],) + (1,) * dims)


# --- of many examples -------------------------------------------------------------------------
# Examples are groups of channels, or where one operand alone has them, more of what it is many of.


def _channels(x: Any) -> Any:
    """Examples of batches as groups of channels."""
    return _merged(permute(x, dims=(1, 0, *range(2, len(x.shape)))), 1)


def _examples(x: Any, size: int) -> Any:
    """Groups of channels as examples of batches again."""
    return permute(_grouped(x, 1, size), dims=(1, 0, *range(2, len(x.shape) + 1)))


def _repeated(size: int, batched: bool, x: Any) -> Any:
    return x if batched else expand(x, shape=(size, *x.shape))


def _of_some(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A batching rule that counts groups: of no examples, it is asked for one, which is dropped."""

    @functools.wraps(rule)
    def batch(count: int, batched: Sequence[bool], /, *operands: Any, **params: Any) -> Any:
        if count:
            return rule(count, batched, *operands, **params)
        blank = (np.zeros((1, *x.shape[1:]), plain_aval(x).numpy) if b else x
                 for x, b in zip(operands, batched, strict=True))
        return index_view(rule(1, batched, *blank, **params), index=((0, 0, 1), Ellipsis))

    return batch


@_of_some
def _conv_examples(size: int, batched: tuple[bool, bool], x: Any, w: Any, how: Geometry) -> Any:
    if not batched[1]:
        return _grouped(conv(_merged(x, 0), w, how=how), 0, size)
    if batched[0] or how.groups > 1:
        x = _channels(_repeated(size, batched[0], x))
        how = how._replace(groups=how.groups * size)
    return _examples(conv(x, _merged(w, 0), how=how), size)


@_of_some
def _input_examples(size: int, batched: tuple[bool, bool], g: Any, w: Any, sizes: Ints,
                    how: Geometry) -> Any:
    if not batched[1]:
        return _grouped(conv_input(_merged(g, 0), w, sizes=sizes, how=how), 0, size)
    how = how._replace(groups=how.groups * size)
    g = _channels(_repeated(size, batched[0], g))
    return _examples(conv_input(g, _merged(w, 0), sizes=sizes, how=how), size)


@_of_some
def _weight_examples(count: int, batched: tuple[bool, bool], x: Any, g: Any, size: Ints,
                     how: Geometry) -> Any:
    g = _channels(_repeated(count, batched[1], g))
    if batched[0] or how.groups > 1:
        x = _channels(_repeated(count, batched[0], x))
        how = how._replace(groups=how.groups * count)
    return _grouped(conv_weight(x, g, size=size, how=how), 0, count)


# --- the primitives ---------------------------------------------------------------------------


def _biased(x: np.ndarray, w: np.ndarray, b: np.ndarray, how: Geometry) -> np.ndarray:
    out = columns.conv(x, w, how)
    out += b.reshape(-1, *(1,) * len(how.stride))
    return out


def _conv_aval(x: Aval, w: Aval, how: Geometry) -> Aval:
    return x.with_shape((x.shape[0], w.shape[0], *how.places(x.shape[2:], w.shape[2:])))


def _to_input(g: Any, y: Any, x_aval: Aval, how: Geometry) -> Any:
    return conv_input(g, y, sizes=tuple(x_aval.shape[2:]), how=how)


def _to_weight(g: Any, x: Any, y_aval: Aval, how: Geometry) -> Any:
    return conv_weight(x, g, size=tuple(y_aval.shape[2:]), how=how)


def _to_bias(g: Any) -> Any:
    return sum_(g, dims=(0, *range(2, len(g.shape))), keepdim=False)


_NO_BOOLS = {"b": "slow_conv2d_cpu"}
conv = primitive(
    "conv", columns.conv, abstract=_conv_aval, vjp=(_to_input, _to_weight), multilinear=True,
    batch=_conv_examples, decompose=_by_windows, node="ConvolutionBackward0", order=convolved,
    refuses=_NO_BOOLS)
"""The convolution of images x, (examples, channels, ...), by kernels y, (kernels, channels of a
group, ...)."""
conv_input = primitive(
    "conv_input", columns.conv_input, multilinear=True,
    abstract=lambda g, w, sizes, how: g.with_shape(
        (g.shape[0], w.shape[1] * how.groups, *sizes)),
    vjp=(lambda g, y, how: conv(g, y, how=how),
         lambda g, x, y_aval, how: conv_weight(g, x, size=tuple(y_aval.shape[2:]), how=how)),
    batch=_input_examples, decompose=_input_by_windows, node="ConvolutionBackward0",
    order=convolved, refuses={"b": "slow_conv_transpose2d_out_cpu"})
"""The transposed convolution of results x by kernels y: images of sizes."""
conv_weight = primitive(
    "conv_weight", columns.conv_weight, multilinear=True,
    abstract=lambda x, g, size, how: x.with_shape(
        (g.shape[1], x.shape[1] // how.groups, *size)),
    vjp=(lambda g, y, x_aval, how: conv_input(y, g, sizes=tuple(x_aval.shape[2:]), how=how),
         lambda g, x, how: conv(x, g, how=how)),
    batch=_weight_examples, decompose=_weight_by_windows, node="ConvolutionBackwardBackward0",
    refuses=_NO_BOOLS)
"""What images x and results y say of kernels of a size."""
biased_conv = primitive(
    "biased_conv", _biased, abstract=lambda x, w, b, how: _conv_aval(x, w, how),
    vjp=(_to_input, _to_weight, _to_bias),
    jvp=(lambda t, y, how: conv(t, y, how=how), lambda t, x, how: conv(x, t, how=how),
         lambda t, out_aval: expand(_across(t, out_aval.ndim - 2), shape=out_aval.shape)),
    decompose=lambda x, w, b, how: conv(x, w, how=how) + _across(b, len(how.stride)),
    node="ConvolutionBackward0", order=convolved, refuses=_NO_BOOLS)
"""`conv`, with a number added per kernel."""
