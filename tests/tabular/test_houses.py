"""The generated houses: the same every time, with the faults they promise, and with the noise they state."""

import numpy as np
import pandas as pd

from flambeau.tabular.houses import NOISE, houses


def test_the_table_is_the_same_every_time():
    first, best = houses(200, seed=1)
    again, best_again = houses(200, seed=1)
    pd.testing.assert_frame_equal(first, again)
    assert np.array_equal(best, best_again)
    assert not first.equals(houses(200, seed=2)[0])


def test_the_faults_of_real_tables():
    table, _ = houses(2000)
    assert table["No. of Bedrooms"].equals(table["No. of Bathrooms"])
    assert table["No. of Bedrooms"].equals(table["No. of Receptions"])
    assert 0.2 < table["Location"].isna().mean() < 0.3
    assert table["Unnamed: 0"].tolist() == list(range(2000))
    assert table["Postal Code"].nunique() > 1000 > 200 > table["Postal Code"].str.split().str[0].nunique()


def test_the_noise_is_what_it_says():
    table, best = houses(3500)
    noise = np.log(table["Price"]) - np.log(best)
    assert abs(noise.std() - NOISE) < 0.01
    assert abs(noise.mean()) < 0.01
