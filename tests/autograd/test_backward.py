"""backward: what lands in .grad, what is kept for a second pass, and the calls that are refused."""

from __future__ import annotations

import pytest

import flambeau as fl


def leaf(*numbers: float) -> fl.Tensor:
    return fl.tensor([float(n) for n in numbers], requires_grad=True)


def test_gradients_add_up_over_calls():
    x = leaf(1, 2)
    (x * 3).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [5, 7] and x.grad is first, "the same tensor is added to"


def test_gradients_add_up_over_several_uses():
    x = leaf(1, 2)
    y = x + x
    (y * x + x).sum().backward()
    assert x.grad.tolist() == [5, 9]


def test_setting_grad_to_none_starts_again():
    x = leaf(1)
    x.sum().backward()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2]


def test_grad_accepts_only_a_tensor_of_the_same_shape_and_dtype():
    x = leaf(1, 2)
    x.grad = fl.ones(2)
    x.sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises((RuntimeError, TypeError)):
        x.grad = fl.ones(3)
    with pytest.raises((RuntimeError, TypeError)):
        x.grad = fl.ones(2, dtype=fl.float64)
    with pytest.raises(TypeError):
        x.grad = 3.0


def test_accumulating_does_not_reach_into_the_callers_gradient():
    x = leaf(1, 2)
    given = fl.ones(2)
    x.backward(given)
    (x * 1).backward(given)
    assert given.tolist() == [1, 1] and x.grad.tolist() == [2, 2]


def test_two_leaves_never_share_one_gradient():
    x, y = leaf(1), leaf(2)
    (x + y).backward(fl.ones(1))
    x.grad.add_(5)
    assert y.grad.tolist() == [1]


def test_only_leaves_that_require_grad_get_one():
    x, constant = leaf(1, 2), fl.ones(2)
    y = x * constant
    z = y.sum()
    z.backward()
    assert constant.grad is None and y.grad is None and z.grad is None
    assert x.is_leaf and constant.is_leaf and not y.is_leaf
    assert x.grad_fn is None and y.grad_fn is not None and "Mul" in y.grad_fn.name()


def test_a_second_backward_is_an_error_that_says_what_to_do():
    x = leaf(1, 2)
    y = x.exp().sum()
    y.backward()
    with pytest.raises(fl.AutogradError, match=r"second time(.|\n)*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == fl.exp(fl.tensor([1.0, 2.0])).tolist(), "the refused pass added nothing"


def test_retain_graph_allows_a_second_backward():
    x = leaf(1, 2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError):
        y.backward()


def test_a_freed_part_of_a_shared_graph_is_noticed():
    x = leaf(1, 2)
    shared = x.exp()
    shared.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        (shared * 2).sum().backward()


@pytest.mark.parametrize("operation", [lambda x: x + 2, lambda x: -x, lambda x: x.view(2, 1), lambda x: x.mean(0)])
def test_operations_that_saved_nothing_may_be_walked_twice(operation):
    x = leaf(1, 2)
    y = operation(x)
    y.sum().backward()
    first = x.grad.tolist()
    y.sum().backward()
    assert x.grad.tolist() == [2 * g for g in first]


def test_backward_of_more_than_one_element_needs_a_gradient():
    x = leaf(1, 2)
    with pytest.raises(fl.AutogradError, match=r"scalar(.|\n)*\(2,\)"):
        (x * 2).backward()
    (x * 2).backward(fl.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    x.grad = None
    (x[:1] * 2).backward()
    assert x.grad.tolist() == [2, 0], "one element counts as a scalar whatever its shape"


def test_the_gradient_given_must_fit():
    y = leaf(1, 2) * 2
    with pytest.raises(RuntimeError, match=r"\(3,\)(.|\n)*\(2,\)|\(2,\)(.|\n)*\(3,\)"):
        y.backward(fl.ones(3))
    with pytest.raises(TypeError):
        y.backward(1.0)


def test_backward_without_a_graph_is_an_error():
    with pytest.raises(fl.AutogradError, match="does not require grad"):
        fl.ones(1).backward()
    with fl.no_grad():
        y = leaf(1) * 2
    with pytest.raises(fl.AutogradError, match="no_grad"):
        y.backward()


def test_backward_of_a_leaf_gives_it_the_gradient():
    x = fl.tensor(2.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1


def test_inputs_limits_where_gradients_go():
    x, w = leaf(1, 2), leaf(3, 4)
    y = x * w
    y.sum().backward(inputs=[w], retain_graph=True)
    assert x.grad is None and w.grad.tolist() == [1, 2]
    y.sum().backward(inputs=x)
    assert x.grad.tolist() == [3, 4] and w.grad.tolist() == [1, 2]
    with pytest.raises(RuntimeError):
        (x * 2).sum().backward(inputs=[])


def test_inputs_may_be_inside_the_graph():
    x = leaf(1, 2)
    y = x * 2
    (y * y).sum().backward(inputs=[y])
    assert y.grad.tolist() == [4, 8] and x.grad is None


def test_backward_of_several_roots_walks_the_graph_once():
    x = leaf(1, 2)
    y = x * x
    fl.autograd.backward([y.sum(), (y * 2).sum()])
    assert x.grad.tolist() == [6, 12]
    x.grad = None
    fl.autograd.backward([x * 2, x * 3], [fl.ones(2), fl.tensor([1.0, 2.0])])
    assert x.grad.tolist() == [5, 8]
    with pytest.raises(RuntimeError):
        fl.autograd.backward([x * 2, x * 3], [fl.ones(2)])


def test_the_gradient_has_the_dtype_of_its_leaf():
    x = fl.ones(2, dtype=fl.float16, requires_grad=True)
    w = fl.ones(2, dtype=fl.float64, requires_grad=True)
    y = x * w
    assert y.dtype is fl.float64
    y.sum().backward()
    assert x.grad.dtype is fl.float16 and w.grad.dtype is fl.float64


def test_the_gradient_of_a_broadcast_operand_is_summed():
    x, w = fl.ones(3, 4, requires_grad=True), fl.ones(4, requires_grad=True)
    s = fl.tensor(2.0, requires_grad=True)
    (x * w * s).sum().backward()
    assert w.grad.tolist() == [6] * 4 and s.grad.item() == 12 and s.grad.shape == ()


def test_a_gradient_is_computed_for_a_tensor_of_no_elements():
    x = fl.zeros(0, 3, requires_grad=True)
    (x.exp() * 2).sum().backward()
    assert x.grad.shape == (0, 3)


def test_only_floating_tensors_can_require_gradients():
    for make in (lambda: fl.ones(2, dtype=fl.int64, requires_grad=True), lambda: fl.ones(2).long().requires_grad_()):
        with pytest.raises(RuntimeError, match="floating"):
            make()


def test_requires_grad_can_be_set_on_leaves_only():
    x = fl.ones(2)
    assert x.requires_grad_() is x and x.requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad
    y = x.requires_grad_() * 2
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad = False
    y.requires_grad = True


def test_detach_shares_memory_and_forgets_history():
    x = leaf(1, 2)
    y = (x * 2).detach()
    assert not y.requires_grad and y.is_leaf and y.grad_fn is None
    (x * y).sum().backward()
    assert x.grad.tolist() == [2, 4]
    z = x.detach()
    z[0] = 9
    assert x.tolist() == [9, 2]


def test_data_is_the_elements_without_history():
    x = leaf(1, 2)
    x.data.mul_(10)
    assert x.tolist() == [10, 20] and x.requires_grad and x.is_leaf and not x.data.requires_grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [20, 40]
    x.data = fl.tensor([5.0, 6.0, 7.0])
    assert x.tolist() == [5, 6, 7] and x.requires_grad and x.is_leaf


def test_changing_data_after_it_was_saved_is_caught_where_pytorch_gives_a_wrong_gradient():
    x = leaf(1, 2)
    y = (x * x).sum()
    x.data.mul_(10)
    with pytest.raises(fl.AutogradError, match="modified by an inplace operation"):
        y.backward()


def test_detach_in_place_cuts_the_graph():
    x = leaf(1, 2)
    y = x * 2
    assert y.detach_() is y
    assert not y.requires_grad and y.is_leaf
    with pytest.raises(RuntimeError, match="view"):
        (x * 2)[0].detach_()


def test_an_integer_result_has_no_gradient():
    x = leaf(1, 2)
    assert not x.argmax().requires_grad and not (x > 1).requires_grad and not x.long().requires_grad


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.add_(1),
        lambda x: x.zero_(),
        lambda x: x.fill_(2),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: x.__setitem__([0], 1.0),
        lambda x: x[0].mul_(2),
        lambda x: x.copy_(fl.ones(2)),
        lambda x: x.relu_(),
        lambda x: x.normal_(),
        lambda x: x.uniform_(),
        lambda x: x.clamp_(0, 1),
        lambda x: x.index_add_(0, fl.tensor([0]), fl.ones(1)),
        lambda x: x.masked_fill_(x > 1, 0.0),
        lambda x: x.scatter_(0, fl.tensor([0]), 5.0),
        lambda x: x.view(2, 1).squeeze(1).exp_(),
        lambda x: fl.add(x, 1, out=x),
    ],
)
def test_in_place_on_a_leaf_is_refused(change):
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match=r"leaf|out="):
        change(x)
    assert x.tolist() == [1, 2]
    with fl.no_grad():
        x.add_(1)
    assert x.tolist() == [2, 3]


def test_backward_can_be_called_within_a_hook():
    inner = leaf(1, 2)

    def hook(gradient):
        assert not fl.is_grad_enabled()
        with fl.enable_grad():
            (inner * inner).sum().backward()
        return gradient * 2

    x = leaf(3)
    y = x * 5
    y.register_hook(hook)
    y.sum().backward()
    assert x.grad.tolist() == [10] and inner.grad.tolist() == [2, 4]


def test_the_same_graph_can_be_walked_within_its_own_backward():
    x = leaf(3)
    y = x * x
    loss = (y + y).sum()
    seen = []

    def hook(gradient):
        if not seen:
            seen.append(None)
            seen.append(fl.autograd.grad(loss, x, retain_graph=True)[0].item())

    y.register_hook(hook)
    loss.backward()
    assert seen == [None, 12] and x.grad.tolist() == [12]
