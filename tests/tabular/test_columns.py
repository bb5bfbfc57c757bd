"""What columns are taken for, and how their cells are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flambeau.tabular.columns import Column, equal_columns, parse_column, parse_table, read_column, read_columns


def read(cells, name="column", **options):
    series = pd.Series(cells, name=name, **options)
    column = read_column(series)
    return column, parse_column(series, column) if column.kind != "dropped" else None


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,234", "5", "12,345,678.5"], [1234, 5, 12345678.5]),
        (["£1,234", "£ 5", "-£3"], [1234, 5, -3]),
        (["1.234,5", "3,25", "7"], [1234.5, 3.25, 7]),
        (["1 234", "1\u00a0000", "2"], [1234, 1000, 2]),
        (["10%", "2.5 %", "0"], [10, 2.5, 0]),
        (["12 sq ft", "1,300 sq ft", "7"], [12, 1300, 7]),
        (["(1,200)", "50", "+3"], [-1200, 50, 3]),
        (["1e3", "2.5E-1", ".5"], [1000, 0.25, 0.5]),
        (["USD 10", "USD 20", "USD 1,000"], [10, 20, 1000]),
    ],
)
def test_numbers_in_text(cells, expected):
    column, values = read(cells)
    assert column.kind == "number"
    assert values.tolist() == expected


def test_a_few_bad_cells_count_as_missing_and_are_told():
    cells = [str(value) for value in range(40)] + ["ask", None]
    frame = pd.DataFrame({"size": cells})
    notes: list[str] = []
    columns = [read_column(frame["size"])]
    table = parse_table(frame, columns, notes)
    assert table["size"].isna().sum() == 2
    assert "1 of 42 cells could not be read as a number ('ask')" in notes[0]


def test_half_numbers_are_a_category():
    assert read(["1", "2", "a", "b"] * 5)[0].kind == "category"


def test_codes_with_leading_zeros_stay_text():
    column, values = read(["00123", "00456", "10000"])
    assert column.kind == "category"
    assert values.tolist() == ["00123", "00456", "10000"]


@pytest.mark.parametrize(
    "cells", [[True, False, True], ["yes", "No", "YES"], ["t", "f", "t"], pd.array([True, False, True], "boolean")]
)
def test_flags(cells):
    column, values = read(cells)
    assert column.kind == "flag"
    assert values.tolist() == [1.0, 0.0, 1.0]


def test_flags_with_missing_cells():
    column, values = read([True, None, False], dtype=object)
    assert column.kind == "flag"
    assert np.isnan(values[1])


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-01-31", "2023-12-01", "2020-02-29"],
        ["31/01/2024", "01/12/2023", "29/02/2020"],
        ["01/31/2024", "12/01/2023", "02/29/2020"],
        ["31 Jan 2024", "1 Dec 2023", "29 Feb 2020"],
        ["January 31, 2024", "December 1, 2023", "February 29, 2020"],
        ["2024-01-31T00:00:00Z", "2023-12-01T00:00:00Z", "2020-02-29T00:00:00Z"],
        pd.to_datetime(["2024-01-31", "2023-12-01", "2020-02-29"]),
    ],
)
def test_dates(cells):
    column, values = read(cells)
    assert column.kind == "date"
    assert [(day.year, day.month, day.day) for day in values] == [(2024, 1, 31), (2023, 12, 1), (2020, 2, 29)]


def test_categories_are_tidied():
    column, values = read([" Battersea", "Battersea ", "New  Cross", None, ""])
    assert column.kind == "category"
    assert values.tolist() == ["Battersea", "Battersea", "New Cross", None, None]


def test_unusable_columns_are_dropped_with_a_reason():
    assert read([None, None])[0].reason == "every cell is missing"
    assert read(["", " "])[0].reason == "every cell is missing"
    assert "lists" in read([[1], [2]])[0].reason
    assert "timedelta" in read(pd.to_timedelta([1, 2], unit="s"))[0].reason


@pytest.mark.parametrize(
    ("name", "cells", "dropped"),
    [
        ("Unnamed: 0", [0, 1, 2, 3], True),
        ("Unnamed: 0", [7, 3, 9, 4], True),
        ("anything", [1, 2, 3, 4], True),
        ("customer_id", [904, 17, 350, 2], True),
        ("rooms", [1, 2, 2, 3], False),
        ("year", [1990, 1991, 1992, 1993], False),
        ("size", [0.5, 1.5, 2.5, 3.5], False),
    ],
)
def test_row_numbers_are_recognised(name, cells, dropped):
    notes: list[str] = []
    column = read_columns(pd.DataFrame({name: cells, "y": [1, 2, 3, 5]}), "y", notes)[0]
    assert (column.kind == "dropped") == dropped
    assert bool(notes) == dropped


def test_equal_columns_are_found():
    table = pd.DataFrame({"a": [1.0, np.nan], "b": [2.0, 3.0], "c": [1.0, np.nan], "d": ["x", None], "e": ["x", None]})
    assert equal_columns(table) == [["a", "c"], ["d", "e"]]


def test_readings_survive_json():
    column = read(["1.234,5 kg", "3,25 kg", "7"])[0]
    assert Column.from_json(column.to_json()) == column


def test_infinite_cells_count_as_missing():
    frame = pd.DataFrame({"a": [1.0, np.inf, 2.0], "b": ["1", "inf", "2"]})
    notes: list[str] = []
    table = parse_table(frame, [read_column(frame[name]) for name in frame], notes)
    assert table.isna().sum().tolist() == [1, 1]
    assert len(notes) == 2
