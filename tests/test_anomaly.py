"""Anomaly detection: the first operation that made a NaN or an infinity is named, with its line."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.autograd import detect_anomaly, set_detect_anomaly
from wengert.core.levels import here, shared
from wengert.core.provenance import user_line
from wengert.interpreters.anomaly import finite
from wengert.utils.checkpoint import checkpoint


@pytest.fixture(autouse=True)
def modes_are_restored() -> Iterator[None]:
    yield
    assert (here.anomaly, here.hooks, here.grad, shared.special) == (False, None, True, 0)


def leaf(*values: float) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def told(run: Callable[[], Any], **settings: Any) -> tuple[str, list[str]]:
    """The message and the notes of the error that a program raises under anomaly detection."""
    with pytest.raises(RuntimeError) as caught, detect_anomaly(**settings):
        run()
    return str(caught.value), list(getattr(caught.value, "__notes__", ()))


def line_of(run: Callable[..., Any], words: str) -> str:
    """How a line of a function is named."""
    lines, first = inspect.getsourcelines(run)
    number = first + next(i for i, line in enumerate(lines) if words in line)
    return f'File "{__file__}", line {number}, in {run.__name__}'


# --- backward -----------------------------------------------------------------------------------


def test_a_rule_that_makes_nan() -> None:
    def run() -> None:
        x = leaf(4.0, 0.0)
        y = x.sqrt()  # here
        (y * 0).sum().backward()

    message, notes = told(run)
    assert message == "Function 'SqrtBackward0' returned nan values in its 0th output."
    assert notes == [
        f"SqrtBackward0 comes from the forward operation at {line_of(run, '# here')}",
        "It gave nan at element [1]; the gradient that it was given was finite."]


def test_an_infinity_in_forward_is_named_with_the_nan_that_came_of_it() -> None:
    def run() -> None:
        x = leaf(1.0, 0.0, 2.0)
        y = 1.0 / x  # first
        z = y.exp().clone() * 0.0
        (z * x).sum().backward()

    message, notes = told(run)
    assert "returned nan values" in message
    fault = "reciprocal(0) = inf at element [1] of its result (operands: float64 [3])"
    assert notes[-1] == (
        "The first NaN or infinity from finite operands on the way to it in forward: "
        f"{fault}, called at {line_of(run, '# first')}")


def test_a_fault_that_was_not_recorded() -> None:
    def run() -> None:
        x = leaf(1.0, 2.0)
        with torch.no_grad():
            weight = torch.ones(2, dtype=torch.float64).log().log()  # first
        (x * weight * 0.0).sum().backward()

    _, notes = told(run)
    assert notes[-1] == (
        "The first NaN or infinity from finite operands in forward (on no recorded way to it): "
        f"log(0) = -inf at element [0] of its result (operands: float64 [2]), called at "
        f"{line_of(run, '# first')}")


def test_the_first_infinity_in_backward_is_named() -> None:
    def run() -> None:
        x = leaf(0.0, 1.0)
        y = x.abs()
        z = y.sqrt()  # first
        (z * 1.0).sum().backward()

    message, notes = told(run)
    assert message == "Function 'AbsBackward0' returned nan values in its 0th output."
    assert "It gave nan at element [0]; the gradient that it was given was not finite." in notes
    assert notes[-1] == (
        "The first infinity in backward: SqrtBackward0 made inf at element [0] of its 0th output, "
        f"of the forward operation at {line_of(run, '# first')}")


def test_infinities_in_backward_can_be_errors() -> None:
    def run() -> None:
        leaf(0.0, 1.0).sqrt().sum().backward()

    message, _ = told(run, check_inf=True)
    assert message == "Function 'SqrtBackward0' returned infinite values in its 0th output."
    with detect_anomaly():
        run()


def test_nan_can_be_let_pass() -> None:
    x = leaf(0.0)
    with detect_anomaly(check_nan=False):
        (x.sqrt() * 0).sum().backward()
    assert x.grad.isnan().all()


def test_nodes_from_before_are_looked_at_too() -> None:
    x = leaf(0.0)
    y = (x.sqrt() * 0).sum()
    message, notes = told(y.backward)
    assert "SqrtBackward0" in message
    assert notes == ["Which forward operation that belongs to is not known: anomaly detection was "
                     "not on when it ran.",
                     "It gave nan at element [0]; the gradient that it was given was finite."]


def test_an_error_is_no_reference_cycle() -> None:
    def run() -> Any:
        y = leaf(0.0).sqrt() * 0
        try:
            with detect_anomaly():
                y.sum().backward()
        except RuntimeError:
            return weakref.ref(y)

    gc.disable()
    try:
        assert run()() is None
    finally:
        gc.enable()


def test_lines_are_told_after_the_mode_was_left() -> None:
    def fail(g: Any) -> Any:
        raise KeyError("planned")

    def run() -> Any:
        y = leaf(1.0).exp()  # here
        y.grad_fn.register_prehook(fail)
        return y.sum()

    with detect_anomaly():
        y = run()
    with pytest.raises(KeyError) as caught:
        y.backward()
    assert caught.value.__notes__ == [
        f"ExpBackward0 comes from the forward operation at {line_of(run, '# here')}"]


def test_what_was_recorded_in_a_derivative_names_both_lines() -> None:
    def run() -> None:
        x = leaf(0.0, 1.0)
        y = x.sqrt()  # forward
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)  # derivative
        (g * 0.0).sum().backward()

    message, notes = told(run)
    assert message.startswith("Function 'DivBackward0' returned nan")
    assert notes[0].endswith(line_of(run, "# derivative"))
    assert notes[1] == ("which was recorded in differentiating the operation at "
                        + line_of(run, "# forward"))
    assert "div(0.5, 0) = inf" in notes[-1] or "div(1, 0) = inf" in notes[-1]


def test_several_results() -> None:
    def run() -> None:
        x = leaf(3.0, 0.0)
        values, _ = x.sqrt().sort()
        (values * 0).sum().backward()

    assert told(run)[0].startswith("Function 'SqrtBackward0'")


def test_in_a_checkpoint() -> None:
    def f(x: Any) -> Any:
        return x.sqrt() * 0  # here

    message, notes = told(lambda: checkpoint(f, leaf(0.0)).sum().backward())
    assert message.startswith("Function 'SqrtBackward0'")
    assert notes[0].endswith(line_of(f, "# here"))


# --- overwritten values -------------------------------------------------------------------------


def test_an_overwritten_value_names_both_lines() -> None:
    def run() -> None:
        y = leaf(1.0, 2.0) * 2
        z = y * y  # saved
        y.add_(1)  # overwritten
        y.mul_(2)
        z.sum().backward()

    message, _ = told(run)
    assert "is at version 2; expected version 0 instead" in message
    assert message.endswith(
        f"Hint: it was saved by the operation at {line_of(run, '# saved')}. "
        f"It was overwritten at {line_of(run, '# overwritten')}.")


def test_an_overwritten_value_by_a_view() -> None:
    def run() -> None:
        y = leaf(1.0, 2.0).exp()
        z = y.tanh().sum() * y.sum()
        w = (y * y).sum()
        y[0] = 3.0  # overwritten
        (z + w).backward()

    assert told(run)[0].endswith(f"It was overwritten at {line_of(run, '# overwritten')}.")


def test_what_is_not_known_is_not_told() -> None:
    y = leaf(1.0, 2.0) * 2
    z = y * y
    y.add_(1)
    assert "before anomaly detection was enabled" in told(lambda: z.sum().backward())[0]
    y = leaf(1.0, 2.0) * 2
    with detect_anomaly():
        z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"saved by .* overwritten there or anywhere later"):
        z.sum().backward()


# --- forward ------------------------------------------------------------------------------------

CASES = [
    (lambda x: x.log(), "log(0) = -inf at element [1, 0] of its result (operands: float32 [2, 2])"),
    (lambda x: x / x, "div(0, 0) = nan at element [1, 0]"),
    (lambda x: 1 / x, "reciprocal(0) = inf at element [1, 0]"),
    (lambda x: (x * 1e20).square(), "square(1e+20) = inf at element [0, 0]"),
    (lambda x: (x * 1e20) @ (x * 1e20), "mm gave inf at element [0, 0] of its result (operands: "
     "float32 [2, 2], float32 [2, 2])"),
    (lambda x: (x * 1e38).sum(), "sum gave inf at element [] of its result"),
    (lambda x: x.mul_(1e38).mul_(4), "mul(1e+38, 4) = inf at element [0, 0]"),
    (lambda x: x.double().mul(1e300).float(), "inf at element [0, 0]"),
    (lambda x: (x * 1j).log(), "-inf+"),
]


@pytest.mark.parametrize(("run", "words"), CASES)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_forward_stops_at_once(run: Callable[[Any], Any], words: str, requires_grad: bool) -> None:
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0]], requires_grad=requires_grad).clone()
    message, _ = told(lambda: run(x), forward=True)
    assert words in message
    assert "although all operands are finite; called at" in message
    assert f'File "{__file__}"' in message
    with detect_anomaly():
        run(x)


def test_operands_that_are_not_finite_are_no_fault() -> None:
    x = torch.tensor([1.0, 2.0])
    with detect_anomaly(forward=True):
        (x * np.inf).exp()
        x.masked_fill(x > 1, -np.inf).softmax(0)
        torch.where(x > 1, x, np.nan).sum()
        x.norm(np.inf)
        torch.empty(3).fill_(np.nan)
        torch.tensor([np.nan]).log()


def test_forward_does_not_stop_derivatives() -> None:
    """What a rule makes is backward's affair, even where it is recorded."""
    x = leaf(0.0, 1.0)
    with detect_anomaly(forward=True):
        (g,) = torch.autograd.grad(x.sqrt().sum(), x, create_graph=True)
    assert g[0].item() == np.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (100, 100)])
def test_finite(dtype: Any, shape: tuple[int, ...]) -> None:
    big = np.finfo(dtype).max
    value = np.full(shape, big, dtype)
    assert finite(value)
    assert finite(value.T)
    assert finite(np.zeros((0, *shape), dtype))
    for bad in (np.inf, -np.inf, np.nan):
        other = value.copy()
        other[(-1,) * len(shape)] = bad
        assert not finite(other)
        assert not finite(other[None].T)
    assert finite(np.array([True]))
    assert finite(np.array([1 << 62]))


# --- the mode -----------------------------------------------------------------------------------


def test_the_mode_is_left_after_errors_and_nests() -> None:
    with pytest.raises(KeyError), detect_anomaly():
        raise KeyError("planned")
    with detect_anomaly():
        outer = here.anomaly
        with set_detect_anomaly(False):
            assert not torch.is_anomaly_enabled()
        with detect_anomaly(check_nan=False):
            assert here.anomaly is not outer
        assert here.anomaly is outer
        assert torch.is_anomaly_enabled()


def test_each_time_it_begins_anew() -> None:
    mode = detect_anomaly()
    with mode:
        torch.zeros(1).log()
        assert here.anomaly.first is not None
    with mode:
        assert here.anomaly.first is None

    @detect_anomaly()
    def run() -> Any:
        return here.anomaly

    assert run() is not run()


def test_threads_have_their_own() -> None:
    found: list[Any] = []

    def work() -> None:
        found.append(torch.is_anomaly_enabled())
        x = leaf(0.0)
        (x.sqrt() * 0).sum().backward()
        found.append(x.grad.isnan().all().item())
        found.append(told(lambda: (x.sqrt() * 0).sum().backward())[0])

    with detect_anomaly():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert torch.is_anomaly_enabled()
    assert found == [False, True, "Function 'SqrtBackward0' returned nan values in its 0th output."]


def test_lines_of_writes_are_few() -> None:
    x = torch.zeros(3)
    with detect_anomaly():
        for _ in range(200):
            x.add_(1.0)
    writes = x.alias.storage.writes
    assert len(writes) <= 100
    assert writes[-1][0] == 200


def test_a_line_may_span_several() -> None:
    def inner() -> Any:
        return user_line_of(
            torch.ones(2)
            .log()
            .log(),  # here
        )

    def user_line_of(x: Any) -> Any:
        return here.anomaly.first

    with detect_anomaly():
        fault = inner()
    assert str(fault).endswith(line_of(inner, "# here"))


def test_off_costs_nothing() -> None:
    x = leaf(1.0)
    y = x * x
    y.mul_(2.0)
    assert not hasattr(y.grad_fn, "line")
    assert not hasattr(y.alias.storage, "writes")
    assert y.grad_fn.extra is None
    assert user_line.__module__ == "wengert.core.provenance"


PROGRAMS = [
    "(z.sqrt() * 0).sum().backward()",
    "(z / z).sum().backward()",
    "z.sqrt().sum().backward(); z.grad",
    "(z + 1).backward(torch.tensor([1., float('nan')]))",
    "(z + 1).sum().backward(torch.tensor(float('inf'))); z.grad",
    "torch.autograd.grad(z.sqrt().sum(), z, create_graph=True)[0]",
    "(x - 1).abs().sqrt().sum().backward()",
    "y = x.log(); y.register_hook(lambda g: g * float('nan')); y.sum().backward()",
    "(x * float('nan')).sum().backward()",
    "y = x.exp(); y.retain_grad(); (y * float('inf')).sum().backward(); (x.grad, y.grad)",
]


@pytest.mark.parametrize("source", PROGRAMS)
def test_a_program_does_as_in_pytorch(source: str) -> None:
    compare = pytest.importorskip("oracle").compare
    head = ("torch.autograd.set_detect_anomaly(True)\n"
            "x, z = torch.ones(2, requires_grad=True), torch.zeros(2, requires_grad=True)\n")
    assert not compare(head + source.replace("; ", "\n"), warns=False)
