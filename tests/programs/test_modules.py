"""Programs about modules: composition, state, hooks, sharing, initialisation, own optimizers and regularisers."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from .support import Programs, same_weights

programs = Programs()


@programs.add()
def module_surgery(torch: Any) -> dict[str, Any]:
    """Blocks by name and by index, apply, replaced heads, frozen parts, partial and strict loading, deep copies."""
    nn = torch.nn

    class MySequential(nn.Module):
        def __init__(self, *args):
            super().__init__()
            for idx, module in enumerate(args):
                self.add_module(str(idx), module)

        def forward(self, X):
            for module in self._modules.values():
                X = module(X)
            return X

    class NestMLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                OrderedDict([("fc1", nn.Linear(20, 12)), ("act", nn.ELU(0.5)), ("fc2", nn.Linear(12, 8))])
            )
            self.heads = nn.ModuleDict({"a": nn.Linear(8, 2), "b": nn.Linear(8, 3)})
            self.scales = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(2)])
            self.register_buffer("running", torch.zeros(2))
            self.register_buffer("scratch", torch.zeros(3), persistent=False)
            self.register_parameter("none", None)

        def forward(self, X, head="a"):
            X = self.heads[head](self.net(X)) * self.scales[0]
            if self.training:
                self.running += 1
            return X

    def init_constant(module):
        if type(module) == nn.Linear:  # noqa: E721
            nn.init.constant_(module.weight, 1)
            nn.init.zeros_(module.bias)

    chimera = MySequential(same_weights(torch, NestMLP()), nn.Identity(), nn.LeakyReLU(0.1))
    x = torch.linspace(-1, 1, 40).reshape(2, 20)
    before = chimera(x)
    chimera.eval()
    chimera(x)
    nest = chimera._modules["0"]
    assert nest.running.tolist() == [1.0, 1.0] and not nest.net.training
    chimera.apply(init_constant)
    after = chimera(x)
    nest.heads["c"] = nn.Linear(8, 5)
    del nest.heads["b"]
    nest.net[2] = nn.Sequential(nn.Linear(12, 8), nn.Softplus())
    nest.net.append(nn.Hardtanh())
    for name, p in nest.named_parameters():
        p.requires_grad = "heads" in name
    other = NestMLP()
    report = other.load_state_dict(nest.state_dict(), strict=False)
    with pytest.raises(RuntimeError) as error:
        other.load_state_dict({"net.fc1.weight": torch.zeros(2, 2)}, strict=False)
    assert "size mismatch for net.fc1.weight" in str(error.value)
    with pytest.raises(RuntimeError):
        other.load_state_dict(nest.state_dict())
    clone = copy.deepcopy(nest)
    with torch.no_grad():
        clone.scales[0].fill_(7)
    assert nest.scales[0].item() != 7.0
    half = copy.deepcopy(clone).double()
    with pytest.raises(AttributeError):
        nest.missing  # noqa: B018
    assert nest.get_submodule("heads.c").out_features == 5 and isinstance(nest.none, type(None))
    return {
        "before": before, "after": after, "modules": [name for name, _ in chimera.named_modules()],
        "children": [type(m).__name__ for m in nest.children()], "missing": sorted(report.missing_keys),
        "unexpected": sorted(report.unexpected_keys), "repr": repr(nest.net) + repr(nest.heads),
        "buffers": [n for n, _ in nest.named_buffers()],
        "trainable": [n for n, p in nest.named_parameters() if p.requires_grad], "dtype": str(half.running.dtype),
        "state": {k: list(v.shape) for k, v in nest.state_dict().items()},
    }  # fmt: skip


@programs.add()
def feature_extraction(torch: Any) -> dict[str, Any]:
    """Forward hooks collect activations, pre-hooks change inputs, backward and tensor hooks see gradients."""
    nn = torch.nn
    model = same_weights(
        torch, nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 4), nn.Sigmoid()), nn.Linear(4, 1))
    )
    activation, gradients, calls = {}, {}, []

    def get_activation(name):
        def hook(model, input, output):
            activation[name] = output.detach()

        return hook

    handles = [m.register_forward_hook(get_activation(n)) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    handles.append(model[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,)))
    handles.append(model[2].register_forward_hook(lambda module, args, output: output + 1))
    handles.append(
        model[3].register_full_backward_hook(lambda m, gi, go: gradients.update({"in": gi[0].clone(), "out": go[0]}))
    )
    handles.append(model[0].weight.register_hook(lambda g: calls.append(tuple(g.shape)) or g * 10))
    x = torch.linspace(0, 1, 12).view(2, 6)
    out = model(x)
    out.register_hook(lambda g: gradients.__setitem__("y", g))
    out.sum().backward()
    scaled = model[0].weight.grad.clone()
    for handle in handles:
        handle.remove()
    activation.clear()
    model.zero_grad()
    model(x).sum().backward()
    assert not activation and calls == [(5, 6)]
    truncated = nn.Sequential(*list(model.children())[:-1])
    saliency_input = x.clone().requires_grad_()
    model(saliency_input)[:, 0].max().backward()
    return {
        "out": out,
        "gradients": gradients,
        "scaled": scaled,
        "features": truncated(x),
        "saliency": saliency_input.grad.abs(),
    }


@programs.add(rtol=1e-3)
def layers_of_ones_own(torch: Any) -> dict[str, Any]:
    """Layers with parameters and buffers: RMS norm, a mixture of experts, LoRA, squeeze-and-excite, a running mean."""
    nn, F = torch.nn, torch.nn.functional

    class RMSNorm(nn.Module):
        def __init__(self, dim: int, eps: float = 1e-6):
            super().__init__()
            self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

        def _norm(self, x):
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

        def forward(self, x):
            return self._norm(x.float()).type_as(x) * self.weight

    class LoRALinear(nn.Module):
        def __init__(self, linear, rank=2, alpha=4):
            super().__init__()
            self.linear, self.scaling = linear, alpha / rank
            self.lora_A = nn.Parameter(linear.weight.new_zeros((rank, linear.in_features)))
            self.lora_B = nn.Parameter(linear.weight.new_zeros((linear.out_features, rank)))
            self.linear.weight.requires_grad = False

        def forward(self, x):
            return self.linear(x) + (x @ self.lora_A.transpose(0, 1) @ self.lora_B.transpose(0, 1)) * self.scaling

    class MixtureOfExperts(nn.Module):
        def __init__(self, dim, n_experts=3, top_k=2):
            super().__init__()
            self.gate = nn.Linear(dim, n_experts, bias=False)
            self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(n_experts))
            self.top_k = top_k

        def forward(self, x):
            weights, selected = torch.topk(self.gate(x), self.top_k)
            weights = F.softmax(weights, dim=1, dtype=torch.float).to(x.dtype)
            results = torch.zeros_like(x)
            for i, expert in enumerate(self.experts):
                rows, nth = torch.where(selected == i)
                results[rows] += weights[rows, nth, None] * expert(x[rows])
            return results

    class RunningNorm(nn.Module):
        def __init__(self, features, momentum=0.1):
            super().__init__()
            self.gamma, self.beta = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
            self.register_buffer("running_mean", torch.zeros(features))
            self.register_buffer("running_var", torch.ones(features))
            self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))
            self.momentum = momentum

        def forward(self, x):
            if self.training:
                mean, var = x.mean(0), x.var(dim=0, unbiased=False)
                with torch.no_grad():
                    self.running_mean.lerp_(mean, self.momentum)
                    self.running_var = (1 - self.momentum) * self.running_var + self.momentum * x.var(0)
                    self.num_batches_tracked += 1
            else:
                mean, var = self.running_mean, self.running_var
            return (x - mean) / torch.sqrt(var + 1e-5) * self.gamma + self.beta

    class Gate(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.fc = nn.Sequential(
                nn.Linear(dim, dim // 2), nn.Hardswish(), nn.Linear(dim // 2, dim), nn.Hardsigmoid()
            )

        def forward(self, x):
            return torch.addcmul(x, x, self.fc(x))

    model = same_weights(torch, nn.Sequential(
        RMSNorm(8), LoRALinear(nn.Linear(8, 8, bias=False)), RunningNorm(8), MixtureOfExperts(8), Gate(8),
        nn.PReLU(), nn.Linear(8, 1),
    ))  # fmt: skip
    generator = np.random.default_rng(0)
    x = torch.from_numpy(generator.normal(1, 2, (32, 8)).astype("f4"))
    y = x.prod(1, keepdim=True).sign()
    frozen = model[1].linear.weight.clone()
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.soft_margin_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and torch.equal(frozen, model[1].linear.weight)
    model.eval()
    with torch.no_grad():
        single = model(x[:1])
    return {
        "losses": losses[::10],
        "single": single,
        "tracked": model[2].num_batches_tracked,
        "mean": model[2].running_mean,
    }


@programs.add(rtol=1e-3)
def optimizers_side_by_side(torch: Any) -> dict[str, Any]:
    """Every common optimizer minimises one function; an optimizer of one's own; closures; an L1 penalty by hand."""
    results = {}

    def himmelblau(p):
        return (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2

    choices = {
        "SGD": dict(lr=1e-3, momentum=0.9, dampening=0.1), "Adam": dict(lr=0.1, amsgrad=True),
        "AdamW": dict(lr=0.1, weight_decay=0.05), "Adagrad": dict(lr=0.5, lr_decay=1e-3), "Adadelta": dict(lr=5.0),
        "RMSprop": dict(lr=0.05, centered=True, momentum=0.5), "Adamax": dict(lr=0.1), "NAdam": dict(lr=0.1),
        "RAdam": dict(lr=5e-3), "Rprop": dict(lr=0.1), "ASGD": dict(lr=5e-3),
        "LBFGS": dict(line_search_fn="strong_wolfe", max_iter=3),
    }  # fmt: skip
    for name, options in choices.items():
        p = torch.tensor([0.5, 1.0], requires_grad=True)
        optimizer = getattr(torch.optim, name)([p], **options)
        for _ in range(50):

            def closure(p=p, optimizer=optimizer):
                optimizer.zero_grad()
                value = himmelblau(p)
                value.backward()
                return value

            value = optimizer.step(closure)
        assert value.item() < 150
        results[name] = p

    class Lion(torch.optim.Optimizer):
        def __init__(self, params, lr=5e-2, betas=(0.9, 0.99)):
            if lr <= 0:
                raise ValueError(f"Invalid learning rate: {lr}")
            super().__init__(params, dict(lr=lr, betas=betas))

        @torch.no_grad()
        def step(self, closure=None):
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state["exp_avg"] = torch.zeros_like(p)
                    exp_avg, (beta1, beta2) = state["exp_avg"], group["betas"]
                    update = exp_avg * beta1 + p.grad * (1 - beta1)
                    p.add_(update.sign_(), alpha=-group["lr"])
                    exp_avg.mul_(beta2).add_(p.grad, alpha=1 - beta2)
            return loss

    layer = same_weights(torch, torch.nn.Linear(4, 1))
    optimizer = Lion(layer.parameters())
    x = torch.arange(12.0).view(3, 4) / 12
    for _ in range(60):

        def closure():
            optimizer.zero_grad()
            l1 = sum(p.abs().sum() for p in layer.parameters())
            loss = torch.nn.functional.mse_loss(layer(x), x.sum(1, keepdim=True)) + 1e-3 * l1
            loss.backward()
            return loss

        loss = optimizer.step(closure)
    assert loss.item() < 0.5
    results.update(loss=loss, lion=repr(optimizer), sgd=repr(torch.optim.SGD(layer.parameters(), lr=0.1))[:30])
    return results


@programs.add(rtol=1e-4)
def losses_of_every_kind(torch: Any) -> dict[str, Any]:
    """The losses with their reductions and options on one problem; contrastive, triplet, focal and Dice by hand."""
    nn, F = torch.nn, torch.nn.functional
    generator = np.random.default_rng(6)
    a, b = (torch.from_numpy(generator.standard_normal((6, 5)).astype("f4")).requires_grad_() for _ in range(2))
    y = torch.tensor([0, 1, 2, 3, 4, -100])
    sign, p = torch.tensor([1, -1, 1, 1, -1, -1]), torch.sigmoid(b.detach())
    values = {
        "ce": nn.CrossEntropyLoss()(a, y), "ce_none": nn.CrossEntropyLoss(reduction="none")(a, y),
        "ce_soft": nn.CrossEntropyLoss(label_smoothing=0.05)(a, b.softmax(1)),
        "ce_weight": F.cross_entropy(a, y, weight=torch.arange(1.0, 6)), "nll": nn.NLLLoss()(a.log_softmax(1), y),
        "bce": nn.BCELoss(reduction="sum")(a.sigmoid(), p),
        "bcel": nn.BCEWithLogitsLoss(pos_weight=torch.ones(5) * 2)(a, p),
        "l1": nn.L1Loss()(a, b), "smooth": nn.SmoothL1Loss(beta=0.5)(a, b), "huber": nn.HuberLoss(delta=0.3)(a, b),
        "kl": nn.KLDivLoss(reduction="batchmean")(a.log_softmax(1), b.softmax(1)),
        "kl_log": F.kl_div(a.log_softmax(1), b.log_softmax(1), log_target=True, reduction="sum"),
        "cos": nn.CosineEmbeddingLoss(margin=0.1)(a, b, sign),
        "rank": nn.MarginRankingLoss(0.2)(a[:, 0], b[:, 0], sign),
        "hinge": nn.HingeEmbeddingLoss()(a[:, 1], sign),
        "triplet": nn.TripletMarginLoss(margin=1.0, p=2)(a, b, a.flip(0)),
        "multi": nn.MultiLabelSoftMarginLoss()(a, (p > 0.5).float()), "margin": nn.MultiMarginLoss()(a[:5], y[:5]),
        "poisson": nn.PoissonNLLLoss()(a, p), "gauss": nn.GaussianNLLLoss()(a, b, torch.ones(6, 5) * 0.5),
    }  # fmt: skip
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarity = torch.matmul(z, z.T) / 0.5
    similarity = similarity.masked_fill(torch.eye(12, dtype=torch.bool), -9e15)
    positives = torch.arange(12).roll(6)
    values["nt_xent"] = F.cross_entropy(similarity, positives)
    pt = torch.exp(-F.binary_cross_entropy_with_logits(a, (p > 0.5).float(), reduction="none"))
    values["focal"] = ((1 - pt) ** 2 * -pt.log()).mean()
    values["dice"] = 1 - (2 * (a.sigmoid() * p).sum() + 1) / (a.sigmoid().sum() + p.sum() + 1)
    sum(value.sum() for value in values.values()).backward()
    return {**values, "a": a.grad, "b": b.grad}


test_runs, test_agrees_with_torch = programs.tests()
