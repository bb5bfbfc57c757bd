"""gradcheck and gradgradcheck: true for right gradients, and able to see every kind of wrong one."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.autograd import Function, gradcheck, gradgradcheck


def inputs(*sizes: int) -> fl.Tensor:
    generator = fl.Generator().manual_seed(4)
    return fl.rand(*sizes, generator=generator, dtype=fl.float64).requires_grad_()


def with_gradient(forward, backward):
    """An operation whose backward is whatever is asked for."""

    class Custom(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, gradient):
            return backward(ctx.saved_tensors[0], gradient)

    return Custom.apply


@pytest.mark.parametrize("fast_mode", [False, True])
def test_right_gradients_pass(fast_mode):
    x, w = inputs(2, 3), inputs(3, 2)
    assert gradcheck(lambda a, b: (a @ b).tanh(), (x, w), fast_mode=fast_mode)
    assert gradcheck(lambda a: (a.sin(), a.sum(0)), x, fast_mode=fast_mode)
    assert gradgradcheck(lambda a: a.exp() * a, x)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, g: g * 2 * x * 1.01,
        lambda x, g: -g * 2 * x,
        lambda x, g: g.sum() * 2 * x,
        lambda x, g: (g * 2 * x).flip(0),
        lambda x, g: None,
        lambda x, g: g * 2 * x + fl.nan,
        lambda x, g: g * 2 * x + fl.inf,
    ],
)
@pytest.mark.parametrize("fast_mode", [False, True])
def test_wrong_gradients_are_seen(wrong, fast_mode):
    square = with_gradient(lambda x: x * x, wrong)
    x = inputs(3)
    with pytest.raises(RuntimeError, match="gradcheck"):
        gradcheck(square, (x,), fast_mode=fast_mode)
    assert gradcheck(square, (x,), fast_mode=fast_mode, raise_exception=False) is False


def test_a_wrong_second_gradient_is_seen_though_the_first_is_right():
    square = with_gradient(lambda x: x * x, lambda x, g: g * 2 * x.detach())
    assert gradcheck(square, (inputs(3),))
    assert not gradgradcheck(square, (inputs(3),), raise_exception=False)


def test_the_error_names_output_input_and_both_numbers():
    double = with_gradient(lambda x: x * 2, lambda x, g: g * 3)
    with pytest.raises(RuntimeError, match=r"output 0(.|\n)*input 0(.|\n)*3(.|\n)*2"):
        gradcheck(double, (inputs(2),))


def test_only_inputs_that_require_grad_are_checked_and_one_must():
    constant = fl.ones(3, dtype=fl.float64)
    assert gradcheck(lambda x, c, n: x * c * n, (inputs(3), constant, 2))
    with pytest.raises(ValueError, match="requires_grad"):
        gradcheck(lambda c: c * 2, (constant,))


def test_inputs_are_as_they_were_afterwards():
    x = inputs(3)
    before = x.tolist()
    gradcheck(lambda a: a**2, (x,))
    assert x.tolist() == before and x.grad is None


def test_inputs_that_are_views_can_be_checked():
    x = inputs(3, 4).detach().T[1:].requires_grad_()
    assert gradcheck(lambda a: a.exp(), (x,))


def test_forward_mode_and_batches_are_checked():
    x = fl.randn(3, dtype=fl.float64, requires_grad=True)
    y = fl.randn(3, dtype=fl.float64, requires_grad=True)
    options = {"check_forward_ad": True, "check_batched_grad": True}
    assert fl.autograd.gradcheck(lambda x, k, y: (x.sin() * y * k, x.cumsum(0)), (x, 2.0, y), **options)

    class Wrong(fl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            if fl._core.is_batched(gradient):
                return gradient * 3
            return gradient * 2

    assert fl.autograd.gradcheck(Wrong.apply, x)
    assert not fl.autograd.gradcheck(Wrong.apply, x, check_batched_grad=True, raise_exception=False)

    def reads(x):
        return x * 2 if x.sum().item() < 1e9 else x

    assert fl.autograd.gradcheck(reads, x, check_forward_ad=True)
    with pytest.raises(RuntimeError, match="cannot be taken in a batch"):
        fl.autograd.gradcheck(reads, x, check_batched_grad=True)
