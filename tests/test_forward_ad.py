"""`autograd.forward_ad`: dual tensors inside `dual_level`, as PyTorch has them."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import wengert
from wengert.autograd import forward_ad
from wengert.core.levels import here, shared

X, T = [0.5, 1.5, 2.0], [1.0, -2.0, 0.5]

pytestmark = pytest.mark.filterwarnings(  # PyTorch's own, when it first uses forward mode
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def both(program: Any) -> None:
    """A program's numbers must be PyTorch's; it is given the library and its forward_ad."""
    from oracle import TOLERANCE, torch as pytorch  # skips where PyTorch is missing

    ours = program(wengert, forward_ad)
    expected = program(pytorch, pytorch.autograd.forward_ad)
    assert len(ours) == len(expected)
    for a, b in zip(ours, expected, strict=True):
        if b is None:
            assert a is None
            continue
        kind = str(b.dtype).removeprefix("torch.")
        assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape)
        near = TOLERANCE.get(kind, 0)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), near, near)


@pytest.mark.parametrize("f", [
    lambda torch, x: x * x, lambda torch, x: x.exp() / (1 + x.sin()),
    lambda torch, x: torch.softmax(x, 0), lambda torch, x: x.sort(descending=True)[0],
    lambda torch, x: torch.outer(x, x) @ x, lambda torch, x: x.cumsum(0).prod(),
    lambda torch, x: torch.stack([x[0], x[2]]).norm(), lambda torch, x: x.max(),
    lambda torch, x: torch.where(x > 1, x ** 3, x), lambda torch, x: x.argmax(),
    lambda torch, x: torch.ones(3), lambda torch, x: x.detach() * 2,
    lambda torch, x: x.logsumexp(0) + x.var(), lambda torch, x: x.flip(0)[:, None].expand(3, 2),
])
def test_operations(f: Any) -> None:
    def program(torch: Any, fw: Any) -> Any:
        with fw.dual_level():
            out = f(torch, fw.make_dual(torch.tensor(X), torch.tensor(T)))
            return tuple(fw.unpack_dual(out))

    both(program)


def test_in_place_and_views() -> None:
    def program(torch: Any, fw: Any) -> Any:
        with fw.dual_level():
            d = fw.make_dual(torch.tensor(X), torch.tensor(T))
            a = torch.zeros(3)
            v = a[:2]
            a.copy_(d * d)
            v.mul_(d[1:])
            b = d * 1
            b[0] = 3.
            w = b[1:]
            b.add_(d)
            return [part for x in (a, v, b, w) for part in fw.unpack_dual(x)]

    both(program)


def test_forward_over_reverse() -> None:
    """Tangents are recorded: they can be differentiated by the primal and by the tangent."""
    def program(torch: Any, fw: Any) -> Any:
        x = torch.tensor(X, requires_grad=True)
        t = torch.tensor(T, requires_grad=True)
        with fw.dual_level():
            primal, tangent = fw.unpack_dual((fw.make_dual(x, t) ** 3).sum())
        (primal + tangent).backward()
        return x.grad, t.grad

    both(program)


def test_no_grad_keeps_tangents() -> None:
    def program(torch: Any, fw: Any) -> Any:
        with fw.dual_level(), torch.no_grad():
            return tuple(fw.unpack_dual(fw.make_dual(torch.tensor(X), torch.tensor(T)) * 2))

    both(program)


def test_inside_transforms() -> None:
    def program(torch: Any, fw: Any) -> Any:
        def f(x: Any) -> Any:
            with fw.dual_level():
                return fw.unpack_dual((fw.make_dual(x, torch.ones(3)) ** 3).sum()).tangent

        return (torch.func.grad(f)(torch.tensor(X)),)

    both(program)


def test_transforms_inside() -> None:
    def program(torch: Any, fw: Any) -> Any:
        with fw.dual_level():
            d = fw.make_dual(torch.tensor(X), torch.tensor(T))
            g = torch.func.grad(lambda z: (z ** 3).sum())(d)
            m = torch.func.vmap(lambda z: z * z)(d)
            return *fw.unpack_dual(g), *fw.unpack_dual(m)

    both(program)


def test_functions() -> None:
    def program(torch: Any, fw: Any) -> Any:
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, n: int) -> Any:
                ctx.save_for_forward(x)
                ctx.n = n
                return x * x, x[:1] * n

            @staticmethod
            def jvp(ctx: Any, t: Any, nothing: Any) -> Any:
                assert nothing is None
                return 20 * t * ctx.saved_tensors[0], ctx.n * t[:1]

        with fw.dual_level():
            a, b = Square.apply(fw.make_dual(torch.tensor(X), torch.tensor(T)), 3)
            return *fw.unpack_dual(a), *fw.unpack_dual(b)

    both(program)


ERRORS = {
    "no level": lambda torch, fw, x, t: fw.make_dual(x, t),
    "leaving no level": lambda torch, fw, x, t: fw.exit_dual_level(),
    "nested": lambda torch, fw, x, t: inside(fw, fw.enter_dual_level),
    "other level": lambda torch, fw, x, t: inside(fw, lambda: fw.exit_dual_level(level=3)),
    "making at another level": lambda torch, fw, x, t: inside(
        fw, lambda: fw.make_dual(x, t, level=1)),
    "unpacking at another level": lambda torch, fw, x, t: inside(
        fw, lambda: fw.unpack_dual(fw.make_dual(x, t), level=1)),
    "twice": lambda torch, fw, x, t: inside(fw, lambda: fw.make_dual(fw.make_dual(x, t), t)),
    "dual tangent": lambda torch, fw, x, t: inside(fw, lambda: fw.make_dual(x, fw.make_dual(x, t))),
    "size": lambda torch, fw, x, t: inside(fw, lambda: fw.make_dual(x, t[:1])),
    "integer primal": lambda torch, fw, x, t: inside(fw, lambda: fw.make_dual(x.long(), t)),
    "integer tangent": lambda torch, fw, x, t: inside(fw, lambda: fw.make_dual(x, t.long())),
    "no tensor": lambda torch, fw, x, t: inside(fw, lambda: fw.make_dual(3., t)),
    "any other": lambda torch, fw, x, t: inside(fw, lambda: {}["key"]),
}


def inside(fw: Any, run: Any) -> Any:
    with fw.dual_level():
        return run()


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    """PyTorch's types and words; and whatever happened, no level is left."""
    from oracle import torch as pytorch

    told = []
    for torch, fw in ((wengert, forward_ad), (pytorch, pytorch.autograd.forward_ad)):
        with pytest.raises(Exception) as caught:
            ERRORS[name](torch, fw, torch.tensor(X), torch.tensor(T))
        told.append((caught.type, str(caught.value)))
        assert fw.unpack_dual(torch.tensor(X)).tangent is None
    assert told[0] == told[1]
    gc.collect()
    assert not here.levels and not shared.special


def test_what_outlives_the_level() -> None:
    x = wengert.tensor(X, requires_grad=True)
    with forward_ad.dual_level():
        d = forward_ad.make_dual(x, wengert.tensor(T))
        y = d * d
    for z in (d, y, y * 2):
        assert forward_ad.unpack_dual(z).tangent is None
    assert forward_ad.unpack_dual(y).primal.tolist() == [v * v for v in X]
    with forward_ad.dual_level():
        assert forward_ad.unpack_dual(d).tangent is None
        again = forward_ad.make_dual(d, wengert.tensor(T))
        assert forward_ad.unpack_dual(again).tangent is not None
    forward_ad.unpack_dual(y).primal.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2 * v for v in X]


def test_decorator_and_numbers() -> None:
    @forward_ad.dual_level()
    def slope(x: Any) -> Any:
        return forward_ad.unpack_dual(forward_ad.make_dual(x, wengert.ones(3)) * 2)

    found = slope(wengert.tensor(X))
    assert type(found) is forward_ad.UnpackedDualTensor and found._fields == ("primal", "tangent")
    assert found.tangent.tolist() == [2, 2, 2]
    assert forward_ad.enter_dual_level() == 0
    forward_ad.exit_dual_level(level=0)


def test_tensors_of_inner_transforms() -> None:
    """A transform's tensor can't be made dual at a level outside it."""
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="inside a vmap"):
        wengert.func.vmap(lambda x: forward_ad.make_dual(x, x))(wengert.tensor(X))
    assert not here.levels


def test_left_before_the_block_ends() -> None:
    """The user's own exception is not replaced."""
    with pytest.raises(ZeroDivisionError), forward_ad.dual_level():
        forward_ad.exit_dual_level()
        raise ZeroDivisionError
    with pytest.raises(RuntimeError, match="Dual level"), forward_ad.dual_level():
        forward_ad.exit_dual_level()
    assert not here.levels
