"""Tensor's methods of products of vectors and matrices."""

from __future__ import annotations

from ..ops import addmm as added, products


class Products:
    """Products of vectors and matrices."""

    __slots__ = ()

    dot, vdot, inner, outer = products.dot, products.vdot, products.inner, products.outer
    ger, mv, mm, bmm, matmul = (products.outer, products.mv, products.mm, products.bmm,
                                products.matmul)
    addmm, addmv, addr = added.addmm, added.addmv, added.addr
    addbmm, baddbmm = added.addbmm, added.baddbmm
    addmm_, addmv_, addr_ = added.addmm_, added.addmv_, added.addr_
    addbmm_, baddbmm_ = added.addbmm_, added.baddbmm_
