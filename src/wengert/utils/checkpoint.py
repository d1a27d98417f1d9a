"""Checkpointing: less memory for more work.

Instead of what a function's operations save for backward, its arguments are kept; when backward
first asks for one of those values, the function runs again and they are all there. A chain of n
equal steps that is cut into √n checkpointed pieces keeps about 2√n values at a time, not n, and is
computed twice.

It is built on `saved_tensors_hooks`: in the first run a tensor is packed into an empty holder; the
second run fills the holders, in the same order. So what is to be differentiated is the graph of
the first run, and `autograd.grad`, `create_graph`, hooks and nesting work as without checkpoints.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..autograd.saved_tensors import saved_tensors_hooks
from ..core.handle import Alias, Handle, storage_of, version_of
from ..core.levels import here, modes
from ..interpreters.packing import Hooks, bare
from ..interpreters.pullback import kept
from ..interpreters.tape import keep
from ..ops.random import default_generator

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]

Contexts = tuple[contextlib.AbstractContextManager[Any], contextlib.AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """A function did not do the same when it was run again."""


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = False,
               preserve_rng_state: bool = True,
               context_fn: Callable[[], Contexts] = noop_context_fn,
               determinism_check: str = "default", early_stop: bool = True,
               **kwargs: Any) -> Any:
    """Calls a function without saving what its backward needs; it runs again in backward.

    The function must do the same both times: what it reads besides its arguments must not have
    changed. Random numbers of the default generator are the same (see `preserve_rng_state`);
    those of Python and NumPy are the program's own affair.

    Args:
        function: called with `args` and `kwargs`, now and once in each backward that needs it.
        args: its arguments; tensors among them are kept, as an operation keeps its operands.
        use_reentrant: PyTorch's older variant, which is not here; None is False.
        preserve_rng_state: have the default generator repeat its numbers in the second run.
        context_fn: gives two context managers, for the first run and for the second.
        determinism_check: "default" compares shapes and dtypes of what both runs saved; "none"
            does not.
        early_stop: leave the second run as soon as everything is there.
        kwargs: its keyword arguments.

    Returns:
        What the function returned.

    Raises:
        ValueError: for `use_reentrant=True`, or another determinism check.
        CheckpointError: in backward, if the second run saved another number of tensors than the
            first, or tensors of other shapes or dtypes.
        RuntimeError: in backward, if an argument was overwritten since.

    Example:
        >>> import wengert as torch
        >>> from wengert.utils.checkpoint import checkpoint
        >>> def f(x):
        ...     print("running")
        ...     return x.sin().exp()
        >>> x = torch.zeros(2, requires_grad=True)
        >>> y = checkpoint(f, x).sum()
        running
        >>> y.backward(); x.grad
        running
        tensor([1., 1.])
    """
    _check(use_reentrant, determinism_check)
    first, second = context_fn()
    if not here.grad:
        with first:
            return function(*args, **kwargs)
    frame = _Frame(function, args, kwargs, second)
    frame.early_stop, frame.compares = early_stop, determinism_check == "default"
    if preserve_rng_state:
        frame.random = default_generator.get_state()
    with first, saved_tensors_hooks(frame.pack, frame.unpack):
        result = function(*args, **kwargs)
    frame.complete = True
    return result


def checkpoint_sequential(functions: Any, segments: int, input: Any,
                          use_reentrant: bool | None = False,
                          preserve_rng_state: bool = True) -> Any:
    """Passes a value through functions one after the other, in checkpointed segments.

    The last segment is not checkpointed: backward starts there, and would run it again at once.

    Args:
        functions: the functions, in order.
        segments: how many pieces to cut the sequence into; about √n is best for n functions.
        input: what the first function is called with.
        use_reentrant: as for `checkpoint`, as is `preserve_rng_state`.

    Raises:
        ValueError: unless there are between 1 and as many segments as functions.

    Example:
        >>> import wengert as torch
        >>> from wengert.utils.checkpoint import checkpoint_sequential
        >>> x = torch.tensor(1., requires_grad=True)
        >>> y = checkpoint_sequential([torch.sin] * 9, 3, x)
        >>> torch.autograd.grad(y, x)
        (tensor(0.0895),)
    """
    functions = list(functions)
    if not 1 <= segments <= max(1, len(functions)):
        raise ValueError(f"checkpoint_sequential(): {len(functions)} functions can't be cut into "
                         f"{segments} segments")
    size = len(functions) // segments
    last = size * (segments - 1)
    for start in range(0, last, size):
        input = checkpoint(_chain(functions[start:start + size]), input,
                           use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return _chain(functions[last:])(input)


def _chain(functions: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for function in functions:
            x = function(x)
        return x

    return run


def _check(use_reentrant: bool | None, determinism_check: str) -> None:
    if use_reentrant:
        raise ValueError("checkpoint(): use_reentrant=True is not supported. Leave the argument "
                         "out: the other variant does all that this one does, and keyword "
                         "arguments, nesting, autograd.grad and create_graph as well.")
    if determinism_check not in ("default", "none"):
        raise ValueError("determinism_check should be one of ['default', 'none'], but got "
                         f"{determinism_check}")


class _Stop(BaseException):
    """Everything is there; the rest of the second run is not needed."""


class _Holder:
    """Stands for one saved tensor; filled by the second run, emptied when it is read."""

    __slots__ = ("__weakref__", "value", "version")

    def __init__(self) -> None:
        self.value: Any = None
        self.version = 0


_TENSOR = object()
"""Stands for an argument that is a tensor."""


class _Frame:
    """One call of a checkpointed function: how to run it again, and the holders to fill then.

    Only the holders refer to it, so what it keeps goes with the last node that needs it.
    """

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any],
                 context: contextlib.AbstractContextManager[Any]) -> None:
        self.function, self.context = function, context
        self.count, self.names = len(args), tuple(kwargs)
        given = (*args, *kwargs.values())
        # Kept as a node keeps its operands: an outer checkpoint has them packed.
        self.tensors = keep([v for v in given if isinstance(v, Handle)])
        self.given = [_TENSOR if isinstance(v, Handle) else v for v in given]
        self.holders: list[weakref.ref[_Holder]] = []
        self.kinds: list[tuple[Any, Any]] = []
        self.levels = here.levels
        self.random: Any = None
        self.early_stop = self.compares = True
        self.complete = False  # not while the function differentiates something inside itself
        self.lock = threading.RLock()

    def pack(self, x: Any) -> _Holder:
        """In the first run: an empty holder."""
        holder = _Holder()
        self.holders.append(weakref.ref(holder))
        self.kinds.append((x.aval.shape, x.aval.dtype))
        return holder

    def unpack(self, holder: _Holder) -> Any:
        """What belongs in a holder; runs the function again unless it is there."""
        with self.lock:
            if holder.value is None:
                self.run_again()
            value, holder.value = holder.value, None
        if value is None:
            raise CheckpointError(_WORDS + "a tensor was not saved again.")
        if version_of(value) != holder.version:
            raise RuntimeError(
                _WORDS + "one of the variables needed for gradient computation has been modified "
                f"by an inplace operation: {value.aval.dtype} {list(value.aval.shape)} was saved, "
                "and overwritten later in the checkpointed function.")
        return value

    def run_again(self) -> None:
        """Fills the holders that are still there."""
        given = iter(kept(self.tensors))
        values = [next(given) if v is _TENSOR else v for v in self.given]
        refill = _Refill(self)
        hooks = Hooks(refill.pack, lambda x: x)
        with (contextlib.suppress(_Stop), self._random_again(), self._levels_again(), self.context,
              modes(grad=True, inference=False, hooks=hooks)):
            self.function(*values[:self.count],
                          **dict(zip(self.names, values[self.count:], strict=True)))
        if self.complete:
            self.compare(refill)

    @contextlib.contextmanager
    def _levels_again(self) -> Iterator[None]:
        """The transforms that were in force; a tape is differentiated after its own has ended."""
        ended = [level for level in self.levels if not level.alive]
        for level in ended:
            level.alive = True
        try:
            with modes(levels=self.levels):
                yield
        finally:
            for level in ended:
                level.alive = False
                level.avals.clear()

    @contextlib.contextmanager
    def _random_again(self) -> Iterator[None]:
        if self.random is None:
            yield
            return
        now = default_generator.get_state()
        default_generator.set_state(self.random)
        try:
            yield
        finally:
            default_generator.set_state(now)

    def compare(self, refill: _Refill) -> None:
        """Raises unless both runs saved alike."""
        if refill.count != len(self.holders):
            raise CheckpointError(
                f"{_WORDS}the function saved {len(self.holders)} tensors for backward in the first "
                f"run and {refill.count} in the second. {_REMEDY}")
        if self.compares and refill.differing:
            raise CheckpointError(
                f"{_WORDS}tensors saved in the second run have other shapes or dtypes than in the "
                "first:\n" + "\n".join(refill.differing) + f"\n{_REMEDY}")


class _Refill:
    """The second run of a frame's function: its pack hook."""

    def __init__(self, frame: _Frame) -> None:
        self.frame, self.count = frame, 0
        self.differing: list[str] = []

    def pack(self, x: Any) -> Any:
        """Puts a tensor in the holder whose turn it is; it is held without history."""
        frame, i = self.frame, self.count
        held = bare(x)
        held.alias = Alias(storage_of(x))
        if i < len(frame.holders):
            self._fill(i, held)
        elif not frame.early_stop and frame.complete:
            raise CheckpointError(
                f"{_WORDS}the function saved more tensors for backward in the second run than the "
                f"{i} of the first. {_REMEDY}")
        self.count += i < len(frame.holders)
        if frame.early_stop and self.count == len(frame.holders) and here.recorder is None:
            raise _Stop  # the compiler hears of an operation when it is done
        return held

    def _fill(self, i: int, held: Any) -> None:
        holder = self.frame.holders[i]()
        if holder is not None:  # else backward was through there already
            holder.value, holder.version = held, version_of(held)
            now, then = (held.aval.shape, held.aval.dtype), self.frame.kinds[i]
            if now != then:
                self.differing.append(f"tensor {i}: {then[1]} {list(then[0])} in the first run, "
                                      f"{now[1]} {list(now[0])} in the second")


_WORDS = "torch.utils.checkpoint: "
_REMEDY = ("It must do the same both times: check what it reads besides its arguments, and numbers "
           "drawn from other generators than the default one.")
