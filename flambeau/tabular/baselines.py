"""What a model must beat: the median, ridge regression and scikit-learn's gradient boosting, on the plain encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .encoding import Encoder

__all__ = ["baseline_predictions"]


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

    predictions = {"median": np.full(len(test), np.median(target))}
    if encoder.steps:
        inputs, test_inputs = encoder.transform(training), encoder.transform(test)
        predictions["ridge"] = Ridge().fit(inputs, target).predict(test_inputs)
        inputs, categorical = encoder.with_codes(training)
        test_inputs, _ = encoder.with_codes(test)
        boosting = HistGradientBoostingRegressor(categorical_features=categorical, random_state=seed)
        predictions["gradient boosting"] = boosting.fit(inputs, target).predict(test_inputs)
    return predictions
