"""autograd.Function: what forward and backward may say to each other, and the mistakes that are caught."""

from __future__ import annotations

import math

import pytest

import flambeau as fl
from flambeau.autograd import Function, grad, gradcheck
from flambeau.autograd.function import once_differentiable


def leaf(*numbers: float) -> fl.Tensor:
    return fl.tensor([float(n) for n in numbers], dtype=fl.float64, requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 3 * x * x


class Exponential(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, gradient):
        (y,) = ctx.saved_tensors
        return gradient * y


def test_forward_runs_without_recording_and_backward_is_called():
    x = leaf(1, 2)
    y = Cube.apply(x)
    assert y.requires_grad and y.grad_fn.name() == "CubeBackward"
    y.sum().backward()
    assert x.grad.tolist() == [3, 12]


@pytest.mark.parametrize("function", [Cube, Exponential])
def test_saved_inputs_and_outputs_are_differentiable_again(function):
    assert gradcheck(function.apply, (leaf(0.5, -1.5),))
    assert fl.autograd.gradgradcheck(function.apply, (leaf(0.5, -1.5),))


def test_the_third_derivative_goes_through_a_saved_output():
    x = leaf(0.7)
    y = Exponential.apply(x)
    for _ in range(3):
        (y,) = grad(y.sum(), x, create_graph=True)
    assert y.item() == pytest.approx(math.exp(0.7))


def test_forward_without_gradients_leaves_no_graph():
    assert not Cube.apply(fl.ones(2)).requires_grad
    with fl.no_grad():
        assert not Cube.apply(leaf(1)).requires_grad


def test_other_arguments_pass_through_and_get_none():
    class Scale(Function):
        @staticmethod
        def forward(ctx, x, factor, name="none"):
            ctx.factor, ctx.name = factor, name
            return x * factor

        @staticmethod
        def backward(ctx, gradient):
            assert ctx.needs_input_grad == (True, False, False)[: len(ctx.needs_input_grad)]
            return gradient * ctx.factor, None, None

    x = leaf(1, 2)
    Scale.apply(x, 4.0, "four").sum().backward()
    assert x.grad.tolist() == [4, 4]


def test_none_as_gradient_counts_as_nothing():
    class Ignore(Function):
        @staticmethod
        def forward(ctx, x, w):
            return x * w

        @staticmethod
        def backward(ctx, gradient):
            return None, gradient

    x, w = leaf(1, 2), leaf(3, 4)
    Ignore.apply(x, w).sum().backward()
    assert x.grad is None and w.grad.tolist() == [1, 1]


def test_needs_input_grad_says_what_is_wanted():
    seen = []

    class Product(Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, gradient):
            seen.append(ctx.needs_input_grad)
            a, b = ctx.saved_tensors
            first, second = ctx.needs_input_grad
            return gradient * b if first else None, gradient * a if second else None

    x = leaf(2)
    Product.apply(x, fl.ones(1, dtype=fl.float64)).sum().backward()
    assert seen == [(True, False)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_gradients_is_an_error(count):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, gradient):
            return (gradient,) * count

    with pytest.raises(RuntimeError, match=rf"WrongBackward(.|\n)*expected 2, got {count}"):
        Wrong.apply(leaf(1), leaf(2)).sum().backward()


def test_a_gradient_of_the_wrong_shape_or_type_is_an_error():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, what):
            ctx.what = what
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return ctx.what, None

    with pytest.raises(RuntimeError, match=r"invalid gradient(.|\n)*\(3,\)(.|\n)*\(2,\)"):
        Wrong.apply(leaf(1, 2), fl.ones(3)).sum().backward()
    with pytest.raises((TypeError, RuntimeError)):
        Wrong.apply(leaf(1, 2), "text").sum().backward()


def test_several_outputs_get_zeros_or_none_where_nothing_flows():
    class Pair(Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, first, second):
            seen.append((first, second))
            return first * 2, None

    for materialize in (True, False):
        seen = []
        x = leaf(1, 2)
        Pair.apply(x, materialize)[0].sum().backward()
        assert x.grad.tolist() == [2, 2]
        assert seen[0][1].tolist() == [0, 0] if materialize else seen[0][1] is None


def test_non_differentiable_outputs_do_not_require_grad():
    class Sorted(Function):
        @staticmethod
        def forward(ctx, x):
            values, order = x.sort()
            counts = fl.ones(x.numel(), dtype=fl.float64)
            ctx.mark_non_differentiable(order, counts)
            ctx.save_for_backward(order)
            return values, order, counts

        @staticmethod
        def backward(ctx, gradient, *rest):
            (order,) = ctx.saved_tensors
            assert len(rest) == 2
            return fl.zeros_like(gradient).scatter_(0, order, gradient)

    x = leaf(3, 1, 2)
    values, order, counts = Sorted.apply(x)
    assert values.requires_grad and not order.requires_grad and not counts.requires_grad
    (values * fl.tensor([1.0, 10, 100], dtype=fl.float64)).sum().backward()
    assert x.grad.tolist() == [100, 1, 10]


def test_mark_dirty_records_a_change_in_place():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    x = leaf(1, 2)
    y = x * 5
    z = Double.apply(y)
    assert z is y and y.tolist() == [10, 20]
    y.sum().backward()
    assert x.grad.tolist() == [10, 10]
    with pytest.raises(RuntimeError, match="leaf"):
        Double.apply(leaf(1))


def test_mark_dirty_is_seen_by_earlier_users():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    x = leaf(1, 2)
    y = x * 5
    early = y * y
    Double.apply(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        early.sum().backward()


def test_an_input_returned_unchanged_is_a_new_tensor_of_the_function():
    class Identity(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 7

    x = leaf(1, 2)
    y = Identity.apply(x)
    assert y is not x and y.grad_fn.name() == "IdentityBackward" and x.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [7, 7]


def test_a_view_of_the_input_may_be_returned():
    class First(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.size = x.shape[0]
            return x[:1]

        @staticmethod
        def backward(ctx, gradient):
            return fl.cat([gradient * 7, fl.zeros(ctx.size - 1, dtype=gradient.dtype)])

    x = leaf(1, 2, 3)
    First.apply(x).sum().backward()
    assert x.grad.tolist() == [7, 0, 0]


def test_setup_context_separates_the_two():
    class Cubed(Function):
        @staticmethod
        def forward(x, scale):
            return x**3 * scale

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.scale = inputs
            assert output.shape == x.shape
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * gradient * ctx.scale, None

    x = leaf(1, 2)
    Cubed.apply(x, 2).sum().backward()
    assert x.grad.tolist() == [6, 24]


def test_once_differentiable_refuses_the_second_time():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            assert not fl.is_grad_enabled()
            return gradient * 2 * x

    x = leaf(1, 2)
    Square.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    (first,) = grad((Square.apply(x) * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_saved_tensors_are_freed_after_backward():
    x = leaf(1, 2)
    y = Cube.apply(x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"second time(.|\n)*retain_graph=True"):
        y.backward()


def test_a_saved_tensor_changed_in_place_is_an_error_naming_the_function():
    w = fl.ones(2, dtype=fl.float64)

    class Times(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(w)
            return x * w

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.saved_tensors[0]

    y = Times.apply(leaf(1, 2))
    w.add_(1)
    with pytest.raises(RuntimeError, match=r"TimesBackward(.|\n)*test_function\.py:\d+"):
        y.sum().backward()


def test_only_tensors_and_none_can_be_saved():
    class Save(Function):
        @staticmethod
        def forward(ctx, x, what):
            ctx.save_for_backward(x, what)
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            assert ctx.saved_tensors[1] is None
            return gradient, None

    Save.apply(leaf(1), None).sum().backward()
    with pytest.raises(TypeError, match="save_for_backward"):
        Save.apply(leaf(1), 5)


def test_exceptions_in_forward_and_backward_reach_the_caller():
    class Fail(Function):
        @staticmethod
        def forward(ctx, x, now):
            if now:
                raise KeyError("forward")
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            raise KeyError("backward")

    with pytest.raises(KeyError, match="forward"):
        Fail.apply(leaf(1), True)
    assert fl.is_grad_enabled()
    with pytest.raises(KeyError, match="backward"):
        Fail.apply(leaf(1), False).sum().backward()
    assert fl.is_grad_enabled()


def test_a_function_without_backward_says_so():
    class Half(Function):
        @staticmethod
        def forward(ctx, x):
            return x / 2

    with pytest.raises(NotImplementedError, match="backward"):
        Half.apply(leaf(1)).sum().backward()


def test_the_gradient_is_cast_to_the_inputs_dtype():
    class Widen(Function):
        @staticmethod
        def forward(ctx, x):
            return x.double()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    x = fl.ones(2, requires_grad=True)
    Widen.apply(x).sum().backward()
    assert x.grad.dtype is fl.float32


def test_backward_may_differentiate_something_of_its_own():
    class Inner(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            with fl.enable_grad():
                inner = x.detach().requires_grad_()
                y = inner.sin()
            return grad(y, inner, gradient)[0]

    x = leaf(0.5, 1)
    Inner.apply(x).sum().backward()
    assert x.grad.tolist() == pytest.approx([math.cos(0.5), math.cos(1)])
