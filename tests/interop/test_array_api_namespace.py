"""What the array API namespace says of itself, and that the tests beside this one call all of it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

pytest.importorskip("hypothesis")

import flambeau as fl

from .array_api import COMPLEX, SIGNED, UNSIGNED, covered, xp
from .test_array_api_elements import BINARY, UNARY


def test_the_namespace_of_a_tensor() -> None:
    x = fl.ones(2)
    assert x.__array_namespace__(api_version="2024.12") is xp and xp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match="api_version"):
        x.__array_namespace__(api_version="1999.01")
    assert x.to_device("cpu") is x and x.device == xp.__array_namespace_info__().default_device()
    assert (xp.e, xp.pi, xp.inf, xp.newaxis) == (np.e, np.pi, np.inf, None) and xp.nan != xp.nan


def test_what_the_namespace_says_of_itself() -> None:
    covered.add("__array_namespace_info__")
    info = xp.__array_namespace_info__()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 15}
    every = info.dtypes()
    assert set(every) <= set(dir(np)) and all(getattr(xp, name) is dtype for name, dtype in every.items())
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"}
    assert set(info.dtypes(kind=("bool", "signed integer"))) == {"bool", *SIGNED}
    assert set(info.dtypes(kind=("complex floating", "unsigned integer"))) == {*COMPLEX, *UNSIGNED}
    assert info.default_dtypes()["complex floating"] is fl.complex64
    assert info.devices() == [fl.device("cpu")]
    assert info.default_dtypes()["integral"] is fl.int64
    with pytest.raises(AttributeError):
        _ = xp.no_such_function


def test_gradients_pass_through() -> None:
    x = fl.tensor([1.0, 2.0, 4.0], requires_grad=True)
    xp.sum(xp.std(x, correction=1.0) + xp.remainder(x, 3.0) + xp.clip(x, 0.0, 3.0)).backward()
    assert x.grad is not None and bool(xp.all(xp.isfinite(x.grad)))


def test_the_arguments_before_the_slash_are_positional_only() -> None:
    for name in sorted(set(BINARY) | set(UNARY)):
        kinds = [p.kind for p in inspect.signature(getattr(xp, name)).parameters.values()]
        assert kinds and all(kind is inspect.Parameter.POSITIONAL_ONLY for kind in kinds), name


def test_every_function_has_a_case() -> None:
    """Runs last: the names that the cases above called are all the functions there are."""
    names = {n for n in xp.__all__ if callable(getattr(xp, n)) and not isinstance(getattr(xp, n), fl.dtype)}
    names |= {"linalg." + n for n in xp.linalg.__all__} | {"__array_namespace_info__"}
    names |= {"fft." + n for n in xp.fft.__all__}
    if not {"add", "asarray", "sort", "linalg.det"} <= covered:  # one name of each file
        pytest.skip("the cases were not all run")
    assert not names - covered
