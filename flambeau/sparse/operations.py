"""Operations on sparse tensors: arithmetic, sums, softmax, products, and the handler that the core asks for them.

Every function works on indices and values with ordinary operations, so gradients flow, to any order, through values and
dense operands. What does not live here: the tensor (`tensor`) and the two kernels of a product (`products`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import ShapeError
from flambeau.ops.arguments import wrap_dim, wrap_dims
from flambeau.sparse import products
from flambeau.sparse.tensor import COO, CSR, SparseTensor, flat_places, from_dense, is_sparse, unflat_places

__all__ = ["addmm", "handle", "log_softmax", "mm", "sampled_addmm", "softmax", "spdiags", "sum"]

Tensor: Any = _core.Tensor


def _refused(name: str, why: str) -> NotImplementedError:
    return NotImplementedError(f"{name}: {why}; use .to_dense() on the sparse tensor first")


# -- products ---------------------------------------------------------------------------------------------------------


def matmul(input: Any, other: Any) -> Any:
    """The matrix product where one operand, or both, is sparse."""
    if not is_sparse(input):
        if input.ndim == 1:
            return _turned(other.transpose(0, 1), input.unsqueeze(1)).squeeze(1)
        return _turned(other.transpose(0, 1), input.transpose(-2, -1)).transpose(-2, -1)
    if is_sparse(other):
        return _both(input, other)
    if other.ndim == 1:
        return _turned(input, other.unsqueeze(1)).squeeze(1)
    return _turned(input, other)


def _turned(input: SparseTensor, dense: Any) -> Any:
    if input.ndim == 3 and dense.ndim == 3:
        return flambeau.stack([_turned(input.select(0, i), dense[i]) for i in range(input.shape[0])])
    if input.ndim != 2 or dense.ndim != 2:
        raise ShapeError(
            f"sparse.mm: expected two matrices, got shapes {tuple(input.shape)} (sparse) and {tuple(dense.shape)}"
        )
    if input.shape[1] != dense.shape[0]:
        raise ShapeError(
            f"sparse.mm: inner sizes differ: the sparse matrix is {tuple(input.shape)}, the dense one "
            f"{tuple(dense.shape)}"
        )
    return products.product(input.pattern, input._value, dense)


def _both(input: SparseTensor, other: SparseTensor) -> SparseTensor:
    """The sparse product of two sparse matrices: every pair of elements whose inner places meet, added up."""
    if input.ndim != 2 or other.ndim != 2 or input.shape[1] != other.shape[0]:
        raise ShapeError(f"sparse.mm: inner sizes differ: {tuple(input.shape)} and {tuple(other.shape)}")
    left, right = input.to_sparse_coo().coalesce(), other.to_sparse_csr()
    starts, inner = right._index[0].long(), left._index[1]
    counts = (starts[1:] - starts[:-1])[inner]  # for each element on the left, the elements of the row it meets
    pairs = flambeau.repeat_interleave(flambeau.arange(counts.shape[0]), counts)
    begins = flambeau.cumsum(counts, 0) - counts
    to = starts[inner[pairs]] + flambeau.arange(pairs.shape[0]) - begins[pairs]
    index = flambeau.stack([left._index[0][pairs], right._index[1].long()[to]])
    value = left._value[pairs] * right._value[to]
    result = SparseTensor(index, value, (input.shape[0], other.shape[1]), COO, False).coalesce()
    return result.to_sparse_csr() if input.layout is CSR else result


def mm(mat1: Any, mat2: Any, reduce: str = "sum") -> Any:
    """The matrix product of a sparse matrix (n, k) and a dense or sparse one (k, m): dense, or sparse for two sparse.

    Gradients flow to the values of the sparse operands and to the dense one. Errors: ShapeError where sizes do not
    fit, DTypeError for different dtypes.

    >>> fl.sparse.mm(fl.eye(2).to_sparse(), fl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    if reduce != "sum":
        raise _refused("sparse.mm", f"reduce={reduce!r} is not there, only 'sum'")
    return flambeau.mm(mat1, mat2)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (mat1 @ mat2), mat1 sparse; see `flambeau.sparse.mm`.

    >>> fl.sparse.addmm(fl.ones(2, 2), fl.eye(2).to_sparse(), fl.ones(2, 2), alpha=2)
    tensor([[3., 3.],
            [3., 3.]])
    """
    return flambeau.addmm(input, mat1, mat2, beta=beta, alpha=alpha)


def sampled_addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0, out: Any = None) -> Any:
    """beta * input + alpha * (mat1 @ mat2) at the places of the sparse matrix `input` alone, computed only there.

    >>> fl.sparse.sampled_addmm(fl.eye(2).to_sparse_csr(), fl.ones(2, 3), fl.ones(3, 2)).values()
    tensor([4., 4.])
    """
    if not is_sparse(input):
        raise TypeError("sparse.sampled_addmm: input must be sparse; use input.to_sparse_csr()")
    if mat1.shape[1] != mat2.shape[0] or (mat1.shape[0], mat2.shape[1]) != tuple(input.shape):
        raise ShapeError(
            f"sparse.sampled_addmm: sizes differ: input {tuple(input.shape)}, mat1 {tuple(mat1.shape)}, mat2 "
            f"{tuple(mat2.shape)}"
        )
    this = input if input.layout is CSR else input.coalesce()
    value = products.sampled(this.pattern, mat1, mat2.t()) * alpha
    return this._with(value if beta == 0 else this._value * beta + value)


# -- elements ---------------------------------------------------------------------------------------------------------

_keeps_zero: dict[Any, bool] = {}


def elementwise(operation: Any, input: SparseTensor, *rest: Any, **options: Any) -> SparseTensor:
    """An operation on each element that takes zero to zero, such as `sin` or `relu`."""
    name = getattr(operation, "__name__", str(operation))
    if options or any(isinstance(value, Tensor) for value in rest):
        raise _refused(name, "there is no version for these arguments and a sparse tensor")
    key = (operation, rest)
    if key not in _keeps_zero:
        zero = operation(flambeau.zeros((), dtype=input.dtype), *rest)
        _keeps_zero[key] = isinstance(zero, Tensor) and zero.ndim == 0 and bool(zero == 0)
    if not _keeps_zero[key]:
        raise _refused(name, "its value at zero is not zero, so the result would not be sparse")
    this = input if input.layout is CSR else input.coalesce()
    return this._with(operation(this._value, *rest))


def add(input: Any, other: Any, alpha: Any = 1, *, out: Any = None) -> Any:
    """input + alpha * other: sparse where both are, dense where one is."""
    if not (is_sparse(input) and is_sparse(other)):
        dense, sparse = (other, input) if is_sparse(input) else (input, other)
        if not isinstance(dense, Tensor):
            raise _refused("add", "a sparse tensor plus a number has no zeros")
        if dense is other:
            return sparse.to_dense() + (dense if alpha == 1 else dense * alpha)
        full = sparse.to_dense()
        return dense + (full if alpha == 1 else full * alpha)
    if input.shape != other.shape:
        raise ShapeError(f"add: sizes differ: {tuple(input.shape)} and {tuple(other.shape)}")
    left, right = input.to_sparse_coo(), other.to_sparse_coo()
    if left.sparse_dim() != right.sparse_dim():
        raise ShapeError(f"add: sparse dimensions differ: {left.sparse_dim()} and {right.sparse_dim()}")
    dtype = flambeau.result_type(left._value, right._value)
    second = right._value if alpha == 1 else right._value * alpha
    value = flambeau.cat([left._value.to(dtype), second.to(dtype)])
    result = SparseTensor(flambeau.cat([left._index, right._index], 1), value, input.shape, COO, False)
    if left._coalesced and right._coalesced:
        result = result.coalesce()
    return result.to_sparse_csr() if input.layout is CSR and other.layout is CSR else result


def sub(input: Any, other: Any, alpha: Any = 1, *, out: Any = None) -> Any:
    """input - alpha * other."""
    if not isinstance(other, Tensor):
        raise _refused("sub", "a sparse tensor minus a number has no zeros")
    return add(input, other, -alpha)


def mul(input: Any, other: Any, *, out: Any = None) -> Any:
    """The product element by element: sparse, at the places of the sparse operand, or of both."""
    if not is_sparse(input):
        input, other = other, input
    if not isinstance(other, Tensor) or (not is_sparse(other) and other.ndim == 0):
        return input._with(input._value * other)
    if not is_sparse(other):
        return input._with(input._value * _at(input, other, "mul"))
    if input.shape != other.shape:
        raise ShapeError(f"mul: sizes differ: {tuple(input.shape)} and {tuple(other.shape)}")
    left, right = input.to_sparse_coo().coalesce(), other.to_sparse_coo().coalesce()
    sizes = left.shape[: left.sparse_dim()]
    a, b = flat_places(left._index, sizes), flat_places(right._index, sizes)
    if not b.shape[0]:
        return right._with(right._value * flambeau.ones((), dtype=left.dtype))
    to = flambeau.searchsorted(b, a).clamp(max=b.shape[0] - 1)
    found = flambeau.nonzero(b[to] == a).squeeze(1)
    value = left._value[found] * right._value[to[found]]
    result = SparseTensor(left._index[:, found], value, left.shape, COO, True)
    return result.to_sparse_csr() if input.layout is CSR and other.layout is CSR else result


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """input / other, element by element, of a sparse tensor by a number or a dense tensor."""
    if not is_sparse(input) or is_sparse(other):
        raise _refused("div", "dividing by a sparse tensor divides by its zeros")
    divisor = _at(input, other, "div") if isinstance(other, Tensor) and other.ndim else other
    this = input if rounding_mode is None or input.layout is CSR else input.coalesce()
    return this._with(flambeau.div(this._value, divisor, rounding_mode=rounding_mode))


def _at(input: SparseTensor, dense: Any, name: str) -> Any:
    """The elements of a dense tensor at the places of a sparse one, which it broadcasts to."""
    try:
        wide = dense.expand(tuple(input.shape))
    except RuntimeError:
        raise ShapeError(f"{name}: shapes differ: {tuple(input.shape)} (sparse) and {tuple(dense.shape)}") from None
    return wide[tuple(input.to_sparse_coo()._index)]


def add_(input: Any, other: Any, alpha: Any = 1) -> Any:
    """A dense tensor with alpha times a sparse one added in place; a sparse tensor with another's elements taken in."""
    if is_sparse(input):
        result = add(input, other, alpha)
        if not is_sparse(result):
            raise _refused("add_", "a dense tensor cannot be added to a sparse one in place")
        return _replaced(input, result)
    if tuple(input.shape) != tuple(other.shape):
        raise ShapeError(f"add_: shapes differ: {tuple(input.shape)} and {tuple(other.shape)} (sparse)")
    value = other._value.to(input.dtype) if alpha == 1 else (other._value * alpha).to(input.dtype)
    places = tuple(other.to_sparse_coo()._index)
    if not places:
        return input.add_(value.sum(0))
    if len(places) == 1:
        _core.index_add(input, 0, places[0], value, True)
    else:
        _core.index_put_(input, places, value, True)
    return input


def sub_(input: Any, other: Any, alpha: Any = 1) -> Any:
    """`add_` with the sign turned."""
    return add_(input, other, -alpha)


def mul_(input: Any, other: Any) -> Any:
    """`mul` in place, of a sparse tensor."""
    if not is_sparse(input):
        return input.copy_(mul(input, other).to_dense())
    return _replaced(input, mul(input, other))


def div_(input: Any, other: Any) -> Any:
    """`div` in place, of a sparse tensor."""
    return _replaced(input, div(input, other))


def _replaced(this: SparseTensor, result: SparseTensor) -> SparseTensor:
    if _core.is_grad_enabled() and this.requires_grad and this.is_leaf:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    this._index, this._value = result._index, result._value
    this._coalesced, this._pattern = result._coalesced, None
    return this


# -- sums -------------------------------------------------------------------------------------------------------------


def sum(input: Any, dim: Any = None, dtype: Any = None, keepdim: bool = False) -> Any:
    """The sum of a sparse tensor over the dimensions `dim`, which stays sparse; over all of them a dense number.

    >>> fl.sparse.sum(fl.eye(3).to_sparse(), 0).to_dense()
    tensor([1., 1., 1.])
    """
    if not is_sparse(input):
        return flambeau.sum(input, dim, keepdim, dtype=dtype)
    value = input._value if dtype is None else input._value.to(dtype)
    if dim is None:
        total = value.sum()
        return total.view((1,) * input.ndim) if keepdim else total
    this = input.to_sparse_coo()
    dims, sparse = wrap_dims("sparse.sum", dim, input.ndim), this.sparse_dim()
    dense = [d - sparse + 1 for d in dims if d >= sparse]
    if dense:
        value = value.sum(dense, keepdim=keepdim)
    elif not value.dtype.is_floating_point:
        value = value.to(flambeau.int64)
    size = [1 if d in dims else n for d, n in enumerate(input.shape) if keepdim or d not in dims]
    kept = [d for d in range(sparse) if d not in dims]
    if not kept and not keepdim:  # only dense dimensions are left
        return value.sum(0)
    if keepdim:
        index = flambeau.stack([this._index[d] if d in kept else this._index[d] * 0 for d in range(sparse)])
    else:
        index = this._index[kept]
    unchanged = len(kept) == sparse
    result = SparseTensor(index, value, size, COO, this._coalesced and unchanged).coalesce()
    return result.to_sparse_csr() if input.layout is CSR and len(size) == 2 else result


def _grouped(name: str, input: Any, dim: int, dtype: Any) -> Any:
    """(tensor, dim, group of each element, number of groups): elements of one group stand along `dim`."""
    if not is_sparse(input):
        raise TypeError(f"sparse.{name}: input must be sparse; use flambeau.{name} for dense tensors")
    this = input.to_sparse_coo().coalesce()
    if dtype is not None:
        this = this.to(dtype)
    dim = wrap_dim(f"sparse.{name}", dim, input.ndim)
    if dim >= this.sparse_dim():
        return this, dim, None, 0
    others = [d for d in range(this.sparse_dim()) if d != dim]
    places = flat_places(this._index[others], [this.shape[d] for d in others])
    unique, group = flambeau.unique(places, return_inverse=True)
    return this, dim, group, unique.shape[0]


def _shifted(this: SparseTensor, group: Any, groups: int) -> tuple[Any, Any]:
    """The values less the largest of their group, and the sums of their exponentials by group."""
    value = this._value
    index = group.view(-1, *[1] * (value.ndim - 1)).expand(value.shape)
    start = flambeau.full((groups, *value.shape[1:]), float("-inf"), dtype=value.dtype)
    largest = start.scatter_reduce(0, index, value.detach(), "amax", include_self=True)
    shifted = value - largest[group]
    return shifted, flambeau.zeros(start.shape, dtype=value.dtype).index_add(0, group, shifted.exp())


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """softmax along `dim` over the elements that are kept; the others count as minus infinity and stay zero.

    >>> fl.sparse.softmax(fl.eye(2).to_sparse(), 1).to_dense()
    tensor([[1., 0.],
            [0., 1.]])
    """
    this, dim, group, groups = _grouped("softmax", input, dim, dtype)
    if group is None:
        result = this._with(flambeau.softmax(this._value, dim - this.sparse_dim() + 1))
    else:
        shifted, totals = _shifted(this, group, groups)
        result = this._with(shifted.exp() / totals[group])
    return result.to_sparse_csr() if input.layout is CSR else result


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The logarithm of `flambeau.sparse.softmax`, at the elements that are kept.

    >>> fl.sparse.log_softmax(fl.ones(1, 1).to_sparse(), 1).values()
    tensor([0.])
    """
    this, dim, group, groups = _grouped("log_softmax", input, dim, dtype)
    if group is None:
        result = this._with(flambeau.log_softmax(this._value, dim - this.sparse_dim() + 1))
    else:
        shifted, totals = _shifted(this, group, groups)
        result = this._with(shifted - totals.log()[group])
    return result.to_sparse_csr() if input.layout is CSR else result


def spdiags(diagonals: Any, offsets: Any, shape: Any, layout: Any = None) -> Any:
    """The sparse matrix of `shape` with the rows of `diagonals` on the diagonals that `offsets` names.

    >>> fl.sparse.spdiags(fl.ones(1, 2), fl.tensor([0]), (2, 2)).to_dense()
    tensor([[1., 0.],
            [0., 1.]])
    """
    diagonals = diagonals if diagonals.ndim == 2 else diagonals.unsqueeze(0)
    shifts = [int(k) for k in offsets.reshape(-1).tolist()]
    if len(shifts) != diagonals.shape[0] or len(set(shifts)) != len(shifts):
        raise ValueError(
            f"sparse.spdiags: one distinct offset for each of {diagonals.shape[0]} diagonals, got {shifts}"
        )
    rows, columns, values = [], [], []
    for k, line in zip(shifts, diagonals, strict=True):
        first, last = max(k, 0), min(shape[1], line.shape[0], shape[0] + k)
        place = flambeau.arange(first, max(first, last))
        rows.append(place - k)
        columns.append(place)
        values.append(line[place])
    index = flambeau.stack([flambeau.cat(rows), flambeau.cat(columns)])
    result = SparseTensor(index, flambeau.cat(values), shape, COO, False).coalesce()
    return result if layout is None else result.to_sparse(layout)


# -- layout -----------------------------------------------------------------------------------------------------------


def transpose(input: SparseTensor, dim0: int, dim1: int) -> SparseTensor:
    """The tensor with two sparse dimensions, or two dense ones, exchanged."""
    dim0, dim1 = wrap_dim("transpose", dim0, input.ndim), wrap_dim("transpose", dim1, input.ndim)
    order = list(range(input.ndim))
    order[dim0], order[dim1] = dim1, dim0
    return permute(input, order)


def permute(input: SparseTensor, *dims: Any) -> SparseTensor:
    """The tensor with its dimensions in another order, the sparse ones first."""
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    order = wrap_dims("permute", tuple(given), input.ndim)
    if order == tuple(range(input.ndim)):
        return input
    this = input.to_sparse_coo()
    sparse = this.sparse_dim()
    if len(order) != input.ndim or any((d < sparse) != (i < sparse) for i, d in enumerate(order)):
        raise RuntimeError(f"permute: sparse and dense dimensions cannot be exchanged: {order}, {sparse} are sparse")
    value = this._value.permute([0, *[d - sparse + 1 for d in order[sparse:]]])
    size = [input.shape[d] for d in order]
    unchanged = order[:sparse] == tuple(range(sparse))
    result = SparseTensor(this._index[list(order[:sparse])], value, size, COO, this._coalesced and unchanged)
    if input._pattern is not None and input.ndim == 2 and this is input:
        result._pattern = input._pattern.turned
    return result.to_sparse_csr() if input.layout is CSR else result


def t(input: SparseTensor) -> SparseTensor:
    """The transpose of a matrix; vectors stay as they are."""
    return input if input.ndim < 2 else transpose(input, 0, 1)


def select(input: SparseTensor, dim: int, index: int) -> Any:
    """The part at one place of a dimension, a sparse tensor; dense where no sparse dimension is left."""
    this = input.to_sparse_coo().coalesce()
    dim = wrap_dim("select", dim, input.ndim)
    size = input.shape[dim]
    if not -size <= index < size:
        raise IndexError(f"select: index {index} is out of range for dimension {dim} of size {size}")
    index %= size
    sparse = this.sparse_dim()
    sizes = [n for d, n in enumerate(input.shape) if d != dim]
    if dim >= sparse:
        return SparseTensor(this._index, this._value.select(dim - sparse + 1, index), sizes, COO, True)
    found = flambeau.nonzero(this._index[dim] == index).squeeze(1)
    rest = [d for d in range(sparse) if d != dim]
    if not rest:
        return this._value[found].sum(0)
    return SparseTensor(this._index[rest][:, found], this._value[found], sizes, COO, True)


def index_select(input: SparseTensor, dim: int, index: Any) -> SparseTensor:
    """The parts at several places of a sparse dimension, in their order."""
    this = input.to_sparse_coo().coalesce()
    dim = wrap_dim("index_select", dim, input.ndim)
    if dim >= this.sparse_dim():
        value = this._value.index_select(dim - this.sparse_dim() + 1, index)
        size = [index.shape[0] if d == dim else n for d, n in enumerate(input.shape)]
        return SparseTensor(this._index, value, size, COO, True)
    starts, order = _core.segments(this._index[dim].contiguous(), input.shape[dim])
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < input.shape[dim]:
        raise IndexError(f"index_select: index out of range for dimension {dim} of size {input.shape[dim]}")
    counts = (starts[1:] - starts[:-1])[index]
    to = flambeau.repeat_interleave(flambeau.arange(index.shape[0]), counts)
    begins = flambeau.cumsum(counts, 0) - counts
    found = order[starts[index[to]] + flambeau.arange(to.shape[0]) - begins[to]]
    places = [to if d == dim else this._index[d][found] for d in range(this.sparse_dim())]
    size = [index.shape[0] if d == dim else n for d, n in enumerate(input.shape)]
    return SparseTensor(flambeau.stack(places), this._value[found], size, COO, False).coalesce()


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> SparseTensor:
    """Sparse tensors one after another along a sparse dimension."""
    parts = [value.to_sparse_coo() for value in tensors]
    first = parts[0]
    dim = wrap_dim("cat", dim, first.ndim)
    for part in parts:
        same = [n for d, n in enumerate(part.shape) if d != dim] == [n for d, n in enumerate(first.shape) if d != dim]
        if part.ndim != first.ndim or part.sparse_dim() != first.sparse_dim() or not same or dim >= part.sparse_dim():
            raise ShapeError(f"cat: shapes do not fit along {dim}: {[tuple(part.shape) for part in parts]}")
    moved, before = [], 0
    for part in parts:
        rows = [row + before if d == dim else row for d, row in enumerate(part._index)]
        moved.append(flambeau.stack(rows))
        before += part.shape[dim]
    size = [before if d == dim else n for d, n in enumerate(first.shape)]
    value = flambeau.cat([part._value for part in parts])
    result = SparseTensor(flambeau.cat(moved, 1), value, size, COO, False)
    return result.coalesce() if all(part._coalesced for part in parts) else result


def norm(input: SparseTensor, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The norm of all elements."""
    if dim is not None:
        raise _refused("norm", "only the norm of all elements is there")
    this = input if input.layout is CSR else input.coalesce()
    return flambeau.norm(this._value, 2 if p == "fro" else p)


def mask(dense: Any, places: SparseTensor) -> SparseTensor:
    """The elements of a dense (or sparse) tensor at the places of a sparse one."""
    if tuple(dense.shape) != tuple(places.shape):
        raise ShapeError(f"sparse_mask: shapes differ: {tuple(dense.shape)} and {tuple(places.shape)} (mask)")
    this = places if places.layout is CSR else places.coalesce()
    full = dense.to_dense() if is_sparse(dense) else dense
    return this._with(full[tuple(this.to_sparse_coo()._index)])


# -- calls that the core could not answer -----------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable] = {
    "add": add, "sub": sub, "mul": mul, "div": div, "add_scaled": add,
    "sub_scaled": sub, "add_scaled_": add_, "sub_scaled_": sub_,
    "add_": add_, "sub_": sub_, "mul_": mul_, "div_": div_,
    "matmul": matmul, "cat": cat, "sum": lambda x, dim=None, keepdim=False: sum(x, dim, None, keepdim),
}  # fmt: skip


def handle(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The result of a core function or operation that got a sparse tensor."""
    name = function if isinstance(function, str) else function.__name__
    known = FUNCTIONS.get(name)
    if known is not None:
        if kwargs.get("out") is not None:
            raise _refused(name, "out= takes no sparse tensors")
        renamed = {("other" if key == "y" else key): value for key, value in kwargs.items()}
        return known(*args, **renamed)
    operation = not isinstance(function, str)
    if operation and function.declaration.kind == "map" and args and is_sparse(args[0]) and not name.endswith("_"):
        return elementwise(function, *args, **kwargs)
    if operation and name.endswith("_") and is_sparse(args[0]):
        return _replaced(args[0], elementwise(getattr(flambeau, name[:-1]), *args, **kwargs))
    raise _refused(name, "there is no version for sparse tensors")


def _add_gradients(a: Any, b: Any) -> Any:
    return add(a, b)


def _attach() -> None:
    """The methods of SparseTensor that are operations, and the handler of the core."""
    unary = (
        "abs", "neg", "sign", "sgn", "sqrt", "square", "sin", "sinh", "tan", "tanh", "asin", "asinh", "atan", "atanh",
        "expm1", "log1p", "erf", "erfinv", "floor", "ceil", "round", "trunc", "frac", "relu", "isnan", "isinf",
        "isneginf", "isposinf", "signbit", "deg2rad", "rad2deg", "positive", "pow", "nan_to_num",
    )  # fmt: skip

    def unary_method(name: str) -> Callable:
        def method(self: Any, *args: Any) -> Any:
            return elementwise(getattr(flambeau, name), self, *args)

        method.__name__ = method.__qualname__ = name
        method.__doc__ = f"`flambeau.{name}` of the elements."
        return method

    def caster(name: str) -> Callable:
        def method(self: Any) -> Any:
            return self.to(getattr(flambeau, name))

        method.__name__ = method.__qualname__ = name
        method.__doc__ = f"The tensor with values of {name}."
        return method

    methods: dict[str, Any] = {name: unary_method(name) for name in unary if hasattr(flambeau, name)}
    for name in ("float", "double", "half", "bfloat16", "long", "int", "short", "bool"):
        methods[name] = caster(name)

    def total(self: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None) -> Any:
        """`flambeau.sparse.sum`."""
        return sum(self, axis if dim is None else dim, dtype, keepdim)

    def product(self: Any, other: Any) -> Any:
        """The matrix product with a vector or a matrix."""
        return flambeau.matmul(self, other)

    def masked(self: Any, places: Any) -> Any:
        """The elements at the places of another sparse tensor."""
        return mask(self, places)

    methods |= {
        "add": add, "sub": sub, "subtract": sub, "mul": mul, "multiply": mul, "div": div, "divide": div,
        "true_divide": div, "add_": add_, "sub_": sub_, "mul_": mul_, "div_": div_, "matmul": product, "mm": product,
        "mv": product, "bmm": product, "smm": product, "sum": total, "transpose": transpose, "permute": permute,
        "t": t, "select": select, "index_select": index_select, "norm": norm, "sparse_mask": masked,
        "__add__": add, "__radd__": lambda self, other: add(other, self), "__sub__": sub,
        "__rsub__": lambda self, other: sub(other, self), "__mul__": mul, "__rmul__": mul, "__truediv__": div,
        "__matmul__": matmul, "__rmatmul__": lambda self, other: matmul(other, self), "__neg__": methods["neg"],
        "__abs__": methods["abs"], "__pow__": methods["pow"], "__iadd__": add_, "__isub__": sub_, "__imul__": mul_,
        "__itruediv__": div_,
    }  # fmt: skip

    def item_at(self: Any, key: Any) -> Any:
        """The part at one place of the first dimension."""
        if not isinstance(key, int):
            raise _refused("index", "only a whole number is taken as an index")
        return select(self, 0, key)

    methods["__getitem__"] = item_at
    for name, method in methods.items():
        setattr(SparseTensor, name, method)
    _core.set_sparse(SparseTensor, handle, _add_gradients)


_attach()
__all__ += ["from_dense", "unflat_places"]
