"""Code written for NumPy, of tensors: NumPy's values, the gradients of finite differences, or
TypeError. Nothing is detached in silence."""

from __future__ import annotations

import operator
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.special

import wengert as torch
from wengert.core.aval import aval
from wengert.core.handle import Handle, wrap
from wengert.core.levels import Level, entered
from wengert.ops.numpy_protocol import _functions, ufuncs

RNG = np.random.default_rng(0)
FLOATS = {
    "x": RNG.uniform(-2, 2, (3, 4)), "y": RNG.uniform(-2, 2, (3, 4)),
    "u": RNG.uniform(-0.9, 0.9, (3, 4)), "p": RNG.uniform(0.5, 2, (3, 4)),
    "r": RNG.uniform(-2, 2, 4), "a": RNG.uniform(-2, 2, 4), "v": RNG.uniform(0.5, 2, 4),
    "c": RNG.uniform(-2, 2, (3, 1)), "s": np.asarray(0.7), "e": RNG.uniform(-2, 2, (4, 3)),
    "m": RNG.uniform(-2, 2, (4, 4)), "n": RNG.uniform(-2, 2, (4, 3)),
    "t": RNG.uniform(-2, 2, (2, 3, 4)), "q": RNG.uniform(-2, 2, (2, 4, 3)),
    "o": RNG.uniform(-2, 2, (1, 3, 1)),
    "h": RNG.uniform(1.5, 3, (3, 4)), "f": np.array([0.5, np.inf, -np.inf, np.nan]),
    "z": np.where(RNG.uniform(0, 1, (3, 4)) > 0.6, np.nan, 1.5),
}
CONSTANTS = {
    "i": np.array([2, 0, 3, -1]), "j": np.array([[1, 0, -1, 2], [0, 0, 2, 1]]),
    "b": RNG.uniform(0, 1, (3, 4)) > 0.5, "k": np.arange(12).reshape(3, 4) - 5,
    "g": np.array([[4, 1, 0], [1, 5, 2], [0, 2, 6]]),
}

# A program a line. Their results carry gradients to every operand of floats.
SMOOTH = """
np.sin(x); np.cos(x); np.tan(u); np.arcsin(u); np.arccos(u); np.arctan(x); np.sinh(x); np.cosh(x)
np.tanh(x); np.arcsinh(x); np.arccosh(h); np.arctanh(u); np.exp(x); np.exp2(x); np.expm1(x)
np.log(p); np.log2(p); np.log10(p); np.log1p(p); np.sqrt(p); np.cbrt(x); np.square(x)
np.reciprocal(p); np.negative(x); np.positive(x); np.absolute(x); np.fabs(x); np.conjugate(x)
np.deg2rad(x); np.rad2deg(x); np.radians(x); np.degrees(x)
np.add(x, y); np.subtract(x, r); np.multiply(x, c); np.divide(x, p); np.add(x, 2); np.add(2.5, x)
np.subtract(1, x); np.divide(1, p); np.power(p, 2); np.power(2, x); np.power(p, y); np.power(x, 3)
np.float_power(p, y); np.float_power(p, 1.5); np.float_power(2, x); np.remainder(x, p)
np.fmod(x, p); np.mod(x, 0.7); np.hypot(x, y); np.arctan2(x, y); np.arctan2(x, 1)
np.logaddexp(x, y); np.logaddexp2(x, r); np.logaddexp(x, 0); np.maximum(x, y); np.maximum(x, 0)
np.minimum(0, x); np.minimum(x, r); np.fmax(x, y); np.fmin(x, r); np.copysign(x, k)
np.modf(x)[0]; np.divmod(x, p)[1]; np.add(x, [1.0, 2.0, 3.0, 4.0]); np.multiply(x, k)
np.matmul(x, n); np.matmul(x, r); np.matmul(r, n); np.matmul(t, q); np.matmul(t, n)
np.vecdot(x, y); np.vecdot(x, r); np.matvec(x, r); np.matvec(t, r); np.vecmat(r, n)
np.add.reduce(x); np.add.reduce(x, axis=(0, 1)); np.add.reduce(x, axis=1, keepdims=True)
np.multiply.reduce(x, axis=None); np.maximum.reduce(x); np.minimum.reduce(x, axis=1)
np.logaddexp.reduce(x, axis=1); np.subtract.reduce(x); np.subtract.reduce(x, axis=1, keepdims=True)
np.hypot.reduce(r, axis=None); np.add.accumulate(x); np.multiply.accumulate(x, axis=1)
np.maximum.accumulate(r); np.subtract.accumulate(x, axis=-1); np.add.outer(r, a)
np.multiply.outer(x, r); np.subtract.outer(s, r); np.divide.outer(r, p)
np.sum(x); np.sum(x, axis=0); np.sum(x, axis=(0, 1)); np.sum(x, axis=(0, 1), keepdims=True)
np.sum(x, -1, keepdims=True); np.sum(x, axis=()); np.sum(t, axis=(0, -1)); np.sum(x, where=True)
np.sum(s); np.sum(x, 0, None, None, True)
np.mean(x); np.mean(x, axis=1); np.mean(t, axis=(0, 2), keepdims=True); np.mean(x, axis=())
np.prod(p); np.prod(p, axis=1); np.prod(t, axis=(0, 2)); np.prod(t, axis=(0, 2), keepdims=True)
np.prod(p, axis=()); np.prod(x, keepdims=True)
np.std(x); np.std(x, axis=0); np.std(x, axis=1, ddof=1, keepdims=True); np.std(x, correction=1)
np.var(x); np.var(x, axis=(0, 1)); np.var(x, 0, ddof=2); np.var(x, axis=1, correction=1)
np.max(x); np.max(x, axis=1); np.max(t, axis=(0, 2)); np.amax(x, 0, keepdims=True); np.max(s)
np.min(x); np.min(x, axis=0); np.amin(x, axis=(0, 1)); np.ptp(x); np.ptp(x, axis=1, keepdims=True)
np.average(x); np.average(x, axis=0); np.average(x, axis=1, weights=v); np.average(x, weights=p)
np.average(x, axis=1, weights=p, keepdims=True)
np.cumsum(x); np.cumsum(x, axis=1); np.cumprod(p); np.cumprod(x, axis=0)
np.cumulative_sum(r); np.cumulative_sum(x, axis=1); np.cumulative_prod(v)
np.cumulative_prod(x, axis=0); np.diff(x); np.diff(x, axis=0); np.diff(r, 2); np.diff(x, n=0)
np.trapezoid(x); np.trapezoid(x, dx=0.5, axis=0); np.trapezoid(x, r); np.trapezoid(x, y, axis=1)
np.trapezoid(x, np.array([0.0, 0.5, 2.0]), axis=0)
np.sort(x); np.sort(x, axis=0); np.sort(x, axis=None); np.sort(x, kind="stable")
np.linalg.norm(x); np.linalg.norm(x - y, axis=1); np.linalg.norm(x, axis=(0, 1))
np.linalg.norm(r, 2); np.linalg.norm(x, "fro"); np.linalg.norm(x, 1); np.linalg.norm(x, -np.inf)
np.linalg.norm(x, np.inf); np.linalg.norm(x, -1, keepdims=True); np.linalg.norm(r, 3)
np.linalg.norm(r, np.inf); np.linalg.norm(r, -np.inf); np.linalg.norm(t, 1, axis=(2, 0))
np.linalg.norm(t, np.inf, axis=(2, 0), keepdims=True); np.linalg.norm(t)
np.linalg.norm(x, 1, axis=0, keepdims=True); np.linalg.norm(x, axis=1, keepdims=True)
np.linalg.vector_norm(x); np.linalg.vector_norm(x, axis=1, ord=3); np.linalg.matrix_norm(t)
np.linalg.matrix_norm(t, ord=1, keepdims=True)
np.dot(r, a); np.dot(x, n); np.dot(x, r); np.dot(r, m); np.dot(x, 2); np.dot(s, r); np.dot(t, n)
np.dot(t, q); np.dot(t, r); np.inner(r, a); np.inner(x, y); np.inner(t, x); np.inner(x, s)
np.vdot(x, y); np.outer(r, a); np.outer(x, r); np.linalg.outer(r, a); np.linalg.matmul(x, n)
np.linalg.vecdot(x, y); np.linalg.vecdot(x, y, axis=0); np.linalg.multi_dot([x, n, x, r])
np.linalg.matrix_power(m, 3); np.linalg.matrix_power(m, 1)
np.tensordot(x, y); np.tensordot(x, n, 1); np.tensordot(x, r, axes=([1], [0]))
np.tensordot(t, x, axes=((1, 2), (0, 1))); np.tensordot(r, a, 0); np.linalg.tensordot(x, n, axes=1)
np.einsum("ij,jk->ik", x, n); np.einsum("ij->j", x); np.einsum("ii", m); np.einsum("ii->i", m)
np.einsum("...i,i", t, r); np.einsum("i,j,ij", v[:3], r, x, optimize=True)
np.kron(r, a); np.kron(x, c); np.kron(x, r); np.cross(e, n); np.cross(e[0], n[0])
np.cross(x, y, axis=0); np.linalg.cross(e, n)
np.trace(m); np.trace(m, 1); np.trace(t, axis1=1, axis2=2); np.linalg.trace(t)
np.linalg.trace(m, offset=-1); np.vander(r); np.vander(r, 3, increasing=True)
np.where(b, x, y); np.where(b, x, 0); np.where(k, 1.0, x); np.where(x > 0, x, np.exp(x))
np.select([x > 1, x > 0], [y, x * 2], 5); np.select([b, x > 0], [x, s])
np.clip(x, -1, 1); np.clip(x, 0, None); np.clip(x, None, r); np.clip(x, a_min=c, a_max=3.0)
np.clip(x, min=-0.5); np.clip(x, max=r); np.clip(x, -p, p); np.clip(x, None, None)
np.nan_to_num(z); np.nan_to_num(f, posinf=7, neginf=-8.0, nan=2)
np.take(x, i); np.take(x, i, axis=1); np.take(x, 1, axis=0); np.take(x, -2)
np.take(x, j, axis=-1); np.take(x, [0, 2], axis=0); np.take_along_axis(x, j[:1], axis=1)
np.take_along_axis(x, np.argsort(x, axis=1), axis=1); np.take_along_axis(x, i, axis=None)
np.take_along_axis(x, j, axis=0); np.delete(x, 1, axis=1); np.delete(r, [0, 2]); np.delete(x, 5)
np.real(x); np.reshape(x, (4, 3)); np.reshape(x, -1); np.reshape(x, shape=(2, -1), order="C")
np.ravel(x); np.transpose(x); np.transpose(t, (1, 0, 2)); np.transpose(t); np.matrix_transpose(t)
np.linalg.matrix_transpose(x); np.swapaxes(t, 0, -1); np.moveaxis(t, 0, -1)
np.moveaxis(t, [0, 1], [-1, 0]); np.squeeze(o); np.squeeze(o, 0); np.squeeze(o, axis=(0, -1))
np.squeeze(o, axis=()); np.expand_dims(x, 0); np.expand_dims(x, (0, -1)); np.expand_dims(x, axis=2)
np.broadcast_to(r, (3, 4)); np.broadcast_to(s, 3); np.broadcast_arrays(x, c, r)
np.atleast_1d(s); np.atleast_2d(r); np.atleast_3d(x); np.atleast_3d(r); np.atleast_1d(s, x)
np.flip(x); np.flip(x, 1); np.flip(t, (0, 2)); np.flipud(x); np.fliplr(x); np.rot90(x)
np.rot90(x, 2); np.rot90(x, -1); np.rot90(t, 3, axes=(1, 2)); np.rot90(x, 4)
np.roll(x, 2); np.roll(x, -1, axis=1); np.roll(x, (1, 2), axis=(0, 1)); np.roll(x, 1, (0, 1))
np.roll(x, (1, 2), axis=(0, 0)); np.roll(x, (1, 2))
np.tile(r, 3); np.tile(x, (2, 1)); np.tile(r, (2, 2)); np.tile(x, 2); np.repeat(x, 2)
np.repeat(x, [1, 0, 2], axis=0); np.repeat(x, 2, axis=1); np.repeat(s, 3)
np.pad(x, 1); np.pad(x, ((1, 2), (0, 3))); np.pad(x, (1, 0), constant_values=7)
np.pad(r, 2, mode="constant"); np.tril(x); np.tril(m, -1); np.triu(t, 1); np.diag(r); np.diag(m)
np.diag(r, 1); np.diag(x, -1); np.diagflat(x, 1); np.diagonal(m); np.diagonal(t, 1, 1, 2)
np.linalg.diagonal(t, offset=1); np.concatenate([x, y]); np.concatenate((x, c), axis=1)
np.concatenate([x, r], axis=None); np.concatenate([x, np.ones((1, 4))]); np.stack([x, y])
np.stack([r, a, [1.0, 2.0, 3.0, 4.0]], axis=1); np.stack(arrays=(x, y), axis=-1)
np.vstack([r, x]); np.hstack([r, a]); np.hstack([x, c]); np.dstack([x, y]); np.dstack([r, a])
np.column_stack([r, a]); np.column_stack([x.T, r]); np.append(x, r); np.append(x, c, axis=1)
np.split(x, 2, axis=1); np.split(x, [1, 3], axis=1); np.array_split(x, 3, axis=1)
np.array_split(x, [1, 9]); np.vsplit(x, 3); np.hsplit(x, 2); np.hsplit(r, [1]); np.dsplit(t, 2)
np.unstack(x); np.unstack(x, axis=1); np.copy(x)
np.astype(x, np.float64); np.linspace(s, 3); np.linspace(r, a, 5); np.linspace(0, r, 4, False)
np.linspace(s, s + 1, num=1); np.meshgrid(r, a); np.meshgrid(r, c[:, 0], indexing="ij")
np.meshgrid(r, a, sparse=True, copy=False); np.nansum(np.where(b, x, np.nan)); np.nansum(x, axis=1)
np.nanmean(np.where(b, x, np.nan), axis=1); np.nanmean(x, keepdims=True)
scipy.special.erf(x); scipy.special.erfc(x); scipy.special.expit(x); np.nextafter(x, y)
np.linalg.inv(m); np.linalg.det(m); np.linalg.slogdet(m); np.linalg.solve(m, r)
np.linalg.solve(m, n); np.linalg.cholesky(m @ m.T); np.linalg.cholesky(m @ m.T, upper=True)
np.linalg.eigh(m + m.T)[0]; np.linalg.eigvalsh(m + m.T, "U"); np.linalg.svd(x)[1]
np.linalg.svd(x, compute_uv=False); np.linalg.svdvals(x); np.linalg.pinv(x)
np.linalg.pinv(x, rcond=1e-12); np.linalg.matrix_power(m, -2); np.linalg.qr(x[:, :3], "r") ** 2
np.abs(np.linalg.qr(x[:, :3])[1]); np.abs(np.linalg.eigvals(m + m.T)).sum()
np.abs(np.linalg.eig(m + m.T)[0]).sum()
np.abs(np.fft.fft(x)); np.abs(np.fft.ifft(x, 3, axis=0)); np.abs(np.fft.rfft(x, norm="ortho"))
np.fft.irfft(x); np.fft.irfft(x, n=5); np.fft.hfft(x); np.abs(np.fft.ihfft(r))
np.abs(np.fft.fftn(t)); np.abs(np.fft.ifftn(t, axes=(0, 1))); np.abs(np.fft.rfftn(x))
np.fft.irfftn(x); np.abs(np.fft.fft2(t)); np.abs(np.fft.ifft2(x)); np.abs(np.fft.rfft2(x))
np.fft.irfft2(x); np.fft.fftshift(x); np.fft.ifftshift(x, axes=1)
"""

# Results that are flat by their nature.
FLAT = """
np.sign(x); np.floor(x); np.ceil(x); np.trunc(x); np.rint(x); np.fix(x); np.round(x); np.around(x)
np.round(x, 2); np.modf(x)[1]; np.equal(x, y); np.not_equal(x, 1); np.less(x, y)
np.less_equal(x, r); np.greater(0, x); np.greater_equal(x, y); np.logical_and(x, b)
np.logical_or(x, 0); np.logical_xor(x, b); np.logical_not(x); np.isnan(z); np.isinf(x)
np.isfinite(z); np.signbit(x); np.floor_divide(x, p); np.divmod(x, p)[0]; np.heaviside(x, 0.5)
np.logical_and.reduce(x); np.logical_or.reduce(x, axis=None); np.less.outer(r, a)
np.all(x); np.all(x > 0, axis=0); np.any(x > 1, axis=1, keepdims=True); np.any(b, axis=())
np.all(k, axis=(0, 1)); np.count_nonzero(k); np.count_nonzero(x > 0, axis=1); np.argmax(x)
np.argmax(x, axis=1); np.argmax(x > 0, 0); np.argmin(x, axis=0, keepdims=True); np.argmin(x)
np.argsort(x); np.argsort(x, axis=0); np.argsort(x, axis=None); np.nonzero(k)
np.where(x > 0); np.flatnonzero(k); np.argwhere(k); np.nan_to_num(f) == 0.5; np.isclose(x, y)
np.isclose(x, x); np.allclose(x, x); np.allclose(x, y); np.allclose(x, x + 1, atol=2)
np.array_equal(x, x); np.array_equal(x, y); np.array_equal(x, r)
np.array_equal(z, z); np.array_equal(z, z, True)
np.isclose(z, z, equal_nan=True); np.shape(x); np.ndim(x); np.size(x); np.size(x, 1)
np.iscomplexobj(x); np.isrealobj(x); np.result_type(x, 1)
np.result_type(np.float32, x)
np.zeros_like(x); np.ones_like(x); np.zeros_like(x, dtype=np.int32); np.ones_like(x, shape=(2, 3))
np.full_like(x, 3); np.full_like(x, 2.5, dtype=np.int64); np.zeros_like(x, dtype="float32")
np.empty_like(x).shape; np.empty_like(x, shape=7).shape; np.imag(x); np.angle(x)
"""

# Of integers and bools alone.
WHOLE = """
np.sum(k); np.sum(b); np.sum(k, axis=0); np.sum(b, axis=1); np.prod(k, axis=1); np.max(k)
np.min(b, axis=0); np.cumsum(k); np.cumsum(b, axis=1); np.cumprod(k[0]); np.add.reduce(b)
np.bitwise_and(k, 3); np.bitwise_or(k, i); np.bitwise_xor(k, 1); np.invert(k); np.invert(b)
np.left_shift(k, 2); np.right_shift(k, 1); np.floor_divide(k, 3); np.remainder(k, 3); np.fmod(k, 3)
np.diff(b); np.sign(k); np.absolute(k); np.where(b, k, 0); np.ptp(k); np.add(k, b); np.dot(k, i)
np.bitwise_and.reduce(k, axis=1); np.bitwise_or.accumulate(k, axis=1); np.argmax(b); np.diff(k)
np.matmul(k, i); np.trace(k); np.add(k, [1, 2, 3, 4]); np.gcd(k, 6); np.lcm(k, 4)
"""

# Of integers: floats, of the default dtype.
FLOATED = """
np.mean(k); np.std(k); np.var(k, axis=0); np.sqrt(k + 6); np.exp(k); np.divide(k, i + 2)
np.hypot(k, i); np.logaddexp(k, 1); np.arctan2(k, 2); np.linalg.norm(k); np.average(k, weights=k)
np.heaviside(k, 1); np.trapezoid(k); np.cbrt(k); np.copysign(k, -1); np.linspace(k[0], k[1], 3)
np.deg2rad(k); np.fabs(k); np.angle(k); np.nanmean(k); np.vander(i)
np.linalg.cholesky(g); np.linalg.eigvalsh(g); np.linalg.eigh(g)[0]; np.linalg.inv(g)
np.linalg.solve(g, g[0]); np.fft.irfft(g)
"""

COMPLEX = """
np.real(w); np.imag(w); np.angle(w); np.angle(w, deg=True); np.conjugate(w); np.absolute(w)
np.sign(w); np.vdot(w, w * 2); np.vecdot(w, w); np.vecmat(w, np.eye(2)); np.iscomplexobj(w)
np.isrealobj(w); np.float_power(w, 2); np.array_equal(w, w); np.exp(w); np.linalg.vecdot(w, w + 1)
np.linalg.eig(w[:1, None])[0]; np.linalg.eigvals(w[:1, None]); np.fft.fft(w); np.fft.hfft(w)
"""
W = np.array([1.0 + 2.0j, -0.5 - 1.5j])


def programs(text: str) -> list[str]:
    return [p.strip() for line in text.strip().splitlines() for p in line.split(";") if p.strip()]


def run(program: str, values: dict[str, Any]) -> Any:
    return eval(program, {"np": np, "scipy": scipy, **values})


def named(program: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values that a program uses."""
    used = compile(program, "", "eval").co_names
    return {name: values[name] for name in used if name in values}


def leaves(result: Any) -> list[Any]:
    """The results in what a function returns."""
    return [leaf for item in result for leaf in leaves(item)] if isinstance(
        result, (tuple, list)) else [result]


def array(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def same(ours: Any, numpys: Any, rtol: float = 1e-12) -> None:
    mine, theirs = leaves(ours), leaves(numpys)
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        assert array(one).shape == np.shape(other)
        if isinstance(other, np.dtype):
            assert one == other
        else:
            np.testing.assert_allclose(array(one), other, rtol=rtol, atol=1e-14)


def recorded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: torch.tensor(v, requires_grad=True) for k, v in values.items()}


def weighted(result: Any) -> Any:
    """One number that all results are in, each element with a weight of its own."""
    parts = [(part * np.cos(1 + np.arange(array(part).size)).reshape(array(part).shape)).sum()
             for part in leaves(result)]
    return sum(parts[1:], parts[0])


def differences(program: str, values: dict[str, Any], name: str, h: float = 1e-6) -> np.ndarray:
    """Central differences of NumPy's own function."""
    found = np.zeros(values[name].shape)
    for at in np.ndindex(found.shape):
        ends = []
        for step in (h, -h):
            moved = values[name].copy()
            moved[at] += step
            ends.append(weighted(run(program, {**values, name: moved})))
        found[at] = (ends[0] - ends[1]) / (2 * h)
    return found


EVERYTHING = FLOATS | CONSTANTS


@pytest.mark.parametrize("program", programs(SMOOTH))
def test_values_and_gradients(program: str) -> None:
    floats = named(program, FLOATS)
    tensors = recorded(floats)
    result = run(program, EVERYTHING | tensors)
    assert all(isinstance(r, torch.Tensor) and r.dtype is torch.float64 for r in leaves(result))
    same(result, run(program, EVERYTHING))
    weighted(result).backward()
    for name, x in tensors.items():
        expected = differences(program, EVERYTHING, name)
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("program", [p for p in programs(SMOOTH) if len(named(p, FLOATS)) > 1])
def test_arrays_beside_tensors(program: str) -> None:
    """One operand a tensor, the others arrays: the same gradient as among tensors."""
    tensors = recorded(named(program, FLOATS))
    weighted(run(program, EVERYTHING | tensors)).backward()
    for name, x in tensors.items():
        alone = recorded({name: FLOATS[name]})
        weighted(run(program, EVERYTHING | alone)).backward()
        np.testing.assert_allclose(alone[name].grad.numpy(), x.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("program", programs(FLAT))
def test_flat(program: str) -> None:
    """NumPy's values as tensors (or plain answers); what has no slope claims none."""
    tensors = recorded(named(program, FLOATS))
    constants = {k: torch.tensor(v) for k, v in CONSTANTS.items()}
    result = run(program, tensors | constants)
    same(result, run(program, EVERYTHING))
    for leaf in leaves(result):
        assert not isinstance(leaf, (np.ndarray, np.generic))
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad:
            assert_flat_or_refused(leaf, tensors)


def assert_flat_or_refused(result: Any, tensors: dict[str, Any]) -> None:
    try:
        grads = torch.autograd.grad(result.sum(), list(tensors.values()), allow_unused=True)
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        return
    assert all(g is None or not g.numpy().any() for g in grads)


@pytest.mark.parametrize("program", programs(WHOLE))
def test_integers(program: str) -> None:
    result = run(program, {k: torch.tensor(v) for k, v in CONSTANTS.items()})
    assert isinstance(result, torch.Tensor)
    expected = run(program, CONSTANTS)
    same(result, expected)
    assert result.dtype.numpy == np.asarray(expected).dtype


@pytest.mark.parametrize("program", programs(FLOATED))
def test_integers_become_floats(program: str) -> None:
    result = run(program, {k: torch.tensor(v) for k, v in CONSTANTS.items()})
    assert result.dtype is torch.float32
    same(result.double(), run(program, CONSTANTS), rtol=2e-6)


@pytest.mark.parametrize("program", programs(COMPLEX))
def test_complex(program: str) -> None:
    same(run(program, {"w": torch.tensor(W)}), run(program, {"w": W}))


def test_every_entry_is_tested() -> None:
    """No function is in a table without a program above."""
    called: set[Any] = set()

    class Listening(np.ndarray):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
            called.add(ufunc)
            plain = [np.asarray(x) for x in inputs]
            return getattr(ufunc, method)(*plain, **kwargs)

        def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
            called.add(function)
            return super().__array_function__(function, types, args, kwargs)

    values = {k: v.view(Listening) for k, v in EVERYTHING.items()} | {"w": W.view(Listening)}
    for text in (SMOOTH, FLAT, WHOLE, FLOATED, COMPLEX):
        for program in programs(text):
            run(program, values)
    untested = ({*_functions(), *ufuncs.table()} - called) - {np.copyto}  # below
    assert not untested


# --- operators --------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow",
                                    "matmul", "eq", "ne", "lt", "le", "gt", "ge"])
def test_operators_of_an_array_and_a_tensor(symbol: str) -> None:
    apply, left = getattr(operator, symbol), FLOATS["v"]
    right = torch.tensor(FLOATS["v"][::-1].copy(), requires_grad=True)
    for pair in ((left, right), (right, left)):
        result = apply(*pair)
        assert isinstance(result, torch.Tensor)
        same(result, apply(*map(array, pair)))
        assert result.requires_grad == (result.dtype is torch.float64)


@pytest.mark.parametrize("symbol", ["and_", "or_", "xor", "lshift", "rshift"])
def test_operators_of_integers(symbol: str) -> None:
    apply, left, right = getattr(operator, symbol), np.array([5, 6]), torch.tensor([1, 3])
    same(apply(left, right), apply(left, array(right)))
    assert isinstance(apply(left, right), torch.Tensor)


def test_divmod_and_numbers() -> None:
    x = torch.tensor([5.5, -3.0])
    same(divmod(np.array([7.0, 8.0]), x), divmod(np.array([7.0, 8.0]), x.numpy()))
    assert (np.float64(2) * x).dtype is torch.float32  # a number is no array
    assert (np.ones(2) * x).dtype is torch.float64  # an array counts as a tensor
    assert (np.asarray(2.0) * x).dtype is torch.float32  # as a 0-d tensor does
    assert np.concatenate([x, np.ones(1)]).dtype is torch.float64
    assert (np.ones((1, 2)) @ x).dtype is torch.float64


def test_lists_that_hold_tensors_keep_gradients() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    np.multiply([x, x * x], torch.tensor([3.0, 5.0])).sum().backward()
    assert x.grad.item() == 3 + 5 * 4
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        np.sum([x, x])  # where NumPy does not look into lists itself


def test_a_fill_value_keeps_its_gradient() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    filled = np.full_like(torch.zeros(3), x)
    filled.sum().backward()
    assert filled.tolist() == [2, 2, 2] and x.grad.item() == 3
    with pytest.raises((TypeError, RuntimeError)):
        np.full(3, x)
    with pytest.raises(TypeError, match="copyto"):
        np.full_like(np.zeros(3), x)


def test_second_derivatives() -> None:
    x = torch.tensor([0.3, 0.7], requires_grad=True)
    (slope,) = torch.autograd.grad(np.sum(np.sin(x) * np.ones(2)), x, create_graph=True)
    (again,) = torch.autograd.grad(np.sum(slope), x)
    np.testing.assert_allclose(again.numpy(), -np.sin([0.3, 0.7]), rtol=1e-6)


# --- out= -------------------------------------------------------------------------------------


def test_out_tensor_is_written_in_place() -> None:
    x, out = torch.ones(2, requires_grad=True), torch.zeros(2)
    before = out._version
    assert np.multiply(x, 3.0, out=out) is out
    assert out.tolist() == [3, 3] and out._version == before + 1
    out.sum().backward()
    assert x.grad.tolist() == [3, 3]
    total = torch.zeros(())
    assert np.sum(x, out=total) is total and total.item() == 2 and total.requires_grad
    parts = torch.zeros(2), torch.zeros(2)
    found = np.modf(torch.tensor([1.5, -2.25]), out=parts)
    assert found[0] is parts[0] and found[1] is parts[1]
    assert [p.tolist() for p in parts] == [[0.5, -0.25], [1, -2]]


def test_out_tensor_of_arrays_alone() -> None:
    out = torch.zeros(2)
    assert np.add(np.ones(2), np.ones(2), out=out) is out and out.tolist() == [2, 2]
    out += 1
    assert np.concatenate([np.ones(1), np.ones(1)], out=out) is out and out.tolist() == [1, 1]


def test_what_was_saved_before_a_write_is_noticed() -> None:
    x, out = torch.ones(2, requires_grad=True), torch.full((2,), 2.0)
    product = x * out
    np.add(np.ones(2), np.ones(2), out=out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


@pytest.mark.parametrize("call", [
    lambda x: np.add(x, 1, out=torch.zeros(3)),
    lambda x: np.add(x, 1, out=torch.zeros(2, dtype=torch.int64)),
    lambda x: np.add(x, 1, out=x),  # a leaf
    lambda x: np.sum(x, out=torch.zeros(2)),
])
def test_out_that_does_not_fit(call: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError):
        call(x)
    assert x.tolist() == [1, 1]


def test_out_array() -> None:
    room, x = np.zeros(2), torch.ones(2, requires_grad=True)
    for call in (lambda: np.add(x, 1, out=room), lambda: np.sum(x, axis=0, out=room[0:1][0:1]),
                 lambda: operator.iadd(room, x), lambda: np.copyto(room, x)):
        with pytest.raises(TypeError, match="not supported on wengert tensors"):
            call()
    assert room.tolist() == [0, 0]
    assert np.add(x.detach(), 1, out=room) is room and room.tolist() == [2, 2]
    room += x.detach()
    np.copyto(room[:1], x.detach()[:1])
    assert room.tolist() == [1, 3]


def test_copyto() -> None:
    x, room = torch.tensor([1.0, 2.0], requires_grad=True), torch.zeros(2)
    np.copyto(room, x * 2)
    (room * room).sum().backward()
    assert room.tolist() == [2, 4] and x.grad.tolist() == [8, 16]


# --- what is not supported --------------------------------------------------------------------

# What the error calls it: `numpy.` and the program's words, where nothing is said.
UNSUPPORTED = {
    "np.median(x)": "", "np.linalg.lstsq(x, x)": "", "np.interp(r, a, v)": "",
    "np.linalg.svd(m, hermitian=True)": "with hermitian=",
    "np.spacing(x)": "", "np.add.reduceat(x, [0, 1])": "",
    "np.add.at(x, 0, 1)": "", "np.add.at(m, 0, r)": "", "np.save('/nowhere', x)": "",
    "np.put(x, 0, 1)": "", "np.apply_along_axis(sum, 0, x)": "", "scipy.special.gamma(x)": "",
    "np.asarray(np.ones(2), like=x)": "", "np.linalg.norm(x, 'nuc')": "with ord='nuc'",
    "np.sum(x, initial=1.0)": "with initial=", "np.sum(x, where=b)": "with where=",
    "np.add(x, y, where=b)": "with where=", "np.add(x, y, dtype=np.float32)": "with dtype=",
    "np.add.reduce(x, where=b)": "with where=", "np.maximum.reduce(x, initial=3)": "with initial=",
    "np.reshape(x, (4, 3), order='F')": "with order=", "np.ravel(x, 'K')": "with order=",
    "np.take(x, i, mode='wrap')": "with mode=", "np.average(x, returned=True)": "with returned=",
    "np.concatenate([x, y], casting='unsafe')": "with casting=",
    "np.diff(x, prepend=0)": "with prepend", "np.einsum(x, [0, 1], [0])": "with lists of axes",
    "np.pad(x, 1, mode='edge')": "but with one constant",
    "np.subtract.reduce(x, axis=(0, 1))": "over several axes",
}


@pytest.mark.parametrize("program", UNSUPPORTED)
def test_unsupported_raises_by_name(program: str) -> None:
    tensors = recorded(named(program, FLOATS))
    with pytest.raises(TypeError) as caught:
        run(program, EVERYTHING | tensors)
    name = program.partition("(")[0].replace("np.", "numpy.").replace("scipy.special.", "")
    says = f"{name} {UNSUPPORTED[program]}".strip()
    assert says in str(caught.value) and "x.detach().numpy()" in str(caught.value)


REFUSED_BY_NUMPY = ("save", ".at(", "np.put", "np.add(x, y, where", "subtract")
NO_LOSS = [p for p in UNSUPPORTED if not any(word in p for word in REFUSED_BY_NUMPY)]


@pytest.mark.parametrize("program", NO_LOSS)
def test_unsupported_of_plain_tensors_is_numpys(program: str) -> None:
    plain = {k: torch.tensor(v) for k, v in named(program, FLOATS).items()}
    result, expected = run(program, EVERYTHING | plain), run(program, EVERYTHING)
    assert all(isinstance(r, (np.ndarray, np.generic)) for r in leaves(result))
    same(tuple(leaves(result)), tuple(leaves(expected)))


@pytest.mark.parametrize("write", [
    lambda x: np.put(x, 0, 1), lambda x: np.add.at(x, [0], 1),
    lambda x: np.add.at(x[0], [0], 1),  # NumPy writes into read-only vectors here
    lambda x: np.fill_diagonal(x, 7),
    lambda x: np.place(x, np.ones((2, 2), bool), 5), lambda x: np.copyto(x, 1.0, where=False),
    lambda x: np.median(np.ones((2, 2, 2)), axis=0, out=x)])
def test_numpy_may_not_write_into_tensors(write: Any) -> None:
    """Such a write would not be counted, and backward not notice it."""
    x = torch.zeros(2, 2)
    with pytest.raises(TypeError, match="not supported on wengert tensors"):
        write(x)
    assert not x.numpy().any()


def everything_in(module: Any) -> Iterator[tuple[str, Any]]:
    """What a module of NumPy's kind has that follows the protocols."""
    for name in dir(module):
        function = getattr(module, name)
        if isinstance(function, np.ufunc):
            yield name, function
            for method in ("reduce", "accumulate", "outer", "reduceat"):
                yield f"{name}.{method}", getattr(function, method)
        elif hasattr(function, "_implementation"):
            yield name, function


PLAIN_ANSWERS = (bool, int, tuple, type(None), np.dtype)
CONSTANT = {"zeros_like", "ones_like", "empty_like", "imag"}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("module", [np, np.linalg, np.fft, scipy.special])
def test_nothing_is_detached_in_silence(module: Any, count: int) -> None:
    """Whatever NumPy has, called with tensors that require grad: a tensor, a refusal, or an
    answer that is no array."""
    x = torch.tensor([[0.3, 0.4], [0.6, 0.8]], dtype=torch.float64, requires_grad=True)
    answered = 0
    for name, function in everything_in(module):
        try:
            result = function(*[x] * count)
        except Exception:
            continue
        answered += 1
        for leaf in leaves(result):
            assert isinstance(leaf, (torch.Tensor, *PLAIN_ANSWERS)), name
            if isinstance(leaf, torch.Tensor) and leaf.dtype.differentiable:
                assert leaf.requires_grad or name in CONSTANT, name
    assert answered > (50 if module is np and count < 3 else -1)


def test_arrays_of_tensors_that_require_grad_still_raise() -> None:
    x = torch.ones(2, requires_grad=True)
    for call in (np.asarray, np.array, lambda x: np.array([x, x]), lambda x: np.sin([x, x])):
        with pytest.raises(RuntimeError, match="Can't call numpy"):
            call(x)
    with pytest.raises(TypeError):
        np.median(x)
    with torch.no_grad():
        assert type(np.asarray(x)) is type(np.sinc(x)) is np.ndarray


def test_strangers_have_their_turn() -> None:
    class Stranger:
        def __array_ufunc__(self, *_: Any, **__: Any) -> str:
            return "theirs"

        def __array_function__(self, *_: Any, **__: Any) -> str:
            return "theirs"

    x = torch.ones(2, requires_grad=True)
    assert np.add(x, Stranger()) == np.concatenate([x, Stranger()]) == "theirs"
    with pytest.raises(TypeError):
        np.add(x, "text")


def test_numpys_refusals() -> None:
    """Where PyTorch would take it and NumPy does not."""
    with pytest.raises(ValueError, match="size not equal to one"):
        np.squeeze(torch.ones(2, 3), axis=0)
    with pytest.raises(ValueError, match="equal division"):
        np.split(torch.ones(3), 2)
    with pytest.raises(TypeError, match="indices must be integers"):
        np.take(torch.ones(3), [True, False, True])
    with pytest.raises(TypeError):
        np.sum(torch.ones(3), nonsense=1)


def test_size_of_several_axes() -> None:
    assert np.size(torch.ones(2, 3, 4), (0, 2)) == 8  # NumPy 2.3 has one axis only


def test_copies_are_copies() -> None:
    x = torch.ones(2)
    for copied in (np.copy(x), np.positive(x), np.conjugate(x), np.astype(x, np.float32)):
        copied += 1
    assert x.tolist() == [1, 1]


# --- transforms -------------------------------------------------------------------------------


class Through(Level):
    """A transform that only passes operations on, and keeps their results at its level."""

    def interpret(self, primitive: Any, operands: Any, params: Any) -> Any:
        below = [o.value if isinstance(o, Handle) and o.aval.level is self else o
                 for o in operands]
        result = primitive(*below, **params)
        return lifted(result, self)


def lifted(x: Any, level: Level) -> Any:
    return wrap(x, aval(tuple(x.aval.shape), x.aval.dtype, level))


def test_inside_a_transform_nothing_leaves_it() -> None:
    plain = torch.tensor(FLOATS["x"])
    with entered(Through()) as level:
        x = lifted(plain, level)
        for result in (np.sin(x), np.add(FLOATS["r"], x), FLOATS["r"] * x, np.sum(x, axis=0),
                       np.linalg.norm(x, axis=1), np.hypot(x, 1), np.where(x > 0, x, 0),
                       np.std(x), np.maximum(0, x)):
            assert result.aval.level is level
        for refused in (np.median, np.spacing, np.sinc):
            with pytest.raises(TypeError, match="transform"):
                refused(x)
        with pytest.raises(TypeError, match="transform"):
            np.add(x, 1, out=np.zeros((3, 4)))
        with pytest.raises(TypeError, match="transform"):  # even with an array for its value
            np.median(wrap(FLOATS["x"], x.aval))


# --- cost -------------------------------------------------------------------------------------


def test_tables_are_made_when_first_needed() -> None:
    script = ("import sys, wengert\n"
              "tables = {f'wengert.ops.numpy_protocol.{n}' for n in "
              "('ufuncs', 'reductions', 'products', 'elements', 'arrangement')}\n"
              "assert not tables & sys.modules.keys()\n"
              "import numpy; numpy.sum(wengert.ones(2))\n"
              "assert tables - {'wengert.ops.numpy_protocol.ufuncs'} <= sys.modules.keys()\n")
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("call", [np.sort, np.argsort, np.diff, lambda x: np.split(x, 1)])
def test_nothing_goes_along_a_tensor_without_dimensions(call: Any) -> None:
    with pytest.raises(np.exceptions.AxisError, match="out of bounds for array of dimension 0"):
        call(torch.tensor(1.0))
