"""The printed text of tensors: fixed examples, then a comparison with PyTorch."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from wengert import printing
from wengert.printing import format_array, printoptions, tensor_text


@pytest.fixture(autouse=True)
def default_options():
    printing.set_printoptions(profile="default")
    yield
    printing.set_printoptions(profile="default")


def text(values, dtype="float32", **facts):
    return tensor_text(np.array(values, dtype=dtype), dtype_name=dtype, **facts)


NAN, INF = math.nan, math.inf

SCALARS_AND_VECTORS = [
    (3.0, "tensor(3.)"),
    (-0.0, "tensor(-0.)"),
    (NAN, "tensor(nan)"),
    (0.1, "tensor(0.1000)"),
    (1e-5, "tensor(1.0000e-05)"),
    (123456789.0, "tensor(1.2346e+08)"),
    ([1.0, 2.0], "tensor([1., 2.])"),
    ([0.0, -0.0], "tensor([0., -0.])"),
    ([1.0, -2.5], "tensor([ 1.0000, -2.5000])"),
    ([1.0, 1000.0], "tensor([   1., 1000.])"),
    ([1.0, 1001.0], "tensor([1.0000e+00, 1.0010e+03])"),
    ([100.0, -10.0, INF], "tensor([100., -10.,  inf])"),
    ([1.0, NAN, -INF], "tensor([1., nan, -inf])"),
    ([1e-5, NAN], "tensor([1.0000e-05,        nan])"),
    ([0.5, 0.0, INF], "tensor([0.5000, 0.0000,    inf])"),
    ([3e38, 1e-40], "tensor([3.0000e+38, 9.9999e-41])"),
]


@pytest.mark.parametrize(("values", "expected"), SCALARS_AND_VECTORS)
def test_floats(values, expected):
    assert text(values) == expected


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (7, "int64", "tensor(7)"),
        ([1, -20, 3], "int64", "tensor([  1, -20,   3])"),
        ([1, 2], "int32", "tensor([1, 2], dtype=torch.int32)"),
        ([0, 255], "uint8", "tensor([  0, 255], dtype=torch.uint8)"),
        ([True, False], "bool", "tensor([ True, False])"),
        (True, "bool", "tensor(True)"),
        ([0.5], "float64", "tensor([0.5000], dtype=torch.float64)"),
        ([65504.0], "float16", "tensor([65504.], dtype=torch.float16)"),
        (1 + 2j, "complex64", "tensor(1.+2.j)"),
        ([1.5 - 2j, -0.25 + 10j], "complex64", "tensor([ 1.5000-2.j, -0.2500+10.j])"),
        ([complex(NAN, -INF)], "complex64", "tensor([nan-infj])"),
        ([1j], "complex128", "tensor([0.+1.j], dtype=torch.complex128)"),
    ],
)
def test_other_types(values, dtype, expected):
    assert text(values, dtype) == expected


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((0,), "float32", "tensor([])"),
        ((0,), "int64", "tensor([], dtype=torch.int64)"),
        ((0,), "bool", "tensor([], dtype=torch.bool)"),
        ((0,), "complex64", "tensor([], dtype=torch.complex64)"),
        ((2, 0), "float32", "tensor([], size=(2, 0))"),
        ((2, 0, 3), "int64", "tensor([], size=(2, 0, 3), dtype=torch.int64)"),
    ],
)
def test_empty(shape, dtype, expected):
    assert tensor_text(np.zeros(shape, dtype), dtype_name=dtype) == expected


@pytest.mark.parametrize(
    ("values", "dtype", "default_float", "expected"),
    [
        ([0.5], "float64", "float64", "tensor([0.5000])"),
        ([0.5], "float32", "float64", "tensor([0.5000], dtype=torch.float32)"),
        ([1j], "complex128", "float64", "tensor([0.+1.j])"),
        ([1j], "complex64", "float64", "tensor([0.+1.j], dtype=torch.complex64)"),
        ([1j], "complex64", "float16", "tensor([0.+1.j])"),
        ([], "float64", "float64", "tensor([])"),
    ],
)
def test_the_default_types_go_without_saying(values, dtype, default_float, expected):
    assert text(values, dtype, default_float=default_float) == expected


def test_a_type_that_numpy_lacks_is_named_by_the_caller():
    values = np.array([1.5], np.float32)
    expected = "tensor([1.5000], dtype=torch.bfloat16)"
    assert tensor_text(values, dtype_name="bfloat16") == expected


def test_gradient_facts():
    assert text([1.0], requires_grad=True) == "tensor([1.], requires_grad=True)"
    made = text([1.0], requires_grad=True, grad_fn="MulBackward0")
    assert made == "tensor([1.], grad_fn=<MulBackward0>)"


def test_facts_move_to_a_new_line_where_they_do_not_fit():
    expected = """\
tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11.],
       dtype=torch.float64, grad_fn=<AddBackward0>)"""
    assert text(range(12), "float64", grad_fn="AddBackward0") == expected


def test_vectors_wrap_at_the_line_width():
    expected = """\
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,
        18, 19])"""
    assert text(range(20), "int64") == expected


def test_axes_are_told_apart_by_blank_lines():
    expected = """\
tensor([[[[0, 1],
          [2, 3]],

         [[4, 5],
          [6, 7]]],


        [[[8, 9],
          [8, 7]],

         [[6, 5],
          [4, 3]]]])"""
    values = np.array([*range(10), 8, 7, 6, 5, 4, 3]).reshape(2, 2, 2, 2)
    assert text(values, "int64") == expected


def test_long_vectors_are_abbreviated():
    assert text(range(1001), "int64") == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    assert "..." not in text(range(1000), "int64")


def test_only_the_shown_values_decide_the_notation():
    values = np.ones(1001)
    values[500] = 1e30
    assert text(values) == "tensor([1., 1., 1.,  ..., 1., 1., 1.])"


def test_large_matrices_are_abbreviated_on_the_long_axes():
    expected = """\
tensor([[   0,    1],
        [   2,    3],
        [   4,    5],
        ...,
        [1194, 1195],
        [1196, 1197],
        [1198, 1199]])"""
    assert text(np.arange(1200).reshape(600, 2), "int64") == expected


def test_the_prefix_sets_the_indent():
    expected = "Buffer([[1.],\n        [2.]])"
    assert text([[1.0], [2.0]], prefix="Buffer(") == expected


def test_options_are_restored():
    before = printing.get_printoptions()
    assert before == {
        "precision": 4,
        "threshold": 1000,
        "edgeitems": 3,
        "linewidth": 80,
        "sci_mode": None,
    }
    with printoptions(precision=1, edgeitems=1, threshold=2):
        assert text([0.25, 1, 1, 1, 2]) == "tensor([0.2,  ..., 2.0])"
    assert printing.get_printoptions() == before


def test_profiles():
    printing.set_printoptions(profile="short")
    assert text(0.12345) == "tensor(0.12)"
    printing.set_printoptions(profile="full")
    assert "..." not in text(range(2000))
    printing.set_printoptions(profile="short", precision=1)
    assert text(0.12345) == "tensor(0.1)"
    assert printing.get_printoptions()["edgeitems"] == 2


def test_scientific_notation_can_be_asked_for_and_refused():
    with printoptions(sci_mode=True):
        assert text([1.0, 0.0]) == "tensor([1.0000e+00, 0.0000e+00])"
        assert text([0.0]) == "tensor([0.])"
    with printoptions(sci_mode=False):
        assert text([1e-5, 1e9]) == "tensor([         0.0000, 1000000000.0000])"
    printing.set_printoptions(sci_mode=True)
    printing.set_printoptions(precision=4)
    assert printing.get_printoptions()["sci_mode"] is None


def test_no_edge_items_leave_the_size():
    with printoptions(edgeitems=0, threshold=2):
        assert text([[1.0, 2.0], [3.0, 4.0]]) == "tensor([...], size=(2, 2))"
        assert text([1.0]) == "tensor([1.], size=(1,))"


def test_format_array_needs_no_contiguous_memory():
    assert format_array(np.arange(6).reshape(2, 3).T[::2]) == "[[0, 3],\n [2, 5]]"


FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTS = ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool"]
COMPLEX = ["complex64", "complex128"]
SPECIAL = [0.0, -0.0, NAN, INF, -INF]


@st.composite
def numbers(draw, count):
    """Draw values of one magnitude, of all magnitudes, or nearly whole."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low, high = sorted(draw(st.tuples(st.integers(-40, 38), st.integers(-40, 38))))
    if draw(st.booleans()):
        low = high = draw(st.sampled_from([0, 0, 1, 2, 3, 4, 8]))
    values = rng.normal(size=count) * 10.0 ** rng.uniform(low, high, count)
    if draw(st.booleans()):
        values = np.rint(values)
    special = rng.random(count) < draw(st.sampled_from([0, 0, 0.1, 0.5, 1]))
    return np.where(special, rng.choice(draw(st.permutations(SPECIAL))[:3], count), values)


SHAPES = st.one_of(
    st.lists(st.integers(0, 9), max_size=4),
    st.lists(st.integers(1, 4), max_size=4),
    st.sampled_from([[1000], [1001], [400, 3], [3, 400], [7, 2, 90], [20, 1, 7, 8]]),
)

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.sampled_from([0, 1, 5, 50, INF]),
        "edgeitems": st.integers(0, 5),
        "linewidth": st.integers(1, 140),
        "profile": st.sampled_from(["default", "short", "full", "other"]),
        "sci_mode": st.booleans(),
    },
)


@pytest.fixture(scope="module")
def torch():
    reason = "PyTorch is the oracle here: pip install torch==2.13.0"
    module = pytest.importorskip("torch", reason=reason)
    default = module.get_default_dtype()
    yield module
    module.set_default_dtype(default)


def draw_tensor(draw, torch, dtype, shape):
    values = draw(numbers(math.prod(shape)))
    if dtype in COMPLEX:
        values = values.astype(complex)
        values.imag = draw(numbers(math.prod(shape)))
    if dtype in INTS:
        values = np.clip(np.nan_to_num(values), -1e18, 1e18).astype(np.int64)
    return torch.tensor(values.reshape(shape)).to(getattr(torch, dtype))


def draw_gradient_facts(draw, tensor):
    """Return the tensor, perhaps with a history, and the facts that tell it."""
    kind = draw(st.sampled_from(["none", "leaf", "made"]))
    if kind == "none" or not (tensor.is_floating_point() or tensor.is_complex()):
        return tensor, {}
    tensor.requires_grad_()
    if kind == "leaf":
        return tensor, {"requires_grad": True}
    return tensor.view_as(tensor), {"requires_grad": True, "grad_fn": "ViewBackward0"}


@settings(max_examples=300, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(FLOATS * 3 + INTS + COMPLEX * 4), shape=SHAPES)
def test_the_text_is_that_of_pytorch(torch, data, dtype, shape):
    options, default = data.draw(OPTIONS), data.draw(st.sampled_from(FLOATS))
    tensor, facts = draw_gradient_facts(data.draw, draw_tensor(data.draw, torch, dtype, shape))
    plain = tensor.detach().float() if dtype == "bfloat16" else tensor.detach()
    torch.set_default_dtype(getattr(torch, default))
    with torch._tensor_str.printoptions(**options):
        expected = repr(tensor)
    with printoptions(**options), warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tensor_text(plain.numpy(), dtype_name=dtype, default_float=default, **facts)
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(calls=st.lists(OPTIONS, max_size=4))
def test_options_change_as_in_pytorch(torch, calls):
    with torch._tensor_str.printoptions(), printoptions():
        for options in calls:
            torch.set_printoptions(**options)
            printing.set_printoptions(**options)
        assert printing.get_printoptions() == torch._tensor_str.get_printoptions()
