"""`autograd.Function`: as PyTorch has it at the ground, and under every nesting of transforms."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.autograd import Function
from wengert.core.levels import here, shared
from wengert.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

PRELUDE = """
F = torch.autograd.Function
x = torch.tensor([1., 2.], requires_grad=True)
y = torch.tensor([3., 4.], requires_grad=True)
def make(forward, backward=lambda ctx, g: g, **more):
    return type("My", (F,), {"forward": staticmethod(forward), "backward": staticmethod(backward),
                             **{k: staticmethod(f) for k, f in more.items()}})
class Mul(F):
    @staticmethod
    def forward(ctx, a, b, times=2):
        ctx.save_for_backward(a, b)
        ctx.times = times
        return a * b * times
    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b * ctx.times, g * a * ctx.times, None
class Exp(F):
    @staticmethod
    def forward(ctx, a):
        out = a.exp()
        ctx.save_for_backward(out)
        return out
    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]
class Two(F):
    @staticmethod
    def forward(ctx, a):
        b, c = a * 2, a * a
        ctx.save_for_backward(a, b, c)
        return b, c, "text"
    @staticmethod
    def backward(ctx, g, h, nothing):
        a, b, c = ctx.saved_tensors
        assert nothing is None
        return 2 * g + b * h
class Triple_(F):
    @staticmethod
    def forward(ctx, a):
        a.mul_(3)
        ctx.mark_dirty(a)
        return a
    @staticmethod
    def backward(ctx, g):
        return g * 3
"""

PROGRAMS = {
    "values": "Mul.apply(x, y)",
    "keyword": "Mul.apply(x, y, times=5)",
    "backward": "Mul.apply(x, y).sum().backward(); x.grad, y.grad",
    "number": "Mul.apply(x, 3.) if False else Mul.apply(x, y, 7)",
    "node":
        "z = Mul.apply(x, y); n = z.grad_fn\nn.name(), type(n).__name__, len(n.next_functions), "
            "n.needs_input_grad, n.times, n.metadata, [s for s in n.saved_tensors]",
    "constant argument": "z = Mul.apply(x, y.detach())\nz.grad_fn.needs_input_grad, "
                         "[f is None for f, _ in z.grad_fn.next_functions]",
    "no grad": "with torch.no_grad():\n    z = Mul.apply(x, y)\nz, z.requires_grad",
    "nothing requires grad": "Mul.apply(x.detach(), y.detach())",
    "second derivative by inputs": "g, = torch.autograd.grad(Mul.apply(x, y).sum(), x, "
                                   "create_graph=True)\ng, torch.autograd.grad(g.sum(), y)",
    "second derivative by outputs": "g, = torch.autograd.grad(Exp.apply(x).sum(), x, "
                                    "create_graph=True)\nh, = torch.autograd.grad(g.sum(), x, "
                                    "create_graph=True)\nh, torch.autograd.grad(h.sum(), x)",
    "several outputs": "a, b, c = Two.apply(x)\n(a.sum() + b.sum()).backward(); a, b, c, x.grad",
    "one of several":
        "a, b, c = Two.apply(x); b.sum().backward(); x.grad, a.output_nr, b.output_nr",
    "through a saved output of several":
        "a, b, c = Two.apply(x)\ng, = torch.autograd.grad(b.sum(), x, create_graph=True)\n"
        "torch.autograd.grad(g.sum(), [x, a])",
    "through one whose tensor is gone":
        "a, b, c = Two.apply(x); del a\ng, = torch.autograd.grad(b.sum(), x, create_graph=True)\n"
        "torch.autograd.grad(g.sum(), [x])",
    "tuple of one": "make(lambda ctx, a: (a * 2,)).apply(x)",
    "no tensor": "make(lambda ctx, a: 3).apply(x), make(lambda ctx, a: None).apply(x)",
    "list": "make(lambda ctx, a: [a * 2]).apply(x)",
    "integers": "make(lambda ctx, a: a.long()).apply(x)",
    "overwritten input": "z = x * 1; w = Mul.apply(z, y); z.add_(1); w.sum().backward()",
    "overwritten output": "w = Exp.apply(x); w.add_(1); w.sum().backward()",
    "overwritten output of several": "a, b, c = Two.apply(x); a.add_(1); b.sum().backward()",
    "twice": "z = Mul.apply(x, y).sum(); z.backward(); z.backward()",
    "twice without saved": "z = make(lambda ctx, a: a * 2).apply(x).sum(); z.backward()\n"
                           "z.backward(); x.grad",
    "saved after backward": "z = Mul.apply(x, y); z.sum().backward(); z.grad_fn.saved_tensors",
    "retain": "z = Mul.apply(x, y).sum(); z.backward(retain_graph=True); z.backward(); x.grad",
    "saved None": "make(lambda ctx, a: ctx.save_for_backward(None, a) or a * 2,"
                  "lambda ctx, g: g * ctx.saved_tensors[1] * (ctx.saved_tensors[0] is None))"
                  ".apply(x).sum().backward(); x.grad",
    "too many gradients": "make(lambda ctx, a: a * 2, lambda ctx, g: (g, g)).apply(x).sum()"
                          ".backward()",
    "surplus Nones": "make(lambda ctx, a: a * 2, lambda ctx, g: (g, None)).apply(x).sum()"
                     ".backward(); x.grad",
    "too few": "make(lambda ctx, a: a * 2, lambda ctx, g: ()).apply(x).sum().backward()",
    "number as gradient": "make(lambda ctx, a: a * 2, lambda ctx, g: 3).apply(x).sum().backward()",
    "list as gradient": "make(lambda ctx, a: a * 2, lambda ctx, g: [g]).apply(x).sum().backward()",
    "wrong shape": "make(lambda ctx, a: a * 2, lambda ctx, g: torch.ones(3)).apply(x).sum()"
                   ".backward()",
    "narrower shape":
        "make(lambda ctx, a: a * 2, lambda ctx, g: g.sum()).apply(x).sum().backward()",
    "wider shape": "make(lambda ctx, a: a * 2, lambda ctx, g: torch.ones(5, 2)).apply(x).sum()"
                   ".backward(); x.grad",
    "other dtype": "make(lambda ctx, a: a * 2, lambda ctx, g: g.double()).apply(x).sum()"
                   ".backward(); x.grad",
    "None": "make(lambda ctx, a: a * 2, lambda ctx, g: None).apply(x).sum().backward(); x.grad",
    "gradient of a number": "make(lambda ctx, a, n: a * n, lambda ctx, g: (g, g)).apply(x, 3).sum()"
                            ".backward()",
    "error in backward": "make(lambda ctx, a: a * 2, lambda ctx, g: 1 / 0).apply(x).sum()"
                         ".backward()",
    "dirty":
        "z = x * 1; w = Triple_.apply(z)\n(w is z, z._version, torch.autograd.grad(z.sum(), x))",
    "dirty leaf": "Triple_.apply(x)",
    "dirty view": "b = x * 1; v = b[:1]; w = Triple_.apply(v)\n"
                  "(w is v, b, v, b._version, torch.autograd.grad(b.sum(), x))",
    "dirty view of a constant": "b = torch.ones(2); v = b[:1]\n"
        "w = make(lambda ctx, a, c: ctx.mark_dirty(a) or a.copy_(c), lambda ctx, g: (g * 0, g * 5))"
        ".apply(v, x[:1])\n(b, torch.autograd.grad(b.sum(), x))",
    "dirty view, several": "b = x * 1\n"
        "make(lambda ctx, a: (ctx.mark_dirty(a), (a.add_(1), a * 2))[1], lambda ctx, g, h: g)"
        ".apply(b[:1])",
    "dirty, not returned": "b = x * 1\nmake(lambda ctx, a: (ctx.mark_dirty(a.add_(1)), a * 2)[1])"
                           ".apply(b)",
    "dirty, no input": "def f(ctx, a):\n    b = a * 1\n    ctx.mark_dirty(b)\n    return b\n"
                       "make(f).apply(x)",
    "dirty is noticed": "a = torch.ones(2); b = x * a; Triple_.apply(a); b.sum().backward()",
    "returned as it is": "z = make(lambda ctx, a: a, lambda ctx, g: g * 5).apply(x)\n"
                         "z is x, z._is_view(), z, torch.autograd.grad(z.sum(), x)",
    "returned as it is, no grad": "with torch.no_grad():\n    z = make(lambda ctx, a: a).apply(x)\n"
                                  "z is x, z._is_view(), z",
    "returned as it is, overwritten": "make(lambda ctx, a: a).apply(x).add_(1)",
    "view": "z = make(lambda ctx, a: a[:1], lambda ctx, g: torch.ones(2)).apply(x)\n"
            "z, z._is_view(), torch.autograd.grad(z.sum(), x)",
    "view overwritten": "make(lambda ctx, a: a[:1]).apply(x * 1).add_(1)",
    "view whose base is overwritten": "b = x * 1; z = make(lambda ctx, a: a[:1]).apply(b)\n"
                                      "b.add_(1); z * 2",
    "views overwritten": "v, w = make(lambda ctx, a: (a[:1], a[1:])).apply(x * 1); v.add_(1)",
    "views of a constant":
        "a = torch.ones(2)\nv, w = make(lambda ctx, a: (a[:1], a[1:])).apply(a)\n"
                           "v.add_(1); a",
    "not differentiable":
        "def f(ctx, a):\n    b, c = a * 2, a * 3\n    ctx.mark_non_differentiable(c)\n"
                          "    return b, c\n"
                          "b, c = make(f, lambda ctx, g, h: g + h + 1).apply(x)\n"
                          "b, c, torch.autograd.grad(b.sum(), x)",
    "input not differentiable": "make(lambda ctx, a: ctx.mark_non_differentiable(a) or a).apply(x)",
    "not materialized":
        "def f(ctx, a):\n    ctx.set_materialize_grads(False)\n    return a * 2, a * 3\n"
                        "b, c = make(f, lambda ctx, g, h: g if h is None else h).apply(x)\n"
                        "torch.autograd.grad(b.sum(), x)",
    "save a number": "make(lambda ctx, a: ctx.save_for_backward(3) or a * 2).apply(x)",
    "save a number for forward": "make(lambda ctx, a: ctx.save_for_forward(3) or a * 2).apply(x)",
    "no forward": "type('My', (F,), {}).apply(x)",
    "no backward":
        "type('My', (F,), {'forward': staticmethod(lambda ctx, a: a * 2)}).apply(x).sum()"
                   ".backward()",
    "backward and vjp":
        "make(lambda ctx, a: a * 2, vjp=lambda ctx, g: g).apply(x).sum().backward()",
    "vjp": "type('My', (F,), {'forward': staticmethod(lambda ctx, a: a * 2), 'vjp': staticmethod("
           "lambda ctx, g: g * 7)}).apply(x).sum().backward(); x.grad",
    "instance": "F()",
    "call of an instance": "import warnings\nwith warnings.catch_warnings():\n"
                           "    warnings.simplefilter('ignore')\n    f = F()\nf(x)",
    "setup_context": "G = make(lambda a, n=3: a ** n, lambda ctx, g: (g * ctx.n * "
                     "ctx.saved_tensors[0] ** (ctx.n - 1), None), setup_context=lambda ctx, i, o: "
                     "(ctx.save_for_backward(i[0]), setattr(ctx, 'n', i[1])))\n"
                     "z = G.apply(x)\nz, torch.autograd.grad(z.sum(), x)",
    "tensor hook":
        "z = Mul.apply(x, y); z.register_hook(lambda g: g * 2); z.sum().backward(); x.grad",
    "node hooks": "z = Mul.apply(x, y); seen = []\n"
                  "z.grad_fn.register_hook(lambda gi, go: seen.append((gi, go)))\n"
                  "z.grad_fn.register_prehook(lambda go: (go[0] * 2,))\n"
                  "z.sum().backward(); seen, x.grad",
    "retain_grad": "z = Exp.apply(x); z.retain_grad(); z.sum().backward(); z.grad",
    "grad mode in forward":
        "seen = []\nmake(lambda ctx, a: seen.append(torch.is_grad_enabled()) or "
                            "a * 2, lambda ctx, g: seen.append(torch.is_grad_enabled()) or g)"
                            ".apply(x).sum().backward(); seen",
    "once differentiable": "def f(ctx, a):\n    ctx.save_for_backward(a)\n    return a * a\n"
        "once = torch.autograd.function.once_differentiable\n"
        "G = make(f, once(lambda ctx, g: 2 * g * ctx.saved_tensors[0]))\n"
        "v = torch.ones(2, requires_grad=True)\n"
        "g, = torch.autograd.grad(G.apply(x), x, v, create_graph=True)\n"
        "print(g); g.sum().backward()",
    "once differentiable, once": "once = torch.autograd.function.once_differentiable\n"
        "make(lambda ctx, a: a * 2, once(lambda ctx, g: 2 * g)).apply(x).sum().backward(); x.grad",
    "saved tensors hooks":
        "packed = []\ndef pack(t):\n    packed.append(t.shape)\n    return t * 2\n"
        "with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t / 2):\n"
        "    z = Mul.apply(x, y); w = Exp.apply(x)\n"
        "(z + w).sum().backward(); len(packed), x.grad",
    "anomaly": "with torch.autograd.detect_anomaly():\n"
        "    make(lambda ctx, a: a * 2, lambda ctx, g: g * float('nan')).apply(x).sum().backward()",
    "gradcheck": "a = torch.tensor([1., 2.], dtype=torch.float64, requires_grad=True)\n"
                 "torch.autograd.gradcheck(Exp.apply, (a,)), "
                 "torch.autograd.gradgradcheck(Exp.apply, (a,))",
    "no vmap": "G = make(lambda a: a * 2, setup_context=lambda ctx, i, o: None)\n"
               "torch.func.vmap(G.apply)(x.detach())",
    "vmap twice": "G = make(lambda a: a * 2, setup_context=lambda ctx, i, o: None, "
                  "vmap=lambda info, d, a: (a, 0))\nG.generate_vmap_rule = True\n"
                  "torch.func.vmap(G.apply)(x.detach())",
    "vmap": "seen = []\nG = make(lambda a, b: a * b, setup_context=lambda ctx, i, o: None, "
            "vmap=lambda info, d, a, b: (seen.append((info.batch_size, info.randomness, d)) "
            "or a * b, 0))\n"
            "torch.func.vmap(G.apply, (0, None))(x.detach(), y.detach().sum()), seen",
    "vmap to another place": "G = make(lambda a: a * 2, setup_context=lambda ctx, i, o: None, "
        "vmap=lambda info, d, a: ((a.t() * 2, a), (1, 0)))\n"
        "torch.func.vmap(G.apply)(torch.arange(6.).reshape(2, 3))",
    "vmap of one return": "G = make(lambda a: a * 2, setup_context=lambda ctx, i, o: None, "
        "vmap=lambda info, d, a: (a, 0, 0))\ntorch.func.vmap(G.apply)(x.detach())",
    "jvp missing": "G = make(lambda a: a * 2, setup_context=lambda ctx, i, o: None)\n"
                   "torch.func.jvp(G.apply, (x,), (y,))",
    "jvp": "G = make(lambda a, b: (a * b, a + 1), None, setup_context=lambda ctx, i, o: "
           "ctx.save_for_forward(*i), jvp=lambda ctx, t, u: (ctx.saved_tensors[0] * u * 10 + "
           "ctx.saved_tensors[1] * t, t))\n"
           "torch.func.jvp(G.apply, (x.detach(), y.detach()), (y.detach(), x.detach()))",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_pytorch(name: str) -> None:
    from oracle import compare  # skips where PyTorch is missing

    warns = name not in ("anomaly", "instance", "jvp missing")  # PyTorch's are about itself
    different = compare(PRELUDE + PROGRAMS[name], warns=warns)
    assert not different, different


# --- transforms -----------------------------------------------------------------------------------


class Cube(Function):
    """x³ with a derivative ten times too large, so that one sees which rule was used."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any) -> Any:
        return x ** 3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 30 * ctx.saved_tensors[0] ** 2

    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        return t * 30 * ctx.saved_tensors[0] ** 2


class CombinedCube(Cube):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x ** 3

    setup_context = Function.setup_context


class HandBatched(Cube):
    generate_vmap_rule = False

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        assert in_dims == (0,)
        return HandBatched.apply(x), 0


def total(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(x).sum()


ones = torch.ones(2)
NESTED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "f": (lambda f: f, [1, 8]),
    "grad": (lambda f: grad(total(f)), [30, 120]),
    "grad grad": (lambda f: grad(total(grad(total(f)))), [60, 120]),
    "grad grad grad": (lambda f: grad(total(grad(total(grad(total(f)))))), [60, 60]),
    "vjp": (lambda f: lambda x: vjp(f, x)[1](ones)[0], [30, 120]),
    "jvp": (lambda f: lambda x: jvp(f, (x,), (ones,))[1], [30, 120]),
    "jvp jvp": (lambda f: lambda x: jvp(lambda y: jvp(f, (y,), (ones,))[1], (x,), (ones,))[1],
                [60, 120]),
    "jvp grad": (lambda f: lambda x: jvp(grad(total(f)), (x,), (ones,))[1], [60, 120]),
    "grad jvp": (lambda f: grad(lambda x: jvp(f, (x,), (ones,))[1].sum()), [60, 120]),
    "vmap": (vmap, [1, 8]),
    "vmap grad": (lambda f: vmap(grad(f)), [30, 120]),
    "grad vmap": (lambda f: grad(total(vmap(f))), [30, 120]),
    "vmap grad grad": (lambda f: vmap(grad(grad(f))), [60, 120]),
    "grad vmap grad": (lambda f: grad(total(vmap(grad(f)))), [60, 120]),
    "grad grad vmap": (lambda f: grad(total(grad(total(vmap(f))))), [60, 120]),
    "vmap jvp": (lambda f: vmap(lambda x: jvp(f, (x,), (torch.tensor(1.),))[1]), [30, 120]),
    "jvp vmap": (lambda f: lambda x: jvp(vmap(f), (x,), (ones,))[1], [30, 120]),
    "jacrev": (jacrev, [[30, 0], [0, 120]]),
    "jacfwd": (jacfwd, [[30, 0], [0, 120]]),
    "hessian": (lambda f: hessian(total(f)), [[60, 0], [0, 120]]),
}


@pytest.mark.parametrize("cls", [Cube, CombinedCube, HandBatched])
@pytest.mark.parametrize("name", NESTED)
def test_under_transforms(cls: Any, name: str) -> None:
    transform, expected = NESTED[name]
    found = transform(cls.apply)(torch.tensor([1., 2.]))
    np.testing.assert_allclose(found.numpy(), expected)
    assert not here.levels and here.grad


@pytest.mark.parametrize("name", [n for n in NESTED if "jvp" not in n and n != "grad grad grad"])
def test_history_outside(name: str) -> None:
    """What transforms compute is recorded outside, by the same rule."""
    transform, _ = NESTED[name]
    x = torch.tensor([1., 2.], requires_grad=True)
    (found,) = torch.autograd.grad(transform(Cube.apply)(x).sum(), x)
    step = np.array([1e-2, 0])
    numeric = [sum(sign * float(transform(Cube.apply)(torch.tensor(
        [1., 2.] + sign * np.roll(step, i))).sum()) for sign in (1, -1)) / 2e-2 for i in (0, 1)]
    scale = 10 if name in ("f", "vmap") else 1  # the rule is not the function's derivative
    np.testing.assert_allclose(found.numpy(), scale * np.array(numeric), rtol=1e-3)


def test_doubly_batched() -> None:
    x = torch.arange(6.).reshape(2, 3)
    for cls in (Cube, CombinedCube):
        found = grad(lambda x, cls=cls: vmap(vmap(cls.apply))(x).sum())(x)
        assert torch.equal(found, 30 * x ** 2)


def test_shared_over_the_batch() -> None:
    """What all examples share gets the sum of their gradients."""

    class Times(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(a: Any, b: Any, n: int) -> Any:
            return a * b, n

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs[:2])
            ctx.shape = inputs[0].shape

        @staticmethod
        def backward(ctx: Any, g: Any, nothing: Any) -> Any:
            a, b = ctx.saved_tensors
            assert nothing is None and g.shape == ctx.shape
            return g * b, g * a, None

    rows = torch.arange(6.).reshape(3, 2)
    w = torch.tensor([2., 3.])
    found = grad(lambda w: vmap(lambda a: Times.apply(w, a, 3)[0])(rows).sum())(w)
    assert torch.equal(found, rows.sum(0))
    one = torch.ones(3, 1)
    found = grad(lambda w: vmap(lambda a: Times.apply(w, a, 3)[0])(one).sum())(torch.ones(1))
    assert torch.equal(found, torch.tensor([3.]))


class Straight(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.round()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


def test_straight_through() -> None:
    def f(x: Any) -> Any:
        return Straight.apply(x) ** 2

    x = torch.tensor(1.6)
    assert grad(f)(x) == 4 and grad(grad(f))(x) == 2
    x.requires_grad_()
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    assert g == 4 and torch.autograd.grad(g, x)[0] == 2


class Triple(Function):
    """Times three in place, with a derivative of 30."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any) -> Any:
        return x.mul_(3)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_dirty(inputs[0])

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 30

    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        return t.mul_(30)


def through_a_view(x: Any) -> Any:
    y = x * 1
    v = y[:1]
    assert Triple.apply(v) is v
    return (y * y).sum()


def test_in_place_under_transforms() -> None:
    x = torch.tensor([1., 2.])
    rows = torch.ones(3, 2)
    assert grad(through_a_view)(x).tolist() == [180, 4]
    assert hessian(through_a_view)(x).tolist() == [[1800, 0], [0, 2]]
    assert jvp(through_a_view, (x,), (ones,))[1] == 184
    assert vmap(through_a_view)(rows).tolist() == [10] * 3
    assert vmap(grad(through_a_view))(rows).tolist() == [[180, 2]] * 3
    assert grad(lambda r: vmap(through_a_view)(r).sum())(rows).tolist() == [[180, 2]] * 3
    assert x.tolist() == [1, 2] and torch.equal(rows, torch.ones(3, 2)) and torch.equal(
        ones, torch.ones(2))


def test_once_differentiable_under_transforms() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g * ctx.saved_tensors[0]

    assert grad(Square.apply)(torch.tensor(3.)) == 6
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad(grad(Square.apply))(torch.tensor(3.))


# --- what only this library says ------------------------------------------------------------------


def test_names_of_the_users_own() -> None:
    """Whatever is set on `ctx`, it is never something of the tape's."""
    names = ("out", "order", "edges", "saved", "ins", "params", "extra", "line", "custom", "given")

    class Notes(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            for name in names:
                setattr(ctx, name, name)
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            assert all(getattr(ctx, name) == name for name in names)
            return g * 2

    x = torch.ones(2, requires_grad=True)
    Notes.apply(Notes.apply(x)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [4, 4]
    with pytest.raises(AttributeError, match="NotesBackward"):
        Notes.apply(x).grad_fn.missing


def test_no_cycles() -> None:
    """Saved results do not keep the graph alive."""

    class Exp(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            a, b = x.exp(), x * 2
            ctx.save_for_backward(a, b, x)
            return a, b

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return g * ctx.saved_tensors[0] + 2 * h

    x = torch.ones(2, requires_grad=True)
    gc.disable()
    try:
        a, b = Exp.apply(x)
        node = weakref.ref(a.grad_fn)
        assert node() is not None
        del a, b
        assert node() is None
    finally:
        gc.enable()


def test_errors_leave_nothing_behind() -> None:
    class Fails(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, where: str) -> Any:
            if where == "forward":
                raise KeyError(where)
            return x * 2

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.where = inputs[1]
            if inputs[1] == "setup":
                raise KeyError(inputs[1])

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise KeyError(ctx.where)

        @staticmethod
        def jvp(ctx: Any, t: Any, nothing: Any) -> Any:
            raise KeyError(ctx.where)

    x = torch.ones(2, requires_grad=True)
    for where in ("forward", "setup", "backward"):
        def f(x: Any, where: str = where) -> Any:
            return Fails.apply(x, where).sum()

        for run in (lambda: f(x).backward(), lambda: grad(f)(x), lambda: hessian(f)(x),
                    lambda: jvp(f, (x,), (x,)), lambda: grad(lambda x: vmap(f)(x).sum())(
                        torch.ones(2, 2))):
            with pytest.raises(KeyError, match=where):
                run()
            assert not here.levels and here.grad and x.grad is None
    gc.collect()
    assert not shared.special


def test_the_users_line() -> None:
    """Under anomaly detection an error of a rule names where the function was applied."""

    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g[:1].expand(7)

    x = torch.ones(2, requires_grad=True)
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError) as caught:
        y = Wrong.apply(x)
        y.sum().backward()
    assert "WrongBackward returned an invalid gradient at index 0 - got [7]" in str(caught.value)
    assert any("WrongBackward" in note and "test_function.py" in note
               for note in caught.value.__notes__)


def test_keyword_only_arguments() -> None:
    class Power(Function):
        @staticmethod
        def forward(x: Any, *, n: int = 2) -> Any:
            return x ** n

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0]

    x = torch.tensor([1., 2.], requires_grad=True)
    Power.apply(x, n=3).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, 2]
    assert grad(lambda x: Power.apply(x, n=3).sum())(x).tolist() == [1, 2]


def test_complex_gradient_of_a_real_argument() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g + 1j

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"got torch\.complex64 for an input of torch\.float32"):
        Wrong.apply(x).sum().backward()


def test_drawn() -> None:
    """The drawings show a Function as a step of its own."""
    from wengert import show

    x = torch.tensor([1., 2.], requires_grad=True)
    picture = str(show.graph((Straight.apply(x * 1.2) + x).sum()))
    assert "Straight" in picture


class AddsOne(Function):
    """Writes in place; its gradient is ten times too large."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.add_(1)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 10

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        return x.add_(1), 0


def test_in_place_without_recording() -> None:
    """What is not recorded leaves history alone, at a level as at the ground."""
    def f(x: Any) -> Any:
        y = x * 2
        with torch.no_grad():
            AddsOne.apply(y)
            AddsOne.apply(y[:1])
        return y.sum()

    x = torch.ones(2, requires_grad=True)
    assert torch.autograd.grad(f(x), x)[0].tolist() == [2, 2]
    assert grad(f)(torch.ones(2)).tolist() == [2, 2]
    assert f(torch.ones(2)) == 7


def test_in_place_through_a_batched_view() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        AddsOne.apply(y[:1])
        return y

    assert vmap(f)(torch.ones(2, 2)).tolist() == [[3, 2], [3, 2]]


def test_in_place_without_a_tangent() -> None:
    def f(x: Any) -> Any:
        y = (x > 0).to(torch.float32)
        AddsOne.apply(y)
        return x * y

    one = torch.ones(2)
    assert [t.tolist() for t in jvp(f, (one,), (one,))] == [[2, 2], [2, 2]]
    assert grad(lambda x: f(x).sum())(one).tolist() == [2, 2]


def test_grad_of_what_is_lent() -> None:
    """`.grad` set on one function's argument is not seen on another's."""
    seen = []

    class Leave(Function):
        @staticmethod
        def forward(x: Any) -> Any:
            seen.append(x.grad)
            x.grad = torch.ones(2)
            return x * 1

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    for _ in range(2):
        grad(lambda x: Leave.apply(x).sum())(torch.ones(2))
    assert seen == [None, None]


class Squared(Function):
    generate_vmap_rule = True
    rests: threading.Barrier | None = None

    @staticmethod
    def forward(x: Any) -> Any:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.note = inputs[0] * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        if Squared.rests is not None:  # all threads are in here at once
            Squared.rests.wait(10)
        (x,) = ctx.saved_tensors
        if Squared.rests is not None:
            Squared.rests.wait(10)
        assert x.shape == ctx.note.shape == ()
        return g * (x + ctx.note / 2)


def in_threads(count: int, f: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(f())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_generated_rules_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([1., 2.], requires_grad=True)
    y = vmap(Squared.apply)(x).sum()
    monkeypatch.setattr(Squared, "rests", threading.Barrier(2))
    found = in_threads(2, lambda: torch.autograd.grad(y, x, retain_graph=True)[0].tolist())
    assert found == [[2, 4], [2, 4]]


def test_generated_rules_within_themselves() -> None:
    """A rule that pulls through its own node once more."""
    runs: list[Any] = []

    class Again(Squared):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            if not runs:
                runs.append(None)
                runs.append(torch.autograd.grad(y, x, retain_graph=True)[0].tolist())
            return Squared.backward(ctx, g)

    x = torch.tensor([1., 2.], requires_grad=True)
    y = vmap(Again.apply)(x).sum()
    assert torch.autograd.grad(y, x)[0].tolist() == [2, 4] == runs[1]


def test_in_a_helper_thread() -> None:
    """What matters is where the arguments live, not what is in force in the thread."""
    class Cube(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x ** 3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 30 * ctx.saved_tensors[0] ** 2

    assert grad(lambda x: in_threads(1, lambda: Cube.apply(x))[0])(torch.tensor(2.)) == 120


def test_numpy_inside_forward() -> None:
    """Nothing is recorded there, so nothing is lost."""
    class Sine(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.from_numpy(np.interp(x.numpy(), [0, 1], [0, 3]))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return torch.as_tensor(np.full(2, 3.0)) * g + 0 * np.asarray(*ctx.saved_tensors)

    x = torch.tensor([0.2, 0.4], requires_grad=True, dtype=torch.float64)
    y = Sine.apply(x)
    y.sum().backward()
    assert y.tolist() == pytest.approx([0.6, 1.2]) and x.grad.tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        x.numpy()


@pytest.mark.parametrize(("dim", "kind"), [(5, IndexError), (-2, IndexError), ("a", TypeError)])
def test_out_dims_out_of_range(dim: Any, kind: type[Exception]) -> None:
    class Same(Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * 1

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any) -> Any:
            return x * 1, dim

    with pytest.raises(kind, match=r"Dimension|'dim'"):
        vmap(Same.apply)(torch.ones(3))
