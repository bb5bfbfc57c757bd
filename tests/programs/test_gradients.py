"""Programs about gradients themselves: introductions to autograd, checks of it, second derivatives, meta-learning."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from .support import Programs, same_weights

programs = Programs()


@programs.add(rtol=1e-4)
def autograd_introduction(torch: Any) -> dict[str, Any]:
    """What introductions show: grad_fn, vector-Jacobian products, no_grad, detach, retain_graph, leaves, errors."""
    x = torch.ones(2, 2, requires_grad=True)
    y = x + 2
    z = y * y * 3
    out = z.mean()
    assert y.grad_fn is not None and x.grad_fn is None and x.is_leaf and not out.is_leaf
    out.backward()
    result = {"grad": x.grad.clone(), "text": repr(x)}
    with pytest.raises(RuntimeError):
        out.backward()
    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)
    Q = 3 * a**3 - b**2
    external_grad = torch.tensor([1.0, 1.0])
    Q.backward(gradient=external_grad)
    assert (9 * a**2 == a.grad).all() and (-2 * b == b.grad).all()
    with pytest.raises(RuntimeError):
        (a * 2).backward()
    x = torch.from_numpy(np.array([0.5, -1.0, 2.0], dtype=np.float32)).requires_grad_()
    y = x * 2
    while y.data.norm() < 1000:
        y = y * 2
    y.backward(torch.tensor([0.1, 1.0, 0.0001], dtype=torch.float))
    result["vjp"] = x.grad
    with torch.no_grad():
        assert not (x**2).requires_grad
    assert x.detach().eq(x).all() and not x.detach().requires_grad
    inp = torch.eye(4, 5, requires_grad=True)
    out = (inp + 1).pow(2).t()
    out.backward(torch.ones_like(out), retain_graph=True)
    first = inp.grad.clone()
    out.backward(torch.ones_like(out), retain_graph=True)
    assert torch.equal(inp.grad, 2 * first)
    inp.grad.zero_()
    out.backward(torch.ones_like(out))
    assert torch.equal(inp.grad, first)
    result["first"] = first

    w = torch.randn(5, 3, requires_grad=True)
    with pytest.raises(RuntimeError):
        w += 1
    s = torch.sigmoid(w)
    s.mul_(2)
    with pytest.raises(RuntimeError):
        s.sum().backward()

    @torch.no_grad()
    def doubler(v):
        return v * 2

    assert doubler(w).requires_grad is False
    with torch.set_grad_enabled(False):
        assert (w * 2).requires_grad is False
    t = torch.arange(6, dtype=torch.float32, requires_grad=True)
    view = t.view(2, 3)
    view[0].sum().backward()
    result["view"] = t.grad
    u = torch.ones(3, requires_grad=True)
    c = u.clone()
    c[0] = 5
    c[1:] *= 3
    (c**2).sum().backward()
    result["written"] = u.grad
    return result


@programs.add(rtol=1e-4)
def scalar_engine_check(torch: Any) -> dict[str, Any]:
    """A tiny scalar autograd written in Python agrees with the framework's, in double precision."""

    class Value:
        def __init__(self, data, children=()):
            self.data, self.grad, self._prev, self._backward = data, 0.0, set(children), lambda: None

        def __add__(self, other):
            other = other if isinstance(other, Value) else Value(other)
            out = Value(self.data + other.data, (self, other))

            def _backward():
                self.grad += out.grad
                other.grad += out.grad

            out._backward = _backward
            return out

        def __mul__(self, other):
            other = other if isinstance(other, Value) else Value(other)
            out = Value(self.data * other.data, (self, other))

            def _backward():
                self.grad += other.data * out.grad
                other.grad += self.data * out.grad

            out._backward = _backward
            return out

        def __pow__(self, exponent):
            out = Value(self.data**exponent, (self,))

            def _backward():
                self.grad += exponent * self.data ** (exponent - 1) * out.grad

            out._backward = _backward
            return out

        def relu(self):
            out = Value(max(0, self.data), (self,))

            def _backward():
                self.grad += (out.data > 0) * out.grad

            out._backward = _backward
            return out

        def __neg__(self):
            return self * -1

        def __sub__(self, other):
            return self + (-other)

        def __truediv__(self, other):
            return self * (other**-1)

        __radd__, __rmul__ = __add__, __mul__

        def backward(self):
            topo, visited = [], set()

            def build(v):
                if v not in visited:
                    visited.add(v)
                    for child in v._prev:
                        build(child)
                    topo.append(v)

            build(self)
            self.grad = 1.0
            for v in reversed(topo):
                v._backward()

    def compute(a, b):
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0 if not isinstance(f, Value) else f * 0.5
        return g + 10.0 / f if not isinstance(f, Value) else g + (f**-1) * 10.0

    am, bm = Value(-4.0), Value(2.0)
    gm = compute(am, bm)
    gm.backward()
    a, b = torch.Tensor([-4.0]).double(), torch.Tensor([2.0]).double()
    a.requires_grad = b.requires_grad = True
    g = compute(a, b)
    g.backward()
    assert abs(gm.data - g.data.item()) < 1e-6
    assert abs(am.grad - a.grad.item()) < 1e-6 and abs(bm.grad - b.grad.item()) < 1e-6
    return {"g": g, "a": a.grad, "b": b.grad, "text": f"{g.data.item():.4f}"}


@programs.add(rtol=1e-3, atol=1e-5)
def custom_functions(torch: Any) -> dict[str, Any]:
    """autograd.Function: a ReLU, a straight-through estimator, gradient reversal, several outputs, gradcheck."""

    class MyReLU(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return input.clamp(min=0)

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            grad_input = grad_output.clone()
            grad_input[input < 0] = 0
            return grad_input

    class RoundSTE(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, levels):
            ctx.levels = levels
            return torch.round(x * levels) / levels

        @staticmethod
        def backward(ctx, g):
            assert ctx.needs_input_grad == (True, False)
            return g, None

    class GradReverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, alpha):
            ctx.alpha = alpha
            return x.view_as(x)

        @staticmethod
        def backward(ctx, grad_output):
            return grad_output.neg() * ctx.alpha, None

    class LinearFunction(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input, weight, bias=None):
            ctx.save_for_backward(input, weight, bias)
            output = input.mm(weight.t())
            if bias is not None:
                output += bias.unsqueeze(0).expand_as(output)
            return output

        @staticmethod
        def backward(ctx, grad_output):
            input, weight, bias = ctx.saved_tensors
            grad_input = grad_weight = grad_bias = None
            if ctx.needs_input_grad[0]:
                grad_input = grad_output.mm(weight)
            if ctx.needs_input_grad[1]:
                grad_weight = grad_output.t().mm(input)
            if bias is not None and ctx.needs_input_grad[2]:
                grad_bias = grad_output.sum(0)
            return grad_input, grad_weight, grad_bias

    generator = np.random.default_rng(0)
    x = torch.from_numpy(generator.standard_normal((4, 3))).requires_grad_()
    w = torch.from_numpy(generator.standard_normal((2, 3))).requires_grad_()
    bias = torch.zeros(2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(LinearFunction.apply, (x, w, bias), eps=1e-6, atol=1e-4)
    assert torch.autograd.gradcheck(LinearFunction.apply, (x, w))
    h = MyReLU.apply(LinearFunction.apply(x, w, bias))
    h = RoundSTE.apply(h, 4)
    GradReverse.apply(h, 0.5).sum().backward()
    assert torch.autograd.gradgradcheck(lambda v: (v**3).sin(), (x,))
    return {"x": x.grad, "w": w.grad, "bias": bias.grad, "h": h}


@programs.add(rtol=2e-3, atol=1e-4)
def physics_informed(torch: Any) -> dict[str, Any]:
    """u'' + u = 0 with u(0) = 0, u'(0) = 1 by a network whose first and second derivatives enter the loss."""
    nn = torch.nn
    net = same_weights(
        torch, nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.998)
    x = torch.linspace(0, math.pi, 40).reshape(-1, 1).requires_grad_(True)
    zero = torch.zeros(1, 1, requires_grad=True)
    losses = []
    for _ in range(250):
        u = net(x)
        du_dx = torch.autograd.grad(u, x, grad_outputs=torch.ones_like(u), retain_graph=True, create_graph=True)[0]
        d2u_dx2 = torch.autograd.grad(du_dx, x, torch.ones_like(du_dx), create_graph=True)[0]
        residual = torch.mean((d2u_dx2 + u) ** 2)
        u0 = net(zero)
        (du0,) = torch.autograd.grad(u0.sum(), zero, create_graph=True)
        loss = residual + u0.pow(2).squeeze() + (du0 - 1).square().squeeze()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    with torch.no_grad():
        error = (net(x) - torch.sin(x)).abs().max()
    assert losses[-1] < 0.05 * losses[0] and error < 0.3
    return {"losses": losses[:100:10], "rate": optimizer.param_groups[0]["lr"]}


@programs.add(rtol=2e-3, atol=1e-4)
def learning_to_learn(torch: Any) -> dict[str, Any]:
    """MAML on sines: an inner step by autograd.grad with create_graph, a functional network, a penalty on gradients."""
    F = torch.nn.functional
    generator = np.random.default_rng(4)
    shapes = [(16, 1), (16,), (1, 16), (1,)]
    weights = [torch.tensor(generator.normal(0, 0.5, s), dtype=torch.float32, requires_grad=True) for s in shapes]

    def functional(x, params):
        w1, b1, w2, b2 = params
        return F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2)

    meta_optimizer = torch.optim.Adam(weights, 5e-3)
    losses = []
    for _ in range(60):
        meta_loss = 0.0
        for _task in range(3):
            phase = generator.uniform(0, 3)
            x = torch.tensor(generator.uniform(-2, 2, (20, 1)), dtype=torch.float32)
            y = torch.sin(x + phase)
            fast = weights
            for _inner in range(2):
                inner = F.mse_loss(functional(x[:10], fast), y[:10])
                grads = torch.autograd.grad(inner, fast, create_graph=True)
                fast = [w - 0.1 * g for w, g in zip(fast, grads)]
            meta_loss = meta_loss + F.mse_loss(functional(x[10:], fast), y[10:])
        meta_optimizer.zero_grad()
        (meta_loss / 3).backward()
        meta_optimizer.step()
        losses.append(meta_loss.item() / 3)
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    interpolated = torch.linspace(-1, 1, 8).view(-1, 1).requires_grad_(True)
    gradients = torch.autograd.grad(
        outputs=functional(interpolated, weights).sum(), inputs=interpolated, create_graph=True
    )
    penalty = ((gradients[0].view(8, -1).norm(2, dim=1) - 1) ** 2).mean()
    penalty.backward()
    return {"losses": losses[:20], "penalty": penalty, "w1": weights[0].grad.norm()}


@programs.add(rtol=1e-4)
def newton_and_jacobians(torch: Any) -> dict[str, Any]:
    """Jacobian and Hessian row by row, Newton's method on Rosenbrock's function, Hessian-vector products."""

    def rosenbrock(p):
        x, y = p
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    def hessian(function, point):
        point = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(function(point), point, create_graph=True)
        rows = [torch.autograd.grad(g, point, retain_graph=True)[0] for g in gradient]
        return gradient.detach(), torch.stack(rows)

    point, path = torch.tensor([-1.2, 1.0], dtype=torch.float64), []
    for _ in range(8):
        gradient, matrix = hessian(rosenbrock, point)
        point = point - torch.linalg.solve(matrix, gradient)
        path.append(point)
    assert torch.allclose(point, torch.ones(2).double())
    v = torch.tensor([1.0, 2.0], dtype=torch.float64)
    p = torch.tensor([0.5, -0.5], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(rosenbrock(p), p, create_graph=True)
    (hvp,) = torch.autograd.grad(g @ v, p)
    assert torch.allclose(hvp, hessian(rosenbrock, p)[1] @ v)
    w = torch.tensor(1.5, requires_grad=True)
    third = w**4
    derivatives = []
    for _ in range(4):
        (third,) = torch.autograd.grad(third, w, create_graph=True)
        derivatives.append(third.item())
    x, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    gx, gu = torch.autograd.grad((x * 3).sum(), [x, unused], allow_unused=True)
    assert gu is None
    full = torch.autograd.functional.jacobian(lambda t: t**2 * t.sum(), torch.tensor([1.0, 2.0, 3.0]))
    second = torch.autograd.functional.hessian(lambda t: (t**3).sum(), torch.tensor([1.0, 2.0]))
    return {"path": path, "hvp": hvp, "derivatives": derivatives, "gx": gx, "full": full, "second": second}


@programs.add(rtol=1e-3)
def functional_transforms(torch: Any) -> dict[str, Any]:
    """Gradients of functions of weight dictionaries, products with Jacobians, checkpointed blocks, padded inputs."""
    from importlib import import_module

    nn, F = torch.nn, torch.nn.functional
    func, checkpoint = import_module(f"{torch.__name__}.func"), import_module(f"{torch.__name__}.utils.checkpoint")
    net = same_weights(torch, nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
    x = torch.linspace(-1, 1, 12).view(3, 4)
    y = x.sum(1, keepdim=True)
    params = {name: p.detach() for name, p in net.named_parameters()}

    def loss_of(weights):
        return F.mse_loss(func.functional_call(net, weights, (x,)), y)

    losses = []
    for _ in range(20):
        gradients, loss = func.grad_and_value(loss_of)(params)
        params = {name: p - 0.1 * gradients[name] for name, p in params.items()}
        losses.append(loss.item())
    assert losses[-1] < losses[0] and not any(p.requires_grad for p in params.values())
    third = func.grad(func.grad(func.grad(lambda t: t**4)))(torch.tensor(2.0))
    output, pull = func.vjp(lambda a, b: a * b.sum(), torch.ones(2), torch.arange(3.0))
    functional = torch.autograd.functional
    value, change = functional.jvp(lambda a: a.sin() * a, (x[0],), (torch.ones(4),))
    _, product = functional.hvp(lambda a: (a**3).sum(), x[0], torch.ones(4))
    loss = (checkpoint.checkpoint(net, x, use_reentrant=False) - y).pow(2).mean()
    loss.backward()
    again = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    F.mse_loss(net(x), y).backward()
    for p, gradient in zip(net.parameters(), again):
        torch.testing.assert_close(p.grad, gradient)
    padded = [F.pad(x, (1, 2)), F.pad(x, (1, 0, 0, 2), value=-1.0), F.pad(x[None], (2, 1), mode="reflect"),
              F.pad(x[None], (1, 1), "replicate"), nn.ZeroPad2d(1)(x[None])]  # fmt: skip
    return {
        "losses": losses, "third": third, "vjp": [output, *pull(torch.ones(2))], "jvp": [value, change], "hvp": product,
        "jacobian": func.jacrev(lambda a: a**2)(x[0]), "padded": padded,
    }  # fmt: skip


@programs.add(rtol=1e-3)
def averaged_weights(torch: Any) -> dict[str, Any]:
    """Stochastic weight averaging with its schedule, beside an exponential moving average."""
    from importlib import import_module

    swa = import_module(f"{torch.__name__}.optim.swa_utils")
    model = same_weights(torch, torch.nn.Linear(3, 1))
    mean, moving = swa.AveragedModel(model), swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = swa.SWALR(optimizer, swa_lr=0.05, anneal_epochs=4)
    x = torch.linspace(-1, 1, 30).view(10, 3)
    rates = []
    for _ in range(8):
        optimizer.zero_grad()
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        scheduler.step()
        mean.update_parameters(model)
        moving.update_parameters(model)
        rates.append(optimizer.param_groups[0]["lr"])
    swa.update_bn([x], mean)
    assert mean.n_averaged == 8
    return {"rates": rates, "mean": mean(x), "moving": moving.module.weight, "keys": list(mean.state_dict())}


test_runs, test_agrees_with_torch = programs.tests()
