"""`gradcheck`: derivatives compared with finite differences.

Numerically, each entry of an input is moved by eps to both sides and the function evaluated.
Analytically, a cotangent (or, in forward mode, a tangent) is carried through for each entry. Fast
mode compares u^T J v for random u and v instead of J, which takes one of each.

A complex output is checked as two real ones, its imaginary and its real part. The gradient of a
real s with respect to a complex z = a + ib is ds/da + i ds/db, and so it is computed here.

Example:
    >>> import wengert as torch
    >>> x = torch.tensor([1., 2.], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.sin, x)
    True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.provenance import warn
from ..func.reverse import vjp
from ..ops.random import Generator, randn
from .checking import (
    DOUBLE,
    SEED,
    Check,
    GradcheckError,
    Options,
    outputs_of,
    replaced,
    requiring_grad,
    several,
)
from .differentiate import grad
from .grad_mode import enable_grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


def gradcheck(func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5,
              rtol: float = 0.001, raise_exception: bool = True, nondet_tol: float = 0.0,
              check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
              check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
              check_forward_ad: bool = False, check_backward_ad: bool = True,
              fast_mode: bool = False, masked: bool | None = None) -> bool:
    """Checks the derivatives of a function against finite differences.

    The tolerances are meant for float64: give inputs of that type. Outputs that require no grad
    are not checked, unless none does: then none may depend on the inputs.

    Args:
        func: takes the inputs, returns a tensor or several.
        inputs: a tensor, or a tuple or list of what func takes. Derivatives with respect to tensors
            that require grad are checked. They are moved in place, and put back.
        eps: how far they are moved.
        atol, rtol: how far an analytical entry may be from the numerical n: `atol + rtol * |n|`.
        raise_exception: raise `GradcheckError` where derivatives differ, rather than return False.
        nondet_tol: how far two runs of the same backward may differ.
        check_undefined_grad: check that zero or missing cotangents give zero gradients.
        check_grad_dtypes: check that gradients have the dtypes of inputs.
        check_batched_grad: check that a batch of cotangents gives what each gives.
        check_batched_forward_grad: check that a batch of tangents gives what each gives.
        check_forward_ad: check forward mode.
        check_backward_ad: check reverse mode.
        fast_mode: compare random projections of the Jacobians, and the whole only if these differ.
        masked: has no meaning here, there are no sparse tensors.

    Returns:
        True if all is well.

    Raises:
        GradcheckError: if it is not, and `raise_exception` is set.
        ValueError: if no input requires grad.
        RuntimeError: for inputs whose elements share memory.
        TypeError: if func returns what is not a tensor.
        AssertionError: for checks that exclude each other.

    Example:
        >>> import wengert as torch
        >>> def cube(x):
        ...     return x * x.detach() ** 2  # cut off, so the gradient is x ** 2
        >>> x = torch.tensor([1.], dtype=torch.float64, requires_grad=True)
        >>> torch.autograd.gradcheck(cube, x, raise_exception=False)
        False
        >>> try:
        ...     torch.autograd.gradcheck(cube, x)
        ... except RuntimeError as error:
        ...     print(str(error).splitlines()[0])
        Jacobian mismatch for output 0 with respect to input 0,
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be "
                             "True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be "
                             "True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to "
                             "be True")
    options = Options(eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes,
                       check_batched_grad, check_batched_forward_grad, check_forward_ad,
                       check_backward_ad, fast_mode)
    given = several(inputs)
    _check_inputs(given)
    return _verdict(Check(func, given, options), raise_exception)


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *,
                  eps: float = 1e-6, atol: float = 1e-5, rtol: float = 0.001,
                  gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True,
                  nondet_tol: float = 0.0, check_undefined_grad: bool = True,
                  check_grad_dtypes: bool = False, check_batched_grad: bool = False,
                  check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True,
                  fast_mode: bool = False, masked: bool | None = False) -> bool:
    """Checks second derivatives: those of a function's gradients, against finite differences.

    The gradients are a function of the inputs and of the cotangents that backward starts from. It
    is that function which is checked, as `gradcheck` checks one.

    Args:
        func: takes the inputs, returns a tensor or several.
        inputs: as for `gradcheck`.
        grad_outputs: for each output that requires grad, its cotangent; None for random ones.
        eps, atol, rtol: as for `gradcheck`.
        gen_non_contig_grad_outputs: have random cotangents lie scattered in memory.
        raise_exception, nondet_tol, check_undefined_grad, check_grad_dtypes, check_batched_grad:
            as for `gradcheck`.
        check_fwd_over_rev: check forward mode on the gradients.
        check_rev_over_rev: check reverse mode on the gradients.
        fast_mode, masked: as for `gradcheck`.

    Returns:
        True if all is well.

    Raises:
        GradcheckError: if it is not, and `raise_exception` is set. In the message, outputs are
            gradients, and cotangents count as further inputs.
        ValueError: if no input or no output requires grad.
        RuntimeError, TypeError, AssertionError: as `gradcheck`.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1., 2.], dtype=torch.float64, requires_grad=True)
        >>> torch.autograd.gradgradcheck(lambda x: x.prod() ** 2, x)
        True
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to "
                             "be True")
    options = Options(eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes,
                       check_batched_grad, False, check_fwd_over_rev, check_rev_over_rev,
                       fast_mode)
    given = several(inputs)
    _check_inputs(given, doubts=False)
    cotangents = (_random_cotangents(func, given, gen_non_contig_grad_outputs)
                  if grad_outputs is None else several(grad_outputs))
    n = len(given)

    def gradients(*args: Any) -> tuple[Any, ...]:
        ys = [y for y in outputs_of(func, args[:n]) if y.requires_grad]
        return grad(ys, [x for _, x in requiring_grad(args[:n])], args[n:], create_graph=True,
                    materialize_grads=True)

    every = (*given, *cotangents)
    _check_inputs(every)
    check = Check(gradients, every, options, inputs_of_gradient=n,
                   lifted=_gradients_as_transform(func, given) if check_fwd_over_rev else None)
    return _verdict(check, raise_exception)


def _gradients_as_transform(func: Callable[..., Any],
                            inputs: Sequence[Any]) -> Callable[..., Any]:
    """A function's gradients, of inputs and cotangents, in a form that transforms can go over."""
    places = [j for j, _ in requiring_grad(inputs)]
    with enable_grad():
        wanted = [i for i, y in enumerate(outputs_of(func, inputs)) if y.requires_grad]

    def gradients(*args: Any) -> tuple[Any, ...]:
        def outputs(*asking: Any) -> tuple[Any, ...]:
            found = outputs_of(func, replaced(args[:len(inputs)], places, asking))
            return tuple(found[i] for i in wanted)

        _, pull = vjp(outputs, *(args[j] for j in places))
        return pull(args[len(inputs):])

    return gradients


def _verdict(check: Check, raise_exception: bool) -> bool:
    try:
        with enable_grad(), np.errstate(all="ignore"):
            check.run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


# --- what is given ----------------------------------------------------------------------------


def _check_inputs(inputs: Sequence[Any], *, doubts: bool = True) -> None:
    """Refuses inputs that can't be checked, warns of those that will hardly pass.

    Raises:
        ValueError: if none requires grad.
        RuntimeError: if moving one element would move others.
    """
    asking = requiring_grad(inputs)
    if not asking:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but "
                         "none of them have requires_grad=True.")
    for j, x in asking:
        if doubts and x.dtype not in DOUBLE:
            warn(f"Input #{j} requires gradient and is not a double precision floating "
                 "point or complex. This check will likely fail if all the inputs are "
                 "not of double precision floating point or complex. ")
        if _overlaps(x.value):
            stride = ("a dimension with stride 0" if 0 in x.value.strides else
                      "elements that share memory")
            raise RuntimeError(f"The {j}th input has {stride}. gradcheck only supports inputs that "
                               "are non-overlapping to be able to compute the numerical gradients "
                               "correctly. You should call .contiguous on the input before "
                               "passing it to gradcheck.")


def _overlaps(array: np.ndarray) -> bool:
    """Whether several indices lead to one address."""
    if array.flags.c_contiguous:
        return False
    offsets = np.zeros((), np.int64)
    for n, step in zip(array.shape, array.strides, strict=True):
        offsets = offsets[..., None] + np.arange(n) * step
    return np.unique(offsets).size < array.size


def _random_cotangents(func: Callable[..., Any], inputs: Sequence[Any],
                       scattered: bool) -> tuple[Any, ...]:
    """A cotangent for each output that requires grad; the user's random numbers stay as they are.

    Raises:
        ValueError: if no output requires grad.
    """
    generator = Generator().manual_seed(SEED + 1)  # not parallel to the check's own directions
    with enable_grad():
        outputs = [y for y in outputs_of(func, inputs) if y.requires_grad]
    if not outputs:
        raise ValueError("gradgradcheck expects at least one output of func to require grad.")
    found = []
    for y in outputs:
        shape = (*y.shape, 2) if scattered else y.shape
        g = randn(shape, dtype=y.dtype, generator=generator)
        found.append((g[..., 0].detach() if scattered else g).requires_grad_())
    return tuple(found)
