"""Tensor's methods that pick elements, or put them."""

from __future__ import annotations

from ..ops import index


class Indexing:
    """Picking and putting elements."""

    __slots__ = ()

    select, narrow, nonzero = index.select, index.narrow, index.nonzero
    index_select, gather, scatter_add = index.index_select, index.gather, index.scatter_add
    index_put_ = index.index_put_
