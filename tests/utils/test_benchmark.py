"""Timer, Measurement and Compare on statements and on clocks that are made up."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.utils.benchmark import Compare, Measurement, TaskSpec, Timer, select_unit, trim_sigfig


def test_a_statement_is_run_as_often_as_asked():
    seen = []
    timer = Timer("seen.append(x)", "x = 3", globals={"seen": seen}, label="append")
    found = timer.timeit(200)
    assert len(seen) == 202 and set(seen) == {3}
    assert found.number_per_run == 200 and 0 < found.median < 1e-2 and found.title == "append"
    assert "200 runs per measurement, 1 thread" in repr(found)


def test_threads_are_set_for_the_runs_only():
    before, seen = fl.get_num_threads(), []
    Timer("seen.append(fl.get_num_threads())", globals={"seen": seen, "fl": fl}, num_threads=2).timeit(1)
    assert set(seen) == {2} and fl.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        Timer("1 / 0", num_threads=2).timeit(1)
    assert fl.get_num_threads() == before


def test_blocks_are_measured_until_the_time_is_over():
    told = []
    found = Timer("sum(range(100))").blocked_autorange(lambda number, time: told.append(number), min_run_time=0.02)
    assert sum(found.raw_times) >= 0.02 and told == [found.number_per_run] * len(found.raw_times)
    found = Timer("sum(range(100))").adaptive_autorange(max_run_time=0.05)
    assert len(found.raw_times) >= 1


def test_what_times_say():
    found = Measurement(10, [1e-4, 2e-4, 3e-4, 4e-4, 1e-3], TaskSpec("f()", "pass", sub_label="rows"))
    assert found.times == pytest.approx([1e-5, 2e-5, 3e-5, 4e-5, 1e-4])
    assert found.median == pytest.approx(3e-5) and found.mean == pytest.approx(4e-5)
    assert found.iqr == pytest.approx(2e-5)
    assert found.has_warnings and "IQR:    20.00 us (20.00 to 40.00)" in repr(found)
    assert found.title == "stmt: f(): rows"
    steady = Measurement(1, [1.0, 1.0, 1.0], TaskSpec("f()", "pass"))
    assert steady.significant_figures == 5 and not steady.has_warnings
    assert (select_unit(0.5), select_unit(2.0), select_unit(1e-12)) == (("ms", 1e-3), ("s", 1.0), ("ns", 1e-9))
    assert (trim_sigfig(1234.5, 2), trim_sigfig(0.0, 3)) == (1200.0, 0.0)


def test_a_table_has_a_row_for_each_sub_label():
    results = [
        Measurement(1, [time], TaskSpec("f()", "pass", label="sums", sub_label=row, description=column))
        for row, column, time in (("a", "old", 2e-6), ("a", "new", 1e-6), ("b", "old", 3e-3))
    ]
    table = Compare(results[:1])
    table.extend_results(results[1:])
    lines = [[cell.strip() for cell in line.split("|")] for line in str(table).splitlines()]
    assert lines[0] == ["[ sums ]"] and lines[1] == ["", "old", "new"]
    assert lines[2] == ["a, 1 thread", "2", "1"] and lines[3] == ["b, 1 thread", "3000", ""]
    assert lines[-1] == ["Times are in us."]


def test_bad_arguments():
    with pytest.raises(ValueError, match="code as text"):
        Timer(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="language must be 'python'"):
        Timer("f()", language="cpp")
