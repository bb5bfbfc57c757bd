"""`flambeau train`, `predict` and `demo` from the outside: what is printed where, what is written, exit statuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flambeau import tabular
from flambeau.cli import main

QUICK = ["--epochs", "3", "--members", "2", "--hidden", "8"]


@pytest.fixture
def table_path(numbers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numbers.to_csv("table.csv")
    return "table.csv"


def test_train_and_predict(table_path, capsys):
    assert main(["train", table_path, "--target", "y", *QUICK]) == 0
    printed = capsys.readouterr()
    for expected in (
        "MAE",
        "MAPE",
        "within 10%",
        "within 20%",
        "R2",
        "median",
        "ridge",
        "gradient boosting",
        "table-model",
    ):
        assert expected in printed.out
    figures = json.loads(Path("table-model/metrics.json").read_text())
    assert set(figures["models"]) == {"flambeau, default", "gradient boosting", "ridge", "median"}
    assert Path("table-model/picture.png").read_bytes()[:4] == b"\x89PNG"

    assert main(["predict", "table-model", table_path]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "row,predicted y" and len(lines) == 121
    expected = tabular.load("table-model").predict(table_path)
    assert np.array_equal([float(line.split(",")[1]) for line in lines[1:]], expected)
    assert "MAE" in printed.err  # the table has the target, so the figures are told

    assert main(["predict", "table-model", table_path, "--output", "predicted.csv"]) == 0
    assert np.array_equal(pd.read_csv("predicted.csv")["predicted y"], expected)
    assert sorted(os.listdir(".")) == ["predicted.csv", "table-model", "table.csv"]


def test_options_reach_the_training(table_path, capsys):
    arguments = [
        "--where",
        "a > -2",
        "--drop",
        "kind",
        "--recipe",
        "classic",
        "--no-baselines",
        "--seed",
        "3",
        "-o",
        "other",
    ]
    assert main(["train", table_path, "-t", "y", *QUICK, *arguments]) == 0
    saved = json.loads(Path("other/preprocessing.json").read_text())
    assert saved["recipe"] == "classic" and saved["network"] == {"sizes": [2, 8, 1], "members": 0}
    assert "kind" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "nothing.csv", "--target", "y"], "no file 'nothing.csv'"),
        (["train", "table.csv", "--target", "yy"], "Did you mean 'y'?"),
        (["train", "table.csv", "--target", "kind"], "cannot be predicted as a number"),
        (["train", "table.csv", "--target", "y", "--where", "a > 99"], "No row"),
        (["train", "table.csv", "--target", "y", "--where", "import os"], "could not be applied"),
        (["train", "table.csv", "--target", "y", "--test-size", "2"], "between 0 and 1"),
        (["train", "table.csv", "--target", "y", "--output", "."], "holds other files"),
        (["train", ".", "--target", "y"], "is a folder"),
        (["predict", "nothing", "table.csv"], "no model folder 'nothing'"),
        (["predict", "table.csv", "table.csv"], "is a file"),
        (["predict", ".", "table.csv"], "no file preprocessing.json"),
        (["demo", "--rows", "3"], "at least 20 rows"),
    ],
)
def test_bad_input_is_one_paragraph_on_standard_error(table_path, capsys, arguments, told):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.err.strip().count("\n") == 0
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert os.listdir(".") == ["table.csv"]


@pytest.mark.parametrize(
    "line", ["", "train", "train table.csv", "trian", "train t --target y --hidden x", "train t --target y --seed -1"]
)
def test_wrong_usage_exits_with_2(capsys, line):
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2
    assert "usage: flambeau" in capsys.readouterr().err


def test_help_is_readable_and_quick():
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "flambeau", "train", "--help"], capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - started < 5
    for expected in ("--target", "--recipe", "--where", "examples:", "exit status"):
        assert expected in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_help_imports_nothing_heavy():
    program = (
        "import sys, contextlib, io\nfrom flambeau.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['train', '--help'])\n"
        "print([name for name in ('pandas', 'sklearn', 'matplotlib', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_interrupt_is_quiet_and_leaves_nothing(table_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr("flambeau.tabular.model.train_ensemble", interrupted)
    assert main(["train", table_path, "--target", "y"]) == 130
    printed = capsys.readouterr()
    assert "interrupted" in printed.err and "Traceback" not in printed.err
    assert os.listdir(".") == ["table.csv"]


def test_a_missing_package_is_named(table_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(["train", table_path, "--target", "y"]) == 2
    assert "pip install 'flambeau[tabular]'" in capsys.readouterr().err


def test_the_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--rows", "300"]) == 0
    printed = capsys.readouterr().out
    for expected in ("best possible", "flambeau, default", "Columns 'No. of Bedrooms'", "predicted", "demo"):
        assert expected in printed
    assert sorted(os.listdir("demo/model")) == [
        "metrics.json",
        "model.safetensors",
        "picture.png",
        "preprocessing.json",
    ]
    assert main(["demo", "--rows", "300"]) == 0  # and once more over the first
