"""`flambeau demo`: the quick path from end to end on generated houses, with the best possible error beside."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TableError
from .folder import check_destination
from .houses import NOISE, houses
from .metrics import measure
from .model import FEWEST_ROWS, load, train
from .report import money

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

__all__ = ["run"]

SHOWN = 5


def run(
    output: str, rows: int, seed: int, console: Console, live: Callable[[], AbstractContextManager[tuple[Any, Any]]]
) -> int:
    """Generates, trains, reports, saves to `output`/model, and predicts a few houses with the model read back."""
    if rows < FEWEST_ROWS:
        raise TableError(f"The demo needs at least {FEWEST_ROWS} rows, not {rows}.")
    folder, table_path = Path(output) / "model", Path(output) / "houses.csv"
    check_destination(folder)
    table, best = houses(rows, seed)
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
        table.rename(columns={"Unnamed: 0": ""}).to_csv(table_path, index=False)
    except OSError as error:
        raise TableError(f"The table could not be written to {str(table_path)!r}: {error.strerror or error}.") from None
    with live() as (stage, epoch):
        model = train(str(table_path), "Price", seed=seed, stage=stage, progress=epoch)
        assert model.test_rows is not None and model.test_truth is not None
        floor = measure(model.test_truth, best[model.test_rows])
        model.report.metrics = {"best possible": floor, **model.report.metrics}
        model.save(folder)
    console.print(f"{rows:,} generated houses are in {table_path}", markup=False, highlight=False, soft_wrap=True)
    model.report.print(console)
    console.print(
        f'"best possible" knows how the prices were made, but for their noise of {NOISE:.0%}. '
        f"Model, figures and picture are in {folder}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    restored = load(folder)
    chosen = table.iloc[model.test_rows[:SHOWN]]
    predicted = restored.predict(chosen.drop(columns="Price"))
    console.print("Houses from the test rows, predicted by the model read back from its folder:")
    for (_, house), value in zip(chosen.iterrows(), predicted, strict=True):
        what = f"{house['House Type']}, {house['Area in sq ft']:,} sq ft, {house['Postal Code']}"
        console.print(
            f"  {what:<44} predicted {money(value):>12}   true {money(float(house['Price'])):>12}",
            markup=False,
            highlight=False,
        )
    return 0
