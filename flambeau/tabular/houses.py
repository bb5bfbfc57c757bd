"""A generated table of houses in a made-up city, with the faults of real tables and a known best possible error.

The price of a house is

    price = exp(base + 0.85 log(area) + 0.04 bedrooms + type + district + sector + noise),   noise ~ Normal(0, NOISE)

rounded to 1,000. The noise cannot be learned, so no model can beat by more than luck the one that knows all the rest:
predicting exp(...) without the noise, the median price, has MAPE E|1 - exp(-noise)| = 12% for NOISE = 0.15. `houses`
returns that price too, so that a report can say how close a model comes. Nothing is taken from real listings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["NOISE", "houses"]

NOISE = 0.15
BASE = 7.45
# name, share of listings, effect on the log price, median area in square feet
TYPES = (
    ("Flat / Apartment", 0.46, 0.00, 820.0),
    ("House", 0.40, 0.08, 2000.0),
    ("New development", 0.09, 0.12, 900.0),
    ("Penthouse", 0.03, 0.35, 1900.0),
    ("Studio", 0.01, -0.05, 420.0),
    ("Bungalow", 0.01, 0.05, 1500.0),
)
FIRST = "Alder Bram Cald Dun Elm Fal Gran Hazel Ivy Kings Lark Mill Nor Oak Pem Raven".split()
LAST = "bourne bridge bury combe den field ford gate ham hurst ley mere stead ton wick wood".split()
STREETS = ("Road", "Street", "Avenue", "Lane", "Gardens", "Square", "Mews", "Terrace", "House", "Court")
AREAS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW", "C", "HX", "KB")


def houses(rows: int = 3500, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A table of houses and each one's price without noise.

    Arguments: `rows`, how many; `seed`: the same seed gives the same table.
    Returns: a frame with an unnamed row number, name, price, type, area, three equal counts of rooms, location (a
    quarter missing), city or county and postal code; a float64 array (rows,) of noise-free prices.

        >>> table, best = houses(1000)
        >>> table.shape
        (1000, 11)
    """
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng([seed, 20])
    names = [first + last for first in FIRST for last in LAST]
    generator.shuffle(names)

    # Districts: a postal area and a number, such as SW19; dear ones lie together, and within one the sectors differ a
    # little.
    area_effect = dict(zip(AREAS, generator.normal(0.0, 0.25, len(AREAS)), strict=True))
    districts = [f"{area}{number}" for area in AREAS for number in range(1, 15)]
    district_effect = np.array(
        [area_effect[district.rstrip("0123456789")] + generator.normal(0.0, 0.25) for district in districts]
    )
    popularity = generator.pareto(1.2, len(districts)) + 0.15
    sector_effect = generator.normal(0.0, 0.06, (len(districts), 9))
    locations = [names[position] for position in range(len(districts))]

    district = generator.choice(len(districts), rows, p=popularity / popularity.sum())
    sector = generator.integers(0, 9, rows)
    kind = generator.choice(len(TYPES), rows, p=[share for _, share, _, _ in TYPES])
    area = np.array([median for *_, median in TYPES])[kind] * np.exp(generator.normal(0.0, 0.42, rows))
    area = np.maximum(area.round(), 250.0)
    rooms = np.clip(np.round(area / 480.0 + generator.normal(0.3, 0.6, rows)), 0, 10).astype(np.int64)
    rooms[kind == 4] = 0

    effect = np.array([effect for *_, effect, _ in TYPES])[kind]
    log_price = BASE + 0.85 * np.log(area) + 0.04 * rooms + effect + district_effect[district]
    log_price += sector_effect[district, sector]
    price = np.round(np.exp(log_price + generator.normal(0.0, NOISE, rows)) / 1000.0) * 1000.0

    letters = np.array(list("ABDEFGHJLNPQRSTUWXYZ"))
    ends = ["".join(pair) for pair in generator.choice(letters, (rows, 2))]
    streets = [f"{generator.choice(FIRST)} {generator.choice(STREETS)}" for _ in range(rows)]
    outer = np.array([districts[position][:1] in "HK" for position in district])
    table = pd.DataFrame(
        {
            "Unnamed: 0": np.arange(rows),
            "Property Name": streets,
            "Price": price.astype(np.int64),
            "House Type": [TYPES[position][0] for position in kind],
            "Area in sq ft": area.astype(np.int64),
            "No. of Bedrooms": rooms,
            "No. of Bathrooms": rooms,
            "No. of Receptions": rooms,
            "Location": [
                None if hidden else locations[position]
                for position, hidden in zip(district, generator.random(rows) < 0.25, strict=True)
            ],
            "City/County": np.where(outer, "Westshire", "Flambourne"),
            "Postal Code": [
                f"{districts[position]} {number + 1}{end}"
                for position, number, end in zip(district, sector, ends, strict=True)
            ],
        }
    )
    return table, np.exp(log_price)
