"""L-BFGS: Newton-like steps from the last changes of the gradient, with an optional line search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.optim.optimizer import Optimizer, check_not_negative, run_closure

__all__ = ["LBFGS"]

# The strong Wolfe conditions: enough decrease, and a slope that has fallen to this share.
_DECREASE, _CURVATURE = 1e-4, 0.9


class LBFGS(Optimizer):
    """Steps along -H·g, H an estimate of the inverse Hessian from the last `history_size` steps; one group only.

    Arguments: `lr`, the step length (the first trial of a line search); `max_iter` steps and `max_eval` calls of the
    closure (default 1.25 max_iter) for one `step`; `tolerance_grad`, stop when no gradient is larger;
    `tolerance_change`, stop when neither loss nor parameters change more; `line_search_fn`, None or "strong_wolfe".
    Errors: ValueError for more than one parameter group or a negative rate, RuntimeError for an unknown line search.

    Example:
        >>> optimizer = fl.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
        >>> optimizer.step(closure)  # closure: zero_grad, compute the loss, backward, return the loss
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_not_negative("learning rate", lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(
                f"LBFGS doesn't support per-parameter options (parameter groups): got {len(self.param_groups)} groups; "
                f"give one list of parameters"
            )

    def _parameters(self) -> list:
        return self.param_groups[0]["params"]

    def _gradient(self) -> Any:
        """All gradients as one vector; zeros where a parameter has none."""
        parts = []
        for parameter in self._parameters():
            gradient = parameter.grad
            parts.append(flambeau.zeros_like(parameter).flatten() if gradient is None else gradient.flatten())
        return flambeau.cat(parts).detach()

    def _move(self, length: float, direction: Any) -> None:
        offset = 0
        for parameter in self._parameters():
            count = parameter.numel()
            parameter.add_(direction[offset : offset + count].view(parameter.shape), alpha=length)
            offset += count

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Up to `max_iter` steps; returns the loss that `closure` gave before the first."""
        if closure is None:
            raise TypeError("LBFGS.step: needs a closure that clears gradients, computes the loss and calls backward")
        with flambeau.no_grad():
            return self._steps(closure)

    def _steps(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        state = self.state[self._parameters()[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        original = run_closure(closure)
        loss, evaluations = float(original), 1
        state["func_evals"] += 1
        gradient = self._gradient()
        if float(gradient.abs().max()) <= group["tolerance_grad"]:
            return original
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            length = float(group["lr"])
            if state["n_iter"] == 1:
                length *= min(1.0, 1.0 / float(gradient.abs().sum()))
            state["prev_flat_grad"], previous = gradient.clone(), loss
            slope = float(gradient.dot(direction))
            state["d"], state["t"] = direction, length
            if slope > -group["tolerance_change"]:
                break
            calls = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError(
                        f"LBFGS: only 'strong_wolfe' is supported as line_search_fn, got {group['line_search_fn']!r}"
                    )
                loss, gradient, length, calls = self._search(closure, direction, length, loss, gradient, slope)
                self._move(length, direction)
                state["t"] = length
            else:
                self._move(length, direction)
                if iteration != group["max_iter"]:  # the last gradient would not be used
                    loss, gradient, calls = float(run_closure(closure)), self._gradient(), 1
            evaluations += calls
            state["func_evals"] += calls
            state["prev_loss"] = previous
            if (
                evaluations >= group["max_eval"]
                or float(gradient.abs().max()) <= group["tolerance_grad"]
                or float(direction.abs().max()) * length <= group["tolerance_change"]
                or abs(loss - previous) < group["tolerance_change"]
            ):
                break
        return original

    def _direction(self, state: dict, gradient: Any, history: int) -> Any:
        """-H·g by the two loops over the remembered steps and changes of the gradient."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1.0
            return -gradient
        changes, steps, inverse = state["old_dirs"], state["old_stps"], state["ro"]
        change = gradient - state["prev_flat_grad"]
        taken = state["d"] * state["t"]
        product = float(change.dot(taken))
        if product > 1e-10:
            if len(changes) == history:
                for memory in (changes, steps, inverse):
                    memory.pop(0)
            changes.append(change)
            steps.append(taken)
            inverse.append(1.0 / product)
            state["H_diag"] = product / float(change.dot(change))
        direction = -gradient
        weights = []
        for change, taken, factor in zip(reversed(changes), reversed(steps), reversed(inverse)):
            weight = float(taken.dot(direction)) * factor
            direction = direction.add(change, alpha=-weight)
            weights.append(weight)
        direction = direction * state["H_diag"]
        for change, taken, factor, weight in zip(changes, steps, inverse, reversed(weights)):
            direction = direction.add(taken, alpha=weight - float(change.dot(direction)) * factor)
        return direction

    def _search(
        self, closure: Callable, direction: Any, length: float, loss: float, gradient: Any, slope: float
    ) -> tuple:
        """A step length with the strong Wolfe conditions: loss, gradient, length, and the calls it took.

        Points are (length, loss, gradient, slope). The parameters stand where they did when this returns.
        """
        start = [parameter.detach().clone() for parameter in self._parameters()]
        smallest = self.param_groups[0]["tolerance_change"]
        calls = 0

        def at(t: float) -> tuple:
            nonlocal calls
            calls += 1
            self._move(t, direction)
            value, g = float(run_closure(closure)), self._gradient()
            for parameter, kept in zip(self._parameters(), start):
                parameter.copy_(kept)
            return t, value, g, float(g.dot(direction))

        def too_high(point: tuple) -> bool:
            return not point[1] <= loss + _DECREASE * point[0] * slope

        def flat(point: tuple) -> bool:
            return abs(point[3]) <= -_CURVATURE * slope

        low: tuple = (0.0, loss, gradient, slope)
        point = at(length)
        high = None
        while calls < 25:  # widen until a minimum is enclosed
            if too_high(point) or (calls > 1 and point[1] >= low[1]):
                high = point
                break
            if flat(point):
                return point[1], point[2], point[0], calls
            if point[3] >= 0:
                low, high = point, low
                break
            near, far = point[0] + 0.01 * (point[0] - low[0]), point[0] * 10
            low, point = point, at(_cubic_minimum(low, point, near, far))
        if high is None:
            return point[1], point[2], point[0], calls
        scale = float(direction.abs().max())
        stuck = False
        while calls < 25 and abs(high[0] - low[0]) * scale >= smallest:
            left, right = sorted((low[0], high[0]))
            trial = _cubic_minimum(low, high, left, right)
            margin = 0.1 * (right - left)
            if min(right - trial, trial - left) < margin:  # too near an end: once is allowed, inside
                if stuck or trial >= right or trial <= left:
                    trial = right - margin if abs(trial - right) < abs(trial - left) else left + margin
                    stuck = False
                else:
                    stuck = True
            else:
                stuck = False
            point = at(trial)
            if too_high(point) or point[1] >= low[1]:
                high = point
                continue
            if flat(point):
                low = point
                break
            if point[3] * (high[0] - low[0]) >= 0:
                high = low
            low = point
        return low[1], low[2], low[0], calls


def _cubic_minimum(one: tuple, two: tuple, left: float, right: float) -> float:
    """Where the cubic through two points with their slopes is least, kept between `left` and `right`."""
    (x1, f1, _, g1), (x2, f2, _, g2) = (one, two) if one[0] <= two[0] else (two, one)
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (left + right) / 2
    root = square**0.5
    bottom = g2 - g1 + 2 * root
    if bottom == 0:
        return (left + right) / 2
    return min(max(x2 - (x2 - x1) * ((g2 + root - d1) / bottom), left), right)
