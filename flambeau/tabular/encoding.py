"""From parsed columns to the network's inputs: a list of small steps, each fitted on training rows and kept as JSON.

Two ways to build the list: `plain_steps` (numbers as they are, one-hot categories: the classic recipe and the
baselines) and `rich_steps` (logs of skewed numbers, flags for missing cells, integer codes recognised, level effects
for categories with many levels).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .columns import MISSING_LEVEL, Column
from .effects import fit_effects, out_of_fold_effects

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["GROUPINGS", "Encoder", "Step", "group_values", "groupings", "plain_steps", "rich_steps"]

OTHER_LEVEL = "Other"
FEW_LEVELS = 10  # a category with no more levels than this is one-hot encoded
RARE_ROWS = 10  # one-hot levels with fewer rows are grouped
MOST_LEVELS = 200  # one-hot levels a column, at most
NEARLY_CONSTANT = 0.8
# The parts of a text that may group it, coarse to fine: "SW19 8NY" gives SW | SW19 | SW19 8 | SW19 8NY.
GROUPINGS = ("first run", "first word", "second run", "whole")
WORDS = re.compile(r"[\s\-_/.,:;]+")
RUN = re.compile(r"[A-Za-z]+|\d+|.", re.UNICODE)


def _group(text: str, grouping: str) -> str:
    if grouping == "whole":
        return text
    words = [word for word in WORDS.split(text) if word] or [text]
    if grouping == "first word":
        return words[0]
    run = RUN.match(words[0] if grouping == "first run" or len(words) == 1 else words[1])
    start = run.group() if run else ""
    return start if grouping == "first run" else " ".join((words[0], start)) if len(words) > 1 else words[0]


def group_values(values: pd.Series, grouping: str) -> pd.Series:
    """The text's part that `grouping` names; a missing text is a level of its own."""
    read = {text: _group(text, grouping) for text in values.dropna().unique()}
    return values.map(lambda text: MISSING_LEVEL if text is None or text != text else read[text]).astype(object)


def groupings(values: pd.Series, finest: float) -> list[str]:
    """The groupings of a text with at least `finest` rows a level and far fewer levels than the next finer one."""
    present = values.dropna()
    counts = {grouping: int(group_values(present, grouping).nunique()) for grouping in GROUPINGS}
    chosen: list[str] = []
    finer = 2 * len(present) + 2
    for grouping in reversed(GROUPINGS):
        levels = counts[grouping]
        if levels < 2 or (grouping != "whole" and (levels > finer / 2 or counts["whole"] <= FEW_LEVELS)):
            continue
        if grouping == "whole":
            finer = levels
        if len(present) / levels >= finest:
            chosen.insert(0, grouping)
            finer = levels
    return chosen


@dataclass
class Step:
    """One column's contribution to the inputs: a `kind`, the column, and what was fitted."""

    kind: str  # number | missing | date | levels | effect
    column: str
    fitted: dict[str, Any]

    def names(self) -> list[str]:
        if self.kind == "number":
            return [("log " if self.fitted["log"] else "") + self.column]
        if self.kind == "missing":
            return [f"{self.column} is missing"]
        if self.kind == "date":
            return [f"{self.column}: {part}" for part in self.fitted["parts"]]
        label = self.column if self.fitted["grouping"] == "whole" else f"{self.column} ({self.fitted['grouping']})"
        if self.kind == "effect":
            return [f"effect of {label}"]
        levels = self.fitted["levels"] + ([OTHER_LEVEL] if self.fitted["other"] else [])
        return [f"{label} = {level}" for level in levels]

    def texts(self, table: pd.DataFrame) -> pd.Series:
        return group_values(as_text(table[self.column]), self.fitted["grouping"])

    def transform(self, table: pd.DataFrame, notes: list[str] | None) -> np.ndarray:
        """The step's inputs, (N, number of names)."""
        import numpy as np

        values = table[self.column]
        if self.kind == "number":
            numbers = values.to_numpy(dtype=np.float64)
            if notes is not None and np.isnan(numbers).any():
                notes.append(
                    f"Column {self.column!r}: {int(np.isnan(numbers).sum())} missing cells were filled with the "
                    f"training rows' median, {self.fitted['fill']:g}."
                )
            return _scaled_number(np.where(np.isnan(numbers), self.fitted["fill"], numbers), self.fitted)[:, None]
        if self.kind == "missing":
            return values.isna().to_numpy(dtype=np.float64)[:, None]
        if self.kind == "date":
            return _date_parts(values, self.fitted)
        texts = self.texts(table)
        if self.kind == "effect":
            effects = self.fitted["effects"]
            self._note_unseen(texts, effects, notes)
            return np.array([effects.get(text, 0.0) for text in texts], dtype=np.float64)[:, None]
        levels = self.fitted["levels"]
        position = {level: index for index, level in enumerate(levels)}
        self._note_unseen(texts, {**position, **dict.fromkeys(self.fitted["rare"])}, notes)
        matrix = np.zeros((len(texts), len(levels) + bool(self.fitted["other"])))
        for row, text in enumerate(texts):
            column = position.get(text, len(levels))
            if column < matrix.shape[1]:
                matrix[row, column] = 1.0
        return matrix

    def _note_unseen(self, texts: pd.Series, known: dict[str, Any], notes: list[str] | None) -> None:
        if notes is None:
            return
        unseen = texts[~texts.isin(list(known))]
        if len(unseen):
            shown = ", ".join(repr(text) for text in unseen.unique()[:3])
            label = "" if self.fitted["grouping"] == "whole" else f" ({self.fitted['grouping']})"
            what = "the average over all levels" if self.kind == "effect" else f"the level {OTHER_LEVEL!r}"
            if self.kind == "levels" and not self.fitted["other"]:
                what = "none of the known levels"
            notes.append(
                f"Column {self.column!r}{label}: {len(unseen)} of {len(texts)} rows have a level that was not seen in "
                f"training ({shown}); they count as {what}."
            )


def as_text(values: pd.Series) -> pd.Series:
    """Category cells as they are; integer codes as text without a decimal point."""
    if values.dtype == object:
        return values
    return values.map(lambda cell: None if cell != cell else f"{cell:.15g}").astype(object)


def _scaled_number(values: np.ndarray, fitted: dict[str, Any]) -> np.ndarray:
    import numpy as np

    if fitted["low"] is not None:
        values = np.clip(values, fitted["low"], fitted["high"])
    return np.log(np.maximum(values + fitted["shift"], 1e-300)) if fitted["log"] else values


def _date_parts(values: pd.Series, fitted: dict[str, Any]) -> np.ndarray:
    import numpy as np
    import pandas as pd

    dates = values.fillna(pd.Timestamp(fitted["fill"]))
    origin = pd.Timestamp(fitted["origin"])
    parts = {
        "year": dates.dt.year,
        "month": dates.dt.month,
        "hour": dates.dt.hour,
        "days": (dates - origin).dt.total_seconds() / 86400.0,
    }
    return np.column_stack([parts[part].to_numpy(dtype=np.float64) for part in fitted["parts"]])


def _skew(values: np.ndarray) -> float:
    import numpy as np

    centred = values - values.mean()
    spread = np.sqrt((centred**2).mean())
    return float((centred**3).mean() / spread**3) if spread > 0 else 0.0


def _number_step(name: str, values: pd.Series, logs: bool) -> Step:
    import numpy as np

    numbers = values.dropna().to_numpy(dtype=np.float64)
    fill = float(np.median(numbers)) if len(numbers) else 0.0
    fitted: dict[str, Any] = {"fill": fill, "log": False, "shift": 0.0, "low": None, "high": None}
    if logs and len(numbers):
        # Beyond its training range a network is a guess: inputs are held within it.
        fitted["low"], fitted["high"] = float(numbers.min()), float(numbers.max())
        positive = numbers[numbers > 0]
        if numbers.min() >= 0.0 and len(positive) and _skew(numbers) > 1.0:
            shift = 0.0 if numbers.min() > 0.0 else float(positive.min())
            if abs(_skew(np.log(numbers + shift))) < _skew(numbers):
                fitted["log"], fitted["shift"] = True, shift
    return Step("number", name, fitted)


def _date_step(name: str, dates: pd.Series) -> Step:
    import pandas as pd

    present = dates.dropna()
    if not len(present):
        present = pd.Series([pd.Timestamp(1970, 1, 1)])
    parts = ["year", "month", "days"]
    if (present.dt.hour != 0).any():
        parts.append("hour")
    return Step("date", name, {"parts": parts, "origin": str(present.min()), "fill": str(present.median())})


def _levels_step(name: str, texts: pd.Series, grouping: str, few: int) -> Step | None:
    sizes = texts.value_counts()
    rare_rows = min(RARE_ROWS, max(2, len(texts) // 20))
    frequent = sizes[sizes >= rare_rows].index[:MOST_LEVELS] if len(sizes) > few else sizes.index
    if len(sizes) < 2:
        return None
    rare = sorted(set(sizes.index) - set(frequent))
    return Step("levels", name, {"grouping": grouping, "levels": sorted(frequent), "rare": rare, "other": bool(rare)})


def plain_steps(table: pd.DataFrame, columns: list[Column], notes: list[str]) -> list[Step]:
    """Numbers as they are, dates as parts, categories one-hot with rare levels grouped as "Other".

    A text with many values is reduced to its finest part that groups at least ten rows a level on average; one
    without such a part, and one that is the same in four rows of five, is left out.
    """
    steps: list[Step] = []
    for column in columns:
        if column.kind == "dropped":
            continue
        values = table[column.name]
        if column.kind == "date":
            steps.append(_date_step(column.name, values))
        elif column.kind != "category":
            steps.append(_number_step(column.name, values, logs=False))
        else:
            chosen = groupings(values, finest=float(RARE_ROWS))
            if values.nunique() <= FEW_LEVELS:
                chosen = ["whole"]
            if not chosen:
                notes.append(f"Column {column.name!r} is not used: nearly every value is different (free text).")
                continue
            grouping = chosen[-1]
            texts = group_values(values, grouping)
            if texts.nunique() > FEW_LEVELS and texts.value_counts(normalize=True).iloc[0] > NEARLY_CONSTANT:
                level = texts.value_counts().index[0]
                notes.append(f"Column {column.name!r} is not used: it is nearly always {level!r}.")
                continue
            step = _levels_step(column.name, texts, grouping, FEW_LEVELS)
            if step is not None:
                steps.append(step)
    return steps


def rich_steps(
    table: pd.DataFrame, columns: list[Column], target: np.ndarray, notes: list[str], seed: int
) -> list[Step]:
    """The default recipe's steps; effects are fitted later, when the other inputs are known (`Encoder.fit`)."""
    steps: list[Step] = []
    for column in columns:
        if column.kind == "dropped":
            continue
        values = table[column.name]
        if column.kind == "category":
            steps.extend(_category_steps(column.name, values, notes))
            continue
        if values.nunique() + bool(values.isna().any()) < 2:
            continue  # the same in every training row
        if column.kind == "date":
            steps.append(_date_step(column.name, values))
        else:
            steps.append(_number_step(column.name, values, logs=column.kind == "number"))
            if column.kind == "number" and _is_code(values, target, seed):
                notes.append(f"Column {column.name!r}: its numbers act as codes; each also counts as a category.")
                step = None
                if values.nunique() <= FEW_LEVELS:
                    step = _levels_step(column.name, as_text(values).fillna(MISSING_LEVEL), "whole", 0)
                steps.append(step or Step("effect", column.name, {"grouping": "whole", "effects": {}}))
        if values.isna().any():
            steps.append(Step("missing", column.name, {}))
    return steps


def _category_steps(name: str, values: pd.Series, notes: list[str]) -> list[Step]:
    texts = group_values(values, "whole")
    if texts.nunique() < 2:
        return []
    if texts.nunique() <= FEW_LEVELS:
        step = _levels_step(name, texts, "whole", 0)
        return [step] if step is not None else []
    chosen = groupings(values, finest=2.5)
    repeated = texts.duplicated(keep=False).mean()
    if "whole" not in chosen and repeated >= 0.2:
        chosen.append("whole")
    if not chosen:
        notes.append(f"Column {name!r} is not used: nearly every value is different (free text).")
    parts = [grouping for grouping in chosen if grouping != "whole"]
    if parts:
        notes.append(f"Column {name!r} is grouped by its {', '.join(parts)}.")
    return [Step("effect", name, {"grouping": grouping, "effects": {}}) for grouping in chosen]


def _is_code(values: pd.Series, target: np.ndarray, seed: int) -> bool:
    """Whether an integer column is a nominal code: its levels' means explain the target where a smooth curve cannot."""
    import numpy as np

    present = values.notna().to_numpy()
    numbers, aims = values.to_numpy(dtype=np.float64)[present], target[present]
    if len(numbers) < 50 or not np.isfinite(numbers).all() or (numbers % 1).any():
        return False
    levels, codes = np.unique(numbers, return_inverse=True)
    if len(levels) < 4 or len(numbers) / len(levels) < 8:
        return False
    order = np.random.default_rng(seed).permutation(len(numbers))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    bins = min(20, max(2, len(levels) // 3))
    edges = np.unique(np.quantile(numbers, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    binned = np.searchsorted(edges, numbers, side="right")
    scale = max(float(np.abs(levels).max()), 1.0)
    errors = np.zeros(3)
    for fitted, held in (halves, halves[::-1]):
        mean = aims[fitted].mean()
        for position, code in enumerate((codes, binned)):
            sums = np.bincount(code[fitted], weights=aims[fitted] - mean, minlength=code.max() + 1)
            sizes = np.bincount(code[fitted], minlength=code.max() + 1)
            errors[position] += ((aims[held] - mean - (sums / (sizes + 1.0))[code[held]]) ** 2).sum()
        curve = np.polynomial.Polynomial.fit(numbers[fitted] / scale, aims[fitted], min(3, len(levels) - 1))
        errors[2] += ((aims[held] - curve(numbers[held] / scale)) ** 2).sum()
    variance = float(((aims - aims.mean()) ** 2).sum())
    return bool(min(errors[1], errors[2]) - errors[0] > 0.03 * variance)


class Encoder:
    """The fitted steps with the scaler after them: a parsed table in, standardised float32 inputs out."""

    def __init__(self, steps: list[Step], mean: np.ndarray | None = None, scale: np.ndarray | None = None) -> None:
        import numpy as np

        self.steps = steps
        self.mean = np.zeros(0) if mean is None else mean
        self.scale = np.ones(0) if scale is None else scale

    @property
    def names(self) -> list[str]:
        return [name for step in self.steps for name in step.names()]

    def fit(self, table: pd.DataFrame, target: np.ndarray, seed: int) -> np.ndarray:
        """Fits effects and scaler on training rows; returns those rows' inputs, with effects fitted out of fold."""
        import numpy as np
        import pandas as pd
        from sklearn.preprocessing import StandardScaler

        plain = [step for step in self.steps if step.kind != "effect"]
        effects = [step for step in self.steps if step.kind == "effect"]
        blocks = {id(step): step.transform(table, None) for step in plain}
        if effects:
            inputs = np.hstack([np.zeros((len(table), 0)), *blocks.values()])
            inputs = StandardScaler().fit_transform(inputs) if inputs.shape[1] else inputs
            factors = [pd.factorize(step.texts(table), sort=True) for step in effects]
            # coarse before fine: what a group shares is then told of the group and not of its parts
            order = sorted(range(len(effects)), key=lambda position: len(factors[position][1]))
            effects, factors = [effects[position] for position in order], [factors[position] for position in order]
            codes, counts = [factor[0] for factor in factors], [len(factor[1]) for factor in factors]
            fitted = fit_effects(inputs, codes, counts, target)
            held = out_of_fold_effects(inputs, codes, counts, target, seed)
            for position, step in enumerate(effects):
                levels = factors[position][1]
                step.fitted["effects"] = {
                    str(level): float(effect) for level, effect in zip(levels, fitted[position], strict=True)
                }
                blocks[id(step)] = held[:, position : position + 1]
        matrix = np.hstack([blocks[id(step)] for step in self.steps])
        scaler = StandardScaler().fit(matrix)
        self.mean, self.scale = scaler.mean_, scaler.scale_
        return self._standardise(matrix)

    def raw(self, table: pd.DataFrame, notes: list[str] | None = None) -> np.ndarray:
        import numpy as np

        return np.hstack([step.transform(table, notes) for step in self.steps])

    def transform(self, table: pd.DataFrame, notes: list[str] | None = None) -> np.ndarray:
        """The inputs of new rows, float32 (N, F)."""
        return self._standardise(self.raw(table, notes))

    def with_codes(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """The inputs for a learner that knows categories: (N, F), one column of level numbers for each one-hot step.

        Returns: the inputs and a boolean (F,) that marks the columns of level numbers.
        """
        import numpy as np

        blocks, categorical = [], []
        for step in self.steps:
            block = step.transform(table, None)
            if step.kind == "levels":
                block = (block.argmax(axis=1) + block.any(axis=1))[:, None].astype(np.float64)
            blocks.append(block)
            categorical += [step.kind == "levels"] * block.shape[1]
        return np.hstack(blocks), np.array(categorical, dtype=bool)

    def _standardise(self, matrix: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.ascontiguousarray((matrix - self.mean) / self.scale, dtype=np.float32)

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": [{"kind": step.kind, "column": step.column, "fitted": step.fitted} for step in self.steps],
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Encoder:
        import numpy as np

        steps = [Step(step["kind"], step["column"], step["fitted"]) for step in values["steps"]]
        mean, scale = np.array(values["mean"], dtype=np.float64), np.array(values["scale"], dtype=np.float64)
        return cls(steps, mean, scale)
