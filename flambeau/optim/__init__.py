"""Optimizers and learning-rate schedules. The mathematics of each rule is an operation in `flambeau/ops/update.py`."""

from flambeau.optim import lr_scheduler
from flambeau.optim.adam import Adam, AdamW
from flambeau.optim.adaptive import Adadelta, Adagrad, Adamax, RMSprop
from flambeau.optim.lbfgs import LBFGS
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.sgd import SGD
from flambeau.optim.sparse_adam import SparseAdam
from flambeau.optim.variants import ASGD, NAdam, RAdam, Rprop

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop",
    "Rprop", "SparseAdam", "lr_scheduler",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "swa_utils":
        from importlib import import_module

        return import_module("flambeau.optim.swa_utils")
    raise AttributeError(f"module 'flambeau.optim' has no attribute {name!r}")
