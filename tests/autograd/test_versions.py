"""Version counters: a value that backward needs is never silently one that was changed since."""

from __future__ import annotations

import re

import pytest

import flambeau as fl


def leaf(*numbers: float) -> fl.Tensor:
    return fl.tensor([float(n) for n in numbers], requires_grad=True)


def test_the_error_names_the_operation_the_shape_and_the_line_that_changed_it():
    x = leaf(1, 2)
    y = x * 1
    z = y * y
    y.add_(1)  # this line
    with pytest.raises(fl.AutogradError) as error:
        z.sum().backward()
    text = str(error.value)
    with open(__file__) as file:
        line = next(i for i, t in enumerate(file, 1) if t.endswith("# this line\n"))
    assert "MulBackward" in text and "(2,)" in text and "inplace" in text and "clone()" in text
    assert re.search(rf"test_versions\.py:{line}\b", text), text


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.add_(1),
        lambda y: y.__setitem__(0, 5.0),
        lambda y: y.__setitem__([0], 5.0),
        lambda y: y[0].zero_(),
        lambda y: y.view(2, 1).mul_(2),
        lambda y: y.detach().mul_(2),
        lambda y: y.copy_(fl.ones(2)),
        lambda y: y.zero_(),
        lambda y: y.normal_(),
        lambda y: y.masked_fill_(y > 0, 0.0),
        lambda y: y.index_add_(0, fl.tensor([0]), fl.ones(1)),
        lambda y: fl.add(fl.ones(2), 1, out=y.detach()),
        lambda y: y.clamp_(min=5),
    ],
)
def test_every_way_to_write_is_noticed(change):
    x = leaf(1, 2)
    y = x * 1
    z = y.exp() * y
    change(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


@pytest.mark.parametrize(
    "operation",
    [
        lambda y: y * y, lambda y: y.sin(), lambda y: y**2, lambda y: y @ y, lambda y: 1 / y, lambda y: y.logsumexp(0),
        lambda y: fl.nn.functional.linear(y, fl.ones(3, 2, requires_grad=True)), lambda y: y.cumprod(0),
        lambda y: y.prod(), lambda y: y.var(), lambda y: y.log(), lambda y: fl.where(y > 1, y * y, y),
        lambda y: y.norm(),
    ],
)  # fmt: skip
def test_operations_that_keep_their_input_notice(operation):
    y = leaf(1, 2) * 1
    z = operation(y)
    y.mul_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "sqrt", "relu"])
def test_operations_that_keep_their_output_notice_that_one(name):
    x = leaf(1, 2)
    y = getattr(x * 1, name)()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize(
    "operation",
    [
        lambda y: y + 1,
        lambda y: -y,
        lambda y: y * 3,
        lambda y: y.sum(),
        lambda y: y.t(),
        lambda y: y.mean(),
        lambda y: y - y,
    ],
)
def test_operations_that_need_no_value_do_not_mind(operation):
    x = leaf(1, 2)
    y = x * 1
    z = operation(y)
    y.mul_(3)
    z.sum().backward()
    assert x.grad is not None


def test_a_change_before_use_is_fine():
    x = leaf(1, 2)
    y = x * 1
    y.mul_(3)
    (y * y).sum().backward()
    assert x.grad.tolist() == [18, 36]


def test_the_version_counts_writes_and_is_shared_by_views():
    x = fl.zeros(4)
    before = x._version
    v = x[1:]
    v.add_(1)
    x.mul_(2)
    with fl.no_grad():
        x.zero_()
    assert x._version == v._version == x.detach()._version == before + 3


def test_reading_changes_no_version():
    x = fl.ones(4)
    before = x._version
    x + 1, x.sum(), x[0], x.tolist(), x.numpy(), x.clone(), x[x > 0]
    assert x._version == before


def test_changing_an_unrelated_part_of_the_same_memory_is_refused_too():
    x = leaf(1, 2)
    memory = fl.zeros(4)
    memory[:2] = x.detach()
    z = x * memory[:2]
    memory[2:] = 5
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_an_optimizer_step_between_forward_and_backward_is_noticed():
    w = leaf(1, 2)
    y = w * w
    with fl.no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_numpy_array_changed_behind_the_tensors_back_cannot_be_noticed():
    a = fl.ones(2)
    x = leaf(1, 2)
    y = x * a
    a.numpy()[:] = 5
    y.sum().backward()
    assert x.grad.tolist() == [5, 5]
