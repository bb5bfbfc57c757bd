"""The figures: known values, and what becomes of zeros."""

import numpy as np
import pytest

from flambeau.tabular.metrics import measure
from flambeau.tabular.report import Report, money


def test_known_values():
    figures = measure(np.array([100.0, 200.0, 400.0]), np.array([105.0, 170.0, 600.0]))
    assert figures["mae"] == pytest.approx(235 / 3)
    assert figures["mape"] == pytest.approx((5 + 15 + 50) / 3)
    assert figures["within_10"] == pytest.approx(100 / 3)
    assert figures["within_20"] == pytest.approx(200 / 3)
    assert figures["r2"] == pytest.approx(1 - (25 + 900 + 40000) / (46666.6666667))


def test_zeros_are_left_out_of_relative_errors_and_told():
    figures = measure(np.array([0.0, 10.0]), np.array([5.0, 11.0]))
    assert figures["mape"] == pytest.approx(10.0)
    assert figures["zeros"] == 1
    assert "1 test row has a true value of zero" in str(Report("y", "default", {"flambeau": figures}, []))


def test_figures_that_cannot_be_had_are_none():
    figures = measure(np.zeros(3), np.ones(3))
    assert figures["mape"] is None and figures["r2"] is None
    assert " - " in str(Report("y", "default", {"flambeau": figures}, []))


def test_money():
    assert [money(value) for value in (1234567.8, 12.345, 0.00123, None)] == ["1,234,568", "12.35", "0.00123", "-"]
