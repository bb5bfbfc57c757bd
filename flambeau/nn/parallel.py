"""Modules that PyTorch spreads over devices: with one device they run the module itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flambeau.nn.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class DataParallel(Module):
    """A module that is run on the devices of the machine; with no more than one the module itself runs.

    Arguments: `module`; `device_ids`, `output_device` and `dim` are accepted. The state has the prefix `module.`.
    Errors: DeviceError for more devices than there are.

    Example:
        >>> fl.nn.DataParallel(fl.nn.Linear(2, 3))(fl.ones(4, 2)).shape
        Size([4, 3])
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        from flambeau.devices import check_device

        for number in device_ids or ():
            check_device(f"cuda:{number}" if isinstance(number, int) else number)
        self.module = module
        self.dim = dim
        self.device_ids = list(device_ids or ())
        self.output_device = output_device

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module returns."""
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0,
    module_kwargs: Any = None,
) -> Any:  # fmt: skip
    """module(*inputs, **module_kwargs) on the devices of the machine; with no more than one, the call itself."""
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    return DataParallel(module, device_ids, output_device, dim)(*arguments, **(module_kwargs or {}))


class DistributedDataParallel(Module):
    """A module whose gradients are averaged over the processes of a group; in a group of one the module itself.

    Arguments: `module`; the others are accepted. The state has the prefix `module.`. Errors: ValueError without a
    group, see `flambeau.distributed.init_process_group`, which makes groups of one process only.

    Example:
        >>> fl.distributed.init_process_group("gloo", world_size=1, rank=0)
        >>> model = fl.nn.parallel.DistributedDataParallel(fl.nn.Linear(2, 3))
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, **options: Any) -> None:
        super().__init__()
        from flambeau import distributed

        if not distributed.is_initialized():
            raise ValueError(
                "DistributedDataParallel: Default process group has not been initialized, please make sure to call "
                "init_process_group; without several processes use the module itself"
            )
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameters that require a "
                "gradient."
            )
        self.module = module
        self.device_ids = device_ids
        self.output_device = output_device
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module returns."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block whose gradients are not averaged."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before
