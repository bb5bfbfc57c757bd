"""Fractional max-pooling as functions: `fractional_max_pool2d`, `fractional_max_pool3d`."""

from __future__ import annotations

from typing import Any

from flambeau.ops.fractional_pooling import fractional_max_pool

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]  # fmt: skip


def fractional_max_pool2d_with_indices(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    """`fractional_max_pool2d` that always returns the places of the maxima too."""
    return fractional_max_pool(
        "fractional_max_pool2d", input, 2, kernel_size, output_size, output_ratio, _random_samples
    )


def fractional_max_pool2d(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """The maxima over windows of (N, C, H, W) whose distances are drawn at random, a little different every time.

    Arguments: `kernel_size`, of a window; `output_size`, or `output_ratio` between 0 and 1 of the input's sizes;
    `return_indices`, return (maxima, places in the flattened input); `_random_samples` (N, C, 2), numbers from [0, 1)
    instead of fresh ones. Errors: ValueError, ShapeError for windows that do not fit.

    Example:
        >>> F.fractional_max_pool2d(fl.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2, output_size=1)
        tensor([[[[4.]]]])
    """
    found = fractional_max_pool2d_with_indices(
        input, kernel_size, output_size, output_ratio, _random_samples=_random_samples
    )
    return found if return_indices else found[0]


def fractional_max_pool3d_with_indices(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    """`fractional_max_pool3d` that always returns the places of the maxima too."""
    return fractional_max_pool(
        "fractional_max_pool3d", input, 3, kernel_size, output_size, output_ratio, _random_samples
    )


def fractional_max_pool3d(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:  # fmt: skip
    """`fractional_max_pool2d` of (N, C, D, H, W); `_random_samples` is (N, C, 3).

    Example:
        >>> F.fractional_max_pool3d(fl.ones(1, 1, 2, 2, 2), 2, output_size=1)
        tensor([[[[[1.]]]]])
    """
    found = fractional_max_pool3d_with_indices(
        input, kernel_size, output_size, output_ratio, _random_samples=_random_samples
    )
    return found if return_indices else found[0]
