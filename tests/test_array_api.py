"""`wengert.array_api` beside `array_api_strict`, which does what the array API standard says.

The standard's own suite (data-apis/array-api-tests) is on no package index; these are the same
questions: names, signatures, dtypes of results and values, over all dtypes of each kind.
"""

from __future__ import annotations

import array
import inspect
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch
from grouped import grouped
from wengert import array_api as xp

strict: Any = pytest.importorskip("array_api_strict")

SKIPPED = {
    "x.size": "PyTorch's is a method; code for both asks `math.prod(x.shape)`",
    "x + y": "operators promote as PyTorch's do: a 0-d tensor gives way; xp.add is the standard's",
    "x[::-1]": "indices with negative steps are refused, as PyTorch refuses them; xp.flip",
    "fft of nothing": "along an axis of size 0, refused, as PyTorch refuses it",
    "uint64 with signed integers": "refused, as PyTorch refuses them; the standard leaves them out",
}
"""What tensors do otherwise than the standard, and why."""

_TOOLS = {"ArrayAPIStrictFlags", "Device", "__version__", "get_array_api_strict_flags",
          "reset_array_api_strict_flags", "set_array_api_strict_flags"}


@pytest.fixture(autouse=True)
def _version() -> Iterator[None]:
    strict.set_array_api_strict_flags(api_version=xp.__array_api_version__)
    yield
    strict.reset_array_api_strict_flags()


# --- names and signatures ---------------------------------------------------------------------


def names() -> Iterator[tuple[str, str]]:
    for room in ("", "linalg", "fft"):
        module = getattr(strict, room) if room else strict
        yield from ((room, name) for name in module.__all__ if name not in _TOOLS)


def _parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, None if type(p.default).__name__ == "Undef" else p.default)
            for p in found]


@pytest.mark.parametrize(("room", "name"), list(names()))
def test_signature(room: str, name: str) -> None:
    theirs, ours = [getattr(getattr(m, room) if room else m, name) for m in (strict, xp)]
    if not inspect.isfunction(theirs):
        assert type(theirs).__name__ in ("DType", "module") or isinstance(ours, type(theirs))
    elif name == "expand_dims":  # the standard of 2024 has a default, as ours; strict has none
        assert [p[:2] for p in _parameters(ours)] == [p[:2] for p in _parameters(theirs)]
    else:
        assert _parameters(ours) == _parameters(theirs)


def test_namespace() -> None:
    x = torch.ones(2)
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match="2024"):
        x.__array_namespace__(api_version="2099.12")


def test_info() -> None:
    info, theirs = xp.__array_namespace_info__(), strict.__array_namespace_info__()
    assert info.capabilities() == theirs.capabilities()
    assert info.devices() == [info.default_device()] == [x.device for x in (torch.ones(1),)]
    for kind in (None, "bool", "integral", "real floating", "complex floating", "numeric",
                 ("bool", "signed integer"), "unsigned integer"):
        assert info.dtypes(kind=kind).keys() == theirs.dtypes(kind=kind).keys()
    assert info.default_dtypes()["real floating"] is torch.float32
    with pytest.raises(ValueError, match="unknown kind"):
        info.dtypes(kind="whole")


# --- values -----------------------------------------------------------------------------------

BOOL = ("bool",)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS, COMPLEX = ("float32", "float64"), ("complex64", "complex128")
NUMBERS = INTEGERS + FLOATS + COMPLEX
REAL, ALL = INTEGERS + FLOATS, BOOL + NUMBERS

UNARY = {
    NUMBERS: "abs negative positive sign square isfinite isinf isnan round",
    FLOATS + COMPLEX: "acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 "
                      "reciprocal sin sinh sqrt tan tanh conj",
    REAL: "ceil floor trunc", FLOATS: "signbit", COMPLEX: "imag real",
    BOOL + INTEGERS: "bitwise_invert", BOOL: "logical_not",
}
BINARY = {
    ALL: "equal not_equal", NUMBERS: "add multiply subtract",
    FLOATS + COMPLEX: "divide pow",
    FLOATS: "atan2 copysign hypot logaddexp nextafter",
    REAL: "floor_divide greater greater_equal less less_equal maximum minimum remainder",
    BOOL + INTEGERS: "bitwise_and bitwise_or bitwise_xor",
    INTEGERS: "bitwise_left_shift bitwise_right_shift",
    BOOL: "logical_and logical_or logical_xor",
}
REDUCED = {
    ALL: """
xp.all(a) xp.any(a,axis=1) xp.all(a,axis=(0,2),keepdims=True) xp.any(a,axis=())
xp.count_nonzero(a,axis=(0,1)) xp.count_nonzero(a)
""",
    NUMBERS: """
xp.sum(a) xp.sum(a,axis=(0,2)) xp.sum(a,axis=-1,keepdims=True) xp.prod(a,axis=0)
xp.prod(a[0,:2,:2]) xp.prod(a[:,:2,:2],axis=(1,2),keepdims=True) xp.cumulative_sum(a,axis=1)
xp.cumulative_sum(a,axis=0,include_initial=True)
xp.cumulative_prod(a,axis=-1,include_initial=True) xp.diff(a,axis=0)
xp.diff(a,n=2,prepend=a[...,:1]) xp.sum(a,axis=())
""",
    REAL: """
xp.max(a) xp.min(a,axis=(0,1)) xp.max(a,axis=2,keepdims=True) xp.argmax(a) xp.argmin(a,axis=1)
xp.argmax(a,axis=0,keepdims=True) xp.argmin(a,keepdims=True) xp.sort(a)
xp.sort(a,axis=0,descending=True) xp.argsort(a,axis=1) xp.argsort(a,descending=True)
xp.searchsorted(v,a) xp.searchsorted(v,a,side='right')
xp.searchsorted(a[0,0,:],v,sorter=xp.argsort(a[0,0,:])) xp.unique_all(a) xp.unique_counts(a)
xp.unique_inverse(a) xp.unique_values(a) xp.clip(a,min=2,max=3) xp.clip(a,max=b)
""",
    FLOATS: """
xp.mean(a,axis=0) xp.var(a) xp.std(a,axis=(0,1),correction=1.0)
xp.var(a,axis=2,correction=1,keepdims=True) xp.mean(a,axis=())
""",
}
SHAPES = """
xp.broadcast_to(v,(2,3)) xp.broadcast_arrays(a[...,:3],v) xp.concat([a,b])
xp.concat([a,b],axis=None) xp.concat((a,b),axis=-1) xp.expand_dims(a,axis=1)
xp.expand_dims(a,axis=-1) xp.flip(a) xp.flip(a,axis=(0,-1)) xp.moveaxis(a,0,2)
xp.moveaxis(a,(0,1),(2,0)) xp.permute_dims(a,(2,0,1)) xp.repeat(a,2) xp.repeat(a,3,axis=1)
xp.repeat(v,xp.asarray([1,0,2])) xp.reshape(a,(6,-1)) xp.reshape(a,(24,),copy=True) xp.roll(a,2)
xp.roll(a,1,axis=1) xp.roll(a,(1,2),axis=(0,2)) xp.roll(a,1,axis=(0,1))
xp.squeeze(xp.expand_dims(a,axis=0),0) xp.squeeze(a[:1,:1,...],(0,1)) xp.stack([a,b])
xp.stack([a,b],axis=-1) xp.take(v,xp.asarray([2,0,-1])) xp.take(a,xp.asarray([1,1]),axis=1)
xp.take_along_axis(a,xp.asarray([[[0],[2],[-1]]]),axis=1) xp.tile(a,(2,1,3)) xp.tile(v,(2,2))
xp.unstack(a) xp.unstack(a,axis=2) xp.matrix_transpose(a) xp.tril(a) xp.triu(a,k=1) xp.nonzero(a)
xp.where(a==b,a,b) xp.zeros_like(a) xp.ones_like(a,dtype=xp.float32) xp.full_like(a,1)
xp.meshgrid(v,v) xp.meshgrid(v,v[:2],indexing='ij') xp.astype(a,a.dtype)
xp.linalg.diagonal(a,offset=-1) xp.asarray(a,copy=True)
"""
MADE = """
xp.arange(5) xp.arange(2,9,3) xp.arange(1.0,2.0,0.25) xp.arange(5,1) xp.arange(3,dtype=xp.int8)
xp.arange(5,0,-2) xp.zeros(3,dtype=xp.float32) xp.ones((2,3),dtype=xp.int16) xp.full((2,),7)
xp.full(2,True) xp.full((),1.5,dtype=xp.float64) xp.eye(3,dtype=xp.float64)
xp.eye(3,4,k=1,dtype=xp.int32) xp.eye(2,5,k=-1,dtype=xp.complex64)
xp.linspace(0,1,5,dtype=xp.float64) xp.linspace(0,1,4,endpoint=False,dtype=xp.float32)
xp.asarray([[1,2],[3,4]]) xp.asarray([True,False]) xp.asarray(3,dtype=xp.uint8)
xp.can_cast(xp.int8,xp.int16) xp.can_cast(xp.int64,xp.int8) xp.isdtype(xp.int8,'integral')
xp.isdtype(xp.float32,('bool','integral')) xp.isdtype(xp.bool,xp.bool)
xp.isdtype(xp.float64,'numeric') xp.finfo(xp.float32).bits xp.finfo(xp.float64).eps
xp.finfo(xp.complex64).max xp.finfo(xp.float32).min xp.finfo(xp.float32).smallest_normal
xp.iinfo(xp.int8).min xp.iinfo(xp.uint16).max xp.iinfo(xp.int32).bits
xp.fft.fftfreq(5,dtype=xp.float64) xp.fft.rfftfreq(4,d=0.5,dtype=xp.float32)
"""
ALGEBRA = {
    NUMBERS: """
xp.matmul(a,xp.matrix_transpose(b)) xp.tensordot(a,b,axes=3) xp.vecdot(a,b)
xp.tensordot(a,b,axes=((0,2),(0,2))) xp.vecdot(a,b,axis=-3) xp.linalg.outer(v,v)
xp.linalg.trace(a,offset=1) xp.linalg.trace(a) xp.linalg.cross(v,xp.flip(v))
""",
    FLOATS + COMPLEX: """
xp.linalg.cholesky(p) xp.linalg.cholesky(p,upper=True) xp.linalg.det(p) xp.linalg.inv(p)
xp.linalg.slogdet(p) xp.linalg.solve(p,v) xp.linalg.solve(p,p) xp.linalg.svdvals(a)
xp.linalg.eigvalsh(p) xp.linalg.pinv(a) xp.linalg.matrix_rank(a) xp.linalg.matrix_power(p,3)
xp.linalg.matrix_power(p,-1) xp.linalg.matrix_norm(a) xp.linalg.matrix_norm(a,ord=1,keepdims=True)
xp.linalg.matrix_norm(a,ord='nuc') xp.linalg.vector_norm(a) xp.linalg.vector_norm(a,axis=1,ord=1)
xp.linalg.vector_norm(a,axis=(0,2),keepdims=True,ord=xp.inf) xp.fft.fft(xp.astype(a,c))
xp.fft.ifft(xp.astype(a,c),n=3,axis=0) xp.fft.fftn(xp.astype(a,c),s=(3,3),axes=(0,1))
xp.fft.ifftn(xp.astype(a,c)) xp.fft.irfft(xp.astype(a,c),norm='ortho')
xp.fft.irfftn(xp.astype(a,c)) xp.fft.hfft(xp.astype(a,c)) xp.fft.fftshift(a)
xp.fft.ifftshift(a,axes=1)
""",
    FLOATS: """
xp.fft.rfft(a,axis=1) xp.fft.rfftn(a) xp.fft.ihfft(a)
""",
}


def calls() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Calls in either namespace, and the dtypes of their operands."""
    for kinds, words in UNARY.items():
        yield from ((f"xp.{word}(a)", kinds) for word in words.split())
    for kinds, words in BINARY.items():
        yield from ((f"xp.{word}(a, b)", kinds) for word in words.split())
    for table in (REDUCED, ALGEBRA):
        for kinds, words in table.items():
            yield from ((word, kinds) for word in words.split())
    yield from ((word, ALL) for word in SHAPES.split())
    yield from ((word, BOOL) for word in MADE.split())


def _operands(module: Any, kind: str) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    made = {"a": rng.integers(0, 2 if kind == "bool" else 6, (2, 3, 4)),
            "b": rng.integers(1, 2 if kind == "bool" else 4, (2, 3, 4)),
            "v": np.array([0, 1, 1] if kind == "bool" else [1, 3, 4])}
    made["p"] = np.array([[4, 1, 0], [1, 5, 2], [0, 2, 6]])
    if kind in FLOATS + COMPLEX:
        made["a"] = (made["a"] + 0.5) / 8
    if kind in COMPLEX:
        made["a"] = made["a"] + 0.25j
    there = {name: module.asarray(array.astype(kind)) for name, array in made.items()}
    wide = {"float32": "complex64", "complex64": "complex64"}.get(kind, "complex128")
    return {**there, "c": getattr(module, wide), "xp": module}


def _plain(value: Any) -> Any:
    """A result as what can be compared: arrays, or a list of them."""
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return np.asarray(value) if hasattr(value, "dtype") else value


@pytest.mark.parametrize(("call", "kinds"), [pytest.param(*c, id=c[0]) for c in calls()])
def test_values(call: str, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        with np.errstate(all="ignore"):
            ours, theirs = [_plain(eval(call, _operands(m, kind))) for m in (xp, strict)]
        several = isinstance(theirs, list)
        pairs = list(zip(ours, theirs, strict=True) if several else [(ours, theirs)])
        for mine, wanted in pairs:
            if isinstance(wanted, np.ndarray) and call not in MADE.split():
                assert mine.dtype == wanted.dtype, kind
            if isinstance(wanted, np.ndarray):
                assert mine.shape == wanted.shape, kind
            tolerance = 1e-4 if kind in ("float32", "complex64") else 1e-9
            np.testing.assert_allclose(mine, wanted, tolerance, tolerance, err_msg=kind)


EDGES = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 0.5, 2, -2.5, 1e30, 3])
ELEMENTWISE = [c for c in calls() if c[0].endswith(("(a)", "(a, b)")) and c[0][3:].partition("(")[0]
               in " ".join([*UNARY.values(), *BINARY.values()]).split()]


@pytest.mark.parametrize(("call", "kinds"), [pytest.param(*c, id=c[0]) for c in ELEMENTWISE])
def test_special_values(call: str, kinds: tuple[str, ...]) -> None:
    """NaN, infinities, zeros with signs; the smallest and largest integers."""
    for kind in kinds:
        if kind == "bool":
            continue
        edges = EDGES.astype(kind) if kind in FLOATS + COMPLEX else np.array(
            [np.iinfo(kind).min, np.iinfo(kind).max, 0, 1, 2, 5], kind)
        beside = edges if kind in FLOATS + COMPLEX else edges[edges > 0]
        a, b = (v.reshape(-1) for v in np.meshgrid(edges, beside))
        with np.errstate(all="ignore"):
            mine, wanted = [_plain(eval(call, {"a": m.asarray(a), "b": m.asarray(b), "xp": m}))
                            for m in (xp, strict)]
        tolerance = 1e-5 if kind in ("float32", "complex64") else 1e-9
        np.testing.assert_allclose(mine, wanted, tolerance, tolerance, err_msg=kind)
        if kind in FLOATS and wanted.dtype.kind == "f":
            same = np.signbit(mine) == np.signbit(wanted)
            assert (same | np.isnan(wanted)).all()


FEW = [(call, kinds[-1], shape) for call, kinds in calls() if "(a" in call
       for shape in ((), (0, 3), (2, 0, 4), (1, 1, 1)) if 0 not in shape or "fft" not in call]


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@grouped(FEW, by=lambda case: case[0])
def test_few_elements(case: tuple[str, str, tuple[int, ...]]) -> None:
    """No elements, or one, or no axes: results and their shapes, where strict has any."""
    call, kind, shape = case
    ones = {"a": np.ones(shape, kind), "b": np.ones(shape, kind), "v": np.ones(3, kind)}
    found = []
    for m in (strict, xp):
        names = {name: m.asarray(array) for name, array in ones.items()}
        try:
            found.append(_plain(eval(call, {**names, "c": m.complex128, "xp": m})))
        except Exception:
            if m is xp:
                raise
            return
    pairs = zip(*found, strict=True) if isinstance(found[0], list) else [found]
    for wanted, mine in pairs:
        assert mine.shape == wanted.shape and mine.dtype == wanted.dtype
        np.testing.assert_allclose(mine, wanted, 1e-6)


@pytest.mark.parametrize("call", ["xp.linalg.qr(a)", "xp.linalg.qr(a, mode='complete')",
                                  "xp.linalg.svd(a)", "xp.linalg.svd(a, full_matrices=False)",
                                  "xp.linalg.eigh(p)"])
@pytest.mark.parametrize("kind", FLOATS + COMPLEX)
def test_decompositions(call: str, kind: str) -> None:
    """Those are right up to signs: names, shapes and products are compared."""
    ours, theirs = [eval(call, _operands(m, kind)) for m in (xp, strict)]
    assert ours._fields == theirs._fields
    assert [p.shape for p in map(_plain, ours)] == [p.shape for p in map(_plain, theirs)]

    def whole(parts: Any) -> np.ndarray:
        first, *rest = map(np.asarray, parts)
        if call.startswith("xp.linalg.eigh"):
            return rest[0] * first @ rest[0].conj().T
        if len(rest) == 1:
            return first @ rest[0]
        s, vh = rest
        return first[..., :s.shape[-1]] * s[..., None, :] @ vh[..., :s.shape[-1], :]

    np.testing.assert_allclose(whole(_plain(ours)), whole(_plain(theirs)), 1e-3, 1e-5)


@grouped(itertools.product(ALL, ALL), by=lambda case: case[0])
def test_promotion(case: tuple[str, str]) -> None:
    """By dtypes alone, 0-d operands included; where the standard has no answer, nor do we ask."""
    a, b = case
    try:
        wanted = strict.result_type(getattr(strict, a), getattr(strict, b))
    except TypeError:
        return
    kind = xp.result_type(getattr(xp, a), getattr(xp, b))
    assert kind.name == str(wanted).rpartition(".")[2]
    x, y = torch.ones(2, dtype=getattr(torch, a)), torch.ones((), dtype=getattr(torch, b))
    assert xp.equal(x, y).dtype is torch.bool
    if "bool" not in (a, b):
        assert xp.multiply(x, y).dtype is kind
    assert xp.where(x == 1, x, y).dtype is kind
    assert xp.concat([x, y.reshape(1)]).dtype is kind


def test_asarray_shares() -> None:
    """Memory is shared with tensors, arrays and buffers, unless a copy is asked for."""
    x, a, b = torch.ones(2), np.ones(2), array.array("d", [1, 2])
    assert xp.asarray(x) is xp.asarray(x, copy=False) is x
    assert xp.asarray(x, copy=True).data_ptr() != x.data_ptr()
    assert xp.asarray(a, copy=False).data_ptr() == a.ctypes.data
    shared = xp.asarray(b)
    b[0] = 7
    assert shared.tolist() == [7, 2] and xp.asarray(memoryview(b), dtype=xp.float32).tolist() == [
        7, 2]


def test_numbers() -> None:
    """A number takes the dtype of the tensor beside it, on either side."""
    for kind in ("int8", "float32", "complex64"):
        x = torch.ones(2, dtype=getattr(torch, kind))
        assert xp.add(x, 1).dtype is xp.multiply(2, x).dtype is xp.where(x == 1, x, 3).dtype
        assert xp.subtract(1, x).dtype is x.dtype


def test_gradients_flow() -> None:
    x = torch.tensor([[1., 2.], [3., 5.]], requires_grad=True)
    xp.sum(xp.linalg.inv(x) * xp.cumulative_sum(x, axis=0)).backward()
    assert x.grad is not None and x.grad.shape == x.shape


def test_scipy() -> None:
    """SciPy's own functions for the standard's arrays take tensors, and differentiate."""
    code = """
import numpy as np, scipy.special, scipy.stats, wengert as torch
a = np.array([[1.0, 2, 4], [3, 5, 9]])
x = torch.tensor(a, requires_grad=True)
programs = {"logsumexp": lambda v: scipy.special.logsumexp(v, axis=1),
            "softmax": lambda v: scipy.special.softmax(v, axis=1),
            "zscore": lambda v: scipy.stats.zscore(v, axis=1),
            "skew": lambda v: scipy.stats.skew(v, axis=1),
            "gmean": lambda v: scipy.stats.gmean(v, axis=0)}
for name, program in programs.items():
    found = program(x)
    assert isinstance(found, torch.Tensor), name
    np.testing.assert_allclose(found.detach().numpy(), program(a), 1e-12, err_msg=name)
g, = torch.autograd.grad(programs["logsumexp"](x).sum(), x)
np.testing.assert_allclose(g.numpy(), programs["softmax"](a), 1e-12)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120,
                   env={**os.environ, "SCIPY_ARRAY_API": "1"})


def test_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        xp.astype(torch.ones(1, dtype=torch.complex64), torch.float32)
    with pytest.raises(ValueError, match="size"):
        xp.squeeze(torch.ones(2, 1), (0,))
    with pytest.raises(ValueError, match="copy=False"):
        xp.asarray([1, 2], copy=False)
    with pytest.raises(ValueError, match="unknown kind"):
        xp.isdtype(torch.int8, "whole")
    with pytest.raises(ValueError, match="axis"):
        xp.cumulative_sum(torch.ones(2, 2))
