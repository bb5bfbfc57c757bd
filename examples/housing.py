"""Predict house prices from a table in a few lines: generate houses, train, look at the report, save, load, predict.

Run: python examples/housing.py
"""

import tempfile

from flambeau import tabular
from flambeau.tabular.houses import houses

table, _ = houses(2000, seed=1)
new_houses = table.iloc[:5].drop(columns="Price")

model = tabular.train(table.iloc[5:], target="Price")
print(model.report)

with tempfile.TemporaryDirectory() as place:
    model.save(f"{place}/houses-model")
    restored = tabular.load(f"{place}/houses-model")
    for name, price in zip(new_houses["Property Name"], restored.predict(new_houses), strict=True):
        print(f"{name:24} {price:12,.0f}")
