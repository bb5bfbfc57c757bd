"""Inputs from columns: groupings of texts, level effects, integer codes, logs, and what happens to unseen levels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from flambeau.tabular.columns import parse_table, read_column
from flambeau.tabular.effects import fit_effects, out_of_fold_effects
from flambeau.tabular.encoding import Encoder, group_values, groupings, plain_steps, rich_steps
from flambeau.tabular.target import TargetScale


def prepared(frame):
    columns = [read_column(frame[name]) for name in frame]
    return parse_table(frame, columns, []), columns


def rich(frame, target, notes=None):
    table, columns = prepared(frame)
    encoder = Encoder(rich_steps(table, columns, target, notes if notes is not None else [], seed=0))
    return encoder, encoder.fit(table, target, seed=0), table


def test_parts_of_a_code():
    codes = pd.Series(["SW19 8NY", "EC1V 3PA", "AB-1234", "X", None], dtype=object)
    assert group_values(codes, "first run").tolist() == ["SW", "EC", "AB", "X", "(missing)"]
    assert group_values(codes, "first word").tolist() == ["SW19", "EC1V", "AB", "X", "(missing)"]
    assert group_values(codes, "second run").tolist() == ["SW19 8", "EC1V 3", "AB 1234", "X", "(missing)"]


def test_codes_are_grouped_and_names_are_not():
    generator = np.random.default_rng(0)
    rows = 2000
    area, number, sector = (generator.integers(0, top, rows) for top in (5, 8, 9))
    ends = generator.integers(0, 20, (rows, 2))
    codes = [
        f"{'ABCDE'[a]}{n} {s}{'QRSTUVWXYZKLMNOPGHIJ'[e]}{'QRSTUVWXYZKLMNOPGHIJ'[f]}"
        for a, n, s, (e, f) in zip(area, number, sector, ends)
    ]
    assert groupings(pd.Series(codes, dtype=object), finest=2.5) == ["first run", "first word", "second run"]
    assert groupings(pd.Series(codes, dtype=object), finest=10.0)[-1] == "first word"
    names = [f"name{generator.integers(0, 10**6)} street{generator.integers(0, 10**6)}" for _ in range(rows)]
    assert groupings(pd.Series(names, dtype=object), finest=10.0) in ([], ["first run"])


def test_effects_recover_a_known_model():
    generator = np.random.default_rng(0)
    inputs, code = generator.normal(size=(3000, 2)), generator.integers(0, 20, 3000)
    true = generator.normal(size=20)
    useless = generator.integers(0, 300, 3000)
    target = inputs @ [1.0, -2.0] + true[code] + 0.1 * generator.normal(size=3000)
    effects, nothing = fit_effects(inputs, [code, useless], [20, 300], target)
    assert np.abs((effects - effects.mean()) - (true - true.mean())).max() < 0.05
    assert np.abs(nothing).max() < 0.02


def test_effects_of_training_rows_do_not_see_their_own_target():
    generator = np.random.default_rng(0)
    code, inputs = np.arange(400) // 2, np.zeros((400, 0))
    target = generator.normal(size=400)
    before = out_of_fold_effects(inputs, [code], [200], target, seed=0)
    changed = target.copy()
    changed[7] += 100.0
    after = out_of_fold_effects(inputs, [code], [200], changed, seed=0)
    assert before[7, 0] == after[7, 0]
    assert np.abs(np.corrcoef(before[:, 0], target)[0, 1]) < 0.2


def test_rare_levels_are_grouped():
    frame = pd.DataFrame({"kind": [f"level {position % 12:02d}" for position in range(240)] + ["lone", "alone"]})
    table, columns = prepared(frame)
    step = plain_steps(table, columns, [])[0]
    assert step.names()[-1] == "kind = Other"
    assert len(step.names()) == 13
    notes: list[str] = []
    new = pd.DataFrame({"kind": ["lone", "level 03", "never seen"]})
    matrix = step.transform(new.astype(object), notes)
    assert matrix.sum(axis=1).tolist() == [1.0, 1.0, 1.0]
    assert matrix[0, -1] == matrix[2, -1] == 1.0
    assert "1 of 3 rows have a level that was not seen in training ('never seen')" in notes[0]


def test_integer_codes_are_told_from_counts():
    generator = np.random.default_rng(1)
    code, count = generator.integers(0, 30, 1500), generator.integers(0, 30, 1500)
    target = generator.normal(size=30)[code] + 0.05 * count + 0.2 * generator.normal(size=1500)
    notes: list[str] = []
    encoder, _, _ = rich(pd.DataFrame({"code": code, "count": count}), target, notes)
    assert "effect of code" in encoder.names and "effect of count" not in encoder.names
    assert any("'code': its numbers act as codes" in note for note in notes)


def test_skewed_inputs_are_logged_and_missing_cells_marked():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"area": np.exp(generator.normal(size=300)), "count": generator.integers(0, 4, 300) ** 6})
    frame.loc[:20, "area"] = np.nan
    encoder, inputs, _ = rich(frame, generator.normal(size=300))
    assert encoder.names[:2] == ["log area", "area is missing"]
    assert np.isfinite(inputs).all()
    assert np.abs(inputs.mean(axis=0)).max() < 1e-5


def test_dates_become_numbers():
    days = pd.date_range("2020-01-01", periods=200, freq="3D")
    encoder, inputs, _ = rich(pd.DataFrame({"sold": days}), np.arange(200.0))
    assert encoder.names == ["sold: year", "sold: month", "sold: days"]
    assert np.isfinite(inputs).all()


def test_an_encoder_survives_json_bit_for_bit(house_table):
    frame = house_table.drop(columns="Price")
    encoder, _, table = rich(frame, np.log(house_table["Price"].to_numpy(float)))
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False)))
    assert again.names == encoder.names
    assert np.array_equal(again.transform(table), encoder.transform(table))


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1.0, 2.0, 3.0, 4.0], False),
        (np.exp(np.linspace(-4, 4, 50)), True),
        (np.r_[0.0, np.exp(np.linspace(-4, 4, 50))], False),
    ],
)
def test_the_target_is_logged_only_where_that_helps(values, log):
    values = np.asarray(values)
    scale = TargetScale.fit(values, allow_log=True)
    assert scale.log == log
    assert np.allclose(scale.inverse(scale.forward(values)), values)
    assert not TargetScale.fit(values, allow_log=False).log
