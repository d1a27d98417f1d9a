"""The work of compilers: value and gradients as one native program, a training step as another."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

import workloads
from workloads import COMPILED, Array, Loss, Step, Workload, gradient, noise, words

TORCH, INDUCTOR, JAX = "torch", "compile", "jax"


def library(torch: Any, name: str) -> Any:
    """Return the function of `torch.nn.functional` where the peer has it."""
    return getattr(getattr(getattr(torch, "nn", None), "functional", None), name, None)


def loop(torch: Any, body: Callable[[Any, Any], Any], state: Any, inputs: Any) -> Any:
    """Take a state through `body` for each of the inputs; jax compiles its own loop better."""
    if scan := getattr(torch, "scan", None):
        return scan(lambda state, each: (body(state, each), None), state, inputs)[0]
    for n in range(len(inputs)):
        state = body(state, inputs[n])
    return state


# --- what is computed -------------------------------------------------------------------------


def curve(torch: Any, x: Any) -> Any:
    """Add up a curve of every element."""
    return (torch.tanh(2 * x + 1) * torch.exp(-x)).sum()


def normal_gelu(torch: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Add up the gelu of rows of mean 0 and variance 1."""
    if native := library(torch, "layer_norm"):
        return library(torch, "gelu")(native(x, x.shape[-1:], weight, bias)).sum()
    centred = x - x.mean(-1)[..., None]
    variance = (centred * centred).mean(-1)[..., None]
    y = centred / torch.sqrt(variance + 1e-5) * weight + bias
    return (0.5 * y * (1 + torch.erf(y * 0.5**0.5))).sum()


def cross_entropy(torch: Any, logits: Any, labels: Any, rows: Any) -> Any:
    """Average what the right labels' softmax lacks."""
    if native := library(torch, "cross_entropy"):
        return native(logits, labels)
    return -torch.log_softmax(logits, 1)[rows, labels].mean()


def layers(torch: Any, u: Any, a: Any, v: Any, b: Any, w: Any, c: Any,
           x: Any, labels: Any, rows: Any) -> Any:
    """Compute the loss of a network of three layers."""
    h = torch.relu(torch.relu(x @ u + a) @ v + b)
    return cross_entropy(torch, h @ w + c, labels, rows)


def recurrent(torch: Any, u: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    """Take a tanh cell through a sequence."""
    h = loop(torch, lambda h, x: torch.tanh(x @ u + h @ w + b), h, xs)
    return (h * h).sum()


def runge_kutta(torch: Any, p: Any, start: Any, times: Any) -> Any:
    """Follow prey and predators."""
    size = 0.05

    def slope(s: Any) -> Any:
        return p[0] * s[0] - p[1] * s[0] * s[1], p[2] * s[0] * s[1] - p[3] * s[1]

    def moved(s: Any, k: Any, h: float) -> Any:
        return s[0] + h * k[0], s[1] + h * k[1]

    def step(s: Any, _: Any) -> Any:
        k = slope(s)
        m = slope(moved(s, k, size / 2))
        n = slope(moved(s, m, size / 2))
        last = slope(moved(s, n, size))
        return tuple(s[i] + size / 6 * (k[i] + 2 * m[i] + 2 * n[i] + last[i]) for i in (0, 1))

    end = loop(torch, step, (start[0], start[1]), times)
    return end[0] * end[1]


def attention(torch: Any, q: Any, k: Any, v: Any) -> Any:
    """Look up values by keys, softly."""
    found = torch.softmax(q @ torch.swapaxes(k, -1, -2) * 32**-0.5, -1) @ v
    return (found * found).sum()


def convolved(torch: Any, x: Any, kernels: Any) -> Any:
    """Slide kernels over images."""
    if native := getattr(torch, "conv2d", None) or library(torch, "conv2d"):
        return native(x, kernels)
    out, _, height, width = kernels.shape
    rows, columns = x.shape[2] - height + 1, x.shape[3] - width + 1
    patches = torch.stack([x[:, :, i:i + rows, j:j + columns]
                           for i in range(height) for j in range(width)], 2)
    found = kernels.reshape(out, -1) @ patches.reshape(x.shape[0], -1, rows * columns)
    return found.reshape(x.shape[0], out, rows, columns)


def pooled(x: Any) -> Any:
    """Average two by two."""
    n, channels, height, width = x.shape
    return x.reshape(n, channels, height // 2, 2, width // 2, 2).mean((3, 5))


def lenet(torch: Any, k: Any, m: Any, u: Any, a: Any, v: Any, b: Any, w: Any, c: Any,
          x: Any, labels: Any, rows: Any) -> Any:
    """Compute the loss of LeCun's network."""
    h = pooled(torch.tanh(convolved(torch, x, k)))
    h = pooled(torch.tanh(convolved(torch, h, m))).reshape(x.shape[0], -1)
    h = torch.tanh(torch.tanh(h @ u + a) @ v + b)
    return cross_entropy(torch, h @ w + c, labels, rows)


# --- how it is run ----------------------------------------------------------------------------


def trained(loss: Loss, inputs: Callable[[], Sequence[Array]], wrt: int, peer: str) -> Step:
    """Take a step of gradient descent, in place where the peer can."""
    torch, rate, arrays = words(peer), 1e-4, inputs()
    if peer == JAX:
        return trained_by_jax(partial(loss, torch), arrays, wrt, rate)
    tensors = [torch.tensor(array) for array in arrays]
    weights, data = [each.requires_grad_(True) for each in tensors[:wrt]], tensors[wrt:]
    forward = partial(loss, torch)
    if peer == INDUCTOR:
        forward = torch.compile(forward)

    def step() -> Any:
        value = forward(*weights, *data)
        value.backward()
        with torch.no_grad():
            for weight in weights:
                weight.sub_(rate * weight.grad)
                weight.grad = None
        return value.detach()

    return torch.compile(step) if peer == COMPILED else step


def trained_by_jax(loss: Loss, arrays: Sequence[Array], wrt: int, rate: float) -> Step:
    """Do the same by jax.jit, which is given the old weights' memory for the new ones."""
    jax = import_module("jax")

    def descend(weights: Any, data: Any) -> Any:
        value, slopes = jax.value_and_grad(lambda weights: loss(*weights, *data))(weights)
        return value, [each - rate * slope for each, slope in zip(weights, slopes, strict=True)]

    run = jax.jit(descend, donate_argnums=0)
    known = [jax.numpy.array(array) for array in arrays]
    weights, data = known[:wrt], known[wrt:]

    def step() -> Any:
        nonlocal weights
        value, weights = run(weights, data)
        return jax.block_until_ready(value)

    return step


def places(torch: Any) -> list[Any]:
    """Return a hundred random numbers, each a tensor."""
    known = np.random.default_rng(0).standard_normal(100).astype("float32")
    return [torch.tensor(each) for each in known]


def many_paths(peer: str) -> Step:
    """Differentiate the documents' function at random places."""
    torch = words(peer)
    forward = partial(workloads.control_flow, torch)
    if peer == INDUCTOR:
        forward = torch.compile(forward)

    def both(a: Any) -> Any:
        value = forward(a)
        return value, torch.autograd.grad(value, [a])[0]

    run = torch.compile(both) if peer == COMPILED else both
    leaves = [place.requires_grad_(True) for place in places(torch)]
    return lambda: [run(leaf) for leaf in leaves]


def paths_alone() -> Step:
    """Compute the documents' function there without its gradient."""
    torch = words(COMPILED)
    run, numbers = torch.compile(partial(workloads.control_flow, torch)), places(torch)
    return lambda: [run(each) for each in numbers]


def called(peer: str) -> Step:
    """Call a function of four numbers, without a gradient."""
    torch = words(peer)
    x = torch.asarray(np.arange(4, dtype=np.float32))
    if peer == JAX:
        jax = import_module("jax")
        run = jax.jit(lambda x: 2 * x + 1)
        return lambda: run(x).block_until_ready()
    plain = lambda x: 2 * x + 1  # noqa: E731
    run = torch.compile(plain) if peer in (COMPILED, INDUCTOR) else plain
    return lambda: run(x)


def second_derivatives(peer: str) -> Step:
    """Compute the Hessian of Rosenbrock's function, in double precision."""
    x = noise(64).astype(np.float64)
    if peer == JAX:
        jax = import_module("jax")
        run, place = jax.jit(workloads.hessian(jax, None)), jax.numpy.asarray(x)
        return lambda: run(place).block_until_ready()
    torch = words(peer)
    run = workloads.hessian(workloads.transforms(peer), torch)
    run = torch.compile(run) if peer == COMPILED else run
    place = torch.tensor(x)
    return lambda: run(place)


def function_alone(loss: Loss, inputs: Callable[[], Sequence[Array]]) -> Step:
    """Compute a function by ourselves, compiled, without its gradient."""
    torch = words(COMPILED)
    run = torch.compile(partial(loss, torch))
    tensors = [torch.tensor(array) for array in inputs()]
    return lambda: run(*tensors)


# --- the rows ---------------------------------------------------------------------------------


def scaled(*shapes: tuple[int, ...]) -> list[Array]:
    """Return weights whose products keep the size of numbers."""
    return [noise(*shape) * np.float32(shape[0] ** -0.5) for shape in shapes]


def labelled(count: int, classes: int) -> list[Any]:
    """Return random labels, and the numbers of the rows that they are for."""
    return [np.random.default_rng(1).integers(0, classes, count), np.arange(count)]


def compiled(title: str, loss: Loss, inputs: Callable[[], Sequence[Array]], wrt: int,
             targets: Sequence[float | None], make: Any = gradient, **options: Any) -> Workload:
    """Make a row; its targets are ratios to jax.jit, torch.compile and PyTorch eager."""
    alone = partial(function_alone, loss, inputs)
    return Workload(title, partial(make, loss, inputs, wrt), ours=COMPILED, alone=alone,
                    targets=aims(*targets), **options)


def aims(jax: float | None, inductor: float | None, torch: float | None) -> dict[str, float]:
    """Name the targets, of those that there are."""
    every = {JAX: jax, INDUCTOR: inductor, TORCH: torch}
    return {peer: ratio for peer, ratio in every.items() if ratio is not None}


COMPILED_WORK = {
    "c-large": compiled(
        "`sum(tanh(2x + 1) * exp(-x))`, 10 million", curve, lambda: [noise(workloads.MANY)], 1,
        [0.35, 0.15, 0.05], floor=lambda: noise(workloads.MANY).copy,
    ),
    "c-norm": compiled(
        "layer norm and gelu, 4096x1024, all three inputs", normal_gelu,
        lambda: [noise(4096, 1024), 1 + noise(1024) / 2, noise(1024) / 2], 3, [0.5, 0.6, 0.3],
    ),
    "c-entropy": compiled(
        "softmax cross entropy, 4096x1000", cross_entropy,
        lambda: [noise(4096, 1000), *labelled(4096, 1000)], 1, [0.8, 0.8, 0.4],
    ),
    "c-layers": compiled(
        "layers 784-256-256-10, batch 64", layers,
        lambda: [*scaled((784, 256), (256,), (256, 256), (256,), (256, 10), (10,)),
                 noise(64, 784), *labelled(64, 10)], 6, [0.8, 1.0, 0.8],
    ),
    "c-recurrent": compiled(
        "tanh RNN, 100 steps, hidden 32, batch 8", recurrent,
        lambda: [*scaled((32, 32), (32, 32), (32,)), np.zeros((8, 32), np.float32),
                 noise(100, 8, 32)], 3, [0.6, 0.6, 0.1],
    ),
    "c-runge-kutta": compiled(
        "RK4 on Lotka-Volterra, 100 steps, in 4 parameters", runge_kutta,
        lambda: [np.array([1.1, 0.4, 0.1, 0.4]), np.array([10.0, 5.0]), np.zeros(100)], 1,
        [0.5, None, 0.001], skips=(INDUCTOR,),
    ),
    "c-hessian": Workload(
        "Hessian of Rosenbrock's function, 64 dimensions", second_derivatives, ours=COMPILED,
        targets=aims(0.5, None, 0.02), skips=(INDUCTOR,),
    ),
    "c-attention": compiled(
        "attention, 4x4x128x32", attention,
        lambda: [noise(4, 4, 128, 32), noise(4, 4, 128, 32) ** 2, noise(4, 4, 128, 32)], 3,
        [0.6, 1.0, 0.7],
    ),
    "c-lenet": compiled(
        "LeNet, a step of training, batch 64", lenet,
        lambda: [*scaled((6, 1, 5, 5), (16, 6, 5, 5), (400, 120), (120,), (120, 84), (84,),
                         (84, 10), (10,)), noise(64, 1, 32, 32), *labelled(64, 10)], 8,
        [0.5, 1.0, 0.8], make=trained,
    ),
    "c-small": compiled(
        "`2 * dot(x, x)` and its gradient, 4 elements, whole call",
        lambda torch, x: 2 * torch.dot(x, x), lambda: [np.arange(4, dtype=np.float32)], 1,
        [1.0, 0.3, 0.3],
    ),
    "c-call": Workload(
        "`2 * x + 1`, 4 elements, no gradient, whole call", called, ours=COMPILED,
        targets=aims(1.0, 0.3, 0.3),
    ),
    "c-control-flow": Workload(
        "the documents' control flow, random inputs", many_paths, ours=COMPILED, per=100,
        alone=paths_alone, targets=aims(None, 0.3, 0.1), skips=(JAX,),
    ),
}  # fmt: skip
