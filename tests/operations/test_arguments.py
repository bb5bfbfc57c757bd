"""Arguments of a wrong type: every public function and method answers with an error of a documented family.

What may come out of a wrong call is a result, or TypeError, ValueError, IndexError or RuntimeError (and what is derived
from them, as flambeau's own errors are). An AttributeError, KeyError or AssertionError means that the argument reached code
that never expected it, and its text says nothing about the call.
"""

from __future__ import annotations

import inspect
import random
import warnings

import pytest

import flambeau as fl
import flambeau.linalg
import flambeau.nn.functional
import flambeau.special
from flambeau.compiler import declare
from flambeau.tensor import _NAMESPACES

FAMILIES = (TypeError, ValueError, IndexError, RuntimeError)
WRONG = (3, 2.5, "word", None, [1, "word"], [2], object())
#: They change settings of the process, read files, or take any object by design.
LEFT_OUT = {"manual_seed", "seed", "set_rng_state", "initial_seed", "fork_rng", "is_tensor", "typename"}

#: An argument that fits, by the name of the parameter.
FITTING = {
    "index": lambda: fl.tensor([0, 1]), "indices": lambda: fl.tensor([0, 1]), "mask": lambda: fl.ones(3, 3) > 0,
    "condition": lambda: fl.ones(3, 3) > 0, "target": lambda: fl.tensor([0, 1, 2]), "dim": lambda: 0, "dim0": lambda: 0,
    "dim1": lambda: 0, "dim2": lambda: 1, "dims": lambda: (0, 1), "size": lambda: (3, 3), "stride": lambda: (1, 1),
    "shape": lambda: (3, 3), "sizes": lambda: (3,), "start": lambda: 0, "end": lambda: 2, "length": lambda: 1, "k": lambda: 1,
    "n": lambda: 2, "p": lambda: 2, "q": lambda: 0.5, "steps": lambda: 3, "high": lambda: 4, "chunks": lambda: 2,
    "shifts": lambda: 1, "split_sizes": lambda: (1, 2), "split_size_or_sections": lambda: 2, "repeats": lambda: 2,
    "indices_or_sections": lambda: 3, "source": lambda: fl.ones(3, 3), "destination": lambda: 1, "reduce": lambda: "sum",
    "fill_value": lambda: 1, "value": lambda: 1, "window_length": lambda: 4, "num_samples": lambda: 2, "row": lambda: 3,
    "col": lambda: 3, "ord": lambda: 2, "physical_layout": lambda: (1, 0), "dtype": lambda: fl.float32, "threshold": lambda: 1,
    "normalized_shape": lambda: (3,), "num_groups": lambda: 3, "type1": lambda: fl.int32, "type2": lambda: fl.float32,
    "pad": lambda: (1, 1), "equation": lambda: "ij->i", "shapes": lambda: (3,), "tensors": lambda: [fl.ones(3, 3)] * 2,
    "values": lambda: fl.ones(2, 3), "vec": lambda: fl.ones(3), "exponent": lambda: 2, "data": lambda: [1.0], "N": lambda: 3,
    "bins": lambda: 4, "num_classes": lambda: 3, "boundaries": lambda: fl.tensor([0.0, 1.0]), "ndarray": lambda: [1.0],
    "order": lambda: (1, 0), "axis": lambda: 0, "axes": lambda: (0,), "m": lambda: 3, "matrices": lambda: fl.ones(3, 3),
}  # fmt: skip


def _operation_inputs(function):
    name = getattr(function, "name", None) or getattr(function, "__name__", "")
    declaration = declare.table.get(name)
    return list(declaration.inputs) if declaration is not None and hasattr(declaration, "inputs") else ["input", "other"]


def _public():
    found = {}
    for module in (*_NAMESPACES, fl.nn.functional, fl.linalg, fl.special):
        prefix = "" if module in _NAMESPACES else module.__name__.removeprefix("flambeau.") + "."
        for name in getattr(module, "__all__", None) or vars(module):
            value = getattr(module, name)
            if name.startswith("_") or isinstance(value, type) or not callable(value) or name in LEFT_OUT:
                continue
            found[prefix + name] = value
    return found


FUNCTIONS = _public()
METHODS = [
    name
    for name in dir(fl.Tensor)
    if not name.startswith("__") and callable(getattr(fl.Tensor, name)) and name not in LEFT_OUT
]


def _parameters(function):
    """(name, whether it may be left out, whether it is *variadic) of each parameter."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return [(name, False, False) for name in _operation_inputs(function)]
    return [
        (p.name, p.default is not p.empty or p.kind is p.KEYWORD_ONLY, p.kind is p.VAR_POSITIONAL)
        for p in signature.parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]


def _fitting(name):
    return FITTING[name]() if name in FITTING else fl.ones(3, 3)


def _problem(call, *arguments, **keywords):
    """The error that belongs to no family, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(*arguments, **keywords)
    except FAMILIES as error:
        return None if str(error) else f"{type(error).__name__} without a text"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _calls(name, function):
    """(what is wrong, arguments, keywords): each argument in turn replaced by each of the wrong values."""
    parameters = _parameters(function)
    needed = [p for p, optional, variadic in parameters if not optional or variadic]
    optional = [p for p, optional, variadic in parameters if optional and not variadic and p not in ("out", "generator")]
    for position, parameter in enumerate(needed):
        for wrong in WRONG:
            arguments = [_fitting(p) for p in needed]
            arguments[position] = wrong
            yield f"{name}({parameter}={wrong!r:.20})", arguments, {}
    for parameter in optional:
        for wrong in WRONG:
            if parameter == "size" and wrong == 3:
                continue
            yield f"{name}({parameter}={wrong!r:.20})", [_fitting(p) for p in needed], {parameter: wrong}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    problems = [
        f"{what} -> {problem}"
        for what, arguments, keywords in _calls(name, FUNCTIONS[name])
        if (problem := _problem(FUNCTIONS[name], *arguments, **keywords))
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", METHODS)
def test_method(name):
    problems = []
    method = getattr(fl.Tensor, name)
    for wrong in WRONG:
        for arguments in ((wrong,), (wrong, wrong), (0, wrong), (wrong, fl.tensor([0])), (0, fl.tensor([0]), wrong)):
            problem = _problem(method, fl.ones(3, 3), *arguments)
            if problem:
                problems.append(f"{name}{arguments!r:.60} -> {problem}")
        problem = _problem(method, wrong)
        if problem:
            problems.append(f"Tensor.{name}({wrong!r:.20}) -> {problem}")
    assert not problems, "\n".join(problems)
