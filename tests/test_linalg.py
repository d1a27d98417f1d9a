"""Linear algebra: what the table's tests don't see. Errors, conventions, batches, named results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import samples  # noqa: F401 - first: it imports the families' samples in turn
import wengert as torch
from samples_linalg import SAMPLES, Within
from wengert.core.aval import aval_of
from wengert.core.levels import here
from wengert.linalg import LinAlgError
from wengert.primitives.linalg.lapack import each

L = torch.linalg
EYE, NONE = torch.eye(2), torch.zeros(2, 2)
WIDE, VECTOR, LONG = torch.ones(2, 3), torch.ones(3), torch.ones(2, 2, dtype=torch.int64)
NAN = torch.full((2, 2), torch.nan)
BATCH = torch.stack([EYE, NONE])


def seeded(*shape: int, dtype: Any = torch.float64) -> Any:
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype.is_complex else 0)
    return torch.from_numpy(np.asarray(x, dtype.numpy))


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a.detach()), np.asarray(b.detach()), 1e-10, 1e-12)


# --- errors -----------------------------------------------------------------------------------

SINGULAR: dict[str, Callable[[], Any]] = {
    "linalg.inv: The diagonal element 1 is zero, the inversion could not be completed because the "
    "input matrix is singular.": lambda: L.inv(NONE),
    "linalg.inv: (Batch element 1): The diagonal element 1 is zero, the inversion could not be "
    "completed because the input matrix is singular.": lambda: torch.inverse(BATCH),
    "linalg.inv_ex: The diagonal element 2 is zero, the inversion could not be completed because "
    "the input matrix is singular.": lambda: L.inv_ex(torch.ones(2, 2), check_errors=True),
    "torch.linalg.solve: The solver failed because the input matrix is singular.":
        lambda: L.solve(NONE, EYE),
    "torch.linalg.solve: (Batch element 1): The solver failed because the input matrix is "
    "singular.": lambda: L.solve(BATCH, EYE),
    "linalg.cholesky: The factorization could not be completed because the input is not "
    "positive-definite (the leading minor of order 1 is not positive-definite).":
        lambda: L.cholesky(-EYE),
    "torch.linalg.lu_factor: U[1,1] is zero and using it on lu_solve would result in a division by "
    "zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
    "linalg.lu_factor_ex(A, pivot)": lambda: L.lu_factor(NONE),
    "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite "
    "values.": lambda: L.svd(NAN),
}
REFUSED: dict[str, Callable[[], Any]] = {
    "linalg.inv: A must be batches of square matrices, but they are 2 by 3 matrices":
        lambda: L.inv(WIDE),
    "linalg.det: The input tensor A must have at least 2 dimensions.": lambda: L.det(VECTOR),
    "linalg.slogdet: Expected a floating point or complex tensor as input. Got Long":
        lambda: L.slogdet(LONG),
    "linalg.inv: Low precision dtypes not supported. Got Half":
        lambda: L.inv(EYE.to(torch.float16)),
    "linalg.solve: Incompatible shapes of A and B for the equation AX = B (2x2 and 3x1)":
        lambda: L.solve(EYE, VECTOR),
    "linalg.solve: Expected A and B to have the same dtype, but found A of type Float and B of "
    "type Double instead": lambda: L.solve(EYE, EYE.double()),
    "linalg.solve_triangular: Incompatible shapes of A and B for the equation XA = B (2x2 and 2x3)":
        lambda: L.solve_triangular(EYE, WIDE, upper=True, left=False),
    "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive. Did you properly pass "
    "the result of lu_factor?": lambda: L.lu_solve(EYE, torch.tensor([5, 9]).int(), EYE),
    "torch.linalg.ldl_solve: the pivots are not those of a factorization; pass what "
    "torch.linalg.ldl_factor gives": lambda: L.ldl_solve(EYE, torch.tensor([1, -2]).int(), EYE),
    "torch.linalg.eig: input tensor should not contain infs or NaNs.": lambda: L.eig(NAN),
    "qr received unrecognized mode 'x' but expected one of 'reduced' (default), 'r', or 'complete'":
        lambda: L.qr(EYE, "x"),
    "Expected UPLO argument to be 'L' or 'U', but got X": lambda: L.eigh(EYE, "X"),
    "multi_dot(): expected at least 2 tensors but got 1": lambda: L.multi_dot([EYE]),
    "linalg.matrix_norm: Order 3 not supported.": lambda: L.matrix_norm(EYE, 3),
    "linalg.cross: inputs dimension -1 must have length 3. Got 2 and 2": lambda: L.cross(EYE, EYE),
    "N must be greater than 1.": lambda: L.vander(VECTOR, N=1),
    "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)":
        lambda: L.lstsq(EYE, EYE, driver="x"),
    "trace: expected a matrix, but got tensor with dim 1": lambda: torch.trace(VECTOR),
}


@pytest.mark.parametrize("message", [*SINGULAR, *REFUSED])
def test_messages(message: str) -> None:
    """In PyTorch's words; a matrix that can't be worked with is a `LinAlgError`."""
    with pytest.raises(RuntimeError) as caught:
        (SINGULAR | REFUSED)[message]()
    assert str(caught.value) == message
    assert (type(caught.value) is LinAlgError) == (message in SINGULAR)


def test_no_errors_if_nobody_checks() -> None:
    assert L.inv_ex(NONE).info.item() == 1
    assert L.cholesky_ex(-EYE).info.item() == 1
    assert L.lu_factor_ex(BATCH).info.tolist() == [0, 1]
    assert L.solve_ex(BATCH, EYE).info.tolist() == [0, 1]
    assert L.cond(NONE, 1).item() == torch.inf


# --- gradients that there are, and those that there aren't --------------------------------------


@pytest.mark.parametrize("name", ["svd", "eigh", "eig"])
def test_phases(name: str) -> None:
    """A loss that depends on the phases of vectors is refused; one that doesn't is not."""
    x = seeded(3, 3, dtype=torch.complex128)
    x = (x + x.mH if name == "eigh" else x).requires_grad_()
    first, second, *_ = getattr(L, name)(x)
    vectors = first if name == "svd" else second
    (vectors.abs() ** 2).sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="specified up to multiplication"):
        (vectors * seeded(3, 3, dtype=torch.complex128)).sum().real.backward()


def test_qr_without_derivative() -> None:
    tall, x = seeded(3, 2).requires_grad_(), seeded(2, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="not differentiable when mode='complete'"):
        L.qr(tall, "complete").Q.sum().backward()
    with pytest.raises(RuntimeError, match="not computed when mode='r'"):
        L.qr(x, "r").R.sum().backward()


def test_gradients_of_hermitian_matrices_are_hermitian() -> None:
    x = seeded(3, 3, dtype=torch.complex128)
    x = (x @ x.mH + torch.eye(3)).requires_grad_()
    for loss in (L.cholesky(x).abs().sum(), L.eigvalsh(x).exp().sum()):
        (g,) = torch.autograd.grad(loss, x)
        close(g, g.mH)


def test_gradient_of_a_singular_determinant() -> None:
    """The cofactors, which exist where the inverse doesn't."""
    x = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    L.det(x).backward()
    close(x.grad, torch.tensor([[4.0, -2.0], [-2.0, 1.0]], dtype=torch.float64))


def test_one_triangle_is_read() -> None:
    x = seeded(3, 3)
    x = x @ x.mT + torch.eye(3)
    low, high = x.tril(), x.triu()
    close(L.eigh(low).eigenvalues, L.eigvalsh(high, "U"))
    close(L.cholesky(low), L.cholesky(high, upper=True).mT)


def test_factors_are_saved_once() -> None:
    """What a second derivative needs of the first is handed on by nodes with several results."""
    x = seeded(3, 3).requires_grad_()
    u, s, vh = L.svd(x)
    (g,) = torch.autograd.grad((u * u).sum() + (s ** 3).sum() + vh[0, 0], x, create_graph=True)
    (again,) = torch.autograd.grad(g.sum(), x)

    def gradient(x: Any) -> Any:
        u, s, vh = L.svd(x)
        return torch.autograd.grad((u * u).sum() + (s ** 3).sum() + vh[0, 0], x)[0]

    h = 1e-5
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            e = torch.zeros(3, 3, dtype=torch.float64)
            e[i, j] = h
            moved = [gradient((x.detach() + k * e).requires_grad_()) for k in (1, -1)]
            expected[i, j] = (moved[0] - moved[1]).sum() / (2 * h)
    np.testing.assert_allclose(again.numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)


def test_a_result_written_to_is_noticed() -> None:
    """Results are saved by value; a write to one of several is seen by backward."""
    x = seeded(3, 3).requires_grad_()
    values, vectors = L.eigh(x + x.mT)
    loss = (vectors ** 3).sum()
    with torch.no_grad():
        vectors.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    values, vectors = L.eigh(x + x.mT)
    values.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        values.sum().backward()


def test_saved_through_hooks() -> None:
    """Results that are saved go through the user's hooks, each as itself."""
    x = seeded(3, 3).requires_grad_()
    seen: list[Any] = []

    def pack(t: Any) -> Any:
        seen.append(t.shape)
        return t.numpy().copy()

    with torch.autograd.graph.saved_tensors_hooks(pack, torch.from_numpy):
        values, vectors = L.eigh(x + x.mT)
    assert seen == [(3,), (3, 3)]
    loss = (values * vectors[0] ** 2).sum()
    (g,) = torch.autograd.grad(loss, x)
    plain = L.eigh(x + x.mT)
    close(g, torch.autograd.grad((plain[0] * plain[1][0] ** 2).sum(), x)[0])


# --- batches ------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "inv": L.inv, "det": L.det, "slogdet": lambda x: L.slogdet(x).logabsdet,
    "cholesky": lambda x: L.cholesky(x @ x.mT + torch.eye(3)),
    "qr": lambda x: L.qr(x).R, "svdvals": L.svdvals, "svd": lambda x: L.svd(x).U ** 2,
    "eigvalsh": L.eigvalsh, "eigh": lambda x: L.eigh(x + x.mT).eigenvectors ** 2,
    "eig": lambda x: L.eig(x + x.mT).eigenvalues.real.sort().values,
    "solve": lambda x: L.solve(x, torch.ones(3, dtype=torch.float64)),
    "solve many": lambda x: L.solve(x, x.mT), "lu": lambda x: L.lu(x).U, "pinv": L.pinv,
    "exp": L.matrix_exp, "power": lambda x: L.matrix_power(x, -3), "logdet": lambda x:
    torch.logdet(x @ x.mT), "lstsq": lambda x: L.lstsq(x[:, :2], x).solution,
    "lu_solve": lambda x: L.lu_solve(*L.lu_factor(x), x.mT),
    "cholesky_solve": lambda x: torch.cholesky_solve(x, L.cholesky(x @ x.mT + torch.eye(3))),
    "householder": lambda x: L.householder_product(x, x[0]), "cond": lambda x: L.cond(x, 1),
    "matrix_norm": lambda x: L.matrix_norm(x, "nuc"), "kron": lambda x: torch.kron(x, x[:2]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_of_a_batch(name: str) -> None:
    """`vmap`, alone and within and around derivatives, is a loop over matrices."""
    function, x = FUNCTIONS[name], seeded(2, 3, 3) + 3 * torch.eye(3)
    close(torch.vmap(function)(x), torch.stack([function(a) for a in x]))

    def loss(a: Any) -> Any:
        return (function(a) ** 2).sum()

    slope = torch.func.grad(loss)
    close(torch.vmap(slope)(x), torch.stack([slope(a) for a in x]))
    whole = torch.func.grad(lambda a: torch.vmap(loss)(a).sum())(x)
    close(whole, torch.vmap(slope)(x))
    t = seeded(2, 3, 3)
    _, pushed = torch.func.jvp(lambda a: torch.vmap(loss)(a), (x,), (t,))
    close(pushed, (whole * t).sum((1, 2)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled(name: str) -> None:
    function, x = FUNCTIONS[name], seeded(3, 3) + 3 * torch.eye(3)
    fast = torch.compile(lambda a: (function(a) ** 2).sum())
    for scale in (1.0, 1.5, 2.0):
        a, b = ((scale * x).requires_grad_() for _ in range(2))
        fast(a).backward()
        (function(b) ** 2).sum().backward()
        close(a.grad, b.grad)


def test_empty() -> None:
    """Matrices without rows, and batches without matrices."""
    none, few = torch.zeros(0, 0), torch.zeros(0, 2, 2, requires_grad=True)
    assert L.det(none).item() == 1
    assert L.inv(none).shape == (0, 0)
    assert L.qr(torch.zeros(3, 0), "complete").Q.tolist() == torch.eye(3).tolist()
    for function in (L.inv, L.det, L.svdvals, L.eigvalsh, L.matrix_exp, L.pinv, L.cholesky):
        function(few).sum().backward()
        assert few.grad is not None
        assert few.grad.shape == (0, 2, 2)
    assert L.solve(few, torch.zeros(2, 1)).shape == (0, 2, 1)
    assert L.lu(few).P.shape == (0, 2, 2)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if not isinstance(s, Within)], ids=str)
def test_more_in_the_batch(sample: Any) -> None:
    """A primitive's batching rule, with every choice of operands that have examples."""
    p, xs = sample.primitive, sample.operands
    for which in range(1, 2 ** len(xs)):
        batched = [bool(which >> i & 1) for i in range(len(xs))]
        stacked = [np.stack([x, x]) if b else x for x, b in zip(xs, batched, strict=True)]
        found = here.run(p.batch, 2, batched, *stacked, **sample.params)
        plain = here.run(p.evaluate, *xs, **sample.params)
        for many, one in zip(*(((f,) if not p.multiple else f) for f in (found, plain)),
                             strict=True):
            assert np.shape(many) == (2, *np.shape(one))
            for each_ in many:
                np.testing.assert_allclose(each_, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if isinstance(s, Within)], ids=str)
def test_said_of_results(sample: Any) -> None:
    """Shapes and dtypes that a primitive says beforehand, where it is sampled within a function."""
    met: list[Any] = []

    class Watched:
        def __call__(self, *xs: Any, **params: Any) -> Any:
            found = sample.primitive.inner(*xs, **params)
            met.append((xs, params, found))
            return found

    sample.function(Watched(), *sample.operands, **sample.params)
    ((xs, params, found),) = met
    p = sample.primitive.inner
    said = p.abstract(*map(aval_of, xs), **params)
    for aval, array in zip(*((x if p.multiple else (x,)) for x in (said, found)), strict=True):
        assert aval == aval_of(np.asarray(array))


def test_each_broadcasts() -> None:
    a, b = np.ones((2, 1, 2, 2)), np.ones((3, 2, 1))
    (found,) = each(lambda x, y: (x @ y,), a, b)
    np.testing.assert_array_equal(found, a @ b)


# --- results ------------------------------------------------------------------------------------


def test_named() -> None:
    found = L.svd(torch.eye(1))
    assert repr(found).startswith("torch.return_types.linalg_svd(\nU=tensor(")
    assert torch.svd(torch.ones(3, 2)).V.shape == (2, 2)
    assert L.lstsq(torch.ones(3, 1), torch.ones(3, 1), driver="gelsd").rank.item() == 1
    sign, logabsdet = torch.slogdet(-torch.eye(3))
    assert (sign.item(), logabsdet.item()) == (-1, 0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_derivatives_of_determinants_of_singular_matrices(dtype: Any) -> None:
    """A determinant of size 4 is a polynomial of degree 4 along a line: differences are exact."""
    x = torch.stack([seeded(4, rank, dtype=dtype) @ seeded(rank, 4, dtype=dtype)
                     for rank in range(1, 5)])
    t = seeded(4, 4, 4, dtype=dtype)

    def forward(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: torch.func.jvp(f, (x,), (t,))[1]

    def back(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: (torch.func.vjp(lambda x: f(x).sum(), x)[1](torch.ones((), dtype=dtype))[0]
                          .conj() * t).sum((-2, -1))

    at = {k: L.det(x + k * t) for k in range(-2, 3)}
    second = (-at[2] + 16 * at[1] - 30 * at[0] + 16 * at[-1] - at[-2]) / 12
    third = (at[2] - 2 * at[1] + 2 * at[-1] - at[-2]) / 2
    for slope in (forward, back):
        close(slope(back(L.det))(x), second)
        close(slope(slope(forward(L.det)))(x), third)
    close(torch.compile(forward(back(L.det)))(x), second)
    close(torch.vmap(lambda x, t: torch.func.jvp(lambda x: torch.func.jvp(
        L.det, (x,), (t,))[1], (x,), (t,))[1])(x, t), second)


def test_gradient_of_the_logarithm_of_no_determinant() -> None:
    x = torch.tensor([[1., 2.], [2., 4.]], requires_grad=True)
    torch.logdet(x).backward()
    assert x.grad.isinf().all()


def test_factors_multiply_to_the_matrix() -> None:
    for kind in (torch.float64, torch.complex128):
        x = seeded(2, 4, 3, dtype=kind)
        p, low, up = L.lu(x)
        close(p @ low @ up, x)
        close(torch.linalg.qr(x).Q @ torch.linalg.qr(x).R, x)
        u, s, vh = L.svd(x, full_matrices=False)
        close(u * s.unsqueeze(-2) @ vh, x)
        square = x.mH @ x
        values, v = L.eigh(square)
        close(v * values.unsqueeze(-2) @ v.mH, square)
        for hermitian in {False, kind.is_complex}:
            even = square if hermitian else square + square.mT
            close(L.ldl_solve(*L.ldl_factor(even, hermitian=hermitian), even @ x.mT,
                              hermitian=hermitian), x.mT)
        a, tau = torch.geqrf(x)
        close(torch.ormqr(a, tau, x, transpose=True)[:, :3], L.qr(x).R)
        close(torch.orgqr(a, tau), L.qr(x).Q)


def test_solutions() -> None:
    a, b = seeded(2, 3, 3, dtype=torch.complex128), seeded(3, 4, dtype=torch.complex128)
    close(a @ L.solve(a, b), b.expand(2, 3, 4))
    close(L.solve(a, b.mT, left=False) @ a, b.mT.expand(2, 4, 3))
    lu, pivots = L.lu_factor(a)
    for adjoint in (False, True):
        matrix = a.mH if adjoint else a
        close(matrix @ L.lu_solve(lu, pivots, b, adjoint=adjoint), b.expand(2, 3, 4))
        close(L.lu_solve(lu, pivots, b.mT, adjoint=adjoint, left=False) @ matrix,
              b.mT.expand(2, 4, 3))
    t = seeded(2, 3, 6)
    close(torch.tensordot(L.tensorinv(t.reshape(2, 3, 6), 2), t, 2), torch.eye(
        6, dtype=torch.float64))
    close(L.tensorsolve(t, seeded(2, 3)), L.solve(t.reshape(6, 6), seeded(2, 3).reshape(6)))


def test_large_and_small_systems_agree() -> None:
    """Right sides go to LAPACK together from some size on, and are substituted apart below it."""
    a, b = seeded(210, 210), seeded(210, 200)
    for x in (a, a.mT):
        close(L.solve(x, b)[:, :3], L.solve(x, b[:, :3]))
    g, h = ((L.solve(x, b[:, :n])[:, :3].sum(), x) for n, x in (
        (200, a.clone().requires_grad_()), (3, a.clone().requires_grad_())))
    np.testing.assert_allclose(torch.autograd.grad(*g)[0].numpy(),
                               torch.autograd.grad(*h)[0].numpy(), 1e-6, 1e-6)


@pytest.mark.parametrize("size", [2, 20])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("equation", "order"), [
    ("bij,jk->bik", (0, 1, 2)), ("bij,bkj->bik", (0, 1, 2)), ("bij->jb", (0, 1)),
    ("bij,ij->ib", (0, 1)), ("bhts,bshd->bthd", (0, 2, 1, 3))])
def test_einsums_lie_in_memory_as_they_are_written(
        equation: str, order: tuple[int, ...], compiled: bool, size: int) -> None:
    terms = equation.partition("->")[0].split(",")
    xs = [seeded(*(size + "bihtsjkld".index(c) for c in term)) for term in terms]
    word = torch.compile(torch.einsum) if compiled else torch.einsum
    assert word(equation, *xs).permute(order).is_contiguous()


@pytest.mark.parametrize("size", [2, 20])
def test_einsums_of_three(size: int) -> None:
    x, y, z = seeded(3, 4, size), seeded(size, size), seeded(size, 5)
    found = torch.einsum("bij,jk,kl->bil", x, y, z)
    assert found.is_contiguous() and torch.allclose(found, x @ y @ z)


def test_einsum_by_numbers() -> None:
    x, y = seeded(2, 3), seeded(3, 4)
    assert torch.allclose(torch.einsum(x, [0, 1], y, [1, 2], [2, 0]), (x @ y).mT)
    assert torch.allclose(torch.einsum(x, [30, 1], y, [1, 2]), (x @ y).mT)
    assert torch.allclose(torch.einsum(x, [..., 0], y, [0, 3], [..., 3]), x @ y)
    for given, error in (((x,), "at least one operand"), ((x, [0, 52]), "valid range")):
        with pytest.raises(ValueError, match=error):
            torch.einsum(*given)


def test_half_and_whole_precision_do_not_multiply() -> None:
    with pytest.raises(RuntimeError, match="c10::BFloat16 != float"):
        torch.ones(2, 3, dtype=torch.bfloat16) @ torch.ones(3, 2)


def test_systems_of_examples_of_one_side() -> None:
    """What is said of matrices has as many dimensions as there are matrices."""
    a = torch.tensor(np.random.default_rng(1).normal(size=(3, 4, 4)) + 4 * np.eye(4))
    b, c = torch.ones(2, 4, 1, dtype=torch.float64), torch.ones(3, 4, dtype=torch.float64)
    found = torch.func.vmap(lambda m: torch.linalg.solve_ex(m, b))(a)
    assert (found[0].shape, found[1].shape) == ((3, 2, 4, 1), (3,))
    found = torch.func.vmap(lambda v: torch.linalg.solve_ex(a[0], v))(c)
    assert (found[0].shape, found[1].shape) == ((3, 4), (3,))

    def slope(m: Any) -> Any:
        return torch.func.grad(lambda m: torch.linalg.solve(m, b).sum())(m)

    assert torch.allclose(torch.func.vmap(slope)(a), torch.stack([slope(m) for m in a]))


@pytest.mark.parametrize("argument", [0, 1])
def test_a_cotangent_that_all_examples_share(argument: int) -> None:
    a = torch.tensor(np.random.default_rng(2).normal(size=(4, 4)) + 4 * np.eye(4))
    b = torch.arange(24, dtype=torch.float64).reshape(3, 4, 2)

    def slope(a: Any, b: Any) -> Any:
        return torch.func.grad(lambda a, b: torch.linalg.solve(a, b).sum(), argument)(a, b)

    found = torch.func.vmap(slope, in_dims=(None, 0))(a, b)
    assert torch.allclose(found, torch.stack([slope(a, each) for each in b]))


def test_a_matrix_of_nan_is_not_positive_definite() -> None:
    x = torch.eye(3)
    x[1, 1] = torch.nan
    assert L.cholesky_ex(x).info == 2
    with pytest.raises(LinAlgError, match="the leading minor of order 2"):
        L.cholesky(x)
