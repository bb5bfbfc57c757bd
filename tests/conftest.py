"""What every test shares: slow and GPU folders stay out of the default run, process-wide settings are left as found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import flambeau as fl

# Folders that say what they need: they run when they are named (`pytest tests/slow`) or with --slow.
ON_REQUEST = ("slow", "gpu")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the folders tests/slow")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not collection_path.is_dir() or collection_path.name not in ON_REQUEST:
        return None
    if collection_path.name == "slow" and config.getoption("--slow"):
        return None
    here = collection_path.resolve()
    for argument in config.args:
        named = Path(argument.split("::")[0]).resolve()
        if named == here or here in named.parents:
            return None
    return True


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Grad mode, threads and default dtype are the same after a test as before it."""
    threads, dtype = fl.get_num_threads(), fl.get_default_dtype()
    yield
    assert fl.is_grad_enabled(), "the test left gradients switched off"
    fl.set_num_threads(threads)
    fl.set_default_dtype(dtype)
