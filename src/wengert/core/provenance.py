"""Where in the user's program an operation was called, and warnings that name that line."""

from __future__ import annotations

import sys
import warnings
from types import CodeType, FrameType

_PACKAGE = __name__.partition(".")[0]


class Line:
    """A place in a program, taken cheaply; its number is worked out when it is shown.

    Attributes:
        after: the place of the operation that was being differentiated meanwhile, if one was.
    """

    __slots__ = ("after", "code", "instruction")

    def __init__(self, code: CodeType, instruction: int, after: Line | None = None) -> None:
        self.code, self.instruction, self.after = code, instruction, after

    @property
    def number(self) -> int:
        """The number of the line in its file."""
        return next((line for start, end, line in self.code.co_lines()
                     if start <= self.instruction < end and line is not None),
                    self.code.co_firstlineno)

    def __str__(self) -> str:
        return f'File "{self.code.co_filename}", line {self.number}, in {self.code.co_name}'


class _Own(dict[str, bool]):
    """By name, whether a module is of this package."""

    def __missing__(self, name: str) -> bool:
        self[name] = found = name.partition(".")[0] == _PACKAGE
        return found


_own = _Own()


def user_line(after: Line | None = None) -> Line:
    """Where in the user's program the operation that is running was called.

    It is called at least three calls deep in this package, which needs no asking.
    """
    frame, _ = _outside(sys._getframe(4))
    return Line(frame.f_code, frame.f_lasti, after)


def _outside(frame: FrameType) -> tuple[FrameType, int]:
    """The first frame that is not ours, from one on outwards, and how many of ours come before."""
    ours = 0
    while _own[frame.f_globals.get("__name__", "")] and frame.f_back is not None:
        ours, frame = ours + 1, frame.f_back
    return frame, ours


HISTORY_IS_LOST = (
    "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
    "Consider using tensor.detach() first.")
_warned: set[str] = set()


def warn_once(message: str) -> None:
    """Warns, the first time in a process."""
    if message not in _warned:
        _warned.add(message)
        warn(message)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns about the user's line, however many of our own calls there are above this one."""
    _, ours = _outside(sys._getframe())
    warnings.warn(message, category, stacklevel=ours + 1)
