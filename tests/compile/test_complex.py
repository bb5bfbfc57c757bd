"""Compiled functions of complex tensors: numbers, merged maps and rows, products, views of parts, gradients."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import flambeau as fl


def _random(*shape: int, dtype: Any = fl.complex64, seed: int = 0) -> Any:
    rng = numpy.random.default_rng(seed)
    return fl.tensor(rng.normal(size=shape) + 1j * rng.normal(size=shape), dtype=dtype)


def _same(function: Any, *arguments: Any) -> Any:
    """The compiled function after it was compared with the eager one, bit for bit, in three runs."""
    compiled = fl.compile(function)
    for _ in range(3):
        expected, found = function(*arguments), compiled(*arguments)
        assert found.dtype is expected.dtype
        numpy.testing.assert_array_equal(found.numpy(), expected.numpy())
    return compiled


@pytest.mark.parametrize("dtype", [fl.complex64, fl.complex128], ids=str)
def test_numbers_keep_both_parts(dtype):
    x = _random(5, 7, dtype=dtype)
    _same(lambda x: x * (2.0 - 3.0j) + 1j, x)
    _same(lambda x: (x * (2.0 - 3.0j)).sum(1), x)
    _same(lambda x: x.T * (0.5 + 4.0j), x)  # not one piece of memory
    _same(lambda x: x.real * 2j, x)  # a number does not widen
    _same(lambda x: x.masked_fill(x.real > 0, 1.0 - 2.0j) * 0.5, x)
    _same(lambda x: (x.real * (1.0 + 2.0j)).mean(1), x)


def test_numbers_that_differ_in_the_imaginary_part_are_two_numbers():
    x = _random(4)
    scale = [1.0 + 1.0j]

    def function(x: Any) -> Any:
        return x * scale[0]

    compiled = fl.compile(function)
    compiled(x), compiled(x)
    scale[0] = 1.0 + 2.0j
    numpy.testing.assert_array_equal(compiled(x).numpy(), function(x).numpy())


@pytest.mark.parametrize("dtype", [fl.complex64, fl.complex128], ids=str)
def test_maps_merge(dtype):
    x, y = _random(33, 65, dtype=dtype), _random(33, 65, dtype=dtype, seed=1)
    compiled = _same(lambda x, y: ((x * y).conj() + x.exp()) / (y.abs() + 1.0), x, y)
    assert "merged into one kernel" in compiled.explain()
    compiled = _same(lambda x, y: ((x * y).abs() * 2.0).sum(-1), x, y)
    _same(lambda x, y: ((x - x.mean(-1, keepdim=True)) * y).sum(-1), x, y)


def test_equal_steps_and_results_used_twice():
    x = _random(16, 16)
    _same(lambda x: (x * x + 1j) * (x * x).conj(), x)


def test_parts_as_views():
    x = _random(9, 4)

    def function(x: Any) -> Any:
        z = x * 2.0
        parts = fl.view_as_real(z)
        parts.mul_(3.0)
        return z + parts[..., 1] * 1j + z.real

    _same(function, x)


def test_products():
    a, b = _random(3, 17, 9), _random(3, 9, 5, seed=1)
    _same(lambda a, b: fl.nn.functional.gelu((a @ b).real) + (a @ b).imag, a, b)
    _same(lambda a, b: (a @ b) * 1j, a, b)


def test_running_sums_and_copies():
    x = _random(40, 48, dtype=fl.complex128)
    _same(lambda x: (x * 1j).T.contiguous() + 1.0, x)
    _same(lambda x: (x * 1j).cumsum(0), x)
    _same(lambda x: (x * 1j)[:, ::2].contiguous() * 2.0, x)


def test_large_results_that_are_computed_again():
    x = _random(600, 700)

    def function(x: Any) -> Any:
        first = x * 2.0
        parts = fl.view_as_real(first)
        total = first
        for i in range(30):
            total = (total.T * float(i)).T.contiguous() + 1j
        return (total * first).sum() + parts.sum()

    _same(function, x)


def test_gradients():
    w = _random(6, 6).requires_grad_()
    x = _random(4, 6, seed=2)

    def loss(w: Any, x: Any) -> Any:
        return ((x @ w).abs() ** 2).mean() + (w.cumsum(0) * (1.0 - 2.0j)).sum().real

    def step() -> Any:
        w.grad = None
        value = loss(w, x)
        value.backward()
        return value

    step()
    expected = w.grad.numpy().copy()
    compiled = fl.compile(step)
    for _ in range(3):
        compiled()
        numpy.testing.assert_array_equal(w.grad.numpy(), expected)


def test_gradient_of_overlapping_views():
    x = _random(8).requires_grad_()

    def step() -> Any:
        x.grad = None
        (x.as_strided((2, 4), (1, 2)) * (1.0 + 2.0j)).abs().sum().backward()
        return x.grad

    expected = step().numpy().copy()
    compiled = fl.compile(step)
    for _ in range(3):
        numpy.testing.assert_array_equal(compiled().numpy(), expected)


@pytest.mark.parametrize("name", ["det", "inv", "slogdet", "qr", "svd", "eig", "pinv"])
def test_linear_algebra_on_the_host(name):
    a = _random(5, 5, dtype=fl.complex128)

    def function(a: Any) -> Any:
        found = getattr(fl.linalg, name)(a * 2.0)
        return found[1] * 1.0 if isinstance(found, tuple) else found * 1.0

    _same(function, a)


def test_gradient_of_a_determinant():
    a = _random(4, 4, dtype=fl.complex128).requires_grad_()

    def step() -> Any:
        a.grad = None
        fl.linalg.det(a).abs().backward()

    step()
    expected = a.grad.numpy().copy()
    compiled = fl.compile(step)
    for _ in range(3):
        compiled()
        numpy.testing.assert_allclose(a.grad.numpy(), expected, rtol=1e-12)
