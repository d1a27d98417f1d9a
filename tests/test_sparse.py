"""Sparse Jacobians and Hessians: patterns cover the truth, numbers are those of the dense ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import wengert as torch
from grouped import by_primitive
from samples import Sample, some_samples
from wengert import func
from wengert.core.levels import here
from wengert.core.primitive import Primitive, elementwise
from wengert.func import sparse
from wengert.interpreters.sparsity import Sets

RNG = np.random.default_rng(3)


def normal(*shape: int, dtype: Any = np.float64) -> Any:
    return torch.tensor(RNG.normal(size=shape).astype(dtype))


def covers(pattern: Any, dense: np.ndarray) -> bool:
    """Whether all nonzeros are in a pattern."""
    return bool(np.all(pattern.toarray() | (dense == 0)))


# --- patterns of single primitives --------------------------------------------------------------


def applied(sample: Sample) -> Any:
    """A sample as a function of its active operands; all results in one vector."""

    def run(*xs: Any) -> Any:
        operands = [torch.tensor(x) for x in sample.operands]
        for i, x in zip(sample.active, xs, strict=True):
            operands[i] = x
        out = sample.primitive(*operands, **sample.params)
        outs = out if isinstance(out, tuple) else (out,)
        return torch.cat([o.reshape(-1) for o in outs])

    return run


SAMPLES = [s for s in some_samples() if s.active]


@by_primitive(SAMPLES)
def test_patterns_cover_what_primitives_do(sample: Sample) -> None:
    run, xs = applied(sample), [torch.tensor(sample.operands[i]) for i in sample.active]
    places = tuple(range(len(xs)))
    patterns = func.jacobian_sparsity(run, places)(*xs)
    dense = func.jacrev(run, places)(*xs)
    for pattern, block in zip(patterns, dense, strict=True):
        assert covers(pattern, block.numpy().reshape(pattern.shape))


@by_primitive(s for s in SAMPLES if not s.is_complex)
def test_patterns_of_gradients_cover_second_derivatives(sample: Sample) -> None:
    run, xs = applied(sample), [torch.tensor(sample.operands[i]) for i in sample.active]
    sizes = [x.numel() for x in xs]

    def total(flat: Any) -> Any:
        parts = flat.split(sizes)
        out = run(*(p.reshape(x.shape) for p, x in zip(parts, xs, strict=True)))
        return (torch.sin(out.real) * torch.arange(1.0, out.numel() + 1)).sum()

    flat = torch.cat([x.reshape(-1) for x in xs])
    dense = func.hessian(total)(flat).numpy()
    assert covers(func.hessian_sparsity(total)(flat), np.nan_to_num(dense, nan=1.0))


# --- patterns of programs -----------------------------------------------------------------------

INDEX = torch.tensor([3, 0, 3, 5])
A, B = normal(3, 4), normal(4, 5)


def written(x: Any) -> Any:
    y = x.clone()
    y[1:3] = x[4:] * 2
    y[0] += x[5]
    return y


def seen_and_written(x: Any) -> Any:
    y = x * 1
    part = y[:2]
    part.mul_(x[2:4])
    return y


def put(x: Any) -> Any:
    y = x[:4] * 1
    y[torch.tensor([0, 2])] = x[4:]
    return y


EXACT = {
    "identity": lambda x: x,
    "elementwise": lambda x: torch.sin(x) * x,
    "shifted": lambda x: x[1:] * x[:-1],
    "broadcast": lambda x: x[:2, None] * x[None, 2:],
    "piled": lambda x: torch.stack([x[:3], x[3:], x[:3] * x[3:]], 1),
    "turned": lambda x: x.reshape(2, 3).T.flip(0).roll(1, 0),
    "picked": lambda x: x[INDEX] * x[:4],
    "gathered": lambda x: x.reshape(2, 3).gather(1, torch.tensor([[0, 0], [2, 1]])),
    "put": put,
    "scattered": lambda x: x.scatter_add(0, torch.tensor([1, 1, 0]), x[3:] ** 2),
    "triangle": lambda x: torch.tril(x[:3, None] * x[None, 3:]),
    "diagonal": lambda x: torch.diagonal(x.reshape(2, 3)),
    "repeated": lambda x: x[:2].repeat(2, 2),
    "halves": lambda x: x.split(2)[1] * x.reshape(2, 3).unbind(1)[0],
    "sum": lambda x: x.reshape(2, 3).sum(1),
    "mean": lambda x: x.reshape(2, 3).mean(0, keepdim=True),
    "everything": lambda x: x.sum(),
    "norm": lambda x: x.reshape(3, 2).norm(dim=1),
    "spread": lambda x: x.reshape(3, 2).var(1),
    "softmax": lambda x: torch.softmax(x.reshape(2, 3), 1),
    "logsumexp": lambda x: torch.logsumexp(x.reshape(2, 3), 0),
    "prod": lambda x: x.reshape(2, 3).prod(1),
    "mv": lambda x: A @ x[:4],
    "mm": lambda x: A @ (B[:, :1] * x[:4, None]),
    "mm of two": lambda x: x[:4].reshape(2, 2) @ x[2:].reshape(2, 2),
    "bmm": lambda x: torch.bmm(x.reshape(2, 1, 3), x.reshape(2, 3, 1)),
    "einsum": lambda x: torch.einsum("ij,jk->ki", A[:, :2], x.reshape(2, 3)),
    "dot": lambda x: torch.dot(x[:2], x[1:3]),
    "written": written,
    "seen and written": seen_and_written,
    "detached": lambda x: x * x.flip(0).detach(),
    "flat": lambda x: x * torch.sign(x.flip(0)) * (torch.floor(x.roll(1)) + 0.5) ** 2,
    "where": lambda x: torch.where(x.flip(0) > 9, x, x * 2),
    "grad inside": lambda x: func.grad(lambda y: (y[1:] * y[:-1]).sum())(x),
    "vmap inside": lambda x: func.vmap(lambda row: row.sum() * row)(x.reshape(2, 3)),
    "vmap of dots": lambda x: func.vmap(torch.dot)(x.reshape(2, 3), x.reshape(2, 3)),
    "jvp inside": lambda x: func.jvp(lambda y: y ** 3, (x,), (x,))[1],
    "complex inside": lambda x: torch.abs(x[:3] + 1j * x[3:]),
    "several": lambda x: {"a": x[:2] ** 2, "b": (x.sum(), x[3])},
    "0-d": lambda x: x[2] * 3,
}


def flattened(tree: Any) -> Any:
    """All numbers of a function's output in one vector."""
    leaves = sparse.flatten(tree)[0]
    return torch.cat([leaf.reshape(-1) for leaf in leaves])


@pytest.mark.parametrize("name", EXACT)
def test_patterns_of_programs_are_exact(name: str) -> None:
    program, x = EXACT[name], normal(6)
    dense = func.jacrev(lambda x: flattened(program(x)))(x).numpy()
    assert np.array_equal(func.jacobian_sparsity(program)(x).toarray(), dense != 0)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", EXACT)
def test_numbers(name: str, mode: str) -> None:
    program, x = EXACT[name], normal(6)
    found = func.sparse_jacobian(program, mode=mode)(x)
    dense = func.jacrev(lambda x: flattened(program(x)))(x).numpy()
    np.testing.assert_allclose(found.toarray(), dense, rtol=1e-12)


def test_scans_go_along_their_dimension() -> None:
    pattern = func.jacobian_sparsity(lambda x: x.cumsum(0))(normal(3, 2))
    rows, columns = np.divmod(np.arange(6), 2)
    assert covers(pattern, np.equal.outer(columns, columns) & np.less_equal.outer(rows, rows).T)
    assert pattern.nnz == 18


def test_what_is_not_known_depends_on_its_whole_example(request: Any) -> None:
    """A primitive of no family, without a JVP: leading dimensions that vmap would add are kept."""
    sorted_rows = Primitive("sorted_rows", lambda x: np.sort(x, -1), abstract=lambda x: x,
                            vjp=lambda g: g)
    pattern = func.jacobian_sparsity(lambda x: sorted_rows(x * x))(normal(2, 3))
    assert np.array_equal(pattern.toarray(), np.kron(np.eye(2), np.ones((3, 3))) > 0)
    all_of_it = Primitive("all_of_it", lambda x: x[::-1] @ x, abstract=lambda x: x,
                          vjp=lambda g: g)
    pattern = func.jacobian_sparsity(lambda x: all_of_it(x))(normal(2, 2))
    assert pattern.nnz == 16


def test_mixtures_that_look_like_one_element_are_not_taken_for_it() -> None:
    """(x0 + x2) / 2 of the numbers 1, 2, 3 is 2."""

    def pattern(matrix: np.ndarray) -> np.ndarray:
        mix = Primitive("mix", lambda x: matrix @ x, linear=True, vjp=(lambda g: matrix.T @ g,),
                        abstract=lambda x: x.with_shape(matrix.shape[:1]))
        return func.jacobian_sparsity(lambda x: mix(x))(normal(3)).toarray()

    sums = np.array([[0, 1, 0], [0.5, 0, 0.5]])
    assert np.array_equal(pattern(sums), sums != 0)
    overlapping = np.array([[0.5, 0, 0.5], [0.5, 0.5, 0]])
    assert pattern(overlapping).all()  # neither choice nor sums: nothing is known of it


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed: int) -> None:
    """A few operations one after the other: the pattern covers what dense modes find."""
    rng = np.random.default_rng(seed)
    steps = [
        lambda x: torch.sin(x), lambda x: x * x.flip(0), lambda x: x.roll(2) + x,
        lambda x: x.reshape(4, 3).softmax(int(rng2.integers(2))).reshape(-1),
        lambda x: (x.reshape(3, 4) - x.reshape(3, 4).mean(0)).reshape(-1),
        lambda x: torch.where(x > 0, x, x.flip(0)), lambda x: x[torch.arange(12) // 2],
        lambda x: x.reshape(3, 4).cumsum(1).T.reshape(-1), lambda x: x * torch.sign(x),
        lambda x: torch.cat([x[6:] * x[:6], x[:6]]), lambda x: torch.maximum(x, x.roll(3)),
        lambda x: (x.reshape(4, 3) @ x[:9].reshape(3, 3)).reshape(-1), written,
    ]
    chosen = rng.integers(len(steps), size=4)

    def program(x: Any) -> Any:
        nonlocal rng2
        rng2 = np.random.default_rng(seed)
        for i in chosen:
            x = steps[i](x) if steps[i] is not written else torch.cat([x[:6], written(x[6:])])
        return x

    rng2 = rng
    x = normal(12)
    dense = func.jacrev(program)(x).numpy()
    assert covers(func.jacobian_sparsity(program)(x), dense)
    np.testing.assert_allclose(func.sparse_jacobian(program)(x).toarray(), dense, atol=1e-12)


# --- results ------------------------------------------------------------------------------------


def test_dtype_and_shape_are_the_functions() -> None:
    found = func.sparse_jacobian(lambda x: x.sum(1))(normal(2, 3, dtype=np.float32))
    assert isinstance(found, scipy.sparse.csr_array)
    assert found.shape == (2, 6) and found.dtype == np.float32 and found.nnz == 6
    assert found.has_canonical_format and found.has_sorted_indices
    assert func.jacobian_sparsity(lambda x: x)(normal(2)).dtype == np.bool_


def test_arguments_make_blocks_and_trees_make_one() -> None:
    a, b = normal(2), {"u": normal(2), "v": normal(1)}

    def f(a: Any, k: float, b: Any) -> Any:
        return a * b["u"] * k, b["v"] ** 2

    left, right = func.sparse_jacobian(f, (0, 2))(a, 2.0, b)
    assert left.shape == (3, 2) and right.shape == (3, 3)
    np.testing.assert_allclose(left.toarray()[:2], np.diag(b["u"].numpy() * 2))
    assert right.nnz == 3
    np.testing.assert_allclose(
        func.sparse_jacobian(f, 2)(a, 2.0, b).toarray(), right.toarray())
    assert func.sparse_jacobian(f, -1)(a, 2.0, b).shape == (3, 3)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_nothing_to_find(mode: str) -> None:
    x = normal(3)
    constant = func.sparse_jacobian(lambda x: torch.ones(2), mode=mode)(x)
    assert constant.shape == (2, 3) and constant.nnz == 0
    flat = func.sparse_jacobian(lambda x: torch.sign(x), mode=mode)(x)
    assert flat.shape == (3, 3) and flat.nnz == 0 and flat.dtype == np.float64
    with pytest.raises(RuntimeError, match="floating-point or complex"):
        func.sparse_jacobian(lambda x: (x > 0).sum() + 0 * torch.argmax(x), mode=mode)(x)
    assert func.sparse_jacobian(lambda x: x * 2, mode=mode)(normal(0)).shape == (0, 0)
    assert func.sparse_jacobian(lambda x: x * 2, mode=mode)(normal()).toarray() == [[2.0]]
    assert func.sparse_hessian(lambda x: (3 * x).sum())(x).nnz == 0
    none, all_ = func.sparse_jacobian(lambda tree, x: x, (0, 1), mode=mode)({}, x)
    assert none.shape == (3, 0) and all_.nnz == 3


def test_complex_numbers_go_forward() -> None:
    z = torch.tensor([1 + 2j, 3 - 1j])
    found = func.sparse_jacobian(lambda z: z ** 2)(z)
    np.testing.assert_allclose(found.toarray(), np.diag(2 * z.numpy()))
    assert found.dtype == z.numpy().dtype


def test_closures_may_require_grad_and_nothing_is_recorded() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    for mode in ("forward", "reverse"):
        assert np.array_equal(func.sparse_jacobian(lambda x: w * x, mode=mode)(x).data, [1, 2])
    assert np.array_equal(func.sparse_hessian(lambda x: (w * x * x).sum())(x).data, [2, 4])
    assert w.grad is None and x.grad is None


def test_chunks_agree() -> None:
    x = normal(6)
    whole = func.sparse_jacobian(lambda x: x[:3].outer(x[3:]))(x)
    for mode in ("forward", "reverse"):
        for size in (1, 2, 5):
            part = func.sparse_jacobian(lambda x: x[:3].outer(x[3:]), mode=mode,
                                        chunk_size=size)(x)
            np.testing.assert_allclose(part.toarray(), whole.toarray())
    f = lambda x: (x.sum() ** 2 + x[0] * x[1] ** 2)  # noqa: E731
    np.testing.assert_allclose(func.sparse_hessian(f, chunk_size=2)(x).toarray(),
                               func.hessian(f)(x).numpy())


def test_given_patterns() -> None:
    """Any sparse or dense array does; duplicates count once, and nothing is traced again."""
    x, calls = normal(4), []

    def f(x: Any) -> Any:
        calls.append(isinstance(x.aval.level, sparse.Sparsity))
        return x[1:] * x[:-1]

    expected = func.sparse_jacobian(f)(x).toarray()
    pattern = func.jacobian_sparsity(f)(x)
    twice = scipy.sparse.coo_array((np.ones(12), tuple(np.tile(pattern.nonzero(), 2))), (3, 4))
    calls.clear()
    for given in (pattern, twice, pattern.toarray(), pattern.astype(float).tocsc()):
        found = func.sparse_jacobian(f, sparsity=given)(x)
        np.testing.assert_allclose(found.toarray(), expected)
        assert found.nnz == 6
    assert not any(calls)
    assert twice.nnz == 12  # what the user gave is as it was
    blocks = func.jacobian_sparsity(lambda a, b: a * b, (0, 1))(x, x)
    left, right = func.sparse_jacobian(lambda a, b: a * b, (0, 1), sparsity=blocks)(x, x)
    np.testing.assert_allclose(left.toarray(), right.toarray())


def test_a_larger_pattern_stores_zeros() -> None:
    found = func.sparse_jacobian(lambda x: x * 2, sparsity=np.tri(3))(normal(3))
    assert found.nnz == 6 and np.array_equal(found.toarray(), 2 * np.eye(3))


# --- Hessians -----------------------------------------------------------------------------------


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


HESSIANS = {
    "rosenbrock": rosenbrock,
    "arrow": lambda x: x[0] * (x[1:] ** 2).sum() + (x ** 3).sum(),
    "dense": lambda x: torch.softmax(x, 0).norm() * x.sum(),
    "diagonal": lambda x: torch.exp(x).sum(),
    "star of pairs": lambda x: (x[:4, None] * x[None, 4:] ** 2).sum(),
    "rings": lambda x: (x * x.roll(1) * x.roll(3)).sum(),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_hessians(name: str) -> None:
    f, x = HESSIANS[name], normal(9)
    found, dense = func.sparse_hessian(f)(x), func.hessian(f)(x).numpy()
    np.testing.assert_allclose(found.toarray(), dense, rtol=1e-9, atol=1e-12)
    pattern = func.hessian_sparsity(f)(x)
    again = func.sparse_hessian(f, sparsity=pattern)(x)
    assert (again != found).nnz == 0
    if name in ("rosenbrock", "arrow", "diagonal"):
        assert np.array_equal(pattern.toarray(), dense != 0)


def test_hessian_blocks() -> None:
    a, b = normal(2), normal(3)

    def f(a: Any, b: Any) -> Any:
        return (a[:, None] * b ** 2).sum()

    found = func.sparse_hessian(f, (0, 1))(a, b)
    dense = func.hessian(f, (0, 1))(a, b)
    pattern = func.hessian_sparsity(f, (0, 1))(a, b)
    again = func.sparse_hessian(f, (0, 1), sparsity=pattern)(a, b)
    for i in range(2):
        for j in range(2):
            np.testing.assert_allclose(found[i][j].toarray(), dense[i][j].numpy())
            np.testing.assert_allclose(again[i][j].toarray(), dense[i][j].numpy())


def test_an_arrow_takes_two_products() -> None:
    arrow = func.hessian_sparsity(HESSIANS["arrow"])(normal(50))
    assert sparse.plan(arrow, "forward").sweeps == 50
    assert sparse.symmetric_plan(arrow).sweeps == 2


# --- colourings ---------------------------------------------------------------------------------


def scattered(seed: int, rows: int = 30, columns: int = 20) -> Any:
    rng = np.random.default_rng(seed)
    return scipy.sparse.csr_array(rng.random((rows, columns)) < 0.1)


@pytest.mark.parametrize("seed", range(10))
def test_colours_keep_columns_apart(seed: int) -> None:
    pattern = scattered(seed)
    colours = sparse.column_colours(pattern)
    for row in pattern.toarray():
        assert len(set(colours[row])) == row.sum()
    order = np.random.default_rng(seed).permutation(20)
    here_, there = sparse.first_fit_here(pattern, order), sparse.first_fit(pattern, order)
    assert np.array_equal(here_, there)


def test_without_scipys_colouring(monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize._numdiff", None)
    found = func.sparse_jacobian(lambda x: x[1:] * x[:-1])(torch.tensor([1.0, 2.0, 3.0]))
    assert np.array_equal(found.toarray(), [[2, 1, 0], [0, 3, 2]])


@pytest.mark.parametrize("seed", range(20))
def test_star_colours(seed: int) -> None:
    """Neighbours differ; no path of four vertices has two colours; all numbers are recovered."""
    half = scattered(seed, 25, 25).toarray()
    near = (half | half.T) & ~np.eye(25, dtype=bool)
    colours = sparse.star_colours(scipy.sparse.csr_array(near))
    for v, w in zip(*near.nonzero(), strict=True):
        assert colours[v] != colours[w]
        for x in near[w].nonzero()[0]:
            for y in near[x].nonzero()[0]:
                if len({v, w, x, y}) == 4:
                    assert len({colours[i] for i in (v, w, x, y)}) > 2
    matrix = np.where(half | half.T, np.random.default_rng(seed).random((25, 25)), 0)
    matrix = torch.tensor(matrix + matrix.T)
    found = func.sparse_hessian(lambda x: 0.5 * (x @ (matrix @ x)),
                                sparsity=half | half.T)(normal(25))
    np.testing.assert_allclose(found.toarray(), matrix.numpy(), rtol=1e-12)


@pytest.mark.parametrize(("program", "mode"), [
    (lambda x: x * x[0], "reverse"), (lambda x: x[1:] + x.sum() * 0 + x[0], "reverse"),
    (lambda x: (x[:, None] * torch.ones(3, dtype=torch.float64)).reshape(-1), "forward")])
def test_the_cheaper_way_is_taken(program: Any, mode: str) -> None:
    pattern = func.jacobian_sparsity(program)(normal(8))
    counts = {m: sparse.plan(pattern, m).sweeps for m in ("forward", "reverse")}
    assert sparse.plan(pattern).sweeps == min(counts.values())


def test_equal_sets_are_stored_once() -> None:
    sets = Sets(10)
    a, b = sets.singles(0, 5), sets.singles(5, 5)
    both = sets.union(a, b)
    assert np.array_equal(sets.union(b, a), both) and np.array_equal(sets.union(both, a), both)
    assert sets.count == 1 + 10 + 5
    assert np.array_equal(sets.rows(both).toarray(), np.hstack([np.eye(5), np.eye(5)]) > 0)
    everything = sets.over(both, (0,))
    assert sets.rows(everything).nnz == 10
    assert sets.grouped(np.zeros(5, np.int64), both, 2).tolist() == [everything, 0]


def test_buffers_widen() -> None:
    from wengert.interpreters.sparsity import _Buffer

    buffer = _Buffer([0])
    buffer.extend(np.array([5]))
    assert buffer.array.dtype == np.int32
    buffer.extend(np.array([1 << 40]))
    assert buffer.array.tolist() == [0, 5, 1 << 40]


# --- errors -------------------------------------------------------------------------------------


def test_errors_name_what_is_wrong() -> None:
    x = normal(3)
    with pytest.raises(ValueError, match=r"argument 1 should be of floating point.*int64.*\[2\]"):
        func.sparse_jacobian(lambda a, b: a, (0, 1))(x, torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="sparse_hessian: argument 0"):
        func.sparse_hessian(lambda a: a.sum())(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="must be Tensor"):
        func.sparse_jacobian(lambda a: a)("x")
    with pytest.raises(RuntimeError, match="argnum=1"):
        func.sparse_jacobian(lambda a: a, 1)(x)
    with pytest.raises(ValueError, match="mode should be one of"):
        func.sparse_jacobian(lambda a: a, mode="sideways")
    with pytest.raises(ValueError, match="chunk_size should be greater than 0, got 0"):
        func.sparse_jacobian(lambda a: a, chunk_size=0)
    with pytest.raises(ValueError, match=r"sparsity has shape \(3, 4\).*\(\.\., 3\)"):
        func.sparse_jacobian(lambda a: a, sparsity=np.eye(3, 4))(x)
    for mode in ("forward", "reverse"):
        with pytest.raises(ValueError, match=r"sparsity has shape \(4, 3\).*\(3, 3\)"):
            func.sparse_jacobian(lambda a: a, sparsity=np.eye(4, 3), mode=mode)(x)
    with pytest.raises(ValueError, match=r"should be square, got shape \(4, 3\)"):
        func.sparse_hessian(lambda a: a.sum(), sparsity=np.eye(4, 3))
    with pytest.raises(ValueError, match=r"should be a matrix, got shape \(3,\)"):
        func.sparse_jacobian(lambda a: a, sparsity=np.ones(3))
    with pytest.raises(ValueError, match="argument 0 holds no tensors"):
        func.sparse_jacobian(lambda tree: torch.ones(2))({})
    with pytest.raises(RuntimeError, match="only tensors"):
        func.sparse_jacobian(lambda a: 3)(x)
    with pytest.raises(RuntimeError, match="scalar"):
        func.sparse_hessian(lambda a: a)(x)


def test_transforms_outside_are_refused() -> None:
    x = normal(3)
    with pytest.raises(RuntimeError, match="called inside vmap"):
        func.vmap(lambda row: func.sparse_jacobian(torch.sin)(row).data)(normal(2, 3))
    with pytest.raises(RuntimeError, match=r"called inside (grad|transform)"):
        func.grad(lambda x: func.sparse_jacobian(torch.sin)(x).sum())(x)
    with pytest.raises(RuntimeError, match=r"called inside (grad|transform)"):
        func.grad(lambda w: func.sparse_jacobian(lambda y: w * y)(x).sum())(x)


def test_levels_are_left_when_the_function_raises() -> None:
    def fails(x: Any) -> Any:
        raise KeyError("no")

    for transform in (func.sparse_jacobian, func.jacobian_sparsity):
        with pytest.raises(KeyError):
            transform(fails)(normal(3))
    with pytest.raises(KeyError):
        func.sparse_jacobian(fails, sparsity=np.eye(3))(normal(3))
    assert here.levels == [] and here.grad


def test_rules_that_give_zero_are_known_by_the_rule() -> None:
    step = elementwise("a_step_of_these_tests", np.heaviside, lambda g: g * 0, lambda g: g)
    try:
        pattern = func.jacobian_sparsity(lambda x: step(x[:2], x[2:]))(normal(4))
    finally:
        torch.core.primitive.TABLE.pop("a_step_of_these_tests")
    assert np.array_equal(pattern.toarray(), np.eye(2, 4, 2) > 0)


# --- an example that is not small: bundle adjustment ----------------------------------------------


def cross(a: Any, b: Any) -> Any:
    """The cross products of rows."""
    (x, y, z), (u, v, w) = a.unbind(1), b.unbind(1)
    return torch.stack([y * w - z * v, z * u - x * w, x * v - y * u], 1)


def project(cameras: Any, points: Any) -> Any:
    """Where cameras see points: Rodrigues' rotation, translation, focal length, distortion."""
    turn, shift = cameras[:, :3], cameras[:, 3:6]
    focal, k1, k2 = cameras[:, 6:7], cameras[:, 7:8], cameras[:, 8:9]
    angle = turn.norm(dim=1, keepdim=True)
    axis, c, s = turn / angle, torch.cos(angle), torch.sin(angle)
    along = (axis * points).sum(1, keepdim=True)
    p = points * c + cross(axis, points) * s + axis * (along * (1 - c)) + shift
    flat = -p[:, :2] / p[:, 2:]
    r2 = (flat * flat).sum(1, keepdim=True)
    return focal * (1 + k1 * r2 + k2 * r2 * r2) * flat


def test_bundle_adjustment() -> None:
    """2 residuals an observation, of 9 camera parameters and 3 coordinates: 12 colours."""
    rng = np.random.default_rng(0)
    m, n, seen = 5, 40, 120
    camera, point = (torch.tensor(rng.integers(0, k, seen)) for k in (m, n))
    cameras = normal(m, 9) * 0.1 + 0.3
    points = normal(n, 3) - torch.tensor([0.0, 0.0, 10.0], dtype=torch.float64)

    def residuals(cameras: Any, points: Any) -> Any:
        return project(cameras[camera], points[point])

    a, b = func.sparse_jacobian(residuals, (0, 1))(cameras, points)
    assert a.nnz == seen * 2 * 9 and b.nnz == seen * 2 * 3
    dense = func.jacfwd(residuals, (0, 1))(cameras, points)
    np.testing.assert_allclose(a.toarray(), dense[0].numpy().reshape(a.shape), rtol=1e-10,
                               atol=1e-12)
    np.testing.assert_allclose(b.toarray(), dense[1].numpy().reshape(b.shape), rtol=1e-10,
                               atol=1e-12)
    pattern = scipy.sparse.hstack(func.jacobian_sparsity(residuals, (0, 1))(cameras, points))
    assert sparse.plan(pattern.tocsr()).sweeps == 12


def test_custom_rules_are_followed() -> None:
    """The pattern is that of the rule, not of the program inside."""
    rounded = func.custom_jvp(lambda x: x.round())
    rounded.defjvp(lambda primals, ts: (rounded(primals[0]), ts[0]))
    x = torch.tensor([0.4, 1.7, 2.2])
    for f in (rounded, lambda x: rounded(x[1:]) * x[:-1]):
        assert np.array_equal(func.sparse_jacobian(f)(x).toarray(), func.jacfwd(f)(x).numpy())
    assert func.jacobian_sparsity(rounded)(x).nnz == 3
    found = func.sparse_hessian(lambda x: (rounded(x) ** 2).sum())(x)
    assert np.array_equal(found.toarray(), 2 * np.eye(3))


def test_custom_rules_that_can_not_be_followed() -> None:
    """They are linear, and so their own rule, or have none for tangents: all depends on all."""
    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return torch.from_numpy(x.detach().numpy().cumsum())

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            return Sum.apply(t)

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any) -> Any:
            return torch.stack([Sum.apply(row) for row in x]), 0

    x = torch.tensor([0.4, 1.7])
    assert np.array_equal(func.sparse_jacobian(Sum.apply)(x).toarray(), [[1, 0], [1, 1]])
    assert func.jacobian_sparsity(Sum.apply)(x).nnz == 4
    sine = func.custom_vjp(torch.sin)
    sine.defvjp(lambda x: (torch.sin(x), x), lambda x, g: (g * torch.cos(x),))
    found = func.sparse_jacobian(sine, mode="reverse")(x).toarray()
    np.testing.assert_allclose(found, np.diag(np.cos(x.numpy())), rtol=1e-6)
