"""Helpers of the compiler's tests: declarations run by the interpreter in float64, and their gradients checked."""

import numpy

from flambeau.compiler import interpret
from flambeau.compiler.program import ROW

FLOAT64 = 9
STEP = 1e-6


def draw(declaration, index, rng, rows, length):
    """An array for operand `index`, inside the operation's domain and away from its kinks."""
    role = declaration.roles[index]
    shape = (length,) if declaration.kind == "map" else (rows,) if declaration.levels[index] is ROW else (rows, length)
    if role == "bool":
        return rng.random(shape) < 0.5
    if role == "int64":
        return rng.integers(0, length, shape)
    low, high = declaration.domain or (-2.0, 2.0)
    array = rng.uniform(low, high, shape)
    for kink in declaration.kinks:
        array = numpy.where(numpy.abs(array - kink) < 0.05, array + 0.11, array)
    return array


def operands(declaration, rng, rows=3, length=5, sample=None):
    arrays = [draw(declaration, i, rng, rows, length) for i in range(len(declaration.inputs))]
    settings = dict(declaration.parameters) | (sample or {})
    for name, _ in declaration.parameters:
        arrays.append(numpy.asarray(settings[name], "float64" if isinstance(settings[name], float) else None))
    return arrays


def codes_of(arrays):
    kinds = {"f": FLOAT64, "i": 5, "b": 0, "c": 14}
    return tuple(kinds[numpy.asarray(array).dtype.kind] for array in arrays)


def evaluate(declaration, arrays, length=None):
    codes = codes_of(arrays)
    program = declaration.trace(*declaration.resolve(tuple((code, 0) for code in codes)))
    if declaration.kind == "row":
        rows = max(a.shape[0] for a in map(numpy.asarray, arrays) if a.ndim)
        arrays = [numpy.broadcast_to(a, (rows,)) if numpy.ndim(a) == 0 else a for a in arrays]
    return interpret.run(program, arrays, precise=True, length=length)


def gradient_arrays(gradient, cotangents, arrays, outputs):
    read = {"grad": cotangents, "input": arrays, "output": outputs}
    return [read[kind][i] for kind, i in gradient.operands]


def analytic(declaration, arrays, cotangents, outputs, length):
    """The gradient of every differentiable input, and the gradient declaration with what it was called with."""
    codes = codes_of(arrays)
    needs = declaration.needs_gradient
    gradient = declaration.gradient(needs, *declaration.resolve(tuple((code, 0) for code in codes)))
    if gradient is None:
        return None, None, None
    computed, called = [], None
    if gradient.operation is not None:
        called = gradient_arrays(gradient, cotangents, arrays, outputs)
        computed = evaluate(gradient.operation.declaration, called, length)
    found = []
    wanted = [i for i, need in enumerate(needs) if need]
    for i, through, result in zip(wanted, gradient.through, gradient.result, strict=True):
        shape = numpy.shape(arrays[i])
        if through >= 0:
            passing = cotangents[through]
            found.append(numpy.broadcast_to(passing if passing.ndim == len(shape) else passing[:, None], shape))
        else:
            found.append(computed[result] if result >= 0 else numpy.zeros(shape))
    return found, gradient, called


def numeric(declaration, arrays, cotangents, index, length):
    """Central differences of sum(cotangent * output); elements of a map, and rows, are independent."""
    array = arrays[index]
    if array.dtype.kind == "c":
        parts = [numeric_part(declaration, arrays, cotangents, index, length, direction) for direction in (1.0, 1.0j)]
        return parts[0] + 1j * parts[1]
    return numeric_part(declaration, arrays, cotangents, index, length, 1.0)


def numeric_part(declaration, arrays, cotangents, index, length, direction):
    """The slope along one direction in the plane of an operand's values."""
    array = arrays[index]
    found = numpy.zeros(array.shape)
    columns = range(array.shape[1]) if array.ndim == 2 else [None]
    for column in columns:
        ends = []
        for sign in (1, -1):
            moved = array.copy()
            if column is None:
                moved += sign * STEP * direction
            else:
                moved[:, column] += sign * STEP * direction
            values = evaluate(declaration, [*arrays[:index], moved, *arrays[index + 1 :]], length)
            total = 0.0
            for value, cotangent in zip(values, cotangents, strict=True):
                if cotangent is None:
                    continue
                part = (value * numpy.conj(cotangent)).real  # of z = x + iy the cotangent is dL/dx + i dL/dy
                total = total + (part.sum(axis=1) if declaration.kind == "row" and part.ndim == 2 else part)
            ends.append(total)
        difference = (ends[0] - ends[1]) / (2 * STEP)
        if column is None:
            found[...] = difference
        else:
            found[:, column] = difference
    return found


def random_like(value, rng):
    """A random cotangent of an output, None if it can have none."""
    if value.dtype.kind == "c":
        return rng.standard_normal(value.shape) + 1j * rng.standard_normal(value.shape)
    return rng.standard_normal(value.shape) if value.dtype.kind == "f" else None


def check(declaration, arrays, rng, order, length):
    outputs = evaluate(declaration, arrays, length)
    cotangents = [random_like(v, rng) for v in outputs]
    for k in NONDIFFERENTIABLE_OUTPUTS.get(declaration.name, ()):
        cotangents[k] = numpy.zeros_like(outputs[k])
    found, gradient, called = analytic(declaration, arrays, cotangents, outputs, length)
    if found is None:
        return
    wanted = [i for i, need in enumerate(declaration.needs_gradient) if need]
    for i, value in zip(wanted, found, strict=True):
        expected = numeric(declaration, arrays, cotangents, i, length)
        # A saved output may lie on a kink (relu's 0): there the difference is a jump, not a slope.
        smooth = numpy.abs(expected) < 1e4
        value, expected = numpy.where(smooth, value, 0.0), numpy.where(smooth, expected, 0.0)
        scale = 1.0 + numpy.abs(expected).max(initial=0.0)
        name = f"{declaration.name}, {declaration.operand_names[i]}"
        numpy.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-7 * scale, err_msg=name)
    if order > 1 and gradient.operation is not None:
        check(gradient.operation.declaration, called, rng, order - 1, length)


#: Outputs that are statistics for other uses and take no cotangent.
NONDIFFERENTIABLE_OUTPUTS = {
    "batch_norm": (1, 2), "batch_norm_affine": (1, 2), "cross_entropy_weighted": (1,), "nll_loss_weighted": (1,),
}  # fmt: skip
