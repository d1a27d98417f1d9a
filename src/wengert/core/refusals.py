"""The dtypes that PyTorch's CPU operations do not take, and what their errors say.

One line per primitive: the kinds refused (b: bool, i: integers, f: floats, c: complex) and the
name that the error gives to the operation, or the whole message where it is a sentence.
"""

from __future__ import annotations

from .dtypes import BOOL, COMPLEX, FLOAT, INTEGER, dtype

_LETTERS = {BOOL: "b", INTEGER: "i", FLOAT: "f", COMPLEX: "c"}
_WHOLE_NUMBERS_ONLY = "fc"

REFUSED: dict[str, tuple[str, str]] = {
    "lt": ("c", "lt_cpu"), "le": ("c", "le_cpu"), "gt": ("c", "gt_cpu"), "ge": ("c", "ge_cpu"),
    "remainder": ("bc", "remainder_cpu"), "fmod": ("bc", "fmod_cpu"),
    "floor_divide": ("bc", "div_floor_cpu"),
    "floor_quotient": ("bc", "div_floor_cpu"), "trunc_divide": ("bc", "div_trunc_cpu"),
    "pow": ("b", "pow"), "atan2": ("c", "atan2_cpu"), "hypot": ("bic", "hypot_cpu"),
    "logaddexp": ("bi", "logaddexp_cpu"), "logaddexp2": ("bi", "logaddexp2_cpu"),
    "copysign": ("c", "copysign_cpu"),
    "bitwise_and": (_WHOLE_NUMBERS_ONLY, "bitwise_and_cpu"),
    "bitwise_or": (_WHOLE_NUMBERS_ONLY, "bitwise_or_cpu"),
    "bitwise_xor": (_WHOLE_NUMBERS_ONLY, "bitwise_xor_cpu"),
    "bitwise_not": (_WHOLE_NUMBERS_ONLY, "bitwise_not_cpu"),
    "bitwise_left_shift": ("bfc", "lshift_cpu"), "bitwise_right_shift": ("bfc", "rshift_cpu"),
    "maximum": ("c", "maximum not implemented for complex tensors."),
    "minimum": ("c", "minimum not implemented for complex tensors."),
    "erf": ("c", "erf_vml_cpu"), "erfc": ("c", "erfc_vml_cpu"), "abs": ("b", "abs_cpu"),
    "floor": ("b", "floor_vml_cpu"), "ceil": ("b", "ceil_vml_cpu"), "trunc": ("b", "trunc_vml_cpu"),
    "round": ("bc", "round_vml_cpu"), "round_decimals": ("bic", "round_cpu"),
    "softplus": ("bic", "softplus_cpu"), "frac": ("bic", "frac_cpu"),
    "softmax": ("bic", "softmax_kernel_impl"), "log_softmax": ("bic", "log_softmax_kernel_impl"),
    "lerp": ("bi", "lerp_kernel_scalar"),
    "dot": ("b", "dot"), "mv": ("b", "addmv_impl_cpu"), "mm": ("b", "addmm_impl_cpu_"),
    "bmm": ("b", "bmm"), "einsum": ("b", "bmm"),
    "argsort": ("c", " Sort does not support complex dtypes on CPU"),
}

_SENTENCES = {
    ("floor", "c"): "floor is not supported for complex inputs",
    ("ceil", "c"): "ceil is not supported for complex inputs",
    ("trunc", "c"): "trunc is not supported for complex inputs",
    **{(f"clamp_{how}", "c"): "clamp is not supported for complex types"
       for how in ("between", "from", "up_to")},
    ("clamp", "c"): "clamp is not supported for complex types",
    ("relu", "c"): "clamp is not supported for complex types",
    ("sign", "c"): "Unlike NumPy, torch.sign is not intended to support complex numbers. Please "
                   "use torch.sgn instead.",
    ("signbit", "c"): "signbit is not implemented for complex tensors.",
}


def check(name: str, kind: dtype) -> None:
    """Refuses a dtype that the primitive of this name does not take.

    Raises:
        NotImplementedError: in most cases.
        RuntimeError: where PyTorch's operation checks by itself.
    """
    letter = _LETTERS[kind.category]
    sentence = _SENTENCES.get((name, letter))
    if sentence is not None:
        raise NotImplementedError(sentence)
    kinds, words = REFUSED.get(name, ("", ""))
    if letter in kinds:
        if "." in words or " " in words:
            raise RuntimeError(words)
        raise NotImplementedError(f'"{words}" not implemented for \'{kind.words}\'')


def concerns(name: str) -> bool:
    """Whether some dtype is refused by the primitive of this name."""
    return name in REFUSED or any(name == refused for refused, _ in _SENTENCES)
