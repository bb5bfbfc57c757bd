"""Derivatives of sampled functions by finite differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core
from flambeau.ops.arguments import Tensor, check_tensor, integer, shape_error, wrap_dims

__all__ = ["gradient"]

METHODS: dict[str, Any] = {}


def _spacings(spacing: Any, count: int, listed: bool) -> list[Any]:
    """One step (a number) or vector of coordinates for each of `count` dimensions."""
    if spacing is None:
        return [1.0] * count
    if not isinstance(spacing, (tuple, list)):
        if isinstance(spacing, Tensor) and count != 1:
            raise RuntimeError(
                f"gradient: spacing is one tensor of coordinates, but there are {count} dimensions; give a list"
            )
        return [spacing] * count
    if len(spacing) != count:
        fix = "give one for each dimension" if listed else "without dim, give one for each dimension of input"
        raise RuntimeError(
            f"gradient: expected spacing to be unspecified, a scalar, or a list of length {count}, but got a list of "
            f"{len(spacing)}; {fix}"
        )
    return list(spacing)


def _along(x: Any, dim: int, spacing: Any, edge_order: int) -> Any:
    """The derivative along one dimension: central differences inside, one-sided ones at both ends."""
    n = x.shape[dim]

    def part(start: int, length: int) -> Any:
        return x.narrow(dim, start, length)

    if not isinstance(spacing, Tensor):
        h = spacing if isinstance(spacing, complex) else float(spacing)
        inside = (part(2, n - 2) - part(0, n - 2)) / (2.0 * h)
        if edge_order == 1:
            first, last = (part(1, 1) - part(0, 1)) / h, (part(n - 1, 1) - part(n - 2, 1)) / h
        else:
            first = (-1.5 * part(0, 1) + 2.0 * part(1, 1) - 0.5 * part(2, 1)) / h
            last = (1.5 * part(n - 1, 1) - 2.0 * part(n - 2, 1) + 0.5 * part(n - 3, 1)) / h
        return _core.cat([first, inside, last], dim)
    if spacing.ndim != 1 or spacing.shape[0] != n:
        raise shape_error(
            "gradient", f"the coordinates of dimension {dim} must be a vector of its size", spacing=spacing, input=x
        )
    steps = spacing.narrow(0, 1, n - 1) - spacing.narrow(0, 0, n - 1)
    before, after = steps.narrow(0, 0, n - 2), steps.narrow(0, 1, n - 2)
    view = [1] * x.ndim
    view[dim] = n - 2
    a = (-after / (before * (before + after))).reshape(tuple(view))
    b = ((after - before) / (before * after)).reshape(tuple(view))
    c = (before / (after * (before + after))).reshape(tuple(view))
    inside = a * part(0, n - 2) + b * part(1, n - 2) + c * part(2, n - 2)
    h0, h1 = steps[0], steps[n - 2]
    if edge_order == 1:
        first, last = (part(1, 1) - part(0, 1)) / h0, (part(n - 1, 1) - part(n - 2, 1)) / h1
    else:
        g0, g1 = steps[1], steps[n - 3]
        first = part(0, 1) * (-(2.0 * h0 + g0) / (h0 * (h0 + g0))) + part(1, 1) * ((h0 + g0) / (h0 * g0))
        first = first + part(2, 1) * (-h0 / (g0 * (h0 + g0)))
        last = part(n - 1, 1) * ((2.0 * h1 + g1) / (h1 * (h1 + g1))) - part(n - 2, 1) * ((h1 + g1) / (h1 * g1))
        last = last + part(n - 3, 1) * (h1 / (g1 * (h1 + g1)))
    return _core.cat([first, inside, last], dim)


def gradient(
    input: Any, *, spacing: Any = None, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """The derivative of sampled values along each dimension, by second-order central differences.

    Inside, (f[i+1] - f[i-1]) / (x[i+1] - x[i-1]) for even steps and the three-point formula for uneven ones; at both
    ends differences to one side, of order `edge_order` (1 or 2).

    Arguments: `input`; `spacing`, the step (1 by default), or a list of steps or of coordinate vectors, one for
    each dimension; `dim`, the dimensions (all by default). Returns a tuple with one tensor of the shape of `input`
    for each dimension. Errors: RuntimeError for dimensions with fewer than edge_order + 1 elements.

    >>> fl.gradient(fl.tensor([1.0, 4.0, 9.0]))
    (tensor([3., 4., 5.]),)
    """
    check_tensor("gradient", input)
    edge_order = integer("gradient", edge_order, "edge_order")
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient: only supports edge_order=1 and edge_order=2, got {edge_order}")
    dims = wrap_dims("gradient", dim, input.ndim)
    if dim is None and isinstance(spacing, (tuple, list)) and len(spacing) != input.ndim:
        dims = dims[: len(spacing)] if len(spacing) == 1 else dims
    spacings = _spacings(spacing, len(dims), dim is not None)
    for d in dims:
        if input.ndim == 0 or input.shape[d] < edge_order + 1:
            raise RuntimeError(
                f"gradient: expected each dimension size to be at least edge_order+1 = {edge_order + 1}, but input is "
                f"{tuple(input.shape)}"
            )
    return tuple([_along(input, d, s, edge_order) for d, s in zip(dims, spacings, strict=True)])
