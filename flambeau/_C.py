"""Names of PyTorch's compiled core that programs ask: whether they are traced. They never are."""  # noqa: N999

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def _get_tracing_state() -> None:
    """None: nothing is traced."""
    return None


def _log_api_usage_once(event: str) -> None:
    """Nothing is logged."""


def _jit_set_profiling_executor(enabled: bool) -> bool:
    """Accepted; there is no such executor."""
    return False


_jit_set_profiling_mode = _jit_override_can_fuse_on_cpu = _jit_override_can_fuse_on_gpu = _jit_set_profiling_executor
_jit_set_texpr_fuser_enabled = _jit_set_nvfuser_enabled = _jit_set_profiling_executor


def _cuda_clearCublasWorkspaces() -> None:
    """There are none."""


def __getattr__(name: str) -> Any:
    if name == "Generator":
        from flambeau import Generator

        return Generator
    raise AttributeError(f"module 'flambeau._C' has no attribute {name!r}")
