"""`Tensor`: the handle with PyTorch's methods.

Written out here is a tensor's own state: its memory, its gradient, its history. What can be done
with its numbers are functions of `ops`, gathered by family in `methods`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from . import printing
from .autograd import differentiate
from .core import dtypes
from .core.aval import Size, aval_of
from .core.device import CPU, check_device, device
from .core.formats import contiguous_format, memory_format, strided
from .core.guard import guard, guarded
from .core.handle import Alias, GradSlot, Handle, Storage, results_are, version_of, wrap
from .core.levels import concrete, here
from .core.provenance import warn
from .interpreters.lifted import detached, rebind
from .interpreters.tape import AccumulateGrad, Port, RemovableHandle, _Hooks, add_hook, leaf_node
from .interpreters.views import refresh
from .methods.activations import Activations
from .methods.conversions import Conversions
from .methods.creation import Creation
from .methods.elementwise import Elementwise
from .methods.indexing import Indexing
from .methods.inplace import InPlace
from .methods.interchange import Interchange
from .methods.linalg import LinearAlgebra
from .methods.operators import Operators
from .methods.products import Products
from .methods.random import Random
from .methods.reductions import Reductions
from .methods.shapes import Shapes
from .methods.signals import Signals
from .methods.special import Special
from .ops import creation, shapes, splitting
from .ops.arguments import LOOKS, wrapped_dim
from .primitives import layout, strides

if TYPE_CHECKING:
    from .core.dtypes import dtype as Dtype  # noqa: N812


class Tensor(Operators, Elementwise, InPlace, Activations, Reductions, Products, LinearAlgebra,
             Shapes, Indexing, Random, Special, Signals, Creation, Conversions, Interchange,
             Handle):
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

    @overload
    def size(self) -> Size: ...
    @overload
    def size(self, dim: int) -> int: ...
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

    @overload
    def stride(self) -> tuple[int, ...]: ...
    @overload
    def stride(self, dim: int) -> int: ...
    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart neighbours in each dimension (or in one) lie in memory."""
        strides = (self.value if self.aval.level is None else
                   np.broadcast_to(np.empty((), self.aval.numpy), self.shape).copy()).strides
        steps = tuple(s // self.itemsize for s in strides)
        return steps if dim is None else steps[wrapped_dim(dim, self.aval.ndim)]

    def storage_offset(self) -> int:
        """Elements between the beginning of the memory and the tensor's first."""
        return (self.data_ptr() - self.untyped_storage().data_ptr()) // self.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return strides.address(concrete(self, LOOKS))

    @guarded
    def is_contiguous(self, memory_format: memory_format = contiguous_format) -> bool:
        """Whether the elements lie in memory without gaps, in C order or another format's."""
        if memory_format is contiguous_format:
            return shapes.is_contiguous(self)
        order = memory_format.order(self.ndim) if self.ndim == memory_format.ndim else None
        return order is not None and shapes.is_contiguous(shapes.permute(self.detach(), order))

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

    is_cpu, layout = True, strided
    is_cuda = is_sparse = is_quantized = is_meta = is_mps = is_xpu = False

    def get_device(self) -> int:
        """The number of the device: -1, the CPU."""
        return -1

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

    @guarded
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
            warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
                ".grad attribute won't be populated during autograd.backward(). If you indeed "
                "want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() "
                "on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure "
                "you access the leaf Tensor instead.")
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
            got = dtypes.c_name(grad.aval.dtype, alone=True)
            raise RuntimeError(f"attempting to assign a gradient with dtype '{got}' "
                               f"to a tensor with grad_dtype '{_words(self)}'. The gradient must "
                               "match the tensor's grad_dtype (defaults to the tensor's dtype). "
                               "You can set the tensor's grad_dtype attribute with a specific "
                               "dtype, or None to allow any dtype. Set grad_dtype with caution. "
                               "Diverging the dtypes of a tensor and its gradient may break "
                               "downstream systems that assume they match.")
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

    # --- as a Python object -------------------------------------------------------------------

    def __len__(self) -> int:
        if not self.aval.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.aval.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.aval.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(splitting.unbind(self, 0))

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, (Handle, int, float, bool, complex)):
            raise RuntimeError("Tensor.__contains__ only supports Tensor or scalar, but you "
                               f"passed in a {type(element)}.")
        return bool((self == element).any())

    def __hash__(self) -> int:
        return id(self)

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
        memory, place, storage = _copied(self, memo)
        out = _rebuilt(type(self), memory, self.requires_grad, {}, place, storage)
        memo[id(self)] = out
        out.__dict__.update(copy.deepcopy(self.__dict__, memo))
        if self.extra is not None and self.extra.grad is not None:
            out.grad = self.extra.grad.__deepcopy__(memo)
        return out

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.aval.level is not None:
            raise TypeError(f"a Tensor inside {self.aval.level.word} can't be pickled")
        memory, place = _spread(self.value)
        return _rebuilt, (type(self), memory, self.requires_grad, dict(self.__dict__), place)


_Place = tuple[Any, ...] | None
"""Where an array lies in memory: shape, strides and offset; None if it is all of it, in order."""


def _spread(array: np.ndarray) -> tuple[np.ndarray, _Place]:
    """The memory from an array's first element to its last, and the array's place in it."""
    if array.flags.c_contiguous:
        return array, None
    steps = tuple(s // array.itemsize for s in array.strides)
    size = strides.reach(array.shape, steps, 0)
    return layout.strided(array, (size,), (array.itemsize,)), (array.shape, steps, 0)


def _copied(x: Any, memo: dict[int, Any]) -> tuple[np.ndarray, _Place, Storage | None]:
    """A copy of a tensor's memory; of what it shares with others one copy, for all of them."""
    if x.alias is None:
        memory, place = _spread(x.value)
        return memory.copy(), place, None
    storage = x.alias.storage
    if id(storage) not in memo:
        memo[id(storage)] = strides.memory_of(x.value).copy().view(np.uint8), Storage()
    memory, copied = memo[id(storage)]
    steps, offset = strides.layout_of(x.value) or (x.stride(), 0)
    whole = memory.size // x.value.itemsize * x.value.itemsize
    return memory[:whole].view(x.value.dtype), (tuple(x.aval.shape), steps, offset), copied


def _rebuilt(cls: Any, array: np.ndarray, requires_grad: bool, attributes: dict[str, Any],
             place: _Place = None, storage: Storage | None = None) -> Any:
    """A tensor from what a pickle keeps of it."""
    if place is not None:
        shape, steps, offset = place
        size = array.itemsize
        array = np.ndarray(shape, array.dtype, array, offset * size, [s * size for s in steps])
    out = Handle.__new__(cls)
    out.value, out.aval, out.node, out.extra = array, aval_of(array), None, None
    out.alias = None if storage is None else Alias(storage)
    if requires_grad:
        creation.require_grad(out)
    out.__dict__.update(attributes)
    return out


def _words(x: Any) -> str:
    return str(x.aval.dtype.words)


for _family in Tensor.__bases__:
    if _family not in (Handle, Operators):  # whose functions are the fast paths
        guard(_family)
results_are(Tensor)
