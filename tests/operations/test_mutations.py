"""The gradient tests must notice a wrong gradient: each one is mutated, by sign or by one percent, and must fail."""

from __future__ import annotations

import numpy
import pytest

from flambeau import _core
from flambeau.compiler import scalar

from .cases import OPERATIONS, declare, operands
from .test_gradients import STEPS, check_gradient, generator


def like(kind, declaration):
    """A copy of a declaration as an object of the subclass `kind`."""
    made = kind.__new__(kind)
    for name in declare.Declaration.__slots__:
        if hasattr(declaration, name):
            setattr(made, name, getattr(declaration, name))
    made._gradients = {}
    return made


class MutatedProgram(declare.Declaration):
    """A gradient whose output number `at` is multiplied by `factor`."""

    __slots__ = ("at", "factor")

    def trace(self, operand_codes, output_codes, compute_name):
        program = super().trace(operand_codes, output_codes, compute_name)
        outputs = list(program.outputs)
        outputs[self.at] = scalar.cast(outputs[self.at] * self.factor, outputs[self.at].dtype)
        return declare.finish(program.name + "_mutated", program.kind, program.inputs, outputs)


class Mutant(declare.Declaration):
    """An operation whose gradient is mutated."""

    __slots__ = ("at", "factor")

    def gradient(self, needs, operand_codes=None, output_codes=None, compute_name=None):
        found = super().gradient(needs, operand_codes, output_codes, compute_name)
        if found is None or found.operation is None:
            return found
        changed = like(MutatedProgram, found.operation.declaration)
        changed.at, changed.factor = self.at, self.factor
        return found._replace(operation=_core.Operation(changed))


def outputs_of_gradient(declaration):
    """How many values the gradient computes; 0 where it is zero, or passes unchanged."""
    given, _ = operands(declaration, generator(declaration.name), (2, 3), "float64")
    from .cases import codes

    operand_codes, output_codes, compute = declaration.resolve(codes(given))
    if not declaration.differentiable:
        return 0
    found = declaration.gradient(declaration.needs_gradient, operand_codes, output_codes, compute)
    return 0 if found is None or found.operation is None else len(found.operation.declaration.outputs)


@pytest.mark.parametrize("name", OPERATIONS)
def test_mutation_is_noticed(name):
    declaration = declare.table[name]
    count = 0 if name in STEPS else outputs_of_gradient(declaration)
    if not count:
        pytest.skip("computes no gradient")
    sample = declaration.samples[-1] if declaration.samples else None
    mutations = [(at, factor) for at in range(count) for factor in (-1.0, 1.01)]
    at, factor = mutations[numpy.random.default_rng(sum(map(ord, name))).integers(len(mutations))]
    mutant = like(Mutant, declaration)
    mutant.at, mutant.factor = at, factor
    with pytest.raises(AssertionError):
        check_gradient(name, _core.Operation(mutant), sample)
