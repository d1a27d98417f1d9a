"""`gradcheck` and `gradgradcheck`: what they let pass, what they catch, and what they say of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import wengert as torch
from wengert.autograd import gradcheck, gradgradcheck
from wengert.autograd.gradcheck import GradcheckError

D, C = torch.float64, torch.complex128
FAST = pytest.mark.parametrize("fast", [False, True], ids=["slow", "fast"])
EVERY = {"check_forward_ad": True, "check_batched_grad": True,
         "check_batched_forward_grad": True, "check_grad_dtypes": True}


def given(*shape, dtype=D, **options):
    """Random numbers, away from 0."""
    x = torch.rand(*shape, dtype=dtype, **options) + .5
    return x.requires_grad_()


def twice(x):
    """2 * x, whose gradient is twice too large."""
    y = x * 2
    y.register_hook(lambda g: g * 2)
    return y


def half(x):
    """x ** 2, of which half is cut off."""
    return x * x.detach()


# --- what passes ------------------------------------------------------------------------------


@FAST
@pytest.mark.parametrize(("func", "inputs"), [
    (torch.sin, given(2, 3)),
    (torch.sin, given()),
    (torch.sin, given(0, 3)),
    (torch.sin, given(2, 3).T),
    (torch.sin, given(3)[1:]),
    (lambda x: x, given(2)),
    (lambda x: x.clone().mul_(x), given(2)),
    (lambda a, b: a @ b, (given(2, 3), given(3, 2))),
    (lambda a, n, b: [a * n, (a @ b).sum()], [given(2, 3), 3, given(3, 2)]),
    (lambda a, b: a * b, (given(2), torch.rand(2, dtype=D))),
    (lambda a, b: a * 2, (given(2), given(3))),
    (lambda a: (a * 2, a.detach(), a.long()), given(2)),
    (lambda a: (a.max(0).values, a.sort().values), torch.tensor([3., 1, 2], dtype=D,
                                                               requires_grad=True)),
    (torch.exp, given(2, dtype=C)),
    (torch.abs, given(2, dtype=C)),
    (torch.conj, given(2, dtype=C)),
    (lambda z: z.real * z.imag, given(2, dtype=C)),
    (lambda x: x * x * (1 + 2j), given(2)),
    (lambda x, z: (x * z, x.sum()), (given(2), given(2, dtype=C))),
])
def test_right_gradients_pass(func, inputs, fast) -> None:
    assert gradcheck(func, inputs, fast_mode=fast, **EVERY) is True


@FAST
@pytest.mark.parametrize(("func", "inputs"), [
    (torch.sin, given(2)),
    (lambda x: x * 2, given(2)),
    (lambda a, n, b: ((a @ b) ** n, b.sum()), (given(2, 3), 3, given(3, 2))),
    (lambda z: z * z.exp(), given(2, dtype=C)),
    (lambda a, b: (a * b).prod(), (given(2), torch.rand(2, dtype=D))),
])
def test_right_second_gradients_pass(func, inputs, fast) -> None:
    assert gradgradcheck(func, inputs, fast_mode=fast, check_fwd_over_rev=True,
                         check_batched_grad=True, check_grad_dtypes=True)
    assert gradgradcheck(func, inputs, gen_non_contig_grad_outputs=True)


def test_cotangents_can_be_given() -> None:
    x = given(2)
    assert gradgradcheck(torch.sin, x, given(2))
    assert gradgradcheck(lambda x: (x * 2, x ** 3), x, (given(2), torch.ones(2, dtype=D)))


def test_inputs_come_back_as_they_were() -> None:
    x = given(2, 3)
    before, version = x.detach().clone(), x._version

    def fails_when_moved(x):
        if (x != before).any():
            raise KeyError("moved")
        return x * 2

    for fast in (False, True):
        assert gradcheck(torch.sin, x, fast_mode=fast)
        with pytest.raises(KeyError):
            gradcheck(fails_when_moved, x, fast_mode=fast)
    assert torch.equal(x, before) and x.grad is None and x._version == version


def test_random_numbers_of_the_user_are_left_alone() -> None:
    state = torch.get_rng_state()
    gradgradcheck(torch.sin, given(2).detach().requires_grad_(), fast_mode=True)
    torch.set_rng_state(state)
    x = given(2)
    state = torch.get_rng_state()
    gradgradcheck(torch.sin, x, fast_mode=True, check_batched_grad=True)
    assert torch.equal(torch.get_rng_state(), state)


def test_closures_nonleaves_no_grad_and_the_same_twice() -> None:
    x = given(2)
    assert gradcheck(lambda _: x * x, x)
    assert gradcheck(torch.sin, x * 2)
    assert gradcheck(torch.mul, (x, x))
    with torch.no_grad():
        assert gradcheck(torch.sin, x)


# --- what is caught ---------------------------------------------------------------------------


@FAST
@pytest.mark.parametrize("dtype", [D, C])
@pytest.mark.parametrize("func", [twice, half, lambda x: (x * 3, half(x).sum())])
def test_wrong_gradients_are_caught(func, dtype, fast) -> None:
    x = given(2, dtype=dtype)
    with pytest.raises(GradcheckError):
        gradcheck(func, x, fast_mode=fast)
    assert gradcheck(func, x, fast_mode=fast, raise_exception=False) is False


@FAST
@pytest.mark.parametrize("dtype", [D, C])
def test_wrong_tangents_are_caught(dtype, fast) -> None:
    with pytest.raises(GradcheckError, match="Jacobian computed with forward mode mismatch for "
                                             "output 0 with respect to input 0,"):
        gradcheck(half, given(2, dtype=dtype), fast_mode=fast, check_forward_ad=True,
                  check_backward_ad=False)


@FAST
def test_wrong_second_gradients_are_caught(fast) -> None:
    def square(x):
        y = x * x
        y.register_hook(lambda g: g * x.detach() / x.detach() + 0 * x)
        z = x ** 3
        z.register_hook(lambda g: g.detach())  # right at first, wrong when differentiated
        return y + z

    x = given(2)
    assert gradcheck(square, x)
    with pytest.raises(GradcheckError) as error:
        gradgradcheck(square, x, fast_mode=fast)
    assert "is the gradient with respect to input 0 of func" in str(error.value)


def test_a_conjugate_that_is_missing_is_caught() -> None:
    def product(z):
        wrong = z * (2 - 1j)
        return (z * (2 + 1j)).detach() + wrong - wrong.detach()

    with pytest.raises(GradcheckError) as error:
        gradcheck(product, given(2, dtype=C))
    assert str(error.value).startswith(
        "While considering the imaginary part of complex outputs only, Jacobian mismatch for "
        "output 0 with respect to input 0,")


@FAST
def test_backward_that_varies_is_caught(fast) -> None:
    count = itertools.count()

    def varies(x):
        y = x * 2
        y.register_hook(lambda g: g * (1 + 1e-7 * next(count)))
        return y

    with pytest.raises(GradcheckError, match="Backward is not reentrant"):
        gradcheck(varies, given(2), fast_mode=fast)
    assert gradcheck(varies, given(2), fast_mode=fast, nondet_tol=1e-4, check_undefined_grad=False)


def test_backward_that_is_not_linear_is_caught() -> None:
    def shifted(x):
        y = x * 2
        y.register_hook(lambda g: g + 1e-6)
        return y

    with pytest.raises(GradcheckError, match="Expected all input grads to be undefined or zero"):
        gradcheck(shifted, given(2))
    assert gradcheck(shifted, given(2), check_undefined_grad=False)


def test_backward_that_fails_for_zeros_is_caught() -> None:
    def picky(x):
        def hook(g):
            if not g.any():
                raise ValueError("nothing to do")

        y = x * 2
        y.register_hook(hook)
        return y

    with pytest.raises(GradcheckError, match="Expected backward function to handle undefined"):
        gradcheck(picky, given(2))


def test_backward_that_mixes_a_batch_is_caught() -> None:
    def looks(x):
        y = x * 2
        y.register_hook(lambda g: g if g.sum() > 0 else g * 1)
        return y

    assert gradcheck(looks, given(2))
    with pytest.raises(GradcheckError, match="While computing batched gradients, got:"):
        gradcheck(looks, given(2), check_batched_grad=True)


@FAST
def test_output_that_is_cut_off_must_be_constant(fast) -> None:
    assert gradcheck(lambda x: torch.ones(2, dtype=D), given(2), fast_mode=fast)
    assert gradcheck(lambda x: x.long(), given(2), fast_mode=fast)
    with pytest.raises(GradcheckError, match="Numerical gradient for function expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, given(2), fast_mode=fast)


# --- what is said -----------------------------------------------------------------------------


def said(func, *inputs, **options) -> str:
    with pytest.raises(GradcheckError) as error:
        gradcheck(func, inputs, **options)
    return str(error.value)


def test_message_says_where_and_by_how_much() -> None:
    x = torch.tensor([[1., 2.]], dtype=D, requires_grad=True)
    text = said(lambda n, a, b: (a * n, half(b)), 3, given(2), x)
    for words in ("Jacobian mismatch for output 1 with respect to input 2,\nnumerical:tensor([[2., "
                  "0.],\n        [0., 4.]], dtype=torch.float64)\nanalytical:tensor([[1., 0.],\n",
                  "each entry of the input [1, 2]", "each entry of the output [1, 2]",
                  "2 of 4 entries differ:\n  d output[0, 1] / d input[0, 1]: analytical 2, "
                  "numerical 4, difference 2 (relative 0.5)\n", "0.5 times the numerical one"):
        assert words in text


def test_message_of_fast_mode_shows_the_whole_too() -> None:
    text = said(twice, given(2), fast_mode=True)
    assert "Jacobian mismatch for output 0 with respect to input 0,\nin fast mode" in text
    assert "analytical:tensor([[4., 0.],\n        [0., 4.]], dtype=torch.float64)" in text


def test_large_jacobians_are_not_shown() -> None:
    text = said(half, given(20))
    assert "tensor(" not in text and text.count("d output[") == 5 and "20 of 400" in text


def to(new):
    """A function with the value of one function and the derivative of another."""
    return lambda x: x + (new(x) - x).detach()


@pytest.mark.parametrize(("func", "x", "hint"), [
    (half, [1., 2.], "0.5 times"),
    (to(lambda x: -x), [1., 2.], "wrong sign"),
    (to(lambda x: x.flip(0)), [1., 2.], "a permutation"),
    (to(torch.round), [1.2, 2.], "does not change"),
    (lambda x: x.detach() ** 2 + 0 * x, [1., 2.], "cut off"),
    (torch.relu, [0., 2.], "a kink"),
    (torch.log, [0., 2.], "inside its domain"),
    (lambda x: torch.where(x > 0, x.sqrt(), 0 * x), [-1., 2.], "`where` does not select"),
    (lambda x: x.float().double(), [1.1, 2.3], "Use float64"),
    (lambda x: x * torch.rand(2, dtype=D), [1., 2.], "does not give the same"),
])
def test_hints(func, x, hint) -> None:
    text = said(func, torch.tensor(x, dtype=D, requires_grad=True))
    assert text.count("Hint:") == 1 and hint in text.partition("Hint:")[2]


def test_hint_of_a_missing_conjugate() -> None:
    z = torch.tensor([1 + 1j], dtype=C, requires_grad=True)
    text = said(lambda z: ((z * (1 - 2j)).real + ((z * (1 + 2j)).real
                                                 - (z * (1 - 2j)).real).detach()), z)
    assert "the conjugate of the numerical one" in text


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "words"), [
    ({"check_backward_ad": False}, "at least one of check_forward_ad or check_backward_ad"),
    ({"check_backward_ad": False, "check_forward_ad": True, "check_batched_grad": True},
     "check_batched_grad=True requires check_backward_ad"),
    ({"check_batched_forward_grad": True}, "requires check_forward_ad"),
])
def test_options_that_exclude_each_other(options, words) -> None:
    with pytest.raises(AssertionError, match=words):
        gradcheck(torch.sin, given(2), **options)


def test_bad_arguments() -> None:
    with pytest.raises(AssertionError, match="check_fwd_over_rev or check_rev_over_rev"):
        gradgradcheck(torch.sin, given(2), check_rev_over_rev=False)
    for check in (gradcheck, gradgradcheck):
        with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
            check(torch.sin, torch.ones(2, dtype=D), raise_exception=False)
        with pytest.raises(TypeError, match="output 1 has type int"):
            check(lambda x: (x, 3), given(2))
        with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
            check(torch.sin, given(1).expand(3), raise_exception=False)
    with pytest.raises(ValueError, match="at least one output of func to require grad"):
        gradgradcheck(lambda x: x.detach(), given(2))
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(3.), 2, writeable=True)
    with pytest.raises(RuntimeError, match="elements that share memory"):
        gradcheck(torch.sin, torch.from_numpy(windows).requires_grad_())


def test_single_precision_warns() -> None:
    with pytest.warns(UserWarning, match="Input #1 requires gradient and is not a double prec"):
        assert gradcheck(torch.mul, (given(2), given(2, dtype=torch.float32)), atol=1)


# --- against PyTorch --------------------------------------------------------------------------

NAMES = """D = torch.float64
x = torch.tensor([.5, 2.], dtype=D, requires_grad=True)
y = torch.tensor([1., 3.], dtype=D, requires_grad=True)
z = torch.tensor([1 + 2j, -.5 + 1j], dtype=torch.complex128, requires_grad=True)
check, check2 = torch.autograd.gradcheck, torch.autograd.gradgradcheck
def first(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except RuntimeError as error:
        text = str(error).split("numerical")[0].split("in fast mode")[0].split(":")[0]
        return type(error).__name__ + text
"""
CALLS = [
    f"first({check}, {func}, {inputs}{mode})"
    for check in ("check", "check2")
    for func, inputs in (
        ("lambda x: x.sin()", "x"), ("lambda x: x.detach() * x", "x"),
        ("lambda x: x.detach() * x", "z"), ("lambda x, y: (y, y.detach() * x ** 2)", "(x, y)"),
        ("lambda z: z.abs() * z.detach().real", "z"), ("lambda x: x * x.detach() * 1j", "x"),
        ("lambda z, n: (z.conj() * n).sum()", "[z, 3]"), ("lambda x, y: x * 2", "(x, y)"),
        ("lambda x: x", "x.detach()"), ("lambda x: x", "x[:1].expand(2)"),
        ("lambda x: x * x", "x.half()"))
    for mode in ("", ", fast_mode=True", ", raise_exception=False")
] + [
    "first(check, lambda x: x.detach() * 2, x)", "first(check, lambda x: torch.ones(2), x)",
    "check(lambda x: x, x, check_backward_ad=False)",
    "check(lambda x: x, x, check_batched_forward_grad=True)",
    "check2(lambda x: x, x, check_rev_over_rev=False)",
    "check2(lambda x: x ** 3, x, x, gen_non_contig_grad_outputs=True)",
]


@pytest.mark.parametrize("call", CALLS)
def test_as_pytorch(call: str) -> None:
    oracle = pytest.importorskip("oracle", reason="PyTorch is the oracle here")
    assert not oracle.compare(NAMES + call)
