"""`SparseTensor`: a tensor of which only the elements that are not zero are kept, and how one is made.

It holds ordinary tensors, indices and values, and is no tensor of the core; gradients flow through the values.
What does not live here: operations on sparse tensors (`operations`) and products (`products`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import _core, layouts
from flambeau.dtypes import Size
from flambeau.errors import ShapeError
from flambeau.ops.arguments import check_tensor
from flambeau.sparse.printing import sparse_text
from flambeau.sparse.products import Pattern

__all__ = ["SparseTensor", "from_dense", "sparse_coo_tensor", "sparse_csr_tensor"]

Tensor = _core.Tensor
COO, CSR = sparse_coo, sparse_csr = layouts.sparse_coo, layouts.sparse_csr


class _MissingError(NotImplementedError, AttributeError):
    """A method of tensors that sparse ones lack: what `hasattr` and `getattr` with a default expect."""


class SparseTensor:
    """A tensor kept as the places and values of its elements; the others are zero.

    Made by `sparse_coo_tensor`, `sparse_csr_tensor` and `Tensor.to_sparse`. In the layout `sparse_coo` the indices are
    (sparse_dim, nnz) and the values (nnz, *dense sizes); in `sparse_csr` the rows are kept as where each one starts.
    `isinstance(x, Tensor)` holds.
    """

    __slots__ = ("__weakref__", "_coalesced", "_index", "_pattern", "_value", "layout", "shape")
    is_sparse_csr = property(lambda self: self.layout is CSR, doc="Whether the layout is `sparse_csr`.")
    is_sparse = property(lambda self: self.layout is COO, doc="Whether the layout is `sparse_coo`.")
    is_leaf = property(lambda self: self._value.is_leaf, doc="Whether no operation that is recorded made it.")
    device = property(lambda self: self._value.device, doc="Where the values are.")
    dtype = property(lambda self: self._value.dtype, doc="The dtype of the values.")
    grad_fn = property(lambda self: self._value.grad_fn, doc="What made the values, None for a leaf.")
    is_cuda = is_meta = is_nested = is_quantized = is_xpu = is_mps = property(lambda self: False, doc="Always False.")
    is_cpu = property(lambda self: True, doc="Whether it is in main memory.")
    T = property(lambda self: self.transpose(0, 1), doc="The transpose of a matrix.")

    def __init__(self, index: Any, value: Any, size: Sequence[int], layout: Any, coalesced: bool) -> None:
        self._index, self._value, self.shape = index, value, Size(size)
        self.layout, self._coalesced = layout, coalesced
        self._pattern: Pattern | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return Tensor  # so that isinstance checks pass, as for every tensor

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are kept for the values."""
        return self._value.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._value.requires_grad = wanted

    @property
    def grad(self) -> Any:
        """The gradient of a leaf, a sparse tensor with the same places; None before `backward`."""
        gradient = self._value.grad
        if gradient is None or self._coalesced:
            return None if gradient is None else self._with(gradient)
        # Values at one place have the gradient of that place each; it stands there once.
        sizes = self.shape[: self._index.shape[0]]
        unique, inverse = flambeau.unique(flat_places(self._index, sizes), return_inverse=True)
        value = flambeau.zeros((unique.shape[0], *gradient.shape[1:]), dtype=gradient.dtype)
        value = value.index_copy(0, inverse, gradient)
        return SparseTensor(unflat_places(unique, sizes), value, self.shape, COO, True)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._value.grad = value if value is None else _same_places(self, value)

    @property
    def data(self) -> SparseTensor:
        """The same elements without history."""
        return self.detach()

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The sizes, or one of them."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """How many elements the dense tensor has."""
        return self.shape.numel()

    nelement = numel

    def __len__(self) -> int:
        return self.shape[0]

    def is_floating_point(self) -> bool:
        """Whether the values are floating-point numbers."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the values are complex numbers."""
        return getattr(self.dtype, "is_complex", False)

    def element_size(self) -> int:
        """The bytes of one value."""
        return self._value.element_size()

    def get_device(self) -> int:
        """The number of the CUDA device, -1 for the CPU."""
        return self._value.get_device()

    def sparse_dim(self) -> int:
        """How many dimensions the indices name."""
        return 2 if self.layout is CSR else self._index.shape[0]

    def dense_dim(self) -> int:
        """How many trailing dimensions each value has."""
        return self._value.ndim - 1

    def _nnz(self) -> int:
        """How many values are kept."""
        return self._value.shape[0]

    def is_coalesced(self) -> bool:
        """Whether every place is named once, in order."""
        self._want(COO, "is_coalesced")
        return self._coalesced

    def _want(self, layout: Any, name: str) -> None:
        if self.layout is not layout:
            raise RuntimeError(
                f"{name}: expected a tensor of layout {layout!r} but got {self.layout!r}; convert it with "
                f".to_{layout.name}()"
            )

    def _indices(self) -> Any:
        """The indices (sparse_dim, nnz), which may name places more than once."""
        self._want(COO, "_indices")
        return self._index

    def _values(self) -> Any:
        """The values, not added up where places repeat; without history, as of a leaf."""
        return self._value.detach()

    def indices(self) -> Any:
        """The indices (sparse_dim, nnz) of a coalesced tensor."""
        self._want(COO, "indices")
        if not self._coalesced:
            raise RuntimeError(
                "indices: Cannot get indices on an uncoalesced tensor, please call .coalesce() first; ._indices() "
                "gives them as they are"
            )
        return self._index

    def values(self) -> Any:
        """The values (nnz, *dense sizes) of a coalesced tensor, through which gradients flow."""
        if not self._coalesced:
            raise RuntimeError("values: Cannot get values on an uncoalesced tensor, please call .coalesce() first")
        return self._value.view_as(self._value)

    def crow_indices(self) -> Any:
        """Where each row of a `sparse_csr` matrix starts, (rows + 1,)."""
        self._want(CSR, "crow_indices")
        return self._index[0]

    def col_indices(self) -> Any:
        """The columns of the values of a `sparse_csr` matrix, (nnz,)."""
        self._want(CSR, "col_indices")
        return self._index[1]

    # -- parts --------------------------------------------------------------------------------------------------------

    def _with(self, value: Any) -> SparseTensor:
        """Other values at the same places."""
        result = SparseTensor(self._index, value, self.shape, self.layout, self._coalesced)
        result._pattern = self._pattern
        return result

    def parts(self) -> list:
        """The ordinary tensors that it holds: indices, values, and the orders that products have found."""
        held = [*(self._index if self.layout is CSR else (self._index,)), self._value]
        if self._pattern is not None:
            held += self._pattern.parts()
        return held

    @property
    def pattern(self) -> Pattern:
        """The places of a matrix, kept so that products sort them once."""
        if self._pattern is None:
            if self.ndim != 2 or self.dense_dim():
                raise ShapeError(
                    f"sparse.mm: expected a matrix with two sparse dimensions, this one has shape {tuple(self.shape)} "
                    f"with {self.sparse_dim()} sparse dimension(s)"
                )
            size = (self.shape[0], self.shape[1])
            if self.layout is CSR:
                self._pattern = Pattern(None, self._index[1].long(), size, self._index[0].long())
            else:
                self._pattern = Pattern(self._index[0].contiguous(), self._index[1].contiguous(), size)
        return self._pattern

    # -- layouts ------------------------------------------------------------------------------------------------------

    def coalesce(self) -> SparseTensor:
        """Every place named once, in order, with the values at one place added up; itself if it is so."""
        self._want(COO, "coalesce")
        if self._coalesced:
            return self
        places = flat_places(self._index, self.shape[: self._index.shape[0]])
        unique, inverse = flambeau.unique(places, return_inverse=True)
        value = self._value
        sizes = (unique.shape[0], *value.shape[1:])
        if value.dtype is flambeau.bool:
            added = flambeau.zeros(sizes, dtype=flambeau.int64).index_add(0, inverse, value.long()) != 0
        else:
            added = flambeau.zeros(sizes, dtype=value.dtype).index_add(0, inverse, value)
        index = unflat_places(unique, self.shape[: self._index.shape[0]])
        return SparseTensor(index, added, self.shape, COO, True)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """All elements in an ordinary tensor, in `dtype` where given."""
        this = self.to_sparse_coo()
        sparse, dense = this.shape[: this.sparse_dim()], this._value.shape[1:]
        count = 1
        for size in sparse:
            count *= size
        value = this._value
        boolean = value.dtype is flambeau.bool
        base = flambeau.zeros((count, *dense), dtype=flambeau.int64 if boolean else value.dtype)
        full = base.index_add(0, flat_places(this._index, sparse), value.long() if boolean else value)
        full = (full != 0 if boolean else full).view(tuple(self.shape))
        return full if dtype is None else full.to(dtype)

    def to_sparse(self, layout: Any = None, *, sparse_dim: int | None = None, **options: Any) -> SparseTensor:
        """The tensor in another sparse layout; itself if it has that."""
        if isinstance(layout, int) or sparse_dim is not None:
            wanted = layout if sparse_dim is None else sparse_dim
            if self.layout is COO and wanted == self.sparse_dim():
                return self
            return from_dense(self.to_dense(), wanted)
        layout = layouts.layout(options.get("layout") or layout or self.layout)
        if layout == self.layout:
            return self
        return self.to_sparse_csr() if layout == CSR else self.to_sparse_coo()

    def to_sparse_coo(self) -> SparseTensor:
        """The tensor in the layout `sparse_coo`; itself if it is."""
        if self.layout is COO:
            return self
        pattern = Pattern(None, self._index[1].long(), (self.shape[0], self.shape[1]), self._index[0].long())
        return SparseTensor(flambeau.stack([pattern.rows, pattern.columns]), self._value, self.shape, COO, True)

    def to_sparse_csr(self, dense_dim: int | None = None) -> SparseTensor:
        """The matrix in the layout `sparse_csr`; itself if it is."""
        if self.layout is CSR:
            return self
        this = self.coalesce()
        if this.sparse_dim() != 2:
            raise ShapeError(f"to_sparse_csr: expected a matrix, got shape {tuple(self.shape)}")
        starts, _ = _core.segments(this._index[0].contiguous(), self.shape[0])
        return SparseTensor((starts, this._index[1].contiguous()), this._value, self.shape, CSR, True)

    # -- history and copies -------------------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Keep gradients for the values from now on, or no longer; itself."""
        self._value.requires_grad_(requires_grad)
        return self

    def retain_grad(self) -> None:
        """Keep the gradient of values that are no leaf."""
        self._value.retain_grad()

    def backward(self, gradient: Any = None, *args: Any, **options: Any) -> None:
        """The gradients of what this was computed from, given the gradient of this tensor, sparse or dense."""
        if gradient is not None:
            gradient = _same_places(self, gradient)
        self._value.backward(gradient, *args, **options)

    def detach(self) -> SparseTensor:
        """The same elements without history."""
        return self._with(self._value.detach())

    def detach_(self) -> SparseTensor:
        """Forget the history; itself."""
        self._value.detach_()
        return self

    def clone(self, memory_format: Any = None) -> SparseTensor:
        """A copy with memory of its own."""
        return self._with(self._value.clone())

    def contiguous(self, memory_format: Any = None) -> SparseTensor:
        """Itself."""
        return self

    def to(self, *args: Any, **options: Any) -> SparseTensor:
        """The tensor with another dtype or on another device; itself if nothing changes."""
        value = self._value.to(*[a.dtype if isinstance(a, Tensor) else a for a in args], **options)
        return self if value is self._value else self._with(value)

    cast = to

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the type, or the tensor with values of `dtype`."""
        if dtype is None:
            return self._value.type().replace("flambeau.", "flambeau.sparse.")
        return self._with(self._value.type(dtype))

    def cpu(self) -> SparseTensor:
        """Itself."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> SparseTensor:
        """The tensor on a CUDA device; DeviceError on a machine without one."""
        return self.to("cuda" if device is None else device)

    def copy_(self, source: Any, non_blocking: bool = False) -> SparseTensor:
        """Take the elements of another sparse tensor of this shape."""
        if not is_sparse(source) or source.shape != self.shape:
            raise RuntimeError(
                f"copy_: a sparse tensor of shape {tuple(self.shape)} takes the elements of one of the same shape"
            )
        source = source.to_sparse(self.layout)
        if _core.is_grad_enabled() and self.requires_grad:
            raise RuntimeError("copy_: a leaf that requires grad cannot be changed in place; use no_grad()")
        value = source._value.detach().to(self.dtype).clone()
        self._index, self._value = source._index, value.requires_grad_(self.requires_grad)
        self._coalesced, self._pattern = source._coalesced, source._pattern
        return self

    def zero_(self) -> SparseTensor:
        """No element is kept any longer."""
        empty = flambeau.zeros(self.shape, dtype=self.dtype)
        return self.copy_(
            from_dense(empty, self.sparse_dim()) if self.layout is COO else from_dense(empty).to_sparse_csr()
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> SparseTensor:
        index = tuple(i.clone() for i in self._index) if self.layout is CSR else self._index.clone()
        value = self._value.detach().clone().requires_grad_(self.requires_grad)
        memo[id(self)] = copy = SparseTensor(index, value, self.shape, self.layout, self._coalesced)
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        value = self._value.detach().requires_grad_(self.requires_grad)
        return SparseTensor, (self._index, value, tuple(self.shape), self.layout, self._coalesced)

    def __repr__(self) -> str:
        return sparse_text(self)

    def __hash__(self) -> int:
        return id(self) >> 4

    def __bool__(self) -> bool:
        return bool(self.to_dense())

    def item(self) -> Any:
        """The number in a tensor of one element."""
        return self.to_dense().item()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused: `to_dense` comes first."""
        raise TypeError("numpy: can't convert a sparse tensor to numpy; use .to_dense().numpy() first")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(Tensor, name):
            raise AttributeError(f"'SparseTensor' object has no attribute {name!r}")
        raise _MissingError(
            f"{name}: there is no version for tensors of layout {self.layout!r}; use .to_dense().{name}, or .values()"
        )


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse tensor."""
    return type(value) is SparseTensor


def flat_places(index: Any, sizes: Sequence[int]) -> Any:
    """The places (d, n) counted along the flattened dimensions, (n,)."""
    flat = flambeau.zeros(index.shape[1], dtype=flambeau.int64)
    for row, size in zip(index, sizes):
        flat = flat * size + row
    return flat


def unflat_places(flat: Any, sizes: Sequence[int]) -> Any:
    """The rows of indices of places counted along the flattened dimensions."""
    rows: list[Any] = []
    for size in reversed(sizes):
        rows.append(flat % size if size else flat)
        flat = flambeau.div(flat, size, rounding_mode="floor") if size else flat
    return flambeau.stack(rows[::-1]) if rows else flambeau.zeros((0, flat.shape[0]), dtype=flambeau.int64)


def _same_places(this: SparseTensor, gradient: Any) -> Any:
    """The values of a gradient, sparse or dense, at the places of a tensor."""
    if is_sparse(gradient):
        if gradient._index is this._index:
            return gradient._value
        gradient = gradient.to_dense()
    if tuple(gradient.shape) != tuple(this.shape):
        raise ShapeError(
            f"grad: the gradient is {tuple(gradient.shape)}, the tensor {tuple(this.shape)}; they must be equal"
        )
    coo = this.to_sparse_coo()
    return gradient[tuple(coo._index)]


# -- making -----------------------------------------------------------------------------------------------------------


def _options(options: dict[str, Any], name: str) -> None:
    for key in options:
        if key not in ("device", "pin_memory", "check_invariants", "layout"):
            raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
    if options.get("device") is not None:
        from flambeau.devices import check_device

        check_device(options["device"])


def _values_of(values: Any, dtype: Any, requires_grad: bool) -> Any:
    value = flambeau.as_tensor(values, dtype=dtype)
    return value.detach().requires_grad_() if requires_grad else value


def sparse_coo_tensor(
    indices: Any, values: Any = None, size: Sequence[int] | None = None, *, dtype: Any = None,
    requires_grad: bool = False, is_coalesced: bool | None = None, **options: Any,
) -> Any:  # fmt: skip
    """A tensor that is zero but for the given elements; values at one place are added up.

    Arguments: `indices` (d, n), integers, one column an element; `values` (n, *dense sizes); `size`, by default the
    smallest that holds the elements; `requires_grad`; `is_coalesced`, True where places are unique and in order;
    `check_invariants` is accepted: indices are always checked. `sparse_coo_tensor(size)` has no elements. Gradients
    flow to `values`. Errors: RuntimeError for an index outside of `size`, ShapeError where shapes do not fit.

    >>> fl.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    name = "sparse_coo_tensor"
    _options(options, name)
    if values is None:  # sparse_coo_tensor(size)
        size = tuple(indices) if size is None else size
        indices = flambeau.zeros((len(size), 0), dtype=flambeau.int64)
        values = flambeau.zeros(0, dtype=dtype)
    index = flambeau.as_tensor(indices).detach()
    if index.dtype.is_floating_point or index.dtype is flambeau.bool:
        if index.numel():
            raise TypeError(f"{name}: indices must be integers, got {index.dtype}; use indices.long()")
    index = index.to(flambeau.int64)
    if index.ndim == 1 and index.shape[0]:  # a list of places in a vector
        index = index.unsqueeze(0) if not isinstance(indices, Tensor) else index
    value = _values_of(values, dtype, requires_grad)
    if index.ndim != 2:
        raise ShapeError(f"{name}: indices must be sparse_dim x nnz, but got shape {tuple(index.shape)}")
    if value.ndim == 0 or value.shape[0] != index.shape[1]:
        raise ShapeError(
            f"{name}: number of dimensions must agree: indices are {tuple(index.shape)}, so values must begin with "
            f"{index.shape[1]}, they are {tuple(value.shape)}"
        )
    low, high = ([], [])
    if index.numel():
        low, high = index.amin(1).tolist(), index.amax(1).tolist()
    for d, lowest in enumerate(low):
        if lowest < 0:
            raise RuntimeError(f"{name}: found negative index {lowest} for dim {d}; count places from 0")
    if size is None:
        if index.shape[1] == 0:
            raise RuntimeError(f"{name}: the size cannot be told from no elements; pass size=")
        size = (*[h + 1 for h in high], *value.shape[1:])
    size = tuple(int(n) for n in size)
    sparse = index.shape[0]
    if len(size) != sparse + value.ndim - 1:
        raise ShapeError(
            f"{name}: number of dimensions must be sparse_dim ({sparse}) + dense_dim ({value.ndim - 1}), but got "
            f"size={size}"
        )
    if tuple(size[sparse:]) != tuple(value.shape[1:]):
        raise ShapeError(f"{name}: values are {tuple(value.shape)} and must be (nnz, *{tuple(size[sparse:])})")
    for d, highest in enumerate(high):
        if highest >= size[d]:
            raise RuntimeError(
                f"{name}: size is inconsistent with indices: for dim {d}, size is {size[d]} but found index {highest}"
            )
    return SparseTensor(index, value, size, COO, bool(is_coalesced) or index.shape[1] == 0)


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Sequence[int] | None = None, *, dtype: Any = None,
    requires_grad: bool = False, **options: Any,
) -> Any:  # fmt: skip
    """A matrix kept row by row: row i has values[crow_indices[i] : crow_indices[i + 1]] in the columns col_indices.

    Arguments: `crow_indices` (rows + 1,), rising from 0 to n; `col_indices` (n,), rising within a row; `values` (n,);
    `size`, by default as many columns as are named; `requires_grad`. Errors: RuntimeError for indices that break those
    rules, which are always checked.

    >>> fl.sparse_csr_tensor([0, 1, 2], [2, 0], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    name = "sparse_csr_tensor"
    _options(options, name)
    rows = flambeau.as_tensor(crow_indices).detach()
    columns = flambeau.as_tensor(col_indices).detach()
    value = _values_of(values, dtype, requires_grad)
    for part, text in ((rows, "crow_indices"), (columns, "col_indices")):
        if part.dtype not in (flambeau.int64, flambeau.int32) and part.numel():
            raise TypeError(f"{name}: {text} must be int32 or int64, got {part.dtype}; use .long()")
        if part.ndim != 1:
            raise ShapeError(f"{name}: {text} must be a vector, got shape {tuple(part.shape)}")
    count = columns.shape[0]
    if value.ndim != 1 or value.shape[0] != count:
        raise ShapeError(f"{name}: values must be a vector like col_indices ({count},), they are {tuple(value.shape)}")
    if size is None:
        size = (rows.shape[0] - 1, int(columns.max()) + 1 if count else 0)
    size = tuple(int(n) for n in size)
    if len(size) != 2:
        raise ShapeError(f"{name}: size must be (rows, columns), got {size}")
    if rows.shape[0] != size[0] + 1:
        raise ShapeError(
            f"{name}: crow_indices must hold rows + 1 = {size[0] + 1} entries, they are {tuple(rows.shape)}"
        )
    if int(rows[0]) != 0 or int(rows[-1]) != count or bool((rows[1:] < rows[:-1]).any()):
        raise RuntimeError(f"{name}: crow_indices must rise from 0 to the number of values, {count}")
    if count:
        if int(columns.min()) < 0 or int(columns.max()) >= size[1]:
            raise RuntimeError(f"{name}: `0 <= col_indices < {size[1]}` is not satisfied")
        starts = flambeau.zeros(count + 1, dtype=flambeau.bool)
        starts[rows.long()] = True
        if bool(((columns[1:] <= columns[:-1]) & ~starts[1:count]).any()):
            raise RuntimeError(f"{name}: col_indices must be sorted and distinct along each row")
    return SparseTensor((rows, columns), value, size, CSR, True)


def from_dense(tensor: Any, sparse_dim: int | None = None) -> SparseTensor:
    """The elements of an ordinary tensor that are not zero; a place counts if any of its dense part is not."""
    tensor = check_tensor("to_sparse", tensor)
    sparse = tensor.ndim if sparse_dim is None else int(sparse_dim)
    if not 0 <= sparse <= tensor.ndim:
        raise RuntimeError(f"to_sparse: sparse_dim must be in 0 .. {tensor.ndim}, got {sparse}")
    plain = tensor.detach() != 0
    for _ in range(tensor.ndim - sparse):
        plain = plain.any(-1)
    index = flambeau.nonzero(plain).t().contiguous()
    value = tensor[tuple(index)] if sparse else tensor.unsqueeze(0)
    if not sparse:
        index = flambeau.zeros((0, 1), dtype=flambeau.int64)
    return SparseTensor(index, value, tensor.shape, COO, True)
