"""Products of vectors, matrices and tensors, all layouts over one contraction: matmul, einsum, tensordot, cross.

The contraction kernel itself is native (`_core.matmul`). Decompositions and solves are in `linalg`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core
from flambeau.errors import DTypeError, ShapeError
from flambeau.ops.arguments import Tensor, check_tensor, check_tensors, deliver, in_float32, shape_error, twin, wrap_dim
from flambeau.ops.complex import conj
from flambeau.ops.constructors import broadcast_shapes

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "cross", "dot", "einsum", "ger", "inner",
    "kron", "matmul", "mm", "mv", "outer", "tensordot", "trace", "vdot",
]  # fmt: skip

_matmul = _core.matmul


def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """The matrix product, batched over leading dimensions that broadcast; vectors are rows on the left, columns right.

    >>> fl.matmul(fl.tensor([[1.0, 2.0]]), fl.tensor([3.0, 4.0]))
    tensor([11.])
    """
    return _matmul(input, other) if out is None else deliver(_matmul(input, other), out)


def _same(name: str, **tensors: Any) -> None:
    kinds = {t.dtype for t in tensors.values()}
    if len(kinds) > 1:
        found = ", ".join(f"{key} is {t.dtype}" for key, t in tensors.items())
        raise DTypeError(f"{name}: expected all tensors to have the same dtype: {found}; convert with .to(...)")


def _dims(name: str, wanted: int, **tensors: Any) -> None:
    for key, t in tensors.items():
        if check_tensor(name, t, key).ndim != wanted:
            raise ShapeError(f"{name}: expected {key} to have {wanted} dimension(s), got {tuple(t.shape)}")


def _inner_sizes(name: str, fits: bool, **tensors: Any) -> None:
    if not fits:
        raise shape_error(name, "inner sizes differ", **tensors)


def mm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """The product of two matrices (n, k) and (k, m)."""
    _dims("mm", 2, input=input, mat2=mat2)
    _inner_sizes("mm", input.shape[1] == mat2.shape[0], input=input, mat2=mat2)
    return deliver(_matmul(input, mat2), out)


def bmm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """The products of two equally long batches of matrices (b, n, k) and (b, k, m)."""
    _dims("bmm", 3, input=input, mat2=mat2)
    _inner_sizes("bmm", input.shape[2] == mat2.shape[1], input=input, mat2=mat2)
    if input.shape[0] != mat2.shape[0]:
        raise shape_error("bmm", "batch sizes differ", input=input, mat2=mat2)
    return deliver(_matmul(input, mat2), out)


def _as_they_are(input: Any, other: Any) -> Any:
    """The product in the dtype of the operands: autocast converts matrices, not single vectors."""
    before = _core.autocast_dtype()
    if before is None:
        return _matmul(input, other)
    _core.set_autocast(None)
    try:
        return _matmul(input, other)
    finally:
        _core.set_autocast(before)


def mv(input: Any, vec: Any, *, out: Any = None) -> Any:
    """The product of a matrix (n, k) and a vector (k,)."""
    _dims("mv", 2, input=input)
    _dims("mv", 1, vec=vec)
    _inner_sizes("mv", input.shape[1] == vec.shape[0], input=input, vec=vec)
    return deliver(_as_they_are(input, vec), out)


def dot(input: Any, tensor: Any, *, out: Any = None) -> Any:
    """The sum of the products of two vectors of one size.

    >>> fl.dot(fl.tensor([1.0, 2.0]), fl.tensor([3.0, 4.0]))
    tensor(11.)
    """
    _dims("dot", 1, input=input, tensor=tensor)
    _same("dot", input=input, tensor=tensor)
    _inner_sizes("dot", input.shape == tensor.shape, input=input, tensor=tensor)
    return deliver(_as_they_are(input, tensor), out)


def vdot(input: Any, other: Any, *, out: Any = None) -> Any:
    """The sum of the products of the conjugates of `input` and `other`, two vectors of one size."""
    return dot(conj(input), other, out=out)


def inner(input: Any, other: Any, *, out: Any = None) -> Any:
    """The sums of products over the last dimensions of both; the product where one is a number."""
    check_tensor("inner", input)
    check_tensor("inner", other, "other")
    if input.ndim == 0 or other.ndim == 0:
        return deliver(input * other, out)
    _inner_sizes("inner", input.shape[-1] == other.shape[-1], input=input, other=other)
    return deliver(tensordot(input, other, ([-1], [-1])), out)


def outer(input: Any, vec2: Any, *, out: Any = None) -> Any:
    """The matrix of all products of an element of each of two vectors."""
    _dims("outer", 1, input=input, vec2=vec2)
    return deliver(input.unsqueeze(1) * vec2, out)


ger = outer


def _plus(input: Any, product: Any, beta: Any, alpha: Any, out: Any) -> Any:
    """beta * input + alpha * product, where a beta of 0 ignores even NaN in the input."""
    if product.dtype.category < 2:
        kind = bool if product.dtype.category == 0 else int
        beta, alpha = kind(beta), kind(alpha)
    if _core.autocast_dtype() is not None and isinstance(input, Tensor) and input.dtype is not product.dtype:
        input = input.to(product.dtype)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return deliver(product, out)
    return deliver((input if beta == 1 else input * beta) + product, out)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """beta * input + alpha * (mat1 @ mat2)."""
    return _plus(input, mm(mat1, mat2), beta, alpha, out)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """beta * input + alpha * (mat @ vec)."""
    return _plus(input, mv(mat, vec), beta, alpha, out)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """beta * input + alpha * outer(vec1, vec2)."""
    return _plus(input, outer(vec1, vec2), beta, alpha, out)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """beta * input + alpha * bmm(batch1, batch2)."""
    return _plus(input, bmm(batch1, batch2), beta, alpha, out)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """beta * input + alpha * the sum of bmm(batch1, batch2) over the batch."""
    return _plus(input, bmm(batch1, batch2).sum(0), beta, alpha, out)


def chain_matmul(*matrices: Any, out: Any = None) -> Any:
    """The product of several matrices, in the order of fewest multiplications."""
    if len(matrices) == 1 and isinstance(matrices[0], (tuple, list)):
        matrices = tuple(matrices[0])
    if not matrices:
        raise RuntimeError("chain_matmul: expected one or more matrices")
    _dims("chain_matmul", 2, **{f"matrix {i}": m for i, m in enumerate(matrices)})
    return deliver(_chain(list(matrices)), out)


def multi_dot(tensors: Sequence[Any], *, out: Any = None) -> Any:
    """`chain_matmul` where the first and the last may be vectors."""
    parts = list(check_tensors("linalg.multi_dot", tensors))
    if len(parts) < 2:
        raise RuntimeError(f"linalg.multi_dot: expected at least 2 tensors, got {len(parts)}")
    first, last = parts[0].ndim == 1, parts[-1].ndim == 1
    if first:
        parts[0] = parts[0].unsqueeze(0)
    if last:
        parts[-1] = parts[-1].unsqueeze(1)
    _dims("linalg.multi_dot", 2, **{f"tensor {i}": m for i, m in enumerate(parts)})
    result = _chain(parts)
    if first:
        result = result.squeeze(0)
    return deliver(result.squeeze(-1) if last else result, out)


def _chain(parts: list[Any]) -> Any:
    """The classic dynamic programme over where to put the parentheses."""
    count = len(parts)
    sizes = [parts[0].shape[0]] + [p.shape[1] for p in parts]
    cost = [[0] * count for _ in range(count)]
    cut = [[0] * count for _ in range(count)]
    for width in range(1, count):
        for i in range(count - width):
            j = i + width
            found = [(cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i][j], cut[i][j] = min(found)

    def product(i: int, j: int) -> Any:
        return parts[i] if i == j else mm(product(i, cut[i][j]), product(cut[i][j] + 1, j))

    return product(0, count - 1)


def tensordot(a: Any, b: Any, dims: Any = 2, out: Any = None) -> Any:
    """The sums of products over the last `dims` dimensions of `a` and the first of `b`, or over two lists of them."""
    check_tensor("tensordot", a, "a")
    check_tensor("tensordot", b, "b")
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot: expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot: expects dims < ndim_a or ndim_b, but got dims={dims}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = ([each] if isinstance(each, int) else list(each) for each in dims)
        left = [wrap_dim("tensordot", d, a.ndim) for d in left]
        right = [wrap_dim("tensordot", d, b.ndim) for d in right]
    if len(left) != len(right):
        raise RuntimeError(f"tensordot: both dimension lists should have the same length, got {left} and {right}")
    k = 1
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            if a.shape[i] == 1:
                b = b.sum(j, keepdim=True)
            elif b.shape[j] == 1:
                a = a.sum(i, keepdim=True)
            else:
                raise ShapeError(
                    f"tensordot: contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and "
                    f"second has size {b.shape[j]} in dim {j}"
                )
        k *= a.shape[i]
    rest_a = [d for d in range(a.ndim) if d not in left]
    rest_b = [d for d in range(b.ndim) if d not in right]
    shape_a, shape_b = tuple([a.shape[d] for d in rest_a]), tuple([b.shape[d] for d in rest_b])
    if a.dtype is not b.dtype and _core.autocast_dtype() is None:
        _same("tensordot", a=a, b=b)
    flat_a = a.permute(rest_a + left).reshape((_product(shape_a), k))
    flat_b = b.permute(right + rest_b).reshape((k, _product(shape_b)))
    return deliver(_matmul(flat_a, flat_b).reshape(shape_a + shape_b), out)


def _product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


# -------------------------------------------------------------------------------------------------------------- einsum


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products by Einstein's convention: "ij,jk->ik" is matmul; letters missing on the right are summed over.

    "..." stands for any leading dimensions, which broadcast. Without "->" the letters seen once come out in
    alphabetical order. Sublists, `einsum(a, [0, 1], b, [1, 2], [0, 2])`, work as well.

    >>> fl.einsum("ij->j", fl.ones(2, 3))
    tensor([2., 2., 2.])
    """
    if not isinstance(equation, str):
        equation, given = _from_sublists(equation, *operands)
        operands = tuple(given)
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    check_tensors("einsum", operands, "operands")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            f"einsum: the equation {equation!r} has {len(terms)} operand(s), but {len(operands)} tensor(s) were given"
        )
    parts = [_labelled(term, tensor, equation) for term, tensor in zip(terms, operands, strict=True)]
    counts: dict[Any, int] = {}
    for term in terms:
        for letter in term.replace("...", ""):
            counts[letter] = counts.get(letter, 0) + 1
    widest = max((sum(isinstance(label, int) for label in labels) for _, labels in parts), default=0)
    dots = list(range(-widest, 0))
    if arrow:
        result: list[Any] = []
        before, found, after = right.partition("...")
        result = [*before, *(dots if found else []), *after]
        for letter in result:
            if not isinstance(letter, int) and letter not in counts:
                raise RuntimeError(f"einsum: the output subscript {letter!r} is in no operand: {equation!r}")
        if len(set(result)) != len(result):
            raise RuntimeError(f"einsum: a subscript appears more than once in the output: {equation!r}")
    else:
        result = dots + sorted(letter for letter, count in counts.items() if count == 1)
    sizes: dict[Any, int] = {}
    for tensor, labels in parts:
        for label, size in zip(labels, tensor.shape, strict=True):
            if sizes.get(label, 1) != size and size != 1 and sizes.get(label, 1) != 1:
                raise ShapeError(
                    f"einsum: subscript {label!r} has size {sizes[label]} in one operand and {size} in another: "
                    f"{equation!r} with shapes {', '.join(str(tuple(t.shape)) for t in operands)}"
                )
            sizes[label] = max(size, sizes.get(label, size)) if 0 not in (size, sizes.get(label, size)) else 0
    while len(parts) > 1:
        i, j = _cheapest(parts, result, sizes) if len(parts) > 2 else (0, 1)
        b, a = parts.pop(j), parts.pop(i)
        needed = set(result).union(*(labels for _, labels in parts))
        parts.append(_contract(a, b, needed))
    tensor, labels = _summed(parts[0], set(result))
    missing = [label for label in result if label not in labels]
    for _ in missing:  # an ellipsis that no operand filled
        tensor = tensor.unsqueeze(0)
    labels = missing + labels
    return tensor.permute([labels.index(label) for label in result])


def _from_sublists(*arguments: Any) -> tuple[str, list[Any]]:
    """The equation and the operands of the form einsum(a, [0, 1], b, [1, 2], [0, 2])."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def text(labels: Any) -> str:
        return "".join(["..." if label is Ellipsis else letters[label] for label in labels])

    pairs = len(arguments) // 2
    equation = ",".join(text(arguments[2 * i + 1]) for i in range(pairs))
    if len(arguments) % 2:
        equation += "->" + text(arguments[-1])
    return equation, [arguments[2 * i] for i in range(pairs)]


def _labelled(term: str, tensor: Any, equation: str) -> tuple[Any, list[Any]]:
    """The tensor with one label for each dimension, each label once: repeated ones become diagonals."""
    before, dots, after = term.partition("...")
    for letter in before + after:
        if not (letter.isascii() and letter.isalpha()):
            raise RuntimeError(f"einsum: invalid subscript {letter!r} in {equation!r}; subscripts are letters a-z, A-Z")
    spare = tensor.ndim - len(before) - len(after)
    if spare < 0 or (spare and not dots):
        raise ShapeError(
            f"einsum: the number of subscripts in {term!r} does not match the number of dimensions of the operand "
            f"{tuple(tensor.shape)} in {equation!r}"
        )
    labels: list[Any] = [*before, *range(-spare, 0), *after]
    position = 0
    while position < len(labels):
        label = labels[position]
        again = labels.index(label, position + 1) if label in labels[position + 1 :] else -1
        if again < 0:
            position += 1
            continue
        if tensor.shape[position] != tensor.shape[again]:
            raise ShapeError(
                f"einsum: subscript {label!r} is repeated for operand {term!r} but the sizes don't match: "
                f"{tensor.shape[position]} and {tensor.shape[again]}"
            )
        tensor = tensor.diagonal(0, position, again)
        labels = labels[:position] + labels[position + 1 : again] + labels[again + 1 :] + [label]
    return tensor, labels


def _cheapest(parts: list[Any], result: list[Any], sizes: dict[Any, int]) -> tuple[int, int]:
    """The pair whose product is smallest, the first of several."""
    best: tuple[tuple[int, int], int, int] | None = None
    for i in range(len(parts)):
        for j in range(i + 1, len(parts)):
            others = set(result).union(*(labels for k, (_, labels) in enumerate(parts) if k not in (i, j)))
            both = set(parts[i][1]) | set(parts[j][1])
            work = (_product([sizes[label] for label in both & others]), _product([sizes[label] for label in both]))
            if best is None or work < best[0]:
                best = (work, i, j)
    assert best is not None  # there are two parts or more
    return best[1], best[2]


def _summed(part: tuple[Any, list[Any]], needed: set[Any]) -> tuple[Any, list[Any]]:
    tensor, labels = part
    away = [d for d, label in enumerate(labels) if label not in needed]
    if away:
        tensor = tensor.sum(tuple(away))
        labels = [label for label in labels if label in needed]
    return tensor, labels


def _contract(first: tuple[Any, list[Any]], second: tuple[Any, list[Any]], needed: set[Any]) -> tuple[Any, list[Any]]:
    """The product of two labelled tensors, summed over the labels that nobody needs any more."""
    a, labels_a = _summed(first, needed | set(second[1]))
    b, labels_b = _summed(second, needed | set(first[1]))
    shared = [label for label in labels_a if label in labels_b]
    size: dict[Any, int] = {}
    for label in shared:
        left, right = a.shape[labels_a.index(label)], b.shape[labels_b.index(label)]
        size[label] = right if left == 1 else left
    a = a.expand([size.get(label, s) for label, s in zip(labels_a, a.shape, strict=True)])
    b = b.expand([size.get(label, s) for label, s in zip(labels_b, b.shape, strict=True)])
    batch = [label for label in shared if label in needed]
    away = [label for label in shared if label not in needed]
    only_a = [label for label in labels_a if label not in shared]
    only_b = [label for label in labels_b if label not in shared]
    a = a.permute([labels_a.index(label) for label in batch + only_a + away])
    b = b.permute([labels_b.index(label) for label in batch + away + only_b])
    nb, na = len(batch), len(only_a)
    shape = tuple(a.shape[: nb + na]) + tuple(b.shape[nb + len(away) :])
    if not away:  # no sum: plain broadcasting
        a = a.reshape(tuple(a.shape) + (1,) * len(only_b))
        b = b.reshape(tuple(b.shape[:nb]) + (1,) * na + tuple(b.shape[nb:]))
        return a * b, batch + only_a + only_b
    k = _product([size[label] for label in away])
    rows, columns = _product(a.shape[nb : nb + na]), _product(b.shape[nb + len(away) :])
    if nb:
        count = _product(a.shape[:nb])
        product = _matmul(a.reshape((count, rows, k)), b.reshape((count, k, columns)))
    else:
        product = _matmul(a.reshape((rows, k)), b.reshape((k, columns)))
    return product.reshape(shape), batch + only_a + only_b


# -------------------------------------------------------------------------------------------------------------- others


def kron(input: Any, other: Any, *, out: Any = None) -> Any:
    """The Kronecker product: every element of `input` times the whole of `other`, as blocks."""
    check_tensor("kron", input)
    check_tensor("kron", other, "other")
    ndim = max(input.ndim, other.ndim)
    a = input.reshape((1,) * (ndim - input.ndim) + tuple(input.shape))
    b = other.reshape((1,) * (ndim - other.ndim) + tuple(other.shape))
    wide_a: list[int] = []
    wide_b: list[int] = []
    for m, n in zip(a.shape, b.shape, strict=True):
        wide_a += [m, 1]
        wide_b += [1, n]
    shape = [m * n for m, n in zip(a.shape, b.shape, strict=True)]
    return deliver((a.reshape(wide_a) * b.reshape(wide_b)).reshape(shape), out)


def cross(input: Any, other: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """The cross products of vectors of size 3 along `dim` (without `dim`: along the first dimension of size 3)."""
    check_tensor("cross", input)
    check_tensor("cross", other, "other")
    if dim is None:
        shape = broadcast_shapes(input.shape, other.shape)
        dim = next((d for d, size in enumerate(shape) if size == 3), None)
        if dim is None:
            raise shape_error("cross", "no dimension of size 3 in input", input=input, other=other)
        dim -= len(shape)
    return linalg_cross(input, other, dim=dim, out=out)


def linalg_cross(input: Any, other: Any, *, dim: int = -1, out: Any = None) -> Any:
    """The cross products of vectors of size 3 along `dim`."""
    check_tensor("linalg.cross", input)
    check_tensor("linalg.cross", other, "other")
    if input.ndim != other.ndim:
        raise shape_error("cross", "inputs must have the same number of dimensions", input=input, other=other)
    dim = wrap_dim("cross", dim, input.ndim)
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise shape_error("cross", f"inputs dimension {dim} must have length 3", input=input, other=other)
    a, b = (tuple([t.select(dim, i) for i in range(3)]) for t in (input, other))
    from flambeau.ops.joining import stack

    rows = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return deliver(stack(rows, dim), out)


def vecdot(x: Any, y: Any, *, dim: int = -1, out: Any = None) -> Any:
    """The sums of products of vectors along `dim`, batched over the other dimensions."""
    return deliver((conj(check_tensor("linalg.vecdot", x, "x")) * check_tensor("linalg.vecdot", y, "y")).sum(dim), out)


@in_float32
def trace(input: Any) -> Any:
    """The sum of the main diagonal of a matrix."""
    _dims("trace", 2, input=input)
    return input.diagonal().sum()


def tensorinv(A: Any, ind: int = 2, *, out: Any = None) -> Any:
    """The inverse under `tensordot(A, ., ind)`: `A` read as a square matrix, its first `ind` dimensions as rows."""
    from flambeau.ops.linalg import inv

    check_tensor("linalg.tensorinv", A, "A")
    rows = _product(A.shape[:ind])
    if ind <= 0 or rows != _product(A.shape[ind:]):
        raise shape_error("linalg.tensorinv", f"the first {ind} dimensions and the rest must hold equally many", A=A)
    return deliver(inv(A.reshape((rows, rows))).reshape(tuple(A.shape[ind:]) + tuple(A.shape[:ind])), out)


def tensorsolve(A: Any, B: Any, dims: Sequence[int] | None = None, *, out: Any = None) -> Any:
    """X with tensordot(A, X, X.ndim) = B."""
    from flambeau.ops.linalg import solve
    from flambeau.ops.shape import movedim

    check_tensor("linalg.tensorsolve", A, "A")
    check_tensor("linalg.tensorsolve", B, "B")
    if dims is not None:
        A = movedim(A, tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    if _product(shape) != B.numel():
        raise shape_error("linalg.tensorsolve", "A must be square as a matrix over the shape of B", A=A, B=B)
    return deliver(solve(A.reshape((B.numel(), B.numel())), B.reshape((-1,))).reshape(shape), out)


METHODS = {
    "addbmm": addbmm,
    "addbmm_": twin(addbmm),
    "addmm": addmm,
    "addmm_": twin(addmm),
    "addmv": addmv,
    "addmv_": twin(addmv),
    "addr": addr,
    "addr_": twin(addr),
    "baddbmm": baddbmm,
    "baddbmm_": twin(baddbmm),
    "bmm": bmm,
    "cross": cross,
    "dot": dot,
    "ger": outer,
    "inner": inner,
    "kron": kron,
    "matmul": matmul,
    "mm": mm,
    "mv": mv,
    "outer": outer,
    "trace": trace,
    "vdot": dot,
}
