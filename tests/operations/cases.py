"""Operands for every declared operation, its oracle, and the comparison of the two.

The oracle is the program interpreter in float64 (`interpret.run(..., precise=True)`): plain NumPy, no kernels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy

import flambeau
import flambeau.nn.functional  # declares what only it uses
import flambeau.ops.update  # and what only optimizers use
from flambeau import _core
from flambeau.compiler import declare, interpret
from flambeau.compiler.program import CODES, DTYPES, ROW
from flambeau.errors import AutogradError, DTypeError

#: Map and row operations; those of random numbers have tests of their own.
OPERATIONS = sorted(
    name
    for name, declaration in declare.table.items()
    if isinstance(declaration, declare.Declaration) and "random" not in name and name != "dropout"
)
MAPS = [name for name in OPERATIONS if declare.table[name].kind == "map"]
ROWS = [name for name in OPERATIONS if declare.table[name].kind == "row"]
COMPLEX = {"complex64": "float32", "complex128": "float64"}
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}
FLOAT_TYPES = tuple(EPSILON)


@lru_cache(None)
def operation(name):
    """The callable operation of a declaration."""
    return _core.Operation(declare.table[name])


def draw(declaration, index, rng, shape):
    """Values for operand `index`, inside the operation's domain and away from its kinks."""
    role = declaration.roles[index]
    if declaration.levels[index] is ROW:
        shape = shape[:-1]
    if role == "bool":
        return rng.random(shape) < 0.5
    if role == "int64":
        return rng.integers(0, max(shape[-1] if shape else 1, 1), shape)
    low, high = declaration.domain or (-2.0, 2.0)
    if declaration.accepts in ("integral", "integer"):
        return rng.integers(0, 30, shape)
    array = rng.uniform(low, high, shape)
    for kink in declaration.kinks:
        array = numpy.where(numpy.abs(array - kink) < 0.05, array + 0.11, array)
    return array


def settings(declaration, sample=None):
    """The values of the parameters, by the defaults and a sample of the declaration."""
    given = dict(declaration.parameters) | (sample or {})
    return [given[name] for name, _ in declaration.parameters]


def samples(declaration):
    """The parameter settings to test: those declared, or the defaults."""
    return declaration.samples or ({},)


def operands(declaration, rng, shape, dtype="float64", sample=None):
    """(tensors and numbers to call with, their exact values as arrays) for floats of one dtype."""
    given, exact = [], []
    for index in range(len(declaration.inputs)):
        array = draw(declaration, index, rng, shape)
        if declaration.name == "rmsprop_centered" and declaration.inputs[index] == "square":
            array = array + 5.0  # a mean of squares is at least the square of the mean, which is at most 4 here
        if array.dtype.kind == "f":
            tensor = flambeau.from_numpy(numpy.require(array, requirements="C")).to(getattr(flambeau, dtype))
            array = tensor.double().numpy().copy() if dtype in FLOAT_TYPES else tensor.numpy().copy()
        else:
            tensor = flambeau.from_numpy(numpy.require(array, requirements="C"))
        given.append(tensor)
        exact.append(array)
    numbers = settings(declaration, sample)
    return given + numbers, exact + [numpy.asarray(number) for number in numbers]


def codes(given):
    """(dtype code, category) of each operand of a call."""
    found = []
    for each in given:
        if isinstance(each, flambeau.Tensor):
            found.append((each.dtype.code, 0 if each.ndim else 1))
        else:
            found.append((0 if isinstance(each, bool) else 5 if isinstance(each, int) else 9, 2))
    return tuple(found)


def oracle(declaration, given, exact, shape):
    """The exact outputs, and the names of their dtypes."""
    program = declaration.trace(*declaration.resolve(codes(given)))
    dtypes = [DTYPES[CODES[value.dtype]] for value in program.outputs]
    if declaration.kind == "map":
        return interpret.run(program, exact, precise=True), dtypes
    length = shape[-1]
    rows = int(numpy.prod(shape[:-1]))
    arrays = []
    for level, array in zip(declaration.levels, exact, strict=True):
        if level is ROW:
            arrays.append(numpy.broadcast_to(array, shape[:-1]).reshape(rows))
        else:
            arrays.append(numpy.broadcast_to(array, shape).reshape(rows, length))
    found = interpret.run(program, arrays, precise=True, length=length)
    levels = declaration.output_levels
    return [
        value.reshape(shape[:-1] if level is ROW else shape) for value, level in zip(found, levels, strict=True)
    ], dtypes


def call(name, given, **options):
    """The outputs of the operation as a tuple; rows reduce the last dimension."""
    declaration = declare.table[name]
    if declaration.kind == "row":
        options.setdefault("dim", -1)
    result = operation(name)(*given, **options)
    return result if isinstance(result, tuple) else (result,)


#: Maps that subtract nearly equal numbers: their error is relative to 1 and to the largest result, not to what is left.
CANCELLING = (
    "addcmul", "addcdiv", "batch_norm_inference", "binary_cross_entropy", "digamma", "gelu", "kl_div", "lerp", "lgamma",
    "logaddexp", "logit", "poisson_nll", "gaussian_nll", "sinc", "tanhshrink", "trigamma",
)  # fmt: skip


def error_bound(declaration, dtype, exact):
    """The largest allowed difference from the exact result, for each element."""
    size = numpy.abs(exact)
    size = numpy.where(numpy.isfinite(size), size, 0)
    # An update subtracts a step from a parameter: its error is relative to the parameter.
    update = declaration.function.__module__ == flambeau.ops.update.__name__
    if update or declaration.name.startswith(CANCELLING):
        size = numpy.maximum(size, max(size.max(initial=0), 1.0) if size.max(initial=0) < 1e6 else 1.0)
    if declaration.kind == "row":  # sums of both signs: relative to the largest, not to what is left
        size = numpy.maximum(size, max(size.max(initial=0), 1.0)) * 4
    compute = "float32" if dtype in ("float16", "bfloat16") else dtype
    bound = (declaration.tolerance + 0.51) * EPSILON[compute] * size
    if compute != dtype:
        bound = bound + 0.51 * EPSILON[dtype] * size
    smallest = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 5e-324}[dtype]
    return bound + 2 * smallest


def assert_close(declaration, found, exact, dtype, message, subnormal=0.0):
    """The outputs agree: exactly for integers and bools, within the declared ULPs (and `subnormal`) for floats."""
    assert str(found.dtype) == f"flambeau.{dtype}", f"{message}: dtype {found.dtype}, expected {dtype}"
    if dtype in COMPLEX:  # both parts to the precision of the larger
        found, exact = flambeau.view_as_real(found.resolve_conj()), numpy.stack([exact.real, exact.imag], -1)
        dtype = COMPLEX[dtype]
        subnormal = subnormal + 2 * error_bound(declaration, dtype, numpy.abs(exact).max(-1, keepdims=True))
    values = found.double().numpy() if dtype in FLOAT_TYPES else found.numpy()
    assert values.shape == exact.shape, f"{message}: shape {values.shape}, expected {exact.shape}"
    if dtype not in FLOAT_TYPES:
        numpy.testing.assert_array_equal(values, exact.astype(values.dtype), err_msg=message)
        return
    largest = {"float16": 65519.99, "bfloat16": 3.3961e38, "float32": 3.4028235677973366e38}.get(dtype, numpy.inf)
    with numpy.errstate(all="ignore"):
        exact = numpy.where(numpy.abs(exact) > largest, numpy.copysign(numpy.inf, exact), exact)
        near = numpy.abs(values - exact) <= error_bound(declaration, dtype, exact) + subnormal
    near |= (values == exact) | (numpy.isnan(values) & numpy.isnan(exact))
    if not near.all():
        place = tuple(numpy.argwhere(~near)[0])
        raise AssertionError(
            f"{message}: {(~near).sum()} of {near.size} differ; at {place}: {values[place]!r}, exact {exact[place]!r}"
        )


def gradients(name, given, wanted, cotangents, op=None, create_graph=False):
    """The gradients of the wanted operands under the cotangents, by the tape."""
    declaration = declare.table[name]
    options = {"dim": -1} if declaration.kind == "row" else {}
    outputs = (op or operation(name))(*given, **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad and c is not None]
    if not pairs:
        return None
    return flambeau.autograd.grad(
        [o for o, _ in pairs], [given[i] for i in wanted], [c for _, c in pairs],
        create_graph=create_graph, allow_unused=True,
    )  # fmt: skip


def differentiable_inputs(declaration, given):
    """The numbers of the operands that are floats and can have a gradient; marks them."""
    wanted = []
    for i, need in enumerate(declaration.needs_gradient):
        if need and isinstance(given[i], flambeau.Tensor) and given[i].dtype.is_floating_point:
            given[i].requires_grad_(True)
            wanted.append(i)
    return wanted


def directional(declaration, evaluate, exact, index, cotangents, step=1e-6):
    """Central differences of sum(cotangent * output) for every element of one operand.

    Elements of a map are independent, and so are rows: all of them move at once.
    """
    array = exact[index]
    found = numpy.zeros(array.shape)
    whole = declaration.kind == "map" or declaration.levels[index] is ROW
    places = [...] if whole else [(..., j) for j in range(array.shape[-1])]

    def along(values, to):
        """The weighted outputs summed to the shape that one move has an effect on."""
        total = numpy.zeros(to)
        for value, cotangent in zip(values, cotangents, strict=True):
            if cotangent is None:
                continue
            part = (value * numpy.conj(cotangent)).real
            total = total + (part if part.shape == to else part.sum(-1))
        return total

    for place in places:
        moved = [a.astype("float64") if i == index else a for i, a in enumerate(exact)]
        results = []
        for sign in (1.0, -1.0):
            changed = moved[index].copy()
            changed[place] += sign * step
            results.append(evaluate([changed if i == index else a for i, a in enumerate(moved)]))
        to = array.shape if declaration.kind == "map" else array.shape[:-1] if not whole else array.shape
        found[place] = (along(results[0], to) - along(results[1], to)) / (2 * step)
    return found


__all__ = [
    "AutogradError", "DTypeError", "MAPS", "OPERATIONS", "ROWS", "assert_close", "call", "codes", "declare",
    "differentiable_inputs", "directional", "draw", "gradients", "operands", "operation", "oracle", "samples",
    "settings",
]  # fmt: skip
