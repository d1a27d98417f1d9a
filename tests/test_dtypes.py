"""Dtypes: promotion beside PyTorch over all pairs and ranks, halves in every way of running them,
casts, and what a tensor says of its memory."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.core import dtypes

UNSIGNED = ("uint16", "uint32", "uint64")
COMMON = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
          "float64", "complex64", "complex128")
HALVES = ("float16", "bfloat16")
RANKS: dict[str, Callable[[Any, Any], Any]] = {
    "1-d": lambda t, kind: t.ones(2, dtype=kind),
    "0-d": lambda t, kind: t.ones((), dtype=kind),
    "number": lambda t, kind: {0: True, 1: 2, 2: 1.5, 3: 1j}[_category(kind)],
}
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda t, x, y: t.add(x, y), "radd": lambda t, x, y: y + x,
    "mul": lambda t, x, y: x * y, "div": lambda t, x, y: x / y,
    "floor_divide": lambda t, x, y: x // y, "pow": lambda t, x, y: x ** y,
    "eq": lambda t, x, y: x == y, "lt": lambda t, x, y: x < y, "maximum": lambda t, x, y:
    t.maximum(x, y), "where": lambda t, x, y: t.where(x == x, x, y),
    "result_type": lambda t, x, y: t.result_type(x, y), "in place": lambda t, x, y: x.add_(y),
    "cat": lambda t, x, y: t.cat([x.reshape(-1), y.reshape(-1)]),
    "atan2": lambda t, x, y: t.atan2(x, y),
}


def _category(kind: Any) -> int:
    name = str(kind).rpartition(".")[2]
    return next(i for i, start in enumerate(("bool", ("int", "uint"), ("float", "bfloat"),
                                             "complex")) if name.startswith(start))


@pytest.fixture(scope="module")
def oracle() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is the oracle here")


def _result(t: Any, operation: Callable[..., Any], *operands: Any) -> str:
    """The dtype of a result, or that there is none."""
    try:
        found = operation(t, *[make(t, getattr(t, kind)) for make, kind in operands])
    except (RuntimeError, NotImplementedError, TypeError):
        return "refused"
    return str(found if not hasattr(found, "dtype") or str(found).startswith("torch.")
               else found.dtype)


# --- promotion --------------------------------------------------------------------------------


def _makes_complex32(ranks: tuple[str, str], *kinds: str) -> bool:
    """Whether a float16 meets a complex number that gives way: we have no complex32."""
    rank = [list(RANKS).index(r) for r in ranks]
    half = kinds.index("float16") if "float16" in kinds else None
    return half is not None and kinds[1 - half].startswith("complex") and (
        rank[half] < rank[1 - half])


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("ranks", list(itertools.product(("1-d", "0-d"), RANKS)), ids=str)
def test_promotion(oracle: Any, operation: str, ranks: tuple[str, str]) -> None:
    if "number" in ranks and operation in ("maximum", "cat", "atan2"):
        pytest.skip("it takes tensors alone")
    seen = []
    for a, b in itertools.product(COMMON, COMMON):
        ours, theirs = (_result(t, OPERATIONS[operation], *[
            (RANKS[rank], kind) for rank, kind in zip(ranks, (a, b), strict=True)])
            for t in (torch, oracle))
        if ours != theirs and not _makes_complex32(ranks, a, b):
            seen.append((a, b, ours, theirs))
    assert not seen


def test_promote_types(oracle: Any) -> None:
    """Where PyTorch has an answer, ours is the same; where it has none, the array API's."""
    everything = (*COMMON, *UNSIGNED)
    for a, b in itertools.product(everything, everything):
        try:
            theirs = str(oracle.promote_types(getattr(oracle, a), getattr(oracle, b)))
        except RuntimeError:
            continue
        assert str(torch.promote_types(getattr(torch, a), getattr(torch, b))) == theirs
        assert (torch.can_cast(getattr(torch, a), getattr(torch, b))
                == oracle.can_cast(getattr(oracle, a), getattr(oracle, b)))
    assert torch.promote_types(torch.uint16, torch.int8) is torch.int32
    with pytest.raises(RuntimeError, match="attempted to promote UInt64 and Long"):
        torch.promote_types(torch.uint64, torch.int64)


def test_attributes(oracle: Any) -> None:
    for name in (*COMMON, *UNSIGNED):
        ours, theirs = getattr(torch, name), getattr(oracle, name)
        assert repr(ours) == repr(theirs)
        for attribute in ("itemsize", "is_complex", "is_floating_point", "is_signed"):
            assert getattr(ours, attribute) == getattr(theirs, attribute), (name, attribute)
        assert repr(ours.to_real()) == repr(theirs.to_real())
        assert torch.ones(1, dtype=ours).type() == oracle.ones(1, dtype=theirs).type()
        assert pickle.loads(pickle.dumps(ours)) is ours
    for name in ("float", "double", "half", "cfloat", "cdouble", "int", "long", "short", "bool"):
        assert repr(getattr(torch, name)) == repr(getattr(oracle, name))


# --- halves -----------------------------------------------------------------------------------


def test_import_is_cheap() -> None:
    """`ml_dtypes`, where NumPy's bfloat16 is, is imported when the first one is made."""
    code = ("import sys, wengert as t; t.ones(2) * 2; t.bfloat16.itemsize; "
            "assert 'ml_dtypes' not in sys.modules; "
            "t.ones(2, dtype=t.bfloat16); assert 'ml_dtypes' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def _inputs(kind: str, *shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(3)
    return [torch.tensor(rng.standard_normal(s).astype("f4")).to(getattr(torch, kind))
            for s in shapes]


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "arithmetic": (lambda x, y: (x * y - y / 3) * 0.5 + 1, ((3, 4), (4,))),
    "functions": (lambda x: torch.sigmoid(x) + torch.erf(x) * torch.exp(x).tanh(), ((3, 4),)),
    "reductions": (lambda x: x.sum(1) + x.mean(1) * x.var(1), ((3, 40),)),
    "softmax": (lambda x: torch.softmax(x, 1).logsumexp(0), ((3, 4),)),
    "matmul": (lambda x, y: x @ y, ((3, 40), (40, 2))),
    "indexing": (lambda x: torch.where(x[1:] > 0, x[:-1], x[[0, 2]]), ((3, 4),)),
    "shapes": (lambda x, y: torch.cat([x.T, y.expand(2, 3)]).flip(0).cumsum(1), ((3, 4), (3,))),
    "layer norm": (lambda x: torch.nn.functional.layer_norm(x, (4,)), ((3, 4),)),
    "wider": (lambda x: (x.float() * 1.1).exp().to(x.dtype), ((3, 4),)),
}


def _checked(found: Any, exact: Any, kind: str, scale: float = 1.0) -> None:
    """Near what float64 gives: within some roundings of the half's."""
    assert str(found.dtype) == f"torch.{kind}"
    assert found.detach().numpy().dtype == found.dtype.numpy
    eps = scale * (2.0 ** -7 if kind == "bfloat16" else 2.0 ** -10)
    wanted = exact.detach().numpy()
    np.testing.assert_allclose(found.detach().double().numpy(), wanted, 4 * eps,
                               4 * eps * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_halves(program: str, kind: str) -> None:
    """Values and gradients, recorded, transformed and compiled, beside float64's."""
    f, shapes = PROGRAMS[program]
    xs = _inputs(kind, *shapes)
    wide = [x.double() for x in xs]
    exact, out = f(*wide), f(*xs)
    _checked(out, exact, kind)
    compiled = torch.compile(f)
    for _ in range(2):
        _checked(compiled(*xs), exact, kind)
    _checked(torch.vmap(f)(*[torch.stack([x, x]) for x in xs])[1], exact, kind)

    places = tuple(range(len(xs)))
    gradient = torch.func.grad(lambda *a: f(*a).sum(), argnums=places)
    exact_gradients = gradient(*wide)
    leaves = [x.clone().requires_grad_() for x in xs]
    f(*leaves).sum().backward()
    found = [x.grad for x in leaves]
    for many in (found, gradient(*xs), torch.compile(gradient)(*xs)):
        for g, wanted in zip(many, exact_gradients, strict=True):
            _checked(g, wanted, kind, 4)
    again = torch.autograd.grad(f(*leaves).sum(), leaves, create_graph=True)
    for g, wanted in zip(again, exact_gradients, strict=True):
        _checked(g, wanted, kind, 8)
    _, tangent = torch.func.jvp(f, tuple(xs), tuple(torch.ones_like(x) for x in xs))
    _, wanted = torch.func.jvp(f, tuple(wide), tuple(torch.ones_like(x) for x in wide))
    _checked(tangent, wanted, kind, 4)


@pytest.mark.parametrize("kind", ["bfloat16", "complex64"])
def test_compiled_and_differentiated(kind: str) -> None:
    """What native code leaves to Python: a result that is kept, seen in another shape."""
    compiled = torch.compile(torch.mv)
    for _ in range(2):
        x, v = (torch.ones(n, dtype=getattr(torch, kind), requires_grad=True)
                for n in ((5, 3), (3,)))
        compiled(x, v).abs().sum().backward()
        assert x.grad.shape == (5, 3) and (v.grad.abs() == 5).all()


@pytest.mark.parametrize("kind", HALVES)
def test_rounded_once(oracle: Any, kind: str) -> None:
    """A function of a half is that of the float32, rounded: to the bit what PyTorch gives."""
    numbers = np.linspace(-8, 9, 2001).astype("f4")
    x = torch.tensor(numbers).to(getattr(torch, kind))
    there = oracle.tensor(numbers).to(getattr(oracle, kind))
    for name in ("add", "mul", "div", "sub"):
        ours = getattr(torch, name)(x, x.flip(0)).float().numpy()
        theirs = getattr(oracle, name)(there, there.flip(0)).float().numpy()
        np.testing.assert_array_equal(ours, theirs)
    for name in ("sqrt", "sum", "mean", "cumsum", "sigmoid", "tanh", "softplus", "amax", "var"):
        given = {"cumsum": (0,)}.get(name, ())
        f, g = (getattr(t, name, None) or getattr(t.nn.functional, name) for t in (torch, oracle))
        ours, theirs = f(x, *given).float().numpy(), g(there, *given).float().numpy()
        eps = 2.0 ** -8 if kind == "bfloat16" else 2.0 ** -11
        np.testing.assert_allclose(ours, theirs, 2 * eps, eps * np.abs(x.numpy(
        ).astype("f4")).max(), err_msg=name)


@pytest.mark.parametrize("kind", HALVES)
def test_large_halves(kind: str) -> None:
    """Blocks of large arrays: float32 inside, and stored once."""
    x, y = _inputs(kind, (1100, 1000), (1100, 1000))
    x.requires_grad_()
    out = torch.sigmoid(x) * y.exp()
    out.sum().backward()
    small = x.detach()[:3].clone().requires_grad_()
    (torch.sigmoid(small) * y[:3].exp()).sum().backward()
    assert out.dtype is x.grad.dtype is x.dtype
    eps = 2.0 ** -8 if kind == "bfloat16" else 2.0 ** -11
    np.testing.assert_allclose(x.grad[:3].float().numpy(), small.grad.float().numpy(), 2 * eps,
                               1e-7)


def test_overflow_between() -> None:
    """What is squared on the way does not overflow a float16."""
    x = torch.full((4,), 300.0, dtype=torch.float16)
    assert torch.linalg.vector_norm(x).item() == 600 if hasattr(torch, "linalg") else True
    assert x.var(correction=0).item() == 0 and x.mean().item() == 300
    y = torch.tensor([40000.0, 40000.0], dtype=torch.float16)
    assert y.mean().item() == 40000 and torch.isinf(y + y).all()


@pytest.mark.parametrize("kind", HALVES)
def test_halves_in_place(kind: str) -> None:
    x = torch.arange(6.).to(getattr(torch, kind))
    part = x[2:]
    part.mul_(0.5).add_(torch.ones(4))
    part[0] = 7
    x.sigmoid_()
    x[1:3] += 1
    assert x.dtype is getattr(torch, kind) and part[0].item() == x[2].item()
    np.testing.assert_allclose(part.float().numpy(), [1.99909, .924142, .952574, .970688], 5e-3)


def test_neighbours(oracle: Any) -> None:
    """The number next to a half is a half, not the next float32."""
    for t in (torch, oracle):
        x = t.nextafter(t.ones(1, dtype=t.bfloat16), t.zeros(1, dtype=t.bfloat16))
        assert x.item() == 1 - 2.0 ** -8
    assert torch.nextafter(torch.ones(1).half(), torch.zeros(1).half()).item() == 1 - 2.0 ** -11


def test_printing(oracle: Any) -> None:
    for text in ("[1.1, 1e10]", "[0.1, -2.5]", "[1., 2.]", "3.14159", "[1e-5, 100.]", "[]",
                 "[float('nan'), float('inf')]", "[[0.5, 1.25]]"):
        for kind in ("float16", "bfloat16"):
            ours, theirs = (repr(t.tensor(eval(text), dtype=getattr(t, kind)))
                            for t in (torch, oracle))
            assert ours == theirs


def test_default(oracle: Any) -> None:
    try:
        for t in (torch, oracle):
            t.set_default_dtype(t.bfloat16)
        for make in (lambda t: t.tensor(1.5), lambda t: t.ones(2) / 3, lambda t: t.tensor(1) / 2,
                     lambda t: t.arange(3.), lambda t: t.tensor([True]) * 0.1):
            assert repr(make(torch)) == repr(make(oracle))
    finally:
        for t in (torch, oracle):
            t.set_default_dtype(t.float32)
    for kind in (torch.int32, torch.complex64):
        with pytest.raises(TypeError, match="only floating-point types are supported"):
            torch.set_default_dtype(kind)


# --- unsigned integers ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UNSIGNED)
def test_unsigned(kind: str) -> None:
    dtype = getattr(torch, kind)
    x = torch.tensor([1, 2, 60000], dtype=dtype)
    assert (x * 2).tolist() == [2, 4, 120000 if kind != "uint16" else 54464]
    assert (x / 2).dtype is torch.float32 and (x * torch.ones(3)).dtype is torch.float32
    assert x.to(torch.int64).tolist() == [1, 2, 60000] and x.max().item() == 60000
    assert torch.tensor(np.asarray(x)).dtype is dtype and (x > 1).tolist() == [False, True, True]
    assert repr(x).endswith(f"dtype=torch.{kind})")


def test_largest_unsigned() -> None:
    assert torch.tensor([2**63 + 1], dtype=torch.uint64).tolist() == [2**63 + 1]


# --- casts and memory -------------------------------------------------------------------------

CASTS = """
x.to() is x | x.to('cpu') is x | x.to(None) is x | x.to(torch.float64).dtype | x.to(float).dtype
x.to(torch.device('cpu'), torch.float16).dtype | x.to('cpu', torch.float64, True, True).dtype
x.to(torch.float32, False, True) is x | x.to(torch.ones(1, dtype=torch.int8)).dtype
x.to(dtype=torch.int32, copy=True).tolist() | x.to(x, copy=True) is x | x.to(torch.float32) is x
x.to(torch.float64, memory_format=torch.preserve_format).dtype
x.to(memory_format=torch.contiguous_format) is x | x.to(torch.float64, non_blocking=True).dtype
x.to(device='cpu', dtype=torch.bool).tolist() | x.type() | x.type('torch.DoubleTensor').dtype
x.type(torch.int16).dtype | x.type('torch.FloatTensor') is x
x.type_as(torch.ones(1, dtype=torch.int64)).dtype | x.float() is x | x.double().dtype
x.half().dtype | x.bfloat16().dtype | x.int().dtype | x.long().dtype | x.short().dtype
x.char().dtype | x.byte().dtype | x.bool().dtype | x.cfloat().dtype | x.cdouble().dtype
x.cpu() is x | x.get_device() | x.is_cpu | x.element_size() | x.nbytes | x.itemsize | x.stride()
x.stride(0) | x.storage_offset() | x[1:].storage_offset() | x[1:].untyped_storage().nbytes()
len(x.untyped_storage()) | x.untyped_storage().data_ptr() == x.data_ptr()
x[1:].data_ptr() - x.data_ptr() | x[1:].untyped_storage().data_ptr() == x.data_ptr()
x.untyped_storage()[3] | x.untyped_storage().tolist() | x.untyped_storage() | x.layout
x.is_contiguous() | z.is_contiguous() | z.T.is_contiguous()
z.is_contiguous(memory_format=torch.channels_last)
c.is_contiguous(memory_format=torch.channels_last)
c.to(memory_format=torch.channels_last).stride()
l.is_contiguous(memory_format=torch.channels_last)
c.float(memory_format=torch.channels_last).stride() | c.half().stride() | z.T.stride()
z[:, ::2].stride() | torch.ones(3).expand(2, 3).stride()
torch.ones(3).expand(2, 3).untyped_storage().nbytes()
torch.ones(2, 3, dtype=torch.bfloat16).nbytes | torch.ones(2, dtype=torch.complex128).itemsize
torch.channels_last | torch.preserve_format | torch.strided | torch.contiguous_format
"""


def _casts() -> list[str]:
    return [text.strip() for line in CASTS.strip().splitlines() for text in line.split("|")]


@pytest.mark.parametrize("program", _casts())
def test_casts(oracle: Any, program: str) -> None:
    def run(t: Any) -> str:
        names = {"torch": t, "x": t.arange(4.), "z": t.ones(3, 4), "c": t.ones(2, 3, 4, 5)}
        names["l"] = names["c"].to(memory_format=t.channels_last)
        return repr(eval(program, names))

    assert run(torch) == run(oracle)


@pytest.mark.parametrize("program", [
    "x.to('cuda')", "x.cuda()", "x.to('banana')", "x.to(foo=1)", "x.to(torch.float32, 1, 2, 3)",
    "x.type('FloatTensor')", "x.type('torch.float32')", "x.type_as(1)", "x.to(other=x)",
    "x.to(memory_format=torch.channels_last)", "x.stride(3)"])
def test_casts_refused(oracle: Any, program: str) -> None:
    kinds = []
    for t in (torch, oracle):
        with pytest.raises(Exception) as caught:
            eval(program, {"torch": t, "x": t.arange(4.)})
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_casts_record() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.to(torch.bfloat16).double().to(torch.float16)
    (y * 3).sum().backward()
    assert x.grad.dtype is torch.float32 and x.grad.tolist() == [3, 3]


def test_numpy_dtype_of_every_tensor() -> None:
    for kind in dtypes.ALL:
        x = torch.ones(3, dtype=kind)
        assert x.numpy().dtype == kind.numpy == np.dtype(kind)
        assert dtypes.of(kind.numpy) is dtypes.of(kind.numpy.type) is kind


def every_ufunc() -> Iterator[Any]:
    from wengert.core.primitive import TABLE

    for primitive in TABLE.values():
        if primitive.elementwise and primitive.ufunc is not None:
            yield pytest.param(primitive, id=primitive.name)


@pytest.mark.parametrize("primitive", list(every_ufunc()))
def test_ufuncs_round_halves_once(primitive: Any) -> None:
    """What `core.halves` trusts: a ufunc on halves is that on float32, rounded."""
    rng = np.random.default_rng(1)
    for kind in (torch.float16, torch.bfloat16):
        given = [(rng.standard_normal(300) * 3).astype(kind.numpy)
                 for _ in range(primitive.ufunc.nin)]
        with np.errstate(all="ignore"):
            try:
                wide = primitive.ufunc(*[x.astype("f4") for x in given])
            except TypeError:
                return  # it is not for floats
            found = primitive.ufunc(*given)
            eps = 2.0 ** -7 if kind is torch.bfloat16 else 2.0 ** -10
            np.testing.assert_allclose(found.astype("f4"), wide.astype(kind.numpy).astype("f4"),
                                       eps, 1e-7)
