"""Gradients of every declaration against central differences in float64, under random cotangents, to second order."""

import math

import numpy
import pytest

from flambeau.compiler import declare, differentiate, interpret, scalar
from flambeau.compiler.program import ROW, Value
from flambeau.errors import AutogradError
from flambeau.ops import elementwise, loss, normalise, reduce, update  # noqa: F401  (they fill the table)

DECLARATIONS = {
    name: declaration
    for name, declaration in declare.table.items()
    if isinstance(declaration, declare.Declaration)
    and declaration.differentiable
    and declaration.accepts not in ("integer", "integral")
}
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
    kinds = {"f": FLOAT64, "i": 5, "b": 0}
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
    found = numpy.zeros(array.shape)
    columns = range(array.shape[1]) if array.ndim == 2 else [None]
    for column in columns:
        ends = []
        for sign in (1, -1):
            moved = array.copy()
            if column is None:
                moved += sign * STEP
            else:
                moved[:, column] += sign * STEP
            values = evaluate(declaration, [*arrays[:index], moved, *arrays[index + 1 :]], length)
            total = 0.0
            for value, cotangent in zip(values, cotangents, strict=True):
                if cotangent is None:
                    continue
                part = value * cotangent
                total = total + (part.sum(axis=1) if declaration.kind == "row" and part.ndim == 2 else part)
            ends.append(total)
        difference = (ends[0] - ends[1]) / (2 * STEP)
        if column is None:
            found[...] = difference
        else:
            found[:, column] = difference
    return found


def check(declaration, arrays, rng, order, length):
    outputs = evaluate(declaration, arrays, length)
    cotangents = [rng.standard_normal(v.shape) if v.dtype.kind == "f" else None for v in outputs]
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


@pytest.mark.parametrize("name", DECLARATIONS)
def test_gradients_agree_with_central_differences(name):
    declaration = DECLARATIONS[name]
    rng = numpy.random.default_rng(len(name))
    for sample in declaration.samples or ({},):
        check(declaration, operands(declaration, rng, sample=sample), rng, 2, 5)


def gradient_at(operation, *arrays):
    """The gradient of a map with cotangent 1 at given points."""
    declaration = operation.declaration
    arrays = [numpy.asarray(a, "float64") for a in arrays]
    arrays += [numpy.asarray(value, "float64") for _, value in declaration.parameters]
    outputs = evaluate(declaration, arrays)
    found, _, _ = analytic(declaration, arrays, [numpy.ones_like(v) for v in outputs], outputs, None)
    return [list(map(float, numpy.broadcast_to(v, outputs[0].shape))) for v in found]


def test_gradients_at_kinks():
    assert gradient_at(elementwise.abs, [0.0]) == [[0.0]]
    assert gradient_at(elementwise.relu, [0.0, -0.0, 1.0]) == [[0.0, 0.0, 1.0]]
    assert gradient_at(elementwise.relu6, [0.0, 6.0, 3.0]) == [[0.0, 0.0, 1.0]]
    assert gradient_at(elementwise.hardtanh, [-1.0, 1.0, 0.0]) == [[0.0, 0.0, 1.0]]
    assert gradient_at(elementwise.maximum, [1.0], [1.0]) == [[0.5], [0.5]]
    assert gradient_at(elementwise.minimum, [1.0], [1.0]) == [[0.5], [0.5]]
    assert gradient_at(elementwise.fmax, [1.0], [1.0]) == [[1.0], [0.0]]
    assert gradient_at(elementwise.clamp, [-1.0, 1.0], [-1.0, -1.0], [1.0, 1.0])[0] == [1.0, 1.0]
    assert gradient_at(elementwise.sqrt, [0.0]) == [[math.inf]]
    assert gradient_at(elementwise.pow, [0.0, 0.0], [0.0, 2.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert gradient_at(elementwise.hardswish, [-3.0, 3.0]) == [[0.0, 1.0]]
    assert gradient_at(elementwise.sinc, [0.0]) == [[0.0]]
    assert gradient_at(elementwise.elu, [1000.0, 0.0])[0] == [1.0, 1.0]
    assert gradient_at(elementwise.sigmoid, [-1000.0, 1000.0]) == [[0.0, 0.0]]
    assert gradient_at(elementwise.silu, [-1000.0, 1000.0]) == [[0.0, 1.0]]
    assert gradient_at(elementwise.softplus, [-1000.0, 1000.0]) == [[0.0, 1.0]]


def row_gradient(operation, x, cotangent):
    declaration = operation.declaration
    x = numpy.asarray(x, "float64")
    arrays = [x] + [numpy.asarray(value, "float64") for _, value in declaration.parameters]
    outputs = evaluate(declaration, arrays)
    return analytic(declaration, arrays, [numpy.asarray(cotangent, "float64")], outputs, x.shape[1])[0][0]


def test_equal_largest_elements_share_the_gradient():
    found = row_gradient(reduce.amax, [[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]], [2.0, 5.0])
    assert found.tolist() == [[0.0, 1.0, 1.0], [5.0, 0.0, 0.0]]


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_gradient_of_a_product_with_zeros(zeros):
    x = numpy.array([[2.0, -1.5, 3.0, 0.5]])
    x[:, :zeros] = 0.0
    others = [float(numpy.prod(numpy.delete(x[0], i))) for i in range(4)]
    assert row_gradient(reduce.prod, x, [1.0])[0].tolist() == pytest.approx(others)
    gradient = reduce.prod.declaration.gradient((True,), (FLOAT64,), (FLOAT64,), "float64")
    second = gradient.operation.declaration
    u = numpy.array([[1.0, -2.0, 0.5, 4.0]])
    found, _, _ = analytic(second, [numpy.ones(1), x], [u], evaluate(second, [numpy.ones(1), x]), 4)
    pairs = [
        sum(u[0, i] * numpy.prod(numpy.delete(x[0], [i, j])) for i in range(4) if i != j) for j in range(4)
    ]
    assert found[1][0].tolist() == pytest.approx(pairs)


def test_norms_are_zero_at_the_origin():
    for operation in (reduce.norm_two, reduce.norm_one, reduce.norm_p, reduce.std):
        assert row_gradient(operation, [[0.0, 0.0]], [1.0]).tolist() == [[0.0, 0.0]]


def test_what_has_no_gradient_says_so():
    with pytest.raises(AutogradError, match="heaviside: has no gradient"):
        elementwise.heaviside.declaration.gradient((True, True))
    assert elementwise.eq.declaration.gradient((True, True)) is None
    assert reduce.argmax.declaration.gradient((True,)) is None
    assert elementwise.floor.declaration.gradient((True,)).zero


def test_gradients_read_only_what_they_need():
    def read(operation):
        return operation.declaration.gradient(operation.declaration.needs_gradient).operands

    assert read(elementwise.exp) == (("grad", 0), ("output", 0))
    assert read(elementwise.sin) == (("grad", 0), ("input", 0))
    assert read(elementwise.mul) == (("grad", 0), ("input", 0), ("input", 1))
    assert elementwise.mul.declaration.gradient((True, False)).operands == (("grad", 0), ("input", 1))
    assert elementwise.add.declaration.gradient((True, True)) == (None, (), (0, 0), (-1, -1), False)
    assert reduce.sum.declaration.gradient((True,)).through == (0,)
    assert read(normalise.softmax) == (("grad", 0), ("output", 0))


def test_gradient_outputs_have_the_dtypes_of_the_operands():
    gradient = elementwise.mul.declaration.gradient((True, True), (8, 9), (9,), "float64")
    program = gradient.operation.declaration.trace((9, 8, 9), *gradient.operation.declaration.fixed)
    assert [value.dtype for value in program.outputs] == ["float32", "float64"]
    assert elementwise.mul.declaration.gradient((True, True), (5, 8), (8,), "float32").result == (-1, 0)


def test_deep_programs_do_not_recurse():
    x = Value("input", (), "float32", 0)
    y = x
    for _ in range(5000):
        y = y * 1.5 + 0.25
    grad = Value("input", (), "float32", 1)
    (found,) = differentiate.cotangents((y,), (grad,), (x,))
    assert found.op == "mul"


def test_a_row_value_collects_its_cotangent_over_the_row():
    x = Value("input", (), "float64", 0)
    mean = scalar.reduce_mean(x)
    (found,) = differentiate.cotangents((scalar.reduce_sum(x + mean),), (scalar.constant(1.0, x),), (mean,))
    assert found.level is ROW
