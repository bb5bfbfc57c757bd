"""Learning-rate schedules: the rates after every step, against PyTorch's and against formulas."""

import math
import warnings

import pytest

import flambeau as fl
from flambeau import nn, optim
from flambeau.optim import lr_scheduler as S


def sgd(lr=0.1, **options):
    return optim.SGD([nn.Parameter(fl.ones(1))], lr=lr, **options)


def rates(scheduler, steps, *args):
    found = [scheduler.optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step(*args)
        found.append(scheduler.optimizer.param_groups[0]["lr"])
    return found


def test_formulas():
    assert rates(S.StepLR(sgd(1.0), 2, 0.1), 4) == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert rates(S.MultiStepLR(sgd(1.0), [1, 3], 0.1), 4) == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])
    assert rates(S.ExponentialLR(sgd(1.0), 0.5), 3) == pytest.approx([1, 0.5, 0.25, 0.125])
    assert rates(S.ConstantLR(sgd(1.0), 0.5, 2), 3) == pytest.approx([0.5, 0.5, 1, 1])
    assert rates(S.LinearLR(sgd(1.0), 0.5, 1.0, 4), 5) == pytest.approx([0.5, 0.625, 0.75, 0.875, 1, 1])
    assert rates(S.LambdaLR(sgd(2.0), lambda n: 1 / (n + 1)), 2) == pytest.approx([2, 1, 2 / 3])
    assert rates(S.MultiplicativeLR(sgd(2.0), lambda n: 0.5), 2) == pytest.approx([2, 1, 0.5])
    assert rates(S.PolynomialLR(sgd(1.0), 4, 2.0), 5) == pytest.approx([1, 0.5625, 0.25, 0.0625, 0, 0])
    cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * n / 5)) / 2 for n in range(13)]
    assert rates(S.CosineAnnealingLR(sgd(1.0), 5, 0.1), 12) == pytest.approx(cosine)
    restarts = [
        (1 + math.cos(math.pi * t / p)) / 2 for t, p in [(0, 2), (1, 2), (0, 4), (1, 4), (2, 4), (3, 4), (0, 8)]
    ]
    assert rates(S.CosineAnnealingWarmRestarts(sgd(1.0), 2, 2), 6) == pytest.approx(restarts)


def makers(library, param):
    s = library.optim.lr_scheduler

    def optimizer(**options):
        return library.optim.SGD([{"params": [param()]}, {"params": [param()], "lr": 0.5}], lr=0.1, **options)

    momentum = {"momentum": 0.9}
    return {
        "step": lambda: s.StepLR(optimizer(), 3, 0.5),
        "multi": lambda: s.MultiStepLR(optimizer(), [2, 2, 7], 0.5),
        "cosine": lambda: s.CosineAnnealingLR(optimizer(), 4, 0.01),
        "restarts": lambda: s.CosineAnnealingWarmRestarts(optimizer(), 3, 2, 0.01),
        "linear": lambda: s.LinearLR(optimizer(), 0.2, 0.8, 6),
        "polynomial": lambda: s.PolynomialLR(optimizer(), 8, 2.0),
        "one": lambda: s.OneCycleLR(optimizer(**momentum), [1.0, 2.0], total_steps=14),
        "one three": lambda: s.OneCycleLR(
            optimizer(**momentum), 1.0, epochs=7, steps_per_epoch=2, three_phase=True, anneal_strategy="linear"
        ),
        "cyclic": lambda: s.CyclicLR(optimizer(**momentum), 0.1, 1.0, 3, 2, mode="triangular2"),
        "cyclic range": lambda: s.CyclicLR(optimizer(**momentum), 0.1, 1.0, 3, mode="exp_range", gamma=0.9),
        "sequence": lambda o=None: s.SequentialLR(
            o := optimizer(), [s.LinearLR(o, 0.1, 1.0, 4), s.CosineAnnealingLR(o, 6), s.ExponentialLR(o, 0.5)], [4, 9]
        ),
        "chain": lambda o=None: s.ChainedScheduler(
            [s.ConstantLR(o := optimizer(), 0.1, 3), s.ExponentialLR(o, 0.9)]
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(makers(fl, lambda: nn.Parameter(fl.ones(1)))))
def test_as_in_torch(name):
    torch = pytest.importorskip("torch")
    ours = makers(fl, lambda: nn.Parameter(fl.ones(1)))[name]()
    theirs = makers(torch, lambda: torch.nn.Parameter(torch.ones(1)))[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(13):
            for a, b in zip(ours.optimizer.param_groups, theirs.optimizer.param_groups):
                assert a["lr"] == pytest.approx(b["lr"], rel=1e-9, abs=1e-12)
                assert a["momentum"] == pytest.approx(b["momentum"], rel=1e-9)
            assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-9, abs=1e-12)
            for scheduler in (ours, theirs):
                scheduler.optimizer.step()
                scheduler.step()


def test_plateau():
    scheduler = S.ReduceLROnPlateau(sgd(1.0), "min", factor=0.1, patience=1, cooldown=1, min_lr=0.005)
    found = []
    for metric in (1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5):
        scheduler.step(fl.tensor(metric))
        found.append(scheduler.get_last_lr()[0])
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.005, 0.005, 0.005])
    with pytest.raises(ValueError, match=r"Factor should be < 1"):
        S.ReduceLROnPlateau(sgd(), factor=1.0)
    with pytest.raises(ValueError, match="unknown"):
        S.ReduceLROnPlateau(sgd(), mode="best")


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_as_in_torch(mode, threshold_mode):
    torch = pytest.importorskip("torch")
    options = {"mode": mode, "threshold_mode": threshold_mode, "patience": 1, "threshold": 0.1, "factor": 0.5}
    a = S.ReduceLROnPlateau(sgd(1.0), **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(
        torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0), **options
    )
    for n in range(20):
        metric = math.sin(n * 1.3) + 2
        a.step(metric)
        b.step(metric)
        assert a.get_last_lr() == pytest.approx(b.get_last_lr())


def test_state():
    for make in makers(fl, lambda: nn.Parameter(fl.ones(1))).values():
        a = make()
        first = rates(a, 5)
        b = make()
        b.load_state_dict(a.state_dict())
        b.optimizer.load_state_dict(a.optimizer.state_dict())
        assert rates(a, 5) == rates(b, 5) and first


def test_warnings_and_errors():
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        S.StepLR(sgd(), 1).step()
    with pytest.raises(TypeError, match="not an Optimizer"):
        S.StepLR(3, 1)
    with pytest.raises(KeyError, match="initial_lr"):
        S.StepLR(sgd(), 1, last_epoch=3)
    with pytest.raises(ValueError, match="total_steps"):
        S.OneCycleLR(sgd(momentum=0.9), 1.0)
    with pytest.raises(ValueError, match="must support momentum"):
        S.OneCycleLR(optim.Adagrad([nn.Parameter(fl.ones(1))]), 1.0, total_steps=3)
    with pytest.raises(ValueError, match="T_0"):
        S.CosineAnnealingWarmRestarts(sgd(), 0)
    optimizer = sgd()
    with pytest.raises(ValueError, match="same optimizer"):
        S.SequentialLR(optimizer, [S.StepLR(optimizer, 1), S.StepLR(sgd(), 1)], [2])
    with pytest.raises(ValueError, match="number of schedulers"):
        S.SequentialLR(optimizer, [S.StepLR(optimizer, 1)], [2])


def test_rate_in_a_tensor_is_filled():
    optimizer = sgd(fl.tensor(1.0))
    rate = optimizer.param_groups[0]["lr"]
    scheduler = S.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate and rate.item() == 0.5
