"""Tensor's methods that reduce, scan or sort dimensions."""

from __future__ import annotations

from ..ops import reduce


class Reductions:
    """Reductions, scans, sorting."""

    __slots__ = ()

    sum, mean, prod = reduce.sum, reduce.mean, reduce.prod
    max, min, amax, amin = reduce.max, reduce.min, reduce.amax, reduce.amin
    argmax, argmin, sort, argsort = reduce.argmax, reduce.argmin, reduce.sort, reduce.argsort
    all, any = reduce.all, reduce.any
    var, std, norm = reduce.var, reduce.std, reduce.norm
    logsumexp, softmax, log_softmax = reduce.logsumexp, reduce.softmax, reduce.log_softmax
    cumsum = reduce.cumsum
