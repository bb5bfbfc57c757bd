"""Training: what is learned, what is refused, and that one seed gives one model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flambeau import tabular
from flambeau.tabular import TableError
from flambeau.tabular.houses import houses


@pytest.mark.parametrize("recipe", ["default", "classic"])
def test_a_simple_relation_is_learned(numbers, recipe):
    model = tabular.train(numbers, "y", recipe=recipe, epochs=100, members=3)
    figures = model.report.metrics
    assert figures[f"flambeau, {recipe}"]["r2"] > 0.9
    assert figures[f"flambeau, {recipe}"]["mae"] < 0.5 * figures["median"]["mae"]
    assert list(figures) == [f"flambeau, {recipe}", "gradient boosting", "ridge", "median"]


def test_houses_come_near_the_noise_floor():
    table, best = houses(1500, seed=5)
    model = tabular.train(table, "Price", epochs=30)
    floor = np.abs(best[model.test_rows] / model.test_truth - 1).mean() * 100
    figures = model.report.metrics
    assert figures["flambeau, default"]["mape"] < 1.3 * floor
    assert figures["flambeau, default"]["mae"] < figures["gradient boosting"]["mae"]


def test_the_classic_recipe_has_the_plain_inputs(house_table):
    model = tabular.train(house_table, "Price", recipe="classic", epochs=2, baselines=False)
    assert model.members == 0 and not model.scale.log
    assert {"No. of Bedrooms", "No. of Bathrooms", "No. of Receptions", "Area in sq ft"} <= set(model.features)
    assert model.sizes == [len(model.features), 64, 32, 1]
    assert any("equal in every row: all are kept" in note for note in model.report.notes)


def test_houses_are_reported(house_model):
    notes = "\n".join(house_model.report.notes)
    assert "'Unnamed: 0' is not used: it only numbers the rows" in notes
    assert "'No. of Bedrooms', 'No. of Bathrooms' and 'No. of Receptions' are equal in every row" in notes
    assert "Missing cells: 'Location'" in notes
    assert "'Postal Code' is grouped by its" in notes
    assert "the network learns its logarithm" in notes
    assert not any("Unnamed" in name or "Bathrooms" in name for name in house_model.features)


@pytest.mark.parametrize("recipe", ["default", "classic"])
def test_one_seed_gives_one_model(numbers, quick, recipe):
    first, again = (tabular.train(numbers, "y", recipe=recipe, seed=4, **quick).predict(numbers) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, tabular.train(numbers, "y", recipe=recipe, seed=5, **quick).predict(numbers))


def test_members_stop_early_each_on_its_own(numbers):
    model = tabular.train(numbers, "y", epochs=60, members=4, patience=2, baselines=False)
    assert len(model.history.best_epoch) == 4
    assert len(model.history.training) == len(model.history.validation) <= 60
    assert max(model.history.best_epoch) + 2 >= len(model.history.validation)
    classic = tabular.train(numbers, "y", recipe="classic", epochs=400, patience=3, baselines=False)
    assert len(classic.history.validation) < 400


def test_progress_is_told(numbers, quick):
    epochs, stages = [], []
    tabular.train(numbers, "y", **quick, progress=lambda *values: epochs.append(values), stage=stages.append)
    assert [values[:2] for values in epochs] == [(1, 3), (2, 3), (3, 3)]
    assert "training" in stages


def test_rows_are_filtered_and_columns_dropped(numbers, quick):
    numbers["note"] = "£" + numbers["y"].round(2).astype(str)
    model = tabular.train(numbers, "y", where="note < 12 and a > -3", drop=["kind", "note"], **quick)
    assert model.test_truth.max() < 12.1
    assert not any("kind" in name or "note" in name for name in model.features)


def test_bad_targets_are_left_out_or_refused(numbers, quick):
    numbers.loc[3, "y"], numbers.loc[5, "y"], numbers.loc[7, "y"] = np.nan, np.inf, -np.inf
    model = tabular.train(numbers, "y", **quick)
    assert any("3 of 120 rows were left out" in note for note in model.report.notes)
    numbers["y"] = np.nan
    with pytest.raises(TableError, match="every cell is missing"):
        tabular.train(numbers, "y", **quick)
    numbers["y"] = np.inf
    with pytest.raises(TableError, match="no usable value"):
        tabular.train(numbers, "y", **quick)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame.rename(columns={"y": "Y value"}), r"no column 'y' to predict\. .*'Y value'"),
        (lambda frame: frame.assign(y=5.0), "is 5 in every row"),
        (lambda frame: frame.assign(y="text"), "cells are text"),
        (lambda frame: frame.head(1), "1 usable row"),
        (lambda frame: frame.head(7), "7 usable rows, and at least 20"),
        (lambda frame: frame[["y"]], "no column to predict"),
        (lambda frame: frame[["y"]].assign(a=1), "No column is left"),
        (lambda frame: frame[["y"]].assign(a=None), "no column to predict"),
        (lambda frame: frame[["y"]].assign(a=[f"word{i}z{i * 7919 % 1000}" for i in range(120)]), "No column is left"),
    ],
)
def test_tables_that_cannot_be_trained_on_are_refused(numbers, quick, change, told):
    with pytest.raises(TableError, match=told):
        tabular.train(change(numbers), "y", **quick)


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "fancy"}, {"test_size": 0.0}, {"test_size": 1.5}, {"hidden": (0,)}, {"members": 0}, {"epochs": 0},
        {"batch_size": 0}, {"patience": 0}, {"learning_rate": -1.0}, {"drop": ["missing"]}, {"drop": ["y"]},
        {"where": "y >"},
    ],
)  # fmt: skip
def test_bad_options_are_refused(numbers, options):
    with pytest.raises(TableError):
        tabular.train(numbers, "y", **options)


def test_every_kind_of_column_at_once(quick):
    generator = np.random.default_rng(2)
    rows = 160
    frame = pd.DataFrame(
        {
            "price": [f"£{value:,.2f}" for value in np.exp(generator.normal(8, 1, rows))],
            "size": np.where(generator.random(rows) < 0.05, "ask", generator.integers(10, 5000, rows).astype(str)),
            "when": pd.Series(pd.date_range("2021-03-01", periods=rows, freq="36h")).dt.strftime("%d/%m/%Y"),
            "open": generator.choice(["yes", "no"], rows),
            "flag": generator.random(rows) < 0.5,
            "class": generator.integers(1, 6, rows),
            "colour": pd.Categorical(generator.choice(["red", "green"], rows)),
            "empty": [None] * rows,
            "same": ["x"] * rows,
            "text": [f"a remark no {position} of many" for position in generator.permutation(rows)],
            "nullable": pd.array(np.where(generator.random(rows) < 0.2, None, 3), dtype="Int64"),
            "infinite": np.where(generator.random(rows) < 0.1, np.inf, generator.normal(size=rows)),
            "价格 $x_1$": generator.normal(size=rows),
        },
        index=[5] * rows,
    )
    for recipe in ("default", "classic"):
        model = tabular.train(frame, "price", recipe=recipe, **quick)
        notes = "\n".join(model.report.notes)
        assert "'empty' is not used" in notes and "'same' is not used" in notes and "'size':" in notes
        assert np.isfinite(model.predict(frame.drop(columns="price"))).all()
        assert model.picture()[:4] == b"\x89PNG"


def test_a_numeric_target_in_text_is_read(numbers, quick):
    numbers["y"] = ["£" + f"{1000 * value:,.0f}" for value in numbers["y"]]
    numbers.loc[4, "y"] = "unknown"
    model = tabular.train(numbers, "y", **quick)
    assert model.test_truth.min() > 1000
    assert any("1 of 120 rows were left out" in note for note in model.report.notes)
