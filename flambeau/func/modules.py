"""Modules as functions of their weights: called with other weights, and the state of several stacked for `vmap`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["functional_call", "replace_all_batch_norm_modules_", "stack_module_state"]


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: Any = None, *, tie_weights: bool = True,
    strict: bool = False,
) -> Any:  # fmt: skip
    """module(*args, **kwargs) with the parameters and buffers of the given names replaced for this one call.

    Arguments: a dictionary of dotted names, or several; `args`, one argument or a tuple; `tie_weights`, members that
    are one tensor are replaced together; `strict`, RuntimeError for names that are missing or unknown.
    """
    given = parameter_and_buffer_dicts
    values = dict(given) if isinstance(given, Mapping) else {k: v for one in given for k, v in one.items()}
    members = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    unknown, missing = [n for n in values if n not in members], [n for n in members if n not in values]
    if unknown or (strict and missing):
        raise RuntimeError(
            f"functional_call: Unexpected key(s): {unknown}; Missing key(s): {missing if strict else []}"
        )
    if tie_weights:
        tied = {id(members[name]): value for name, value in values.items()}
        values = {name: values.get(name, tied.get(id(member))) for name, member in members.items()
                  if name in values or id(member) in tied}  # fmt: skip
    kept = []
    try:
        for name, value in values.items():
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            registry = owner._parameters if last in owner._parameters else owner._buffers
            kept.append((owner, registry, last, registry[last]))
            registry[last] = value
        args = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*args, **(kwargs or {}))
    finally:
        for _, registry, last, value in reversed(kept):
            registry[last] = value


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """`root` with every batch normalisation in it no longer keeping running statistics, as vmap needs; returns it.

    Inside vmap the statistics, which all examples share, cannot be updated. Batches are normalised by their own
    statistics from then on, in training and in evaluation.

    >>> fl.func.replace_all_batch_norm_modules_(fl.nn.BatchNorm1d(2)).running_mean is None
    True
    """
    from flambeau.nn.batch_norm import _BatchNorm

    for module in root.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of several modules of one class, each stacked along a new dimension 0, for `vmap`.

    With `functional_call` an ensemble is one call: the results for all models in one batch. The parameters are leaves
    that require grad as the models' own do. Raises RuntimeError for no models, models of different classes, or some in
    training mode and some not.

    >>> models = [fl.nn.Linear(3, 2) for _ in range(4)]
    >>> parameters, buffers = fl.func.stack_module_state(models)
    >>> parameters["weight"].shape
    flambeau.Size([4, 2, 3])
    """
    from flambeau.ops.joining import stack

    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(model.training != models[0].training for model in models):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(lists: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            name: stack([one[name].detach() for one in lists]).requires_grad_(lists[0][name].requires_grad)
            for name in lists[0]
        }

    return stacked([dict(m.named_parameters()) for m in models]), stacked([dict(m.named_buffers()) for m in models])
