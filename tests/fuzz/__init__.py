"""Random calls of the public functions: they must not crash, hang or leak, and must agree with PyTorch.

`calls.py` makes a call from a number, `worker.py` runs a span of numbers in this process and judges each, `__main__.py`
runs spans in child processes, so that a crash or a hang costs one call and names its number:

    python -m tests.fuzz --calls 20000          python -m tests.fuzz --show 1234
"""
