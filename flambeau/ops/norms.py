"""Norms and distances: of vectors, of matrices, between rows. What a norm is along a row is declared in `reduce`."""

from __future__ import annotations

from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import DTypeError
from flambeau.ops import elementwise
from flambeau.ops import reduce as r
from flambeau.ops.arguments import Tensor, check_tensor, constant, deliver, in_float32, shape_error, twin, wrap_dims

__all__ = [
    "cdist", "cosine_similarity", "dist", "frobenius_norm", "norm", "norm_except_dim", "nuclear_norm", "pdist",
    "renorm",
]  # fmt: skip

_INFINITY = float("inf")


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The p-norm (p = `ord`, any number, inf and -inf) of all elements, or over `dim`.

    >>> fl.linalg.vector_norm(fl.tensor([3.0, 4.0]))
    tensor(5.)
    """
    check_tensor("linalg.vector_norm", x, "x")
    if dtype is not None:
        x = x.to(dtype)
    if x.dtype.category < 2:
        raise DTypeError(f"linalg.vector_norm: Expected a floating point dtype, got {x.dtype}; use x.float()")
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.vector_norm: ord must be a number, got {ord!r}; for matrices use matrix_norm")
    if dim == ():
        dim = None
    p = float(ord)
    if x.numel() == 0 and (p < 0 or p == _INFINITY):
        dims = wrap_dims("linalg.vector_norm", dim, x.ndim)
        if not x.ndim or any(x.shape[d] == 0 for d in dims):
            raise RuntimeError(
                f"linalg.vector_norm: cannot compute the {ord} norm of no elements, which has no identity: x is "
                f"{tuple(x.shape)}"
            )
    return deliver(_along(x, p, dim, keepdim), out)


def _along(x: Any, p: float, dim: Any, keepdim: bool) -> Any:
    if p == 2.0:
        return r.norm_two(x, dim=dim, keepdim=keepdim)
    if p == 1.0:
        return r.norm_one(x, dim=dim, keepdim=keepdim)
    if p == _INFINITY:
        return r.norm_infinity(x, dim=dim, keepdim=keepdim)
    if p == -_INFINITY:
        return r.norm_negative_infinity(x, dim=dim, keepdim=keepdim)
    if p == 0.0:
        return r.norm_zero(x, dim=dim, keepdim=keepdim)
    return r.norm_p(x, p, dim=dim, keepdim=keepdim)


def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """A norm of each matrix in the planes of two dimensions: "fro", "nuc", 1, -1, 2, -2, inf, -inf."""
    check_tensor("linalg.matrix_norm", A, "A")
    if A.ndim < 2:
        raise shape_error("linalg.matrix_norm", "The input tensor A must have at least 2 dimensions", A=A)
    dims = wrap_dims("linalg.matrix_norm", tuple(dim), A.ndim)
    if len(dims) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple, got {dim}")
    if dtype is not None:
        A = A.to(dtype)
    if A.dtype.category < 2:
        raise DTypeError(f"linalg.matrix_norm: Expected a floating point dtype, got {A.dtype}; use A.float()")
    if ord == "fro":
        return deliver(r.norm_two(A, dim=dims, keepdim=keepdim), out)
    if ord in (1, -1, _INFINITY, -_INFINITY):
        inner, outer = dims if abs(ord) == 1 else dims[::-1]
        sums = r.norm_one(A, dim=inner, keepdim=True)
        if ord < 0 and sums.shape[outer] == 0:
            raise RuntimeError(f"linalg.matrix_norm: the {ord} norm has no identity for A of shape {tuple(A.shape)}")
        operation = r.sum if sums.shape[outer] == 0 else r.amax if ord > 0 else r.amin
        result = operation(sums, dim=outer, keepdim=True)
    elif ord in ("nuc", 2, -2):
        from flambeau.ops.decompositions import svdvals
        from flambeau.ops.shape import movedim

        values = svdvals(movedim(A, dims, (-2, -1)))
        if ord == "nuc":
            result = values.sum(-1)
        elif values.shape[-1] == 0 and ord == 2:
            result = values.sum(-1)
        elif values.shape[-1] == 0:
            raise RuntimeError(f"linalg.matrix_norm: no singular values for A of shape {tuple(A.shape)}")
        else:
            result = (r.amax if ord == 2 else r.amin)(values, dim=-1)
        if keepdim:
            for d in sorted(dims):
                result = result.unsqueeze(d)
        return deliver(result, out)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord!r} not supported; use 'fro', 'nuc', 1, 2, inf or -inf")
    if not keepdim:
        for d in sorted(dims, reverse=True):
            result = result.squeeze(d)
    return deliver(result, out)


def linalg_norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """A vector norm (one dimension, or no `ord`) or a matrix norm (two dimensions)."""
    check_tensor("linalg.norm", A, "A")
    if ord is not None:
        two = (dim is None and A.ndim == 2) or (isinstance(dim, (tuple, list)) and len(dim) == 2)
        if two:
            return matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype, out=out)
        if dim is None and A.ndim != 1:
            raise RuntimeError(
                f"linalg.norm: if dim is not specified but ord is, the input must be 1D or 2D, got {tuple(A.shape)}"
            )
        if isinstance(dim, (tuple, list)) and len(dim) > 2:
            raise RuntimeError(f"linalg.norm: if dim is specified with ord, it must have length 1 or 2, got {dim}")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: Any = None) -> Any:
    """The p-norm of all elements, or over `dim`; "fro" is the 2-norm, "nuc" the nuclear norm of matrices.

    >>> fl.norm(fl.tensor([[3.0], [4.0]]))
    tensor(5.)
    """
    if p == "nuc":
        return matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype, out=out)
    if p is None or p == "fro":
        p = 2
    elif isinstance(p, str):
        raise RuntimeError(f"norm: p must be a number, 'fro' or 'nuc', got {p!r}")
    elif isinstance(p, Tensor):
        p = p.item()
    return vector_norm(input, p, dim, keepdim, dtype=dtype, out=out)


def frobenius_norm(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The 2-norm of all elements, or over `dim`."""
    return norm(input, 2, dim, keepdim, out)


def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False, *, out: Any = None) -> Any:
    """The sum of the singular values of each matrix."""
    return matrix_norm(input, "nuc", dim, keepdim, out=out)


def cond(A: Any, p: Any = None, *, out: Any = None) -> Any:
    """The condition number of each matrix: norm(A) * norm(inverse(A)) in the norm `p` (2 where None)."""
    from flambeau.ops.decompositions import svdvals
    from flambeau.ops.linalg import inv

    if p in (None, 2, -2):
        values = svdvals(A)
        first, last = values.select(-1, 0), values.select(-1, values.shape[-1] - 1)
        return deliver(last / first if p == -2 else first / last, out)
    return deliver(matrix_norm(A, p) * matrix_norm(inv(A), p), out)


# -------------------------------------------------------------------------------------------------------- distances


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of input - other."""
    return vector_norm(input - other, p)


@in_float32
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """The p-norm distances between the rows of x1 (*, P, M) and those of x2 (*, R, M): (*, P, R)."""
    for name, x in (("x1", x1), ("x2", x2)):
        if check_tensor("cdist", x, name).ndim < 2:
            raise shape_error("cdist", f"{name} needs at least 2 dimensions", x1=x1, x2=x2)
        if not x.dtype.is_floating_point:
            raise DTypeError(f"cdist: only supports floating-point dtypes, {name} got: {x.dtype}")
    if x1.shape[-1] != x2.shape[-1]:
        raise shape_error("cdist", "X1 and X2 must have the same number of columns", x1=x1, x2=x2)
    if p < 0:
        raise RuntimeError(f"cdist: only supports non-negative p values, got {p}")
    if x1.shape[-1] == 0 or 0 in (x1.shape[-2], x2.shape[-2]):
        from flambeau.ops.constructors import broadcast_shapes

        batch = broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
        return _core.full((*batch, x1.shape[-2], x2.shape[-2]), 0.0, x1.dtype)
    many = x1.shape[-2] > 25 or x2.shape[-2] > 25
    if p == 2.0 and many and compute_mode != "donot_use_mm_for_euclid_dist":
        squares = r.sum_of_squares(x1, dim=-1, keepdim=True) + r.sum_of_squares(x2, dim=-1).unsqueeze(-2)
        squares = squares - 2.0 * (x1 @ x2.transpose(-2, -1))
        return elementwise.sqrt(elementwise.clamp_min(squares, 1e-30))
    return _along(x1.unsqueeze(-2) - x2.unsqueeze(-3), float(p), -1, False)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between the vectors of x1 and x2 along `dim`; lengths below `eps` count as `eps`."""
    from flambeau.ops.shape import broadcast_tensors

    check_tensor("cosine_similarity", x1, "x1")
    check_tensor("cosine_similarity", x2, "x2")
    x1, x2 = broadcast_tensors(x1, x2)
    return r.cosine_similarity(x1, x2, eps, dim=dim)


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances between all pairs of rows of `input`, as a vector: (0, 1), (0, 2), ..., (1, 2), ..."""
    check_tensor("pdist", input)
    if input.ndim != 2:
        raise shape_error("pdist", "only supports 2D tensors", input=input)
    import numpy

    first, second = numpy.triu_indices(input.shape[0], 1)
    left, right = (_core.index_select(input, 0, constant(i, dtypes.int64)) for i in (first, second))
    return _along(left - right, float(p), 1, False)


def renorm(input: Any, p: float, dim: int, maxnorm: float, *, out: Any = None) -> Any:
    """`input` with each slice along `dim` whose p-norm is above `maxnorm` scaled down to it."""
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive norm degree {p} not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise shape_error("renorm", "input needs at least 2 dimensions", input=input)
    (dim,) = wrap_dims("renorm", dim, input.ndim)
    others = tuple([d for d in range(input.ndim) if d != dim])
    norms = _along(input, float(p), others, True)
    factor = elementwise.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)
    return deliver((input * factor).to(input.dtype), out)


def norm_except_dim(v: Any, pow: float = 2, dim: int = 0) -> Any:
    """The p-norm of each slice along `dim`, kept as ones in the other dimensions; of all in one for dim -1.

    >>> fl.norm_except_dim(fl.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5.],
            [1.]])
    """
    check_tensor("norm_except_dim", v, "v")
    if dim == -1:
        return norm(v, pow)
    (dim,) = wrap_dims("norm_except_dim", dim, v.ndim)
    others = tuple([d for d in range(v.ndim) if d != dim])
    return _along(v, float(pow), others, True) if others else v.abs()


def weight_normalised(v: Any, g: Any, dim: int = 0) -> Any:
    """g * v / norm_except_dim(v, 2, dim)."""
    return v * (g / norm_except_dim(v, 2, dim))


METHODS = {
    "dist": dist,
    "norm": norm,
    "renorm": renorm,
    "renorm_": twin(renorm),
}
