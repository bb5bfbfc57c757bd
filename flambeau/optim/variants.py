"""Rules near Adam and SGD that are used less: NAdam, RAdam, Rprop, ASGD."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import _core
from flambeau.ops import update as _update
from flambeau.optim.adaptive import _Adaptive, _zeros
from flambeau.optim.gather import choose, learning_rate, set_shared_number, shared_number
from flambeau.optim.optimizer import check_betas, check_not_negative, refuse_differentiable

__all__ = ["ASGD", "NAdam", "RAdam", "Rprop"]


def _check(lr: Any, eps: float, betas: tuple, weight_decay: float) -> None:
    check_not_negative("learning rate", lr)
    check_not_negative("epsilon value", eps)
    check_betas(betas)
    check_not_negative("weight_decay value", weight_decay)


class NAdam(_Adaptive):
    """Adam with Nesterov's momentum: the step looks ahead by the momentum of the next step.

    With mu_t = β1·(1 - 0.96^(t·momentum_decay) / 2), the step is lr·((1 - mu_t)·g / (1 - Πmu) + mu_(t+1)·m / (1 -
    Πmu·mu_(t+1))) / (√v̂ + eps).

    Arguments: those of `Adam` without amsgrad, and `momentum_decay`; `decoupled_weight_decay`, as `AdamW`. Errors:
    ValueError for options out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check(lr, eps, betas, weight_decay)
        check_not_negative("momentum_decay value", momentum_decay)
        refuse_differentiable(differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {"mu_product": flambeau.ones(()), "exp_avg": _zeros(parameter), "exp_avg_sq": _zeros(parameter)}

    def _update(self, group: dict, bundle: Any) -> None:
        (beta1, beta2), decay, step = group["betas"], group["momentum_decay"], bundle.step
        lr = learning_rate(group)
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        following = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        product = shared_number(bundle.states, "mu_product") * mu
        scalars = (
            lr,
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            1.0 - beta2**step,
            lr * (1.0 - mu) / (1.0 - product),
            lr * following / (1.0 - product * following),
            group["decoupled_weight_decay"],
            group["maximize"],
        )
        lists = [bundle.params, bundle.gradients, bundle.column("exp_avg"), bundle.column("exp_avg_sq")]
        _core.foreach(_update.nadam, lists, scalars=scalars, outputs=(0, 2, 3))
        set_shared_number(self, bundle.states, "mu_product", product)


class RAdam(_Adaptive):
    """Adam whose scaling waits until the variance of v̂ is bounded, and is then rectified by the length of its memory.

    Arguments: those of `Adam` without amsgrad; `decoupled_weight_decay`, as `AdamW`. Errors: ValueError for options
    out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check(lr, eps, betas, weight_decay)
        refuse_differentiable(differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {"exp_avg": _zeros(parameter), "exp_avg_sq": _zeros(parameter)}

    def _update(self, group: dict, bundle: Any) -> None:
        (beta1, beta2), step = group["betas"], bundle.step
        correction2 = 1.0 - beta2**step
        longest = 2.0 / (1.0 - beta2) - 1.0
        length = longest - 2.0 * step * beta2**step / correction2
        rectified = length > 5.0
        factor: Any = 1.0
        if rectified is not False:  # a tensor while recording: then both are computed
            factor = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        scalars = (
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            1.0 - beta1**step,
            correction2,
            choose(rectified, factor, 1.0) ** 0.5,
            rectified,
            group["decoupled_weight_decay"],
            group["maximize"],
        )
        lists = [bundle.params, bundle.gradients, bundle.column("exp_avg"), bundle.column("exp_avg_sq")]
        _core.foreach(_update.radam, lists, scalars=scalars, outputs=(0, 2, 3))


class Rprop(_Adaptive):
    """Steps of each element's own size, of which only the gradient's sign is used; for whole batches.

    Arguments: `lr`, the sizes at the start; `etas`, the factors when the sign turns and when it stays; `step_sizes`,
    the smallest and the largest size; `maximize`. Errors: ValueError for options out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative("learning rate", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}; they must be below and above 1")
        refuse_differentiable(differentiable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {"prev": _zeros(parameter), "step_size": _zeros(parameter).add_(learning_rate(group))}

    def _update(self, group: dict, bundle: Any) -> None:
        learning_rate(group)  # only its first value counts: plans need not depend on the others
        lists = [bundle.params, bundle.gradients, bundle.column("prev"), bundle.column("step_size")]
        scalars = (*map(float, (*group["etas"], *group["step_sizes"])), group["maximize"], bundle.step == 1)
        _core.foreach(_update.rprop, lists, scalars=scalars, outputs=(0, 2, 3))


class ASGD(_Adaptive):
    """SGD with a falling rate lr / (1 + lambd·lr·t)^alpha whose average over the steps after `t0` is kept in "ax".

    Arguments: `lambd`, the decay; `alpha`, the power of the rate; `t0`, where averaging begins; `weight_decay`, times θ
    added to g; `maximize`. Errors: ValueError for negative options.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative("learning rate", lr)
        check_not_negative("weight_decay value", weight_decay)
        refuse_differentiable(differentiable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        rate = flambeau.zeros(()).add_(learning_rate(group))
        return {"eta": rate, "mu": flambeau.ones(()), "ax": _zeros(parameter)}

    def _update(self, group: dict, bundle: Any) -> None:
        lr = learning_rate(group)
        eta, mu = (shared_number(bundle.states, name) for name in ("eta", "mu"))
        scalars = (eta, group["lambd"], mu, group["weight_decay"], group["maximize"])
        _core.foreach(
            _update.asgd, [bundle.params, bundle.gradients, bundle.column("ax")], scalars=scalars, outputs=(0, 2)
        )
        rate = lr / (1 + group["lambd"] * lr * bundle.step) ** group["alpha"]
        since = bundle.step - group["t0"]
        set_shared_number(self, bundle.states, "eta", rate)
        set_shared_number(self, bundle.states, "mu", 1.0 / choose(since > 1.0, since, 1.0))
