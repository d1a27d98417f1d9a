"""What `gradcheck` compares: numerical and analytical derivatives of one function at one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import dtypes
from ..core.handle import Handle, wrap
from ..func.batching import vmap
from ..func.forward import jvp
from ..ops.joining import stack
from ..ops.random import Generator, randn
from .differentiate import grad
from .mismatch import Place, agree, message, worst_first

DOUBLE = (dtypes.float64, dtypes.complex128)
SEED = 0x5EED


class GradcheckError(RuntimeError):
    """Derivatives are not what they should be; the message says which, where and by how much."""


class Options(NamedTuple):
    """What `gradcheck` was asked to check, and how strictly."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    undefined_grad: bool
    grad_dtypes: bool
    batched_grad: bool
    batched_forward_grad: bool
    forward_ad: bool
    backward_ad: bool
    fast: bool


class _Face(NamedTuple):
    """A real output, or the real or the imaginary part of a complex one.

    Attributes:
        i: the output's position.
        tensor: what to differentiate.
        part: takes it from an array.
        prefix: how the message begins.
    """

    i: int
    tensor: Any
    part: Callable[[np.ndarray], np.ndarray]
    prefix: str = ""


def _faces(outputs: Sequence[tuple[int, Any]]) -> Iterator[_Face]:
    """What is to be checked: first all imaginary parts, then all real ones, real outputs too."""
    said = "While considering the {} part of complex outputs only, "
    for i, y in outputs:
        if y.is_complex():
            yield _Face(i, y.imag, np.imag, said.format("imaginary"))
    for i, y in outputs:
        if y.is_complex():
            yield _Face(i, y.real, np.real, said.format("real"))
        else:
            yield _Face(i, y, np.real)


class Check:
    """One run of `gradcheck`.

    Attributes:
        asking: the inputs that require grad, with their positions.
        outputs: all outputs of a first run.
        differentiable: those that require grad, with their positions.
        inputs_of_gradient: for gradgradcheck, how many inputs come before the cotangents.
        lifted: the function as forward mode is to run it.
    """

    def __init__(self, func: Callable[..., Any], inputs: tuple[Any, ...], options: Options,
                 inputs_of_gradient: int | None = None,
                 lifted: Callable[..., Any] | None = None) -> None:
        self.func, self.inputs, self.options = func, inputs, options
        self.inputs_of_gradient, self.lifted = inputs_of_gradient, lifted or func
        self.asking = requiring_grad(inputs)
        self.generator = Generator().manual_seed(SEED)
        self.outputs: tuple[Any, ...] = ()
        self.differentiable: list[tuple[int, Any]] = []

    def run(self) -> None:
        self.outputs = outputs_of(self.func, self.inputs)
        self.differentiable = [(i, y) for i, y in enumerate(self.outputs) if y.requires_grad]
        if not self.differentiable:
            self._constant()
            return
        check = self._fast if self.options.fast else self._slow
        check()
        if self.options.batched_forward_grad:
            self._batched_forward()
        if self.options.backward_ad:
            if self.options.batched_grad:
                self._batched()
            if self.options.undefined_grad:
                self._undefined()

    # --- numerically --------------------------------------------------------------------------

    def values(self) -> list[np.ndarray]:
        """The outputs now, flat and in double precision; integers have no derivatives."""
        return [_flat(y) for y in outputs_of(self.func, self.inputs)]

    def moved(self, j: int, step: Any, at: Any = ...) -> list[np.ndarray]:
        """The outputs with input j (or an entry of it) moved; it is put back, to the bit."""
        array = self.inputs[j].value
        before = array[at].copy()
        try:
            array[at] = before + step
            return self.values()
        finally:
            array[at] = before

    def slope(self, j: int, direction: Any, at: Any = ...) -> list[np.ndarray]:
        """The derivatives of the outputs as input j moves in a direction."""
        step = self.options.eps * direction
        ahead, behind = self.moved(j, step, at), self.moved(j, -step, at)
        return [(a - b) / (2 * self.options.eps) for a, b in zip(ahead, behind, strict=True)]

    def slopes(self, j: int, direction: Any) -> list[np.ndarray]:
        """For each output, the derivatives in a direction of each entry of input j, in turn."""
        shape = self.inputs[j].shape
        rows = [self.slope(j, direction, at) for at in np.ndindex(*shape)]
        if not rows:
            return [np.zeros((0, y.numel())) for y in self.outputs]
        return [np.stack(column) for column in zip(*rows, strict=True)]

    def numerical(self, j: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """For each output, its derivatives along the real and, if there is one, imaginary axis."""
        real = self.slopes(j, 1)
        imaginary = self.slopes(j, 1j) if self.inputs[j].is_complex() else [None] * len(real)
        return list(zip(real, imaginary, strict=True))

    def _constant(self) -> None:
        """No output requires grad, so none may depend on an input."""
        for j, _ in self.asking:
            for i, derivatives in enumerate(self.numerical(j)):
                for d in derivatives:
                    if d is not None and not (d == 0).all():
                        raise GradcheckError(
                            "Numerical gradient for function expected to be zero: no output "
                            f"requires grad, but output {i} depends on input {j}, by a derivative "
                            f"of up to {np.abs(d).max():.6g}.\nHint: the output is cut off from "
                            "the input (detach(), .data, item(), no_grad, NumPy).")

    # --- entry by entry -----------------------------------------------------------------------

    def _slow(self) -> None:
        numerical = {j: self.numerical(j) for j, _ in self.asking}
        if self.options.backward_ad:
            for face in _faces(self.differentiable):
                self._slow_face(face, numerical)
        if self.options.forward_ad:
            self._slow_forward(numerical)

    def _slow_face(self, face: _Face, numerical: dict[int, Any]) -> None:
        analytical, again = self.jacobians(face), self.jacobians(face)
        for (j, _), a in zip(self.asking, analytical, strict=True):
            n = _gradient(face, numerical[j][face.i])
            near = agree(a, n, self.options.rtol, self.options.atol)
            if not near.all():
                raise GradcheckError(self.told(face, j, a, n, near))
        self._same_again(zip(analytical, again, strict=True))

    def jacobians(self, face: _Face) -> list[np.ndarray]:
        """For each input that asks: a row per entry of it, a column per entry of the output."""
        columns = [self.pulled(face, _unit(face.tensor, k)) for k in range(face.tensor.numel())]
        if not columns:
            return [np.zeros((x.numel(), 0)) for _, x in self.asking]
        return [np.stack(column, -1) for column in zip(*columns, strict=True)]

    def pulled(self, face: _Face, cotangent: Any) -> list[np.ndarray]:
        """The gradients for a cotangent, flat; zeros for inputs without influence."""
        found = grad(face.tensor, [x for _, x in self.asking], cotangent, retain_graph=True,
                     allow_unused=True)
        for (j, x), g in zip(self.asking, found, strict=True):
            self._check_gradient(face.i, j, x, g)
        return [np.zeros(x.numel()) if g is None else _flat(g)
                for (_, x), g in zip(self.asking, found, strict=True)]

    def _check_gradient(self, i: int, j: int, x: Any, g: Any) -> None:
        if g is None:
            return
        if g.shape != x.shape:
            raise GradcheckError(f"Analytical gradient has incorrect size: that of output {i} with "
                                 f"respect to input {j} has {list(g.shape)}, not {list(x.shape)}.")
        if self.options.grad_dtypes and g.dtype is not x.dtype:
            raise GradcheckError(f"Gradient has dtype mismatch: that of output {i} with respect to "
                                 f"input {j} has {g.dtype}, not {x.dtype}.")

    def _same_again(self, pairs: Any) -> None:
        off = max((float(np.abs(a - b).max()) for a, b in pairs if np.size(a)), default=0.0)
        if not off <= self.options.nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output "
                "multiple times gives different values, although analytical gradient matches "
                f"numerical gradient. The tolerance for nondeterminism was "
                f"{self.options.nondet_tol}, the difference {off:.3g}.\nHint: a backward uses "
                "random numbers or keeps a state; allow for it with nondet_tol=.")

    # --- forward mode -------------------------------------------------------------------------

    def pushed(self, j: int, tangent: Any) -> tuple[Any, ...]:
        """The tangents of all outputs for a tangent of input j."""
        places = [k for k, _ in self.asking]
        primals = tuple(x.detach() for _, x in self.asking)
        tangents = tuple(tangent if k == j else wrap(np.zeros(x.shape, x.dtype.numpy))
                         for k, x in self.asking)

        def func(*asking: Any) -> tuple[Any, ...]:
            return outputs_of(self.lifted, replaced(self.inputs, places, asking))

        return jvp(func, primals, tangents)[1]

    def _slow_forward(self, numerical: dict[int, Any]) -> None:
        for j, x in self.asking:
            if x.is_complex():
                said = "While considering the {} part of complex inputs only, "
                self._columns(j, 1j, [n for _, n in numerical[j]], said.format("imaginary"))
                self._columns(j, 1, [n for n, _ in numerical[j]], said.format("real"))
            else:
                self._columns(j, 1, [n for n, _ in numerical[j]])

    def _columns(self, j: int, direction: complex, numerical: Sequence[np.ndarray],
                 prefix: str = "", fast: str = "") -> None:
        """Checks the derivatives in a direction of each entry of input j."""
        x = self.inputs[j]
        rows = [[_flat(t) for t in self.pushed(j, _unit(x, k, direction))]
                for k in range(x.numel())]
        for i, _ in self.differentiable:
            n = numerical[i]
            a = np.stack([row[i] for row in rows]) if rows else np.zeros_like(n)
            near = agree(a, n, self.options.rtol, self.options.atol)
            if not near.all():
                face = _Face(i, None, np.asarray, prefix)
                raise GradcheckError(self.told(face, j, a, n, near, fast, forward=True))

    def _fast_forward(self, directions: dict[int, Any], slopes: dict[int, Any]) -> None:
        for j, x in self.asking:
            v = directions[j]
            tangents = self.pushed(j, wrap(v.reshape(x.shape).astype(x.dtype.numpy)))
            for i, _ in self.differentiable:
                a, n = _flat(tangents[i]), slopes[j][i]
                atol = self.options.atol * _sum_of_sizes(v)
                if not agree(a, n, self.options.rtol, atol).all():
                    self._slow_forward({k: self.numerical(k) for k, _ in self.asking})
                    raise GradcheckError(
                        f"Jacobian computed with forward mode mismatch for output {i} with respect "
                        f"to input {j},\nin fast mode, by up to {np.abs(a - n).max():.3g} for a "
                        "random tangent. Entry by entry they agree within the tolerances.")

    def _batched_forward(self) -> None:
        """A batch of tangents must give what they give one by one."""
        for j, x in self.asking:
            tangents = [randn(x.shape, dtype=x.dtype, generator=self.generator) for _ in range(3)]
            try:
                found = vmap(lambda t, j=j: self.pushed(j, t))(stack(tangents))
            except Exception as error:
                raise GradcheckError(
                    f"While computing batched gradients, got: {error}\nHint: func does what has no "
                    "batched form, or looks at numbers.") from error
            singly = [self.pushed(j, t) for t in tangents]
            for i, _ in self.differentiable:
                self._compare_batch(i, j, found[i], [each[i] for each in singly])

    # --- by random projections ----------------------------------------------------------------

    def _fast(self) -> None:
        directions = {j: self.random(x) for j, x in self.asking}
        slopes = {j: self.slope(j, v.reshape(self.inputs[j].shape))
                  for j, v in directions.items()}
        if self.options.backward_ad:
            for face in _faces(self.differentiable):
                self._fast_face(face, directions, slopes)
        if self.options.forward_ad:
            self._fast_forward(directions, slopes)

    def _fast_face(self, face: _Face, directions: dict[int, Any], slopes: dict[int, Any]) -> None:
        u = self.random(face.tensor)
        cotangent = wrap(u.reshape(face.tensor.shape).astype(face.tensor.dtype.numpy))
        analytical, again = self.pulled(face, cotangent), self.pulled(face, cotangent)
        for (j, _), g in zip(self.asking, analytical, strict=True):
            v = directions[j]
            a, n = np.real(np.vdot(g, v)), u @ face.part(slopes[j][face.i])
            atol = self.options.atol * _sum_of_sizes(u) * _sum_of_sizes(v)
            if not agree(a, n, self.options.rtol, atol):
                self._after_fast(face, j, a, n)
        self._same_again(zip(analytical, again, strict=True))

    def _after_fast(self, face: _Face, j: int, a: float, n: float) -> None:
        """Fast mode saw a difference: the whole Jacobians tell where."""
        seen = (f"in fast mode, for random u and v, u^T J v is numerically {n:.6g}, analytically "
                f"{a:.6g}.")
        at = [k for k, _ in self.asking].index(j)
        analytical = self.jacobians(face)[at]
        numerical = _gradient(face, self.numerical(j)[face.i])
        near = agree(analytical, numerical, self.options.rtol, self.options.atol)
        raise GradcheckError(self.told(face, j, analytical, numerical, near, seen))

    def random(self, like: Any) -> np.ndarray:
        """A random direction, flat, of length 1."""
        kind = dtypes.complex128 if like.is_complex() else dtypes.float64
        found: np.ndarray = randn((like.numel(),), dtype=kind, generator=self.generator).value
        return found / np.linalg.norm(found) if found.size else found

    # --- other ways through -------------------------------------------------------------------

    def _batched(self) -> None:
        """A batch of cotangents must give what they give one by one."""
        xs = [x for _, x in self.asking]
        for i, y in self.differentiable:
            seeds = [randn(y.shape, dtype=y.dtype, generator=self.generator) for _ in range(3)]
            try:
                found = vmap(lambda g, y=y: grad(y, xs, g, create_graph=True,
                                                 materialize_grads=True))(stack(seeds))
            except Exception as error:
                raise GradcheckError(
                    f"While computing batched gradients, got: {error}\nHint: a backward does what "
                    "has no batched form, or looks at numbers.") from error
            singly = [grad(y, xs, g, retain_graph=True, materialize_grads=True) for g in seeds]
            for (j, _), batch, *each in zip(self.asking, found, *singly, strict=True):
                self._compare_batch(i, j, batch, each)

    def _compare_batch(self, i: int, j: int, batch: Any, each: Sequence[Any]) -> None:
        for k, g in enumerate(each):
            got, expected = _flat(batch.detach()[k]), _flat(g)
            if not agree(got, expected, self.options.rtol, self.options.atol).all():
                raise GradcheckError(
                    f"Batched gradients of output {i} with respect to input {j} differ from those "
                    f"one by one, by up to {np.abs(got - expected).max():.3g} for number {k} of "
                    f"{len(each)}.\nHint: something mixes the examples of a batch.")

    def _undefined(self) -> None:
        """Zero cotangents, and cotangents that are missing, must give zero gradients."""
        self._zero_for([y for _, y in self.differentiable], "all output grads are")
        for i, _ in self.differentiable if len(self.differentiable) > 1 else ():
            rest = [(k, y) for k, y in enumerate(outputs_of(self.func, self.inputs))
                    if y.requires_grad and k != i]
            self._zero_for([y for _, y in rest], f"output {i}'s grad is undefined, all others")

    def _zero_for(self, outputs: Sequence[Any], when: str) -> None:
        zeros = [wrap(np.zeros(y.shape, y.dtype.numpy)) for y in outputs]
        try:
            found = grad(outputs, [x for _, x in self.asking], zeros, retain_graph=True,
                         allow_unused=True)
        except Exception as error:
            raise GradcheckError("Expected backward function to handle undefined output grads. It "
                                 f"raised {type(error).__name__}: {error}") from error
        for (j, _), g in zip(self.asking, found, strict=True):
            if g is not None and not (g.value == 0).all():
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are "
                    f"undefined or zero. That of input {j} is not, when {when} zero.\nHint: a "
                    "backward is not linear in what it is given, or it makes inf or NaN.")

    # --- what is said -------------------------------------------------------------------------

    def told(self, face: _Face, j: int, a: np.ndarray, n: np.ndarray, near: np.ndarray,
             fast: str = "", forward: bool = False) -> str:
        """The message for Jacobians that differ."""
        y, x = self.outputs[face.i], self.inputs[j]
        place = Place(face.i, j, tuple(y.shape), tuple(x.shape), face.prefix, forward,
                      self._labels(face.i, j))
        return message(place, a, n, near, self._hints(face, j, a, n, near), fast)

    def _labels(self, i: int, j: int) -> str:
        count = self.inputs_of_gradient
        if count is None:
            return ""
        wanted = requiring_grad(self.inputs[:count])
        what = (f"input {j} of func" if j < count else
                f"the cotangent of differentiable output {j - count} of func")
        return (f"Here output {i} is the gradient with respect to input {wanted[i][0]} of func, "
                f"and input {j} is {what}.")

    def _hints(self, face: _Face, j: int, a: np.ndarray, n: np.ndarray,
               near: np.ndarray) -> list[str]:
        """What a few more runs of the function tell."""
        here, again = self.values(), self.values()
        if any(not np.array_equal(p, q, equal_nan=True) for p, q in zip(here, again, strict=True)):
            return ["func does not give the same for the same inputs; finite differences need "
                    "that (random numbers, dropout, a state?)."]
        if noise := self._noise(face, j):
            if np.abs(a - n).max() <= 4 * noise:
                return [f"differences of up to {noise:.2g} are rounding errors of func over eps, "
                        "as it computes in less than double precision. Use float64."]
            return []
        if not near.all() and self._kink(face, j, a, n, face.part(here[face.i])):
            return ["the slopes to the left and to the right of the worst entry differ: func has a "
                    "kink or a jump there. Choose inputs further from it."]
        return []

    def _noise(self, face: _Face, j: int) -> float:
        """How large rounding errors of differences may be; 0 in double precision."""
        value = face.part(self.moved(j, self.options.eps)[face.i])
        size = float(np.abs(value).max(initial=0.0))
        kinds = [t.dtype.numpy for t in (self.outputs[face.i], self.inputs[j])
                 if t.dtype not in DOUBLE]
        single = np.dtype(np.complex64 if np.iscomplexobj(value) else np.float32)
        if not kinds and np.array_equal(value, value.astype(single)):  # inside func, then
            kinds = [single]
        return max((float(np.finfo(k).eps) for k in kinds), default=0.0) * size / self.options.eps

    def _kink(self, face: _Face, j: int, a: np.ndarray, n: np.ndarray, here: np.ndarray) -> bool:
        """Whether one-sided slopes at the worst entry differ much."""
        row, column = np.unravel_index(worst_first(a.ravel(), n.ravel())[0], a.shape)
        at = np.unravel_index(row, self.inputs[j].shape)
        eps = self.options.eps
        sides = [(face.part(self.moved(j, step, at)[face.i])[column] - here[column]) / step
                 for step in (eps, -eps)]
        apart = abs(sides[0] - sides[1])
        return bool(apart > 1e-3 + 0.01 * max(map(abs, sides)))


# --- arrays -----------------------------------------------------------------------------------


def _flat(y: Any) -> np.ndarray:
    """A tensor's numbers, flat, copied, in double precision (integers count as constant)."""
    if not y.dtype.differentiable:
        return np.zeros(y.numel())
    return np.array(y.value, np.complex128 if y.is_complex() else np.float64).reshape(-1)


def _unit(y: Any, k: int, value: complex = 1) -> Any:
    """The cotangent that picks the k-th entry."""
    array = np.zeros(y.shape, y.dtype.numpy)
    array.reshape(-1)[k] = value
    return wrap(array)


def _gradient(face: _Face, derivatives: tuple[np.ndarray, np.ndarray | None]) -> np.ndarray:
    """What the gradient of an output's part must be, by its derivatives along both axes."""
    real, imaginary = derivatives
    found = face.part(real)
    return found if imaginary is None else found + 1j * face.part(imaginary)


def _sum_of_sizes(v: np.ndarray) -> float:
    return float(np.abs(v.real).sum() + (np.abs(v.imag).sum() if np.iscomplexobj(v) else 0))


# --- functions of several things --------------------------------------------------------------


def several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def requiring_grad(inputs: Sequence[Any]) -> list[tuple[int, Any]]:
    """The inputs that require grad, and their positions."""
    return [(j, x) for j, x in enumerate(inputs) if isinstance(x, Handle)
            and x.requires_grad]  # type: ignore[attr-defined]


def outputs_of(func: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Any, ...]:
    found = several(func(*inputs))
    for i, y in enumerate(found):
        if not isinstance(y, Handle):
            raise TypeError("gradcheck expects func to return tensors, but output "
                            f"{i} has type {type(y).__name__}")
    return found


def replaced(args: Sequence[Any], places: Sequence[int], new: Sequence[Any]) -> tuple[Any, ...]:
    out = list(args)
    for j, x in zip(places, new, strict=True):
        out[j] = x
    return tuple(out)
