"""What samples of activations need: parameters, and numbers away from kinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from samples import S, Sample, r

SAMPLES: list[Sample] = [
    S("glu", r(2, 4), dim=1, ref=lambda x: x[:, :2] / (1 + np.exp(-x[:, 2:]))),
    S("glu", r(2, 3), dim=0, ref=lambda x: x[:1] / (1 + np.exp(-x[1:]))),
]
_WIDE = (((-4.2, -3.2), (-2.8, -0.7), (-0.3, -0.1), (0.1, 0.3), (0.7, 2.8), (3.2, 6.8)),)
DOMAINS: dict[str, Any] = {"hardsigmoid": _WIDE, "hardswish": _WIDE, "hardtanh": _WIDE,
                           "hardshrink": _WIDE, "softshrink": _WIDE, "threshold": _WIDE}
DOMAINS["outside"] = (((-1.5, -0.5), (0.5, 1.5)), *_WIDE)
PARAMS: dict[str, list[dict[str, Any]]] = {
    "elu": [{"alpha": 1.0, "scale": 1.0, "width": 1.0},
            {"alpha": 1.7, "scale": 1.05, "width": 0.5}],
    "elu_slope": [{"alpha": 1.0, "scale": 1.0, "width": 1.0},
                  {"alpha": 1.7, "scale": 1.05, "width": 0.5}],
    "softplus_slope": [{"beta": 1.0, "threshold": 20.0}, {"beta": 3.0, "threshold": 1.5}],
    "leaky_relu": [{"slope": 0.01}, {"slope": -1.5}],
    "hardtanh": [{"low": -0.5, "high": 3.0}],
    "hardshrink": [{"width": 0.5}], "softshrink": [{"width": 0.5}], "outside": [{"width": 0.5}],
    "threshold": [{"bound": 0.5, "value": -2.0}],
}
FLAT: dict[str, set[int]] = {"outside": {1}}
