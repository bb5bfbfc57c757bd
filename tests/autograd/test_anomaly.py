"""detect_anomaly: the first NaN of a backward pass is an error that shows the line of the forward call."""

from __future__ import annotations

import pytest

import flambeau as fl


def not_a_number(x: fl.Tensor) -> fl.Tensor:
    return (x * 0).sqrt() * 0  # the derivative of sqrt at 0 is inf, times 0 is NaN


def line_of(text: str) -> int:
    with open(__file__) as file:
        return next(i for i, line in enumerate(file, 1) if text in line)


def test_the_error_names_the_operation_and_its_forward_line():
    x = fl.ones(2, requires_grad=True)
    with fl.autograd.detect_anomaly():
        y = not_a_number(x).sum()
        with pytest.raises(RuntimeError, match=r"Sqrt|Mul") as error:
            y.backward()
    assert "nan" in str(error.value)
    assert f"test_anomaly.py:{line_of('(x * 0).sqrt() * 0  #')}" in str(error.value)


def test_without_it_nan_passes():
    x = fl.ones(2, requires_grad=True)
    not_a_number(x).sum().backward()
    assert x.grad.isnan().all()


def test_the_mode_ends_with_the_block_and_can_be_set():
    x = fl.ones(2, requires_grad=True)
    with fl.autograd.detect_anomaly():
        pass
    not_a_number(x).sum().backward()
    fl.autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="nan"):
            not_a_number(x).sum().backward()
    finally:
        fl.autograd.set_detect_anomaly(False)
    with fl.autograd.detect_anomaly(check_nan=False):
        not_a_number(x).sum().backward()


def test_under_anomaly_a_changed_value_shows_the_line_that_saved_it_too():
    x = fl.ones(2, requires_grad=True)
    with fl.autograd.detect_anomaly():
        y = x * 1
        z = y * y  # saved here
        y.add_(1)  # changed here
        with pytest.raises(RuntimeError) as error:
            z.sum().backward()
    assert f"test_anomaly.py:{line_of('z = y * y  # saved here')}" in str(error.value)
    assert f"test_anomaly.py:{line_of('y.add_(1)  # changed here')}" in str(error.value)


def test_right_programs_run_unchanged():
    x = fl.ones(2, requires_grad=True)
    with fl.autograd.detect_anomaly():
        (x.exp() * x).sum().backward()
    assert x.grad.tolist() == pytest.approx([2 * 2.7182817] * 2)
