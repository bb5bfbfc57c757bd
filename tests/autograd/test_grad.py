"""autograd.grad: gradients handed back instead of stored, and gradients of gradients."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.autograd import grad


def leaf(*numbers: float) -> fl.Tensor:
    return fl.tensor(list(numbers), dtype=fl.float64, requires_grad=True)


def test_grad_returns_a_tuple_and_stores_nothing():
    x, w = leaf(1, 2), leaf(3, 4)
    found = grad((x * w).sum(), [x, w])
    assert isinstance(found, tuple) and [g.tolist() for g in found] == [[3, 4], [1, 2]]
    assert x.grad is None and w.grad is None
    (alone,) = grad((x * 2).sum(), x)
    assert alone.tolist() == [2, 2] and not alone.requires_grad


def test_grad_reaches_tensors_inside_the_graph():
    x = leaf(1, 2)
    y = x * 3
    z = (y * y).sum()
    dy, dx = grad(z, (y, x))
    assert dy.tolist() == [6, 12] and dx.tolist() == [18, 36]


def test_grad_of_a_tensor_by_itself_is_one():
    x = fl.tensor(3.0, requires_grad=True)
    assert grad(x, x)[0].item() == 1
    y = x * 2
    assert grad(y, y)[0].item() == 1


def test_an_unused_input_is_an_error_none_or_zeros():
    x, unused = leaf(1, 2), leaf(3)
    with pytest.raises(fl.AutogradError, match="allow_unused=True"):
        grad((x * 2).sum(), [x, unused])
    dx, nothing = grad((x * 2).sum(), [x, unused], allow_unused=True)
    assert dx.tolist() == [2, 2] and nothing is None
    _, zeros = grad((x * 2).sum(), [x, unused], allow_unused=True, materialize_grads=True)
    assert zeros.tolist() == [0] and zeros.dtype is fl.float64
    _, zeros = grad((x * 2).sum(), [x, unused], materialize_grads=True)
    assert zeros.tolist() == [0]


def test_materialize_grads_contradicts_allow_unused_false():
    x = leaf(1, 2)
    with pytest.raises(ValueError, match="allow_unused"):
        grad(x.sum(), x, allow_unused=False, materialize_grads=True)


def test_an_input_that_needs_no_gradient_is_an_error():
    x = leaf(1, 2)
    with pytest.raises(fl.AutogradError, match="does not require grad"):
        grad((x * 2).sum(), fl.ones(2))


def test_grad_outputs_are_the_cotangents():
    x = leaf(1, 2)
    (found,) = grad(x * x, x, fl.tensor([1.0, 10.0], dtype=fl.float64))
    assert found.tolist() == [2, 40]
    (found,) = grad([x * x, (x * 3).sum()], x, [fl.ones(2, dtype=fl.float64), None])
    assert found.tolist() == [5, 7]
    with pytest.raises(RuntimeError, match="shape"):
        grad(x * x, x, fl.ones(3, dtype=fl.float64))


def test_is_grads_batched_computes_rows_of_the_jacobian():
    x = leaf(1, 2, 3)
    (rows,) = grad(x * x, x, fl.eye(3, dtype=fl.float64), is_grads_batched=True)
    assert rows.tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]


def test_grad_frees_the_graph_unless_told_otherwise():
    x = leaf(1, 2)
    y = x.exp().sum()
    grad(y, x, retain_graph=True)
    grad(y, x)
    with pytest.raises(RuntimeError, match="second time"):
        grad(y, x)


def test_third_order_derivatives():
    x = leaf(0.3, -1.2)
    y = (x**4).sum()
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x, create_graph=True)
    (fourth,) = grad(third.sum(), x)
    v = x.detach()
    for found, expected in ((first, 4 * v**3), (second, 12 * v**2), (third, 24 * v), (fourth, 24 + 0 * v)):
        assert fl.allclose(found.detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["sin", "exp", "tanh", "sigmoid", "log1p", "sqrt"])
def test_derivatives_to_the_third_order_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")

    def derivatives(library):
        x = library.tensor([0.3, 0.9, 1.7], dtype=library.float64, requires_grad=True)
        y, found = getattr(library, name)(x), []
        weights = library.tensor([1.0, -2.0, 0.5], dtype=library.float64)
        for _ in range(3):
            (y,) = library.autograd.grad((y * weights).sum(), x, create_graph=True)
            found.append(y.tolist())
        return found

    for ours, theirs in zip(derivatives(fl), derivatives(torch), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-10)


def test_second_derivatives_of_softmax_matmul_and_indexing_agree_with_pytorch():
    torch = pytest.importorskip("torch")

    def run(library):
        tensor = library.tensor
        x = tensor([[0.1, -0.4, 1.2], [0.7, 0.2, -0.3]], dtype=library.float64, requires_grad=True)
        w = tensor([[0.5, -1.0], [0.25, 2.0], [-0.75, 0.3]], dtype=library.float64, requires_grad=True)
        y = (library.softmax(x @ w, 1)[:, [0]] * x[:, 1:]).pow(2).sum()
        dx, dw = library.autograd.grad(y, (x, w), create_graph=True)
        penalty = (dx * dx).sum() + (dw**3).sum()
        penalty.backward()
        return x.grad.flatten().tolist() + w.grad.flatten().tolist()

    assert run(fl) == pytest.approx(run(torch), rel=1e-9)


def test_create_graph_stores_gradients_that_can_be_differentiated():
    x = leaf(2)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.tolist() == [12]
    (second,) = grad(x.grad.sum(), x)
    assert second.tolist() == [12]
    x.grad = None


def test_without_create_graph_the_gradient_has_no_history():
    x = leaf(2)
    (first,) = grad((x**3).sum(), x)
    assert not first.requires_grad
    with pytest.raises(RuntimeError):
        grad(first.sum(), x)


def test_create_graph_keeps_the_graph():
    x = leaf(2)
    y = (x**3).sum()
    grad(y, x, create_graph=True)
    assert grad(y, x)[0].tolist() == [12]


def test_a_gradient_penalty_trains_through_the_gradient():
    w, x = leaf(1.5), leaf(0.7)
    y = (w * x * x).sum()
    (dx,) = grad(y, x, create_graph=True)
    ((dx - 1) ** 2).sum().backward()
    expected = 2 * (2 * 1.5 * 0.7 - 1) * 2 * 0.7
    assert w.grad.item() == pytest.approx(expected)
