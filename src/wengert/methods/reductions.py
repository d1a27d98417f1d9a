"""Tensor's methods that reduce, scan, sort or count."""

from __future__ import annotations

from ..ops import counting, norms, reduce, scans, sorting, statistics


class Reductions:
    """Reductions, scans, sorting, statistics, counting."""

    __slots__ = ()

    sum, mean, prod = reduce.sum, reduce.mean, reduce.prod
    nansum, nanmean, count_nonzero = reduce.nansum, reduce.nanmean, reduce.count_nonzero
    max, min, amax, amin = reduce.max, reduce.min, reduce.amax, reduce.amin
    aminmax, argmax, argmin = reduce.aminmax, reduce.argmax, reduce.argmin
    all, any = reduce.all, reduce.any
    logsumexp, softmax, log_softmax = reduce.logsumexp, reduce.softmax, reduce.log_softmax
    norm, renorm, renorm_ = norms.norm, norms.renorm, norms.renorm_

    var, std = statistics.var, statistics.std
    median, nanmedian, mode = statistics.median, statistics.nanmedian, statistics.mode
    quantile, nanquantile = statistics.quantile, statistics.nanquantile
    cov, corrcoef = statistics.cov, statistics.corrcoef

    cumsum, cumsum_, cumprod, cumprod_ = scans.cumsum, scans.cumsum_, scans.cumprod, scans.cumprod_
    cummax, cummin, logcumsumexp, diff = scans.cummax, scans.cummin, scans.logcumsumexp, scans.diff

    sort, argsort, msort = sorting.sort, sorting.argsort, sorting.msort
    topk, kthvalue = sorting.topk, sorting.kthvalue

    unique, unique_consecutive = counting.unique, counting.unique_consecutive
    bincount, histc, histogram = counting.bincount, counting.histc, counting.histogram
