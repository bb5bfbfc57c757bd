"""Arguments of a wrong type: every public function and method answers with an error of a documented family.

What may come out of a wrong call is a result, or TypeError, ValueError, IndexError or RuntimeError (and what is derived
from them, as flambeau's own errors are). An AttributeError, KeyError or AssertionError means that the argument reached
code that never expected it, and its text says nothing about the call.
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

FAMILIES = (TypeError, ValueError, IndexError, RuntimeError, OverflowError)  # the last: numbers beyond 64 bits
WRONG = (3, "word", None, [1, "word"], object())
#: They change settings of the process, read files, or take any object by design.
LEFT_OUT = {"manual_seed", "seed", "set_rng_state", "initial_seed", "fork_rng", "is_tensor", "typename"}

#: An argument that fits, by the name of the parameter; without an entry a (3, 3) tensor of ones.
FITTING = {
    **dict.fromkeys(("dim", "dim0", "dim1", "start", "axis"), 0),
    **dict.fromkeys(("dim2", "length", "k", "shifts", "destination", "fill_value", "value", "threshold"), 1),
    **dict.fromkeys(("end", "n", "p", "chunks", "split_size_or_sections", "repeats", "num_samples", "ord"), 2),
    **dict.fromkeys(("steps", "indices_or_sections", "row", "col", "num_groups", "N", "num_classes", "m"), 3),
    **dict.fromkeys(("high", "window_length", "bins"), 4),
    **dict.fromkeys(("size", "shape"), (3, 3)),
    **dict.fromkeys(("sizes", "normalized_shape", "shapes"), (3,)),
    **dict.fromkeys(("stride", "pad"), (1, 1)),
    **dict.fromkeys(("order", "physical_layout"), (1, 0)),
    **dict.fromkeys(("index", "indices"), fl.tensor([0, 1])),
    **dict.fromkeys(("mask", "condition"), fl.ones(3, 3) > 0),
    "axes": (0,),
    "boundaries": fl.tensor([0.0, 1.0]),
    "data": [1.0],
    "dims": (0, 1),
    "dtype": fl.float32,
    "equation": "ij->i",
    "exponent": 2,
    "q": 0.5,
    "reduce": "sum",
    "split_sizes": (1, 2),
    "target": fl.tensor([0, 1, 2]),
    "tensors": [fl.ones(3, 3)] * 2,
    "type1": fl.int32,
    "type2": fl.float32,
    "values": fl.ones(2, 3),
    "vec": fl.ones(3),
}


def _operation_inputs(function):
    name = getattr(function, "name", None) or getattr(function, "__name__", "")
    declaration = declare.table.get(name)
    return list(declaration.inputs) if hasattr(declaration, "inputs") else ["input", "other"]


def _public():
    found = {}
    for module in (*_NAMESPACES, fl.nn.functional, fl.linalg, fl.special):
        prefix = "" if module in _NAMESPACES else module.__name__.removeprefix("flambeau.") + "."
        for name in getattr(module, "__all__", None) or vars(module):
            value = getattr(module, name)
            if name.startswith("_") or isinstance(value, type) or not callable(value) or name in LEFT_OUT:
                continue
            found[prefix + name] = value
    found["promote_types"], found["can_cast"] = fl.promote_types, fl.can_cast
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
    value = FITTING.get(name)
    return fl.ones(3, 3) if value is None else value.clone() if isinstance(value, fl.Tensor) else value


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
    optional = [p for p, optional, variadic in parameters if optional and not variadic and p != "out"]
    for position, parameter in enumerate(needed):
        for wrong in WRONG:
            arguments = [_fitting(p) for p in needed]
            arguments[position] = wrong
            yield f"{name}({parameter}={wrong!r:.20})", arguments, {}
    for position, parameter in enumerate(optional):
        for wrong in (*WRONG, *WRONG)[(len(name) + position) % len(WRONG) :][:2]:
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


#: Functions that take a tensor first and whose error names the argument, what it must be and how to make it.
NAMED = (
    "adjoint", "argsort", "broadcast_to", "chunk", "clone", "cov", "cross", "cumsum", "diag", "diagonal", "diff",
    "flatten", "flip", "gather", "histc", "index_add", "index_select", "kthvalue", "masked_select", "movedim", "narrow",
    "numel", "ones_like", "permute", "poisson", "positive", "put", "rand_like", "randint_like", "ravel",
    "repeat_interleave", "reshape", "roll", "rot90", "scatter", "scatter_add", "select", "slice_scatter", "split",
    "squeeze", "swapdims", "t", "take", "tensor_split", "tensordot", "tile", "topk", "transpose", "trapezoid", "trapz",
    "unbind", "unflatten", "unique_consecutive", "vander", "view_copy", "where", "zeros_like",
    "nn.functional.cross_entropy", "nn.functional.dropout", "nn.functional.layer_norm", "nn.functional.mse_loss",
    "nn.functional.pad", "linalg.matrix_power", "special.polygamma",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_text_names_the_argument_and_the_fix(name):
    needed = [parameter for parameter, optional, _ in _parameters(FUNCTIONS[name]) if not optional]
    arguments = [_fitting(parameter) for parameter in needed]
    arguments[needed.index("input") if "input" in needed else 0] = 7
    if name == "where":
        arguments += [1, 2]
    with pytest.raises(
        TypeError, match=r"\w+\(\): argument '\w+' must be Tensor, not int; make one with flambeau.tensor"
    ):
        FUNCTIONS[name](*arguments)


def test_text_names_an_integer_argument():
    with pytest.raises(TypeError, match=r"cumsum\(\): argument 'dim' must be int, not str; pass a whole number"):
        fl.cumsum(fl.ones(2), "word")
    with pytest.raises(TypeError, match=r"split\(\): argument 'split_size_or_sections' must be int, not float"):
        fl.split(fl.ones(2), 1.5)


def test_a_wrong_call_changes_nothing():
    x = fl.ones(2, 3)
    for call in (
        lambda: x.index_add_(0, fl.tensor([0]), 5),
        lambda: x.scatter_(0, fl.tensor([[0]]), "word"),
        lambda: x.put_(fl.tensor([0]), 3),
        lambda: x.masked_fill_(fl.ones(2, 3) > 0, "word"),
        lambda: x.unflatten("word", (1, 2)),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()
    assert x.tolist() == [[1.0, 1.0, 1.0]] * 2 and x._version == 0


def _random_tensor(source):
    shape = [source.choice((0, 1, 1, 2, 3, 5)) for _ in range(source.choice((0, 1, 1, 2, 2, 3)))]
    kind = source.choice((fl.float32, fl.float32, fl.int64, fl.bool))
    tensor = fl.full(shape, source.choice((0, 1, 2)), dtype=kind)
    layout = source.random()
    if layout < 0.15 and tensor.ndim > 1:
        return tensor.transpose(0, -1)
    if layout < 0.25 and tensor.ndim:
        return tensor[::2]
    return tensor.requires_grad_() if kind is fl.float32 and layout < 0.5 else tensor


def _random_argument(source):
    kind = source.random()
    if kind < 0.6:
        return _random_tensor(source)
    if kind < 0.75:
        return source.choice((0, 1, -1, 2, 3, -2, 5, 100, -100))
    if kind < 0.85:
        return source.choice((0.5, -1.5, 0.0, float("nan"), 1e30))
    if kind < 0.95:
        return source.choice((True, False, None, "word", (0, 1), (), (2, -1)))
    return [_random_tensor(source) for _ in range(source.choice((0, 1, 2)))]


#: Calls with a flag that the core asks for its truth value.
FLAGS = {
    "requires_grad_": lambda flag: fl.ones(2).requires_grad_(flag),
    "requires_grad": lambda flag: setattr(fl.ones(2), "requires_grad", flag),
    "amax": lambda flag: fl.ones(2, 2).amax(0, flag),
    "argmax": lambda flag: fl.ones(2, 2).argmax(0, flag),
    "backward": lambda flag: fl.ones(2, requires_grad=True).sum().backward(retain_graph=flag),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags_without_a_truth_value_are_an_error(name):
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        FLAGS[name](fl.ones(2))


@pytest.mark.parametrize("seed", range(4))
def test_random_calls(seed):
    source = random.Random(seed)
    problems = []
    functions = sorted(FUNCTIONS)
    for _ in range(500):
        arguments = [_random_argument(source) for _ in range(source.choice((1, 1, 2, 2, 3, 4)))]
        if source.random() < 0.5:
            name = source.choice(METHODS)
            call, arguments[0] = getattr(fl.Tensor, name), _random_tensor(source)
        else:
            name = source.choice(functions)
            call = FUNCTIONS[name]
        problem = _problem(call, *arguments)
        if problem:
            problems.append(f"{name}{tuple(arguments)!r:.100} -> {problem}")
    assert not problems, "\n".join(problems)
