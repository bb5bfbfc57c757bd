"""PyTorch's database of wrong inputs: whatever PyTorch refuses, flambeau refuses, with an error of the same family.

The families are IndexError, TypeError, and RuntimeError with ValueError (flambeau's ShapeError is both, its DTypeError
is a TypeError and a RuntimeError). Samples that need what flambeau leaves out (complex numbers, sparse layouts, other
devices) are not run.
"""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("torch", reason="the conformance suite compares with PyTorch 2.13, which is not installed")
pytest.importorskip("expecttest", reason="PyTorch's operator database needs the package expecttest")

import flambeau

from . import harness

#: Entries whose error is of another family on purpose.
OTHER_FAMILY = {"narrow_copy": "a dimension out of range is an IndexError, as in narrow; PyTorch shows a failed check"}


def _exists(entry):
    try:
        harness.find(flambeau, entry)
    except harness.MissingFunctionError:
        return False
    return True


ENTRIES = {
    harness.full_name(entry): entry
    for entry in harness.database()
    if harness.in_scope(entry) and entry.error_inputs_func and _exists(entry)
}


def _family(kind):
    if kind is Exception:
        return Exception
    if issubclass(kind, IndexError):
        return IndexError
    if issubclass(kind, TypeError) and not issubclass(kind, RuntimeError):
        return TypeError
    return (RuntimeError, ValueError)


def _taken(entry, given, error):
    """Why flambeau takes what PyTorch refuses, or None."""
    tensors = [harness.is_tensor(value) for value in (given[0], *given[1])]
    if not isinstance(error, (TypeError, AttributeError)) or all(tensors):
        return None
    if entry.name.startswith("__r"):
        return "an operator between numbers is Python's own"
    return "elementwise operations take a number in either place" if any(tensors) and len(tensors) == 2 else None


def _refusal(function, arguments):
    """The error of a call, None if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(arguments[0], *arguments[1], **arguments[2])
    except Exception as error:
        return error
    return None


def problems(entry):
    """(how many samples were run, what is wrong with them)."""
    import torch

    function = harness.find(flambeau, entry)
    count, found = 0, []
    for each in entry.error_inputs("cpu"):
        sample = each.sample_input
        given = sample.input, sample.args, sample.kwargs
        try:
            ours, theirs = harness.convert(given, flambeau), harness.convert(given, torch)
        except (harness.UnsupportedSampleError, TypeError, ValueError):  # NumPy carries at most 64 dimensions
            continue
        expected = _refusal(entry.op, theirs)
        if expected is None or _taken(entry, theirs, expected):
            continue
        message = str(expected).partition("\n")[0]
        count += 1
        error = _refusal(function, ours)
        if isinstance(error, harness.MissingFunctionError):
            continue
        if error is None:
            found.append(f"taken [{harness.describe(sample)}], PyTorch: {type(expected).__name__}: {message:.160}")
        elif not isinstance(error, _family(type(expected))) or isinstance(error, (AttributeError, AssertionError)):
            if entry.name in OTHER_FAMILY:
                continue
            text = str(error)
            found.append(
                f"{type(error).__name__}: {text:.120} [{harness.describe(sample)}], PyTorch: "
                f"{type(expected).__name__}: {message:.160}"
            )
    return count, found


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_error_inputs(name):
    count, found = problems(ENTRIES[name])
    if not count:
        pytest.skip("no sample concerns dense, real tensors on the CPU")
    assert not found, "\n".join(found)
