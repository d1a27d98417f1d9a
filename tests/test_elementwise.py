"""Elementwise functions: how exact they are, what they share, what compiled code makes of them.

`test_primitives.py` has their rules and `test_elementwise_parity.py` PyTorch's conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import wengert as torch

RNG = np.random.default_rng(11)
EPS = np.finfo(np.float64).eps


# --- accuracy ---------------------------------------------------------------------------------

def _logit(x: Any) -> Any:
    return mpmath.log(x / (1 - x))


def _sinc(x: Any) -> Any:
    return mpmath.sincpi(x)


WIDE = np.concatenate([10.0 ** RNG.uniform(-12, 2, 60), -(10.0 ** RNG.uniform(-12, 2, 60))])
SHARES = np.concatenate([10.0 ** RNG.uniform(-100, -1, 40), RNG.uniform(0.1, 0.9, 40),
                         1 - 10.0 ** RNG.uniform(-15, -1, 40)])
EXACT: dict[str, tuple[Callable[..., Any], Callable[[Any], Any], np.ndarray, float]] = {
    "logit": (torch.logit, _logit, SHARES, 8),
    "logaddexp2": (lambda x: torch.logaddexp2(x, 0.5 * x),
                   lambda x: mpmath.log(mpmath.mpf(2) ** x + mpmath.mpf(2) ** (x / 2), 2), WIDE, 8),
    "xlogy": (lambda x: torch.xlogy(x, x), lambda x: x * mpmath.log(x), np.abs(WIDE), 8),
    "sinc": (torch.sinc, _sinc, WIDE[np.abs(WIDE) < 1], 64),
}
"""The function, the same in high precision, where, and how many roundings off it may be."""


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_accuracy(name: str, order: int) -> None:
    """Values, slopes and second derivatives keep their digits over wide ranges."""
    function, reference, at, roundings = EXACT[name]
    found: Any = torch.from_numpy(at.copy()).requires_grad_()
    x, found = found, function(found)
    for _ in range(order):
        (found,) = torch.autograd.grad(found.sum(), x, create_graph=True)
    with mpmath.workdps(160):
        exact = np.array([float(mpmath.diff(reference, mpmath.mpf(v), order,
                                            h=mpmath.mpf(abs(v)) * mpmath.mpf(10) ** -40)
                                if order else reference(mpmath.mpf(v))) for v in at])
    size = np.maximum(np.abs(exact), 1e-300)
    off = np.abs(found.detach().numpy() - exact) / size
    assert off.max() <= roundings * (order + 1) * EPS * 4, at[off.argmax()]


# --- memory -----------------------------------------------------------------------------------


def test_views_of_complex_numbers_share_memory() -> None:
    x = torch.tensor([1 + 2j, 3 - 1j])
    parts = torch.view_as_real(x)
    parts[0, 1] = 7
    assert x[0].item() == 1 + 7j
    torch.view_as_complex(parts).mul_(2)
    assert x.tolist() == [2 + 14j, 6 - 2j]


def test_writing_through_a_view_of_complex_numbers() -> None:
    """The gradient knows of it: z = (2 re x, 3 im x)."""
    x = torch.tensor([3 + 4j], requires_grad=True)
    z = x * 1
    torch.view_as_real(z).mul_(torch.tensor([2., 3.]))
    torch.real(z).sum().backward()
    assert x.grad.tolist() == [2 + 0j]


def test_results_have_memory_of_their_own() -> None:
    for x in (torch.tensor([True, False]), torch.tensor([1, 2]), torch.tensor([1., 2.])):
        for word in ("sign", "sgn", "nan_to_num", "round" if x.dtype is not torch.bool else "sgn"):
            y = getattr(torch, word)(x)
            y.zero_()
            assert x[0].item() == 1, word


# --- compiled ---------------------------------------------------------------------------------

COMPILED = {
    "logit": lambda x: torch.logit(torch.sigmoid(x), 0.2), "sinc": torch.sinc,
    "nan_to_num": lambda x: torch.nan_to_num(1 / (x - x[0])), "frac": torch.frac,
    "extremes": lambda x: torch.fmax(x, x.flip(0)) - torch.fmin(x, 1 - x),
    "signs": lambda x: torch.copysign(x, -x) + torch.sgn(x) + torch.heaviside(
        x.detach(), x.detach() ** 2),
    "logarithms": lambda x: torch.xlogy(x, x * x + 1) + torch.logaddexp2(x, 2 * x),
    "angles": lambda x: torch.deg2rad(x) + torch.rad2deg(x) + torch.angle(x),
    "powers": lambda x: torch.ldexp(x, x) + torch.float_power(x * x + 1, 0.3),
    "frexp": lambda x: torch.frexp(x).mantissa * torch.frexp(x).exponent,
    "limits": lambda x: torch.clamp_min(x, 0.1) * torch.clamp_max(x, x.flip(0)),
    "complex": lambda x: torch.view_as_real(torch.polar(x, x) * torch.complex(x, 1 - x)),
    "questions": lambda x: torch.where(torch.isclose(x, x.round()) | torch.isposinf(x), x, 2 * x),
    "integers": lambda x: x * torch.gcd(torch.arange(6), torch.tensor(4)) + torch.lcm(
        torch.arange(6), torch.tensor(4)),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name: str) -> None:
    """Compiled code gives the same numbers and gradients, also for others than it was made for."""
    def run(function: Any, at: np.ndarray) -> list[np.ndarray]:
        x = torch.from_numpy(at.copy()).requires_grad_()
        y = function(x)
        return [y.detach().numpy(), torch.autograd.grad(y.sum(), x)[0].numpy()]

    fast = torch.compile(COMPILED[name])
    for at in (RNG.standard_normal(6), RNG.standard_normal(6), np.array([0, 1, -1, 2, 0.5, 8.])):
        for mine, theirs in zip(run(fast, at), run(COMPILED[name], at), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in COMPILED if n not in ("complex", "integers")])
def test_large(name: str) -> None:
    """Large arrays, for which there are kernels, give what their parts give."""
    at = RNG.standard_normal((1 << 20) + 7).astype(np.float32)
    whole = COMPILED[name](torch.from_numpy(at)).numpy()
    if name in ("extremes", "limits"):
        ends = np.concatenate([at[:500], at[-500:]])
        part = COMPILED[name](torch.from_numpy(ends)).numpy()
        whole = np.concatenate([whole[:500], whole[-500:]])
    else:
        part = COMPILED[name](torch.from_numpy(at[:1000])).numpy()
        whole = whole[:1000]
    np.testing.assert_allclose(whole, part, rtol=2e-5, atol=1e-5)


# --- names ------------------------------------------------------------------------------------

ALIASES = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh",
    "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh", "clip": "clamp", "divide": "div",
    "fix": "trunc", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le",
    "multiply": "mul", "negative": "neg", "not_equal": "ne", "subtract": "sub",
}


@pytest.mark.parametrize("name", ALIASES)
def test_aliases(name: str) -> None:
    """Functions, methods and in-place methods have the same other names."""
    was = ALIASES[name]
    assert getattr(torch, name) is getattr(torch, was)
    for ending in ("", "_"):
        assert getattr(torch.Tensor, name + ending) is getattr(torch.Tensor, was + ending)
