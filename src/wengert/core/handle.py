"""The handle: what a tensor is made of, without what users call on it.

`wengert.Tensor` is this class with PyTorch's methods. The interpreters need only the
state, so they know the handle; the class that results are made of is told to them once, when
the package is imported (`results_are`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .aval import Aval, aval_of


class Storage:
    """What all aliases of one block of memory share: the count of writes to it.

    Attributes:
        version: how often it was written.
        inference: whether it was made in inference mode.
        writes: set by anomaly detection alone: versions, and the lines of the writes to them.
    """

    __slots__ = ("inference", "version", "writes")

    writes: list[tuple[int, Any]]

    def __init__(self, *, inference: bool = False) -> None:
        self.version = 0
        self.inference = inference


class Alias:
    """How a tensor relates to others in the same memory.

    Attributes:
        storage: shared by every alias.
        base: the tensor that this one is a differentiable view of; None if it is none.
        chain: the (primitive, params) applications that lead from the base to this view; of a
            base, those that were done to it in place since it was made.
        back: of a base, what leads from it as it now is to what it was made as.
        seen: the storage's version when this view's history was last derived from its base's.
        origin: "" normally; "no_grad", "inference", "multiple" or "custom" for a view that must
            not be written through while recording.
        made: the number of the node that the base came from when the view was made.
    """

    __slots__ = ("back", "base", "chain", "made", "origin", "seen", "storage")

    def __init__(self, storage: Storage, base: Handle | None = None,
                 chain: tuple[Any, ...] = (),
                 origin: str = "") -> None:
        self.storage = storage
        self.base = base
        self.chain = chain
        self.back: tuple[Any, ...] = ()
        self.seen = storage.version
        self.origin = origin
        self.made = None if base is None or base.node is None else base.node.order


class GradSlot:
    """Where a tensor's `.grad` lives, apart from the tensor, so that nodes can own it too."""

    __slots__ = ("grad",)

    def __init__(self, grad: Any = None) -> None:
        self.grad = grad


class Handle:
    """A value and how it came to be.

    Attributes:
        value: a NumPy array; a symbolic array while tracing; inside a transform, a tensor of
            the level below.
        aval: what is known of the value: shape, dtype, level.
        node: what cotangents of this tensor are handed to: the tape node that made it, its
            gradient accumulator if it is a leaf that requires grad, None if it needs no gradient.
        alias: None while nobody else shares the memory and nobody has written to it.
        extra: None, or the `GradSlot` with this tensor's `.grad`; inside a transform, what its
            interpreter carries beside the value (a tangent, Taylor coefficients ...).
    """

    __slots__ = ("__dict__", "__weakref__", "alias", "aval", "extra", "node", "value")

    value: Any
    aval: Aval
    node: Any
    alias: Alias | None
    extra: Any


class Results:
    """The class that interpreters make results of."""

    cls: type[Any] = Handle


_new: Any = object.__new__


def results_are(cls: type[Handle]) -> None:
    Results.cls = cls


def wrap(value: np.ndarray, aval: Aval | None = None, node: Any = None) -> Any:
    """A new tensor round an array."""
    out = _new(Results.cls)
    out.value = value
    out.aval = aval_of(value) if aval is None else aval
    out.node = node
    out.alias = out.extra = None
    return out


def as_handle(value: Any) -> Any:
    """A tensor as it is; an array, or a NumPy scalar, as a plain tensor."""
    return value if isinstance(value, Handle) else wrap(np.asarray(value))


def plain_aval(value: Any) -> Aval:
    """The aval of an array or of a tensor of any level, without the level."""
    return value.aval.plain if isinstance(value, Handle) else aval_of(value)


def without_history(x: Handle) -> bool:
    """Whether a tensor is plain and was recorded nowhere: there is no more to it than numbers."""
    return x.aval.level is None and x.node is None and current(x)


def current(x: Handle) -> bool:
    """Whether a tensor is as it was made, or a view of memory that was not written since."""
    alias = x.alias
    return alias is None or alias.base is None or alias.seen == alias.storage.version


def version_of(handle: Handle) -> int:
    """How often the handle's memory has been written in place."""
    return 0 if handle.alias is None else handle.alias.storage.version


def storage_of(handle: Handle) -> Storage:
    """The storage record of a handle, made on first need.

    A node that saved this tensor as its result is told: writes must be noticed from now on.
    """
    if handle.alias is None:
        alias = Alias(Storage())
        # Threads that share a tensor must agree on one: nothing is called between the question and
        # the answer, so that none comes in between.
        if handle.alias is None:
            handle.alias = alias
        if handle.node is not None:
            handle.node.share(handle.alias)
    return handle.alias.storage
