"""Tensor's methods of products and linear algebra."""

from __future__ import annotations

from ..ops import products


class Products:
    """Products of vectors and matrices."""

    __slots__ = ()

    dot, mv, mm, bmm, matmul = (products.dot, products.mv, products.mm, products.bmm,
                                products.matmul)
    outer, addmm = products.outer, products.addmm
