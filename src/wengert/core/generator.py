"""A seedable source of random numbers that repeats PyTorch's CPU generator bit for bit.

The 32-bit words are those of the Mersenne Twister (see `twister.py`). This module adds the order in
which PyTorch 2.13 spends the words and the float arithmetic, fused multiply-adds included, that it
applies to them on an x86-64 processor with AVX2. Everything agrees there, within two limits:

* Exponentials, Cauchy, geometric and log-normal numbers, and 16 or more float64 normals, call
  NumPy's ``log``, ``sin``, ``cos``, ``tan``, ``exp`` or ``log1p``.
  Where these are the C library's the numbers are PyTorch's to the last bit; where NumPy has its own
  (float64 on AVX-512 processors) they may be an ulp away. 16 or more float32 or float16 normals are
  made with ``+ - * sqrt`` alone and are the same everywhere.
* PyTorch with MKL on an Intel processor draws Bernoulli numbers of one *scalar* probability from
  another source. ``bernoulli`` does what PyTorch does on every other processor.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Sequence
from math import cos, log1p, sin, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from . import dtypes
from .rounding import fma, fused
from .shuffling import inside_out, shuffled
from .twister import Twister, pairs64

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["DEFAULT_SEED", "Generator"]

DEFAULT_SEED: Final = 67280421310721
_F4, _F8, _U8 = np.float32, np.float64, np.uint64
_SINGLE, _DOUBLE = np.dtype(_F4), np.dtype(_F8)
_WORD, _INT, _LONG = np.dtype("u4"), np.dtype("i4"), np.dtype("i8")
_FLOAT_NAMES: Final = {"e": "Half", "f": "Float", "d": "Double", "E": "BFloat16"}
_BFLOAT16: Final = "E"  # the character of ml_dtypes' type, which NumPy knows little else of
_WIDE_RANGE: Final = 1 << 28  # from this range on, an integer takes two words
_WIDE_PERMUTATION: Final = 0xFFFFFFFF // 20  # from this length on, so does each exchange
_TURN: Final = 2.0 * math.pi

# PyTorch's own layout, so that a saved state can be carried over in both directions.
_STATE: Final = np.dtype(
    [("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("key", "<u8", (624,)),
     ("unused_x", "<f8"), ("normal", "<f8"), ("unused_rho", "<f8"), ("has_normal", "<i4"),
     ("pad", "V4"), ("unused_float", "<f4"), ("unused_flag", "?"), ("end", "V3")]
)  # fmt: skip


class Generator:
    """A stream of random numbers on the CPU; ``torch.Generator`` for plain NumPy arrays.

    Every method that draws takes a ``shape`` (a sequence of ints, ``()`` for a 0-d array) and a
    ``dtype`` and returns a new C-ordered array. A lock lets threads share a generator. A generator
    can be pickled and deep-copied; the copy continues on its own.

    >>> g = Generator().manual_seed(0)
    >>> g.uniform((2,), "float32").tolist()
    [0.49625658988952637, 0.7682217955589294]
    >>> g.normal((2,), "float32").tolist()
    [-0.29050925374031067, -1.0703703165054321]
    """

    _spare: float | None  # the second normal of a pair, for the next draw

    def __init__(self, device: object = "cpu") -> None:
        """Make a generator seeded with ``DEFAULT_SEED``; RuntimeError for other devices."""
        if str(device) != "cpu":
            raise RuntimeError(f"Generator lives on the cpu only, but got device {device}")
        self.device: Any = "cpu"
        self._lock = threading.RLock()
        self._restart(DEFAULT_SEED)

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream from ``seed`` (-2**63 to 2**64 - 1; modulo 2**64) and return self.

        Only the low 32 bits reach the twister, so seeds 2**32 apart give the same numbers.
        Raises RuntimeError if ``seed`` is no integer and ValueError if it is out of range.

        >>> Generator().manual_seed(-1).initial_seed() == 2**64 - 1
        True
        """
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        if not -(1 << 63) <= int(seed) < 1 << 64:
            raise ValueError("Overflow when unpacking long long")
        with self._lock:
            self._restart(int(seed) % (1 << 64))
        return self

    def seed(self) -> int:
        """Restart from 64 bits of the operating system's entropy; return them as an int."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()

    def initial_seed(self) -> int:
        """Return the seed that the stream was last restarted from, from 0 to 2**64 - 1."""
        return self._seed

    def get_state(self) -> npt.NDArray[np.uint8]:
        """Return a copy of the state: uint8, shape (5056,), byte for byte PyTorch's.

        >>> g = Generator()
        >>> state = g.get_state()
        >>> first = g.integers((3,), 0, 10)
        >>> g.set_state(state)
        >>> bool((g.integers((3,), 0, 10) == first).all())
        True
        """
        state = np.zeros(1, _STATE)
        with self._lock:
            state["key"], used = self._twister.state()
            state["seed"], state["seeded"] = self._seed, 1
            state["next"], state["left"] = used, 625 - used if used else 1
            state["normal"] = 0.0 if self._spare is None else self._spare
            state["has_normal"] = self._spare is not None
        return state.view(np.uint8)

    def set_state(self, state: npt.NDArray[np.uint8]) -> None:
        """Continue from ``state``, as ``get_state`` or PyTorch gave it.

        Raises TypeError unless ``state`` is a uint8 array, and RuntimeError if its size is not
        5056 or its bytes are no state that a generator can reach.
        """
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.size != _STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_STATE.itemsize} "
                f"but found the input RNG state size to be {state.size}"
            )
        fields = np.frombuffer(state.tobytes(), _STATE)[0]
        left, used = int(fields["left"]), int(fields["next"])
        fresh = (left, used) == (1, 0)
        if not fields["seeded"] or not (fresh or (left + used == 625 and 1 <= used <= 624)):
            raise RuntimeError("Invalid mt19937 state")
        with self._lock:
            self._seed = int(fields["seed"])
            self._spare = float(fields["normal"]) if fields["has_normal"] else None
            self._twister = Twister(self._seed, fields["key"].astype(np.uint32), used)

    def clone_state(self) -> Generator:
        """Return a new generator that continues from the same state, independently."""
        clone = type(self)()
        clone.set_state(self.get_state())
        return clone

    def __getstate__(self) -> npt.NDArray[np.uint8]:
        return self.get_state()

    def __setstate__(self, state: npt.NDArray[np.uint8]) -> None:
        self.__init__()  # type: ignore[misc]
        self.set_state(state)

    def uniform(
        self, shape: Sequence[int], dtype: npt.DTypeLike, low: float = 0.0, high: float = 1.0
    ) -> Array:
        """Draw uniform numbers in [low, high): ``rand`` and ``uniform_``.

        ``dtype`` is float16/32/64, or complex64/128 for independent real and imaginary parts. A
        number is 24 bits of one word, or 53 bits of two for 8-byte floats, scaled by a power of
        two. Raises RuntimeError for an empty or unrepresentable interval and NotImplementedError
        for other dtypes.

        >>> Generator().manual_seed(1).uniform((), "float64", 2.0, 4.0).tolist()
        2.1221065494392475
        """
        plain = low == 0 and high == 1
        if plain and (dtype is _SINGLE or dtype is _DOUBLE):
            with self._lock:
                return _own(self._unit(math.prod(shape), dtype)).reshape(shape)
        real, count = _real_parts(dtype, shape, "check_uniform_bounds")
        if not plain:
            _check_interval(float(low), float(high), real)
        wide = np.promote_types(real, _F4)
        with self._lock:
            unit = self._unit(count, wide)
        if plain and real == wide:
            return _own(unit).view(dtype).reshape(shape)
        lo, hi = wide.type(low), wide.type(high)
        drawn = fma(unit, hi - lo, lo).astype(real, copy=False)
        drawn[drawn == real.type(high)] = real.type(low)  # rounding can reach the open end
        return drawn.view(dtype).reshape(shape)

    def normal(
        self, shape: Sequence[int], dtype: npt.DTypeLike, mean: float = 0.0, std: float = 1.0,
        *, blocks: bool = True
    ) -> Array:
        """Draw normal numbers: ``randn`` and ``normal_``.

        ``dtype`` is float16/32/64, or complex64/128, where ``std**2`` is shared by the real and
        imaginary parts. The method is Box & Muller's ("A Note on the Generation of Random Normal
        Deviates", Ann. Math. Stat. 29(2), 1958), in two forms: below 16 numbers in float64, one
        pair at a time, an unused second kept for the next such call; from 16 on in blocks of 16,
        the last 16 numbers drawn anew if the size is no multiple of 16. Without ``blocks``, as for
        tensors that are not contiguous, the first form serves all sizes. Raises RuntimeError unless
        ``std >= 0`` and NotImplementedError for other dtypes.

        >>> Generator().manual_seed(0).normal((2, 8), "float32")[0, :2].tolist()
        [-1.1258398294448853, -1.152360200881958]
        """
        if not std >= 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
        real, count = _real_parts(dtype, shape, "normal_kernel_cpu")
        if real is not dtype and np.dtype(dtype).kind == "c":
            std = std / math.sqrt(2)
        with self._lock:
            if not blocks or count < 16:
                drawn = _rounded(self._single_normals(count, std, mean), real)
                return (drawn if real is dtype else drawn.view(dtype)).reshape(shape)
            unit = self._block_normals(count, real)
        if mean != 0 or std != 1:
            unit = fma(unit, unit.dtype.type(std), unit.dtype.type(mean))
        return _narrow(_own(unit), real).view(dtype).reshape(shape)

    def integers(
        self, shape: Sequence[int], low: int, high: int | None, dtype: npt.DTypeLike = np.int64
    ) -> Array:
        """Draw integers from ``low`` to ``high - 1``: ``randint`` and ``random_``.

        Without ``high``, they go up to the last that ``dtype`` holds (see ``whole``).

        ``dtype`` is bool, an integer or a float type; bounds are those of int64. A number is
        ``low + word % (high - low)``, the word of 32 bits, or of 64 for ranges from 2**28. Raises
        RuntimeError if ``low >= high`` or ``dtype`` cannot hold the numbers, and ValueError for
        bounds outside int64.

        >>> Generator().manual_seed(0).integers((4,), 0, 10).tolist()
        [4, 9, 3, 0]
        """
        out = np.dtype(dtype)
        if high is None and low == -(1 << 63):
            return self._any64(shape, out)
        low, span = _range(int(low), None if high is None else int(high), out)
        count = math.prod(shape)
        with self._lock:
            if span.dtype is _LONG:
                drawn = self._twister.made(count, lambda words: words.view(_LONG) % span, _LONG)
                if low:
                    drawn += low
            else:
                drawn = (self._words64(count) % span + _U8(low % (1 << 64))).view(_LONG)
        return (drawn if out is _LONG else drawn.astype(out)).reshape(shape)

    def permutation(self, n: int, dtype: npt.DTypeLike = np.int64) -> Array:
        """Draw a permutation of 0 to n - 1, shape (n,): ``randperm``.

        The shuffle is Fisher & Yates's in Durstenfeld's form ("Algorithm 235", Comm. ACM 7(7),
        1964), from the front; from n = 214748364 on it is the inside-out form, with 64-bit words.
        Raises RuntimeError if ``n`` is negative or ``dtype`` cannot hold n - 1, and
        NotImplementedError for bool and complex dtypes.

        >>> Generator().manual_seed(0).permutation(5).tolist()
        [4, 0, 1, 3, 2]
        """
        out = np.dtype(dtype)
        _check_permutation(n, out)
        with self._lock:
            if n >= _WIDE_PERMUTATION:
                place = self._words64(n) % np.arange(1, n + 1, dtype=_U8)
                return inside_out(place.astype(_LONG)).astype(out)
            words = self._twister.words(max(n - 1, 0)).view(_LONG)
        return shuffled(n, words).astype(out, copy=False)

    def bernoulli(
        self, p: float | Array, shape: Sequence[int], dtype: npt.DTypeLike = np.float32
    ) -> Array:
        """Draw ones with probability ``p`` and zeros otherwise: ``bernoulli``, ``bernoulli_``.

        ``p`` is a float, or a float array that broadcasts to ``shape``; ``dtype`` is any but a
        complex one. A number is one where a uniform one is below ``p``: a float64 one for a float
        or a float64 array, a float32 one for other arrays. Raises RuntimeError unless all of
        ``p`` is in [0, 1].

        >>> Generator().manual_seed(0).bernoulli(np.array([0.4, 0.9]), (2,), "int64").tolist()
        [0, 1]
        """
        if not isinstance(p, np.ndarray) and not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
        chance = p if isinstance(p, np.ndarray) else np.array(float(p))
        if chance is p and not np.logical_and.reduce((p >= 0) & (p <= 1), None):
            raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
        with self._lock:
            unit = self._unit(math.prod(shape), _DOUBLE if chance.dtype is _DOUBLE else _SINGLE)
        return np.asarray(unit.reshape(shape) < chance, dtype)

    def exponential(self, shape: Sequence[int], dtype: npt.DTypeLike, rate: float = 1.0) -> Array:
        """Draw exponential numbers of mean ``1 / rate`` as float16/32/64: ``exponential_``.

        The inverse of the distribution function at a float64 uniform number (von Neumann, "Various
        Techniques Used in Connection with Random Digits", 1951). Raises RuntimeError unless
        ``rate > 0``, and NotImplementedError for other dtypes.

        >>> Generator().manual_seed(0).exponential((), "float32").tolist()
        3.508326292037964
        """
        if not rate > 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate:g}")
        return self._by_inverse("exponential_cpu", shape, dtype,
                                lambda unit: -1.0 / rate * np.log1p(-unit))

    def cauchy(
        self, shape: Sequence[int], dtype: npt.DTypeLike, median: float = 0.0, sigma: float = 1.0
    ) -> Array:
        """Draw Cauchy numbers as float16/32/64: ``cauchy_``, by the inverse of the distribution.

        Raises RuntimeError unless ``sigma > 0``, and NotImplementedError for other dtypes.
        """
        if not sigma > 0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
        return self._by_inverse("cauchy_cpu", shape, dtype, lambda unit: fma(
            np.tan(math.pi * (unit - 0.5)), _F8(sigma), _F8(median)))

    def log_normal(
        self, shape: Sequence[int], dtype: npt.DTypeLike, mean: float = 1.0, std: float = 2.0
    ) -> Array:
        """Draw numbers whose logarithms are normal, as float16/32/64: ``log_normal_``.

        Raises RuntimeError unless ``std > 0``, and NotImplementedError for other dtypes.
        """
        real, count = _real_parts(dtype, shape, "log_normal_cpu", "efdE")
        if not std > 0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
        with self._lock:
            logarithms = np.array(self._single_normals(count, std, mean), _DOUBLE)
        return _narrow(np.exp(logarithms), real).reshape(shape)

    def geometric(self, shape: Sequence[int], dtype: npt.DTypeLike, p: float) -> Array:
        """Draw the number of trials up to the first success, of probability ``p``: ``geometric_``.

        ``dtype`` is float16/32/64 or an integer. Raises RuntimeError unless ``0 < p < 1``, and
        NotImplementedError for other dtypes.
        """
        out = np.dtype(dtype)
        if out.char not in "efdEbBhilq":
            raise NotImplementedError(f"\"geometric_cpu\" not implemented for '{out}'")
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
        with self._lock:
            unit = self._unit(math.prod(shape), _DOUBLE)
        with np.errstate(divide="ignore"):
            drawn = np.ceil(np.log(unit) / math.log1p(-p))
        drawn = drawn.astype(np.int64) if out.kind in "iu" else drawn
        return _narrow(drawn, out).reshape(shape)

    def whole(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
        """Draw from all integers from 0 on that ``dtype`` holds: ``random_`` without bounds.

        For floats, these are the ones up to which it holds all. Raises NotImplementedError for
        complex dtypes.
        """
        out = np.dtype(dtype)
        if out.char not in "efdEbBhilq?":
            raise NotImplementedError(f"\"random_kernel_cpu\" not implemented for '{out}'")
        with self._lock:
            words = (self._words64 if out.char in "dlq" else self._words32)(math.prod(shape))
        return (words % words.dtype.type(_holds(out) + 1)).astype(out).reshape(shape)

    def poisson(self, rate: Array) -> Array:
        """Draw Poisson numbers of the means given, in their shape and dtype: ``poisson``.

        Raises RuntimeError for a negative mean, and NotImplementedError for other than floats.
        """
        from .poisson import poisson  # which few programs draw

        real, _ = _real_parts(rate.dtype, rate.shape, "poisson_cpu", "efdE")
        if not np.logical_and.reduce(rate >= 0, None):
            raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
        if np.isinf(rate).any():
            raise RuntimeError("invalid Poisson rate, expected rate to be finite")
        rates = rate.astype(_F8).ravel().tolist()
        with self._lock:
            drawn = [poisson(one, self._twister.one) for one in rates]
        return np.array(drawn, _DOUBLE).astype(real, copy=False).reshape(rate.shape)

    def _by_inverse(self, kernel: str, shape: Sequence[int], dtype: npt.DTypeLike,
                    inverse: Callable[[Array], Array]) -> Array:
        """Draw floats by the inverse of their distribution function, at float64 uniform numbers."""
        real, count = _real_parts(dtype, shape, kernel, "efdE")
        with self._lock:
            unit = self._unit(count, _DOUBLE)
        return _narrow(inverse(unit), real).reshape(shape)

    def _restart(self, seed: int) -> None:
        self._seed, self._spare = seed, None
        self._twister = Twister(seed)

    def _words32(self, count: int) -> Array:
        return self._twister.made(count, lambda words: words.astype(_WORD), _WORD)

    def _words64(self, count: int) -> Array:
        return self._twister.made(count, pairs64, np.dtype(_U8), 2)

    def _any64(self, shape: Sequence[int], out: np.dtype[Any]) -> Array:
        with self._lock:
            return self._words64(math.prod(shape)).view(_LONG).astype(out).reshape(shape)

    def _unit(self, count: int, dtype: np.dtype[Any]) -> Array:
        """Draw flat uniform numbers in [0, 1); ``dtype`` is float32 or float64. See `_own`."""
        return self._twister.singles(count) if dtype.itemsize == 4 else (
            self._twister.doubles(count))

    def _single_normals(self, count: int, std: float, mean: float) -> list[float]:
        values = [] if self._spare is None else [self._spare]
        pairs = (count - len(values) + 1) // 2
        unit = iter(self._twister.floats(2 * pairs))
        for turn, tail in zip(unit, unit, strict=True):
            radius, angle = sqrt(-2.0 * log1p(-tail)), _TURN * turn
            values.append(radius * cos(angle))
            values.append(radius * sin(angle))
        self._spare = values.pop() if len(values) > count else None
        if mean == 0 and std == 1:
            return values
        std, mean = float(std), float(mean)
        return [fused(value, std, mean) for value in values]

    def _block_normals(self, count: int, real: np.dtype[Any]) -> Array:
        whole = count // 16 * 16
        normals = self._twister.normals if real.itemsize < 8 else self._twister.double_normals
        if whole == count:
            return normals(count)
        # The last 16 numbers are drawn anew: of the words behind the others'. Halves alone spend
        # none on the short row before.
        found = normals(whole)
        if real.itemsize > 2:
            self._unit(count - whole, real)
        return np.concatenate((found[:count - 16], normals(16)))


def _own(numbers: Array) -> Array:
    """Numbers of the twister's that may be written: a copy, if they are part of its block."""
    return numbers if numbers.flags.writeable else numbers.copy()


def _real_parts(
    dtype: npt.DTypeLike, shape: Sequence[int], kernel: str, allowed: str = "efdFDE"
) -> tuple[np.dtype[Any], int]:
    if dtype is _SINGLE or dtype is _DOUBLE:
        return dtype, math.prod(shape)
    out = np.dtype(dtype)
    if out.char not in allowed or not out.isnative:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{out}'")
    complex_parts = out.kind == "c"
    return (np.dtype(out.char.lower()) if complex_parts else out,
            math.prod(shape) * (1 + complex_parts))


def _is_float(kind: Any) -> bool:
    return kind.kind == "f" or kind.char == _BFLOAT16


def _digits(kind: Any) -> int:
    """The bits of a float's significand."""
    return 8 if kind.char == _BFLOAT16 else int(np.finfo(kind).nmant) + 1


@functools.lru_cache
def _largest(kind: Any) -> float:
    """The largest finite number of a float dtype."""
    return 255 * 2.0**120 if kind.char == _BFLOAT16 else float(np.finfo(kind).max)


@functools.lru_cache
def _holds(kind: np.dtype[Any]) -> int:
    """The last of the whole numbers from 0 on that a dtype holds all of."""
    if kind.kind == "b":
        return 1
    return 1 << _digits(kind) if _is_float(kind) else int(np.iinfo(kind).max)


def _words(kind: np.dtype[Any]) -> str:
    """What PyTorch calls a dtype that can't hold the numbers asked for."""
    return dtypes.c_name(dtypes.of(kind), alone=True)


def _check_interval(low: float, high: float, real: np.dtype[Any]) -> None:
    limit = _largest(real)
    for name, bound in (("from", low), ("to", high)):
        if not abs(bound) <= limit:
            raise RuntimeError(f"{name} is out of bounds for {_words(real)}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > limit:
        raise RuntimeError(f"uniform_ expects to-from to fit {real}, but found {high:g}-{low:g}")


@functools.lru_cache
def _range(low: int, high: int | None, out: np.dtype[Any]) -> tuple[int, Array]:
    """The least of the integers to draw, and how many there are: a uint64 for a wide range."""
    low, high = (low, _holds(out) + 1) if high is None else _integer_bounds(low, high, out)
    return low, np.array(high - low, _U8 if high - low >= _WIDE_RANGE else _LONG)


def _integer_bounds(low: int, high: int, out: np.dtype[Any]) -> tuple[int, int]:
    if not (-(1 << 63) <= low < 1 << 63 and -(1 << 63) <= high < 1 << 63):
        raise ValueError("Overflow when unpacking long long")
    least, most = _integer_limits(out)
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if low < high and not least <= bound <= most:
            raise RuntimeError(f"{name} is out of bounds for {_words(out)}")
    if _is_float(out) and low < high:
        low, high = _bounds_as_floats(low, high, out)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    return low, high


def _integer_limits(out: np.dtype[Any]) -> tuple[float, float]:
    if out.kind not in "biu" and not _is_float(out):
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    if out.kind == "b":
        return 0, 1
    if _is_float(out):
        return -_largest(out), _largest(out)
    return np.iinfo(out).min, np.iinfo(out).max


def _bounds_as_floats(low: int, high: int, out: np.dtype[Any]) -> tuple[int, int]:
    """Move bounds that ``out`` would round outwards to the next of its numbers inwards."""
    digits = _digits(out)
    above, below = int(out.type(low + 1)), int(out.type(high - 1))
    if above < low:
        low = above + (1 << abs(low + 1).bit_length() - digits)
    if below >= high:
        high = below - (1 << abs(high - 1).bit_length() - digits)
    return low, high


def _check_permutation(n: int, out: np.dtype[Any]) -> None:
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    if out is _LONG:
        return
    if out.char not in "efdEbBhilq":
        raise NotImplementedError(f"\"randperm\" not implemented for '{dtypes.of(out).words}'")
    if _is_float(out) and n > 2 ** (digits := _digits(out)) + 1:
        most = f"2^{digits}+1" if digits > 11 else f"{2**digits + 1}"
        raise RuntimeError(f"n cannot be greater than {most} for {_FLOAT_NAMES[out.char]} type.")
    if not _is_float(out) and n - 1 > np.iinfo(out).max:
        raise RuntimeError(f"value cannot be converted to type {dtypes.c_name(dtypes.of(out))} "
                           "without overflow")


def _rounded(values: list[float], real: np.dtype[Any]) -> Array:
    """Python's numbers in a dtype."""
    return np.array(values, real) if real.itemsize > 2 else _narrow(np.array(values), real)


def _narrow(values: Array, real: np.dtype[Any]) -> Array:
    """Convert to ``real``; halves by way of float32, as PyTorch's scalar conversion does."""
    if values.dtype is real:
        return values
    wide = _SINGLE if real.itemsize == 2 and _is_float(real) else real
    return values.astype(wide, copy=False).astype(real, copy=False)
