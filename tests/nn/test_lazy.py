"""Lazy layers: shapes from the first input or from a state dictionary; `SyncBatchNorm.convert_sync_batchnorm`."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau
from flambeau import nn


def network():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


def test_first_forward():
    model = network()
    assert tuple(model(flambeau.randn(2, 3, 8, 8)).shape) == (2, 3)
    assert [type(layer) for layer in model] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear]
    assert all(type(p) is nn.Parameter and p.requires_grad for p in model.parameters())
    assert model[4].in_features == 144 and model[0].in_channels == 3
    assert not model[4]._forward_pre_hooks
    model(flambeau.randn(2, 3, 8, 8)).sum().backward()
    assert model[0].weight.grad.any()


def test_identity_and_dtype_stay():
    layer = nn.LazyLinear(2).double()
    weight = layer.weight
    layer(flambeau.ones(1, 5, dtype=flambeau.float64))
    assert layer.weight is weight and weight.dtype is flambeau.float64 and tuple(weight.shape) == (2, 5)


def test_no_shape_before():
    layer = nn.LazyLinear(2)
    with pytest.raises(RuntimeError, match="uninitialized"):
        _ = layer.weight.shape
    assert layer.has_uninitialized_params()
    copied = copy.deepcopy(layer)
    assert copied.weight is not layer.weight
    assert tuple(copied(flambeau.ones(1, 4)).shape) == (1, 2)
    assert isinstance(pickle.loads(pickle.dumps(layer.weight)), nn.UninitializedParameter)


def test_state_dictionaries():
    first, second = network(), network()
    empty = first.state_dict()
    assert isinstance(empty["4.weight"], nn.UninitializedParameter)
    first.load_state_dict(second.state_dict())  # neither has shapes
    x = flambeau.randn(2, 3, 8, 8)
    first(x)
    second.load_state_dict(first.state_dict())
    for model in (first, second):
        model.eval()
    assert flambeau.equal(first(x), second(x))
    assert second[0].in_channels == 3 and second[1].num_features == 4


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_all_dimensions(dims):
    sizes = (5, 6, 7)[:dims]
    for name, channels in (("LazyConv", 4), ("LazyConvTranspose", 4)):
        layer = getattr(nn, f"{name}{dims}d")(4, 3, groups=2)
        assert layer(flambeau.randn(2, 6, *sizes)).shape[1] == channels
        assert layer.in_channels == 6
    for name in ("LazyBatchNorm", "LazyInstanceNorm"):
        layer = getattr(nn, f"{name}{dims}d")()
        assert tuple(layer(flambeau.randn(2, 6, *sizes)).shape) == (2, 6, *sizes) and layer.num_features == 6
    assert getattr(nn, f"LazyInstanceNorm{dims}d")()(flambeau.randn(6, *sizes)).shape[0] == 6


def test_lazy_modules_of_ones_own():
    class Scale(nn.modules.lazy.LazyModuleMixin, nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.UninitializedParameter()

        def initialize_parameters(self, x):
            self.factor.materialize((x.shape[-1],))
            nn.init.ones_(self.factor)

        def forward(self, x):
            return x * self.factor

    layer = Scale()
    assert layer(flambeau.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert type(layer) is Scale and not layer.has_uninitialized_params()


def test_convert_sync_batchnorm():
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.Sequential(nn.BatchNorm1d(3)))
    x = flambeau.randn(4, 2, 5)
    expected = model.eval()(x)
    weight = model[1][0].weight
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert isinstance(converted[1][0], nn.SyncBatchNorm) and converted[1][0].weight is weight
    assert flambeau.equal(converted(x), expected)


def test_paths_of_pytorch():
    from flambeau.nn.modules import batchnorm, conv, instancenorm, module

    assert isinstance(nn.BatchNorm2d(1), batchnorm._BatchNorm) and isinstance(nn.SyncBatchNorm(1), batchnorm._BatchNorm)
    assert isinstance(nn.InstanceNorm2d(1), instancenorm._InstanceNorm)
    assert isinstance(nn.Conv1d(1, 1, 1), conv._ConvNd)
    assert isinstance(nn.Linear(1, 1).load_state_dict(nn.Linear(1, 1).state_dict()), module._IncompatibleKeys)
