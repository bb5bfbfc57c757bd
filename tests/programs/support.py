"""Collects the programs of a file and makes its two tests; weights and data from NumPy, alike for both frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

Program = Callable[[Any], dict[str, Any]]


class Programs:
    """The programs of one file: `@programs.add(rtol=...)` registers one, `programs.tests()` gives the two tests."""

    def __init__(self) -> None:
        self.entries: list[tuple[Program, float, float]] = []
        self.results: dict[str, dict[str, Any]] = {}

    def add(self, rtol: float = 1e-4, atol: float = 1e-5) -> Callable[[Program], Program]:
        def register(program: Program) -> Program:
            self.entries.append((program, rtol, atol))
            return program

        return register

    def _ours(self, program: Program) -> dict[str, Any]:
        """What the program returns with flambeau; run once for both tests."""
        if program.__name__ not in self.results:
            self.results[program.__name__] = plain(program(flambeau))
        return self.results[program.__name__]

    def tests(self) -> tuple[Callable[..., None], Callable[..., None]]:
        """`test_runs`, which needs flambeau only, and `test_agrees_with_torch`."""

        @pytest.mark.parametrize("program", [entry[0] for entry in self.entries], ids=lambda program: program.__name__)
        def test_runs(program: Program) -> None:
            self._ours(program)

        @pytest.mark.torch
        @pytest.mark.filterwarnings("ignore")
        @pytest.mark.parametrize(
            ("program", "rtol", "atol"), self.entries, ids=[entry[0].__name__ for entry in self.entries]
        )
        def test_agrees_with_torch(program: Program, rtol: float, atol: float) -> None:
            torch = pytest.importorskip("torch")
            torch.set_num_threads(1)  # its threads wait in loops: two of them on a busy machine are slower than one
            ours, theirs = self._ours(program), plain(program(torch))
            assert list(ours) == list(theirs)
            for name, value in theirs.items():
                agree(ours[name], value, rtol, atol, name)

        return test_runs, test_agrees_with_torch


def plain(value: Any) -> Any:
    """The value without tensors: each becomes its dtype's name, its shape and a NumPy array."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "detach"):
        return {"dtype": str(value.dtype).split(".")[-1], "array": value.detach().numpy().copy()}
    return value


def agree(ours: Any, theirs: Any, rtol: float, atol: float, path: str) -> None:
    """Fail, naming the path, unless both values have one structure and near numbers; text must be equal."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), path
        for key, value in theirs.items():
            agree(ours[key], value, rtol, atol, f"{path}.{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), path
        for position, value in enumerate(theirs):
            agree(ours[position], value, rtol, atol, f"{path}[{position}]")
    elif isinstance(theirs, (float, np.ndarray)):
        assert np.shape(ours) == np.shape(theirs), path
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=path)
    elif isinstance(theirs, str):
        assert ours == theirs.replace("torch.", "flambeau."), path
    else:
        assert ours == theirs, path


def same_weights(torch: Any, model: Any, seed: int = 0) -> Any:
    """Give the model's parameters values drawn with NumPy: matrices scaled by their fan-in, vectors near zero."""
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            shape = tuple(parameter.shape)
            scale = 1 / np.sqrt(shape[-1]) if len(shape) > 1 else 0.1
            parameter.copy_(torch.from_numpy((generator.standard_normal(shape) * scale).astype(np.float32)))
    return model


def digits(samples: int, seed: int = 0, size: int = 8, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures (samples, size, size) uint8 of `classes` random patterns, and their labels int64."""
    generator = np.random.default_rng(seed)
    patterns = np.random.default_rng(1234).uniform(0, 255, (classes, size, size))
    labels = generator.integers(0, classes, samples)
    pictures = patterns[labels] + generator.normal(0, 40, (samples, size, size))
    return pictures.clip(0, 255).astype(np.uint8), labels
