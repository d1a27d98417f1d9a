"""Random programs for differential tests: Python functions of tensors, made from a seed.

A statement is proposed from the tables below and tried at once, on the tensors that the program
has so far; what raises, or gives something unwieldy, is mostly thrown away. So programs are valid
without any knowledge of shapes here, and adding an operation to the fuzzer is adding a word.
"""

from __future__ import annotations

import dataclasses
import random
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import wengert


def _table(text: str) -> list[str]:
    return [each.strip() for each in text.replace("\n", ";").split(";") if each.strip()]


# In the tables, f and g stand for floating tensors, i for integers, b for booleans, x and y for
# any, t for the tensor that a block works on, k for something that becomes of t.

UNARY = _table("""
torch.tanh({f}); {f}.exp(); {f}.sin(); {f}.cos(); torch.sigmoid({f}); {f}.abs(); {f}.relu()
{f} ** 2; {f} ** 3; ({f} * {f} + 0.5).sqrt(); ({f}.abs() + 0.1).log(); torch.softplus({f})
torch.expm1({f}); {f}.abs().log1p(); torch.erf({f}); {f}.atan(); {f}.clamp(-0.5, 0.8); -{f}
{f}.reciprocal(); {f}.sign(); {f}.floor(); {f}.round(); {f}.trunc(); 2 * {f} + 1; 1 - {f}
{f} / 3; {f}.square(); ({f}.abs() + 0.2).rsqrt(); {f}.clone(); {f}.sinh(); {f}.tan()
torch.ones_like({f}); torch.rand_like({f}); {f}.softmax(-1); {f}.log_softmax(0); {f}.cumsum(0)
({f} - {f}.mean(-1, keepdim=True)) / ({f}.var(-1, keepdim=True) + 1e-3).sqrt(); {f}.tril()
0.5 * {f} * (1 + torch.erf({f} / 1.4142135)); {f}.flip(0); {f}.roll(1, 0); {f}.asinh()
""")
BINARY = _table("""
{x} + {y}; {x} - {y}; {x} * {y}; {x} / {y}; {f} * {g} + {x}; torch.maximum({f}, {g})
torch.minimum({f}, {g}); torch.where({b}, {f}, {g}); torch.where({f} > {g}, {x}, 0.5)
torch.atan2({f}, {g}); torch.hypot({f}, {g}); {f} % 0.7; torch.fmod({f}, 0.6); {x} ** 2
({f}.abs() + 0.1) ** {g}; torch.lerp({f}, {g}, 0.3); torch.logaddexp({f}, {g}); 2 ** {f}
{f}.masked_fill({b}, -1.0); torch.where({f} > 0, {f}, {g}.exp()); {i} // 2; {i} % 3; {i} & 5
""")
COMPARE = _table("""
{f} > {g}; {x} <= 0.1; {x} == {y}; {b} & ({f} < 0.5); {b} | ({f} > 0); ~{b}; {x}.bool()
({f} > 0).logical_xor({g} > 0); {f}.isfinite(); {f} != {f}; {x} >= 0; ({f} * 2).long()
""")
REDUCE = _table("""
{x}.sum(); {x}.sum(0); {x}.sum(-1, keepdim=True); {f}.mean(); {f}.mean(0, keepdim=True)
{f}.mean(-1); {f}.amax(-1); {f}.amin(0, keepdim=True); {f}.max(); {f}.min(0).values; {f}.var()
{f}.std(-1); {f}.norm(); {f}.logsumexp(-1); {f}.logsumexp(0, keepdim=True); {f}.prod()
{f}.prod(-1); {f}.argmax(); {f}.argmin(-1); {b}.all(); {b}.any(0); {b}.sum(); {x}.max(-1)[0]
""")
VIEW = _table("""
{x}[0]; {x}[-1]; {x}[1:]; {x}[:, 0]; {x}[..., 1:]; {x}[None]; {x}[::2]; {x}.reshape(-1)
{x}.T; {x}.unsqueeze(-1); {x}.squeeze(); {x}.transpose(0, -1); {x}.expand(2, *{x}.shape)
{x}.diagonal(); {x}.permute(1, 0); {x}.narrow(0, 0, 1); {x}.detach(); {x}[:]; {x}.view(-1)
{x}.split(1)[0]; {x}.unbind(0)[-1]; {x}[..., ::2]; {x}.reshape(-1, 1); {x}.chunk(2, -1)[0]
""")
JOIN = _table("""
torch.cat([{f}, {g}]); torch.stack([{f}, {g}]); torch.cat([{x}, {x}], -1); {f} @ {g}
torch.stack([{x}, {x}], -1); {f} @ {g}.T; {f}.T @ {g}; torch.einsum('ij,kj->ik', {f}, {g})
torch.outer({f}, {g}); torch.dot({f}, {g}); torch.mv({f}, {g}); torch.tile({x}, (2,))
{f} @ {f}.T; {f}.softmax(-1) @ {g}.T; torch.einsum('ij,ik->jk', {f}, {f}); {f} @ {f}.sum(0)
""")
INDEX = _table("""
{x}[{i}]; {f}[{b}]; {f}.index_select(0, {i}); torch.gather({f}, 0, {i}); {f}[..., {i}]
{f}[[0, 0, -1]]; {f}.scatter_add(0, {i}, {g}); {f}[{i} % {f}.shape[0]]; {f}[{i}.abs() % 2, 0]
{f}.gather(-1, {f}.argsort(-1)); {f}.gather(0, ({f} > 0).long() * ({f}.shape[0] - 1)); {f}[{f} > 0]
{f}.scatter_add(0, ({f} > 0).long() * ({f}.shape[0] - 1), {f}); {f}.sort(-1)[0]; {f}[{x}.argmax(0)]
""")
CAST = _table("{x}.double(); {x}.float(); {x}.long(); {x}.to({y}.dtype); {x}.int(); {b}.float()")
WRITE = _table("""
{f}.add_({g}); {f}.mul_({x}); {f}.mul_(0.5); {f}.sub_(0.25); {f}.zero_(); {f}.copy_({x})
{f}.fill_(0.75); {f}.sin_(); {f}.relu_(); {f}.neg_(); {f}.clamp_(-1, 1); {f}.tanh_()
{f}[0] = {g}; {f}[1:] = 2.0; {f}[{b}] = 0.5; {f}[{i}] = {g}; {f}[..., 0] *= 2; {f} *= {g}
{f} += 1; {f}[0].add_({g}); {f}.T.mul_({g}); {f}.diagonal().add_(1); {x}[:] = {y}; {i} += 1
{f}.masked_fill_({b}, 0.1); {f}[-1] = {f}[0]; {f}.reshape(-1)[::2] = 0; {i}.zero_(); {f} /= 2
""")
LOOK = _table("""
{f}.sum() > 0.3; {f}.mean() < 0.1; ({f} > 0.2).any(); {f}.norm() < 2; ({f} < 0.6).all()
int({f}.argmax()) > 1; {f}.numel() > 3; {f}.sum().item() > 0; bool({b}.any()); {i}.sum() > 2
""")
KEEPING = _table("""
{t} * 2; {t}.exp(); {t} * {t} - 0.5; {t}.sin() + 0.1; {t} * 1.5; torch.tanh({t}); {t} + 0.25
""")
CONTROL = _table("""
while_loop(lambda t, n: (t.abs().sum() < 9) & (n < 5), lambda t, n: ({k}, n + 1),
 ({f} * 1, 0))[0]
while_loop(lambda t, n: (t.sum() > 0.4) & (n < 4), lambda t, n: (0.5 * t - 0.1, n + 1),
 ({f} * 1, 0))[0]
while_loop(lambda t, n: (n < 1) | (n < {g}.sum()) & (n < 5), lambda t, n: ({k} * {g}, n + 1),
 ({f}, 0))[0]
while_loop(lambda t, u, n: n < 3, lambda t, u, n: ({k}, t + u.sum(), n + 1), ({f}, {f} * 2, 0))[1]
while_loop(lambda t, n: n > 0, lambda t, n: ({k}, n // 2), ({f} * 2, {i}.abs().sum() % 9))[0]
while_loop(lambda t, n: n < 2, lambda t, n: (while_loop(lambda u, m: (m < 4) & (u.norm() < 5),
 lambda u, m: (u * 1.5 + t, m + 1), (t * 1, 0))[0], n + 1), ({f}, 0))[0]
while_loop(lambda t, n: n < 4, lambda t, n: (cond(t.sum() > n, lambda: {k}, lambda: t * 0.7),
 n + 1), ({f} * 1, 0))[0]
cond({f}.sum() > 0.3, lambda t: {k}, lambda t: t - 0.2, ({f},)); cond({f}.mean() < 0.2,
 lambda: {g}.sin(), lambda: {g} * {x}); cond({f}.norm() < 2, lambda t: t, lambda t: {k}, ({g},))
cond({b}.any(), lambda t, u: t * u.exp(), lambda t, u: (u - t).cos(), ({f}, {g}))
scan(lambda c, t: (cond(c.sum() > 0.3, lambda: c * 0.5, lambda: {k} + c), c), {f}[0] * 1, {f})[1]
scan(lambda c, t: (while_loop(lambda c, t: c.sum() > 1, lambda c, t: (c / 2, t),
 (c + t, t * 1))[0], c), {f}[0], {f})[1]
""".replace("\n ", " "))
SIZES = [(2, 3), (3, 3), (1, 3), (4, 1), (0, 3), (1, 1), (5, 2), (3, 4)]
DIMS = ["mn", "mn", "mn", "n", "n", "m", ""]
KINDS = ["float32"] * 4 + ["float64"] * 3 + ["int64", "int64", "bool"]
MODES = ["outer", "outer", "nograd", "grad", "grad", "backward", "backward", "twice", "func",
         "jvp", "vmap"]
UNWIELDY = 300  # elements
PER_SEED = 1_000_000  # programs have numbers, from seed times this on

PRELUDE = """\
from wengert.func import cond, scan, while_loop

def flat(out):
    return [t for t in out["t"] if torch.is_tensor(t)]

def total(tensors):
    return sum((torch.sin(t).sum() for t in tensors if t.requires_grad), torch.sin(p0).sum())

def floats(tensors):
    return [t for t in tensors if t.is_floating_point()]
"""
ENDINGS = {
    "outer": "return body({args})",
    "nograd": "with torch.no_grad():\n    return body({args})",
    "grad": """\
out = body({args})
grads = torch.autograd.grad(total(flat(out)), [{leaves}], allow_unused=True)
return [t.detach() for t in flat(out)], out["k"], grads""",
    "backward": """\
out = body({args})
total(flat(out)).backward()
with torch.no_grad():
    p0.sub_(0.1 * p0.grad if p0.grad is not None else 0.1)
return [t.detach() for t in flat(out)], out["k"]""",
    "twice": """\
out = body({args})
grads = torch.autograd.grad(total(flat(out)), [{leaves}], allow_unused=True, create_graph=True)
more = total([g for g in grads if g is not None])
return more.detach(), torch.autograd.grad(more, [{leaves}], allow_unused=True)""",
    "func": """\
def loss({first}):
    return sum(torch.sin(t).sum() for t in floats(flat(body({args}))))
return torch.func.grad_and_value(loss)({first})""",
    "jvp": """\
def run({first}):
    return floats(flat(body({args})))
return torch.func.jvp(run, ({first},), (torch.cos({first}),))""",
    "vmap": """\
def run({first}):
    return flat(body({args}))
return torch.vmap(run, randomness="same")(torch.stack([{first}, {first} * 0.5]))""",
}


@dataclasses.dataclass(frozen=True)
class Given:
    """A tensor that a program is given: an argument, or one that it finds in its closure."""

    name: str
    kind: str
    dims: str
    needs_grad: bool = False

    def array(self, sizes: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """Numbers for it, given the sizes of m and n."""
        shape = [sizes["mn".index(letter)] for letter in self.dims]
        if self.kind == "bool":
            return np.asarray(rng.random(shape) < 0.5)
        if self.kind == "int64":
            return np.asarray(rng.integers(-1, 3, shape))
        return np.asarray(1.2 * rng.standard_normal(shape) + 0.1).astype(self.kind)


Statement = tuple[str, tuple[Any, ...]]
"""A line, and the statements of the block that it opens."""
COUNT: Statement = ("k = k + 1", ())  # in every loop, which it ends


@dataclasses.dataclass(frozen=True)
class Program:
    """A program and what it is called with.

    Attributes:
        seed: its number, from which it is made.
        mode: how it is differentiated: a key of `ENDINGS`.
        arguments: the tensors it is called with.
        state: the tensors in its closure.
        body: its statements.
        outputs: the names that it returns.
        calls: the sizes of m and n at every call.
        double: whether all its tensors are float64: others pass their rounding on to those.
    """

    seed: int
    mode: str
    arguments: tuple[Given, ...]
    state: tuple[Given, ...]
    body: tuple[Statement, ...]
    outputs: tuple[str, ...]
    calls: tuple[tuple[int, int], ...]
    double: bool = False

    @property
    def source(self) -> str:
        """The functions `body`, and `step`, which is what is compiled."""
        args = ", ".join(each.name for each in self.arguments)
        leaves = ", ".join(each.name for each in (*self.arguments, *self.state) if each.needs_grad)
        ending = ENDINGS[self.mode].format(args=args, leaves=leaves,
                                           first=self.arguments[0].name)
        returned = f'return {{"k": k, "t": [{", ".join(self.outputs)}]}}'
        known = f"global {', '.join(each.name for each in self.state)}"
        body = textwrap.indent(f"{known}\nk = 0\n{text(self.body)}{returned}", "    ")
        return (f"{PRELUDE}\ndef body({args}):\n{body}\n\n"
                f"def step({args}):\n{textwrap.indent(ending, '    ')}\n")

    def arrays(self, call: int) -> dict[str, np.ndarray]:
        """The numbers of all that it is given at a call; the closure's are those of call 0."""
        rng = np.random.default_rng([self.seed, call])
        given = (*self.arguments, *(self.state if call == 0 else ()))
        return {each.name: each.array(self.calls[call], rng) for each in given}


def text(statements: Sequence[Statement]) -> str:
    """Statements as Python."""
    return "".join(f"{line}\n" + textwrap.indent(text(block), "    ")
                   for line, block in statements)


def tensors(given: Sequence[Given], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The tensors that stand for these numbers."""
    return {each.name: wengert.tensor(arrays[each.name]).requires_grad_(each.needs_grad)
            for each in given}


class _Writer:
    """Writes one program, trying every statement as it goes."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        choice = self.rng.choice
        first = Given("a0", choice(["float32", "float64"]), choice(DIMS), self.rng.random() < 0.8)
        kinds = [choice(KINDS) for _ in range(self.rng.randrange(3))]
        rest = [Given(f"a{n}", kind, choice(DIMS), "float" in kind and self.rng.random() < 0.4)
                for n, kind in enumerate(kinds, 1)]
        state = (Given("p0", first.kind, choice(DIMS), True), Given("b0", first.kind, choice(DIMS)))
        sizes = choice(SIZES)
        calls = (sizes, sizes, sizes, choice(SIZES), sizes)
        self.program = Program(seed, choice(MODES), (first, *rest), state, (), (), calls)
        given = (*self.program.arguments, *state)
        self.known: dict[str, Any] = {"torch": wengert, "k": 0, "cond": wengert.func.cond,
                                      "scan": wengert.func.scan,
                                      "while_loop": wengert.func.while_loop}
        self.known |= tensors(given, self.program.arrays(0))
        self.names = [each.name for each in given]
        self.body: list[Statement] = []

    def fill(self, template: str, **fixed: str) -> str:
        """A template with names put in; raises IndexError where there is no fitting tensor."""
        choose: Any = self.rng.choice
        dtypes = {name: self.known[name].dtype for name in self.names}
        of = {"f": [n for n, kind in dtypes.items() if kind.is_floating_point],
              "i": [n for n, kind in dtypes.items() if kind in (wengert.int64, wengert.int32)],
              "b": [n for n, kind in dtypes.items() if kind is wengert.bool], "x": self.names}
        of |= {"g": of["f"], "y": of["x"]}
        late = {letter: names[-4:] if self.rng.random() < 0.6 else names
                for letter, names in of.items()}
        picked = {letter: choose(names) for letter, names in late.items()
                  if f"{{{letter}}}" in template}
        return template.format(**picked, **fixed)

    def fresh(self) -> str:
        return f"t{sum(name.startswith('t') for name in self.names)}"

    def assignment(self) -> tuple[Statement, ...]:
        table = self.rng.choice([UNARY, UNARY, BINARY, BINARY, COMPARE, REDUCE, REDUCE, VIEW,
                                 VIEW, JOIN, JOIN, INDEX, INDEX, CAST])
        return ((f"{self.fresh()} = {self.fill(self.rng.choice(table))}", ()),)

    def control(self) -> tuple[Statement, ...]:
        kept = self.fill(self.rng.choice(KEEPING), t="t")
        return ((f"{self.fresh()} = {self.fill(self.rng.choice(CONTROL), k=kept)}", ()),)

    def write(self) -> tuple[Statement, ...]:
        line = self.fill(self.rng.choice(WRITE)), ()
        return (("with torch.no_grad():", (line,)),) if self.rng.random() < 0.3 else (line,)

    def keeping(self, name: str) -> Statement:
        if self.rng.random() < 0.2:
            return self.fill("{t}.mul_(0.75)", t=name), ()
        return f"{name} = {self.fill(self.rng.choice(KEEPING), t=name)}", ()

    def branch(self) -> tuple[Statement, ...]:
        name, start = self.fresh(), self.fill("{f}")
        look = self.fill(self.rng.choice(LOOK))
        begin = ((f"{name} = {start} + 0", ()),)
        then = (*begin, self.keeping(name), COUNT)
        return (f"if {look}:", then), ("else:", (*begin, self.keeping(name)))

    def loop(self) -> tuple[Statement, ...]:
        name, start = self.fresh(), self.fill("{f}")
        head = self.rng.choice([
            f"while {name}.abs().sum() < {self.rng.randrange(1, 12)} and k < 4:",
            f"while not {name}.amax() > 2 and k < 3:", "for k in range(3):",
            f"while {name}.norm() > 0.5 and k < 4:"])
        block = (self.keeping(name), COUNT)
        return (f"{name} = {start} * 1", ()), (head, block)

    def leave(self) -> tuple[Statement, ...]:
        end = self.rng.choice([f'return {{"k": 9, "t": [{self.names[-1]}]}}',
                               'raise ValueError("too large")'])
        return ((f"if {self.fill(self.rng.choice(LOOK))}:", ((end, ()),)),)

    def attempt(self, statements: tuple[Statement, ...]) -> bool:
        """Adds statements if they can be run, and now and then if they cannot."""
        code = text(statements)
        target = self.fresh()
        try:
            exec(compile(code, "program", "exec"), self.known)
        except SyntaxError:  # a block that leaves: it can't be tried outside of a function
            self.body += statements
            return True
        except Exception:
            if self.rng.random() > 0.004:
                return False
        found = self.known.get(target)
        if wengert.is_tensor(found):
            if found.numel() > UNWIELDY or not (
                    self.rng.random() < 0.1 or np.isfinite(found.detach().numpy()).all()):
                del self.known[target]
                return False
            self.names.append(target)
        self.body += statements
        return True

    def propose(self) -> tuple[Statement, ...]:
        makers = [self.assignment] * 14 + [self.write] * 5 + [self.branch] * 2 + [
            self.loop, self.control]
        if self.rng.random() < 0.02:
            return self.leave()
        return self.rng.choice(makers)()

    def finished(self) -> Program:
        for _ in range(self.rng.randrange(2, 12)):
            for _ in range(20):
                try:
                    if self.attempt(self.propose()):
                        break
                except IndexError:  # there is no tensor of that kind
                    continue
        made = [name for name in self.names if name.startswith("t")]
        outputs = [*made[-2:], *(name for name in self.names[:-2] if self.rng.random() < 0.2)]
        double = all(self.known[name].dtype is wengert.float64 for name in self.names)
        return dataclasses.replace(self.program, body=tuple(self.body), outputs=tuple(outputs),
                                   double=double)


def programs(seed: int, count: int) -> Iterator[Program]:
    """`count` programs, the same ones for the same seed."""
    return (program(PER_SEED * seed + n) for n in range(count))


def program(number: int) -> Program:
    """The program of this number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wengert.manual_seed(0)
        return _Writer(number).finished()
