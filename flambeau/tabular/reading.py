"""From a file to a pandas frame: CSV (any common separator) and Parquet, with errors that name the file and the line.

What the cells mean (numbers in text, dates, codes) is not decided here but in `columns`.
"""

from __future__ import annotations

import csv
import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TableError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_names", "close_names", "read_table", "select_rows"]

SEPARATORS = (",", ";", "\t", "|")
PARQUET_SUFFIXES = (".parquet", ".pq")
# Above this size the extra pass that finds short lines costs more than it is worth; pandas still reports long ones.
LINE_CHECK_LIMIT = 256 * 2**20


def close_names(name: str, names: list[str]) -> str:
    """A sentence that lists the columns most like `name`, or all of them when none is like it."""
    lowered = {str(candidate).casefold(): str(candidate) for candidate in names}
    close = difflib.get_close_matches(str(name).casefold(), list(lowered), n=3, cutoff=0.5)
    if close:
        return "Did you mean " + " or ".join(repr(lowered[key]) for key in close) + "?"
    shown = ", ".join(repr(str(candidate)) for candidate in names[:12])
    return f"The columns are {shown}" + (f" and {len(names) - 12} more." if len(names) > 12 else ".")


def check_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text column names and rows numbered from zero.

    Errors: TableError when two columns have one name, since neither could be meant.
    """
    names = [str(name) for name in frame.columns]
    seen: set[str] = set()
    twice = sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    if twice:
        raise TableError(
            f"The table has more than one column named {', '.join(map(repr, twice))}. Give each its own name."
        )
    frame = frame.reset_index(drop=True)
    frame.columns = names
    return frame


def read_table(source: Any, notes: list[str] | None = None) -> pd.DataFrame:
    """Reads a CSV or Parquet file into a frame; a frame is passed through.

    Arguments: `source`, a path or a pandas DataFrame; `notes`, a list that remarks are appended to.
    Errors: TableError when the file is missing, empty, ragged, not text or not a table.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return check_names(source)
    path = Path(source)
    if not path.exists():
        raise TableError(f"There is no file {str(path)!r}. Check the name and the folder you are in.")
    if path.is_dir():
        raise TableError(f"{str(path)!r} is a folder, and a CSV or Parquet file is needed.")
    try:
        if path.suffix.lower() in PARQUET_SUFFIXES:
            frame = _read_parquet(path)
        else:
            frame = _read_csv(path, notes if notes is not None else [])
    except PermissionError:
        raise TableError(f"The file {str(path)!r} may not be read by this user: check its permissions.") from None
    except OSError as error:
        raise TableError(f"The file {str(path)!r} could not be read: {error.strerror or error}.") from None
    if frame.shape[1] == 0 or len(frame) == 0:
        raise TableError(f"The table {str(path)!r} has a header but no rows: there is nothing to learn from.")
    return check_names(frame)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise TableError("Reading Parquet needs the package pyarrow: install it, or save the table as CSV.") from None
    except OSError:
        raise
    except Exception as error:
        raise TableError(f"{str(path)!r} is not a readable Parquet file: {_first_line(error)}.") from None
    return frame.reset_index() if any(name is not None for name in frame.index.names) else frame


def _read_csv(path: Path, notes: list[str]) -> pd.DataFrame:
    import pandas as pd

    if os.path.getsize(path) == 0:
        raise TableError(f"The file {str(path)!r} is empty: a header line and rows are needed.")
    compressed = path.suffix.lower() in (".gz", ".bz2", ".xz", ".zip", ".zst")
    encoding, separator = "utf-8-sig", ","
    if not compressed:
        encoding = _encoding(path)
        if encoding != "utf-8-sig":
            notes.append(f"The file is not UTF-8; it was read as {encoding}.")
        separator = _separator(path, encoding)
        if os.path.getsize(path) <= LINE_CHECK_LIMIT:
            _check_lines(path, encoding, separator)
    try:
        return pd.read_csv(path, sep=separator, encoding=encoding, low_memory=False, skipinitialspace=True)
    except pd.errors.EmptyDataError:
        raise TableError(f"The file {str(path)!r} holds no columns: a header line and rows are needed.") from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise TableError(f"{str(path)!r} is not a well-formed CSV table: {_first_line(error)}.") from None


def _encoding(path: Path) -> str:
    with open(path, "rb") as file:
        head = file.read(4 * 2**20)
    if head[:4] == b"PAR1":
        raise TableError(f"{str(path)!r} is a Parquet file: give it the ending .parquet.")
    if b"\0" in head and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise TableError(f"{str(path)!r} is a binary file, and a text table (CSV) or a Parquet file is needed.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        head[: head.rfind(b"\n") + 1 or None].decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _separator(path: Path, encoding: str) -> str:
    with open(path, encoding=encoding, errors="replace", newline="") as file:
        header = next((line for line in file if line.strip()), "")
    counts = {mark: len(next(csv.reader([header], delimiter=mark))) for mark in SEPARATORS}
    return max(SEPARATORS, key=lambda mark: counts[mark])


def _check_lines(path: Path, encoding: str, separator: str) -> None:
    """Every line must have as many cells as the header: pandas would fill short lines with blanks without a word."""
    with open(path, encoding=encoding, errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        expected = 0
        try:
            for cells in reader:
                if not cells or (len(cells) == 1 and not cells[0].strip()):
                    continue
                if not expected:
                    expected = len(cells)
                elif len(cells) != expected:
                    raise TableError(
                        f"{str(path)!r} is ragged: its header has {expected} columns and line {reader.line_num} has "
                        f"{len(cells)}. Mend that line (a separator inside a text needs quotes around the text)."
                    )
        except csv.Error as error:
            raise TableError(
                f"{str(path)!r} is not a well-formed CSV table: line {reader.line_num}: {error}."
            ) from None


def select_rows(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows for which the pandas query `where` holds, e.g. ``Price < 10000000`` (names with spaces in backticks)."""
    try:
        chosen = frame.query(where, engine="python")
    except Exception as error:
        raise TableError(
            f"The row filter {where!r} could not be applied: {_first_line(error)}. It is a pandas query such as "
            '"Price < 10000000"; a column name with spaces stands in backticks: "`Floor area` > 20".'
        ) from None
    if len(chosen) == 0:
        raise TableError(f"No row of the table satisfies the filter {where!r}.")
    return chosen


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")
