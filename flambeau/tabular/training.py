"""The two ways to train: the classic full-batch loop, and an ensemble with early stopping for each member."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import flambeau as fl
from flambeau import nn

from .network import Ensemble, perceptron

if TYPE_CHECKING:
    import numpy as np

__all__ = ["History", "ensemble_outputs", "perceptron_outputs", "train_ensemble", "train_perceptron"]

# called after every epoch: (epochs done, epochs at most, loss on training rows, loss on validation rows or None)
Progress = Callable[[int, int, float, "float | None"], None]

VALIDATION_SHARE = 0.125
PREDICTION_ROWS = 4096


class History:
    """Mean squared errors of the standardised target by epoch, for the learning curve."""

    def __init__(self) -> None:
        self.training: list[float] = []
        self.validation: list[float] = []
        self.best_epoch: list[int] = []  # per member; empty without early stopping

    def to_json(self) -> dict[str, list[float] | list[int]]:
        return {"training": self.training, "validation": self.validation, "best_epoch": self.best_epoch}


def train_perceptron(
    inputs: np.ndarray,
    target: np.ndarray,
    *,
    hidden: tuple[int, ...],
    epochs: int,
    learning_rate: float,
    patience: int | None,
    seed: int,
    progress: Progress | None,
) -> tuple[nn.Module, History]:
    """Adam on the whole training set at once; with `patience`, early stopping on an eighth of the rows set aside."""
    import numpy as np

    fl.manual_seed(seed)
    network = perceptron([inputs.shape[1], *hidden, 1])
    rows: np.ndarray = np.arange(len(inputs))
    held = rows[:0]
    if patience is not None:
        rows = np.random.default_rng([seed, 1]).permutation(len(inputs))
        held, rows = np.split(rows, [max(1, int(len(rows) * VALIDATION_SHARE))])
    features, aims = fl.from_numpy(inputs[rows]), fl.from_numpy(target[rows, None])
    held_features, held_aims = fl.from_numpy(inputs[held]), fl.from_numpy(target[held, None])
    optimizer = fl.optim.Adam(network.parameters(), lr=learning_rate)
    loss_function = nn.MSELoss()
    history = History()
    best, best_epoch, best_state = float("inf"), 0, None
    for epoch in range(1, epochs + 1):
        optimizer.zero_grad()
        loss = loss_function(network(features), aims)
        loss.backward()
        optimizer.step()
        history.training.append(loss.item())
        validation = None
        if patience is not None:
            with fl.no_grad():
                validation = loss_function(network(held_features), held_aims).item()
            history.validation.append(validation)
            if validation < best:
                best, best_epoch = validation, epoch
                best_state = {name: value.detach().clone() for name, value in network.state_dict().items()}
        if progress is not None:
            progress(epoch, epochs, history.training[-1], validation)
        if patience is not None and epoch - best_epoch >= patience:
            break
    if best_state is not None:
        network.load_state_dict(best_state)
        history.best_epoch = [best_epoch]
    return network, history


def train_ensemble(
    inputs: np.ndarray,
    target: np.ndarray,
    *,
    hidden: tuple[int, ...],
    members: int,
    epochs: int,
    batch_size: int | None,
    learning_rate: float,
    patience: int,
    seed: int,
    progress: Progress | None,
) -> tuple[Ensemble, History]:
    """Trains every member at once, each on its own rows in its own order.

    Member i sets the i-th part of the shuffled rows aside, learns from the others, and keeps the weights of the epoch
    with the least error on its part; so all rows are learned from by some member and every member has its own judge.
    """
    import numpy as np

    generator = np.random.default_rng([seed, 1])
    rows = len(inputs)
    held_rows = max(1, int(rows * min(VALIDATION_SHARE, 1.0 / max(members, 2))))
    order = generator.permutation(rows)
    held = np.stack([np.roll(order, -member * held_rows)[:held_rows] for member in range(members)])
    fitted = np.stack([np.roll(order, -member * held_rows)[held_rows:] for member in range(members)])
    if batch_size is None:
        batch_size = int(2 ** np.clip(np.floor(np.log2(max(rows / 40, 1))), 3, 9))
    batch_size = min(batch_size, fitted.shape[1])
    steps = fitted.shape[1] // batch_size

    network = Ensemble(members, [inputs.shape[1], *hidden, 1], seed)
    optimizer = fl.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    held_inputs = [fl.from_numpy(inputs[part]) for part in np.split(held, _pieces(held_rows, members), axis=1)]
    held_target = target[held]
    history = History()
    best = np.full(members, np.inf)
    best_epoch = np.zeros(members, dtype=np.int64)
    best_values = [parameter.detach().numpy().copy() for parameter in network.parameters()]
    for epoch in range(1, epochs + 1):
        shuffled = generator.permuted(fitted, axis=1)[:, : steps * batch_size].reshape(members, steps, batch_size)
        total = None
        for step in range(steps):
            chosen = shuffled[:, step]
            batch, aims = fl.from_numpy(inputs[chosen]), fl.from_numpy(target[chosen])
            optimizer.zero_grad()
            # the mean over all members' rows, times members: each member gets the gradient it would have alone
            loss = fl.nn.functional.mse_loss(network(batch), aims) * float(members)
            loss.backward()
            optimizer.step()
            detached = loss.detach()
            total = detached if total is None else total + detached
        history.training.append(float(total.item()) / steps / members if total is not None else float("nan"))
        with fl.no_grad():
            outputs = np.concatenate([network(part).numpy() for part in held_inputs], axis=1)
        errors = ((outputs - held_target) ** 2).mean(axis=1)
        history.validation.append(float(errors.mean()))
        better = errors < best
        best[better], best_epoch[better] = errors[better], epoch
        current = [parameter.detach().numpy() for parameter in network.parameters()]
        for kept, values in zip(best_values, current, strict=True):
            kept[better] = values[better]
        if progress is not None:
            progress(epoch, epochs, history.training[-1], history.validation[-1])
        if (epoch - best_epoch >= patience).all():
            break
    with fl.no_grad():
        for parameter, kept in zip(network.parameters(), best_values, strict=True):
            parameter.copy_(fl.from_numpy(kept))
    history.best_epoch = [int(value) for value in best_epoch]
    return network, history


def _pieces(rows: int, members: int) -> list[int]:
    """Where to cut `rows` so that one piece of all members' inputs stays of modest size."""
    size = max(1, 4 * PREDICTION_ROWS // members)
    return list(range(size, rows, size))


def perceptron_outputs(network: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """The network's outputs for all rows, float32 (N,)."""
    return _outputs(inputs, lambda part: network(part).squeeze(-1))


def ensemble_outputs(network: Ensemble, inputs: np.ndarray, members: int) -> np.ndarray:
    """The members' mean output for all rows, float32 (N,)."""
    return _outputs(
        inputs, lambda part: network(part.unsqueeze(0).expand(members, part.shape[0], part.shape[1])).mean(dim=0)
    )


def _outputs(inputs: np.ndarray, forward: Callable[[fl.Tensor], fl.Tensor]) -> np.ndarray:
    import numpy as np

    parts = []
    with fl.no_grad():
        for start in range(0, len(inputs), PREDICTION_ROWS):
            parts.append(forward(fl.from_numpy(inputs[start : start + PREDICTION_ROWS])).numpy())
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
