"""Optimizers and learning-rate schedules. The mathematics of each rule is an operation in `flambeau/ops/update.py`."""

from flambeau.optim import lr_scheduler
from flambeau.optim.adam import Adam, AdamW
from flambeau.optim.adaptive import Adadelta, Adagrad, Adamax, RMSprop
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Optimizer", "RMSprop", "lr_scheduler"]
