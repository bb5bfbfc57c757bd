"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _core
from flambeau.ops import update as _update
from flambeau.optim.gather import gather, learning_rate
from flambeau.optim.optimizer import Optimizer, check_betas, check_not_negative, refuse_differentiable, run_closure

__all__ = ["Adam", "AdamW"]


def _start(parameter: Any, group: dict) -> dict[str, Any]:
    state = {
        "exp_avg": flambeau.zeros_like(parameter, requires_grad=False),
        "exp_avg_sq": flambeau.zeros_like(parameter, requires_grad=False),
    }
    if group["amsgrad"]:
        state["max_exp_avg_sq"] = flambeau.zeros_like(parameter, requires_grad=False)
    return state


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    m ← β1·m + (1 - β1)·g, v ← β2·v + (1 - β2)·g², θ ← θ - lr·m̂ / (√v̂ + eps), with m̂ = m / (1 - β1^t), v̂ = v / (1 -
    β2^t).

    Arguments: `params`; `lr`; `betas`; `eps`; `weight_decay`, times θ added to g; `amsgrad`, use the largest v̂ so far;
    `maximize`, go up instead of down; `decoupled_weight_decay`, as `AdamW`. `foreach`, `capturable` and `fused` are
    accepted: the step always is one fused call. Errors: ValueError for options out of range.

    Example:
        >>> optimizer = fl.optim.Adam(model.parameters(), lr=1e-3)
    """

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
        check_not_negative("learning rate", lr)
        check_not_negative("epsilon value", eps)
        check_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        refuse_differentiable(differentiable)
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
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name in ("amsgrad", "maximize", "capturable", "differentiable", "decoupled_weight_decay"):
                group.setdefault(name, False)
            group.setdefault("foreach", None)
            group.setdefault("fused", None)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what `closure` returned."""
        loss = None if closure is None else run_closure(closure)
        seen: list = []
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            decoupled = group["decoupled_weight_decay"]
            for bundle in gather(self, group, _start, seen):
                lists = [bundle.params, bundle.gradients, bundle.column("exp_avg"), bundle.column("exp_avg_sq")]
                outputs: tuple = (0, 2, 3)
                operation = _update.adamw if decoupled else _update.adam
                if group["amsgrad"]:
                    lists.append(bundle.column("max_exp_avg_sq"))
                    outputs = (0, 2, 3, 4)
                    operation = _update.adamw_amsgrad if decoupled else _update.adam_amsgrad
                _core.foreach(
                    operation,
                    lists,
                    scalars=(
                        learning_rate(group),
                        float(beta1),
                        float(beta2),
                        group["eps"],
                        group["weight_decay"],
                        1.0 - float(beta1) ** bundle.step,
                        1.0 - float(beta2) ** bundle.step,
                        group["maximize"],
                    ),
                    outputs=outputs,
                )
        self._watch(seen)
        return loss


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
