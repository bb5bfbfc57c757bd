"""Writes docs/api.md: every public name with its first sentence and an example that was run.

    python docs/make_api.py                       the names; the figures stay as they are
    python docs/make_api.py CENSUS.csv            the figures too, from a census of names that programs use

The census has one row for each name, with the columns `name`, `group` and `repo_normalised_weight`.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER)]

import examples  # noqa: E402, I001

import flambeau as fl  # noqa: E402
from flambeau import stubs  # noqa: E402

PAGE = FOLDER / "api.md"
FIGURES = re.compile(r"<!-- figures -->\n(.*?)<!-- end -->", re.DOTALL)
MODULES = (
    "nn", "nn.functional", "nn.init", "nn.utils", "optim", "optim.lr_scheduler", "linalg", "fft", "special", "func",
    "autograd", "distributions", "data", "random",
)  # fmt: skip
TITLES = {
    "activation": "Activations", "arithmetic": "Arithmetic", "bessel": "Special functions",
    "constructors": "Older constructors", "convolution": "Convolution", "create": "Making tensors",
    "decompositions": "Linear algebra", "dtypes": "Dtypes", "elementwise": "Arithmetic", "errors": "Errors",
    "from_data": "Making tensors", "grad_mode": "Modes", "index": "Indexing", "joining": "Shapes",
    "linalg": "Linear algebra", "linalg_legacy": "Linear algebra", "logic": "Logic and bits", "masks": "Indexing",
    "normalise": "Softmax", "norms": "Norms and distances", "products": "Products", "random": "Random numbers",
    "reduce": "Reductions", "reduction": "Reductions", "search": "Searching", "shape": "Shapes",
    "sort": "Sorting and running values", "special": "Special functions", "transcendental": "Exponentials and angles",
    "windows": "Windows",
}  # fmt: skip


def sentence(value: Any) -> str:
    """The first sentence of a docstring."""
    text = " ".join((value.__doc__ or "").strip().split("\n\n")[0].split())
    end = re.search(r"[.!?](?=\s|$)", text)
    return (text[: end.end()] if end else text).replace("|", "\\|")


def group(value: Any) -> str:
    """The heading under which a name of `flambeau` stands."""
    if isinstance(value, fl.dtype):
        return "Dtypes"
    if isinstance(value, ModuleType):
        return "Modules"
    home = value.declaration.function if hasattr(value, "declaration") else value
    part = (getattr(home, "__module__", None) or "flambeau").rsplit(".", 1)[-1]
    return TITLES.get(part, "Others")


def docstring_example(value: Any) -> bool:
    """Whether the docstring has an example of its own."""
    return ">>>" in (getattr(value, "__doc__", None) or "")


def example(name: str, value: Any) -> str:
    """The example of a name as one line of code and its result, as the table shows it."""
    source = examples.expressions().get(name)
    if source is None or docstring_example(value):
        return ""
    names: dict[str, Any] = {"fl": fl}
    exec(examples.SETUP, names)
    result = " ".join(repr(eval(source, names)).split())
    if " object at 0x" in result or result.startswith("<"):
        return f"`{source}`"
    return f"`{source}` gives `{result}`".replace("|", "\\|")


def public(module: Any) -> list[str]:
    """The public names of a module."""
    listed = getattr(module, "__all__", None)
    found = listed if listed is not None else [n for n in vars(module) if not n.startswith("_")]
    kept = []
    for name in sorted(set(found)):
        value = getattr(module, name, None)
        if value is None or isinstance(value, ModuleType) or not callable(value):
            continue
        if listed is None and not str(getattr(value, "__module__", "")).startswith("flambeau"):
            continue
        kept.append(name)
    return kept


def reach(path: str) -> Any:
    """`nn.functional` of flambeau, or None."""
    found: Any = fl
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            try:
                from importlib import import_module

                return import_module(f"flambeau.{path}")
            except ImportError:
                return None
    return found


def names() -> str:
    """The part of the page that lists names."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in stubs.public_names():
        value = getattr(fl, name)
        if isinstance(value, (float, str)):
            continue
        text = sentence(value) if not isinstance(value, fl.dtype) else f"{value.itemsize} bytes an element."
        groups[group(value)].append(f"| `{name}` | {' '.join(part for part in (text, example(name, value)) if part)} |")
    parts = ["## flambeau\n"]
    for title in sorted(groups, key=lambda title: (title in ("Modules", "Others", "Errors"), title)):
        parts += [f"### {title}\n", "| name | |", "|---|---|", *groups[title], ""]
    parts += [
        "## Tensor\n",
        "Methods that are no functions of `flambeau` under the same name.\n",
        "| name | |",
        "|---|---|",
    ]
    known = set(stubs.public_names())
    for name in sorted(vars(fl.Tensor)):
        if name.startswith("_") or name in known or (name.endswith("_") and name[:-1] in known):
            continue
        parts.append(f"| `{name}` | {sentence(vars(fl.Tensor)[name])} |")
    same = [n for n in sorted(vars(fl.Tensor)) if not n.startswith("_") and n in known]
    writing = [n for n in sorted(vars(fl.Tensor)) if n.endswith("_") and not n.startswith("_") and n[:-1] in known]
    parts += ["", f"Methods that are: {', '.join(f'`{n}`' for n in same)}.\n"]
    parts += [f"And in place: {', '.join(f'`{n}`' for n in writing)}.\n"]
    for path in MODULES:
        module = reach(path)
        if module is None:
            continue
        parts += [f"## flambeau.{path}\n", "| name | |", "|---|---|"]
        parts += [f"| `{name}` | {sentence(getattr(module, name))} |" for name in public(module)]
        parts.append("")
    return "\n".join(parts)


def _settable(tensor: Any, part: str) -> bool:
    try:
        setattr(tensor, part, getattr(tensor, part))
    except (AttributeError, RuntimeError):  # imag is of complex tensors, H of matrices
        return False
    return True


def covered(name: str) -> bool:
    """Whether flambeau has a name of the census."""
    if name.endswith(" (set)"):  # an attribute that programs assign to
        part = name.removesuffix(" (set)").partition(".")[2]
        return any(_settable(tensor, part) for tensor in (fl.zeros(2, requires_grad=True), fl.zeros(2, 2) + 0j))
    if name.startswith("Tensor|Module."):
        part = name.partition(".")[2]
        return hasattr(fl.Tensor, part) and (hasattr(fl.nn.Module, part) or part in ("numpy",))
    homes: dict[str, Any] = {"Tensor.": fl.Tensor, "nn.Module.": fl.nn.Module(), "Generator.": fl.Generator()}
    if name.startswith("Optimizer/Scheduler."):
        part = name.partition(".")[2]
        optimizer = fl.optim.SGD([fl.zeros(1)], lr=0.1)
        return hasattr(optimizer, part) or hasattr(fl.optim.lr_scheduler.StepLR(optimizer, 1), part)
    if name.startswith("Distribution."):
        module = reach("distributions")
        return module is not None and hasattr(module.Normal(0.0, 1.0), name.partition(".")[2])
    if name.startswith("autograd.Function ctx."):
        return hasattr(_context(), name.rpartition(".")[2])
    for prefix, home in homes.items():
        if name.startswith(prefix):
            return hasattr(home, name[len(prefix) :])
    found: Any = fl
    path = name.split(".")[1:] if name.startswith("torch.") else name.split(".")
    for number, part in enumerate(path):
        try:
            found = getattr(found, part)
        except (AttributeError, RuntimeError):
            try:
                from importlib import import_module

                found = import_module("flambeau." + ".".join(path[: number + 1]))
            except ImportError:
                return False
    return True


def _context() -> Any:
    kept: list[Any] = []

    class Look(fl.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            kept.append(ctx)
            return x * 1

    Look.apply(fl.ones(1, requires_grad=True))
    return kept[0]


def figures(path: str) -> str:
    """The table of how much of what programs use is there."""
    weights: dict[str, float] = defaultdict(float)
    there: dict[str, float] = defaultdict(float)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            weight, has = float(row["repo_normalised_weight"]), covered(row["name"])
            weights[row["group"]] += weight
            there[row["group"]] += weight * has
            counts[row["group"]][0] += has
            counts[row["group"]][1] += 1
    lines = ["| group | share of use | of it, there | names there |", "|---|---|---|---|"]
    for title in sorted(weights, key=lambda title: -weights[title]):
        has, of = counts[title]
        lines.append(f"| {title} | {weights[title]:.1%} | {there[title] / weights[title]:.1%} | {has} of {of} |")
    total = sum(there.values()) / sum(weights.values())
    has, of = (sum(each[k] for each in counts.values()) for k in (0, 1))
    lines.append(f"| **all** | 100% | **{total:.1%}** | {has} of {of} |")
    return "\n".join(lines) + "\n"


def page(census: str | None = None) -> str:
    """The text of docs/api.md."""
    known = FIGURES.search(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else None
    table = figures(census) if census else known.group(1) if known else ""
    return (
        "# Public names\n\n"
        "Every public name with its first sentence; `help(name)` tells the rest. Where the docstring has no example\n"
        "of its own, one stands here with its result, for these tensors:\n\n"
        f"```python\nimport flambeau as fl\n{examples.SETUP}```\n\n"
        "How much of what programs written for PyTorch use is there, by the weight of each name in a census of public\n"
        "programs (every repository counts the same; only whether a name exists is counted):\n\n"
        f"<!-- figures -->\n{table}<!-- end -->\n\n"
        f"{names()}"
    )


if __name__ == "__main__":
    PAGE.write_text(page(sys.argv[1] if len(sys.argv) > 1 else None), encoding="utf-8")
