"""The stubs are those of the tables, and a strict checker sees names, arguments and results through them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import flambeau as fl
from flambeau import stubs

FOLDER = Path(fl.__file__).parent

RIGHT = """
import flambeau as fl
import flambeau.nn.functional as F
from flambeau import nn, optim

x: fl.Tensor = fl.randn(3).relu().sum(0)
y = x.softmax(-1)
z: fl.Tensor = y + 1.0
values, places = fl.sort(z)
best: fl.Tensor = fl.max(z, 0).values
count: int = z.numel()
shape: tuple[int, ...] = z.shape
kind: fl.dtype = z.dtype
close: bool = fl.allclose(z, z, atol=1e-6)
parts: tuple[fl.Tensor, ...] = z.split(1)
model = nn.Linear(3, 1)
optimizer = optim.Adam(model.parameters(), lr=1e-3)
with fl.no_grad():
    out = model(fl.zeros(2, 3))
loss = F.mse_loss(out, fl.zeros(2, 1))
loss.backward()
optimizer.step()
w = fl.tensor([1, 2], dtype=fl.float64, requires_grad=True)
gradient: fl.Tensor | None = w.grad
s: fl.Tensor = fl.where(w > 0, w, -w).add_(1).clamp(min=0)[0]
smooth: fl.Tensor = fl.special.expit(s) + F.relu(s) + fl.linalg.norm(s)
twice = fl.compile(lambda a: a * 2)
"""
WRONG = """
import flambeau as fl

x = fl.randn(3)
x.sofmax(-1)
fl.no_such(x)
y: int = x.relu()
x.sum(dimension=0)
fl.softmax(x)
"""


def test_the_stubs_are_up_to_date():
    for name, text in stubs.texts().items():
        assert (FOLDER / name).read_text() == text, f"{name} is stale: run python -m flambeau.stubs"


def test_every_public_name_and_every_method_is_declared():
    space, methods = (FOLDER / "__init__.pyi").read_text(), (FOLDER / "_methods.pyi").read_text()
    words = set(space.replace("(", " ").replace(":", " ").split())
    assert not set(stubs.public_names()) - words
    attached = {name for name in vars(fl.Tensor) if not name.startswith("_")}
    words = set(methods.replace("(", " ").replace(":", " ").split())
    assert len(attached) > 400 and not attached - words


def check(text: str, folder: Path) -> list[str]:
    file = folder / "program.py"
    file.write_text(text)
    (folder / "mypy.ini").write_text("[mypy]\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports",
        "silent",
        "--cache-dir",
        str(folder / "cache"),
    ]
    done = subprocess.run(
        [*command, "--config-file", str(folder / "mypy.ini"), str(file)],
        capture_output=True, text=True, env={"MYPYPATH": str(FOLDER.parent), "PATH": ""}, timeout=300,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if "error" in line]


def test_a_strict_checker_passes_right_programs_and_fails_wrong_ones(tmp_path):
    pytest.importorskip("mypy")
    assert not [line for line in check(RIGHT, tmp_path) if not line.startswith("Found")]
    lines = check(WRONG, tmp_path)
    assert [int(line.split(":")[1]) for line in lines if not line.startswith("Found")] == [5, 6, 7, 8, 9]


def test_help_of_an_operation_is_its_declaration():
    assert str(inspect.signature(fl.relu)) == "(input, *, out=None)"
    assert str(inspect.signature(fl.lerp)) == "(input, end, weight, *, out=None)"
    assert str(inspect.signature(fl.mul)) == "(input, other, *, out=None)"
    for name in stubs.public_names():
        found = getattr(fl, name)
        if hasattr(found, "declaration"):
            assert found.__doc__ == found.declaration.doc and found.__doc__, name
            assert list(inspect.signature(found).parameters)[-1] == "out", name
            assert fl.Tensor.__dict__.get(name) is None or fl.Tensor.__dict__[name].__doc__, name
