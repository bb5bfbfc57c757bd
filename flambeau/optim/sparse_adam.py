"""`SparseAdam`: Adam for gradients that name the rows they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.optim.gather import learning_rate
from flambeau.optim.optimizer import Optimizer, check_betas, run_closure

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """`Adam` of which only the rows that a sparse gradient names take part in a step, their running means included.

    Arguments: `params`; `lr`; `betas`; `eps`; `maximize`, go up instead of down. Errors: ValueError for options out of
    range, RuntimeError in `step` for a gradient that is dense.

    Example:
        >>> optimizer = fl.optim.SparseAdam(fl.nn.Embedding(10, 3, sparse=True).parameters(), lr=1e-3)
    """

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}; it must be positive")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}; it must be positive")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        for group in self.param_groups:
            for position, parameter in enumerate(group["params"]):
                if parameter.layout != "strided":
                    raise ValueError(
                        f"Sparse params at indices [{position}]: SparseAdam requires dense parameter tensors"
                    )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what `closure` returned."""
        loss = None if closure is None else run_closure(closure)
        with flambeau.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._step_one(group, parameter, parameter.grad)
        return loss

    def _step_one(self, group: dict, parameter: Any, gradient: Any) -> None:
        if not gradient.is_sparse:
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = flambeau.zeros_like(parameter, requires_grad=False)
            state["exp_avg_sq"] = flambeau.zeros_like(parameter, requires_grad=False)
        state["step"] += 1
        gradient = gradient.coalesce()
        if gradient._nnz() == 0:
            return
        beta1, beta2 = group["betas"]
        places, g = tuple(gradient._indices()), gradient._values()
        g = -g if group["maximize"] else g
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        new_mean = mean[places].lerp(g, 1.0 - beta1)
        new_square = square[places].lerp(g * g, 1.0 - beta2)
        mean[places], square[places] = new_mean, new_square
        rate = learning_rate(group) * (1.0 - beta2 ** state["step"]) ** 0.5 / (1.0 - beta1 ** state["step"])
        parameter[places] = parameter[places] - new_mean / (new_square.sqrt() + group["eps"]) * rate
