"""What losses have in common: how those of all elements become one."""

from __future__ import annotations

from typing import Any

from ...core.provenance import warn


def reduced(losses: Any, reduction: str, count: Any) -> Any:
    """Losses, or their sum, or their sum by a count."""
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / count


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that is meant, perhaps in words of old.

    Raises:
        ValueError: if there is no such reduction.
    """
    if size_average is not None or reduce is not None:
        average, some = size_average is not False, reduce is not False
        reduction = "none" if not some else "mean" if average else "sum"
        warn("size_average and reduce args will be deprecated, please use "
             f"reduction='{reduction}' instead.")
    if reduction == "elementwise_mean":
        warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' "
             "instead.")
        return "mean"
    check_reduction(reduction)
    return reduction


def total(losses: Any, reduction: str) -> Any:
    """Losses, or their sum, or their mean.

    Raises:
        ValueError: if there is no such reduction.
    """
    check_reduction(reduction)
    return losses if reduction == "none" else (
        losses.mean() if reduction == "mean" else losses.sum())


def check_reduction(reduction: str) -> None:
    """Refuses what is no reduction."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
