"""Sampling at the places of a grid as functions: `grid_sample`, `affine_grid`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.errors import DTypeError
from flambeau.ops import grid as _grid
from flambeau.ops.arguments import check_tensor, integers

__all__ = ["affine_grid", "grid_sample"]


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """`input` sampled at the places that `grid` names.

    Arguments: `input` (N, C, H, W) or (N, C, D, H, W); `grid` (N, h, w, 2), pairs (x, y), or (N, d, h, w, 3), triples
    (x, y, z), with -1 and 1 for the ends of a dimension; `mode`, 'bilinear' (trilinear in 5D), 'nearest' or 'bicubic'
    (4D); `padding_mode`, what stands outside: 'zeros', the 'border', or a 'reflection'; `align_corners`, whether -1
    and 1 are the centres of the outermost elements, or (False, also for None) their outer edges. Returns
    (N, C, h, w) or (N, C, d, h, w). Input and grid have gradients. Errors: ShapeError, ValueError, DTypeError.

    Example:
        >>> F.grid_sample(fl.tensor([[[[1.0, 3.0]]]]), fl.zeros(1, 1, 1, 2))
        tensor([[[[2.]]]])
    """
    return _grid.grid_sample("grid_sample", input, grid, mode, padding_mode, bool(align_corners))


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The grid for `grid_sample` that an affine map makes of a regular one.

    Arguments: `theta` (N, 2, 3) or (N, 3, 4), the maps; `size`, (N, C, H, W) or (N, C, D, H, W) of the result of
    `grid_sample`; `align_corners` as there. Returns (N, H, W, 2) or (N, D, H, W, 3). Errors: ValueError,
    NotImplementedError for other sizes.

    Example:
        >>> F.affine_grid(fl.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
        tensor([[[[-0.5000,  0.0000],
                  [ 0.5000,  0.0000]]]])
    """
    check_tensor("affine_grid", theta, "theta")
    if not theta.dtype.is_floating_point:
        raise DTypeError(f"affine_grid: Expected theta to have floating point type, but got {theta.dtype}")
    sizes = tuple(integers("affine_grid", size, "size"))
    if len(sizes) in (4, 5) and min(sizes) <= 0:
        raise ValueError(f"affine_grid: Expected non-zero, positive output size. Got {sizes}")
    return _grid.affine_grid_generator(theta, sizes, bool(align_corners))
