"""Hooks on tensors, nodes and accumulation, and retain_grad."""

from __future__ import annotations

import pytest

import flambeau as fl


def leaf(*numbers: float) -> fl.Tensor:
    return fl.tensor([float(n) for n in numbers], requires_grad=True)


def test_a_tensor_hook_sees_the_gradient():
    x = leaf(1, 2)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: seen.append(g.tolist()))
    (y * y).sum().backward()
    assert seen == [[6, 12], [18, 36]]


def test_a_hook_may_replace_the_gradient():
    x = leaf(1, 2)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert x.grad.tolist() == [31, 31]


def test_hooks_run_in_order_and_each_sees_the_last_result():
    x = leaf(1)
    x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g + 3)
    x.sum().backward()
    assert x.grad.tolist() == [5]


def test_a_removed_hook_is_not_called():
    x = leaf(1)
    y = x * 2
    calls = []
    handles = [t.register_hook(lambda g: calls.append(1)) for t in (x, y)]
    handles[0].remove()
    handles[1].remove()
    handles[1].remove()
    y.sum().backward()
    assert not calls
    with x.register_hook(lambda g: calls.append(2)):
        x.sum().backward()
    x.sum().backward()
    assert calls == [2]


def test_the_hook_sees_the_sum_over_all_uses_once():
    x = leaf(1)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y + y * 3 + y).sum().backward()
    assert seen == [5]


def test_hooks_run_in_autograd_grad_too():
    x = leaf(1)
    y = x * 2
    y.register_hook(lambda g: g * 5)
    assert fl.autograd.grad(y.sum(), x)[0].tolist() == [10]
    x.register_hook(lambda g: g * 7)
    assert fl.autograd.grad((x * 2).sum(), x)[0].tolist() == [14]


def test_hooks_need_a_tensor_that_requires_grad():
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        fl.ones(1).register_hook(print)


def test_an_exception_in_a_hook_reaches_the_caller_and_the_graph_lives():
    x = leaf(1)
    y = x.exp()

    def fail(gradient):
        raise ZeroDivisionError("from the hook")

    handle = x.register_hook(fail)
    with pytest.raises(ZeroDivisionError, match="from the hook"):
        y.sum().backward(retain_graph=True)
    assert x.grad is None
    handle.remove()
    y.sum().backward()
    assert x.grad.item() == pytest.approx(2.718282)


def test_a_hook_that_returns_something_else_than_a_tensor_is_an_error():
    x = leaf(1)
    x.register_hook(lambda g: 5)
    with pytest.raises(TypeError):
        x.sum().backward()


def test_a_hook_of_a_tensor_changed_in_place_belongs_to_the_new_value_only_if_registered_after():
    x = leaf(1, 2)
    y = x * 1
    seen = []
    y.register_hook(lambda g: seen.append(("before", g.tolist())))
    y.mul_(3)
    y.register_hook(lambda g: seen.append(("after", g.tolist())))
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert ("after", [1, 1]) in seen and ("before", [3, 3]) in seen


def test_post_accumulate_hooks_run_after_the_gradient_arrived():
    x = leaf(1, 2)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.tolist())))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert seen == [(True, [2, 2]), (True, [4, 4])]


def test_post_accumulate_hooks_can_step_and_clear():
    x = leaf(1, 2)

    def step(t):
        with fl.no_grad():
            t -= 0.5 * t.grad
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert x.tolist() == [0, 1] and x.grad is None


def test_post_accumulate_hooks_are_for_leaves():
    with pytest.raises(RuntimeError, match="leaf"):
        (leaf(1) * 2).register_post_accumulate_grad_hook(print)


def test_node_hooks_see_and_replace_the_gradients_of_inputs():
    x, w = leaf(2), leaf(3)
    y = x * w
    seen = []

    def hook(inputs, outputs):
        seen.append(([g.item() for g in inputs], [g.item() for g in outputs]))
        return (inputs[0] * 10, inputs[1])

    handle = y.grad_fn.register_hook(hook)
    y.sum().backward()
    assert seen == [([3], [1])] or seen == [([3, 2], [1])]
    assert x.grad.tolist() == [30] and w.grad.tolist() == [2]
    handle.remove()


def test_node_prehooks_replace_the_gradients_of_outputs():
    x = leaf(2)
    y = x * 3
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 10,))
    y.sum().backward()
    assert x.grad.tolist() == [30]


def test_the_graph_can_be_walked():
    x, w = leaf(2), leaf(3)
    y = (x * w).sum()
    (product, number), *_ = y.grad_fn.next_functions
    assert number == 0 and "Mul" in product.name()
    names = [edge[0].name() for edge in product.next_functions]
    assert len(names) == 2 and all("AccumulateGrad" in name for name in names)
    assert product.next_functions[0][0].variable is x
    assert y.grad_fn is y.grad_fn and "Sum" in repr(y.grad_fn)


def test_retain_grad_keeps_the_gradient_of_a_result():
    x = leaf(1, 2)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    (y * y).sum().backward(retain_graph=True)
    assert y.grad.tolist() == [6, 12]
    x.retain_grad()
    assert not x.retains_grad, "a leaf has its gradient anyway"
    with pytest.raises(RuntimeError, match="requires_grad"):
        fl.ones(1).retain_grad()


def test_retain_grad_sees_what_the_hooks_made_of_it():
    x = leaf(1)
    y = x * 3
    y.register_hook(lambda g: g * 7)
    y.retain_grad()
    y.sum().backward()
    assert y.grad.tolist() == [7] and x.grad.tolist() == [21]


def test_retain_grad_of_a_tensor_that_is_gone_harms_nothing():
    x = leaf(1)
    y = x * 3
    y.retain_grad()
    z = y * 2
    del y
    z.sum().backward()
    assert x.grad.tolist() == [6]
