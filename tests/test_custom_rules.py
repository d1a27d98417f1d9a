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


def times_by(kind: str, x: Any, w: Any) -> Any:
    """x w by a function of x alone."""
    f: Any
    if kind == "vjp":
        f = custom_vjp(lambda x: x * w)
        f.defvjp(lambda x: (x * w, None), lambda kept, g: (g * w,))
        return f(x)
    if kind == "jvp":
        f = custom_jvp(lambda x: x * w)
        f.defjvp(lambda primals, tangents: (primals[0] * w, tangents[0] * w))
        return f(x)

    class Times(torch.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * w

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * w

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            return t * w

    return Times.apply(x)


@pytest.mark.parametrize("kind", ["vjp", "jvp", "Function"])
def test_closing_over_what_is_differentiated(kind: str) -> None:
    """A derivative that would be lost is an error; where the rule's is all there is, it's right."""
    def f(x: Any, w: Any) -> Any:
        return times_by(kind, x, w)

    x, w = torch.tensor(2.), torch.tensor(3.)
    with pytest.raises(RuntimeError, match=r"this grad or vjp .*Make it an argument"):
        grad(f, (0, 1))(x, w)
    if kind != "vjp":
        with pytest.raises(RuntimeError, match=r"this jvp .*Make it an argument"):
            jvp(f, (x, w), (x, w))
    assert grad(f)(x, w) == 3
    a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
    if kind == "Function":  # PyTorch's: a constant at the ground, and nobody is told
        assert torch.autograd.grad(f(a, b), (a, b), allow_unused=True) == (3, None)
        with pytest.raises(RuntimeError, match="Make it an argument"):
            grad(lambda w: f(x, w))(w)
    else:
        with pytest.raises(RuntimeError, match=r"requires grad .*Make it an argument"):
            f(a, b)
        assert grad(lambda w: f(x, w))(w) == 2  # x is a constant: no rule is needed
        assert grad(lambda w: grad(f)(x, w))(w) == 1
    with torch.no_grad():
        assert grad(lambda w: f(w, w.detach()))(w) == 3


def test_rules_that_close_over_what_is_differentiated() -> None:
    """Gradients and tangents come out below, and belong to no level that has ended."""
    def by_gradient(x: Any, w: Any) -> Any:
        f = custom_vjp(lambda x: x * 2)
        f.defvjp(lambda x: (x * 2, None), lambda kept, g: (g * w,))
        return f(x)

    def by_tangent(x: Any, w: Any) -> Any:
        f = custom_jvp(lambda x: x * 2)
        f.defjvp(lambda primals, tangents: (primals[0] * 2, tangents[0] * w))
        return f(x)

    x, w = torch.tensor(2.), torch.tensor(3.)
    for f in (by_gradient, by_tangent):
        found = grad(f, (0, 1))(x, w)
        assert found == (3, 0) and all(g.aval.level is None for g in found)
        assert grad(lambda w, f=f: grad(f)(x, w))(w) == 1  # type: ignore[misc]
    out, tangent = jvp(by_tangent, (x, w), (x, w))
    assert (out, tangent) == (4, 6) and tangent.aval.level is None

    def pulled(w: Any, create: bool) -> Any:
        a = torch.tensor(2., requires_grad=True)
        return torch.autograd.grad(by_gradient(a, w), a, create_graph=create)[0]

    assert grad(lambda w: pulled(w, True))(w) == 1
    with pytest.raises(RuntimeError, match="Make it an argument"):
        grad(lambda w: pulled(w, False))(w)


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


@pytest.mark.parametrize("of", [custom_vjp, custom_jvp])
def test_closing_over_a_deeper_level(of: Any) -> None:
    def f(x: Any, c: Any) -> Any:
        times_c = of(lambda x: x * c)
        if of is custom_vjp:
            times_c.defvjp(lambda x: (x * c, None), lambda kept, g: (g * c,))
        else:
            times_c.defjvp(lambda primals, ts: (primals[0] * c, ts[0] * c))
        return times_c(x)

    for inner in (vmap, lambda g: grad(lambda c: g(c).sum())):
        with pytest.raises(RuntimeError, match="Make it an argument"):
            vmap(lambda x, inner=inner: inner(lambda c: f(x, c))(ones))(ones)


def test_nondiff_argnums_are_places() -> None:
    """One alone, places of defaults, and none that is not there."""
    def times(x: Any, n: int = 3) -> Any:
        return x * n

    for places in (1, (1,), -1, (-1,)):
        f = custom_vjp(times, nondiff_argnums=places)
        f.defvjp(lambda x, n: (x * n, None), lambda n, kept, g: (g * n * 10,))
        assert grad(f)(torch.tensor(1.)) == 30 and grad(lambda x, f=f: f(x, 4))(ones[0]) == 40
    f = custom_vjp(times, nondiff_argnums=(5,))
    f.defvjp(lambda x, n: (x, n), lambda n, kept, g: (g,))
    with pytest.raises(ValueError, match="nondiff_argnums has 5 in it, but there are 2"):
        f(ones, 2)


def test_defjvps_counts_the_rules() -> None:
    f = custom_jvp(lambda x, y: x * y)
    f.defjvps(lambda t, out, x, y: t * y)
    with pytest.raises(TypeError, match="given 1 rules, but there are 2 arguments"):
        grad(f)(ones[0], ones[0])
