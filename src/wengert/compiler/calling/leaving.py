"""Leaving: how a run leaves behind what its ending says.

That is the same in every run, and so is where it is found, among the run's inputs and outputs. It
is worked out once, when the case is compiled: what remains to be done is a list of steps, each a
function of a run.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.handle import Alias, Storage, storage_of, wrap
from ...core.levels import unrecorded
from ...interpreters.tape import leaf_node
from ...interpreters.views import follow
from ..recording.record import Source
from ..recording.state import State, Structure
from .ending import Arrays, Ending, Fresh, Result, Sharing, View
from .outer import Pullback
from .outer_node import Call, Outlet, picker

Handles = Sequence[Any]
Leave = Callable[[Handles, Sequence[Any], Arrays, Call, Sequence[Any]], Any]
"""Leaves behind what an ending says, and returns what the function returns. It is given the run's
inputs, what was at the places of the function's state, the arrays of inputs and outputs, the call,
and the states of generators before it."""
Make = Callable[[Handles, Arrays, Sequence[Any], Any], Any]
"""Makes a result, of the inputs, the arrays, the results before it, and the node of the run."""
At = Callable[[Source], int]
"""Gives the place of an input among those of a run."""


def leaving(ending: Ending, way: Pullback | None, places: Sequence[int], at: At, state: State,
            generators: Sequence[Any]) -> Leave:
    """How runs with an ending leave behind what it says.

    Args:
        ending: the ending.
        way: the way back through it; None if there is none.
        places: which of the arrays holds each of its `values`, and then what `way` saves.
        at: the place of an input among those of a run.
        state: what the function reaches besides.
        generators: what the runs draw random numbers from.
    """
    if way is None and ending.simple:
        return _one(places[0], ending.values[0].aval)
    outlet = None if way is None else Outlet(way, ending, places[len(ending.values):], at,
                                             generators)
    return _steps(ending, places, at, state, outlet)


def _one(place: int, aval: Any) -> Leave:
    """One new tensor is all that is left."""
    def leave(handles: Handles, values: Sequence[Any], arrays: Arrays, call: Call,
              states: Sequence[Any]) -> Any:
        return wrap(arrays[place], aval)

    return leave


def _steps(ending: Ending, places: Sequence[int], at: At, state: State, outlet: Outlet | None
           ) -> Leave:
    """Whatever an ending may say, one after the other."""
    writes = [(at(w.source), None if w.output is None else places[w.output], w.times)
              for w in ending.written]
    makers = [_maker(number, result, ending, places, at, outlet)
              for number, result in enumerate(ending.results)]
    grads = [(at(source), number) for source, number in ending.grads]
    kept = [(place, _builder(structure)) for place, structure in ending.kept]
    returned = _builder(ending.returned)

    def leave(handles: Handles, values: Sequence[Any], arrays: Arrays, call: Call,
              states: Sequence[Any]) -> Any:
        for place, output, times in writes:
            _write(handles[place], None if output is None else arrays[output], times)
        node = None if outlet is None else outlet.node(handles, arrays, call, states)
        made: list[Any] = []
        for make in makers:
            made.append(make(handles, arrays, made, node))
        if outlet is not None and node is not None and outlet.holds:
            outlet.hold(node, made)
        for place, number in grads:
            leaf_node(handles[place]).grad = None if number is None else made[number]
        for place, build in kept:
            state.put(place, values, build(made))
        return returned(made)

    return leave


def _write(x: Any, array: np.ndarray | None, times: int) -> None:
    if array is not None and array is not x.value:
        np.copyto(x.value, array)
    storage_of(x).version += times


def _builder(structure: Structure) -> Callable[[Sequence[Any]], Any]:
    """What puts results together to a value."""
    spec, numbers = structure.spec, [x for tensor, x in structure.leaves if tensor]
    if structure.leaf:
        return operator.itemgetter(*numbers)
    flat = len(numbers) == len(spec.children) and all(c.kind is None for c in spec.children)
    return picker(numbers) if spec.kind is tuple and flat else structure.of


# --- results ----------------------------------------------------------------------------------


def _maker(number: int, result: Result, ending: Ending, places: Sequence[int], at: At,
           outlet: Outlet | None) -> Make:
    """What makes a result as a tensor."""
    if isinstance(result, Fresh):
        output, aval = places[result.output], ending.values[result.output].aval
        simple = result == Fresh(result.output, None, leaf=False, inference=False)
        make = _plain(output, aval) if simple else _fresh(result, output)
        if outlet is None or number not in outlet.spots:
            return make
        return _derived(output, aval) if simple and not outlet.several else (
            _attached(make, outlet, number))
    if isinstance(result, View):
        return _view(result)
    if isinstance(result, Sharing):
        return _shared(result, at)
    place = at(result)
    return lambda handles, arrays, made, node: handles[place]


def _plain(output: int, aval: Any) -> Make:
    return lambda handles, arrays, made, node: wrap(arrays[output], aval)


def _derived(output: int, aval: Any) -> Make:
    """The only result that has a derivative."""
    return lambda handles, arrays, made, node: wrap(arrays[output], aval, node)


def _fresh(result: Fresh, output: int) -> Make:
    axes = None if result.order is None else tuple(map(int, np.argsort(result.order)))

    def make(handles: Handles, arrays: Arrays, made: Sequence[Any], node: Any) -> Any:
        array = arrays[output]
        out = wrap(array if axes is None else array.transpose(axes))
        if result.leaf:
            out.node = leaf_node(out)
        if result.inference:
            out.alias = Alias(Storage(inference=True))
        return out

    return make


def _attached(make: Make, outlet: Outlet, number: int) -> Make:
    """A result that has a derivative."""
    def made_with_node(handles: Handles, arrays: Arrays, made: Sequence[Any], node: Any) -> Any:
        out = make(handles, arrays, made, node)
        outlet.attach(node, number, out)
        return out

    return made_with_node


def _view(result: View) -> Make:
    of, chain = result.of, result.chain
    if result.recorded:
        return lambda handles, arrays, made, node: follow(chain, made[of])
    return lambda handles, arrays, made, node: unrecorded(follow, chain, made[of])


def _shared(result: Sharing, at: At) -> Make:
    of = result.of if isinstance(result.of, int) else at(result.of)

    def make(handles: Handles, arrays: Arrays, made: Sequence[Any], node: Any) -> Any:
        x = made[of] if isinstance(result.of, int) else handles[of]
        size = x.value.itemsize
        out = wrap(np.ndarray(result.shape, x.value.dtype, x.value, result.offset * size,
                              [s * size for s in result.strides]))
        out.alias = Alias(storage_of(x))
        if result.leaf:
            out.node = leaf_node(out)
        return out

    return make
