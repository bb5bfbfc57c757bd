"""The page `docs/conformance.md`: the share of PyTorch's operator database that is equal, and the rest with reasons."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from . import known
from .harness import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"

HEAD = """# Conformance with PyTorch's operator database

This page is written by `python -m tests.conformance --table`, not by hand. It needs PyTorch 2.13.

**What is counted.** The {total} entries of `op_db` whose names do not begin with `_`, `ops.`, `jiterator`, `torch.`,
`masked.`, `sparse` or `signal.`. An entry is equal when *every* sample input of the database does as PyTorch does, none
left out: values, shapes and dtypes in float32, int64 and bool, and in float64 the gradients under a random cotangent.
Entries that have complex samples only are run in complex64 and complex128. The tolerances are those the database states
for the entry, with the relative one of float32 times eight; gradients are compared to one part in a million. Beyond
that a float32 result counts as equal if it is at most four times as far from PyTorch's own in float64 as PyTorch's in
float32 is. Where another seed changes PyTorch's own result, and of uninitialised memory, shapes and dtypes are
compared; of singular vectors, which are free up to a sign, absolute values.

| | entries | share |
|---|---:|---:|
| equal | {equal} | {equal_share} |
| equal in some samples only | {different} | {different_share} |
| missing | {missing} | {missing_share} |
| without a sample on the CPU | {empty} | {empty_share} |

{samples} samples were run, {different_samples} of them were different.
"""


def write(outcomes: list[Outcome]) -> None:
    """Write the page from what every counted entry gave."""
    PAGE.write_text(page(outcomes), encoding="utf-8")


def page(outcomes: list[Outcome]) -> str:
    """The text of the page."""
    total = len(outcomes)
    counts = Counter(outcome.status for outcome in outcomes)

    def share(status: str) -> str:
        return f"{100 * counts[status] / total:.1f}%"

    text = HEAD.format(
        total=total,
        equal=counts["pass"],
        equal_share=share("pass"),
        different=counts["fail"],
        different_share=share("fail"),
        missing=counts["missing"],
        missing_share=share("missing"),
        empty=counts["skip"],
        empty_share=share("skip"),
        different_samples=f"{sum(outcome.different for outcome in outcomes):,}",
        samples=f"{sum(outcome.samples for outcome in outcomes):,}",
    )
    rows = [
        f"| `{outcome.name}` | {outcome.samples} | {outcome.different} | {_reason(outcome)} |"
        for outcome in sorted(outcomes)
        if outcome.status in ("fail", "skip")
    ]
    if rows:
        text += (
            "\n## Equal in some samples only\n\n| entry | samples | different | why |\n|---|---:|---:|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    rows = [f"| `{outcome.name}` | {_reason(outcome)} |" for outcome in sorted(outcomes) if outcome.status == "missing"]
    if rows:
        text += "\n## Missing\n\n| entry | why |\n|---|---|\n" + "\n".join(rows) + "\n"
    return text


def _reason(outcome: Outcome) -> str:
    """The reason on record; without one, what was seen."""
    stated = known.DIFFERENT.get(outcome.name) or known.MISSING.get(outcome.name)
    return stated or f"not explained: {outcome.detail}".replace("|", "\\|")
