"""`flambeau.testing`: comparison of tensors in tests, with messages that say where and by how much they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flambeau

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

# rtol and atol by dtype; other dtypes must be equal.
_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
               "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7)}  # fmt: skip


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol·|expected| everywhere; containers go by element.

    Arguments: tensors, numbers, or containers of them; `rtol` and `atol`, given both or neither (then by dtype);
    `equal_nan`, NaN equals NaN; `check_dtype`, `check_stride`, what else must agree; `msg`, the text of the error or a
    function of the text that would be given. Errors: ValueError for one tolerance without the other.

    >>> fl.testing.assert_close(fl.tensor([1.0]), fl.tensor([1.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"assert_close: give both rtol and atol or neither, got rtol={rtol}, atol={atol}")
    text = _difference(actual, expected, rtol, atol, equal_nan, check_dtype, check_stride, "")
    if text is None:
        return
    if callable(msg):
        text = msg(text)
    elif msg is not None:
        text = msg
    raise AssertionError(text)


assert_allclose = assert_close


def _difference(
    actual: Any, expected: Any, rtol: Any, atol: Any, equal_nan: bool, dtypes: bool, strides: bool, place: str
) -> str | None:
    """Why two values are not close, None if they are; `place` is the path to them in their containers."""
    options = (rtol, atol, equal_nan, dtypes, strides)
    where = f" (at item {place})" if place else ""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if set(actual) != set(expected):
            return f"The keys of the mappings do not match: {sorted(map(str, set(actual) ^ set(expected)))}{where}"
        pairs = [(actual[key], expected[key], f"{place}[{key!r}]") for key in expected]
    elif _is_sequence(expected) and _is_sequence(actual):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{where}"
        pairs = [(one, two, f"{place}[{i}]") for i, (one, two) in enumerate(zip(actual, expected))]
    else:
        return _different(actual, expected, *options, where)
    for one, two, path in pairs:
        text = _difference(one, two, *options, path)
        if text is not None:
            return text
    return None


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _different(
    actual: Any, expected: Any, rtol: Any, atol: Any, equal_nan: bool, dtypes: bool, strides: bool, where: str
) -> str | None:
    scalars = not isinstance(actual, flambeau.Tensor) and not isinstance(expected, flambeau.Tensor)
    if (actual is None or expected is None) or (isinstance(actual, str) and isinstance(expected, str)):
        return None if actual == expected else f"{actual!r} is not {expected!r}{where}"
    if isinstance(actual, flambeau.Tensor) != isinstance(expected, flambeau.Tensor):
        return f"Only one is a tensor: {type(actual).__name__} and {type(expected).__name__}{where}"
    a, b = (
        value.detach() if isinstance(value, flambeau.Tensor)
        else flambeau.tensor(value, dtype=flambeau.float64 if isinstance(value, float) else None)
        for value in (actual, expected)
    )  # fmt: skip
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {tuple(a.shape)} != {tuple(b.shape)}{where}"
    if dtypes and a.dtype is not b.dtype:
        return f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}{where}; cast one with .to(dtype)"
    if strides and a.stride() != b.stride():
        return f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}{where}"
    if rtol is None:
        found = [(1e-7, 1e-7) if scalars and x.is_floating_point() else _TOLERANCES.get(x.dtype.name, (0.0, 0.0))
                 for x in (a, b)]  # fmt: skip
        rtol, atol = max(one for one, _ in found), max(one for _, one in found)
    whole = a.dtype.category < 2 and b.dtype.category < 2 and rtol == 0 and atol == 0
    close = a.eq(b) if whole else flambeau.isclose(_wide(a), _wide(b), rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(close.all()):
        return None
    if scalars:
        gap = abs(a.item() - b.item())
        return f"Scalars are not close!\n\nExpected {expected!r} but got {actual!r}{where}.\nAbsolute difference: {gap}"
    difference = (_wide(a) - _wide(b)).abs().masked_fill(close, 0)
    relative = (difference / _wide(b).abs()).masked_fill(close, 0)
    lines = [
        "Tensor-likes are not " + ("equal!" if rtol == 0 and atol == 0 else "close!") + where,
        "",
        f"Mismatched elements: {int((~close).sum())} / {close.numel()} ({100 * float((~close).double().mean()):.1f}%)",
    ]
    for name, values, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
        flat = int(values.flatten().argmax())
        index = tuple(int(i) for i in flambeau.unravel_index(flambeau.tensor(flat), values.shape))
        lines.append(
            f"Greatest {name} difference: {float(values.flatten()[flat])} at index {index} (up to {allowed} allowed)"
        )
    return "\n".join(lines)


def _wide(value: Any) -> Any:
    return value.to(flambeau.complex128) if value.is_complex() else value.double()


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of random elements between `low` and `high` (-9 and 9, for bool and uint8 from 0).

    Arguments: `noncontiguous`, every second element of a wider tensor; `exclude_zero`, zeros become ones.
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    wide = (*sizes[:-1], 2 * sizes[-1]) if noncontiguous and sizes else sizes
    if dtype is flambeau.bool:
        result = flambeau.randint(0, 2, wide).bool()
    elif dtype.is_complex:
        parts = make_tensor(*wide, 2, dtype=dtype.to_real(), low=low, high=high)
        result = flambeau.view_as_complex(parts)
    elif dtype.is_floating_point:
        low, high = -9.0 if low is None else low, 9.0 if high is None else high
        result = (flambeau.rand(wide, dtype=flambeau.float64) * (high - low) + low).to(dtype)
    else:
        low = (-9 if dtype.is_signed else 0) if low is None else low
        result = flambeau.randint(int(low), 10 if high is None else int(high), wide, dtype=dtype)
    if wide != sizes:
        result = result[..., ::2]
    if exclude_zero:
        result = result.masked_fill(result == 0, 1)
    return result.requires_grad_() if requires_grad else result
