"""The code cells of the four documents that wengert starts from, and what they print.

Comments are left out. A cell's output is what it prints, then the repr of its last expression.
Where numbers are random, or addresses, only the structure counts (`random`). `warns` says how
often PyTorch warns that a non-leaf's `.grad` is read.
"""

from typing import NamedTuple


class Cell(NamedTuple):
    code: str
    shows: str = ""
    random: bool = False
    warns: int = 0
    raises: tuple[type[Exception], str] | None = None


CONTROL_FLOW = """\
def f(a):
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    if b.sum() > 0:
        c = b
    else:
        c = 100 * b
    return c
"""

NOTEBOOK = [
    Cell("""\
from torch import tensor
import torch

x : tensor = torch.arange(4.0, requires_grad=True)
x
""", "tensor([0., 1., 2., 3.], requires_grad=True)"),
    Cell("x.grad"),
    Cell("""\
y : tensor = 2 * torch.dot(x, x)
y
""", "tensor(28., grad_fn=<MulBackward0>)"),
    Cell("""\
y.backward()
x.grad
""", "tensor([ 0.,  4.,  8., 12.])"),
    Cell("x.grad == 4 * x", "tensor([True, True, True, True])"),
    Cell("""\
x.grad.zero_()
y = x.sum()
y.backward()
x.grad
""", "tensor([1., 1., 1., 1.])"),
    Cell("x, x.grad", "(tensor([0., 1., 2., 3.], requires_grad=True), tensor([1., 1., 1., 1.]))"),
    Cell("""\
x.grad.zero_()
x, x.grad
""", "(tensor([0., 1., 2., 3.], requires_grad=True), tensor([0., 0., 0., 0.]))"),
    Cell("""\
y = x * x
y.backward(gradient=torch.ones(len(y)))
x.grad
""", "tensor([0., 2., 4., 6.])"),
    Cell("""\
x.grad.zero_()
x, x.grad
""", "(tensor([0., 1., 2., 3.], requires_grad=True), tensor([0., 0., 0., 0.]))"),
    Cell("""\
y = x * x
u = y.detach()
z = u * x
u, z
""", """\
(tensor([0., 1., 4., 9.]),
 tensor([ 0.,  1.,  8., 27.], grad_fn=<MulBackward0>))"""),
    Cell("""\
z.sum().backward()
x.grad, x.grad == u
""", "(tensor([0., 1., 4., 9.]), tensor([True, True, True, True]))"),
    Cell("""\
x.grad.zero_()
x.grad
""", "tensor([0., 0., 0., 0.])"),
    Cell("""\
y.sum().backward()
x.grad, x.grad == 2 * x
""", "(tensor([0., 2., 4., 6.]), tensor([True, True, True, True]))"),
    Cell(CONTROL_FLOW),
    Cell("""\
a = torch.randn(size=(), requires_grad=True)
a
""", "tensor(0.4857, requires_grad=True)", random=True),
    Cell("""\
d = f(a)
d
""", "tensor(1989.2413, grad_fn=<MulBackward0>)", random=True),
    Cell("d.backward()"),
    Cell("a.grad, a.grad == d / a", "(tensor(4096.), tensor(True))", random=True),
    Cell("""\
a = torch.randn(size=(3, ), requires_grad=True)
d = f(a)
scalar_d = d.sum()
scalar_d.backward()
print(d, scalar_d, a, a.grad)
""", "tensor([1418.8359,  741.6139,  -53.5094], grad_fn=<MulBackward0>) "
     "tensor(2106.9402, grad_fn=<SumBackward0>) "
     "tensor([ 0.6928,  0.3621, -0.0261], requires_grad=True) tensor([2048., 2048., 2048.])",
         random=True),
]

TEXTBOOK = [
    Cell("import torch"),
    Cell("""\
x = torch.arange(4.0)
x
""", "tensor([0., 1., 2., 3.])"),
    Cell("""\
x.requires_grad_(True)
x.grad
"""),
    Cell("""\
y = 2 * torch.dot(x, x)
y
""", "tensor(28., grad_fn=<MulBackward0>)"),
    Cell("""\
y.backward()
x.grad
""", "tensor([ 0.,  4.,  8., 12.])"),
    Cell("x.grad == 4 * x", "tensor([True, True, True, True])"),
    Cell("""\
x.grad.zero_()
y = x.sum()
y.backward()
x.grad
""", "tensor([1., 1., 1., 1.])"),
    Cell("""\
x.grad.zero_()
y = x * x
y.backward(gradient=torch.ones(len(y)))
x.grad
""", "tensor([0., 2., 4., 6.])"),
    Cell("""\
x.grad.zero_()
y = x * x
u = y.detach()
z = u * x

z.sum().backward()
x.grad == u
""", "tensor([True, True, True, True])"),
    Cell("""\
x.grad.zero_()
y.sum().backward()
x.grad == 2 * x
""", "tensor([True, True, True, True])"),
    Cell(CONTROL_FLOW),
    Cell("""\
a = torch.randn(size=(), requires_grad=True)
d = f(a)
d.backward()
"""),
    Cell("a.grad == d / a", "tensor(True)"),
    Cell("a = torch.arange(5, dtype=float)"),
    Cell("""\
d = f(a)
d
""", "tensor([   0.,  256.,  512.,  768., 1024.], dtype=torch.float64)"),
    Cell("d.backward()", raises=(
        RuntimeError, "element 0 of tensors does not require grad and does not have a grad_fn")),
    Cell("""\
d = f(a)
gradient = torch.ones_like(d)
d.backward(gradient)
""", raises=(
        RuntimeError, "element 0 of tensors does not require grad and does not have a grad_fn")),
    Cell("""\
import matplotlib.pyplot as plt
import numpy as np

x = torch.arange(0,4*np.pi,0.1)
y = torch.sin(x)
y_d = y.grad()

plt.plot(x,y_d)
plt.show()
""", raises=(TypeError, "'NoneType' object is not callable")),
]

VECTOR_ANSWERS = [
    Cell("import torch\n" + CONTROL_FLOW + "a = torch.randn(3, requires_grad=True)"),
    Cell("""\
d = f(a)
d.backward()
""", raises=(RuntimeError, "grad can be implicitly created only for scalar outputs")),
    Cell("""\
d = f(a)
d.sum().backward()
"""),
    Cell("""\
d = f(a)
d.mean().backward()
"""),
    Cell("""\
d = f(a)
gradient = torch.ones_like(d)
d.backward(gradient)
"""),
    Cell("""\
for i in range(d.numel()):
    a.grad = None
    grad_tensor = torch.zeros_like(d)
    grad_tensor.view(-1)[i] = 1
    d = f(a)
    d.backward(grad_tensor, retain_graph=True)
    assert a.grad[i] == a.grad.sum() != 0
"""),
]
"""The textbook's answers to its exercise 3, which stand in its text and not in cells."""

LECTURE = [
    Cell("""\
import torch

x = torch.arange(4.0)
x
""", "tensor([0., 1., 2., 3.])"),
    Cell("""\
x.requires_grad_(True)
x.grad

print(x.grad)
""", "None"),
    Cell("""\
y = 2 * torch.dot(x, x)
y
""", "tensor(28., grad_fn=<MulBackward0>)"),
    Cell("""\
y.backward()
x.grad
""", "tensor([ 0.,  4.,  8., 12.])"),
    Cell("x.grad == 4 * x", "tensor([True, True, True, True])"),
    Cell("""\
x.grad.zero_()
y = x.sum()
y.backward()
x.grad
""", "tensor([1., 1., 1., 1.])"),
    Cell("""\
x.grad.zero_()
y = x * x

y.sum().backward()
x.grad
""", "tensor([0., 2., 4., 6.])"),
    Cell("""\
x.grad.zero_()
y = x * x
u = y.detach()
z = u * x

z.sum().backward()
x.grad == u
""", "tensor([True, True, True, True])"),
    Cell("""\
x.grad.zero_()
y.sum().backward()
x.grad == 2 * x
""", "tensor([True, True, True, True])"),
    Cell(CONTROL_FLOW.replace("f(a)", "f(x)")),
    Cell("""\
a = torch.randn(size=(), requires_grad=True)
d = f(a)

d.backward()

d
""", "tensor(1579.7686, grad_fn=<MulBackward0>)", random=True),
]

GRADIENTS = [
    Cell("""\
import numpy as np
import torch
"""),
    Cell("""\
a = torch.randn(2, 2, requires_grad=True)
b = torch.randn(2, 2, requires_grad=True)
c = torch.sum(a + b)
"""),
    Cell("c.backward()"),
    Cell("a.grad", "tensor([[1., 1.],\n        [1., 1.]])"),
    Cell("b.grad", "tensor([[1., 1.],\n        [1., 1.]])"),
    Cell("c.grad", warns=1),
    Cell("a", """\
tensor([[ 1.0796,  0.3734],
        [ 0.4797, -1.6013]], requires_grad=True)""", random=True),
    Cell("b", """\
tensor([[-0.8128, -1.8824],
        [ 1.6154, -0.2534]], requires_grad=True)""", random=True),
    Cell("c", "tensor(-1.0019, grad_fn=<SumBackward0>)", random=True),
    Cell("""\
a = torch.ones((2,2)).requires_grad_()
b = a ** 2
c = b.mean()
"""),
    Cell("c.backward()"),
    Cell("a.grad", "tensor([[0.5000, 0.5000],\n        [0.5000, 0.5000]])"),
    Cell("b.grad", warns=1),
    Cell("c.grad", warns=1),
    Cell("a", "tensor([[1., 1.],\n        [1., 1.]], requires_grad=True)"),
    Cell("b", "tensor([[1., 1.],\n        [1., 1.]], grad_fn=<PowBackward0>)"),
    Cell("c", "tensor(1., grad_fn=<MeanBackward0>)"),
    Cell("""\
x1 = torch.Tensor([1]).requires_grad_()
x2 = torch.Tensor([2]).requires_grad_()
"""),
    Cell("""\
y1 = (5*x1) + (3*x2)
y2 = (2*x1) + (1*x2)
"""),
    Cell("z = y1*y2"),
    Cell("""\
print(x1)
print(x2)
print(y1)
print(y2)
print(z)
""", """\
tensor([1.], requires_grad=True)
tensor([2.], requires_grad=True)
tensor([11.], grad_fn=<AddBackward0>)
tensor([4.], grad_fn=<AddBackward0>)
tensor([44.], grad_fn=<MulBackward0>)"""),
    Cell("z.backward()"),
    Cell("""\
print(x1.grad)
print(x2.grad)
print(y1.grad)
print(y2.grad)
print(z.grad)
""", """\
tensor([42.])
tensor([23.])
None
None
None""", warns=3),
    Cell("""\
print(x1.grad)
print(x1.grad_fn)
print('------------------')
print(x2.grad)
print(x2.grad_fn)
print('------------------')
print(y1.grad)
print(y1.grad_fn)
print('------------------')
print(y2.grad)
print(y2.grad_fn)
print('------------------')
print(z.grad)
print(z.grad_fn)
""", """\
tensor([42.])
None
------------------
tensor([23.])
None
------------------
None
<AddBackward0 object at 0x7f033cf78ee0>
------------------
None
<AddBackward0 object at 0x7f033cf78a30>
------------------
None
<MulBackward0 object at 0x7f033cf78d90>""", warns=3),
    Cell("""\
x = torch.rand((2, 2)).requires_grad_()
for i in range(3):
    y = (2 * x).mean()
    y.backward()
    print(f"Gradients at iteration {i+1}:")
    print(f"{x.grad}\\n")
    x.grad.zero_()
""", "\n\n".join(f"""\
Gradients at iteration {i}:
tensor([[0.5000, 0.5000],
        [0.5000, 0.5000]])""" for i in (1, 2, 3))),
    Cell("""\
tensor_one = torch.tensor([[1., 2.], [3., 4.]], requires_grad=True)
tensor_two = torch.tensor([[5., 6.], [7., 8.]], requires_grad=True)

final_tensor = (tensor_one + 2 * tensor_two).mean()
print(final_tensor)
print(final_tensor.requires_grad)
print(final_tensor.grad_fn)
print()
print(tensor_one.requires_grad)
print(tensor_one.grad_fn)
""", """\
tensor(15.5000, grad_fn=<MeanBackward0>)
True
<MeanBackward0 object at 0x7f033cf78850>

True
None"""),
    Cell("""\
final_tensor.backward()

print(f"{tensor_one.grad = }")

print(f"{tensor_two.grad = }")

print(f"{final_tensor.grad = }")
""", """\
tensor_one.grad = tensor([[0.2500, 0.2500],
        [0.2500, 0.2500]])
tensor_two.grad = tensor([[0.5000, 0.5000],
        [0.5000, 0.5000]])
final_tensor.grad = None""", warns=1),
    Cell("""\
tensor1 = torch.Tensor([[1, 2, 3],
                        [4, 5, 6]])
tensor1.requires_grad = True
"""),
    Cell("""\
with torch.no_grad():
    new_tensor = tensor1 * 3
    print('new_tensor = ', new_tensor)
    print('requires_grad for tensor1 = ', tensor1.requires_grad)
    print('requires_grad for new_tensor = ', new_tensor.requires_grad)
""", """\
new_tensor =  tensor([[ 3.,  6.,  9.],
        [12., 15., 18.]])
requires_grad for tensor1 =  True
requires_grad for new_tensor =  False"""),
    Cell("""\
tensor1.requires_grad_(False)
tensor1
""", "tensor([[1., 2., 3.],\n        [4., 5., 6.]])"),
    Cell("""\
tensor1.requires_grad_(True)
tensor1
""", "tensor([[1., 2., 3.],\n        [4., 5., 6.]], requires_grad=True)"),
    Cell("""\
new_tensor = tensor1.detach()
print(tensor1)
print(new_tensor)
""", """\
tensor([[1., 2., 3.],
        [4., 5., 6.]], requires_grad=True)
tensor([[1., 2., 3.],
        [4., 5., 6.]])"""),
    Cell("""\
@torch.no_grad()
def mult_by_three(x):
    y = x * 3
    print('new_tensor = ', y)
    print('requires_grad for tensor1 = ', x.requires_grad)
    print('requires_grad for new_tensor = ', y.requires_grad)
mult_by_three(tensor1)
""", """\
new_tensor =  tensor([[ 3.,  6.,  9.],
        [12., 15., 18.]])
requires_grad for tensor1 =  True
requires_grad for new_tensor =  False"""),
]

DOCUMENTS = {
    "notebook": NOTEBOOK, "textbook": TEXTBOOK, "vector answers": VECTOR_ANSWERS,
    "lecture": LECTURE, "gradients": GRADIENTS,
}
