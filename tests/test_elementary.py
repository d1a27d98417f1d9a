"""The compiler's elementary functions: exact to 2 ulp, everywhere; the tools are the document's."""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.special

pytest.importorskip("llvmlite")
SPECIFICATION = importlib.util.spec_from_file_location(
    "measure", Path(__file__).parents[1] / "docs" / "elementary.py")
measure = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(measure)

DTYPES = ["float32", "float64"]
NAMES = sorted(measure.SUPPORTED)
OTHERS = {  # what NumPy lacks, at special points
    "erf": scipy.special.erf, "erfc": scipy.special.erfc, "sigmoid": scipy.special.expit,
    "sech2": lambda x: 1 / np.cosh(x) ** 2, "gauss": lambda x: np.exp(-x * x),
    "log1pexp": lambda x: np.logaddexp(x, np.zeros_like(x)),
    "ndtr": scipy.special.ndtr, "npdf": lambda x: np.exp(-x * x / 2),
}


def special(dtype):
    """Zeros, ends, infinities, NaN, the poles and the bounds of domains."""
    info = np.finfo(dtype)
    positive = [0, info.smallest_subnormal, info.tiny, 0.5, 1, 1 + info.eps, 1.5, 2, 3,
                2.0**24 - 1, info.max, np.inf]
    return np.array([*positive, *(-x for x in positive[::-1]), np.nan], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_exact(name, dtype):
    assert measure.worst(name, dtype, 1500, seed=1) <= 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, dtype):
    """Infinity, NaN, zeros and their signs are where NumPy has them."""
    values = special(dtype)
    pairs = np.array(list(itertools.product(values, repeat=measure.arity(name))), dtype).T.copy()
    got = measure.evaluated(name, *pairs)
    with np.errstate(all="ignore"):
        wanted = OTHERS.get(name, getattr(np, name, None))(*pairs)
    for kind in (np.isnan, np.isposinf, np.isneginf, lambda x: x == 0):
        assert pairs.T[kind(got) != kind(wanted)].tolist() == []
    signs = (np.signbit(got) != np.signbit(wanted)) & ~np.isnan(wanted)
    assert pairs.T[signs].tolist() == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_lanes_and_calls_agree(name, dtype):
    """One lane, several, and calls give the same bits."""
    values = np.concatenate([special(dtype), measure.points(dtype, 400)])
    given = [values, values[::-1].copy()][:measure.arity(name)]
    expected = measure.evaluated(name, *given)
    for lanes, inline in [(1, True), (16, True), (1, False), (4, False)]:
        got = measure.evaluated(name, *given, lanes=lanes, inline=inline)
        np.testing.assert_array_equal(got, expected)
        numbers = ~np.isnan(got)
        assert (np.signbit(got) == np.signbit(expected))[numbers].all()


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_worst_angles(name):
    """Doubles very near multiples of pi/2, large ones among them."""
    close = np.array([6381956970095103.0 * 2.0**797, 5.0**300, 11.0, 355.0, 103993.0, 1e22,
                      2.0**1023, 3.0**600, 52174.0 * 2.0**100, 16367173.0 * 2.0**72])
    close = np.concatenate([close, -close, np.float32(close[2:6]).astype(float)])
    assert max(measure.errors(name, measure.evaluated(name, close), close)) < 2


def test_functions_are_shared():
    """However often it is called, a function stands in a module once."""
    module, kind = measure.ir.Module(), measure.ir.DoubleType()
    function = measure.ir.Function(module, measure.ir.FunctionType(kind, [kind]), "all")
    builder = measure.ir.IRBuilder(function.append_basic_block())
    value = function.args[0]
    for _ in range(100):
        value = measure.emit(builder, "exp", value, inline=False)
    builder.ret(value)
    defined = [each.name for each in module.functions if not each.is_declaration]
    assert defined == ["all", "wengert.exp.f64"]
