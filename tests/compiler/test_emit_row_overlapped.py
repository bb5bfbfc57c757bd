"""Row kernels that write a row while they compute the next: the bits of the kernels that take one row at a time."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_runner import TARGETS, guarded, program, run_row, untouched, value

from flambeau.compiler import scalar
from flambeau.compiler.emit_row_overlapped import Overlapped
from flambeau.compiler.mathematics import lower_program
from flambeau.compiler.program import ROW, Program

pytestmark = pytest.mark.skipif("avx512" not in TARGETS, reason="rows overlap in code with masks only")


def made(name: str) -> Program:
    x, weight = value(0, "float32"), value(1, "float32", ROW)
    e = scalar.exp(x - scalar.reduce_max(x))
    centred = x - scalar.reduce_sum(x) * 0.01
    early = scalar.exp(x)
    waves = scalar.reduce_sum(scalar.tan(x - scalar.reduce_sum(early)))
    programs = {
        "softmax": program("row", [x], e * (1.0 / scalar.reduce_sum(e))),
        "centred": program("row", [x], centred * scalar.reduce_sum(centred * centred)),
        "one pass": program("row", [x], x * scalar.reduce_sum(x)),
        "row operands": program("row", [x, weight], x * scalar.reduce_sum(x) + weight, scalar.reduce_max(x)),
        "kept early": program("row", [x], early * waves),
    }
    return lower_program(programs[name], TARGETS["avx512"].tables)


def run(name: str, x: np.ndarray, result: np.ndarray, past: bool) -> list[np.ndarray]:
    """The outputs of a program's kernel, the first of them in `result`."""
    kernel, rows = made(name), len(x)
    outputs, inputs = [result], [x]
    if len(kernel.inputs) > 1:
        inputs.append(np.arange(rows, dtype=np.float32))
        outputs.append(np.zeros(rows, np.float32))
    run_row(kernel, [*outputs, *inputs], "inner", rows, x.shape[1], past=past)
    return outputs


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("length", [1, 16, 31, 64, 200, 4100])
@pytest.mark.parametrize("name", ["softmax", "centred", "one pass", "row operands", "kept early"])
def test_same_bits_as_one_row_at_a_time(name: str, length: int, offset: int) -> None:
    random = np.random.default_rng(length)
    for rows in (1, 2, 5):
        x = random.normal(size=(rows, length)).astype(np.float32)
        expected = run(name, x, np.zeros_like(x), past=False)
        result, memory = guarded((rows, length), "float32", offset)
        found = run(name, x, result, past=True)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32))
        assert untouched(memory, result)
        # The output in the input's place.
        place, _ = guarded((rows, length), "float32", offset)
        place[...] = x
        np.testing.assert_array_equal(run(name, place, place, past=True)[0].view(np.int32), expected[0].view(np.int32))


def test_scratch_is_shared_where_reading_comes_before_writing() -> None:
    for name, places in (("softmax", 1), ("kept early", 2)):
        kernel = Overlapped(made(name), "nc", TARGETS["avx512"])
        assert kernel.possible()
        kernel.emit()
        assert kernel.places == places
        assert kernel.scratch == 4


def test_rows_without_a_pass_that_only_writes_do_not_overlap() -> None:
    x = value(0, "float32")
    assert not Overlapped(program("row", [x], x + 1.0), "nc", TARGETS["avx512"]).possible()
    assert not Overlapped(made("softmax"), "cc", TARGETS["avx512"]).possible()
