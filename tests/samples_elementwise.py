"""Sample applications of later elementwise primitives, and of those of complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from samples import HIGHS, INT, LOWS, POSITIVE, STEPS, Domain, S, c, ints, r

DOMAINS: dict[str, tuple[Domain, ...]] = {
    "gcd": (INT, INT), "lcm": (INT, INT), "fmax": (HIGHS, LOWS), "fmin": (HIGHS, LOWS),
    "logit": (((0.1, 0.9),),), "xlogy": (STEPS, POSITIVE),
    "mantissa": (((0.6, 0.9), (-0.9, -0.6)),),
}

PARAMS: dict[str, list[dict[str, Any]]] = {
    "logit": [{"eps": None}, {"eps": 0.05}],
    "nan_to_num": [{"nan": 0.0, "posinf": 1.0, "neginf": -1.0}],
}

FLAT = {"nextafter": {1}, "copysign": {1}}

REAL_ONLY = {"mantissa", "exponent", "complex", "polar", "ldexp", "heaviside"}

SAMPLES = [
    S("isin", ints(1, 2, 3), ints(3, 1)), S("isin", r(2, 3), r(2)),
    S("view_as_real", c(2, 3), ref=lambda x: np.stack([x.real, x.imag], -1)),
    S("view_as_real", c()),
    S("view_as_complex", r(3, 2), ref=lambda x: x[:, 0] + 1j * x[:, 1]),
    S("view_as_complex", r(2)),
]
