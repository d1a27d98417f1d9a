"""`custom_vjp` and `custom_jvp`: plain functions with derivative rules of their own, as in JAX.

Where a function is differentiated, its rule runs in its place, on values one level below. So the
rule is itself a function like any other: it is differentiated again, batched, or recorded.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..core.handle import Handle, wrap
from ..core.levels import made
from ..core.pytrees import Spec, flatten, spread
from ..interpreters.batching import Batch
from ..interpreters.custom import Custom, bind
from ..interpreters.custom_batching import mapped
from ..interpreters.custom_node import CustomNode
from ..interpreters.custom_outputs import listed
from .reverse import vjp

__all__ = ["custom_jvp", "custom_vjp"]


class _Ruled:
    """A function that is waiting for its rules, or has them.

    Attributes:
        nondiff_argnums: the arguments that are no tensors, and are not differentiated by.
    """

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: int | Sequence[int] = ()) -> None:
        functools.update_wrapper(self, fun)  # type: ignore[arg-type]
        self.fun = fun
        self.nondiff_argnums = ((nondiff_argnums,) if isinstance(nondiff_argnums, int)
                                else tuple(nondiff_argnums))
        self.name = getattr(fun, "__name__", type(fun).__name__)
        self.node_class: Any = type(f"{self.name}Backward", (CustomNode,), {"__slots__": ()})

    def _bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
        """All arguments by position, with defaults where places are counted from the end."""
        if not kwargs and all(0 <= n < len(args) for n in self.nondiff_argnums):
            return list(args)
        bound = inspect.signature(self.fun).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(f"{self.name}: the arguments {sorted(bound.kwargs)} are keyword-only, "
                            "which a function with rules of its own can't have")
        return list(bound.args)

    def _apply(self, kind: Any, args: Sequence[Any]) -> Any:
        fixed = {self._place(n, len(args)) for n in self.nondiff_argnums}
        leaves, spec = flatten([a for i, a in enumerate(args) if i not in fixed])
        call = kind(self, {i: args[i] for i in sorted(fixed)}, spec)
        outs = bind(call, leaves)
        return call.out_spec.unflatten(listed(outs))

    def _place(self, n: int, count: int) -> int:
        """Where an argument is that is not differentiated by."""
        if not -count <= n < count:
            raise ValueError(f"{self.name}: nondiff_argnums has {n} in it, but there are {count} "
                             "positional arguments")
        return n % count


class _Call(Custom):
    """One call: the function of the leaves of its arguments.

    Attributes:
        fixed: the arguments that are not differentiated by, by place.
        spec: the structure of the others.
        out_spec: that of the output, known once it has been computed.
    """

    def __init__(self, ruled: Any, fixed: dict[int, Any], spec: Spec) -> None:
        self.ruled, self.fixed, self.spec = ruled, fixed, spec
        self.node_class = ruled.node_class
        self.out_spec = Spec(None, None, ())

    def args(self, leaves: Sequence[Any]) -> list[Any]:
        """The arguments by position."""
        given = list(self.spec.unflatten(leaves))
        for place, value in self.fixed.items():
            given.insert(place, value)
        return given

    def flat(self, output: Any) -> Any:
        """The leaves of the output; one that is alone by itself."""
        leaves, self.out_spec = flatten(output)
        return leaves[0] if len(leaves) == 1 else tuple(leaves)

    def plain(self, args: Sequence[Any]) -> Any:
        return self.flat(self.ruled.fun(*self.args(args)))

    def batch(self, level: Batch, args: Sequence[Any]) -> Any:
        return mapped(self, level, args)


class custom_vjp(_Ruled):  # noqa: N801 - JAX's name
    """A function whose gradients are computed by a rule, to be given with `defvjp`.

    Tensors that the function closes over have no rule: where their derivative would be lost, that
    is an error. Make them arguments.

    Args:
        fun: from tensors (or pytrees of them) to tensors.
        nondiff_argnums: the place of an argument that is not differentiated by, and may be
            anything, or several places.

    Raises:
        AttributeError: when the function is called, if it has no rule yet.
        RuntimeError: when it is, if a derivative by a tensor that it closes over would be lost.
        TypeError: in forward mode, for which there is no rule (see `custom_jvp`); in backward, if
            what the rule gave does not fit the arguments.

    Example:
        The gradient clipped:

        >>> import wengert as torch
        >>> @torch.func.custom_vjp
        ... def gently(x):
        ...     return x
        >>> gently.defvjp(lambda x: (x, None), lambda _, g: (g.clamp(-1., 1.),))
        >>> torch.func.grad(lambda x: gently(x) ** 2)(torch.tensor(3.))
        tensor(1.)
    """

    fwd: Any = None
    bwd: Any = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Gives the rule.

        Args:
            fwd: takes the function's arguments, and returns its output and what `bwd` needs.
            bwd: takes the arguments that are not differentiated by, what `fwd` left, and the
                cotangent of the output (of its structure); returns a tuple with a cotangent per
                other argument, of its structure. None is a zero.
        """
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None:
            raise AttributeError(f"No VJP defined for custom_vjp function {self.name} using "
                                 "defvjp.")
        return self._apply(_VJP, self._bound(args, kwargs))


class _VJP(_Call):
    def run(self, node: CustomNode, args: Sequence[Any]) -> Any:
        pair = self.ruled.fwd(*self.args(args))
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise TypeError(
                f"Custom VJP fwd rule {_name(self.ruled.fwd)} for function {self.ruled.name} must "
                "produce a pair (list or tuple of length two) where the first element represents "
                "the primal output and the second element represents residuals (i.e. values "
                f"stored from the forward pass for use on the backward pass), but got {pair!r}")
        output, left = pair
        rest, spec = flatten(left)
        node.put(to_save=tuple(r for r in rest if isinstance(r, Handle)),
                 left=[None if isinstance(r, Handle) else (r,) for r in rest], left_spec=spec)
        return self.flat(output)

    def backward(self, node: Any, grads: Sequence[Any]) -> Any:
        saved = iter(node.saved_tensors)
        left = node.left_spec.unflatten([next(saved) if r is None else r[0] for r in node.left])
        found = self.ruled.bwd(*self.fixed.values(), left, self.out_spec.unflatten(grads))
        return tuple(self._leaves(found))

    def _leaves(self, found: Any) -> list[Any]:
        """What the rule gave, for the leaves of the arguments.

        Raises:
            TypeError: if it is no tuple of the arguments' structure.
        """
        where = (f"Custom VJP bwd rule {_name(self.ruled.bwd)} for function {self.ruled.name} "
                 "must produce a tuple")
        parts = self.spec.children
        if not isinstance(found, (tuple, list)):
            raise TypeError(f"{where}, got {type(found)}")
        if len(found) != len(parts):
            raise TypeError(f"{where} of length {len(parts)}, equal to the number of arguments "
                            f"that are differentiated by, got one of length {len(found)}")
        leaves: list[Any] = []
        for i, (g, part) in enumerate(zip(found, parts, strict=True)):
            try:
                leaves += [None] * part.leaves if g is None else spread(
                    g, part.unflatten([None] * part.leaves))
            except ValueError:
                raise TypeError(f"{where} of the arguments' structure: argument {i} has structure "
                                f"{part}, its cotangent {flatten(g)[1]}") from None
        return leaves

    def push(self, node: CustomNode, args: Sequence[Any], tangents: Sequence[Any]) -> Any:
        raise TypeError("can't apply forward-mode differentiation (jvp) to a custom_vjp function: "
                        f"{self.ruled.name} has a rule for cotangents alone. Give it a rule for "
                        "tangents, with custom_jvp, which serves both modes.")


class custom_jvp(_Ruled):  # noqa: N801 - JAX's name
    """A function whose tangents are computed by a rule, to be given with `defjvp` or `defjvps`.

    The rule serves reverse mode as well: it is linear in the tangents, and is transposed. Tensors
    that the function closes over have no rule: where their derivative would be lost, that is an
    error. Make them arguments.

    Args:
        fun: from tensors (or pytrees of them) to tensors.
        nondiff_argnums: the place of an argument that is not differentiated by, and may be
            anything, or several places.

    Raises:
        AttributeError: when the function is called, if it has no rule yet.
        RuntimeError: when it is, if a derivative by a tensor that it closes over would be lost.
        TypeError: where it is differentiated, if what the rule gave does not fit the output.

    Example:
        log(1 + e^x), whose derivative must not be computed as inf / inf:

        >>> import wengert as torch
        >>> @torch.func.custom_jvp
        ... def log1pexp(x):
        ...     return torch.log1p(torch.exp(x))
        >>> @log1pexp.defjvp
        ... def rule(primals, tangents):
        ...     (x,), (t,) = primals, tangents
        ...     return log1pexp(x), (1 - 1 / (1 + torch.exp(x))) * t
        >>> torch.func.grad(log1pexp)(torch.tensor(100.))
        tensor(1.)
    """

    rule: Any = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Gives the rule, and returns it.

        Args:
            rule: takes the arguments that are not differentiated by, a tuple of the others, and a
                tuple of their tangents; returns the output and its tangent.
        """
        self.rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Gives one rule per argument: `rule(t, out, *args)` is its part of the tangent.

        None is for an argument that the output does not depend on, as far as derivatives go.

        Raises:
            TypeError: if there are arguments that are not differentiated by.
        """
        if self.nondiff_argnums:
            raise TypeError("Can't use ``defjvps`` with ``nondiff_argnums``.")

        def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            if len(rules) != len(primals):
                raise TypeError(f"{self.name}: defjvps was given {len(rules)} rules, but there are "
                                f"{len(primals)} arguments")
            out = self(*primals)
            leaves, spec = flatten(out)
            parts = [flatten(each(t, out, *primals))[0]
                     for each, t in zip(rules, tangents, strict=True) if each is not None]
            return out, spec.unflatten([sum(column[1:], column[0]) if column else None
                                        for column in zip(*parts, strict=True)] or
                                       [None] * len(leaves))

        self.rule = rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise AttributeError(f"No JVP defined for custom_jvp function {self.name} using "
                                 "defjvp.")
        return self._apply(_JVP, self._bound(args, kwargs))


class _JVP(_Call):
    def push(self, node: CustomNode, args: Sequence[Any], tangents: Sequence[Any]) -> Any:
        filled = [_zero(x) if t is None else t for x, t in zip(args, tangents, strict=True)]
        pair = self.ruled.rule(*self.fixed.values(), tuple(self.spec.unflatten(args)),
                               tuple(self.spec.unflatten(filled)))
        where = f"Custom JVP rule {_name(self.ruled.rule)} for function {self.ruled.name} must "
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            raise TypeError(f"{where}produce a pair (list or tuple of length two) representing "
                            f"primal and tangent outputs, but got {pair!r}")
        output = self.flat(pair[0])
        try:
            found = spread(pair[1], pair[0])
        except ValueError:
            found = []
        if len(found) != len(listed(output)):
            raise TypeError(f"{where}produce primal and tangent outputs with equal container "
                            f"(pytree) structures, but got {self.out_spec} and "
                            f"{flatten(pair[1])[1]} respectively.")
        return output, found[0] if len(found) == 1 else tuple(found)

    def run(self, node: CustomNode, args: Sequence[Any]) -> Any:
        """The rule at zero tangents, kept so that it can be transposed."""
        places = [i for i, x in enumerate(args)
                  if isinstance(x, Handle) and x.aval.dtype.differentiable]
        carriers: list[int] = []

        def tangents_out(*ts: Any) -> Any:
            tangents: list[Any] = [None] * len(args)
            for i, t in zip(places, ts, strict=True):
                tangents[i] = t
            output, found = self.push(node, args, tangents)
            outs = listed(output)
            carriers[:] = [i for i, out in enumerate(outs)
                           if isinstance(out, Handle) and out.aval.dtype.differentiable]
            return tuple(_as_tangent(listed(found)[i], outs[i]) for i in carriers), output

        _, pull, output = vjp(tangents_out, *(_zero(args[i]) for i in places), has_aux=True)
        node.params = {"pull": pull, "places": places, "carriers": carriers}
        return output

    def backward(self, node: CustomNode, grads: Sequence[Any]) -> Any:
        assert node.params is not None
        found = node.params["pull"](tuple(grads[i] for i in node.params["carriers"]))
        by_place = dict(zip(node.params["places"], found, strict=True))
        return tuple(by_place.get(i) for i in range(node.count))


def _zero(x: Any) -> Any:
    if not isinstance(x, Handle):
        return 0.0 if isinstance(x, (int, float)) else None
    return made(wrap(x.aval.zeros()))


def _as_tangent(t: Any, out: Any) -> Any:
    """A tangent of an output's shape; zeros for None."""
    if t is None:
        return _zero(out)
    if not isinstance(t, Handle):
        raise TypeError(f"a tangent must be a tensor or None, not {type(t).__name__}")
    if t.aval.shape != out.aval.shape:
        raise TypeError(
            "Custom JVP rule must produce primal and tangent outputs with equal shapes, but got "
            f"{list(out.aval.shape)} and {list(t.aval.shape)}")
    return t


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
