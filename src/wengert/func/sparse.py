"""Sparse Jacobians and Hessians: columns that share no row are computed in one sweep.

The sparsity pattern comes from one run of the function on index sets (`interpreters/sparsity.py`).
Columns of which no two have a number in the same row can be added up and still told apart, so one
tangent serves for all of them (A. R. Curtis, M. J. D. Powell, J. K. Reid, 1974); the fewest such
groups are a colouring of a graph (T. F. Coleman, J. J. Moré, 1983), for which a greedy order does
well. Of a Hessian, which is symmetric, each number is in two places, and one of them has to be
told apart: a star colouring (A. H. Gebremedhin, F. Manne, A. Pothen, SIAM Review 47, 2005).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.handle import Handle, as_handle
from ..core.levels import entered, modes
from ..core.pytrees import flatten
from ..interpreters.batching import Batch, batch_of, stacked
from ..interpreters.forward import Forward, zeros
from ..interpreters.sparsity import Sparsity
from . import arguments
from .arguments import Argnums, chosen, lowered, replaced
from .jacobians import MEMORY
from .reverse import grad, vjp

Array = np.ndarray
MODES = ("auto", "forward", "reverse")


def sparse_jacobian(func: Callable[..., Any], argnums: Argnums = 0, *, sparsity: Any = None,
                    mode: str = "auto", chunk_size: int | None = None) -> Callable[..., Any]:
    """The function that computes a Jacobian as a sparse matrix, in a few sweeps.

    The cost is that of one sweep per colour of the pattern, however many columns there are: a
    banded Jacobian takes as many as the band is wide.

    Args:
        func: from tensors (or pytrees of them) to a tensor (or a pytree).
        argnums: the argument to differentiate with respect to, or several.
        sparsity: the pattern, of the shape of what is returned: where the Jacobian may be nonzero.
            With it, nothing is traced, and colours are found once for all calls. It has to cover
            the Jacobian, or numbers will be wrong. By default every call traces the function.
        mode: "forward" groups columns, "reverse" groups rows; "auto" takes what needs fewer sweeps,
            forward for complex numbers.
        chunk_size: how many sweeps are made at a time; by default, as memory allows.

    Returns:
        A function of the same arguments. It returns a `scipy.sparse.csr_array` with a row for each
        number of the output and a column for each number of the argument, both in order (the leaves
        of a pytree one after the other); for a tuple of argnums, a tuple of them. It stores all
        entries of the pattern, those that happen to be zero as well.

    Raises:
        ValueError: if mode or chunk_size is none of these; when the function is called, if the
            input holds no tensors, or one that is not of floating point, or the pattern is not of
            the Jacobian's shape.
        RuntimeError: when it is called inside another transform: that can't see into SciPy arrays.

    Example:
        >>> import wengert as torch
        >>> differences = torch.func.sparse_jacobian(lambda x: x[1:] ** 2 - x[:-1])
        >>> differences(torch.tensor([1., 2., 3.])).toarray()
        array([[-1.,  4.,  0.],
               [ 0., -1.,  6.]], dtype=float32)
    """
    _check(mode, chunk_size)
    task = _Task("sparse_jacobian", func, argnums, chunk_size)
    given = None if sparsity is None else _given(sparsity, argnums)
    fixed = functools.cache(lambda is_complex: plan(given, "forward" if is_complex else mode))

    @functools.wraps(func, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call = task.call(args, kwargs)
        if given is not None:
            call.check_columns(given)
            return call.blocks(call.evaluate(fixed(call.is_complex)))
        pattern = call.trace()
        return call.blocks(call.evaluate(plan(pattern, "forward" if call.is_complex else mode)))

    return jacobian_of


def jacobian_sparsity(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that finds where a Jacobian may be nonzero, without computing it.

    The pattern covers the Jacobian for all inputs for which Python takes the same branches; it may
    be larger, as a product depends on both factors even where one is zero.

    Args and errors are as for `sparse_jacobian`. The result is of bools, and is meant for its
    `sparsity`.

    Example:
        >>> import wengert as torch
        >>> x = torch.zeros(4)
        >>> def f(x):
        ...     return x[:2] * x[2:]
        >>> pattern = torch.func.jacobian_sparsity(f)(x)
        >>> pattern.nnz
        4
        >>> jacobian = torch.func.sparse_jacobian(f, sparsity=pattern)
        >>> jacobian(torch.tensor([1., 2., 3., 4.])).toarray()
        array([[3., 0., 1., 0.],
               [0., 4., 0., 2.]], dtype=float32)
    """
    task = _Task("jacobian_sparsity", func, argnums, None)

    @functools.wraps(func, updated=())
    def sparsity_of(*args: Any, **kwargs: Any) -> Any:
        call = task.call(args, kwargs)
        return call.blocks(call.trace())

    return sparsity_of


def sparse_hessian(func: Callable[..., Any], argnums: Argnums = 0, *, sparsity: Any = None,
                   chunk_size: int | None = None) -> Callable[..., Any]:
    """The function that computes a Hessian as a sparse matrix, in a few products with vectors.

    Each sweep is forward mode over reverse mode, one per colour of the pattern: of its columns, or
    of a star colouring where that needs fewer, which reads each number in one of its two places.

    Args:
        func: from tensors (or pytrees of them) to a tensor without dimensions, as for `grad`.
        argnums, sparsity, chunk_size: as for `sparse_jacobian`; a given pattern is made symmetric.

    Returns:
        A function of the same arguments that returns a `scipy.sparse.csr_array`; for a tuple of
        argnums, a tuple of a tuple of blocks for each.

    Raises:
        ValueError, RuntimeError: as `sparse_jacobian`; RuntimeError as `grad`.

    Example:
        >>> import wengert as torch
        >>> chain = torch.func.sparse_hessian(lambda x: (x[1:] * x[:-1] ** 2).sum())
        >>> chain(torch.tensor([1., 2., 3.])).toarray()
        array([[4., 2., 0.],
               [2., 6., 4.],
               [0., 4., 0.]], dtype=float32)
    """
    _check("forward", chunk_size)
    task = _Task("sparse_hessian", grad(func, argnums), argnums, chunk_size)
    given = None if sparsity is None else _given_square(sparsity, argnums)
    fixed = functools.cache(lambda: symmetric_plan(given))

    @functools.wraps(func, updated=())
    def hessian_of(*args: Any, **kwargs: Any) -> Any:
        call = task.call(args, kwargs)
        if given is not None:
            call.check_columns(given)
            return call.squares(call.evaluate(fixed()))
        return call.squares(call.evaluate(symmetric_plan(call.trace())))

    return hessian_of


def hessian_sparsity(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that finds where a Hessian may be nonzero, for `sparse_hessian`.

    Args, results and errors are as for that; the result is of bools.

    Example:
        >>> import wengert as torch
        >>> pattern = torch.func.hessian_sparsity(lambda x: (x ** 3).sum())(torch.zeros(5))
        >>> pattern.nnz
        5
    """
    task = _Task("hessian_sparsity", grad(func, argnums), argnums, None)

    @functools.wraps(func, updated=())
    def sparsity_of(*args: Any, **kwargs: Any) -> Any:
        call = task.call(args, kwargs)
        return call.squares(_symmetric(call.trace()))

    return sparsity_of


def _check(mode: str, chunk_size: int | None) -> None:
    if mode not in MODES:
        raise ValueError(f"sparse_jacobian: mode should be one of {MODES}, got {mode!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size should be greater than 0, got {chunk_size}")


# --- one call -----------------------------------------------------------------------------------


class _Task(NamedTuple):
    """What is to be done to whatever arguments come."""

    name: str
    func: Callable[..., Any]
    argnums: Argnums
    chunk_size: int | None

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        return _Call(self, args, kwargs)


class _Call:
    """A function with the arguments of one call.

    Attributes:
        xs: the tensors that it is differentiated by.
        spec: the structure they came in.
        widths: how many numbers each selected argument has.
        widest: how many numbers the largest tensor on the way has, as far as is known.
    """

    def __init__(self, task: _Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.task, self.args, self.kwargs = task, args, kwargs
        picked = chosen(args, task.argnums)
        several = isinstance(task.argnums, tuple)
        self.spec = flatten(picked)[1]
        parts = [flatten(part)[0] for part in (picked if several else (picked,))]
        places = task.argnums if isinstance(task.argnums, tuple) else (task.argnums,)
        self.xs = [self._input(leaf, place) for part, place in zip(parts, places, strict=True)
                   for leaf in part]
        if not self.xs:
            raise ValueError(f"{task.name}: argument {task.argnums} holds no tensors")
        sizes = iter(x.aval.numel for x in self.xs)
        self.widths = [sum(itertools.islice(sizes, len(part))) for part in parts]
        self.columns = self.widest = sum(self.widths)
        self.is_complex = any(x.aval.is_complex for x in self.xs)

    def _input(self, leaf: Any, place: int) -> Any:
        x = arguments.as_tensor(leaf)
        if not x.aval.dtype.differentiable:
            raise ValueError(
                f"{self.task.name}: argument {place} should be of floating point, got a tensor of "
                f"dtype {x.aval.dtype} and shape {list(x.aval.shape)}")
        return self._plain(lowered(x))

    def _plain(self, value: Any) -> Any:
        """An array or tensor without its history.

        Raises:
            RuntimeError: for a tensor of another transform.
        """
        if isinstance(value, Handle) and value.aval.level is not None:
            raise RuntimeError(
                f"{self.task.name}: called inside {value.aval.level.word}, which can't transform "
                "the SciPy arrays that it gives. Use jacfwd or jacrev there.")
        return as_handle(value.value if isinstance(value, Handle) else value)

    def _array(self, value: Any) -> Array:
        return self._plain(value).value

    def check_columns(self, pattern: Any) -> None:
        if pattern.shape[1] != self.columns:
            raise self._misfit(pattern, f"(.., {self.columns})")

    def _check_rows(self, how: Plan, rows: int) -> None:
        if rows != how.pattern.shape[0]:
            raise self._misfit(how.pattern, (rows, self.columns))

    def _misfit(self, pattern: Any, shape: Any) -> Exception:
        return ValueError(f"{self.task.name}: sparsity has shape {pattern.shape}, but inputs and "
                          f"outputs make it {shape}")

    def blocks(self, matrix: Any) -> Any:
        """A matrix as it is returned: apart by arguments, if there are several."""
        if not isinstance(self.task.argnums, tuple):
            return matrix
        ends = list(itertools.accumulate(self.widths, initial=0))
        return tuple(matrix[:, a:b] for a, b in itertools.pairwise(ends))

    def squares(self, matrix: Any) -> Any:
        if not isinstance(self.task.argnums, tuple):
            return matrix
        ends = list(itertools.accumulate(self.widths, initial=0))
        return tuple(self.blocks(matrix[a:b]) for a, b in itertools.pairwise(ends))

    def trace(self) -> Any:
        """The pattern: a sparse array of bools."""
        with modes(grad=False), entered(Sparsity(self.columns)) as level:
            starts = itertools.accumulate((x.aval.numel for x in self.xs), initial=0)
            inputs = [level.input(lowered(x), start)
                      for x, start in zip(self.xs, starts, strict=False)]
            ys, _ = arguments.outputs(self.task.name, self._run(inputs), floating=True)
            found = [_numbers(level, level.own(y)) for y in ys]
            self.widest = level.widest
            pattern = level.sets.rows(np.concatenate(found))
        pattern.sort_indices()
        return pattern

    def _run(self, xs: Sequence[Any]) -> Any:
        given = replaced(self.args, self.task.argnums, self.spec.unflatten(xs))
        return self.task.func(*given, **self.kwargs)

    def evaluate(self, how: Plan) -> Any:
        """The matrix of the pattern, from one sweep for each colour."""
        from scipy import sparse

        with modes(grad=False):
            sweeps = self._forward(how) if how.forward else self._reverse(how)
            data: Any = None
            for first, rows in sweeps:
                if data is None:
                    data = np.zeros(len(how.colour), rows.dtype)
                here = slice(*np.searchsorted(how.colour, (first, first + len(rows))))
                data[here] = rows[how.colour[here] - first, how.place[here]]
        ordered = np.empty_like(data)
        ordered[how.entry] = data
        pattern = how.pattern
        return sparse.csr_array((ordered, pattern.indices.copy(), pattern.indptr.copy()),
                                shape=pattern.shape)

    def _chunks(self, how: Plan, lengths: Sequence[int]) -> Iterator[tuple[int, list[Array]]]:
        """Unit vectors of each colour added up: a stack for each tensor, chunk by chunk."""
        size = sum(lengths)
        width = max(self.widest, sum(how.pattern.shape))
        most = self.task.chunk_size or max(1, MEMORY // (4 * 8 * max(width, 1)))
        ends = np.cumsum(lengths)[:-1]
        for first in range(0, max(how.sweeps, 1), most):
            seeds = np.zeros((min(most, max(how.sweeps, 1) - first), size))
            mine = (how.colours >= first) & (how.colours < first + len(seeds))
            seeds[how.colours[mine] - first, np.flatnonzero(mine)] = 1
            yield first, np.split(seeds, ends, axis=1)

    def _forward(self, how: Plan) -> Iterator[tuple[int, Array]]:
        for first, stacks in self._chunks(how, [x.aval.numel for x in self.xs]):
            found = self._pushed(stacks)
            self._check_rows(how, sum(t[0].size for t in found))
            yield first, self._joined(found)

    def _pushed(self, stacks: Sequence[Array]) -> list[Array]:
        """The outputs' tangents for stacks of the inputs'."""
        with entered(Batch(len(stacks[0]))) as batch:
            with entered(Forward()) as level:
                duals = [level.dual(lowered(x), batch_of(_like(stack, x), batch))
                         for stack, x in zip(stacks, self.xs, strict=True)]
                ys, _ = arguments.outputs(self.task.name, self._run(duals))
                ys = [level.own(y) for y in ys]
            return [self._array(stacked(zeros(y) if y.extra is None else y.extra, batch))
                    for y in ys]

    def _reverse(self, how: Plan) -> Iterator[tuple[int, Array]]:
        output, pullback = vjp(lambda *xs: self._run(xs), *self.xs)
        ys, spec = flatten(output)
        lengths = [y.aval.numel for y in ys]
        self._check_rows(how, sum(lengths))
        for first, stacks in self._chunks(how, lengths):
            with entered(Batch(len(stacks[0]))) as level:
                cotangents = [batch_of(_like(s, y), level)
                              for s, y in zip(stacks, ys, strict=True)]
                found = flatten(pullback(spec.unflatten(cotangents)))[0]
                arrays = [self._array(stacked(g, level)) for g in found]
            yield first, self._joined(arrays)

    def _joined(self, arrays: Sequence[Array]) -> Array:
        """What was found for all tensors, side by side: a row for each sweep."""
        kinds = [x.aval.numpy for x in self.xs]
        rows = [a.reshape(len(a), -1) if a.dtype.kind in "fc" else
                np.zeros((len(a), a[0].size), np.result_type(*kinds)) for a in arrays]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, 1)


def _numbers(level: Sparsity, y: Any) -> Array:
    found = level.numbers(y)
    return np.zeros(y.aval.numel, np.int64) if found is None else found.ravel()


def _like(stack: Array, x: Any) -> Array:
    return stack.astype(x.aval.numpy).reshape(len(stack), *x.aval.shape)


# --- patterns and plans -------------------------------------------------------------------------


def _given(sparsity: Any, argnums: Argnums) -> Any:
    """A user's pattern as one of ours: its entries each once, in order."""
    from scipy import sparse

    if isinstance(argnums, tuple):
        sparsity = sparse.hstack([sparse.csr_array(block) for block in sparsity])
    pattern = sparse.csr_array(sparsity, copy=True)
    if pattern.ndim != 2:
        raise ValueError(f"sparsity should be a matrix, got shape {pattern.shape}")
    pattern.sum_duplicates()
    pattern.data = np.ones(pattern.nnz, np.bool_)
    return pattern


def _given_square(sparsity: Any, argnums: Argnums) -> Any:
    from scipy import sparse

    if isinstance(argnums, tuple):
        return _given(sparse.block_array(
            [[sparse.csr_array(block) for block in row] for row in sparsity]), 0)
    pattern = _given(sparsity, 0)
    if pattern.shape[0] != pattern.shape[1]:
        raise ValueError(f"sparse_hessian: sparsity should be square, got shape {pattern.shape}")
    return pattern


class Plan(NamedTuple):
    """How a matrix of a known pattern is computed.

    Attributes:
        pattern: where its entries are.
        forward: whether columns are grouped, and not rows.
        colours: the group of each column (or row).
        sweeps: the number of groups.
        colour, place, entry: sorted by colour, which sweep gives a number, at which place, and
            which entry of the pattern it is.
    """

    pattern: Any
    forward: bool
    colours: Array
    sweeps: int
    colour: Array
    place: Array
    entry: Array


def plan(pattern: Any, mode: str = "auto") -> Plan:
    """The plan with the fewest sweeps, or that of the mode asked for.

    A row with k entries needs k colours of columns, so often only one way has to be tried.
    """
    bounds = {"forward": _longest(pattern), "reverse": _longest(pattern.T.tocsr())}
    tried = sorted(bounds, key=lambda m: bounds[m]) if mode == "auto" else [mode]
    best, found = tried[0], _coloured(pattern, tried[0])
    for other in tried[1:]:
        if bounds[other] < _count(found):
            second = _coloured(pattern, other)
            if _count(second) < _count(found):
                best, found = other, second
    rows, columns = _entries(pattern)
    if best == "forward":
        return _sorted(pattern, True, found, found[columns], rows)
    return _sorted(pattern, False, found, found[rows], columns)


def symmetric_plan(pattern: Any) -> Plan:
    """The plan for a symmetric matrix: by columns, or by a star colouring if that has fewer."""
    pattern = _symmetric(pattern)
    by_columns = plan(pattern, "forward")
    if pattern.nnz == pattern.shape[0] ** 2:
        return by_columns
    colours = star_colours(pattern)
    count = _count(colours)
    if count >= by_columns.sweeps:
        return by_columns
    rows, columns = _entries(pattern)
    keys, sharing = np.unique(rows * count + colours[columns], return_counts=True)
    alone = sharing[np.searchsorted(keys, rows * count + colours[columns])] == 1
    return _sorted(pattern, True, colours, np.where(alone, colours[columns], colours[rows]),
                   np.where(alone, rows, columns))


def _sorted(pattern: Any, forward: bool, colours: Array, colour: Array, place: Array) -> Plan:
    entry = np.argsort(colour, kind="stable")
    return Plan(pattern, forward, colours, _count(colours), colour[entry], place[entry], entry)


def _symmetric(pattern: Any) -> Any:
    both = (pattern + pattern.T).tocsr()
    both.sort_indices()
    return both


def _entries(pattern: Any) -> tuple[Array, Array]:
    """Row and column of each entry."""
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    return rows, pattern.indices.astype(np.int64)


def _longest(pattern: Any) -> int:
    return int(np.diff(pattern.indptr).max(initial=0))


def _count(colours: Array) -> int:
    return int(colours.max(initial=-1)) + 1


# --- colourings ---------------------------------------------------------------------------------


def _coloured(pattern: Any, mode: str) -> Array:
    return column_colours(pattern if mode == "forward" else pattern.T.tocsr())


def column_colours(pattern: Any) -> Array:
    """A number for each column, so that columns with an entry in a common row differ.

    Greedy, in two orders, of which the better result is kept: as they come, which suits bands, and
    those with most entries first.
    """
    bound, columns = _longest(pattern), pattern.tocsc()
    if bound == pattern.shape[1]:
        return np.arange(bound)
    found = first_fit(columns, np.arange(pattern.shape[1]))
    if _count(found) > bound:
        longest_first = np.argsort(-np.diff(columns.indptr), kind="stable")
        found = min(found, first_fit(columns, longest_first), key=_count)
    return found


def first_fit(columns: Any, order: Array) -> Array:
    """Colours of columns, each given the first that fits, in an order.

    SciPy does the same for its finite differences, in compiled code that is no public interface:
    it is used where it can be found.
    """
    try:
        from scipy.optimize._numdiff import group_columns
    except ImportError:
        return first_fit_here(columns, order)
    return np.asarray(group_columns(columns, order), np.int64)


def first_fit_here(columns: Any, order: Array) -> Array:
    """The same in Python."""
    columns = columns.tocsc()
    taken: list[set[int]] = [set() for _ in range(columns.shape[0])]
    colours = np.zeros(columns.shape[1], np.int64)
    for j in order:
        rows = [taken[i] for i in columns.indices[columns.indptr[j]:columns.indptr[j + 1]]]
        colours[j] = _first_free(set().union(*rows))
        for row in rows:
            row.add(int(colours[j]))
    return colours


def star_colours(pattern: Any) -> Array:
    """Colours of a symmetric pattern's columns from which each number can be read in one place.

    Neighbours differ, and every path of four has at least three colours. Greedy, those with most
    entries first. Where a vertex sees a colour twice, its own is barred for further neighbours of
    the two; what it sees while it has none itself is barred for its other neighbours.
    """
    near = [[int(w) for w in pattern.indices[a:b] if w != v]
            for v, (a, b) in enumerate(itertools.pairwise(pattern.indptr))]
    colours = [-1] * len(near)
    seen: list[dict[int, list[int]]] = [{} for _ in near]
    barred: list[set[int]] = [set() for _ in near]
    for v in sorted(range(len(near)), key=lambda v: -len(near[v])):
        taken: set[int] = set()
        for w in near[v]:
            taken.update(seen[w] if colours[w] < 0 else (colours[w], *barred[w]))
        colour = colours[v] = _first_free(taken)
        for mates in seen[v].values():
            if len(mates) > 1:
                for y in mates:
                    barred[y].add(colour)
        for x in near[v]:
            mates = seen[x].setdefault(colour, [])
            mates.append(v)
            if colours[x] >= 0 and len(mates) > 1:
                for y in mates if len(mates) == 2 else (v,):
                    barred[y].add(colours[x])
    return np.array(colours, np.int64)


def _first_free(taken: set[int]) -> int:
    return next(colour for colour in itertools.count() if colour not in taken)
