"""Samples whose operands lie in memory otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from opinfo_samples import Operand, Sample, mapped

Order = tuple[int, ...]
"""The dimensions as they lie in memory, the outermost first."""

ORDERS: dict[str, Callable[[int], Order]] = {
    "contiguous": lambda ndim: tuple(range(ndim)),
    "reversed": lambda ndim: tuple(range(ndim))[::-1],
    "swapped": lambda ndim: (*range(1, min(ndim, 2)), 0, *range(2, ndim)),
    "channels last": lambda ndim: (*range(min(ndim, 1)), *range(2, ndim), *range(1, ndim)[:1]),
}
LAYOUTS = (*ORDERS, "gapped", "expanded")
"""Those, every other row of memory, and the first dimension's elements in one place."""


def laid_out(sample: Sample) -> Iterator[tuple[str, Sample]]:
    """The sample with all its operands, or only the first, in each layout; if one is a matrix."""
    if any(len(operand.shape) > 1 for operand in sample.operands):
        for how in LAYOUTS:
            for some in (slice(None), slice(1)):
                yield how, _laid(sample, how, some)


def _laid(sample: Sample, how: str, some: slice) -> Sample:
    """The sample with some of its operands in a layout, each in memory of its own."""
    chosen = sample.operands[some]
    made = [_operand(i, operand, _numbers(sample, operand),
                     how if operand in chosen else "contiguous")
            for i, operand in enumerate(sample.operands)]
    new = {id(old): operand for old, (operand, _) in zip(sample.operands, made, strict=True)}

    def one(thing: Any) -> Any:
        return new.get(id(thing), thing)

    return Sample([memory for _, memory in made], mapped(one, sample.args),
                  mapped(one, sample.kwargs), list(new.values()), sample.process)


def _numbers(sample: Sample, operand: Operand) -> np.ndarray:
    kind = np.dtype(np.uint16 if operand.dtype == "bfloat16" else operand.dtype)
    if 0 in operand.shape:
        return np.empty(operand.shape, kind)
    return np.ndarray(operand.shape, kind, sample.buffers[operand.buffer].data,
                      operand.offset * kind.itemsize,
                      tuple(s * kind.itemsize for s in operand.stride))


def _operand(buffer: int, operand: Operand, x: np.ndarray, how: str) -> tuple[Operand, np.ndarray]:
    """An operand of these numbers in a layout, and its memory."""
    if x.ndim < 2 or how == "contiguous":
        memory = found = np.array(x, order="C")
    elif how == "gapped":
        memory = np.repeat(x, 2, 0)
        found = memory[::2]
    elif how == "expanded":
        memory = np.array(x[:1], order="C")
        found = np.broadcast_to(memory, x.shape)
    else:
        order = ORDERS[how](x.ndim)
        memory = np.array(x.transpose(order), order="C")
        found = memory.transpose(np.argsort(order))
    if found.flags.c_contiguous:  # a stride of one element alone is nothing that NumPy tells apart
        found = memory = np.array(x, order="C")
    steps = tuple(s // x.itemsize for s in found.strides)
    return (dataclasses.replace(operand, buffer=buffer, offset=0, stride=steps),
            memory.reshape(-1).view(np.uint8).copy())
