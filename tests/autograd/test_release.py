"""Memory goes back when a graph does: after backward, without it, after errors, whatever the graph was made of."""

from __future__ import annotations

import contextlib
import gc

import pytest

import flambeau as fl
from flambeau import nn
from flambeau.autograd import Function


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2 * ctx.saved_tensors[0]


class KeepsOutput(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]


class Fails(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("backward")


def leaf() -> fl.Tensor:
    return fl.ones(5, requires_grad=True)


def plain():
    ((leaf() * 2).exp() + 1).sum().backward()


def never_walked():
    (leaf() * 2).exp().sum()


def retained():
    y = leaf().exp().sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)


def second_order():
    x = leaf()
    (g,) = fl.autograd.grad((x**3).sum(), x, create_graph=True)
    g.sum().backward()


def third_order_never_walked():
    x = leaf()
    y = x.tanh()
    for _ in range(3):
        (y,) = fl.autograd.grad(y.sum(), x, create_graph=True)


def functions():
    Square.apply(leaf()).sum().backward()
    KeepsOutput.apply(leaf()).sum().backward()


def functions_never_walked():
    Square.apply(leaf())
    KeepsOutput.apply(leaf())


def functions_second_order():
    x = leaf()
    (g,) = fl.autograd.grad(KeepsOutput.apply(Square.apply(x)).sum(), x, create_graph=True)
    g.sum().backward()


def error_in_backward():
    with contextlib.suppress(KeyError):
        Fails.apply(leaf() * 2).exp().sum().backward()


def error_in_a_hook():
    x = leaf()
    y = x * 2

    def fail(gradient):
        raise KeyError

    y.register_hook(fail)
    with contextlib.suppress(KeyError):
        y.exp().sum().backward()


def hooks():
    x = leaf()
    y = x * 2
    y.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g + 1)
    x.register_post_accumulate_grad_hook(lambda t: None)
    y.grad_fn.register_hook(lambda inputs, outputs: None)
    y.exp().sum().backward()


def hooks_never_called():
    y = leaf() * 2
    y.register_hook(lambda g: g * 2)
    y.retain_grad()


def retained_gradients():
    y = leaf() * 2
    y.retain_grad()
    y.exp().sum().backward()


def views_in_place():
    x = leaf()
    y = x * 1
    y[0] = 5.0
    y[1:].mul_(2)
    v = y.view(5, 1)
    y.add_(1)
    (v * v).sum().backward()


def views_in_place_never_walked():
    y = leaf() * 1
    y[1:].mul_(2)
    v = y[2:]
    y.add_(1)
    assert v.grad_fn is not None


def views_of_a_buffer():
    out = fl.zeros(10)
    out[:5] = leaf() * 2
    out[5:] = leaf()
    out.sum().backward()


def changed_after_it_was_saved():
    y = leaf() * 1
    z = y * y
    y.add_(1)
    with contextlib.suppress(RuntimeError):
        z.sum().backward()


def walked_twice():
    y = leaf().exp().sum()
    y.backward()
    with contextlib.suppress(RuntimeError):
        y.backward()


def not_a_scalar():
    with contextlib.suppress(RuntimeError):
        (leaf() * 2).backward()


def shape_errors():
    with contextlib.suppress(RuntimeError):
        leaf() + fl.ones(6)
    with contextlib.suppress(RuntimeError):
        leaf() @ fl.ones(6)
    with contextlib.suppress(IndexError):
        leaf()[9]
    with contextlib.suppress(RuntimeError):
        leaf().view(3)


def indexing():
    x = leaf()
    (x[[0, 1]].sum() + x[x > 0].sum() + x[1:].sum()).backward()


def host_operations():
    x = fl.rand(4, 4, dtype=fl.float64).requires_grad_()
    (x.sort(0).values.sum() + x.cumsum(0).sum() + x.det() + x.topk(2).values.sum()).backward()


def joined():
    x = leaf()
    fl.cat([x, x * 2, fl.stack([x, x]).flatten()]).sum().backward()


def detached():
    x = leaf()
    (x * x.detach() * x.exp().detach()).sum().backward()


def gradients_that_need_gradients():
    x = leaf()
    (x**3).sum().backward(create_graph=True)
    x.grad = None  # the gradient's graph holds x, and x holds the gradient: the caller must cut it, as in PyTorch


def modules():
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 1))
    nn.functional.mse_loss(model(fl.ones(3, 5)), fl.zeros(3, 1)).backward()


def conversions():
    x = leaf()
    (x.double() * x.half().float() + x.to(fl.bfloat16)).sum().backward()
    x.detach().numpy().sum()


def anomalies():
    with fl.autograd.detect_anomaly(), contextlib.suppress(RuntimeError):
        ((leaf() * 0).sqrt() * 0).sum().backward()


def numpy_round_trip():
    array = (leaf() * 2).detach().numpy()
    x = fl.from_numpy(array)
    x.add_(1)


def iteration():
    x = leaf()
    sum(iter(x)).backward()
    list(x)
    x.tolist()


PROGRAMS = [
    value
    for value in list(globals().values())
    if getattr(value, "__module__", None) == __name__ and hasattr(value, "__code__") and value is not leaf
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_every_block_is_given_back(program):
    program()  # compiles what is needed and fills caches that are meant to stay
    gc.collect()
    before = fl.memory_statistics()
    for _ in range(20):
        program()
    after = fl.memory_statistics()
    if after["blocks"] != before["blocks"]:
        gc.collect()
        after = fl.memory_statistics()
        assert after["blocks"] == before["blocks"], f"{program.__name__} leaks blocks"
        pytest.fail(f"{program.__name__} leaves blocks to the cycle collector")
    assert after["allocated"] == before["allocated"]


def test_saved_values_go_during_backward_not_after_it():
    x = fl.ones(1000, requires_grad=True)
    (x.exp() * 2).sum().backward()
    before = fl.memory_statistics()["blocks"]
    y = x
    for _ in range(50):
        y = y.tanh()
    loss = y.sum()
    held = fl.memory_statistics()["blocks"]
    del y
    loss.backward()
    assert held - before >= 50
    assert fl.memory_statistics()["blocks"] <= before + 1, "only the loss is left, though its graph still exists"
    assert loss.grad_fn is not None


def test_no_grad_keeps_nothing():
    x = fl.ones(1000, requires_grad=True)
    with fl.no_grad():
        before = fl.memory_statistics()["blocks"]
        y = x
        for _ in range(50):
            y = y.tanh()
        assert fl.memory_statistics()["blocks"] == before + 1


def test_a_view_alone_keeps_the_memory_alive():
    x = fl.arange(10.0)
    v = x[3:5]
    del x
    gc.collect()
    fl.zeros(10).fill_(-1)
    assert v.tolist() == [3, 4]


def test_objects_of_the_user_are_released_too():
    import weakref

    class Token:
        pass

    token = Token()
    alive = weakref.ref(token)
    x = leaf()
    y = x * 2
    y.register_hook(lambda g, token=token: None)
    x.register_post_accumulate_grad_hook(lambda t, token=token: None)
    y.sum().backward()
    del x, y, token
    gc.collect()
    assert alive() is None


def test_five_hundred_training_steps_take_no_more_memory_than_fifty():
    fl.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = fl.optim.Adam(model.parameters(), lr=1e-3)
    x, y = fl.randn(32, 8), fl.randn(32, 1)

    def steps(count: int) -> dict[str, int]:
        for _ in range(count):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
        return fl.memory_statistics()

    start = steps(50)
    fl._core.reset_peak_memory()
    end = steps(450)
    assert end["blocks"] == start["blocks"] and end["allocated"] == start["allocated"]
    assert end["reserved"] == start["reserved"]
    assert end["peak"] < start["allocated"] + (1 << 20)
