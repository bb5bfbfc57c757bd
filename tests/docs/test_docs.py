"""Runs every code block of README.md and docs/: what a page says is printed must be what is printed.

A ```python block runs in the namespace of its page, and what it prints is compared with the ```text block that follows
it; "..." there stands for any text, and numbers may differ in their last digits, as machines do. Every "$ flambeau"
line of a ```console block runs and must succeed.

    python -m tests.docs.test_docs     writes what is printed into the pages
"""

from __future__ import annotations

import contextlib
import doctest
import io
import math
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```\n(?:\n*^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


def run_python(source: str, names: dict[str, Any], where: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, where, "exec"), names)
    return printed.getvalue()


def run_commands(source: str) -> None:
    from flambeau.cli import main

    for line in source.splitlines():
        if line.startswith("$ flambeau"):
            with contextlib.redirect_stdout(io.StringIO()):
                assert main(shlex.split(line)[2:]) == 0, line


def same(expected: str, printed: str) -> bool:
    """Equal, but for "..." and the last digits of numbers."""
    expected, printed = expected.rstrip() + "\n", printed.rstrip() + "\n"
    if doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE):
        return True
    if NUMBER.sub("#", expected).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(printed), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=1e-2, abs_tol=1e-3) for a, b in pairs)


def blocks(page: Path) -> Iterator[tuple[re.Match[str], int]]:
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        yield match, text.count("\n", 0, match.start()) + 1


@contextlib.contextmanager
def fresh_folder() -> Iterator[None]:
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    with fresh_folder():
        for match, line in blocks(page):
            kind, source, expected = match.groups()
            where = f"{page.name}:{line}"
            if kind == "console":
                run_commands(source)
                continue
            printed = run_python(source, names, where)
            assert same(expected or "", printed), f"{where} prints\n{printed}\nbut the page says\n{expected or ''}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs/decisions").glob("*.md"))],
                         ids=lambda page: page.name)  # fmt: skip
def test_links(page: Path) -> None:
    """Every link to a file of the repository leads somewhere."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def rewrite(page: Path) -> None:
    """Write what is printed into the page, except where the page says "..."."""
    text, names, done, pieces = page.read_text(encoding="utf-8"), {"__name__": "__main__"}, 0, []
    with fresh_folder():
        for match, line in blocks(page):
            kind, source, expected = match.groups()
            if kind == "console":
                run_commands(source)
                continue
            printed = run_python(source, names, f"{page.name}:{line}").rstrip() + "\n"
            if expected is None or "..." in expected:
                continue
            pieces += [text[done : match.start(3)], printed]
            done = match.end(3)
    page.write_text("".join([*pieces, text[done:]]), encoding="utf-8")


if __name__ == "__main__":
    for each in PAGES:
        rewrite(each)
