"""Pruning: masks that set parameters of a module to zero, the rest being trained on.

A pruned parameter becomes `<name>_orig`, its mask the buffer `<name>_mask`, and a hook computes their product before
every forward. A second pruning takes from what the first one left.
"""

from __future__ import annotations

from typing import Any

import flambeau

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "RandomStructured",
    "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned", "l1_unstructured",
    "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip


def _count(amount: Any, size: int) -> int:
    """How many of `size` are pruned: a share between 0 and 1, or a number of them."""
    if not isinstance(amount, (int, float)) or isinstance(amount, bool):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if (isinstance(amount, float) and not 0.0 <= amount <= 1.0) or amount < 0:
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
    count = amount if isinstance(amount, int) else round(amount * size)
    if count > size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={size}")
    return count


class BasePruningMethod:
    """What a way of pruning is: a subclass defines `compute_mask(importance, mask)`, the new mask.

    An instance is the forward pre-hook of the parameter `_tensor_name`.
    """

    _tensor_name: str

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask (ones where kept) for a tensor of importances, of what `default_mask` leaves."""
        raise NotImplementedError(f"{type(self).__name__}: define compute_mask(t, default_mask)")

    def apply_mask(self, module: Any) -> Any:
        """The pruned parameter: the original times the mask."""
        original = getattr(module, self._tensor_name + "_orig")
        return getattr(module, self._tensor_name + "_mask").to(original.dtype) * original

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune the parameter `name` of `module`; the arguments are those of the constructor. Returns the hook.

        `importance_scores`, of the parameter's shape, stand for the sizes of its elements. Errors: ValueError.
        """
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        before = None
        for known in module._forward_pre_hooks.values():
            if isinstance(known, BasePruningMethod) and known._tensor_name == name:
                before = known
        parameter = getattr(module, name)
        scores = parameter.detach() if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(parameter.shape):
            raise ValueError(
                f"prune: importance_scores must have the shape of {name} {tuple(parameter.shape)}, but they are "
                f"{tuple(scores.shape)}"
            )
        if before is None:
            mask = flambeau.ones_like(parameter.detach())
        else:
            mask = getattr(module, name + "_mask").detach().clone()
        mask = method.compute_mask(scores, default_mask=mask)  # may raise: nothing has changed yet
        if before is None:
            original = module._parameters[name]
            delattr(module, name)
            module.register_parameter(name + "_orig", original)
            module.register_buffer(name + "_mask", mask)
            module.register_forward_pre_hook(method)
        else:
            module.register_buffer(name + "_mask", mask)
            method = before
        setattr(module, name, method.apply_mask(module))
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """The tensor `t` pruned once, no module being involved."""
        mask = flambeau.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(t if importance_scores is None else importance_scores, default_mask=mask)

    def remove(self, module: Any) -> None:
        """Make the pruned values the parameter, for good; the hook stays to be removed by `prune.remove`."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        original = module._parameters[name + "_orig"]
        if name in module.__dict__:
            delattr(module, name)
        original.data = weight.detach()
        delattr(module, name + "_mask")
        delattr(module, name + "_orig")
        setattr(module, name, original)


def _kept(t: Any, mask: Any, scores: Any, amount: Any, largest: bool) -> Any:
    """`mask` without the `amount` smallest of `scores` among the elements that it keeps."""
    mask = mask.clone()
    flat = mask.reshape((-1,))
    alive = flat.nonzero().squeeze(1)
    count = _count(amount, alive.numel())
    if count:
        chosen = scores.reshape((-1,)).index_select(0, alive).topk(count, largest=largest).indices
        flat = flat.index_fill(0, alive.index_select(0, chosen), 0.0)
    return flat.reshape(mask.shape)


class Identity(BasePruningMethod):
    """Prunes nothing; gives the parameter its mask and its original."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask as it is."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes `amount` elements (a share, or a number) drawn at random."""

    def __init__(self, amount: Any) -> None:
        _count(amount, 1 << 62)
        self.amount = amount

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without elements drawn at random."""
        return _kept(t, default_mask, flambeau.rand_like(t), self.amount, True)


class L1Unstructured(BasePruningMethod):
    """Prunes the `amount` elements (a share, or a number) of the smallest absolute values."""

    def __init__(self, amount: Any) -> None:
        _count(amount, 1 << 62)
        self.amount = amount

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without the smallest elements."""
        return _kept(t, default_mask, t.abs(), self.amount, False)


class _Structured(BasePruningMethod):
    """Prunes whole slices along a dimension."""

    def __init__(self, amount: Any, dim: int = -1) -> None:
        _count(amount, 1 << 62)
        self.amount, self.dim = amount, dim

    def scores(self, t: Any, others: tuple[int, ...]) -> Any:
        """One number a slice: the smallest are pruned."""
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without the slices of the smallest scores."""
        if t.ndim <= 1:
            raise ValueError(f"Structured pruning can only be applied to a multidimensional tensor, got {t.ndim}D")
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {tuple(t.shape)}")
        dim = self.dim % t.ndim
        others = tuple([d for d in range(t.ndim) if d != dim])
        alive = default_mask.sum(others).nonzero().squeeze(1)
        count = _count(self.amount, alive.numel())
        if not count:
            return default_mask
        chosen = self.scores(t, others).index_select(0, alive).topk(count, largest=False).indices
        return default_mask.index_fill(dim, alive.index_select(0, chosen), 0.0)


class RandomStructured(_Structured):
    """Prunes `amount` slices along `dim` (a share, or a number) drawn at random."""

    def scores(self, t: Any, others: tuple[int, ...]) -> Any:
        """Random numbers."""
        return flambeau.rand(t.shape[self.dim])


class LnStructured(_Structured):
    """Prunes the `amount` slices along `dim` (a share, or a number) of the smallest n-norms."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def scores(self, t: Any, others: tuple[int, ...]) -> Any:
        """The norms."""
        return flambeau.norm(t, self.n, others)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Both masks."""
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Any, name: str) -> Any:
    """Give a parameter a mask of ones, so that it counts as pruned. Returns `module`.

    Example:
        >>> fl.nn.utils.prune.identity(fl.nn.Linear(1, 1), "weight").weight_mask
        tensor([[1.]])
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Prune `amount` elements of a parameter (a share between 0 and 1, or a number), drawn at random.

    Example:
        >>> fl.nn.utils.prune.random_unstructured(fl.nn.Linear(2, 1), "weight", 1).weight_mask.sum()
        tensor(1.)
    """
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:
    """Prune the `amount` elements of a parameter (a share between 0 and 1, or a number) of the smallest sizes.

    Arguments: `importance_scores`, of the parameter's shape, instead of the sizes. Returns `module`.

    Example:
        >>> layer = fl.nn.Linear(2, 1)
        >>> layer.weight.data = fl.tensor([[0.1, -2.0]])
        >>> fl.nn.utils.prune.l1_unstructured(layer, "weight", 0.5).weight_mask
        tensor([[0., 1.]])
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Prune `amount` slices along `dim` of a parameter (a share, or a number), drawn at random.

    Example:
        >>> fl.nn.utils.prune.random_structured(fl.nn.Linear(3, 2), "weight", 1, 0).weight_mask.sum()
        tensor(3.)
    """
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Any:
    """Prune the `amount` slices along `dim` of a parameter (a share, or a number) of the smallest n-norms.

    Example:
        >>> layer = fl.nn.Linear(1, 2)
        >>> layer.weight.data = fl.tensor([[0.1], [-2.0]])
        >>> fl.nn.utils.prune.ln_structured(layer, "weight", 1, 2, 0).weight_mask
        tensor([[0.],
                [1.]])
    """
    LnStructured.apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Prune a parameter where `mask`, of its shape, is zero.

    Example:
        >>> layer = fl.nn.utils.prune.custom_from_mask(fl.nn.Linear(2, 1), "weight", fl.tensor([[0.0, 1.0]]))
        >>> layer.weight[0, 0] == 0
        tensor(True)
    """
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any) -> None:
    """Prune several parameters as if they were one.

    Arguments: `parameters`, pairs (module, name); `pruning_method`, `L1Unstructured` or `RandomUnstructured`, with its
    arguments; `importance_scores`, a dictionary of tensors for such pairs. Errors: TypeError.

    Example:
        >>> layers = [fl.nn.Linear(2, 2), fl.nn.Linear(2, 2)]
        >>> prune = fl.nn.utils.prune
        >>> prune.global_unstructured([(each, "weight") for each in layers], prune.L1Unstructured, amount=4)
        >>> sum(float(each.weight_mask.sum()) for each in layers)
        4.0
    """
    pairs, scores = list(parameters), importance_scores or {}
    if not pairs or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        raise TypeError("global_unstructured(): parameters must be a non-empty list of pairs (module, name)")
    tensors = [getattr(module, name).detach() for module, name in pairs]
    importance = flambeau.cat([scores.get((m, n), t).detach().reshape((-1,)) for (m, n), t in zip(pairs, tensors)])
    masks = [getattr(m, n + "_mask", flambeau.ones_like(t)).reshape((-1,)) for (m, n), t in zip(pairs, tensors)]
    method = pruning_method(**kwargs)
    if isinstance(method, _Structured):
        raise TypeError(f"global_unstructured(): needs an unstructured method, got {pruning_method.__name__}")
    whole = method.compute_mask(importance, default_mask=flambeau.cat(masks))
    start = 0
    for (module, name), tensor in zip(pairs, tensors):
        custom_from_mask(module, name, whole.narrow(0, start, tensor.numel()).reshape(tensor.shape))
        start += tensor.numel()


def remove(module: Any, name: str) -> Any:
    """Make the pruned values of a parameter the parameter itself. Errors: ValueError where it is not pruned.

    Example:
        >>> layer = fl.nn.utils.prune.l1_unstructured(fl.nn.Linear(2, 1), "weight", 1)
        >>> sorted(fl.nn.utils.prune.remove(layer, "weight").state_dict())
        ['bias', 'weight']
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module: Any) -> bool:
    """Whether a parameter in the tree of a module is pruned.

    Example:
        >>> fl.nn.utils.prune.is_pruned(fl.nn.Linear(1, 1))
        False
    """
    return any(
        isinstance(hook, BasePruningMethod)
        for _, each in module.named_modules()
        for hook in each._forward_pre_hooks.values()
    )
