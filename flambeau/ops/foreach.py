"""Operations on lists of tensors, one call for all: `flambeau._foreach_add_(tensors, 1)` and its kin.

Each is its operation called on every tensor in turn; what is gained is the shorter program, not time. The second
argument may be a list of as many tensors or numbers, one tensor, or one number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.ops.arguments import Tensor, check_tensors
from flambeau.ops.norms import vector_norm

_UNARY = (
    "abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor", "frac", "lgamma",
    "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt",
    "tan", "tanh", "trunc",
)  # fmt: skip
#: The operation with one more operand, and the tensor's method that it is.
_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "pow": "pow", "maximum": "clamp_min",
    "minimum": "clamp_max", "clamp_min": "clamp_min", "clamp_max": "clamp_max",
}  # fmt: skip
_TERNARY = ("addcmul", "addcdiv")


def _tensors(name: str, values: Any, argument: str = "self") -> tuple[Any, ...]:
    found = check_tensors(name, values, argument)
    if not found:
        raise RuntimeError(f"{name}: Tensor list must have at least one tensor; {argument} is empty")
    return found


def _spread(name: str, value: Any, count: int) -> list[Any]:
    """One operand for each of `count` tensors, from a list of them, a tensor or a number."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        kind = "tensors" if value and isinstance(value[0], Tensor) else "elements as the tensor list"
        raise RuntimeError(f"{name}: lists must have the same number of {kind}, got {count} and {len(value)}")
    return list(value)


def _unary(name: str, in_place: bool) -> Callable[..., Any]:
    full, method = f"_foreach_{name}", name + "_" * in_place

    def call(self: Any) -> Any:
        results = tuple([getattr(t, method)() for t in _tensors(full, self)])
        return None if in_place else results

    return _named(call, full + "_" * in_place, f"`{name}` of each tensor of a list.")


def _binary(name: str, method: str, in_place: bool) -> Callable[..., Any]:
    full = f"_foreach_{name}" + "_" * in_place
    method += "_" * in_place

    def call(self: Any, other: Any, **options: Any) -> Any:
        if isinstance(self, (int, float)) and name == "pow" and not in_place:  # number ** tensors
            return tuple([self**t for t in _tensors(full, other, "exponent")])
        tensors = _tensors(full, self)
        pairs = zip(tensors, _spread(full, other, len(tensors)))
        results = tuple([getattr(t, method)(operand, **options) for t, operand in pairs])
        return None if in_place else results

    return _named(call, full, f"`{name}` of each tensor of a list with its operand.")


def _ternary(name: str, in_place: bool) -> Callable[..., Any]:
    full, method = f"_foreach_{name}" + "_" * in_place, name + "_" * in_place

    def call(self: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
        tensors = _tensors(full, self)
        if isinstance(value, Tensor):
            value = value.tolist()
        first, second, scale = (_spread(full, x, len(tensors)) for x in (tensor1, tensor2, value))
        groups = zip(tensors, first, second, scale)
        results = tuple([getattr(t, method)(a, b, value=c) for t, a, b, c in groups])
        return None if in_place else results

    return _named(call, full, f"`{name}` of each tensor of a list with its two operands and factor.")


def _lerp(in_place: bool) -> Callable[..., Any]:
    full, method = "_foreach_lerp" + "_" * in_place, "lerp" + "_" * in_place

    def call(self: Any, tensors1: Any, weight: Any) -> Any:
        tensors = _tensors(full, self)
        ends, weights = _spread(full, tensors1, len(tensors)), _spread(full, weight, len(tensors))
        results = tuple([getattr(t, method)(end, w) for t, end, w in zip(tensors, ends, weights)])
        return None if in_place else results

    return _named(call, full, "`lerp` of each tensor of a list with its end and weight.")


def _named(call: Callable[..., Any], name: str, text: str) -> Callable[..., Any]:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = text + (" In place; returns None." if name.endswith("_") else "")
    return call


def _foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> Any:
    """The vector norm of order `ord` of each tensor of a list."""
    return tuple([vector_norm(t, ord, dtype=dtype) for t in _tensors("_foreach_norm", self)])


def _foreach_max(self: Any) -> Any:
    """The largest element of each tensor of a list."""
    return tuple([t.max() for t in _tensors("_foreach_max", self)])


def _foreach_clone(self: Any) -> Any:
    """A copy of each tensor of a list."""
    return tuple([t.clone() for t in _tensors("_foreach_clone", self)])


def _foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> None:
    """Each tensor of `src` copied into the tensor of the list at its place."""
    tensors = _tensors("_foreach_copy_", self)
    for t, source in zip(tensors, _spread("_foreach_copy_", src, len(tensors))):
        t.copy_(source)


def _foreach_zero_(self: Any) -> None:
    """Each tensor of a list filled with zeros."""
    for t in _tensors("_foreach_zero_", self):
        t.zero_()


for _in_place in (False, True):
    for _each in _UNARY:
        _function = _unary(_each, _in_place)
        globals()[_function.__name__] = _function
    for _each, _method in _BINARY.items():
        _function = _binary(_each, _method, _in_place)
        globals()[_function.__name__] = _function
    for _each in _TERNARY:
        _function = _ternary(_each, _in_place)
        globals()[_function.__name__] = _function
    _function = _lerp(_in_place)
    globals()[_function.__name__] = _function
del _in_place, _each, _method, _function
