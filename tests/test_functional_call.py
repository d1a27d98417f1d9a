"""Objects called with other parameters than their own."""

from __future__ import annotations

from typing import Any

import pytest

import wengert as torch
from wengert.func import functional_call, grad, vmap


class Layer:
    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def __call__(self, x: Any) -> Any:
        return torch.tanh(self.weight @ x)


class Net:
    def __init__(self) -> None:
        self.layers = [Layer(torch.eye(2)), Layer(torch.ones(1, 2))]
        self.scale = {"out": torch.tensor(2.0)}

    def __call__(self, x: Any, *, shift: float = 0.0) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.scale["out"] * x + shift


NAMES = ("layers.0.weight", "layers.1.weight", "scale.out")


def parameters(net: Net) -> dict[str, Any]:
    return {NAMES[0]: net.layers[0].weight, NAMES[1]: net.layers[1].weight,
            NAMES[2]: net.scale["out"]}


def test_gradients_and_ensembles() -> None:
    """The gradients are those that backward finds, and the object keeps its own tensors."""
    net, x = Net(), torch.tensor([0.3, -0.2])
    own = parameters(net)
    g = grad(lambda p: functional_call(net, p, (x,)).sum())(own)
    for p in own.values():
        p.requires_grad_()
    net(x).sum().backward()
    assert all(torch.equal(g[name], p.grad) for name, p in own.items())
    assert all(a is b for a, b in zip(parameters(net).values(), own.values(), strict=True))
    many = {name: torch.stack([p.detach(), 2 * p.detach()]) for name, p in own.items()}
    found = vmap(lambda p: functional_call(net, p, x))(many)
    assert torch.allclose(found[0], net(x).detach())


def test_arguments_and_errors() -> None:
    net, x = Net(), torch.tensor([0.3, -0.2])
    scale = net.scale["out"]
    doubled = functional_call(net, [{"scale.out": torch.tensor(4.0)}, {}], x, {"shift": 1.0})
    assert torch.allclose(doubled, 2 * net(x) + 1)
    net.fixed = (scale,)  # type: ignore[attr-defined]
    for wrong in ("bias", "layers.7.weight", "layers.a.weight", "scale.in", "fixed.0"):
        with pytest.raises(KeyError, match=wrong):
            functional_call(net, {"scale.out": x, wrong: x}, x)
        assert net.scale["out"] is scale
    with pytest.raises(ValueError, match="multiple dictionaries"):
        functional_call(net, [{"scale.out": x}, {"scale.out": x}], x)
    with pytest.raises(RuntimeError):
        functional_call(net, {NAMES[0]: torch.ones(5, 5)}, x)
    assert net.layers[0].weight.shape == (2, 2)
