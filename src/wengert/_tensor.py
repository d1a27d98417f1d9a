"""`Tensor`: the handle with PyTorch's methods.

Most of the class is a table of contents: a method is a function of `ops` under PyTorch's name.
What is written out here is a tensor's own state: its gradient, its history, conversions.
"""

from __future__ import annotations

import builtins
import copy
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import printing
from .autograd import differentiate
from .core import dtypes
from .core.aval import Size
from .core.device import CPU, check_device, device
from .core.handle import Alias, GradSlot, Handle, results_are, version_of, wrap
from .core.levels import concrete, here, shared
from .interpreters.lifted import detached, rebind
from .interpreters.tape import AccumulateGrad, Port, RemovableHandle, _Hooks, add_hook, leaf_node
from .interpreters.views import refresh
from .ops import (
    choices,
    creation,
    index,
    inplace,
    numpy_protocol,
    pointwise,
    products,
    random,
    reduce,
    shapes,
    updates,
)
from .ops.arguments import LOOKS, wrapped_dim
from .primitives import layout

if TYPE_CHECKING:
    from .core.dtypes import dtype as Dtype  # noqa: N812


class Tensor(Handle):
    """An n-dimensional array of numbers that remembers how it was computed.

    Tensors are made by `wengert.tensor` and its kin; operations on a tensor with `requires_grad`
    are recorded, and `backward()` on a result adds gradients to the `.grad` of such tensors.

    Args:
        data: sizes of an uninitialised tensor, or a sequence of numbers; the default dtype.

    Example:
        >>> import wengert as torch
        >>> x = torch.tensor([1., 2.], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
    """

    __slots__ = ()
    __array_priority__ = 1000

    def __new__(cls, *data: Any, device: Any = None) -> Tensor:
        check_device(device)
        kind = dtypes.get_default_dtype()
        if data and all(hasattr(n, "__index__") and not isinstance(n, (Handle, np.ndarray))
                        for n in data):
            array = np.empty(tuple(int(n) for n in data), kind.numpy)
        elif not data:
            array = np.empty(0, kind.numpy)
        elif isinstance(data[0], Size):
            array = np.empty(data[0], kind.numpy)
        else:
            if not isinstance(data[0], (list, tuple, range, Handle, np.ndarray)):
                raise TypeError(f"new(): data must be a sequence (got {type(data[0]).__name__})")
            array = creation.array_from(data[0], kind)
        out = Handle.__new__(cls)
        given = wrap(array)
        out.value, out.aval, out.node = given.value, given.aval, None
        out.alias = out.extra = None
        return out

    # --- what it is ---------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return self.aval.shape

    @property
    def dtype(self) -> Dtype:
        """The type of the elements."""
        return self.aval.dtype

    @property
    def device(self) -> device:
        """Where the tensor lives: the CPU."""
        return CPU

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.aval.ndim

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.aval.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.aval.numel * self.aval.dtype.itemsize

    def dim(self) -> int:
        """The number of dimensions."""
        return self.aval.ndim

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.aval.shape if dim is None else self.aval.shape[
            wrapped_dim(dim, self.aval.ndim)]

    def numel(self) -> int:
        """The number of elements."""
        return self.aval.numel

    nelement = numel

    def element_size(self) -> int:
        """Bytes per element."""
        return self.aval.dtype.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart neighbours in each dimension (or in one) lie in memory."""
        strides = (self.value if self.aval.level is None else
                   np.broadcast_to(np.empty((), self.aval.numpy), self.shape).copy()).strides
        steps = tuple(s // self.itemsize for s in strides)
        return steps if dim is None else steps[wrapped_dim(dim, self.aval.ndim)]

    def storage_offset(self) -> int:
        """Elements between the beginning of the memory and the tensor's first."""
        base = concrete(self, LOOKS)
        while isinstance(base.base, np.ndarray):
            base = base.base
        return (self.data_ptr() - _address(base)) // self.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return _address(concrete(self, LOOKS))

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in C order."""
        return shapes.is_contiguous(self)

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self.aval.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the elements are complex."""
        return self.aval.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the elements have a sign."""
        return self.aval.dtype.is_signed

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode."""
        return self.alias is not None and self.alias.storage.inference

    is_cuda = is_sparse = is_quantized = is_meta = False

    # --- its history --------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on the tensor are recorded."""
        if self.alias is not None:
            refresh(self)
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Has operations on this leaf recorded from now on, or no more; returns the tensor.

        Raises:
            RuntimeError: for integers, or when it is switched off for a non-leaf.
        """
        if self.aval.level is not None:
            raise RuntimeError("You are attempting to call Tensor.requires_grad_() on a Tensor of "
                               "a function that is being transformed by "
                               f"{self.aval.level.word}. This is unsupported; use "
                               "wengert.func.grad or vjp to differentiate inside it.")
        if not requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to "
                    "use a computed variable in a subgraph that doesn't require differentiation "
                    "use var_no_grad = var.detach().")
            self.node = None
        elif not self.requires_grad:
            if self.is_inference() and not here.inference:
                raise RuntimeError("Setting requires_grad=True on inference tensor outside "
                                   "InferenceMode is not allowed.")
            creation.require_grad(self)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was not computed from tensors that require grad."""
        if self.alias is not None:
            refresh(self)
        return self.node is None or type(self.node) is AccumulateGrad

    @property
    def grad_fn(self) -> Any:
        """The node that computed the tensor; None for a leaf."""
        if self.is_leaf:
            return None
        return self.node.node if type(self.node) is Port else self.node

    @property
    def output_nr(self) -> int:
        """Which of its node's results the tensor is."""
        return self.node.index if type(self.node) is Port else 0

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has added up; None before the first."""
        if self.aval.level is not None:
            return None
        if self.extra is None and not self.is_leaf:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
                ".grad attribute won't be populated during autograd.backward(). If you indeed "
                "want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() "
                "on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure "
                "you access the leaf Tensor instead.", UserWarning, stacklevel=2)
        if here.recorder is not None:
            here.recorder.leaf(self)
        return None if self.extra is None else self.extra.grad

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if self.aval.level is not None:
            if grad is None:
                return
            raise RuntimeError(f"a Tensor inside {self.aval.level.word} has no .grad to be set")
        if grad is not None:
            self._check_grad(grad)
        if here.recorder is not None:
            here.recorder.leaf(self)
        if self.extra is None:
            if grad is None:
                return
            self.extra = GradSlot()
        self.extra.grad = grad

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _check_grad(self, grad: Any) -> None:
        if not isinstance(grad, Handle):
            raise TypeError("assigned grad expected to be a Tensor or None but got grad of type "
                            f"{type(grad).__name__}")
        if grad is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if grad.aval.dtype is not self.aval.dtype:
            raise RuntimeError("attempting to assign a gradient with dtype "
                               f"'{products._c_name(grad)}' to a tensor with grad_dtype "
                               f"'{_words(self)}'. The gradient must match "
                               "the tensor's grad_dtype (defaults to the tensor's dtype). You can "
                               "set the tensor's grad_dtype attribute with a specific dtype, or "
                               "None to allow any dtype. Set grad_dtype with caution. Diverging "
                               "the dtypes of a tensor and its gradient may break downstream "
                               "systems that assume they match.")
        if grad.aval.shape != self.aval.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(grad.aval.shape)}' to a tensor of "
                f"size '{list(self.aval.shape)}'. Please ensure that the gradient and the tensor "
                "are the same size")

    @property
    def retains_grad(self) -> bool:
        """Whether this non-leaf keeps its gradient."""
        return type(self.extra) is GradSlot and not self.is_leaf

    retain_grad: Callable[[Tensor], None] = differentiate.retain_grad

    def backward(self, gradient: Tensor | None = None, retain_graph: bool | None = None,
                 create_graph: bool = False, inputs: Any = None) -> None:
        """Adds to the `.grad` of leaves the gradients of this tensor.

        Args:
            gradient: the cotangent to start from, of this shape; None for a scalar's 1.
            retain_graph: keep what was saved, so that backward can run again.
            create_graph: record the computation of the gradients.
            inputs: the tensors whose `.grad` is added to; None for all leaves.

        Raises:
            RuntimeError: as `wengert.autograd.backward`.
        """
        differentiate.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """A tensor in the same memory, without history."""
        return detached(self)

    def detach_(self) -> Tensor:
        """Forgets this tensor's history, in place.

        Raises:
            RuntimeError: for a view, whose history is its base's.
        """
        if self.alias is not None and self.alias.base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead. If you are "
                               "using DistributedDataParallel (DDP) for training, and "
                               "gradient_as_bucket_view is set as True, gradients are views of "
                               "DDP buckets, and hence detach_() cannot be called on these "
                               "gradients. To fix this error, please refer to the "
                               "Optimizer.zero_grad() function in torch/optim/optimizer.py as the "
                               "solution.")
        if self.aval.level is not None:
            rebind(self, self.detach())
        self.node = None
        return self

    @property
    def data(self) -> Tensor:
        """A tensor in the same memory, without history and with a version count of its own."""
        return wrap(self.value, self.aval) if self.aval.level is None else self.detach()

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, Handle):
            raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
        if self.aval.level is not None or new.aval.level is not None:
            raise RuntimeError("Tensor.data can't be set inside a transform; write in place")
        self.value, self.aval = new.value, new.aval
        if self.alias is not None and self.alias.base is not None:
            self.alias = Alias(self.alias.storage)
        if isinstance(self.extra, AccumulateGrad):
            self.extra.follow(self)

    @property
    def _version(self) -> int:
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        if here.recorder is not None:
            here.recorder.fail("it asks how often a tensor was written")
        return version_of(self)

    def _is_view(self) -> bool:
        return self.alias is not None and self.alias.base is not None

    @property
    def _base(self) -> Tensor | None:
        return None if self.alias is None else self.alias.base  # type: ignore[return-value]

    def register_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """Calls `hook(grad)` when this tensor's gradient is known; what it returns replaces it.

        Raises:
            RuntimeError: if the tensor does not require grad.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return add_hook(self.node.more().hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """Calls `hook(tensor)` when a backward has added to this leaf's `.grad`.

        Raises:
            RuntimeError: for a non-leaf, or a tensor that does not require grad.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf "
                               "tensors")
        node = leaf_node(self)
        if node.post_accumulate is None:
            node.post_accumulate = _Hooks()
        return add_hook(node.post_accumulate, hook)

    # --- conversions --------------------------------------------------------------------------

    def item(self) -> Any:
        """The one element, as a Python number.

        Raises:
            RuntimeError: unless there is exactly one.
        """
        if self.aval.numel != 1:
            raise RuntimeError(f"a Tensor with {self.aval.numel} elements cannot be converted to "
                               "Scalar")
        return concrete(self, LOOKS).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers; a number for a 0-d tensor."""
        return concrete(self, LOOKS).tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """An array in the same memory.

        Args:
            force: detach first, where a gradient would be lost.

        Raises:
            RuntimeError: if the tensor requires grad, unless nothing is recorded here anyway
                (under `no_grad`, in a `Function`'s forward) or `force` is set.
        """
        array = concrete(self, LOOKS)  # which vmap refuses
        if self.aval.level is not None and not force:
            raise RuntimeError("Can't call numpy() on a Tensor inside "
                               f"{self.aval.level.word}: its derivative would be lost. Use "
                               "tensor.detach().numpy() instead.")
        if self.requires_grad and here.grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor."
                               "detach().numpy() instead.")
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return np.array(array) if copy else array

    __array_ufunc__ = numpy_protocol.array_ufunc
    __array_function__ = numpy_protocol.array_function

    def __bool__(self) -> bool:
        if self.aval.numel != 1:
            if not self.aval.numel:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        plain = self.aval.level is None and not shared.special
        return bool(self.value if plain else concrete(self, LOOKS))

    def __float__(self) -> float:
        return float(self._scalar())

    def __int__(self) -> int:
        return int(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def _scalar(self) -> Any:
        if self.aval.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def __index__(self) -> int:
        if self.aval.numel != 1 or self.aval.dtype.differentiable:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self.aval.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.aval.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.aval.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(shapes.unbind(self, 0))

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, (Handle, int, float, bool, complex)):
            raise RuntimeError("Tensor.__contains__ only supports Tensor or scalar, but you "
                               f"passed in a {type(element)}.")
        return bool((self == element).any())

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        if self.aval.ndim == 0:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __repr__(self) -> str:
        if self.aval.level is not None:
            return self.aval.level.text(self)
        name = None if self.is_leaf else type(self.grad_fn).__name__
        return printing.tensor_text(
            concrete(self, LOOKS), dtype_name=self.aval.dtype.name,
            default_float=dtypes.get_default_dtype().name,
            requires_grad=self.requires_grad, grad_fn=name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf or self.aval.level is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment.")
        if id(self) in memo:
            return memo[id(self)]
        out = _rebuilt(type(self), np.array(self.value, order="K"), self.requires_grad, {})
        memo[id(self)] = out
        out.__dict__.update(copy.deepcopy(self.__dict__, memo))
        if self.extra is not None and self.extra.grad is not None:
            out.grad = self.extra.grad.__deepcopy__(memo)
        return out

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.aval.level is not None:
            raise TypeError(f"a Tensor inside {self.aval.level.word} can't be pickled")
        return _rebuilt, (type(self), np.ascontiguousarray(self.value) if self.aval.ndim else
                          self.value, self.requires_grad, dict(self.__dict__))

    # --- dtypes and devices -------------------------------------------------------------------

    def to(self, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False,
           non_blocking: bool = False) -> Tensor:
        """The tensor in another dtype (or as another tensor's); itself if nothing changes.

        Raises:
            AssertionError: for device "cuda".
        """
        for arg in args:
            if isinstance(arg, Handle):
                dtype = arg.aval.dtype
            elif _is_device(arg):
                device = arg
            elif not isinstance(arg, bool):
                dtype = arg
        check_device(device)
        kind = self.aval.dtype if dtype is None else dtypes.of(dtype)
        return shapes.astype(self, kind, copy=copy)

    def type(self, dtype: Any = None) -> Any:
        """The tensor's type as PyTorch writes it, or the tensor in another dtype."""
        if dtype is None:
            return f"torch.{_words(self)}Tensor"
        if isinstance(dtype, str):
            raise ValueError(f"invalid type: '{dtype}'")
        return shapes.astype(self, dtypes.of(dtype))

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor in another's dtype."""
        return shapes.astype(self, other.aval.dtype)

    def float(self) -> Tensor:
        """The tensor as float32."""
        return shapes.astype(self, dtypes.float32)

    def double(self) -> Tensor:
        """The tensor as float64."""
        return shapes.astype(self, dtypes.float64)

    def half(self) -> Tensor:
        """The tensor as float16."""
        return shapes.astype(self, dtypes.float16)

    def int(self) -> Tensor:
        """The tensor as int32."""
        return shapes.astype(self, dtypes.int32)

    def long(self) -> Tensor:
        """The tensor as int64."""
        return shapes.astype(self, dtypes.int64)

    def short(self) -> Tensor:
        """The tensor as int16."""
        return shapes.astype(self, dtypes.int16)

    def char(self) -> Tensor:
        """The tensor as int8."""
        return shapes.astype(self, dtypes.int8)

    def byte(self) -> Tensor:
        """The tensor as uint8."""
        return shapes.astype(self, dtypes.uint8)

    def bool(self) -> Tensor:
        """The tensor as bool."""
        return shapes.astype(self, dtypes.bool_)

    def cpu(self) -> Tensor:
        """The tensor itself."""
        return self

    def cuda(self, device: Any = None) -> Tensor:
        """Raises AssertionError: there is no CUDA here."""
        check_device("cuda")
        return self

    # --- views by attribute -------------------------------------------------------------------

    @property
    def T(self) -> Tensor:  # noqa: N802 - PyTorch's name
        """The dimensions in reverse order; a view."""
        return shapes.reversed_dims(self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - PyTorch's name
        """The last two dimensions swapped; a view.

        Raises:
            RuntimeError: for fewer than two dimensions.
        """
        return shapes.matrix_transpose(self)

    @property
    def H(self) -> Tensor:  # noqa: N802 - PyTorch's name
        """The conjugate transpose of a matrix.

        Raises:
            RuntimeError: unless it has two dimensions (or none).
        """
        if self.aval.ndim not in (0, 2):
            raise RuntimeError("tensor.H is only supported on matrices (2-D tensors). Got "
                               f"{self.aval.ndim}-D tensor."
                               + (" For batches of matrices, consider using tensor.mH"
                                  if self.aval.ndim > 2 else ""))
        return shapes.transpose(self.conj(), 0, 1)

    @property
    def mH(self) -> Tensor:  # noqa: N802 - PyTorch's name
        """The conjugate transpose of matrices."""
        return shapes.matrix_transpose(self.conj())

    @property
    def real(self) -> Tensor:
        """The real part; a view."""
        return layout.real(self) if self.aval.is_complex else self

    @property
    def imag(self) -> Tensor:
        """The imaginary part; a view.

        Raises:
            RuntimeError: for a real tensor.
        """
        if not self.aval.is_complex:
            raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
        return layout.imag(self)

    def conj(self) -> Tensor:
        """The complex conjugate; the tensor itself, if it is real."""
        return layout.conj(self) if self.aval.is_complex else self

    # --- operators ----------------------------------------------------------------------------

    __add__ = __radd__ = pointwise._add
    __sub__, __rsub__ = pointwise.sub_operator, pointwise.rsub_operator
    __mul__ = __rmul__ = pointwise._mul
    __truediv__, __rtruediv__ = pointwise._true_divide, pointwise.rdiv_operator
    __floordiv__ = pointwise.floor_divide_operator
    __rfloordiv__ = pointwise.rfloor_divide_operator
    __mod__, __rmod__ = pointwise.remainder_operator, pointwise.rremainder_operator
    __pow__, __rpow__ = pointwise.pow_operator, pointwise.rpow_operator

    def __matmul__(self, other: Any) -> Tensor:
        if isinstance(other, np.ndarray):
            other = creation.as_tensor(other)
        return products.matmul(self, other) if isinstance(other, Tensor) else NotImplemented

    def __rmatmul__(self, other: Any) -> Tensor:
        if isinstance(other, np.ndarray):
            return products.matmul(creation.as_tensor(other), self)
        return NotImplemented

    __and__ = __rand__ = pointwise.and_operator
    __or__ = __ror__ = pointwise.or_operator
    __xor__ = __rxor__ = pointwise.xor_operator
    __lshift__, __rshift__ = pointwise.lshift_operator, pointwise.rshift_operator
    __rlshift__, __rrshift__ = pointwise.rlshift_operator, pointwise.rrshift_operator
    __ilshift__, __irshift__ = inplace.ilshift_operator, inplace.irshift_operator
    __neg__, __pos__, __abs__ = pointwise.neg, pointwise.positive, pointwise.abs
    __invert__ = pointwise.invert_operator
    __eq__, __ne__ = pointwise.eq_operator, pointwise.ne_operator  # type: ignore[assignment]
    __lt__, __le__ = pointwise.lt_operator, pointwise.le_operator
    __gt__, __ge__ = pointwise.gt_operator, pointwise.ge_operator
    __iadd__, __isub__ = inplace.iadd_operator, inplace.isub_operator
    __imul__, __itruediv__ = inplace.imul_operator, inplace.idiv_operator
    __ifloordiv__, __imod__ = inplace.ifloor_divide_operator, inplace.iremainder_operator
    __ipow__ = inplace.ipow_operator
    __iand__, __ior__ = inplace.iand_operator, inplace.ior_operator
    __ixor__ = inplace.ixor_operator
    __getitem__, __setitem__ = index.getitem, index.setitem

    # --- elementwise --------------------------------------------------------------------------

    add, sub, mul, div = pointwise.add, pointwise.sub, pointwise.mul, pointwise.div
    subtract, multiply, divide, true_divide = sub, mul, div, div
    remainder, fmod, floor_divide = pointwise.remainder, pointwise.fmod, pointwise.floor_divide
    pow, neg, negative, positive = pointwise.pow, pointwise.neg, pointwise.neg, pointwise.positive
    exp, exp2, expm1 = pointwise.exp, pointwise.exp2, pointwise.expm1
    log, log2, log10, log1p = pointwise.log, pointwise.log2, pointwise.log10, pointwise.log1p
    sqrt, rsqrt, square = pointwise.sqrt, pointwise.rsqrt, pointwise.square
    sin, cos, tan = pointwise.sin, pointwise.cos, pointwise.tan
    asin, acos, atan, atan2 = pointwise.asin, pointwise.acos, pointwise.atan, pointwise.atan2
    arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
    sinh, cosh, tanh = pointwise.sinh, pointwise.cosh, pointwise.tanh
    asinh, acosh, atanh = pointwise.asinh, pointwise.acosh, pointwise.atanh
    arcsinh, arccosh, arctanh = asinh, acosh, atanh
    sigmoid, relu = pointwise.sigmoid, pointwise.relu
    erf, erfc = pointwise.erf, pointwise.erfc
    abs = absolute = pointwise.abs
    reciprocal, sign, sgn = pointwise.reciprocal, pointwise.sign, pointwise.sgn
    floor, ceil, trunc, round = (pointwise.floor, pointwise.ceil, pointwise.trunc,
                                 pointwise.round)
    fix = trunc
    maximum, minimum, hypot = pointwise.maximum, pointwise.minimum, pointwise.hypot
    logaddexp, lerp = pointwise.logaddexp, choices.lerp
    addcmul, addcdiv = updates.addcmul, updates.addcdiv
    clamp = clip = choices.clamp
    masked_fill = choices.masked_fill
    isnan, isinf, isfinite = pointwise.isnan, pointwise.isinf, pointwise.isfinite
    eq, ne, lt, le, gt, ge = (pointwise.eq, pointwise.ne, pointwise.lt, pointwise.le,
                              pointwise.gt, pointwise.ge)
    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
    logical_and, logical_or = pointwise.logical_and, pointwise.logical_or
    logical_xor, logical_not = pointwise.logical_xor, pointwise.logical_not
    bitwise_and, bitwise_or = pointwise.bitwise_and, pointwise.bitwise_or
    bitwise_xor, bitwise_not = pointwise.bitwise_xor, pointwise.bitwise_not
    bitwise_left_shift, bitwise_right_shift = (pointwise.bitwise_left_shift,
                                               pointwise.bitwise_right_shift)
    allclose, isclose, equal = pointwise.allclose, pointwise.isclose, pointwise.equal

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """The tensor where the condition holds, `other` elsewhere."""
        return choices.where(condition, self, other)

    # --- in place -----------------------------------------------------------------------------

    add_, sub_, mul_, div_ = inplace.add_, inplace.sub_, inplace.mul_, inplace.div_
    addcmul_, addcdiv_, lerp_ = updates.addcmul_, updates.addcdiv_, choices.lerp_
    pow_, remainder_ = inplace.pow_, inplace.remainder_
    floor_divide_ = inplace.floor_divide_
    exp_, exp2_, expm1_ = inplace.exp_, inplace.exp2_, inplace.expm1_
    log_, log2_, log10_, log1p_ = inplace.log_, inplace.log2_, inplace.log10_, inplace.log1p_
    sqrt_, rsqrt_, square_ = inplace.sqrt_, inplace.rsqrt_, inplace.square_
    sin_, cos_, tan_ = inplace.sin_, inplace.cos_, inplace.tan_
    asin_, acos_, atan_, atan2_ = inplace.asin_, inplace.acos_, inplace.atan_, inplace.atan2_
    arcsin_, arccos_, arctan_, arctan2_ = asin_, acos_, atan_, atan2_
    sinh_, cosh_, tanh_ = inplace.sinh_, inplace.cosh_, inplace.tanh_
    asinh_, acosh_, atanh_ = inplace.asinh_, inplace.acosh_, inplace.atanh_
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    sigmoid_, relu_, erf_, erfc_ = inplace.sigmoid_, inplace.relu_, inplace.erf_, inplace.erfc_
    neg_ = negative_ = inplace.neg_
    abs_ = absolute_ = inplace.abs_
    floor_, ceil_, round_ = inplace.floor_, inplace.ceil_, inplace.round_
    trunc_ = fix_ = inplace.trunc_
    reciprocal_, sign_, sgn_ = inplace.reciprocal_, inplace.sign_, inplace.sgn_
    hypot_, fmod_ = inplace.hypot_, inplace.fmod_
    eq_, ne_, lt_, le_, gt_, ge_ = (inplace.eq_, inplace.ne_, inplace.lt_, inplace.le_,
                                    inplace.gt_, inplace.ge_)
    logical_and_, logical_or_ = inplace.logical_and_, inplace.logical_or_
    logical_xor_, logical_not_ = inplace.logical_xor_, inplace.logical_not_
    bitwise_and_, bitwise_or_ = inplace.bitwise_and_, inplace.bitwise_or_
    bitwise_xor_, bitwise_not_ = inplace.bitwise_xor_, inplace.bitwise_not_
    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, div_
    clamp_ = clip_ = inplace.clamp_
    zero_, copy_ = inplace.zero_, shapes.copy_
    index_put_ = index.index_put_
    uniform_, normal_ = random.uniform_, random.normal_

    def fill_(self, value: Any) -> Tensor:
        """Fills the tensor with a number (or 0-d tensor), in place."""
        if isinstance(value, Handle) and value.aval.ndim:
            raise RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with "
                               f"{value.aval.ndim} dimensions.")
        return shapes.fill_(self, value)

    masked_fill_ = choices.masked_fill_

    # --- reductions ---------------------------------------------------------------------------

    sum, mean, prod = reduce.sum, reduce.mean, reduce.prod
    max, min, amax, amin = reduce.max, reduce.min, reduce.amax, reduce.amin
    argmax, argmin, sort, argsort = reduce.argmax, reduce.argmin, reduce.sort, reduce.argsort
    all, any = reduce.all, reduce.any
    var, std, norm = reduce.var, reduce.std, reduce.norm
    logsumexp, softmax, log_softmax = reduce.logsumexp, reduce.softmax, reduce.log_softmax
    cumsum = reduce.cumsum

    # --- products -----------------------------------------------------------------------------

    dot, mv, mm, bmm, matmul = (products.dot, products.mv, products.mm, products.bmm,
                                products.matmul)
    outer, addmm = products.outer, products.addmm

    # --- shapes and indexing ------------------------------------------------------------------

    reshape, view, view_as, reshape_as = (shapes.reshape, shapes.view, shapes.view_as,
                                          shapes.reshape_as)
    flatten, unflatten, ravel = shapes.flatten, shapes.unflatten, shapes.ravel
    squeeze, unsqueeze = shapes.squeeze, shapes.unsqueeze
    transpose = swapaxes = swapdims = shapes.transpose
    t, permute = shapes.t, shapes.permute
    movedim = moveaxis = shapes.movedim
    expand, expand_as, broadcast_to = shapes.expand, shapes.expand_as, shapes.broadcast_to
    contiguous, clone = shapes.contiguous, shapes.clone
    flip, roll, repeat, tile = shapes.flip, shapes.roll, shapes.repeat, shapes.tile
    diag, diagonal, tril, triu = shapes.diag, shapes.diagonal, shapes.tril, shapes.triu
    split, chunk, unbind = shapes.split, shapes.chunk, shapes.unbind
    select, narrow, nonzero = index.select, index.narrow, index.nonzero
    index_select, gather, scatter_add = index.index_select, index.gather, index.scatter_add

    # --- new tensors like this one ------------------------------------------------------------

    def new_tensor(self, data: Any, *, dtype: Any = None,
                   requires_grad: builtins.bool = False) -> Tensor:
        """A tensor of data, with this tensor's dtype unless another is given."""
        return creation.new_leaf(
            creation.array_from(data, dtype or self.aval.dtype, copy=True), requires_grad)

    def new_zeros(self, *size: Any, dtype: Any = None,
                   requires_grad: builtins.bool = False) -> Tensor:
        """A tensor of zeros, with this tensor's dtype unless another is given."""
        return creation.zeros(*size, dtype=dtype or self.aval.dtype, requires_grad=requires_grad)

    def new_ones(self, *size: Any, dtype: Any = None,
                  requires_grad: builtins.bool = False) -> Tensor:
        """A tensor of ones, with this tensor's dtype unless another is given."""
        return creation.ones(*size, dtype=dtype or self.aval.dtype, requires_grad=requires_grad)

    def new_full(self, size: Any, fill_value: Any, *, dtype: Any = None,
                 requires_grad: builtins.bool = False) -> Tensor:
        """A tensor of one value, with this tensor's dtype unless another is given."""
        return creation.full(size, fill_value, dtype=dtype or self.aval.dtype,
                             requires_grad=requires_grad)


def _rebuilt(cls: Any, array: np.ndarray, requires_grad: bool, attributes: dict[str, Any]) -> Any:
    """A tensor from what a pickle keeps of it."""
    plain = wrap(array)
    out = Handle.__new__(cls)
    out.value, out.aval, out.node, out.alias, out.extra = plain.value, plain.aval, None, None, None
    if requires_grad:
        creation.require_grad(out)
    out.__dict__.update(attributes)
    return out


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _words(x: Any) -> str:
    return str(x.aval.dtype.words)


def _is_device(value: Any) -> bool:
    return isinstance(value, (str, device))


results_are(Tensor)

