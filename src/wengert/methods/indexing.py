"""Tensor's methods that pick elements, or put them."""

from __future__ import annotations

from ..ops import index, picking, scattering


class Indexing:
    """Picking and putting elements."""

    __slots__ = ()

    select, narrow, narrow_copy = picking.select, picking.narrow, picking.narrow_copy
    gather, index_select = picking.gather, picking.index_select
    take, take_along_dim = picking.take, picking.take_along_dim
    masked_select, argwhere = picking.masked_select, picking.argwhere
    nonzero, nonzero_static = picking.nonzero, picking.nonzero_static

    scatter, scatter_add = scattering.scatter, scattering.scatter_add
    scatter_, scatter_add_ = scattering.scatter_, scattering.scatter_add_
    scatter_reduce, scatter_reduce_ = scattering.scatter_reduce, scattering.scatter_reduce_
    index_add, index_add_ = scattering.index_add, scattering.index_add_
    index_copy, index_copy_ = scattering.index_copy, scattering.index_copy_
    index_fill, index_fill_ = scattering.index_fill, scattering.index_fill_
    index_reduce, index_reduce_ = scattering.index_reduce, scattering.index_reduce_
    index_put, index_put_ = index.index_put, index.index_put_
