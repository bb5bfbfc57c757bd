"""Generated tables and one small trained model, shared by the tests of the quick path."""

from __future__ import annotations

import os

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

from flambeau import tabular  # noqa: E402
from flambeau.tabular.houses import houses  # noqa: E402


@pytest.fixture
def numbers() -> pd.DataFrame:
    """A table of 120 rows whose target y is 3 a - 2 b plus a little noise."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=120), "b": generator.normal(size=120)})
    frame["kind"] = generator.choice(["red", "green", "blue"], 120)
    frame["y"] = 3 * frame["a"] - 2 * frame["b"] + 0.1 * generator.normal(size=120) + 10
    return frame


@pytest.fixture
def quick() -> dict:
    """Options that make training a matter of a moment."""
    return {"epochs": 3, "members": 2, "hidden": (8,), "baselines": False}


@pytest.fixture(scope="session")
def house_table() -> pd.DataFrame:
    return houses(600, seed=3)[0]


@pytest.fixture(scope="session")
def house_model(house_table: pd.DataFrame) -> tabular.Model:
    return tabular.train(house_table, "Price", epochs=8, members=3)


@pytest.fixture
def saved(house_model: tabular.Model, tmp_path: os.PathLike[str]) -> str:
    return house_model.save(os.path.join(tmp_path, "model"))
