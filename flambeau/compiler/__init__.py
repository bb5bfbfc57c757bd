"""The compiler: how a declaration becomes its gradient and its machine code.

Here live the program (`program`), the functions that build one (`scalar`), the decorators that declare operations
(`declare`), differentiation (`differentiate`), the lowering to LLVM IR, the machine-code cache and the NumPy
interpreter that the tests trust (`interpret`). What an operation computes is not said here but in `flambeau.ops`;
tensors, memory and threads belong to the core.
"""

from __future__ import annotations

from typing import Any

_SWITCHES = frozenset(
    "allow_in_graph assume_constant_result cudagraph_mark_step_begin disable is_compiling is_dynamo_compiling "
    "is_exporting reset set_stance".split()
)


def __getattr__(name: str) -> Any:
    if name in _SWITCHES:  # imported late, for the compiler is loaded before the tensor is
        from importlib import import_module

        return getattr(import_module("flambeau.compiler.switches"), name)
    raise AttributeError(f"module 'flambeau.compiler' has no attribute {name!r}")
