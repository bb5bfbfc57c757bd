"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from collections import OrderedDict

import pytest

import flambeau as fl
from flambeau import nn


def test_sequential():
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a, b, c)
    assert len(net) == 3 and net[0] is a and net[-1] is c and list(net) == [a, b, c]
    assert isinstance(net[:2], nn.Sequential) and list(net[1:]) == [b, c]
    net[1] = nn.GELU()
    assert isinstance(net[1], nn.GELU)
    del net[0]
    assert list(net._modules) == ["0", "1"] and net[1] is c and net.get_submodule("1") is c
    net.append(a).insert(0, b)
    assert net[0] is b and net[-1] is a
    assert net.pop(0) is b and len(net) == 3
    assert len(net + net) == 6 and len(net * 2) == 6
    net.extend([a])
    assert len(net) == 4
    named = nn.Sequential(OrderedDict(first=a, second=b))
    assert named.first is a and list(named._modules) == ["first", "second"]
    with pytest.raises(IndexError):
        named[2]
    assert len(nn.Sequential()) == 0 and nn.Sequential()(3) == 3


def test_module_list():
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    assert len(layers) == 3 and layers[-1] is layers[2] and len(layers[:2]) == 2
    assert [n for n, _ in layers.named_parameters()][:2] == ["0.weight", "0.bias"]
    layers.append(nn.ReLU())
    layers += [nn.Tanh()]
    layers.insert(0, nn.Sigmoid())
    assert isinstance(layers[0], nn.Sigmoid) and isinstance(layers[5], nn.Tanh)
    del layers[0]
    assert list(layers._modules) == ["0", "1", "2", "3", "4"]
    assert isinstance(layers.pop(-1), nn.Tanh) and len(layers) == 4
    layers[0] = nn.GELU()
    assert isinstance(layers[0], nn.GELU)
    assert len(layers + layers) == 8
    with pytest.raises(TypeError):
        layers.extend(3)
    with pytest.raises(IndexError):
        layers[9]
    with pytest.raises(NotImplementedError):
        layers(1)


def test_module_dict():
    modules = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    assert list(modules) == ["a", "b"] and "a" in modules and len(modules) == 2
    modules["c"] = nn.Linear(1, 1)
    modules.update([("d", nn.GELU())])
    assert [name for name, _ in modules.items()] == ["a", "b", "c", "d"]
    assert isinstance(modules.pop("a"), nn.ReLU) and "a" not in modules
    del modules["b"]
    assert list(modules.keys()) == ["c", "d"] and list(modules.state_dict()) == ["c.weight", "c.bias"]
    modules.clear()
    assert not len(modules)
    with pytest.raises(ValueError, match="length 3"):
        modules.update([(1, 2, 3)])


def test_parameter_list():
    values = nn.ParameterList([fl.ones(2), nn.Parameter(fl.zeros(1)), "text"])
    assert isinstance(values[0], nn.Parameter) and values[2] == "text" and len(values) == 3
    assert [name for name, _ in values.named_parameters()] == ["0", "1"]
    values.append(fl.ones(3))
    values[0] = fl.zeros(2)
    assert values[0].tolist() == [0, 0] and len(list(values)) == 4 and len(values[1:3]) == 2
    assert "Parameter containing" in repr(values)
    with pytest.raises(TypeError):
        values.extend(fl.ones(2))
    with pytest.raises(RuntimeError):
        values()


def test_parameter_dict():
    values = nn.ParameterDict({"a": fl.ones(2)})
    values["b"] = nn.Parameter(fl.zeros(1))
    assert list(values) == ["a", "b"] and "a" in values and isinstance(values["a"], nn.Parameter)
    assert list(values.state_dict()) == ["a", "b"]
    values.update(c=1) if False else values.update({"c": fl.ones(1)})
    assert values.get("z") is None and values.setdefault("d", fl.ones(1)) is values["d"]
    assert values.popitem()[0] == "d" and values.pop("c").tolist() == [1]
    del values["a"]
    assert list(values.keys()) == ["b"] and len(values | {"x": fl.ones(1)}) == 2
    with pytest.raises(TypeError):
        values[3] = fl.ones(1)
    with pytest.raises(KeyError):
        values["nothing"]
