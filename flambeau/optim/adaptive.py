"""Optimizers that scale each step by a history of squared gradients: RMSprop, Adagrad, Adadelta, Adamax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _core
from flambeau.ops import update as _update
from flambeau.optim.gather import gather, learning_rate
from flambeau.optim.optimizer import Optimizer, check_betas, check_not_negative, refuse_differentiable, run_closure

__all__ = ["Adadelta", "Adagrad", "Adamax", "RMSprop"]


def _zeros(parameter: Any) -> Any:
    return flambeau.zeros_like(parameter, requires_grad=False)


class _Adaptive(Optimizer):
    """What these rules have in common: gather the bundles of each group and make one call for each."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in (
                ("foreach", None),
                ("maximize", False),
                ("differentiable", False),
                ("capturable", False),
            ):
                group.setdefault(name, value)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        raise NotImplementedError

    def _update(self, group: dict, bundle: Any) -> None:
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what `closure` returned."""
        loss = None if closure is None else run_closure(closure)
        seen: list = []
        for group in self.param_groups:
            for bundle in gather(self, group, self._start, seen):
                self._update(group, bundle)
        self._watch(seen)
        return loss


class RMSprop(_Adaptive):
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
        for name, value in (
            ("learning rate", lr),
            ("epsilon value", eps),
            ("momentum value", momentum),
            ("weight_decay value", weight_decay),
            ("alpha value", alpha),
        ):
            check_not_negative(name, value)
        refuse_differentiable(differentiable)
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
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        state = {"square_avg": _zeros(parameter)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = _zeros(parameter)
        if group["centered"]:
            state["grad_avg"] = _zeros(parameter)
        return state

    def _update(self, group: dict, bundle: Any) -> None:
        squares = bundle.column("square_avg")
        outputs: tuple[int, ...]
        if group["momentum"] > 0:
            for parameter, state in zip(bundle.params, bundle.states, strict=True):
                if "momentum_buffer" not in state:  # momentum was switched on later
                    state["momentum_buffer"] = _zeros(parameter)
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


class Adagrad(_Adaptive):
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
        for name, value in (
            ("learning rate", lr),
            ("lr_decay value", lr_decay),
            ("weight_decay value", weight_decay),
            ("initial_accumulator_value value", initial_accumulator_value),
            ("epsilon value", eps),
        ):
            check_not_negative(name, value)
        refuse_differentiable(differentiable)
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
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {"sum": flambeau.full_like(parameter, group["initial_accumulator_value"], requires_grad=False)}

    def _update(self, group: dict, bundle: Any) -> None:
        lr = learning_rate(group) / (1 + (bundle.step - 1) * group["lr_decay"])
        scalars = (lr, group["eps"], group["weight_decay"], group["maximize"])
        lists = [bundle.params, bundle.gradients, bundle.column("sum")]
        _core.foreach(_update.adagrad, lists, scalars=scalars, outputs=(0, 2))


class Adadelta(_Adaptive):
    """Steps scaled by running means of squared gradients and squared changes: no rate of one's own is needed.

    Arguments: `rho`, how much of the histories stays; `lr`, a factor of every change; `weight_decay`; `maximize`.
    Errors: ValueError for options out of range.
    """

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
        check_not_negative("learning rate", lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}; it must be between 0 and 1")
        check_not_negative("epsilon value", eps)
        check_not_negative("weight_decay value", weight_decay)
        refuse_differentiable(differentiable)
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
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {"square_avg": _zeros(parameter), "acc_delta": _zeros(parameter)}

    def _update(self, group: dict, bundle: Any) -> None:
        lists = [bundle.params, bundle.gradients, bundle.column("square_avg"), bundle.column("acc_delta")]
        scalars = (learning_rate(group), group["rho"], group["eps"], group["weight_decay"], group["maximize"])
        _core.foreach(_update.adadelta, lists, scalars=scalars, outputs=(0, 2, 3))


class Adamax(_Adaptive):
    """Adam with the largest decayed gradient in place of the root of the mean square.

    Arguments: those of `Adam` without amsgrad. Errors: ValueError for options out of range.
    """

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
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {"exp_avg": _zeros(parameter), "exp_inf": _zeros(parameter)}

    def _update(self, group: dict, bundle: Any) -> None:
        beta1, beta2 = group["betas"]
        lists = [bundle.params, bundle.gradients, bundle.column("exp_avg"), bundle.column("exp_inf")]
        scalars = (
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            1.0 - beta1**bundle.step,
            group["maximize"],
        )
        _core.foreach(_update.adamax, lists, scalars=scalars, outputs=(0, 2, 3))
