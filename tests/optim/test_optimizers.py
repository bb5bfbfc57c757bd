"""Optimizers: values against PyTorch's, state, errors, and what programs do with groups and state."""

import copy
import warnings

import pytest

import flambeau as fl
from flambeau import nn, optim

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True, "betas": (0.8, 0.95)}),
    ("Adam", {"lr": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3}),
    ("RMSprop", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.5}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"lr": 1.0, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.1, "weight_decay": 0.1}),
]
START = [[1.0, -2.0, 3.0], [0.5, 0.0]]


def gradient(i, step, size):
    return [((7 * j + 3 * i + 5 * step) % 11 - 5) / 4 for j in range(size)]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_as_in_torch(name, options):
    torch = pytest.importorskip("torch")
    ours = [nn.Parameter(fl.tensor(v)) for v in START]
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in START]
    a = getattr(optim, name)([{"params": ours[:1]}, {"params": ours[1:], "lr": 0.05}], **options)
    b = getattr(torch.optim, name)([{"params": theirs[:1]}, {"params": theirs[1:], "lr": 0.05}], **options)
    for step in range(6):
        for i, (p, q) in enumerate(zip(ours, theirs)):
            skipped = step == 2 and i == 1
            values = gradient(i, step, len(START[i]))
            p.grad = None if skipped else fl.tensor(values)
            q.grad = None if skipped else torch.tensor(values)
        a.step()
        b.step()
        for p, q in zip(ours, theirs):
            assert p.tolist() == pytest.approx(q.tolist(), rel=2e-5, abs=2e-6)
    mine, other = a.state_dict(), b.state_dict()
    assert mine["state"].keys() == other["state"].keys()
    for key in mine["state"]:
        # a step count of ours may stand where torch keeps none
        for entry, value in other["state"][key].items():
            if value is not None:
                assert mine["state"][key][entry].tolist() == pytest.approx(value.tolist(), rel=2e-5, abs=2e-6), entry
    for group, reference in zip(mine["param_groups"], other["param_groups"]):
        assert group["params"] == reference["params"]
        for entry in reference:
            assert entry in group and (group[entry] == reference[entry] or entry in ("foreach", "fused")), entry


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_goes_on_after_loading(name, options):
    def make():
        return [nn.Parameter(fl.tensor(v)) for v in START]

    a = make()
    first = getattr(optim, name)(a, **options)

    def run(params, optimizer, steps):
        for step in steps:
            for i, p in enumerate(params):
                p.grad = fl.tensor(gradient(i, step, len(START[i])))
            optimizer.step()

    run(a, first, range(3))
    b = [nn.Parameter(p.detach().clone()) for p in a]
    second = getattr(optim, name)(b, **{**options, "lr": 9.0})
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.param_groups[0]["lr"] == options["lr"]
    run(a, first, range(3, 6))
    run(b, second, range(3, 6))
    for p, q in zip(a, b):
        assert p.tolist() == q.tolist()


def test_loading_copies_the_state():
    p = nn.Parameter(fl.ones(2))
    optimizer = optim.Adam([p], lr=0.1)
    p.grad = fl.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    other = optim.Adam([nn.Parameter(fl.ones(2))], lr=0.1)
    other.load_state_dict(state)
    q = other.param_groups[0]["params"][0]
    q.grad = fl.ones(2)
    other.step()
    assert optimizer.state[p]["step"].item() == 1 and other.state[q]["step"].item() == 2
    assert optimizer.state[p]["exp_avg"].tolist() != other.state[q]["exp_avg"].tolist()


def test_step_counts_part_when_a_parameter_rests():
    a, b = nn.Parameter(fl.ones(1)), nn.Parameter(fl.ones(1))
    optimizer = optim.Adam([a, b], lr=0.1)
    for step in range(4):
        a.grad = fl.ones(1)
        b.grad = fl.ones(1) if step != 1 else None
        optimizer.step()
    assert optimizer.state[a]["step"].item() == 4 and optimizer.state[b]["step"].item() == 3


def test_parameters_replaced_between_steps():
    a = nn.Parameter(fl.ones(3))
    optimizer = optim.Adam([a], lr=0.1)
    a.grad = fl.ones(3)
    optimizer.step()
    state = optimizer.state.pop(a)
    kept = nn.Parameter(a.detach()[:2].clone())
    state["exp_avg"], state["exp_avg_sq"] = state["exp_avg"][:2].clone(), state["exp_avg_sq"][:2].clone()
    optimizer.state[kept] = state
    optimizer.param_groups[0]["params"][0] = kept
    kept.grad = fl.ones(2)
    optimizer.step()
    assert kept.tolist() == pytest.approx([0.8, 0.8]) and optimizer.state[kept]["step"].item() == 2


def test_groups():
    a, b, c = (nn.Parameter(fl.ones(1)) for _ in range(3))
    optimizer = optim.SGD([{"params": a, "lr": 1.0}, {"params": [b]}], lr=0.5)
    assert [g["lr"] for g in optimizer.param_groups] == [1.0, 0.5]
    optimizer.add_param_group({"params": c, "momentum": 0.9})
    assert optimizer.param_groups[2]["momentum"] == 0.9 and optimizer.param_groups[2]["lr"] == 0.5
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [a]})
    with pytest.raises(TypeError, match="must be a dict"):
        optimizer.add_param_group([a])
    named = optim.SGD(nn.Linear(1, 1).named_parameters(), lr=0.1)
    assert named.param_groups[0]["param_names"] == ["weight", "bias"]
    assert named.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert "lr: 0.5" in repr(optimizer) and "Parameter Group 2" in repr(optimizer)


def test_wrong_arguments():
    p = nn.Parameter(fl.ones(1))
    for make, kind, message in (
        (lambda: optim.SGD([], lr=0.1), ValueError, "empty parameter list"),
        (lambda: optim.SGD(p, lr=0.1), TypeError, "iterable of Tensors"),
        (lambda: optim.SGD([3], lr=0.1), TypeError, "can only optimize Tensors"),
        (lambda: optim.SGD([p * 2], lr=0.1), ValueError, "non-leaf"),
        (lambda: optim.SGD([p], lr=-1), ValueError, "Invalid learning rate"),
        (lambda: optim.SGD([p], lr=0.1, nesterov=True), ValueError, "Nesterov"),
        (lambda: optim.SGD([{"params": {p}}], lr=0.1), TypeError, "ordered collections"),
        (lambda: optim.Adam([p], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0"),
        (lambda: optim.Adam([p], eps=-1), ValueError, "Invalid epsilon"),
        (lambda: optim.Adam([p], weight_decay=-1), ValueError, "Invalid weight_decay"),
        (lambda: optim.Adam([p], differentiable=True), ValueError, "differentiable"),
    ):
        with pytest.raises(kind, match=message):
            make()
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([p, p], lr=0.1)
    optimizer = optim.SGD([p], lr=0.1)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match="doesn't match the size"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]})


def test_closure_zero_grad_and_hooks():
    p = nn.Parameter(fl.tensor([2.0]))
    optimizer = optim.SGD([p], lr=0.1)
    log = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("pre"))
    handle = optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("post"))

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with fl.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert p.item() == pytest.approx(1.6) and log == ["pre", "post"]
    handle.remove()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert p.item() == pytest.approx(1.6) and log == ["pre", "post", "pre"]


def test_a_class_of_ones_own():
    class Plain(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    with fl.no_grad():
                        p.sub_(p.grad * group["lr"])

    p = nn.Parameter(fl.ones(1))
    optimizer = Plain([p], 0.5)
    p.grad = fl.ones(1)
    optimizer.step()
    assert p.item() == 0.5


def test_stale_gradients_warn_once():
    p = nn.Parameter(fl.ones(2))
    optimizer = optim.SGD([p], lr=0.1)
    (p * p).sum().backward()
    optimizer.step()
    with pytest.warns(UserWarning, match="zero_grad"):
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()


def test_ordinary_loops_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for to_none in (True, False):
            p = nn.Parameter(fl.ones(2))
            optimizer = optim.Adam([p], lr=0.1)
            for _ in range(3):
                optimizer.zero_grad(set_to_none=to_none)
                (p * p).sum().backward()
                (p * p).sum().backward()
                optimizer.step()
        for _ in range(3):  # accumulating on without zeroing changes the gradient, so it is not certain to be a mistake
            (p * p).sum().backward()
            optimizer.step()


def test_rate_as_tensor_and_pickle():
    import pickle

    p = nn.Parameter(fl.ones(1))
    optimizer = optim.SGD([p], lr=fl.tensor(0.5))
    p.grad = fl.ones(1)
    optimizer.step()
    assert p.item() == 0.5
    other = pickle.loads(pickle.dumps(optim.Adam([p], lr=0.1)))
    q = other.param_groups[0]["params"][0]
    q.grad = fl.ones(1)
    other.step()
    assert q.item() == pytest.approx(0.4)
