"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau import _core
from flambeau.errors import ShapeError

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """One vector of all elements of all parameters, in order.

    Example:
        >>> fl.nn.utils.parameters_to_vector(fl.nn.Linear(10, 2).parameters()).shape
        Size([22])
    """
    return flambeau.cat([parameter.reshape((-1,)) for parameter in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Let every parameter, in order, take its elements from the vector, whose memory it then shares.

    Errors: TypeError for something that is no tensor, ShapeError when the number of elements differs.
    """
    if not isinstance(vec, _core.Tensor):
        raise TypeError(f"expected Tensor, but got: {type(vec)}")
    parameters = list(parameters)
    needed = sum(parameter.numel() for parameter in parameters)
    if vec.numel() != needed:
        raise ShapeError(
            f"vector_to_parameters: the parameters have {needed} elements, but the vector has {vec.numel()}"
        )
    start = 0
    for parameter in parameters:
        count = parameter.numel()
        parameter.data = vec[start : start + count].view(parameter.shape).detach()
        start += count
