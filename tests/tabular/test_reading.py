"""Files that are tables, and files that are not: every refusal is a sentence that says where and why."""

from __future__ import annotations

import pandas as pd
import pytest

from flambeau.tabular import TableError
from flambeau.tabular.reading import close_names, read_table, select_rows


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("\n\n", "no columns"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", "header has 2 columns and line 3 has 1"),
        ("a,b\n1,2\n3,4,5\n", "header has 2 columns and line 3 has 3"),
        ("a,b\n1,2,9\n3,4,9\n", "line 2 has 3"),
        ('a,b\n1,"2\n3,4\n', "CSV|ragged"),
        ("a\0b,c\n1,2\n", "binary"),
    ],
)
def test_malformed_tables_are_refused(tmp_path, text, told):
    with pytest.raises(TableError, match=told):
        read_table(write(tmp_path / "table.csv", text))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(TableError, match=r"no file .*nothing\.csv"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(TableError, match="is a folder"):
        read_table(tmp_path)


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(TableError, match="not a readable Parquet file"):
        read_table(write(tmp_path / "table.parquet", "a,b\n1,2\n"))


def test_parquet_is_read(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    frame.to_parquet(tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet")["a"].tolist() == [1, 2]
    (tmp_path / "table.csv").write_bytes((tmp_path / "table.parquet").read_bytes())
    with pytest.raises(TableError, match="is a Parquet file"):
        read_table(tmp_path / "table.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_recognised(tmp_path, separator):
    text = separator.join("ab") + "\n" + separator.join(["1", "x"]) + "\n" + separator.join(["2", '"y, z; w|v"']) + "\n"
    frame = read_table(write(tmp_path / "table.csv", text))
    assert frame["b"].tolist() == ["x", "y, z; w|v"]


def test_encodings(tmp_path):
    notes: list[str] = []
    assert read_table(write(tmp_path / "bom.csv", "\ufeffa,b\n1,é\n"), notes).columns.tolist() == ["a", "b"]
    assert not notes
    assert read_table(write(tmp_path / "old.csv", "a,b\n1,£2\n", "cp1252"), notes)["b"].tolist() == ["£2"]
    assert "cp1252" in notes[0]
    assert read_table(write(tmp_path / "wide.csv", "a,b\n1,é\n", "utf-16"), notes)["b"].tolist() == ["é"]


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(TableError, match="more than one column named 'a'"):
        read_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_close_names_are_suggested():
    assert close_names("prise", ["Area", "Price"]) == "Did you mean 'Price'?"
    assert "'Area', 'Price'" in close_names("zzz", ["Area", "Price"])


def test_row_filters():
    frame = pd.DataFrame({"x": [1, 2, 3], "floor area": [10, 20, 30]})
    assert select_rows(frame, "x > 1 and `floor area` < 30")["x"].tolist() == [2]
    for query in ("nonsense ==", "missing > 3", "x = 3"):
        with pytest.raises(TableError, match="could not be applied"):
            select_rows(frame, query)
    with pytest.raises(TableError, match="No row"):
        select_rows(frame, "x > 5")
