"""Process-wide switches keep what they are given and refuse what makes no sense; checks raise the right classes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import flambeau as fl


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    fl.use_deterministic_algorithms(False)
    fl.set_float32_matmul_precision("highest")


def test_determinism() -> None:
    assert not fl.are_deterministic_algorithms_enabled() and fl.get_deterministic_debug_mode() == 0
    fl.use_deterministic_algorithms(True)
    assert fl.are_deterministic_algorithms_enabled() and fl.get_deterministic_debug_mode() == 2
    assert not fl.is_deterministic_algorithms_warn_only_enabled()
    fl.use_deterministic_algorithms(True, warn_only=True)
    assert fl.is_deterministic_algorithms_warn_only_enabled() and fl.get_deterministic_debug_mode() == 1
    for mode in ("error", 2):
        fl.set_deterministic_debug_mode(mode)
        assert fl.get_deterministic_debug_mode() == 2
    for wrong in ("strict", 3, -1):
        with pytest.raises(RuntimeError, match="debug_mode"):
            fl.set_deterministic_debug_mode(wrong)
    with pytest.raises(TypeError, match="debug_mode"):
        fl.set_deterministic_debug_mode(None)


def test_precision() -> None:
    assert fl.get_float32_matmul_precision() == "highest"
    fl.set_float32_matmul_precision("medium")
    assert fl.get_float32_matmul_precision() == "medium"
    with pytest.raises(ValueError, match="highest, high, medium"):
        fl.set_float32_matmul_precision("low")


def test_defaults() -> None:
    fl.set_default_device("cpu")
    fl.set_default_device(None)
    with pytest.raises(fl.DeviceError):
        fl.set_default_device("meta")
    assert fl.get_default_device() == fl.device("cpu")
    fl.set_default_tensor_type("torch.DoubleTensor")
    assert fl.tensor(1.0).dtype is fl.float64
    fl.set_default_tensor_type("flambeau.FloatTensor")
    assert fl.tensor(1.0).dtype is fl.float32
    with pytest.raises(TypeError, match="floating-point"):
        fl.set_default_tensor_type("torch.LongTensor")
    assert not fl.is_warn_always_enabled()
    fl.set_warn_always(False)


def test_out_of_memory() -> None:
    with pytest.raises(fl.OutOfMemoryError):
        fl.empty(10**15)


def test_checks() -> None:
    fl._check(True)
    fl._assert(fl.tensor(True), "kept")
    with pytest.raises(AssertionError, match="broken"):
        fl._assert(False, "broken")
    kinds = {
        "_check": RuntimeError, "_check_index": IndexError, "_check_value": ValueError, "_check_type": TypeError,
        "_check_not_implemented": NotImplementedError,
    }  # fmt: skip
    for name, error in kinds.items():
        check = getattr(fl, name)
        check(True, lambda: "unused")
        with pytest.raises(error, match="seen"):
            check(False, lambda: "seen")
        with pytest.raises(error, match="Expected cond"):
            check(False)
        with pytest.raises(TypeError, match="bool"):
            check(1)
    with pytest.raises(TypeError, match="callable"):
        fl._check(False, "text")
    with pytest.raises(TypeError, match="_check_tensor_all"):
        fl._check(fl.tensor(True))
    fl._check_tensor_all(fl.ones(2) > 0)
    with pytest.raises(RuntimeError, match="seen"):
        fl._check_tensor_all(fl.tensor([True, False]), lambda: "seen")
    with pytest.raises(TypeError, match="bool"):
        fl._check_tensor_all(fl.ones(2))
    fl._check_is_size(3, max=3)
    for i in (-1, 4):
        with pytest.raises(RuntimeError):
            fl._check_is_size(i, max=3)
