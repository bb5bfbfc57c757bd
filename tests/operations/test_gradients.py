"""First and second gradients of every declared operation, through the tape, against central differences in float64.

The cotangents are random: under a cotangent of ones every normalisation would pass with a gradient of zero.
"""

from __future__ import annotations

import numpy
import pytest

import flambeau

from .cases import (
    OPERATIONS,
    AutogradError,
    call,
    declare,
    differentiable_inputs,
    directional,
    gradients,
    operands,
    oracle,
    samples,
)  # fmt: skip

#: Step functions of a kind: their gradient is zero by declaration and differences across a step mean nothing.
STEPS = {"norm_zero", "count_nonzero"}
#: Outputs that are statistics for other uses and take no cotangent.
STATISTICS = {
    "batch_norm": (1, 2), "batch_norm_affine": (1, 2), "cross_entropy_weighted": (1,), "nll_loss_weighted": (1,),
}  # fmt: skip


def generator(name):
    return numpy.random.default_rng(1 + sum(map(ord, name)))


def cotangents_for(name, outputs, rng):
    """Random weights of the outputs that have a gradient."""
    constant = STATISTICS.get(name, ())
    found: list = []
    for k, output in enumerate(outputs):
        shape = tuple(output.shape)
        random = rng.uniform(-1.0, 1.0, shape)
        if output.is_complex():
            random = random + 1j * rng.uniform(-1.0, 1.0, shape)
        found.append(None if output.dtype.category < 2 or k in constant else random)
    return found


def check_gradient(name, op=None, sample=None):
    """Compare the tape's gradients of one operation with differences; False where it has none."""
    declaration = declare.table[name]
    rng = generator(name)
    shape = (3, 11) if declaration.kind == "map" else (3, 5)
    given, exact = operands(declaration, rng, shape, "float64", sample)
    wanted = differentiable_inputs(declaration, given)
    if not wanted or name in STEPS:
        return False
    outputs = call(name, [t.detach() if isinstance(t, flambeau.Tensor) else t for t in given])
    weights = cotangents_for(name, outputs, rng)
    cotangents = [None if w is None else flambeau.from_numpy(w) for w in weights]
    found = gradients(name, given, wanted, cotangents, op)
    if found is None:
        return False

    def evaluate(arrays):
        return oracle(declaration, given, arrays, shape)[0]

    for i, gradient in zip(wanted, found, strict=True):
        numeric = directional(declaration, evaluate, exact, i, weights)
        value = numpy.zeros(numeric.shape) if gradient is None else gradient.numpy()
        where = f"gradient of {name} by {declaration.operand_names[i]} {sample or ''}"
        scale = max(1.0, abs(numeric).max(initial=0))
        numpy.testing.assert_allclose(value, numeric, rtol=2e-6, atol=2e-8 * scale, err_msg=where)
    return True


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradient(name):
    declaration = declare.table[name]
    if not declaration.differentiable:
        given, _ = operands(declaration, generator(name), (2, 3), "float64")
        wanted = differentiable_inputs(declaration, given)
        if wanted:
            with pytest.raises(AutogradError):
                call(name, given)
        return
    checked = [check_gradient(name, sample=sample) for sample in samples(declaration)]
    if not any(checked):
        pytest.skip("has no gradient")


@pytest.mark.parametrize("name", OPERATIONS)
def test_second_gradient(name):
    declaration = declare.table[name]
    if not declaration.differentiable or name in STEPS:
        pytest.skip("has no gradient")
    rng = generator(name)
    shape = (2, 7) if declaration.kind == "map" else (2, 4)
    given, exact = operands(declaration, rng, shape, "float64", samples(declaration)[-1])
    wanted = differentiable_inputs(declaration, given)
    outputs = call(name, [t.detach() if isinstance(t, flambeau.Tensor) else t for t in given])
    weights = cotangents_for(name, outputs, rng)
    cotangents = [None if w is None else flambeau.from_numpy(w) for w in weights]
    if not wanted or (first := gradients(name, given, wanted, cotangents, create_graph=True)) is None:
        pytest.skip("has no gradient")
    directions = [rng.uniform(-1.0, 1.0, tuple(given[i].shape)) for i in wanted]
    pairs = zip(first, directions, strict=True)
    kept = [(g, flambeau.from_numpy(d)) for g, d in pairs if g is not None and g.requires_grad]
    if not kept:
        pytest.skip("the gradient is constant")
    second = flambeau.autograd.grad(
        [g for g, _ in kept], [given[i] for i in wanted], [d for _, d in kept], allow_unused=True
    )

    def evaluate(arrays):
        moved = []
        for i, (t, a) in enumerate(zip(given, arrays, strict=True)):
            moved.append(flambeau.from_numpy(numpy.array(a)).requires_grad_(True) if i in wanted else t)
        found = gradients(name, moved, wanted, cotangents)
        return [numpy.zeros(d.shape) if g is None else g.numpy() for g, d in zip(found, directions, strict=True)]

    for i, gradient in zip(wanted, second, strict=True):
        numeric = directional(declaration, evaluate, exact, i, directions)
        value = numpy.zeros(numeric.shape) if gradient is None else gradient.numpy()
        where = f"second gradient of {name} by {declaration.operand_names[i]}"
        scale = max(1.0, abs(numeric).max(initial=0))
        numpy.testing.assert_allclose(value, numeric, rtol=5e-6, atol=5e-8 * scale, err_msg=where)
