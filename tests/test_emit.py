"""Native code for plans: scalar operations, loops, threads, products, calls and branches, each
compared with NumPy or with a plain interpreter of nests."""

import itertools
import math
import threading

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import wengert
from wengert.compiler.executable import (
    CALL_FAILED,
    MISS,
    OUT_OF_RANGE,
    ZERO_DIVISION,
    Executable,
)
from wengert.compiler.ir.nest import (
    Access,
    Branch,
    Buffer,
    Call,
    Index,
    Leave,
    Load,
    Matrix,
    Nest,
    Number,
    Op,
    Plan,
    PlanBlock,
    Product,
    Reduce,
    Stage,
    Store,
)
from wengert.compiler.native.emit_share import Share
from wengert.core.primitive import Primitive

BOOL, I64, F32, F64 = map(np.dtype, ("bool", "int64", "float32", "float64"))
DTYPES = [np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "int32", "int64",
                                      "float16", "float32", "float64")]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """A disk cache of the tests' own, and the numbers of threads as they were."""
    patch = pytest.MonkeyPatch()
    patch.setenv("WENGERT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    count = wengert.get_num_threads()
    wengert.set_num_threads(2)
    yield
    wengert.set_num_threads(count)
    patch.undo()


# --- plans by hand ----------------------------------------------------------------------------


class Memory:
    """Makes the buffers of a plan, and the arrays that they stand for."""

    def __init__(self):
        self.inputs, self.outputs, self.arena = [], [], 0

    def input(self, array):
        array = np.ascontiguousarray(array)
        buffer = Buffer(array.dtype, array.size, "input", len(self.inputs), shape=array.shape)
        self.inputs.append((buffer, array))
        return buffer

    def output(self, dtype, shape, fill=0):
        shape = (shape,) if isinstance(shape, int) else shape
        array = np.full(shape, fill, dtype)
        buffer = Buffer(array.dtype, array.size, "output", len(self.outputs), shape=shape)
        self.outputs.append((buffer, array))
        return buffer

    def temporary(self, dtype, shape):
        dtype = np.dtype(dtype)
        size = math.prod(shape)
        buffer = Buffer(dtype, size, "temporary", offset=self.arena, shape=shape)
        self.arena += -(-size * dtype.itemsize // 64) * 64
        return buffer

    def plan(self, body):
        return Plan([b for b, _ in self.inputs], [b for b, _ in self.outputs], body, self.arena, {})

    def run(self, *steps, end=None):
        """The outputs of a plan of these steps; what it returns is in `code`."""
        executable = Executable(self.plan(PlanBlock(steps, end or Leave(0))))
        arrays = [array.copy() for _, array in self.outputs]
        self.code = executable([array for _, array in self.inputs], arrays)
        return arrays


def large_and_shared(monkeypatch):
    """Has every nest made as a large one is, and done by threads."""
    monkeypatch.setattr("wengert.compiler.native.emit.SMALL", 0)
    monkeypatch.setattr("wengert.compiler.native.emit_share.PARALLEL", 1)


def constant(array):
    return Buffer(array.dtype, array.size, "constant", array=array, shape=array.shape)


# --- a plain interpreter of nests -------------------------------------------------------------


def interpret(nest, arrays):
    """Does what a nest says, one element after the other.

    Args:
        nest: the nest.
        arrays: flat, by buffer.
    """
    for row in itertools.product(*map(range, nest.rows)):
        values = {}
        for stage in nest.stages:
            reduced = {}
            for c in range(nest.cols if stage.sweep else 1):
                for s in stage.statements:
                    values[s] = statement(s, values, arrays, (*row, c), reduced)
            for s, found in reduced.items():
                values[s] = REDUCE[s.how](np.array(found), s.dtype)


REDUCE = {
    "add": lambda a, d: a.sum(dtype=F64 if d.kind == "f" else d).astype(d),
    "multiply": lambda a, d: a.prod(dtype=F64 if d.kind == "f" else d).astype(d),
    "maximum": lambda a, d: a.max(), "minimum": lambda a, d: a.min(),
    "logical_and": lambda a, d: a.all(), "logical_or": lambda a, d: a.any(),
    "argmax": lambda a, d: a.argmax(), "argmin": lambda a, d: a.argmin(),
}


def place(at, turn):
    return at.offset + sum(a * b for a, b in zip(at.strides, turn, strict=False))


def moved(s, values, position):
    return position + sum(stride * (int(values[i]) + (bound if values[i] < 0 else 0))
                          for i, bound, stride in s.indirect)


def statement(s, values, arrays, turn, reduced):
    if isinstance(s, Number):
        return s.dtype.type(s.value)
    if isinstance(s, Index):
        return np.int64(place(s, turn))
    if isinstance(s, Load):
        return arrays[s.at.buffer][moved(s, values, place(s.at, turn))]
    if isinstance(s, Op):
        operands = [values[x] for x in s.operands]
        if s.name == "cast":
            return operands[0].astype(s.dtype)
        found = np.where(*operands) if s.name == "where" else getattr(np, s.name)(*operands)
        return s.dtype.type(found)
    if isinstance(s, Reduce):
        reduced.setdefault(s, []).append(values[s.operand])
        return None
    array, at = arrays[s.at.buffer], moved(s, values, place(s.at, turn))
    value = values[s.operand]
    array[at] = getattr(np, s.how)(array[at], value) if s.how else value
    return None


def plainly(memory, nests, dtype=None):
    """The outputs of nests, interpreted; floats in `dtype` if it is given."""
    arrays = {b: a.ravel().astype(dtype if dtype and b.dtype.kind == "f" else b.dtype)
              for b, a in memory.inputs + memory.outputs}
    for nest in nests:
        interpret(nest, arrays)
    return [arrays[b] for b, _ in memory.outputs]


# --- scalar operations ------------------------------------------------------------------------

SPECIAL = {
    "f": [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, 7.0, -7.0, 100.5, -300.7, 6e4, 1e-5, np.inf,
          -np.inf, np.nan],
    "i": [0, 1, -1, 2, 3, -3, 7, 8, -8, 63, 100, "max", "min"],
    "u": [0, 1, 2, 3, 7, 8, 63, 100, 255],
    "b": [False, True],
}


def specials(dtype):
    if dtype.kind != "i":
        with np.errstate(over="ignore"):
            return np.array(SPECIAL[dtype.kind], dtype)
    limits = np.iinfo(dtype)
    return np.array([{"max": limits.max, "min": limits.min}.get(v, v) for v in SPECIAL["i"]],
                    dtype)


def apply(operations):
    """Results of (name, arrays, dtype) triples, natively: as vectors, and one as a scalar."""
    memory, nests = Memory(), []
    for name, arrays, dtype in operations:
        buffers = [memory.input(a) for a in arrays]
        out, one = memory.output(dtype, arrays[0].size), memory.output(dtype, 1)
        for sweep, to in ((True, Access(out, (1,))), (False, Access(one))):
            strides = (1,) if sweep else ()
            last = 0 if sweep else arrays[0].size - 1
            loads = [Load(b.dtype, Access(b, strides, last)) for b in buffers]
            op = Op(np.dtype(dtype), name, tuple(loads))
            nests.append(Nest((), arrays[0].size if sweep else 1,
                              (Stage(sweep, (*loads, op, Store(to, op))),)))
    found = memory.run(*nests)
    assert memory.code == 0
    for whole, one in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_array_equal(whole[-1], one[0])
    return found[::2]


def result_type(name, dtype, arity):
    """The dtype of NumPy's result, if it is made for operands of a dtype; else None."""
    kinds = [t for t in getattr(np, name).types if t.startswith(dtype.char * arity + "->")]
    return np.dtype(kinds[0][-1]) if kinds else None


UNARY = ["negative", "positive", "absolute", "square", "sign", "floor", "ceil", "trunc", "rint",
         "isnan", "isinf", "isfinite", "signbit", "logical_not", "invert", "reciprocal", "sqrt"]
BINARY = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "maximum",
          "minimum", "fmax", "fmin", "copysign", "heaviside", "equal", "not_equal", "less",
          "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor",
          "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "power"]
QUOTIENTS = ("floor_divide", "remainder", "fmod", "reciprocal")


def operands(name, dtype, arity):
    """All pairs of special values that an operation takes without an error."""
    arrays = list(np.array(list(itertools.product(specials(dtype), repeat=arity)), dtype).T)
    if name in QUOTIENTS and dtype.kind in "iu":
        return [a[arrays[-1] != 0] for a in arrays]
    return [a[arrays[-1] >= 0] for a in arrays] if name == "power" else arrays


@pytest.mark.parametrize("name", UNARY + BINARY)
def test_operations_are_numpys(name):
    arity = getattr(np, name).nin
    dtypes = [d for d in DTYPES if result_type(name, d, arity) is not None
              and not (name == "power" and d.kind == "f")]
    assert dtypes
    given = [operands(name, d, arity) for d in dtypes]
    results = apply([(name, arrays, result_type(name, d, arity))
                     for d, arrays in zip(dtypes, given, strict=True)])
    for arrays, found in zip(given, results, strict=True):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(*arrays)
        np.testing.assert_array_equal(found, expected)
        if found.dtype.kind == "f" and name not in ("maximum", "minimum", "fmax", "fmin"):
            number = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_casts_are_astype(source):
    values = specials(source)
    # What NumPy makes of floats that don't fit into a small integer differs with the length.
    finite = values[np.abs(values) < 2.0 ** 14] if source.kind == "f" else values
    given = [finite if t.kind in "iu" and t.itemsize < 4 else values for t in DTYPES]
    results = apply([("cast", [a], target) for a, target in zip(given, DTYPES, strict=True)])
    for array, target, found in zip(given, DTYPES, results, strict=True):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(found, array.astype(target))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_where_chooses(dtype):
    a = specials(dtype)
    condition = np.arange(a.size) % 3 == 0
    (found,) = apply([("where", [condition, a, a[::-1]], dtype)])
    np.testing.assert_array_equal(found, np.where(condition, a, a[::-1]))


def test_division_by_zero_is_told():
    for name in ("floor_divide", "remainder", "fmod"):
        for x, y in ((7, 0), (2 ** 31 - 1, 3)):
            memory = Memory()
            a, b = memory.input(np.full(37, x, np.int32)), memory.input(np.full(37, y, np.int32))
            out = memory.output(np.int32, 37)
            loads = [Load(a.dtype, Access(buffer, (1,))) for buffer in (a, b)]
            op = Op(a.dtype, name, tuple(loads))
            memory.run(Nest((), 37, (Stage(True, (*loads, op, Store(Access(out, (1,)), op))),)))
            assert memory.code == (0 if y else ZERO_DIVISION)


def test_float64_is_rounded_to_float16_once():
    rng = np.random.default_rng(0)
    half = rng.standard_normal(3000).astype(np.float16).astype(np.float64)
    near = np.nextafter(half, 0)
    middle = (half + np.nextafter(half.astype(np.float16), np.float16(9)).astype(np.float64)) / 2
    values = np.concatenate([half, near, middle, np.nextafter(middle, 0), np.nextafter(middle, 9),
                             middle * 1e-5, np.array([65519.999, 65520.0, 1e300, -1e-300])])
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    np.testing.assert_array_equal(apply([("cast", [values], "float16")])[0], expected)


ELEMENTARY = {
    "exp": (-90, 90), "exp2": (-130, 130), "expm1": (-10, 80), "log": (0, 1e6), "log2": (0, 50),
    "log10": (0, 1e9), "log1p": (-1, 50), "sin": (-100, 100), "cos": (-100, 100), "tan": (-9, 9),
    "arcsin": (-1, 1), "arccos": (-1, 1), "arctan": (-50, 50), "sinh": (-20, 20),
    "cosh": (-20, 20), "tanh": (-12, 12), "arcsinh": (-100, 100), "arccosh": (1, 100),
    "arctanh": (-1, 1)}


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_are_exact_to_two_units(name):
    """In loops and in straight lines; `elementary`'s own tests look closer."""
    x = np.linspace(*ELEMENTARY[name], 201)
    with np.errstate(over="ignore"):
        given = [x.astype(d) for d in (np.float16, F32, F64)]
    for array, found in zip(given, apply([(name, [a], a.dtype) for a in given]), strict=True):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(array.astype(np.longdouble)).astype(found.dtype)
            near = np.isclose(found, expected, rtol=4 * np.finfo(found.dtype).eps,
                              atol=float(np.finfo(found.dtype).tiny), equal_nan=True)
        assert near.all(), array[~near]


@pytest.mark.parametrize("name", ["power", "arctan2", "hypot", "logaddexp"])
def test_elementary_functions_of_two(name):
    x, y = np.array(list(itertools.product(np.linspace(0.1, 9, 13), repeat=2))).T
    for dtype in (F32, F64):
        arrays = [x.astype(dtype), y.astype(dtype)]
        (found,) = apply([(name, arrays, dtype)])
        expected = getattr(np, name)(*(a.astype(np.longdouble) for a in arrays))
        np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["erf", "erfc", "sigmoid", "sech2", "gauss", "ndtr", "npdf"])
def test_functions_that_numpy_has_not(name):
    from wengert.core.primitive import TABLE

    x = np.linspace(-6, 6, 201)
    rounded = abs(x) + x * x / 2 if name in ("ndtr", "npdf") else 0  # exponents of x**2 are
    for dtype in (F32, F64):
        (found,) = apply([(name, [x.astype(dtype)], dtype)])
        expected = TABLE[name].evaluate(x.astype(dtype).astype(F64))
        bound = 4 * (1 + rounded) * np.finfo(dtype).eps
        assert (abs(found - expected) <= bound * abs(expected) + 1e-300).all()


# --- loops ------------------------------------------------------------------------------------


def sweep(*statements):
    return Stage(True, statements)


def plain(*statements):
    return Stage(False, statements)


def random_array(rng, dtype, *shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 50, shape).astype(dtype)


SIZES = [1, 3, 8, 31, 100, 1000]


@pytest.mark.parametrize("dtype", [F32, F64, np.float16, np.int64, np.int8, bool], ids=str)
@pytest.mark.parametrize("how", list(REDUCE))
def test_reductions_of_rows(how, dtype, monkeypatch):
    """Of rows of all sizes, in code of fixed sizes and in code for any."""
    if np.dtype(dtype).kind == "b" and how == "multiply":
        how = "logical_and"
    rng = np.random.default_rng(1)
    memory, nests = Memory(), []
    for cols in SIZES:
        rows = 6 if cols < 1000 else 5
        x = random_array(rng, dtype, rows, cols)
        if how == "multiply" and x.dtype.kind == "f":
            x = (1 + x / 100).astype(dtype)
        if x.dtype.kind == "f" and how in ("maximum", "argmax", "argmin"):
            x[1, cols // 2] = np.nan
        given = memory.input(x)
        kind = I64 if how.startswith("arg") or (how == "add" and x.dtype.kind == "b") else (
            BOOL if how.startswith("logical") else x.dtype)
        out = memory.output(kind, rows)
        load = Load(given.dtype, Access(given, (cols, 1)))
        value = load if kind == given.dtype or how.startswith("arg") else Op(kind, "cast", (load,))
        total = Reduce(kind, how, value)
        nests.append(Nest((rows,), cols, (
            sweep(*dict.fromkeys((load, value, total))), plain(Store(Access(out, (1,)), total)))))
    for found, nest, (_, x) in zip(memory.run(*nests), nests, memory.inputs, strict=True):
        kind = nest.stages[0].statements[-1].dtype
        expected = np.array([REDUCE[how](row, kind) for row in x])
        np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype == np.float16 else 1e-6)


def accumulating(rng, memory, dtype, rows, cols):
    """Nests whose rows add up: to one number, along columns, along rows, along one of two."""
    x = memory.input(random_array(rng, dtype, *rows, cols))
    strides = tuple(math.prod((*rows, cols)[d + 1:]) for d in range(len(rows))) + (1,)
    last = rows[-1]
    targets = [(1, (0,) * (len(rows) + 1)), (cols, (0,) * len(rows) + (1,)),
               (last, (0,) * (len(rows) - 1) + (1, 0)),
               (last * cols, (0,) * (len(rows) - 1) + (cols, 1))]
    for size, to in targets:
        for how in ("add", "maximum"):
            out = memory.output(dtype, size + 3, fill=5)
            load = Load(x.dtype, Access(x, strides))
            double = Op(x.dtype, "add", (load, load))
            yield Nest(rows, cols, (sweep(load, double, Store(Access(out, to, 2), double, how)),))


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
@pytest.mark.parametrize("dtype", [F32, F64, I64], ids=str)
@pytest.mark.parametrize(("rows", "cols"), [((7,), 37), ((3, 50), 9), ((2, 3), 600)])
def test_rows_add_up(rows, cols, dtype, small, monkeypatch):
    small or large_and_shared(monkeypatch)
    rng, memory = np.random.default_rng(2), Memory()
    nests = list(accumulating(rng, memory, dtype, rows, cols))
    found = memory.run(*nests)
    for array, expected in zip(found, plainly(memory, nests, F64), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-5)


def test_sums_of_many_small_floats_are_exact():
    n = 3_000_000
    x = np.full(n, 0.1, F32)
    memory = Memory()
    given = memory.input(x)
    row, total = (memory.output(F32, 1) for _ in range(2))
    load = Load(F32, Access(given, (1,)))
    reduced = Reduce(F32, "add", load)
    found = memory.run(
        Nest((), n, (sweep(load, reduced), plain(Store(Access(row), reduced)))),
        Nest((), n, (sweep(load, Store(Access(total, (0,)), load, "add")),)))
    for array in found:
        np.testing.assert_allclose(array, np.float64(F32.type(0.1)) * n, rtol=1e-7)


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_softmax_is_one_nest(small, monkeypatch):
    small or large_and_shared(monkeypatch)
    x = np.random.default_rng(3).standard_normal((13, 57)).astype(F32)
    memory = Memory()
    given, out = memory.input(x), memory.output(F32, x.shape)
    row = Buffer(F32, 57, "scratch")
    loads = [Load(F32, Access(given, (57, 1))) for _ in range(2)]
    most = Reduce(F32, "maximum", loads[0])
    less = Op(F32, "subtract", (loads[1], most))
    power = Op(F32, "exp", (less,))
    total = Reduce(F32, "add", power)
    one = Number(F32, 1.0)
    inverse = Op(F32, "divide", (one, total))
    kept = Load(F32, Access(row, (0, 1)))
    result = Op(F32, "multiply", (kept, inverse))
    (found,) = memory.run(Nest((13,), 57, (
        sweep(loads[0], most),
        sweep(loads[1], less, power, total, Store(Access(row, (0, 1)), power)),
        plain(one, inverse),
        sweep(kept, result, Store(Access(out, (57, 1)), result)))))
    expected = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
@pytest.mark.parametrize("dtype", [F32, F64, np.int16, bool], ids=str)
def test_strides_offsets_and_indices(dtype, small, monkeypatch):
    """Transposed, every other, repeated, backwards; the columns' own numbers."""
    small or large_and_shared(monkeypatch)
    rng, memory = np.random.default_rng(4), Memory()
    n, m = 12, 43
    x = memory.input(random_array(rng, dtype, n * m * 2))
    nests = []
    for strides, offset in (((1, n), 0), ((m * 2, 2), 1), ((0, 1), 5), ((2, 0), 3),
                            ((m, -1), m - 1)):
        out, numbered = memory.output(dtype, n * m * 2), memory.output(I64, n * m)
        load = Load(x.dtype, Access(x, strides, offset))
        index = Index(I64, strides, offset)
        to = [(1, n), (m * 2, 2)][len(nests) % 2]
        nests.append(Nest((n,), m, (
            sweep(load, index, Store(Access(out, to, 1), load),
                  Store(Access(numbered, (m, 1)), index)),)))
    found = memory.run(*nests)
    for array, expected in zip(found, plainly(memory, nests), strict=True):
        np.testing.assert_array_equal(array, expected)


# --- indices ----------------------------------------------------------------------------------


def gathered(memory, index, table, cols):
    """`table[index]`, row by row."""
    rows = index.size
    at, of = memory.input(index), memory.input(table)
    out = memory.output(table.dtype, (rows, cols))
    where = Load(at.dtype, Access(at, (1, 0)))
    load = Load(of.dtype, Access(of, (0, 1)), ((where, len(table), cols),))
    return Nest((rows,), cols, (sweep(where, load, Store(Access(out, (cols, 1)), load)),))


@pytest.mark.parametrize("index", [np.int64, np.int32, np.uint8], ids=lambda t: t.__name__)
def test_rows_by_index(index):
    rng = np.random.default_rng(5)
    table = rng.standard_normal((20, 11))
    which = rng.integers(0 if index is np.uint8 else -20, 20, 30).astype(index)
    memory = Memory()
    (found,) = memory.run(gathered(memory, which, table, 11))
    np.testing.assert_array_equal(found, table[which])


@pytest.mark.parametrize("bad", [20, -21, 10 ** 15])
def test_an_index_out_of_range_is_told(bad):
    memory = Memory()
    memory.run(gathered(memory, np.array([3, bad, 4]), np.zeros((20, 11)), 11))
    assert memory.code == OUT_OF_RANGE


@pytest.mark.parametrize("dtype", [F32, F64, np.int8], ids=str)
def test_elements_by_index(dtype):
    rng, memory = np.random.default_rng(6), Memory()
    n = 77
    table = random_array(rng, dtype, 9, 10)
    i, j = rng.integers(-9, 9, n), rng.integers(-10, 10, n)
    a, b, of = memory.input(i), memory.input(j), memory.input(table)
    out, spread = memory.output(dtype, n), memory.output(dtype, 9 * 10)
    rows, cols = (Load(I64, Access(buffer, (1,))) for buffer in (a, b))
    terms = ((rows, 9, 10), (cols, 10, 1))
    load = Load(of.dtype, Access(of, (0,)), terms)
    found, written = memory.run(Nest((), n, (
        sweep(rows, cols, load, Store(Access(out, (1,)), load),
              Store(Access(spread, (0,)), load, "", terms)),)))
    np.testing.assert_array_equal(found, table[i, j])
    expected = np.zeros_like(table)
    expected[i, j] = table[i, j]
    np.testing.assert_array_equal(written, expected.ravel())


@pytest.mark.parametrize(("i", "j"), [(9, 0), (0, 10), (-10, 0), (0, -11)])
def test_each_of_several_indices_is_checked(i, j):
    memory = Memory()
    a, b = memory.input(np.array([1, i, 2])), memory.input(np.array([1, j, 2]))
    of, out = memory.input(np.zeros((9, 10))), memory.output(F64, 3)
    rows, cols = (Load(I64, Access(buffer, (1,))) for buffer in (a, b))
    load = Load(F64, Access(of, (0,)), ((rows, 9, 10), (cols, 10, 1)))
    memory.run(Nest((), 3, (sweep(rows, cols, load, Store(Access(out, (1,)), load)),)))
    assert memory.code == OUT_OF_RANGE


def test_compiled_indices_are_eager_ones():
    """Two index tensors, read and added at, the gradient of both; out of range as eager is."""
    def both(x, v, i, j):
        value = (x[i, j] * v).sum() + x.exp().sum()
        return value, *wengert.autograd.grad(value, [x, v])

    rng = np.random.default_rng(10)
    x, v = (wengert.tensor(rng.standard_normal(s), requires_grad=True) for s in ((9, 10), 77))
    places = [rng.integers(-n, n, 77) for n in (9, 10)]
    compiled = wengert.compile(both)
    for _ in range(2):
        found = compiled(x, v, *map(wengert.tensor, places))
        for a, b in zip(found, both(x, v, *map(wengert.tensor, places)), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)
    places[1][5] = 10
    with pytest.raises(IndexError):
        compiled(x, v, *map(wengert.tensor, places))


def test_adding_where_an_index_says():
    """On top of what is there, several times in one place."""
    rng, memory = np.random.default_rng(7), Memory()
    index, x = rng.integers(-5, 5, 5000), rng.standard_normal(5000)
    a, b = memory.input(index), memory.input(x)
    out = memory.output(F64, 5, fill=3)
    where, load = Load(I64, Access(a, (1,))), Load(F64, Access(b, (1,)))
    (found,) = memory.run(Nest((), 5000, (
        sweep(where, load, Store(Access(out, (0,)), load, "add", ((where, 5, 1),))),)))
    expected = np.full(5, 3.0)
    np.add.at(expected, index, x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# --- threads ----------------------------------------------------------------------------------


def large_nests(memory, rows, cols):
    """A map, sums of rows, sums along columns, a total."""
    x = memory.input(random_array(np.random.default_rng(8), F32, rows, cols))
    out, sums, total = (memory.output(F32, k) for k in (rows * cols, rows, 1))
    columns = memory.output(F64, cols)
    load = Load(F32, Access(x, (cols, 1)))
    power = Op(F32, "exp", (load,))
    double = Op(F64, "cast", (power,))
    reduced = Reduce(F32, "add", power)
    return [
        Nest((rows,), cols, (sweep(load, power, reduced, Store(Access(out, (cols, 1)), power)),
                             plain(Store(Access(sums, (1,)), reduced)))),
        Nest((rows,), cols, (sweep(load, power, double,
                                   Store(Access(columns, (0, 1)), double, "add")),)),
        Nest((rows,), cols, (sweep(load, power, Store(Access(total, (0, 0)), power, "add")),))]


@pytest.mark.parametrize(("rows", "cols"), [(300, 500), (3, 50_000), (70_000, 3), (1, 150_001)])
def test_threads_agree_with_one_and_are_the_same_every_time(rows, cols):
    results = {}
    for threads in (1, 2, 3):
        wengert.set_num_threads(threads)
        memory = Memory()
        steps = large_nests(memory, rows, cols)
        shared = [task.pieces for step in steps for task in Share(step, threads, 0).tasks]
        assert max(shared) == threads
        results[threads] = memory.run(*steps)
        for _ in range(3):
            for a, b in zip(results[threads], memory.run(*steps), strict=True):
                assert a.tobytes() == b.tobytes()
    wengert.set_num_threads(2)
    for threads in (2, 3):
        for a, b in zip(results[1], results[threads], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    x = np.exp(memory.inputs[0][1].astype(F64))
    for array, expected in zip(results[2], (x, x.sum(1), x.sum(), x.sum(0)), strict=True):
        np.testing.assert_allclose(array, np.ravel(expected), rtol=1e-6)


def test_threads_share_the_outermost_loop_where_it_adds_to_places_of_its_own():
    """Sums over the middle of three loops, which need no parts to be added up afterwards."""
    results = []
    for threads in (1, 3):
        wengert.set_num_threads(threads)
        memory = Memory()
        x = memory.input(random_array(np.random.default_rng(9), F32, 40, 90, 70))
        out = memory.output(F64, (40, 70))
        load = Load(F32, Access(x, (90 * 70, 70, 1)))
        power = Op(F32, "exp", (load,))
        double = Op(F64, "cast", (power,))
        nest = Nest((40, 90), 70, (sweep(
            load, power, double, Store(Access(out, (70, 0, 1)), double, "add")),))
        tasks = Share(nest, threads, 0).tasks
        assert [(task.split, task.pieces) for task in tasks] == [
            ("outer", 3) if threads > 1 else ("", 1)]
        results += memory.run(nest)
    wengert.set_num_threads(2)
    assert results[0].tobytes() == results[1].tobytes()
    expected = np.exp(memory.inputs[0][1].astype(F64)).sum(1)
    np.testing.assert_allclose(results[0], expected, rtol=1e-6)


@pytest.mark.parametrize(("bound", "split"), [(70, "outer"), (71, "")])
def test_threads_share_rows_that_add_at_an_index_within_them(bound, split):
    """With a place more to go, a row could reach into the next."""
    results = []
    where = np.random.default_rng(9).integers(-70, 70, (40, 5000))
    for threads in (1, 3):
        wengert.set_num_threads(threads)
        memory = Memory()
        x = memory.input(random_array(np.random.default_rng(9), F32, 40, 5000))
        index = Load(np.dtype(np.int64), Access(memory.input(where), (5000, 1)))
        out = memory.output(F64, (40, 70))
        load = Load(F32, Access(x, (5000, 1)))
        double = Op(F64, "cast", (load,))
        nest = Nest((40,), 5000, (sweep(index, load, double, Store(
            Access(out, (70, 0)), double, "add", ((index, bound, 1),))),))
        (task,) = Share(nest, threads, 0).tasks
        assert task.split == (split if threads > 1 else "")
        results += memory.run(nest) if bound == 70 else []
    wengert.set_num_threads(2)
    if results:
        assert results[0].tobytes() == results[1].tobytes()
        expected = np.zeros((40, 70))
        np.add.at(expected, (np.arange(40)[:, None], where), memory.inputs[0][1])
        np.testing.assert_allclose(results[0], expected, rtol=1e-6, atol=1e-9)


def test_small_work_stays_on_its_thread():
    memory = Memory()
    x, out = memory.input(np.zeros(1000)), memory.output(F64, 1000)
    load = Load(F64, Access(x, (1,)))
    nest = Nest((), 1000, (sweep(load, Store(Access(out, (1,)), load)),))
    assert [task.pieces for task in Share(nest, 8, 0).tasks] == [1]


def test_many_threads_may_run_one_executable():
    memory = Memory()
    rows, cols = 64, 1000
    steps = large_nests(memory, rows, cols)
    executable = Executable(memory.plan(PlanBlock(tuple(steps), Leave(0))))
    (_, x), = memory.inputs
    failures = []

    def work(factor):
        given = x * F32.type(factor)
        expected = np.exp(given.astype(F64))
        for _ in range(20):
            outs = [np.zeros(b.shape, b.dtype) for b, _ in memory.outputs]
            executable([given], outs)
            if not np.allclose(outs[3], expected.sum(0), rtol=1e-5):
                failures.append(factor)

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 0.5, -1, 0.1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# --- products ---------------------------------------------------------------------------------


def matrix(buffer, rows, cols, transposed):
    return Matrix(buffer, 0, rows * cols, *((1, rows) if transposed else (cols, 1)))


@pytest.mark.parametrize("dtype", [F32, F64, I64, np.float16], ids=str)
@pytest.mark.parametrize("sizes", [(1, 3, 4, 5), (3, 20, 30, 10), (1, 64, 1, 64), (2, 1, 700, 1),
                                   (1, 1, 40, 30), (1, 40, 30, 1), (2, 3, 0, 4)], ids=str)
def test_products(sizes, dtype):
    """With each matrix row by row or column by column, added to what is there or not."""
    count, m, k, n = sizes
    rng, memory = np.random.default_rng(9), Memory()
    a = random_array(rng, dtype, count, m, k)
    b = random_array(rng, dtype, count, k, n)
    steps, expected = [], []
    for turned in itertools.product([False, True], repeat=3):
        given = [memory.input(np.swapaxes(x, 1, 2) if t else x)
                 for x, t in zip((a, b), turned, strict=False)]
        more = turned[0]
        garbage = np.nan if np.dtype(dtype).kind == "f" else 17
        out = memory.output(dtype, count * m * n, fill=2 if more else garbage)
        steps.append(Product(matrix(given[0], m, k, turned[0]), matrix(given[1], k, n, turned[1]),
                             matrix(out, m, n, turned[2]), count, m, k, n, more))
        wide = F64 if np.dtype(dtype).kind == "f" else I64
        found = a.astype(wide) @ b.astype(wide) + 2 * more
        expected.append((np.swapaxes(found, 1, 2) if turned[2] else found).ravel())
    for array, right in zip(memory.run(*steps), expected, strict=True):
        tolerance = 2e-2 if dtype == np.float16 else 1e-5
        np.testing.assert_allclose(array, right, rtol=tolerance, atol=tolerance)


def test_a_product_of_parts_of_matrices():
    rng, memory = np.random.default_rng(10), Memory()
    whole = rng.standard_normal((50, 60))
    given, out = memory.input(whole), memory.output(F64, (40, 45))
    (found,) = memory.run(Product(Matrix(given, 2 * 60 + 3, 0, 60, 1),
                                  Matrix(given, 10, 0, 1, 60), Matrix(out, 0, 0, 45, 1),
                                  1, 40, 50, 45))
    np.testing.assert_allclose(found, whole[2:42, 3:53] @ whole[:45, 10:60].T, rtol=1e-10)


# --- calls, branches, constants ---------------------------------------------------------------


def copying(source, to, size, name="positive"):
    load = Load(source.dtype, Access(source, (1,)))
    op = Op(to.dtype, name, (load,))
    return Nest((), size, (sweep(load, op, Store(Access(to, (1,)), op)),))


def calling(evaluate, operands, results, **params):
    primitive = Primitive("called", evaluate, abstract=lambda *avals: avals,
                          multiple=len(results) > 1)
    return Call(primitive, tuple(operands), params, tuple(results))


def test_calls_are_evaluated_by_python():
    memory = Memory()
    x = memory.input(np.array([[3.0, 1, 2], [9, 8, 7]]))
    twice, ordered, order = (memory.temporary(t, (2, 3)) for t in (F64, F64, I64))
    outs = [memory.output(F64, 6), memory.output(I64, 6)]
    found = memory.run(
        copying(x, twice, 6, "square"),
        calling(lambda a, axis: (np.sort(a, axis), np.argsort(a, axis)), [twice],
                [ordered, order], axis=1),
        copying(ordered, outs[0], 6), copying(order, outs[1], 6))
    np.testing.assert_array_equal(found[0], [1, 4, 9, 49, 64, 81])
    np.testing.assert_array_equal(found[1], [1, 2, 0, 2, 1, 0])


def test_what_a_call_raises_goes_on():
    memory = Memory()
    x, out = memory.input(np.zeros(3)), memory.output(F64, 3)

    def fail(a):
        raise KeyError("lost")

    executable = Executable(memory.plan(PlanBlock((calling(fail, [x], [out]),), Leave(0))))
    for _ in range(2):
        with pytest.raises(KeyError, match="lost"):
            executable([np.zeros(3)], [np.zeros(3)])
    assert executable.entry(executable.new_arena(), np.zeros(3), np.zeros(3)) == CALL_FAILED
    assert isinstance(executable.error(), KeyError)


@pytest.mark.parametrize("array", [np.array(True), np.array(5, np.int16), np.array(2.5),
                                   np.array([1.0, 2.0, 3.0]), np.array([7, 8, 9], np.int8)],
                         ids=repr)
def test_branches(array):
    """A tree of two looks; an answer without a case is a miss of its look."""
    memory = Memory()
    a, b = memory.input(array), memory.input(np.array(0))
    out = memory.output(array.dtype, array.shape)

    def block(number, source):
        store = copying(source, out, array.size, "square" if number else "positive")
        return PlanBlock((store,) if source.dtype.kind != "b" else (), Leave(number))

    inner = Branch(b, {np.int64(k).tobytes(): block(k, a) for k in range(3)}, 1)
    outer = Branch(a, {array.tobytes(): PlanBlock((), inner),
                       (array * 0).tobytes(): block(9, a)}, 0)
    executable = Executable(memory.plan(PlanBlock((), outer)))
    results = [np.zeros_like(array)]

    def end(first, second):
        return executable([np.asarray(first, array.dtype), np.array(second)], results)

    assert [end(array, k) for k in range(3)] == [0, 1, 2]
    if array.dtype.kind != "b":
        np.testing.assert_array_equal(results[0], array ** 2)
        assert end(array + 1, 0) == MISS
    assert end(array * 0, 0) == 9
    assert end(array, 17) == MISS - 1


def test_constants_small_and_large():
    memory = Memory()
    arrays = [np.arange(5.0), np.arange(3000.0), np.array([True, False])]
    outs = [memory.output(a.dtype, a.size) for a in arrays]
    found = memory.run(*(copying(constant(a), out, a.size, "logical_not" if i == 2 else "negative")
                         for i, (a, out) in enumerate(zip(arrays, outs, strict=True))))
    for a, b in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(b, ~a if a.dtype == BOOL else -a)


def test_an_entry_takes_as_many_arrays_as_it_has():
    memory = Memory()
    x, out = memory.input(np.zeros(3)), memory.output(F64, 3)
    executable = Executable(memory.plan(PlanBlock((copying(x, out, 3),), Leave(5))))
    assert executable.entry(executable.new_arena(), np.zeros(3), np.zeros(3)) == 5
    assert executable.entry(executable.new_arena(), np.zeros(3)) < 0


# --- what code is shared, and what it costs ---------------------------------------------------


def test_other_sizes_share_machine_code(monkeypatch):
    from wengert.compiler.native import engine

    made = []
    generate = engine._generate
    monkeypatch.setattr(engine, "_generate",
                        lambda text, level: made.append(text) or generate(text, level))
    kept = []
    for rows, cols in ((300, 517), (400, 519), (1000, 1001)):
        memory = Memory()
        x, out = memory.input(np.ones((rows, cols))), memory.output(F64, (rows, cols))
        load = Load(F64, Access(x, (cols, 1)))
        op = Op(F64, "arctan", (load,))
        kept.append(Executable(memory.plan(PlanBlock((Nest((rows,), cols, (
            sweep(load, op, Store(Access(out, (cols, 1)), op)),)),), Leave(0)))))
        assert len(made) == 2  # the nest's, and the entry's


def straight(length):
    """A chain of so many operations on one number."""
    memory = Memory()
    x, out = memory.input(np.array(0.5)), memory.output(F64, 1)
    half = Number(F64, 0.5)
    statements = [half, Load(F64, Access(x))]
    for i in range(length):
        if i % 20 == 7:
            statements.append(Op(F64, "sin", (statements[-1],)))
        else:
            statements.append(Op(F64, ("multiply", "add", "subtract")[i % 3],
                                 (statements[-1], statements[max(1, len(statements) - 5)])))
    statements.append(Store(Access(out), statements[-1]))
    return memory, Nest((), 1, (plain(*statements),))


def test_long_straight_lines():
    memory, nest = straight(3000)
    (found,) = memory.run(nest)
    (expected,) = plainly(memory, [nest])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_equal_small_nests_are_one_function(monkeypatch):
    from wengert.compiler.native import engine

    made = []
    generate = engine._generate
    monkeypatch.setattr(engine, "_generate",
                        lambda text, level: made.append(text) or generate(text, level))
    memory = Memory()
    places = [memory.input(np.linspace(0, 9, 200))]
    places += [memory.temporary(F64, (200,)) for _ in range(30)]
    places.append(memory.output(F64, 200))
    (found,) = memory.run(*(copying(a, b, 200, "arctan")
                            for a, b in itertools.pairwise(places)))
    expected = np.linspace(0, 9, 200)
    for _ in range(31):
        expected = np.arctan(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert sum(text.count("define internal i64 @nest") for text in made) == 1


@pytest.mark.parametrize("size", [5, 200, 100_003])
def test_an_output_may_lie_in_an_input(size):
    memory = Memory()
    x, y = memory.input(np.zeros(size)), memory.input(np.zeros(size))
    out = memory.output(F64, size)
    loads = [Load(F64, Access(b, (1,))) for b in (x, y)]
    op = Op(F64, "subtract", tuple(loads))
    executable = Executable(memory.plan(PlanBlock((
        Nest((), size, (sweep(*loads, op, Store(Access(out, (1,)), op)),)),), Leave(0))))
    a, b = np.random.default_rng(11).standard_normal((2, size))
    expected = a - b
    executable([a, b], [a])
    np.testing.assert_array_equal(a, expected)
