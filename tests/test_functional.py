"""`autograd.functional`: against PyTorch, and by what its results must be."""

from __future__ import annotations

import pytest

import wengert as torch
from grouped import grouped
from wengert.autograd import functional

D = torch.float64

# --- against PyTorch --------------------------------------------------------------------------

NAMES = """F = torch.autograd.functional
x = torch.tensor([.5, 2.], dtype=torch.float64)
y = torch.tensor([1., 3., -2.], dtype=torch.float64)
xr = x.clone().requires_grad_()
z = torch.tensor([1 + 2j, -.5 + 1j])
one = torch.tensor(2., dtype=torch.float64)
"""

GENERAL = [  # function, inputs, a vector like its outputs, one like its inputs
    ("lambda x: x * 2", "x", "x", "x"),
    ("lambda x: x ** 3", "x", "x", "xr"),
    ("lambda x: x ** 3", "xr", "x", "x.float()"),
    ("lambda x: x ** 3", "(x,)", "x", "(x,)"),
    ("lambda x: (x ** 3,)", "x", "(x,)", "(x,)"),
    ("lambda x: x", "x", "None", "None"),
    ("lambda x: x", "x", "y", "y"),
    ("lambda x: x", "x", "(x, x)", "(x, x)"),
    ("lambda x: y", "x", "y", "x"),
    ("lambda x: x.detach()", "x", "x", "x"),
    ("lambda x: (x ** 2, x.long())", "x", "(x, x)", "x"),
    ("lambda x: (x ** 2, y)", "x", "(x, y)", "x"),
    ("lambda x: (x ** 2, xr)", "x", "(x, x)", "x"),
    ("lambda x: x.sum()", "x", "None", "x"),
    ("lambda x: x.reshape(2, 1) * y", "x", "torch.ones(2, 3)", "x"),
    ("lambda x, y: (x ** 2, y.sum() * x)", "(x, y)", "(x, x)", "(x, y)"),
    ("lambda x, y: x ** 2", "(x, y)", "x", "(x, y)"),
    ("lambda x, y: (x, y)", "(x, y)", "(x, x)", "(x, x)"),
    ("lambda x, y: (x, y)", "(x, y)", "(x,)", "(x,)"),
    ("lambda x, y: x * y.sum()", "(x, y.float())", "x", "(x, y)"),
    ("lambda z: z * z", "z", "z", "z"),
    ("lambda z: z.real * z.imag", "z", "z.real", "z"),
    ("lambda x: x * (1 + 2j)", "x", "x * 1j", "x"),
    ("lambda x: x * x", "one", "None", "None"),
    ("lambda x: x.sum()", "torch.zeros(0, 3)", "None", "torch.zeros(0, 3)"),
    ("lambda x: x.mul_(2)", "x", "x", "x"),
    ("lambda x: x.mul_(2)", "xr", "x", "x"),
    ("lambda x: 3.", "x", "x", "x"),
    ("lambda x: [x]", "x", "x", "x"),
    ("lambda x: (x, 1)", "x", "x", "x"),
    ("lambda x: x", "3.", "x", "x"),
    ("lambda x: x", "[x]", "x", "x"),
    ("lambda x, y: x", "(x, (y,))", "x", "x"),
    ("lambda x: x * 2.", "torch.arange(2)", "x", "x"),
    ("lambda x: x * 2.", "x", "3.", "[x]"),
    ("lambda x, y: (x, y)", "(x, y)", "(x, 3)", "(x, 3)"),
]
SCALAR = [  # function, inputs, a vector like them
    ("lambda x: x.pow(3).sum()", "x", "x"),
    ("lambda x: x.pow(3).sum()", "x", "xr"),
    ("lambda x: x.pow(3).sum()", "xr", "x.float()"),
    ("lambda x: x.pow(3).sum()", "(x,)", "(x,)"),
    ("lambda x: x.pow(3).sum()", "x", "None"),
    ("lambda x: x.pow(3).sum()", "x", "y"),
    ("lambda x: x.pow(3).sum().reshape(1)", "x", "(x,)"),
    ("lambda x: x.sum()", "x", "x"),
    ("lambda x: y.sum()", "x", "x"),
    ("lambda x, y: (x ** 3).sum() * (y ** 3).sum()", "(x, y)", "(x, y)"),
    ("lambda x, y: (x ** 3).sum()", "(x, y)", "(x, y)"),
    ("lambda x, y: (x ** 3).sum() + y.sum()", "(x, y)", "(x, y)"),
    ("lambda x, y: (x ** 3).sum() * (y ** 3).sum()", "(x, y)", "x"),
    ("lambda x: x", "x", "x"),
    ("lambda x: (x.sum(),)", "x", "x"),
    ("lambda x: 3.", "x", "x"),
    ("lambda x: x", "3.", "x"),
    ("lambda z: (z * z.conj() * z.abs()).real.sum()", "z", "z"),
    ("lambda z: z.pow(3).sum()", "z", "z"),
    ("lambda x: x ** 3", "one", "None"),
    ("lambda x: x ** 3", "one.reshape(1)", "None"),
]
MODES = ["", ", create_graph=True", ", strict=True", ", strict=True, create_graph=True"]
VECTORIZED = [", vectorize=True", ", vectorize=True, strict=True"]
CALLS = [
    *(f"F.vjp({f}, {i}, {u}{mode})" for f, i, u, _ in GENERAL for mode in MODES),
    *(f"F.jvp({f}, {i}, {v}{mode})" for f, i, _, v in GENERAL for mode in MODES),
    *(f"F.{name}({f}, {i}, {v}{mode})" for f, i, v in SCALAR for mode in MODES
      for name in ("vhp", "hvp")),
    *(f"F.jacobian({f}, {i}{mode})" for f, i, *_ in GENERAL for mode in MODES + VECTORIZED),
    *(f"F.hessian({f}, {i}{mode})" for f, i, _ in SCALAR for mode in MODES + VECTORIZED),
    "F.jacobian(lambda x: x ** 3, x, vectorize=True, create_graph=True)",
    "F.hessian(lambda x: x.pow(3).sum(), xr, vectorize=True, create_graph=True)",
    "F.jacobian(lambda x: x, x, strategy='backward')",
    *(f"F.jacobian(lambda x: x, x, strategy='forward-mode', {word}=True)"
      for word in ("create_graph", "strict")),
    *("F.jacobian({}, {}, strategy='forward-mode', vectorize=True)".format(*case) for case in (
        ("lambda x: x ** 2", "x"), ("lambda x: y", "x"), ("lambda x: x.long()", "x"),
        ("lambda z: z * z * 1j", "z"), ("lambda x: x * (1 + 2j)", "x"))),
    "torch.no_grad()(F.jacobian)(lambda x: x ** 2, x, create_graph=True)",
]


@grouped(dict.fromkeys(CALLS), by=lambda call: call.partition("(")[0])
def test_as_pytorch(call: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is the oracle here")
    oracle = pytest.importorskip("oracle")
    # Its forward mode warns of what it is built on.
    assert not oracle.compare(NAMES + call, warns="forward" not in call)


# --- by themselves ----------------------------------------------------------------------------


def f(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (x.reshape(2, 1) * y).sin(), y.sum() * x[0]


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([.5, 2.], dtype=D), torch.tensor([1., 3., -2.], dtype=D)


def close(a: object, b: object) -> bool:
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(close, a, b))
    return torch.allclose(a, b) and a.dtype is b.dtype  # type: ignore[arg-type, attr-defined]


WAYS = [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}]


@pytest.mark.parametrize("way", WAYS)
def test_jacobian_has_the_shapes_of_outputs_then_inputs(way, inputs) -> None:
    found = functional.jacobian(f, inputs, **way)
    assert [[tuple(block.shape) for block in row] for row in found] == [
        [(2, 3, 2), (2, 3, 3)], [(2,), (3,)]]
    assert all(isinstance(row, tuple) and not block.requires_grad for row in found for block in row)
    assert close(found, functional.jacobian(f, inputs))


def test_products_are_those_of_the_jacobian(inputs) -> None:
    jacobian = functional.jacobian(f, inputs)
    u = (torch.randn(2, 3, dtype=D), torch.randn((), dtype=D))
    v = (torch.randn(2, dtype=D), torch.randn(3, dtype=D))
    _, left = functional.vjp(f, inputs, u)
    _, right = functional.jvp(f, inputs, v)
    assert close(left, tuple(sum(torch.einsum("i,ij->j", u[i].reshape(-1),
                                              jacobian[i][j].reshape(u[i].numel(), -1))
                                 for i in range(2)) for j in range(2)))
    assert close(right, tuple(sum(jacobian[i][j] @ v[j] for j in range(2)) for i in range(2)))


def test_hessian_and_its_products_agree(inputs) -> None:
    def g(x, y):
        return f(x, y)[0].prod() + f(x, y)[1] ** 3

    v = (torch.randn(2, dtype=D), torch.randn(3, dtype=D))
    hessian = functional.hessian(g, inputs)
    product = tuple(sum(hessian[i][j] @ v[j] for j in range(2)) for i in range(2))
    assert close(functional.vhp(g, inputs, v)[1], product)
    assert close(functional.hvp(g, inputs, v)[1], product)
    forward = functional.hessian(g, inputs, vectorize=True,
                                 outer_jacobian_strategy="forward-mode")
    assert close(forward, hessian) and not forward[0][0].requires_grad
    assert close(functional.hessian(g, inputs, vectorize=True), hessian)


def test_results_can_be_differentiated(inputs) -> None:
    x = inputs[0].requires_grad_()
    functional.hessian(lambda x: (x ** 4).sum(), x, create_graph=True).sum().backward()
    assert torch.allclose(x.grad, 24 * x)
    _, product = functional.jvp(lambda x: x ** 3, x, torch.ones(2, dtype=D), create_graph=True)
    assert torch.allclose(torch.autograd.grad(product.sum(), x)[0], 6 * x)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("function", "shape", "found"), [
    (lambda x: x * 2, (0,), (0, 0)), (lambda x: x.sum(), (0, 3), (0, 3)),
    (lambda x: x[:0], (3,), (0, 3)), (lambda x: x.reshape(0, 2), (2, 0), (0, 2, 2, 0)),
    (lambda x: x * x, (), ()),
])
def test_empty_and_scalar(way, function, shape, found) -> None:
    jacobian = functional.jacobian(function, torch.ones(shape, dtype=D), **way)
    assert tuple(jacobian.shape) == found and jacobian.dtype is D


def test_gradients_elsewhere_are_left_alone(inputs) -> None:
    x, y = (t.requires_grad_() for t in inputs)
    functional.jacobian(f, (x, y), vectorize=True)
    functional.hessian(lambda x: (x * y.sum()).prod(), x)
    assert x.grad is None and y.grad is None


def test_forward_mode_needs_vectorize(inputs) -> None:
    with pytest.raises(NotImplementedError, match="only implemented for `vectorize=True`"):
        functional.jacobian(f, inputs, strategy="forward-mode")
    with pytest.raises(NotImplementedError, match="only implemented for `vectorize=True`"):
        functional.hessian(torch.sum, inputs[0], outer_jacobian_strategy="forward-mode")
