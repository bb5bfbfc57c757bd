"""What a training run tells its user: remarks on the table, one table of figures, where things were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["Report", "money"]


def money(value: float | None) -> str:
    """A figure in the target's units: four digits or more, thousands separated."""
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}%"


class Report:
    """The figures of one run. `metrics` maps each model's name to what `measure` returned; `notes` are sentences."""

    def __init__(self, target: str, recipe: str, metrics: dict[str, dict[str, Any]], notes: list[str]) -> None:
        self.target, self.recipe, self.metrics, self.notes = target, recipe, metrics, notes
        self.facts: dict[str, Any] = {}  # rows, features, network, seconds

    def table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        first = next(iter(self.metrics.values()), {})
        rows = int(first.get("rows", 0))
        table = Table(title=Text(f"{self.target}: {rows:,} test rows, errors in its own units"), title_justify="left")
        table.add_column("model", no_wrap=True)
        for name in ("MAE", "MAPE", "within 10%", "within 20%", "R2"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, figures in self.metrics.items():
            r2 = figures["r2"]
            table.add_row(
                Text(name),
                money(figures["mae"]),
                _percent(figures["mape"]),
                _percent(figures["within_10"]),
                _percent(figures["within_20"]),
                "-" if r2 is None else f"{r2:.3f}",
                style="bold" if name.startswith("flambeau") else None,
            )
        return table

    def print(self, console: Console) -> None:
        """Prints remarks, facts and figures."""
        for note in self.notes:
            console.print(f"- {note}", markup=False, highlight=False)
        if self.facts:
            facts = self.facts
            console.print(
                f"{facts['training_rows']:,} training and {facts['test_rows']:,} test rows, "
                f"{facts['features']} inputs, network {facts['network']}, {facts['epochs']} epochs, "
                f"{facts['seconds']:.1f} s",
                markup=False,
                highlight=False,
            )
        console.print(self.table())
        zeros = int(next(iter(self.metrics.values()), {}).get("zeros", 0))
        if zeros:
            what = "1 test row has" if zeros == 1 else f"{zeros:,} test rows have"
            console.print(f"{what} a true value of zero: left out of MAPE and of the shares within 10% and 20%.")

    def __str__(self) -> str:
        import io

        from rich.console import Console

        stream = io.StringIO()
        self.print(Console(file=stream, width=120))
        return stream.getvalue()
