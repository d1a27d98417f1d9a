"""Where the special functions are sampled: domains and parameters, as in `samples`."""

from __future__ import annotations

from typing import Any

from samples import Sample

Interval = tuple[float, float]

SAMPLES: list[Sample] = []
POSITIVE: tuple[Interval, ...] = ((0.3, 3.0),)
SHARE: tuple[Interval, ...] = ((0.1, 0.4), (0.6, 0.9))
UNIT: tuple[Interval, ...] = ((-0.9, -0.1), (0.1, 0.9))
NEAR: tuple[Interval, ...] = ((-0.7, -0.1), (0.1, 0.7))
ABOVE: tuple[Interval, ...] = ((1.3, 4.0),)
DEGREES: tuple[Interval, ...] = ((0.1, 0.9), (1.1, 1.9), (2.1, 2.9), (5.1, 5.9))

DOMAINS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys((
        "entr", "lgamma", "bessel_y0", "bessel_y1", "bessel_y", "modified_bessel_k0",
        "modified_bessel_k1", "bessel_k", "scaled_modified_bessel_k0",
        "scaled_modified_bessel_k1", "bessel_ke", "bessel_ke_slope"), (POSITIVE,)),
    **dict.fromkeys((
        "gegenbauer", "laguerre", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
        "chebyshev_polynomial_v", "chebyshev_polynomial_w", "hermite_polynomial_h",
        "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"),
        (UNIT, DEGREES)),
    **dict.fromkeys(("digamma", "polygamma"), (((0.6, 2.0), (-1.7, -1.3)),)),
    "erfinv": (NEAR,), "erfinv_slope": (NEAR,), "ndtri": (SHARE,), "ndtri_slope": (SHARE,),
    "mvlgamma": (((2.2, 5.0),),), "xlog1py": (UNIT, ((-0.7, 3.0),)),
    "igamma": (POSITIVE, POSITIVE), "igammac": (POSITIVE, POSITIVE),
    "gammainc_slope": (POSITIVE, POSITIVE), "gamma_density": (POSITIVE, POSITIVE),
    "zeta": (ABOVE, POSITIVE), "zeta_slope": (ABOVE, POSITIVE),
}

PARAMS: dict[str, list[dict[str, Any]]] = {
    "polygamma": [{"n": 1}, {"n": 2}], "mvlgamma": [{"p": 1}, {"p": 4}],
    "gammainc_slope": [{"order": 1}, {"order": 2}], "zeta_slope": [{"order": 1}, {"order": 2}],
    **{name: [{"order": 2}, {"order": 3}] for name in (
        "bessel_j", "bessel_y", "bessel_i", "bessel_ie", "bessel_k", "bessel_ke",
        "spherical_bessel")},
    **{name: [{"order": 0}, {"order": 1}] for name in ("bessel_ie_slope", "bessel_ke_slope")},
    "gegenbauer": [{"alpha": 1.5}, {"alpha": 2.0}], "laguerre": [{"alpha": 1.0}],
}

REAL_ONLY = {
    "erfinv_slope", "erfcx_slope", "ndtri_slope", "gammainc_slope", "gamma_density", "zeta_slope",
    "bessel_j", "bessel_y", "bessel_i", "bessel_ie", "bessel_ie_slope", "bessel_k", "bessel_ke",
    "bessel_ke_slope", "spherical_bessel", "airy_ai_slope", "gegenbauer", "laguerre",
}
"""What has no complex operands, because only derivatives lead to it."""
