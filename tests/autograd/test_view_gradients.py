"""Gradients through views, and through changes in place of views and their bases."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl
from flambeau.autograd import gradcheck, gradgradcheck

VIEWS = {
    "view": lambda x: x.view(4, 3),
    "reshape of a copy": lambda x: x.transpose(0, 1).reshape(4, 3),
    "flatten": lambda x: x.flatten(),
    "permute": lambda x: x.permute(1, 0),
    "transpose": lambda x: x.transpose(0, 1),
    "T": lambda x: x.T,
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.unsqueeze(0).squeeze(0),
    "select": lambda x: x.select(1, 2),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "slice": lambda x: x[::2, 1::2],
    "empty slice": lambda x: x[1:1],
    "expand": lambda x: x.unsqueeze(0).expand(2, 3, 4),
    "expand in place": lambda x: x[:, :1].expand(3, 5),
    "diagonal": lambda x: x.diagonal(1),
    "as_strided": lambda x: x.as_strided((2, 2), (4, 2), 1),
    "as_strided with overlap": lambda x: x.as_strided((3, 3), (2, 1)),
    "as_strided of overlapping elements": lambda x: x.expand(2, 3, 4).as_strided((3, 3), (2, 1)),
    "as_strided of windows": lambda x: x.flatten().unfold(0, 5, 2).as_strided((2, 3), (1, 4), 1),
    "unfold": lambda x: x.unfold(1, 3, 1),
    "unbind": lambda x: x.unbind(1)[2],
    "split": lambda x: x.split([1, 3], 1)[1],
    "chunk": lambda x: x.chunk(2)[0],
    "movedim": lambda x: x.movedim(0, 1),
    "None and Ellipsis": lambda x: x[None, ..., 1],
    "integer array": lambda x: x[[0, 0, 2], [1, 1, 3]],
    "mask": lambda x: x[fl.tensor([True, False, True])],
    "contiguous": lambda x: x.T.contiguous(),
    "unflatten": lambda x: x.unflatten(1, (2, 2)),
    "squeeze of all": lambda x: x[:1].squeeze(),
}


def matrix() -> fl.Tensor:
    return fl.tensor(np.linspace(-1, 1, 12).reshape(3, 4), requires_grad=True)


@pytest.mark.parametrize("name", VIEWS)
def test_the_gradient_goes_back_to_the_elements_that_were_seen(name):
    look = VIEWS[name]
    x = matrix()
    y = look(x)
    weights = fl.arange(1.0, y.numel() + 1, dtype=fl.float64).reshape(y.shape)
    y.backward(weights)
    places = look(fl.arange(12.0, dtype=fl.float64).reshape(3, 4)).long().numpy().reshape(-1)
    expected = np.zeros(12)
    np.add.at(expected, places, weights.numpy().reshape(-1))
    np.testing.assert_array_equal(x.grad.numpy(), expected.reshape(3, 4))


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_differentiable_twice(name):
    look = VIEWS[name]
    if look(matrix()).numel():
        assert gradcheck(lambda x: look(x) ** 2, (matrix(),))
        assert gradgradcheck(lambda x: look(x) ** 3, (matrix(),))


def test_a_look_beyond_a_leaf_has_no_gradient_there():
    memory = fl.arange(20.0)
    x = memory[5:15].requires_grad_(True)
    expected = {0: [], 2: [0], 4: [0, 1, 2], 10: [5, 6, 7, 8], 14: [9], 16: []}
    for offset, places in expected.items():
        y = x.as_strided((2, 2), (1, 2), offset)
        assert y.tolist() == [[offset, offset + 2], [offset + 1, offset + 3]]
        gradient = fl.autograd.grad(y.sum(), x)[0]
        assert gradient.tolist() == [float(i in places) for i in range(10)]
    assert memory.tolist() == list(range(20))


def test_strides_whose_product_overflows_are_refused():
    with pytest.raises(RuntimeError, match="beyond the storage"):
        fl.zeros(4).as_strided((3, 3), (2**62, 2**62))


def test_the_gradient_of_a_split_joins_the_parts():
    x = matrix()
    a, _b, c = x.split([1, 1, 2], 1)
    (a.sum() + 10 * c.sum()).backward()
    assert x.grad.tolist() == [[1, 0, 10, 10]] * 3


# Programs that change views and bases in place: a program takes the library and a leaf and returns a result.
def _write_through_a_view(lib, x):
    y = x * 2
    y[0].mul_(x[1])
    return y * y


def _write_the_base_then_use_an_old_view(lib, x):
    y = x * 2
    v = y[1]
    y.mul_(x)
    return v * v


def _write_one_view_use_another(lib, x):
    y = x.sin()
    a, b = y[:2], y.T[1:3]
    a.mul_(x[:2])
    return b * b


def _write_a_view_of_a_view(lib, x):
    y = x + 1
    y.T[1:][:, 1].mul_(x[1, 1:])
    return y**2


def _write_several_times(lib, x):
    y = x * 1
    v = y[:, 1]
    v.mul_(2)
    y.add_(x)
    v.mul_(x[:, 2])
    y[0] = x[2] * 3
    return y * v.sum()


def _fill_and_zero(lib, x):
    y = x * 3
    y[0].zero_()
    y[1, 1] = 5.0
    y[:, 3].fill_(2)
    return y * x


def _fill_a_buffer_without_gradient(lib, x):
    out = lib.zeros(3, 4, dtype=lib.float64)
    for i in range(3):
        out[i] = x[i] * (i + 1)
    return out * out


def _copy_into_a_slice(lib, x):
    y = x * 1
    y[:, :2].copy_(x[:, 2:] ** 2)
    return y.sum(1)


def _copy_that_broadcasts(lib, x):
    y = x * 1
    y[1:] = x[0] * x[0]
    return y


def _scatter_in_place(lib, x):
    y = x * 2
    y.scatter_(1, lib.tensor([[0], [2], [3]]), x[:, 1:2] ** 2)
    return y * y


def _index_put_in_place(lib, x):
    y = x * 2
    y[[0, 2], [1, 3]] = x[1, :2] * 7
    return y * y


def _index_put_of_a_view(lib, x):
    y = x * 2
    y.T[[0, 2]] = x[:, :2].T * 7
    return y * y


def _mask_in_place(lib, x):
    y = x * 2
    y[y > 0.3] = 0.5
    y[y < -1] *= 3
    return y * x


def _masked_fill(lib, x):
    y = x * 2
    y.masked_fill_(x > 0.2, 1.5)
    return y * y


def _index_add(lib, x):
    y = x * 2
    y.index_add_(0, lib.tensor([0, 0, 2]), x**2)
    return y * y


def _functions_of_the_result(lib, x):
    y = x * 1
    y.mul_(x + 2)
    y.add_(x.exp(), alpha=3)
    y.sub_(0.5)
    y.div_(x + 4)
    return y.tanh_() * 2


def _add_the_view_to_its_base(lib, x):
    y = x * 1
    y[0] += y[1]
    y += y.sum(0)
    return y * y


def _squeeze_then_write(lib, x):
    y = (x * 1).unsqueeze(0)
    y.squeeze(0).mul_(x)
    return y**2


def _diagonal(lib, x):
    y = x * 1
    y.diagonal().mul_(x[0, :3])
    return y * y


def _unbind(lib, x):
    y = x * 1
    rows = [y[i] for i in range(3)]
    rows[0].add_(rows[1])
    rows[2].sub_(rows[0], alpha=2)
    return y * y


def _detached_view(lib, x):
    y = x * 2
    y.detach()[0] = 1.0
    return y + x


def _a_view_made_in_no_grad(lib, x):
    y = x * 2
    with lib.no_grad():
        total = y[0] * 10
    return y * total


def _lerp_and_addcmul(lib, x):
    y = x * 1
    y[1].lerp_(x[0], 0.3)
    y[2].addcmul_(x[0], x[1], value=2.0)
    return y * y


def _loop_of_a_recurrence(lib, x):
    h = lib.zeros(4, dtype=lib.float64)
    for i in range(3):
        h = (h + x[i]).tanh() * 1
        h[0] *= 2
    return h


IN_PLACE = [
    value
    for name, value in globals().items()
    if name.startswith("_") and callable(value) and "lib" in getattr(value, "__code__", value).co_varnames[:1]
]


@pytest.mark.parametrize("program", IN_PLACE, ids=lambda p: p.__name__.strip("_"))
def test_changes_in_place_have_pytorchs_values_and_gradients(program):
    torch = pytest.importorskip("torch")

    def run(lib):
        values = np.linspace(-1, 1.1, 12).reshape(3, 4)
        x = lib.tensor(values.tolist(), dtype=lib.float64, requires_grad=True)
        result = program(lib, x)
        weights = lib.arange(1.0, result.numel() + 1, dtype=lib.float64).reshape(result.shape)
        ((result * weights).sum()).backward()
        return result.detach().numpy(), x.grad.numpy()

    for ours, theirs in zip(run(fl), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("program", IN_PLACE, ids=lambda p: p.__name__.strip("_"))
def test_changes_in_place_have_the_gradient_of_finite_differences(program):
    if program is _detached_view:
        pytest.skip("the write has no history, so the gradient is not that of the value")
    if program is _a_view_made_in_no_grad:
        pytest.skip("a factor without history")
    x = fl.tensor(np.linspace(-1, 1.1, 12).reshape(3, 4), requires_grad=True)
    assert gradcheck(lambda x: program(fl, x), (x,))


@pytest.mark.parametrize(
    "program",
    [
        _write_through_a_view,
        _write_the_base_then_use_an_old_view,
        _write_several_times,
        _index_put_in_place,
        _fill_a_buffer_without_gradient,
    ],
    ids=lambda p: p.__name__.strip("_"),
)
def test_changes_in_place_are_differentiable_twice(program):
    x = fl.tensor(np.linspace(-1, 1.1, 12).reshape(3, 4), requires_grad=True)
    assert gradgradcheck(lambda x: program(fl, x), (x,))


def test_the_old_value_that_an_in_place_operation_keeps_has_its_history():
    x = fl.tensor([1.0, 2.0], dtype=fl.float64, requires_grad=True)
    y = x * 2
    y.mul_(x)  # y = 2 x^2
    (first,) = fl.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = fl.autograd.grad(first.sum(), x)
    assert first.tolist() == [4, 8] and second.tolist() == [4, 4]


@pytest.mark.parametrize(
    "change", [lambda y: y.mul_(y), lambda y: y[0].mul_(y[1]), lambda y: y[0].mul_(y[0]), lambda y: y.mul_(y.T)]
)
def test_an_operand_that_is_changed_itself_gives_the_right_gradient_or_an_error(change):
    y = fl.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=fl.float64, requires_grad=True)
    try:
        z = y * 1
        change(z)
        z.sum().backward()
    except RuntimeError as error:
        assert "inplace" in str(error) or "memory" in str(error)
    else:
        assert gradcheck(lambda x: _changed(x * 1, change), (y,))


def _changed(y, change):
    change(y)
    return y


def test_a_buffer_starts_to_require_grad_when_something_that_does_is_written_into_it():
    x = fl.ones(2, requires_grad=True)
    out = fl.zeros(4)
    view = out[1:]
    assert not view.requires_grad
    out[:2] = x * 3
    assert out.requires_grad and not out.is_leaf and view.requires_grad
    view.sum().backward()
    assert x.grad.tolist() == [0, 3]


def test_the_value_before_a_change_keeps_its_own_gradient():
    x = fl.ones(2, requires_grad=True)
    y = x * 2
    early = y.sum()
    y.mul_(10)
    early.backward()
    assert x.grad.tolist() == [2, 2]


def test_in_place_on_a_result_that_is_a_broadcast_is_refused():
    x = fl.ones(2, requires_grad=True)
    y = (x * 1).expand(3, 2)
    with pytest.raises(RuntimeError, match="single memory location"):
        y.add_(1)


def test_in_place_that_would_change_the_shape_is_refused():
    x = fl.ones(2, requires_grad=True) * 1
    with pytest.raises(RuntimeError, match=r"shape|broadcast"):
        x.add_(fl.ones(3, 2))
    assert x.shape == (2,)


def test_in_place_that_would_lose_the_dtype_is_refused():
    with pytest.raises(RuntimeError, match=r"int64|cast"):
        fl.ones(2, dtype=fl.int64).add_(0.5)
    with pytest.raises(RuntimeError, match=r"int64|cast"):
        fl.ones(2, dtype=fl.int64).div_(2)
    assert fl.ones(2).add_(fl.ones(2, dtype=fl.float64)).dtype is fl.float32
