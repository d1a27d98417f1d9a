"""Two sides: a program as it is and with `wengert.compile`, each with tensors of its own.

What comes of it must be the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core.levels import here, shared

Compiler = Callable[[Callable[..., Any]], Any]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Modes are restored, and nothing falls back to eager unless a test expects it."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert shared.special == 0 and not here.levels and here.recorder is None


class Counted:
    """A function that counts how often Python ran it, where the compiler doesn't look: in an
    array of NumPy's."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn, self.ticks = fn, np.zeros(1, int)
        self.__qualname__ = getattr(fn, "__qualname__", "")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.ticks[0] += 1
        return self.fn(*args, **kwargs)

    @property
    def runs(self) -> int:
        return int(self.ticks[0])


def counted(fn: Callable[..., Any]) -> tuple[Counted, Any]:
    inner = Counted(fn)
    return inner, torch.compile(inner)


def seen(thing: Any) -> Any:
    """What is compared: numbers, dtypes, flags, structure."""
    if isinstance(thing, torch.Tensor):
        array = thing.detach().numpy()
        return (array.dtype.name, array.shape, thing.requires_grad, thing.is_leaf,
                np.round(array.astype(complex), 5).tolist() if array.dtype.kind != "b"
                else array.tolist())
    if isinstance(thing, dict):
        return type(thing), {key: seen(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return type(thing), [seen(each) for each in thing]
    return type(thing), repr(thing)


def both(program: Callable[[Compiler], Any]) -> Any:
    """Runs a program on both sides, which must see the same; returns what that is."""
    torch.manual_seed(1)
    eager = seen(program(lambda fn: fn))
    state = torch.get_rng_state().numpy().tobytes()
    torch.manual_seed(1)
    compiled = seen(program(torch.compile))
    assert compiled == eager
    assert torch.get_rng_state().numpy().tobytes() == state
    return eager


def calls(fn: Callable[..., Any], *many: tuple[Any, ...]) -> None:
    """Both sides call a function, which writes to nothing, with these arguments in turn."""

    def program(compile: Compiler) -> Any:
        run = compile(fn)
        return [run(*args) for args in many]

    both(program)


def rising(*shape: int, by: float = 0.25, start: float = -1.0) -> Any:
    return (torch.arange(float(np.prod(shape))) * by + start).reshape(shape)


def attempts(fn: Callable[..., Any], *many: tuple[Any, ...]) -> Callable[[Compiler], Any]:
    def program(compile: Compiler) -> Any:
        run, found = compile(fn), []
        for args in many:
            try:
                found.append(run(*args))
            except Exception as error:
                found.append((type(error).__name__, str(error)))
        return found

    return program


def warned(run: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run()
    return [str(each.message) for each in found]
