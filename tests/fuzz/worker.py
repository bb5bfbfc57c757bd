"""Runs calls and judges them: the same values as PyTorch or a refusal where PyTorch refuses, and no memory kept."""

from __future__ import annotations

import contextlib
import copy
import gc
import warnings
from typing import Any

import numpy as np

from .calls import Call, Data, make

#: Errors that no wrong argument should end in: they speak of the inside, not of the call.
INTERNAL = (SystemError, AssertionError, UnboundLocalError, NameError, KeyError, RecursionError, StopIteration)
#: What PyTorch says where it has no kernel for a dtype: no reason for anyone else to refuse.
NO_KERNEL = (
    "not implemented for",
    "Could not run",
    "not supported for",
    "is not supported on",
    "only support",
    "not yet supported",
)

#: What PyTorch refuses and flambeau takes on purpose: numbers where a tensor is asked for, dtypes that promote, and
#: limits of single PyTorch kernels.
TAKEN = (
    "must be Tensor, not", "different dtypes", "expected scalar type", "expected dtype", "to have the same dtype",
    "same dtype", "must match", "cannot be converted to type c10::Half", "Expected a floating point or complex tensor",
    "returned an invalid gradient", "view size is not compatible", "doesn't match the broadcast shape",
    "inconsistent tensor size", "Expected dtype int64", "Expected a long tensor", "invalid combination of arguments",
    "derivative for", "Integer division with addcdiv", "Autograd not support dtype", "modified by an inplace operation",
    "Dimension out of range", "does not support bool",
    "can't be cast to the desired output type", "does not have an identity", "Subtraction, the `-` operator",
    "Found dtype", "does not support complex inputs", "mat2 must be a matrix",
    "Only zero batch", "does not support automatic differentiation",
)  # fmt: skip
#: What flambeau refuses on purpose, each with its reason in the text: shapes that would broadcast in a loss, rows of
#: unequal length, positions out of range, products of bools, fractions of integers.
REFUSED = (
    "compared element against wrong element", "lists inside have unequal lengths", "out of bounds",
    "not defined for bool", "so target must be", "use a logical operation", "value is a float but the operands are",
    "would have sizes", "out of range", "bias must have one element",
    "have no order", "cannot be converted",
)  # fmt: skip
#: Results that PyTorch gets wrong, by name: gradients over no dimensions and of elements that take no part, means of
#: infinities, truth in the common dtype, where 1e-30 is 0.
WRONG_IN_PYTORCH = (
    "std", "var", "std_mean", "var_mean", "scatter_reduce", "logical_xor", "logical_or", "logical_and", ".logical_and_",
    "nn.functional.softsign",
)  # fmt: skip
#: Where an exact place between infinities is NaN in PyTorch, which interpolates there too; and the mode of NaN.
INFINITE = ("quantile", "nanquantile", "mode")
#: Places where PyTorch's answer is not the limit or not defined, by name: what the call has to hold, and the reason.
PLACES: dict[str, tuple[Any, str]] = {
    "pow": (lambda x, *_: (x == 0).any(), "an exponent of 1/2 is a square root in PyTorch, whose slope at -0 is -inf"),
    "digamma": (lambda x: ((x <= 0) & (x == np.floor(x))).any(), "the slope at a pole is large and finite in PyTorch"),
    "atan2": (lambda x, y: x.dtype != y.dtype, "PyTorch negates and squares unsigned integers in the gradient"),
    "nanmedian": (lambda x: not x.size, "the median of nothing is NaN, which is no integer"),
    "nn.functional.huber_loss": (
        lambda x, y: x.dtype != y.dtype,
        "PyTorch gives the input's dtype",
    ),
    "div": (lambda x, *y: x.dtype.kind == "c" and any((each == 0).any() for each in y), "the sign of infinity at -0"),
    "linalg.lu_factor": (lambda x: np.isnan(x).any(), "which row is largest beside NaN"),
}
#: In place on a leaf: PyTorch writes where there is no gradient to be wrong, flambeau refuses as everywhere.
ON_LEAVES = (".logical_and_", ".logical_or_", ".logical_xor_", ".logical_not_")
#: Sums and norms of finite numbers beyond this overflow or cancel in single precision as the order has it.
HUGE = 1e18
#: Where equal elements leave the position open, values alone are compared.
TIES = ("sort", "kthvalue", "median", "nanmedian", "topk", "mode")


def compare_with() -> Any:
    """PyTorch, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    return torch


class _Missing(Exception):  # noqa: N818
    pass


def _function(library: Any, name: str) -> Any:
    """`nn.functional.relu` of a library; `.add_`: a method of the first argument."""
    if name.startswith("."):
        found = getattr(library.Tensor, name[1:], None)
    else:
        found = library
        for part in name.split("."):
            found = getattr(found, part, None)
            if found is None:
                break
    if found is None:
        raise _Missing(name)
    return found


def _built(value: Any, library: Any, made: list[Any], double: bool) -> Any:
    if isinstance(value, Data):
        if double and value.array.dtype.kind == "f":
            value = value._replace(array=value.array.astype("float64"))
        elif double and value.array.dtype.kind == "c":
            value = value._replace(array=value.array.astype("complex128"))
        tensor = value.make(library)
        made.append(tensor)
        return tensor
    if isinstance(value, tuple) and len(value) == 2 and value[0] == "dtype":
        wide = "float64" if value[1].startswith("float") else "complex128" if value[1][0] == "c" else value[1]
        return getattr(library, wide if double else value[1])
    if isinstance(value, (list, tuple)):
        return type(value)(_built(each, library, made, double) for each in value)
    return copy.copy(value)


def _arrays(value: Any, library: Any) -> list[Any]:
    """The tensors of a result as (dtype name, NumPy array), other values as they are."""
    if isinstance(value, library.Tensor):
        tensor = value.detach()
        name = str(tensor.dtype).rsplit(".", 1)[-1]
        tensor = tensor.to(library.float32) if name == "bfloat16" else tensor
        wide = np.float64 if "float" in name else np.complex128 if "complex" in name else None
        return [(name, np.array(tensor.tolist(), dtype=wide).reshape(tuple(tensor.shape)))]
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in _arrays(part, library)]
    return [value]


def execute(call: Call, library: Any, double: bool = False) -> tuple[Any, Exception | None]:
    """(what came out, the error): results, the arguments afterwards, and gradients where they are asked for."""
    made: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = _function(library, call.name)
        try:
            arguments = [_built(each, library, made, double) for each in call.arguments]
            options = {key: _built(each, library, made, double) for key, each in call.options.items()}
        except Exception as error:  # a view that this library does not make: the call is not about it
            raise _Missing(f"view: {error}") from error
        try:
            result = function(*arguments, **options)
            out = _arrays(result, library)
            parts = result if isinstance(result, (list, tuple)) else [result]
            wanted = [each for each in parts if isinstance(each, library.Tensor) and each.requires_grad]
            gradients: list[Any] = []
            sources = [each for each in made if each.requires_grad]
            if wanted and sources:
                total = sum(_real((each * _cotangent(each, library)).sum()) for each in wanted)
                found = library.autograd.grad(total, sources, allow_unused=True)
                gradients = [
                    part for each in found for part in (_arrays(each, library) if each is not None else [None])
                ]
            after = [part for each in made for part in _arrays(each, library)]
            return (out, after, gradients), None
        except Exception as error:
            return None, error


def attempt(call: Call, library: Any) -> None:
    """Run a call for what it leaves behind."""
    with contextlib.suppress(_Missing):
        execute(call, library)


def _real(total: Any) -> Any:
    return total.real + 0.5 * total.imag if total.is_complex() else total


def _cotangent(tensor: Any, library: Any) -> Any:
    """Fixed weights between 0.5 and 1.5, so that no part of a gradient cancels."""
    count = tensor.numel()
    weights = 0.5 + ((library.arange(count) * 37) % 101).to(tensor.dtype) / 101
    return weights.reshape(tensor.shape)


TOLERANCE = {
    "float16": 4e-3, "bfloat16": 3e-2, "float32": 3e-5, "float64": 1e-9, "complex64": 3e-5, "complex128": 1e-9,
}  # fmt: skip


def _differs(mine: Any, theirs: Any, largest: float = 0.0, coarsest: float = 0.0) -> str | None:
    """What differs; the absolute tolerance is relative to `largest`, or without it to the largest value up to 1000."""
    if isinstance(mine, tuple) and isinstance(theirs, tuple) and len(mine) == len(theirs) == 2:
        if mine[0] != theirs[0]:
            return f"dtype {mine[0]}, not {theirs[0]}"
        if mine[1].shape != theirs[1].shape:
            return f"shape {mine[1].shape}, not {theirs[1].shape}"
        tolerance = max(TOLERANCE[theirs[0]], coarsest) if theirs[0] in TOLERANCE else 0
        with np.errstate(all="ignore"):
            finite = np.abs(theirs[1][np.isfinite(theirs[1])]) if theirs[1].dtype.kind in "fc" else np.zeros(1)
            scale = (largest or min(float(finite.max(initial=1.0)), 1e3)) if tolerance else 0.0
            close = np.isclose(mine[1], theirs[1], rtol=tolerance, atol=tolerance * scale, equal_nan=True)
        if not close.all():
            place = tuple(np.argwhere(~close)[0])
            count = f"{(~close).sum()} of {close.size} elements differ"
            return f"{count}, at {place}: {mine[1][place]!r}, not {theirs[1][place]!r}"
        return None
    if isinstance(mine, float) and isinstance(theirs, float):
        return None if np.isclose(mine, theirs, rtol=1e-5, equal_nan=True) else f"{mine}, not {theirs}"
    return None if mine == theirs or (mine is None) != (theirs is None) else f"{mine!r}, not {theirs!r}"


def _has_infinity(call: Call) -> bool:
    return any(isinstance(each, Data) and not np.isfinite(each.array).all() for each in call.arguments)


def _first_difference(mine: Any, theirs: Any, largest: float = 0.0, coarsest: float = 0.0) -> str | None:
    gradients = bool(mine[2] and theirs[2])
    for label, ours, reference in zip(("result", "argument afterwards", "gradient"), mine, theirs):
        if label == "gradient" and not gradients:
            continue
        if len(ours) != len(reference):
            return f"{label}: {len(ours)} values, not {len(reference)}"
        for number, (one, other) in enumerate(zip(ours, reference)):
            found = _differs(one, other, largest, coarsest if label == "gradient" else 0.0)
            if found:
                return f"{label} {number}: {found}"
    return None


def judge(call: Call, library: Any, torch: Any) -> str | None:
    """What is wrong with a call, or None."""
    try:
        mine, error = execute(call, library)
    except _Missing:
        return None
    if isinstance(error, INTERNAL) or (error is not None and "object has no attribute" in str(error)):
        return f"internal error {type(error).__name__}: {error}"
    if torch is None:
        return None
    try:
        theirs, refusal = execute(call, torch)
    except _Missing:
        return None
    if error is not None and refusal is not None:
        return None
    if error is not None:
        if call.name in ON_LEAVES and "a leaf Variable" in str(error):
            return None
        if any(text in str(error) for text in REFUSED) or all(
            not each[1].size for each in theirs[0] if isinstance(each, tuple)
        ):
            return None
        return f"refused ({type(error).__name__}: {str(error)[:160]}), PyTorch gives {_short(theirs)}"
    if refusal is not None:
        if any(text in str(refusal) for text in NO_KERNEL + TAKEN) or isinstance(refusal, NotImplementedError):
            return None
        return f"gives {_short(mine)}, PyTorch refuses ({type(refusal).__name__}: {str(refusal)[:160]})"
    if call.name in TIES:
        mine, theirs = ((result[0][:1], result[1], []) for result in (mine, theirs))
    found = _first_difference(mine, theirs, coarsest=_coarsest(call))
    if found is None or call.name in WRONG_IN_PYTORCH or (call.name in INFINITE and _has_infinity(call)):
        return None
    if call.name == "logcumsumexp" and _turned(mine, theirs):
        return None
    if call.name in PLACES and PLACES[call.name][0](*(each.array for each in call.arguments if isinstance(each, Data))):
        return None
    # Who is right? PyTorch in double precision decides: where it is nearer to ours, the difference is its rounding.
    try:
        exact, refusal = execute(call, torch, double=True)
    except _Missing:
        return found
    if refusal is None and _rounding(mine, theirs, exact):
        return None
    # Sums and products of huge numbers overflow or cancel in single precision as their order has it.
    largest = _largest(call)
    if refusal is None and largest > HUGE:
        double, error = execute(call, library, double=True)
        if error is None and not _first_difference(double, exact, largest):
            return None
    return found


def _largest(call: Call) -> float:
    """The largest finite number of a call's data."""
    data = [each for each in (*call.arguments, *call.options.values()) if isinstance(each, Data)]
    parts = [each.array[np.isfinite(each.array)] for each in data if each.array.dtype.kind in "fc"]
    return max((float(np.abs(part).max()) for part in parts if part.size), default=0.0)


def _coarsest(call: Call) -> float:
    """The largest tolerance of the dtypes of a call's data: gradients pass through each of them."""
    data = [each for each in (*call.arguments, *call.options.values()) if isinstance(each, Data)]
    return max((TOLERANCE.get(each.array.dtype.name, 0.0) for each in data), default=0.0)


def _turned(mine: Any, theirs: Any) -> bool:
    """Whether complex logarithms differ by whole turns of the angle only; the gradients are those of one branch."""
    for one, other in zip(mine[0], theirs[0]):
        if one[0] != other[0] or one[1].dtype.kind != "c":
            return False
        turns = (one[1] - other[1]) / (2j * np.pi)
        with np.errstate(all="ignore"):
            if not (np.abs(turns - np.round(turns.real)) <= 1e-4 * np.maximum(1.0, np.abs(other[1]))).all():
                return False
    return not _first_difference(([], mine[1], mine[2]), ([], theirs[1], theirs[2]))


def _rounding(mine: Any, theirs: Any, exact: Any) -> bool:
    """Whether our values are about as near to the exact ones as PyTorch's are."""
    for ours, reference, true in zip(mine, theirs, exact):
        if not len(ours) == len(reference) == len(true):
            return False
        for one, other, right in zip(ours, reference, true):
            if not (isinstance(one, tuple) and isinstance(other, tuple) and isinstance(right, tuple)):
                if _differs(one, other):
                    return False
                continue
            if one[0] != other[0] or one[1].shape != other[1].shape or one[1].shape != right[1].shape:
                return False
            if one[1].dtype.kind not in "fc":
                if not np.array_equal(one[1], other[1]):
                    return False
                continue
            with np.errstate(all="ignore"):
                limit = {"float16": 65504.0, "float32": 3.4028235e38}.get(one[0], np.inf)
                rounded = np.where(np.abs(right[1]) > limit, np.sign(right[1]) * np.inf, right[1])
                ours_error, their_error = np.abs(one[1] - rounded), np.abs(other[1] - rounded)
                same = (one[1] == rounded) | (np.isnan(one[1]) & np.isnan(rounded)) | (one[1] == other[1])
                size = TOLERANCE.get(one[0], 0) * np.maximum(np.abs(rounded), 1e-3)
                near = (ours_error <= 4 * their_error + size) | (np.isnan(one[1]) & np.isnan(other[1]))
                lost = ~np.isfinite(other[1]) & np.isfinite(one[1]) & (ours_error <= size)
            if not (same | near | lost).all():
                return False
    return True


def _short(value: Any) -> str:
    return str([each[0] + str(list(each[1].shape)) if isinstance(each, tuple) else each for each in value[0]])[:100]


def blocks(library: Any) -> int:
    """How many blocks of tensor memory are in use."""
    gc.collect()
    return library.memory_statistics()["blocks"]


def run(first: int, count: int, report: Any, show: bool = False) -> list[tuple[int, str, str]]:
    """Judge the calls `first` to `first + count`; `report(number)` is called before each."""
    import flambeau

    torch = compare_with()
    found = []
    for number in range(first, first + count):
        report(number)
        call = make(number)
        if show:
            print(call.text(), flush=True)
        verdict = judge(call, flambeau, torch)
        if verdict:
            found.append((number, call.text(), verdict))
        if number % 50 == 0:
            kept = _kept(call, flambeau)
            if kept:
                found.append((number, call.text(), f"{kept} blocks of memory are kept by repeating the call"))
    return found


def _kept(call: Call, library: Any) -> int:
    """How many blocks of memory repeating a call keeps."""
    try:
        for _ in range(3):  # caches of constants are filled
            execute(call, library)
        before = blocks(library)
        for _ in range(4):
            execute(call, library)
    except _Missing:
        return 0
    grown = blocks(library) - before
    return grown if grown >= 4 else 0
