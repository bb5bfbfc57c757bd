"""The table on the screen, the JSON that is kept, and the table in README.md."""

from __future__ import annotations

import glob
import json
import os
import platform
import re
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results")
README = os.path.join(os.path.dirname(HERE), "README.md")
#: The load average from which other programs are thought to disturb.
BUSY = 0.5
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def cpu_name() -> str:
    """The processor's name, its vector width and the number of cores this process may use."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for row in file:
                key, _, value = row.partition(":")
                if key.strip() == "model name":
                    name = value.strip()
                elif key.strip() in ("flags", "Features"):
                    flags = value
                    break
    except OSError:
        pass
    vectors = next((text for flag, text in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags.split()), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join(filter(None, [name, vectors, f"{cores} cores"]))


def versions(frameworks: dict[str, Any]) -> dict[str, str]:
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name, module in frameworks.items():
        found[name] = str(module.__version__)
    try:
        found["llvmlite"] = metadata.version("llvmlite")
    except metadata.PackageNotFoundError:
        pass
    return found


def quantity(value: float, unit: str = "s") -> str:
    """The number in a unit that suits its size."""
    if unit != "s":
        return f"{value:.3g} {unit}"
    for limit, factor, name in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if value < limit:
            return f"{value * factor:.3g} {name}"
    return f"{value:.3g} s"


def asked(result: dict[str, Any]) -> str:
    wanted = result["asked"]
    parts = [f"<= {quantity(wanted['seconds'])}"] if "seconds" in wanted else []
    parts += [f"<= {wanted['megabytes']:g} MB"] if "megabytes" in wanted else []
    parts += [f">= {wanted['ratio']:g}x"] if "ratio" in wanted else []
    return ", ".join(parts)


def _cells(result: dict[str, Any]) -> list[str]:
    cells = [result["title"]]
    for name in ("flambeau", "torch", "numpy"):
        cells.append(quantity(result[name]["best"], result["unit"]) if name in result else "-")
    cells.append(f"{result['ratio']:.3g}x" if "ratio" in result else "-")
    cells.append(asked(result) or "-")
    return cells


WIDTHS = (48, 10, 10, 10, 8, 18)


def _row(cells: list[str], mark: str) -> str:
    first, *rest = (
        cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, WIDTHS))
    )
    return "".join([first, *rest, "  ", mark]).rstrip()


def heading(frameworks: dict[str, Any], threads: int, load: float) -> str:
    named = ", ".join(f"{name} {version}" for name, version in versions(frameworks).items())
    head = _row(["", "flambeau", "torch", "numpy", "ratio", "asked"], "")
    warning = f"\nother programs are running (load {load:.1f}): times will be too long" if load > BUSY else ""
    return f"{cpu_name()}; {threads} threads; {named}\nratio: torch's time by flambeau's{warning}\n\n{head}"


def line(result: dict[str, Any]) -> str:
    mark = {True: "", False: "<- not met", None: ""}[result.get("met")]
    if result.get("loads"):
        mark += f" (loads {', '.join(result['loads'])})"
    return _row(_cells(result), mark)


def document(
    frameworks: dict[str, Any], threads: int, rounds: int, load: float, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """What is kept of a run; `load` is the machine's before it."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": cpu_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(load, 1),
        "threads": threads,
        "rounds": rounds,
        "versions": versions(frameworks),
        "results": results,
    }


def summary(document: dict[str, Any]) -> str:
    judged = [result for result in document["results"] if result.get("met") is not None]
    met = sum(bool(result["met"]) for result in judged)
    return f"\n{met} of {len(judged)} asked figures met" if judged else ""


def keep(document: dict[str, Any]) -> str:
    """Write the result into benchmarks/results under the processor's name; the file's name."""
    name = re.sub(r"[^a-z0-9]+", "-", document["cpu"].lower()).strip("-") + ".json"
    os.makedirs(RESULTS, exist_ok=True)
    with open(os.path.join(RESULTS, name), "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    return name


def newest() -> str:
    """The kept result with the latest date."""
    found = []
    for path in glob.glob(os.path.join(RESULTS, "*.json")):
        with open(path, encoding="utf-8") as file:
            found.append((json.load(file).get("date", ""), path))
    if not found:
        raise SystemExit("benchmarks: no result is kept yet; run python -m benchmarks first")
    return max(found)[1]


def markdown(document: dict[str, Any]) -> str:
    """A result as a Markdown table with a line that says where it comes from."""
    rows = ["| | flambeau | torch | NumPy | ratio | asked |", "|:--|--:|--:|--:|--:|--:|"]
    for result in document["results"]:
        cells = _cells(result)
        if result.get("met") is False:
            cells[-1] += " (not met)"
        rows.append("| " + " | ".join(cells) + " |")
    named = document["versions"]
    listed = ", ".join(f"{name} {named[name]}" for name in ("flambeau", "torch", "numpy", "python") if name in named)
    note = f"{document['cpu']}; {document['threads']} threads each; {listed}; {document['date']}."
    if document["load"] > BUSY:
        note += f" Other programs were running (load {document['load']})."
    return "\n".join([note, "", *rows])


def rewrite_readme(path: str) -> None:
    """Replace what stands between the two markers in README.md by the table of the result at `path`."""
    with open(path, encoding="utf-8") as file:
        table = markdown(json.load(file))
    with open(README, encoding="utf-8") as file:
        text = file.read()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"benchmarks: README.md has no {BEGIN} ... {END} to write between")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(README, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{table}\n{END}{after}")
    print(f"README.md: figures of {os.path.basename(path)}")
