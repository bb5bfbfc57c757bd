"""tensor.summary(): figures of every dtype, special values, empty tensors, and the table in its three forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as fl


@pytest.mark.parametrize("dtype", fl.dtypes.ALL, ids=str)
def test_the_figures_are_numpys(dtype):
    values = [0, 1, 1, 0, 1, 1] if dtype is fl.bool else [0, 3, 4, 5, 9, 3]
    s = fl.tensor(values, dtype=dtype).reshape(2, 3).summary()
    assert s.shape == (2, 3) and s.dtype is dtype and s.device == fl.device("cpu") and s.numel == 6
    assert s.bytes == 6 * dtype.itemsize and s.zero_count == values.count(0) and s.nan_count == s.inf_count == 0
    assert s.minimum == 0 and s.maximum == max(values)
    assert s.mean == pytest.approx(np.mean(values)) and s.std == pytest.approx(np.std(values))
    counts, edges = np.histogram(values, 32, (0, max(values)))
    assert s.histogram == counts.tolist() and s.edges == pytest.approx(edges)


def test_what_is_not_finite_is_counted_and_left_out():
    s = fl.tensor([1.0, 3.0, math.nan, math.inf, -math.inf, 0.0], requires_grad=True).summary(bins=4)
    assert (s.nan_count, s.inf_count, s.zero_count) == (1, 2, 1) and (s.minimum, s.maximum) == (0.0, 3.0)
    assert s.mean == pytest.approx(4 / 3) and sum(s.histogram) == 3 and s.requires_grad
    nothing = fl.tensor([math.nan, math.inf]).summary()
    assert nothing.mean is None and nothing.histogram == [] and "NaN" in str(nothing) and "range" not in str(nothing)


def test_the_largest_numbers_do_not_overflow():
    s = fl.tensor([1.7e308, -1.7e308], dtype=fl.float64).summary()
    assert s.mean == 0 and s.std == pytest.approx(1.7e308) and s.histogram[0] == s.histogram[-1] == 1


def test_tensors_without_elements_or_with_one_value():
    for x in (fl.zeros(0), fl.zeros(2, 0, 3, dtype=fl.int64), fl.zeros(0, dtype=fl.bool)):
        s = x.summary()
        assert s.numel == s.bytes == 0 and s.mean is None and "0 elements" in str(s)
    s = fl.tensor(7).summary()
    assert s.minimum == s.maximum == 7 and s.std == 0 and sum(s.histogram) == 1 and "1 element" in str(s)


def test_views_are_read_as_they_are_seen():
    x = fl.arange(12.0).reshape(3, 4)
    assert x.T[1:, ::2].summary().mean == pytest.approx(np.arange(12.0).reshape(3, 4).T[1:, ::2].mean())
    assert fl.ones(1).expand(5).summary().bytes == 20


def test_the_table():
    s = fl.tensor([0.0, 1.0, 1.0, 2.0]).summary(bins=3)
    text = str(s)
    assert len({len(line) for line in text.splitlines()}) == 1
    for word in ("(4,), 4 elements", "float32 on cpu", "16 B", "0 to 2", "1 ± 0.7071", "1 (25%)", "▄█▄"):
        assert word in text
    assert repr(s) == text
    html = s._repr_html_()
    assert html.startswith("<table>") and html.count("<tr>") == len(s.rows()) and "▄█▄" in html
    assert "2.0 MiB" in str(fl.zeros(512, 1024).summary())


def test_the_table_for_rich_consoles():
    pytest.importorskip("rich")
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, width=80).print(fl.tensor([1.0, math.nan]).summary())
    assert "1 (50%)" in out.getvalue() and "╭" in out.getvalue()


def test_wrong_arguments():
    for bins in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="bins"):
            fl.ones(2).summary(bins=bins)
