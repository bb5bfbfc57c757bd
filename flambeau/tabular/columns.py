"""What each column of a table is: number, flag, date, category, or of no use; and how its cells become values.

The decisions are made once on the training table (`read_columns`), travel with the model as JSON, and are applied to
every later table (`parse_table`). Nothing here looks at the target except to read it as a number.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["LARGEST", "Column", "equal_columns", "parse_column", "parse_table", "read_column", "read_columns"]

MISSING_LEVEL = "(missing)"
# A text column is numeric when this share of its cells can be read as numbers; the rest count as missing, with a note.
NUMERIC_SHARE = 0.9
LARGEST = 1e100  # beyond it squares overflow
DATE_SHARE = 0.95
FLAG_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "y": 1.0, "n": 0.0, "t": 1.0, "f": 0.0}
IDENTIFIER = re.compile(r"(^|[\s_.-])(id|index|idx|key|uuid|guid|row|rownum|row_?id|row_?number)$", re.IGNORECASE)
UNNAMED = re.compile(r"^(Unnamed: ?\d+(_level_\d+)?|index|level_\d+|\s*)$")
CURRENCY = "£$€¥₹₽₩¢"
# sign, currency, digits, then a currency, percent sign or short unit
NUMBER_CELL = re.compile(
    rf"^\(?\s*(?P<sign>[-+−]?)\s*(?:[{CURRENCY}]|(?:GBP|USD|EUR|CHF|JPY)\b)?\s*(?P<sign2>[-+−]?)\s*"
    rf"(?P<digits>\d[\d.,\s'’\u00a0]*?|\.\d+)(?P<power>[eE][-+]?\d+)?\s*"
    rf"(?P<unit>[{CURRENCY}%]|[A-Za-z][A-Za-z²³/. ]{{0,9}})?\s*\)?$"
)
POINT_DECIMAL = re.compile(r"^(\d{1,3}([, '’\u00a0]\d{3})+|\d+)?(\.\d*)?$")
COMMA_DECIMAL = re.compile(r"^(\d{1,3}([. '’\u00a0]\d{3})+|\d+)?(,\d*)?$")
DATE_CELL = re.compile(
    r"^\s*(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[\s-][A-Za-z]{3,9}[\s-]\d{2,4}"
    r"|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})([T\s]\d{1,2}:\d{2}.*)?\s*$"
)


@dataclass
class Column:
    """One column's name and reading: `kind` is number, flag, date, category or dropped (`reason` says why)."""

    name: str
    kind: str
    reason: str = ""
    text: bool = False  # the cells are texts to be parsed
    decimal: str = "."
    unit: str = ""
    day_first: bool = False
    words: dict[str, float] = field(default_factory=dict)  # a flag's words

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Column:
        return cls(**values)


def _texts(series: pd.Series) -> pd.Series:
    """The cells as stripped text with single spaces; blank and missing cells as None."""
    import pandas as pd

    missing = series.isna().to_numpy()
    values = [
        None if gone else " ".join(str(cell).split()) or None
        for cell, gone in zip(series.tolist(), missing, strict=True)
    ]
    return pd.Series(values, index=series.index, dtype=object, name=series.name)


def _number(cell: str, decimal: str) -> tuple[float, str] | None:
    match = NUMBER_CELL.match(cell)
    if match is None:
        return (float(cell), "") if cell.casefold().lstrip("+-") in ("inf", "infinity") else None
    digits = match["digits"]
    if not (POINT_DECIMAL if decimal == "." else COMMA_DECIMAL).match(digits):
        return None
    digits = re.sub(r"[\s'’\u00a0]", "", digits).replace("," if decimal == "." else ".", "").replace(",", ".")
    try:
        value = float(digits + (match["power"] or ""))
    except ValueError:
        return None
    negative = (match["sign"] in ("-", "−")) != (match["sign2"] in ("-", "−")) or (cell[0] == "(" and cell[-1] == ")")
    return (-value if negative else value), (match["unit"] or "").strip()


def _numbers(texts: pd.Series, decimal: str, unit: str) -> np.ndarray:
    """Each text as a float, NaN where it is not a number (or bears another unit than `unit`)."""
    import numpy as np

    read: dict[str, float] = {}
    for cell in texts.dropna().unique():
        number = _number(cell, decimal)
        read[cell] = number[0] if number is not None and number[1] in ("", unit) else np.nan
    return np.array([np.nan if cell is None else read[cell] for cell in texts], dtype=np.float64)


def _text_number(texts: pd.Series) -> Column | None:
    """The reading of a text column as numbers, or None when its cells are not numbers of one unit."""
    tally = texts.dropna().value_counts()
    cells, sizes = list(tally.index), list(tally)
    if any(re.match(r"^0\d+$", cell) for cell in cells):
        return None  # codes with leading zeros: as numbers they would lose them
    if sum(_number(cell, ".") is None and _number(cell, ",") is None for cell in cells[:200]) > 100:
        return None
    best = None
    for decimal in ".,":
        numbers = [_number(cell, decimal) for cell in cells]
        units: dict[str, int] = {}
        for number, size in zip(numbers, sizes, strict=True):
            if number is not None and number[1]:
                units[number[1]] = units.get(number[1], 0) + size
        unit = max(units, key=lambda name: units[name]) if units else ""
        fitting = [number is not None and number[1] in ("", unit) for number in numbers]
        count = sum(size for size, fits in zip(sizes, fitting, strict=True) if fits)
        if count >= NUMERIC_SHARE * sum(sizes) and (best is None or count > best[0]):
            best = (count, Column(str(texts.name), "number", text=True, decimal=decimal, unit=unit))
    return best[1] if best else None


def _dates(series: pd.Series, column: Column) -> pd.Series:
    import pandas as pd

    if column.text:
        cells = _texts(series)
        fitting = cells.where(cells.map(lambda cell: cell is not None and DATE_CELL.match(cell) is not None), None)
        dates = pd.to_datetime(fitting, format="mixed", dayfirst=column.day_first, errors="coerce", utc=True)
    else:
        dates = pd.to_datetime(series, errors="coerce", utc=True)
    return dates.dt.tz_localize(None)


def read_column(series: pd.Series) -> Column:
    """Decides what a column is from its dtype and cells."""
    import pandas as pd
    from pandas.api import types

    name = str(series.name)
    if series.isna().all():
        return Column(name, "dropped", "every cell is missing")
    if types.is_bool_dtype(series):
        return Column(name, "flag")
    if types.is_datetime64_any_dtype(series):
        return Column(name, "date")
    if types.is_timedelta64_dtype(series) or types.is_complex_dtype(series):
        return Column(name, "dropped", f"cells of type {series.dtype} are not used")
    if types.is_numeric_dtype(series):
        return Column(name, "number")
    cells = series.dropna()
    if not isinstance(series.dtype, pd.CategoricalDtype):
        if cells.map(lambda cell: isinstance(cell, (list, dict, set, tuple, bytes)) or hasattr(cell, "shape")).any():
            return Column(name, "dropped", "its cells are lists or binary data")
        if cells.map(lambda cell: isinstance(cell, bool)).all():
            return Column(name, "flag")
    texts = _texts(series)
    if texts.isna().all():
        return Column(name, "dropped", "every cell is missing")
    words = {cell.casefold() for cell in texts.dropna().unique()} if texts.nunique() <= 4 else set()
    if len(words) == 2 and words <= set(FLAG_WORDS) and sum(FLAG_WORDS[word] for word in words) == 1.0:
        return Column(name, "flag", text=True, words={word: FLAG_WORDS[word] for word in sorted(words)})
    number = _text_number(texts)
    if number is not None:
        return number
    present = texts.dropna()
    if present.map(lambda cell: DATE_CELL.match(cell) is not None).mean() >= DATE_SHARE:
        first = present.str.extract(r"^\s*(\d{1,2})[-/.]\d{1,2}[-/.]\d{2,4}")[0].dropna().astype(int)
        column = Column(name, "date", text=True, day_first=bool((first > 12).any()))
        if _dates(series, column).notna().sum() >= DATE_SHARE * len(present):
            return column
    return Column(name, "category", text=True)


def parse_column(series: pd.Series, column: Column) -> pd.Series:
    """The column's values: float64 for numbers and flags, datetime64 for dates, text or None for categories."""
    import numpy as np
    import pandas as pd
    from pandas.api import types

    if column.kind == "date":
        return _dates(series, column)
    if column.kind == "category":
        return _category(series)
    if column.words:
        texts = _texts(series)
        read = [np.nan if cell is None else column.words.get(cell.casefold(), _truth(cell)) for cell in texts]
        return pd.Series(read, index=series.index, dtype=np.float64, name=series.name)
    if types.is_numeric_dtype(series) or types.is_bool_dtype(series):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    elif column.kind == "flag":
        values = np.array([np.nan if cell is None else _truth(cell) for cell in _texts(series)], dtype=np.float64)
    else:
        values = _numbers(_texts(series), column.decimal, column.unit)
    return pd.Series(values, index=series.index, name=series.name)


def _truth(cell: str) -> float:
    words = {**FLAG_WORDS, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
    return words.get(cell.casefold(), float("nan"))


def _category(series: pd.Series) -> pd.Series:
    """Category cells as text; whole floats lose their ".0" so that 3 and 3.0 are one level."""
    from pandas.api import types

    if types.is_float_dtype(series):
        series = series.map(lambda cell: cell if cell != cell or cell % 1 else int(cell)).astype(object)
    return _texts(series)


def _row_number(series: pd.Series) -> bool:
    """Whether the column merely counts or identifies the rows."""
    import numpy as np
    from pandas.api import types

    if not types.is_numeric_dtype(series) or types.is_bool_dtype(series) or series.isna().any():
        return False
    values = series.to_numpy(dtype=np.float64)
    if len(values) < 3 or not np.isfinite(values).all() or (values % 1).any() or len(np.unique(values)) < len(values):
        return False
    if IDENTIFIER.search(str(series.name)) or UNNAMED.match(str(series.name)):
        return True
    return bool(values[0] in (0, 1) and (np.diff(values) == 1).all())


def read_columns(frame: pd.DataFrame, target: str, notes: list[str], drop: tuple[str, ...] = ()) -> list[Column]:
    """Reads every column but the target, in table order; what is left out or repaired is told in `notes`."""
    columns = []
    for name in frame.columns:
        if name == target:
            continue
        series = frame[name]
        if name in drop:
            column = Column(name, "dropped", "left out as asked")
        elif _row_number(series):
            column = Column(name, "dropped", "it only numbers the rows")
        else:
            column = read_column(series)
        if column.kind == "dropped":
            notes.append(f"Column {name!r} is not used: {column.reason}.")
        columns.append(column)
    return columns


def parse_table(frame: pd.DataFrame, columns: list[Column], notes: list[str]) -> pd.DataFrame:
    """Parses every used column; cells that could not be read become missing and are counted in `notes`."""
    import pandas as pd

    parsed = {}
    for column in columns:
        if column.kind == "dropped":
            continue
        series = frame[column.name]
        values = parse_column(series, column)
        unread = values.isna() & _texts(series).notna() if column.kind != "category" else None
        if unread is not None and unread.any():
            shown = ", ".join(repr(str(cell)) for cell in series[unread].unique()[:3])
            notes.append(
                f"Column {column.name!r}: {int(unread.sum())} of {len(series)} cells could not be read as a "
                f"{column.kind} ({shown}) and count as missing."
            )
        if column.kind == "number":
            infinite = values.abs() > LARGEST
            if infinite.any():
                values = values.mask(infinite)
                notes.append(
                    f"Column {column.name!r}: {int(infinite.sum())} cells that are infinite or beyond {LARGEST:g} "
                    "count as missing."
                )
        parsed[column.name] = values
    return pd.DataFrame(parsed, index=frame.index)


def equal_columns(table: pd.DataFrame) -> list[list[str]]:
    """Groups of columns that hold the same value in every row, in table order."""
    import pandas as pd

    groups: dict[tuple[str, int], list[str]] = {}
    for name in table.columns:
        digest = int(pd.util.hash_pandas_object(table[name], index=False).sum())
        groups.setdefault((str(table[name].dtype), digest), []).append(name)
    equal = []
    for names in groups.values():
        while len(names) > 1:
            same = [name for name in names if table[name].equals(table[names[0]])]
            if len(same) > 1:
                equal.append(same)
            names = [name for name in names if name not in same]
    return equal
