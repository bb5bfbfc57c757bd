"""`GradScaler`: losses scaled up so that small float16 gradients do not vanish; steps that overflow are left out."""

from __future__ import annotations

import warnings
from collections import defaultdict
from enum import Enum
from typing import Any

import flambeau
from flambeau import _core

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """How far an optimizer is within one iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Scales the loss before `backward`, and the gradients back before the step; the scale follows what overflows.

    `scale(loss).backward(); scaler.step(optimizer); scaler.update()`: a step is left out where a gradient is infinite
    or NaN, and the scale is then multiplied by `backoff_factor`; after `growth_interval` steps without one it is
    multiplied by `growth_factor`.

    Arguments: `device`, "cpu" ("cuda", the default, warns and switches the scaler off on a machine without one);
    `init_scale`; `growth_factor` > 1; `backoff_factor` < 1; `growth_interval`; `enabled`.

    >>> fl.amp.GradScaler("cpu", init_scale=8.0).scale(fl.tensor(2.0))
    tensor(16.)
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        self._device = str(device)
        self._enabled = enabled
        if enabled and not self._device.startswith("cpu"):
            if not (self._device.startswith("cuda") and flambeau.cuda.is_available()):
                warnings.warn(
                    f"flambeau.amp.GradScaler is enabled, but {self._device.upper()} is not available.  Disabling.",
                    stacklevel=2,
                )
                self._enabled = False
        if self._enabled:
            if not growth_factor > 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if not backoff_factor < 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale, self._init_growth_tracker = init_scale, 0
        self._growth_factor, self._backoff_factor, self._growth_interval = (
            growth_factor,
            backoff_factor,
            growth_interval,
        )
        self._scale: Any = None
        self._growth_tracker: Any = None
        self._per_optimizer_states: defaultdict[int, dict[str, Any]] = defaultdict(_fresh)

    def _start(self) -> None:
        if self._scale is None:
            self._scale = flambeau.full((), float(self._init_scale), dtype=flambeau.float32)
            self._growth_tracker = flambeau.full((), self._init_growth_tracker, dtype=flambeau.int32)

    def scale(self, outputs: Any) -> Any:
        """The tensor, or tensors in lists and tuples, times the scale."""
        if not self._enabled:
            return outputs
        self._start()
        if isinstance(outputs, _core.Tensor):
            return outputs * self._scale.to(outputs.dtype)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)([self.scale(each) for each in outputs])
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, as `step` does; to clip them before it."""
        if not self._enabled:
            return
        if self._scale is None:
            raise AssertionError("Attempted unscale_ but _scale is None; call scaler.scale(loss).backward() first")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = 1.0 / float(self._scale)
        found = 0.0
        with flambeau.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    gradient = parameter.grad
                    if gradient is None:
                        continue
                    if gradient.dtype is flambeau.float16 and not getattr(self, "_allow_half", False):
                        raise ValueError(
                            "Attempting to unscale FP16 gradients. Keep the parameters in float32 and use autocast"
                        )
                    gradient.mul_(inverse)
                    values = gradient._values() if gradient.is_sparse else gradient
                    if not bool(flambeau.isfinite(values).all()):
                        found = 1.0
        state["found_inf_per_device"] = {"cpu": flambeau.tensor(found)}
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(*args, **kwargs), left out (None) where a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if self._scale is None:
            raise AssertionError("Attempted step but _scale is None; call scaler.scale(loss).backward() first")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        result = None
        if not any(bool(value) for value in state["found_inf_per_device"].values()):
            result = optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: Any = None) -> None:
        """Set the scale for the next iteration, to `new_scale` where given."""
        if not self._enabled:
            return
        if self._scale is None:
            raise AssertionError("Attempted update but _scale is None; call scaler.scale(loss).backward() first")
        if new_scale is not None:
            self._scale.fill_(float(new_scale))
        else:
            found = [
                bool(value)
                for state in self._per_optimizer_states.values()
                for value in state["found_inf_per_device"].values()
            ]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(found):
                self._scale.mul_(self._backoff_factor)
                self._growth_tracker.zero_()
            else:
                steps = int(self._growth_tracker) + 1
                if steps == self._growth_interval:
                    grown = self._scale * self._growth_factor
                    if bool(flambeau.isfinite(grown)):
                        self._scale.copy_(grown)
                    steps = 0
                self._growth_tracker.fill_(steps)
        self._per_optimizer_states = defaultdict(_fresh)

    def get_scale(self) -> float:
        """The scale as a number, 1.0 where the scaler is off."""
        if not self._enabled:
            return 1.0
        return float(self._init_scale if self._scale is None else self._scale)

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after an overflow."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after an overflow."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many good steps the scale grows."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and the count of good steps; empty where the scaler is off."""
        if not self._enabled:
            return {}
        tracker = self._init_growth_tracker if self._growth_tracker is None else int(self._growth_tracker)
        return {
            "scale": self.get_scale(), "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval, "_growth_tracker": tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale.fill_(float(state_dict["scale"]))
            self._growth_tracker.fill_(state_dict["_growth_tracker"])
