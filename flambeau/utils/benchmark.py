"""`flambeau.utils.benchmark`: times of small pieces of code, measured often enough to be trusted.

`Timer` measures, `Measurement` tells what was found, `Compare` puts several side by side.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Compare", "Measurement", "TaskSpec", "Timer", "select_unit", "trim_sigfig"]

_UNITS = (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0))


def select_unit(t: float) -> tuple[str, float]:
    """The unit that suits a time in seconds, and its length in seconds.

    >>> fl.utils.benchmark.select_unit(2e-5)
    ('us', 1e-06)
    """
    for name, length in reversed(_UNITS):
        if t >= length:
            return name, length
    return _UNITS[0]


def trim_sigfig(x: float, n: int) -> float:
    """`x` rounded to `n` digits.

    >>> fl.utils.benchmark.trim_sigfig(1234.5, 2)
    1200.0
    """
    return float(f"{x:.{max(n, 1) - 1}e}")


@dataclass(frozen=True)
class TaskSpec:
    """What is measured: the statement, its setup, and the words that tell it from others."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or the statement where there is none."""
        label = self.label or f"stmt: {self.stmt}"
        return f"{label}: {self.sub_label}" if self.sub_label else label


@dataclass
class Measurement:
    """The times of several blocks of runs, in seconds for one run."""

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = field(default=None, repr=False)

    def __getattr__(self, name: str) -> Any:
        if name in ("label", "sub_label", "description", "env", "num_threads", "stmt", "setup", "title"):
            return getattr(self.task_spec, name)
        raise AttributeError(f"'Measurement' object has no attribute {name!r}")

    @property
    def times(self) -> list[float]:
        """The seconds of one run, block by block."""
        return [time / self.number_per_run for time in self.raw_times]

    def _quantile(self, share: float) -> float:
        ordered = sorted(self.times)
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    @property
    def median(self) -> float:
        """The middle of the times."""
        return self._quantile(0.5)

    @property
    def mean(self) -> float:
        """Their mean."""
        return sum(self.times) / len(self.times)

    @property
    def iqr(self) -> float:
        """The range of the middle half of the times."""
        return self._quantile(0.75) - self._quantile(0.25)

    @property
    def has_warnings(self) -> bool:
        """Whether the times differ so much that they say little."""
        return self.iqr > 0.1 * self.median

    @property
    def significant_figures(self) -> int:
        """How many digits of the median the spread leaves."""
        if not self.iqr or not self.median:
            return 5
        spread, digits = self.iqr / self.median / max(len(self.times), 1) ** 0.5, 0
        while digits < 5 and spread < 10.0 ** -(digits + 1) * 5:
            digits += 1
        return max(digits, 1)

    def __repr__(self) -> str:
        unit, length = select_unit(self.median)
        lines = [f"<{__name__}.Measurement object at {id(self):#x}>", self.task_spec.title]
        if self.task_spec.setup not in ("", "pass"):
            lines.append(f"setup: {self.task_spec.setup}")
        several = len(self.times) > 1
        lines.append(f"  {'Median: ' if several else ''}{trim_sigfig(self.median / length, 4):g} {unit}")
        if several:
            low, high = self._quantile(0.25) / length, self._quantile(0.75) / length
            lines.append(f"  IQR:    {self.iqr / length:.2f} {unit} ({low:.2f} to {high:.2f})")
        threads = f"{self.task_spec.num_threads} thread{'s' if self.task_spec.num_threads > 1 else ''}"
        count = f"{len(self.times)} measurement{'s' if several else ''}"
        lines.append(f"  {count}, {self.number_per_run} runs per measurement, {threads}")
        if self.has_warnings and several:
            lines.append("  WARNING: the times differ by more than a tenth of the median; something else runs")
        return "\n".join(lines)

    @staticmethod
    def merge(measurements: Sequence[Measurement]) -> list[Measurement]:
        """One measurement for each task, with the times of all."""
        found: dict[TaskSpec, list[float]] = {}
        for each in measurements:
            found.setdefault(each.task_spec, []).extend(each.times)
        return [Measurement(1, times, spec) for spec, times in found.items()]


class Timer:
    """Measures a statement, with a number of threads of its own.

    Arguments: `stmt` and `setup`, code as text; `globals`, the names it sees; `label`, `sub_label`, `description` and
    `env`, words that tell it from others in a table; `num_threads`, for flambeau's operations (1); `timer`, a clock.
    `global_setup` and `language` are PyTorch's for C++: there is only Python.

    >>> found = fl.utils.benchmark.Timer("x + 1", globals={"x": fl.ones(3)}).timeit(100)
    >>> 0 < found.median < 1, found.number_per_run
    (True, 100)
    """

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", global_setup: str = "",
        timer: Callable[[], float] = timeit.default_timer, globals: dict[str, Any] | None = None,
        label: str | None = None, sub_label: str | None = None, description: str | None = None, env: str | None = None,
        num_threads: int = 1, language: Any = "python",
    ) -> None:  # fmt: skip
        if not isinstance(stmt, str) or not isinstance(setup, str):
            raise ValueError("Timer: stmt and setup must be code as text; pass functions through globals")
        if str(language).lower() not in ("python", "py", "language.python", "0"):
            raise ValueError(f"Timer: language must be 'python', got {language!r}")
        self._timer = timeit.Timer(stmt, setup, timer, dict(globals or {}))
        self._task_spec = TaskSpec(stmt, setup, global_setup, label, sub_label, description, env, num_threads)

    def _run(self, number: int) -> float:
        import flambeau

        before = flambeau.get_num_threads()
        flambeau.set_num_threads(self._task_spec.num_threads)
        try:
            return max(self._timer.timeit(number), 1e-9)
        finally:
            flambeau.set_num_threads(before)

    def timeit(self, number: int = 1000000) -> Measurement:
        """The time of `number` runs in one go, after a few that do not count."""
        self._run(max(number // 100, 2))
        return Measurement(number, [self._run(number)], self._task_spec)

    def _block(self, min_run_time: float) -> int:
        """How many runs take long enough that reading the clock does not matter."""
        number, enough = 1, min(1e-3, min_run_time / 10)
        while self._run(number) < enough and number < 1 << 30:
            number *= 2
        return number

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Blocks of runs until `min_run_time` seconds are measured; `callback` is told each block's runs and time."""
        number = self._block(min_run_time)
        times: list[float] = []
        while sum(times) < min_run_time:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, self._task_spec)

    def adaptive_autorange(
        self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:  # fmt: skip
        """Blocks of runs until their spread is below `threshold` of the median, or `max_run_time` is over."""
        number = self._block(min_run_time)
        found = Measurement(number, [], self._task_spec)
        while sum(found.raw_times) < max_run_time:
            found.raw_times.append(self._run(number))
            if callback is not None:
                callback(number, found.raw_times[-1])
            if len(found.raw_times) > 3 and sum(found.raw_times) >= min_run_time:
                if found.iqr < threshold * found.median:
                    break
        return found

    autorange = blocked_autorange


class Compare:
    """Several measurements as a table: a row for each sub_label, a column for each description.

    >>> names = ("x + 1", "x * 2")
    >>> times = [fl.utils.benchmark.Timer(s, globals={"x": fl.ones(3)}, description=s).timeit(10) for s in names]
    >>> "x * 2" in str(fl.utils.benchmark.Compare(times))
    True
    """

    def __init__(self, results: Sequence[Measurement]) -> None:
        self._results = list(results)
        self._trimmed = False

    def extend_results(self, results: Sequence[Measurement]) -> None:
        """Take in more measurements."""
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Show no more digits than the spread leaves."""
        self._trimmed = True

    def colorize(self, rowwise: bool = False) -> None:
        """Accepted; tables have no colours."""

    highlight_warnings = trim_significant_figures

    def __str__(self) -> str:
        merged = Measurement.merge(self._results)
        if not merged:
            return ""
        unit, length = select_unit(min(each.median for each in merged))
        columns: dict[Any, None] = {}
        tables: dict[Any, dict[Any, dict[Any, str]]] = {}
        for each in merged:
            spec = each.task_spec
            columns.setdefault(spec.description)
            row = (spec.num_threads, spec.env, spec.sub_label or spec.stmt)
            digits = each.significant_figures if self._trimmed else 4
            shown = f"{trim_sigfig(each.median / length, digits):g}"
            tables.setdefault(spec.label, {}).setdefault(row, {})[spec.description] = shown
        lines: list[str] = []
        for label, rows in tables.items():
            lines.append(f"[ {label or 'times'} ]")
            heads = [str(column or "") for column in columns]
            body = []
            for (threads, env, name), cells in rows.items():
                text = f"{name}{f' ({env})' if env else ''}, {threads} thread{'s' if threads > 1 else ''}"
                body.append([text, *[cells.get(column, "") for column in columns]])
            body.insert(0, ["", *heads])
            widths = [max(len(line[i]) for line in body) for i in range(len(heads) + 1)]
            for line in body:
                others = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
                lines.append("  |  ".join([line[0].ljust(widths[0]), *others]))
        return "\n".join([*lines, "", f"Times are in {unit}."])

    def print(self) -> None:
        """Print the table."""
        print(str(self))
