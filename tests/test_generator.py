"""The random source against numbers recorded from PyTorch 2.13, and against PyTorch itself."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from wengert.core import generator as module
from wengert.core.generator import DEFAULT_SEED, Generator
from wengert.core.rounding import fma, fused

SIZES = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 1000, 100003]
SEEDS = [0, 1, 42, -1, -(2**63), 2**32 - 1, 2**32, 2**64 - 1, 123456789]
REALS = ["float16", "float32", "float64"]
FLOATS = [*REALS, "complex64", "complex128"]

# ------------------------------------------------------------------ numbers recorded from PyTorch

# One stream for each seed: every line goes on where the line before it stopped.
STEPS: dict[str, Callable[[Generator], Any]] = {
    "rand(3)": lambda g: g.uniform((3,), "float32"),
    "randn(3)": lambda g: g.normal((3,), "float32"),
    "rand(2), float64": lambda g: g.uniform((2,), "float64"),
    "randn(2), float64": lambda g: g.normal((2,), "float64"),
    "randn(17)[[0, 1, 15, 16]]": lambda g: g.normal((17,), "float32")[[0, 1, 15, 16]],
    "randint(-5, 20, (5,))": lambda g: g.integers((5,), -5, 20),
    "randint(0, 2**40, (2,))": lambda g: g.integers((2,), 0, 2**40),
    "randperm(8)": lambda g: g.permutation(8),
    "randn(2), float16": lambda g: g.normal((2,), "float16"),
    "view_as_real(randn(1)), complex64": lambda g: g.normal((1,), "complex64").view("float32"),
    "empty(6).bernoulli_(0.5)": lambda g: g.bernoulli(0.5, (6,)),
    "bernoulli(full((6,), 0.5))": lambda g: g.bernoulli(np.full(6, 0.5, "float32"), (6,)),
    "exponential_(2.0), float64": lambda g: g.exponential((2,), "float64", 2.0),
    "uniform_(-0.3, 1.7)": lambda g: g.uniform((2,), "float32", -0.3, 1.7),
    "empty(16).normal_(0.3, 1.7)[:2]": lambda g: g.normal((16,), "float32", 0.3, 1.7)[:2],
}
RECORDED: dict[int, list[list[float]]] = {
    0: [
        [0.49625658988952637, 0.7682217955589294, 0.08847743272781372],
        [0.3643381893634796, 0.13439632952213287, 0.16421625018119812],
        [0.21373865012512683, 0.3508719881882676],
        [0.3057610206599811, 0.6035430218293704],
        [0.7935083508491516, 0.4396958351135254, -1.2001394033432007, -0.004785737954080105],
        [18, 11, 6, 0, -2],
        [869364353268, 649676319395],
        [6, 7, 2, 3, 4, 0, 5, 1],
        [0.81103515625, -2.21875],
        [0.18312972784042358, -0.7281094193458557],
        [0, 1, 1, 1, 0, 1],
        [0, 1, 0, 0, 0, 0],
        [0.0209630598046057, 2.9499686705422943],
        [-0.08008402585983276, 0.12418049573898315],
        [-4.142648220062256, -2.5840065479278564],
    ],
    42: [
        [0.8822692632675171, 0.9150039553642273, 0.38286375999450684],
        [-0.829319179058075, -1.6137069463729858, -0.21470452845096588],
        [0.7486372270982795, 0.5417227106934303],
        [0.29893549051188345, -1.228396680277355],
        [0.439589262008667, 0.3188803195953369, 0.049905385822057724, 2.2667179107666016],
        [15, 9, 6, 19, 10],
        [1065351392386, 981861928754],
        [6, 3, 0, 1, 5, 4, 2, 7],
        [0.529296875, -1.015625],
        [-0.6284400820732117, 0.10591024905443192],
        [1, 1, 0, 1, 1, 1],
        [1, 0, 0, 1, 0, 0],
        [0.0522952297573963, 0.5433141840530339],
        [0.34548360109329224, -0.2675946354866028],
        [1.3892840147018433, 1.2915207147598267],
    ],
    -1: [
        [0.9937993884086609, 0.5713063478469849, 0.5700080394744873],
        [-1.7270127534866333, 1.3217904567718506, 0.3151951730251312],
        [0.9827249494435064, 0.3818870287500159],
        [1.59724478254276, 0.254550603503551],
        [-0.5382585525512695, -0.863675057888031, -0.4940645694732666, 0.9654393196105957],
        [-2, 11, 10, 18, 4],
        [281059265648, 815263466155],
        [0, 3, 1, 4, 6, 5, 7, 2],
        [1.5283203125, 0.52490234375],
        [0.903005063533783, 0.5806926488876343],
        [1, 1, 0, 1, 1, 1],
        [0, 1, 0, 0, 0, 1],
        [0.6961368294954902, 0.18107293378465303],
        [1.002981424331665, 0.8546335101127625],
        [-3.6975436210632324, 0.2973446846008301],
    ],
}

# CRC-32 of the bytes of 100003 numbers each, one stream from seed 7.
SUMMED: list[tuple[Callable[[Generator, tuple[int]], Any], int]] = [
    (lambda g, n: g.uniform(n, "float32"), 1410905187),
    (lambda g, n: g.normal(n, "float32"), 1470109759),
    (lambda g, n: g.normal(n, "float16"), 200818290),
    (lambda g, n: g.normal(n, "float32", 0.3, 1.7), 1321606871),
    (lambda g, n: g.uniform(n, "float64", 0.3, 1.7), 672210460),
    (lambda g, n: g.integers(n, 0, 1000), 847421471),
    (lambda g, n: g.integers(n, -(2**62), 2**62), 450526298),
    (lambda g, n: g.permutation(*n), 1104868060),
    (lambda g, n: g.bernoulli(np.full(n, 0.3, "float32"), n), 4046068219),
    (lambda g, n: g.bernoulli(0.3, n), 1410646693),
    (lambda g, n: g.get_state(), 1916578461),
]


@pytest.mark.parametrize("seed", RECORDED)
def test_recorded_stream(seed: int) -> None:
    g = Generator().manual_seed(seed)
    for (step, draw), numbers in zip(STEPS.items(), RECORDED[seed], strict=True):
        assert draw(g).tolist() == numbers, step


def test_recorded_sums() -> None:
    g = Generator().manual_seed(7)
    for place, (draw, crc) in enumerate(SUMMED):
        assert zlib.crc32(draw(g, (100003,)).tobytes()) == crc, place


def test_default_seed() -> None:
    g = Generator()
    assert g.initial_seed() == DEFAULT_SEED == 67280421310721
    assert g.uniform((4,), "float32").tolist() == (
        Generator().manual_seed(DEFAULT_SEED % 2**32).uniform((4,), "float32").tolist()
    )


# ------------------------------------------------------------------------- behaviour on its own


def test_shapes_dtypes_and_order() -> None:
    g = Generator()
    for dtype in FLOATS:
        for shape in [(), (0,), (2, 3), (4, 5, 2), [3, 7]]:
            for drawn in (g.uniform(shape, dtype), g.normal(shape, dtype)):
                assert drawn.shape == tuple(shape)
                assert drawn.dtype == dtype
                assert drawn.flags.c_contiguous
    assert g.integers((2, 2), 0, 9, "uint8").dtype == "uint8"
    assert g.bernoulli(np.zeros((3, 1), "float32"), (3, 4), "bool").shape == (3, 4)


def test_seeds_are_reduced() -> None:
    g = Generator()
    assert g.manual_seed(-5) is g
    assert g.initial_seed() == 2**64 - 5
    low = g.uniform((8,), "float64")
    assert np.array_equal(low, g.manual_seed(2**32 - 5).uniform((8,), "float64"))
    assert 0 <= g.seed() < 2**64


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (2**64, ValueError, "Overflow when unpacking long long"),
        (-(2**63) - 1, ValueError, "Overflow when unpacking long long"),
        (1.5, RuntimeError, "manual_seed expected a long, but got float"),
        (True, RuntimeError, "manual_seed expected a long, but got bool"),
        ("1", RuntimeError, "manual_seed expected a long, but got str"),
    ],
)
def test_bad_seeds(seed: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Generator().manual_seed(seed)


BAD_DRAWS: list[tuple[Callable[[Generator], Any], str]] = [
    (lambda g: g.uniform((3,), "float32", 2, 1), r"found from=2 > to=1"),
    (lambda g: g.uniform((3,), "float32", 0, 1e39), "to is out of bounds"),
    (lambda g: g.uniform((3,), "float32", -3e38, 3e38), "uniform_ expects to-from"),
    (lambda g: g.uniform((3,), "int64"), "not implemented for 'int64'"),
    (lambda g: g.normal((3,), "float32", 0, -1), r"normal expects std >= 0.0, but found std -1"),
    (lambda g: g.normal((3,), "float32", 0, float("nan")), "found std nan"),
    (lambda g: g.integers((3,), 5, 5), "but got from=5 >= to=5"),
    (lambda g: g.integers((3,), 0, 257, "uint8"), "to - 1 is out of bounds"),
    (lambda g: g.integers((3,), -1, 2, "uint8"), "from is out of bounds"),
    (lambda g: g.integers((3,), 0, 3, "bool"), "to - 1 is out of bounds"),
    (lambda g: g.integers((3,), 0, 3, "complex64"), "check_random_bounds handles only"),
    (lambda g: g.permutation(-1), "negative dimension -1"),
    (lambda g: g.permutation(257, "uint8"), "without overflow"),
    (lambda g: g.permutation(2050, "float16"), "greater than 2049 for Half"),
    (lambda g: g.permutation(3, "bool"), "not implemented for 'Bool'"),
    (lambda g: g.bernoulli(1.5, (3,)), r"to be in \[0, 1\], but got p=1.5"),
    (lambda g: g.bernoulli(np.array([1.5]), (1,)), "Expected p_in"),
    (lambda g: g.exponential((3,), "float32", 0.0), "expects lambda > 0.0, but found lambda=0"),
    (lambda g: g.exponential((3,), "complex64"), "not implemented"),
    (lambda g: g.cauchy((3,), "float32", 0, 0), "expects sigma > 0.0, but found sigma=0"),
    (lambda g: g.cauchy((3,), "int64"), "not implemented"),
    (lambda g: g.log_normal((3,), "float32", 0, -1), "expects std > 0.0, but found std=-1"),
    (lambda g: g.geometric((3,), "float32", 1.0), r"p to be in \(0, 1\), but got p=1"),
    (lambda g: g.geometric((3,), "bool", 0.5), "not implemented for 'bool'"),
    (lambda g: g.whole((3,), "complex64"), "not implemented"),
    (lambda g: g.poisson(np.array([1.0, -1.0])), "expected rate to be non-negative"),
    (lambda g: g.poisson(np.array([1])), "not implemented for 'int64'"),
    (lambda g: g.set_state(np.zeros(3, np.uint8)), "of size 5056 but found .* to be 3"),
    (lambda g: g.set_state(np.zeros(5056, np.uint8)), "Invalid mt19937 state"),
    (lambda g: Generator("cuda"), "cpu only"),
]


@pytest.mark.parametrize(("draw", "message"), BAD_DRAWS)
def test_refused_draws_leave_the_stream(draw: Callable[[Generator], Any], message: str) -> None:
    g = Generator()
    with pytest.raises(RuntimeError, match=message):
        draw(g)
    assert np.array_equal(g.get_state(), Generator().get_state())


def test_state_must_be_bytes() -> None:
    with pytest.raises(TypeError, match="RNG state must be a torch"):
        Generator().set_state(np.zeros(5056))  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [0, 1, 300, 623])
@pytest.mark.parametrize("rate", [0.0, 0.3, 9.0, 40.0, 1e6])
def test_poisson_numbers(rate: float, words: int) -> None:
    """Their mean and variance; and the generator has drawn no more than was needed."""
    g = Generator().manual_seed(words)
    g.uniform((words,), "float32")
    drawn = g.poisson(np.full(4000, rate))
    error = 5 * np.sqrt(rate / 4000)
    assert abs(drawn.mean() - rate) <= error
    assert drawn.var() == pytest.approx(rate, rel=0.15)
    h = Generator().manual_seed(words)
    h.uniform((words,), "float32")
    parts = [h.poisson(np.full(n, rate)) for n in (1, 0, 1999, 2000)]
    assert np.array_equal(np.concatenate(parts), drawn)
    assert np.array_equal(g.get_state(), h.get_state())


@pytest.mark.parametrize("words", [0, 1, 5, 623, 624, 625, 1248])
def test_copies_go_on_alone(words: int) -> None:
    g = Generator().manual_seed(3)
    g.normal((3,), "float64")  # leaves a spare normal
    g.uniform((words,), "float32")
    state = g.get_state()
    copies = [pickle.loads(pickle.dumps(g)), copy.deepcopy(g), copy.copy(g), g.clone_state()]
    expected = g.normal((5,), "float64")
    for other in copies:
        assert np.array_equal(other.get_state(), state)
        assert np.array_equal(other.normal((5,), "float64"), expected)
        assert other.initial_seed() == 3
        assert str(other.device) == "cpu"
    g.set_state(state)
    assert np.array_equal(g.normal((5,), "float64"), expected)


@pytest.mark.parametrize("draw", [
    lambda g: g.uniform((4,), "float32"), lambda g: g.uniform((2, 2), "float64"),
    lambda g: g.normal((4,), "float32"), lambda g: g.normal((16,), "float32"),
    lambda g: g.normal((33,), "float64"), lambda g: g.integers((4,), 0, 9),
    lambda g: g.integers((4,), 0, 2**40), lambda g: g.permutation(4),
    lambda g: g.bernoulli(0.5, (4,)), lambda g: g.exponential((4,), "float64")])
def test_numbers_belong_to_who_draws_them(draw: Callable[[Generator], Any]) -> None:
    """They may be written, and what is written is not drawn again."""
    g = Generator().manual_seed(2)
    state, first = g.get_state(), draw(g)
    expected = first.tolist()
    first[...] = 0
    h = Generator()
    h.set_state(state)
    g.set_state(state)
    assert draw(g).tolist() == draw(h).tolist() == expected


@pytest.mark.parametrize("words", [0, 3, 607, 608, 609, 623, 624])
def test_what_a_block_of_words_gives(words: int) -> None:
    """Few numbers are taken from tables of a block of words, many are worked out apart."""
    for dtype, each in (("float32", 1), ("float64", 2)):
        for draw in (Generator.uniform, Generator.normal):
            g = Generator().manual_seed(1)
            g.uniform((words,), "float32")
            many = draw(g, (64000,), dtype)[:16 * each]
            g.manual_seed(1).uniform((words,), "float32")
            assert draw(g, (16 * each,), dtype).tobytes() == many.tobytes()


def test_threads_share_a_stream() -> None:
    shared = Generator()
    drawn: list[tuple[float, ...]] = []

    def work() -> None:
        drawn.extend(tuple(shared.normal((3,), "float64").tolist()) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = Generator()
    in_order = [tuple(alone.normal((3,), "float64").tolist()) for _ in range(800)]
    assert sorted(drawn) == sorted(in_order)


def test_long_permutations_match_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WIDE_PERMUTATION", 0)
    words, expected = Generator()._words64(1000), list(range(1000))
    for i, word in enumerate(words.tolist()):
        z = word % (i + 1)
        expected[i], expected[z] = expected[z], i
    assert Generator().permutation(1000).tolist() == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fused_multiply_add_rounds_once(dtype: str) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=300).astype(dtype)
    a[:9] = 0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1 / 3, 1e-20, 1e20
    kind = np.dtype(dtype).type
    for b, c in [(1.7, 0.3), (3.0, -1.0), (1e-5, 1e5), (0.1, -0.1 * 0.1), (1.0, 2.0), (2.5, 0.0)]:
        found = fma(a, kind(b), kind(c))
        exact = [_exact(x) * _exact(kind(b)) + _exact(kind(c)) for x in a]
        assert all(_is_nearest(r, e) for r, e in zip(found, exact, strict=True))
        if dtype == "float64":
            assert found.tolist() == [fused(x, b, c) for x in a.tolist()]


def test_a_sum_halfway_between_two_floats_is_rounded_once() -> None:
    """Rounded to float64 first, it would be halfway, and go to the even one."""
    step = 2.0**-23
    a = np.array([2.0**-12 * (1 + step), 1], np.float32)
    found = fma(a, np.float32(2.0**-12 * (1 - step)), np.float32(1 + step))
    assert found[0] == np.float32(1 + step)


def _exact(number: Any) -> Fraction:
    return Fraction(float(number))


def _is_nearest(rounded: Any, exact: Fraction) -> bool:
    neighbours = [np.nextafter(rounded, s * np.inf, dtype=rounded.dtype) for s in (-1, 1)]
    error = abs(_exact(rounded) - exact)
    return all(error <= abs(_exact(n) - exact) for n in neighbours)


def test_numpy_random_is_imported_late() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import wengert.core.generator as m;"
        "m.Generator().manual_seed(1); late = set(sys.modules) - before;"
        "sys.exit(any(name.startswith('numpy.random') for name in late))"
    )
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0


# ------------------------------------------------------------------------------ PyTorch itself


@pytest.fixture(scope="module")
def torch() -> Any:
    reason = "PyTorch is the oracle here: pip install torch==2.13.0"
    oracle = pytest.importorskip("torch", reason=reason)
    if oracle.backends.cpu.get_cpu_capability() not in {"AVX2", "AVX512"}:
        pytest.skip("PyTorch rounds otherwise on processors without AVX2")
    return oracle


def same(ours: Any, theirs: Any) -> bool:
    """Whether dtype, shape and every bit agree."""
    theirs = theirs.numpy()
    alike = ours.dtype == theirs.dtype and ours.shape == theirs.shape
    return bool(alike and ours.tobytes() == theirs.tobytes())


def pair(torch: Any, seed: int) -> tuple[Generator, Any]:
    return Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats(torch: Any, dtype: str, seed: int) -> None:
    g, t = pair(torch, seed)
    kind = getattr(torch, dtype)
    for n in SIZES:
        assert same(g.uniform((n,), dtype), torch.rand(n, dtype=kind, generator=t)), n
        assert same(g.normal((n,), dtype), torch.randn(n, dtype=kind, generator=t)), n
        blank = torch.empty(n, dtype=kind)
        assert same(g.uniform((n,), dtype, -0.3, 1.7), blank.uniform_(-0.3, 1.7, generator=t)), n
        assert same(g.normal((n,), dtype, 0.3, 1.7), blank.normal_(0.3, 1.7, generator=t)), n
        assert same(g.normal((n,), dtype, 0.0, 0.1), blank.normal_(0.0, 0.1, generator=t)), n
        assert same(g.normal((n,), dtype, -2.0, 1.0), blank.normal_(-2.0, 1.0, generator=t)), n
    assert same(g.get_state(), t.get_state())


@pytest.mark.parametrize("seed", SEEDS)
def test_integers(torch: Any, seed: int) -> None:
    g, t = pair(torch, seed)
    bounds = [(0, 10), (-7, 2**28 - 8), (-7, 2**28 - 7), (0, 2**32), (5, 2**40), (3, 4)]
    for n in SIZES:
        for low, high in [*bounds, (-(2**63), 2**63 - 1)]:
            assert same(g.integers((n,), low, high), torch.randint(low, high, (n,), generator=t))
        for dtype in ["bool", "uint8", "int8", "int16", "int32", *REALS]:
            drawn = torch.randint(0, 2, (n,), dtype=getattr(torch, dtype), generator=t)
            assert same(g.integers((n,), 0, 2, dtype), drawn), (n, dtype)
    assert same(g.get_state(), t.get_state())


@pytest.mark.filterwarnings("ignore:.*is out of bounds")
@pytest.mark.parametrize(("dtype", "bound"), [("float16", 5001), ("float32", 2**24 + 7)])
def test_integers_beyond_a_float(torch: Any, dtype: str, bound: int) -> None:
    g, t = pair(torch, 0)
    drawn = torch.randint(-bound, bound, (5000,), dtype=getattr(torch, dtype), generator=t)
    assert same(g.integers((5000,), -bound, bound, dtype), drawn)


@pytest.mark.parametrize("seed", SEEDS)
def test_permutations(torch: Any, seed: int) -> None:
    g, t = pair(torch, seed)
    for n in SIZES:
        assert same(g.permutation(n), torch.randperm(n, generator=t)), n
        drawn = torch.randperm(n, dtype=torch.float32, generator=t)
        assert same(g.permutation(n, "float32"), drawn), n
    assert same(g.permutation(256, "uint8"), torch.randperm(256, dtype=torch.uint8, generator=t))
    assert same(g.get_state(), t.get_state())


@pytest.mark.parametrize("dtype", REALS)
def test_bernoulli_of_arrays_and_exponential(torch: Any, dtype: str) -> None:
    g, t = pair(torch, 5)
    for n in SIZES:
        p = np.linspace(0, 1, n).astype(dtype)
        drawn = torch.bernoulli(torch.from_numpy(p), generator=t)
        assert same(g.bernoulli(p, (n,), dtype), drawn), n
        drawn = torch.empty(n, dtype=getattr(torch, dtype)).exponential_(1.7, generator=t)
        assert same(g.exponential((n,), dtype, 1.7), drawn), n
    assert same(g.get_state(), t.get_state())


@pytest.mark.parametrize("dtype", ["bool", "int64", "float32"])
def test_bernoulli_of_a_number(torch: Any, dtype: str) -> None:
    g, t = pair(torch, 5)
    drawn = torch.empty(1000, dtype=getattr(torch, dtype)).bernoulli_(0.3, generator=t)
    ours = g.bernoulli(0.3, (1000,), dtype)
    if not same(g.get_state(), t.get_state()):
        pytest.skip("PyTorch draws these with MKL on this processor")
    assert same(ours, drawn)


@pytest.mark.parametrize("seed", range(40))
def test_mixed_streams(torch: Any, seed: int) -> None:
    g, t = pair(torch, seed)
    rng = np.random.default_rng(seed)
    draws: list[Callable[[int], tuple[Any, Any]]] = [
        lambda n: (g.normal((n,), "float32"), torch.randn(n, generator=t)),
        lambda n: (g.normal((n,), "float64"), torch.randn(n, dtype=torch.float64, generator=t)),
        lambda n: (g.uniform((n,), "float32"), torch.rand(n, generator=t)),
        lambda n: (g.uniform((n,), "float64"), torch.rand(n, dtype=torch.float64, generator=t)),
        lambda n: (g.integers((n,), 0, 1000), torch.randint(1000, (n,), generator=t)),
        lambda n: (g.integers((n,), 0, 2**33), torch.randint(2**33, (n,), generator=t)),
        lambda n: (g.permutation(n), torch.randperm(n, generator=t)),
    ]
    for _ in range(60):
        ours, theirs = draws[rng.integers(len(draws))](int(rng.integers(40)))
        assert same(ours, theirs)
    assert same(g.get_state(), t.get_state())


@pytest.mark.parametrize("words", [0, 1, 623, 624, 625, 1248, 2000])
def test_states_cross_over(torch: Any, words: int) -> None:
    g, t = pair(torch, -9)
    assert same(g.get_state(), t.get_state())
    assert same(g.normal((3,), "float32"), torch.randn(3, generator=t))
    assert same(g.uniform((words,), "float32"), torch.rand(words, generator=t))
    ours, theirs = Generator(), torch.Generator()
    ours.set_state(t.get_state().numpy())
    theirs.set_state(torch.from_numpy(g.get_state()))
    assert ours.initial_seed() == theirs.initial_seed() == t.initial_seed()
    assert same(ours.normal((9,), "float64"), torch.randn(9, dtype=torch.float64, generator=t))
    assert same(g.normal((9,), "float64"), torch.randn(9, dtype=torch.float64, generator=theirs))


@pytest.mark.parametrize("seed", [*SEEDS, 2**64, -(2**63) - 1, 1.5, True, "a"])
def test_seeds(torch: Any, seed: Any) -> None:
    outcomes = []
    for source in (Generator(), torch.Generator()):
        try:
            outcomes.append((source.manual_seed(seed).initial_seed(), ""))
        except (ValueError, RuntimeError) as error:
            outcomes.append((type(error), str(error)))
    assert outcomes[0] == outcomes[1]
