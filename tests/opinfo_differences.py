"""What PyTorch's own table of operations is not held to, and why.

`OUT_OF_SCOPE` are names that wengert does not promise. `MISSING` are holes: names that it will
have. `DIFFERENCES` are checks that differ from PyTorch's, on purpose. The last two are strict: an
entry that is no longer true makes the test fail, so that it gets removed.
"""

from __future__ import annotations

# A name as a pattern (see fnmatch): the reason.
OUT_OF_SCOPE: dict[str, str] = {
    "masked.*": "torch.masked, a prototype",
    "jiterator_*": "compiles CUDA source",
    "sparse.*": "sparse layouts",
    "to_sparse": "sparse layouts",
    "torch.*": "internal to PyTorch",
    "_*[a-z]": "internal to PyTorch",
    "slice": "torch.ops.aten, no public name",
    "native_*": "internal to PyTorch's nn.functional",
    "max_pool2d_with_indices_backward": "internal to PyTorch's nn.functional",
    "chalf": "complex32, which NumPy lacks",
    "unsafe_*": "internal to PyTorch",
    "hash_tensor": "a hash of PyTorch's own",
    "nn.functional.linear_cross_entropy": "newer than issue 5's list",
}

# Names that match a pattern above and are in scope.
IN_SCOPE = {"index_copy", "__getitem__", "__radd__", "__rand__", "__rdiv__", "__rmatmul__",
            "__rmod__", "__rmul__", "__ror__", "__rpow__", "__rsub__", "__rxor__"}

# Dtypes that wengert does not promise.
OTHER_DTYPES = {"complex32", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
                "float8_e8m0fnu", "float4_e2m1fn_x2"}

# Operations of random results: only dtypes and shapes are compared, but for those in SAME_NUMBERS.
RANDOM = {
    "bernoulli", "cauchy", "exponential", "geometric", "log_normal", "multinomial", "normal",
    "normal.in_place", "normal.number_mean", "uniform", "rand_like", "randn_like", "randint_like",
    "randn", "randint", "svd_lowrank", "pca_lowrank", "nn.functional.dropout",
    "nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.alpha_dropout",
    "nn.functional.feature_alpha_dropout.with_train", "nn.functional.rrelu",
    "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d",
    "nn.functional.scaled_dot_product_attention", "nn.functional.multi_head_attention_forward",
}
SAME_NUMBERS = {"randn", "randint", "rand_like", "randn_like", "randint_like"}

# Results with whatever was in memory.
UNINITIALISED = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty",
                 "new_empty_strided", "resize_", "resize_as_"}

# Results with the places of elements: which of equal ones is up to PyTorch's algorithm, and so the
# values alone are compared where places differ.
OF_EQUALS = {"kthvalue", "median", "mode", "nanmedian", "sort", "topk"}

# In-scope names that wengert has not got yet.
MISSING: set[str] = set()

# (name, check or "*"): the reason.
DIFFERENCES: dict[tuple[str, str], str] = {
    **{(f"{name}_n_{n}", check): "infinite at the poles, where PyTorch's reflection is finite"
       for name, most in (("polygamma.polygamma", 5), ("special.polygamma.special_polygamma", 1))
       for n in range(most) for check in ("value", "extremal")},
    **{(f"special.bessel_{name}", check): "PyTorch's has seven digits at some places"
       for name in ("j0", "j1", "y0", "y1") for check in ("value", "extremal")},
    ("special.airy_ai", "value"): "PyTorch's has seven digits at some places",
    ("special.airy_ai", "extremal"): "0 at infinity, where PyTorch gives NaN",
    **{(f"special.{name}", "extremal"): "PyTorch leaves memory unwritten for NaN, and overflows "
       "where a float32 result is infinite"
       for name in (*(f"{s}chebyshev_polynomial_{kind}" for s in ("", "shifted_")
                      for kind in "tuvw"), "hermite_polynomial_h", "hermite_polynomial_he",
                    "laguerre_polynomial_l", "legendre_polynomial_p")},
    ("lerp", "value"): "PyTorch rounds in the midst of it for float16, more than once",
    ("argsort", "value"): "equal elements stay in order, even if nobody asked for that",
    **{(name, "vmap"): "it looks at memory, in which the examples of a batch lie otherwise"
       for name in ("as_strided", "as_strided.partial_views", "as_strided_copy",
                    "as_strided_scatter")},
    ("narrow_copy", "errors"): "an IndexError, as of narrow, where PyTorch asserts",
    ("as_strided_scatter", "grad"): "PyTorch's gradient of what is overwritten is not zero",
    **{(name, "vmap"): "the size of the result depends on numbers that differ by example"
       for name in ("argwhere", "bincount", "repeat_interleave")},
    ("cov", "value"): "a complex infinity, a quotient by 0, has the sign of a rounding error",
    ("logcumsumexp", "value"): "complex logarithms have the principal value as imaginary part",
    ("logcumsumexp", "forward"): "PyTorch gives NaN for complex numbers",
    ("cholesky_inverse", "forward"): "PyTorch's tangent has in it the triangle that isn't read",
    ("matrix_exp", "value"): "PyTorch gives NaN for bfloat16",
    ("linalg.norm.subgradients_at_zero", "gradgrad"): "at zero, PyTorch gives NaN",
    **{(f"nn.functional.{name}", "vmap"): "max_norm writes to the matrix, by what the indices are"
       for name in ("embedding", "embedding_bag")},
    ("nn.functional.dropout3d", "inplace"): "nothing is written where nothing is dropped",
    ("nn.functional.ctc_loss", "vmap"): "labels are looked at, and may differ by example",
    ("addbmm", "inplace"): "PyTorch's addbmm_ resizes an addend of a smaller shape, which all its "
                           "kin refuse",
    ("nn.functional.embedding_bag", "value"): "PyTorch rounds bfloat16 after each row",
}

# How results lie in memory, where it is not as PyTorch's do: the reason, and the operations.
LYING: dict[str, str] = {
    "PyTorch's has the gaps that are in the operand's memory":
        "as_strided_scatter diagonal_scatter select_scatter slice_scatter",
    "which of PyTorch's kernels have channels last depends on how many numbers there are, and on "
    "the dilation":
        "nn.functional.conv_transpose3d",
    "PyTorch takes some strides of a single image for channels last":
        "stack",
    "a product without a sum lies as it is computed, in the order of the letters":
        "einsum",
    "2 to the power of the second is contiguous in PyTorch's composition":
        "ldexp",
    "PyTorch's fused kernel lays it out as the queries":
        "nn.functional.scaled_dot_product_attention",
    "a tensor is written to as if it were contiguous":
        "put",
    "a matrix is not written whose rows are one in memory":
        "nn.functional.embedding nn.functional.embedding_bag",
    "a matrix of equal rows is singular to the last bit, but for PyTorch's rounding":
        "lu",
}
DIFFERENCES |= {(name, "layout"): why for why, names in LYING.items() for name in names.split()}
