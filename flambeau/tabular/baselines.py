"""What a model must beat: the median, ridge regression and scikit-learn's gradient boosting, on the plain encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .encoding import Encoder

__all__ = ["baseline_predictions"]

FEW_ROWS = 200_000


def baseline_predictions(
    encoder: Encoder, training: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, seed: int
) -> dict[str, np.ndarray]:
    """Predictions of the test rows by each baseline, fitted on the training rows with its default settings.

    Arguments: the plain `encoder`, fitted; parsed training rows and their raw target (N,); parsed test rows. Ridge
    gets the standardised one-hot inputs; gradient boosting gets categories as categories, which suits it much better.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from threadpoolctl import threadpool_limits

    predictions = {"median": np.full(len(test), np.median(target))}
    if encoder.steps:
        inputs, test_inputs = (encoder.transform(rows).astype(np.float64) for rows in (training, test))
        predictions["ridge"] = Ridge().fit(inputs, target).predict(test_inputs)
        inputs, categorical = encoder.with_codes(training)
        test_inputs, _ = encoder.with_codes(test)
        boosting = HistGradientBoostingRegressor(categorical_features=categorical, random_state=seed)
        # Its many short parallel loops wait for each other where cores are shared: one thread is then 20 times faster.
        threads = 1 if len(inputs) < FEW_ROWS else None
        with threadpool_limits(limits=threads, user_api="openmp"):
            predictions["gradient boosting"] = boosting.fit(inputs, target).predict(test_inputs)
    return predictions
