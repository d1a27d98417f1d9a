"""The work that is measured, written once in words that all the peers have in common."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Step = Callable[[], Any]  # does the work once, and returns the value that it computed
Loss = Callable[..., Any]  # a function of the peer's module and of arrays

OURS = "wengert"
COMPILED = "compiled"  # ours, too
CPP = "cpp"  # written by hand
PACKAGES = {OURS: OURS, COMPILED: OURS, "torch": "torch", "compile": "torch", "jax": "jax",
            CPP: "numpy", "numpy": "numpy"}
ALONE = "alone"
EAGER_ONLY = ("compile", "jax")


def words(peer: str) -> Any:
    """Import the module that has the peer's functions under PyTorch's names."""
    module = import_module(PACKAGES[peer])
    if peer == "jax":
        lax = module.lax
        more = {"erf": lax.erf, "scan": lax.scan, "conv2d": partial(
            lax.conv_general_dilated, window_strides=(1, 1), padding="VALID")}
        return SimpleNamespace(**(vars(module.numpy) | vars(module.nn) | more))
    return module


def noise(*shape: int) -> Array:
    """Return the same numbers between -1 and 1 for every peer."""
    return 2 * np.random.default_rng(0).random(shape, np.float32) - 1


def gradient(loss: Loss, inputs: Callable[[], Sequence[Array]], wrt: int, peer: str) -> Step:
    """Compute `loss` and its gradients in the first `wrt` inputs."""
    torch = words(peer)
    forward = partial(loss, torch)
    if peer == "jax":
        return compiled_gradient(forward, inputs(), wrt)
    if peer == "compile":
        forward = torch.compile(forward)
    tensors = [torch.tensor(array) for array in inputs()]
    leaves = [tensor.requires_grad_(True) for tensor in tensors[:wrt]]
    if peer == COMPILED:
        return partial(native_gradient(torch, forward, wrt), *tensors)

    def step() -> Any:
        for leaf in leaves:
            leaf.grad = None
        value = forward(*tensors)
        value.backward()
        return [value, *(leaf.grad for leaf in leaves)]

    return step


def native_gradient(torch: Any, forward: Loss, wrt: int) -> Loss:
    """Compute value and gradients in one compiled function of ours."""

    def both(*tensors: Any) -> Any:
        value = forward(*tensors)
        return value, *torch.autograd.grad(value, tensors[:wrt])

    return torch.compile(both)


def compiled_gradient(loss: Loss, inputs: Sequence[Array], wrt: int) -> Step:
    """Compute the same by jax.jit."""
    jax = import_module("jax")
    run = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(wrt))))
    arrays = [jax.numpy.asarray(array) for array in inputs]

    def step() -> Any:
        value, gradients = run(*arrays)
        for each in gradients:
            each.block_until_ready()
        return [value, *gradients]

    return step


def function_alone(loss: Loss, inputs: Callable[[], Sequence[Array]]) -> Step:
    """Compute `loss` by ourselves without recording it."""
    torch = words(OURS)
    tensors = [torch.tensor(array) for array in inputs()]

    def step() -> Any:
        with torch.no_grad():
            return loss(torch, *tensors)

    return step


def transforms(peer: str) -> Any:
    """Return the peer's transforms under the names that all have in common."""
    return import_module("jax" if peer == "jax" else f"{PACKAGES[peer]}.func")


def transformed(
    make: Callable[[Any, Any], Callable[..., Any]], inputs: Callable[[], Sequence[Array]],
    peer: str,
) -> Step:
    """Call a function that `make` builds of the peer's transforms and functions."""
    torch = words(peer)
    run = make(transforms(peer), torch)
    if peer == "jax":
        jax = import_module("jax")
        compiled, arrays = jax.jit(run), [jax.numpy.asarray(array) for array in inputs()]
        return lambda: compiled(*arrays).block_until_ready()
    tensors = [torch.tensor(array) for array in inputs()]
    return lambda: run(*tensors)


def products(peer: str, count: int) -> Step:
    """Record many products of two tensors, independent of each other."""
    torch = words(peer)
    x, y = (torch.ones(4).requires_grad_(True) for _ in range(2))

    def step() -> Any:
        for _ in repeat(None, count):
            product = x * y
        return product

    return step


def kept(peer: str, count: int) -> Step:
    """Record a chain of products, all of them alive until its end goes."""
    torch = words(peer)
    x, y = (torch.ones(4).requires_grad_(True) for _ in range(2))

    def step() -> Any:
        h = x
        for _ in repeat(None, count):
            h = h * y
        return h

    return step


def first_example(peer: str) -> Step:
    """Do what the documents begin with."""
    torch = words(peer)
    if peer == "jax":
        both = compiled_gradient(lambda x: 2 * torch.dot(x, x), [START], 1)
        return lambda: both()[0]
    x = torch.arange(4.0)
    x.requires_grad_(True)
    forward = (torch.compile if peer == "compile" else lambda f: f)(lambda: 2 * torch.dot(x, x))

    def step() -> Any:
        y = forward()
        y.backward()
        x.grad.zero_()
        return y

    return step


def chain(_: Any, x: Any, y: Any) -> Any:
    """Chain 400 small operations."""
    for _ in repeat(None, 200):
        x = x * y + y
    return x.sum()


def control_flow(_: Any, a: Any) -> Any:
    """Compute the documents' function whose operations depend on its input."""
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    if b.sum() > 0:
        return b
    return 100 * b


def softmax(torch: Any, x: Any, weight: Any) -> Any:
    """Compute a loss by softmax and logsumexp, over the rows."""
    return (torch.softmax(x, 1) * weight).sum() + torch.logsumexp(x, 1).sum()


def indexing(_: Any, x: Any) -> Any:
    """Loop over the elements of a vector."""
    total = 0.0
    for i in range(len(x)):
        total = total + x[i] * x[i]
    return total


def hessian(func: Any, _: Any) -> Callable[..., Any]:
    """Make the Hessian of Rosenbrock's function."""
    return func.hessian(
        lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
    )


def jacobians(func: Any, torch: Any) -> Callable[..., Any]:
    """Make the Jacobians of two tanh layers for a batch."""
    layers = lambda v, w, x: torch.tanh(w @ torch.tanh(v @ x))  # noqa: E731
    return func.vmap(func.jacrev(layers, 2), (None, None, 0))


def directional(func: Any, _: Any) -> Callable[..., Any]:
    """Make the derivative of the chain along a direction."""

    def derivative(x: Any, direction: Any) -> Any:
        def along(x: Any) -> Any:
            for _ in repeat(None, 200):
                x = x * 1.01 + 0.1
            return x

        return func.jvp(along, (x,), (direction,))[1]

    return derivative


def per_sample(func: Any, torch: Any) -> Callable[..., Any]:
    """Make the gradients of a two-layer network's loss for each sample."""

    def loss(v: Any, a: Any, w: Any, b: Any, x: Any, y: Any) -> Any:
        return ((w @ torch.tanh(v @ x + a) + b - y) ** 2).sum()

    every = func.vmap(func.grad(loss, (0, 1, 2, 3)), (None, None, None, None, 0, 0))
    return lambda *args: every(*args)[0]


def imported(peer: str) -> Step:
    """Import the library in a fresh process, whose own start counts as well."""
    return partial(subprocess.run, [sys.executable, "-c", f"import {PACKAGES[peer]}"], check=True)


START = np.arange(4, dtype=np.float32)
NEAR_ONE = np.array([0.99, 1.0, 1.005, 1.01], np.float32)  # its 200th power is no extreme
MANY, LONG = 10_000_000, 200_000


@dataclass(frozen=True)
class Workload:
    """One row of the table: how a peer sets the work up, and what is measured."""

    title: str
    make: Callable[[str], Step]
    target: float | None = None  # the ratio to PyTorch eager that we aim at
    targets: Mapping[str, float] = field(default_factory=dict)  # those to several peers
    ours: str = OURS  # which of our two sides is judged
    by_hand: bool = False  # whether it is also written in C++
    per: int = 1  # operations in a step: the row's figures are of one operation
    skips: Sequence[str] = ()  # peers who have no such work
    floor: Callable[[], Step] | None = None
    alone: Callable[[], Step] | None = None  # the function without its gradient, for ourselves
    timed: bool = True  # a row that is not timed is judged by its memory
    weighed: bool = True


def build(work: Workload, peer: str) -> Step | None:
    """Set `work` up for `peer`; None where it has no such work."""
    if peer == "numpy":
        return work.floor() if work.floor else None
    if peer == ALONE:
        return work.alone() if work.alone else None
    if peer == COMPILED != work.ours or (peer == CPP and not work.by_hand):
        return None
    return None if peer in work.skips else work.make(peer)


def derived(
    title: str, loss: Loss, inputs: Callable[[], Sequence[Array]], wrt: int = 1, **options: Any
) -> Workload:
    """Make a row of a function that is computed and differentiated."""
    alone = partial(function_alone, loss, inputs)
    return Workload(title, partial(gradient, loss, inputs, wrt), alone=alone, **options)


def of_transforms(title: str, make: Any, shapes: Sequence[tuple[int, ...]],
                  **options: Any) -> Workload:
    """Make a row of a transformed function of random arrays."""
    inputs = lambda: [noise(*shape) for shape in shapes]  # noqa: E731
    return Workload(title, partial(transformed, make, inputs), skips=("compile",), **options)


WORKLOADS = {
    "multiply": Workload(
        "`x * y` recorded, 4 elements",
        partial(products, count=100), target=0.7, per=100, skips=EAGER_ONLY,
    ),
    "documents": Workload(
        "`y = 2 * dot(x, x); y.backward(); x.grad.zero_()`", first_example, target=0.5
    ),
    "chain": derived(
        "400 small multiplications and additions, gradient",
        chain, lambda: [START, NEAR_ONE], wrt=2, target=0.75,
    ),
    "control-flow": derived(
        "the documents' control flow, gradient",
        control_flow, lambda: [np.array(0.4857, np.float32)], target=0.6, skips=("jax",),
    ),
    "large": derived(
        "`sum(tanh(2x + 1) * exp(-x))`, 10 million, gradient",
        lambda torch, x: (torch.tanh(2 * x + 1) * torch.exp(-x)).sum(),
        lambda: [noise(MANY)], target=0.3, floor=lambda: noise(MANY).copy,
    ),
    "memory": Workload(
        "memory kept by each of 200,000 `h = h * y`, 4 elements",
        partial(kept, count=LONG), target=1.0, per=LONG, skips=EAGER_ONLY, timed=False,
    ),
    "layer": derived(
        "`relu(x @ w).sum()`, 64x128 by 128x64, gradient",
        lambda torch, w, x: torch.relu(x @ w).sum(), lambda: [noise(128, 64), noise(64, 128)],
    ),
    "softmax": derived(
        "softmax and logsumexp of 256x1000, gradient",
        softmax, lambda: [noise(256, 1000), noise(256, 1000)],
    ),
    "indexing": derived(
        "loop of `total = total + x[i] * x[i]`, 100 times, gradient",
        indexing, lambda: [noise(100)], skips=("jax",),
    ),
    "hessian": of_transforms(
        "`hessian` of Rosenbrock's function, 64 dimensions", hessian, [(64,)], target=0.7,
    ),
    "jacobians": of_transforms(
        "`vmap(jacrev(f))`, tanh layers 32 to 64 to 8, batch 256", jacobians,
        [(64, 32), (8, 64), (256, 32)], target=1.0,
    ),
    "jvp": of_transforms(
        "`jvp` of 400 small multiplications and additions", directional, [(4,), (4,)], target=0.7,
    ),
    "per-sample": of_transforms(
        "`vmap(grad(loss))`, layers 32 to 64 to 10, batch 128", per_sample,
        [(64, 32), (64,), (10, 64), (10,), (128, 32), (128, 10)], target=1.0,
    ),
    "import": Workload(
        "start of a process that imports the library",
        imported, weighed=False, skips=("compile",), floor=partial(imported, "numpy"),
    ),
}  # fmt: skip
