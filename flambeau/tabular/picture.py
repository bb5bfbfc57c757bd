"""One picture of a training run: learning curve, predicted against true, residuals."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    from .training import History

__all__ = ["draw"]

POINTS = 5000  # more than this in a scatter only darkens it


def draw(title: str, target: str, history: History, truth: np.ndarray, predicted: np.ndarray, log: bool) -> bytes:
    """The picture as PNG bytes; `log` shows the target on logarithmic axes, where errors are relative."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(15, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(title))
    curve, scatter, residuals = figure.subplots(1, 3)
    _learning_curve(curve, history)
    if len(truth) > POINTS:
        chosen = np.random.default_rng(0).choice(len(truth), POINTS, replace=False)
        truth, predicted = truth[chosen], predicted[chosen]
    log = log and bool((truth > 0).all() and (predicted > 0).all())
    scatter.scatter(truth, predicted, s=8, alpha=0.4, linewidths=0)
    low, high = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
    scatter.plot([low, high], [low, high], color="black", linewidth=1)
    scatter.set(title="test rows", xlabel=f"true {_plain(target)}", ylabel=f"predicted {_plain(target)}")
    error = (predicted / truth - 1.0) * 100.0 if log else predicted - truth
    residuals.scatter(predicted, error, s=8, alpha=0.4, linewidths=0)
    residuals.axhline(0.0, color="black", linewidth=1)
    residuals.set(title="residuals", xlabel=f"predicted {_plain(target)}")
    residuals.set_ylabel("predicted above true, %" if log else "predicted minus true")
    if log:
        scatter.set(xscale="log", yscale="log")
        residuals.set(xscale="log")
        for axis in (scatter.xaxis, scatter.yaxis, residuals.xaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(EngFormatter(sep=""))
            axis.set_minor_formatter(NullFormatter())
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks in a column's name, points that a log axis lacks
        figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _plain(text: str) -> str:
    """Text that matplotlib does not read as mathematics."""
    return text.replace("\\", "/").replace("$", r"\$")


def _learning_curve(axes: Axes, history: History) -> None:
    epochs = range(1, len(history.training) + 1)
    axes.plot(epochs, history.training, label="training")
    if history.validation:
        axes.plot(epochs, history.validation, label="validation")
    for position, epoch in enumerate(sorted(set(history.best_epoch))):
        axes.axvline(epoch, color="grey", linewidth=0.6, linestyle=":", label=None if position else "kept weights")
    axes.set(title="learning curve", xlabel="epoch", ylabel="mean squared error, standardised", yscale="log")
    axes.legend()
