"""Module: registration, walking, state dictionaries, hooks, copies, errors."""

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import flambeau as fl
from flambeau import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.act = nn.ReLU()
        self.fc2 = nn.Linear(4, 2)
        self.register_buffer("scale", fl.ones(2))
        self.register_buffer("cache", fl.zeros(1), persistent=False)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x))) * self.scale


def test_members_are_registered_in_order():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert [name for name, _ in net.named_buffers()] == ["scale", "cache"]
    assert [name for name, _ in net.named_children()] == ["fc1", "act", "fc2"]
    assert [name for name, _ in net.named_modules()] == ["", "fc1", "act", "fc2"]
    assert list(net.state_dict()) == ["scale", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert "fc1" in dir(net) and "scale" in dir(net)


def test_attribute_is_the_registered_member_whichever_way_it_changes():
    net = Net()
    assert net.fc1 is net._modules["fc1"]
    new = nn.Linear(3, 4)
    net.fc1 = new
    assert net._modules["fc1"] is new and net.fc1 is new
    other = nn.Linear(3, 4)
    net._modules["fc1"] = other
    assert net.fc1 is other
    weight = nn.Parameter(fl.zeros(4, 3))
    net.fc1._parameters["weight"] = weight
    assert net.fc1.weight is weight
    del net.fc1._parameters["weight"]
    assert not hasattr(net.fc1, "weight")
    net.fc1._parameters.update(weight=weight)
    assert net.fc1.weight is weight
    net.fc1._parameters = {"bias": weight}
    assert net.fc1.bias is weight and not hasattr(net.fc1, "weight")
    del net.scale
    assert "scale" not in net._buffers and not hasattr(net, "scale")


def test_assignment_moves_a_name_between_kinds():
    module = nn.Module()
    module.x = 3
    module.x = nn.Parameter(fl.ones(1))
    assert "x" in module._parameters
    module.x = None
    assert module.x is None and "x" in module._parameters
    del module.x
    module.x = nn.ReLU()
    assert list(module._modules) == ["x"] and "x" not in module._parameters
    module.b = nn.Buffer(fl.ones(2), persistent=False)
    assert "b" in module._buffers and not module.state_dict()
    module.b = fl.zeros(2)
    assert module._buffers["b"] is module.b


def test_wrong_assignments():
    module = Net()
    with pytest.raises(TypeError, match=r"cannot assign .* as parameter 'weight'"):
        module.fc1.weight = fl.ones(4, 3)
    with pytest.raises(TypeError, match="as child module 'fc1'"):
        module.fc1 = 3
    with pytest.raises(TypeError, match="as buffer 'scale'"):
        module.scale = 3
    with pytest.raises(KeyError, match="contain"):
        module.register_buffer("a.b", fl.ones(1))
    with pytest.raises(KeyError, match="empty string"):
        module.register_parameter("", None)
    with pytest.raises(KeyError, match="already exists"):
        module.register_buffer("forward", fl.ones(1))
    with pytest.raises(ValueError, match="non-leaf"):
        module.register_parameter("p", _non_leaf())
    with pytest.raises(TypeError, match="not a Module subclass"):
        module.add_module("m", 3)
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def _non_leaf():
    class Result(nn.Parameter):
        grad_fn = "something"

    return Result(fl.ones(1))


def test_before_init():
    class Early(nn.Module):
        def __init__(self, value):
            self.value = value
            super().__init__()

    for value, message in (
        (nn.Parameter(fl.ones(1)), "cannot assign parameters before Module.__init__"),
        (nn.ReLU(), "cannot assign module before Module.__init__"),
        (nn.Buffer(fl.ones(1)), "cannot assign buffer before Module.__init__"),
    ):
        with pytest.raises(AttributeError, match=message):
            Early(value)


def test_forward_is_required_and_init_takes_no_arguments():
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        nn.Module(x=1)


def test_a_module_dies_with_its_last_reference():
    gc.disable()
    try:
        net = Net()
        reference = weakref.ref(net.fc1)
        del net
        assert reference() is None
    finally:
        gc.enable()


def test_paths():
    net = Net()
    assert net.get_submodule("fc1") is net.fc1
    assert net.get_submodule("") is net
    assert net.get_parameter("fc1.weight") is net.fc1.weight
    assert net.get_buffer("scale") is net.scale
    with pytest.raises(AttributeError, match="has no attribute `fc9`"):
        net.get_submodule("fc9.weight")
    with pytest.raises(AttributeError, match=r"is not an nn\.Module"):
        net.get_submodule("fc1.weight")
    with pytest.raises(AttributeError, match=r"is not an nn\.Parameter"):
        net.get_parameter("scale")
    net.set_submodule("act", nn.Tanh())
    assert isinstance(net.act, nn.Tanh)


def test_shared_members_are_walked_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(list(net.modules())) == 2
    assert len(net.state_dict()) == 4


def test_modes_conversion_and_gradients():
    net = Net()
    assert net.eval() is net and not net.fc1.training
    net.train()
    assert net.fc1.training
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)
    weight = net.fc1.weight
    net(fl.ones(1, 3)).sum().backward()
    net.double()
    assert net.fc1.weight is weight and weight.dtype == fl.float64 and weight.grad.dtype == fl.float64
    assert net.scale.dtype == fl.float64 and net.scale is net._buffers["scale"]
    net.to(fl.float32)
    assert net.fc2.bias.dtype == fl.float32 and weight.is_leaf and weight.requires_grad
    net.zero_grad(set_to_none=False)
    assert weight.grad.abs().sum().item() == 0
    net.zero_grad()
    assert weight.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    with pytest.raises(TypeError, match="floating point"):
        net.to(fl.int64)
    module = nn.Module()
    module.register_buffer("count", fl.tensor([1, 2]))
    assert module.to(fl.float64).count.dtype == fl.int64


def test_apply_visits_children_first():
    seen = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Linear", "Net"]


def test_load_state_dict():
    a, b = Net(), Net()
    assert str(b.load_state_dict(a.state_dict())) == "<All keys matched successfully>"
    assert all(bool((p == q).all()) for p, q in zip(a.parameters(), b.parameters()))
    assert a.state_dict()["fc1.weight"].requires_grad is False
    assert a.state_dict(keep_vars=True)["fc1.weight"] is a.fc1.weight
    state = a.state_dict()
    state["extra.weight"] = fl.ones(1)
    del state["fc2.bias"]
    state["fc1.weight"] = fl.ones(5, 3)
    with pytest.raises(RuntimeError) as error:
        b.load_state_dict(state)
    text = str(error.value)
    assert "Error(s) in loading state_dict for Net" in text
    assert 'Missing key(s) in state_dict: "fc2.bias"' in text
    assert 'Unexpected key(s) in state_dict: "extra.weight"' in text
    assert "size mismatch for fc1.weight" in text and "[5, 3]" in text and "[4, 3]" in text
    del state["fc1.weight"]
    missing, unexpected = b.load_state_dict(state, strict=False)
    assert missing == ["fc1.weight", "fc2.bias"] and unexpected == ["extra.weight"]
    with pytest.raises(TypeError, match="dict-like"):
        b.load_state_dict([1])


def test_load_state_dict_assign():
    a, b = Net(), Net()
    state = a.double().state_dict()
    b.load_state_dict(state, assign=True)
    assert b.fc1.weight.dtype == fl.float64 and isinstance(b.fc1.weight, nn.Parameter)
    assert next(b.parameters()) is b.fc1.weight


def test_override_points_extra_state_and_versions():
    class Layer(nn.Module):
        _version = 3

        def __init__(self):
            super().__init__()
            self.new = nn.Parameter(fl.zeros(2))
            self.note = "a"

        def get_extra_state(self):
            return {"note": self.note}

        def set_extra_state(self, state):
            self.note = state["note"]

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            self.loaded_version = local_metadata.get("version")
            if prefix + "old" in state_dict:
                state_dict[prefix + "new"] = state_dict.pop(prefix + "old")
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    net = nn.Sequential(Layer())
    net[0].note = "b"
    state = net.state_dict()
    assert state._metadata["0"] == {"version": 3} and state["0._extra_state"] == {"note": "b"}
    other = nn.Sequential(Layer())
    other.load_state_dict(state)
    assert other[0].note == "b" and other[0].loaded_version == 3
    old = OrderedDict({"0.old": fl.ones(2), "0._extra_state": {"note": "c"}})
    other.load_state_dict(old)
    assert other[0].new.tolist() == [1, 1] and other[0].loaded_version is None


def test_state_dict_hooks():
    net, log = Net(), []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("pre", prefix)))
    handle = net.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update(more=fl.ones(1)))
    assert "more" in net.state_dict() and log == [("pre", "")]
    handle.remove()
    state = net.state_dict()
    net.register_load_state_dict_pre_hook(lambda m, s, *rest: s.pop("old", None))
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    state["old"] = fl.ones(1)
    del state["scale"]
    net.load_state_dict(state)


def test_forward_hooks():
    net, log = nn.Linear(2, 2), []
    first = net.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    second = net.register_forward_hook(lambda m, args, out: out * 0)
    net.register_forward_hook(lambda m, args, kwargs, out: log.append((len(args), dict(kwargs))), with_kwargs=True)
    net.register_forward_hook(lambda m, args, out: log.append("first"), prepend=True)
    assert net(fl.zeros(1, 2)).abs().sum().item() == 0
    assert log == ["first", (1, {})]
    first.remove()
    second.remove()
    plain = net(fl.zeros(1, 2))
    assert fl.allclose(plain, net.bias.reshape(1, 2))
    with net.register_forward_pre_hook(lambda m, args, kwargs: ((fl.ones(1, 2),), {}), with_kwargs=True):
        assert not fl.allclose(net(fl.zeros(1, 2)), plain)
    assert fl.allclose(net(fl.zeros(1, 2)), plain)


def test_always_call_hooks_run_after_a_failure():
    class Bad(nn.Module):
        def forward(self, x):
            raise KeyError("x")

    module, log = Bad(), []
    module.register_forward_hook(lambda m, args, out: log.append(out), always_call=True)
    module.register_forward_hook(lambda m, args, out: log.append("never"))
    with pytest.raises(KeyError):
        module(1)
    assert log == [None]


def test_full_backward_hooks():
    net, seen = nn.Linear(2, 2), []
    net.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    net.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0], go[0])))
    x = fl.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    (grad_input, grad_output) = seen[0]
    assert grad_output.tolist() == [[2, 2]]
    assert fl.allclose(grad_input, fl.full((1, 2), 2.0) @ net.weight.detach())
    assert fl.allclose(x.grad, grad_input)
    net(fl.ones(1, 2)).sum().backward()
    assert len(seen) == 2 and seen[1][0] is None


def test_full_backward_hook_replaces_the_gradient():
    net = nn.Linear(2, 2)
    net.register_full_backward_hook(lambda m, gi, go: (fl.zeros(1, 2),))
    x = fl.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.abs().sum().item() == 0


def test_full_backward_hook_without_input_gradient():
    net, seen = nn.Linear(2, 2), []
    net.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)) and None)
    net(fl.ones(1, 2)).sum().backward()
    assert seen[0][0] == (None,) and seen[0][1][0].tolist() == [[1, 1]]


def test_global_hooks():
    from flambeau.nn import hooks

    log = []
    handles = [
        hooks.register_module_forward_pre_hook(lambda m, args: log.append("pre")),
        hooks.register_module_forward_hook(lambda m, args, out: log.append("post")),
        hooks.register_module_parameter_registration_hook(lambda m, name, p: log.append(name)),
    ]
    nn.ReLU()(fl.ones(1))
    nn.LayerNorm(2)
    for handle in handles:
        handle.remove()
    nn.ReLU()(fl.ones(1))
    assert log == ["pre", "post", "weight", "bias"]


def test_copies():
    net = Net()
    net.extra = {"a": [1]}
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.fc1.weight is other._modules["fc1"]._parameters["weight"]
        assert other.fc1.weight is not net.fc1.weight
        assert isinstance(other.fc1.weight, nn.Parameter) and other.fc1.weight.requires_grad
        assert fl.allclose(other(fl.ones(1, 3)), net(fl.ones(1, 3)))
        other.fc1 = nn.ReLU()
        assert other._modules["fc1"] is other.fc1 and isinstance(net.fc1, nn.Linear)
        assert other.extra == {"a": [1]} and other.extra is not net.extra
    shallow = copy.copy(net)
    assert shallow.fc1 is net.fc1
    shallow.fc1 = nn.ReLU()
    assert isinstance(net.fc1, nn.Linear)


def test_deepcopy_keeps_ties():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    other = copy.deepcopy(net)
    assert other[1].weight is other[0].weight


def test_custom_getstate():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(1, 1)
            self.cache = object()

        def __getstate__(self):
            state = self.__dict__.copy()
            state["cache"] = None
            return state

    module = Cached()
    other = copy.deepcopy(module)
    assert other.cache is None and other.fc is other._modules["fc"] and other.fc is not module.fc
    other.fc = nn.ReLU()
    assert isinstance(other._modules["fc"], nn.ReLU)


def test_repr():
    net = nn.Sequential(OrderedDict(fc=nn.Linear(2, 3), block=nn.Sequential(nn.ReLU(), nn.Dropout(0.1))))
    assert repr(net) == (
        "Sequential(\n  (fc): Linear(in_features=2, out_features=3, bias=True)\n  (block): Sequential(\n"
        "    (0): ReLU()\n    (1): Dropout(p=0.1, inplace=False)\n  )\n)"
    )
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()])
    assert repr(layers) == (
        "ModuleList(\n  (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)\n  (2): ReLU()\n)"
    )


def test_errors_name_the_module():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(10, 2)

        def forward(self, x):
            return self.fc1(x)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([Block(), Block()])

        def forward(self, x):
            return self.layers[1](x)

    with pytest.raises(fl.ShapeError) as error:
        Model()(fl.zeros(3, 7))
    assert str(error.value).endswith("in Model.layers.1.fc1 (Linear)")
    assert str(error.value).count(" ... in ") == 1


def test_foreign_errors_get_a_note():
    class Bad(nn.Module):
        def forward(self, x):
            raise KeyError("some key")

    with pytest.raises(KeyError) as error:
        nn.Sequential(nn.ReLU(), Bad())(fl.ones(1))
    assert error.value.args == ("some key",)
    assert error.value.__notes__ == ["in Sequential.1 (Bad)"]


def test_a_program_may_replace_forward_and_functions(monkeypatch):
    layer = nn.Linear(2, 2)
    layer.forward = lambda x: "mine"
    assert layer(1) == "mine"
    monkeypatch.setattr(nn.functional, "linear", lambda *args: "patched")
    assert nn.Linear(2, 2)(1) == "patched"
    seen = []
    monkeypatch.setattr(nn.init, "uniform_", lambda tensor, *args: seen.append(args))
    nn.Linear(2, 2)
    assert len(seen) == 2
