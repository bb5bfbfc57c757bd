"""Averages of a model's weights over training, and the rate schedule that goes with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import flambeau
from flambeau.nn import Module
from flambeau.optim.lr_scheduler import LRScheduler

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """A running mean for `AveragedModel(avg_fn=...)`: decay·average + (1 - decay)·new."""
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
    return lambda average, new, count: decay * average + (1 - decay) * new


def get_swa_avg_fn() -> Callable:
    """The mean of all weights so far for `AveragedModel(avg_fn=...)`."""
    return lambda average, new, count: average + (new - average) / (count + 1)


def _multi(function: Callable) -> Callable:
    def update(averages: list, values: list, count: Any) -> None:
        for average, value in zip(averages, values):
            average.copy_(function(average, value, count))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """`get_ema_avg_fn` over lists of tensors, in place."""
    return _multi(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable:
    """`get_swa_avg_fn` over lists of tensors, in place."""
    return _multi(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose weights are the average of those seen by `update_parameters`.

    Arguments: `model`; `avg_fn(average, new, count)` the new average (by default the mean), or `multi_avg_fn` for lists
    in place; `use_buffers`, average buffers too (otherwise they are copied).

    Example:
        >>> ema = fl.optim.swa_utils.AveragedModel(model, avg_fn=fl.optim.swa_utils.get_ema_avg_fn(0.99))
        >>> ema.update_parameters(model)  # after every optimizer step
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable | None = None,
        multi_avg_fn: Callable | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", flambeau.tensor(0, dtype=flambeau.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's output."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the weights of `model` into the average; the first ones are copied."""
        members = (lambda m: [*m.parameters(), *m.buffers()]) if self.use_buffers else (lambda m: list(m.parameters()))
        averages = [tensor.detach() for tensor in members(self.module)]
        values = [tensor.detach() for tensor in members(model)]
        with flambeau.no_grad():
            if self.n_averaged == 0:
                for average, value in zip(averages, values):
                    average.copy_(value)
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn(averages, values, self.n_averaged)
            else:
                _multi(self.avg_fn or get_swa_avg_fn())(averages, values, self.n_averaged)
            if not self.use_buffers:
                for kept, buffer in zip(self.module.buffers(), model.buffers()):
                    kept.detach().copy_(buffer.detach())
            self.n_averaged += 1


def update_bn(loader: Iterable, model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch normalisations anew from the batches of `loader`, and nothing else."""
    layers = [m for m in model.modules() if hasattr(m, "running_mean") and hasattr(m, "reset_running_stats")]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    training = model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    with flambeau.no_grad():
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """Moves every group's rate to `swa_lr` within `anneal_epochs` steps and keeps it there.

    Arguments: `swa_lr`, one rate or one a group; `anneal_strategy`, "cos" or "linear". Errors: ValueError for others.
    """

    def __init__(
        self, optimizer: Any, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: str = "cos", last_epoch: int = -1
    ) -> None:
        groups = optimizer.param_groups
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(f"SWALR: swa_lr has {len(rates)} rates for {len(groups)} parameter groups")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        for group, rate in zip(groups, rates):
            group["swa_lr"] = rate
        self._strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2 if self._strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        """The rates of this step: the last ones, moved by what the strategy's share grew."""
        # `_step_count` is 1 at the start; the share before is undone, so that other schedules' rates are respected.
        step = self._step_count - 1
        before = self._share(max(0.0, min(1.0, (step - 1) / max(1, self.anneal_epochs))))
        now = self._share(max(0.0, min(1.0, step / max(1, self.anneal_epochs)))) if self.anneal_epochs else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            start = group["swa_lr"] if before == 1 else (group["lr"] - before * group["swa_lr"]) / (1 - before)
            rates.append(group["swa_lr"] * now + start * (1 - now))
        return rates
