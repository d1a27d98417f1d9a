"""Switching recording on and off: per thread, as context managers and as decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ..core.levels import here

F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """A context manager that sets modes of this thread, and decorates functions with itself.

    Entered again before it is left, it keeps a stack of what to put back.
    """

    def __init__(self, **modes: Any) -> None:
        self._modes = modes
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> Any:
        self._before.append({name: getattr(here, name) for name in self._modes})
        here.put(**self._modes)
        return None

    def __exit__(self, *exc: object) -> None:
        here.put(**self._before.pop())

    def clone(self) -> _Mode:
        return _Mode(**self._modes)

    def __call__(self, function: F) -> F:
        """The function with the mode in force; a generator, each time that it runs."""
        if inspect.isgeneratorfunction(function):
            return _generator_in(self, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]


def _generator_in(mode: _Mode, function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function whose body, but not what runs between its steps, is in the mode."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with mode.clone():
            generator = function(*args, **kwargs)
        step, sent = generator.send, None
        while True:
            try:
                with mode.clone():
                    item = step(sent)
            except StopIteration as stop:
                return stop.value
            try:
                step, sent = generator.send, (yield item)
            except GeneratorExit:
                with mode.clone():
                    generator.close()
                raise
            except BaseException as error:  # noqa: BLE001 - the generator is to see them all
                step, sent = generator.throw, error

    return inside


class _ModeAtOnce(_Mode):
    """A mode that is in force as soon as it is made; a `with` puts back what was before that."""

    def __init__(self, **modes: Any) -> None:
        super().__init__(**modes)
        self._at_once: dict[str, Any] | None = {name: getattr(here, name) for name in modes}
        here.put(**modes)

    def __enter__(self) -> Any:
        super().__enter__()
        if self._at_once is not None:  # the first time
            self._before[-1], self._at_once = self._at_once, None
        return None

    def __call__(self, function: F) -> F:
        if self._at_once is not None:
            here.put(**self._at_once)
            self._at_once = None
        return super().__call__(function)


class no_grad(_Mode):  # noqa: N801 - PyTorch's name
    """Inside, operations are not recorded and results do not require grad.

    Example:
        >>> import wengert as torch
        >>> x = torch.ones(1, requires_grad=True)
        >>> with torch.no_grad():
        ...     (x * 2).requires_grad
        False
    """

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)  # @no_grad without parentheses

    def __init__(self, function: Any = None) -> None:
        super().__init__(grad=False)


class enable_grad(_Mode):  # noqa: N801 - PyTorch's name
    """Inside, operations are recorded, even within `no_grad`."""

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)

    def __init__(self, function: Any = None) -> None:
        super().__init__(grad=True)


class set_grad_enabled(_ModeAtOnce):  # noqa: N801 - PyTorch's name
    """Switches recording on or off: at once, and until the `with` it is used in is left.

    Example:
        >>> import wengert as torch
        >>> with torch.set_grad_enabled(False):
        ...     torch.is_grad_enabled()
        False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(grad=bool(mode))
        self.mode = bool(mode)


class inference_mode(_Mode):  # noqa: N801 - PyTorch's name
    """Like `no_grad`; tensors made inside can't take part in recording afterwards.

    Args:
        mode: whether the mode is on; or the function to decorate.
    """

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if isinstance(mode, bool):
            return self
        self.__init__()  # type: ignore[misc]
        return self(mode)

    def __init__(self, mode: Any = True) -> None:
        super().__init__(inference=bool(mode), grad=not mode)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return here.grad


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on in this thread."""
    return here.inference


class set_detect_anomaly(_ModeAtOnce):  # noqa: N801 - PyTorch's name
    """Switches anomaly detection on or off, at once and until a `with` is left.

    While it is on, nodes remember the line of the user's program that made them, errors in
    backward name it, and a NaN that backward makes is an error.

    Args:
        mode: whether it is on.
        check_nan: whether a NaN is an error.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(anomaly=bool(mode), check_nan=check_nan)


class detect_anomaly(_Mode):  # noqa: N801 - PyTorch's name
    """Inside, anomaly detection is on (see `set_detect_anomaly`).

    Example:
        >>> import wengert as torch
        >>> x = torch.zeros(1, requires_grad=True)
        >>> try:
        ...     with torch.autograd.detect_anomaly():
        ...         (x.sqrt() * 0).backward()
        ... except RuntimeError as error:
        ...     print(error)
        Function 'SqrtBackward0' returned nan values in its 0th output.
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(anomaly=True, check_nan=check_nan)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on in this thread."""
    return here.anomaly
