"""Random 80/20 splits of a housing table, both recipes: python -m benchmarks.housing TABLE.csv

Splits are scikit-learn's train_test_split with random_state = the seed. The seeds are 0 to 24 unless given, so that no
five lucky splits decide; each also seeds the training. After each run the model is saved, read back, and must predict
the test rows bit for bit as before.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time

SEEDS = range(25)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="a CSV or Parquet file")
    parser.add_argument("--target", default="Price")
    parser.add_argument("--where", default="Price < 10000000", help='rows to use; "" for all')
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--recipes", nargs="+", default=["classic", "default"])
    arguments = parser.parse_args()

    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from flambeau import tabular
    from flambeau.tabular.reading import read_table

    frame = read_table(arguments.table)
    found: dict[str, list[list[float]]] = {}
    exact = True
    for recipe in arguments.recipes:
        for position, seed in enumerate(arguments.seeds):
            started = time.perf_counter()
            baselines = recipe == arguments.recipes[0]
            model = tabular.train(
                frame, arguments.target, recipe=recipe, where=arguments.where or None, seed=seed, baselines=baselines
            )
            seconds = time.perf_counter() - started
            for name, figures in model.report.metrics.items():
                own = seconds if name.startswith("flambeau") and not baselines else float("nan")
                values = [figures[key] for key in ("mae", "mape", "within_10", "within_20", "r2")]
                found.setdefault(name, []).append([*values, own])
            with tempfile.TemporaryDirectory() as place:
                model.save(os.path.join(place, "model"))
                rows = frame.iloc[model.test_rows]
                restored = tabular.load(os.path.join(place, "model")).predict(rows)
                exact &= bool(np.array_equal(restored, model.test_predicted))
                exact &= bool(np.array_equal(restored, model.predict(rows)))
            mae = model.report.metrics[f"flambeau, {recipe}"]["mae"]
            print(f"{recipe}, split {position + 1} (seed {seed}): MAE {mae:,.0f}, {seconds:.1f} s", file=sys.stderr)

    table = Table(title=f"{arguments.target}: test means over seeds {arguments.seeds}", title_justify="left")
    for name in ("model", "MAE", "± splits", "MAPE", "within 10%", "within 20%", "R2", "s a run"):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    for name, rows in sorted(found.items(), key=lambda item: -np.mean(item[1], axis=0)[0]):
        values = np.array(rows, dtype=np.float64)
        mean = values.mean(axis=0)
        percents = [f"{mean[1]:.2f}%", f"{mean[2]:.1f}%", f"{mean[3]:.1f}%"]
        speed = "" if np.isnan(mean[5]) else f"{mean[5]:.2f}"
        table.add_row(name, f"{mean[0]:,.0f}", f"{values[:, 0].std():,.0f}", *percents, f"{mean[4]:.3f}", speed)
    Console(width=110 if not sys.stdout.isatty() else None).print(table)
    print("saved folders predict bit for bit as in memory" if exact else "SAVED FOLDERS PREDICT DIFFERENTLY")
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
