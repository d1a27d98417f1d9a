"""For each public function, a call that works.

A call is source text in which the library is `torch`. Each word of PyTorch's that wengert has gets
one from its signature: what a parameter is given is told by its name (`GOOD`), or by the word
(`CALLS`). In `tests/wrong_arguments.py` they go wrong.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import wengert

# --- the words -------------------------------------------------------------------------------

NAMESPACES = ("", "linalg", "fft", "special", "nn.functional", "random")
SKIPPED = {
    "compile": "it calls functions, and so do the next",
    **dict.fromkeys(("cond", "vmap", "while_loop", "scan", "fori_loop"), "likewise"),
    "set_num_threads": "it changes what is in force", "set_printoptions": "likewise",
    "set_default_dtype": "likewise", "set_grad_enabled": "likewise",
    "random.fork_rng": "a context",
    "Tensor.register_hook": "it takes functions", "Tensor.apply_": "likewise",
    "Tensor.map_": "likewise", "Tensor.map2_": "likewise",
    "Tensor.register_post_accumulate_grad_hook": "it takes functions",
}
DUNDERS = """__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__
__floordiv__ __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__ __matmul__ __rmatmul__
__and__ __rand__ __or__ __ror__ __xor__ __rxor__ __lshift__ __rlshift__ __rshift__
__rrshift__ __invert__ __neg__ __pos__ __abs__ __eq__ __ne__ __lt__ __le__ __gt__
__ge__ __iadd__ __isub__ __imul__ __itruediv__ __ipow__ __iand__ __ior__ __ixor__
__ifloordiv__ __imod__ __ilshift__ __irshift__ __getitem__ __setitem__ __len__
__bool__ __int__ __float__ __complex__ __index__ __contains__ __iter__""".split()


@functools.cache
def words() -> dict[str, Any]:
    """Every public function by its path from `torch`: "sum", "linalg.inv", "Tensor.add_"."""
    found: dict[str, Any] = {}
    for space in NAMESPACES:
        module = importlib.import_module(f"wengert.{space}".rstrip("."))
        for name in getattr(module, "__all__", None) or dir(module):
            value = getattr(module, name)
            if not name.startswith("_") and isinstance(value, types.FunctionType):
                found[f"{space}.{name}".lstrip(".")] = value
    for name in (*dir(wengert.Tensor), *DUNDERS):
        value = getattr(wengert.Tensor, name, None)
        if (name in DUNDERS or not name.startswith("_")) and isinstance(value, types.FunctionType):
            found[f"Tensor.{name}"] = value
    return {name: found[name] for name in sorted(found) if name not in SKIPPED}


# --- calls that work -------------------------------------------------------------------------

TENSORS = {
    "X": "torch.tensor([[4., 1., 2.], [1., 5., 3.], [2., 3., 6.]])",
    "V": "torch.tensor([1., 2., 3.])",
    "I": "torch.tensor([[0, 1, 2], [1, 0, 2], [2, 1, 0]])", "J": "torch.tensor([0, 2, 1])",
    "M": "torch.tensor([[True, False, True]])", "P": "torch.tensor([1, 2, 3], dtype=torch.int32)",
    "T3": "torch.arange(24.).reshape(2, 3, 4)", "T4": "torch.arange(96.).reshape(2, 3, 4, 4)",
    "T5": "torch.arange(384.).reshape(2, 3, 4, 4, 4)", "C": "torch.arange(36.).reshape(1, 4, 3, 3)",
    "W": "torch.tensor([1., 2., 3.], requires_grad=True)", "Z": "torch.tensor([1 + 2j, 3j, 1.])",
    "E": "torch.tensor([1.]).expand(3)",
}
"""What the capital letters in a call mean. `X` is symmetric and positive; `E` overlaps itself."""

GOOD = {
    **dict.fromkeys("""vec vec1 vec2 tau bias sorted_sequence boundaries var
        running_mean running_var""".split(), "V"),
    **dict.fromkeys(("batch1", "batch2"), "X.expand(2, 3, 3)"),
    **dict.fromkeys(("index", "indices"), "I"), "mask": "(X > 2)", "grid": "T4[..., :2]",
    **dict.fromkeys("""dim dim0 axis0 start_dim diagonal offset storage_offset dimension start
        low""".split(), "0"),
    **dict.fromkeys("""dim1 axis1 end_dim k n N m num_samples length groups steps step seed
        interpolation_mode""".split(), "1"),
    **dict.fromkeys("""chunks row col split_size bins kernel_size num_classes repeats
        indices_or_sections shifts num_groups output_size destination high
        split_size_or_sections""".split(), "3"),
    **dict.fromkeys("size shape normalized_shape sizes shapes".split(), "(3, 3)"),
    **dict.fromkeys("maxnorm s to margin median sigma lambd".split(), "1."),
    **dict.fromkeys(("pivots", "LU_pivots"), "P"), "stride": "(3, 1)", "dims": "(0, 1)",
    "split_sizes": "(1, 2)", "p": "0.5", "q": "0.5", "lower": "0.1", "fill_value": "1.5",
    "reduce": "'sum'", "pad": "(1, 1)", "equation": "'ij,jk'", "ord": "2", "dtype": "torch.float64",
    "ndarray": "np.ones(3)", "new_state": "torch.get_rng_state()",
}
"""What a parameter of a name is given, if not `X`."""

CALLS = """
bmm(T3, T3.mT)
baddbmm(X, T3.mT[:, :3], T3[..., :3])
Tensor.addbmm_(X, X.expand(2, 3, 3), X.expand(2, 3, 3))
Tensor.baddbmm_(T3[..., :3], X.expand(2, 3, 3), X.expand(2, 3, 3))
addmv_(V, X, V)
addr_(X, V, V)
addcmul_(X, X, X)
backward(W.sum())
__bool__(V[0])
__complex__(V[0])
__float__(V[0])
__index__(J[0])
__int__(V[0])
item(V[0])
is_nonzero(V[0])
bincount(J)
dsplit(T3, 2)
hsplit(X, 3)
float_power_(X.double(), 2)
segment_reduce(X, 'sum', lengths=torch.tensor([1, 2]))
conv_tbc(T3, torch.ones(2, 4, 5), torch.ones(5))
index_add(X, 0, J, X)
index_add_(X, 0, J, X)
index_copy(X, 0, J, X)
index_copy_(X, 0, J, X)
index_fill(X, 0, J, 1.)
index_fill_(X, 0, J, 1.)
index_put(X, (J,), V)
index_put_(X, (J,), V)
index_reduce(X, 0, J, X, 'prod')
index_reduce_(X, 0, J, X, 'prod')
index_select(X, 0, J)
masked_fill(X, X > 2, 1.)
masked_fill_(X, X > 2, 1.)
mvlgamma(X, 1)
mvlgamma_(X, 1)
multigammaln(X, 1)
new_full(X, (2, 3), 1.)
nonzero_static(X, size=3)
retain_grad(W * 2)
movedim(X, 0, 1)
moveaxis(X, 0, 1)
new_empty_strided(X, (2, 3), (3, 1))
select(X, 0, 1)
select_copy(X, 0, 1)
stft(V, 4, return_complex=True)
Tensor.stft(V, 4, return_complex=True)
istft(torch.ones(3, 3) + 0j, 4)
Tensor.istft(torch.ones(3, 3) + 0j, 4)
unfold_copy(V, 0, 2, 1)
view_as_complex_copy(T3[..., :2].contiguous())
threshold_(X, 1., 2.)
rand(2, 3)
select_scatter(X, V, 0, 1)
to_device(X, 'cpu')
unflatten(X, 0, (3, 1))
affine_grid_generator(T3[:, :2, :3], (2, 3, 4, 4), False)
affine_grid(T3[:, :2, :3], (2, 3, 4, 4))
bilinear(X, X, T3[..., :3].mT.expand(2, 3, 3))
can_cast(torch.int32, torch.float32)
promote_types(torch.int32, torch.float32)
frombuffer(bytearray(8), dtype=torch.float32)
grid_sampler(T4, T4[..., :2], 0, 0, False)
grid_sampler_2d(T4, T4[..., :2], 0, 0, False)
grid_sampler_3d(T5, T5[..., :3], 0, 0, False)
grid_sample(T4, T4[..., :2])
solve_triangular(X, X, upper=True)
tensorinv(X, 1)
batch_norm(T3, V, V)
binary_cross_entropy(X.sigmoid(), X.sigmoid())
ctc_loss(torch.zeros(5, 2, 4), I[:2] + 1, (5, 5), (3, 3))
fold(T3.reshape(1, 4, 6)[..., :4], 3, 2)
interpolate(T4, 6)
upsample(T4, 6)
upsample_bilinear(T4, 6)
upsample_nearest(T4, 6)
local_response_norm(T3, 2)
max_unpool1d(T3, torch.arange(24).reshape(2, 3, 4), 2)
max_unpool2d(T4, torch.arange(96).reshape(2, 3, 4, 4) % 16, 2)
max_unpool3d(T5, torch.arange(384).reshape(2, 3, 4, 4, 4) % 64, 2)
multi_head_attention_forward(T3, T3, T3, 4, 2, torch.ones(12, 4), torch.ones(12), None, None, \
False, 0., torch.ones(4, 4), torch.ones(4))
multi_margin_loss(X, J)
multilabel_margin_loss(X, I)
nll_loss(X, J)
cross_entropy(X, J)
cosine_embedding_loss(X, X, V.sign())
embedding(J, X)
embedding_bag(I, X)
pixel_shuffle(C, 2)
pixel_unshuffle(T4, 2)
channel_shuffle(C, 2)
native_channel_shuffle(C, 2)
group_norm(T3, 3)
instance_norm(T3)
scaled_dot_product_attention(T3, T3, T3)
randint(5, (3, 3))
randint_like(X, 5)
alpha_dropout(X, 0.5, True)
alpha_dropout_(X, 0.5, True)
dropout(X, 0.5, True)
dropout_(X, 0.5, True)
feature_alpha_dropout(X, 0.5, True)
feature_alpha_dropout_(X, 0.5, True)
relu_(X)
selu_(X)
range(0, 5)
view_as_complex(T3[..., :2].contiguous())
where(X > 2, X, X)
gather(X, 0, I)
scatter(X, 0, I, X)
scatter_(X, 0, I, X)
take(X, I)
put(X, J, V)
put_(X, J, V)
multinomial(X, 2)
einsum('ij,jk', X, X)
cat([X, X])
stack([X, X])
normal(X, X)
one_hot(J, 3)
cross(X, X)
polygamma(1, X)
Tensor.polygamma(X, 1)
quantile(X, 0.5)
tensor_split(X, 3)
searchsorted(V, V)
conv1d(T3, torch.ones(2, 3, 2))
conv2d(T4, torch.ones(2, 3, 2, 2))
conv3d(T5, torch.ones(2, 3, 2, 2, 2))
conv_transpose1d(T3, torch.ones(3, 2, 2))
conv_transpose2d(T4, torch.ones(3, 2, 2, 2))
conv_transpose3d(T5, torch.ones(3, 2, 2, 2, 2))
repeat(X, 2, 2)
view(X, 9)
expand(V, 2, 3)
permute(X, (1, 0))
Tensor.permute(X, 1, 0)
reshape(X, (9,))
__getitem__(X, 0)
__setitem__(X, 0, 1.)
__contains__(X, 1.)
to(X, torch.float64)
type(X, torch.float64)
fill_(X, 1.)
unfold(V, 0, 2, 1)
nn.functional.unfold(T4, 2)
triplet_margin_with_distance_loss(X, X, X)
tensordot(X, X, 1)
set_rng_state(torch.get_rng_state())
lu_solve(X, X, P)
Tensor.lu_solve(X, X, P)
linalg.lu_solve(X, P, X)
linalg.ldl_solve(X, P, X)
lu_unpack(X, P)
narrow(X, 0, 0, 2)
kthvalue(X, 2)
topk(X, 2)
multi_dot([X, X])
combinations(V)
cartesian_prod(V, V)
take_along_dim(X, I, 0)
scatter_add(X, 0, I, X)
scatter_reduce(X, 0, I, X, 'sum')
gumbel_softmax(X)
pad(X, (1, 1))
prelu(X, V)
threshold(X, 1., 2.)
clamp(X, 1., 2.)
rand(2, 3)
zeros(2, 3)
"""
POOLS = "".join(f"{kind}_pool{n}d{more}(T{n + 2}, 2)\n" for n in (1, 2, 3)
                for more in ("", "_with_indices")
                for kind in ("max", "avg", "adaptive_avg", "adaptive_max"))
POOLS += "".join(f"lp_pool{n}d(T{n + 2}, 2., 2)\n" for n in (1, 2, 3))
POOLS += "".join(f"fractional_max_pool{n}d{more}(T{n + 2}, 2, output_size=2)\n" for n in (2, 3)
                 for more in ("", "_with_indices"))


@dataclasses.dataclass(frozen=True)
class Call:
    """A call, in source text.

    Attributes:
        word: the path of the function.
        args: the arguments.
        named: the keyword arguments.
        where: in what it happens: "vmap", "backward" and the like; "" for nothing.
        at: the parameter that is given something wrong; "" if it has no name.
    """

    word: str
    args: tuple[str, ...]
    named: tuple[tuple[str, str], ...] = ()
    where: str = ""
    at: str = ""

    def __str__(self) -> str:
        given = ", ".join([*self.args, *(f"{name}={value}" for name, value in self.named)])
        return f"{self.word}({given})" + (f" in {self.where}" if self.where else "")


def parsed(line: str) -> Call:
    call: Any = ast.parse(line, mode="eval").body
    return Call(ast.unparse(call.func), tuple(map(ast.unparse, call.args)),
                tuple((str(k.arg), ast.unparse(k.value)) for k in call.keywords))


WORKING = {call.word: call for call in map(parsed, (CALLS + POOLS).split("\n")[1:-1])}
"""By word, or by its last part: a call that works, where parameters' names don't tell."""


@functools.cache
def parameters(word: str) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(words()[word]).parameters.values())


def _guessed(word: str) -> tuple[str, ...]:
    """Arguments by the names of the parameters that have no default."""
    return tuple(GOOD.get(each.name, "X") for each in parameters(word)
                 if each.default is each.empty and each.kind is not each.VAR_KEYWORD)


def _candidates(word: str) -> Iterator[Call]:
    """Calls that may work."""
    for name in (word, word.rpartition(".")[2]):
        if name in WORKING:
            yield dataclasses.replace(WORKING[name], word=word)
    guess = _guessed(word)
    yield Call(word, guess)
    for kind in ("I", "(X > 2)", "Z", "V", "0", "(0, 1)", "[X, X]"):
        yield Call(word, tuple(kind if a == "X" else a for a in guess))
        yield Call(word, ("X", kind, *guess[2:]))
    yield from (Call(word, (tensor, *guess[1:])) for tensor in ("V", "T3", "T4", "T5"))
    yield from (Call(word, args) for args in ((), ("X",), ("3",), ("X", "1.")))


@functools.cache
def working(word: str) -> Call | None:
    """A call that works; None if none is found."""
    return next((call for call in _candidates(word) if works(wengert, call)), None)


# --- making calls ----------------------------------------------------------------------------


class Names(dict[str, Any]):
    """What names mean in a call: tensors are made when they are asked for."""

    def __init__(self, library: Any) -> None:
        super().__init__(torch=library, np=np)

    def __missing__(self, name: str) -> Any:
        if name not in TENSORS:
            raise KeyError(name)
        return eval(code(TENSORS[name]), {"torch": self["torch"]})


@functools.cache
def code(source: str) -> Any:
    return compile(source, "<call>", "eval")


@functools.cache
def function(library: Any, word: str) -> Any:
    return functools.reduce(getattr, word.split("."), library)


def arguments(library: Any, call: Call) -> tuple[list[Any], dict[str, Any]]:
    """New arguments for a call."""
    names = Names(library)
    return ([eval(code(source), {}, names) for source in call.args],
            {name: eval(code(source), {}, names) for name, source in call.named})


def works(library: Any, call: Call) -> bool:
    """Whether a call gives a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            args, named = arguments(library, call)
            function(library, call.word)(*args, **named)
        except Exception:
            return False
    return True
