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


def _complex(entry):
    return any(str(dtype)[6:] in harness.COMPLEX_DTYPES for dtype in entry.supported_dtypes("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if _exists(entry)])
def test_entry(name):
    _verdict(name, harness.check(ENTRIES[name], flambeau), known.DIFFERENT)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if _complex(entry) and _exists(entry)])
def test_entry_in_complex_dtypes(name):
    _verdict(name, harness.check(ENTRIES[name], flambeau, complex_=True), known.DIFFERENT_COMPLEX)


def _verdict(name, outcome, different):
    if outcome.status in ("skip", "missing"):
        pytest.skip(outcome.detail or "the database calls a function that does not exist")
    if name in different:
        pytest.xfail(different[name])
    assert outcome.status == "pass", outcome.detail
