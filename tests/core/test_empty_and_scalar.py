"""Tensors without elements and tensors without dimensions through the common operations, beside PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fl

torch = pytest.importorskip("torch")

# Each takes the library (PyTorch or flambeau) and a tensor of it.
OPERATIONS: dict[str, Any] = {
    "neg": lambda lib, x: -x,
    "exp": lambda lib, x: x.exp(),
    "abs": lambda lib, x: x.abs(),
    "sigmoid": lambda lib, x: x.sigmoid(),
    "relu": lambda lib, x: x.relu(),
    "clamp": lambda lib, x: x.clamp(-1, 1),
    "add": lambda lib, x: x + x,
    "add a number": lambda lib, x: x + 1,
    "add broadcasting": lambda lib, x: x + lib.ones(1, 1),
    "pow": lambda lib, x: x**2,
    "where": lambda lib, x: lib.where(x > 0, x, -x),
    "compare": lambda lib, x: x > 0.5,
    "sum": lambda lib, x: x.sum(),
    "mean": lambda lib, x: x.mean(),
    "prod": lambda lib, x: x.prod(),
    "sum dim 0": lambda lib, x: x.sum(0),
    "sum dim -1": lambda lib, x: x.sum(-1),
    "sum keepdim": lambda lib, x: x.sum(-1, keepdim=True),
    "mean dim 0": lambda lib, x: x.mean(0),
    "prod dim 0": lambda lib, x: x.prod(0),
    "any": lambda lib, x: (x > 0).any(),
    "all": lambda lib, x: (x > 0).all(),
    "any dim": lambda lib, x: (x > 0).any(0),
    "all dim": lambda lib, x: (x > 0).all(-1),
    "max": lambda lib, x: x.max(),
    "min": lambda lib, x: x.min(),
    "amax": lambda lib, x: x.amax(),
    "amax dim 0": lambda lib, x: x.amax(0),
    "max dim 0": lambda lib, x: x.max(0).values,
    "argmax": lambda lib, x: x.argmax(),
    "argmax dim -1": lambda lib, x: x.argmax(-1),
    "var": lambda lib, x: x.var(correction=0),
    "std dim": lambda lib, x: x.std(-1, correction=0),
    "norm": lambda lib, x: x.norm(),
    "logsumexp": lambda lib, x: x.logsumexp(0),
    "softmax": lambda lib, x: x.softmax(-1),
    "log_softmax": lambda lib, x: x.log_softmax(0),
    "cumsum": lambda lib, x: x.cumsum(0),
    "cumprod": lambda lib, x: x.cumprod(-1),
    "sort": lambda lib, x: x.sort(-1).values,
    "argsort": lambda lib, x: x.argsort(0),
    "topk": lambda lib, x: x.topk(0).values,
    "unique": lambda lib, x: x.unique(),
    "flip": lambda lib, x: x.flip(0),
    "roll": lambda lib, x: x.roll(1, 0),
    "cat": lambda lib, x: lib.cat([x, x], 0),
    "stack": lambda lib, x: lib.stack([x, x]),
    "reshape": lambda lib, x: x.reshape(-1),
    "flatten": lambda lib, x: x.flatten(),
    "squeeze": lambda lib, x: x.squeeze(),
    "unsqueeze": lambda lib, x: x.unsqueeze(0),
    "transpose": lambda lib, x: x.transpose(0, -1),
    "T of a matrix": lambda lib, x: x.mT,
    "expand": lambda lib, x: x.expand(2, *x.shape),
    "clone": lambda lib, x: x.clone(),
    "to int": lambda lib, x: x.long(),
    "half": lambda lib, x: x.half(),
    "matmul": lambda lib, x: x @ x.mT,
    "matmul with a vector": lambda lib, x: x @ lib.ones(x.shape[-1]),
    "bmm": lambda lib, x: lib.bmm(x.unsqueeze(0), x.mT.unsqueeze(0)),
    "linear": lambda lib, x: lib.nn.functional.linear(x, lib.ones(4, x.shape[-1]), lib.ones(4)),
    "einsum": lambda lib, x: lib.einsum("ij,kj->ik", x, x),
    "outer": lambda lib, x: lib.outer(x.flatten(), x.flatten()),
    "mask": lambda lib, x: x[x > 0],
    "slice": lambda lib, x: x[:1],
    "Ellipsis": lambda lib, x: x[...],
    "None": lambda lib, x: x[None],
    "empty index": lambda lib, x: x[lib.zeros(0, dtype=lib.int64)],
    "index_select": lambda lib, x: x.index_select(0, lib.zeros(0, dtype=lib.int64)),
    "gather": lambda lib, x: x.gather(0, lib.zeros_like(x, dtype=lib.int64)[:0]),
    "nonzero": lambda lib, x: x.nonzero(),
    "masked_fill": lambda lib, x: x.masked_fill(x > 0, 0.0),
    "tril": lambda lib, x: x.tril(),
    "diagonal": lambda lib, x: x.diagonal(),
    "chunk": lambda lib, x: x.chunk(2)[0],
    "split": lambda lib, x: x.split(1)[0],
    "unbind": lambda lib, x: lib.stack(x.unbind(-1)),
    "repeat": lambda lib, x: x.repeat(2, 1),
    "repeat_interleave": lambda lib, x: x.repeat_interleave(2, 0),
    "mse_loss": lambda lib, x: lib.nn.functional.mse_loss(x, x * 2),
    "mse_loss of sum": lambda lib, x: lib.nn.functional.mse_loss(x, x * 2, reduction="sum"),
    "layer_norm": lambda lib, x: lib.nn.functional.layer_norm(x, x.shape[-1:]),
    "dropout": lambda lib, x: lib.nn.functional.dropout(x, 0.5, training=False),
    "gelu": lambda lib, x: lib.nn.functional.gelu(x),
    "isnan": lambda lib, x: x.isnan(),
    "count_nonzero": lambda lib, x: x.count_nonzero(),
    "allclose": lambda lib, x: lib.tensor(lib.allclose(x, x)),
    "equal": lambda lib, x: lib.tensor(lib.equal(x, x)),
    "fill_": lambda lib, x: x.clone().fill_(3),
    "add_": lambda lib, x: x.clone().add_(1),
    "setitem": lambda lib, x: _written(x.clone()),
    "numpy": lambda lib, x: lib.from_numpy(np.asarray(x.numpy() + 1)),
    "tolist": lambda lib, x: lib.tensor(x.tolist()),
    "median": lambda lib, x: x.median(),
    "linspace": lambda lib, x: lib.linspace(0, 1, x.numel()),
    "histc": lambda lib, x: lib.bincount(x.flatten().abs().long()),
}
SHAPES = [(), (1,), (0,), (0, 3), (3, 0), (2, 0, 3)]
# PyTorch's answer is not one to follow: an error where the result is clear, or the other way round.
DIFFERENT = {("topk", shape) for shape in SHAPES} | {("roll", ()), ("repeat_interleave", ()), ("T of a matrix", ())}


def _written(x: Any) -> Any:
    x[...] = 5
    return x


def outcome(call: Any, *args: Any) -> Any:
    """What came of it: the kind of error, or the result's shape, dtype and elements."""
    try:
        result = call(*args)
    except (IndexError, TypeError, ValueError, RuntimeError):
        return "an error"
    numbers = np.asarray(result.detach())
    return tuple(result.shape), str(result.dtype).rpartition(".")[2], numbers


@pytest.mark.filterwarnings("ignore:Mean of empty", "ignore:The use of", "ignore:var", "ignore:std", "ignore:Tensor.mT")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_result_is_pytorchs(name, shape):
    if (name, shape) in DIFFERENT:
        pytest.skip("PyTorch's answer differs by choice")
    found = []
    for lib in (fl, torch):
        x = lib.full(shape, 0.75)
        found.append(outcome(OPERATIONS[name], lib, x))
    ours, theirs = found
    if isinstance(ours, str) or isinstance(theirs, str):
        assert isinstance(ours, str) == isinstance(theirs, str), (ours, theirs)
        return
    assert ours[:2] == theirs[:2]
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-5)


SMOOTH = [
    "neg", "exp", "add", "pow", "sum", "mean", "sum dim 0", "softmax", "cumsum", "cat", "stack", "reshape", "expand",
    "matmul", "linear", "mask", "slice", "mse_loss", "layer_norm", "empty index", "split", "flip", "where",
    "logsumexp", "norm",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SMOOTH)
def test_the_gradient_is_pytorchs(name, shape):
    found = []
    for lib in (fl, torch):
        x = lib.full(shape, 0.75, requires_grad=True)

        def gradient(lib=lib, x=x):
            OPERATIONS[name](lib, x).sum().backward()
            return x.grad

        found.append(outcome(gradient))
    ours, theirs = found
    assert isinstance(ours, str) == isinstance(theirs, str), (ours, theirs)
    if not isinstance(ours, str):
        assert ours[:2] == theirs[:2]
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-5, atol=1e-7)
