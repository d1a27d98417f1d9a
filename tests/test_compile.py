"""Compiled functions behave as the functions that they are made of.

Most tests run one program on two sides, as it is and compiled, each with tensors of its own, and
compare what comes of it. Later calls of a compiled function run native code; `native` asks whether
they did.
"""

from __future__ import annotations

import collections
import gc
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import wengert as torch
from sides import (
    Compiler,
    as_it_was,  # noqa: F401 - a fixture of every test
    attempts,
    both,
    calls,
    counted,
    rising,
    warned,
)
from wengert.compiler.api import Compiled
from wengert.core.levels import here
from wengert.func import grad, hessian, jacrev, jvp, vmap

# --- training -----------------------------------------------------------------------------------


def training(compile: Compiler) -> Any:
    """Momentum and weight decay, written out; everything that can be seen of it, step by step."""
    w, b = rising(3, 2).requires_grad_(), torch.zeros(2, requires_grad=True)
    momenta = [torch.zeros(3, 2), torch.zeros(2)]
    states = []

    def step(x: Any, y: Any) -> Any:
        for p in (w, b):
            p.grad = None
        loss = ((torch.tanh(x @ w) + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p, m in zip((w, b), momenta, strict=True):
                m.mul_(0.9).add_(p.grad)
                p.mul_(0.99).sub_(m, alpha=0.1)
        return loss.detach()

    run = compile(step)
    for n in range(6):
        x, y = rising(4, 3, start=-n * 0.1), rising(4, 2)
        loss = run(x, y)
        states.append([loss, w.clone(), b.clone(), w.grad.clone(), [m.clone() for m in momenta],
                       w._version, b._version, momenta[0]._version, w.is_leaf])
    return states


def test_training_step():
    losses = both(training)
    assert len(losses[1]) == 6


def test_training_step_runs_natively():
    w = torch.ones(3, requires_grad=True)

    def step(x: Any) -> Any:
        w.grad = None
        loss = (x * w).sum() ** 2
        loss.backward()
        with torch.no_grad():
            w.sub_(w.grad, alpha=0.01)
        return loss.detach()

    inner, run = counted(step)
    before, memory = id(w), w.detach().numpy().ctypes.data
    for _ in range(6):
        run(torch.ones(3))
    assert inner.runs <= 2 and id(w) == before and w.detach().numpy().ctypes.data == memory


def test_grad_accumulates():
    def program(compile: Compiler) -> Any:
        w = rising(3).requires_grad_()
        run = compile(lambda x: ((x * w) ** 2).sum().backward())
        found = []
        for n in range(4):
            if n == 2:
                w.grad = None
            found.append((run(torch.ones(3) * n), w.grad.clone()))
        return found

    both(program)


def test_grad_of_an_argument():
    def program(compile: Compiler) -> Any:
        run = compile(lambda x: (x ** 3).sum().backward())
        xs = [(rising(3) + n).requires_grad_() for n in range(3)]
        for x in xs:
            run(x)
        return [x.grad for x in xs]

    both(program)


# --- where tensors come from --------------------------------------------------------------------

SCALE = torch.tensor(3.0)


def test_globals_closures_and_attributes_are_read_where_they_are():
    class Model:
        def __init__(self) -> None:
            self.w = rising(2, 3)

    def program(compile: Compiler) -> Any:
        model, shift = Model(), torch.ones(2)
        run = compile(lambda x: model.w @ x * SCALE + shift)
        found = [run(rising(3))]
        model.w.mul_(2)
        shift[0] = 5
        found += [run(rising(3)), run(rising(3))]
        return found

    both(program)


def test_decorated_methods():
    def program(compile: Compiler) -> Any:
        class Model:
            def __init__(self, start: float) -> None:
                self.w = torch.tensor([start, 2.0], requires_grad=True)

            @compile
            def forward(self, x: Any, *, bias: float = 0.0) -> Any:
                return (self.w * x).sum() + bias

        models = [Model(1.0), Model(5.0)]
        return [model.forward(torch.ones(2) * n, bias=bias)
                for n in range(3) for model in models for bias in (0.0, 1.5)]

    both(program)


def test_a_compiled_function_looks_like_the_function():
    @torch.compile
    def shown(x: Any) -> Any:
        """Says something."""
        return x

    assert shown.__doc__ == "Says something." and shown.__name__ == "shown"
    assert torch.compile(shown) is shown
    assert "shown" in repr(shown)
    with pytest.raises(TypeError, match="needs a function"):
        torch.compile(3)


def test_arguments_of_the_decorator():
    @torch.compile(fastmath=True, mode="reduce-overhead")
    def f(x: Any) -> Any:
        return x * 0 + 1

    for _ in range(3):
        assert f(torch.tensor([2.0])).tolist() == [1.0]


# --- arguments and results ----------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")


def test_pytrees():
    def f(p: Any, more: Any) -> Any:
        return {"sum": p.x + p.y, "all": [Point(p.y, more["a"][0] * 2), None, "text"]}

    def args(n: float) -> Any:
        return Point(rising(2) + n, rising(2)), {"a": [torch.ones(1) * n]}

    calls(f, *(args(float(n)) for n in range(4)))


def test_static_values():
    def f(x: Any, n: Any, how: Any = "add") -> Any:
        return x + n if how == "add" else x * n

    calls(f, *((rising(3), n, how) for n in (2, 2.0, True, 0.0, -0.0, 1, 2)
               for how in ("add", "times")))


def test_keyword_arguments():
    def f(x: Any, *rest: Any, scale: Any = 1.0, **more: Any) -> Any:
        for each in (*rest, *more.values()):
            x = x + each
        return x * scale

    def program(compile: Compiler) -> Any:
        run, x = compile(f), rising(2)
        return [run(x), run(x, x), run(x, scale=torch.tensor(2.0)), run(x, a=x, b=2),
                run(x, x), run(x, b=x, a=3), run(x=x)]

    both(program)


@pytest.mark.parametrize("layout", [
    lambda: rising(3, 4).t(), lambda: rising(4, 6)[:, ::2], lambda: rising(4, 1).expand(4, 3),
    lambda: rising(24)[3:15].reshape(4, 3), lambda: torch.zeros(0, 3)])
def test_inputs_however_they_lie(layout):
    def f(x: Any) -> Any:
        return x * 2 + x.sum(0), x.t() @ x

    def program(compile: Compiler) -> Any:
        run = compile(f)
        return [run(layout()) for _ in range(3)]

    both(program)


def test_writes_to_inputs_that_are_not_contiguous():
    def program(compile: Compiler) -> Any:
        base = rising(3, 4)
        run = compile(lambda x: x.mul_(2))
        found = [run(base.t()).clone() for _ in range(3)]
        run(base[:, ::2])
        run(base[:, 1::2])
        return found, base, base._version

    both(program)


def test_views_that_are_returned_share_memory():
    def program(compile: Compiler) -> Any:
        run = compile(lambda x: (x[0], x.t(), x * 2))
        found = []
        for n in range(3):
            x = rising(2, 3) + n
            row, turned, twice = run(x)
            row.add_(1)
            turned[2] = 7.0
            twice.zero_()
            found.append((x, row, turned, twice))
        return found

    both(program)


def test_views_of_results_share_memory():
    def f(x: Any) -> Any:
        y = x * 2
        return y, y[1:], y.reshape(-1)

    def program(compile: Compiler) -> Any:
        run, found = compile(f), []
        for n in range(3):
            y, tail, flat = run(rising(2, 3) + n)
            flat[0] = 9.0
            tail.add_(1)
            found.append((y, tail, flat, tail._base is y))
        return found

    both(program)


def test_inputs_are_returned_as_they_are():
    def f(x: Any, y: Any) -> Any:
        return x, y, x, x + y

    run = torch.compile(f)
    for _ in range(3):
        x, y = rising(2), rising(2)
        a, b, c, d = run(x, y)
        assert a is x and b is y and c is x and d is not x


def test_a_result_returned_twice_is_one_tensor():
    def f(x: Any) -> Any:
        y = x + 1
        return y, [y]

    run = torch.compile(f)
    for _ in range(3):
        y, (same,) = run(rising(2))
        assert y is same


def test_results_are_new_each_time():
    run = torch.compile(lambda x: x * 2)
    kept = [run(torch.ones(4) * n) for n in range(4)]
    assert [t[0].item() for t in kept] == [0, 2, 4, 6]
    assert torch.compile(lambda x: torch.zeros(3))(torch.ones(1)).tolist() == [0, 0, 0]


def test_constants_are_new_each_time():
    run = torch.compile(lambda: torch.zeros(3))
    for _ in range(3):
        zeros = run()
        assert zeros.tolist() == [0, 0, 0]
        zeros.add_(1)


def test_results_that_are_no_tensors():
    def f(x: Any) -> Any:
        return len(x), x.shape, x.dtype, None, "a", 1.5, {"n": x.ndim}

    calls(f, (rising(2, 3),), (rising(2, 3),), (rising(4, 1),), (rising(2, 3),))


def test_functions_without_tensors():
    calls(lambda n: n + 1, (1,), (1,), (2,))


def test_dtypes_change_from_call_to_call():
    kinds = [torch.float32, torch.float64, torch.int64, torch.bool, torch.float16,
             torch.complex64]
    calls(lambda x: (x + x, x * 2, x.sum()),
          *((torch.ones(3, dtype=kind),) for _ in range(2) for kind in kinds))


def test_the_default_dtype_counts():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda n: n / 2), []
        try:
            for kind in (torch.float32, torch.float64, torch.float32, torch.float64):
                torch.set_default_dtype(kind)
                found.append(run(torch.tensor(3)))
        finally:
            torch.set_default_dtype(torch.float32)
        return found

    both(program)


def test_views_from_outside_are_written():
    def program(compile: Compiler) -> Any:
        x = torch.zeros(4)
        part = x[1:3]
        run, found = compile(lambda: part.add_(1)), []
        for _ in range(3):
            run()
            found.append((x.clone(), x._version, part._version))
        return found

    both(program)


def test_results_whose_shape_depends_on_numbers():
    def f(x: Any) -> Any:
        return x.nonzero(), x[x > 0] * 2

    calls(f, *((torch.tensor([0.0, 1.0, n]),) for n in (0.0, 1.0, 0.0, 2.0, -1.0)))


def test_whether_a_gradient_is_asked_for_can_be_read():
    def f(x: Any) -> Any:
        return x.requires_grad, (x * 2).requires_grad, x.is_leaf

    calls(f, *((rising(2).requires_grad_(flag),) for flag in (True, False, True, False)))


# --- control flow -------------------------------------------------------------------------------


def flow(a: Any) -> Any:
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    return b if b.sum() > 0 else 100 * b


def test_control_flow_becomes_native():
    inner, run = counted(flow)
    for number in (0.75, -3.0, 0.75, -3.0, 100.0, 0.75, 100.0):
        run(torch.tensor(number))
    before = inner.runs
    for number in (0.76, -3.1, 101.0) * 3:
        a = torch.tensor(number)
        assert run(a).item() == flow(a).item()
    assert inner.runs == before


def test_numbers_that_python_reads():
    def f(x: Any) -> Any:
        return x * int(x.sum()), [x.tolist(), float(x[0]), x.argmax().item()]

    calls(f, *((torch.tensor([float(n), 1.0]),) for n in (1, 2, 1, 2, 3)))


def test_numpy_inside():
    def f(x: Any) -> Any:
        return x * float(np.sum(x.numpy() > 0))

    calls(f, *((torch.tensor([float(n), -1.0]),) for n in (1, -1, 1, -1, 2)))


def test_printing_happens_when_python_runs(capsys):
    def f(x: Any) -> Any:
        print(x)
        return x + 1

    run = torch.compile(f)
    for _ in range(3):
        assert run(torch.tensor([2.5])).item() == 3.5
    assert set(capsys.readouterr().out.splitlines()) == {"tensor([2.5000])"}


def test_loops_over_elements():
    def f(x: Any) -> Any:
        total = x[0]
        for row in x:
            if (row > 0).all():
                total = total + row
        return total

    calls(f, *((rising(3, 2) + n,) for n in (0, 1, 0, 1, -5, -5)))


def test_recursion():
    def program(compile: Compiler) -> Any:
        @compile
        def factorial(n: Any) -> Any:
            return n * factorial(n - 1) if n > 1 else n

        return [factorial(torch.tensor(n)) for n in (1.0, 5.0, 1.0, 5.0, 6.0, 6.0)]

    both(program)


def test_compiled_functions_call_each_other():
    def program(compile: Compiler) -> Any:
        inner = compile(lambda x: torch.sin(x) * 2)
        outer = compile(lambda x: inner(x) + inner(x * 2))
        found = []
        for n in range(3):
            x = rising(3).requires_grad_()
            outer(x + n).sum().backward()
            found.append((inner(x), x.grad))
        return found

    both(program)


# --- random numbers -----------------------------------------------------------------------------


def test_random_numbers():
    def f(x: Any) -> Any:
        return x + torch.randn(3), torch.rand(2), torch.randperm(4)

    calls(f, *((rising(3),) for _ in range(4)))


def test_random_numbers_and_branches():
    def f(x: Any) -> Any:
        u = torch.rand(())
        return x * u if u > 0.5 else x - torch.randn(3)

    calls(f, *((rising(3),) for _ in range(20)))


def test_a_generator_of_its_own():
    def program(compile: Compiler) -> Any:
        generator = torch.Generator()
        generator.manual_seed(3)
        run = compile(lambda x: x * torch.rand(3, generator=generator))
        return [run(rising(3)) for _ in range(4)], generator.get_state()

    both(program)


# --- errors -------------------------------------------------------------------------------------


def test_indices_out_of_range():
    both(attempts(lambda x, i: x[i] * 2, *((rising(3), torch.tensor(i))
                                           for i in ([0, 1], [2, -3], [0, 3], [-4, 0], [1, 1]))))


def test_integer_division_by_zero():
    both(attempts(lambda a, b: (a // b) + a % b,
                  *((torch.tensor([7, 8]), torch.tensor([2, n])) for n in (1, 3, 0, -3, 0, 2))))


def test_wrong_shapes():
    both(attempts(lambda a, b: a @ b, (rising(2, 3), rising(3)), (rising(2, 3), rising(2)),
                  (rising(2, 3), rising(3)), (rising(2, 3), rising(2))))


def test_an_exception_in_the_middle():
    def program(compile: Compiler) -> Any:
        state, found = torch.zeros(2), []

        def f(x: Any) -> Any:
            state.add_(1)
            if x.sum() < 0:
                raise ValueError("negative")
            state.mul_(x)
            return state * 2

        run = compile(f)
        for sign in (1, 1, -1, 1, -1, 1):
            try:
                found.append(run(torch.ones(2) * sign))
            except ValueError as error:
                found.append(str(error))
            found.append((state.clone(), state._version))
        return found

    both(program)


def test_errors_that_the_function_catches():
    def f(x: Any, i: Any) -> Any:
        try:
            return x[i]
        except IndexError:
            return x.sum()

    calls(f, *((rising(3), torch.tensor(i)) for i in (5, 5, 1, 5, 1)))


def test_an_exception_leaves_no_mode_behind():
    @torch.compile
    def f(x: Any) -> Any:
        raise KeyError("gone")

    for _ in range(2):
        with pytest.raises(KeyError, match="gone"):
            f(torch.ones(1))
        assert here.recorder is None


def test_without_llvmlite():
    program = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "import wengert as torch\n"
        "f = torch.compile(lambda x: x + 1)\n"
        "try: f(torch.ones(2))\n"
        "except ImportError as error: print(error)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=True, timeout=60)
    assert "llvmlite" in done.stdout and "install" in done.stdout


def test_importing_does_not_load_llvmlite():
    program = ("import sys, wengert; f = wengert.compile(len); f.explain();"
               "print('llvmlite' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=True, timeout=60)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("fn", "said"), [
    ("x * torch.rand(2)", "native"),
    ("torch.func.while_loop(lambda x: x.sum() < 9, lambda x: (x + x,), (x,))[0]", "native"),
    ("x * __import__('numpy.random').random.rand()", "draws random numbers that are not"),
])
def test_numpys_generator_may_be_made_on_the_way(fn: str, said: str):
    """Our own generators import it when they are first used, which draws nothing from it."""
    program = ("import sys, wengert as torch\n"
               f"f = torch.compile(lambda x: {fn}, fullgraph=True)\n"
               "assert 'numpy.random' not in sys.modules\n"
               "try: f(torch.ones(2)), print('native')\n"
               "except RuntimeError as error: print(error)\n"
               "assert 'numpy.random' in sys.modules\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=True, timeout=60)
    assert said in done.stdout


# --- going back to Python -----------------------------------------------------------------------


def test_too_many_branches_are_said_once_with_the_line():
    def f(x: Any) -> Any:
        return x * x.sum().item()  # as many branches as numbers

    run = torch.compile(f)
    many = Compiled.MOST_ENDINGS + 10
    found = warned(lambda: [run(torch.tensor([float(n)])) for n in range(many)])
    assert len(found) == 1 and "ways to go" in found[0]
    line = f.__code__.co_firstlineno + 1
    assert f"line {line}, in f" in found[0] and __file__ in found[0]
    assert run(torch.tensor([3.0])).item() == 9 and "ways" in str(run.explain())


def test_too_many_shapes_are_said_once():
    run = torch.compile(lambda x: x + 1)
    found = warned(lambda: [run(torch.ones(n)) for n in range(Compiled.MOST_KINDS + 10)])
    assert len(found) == 1 and "kinds of arguments" in found[0]
    assert run.eager in found[0] and run(torch.ones(2)).tolist() == [2, 2]


def test_functions_that_do_something_else_meanwhile():
    factor = np.array([2.0])

    def f(x: Any) -> Any:
        y = x * float(factor[0])
        return y + 1 if y.sum() > 0 else y

    run = torch.compile(f)
    assert run(torch.ones(1)).item() == 3
    factor[0] = 5.0  # native code doesn't see that, but a run of Python does
    found = warned(lambda: run(-torch.ones(1)))
    assert len(found) == 1 and "different things for the same arguments" in found[0]
    assert run(torch.ones(1)).item() == 6


# --- derivatives --------------------------------------------------------------------------------


def curve(x: Any) -> Any:
    return torch.sin(x) * x ** 2


def test_gradients_from_outside():
    def program(compile: Compiler) -> Any:
        run, found = compile(curve), []
        for n in range(3):
            x = (rising(3) + n).requires_grad_()
            y = run(x)
            (y * 3).sum().backward()
            found.append((y, x.grad))
        return found

    both(program)


def test_gradients_go_on_into_what_was_before():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, w: (x @ w, x.sum())), []
        for n in range(3):
            x, w = rising(2, 3).requires_grad_(), rising(3).requires_grad_()
            a, b = run(torch.tanh(x + n), w * 2)
            (a.sum() * b).backward()
            found.append((x.grad, w.grad))
        return found

    both(program)


def test_second_derivatives():
    def program(compile: Compiler) -> Any:
        run, found = compile(curve), []
        for n in range(3):
            x = (rising(3) + n).requires_grad_()
            (g,) = torch.autograd.grad(run(x).sum(), x, create_graph=True)
            (h,) = torch.autograd.grad((g ** 2).sum(), x)
            found.append((g, h))
        return found

    both(program)


def test_derivatives_inside():
    def f(x: Any) -> Any:
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(curve(x).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x)
        return g.detach(), h

    calls(f, *((rising(3) + n,) for n in range(4)))


def test_transforms_inside():
    def f(x: Any) -> Any:
        return (grad(lambda x: curve(x).sum())(x), vmap(grad(curve))(x),
                jvp(curve, (x,), (torch.ones(3),))[1], hessian(lambda x: curve(x).sum())(x))

    calls(f, *((rising(3) + n,) for n in range(3)))


def test_inside_transforms():
    def program(compile: Compiler) -> Any:
        run, x, found = compile(curve), rising(3), []
        for _ in range(2):
            run(x)
            found.append([grad(lambda x: run(x).sum())(x), vmap(run)(x), vmap(grad(run))(x),
                          jvp(run, (x,), (x,)), jacrev(run)(x)])
        return found

    both(program)


def test_compiled_transforms():
    def program(compile: Compiler) -> Any:
        run = compile(vmap(grad(curve)))
        return [run(rising(4) + n) for n in range(3)]

    both(program)


def test_backward_twice():
    def program(compile: Compiler) -> Any:
        run, found = compile(curve), []
        for _ in range(3):
            x = torch.tensor(2.0, requires_grad=True)
            y = run(x)
            y.backward(retain_graph=True)
            y.backward()
            try:
                y.backward()
            except RuntimeError as error:
                found.append(str(error)[:60])
            found.append(x.grad)
        return found

    both(program)


def test_saved_values_that_are_overwritten():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x, w: (x * w).sum()), []
        for _ in range(3):
            x, w = rising(2).requires_grad_(), torch.ones(2)
            y = run(x, w)
            w.add_(1)
            with pytest.raises(RuntimeError, match="modified by an inplace"):
                y.backward()
            found.append(x.grad)
        return found

    both(program)


def test_gradients_at_infinity_and_nan():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: torch.where(x > 0, x, 0).sum()), []
        for value in (1.0, np.inf, np.nan, -1.0):
            x = torch.tensor([value], requires_grad=True)
            run(x).backward()
            found.append((run(x).item(), x.grad.item()))
        return found

    both(program)


def test_a_hook_of_a_parameter_runs_when_backward_is_inside():
    def program(compile: Compiler) -> Any:
        w = torch.ones(2, requires_grad=True)
        w.register_hook(lambda g: g * 3)
        run, found = compile(lambda x: (w * x).sum().backward()), []
        for _ in range(3):
            run(torch.ones(2))
            found.append(w.grad.clone())
        return found

    with pytest.warns(UserWarning, match="from outside that has hooks"):
        both(program)


def test_whether_an_argument_requires_grad_counts():
    def program(compile: Compiler) -> Any:
        run = compile(lambda x, y: x * y)
        return [run(rising(2).requires_grad_(a), rising(2).requires_grad_(b))
                for _ in range(2) for a in (False, True) for b in (False, True)]

    both(program)


def test_results_that_are_leaves():
    def program(compile: Compiler) -> Any:
        run, found = compile(lambda x: (x * 2).detach().requires_grad_()), []
        for _ in range(3):
            y = run(rising(2))
            (y ** 2).sum().backward()
            found.append((y, y.grad))
        return found

    both(program)


# --- threads and memory -------------------------------------------------------------------------


def test_two_threads_at_once():
    run = torch.compile(flow)
    for _ in range(2):
        run(torch.tensor(0.75))
    wrong: list[float] = []

    def work(seed: int) -> None:
        for number in np.random.default_rng(seed).uniform(0.6, 0.9, 300).tolist():
            a = torch.tensor(number)
            if run(a).item() != flow(a).item():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and not run.eager


def test_a_compiled_function_goes_with_its_last_reference():
    run = torch.compile(lambda x: x + 1)
    run(torch.ones(2))
    run(torch.ones(2))
    ref = weakref.ref(run)
    del run
    gc.collect()
    assert ref() is None


def test_neighbouring_rows_joined_are_multiplied_where_they_lie() -> None:
    """A row of sixteen numbers that runs on over two rows of eight."""
    def joined(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return ((torch.cat([x[1], x[2]]) @ w) ** 2).mean()

    x, w = rising(5, 8), rising(16, 8)
    slopes = torch.func.grad(joined, argnums=(0, 1))
    compiled = torch.compile(slopes)
    for rows in (x, x * 2, x * 3):
        for found, expected in zip(compiled(rows, w), slopes(rows, w), strict=True):
            assert torch.allclose(found, expected, rtol=1e-5)
