"""One test for each entry of PyTorch's operator database whose function exists in flambeau; see `harness`."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the conformance suite compares with PyTorch 2.13, which is not installed")
pytest.importorskip("expecttest", reason="PyTorch's operator database needs the package expecttest")

import flambeau

from . import harness, known

ENTRIES = {harness.full_name(entry): entry for entry in harness.database() if harness.in_scope(entry)}


def _exists(entry):
    try:
        harness.find(flambeau, entry)
    except harness.MissingFunctionError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if _exists(entry)])
def test_entry(name):
    outcome = harness.check(ENTRIES[name], flambeau)
    if outcome.status in ("skip", "missing"):
        pytest.skip(outcome.detail or "the database calls a function that does not exist")
    if name in known.DIFFERENT:
        pytest.xfail(known.DIFFERENT[name])
    assert outcome.status == "pass", outcome.detail
