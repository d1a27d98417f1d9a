"""Drawings: values, local partials and both accumulations are right, and the picture shows them."""

import math
import subprocess
import sys
import threading
from xml.etree import ElementTree

import numpy as np
import pytest

import wengert as torch
from wengert import show


@pytest.fixture
def layout():
    """Skips where the extra `show` is not installed."""
    pytest.importorskip("fast_sugiyama", reason='needs the extra "show"')


def flagship(at=2.0):
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    return x, torch.log(x ** 2) * torch.sin(x) + x ** -1


def by_name(drawing):
    return {step.name: step for step in drawing.steps}


def check_accumulations(drawing, y, leaves):
    """Both accumulations arrive at what `autograd.grad` says, element by element."""
    for name, leaf in leaves.items():
        rows = [torch.autograd.grad(y.reshape(-1)[i], leaf, retain_graph=True,
                                    materialize_grads=True)[0].numpy().reshape(-1)
                for i in range(y.numel())]
        expected = np.array(rows).reshape((*y.shape, *leaf.shape))
        forward = drawing.steps[-1].tangents[name]
        np.testing.assert_allclose(forward, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(by_name(drawing)[name].adjoint, expected, rtol=1e-5, atol=1e-7)


# --- the graph of exercises 5 to 7 ------------------------------------------------------------


@pytest.mark.parametrize("at", [2.0, 0.5, -1.3])
def test_flagship_values_partials_and_accumulations(at):
    x, f = flagship(at)
    steps = by_name(show.graph(f))
    log = math.log(at * at)
    values = {"x": at, "v1": at ** 2, "v2": log, "v3": math.sin(at), "v4": log * math.sin(at),
              "v5": 1 / at, "f": log * math.sin(at) + 1 / at}
    for name, value in values.items():
        assert steps[name].value == pytest.approx(value), name
    partials = {(step.name, p.operand): p.value for step in steps.values() for p in step.partials}
    assert {edge: pytest.approx(float(p)) for edge, p in partials.items()} == {
        ("v1", "x"): 2 * at, ("v2", "v1"): 1 / at ** 2, ("v3", "x"): math.cos(at),
        ("v4", "v2"): math.sin(at), ("v4", "v3"): log, ("v5", "x"): -1 / at ** 2,
        ("f", "v4"): 1.0, ("f", "v5"): 1.0}
    tangents = {name: float(step.tangents["x"]) for name, step in steps.items()}
    adjoints = {name: float(step.adjoint) for name, step in steps.items()}
    derivative = 2 * math.sin(at) / at + log * math.cos(at) - 1 / at ** 2
    assert tangents["v2"] == pytest.approx(2 / at)
    assert adjoints["v2"] == pytest.approx(math.sin(at))
    assert tangents["f"] == pytest.approx(derivative)
    assert adjoints["x"] == pytest.approx(derivative)
    f.backward()
    assert x.grad == pytest.approx(derivative)


def test_table_of_the_flagship():
    _, f = flagship()
    assert str(show.graph(f)) == """\
step  name  operation  value   local partials                      d·/dx     df/d·
0     x                2                                           1         0.082395
1     v1    x ** 2     4       ∂v1/∂x = 4                          4         0.22732
2     v2    log(v1)    1.3863  ∂v2/∂v1 = 0.25                      1         0.9093
3     v3    sin(x)     0.9093  ∂v3/∂x = -0.41615                   -0.41615  1.3863
4     v4    v2 * v3    1.2606  ∂v4/∂v2 = 0.9093  ∂v4/∂v3 = 1.3863  0.3324    1
5     v5    x ** -1    0.5     ∂v5/∂x = -0.25                      -0.25     1
6     f     v4 + v5    1.7606  ∂f/∂v4 = 1  ∂f/∂v5 = 1              0.082395  1
---
df/dx = 0.082395 (forward), 0.082395 (reverse)"""


# --- programs of other kinds ------------------------------------------------------------------


def test_several_leaves_and_vectors():
    x = torch.tensor([1., 2., 3.], requires_grad=True)
    w = torch.tensor(3., requires_grad=True)
    y = w * x * x - x.mean()
    drawing = show.graph(y)
    assert drawing.leaves == ("x", "w")
    check_accumulations(drawing, y, {"x": x, "w": w})
    assert "diag(" in str(drawing)
    assert "∂y/∂w = [1, 4, 9] (forward)" in str(drawing)


def test_every_intermediate_adjoint_and_tangent_agrees_with_grad():
    x = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    u = torch.tanh(x)
    v = u * x
    y = torch.logsumexp(v, 0)
    steps = by_name(show.graph(y))
    for name, tensor in {"u": u, "v": v}.items():
        (adjoint,) = torch.autograd.grad(y, tensor, retain_graph=True)
        np.testing.assert_allclose(steps[name].adjoint, adjoint.numpy())
        (tangent,) = torch.autograd.grad(tensor, x, torch.ones(2, dtype=torch.float64),
                                         retain_graph=True)
        np.testing.assert_allclose(np.diagonal(steps[name].tangents["x"]), tangent.numpy())


def test_views_writes_in_place_and_several_results():
    x = torch.tensor([1., 2., 3.], requires_grad=True)
    w = torch.tensor(3., requires_grad=True)
    v = torch.ones(3) * x
    v[1:] *= 2
    v[0] = w
    v.mul_(2)
    a, b = torch.split(v[:2], 1)
    y = (v ** 2).sum() + (a * b).sum() + v.view(3, 1).t()[0, 1]
    drawing = show.graph(y)
    check_accumulations(drawing, y, {"x": x, "w": w})
    np.testing.assert_array_equal(by_name(drawing)["b"].value, [8.0])
    assert all(step.value is not None for step in drawing.steps)


def test_twin_edges_each_have_a_partial():
    x = torch.tensor(3., requires_grad=True)
    (_, result) = show.graph(x * x).steps
    assert [float(p.value) for p in result.partials] == [3.0, 3.0]
    assert result.tangents["x"] == 6


def test_part_of_the_leaves():
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = (x * w).sum()
    assert show.graph(y, wrt=w).leaves == ("w",)
    with pytest.raises(ValueError, match="not in the graph"):
        show.graph(y, wrt=torch.ones(2, requires_grad=True))


def test_tangents_by_an_intermediate():
    x = torch.tensor(2., requires_grad=True)
    u = x ** 2
    y = u ** 3
    drawing = show.graph(y, wrt=u)
    assert drawing.leaves == ("u",)
    assert drawing.steps[-1].tangents["u"] == 48
    assert drawing.steps[0].tangents["u"] == 0


def test_a_leaf_alone():
    x = torch.tensor(2., requires_grad=True)
    (step,) = show.graph(x).steps
    assert (step.name, step.value, step.adjoint) == ("x", 2, 1)


def test_large_tensors_are_shown_by_shape():
    data = torch.ones(100, 50)
    w = torch.ones(50, 10, requires_grad=True)
    b = torch.zeros(10, requires_grad=True)
    loss = torch.tanh(data @ w + b).mean()
    drawing = show.graph(loss)
    text = str(drawing)
    assert "float32[50, 10]" in text
    assert "mm(float32[100, 50], w)" in text
    assert "?" not in text
    expected = torch.autograd.grad(loss, [w, b])
    for name, g in zip("wb", expected, strict=True):
        np.testing.assert_allclose(by_name(drawing)[name].adjoint, g.numpy(), rtol=1e-5)


def test_complex_adjoints_are_the_gradients():
    c = torch.tensor([1 + 2j, -1j], requires_grad=True)
    y = (c * c.conj()).abs().sum()
    drawing = show.graph(y)
    np.testing.assert_allclose(by_name(drawing)["c"].adjoint,
                               torch.autograd.grad(y, c)[0].numpy())


def test_infinite_and_missing_numbers_flow_without_warnings():
    x = torch.tensor([0., -1.], requires_grad=True)
    drawing = show.graph(torch.sqrt(x) * 2)
    assert drawing.steps[-1].tangents["x"][0, 0] == math.inf
    assert "nan" in str(drawing)


# --- values that the tape does not keep -------------------------------------------------------


def shifted(x):
    return 5 * (x + 3)


def test_an_unknown_value_is_a_question_mark():
    x = torch.tensor(2., requires_grad=True)
    drawing = show.graph(shifted(x))
    assert drawing.steps[1].operation == "x + ?"
    assert drawing.steps[1].value is None
    assert drawing.steps[2].value == 25
    assert "?: not kept on the tape" in str(drawing)


def test_a_trace_knows_all_values():
    x = torch.tensor(2., requires_grad=True)
    with show.trace():
        y = shifted(x)
        y += 4
        y = y - 1
    steps = show.graph(y).steps
    assert [step.operation for step in steps[1:3]] == ["x + 3", "v1 * 5"]
    assert [float(step.value) for step in steps] == [2, 5, 25, 29, 28]


def test_a_trace_is_of_its_thread_and_ends():
    x = torch.tensor(2., requires_grad=True)
    found = []

    def other():
        found.append(show.graph(shifted(x)).steps[1].value)

    with show.trace():
        with show.trace():
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        inside = shifted(x)
    with pytest.raises(ZeroDivisionError), show.trace():
        1 / 0
    assert found == [None]
    assert show.graph(inside).steps[1].value == 5
    assert show.graph(shifted(x)).steps[1].value is None


def test_named_tensors_lend_their_values():
    x = torch.tensor(2., requires_grad=True)
    u = x + 3
    y = 5 * u
    assert by_name(show.graph(y))["u"].value == 5
    drawing = show.graph(y, names={"first": x, "last": y, "other": 3})
    assert [step.name for step in drawing.steps] == ["first", "v1", "last"]
    assert drawing.steps[1].value is None


def test_names_are_never_given_twice():
    x = torch.tensor(2., requires_grad=True)
    v1 = torch.sin(x)
    y = torch.exp(torch.cos(v1))
    names = [step.name for step in show.graph(y).steps]
    assert names == ["x", "v1", "v1'", "y"]


def test_overwritten_leaf_is_not_shown_with_its_new_value():
    x = torch.tensor(2., requires_grad=True)
    y = x * x
    with torch.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        show.graph(y)


# --- what it leaves alone, and what it refuses ------------------------------------------------


def test_drawing_changes_nothing():
    x, f = flagship()
    calls = []
    f.register_hook(calls.append)
    show.graph(f)
    assert x.grad is None
    assert not calls
    assert torch.is_grad_enabled()
    f.backward()
    assert x.grad is not None


def test_freed_graphs_say_what_to_do():
    _, f = flagship()
    f.backward(retain_graph=True)
    show.graph(f)
    f.backward()
    with pytest.raises(RuntimeError, match=r"before calling backward\(\).*retain_graph=True"):
        show.graph(f)


@pytest.mark.parametrize(("y", "error", "words"), [
    (3.0, TypeError, "expected a Tensor, got float"),
    (torch.ones(2), RuntimeError, "does not require grad"),
])
def test_what_is_no_recorded_result_is_refused(y, error, words):
    with pytest.raises(error, match=words):
        show.graph(y)


def test_graphs_too_large_to_be_read_are_refused():
    y = torch.ones((), requires_grad=True)
    for _ in range(2000):
        y = torch.sin(y)
    with pytest.raises(ValueError, match="more than 500 nodes"):
        show.graph(y)
    assert len(show.graph(y, most=3000).steps) == 2001


# --- the picture ------------------------------------------------------------------------------


def words_of(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter()
            if node.tag.endswith("text")]


def test_svg_is_well_formed_and_says_everything(layout):
    _, f = flagship()
    drawing = show.graph(f)
    words = words_of(drawing.svg)
    for label in ("x", "v1 = x ** 2", "v2 = log(v1)", "v3 = sin(x)", "v4 = v2 * v3",
                  "v5 = x ** -1", "f = v4 + v5"):
        assert label in words
    for step in drawing.steps:
        assert f"↓ d{step.name}/dx" in words
        assert f"↑ df/d{step.name}" in words
        for partial in step.partials:
            assert any(w.startswith(f"∂{step.name}/∂{partial.operand} = ") for w in words)
    assert drawing._repr_svg_() == drawing.svg


def test_everything_lies_within_the_picture(layout):
    x = torch.tensor([1., 2., 3.], requires_grad=True)
    v = torch.ones(3) * x
    v[1:] *= 2
    v[0] = x[0]
    root = ElementTree.fromstring(show.graph(v.sum() + (x * x)[1]).svg)
    width, height = float(root.get("width")), float(root.get("height"))
    for node in root.iter():
        if node.tag.endswith("rect"):
            left, top = float(node.get("x", 0)), float(node.get("y", 0))
            assert left >= 0
            assert left + float(node.get("width")) <= width
            assert top >= 0
            assert top + float(node.get("height")) <= height


def test_boxes_do_not_overlap(layout):
    x = torch.tensor(1.5, requires_grad=True)
    y = x
    for k in range(4):
        y = torch.sin(y) * torch.cos(x) + y / (k + 2)
    root = ElementTree.fromstring(show.graph(y).svg)
    boxes = [tuple(float(n.get(k)) for k in ("x", "y", "width", "height"))
             for n in root.iter() if n.tag.endswith("rect") and n.get("stroke")]
    assert len(boxes) == len(show.graph(y).steps)
    for i, (x1, y1, w1, h1) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[:i]:
            assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1


def test_names_are_escaped(layout):
    x = torch.tensor(1.5, requires_grad=True)
    assert "a<b & c" in words_of(show.graph(x * 2, names={"a<b & c": x}).svg)


def test_pictures_of_small_and_long_graphs(layout):
    x = torch.tensor(1.5, requires_grad=True)
    assert words_of(show.graph(x).svg)[0] == "x"
    y = x
    for _ in range(300):
        y = torch.sin(y)
    assert len(words_of(show.graph(y).svg)) > 300


def test_save(layout, tmp_path):
    _, f = flagship()
    drawing = show.graph(f)
    path = drawing.save(tmp_path / "new" / "graph.svg")
    assert path.read_text(encoding="utf-8") == drawing.svg
    assert drawing.save(tmp_path / "graph.txt").read_text(encoding="utf-8") == f"{drawing}\n"


def test_save_as_png(layout, tmp_path):
    pytest.importorskip("matplotlib", reason='needs the extra "show"')
    _, f = flagship()
    path = show.graph(f).save(tmp_path / "graph.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_missing_library_is_named_with_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    _, f = flagship()
    drawing = show.graph(f)
    assert "log(v1)" in str(drawing)  # the table needs no library
    with pytest.raises(ImportError, match=r'pip install "wengert\[show\]"'):
        drawing.svg
    with pytest.raises(ImportError, match=r'pip install "wengert\[show\]"'):
        drawing.save(tmp_path / "graph.svg")


def test_nothing_heavy_is_imported_before_it_is_used():
    code = ("import sys, wengert; assert 'wengert.show' not in sys.modules; wengert.show.graph; "
            "assert not {'fast_sugiyama', 'matplotlib'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
