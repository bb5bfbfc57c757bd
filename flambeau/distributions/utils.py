"""What the distributions share: broadcasting of parameters, probabilities and logits, lazily computed attributes."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import flambeau as fl

__all__ = [
    "broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits", "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]  # fmt: skip

euler_constant = 0.57721566490153286060
Number = (int, float)  # bool is an int


def broadcast_all(*values: Any) -> Any:
    """Tensors of one shape from tensors and numbers; a number takes the dtype of the first tensor.

    >>> broadcast_all(fl.zeros(2), 1)
    (tensor([0., 0.]), tensor([1., 1.]))
    """
    dtype = None
    for value in values:
        if isinstance(value, fl.Tensor):
            dtype = dtype or value.dtype
        elif not isinstance(value, Number):
            raise ValueError(
                f"broadcast_all: values must be numbers or flambeau.Tensor, got {type(value).__name__}; make one with "
                "flambeau.tensor(...)"
            )
    dtype = dtype or fl.get_default_dtype()
    tensors = [v if isinstance(v, fl.Tensor) else fl.tensor(v, dtype=dtype) for v in values]
    shape = tensors[0].shape
    if all(t.shape == shape for t in tensors):
        return tuple(tensors)
    return tuple(fl.broadcast_tensors(*tensors))


def standard_normal(shape: Any, like: Any) -> Any:
    """Normal noise in `shape` with the dtype of `like`."""
    return fl.empty(tuple(shape), dtype=like.dtype).normal_()


def uniform(shape: Any, like: Any) -> Any:
    """Numbers from [0, 1) in `shape` with the dtype of `like`."""
    return fl.rand(tuple(shape), dtype=like.dtype)


def _sum_rightmost(value: Any, dim: int) -> Any:
    """`value` summed over its last `dim` dimensions."""
    if dim == 0:
        return value
    return value.reshape((*value.shape[: value.ndim - dim], -1)).sum(-1)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) without the linear cut of `nn.functional.softplus`, so exact in every dtype."""
    return -fl.nn.functional.logsigmoid(-x)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities from log odds (binary) or from unnormalised log probabilities along the last dimension."""
    return fl.sigmoid(logits) if is_binary else fl.softmax(logits, dim=-1)


def clamp_probs(probs: Any) -> Any:
    """`probs` moved into [eps, 1 - eps], where eps is the spacing of its dtype at 1.

    >>> clamp_probs(fl.tensor([0.0, 0.5, 1.0])).tolist()
    [1.1920928955078125e-07, 0.5, 0.9999998807907104]
    """
    eps = fl.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Log odds (binary) or log probabilities of clamped probabilities."""
    safe = clamp_probs(probs)
    return fl.log(safe) - fl.log1p(-safe) if is_binary else fl.log(safe)


class lazy_property:  # noqa: N801
    """An attribute computed by a method the first time it is read and kept from then on."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return _LazyAndProperty(self.wrapped)
        with fl.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _LazyAndProperty(lazy_property, property):
    """What a lazy property is when it is read from the class: a property for documentation tools."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        property.__init__(self, wrapped)


def exactly_one(**given: Any) -> str:
    """The name of the one argument that is not None, else ValueError."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        listed = " or ".join(f"`{name}`" for name in given)
        raise ValueError(f"Either {listed} must be specified, but not both. Got {', '.join(names) or 'none'}.")
    return names[0]


class BinaryOdds:
    """The attributes `probs` and `logits` of a family over binary trials, each made from the other when read."""

    _param: Any

    @lazy_property
    def logits(self) -> Any:
        """The log odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return self._param.shape


def _tril_mask(n: int, diag: int) -> Any:
    steps = fl.arange(n)
    return steps < steps.view(-1, 1) + (diag + 1)


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The elements (*, k) on and below diagonal `diag` of matrices (*, n, n), row by row.

    >>> tril_matrix_to_vec(fl.tensor([[1.0, 0.0], [2.0, 3.0]]))
    tensor([1., 2., 3.])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = fl.nonzero(_tril_mask(n, diag), as_tuple=True)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Lower triangular matrices (*, n, n) from the elements (*, k) on and below diagonal `diag`, row by row.

    >>> vec_to_tril_matrix(fl.tensor([1.0, 2.0, 3.0]))
    tensor([[1., 0.],
            [2., 3.]])
    """
    count = vec.shape[-1]
    # k elements are those of n rows: n * n + (1 + 2 diag) n - |diag| (diag + 1) = 2 k
    n = (-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    size = round(n)
    if abs(size - n) > 1e-9:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    rows, columns = fl.nonzero(_tril_mask(size, diag), as_tuple=True)
    flat = fl.zeros((*vec.shape[:-1], size * size), dtype=vec.dtype)
    places = (rows * size + columns).expand(vec.shape)
    return flat.scatter(-1, places, vec).view((*vec.shape[:-1], size, size))
