"""What `gradcheck` says of two Jacobians that differ: where, by how much, and what it may mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.handle import wrap

SHOWN = 100
"""Jacobians of at most so many entries are shown whole."""
WORST = 5
"""So many of the entries that differ are listed."""


class Place(NamedTuple):
    """Which output with respect to which input, and what is known of both.

    Attributes:
        output, input: their positions in what the function returns and takes.
        output_shape, input_shape: their shapes.
        prefix: what is considered of complex tensors; "" for all.
        forward: whether the analytical Jacobian is from forward mode.
        labels: what to call output and input besides their numbers, if anything.
    """

    output: int
    input: int
    output_shape: tuple[int, ...]
    input_shape: tuple[int, ...]
    prefix: str = ""
    forward: bool = False
    labels: str = ""


def agree(analytical: Any, numerical: Any, rtol: float, atol: float) -> Any:
    """Where two arrays agree as `allclose` has it; NaN agrees with nothing."""
    return np.isclose(analytical, numerical, rtol, atol)


def message(place: Place, analytical: np.ndarray, numerical: np.ndarray, near: np.ndarray,
            hints: Sequence[str] = (), fast: str = "") -> str:
    """The message for two Jacobians that differ.

    Args:
        place: whose Jacobians they are.
        analytical, numerical: a row per entry of the input, a column per entry of the output.
        near: where they agree.
        hints: what is known of the cause; if nothing, the numbers are looked at.
        fast: what fast mode saw, if it was it that failed.
    """
    by = " computed with forward mode" if place.forward else ""
    lines = [f"{place.prefix}Jacobian{by} mismatch for output {place.output} with respect to "
             f"input {place.input},"]
    if fast:
        lines += [fast, "The Jacobians, entry by entry:"]
    if analytical.size <= SHOWN:
        digits = _digits(analytical, numerical)
        lines += [f"numerical:{wrap(np.round(numerical, digits) + 0.0)!r}",  # 0., not -0.
                  f"analytical:{wrap(np.round(analytical, digits) + 0.0)!r}"]
    lines += [f"A row for each entry of the input {list(place.input_shape)}, a column for each "
              f"entry of the output {list(place.output_shape)}."]
    if place.labels:
        lines.append(place.labels)
    lines += _worst(place, analytical, numerical, near)
    if not hints and not near.all():
        hints = _patterns(analytical, numerical)
    lines += [f"Hint: {hint}" for hint in hints or [
        "the derivative of func is wrong here, or func has none at these inputs (a kink, a jump)."]]
    return "\n".join(lines) + "\n"


def _digits(*jacobians: np.ndarray) -> int:
    """To how many digits to print Jacobians: with the noise of differences they would be in 1e-12s.
    """
    size = max(np.abs(j[np.isfinite(j)]).max(initial=0.0) for j in jacobians)
    return 0 if size == 0 else 7 - int(np.ceil(np.log10(size)))


def _worst(place: Place, analytical: np.ndarray, numerical: np.ndarray,
           near: np.ndarray) -> list[str]:
    """The entries that differ most, first those that are not numbers."""
    rows, columns = np.nonzero(~near)
    if not rows.size:
        return ["Entry by entry they agree within the tolerances."]
    order = worst_first(analytical[rows, columns], numerical[rows, columns])[:WORST]
    lines = [f"{rows.size} of {near.size} entries differ"
             f"{'; the worst' if rows.size > WORST else ''}:"]
    for row, column in zip(rows[order], columns[order], strict=True):
        a, n = analytical[row, column], numerical[row, column]
        lines.append(f"  d output{_index(column, place.output_shape)} / d input"
                     f"{_index(row, place.input_shape)}: analytical {_number(a)}, numerical "
                     f"{_number(n)}, difference {abs(a - n):.3g}{_relative(a, n)}")
    return lines


def worst_first(a: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The order of entries by difference."""
    difference = np.abs(a - n)
    return np.argsort(-np.where(np.isnan(difference), np.inf, difference), kind="stable")


def _index(k: int, shape: tuple[int, ...]) -> str:
    return str([int(i) for i in np.unravel_index(k, shape)]) if shape else ""


def _number(value: Any) -> str:
    return f"{value:.6g}"


def _relative(a: Any, n: Any) -> str:
    largest = max(abs(a), abs(n))
    return f" (relative {abs(a - n) / largest:.2g})" if np.isfinite(largest) and largest else ""


def _patterns(a: np.ndarray, n: np.ndarray) -> list[str]:
    """What the way in which two Jacobians differ usually means."""
    if not np.isfinite(n).all():
        return ["finite differences are not finite: func itself gives inf or NaN at the inputs or "
                "within eps of them. Choose inputs well inside its domain."]
    if not np.isfinite(a).all():
        return ["only the analytical Jacobian has inf or NaN: a derivative divides by 0 or "
                "multiplies 0 by inf, often in a branch that `where` does not select."]
    size = max(np.abs(a).max(), np.abs(n).max())

    def same(x: np.ndarray, y: np.ndarray) -> bool:
        return x.shape == y.shape and bool(np.abs(x - y).max() <= 1e-4 * size)

    if not a.any():
        return ["the analytical Jacobian is 0: the output is cut off from the input (detach(), "
                ".data, item(), no_grad), or a rule returns None or zeros for it."]
    if np.abs(n).max() <= 1e-8 * size:
        return ["func does not change when the input does (rounding, comparisons, a lower "
                "precision or a copy inside?), yet its backward has a gradient."]
    if same(a, n.conj()):
        return ["the analytical Jacobian is the conjugate of the numerical one: gradients are "
                "dL/dRe + i dL/dIm, so rules conjugate what they multiply with."]
    if factor := _factor(a, n, same):
        return factor
    if same(np.sort(a, None), np.sort(n, None)):
        return ["both have the same numbers, in different places: a transpose, a permutation or a "
                "reshape is missing or wrong in a derivative rule."]
    return []


def _factor(a: np.ndarray, n: np.ndarray, same: Any) -> list[str]:
    """Whether one Jacobian is a multiple of the other."""
    factor = np.vdot(n, a) / np.vdot(n, n)
    if not same(a, factor * n):
        return []
    if not np.iscomplexobj(factor) or abs(factor.imag) < 1e-4 * abs(factor):
        factor = factor.real
    if abs(factor + 1) < 1e-4:
        return ["the analytical Jacobian has the wrong sign."]
    return [f"the analytical Jacobian is {factor:.4g} times the numerical one, everywhere: a "
            "constant factor is wrong in a derivative rule, or the input is used several times and "
            "some uses count too often, or not at all (detach)."]
