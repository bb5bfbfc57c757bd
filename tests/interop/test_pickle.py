"""pickle, copy and deepcopy of tensors and parameters."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau as fl
from flambeau import nn

NAMES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_values_dtype_and_shape_survive_in_memory_of_their_own(name, duplicate):
    for shape in ((), (0, 3), (2, 3)):
        x = fl.arange(6)[: 6 if shape == (2, 3) else shape == ()].reshape(shape).to(getattr(fl, name))
        y = duplicate(x)
        assert y.dtype is x.dtype and y.shape == x.shape and y.tolist() == x.tolist()
        if x.numel():
            assert y.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol(protocol):
    x = fl.arange(6.0).reshape(2, 3).T
    assert pickle.loads(pickle.dumps(x, protocol)).tolist() == x.tolist()


def test_only_what_a_view_shows_is_kept():
    x = fl.zeros(100_000)
    assert len(pickle.dumps(x[:2])) < 1000


def test_leaves_keep_requires_grad_and_results_lose_their_history():
    x = fl.ones(2, requires_grad=True)
    assert pickle.loads(pickle.dumps(x)).requires_grad and copy.deepcopy(x).requires_grad
    assert copy.deepcopy(x).is_leaf
    with pytest.raises(RuntimeError, match=r"leaves|leaf"):
        copy.deepcopy(x * 2)


def test_deepcopy_takes_the_gradient_along():
    x = fl.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.grad.tolist() == [3, 3] and y.grad is not x.grad
    y.grad.zero_()
    assert x.grad.tolist() == [3, 3]


def test_one_tensor_in_two_places_stays_one():
    x = fl.ones(2)
    a, b = copy.deepcopy([x, x])
    assert a is b and a is not x
    c, d = pickle.loads(pickle.dumps([x, x]))
    assert c is d


def test_attributes_travel():
    x = fl.ones(2)
    x.note = {"a": [1]}
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.note == {"a": [1]} and y.note is not x.note


def test_copy_shares_memory():
    x = fl.ones(2)
    y = copy.copy(x)
    y[0] = 5
    assert x.tolist() == [5, 1] or y.data_ptr() != x.data_ptr()
    assert y is not x


class Special(nn.Parameter):
    pass


@pytest.mark.parametrize("cls", [nn.Parameter, Special])
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_subclasses_stay_what_they_are(cls, duplicate):
    p = cls(fl.arange(3.0))
    p.note = "kept"
    q = duplicate(p)
    assert type(q) is cls and q.tolist() == [0, 1, 2] and q.requires_grad == p.requires_grad and q.note == "kept"
    assert isinstance(q, fl.Tensor) and q.data_ptr() != p.data_ptr()


def test_a_parameter_is_the_same_object_wherever_the_core_hands_it_back():
    p = nn.Parameter(fl.ones(2))
    seen = []
    p.register_post_accumulate_grad_hook(lambda t: seen.append(t is p))
    (p * 2).sum().backward()
    assert seen == [True]
    assert type(p) is nn.Parameter and type(p * 2) is fl.Tensor and type(p.detach()) is fl.Tensor
    assert type(p.data) is fl.Tensor and type(p[0]) is fl.Tensor
    assert p.requires_grad_() is p and p.contiguous() is p and p.float() is p and p.to(fl.float32) is p
    with fl.no_grad():
        assert p.add_(1) is p


def test_the_class_can_be_given_to_isinstance_and_type_checks():
    assert isinstance(fl.ones(1), fl.Tensor) and fl.is_tensor(fl.ones(1)) and not fl.is_tensor([1])
    assert isinstance(nn.Parameter(fl.ones(1)), fl.Tensor) and not isinstance(fl.ones(1), nn.Parameter)


def test_devices_dtypes_and_sizes_survive_too():
    for value in (fl.float32, fl.device("cpu"), fl.Size([2, 3]), fl.zeros(2, 3).shape):
        assert pickle.loads(pickle.dumps(value)) == value and copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(fl.float32)) is fl.float32
