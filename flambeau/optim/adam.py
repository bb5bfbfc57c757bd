"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from flambeau.ops import update as _update
from flambeau.optim.fused import FusedOptimizer, zeros
from flambeau.optim.gather import learning_rate
from flambeau.optim.optimizer import check_options

__all__ = ["Adam", "AdamW"]


class Adam(FusedOptimizer):
    """Steps scaled by running means of the gradient and of its square.

    m ← β1·m + (1 - β1)·g, v ← β2·v + (1 - β2)·g², θ ← θ - lr·m̂ / (√v̂ + eps), with m̂ = m / (1 - β1^t), v̂ = v / (1 -
    β2^t).

    Arguments: `params`; `lr`; `betas`; `eps`; `weight_decay`, times θ added to g; `amsgrad`, use the largest v̂ so far;
    `maximize`, go up instead of down; `decoupled_weight_decay`, as `AdamW`. `foreach`, `capturable` and `fused` are
    accepted: the step always is one fused call. Errors: ValueError for options out of range.

    Example:
        >>> optimizer = fl.optim.Adam(model.parameters(), lr=1e-3)
    """

    _later = {**FusedOptimizer._later, "amsgrad": False, "decoupled_weight_decay": False, "fused": None}
    _states = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        check_options(defaults, "lr", "eps", "betas", "weight_decay")
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        state = super()._start(parameter, group)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros(parameter)
        return state

    def _update(self, group: dict, bundle: Any) -> None:
        beta1, beta2 = group["betas"]
        beta1, beta2 = float(beta1), float(beta2)
        scalars = (
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            1.0 - beta1**bundle.step,
            1.0 - beta2**bundle.step,
            group["maximize"],
        )
        decoupled = group["decoupled_weight_decay"]
        if group["amsgrad"]:
            operation = _update.adamw_amsgrad if decoupled else _update.adam_amsgrad
            bundle.run(operation, scalars, "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        else:
            bundle.run(_update.adamw if decoupled else _update.adam, scalars, "exp_avg", "exp_avg_sq")


class AdamW(Adam):
    """`Adam` with the weight decay taken from the parameter itself: θ ← θ·(1 - lr·weight_decay) before the step.

    Arguments: those of `Adam`, with `weight_decay` 0.01.

    Example:
        >>> optimizer = fl.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
