"""The compiler: how a declaration becomes its gradient and its machine code.

Here live the program (`program`), the functions that build one (`scalar`), the decorators that declare operations
(`declare`), differentiation (`differentiate`), the lowering to LLVM IR, the machine-code cache and the NumPy
interpreter that the tests trust (`interpret`). What an operation computes is not said here but in `flambeau.ops`;
tensors, memory and threads belong to the core.
"""
