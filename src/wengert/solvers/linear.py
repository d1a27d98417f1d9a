"""Linear systems given by a function: w with map(w, *operands) = rhs, differentiable in both.

The derivative of a linear solve is a linear solve: with the same matrix in forward mode, with its
transpose in reverse mode (M. B. Giles, Collected matrix derivative results for forward and reverse
mode algorithmic differentiation, 2008). So derivatives of any order end here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.function import Function
from ..core.handle import wrap
from ..core.levels import modes
from ..func.batching import vmap
from ..func.forward import jvp
from ..func.reverse import vjp
from ..ops.joining import stack
from .arguments import ConvergenceError, bare

DENSE = 512
"""Up to this many unknowns the matrix is made and factorised; beyond, GMRES uses products."""
TOLERANCE = 1e-10
"""Of GMRES: the residual relative to the right side."""
SINGULAR = 1e-15
"""A matrix with a reciprocal condition number below this can't be solved with."""


class Linear(Function):
    """map(w, *operands) = rhs solved for w, where map is linear in w, a vector.

    A right side of more dimensions is several: vectors lie along its last one.
    """

    @staticmethod
    def forward(name: str, maps: Any, rhs: Any, *operands: Any) -> Any:
        params = plain(operands)
        rights = bare(rhs, name, "a derivative")
        flat = rights.reshape(-1, rights.shape[-1])
        with modes(grad=False):
            return wrap(solved(name, lambda v: maps[0](v, *params), flat).reshape(rights.shape))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.name, ctx.maps, _, *operands = inputs
        keep(ctx, output, operands)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        w, *operands = ctx.saved_tensors
        v = Linear.apply(ctx.name, ctx.maps[::-1], g, *operands)
        pulled = pull_operands(lambda *ps: _rows(ctx.maps[0], w, ps), operands, -v,
                               ctx.needs_input_grad[3:])
        return None, None, v, *pulled

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        w, *operands = ctx.saved_tensors
        _, _, rhs, *rest = given(tangents, ctx)
        moved = push_operands(lambda *ps: _rows(ctx.maps[0], w, ps), operands, rest)
        rhs = w * 0 if rhs is None else rhs
        return Linear.apply(ctx.name, ctx.maps, rhs if moved is None else rhs - moved, *operands)

    @staticmethod
    def vmap(info: Any, in_dims: Any, name: str, maps: Any, rhs: Any, *operands: Any) -> Any:
        if any(dim is not None for dim in in_dims[3:]):
            return each(Linear, info, in_dims, name, maps, rhs, *operands)
        return Linear.apply(name, maps, rhs.movedim(in_dims[2], 0), *operands), 0


def keep(ctx: Any, output: Any, operands: Sequence[Any]) -> None:
    """Saves a solution and what it was computed from, for both modes."""
    ctx.save_for_backward(output, *operands)
    ctx.save_for_forward(output, *operands)


def plain(operands: Sequence[Any]) -> list[Any]:
    """Operands without their history.

    Raises:
        NotImplementedError: inside a transform that traces programs: a solver isn't one.
    """
    for x in operands:
        level = x.aval.level
        if level is not None and level.alive:
            raise NotImplementedError(f"solvers: {level.word} can't see into a solver; it works "
                                      "inside grad, vjp, jvp, vmap and what is made of them")
    return [wrap(bare(x, "solvers", "a parameter")) for x in operands]


def each(function: Any, info: Any, in_dims: Sequence[Any], *args: Any) -> Any:
    """A function's batching rule: one example after another."""
    if not info.batch_size:
        raise ValueError("vmap: a solver needs at least one example")
    found = []
    for i in range(info.batch_size):
        found.append(function.apply(*[arg if dim is None else arg.select(dim, i)
                                      for arg, dim in zip(args, in_dims, strict=True)]))
    if not isinstance(found[0], tuple):
        return stack(found), 0
    return tuple(map(stack, zip(*found, strict=True))), (0,) * len(found[0])


def differentiable(operands: Sequence[Any], wanted: Sequence[bool]) -> list[int]:
    """The places of the operands that are wanted and no integers."""
    return [i for i, (x, want) in enumerate(zip(operands, wanted, strict=True))
            if want and x.aval.dtype.differentiable]


def given(tangents: Sequence[Any], ctx: Any) -> list[Any]:
    """Tangents without zeros that stand for none."""
    return [t if want else None for t, want in zip(tangents, ctx.needs_input_grad, strict=True)]


def pull_operands(function: Callable[..., Any], operands: Sequence[Any], g: Any,
                  wanted: Sequence[bool]) -> list[Any]:
    """The operands' cotangents from that of function(*operands); None for integers and others."""
    places, found = differentiable(operands, wanted), [None] * len(operands)
    if places:
        _, pull = vjp(lambda *ps: function(*_with(operands, places, ps)),
                      *[operands[i] for i in places])
        for i, cotangent in zip(places, pull(g), strict=True):
            found[i] = cotangent
    return found


def push_operands(function: Callable[..., Any], operands: Sequence[Any],
                  tangents: Sequence[Any]) -> Any:
    """The tangent of function(*operands); None if all tangents are."""
    places = differentiable(operands, [t is not None for t in tangents])
    if not places:
        return None
    return jvp(lambda *ps: function(*_with(operands, places, ps)),
               tuple(operands[i] for i in places), tuple(tangents[i] for i in places))[1]


def _with(operands: Sequence[Any], places: Sequence[int], new: Sequence[Any]) -> list[Any]:
    out = list(operands)
    for i, x in zip(places, new, strict=True):
        out[i] = x
    return out


def _rows(function: Callable[..., Any], w: Any, operands: Sequence[Any]) -> Any:
    """The function of each vector along the last dimension of w."""
    of_one: Callable[..., Any] = lambda v: function(v, *operands)  # noqa: E731
    for _ in range(w.aval.ndim - 1):
        of_one = vmap(of_one)
    return of_one(w)


# --- with numbers -----------------------------------------------------------------------------


def solved(name: str, function: Callable[..., Any], rights: np.ndarray) -> np.ndarray:
    """The solutions for several right sides, the rows of a matrix.

    Raises:
        ConvergenceError: if the matrix is singular, or GMRES doesn't converge.
    """
    if not rights.any():
        return np.zeros_like(rights)
    if rights.shape[-1] <= DENSE:
        return _factorised(name, matrix(function, rights.shape[-1]), rights)
    return np.stack([_iterated(name, function, b) for b in rights])


def matrix(function: Callable[..., Any], size: int) -> np.ndarray:
    """The matrix of a linear function of vectors."""
    units = np.eye(size)
    try:
        columns = vmap(function)(wrap(units)).value
    except (RuntimeError, NotImplementedError, ValueError):
        # What can't be done to a batch (`if x > 0`) can be done to one after another.
        columns = np.stack([bare(function(wrap(unit)), "solvers", "f") for unit in units])
    return columns.T


def _factorised(name: str, a: np.ndarray, rights: np.ndarray) -> np.ndarray:
    from scipy.linalg import lapack

    lu, pivots, info = lapack.dgetrf(a)
    reciprocal = 0.0 if info or not np.isfinite(a).all() else lapack.dgecon(
        lu, np.linalg.norm(a, 1))[0]
    if reciprocal < SINGULAR:
        raise ConvergenceError(
            f"{name}: the Jacobian with respect to the unknown ({len(a)} by {len(a)}) is singular "
            "or not finite: there is no step from here by Newton's method, and no derivative")
    return np.ascontiguousarray(lapack.dgetrs(lu, pivots, rights.T)[0].T)


def _iterated(name: str, function: Callable[..., Any], b: np.ndarray) -> np.ndarray:
    """GMRES: Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput. 7 (1986)."""
    from scipy.sparse.linalg import LinearOperator, gmres

    a = LinearOperator((b.size, b.size), dtype=np.float64,
                       matvec=lambda v: bare(function(wrap(np.array(v).ravel())), name, "f"))
    w, failed = gmres(a, b, rtol=TOLERANCE, restart=min(b.size, 100), maxiter=50)
    if failed:
        raise ConvergenceError(f"{name}: GMRES didn't solve the linear system of {b.size} unknowns "
                               "for the derivative: its matrix may be singular")
    return np.asarray(w)
