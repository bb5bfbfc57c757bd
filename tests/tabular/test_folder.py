"""The model's folder: bit-for-bit restoring, damage, full disks, kills, and folders that belong to someone else."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flambeau import tabular
from flambeau.tabular import TableError, folder


@pytest.mark.parametrize("recipe", ["default", "classic"])
def test_a_restored_model_predicts_bit_for_bit(house_table, tmp_path, recipe):
    model = tabular.train(house_table, "Price", recipe=recipe, epochs=4, members=2, baselines=False)
    path = model.save(tmp_path / "deep" / "model")
    restored = tabular.load(path)
    assert np.array_equal(restored.predict(house_table), model.predict(house_table))
    assert np.array_equal(model.predict(house_table.iloc[model.test_rows]), model.test_predicted)
    assert restored.features == model.features
    assert restored.report.metrics == model.report.metrics
    assert sorted(os.listdir(path)) == ["metrics.json", "model.safetensors", "picture.png", "preprocessing.json"]
    assert os.listdir(tmp_path / "deep") == ["model"]


def test_predictions_in_training_units(house_model, house_table):
    predicted = house_model.predict(house_table)
    assert predicted.dtype == np.float64 and predicted.shape == (len(house_table),)
    assert 0.5 < np.median(predicted) / house_table["Price"].median() < 2


def test_new_tables_with_other_columns_levels_and_gaps(house_model, house_table):
    new = house_table.drop(columns=["Price", "No. of Bathrooms", "Unnamed: 0"]).head(4).assign(extra=1)
    new["Location"] = "Nowhere"
    new["Area in sq ft"] = ["1,200", None, "900 sq ft", "vast"]
    notes: list[str] = []
    assert np.isfinite(house_model.predict(new, notes)).all()
    told = "\n".join(notes)
    assert "'Location'" in told and "'Nowhere'" in told
    assert "'extra'" in told
    assert "'vast'" in told and "median" in told


def test_a_missing_column_is_named(house_model, house_table):
    with pytest.raises(TableError, match=r"no column 'Area in sq ft'.*Did you mean 'area in sqft'"):
        house_model.predict(house_table.rename(columns={"Area in sq ft": "area in sqft"}))


def test_no_rows_give_no_predictions(house_model, house_table):
    assert house_model.predict(house_table.head(0)).shape == (0,)


def test_one_row_is_predicted_alone(house_model, house_table):
    alone, together = house_model.predict(house_table.iloc[[3]])[0], house_model.predict(house_table)[3]
    assert alone == pytest.approx(together, rel=1e-4)


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessing.json"])
def test_a_missing_file_is_named(saved, name):
    os.remove(os.path.join(saved, name))
    with pytest.raises(TableError, match=f"has no file {name}"):
        tabular.load(saved)


def test_damage_is_recognised(saved, house_table, house_model):
    path = Path(saved)
    weights, text = (path / "model.safetensors").read_bytes(), (path / "preprocessing.json").read_text()
    for changed in (weights[:-100], weights[:-1] + bytes([weights[-1] ^ 1]), b""):
        (path / "model.safetensors").write_bytes(changed)
        with pytest.raises(TableError, match=r"damaged.*model\.safetensors"):
            tabular.load(path)
    (path / "model.safetensors").write_bytes(weights)
    for changed in (text[:200], "", "[1, 2]", "null", "{}", "\ufffd\ufffd"):
        (path / "preprocessing.json").write_text(changed)
        with pytest.raises(TableError, match=r"damaged.*preprocessing\.json"):
            tabular.load(path)
    (path / "preprocessing.json").write_text(text)
    (path / "metrics.json").write_text("{")
    assert np.array_equal(tabular.load(path).predict(house_table), house_model.predict(house_table))


@pytest.mark.parametrize("key", ["network", "scale", "columns", "encoder", "target", "recipe"])
def test_parts_that_do_not_fit_are_recognised(saved, key):
    path = Path(saved) / "preprocessing.json"
    values = json.loads(path.read_text())
    for changed in ({**values, key: None}, {name: value for name, value in values.items() if name != key}):
        if key in ("target", "recipe") and key in changed:
            continue
        path.write_text(json.dumps(changed))
        with pytest.raises(TableError, match="do not fit each other"):
            tabular.load(saved)


def test_other_versions_and_formats_are_refused(saved):
    path = Path(saved) / "preprocessing.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "version": 99}))
    with pytest.raises(TableError, match="format version 99 and this flambeau reads version 1: update"):
        tabular.load(saved)
    path.write_text(json.dumps({**values, "format": "recipes for cake"}))
    with pytest.raises(TableError, match="not a flambeau tabular model"):
        tabular.load(saved)


def test_places_that_hold_no_model(tmp_path):
    with pytest.raises(TableError, match="no model folder"):
        tabular.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(TableError, match="is a file"):
        tabular.load(tmp_path / "file")


def test_a_folder_of_other_things_is_left_alone(house_model, tmp_path, numbers):
    place = tmp_path / "photos"
    place.mkdir()
    (place / "cat.jpg").write_text("meow")
    with pytest.raises(TableError, match="holds other files"):
        house_model.save(place)
    called = []
    with pytest.raises(TableError, match="holds other files"):
        tabular.train(numbers, "y", output=place, stage=called.append)
    assert not called  # refused before any work
    assert os.listdir(place) == ["cat.jpg"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(TableError, match="not a folder"):
        house_model.save(tmp_path / "file")


def test_an_empty_folder_and_an_older_model_are_replaced(house_model, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    path = house_model.save(tmp_path / "model")
    first = os.stat(os.path.join(path, "model.safetensors")).st_ino
    house_model.save(path)
    assert os.stat(os.path.join(path, "model.safetensors")).st_ino != first
    monkeypatch.setattr(folder, "_exchange", lambda *paths: False)  # a system that cannot swap two folders
    house_model.save(path)
    tabular.load(path)
    assert os.listdir(tmp_path) == ["model"]


def test_a_full_disk_leaves_the_older_model(house_model, saved, tmp_path, monkeypatch):
    before = Path(saved, "preprocessing.json").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TableError, match=r"disk is full.*untouched"):
        house_model.save(saved)
    assert Path(saved, "preprocessing.json").read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


KILLED = """
import os, signal, sys
from flambeau import tabular
model = tabular.load(sys.argv[1])
count, sync = 0, os.fsync
def kill(descriptor):
    global count
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(descriptor)
os.fsync = kill
model.save(sys.argv[1])
"""


def test_a_kill_during_saving_leaves_the_older_model(house_model, saved, tmp_path, house_table):
    done = subprocess.run([sys.executable, "-c", KILLED, saved], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2  # the killed save's half folder lies beside
    assert np.array_equal(tabular.load(saved).predict(house_table), house_model.predict(house_table))
    house_model.save(saved)
    assert os.listdir(tmp_path) == ["model"]  # and the next save clears it away
