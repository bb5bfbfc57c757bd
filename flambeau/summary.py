"""What is in a tensor at a glance: `tensor.summary()`. It reads tensors and changes none."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["TensorSummary", "summarize"]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class TensorSummary:
    """The shape, the memory and the distribution of a tensor's elements, as attributes and as a table.

    shape, dtype, device, requires_grad    those of the tensor
    numel, bytes                           how many elements, and what they take (a view counts its own elements)
    minimum, maximum, mean, std            of the finite elements, in double precision; None where there are none
    nan_count, inf_count, zero_count       how many elements are NaN, infinite, zero (False)
    histogram, edges                       counts of the finite elements in bins of one width, and the bins' bounds

    >>> s = fl.tensor([1.0, 2.0, float("nan")]).summary()
    >>> s.mean, s.nan_count
    (1.5, 1)
    """

    __slots__ = (
        "bytes", "device", "dtype", "edges", "histogram", "inf_count", "maximum", "mean", "minimum", "nan_count",
        "numel", "requires_grad", "shape", "std", "zero_count",
    )  # fmt: skip

    def __init__(self, tensor: Any, bins: int = 32) -> None:
        import numpy

        from flambeau import dtypes

        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise ValueError(f"summary: bins must be a whole number above 0, got {bins!r}")
        values = tensor.detach()
        self.shape, self.dtype, self.device = tensor.shape, tensor.dtype, tensor.device
        self.requires_grad, self.numel = tensor.requires_grad, tensor.numel()
        self.bytes = self.numel * tensor.dtype.itemsize
        if values.dtype.category == 3:
            values = values.abs()  # the distribution of complex numbers is that of their sizes
        if values.dtype is dtypes.bfloat16:
            values = values.float()
        array = values.resolve_conj().contiguous().numpy().reshape(-1)
        floating = array.dtype.kind == "f"
        self.nan_count = int(numpy.isnan(array).sum()) if floating else 0
        self.inf_count = int(numpy.isinf(array).sum()) if floating else 0
        self.zero_count = int(array.size - numpy.count_nonzero(array))
        finite = array[numpy.isfinite(array)] if self.nan_count or self.inf_count else array
        self.minimum: Any = None
        self.maximum: Any = None
        self.mean: float | None = None
        self.std: float | None = None
        self.histogram: list[int] = []
        self.edges: list[float] = []
        if finite.size:
            self.minimum, self.maximum = finite.min().item(), finite.max().item()
            scale = max(abs(float(self.minimum)), abs(float(self.maximum)), 1.0)
            wide = finite.astype("float64") / scale  # squares of the largest doubles stay finite
            self.mean, self.std = float(wide.mean() * scale), float(wide.std() * scale)
            low, high = float(self.minimum) / scale, float(self.maximum) / scale
            if low == high:
                low, high = low - 0.5, high + 0.5
            counts, edges = numpy.histogram(wide, bins, (low, high))
            self.histogram, self.edges = counts.tolist(), (edges * scale).tolist()

    def rows(self) -> list[tuple[str, str]]:
        """The table: names and texts."""
        rows = [
            ("shape", f"{tuple(self.shape)}, {self.numel:,} element{'' if self.numel == 1 else 's'}"),
            ("dtype", f"{self.dtype.name} on {self.device}" + (", requires grad" if self.requires_grad else "")),
            ("memory", _size(self.bytes)),
        ]
        if self.mean is not None and self.std is not None:
            rows += [
                ("range", f"{_number(self.minimum)} to {_number(self.maximum)}"),
                ("mean ± std", f"{_number(self.mean)} ± {_number(self.std)}"),
            ]
        for name, count in (("NaN", self.nan_count), ("infinite", self.inf_count), ("zero", self.zero_count)):
            if count:
                rows.append((name, f"{count:,} ({_percent(count / self.numel)})"))
        if self.histogram:
            rows.append(("histogram", self.bars()))
        return rows

    def bars(self) -> str:
        """The histogram in block characters, a bin a character; a bin that is not empty is never blank."""
        top = max(self.histogram)
        return "".join(_BLOCKS[math.ceil(8 * count / top)] for count in self.histogram)

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        inner = width + 3 + max(len(text) for _, text in rows)
        lines = [f"│ {name.ljust(width)}  {text.ljust(inner - width - 3)} │" for name, text in rows]
        return "\n".join(["╭" + "─" * (inner + 1) + "╮", *lines, "╰" + "─" * (inner + 1) + "╯"])

    __repr__ = __str__

    def __rich__(self) -> Any:
        """The table for `rich.print`."""
        from rich import box
        from rich.table import Table

        table = Table(show_header=False, box=box.ROUNDED)
        table.add_column(style="bold")
        table.add_column()
        for name, text in self.rows():
            style = "red" if name in ("NaN", "infinite") else "cyan" if name == "histogram" else ""
            table.add_row(name, f"[{style}]{text}[/]" if style else text)
        return table

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        from html import escape

        rows = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left;font-family:monospace;white-space:pre">{escape(text)}</td></tr>'
            for name, text in self.rows()
        )
        return f"<table>{rows}</table>"


def summarize(tensor: Any, bins: int = 32) -> TensorSummary:
    """What is in a tensor: shape, memory, range, mean, spread, NaN, infinities, zeros and a histogram.

    bins  how many bins the histogram has
    Returns a TensorSummary, whose text is a table; raises ValueError for a wrong number of bins.

    >>> print(fl.arange(4.0).summary(bins=4))
    ╭──────────────────────────────╮
    │ shape       (4,), 4 elements │
    │ dtype       float32 on cpu   │
    │ memory      16 B             │
    │ range       0 to 3           │
    │ mean ± std  1.5 ± 1.118      │
    │ zero        1 (25%)          │
    │ histogram   ████             │
    ╰──────────────────────────────╯
    """
    from flambeau.ops.arguments import check_tensor

    return TensorSummary(check_tensor("summary", tensor, "self"), bins)


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]} ({count:,} B)"


def _number(value: Any) -> str:
    return str(value) if isinstance(value, (bool, int)) else f"{value:.4g}"


def _percent(share: float) -> str:
    return "100%" if share == 1 else f"{100 * share:.3g}%" if share >= 1e-4 else "under 0.01%"
