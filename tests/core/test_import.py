"""What `import flambeau` costs and brings along."""

from __future__ import annotations

import json

from .support import output_of

HEAVY = (
    "numpy", "scipy", "llvmlite", "pandas", "sklearn", "torch", "matplotlib", "rich", "safetensors", "onnx", "asyncio",
    "multiprocessing",
)  # fmt: skip


def test_import_brings_in_no_large_package():
    loaded = json.loads(output_of("import sys, json, flambeau; print(json.dumps(sorted(sys.modules)))"))
    assert [name for name in HEAVY if name in loaded] == []


def test_arithmetic_and_gradients_need_no_numpy():
    program = """
import sys, flambeau as fl
x = fl.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2, 4] and repr(x) and x[0] < x[1]
print("numpy" in sys.modules, "pandas" in sys.modules)
"""
    output_of(program)  # fills the cache, so that the second run compiles nothing
    assert output_of(program) == "False False"


def test_a_warm_cache_needs_no_llvm():
    program = """
import sys, flambeau as fl
x = fl.rand(5, 3, requires_grad=True)
x.softmax(1).log().mean().backward()
print("llvmlite" in sys.modules)
"""
    output_of(program)
    assert output_of(program) == "False"


def test_importing_twice_and_from_parts_is_one_package():
    program = """
import importlib, sys
import flambeau, flambeau.nn, flambeau.optim, flambeau.utils.data
from flambeau import nn
import flambeau.nn as again
assert nn is again is flambeau.nn
import flambeau as torch
assert torch.Tensor is flambeau.Tensor
print(flambeau.__version__)
"""
    assert output_of(program)


def test_a_missing_name_is_an_attribute_error_that_names_it():
    assert (
        output_of("""
import flambeau
try:
    flambeau.nonsense
except AttributeError as error:
    print("nonsense" in str(error), hasattr(flambeau, "also_nonsense"))
""")
        == "True False"
    )
