"""docs/api.md names what there is, its examples run, and every public name is documented with an example."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import flambeau as fl
from flambeau import stubs

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^(?:\| `(\w+)` \||(## .*|Methods that are.*|And in place.*))", re.MULTILINE)


@pytest.fixture(scope="module")
def make_api() -> Any:
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before
    sys.modules.pop("examples", None)


def test_the_page_names_what_there_is(make_api: Any) -> None:
    written = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert ROW.findall(make_api.page()) == ROW.findall(written), "docs/api.md is stale: run python docs/make_api.py"


def test_the_page_has_its_figures(make_api: Any) -> None:
    found = make_api.FIGURES.search((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    assert found and found.group(1).count("\n") > 10 and "**all**" in found.group(1)


def test_every_public_name_is_documented_with_an_example(make_api: Any) -> None:
    table = make_api.examples.expressions()
    for name in stubs.public_names():
        value = getattr(fl, name)
        if not callable(value) or isinstance(value, fl.dtype) or value.__module__ == "builtins":
            continue
        assert value.__doc__ and len(make_api.sentence(value)) > 3, f"{name} has no docstring"
        assert make_api.docstring_example(value) or name in table, f"{name} has no example"


def test_the_first_sentences_of_classes_and_functions_are_there(make_api: Any) -> None:
    for path in make_api.MODULES:
        module = make_api.reach(path)
        if module is None:
            continue
        for name in make_api.public(module):
            assert len(make_api.sentence(getattr(module, name))) > 3, f"{path}.{name} has no docstring"
