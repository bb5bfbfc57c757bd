"""Layers that learn their input's size from their first input: `LazyLinear`, `LazyConv*`, `LazyBatchNorm*`, ...

Until then their parameters are `UninitializedParameter`s; afterwards the layer is an ordinary one, of the class
without `Lazy`. Run one forward before an optimizer is made.
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.errors import ShapeError
from flambeau.nn.batch_norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from flambeau.nn.convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from flambeau.nn.linear import Linear
from flambeau.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d",
    "LazyInstanceNorm3d", "LazyLinear",
]  # fmt: skip


class LazyModuleMixin:
    """What makes a module lazy; a subclass defines `initialize_parameters(input)`, and `cls_to_become` if it has one.

    Put it in front of the module's class: `class LazyLayer(LazyModuleMixin, Layer)`. Its first call runs
    `initialize_parameters` with the arguments of `forward`, which calls `materialize` on every parameter.
    """

    cls_to_become: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        module: Any = self
        load = module._register_load_state_dict_pre_hook(self._lazy_load_hook)
        first = module.register_forward_pre_hook(_infer, with_kwargs=True)
        module.__dict__.update(_load_hook=load, _initialize_hook=first)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give every parameter its shape, from the arguments of `forward`."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def _own(self) -> list[tuple[str, Any]]:
        module: Any = self
        return [*module._parameters.items(), *module._buffers.items()]

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module has no shape yet."""
        return any(is_lazy(tensor) for _, tensor in self._own())

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        module: Any = self
        for name, tensor in self._own():
            if tensor is not None and name not in module._non_persistent_buffers_set:
                destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()

    def _lazy_load_hook(self, state_dict: dict, prefix: str, *ignored: Any) -> None:
        """Shapes from the tensors that are about to be loaded."""
        for name, tensor in self._own():
            value = state_dict.get(prefix + name)
            if is_lazy(tensor) and value is not None and not is_lazy(value):
                tensor.materialize(value.shape)


def _infer(module: Any, args: tuple, kwargs: dict) -> None:
    """The pre-hook of a lazy module's first call."""
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
    module._initialize_hook.remove()
    module._load_hook.remove()
    del module.__dict__["_initialize_hook"], module.__dict__["_load_hook"]
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` whose `in_features` is the last size of its first input.

    Arguments: as of `Linear`, without `in_features`.

    Example:
        >>> layer = fl.nn.LazyLinear(3)
        >>> layer(fl.zeros(2, 5)).shape, layer
        (flambeau.Size([2, 3]), Linear(in_features=5, out_features=3, bias=True))
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new weights, once they have a shape."""
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Shapes from the last size of `input`."""
        if self.has_uninitialized_params():
            with flambeau.no_grad():
                self.in_features = input.shape[-1]
                for name, shape in (("weight", (self.out_features, self.in_features)), ("bias", (self.out_features,))):
                    tensor: Any = self._parameters[name]
                    if is_lazy(tensor):
                        tensor.materialize(shape)
                self.reset_parameters()
        if self.in_features == 0:  # the shapes came from a state dictionary
            self.in_features = self.weight.shape[-1]


class _LazyConvolution(LazyModuleMixin):
    """What the lazy convolutions share."""

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, bias: bool = True, **options: Any) -> None:
        module: Any = self
        place: dict[str, Any] = {"device": options.get("device"), "dtype": options.get("dtype")}
        super().__init__(0, 0, kernel_size, *args, bias=False, **options)
        module.weight = UninitializedParameter(**place)
        module.out_channels = out_channels
        if bias:
            module.bias = UninitializedParameter(**place)

    def reset_parameters(self) -> None:
        """Draw new weights, once they have a shape."""
        module: Any = self
        if not self.has_uninitialized_params() and module.in_channels != 0:
            parent: Any = super()
            parent.reset_parameters()

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        """Shapes from the channels of `input`."""
        module: Any = self
        dims = module._dims
        if self.has_uninitialized_params():
            if input.ndim not in (dims + 1, dims + 2):
                raise ShapeError(
                    f"{type(self).__name__}: Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input, but it "
                    f"is {tuple(input.shape)}"
                )
            channels = module.in_channels = input.shape[input.ndim - dims - 1]
            if channels % module.groups:
                raise ValueError(f"in_channels must be divisible by groups: {channels}, {module.groups}")
            first, second = channels, module.out_channels
            if not module.transposed:
                first, second = second, first
            if is_lazy(module.weight):
                module.weight.materialize((first, second // module.groups, *module.kernel_size))
            if is_lazy(module._parameters["bias"]):
                module.bias.materialize((module.out_channels,))
            self.reset_parameters()
        if module.in_channels == 0:  # the shapes came from a state dictionary
            rows = module.weight.shape[0 if module.transposed else 1]
            module.in_channels = rows if module.transposed else rows * module.groups


class _LazyNorm(LazyModuleMixin):
    """What the lazy normalisations with running statistics share."""

    _unbatched = False

    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
        device: Any = None, dtype: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        module: Any = self
        super().__init__(0, eps, momentum, False, False, **options)
        module.affine, module.track_running_stats = affine, track_running_stats
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        if affine:
            module.weight = UninitializedParameter(**place)
            if options.get("bias", True):
                module.bias = UninitializedParameter(**place)
        if track_running_stats:
            module.running_mean = UninitializedBuffer(**place)
            module.running_var = UninitializedBuffer(**place)
            module.num_batches_tracked = flambeau.tensor(0, dtype=flambeau.int64)

    def reset_parameters(self) -> None:
        """Ones and zeros, once there is a shape."""
        module: Any = self
        if not self.has_uninitialized_params() and module.num_features != 0:
            parent: Any = super()
            parent.reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Shapes from the channels of `input`."""
        module: Any = self
        if self.has_uninitialized_params():
            whole = self._unbatched and input.ndim == module._dims[0]  # one sample, without the batch dimension
            module.num_features = input.shape[0 if whole else 1]
            for _, tensor in self._own():
                if is_lazy(tensor):
                    tensor.materialize((module.num_features,))
            self.reset_parameters()
        if module.num_features == 0:  # the shapes came from a state dictionary
            known = [tensor for _, tensor in self._own() if tensor is not None and tensor.ndim == 1]
            module.num_features = known[0].shape[0] if known else input.shape[1]


class _LazyInstanceNorm(_LazyNorm):
    """A lazy `InstanceNorm`, whose defaults are other ones."""

    _unbatched = True

    def __init__(
        self, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True, track_running_stats: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(eps, momentum, affine, track_running_stats, device, dtype)


def _lazy(base: type, mixin: type, without: str) -> Any:
    text = (
        f"`{base.__name__}` whose `{without}` is that of its first input.\n\n"
        f"    Arguments: as of `{base.__name__}`, without `{without}`.\n    "
    )
    name = f"Lazy{base.__name__}"
    names = {"cls_to_become": base, "__doc__": text, "__module__": __name__, "__qualname__": name}
    return type(name, (mixin, base), names)


LazyConv1d, LazyConv2d, LazyConv3d, LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d = [
    _lazy(base, _LazyConvolution, "in_channels")
    for base in (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
]
LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = [
    _lazy(base, _LazyNorm, "num_features") for base in (BatchNorm1d, BatchNorm2d, BatchNorm3d)
]
LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = [
    _lazy(base, _LazyInstanceNorm, "num_features") for base in (InstanceNorm1d, InstanceNorm2d, InstanceNorm3d)
]
