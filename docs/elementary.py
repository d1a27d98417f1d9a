"""The compiler's elementary functions, measured: how far from the exact values, and how fast.

python docs/elementary.py            print the table of docs/elementary.md as Markdown
python docs/elementary.py exp log    only these rows
python docs/elementary.py every      the largest errors at all float32s of the ranges EVERY

The exact values are mpmath's. The tests measure with the same tools, at fewer points.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import timeit
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.special
from llvmlite import binding, ir
from mpmath import mp, mpf

from wengert.compiler.native.elementary import FUNCTIONS, SUPPORTED, emit

TYPES = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
WIDTH = {"float32": 8, "float64": 4}  # lanes that fill a register of 256 bits
PRECISION = {"float32": (24, -125, 128), "float64": (53, -1021, 1024)}  # bits, exponents
Array = np.ndarray[Any, np.dtype[Any]]


# Compiled loops


def arity(name: str) -> int:
    """How many operands a function takes."""
    return 1 if name == "sqrt" else FUNCTIONS[name].__code__.co_argcount


def loop(name: str, dtype: str, lanes: int, inline: bool) -> ir.Module:
    """A module with for (i = 0; i < n; i += lanes) out[i] = name(in0[i], ...)."""
    module, word, element = ir.Module(), ir.IntType(64), TYPES[dtype]
    kind = ir.VectorType(element, lanes) if lanes > 1 else element
    arguments = [word] + [element.as_pointer()] * (arity(name) + 1)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), "loop")
    before, turn, after = (function.append_basic_block() for _ in range(3))
    ir.IRBuilder(before).branch(turn)
    builder = ir.IRBuilder(turn)
    index = builder.phi(word)
    index.add_incoming(ir.Constant(word, 0), before)
    *sources, target = (builder.bitcast(builder.gep(base, [index]), kind.as_pointer())
                        for base in function.args[1:])
    values = [builder.load(source, align=4) for source in sources]
    builder.store(emit(builder, name, *values, inline=inline), target, align=4)
    following = builder.add(index, ir.Constant(word, lanes))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, function.args[0]), turn, after)
    ir.IRBuilder(after).ret_void()
    return module


@functools.cache
def machine() -> Any:
    """The machine that runs this."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(), opt=3)


@functools.cache
def compiled(name: str, dtype: str, lanes: int = 0, inline: bool = True) -> Callable[..., Array]:
    """A function of arrays whose size is a multiple of 16; the last one is written to."""
    module = binding.parse_assembly(str(loop(name, dtype, lanes or WIDTH[dtype], inline)))
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=3)
    passes = binding.create_pass_builder(machine(), options)
    passes.getModulePassManager().run(module, passes)
    engine = binding.create_mcjit_compiler(module, machine())
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (arity(name) + 1))
    run = kind(engine.get_function_address("loop"))

    def call(*arrays: Array, keep: Any = engine) -> Array:
        assert arrays[0].size % 16 == 0 and all(array.dtype == dtype for array in arrays)
        run(arrays[0].size, *(array.ctypes.data for array in arrays))
        return arrays[-1]

    return call


def evaluated(name: str, *operands: Array, lanes: int = 0, inline: bool = True) -> Array:
    """The function's values, computed by compiled code."""
    size, dtype = operands[0].size, str(operands[0].dtype)
    padded = [np.resize(operand, -(-size // 16) * 16) for operand in operands]
    out = np.empty_like(padded[0])
    return compiled(name, dtype, lanes, inline)(*padded, out)[:size]


# Exact values


def near(function: Callable[[mpf], mpf], bound: float) -> Callable[[mpf], mpf]:
    """A function that no longer changes, or is out of range, beyond a bound."""
    return lambda x: function(min(max(x, mpf(-bound)), mpf(bound)))


def power(x: mpf, y: mpf) -> mpf:
    """x**y for finite numbers, x not 0."""
    whole = y == mp.floor(y)
    if x < 0 and not whole:
        return mp.nan
    sign = -1 if x < 0 and int(y) % 2 else 1
    return sign * mp.exp(y * mp.log(abs(x)))


def fraction(x: mpf) -> Fraction:
    """The number, exactly."""
    return Fraction(int(mp.sign(x)) * int(x.man)) * Fraction(2) ** int(x.exp)


def modulo(x: mpf, y: mpf) -> mpf:
    """x - n y for the whole n below x/y."""
    rest = fraction(x) % fraction(y)
    return mp.mpf(rest.numerator) / rest.denominator


def real(function: Callable[[mpf], mpf], low: float, high: float = mp.inf) -> Any:
    """A function that is defined between these bounds, inclusive, only."""
    return lambda x: function(x) if low <= x <= high else mp.nan


EXACT: dict[str, Callable[..., mpf]] = {
    "exp": near(mp.exp, 1e4), "exp2": near(lambda x: mpf(2) ** x, 1e4),
    "expm1": near(mp.expm1, 1e4), "sinh": near(mp.sinh, 1e4), "cosh": near(mp.cosh, 1e4),
    "tanh": near(mp.tanh, 1e4), "gauss": near(lambda x: mp.exp(-x * x), 1e2),
    "sigmoid": near(lambda x: 1 / (1 + mp.exp(-x)), 1e4),
    "sech2": near(lambda x: mp.sech(x) ** 2, 1e4),
    "log": real(mp.log, mpf("1e-400")), "log2": real(lambda x: mp.log(x, 2), mpf("1e-400")),
    "log10": real(mp.log10, mpf("1e-400")), "log1p": real(mp.log1p, -1 + mpf("1e-30")),
    "log1pexp": lambda x: mp.log1p(mp.exp(x)) if x < 1e3 else x,
    "logaddexp": lambda x, y: max(x, y) + mp.log1p(mp.exp(near(mpf, 1e4)(-abs(x - y)))),
    "sqrt": real(mp.sqrt, 0), "power": power,
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan,
    "arcsin": real(mp.asin, -1, 1), "arccos": real(mp.acos, -1, 1), "arctan": mp.atan,
    "arctan2": mp.atan2, "hypot": mp.hypot,
    "arcsinh": mp.asinh, "arccosh": real(mp.acosh, 1),
    "arctanh": real(mp.atanh, -1 + mpf("1e-30"), 1 - mpf("1e-30")),
    "erf": near(mp.erf, 1e2), "erfc": near(mp.erfc, 1e2),
    "ndtr": near(mp.ncdf, 1e2), "npdf": near(mp.npdf, 1e2),
    "fmod": lambda x, y: mp.sign(x) * modulo(abs(x), abs(y)), "remainder": modulo,
    "floor_divide": lambda x, y: mp.mpf((fraction(x) // fraction(y)).numerator),
}
SCALE: dict[str, Callable[..., mpf]] = {  # whose ulps count, if not the result's
    "logaddexp": lambda x, y, exact: max(abs(x), abs(y), abs(exact)),
    "ndtr": lambda x, exact: exact * (1 + abs(x) + x * x / 2) if x < 0 else exact,
    "npdf": lambda x, exact: exact * (1 + abs(x) + x * x / 2),
}


def ulps(got: float, exact: mpf, scale: mpf, dtype: str) -> float:
    """How many ulps of scale a result is off; infinity counts as the power of two it stands for."""
    bits, lowest, highest = PRECISION[dtype]
    if mp.isnan(exact) or np.isnan(got):
        return 0.0 if mp.isnan(exact) and np.isnan(got) else np.inf
    limit = mp.ldexp(1, highest)
    number = mp.sign(mpf(got)) * limit if np.isinf(got) else mpf(got)
    exact = min(max(exact, -limit), limit)
    exponent = min(max(mp.mag(scale) if scale else lowest, lowest), highest)
    return float(abs(number - exact) / mp.ldexp(1, int(exponent) - bits))


def errors(name: str, got: Array, *operands: Array) -> list[float]:
    """How many ulps each result is off, at finite operands."""
    with mp.workprec(160):
        return [error(name, *numbers) for numbers in zip(got, *operands, strict=True)]


def error(name: str, got: Any, *operands: Any) -> float:
    """How many ulps one result is off."""
    exact_operands = [mpf(float(x)) for x in operands]
    exact = EXACT[name](*exact_operands)
    scale = SCALE.get(name, lambda *all: all[-1])(*exact_operands, exact)
    return ulps(float(got), exact, scale, str(got.dtype))


# Points


LANDMARKS = np.concatenate([
    np.arange(1, 60) * np.pi / 4, np.arange(1, 60) * np.log(2.0) / 2, 2.0 ** np.arange(-6, 6),
    [1.0, 2**0.5, 0.5**0.5, 2**0.5 - 1, 88.72, 87.3, 103.9, 709.78, 708.4, 745.1, 1024, 149],
    np.pi * 2.0 ** np.arange(10, 100, 3)])


def points(dtype: str, count: int, seed: int = 0) -> Array:
    """Finite numbers: any bits, magnitudes about 1, and near where formulas change or vanish."""
    random = np.random.default_rng(seed)
    kind, bits = np.dtype(dtype), {"float32": np.uint32, "float64": np.uint64}[dtype]
    any_bits = random.integers(0, np.iinfo(bits).max, count // 4, dtype=bits).view(kind)
    modest = random.choice([-1, 1], count) * 2.0 ** random.uniform(-12, 8, count)
    marks = random.choice([-1, 1], count) * random.choice(LANDMARKS, count)
    steps = marks.astype(kind) * (1 + random.integers(-4, 5, count) * np.finfo(kind).eps)
    together = [any_bits, modest[:count // 2].astype(kind), steps[:count // 4].astype(kind)]
    result = np.concatenate(together)
    return result[np.isfinite(result) & (result != 0)]


def operands(name: str, dtype: str, count: int, seed: int = 0) -> Iterator[tuple[Array, ...]]:
    """What a function is measured at."""
    x = points(dtype, count, seed)
    if arity(name) == 1:
        yield (x,)
        return
    random = np.random.default_rng(seed)
    y = random.permutation(x)
    yield x, y
    yield x, (x * random.uniform(-1.1, 1.1, x.size)).astype(dtype)
    if name == "power":
        with np.errstate(all="ignore"):
            exponent = random.uniform(-750, 750, x.size) / np.log(abs(x.astype(float)))
            exponent = exponent.astype(dtype)
        inside = np.isfinite(exponent) & (exponent != 0)
        yield abs(x)[inside], exponent[inside]


def worst(name: str, dtype: str, count: int, seed: int = 0) -> float:
    """The largest error at about so many points."""
    return max(max(errors(name, evaluated(name, *given), *given))
               for given in operands(name, dtype, count, seed))


def every(name: str, low: float, high: float) -> float:
    """The largest error at every float32 from low to high; NumPy's double is near enough to exact.

    Results are to be normal numbers.
    """
    first, last = (int(np.float32(bound).view(np.int32)) for bound in (low, high))
    largest = 0.0
    for start in range(first, last + 1, 1 << 20):
        x = np.arange(start, min(start + (1 << 20), last + 1), dtype=np.int32).view(np.float32)
        exact = getattr(np, name)(x.astype(np.float64))
        off = abs(evaluated(name, x) - exact) / np.ldexp(1.0, np.frexp(exact)[1] - 24)
        largest = max(largest, float(np.max(off)))
    return largest


# The table


def nanoseconds(run: Callable[[], object], size: int) -> float:
    """The time of one run per element; the best of several."""
    return min(timeit.repeat(run, number=5, repeat=7)) / 5 / size * 1e9


def speeds(name: str, dtype: str) -> tuple[float, float]:
    """Nanoseconds per element: compiled, and NumPy's or SciPy's (nan if they lack the function)."""
    given = [np.linspace(1.0 if name == "arccosh" else 0.05, 0.95 if name in INSIDE else 5.0,
                         16384).astype(dtype) for _ in range(arity(name))]
    given[1:] = [operand[::-1].copy() for operand in given[1:]]
    out = np.empty_like(given[0])
    mine, theirs = compiled(name, dtype), getattr(np, name, None) or SCIPY.get(name)
    return (nanoseconds(lambda: mine(*given, out), out.size),
            nanoseconds(lambda: theirs(*given, out=out), out.size) if theirs else np.nan)


INSIDE = {"arcsin", "arccos", "arctanh"}
SCIPY = {"erf": scipy.special.erf, "erfc": scipy.special.erfc, "sigmoid": scipy.special.expit,
         "ndtr": scipy.special.ndtr}
HEAD = ("function", "float32: ulp", "ns", "NumPy's ns", "float64: ulp", "ns", "NumPy's ns")


def row(name: str, count: int) -> str:
    """One line of the table."""
    cells = [f"`{name}`"]
    for dtype in TYPES:
        mine, theirs = speeds(name, dtype)
        cells += [f"{worst(name, dtype, count):.2f}", f"{mine:.2f}",
                  "" if np.isnan(theirs) else f"{theirs:.2f}"]
    return "| " + " | ".join(cells) + " |"


def table(names: list[str], count: int = 20_000) -> Iterator[str]:
    """The lines of the table."""
    yield "| " + " | ".join(HEAD) + " |"
    yield "|" + " --- |" * len(HEAD)
    for name in names:
        yield row(name, count)


EVERY = {"exp": [(2.0**-26, 88.0), (-(2.0**-26), -87.0)], "log": [(0.25, 4.0)],
         "tanh": [(2.0**-14, 10.0)], "sin": [(2.0**-14, 2.0**16)], "cos": [(2.0**-14, 2.0**16)]}


def everywhere() -> Iterator[str]:
    """A line for each of `EVERY`."""
    for name, ranges in EVERY.items():
        yield f"{name} {max(every(name, *sorted(bounds, key=abs)) for bounds in ranges):.2f}"


if __name__ == "__main__":
    wanted = sys.argv[1:] or sorted(SUPPORTED)
    for line in everywhere() if wanted == ["every"] else table(wanted):
        print(line, flush=True)
