"""`out=`: results that are written into tensors of the caller's.

The words know nothing of it. A keyword that a word lacks fails before anything is run, and then
`guard` asks here: the word is called without `out`, and what it gives is copied. Words on the fast
paths, which have no guard, hand a given `out` over themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import dtypes
from .handle import Handle
from .levels import here
from .provenance import warn

_NAMES = """
abs acos acosh add addbmm addcdiv addcmul addmm addmv addr all amax amin aminmax angle any arange
argmax argmin argsort asin asinh atan atan2 atanh baddbmm bernoulli bitwise_and bitwise_left_shift
bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm bucketize cat ceil chain_matmul cholesky
cholesky_inverse cholesky_solve clamp clamp_max clamp_min column_stack complex conj_physical
copysign cos cosh cross cummax cummin cumprod cumsum deg2rad diag diff digamma div divide dot dstack
empty eq erf erfc erfinv exp exp2 expm1 eye float_power floor floor_divide fmax fmin fmod frac frexp
full gather gcd ge geqrf ger gt hardshrink heaviside histc histogram hstack hypot i0 igamma igammac
index_add index_copy index_reduce index_select inner inverse isin isneginf isposinf kron kthvalue
lcm ldexp le lerp lgamma linspace log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp
logical_and logical_not logical_or logical_xor logit logspace logsumexp lt lu lu_solve lu_unpack
masked_select matmul matrix_power max maximum mean median min minimum mm mode msort mul multinomial
multiply mv mvlgamma nan_to_num nanmean nanmedian nanquantile nansum narrow_copy ne neg nextafter
nonzero nonzero_static norm normal normalize ones orgqr ormqr outer polar polygamma pow prod qr
quantile rad2deg rand randint randn randperm range reciprocal remainder renorm round rsqrt scatter
scatter_add scatter_reduce searchsorted sgn sigmoid sign signbit sin sinc sinh slice_scatter slogdet
softmax sort sqrt square stack std sub subtract sum svd take take_along_dim tan tanh tensordot
threshold topk triangular_solve tril triu true_divide trunc var vdot vstack where xlogy zeros
"""
TAKES = frozenset(_NAMES.split())
"""PyTorch's words that take `out=`, by their first names, beside those of `_ROOMS`."""

_ROOMS = {
    "wengert.ops.copies": "",
    "wengert.ops.fourier": "fft", "wengert.ops.linalg.decompositions": "linalg",
    "wengert.ops.linalg.norms": "linalg", "wengert.ops.linalg.products": "linalg",
    "wengert.ops.linalg.solving": "linalg", "wengert.ops.polynomials": "special",
    "wengert.ops.special": "special"}
"""Modules whose words all take it, and PyTorch's name for where they are; but for these words."""
_WITHOUT = {"diagonal", "fftshift", "ifftshift", "matrix_exp", "vander"}


_EXACT_NAMES = """
abs addbmm addmm addmv amax amin aminmax argmax argmin argsort baddbmm bitwise_not bmm bucketize
ceil clamp complex conj_physical cross cummax cummin diag dot float_power floor frac frexp gather
hardshrink heaviside histc histogram index_add index_copy index_reduce index_select inner inverse
isin isneginf isposinf kthvalue lerp log_softmax logcumsumexp lu_solve lu_unpack masked_select
matmul median mm mode msort multinomial mv nan_to_num nanmedian nanquantile narrow_copy neg nonzero
nonzero_static norm ormqr polar qr quantile renorm round scatter scatter_add scatter_reduce
searchsorted sgn sign signbit slice_scatter slogdet softmax sort svd take take_along_dim tensordot
topk triangular_solve tril triu trunc vdot where
"""
_EXACT = frozenset(_EXACT_NAMES.split())
"""Words whose results are written into tensors of their own dtype alone; others are converted."""
_CONVERTED = {"cond", "eig", "eigvals", "householder_product", "lstsq", "matrix_power",
              "matrix_rank", "pinv", "split_copy", "tensorinv", "tensorsolve"}
"""What is converted of the rooms where others are not."""


def _is_exact(word: Any, out: Any) -> bool:
    """Whether a word's results are written into tensors of their own dtype alone."""
    name = word.__name__
    if _ROOMS.get(word.__module__) in ("", "linalg"):
        return name not in _CONVERTED
    return name in _EXACT or (name in ("max", "min") and isinstance(out, (tuple, list)))


def lacks_out(error: Exception, named: dict[str, Any]) -> bool:
    """Whether a call failed, before anything was done, since its word does not know `out`."""
    return "out" in named and isinstance(error, TypeError) and (
        "got an unexpected keyword argument 'out'" in str(error))


def takes_out(word: Any) -> bool:
    """Whether a word takes `out=`."""
    return word.__name__ in TAKES or (
        word.__module__ in _ROOMS and word.__name__ not in _WITHOUT
        and not word.__name__.endswith("_"))


def _full_name(word: Any) -> str:
    """A word's name, as PyTorch's messages have it: "linalg_inv"."""
    room = _ROOMS.get(word.__module__)
    return f"{room}_{word.__name__}" if room else word.__name__


def into(word: Any, args: Sequence[Any], named: dict[str, Any]) -> Any:
    """What a word gives, written into the tensors that the keyword `out` has.

    Tensors of other shapes are resized, with a warning if they were not empty. The results are
    complete before anything is written: `out` may be an operand.

    Args:
        word: the function.
        args: its arguments.
        named: its keyword arguments, and `out`.

    Raises:
        TypeError: if the word takes no `out`, or there are other than one tensor per result.
        RuntimeError: if something requires grad while that is recorded, inside a transform, or for
            results that a tensor can't hold.
    """
    if not takes_out(word):
        raise TypeError(f"{word.__name__}() got an unexpected keyword argument 'out'")
    out, others = named["out"], {name: given for name, given in named.items() if name != "out"}
    if out is None:
        return word(*args, **others)
    several = isinstance(out, (tuple, list)) and bool(out)
    outs = tuple(out) if several else (out,)
    _check_tensors(word.__name__, outs)
    _check_history(_full_name(word), list(_tensors((*outs, *args, *others.values()))))
    exact = _is_exact(word, out)
    if not exact:
        _as_given(word, args, others, outs[0])
    found = word(*args, **others)
    results = (found,) if isinstance(found, Handle) else tuple(found)
    if several is isinstance(found, Handle) or len(outs) != len(results):
        raise _misfit(word.__name__, outs if several else None, results)
    for place, result in zip(outs, results, strict=True):
        _check_dtype(place.aval.dtype, result.aval.dtype, exact=exact)
    for place, result in zip(outs, results, strict=True):
        _write(place, result)
    if others.get("requires_grad"):
        out.requires_grad_()
    return type(found)(*outs) if hasattr(found, "_fields") else out


def _check_tensors(name: str, outs: Sequence[Any]) -> None:
    for each in outs:
        if not isinstance(each, Handle):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(each).__name__}")


def _misfit(name: str, outs: Sequence[Any] | None, results: Sequence[Any]) -> TypeError:
    wanted = "Tensor" if len(results) == 1 else f"tuple of {len(results)} Tensors"
    got = "Tensor" if outs is None else f"tuple of {len(outs)}"
    return TypeError(f"{name}(): argument 'out' must be {wanted}, not {got}")


def _tensors(values: Sequence[Any]) -> Iterator[Any]:
    """The tensors among arguments, and in lists of them."""
    for each in values:
        if isinstance(each, Handle):
            yield each
        elif isinstance(each, (tuple, list)):
            yield from _tensors(each)


def _check_history(name: str, tensors: Sequence[Any]) -> None:
    """Refuses what would lose a derivative."""
    for each in tensors:
        if each.aval.level is not None:
            raise RuntimeError(f"{name}(): functions with out=... arguments don't work inside "
                               f"{each.aval.level.word}")
    if here.grad and any(each.requires_grad for each in tensors):
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic "
                           "differentiation, but one of the arguments requires grad.")


def _as_given(word: Any, args: Sequence[Any], named: dict[str, Any], out: Any) -> None:
    """Where a word can be told its result's dtype, it is that of `out`.

    Raises:
        RuntimeError: if it is told another.
    """
    code, kind = getattr(word, "__wrapped__", word).__code__, out.aval.dtype
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    if word.__name__ == "normal" or "dtype" not in names:  # `normal` has one where it has a size
        return
    place = names.index("dtype")
    by_position = place < min(len(args), code.co_argcount)
    told = args[place] if by_position else named.get("dtype")
    if told is None and not by_position:
        named["dtype"] = kind
    elif isinstance(told, dtypes.dtype) and told is not kind:
        raise RuntimeError(f"dtype {told.words} does not match dtype of out parameter "
                           f"({kind.words})")


def _check_dtype(out: dtypes.dtype, result: dtypes.dtype, *, exact: bool) -> None:
    if exact and out is not result:
        given, wanted = (dtypes.c_name(kind, alone=True) for kind in (out, result))
        raise RuntimeError(f"Expected out tensor to have dtype {wanted}, but got {given} instead")
    dtypes.check_cast(result, out)


def _write(out: Any, result: Any) -> None:
    """Writes a result into a tensor, which gets its shape."""
    if out.aval.shape != result.aval.shape:
        _resize(out, result.aval.shape)
    out.copy_(result.detach())


def _resize(out: Any, shape: Any) -> None:
    if out.aval.numel:
        warn(
            f"An output with one or more elements was resized since it had shape "
            f"{list(out.aval.shape)}, which does not match the required output shape "
            f"{list(shape)}. This behavior is deprecated, and in a future PyTorch release outputs "
            "will not be resized unless they have zero elements. You can explicitly reuse an out "
            "tensor t by resizing it, inplace, to zero elements with t.resize_(0).")
    out.resize_(tuple(shape))
