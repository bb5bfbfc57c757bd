"""Rows whose results go past the caches: the same bits as the same rows in small pieces, wherever they begin."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fl

functional = fl.nn.functional
OPERATIONS = {
    "softmax": lambda x: functional.softmax(x, -1),
    "log_softmax": lambda x: functional.log_softmax(x, -1),
    "layer_norm": lambda x: functional.layer_norm(x, (x.shape[-1],)),
}


@pytest.mark.parametrize("width", [4096, 4099, 40])
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_large_equals_small(name: str, width: int) -> None:
    operation = OPERATIONS[name]
    rows = (33 << 20) // 4 // width
    x = fl.randn(rows, width, generator=fl.Generator().manual_seed(3))
    before = fl.get_num_threads()
    try:
        whole = []
        for threads in (1, 2):
            fl.set_num_threads(threads)
            whole.append(operation(x).numpy().view(np.int32))
        np.testing.assert_array_equal(whole[0], whole[1])
        step = rows // 5 + 1
        for start in range(0, rows, step):
            part = operation(x[start : start + step]).numpy().view(np.int32)
            np.testing.assert_array_equal(whole[0][start : start + step], part)
    finally:
        fl.set_num_threads(before)
