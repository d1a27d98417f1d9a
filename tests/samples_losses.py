"""Sample applications of losses of pairs, by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.special

from samples import Array, S, Sample, r

TOTALS: dict[str, Callable[[Array], Any]] = {"none": np.asarray, "sum": np.sum, "mean": np.mean}
X, Y = np.array([[-1.4, 0.3, 2.1], [0.8, -0.2, 1.7]]), np.array([[0.2, 0.6, 0.9], [0.1, 0.4, 0.7]])
P = np.array([[0.45, 0.4, 0.55], [0.6, 0.5, 0.38]])


def _smooth(beta: float) -> Callable[[Array, Array], Array]:
    return lambda x, y: np.where(
        abs(x - y) < beta, (x - y) ** 2 / (2 * beta), abs(x - y) - beta / 2)


def _cross(p: Array, y: Array) -> Array:
    return np.asarray(-y * np.log(p) - (1 - y) * np.log(1 - p))


DEFINITIONS: list[tuple[str, Array, Any, Callable[[Array, Array], Array]]] = [
    ("mse_loss", r(2, 3), None, lambda x, y: (x - y) ** 2),
    ("l1_loss", X, None, lambda x, y: abs(x - y)),
    ("smooth_l1_loss", X, 0.75, _smooth(0.75)),
    ("huber_loss", X, 0.75, lambda x, y: 0.75 * _smooth(0.75)(x, y)),
    ("binary_cross_entropy", P, None, _cross),
    ("binary_cross_entropy_with_logits", X, None,
     lambda x, y: _cross(scipy.special.expit(x), y)),
    ("soft_margin_loss", X, None, lambda x, y: np.log(1 + np.exp(-x * y))),
]


def _losses() -> Iterator[Sample]:
    for name, x, how, loss in DEFINITIONS:
        for reduction, total in TOTALS.items():
            yield S(name, x, Y, how=how, reduction=reduction,
                    ref=lambda x, y, loss=loss, total=total: total(loss(x, y)))


SAMPLES = list(_losses())
