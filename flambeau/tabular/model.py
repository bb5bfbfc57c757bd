"""Training a model on a table, and the model: `train`, `load`, `Model.predict`, `Model.save`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import flambeau as fl

from .columns import LARGEST, Column, equal_columns, parse_column, parse_table, read_column, read_columns
from .encoding import Encoder, Step, plain_steps, rich_steps
from .errors import TableError
from .folder import check_destination, read_folder, write_folder
from .metrics import measure
from .network import Ensemble, perceptron
from .reading import close_names, read_table, select_rows
from .report import Report
from .target import TargetScale
from .training import History, Progress, ensemble_outputs, perceptron_outputs, train_ensemble, train_perceptron

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from flambeau import nn

__all__ = ["Model", "load", "train"]

RECIPES = ("default", "classic")
FEWEST_ROWS = 20
DAMAGED = (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError)


class Model:
    """A trained network with everything that turns a table into predictions in the target's units."""

    def __init__(
        self,
        recipe: str,
        target: str,
        columns: list[Column],
        encoder: Encoder,
        scale: TargetScale,
        network: nn.Module,
        sizes: list[int],
        members: int,
    ) -> None:
        self.recipe, self.target = recipe, target
        self.columns, self.encoder, self.scale = columns, encoder, scale
        self.network, self.sizes, self.members = network, sizes, members
        self.report = Report(target, recipe, {}, [])
        self.history = History()
        self.test_rows: np.ndarray | None = None  # positions of the test rows in the table that `train` was given
        self.test_truth: np.ndarray | None = None
        self.test_predicted: np.ndarray | None = None

    @property
    def features(self) -> list[str]:
        """The names of the network's inputs."""
        return self.encoder.names

    @property
    def needed_columns(self) -> list[str]:
        """The columns that a table must have to be predicted."""
        used = {step.column for step in self.encoder.steps}
        return [column.name for column in self.columns if column.name in used]

    def predict(self, table: Any, notes: list[str] | None = None) -> np.ndarray:
        """Predictions in the target's units.

        Arguments: `table`, a DataFrame or the path of a CSV or Parquet file with the training table's columns (the
        target is not needed, other columns are ignored); `notes`, a list that remarks are appended to (levels never
        seen in training, cells filled in).
        Returns: float64 array, one value a row.
        Errors: TableError when a column is missing.
        """
        remarks: list[str] = []
        frame = read_table(table, remarks)
        needed = self.needed_columns
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            more = f" {close_names(missing[0], list(frame.columns))}" if len(frame.columns) else ""
            raise TableError(
                f"The table has no column {', '.join(map(repr, missing))}, which the model was trained with.{more}"
            )
        known = {column.name for column in self.columns} | {self.target}
        extra = [name for name in frame.columns if name not in known]
        if extra:
            shown = ", ".join(map(repr, extra[:5])) + (" ..." if len(extra) > 5 else "")
            remarks.append(f"Columns not known from training are ignored: {shown}.")
        used = [column for column in self.columns if column.name in needed]
        parsed = parse_table(frame, used, remarks)
        outputs = self._outputs(self.encoder.transform(parsed, remarks))
        if notes is not None:
            notes.extend(remarks)
        return self.scale.inverse(outputs)

    def _outputs(self, inputs: np.ndarray) -> np.ndarray:
        if isinstance(self.network, Ensemble):
            return ensemble_outputs(self.network, inputs, self.members)
        return perceptron_outputs(self.network, inputs)

    def picture(self) -> bytes | None:
        """The run's picture as PNG bytes, or None for a model that was loaded."""
        if self.test_truth is None or self.test_predicted is None:
            return None
        from .picture import draw

        title = f"{self.target}: recipe {self.recipe}"
        return draw(title, self.target, self.history, self.test_truth, self.test_predicted, self.scale.log)

    def save(self, folder: str | os.PathLike[str]) -> str:
        """Writes the model's folder (weights, preprocessing, metrics, picture); an older model there is replaced whole.

        Returns: the folder's path. Errors: TableError when the folder holds other things or the disk is full.
        """
        weights = {name: value.detach().numpy() for name, value in self.network.state_dict().items()}
        preprocessing = {
            "recipe": self.recipe,
            "target": self.target,
            "network": {"sizes": self.sizes, "members": self.members},
            "scale": self.scale.to_json(),
            "columns": [column.to_json() for column in self.columns],
            "encoder": self.encoder.to_json(),
        }
        metrics = {
            "target": self.target,
            "recipe": self.recipe,
            "models": self.report.metrics,
            "facts": self.report.facts,
            "notes": self.report.notes,
            "history": self.history.to_json(),
        }
        return str(write_folder(folder, weights, preprocessing, metrics, self.picture()))

    @classmethod
    def _restore(cls, weights: dict[str, np.ndarray], saved: dict[str, Any], metrics: dict[str, Any]) -> Model:
        import numpy as np

        sizes, members = [int(size) for size in saved["network"]["sizes"]], int(saved["network"]["members"])
        network = Ensemble(members, sizes, seed=0) if members else perceptron(sizes)
        network.load_state_dict({name: fl.from_numpy(value.copy()) for name, value in weights.items()})
        encoder = Encoder.from_json(saved["encoder"])
        if {len(encoder.names), *np.shape(encoder.mean), *np.shape(encoder.scale)} != {sizes[0]}:
            raise ValueError("the encoder's inputs do not fit the network")
        columns = [Column.from_json(column) for column in saved["columns"]]
        model = cls(
            saved["recipe"],
            saved["target"],
            columns,
            encoder,
            TargetScale.from_json(saved["scale"]),
            network,
            sizes,
            members,
        )
        model.report.metrics = metrics.get("models", {})
        model.report.notes = metrics.get("notes", [])
        model.report.facts = metrics.get("facts", {})
        for name in vars(model.history):
            setattr(model.history, name, metrics.get("history", {}).get(name, []))
        return model


def load(folder: str | os.PathLike[str]) -> Model:
    """Reads a model that `Model.save` wrote; its predictions equal the saved model's bit for bit.

    Errors: TableError that names the missing or damaged file.
    """
    weights, saved, metrics = read_folder(folder)
    try:
        return Model._restore(weights, saved, metrics)
    except DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(
            f"The model folder {os.fspath(folder)!r} is damaged: its files do not fit each other ({reason}). "
            "Train again, or restore the folder from a copy."
        ) from None


def train(
    table: Any,
    target: str,
    *,
    recipe: str = "default",
    where: str | None = None,
    drop: Iterable[str] = (),
    seed: int = 0,
    test_size: float = 0.2,
    hidden: Iterable[int] = (64, 32),
    members: int = 8,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    patience: int | None = None,
    baselines: bool = True,
    output: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    stage: Callable[[str], None] | None = None,
) -> Model:
    """Trains a regression model on a table and measures it on rows held out.

    Arguments: `table`, a DataFrame or the path of a CSV or Parquet file; `target`, the column to predict; `recipe`,
    "default" (log target and inputs where skewed, level effects for categories, an ensemble with early stopping) or
    "classic" (raw target, one-hot, one network, 100 full-batch epochs); `where`, a pandas query that selects rows;
    `drop`, columns to leave out; `seed`, of the split and of all else that is random; `test_size`, the share of rows
    held out; `hidden`, the sizes of the hidden layers; `members`, how many networks in the ensemble (default recipe);
    `epochs`, `batch_size`, `learning_rate`, `patience`: None for the recipe's own (classic: 100, the whole table, 0.01,
    no early stopping); `baselines`, whether to train what to compare with; `output`, a folder to save to, checked
    before training; `progress` and `stage`, called as work goes on.
    Returns: the `Model`; `model.report` holds figures and remarks.
    Errors: TableError when the table cannot be trained on; its text says why and what to do.

        >>> model = flambeau.tabular.train("houses.csv", target="price")
        >>> print(model.report)
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    started = time.perf_counter()
    hidden = tuple(int(size) for size in hidden)
    _check_options(recipe, test_size, hidden, members, epochs, batch_size, learning_rate, patience)
    if output is not None:
        check_destination(output)
    tell = stage or (lambda text: None)
    notes: list[str] = []
    tell("reading the table")
    frame = read_table(table, notes)
    positions, truth, columns, parsed = _prepare(frame, target, where, tuple(drop), recipe, notes)

    fitted, held = train_test_split(np.arange(len(truth)), test_size=test_size, random_state=seed)
    if len(held) < 2 or truth[fitted].min() == truth[fitted].max():
        raise TableError("Too few different values remain for training and test: use more rows or another test size.")
    scale = TargetScale.fit(truth[fitted], allow_log=recipe == "default")
    if scale.log:
        notes.append(f"The target {target!r} is skewed: the network learns its logarithm.")
    aims = scale.forward(truth[fitted])

    tell("encoding")
    training, test = parsed.iloc[fitted], parsed.iloc[held]
    # The level lists of the plain encoding come from all rows, since they need no target; scale and fill do not.
    plain = plain_steps(parsed, columns, notes if recipe == "classic" else [])
    _fill_from(plain, training, columns)
    encoder = Encoder(rich_steps(training, columns, aims, notes, seed) if recipe == "default" else plain)
    if not encoder.steps:
        raise TableError("No column is left to predict from: every one is missing, constant or free text.")
    inputs = encoder.fit(training, aims, seed)

    tell("training")
    aims32 = aims.astype(np.float32)
    network: nn.Module
    if recipe == "default":
        network, history = train_ensemble(
            inputs, aims32, hidden=hidden, members=members, epochs=epochs or 100, batch_size=batch_size,
            learning_rate=learning_rate or 3e-3, patience=patience or 12, seed=seed, progress=progress,
        )  # fmt: skip
    else:
        members = 0
        network, history = train_perceptron(
            inputs, aims32, hidden=hidden, epochs=epochs or 100, learning_rate=learning_rate or 0.01, patience=patience,
            seed=seed, progress=progress,
        )  # fmt: skip
    sizes = [inputs.shape[1], *hidden, 1]
    model = Model(recipe, target, columns, encoder, scale, network, sizes, members)
    model.history = history
    model.test_rows, model.test_truth = positions[held], truth[held]
    model.test_predicted = scale.inverse(model._outputs(encoder.transform(test)))
    if not np.isfinite(model.test_predicted).all():
        raise TableError("Training diverged: the predictions are not finite. Use a smaller learning rate.")
    model.report.metrics[f"flambeau, {recipe}"] = measure(model.test_truth, model.test_predicted)
    if baselines:
        tell("comparing with scikit-learn")
        from .baselines import baseline_predictions

        other = encoder
        if recipe != "classic":
            other = Encoder(plain)
            if plain:
                other.fit(training, aims, seed)
        found = baseline_predictions(other, training, truth[fitted], test, seed)
        for name in reversed(found):
            model.report.metrics[name] = measure(model.test_truth, found[name])
    model.report.notes = notes
    network_text = "-".join(map(str, sizes)) + (f", {members} members" if members > 1 else "")
    model.report.facts = {
        "training_rows": len(fitted), "test_rows": len(held), "features": inputs.shape[1], "network": network_text,
        "epochs": len(history.training), "seed": seed, "seconds": round(time.perf_counter() - started, 3),
    }  # fmt: skip
    if output is not None:
        tell("saving")
        model.save(output)
    return model


def _prepare(
    frame: pd.DataFrame, target: str, where: str | None, drop: tuple[str, ...], recipe: str, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, list[Column], pd.DataFrame]:
    """Positions of the usable rows, their target, the columns' readings and the parsed inputs."""
    import numpy as np

    if target not in frame.columns:
        raise TableError(f"The table has no column {target!r} to predict. {close_names(target, list(frame.columns))}")
    for name in drop:
        if name not in frame.columns:
            raise TableError(f"There is no column {name!r} to leave out. {close_names(name, list(frame.columns))}")
        if name == target:
            raise TableError(f"The column {name!r} is the target: it cannot be left out.")
    target_column = read_column(frame[target])
    if target_column.kind not in ("number", "flag"):
        what = target_column.reason or f"its cells are {'dates' if target_column.kind == 'date' else 'text'}"
        raise TableError(
            f"The target {target!r} cannot be predicted as a number: {what}. Choose a column of numbers "
            "(at least nine cells in ten must be readable as numbers)."
        )
    columns = read_columns(frame, target, notes, drop)
    if not any(column.kind != "dropped" for column in columns):
        raise TableError(f"The table has no column to predict {target!r} from.")
    parsed = parse_table(frame, columns, notes)
    truth = parse_column(frame[target], target_column)
    positions = np.arange(len(frame))
    if where is not None:
        readings = [column for column in (read_column(frame[name]) for name in drop) if column.kind != "dropped"]
        left_out = {column.name: parse_column(frame[column.name], column) for column in readings}
        readable = frame.assign(**{**parsed, **left_out, target: truth, "\0position": positions})
        chosen = select_rows(readable, where)["\0position"].to_numpy()
        notes.append(f"The filter {where!r} keeps {len(chosen):,} of {len(frame):,} rows.")
        positions = chosen
    values = truth.to_numpy(dtype=np.float64)[positions]
    usable = np.abs(values) <= LARGEST  # false for NaN
    if not usable.any():
        raise TableError(f"The target {target!r} has no usable value: every cell is missing, infinite or not a number.")
    if not usable.all():
        notes.append(
            f"{int((~usable).sum()):,} of {len(values):,} rows were left out: their target {target!r} is missing, "
            "infinite or not a number."
        )
    positions, values = positions[usable], values[usable]
    if len(values) < FEWEST_ROWS:
        rows = "1 usable row" if len(values) == 1 else f"{len(values)} usable rows"
        raise TableError(f"The table has {rows}, and at least {FEWEST_ROWS} are needed to train and to test.")
    if values.min() == values.max():
        raise TableError(f"The target {target!r} is {values[0]:g} in every row: there is nothing to learn.")
    parsed = parsed.iloc[positions]
    _report_table(parsed, columns, recipe, notes)
    return positions, values, columns, parsed


def _report_table(parsed: pd.DataFrame, columns: list[Column], recipe: str, notes: list[str]) -> None:
    """Notes on missing cells, equal columns, constant columns, repeated rows; marks columns of no use as dropped."""
    missing = parsed.isna().sum()
    if missing.any():
        parts = [f"{name!r} {count:,} ({count / len(parsed):.0%})" for name, count in missing.items() if count]
        notes.append(f"Missing cells: {', '.join(parts)}.")
    by_name = {column.name: column for column in columns}
    for names in equal_columns(parsed):
        listed = ", ".join(map(repr, names[:-1])) + f" and {names[-1]!r}"
        fate = "all are kept (classic recipe)" if recipe == "classic" else f"only {names[0]!r} is used"
        notes.append(f"Columns {listed} are equal in every row: {fate}.")
        if recipe != "classic":
            for name in names[1:]:
                by_name[name].kind, by_name[name].reason = "dropped", f"it equals {names[0]!r}"
    for name in parsed.columns:
        column = by_name[name]
        if column.kind != "dropped" and parsed[name].nunique(dropna=False) < 2:
            reason = "every cell is missing" if parsed[name].isna().all() else "it is the same in every row"
            column.kind, column.reason = "dropped", reason
            notes.append(f"Column {name!r} is not used: {reason}.")
    repeated = int(parsed.duplicated().sum())
    if repeated:
        what = "row repeats an earlier one" if repeated == 1 else "rows repeat an earlier one"
        notes.append(f"{repeated:,} {what} in every used column.")


def _fill_from(steps: list[Step], training: pd.DataFrame, columns: list[Column]) -> None:
    """Replaces the fitted numbers of plain steps, which were made on all rows, by the training rows'."""
    refitted = plain_steps(training, [column for column in columns if column.kind != "category"], [])
    fresh = {step.column: step for step in refitted}
    for step in steps:
        if step.column in fresh:
            step.fitted = fresh[step.column].fitted


def _check_options(
    recipe: str,
    test_size: float,
    hidden: tuple[int, ...],
    members: int,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    patience: int | None,
) -> None:
    if recipe not in RECIPES:
        raise TableError(f"There is no recipe {recipe!r}: choose {' or '.join(RECIPES)}.")
    if not 0.0 < test_size < 1.0:
        raise TableError(f"The test size is a share of the rows between 0 and 1, not {test_size:g}.")
    if any(size < 1 for size in hidden):
        raise TableError(f"The sizes of hidden layers are positive whole numbers, not {hidden}.")
    for name, value in (("members", members), ("epochs", epochs), ("batch size", batch_size), ("patience", patience)):
        if value is not None and value < 1:
            raise TableError(f"The option {name} must be at least 1, not {value}.")
    if learning_rate is not None and not 0.0 < learning_rate < float("inf"):
        raise TableError(f"The learning rate must be positive, not {learning_rate:g}.")
