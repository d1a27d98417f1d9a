"""A tour of wengert: gradients of ordinary Python programs, in PyTorch's words.

Run it with `make tour`, or `python examples/tour.py`. Each section is a small program; the tour
runs it line by line, as an interactive session would, and prints the code with its answers.
The pictures go to out/tour.
"""

import ast
import contextlib
import inspect
import itertools
import textwrap
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np

import wengert as torch

OUT = Path("out/tour")


# --- Part 1: gradients ------------------------------------------------------------------------


def a_first_gradient():
    """Ask for gradients with respect to x, compute y = 2 x.x, and go backward: dy/dx is 4x."""
    x = torch.arange(4.0)
    x
    x.requires_grad_(True)
    print(x.grad)
    y = 2 * torch.dot(x, x)
    y
    y.backward()
    x.grad
    x.grad == 4 * x
    torch.arange(4.0, requires_grad=True)  # the same, said at once


def gradients_add_up():
    """Each backward adds to x.grad: good for sums of losses, and to be reset in between."""
    x = torch.arange(4.0, requires_grad=True)
    (2 * torch.dot(x, x)).backward()
    x.sum().backward()
    x.grad
    x.grad.zero_()
    x.sum().backward()
    x.grad
    x = torch.rand((2, 2)).requires_grad_()
    for i in range(3):
        y = (2 * x).mean()
        y.backward()
        print(f"iteration {i + 1}: {x.grad.tolist()}")
        x.grad.zero_()


def results_that_are_vectors():
    """A vector has a whole Jacobian. Backward wants to know which rows, and in what mixture."""
    x = torch.arange(4.0, requires_grad=True)
    y = x * x
    with expected(RuntimeError):
        y.backward()
    y.backward(gradient=torch.ones(len(y)))
    x.grad
    x.grad.zero_()
    (x * x).sum().backward()  # the same rows, summed before instead of after
    x.grad


def detaching():
    """u has y's numbers but not its history: z = u * x depends on x only through x itself."""
    x = torch.arange(4.0, requires_grad=True)
    y = x * x
    u = y.detach()
    z = u * x
    u, z
    z.sum().backward()
    x.grad, x.grad == u
    x.grad.zero_()
    y.sum().backward()  # y has kept its history
    x.grad == 2 * x


def control_flow():
    """What is differentiated is the path that Python took, loops and branches resolved."""

    def f(a):
        b = a * 2
        while b.norm() < 1000:
            b = b * 2
        if b.sum() > 0:
            c = b
        else:
            c = 100 * b
        return c

    _ = torch.manual_seed(3)
    a = torch.randn(size=(), requires_grad=True)
    d = f(a)
    a, d
    d.backward()
    a.grad, a.grad == d / a  # f is linear in a, piece by piece
    a = torch.arange(5, dtype=float)
    d = f(a)
    d
    with expected(RuntimeError):  # nobody asked for gradients with respect to this a
        d.backward()


def leaves_and_results():
    """Gradients are kept for leaves. A result's is None, with a warning, unless asked for."""
    _ = torch.manual_seed(0)
    a = torch.randn(2, 2, requires_grad=True)
    b = torch.randn(2, 2, requires_grad=True)
    c = torch.sum(a + b)
    c
    c.backward()
    a.grad, b.grad
    c.grad
    a = torch.ones((2, 2)).requires_grad_()
    b = a ** 2
    b.retain_grad()
    c = b.mean()
    b, c
    c.backward()
    a.grad, b.grad


def a_small_graph():
    """(5 x1 + 3 x2)(2 x1 + x2): each tensor knows the operation that made it."""
    x1 = torch.Tensor([1]).requires_grad_()
    x2 = torch.Tensor([2]).requires_grad_()
    y1 = (5 * x1) + (3 * x2)
    y2 = (2 * x1) + (1 * x2)
    z = y1 * y2
    print(x1, x2, y1, y2, z, sep="\n")
    z.backward()
    x1.grad, x2.grad
    x1.grad_fn, z.grad_fn.name(), [node.name() for node, _ in z.grad_fn.next_functions]


def means():
    """The mean of u + 2 v over N elements has slope 1/N by each of u, and 2/N by each of v."""
    u = torch.tensor([[1., 2.], [3., 4.]], requires_grad=True)
    v = torch.tensor([[5., 6.], [7., 8.]], requires_grad=True)
    mean = (u + 2 * v).mean()
    print(mean, mean.requires_grad, mean.grad_fn.name(), u.grad_fn)
    mean.backward()
    u.grad, v.grad


def switching_recording_off():
    """For a block, for a leaf, for a function, or by taking a tensor out of its history."""
    x = torch.Tensor([[1, 2, 3], [4, 5, 6]])
    x.requires_grad = True
    with torch.no_grad():
        y = x * 3
    y, x.requires_grad, y.requires_grad
    x.requires_grad_(False)
    x.requires_grad_(True)
    x.detach()

    @torch.no_grad()
    def three_times(x):
        return x * 3

    three_times(x)


# --- Part 2: questions, answered by running something -----------------------------------------


def why_is_the_second_derivative_dearer():
    """It differentiates the program of the first, and that is longer than f's: count its nodes.

    Of n inputs there is one gradient but a Hessian of n rows, each of which takes a backward
    pass of its own.
    """
    x = torch.linspace(0, 3, 6, requires_grad=True)
    y = (torch.sin(x) * torch.exp(x * x)).sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), x, create_graph=True)
    [count_nodes(t.grad_fn) for t in (y, first, second, third)]
    hessian = [torch.autograd.grad(row, x, retain_graph=True)[0] for row in first]
    print(f"gradient: 1 backward pass; Hessian: 1 + {len(hessian)} passes")
    bool(torch.stack(hessian).diagonal().eq(second).all())  # this Hessian is diagonal


def what_does_a_second_backward_do():
    """The first one freed what the graph had saved; unless it is told to retain it."""
    x = torch.arange(4.0, requires_grad=True)
    y = 2 * torch.dot(x, x)
    y.backward()
    with expected(RuntimeError):
        y.backward()
    y = 2 * torch.dot(x, x)
    x.grad = None
    y.backward(retain_graph=True)
    x.grad
    y.backward()
    x.grad  # gradients add up: twice the gradient


def what_of_a_vector_valued_f():
    """Of vectors and matrices, f makes vectors and matrices; its Jacobian says how they depend.

    Here it is a multiple of the identity: every element is scaled alike.
    """

    def f(a):
        b = a * 2
        while b.norm() < 1000:
            b = b * 2
        return b if b.sum() > 0 else 100 * b

    a = torch.tensor([0.5, -0.25, 1.0], requires_grad=True)
    d = f(a)
    d
    with expected(RuntimeError):
        d.backward()
    rows = torch.eye(3)
    torch.stack([torch.autograd.grad(d, a, row, retain_graph=True)[0] for row in rows])
    d.sum().backward()  # all rows, summed
    a.grad
    matrix = torch.ones(2, 3, requires_grad=True)
    f(matrix).sum().backward()
    matrix.grad


def sine_and_its_derivative():
    """Exercise 4: the slope of sin by automatic differentiation, with no word of the cosine.

    `.grad` is a tensor, not a function, and there is none before backward has run.
    """
    x = torch.arange(0, 4 * np.pi, 0.1)
    y = torch.sin(x)
    with expected(TypeError):
        y.grad()
    x.requires_grad = True
    y = torch.sin(x)
    y.sum().backward()  # element i of the sum depends on x[i] alone
    plot(x, {"f(x) = sin x": y, "f′(x), by autodiff": x.grad}, OUT / "sine.png")
    float((x.grad - torch.cos(x)).abs().max())


def dependency_graph():
    """Exercises 5 to 7: f(x) = log(x²) sin x + 1/x, step by step, with every derivative.

    Forward, tangents d·/dx go from x down the list: each is the sum of the local partials times
    the tangents above. Backward, adjoints df/d· go from f up. Both end at df/dx.
    """
    x = torch.tensor(2.0, dtype=float, requires_grad=True)
    f = torch.log(x ** 2) * torch.sin(x) + x ** -1
    drawing = torch.show.graph(f)
    print(drawing)
    for name in ("graph.svg", "graph.png", "graph.txt"):
        drawing.save(OUT / name)
    f.backward()
    x.grad


def when_forward_and_when_backward():
    """A backward pass gives a row of the Jacobian, a forward pass a column: take the fewer.

    From 200 numbers to one, one backward pass does; from one number to 200, one forward pass.
    (`forward_pass` differentiates a backward pass, which is linear in what it starts from.)
    """
    w = torch.linspace(0, 1, 200)
    many_to_one = lambda x: torch.sin(w * x).sum()
    one_to_many = lambda x: torch.sin(w * x)
    compare_passes(many_to_one, torch.linspace(0, 2, 200))
    compare_passes(one_to_many, torch.tensor([2.0]))


def what_does_backward_have_to_keep():
    """Backward needs the values of the way there, all of them; forward only the latest."""

    def chain(x):
        for _ in range(200):
            x = torch.sin(x)
        return x

    x = torch.ones(10_000, requires_grad=True)
    print(f"recorded:     {peak_megabytes(lambda: chain(x)):5.2f} MB")
    with torch.no_grad():
        print(f"not recorded: {peak_megabytes(lambda: chain(x)):5.2f} MB")


# --- what the sections use --------------------------------------------------------------------


@contextlib.contextmanager
def expected(kind):
    """Runs what is meant to fail, and prints the error."""
    try:
        yield
    except kind as error:
        print(textwrap.fill(f"{kind.__name__}: {error}", 96, subsequent_indent="    "))
    else:
        raise AssertionError(f"expected a {kind.__name__}")


def count_nodes(node):
    """The number of operations that a result's graph remembers."""
    seen, todo = set(), [node]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo.extend(edge for edge, _ in node.next_functions)
    return len(seen)


def forward_pass(f, x, tangent):
    """The Jacobian of f at x times a tangent: a column, if the tangent is a basis vector."""
    y = f(x)
    start = torch.zeros_like(y, requires_grad=True)
    (row,) = torch.autograd.grad(y, x, start, create_graph=True)
    return torch.autograd.grad(row, start, tangent)[0]


def backward_pass(f, x, cotangent):
    """A cotangent times the Jacobian of f at x: a row, if it is a basis vector."""
    return torch.autograd.grad(f(x), x, cotangent)[0]


def compare_passes(f, x):
    """Computes a whole Jacobian both ways, and says what it took."""
    x = x.clone().requires_grad_()
    outputs = f(x)
    found = {}
    for way, one_pass, directions in (("forward", forward_pass, torch.eye(x.numel())),
                                      ("backward", backward_pass, torch.eye(outputs.numel()))):
        shape = x.shape if way == "forward" else outputs.shape
        began = time.perf_counter()
        found[way] = torch.stack([one_pass(f, x, d.reshape(shape)).reshape(-1)
                                  for d in directions])
        print(f"{x.numel()} -> {outputs.numel()}, {way + ':':9} {len(directions):3} passes, "
              f"{1000 * (time.perf_counter() - began):6.1f} ms")
    assert (found["forward"].T - found["backward"]).abs().max() < 1e-4


def peak_megabytes(work):
    """The most memory that was in use at once while a function ran."""
    tracemalloc.start()
    result = work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del result
    return peak / 1e6


def plot(x, curves, path):
    """Draws curves over x to a file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    for (label, y), style in zip(curves.items(), ("-", "--"), strict=False):
        axes.plot(x.detach(), y.detach(), style, label=label, linewidth=2)
    axes.set_xticks([k * np.pi for k in range(5)], ["0", "π", "2π", "3π", "4π"])
    axes.set(xlabel="x", xlim=(0, 4 * np.pi))
    axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False, ncols=2, bbox_to_anchor=(1, 1.16))
    figure.savefig(path)


# --- the guide --------------------------------------------------------------------------------

PARTS = {
    "Gradients": [
        a_first_gradient, gradients_add_up, results_that_are_vectors, detaching, control_flow,
        leaves_and_results, a_small_graph, means, switching_recording_off],
    "Questions": [
        why_is_the_second_derivative_dearer, what_does_a_second_backward_do,
        what_of_a_vector_valued_f, sine_and_its_derivative, dependency_graph,
        when_forward_and_when_backward, what_does_backward_have_to_keep],
}


def visit(section):
    """Runs a section statement by statement, printing each with what it prints and shows."""
    title = section.__name__.replace("_", " ").replace("vector valued", "vector-valued")
    title = title.capitalize() + ("?" if title.startswith(("why", "what", "when")) else "")
    print(f"\n{title}\n{'-' * len(title)}\n{inspect.getdoc(section)}\n")
    source = textwrap.dedent(inspect.getsource(section))
    lines, body = source.splitlines(), ast.parse(source).body[0].body[1:]
    variables = dict(globals())
    ends = [statement.end_lineno for statement in body]
    for statement, (begin, end) in zip(body, itertools.pairwise([_first(body[0]) - 1, *ends]),
                                       strict=True):
        code = textwrap.dedent("\n".join(lines[begin:end])).strip("\n").splitlines()
        print("\n".join(f"{'...' if i else '>>>'} {line}" for i, line in enumerate(code)))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer(statement, variables)
        for warning in caught:
            text = f"{warning.category.__name__}: {warning.message}"
            print(textwrap.shorten(text, 97, placeholder="..."))


def _first(statement):
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def answer(statement, variables):
    """Runs one statement; shows its value, if it is an expression with one."""
    if isinstance(statement, ast.Expr):
        value = eval(compile(ast.Expression(statement.value), "<tour>", "eval"), variables)
        if isinstance(value, tuple):
            print("(" + ",\n ".join(map(repr, value)) + ")")
        elif value is not None:
            print(repr(value))
    else:
        exec(compile(ast.Module([statement], []), "<tour>", "exec"), variables)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for part, sections in PARTS.items():
        print(f"\n{'=' * 96}\n{part}\n{'=' * 96}")
        for section in sections:
            visit(section)
    print("\nPictures and tables written:")
    for name in ("sine.png", "graph.svg", "graph.png", "graph.txt"):
        print(f"  {OUT / name}")


if __name__ == "__main__":
    main()
