"""Assembling: arrays that parts are written into, one line after the other.

Lines that put pieces into one array, each into the last one's result, are one set of stores into
one memory. Nothing is done before the last of them: only then is it known whether anything is left
to be seen of what they were put into, which need not be copied otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.program import Constant, Line, Value
from ..ir.uniform import spread
from ..ir.views import written_region
from .ahead import Ahead
from .pieces import Pieces, permuted, separate, turned
from .placing import Steps
from .runs import put_together

_FEW = 8
"""Up to this many pieces are stored one by one; more are, if each has more elements than this."""


class Assembler:
    """See the text of the module.

    Attributes:
        steps: what lines become.
        at_hand: whether a value is in memory, or will be before the next step.
        pending: by result of a `put_strided` that more is put into: what it is put into, and what
            is put.
    """

    def __init__(self, steps: Steps, at_hand: Callable[[Value], bool]) -> None:
        self.steps, self.at_hand = steps, at_hand
        self.pending: dict[Value, tuple[Value, Pieces]] = {}

    def put(self, line: Line, ahead: Ahead) -> None:
        """x with y in it: a copy, and then y over it; or several pieces over x."""
        x, y = line.operands
        if line.result in ahead.rewritten and self._rewritten(line):
            return
        base, pieces = self.pending.pop(x, (x, ()))
        pieces = (*pieces, (y, written_region(line.params, y.aval)))
        if line.result in ahead.chained:
            self.pending[line.result] = base, pieces
        else:
            self._assembled(line.result, base, pieces)

    def _rewritten(self, line: Line) -> bool:
        """x with y in it, in x's own memory, which nothing else needs."""
        x, y = line.operands
        if x in self.pending or x.aval.foreign or not y.aval.numel:
            return False
        known, params = self.steps.stored(x), line.params
        buffer = known.buffer
        if buffer is None or buffer.kind != "temporary" or buffer in self.steps.pinned:
            return False
        step = self.steps.copied(y, buffer, params["strides"], params["offset"], known.step + 1)
        self.steps.written(line.result, buffer, step)
        return True

    def turned(self, line: Line) -> bool:
        """Pieces of what is only needed with its dimensions in another order, put there at once;
        False if the line does more than that."""
        (x,), steps = line.operands, permuted(line)
        base, pieces = self.pending.pop(x)
        found = None if steps is None else turned(pieces, tuple(x.aval.shape), steps)
        if found is None:
            self._assembled(x, base, pieces)
            return False
        assert isinstance(base, Constant)
        self._assembled(line.result, spread(base.array, tuple(line.result.aval.shape)), found)
        return True

    def _are_numbers(self, pieces: Pieces) -> bool:
        """Whether pieces are several, each a few numbers at hand."""
        return len(pieces) > _FEW and all(
            0 < y.aval.numel <= _FEW and self.at_hand(self.steps.root(y)) for y, _ in pieces)

    def _assembled(self, value: Value, base: Value, pieces: Pieces) -> None:
        """Memory with pieces in it, and between them what was in another value."""
        apart = separate(pieces, tuple(value.aval.shape))
        if apart and sum(y.aval.numel for y, _ in pieces) == value.aval.numel:
            buffer, step = self.steps.new_buffer(value), -1
        else:
            buffer, step = self.steps.begin(value, base)
        if apart and self._are_numbers(pieces):
            self.steps.written(value, buffer, put_together(self.steps, pieces, buffer))
            return
        last = start = step
        for y, region in pieces:
            if y.aval.numel:
                step = self.steps.copied(y, buffer, region.strides, region.offset, start + 1)
                last = max(last, step)
                start = start if apart else last
        self.steps.written(value, buffer, last)
