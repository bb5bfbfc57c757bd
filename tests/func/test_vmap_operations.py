"""vmap of every declared operation, of views, indexing and the functions of the core, against the loop."""

from __future__ import annotations

import zlib

import numpy
import pytest

import flambeau as fl
import flambeau.nn.functional as F
from flambeau.compiler import declare
from flambeau.compiler.program import ROW
from tests.func.support import SIZE, assert_same, stacked
from tests.operations import cases


def _examples(declaration, shape, shared):
    """For each operand SIZE examples (equal ones where it is shared); numbers once."""
    rng = numpy.random.default_rng(zlib.crc32(declaration.name.encode()))
    every = [cases.operands(declaration, rng, shape)[0] for _ in range(SIZE)]
    count = len(declaration.inputs)
    return [[every[0 if shared[k] else i][k] for i in range(SIZE)] for k in range(count)], every[0][count:]


def _check(name, shape, dims, **options):
    declaration = declare.table[name]
    count = len(declaration.inputs)
    dims = (list(dims) * count)[:count]
    if all(d is None for d in dims):
        dims[0] = 0
    examples, numbers = _examples(declaration, shape, [d is None for d in dims])
    dims = [d if d is None or d == 0 or e[0].ndim else 0 for d, e in zip(dims, examples, strict=True)]
    operation = cases.operation(name)
    args = [stacked(e, d) for e, d in zip(examples, dims, strict=True)]
    # Sums of other lengths of vectors round differently; the definition is the same.
    differentiable = declaration.differentiable and declaration.accepts not in ("integral", "integer")
    try:
        assert_same(lambda *x: operation(*x, *numbers, **options), args, dims, rtol=1e-9, gradients=differentiable)
    except fl.AutogradError:
        assert_same(lambda *x: operation(*x, *numbers, **options), args, dims, rtol=1e-9, gradients=False)


@pytest.mark.parametrize("name", cases.MAPS)
def test_maps(name):
    _check(name, (2, 3), (0, 1, -1))
    _check(name, (2, 3), (None, 0))
    _check(name, (2, 3), (0, None))
    _check(name, (), (0,))


@pytest.mark.parametrize("name", cases.ROWS)
def test_rows(name):
    _check(name, (2, 4), (0, 1, 0), dim=1)
    _check(name, (2, 4), (0, None), dim=-1)
    if all(level is not ROW for level in declare.table[name].levels[: len(declare.table[name].inputs)]):
        _check(name, (2, 4), (1, 0), dim=0)


def _x(*shape, seed=0):
    return fl.randn(*shape, dtype=fl.float64, generator=fl.Generator().manual_seed(seed))


VIEWS = {
    "reshape": lambda x: x.reshape(-1, 2),
    "view": lambda x: x.contiguous().view(4, 6),
    "flatten": lambda x: x.flatten(1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1),
    "movedim": lambda x: x.movedim(0, -1),
    "T": lambda x: x[0].T,
    "mT": lambda x: x.mT,
    "t": lambda x: x[0].t(),
    "expand": lambda x: x.expand(2, -1, 3, 4),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1),
    "squeeze all": lambda x: x.unsqueeze(0).squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "select": lambda x: x.select(1, -1),
    "narrow": lambda x: x.narrow(2, 1, 2),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "diagonal": lambda x: x.diagonal(1, 1, 2),
    "unbind": lambda x: x.unbind(1),
    "split": lambda x: x.split(3, 2),
    "chunk": lambda x: x.chunk(2, -1),
    "iterate": lambda x: list(x),
    "contiguous": lambda x: x.mT.contiguous(),
    "sum_to_size": lambda x: x.sum_to_size(3, 1),
    "roll": lambda x: x.roll(1, 2),
    "flip": lambda x: x.flip((0, 2)),
    "repeat": lambda x: x.repeat(2, 1, 1),
    "tril": lambda x: x.tril(),
    "integer": lambda x: x[1],
    "negative": lambda x: x[-1, 2],
    "slices": lambda x: x[:, 1:, ::2],
    "ellipsis": lambda x: x[..., 0],
    "none": lambda x: x[None, :, None],
    "list": lambda x: x[[1, 0]],
    "tensor": lambda x: x[:, fl.tensor([2, 0])],
    "neighbours": lambda x: x[:, fl.tensor([[2], [0]]), fl.tensor([0, 3])],
    "apart": lambda x: x[fl.tensor([1, 0]), :, fl.tensor([0, 3])],
    "mask": lambda x: x[fl.tensor([True, False])],
    "write": lambda x: _written(x, slice(0, 1), 2.0),
    "write tensor": lambda x: _written(x, (slice(None), 1), x[0, 0]),
    "write index": lambda x: _written(x, (slice(None), fl.tensor([0, 2])), x[:, :2] * 2),
    "write apart": lambda x: _written(x, (fl.tensor([1, 0]), slice(None), fl.tensor([0, 3])), x[:, :, 0]),
    "write mask": lambda x: _written(x, x > 0, 0.0),
    "in place": lambda x: x.clone().mul_(2).add_(x[0]).relu_(),
    "zeros and write": lambda x: fl.zeros_like(x).copy_(x * 2),
    "new": lambda x: x.new_ones(2) * x[0, :2, 0],
    "cast": lambda x: x.float().double(),
    "where": lambda x: fl.where(x > 0, x, x.exp()),
    "cat": lambda x: fl.cat([x, x[:1] * 2], 0),
    "cat empty": lambda x: fl.cat([x.new_zeros(0), x, fl.zeros(0, dtype=fl.float64)], 1),
    "stack": lambda x: fl.stack([x, x.cos()], -1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(1),
    "sort": lambda x: x.sort(2),
    "topk": lambda x: x.topk(2, 1),
    "median": lambda x: x.median(),
    "argmax": lambda x: x.argmax(),
    "max": lambda x: x.max(0),
    "var": lambda x: x.var((0, 2)),
    "norm": lambda x: x.norm(),
    "softmax": lambda x: x.softmax(1),
    "logsumexp": lambda x: x.logsumexp((0, 1)),
    "einsum": lambda x: fl.einsum("abc,abd->cd", x, x),
    "det": lambda x: fl.linalg.det(x[:, :, :3]),
    "inv": lambda x: fl.linalg.inv(x[:, :, :3]),
    "solve": lambda x: fl.linalg.solve(x[0, :, :3], x[1, :, 3]),
    "svdvals": lambda x: fl.linalg.svdvals(x),
    "matrix_exp": lambda x: fl.matrix_exp(x[:, :, :3]),
    "pad": lambda x: F.pad(x, (1, 2), value=3.0),
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "interpolate": lambda x: F.interpolate(x, size=7, mode="linear"),
    "avg_pool1d": lambda x: F.avg_pool1d(x, 2),
    "max_pool1d": lambda x: F.max_pool1d(x, 2),
    "max_pool2d": lambda x: F.max_pool2d(x[:, None], 2, 1),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 2),
    "unfold2d": lambda x: F.unfold(x[:, None], 2),
    "cross_entropy": lambda x: F.cross_entropy(x[0], fl.tensor([1, 0, 3])),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None].cos(), is_causal=True),
}  # fmt: skip


def _written(x, key, value):
    made = x * 1
    made[key] = value
    return made


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_functions_of_one_tensor(name, dim):
    assert_same(VIEWS[name], [stacked([_x(2, 3, 4, seed=i) for i in range(SIZE)], dim)], [dim], rtol=1e-9)


def _index(*shape, high, seed=0):
    return fl.randint(0, high, shape, generator=fl.Generator().manual_seed(seed))


PAIRS = {
    "gather": (lambda x, i: x.gather(1, i), (2, 4), lambda s: _index(2, 3, high=4, seed=s)),
    "index_select": (lambda x, i: x.index_select(1, i), (2, 4), lambda s: _index(3, high=4, seed=s)),
    "index": (lambda x, i: x[:, i], (2, 4), lambda s: _index(3, 2, high=4, seed=s)),
    "index apart": (lambda x, i: x[i, :, i], (4, 2, 4), lambda s: _index(3, high=4, seed=s)),
    "index 0-dim": (lambda x, i: x[i], (4, 2), lambda s: _index(high=4, seed=s)),
    "scatter": (lambda x, i: x.scatter(1, i, 2.0), (2, 4), lambda s: _index(2, 3, high=4, seed=s)),
    "scatter_add": (lambda x, i: x.scatter_add(1, i, x[:, :3].exp()), (2, 4), lambda s: _index(2, 3, high=4, seed=s)),
    "index_add": (lambda x, i: x.index_add(0, i, x.exp()[:3]), (4, 2), lambda s: _index(3, high=4, seed=s)),
    "index_copy": (lambda x, i: x.index_copy(0, i, x.exp()[:1]), (4, 2), lambda s: _index(1, high=4, seed=s)),
    "index_put": (lambda x, i: x.index_put((i,), x[:3] * 2, accumulate=True), (4, 2),
                  lambda s: _index(3, high=4, seed=s)),
    "embedding": (lambda x, i: F.embedding(i, x), (4, 2), lambda s: _index(3, 2, high=4, seed=s)),
    "cross_entropy": (lambda x, i: F.cross_entropy(x, i, reduction="none"), (3, 4),
                      lambda s: _index(3, high=4, seed=s)),
    "matmul": (fl.matmul, (2, 4), lambda s: _x(4, 3, seed=s)),
    "matmul vector": (fl.matmul, (2, 4), lambda s: _x(4, seed=s)),
    "vector matmul": (fl.matmul, (4,), lambda s: _x(2, 4, 3, seed=s)),
    "dot": (fl.matmul, (4,), lambda s: _x(4, seed=s)),
    "batched matmul": (fl.matmul, (5, 1, 2, 4), lambda s: _x(2, 4, 3, seed=s)),
    "linear": (F.linear, (2, 4), lambda s: _x(3, 4, seed=s)),
    "linear vector": (F.linear, (4,), lambda s: _x(3, 4, seed=s)),
    "linear bias": (lambda x, b: F.linear(x, x.new_ones(3, 4), b), (2, 4), lambda s: _x(3, seed=s)),
    "conv1d": (F.conv1d, (2, 3, 6), lambda s: _x(4, 3, 3, seed=s)),
    "conv2d": (lambda x, w: F.conv2d(x, w, stride=2, padding=1), (2, 3, 5, 5), lambda s: _x(4, 3, 3, 3, seed=s)),
    "conv2d groups": (lambda x, w: F.conv2d(x, w, groups=2), (2, 4, 5, 5), lambda s: _x(6, 2, 3, 3, seed=s)),
    "conv2d bias": (lambda x, b: F.conv2d(x, x.new_ones(4, 3, 2, 2), b), (2, 3, 5, 5), lambda s: _x(4, seed=s)),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, stride=2), (2, 3, 4, 4),
                         lambda s: _x(3, 2, 3, 3, seed=s)),
    "bilinear": (lambda x, y: fl.einsum("ab,bc->a", x, y), (2, 4), lambda s: _x(4, 3, seed=s)),
    "attention": (lambda q, k: F.scaled_dot_product_attention(q, k, k), (1, 2, 3, 4), lambda s: _x(1, 2, 5, 4, seed=s)),
    "outer": (fl.outer, (2,), lambda s: _x(3, seed=s)),
    "scalar promotes": (lambda x, y: x.float() * y, (3,), lambda s: _x(seed=s)),
    "operators": (lambda x, y: (x + y) * (2 - y) / (1 + x * x) - (-y) ** 2, (3,), lambda s: _x(3, seed=s)),
    "comparison": (lambda x, y: ((x < y) & (y != 0)) | (x == y), (3,), lambda s: _x(3, seed=s)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0), (-1, 0), (0, -1)])
def test_functions_of_two_tensors(name, dims):
    function, shape, second = PAIRS[name]
    pairs = [[_x(*shape, seed=i) for i in range(SIZE)], [second(9 + i) for i in range(SIZE)]]
    assert_same(function, [stacked(e, d) for e, d in zip(pairs, dims, strict=True)], list(dims), rtol=1e-6)
