"""Switching recording on and off: per thread, as context managers and as decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ..core.levels import here
from ..interpreters.anomaly import Watch

F = TypeVar("F", bound=Callable[..., Any])


class Mode:
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

    def clone(self) -> Mode:
        return Mode(**self._modes)

    def __call__(self, function: F) -> F:
        """The function with the mode in force; a generator, each time that it runs."""
        if inspect.isgeneratorfunction(function):
            return _generator_in(self, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]


def _generator_in(mode: Mode, function: Callable[..., Any]) -> Callable[..., Any]:
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


class _ModeAtOnce(Mode):
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


class _ModeOrDecorator(Mode):
    """A mode that decorates functions without parentheses, too: `@no_grad`."""

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)


class no_grad(_ModeOrDecorator):  # noqa: N801 - PyTorch's name
    """Inside, operations are not recorded and results do not require grad.

    Example:
        >>> import wengert as torch
        >>> x = torch.ones(1, requires_grad=True)
        >>> with torch.no_grad():
        ...     (x * 2).requires_grad
        False
    """

    def __init__(self, function: Any = None) -> None:
        super().__init__(grad=False)


class enable_grad(_ModeOrDecorator):  # noqa: N801 - PyTorch's name
    """Inside, operations are recorded, even within `no_grad`."""

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


class inference_mode(Mode):  # noqa: N801 - PyTorch's name
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
    backward name it, and a NaN that backward makes is an error. Notes on the error tell where it
    began: the first operation that made a NaN or an infinity out of finite operands, and the first
    rule in backward that did. A step takes two to three times as long.

    Args:
        mode: whether it is on.
        check_nan: whether a NaN in backward is an error.
        check_inf: whether an infinity in backward is an error, too (not in PyTorch).
        forward: whether a NaN or an infinity that a forward operation makes out of finite operands
            is an error, at once (not in PyTorch).
    """

    def __init__(self, mode: bool, check_nan: bool = True, *, check_inf: bool = False,
                 forward: bool = False) -> None:
        super().__init__(anomaly=Watch(check_nan, check_inf, forward) if mode else False)


class detect_anomaly(Mode):  # noqa: N801 - PyTorch's name
    """Inside, anomaly detection is on; the arguments are those of `set_detect_anomaly`.

    Example:
        >>> import wengert as torch
        >>> x = torch.zeros(1, requires_grad=True)
        >>> try:
        ...     with torch.autograd.detect_anomaly():
        ...         (x.sqrt() * 0).backward()
        ... except RuntimeError as error:
        ...     print(error)
        Function 'SqrtBackward0' returned nan values in its 0th output.

        >>> with torch.autograd.detect_anomaly(forward=True):
        ...     x.log()
        Traceback (most recent call last):
        RuntimeError: log(0) = -inf at element [0] of its result (operands: float32 [1]) ...
    """

    def __init__(self, check_nan: bool = True, *, check_inf: bool = False,
                 forward: bool = False) -> None:
        self._settings = (check_nan, check_inf, forward)
        super().__init__(anomaly=None)

    def __enter__(self) -> Any:
        self._modes = {"anomaly": Watch(*self._settings)}  # what was found before is forgotten
        return super().__enter__()

    def clone(self) -> detect_anomaly:
        check_nan, check_inf, forward = self._settings
        return detect_anomaly(check_nan, check_inf=check_inf, forward=forward)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on in this thread."""
    return bool(here.anomaly)
