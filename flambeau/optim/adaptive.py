"""Optimizers that scale each step by a history of squared gradients: RMSprop, Adagrad, Adadelta, Adamax."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import _core
from flambeau.ops import update as _update
from flambeau.optim.fused import FusedOptimizer, zeros
from flambeau.optim.gather import learning_rate
from flambeau.optim.optimizer import check_options

__all__ = ["Adadelta", "Adagrad", "Adamax", "RMSprop"]


class RMSprop(FusedOptimizer):
    """v ← α·v + (1 - α)·g², θ ← θ - lr·g / (√v + eps), with momentum on the scaled gradient.

    Arguments: `alpha`, how much of the history stays; `centered`, subtract the squared running mean of g from v;
    `momentum`; `weight_decay`, times θ added to g; `maximize`. Errors: ValueError for negative options.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        check_options(defaults, "lr", "eps", "momentum", "weight_decay", "alpha")
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        state = {"square_avg": zeros(parameter)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros(parameter)
        if group["centered"]:
            state["grad_avg"] = zeros(parameter)
        return state

    def _update(self, group: dict, bundle: Any) -> None:
        squares = bundle.column("square_avg")
        outputs: tuple[int, ...]
        if group["momentum"] > 0:
            for parameter, state in zip(bundle.params, bundle.states, strict=True):
                if "momentum_buffer" not in state:  # momentum was switched on later
                    state["momentum_buffer"] = zeros(parameter)
            buffers, outputs = bundle.column("momentum_buffer"), (0, 2, 3)
        else:
            # Without momentum the rule returns its buffer as it is: the squares stand in, and that output is not kept.
            buffers, outputs = squares, (0, 2)
        lists = [bundle.params, bundle.gradients, squares, buffers]
        operation = _update.rmsprop
        if group["centered"]:
            if buffers is squares:
                lists[3] = [flambeau.empty_like(square) for square in squares]  # written with what nobody reads
            lists.append(bundle.column("grad_avg"))
            operation, outputs = _update.rmsprop_centered, (0, 2, 3, 4)
        scalars = (
            learning_rate(group),
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["maximize"],
        )
        _core.foreach(operation, lists, scalars=scalars, outputs=outputs)


class Adagrad(FusedOptimizer):
    """s ← s + g², θ ← θ - lr / (1 + (t - 1)·lr_decay)·g / (√s + eps).

    Arguments: `lr_decay`; `initial_accumulator_value`, s at the start; `weight_decay`, times θ added to g; `maximize`.
    Errors: ValueError for negative options.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        check_options(defaults, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {"sum": flambeau.full_like(parameter, group["initial_accumulator_value"], requires_grad=False)}

    def _update(self, group: dict, bundle: Any) -> None:
        lr = learning_rate(group) / (1 + (bundle.step - 1) * group["lr_decay"])
        bundle.run(_update.adagrad, (lr, group["eps"], group["weight_decay"], group["maximize"]), "sum")


class Adadelta(FusedOptimizer):
    """Steps scaled by running means of squared gradients and squared changes: no rate of one's own is needed.

    Arguments: `rho`, how much of the histories stays; `lr`, a factor of every change; `weight_decay`; `maximize`.
    Errors: ValueError for options out of range.
    """

    _states = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}; it must be between 0 and 1")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        check_options(defaults, "lr", "eps", "weight_decay")
        super().__init__(params, defaults)

    def _update(self, group: dict, bundle: Any) -> None:
        scalars = (learning_rate(group), group["rho"], group["eps"], group["weight_decay"], group["maximize"])
        bundle.run(_update.adadelta, scalars, *self._states)


class Adamax(FusedOptimizer):
    """Adam with the largest decayed gradient in place of the root of the mean square.

    Arguments: those of `Adam` without amsgrad. Errors: ValueError for options out of range.
    """

    _states = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        check_options(defaults, "lr", "eps", "betas", "weight_decay")
        super().__init__(params, defaults)

    def _update(self, group: dict, bundle: Any) -> None:
        beta1, beta2 = group["betas"]
        scalars = (
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            1.0 - beta1**bundle.step,
            group["maximize"],
        )
        bundle.run(_update.adamax, scalars, *self._states)
