"""Small programs on wengert and on PyTorch: the same values, texts, histories and errors.

Each line (or block) of a table is a program whose last line is an expression; see `oracle` for
what is compared. Where the two are meant to differ is written down in `DIFFER`.
"""

from __future__ import annotations

import itertools

import pytest

from oracle import compare

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
          "complex64", "complex128")
FLOATS = ("float16", "float32", "float64")

CREATION = """
torch.tensor(3)
torch.tensor(3.5)
torch.tensor(True)
torch.tensor(1j)
torch.tensor([])
torch.tensor([[]])
torch.tensor([1, 2.5])
torch.tensor([True, 2])
torch.tensor([1, 2j])
torch.tensor(((1, 2), (3, 4)))
torch.tensor(range(3))
torch.tensor(np.arange(3))
torch.tensor(np.float32(2))
torch.tensor(np.ones((2, 2), np.int8))
torch.tensor([torch.tensor(1), torch.tensor(2)])
torch.tensor([np.float64(1.5), 2])
torch.tensor([1, 2], dtype=float)
torch.tensor([1.7, -2.7], dtype=torch.int32)
torch.tensor([0.5, 0], dtype=bool)
torch.tensor([1., 2.], requires_grad=True)
torch.tensor(torch.ones(2))
torch.Tensor([1, 2])
torch.Tensor(2, 3).shape
torch.Tensor().shape
torch.zeros(2, 3)
torch.zeros((2, 3), dtype=torch.int8)
torch.zeros([2])
torch.zeros(())
torch.zeros(0)
torch.zeros(2, 0)
torch.ones(2, dtype=bool)
torch.ones(torch.Size([1, 2]))
torch.ones(2, requires_grad=True)
torch.full((2, 2), 3)
torch.full((2,), 3.)
torch.full((2,), True)
torch.full((), 1j)
torch.full((2,), 3, dtype=torch.float64)
torch.eye(2)
torch.eye(2, 3)
torch.eye(3, 2, dtype=torch.int64)
torch.arange(5)
torch.arange(5.)
torch.arange(1, 5)
torch.arange(1, 2, 0.25)
torch.arange(5, 0, -2)
torch.arange(0)
torch.arange(3, dtype=torch.float64)
torch.arange(0.5, 3)
torch.linspace(0, 1, 5)
torch.linspace(-1, 1, 4, dtype=torch.float64)
torch.linspace(0, 10, 1)
torch.linspace(3, 3, 0)
torch.linspace(0, 10, 4, dtype=torch.int64)
torch.logspace(0, 2, 3)
torch.zeros_like(torch.ones(2, dtype=torch.int16))
torch.ones_like(torch.ones(2, 2), dtype=torch.int16)
torch.full_like(torch.ones(2, 2), 7)
torch.empty(2, 3).shape
torch.empty_like(torch.ones(2, dtype=torch.float64)).dtype
torch.as_tensor([1, 2])
torch.as_tensor(np.ones(2))
a = np.ones(2); x = torch.as_tensor(a); a[0] = 5; x
a = np.ones(2); x = torch.from_numpy(a); x[1] = 7; a
x = torch.ones(2); n = x.numpy(); x += 1; n
torch.ones(2).new_zeros(3)
torch.ones(2, dtype=torch.int64).new_tensor([1.5, 2.5])
torch.ones(2).new_full((2,), 3)
torch.ones(2).new_ones((1, 2), dtype=torch.int32)
torch.randn(2, 3).shape
torch.manual_seed(3); torch.rand(3)
torch.manual_seed(3); torch.randn(4)
torch.manual_seed(3); torch.randint(0, 10, (5,))
torch.manual_seed(0); torch.randperm(6)
torch.manual_seed(1); torch.randn(2, 2, dtype=torch.float64)
torch.manual_seed(1); torch.rand_like(torch.ones(2))
torch.manual_seed(1); torch.bernoulli(torch.full((4,), 0.5))
torch.manual_seed(1); torch.zeros(3).uniform_(-1, 1)
torch.manual_seed(1); torch.zeros(3).normal_(1, 2)
g = torch.Generator().manual_seed(5); torch.rand(2, generator=g)
torch.set_default_dtype(torch.float64); (torch.tensor(1.5), torch.ones(1), torch.arange(2.), torch.tensor(1j))
torch.get_default_dtype()
torch.promote_types(torch.int32, torch.float16)
torch.can_cast(torch.float64, torch.int32)
torch.is_tensor([1])
torch.is_floating_point(torch.ones(1))
torch.ones(2, 3).numel()
(torch.float32.itemsize, torch.complex64.is_complex, torch.uint8.is_signed)
"""

SHAPES = """
x = torch.arange(6.).reshape(2, 3); x.view(3, 2)
torch.arange(6).view(-1, 2)
torch.arange(6).reshape((3, -1))
torch.arange(6).reshape(2, 3).t()
torch.arange(6).reshape(2, 3).T
torch.arange(6).reshape(2, 3).T.contiguous()
torch.arange(6).reshape(2, 3).T.reshape(-1)
torch.arange(6).reshape(2, 3).T.is_contiguous()
torch.arange(6).reshape(2, 3).stride()
torch.arange(6).reshape(2, 3).T.stride()
torch.arange(6).reshape(2, 3)[1:].storage_offset()
torch.arange(24).reshape(2, 3, 4).mT.shape
torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1).shape
torch.arange(24).reshape(2, 3, 4).permute((2, 0, 1)).shape
torch.arange(24).reshape(2, 3, 4).transpose(-1, 0).shape
torch.arange(24).reshape(2, 3, 4).movedim(0, -1).shape
torch.arange(24).reshape(2, 3, 4).movedim((0, 1), (1, 0)).shape
torch.arange(24).reshape(2, 3, 4).flatten(1).shape
torch.arange(24).reshape(2, 3, 4).flatten(0, 1).shape
torch.tensor(3).flatten()
torch.arange(6).unflatten(0, (2, 3))
torch.zeros(1, 2, 1).squeeze().shape
torch.zeros(1, 2, 1).squeeze(0).shape
torch.zeros(1, 2, 1).squeeze(1).shape
torch.zeros(1, 2, 1).squeeze((0, 2)).shape
torch.zeros(2).unsqueeze(0).shape
torch.zeros(2).unsqueeze(-1).shape
torch.arange(3).expand(2, 3)
torch.arange(2).reshape(2, 1).expand(-1, 3)
torch.arange(3).expand(2, -1).stride()
torch.arange(3).broadcast_to((2, 3))
torch.broadcast_tensors(torch.zeros(2, 1), torch.zeros(3))[0].shape
torch.cat([torch.ones(2), torch.zeros(1)])
torch.cat([torch.ones(2, 1), torch.zeros(2, 2)], 1)
torch.cat([torch.ones(2, 1), torch.zeros(2, 2)], dim=-1)
torch.cat((torch.ones(2), torch.tensor([1, 2])))
torch.cat([torch.tensor([]), torch.ones(2, 2)])
torch.stack([torch.ones(2), torch.zeros(2)])
torch.stack([torch.ones(2), torch.zeros(2)], 1)
torch.stack([torch.ones(2), torch.zeros(2)], -1)
torch.arange(5).split(2)
torch.arange(5).split([1, 4])
torch.arange(6).reshape(2, 3).split(2, 1)
torch.arange(5).chunk(2)
torch.arange(5).chunk(4)
torch.arange(6).reshape(2, 3).unbind(1)
torch.arange(3).flip(0)
torch.arange(6).reshape(2, 3).flip(0, 1)
torch.arange(6).reshape(2, 3).flip((1,))
torch.arange(5).roll(2)
torch.arange(6).reshape(2, 3).roll(1, 0)
torch.arange(6).reshape(2, 3).roll((1, 1), (0, 1))
torch.arange(2).repeat(3)
torch.arange(2).repeat(2, 2)
torch.arange(2).tile(3)
torch.arange(4).reshape(2, 2).tile((2,))
torch.diag(torch.arange(3))
torch.diag(torch.arange(9).reshape(3, 3))
torch.diag(torch.arange(9).reshape(3, 3), 1)
torch.arange(2).diag(-1)
torch.arange(9).reshape(3, 3).diagonal(1)
torch.ones(3, 3).tril()
torch.ones(3, 3).triu(1)
torch.ones(2, 3, 3).tril(-1).sum()
torch.ones(2, 2).ravel().shape
torch.ones(4).view_as(torch.ones(2, 2)).shape
torch.ones(2, 2).reshape_as(torch.ones(4)).shape
x = torch.zeros(4); x.view(2, 2)[0, 0] = 1; x
x = torch.arange(4.); y = x.view(torch.int32); y.dtype
torch.ones(2, 3).size()
torch.ones(2, 3).size(-1)
torch.ones(2, 3).shape[0]
repr(torch.ones(2, 3).shape)
torch.ones(2, 3).dim()
x = torch.ones(2); x.contiguous() is x
torch.ones(2, 2).to(torch.float64)
torch.ones(2).to(torch.ones(1, dtype=torch.int32))
x = torch.ones(2); x.to(torch.float32) is x
torch.ones(2).type()
torch.ones(2).type(torch.int32)
torch.ones(2).double().type_as(torch.ones(1))
(torch.ones(1).float().dtype, torch.ones(1).half().dtype, torch.ones(1).long().dtype, torch.ones(1).bool().dtype)
torch.tensor([1.7, -1.7]).int()
torch.tensor([300.]).to(torch.float64).to(torch.int16)
torch.ones(2).device
torch.swapaxes(torch.ones(2, 3), 0, 1).shape
torch.narrow(torch.arange(5), 0, 1, 3)
torch.select(torch.arange(6).reshape(2, 3), 1, 2)
torch.index_select(torch.arange(6).reshape(2, 3), 1, torch.tensor([2, 0]))
torch.gather(torch.arange(6).reshape(2, 3), 1, torch.tensor([[2, 0], [1, 1]]))
torch.zeros(3).scatter_add(0, torch.tensor([0, 0, 2]), torch.tensor([1., 2., 3.]))
torch.nonzero(torch.tensor([[1, 0], [0, 2]]))
torch.nonzero(torch.tensor([1, 0, 3]), as_tuple=True)
torch.where(torch.tensor([True, False]))
torch.where(torch.tensor([True, False]), 1., 2)
torch.where(torch.tensor([True, False]), torch.ones(2), 0)
torch.where(torch.tensor([True, False]), torch.ones(2, dtype=torch.int32), torch.ones(2))
torch.isclose(torch.tensor([1., 2.]), torch.tensor([1., 2.1]))
torch.allclose(torch.tensor([1., 2.]), torch.tensor([1., 2. + 1e-9]))
torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
"""

INDEXING = """
x[0]
x[-1]
x[1, 2]
x[1][2]
x[1:]
x[:, 1]
x[::2]
x[:, ::2]
x[..., 0]
x[0, ...]
x[...]
x[:]
x[None]
x[:, None]
x[None, 1, None]
x[[0, 1]]
x[[1, 1, 0]]
x[[0, 1], [2, 0]]
x[torch.tensor([1, 0])]
x[torch.tensor(1)]
x[torch.tensor([[0, 1], [1, 0]])]
x[:, torch.tensor([2, 0])]
x[torch.tensor([0, 1]), 1]
x[0, torch.tensor([2, 0])]
x[None, torch.tensor([1])]
x[:, None, [0, 2]]
x[[0, 1], None, [1, 2]]
x[x > 2]
x[x > 100]
x[torch.tensor([True, False])]
x[[True, False]]
x[torch.tensor([True, False]), 1]
x[:, torch.tensor([True, False, True])]
x[x[:, 0] > 2, 1:]
x[True]
x[False]
x[np.array([1, 0])]
x[np.int64(1)]
x[[]]
x[torch.tensor([], dtype=torch.long)]
x[2:]
x[0:0]
x[-1:]
x[5:9]
x[torch.tensor(0):torch.tensor(1)]
x[()]
x[1, -1]
x[torch.tensor([-1])]
x[torch.tensor([0, 1], dtype=torch.int32)]
x[torch.tensor([0, 1], dtype=torch.uint8)]
x[((0, 1), (1, 2))]
x[2]
x[-3]
x[0, 3]
x[0, 0, 0]
x[[2]]
x[[0, 1], [3, 0]]
x[torch.tensor([0, 5])]
x[1.5]
x["a"]
x[::-1]
x[0:1:0]
x[torch.tensor([1.5])]
x[torch.tensor([True])]
x[torch.tensor([[True, False]])]
x[..., ...]
x[[0, 1], [0, 1, 2]]
x[0][0][0]
""".strip().splitlines()

VALUES = ("5", "7.5", "torch.tensor(3)", "torch.tensor([1., 2.])", "torch.ones(1)",
          "torch.tensor([[9.]])", "torch.full((2, 3), 4.)", "True")

REDUCTIONS = ("sum mean prod max min amax amin argmax argmin all any var std norm logsumexp softmax "
              "log_softmax cumsum sort argsort").split()
TENSORS = ("torch.tensor([[1., -2., 3.], [4., 3., 4.]])", "torch.tensor([2., 2., 1.])",
           "torch.tensor(2.5)", "torch.zeros(0)", "torch.zeros(2, 0)", "torch.arange(6).reshape(2, 3)",
           "torch.tensor([True, False])", "torch.tensor([1., math.nan, 2.])",
           "torch.arange(24.).reshape(2, 3, 4)")

PRODUCTS = """
torch.dot(torch.arange(3.), torch.ones(3))
torch.arange(3.) @ torch.ones(3)
torch.arange(6.).reshape(2, 3) @ torch.ones(3)
torch.ones(2) @ torch.arange(6.).reshape(2, 3)
torch.arange(6.).reshape(2, 3) @ torch.arange(6.).reshape(3, 2)
torch.arange(6).reshape(2, 3) @ torch.arange(6).reshape(3, 2)
(torch.ones(5, 2, 3) @ torch.ones(3, 4)).shape
(torch.ones(5, 2, 3) @ torch.ones(5, 3, 4)).shape
(torch.ones(2, 1, 2, 3) @ torch.ones(5, 3, 4)).shape
(torch.ones(3) @ torch.ones(5, 3, 4)).shape
(torch.ones(5, 2, 3) @ torch.ones(3)).shape
torch.ones(2, 0) @ torch.ones(0, 3)
torch.mv(torch.ones(2, 3), torch.arange(3.))
torch.mm(torch.ones(2, 3), torch.ones(3, 1))
torch.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1))
torch.outer(torch.arange(3.), torch.arange(2.))
torch.addmm(torch.ones(2, 2), torch.ones(2, 3), torch.ones(3, 2), beta=2, alpha=3)
torch.einsum('ij,jk->ik', torch.arange(6.).reshape(2, 3), torch.ones(3, 2))
torch.einsum('ii', torch.arange(9.).reshape(3, 3))
torch.einsum('ii->i', torch.arange(9.).reshape(3, 3))
torch.einsum('ij->ji', torch.arange(6.).reshape(2, 3))
torch.einsum('i,j->ij', torch.arange(3.), torch.ones(2))
torch.einsum('bij,bjk->bik', torch.ones(2, 3, 4), torch.ones(2, 4, 5)).shape
torch.einsum('...ij,...jk', torch.ones(2, 3, 4), torch.ones(4, 5)).shape
torch.einsum('i->', torch.arange(3.))
torch.einsum('ij,ij', torch.ones(2, 2), torch.ones(2, 2))
torch.einsum('ij, jk', [torch.ones(2, 2), torch.ones(2, 2)])
torch.einsum('i,i,i->i', torch.arange(3.), torch.arange(3.), torch.ones(3))
"""

PYTHON = """
len(torch.ones(3, 2))
[v.item() for v in torch.arange(3)]
list(torch.arange(2))
bool(torch.tensor([2.]))
bool(torch.tensor(False))
float(torch.tensor(2))
int(torch.tensor(2.7))
complex(torch.tensor(1j))
[10, 20, 30][torch.tensor(1)]
torch.tensor(2.5).item()
torch.tensor([[3]]).item()
torch.tensor(True).item()
torch.ones(2, 2).tolist()
torch.tensor(3).tolist()
torch.zeros(0).tolist()
torch.ones(2).numpy()
2 in torch.arange(3)
5. in torch.arange(3)
torch.tensor(1) in torch.arange(3)
x = torch.ones(2, requires_grad=True); copy.deepcopy(x)
x = torch.ones(2, requires_grad=True); x.sum().backward(); copy.deepcopy(x).grad
x = torch.ones(2, requires_grad=True); (copy.deepcopy([x, x])[0] is copy.deepcopy([x, x])[1])
pickle.loads(pickle.dumps(torch.arange(3.)))
pickle.loads(pickle.dumps(torch.ones(2, 2, dtype=torch.int8).T))
pickle.loads(pickle.dumps(torch.ones(2, requires_grad=True)))
np.asarray(torch.ones(2))
np.array(torch.arange(3)) + 1
np.sin(torch.zeros(2).numpy())
f"{torch.tensor(3.14159):.2f}"
f"{torch.tensor([1.5])}"
str(torch.tensor([1e10, 1.]))
x = torch.ones(1); {x: 1}[x]
isinstance(torch.ones(1), torch.Tensor)
-torch.tensor([1, -2])
+torch.tensor([1.])
abs(torch.tensor([-1.5]))
~torch.tensor([True, False])
~torch.tensor([1, 2])
divmod(7, 2)
torch.tensor([1, 2]) + np.array([1, 2])
torch.ones(2) * np.float64(2)
np.float64(2) * 1.5
round(torch.tensor([1.56]), decimals=1)
x = torch.ones(2); x.foo = 3; x.foo
sum(torch.arange(4))
max(torch.tensor([3, 1]))
torch.tensor([1., 2.]) == torch.tensor([1., 3.])
torch.tensor([1., 2.]) != 1
torch.ones(2) == None
torch.ones(2) == 'a'
torch.ones(2).eq(1).all()
a, b = torch.arange(2); (a, b)
torch.ones(2).is_floating_point()
torch.ones(2).element_size()
torch.ones(2).nbytes
torch.ones(2).ndim
torch.ones(2, requires_grad=True).numpy(force=True)
"""

BACKWARD = r"""
x = torch.tensor(3., requires_grad=True); y = x * x; y.backward(); (x, y)
x = torch.ones(2, requires_grad=True); (x * 2).sum().backward(); (x * 3).sum().backward(); x
x = torch.ones(2, requires_grad=True); y = (x * 2).sum(); y.backward(); g = x.grad; (x * 3).sum().backward(); g is x.grad
x = torch.ones(2, requires_grad=True); (x * 2).backward(torch.tensor([1., 10.])); x.grad
x = torch.ones(2, requires_grad=True); y = (x * x).sum(); y.backward(retain_graph=True); y.backward(); x.grad
x = torch.ones(2, requires_grad=True); y = (x * x).sum(); y.backward(); y.backward()
x = torch.ones(2, requires_grad=True); y = (x + x).sum(); y.backward(); y.backward(); x.grad
x = torch.ones(2, requires_grad=True); (x * 2).backward()
torch.ones(2).sum().backward()
x = torch.ones(2, requires_grad=True); (x * 2).backward(torch.ones(3))
x = torch.ones(2, requires_grad=True); (x * 2).backward(1.0)
x = torch.ones(2, requires_grad=True); (x * 2).sum().backward(torch.tensor(2, dtype=torch.float64)); x.grad
x = torch.tensor(2., requires_grad=True); y = x ** 3; g, = torch.autograd.grad(y, x, create_graph=True); (g, torch.autograd.grad(g, x))
x = torch.tensor(2., requires_grad=True); y = x ** 3; y.backward(create_graph=True); x.grad
x = torch.ones(2, requires_grad=True); z = torch.ones(2, requires_grad=True); torch.autograd.grad((x * 2).sum(), [x, z])
x = torch.ones(2, requires_grad=True); z = torch.ones(2, requires_grad=True); torch.autograd.grad((x * 2).sum(), [x, z], allow_unused=True)
x = torch.ones(2, requires_grad=True); z = torch.ones(2, requires_grad=True); torch.autograd.grad((x * 2).sum(), [x, z], materialize_grads=True)
x = torch.ones(2, requires_grad=True); torch.autograd.grad((x * 2).sum(), x, allow_unused=False, materialize_grads=True)
x = torch.ones(2, requires_grad=True); torch.autograd.grad((x * 2).sum(), torch.ones(2))
x = torch.ones(2, requires_grad=True); torch.autograd.grad((x * 2), x)
x = torch.ones(2, requires_grad=True); torch.autograd.grad((x * 2), x, torch.ones(2))
x = torch.ones(2, requires_grad=True); torch.autograd.grad([x.sum(), (2 * x).sum()], x)
x = torch.ones(2, requires_grad=True); torch.autograd.grad(x * 2, x, torch.eye(2), is_grads_batched=True)
x = torch.ones(2, requires_grad=True); y = x * 2; z = (y * y).sum(); torch.autograd.grad(z, [y, x])
x = torch.ones(2, requires_grad=True); y = x * 2; z = (y * y).sum(); z.backward(inputs=[y]); (x.grad, y.grad)
x = torch.ones(2, requires_grad=True); y = torch.ones(2, requires_grad=True); (x * y).sum().backward(inputs=x); (x.grad, y.grad)
x = torch.ones(2, requires_grad=True); (x * 2).sum().backward(inputs=[])
x = torch.ones(2, requires_grad=True); torch.autograd.backward([x.sum(), (3 * x).sum()]); x.grad
x = torch.ones(2, requires_grad=True); torch.autograd.backward([x * 2, x * 3], [torch.ones(2), torch.ones(2)]); x.grad
x = torch.ones(2, requires_grad=True); y = x * 2; y.retain_grad(); y.sum().backward(); (y.grad, y.retains_grad, x.retains_grad)
x = torch.ones(2, requires_grad=True); y = x * 2; y.sum().backward(); y.grad
x = torch.ones(2); x.retain_grad()
x = torch.ones(2, requires_grad=True); x.retain_grad(); x.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); y = x.detach(); (y.requires_grad, y.is_leaf, y)
x = torch.ones(2, requires_grad=True); y = x.detach(); y[0] = 5; x
x = torch.ones(2, requires_grad=True); y = x * 2; y.detach_(); (y, y.is_leaf)
x = torch.ones(2, requires_grad=True); y = (x * 2)[0]; y.detach_()
x = torch.ones(2, requires_grad=True); x.data[0] = 5; (x, x._version)
x = torch.ones(2, requires_grad=True); x.data = torch.zeros(3); x
x = torch.ones(2, requires_grad=True); x.requires_grad_(False); x
x = torch.ones(2, requires_grad=True); y = x * 2; y.requires_grad_(False)
x = torch.ones(2, requires_grad=True); y = x * 2; y.requires_grad = False
x = torch.ones(2, dtype=torch.int64); x.requires_grad_()
torch.ones(2, dtype=torch.int64, requires_grad=True)
x = torch.ones(2, requires_grad=True); x.grad = torch.ones(3)
x = torch.ones(2, requires_grad=True); x.grad = torch.ones(2, dtype=torch.float64)
x = torch.ones(2, requires_grad=True); x.grad = 3
x = torch.ones(2, requires_grad=True); x.grad = torch.full((2,), 7.); x.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); x.sum().backward(); x.grad.zero_(); (x.grad, x.grad._version)
x = torch.ones(2, requires_grad=True); x.sum().backward(); x.grad = None; x.grad
x = torch.ones(2, requires_grad=True); x.sum().backward(); del x.grad; x.grad
x = torch.ones(2, requires_grad=True); x += 1
x = torch.ones(2, requires_grad=True); x[0] = 1
x = torch.ones(2, requires_grad=True); x[:1].add_(1)
x = torch.ones(2, requires_grad=True); x.zero_()
with torch.no_grad():\n    x = torch.ones(2, requires_grad=True); x += 1\nx
x = torch.ones(2, requires_grad=True); y = x * x; y += 1; y.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); y = x.exp(); y += 1; y.sum().backward()
x = torch.ones(2, requires_grad=True); y = x * 2; z = y * y; y += 1; z.sum().backward()
x = torch.ones(2, requires_grad=True); y = x * 2; y *= y; y.sum().backward()
x = torch.ones(2, requires_grad=True); y = x * 2; y[0] = 0; y.sum().backward(); (x.grad, y)
x = torch.ones(2, requires_grad=True); y = x.clone(); y[0] *= 5; y.sum().backward(); (x.grad, y)
x = torch.ones(2, 2, requires_grad=True); y = x.clone(); y[:, 0].mul_(3); y.sum().backward(); (x.grad, y)
x = torch.ones(2, 2, requires_grad=True); y = x * 1; v = y[0]; y.mul_(2); (v * 3).sum().backward(); (x.grad, v)
x = torch.ones(2, 2, requires_grad=True); y = x * 1; v = y[0]; w = y[0, 0]; v.mul_(2); (w * 3).backward(); (x.grad, w)
x = torch.zeros(2, 2); w = torch.ones(2, requires_grad=True); x[0] = w * 3; x.sum().backward(); (w.grad, x)
x = torch.zeros(3); w = torch.ones(2, requires_grad=True); x[[0, 2]] = w; (x * x).sum().backward(); (w.grad, x)
x = torch.zeros(3); w = torch.tensor(2., requires_grad=True); x[x == 0] = w; x.sum().backward(); (w.grad, x)
x = torch.zeros(3); w = torch.tensor(2., requires_grad=True); x.copy_(w); x.sum().backward(); (w.grad, x)
x = torch.zeros(3); w = torch.tensor(2., requires_grad=True); x.fill_(w); x.sum().backward(); (w.grad, x)
x = torch.ones(3, requires_grad=True); y = x * 2; y.fill_(3); y.sum().backward(); (x.grad, y)
x = torch.ones(3, requires_grad=True); y = x * 2; y.zero_(); y.sum().backward(); (x.grad, y)
x = torch.ones(3, requires_grad=True); y = x * 2; y.masked_fill_(x > 0, 1); y.sum().backward(); (x.grad, y)
x = torch.ones(3, requires_grad=True); y = x.masked_fill(x > 0, 1); (y, y.sum())
x = torch.ones(2, 2, requires_grad=True); a, b = x.unbind(); a.mul_(2)
x = torch.ones(2, 2, requires_grad=True); a, b = (x * 1).split(1); a.add_(2)
x = torch.ones(2, requires_grad=True); y = x.view(2); y.mul_(2)
x = torch.ones(2); y = x.view(2); y.mul_(2); (x, y, x._version)
x = torch.ones(2); v = x[0]; x.requires_grad_(); (x * 2).sum().backward(); x.grad
x = torch.ones(1); x.add_(1).mul_(2); x._version
x = torch.ones(2); y = x.detach(); y += 1; (x._version, y._version)
x = torch.ones(2); y = x.data; y += 1; (x._version, y._version)
x = torch.ones(3, requires_grad=True); y = x.expand(2, 3); y.sum().backward(); x.grad
x = torch.ones(3, requires_grad=True); (x + torch.ones(2, 1)).sum().backward(); x.grad
x = torch.ones(3, requires_grad=True); (x.double() * 2).sum().backward(); x.grad
x = torch.ones(3, dtype=torch.float16, requires_grad=True); (x * torch.ones(3)).sum().backward(); x.grad
x = torch.ones((), requires_grad=True); (x * torch.ones(3)).sum().backward(); x.grad
x = torch.ones(1, requires_grad=True); y = x; [y := y + 1 for _ in range(5)]; y.backward(); (x.grad, y)
"""

OVERLAP = r"""
x = torch.arange(4.); x[1:].add_(x[:-1])
x = torch.arange(4.); x.add_(x); x
x = torch.arange(4.).reshape(2, 2); x.copy_(x.T)
x = torch.arange(4.); x[[0, 1]] = x[:2]; x
x = torch.arange(4.); x.expand(2, 4).add_(1)
x = torch.arange(4.); x.expand(2, 4).zero_(); x
x = torch.arange(4.); x[0] = x[1]; x
x = torch.arange(16.).reshape(4, 4); x.diagonal().neg_(); x
x = torch.arange(16.); x[::4].neg_(); x
x = torch.arange(3., requires_grad=True); y = x * 1; v = y.expand(2, 3); y.mul_(2); v.sum().backward(); x.grad
"""

HOOKS = r"""
x = torch.ones(2, requires_grad=True); l = []; h = x.register_hook(lambda g: l.append(g.clone())); x.sum().backward(); l
x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: g * 2); x.register_hook(lambda g: g + 1); x.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); h = x.register_hook(lambda g: g * 2); h.remove(); x.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); h = x.register_hook(lambda g: g * 2); h.remove(); h.remove(); x.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); y = x * 2; y.register_hook(lambda g: g * 5); y.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); y = x * 2; y.register_hook(lambda g: g * 5); y.retain_grad(); y.sum().backward(); (x.grad, y.grad)
x = torch.ones(2); x.register_hook(lambda g: g)
x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: 3); x.sum().backward()
x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: torch.ones(3)); x.sum().backward()
x = torch.ones(2, requires_grad=True); l = []; x.register_post_accumulate_grad_hook(lambda t: l.append(t.grad.clone())); x.sum().backward(); x.sum().backward(); l
x = torch.ones(2, requires_grad=True); y = x * 2; y.register_post_accumulate_grad_hook(lambda t: None)
x = torch.ones(2); x.register_post_accumulate_grad_hook(lambda t: None)
x = torch.ones(2, requires_grad=True); x.register_post_accumulate_grad_hook(lambda t: setattr(t, 'grad', None)); x.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); y = x * 2; l = []; y.grad_fn.register_hook(lambda i, o: l.append((i, o))); y.sum().backward(); l
x = torch.ones(2, requires_grad=True); y = x * 2; y.grad_fn.register_hook(lambda i, o: (i[0] * 3,) + i[1:]); y.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); y = x * 2; y.grad_fn.register_prehook(lambda o: (o[0] * 3,)); y.sum().backward(); x.grad
x = torch.ones(2, requires_grad=True); y = x * 2; (y.grad_fn.name(), y.grad_fn.next_functions[0][0].name(), y.grad_fn.next_functions[0][1], len(y.grad_fn.next_functions))
x = torch.ones(2, requires_grad=True); y = x * 2; y.grad_fn.next_functions[0][0].variable is x
x = torch.ones(2, requires_grad=True); y = x * 2; y.grad_fn.metadata['a'] = 1; y.grad_fn.metadata
x = torch.ones(2, requires_grad=True); y = x * torch.ones(2); y.grad_fn.next_functions[1]
x = torch.ones(2, requires_grad=True); x.grad_fn
x = torch.ones(2, requires_grad=True); a, b = x.unbind(); (a.grad_fn is b.grad_fn, a.output_nr, b.output_nr, b)
x = torch.ones(2, requires_grad=True); y = x * 2; (y.is_leaf, x.is_leaf, torch.ones(1).is_leaf)
x = torch.ones(2, requires_grad=True); y = x[0]; (y._is_view(), y._base is x, x._is_view())
"""

MODES = r"""
x = torch.ones(1, requires_grad=True)\nwith torch.no_grad():\n    y = x * 2\n(y, torch.is_grad_enabled())
x = torch.ones(1, requires_grad=True)\nwith torch.no_grad():\n    with torch.enable_grad():\n        y = x * 2\ny
x = torch.ones(1, requires_grad=True)\nwith torch.set_grad_enabled(False):\n    y = x * 2\n(y, torch.is_grad_enabled())
torch.set_grad_enabled(False); a = torch.is_grad_enabled(); torch.set_grad_enabled(True); (a, torch.is_grad_enabled())
x = torch.ones(1, requires_grad=True)\nf = torch.no_grad()(lambda: x * 2)\nf()
x = torch.ones(1, requires_grad=True)\n@torch.no_grad()\ndef f():\n    return x * 2\n(f(), x * 2)
x = torch.ones(1, requires_grad=True)\n@torch.no_grad\ndef f():\n    return x * 2\nf()
x = torch.ones(1, requires_grad=True)\n@torch.no_grad()\ndef f():\n    for _ in range(2):\n        yield x * 2\n[(v, torch.is_grad_enabled()) for v in f()]
x = torch.ones(1, requires_grad=True)\n@torch.enable_grad()\ndef f():\n    return x * 2\nwith torch.no_grad():\n    y = f()\ny
x = torch.ones(1, requires_grad=True)\n@torch.set_grad_enabled(False)\ndef f():\n    return x * 2\n(f(), torch.is_grad_enabled())
x = torch.ones(1, requires_grad=True)\nwith torch.inference_mode():\n    y = x * 2\n(y.requires_grad, y.is_inference(), torch.is_inference_mode_enabled())
x = torch.ones(1, requires_grad=True)\nwith torch.inference_mode():\n    y = x * 2\ny * x
x = torch.ones(1, requires_grad=True)\nwith torch.inference_mode():\n    y = x * 2\ny.requires_grad_()
with torch.inference_mode():\n    y = torch.ones(1)\ny.add_(1)
with torch.inference_mode():\n    y = torch.ones(1)\ny._version
with torch.inference_mode(False):\n    a = torch.is_inference_mode_enabled()\na
@torch.inference_mode()\ndef f():\n    return torch.ones(1)\nf().is_inference()
try:\n    with torch.no_grad():\n        1 / 0\nexcept ZeroDivisionError:\n    pass\ntorch.is_grad_enabled()
x = torch.ones(2, requires_grad=True) * 1\nwith torch.no_grad():\n    v = x[0]\nv.add_(1)
x = torch.zeros(1, requires_grad=True)\nwith torch.autograd.detect_anomaly():\n    (x.sqrt() * 0).backward()
torch.autograd.set_detect_anomaly(True); a = torch.is_anomaly_enabled(); torch.autograd.set_detect_anomaly(False); (a, torch.is_anomaly_enabled())
"""

KINKS = ("x.abs()", "x.relu()", "x.sign()", "x.clamp(-1, 1)", "x.clamp(min=0)", "x.clamp(max=1)",
         "x.max()", "x.min()", "x.amax()", "x.amin()", "x.amax(0)", "x.max(0).values", "x.median()"
         if False else "x.min(0).values", "x.sqrt()", "x.norm()", "(x * 0).norm()", "x.norm(1)",
         "(x * 0).norm(1)", "x.norm(3)", "(x * 0).norm(3)", "x.norm(math.inf)", "x.norm(0)",
         "(x * 0).norm(math.inf)", "x.norm(-math.inf)", "x ** 0", "x ** 1", "x ** 2", "x ** 0.5",
         "x ** -1", "x ** 3", "0 ** x", "1 ** x", "2 ** x", "x ** x", "torch.pow(x * 0, x * 0)",
         "torch.atan2(x, x)", "torch.atan2(x * 0, x * 0)", "torch.hypot(x * 0, x * 0)",
         "torch.hypot(x, x)", "torch.maximum(x, x)", "torch.minimum(x, x.detach())",
         "torch.where(x > 0, x, 0)", "torch.where(x > 0, x.sqrt(), 0)", "x.prod()", "x.prod(0)",
         "(x * 0).prod()", "x.sort().values", "x.sort(descending=True).values", "x.var()", "x.std()",
         "(x * 0).std()", "(x * 0).var()", "x.log()", "x.floor()", "x.ceil()", "x.round()",
         "x.trunc()", "x.reciprocal()", "x.rsqrt()", "x.softmax(0)", "x.log_softmax(0)",
         "x.logsumexp(0)", "x.cumsum(0)", "x.lerp(x * 2, 0.3)", "x.remainder(2)", "x.fmod(2)",
         "x.remainder(x)", "x / x", "x % 2", "torch.nn.functional.softplus(x)" if False else
         "x.sigmoid()", "x.tanh()", "x.square()", "x.exp2()", "x.log1p()", "x.expm1()", "x.erf()",
         "x.sgn()", "x.mean()", "x.masked_fill(x > 0, 2.)", "x[x > 0]", "x.roll(1)", "x.flip(0)",
         "x.diag()", "x.repeat(2)", "x.tile(2)", "x.outer(x)", "x.dot(x)", "x.logaddexp(x)",
         "x.clamp(x * 0, x * 0 + 1)", "x.clamp(min=x)", "x.copysign(x)" if False else "x.neg()")
POINTS = ("[0., 0., 0.]", "[1., 1., -1.]", "[0., 2., 2.]", "[-2., 0.5, 3.]", "[1.]",
          "[-1., 1., 0.25]", "[math.inf, 1., 2.]")

COMPLEX = ("z * z", "z * 2", "z.abs()", "z.exp()", "z.sin()", "z.log()", "z.conj()", "z.real", "z.imag",
           "z.sum()", "z.mean()", "z / (1 + 2j)", "(1 + 2j) / z", "z ** 2", "z ** 3", "z.sqrt()",
           "z.tanh()", "z.reciprocal()", "z.sgn()", "z + 1j", "z - z.conj()", "z @ z", "z * z.conj()",
           "z.real * z.imag", "torch.stack([z, z.conj()])", "z.norm()", "z.cos()", "z.sigmoid()",
           "z.prod()", "z.cumsum(0)", "z.var()", "z.cosh()", "z.square()", "2 ** z", "z ** z",
           "z[0]", "z.outer(z)", "z * torch.ones(3)", "torch.einsum('i,i->', z, z)", "z.neg()")


def lines(table: str) -> list[str]:
    return [line.replace("\\n", "\n").replace("; ", "\n") for line in table.strip().splitlines()]


def reductions() -> list[str]:
    """Every reduction on every tensor, with each way of naming dimensions."""
    found = []
    for name, x in itertools.product(REDUCTIONS, TENSORS):
        if name in ("softmax", "log_softmax", "cumsum", "logsumexp", "sort", "argsort"):
            ways = ["0", "-1", "dim=1", "2"]
        else:
            ways = ["", "0", "-1", "1, keepdim=True", "dim=0, keepdim=True", "5", "-3"]
            if name in ("sum", "mean", "amax", "amin", "var", "std", "norm", "all", "any"):
                ways += ["dim=(0, 1)", "dim=(0, -1), keepdim=True", "dim=(0, 0)", "dim=()"]
        if name == "norm":
            ways = [w if not w or "dim" in w else f"dim={w}" for w in ways] + ["1", "math.inf"]
        found += [f"{x}.{name}({way})" for way in ways]
    return found


def assignments() -> list[str]:
    start = "x = torch.arange(6.).reshape(2, 3)"
    return [f"{start}\n{index} = {value}\nx" for index in INDEXING[:-1] for value in VALUES]


def gradients() -> list[str]:
    scalar = "\n(y.sum() if y.dim() else y).backward()\n(x, y)"
    return [f"x = torch.tensor({point}, requires_grad=True)\ny = {kink}{scalar}"
            for kink in KINKS for point in POINTS]


def second_order() -> list[str]:
    return [f"x = torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64, requires_grad=True)\ny = {f}\n"
            "g, = torch.autograd.grad(y.sum(), x, create_graph=True)\n"
            "torch.autograd.grad((g * g).sum(), x, allow_unused=True) if g.requires_grad else g"
            for f in KINKS if "floor" not in f]


def complex_gradients() -> list[str]:
    return [f"z = torch.tensor([1 + 2j, -0.5j + 1, 2 - 1j], dtype=torch.complex128, "
            f"requires_grad=True)\ny = {f}\n"
            "(y.abs().sum() if y.is_complex() else y.sum()).backward()\n(z.grad, y.detach())"
            for f in COMPLEX]


def index_gradients() -> list[str]:
    return [f"x = torch.arange(6.).reshape(2, 3).requires_grad_()\ny = {index}\n"
            "(y * y).sum().backward()\n(x, y)" for index in INDEXING[:45]]


VALUE_OF = {"bool": "[True, False]", "uint8": "[1, 200]", "complex64": "[1+2j, 3j+1]",
            "complex128": "[1+2j, 3j+1]", **dict.fromkeys(FLOATS, "[1.5, -2.25]")}
SCALAR_OF = {"bool": "True", "uint8": "3", "complex64": "2+1j", "complex128": "2+1j",
             **dict.fromkeys(FLOATS, "2.5")}
ARITHMETIC = ("+", "-", "*", "/", "//", "%", "**", "&", "|", "^", "<", "==", ">=", "<<")
NUMBERS = ("True", "2", "0", "-1", "2.5", "1+1j")


def promotions(op: str) -> list[str]:
    """An operator on all pairs of dtypes, as tensors and 0-d tensors, and on Python numbers."""
    found = []
    for a in DTYPES:
        x = f"torch.tensor({VALUE_OF.get(a, '[1, -2]')}, dtype=torch.{a})"
        for b in DTYPES:
            if "float16" in (a, b) and (a[0] == "c" or b[0] == "c"):
                continue  # half-precision complex numbers are no dtype here
            y = f"torch.tensor({VALUE_OF.get(b, '[1, -2]')}, dtype=torch.{b})"
            y0 = f"torch.tensor({SCALAR_OF.get(b, '3')}, dtype=torch.{b})"
            found += [f"{x} {op} {y}", f"{x} {op} {y0}", f"{y0} {op} {x}", f"{y0} {op} {y0}"]
            if op not in ("<", "==", ">="):
                found += [f"x = {x}\nx {op}= {y}\nx", f"x = {x}\nx {op}= {y0}\nx"]
        for n in NUMBERS:
            if a == "float16" and n == "1+1j":
                continue
            found += [f"{x} {op} ({n})", f"({n}) {op} {x}"]
            if op not in ("<", "==", ">="):
                found.append(f"x = {x}\nx {op}= ({n})\nx")
    return found


DIFFER = {
    "(x * 2).backward(1.0)": "in words, where PyTorch says that a float is not iterable",
    "dtype=torch.float64, requires_grad=True)\ny = (x * 0).norm()\ng": "0 here, NaN in PyTorch",
    "dtype=torch.float64, requires_grad=True)\ny = 0 ** x": "0 here, NaN in PyTorch",
    "dtype=torch.float64, requires_grad=True)\ny = x.sgn()": "PyTorch's zero is recorded no more",
    "[math.inf, 1., 2.], requires_grad=True)\ny = (x * 0).norm": "what inf * 0 spreads to",
    '["a"]': "PyTorch warns of an index that it refuses",
    "dtype=torch.uint8)]": "masks of bytes are taken without a warning",
    "detect_anomaly()": "PyTorch warns that it takes time",
    "+ np.array": "PyTorch makes NumPy warn that its `__array_wrap__` is old",
    "x.norm(0)": "its slope is 0 here, and no gradient at all in PyTorch",
    "x[True] =": "PyTorch words a size that does not fit in another way",
    "x[False] =": "PyTorch does not look at a value that nothing is done with",
    "np.array(torch": "PyTorch makes NumPy warn that its `__array__` is old",
    "x.grad._version": "PyTorch counts one write more",
    "y.backward(create_graph=True); x.grad": "PyTorch names a copy that it makes",
    "torch.zeros(0).am": "of two things wrong, PyTorch names the other",
    "torch.zeros(2, 0).am": "of two things wrong, PyTorch names the other",
    "x[[0, 1], [0, 1, 2]] = torch": "of two things wrong, PyTorch names the other",
    "x.backward(create_graph=True)": "PyTorch's gradient there is a copy, and named so",
    "], dtype=torch.bool)\nx //= (0)": "of two things wrong, PyTorch names the other",
    "], dtype=torch.bool)\nx %= (0)": "of two things wrong, PyTorch names the other",
    "dtype=torch.bool) ** (True)": "PyTorch has powers of bools where the exponent is a number",
    "dtype=torch.bool)\nx **= (True)": "PyTorch has powers of bools where the exponent is a number",
    "[math.inf, 1., 2.], requires_grad=True)\ny = x.prod": "inf * 0 in PyTorch's quotient",
    "[math.inf, 1., 2.], requires_grad=True)\ny = (x * 0).prod": "NaN in PyTorch's quotient",
    "y.backward(create_graph=True)\nx.grad": "PyTorch's gradient there is a copy, and named so",
    "[0.5, 1.5, 2.5], dtype=torch.float64, requires_grad=True)\ny = x.relu()":
        "PyTorch records a second derivative of 0, here nothing is recorded",
}
"""Programs (or parts of one) on which wengert differs on purpose, and why."""


def check(program: str, **how: bool) -> None:
    if any(part in program for part in DIFFER):
        return
    told = compare(program, **how)
    assert not told, f"{program}\n{told}"


def together(programs: list[str], **how: bool) -> None:
    """Checks many programs, and shows the first few that differ."""
    bad = [(p, told) for p in programs
           if not any(part in p for part in DIFFER) and (told := compare(p, **how))]
    shown = "\n\n".join(f"{p}\n{told}" for p, told in bad[:8])
    assert not bad, f"{len(bad)} of {len(programs)} differ:\n{shown}"


TABLES = {"creation": CREATION, "shapes": SHAPES, "products": PRODUCTS, "python": PYTHON,
          "backward": BACKWARD, "overlap": OVERLAP, "hooks": HOOKS, "modes": MODES}


@pytest.mark.parametrize("program", [pytest.param(line, id=f"{name}-{i}")
                                     for name, table in TABLES.items()
                                     for i, line in enumerate(lines(table))])
def test_a_program_does_as_in_pytorch(program):
    check(program)


@pytest.mark.parametrize("op", ARITHMETIC)
def test_promotion(op):
    together(promotions(op))


def test_reading_by_index():
    together([f"x = torch.arange(6).reshape(2, 3)\n{index}" for index in INDEXING])


def test_writing_by_index():
    together(assignments())


def test_gradients_of_indexing():
    together(index_gradients())


def test_reductions():
    together(reductions())


def test_gradients_at_kinks_and_ties():
    together(gradients())


def test_second_derivatives():
    together(second_order())


def test_complex_gradients():
    together(complex_gradients())
