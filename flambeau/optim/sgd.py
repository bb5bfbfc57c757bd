"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import _core
from flambeau.ops import update as _update
from flambeau.optim.gather import learning_rate
from flambeau.optim.optimizer import Optimizer, check_not_negative, refuse_differentiable, run_closure

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent: θ ← θ - lr·g, or with momentum v ← μ·v + (1 - dampening)·g and θ ← θ - lr·v.

    Arguments: `params`; `lr`; `momentum` μ; `dampening`; `weight_decay`, times θ added to g; `nesterov`, step along
    g + μ·v; `maximize`, go up instead of down. `foreach` and `fused` are accepted: the step always is one fused call.
    Errors: ValueError for negative options, or nesterov without momentum or with dampening.

    Example:
        >>> optimizer = fl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative("learning rate", lr)
        check_not_negative("momentum value", momentum)
        check_not_negative("weight_decay value", weight_decay)
        refuse_differentiable(differentiable)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in (("nesterov", False), ("maximize", False), ("foreach", None), ("fused", None)):
                group.setdefault(name, value)
            group.setdefault("differentiable", False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what `closure` returned."""
        loss = None if closure is None else run_closure(closure)
        seen: list = []
        for group in self.param_groups:
            params, gradients = [], []
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                if gradient.is_sparse and not self._sparse_step(group, parameter, gradient):
                    gradient = gradient.to_dense()
                if not gradient.is_sparse:
                    params.append(parameter)
                    gradients.append(gradient)
            if not params:
                continue
            seen += gradients
            lr, decay, maximize = learning_rate(group), group["weight_decay"], group["maximize"]
            if group["momentum"] == 0:
                _core.foreach(_update.sgd, [params, gradients], scalars=(lr, decay, maximize), outputs=(0,))
            else:
                self._momentum_step(group, params, gradients, (lr, group["momentum"], group["dampening"], decay))
        self._watch(seen)
        return loss

    def _sparse_step(self, group: dict, parameter: Any, gradient: Any) -> bool:
        """Change only the rows that a sparse gradient names; False where every row changes all the same."""
        if group["momentum"] or group["weight_decay"]:
            return False
        with flambeau.no_grad():
            rate = learning_rate(group)
            parameter.add_(gradient, alpha=rate if group["maximize"] else -rate)
        return True

    def _momentum_step(self, group: dict, params: list, gradients: list, numbers: tuple) -> None:
        states = self.state
        fresh: set[int] = set()
        buffers = []
        for parameter in params:
            state = states[parameter]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                fresh.add(id(parameter))
                buffer = state["momentum_buffer"] = flambeau.zeros_like(parameter, requires_grad=False)
            buffers.append(buffer)
        rows = list(zip(params, gradients, buffers, strict=True))
        if not fresh or len(fresh) == len(rows):
            parts = [([params, gradients, buffers], bool(fresh))]
        else:
            new = [row for row in rows if id(row[0]) in fresh]
            old = [row for row in rows if id(row[0]) not in fresh]
            parts = [([list(column) for column in zip(*part, strict=True)], part is new) for part in (new, old)]
        for lists, first in parts:
            # The first time the buffer is the gradient itself: dampening holds from the second step on.
            scalars = (*numbers, group["nesterov"], group["maximize"], first)
            _core.foreach(_update.sgd_momentum, lists, scalars=scalars, outputs=(0, 2))
