"""The same derivatives written by hand in C++ (see `cpp/`): programs of many small operations."""

import ctypes
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compiled import INDUCTOR, JAX, function_alone, loop
from workloads import COMPILED, CPP, Step, Workload, gradient, transforms, words

Doubles = npt.NDArray[np.float64]
HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]  # -O3 keeps the order of sums


@cache
def native() -> ctypes.CDLL:
    """Build the C++ files, if that has not been done, and load them."""
    sources = sorted((HERE / "cpp").glob("*.cpp"))
    library = BUILD / f"yardsticks{sysconfig.get_config_var('SHLIB_SUFFIX')}"
    newest = max(source.stat().st_mtime for source in sources)
    if not library.exists() or library.stat().st_mtime < newest:
        library.parent.mkdir(exist_ok=True)
        compiler = shutil.which("g++") or shutil.which("clang++")
        if not compiler:
            raise OSError("there is no C++ compiler")
        subprocess.run([compiler, *FLAGS, "-o", library, *sources], check=True)
    return ctypes.CDLL(str(library))


def pointer(array: Doubles) -> Any:
    """Return where an array's numbers lie."""
    return array.ctypes.data_as(ctypes.c_void_p)


def numbers(*shape: int) -> Doubles:
    """Return the same numbers between -1 and 1 for everyone."""
    return 2 * np.random.default_rng(len(shape) + shape[0]).random(shape) - 1


# --- a hand -----------------------------------------------------------------------------------

FINGERS, BONES, ON_BONE, PARAMETERS = 5, 3, 32, 26


def skeleton() -> list[Doubles]:
    """Return angles, offsets from joint to joint, points on bones, and where they should be."""
    points = (FINGERS, BONES, ON_BONE, 3)
    return [numbers(PARAMETERS) / 2, numbers(FINGERS, BONES, 3), numbers(*points), numbers(*points)]


def rotation(torch: Any, axis: int, angle: Any) -> Any:
    """Turn by an angle about an axis."""
    c, s = torch.cos(angle), torch.sin(angle)
    one, none = torch.ones_like(c), torch.zeros_like(c)
    entries = ([one, none, none, none, c, -s, none, s, c],
               [c, none, s, none, one, none, -s, none, c],
               [c, -s, none, s, c, none, none, none, one])[axis]
    return torch.stack(entries).reshape(3, 3)


def posed(torch: Any, theta: Any, offsets: Any, points: Any, targets: Any) -> Any:
    """How far the points of a hand are from their targets."""
    turn = partial(rotation, torch)
    wrist = turn(2, theta[0]) @ turn(1, theta[1]) @ turn(0, theta[2])
    errors = []
    for finger in range(FINGERS):
        turned, centre = wrist, theta[3:6]
        for bone in range(BONES):
            centre = centre + turned @ offsets[finger, bone]
            place = 6 + 4 * finger + bone + (bone > 0)
            if bone == 0:
                turned = turned @ turn(2, theta[place])
                place += 1
            turned = turned @ turn(0, theta[place])
            errors.append(points[finger, bone] @ turned.T + centre - targets[finger, bone])
    return torch.stack(errors)


def hand(peer: str) -> Step:
    """Compute the errors' Jacobian."""
    arrays = skeleton()
    if peer == CPP:
        errors = np.empty(FINGERS * BONES * ON_BONE * 3)
        jacobian = np.empty((FINGERS * BONES, ON_BONE, 3, PARAMETERS))
        given = [*map(pointer, arrays), ctypes.c_long(ON_BONE), pointer(errors), pointer(jacobian)]
        run = native().hand
        return lambda: (run(*given), jacobian)[1]
    return transformed(lambda func, torch: func.jacfwd(partial(posed, torch)), arrays, peer)


def transformed(make: Callable[[Any, Any], Any], arrays: Sequence[Doubles], peer: str) -> Step:
    """Call a function made of the peer's transforms and words, compiled where it can be."""
    torch, func = words(peer), transforms(peer)
    run = make(func, torch)
    if peer == JAX:
        jax = import_module("jax")
        known = [jax.numpy.asarray(array) for array in arrays]
        jitted = jax.jit(run)
        return lambda: jax.block_until_ready(jitted(*known))
    tensors = [torch.tensor(array) for array in arrays]
    run = torch.compile(run) if peer == COMPILED else run
    return lambda: run(*tensors)


# --- cameras ----------------------------------------------------------------------------------

OBSERVATIONS = 1000


def cameras() -> list[Doubles]:
    """Return cameras, points, weights and what was measured, an observation a row."""
    n = OBSERVATIONS
    typical = np.array([0, 0, 0, 0, 0, -6, 500, 300, 200, 0, 0])
    spread = np.array([0.2, 0.2, 0.2, 1, 1, 0.5, 50, 10, 10, 0.1, 0.01])
    return [typical + spread * numbers(n, 11), numbers(n, 3), numbers(n), 300 * numbers(n, 2)]


def reprojected(torch: Any, camera: Any, point: Any, weight: Any, measured: Any) -> Any:
    """How far a point is seen from where it should be."""
    r, v = camera[:3], point - camera[3:6]
    square = (r * r).sum()
    angle = torch.sqrt(square)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    across = torch.stack([r[1] * v[2] - r[2] * v[1], r[2] * v[0] - r[0] * v[2],
                          r[0] * v[1] - r[1] * v[0]])
    y = cosine * v + sine / angle * across + (1 - cosine) / square * (r * v).sum() * r
    p = y[:2] / y[2]
    far = (p * p).sum()
    radial = 1 + camera[9] * far + camera[10] * far * far
    return weight * (camera[6] * radial * p + camera[7:9] - measured)


def bundle(peer: str) -> Step:
    """Compute the errors' Jacobians by camera, point and weight."""
    arrays = cameras()
    if peer == CPP:
        n = OBSERVATIONS
        errors, jacobian = np.empty((n, 2)), np.empty((n, 2, 15))
        given = [*map(pointer, arrays), ctypes.c_long(n), pointer(errors), pointer(jacobian)]
        run, parts = native().bundle, [jacobian[..., :11], jacobian[..., 11:14], jacobian[..., 14]]
        return lambda: (run(*given), parts)[1]
    return transformed(
        lambda func, torch: func.vmap(func.jacrev(partial(reprojected, torch), (0, 1, 2))),
        arrays, peer)


# --- a long memory ----------------------------------------------------------------------------

STEPS, INPUTS, HIDDEN = 1000, 14, 16


def sequence() -> list[Doubles]:
    """Return weights, then a sequence and what should come of it, then the first state."""
    return [numbers(INPUTS, 4 * HIDDEN) / 2, numbers(HIDDEN, 4 * HIDDEN) / 2, numbers(4 * HIDDEN),
            numbers(STEPS, INPUTS), numbers(STEPS, HIDDEN), np.zeros(HIDDEN)]


def remembered(torch: Any, w: Any, u: Any, b: Any, xs: Any, ys: Any, zero: Any) -> Any:
    """Take a cell of long short-term memory through a sequence, and add up its errors."""
    n = HIDDEN

    def step(state: Any, given: Any) -> Any:
        h, c, loss = state
        a = given[:INPUTS] @ w + h @ u + b
        gates = torch.sigmoid(a)
        c = gates[n:2 * n] * c + gates[:n] * torch.tanh(a[2 * n:3 * n])
        h = gates[3 * n:] * torch.tanh(c)
        error = h - given[INPUTS:]
        return h, c, loss + (error * error).sum()

    return loop(torch, step, (zero, zero, zero.sum()), torch.concatenate([xs, ys], 1))[2]


def lstm(loss: Any, inputs: Any, wrt: int, peer: str) -> Step:
    """Compute the loss and its gradients."""
    if peer != CPP:
        return gradient(loss, inputs, wrt, peer)
    w, u, b, xs, ys, _ = arrays = inputs()
    slopes = [np.empty_like(each) for each in arrays[:wrt]]
    sizes = map(ctypes.c_long, (STEPS, INPUTS, HIDDEN))
    given = [*map(pointer, (w, u, b, xs, ys)), *sizes, *map(pointer, slopes)]
    run = native().lstm
    run.restype = ctypes.c_double
    return lambda: [np.asarray(run(*given)), *slopes]


def yardstick(title: str, make: Callable[[str], Step], loss: Any, inputs: Any) -> Workload:
    """Make a row that is judged by hand-written C++."""
    return Workload(title, make, ours=COMPILED, targets={CPP: 3.0}, skips=(INDUCTOR,),
                    by_hand=True, alone=partial(function_alone, loss, inputs))


YARDSTICKS = {
    "y-hand": yardstick("a hand of 26 parameters, 480 points: Jacobian", hand, posed, skeleton),
    "y-bundle": Workload(
        "bundle adjustment, 1000 observations: Jacobians", bundle, ours=COMPILED,
        targets={CPP: 3.0}, skips=(INDUCTOR,), by_hand=True,
    ),
    "y-lstm": yardstick(
        "LSTM, 1000 steps, hidden 16: loss and gradient",
        partial(lstm, remembered, sequence, 3), remembered, sequence,
    ),
}
