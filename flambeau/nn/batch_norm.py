"""Normalisations with running statistics as modules: `BatchNorm1d/2d/3d`, `InstanceNorm1d/2d/3d`."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.errors import ShapeError
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
           "SyncBatchNorm"]  # fmt: skip


class _RunningNorm(Module):
    """Weights and running statistics of `num_features` channels."""

    _dims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            if wanted:
                setattr(self, name, Parameter(flambeau.empty(num_features, device=device, dtype=dtype)))
            else:
                self.register_parameter(name, None)
        if track_running_stats:
            self.register_buffer("running_mean", flambeau.zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", flambeau.ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", flambeau.tensor(0, dtype=flambeau.int64))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Ones and zeros, and the running statistics of the start."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input(self, input: Any) -> None:
        if input.ndim not in self._dims:
            expected = " or ".join([f"{d}D" for d in self._dims])
            raise ShapeError(
                f"{type(self).__name__}: expected {expected} input (got {input.ndim}D input): input is "
                f"{tuple(input.shape)}"
            )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        key = prefix + "num_batches_tracked"
        if self.track_running_stats and key not in state_dict and prefix + "running_mean" in state_dict:
            state_dict[key] = self.num_batches_tracked.clone()  # checkpoints older than this buffer
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def extra_repr(self) -> str:
        """The options."""
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{text}, bias={self.bias is not None}, track_running_stats={self.track_running_stats}"


_NormBase = _RunningNorm  # PyTorch's name


class _BatchNorm(_RunningNorm):
    """(x - mean) / √(var + eps) · weight + bias for each channel of (N, C, ...).

    Arguments: `num_features`, the channels; `momentum`, the share of a new batch in the running statistics (None: the
    mean over all batches); `affine`, whether there are `weight` (ones) and `bias` (zeros); `track_running_stats`,
    whether evaluation uses running statistics rather than the batch's.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Any) -> Any:
        """(N, num_features, ...) to the same."""
        self._check_input(input)
        average = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                average = 1.0 / float(self.num_batches_tracked.item())
        own = self.training or self.running_mean is None
        tracked = not self.training or self.track_running_stats
        mean, variance = (self.running_mean, self.running_var) if tracked else (None, None)
        return F.batch_norm(input, mean, variance, self.weight, self.bias, own, average, self.eps)


class BatchNorm1d(_BatchNorm):
    __doc__ = f"""{_BatchNorm.__doc__}
    Input: (N, C) or (N, C, L).
    """
    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = f"""{_BatchNorm.__doc__}
    Input: (N, C, H, W).
    """
    _dims = (4,)


class BatchNorm3d(_BatchNorm):
    __doc__ = f"""{_BatchNorm.__doc__}
    Input: (N, C, D, H, W).
    """
    _dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """`BatchNorm` over the samples of all processes; in one process, which is all there is here, the same as it.

    Arguments: as of `BatchNorm2d`; `process_group` is accepted. Input: (N, C, ...).

    Example:
        >>> fl.nn.SyncBatchNorm(3)(fl.zeros(2, 3, 4)).shape
        Size([2, 3, 4])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        self.process_group = process_group

    def _check_input(self, input: Any) -> None:
        if input.ndim < 2:
            raise ShapeError(f"SyncBatchNorm: expected at least 2D input (got {input.ndim}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """`module` with every `BatchNorm*d` in it replaced by a `SyncBatchNorm` of the same parameters and buffers.

        Example:
            >>> type(fl.nn.SyncBatchNorm.convert_sync_batchnorm(fl.nn.BatchNorm1d(2))).__name__
            'SyncBatchNorm'
        """
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(module.num_features, module.eps, module.momentum, module.affine,
                         module.track_running_stats, process_group)  # fmt: skip
            if module.affine:
                result.weight, result.bias = module.weight, module.bias
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(result, name, getattr(module, name))
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class _InstanceNorm(_RunningNorm):
    """(x - mean) / √(var + eps) · weight + bias for each channel of each sample of (N, C, ...).

    Arguments: as of `BatchNorm2d`, but `affine` and `track_running_stats` are False by default. An input without the
    batch dimension is taken as well.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, input: Any) -> Any:
        """(N, num_features, ...) or (num_features, ...) to the same."""
        self._check_input(input)
        batched = input.ndim == self._dims[-1]
        own = self.training or not self.track_running_stats
        found: tuple[Any, ...] = (
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            own,
            self.momentum,
            self.eps,
        )
        if batched:
            return F.instance_norm(input, *found)
        return F.instance_norm(input.unsqueeze(0), *found).squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    __doc__ = f"""{_InstanceNorm.__doc__}
    Input: (N, C, L) or (C, L).
    """
    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    __doc__ = f"""{_InstanceNorm.__doc__}
    Input: (N, C, H, W) or (C, H, W).
    """
    _dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    __doc__ = f"""{_InstanceNorm.__doc__}
    Input: (N, C, D, H, W) or (C, D, H, W).
    """
    _dims = (4, 5)
