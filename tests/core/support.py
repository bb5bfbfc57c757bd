"""Helpers of these tests: tensors with known elements, comparison with NumPy and torch, programs in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import flambeau as fl

ROOT = Path(__file__).resolve().parents[2]
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
NUMPY_DTYPES = tuple(name for name in DTYPES if name != "bfloat16")


def counted(*shape: int, dtype: Any = fl.float32) -> tuple[Any, np.ndarray]:
    """A tensor and an array that hold 0, 1, 2, ... in this shape, in memory of their own."""
    count = int(np.prod(shape))
    array = np.arange(count, dtype=str(dtype).rpartition(".")[2]).reshape(shape)
    return fl.arange(count, dtype=dtype).reshape(shape), array


def values(tensor: Any) -> np.ndarray:
    """The elements as an array that shares nothing (bfloat16 as float32)."""
    tensor = tensor.detach()
    return np.array((tensor.float() if tensor.dtype is fl.bfloat16 else tensor).numpy())


def strides_of(array: np.ndarray) -> tuple[int, ...]:
    """NumPy's strides, counted in elements as a tensor's are."""
    return tuple(stride // array.itemsize for stride in array.strides)


def assert_same(tensor: Any, expected: Any) -> None:
    """The tensor has the shape, dtype and elements of a NumPy array or a torch tensor, bit for bit."""
    if not isinstance(expected, (np.ndarray, np.generic)):
        assert tuple(tensor.shape) == tuple(expected.shape)
        assert str(tensor.dtype).rpartition(".")[2] == str(expected.dtype).rpartition(".")[2]
        expected = expected.detach()
        array = (expected.float() if str(expected.dtype) == "torch.bfloat16" else expected).numpy()
        np.testing.assert_array_equal(values(tensor), array)
        return
    assert tuple(tensor.shape) == expected.shape
    assert str(tensor.dtype).rpartition(".")[2] == str(expected.dtype)
    np.testing.assert_array_equal(values(tensor), expected)


def assert_close(tensor: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """As assert_same, to a tolerance."""
    if hasattr(expected, "detach"):
        expected = np.asarray(expected.detach().float() if "16" in str(expected.dtype) else expected.detach())
    assert tuple(tensor.shape) == np.shape(expected)
    np.testing.assert_allclose(values(tensor), expected, rtol=rtol, atol=atol)


def memory_of(tensor: Any) -> tuple[int, int]:
    """Where the bytes of a tensor begin and end if it is dense; enough to tell sharing from copying."""
    start = tensor.data_ptr()
    return start, start + tensor.numel() * tensor.element_size()


def run_program(text: str, seconds: float = 120, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh process with flambeau importable; a variable given as None is removed."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for name, value in environment.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env=variables,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output_of(text: str, seconds: float = 120, **environment: str | None) -> str:
    """What a program prints; an assertion if it fails."""
    done = run_program(text, seconds, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
