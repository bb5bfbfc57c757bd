"""`FusedOptimizer`: the base of rules that keep tensors for each parameter and step all of a group in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.optim.gather import gather
from flambeau.optim.optimizer import Optimizer, run_closure

__all__ = ["FusedOptimizer", "zeros"]


def zeros(parameter: Any) -> Any:
    """Zeros of a parameter's shape, dtype and device, without gradient."""
    return flambeau.zeros_like(parameter, requires_grad=False)


class FusedOptimizer(Optimizer):
    """A rule names in `_states` the tensors it keeps, which start as zeros, and writes a bundle anew in `_update`."""

    _later = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
    _states: tuple[str, ...] = ()

    def _start(self, parameter: Any, group: dict) -> dict[str, Any]:
        return {name: zeros(parameter) for name in self._states}

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
