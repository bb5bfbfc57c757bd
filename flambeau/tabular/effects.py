"""Target encoding of categories with many levels, as shrunken level effects beside a linear model.

A level's plain target mean mixes the level's own effect with everything else that differs between levels (a district
of large houses has a high mean price). Here a linear model of the other inputs and one effect for each level of each
category are fitted together by backfitting; every effect is shrunk towards zero by the ratio of its column's noise to
its signal (empirical Bayes), so that rare levels say little and a column of no use says nothing. Training rows get
the effect that folds without them would give, so the network never reads its own target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["fit_effects", "out_of_fold_effects"]

SWEEPS = 8
FOLDS = 10


def fit_effects(inputs: np.ndarray, codes: list[np.ndarray], counts: list[int], target: np.ndarray) -> list[np.ndarray]:
    """Fits target ~ linear(inputs) + sum of level effects.

    Arguments: `inputs` (N, F) standardised; `codes`, one (N,) integer array a category; `counts`, its number of
    levels; `target` (N,).
    Returns: one array of level effects a category.
    """
    import numpy as np

    rows = len(target)
    design = np.column_stack([np.ones(rows), inputs])
    gram = design.T @ design
    penalty = np.full(design.shape[1], 1e-3 * rows)
    penalty[0] = 0.0
    gram[np.diag_indices_from(gram)] += penalty + 1e-9
    effects = [np.zeros(count) for count in counts]
    sizes = [np.bincount(code, minlength=count) for code, count in zip(codes, counts, strict=True)]
    total = np.zeros(rows)
    for _ in range(SWEEPS):
        linear = design @ np.linalg.solve(gram, design.T @ (target - total))
        residual = target - linear - total
        for position, code in enumerate(codes):
            residual += effects[position][code]
            effects[position] = _shrunken_means(residual, code, sizes[position])
            residual -= effects[position][code]
        total = target - linear - residual
    return effects


def _shrunken_means(residual: np.ndarray, code: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Level means of the residual, each shrunk by size / (size + noise variance / level variance)."""
    import numpy as np

    rows, seen = len(residual), sizes > 0
    levels = int(seen.sum())
    sums = np.bincount(code, weights=residual, minlength=len(sizes))
    means = sums / np.maximum(sizes, 1)
    within = float(((residual - means[code]) ** 2).sum()) / max(rows - levels, 1)
    between = float((sizes * (means - residual.mean()) ** 2).sum()) / max(levels - 1, 1)
    size = (rows - float((sizes.astype(np.float64) ** 2).sum()) / rows) / max(levels - 1, 1)
    if rows - levels < 1 or size <= 0.0:
        return np.zeros(len(sizes))
    variance = max((between - within) / size, 1e-4 * within, 1e-300)
    return np.where(seen, sums / np.maximum(sizes + within / variance, 1e-300), 0.0)


def out_of_fold_effects(
    inputs: np.ndarray, codes: list[np.ndarray], counts: list[int], target: np.ndarray, seed: int
) -> np.ndarray:
    """Each row's effects, one column a category, from fits that did not see that row."""
    import numpy as np
    from sklearn.model_selection import KFold

    values = np.zeros((len(target), len(codes)))
    folds = KFold(min(FOLDS, len(target)), shuffle=True, random_state=seed)
    for fitted, held in folds.split(target):
        effects = fit_effects(inputs[fitted], [code[fitted] for code in codes], counts, target[fitted])
        for position, code in enumerate(codes):
            values[held, position] = effects[position][code[held]]
    return values
