"""Primitives of linear algebra: solving, decomposing, and functions of matrices, by LAPACK.

All work on batches: the last two dimensions are matrices, those before them are looped over.
Rules are for complex matrices too: they are written with `mH`, so records say `conjugate=False`.
"""
