"""Tensor's methods that are special functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.later import later

if TYPE_CHECKING:
    from .._tensor import Tensor
    from ..ops import special
else:
    special = later("wengert.ops.special")


class Special:
    """The gamma function and its kin, the inverse of erf, and Bessel's i0."""

    __slots__ = ()

    lgamma, digamma, mvlgamma = special.lgamma, special.digamma, special.mvlgamma
    igamma, igammac = special.igamma, special.igammac
    erfinv, i0 = special.erfinv, special.i0
    lgamma_, digamma_, mvlgamma_ = special.lgamma_, special.digamma_, special.mvlgamma_
    igamma_, igammac_ = special.igamma_, special.igammac_
    erfinv_, i0_, polygamma_ = special.erfinv_, special.i0_, special.polygamma_

    def polygamma(self: Any, n: int) -> Tensor:
        """The n-th derivative of digamma at each element."""
        from ..ops.special import polygamma

        return polygamma(n, self)
