"""Gradients of every declaration against central differences in float64, under random cotangents, to second order."""

import math

import numpy
import pytest
from gradient_check import FLOAT64, analytic, check, evaluate, operands

from flambeau.compiler import declare, differentiate, scalar
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
    pairs = [sum(u[0, i] * numpy.prod(numpy.delete(x[0], [i, j])) for i in range(4) if i != j) for j in range(4)]
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
