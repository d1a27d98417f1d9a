"""`custom_vjp` and `custom_jvp`: rules of plain functions, alone and under every nesting."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core.levels import here, shared
from wengert.func import (
    custom_jvp,
    custom_vjp,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
    vmap,
)


@custom_vjp
def by_cotangent(x: Any) -> Any:
    """x³ with a derivative ten times too large, so that one sees which rule was used."""
    return x ** 3


by_cotangent.defvjp(lambda x: (by_cotangent(x), x), lambda x, g: (g * 30 * x ** 2,))


@custom_vjp
def by_residual(x: Any) -> Any:
    """The same; what is kept is neither argument nor output."""
    return x ** 3


by_residual.defvjp(lambda x: (by_residual(x), 30 * x ** 2), lambda kept, g: (g * kept,))


@custom_jvp
def by_tangent(x: Any) -> Any:
    return x ** 3


@by_tangent.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return by_tangent(*primals), tangents[0] * 30 * primals[0] ** 2


def total(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(x).sum()


ones = torch.ones(2)
REVERSE: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "f": (lambda f: f, [1, 8]),
    "grad": (lambda f: grad(total(f)), [30, 120]),
    "grad grad": (lambda f: grad(total(grad(total(f)))), [60, 120]),
    "grad grad grad": (lambda f: grad(total(grad(total(grad(total(f)))))), [60, 60]),
    "vjp": (lambda f: lambda x: vjp(f, x)[1](ones)[0], [30, 120]),
    "vmap": (vmap, [1, 8]),
    "vmap grad": (lambda f: vmap(grad(f)), [30, 120]),
    "grad vmap": (lambda f: grad(total(vmap(f))), [30, 120]),
    "vmap grad grad": (lambda f: vmap(grad(grad(f))), [60, 120]),
    "grad vmap grad": (lambda f: grad(total(vmap(grad(f)))), [60, 120]),
    "grad grad vmap": (lambda f: grad(total(grad(total(vmap(f))))), [60, 120]),
    "jvp grad": (lambda f: lambda x: jvp(grad(total(f)), (x,), (ones,))[1], [60, 120]),
    "jacrev": (jacrev, [[30, 0], [0, 120]]),
}
FORWARD: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "jvp": (lambda f: lambda x: jvp(f, (x,), (ones,))[1], [30, 120]),
    "jvp jvp": (lambda f: lambda x: jvp(lambda y: jvp(f, (y,), (ones,))[1], (x,), (ones,))[1],
                [60, 120]),
    "grad jvp": (lambda f: grad(lambda x: jvp(f, (x,), (ones,))[1].sum()), [60, 120]),
    "vmap jvp": (lambda f: vmap(lambda x: jvp(f, (x,), (torch.tensor(1.),))[1]), [30, 120]),
    "jvp vmap": (lambda f: lambda x: jvp(vmap(f), (x,), (ones,))[1], [30, 120]),
    "jacfwd": (jacfwd, [[30, 0], [0, 120]]),
    "hessian": (lambda f: hessian(total(f)), [[60, 0], [0, 120]]),
}
CASES = [(f, name) for f in (by_cotangent, by_residual) for name in REVERSE if name != "jvp grad"
         ] + [(by_tangent, name) for name in (*REVERSE, *FORWARD)]


@pytest.mark.parametrize(("f", "name"), CASES)
def test_nested(f: Any, name: str) -> None:
    transform, expected = (REVERSE | FORWARD)[name]
    np.testing.assert_allclose(transform(f)(torch.tensor([1., 2.])).numpy(), expected)
    assert not here.levels and here.grad


@pytest.mark.parametrize("f", [by_cotangent, by_residual, by_tangent, vmap(by_cotangent),
                               vmap(by_residual), vmap(by_tangent)])
def test_backward(f: Any) -> None:
    """At the ground the rule is in force as well, to any order."""
    x = torch.tensor([1., 2.], requires_grad=True)
    y = f(x)
    assert y.tolist() == [1, 8] and y.grad_fn.name().endswith("Backward")
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    (k,) = torch.autograd.grad(h.sum(), x)
    assert (g.tolist(), h.tolist(), k.tolist()) == ([30, 120], [60, 120], [60, 60])
    f(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [30, 120]
    assert not f(x.detach()).requires_grad
    with torch.no_grad():
        assert not f(x).requires_grad


@pytest.mark.parametrize("f", [by_cotangent, by_residual, by_tangent])
def test_history_outside(f: Any) -> None:
    x = torch.tensor([1., 2.], requires_grad=True)
    assert torch.autograd.grad(grad(total(f))(x).sum(), x)[0].tolist() == [60, 120]
    assert torch.autograd.grad(vmap(grad(f))(x).sum(), x)[0].tolist() == [60, 120]
    assert grad(lambda w: vmap(lambda a: f(w * a))(x).sum())(torch.tensor(1.)) == 30 + 240


@custom_jvp
def log1pexp(x: Any) -> Any:
    return torch.log1p(torch.exp(x))


@log1pexp.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    return log1pexp(x), torch.sigmoid(x) * t


def test_numerically_stable() -> None:
    x = torch.tensor([0., 1., 100.])
    s = torch.sigmoid(x)
    assert torch.allclose(vmap(grad(log1pexp))(x), s)
    assert torch.allclose(vmap(grad(grad(log1pexp)))(x), s * (1 - s))
    assert torch.allclose(vmap(jacfwd(jacrev(log1pexp)))(x), s * (1 - s))


def test_rules_in_rules() -> None:
    """A rule may use functions that have rules themselves."""

    @custom_vjp
    def outer(x: Any) -> Any:
        return by_cotangent(x) * 2

    outer.defvjp(lambda x: (outer(x), x), lambda x, g: (g * by_cotangent(x),))
    x = torch.tensor(2.)
    assert grad(outer)(x) == 8 and grad(grad(outer))(x) == 120
    assert vmap(grad(grad(outer)))(torch.tensor([1., 2.])).tolist() == [30, 120]


def test_pytrees() -> None:
    @custom_vjp
    def f(d: Any, pair: Any) -> Any:
        return {"s": d["a"] * pair[0], "t": (pair[1], 3)}

    f.defvjp(lambda d, pair: (f(d, pair), (d, pair)),
             lambda kept, g: ({"a": g["s"] * kept[1][0] * 10}, None))
    d, pair = {"a": torch.tensor(2.)}, (torch.tensor(3.), torch.tensor(1.))
    assert grad(lambda d: f(d, pair)["s"])(d)["a"] == 30
    assert grad(lambda p: f(d, p)["s"])(pair)[0] == 0
    assert f(d, pair)["t"][1] == 3

    @custom_jvp
    def g(d: Any) -> Any:
        return {"sum": d["a"] + d["b"], "first": d["a"]}

    @g.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (t,) = tangents
        return g(*primals), {"sum": t["a"] * 5, "first": None}

    where = {"a": torch.tensor(1.), "b": torch.tensor(2.)}
    found = grad(lambda d: sum(g(d).values()))(where)
    assert (found["a"], found["b"]) == (5, 0)
    assert jvp(g, (where,), (where,))[1] == {"sum": 5, "first": 0}


def test_nondiff_argnums() -> None:
    @functools.partial(custom_jvp, nondiff_argnums=(0,))
    def applied(f: Any, x: Any) -> Any:
        return f(x)

    @applied.defjvp
    def _(f: Any, primals: Any, tangents: Any) -> Any:
        return applied(f, *primals), 10 * tangents[0]

    @functools.partial(custom_vjp, nondiff_argnums=(1,))
    def scaled(x: Any, n: int) -> Any:
        return x * n

    scaled.defvjp(lambda x, n: (x * n, None), lambda n, kept, g: (g * n * 10,))
    x = torch.tensor(1.)
    assert grad(lambda x: applied(torch.sin, x))(x) == 10
    assert value_and_grad(lambda x: scaled(x, n=3))(x) == (3, 30)
    assert vmap(grad(lambda x: scaled(x, -1)))(ones).tolist() == [-10, -10]


def test_defjvps() -> None:
    @custom_jvp
    def mul(a: Any, b: Any) -> Any:
        return a * b

    a, b = torch.tensor(2.), torch.tensor(5.)
    mul.defjvps(lambda t, out, a, b: t * b, lambda t, out, a, b: a * t * 10)
    assert grad(mul, (0, 1))(a, b) == (5, 20)
    assert jvp(mul, (a, b), (a, b))[1] == 110
    mul.defjvps(None, lambda t, out, a, b: a * t)
    assert grad(mul, (0, 1))(a, b) == (0, 2)


def test_integer_arguments_and_outputs() -> None:
    @custom_jvp
    def take(x: Any, i: Any) -> Any:
        return x[i], i + 1

    @take.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return take(*primals), (tangents[0][primals[1]] * 10, None)

    x, i = torch.tensor([1., 2.]), torch.tensor(1)
    assert grad(lambda x: take(x, i)[0])(x).tolist() == [0, 10]
    assert jvp(lambda x: take(x, i)[0], (x,), (ones,))[1] == 10


def test_overwritten() -> None:
    @custom_vjp
    def f(x: Any) -> Any:
        return x.sum()

    f.defvjp(lambda x: (x.sum(), x[:1]), lambda kept, g: (g * kept.expand(2),))
    z = torch.ones(2, requires_grad=True) * 1
    y = f(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_closing_over_a_batched_tensor() -> None:
    def f(c: Any) -> Any:
        times_c = custom_vjp(lambda x: x * c)
        times_c.defvjp(lambda x: (x * c, None), lambda kept, g: (g * c * 10,))
        return times_c(c)

    with pytest.raises(RuntimeError, match="Make it an argument"):
        vmap(f)(ones)
    assert grad(f)(torch.tensor(2.)) == 20  # to its rule, what it closes over is a constant


def test_errors() -> None:
    x = torch.tensor(2.)

    @custom_vjp
    def f(x: Any) -> Any:
        """What f does."""
        return x * 2

    assert f.__name__ == "f" and f.__doc__ == "What f does."
    with pytest.raises(AttributeError, match="No VJP defined for custom_vjp function f"):
        f(x)
    with pytest.raises(AttributeError, match="No JVP defined for custom_jvp function f"):
        custom_jvp(f)(x)
    f.defvjp(lambda x: x, lambda kept, g: (g,))
    with pytest.raises(TypeError, match="must produce a pair"):
        grad(f)(x)
    for rule, words in ((lambda kept, g: g, "must produce a tuple"),
                        (lambda kept, g: (g, g), "of length 1"),
                        (lambda kept, g: ((g, g),), "argument 0 has structure")):
        f.defvjp(lambda x: (f(x), None), rule)
        with pytest.raises(TypeError, match=words):
            grad(f)(x)
    f.defvjp(lambda x: (f(x), None), lambda kept, g: (torch.ones(3),))
    with pytest.raises(RuntimeError, match=r"fBackward .* got \[3\] but expected .* \[2\]"):
        grad(total(f))(ones)
    with pytest.raises(TypeError, match=r"can't apply forward-mode differentiation \(jvp\) to a "
                                        "custom_vjp function"):
        jvp(f, (x,), (x,))
    h = custom_jvp(lambda x: x * 2)
    for rule, words in ((lambda p, t: p[0], "must produce a pair"),
                        (lambda p, t: (p[0], (t[0], t[0])), "equal container"),
                        (lambda p, t: (p[0], torch.ones(3)), "different size|equal shapes"),
                        (lambda p, t: (p[0], 3), "Variable or None|tensor or None")):
        h.defjvp(rule)
        for run in (lambda: jvp(h, (x,), (x,)), lambda: grad(h)(x)):
            with pytest.raises((TypeError, RuntimeError), match=words):
                run()
    with pytest.raises(TypeError, match="nondiff_argnums"):
        custom_jvp(lambda x, n: x, nondiff_argnums=(1,)).defjvps(None)
    with pytest.raises(TypeError, match="keyword-only"):
        g = custom_vjp(lambda x, *, n: x)
        g.defvjp(lambda x: (x, None), lambda kept, g: (g,))
        g(x, n=3)
    gc.collect()
    assert not here.levels and here.grad and not shared.special
