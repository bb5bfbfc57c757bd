"""Parametrised, normalised and pruned weights: values, training, state dictionaries, removal."""

from __future__ import annotations

import copy

import numpy
import pytest

import flambeau
from flambeau import nn
from flambeau.nn.utils import parametrizations, parametrize, prune


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, A):
        return A.triu()


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def test_register_train_and_remove():
    layer = nn.Linear(3, 3)
    weight = layer.weight
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert layer.parametrizations.weight.original is weight  # an optimizer made before still has it
    assert flambeau.equal(layer.weight, layer.weight.mT)
    assert sorted(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer(flambeau.ones(2, 3)).sum().backward()
    assert weight.grad.any()
    A = flambeau.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]])
    layer.weight = A
    assert flambeau.equal(layer.weight, A) and not weight.tril(-1).any()
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert flambeau.equal(layer.weight, 2 * A)
    with pytest.raises(RuntimeError, match="right_inverse"):
        layer.weight = A
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight is weight and flambeau.equal(layer.weight, 2 * A)
    assert list(layer._parameters) == ["bias", "weight"] and not hasattr(layer, "parametrizations")


def test_leave_the_original():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    original = layer.parametrizations.weight.original.detach().clone()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert flambeau.equal(layer.weight, original)


def test_copies_do_not_share():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    copied = copy.deepcopy(layer)
    assert type(copied) is not type(layer) and flambeau.equal(copied.weight, layer.weight)
    parametrize.remove_parametrizations(layer, "weight")
    assert parametrize.is_parametrized(copied, "weight") and copied.weight.requires_grad
    with pytest.raises(RuntimeError, match="state_dict"):
        import pickle

        pickle.dumps(copied)


def test_cached():
    calls = []

    class Counted(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x

    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Counted())
    calls.clear()
    with parametrize.cached():
        layer(flambeau.ones(1, 2)), layer(flambeau.ones(1, 2))
    assert len(calls) == 1
    layer(flambeau.ones(1, 2))
    assert len(calls) == 2


def test_transfer():
    source = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    target = parametrize.transfer_parametrizations_and_params(source, nn.Linear(2, 2))
    assert flambeau.equal(source.weight, target.weight)


def test_errors():
    layer = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="does not have a parameter"):
        parametrize.register_parametrization(layer, "scale", Doubled())

    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten()

    with pytest.raises(ValueError, match="may not change"):
        parametrize.register_parametrization(layer, "weight", Flat())
    assert type(layer) is nn.Linear and "weight" in layer._parameters
    with pytest.raises(ValueError, match="does not have a parametrization"):
        parametrize.remove_parametrizations(layer, "weight")


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim):
    flambeau.manual_seed(0)
    layer = nn.Linear(4, 3)
    before = layer.weight.detach().clone()
    new, old = copy.deepcopy(layer), copy.deepcopy(layer)
    parametrizations.weight_norm(new, dim=dim)
    nn.utils.weight_norm(old, dim=dim)
    x = flambeau.randn(2, 4)
    for module, keys in ((new, ("parametrizations.weight.original0", "parametrizations.weight.original1")),
                         (old, ("weight_g", "weight_v"))):  # fmt: skip
        numpy.testing.assert_allclose(module.weight.detach().numpy(), before.numpy(), rtol=1e-6)
        state = module.state_dict()
        assert set(state) == {"bias", *keys}
        assert tuple(state[keys[0]].shape) == {0: (3, 1), 1: (1, 4), None: ()}[dim]
        module(x).sum().backward()
    numpy.testing.assert_allclose(
        new.parametrizations.weight.original0.grad.numpy(), old.weight_g.grad.numpy(), rtol=1e-5
    )
    new.load_state_dict(old.state_dict())  # the older names
    nn.utils.remove_weight_norm(old)
    assert sorted(old.state_dict()) == ["bias", "weight"]
    with pytest.raises(ValueError, match="not found"):
        nn.utils.remove_weight_norm(old)


def test_weight_norm_follows_its_parts():
    layer = nn.utils.weight_norm(nn.Linear(2, 2))
    with flambeau.no_grad():
        layer.weight_g.fill_(3.0)
    layer(flambeau.ones(1, 2))
    numpy.testing.assert_allclose(flambeau.linalg.vector_norm(layer.weight, dim=1).detach().numpy(), 3.0, rtol=1e-6)
    with pytest.raises(RuntimeError, match="two weight_norm"):
        nn.utils.weight_norm(layer)


@pytest.mark.parametrize("form", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_spectral_norm(form):
    flambeau.manual_seed(0)
    layer = form(nn.Conv2d(3, 4, 2), n_power_iterations=3)
    x = flambeau.randn(1, 3, 4, 4)
    for _ in range(30):
        loss = layer(x).sum() - layer(2 * x).sum()  # two forwards before one backward
    loss.backward()
    sizes = numpy.linalg.svd(layer.weight.detach().reshape(4, -1).numpy(), compute_uv=False)
    assert sizes[0] == pytest.approx(1.0, rel=1e-3)
    layer.eval()
    assert flambeau.equal(layer(x), layer(x))
    transposed = form(nn.ConvTranspose1d(2, 5, 3))
    vector = transposed.weight_u if hasattr(transposed, "weight_u") else transposed.parametrizations.weight[0]._u
    assert vector.shape[0] == 5


def test_remove_spectral_norm():
    layer = nn.utils.spectral_norm(nn.Linear(3, 2))
    layer(flambeau.ones(1, 3))
    layer.eval()
    expected = layer(flambeau.ones(1, 3))
    nn.utils.remove_spectral_norm(layer)
    assert flambeau.equal(layer(flambeau.ones(1, 3)), expected) and sorted(layer.state_dict()) == ["bias", "weight"]


def test_l1_unstructured():
    layer = nn.Linear(4, 1)
    layer.weight.data = flambeau.tensor([[3.0, -1.0, 0.5, -2.0]])
    prune.l1_unstructured(layer, "weight", 1)
    assert layer.weight.tolist() == [[3.0, -1.0, 0.0, -2.0]]
    prune.l1_unstructured(layer, "weight", amount=0.34)  # a third of what is left
    assert layer.weight.tolist() == [[3.0, 0.0, 0.0, -2.0]]
    assert sorted(layer.state_dict()) == ["bias", "weight_mask", "weight_orig"] and prune.is_pruned(layer)
    assert len(layer._forward_pre_hooks) == 1
    layer(flambeau.ones(1, 4)).sum().backward()
    assert layer.weight_orig.grad.tolist() == [[1.0, 0.0, 0.0, 1.0]]
    prune.remove(layer, "weight")
    assert layer.weight.tolist() == [[3.0, 0.0, 0.0, -2.0]] and not prune.is_pruned(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_structured_and_global_pruning():
    layer = nn.Linear(2, 3)
    layer.weight.data = flambeau.tensor([[1.0, 1.0], [0.1, 0.1], [5.0, 0.0]])
    prune.ln_structured(layer, "weight", 1, n=2, dim=0)
    assert layer.weight_mask.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    prune.random_structured(layer, "weight", 1, dim=0)
    assert layer.weight_mask.sum().item() == 2.0
    pair = [nn.Linear(2, 2), nn.Linear(2, 2)]
    pair[0].weight.data, pair[1].weight.data = flambeau.full((2, 2), 0.1), flambeau.full((2, 2), 2.0)
    prune.global_unstructured([(each, "weight") for each in pair], prune.L1Unstructured, amount=0.5)
    assert [each.weight_mask.sum().item() for each in pair] == [0.0, 4.0]


def test_prune_errors():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="amount"):
        prune.l1_unstructured(layer, "weight", 1.5)
    with pytest.raises(ValueError, match="smaller than"):
        prune.l1_unstructured(layer, "weight", 5)
    with pytest.raises(TypeError, match="int or float"):
        prune.l1_unstructured(layer, "weight", "half")
    assert "weight" in layer._parameters  # nothing was changed
    with pytest.raises(ValueError, match="has to be pruned"):
        prune.remove(layer, "weight")


def test_skip_init():
    flambeau.manual_seed(0)
    before = flambeau.get_rng_state()
    layer = nn.utils.skip_init(nn.Linear, 2, 3, dtype=flambeau.float64)
    assert layer.weight.dtype is flambeau.float64 and flambeau.equal(before, flambeau.get_rng_state())
    with pytest.raises(RuntimeError, match="Module"):
        nn.utils.skip_init(dict)
    with pytest.raises(ValueError, match="device"):
        nn.utils.skip_init(nn.ReLU)
